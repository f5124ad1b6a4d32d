#include "domain/recent_users.h"

#include "base/alloc.h"
#include "base/table.h"

#include <uthash.h>

typedef struct {
    uint64_t uid; /* the key */
    int64_t until;
    UT_hash_handle hh;
} user_t;

struct wl_recent_users {
    user_t *users; /* owned, in the order in which they were added last */
    uint32_t max;
    int64_t all_until; /* everybody is one of them until then */
};

wl_recent_users_t *wl_recent_users_new(uint32_t users_max) {
    wl_recent_users_t *self = wl_alloc_zero(1, sizeof *self);
    self->max = users_max;
    self->all_until = INT64_MIN;
    return self;
}

static void user_drop(wl_recent_users_t *self, user_t *user) {
    HASH_DEL(self->users, user);
    wl_free(user);
}

void wl_recent_users_destroy(wl_recent_users_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    while ((*self)->users != NULL) {
        user_drop(*self, (*self)->users);
    }
    wl_free(*self);
    *self = NULL;
}

/* The first ones, as far as they are over. */
static void users_expire(wl_recent_users_t *self, int64_t now) {
    while (self->users != NULL && self->users->until <= now) {
        user_drop(self, self->users);
    }
}

void wl_recent_users_add(wl_recent_users_t *self, uint64_t uid, int64_t now, int64_t until) {
    user_t *user = NULL;
    users_expire(self, now);
    HASH_FIND(hh, self->users, &uid, sizeof uid, user);
    if (user == NULL && HASH_COUNT(self->users) >= self->max) {
        self->all_until = until > self->all_until ? until : self->all_until;
        return;
    }
    if (user == NULL) {
        user = wl_alloc_zero(1, sizeof *user);
        user->uid = uid;
        user->until = until;
    } else {
        HASH_DEL(self->users, user); /* to the end */
        user->until = until > user->until ? until : user->until;
    }
    HASH_ADD(hh, self->users, uid, sizeof user->uid, user);
}

bool wl_recent_users_has(wl_recent_users_t *self, uint64_t uid, int64_t now) {
    user_t *user = NULL;
    if (now < self->all_until) {
        return true;
    }
    if (self->users == NULL) {
        return false; /* nearly always */
    }
    users_expire(self, now);
    HASH_FIND(hh, self->users, &uid, sizeof uid, user);
    return user != NULL && user->until > now;
}
