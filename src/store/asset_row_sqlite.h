/* asset_row_sqlite.h: an asset record as parameters and results of a SQLite statement. Owned by the
 * thread of the statement. Only src/store includes it. */
#ifndef WL_STORE_ASSET_ROW_SQLITE_H
#define WL_STORE_ASSET_ROW_SQLITE_H

#include "base/asset.h"
#include "base/err.h"

#include <sqlite3.h>

/* Binds ?1 .. ?15 in the order of WL_ASSET_COLUMNS; the asset must live until the statement is
 * reset. */
void wl_asset_row_bind(sqlite3_stmt *statement, const wl_asset_t *asset);

/* Reads columns 0 .. 14. WL_ERR_DAMAGED: a value that wl_asset_row_check would not have let in.
 * ret->extra is borrowed until the statement moves. */
WL_MUST_USE wl_err_t wl_asset_row_read(sqlite3_stmt *statement, wl_asset_t *ret);

#endif
