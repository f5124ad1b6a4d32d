/* cache_world.h: a naive world around the cache: one shard that commits, an ordered stream of puts
 * that lags behind it, and database reads that arrive late and in any order. Driven by random
 * numbers (test_cache.c) or by bytes (fuzz_cache.c). After every step it knows what each cached
 * user must look like: the database at max(commit of the fill, last put delivered), never older
 * than what was shown before. Any difference aborts. */
#ifndef WL_TEST_CACHE_WORLD_H
#define WL_TEST_CACHE_WORLD_H

#include "base/check.h"
#include "base/slot.h"
#include "store/cache.h"

#include <stdio.h>
#include <string.h>

enum {
    WORLD_USERS = 24,
    WORLD_KEYS = 6,       /* 3 lines x 2 buckets */
    WORLD_COMMITS = 3000, /* then the world ends */
    WORLD_READS = 8,      /* database reads under way */
    WORLD_BYTES_MAX = 65536,
};

typedef struct {
    uint64_t version; /* 0 = never born */
    int64_t pulled_at;
    uint16_t extra_bytes;
    bool gone;
} world_record_t;

typedef struct {
    unsigned user;
    unsigned changed;                   /* bit per key */
    world_record_t records[WORLD_KEYS]; /* of the user, after the commit */
} world_commit_t;

typedef struct {
    bool under_way;
    unsigned user;
    uint64_t seq;
} world_read_t;

typedef struct {
    wl_cache_t *cache;
    const uint8_t *bytes; /* NULL: draws come from random */
    size_t count;
    size_t at;
    uint64_t random;
    uint64_t uids[WORLD_USERS];
    world_commit_t commits[WORLD_COMMITS + 1]; /* [0] is not used */
    uint64_t committed;
    uint64_t delivered;
    world_read_t reads[WORLD_READS];
    uint64_t fence[WL_SLOTS];
    bool cached[WORLD_USERS];
    uint64_t seen[WORLD_USERS];  /* commit of the fill */
    uint64_t shown[WORLD_USERS]; /* newest state that a get has returned */
    unsigned uses[WORLD_USERS];  /* users from the newest use to the oldest */
    unsigned used;
    uint64_t evictions;
    uint64_t fills;
    uint64_t conflicts;
    uint8_t extra[WORLD_KEYS][WL_EXTRA_BYTES_MAX];
} world_t;

static inline uint32_t world_draw(world_t *self, uint32_t bound) {
    if (self->bytes != NULL) {
        return self->at < self->count ? self->bytes[self->at++] % bound : 0;
    }
    self->random = wl_mix64(self->random + 0x9e3779b97f4a7c15u);
    return (uint32_t)((self->random >> 33) % bound);
}

static inline void world_open(world_t *self, uint64_t random, const uint8_t *bytes, size_t count) {
    memset(self, 0, sizeof *self);
    self->random = random;
    self->bytes = bytes;
    self->count = count;
    wl_err_t err = wl_cache_open(&(wl_cache_options_t){.bytes_max = WORLD_BYTES_MAX}, &self->cache);
    WL_ASSERT(err == WL_OK);
    uint64_t uid = 1;
    for (unsigned i = 0; i < WORLD_USERS; i++, uid++) { /* every other one shares a slot */
        while (i % 2 == 1 && wl_slot_of(uid) != wl_slot_of(self->uids[i - 1])) {
            uid++;
        }
        self->uids[i] = uid;
    }
}

static inline uint64_t *world_fence(world_t *self, unsigned user) {
    return &self->fence[wl_slot_of(self->uids[user])];
}

/* The records of a user after commit `seq`, or NULL when there are none yet. */
static inline const world_record_t *world_state(const world_t *self, unsigned user, uint64_t seq) {
    for (uint64_t i = seq; i > 0; i--) {
        if (self->commits[i].user == user) {
            return self->commits[i].records;
        }
    }
    return NULL;
}

static inline wl_asset_t world_asset(world_t *self, unsigned user, unsigned key,
                                     const world_record_t *record) {
    wl_asset_t asset = {.uid = self->uids[user],
                        .version = record->version,
                        .amount = (int64_t)(record->version * 1000 + key),
                        .pulled_at = record->pulled_at,
                        .extra_bytes = record->extra_bytes,
                        .state = record->gone ? WL_STATE_GONE : WL_STATE_AVAILABLE};
    (void)snprintf(asset.line, sizeof asset.line, "line%u", key / 2);
    (void)snprintf(asset.bucket, sizeof asset.bucket, "%s", key % 2 == 0 ? "" : "gift");
    memset(self->extra[key], (int)(record->version & 0xff), record->extra_bytes);
    asset.extra = record->extra_bytes > 0 ? self->extra[key] : NULL;
    return asset;
}

/* The database changes some records of one user. */
static inline void world_commit(world_t *self) {
    if (self->committed == WORLD_COMMITS) {
        return;
    }
    unsigned user = world_draw(self, WORLD_USERS);
    const world_record_t *before = world_state(self, user, self->committed);
    world_commit_t *commit = &self->commits[++self->committed];
    commit->user = user;
    if (before != NULL) {
        memcpy(commit->records, before, sizeof commit->records);
    }
    commit->changed = 1 + world_draw(self, (1u << WORLD_KEYS) - 1);
    for (unsigned key = 0; key < WORLD_KEYS; key++) {
        world_record_t *record = &commit->records[key];
        if ((commit->changed & (1u << key)) == 0) {
            continue;
        }
        uint32_t what = world_draw(self, 8);
        record->pulled_at += 1000;
        if (what == 0 && record->version > 0) {
            continue; /* the same version once more */
        }
        record->version += 1 + what;
        record->gone = what < 3;
        record->extra_bytes = (uint16_t)(world_draw(self, 5) * 128);
    }
}

static inline unsigned world_use_find(const world_t *self, unsigned user) {
    unsigned at = 0;
    while (at < self->used && self->uses[at] != user) {
        at++;
    }
    return at;
}

static inline void world_forget(world_t *self, unsigned user) {
    unsigned at = world_use_find(self, user);
    WL_ASSERT(at < self->used);
    memmove(&self->uses[at], &self->uses[at + 1], (self->used - at - 1) * sizeof *self->uses);
    self->used--;
    self->cached[user] = false;
}

static inline void world_use(world_t *self, unsigned user) {
    if (self->cached[user]) {
        world_forget(self, user);
    }
    memmove(&self->uses[1], &self->uses[0], self->used * sizeof *self->uses);
    self->uses[0] = user;
    self->used++;
    self->cached[user] = true;
}

/* What was evicted must have been the least recently used. */
static inline void world_evict(world_t *self) {
    wl_cache_stats_t stats = wl_cache_stats(self->cache);
    WL_ASSERT(stats.bytes <= WORLD_BYTES_MAX);
    for (; self->evictions < stats.evictions; self->evictions++) {
        WL_ASSERT(self->used > 0);
        world_forget(self, self->uses[self->used - 1]);
    }
    WL_ASSERT(stats.users == self->used);
}

/* A put arrives: the next one, or again one that was here before. */
static inline void world_deliver(world_t *self, uint64_t seq) {
    const world_commit_t *commit = &self->commits[seq];
    wl_asset_t assets[WORLD_KEYS];
    uint32_t count = 0;
    for (unsigned key = 0; key < WORLD_KEYS; key++) {
        if ((commit->changed & (1u << key)) != 0) {
            assets[count++] = world_asset(self, commit->user, key, &commit->records[key]);
        }
    }
    uint32_t older = wl_cache_put(self->cache, self->uids[commit->user], assets, count, seq);
    WL_ASSERT(older <= count && (self->cached[commit->user] || older == 0));
    uint64_t *fence = world_fence(self, commit->user);
    *fence = seq > *fence ? seq : *fence;
    self->delivered = seq > self->delivered ? seq : self->delivered;
    world_evict(self);
}

/* A database read of some time ago arrives. */
static inline void world_fill(world_t *self, world_read_t *read) {
    const world_record_t *records = world_state(self, read->user, read->seq);
    wl_asset_t assets[WORLD_KEYS];
    uint32_t count = 0;
    for (unsigned key = 0; records != NULL && key < WORLD_KEYS; key++) {
        if (records[key].version > 0 && !records[key].gone) {
            assets[count++] = world_asset(self, read->user, key, &records[key]);
        }
    }
    uint64_t *fence = world_fence(self, read->user);
    wl_err_t err = wl_cache_fill(self->cache, self->uids[read->user], assets, count, read->seq);
    WL_ASSERT(err == (read->seq < *fence ? WL_ERR_CONFLICT : WL_OK));
    self->conflicts += err != WL_OK;
    self->fills += err == WL_OK;
    read->under_way = false;
    if (err == WL_OK) {
        *fence = read->seq;
        world_use(self, read->user);
        self->seen[read->user] = read->seq;
    }
    world_evict(self);
}

static inline void world_compare(world_t *self, unsigned user, const wl_asset_t *asset,
                                 const world_record_t *records) {
    unsigned key = (unsigned)(asset->line[4] - '0') * 2 + (asset->bucket[0] == 'g');
    WL_ASSERT(key < WORLD_KEYS && asset->uid == self->uids[user]);
    WL_ASSERT(records != NULL && asset->version == records[key].version);
    WL_ASSERT((asset->state == WL_STATE_GONE) == records[key].gone);
    WL_ASSERT(asset->amount == (int64_t)(asset->version * 1000 + key));
    WL_ASSERT(asset->pulled_at == records[key].pulled_at);
    WL_ASSERT(asset->extra_bytes == records[key].extra_bytes);
    for (unsigned i = 0; i < asset->extra_bytes; i++) {
        WL_ASSERT(asset->extra[i] == (uint8_t)asset->version);
    }
}

static inline void world_get(world_t *self, unsigned user) {
    const wl_asset_t *assets = NULL;
    uint32_t count = 0;
    bool cached = wl_cache_get(self->cache, self->uids[user], &assets, &count);
    WL_ASSERT(cached == self->cached[user]);
    if (!cached) {
        return;
    }
    world_use(self, user);
    uint64_t seq = self->seen[user] > self->delivered ? self->seen[user] : self->delivered;
    WL_ASSERT(seq >= self->shown[user]);
    self->shown[user] = seq;
    const world_record_t *records = world_state(self, user, seq);
    uint32_t live = 0;
    for (uint32_t i = 0; i < count; i++) {
        world_compare(self, user, &assets[i], records);
        live += assets[i].state != WL_STATE_GONE;
    }
    for (unsigned key = 0; records != NULL && key < WORLD_KEYS; key++) {
        live -= records[key].version > 0 && !records[key].gone;
    }
    WL_ASSERT(live == 0); /* none too many, none missing */
}

static inline void world_step(world_t *self) {
    uint32_t what = world_draw(self, 32);
    world_read_t *read = &self->reads[world_draw(self, WORLD_READS)];
    if (what < 6) {
        world_commit(self);
    } else if (what < 13 && self->delivered < self->committed) {
        world_deliver(self, self->delivered + 1);
    } else if (what < 14 && self->delivered > 0) {
        uint64_t back = world_draw(self, 64);
        world_deliver(self, back < self->delivered ? self->delivered - back : 1);
    } else if (what < 20 && !read->under_way) {
        *read = (world_read_t){true, world_draw(self, WORLD_USERS), self->committed};
    } else if (what < 25 && read->under_way) {
        world_fill(self, read);
    } else if (what < 31) {
        world_get(self, world_draw(self, WORLD_USERS));
    } else if (world_draw(self, 8) == 0) {
        wl_cache_flush(self->cache);
        while (self->used > 0) {
            world_forget(self, self->uses[0]);
        }
    } else {
        unsigned user = world_draw(self, WORLD_USERS);
        wl_cache_drop(self->cache, self->uids[user]);
        if (self->cached[user]) {
            world_forget(self, user);
        }
    }
}

static inline void world_close(world_t *self) {
    for (unsigned user = 0; user < WORLD_USERS; user++) {
        world_get(self, user);
    }
    wl_cache_close(&self->cache);
}

#endif
