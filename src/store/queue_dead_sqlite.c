#include "base/alloc.h"
#include "base/clock.h"
#include "store/queue_sqlite.h"
#include "store/sqlite_tool.h"

#include <stdio.h>
#include <string.h>

enum {
    AUDIT_ROWS_MAX = 10000,
    TELL_LETTERS = 1000, /* given their classes by one transaction */
};

/* The letters of one redrive or discard, read before any of them is changed. */
typedef struct {
    wl_retry_row_t *rows; /* owned, with their histories; what they become as retries */
    uint64_t *ids;        /* owned */
    size_t count;
} picked_t;

static void picked_release(picked_t *self) {
    for (size_t i = 0; i < self->count; i++) {
        void *history = NULL;
        memcpy(&history, &self->rows[i].history, sizeof history); /* our own copy */
        wl_free(history);
    }
    wl_free(self->rows);
    wl_free(self->ids);
}

/* The parameters ?1 .. ?3 of all selections. */
static void range_bind(sqlite3_stmt *sql, uint64_t first, uint64_t last, const char *line) {
    (void)sqlite3_bind_int64(sql, 1, (sqlite3_int64)first);
    (void)sqlite3_bind_int64(sql, 2, (sqlite3_int64)last);
    (void)sqlite3_bind_text(sql, 3, line, -1, SQLITE_STATIC); /* NULL binds NULL */
}

/* Few letters of many: an index finds those of a user, else those of a class. */
static sqlite3_stmt *list_statement(wl_queue_sqlite_t *self, const wl_dead_filter_t *filter) {
    return self->sql[filter->uid != 0       ? WL_QUEUE_SQL_DEAD_OF_UID
                     : filter->failure != 0 ? WL_QUEUE_SQL_DEAD_OF_CLASS
                                            : WL_QUEUE_SQL_DEAD_LIST];
}

static wl_err_t letters_tell(wl_queue_sqlite_t *self, uint64_t first, uint64_t last,
                             const wl_dead_filter_t *filter, size_t max, wl_dead_fn tell, void *arg,
                             size_t *ret_count) {
    sqlite3_stmt *sql = list_statement(self, filter);
    range_bind(sql, first, last, filter->line);
    (void)sqlite3_bind_int64(sql, 4, (sqlite3_int64)max);
    (void)sqlite3_bind_int64(sql, 5, (sqlite3_int64)filter->uid);
    (void)sqlite3_bind_int(sql, 6, (int)filter->failure);
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
        int class = sqlite3_column_int(sql, 7);
        letter.failure = class > 0 && class < UINT8_MAX ? (uint8_t) class : WL_FAILURE_OTHER;
        letter.history = wl_queue_sqlite_history(sql, 8, &letter.history_bytes);
        tell(&letter, arg);
        (*ret_count)++;
        err = wl_sqlite_step(sql, &row);
    }
    wl_sqlite_reset(sql);
    return err;
}

wl_err_t wl_queue_sqlite_dead_list(wl_queue_t *queue, const wl_dead_filter_t *filter, uint64_t last,
                                   size_t max, wl_dead_fn tell, void *arg) {
    size_t count = 0;
    return letters_tell((wl_queue_sqlite_t *)queue, 1, last, filter, max, tell, arg, &count);
}

wl_err_t wl_queue_sqlite_dead_get(wl_queue_t *queue, uint64_t id, wl_dead_fn tell, void *arg) {
    size_t count = 0;
    wl_dead_filter_t any = {.line = NULL};
    wl_err_t err = letters_tell((wl_queue_sqlite_t *)queue, id, id, &any, 1, tell, arg, &count);
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
    range_bind(sql, id == 0 ? 1 : id, id == 0 ? (uint64_t)INT64_MAX : id, choice->filter.line);
    (void)sqlite3_bind_int(sql, 4, bodies);
    (void)sqlite3_bind_int64(sql, 5, (sqlite3_int64)max);
    (void)sqlite3_bind_int64(sql, 6, (sqlite3_int64)choice->filter.uid);
    (void)sqlite3_bind_int(sql, 7, (int)choice->filter.failure);
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    while (err == WL_OK && row && ret->count < max) {
        wl_retry_row_t *retry = &ret->rows[ret->count];
        ret->ids[ret->count++] = (uint64_t)sqlite3_column_int64(sql, 0);
        retry->uid = (uint64_t)sqlite3_column_int64(sql, 1);
        (void)wl_sqlite_text(sql, 2, retry->line, sizeof retry->line);
        (void)wl_sqlite_text(sql, 3, retry->reason, sizeof retry->reason);
        const void *history = wl_queue_sqlite_history(sql, 4, &retry->history_bytes);
        if (history != NULL) {
            retry->history = memcpy(wl_alloc(retry->history_bytes), history, retry->history_bytes);
        }
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
    char which[120];
    char what[200];
    wl_dead_filter_words(&choice->filter, which, sizeof which);
    (void)snprintf(what, sizeof what, "%s id=%llu %s count=%zu", verb,
                   (unsigned long long)choice->id, which, count);
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

/* ---- classes --------------------------------------------------------------------------------- */

wl_err_t wl_queue_sqlite_dead_classes(wl_queue_t *queue, uint64_t ret_counts[WL_FAILURE_COUNT]) {
    wl_queue_sqlite_t *self = (wl_queue_sqlite_t *)queue;
    sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_DEAD_CLASSES];
    uint64_t counts[WL_FAILURE_COUNT] = {0};
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    while (err == WL_OK && row) {
        int64_t class = sqlite3_column_int64(sql, 0);
        int64_t count = sqlite3_column_int64(sql, 1);
        bool known = class > 0 && class < WL_FAILURE_COUNT;
        counts[known ? class : WL_FAILURE_OTHER] += count > 0 ? (uint64_t)count : 0;
        err = wl_sqlite_step(sql, &row);
    }
    wl_sqlite_reset(sql);
    if (err == WL_OK) {
        memcpy(ret_counts, counts, sizeof counts);
    }
    return err;
}

typedef struct {
    sqlite3_int64 ids[TELL_LETTERS];
    wl_failure_t failures[TELL_LETTERS];
    size_t count;
} untold_t;

static wl_err_t untold_read(wl_queue_sqlite_t *self, untold_t *ret) {
    sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_DEAD_UNTOLD];
    bool row = false;
    (void)sqlite3_bind_int(sql, 1, TELL_LETTERS);
    wl_err_t err = wl_sqlite_step(sql, &row);
    ret->count = 0;
    while (err == WL_OK && row && ret->count < TELL_LETTERS) {
        char reason[97] = "";
        (void)wl_sqlite_text(sql, 1, reason, sizeof reason);
        ret->ids[ret->count] = sqlite3_column_int64(sql, 0);
        ret->failures[ret->count++] = wl_failure_of(reason, false);
        err = wl_sqlite_step(sql, &row);
    }
    wl_sqlite_reset(sql);
    return err;
}

/* Another handle may do the same at the same time: the classes are the same. */
wl_err_t wl_queue_sqlite_dead_tell(wl_queue_sqlite_t *self) {
    untold_t *untold = wl_alloc(sizeof *untold);
    wl_err_t err = untold_read(self, untold);
    while (err == WL_OK && untold->count > 0) {
        err = wl_queue_sqlite_begin(self);
        if (err != WL_OK) {
            break;
        }
        for (size_t i = 0; err == WL_OK && i < untold->count; i++) {
            sqlite3_stmt *sql = self->sql[WL_QUEUE_SQL_DEAD_TELL];
            (void)sqlite3_bind_int64(sql, 1, untold->ids[i]);
            (void)sqlite3_bind_int(sql, 2, (int)untold->failures[i]);
            err = wl_sqlite_run(sql);
        }
        err = wl_queue_sqlite_end(self, err, &(wl_queue_tally_t){.dead = 0});
        if (err == WL_OK) {
            err = untold_read(self, untold);
        }
    }
    wl_free(untold);
    return err;
}
