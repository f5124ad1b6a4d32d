/* asset_db_ops.h: what a backend of the asset database is. asset_db.c checks the state of the
 * transaction and the record, then calls these; each has the meaning of its function in asset_db.h.
 * Only src/store includes it. */
#ifndef WL_STORE_ASSET_DB_OPS_H
#define WL_STORE_ASSET_DB_OPS_H

#include "base/limits.h"
#include "store/asset_db.h"

enum {
    WL_TOUCH_MS = 1000,              /* an equal version moves pulled_at only by so much */
    WL_OWNER_LOG_ROWS_MAX = 4194304, /* about 60 MB; older rows go, and a reader is sent to scan */
    WL_OWNER_SWEEP_ROWS = 1000,      /* trimmed rows deleted at once: about a millisecond */
};

/* A walk over some users: where, and how far it has come. */
typedef struct {
    const char *line; /* NULL = any */
    uint64_t from;    /* first and last uid, both on one side of 2^63 */
    uint64_t to;
    uint32_t max;    /* users to look at, from the beginning */
    uint32_t looked; /* so many were */
    uint64_t last;   /* of them */
    uint64_t *uids;  /* borrowed; those that are wanted, room for max */
    uint32_t count;
} wl_users_walk_t;
/* Notes the next user; wanted: has a record of the line. */
void wl_users_walk_add(wl_users_walk_t *self, uint64_t uid, bool wanted);

typedef struct {
    wl_err_t (*begin)(wl_asset_db_t *self);
    /* NULL: a read is no round trip */
    wl_err_t (*expect)(wl_asset_db_t *self, const uint64_t *uids, uint32_t count);
    wl_err_t (*fence)(wl_asset_db_t *self, uint32_t partition, uint64_t epoch);
    wl_err_t (*apply)(wl_asset_db_t *self, const wl_asset_t *asset, wl_apply_result_t *ret);
    wl_err_t (*consent_note)(wl_asset_db_t *self, const wl_asset_t *record, const char *via);
    wl_err_t (*purge)(wl_asset_db_t *self, uint64_t uid, const char *line);
    wl_err_t (*commit)(wl_asset_db_t *self); /* sets the numbers */
    void (*rollback)(wl_asset_db_t *self);
    /* NULL: nothing of the kind is in our hands */
    wl_err_t (*scrub)(wl_asset_db_t *self, bool *ret_due);
    /* ret->extra may point into memory that the next call reuses. */
    wl_err_t (*get)(wl_asset_db_t *self, uint64_t uid, const char *line, const char *bucket,
                    wl_asset_t *ret);
    /* The next four may leave rows behind when they fail. */
    wl_err_t (*fetch)(wl_asset_db_t *self, uint64_t uid, wl_asset_rows_t *rows);
    /* NULL: one by one */
    wl_err_t (*fetch_many)(wl_asset_db_t *self, const uint64_t *uids, uint32_t count,
                           wl_asset_rows_t *rows);
    /* NULL: one by one */
    wl_err_t (*get_many)(wl_asset_db_t *self, const uint64_t *uids, uint32_t count,
                         const char *line, const char *bucket, wl_asset_rows_t *rows);
    wl_err_t (*users)(wl_asset_db_t *self, wl_users_walk_t *walk);
    wl_err_t (*scan)(wl_asset_db_t *self, const wl_asset_cursor_t *cursor, uint32_t max,
                     wl_asset_rows_t *rows);
    wl_err_t (*owns)(wl_asset_db_t *self, uint64_t uid, bool *ret_owns);
    wl_err_t (*look)(wl_asset_db_t *self); /* reads the numbers; not inside a transaction */
    wl_err_t (*owner_log)(wl_asset_db_t *self, uint64_t after, uint32_t max, uint64_t *ret_uids,
                          uint32_t *ret_count, uint64_t *ret_last);
    /* NULL: others need the rows */
    wl_err_t (*owner_trim)(wl_asset_db_t *self, uint64_t up_to);
    wl_err_t (*owner_scan)(wl_asset_db_t *self, bool started, int64_t *cursor, uint32_t max,
                           uint64_t *ret_uids, uint32_t *ret_count);
    wl_err_t (*count)(wl_asset_db_t *self, uint64_t *ret_rows);
    /* NULL: slots never move; then there are no fences */
    wl_err_t (*map_read)(wl_asset_db_t *self, uint64_t *ret_version, uint8_t ret_map[WL_SLOTS]);
    const char *(*problem)(wl_asset_db_t *self);
    void (*close)(wl_asset_db_t *self); /* frees it; no transaction is open */
} wl_asset_db_ops_t;

/* The first member of every backend. */
struct wl_asset_db {
    const wl_asset_db_ops_t *ops;
    uint64_t commit_seq;               /* newest commit that this handle knows */
    uint64_t owner_newest;             /* newest number of the owner log that it knows, committed */
    uint64_t owner_trimmed;            /* log rows up to here are gone or may go */
    uint32_t owner_log_max;            /* rows of it that stay */
    uint64_t map_version;              /* of the map that the caller goes by, UINT64_MAX: any */
    uint64_t read_fence;               /* as `look` has read it */
    bool readonly;                     /* begin is never called */
    bool in_transaction;               /* between begin and commit or rollback */
    wl_err_t failed;                   /* why the open transaction can only be rolled back */
    uint8_t extra[WL_EXTRA_BYTES_MAX]; /* what get returned last */
};

/* wl_asset_db_open() calls one of these and then fills owner_log_max and readonly. */
WL_MUST_USE wl_err_t wl_asset_db_sqlite_open(const wl_asset_db_options_t *options,
                                             wl_asset_db_t **ret, wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_asset_db_mysql_open(const wl_asset_db_options_t *options,
                                            wl_asset_db_t **ret, wl_fault_t *fault);

/* Notes the first error of the transaction; from here on only rollback is possible. */
wl_err_t wl_asset_db_check(wl_asset_db_t *self, wl_err_t err);
/* Takes what was appended to rows since they were so long off again when err is one; returns it. */
wl_err_t wl_asset_db_rows_end(wl_asset_rows_t *rows, uint32_t count, size_t pool, wl_err_t err);
/* Where trimming by length alone would put the end of the owner log. */
uint64_t wl_asset_db_trim_point(const wl_asset_db_t *self, uint64_t newest);

#endif
