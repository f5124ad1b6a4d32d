/* queue.h: the durable queue of changes, its retries and its dead letters (design sections 6, 8).
 * Intake appends through one handle, the dispatcher reads and settles through another; each handle
 * belongs to one thread. Backend of step 1: one SQLite file in WAL mode. Appends are durable
 * (synchronous=FULL) when the call returns; settling may be lost in a power cut, which only means
 * that work is done again. The bound of the queue is the disk (WL_ERR_NO_SPACE), or what the caller
 * makes of wl_queue_stats. A handle waits up to 5 s for another one's transaction, then WL_ERR_IO.
 * Callbacks must not call the queue. Dead letters: store/queue_dead.h. */
#ifndef WL_STORE_QUEUE_H
#define WL_STORE_QUEUE_H

#include "base/asset.h"
#include "base/err.h"

typedef struct wl_queue wl_queue_t;

typedef enum {
    WL_QUEUE_APPEND, /* intake: every commit is flushed to the disk */
    WL_QUEUE_SETTLE  /* dispatcher, tools: commits are ordered, flushed with the next append */
} wl_queue_use_t;

typedef enum {
    WL_ENTRY_CHANGES = 1, /* body: wl_changes_pack() */
    WL_ENTRY_ASSETS = 2,  /* body: wl_encoder_asset_blob() */
    WL_ENTRY_REFRESH = 3  /* body: wl_changes_pack(); a user waits */
} wl_entry_kind_t;

typedef struct {
    uint64_t id;          /* grows; given by append */
    int64_t at;           /* wall ms when it was accepted */
    wl_entry_kind_t kind; /* as stored: a newer program may have written a number unknown here */
    char line[WL_LINE_ID_MAX + 1]; /* "" when the stored one is damaged */
    const void *body;              /* borrowed; from read never NULL */
    size_t body_bytes;
} wl_queue_entry_t;

typedef struct {
    uint64_t uid;
    char line[WL_LINE_ID_MAX + 1];
    uint32_t attempts;
    int64_t due_at; /* wall ms */
    int64_t notified_at;
    char reason[97];
} wl_retry_row_t;

typedef struct {
    uint64_t id; /* given by the store */
    uint64_t uid;
    char line[WL_LINE_ID_MAX + 1];
    uint32_t attempts;
    int64_t at; /* wall ms */
    char reason[97];
    const void *body; /* borrowed: the bytes of an entry that did not decode; else NULL */
    size_t body_bytes;
} wl_dead_letter_t;

/* Opens, creates and migrates the file. WL_ERR_DAMAGED: SQLite finds the file corrupt, as any
 * later call may, too; WL_ERR_SETTINGS: not a queue, or a newer schema; WL_ERR_IO,
 * WL_ERR_NO_SPACE. fault may be NULL. */
WL_MUST_USE wl_err_t wl_queue_open(const char *path, wl_queue_use_t use, wl_queue_t **ret,
                                   wl_fault_t *fault);
void wl_queue_close(wl_queue_t **self);

/* Appends all entries in one transaction and returns when they are durable; sets each id.
 * WL_ERR_NO_SPACE, WL_ERR_IO, WL_ERR_DAMAGED: none was appended, no id is set. Ids are never used
 * twice. */
WL_MUST_USE wl_err_t wl_queue_append(wl_queue_t *self, wl_queue_entry_t *entries, size_t count);

/* Calls back for up to max entries with id > after, ascending; bodies are borrowed for the call.
 * *ret_last = id of the last one, `after` when there was none. */
typedef void (*wl_queue_entry_fn)(const wl_queue_entry_t *entry, void *arg);
WL_MUST_USE wl_err_t wl_queue_read(wl_queue_t *self, uint64_t after, size_t max,
                                   wl_queue_entry_fn tell, void *arg, uint64_t *ret_last);

/* What the dispatcher wants to be true, in one transaction. Retries replace rows of the same
 * (uid, line); retry_ends removes them. */
typedef struct {
    const wl_retry_row_t *retries;
    size_t retry_count;
    const wl_retry_row_t *retry_ends; /* only uid and line are read */
    size_t retry_end_count;
    const wl_dead_letter_t *dead; /* id is ignored */
    size_t dead_count;
    const uint64_t *acks; /* entries to remove */
    size_t ack_count;
} wl_settle_t;
WL_MUST_USE wl_err_t wl_queue_settle(wl_queue_t *self, const wl_settle_t *settle);

/* All retries in the order of (uid as signed, line), for the start of the dispatcher. */
typedef void (*wl_retry_fn)(const wl_retry_row_t *row, void *arg);
WL_MUST_USE wl_err_t wl_queue_retries(wl_queue_t *self, wl_retry_fn tell, void *arg);

typedef struct {
    uint64_t entries;
    uint64_t retries;
    uint64_t dead;
    int64_t oldest_at; /* wall ms of the oldest entry, 0 = empty */
} wl_queue_stats_t;
/* Four numbers that each transaction keeps up to date: costs the same at any size. */
WL_MUST_USE wl_err_t wl_queue_stats(wl_queue_t *self, wl_queue_stats_t *ret);

#endif
