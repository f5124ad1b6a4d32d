/* lease_plan.h: which partitions of the queue a writer takes, renews and hands back (design
 * section 6, rule 5). All writers follow the same plan and see the same rows, but never speak to
 * each other:
 *   - each aims at its share, partitions / writers rounded up, and takes free ones up to it;
 *   - what stays free for one lease period more, it takes beyond its share: a writer that lives but
 *     takes nothing must not keep a partition unserved;
 *   - what it has beyond its share it hands back, one a step, when another writer has come. What it
 *     took because nobody else did it keeps until then, and offers again now and then;
 *   - it never takes one whose lease still runs, except its own of before a restart.
 * A lease of ours is counted from before the statement that renewed it was sent, and ends here
 * `margin` earlier than in the database: a writer that was stopped finds it over before anybody
 * else can have taken it.
 * After one writer has died a partition is served again within lease_ms and two steps; when several
 * come and go within one lease period, within one period more.
 * Pure: the caller passes the time and carries out the acts. One owner thread. */
#ifndef WL_DOMAIN_LEASE_PLAN_H
#define WL_DOMAIN_LEASE_PLAN_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

enum { WL_LEASE_PARTITIONS_MAX = 16 };

typedef struct wl_lease_plan wl_lease_plan_t;

/* One partition as the database shows it. */
typedef struct {
    bool free; /* nobody's lease of it runs */
    bool ours; /* the row names this writer, whether it runs or not */
} wl_lease_seen_t;

typedef enum {
    WL_LEASE_LEAVE = 0, /* nothing to do: it is another writer's, or waits for its taker */
    WL_LEASE_TAKE,      /* then wl_lease_plan_taken(), if that worked */
    WL_LEASE_RENEW,     /* then wl_lease_plan_renewed() or wl_lease_plan_lost() */
    WL_LEASE_RELEASE    /* wl_lease_plan_lost() first, then let it go */
} wl_lease_act_t;

/* first: a number of this writer's own, where it begins to look for free ones, so that writers that
 * start together do not all want the same. */
wl_lease_plan_t *wl_lease_plan_new(uint32_t partitions, uint32_t lease_ms, uint32_t first);
void wl_lease_plan_destroy(wl_lease_plan_t **self);

/* Forgets the leases that have run out; returns how many. They are not taken in the same step, so
 * that everybody here hears of the end first. Call before each step, also when the database cannot
 * be asked. */
uint32_t wl_lease_plan_expire(wl_lease_plan_t *self, wl_mono_ms_t now);
/* What to do with each partition. writers: that live, this one included. */
void wl_lease_plan_step(wl_lease_plan_t *self, const wl_lease_seen_t *seen, uint32_t writers,
                        wl_mono_ms_t now, wl_lease_act_t *ret_acts);

/* How an act went. asked: before its statement was sent. */
void wl_lease_plan_taken(wl_lease_plan_t *self, uint32_t partition, uint64_t epoch,
                         wl_mono_ms_t asked);
void wl_lease_plan_renewed(wl_lease_plan_t *self, uint32_t partition, wl_mono_ms_t asked);
/* It is not ours any more. */
void wl_lease_plan_lost(wl_lease_plan_t *self, uint32_t partition);

/* Up to when it is ours; 0: it is not. *ret_epoch: of the lease held now, or last; 0 = never. */
wl_mono_ms_t wl_lease_plan_until(const wl_lease_plan_t *self, uint32_t partition,
                                 uint64_t *ret_epoch);
uint32_t wl_lease_plan_held(const wl_lease_plan_t *self);

#endif
