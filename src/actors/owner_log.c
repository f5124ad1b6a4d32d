#include "actors/owner_log.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>

enum {
    ASK_AGAIN_MS = 10000, /* silence after which a question or its answer is taken for lost */
    ASK_PAUSE_MS = 1000,  /* between two questions: gaps may follow each other quickly */
};

typedef struct {
    bool told;           /* has told everything */
    bool asked;          /* and its answer is not complete yet */
    int64_t asked_at;    /* when it was asked, monotonic ms */
    int64_t heard_at;    /* when it was asked or told something */
    uint64_t commit_seq; /* newest commit that began to arrive, 0 = none */
    uint64_t commit_log; /* the log number of that commit */
    uint64_t serial;     /* of the newest message */
    uint64_t chunk;      /* newest of the answer that is coming */
    bool whole;          /* nothing of that answer is missing so far */
} shard_log_t;

struct wl_owner_log {
    bool every_commit;
    uint32_t shards;
    uint32_t told_count; /* shards that have told everything */
    uint64_t *seen;      /* owned; per shard */
    shard_log_t *at;     /* owned; per shard */
};

wl_owner_log_t *wl_owner_log_new(uint32_t shards, bool every_commit) {
    WL_ASSERT(shards > 0);
    wl_owner_log_t *self = wl_alloc_zero(1, sizeof *self);
    self->every_commit = every_commit;
    self->shards = shards;
    self->seen = wl_alloc_zero(shards, sizeof *self->seen);
    self->at = wl_alloc_zero(shards, sizeof *self->at);
    return self;
}

void wl_owner_log_restore(wl_owner_log_t *self, const uint64_t *seen) {
    memcpy(self->seen, seen, self->shards * sizeof *seen);
}

bool wl_owner_log_due(wl_owner_log_t *self, uint32_t shard, int64_t now, uint64_t *ret_after) {
    WL_ASSERT(shard < self->shards);
    shard_log_t *at = &self->at[shard];
    bool first = at->asked_at == 0;
    if (at->told || (at->asked && now - at->heard_at < ASK_AGAIN_MS) ||
        (!first && now - at->asked_at < ASK_PAUSE_MS)) {
        return false;
    }
    at->asked = true;
    at->asked_at = now;
    at->heard_at = now;
    *ret_after = self->seen[shard];
    return true;
}

void wl_owner_log_told(wl_owner_log_t *self, uint32_t shard, uint64_t log_seq, bool last,
                       int64_t now) {
    WL_ASSERT(shard < self->shards);
    shard_log_t *at = &self->at[shard];
    at->heard_at = now;
    if (!last || !at->asked) {
        return; /* an answer from before a gap says nothing about the gap */
    }
    at->asked = false;
    self->told_count += !at->told;
    at->told = true;
    self->seen[shard] = log_seq; /* lower than before when the shard's file is another one */
}

bool wl_owner_log_chunk(wl_owner_log_t *self, uint32_t shard, uint64_t chunk) {
    WL_ASSERT(shard < self->shards);
    shard_log_t *at = &self->at[shard];
    bool first = (uint32_t)chunk == 0; /* the number of the answer stands above */
    at->whole = first || (at->whole && chunk == at->chunk + 1);
    at->chunk = chunk;
    return at->whole;
}

static void log_ask_anew(wl_owner_log_t *self, shard_log_t *at) {
    self->told_count -= at->told;
    at->told = false;
    at->asked = false; /* an answer under way was begun before the loss */
}

void wl_owner_log_serial(wl_owner_log_t *self, uint32_t shard, uint64_t serial) {
    WL_ASSERT(shard < self->shards);
    shard_log_t *at = &self->at[shard];
    if (serial != 0 && serial != at->serial + 1) {
        log_ask_anew(self, at);
    }
    at->serial = serial;
}

void wl_owner_log_stored(wl_owner_log_t *self, uint32_t shard, uint64_t commit_seq,
                         uint64_t log_seq) {
    WL_ASSERT(shard < self->shards);
    shard_log_t *at = &self->at[shard];
    if (commit_seq <= at->commit_seq) {
        return; /* more of the same commit */
    }
    bool jump = at->commit_seq != 0 && commit_seq != at->commit_seq + 1;
    if (jump && self->every_commit) {
        log_ask_anew(self, at);
    } else if (at->told && at->commit_log > self->seen[shard]) {
        self->seen[shard] = at->commit_log;
    }
    at->commit_seq = commit_seq;
    at->commit_log = log_seq;
}

bool wl_owner_log_ready(const wl_owner_log_t *self) {
    return self->told_count == self->shards;
}

const uint64_t *wl_owner_log_seen(const wl_owner_log_t *self) {
    return self->seen;
}

uint32_t wl_owner_log_shards(const wl_owner_log_t *self) {
    return self->shards;
}

void wl_owner_log_destroy(wl_owner_log_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free((*self)->seen);
    wl_free((*self)->at);
    wl_free(*self);
    *self = NULL;
}
