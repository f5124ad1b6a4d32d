/* The asset database in MySQL or MariaDB. One transaction is a handful of round trips, however many
 * records it has:
 *
 *     begin   START TRANSACTION; the numbers and fences, FOR UPDATE: from here on no other writer
 * of
 *             this shard moves, so what is read below stays true, and numbers are in commit order
 *     expect  all records of those users, FOR UPDATE, in the order of their keys
 *     apply   in memory (asset_batch)
 *     commit  upserts of many rows, guarded by version in SQL as well; owner log; fences; numbers;
 *             COMMIT
 *
 * Reads outside a transaction are single statements, done again when the connection was closed. */
#include "store/asset_db_mysql.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/slot.h"
#include "store/asset_row.h"
#include "store/asset_row_mysql.h"

#include <string.h>

static wl_err_t sql_run(wl_asset_db_mysql_t *self) {
    return wl_mysql_run(self->link, self->sql.at, self->sql.used);
}

/* ---- the numbers ----------------------------------------------------------------------------- */

/* One fence beside the numbers; there may be none at all. */
static wl_err_t fence_take(wl_asset_db_mysql_t *self) {
    uint64_t partition = 0;
    uint64_t epoch = 0;
    size_t bytes = 0;
    if (wl_mysql_bytes(self->link, 3, &bytes) == NULL) {
        return WL_OK;
    }
    bool sound = self->fence_count < WL_FENCES_MAX &&
                 wl_mysql_unsigned(self->link, 3, UINT32_MAX, &partition) &&
                 wl_mysql_unsigned(self->link, 4, UINT64_MAX, &epoch);
    if (!sound) {
        return WL_ERR_DAMAGED;
    }
    self->fences[self->fence_count++] =
        (wl_fence_t){.partition = (uint32_t)partition, .epoch = epoch};
    return WL_OK;
}

/* The last columns. */
static wl_err_t slot_log_take(wl_asset_db_mysql_t *self) {
    uint64_t on = 0;
    uint64_t first = 0;
    uint64_t last = 0;
    wl_slot_log_t *log = &self->log;
    bool sound = wl_mysql_unsigned(self->link, 6, UINT64_MAX, &log->write_fence) &&
                 wl_mysql_unsigned(self->link, 7, 1, &on) &&
                 wl_mysql_unsigned(self->link, 8, WL_SLOTS - 1, &first) &&
                 wl_mysql_unsigned(self->link, 9, WL_SLOTS - 1, &last);
    log->on = on == 1;
    log->first = (uint32_t)first;
    log->last = (uint32_t)last;
    return sound ? WL_OK : WL_ERR_DAMAGED;
}

/* The column read_only: a number, and a word in the newest MariaDB. */
static bool writable_take(wl_asset_db_mysql_t *self) {
    char text[8];
    return wl_mysql_copy(self->link, 5, text, sizeof text) &&
           (strcmp(text, "0") == 0 || strcmp(text, "OFF") == 0);
}

/* Locks the row of the numbers, and reads it with all fences. */
static wl_err_t numbers_lock(wl_asset_db_mysql_t *self) {
    bool row = false;
    uint32_t rows = 0;
    self->fence_count = 0;
    wl_err_t err = wl_mysql_query_text(
        self->link, "SELECT m.commit_seq, m.owner_seq, m.owner_trimmed, f.`partition`, f.epoch,"
                    " @@global.read_only, s.write_fence, s.logged, s.log_first, s.log_last"
                    " FROM meta m JOIN slot_map s ON s.id = 1 LEFT JOIN fence f ON 1 = 1"
                    " WHERE m.id = 1 FOR UPDATE");
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    while (err == WL_OK && row) {
        rows++;
        err = wl_asset_db_mysql_numbers(self);
        if (err == WL_OK) {
            err = fence_take(self);
        }
        if (err == WL_OK) {
            err = slot_log_take(self);
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
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    wl_asset_batch_clear(self->batch);
    wl_err_t err = wl_mysql_begin(self->link);
    if (err == WL_OK) {
        err = numbers_lock(self);
        if (err == WL_OK && self->log.write_fence > base->map_version) {
            err = WL_ERR_CONFLICT;
        }
        if (err != WL_OK) {
            wl_mysql_rollback(self->link);
        }
        if (err == WL_ERR_UNAVAILABLE) { /* also a server that was made read_only: not this one */
            wl_mysql_drop(self->link);
        }
    }
    return err;
}

/* Reads the users of one statement, which are new to the batch. */
static wl_err_t users_read(wl_asset_db_mysql_t *self, const uint64_t *uids, uint32_t count) {
    wl_sql_text_t *sql = wl_asset_db_mysql_sql(self, "SELECT " WL_ASSET_COLUMNS
                                                     " FROM asset FORCE INDEX (PRIMARY) WHERE ");
    wl_asset_db_mysql_users(sql, uids, count);
    wl_sql_add(sql, " ORDER BY uid, line, bucket FOR UPDATE");
    for (uint32_t i = 0; i < count; i++) {
        wl_asset_batch_add_user(self->batch, uids[i]);
    }
    bool row = false;
    wl_err_t err = wl_asset_db_mysql_query(self);
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
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    uint64_t some[WL_STATEMENT_ROWS];
    uint32_t some_count = 0;
    wl_err_t err = WL_OK;
    for (uint32_t i = 0; err == WL_OK && i < count; i++) {
        if (!wl_asset_batch_has(self->batch, uids[i])) {
            some[some_count++] = uids[i];
        }
        if (some_count == WL_STATEMENT_ROWS || (some_count > 0 && i == count - 1)) {
            err = users_read(self, some, some_count);
            some_count = 0;
        }
    }
    return err;
}

/* Makes sure that the user is in the batch. After an error the transaction is over, so a user that
 * was read by half is not read again. */
wl_err_t wl_asset_db_mysql_need(wl_asset_db_mysql_t *self, uint64_t uid) {
    wl_err_t err = wl_asset_batch_has(self->batch, uid) ? WL_OK : users_read(self, &uid, 1);
    if (err != WL_OK && self->base.failed == WL_OK) {
        self->base.failed = err;
    }
    return err;
}

static wl_err_t db_fence(wl_asset_db_t *base, uint32_t partition, uint64_t epoch) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    uint32_t at = 0;
    while (at < self->fence_count && self->fences[at].partition != partition) {
        at++;
    }
    if (at == WL_FENCES_MAX) {
        return WL_ERR_INTERNAL;
    }
    if (at == self->fence_count) {
        self->fences[self->fence_count++] = (wl_fence_t){.partition = partition};
    }
    wl_fence_t *fence = &self->fences[at];
    fence->raised = fence->raised || fence->epoch < epoch;
    if (fence->epoch < epoch) {
        fence->epoch = epoch;
    }
    return fence->epoch > epoch ? WL_ERR_CONFLICT : WL_OK;
}

static wl_err_t db_apply(wl_asset_db_t *base, const wl_asset_t *asset, wl_apply_result_t *ret) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    wl_err_t err = wl_asset_db_mysql_need(self, asset->uid);
    if (err == WL_OK) {
        *ret = wl_asset_batch_apply(self->batch, asset);
    }
    return err;
}

/* A consent is rare: it is written at once, a round trip each, and not collected. */
static wl_err_t db_consent_note(wl_asset_db_t *base, const wl_asset_t *record, const char *via) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    wl_sql_text_t *sql = wl_asset_db_mysql_sql(
        self, "INSERT INTO consent(uid, line, version, granted, at, expires_at, via) VALUES (");
    wl_sql_unsigned(sql, record->uid);
    wl_sql_add(sql, ",");
    wl_sql_text(sql, record->line);
    wl_sql_add(sql, ",");
    wl_sql_unsigned(sql, record->version);
    wl_sql_add(sql, record->state == WL_STATE_AVAILABLE ? ",1," : ",0,");
    wl_sql_signed(sql, record->changed_at);
    wl_sql_add(sql, ",");
    wl_sql_signed(sql, record->expires_at);
    wl_sql_add(sql, ",");
    wl_sql_text(sql, via);
    wl_sql_add(sql, ") ON DUPLICATE KEY UPDATE version = version");
    return sql_run(self);
}

/* What the transaction has stored so far goes from memory, what stood before from the table; what
 * it stores from now on is written after that, at the end. */
static wl_err_t db_purge(wl_asset_db_t *base, uint64_t uid, const char *line) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    wl_err_t err = wl_asset_db_mysql_need(self, uid);
    if (err != WL_OK || wl_asset_batch_purge(self->batch, uid, line) == 0) {
        return err;
    }
    wl_sql_text_t *sql = wl_asset_db_mysql_sql(self, "DELETE FROM asset WHERE uid = ");
    wl_sql_unsigned(sql, uid);
    wl_sql_add(sql, " AND line = ");
    wl_sql_text(sql, line);
    wl_sql_add(sql, " AND bucket <> ");
    wl_sql_text(sql, WL_BUCKET_CONSENT);
    return sql_run(self);
}

/* ---- its end --------------------------------------------------------------------------------- */

static wl_err_t assets_write(wl_asset_db_mysql_t *self) {
    uint32_t cursor = 0;
    wl_err_t err = WL_OK;
    const wl_asset_t *asset = wl_asset_batch_changed(self->batch, &cursor);
    while (err == WL_OK && asset != NULL) {
        wl_sql_text_t *sql = wl_asset_db_mysql_sql(self, wl_asset_upsert_head);
        uint32_t rows = 0;
        while (asset != NULL && rows < WL_STATEMENT_ROWS && sql->used < WL_STATEMENT_BYTES) {
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

static wl_err_t births_write(wl_asset_db_mysql_t *self, uint64_t *ret_newest) {
    uint32_t count = 0;
    const uint64_t *births = wl_asset_batch_births(self->batch, &count);
    uint64_t seq = self->base.owner_newest;
    wl_err_t err = WL_OK;
    for (uint32_t done = 0; err == WL_OK && done < count;) {
        wl_sql_text_t *sql = wl_asset_db_mysql_sql(self, "INSERT INTO owner_log(seq, uid) VALUES ");
        for (uint32_t rows = 0; done < count && rows < WL_STATEMENT_ROWS; rows++) {
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

/* While slots move, users of them that this transaction has touched are noted for who copies them;
 * some of them it only looked at. */
static wl_err_t slot_log_write(wl_asset_db_mysql_t *self) {
    uint32_t users = self->log.on ? wl_asset_batch_users(self->batch) : 0;
    wl_err_t err = WL_OK;
    for (uint32_t done = 0; err == WL_OK && done < users;) {
        wl_sql_text_t *sql = wl_asset_db_mysql_sql(self, "INSERT INTO slot_log(uid) VALUES ");
        uint32_t rows = 0;
        for (; done < users && rows < WL_STATEMENT_ROWS; done++) {
            uint64_t uid = wl_asset_batch_user(self->batch, done);
            uint32_t slot = wl_slot_of(uid);
            if (slot >= self->log.first && slot <= self->log.last) {
                wl_sql_add(sql, rows++ == 0 ? "(" : ",(");
                wl_sql_unsigned(sql, uid);
                wl_sql_add(sql, ")");
            }
        }
        err = rows == 0 ? WL_OK : sql_run(self);
    }
    return err;
}

/* Keeps the owner log short. Twice as many rows go as one commit brings, and some may wait. */
static wl_err_t log_trim(wl_asset_db_mysql_t *self, uint64_t newest, uint64_t *ret_trimmed) {
    uint64_t trimmed = wl_asset_db_trim_point(&self->base, newest);
    if (trimmed < self->base.owner_trimmed + WL_OWNER_SWEEP_ROWS) {
        *ret_trimmed = self->base.owner_trimmed;
        return WL_OK;
    }
    uint64_t most = self->base.owner_trimmed + (uint64_t)WL_OWNER_SWEEP_ROWS * 4;
    *ret_trimmed = trimmed < most ? trimmed : most;
    wl_sql_text_t *sql = wl_asset_db_mysql_sql(self, "DELETE FROM owner_log WHERE seq <= ");
    wl_sql_unsigned(sql, *ret_trimmed);
    return sql_run(self);
}

static wl_err_t fences_write(wl_asset_db_mysql_t *self) {
    wl_sql_text_t *sql =
        wl_asset_db_mysql_sql(self, "INSERT INTO fence(`partition`, epoch) VALUES ");
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

static wl_err_t numbers_write(wl_asset_db_mysql_t *self, uint64_t commit_seq, uint64_t newest,
                              uint64_t trimmed) {
    wl_sql_text_t *sql = wl_asset_db_mysql_sql(self, "UPDATE meta SET commit_seq = ");
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
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    uint64_t newest = 0;
    uint64_t trimmed = 0;
    wl_err_t err = assets_write(self);
    if (err == WL_OK) {
        err = births_write(self, &newest);
    }
    if (err == WL_OK) {
        err = slot_log_write(self);
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
    wl_mysql_rollback(((wl_asset_db_mysql_t *)base)->link);
}

static const char *db_problem(wl_asset_db_t *base) {
    return wl_mysql_problem(((wl_asset_db_mysql_t *)base)->link);
}

/* ---- life ------------------------------------------------------------------------------------ */

static void db_close(wl_asset_db_t *base) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
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
    .consent_note = db_consent_note,
    .purge = db_purge,
    .commit = db_commit,
    .rollback = db_rollback,
    .get = wl_asset_db_mysql_get,
    .fetch = wl_asset_db_mysql_fetch,
    .fetch_many = wl_asset_db_mysql_fetch_many,
    .get_many = wl_asset_db_mysql_get_many,
    .users = wl_asset_db_mysql_users_walk,
    .scan = wl_asset_db_mysql_scan,
    .owns = wl_asset_db_mysql_owns,
    .look = wl_asset_db_mysql_look,
    .owner_log = wl_asset_db_mysql_owner_log,
    .owner_scan = wl_asset_db_mysql_owner_scan,
    .count = wl_asset_db_mysql_count,
    .map_read = wl_asset_db_mysql_map_read,
    .problem = db_problem,
    .close = db_close,
};

/* Of each new connection: the server may be another one than before. */
static wl_err_t link_check(wl_mysql_t *link, void *ctx, wl_fault_t *fault) {
    wl_asset_db_mysql_t *self = ctx;
    wl_err_t err =
        self->base.readonly ? wl_mysql_migrated(link, fault) : wl_mysql_migrate(link, fault);
    return err == WL_OK ? wl_mysql_shard_check(link, &self->shard, !self->base.readonly, fault)
                        : err;
}

wl_err_t wl_asset_db_mysql_open(const wl_asset_db_options_t *options, wl_asset_db_t **ret,
                                wl_fault_t *fault) {
    wl_asset_db_mysql_t *self = wl_alloc_zero(1, sizeof *self);
    self->base.ops = &db_ops;
    self->base.readonly = options->readonly;
    self->shard = (wl_mysql_shard_t){
        .shard = options->shard, .shards = options->shards, .mapped = options->mapped};
    self->batch = wl_asset_batch_new();
    wl_err_t err =
        wl_mysql_open(&options->mysql, !options->readonly, link_check, self, &self->link, fault);
    if (err == WL_OK && wl_mysql_connections(self->link) > 0) {
        (void)!wl_asset_db_mysql_look(
            &self->base); /* not needed now; whoever does reads it again */
    }
    if (err != WL_OK) {
        db_close(&self->base);
        return err;
    }
    *ret = &self->base;
    return WL_OK;
}
