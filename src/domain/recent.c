#include "domain/recent.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/slot.h"
#include "base/table.h"

#include <string.h>
#include <utlist.h>

enum {
    TOKEN_PLACES =
        65536,       /* pairs that share one lose an answer now and then, never get an old one */
    USER_SHARE = 16, /* one user takes at most one part in so many of the bound */
    USER_COST = 160, /* of a user beside its answers, malloc's share included */
};

/* One answer. */
typedef struct answer {
    char line[WL_LINE_ID_MAX + 1];
    char name[WL_RECENT_NAME_MAX + 1];
    wl_wall_ms_t at;
    wl_mono_ms_t until;
    struct answer *next; /* utlist, of the user */
    size_t count;        /* bytes behind it */
    uint8_t bytes[];
} answer_t;

typedef struct user {
    uint64_t uid;             /* the key */
    answer_t *answers;        /* owned */
    size_t bytes;             /* of all, with the user */
    struct user *prev, *next; /* utlist: looked at last at the end */
    UT_hash_handle hh;
} user_t;

struct wl_recent {
    user_t *users; /* owned, by uid */
    user_t *order; /* borrowed: the same, the next to go first */
    size_t bytes;
    size_t bytes_max;
    uint64_t flushes;              /* counted into every token */
    uint64_t tokens[TOKEN_PLACES]; /* drops of the pairs of each place */
};

wl_recent_t *wl_recent_new(size_t bytes_max) {
    wl_recent_t *self = wl_alloc_zero(1, sizeof *self);
    self->bytes_max = bytes_max;
    return self;
}

static size_t answer_cost(size_t count) {
    return sizeof(answer_t) + count + 16;
}

static void recent_forget(wl_recent_t *self, user_t *user) {
    answer_t *answer = NULL;
    answer_t *next = NULL;
    LL_FOREACH_SAFE(user->answers, answer, next) {
        wl_free(answer);
    }
    HASH_DEL(self->users, user);
    DL_DELETE(self->order, user);
    self->bytes -= user->bytes;
    wl_free(user);
}

void wl_recent_flush(wl_recent_t *self) {
    while (self->order != NULL) {
        recent_forget(self, self->order);
    }
    self->flushes++;
}

void wl_recent_destroy(wl_recent_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_recent_flush(*self);
    wl_free(*self);
    *self = NULL;
}

static user_t *recent_find(const wl_recent_t *self, uint64_t uid) {
    user_t *user = NULL;
    HASH_FIND(hh, self->users, &uid, sizeof uid, user);
    return user;
}

static answer_t *user_find(const user_t *user, const char *line, const char *name) {
    answer_t *answer = NULL;
    LL_FOREACH(user->answers, answer) {
        if (strcmp(answer->line, line) == 0 && strcmp(answer->name, name) == 0) {
            return answer;
        }
    }
    return NULL;
}

/* Takes one answer out. */
static void user_remove(wl_recent_t *self, user_t *user, answer_t *answer) {
    size_t cost = answer_cost(answer->count);
    LL_DELETE(user->answers, answer);
    user->bytes -= cost;
    self->bytes -= cost;
    wl_free(answer);
}

/* Takes out what is too old. false: that was all, and the user is gone. */
static bool user_expire(wl_recent_t *self, user_t *user, wl_mono_ms_t now) {
    answer_t *answer = NULL;
    answer_t *next = NULL;
    LL_FOREACH_SAFE(user->answers, answer, next) {
        if (answer->until.ms <= now.ms) {
            user_remove(self, user, answer);
        }
    }
    if (user->answers == NULL) {
        recent_forget(self, user);
        return false;
    }
    return true;
}

const uint8_t *wl_recent_get(wl_recent_t *self, uint64_t uid, const char *line, const char *name,
                             wl_mono_ms_t now, size_t *ret_bytes, wl_wall_ms_t *ret_at) {
    user_t *user = recent_find(self, uid);
    if (user == NULL || !user_expire(self, user, now)) {
        return NULL;
    }
    const answer_t *answer = user_find(user, line, name);
    if (answer == NULL) {
        return NULL;
    }
    DL_DELETE(self->order, user);
    DL_APPEND(self->order, user);
    *ret_bytes = answer->count;
    *ret_at = answer->at;
    return answer->bytes;
}

static size_t token_place(uint64_t uid, const char *line) {
    return (size_t)(wl_mix64(uid ^ wl_table_hash(line, strlen(line))) % TOKEN_PLACES);
}

uint64_t wl_recent_token(const wl_recent_t *self, uint64_t uid, const char *line) {
    return self->tokens[token_place(uid, line)] + self->flushes;
}

void wl_recent_put(wl_recent_t *self, uint64_t uid, const char *line, const char *name,
                   const void *bytes, size_t count, wl_wall_ms_t at, wl_mono_ms_t until,
                   uint64_t token) {
    WL_ASSERT(strlen(line) <= WL_LINE_ID_MAX && strlen(name) <= WL_RECENT_NAME_MAX);
    user_t *user = recent_find(self, uid);
    size_t cost = answer_cost(count);
    size_t held = user == NULL ? USER_COST : user->bytes;
    if (token != wl_recent_token(self, uid, line) || held + cost > self->bytes_max / USER_SHARE) {
        return;
    }
    if (user == NULL) {
        user = wl_alloc_zero(1, sizeof *user);
        user->uid = uid;
        user->bytes = USER_COST;
        self->bytes += USER_COST;
        HASH_ADD(hh, self->users, uid, sizeof user->uid, user);
    } else {
        answer_t *old = user_find(user, line, name);
        if (old != NULL) {
            user_remove(self, user, old);
        }
        DL_DELETE(self->order, user);
    }
    DL_APPEND(self->order, user);
    answer_t *answer = wl_alloc(sizeof *answer + count);
    *answer = (answer_t){.at = at, .until = until, .count = count};
    memcpy(answer->line, line, strlen(line) + 1);
    memcpy(answer->name, name, strlen(name) + 1);
    memcpy(answer->bytes, bytes, count);
    LL_PREPEND(user->answers, answer);
    user->bytes += cost;
    self->bytes += cost;
    while (self->bytes > self->bytes_max && self->order != user) {
        recent_forget(self, self->order);
    }
}

void wl_recent_drop(wl_recent_t *self, uint64_t uid, const char *line) {
    self->tokens[token_place(uid, line)]++;
    user_t *user = recent_find(self, uid);
    if (user == NULL) {
        return;
    }
    answer_t *answer = NULL;
    answer_t *next = NULL;
    LL_FOREACH_SAFE(user->answers, answer, next) {
        if (strcmp(answer->line, line) == 0) {
            user_remove(self, user, answer);
        }
    }
    if (user->answers == NULL) {
        recent_forget(self, user);
    }
}

size_t wl_recent_bytes(const wl_recent_t *self) {
    return self->bytes;
}

uint32_t wl_recent_users(const wl_recent_t *self) {
    return HASH_COUNT(self->users);
}
