/* Users in an array that is sorted by uid; the records of each in a list that is sorted by line and
 * bucket, through indices into the one array of all records. */
#include "store/asset_batch.h"

#include "base/alloc.h"
#include "base/check.h"
#include "store/asset_db_ops.h"
#include "store/asset_row.h"

#include <string.h>

enum { USERS_FIRST = 256, NONE = UINT32_MAX >> 1 };

typedef struct {
    uint64_t uid;
    uint32_t first; /* index of its first record, NONE = has none */
    uint32_t last;
    uint32_t count; /* records, tombstones included */
    uint32_t live;  /* records that are not gone */
} user_t;

typedef struct {
    uint32_t next; /* index of the same user's next record, NONE = the last */
    bool changed;  /* must be written */
} link_t;

struct wl_asset_batch {
    user_t *users; /* owned, sorted by uid */
    uint32_t user_count;
    uint32_t user_room;
    wl_asset_rows_t rows; /* owned; all records */
    link_t *links;        /* owned; links[i] belongs to rows.at[i] */
    uint32_t link_room;
    uint64_t *births; /* owned */
    uint32_t birth_count;
    uint32_t birth_room;
    uint32_t *order; /* owned; changed records in the order of their keys, made on demand */
    uint32_t order_count;
    uint32_t order_room;
};

wl_asset_batch_t *wl_asset_batch_new(void) {
    return wl_alloc_zero(1, sizeof(wl_asset_batch_t));
}

void wl_asset_batch_destroy(wl_asset_batch_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free((*self)->users);
    wl_asset_rows_destroy(&(*self)->rows);
    wl_free((*self)->links);
    wl_free((*self)->births);
    wl_free((*self)->order);
    wl_free(*self);
    *self = NULL;
}

void wl_asset_batch_clear(wl_asset_batch_t *self) {
    self->user_count = 0;
    self->birth_count = 0;
    wl_asset_rows_clear(&self->rows);
}

/* Room for one more of what an array holds. */
static void *array_grow(void *at, uint32_t count, uint32_t *room, size_t each) {
    if (count < *room) {
        return at;
    }
    *room = *room == 0 ? USERS_FIRST : *room * 2;
    return wl_realloc_array(at, *room, each);
}

/* ---- users ----------------------------------------------------------------------------------- */

/* Index of the first user whose uid is not below. */
static uint32_t user_place(const wl_asset_batch_t *self, uint64_t uid) {
    uint32_t low = 0;
    uint32_t high = self->user_count;
    if (high > 0 && self->users[high - 1].uid < uid) {
        return high;
    }
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (self->users[middle].uid < uid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

bool wl_asset_batch_has(const wl_asset_batch_t *self, uint64_t uid) {
    uint32_t at = user_place(self, uid);
    return at < self->user_count && self->users[at].uid == uid;
}

uint32_t wl_asset_batch_users(const wl_asset_batch_t *self) {
    return self->user_count;
}

uint64_t wl_asset_batch_user(const wl_asset_batch_t *self, uint32_t at) {
    WL_ASSERT(at < self->user_count);
    return self->users[at].uid;
}

void wl_asset_batch_add_user(wl_asset_batch_t *self, uint64_t uid) {
    uint32_t at = user_place(self, uid);
    WL_ASSERT(at == self->user_count || self->users[at].uid != uid);
    self->users = array_grow(self->users, self->user_count, &self->user_room, sizeof *self->users);
    memmove(&self->users[at + 1], &self->users[at], (self->user_count - at) * sizeof *self->users);
    self->users[at] = (user_t){.uid = uid, .first = NONE, .last = NONE};
    self->user_count++;
}

static user_t *user_find(const wl_asset_batch_t *self, uint64_t uid) {
    uint32_t at = user_place(self, uid);
    WL_ASSERT(at < self->user_count && self->users[at].uid == uid);
    return &self->users[at];
}

/* ---- records --------------------------------------------------------------------------------- */

static int key_compare(const wl_asset_t *asset, const char *line, const char *bucket) {
    int order = strcmp(asset->line, line);
    return order != 0 ? order : strcmp(asset->bucket, bucket);
}

/* The record of a key, or NONE; *ret_before: the one that a new one would follow. */
static uint32_t record_find(const wl_asset_batch_t *self, const user_t *user, const char *line,
                            const char *bucket, uint32_t *ret_before) {
    uint32_t before = NONE;
    uint32_t at = user->first;
    if (user->last != NONE && key_compare(&self->rows.at[user->last], line, bucket) < 0) {
        before = user->last;
        at = NONE;
    }
    while (at != NONE) {
        int order = key_compare(&self->rows.at[at], line, bucket);
        if (order >= 0) {
            *ret_before = before;
            return order == 0 ? at : NONE;
        }
        before = at;
        at = self->links[at].next;
    }
    *ret_before = before;
    return NONE;
}

static void record_add(wl_asset_batch_t *self, user_t *user, uint32_t before,
                       const wl_asset_t *asset, bool changed) {
    uint32_t added = self->rows.count;
    wl_asset_rows_add(&self->rows, asset);
    self->links = array_grow(self->links, added, &self->link_room, sizeof *self->links);
    uint32_t *from = before == NONE ? &user->first : &self->links[before].next;
    self->links[added] = (link_t){.next = *from, .changed = changed};
    *from = added;
    user->last = user->last == before ? added : user->last;
    user->count++;
    user->live += asset->state != WL_STATE_GONE;
}

wl_err_t wl_asset_batch_load(wl_asset_batch_t *self, const wl_asset_t *stored) {
    if (!wl_asset_batch_has(self, stored->uid)) {
        return WL_ERR_DAMAGED;
    }
    user_t *user = user_find(self, stored->uid);
    uint32_t before = NONE;
    if (record_find(self, user, stored->line, stored->bucket, &before) != NONE) {
        return WL_ERR_DAMAGED; /* a key is there once */
    }
    record_add(self, user, before, stored, false);
    return WL_OK;
}

static void birth_note(wl_asset_batch_t *self, uint64_t uid) {
    self->births =
        array_grow(self->births, self->birth_count, &self->birth_room, sizeof *self->births);
    self->births[self->birth_count++] = uid;
}

/* The same version once more. */
static void record_touch(wl_asset_batch_t *self, uint32_t at, int64_t pulled_at) {
    wl_asset_t *stored = &self->rows.at[at];
    bool later =
        pulled_at >= INT64_MIN + WL_TOUCH_MS && stored->pulled_at <= pulled_at - WL_TOUCH_MS;
    if (later) {
        stored->pulled_at = pulled_at;
        self->links[at].changed = true;
    }
}

wl_apply_result_t wl_asset_batch_apply(wl_asset_batch_t *self, const wl_asset_t *asset) {
    user_t *user = user_find(self, asset->uid);
    uint32_t before = NONE;
    uint32_t at = record_find(self, user, asset->line, asset->bucket, &before);
    bool live = asset->state != WL_STATE_GONE;
    if (at == NONE) {
        if (user->count >= WL_USER_ASSETS_MAX) {
            return WL_APPLY_FULL;
        }
        record_add(self, user, before, asset, true);
        if (live) {
            birth_note(self, asset->uid);
        }
        return WL_APPLY_STORED;
    }
    const wl_asset_t *stored = &self->rows.at[at];
    if (asset->version < stored->version) {
        return WL_APPLY_OLDER;
    }
    if (asset->version == stored->version) {
        record_touch(self, at, asset->pulled_at);
        return WL_APPLY_TOUCHED;
    }
    bool was_live = stored->state != WL_STATE_GONE;
    if (live && !was_live) {
        birth_note(self, asset->uid);
    }
    user->live = user->live - was_live + live;
    wl_asset_rows_set(&self->rows, at, asset);
    self->links[at].changed = true;
    return WL_APPLY_STORED;
}

/* They leave the user's list; their places in the array of all records stay unused. */
uint32_t wl_asset_batch_purge(wl_asset_batch_t *self, uint64_t uid, const char *line) {
    user_t *user = user_find(self, uid);
    uint32_t purged = 0;
    uint32_t before = NONE;
    for (uint32_t at = user->first; at != NONE; at = self->links[at].next) {
        const wl_asset_t *asset = &self->rows.at[at];
        if (strcmp(asset->line, line) != 0 || wl_asset_is_consent(asset)) {
            before = at;
            continue;
        }
        *(before == NONE ? &user->first : &self->links[before].next) = self->links[at].next;
        user->count--;
        user->live -= asset->state != WL_STATE_GONE;
        purged++;
    }
    user->last = before;
    return purged;
}

/* ---- reads ----------------------------------------------------------------------------------- */

const wl_asset_t *wl_asset_batch_get(const wl_asset_batch_t *self, uint64_t uid, const char *line,
                                     const char *bucket) {
    uint32_t before = NONE;
    uint32_t at = record_find(self, user_find(self, uid), line, bucket, &before);
    return at == NONE ? NULL : &self->rows.at[at];
}

void wl_asset_batch_fetch(const wl_asset_batch_t *self, uint64_t uid, wl_asset_rows_t *rows) {
    for (uint32_t at = user_find(self, uid)->first; at != NONE; at = self->links[at].next) {
        if (self->rows.at[at].state != WL_STATE_GONE) {
            wl_asset_rows_add(rows, &self->rows.at[at]);
        }
    }
}

bool wl_asset_batch_owns(const wl_asset_batch_t *self, uint64_t uid) {
    return user_find(self, uid)->live > 0;
}

static void order_make(wl_asset_batch_t *self) {
    self->order_count = 0;
    for (uint32_t i = 0; i < self->user_count; i++) {
        for (uint32_t at = self->users[i].first; at != NONE; at = self->links[at].next) {
            if (self->links[at].changed) {
                self->order = array_grow(self->order, self->order_count, &self->order_room,
                                         sizeof *self->order);
                self->order[self->order_count++] = at;
            }
        }
    }
}

const wl_asset_t *wl_asset_batch_changed(wl_asset_batch_t *self, uint32_t *cursor) {
    if (*cursor == 0) {
        order_make(self);
    }
    return *cursor < self->order_count ? &self->rows.at[self->order[(*cursor)++]] : NULL;
}

const uint64_t *wl_asset_batch_births(const wl_asset_batch_t *self, uint32_t *ret_count) {
    *ret_count = self->birth_count;
    return self->births;
}
