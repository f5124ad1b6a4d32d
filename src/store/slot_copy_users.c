#include "store/slot_copy_users.h"

#include "base/alloc.h"
#include "base/check.h"
#include "store/asset_row.h"
#include "store/asset_row_mysql.h"

#include <string.h>

enum {
    STATEMENT_ROWS = 512,     /* of one statement; more gain nothing */
    STATEMENT_BYTES = 524288, /* half of the least max_allowed_packet that we accept */
};

static wl_sql_text_t *sql_begin(wl_slot_copy_t *self, const char *first) {
    wl_sql_text_clear(&self->sql);
    wl_sql_add(&self->sql, first);
    return &self->sql;
}

static wl_err_t sql_run(wl_slot_copy_t *self, wl_side_t side) {
    return wl_mysql_run(self->link[side], self->sql.at, self->sql.used);
}

void wl_slot_copy_in(wl_sql_text_t *sql, const uint64_t *uids, uint32_t count) {
    wl_sql_add(sql, "uid IN (");
    for (uint32_t i = 0; i < count; i++) {
        wl_sql_add(sql, i == 0 ? "" : ",");
        wl_sql_unsigned(sql, uids[i]);
    }
    wl_sql_add(sql, ")");
}

/* ---- one transaction ------------------------------------------------------------------------- */

/* The row of the numbers first, as every writer does. */
wl_err_t wl_slot_copy_lock(wl_slot_copy_t *self, wl_side_t side, wl_slot_numbers_t *ret) {
    wl_mysql_t *link = self->link[side];
    bool row = false;
    uint64_t mover = 0;
    wl_err_t err = wl_mysql_begin(link);
    if (err == WL_OK) {
        err = wl_mysql_query_text(link, "SELECT m.commit_seq, m.owner_seq, s.mover FROM meta m"
                                        " JOIN slot_map s ON s.id = 1 WHERE m.id = 1 FOR UPDATE");
    }
    if (err == WL_OK) {
        err = wl_mysql_next(link, &row);
    }
    if (err == WL_OK) {
        bool sound = row && wl_mysql_unsigned(link, 0, INT64_MAX, &ret->commit_seq) &&
                     wl_mysql_unsigned(link, 1, INT64_MAX, &ret->owner_seq) &&
                     wl_mysql_unsigned(link, 2, UINT64_MAX, &mover);
        err = sound ? WL_OK : WL_ERR_DAMAGED;
    }
    wl_mysql_done(link);
    return err == WL_OK && mover > self->epoch ? WL_ERR_CONFLICT : err;
}

wl_err_t wl_slot_copy_end(wl_slot_copy_t *self, wl_side_t side, wl_err_t err) {
    if (err == WL_OK) {
        err = wl_mysql_commit(self->link[side]);
    }
    if (err != WL_OK) {
        wl_mysql_rollback(self->link[side]);
    }
    return err;
}

wl_err_t wl_slot_copy_count(wl_slot_copy_t *self, wl_side_t side,
                            const wl_slot_numbers_t *numbers) {
    wl_sql_text_t *sql = sql_begin(self, "UPDATE meta SET commit_seq = ");
    wl_sql_unsigned(sql, numbers->commit_seq + 1);
    wl_sql_add(sql, ", owner_seq = ");
    wl_sql_unsigned(sql, numbers->owner_seq);
    wl_sql_add(sql, " WHERE id = 1");
    wl_err_t err = sql_run(self, side);
    return err == WL_OK && wl_mysql_matched(self->link[side]) != 1 ? WL_ERR_DAMAGED : err;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The users that the statement returns, into uids. */
static wl_err_t users_query(wl_slot_copy_t *self, wl_side_t side, uint64_t *ret_uids,
                            uint32_t *ret_count) {
    wl_mysql_t *link = self->link[side];
    bool row = false;
    *ret_count = 0;
    wl_err_t err = wl_mysql_query(link, self->sql.at, self->sql.used);
    if (err == WL_OK) {
        err = wl_mysql_next(link, &row);
    }
    while (err == WL_OK && row) {
        bool sound = *ret_count < WL_SLOT_COPY_USERS &&
                     wl_mysql_unsigned(link, 0, UINT64_MAX, &ret_uids[*ret_count]);
        *ret_count += sound;
        err = sound ? wl_mysql_next(link, &row) : WL_ERR_DAMAGED;
    }
    wl_mysql_done(link);
    return err;
}

static void sql_range(const wl_slot_copy_t *self, wl_sql_text_t *sql, uint64_t after,
                      uint64_t last) {
    wl_sql_add(sql, " FROM asset FORCE INDEX (PRIMARY) WHERE uid > ");
    wl_sql_unsigned(sql, after);
    wl_sql_add(sql, " AND uid <= ");
    wl_sql_unsigned(sql, last);
    wl_sql_add(sql, " AND slot BETWEEN ");
    wl_sql_unsigned(sql, self->first);
    wl_sql_add(sql, " AND ");
    wl_sql_unsigned(sql, self->last);
}

wl_err_t wl_slot_copy_next(wl_slot_copy_t *self, wl_side_t side, uint64_t after, uint64_t last,
                           uint32_t max) {
    WL_ASSERT(max > 0 && max <= WL_SLOT_COPY_USERS);
    wl_sql_text_t *sql = sql_begin(self, "SELECT DISTINCT uid");
    sql_range(self, sql, after, last);
    wl_sql_add(sql, " ORDER BY uid LIMIT ");
    wl_sql_unsigned(sql, max);
    return users_query(self, side, self->uids, &self->count);
}

/* All rows of the statement. */
static wl_err_t rows_query(wl_slot_copy_t *self, wl_side_t side, wl_asset_rows_t *ret) {
    wl_mysql_t *link = self->link[side];
    bool row = false;
    wl_asset_rows_clear(ret);
    wl_err_t err = wl_mysql_query(link, self->sql.at, self->sql.used);
    if (err == WL_OK) {
        err = wl_mysql_next(link, &row);
    }
    while (err == WL_OK && row) {
        wl_asset_t asset;
        err = wl_asset_row_take(link, &asset);
        if (err == WL_OK) {
            wl_asset_rows_add(ret, &asset);
            err = wl_mysql_next(link, &row);
        }
    }
    wl_mysql_done(link);
    return err;
}

wl_err_t wl_slot_copy_range(wl_slot_copy_t *self, wl_side_t side, uint64_t after, uint64_t last,
                            wl_asset_rows_t *ret) {
    wl_sql_text_t *sql = sql_begin(self, "SELECT " WL_ASSET_COLUMNS);
    sql_range(self, sql, after, last);
    wl_sql_add(sql, " ORDER BY uid, line, bucket");
    return rows_query(self, side, ret);
}

static wl_slot_consent_t *consent_add(wl_slot_copy_t *self) {
    if (self->consent_count == self->consent_room) {
        self->consent_room = self->consent_room == 0 ? 64 : self->consent_room * 2;
        self->consents =
            wl_realloc_array(self->consents, self->consent_room, sizeof *self->consents);
    }
    self->consents[self->consent_count] = (wl_slot_consent_t){.uid = 0};
    return &self->consents[self->consent_count++];
}

static wl_err_t consents_read(wl_slot_copy_t *self, wl_side_t side) {
    wl_mysql_t *link = self->link[side];
    wl_sql_text_t *sql = sql_begin(
        self, "SELECT uid, line, version, granted, at, expires_at, via FROM consent WHERE ");
    wl_slot_copy_in(sql, self->uids, self->count);
    bool row = false;
    self->consent_count = 0;
    wl_err_t err = wl_mysql_query(link, sql->at, sql->used);
    if (err == WL_OK) {
        err = wl_mysql_next(link, &row);
    }
    while (err == WL_OK && row) {
        wl_slot_consent_t *to = consent_add(self);
        uint64_t granted = 0;
        bool sound = wl_mysql_unsigned(link, 0, UINT64_MAX, &to->uid) &&
                     wl_mysql_copy(link, 1, to->line, sizeof to->line) &&
                     wl_mysql_unsigned(link, 2, UINT64_MAX, &to->version) &&
                     wl_mysql_unsigned(link, 3, 1, &granted) && wl_mysql_signed(link, 4, &to->at) &&
                     wl_mysql_signed(link, 5, &to->expires_at) &&
                     wl_mysql_copy(link, 6, to->via, sizeof to->via);
        to->granted = granted == 1;
        err = sound ? wl_mysql_next(link, &row) : WL_ERR_DAMAGED;
    }
    wl_mysql_done(link);
    return err;
}

/* ---- writing --------------------------------------------------------------------------------- */

static wl_err_t assets_insert(wl_slot_copy_t *self, wl_side_t side) {
    wl_err_t err = WL_OK;
    for (uint32_t done = 0; err == WL_OK && done < self->rows.count;) {
        wl_sql_text_t *sql = sql_begin(self, wl_asset_upsert_head);
        for (uint32_t rows = 0;
             done < self->rows.count && rows < STATEMENT_ROWS && sql->used < STATEMENT_BYTES;
             rows++) {
            wl_sql_add(sql, rows == 0 ? "" : ",");
            wl_asset_row_write(sql, &self->rows.at[done++]);
        }
        err = sql_run(self, side);
    }
    return err;
}

static void consent_write(wl_sql_text_t *sql, const wl_slot_consent_t *from) {
    wl_sql_add(sql, "(");
    wl_sql_unsigned(sql, from->uid);
    wl_sql_add(sql, ",");
    wl_sql_text(sql, from->line);
    wl_sql_add(sql, ",");
    wl_sql_unsigned(sql, from->version);
    wl_sql_add(sql, from->granted ? ",1," : ",0,");
    wl_sql_signed(sql, from->at);
    wl_sql_add(sql, ",");
    wl_sql_signed(sql, from->expires_at);
    wl_sql_add(sql, ",");
    wl_sql_text(sql, from->via);
    wl_sql_add(sql, ")");
}

static wl_err_t consents_insert(wl_slot_copy_t *self, wl_side_t side) {
    wl_err_t err = WL_OK;
    for (uint32_t done = 0; err == WL_OK && done < self->consent_count;) {
        wl_sql_text_t *sql = sql_begin(
            self, "INSERT INTO consent(uid, line, version, granted, at, expires_at, via) VALUES ");
        for (uint32_t rows = 0; done < self->consent_count && rows < STATEMENT_ROWS; rows++) {
            wl_sql_add(sql, rows == 0 ? "" : ",");
            consent_write(sql, &self->consents[done++]);
        }
        err = sql_run(self, side);
    }
    return err;
}

/* Deletes all that a side has of uids; *ret_records may be NULL. */
static wl_err_t users_delete(wl_slot_copy_t *self, wl_side_t side, uint32_t *ret_records) {
    wl_sql_text_t *sql = sql_begin(self, "DELETE FROM asset WHERE ");
    wl_slot_copy_in(sql, self->uids, self->count);
    wl_err_t err = sql_run(self, side);
    if (err == WL_OK && ret_records != NULL) {
        *ret_records = (uint32_t)wl_mysql_matched(self->link[side]);
    }
    if (err == WL_OK) {
        sql = sql_begin(self, "DELETE FROM consent WHERE ");
        wl_slot_copy_in(sql, self->uids, self->count);
        err = sql_run(self, side);
    }
    return err;
}

static bool has(const uint64_t *uids, uint32_t count, uint64_t uid) {
    uint32_t low = 0;
    while (count > 0) {
        uint32_t half = count / 2;
        if (uids[low + half] < uid) {
            low += half + 1;
            count -= half + 1;
        } else {
            count = half;
        }
    }
    return uids[low] == uid;
}

/* Who owns something now and did not before: presence of readers that start later has to hear. */
static wl_err_t births_write(wl_slot_copy_t *self, wl_side_t side, const uint64_t *before,
                             uint32_t before_count, wl_slot_numbers_t *numbers) {
    wl_sql_text_t *sql = sql_begin(self, "INSERT INTO owner_log(seq, uid) VALUES ");
    uint64_t last = 0;
    uint32_t rows = 0;
    for (uint32_t i = 0; i < self->rows.count; i++) {
        const wl_asset_t *asset = &self->rows.at[i];
        bool born = asset->state != WL_STATE_GONE && (rows == 0 || asset->uid != last) &&
                    !(before_count > 0 && has(before, before_count, asset->uid));
        if (born) {
            last = asset->uid;
            wl_sql_add(sql, rows++ == 0 ? "(" : ",(");
            wl_sql_unsigned(sql, ++numbers->owner_seq);
            wl_sql_add(sql, ",");
            wl_sql_unsigned(sql, asset->uid);
            wl_sql_add(sql, ")");
        }
    }
    return rows == 0 ? WL_OK : sql_run(self, side);
}

/* In the transaction. */
static wl_err_t users_write(wl_slot_copy_t *self, wl_side_t side, wl_slot_numbers_t *numbers) {
    uint64_t before[WL_SLOT_COPY_USERS + 1] = {0};
    uint32_t before_count = 0;
    wl_sql_text_t *sql = sql_begin(self, "SELECT DISTINCT uid FROM asset WHERE ");
    wl_slot_copy_in(sql, self->uids, self->count);
    wl_sql_add(sql, " AND state <> 3 ORDER BY uid");
    wl_err_t err = users_query(self, side, before, &before_count);
    if (err == WL_OK) {
        err = users_delete(self, side, NULL);
    }
    if (err == WL_OK) {
        err = assets_insert(self, side);
    }
    if (err == WL_OK) {
        err = consents_insert(self, side);
    }
    if (err == WL_OK) {
        err = births_write(self, side, before, before_count, numbers);
    }
    return err == WL_OK ? wl_slot_copy_count(self, side, numbers) : err;
}

/* The records are read before the other side is locked: who changes in between is in the log, and
 * is copied once more. */
wl_err_t wl_slot_copy_replace(wl_slot_copy_t *self, wl_side_t from, wl_side_t to,
                              uint32_t *ret_records) {
    wl_slot_numbers_t numbers;
    wl_sql_text_t *sql =
        sql_begin(self, "SELECT " WL_ASSET_COLUMNS " FROM asset FORCE INDEX (PRIMARY) WHERE ");
    wl_slot_copy_in(sql, self->uids, self->count);
    wl_sql_add(sql, " ORDER BY uid, line, bucket");
    wl_err_t err = rows_query(self, from, &self->rows);
    if (err == WL_OK) {
        err = consents_read(self, from);
    }
    if (err != WL_OK) {
        return err;
    }
    err = wl_slot_copy_lock(self, to, &numbers);
    if (err == WL_OK) {
        err = users_write(self, to, &numbers);
    }
    err = wl_slot_copy_end(self, to, err);
    *ret_records = err == WL_OK ? self->rows.count : 0;
    return err;
}

wl_err_t wl_slot_copy_remove(wl_slot_copy_t *self, wl_side_t side, uint32_t *ret_records) {
    wl_slot_numbers_t numbers;
    wl_err_t err = wl_slot_copy_lock(self, side, &numbers);
    if (err == WL_OK) {
        err = users_delete(self, side, ret_records);
    }
    if (err == WL_OK) {
        err = wl_slot_copy_count(self, side, &numbers);
    }
    return wl_slot_copy_end(self, side, err);
}

/* ---- comparing ------------------------------------------------------------------------------- */

uint64_t wl_slot_copy_user_at(const wl_slot_copy_t *self, uint32_t here, uint32_t there) {
    uint64_t left = here < self->rows.count ? self->rows.at[here].uid : UINT64_MAX;
    uint64_t right = there < self->there.count ? self->there.at[there].uid : UINT64_MAX;
    return left < right ? left : right;
}

/* Also when it was pulled: the log has every change of it. */
static bool records_same(const wl_asset_t *a, const wl_asset_t *b) {
    return a->uid == b->uid && strcmp(a->line, b->line) == 0 && strcmp(a->bucket, b->bucket) == 0 &&
           a->kind == b->kind && a->amount == b->amount && strcmp(a->unit, b->unit) == 0 &&
           a->scale == b->scale && a->count == b->count && a->pending == b->pending &&
           a->state == b->state && a->expires_at == b->expires_at && a->version == b->version &&
           a->changed_at == b->changed_at && a->pulled_at == b->pulled_at &&
           a->extra_bytes == b->extra_bytes &&
           (a->extra_bytes == 0 || memcmp(a->extra, b->extra, a->extra_bytes) == 0);
}

bool wl_slot_copy_user_same(const wl_slot_copy_t *self, uint64_t uid, uint32_t *here,
                            uint32_t *there) {
    bool same = true;
    while (*here < self->rows.count && self->rows.at[*here].uid == uid) {
        same = same && *there < self->there.count &&
               records_same(&self->rows.at[*here], &self->there.at[*there]);
        (*here)++;
        *there += *there < self->there.count && self->there.at[*there].uid == uid;
    }
    while (*there < self->there.count && self->there.at[*there].uid == uid) {
        same = false;
        (*there)++;
    }
    return same;
}
