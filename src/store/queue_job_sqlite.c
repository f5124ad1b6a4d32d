/* Records of long work in SQLite: a table beside the queue, and one partition. */
#include "store/queue_sqlite.h"
#include "store/sqlite_tool.h"

#include <string.h>

wl_err_t wl_queue_sqlite_job_set(wl_queue_t *queue, uint32_t partition, const char *name,
                                 const void *body, size_t bytes) {
    wl_queue_sqlite_t *self = (wl_queue_sqlite_t *)queue;
    (void)partition;
    wl_err_t err = wl_queue_sqlite_begin(self);
    if (err != WL_OK) {
        return err;
    }
    sqlite3_stmt *sql = self->sql[bytes > 0 ? WL_QUEUE_SQL_JOB_PUT : WL_QUEUE_SQL_JOB_END];
    (void)sqlite3_bind_text(sql, 1, name, -1, SQLITE_STATIC);
    if (bytes > 0) {
        (void)sqlite3_bind_blob(sql, 2, body, (int)bytes, SQLITE_STATIC);
    }
    return wl_queue_sqlite_end(self, wl_sqlite_run(sql), &(wl_queue_tally_t){0});
}

wl_err_t wl_queue_sqlite_job_put(wl_queue_t *queue, const char *name, const void *body,
                                 size_t bytes) {
    return wl_queue_sqlite_job_set(queue, 0, name, body, bytes);
}

wl_err_t wl_queue_sqlite_jobs(wl_queue_t *queue, uint32_t partition, wl_job_fn tell, void *arg) {
    wl_queue_sqlite_t *self = (wl_queue_sqlite_t *)queue;
    sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_JOBS];
    (void)partition;
    (void)sqlite3_bind_int(sql, 1, WL_JOBS_MAX);
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    while (err == WL_OK && row) {
        char name[WL_JOB_NAME_MAX + 1];
        const void *body = sqlite3_column_blob(sql, 1);
        size_t bytes = (size_t)sqlite3_column_bytes(sql, 1);
        if (wl_sqlite_text(sql, 0, name, sizeof name) && body != NULL &&
            bytes <= WL_JOB_BYTES_MAX) {
            tell(name, body, bytes, arg);
        }
        err = wl_sqlite_step(sql, &row);
    }
    wl_sqlite_reset(sql);
    return err;
}
