/* queue.h: the durable queue of changes, its retries and its dead letters (design sections 6, 8).
 * Intake appends through one handle, a dispatcher reads and settles through another; each handle
 * belongs to one thread. Two backends: one SQLite file in WAL mode (queue_sqlite.c), or Redis
 * Streams, one stream a partition (queue_redis.c).
 *
 * Appends are durable when the call returns: synchronous=FULL, or a Redis with appendfsync always.
 * Settling may be lost in a power cut, which only means that work is done again. The bound of the
 * queue is the disk or the memory of the store (WL_ERR_NO_SPACE), or what the caller makes of
 * wl_queue_stats. SQLite: a handle waits up to 5 s for another one's transaction, then WL_ERR_IO.
 * Redis: a call waits some of redis->timeout_ms; then, and while nobody can be reached,
 * WL_ERR_UNAVAILABLE, WL_ERR_DEADLINE or WL_ERR_BUSY, and what was asked may have been done or not:
 * ask again.
 *
 * Partition p of Redis holds the users with wl_uid_owner(uid, partitions) == p; who appends says
 * which. One process at a time serves it: wl_queue_claim() with the epoch of its lease takes over
 * what others had in hand and shuts them out.
 * Callbacks must not call the queue. Dead letters: store/queue_dead.h. */
#ifndef WL_STORE_QUEUE_H
#define WL_STORE_QUEUE_H

#include "base/err.h"
#include "store/queue_rows.h"
#include "store/redis.h"

typedef struct wl_queue wl_queue_t;

typedef enum {
    WL_QUEUE_APPEND, /* intake: every commit is flushed to the disk */
    WL_QUEUE_SETTLE  /* dispatcher, tools: commits are ordered, flushed with the next append */
} wl_queue_use_t;

enum { WL_PARTITIONS_MAX = 16 }; /* their number is the lowest four bits of a dead letter's id */

/* All is borrowed for the call. */
typedef struct {
    const char *path; /* the SQLite file; NULL: Redis */
    wl_queue_use_t use;
    const wl_redis_options_t *redis; /* Redis: where */
    const char *prefix;              /* Redis: what keys begin with */
    const char *consumer;            /* Redis: name of this process, no other has it */
    uint32_t partitions;             /* 0 means 1; SQLite has no more */
    uint32_t partition;              /* the one that is claimed, read, settled; of use SETTLE */
    bool allow_memory;               /* Redis: also without an append-only file */
} wl_queue_options_t;

/* SQLite: opens, creates and migrates the file. WL_ERR_DAMAGED: SQLite finds the file corrupt, as
 * any later call may, too; WL_ERR_SETTINGS: not a queue, or a newer schema; WL_ERR_IO,
 * WL_ERR_NO_SPACE.
 * Redis: waits for an answer of each server that holds a partition, a few timeouts at most.
 * WL_ERR_SETTINGS: the options, or no append-only file there; WL_ERR_UNAVAILABLE,
 * WL_ERR_UNAUTHORIZED, WL_ERR_BUSY (a server is loading). fault may be NULL. */
WL_MUST_USE wl_err_t wl_queue_open(const wl_queue_options_t *options, wl_queue_t **ret,
                                   wl_fault_t *fault);
void wl_queue_close(wl_queue_t **self);

/* A sentence for the log when the store keeps less than it should (appendfsync is not always, no
 * append-only file), "" when all is well. Valid until the next call. */
const char *wl_queue_warning(const wl_queue_t *self);
/* Redis: what was behind the newest error, for the log; "" = none yet. Valid likewise. */
const char *wl_queue_problem(const wl_queue_t *self);

/* Appends all entries and returns when they are durable; sets each id. On an error those whose id
 * is not 0 are durable all the same: in Redis each partition succeeds or fails for itself. The
 * others must not be acknowledged; Redis may have appended some of them (done twice at worst).
 * WL_ERR_NO_SPACE, WL_ERR_IO, WL_ERR_DAMAGED, or as above. Ids are never used twice. */
WL_MUST_USE wl_err_t wl_queue_append(wl_queue_t *self, wl_queue_entry_t *entries, size_t count);

/* Before the first read or settlement of use SETTLE, whenever a lease was obtained: epoch is the
 * lease's. Redis: all that other consumers had in hand is ours now, an older epoch can neither read
 * nor settle any more, and reading begins at 0 again. WL_ERR_CONFLICT: there is a newer epoch.
 * SQLite, which one process owns, has nothing to do. */
WL_MUST_USE wl_err_t wl_queue_claim(wl_queue_t *self, uint64_t epoch);

/* Calls back for up to max entries with id > after, ascending; bodies are borrowed for the call.
 * *ret_last = id of the last one, `after` when there was none. Entries may be read again, from any
 * id on, until they are acknowledged. Redis: WL_ERR_CONFLICT when not claimed, or not any more. */
typedef void (*wl_queue_entry_fn)(const wl_queue_entry_t *entry, void *arg);
WL_MUST_USE wl_err_t wl_queue_read(wl_queue_t *self, uint64_t after, size_t max,
                                   wl_queue_entry_fn tell, void *arg, uint64_t *ret_last);

/* What the dispatcher wants to be true, in one transaction; in Redis in steps, in this order, so
 * that acknowledgements come after all that they rest on. Retries replace rows of the same
 * (uid, line); retry_ends removes them. An error: settle the same again (in Redis a letter may then
 * stand there twice). WL_ERR_CONFLICT: Redis, not claimed, or another process has a newer epoch. */
typedef struct {
    const wl_retry_row_t *retries;
    size_t retry_count;
    const wl_retry_row_t *retry_ends; /* only uid and line are read */
    size_t retry_end_count;
    const wl_dead_letter_t *dead; /* id is ignored */
    size_t dead_count;
    const uint64_t *acks; /* entries to remove; Redis: that were read since the claim */
    size_t ack_count;
} wl_settle_t;
WL_MUST_USE wl_err_t wl_queue_settle(wl_queue_t *self, const wl_settle_t *settle);

/* All retries, in no order, for the start of the dispatcher. Redis may tell a row twice. */
typedef void (*wl_retry_fn)(const wl_retry_row_t *row, void *arg);
WL_MUST_USE wl_err_t wl_queue_retries(wl_queue_t *self, wl_retry_fn tell, void *arg);

/* Of use SETTLE: of its partition; else of all. */
typedef struct {
    uint64_t entries;
    uint64_t lag; /* Redis: entries that nobody has read yet */
    uint64_t retries;
    uint64_t dead;
    int64_t oldest_at; /* wall ms of the oldest entry, 0 = empty */
} wl_queue_stats_t;
/* Numbers that are kept up to date: costs the same at any size. */
WL_MUST_USE wl_err_t wl_queue_stats(wl_queue_t *self, wl_queue_stats_t *ret);

#endif
