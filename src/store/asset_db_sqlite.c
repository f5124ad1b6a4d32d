/* The asset database in SQLite. All statements are prepared once. Within a transaction:
 *
 *     begin -> apply ... apply -> commit: UPDATE meta SET commit_seq; COMMIT (one fsync)
 *                  |
 *                  +- upsert, guarded by version in SQL      changes 1: stored
 *                  +- nothing changed: touch (equal version)  changes 1: touched
 *                  +- nothing changed: read the version       equal: touched, else older
 *
 * A birth shows as two changes, the row and its owner log row, and only then are the user's rows
 * counted. After an error SQLite may have rolled back by itself and would run the next statement on
 * its own, outside any transaction; asset_db.c stops that. */
#include "store/asset_db_sqlite.h"
#include "base/alloc.h"
#include "base/check.h"
#include "store/asset_row.h"
#include "store/asset_row_sqlite.h"
#include "store/migrations.h"
#include "store/sqlite_tool.h"

#include <stdio.h>
#include <string.h>

enum {
    CACHE_KIB = 65536,
    CHECKPOINT_PAGES = 4000, /* 16 MB of WAL: some ten commits of 500 scattered rows */
};

static const char *const sql_texts[WL_SQL_COUNT] = {
    [WL_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [WL_SQL_UPSERT] = "INSERT INTO asset(" WL_ASSET_COLUMNS ")"
                      " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
                      " ON CONFLICT(uid, line, bucket) DO UPDATE SET kind = excluded.kind,"
                      " amount = excluded.amount, unit = excluded.unit, scale = excluded.scale,"
                      " count = excluded.count, pending = excluded.pending, state = excluded.state,"
                      " expires_at = excluded.expires_at, version = excluded.version,"
                      " changed_at = excluded.changed_at, pulled_at = excluded.pulled_at,"
                      " extra = excluded.extra WHERE excluded.version > asset.version",
    [WL_SQL_TOUCH] = "UPDATE asset SET pulled_at = ?5 WHERE uid = ?1 AND line = ?2 AND bucket = ?3"
                     " AND version = ?4 AND pulled_at <= ?6",
    [WL_SQL_GET] = "SELECT " WL_ASSET_COLUMNS " FROM asset"
                   " WHERE uid = ?1 AND line = ?2 AND bucket = ?3",
    [WL_SQL_FETCH] = "SELECT " WL_ASSET_COLUMNS " FROM asset WHERE uid = ?1 AND state <> 3",
    [WL_SQL_OWNS] = "SELECT 1 FROM asset WHERE uid = ?1 AND state <> 3 LIMIT 1",
    [WL_SQL_USER_ROWS] = "SELECT count(*) FROM asset WHERE uid = ?1",
    [WL_SQL_REMOVE] = "DELETE FROM asset WHERE uid = ?1 AND line = ?2 AND bucket = ?3",
    [WL_SQL_PURGE] = "DELETE FROM asset WHERE uid = ?1 AND line = ?2 AND bucket <> ?3",
    [WL_SQL_CONSENT_NOTE] = "INSERT INTO consent(uid, line, version, granted, at, expires_at, via)"
                            " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
    [WL_SQL_SCRUB] = "PRAGMA wal_checkpoint(TRUNCATE)",
    [WL_SQL_USERS] = "SELECT uid, max(?1 IS NULL OR line = ?1) FROM asset"
                     " WHERE uid BETWEEN ?2 AND ?3 GROUP BY uid ORDER BY uid LIMIT ?4",
    [WL_SQL_SCAN] =
        "SELECT " WL_ASSET_COLUMNS " FROM asset WHERE (uid, line, bucket) > (?1, ?2, ?3)"
        " ORDER BY uid, line, bucket LIMIT ?4",
    [WL_SQL_META] = "UPDATE meta SET commit_seq = ?1, owner_trimmed = ?2 WHERE id = 1",
    [WL_SQL_LOOK] = "SELECT commit_seq, owner_trimmed,"
                    " (SELECT coalesce(max(seq), 0) FROM owner_log) FROM meta WHERE id = 1",
    [WL_SQL_FENCE] = "INSERT INTO fence(partition, epoch) VALUES(?1, ?2)"
                     " ON CONFLICT(partition) DO UPDATE SET epoch = excluded.epoch",
    [WL_SQL_FENCE_READ] = "SELECT epoch FROM fence WHERE partition = ?1",
    [WL_SQL_OWNER_LOG] = "SELECT seq, uid FROM owner_log WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    [WL_SQL_OWNER_SWEEP] = "DELETE FROM owner_log WHERE seq IN"
                           " (SELECT seq FROM owner_log WHERE seq <= ?1 ORDER BY seq LIMIT ?2)",
    [WL_SQL_OWNER_SCAN] = "SELECT DISTINCT uid FROM asset WHERE uid >= ?1 AND state <> 3"
                          " ORDER BY uid LIMIT ?2",
};

/* The key of a record as parameters 1 to 3. */
void wl_asset_db_sqlite_key(sqlite3_stmt *sql, uint64_t uid, const char *line, const char *bucket) {
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)uid);
    (void)sqlite3_bind_text(sql, 2, line, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(sql, 3, bucket, -1, SQLITE_STATIC);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* The numbers of the shard, as committed. */
static wl_err_t db_look(wl_asset_db_sqlite_t *self) {
    sqlite3_stmt *sql = self->sql[WL_SQL_LOOK];
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    int64_t seq = err == WL_OK && row ? sqlite3_column_int64(sql, 0) : -1;
    int64_t trimmed = err == WL_OK && row ? sqlite3_column_int64(sql, 1) : -1;
    int64_t newest = err == WL_OK && row ? sqlite3_column_int64(sql, 2) : -1;
    wl_sqlite_reset(sql);
    if (err == WL_OK && (seq < 0 || trimmed < 0 || newest < trimmed)) {
        err = WL_ERR_DAMAGED;
    }
    if (err == WL_OK) {
        self->base.commit_seq = (uint64_t)seq;
        self->base.owner_trimmed = (uint64_t)trimmed;
        self->base.owner_newest = (uint64_t)newest;
    }
    return err;
}

/* Whose file it is; written first into a new one. */
static wl_err_t meta_load(wl_asset_db_sqlite_t *self, const wl_asset_db_options_t *options,
                          wl_fault_t *fault) {
    int64_t shard = 0;
    int64_t shards = 0;
    wl_err_t err = wl_sqlite_number(self->db, "SELECT shard FROM meta", &shard);
    if (err == WL_ERR_NOT_FOUND) {
        char sql[128];
        (void)snprintf(sql, sizeof sql,
                       "INSERT OR IGNORE INTO meta(id, shard, commit_seq,"
                       " owner_trimmed, shards) VALUES(1, %u, 0, 0, %u)",
                       options->shard, options->shards);
        err = wl_sqlite_exec(self->db, sql);
        if (err == WL_OK) { /* another handle may have been faster */
            err = wl_sqlite_number(self->db, "SELECT shard FROM meta", &shard);
        }
    }
    if (err == WL_OK) {
        err = wl_sqlite_number(self->db, "SELECT shards FROM meta", &shards);
    }
    if (err == WL_OK) {
        err = db_look(self);
    }
    if (err != WL_OK) {
        return wl_fault(fault, err, options->path, "the numbers of the shard cannot be read: %s",
                        sqlite3_errmsg(self->db));
    }
    if (shard != (int64_t)options->shard) {
        return wl_fault(fault, WL_ERR_SETTINGS, options->path,
                        "this is the file of shard %lld, not of shard %u", (long long)shard,
                        options->shard);
    }
    if (shards > 0 && options->shards > 0 && shards != (int64_t)options->shards) {
        return wl_fault(fault, WL_ERR_SETTINGS, options->path,
                        "shard.instances is %u, this data was written with %lld; the number is "
                        "fixed once data is there",
                        options->shards, (long long)shards);
    }
    self->sweeping = true;
    return WL_OK;
}

static void db_close(wl_asset_db_t *base) {
    wl_asset_db_sqlite_t *self = (wl_asset_db_sqlite_t *)base;
    wl_sqlite_finalize(self->sql, WL_SQL_COUNT);
    wl_sqlite_close(&self->db);
    wl_free(self);
}

/* ---- one transaction ------------------------------------------------------------------------- */

static wl_err_t db_begin(wl_asset_db_t *base) {
    wl_asset_db_sqlite_t *self = (wl_asset_db_sqlite_t *)base;
    self->owner_births = 0;
    self->purged = false;
    return wl_sqlite_run(self->sql[WL_SQL_BEGIN]);
}

static wl_err_t db_fence(wl_asset_db_t *base, uint32_t partition, uint64_t epoch) {
    wl_asset_db_sqlite_t *self = (wl_asset_db_sqlite_t *)base;
    sqlite3_stmt *read = self->sql[WL_SQL_FENCE_READ];
    sqlite3_stmt *raise = self->sql[WL_SQL_FENCE];
    bool row = false;
    (void)sqlite3_bind_int64(read, 1, partition);
    wl_err_t err = wl_sqlite_step(read, &row);
    uint64_t stored = err == WL_OK && row ? (uint64_t)sqlite3_column_int64(read, 0) : 0;
    wl_sqlite_reset(read);
    if (err != WL_OK || stored >= epoch) {
        return err == WL_OK && stored > epoch ? WL_ERR_CONFLICT : err;
    }
    (void)sqlite3_bind_int64(raise, 1, partition);
    (void)sqlite3_bind_int64(raise, 2, (sqlite3_int64)epoch);
    return wl_sqlite_run(raise);
}

static wl_err_t db_get(wl_asset_db_t *base, uint64_t uid, const char *line, const char *bucket,
                       wl_asset_t *ret) {
    wl_asset_db_sqlite_t *self = (wl_asset_db_sqlite_t *)base;
    sqlite3_stmt *sql = self->sql[WL_SQL_GET];
    bool row = false;
    wl_asset_db_sqlite_key(sql, uid, line, bucket);
    wl_err_t err = wl_sqlite_step(sql, &row);
    if (err == WL_OK) {
        err = row ? wl_asset_row_read(sql, ret) : WL_ERR_NOT_FOUND;
    }
    if (err == WL_OK && ret->extra_bytes > 0) {
        memcpy(base->extra, ret->extra, ret->extra_bytes);
        ret->extra = base->extra;
    }
    wl_sqlite_reset(sql);
    return err;
}

/* A new row has been inserted: was there room? The row goes again if not; its log row may stay,
 * the user owns plenty. */
static wl_err_t apply_born(wl_asset_db_sqlite_t *self, const wl_asset_t *asset,
                           wl_apply_result_t *ret_result) {
    sqlite3_stmt *sql = self->sql[WL_SQL_USER_ROWS];
    bool row = false;
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)asset->uid);
    wl_err_t err = wl_sqlite_step(sql, &row);
    int64_t rows = err == WL_OK && row ? sqlite3_column_int64(sql, 0) : 0;
    wl_sqlite_reset(sql);
    if (err != WL_OK || rows <= WL_USER_ASSETS_MAX) {
        *ret_result = WL_APPLY_STORED;
        return err;
    }
    wl_asset_db_sqlite_key(self->sql[WL_SQL_REMOVE], asset->uid, asset->line, asset->bucket);
    *ret_result = WL_APPLY_FULL;
    return wl_sqlite_run(self->sql[WL_SQL_REMOVE]);
}

/* The version guard refused: the same version once more, or an older one? */
static wl_err_t apply_touch(wl_asset_db_sqlite_t *self, const wl_asset_t *asset,
                            wl_apply_result_t *ret_result) {
    sqlite3_stmt *touch = self->sql[WL_SQL_TOUCH];
    wl_asset_db_sqlite_key(touch, asset->uid, asset->line, asset->bucket);
    (void)sqlite3_bind_int64(touch, 4, (sqlite3_int64)asset->version);
    (void)sqlite3_bind_int64(touch, 5, asset->pulled_at);
    int64_t before =
        asset->pulled_at < INT64_MIN + WL_TOUCH_MS ? INT64_MIN : asset->pulled_at - WL_TOUCH_MS;
    (void)sqlite3_bind_int64(touch, 6, before);
    wl_err_t err = wl_sqlite_run(touch);
    if (err == WL_OK && sqlite3_changes(self->db) == 1) {
        *ret_result = WL_APPLY_TOUCHED;
        return WL_OK;
    }
    wl_asset_t stored;
    if (err == WL_OK) {
        err = db_get(&self->base, asset->uid, asset->line, asset->bucket, &stored);
    }
    if (err == WL_OK) {
        *ret_result = stored.version == asset->version ? WL_APPLY_TOUCHED : WL_APPLY_OLDER;
    }
    return err == WL_ERR_NOT_FOUND ? WL_ERR_DAMAGED : err; /* the upsert met a row */
}

static wl_err_t db_apply(wl_asset_db_t *base, const wl_asset_t *asset, wl_apply_result_t *ret) {
    wl_asset_db_sqlite_t *self = (wl_asset_db_sqlite_t *)base;
    wl_err_t err = WL_OK;
    bool may_be_full = asset->state == WL_STATE_GONE; /* a tombstone is not logged when born */
    if (may_be_full) {
        wl_asset_t stored;
        err = db_get(&self->base, asset->uid, asset->line, asset->bucket, &stored);
        may_be_full = err == WL_ERR_NOT_FOUND;
        if (err != WL_OK && err != WL_ERR_NOT_FOUND) {
            return err;
        }
    }
    sqlite3_stmt *upsert = self->sql[WL_SQL_UPSERT];
    wl_asset_row_bind(upsert, asset);
    int64_t changes_before = sqlite3_total_changes64(self->db);
    wl_apply_result_t result = WL_APPLY_STORED;
    err = wl_sqlite_run(upsert);
    int64_t changes = sqlite3_total_changes64(self->db) - changes_before;
    if (err == WL_OK && changes == 0) {
        err = apply_touch(self, asset, &result);
    } else if (err == WL_OK && (changes > 1 || may_be_full)) {
        self->owner_births += changes > 1;
        err = apply_born(self, asset, &result);
    }
    if (err == WL_OK) {
        *ret = result;
    }
    return err;
}

/* Deletes some of the owner log's trimmed rows. */
static wl_err_t owner_sweep(wl_asset_db_sqlite_t *self) {
    sqlite3_stmt *sql = self->sql[WL_SQL_OWNER_SWEEP];
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)self->base.owner_trimmed);
    (void)sqlite3_bind_int64(sql, 2, WL_OWNER_SWEEP_ROWS);
    wl_err_t err = wl_sqlite_run(sql);
    if (err == WL_OK) {
        self->sweeping = sqlite3_changes(self->db) == WL_OWNER_SWEEP_ROWS;
    }
    return err;
}

static wl_err_t meta_store(wl_asset_db_sqlite_t *self, uint64_t commit_seq,
                           uint64_t owner_trimmed) {
    sqlite3_stmt *sql = self->sql[WL_SQL_META];
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)commit_seq);
    (void)sqlite3_bind_int64(sql, 2, (sqlite3_int64)owner_trimmed);
    return wl_sqlite_run(sql);
}

static wl_err_t db_commit(wl_asset_db_t *base) {
    wl_asset_db_sqlite_t *self = (wl_asset_db_sqlite_t *)base;
    uint64_t newest = base->owner_newest + self->owner_births;
    uint64_t trimmed = wl_asset_db_trim_point(base, newest);
    wl_err_t err = self->sweeping ? owner_sweep(self) : WL_OK;
    if (err == WL_OK) {
        err = meta_store(self, base->commit_seq + 1, trimmed);
    }
    if (err == WL_OK) {
        err = wl_sqlite_exec(self->db, "COMMIT");
    }
    if (err != WL_OK) {
        self->sweeping = true;
        return err;
    }
    base->commit_seq++;
    base->owner_newest = newest;
    self->scrub_due = self->scrub_due || self->purged;
    self->sweeping = self->sweeping || trimmed > base->owner_trimmed;
    base->owner_trimmed = trimmed;
    return WL_OK;
}

static void db_rollback(wl_asset_db_t *base) {
    wl_asset_db_sqlite_t *self = (wl_asset_db_sqlite_t *)base;
    /* Only the rollback is wanted; the error is the one that ended the transaction. */
    (void)!wl_sqlite_end(self->db, WL_ERR_IO);
    self->sweeping = true;
}

/* ---- reads ----------------------------------------------------------------------------------- */

/* All rows that a statement gives. */
static wl_err_t rows_read(sqlite3_stmt *sql, wl_asset_rows_t *rows) {
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    while (err == WL_OK && row) {
        wl_asset_t asset;
        err = wl_asset_row_read(sql, &asset);
        if (err == WL_OK) {
            wl_asset_rows_add(rows, &asset);
            err = wl_sqlite_step(sql, &row);
        }
    }
    wl_sqlite_reset(sql);
    return err;
}

static wl_err_t db_fetch(wl_asset_db_t *base, uint64_t uid, wl_asset_rows_t *rows) {
    wl_asset_db_sqlite_t *self = (wl_asset_db_sqlite_t *)base;
    (void)sqlite3_bind_int64(self->sql[WL_SQL_FETCH], 1, (sqlite3_int64)uid);
    return rows_read(self->sql[WL_SQL_FETCH], rows);
}

static wl_err_t db_scan(wl_asset_db_t *base, const wl_asset_cursor_t *cursor, uint32_t max,
                        wl_asset_rows_t *rows) {
    wl_asset_db_sqlite_t *self = (wl_asset_db_sqlite_t *)base;
    sqlite3_stmt *sql = self->sql[WL_SQL_SCAN];
    /* No line is "", so (least uid, "", "") is before all records. */
    uint64_t uid = cursor->started ? cursor->uid : (uint64_t)INT64_MIN;
    wl_asset_db_sqlite_key(sql, uid, cursor->line, cursor->bucket);
    (void)sqlite3_bind_int64(sql, 4, max);
    return rows_read(sql, rows);
}

static wl_err_t db_owns(wl_asset_db_t *base, uint64_t uid, bool *ret_owns) {
    wl_asset_db_sqlite_t *self = (wl_asset_db_sqlite_t *)base;
    sqlite3_stmt *sql = self->sql[WL_SQL_OWNS];
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)uid);
    wl_err_t err = wl_sqlite_step(sql, ret_owns);
    wl_sqlite_reset(sql);
    return err;
}

static wl_err_t db_look_if_readonly(wl_asset_db_t *base) {
    return base->readonly ? db_look((wl_asset_db_sqlite_t *)base)
                          : WL_OK; /* who writes knows the numbers */
}

static wl_err_t db_count(wl_asset_db_t *base, uint64_t *ret_rows) {
    int64_t rows = 0;
    wl_err_t err =
        wl_sqlite_number(((wl_asset_db_sqlite_t *)base)->db, "SELECT count(*) FROM asset", &rows);
    if (err == WL_OK) {
        *ret_rows = (uint64_t)rows;
    }
    return err;
}

static const char *db_problem(wl_asset_db_t *base) {
    sqlite3 *db = ((wl_asset_db_sqlite_t *)base)->db;
    return sqlite3_errcode(db) == SQLITE_OK ? "" : sqlite3_errmsg(db);
}

/* ---- owners ---------------------------------------------------------------------------------- */

/* Users in the last of `columns` columns, at most max; *ret_last: the first column of the last row.
 * */
static wl_err_t users_read(sqlite3_stmt *sql, int columns, uint32_t max, uint64_t *ret_uids,
                           uint32_t *ret_count, int64_t *ret_last) {
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    while (err == WL_OK && row && *ret_count < max) {
        *ret_last = sqlite3_column_int64(sql, 0);
        ret_uids[(*ret_count)++] = (uint64_t)sqlite3_column_int64(sql, columns - 1);
        err = wl_sqlite_step(sql, &row);
    }
    wl_sqlite_reset(sql);
    return err;
}

static wl_err_t db_owner_log(wl_asset_db_t *base, uint64_t after, uint32_t max, uint64_t *ret_uids,
                             uint32_t *ret_count, uint64_t *ret_last) {
    sqlite3_stmt *sql = ((wl_asset_db_sqlite_t *)base)->sql[WL_SQL_OWNER_LOG];
    if (after > INT64_MAX) {
        return WL_OK; /* a number that no file has: found out by its caller */
    }
    int64_t last = (int64_t)after;
    (void)sqlite3_bind_int64(sql, 1, last);
    (void)sqlite3_bind_int64(sql, 2, max);
    wl_err_t err = users_read(sql, 2, max, ret_uids, ret_count, &last);
    *ret_last = (uint64_t)last;
    return err;
}

static wl_err_t db_owner_trim(wl_asset_db_t *base, uint64_t up_to) {
    wl_asset_db_sqlite_t *self = (wl_asset_db_sqlite_t *)base;
    uint64_t trimmed_before = base->owner_trimmed;
    wl_err_t err = db_begin(base);
    if (err != WL_OK) {
        return err;
    }
    err = meta_store(self, base->commit_seq, up_to);
    if (err == WL_OK) {
        base->owner_trimmed = up_to;
        err = owner_sweep(self);
    }
    err = wl_sqlite_end(self->db, err);
    if (err != WL_OK) {
        base->owner_trimmed = trimmed_before;
        self->sweeping = true;
    }
    return err;
}

static wl_err_t db_owner_scan(wl_asset_db_t *base, bool started, int64_t *cursor, uint32_t max,
                              uint64_t *ret_uids, uint32_t *ret_count) {
    if (started && *cursor == INT64_MAX) {
        return WL_OK;
    }
    sqlite3_stmt *sql = ((wl_asset_db_sqlite_t *)base)->sql[WL_SQL_OWNER_SCAN];
    (void)sqlite3_bind_int64(sql, 1, started ? *cursor + 1 : INT64_MIN);
    (void)sqlite3_bind_int64(sql, 2, max);
    int64_t last = *cursor;
    wl_err_t err = users_read(sql, 1, max, ret_uids, ret_count, &last);
    if (err == WL_OK) {
        *cursor = last;
    }
    return err;
}

/* ---- life ------------------------------------------------------------------------------------ */

static const wl_asset_db_ops_t db_ops = {
    .begin = db_begin,
    .fence = db_fence,
    .apply = db_apply,
    .consent_note = wl_asset_db_sqlite_consent_note,
    .purge = wl_asset_db_sqlite_purge,
    .commit = db_commit,
    .rollback = db_rollback,
    .scrub = wl_asset_db_sqlite_scrub,
    .get = db_get,
    .fetch = db_fetch,
    .users = wl_asset_db_sqlite_users,
    .scan = db_scan,
    .owns = db_owns,
    .look = db_look_if_readonly,
    .owner_log = db_owner_log,
    .owner_trim = db_owner_trim,
    .owner_scan = db_owner_scan,
    .count = db_count,
    .problem = db_problem,
    .close = db_close,
};

/* A readonly handle makes the file as well when it is there first, so that the order in which
 * actors start does not matter, and writes nothing from then on. */
wl_err_t wl_asset_db_sqlite_open(const wl_asset_db_options_t *options, wl_asset_db_t **ret,
                                 wl_fault_t *fault) {
    wl_asset_db_sqlite_t *self = wl_alloc_zero(1, sizeof *self);
    self->base.ops = &db_ops;
    self->scrub_due = true;
    self->busy_timeout_ms = (int)options->busy_timeout_ms;
    wl_sqlite_options_t open = {.path = options->path,
                                .application_id = wl_schema_asset_db.application_id,
                                .busy_timeout_ms = options->busy_timeout_ms,
                                .cache_kib = CACHE_KIB,
                                .checkpoint_pages = CHECKPOINT_PAGES,
                                /* measured: 1 % more bytes when the owner log is trimmed,
                                 * none for upserts */
                                .wipe_pages = true,
                                .full_sync = true};
    wl_err_t err = wl_sqlite_open(&open, &self->db, fault);
    if (err == WL_OK) {
        err = wl_schema_migrate(self->db, &wl_schema_asset_db, options->path, fault);
    }
    if (err == WL_OK) {
        err = wl_sqlite_prepare(self->db, sql_texts, WL_SQL_COUNT, self->sql);
        if (err != WL_OK) {
            (void)wl_fault(fault, err, options->path, "the tables are not those of this version");
        }
    }
    if (err == WL_OK) {
        err = meta_load(self, options, fault);
    }
    if (err == WL_OK && options->readonly) {
        err = wl_sqlite_exec(self->db, "PRAGMA query_only=ON");
    }
    if (err != WL_OK) {
        db_close(&self->base);
        return err;
    }
    *ret = &self->base;
    return WL_OK;
}
