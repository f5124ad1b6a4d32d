/* dispatcher_state.h: the state of the dispatcher actor, shared by its sources only:
 *     dispatcher.c         life, messages, ticks
 *     dispatcher_lease.c   when it works at all
 *     dispatcher_read.c    queue -> pending: entries, retries, hints
 *     dispatcher_lanes.c   pending -> pullers: windows, pauses, lost pulls, lines that have gone
 *     dispatcher_gates.h   shards that cannot write: their users wait, others go on
 *     dispatcher_settle.c  outcomes -> retries, dead letters, acknowledgements
 *     dispatcher_consent.c users give and withdraw their consent to a line
 *     dispatcher_tally.c   numbers of all dispatchers of the process, for operators
 *     dispatcher_admin.c   operators; dispatcher_letters.c: their dead letters;
 *                          dispatcher_backfill.h: all users of a line once more */
#ifndef WL_ACTORS_DISPATCHER_STATE_H
#define WL_ACTORS_DISPATCHER_STATE_H

#include "actors/dispatcher_backfill.h"
#include "actors/dispatcher_consent.h"
#include "actors/dispatcher_gates.h"
#include "actors/dispatcher_lanes.h"
#include "actors/dispatcher_tally.h"
#include "actors/hub.h"
#include "actors/settlement.h"
#include "actors/trail_teller.h"
#include "base/clock.h"
#include "base/failure.h"
#include "domain/marks.h"
#include "domain/pending.h"
#include "domain/retry.h"
#include "proto/change.h"
#include "proto/unpacker.h"
#include "store/queue.h"

struct wl_dispatcher {
    wl_hub_t hub;
    wl_queue_t *queue;              /* owned */
    wl_pending_t *pending;          /* owned */
    wl_settlement_t *settlement;    /* owned */
    wl_backfills_t *backfills;      /* owned */
    wl_lane_t *lanes[WL_LANES_MAX]; /* owned; pointers do not move */
    uint32_t lane_count;
    wl_gate_t *gates; /* owned; one for each shard */
    wl_trail_teller_t trail;

    /* dispatcher_lease.c */
    uint64_t epoch;         /* of the lease under which it works; 0: it does not */
    uint64_t lease_epoch;   /* as the keeper told last, 0 = nothing yet */
    int64_t lease_until;    /* monotonic ms */
    uint64_t refused_epoch; /* the stores know a newer one: the keeper will hear of it, too */
    int64_t store_at; /* monotonic ms: the queue is not asked before, its last answer failed */
    bool gain_failed; /* the queue could not be taken over, and that was logged */

    /* dispatcher_read.c */
    bool polled;                         /* others append as well, nobody tells us */
    uint64_t cursor;                     /* entries up to this one were taken or passed over */
    bool more;                           /* the queue may hold entries after the cursor */
    bool stop;                           /* this turn has read enough, or nothing more fits */
    bool retries_left;                   /* rows of the retry table that did not fit */
    size_t turn_changes;                 /* added in this turn */
    uint32_t turn_merged;                /* of those: a pull that covers them was due */
    int64_t turn_at;                     /* monotonic ms when it began */
    int64_t turn_wall;                   /* the same as wall ms, for the trail */
    wl_lane_t *catching;                 /* the lane whose passed-over entries are being read */
    wl_decoder_t *decoder;               /* owned; of payload entries */
    wl_change_t changes[WL_CHANGES_MAX]; /* of the entry being read */

    /* dispatcher_settle.c */
    bool settle_failed; /* the last write failed: nothing new is taken up */

    /* dispatcher_consent.c */
    struct wl_consent *consents; /* owned, by number, oldest first; on their way */
    uint32_t consent_waiters;    /* who wait for them, all together */
    uint64_t consent_seq;        /* number of the last one */
    uint64_t consent_version;    /* of its record */

    /* dispatcher_tally.c */
    wl_queue_stats_t stored;               /* of our partition, a second old at most */
    uint64_t tally_serial;                 /* of the last TALLY sent */
    wl_tally_t tallies[WL_PARTITIONS_MAX]; /* of the others, in dispatcher 0; own place unused */

    /* dispatcher_admin.c */
    wl_unpacker_t *unpacker; /* owned; args of operators */
    msgpack_sbuffer body;    /* owned; of the reply */
    msgpack_sbuffer list;    /* owned; elements of a list inside it */
    uint32_t listed;         /* elements in list */
    uint32_t list_max;
    bool list_more; /* there were more than list_max */

    int64_t second_at; /* monotonic ms of the last once-a-second work */
    int64_t swept_at;  /* monotonic ms of the last look for lost pulls */
};

/* ---- dispatcher_lease.c ---------------------------------------------------------------------- */
void wl_dispatcher_take_lease(wl_dispatcher_t *self, const wl_msg_t *msg);
/* Begins or ends work as the lease says; returns whether it works. Forgets everything in memory at
 * the end: call it only where nothing of that is in use. */
bool wl_dispatcher_hold(wl_dispatcher_t *self);
/* Does it work, and does the lease run? */
bool wl_dispatcher_holds(const wl_dispatcher_t *self);
/* May the queue be asked now? */
bool wl_dispatcher_may_ask(const wl_dispatcher_t *self);
/* The queue has answered. WL_ERR_CONFLICT: somebody else serves the partition; the next
 * wl_dispatcher_hold() ends the work. Other errors: it is left alone for a moment. */
void wl_dispatcher_asked(wl_dispatcher_t *self, wl_err_t err);
/* Is this user of our partition? */
bool wl_dispatcher_owns(const wl_dispatcher_t *self, uint64_t uid);

/* ---- dispatcher_read.c ----------------------------------------------------------------------- */
/* Takes up entries as far as they fit and a turn allows. */
void wl_dispatcher_read(wl_dispatcher_t *self);
/* Loads the retry table; what does not fit is loaded when there is room. */
WL_MUST_USE wl_err_t wl_dispatcher_load_retries(wl_dispatcher_t *self);
/* Says again that the copies behind dead letters are stale: the marks went with the process. */
WL_MUST_USE wl_err_t wl_dispatcher_mark_dead(wl_dispatcher_t *self);
/* One row that stands in the retry table; a wl_retry_fn. */
void wl_dispatcher_take_retry(const wl_retry_row_t *row, void *arg);
/* A user looks at an old copy. */
void wl_dispatcher_take_hint(wl_dispatcher_t *self, const char *line, uint64_t uid);

/* ---- dispatcher_settle.c --------------------------------------------------------------------- */
void wl_dispatcher_take_done(wl_dispatcher_t *self, const wl_msg_t *msg);
void wl_dispatcher_take_pulled(wl_dispatcher_t *self, const wl_msg_t *msg);
/* A flying pull has failed: retry, dead letter, or nothing when nothing was notified. */
void wl_dispatcher_fail(wl_dispatcher_t *self, wl_lane_t *lane, uint64_t uid, uint64_t seq,
                        wl_pull_outcome_t outcome, const char *reason);
/* Writes what waits, when at least `least` things do. */
void wl_dispatcher_settle(wl_dispatcher_t *self, size_t least);

/* ---- dispatcher_admin.c ---------------------------------------------------------------------- */
void wl_dispatcher_take_admin(wl_dispatcher_t *self, const wl_msg_t *msg);

/* ---- dispatcher_letters.c -------------------------------------------------------------------- */
/* Another dispatcher has discarded dead letters of our users. */
void wl_dispatcher_take_notice(wl_dispatcher_t *self, const wl_msg_t *msg);
/* The answers to operators; show() packs into self->body. */
WL_MUST_USE wl_err_t wl_dispatcher_letters_list(wl_dispatcher_t *self, const msgpack_object *args,
                                                msgpack_packer *packer, wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_dispatcher_letters_show(wl_dispatcher_t *self, const msgpack_object *args,
                                                wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_dispatcher_letters_redrive(wl_dispatcher_t *self,
                                                   const msgpack_object *args,
                                                   msgpack_packer *packer, wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_dispatcher_letters_discard(wl_dispatcher_t *self,
                                                   const msgpack_object *args,
                                                   msgpack_packer *packer, wl_fault_t *fault);
/* "classes": [{class, count}] of those that have letters. */
void wl_dispatcher_pack_classes(const uint64_t counts[WL_FAILURE_COUNT], msgpack_packer *packer);

#endif
