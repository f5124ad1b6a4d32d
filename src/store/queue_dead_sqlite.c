#include "base/alloc.h"
#include "base/clock.h"
#include "store/queue_sqlite.h"
#include "store/sqlite_tool.h"

#include <stdio.h>
#include <string.h>

enum { AUDIT_ROWS_MAX = 10000 };

/* The letters of one redrive or discard, read before any of them is changed. */
typedef struct {
    wl_retry_row_t *rows; /* owned; what they become as retries */
    uint64_t *ids;        /* owned */
    size_t count;
} picked_t;

static void picked_release(picked_t *self) {
    wl_free(self->rows);
    wl_free(self->ids);
}

/* The parameters ?1 .. ?3 of both selections. */
static void range_bind(sqlite3_stmt *sql, uint64_t first, uint64_t last, const char *line) {
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)first);
    (void)sqlite3_bind_int64(sql, 2, (sqlite3_int64)last);
    (void)sqlite3_bind_text(sql, 3, line, -1, SQLITE_STATIC); /* NULL binds NULL */
}

static wl_err_t letters_tell(wl_queue_sqlite_t *self, uint64_t first, uint64_t last,
                             const char *line, size_t max, wl_dead_fn tell, void *arg,
                             size_t *ret_count) {
    sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_DEAD_LIST];
    range_bind(sql, first, last, line);
    (void)sqlite3_bind_int64(sql, 4, (sqlite3_int64)max);
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    *ret_count = 0;
    while (err == WL_OK && row) {
        wl_dead_letter_t letter = {.id = (uint64_t)sqlite3_column_int64(sql, 0),
                                   .uid = (uint64_t)sqlite3_column_int64(sql, 1),
                                   .attempts = (uint32_t)sqlite3_column_int64(sql, 3),
                                   .at = sqlite3_column_int64(sql, 4)};
        (void)wl_sqlite_text(sql, 2, letter.line, sizeof letter.line);
        (void)wl_sqlite_text(sql, 5, letter.reason, sizeof letter.reason);
        if (sqlite3_column_type(sql, 6) != SQLITE_NULL) {
            const void *body = sqlite3_column_blob(sql, 6);
            letter.body = body == NULL ? "" : body; /* an empty blob reads as NULL */
            letter.body_bytes = (size_t)sqlite3_column_bytes(sql, 6);
        }
        tell(&letter, arg);
        (*ret_count)++;
        err = wl_sqlite_step(sql, &row);
    }
    wl_sqlite_reset(sql);
    return err;
}

wl_err_t wl_queue_sqlite_dead_list(wl_queue_t *queue, const char *line, uint64_t last, size_t max,
                                   wl_dead_fn tell, void *arg) {
    size_t count = 0;
    return letters_tell((wl_queue_sqlite_t *)queue, 1, last, line, max, tell, arg, &count);
}

wl_err_t wl_queue_sqlite_dead_get(wl_queue_t *queue, uint64_t id, wl_dead_fn tell, void *arg) {
    size_t count = 0;
    wl_err_t err = letters_tell((wl_queue_sqlite_t *)queue, id, id, NULL, 1, tell, arg, &count);
    return err == WL_OK && count == 0 ? WL_ERR_NOT_FOUND : err;
}

/* Reads the chosen letters. bodies: also those that did not decode. */
static wl_err_t letters_pick(wl_queue_sqlite_t *self, const wl_dead_choice_t *choice, bool bodies,
                             picked_t *ret) {
    sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_DEAD_PICK];
    uint64_t id = choice->id;
    size_t max = choice->max;
    ret->rows = wl_alloc_zero(max, sizeof *ret->rows);
    ret->ids = wl_alloc_zero(max, sizeof *ret->ids);
    range_bind(sql, id == 0 ? 1 : id, id == 0 ? (uint64_t)INT64_MAX : id, choice->line);
    (void)sqlite3_bind_int(sql, 4, bodies);
    (void)sqlite3_bind_int64(sql, 5, (sqlite3_int64)max);
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    while (err == WL_OK && row && ret->count < max) {
        wl_retry_row_t *retry = &ret->rows[ret->count];
        ret->ids[ret->count++] = (uint64_t)sqlite3_column_int64(sql, 0);
        retry->uid = (uint64_t)sqlite3_column_int64(sql, 1);
        (void)wl_sqlite_text(sql, 2, retry->line, sizeof retry->line);
        (void)wl_sqlite_text(sql, 3, retry->reason, sizeof retry->reason);
        err = wl_sqlite_step(sql, &row);
    }
    wl_sqlite_reset(sql);
    return err == WL_OK && id != 0 && ret->count == 0 ? WL_ERR_NOT_FOUND : err;
}

static wl_err_t letters_delete(wl_queue_sqlite_t *self, const picked_t *picked) {
    wl_err_t err = WL_OK;
    for (size_t i = 0; err == WL_OK && i < picked->count; i++) {
        sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_DEAD_DELETE];
        (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)picked->ids[i]);
        err = wl_sqlite_run(sql);
    }
    return err;
}

/* One line of the audit table; the oldest beyond the bound goes. */
static wl_err_t audit_add(wl_queue_sqlite_t *self, const char *verb, const wl_dead_choice_t *choice,
                          size_t count) {
    char what[160];
    (void)snprintf(what, sizeof what, "%s id=%llu line=%s count=%zu", verb,
                   (unsigned long long)choice->id, choice->line == NULL ? "*" : choice->line,
                   count);
    sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_AUDIT];
    (void)sqlite3_bind_int64(sql, 1, wl_wall_now().ms);
    (void)sqlite3_bind_text(sql, 2, "operator", -1, SQLITE_STATIC);
    (void)sqlite3_bind_text(sql, 3, what, -1, SQLITE_TRANSIENT);
    (void)sqlite3_bind_text(sql, 4, choice->note, -1, SQLITE_STATIC);
    wl_err_t err = wl_sqlite_run(sql);
    if (err == WL_OK) {
        sql = self->sql[WL_QUEUE_SQL_AUDIT_TRIM];
        (void)sqlite3_bind_int64(sql, 1, AUDIT_ROWS_MAX);
        err = wl_sqlite_run(sql);
    }
    return err;
}

/* Back to what the handle was opened for. Should it fail, the handle flushes more than it must. */
static void sync_restore(wl_queue_sqlite_t *self) {
    if (self->use == WL_QUEUE_SETTLE) {
        (void)!wl_sqlite_exec(self->db, "PRAGMA synchronous=NORMAL");
    }
}

/* An operator's word is flushed at once; a settling handle otherwise leaves that to the appends. */
static wl_err_t operator_begin(wl_queue_sqlite_t *self) {
    wl_err_t err = wl_sqlite_exec(self->db, "PRAGMA synchronous=FULL");
    if (err == WL_OK) {
        err = wl_queue_sqlite_begin(self);
    }
    if (err != WL_OK) {
        sync_restore(self);
    }
    return err;
}

static wl_err_t operator_end(wl_queue_sqlite_t *self, wl_err_t err, const wl_queue_tally_t *added) {
    err = wl_queue_sqlite_end(self, err, added);
    sync_restore(self);
    return err;
}

wl_err_t wl_queue_sqlite_dead_redrive(wl_queue_t *queue, const wl_dead_choice_t *choice,
                                      wl_retry_fn tell, void *arg, uint64_t *ret_count) {
    wl_queue_sqlite_t *self = (wl_queue_sqlite_t *)queue;
    picked_t picked = {0};
    wl_queue_tally_t added = {0};
    wl_err_t err = operator_begin(self);
    if (err != WL_OK) {
        return err;
    }
    err = letters_pick(self, choice, false, &picked);
    for (size_t i = 0; err == WL_OK && i < picked.count; i++) {
        picked.rows[i].due_at = choice->now_ms;
        picked.rows[i].notified_at = choice->now_ms;
        err = wl_queue_sqlite_retry_put(self, &picked.rows[i], &added);
    }
    if (err == WL_OK) {
        err = letters_delete(self, &picked);
    }
    if (err == WL_OK && picked.count > 0) {
        err = audit_add(self, "dead.redrive", choice, picked.count);
    }
    added.dead = -(int64_t)picked.count;
    err = operator_end(self, err, &added);
    for (size_t i = 0; err == WL_OK && tell != NULL && i < picked.count; i++) {
        tell(&picked.rows[i], arg);
    }
    if (err == WL_OK) {
        *ret_count = picked.count;
    }
    picked_release(&picked);
    return err;
}

wl_err_t wl_queue_sqlite_dead_discard(wl_queue_t *queue, const wl_dead_choice_t *choice,
                                      wl_retry_fn tell, void *arg, uint64_t *ret_count) {
    wl_queue_sqlite_t *self = (wl_queue_sqlite_t *)queue;
    picked_t picked = {0};
    wl_err_t err = operator_begin(self);
    if (err != WL_OK) {
        return err;
    }
    err = letters_pick(self, choice, true, &picked);
    if (err == WL_OK) {
        err = letters_delete(self, &picked);
    }
    if (err == WL_OK && picked.count > 0) {
        err = audit_add(self, "dead.discard", choice, picked.count);
    }
    err = operator_end(self, err, &(wl_queue_tally_t){.dead = -(int64_t)picked.count});
    for (size_t i = 0; err == WL_OK && tell != NULL && i < picked.count; i++) {
        if (picked.rows[i].uid != 0) {
            tell(&picked.rows[i], arg);
        }
    }
    if (err == WL_OK) {
        *ret_count = picked.count;
    }
    picked_release(&picked);
    return err;
}

wl_err_t wl_queue_sqlite_dead_forget(wl_queue_t *queue, uint64_t uid, const char *line,
                                     uint64_t *ret_count) {
    wl_queue_sqlite_t *self = (wl_queue_sqlite_t *)queue;
    wl_err_t err = operator_begin(self);
    if (err != WL_OK) {
        return err;
    }
    sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_DEAD_FORGET];
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)uid);
    (void)sqlite3_bind_text(sql, 2, line, -1, SQLITE_STATIC);
    err = wl_sqlite_run(sql);
    int64_t gone = err == WL_OK ? sqlite3_changes(self->db) : 0;
    bool none = err == WL_OK && gone == 0; /* nearly always: nothing to be flushed */
    err = operator_end(self, none ? WL_ERR_NOT_FOUND : err, &(wl_queue_tally_t){.dead = -gone});
    err = none ? WL_OK : err;
    if (err == WL_OK) {
        *ret_count = (uint64_t)gone;
    }
    return err;
}
