/* asset_db_mysql.h: one MySQL handle of the asset database, for the files that are its backend:
 * asset_db_mysql.c (transactions and life) and asset_db_mysql_read.c. One thread. */
#ifndef WL_STORE_ASSET_DB_MYSQL_H
#define WL_STORE_ASSET_DB_MYSQL_H

#include "store/asset_batch.h"
#include "store/asset_db_ops.h"
#include "store/mysql_schema.h"
#include "store/sql_text.h"

enum {
    WL_STATEMENT_ROWS = 512,     /* of one statement; more gain nothing */
    WL_STATEMENT_BYTES = 524288, /* half of the least max_allowed_packet that we accept */
    WL_FENCES_MAX = 64,          /* partitions of the queue that one shard can know */
};

/* The newest epoch of a partition. */
typedef struct {
    uint32_t partition;
    bool raised; /* by this transaction */
    uint64_t epoch;
} wl_fence_t;

/* Slots are being moved: whoever writes to users of them says so in slot_log. */
typedef struct {
    uint64_t write_fence;
    bool on;
    uint32_t first; /* slots */
    uint32_t last;
} wl_slot_log_t;

typedef struct {
    wl_asset_db_t base;
    wl_mysql_t *link;        /* owned */
    wl_mysql_shard_t shard;  /* whose database it must be */
    wl_asset_batch_t *batch; /* owned; users of the open transaction */
    wl_sql_text_t sql;       /* owned; of one statement */
    wl_fence_t fences[WL_FENCES_MAX];
    uint32_t fence_count;
    wl_slot_log_t log; /* as the open transaction has found it */
} wl_asset_db_mysql_t;

/* Starts a statement in self->sql; parts are added with wl_sql_... */
wl_sql_text_t *wl_asset_db_mysql_sql(wl_asset_db_mysql_t *self, const char *first);
/* Adds "uid IN (1,2,3)". */
void wl_asset_db_mysql_users(wl_sql_text_t *sql, const uint64_t *uids, uint32_t count);
/* Sends the statement; its rows follow. */
WL_MUST_USE wl_err_t wl_asset_db_mysql_query(wl_asset_db_mysql_t *self);
/* Takes the numbers of the shard from the first columns of the current row. */
WL_MUST_USE wl_err_t wl_asset_db_mysql_numbers(wl_asset_db_mysql_t *self);
/* Makes sure that a user of the open transaction is in the batch. */
WL_MUST_USE wl_err_t wl_asset_db_mysql_need(wl_asset_db_mysql_t *self, uint64_t uid);

/* The reads, as in wl_asset_db_ops_t. */
wl_err_t wl_asset_db_mysql_look(wl_asset_db_t *base);
wl_err_t wl_asset_db_mysql_map_read(wl_asset_db_t *base, uint64_t *ret_version,
                                    uint8_t ret_map[WL_SLOTS]);
wl_err_t wl_asset_db_mysql_get(wl_asset_db_t *base, uint64_t uid, const char *line,
                               const char *bucket, wl_asset_t *ret);
wl_err_t wl_asset_db_mysql_fetch(wl_asset_db_t *base, uint64_t uid, wl_asset_rows_t *rows);
wl_err_t wl_asset_db_mysql_fetch_many(wl_asset_db_t *base, const uint64_t *uids, uint32_t count,
                                      wl_asset_rows_t *rows);
wl_err_t wl_asset_db_mysql_get_many(wl_asset_db_t *base, const uint64_t *uids, uint32_t count,
                                    const char *line, const char *bucket, wl_asset_rows_t *rows);
wl_err_t wl_asset_db_mysql_users_walk(wl_asset_db_t *base, wl_users_walk_t *walk);
wl_err_t wl_asset_db_mysql_scan(wl_asset_db_t *base, const wl_asset_cursor_t *cursor, uint32_t max,
                                wl_asset_rows_t *rows);
wl_err_t wl_asset_db_mysql_owns(wl_asset_db_t *base, uint64_t uid, bool *ret_owns);
wl_err_t wl_asset_db_mysql_count(wl_asset_db_t *base, uint64_t *ret_rows);
wl_err_t wl_asset_db_mysql_owner_log(wl_asset_db_t *base, uint64_t after, uint32_t max,
                                     uint64_t *ret_uids, uint32_t *ret_count, uint64_t *ret_last);
wl_err_t wl_asset_db_mysql_owner_scan(wl_asset_db_t *base, bool started, int64_t *cursor,
                                      uint32_t max, uint64_t *ret_uids, uint32_t *ret_count);

#endif
