/* asset_row.h: an asset record as a row of SQL: which may be stored, and the growing list that
 * reads return. Owned by the thread of the handle that reads. Only src/store includes it. */
#ifndef WL_STORE_ASSET_ROW_H
#define WL_STORE_ASSET_ROW_H

#include "base/asset.h"
#include "base/err.h"
#include "store/asset_db.h"

/* The columns in the order in which both backends write and read them. */
#define WL_ASSET_COLUMNS                                                                        \
    "uid, line, bucket, kind, amount, unit, scale, count, pending, state, expires_at, version," \
    " changed_at, pulled_at, extra"

/* May the record be stored? WL_ERR_OVERFLOW: a version above WL_VERSION_MAX; WL_ERR_TOO_BIG: extra;
 * WL_ERR_MALFORMED: kind, state, scale or a text out of bounds. What passes can be read back. */
WL_MUST_USE wl_err_t wl_asset_row_check(const wl_asset_t *asset);

/* Appends a copy of the asset and of its extra, which must not lie in this list. */
void wl_asset_rows_add(wl_asset_rows_t *self, const wl_asset_t *asset);
/* Puts a copy in the place of record `index`; the old one's extra is wasted until the list is
 * cleared. */
void wl_asset_rows_set(wl_asset_rows_t *self, uint32_t index, const wl_asset_t *asset);

#endif
