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
    bool scanning;       /* chunks of a scan have come, which carry no log number */
    bool asked;          /* and its answer is not complete yet */
    int64_t asked_at;    /* when it was asked, monotonic ms */
    int64_t heard_at;    /* when it was asked or told something */
    int64_t toured_at;   /* when the last question was asked that was answered, 0 = none */
    uint64_t newest;     /* newest log number that anything in the set may rest on */
    uint64_t commit_seq; /* newest commit that began to arrive, 0 = none */
    uint64_t commit_log; /* the log number of that commit */
    uint64_t serial;     /* of the newest message */
    uint64_t chunk;      /* newest of the answer that is coming */
    bool whole;          /* nothing of that answer is missing so far */
} shard_log_t;

struct wl_owner_log {
    wl_owner_log_mode_t mode;
    uint32_t shards;
    uint32_t told_count; /* shards that have told everything */
    uint64_t *seen;      /* owned; per shard */
    shard_log_t *at;     /* owned; per shard */
};

wl_owner_log_t *wl_owner_log_new(uint32_t shards, wl_owner_log_mode_t mode) {
    WL_ASSERT(shards > 0);
    wl_owner_log_t *self = wl_alloc_zero(1, sizeof *self);
    self->mode = mode;
    self->shards = shards;
    self->seen = wl_alloc_zero(shards, sizeof *self->seen);
    self->at = wl_alloc_zero(shards, sizeof *self->at);
    return self;
}

void wl_owner_log_restore(wl_owner_log_t *self, const uint64_t *seen) {
    memcpy(self->seen, seen, self->shards * sizeof *seen);
    for (uint32_t shard = 0; shard < self->shards; shard++) {
        shard_log_t *at = &self->at[shard];
        at->newest = seen[shard] > at->newest ? seen[shard] : at->newest;
    }
}

bool wl_owner_log_due(wl_owner_log_t *self, uint32_t shard, int64_t now, bool hurry,
                      uint64_t *ret_after) {
    WL_ASSERT(shard < self->shards);
    shard_log_t *at = &self->at[shard];
    bool first = at->asked_at == 0;
    bool wanted = !at->told || self->mode == WL_OWNER_LOG_TOURS;
    if (!wanted || (at->asked && now - at->heard_at < ASK_AGAIN_MS) ||
        (!first && now - at->asked_at < (hurry ? 1 : ASK_PAUSE_MS))) {
        return false;
    }
    at->asked = true;
    at->asked_at = now;
    at->heard_at = now;
    *ret_after = self->seen[shard];
    return true;
}

bool wl_owner_log_told(wl_owner_log_t *self, uint32_t shard, uint64_t log_seq, bool last,
                       int64_t asked_at, int64_t now) {
    WL_ASSERT(shard < self->shards);
    shard_log_t *at = &self->at[shard];
    at->scanning = !last && log_seq == 0;
    at->newest = log_seq > at->newest ? log_seq : at->newest;
    if (asked_at != 0 && asked_at != at->asked_at) {
        return false; /* of an older question: says nothing about what happened after that one */
    }
    at->heard_at = now;
    if (!last || !at->asked) {
        return false; /* an answer from before a gap says nothing about the gap */
    }
    at->asked = false;
    at->toured_at = at->asked_at;
    self->told_count += !at->told;
    at->told = true;
    if (log_seq < self->seen[shard]) { /* the shard's file is another one */
        at->newest = log_seq;
    }
    self->seen[shard] = log_seq;
    return true;
}

bool wl_owner_log_may_clear(const wl_owner_log_t *self, uint32_t shard, uint64_t log_seq) {
    WL_ASSERT(shard < self->shards);
    const shard_log_t *at = &self->at[shard];
    return !at->scanning && log_seq >= at->newest;
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
    if (self->mode != WL_OWNER_LOG_TOURS && serial != 0 && serial != at->serial + 1) {
        log_ask_anew(self, at);
    }
    at->serial = serial;
}

void wl_owner_log_stored(wl_owner_log_t *self, uint32_t shard, uint64_t commit_seq,
                         uint64_t log_seq) {
    WL_ASSERT(shard < self->shards);
    shard_log_t *at = &self->at[shard];
    at->newest = log_seq > at->newest ? log_seq : at->newest;
    if (self->mode == WL_OWNER_LOG_TOURS || commit_seq <= at->commit_seq) {
        return; /* more of the same commit */
    }
    bool jump = at->commit_seq != 0 && commit_seq != at->commit_seq + 1;
    if (jump && self->mode == WL_OWNER_LOG_EVERY_COMMIT) {
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

int64_t wl_owner_log_toured_at(const wl_owner_log_t *self, uint32_t shard) {
    WL_ASSERT(shard < self->shards);
    return self->at[shard].toured_at;
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
