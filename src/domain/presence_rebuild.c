#include "domain/presence_rebuild.h"

#include "base/alloc.h"
#include "base/check.h"

enum { OPTIMIZE_OWNERS_MIN = 100000 }; /* as after a start */

typedef struct {
    bool told;          /* to the end, nothing missing */
    bool asked;         /* and the answer is not complete */
    uint32_t questions; /* so far */
    int64_t asked_at;
    int64_t heard_at;    /* asked, or told a page */
    uint64_t next_chunk; /* of the answer that is coming, 0 = its first */
} shard_t;

struct wl_presence_rebuild {
    wl_presence_set_t *set;    /* owned */
    wl_presence_set_t *deaths; /* owned; exact; NULL in hashed mode, which clears nobody */
    uint64_t owners;
    uint32_t told_count;
    uint32_t shards;
    shard_t at[]; /* shards of them */
};

wl_presence_rebuild_t *wl_presence_rebuild_new(const wl_presence_set_t *serving, uint32_t shards) {
    WL_ASSERT(serving != NULL);
    WL_ASSERT(shards >= 1 && shards <= WL_REBUILD_SHARDS_MAX);
    wl_presence_rebuild_t *self = wl_alloc_zero(1, sizeof *self + shards * sizeof(shard_t));
    wl_presence_mode_t mode = wl_presence_set_mode(serving);
    self->shards = shards;
    self->set = wl_presence_set_new(mode, wl_presence_set_hash_bits(serving));
    if (mode == WL_PRESENCE_EXACT) {
        self->deaths = wl_presence_set_new(WL_PRESENCE_EXACT, 0);
    }
    return self;
}

void wl_presence_rebuild_destroy(wl_presence_rebuild_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_presence_set_destroy(&(*self)->set);
    wl_presence_set_destroy(&(*self)->deaths);
    wl_free(*self);
    *self = NULL;
}

bool wl_presence_rebuild_due(wl_presence_rebuild_t *self, uint32_t shard, int64_t now) {
    WL_ASSERT(shard < self->shards && now > 0);
    shard_t *at = &self->at[shard];
    bool waits = at->asked && now - at->heard_at < WL_REBUILD_SILENCE_MS;
    if (at->told || waits || at->questions == WL_REBUILD_QUESTIONS_MAX || now == at->asked_at) {
        return false;
    }
    at->asked = true;
    at->questions++;
    at->asked_at = now;
    at->heard_at = now;
    at->next_chunk = 0;
    return true;
}

void wl_presence_rebuild_take(wl_presence_rebuild_t *self, const wl_rebuild_page_t *page,
                              int64_t now) {
    WL_ASSERT(page->shard < self->shards);
    shard_t *at = &self->at[page->shard];
    if (!at->asked || page->asked_at != at->asked_at) {
        return; /* nothing of an older answer is needed, and it proves nothing */
    }
    at->heard_at = now;
    bool first = (uint32_t)page->chunk == 0;
    if (first ? at->next_chunk != 0 : page->chunk != at->next_chunk) {
        at->asked = false; /* a page is missing: the question is asked again */
        return;
    }
    at->next_chunk = page->chunk + 1;
    wl_presence_set_mark_many(self->set, page->uids, page->count);
    self->owners += page->count;
    if (page->last) {
        at->asked = false;
        at->told = true;
        self->told_count++;
    }
}

void wl_presence_rebuild_born(wl_presence_rebuild_t *self, const uint64_t *uids, size_t count) {
    wl_presence_set_mark_many(self->set, uids, count);
}

void wl_presence_rebuild_died(wl_presence_rebuild_t *self, uint64_t uid) {
    if (self->deaths != NULL && wl_presence_set_members(self->deaths) < WL_REBUILD_DEATHS_MAX) {
        wl_presence_set_mark(self->deaths, uid);
    }
}

bool wl_presence_rebuild_whole(const wl_presence_rebuild_t *self) {
    return self->told_count == self->shards;
}

int wl_presence_rebuild_lost(const wl_presence_rebuild_t *self, int64_t now) {
    for (uint32_t shard = 0; shard < self->shards; shard++) {
        const shard_t *at = &self->at[shard];
        bool waits = at->asked && now - at->heard_at < WL_REBUILD_SILENCE_MS;
        if (!at->told && !waits && at->questions == WL_REBUILD_QUESTIONS_MAX) {
            return (int)shard;
        }
    }
    return -1;
}

uint64_t wl_presence_rebuild_owners(const wl_presence_rebuild_t *self) {
    return self->owners;
}

uint32_t wl_presence_rebuild_told(const wl_presence_rebuild_t *self) {
    return self->told_count;
}

static void rebuild_bury(wl_presence_rebuild_t *self, const wl_presence_set_t *serving) {
    uint64_t count = wl_presence_set_members(self->deaths);
    WL_AUTO_FREE uint64_t *uids = wl_alloc((count + 1) * sizeof *uids);
    wl_presence_set_list(self->deaths, uids);
    for (uint64_t i = 0; i < count; i++) {
        if (!wl_presence_set_test(serving, uids[i])) { /* otherwise born again */
            (void)wl_presence_set_clear(self->set, uids[i]);
        }
    }
}

void wl_presence_rebuild_swap(wl_presence_rebuild_t *self, wl_presence_set_t **serving) {
    WL_ASSERT(wl_presence_rebuild_whole(self));
    if (self->deaths != NULL) {
        rebuild_bury(self, *serving);
    }
    wl_presence_set_destroy(serving); /* before packing, which gives unused memory back */
    *serving = self->set;
    self->set = NULL;
    if (self->owners >= OPTIMIZE_OWNERS_MIN) {
        wl_presence_set_optimize(*serving);
    }
}
