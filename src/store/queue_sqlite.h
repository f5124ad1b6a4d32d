/* queue_sqlite.h: what queue_sqlite.c and queue_dead_sqlite.c share: the handle and its prepared
 * statements. Nobody else includes it. */
#ifndef WL_STORE_QUEUE_SQLITE_H
#define WL_STORE_QUEUE_SQLITE_H

#include "store/queue_backend.h"

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
    WL_QUEUE_SQL_DEAD_OF_CLASS,
    WL_QUEUE_SQL_DEAD_OF_UID,
    WL_QUEUE_SQL_DEAD_PICK,
    WL_QUEUE_SQL_DEAD_CLASSES,
    WL_QUEUE_SQL_DEAD_UNTOLD,
    WL_QUEUE_SQL_DEAD_TELL,
    WL_QUEUE_SQL_DEAD_DELETE,
    WL_QUEUE_SQL_DEAD_FORGET,
    WL_QUEUE_SQL_AUDIT,
    WL_QUEUE_SQL_AUDIT_TRIM,
    WL_QUEUE_SQL_JOB_PUT,
    WL_QUEUE_SQL_JOB_END,
    WL_QUEUE_SQL_JOBS,
    WL_QUEUE_SQL_COUNT
} wl_queue_sql_t;

typedef struct {
    wl_queue_t queue; /* first: a wl_queue_t of this backend is one of these */
    sqlite3 *db;
    sqlite3_stmt *sql[WL_QUEUE_SQL_COUNT];
    wl_queue_use_t use;
} wl_queue_sqlite_t;

/* What one transaction adds to the row of counts. */
typedef struct {
    int64_t next_id;
    int64_t entries;
    int64_t retries;
    int64_t dead;
} wl_queue_tally_t;

WL_MUST_USE wl_err_t wl_queue_sqlite_begin(wl_queue_sqlite_t *self);
/* Adds the tally and commits, or rolls back when err is not WL_OK or that fails. */
WL_MUST_USE wl_err_t wl_queue_sqlite_end(wl_queue_sqlite_t *self, wl_err_t err,
                                         const wl_queue_tally_t *added);

/* Inserts or replaces one retry row. */
WL_MUST_USE wl_err_t wl_queue_sqlite_retry_put(wl_queue_sqlite_t *self, const wl_retry_row_t *row,
                                               wl_queue_tally_t *added);

/* Histories of retries and letters: none is NULL there. */
void wl_queue_sqlite_bind_history(sqlite3_stmt *sql, int at, const void *history, size_t bytes);
/* Borrowed until the next step; NULL: none, or too long to be one. */
const void *wl_queue_sqlite_history(sqlite3_stmt *sql, int column, size_t *ret_bytes);

/* queue_dead_sqlite.c; see wl_queue_ops_t */
WL_MUST_USE wl_err_t wl_queue_sqlite_dead_list(wl_queue_t *self, const wl_dead_filter_t *filter,
                                               uint64_t last, size_t max, wl_dead_fn tell,
                                               void *arg);
WL_MUST_USE wl_err_t wl_queue_sqlite_dead_classes(wl_queue_t *self,
                                                  uint64_t ret_counts[WL_FAILURE_COUNT]);
/* Gives their classes to letters that are older than classes. */
WL_MUST_USE wl_err_t wl_queue_sqlite_dead_tell(wl_queue_sqlite_t *self);
WL_MUST_USE wl_err_t wl_queue_sqlite_dead_get(wl_queue_t *self, uint64_t id, wl_dead_fn tell,
                                              void *arg);
WL_MUST_USE wl_err_t wl_queue_sqlite_dead_redrive(wl_queue_t *self, const wl_dead_choice_t *choice,
                                                  wl_retry_fn tell, void *arg, uint64_t *ret_count);
WL_MUST_USE wl_err_t wl_queue_sqlite_dead_discard(wl_queue_t *self, const wl_dead_choice_t *choice,
                                                  wl_retry_fn tell, void *arg, uint64_t *ret_count);
WL_MUST_USE wl_err_t wl_queue_sqlite_dead_forget(wl_queue_t *self, uint64_t uid, const char *line,
                                                 uint64_t *ret_count);

/* queue_job_sqlite.c; see wl_queue_ops_t */
WL_MUST_USE wl_err_t wl_queue_sqlite_job_set(wl_queue_t *self, uint32_t partition, const char *name,
                                             const void *body, size_t bytes);
WL_MUST_USE wl_err_t wl_queue_sqlite_job_put(wl_queue_t *self, const char *name, const void *body,
                                             size_t bytes);
WL_MUST_USE wl_err_t wl_queue_sqlite_jobs(wl_queue_t *self, uint32_t partition, wl_job_fn tell,
                                          void *arg);

#endif
