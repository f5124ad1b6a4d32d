#include "store/asset_row_sqlite.h"

#include "store/asset_row.h"
#include "store/sqlite_tool.h"

#include <string.h>

void wl_asset_row_bind(sqlite3_stmt *statement, const wl_asset_t *asset) {
    (void)sqlite3_bind_int64(statement, 1, (sqlite3_int64)asset->uid);
    (void)sqlite3_bind_text(statement, 2, asset->line, -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(statement, 3, asset->bucket, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(statement, 4, asset->kind);
    (void)sqlite3_bind_int64(statement, 5, asset->amount);
    (void)sqlite3_bind_text(statement, 6, asset->unit, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int(statement, 7, asset->scale);
    (void)sqlite3_bind_int64(statement, 8, asset->count);
    (void)sqlite3_bind_int64(statement, 9, asset->pending);
    (void)sqlite3_bind_int(statement, 10, asset->state);
    (void)sqlite3_bind_int64(statement, 11, asset->expires_at);
    (void)sqlite3_bind_int64(statement, 12, (sqlite3_int64)asset->version);
    (void)sqlite3_bind_int64(statement, 13, asset->changed_at);
    (void)sqlite3_bind_int64(statement, 14, asset->pulled_at);
    if (asset->extra_bytes > 0) {
        (void)sqlite3_bind_blob(statement, 15, asset->extra, asset->extra_bytes, SQLITE_STATIC);
    } else {
        (void)sqlite3_bind_null(statement, 15);
    }
}

/* A column whose number must be in 0 .. max. */
static bool number_read(sqlite3_stmt *statement, int column, int64_t max, int64_t *ret) {
    *ret = sqlite3_column_int64(statement, column);
    return *ret >= 0 && *ret <= max;
}

wl_err_t wl_asset_row_read(sqlite3_stmt *statement, wl_asset_t *ret) {
    int64_t kind = 0;
    int64_t scale = 0;
    int64_t count = 0;
    int64_t state = 0;
    int64_t version = 0;
    memset(ret, 0, sizeof *ret);
    int extra_bytes = sqlite3_column_bytes(statement, 14);
    bool sound = wl_sqlite_text(statement, 1, ret->line, sizeof ret->line) &&
                 wl_sqlite_text(statement, 2, ret->bucket, sizeof ret->bucket) &&
                 wl_sqlite_text(statement, 5, ret->unit, sizeof ret->unit) &&
                 number_read(statement, 3, WL_KIND_COUNT - 1, &kind) &&
                 number_read(statement, 6, WL_SCALE_MAX, &scale) &&
                 number_read(statement, 7, UINT32_MAX, &count) &&
                 number_read(statement, 9, WL_STATE_COUNT - 1, &state) &&
                 number_read(statement, 11, INT64_MAX, &version) && ret->line[0] != '\0' &&
                 extra_bytes <= WL_EXTRA_BYTES_MAX;
    if (!sound) {
        return WL_ERR_DAMAGED;
    }
    ret->uid = (uint64_t)sqlite3_column_int64(statement, 0);
    ret->kind = (uint8_t)kind;
    ret->amount = sqlite3_column_int64(statement, 4);
    ret->scale = (uint8_t)scale;
    ret->count = (uint32_t)count;
    ret->pending = sqlite3_column_int64(statement, 8);
    ret->state = (uint8_t)state;
    ret->expires_at = sqlite3_column_int64(statement, 10);
    ret->version = (uint64_t)version;
    ret->changed_at = sqlite3_column_int64(statement, 12);
    ret->pulled_at = sqlite3_column_int64(statement, 13);
    ret->extra_bytes = (uint16_t)extra_bytes;
    ret->extra = extra_bytes > 0 ? sqlite3_column_blob(statement, 14) : NULL;
    return WL_OK;
}
