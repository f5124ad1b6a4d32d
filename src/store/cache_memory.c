/* The cache in memory. A user is one block:
 *
 *     [ user_t | wl_asset_t x count | extra bytes of all assets ]
 *
 * found through a table of chains and kept in a list from the newest use to the oldest. The table
 * has its final size from the start, cut from bytes_max: growing a table of millions would stop the
 * actor for a second, and memory that no user hashes to is never touched, so it costs nothing. */
#include "store/cache.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/slot.h"
#include "base/table.h"

#include <assert.h>
#include <malloc.h>
#include <string.h>

enum {
    BYTES_MAX_LEAST = 65536, /* half of it is fences */
    WALK_BUCKETS = 65536,    /* looked at by one call: a big table that is empty takes long */
    BUCKET_SHARE = 256,      /* one bucket (8 bytes) for so many bytes: a user of one asset */
    CHUNK_OVERHEAD = 8,      /* what malloc adds to the usable bytes of a block */
};

static const size_t BUCKETS_MOST = (size_t)1 << 31; /* the hash has 32 bits */

typedef struct user user_t;
struct user {
    user_t *chain; /* next in the same bucket */
    user_t *newer; /* neighbours in the order of use */
    user_t *older;
    uint64_t uid;
    uint64_t seen;  /* commit number of the read that filled it */
    uint32_t bytes; /* of this block, with malloc's part */
    uint32_t count;
    wl_asset_t assets[];
};

static_assert(sizeof(user_t) +
                      (size_t)WL_USER_ASSETS_MAX * (sizeof(wl_asset_t) + WL_EXTRA_BYTES_MAX) <
                  UINT32_MAX,
              "the size of a user fits 32 bits");

struct wl_cache {
    size_t bytes_max;
    size_t bytes_fixed; /* this struct and the table */
    size_t bytes;       /* bytes_fixed and all blocks */
    user_t **buckets;   /* owned */
    size_t bucket_mask;
    user_t *newest;
    user_t *oldest;
    uint64_t users;
    uint64_t evictions;
    uint64_t fence[WL_SLOTS]; /* newest commit number seen per slot */
};

wl_err_t wl_cache_open(const wl_cache_options_t *options, wl_cache_t **ret) {
    if (options->bytes_max < BYTES_MAX_LEAST) {
        return WL_ERR_SETTINGS;
    }
    size_t buckets = 64;
    while (buckets * 2 <= options->bytes_max / BUCKET_SHARE && buckets < BUCKETS_MOST) {
        buckets *= 2;
    }
    wl_cache_t *self = wl_alloc_zero(1, sizeof *self);
    self->bytes_max = options->bytes_max;
    self->bytes_fixed = sizeof *self + buckets * sizeof *self->buckets;
    self->bytes = self->bytes_fixed;
    self->buckets = wl_alloc_zero(buckets, sizeof *self->buckets);
    self->bucket_mask = buckets - 1;
    *ret = self;
    return WL_OK;
}

void wl_cache_close(wl_cache_t **self) {
    if (*self == NULL) {
        return;
    }
    wl_cache_flush(*self);
    wl_free((*self)->buckets);
    wl_free(*self);
    *self = NULL;
}

/* The link that points to the user, or the NULL at the end of its chain. */
static user_t **user_link(wl_cache_t *self, uint64_t uid) {
    user_t **link = &self->buckets[wl_table_hash(&uid, sizeof uid) & self->bucket_mask];
    while (*link != NULL && (*link)->uid != uid) {
        link = &(*link)->chain;
    }
    return link;
}

static void list_remove(wl_cache_t *self, user_t *user) {
    *(user->newer != NULL ? &user->newer->older : &self->newest) = user->older;
    *(user->older != NULL ? &user->older->newer : &self->oldest) = user->newer;
}

static void list_push(wl_cache_t *self, user_t *user) {
    user->newer = NULL;
    user->older = self->newest;
    *(self->newest != NULL ? &self->newest->newer : &self->oldest) = user;
    self->newest = user;
}

/* Takes the user that `link` points to out of the cache and frees it. */
static void user_remove(wl_cache_t *self, user_t **link) {
    user_t *user = *link;
    WL_ASSERT(user != NULL && self->users > 0);
    *link = user->chain;
    list_remove(self, user);
    self->users--;
    self->bytes -= user->bytes;
    wl_free(user);
}

static void evict(wl_cache_t *self) {
    while (self->bytes > self->bytes_max && self->oldest != NULL) {
        user_remove(self, user_link(self, self->oldest->uid));
        self->evictions++;
    }
}

static wl_asset_t *asset_find(wl_asset_t *assets, uint32_t count, const wl_asset_t *key) {
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(assets[i].line, key->line) == 0 && strcmp(assets[i].bucket, key->bucket) == 0) {
            return &assets[i];
        }
    }
    return NULL;
}

/* The records of a user while they are put together; extras are borrowed from where they were. */
typedef struct {
    uint32_t count;
    wl_asset_t at[WL_USER_ASSETS_MAX];
} draft_t;

/* The newer version stays; of equal ones the younger pulled_at. false: no room for another. */
static bool draft_add(draft_t *draft, const wl_asset_t *asset) {
    wl_asset_t *found = asset_find(draft->at, draft->count, asset);
    if (found == NULL) {
        if (draft->count == WL_USER_ASSETS_MAX) {
            return false;
        }
        draft->at[draft->count++] = *asset;
    } else if (asset->version > found->version) {
        *found = *asset;
    } else if (asset->version == found->version && asset->pulled_at > found->pulled_at) {
        found->pulled_at = asset->pulled_at;
    }
    return true;
}

/* A block of its own for the draft, in no list yet. */
static user_t *draft_build(const draft_t *draft, uint64_t uid, uint64_t seen) {
    size_t bytes = sizeof(user_t) + draft->count * sizeof(wl_asset_t);
    uint8_t *extra = NULL;
    for (uint32_t i = 0; i < draft->count; i++) {
        bytes += draft->at[i].extra_bytes;
    }
    user_t *user = wl_alloc(bytes);
    *user = (user_t){.uid = uid, .seen = seen, .count = draft->count};
    user->bytes = (uint32_t)(malloc_usable_size(user) + CHUNK_OVERHEAD);
    extra = (uint8_t *)&user->assets[draft->count];
    for (uint32_t i = 0; i < draft->count; i++) {
        wl_asset_t *asset = &user->assets[i];
        *asset = draft->at[i];
        asset->extra = NULL;
        if (asset->extra_bytes > 0) {
            memcpy(extra, draft->at[i].extra, asset->extra_bytes);
            asset->extra = extra;
            extra += asset->extra_bytes;
        }
    }
    return user;
}

/* Puts the new block where `link` points: in place of the user's old one, or at the chain's end.
 * A user that can never fit is left out, and its old block goes as well. */
static wl_err_t user_replace(wl_cache_t *self, user_t **link, user_t *user, bool used) {
    user_t *old = *link;
    if (self->bytes_fixed + user->bytes > self->bytes_max) {
        wl_free(user);
        if (old != NULL) {
            user_remove(self, link);
        }
        return WL_ERR_TOO_BIG;
    }
    *link = user;
    self->bytes += user->bytes;
    if (old == NULL) {
        list_push(self, user);
        self->users++;
    } else {
        user->chain = old->chain;
        user->newer = old->newer;
        user->older = old->older;
        *(user->newer != NULL ? &user->newer->older : &self->newest) = user;
        *(user->older != NULL ? &user->older->newer : &self->oldest) = user;
        self->bytes -= old->bytes;
        wl_free(old);
        if (used && self->newest != user) {
            list_remove(self, user);
            list_push(self, user);
        }
    }
    evict(self);
    return WL_OK;
}

bool wl_cache_get(wl_cache_t *self, uint64_t uid, const wl_asset_t **ret_assets,
                  uint32_t *ret_count) {
    user_t *user = *user_link(self, uid);
    if (user == NULL) {
        return false;
    }
    if (self->newest != user) {
        list_remove(self, user);
        list_push(self, user);
    }
    *ret_assets = user->assets;
    *ret_count = user->count;
    return true;
}

bool wl_cache_peek(const wl_cache_t *self, uint64_t uid, const wl_asset_t **ret_assets,
                   uint32_t *ret_count) {
    const user_t *user = self->buckets[wl_table_hash(&uid, sizeof uid) & self->bucket_mask];
    while (user != NULL && user->uid != uid) {
        user = user->chain;
    }
    if (user == NULL) {
        return false;
    }
    *ret_assets = user->assets;
    *ret_count = user->count;
    return true;
}

/* The table never changes its size, so the number of a bucket says how far a walk is. */
uint32_t wl_cache_walk(const wl_cache_t *self, uint64_t *cursor, uint32_t max, uint64_t *ret_uids) {
    uint32_t count = 0;
    uint64_t bucket = *cursor;
    uint64_t end = bucket <= UINT64_MAX - WALK_BUCKETS ? bucket + WALK_BUCKETS : UINT64_MAX;
    for (; bucket <= self->bucket_mask && bucket < end && count < max; bucket++) {
        const user_t *user = self->buckets[bucket];
        for (uint32_t deep = 0; user != NULL && deep < WL_CACHE_WALK_MORE; deep++) {
            if (user->count > 0) {
                ret_uids[count++] = user->uid;
            }
            user = user->chain;
        }
    }
    *cursor = bucket > self->bucket_mask ? 0 : bucket;
    return count;
}

uint64_t wl_cache_fence(const wl_cache_t *self, uint64_t uid) {
    return self->fence[wl_slot_of(uid)];
}

static void fence_raise(wl_cache_t *self, uint64_t uid, uint64_t commit_seq) {
    uint64_t *fence = &self->fence[wl_slot_of(uid)];
    *fence = commit_seq > *fence ? commit_seq : *fence;
}

/* Does one record of a put without moving the block. false: it is new, or its extra has no room. */
static bool put_in_place(wl_asset_t *found, const wl_asset_t *asset) {
    if (found == NULL ||
        (asset->version > found->version && asset->extra_bytes > found->extra_bytes)) {
        return false;
    }
    if (asset->version > found->version) {
        /* The bytes are inside the user's own block, which is ours to write. */
        uint8_t *extra = (uint8_t *)(uintptr_t)found->extra;
        *found = *asset;
        found->extra = NULL;
        if (asset->extra_bytes > 0) {
            memcpy(extra, asset->extra, asset->extra_bytes);
            found->extra = extra;
        }
    } else if (asset->version == found->version && asset->pulled_at > found->pulled_at) {
        found->pulled_at = asset->pulled_at;
    }
    return true;
}

/* The user with the put merged in, as a new block. */
static void put_rebuild(wl_cache_t *self, user_t **link, const wl_asset_t *assets, uint32_t count) {
    user_t *user = *link;
    draft_t draft;
    draft.count = user->count;
    memcpy(draft.at, user->assets, user->count * sizeof *user->assets);
    bool fits = true;
    for (uint32_t i = 0; fits && i < count; i++) {
        fits = draft_add(&draft, &assets[i]);
    }
    if (!fits) {
        user_remove(self, link); /* the database refuses such users: ours is not to be trusted */
        return;
    }
    /* Dropped when too big, which is an answer as good as any: the next get misses. */
    (void)!user_replace(self, link, draft_build(&draft, user->uid, user->seen), false);
}

uint32_t wl_cache_put(wl_cache_t *self, uint64_t uid, const wl_asset_t *assets, uint32_t count,
                      uint64_t commit_seq) {
    fence_raise(self, uid, commit_seq);
    user_t **link = user_link(self, uid);
    user_t *user = *link;
    if (user == NULL) {
        return 0;
    }
    bool seen = commit_seq <= user->seen; /* the fill had it all: what it lacks is gone since */
    bool rebuild = false;
    uint32_t older = 0;
    for (uint32_t i = 0; i < count; i++) {
        wl_asset_t *found = asset_find(user->assets, user->count, &assets[i]);
        older += found != NULL ? found->version > assets[i].version : seen;
        if (!seen && !put_in_place(found, &assets[i])) {
            rebuild = true;
        }
    }
    if (rebuild) {
        put_rebuild(self, link, assets, count);
    }
    return older;
}

wl_err_t wl_cache_fill(wl_cache_t *self, uint64_t uid, const wl_asset_t *assets, uint32_t count,
                       uint64_t commit_seq) {
    if (commit_seq < self->fence[wl_slot_of(uid)]) {
        return WL_ERR_CONFLICT;
    }
    fence_raise(self, uid, commit_seq);
    user_t **link = user_link(self, uid);
    user_t *old = *link;
    draft_t draft;
    draft.count = 0;
    bool fits = true;
    for (uint32_t i = 0; fits && i < count; i++) {
        fits = draft_add(&draft, &assets[i]);
    }
    if (!fits) {
        if (old != NULL) {
            user_remove(self, link);
        }
        return WL_ERR_TOO_BIG;
    }
    for (uint32_t i = 0; old != NULL && i < old->count; i++) {
        if (asset_find(draft.at, draft.count, &old->assets[i]) != NULL) {
            bool merged = draft_add(&draft, &old->assets[i]);
            WL_ASSERT(merged);
        }
    }
    return user_replace(self, link, draft_build(&draft, uid, commit_seq), true);
}

void wl_cache_drop(wl_cache_t *self, uint64_t uid) {
    user_t **link = user_link(self, uid);
    if (*link != NULL) {
        user_remove(self, link);
    }
}

void wl_cache_flush(wl_cache_t *self) {
    while (self->oldest != NULL) {
        user_remove(self, user_link(self, self->oldest->uid));
    }
}

wl_cache_stats_t wl_cache_stats(const wl_cache_t *self) {
    return (wl_cache_stats_t){
        .users = self->users, .bytes = self->bytes, .evictions = self->evictions};
}
