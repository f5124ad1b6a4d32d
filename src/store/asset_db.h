/* asset_db.h: one shard of the asset database (design section 8). SQL lives behind it.
 * One handle belongs to one thread (the shard actor). Calls may block on the disk: longest stall is
 * one commit. Backend of step 1: SQLite, WAL, synchronous=FULL, one file a shard.
 *
 * Every write is idempotent: an equal or older version changes nothing (rule 2), so an outcome that
 * is not known is simply written again. */
#ifndef WL_STORE_ASSET_DB_H
#define WL_STORE_ASSET_DB_H

#include "base/asset.h"
#include "base/err.h"

typedef struct wl_asset_db wl_asset_db_t;

typedef struct {
    const char *path;         /* file of this shard */
    uint32_t shard;           /* stored in the file: opening another shard's file is refused */
    uint32_t shards;          /* of the whole database, stored as well: with another number users
                               * would be looked for in the wrong file; 0 = not checked */
    uint32_t busy_timeout_ms; /* how long begin waits for another handle of the file */
    bool readonly;            /* only reads */
} wl_asset_db_options_t;

typedef enum {
    WL_APPLY_STORED = 0,  /* newer: is now the value */
    WL_APPLY_TOUCHED = 1, /* equal version: only pulled_at moved forward */
    WL_APPLY_OLDER = 2,   /* refused: a newer version stands */
    WL_APPLY_FULL = 3     /* refused: the user has WL_USER_ASSETS_MAX others, tombstones included */
} wl_apply_result_t;

/* Rows that a read returned; reused from call to call. */
typedef struct {
    wl_asset_t *at; /* extra points into bytes_pool */
    uint32_t count;
    uint32_t capacity;
    uint8_t *pool;
    size_t pool_used;
    size_t pool_capacity;
} wl_asset_rows_t;
void wl_asset_rows_clear(wl_asset_rows_t *self);   /* empties it, keeps its memory */
void wl_asset_rows_destroy(wl_asset_rows_t *self); /* frees what it holds, leaves it empty */

/* Opens, creates and migrates the file. WL_ERR_DAMAGED: SQLite finds the file corrupt (the file is
 * left as it is); WL_ERR_SETTINGS: another shard's file, a file of another number of shards,
 * another program's, or a newer schema;
 * WL_ERR_IO, WL_ERR_NO_SPACE. Only header and schema are checked here: any later call may find a
 * damaged page and say WL_ERR_DAMAGED. Holds up to 64 MB of pages. fault may be NULL. */
WL_MUST_USE wl_err_t wl_asset_db_open(const wl_asset_db_options_t *options, wl_asset_db_t **ret,
                                      wl_fault_t *fault);
void wl_asset_db_close(wl_asset_db_t **self);

/* Starts, fills and commits one transaction: begin, any number of reads and applies, commit.
 * After WL_ERR_IO / NO_SPACE / DAMAGED call rollback; nothing of the transaction stays, and until
 * then every apply and commit repeats the error. WL_ERR_OVERFLOW (version), TOO_BIG (extra) and
 * MALFORMED (kind, state, scale, text) refuse this one record; the transaction goes on. An equal
 * version moves pulled_at only when it is at least a second newer, to spare the disk. */
WL_MUST_USE wl_err_t wl_asset_db_begin(wl_asset_db_t *self);
WL_MUST_USE wl_err_t wl_asset_db_apply(wl_asset_db_t *self, const wl_asset_t *asset,
                                       wl_apply_result_t *ret_result);
/* *ret_commit_seq: number of this commit in this shard, grows by one each, durable. */
WL_MUST_USE wl_err_t wl_asset_db_commit(wl_asset_db_t *self, uint64_t *ret_commit_seq);
void wl_asset_db_rollback(wl_asset_db_t *self);

/* The stored record of one key, tombstones included. WL_ERR_NOT_FOUND. Inside or outside a
 * transaction. *ret's extra lives until the next call on self. */
WL_MUST_USE wl_err_t wl_asset_db_get(wl_asset_db_t *self, uint64_t uid, const char *line,
                                     const char *bucket, wl_asset_t *ret);

/* Appends all records of a user, tombstones left out, to rows; none on an error. Inside a
 * transaction it sees what was applied so far. */
WL_MUST_USE wl_err_t wl_asset_db_fetch(wl_asset_db_t *self, uint64_t uid, wl_asset_rows_t *rows);

/* Shim. */
WL_MUST_USE wl_err_t wl_asset_db_expect(wl_asset_db_t *self, const uint64_t *uids, uint32_t count);
WL_MUST_USE wl_err_t wl_asset_db_fence(wl_asset_db_t *self, uint32_t partition, uint64_t epoch);
WL_MUST_USE wl_err_t wl_asset_db_fetch_many(wl_asset_db_t *self, const uint64_t *uids,
                                            uint32_t count, wl_asset_rows_t *rows,
                                            uint64_t *ret_commit_seq);

/* Does the user own anything that is not gone? */
WL_MUST_USE wl_err_t wl_asset_db_owns(wl_asset_db_t *self, uint64_t uid, bool *ret_owns);

/* The last commit number, 0 for a new file. */
uint64_t wl_asset_db_commit_seq(const wl_asset_db_t *self);

/* ---- who owns something, for presence at start -------------------------------------------------
 * The owner log gets a row, in the same transaction, whenever a user's record is born or comes
 * back from being gone. A presence snapshot says up to which log number it has seen; the rest is
 * replayed. Trim after a snapshot is safely on disk. */
uint64_t wl_asset_db_owner_seq(const wl_asset_db_t *self); /* newest committed number, 0 = none */
/* Log rows after `after`, ascending, at most max. *ret_last = number of the last one returned,
 * `after` when there was none. WL_ERR_NOT_FOUND: `after` is older than what was trimmed, or newer
 * than this file: do a full scan. The log keeps its newest 4 million rows without any trim. */
WL_MUST_USE wl_err_t wl_asset_db_owner_log(wl_asset_db_t *self, uint64_t after, uint32_t max,
                                           uint64_t *ret_uids, uint32_t *ret_count,
                                           uint64_t *ret_last);
/* Forgets rows up to `up_to` at once; they are deleted bit by bit, by this call and by commits. Not
 * inside a transaction. */
WL_MUST_USE wl_err_t wl_asset_db_owner_trim(wl_asset_db_t *self, uint64_t up_to);
/* Distinct owners in some fixed order, at most max, after the cursor (start with *cursor = 0 and
 * *started = false). *ret_count = 0: the end. */
WL_MUST_USE wl_err_t wl_asset_db_owner_scan(wl_asset_db_t *self, bool *started, int64_t *cursor,
                                            uint32_t max, uint64_t *ret_uids, uint32_t *ret_count);

/* Rows of the table, tombstones included, for tools and tests: reads the whole file. */
WL_MUST_USE wl_err_t wl_asset_db_count(wl_asset_db_t *self, uint64_t *ret_rows);

#endif
