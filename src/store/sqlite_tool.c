#include "store/sqlite_tool.h"

#include "base/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    OPEN_TRIES = 500, /* turning WAL on does not always wait by itself: x OPEN_WAIT_MS = 5 s */
    OPEN_WAIT_MS = 10,
    WAL_BYTES_KEPT = 67108864, /* the WAL file is cut back to this after a checkpoint */
};

wl_err_t wl_sqlite_error(sqlite3 *db, int code) {
    int system = db == NULL ? 0 : sqlite3_system_errno(db);
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE: return WL_OK;
    case SQLITE_FULL: return WL_ERR_NO_SPACE;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB: return WL_ERR_DAMAGED;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
        if (code == SQLITE_IOERR_CORRUPTFS) {
            return WL_ERR_DAMAGED;
        }
        return system == ENOSPC || system == EDQUOT ? WL_ERR_NO_SPACE : WL_ERR_IO;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_READONLY:
    case SQLITE_PERM: return WL_ERR_IO;
    case SQLITE_TOOBIG: return WL_ERR_TOO_BIG;
    default: return WL_ERR_INTERNAL;
    }
}

wl_err_t wl_sqlite_exec(sqlite3 *db, const char *sql) {
    return wl_sqlite_error(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

wl_err_t wl_sqlite_number(sqlite3 *db, const char *sql, int64_t *ret) {
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code != SQLITE_OK) {
        return wl_sqlite_error(db, code);
    }
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *ret = sqlite3_column_int64(statement, 0);
    }
    wl_err_t err = code == SQLITE_DONE ? WL_ERR_NOT_FOUND : wl_sqlite_error(db, code);
    (void)sqlite3_finalize(statement);
    return err;
}

/* Is this our file, or a new one? Reading the schema is what finds a garbage header, and a file
 * that is shorter than its header says. */
static wl_err_t open_check(sqlite3 *db, const wl_sqlite_options_t *options, wl_fault_t *fault) {
    int64_t tables = 0;
    int64_t application_id = 0;
    wl_err_t err = wl_sqlite_number(db, "SELECT count(*) FROM sqlite_schema", &tables);
    if (err == WL_OK) {
        err = wl_sqlite_number(db, "PRAGMA application_id", &application_id);
    }
    if (err != WL_OK) {
        return wl_fault(fault, err, options->path, "%s", sqlite3_errmsg(db));
    }
    if (application_id == 0 && tables == 0) {
        return WL_OK;
    }
    if (application_id != (int64_t)options->application_id) {
        return wl_fault(fault, WL_ERR_SETTINGS, options->path,
                        "this database was made by something else (application id %08llx)",
                        (unsigned long long)application_id & 0xffffffffu);
    }
    return WL_OK;
}

/* Two handles may open a new file at once, and the change to WAL answers BUSY without waiting. */
static wl_err_t open_wal(sqlite3 *db) {
    int code = SQLITE_BUSY;
    for (int i = 0; i < OPEN_TRIES; i++) {
        code = sqlite3_exec(db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
        if ((code & 0xff) != SQLITE_BUSY) {
            break;
        }
        (void)sqlite3_sleep(OPEN_WAIT_MS);
    }
    return wl_sqlite_error(db, code);
}

static wl_err_t open_pragmas(sqlite3 *db, const wl_sqlite_options_t *options) {
    char sql[512];
    int bytes =
        snprintf(sql, sizeof sql,
                 "PRAGMA synchronous=%s; PRAGMA cache_size=-%u; PRAGMA mmap_size=0;"
                 "PRAGMA wal_autocheckpoint=%u; PRAGMA journal_size_limit=%d;"
                 "PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;"
                 "PRAGMA cell_size_check=ON; PRAGMA secure_delete=%s;",
                 options->full_sync ? "FULL" : "NORMAL", options->cache_kib,
                 options->checkpoint_pages, WAL_BYTES_KEPT, options->wipe_pages ? "ON" : "FAST");
    WL_ASSERT(bytes > 0 && (size_t)bytes < sizeof sql);
    return wl_sqlite_exec(db, sql);
}

wl_err_t wl_sqlite_open(const wl_sqlite_options_t *options, sqlite3 **ret, wl_fault_t *fault) {
    sqlite3 *db = NULL;
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2(options->path, &db, flags, NULL);
    WL_ASSERT(db != NULL);
    wl_err_t err = wl_sqlite_error(db, code);
    if (err == WL_OK) {
        (void)sqlite3_busy_timeout(db, (int)options->busy_timeout_ms);
        (void)sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
        err = open_check(db, options, fault);
    } else {
        (void)wl_fault(fault, err, options->path, "%s: %s", sqlite3_errmsg(db),
                       strerror(sqlite3_system_errno(db)));
    }
    if (err == WL_OK) {
        err = open_wal(db);
        if (err == WL_OK) {
            err = open_pragmas(db, options);
        }
        if (err != WL_OK) {
            (void)wl_fault(fault, err, options->path, "%s", sqlite3_errmsg(db));
        }
    }
    if (err != WL_OK) {
        wl_sqlite_close(&db);
        return err;
    }
    *ret = db;
    return WL_OK;
}

void wl_sqlite_close(sqlite3 **db) {
    if (*db != NULL) {
        int code = sqlite3_close(*db);
        WL_ASSERT(code == SQLITE_OK); /* a statement was not finalized */
        *db = NULL;
    }
}

wl_err_t wl_sqlite_prepare(sqlite3 *db, const char *const *sql, size_t count,
                           sqlite3_stmt **ret_statements) {
    memset(ret_statements, 0, count * sizeof *ret_statements);
    for (size_t i = 0; i < count; i++) {
        int code =
            sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &ret_statements[i], NULL);
        if (code != SQLITE_OK) {
            wl_sqlite_finalize(ret_statements, count);
            return (code & 0xff) == SQLITE_ERROR ? WL_ERR_DAMAGED : wl_sqlite_error(db, code);
        }
    }
    return WL_OK;
}

void wl_sqlite_finalize(sqlite3_stmt **statements, size_t count) {
    for (size_t i = 0; i < count; i++) {
        (void)sqlite3_finalize(statements[i]);
        statements[i] = NULL;
    }
}

wl_err_t wl_sqlite_step(sqlite3_stmt *statement, bool *ret_row) {
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW || code == SQLITE_DONE) {
        *ret_row = code == SQLITE_ROW;
        return WL_OK;
    }
    return wl_sqlite_error(sqlite3_db_handle(statement), code);
}

wl_err_t wl_sqlite_run(sqlite3_stmt *statement) {
    int code = sqlite3_step(statement);
    wl_err_t err = wl_sqlite_error(sqlite3_db_handle(statement), code);
    (void)sqlite3_reset(statement);
    return err;
}

void wl_sqlite_reset(sqlite3_stmt *statement) {
    (void)sqlite3_reset(statement);
    (void)sqlite3_clear_bindings(statement);
}

wl_err_t wl_sqlite_end(sqlite3 *db, wl_err_t err) {
    if (err == WL_OK) {
        err = wl_sqlite_exec(db, "COMMIT");
    }
    if (err != WL_OK && !sqlite3_get_autocommit(db)) {
        /* A rollback that fails leaves a journal that the next open rolls back. */
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
    }
    return err;
}

bool wl_sqlite_text(sqlite3_stmt *statement, int column, char *ret, size_t bytes) {
    WL_ASSERT(bytes > 0);
    ret[0] = '\0';
    const unsigned char *text = sqlite3_column_text(statement, column);
    size_t count = (size_t)sqlite3_column_bytes(statement, column);
    if (text == NULL || count >= bytes || memchr(text, '\0', count) != NULL) {
        return false;
    }
    memcpy(ret, text, count);
    ret[count] = '\0';
    return true;
}
