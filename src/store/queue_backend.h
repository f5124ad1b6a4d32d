/* queue_backend.h: what a backend of the queue has to do: queue.c and queue_dead.c check arguments
 * and hand on. For src/store only; see store/queue.h and store/queue_dead.h for the meaning. */
#ifndef WL_STORE_QUEUE_BACKEND_H
#define WL_STORE_QUEUE_BACKEND_H

#include "store/queue.h"
#include "store/queue_dead.h"
#include "store/queue_job.h"

/* Which dead letters, and what to say about them. */
typedef struct {
    uint64_t id; /* 0 = the oldest of those that the filter lets through */
    wl_dead_filter_t filter;
    size_t max;       /* at most WL_DEAD_BATCH_MAX */
    const char *note; /* of the audit, never NULL */
    int64_t now_ms;   /* of redrive */
} wl_dead_choice_t;

typedef struct {
    void (*close)(wl_queue_t *self); /* frees it, also when half open */
    wl_err_t (*append)(wl_queue_t *self, wl_queue_entry_t *entries, size_t count); /* count > 0 */
    wl_err_t (*claim)(wl_queue_t *self, uint64_t epoch);
    wl_err_t (*read)(wl_queue_t *self, uint64_t after, size_t max, wl_queue_entry_fn tell,
                     void *arg, uint64_t *ret_last);
    wl_err_t (*settle)(wl_queue_t *self, const wl_settle_t *settle); /* not empty */
    wl_err_t (*retries)(wl_queue_t *self, wl_retry_fn tell, void *arg);
    wl_err_t (*stats)(wl_queue_t *self, wl_queue_stats_t *ret);
    /* last: ids are at most that */
    wl_err_t (*dead_list)(wl_queue_t *self, const wl_dead_filter_t *filter, uint64_t last,
                          size_t max, wl_dead_fn tell, void *arg);
    wl_err_t (*dead_classes)(wl_queue_t *self, uint64_t ret_counts[WL_FAILURE_COUNT]);
    wl_err_t (*dead_get)(wl_queue_t *self, uint64_t id, wl_dead_fn tell, void *arg); /* id > 0 */
    wl_err_t (*dead_redrive)(wl_queue_t *self, const wl_dead_choice_t *choice, wl_retry_fn tell,
                             void *arg, uint64_t *ret_count);
    wl_err_t (*dead_discard)(wl_queue_t *self, const wl_dead_choice_t *choice, wl_retry_fn tell,
                             void *arg, uint64_t *ret_count);
    wl_err_t (*dead_forget)(wl_queue_t *self, uint64_t uid, const char *line, uint64_t *ret_count);
    wl_err_t (*job_set)(wl_queue_t *self, uint32_t partition, const char *name, const void *body,
                        size_t bytes);
    wl_err_t (*job_put)(wl_queue_t *self, const char *name, const void *body, size_t bytes);
    wl_err_t (*jobs)(wl_queue_t *self, uint32_t partition, wl_job_fn tell, void *arg);
} wl_queue_ops_t;

/* Does the filter let this letter through? */
bool wl_dead_filter_takes(const wl_dead_filter_t *filter, const wl_dead_letter_t *letter);
/* The filter in words, for the audit: " line=cash class=timeout". */
void wl_dead_filter_words(const wl_dead_filter_t *filter, char *ret, size_t room);

/* The first member of each backend's handle. */
struct wl_queue {
    const wl_queue_ops_t *ops;
    uint32_t partitions;
    char warning[160]; /* see wl_queue_warning() */
    char problem[160]; /* see wl_queue_problem() */
};

WL_MUST_USE wl_err_t wl_queue_sqlite_open(const wl_queue_options_t *options, wl_queue_t **ret,
                                          wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_queue_redis_open(const wl_queue_options_t *options, wl_queue_t **ret,
                                         wl_fault_t *fault);

#endif
