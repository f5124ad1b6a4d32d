/* dispatcher_backfill.h: pulls all users of a line once more, behind everything else, and remembers
 * how far it is. Part of the dispatcher actor and used on its thread only.
 *
 * What an operator wants stands in each partition of the queue store ("want LINE"), so every
 * writer finds it; how far a partition is stands beside it ("fill LINE"), written under the
 * partition's lease. Users whose pull had not ended when a process died are pulled again. */
#ifndef WL_ACTORS_DISPATCHER_BACKFILL_H
#define WL_ACTORS_DISPATCHER_BACKFILL_H

#include "domain/backfill.h"
#include "proto/messages.h"

#include "store/queue_job.h"

#include <msgpack.h>

typedef struct wl_dispatcher wl_dispatcher_t;
typedef struct wl_backfills wl_backfills_t;

wl_backfills_t *wl_backfills_new(void);
void wl_backfills_destroy(wl_backfills_t **self);
/* The lease has ended: somebody else goes on from what was written. */
void wl_backfills_forget(wl_backfills_t *self);

/* To be called often while the partition is held, behind the settling of outcomes. */
void wl_dispatcher_backfill_step(wl_dispatcher_t *self);
/* A page of users. */
void wl_dispatcher_backfill_users(wl_dispatcher_t *self, const wl_msg_t *msg);
/* A pull has taken effect, or has failed and what follows from that was gathered for settling. */
void wl_dispatcher_backfill_ended(wl_dispatcher_t *self, const char *line, uint64_t uid, bool good);
/* admin.lines.backfill: start, stop or status, over all partitions. */
WL_MUST_USE wl_err_t wl_dispatcher_backfill_admin(wl_dispatcher_t *self, const msgpack_object *args,
                                                  msgpack_packer *packer, wl_fault_t *fault);

/* ---- what stands in the store ---------------------------------------------------------------- */

enum { WL_BACKFILLS_MAX = 8 }; /* lines under way at once; more wait for one to end */

/* Names of records, before the line. */
#define WL_BACKFILL_WANT "want "
#define WL_BACKFILL_FILL "fill "

/* What stands in the store about one partition, while it is told. */
typedef struct {
    const char *line; /* only this one, NULL = all */
    uint32_t count;
    char lines[WL_BACKFILLS_MAX * 2][WL_LINE_ID_MAX + 1];
    wl_backfill_want_t wants[WL_BACKFILLS_MAX * 2];     /* id 0 = not told */
    wl_backfill_record_t records[WL_BACKFILLS_MAX * 2]; /* likewise */
} wl_backfill_jobs_t;

/* A wl_job_fn. */
void wl_backfill_on_job(const char *name, const void *body, size_t bytes, void *arg);
/* Is something still to be done in this phase? */
bool wl_backfill_active(wl_backfill_phase_t phase);
/* Something else is wanted from now on. */
void wl_backfills_look_soon(wl_backfills_t *self);

#endif
