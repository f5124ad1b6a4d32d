#include "domain/coverage.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>

/* What a feed says of one partition. */
typedef struct {
    uint64_t epoch; /* 0 = it does not hold it */
    int64_t since;  /* when we heard of it first; before that it may have been another's */
} claim_t;

typedef struct {
    bool live;       /* it arrives without a break */
    int64_t said_at; /* nothing that we know of it is older */
    claim_t claims[WL_COVERAGE_PARTITIONS_MAX];
} feed_t;

/* The newest epoch of a partition that anybody ever claimed. */
typedef struct {
    uint64_t epoch; /* 0 = none yet */
    uint32_t feed;
    bool disputed; /* two feeds claim it */
} lease_t;

struct wl_coverage {
    uint32_t feeds;
    uint32_t partitions;
    uint32_t shards;
    int64_t silence_ms;
    feed_t *feed; /* owned, one per feed */
    lease_t leases[WL_COVERAGE_PARTITIONS_MAX];
    int64_t toured_at[WL_COVERAGE_SHARDS_MAX]; /* when the last complete tour was asked for */
    bool toured[WL_COVERAGE_SHARDS_MAX];
    bool covers[WL_COVERAGE_PARTITIONS_MAX][WL_COVERAGE_SHARDS_MAX];
};

wl_coverage_t *wl_coverage_new(uint32_t feeds, uint32_t partitions, uint32_t shards,
                               int64_t silence_ms) {
    WL_ASSERT(feeds > 0 && feeds <= WL_COVERAGE_FEEDS_MAX);
    WL_ASSERT(partitions > 0 && partitions <= WL_COVERAGE_PARTITIONS_MAX);
    WL_ASSERT(shards > 0 && shards <= WL_COVERAGE_SHARDS_MAX);
    wl_coverage_t *self = wl_alloc_zero(1, sizeof *self);
    self->feeds = feeds;
    self->partitions = partitions;
    self->shards = shards;
    self->silence_ms = silence_ms;
    self->feed = wl_alloc_zero(feeds, sizeof *self->feed);
    return self;
}

void wl_coverage_begin(wl_coverage_t *self, uint32_t feed) {
    WL_ASSERT(feed < self->feeds);
    self->feed[feed] = (feed_t){.live = true, .said_at = INT64_MIN};
}

void wl_coverage_end(wl_coverage_t *self, uint32_t feed) {
    WL_ASSERT(feed < self->feeds);
    self->feed[feed] = (feed_t){.live = false, .said_at = INT64_MIN};
}

static void lease_note(lease_t *lease, uint32_t feed, uint64_t epoch) {
    if (epoch > lease->epoch) {
        *lease = (lease_t){.epoch = epoch, .feed = feed};
    } else if (epoch == lease->epoch && feed != lease->feed) {
        lease->disputed = true;
    }
}

void wl_coverage_heard(wl_coverage_t *self, uint32_t feed, int64_t said_at,
                       const wl_claim_t *claims, uint32_t count, int64_t now) {
    WL_ASSERT(feed < self->feeds);
    feed_t *from = &self->feed[feed];
    if (!from->live) {
        return;
    }
    from->said_at = said_at > from->said_at ? said_at : from->said_at;
    uint64_t epochs[WL_COVERAGE_PARTITIONS_MAX] = {0};
    for (uint32_t i = 0; i < count; i++) {
        if (claims[i].partition < self->partitions) {
            epochs[claims[i].partition] = claims[i].epoch;
        }
    }
    for (uint32_t p = 0; p < self->partitions; p++) {
        if (epochs[p] > 0) {
            lease_note(&self->leases[p], feed, epochs[p]);
        }
        if (from->claims[p].epoch != epochs[p]) {
            from->claims[p] = (claim_t){.epoch = epochs[p], .since = now};
        }
    }
}

void wl_coverage_toured(wl_coverage_t *self, uint32_t shard, int64_t asked_at) {
    WL_ASSERT(shard < self->shards);
    if (!self->toured[shard] || asked_at > self->toured_at[shard]) {
        self->toured[shard] = true;
        self->toured_at[shard] = asked_at;
    }
}

/* The claim of the holder, NULL when nobody surely holds the partition. */
static const claim_t *coverage_claim(const wl_coverage_t *self, uint32_t partition) {
    const lease_t *lease = &self->leases[partition];
    if (lease->epoch == 0 || lease->disputed) {
        return NULL;
    }
    const feed_t *feed = &self->feed[lease->feed];
    const claim_t *claim = &feed->claims[partition];
    return feed->live && claim->epoch == lease->epoch ? claim : NULL;
}

/* Strictly after: within the same millisecond either may have come first. */
static bool coverage_toured_since(const wl_coverage_t *self, uint32_t shard, int64_t since) {
    return self->toured[shard] && self->toured_at[shard] > since;
}

bool wl_coverage_wants_tour(const wl_coverage_t *self, uint32_t shard, int64_t now) {
    WL_ASSERT(shard < self->shards);
    bool wanted = false;
    for (uint32_t p = 0; p < self->partitions; p++) {
        const claim_t *claim = coverage_claim(self, p);
        wanted = wanted || (claim != NULL && now > claim->since &&
                            !coverage_toured_since(self, shard, claim->since));
    }
    return wanted;
}

int wl_coverage_holder(const wl_coverage_t *self, uint32_t partition) {
    WL_ASSERT(partition < self->partitions);
    return coverage_claim(self, partition) == NULL ? -1 : (int)self->leases[partition].feed;
}

bool wl_coverage_update(wl_coverage_t *self, int64_t now) {
    bool changed = false;
    for (uint32_t p = 0; p < self->partitions; p++) {
        const claim_t *claim = coverage_claim(self, p);
        bool heard =
            claim != NULL && now - self->feed[self->leases[p].feed].said_at <= self->silence_ms;
        for (uint32_t s = 0; s < self->shards; s++) {
            bool covers = heard && coverage_toured_since(self, s, claim->since);
            changed = changed || covers != self->covers[p][s];
            self->covers[p][s] = covers;
        }
    }
    return changed;
}

bool wl_coverage_covers(const wl_coverage_t *self, uint32_t partition, uint32_t shard) {
    WL_ASSERT(partition < self->partitions && shard < self->shards);
    return self->covers[partition][shard];
}

bool wl_coverage_covers_all(const wl_coverage_t *self, uint32_t partition) {
    bool all = true;
    for (uint32_t s = 0; s < self->shards; s++) {
        all = all && wl_coverage_covers(self, partition, s);
    }
    return all;
}

void wl_coverage_destroy(wl_coverage_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free((*self)->feed);
    wl_free(*self);
    *self = NULL;
}
