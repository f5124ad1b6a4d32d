/* coverage.h: of which partitions of the users does this process surely hear every birth? Presence
 * says "no" only for those; for all others it does not know. Pure: the caller brings the time
 * (monotonic ms of this host). Owned by one presence actor.
 *
 * A birth is committed by the writer that holds the user's partition, and told in that writer's
 * feed. So a (partition, shard) is covered while
 *     its holder is known: the feed that claims the newest epoch ever heard of,
 *     that feed arrives without a break since some moment t,
 *     that feed was heard within silence_ms, and
 *     the shard's log of owners was read to its end by a question asked after t: what was committed
 *     before t is in the log, what is published after t comes with the feed.
 * An old holder that comes back claims an older epoch and covers nothing. Two feeds with the same
 * epoch contradict the lease: such a partition is not covered before a newer epoch appears.
 * Promise: a birth that its holder published silence_ms ago or earlier is known wherever this says
 * covered; and one that was published later unless it is still on its way. */
#ifndef WL_DOMAIN_COVERAGE_H
#define WL_DOMAIN_COVERAGE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WL_COVERAGE_FEEDS_MAX = 64, /* this process and the writers that it follows */
    WL_COVERAGE_PARTITIONS_MAX = 16,
    WL_COVERAGE_SHARDS_MAX = 64,
};

typedef struct wl_coverage wl_coverage_t;

/* One partition that a feed says it holds. */
typedef struct {
    uint32_t partition;
    uint64_t epoch; /* > 0 */
} wl_claim_t;

/* All counts are >= 1 and within the bounds above. */
wl_coverage_t *wl_coverage_new(uint32_t feeds, uint32_t partitions, uint32_t shards,
                               int64_t silence_ms);
void wl_coverage_destroy(wl_coverage_t **self); /* NULL and *NULL are accepted */

/* From now on everything that the feed publishes arrives, or wl_coverage_end() is called. */
void wl_coverage_begin(wl_coverage_t *self, uint32_t feed);
/* Something of the feed may have been missed. */
void wl_coverage_end(wl_coverage_t *self, uint32_t feed);

/* The feed said which partitions it holds, all of them; others it does not hold. said_at: it was
 * surely not said before. Partitions out of range and epoch 0 are passed over. Of no effect before
 * wl_coverage_begin(). */
void wl_coverage_heard(wl_coverage_t *self, uint32_t feed, int64_t said_at,
                       const wl_claim_t *claims, uint32_t count, int64_t now);

/* The shard's log of owners was read to its end; the question was asked at asked_at. */
void wl_coverage_toured(wl_coverage_t *self, uint32_t shard, int64_t asked_at);
/* Would another question to this shard, asked now, let more be covered? */
bool wl_coverage_wants_tour(const wl_coverage_t *self, uint32_t shard, int64_t now);

/* The feed that holds the partition, -1 = not known. */
int wl_coverage_holder(const wl_coverage_t *self, uint32_t partition);

/* Judges everything anew. Returns whether an answer of wl_coverage_covers() has changed. */
bool wl_coverage_update(wl_coverage_t *self, int64_t now);
/* As judged last; both in range. */
bool wl_coverage_covers(const wl_coverage_t *self, uint32_t partition, uint32_t shard);
/* The same for all shards of a partition. */
bool wl_coverage_covers_all(const wl_coverage_t *self, uint32_t partition);

#endif
