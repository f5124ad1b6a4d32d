/* The reads of the asset database in MySQL. Each is a single statement outside a transaction, done
 * again when the connection was closed; inside one they are served from the batch. */
#include "store/asset_db_mysql.h"
#include "store/asset_row.h"
#include "store/asset_row_mysql.h"

#include <string.h>

/* ---- statements ------------------------------------------------------------------------------ */

/* Starts a statement; parts are added with wl_sql_... */
wl_sql_text_t *wl_asset_db_mysql_sql(wl_asset_db_mysql_t *self, const char *first) {
    wl_sql_text_clear(&self->sql);
    wl_sql_add(&self->sql, first);
    return &self->sql;
}

wl_err_t wl_asset_db_mysql_query(wl_asset_db_mysql_t *self) {
    return wl_mysql_query(self->link, self->sql.at, self->sql.used);
}

/* Appends all rows of the statement to rows. */
static wl_err_t sql_rows(wl_asset_db_mysql_t *self, wl_asset_rows_t *rows) {
    bool row = false;
    wl_err_t err = wl_asset_db_mysql_query(self);
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
void wl_asset_db_mysql_users(wl_sql_text_t *sql, const uint64_t *uids, uint32_t count) {
    wl_sql_add(sql, "uid IN (");
    for (uint32_t i = 0; i < count; i++) {
        wl_sql_add(sql, i == 0 ? "" : ",");
        wl_sql_unsigned(sql, uids[i]);
    }
    wl_sql_add(sql, ")");
}

/* ---- the numbers ----------------------------------------------------------------------------- */

/* The current row's first columns. */
wl_err_t wl_asset_db_mysql_numbers(wl_asset_db_mysql_t *self) {
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

/* The fence comes with the numbers: 8 us of a round trip of 100, once for a batch of reads. */
wl_err_t wl_asset_db_mysql_look(wl_asset_db_t *base) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    bool row = false;
    wl_err_t err = wl_mysql_query_text(
        self->link, "SELECT m.commit_seq, m.owner_seq, m.owner_trimmed, s.read_fence"
                    " FROM meta m JOIN slot_map s ON s.id = 1 WHERE m.id = 1");
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    if (err == WL_OK) {
        err = row ? wl_asset_db_mysql_numbers(self) : WL_ERR_DAMAGED;
    }
    if (err == WL_OK && !wl_mysql_unsigned(self->link, 3, UINT64_MAX, &base->read_fence)) {
        err = WL_ERR_DAMAGED;
    }
    wl_mysql_done(self->link);
    return err;
}

wl_err_t wl_asset_db_mysql_map_read(wl_asset_db_t *base, uint64_t *ret_version,
                                    uint8_t ret_map[WL_SLOTS]) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    bool row = false;
    uint64_t version = 0;
    wl_err_t err =
        wl_mysql_query_text(self->link, "SELECT version, map FROM slot_map WHERE id = 1");
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    if (err == WL_OK && (!row || !wl_mysql_unsigned(self->link, 0, UINT64_MAX, &version))) {
        err = WL_ERR_DAMAGED;
    }
    if (err == WL_OK && version == 0) {
        err = WL_ERR_NOT_FOUND;
    }
    if (err == WL_OK) {
        size_t bytes = 0;
        const uint8_t *map = (const uint8_t *)wl_mysql_bytes(self->link, 1, &bytes);
        err = map != NULL && bytes == WL_SLOTS ? WL_OK : WL_ERR_DAMAGED;
        if (err == WL_OK) {
            memcpy(ret_map, map, WL_SLOTS);
            *ret_version = version;
        }
    }
    wl_mysql_done(self->link);
    return err;
}

/* ---- reads ----------------------------------------------------------------------------------- */

wl_err_t wl_asset_db_mysql_get(wl_asset_db_t *base, uint64_t uid, const char *line,
                               const char *bucket, wl_asset_t *ret) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    if (base->in_transaction) {
        wl_err_t err = wl_asset_db_mysql_need(self, uid);
        const wl_asset_t *found =
            err == WL_OK ? wl_asset_batch_get(self->batch, uid, line, bucket) : NULL;
        if (found != NULL) {
            *ret = *found;
        }
        return err == WL_OK && found == NULL ? WL_ERR_NOT_FOUND : err;
    }
    wl_sql_text_t *sql =
        wl_asset_db_mysql_sql(self, "SELECT " WL_ASSET_COLUMNS " FROM asset WHERE uid = ");
    wl_sql_unsigned(sql, uid);
    wl_sql_add(sql, " AND line = ");
    wl_sql_text(sql, line);
    wl_sql_add(sql, " AND bucket = ");
    wl_sql_text(sql, bucket);
    bool row = false;
    wl_err_t err = wl_asset_db_mysql_query(self);
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

wl_err_t wl_asset_db_mysql_fetch_many(wl_asset_db_t *base, const uint64_t *uids, uint32_t count,
                                      wl_asset_rows_t *rows) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    wl_err_t err = WL_OK;
    for (uint32_t done = 0; err == WL_OK && done < count; done += WL_STATEMENT_ROWS) {
        uint32_t some = count - done < WL_STATEMENT_ROWS ? count - done : WL_STATEMENT_ROWS;
        wl_sql_text_t *sql = wl_asset_db_mysql_sql(
            self, "SELECT " WL_ASSET_COLUMNS " FROM asset FORCE INDEX (PRIMARY) WHERE ");
        wl_asset_db_mysql_users(sql, &uids[done], some);
        wl_sql_add(sql, " AND state <> 3 ORDER BY uid, line, bucket");
        err = sql_rows(self, rows);
    }
    return err;
}

wl_err_t wl_asset_db_mysql_fetch(wl_asset_db_t *base, uint64_t uid, wl_asset_rows_t *rows) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    if (!base->in_transaction) {
        return wl_asset_db_mysql_fetch_many(base, &uid, 1, rows);
    }
    wl_err_t err = wl_asset_db_mysql_need(self, uid);
    if (err == WL_OK) {
        wl_asset_batch_fetch(self->batch, uid, rows);
    }
    return err;
}

wl_err_t wl_asset_db_mysql_get_many(wl_asset_db_t *base, const uint64_t *uids, uint32_t count,
                                    const char *line, const char *bucket, wl_asset_rows_t *rows) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    wl_err_t err = WL_OK;
    for (uint32_t done = 0; err == WL_OK && done < count; done += WL_STATEMENT_ROWS) {
        uint32_t some = count - done < WL_STATEMENT_ROWS ? count - done : WL_STATEMENT_ROWS;
        wl_sql_text_t *sql = wl_asset_db_mysql_sql(
            self, "SELECT " WL_ASSET_COLUMNS " FROM asset FORCE INDEX (PRIMARY) WHERE ");
        wl_asset_db_mysql_users(sql, &uids[done], some);
        wl_sql_add(sql, " AND line = ");
        wl_sql_text(sql, line);
        wl_sql_add(sql, " AND bucket = ");
        wl_sql_text(sql, bucket);
        wl_sql_add(sql, " ORDER BY uid");
        err = sql_rows(self, rows);
    }
    return err;
}

/* The keyset is spelled out: not every server walks the index for (uid, line, bucket) > (...). */
wl_err_t wl_asset_db_mysql_scan(wl_asset_db_t *base, const wl_asset_cursor_t *cursor, uint32_t max,
                                wl_asset_rows_t *rows) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    wl_sql_text_t *sql =
        wl_asset_db_mysql_sql(self, "SELECT " WL_ASSET_COLUMNS " FROM asset FORCE INDEX (PRIMARY)");
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

wl_err_t wl_asset_db_mysql_users_walk(wl_asset_db_t *base, wl_users_walk_t *walk) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    wl_sql_text_t *sql = wl_asset_db_mysql_sql(self, "SELECT uid, ");
    if (walk->line != NULL) {
        wl_sql_add(sql, "max(line = ");
        wl_sql_text(sql, walk->line);
        wl_sql_add(sql, ")");
    } else {
        wl_sql_add(sql, "1");
    }
    wl_sql_add(sql, " FROM asset FORCE INDEX (PRIMARY) WHERE uid >= ");
    wl_sql_unsigned(sql, walk->from);
    wl_sql_add(sql, " AND uid <= ");
    wl_sql_unsigned(sql, walk->to);
    wl_sql_add(sql, " GROUP BY uid ORDER BY uid LIMIT ");
    wl_sql_unsigned(sql, walk->max - walk->looked);
    bool row = false;
    wl_err_t err = wl_asset_db_mysql_query(self);
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    while (err == WL_OK && row) {
        uint64_t uid = 0;
        uint64_t wanted = 0;
        bool sound = walk->looked < walk->max &&
                     wl_mysql_unsigned(self->link, 0, UINT64_MAX, &uid) &&
                     wl_mysql_unsigned(self->link, 1, 1, &wanted);
        err = WL_ERR_DAMAGED;
        if (sound) {
            wl_users_walk_add(walk, uid, wanted != 0);
            err = wl_mysql_next(self->link, &row);
        }
    }
    wl_mysql_done(self->link);
    return err;
}

/* One number; none is 0. */
static wl_err_t number_query(wl_asset_db_mysql_t *self, uint64_t *ret) {
    bool row = false;
    *ret = 0;
    wl_err_t err = wl_asset_db_mysql_query(self);
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    if (err == WL_OK && row && !wl_mysql_unsigned(self->link, 0, UINT64_MAX, ret)) {
        err = WL_ERR_DAMAGED;
    }
    wl_mysql_done(self->link);
    return err;
}

wl_err_t wl_asset_db_mysql_owns(wl_asset_db_t *base, uint64_t uid, bool *ret_owns) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    if (base->in_transaction) {
        wl_err_t err = wl_asset_db_mysql_need(self, uid);
        if (err == WL_OK) {
            *ret_owns = wl_asset_batch_owns(self->batch, uid);
        }
        return err;
    }
    uint64_t found = 0;
    wl_sql_text_t *sql =
        wl_asset_db_mysql_sql(self, "SELECT 1 FROM asset WHERE state <> 3 AND uid = ");
    wl_sql_unsigned(sql, uid);
    wl_sql_add(sql, " LIMIT 1");
    wl_err_t err = number_query(self, &found);
    if (err == WL_OK) {
        *ret_owns = found != 0;
    }
    return err;
}

wl_err_t wl_asset_db_mysql_count(wl_asset_db_t *base, uint64_t *ret_rows) {
    uint64_t rows = 0;
    (void)wl_asset_db_mysql_sql((wl_asset_db_mysql_t *)base, "SELECT count(*) FROM asset");
    wl_err_t err = number_query((wl_asset_db_mysql_t *)base, &rows);
    if (err == WL_OK) {
        *ret_rows = rows;
    }
    return err;
}

/* ---- owners ---------------------------------------------------------------------------------- */

/* Users in the last of `columns` columns, at most max; *ret_last: the first column of the last row.
 * */
static wl_err_t users_query(wl_asset_db_mysql_t *self, uint32_t columns, uint32_t max,
                            uint64_t *ret_uids, uint32_t *ret_count, uint64_t *ret_last) {
    bool row = false;
    wl_err_t err = wl_asset_db_mysql_query(self);
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

wl_err_t wl_asset_db_mysql_owner_log(wl_asset_db_t *base, uint64_t after, uint32_t max,
                                     uint64_t *ret_uids, uint32_t *ret_count, uint64_t *ret_last) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    wl_sql_text_t *sql = wl_asset_db_mysql_sql(self, "SELECT seq, uid FROM owner_log WHERE seq > ");
    wl_sql_unsigned(sql, after);
    wl_sql_add(sql, " ORDER BY seq LIMIT ");
    wl_sql_unsigned(sql, max);
    return users_query(self, 2, max, ret_uids, ret_count, ret_last);
}

wl_err_t wl_asset_db_mysql_owner_scan(wl_asset_db_t *base, bool started, int64_t *cursor,
                                      uint32_t max, uint64_t *ret_uids, uint32_t *ret_count) {
    wl_asset_db_mysql_t *self = (wl_asset_db_mysql_t *)base;
    uint64_t last = (uint64_t)*cursor;
    wl_sql_text_t *sql = wl_asset_db_mysql_sql(
        self, "SELECT DISTINCT uid FROM asset FORCE INDEX (PRIMARY) WHERE state <> 3");
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
