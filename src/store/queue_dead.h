/* queue_dead.h: the dead letters of a queue: what was given up, to look at, to try again, to throw
 * away (design section 6, rule 6). Works on any queue handle, on its thread, over the letters of
 * all partitions, a few milliseconds per thousand of them. Redrive and discard are as durable as an
 * append when they return, leave a line in the audit table (the newest 10,000 are kept, in Redis of
 * each partition), and handle at most WL_DEAD_BATCH_MAX letters a call.
 *
 * How a letter is tried again differs: SQLite makes it a retry that is due and tells it, Redis
 * appends it to its partition as a change, because the process that serves the partition may be
 * another one; it is read like any other. */
#ifndef WL_STORE_QUEUE_DEAD_H
#define WL_STORE_QUEUE_DEAD_H

#include "store/queue.h"

enum { WL_DEAD_BATCH_MAX = 10000 };

typedef void (*wl_dead_fn)(const wl_dead_letter_t *letter, void *arg);

/* Which letters: those to which all that is said applies; {0} = all. */
typedef struct {
    const char *line;     /* NULL = any */
    uint64_t uid;         /* 0 = anybody's */
    wl_failure_t failure; /* WL_FAILURE_NONE = any */
} wl_dead_filter_t;

/* Dead letters, newest first (ids descend), of those that the filter lets through (NULL = all),
 * with id < before (0 = from the newest), at most max. Letters are borrowed for the call. Redis
 * looks at all letters up to the last one told. */
WL_MUST_USE wl_err_t wl_queue_dead_list(wl_queue_t *self, const wl_dead_filter_t *filter,
                                        uint64_t before, size_t max, wl_dead_fn tell, void *arg);
/* How many letters of each class there are, by wl_failure_t. Kept up to date: costs the same at any
 * size. Letters that a program before classes wrote in Redis count as WL_FAILURE_OTHER. */
WL_MUST_USE wl_err_t wl_queue_dead_classes(wl_queue_t *self, uint64_t ret_counts[WL_FAILURE_COUNT]);
/* WL_ERR_NOT_FOUND: no such letter. */
WL_MUST_USE wl_err_t wl_queue_dead_get(wl_queue_t *self, uint64_t id, wl_dead_fn tell, void *arg);

/* Tries letters again: the one with id; or, with id 0, the oldest that the filter lets through (of
 * each partition in turn). Their histories go with them.
 * SQLite: they become retries with attempts 0 and due_at and notified_at now_ms, in place of a
 * retry of the same (uid, line); then tells each row, so that the dispatcher can take it up at
 * once; told rows are durable. tell may be NULL.
 * Redis: in one step each becomes an entry of kind CHANGES at now_ms, and the letter goes. tell is
 * not called: to the caller they are as good as appended.
 * Entries that did not decode (body set) cannot be redriven and are passed over. *ret_count =
 * letters moved. WL_ERR_NOT_FOUND: no letter with that id that can be moved. After another error
 * some may have been moved. */
WL_MUST_USE wl_err_t wl_queue_dead_redrive(wl_queue_t *self, uint64_t id,
                                           const wl_dead_filter_t *filter, size_t max,
                                           int64_t now_ms, wl_retry_fn tell, void *arg,
                                           uint64_t *ret_count);
/* Removes letters, chosen in the same way, with or without a body; note says why (NULL = ""). Then
 * tells uid and line of each that has a user: nobody brings that change any more. tell may be
 * NULL. */
WL_MUST_USE wl_err_t wl_queue_dead_discard(wl_queue_t *self, uint64_t id,
                                           const wl_dead_filter_t *filter, const char *note,
                                           size_t max, wl_retry_fn tell, void *arg,
                                           uint64_t *ret_count);

/* Removes all letters of a (user, line) for good, without a line in the audit table: whoever asks
 * keeps a record of it. *ret_count = letters removed. Of use SETTLE: looks at every letter of its
 * partition, about a millisecond for 2,000. uid 0: WL_ERR_NOT_FOUND. */
WL_MUST_USE wl_err_t wl_queue_dead_forget(wl_queue_t *self, uint64_t uid, const char *line,
                                          uint64_t *ret_count);

#endif
