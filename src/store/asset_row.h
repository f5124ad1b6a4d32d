/* asset_row.h: an asset record as a row of SQL, and the growing list that reads return. The SQLite
 * halves are for src/store only. Owned by the thread of the handle that reads. */
#ifndef WL_STORE_ASSET_ROW_H
#define WL_STORE_ASSET_ROW_H

#include "base/asset.h"
#include "base/err.h"
#include "store/asset_db.h"

#include <sqlite3.h>

/* The columns in the order of wl_asset_row_bind's parameters and wl_asset_row_read's results. */
#define WL_ASSET_COLUMNS                                                                        \
    "uid, line, bucket, kind, amount, unit, scale, count, pending, state, expires_at, version," \
    " changed_at, pulled_at, extra"

/* May the record be stored? WL_ERR_OVERFLOW: a version above WL_VERSION_MAX; WL_ERR_TOO_BIG: extra;
 * WL_ERR_MALFORMED: kind, state, scale or a text out of bounds. What passes can be read back. */
WL_MUST_USE wl_err_t wl_asset_row_check(const wl_asset_t *asset);

/* Binds ?1 .. ?15; the asset must live until the statement is reset. */
void wl_asset_row_bind(sqlite3_stmt *statement, const wl_asset_t *asset);

/* Reads columns 0 .. 14. WL_ERR_DAMAGED: a value that wl_asset_row_check would not have let in.
 * ret->extra is borrowed until the statement moves. */
WL_MUST_USE wl_err_t wl_asset_row_read(sqlite3_stmt *statement, wl_asset_t *ret);

/* Appends a copy of the asset and of its extra. */
void wl_asset_rows_add(wl_asset_rows_t *self, const wl_asset_t *asset);

#endif
