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
 * its own, outside any transaction; `failed` stops that. */
#include "store/asset_db.h"

#include "base/alloc.h"
#include "base/check.h"
#include "store/asset_row.h"
#include "store/migrations.h"
#include "store/sqlite_tool.h"

#include <string.h>

enum {
    CACHE_KIB = 65536,
    CHECKPOINT_PAGES = 4000,      /* 16 MB of WAL: some ten commits of 500 scattered rows */
    TOUCH_MS = 1000,              /* an equal version moves pulled_at only by so much */
    OWNER_LOG_ROWS_MAX = 4194304, /* about 60 MB; older rows go, and a reader is sent to scan */
    OWNER_SWEEP_ROWS = 1000,      /* trimmed rows deleted by one commit: about a millisecond */
};

typedef enum {
    SQL_BEGIN,
    SQL_UPSERT,
    SQL_TOUCH,
    SQL_GET,
    SQL_FETCH,
    SQL_OWNS,
    SQL_USER_ROWS,
    SQL_REMOVE,
    SQL_META,
    SQL_OWNER_LOG,
    SQL_OWNER_SWEEP,
    SQL_OWNER_SCAN,
    SQL_COUNT
} sql_t;

static const char *const sql_texts[SQL_COUNT] = {
    [SQL_BEGIN] = "BEGIN IMMEDIATE",
    [SQL_UPSERT] = "INSERT INTO asset(" WL_ASSET_COLUMNS ")"
                   " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
                   " ON CONFLICT(uid, line, bucket) DO UPDATE SET kind = excluded.kind,"
                   " amount = excluded.amount, unit = excluded.unit, scale = excluded.scale,"
                   " count = excluded.count, pending = excluded.pending, state = excluded.state,"
                   " expires_at = excluded.expires_at, version = excluded.version,"
                   " changed_at = excluded.changed_at, pulled_at = excluded.pulled_at,"
                   " extra = excluded.extra WHERE excluded.version > asset.version",
    [SQL_TOUCH] = "UPDATE asset SET pulled_at = ?5 WHERE uid = ?1 AND line = ?2 AND bucket = ?3"
                  " AND version = ?4 AND pulled_at <= ?6",
    [SQL_GET] = "SELECT " WL_ASSET_COLUMNS " FROM asset"
                " WHERE uid = ?1 AND line = ?2 AND bucket = ?3",
    [SQL_FETCH] = "SELECT " WL_ASSET_COLUMNS " FROM asset WHERE uid = ?1 AND state <> 3",
    [SQL_OWNS] = "SELECT 1 FROM asset WHERE uid = ?1 AND state <> 3 LIMIT 1",
    [SQL_USER_ROWS] = "SELECT count(*) FROM asset WHERE uid = ?1",
    [SQL_REMOVE] = "DELETE FROM asset WHERE uid = ?1 AND line = ?2 AND bucket = ?3",
    [SQL_META] = "UPDATE meta SET commit_seq = ?1, owner_trimmed = ?2 WHERE id = 1",
    [SQL_OWNER_LOG] = "SELECT seq, uid FROM owner_log WHERE seq > ?1 ORDER BY seq LIMIT ?2",
    [SQL_OWNER_SWEEP] = "DELETE FROM owner_log WHERE seq IN"
                        " (SELECT seq FROM owner_log WHERE seq <= ?1 ORDER BY seq LIMIT ?2)",
    [SQL_OWNER_SCAN] = "SELECT DISTINCT uid FROM asset WHERE uid >= ?1 AND state <> 3"
                       " ORDER BY uid LIMIT ?2",
};

struct wl_asset_db {
    sqlite3 *db;
    sqlite3_stmt *sql[SQL_COUNT];
    uint64_t commit_seq;    /* of the last commit */
    uint64_t owner_newest;  /* newest number of the owner log, committed */
    uint64_t owner_births;  /* numbers that the open transaction has added */
    uint64_t owner_trimmed; /* log rows up to here are gone or may go */
    bool sweeping;          /* some of them may still be there */
    bool in_transaction;
    wl_err_t failed;                   /* why the open transaction can only be rolled back */
    uint8_t extra[WL_EXTRA_BYTES_MAX]; /* what get returned last */
};

/* The key of a record as parameters 1 to 3. */
static void key_bind(sqlite3_stmt *sql, uint64_t uid, const char *line, const char *bucket) {
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)uid);
    (void)sqlite3_bind_text(sql, 2, line, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(sql, 3, bucket, -1, SQLITE_STATIC);
}

/* The shard number, the counters and the newest log number, written first into a new file. */
static wl_err_t meta_load(wl_asset_db_t *self, const wl_asset_db_options_t *options,
                          wl_fault_t *fault) {
    char *sql = sqlite3_mprintf("INSERT OR IGNORE INTO meta(id, shard, commit_seq,"
                                " owner_trimmed, shards)"
                                " VALUES(1, %u, 0, 0, %u)",
                                options->shard, options->shards);
    WL_ASSERT(sql != NULL);
    int64_t shard = 0;
    int64_t shards = 0;
    int64_t rows = 0;
    wl_err_t err = wl_sqlite_number(self->db, "SELECT count(*) FROM meta", &rows);
    if (err == WL_OK && rows == 0) {
        err = wl_sqlite_exec(self->db, sql);
    }
    sqlite3_free(sql);
    int64_t seq = 0;
    int64_t trimmed = 0;
    int64_t newest = 0;
    if (err == WL_OK) {
        err = wl_sqlite_number(self->db, "SELECT shard FROM meta", &shard);
    }
    if (err == WL_OK) {
        err = wl_sqlite_number(self->db, "SELECT shards FROM meta", &shards);
    }
    if (err == WL_OK) {
        err = wl_sqlite_number(self->db, "SELECT commit_seq FROM meta", &seq);
    }
    if (err == WL_OK) {
        err = wl_sqlite_number(self->db, "SELECT owner_trimmed FROM meta", &trimmed);
    }
    if (err == WL_OK) {
        err = wl_sqlite_number(self->db, "SELECT coalesce(max(seq), 0) FROM owner_log", &newest);
    }
    if (err != WL_OK || seq < 0 || trimmed < 0 || newest < trimmed) {
        return wl_fault(fault, err == WL_OK ? WL_ERR_DAMAGED : err, options->path,
                        "the numbers of the shard cannot be read: %s", sqlite3_errmsg(self->db));
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
    self->commit_seq = (uint64_t)seq;
    self->owner_trimmed = (uint64_t)trimmed;
    self->owner_newest = (uint64_t)newest;
    self->sweeping = true;
    return WL_OK;
}

wl_err_t wl_asset_db_open(const wl_asset_db_options_t *options, wl_asset_db_t **ret,
                          wl_fault_t *fault) {
    wl_asset_db_t *self = wl_alloc_zero(1, sizeof *self);
    wl_sqlite_options_t open = {.path = options->path,
                                .application_id = wl_schema_asset_db.application_id,
                                .busy_timeout_ms = options->busy_timeout_ms,
                                .cache_kib = CACHE_KIB,
                                .checkpoint_pages = CHECKPOINT_PAGES,
                                .full_sync = true};
    wl_err_t err = wl_sqlite_open(&open, &self->db, fault);
    if (err == WL_OK) {
        err = wl_schema_migrate(self->db, &wl_schema_asset_db, options->path, fault);
    }
    if (err == WL_OK) {
        err = wl_sqlite_prepare(self->db, sql_texts, SQL_COUNT, self->sql);
        if (err != WL_OK) {
            (void)wl_fault(fault, err, options->path, "the tables are not those of this version");
        }
    }
    if (err == WL_OK) {
        err = meta_load(self, options, fault);
    }
    if (err != WL_OK) {
        wl_asset_db_close(&self);
        return err;
    }
    *ret = self;
    return WL_OK;
}

void wl_asset_db_close(wl_asset_db_t **self) {
    if (*self == NULL) {
        return;
    }
    wl_asset_db_rollback(*self);
    wl_sqlite_finalize((*self)->sql, SQL_COUNT);
    wl_sqlite_close(&(*self)->db);
    wl_free(*self);
    *self = NULL;
}

wl_err_t wl_asset_db_begin(wl_asset_db_t *self) {
    WL_ASSERT(!self->in_transaction);
    wl_err_t err = wl_sqlite_run(self->sql[SQL_BEGIN]);
    if (err == WL_OK) {
        self->in_transaction = true;
        self->failed = WL_OK;
        self->owner_births = 0;
    }
    return err;
}

/* Notes the first error of the transaction; from here on only rollback is possible. */
static wl_err_t transaction_check(wl_asset_db_t *self, wl_err_t err) {
    if (err != WL_OK && self->in_transaction && self->failed == WL_OK) {
        self->failed = err;
    }
    return err;
}

/* A new row has been inserted: was there room? The row goes again if not; its log row may stay,
 * the user owns plenty. */
static wl_err_t apply_born(wl_asset_db_t *self, const wl_asset_t *asset,
                           wl_apply_result_t *ret_result) {
    sqlite3_stmt *sql = self->sql[SQL_USER_ROWS];
    bool row = false;
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)asset->uid);
    wl_err_t err = wl_sqlite_step(sql, &row);
    int64_t rows = err == WL_OK && row ? sqlite3_column_int64(sql, 0) : 0;
    wl_sqlite_reset(sql);
    if (err != WL_OK || rows <= WL_USER_ASSETS_MAX) {
        *ret_result = WL_APPLY_STORED;
        return err;
    }
    key_bind(self->sql[SQL_REMOVE], asset->uid, asset->line, asset->bucket);
    *ret_result = WL_APPLY_FULL;
    return wl_sqlite_run(self->sql[SQL_REMOVE]);
}

/* The version guard refused: the same version once more, or an older one? */
static wl_err_t apply_touch(wl_asset_db_t *self, const wl_asset_t *asset,
                            wl_apply_result_t *ret_result) {
    sqlite3_stmt *touch = self->sql[SQL_TOUCH];
    key_bind(touch, asset->uid, asset->line, asset->bucket);
    (void)sqlite3_bind_int64(touch, 4, (sqlite3_int64)asset->version);
    (void)sqlite3_bind_int64(touch, 5, asset->pulled_at);
    int64_t before =
        asset->pulled_at < INT64_MIN + TOUCH_MS ? INT64_MIN : asset->pulled_at - TOUCH_MS;
    (void)sqlite3_bind_int64(touch, 6, before);
    wl_err_t err = wl_sqlite_run(touch);
    if (err == WL_OK && sqlite3_changes(self->db) == 1) {
        *ret_result = WL_APPLY_TOUCHED;
        return WL_OK;
    }
    wl_asset_t stored;
    if (err == WL_OK) {
        err = wl_asset_db_get(self, asset->uid, asset->line, asset->bucket, &stored);
    }
    if (err == WL_OK) {
        *ret_result = stored.version == asset->version ? WL_APPLY_TOUCHED : WL_APPLY_OLDER;
    }
    return err == WL_ERR_NOT_FOUND ? WL_ERR_DAMAGED : err; /* the upsert met a row */
}

wl_err_t wl_asset_db_apply(wl_asset_db_t *self, const wl_asset_t *asset,
                           wl_apply_result_t *ret_result) {
    WL_ASSERT(self->in_transaction);
    if (self->failed != WL_OK) {
        return self->failed;
    }
    wl_err_t err = wl_asset_row_check(asset);
    if (err != WL_OK) {
        return err; /* the record's fault: the transaction goes on */
    }
    bool may_be_full = asset->state == WL_STATE_GONE; /* a tombstone is not logged when born */
    if (may_be_full) {
        wl_asset_t stored;
        err = wl_asset_db_get(self, asset->uid, asset->line, asset->bucket, &stored);
        may_be_full = err == WL_ERR_NOT_FOUND;
        if (err != WL_OK && err != WL_ERR_NOT_FOUND) {
            return transaction_check(self, err);
        }
    }
    sqlite3_stmt *upsert = self->sql[SQL_UPSERT];
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
        *ret_result = result;
    }
    return transaction_check(self, err);
}

/* Deletes some of the owner log's trimmed rows. */
static wl_err_t owner_sweep(wl_asset_db_t *self) {
    sqlite3_stmt *sql = self->sql[SQL_OWNER_SWEEP];
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)self->owner_trimmed);
    (void)sqlite3_bind_int64(sql, 2, OWNER_SWEEP_ROWS);
    wl_err_t err = wl_sqlite_run(sql);
    if (err == WL_OK) {
        self->sweeping = sqlite3_changes(self->db) == OWNER_SWEEP_ROWS;
    }
    return err;
}

static wl_err_t meta_store(wl_asset_db_t *self, uint64_t commit_seq, uint64_t owner_trimmed) {
    sqlite3_stmt *sql = self->sql[SQL_META];
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)commit_seq);
    (void)sqlite3_bind_int64(sql, 2, (sqlite3_int64)owner_trimmed);
    return wl_sqlite_run(sql);
}

wl_err_t wl_asset_db_commit(wl_asset_db_t *self, uint64_t *ret_commit_seq) {
    WL_ASSERT(self->in_transaction);
    if (self->failed != WL_OK) {
        return self->failed;
    }
    uint64_t newest = self->owner_newest + self->owner_births;
    uint64_t trimmed = self->owner_trimmed;
    if (newest - trimmed > OWNER_LOG_ROWS_MAX) {
        trimmed = newest - OWNER_LOG_ROWS_MAX;
    }
    wl_err_t err = self->sweeping ? owner_sweep(self) : WL_OK;
    if (err == WL_OK) {
        err = meta_store(self, self->commit_seq + 1, trimmed);
    }
    if (err == WL_OK) {
        err = wl_sqlite_exec(self->db, "COMMIT");
    }
    if (err != WL_OK) {
        self->sweeping = true;
        return transaction_check(self, err);
    }
    self->in_transaction = false;
    self->commit_seq++;
    self->owner_newest = newest;
    self->sweeping = self->sweeping || trimmed > self->owner_trimmed;
    self->owner_trimmed = trimmed;
    *ret_commit_seq = self->commit_seq;
    return WL_OK;
}

void wl_asset_db_rollback(wl_asset_db_t *self) {
    if (self->in_transaction) {
        /* Only the rollback is wanted; the error is the one that ended the transaction. */
        (void)!wl_sqlite_end(self->db, WL_ERR_IO);
        self->in_transaction = false;
        self->owner_births = 0;
        self->failed = WL_OK;
        self->sweeping = true;
    }
}

wl_err_t wl_asset_db_get(wl_asset_db_t *self, uint64_t uid, const char *line, const char *bucket,
                         wl_asset_t *ret) {
    sqlite3_stmt *sql = self->sql[SQL_GET];
    bool row = false;
    wl_asset_t asset;
    key_bind(sql, uid, line, bucket);
    wl_err_t err = wl_sqlite_step(sql, &row);
    if (err == WL_OK) {
        err = row ? wl_asset_row_read(sql, &asset) : WL_ERR_NOT_FOUND;
    }
    if (err == WL_OK) {
        if (asset.extra_bytes > 0) {
            memcpy(self->extra, asset.extra, asset.extra_bytes);
            asset.extra = self->extra;
        }
        *ret = asset;
    }
    wl_sqlite_reset(sql);
    return err;
}

wl_err_t wl_asset_db_fetch(wl_asset_db_t *self, uint64_t uid, wl_asset_rows_t *rows) {
    sqlite3_stmt *sql = self->sql[SQL_FETCH];
    uint32_t count_before = rows->count;
    size_t pool_before = rows->pool_used;
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)uid);
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
    if (err != WL_OK) {
        rows->count = count_before; /* a user whole or not at all */
        rows->pool_used = pool_before;
    }
    return err;
}

static uint64_t shim_epochs[16];
wl_err_t wl_asset_db_expect(wl_asset_db_t *self, const uint64_t *uids, uint32_t count) {
    (void)self;
    (void)uids;
    (void)count;
    return WL_OK;
}
wl_err_t wl_asset_db_fence(wl_asset_db_t *self, uint32_t partition, uint64_t epoch) {
    (void)self;
    if (epoch < shim_epochs[partition]) {
        return WL_ERR_CONFLICT;
    }
    shim_epochs[partition] = epoch;
    return WL_OK;
}
static wl_err_t shim_refresh(wl_asset_db_t *self) {
    int64_t seq = 0;
    int64_t trimmed = 0;
    int64_t newest = 0;
    wl_err_t err = wl_sqlite_number(self->db, "SELECT commit_seq FROM meta", &seq);
    if (err == WL_OK) {
        err = wl_sqlite_number(self->db, "SELECT owner_trimmed FROM meta", &trimmed);
    }
    if (err == WL_OK) {
        err = wl_sqlite_number(self->db, "SELECT coalesce(max(seq), 0) FROM owner_log", &newest);
    }
    if (err == WL_OK) {
        self->commit_seq = (uint64_t)seq;
        self->owner_trimmed = (uint64_t)trimmed;
        self->owner_newest = (uint64_t)newest;
    }
    return err;
}
wl_err_t wl_asset_db_fetch_many(wl_asset_db_t *self, const uint64_t *uids, uint32_t count,
                                wl_asset_rows_t *rows, uint64_t *ret_commit_seq) {
    wl_err_t err = shim_refresh(self);
    for (uint32_t i = 0; err == WL_OK && i < count; i++) {
        err = wl_asset_db_fetch(self, uids[i], rows);
    }
    if (err == WL_OK) {
        *ret_commit_seq = self->commit_seq;
    }
    return err;
}

wl_err_t wl_asset_db_owns(wl_asset_db_t *self, uint64_t uid, bool *ret_owns) {
    sqlite3_stmt *sql = self->sql[SQL_OWNS];
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)uid);
    wl_err_t err = wl_sqlite_step(sql, ret_owns);
    wl_sqlite_reset(sql);
    return err;
}

uint64_t wl_asset_db_commit_seq(const wl_asset_db_t *self) {
    return self->commit_seq;
}

uint64_t wl_asset_db_owner_seq(const wl_asset_db_t *self) {
    return self->owner_newest;
}

wl_err_t wl_asset_db_owner_log(wl_asset_db_t *self, uint64_t after, uint32_t max,
                               uint64_t *ret_uids, uint32_t *ret_count, uint64_t *ret_last) {
    if (after < self->owner_trimmed || after > self->owner_newest) {
        return WL_ERR_NOT_FOUND;
    }
    sqlite3_stmt *sql = self->sql[SQL_OWNER_LOG];
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)after);
    (void)sqlite3_bind_int64(sql, 2, max);
    uint32_t count = 0;
    uint64_t last = after;
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    while (err == WL_OK && row && count < max) {
        last = (uint64_t)sqlite3_column_int64(sql, 0);
        ret_uids[count++] = (uint64_t)sqlite3_column_int64(sql, 1);
        err = wl_sqlite_step(sql, &row);
    }
    wl_sqlite_reset(sql);
    if (err == WL_OK) {
        *ret_count = count;
        *ret_last = last;
    }
    return err;
}

wl_err_t wl_asset_db_owner_trim(wl_asset_db_t *self, uint64_t up_to) {
    if (self->owner_newest == 0) {
        return WL_OK;
    }
    /* The newest row stays, so that numbers go on from it. */
    uint64_t trimmed = up_to < self->owner_newest ? up_to : self->owner_newest - 1;
    if (trimmed <= self->owner_trimmed) {
        return WL_OK;
    }
    uint64_t trimmed_before = self->owner_trimmed;
    wl_err_t err = wl_asset_db_begin(self);
    if (err != WL_OK) {
        return err;
    }
    err = meta_store(self, self->commit_seq, trimmed);
    if (err == WL_OK) {
        self->owner_trimmed = trimmed;
        err = owner_sweep(self);
    }
    err = wl_sqlite_end(self->db, err);
    self->in_transaction = false;
    if (err != WL_OK) {
        self->owner_trimmed = trimmed_before;
        self->sweeping = true;
    }
    return err;
}

wl_err_t wl_asset_db_owner_scan(wl_asset_db_t *self, bool *started, int64_t *cursor, uint32_t max,
                                uint64_t *ret_uids, uint32_t *ret_count) {
    if (*started && *cursor == INT64_MAX) {
        *ret_count = 0;
        return WL_OK;
    }
    sqlite3_stmt *sql = self->sql[SQL_OWNER_SCAN];
    (void)sqlite3_bind_int64(sql, 1, *started ? *cursor + 1 : INT64_MIN);
    (void)sqlite3_bind_int64(sql, 2, max);
    uint32_t count = 0;
    int64_t last = *cursor;
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    while (err == WL_OK && row && count < max) {
        last = sqlite3_column_int64(sql, 0);
        ret_uids[count++] = (uint64_t)last;
        err = wl_sqlite_step(sql, &row);
    }
    wl_sqlite_reset(sql);
    if (err == WL_OK) {
        *ret_count = count;
        *cursor = last;
        *started = *started || count > 0;
    }
    return err;
}

wl_err_t wl_asset_db_count(wl_asset_db_t *self, uint64_t *ret_rows) {
    int64_t rows = 0;
    wl_err_t err = wl_sqlite_number(self->db, "SELECT count(*) FROM asset", &rows);
    if (err == WL_OK) {
        *ret_rows = (uint64_t)rows;
    }
    return err;
}
