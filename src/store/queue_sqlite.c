/* The queue in SQLite. Writers take turns (BEGIN IMMEDIATE), readers never wait. Every transaction
 * updates the one row of `tally`: the next entry id and the numbers of rows, so that stats cost
 * nothing; COUNT(*) of a million entries would read every page of them once a second.
 *
 * One WAL file serves both kinds of handle. A settling commit (synchronous=NORMAL) is written but
 * not flushed; the next append's fsync covers what stands before it in the WAL, and a checkpoint
 * flushes the WAL before it touches the database. So an acknowledged entry may come back after a
 * power cut, but never vanish. */
#include "store/queue_sqlite.h"

#include "base/alloc.h"
#include "store/migrations.h"
#include "store/sqlite_tool.h"

#include <string.h>

enum {
    BUSY_TIMEOUT_MS = 5000,
    CACHE_KIB = 16384,
    CHECKPOINT_PAGES = 2000, /* 8 MB: a checkpoint costs two fsyncs and is shared by many appends */
};

#define DEAD_COLUMNS \
    "SELECT id, uid, line, attempts, at, reason, body, class, history FROM dead_letter"

static const char *const sql_texts[WL_QUEUE_SQL_COUNT] = {
    [WL_QUEUE_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [WL_QUEUE_SQL_TALLY] = "SELECT next_id, entries, retries, dead FROM tally WHERE id = 1",
    [WL_QUEUE_SQL_TALLY_ADD] = "UPDATE tally SET next_id = next_id + ?1, entries = entries + ?2,"
                               " retries = retries + ?3, dead = dead + ?4 WHERE id = 1",
    [WL_QUEUE_SQL_APPEND] = "INSERT INTO queue(id, at, kind, line, body)"
                            " VALUES(?1, ?2, ?3, ?4, ?5)",
    [WL_QUEUE_SQL_READ] = "SELECT id, at, kind, line, body FROM queue WHERE id > ?1"
                          " ORDER BY id LIMIT ?2",
    [WL_QUEUE_SQL_ACK] = "DELETE FROM queue WHERE id BETWEEN ?1 AND ?2",
    [WL_QUEUE_SQL_OLDEST] = "SELECT at FROM queue ORDER BY id LIMIT 1",
    [WL_QUEUE_SQL_RETRY_UPDATE] = "UPDATE retry SET attempts = ?3, due_at = ?4, notified_at = ?5,"
                                  " reason = ?6, history = ?7 WHERE uid = ?1 AND line = ?2",
    [WL_QUEUE_SQL_RETRY_INSERT] = "INSERT INTO retry(uid, line, attempts, due_at, notified_at,"
                                  " reason, history) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    [WL_QUEUE_SQL_RETRY_END] = "DELETE FROM retry WHERE uid = ?1 AND line = ?2",
    [WL_QUEUE_SQL_RETRIES] = "SELECT uid, line, attempts, due_at, notified_at, reason, history"
                             " FROM retry",
    [WL_QUEUE_SQL_DEAD_INSERT] = "INSERT INTO dead_letter(uid, line, attempts, at, reason, body,"
                                 " class, history) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    [WL_QUEUE_SQL_DEAD_LIST] = DEAD_COLUMNS " WHERE id BETWEEN ?1 AND ?2"
                                            " AND (?3 IS NULL OR line = ?3)"
                                            " ORDER BY id DESC LIMIT ?4",
    [WL_QUEUE_SQL_DEAD_OF_CLASS] = DEAD_COLUMNS " WHERE id BETWEEN ?1 AND ?2 AND class = ?6"
                                                " AND (?3 IS NULL OR line = ?3)"
                                                " AND (?5 = 0 OR uid = ?5)"
                                                " ORDER BY id DESC LIMIT ?4",
    [WL_QUEUE_SQL_DEAD_OF_UID] = DEAD_COLUMNS " WHERE id BETWEEN ?1 AND ?2 AND uid = ?5"
                                              " AND (?3 IS NULL OR line = ?3)"
                                              " AND (?6 = 0 OR class = ?6)"
                                              " ORDER BY id DESC LIMIT ?4",
    [WL_QUEUE_SQL_DEAD_PICK] = "SELECT id, uid, line, reason, history FROM dead_letter"
                               " WHERE id BETWEEN ?1 AND ?2 AND (?3 IS NULL OR line = ?3)"
                               " AND (?4 OR body IS NULL) AND (?6 = 0 OR uid = ?6)"
                               " AND (?7 = 0 OR class = ?7) ORDER BY id LIMIT ?5",
    [WL_QUEUE_SQL_DEAD_CLASSES] = "SELECT class, count FROM dead_class",
    [WL_QUEUE_SQL_DEAD_UNTOLD] = "SELECT id, reason FROM dead_letter WHERE class = 0 LIMIT ?1",
    [WL_QUEUE_SQL_DEAD_TELL] = "UPDATE dead_letter SET class = ?2 WHERE id = ?1",
    [WL_QUEUE_SQL_DEAD_DELETE] = "DELETE FROM dead_letter WHERE id = ?1",
    [WL_QUEUE_SQL_DEAD_FORGET] = "DELETE FROM dead_letter WHERE uid = ?1 AND line = ?2",
    [WL_QUEUE_SQL_AUDIT] = "INSERT INTO audit(at, who, what, note) VALUES(?1, ?2, ?3, ?4)",
    [WL_QUEUE_SQL_JOB_PUT] = "INSERT INTO job(name, body) VALUES(?1, ?2)"
                             " ON CONFLICT(name) DO UPDATE SET body = excluded.body",
    [WL_QUEUE_SQL_JOB_END] = "DELETE FROM job WHERE name = ?1",
    [WL_QUEUE_SQL_JOBS] = "SELECT name, body FROM job LIMIT ?1",
    [WL_QUEUE_SQL_AUDIT_TRIM] = "DELETE FROM audit WHERE id <= last_insert_rowid() - ?1",
};

wl_err_t wl_queue_sqlite_begin(wl_queue_sqlite_t *self) {
    return wl_sqlite_run(self->sql[WL_QUEUE_SQL_BEGIN]);
}

wl_err_t wl_queue_sqlite_end(wl_queue_sqlite_t *self, wl_err_t err, const wl_queue_tally_t *added) {
    if (err == WL_OK) {
        sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_TALLY_ADD];
        (void)sqlite3_bind_int64(sql, 1, added->next_id);
        (void)sqlite3_bind_int64(sql, 2, added->entries);
        (void)sqlite3_bind_int64(sql, 3, added->retries);
        (void)sqlite3_bind_int64(sql, 4, added->dead);
        err = wl_sqlite_run(sql);
    }
    return wl_sqlite_end(self->db, err);
}

/* WL_ERR_DAMAGED: the row is missing. */
static wl_err_t tally_read(wl_queue_sqlite_t *self, wl_queue_tally_t *ret) {
    sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_TALLY];
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    if (err == WL_OK && row) {
        *ret = (wl_queue_tally_t){.next_id = sqlite3_column_int64(sql, 0),
                                  .entries = sqlite3_column_int64(sql, 1),
                                  .retries = sqlite3_column_int64(sql, 2),
                                  .dead = sqlite3_column_int64(sql, 3)};
    }
    wl_sqlite_reset(sql);
    return err == WL_OK && !row ? WL_ERR_DAMAGED : err;
}

static wl_err_t entry_insert(wl_queue_sqlite_t *self, const wl_queue_entry_t *entry, int64_t id) {
    sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_APPEND];
    (void)sqlite3_bind_int64(sql, 1, id);
    (void)sqlite3_bind_int64(sql, 2, entry->at);
    (void)sqlite3_bind_int(sql, 3, (int)entry->kind);
    (void)sqlite3_bind_text(sql, 4, entry->line, -1, SQLITE_STATIC);
    const void *body = entry->body == NULL ? "" : entry->body;
    (void)sqlite3_bind_blob(sql, 5, body, (int)entry->body_bytes, SQLITE_STATIC);
    return wl_sqlite_run(sql);
}

static wl_err_t sqlite_append(wl_queue_t *queue, wl_queue_entry_t *entries, size_t count) {
    wl_queue_sqlite_t *self = (wl_queue_sqlite_t *)queue;
    wl_err_t err = wl_queue_sqlite_begin(self);
    if (err != WL_OK) {
        return err;
    }
    wl_queue_tally_t tally = {0};
    err = tally_read(self, &tally);
    for (size_t i = 0; err == WL_OK && i < count; i++) {
        err = entry_insert(self, &entries[i], tally.next_id + (int64_t)i);
    }
    err = wl_queue_sqlite_end(
        self, err, &(wl_queue_tally_t){.next_id = (int64_t)count, .entries = (int64_t)count});
    for (size_t i = 0; err == WL_OK && i < count; i++) {
        entries[i].id = (uint64_t)tally.next_id + i;
    }
    return err;
}

/* The columns of SQL_READ. A kind or line that is not ours is handed on: if it were refused here,
 * one damaged row would stop the queue for ever. */
static void entry_read(sqlite3_stmt *sql, wl_queue_entry_t *ret) {
    ret->id = (uint64_t)sqlite3_column_int64(sql, 0);
    ret->at = sqlite3_column_int64(sql, 1);
    ret->kind = (wl_entry_kind_t)sqlite3_column_int(sql, 2);
    if (!wl_sqlite_text(sql, 3, ret->line, sizeof ret->line) || !wl_line_id_valid(ret->line)) {
        ret->line[0] = '\0';
    }
    const void *body = sqlite3_column_blob(sql, 4);
    ret->body = body == NULL ? "" : body; /* an empty blob reads as NULL */
    ret->body_bytes = (size_t)sqlite3_column_bytes(sql, 4);
}

static wl_err_t sqlite_claim(wl_queue_t *queue, uint64_t epoch) {
    (void)queue;
    (void)epoch;
    return WL_OK;
}

static wl_err_t sqlite_read(wl_queue_t *queue, uint64_t after, size_t max, wl_queue_entry_fn tell,
                            void *arg, uint64_t *ret_last) {
    wl_queue_sqlite_t *self = (wl_queue_sqlite_t *)queue;
    sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_READ];
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)after);
    (void)sqlite3_bind_int64(sql, 2, (sqlite3_int64)max);
    uint64_t last = after;
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    while (err == WL_OK && row) {
        wl_queue_entry_t entry = {.history = NULL};
        entry_read(sql, &entry);
        last = entry.id;
        tell(&entry, arg);
        err = wl_sqlite_step(sql, &row);
    }
    wl_sqlite_reset(sql);
    if (err == WL_OK) {
        *ret_last = last;
    }
    return err;
}

void wl_queue_sqlite_bind_history(sqlite3_stmt *sql, int at, const void *history, size_t bytes) {
    if (bytes == 0) {
        (void)sqlite3_bind_null(sql, at);
    } else {
        (void)sqlite3_bind_blob(sql, at, history, (int)bytes, SQLITE_STATIC);
    }
}

const void *wl_queue_sqlite_history(sqlite3_stmt *sql, int column, size_t *ret_bytes) {
    const void *history = sqlite3_column_blob(sql, column);
    size_t bytes = (size_t)sqlite3_column_bytes(sql, column);
    *ret_bytes = history == NULL || bytes > WL_HISTORY_BYTES_MAX ? 0 : bytes;
    return *ret_bytes == 0 ? NULL : history;
}

static void retry_bind(sqlite3_stmt *sql, const wl_retry_row_t *row) {
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)row->uid);
    (void)sqlite3_bind_text(sql, 2, row->line, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(sql, 3, row->attempts);
    (void)sqlite3_bind_int64(sql, 4, row->due_at);
    (void)sqlite3_bind_int64(sql, 5, row->notified_at);
    (void)sqlite3_bind_text(sql, 6, row->reason, -1, SQLITE_STATIC);
    wl_queue_sqlite_bind_history(sql, 7, row->history, row->history_bytes);
}

wl_err_t wl_queue_sqlite_retry_put(wl_queue_sqlite_t *self, const wl_retry_row_t *row,
                                   wl_queue_tally_t *added) {
    retry_bind(self->sql[WL_QUEUE_SQL_RETRY_UPDATE], row);
    wl_err_t err = wl_sqlite_run(self->sql[WL_QUEUE_SQL_RETRY_UPDATE]);
    if (err == WL_OK && sqlite3_changes(self->db) == 0) {
        retry_bind(self->sql[WL_QUEUE_SQL_RETRY_INSERT], row);
        err = wl_sqlite_run(self->sql[WL_QUEUE_SQL_RETRY_INSERT]);
        added->retries++;
    }
    return err;
}

static wl_err_t dead_insert(wl_queue_sqlite_t *self, const wl_dead_letter_t *letter) {
    sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_DEAD_INSERT];
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)letter->uid);
    (void)sqlite3_bind_text(sql, 2, letter->line, -1, SQLITE_STATIC);
    (void)sqlite3_bind_int64(sql, 3, letter->attempts);
    (void)sqlite3_bind_int64(sql, 4, letter->at);
    (void)sqlite3_bind_text(sql, 5, letter->reason, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob(sql, 6, letter->body, (int)letter->body_bytes, SQLITE_STATIC);
    (void)sqlite3_bind_int(
        sql, 7, letter->failure != 0 ? letter->failure : (int)wl_failure_of(letter->reason, false));
    wl_queue_sqlite_bind_history(sql, 8, letter->history, letter->history_bytes);
    return wl_sqlite_run(sql);
}

/* Removes entries, a run of neighbours with one statement. */
static wl_err_t acks_delete(wl_queue_sqlite_t *self, const uint64_t *ids, size_t count,
                            wl_queue_tally_t *added) {
    wl_err_t err = WL_OK;
    for (size_t i = 0; err == WL_OK && i < count;) {
        size_t end = i + 1;
        while (end < count && ids[end] == ids[end - 1] + 1) {
            end++;
        }
        sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_ACK];
        (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)ids[i]);
        (void)sqlite3_bind_int64(sql, 2, (sqlite3_int64)ids[end - 1]);
        err = wl_sqlite_run(sql);
        added->entries -= err == WL_OK ? sqlite3_changes(self->db) : 0;
        i = end;
    }
    return err;
}

/* Everything of a settlement between begin and end. */
static wl_err_t settle_write(wl_queue_sqlite_t *self, const wl_settle_t *settle,
                             wl_queue_tally_t *added) {
    wl_err_t err = WL_OK;
    for (size_t i = 0; err == WL_OK && i < settle->retry_count; i++) {
        err = wl_queue_sqlite_retry_put(self, &settle->retries[i], added);
    }
    for (size_t i = 0; err == WL_OK && i < settle->retry_end_count; i++) {
        sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_RETRY_END];
        (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)settle->retry_ends[i].uid);
        (void)sqlite3_bind_text(sql, 2, settle->retry_ends[i].line, -1, SQLITE_STATIC);
        err = wl_sqlite_run(sql);
        added->retries -= err == WL_OK ? sqlite3_changes(self->db) : 0;
    }
    for (size_t i = 0; err == WL_OK && i < settle->dead_count; i++) {
        err = dead_insert(self, &settle->dead[i]);
        added->dead++;
    }
    return err == WL_OK ? acks_delete(self, settle->acks, settle->ack_count, added) : err;
}

static wl_err_t sqlite_settle(wl_queue_t *queue, const wl_settle_t *settle) {
    wl_queue_sqlite_t *self = (wl_queue_sqlite_t *)queue;
    wl_err_t err = wl_queue_sqlite_begin(self);
    if (err != WL_OK) {
        return err;
    }
    wl_queue_tally_t added = {0};
    err = settle_write(self, settle, &added);
    return wl_queue_sqlite_end(self, err, &added);
}

static wl_err_t sqlite_retries(wl_queue_t *queue, wl_retry_fn tell, void *arg) {
    wl_queue_sqlite_t *self = (wl_queue_sqlite_t *)queue;
    sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_RETRIES];
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    while (err == WL_OK && row) {
        wl_retry_row_t retry = {.uid = (uint64_t)sqlite3_column_int64(sql, 0),
                                .attempts = (uint32_t)sqlite3_column_int64(sql, 2),
                                .due_at = sqlite3_column_int64(sql, 3),
                                .notified_at = sqlite3_column_int64(sql, 4)};
        (void)wl_sqlite_text(sql, 5, retry.reason, sizeof retry.reason);
        retry.history = wl_queue_sqlite_history(sql, 6, &retry.history_bytes);
        if (wl_sqlite_text(sql, 1, retry.line, sizeof retry.line)) {
            tell(&retry, arg);
            err = wl_sqlite_step(sql, &row);
        } else {
            err = WL_ERR_DAMAGED;
        }
    }
    wl_sqlite_reset(sql);
    return err;
}

static wl_err_t sqlite_stats(wl_queue_t *queue, wl_queue_stats_t *ret) {
    wl_queue_sqlite_t *self = (wl_queue_sqlite_t *)queue;
    wl_queue_tally_t tally = {0};
    wl_err_t err = tally_read(self, &tally);
    if (err != WL_OK) {
        return err;
    }
    sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_OLDEST];
    bool row = false;
    err = wl_sqlite_step(sql, &row);
    int64_t oldest_at = err == WL_OK && row ? sqlite3_column_int64(sql, 0) : 0;
    wl_sqlite_reset(sql);
    if (err == WL_OK) {
        *ret = (wl_queue_stats_t){.entries = (uint64_t)tally.entries,
                                  .retries = (uint64_t)tally.retries,
                                  .dead = (uint64_t)tally.dead,
                                  .oldest_at = oldest_at};
    }
    return err;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void sqlite_close(wl_queue_t *queue) {
    wl_queue_sqlite_t *self = (wl_queue_sqlite_t *)queue;
    wl_sqlite_finalize(self->sql, WL_QUEUE_SQL_COUNT);
    wl_sqlite_close(&self->db);
    wl_free(self);
}

static const wl_queue_ops_t sqlite_ops = {
    .close = sqlite_close,
    .append = sqlite_append,
    .claim = sqlite_claim,
    .read = sqlite_read,
    .settle = sqlite_settle,
    .retries = sqlite_retries,
    .stats = sqlite_stats,
    .dead_list = wl_queue_sqlite_dead_list,
    .dead_classes = wl_queue_sqlite_dead_classes,
    .dead_get = wl_queue_sqlite_dead_get,
    .dead_redrive = wl_queue_sqlite_dead_redrive,
    .dead_discard = wl_queue_sqlite_dead_discard,
    .dead_forget = wl_queue_sqlite_dead_forget,
    .job_set = wl_queue_sqlite_job_set,
    .job_put = wl_queue_sqlite_job_put,
    .jobs = wl_queue_sqlite_jobs,
};

wl_err_t wl_queue_sqlite_open(const wl_queue_options_t *options, wl_queue_t **ret,
                              wl_fault_t *fault) {
    wl_queue_sqlite_t *self = wl_alloc_zero(1, sizeof *self);
    self->queue.ops = &sqlite_ops;
    self->queue.partitions = 1;
    self->use = options->use;
    wl_sqlite_options_t open = {.path = options->path,
                                .application_id = wl_schema_queue.application_id,
                                .busy_timeout_ms = BUSY_TIMEOUT_MS,
                                .cache_kib = CACHE_KIB,
                                .checkpoint_pages = CHECKPOINT_PAGES,
                                .full_sync = options->use == WL_QUEUE_APPEND};
    wl_err_t err = wl_sqlite_open(&open, &self->db, fault);
    if (err == WL_OK) {
        err = wl_schema_migrate(self->db, &wl_schema_queue, options->path, fault);
    }
    if (err == WL_OK) {
        err = wl_sqlite_prepare(self->db, sql_texts, WL_QUEUE_SQL_COUNT, self->sql);
        if (err != WL_OK) {
            (void)wl_fault(fault, err, options->path, "the tables are not those of this version");
        }
    }
    if (err == WL_OK && options->use == WL_QUEUE_SETTLE) {
        (void)!wl_queue_sqlite_dead_tell(self); /* else at the next open: they work as they are */
    }
    if (err != WL_OK) {
        sqlite_close(&self->queue);
        return err;
    }
    *ret = &self->queue;
    return WL_OK;
}
