/* queue_sqlite.h: what queue_sqlite.c and queue_dead_sqlite.c share: the handle and its prepared
 * statements. Nobody else includes it. */
#ifndef WL_STORE_QUEUE_SQLITE_H
#define WL_STORE_QUEUE_SQLITE_H

#include "store/queue.h"

#include <sqlite3.h>

typedef enum {
    WL_QUEUE_SQL_BEGIN,
    WL_QUEUE_SQL_TALLY,
    WL_QUEUE_SQL_TALLY_ADD,
    WL_QUEUE_SQL_APPEND,
    WL_QUEUE_SQL_READ,
    WL_QUEUE_SQL_ACK,
    WL_QUEUE_SQL_OLDEST,
    WL_QUEUE_SQL_RETRY_UPDATE,
    WL_QUEUE_SQL_RETRY_INSERT,
    WL_QUEUE_SQL_RETRY_END,
    WL_QUEUE_SQL_RETRIES,
    WL_QUEUE_SQL_DEAD_INSERT,
    WL_QUEUE_SQL_DEAD_LIST,
    WL_QUEUE_SQL_DEAD_PICK,
    WL_QUEUE_SQL_DEAD_DELETE,
    WL_QUEUE_SQL_AUDIT,
    WL_QUEUE_SQL_AUDIT_TRIM,
    WL_QUEUE_SQL_COUNT
} wl_queue_sql_t;

struct wl_queue {
    sqlite3 *db;
    sqlite3_stmt *sql[WL_QUEUE_SQL_COUNT];
    wl_queue_use_t use;
};

/* What one transaction adds to the row of counts. */
typedef struct {
    int64_t next_id;
    int64_t entries;
    int64_t retries;
    int64_t dead;
} wl_queue_tally_t;

WL_MUST_USE wl_err_t wl_queue_begin(wl_queue_t *self);
/* Adds the tally and commits, or rolls back when err is not WL_OK or that fails. */
WL_MUST_USE wl_err_t wl_queue_end(wl_queue_t *self, wl_err_t err, const wl_queue_tally_t *added);

/* Inserts or replaces one retry row. */
WL_MUST_USE wl_err_t wl_queue_retry_put(wl_queue_t *self, const wl_retry_row_t *row,
                                        wl_queue_tally_t *added);

#endif
