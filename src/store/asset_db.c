#include "store/asset_db.h"

#include "base/alloc.h"
#include "base/check.h"
#include "store/asset_db_ops.h"
#include "store/asset_map.h"
#include "store/asset_row.h"

#include <string.h>

wl_err_t wl_asset_db_open(const wl_asset_db_options_t *options, wl_asset_db_t **ret,
                          wl_fault_t *fault) {
    wl_err_t err = options->mysql.at != NULL ? wl_asset_db_mysql_open(options, ret, fault)
                                             : wl_asset_db_sqlite_open(options, ret, fault);
    if (err == WL_OK) {
        (*ret)->readonly = options->readonly;
        (*ret)->map_version = UINT64_MAX;
        (*ret)->owner_log_max =
            options->owner_log_max > 0 ? options->owner_log_max : WL_OWNER_LOG_ROWS_MAX;
    }
    return err;
}

void wl_asset_db_close(wl_asset_db_t **self) {
    if (*self == NULL) {
        return;
    }
    wl_asset_db_rollback(*self);
    (*self)->ops->close(*self);
    *self = NULL;
}

/* ---- one transaction ------------------------------------------------------------------------- */

wl_err_t wl_asset_db_begin(wl_asset_db_t *self) {
    WL_ASSERT(!self->in_transaction && !self->readonly);
    wl_err_t err = self->ops->begin(self);
    if (err == WL_OK) {
        self->in_transaction = true;
        self->failed = WL_OK;
    }
    return err;
}

wl_err_t wl_asset_db_check(wl_asset_db_t *self, wl_err_t err) {
    if (err != WL_OK && self->in_transaction && self->failed == WL_OK) {
        self->failed = err;
    }
    return err;
}

wl_err_t wl_asset_db_expect(wl_asset_db_t *self, const uint64_t *uids, uint32_t count) {
    WL_ASSERT(self->in_transaction);
    if (self->failed != WL_OK) {
        return self->failed;
    }
    bool known = self->ops->expect == NULL;
    return known ? WL_OK : wl_asset_db_check(self, self->ops->expect(self, uids, count));
}

wl_err_t wl_asset_db_fence(wl_asset_db_t *self, uint32_t partition, uint64_t epoch) {
    WL_ASSERT(self->in_transaction);
    if (self->failed != WL_OK) {
        return self->failed;
    }
    wl_err_t err = self->ops->fence(self, partition, epoch);
    return err == WL_ERR_CONFLICT ? err : wl_asset_db_check(self, err);
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
    return wl_asset_db_check(self, self->ops->apply(self, asset, ret_result));
}

wl_err_t wl_asset_db_commit(wl_asset_db_t *self, uint64_t *ret_commit_seq) {
    WL_ASSERT(self->in_transaction);
    if (self->failed != WL_OK) {
        return self->failed;
    }
    wl_err_t err = self->ops->commit(self);
    if (err != WL_OK) {
        return wl_asset_db_check(self, err);
    }
    self->in_transaction = false;
    *ret_commit_seq = self->commit_seq;
    return WL_OK;
}

void wl_asset_db_rollback(wl_asset_db_t *self) {
    if (self->in_transaction) {
        self->ops->rollback(self);
        self->in_transaction = false;
        self->failed = WL_OK;
    }
}

/* ---- the map of slots ------------------------------------------------------------------------ */

void wl_asset_db_map_use(wl_asset_db_t *self, uint64_t version) {
    self->map_version = version;
}

wl_err_t wl_asset_db_map_read(wl_asset_db_t *self, uint64_t *ret_version,
                              uint8_t ret_map[WL_SLOTS]) {
    WL_ASSERT(!self->in_transaction);
    return self->ops->map_read == NULL ? WL_ERR_NOT_FOUND
                                       : self->ops->map_read(self, ret_version, ret_map);
}

wl_err_t wl_asset_db_map_check(wl_asset_db_t *self) {
    wl_err_t err = self->ops->look(self);
    return err == WL_OK && self->read_fence > self->map_version ? WL_ERR_CONFLICT : err;
}

/* ---- reads ----------------------------------------------------------------------------------- */

/* A transaction that has failed has nothing to read from. */
static wl_err_t read_check(const wl_asset_db_t *self) {
    return self->in_transaction ? self->failed : WL_OK;
}

wl_err_t wl_asset_db_get(wl_asset_db_t *self, uint64_t uid, const char *line, const char *bucket,
                         wl_asset_t *ret) {
    wl_asset_t asset;
    wl_err_t err = read_check(self);
    if (err == WL_OK) {
        err = self->ops->get(self, uid, line, bucket, &asset);
    }
    if (err == WL_OK) {
        if (asset.extra_bytes > 0 && asset.extra != self->extra) {
            memcpy(self->extra, asset.extra, asset.extra_bytes);
            asset.extra = self->extra;
        }
        *ret = asset;
    }
    return err;
}

wl_err_t wl_asset_db_rows_end(wl_asset_rows_t *rows, uint32_t count, size_t pool, wl_err_t err) {
    if (err != WL_OK) {
        rows->count = count;
        rows->pool_used = pool;
    }
    return err;
}

wl_err_t wl_asset_db_fetch(wl_asset_db_t *self, uint64_t uid, wl_asset_rows_t *rows) {
    uint32_t count = rows->count;
    size_t pool = rows->pool_used;
    wl_err_t err = read_check(self);
    if (err == WL_OK) {
        err = self->ops->fetch(self, uid, rows);
    }
    return wl_asset_db_rows_end(rows, count, pool, err);
}

wl_err_t wl_asset_db_fetch_many(wl_asset_db_t *self, const uint64_t *uids, uint32_t count,
                                wl_asset_rows_t *rows, uint64_t *ret_commit_seq) {
    WL_ASSERT(!self->in_transaction);
    uint32_t rows_before = rows->count;
    size_t pool_before = rows->pool_used;
    wl_err_t err = wl_asset_db_map_check(self);
    uint64_t commit_seq = self->commit_seq;
    if (err == WL_OK && self->ops->fetch_many != NULL) {
        err = self->ops->fetch_many(self, uids, count, rows);
    } else {
        for (uint32_t i = 0; err == WL_OK && i < count; i++) {
            err = self->ops->fetch(self, uids[i], rows);
        }
    }
    if (err == WL_OK) {
        *ret_commit_seq = commit_seq;
    }
    return wl_asset_db_rows_end(rows, rows_before, pool_before, err);
}

wl_err_t wl_asset_db_scan(wl_asset_db_t *self, wl_asset_cursor_t *cursor, uint32_t max,
                          wl_asset_rows_t *rows) {
    WL_ASSERT(!self->in_transaction);
    uint32_t count = rows->count;
    size_t pool = rows->pool_used;
    wl_err_t err =
        wl_asset_db_rows_end(rows, count, pool, self->ops->scan(self, cursor, max, rows));
    if (err == WL_OK && rows->count > count) {
        const wl_asset_t *last = &rows->at[rows->count - 1];
        cursor->started = true;
        cursor->uid = last->uid;
        memcpy(cursor->line, last->line, sizeof cursor->line);
        memcpy(cursor->bucket, last->bucket, sizeof cursor->bucket);
    }
    return err;
}

wl_err_t wl_asset_db_owns(wl_asset_db_t *self, uint64_t uid, bool *ret_owns) {
    wl_err_t err = read_check(self);
    return err == WL_OK ? self->ops->owns(self, uid, ret_owns) : err;
}

uint64_t wl_asset_db_commit_seq(const wl_asset_db_t *self) {
    return self->commit_seq;
}

const char *wl_asset_db_problem(wl_asset_db_t *self) {
    return self->ops->problem(self);
}

wl_err_t wl_asset_db_count(wl_asset_db_t *self, uint64_t *ret_rows) {
    return self->ops->count(self, ret_rows);
}

/* ---- owners ---------------------------------------------------------------------------------- */

uint64_t wl_asset_db_owner_seq(const wl_asset_db_t *self) {
    return self->owner_newest;
}

uint64_t wl_asset_db_trim_point(const wl_asset_db_t *self, uint64_t newest) {
    bool longer = newest - self->owner_trimmed > self->owner_log_max;
    return longer ? newest - self->owner_log_max : self->owner_trimmed;
}

/* The rows are read before the numbers: what was trimmed in between shows in the numbers. */
wl_err_t wl_asset_db_owner_log(wl_asset_db_t *self, uint64_t after, uint32_t max,
                               uint64_t *ret_uids, uint32_t *ret_count, uint64_t *ret_last) {
    WL_ASSERT(!self->in_transaction);
    uint32_t count = 0;
    uint64_t last = after;
    wl_err_t err = self->ops->owner_log(self, after, max, ret_uids, &count, &last);
    if (err == WL_OK) {
        err = self->ops->look(self);
    }
    if (err != WL_OK) {
        return err;
    }
    if (after < self->owner_trimmed || after > self->owner_newest) {
        return WL_ERR_NOT_FOUND;
    }
    *ret_count = count;
    *ret_last = last;
    return WL_OK;
}

wl_err_t wl_asset_db_owner_trim(wl_asset_db_t *self, uint64_t up_to) {
    WL_ASSERT(!self->in_transaction && !self->readonly);
    if (self->ops->owner_trim == NULL || self->owner_newest == 0) {
        return WL_OK;
    }
    /* The newest row stays, so that numbers go on from it. */
    uint64_t trimmed = up_to < self->owner_newest ? up_to : self->owner_newest - 1;
    return trimmed <= self->owner_trimmed ? WL_OK : self->ops->owner_trim(self, trimmed);
}

wl_err_t wl_asset_db_owner_scan(wl_asset_db_t *self, bool *started, int64_t *cursor, uint32_t max,
                                uint64_t *ret_uids, uint32_t *ret_count) {
    uint32_t count = 0;
    wl_err_t err = self->ops->owner_scan(self, *started, cursor, max, ret_uids, &count);
    if (err == WL_OK) {
        *ret_count = count;
        *started = *started || count > 0;
    }
    return err;
}
