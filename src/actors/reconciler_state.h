/* reconciler_state.h: the reconciler's state, shared by its own files only: reconciler.c (what to
 * work at, and when), reconciler_step.c (one step of it), reconciler_looks.c (questions to cache
 * and presence), reconciler_repair.c, reconciler_admin.c. One thread. */
#ifndef WL_ACTORS_RECONCILER_STATE_H
#define WL_ACTORS_RECONCILER_STATE_H

#include "actors/hub.h"
#include "actors/intake_batch.h"
#include "domain/compare.h"
#include "domain/compare_sums.h"
#include "domain/presence_set.h"
#include "proto/unpacker.h"
#include "store/asset_db.h"
#include "store/report_db.h"

enum {
    WL_RECONCILE_RUN_USERS = 4096,  /* of one step of a run, */
    WL_RECONCILE_ROUND_USERS = 256, /* and of the rolling comparison: a few milliseconds */
    WL_RECONCILE_ASK_USERS = 256,   /* of one question: 50 us of a cache actor's time */
    WL_RECONCILE_LOOK_USERS = 200,  /* looked at closely together */
    WL_RECONCILE_TICKETS = 1024,    /* questions at once */
    WL_RECONCILE_INSTANCES = 16,    /* of cache and presence, as settings.def allows */
    WL_RECONCILE_SHARDS = 256,
    WL_RECONCILE_READ_MAX = 4000000, /* users remembered: 8 to 300 MB, as dense as the ids are */
    WL_RECONCILE_USER_DIFFERENCES = 2 * WL_USER_ASSETS_MAX,
};

/* Where a step stands. */
typedef enum {
    WL_STEP_NONE,   /* no part is held */
    WL_STEP_READ,   /* users and the digests of their records are read and asked for */
    WL_STEP_FIRST,  /* waits for the answers: who differs? */
    WL_STEP_SECOND, /* looks at those closely: in what? */
    WL_STEP_RIPEN,  /* waits reconcile.confirm_ms: changes on their way arrive meanwhile */
    WL_STEP_THIRD,  /* looks again: what has not changed is a difference */
    WL_STEP_MARK,   /* waits for presence to have the missing bits on disk */
    WL_STEP_VERIFY, /* looks until the repairs are seen, or for VERIFY_MS */
    WL_STEP_PAUSE   /* before the next step */
} wl_step_state_t;

typedef struct {
    wl_difference_t difference;
    bool again; /* seen in the look that is under way */
} wl_found_again_t;

/* Questions of users of one instance, until they are sent. */
typedef struct {
    uint64_t uids[WL_RECONCILE_ASK_USERS];
    uint64_t digests[WL_RECONCILE_ASK_USERS];
    uint32_t count;
} wl_ask_batch_t;

typedef struct {
    wl_hub_t hub;
    wl_report_db_t *reports;                 /* owned */
    wl_asset_db_t *dbs[WL_RECONCILE_SHARDS]; /* owned, opened when needed; only read */
    wl_queue_t *queue;                       /* owned, opened when needed; for restores */
    wl_intake_batch_t *batch;                /* owned; restores to append */
    wl_asset_rows_t rows;                    /* of one read, reused */
    wl_unpacker_t *unpacker;                 /* owned */
    msgpack_sbuffer body;                    /* of an answer, or of packed sums */
    struct wl_trail_teller *trail;           /* owned; what was repaired */

    /* the part that is worked at */
    wl_report_run_t run;
    wl_report_part_t part;
    wl_step_state_t state;
    wl_compare_sums_t sums;  /* with the step under way */
    wl_compare_sums_t saved; /* as written down */
    uint64_t after;          /* where the step under way has come to */
    uint8_t phase;           /* from the caches' side: which of them */
    bool ended;              /* the step under way is the part's last */
    uint32_t step_users;
    uint64_t step_rows;   /* of all steps before this one */
    int64_t step_begun;   /* monotonic ms */
    int64_t written_at;   /* monotonic ms: place and sums */
    int64_t not_before;   /* monotonic ms: nothing is done earlier */
    uint32_t failures;    /* steps since the last that ended */
    uint64_t round_users; /* of the last whole round, 0 = not known */

    /* users read in the shards' parts here, whom the caches' side need not read again */
    wl_presence_set_t *read; /* owned; NULL: not all of them, or too many */
    uint64_t read_run;
    uint32_t read_parts; /* shards read from their beginning to their end */

    /* questions under way */
    wl_ask_batch_t *copies; /* owned; one for each cache actor */
    wl_ask_batch_t *bits;   /* owned; one for each presence actor */
    uint64_t ticket;        /* the last one given */
    uint64_t tickets[WL_RECONCILE_TICKETS];
    uint32_t ticket_count;
    int64_t patience; /* monotonic ms: they are given up */

    /* who is looked at closely */
    uint64_t *suspects; /* owned; ascending, each once; room for step_users * 2 */
    uint32_t suspect_count;
    uint32_t looked;         /* of them, in the look under way */
    uint32_t chunk;          /* of them, asked for now: their records are in rows */
    wl_found_again_t *found; /* owned */
    uint32_t found_count;
    wl_difference_t *seen;    /* owned; of one user */
    bool found_over;          /* there were more than fit */
    wl_difference_t *given;   /* owned; a flat copy for the store */
    wl_asset_rows_t restores; /* records to go back into the database */
    int64_t verify_until;     /* monotonic ms */

    int64_t claim_at; /* monotonic ms: look for work again */
    int64_t plan_at;  /* monotonic ms: look at the clock again */
    bool away;        /* the reports' store did not answer, and that was said */
    bool reaches;     /* the databases of all shards can be opened here */
} wl_reconciler_t;

/* ---- reconciler.c ---- */
/* The step is begun again, from what was written down, after a pause that grows. */
void wl_reconciler_fail(wl_reconciler_t *self, const char *what, wl_err_t err);
void wl_reconciler_lose(wl_reconciler_t *self);
void wl_reconciler_ended(wl_reconciler_t *self);
uint32_t wl_reconciler_hold_ms(const wl_reconciler_t *self);
wl_asset_db_t *wl_reconciler_db(wl_reconciler_t *self, uint32_t shard); /* NULL: not now */
bool wl_reconciler_from_cache(const wl_reconciler_t *self);

/* ---- reconciler_step.c: go does what can be done now ---- */
void wl_reconciler_go(wl_reconciler_t *self);
void wl_reconciler_step_begin(wl_reconciler_t *self);
void wl_reconciler_suspect(wl_reconciler_t *self, uint64_t uid);

/* Users whom a cache actor has copies of. */
void wl_reconciler_take_cached(wl_reconciler_t *self, const wl_msg_t *msg);

/* ---- reconciler_looks.c ---- */
/* Sent together, at the latest by wl_reconciler_ask_flush(). digest 0: told in any case. */
void wl_reconciler_ask_copy(wl_reconciler_t *self, uint64_t uid, uint64_t digest);
void wl_reconciler_ask_bit(wl_reconciler_t *self, uint64_t uid, bool mark);
void wl_reconciler_ask_flush(wl_reconciler_t *self, bool mark);
/* The users who have copies in this cache actor, from `after` on. */
void wl_reconciler_ask_cached(wl_reconciler_t *self, uint32_t cache, uint64_t after);
void wl_reconciler_ask_forget(wl_reconciler_t *self);
void wl_reconciler_take(wl_reconciler_t *self, const wl_msg_t *msg);
/* Reads all records of the next suspects into rows and asks for their copies and bits. */
WL_MUST_USE wl_err_t wl_reconciler_look(wl_reconciler_t *self);

/* ---- reconciler_repair.c, reconciler_admin.c ---- */
void wl_reconciler_drop_again(wl_reconciler_t *self);
void wl_reconciler_tell_found(wl_reconciler_t *self); /* the log and the sums */
WL_MUST_USE wl_err_t wl_reconciler_repair(wl_reconciler_t *self, bool *ret_marks);
void wl_reconciler_take_admin(wl_reconciler_t *self, const wl_msg_t *msg);
uint64_t wl_reconciler_last_round(wl_reconciler_t *self);
void wl_reconciler_judge_lines(wl_reconciler_t *self, uint64_t run); /* once it has ended */

#endif
