#include "store/asset_lines.h"

#include "base/check.h"
#include "store/asset_db_ops.h"
#include "store/asset_map.h"
#include "store/asset_row.h"

#include <string.h>

wl_err_t wl_asset_db_consent_note(wl_asset_db_t *self, const wl_asset_t *record, const char *via) {
    size_t via_bytes = strlen(via);
    WL_ASSERT(self->in_transaction && wl_asset_is_consent(record));
    WL_ASSERT(via_bytes > 0 && via_bytes <= WL_CONSENT_VIA_MAX);
    if (self->failed != WL_OK) {
        return self->failed;
    }
    return wl_asset_db_check(self, self->ops->consent_note(self, record, via));
}

wl_err_t wl_asset_db_purge(wl_asset_db_t *self, uint64_t uid, const char *line) {
    WL_ASSERT(self->in_transaction);
    return self->failed != WL_OK ? self->failed
                                 : wl_asset_db_check(self, self->ops->purge(self, uid, line));
}

wl_err_t wl_asset_db_scrub(wl_asset_db_t *self, bool *ret_due) {
    WL_ASSERT(!self->in_transaction && !self->readonly);
    *ret_due = false;
    return self->ops->scrub == NULL ? WL_OK : self->ops->scrub(self, ret_due);
}

/* ---- reads ----------------------------------------------------------------------------------- */

wl_err_t wl_asset_db_get_many(wl_asset_db_t *self, const uint64_t *uids, uint32_t count,
                              const char *line, const char *bucket, wl_asset_rows_t *rows) {
    WL_ASSERT(!self->in_transaction);
    uint32_t rows_before = rows->count;
    size_t pool_before = rows->pool_used;
    wl_err_t err = WL_OK;
    if (self->ops->get_many != NULL) {
        err = wl_asset_db_map_check(self);
        err = err == WL_OK ? self->ops->get_many(self, uids, count, line, bucket, rows) : err;
    } else {
        for (uint32_t i = 0; err == WL_OK && i < count; i++) {
            wl_asset_t asset;
            err = self->ops->get(self, uids[i], line, bucket, &asset);
            if (err == WL_OK) {
                wl_asset_rows_add(rows, &asset);
            }
            err = err == WL_ERR_NOT_FOUND ? WL_OK : err;
        }
    }
    return wl_asset_db_rows_end(rows, rows_before, pool_before, err);
}

void wl_users_walk_add(wl_users_walk_t *self, uint64_t uid, bool wanted) {
    WL_ASSERT(self->looked < self->max);
    self->looked++;
    self->last = uid;
    if (wanted) {
        self->uids[self->count++] = uid;
    }
}

/* uids are signed in SQLite, so those from 2^63 on are another range, below the others. */
wl_err_t wl_asset_db_users(wl_asset_db_t *self, uint64_t after, const char *line, uint32_t max,
                           uint64_t *ret_uids, uint32_t *ret_count, uint64_t *ret_after,
                           bool *ret_last) {
    WL_ASSERT(!self->in_transaction && max > 0);
    wl_users_walk_t walk = {.line = line, .max = max, .last = after, .uids = ret_uids};
    wl_err_t err = WL_OK;
    if (after < INT64_MAX) {
        walk.from = after + 1;
        walk.to = INT64_MAX;
        err = self->ops->users(self, &walk);
    }
    if (err == WL_OK && walk.looked < max && after < UINT64_MAX) {
        walk.from = after < INT64_MAX ? (uint64_t)INT64_MAX + 1 : after + 1;
        walk.to = UINT64_MAX;
        err = self->ops->users(self, &walk);
    }
    bool cut = err == WL_ERR_DAMAGED && walk.looked > 0; /* the next page begins at the damage */
    if (err == WL_OK || cut) {
        *ret_count = walk.count;
        *ret_after = walk.last;
        *ret_last = !cut && walk.looked < max;
    }
    return cut ? WL_OK : err;
}

/* Can a page that begins behind this id be read? */
static wl_err_t users_probe(wl_asset_db_t *self, uint64_t after) {
    uint64_t uid = 0;
    uint32_t count = 0;
    bool last = false;
    return wl_asset_db_users(self, after, NULL, 1, &uid, &count, &uid, &last);
}

/* Looks further and further ahead, then halves the last step. */
wl_err_t wl_asset_db_users_skip(wl_asset_db_t *self, uint64_t after, uint64_t *ret_after) {
    uint64_t bad = after;
    uint64_t good = UINT64_MAX; /* nobody is behind it */
    uint64_t at = 0;
    for (uint64_t step = 1; !__builtin_add_overflow(after, step, &at); step *= 2) {
        wl_err_t err = users_probe(self, at);
        if (err == WL_OK) {
            good = at;
            break;
        }
        if (err != WL_ERR_DAMAGED) {
            return err;
        }
        bad = at;
        if (step > UINT64_MAX / 2) {
            break;
        }
    }
    while (good - bad > 1) {
        at = bad + (good - bad) / 2;
        wl_err_t err = users_probe(self, at);
        if (err != WL_OK && err != WL_ERR_DAMAGED) {
            return err;
        }
        *(err == WL_OK ? &good : &bad) = at;
    }
    *ret_after = good;
    return WL_OK;
}
