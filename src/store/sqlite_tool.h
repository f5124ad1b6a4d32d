/* sqlite_tool.h: the few things that every SQLite file of walletd does alike: opening with our
 * pragmas, preparing, stepping, ending a transaction, and turning SQLite's codes into wl_err_t.
 * Only src/store includes it. A connection belongs to one thread; calls may block on the disk.
 * Promises: WAL mode, no memory mapping (a truncated file must not be a SIGBUS), a statement is
 * always reset when a call returns, so no read lock outlives a call and the WAL can be reset. */
#ifndef WL_STORE_SQLITE_TOOL_H
#define WL_STORE_SQLITE_TOOL_H

#include "base/err.h"

#include <sqlite3.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *path;          /* created when missing; its folder must exist */
    uint32_t application_id;   /* set in the header by wl_schema_migrate; another is refused */
    uint32_t busy_timeout_ms;  /* how long to wait for another handle's transaction */
    uint32_t cache_kib;        /* page cache of this handle */
    uint32_t checkpoint_pages; /* the WAL is written back when it holds so many pages */
    bool wipe_pages;           /* pages that become free are overwritten, too, not only rows */
    bool full_sync;            /* true: a commit is on the disk when it returns */
} wl_sqlite_options_t;

/* Opens the file and reads its header and schema, which is the cheap part of a check; pages are
 * checked as they are read. WL_ERR_DAMAGED: not a database, cut off, or a broken schema; the file
 * is left as it is. WL_ERR_SETTINGS: a database of something else. WL_ERR_IO, WL_ERR_NO_SPACE:
 * cannot be opened or created. fault->where is the path; fault may be NULL. */
WL_MUST_USE wl_err_t wl_sqlite_open(const wl_sqlite_options_t *options, sqlite3 **ret,
                                    wl_fault_t *fault);
/* All statements must be finalized before. NULL is accepted. */
void wl_sqlite_close(sqlite3 **db);

/* FULL, or the system's "no space" -> NO_SPACE; CORRUPT, NOTADB -> DAMAGED; BUSY, LOCKED, IOERR,
 * CANTOPEN, READONLY, PERM -> IO; TOOBIG -> TOO_BIG; OK, ROW, DONE -> OK; all else -> INTERNAL.
 * db must be the connection that gave the code. */
wl_err_t wl_sqlite_error(sqlite3 *db, int code);

/* Runs statements that return nothing of interest. */
WL_MUST_USE wl_err_t wl_sqlite_exec(sqlite3 *db, const char *sql);
/* The first column of the only row. WL_ERR_NOT_FOUND: no row. */
WL_MUST_USE wl_err_t wl_sqlite_number(sqlite3 *db, const char *sql, int64_t *ret);

/* Prepares sql[0..count) for a long life. On failure none is left. A statement that does not fit
 * the schema is WL_ERR_DAMAGED: the schema's version said that it would. */
WL_MUST_USE wl_err_t wl_sqlite_prepare(sqlite3 *db, const char *const *sql, size_t count,
                                       sqlite3_stmt **ret_statements);
void wl_sqlite_finalize(sqlite3_stmt **statements, size_t count); /* leaves NULLs */

/* One row or none; *ret_row says which. Reset with wl_sqlite_reset when done with the row. */
WL_MUST_USE wl_err_t wl_sqlite_step(sqlite3_stmt *statement, bool *ret_row);
/* Steps once, for statements without rows, and resets. */
WL_MUST_USE wl_err_t wl_sqlite_run(sqlite3_stmt *statement);
/* Ends the use of a row and forgets bound pointers. */
void wl_sqlite_reset(sqlite3_stmt *statement);

/* COMMIT when err is WL_OK; otherwise, or when that fails, ROLLBACK. Returns the first error. Fits
 * also when SQLite has rolled back by itself, as it does when the disk is full. */
WL_MUST_USE wl_err_t wl_sqlite_end(sqlite3 *db, wl_err_t err);

/* Copies a text column. false: it does not fit in `bytes` with its NUL, or holds a NUL itself:
 * a damaged row; *ret is then "". */
bool wl_sqlite_text(sqlite3_stmt *statement, int column, char *ret, size_t bytes);

#endif
