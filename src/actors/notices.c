#include "actors/notices.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/table.h"

typedef struct {
    uint64_t uid;     /* the key */
    uint64_t seq;     /* the newest change on its way */
    int64_t added_at; /* of the newest, monotonic ms */
    UT_hash_handle hh;
} notice_t;

struct wl_notices {
    notice_t *users; /* uthash by uid, in the order in which users were first noticed */
    uint32_t users_max;
    uint64_t not_kept_to; /* newest seq that the full table could not keep */
};

wl_notices_t *wl_notices_new(uint32_t users_max) {
    WL_ASSERT(users_max > 0);
    wl_notices_t *self = wl_alloc_zero(1, sizeof *self);
    self->users_max = users_max;
    return self;
}

static notice_t *notices_find(const wl_notices_t *self, uint64_t uid) {
    notice_t *notice = NULL;
    HASH_FIND(hh, self->users, &uid, sizeof uid, notice);
    return notice;
}

static void notices_drop(wl_notices_t *self, notice_t *notice) {
    HASH_DEL(self->users, notice);
    wl_free(notice);
}

void wl_notices_add(wl_notices_t *self, uint64_t uid, uint64_t seq, int64_t now) {
    notice_t *notice = notices_find(self, uid);
    if (notice == NULL && HASH_COUNT(self->users) >= self->users_max) {
        self->not_kept_to = seq > self->not_kept_to ? seq : self->not_kept_to;
        return;
    }
    if (notice == NULL) {
        notice = wl_alloc_zero(1, sizeof *notice);
        notice->uid = uid;
        HASH_ADD(hh, self->users, uid, sizeof notice->uid, notice);
    }
    notice->seq = seq > notice->seq ? seq : notice->seq;
    notice->added_at = now;
}

bool wl_notices_end(wl_notices_t *self, uint64_t uid, uint64_t seq) {
    notice_t *notice = notices_find(self, uid);
    if (notice != NULL && notice->seq > seq) {
        return true;
    }
    if (notice != NULL) {
        notices_drop(self, notice);
    }
    return seq < self->not_kept_to; /* numbers grow over all users: a later one covers it */
}

void wl_notices_forget(wl_notices_t *self, int64_t before) {
    notice_t *notice = NULL;
    notice_t *next = NULL;
    HASH_ITER(hh, self->users, notice, next) {
        if (notice->added_at < before) {
            notices_drop(self, notice);
        }
    }
}

uint32_t wl_notices_users(const wl_notices_t *self) {
    return HASH_COUNT(self->users);
}

void wl_notices_destroy(wl_notices_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    notice_t *notice = NULL;
    notice_t *next = NULL;
    HASH_ITER(hh, (*self)->users, notice, next) {
        notices_drop(*self, notice);
    }
    wl_free(*self);
    *self = NULL;
}
