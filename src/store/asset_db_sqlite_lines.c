/* The part of the asset database in SQLite that asset_lines.h declares. */
#include "base/asset.h"
#include "store/asset_db_sqlite.h"
#include "store/sqlite_tool.h"

enum { SCRUB_WAIT_MS = 50 /* for reads that are in its way; then it is tried again later */ };

wl_err_t wl_asset_db_sqlite_consent_note(wl_asset_db_t *base, const wl_asset_t *record,
                                         const char *via) {
    sqlite3_stmt *sql = ((wl_asset_db_sqlite_t *)base)->sql[WL_SQL_CONSENT_NOTE];
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)record->uid);
    (void)sqlite3_bind_text(sql, 2, record->line, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(sql, 3, (sqlite3_int64)record->version);
    (void)sqlite3_bind_int(sql, 4, record->state == WL_STATE_AVAILABLE);
    (void)sqlite3_bind_int64(sql, 5, record->changed_at);
    (void)sqlite3_bind_int64(sql, 6, record->expires_at);
    (void)sqlite3_bind_text(sql, 7, via, -1, SQLITE_STATIC);
    return wl_sqlite_run(sql);
}

/* The handle overwrites what it deletes: see wl_asset_db_sqlite_open(). */
wl_err_t wl_asset_db_sqlite_purge(wl_asset_db_t *base, uint64_t uid, const char *line) {
    wl_asset_db_sqlite_t *self = (wl_asset_db_sqlite_t *)base;
    wl_asset_db_sqlite_key(self->sql[WL_SQL_PURGE], uid, line, WL_BUCKET_CONSENT);
    wl_err_t err = wl_sqlite_run(self->sql[WL_SQL_PURGE]);
    self->purged = self->purged || (err == WL_OK && sqlite3_changes(self->db) > 0);
    return err;
}

/* Readers of ours hold the WAL for a statement at a time; whoever else looks into the file may take
 * longer, and must not stop the writes. */
wl_err_t wl_asset_db_sqlite_scrub(wl_asset_db_t *base, bool *ret_due) {
    wl_asset_db_sqlite_t *self = (wl_asset_db_sqlite_t *)base;
    sqlite3_stmt *sql = self->sql[WL_SQL_SCRUB];
    bool row = false;
    if (!self->scrub_due) {
        return WL_OK;
    }
    (void)sqlite3_busy_timeout(self->db, SCRUB_WAIT_MS);
    wl_err_t err = wl_sqlite_step(sql, &row);
    self->scrub_due = err != WL_OK || !row || sqlite3_column_int(sql, 0) != 0;
    wl_sqlite_reset(sql);
    (void)sqlite3_busy_timeout(self->db, self->busy_timeout_ms);
    *ret_due = self->scrub_due;
    return err;
}

wl_err_t wl_asset_db_sqlite_users(wl_asset_db_t *base, wl_users_walk_t *walk) {
    sqlite3_stmt *sql = ((wl_asset_db_sqlite_t *)base)->sql[WL_SQL_USERS];
    bool row = false;
    if (walk->line != NULL) { /* else it stays NULL */
        (void)sqlite3_bind_text(sql, 1, walk->line, -1, SQLITE_STATIC);
    }
    (void)sqlite3_bind_int64(sql, 2, (sqlite3_int64)walk->from);
    (void)sqlite3_bind_int64(sql, 3, (sqlite3_int64)walk->to);
    (void)sqlite3_bind_int64(sql, 4, walk->max - walk->looked);
    wl_err_t err = wl_sqlite_step(sql, &row);
    while (err == WL_OK && row) {
        wl_users_walk_add(walk, (uint64_t)sqlite3_column_int64(sql, 0),
                          sqlite3_column_int(sql, 1) != 0);
        err = wl_sqlite_step(sql, &row);
    }
    wl_sqlite_reset(sql);
    return err;
}
