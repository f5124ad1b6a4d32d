/* asset_db_sqlite.h: one SQLite handle of the asset database, for the files that are its backend:
 * asset_db_sqlite.c (transactions, reads and life) and asset_db_sqlite_lines.c. One thread. */
#ifndef WL_STORE_ASSET_DB_SQLITE_H
#define WL_STORE_ASSET_DB_SQLITE_H

#include "store/asset_db_ops.h"

#include <sqlite3.h>

/* The prepared statements; their texts stand in asset_db_sqlite.c. */
typedef enum {
    WL_SQL_BEGIN,
    WL_SQL_UPSERT,
    WL_SQL_TOUCH,
    WL_SQL_GET,
    WL_SQL_FETCH,
    WL_SQL_OWNS,
    WL_SQL_USER_ROWS,
    WL_SQL_REMOVE,
    WL_SQL_PURGE,
    WL_SQL_CONSENT_NOTE,
    WL_SQL_SCRUB,
    WL_SQL_USERS,
    WL_SQL_SCAN,
    WL_SQL_META,
    WL_SQL_LOOK,
    WL_SQL_FENCE,
    WL_SQL_FENCE_READ,
    WL_SQL_OWNER_LOG,
    WL_SQL_OWNER_SWEEP,
    WL_SQL_OWNER_SCAN,
    WL_SQL_COUNT
} wl_asset_sql_t;

typedef struct {
    wl_asset_db_t base;
    sqlite3 *db;                     /* owned */
    sqlite3_stmt *sql[WL_SQL_COUNT]; /* owned */
    uint64_t owner_births;           /* numbers that the open transaction has added */
    bool sweeping;                   /* some rows of the trimmed log may still be there */
    bool purged;                     /* the open transaction has purged something */
    int busy_timeout_ms;
    bool scrub_due; /* purged rows may still stand in the WAL */
} wl_asset_db_sqlite_t;

/* The key of a record as parameters 1 to 3. */
void wl_asset_db_sqlite_key(sqlite3_stmt *sql, uint64_t uid, const char *line, const char *bucket);

/* As in wl_asset_db_ops_t. */
wl_err_t wl_asset_db_sqlite_consent_note(wl_asset_db_t *base, const wl_asset_t *record,
                                         const char *via);
wl_err_t wl_asset_db_sqlite_purge(wl_asset_db_t *base, uint64_t uid, const char *line);
wl_err_t wl_asset_db_sqlite_scrub(wl_asset_db_t *base, bool *ret_due);
wl_err_t wl_asset_db_sqlite_users(wl_asset_db_t *base, wl_users_walk_t *walk);

#endif
