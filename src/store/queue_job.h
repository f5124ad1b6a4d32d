/* queue_job.h: what dispatchers have to remember of long work, as a backfill: a few small records
 * with a name in each partition of the queue, as durable as a settlement. Works on any handle, on
 * its thread. */
#ifndef WL_STORE_QUEUE_JOB_H
#define WL_STORE_QUEUE_JOB_H

#include "store/queue.h"

enum {
    WL_JOB_NAME_MAX = 64,   /* bytes of a name, not empty */
    WL_JOB_BYTES_MAX = 512, /* of a record */
    WL_JOBS_MAX = 256,      /* records of a partition that are told; more are passed over */
};

/* Writes or, with bytes 0, removes a record of any partition. */
WL_MUST_USE wl_err_t wl_queue_job_set(wl_queue_t *self, uint32_t partition, const char *name,
                                      const void *body, size_t bytes);
/* The same for the partition of this handle, and only under the epoch that it has claimed:
 * WL_ERR_CONFLICT: Redis, not claimed, or another process has a newer epoch. Of use SETTLE. */
WL_MUST_USE wl_err_t wl_queue_job_put(wl_queue_t *self, const char *name, const void *body,
                                      size_t bytes);
/* Tells all records of a partition, in no order, borrowed for the call. */
typedef void (*wl_job_fn)(const char *name, const void *body, size_t bytes, void *arg);
WL_MUST_USE wl_err_t wl_queue_jobs(wl_queue_t *self, uint32_t partition, wl_job_fn tell, void *arg);

#endif
