/* asset_db.h: one shard of the asset database (design section 8), with SQL behind it. Two backends:
 *     SQLite   WAL, synchronous=FULL, one file a shard; one process writes it
 *     MySQL    or MariaDB, one database a shard; several processes may write, one transaction after
 *              another, because each locks the row of the shard's numbers first
 * One handle belongs to one thread: the shard actor's writes, fetchers have readonly ones beside
 * it. Calls may block: on the disk for one commit, on a server for as long as its timeout.
 *
 * Every write is idempotent: an equal or older version changes nothing (rule 2), so an outcome that
 * is not known is simply written again. */
#ifndef WL_STORE_ASSET_DB_H
#define WL_STORE_ASSET_DB_H

#include "base/asset.h"
#include "base/err.h"
#include "store/mysql_tool.h"

typedef struct wl_asset_db wl_asset_db_t;

typedef struct {
    const char *path;         /* SQLite: file of this shard */
    wl_mysql_options_t mysql; /* MySQL, when its `at` is not NULL: database of this shard */
    uint32_t shard;           /* stored in the database: opening another shard's is refused */
    uint32_t shards;          /* of the whole database, stored as well: with another number users
                               * would be looked for in the wrong one; 0 = not checked */
    bool mapped;              /* MySQL: shard.map is written out, so `shards` may have grown */
    uint32_t busy_timeout_ms; /* SQLite: how long begin waits for another handle of the file */
    uint32_t owner_log_max;   /* rows that the owner log keeps; 0 = 4 million */
    bool readonly;            /* never writes; works beside the handle that does */
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

/* Opens the database and brings its tables up to date. WL_ERR_SETTINGS: of another shard or number
 * of shards, of another program or a newer schema; MySQL: no such user or database. fault may be
 * NULL. SQLite: creates the file. WL_ERR_DAMAGED: found corrupt, left as it is; WL_ERR_IO,
 * WL_ERR_NO_SPACE. Only header and schema are checked here: any later call may find a damaged page
 * and say WL_ERR_DAMAGED. Holds up to 64 MB of pages.
 * MySQL: a server that does not answer now is no error: calls say WL_ERR_UNAVAILABLE until it does,
 * and connect again by themselves, with back-off. A writer refuses a server that is read_only; a
 * readonly handle makes no tables, and is WL_ERR_UNAVAILABLE while there are none. */
WL_MUST_USE wl_err_t wl_asset_db_open(const wl_asset_db_options_t *options, wl_asset_db_t **ret,
                                      wl_fault_t *fault);
void wl_asset_db_close(wl_asset_db_t **self);

/* Starts, fills and commits one transaction: begin, any number of reads and applies, commit.
 * After one of these errors call rollback; nothing of the transaction stays, and until then every
 * apply and commit repeats the error:
 *     WL_ERR_IO, NO_SPACE, DAMAGED   of the disk
 *     WL_ERR_BUSY                    another transaction was in the way: do it again at once
 *     WL_ERR_UNAVAILABLE             the server is gone; of a commit: whether it took place is not
 *                                    known, so do all of it again
 * WL_ERR_OVERFLOW (version), TOO_BIG (extra) and MALFORMED (kind, state, scale, text) refuse this
 * one record; the transaction goes on. An equal version moves pulled_at only when it is at least a
 * second newer, to spare the disk. Not for readonly handles. */
WL_MUST_USE wl_err_t wl_asset_db_begin(wl_asset_db_t *self);
/* Says which users this transaction will read and write, ascending and distinct, so that MySQL
 * reads all of them at once. Other users may still be touched, at a round trip each. */
WL_MUST_USE wl_err_t wl_asset_db_expect(wl_asset_db_t *self, const uint64_t *uids, uint32_t count);
/* Is `epoch` the newest that has written for this partition of the queue? Raises what is stored,
 * with the transaction. WL_ERR_CONFLICT: a newer one has, so leave out what this one wanted to
 * write; the transaction goes on. */
WL_MUST_USE wl_err_t wl_asset_db_fence(wl_asset_db_t *self, uint32_t partition, uint64_t epoch);
WL_MUST_USE wl_err_t wl_asset_db_apply(wl_asset_db_t *self, const wl_asset_t *asset,
                                       wl_apply_result_t *ret_result);
/* *ret_commit_seq: number of this commit in this shard, grows by one each whoever commits, durable.
 * Commits are seen in the order of their numbers. */
WL_MUST_USE wl_err_t wl_asset_db_commit(wl_asset_db_t *self, uint64_t *ret_commit_seq);
void wl_asset_db_rollback(wl_asset_db_t *self);

/* The stored record of one key, tombstones included. WL_ERR_NOT_FOUND. Inside or outside a
 * transaction. *ret's extra lives until the next call on self. */
WL_MUST_USE wl_err_t wl_asset_db_get(wl_asset_db_t *self, uint64_t uid, const char *line,
                                     const char *bucket, wl_asset_t *ret);

/* Appends all records of a user, tombstones left out, to rows; none on an error. Inside a
 * transaction it sees what was applied so far. */
WL_MUST_USE wl_err_t wl_asset_db_fetch(wl_asset_db_t *self, uint64_t uid, wl_asset_rows_t *rows);

/* The same for many users, ascending and distinct, in that order, outside a transaction; each read
 * whole, though not all at one moment. *ret_commit_seq was read before them: every user is at least
 * as new as that commit. count 0 is accepted and reads the number. */
WL_MUST_USE wl_err_t wl_asset_db_fetch_many(wl_asset_db_t *self, const uint64_t *uids,
                                            uint32_t count, wl_asset_rows_t *rows,
                                            uint64_t *ret_commit_seq);

/* Does the user own anything that is not gone? */
WL_MUST_USE wl_err_t wl_asset_db_owns(wl_asset_db_t *self, uint64_t uid, bool *ret_owns);

/* The last commit number that this handle has seen, 0 for a new database: of its own commits, and
 * of others' by begin, fetch_many and owner_log. */
uint64_t wl_asset_db_commit_seq(const wl_asset_db_t *self);

/* Where a scan of all records stands; starts as {0}. */
typedef struct {
    bool started;
    uint64_t uid;
    char line[WL_LINE_ID_MAX + 1];
    char bucket[WL_BUCKET_MAX + 1];
} wl_asset_cursor_t;
/* Appends the next records behind the cursor, at most max, tombstones included, in some fixed order
 * in which a user's lie side by side; moves the cursor. Nothing appended: the end. Each page is
 * read at a moment of its own. Outside a transaction. */
WL_MUST_USE wl_err_t wl_asset_db_scan(wl_asset_db_t *self, wl_asset_cursor_t *cursor, uint32_t max,
                                      wl_asset_rows_t *rows);

/* ---- who owns something, for presence at start -------------------------------------------------
 * The owner log gets a row, in the same transaction, whenever a user's record is born or comes
 * back from being gone. A presence snapshot says up to which log number it has seen; the rest is
 * replayed. Trim after a snapshot is safely on disk. */

/* The newest committed number that this handle has seen, 0 = none; see wl_asset_db_commit_seq. With
 * MySQL some of the numbers since its last commit may be other processes'. */
uint64_t wl_asset_db_owner_seq(const wl_asset_db_t *self);
/* Log rows after `after`, ascending, at most max. *ret_last = number of the last one returned,
 * `after` when there was none. WL_ERR_NOT_FOUND: `after` is older than what was trimmed, or newer
 * than this database: do a full scan. The log keeps its newest 4 million rows without any trim. */
WL_MUST_USE wl_err_t wl_asset_db_owner_log(wl_asset_db_t *self, uint64_t after, uint32_t max,
                                           uint64_t *ret_uids, uint32_t *ret_count,
                                           uint64_t *ret_last);
/* SQLite: forgets rows up to `up_to`; they are deleted bit by bit, by this call and by commits.
 * MySQL: does nothing, other processes need them. Not inside a transaction. */
WL_MUST_USE wl_err_t wl_asset_db_owner_trim(wl_asset_db_t *self, uint64_t up_to);
/* Distinct owners in some fixed order, at most max, after the cursor (start with *cursor = 0 and
 * *started = false). *ret_count = 0: the end. */
WL_MUST_USE wl_err_t wl_asset_db_owner_scan(wl_asset_db_t *self, bool *started, int64_t *cursor,
                                            uint32_t max, uint64_t *ret_uids, uint32_t *ret_count);
/* What the database said about the last error, for logs; "" = nothing. */
const char *wl_asset_db_problem(wl_asset_db_t *self);

/* Rows of the table, tombstones included, for tools and tests: reads the whole table. */
WL_MUST_USE wl_err_t wl_asset_db_count(wl_asset_db_t *self, uint64_t *ret_rows);

#endif
