#include "store/asset_row_mysql.h"

#include "base/slot.h"
#include "store/asset_row.h"

#include <string.h>

const char wl_asset_upsert_head[] = "INSERT INTO asset(slot, " WL_ASSET_COLUMNS ") VALUES ";

#define NEWER(column) #column " = IF(VALUES(version) > version, VALUES(" #column "), " #column "), "

/* VALUES() is what both servers understand. */
const char wl_asset_upsert_tail[] = " ON DUPLICATE KEY UPDATE " NEWER(kind) NEWER(amount) NEWER(
    unit) NEWER(scale) NEWER(count) NEWER(pending) NEWER(state) NEWER(expires_at) NEWER(changed_at)
    NEWER(extra) "pulled_at = IF(VALUES(version) > version OR (VALUES(version) = version AND"
                 " VALUES(pulled_at) > pulled_at), VALUES(pulled_at), pulled_at), "
                 "version = IF(VALUES(version) > version, VALUES(version), version)";

#undef NEWER

void wl_asset_row_write(wl_sql_text_t *sql, const wl_asset_t *asset) {
    wl_sql_add(sql, "(");
    wl_sql_unsigned(sql, wl_slot_of(asset->uid));
    wl_sql_add(sql, ",");
    wl_sql_unsigned(sql, asset->uid);
    wl_sql_add(sql, ",");
    wl_sql_text(sql, asset->line);
    wl_sql_add(sql, ",");
    wl_sql_text(sql, asset->bucket);
    wl_sql_add(sql, ",");
    wl_sql_unsigned(sql, asset->kind);
    wl_sql_add(sql, ",");
    wl_sql_signed(sql, asset->amount);
    wl_sql_add(sql, ",");
    wl_sql_text(sql, asset->unit);
    wl_sql_add(sql, ",");
    wl_sql_unsigned(sql, asset->scale);
    wl_sql_add(sql, ",");
    wl_sql_unsigned(sql, asset->count);
    wl_sql_add(sql, ",");
    wl_sql_signed(sql, asset->pending);
    wl_sql_add(sql, ",");
    wl_sql_unsigned(sql, asset->state);
    wl_sql_add(sql, ",");
    wl_sql_signed(sql, asset->expires_at);
    wl_sql_add(sql, ",");
    wl_sql_unsigned(sql, asset->version);
    wl_sql_add(sql, ",");
    wl_sql_signed(sql, asset->changed_at);
    wl_sql_add(sql, ",");
    wl_sql_signed(sql, asset->pulled_at);
    wl_sql_add(sql, ",");
    wl_sql_bytes(sql, asset->extra, asset->extra_bytes);
    wl_sql_add(sql, ")");
}

wl_err_t wl_asset_row_take(const wl_mysql_t *from, wl_asset_t *ret) {
    uint64_t kind = 0;
    uint64_t scale = 0;
    uint64_t count = 0;
    uint64_t state = 0;
    memset(ret, 0, sizeof *ret);
    bool sound =
        wl_mysql_unsigned(from, 0, UINT64_MAX, &ret->uid) &&
        wl_mysql_copy(from, 1, ret->line, sizeof ret->line) && ret->line[0] != '\0' &&
        wl_mysql_copy(from, 2, ret->bucket, sizeof ret->bucket) &&
        wl_mysql_unsigned(from, 3, WL_KIND_COUNT - 1, &kind) &&
        wl_mysql_signed(from, 4, &ret->amount) &&
        wl_mysql_copy(from, 5, ret->unit, sizeof ret->unit) &&
        wl_mysql_unsigned(from, 6, WL_SCALE_MAX, &scale) &&
        wl_mysql_unsigned(from, 7, UINT32_MAX, &count) && wl_mysql_signed(from, 8, &ret->pending) &&
        wl_mysql_unsigned(from, 9, WL_STATE_COUNT - 1, &state) &&
        wl_mysql_signed(from, 10, &ret->expires_at) &&
        wl_mysql_unsigned(from, 11, WL_VERSION_MAX, &ret->version) &&
        wl_mysql_signed(from, 12, &ret->changed_at) && wl_mysql_signed(from, 13, &ret->pulled_at);
    size_t extra_bytes = 0;
    const char *extra = wl_mysql_bytes(from, 14, &extra_bytes);
    if (!sound || extra_bytes > WL_EXTRA_BYTES_MAX) {
        return WL_ERR_DAMAGED;
    }
    ret->kind = (uint8_t)kind;
    ret->scale = (uint8_t)scale;
    ret->count = (uint32_t)count;
    ret->state = (uint8_t)state;
    ret->extra_bytes = (uint16_t)extra_bytes;
    ret->extra = extra_bytes > 0 ? (const uint8_t *)extra : NULL;
    return WL_OK;
}
