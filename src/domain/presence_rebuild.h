/* presence_rebuild.h: a second presence set, read anew from the database while the first one goes
 * on serving. Dead bits of the first are not in it.
 *
 *     begun > every shard is asked for all its owners > pages > every shard has told > swap
 *
 * Whoever is born after a shard was asked may be missing from its pages, so every birth that the
 * serving set takes meanwhile goes into both. Nobody is cleared here before the swap: a page may be
 * newer or older than the death. Who died is noted instead, and at the swap cleared if the serving
 * set, which orders births and deaths by its own rules, does not hold the user either. More than
 * WL_REBUILD_DEATHS_MAX notes are not kept: those bits stay until the next rebuild.
 * So at the swap this set says "no" only for users who were not stored when their shard was asked
 * and were not born since, or for whom the serving set says "no" after a death.
 *
 * Pure: the caller brings the time (monotonic ms) and asks. Owned by one presence actor. */
#ifndef WL_DOMAIN_PRESENCE_REBUILD_H
#define WL_DOMAIN_PRESENCE_REBUILD_H

#include "domain/presence_set.h"

enum {
    WL_REBUILD_SHARDS_MAX = 64,
    WL_REBUILD_DEATHS_MAX = 1 << 20, /* 2 to 17 MB, by how dense the ids are */
    WL_REBUILD_SILENCE_MS = 10000,   /* a question without an answer for so long is asked again */
    WL_REBUILD_QUESTIONS_MAX = 3,    /* to one shard; then it is lost */
};

typedef struct wl_presence_rebuild wl_presence_rebuild_t;

/* An empty set of the mode of `serving`; shards 1..WL_REBUILD_SHARDS_MAX. */
wl_presence_rebuild_t *wl_presence_rebuild_new(const wl_presence_set_t *serving, uint32_t shards);
void wl_presence_rebuild_destroy(wl_presence_rebuild_t **self); /* NULL and *NULL are accepted */

/* Is this shard to be asked for all its owners now? Then it counts as asked at `now` (> 0). */
WL_MUST_USE bool wl_presence_rebuild_due(wl_presence_rebuild_t *self, uint32_t shard, int64_t now);

/* A page of an answer; its users are borrowed for the call. Of another question: passed over. */
typedef struct {
    uint32_t shard;   /* in range */
    int64_t asked_at; /* as the question said */
    uint64_t chunk;   /* its lower 32 bits count from 0 */
    bool last;
    const uint64_t *uids;
    uint32_t count;
} wl_rebuild_page_t;
void wl_presence_rebuild_take(wl_presence_rebuild_t *self, const wl_rebuild_page_t *page,
                              int64_t now);

/* The serving set was given these users. */
void wl_presence_rebuild_born(wl_presence_rebuild_t *self, const uint64_t *uids, size_t count);
/* The serving set has cleared the user. */
void wl_presence_rebuild_died(wl_presence_rebuild_t *self, uint64_t uid);

bool wl_presence_rebuild_whole(const wl_presence_rebuild_t *self);
/* The first shard that was asked too often, -1 = none: then this set is of no use. */
int wl_presence_rebuild_lost(const wl_presence_rebuild_t *self, int64_t now);
uint64_t wl_presence_rebuild_owners(const wl_presence_rebuild_t *self); /* told so far */
uint32_t wl_presence_rebuild_told(const wl_presence_rebuild_t *self);   /* shards, to their end */

/* Only when whole, and while the serving set is complete: puts this one into its place, where it is
 * the caller's, and destroys the old one; of the rebuild only destroying is left. Users with a
 * change on its way have to be marked by the caller, in the same step. Costs the notes of deaths,
 * and packing when more than 100,000 owners were told: 130 ms for 5 M. */
void wl_presence_rebuild_swap(wl_presence_rebuild_t *self, wl_presence_set_t **serving);

#endif
