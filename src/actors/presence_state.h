/* presence_state.h: the state of the presence actor, shared by its sources only:
 *     presence.c           life, messages, reads
 *     presence_changes.c   notices and commits: bits and marks
 *     presence_owners.c    the log of owners, snapshots on disk, the set of a writer
 *     presence_renew.c     a set that is built anew beside the one that serves
 *     presence_tiers.c     leases, coverage, and what goes between tiers
 *     presence_live.c      questions to lines on their way to whoever answers, and back */
#ifndef WL_ACTORS_PRESENCE_STATE_H
#define WL_ACTORS_PRESENCE_STATE_H

#include "actors/hub.h"
#include "actors/owner_log.h"
#include "actors/presence_disk.h"
#include "actors/presence_feed.h"
#include "actors/presence_follow.h"
#include "actors/presence_join.h"
#include "actors/presence_renewal.h"
#include "base/slot.h"
#include "domain/coverage.h"
#include "domain/marks.h"

enum {
    WL_PRESENCE_COMING_USERS_MAX =
        1000000,                       /* more users with changes on their way: bits stay set */
    WL_PRESENCE_ENDED_PLACES = 262144, /* pairs whose end is remembered: seconds of fast changes */
};

/* The newest notice of a (user, line) that has taken effect. */
typedef struct {
    uint64_t key;
    uint64_t seq;
} wl_presence_ended_t;

/* What the keeper said of a partition. */
typedef struct {
    uint64_t epoch;
    int64_t until; /* monotonic ms, 0 = it is not ours */
    bool held;     /* as judged last */
} wl_presence_lease_t;

typedef struct wl_presence_held wl_presence_held_t; /* an answer that waits for all readers */

typedef struct {
    wl_hub_t hub;
    wl_presence_set_t *set;   /* owned */
    wl_owner_log_t *log;      /* owned; how far each shard was followed */
    wl_presence_disk_t *disk; /* owned */
    uint64_t batch;           /* counts messages taken: items of two never share a head */
    bool ready;               /* every shard has told its owners */
    bool changed;             /* since the last snapshot began */
    uint64_t owners_told;     /* by shards at start */
    bool sparse_said;         /* the warning about sparse ids was given */
    int64_t opened_at;        /* monotonic ms */
    int64_t snapshot_at;      /* when the next snapshot is due, monotonic ms */
    int64_t gauge_at;         /* when gauges are due, monotonic ms */
    bool snapshot_soon;       /* the set is another one: not to be waited with */
    wl_presence_renewal_t renewal;
    struct wl_presence_check *check; /* owned; questions of the reconciler */
    /* changes on their way */
    wl_marks_t *coming;         /* owned; (user, line) with a change on its way, or failing */
    bool coming_lost;           /* the full table could not keep one: nobody is cleared meanwhile */
    wl_presence_ended_t *ended; /* owned, by key; another pair may take the place */

    /* tiers */
    bool tours;                   /* other processes write too: shards are asked every second */
    wl_coverage_t *coverage;      /* owned, NULL unless tours: every change arrives here */
    wl_presence_feed_t *feed;     /* owned, NULL when readers do not follow us */
    wl_presence_follow_t *follow; /* owned, NULL when we follow nobody */
    wl_presence_join_t *join;     /* owned, NULL unless the set is being taken from a writer */
    wl_presence_lease_t leases[WL_COVERAGE_PARTITIONS_MAX];
    bool told[WL_COVERAGE_PARTITIONS_MAX];       /* caches were told that it is covered */
    uint64_t commits[WL_COVERAGE_SHARDS_MAX];    /* that the last tour of each shard has seen */
    int64_t toured_at[WL_COVERAGE_SHARDS_MAX];   /* monotonic ms when it was asked */
    uint64_t cache_lost;                         /* messages to caches dropped, as said last */
    uint64_t details_lost;                       /* likewise to details */
    int64_t cache_lost_at;                       /* monotonic ms when that was noticed */
    char sick[WL_LINES_MAX][WL_LINE_ID_MAX + 1]; /* that other actors were told */
    uint32_t sick_count;
    uint32_t covered;                    /* partitions, as logged last */
    uint64_t positions[WL_HAS_UIDS_MAX]; /* of a TOLD being built */

    /* questions to lines */
    wl_encoder_t *letter;     /* owned; to another process */
    wl_presence_held_t *held; /* owned, oldest first */
    uint32_t held_count;
    uint64_t consent_seq; /* of the feed: everything about consents has a lower one */
} wl_presence_t;

static inline uint32_t wl_presence_cache_of(const wl_presence_t *self, uint64_t uid) {
    return wl_uid_owner(uid, wl_hub_instances(&self->hub, WL_ACTOR_CACHE));
}

static inline uint32_t wl_presence_partition(const wl_presence_t *self, uint64_t uid) {
    return wl_uid_owner(uid, (uint32_t)self->hub.settings->queue_partitions);
}

/* ---- presence_changes.c ---------------------------------------------------------------------- */

void wl_presence_take_notice(wl_presence_t *self, const wl_msg_t *msg);
void wl_presence_take_stored(wl_presence_t *self, const wl_msg_t *msg);
/* Changes of this partition may have been missed: forgets the marks of its users. */
void wl_presence_forget(wl_presence_t *self, uint32_t partition);
/* Sets the bit of everybody with a change on its way, after the set was replaced. */
void wl_presence_mark_coming(wl_presence_t *self);

/* ---- presence_owners.c ----------------------------------------------------------------------- */

/* Reads the snapshot on disk, or begins to take the set of a writer. */
void wl_presence_owners_open(wl_presence_t *self, int64_t now);
void wl_presence_owners_tick(wl_presence_t *self, int64_t now);
/* The last snapshot, and frees what wl_presence_owners_open() made. */
void wl_presence_owners_close(wl_presence_t *self);
/* Begins a snapshot now; false: nothing has changed, or one is being written. */
bool wl_presence_save(wl_presence_t *self);
void wl_presence_take_owners(wl_presence_t *self, const wl_msg_t *msg);

/* ---- presence_tiers.c ------------------------------------------------------------------------ */

/* After wl_hub_open() and before wl_presence_owners_open(). */
WL_MUST_USE wl_err_t wl_presence_tiers_open(wl_presence_t *self, wl_fault_t *fault);
void wl_presence_tiers_close(wl_presence_t *self);
void wl_presence_tiers_tick(wl_presence_t *self, int64_t now);
/* Is everything known about this user, so that "no" may be said? */
bool wl_presence_knows(const wl_presence_t *self, uint64_t uid);
/* A shard was read to its end by a question asked at asked_at. */
void wl_presence_toured(wl_presence_t *self, uint32_t shard, int64_t asked_at, uint64_t commit_seq);
void wl_presence_take_lease(wl_presence_t *self, const wl_msg_t *msg);
void wl_presence_take_refresh(wl_presence_t *self, const wl_msg_t *msg);
/* The lease of the user's partition if it is held here, 0 = it is not. */
uint64_t wl_presence_epoch(const wl_presence_t *self, uint64_t uid);
/* Notices at once, not with the next tick, when writers have been silent for too long: this process
 * may have stood still. */
void wl_presence_listen(wl_presence_t *self);

/* ---- presence_live.c ------------------------------------------------------------------------- */

void wl_presence_live_open(wl_presence_t *self);
void wl_presence_live_close(wl_presence_t *self);
/* Of actors of this process; each item is passed on, or answered with an error at once. */
void wl_presence_take_live(wl_presence_t *self, const wl_msg_t *msg);
/* Of a reader's session. */
void wl_presence_take_live_of(wl_presence_t *self, const wl_msg_t *msg, uint64_t reader);
/* Of actors of this process, to whoever asked. */
void wl_presence_take_lived(wl_presence_t *self, const wl_msg_t *msg);
/* Of a writer, to actors of this process. */
void wl_presence_take_lived_of(wl_presence_t *self, const wl_msg_t *msg);
/* Hands on held answers that need not wait any longer. */
void wl_presence_release(wl_presence_t *self);

#endif
