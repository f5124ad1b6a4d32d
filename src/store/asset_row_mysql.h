/* asset_row_mysql.h: an asset record as SQL of MySQL and as a row that it returned. Owned by the
 * thread of the connection. Only src/store includes it. */
#ifndef WL_STORE_ASSET_ROW_MYSQL_H
#define WL_STORE_ASSET_ROW_MYSQL_H

#include "base/asset.h"
#include "store/mysql_tool.h"
#include "store/sql_text.h"

/* What stands around the rows of an upsert: the version guard. An equal version moves only
 * pulled_at, and only forward. Assignments see those before them, so version comes last. */
extern const char wl_asset_upsert_head[];
extern const char wl_asset_upsert_tail[];

/* "(uid, 'line', ...)" with slot, in the order of wl_asset_upsert_head. */
void wl_asset_row_write(wl_sql_text_t *sql, const wl_asset_t *asset);

/* Reads the current row, whose columns are WL_ASSET_COLUMNS. WL_ERR_DAMAGED: a value that
 * wl_asset_row_check would not have let in. ret->extra is borrowed until the next row. */
WL_MUST_USE wl_err_t wl_asset_row_take(const wl_mysql_t *from, wl_asset_t *ret);

#endif
