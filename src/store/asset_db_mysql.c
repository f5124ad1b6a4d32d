/* The asset database in MySQL or MariaDB. One transaction is a handful of round trips, however many
 * records it has:
 *
 *     begin   START TRANSACTION; the numbers and fences, FOR UPDATE: from here on no other writer of
 *             this shard moves, so what is read below stays true, and numbers are in commit order
 *     expect  all records of those users, FOR UPDATE, in the order of their keys
 *     apply   in memory (asset_batch)
 *     commit  upserts of many rows, guarded by version in SQL as well; owner log; fences; numbers;
 *             COMMIT
 *
 * Reads outside a transaction are single statements, done again when the connection was closed. */
#include "base/alloc.h"
#include "base/check.h"
#include "store/asset_batch.h"
#include "store/asset_db_ops.h"
#include "store/asset_row.h"
#include "store/asset_row_mysql.h"
#include "store/mysql_schema.h"

#include <string.h>

enum {
    STATEMENT_ROWS = 512,     /* of one statement; more gain nothing */
    STATEMENT_BYTES = 524288, /* half of the least max_allowed_packet that we accept */
    FENCES_MAX = 64,          /* partitions of the queue that one shard can know */
};

/* The newest epoch of a partition. */
typedef struct {
    uint32_t partition;
    bool raised; /* by this transaction */
    uint64_t epoch;
} fence_t;

typedef struct {
    wl_asset_db_t base;
    wl_mysql_t *link;        /* owned */
    wl_mysql_shard_t shard;  /* whose database it must be */
    wl_asset_batch_t *batch; /* owned; users of the open transaction */
    wl_sql_text_t sql;       /* owned; of one statement */
    fence_t fences[FENCES_MAX];
    uint32_t fence_count;
} db_t;

/* ---- statements ------------------------------------------------------------------------------ */

/* Starts a statement; parts are added with wl_sql_... */
static wl_sql_text_t *sql_begin(db_t *self, const char *first) {
    wl_sql_text_clear(&self->sql);
    wl_sql_add(&self->sql, first);
    return &self->sql;
}

static wl_err_t sql_run(db_t *self) {
    return wl_mysql_run(self->link, self->sql.at, self->sql.used);
}

static wl_err_t sql_query(db_t *self) {
    return wl_mysql_query(self->link, self->sql.at, self->sql.used);
}

/* Appends all rows of the statement to rows. */
static wl_err_t sql_rows(db_t *self, wl_asset_rows_t *rows) {
    bool row = false;
    wl_err_t err = sql_query(self);
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    while (err == WL_OK && row) {
        wl_asset_t asset;
        err = wl_asset_row_take(self->link, &asset);
        if (err == WL_OK) {
            wl_asset_rows_add(rows, &asset);
            err = wl_mysql_next(self->link, &row);
        }
    }
    wl_mysql_done(self->link);
    return err;
}

/* "uid IN (1,2,3)" */
static void sql_users(wl_sql_text_t *sql, const uint64_t *uids, uint32_t count) {
    wl_sql_add(sql, "uid IN (");
    for (uint32_t i = 0; i < count; i++) {
        wl_sql_add(sql, i == 0 ? "" : ",");
        wl_sql_unsigned(sql, uids[i]);
    }
    wl_sql_add(sql, ")");
}

/* ---- the numbers ----------------------------------------------------------------------------- */

/* The current row's first columns. */
static wl_err_t numbers_take(db_t *self) {
    uint64_t commit_seq = 0;
    uint64_t newest = 0;
    uint64_t trimmed = 0;
    bool sound = wl_mysql_unsigned(self->link, 0, INT64_MAX, &commit_seq) &&
                 wl_mysql_unsigned(self->link, 1, INT64_MAX, &newest) &&
                 wl_mysql_unsigned(self->link, 2, newest, &trimmed);
    if (!sound) {
        return WL_ERR_DAMAGED;
    }
    self->base.commit_seq = commit_seq;
    self->base.owner_newest = newest;
    self->base.owner_trimmed = trimmed;
    return WL_OK;
}

static wl_err_t db_look(wl_asset_db_t *base) {
    db_t *self = (db_t *)base;
    bool row = false;
    wl_err_t err = wl_mysql_query_text(
        self->link, "SELECT commit_seq, owner_seq, owner_trimmed FROM meta WHERE id = 1");
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    if (err == WL_OK) {
        err = row ? numbers_take(self) : WL_ERR_DAMAGED;
    }
    wl_mysql_done(self->link);
    return err;
}

/* One fence beside the numbers; there may be none at all. */
static wl_err_t fence_take(db_t *self) {
    uint64_t partition = 0;
    uint64_t epoch = 0;
    size_t bytes = 0;
    if (wl_mysql_bytes(self->link, 3, &bytes) == NULL) {
        return WL_OK;
    }
    bool sound = self->fence_count < FENCES_MAX &&
                 wl_mysql_unsigned(self->link, 3, UINT32_MAX, &partition) &&
                 wl_mysql_unsigned(self->link, 4, UINT64_MAX, &epoch);
    if (!sound) {
        return WL_ERR_DAMAGED;
    }
    self->fences[self->fence_count++] = (fence_t){.partition = (uint32_t)partition, .epoch = epoch};
    return WL_OK;
}

/* The column read_only: a number, and a word in the newest MariaDB. */
static bool writable_take(db_t *self) {
    char text[8];
    return wl_mysql_copy(self->link, 5, text, sizeof text) &&
           (strcmp(text, "0") == 0 || strcmp(text, "OFF") == 0);
}

/* Locks the row of the numbers, and reads it with all fences. */
static wl_err_t numbers_lock(db_t *self) {
    bool row = false;
    uint32_t rows = 0;
    self->fence_count = 0;
    wl_err_t err = wl_mysql_query_text(
        self->link, "SELECT m.commit_seq, m.owner_seq, m.owner_trimmed, f.`partition`, f.epoch,"
                    " @@global.read_only FROM meta m LEFT JOIN fence f ON 1 = 1"
                    " WHERE m.id = 1 FOR UPDATE");
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    while (err == WL_OK && row) {
        rows++;
        err = numbers_take(self);
        if (err == WL_OK) {
            err = fence_take(self);
        }
        if (err == WL_OK && !writable_take(self)) {
            err = WL_ERR_UNAVAILABLE; /* another server has become the one to write to */
        }
        if (err == WL_OK) {
            err = wl_mysql_next(self->link, &row);
        }
    }
    wl_mysql_done(self->link);
    return err == WL_OK && rows == 0 ? WL_ERR_DAMAGED : err;
}

/* ---- one transaction ------------------------------------------------------------------------- */

static wl_err_t db_begin(wl_asset_db_t *base) {
    db_t *self = (db_t *)base;
    wl_asset_batch_clear(self->batch);
    wl_err_t err = wl_mysql_begin(self->link);
    if (err == WL_OK) {
        err = numbers_lock(self);
        if (err != WL_OK) {
            wl_mysql_rollback(self->link);
        }
    }
    return err;
}

/* Reads the users of one statement, which are new to the batch. */
static wl_err_t users_read(db_t *self, const uint64_t *uids, uint32_t count) {
    wl_sql_text_t *sql =
        sql_begin(self, "SELECT " WL_ASSET_COLUMNS " FROM asset FORCE INDEX (PRIMARY) WHERE ");
    sql_users(sql, uids, count);
    wl_sql_add(sql, " ORDER BY uid, line, bucket FOR UPDATE");
    for (uint32_t i = 0; i < count; i++) {
        wl_asset_batch_add_user(self->batch, uids[i]);
    }
    bool row = false;
    wl_err_t err = sql_query(self);
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    while (err == WL_OK && row) {
        wl_asset_t asset;
        err = wl_asset_row_take(self->link, &asset);
        if (err == WL_OK) {
            err = wl_asset_batch_load(self->batch, &asset);
        }
        if (err == WL_OK) {
            err = wl_mysql_next(self->link, &row);
        }
    }
    wl_mysql_done(self->link);
    return err;
}

static wl_err_t db_expect(wl_asset_db_t *base, const uint64_t *uids, uint32_t count) {
    db_t *self = (db_t *)base;
    uint64_t some[STATEMENT_ROWS];
    uint32_t some_count = 0;
    wl_err_t err = WL_OK;
    for (uint32_t i = 0; err == WL_OK && i < count; i++) {
        if (!wl_asset_batch_has(self->batch, uids[i])) {
            some[some_count++] = uids[i];
        }
        if (some_count == STATEMENT_ROWS || (some_count > 0 && i == count - 1)) {
            err = users_read(self, some, some_count);
            some_count = 0;
        }
    }
    return err;
}

/* Makes sure that the user is in the batch. After an error the transaction is over, so a user that was
 * read by half is not read again. */
static wl_err_t user_need(db_t *self, uint64_t uid) {
    wl_err_t err = wl_asset_batch_has(self->batch, uid) ? WL_OK : users_read(self, &uid, 1);
    if (err != WL_OK && self->base.failed == WL_OK) {
        self->base.failed = err;
    }
    return err;
}

static wl_err_t db_fence(wl_asset_db_t *base, uint32_t partition, uint64_t epoch) {
    db_t *self = (db_t *)base;
    uint32_t at = 0;
    while (at < self->fence_count && self->fences[at].partition != partition) {
        at++;
    }
    if (at == FENCES_MAX) {
        return WL_ERR_INTERNAL;
    }
    if (at == self->fence_count) {
        self->fences[self->fence_count++] = (fence_t){.partition = partition};
    }
    fence_t *fence = &self->fences[at];
    fence->raised = fence->raised || fence->epoch < epoch;
    if (fence->epoch < epoch) {
        fence->epoch = epoch;
    }
    return fence->epoch > epoch ? WL_ERR_CONFLICT : WL_OK;
}

static wl_err_t db_apply(wl_asset_db_t *base, const wl_asset_t *asset, wl_apply_result_t *ret) {
    db_t *self = (db_t *)base;
    wl_err_t err = user_need(self, asset->uid);
    if (err == WL_OK) {
        *ret = wl_asset_batch_apply(self->batch, asset);
    }
    return err;
}

/* ---- its end --------------------------------------------------------------------------------- */

static wl_err_t assets_write(db_t *self) {
    uint32_t cursor = 0;
    wl_err_t err = WL_OK;
    const wl_asset_t *asset = wl_asset_batch_changed(self->batch, &cursor);
    while (err == WL_OK && asset != NULL) {
        wl_sql_text_t *sql = sql_begin(self, wl_asset_upsert_head);
        uint32_t rows = 0;
        while (asset != NULL && rows < STATEMENT_ROWS && sql->used < STATEMENT_BYTES) {
            wl_sql_add(sql, rows == 0 ? "" : ",");
            wl_asset_row_write(sql, asset);
            rows++;
            asset = wl_asset_batch_changed(self->batch, &cursor);
        }
        wl_sql_add(sql, wl_asset_upsert_tail);
        err = sql_run(self);
    }
    return err;
}

static wl_err_t births_write(db_t *self, uint64_t *ret_newest) {
    uint32_t count = 0;
    const uint64_t *births = wl_asset_batch_births(self->batch, &count);
    uint64_t seq = self->base.owner_newest;
    wl_err_t err = WL_OK;
    for (uint32_t done = 0; err == WL_OK && done < count;) {
        wl_sql_text_t *sql = sql_begin(self, "INSERT INTO owner_log(seq, uid) VALUES ");
        for (uint32_t rows = 0; done < count && rows < STATEMENT_ROWS; rows++) {
            wl_sql_add(sql, rows == 0 ? "(" : ",(");
            wl_sql_unsigned(sql, ++seq);
            wl_sql_add(sql, ",");
            wl_sql_unsigned(sql, births[done++]);
            wl_sql_add(sql, ")");
        }
        err = sql_run(self);
    }
    *ret_newest = seq;
    return err;
}

/* Keeps the owner log short. Twice as many rows go as one commit brings, and some may wait. */
static wl_err_t log_trim(db_t *self, uint64_t newest, uint64_t *ret_trimmed) {
    uint64_t trimmed = wl_asset_db_trim_point(&self->base, newest);
    if (trimmed < self->base.owner_trimmed + WL_OWNER_SWEEP_ROWS) {
        *ret_trimmed = self->base.owner_trimmed;
        return WL_OK;
    }
    uint64_t most = self->base.owner_trimmed + (uint64_t)WL_OWNER_SWEEP_ROWS * 4;
    *ret_trimmed = trimmed < most ? trimmed : most;
    wl_sql_text_t *sql = sql_begin(self, "DELETE FROM owner_log WHERE seq <= ");
    wl_sql_unsigned(sql, *ret_trimmed);
    return sql_run(self);
}

static wl_err_t fences_write(db_t *self) {
    wl_sql_text_t *sql = sql_begin(self, "INSERT INTO fence(`partition`, epoch) VALUES ");
    bool any = false;
    for (uint32_t i = 0; i < self->fence_count; i++) {
        if (self->fences[i].raised) {
            wl_sql_add(sql, any ? ",(" : "(");
            wl_sql_unsigned(sql, self->fences[i].partition);
            wl_sql_add(sql, ",");
            wl_sql_unsigned(sql, self->fences[i].epoch);
            wl_sql_add(sql, ")");
            any = true;
        }
    }
    wl_sql_add(sql, " ON DUPLICATE KEY UPDATE epoch = GREATEST(epoch, VALUES(epoch))");
    return any ? sql_run(self) : WL_OK;
}

static wl_err_t numbers_write(db_t *self, uint64_t commit_seq, uint64_t newest, uint64_t trimmed) {
    wl_sql_text_t *sql = sql_begin(self, "UPDATE meta SET commit_seq = ");
    wl_sql_unsigned(sql, commit_seq);
    wl_sql_add(sql, ", owner_seq = ");
    wl_sql_unsigned(sql, newest);
    wl_sql_add(sql, ", owner_trimmed = ");
    wl_sql_unsigned(sql, trimmed);
    wl_sql_add(sql, " WHERE id = 1");
    wl_err_t err = sql_run(self);
    return err == WL_OK && wl_mysql_matched(self->link) != 1 ? WL_ERR_DAMAGED : err;
}

static wl_err_t db_commit(wl_asset_db_t *base) {
    db_t *self = (db_t *)base;
    uint64_t newest = 0;
    uint64_t trimmed = 0;
    wl_err_t err = assets_write(self);
    if (err == WL_OK) {
        err = births_write(self, &newest);
    }
    if (err == WL_OK) {
        err = log_trim(self, newest, &trimmed);
    }
    if (err == WL_OK) {
        err = fences_write(self);
    }
    if (err == WL_OK) {
        err = numbers_write(self, base->commit_seq + 1, newest, trimmed);
    }
    if (err == WL_OK) {
        err = wl_mysql_commit(self->link);
    }
    if (err == WL_OK) {
        base->commit_seq++;
        base->owner_newest = newest;
        base->owner_trimmed = trimmed;
    }
    return err;
}

static void db_rollback(wl_asset_db_t *base) {
    wl_mysql_rollback(((db_t *)base)->link);
}

/* ---- reads ----------------------------------------------------------------------------------- */

static wl_err_t db_get(wl_asset_db_t *base, uint64_t uid, const char *line, const char *bucket,
                       wl_asset_t *ret) {
    db_t *self = (db_t *)base;
    if (base->in_transaction) {
        wl_err_t err = user_need(self, uid);
        const wl_asset_t *found =
            err == WL_OK ? wl_asset_batch_get(self->batch, uid, line, bucket) : NULL;
        if (found != NULL) {
            *ret = *found;
        }
        return err == WL_OK && found == NULL ? WL_ERR_NOT_FOUND : err;
    }
    wl_sql_text_t *sql = sql_begin(self, "SELECT " WL_ASSET_COLUMNS " FROM asset WHERE uid = ");
    wl_sql_unsigned(sql, uid);
    wl_sql_add(sql, " AND line = ");
    wl_sql_text(sql, line);
    wl_sql_add(sql, " AND bucket = ");
    wl_sql_text(sql, bucket);
    bool row = false;
    wl_err_t err = sql_query(self);
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    if (err == WL_OK) {
        err = row ? wl_asset_row_take(self->link, ret) : WL_ERR_NOT_FOUND;
    }
    if (err == WL_OK && ret->extra_bytes > 0) {
        memcpy(base->extra, ret->extra, ret->extra_bytes);
        ret->extra = base->extra;
    }
    wl_mysql_done(self->link);
    return err;
}

static wl_err_t db_fetch_many(wl_asset_db_t *base, const uint64_t *uids, uint32_t count,
                              wl_asset_rows_t *rows) {
    db_t *self = (db_t *)base;
    wl_err_t err = WL_OK;
    for (uint32_t done = 0; err == WL_OK && done < count; done += STATEMENT_ROWS) {
        uint32_t some = count - done < STATEMENT_ROWS ? count - done : STATEMENT_ROWS;
        wl_sql_text_t *sql =
            sql_begin(self, "SELECT " WL_ASSET_COLUMNS " FROM asset FORCE INDEX (PRIMARY) WHERE ");
        sql_users(sql, &uids[done], some);
        wl_sql_add(sql, " AND state <> 3 ORDER BY uid, line, bucket");
        err = sql_rows(self, rows);
    }
    return err;
}

static wl_err_t db_fetch(wl_asset_db_t *base, uint64_t uid, wl_asset_rows_t *rows) {
    db_t *self = (db_t *)base;
    if (!base->in_transaction) {
        return db_fetch_many(base, &uid, 1, rows);
    }
    wl_err_t err = user_need(self, uid);
    if (err == WL_OK) {
        wl_asset_batch_fetch(self->batch, uid, rows);
    }
    return err;
}

/* The keyset is spelled out: not every server walks the index for (uid, line, bucket) > (...). */
static wl_err_t db_scan(wl_asset_db_t *base, const wl_asset_cursor_t *cursor, uint32_t max,
                        wl_asset_rows_t *rows) {
    db_t *self = (db_t *)base;
    wl_sql_text_t *sql =
        sql_begin(self, "SELECT " WL_ASSET_COLUMNS " FROM asset FORCE INDEX (PRIMARY)");
    if (cursor->started) {
        wl_sql_add(sql, " WHERE uid >= ");
        wl_sql_unsigned(sql, cursor->uid);
        wl_sql_add(sql, " AND (uid > ");
        wl_sql_unsigned(sql, cursor->uid);
        wl_sql_add(sql, " OR line > ");
        wl_sql_text(sql, cursor->line);
        wl_sql_add(sql, " OR (line = ");
        wl_sql_text(sql, cursor->line);
        wl_sql_add(sql, " AND bucket > ");
        wl_sql_text(sql, cursor->bucket);
        wl_sql_add(sql, "))");
    }
    wl_sql_add(sql, " ORDER BY uid, line, bucket LIMIT ");
    wl_sql_unsigned(sql, max);
    return sql_rows(self, rows);
}

/* One number; none is 0. */
static wl_err_t number_query(db_t *self, uint64_t *ret) {
    bool row = false;
    *ret = 0;
    wl_err_t err = sql_query(self);
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    if (err == WL_OK && row && !wl_mysql_unsigned(self->link, 0, UINT64_MAX, ret)) {
        err = WL_ERR_DAMAGED;
    }
    wl_mysql_done(self->link);
    return err;
}

static wl_err_t db_owns(wl_asset_db_t *base, uint64_t uid, bool *ret_owns) {
    db_t *self = (db_t *)base;
    if (base->in_transaction) {
        wl_err_t err = user_need(self, uid);
        if (err == WL_OK) {
            *ret_owns = wl_asset_batch_owns(self->batch, uid);
        }
        return err;
    }
    uint64_t found = 0;
    wl_sql_text_t *sql = sql_begin(self, "SELECT 1 FROM asset WHERE state <> 3 AND uid = ");
    wl_sql_unsigned(sql, uid);
    wl_sql_add(sql, " LIMIT 1");
    wl_err_t err = number_query(self, &found);
    if (err == WL_OK) {
        *ret_owns = found != 0;
    }
    return err;
}

static wl_err_t db_count(wl_asset_db_t *base, uint64_t *ret_rows) {
    uint64_t rows = 0;
    (void)sql_begin((db_t *)base, "SELECT count(*) FROM asset");
    wl_err_t err = number_query((db_t *)base, &rows);
    if (err == WL_OK) {
        *ret_rows = rows;
    }
    return err;
}

static const char *db_problem(wl_asset_db_t *base) {
    return wl_mysql_problem(((db_t *)base)->link);
}

/* ---- owners ---------------------------------------------------------------------------------- */

/* Users in the last of `columns` columns, at most max; *ret_last: the first column of the last row. */
static wl_err_t users_query(db_t *self, uint32_t columns, uint32_t max, uint64_t *ret_uids,
                            uint32_t *ret_count, uint64_t *ret_last) {
    bool row = false;
    wl_err_t err = sql_query(self);
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    while (err == WL_OK && row && *ret_count < max) {
        bool sound = wl_mysql_unsigned(self->link, 0, UINT64_MAX, ret_last) &&
                     wl_mysql_unsigned(self->link, columns - 1, UINT64_MAX, &ret_uids[*ret_count]);
        *ret_count += sound;
        err = sound ? wl_mysql_next(self->link, &row) : WL_ERR_DAMAGED;
    }
    wl_mysql_done(self->link);
    return err;
}

static wl_err_t db_owner_log(wl_asset_db_t *base, uint64_t after, uint32_t max, uint64_t *ret_uids,
                             uint32_t *ret_count, uint64_t *ret_last) {
    db_t *self = (db_t *)base;
    wl_sql_text_t *sql = sql_begin(self, "SELECT seq, uid FROM owner_log WHERE seq > ");
    wl_sql_unsigned(sql, after);
    wl_sql_add(sql, " ORDER BY seq LIMIT ");
    wl_sql_unsigned(sql, max);
    return users_query(self, 2, max, ret_uids, ret_count, ret_last);
}

static wl_err_t db_owner_trim(wl_asset_db_t *base, uint64_t up_to) {
    (void)base;
    (void)up_to;
    return WL_OK; /* other processes still need the rows */
}

static wl_err_t db_owner_scan(wl_asset_db_t *base, bool started, int64_t *cursor, uint32_t max,
                              uint64_t *ret_uids, uint32_t *ret_count) {
    db_t *self = (db_t *)base;
    uint64_t last = (uint64_t)*cursor;
    wl_sql_text_t *sql =
        sql_begin(self, "SELECT DISTINCT uid FROM asset FORCE INDEX (PRIMARY) WHERE state <> 3");
    if (started) {
        wl_sql_add(sql, " AND uid > ");
        wl_sql_unsigned(sql, last);
    }
    wl_sql_add(sql, " ORDER BY uid LIMIT ");
    wl_sql_unsigned(sql, max);
    wl_err_t err = users_query(self, 1, max, ret_uids, ret_count, &last);
    if (err == WL_OK) {
        *cursor = (int64_t)last;
    }
    return err;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void db_close(wl_asset_db_t *base) {
    db_t *self = (db_t *)base;
    wl_mysql_close(&self->link);
    wl_asset_batch_destroy(&self->batch);
    wl_sql_text_destroy(&self->sql);
    wl_free(self);
}

static const wl_asset_db_ops_t db_ops = {
    .begin = db_begin,
    .expect = db_expect,
    .fence = db_fence,
    .apply = db_apply,
    .commit = db_commit,
    .rollback = db_rollback,
    .get = db_get,
    .fetch = db_fetch,
    .fetch_many = db_fetch_many,
    .scan = db_scan,
    .owns = db_owns,
    .look = db_look,
    .owner_log = db_owner_log,
    .owner_trim = db_owner_trim,
    .owner_scan = db_owner_scan,
    .count = db_count,
    .problem = db_problem,
    .close = db_close,
};

/* Of each new connection: the server may be another one than before. */
static wl_err_t link_check(wl_mysql_t *link, void *ctx, wl_fault_t *fault) {
    db_t *self = ctx;
    wl_err_t err =
        self->base.readonly ? wl_mysql_migrated(link, fault) : wl_mysql_migrate(link, fault);
    return err == WL_OK ? wl_mysql_shard_check(link, &self->shard, !self->base.readonly, fault)
                        : err;
}

wl_err_t wl_asset_db_mysql_open(const wl_asset_db_options_t *options, wl_asset_db_t **ret,
                                wl_fault_t *fault) {
    db_t *self = wl_alloc_zero(1, sizeof *self);
    self->base.ops = &db_ops;
    self->base.readonly = options->readonly;
    self->shard = (wl_mysql_shard_t){
        .shard = options->shard, .shards = options->shards, .mapped = options->mapped};
    self->batch = wl_asset_batch_new();
    wl_err_t err =
        wl_mysql_open(&options->mysql, !options->readonly, link_check, self, &self->link, fault);
    if (err == WL_OK && wl_mysql_connections(self->link) > 0) {
        (void)!db_look(&self->base); /* not needed now; whoever does reads it again */
    }
    if (err != WL_OK) {
        db_close(&self->base);
        return err;
    }
    *ret = &self->base;
    return WL_OK;
}
