#include "store/report_db_self.h"

#include "base/alloc.h"
#include "base/check.h"

#include <stdio.h>
#include <string.h>

enum { FORGET_ROWS = 10000 }; /* of one statement, so that it takes part of a second */

static const char *const state_names[WL_REPORT_STATE_COUNT] = {
#define WL_REPORT_NAME(NAME, text, doc) [WL_REPORT_##NAME] = text,
    WL_REPORT_STATES(WL_REPORT_NAME)
#undef WL_REPORT_NAME
};

const char *wl_report_state_name(wl_report_state_t state) {
    return (unsigned)state < WL_REPORT_STATE_COUNT ? state_names[state] : "?";
}

const char *wl_found_state_name(wl_found_state_t state) {
    switch (state) {
    case WL_FOUND_OPEN: return "open";
    case WL_FOUND_REPAIRED: return "repaired";
    case WL_FOUND_LEFT: return "left";
    }
    return "?";
}

void wl_report_part_destroy(wl_report_part_t *self) {
    wl_free(self->body);
    memset(self, 0, sizeof *self);
}

/* ---- life ------------------------------------------------------------------------------------ */

wl_err_t wl_report_db_open(const wl_report_db_options_t *options, wl_report_db_t **ret,
                           wl_fault_t *fault) {
    size_t bytes = strlen(options->name);
    if (bytes == 0 || bytes > WL_REPORT_NAME_BYTES) {
        return wl_fault(fault, WL_ERR_SETTINGS, options->name, "a writer's name has 1 to %d bytes",
                        WL_REPORT_NAME_BYTES);
    }
    wl_report_db_t *self = wl_alloc_zero(1, sizeof *self);
    memcpy(self->name, options->name, bytes);
    self->forgets = true;
    wl_err_t err = wl_report_sql_open(&self->sql, options->path, &options->mysql, fault);
    if (err == WL_OK && options->path != NULL) { /* one process owns the file: its holders died */
        (void)wl_report_sql(&self->sql, "UPDATE reconcile_part SET holder = x'', held_until = 0");
        err = wl_report_sql_run(&self->sql, NULL);
    }
    if (err != WL_OK) {
        wl_report_db_close(&self);
        return err;
    }
    *ret = self;
    return WL_OK;
}

void wl_report_db_close(wl_report_db_t **self) {
    if (self != NULL && *self != NULL) {
        wl_report_sql_close(&(*self)->sql);
        wl_free(*self);
        *self = NULL;
    }
}

const char *wl_report_db_problem(const wl_report_db_t *self) {
    return wl_report_sql_problem(&self->sql);
}

/* ---- small questions ------------------------------------------------------------------------- */

/* The only number of what was built; *ret stays when there is no row. */
wl_err_t wl_report_ask(wl_report_db_t *self, uint64_t *ret) {
    bool row = false;
    bool damaged = false;
    wl_err_t err = wl_report_sql_query(&self->sql);
    if (err == WL_OK) {
        err = wl_report_sql_next(&self->sql, &row);
    }
    if (err == WL_OK && row) {
        *ret = wl_report_sql_take(&self->sql, 0, UINT64_MAX, &damaged);
    }
    wl_report_sql_done(&self->sql);
    return err == WL_OK && damaged ? WL_ERR_DAMAGED : err;
}

void wl_report_add_where(wl_report_db_t *self, uint64_t run, uint32_t shard) {
    wl_report_sql_add(&self->sql, " WHERE run = ");
    wl_report_sql_number(&self->sql, run);
    wl_report_sql_add(&self->sql, " AND shard = ");
    wl_report_sql_number(&self->sql, shard);
}

void wl_report_add_number(wl_report_db_t *self, uint64_t value) {
    wl_report_sql_add(&self->sql, ", ");
    wl_report_sql_number(&self->sql, value);
}

void wl_report_add_words(wl_report_db_t *self, const char *text) {
    wl_report_sql_add(&self->sql, ", ");
    wl_report_sql_words(&self->sql, text);
}

/* ---- beginning ------------------------------------------------------------------------------- */

static wl_err_t run_insert(wl_report_db_t *self, const wl_report_run_t *run, uint64_t id) {
    uint64_t matched = 0;
    (void)wl_report_sql(&self->sql, wl_report_sql_insert(&self->sql));
    wl_report_sql_add(&self->sql, "reconcile_run VALUES(");
    wl_report_sql_number(&self->sql, id);
    wl_report_add_number(self, run->rolling);
    wl_report_add_number(self, run->dry_run);
    wl_report_add_number(self, run->cap_permille);
    wl_report_add_number(self, run->rate);
    wl_report_add_number(self, run->shards);
    wl_report_sql_add(&self->sql, ", ");
    wl_report_sql_signed(&self->sql, run->only_shard);
    wl_report_add_words(self, run->by);
    wl_report_sql_add(&self->sql, ", 0, x'', ");
    wl_report_sql_now(&self->sql);
    wl_report_sql_add(&self->sql, ", 0)");
    wl_err_t err = wl_report_sql_run(&self->sql, &matched);
    return err == WL_OK && matched != 1 ? WL_ERR_CONFLICT : err; /* another was faster */
}

static wl_err_t parts_insert(wl_report_db_t *self, const wl_report_run_t *run, uint64_t id) {
    wl_err_t err = WL_OK;
    for (uint32_t shard = 0; err == WL_OK && shard < run->shards; shard++) {
        if (run->only_shard >= 0 && (uint64_t)run->only_shard != shard) {
            continue;
        }
        (void)wl_report_sql(&self->sql, "INSERT INTO reconcile_part VALUES(");
        wl_report_sql_number(&self->sql, id);
        wl_report_add_number(self, shard);
        wl_report_sql_add(&self->sql, ", 0, x'', 0, 0, 0, 0, x'')");
        err = wl_report_sql_run(&self->sql, NULL);
    }
    return err;
}

/* The number first, then whether one is open: who begins between the two is seen, and who begins
 * later has taken the number. */
static wl_err_t run_begin(wl_report_db_t *self, const wl_report_run_t *run, uint64_t *ret_run) {
    uint64_t open = 0;
    uint64_t last = 0;
    (void)wl_report_sql(&self->sql, "SELECT coalesce(max(id), 0) FROM reconcile_run");
    wl_err_t err = wl_report_ask(self, &last);
    if (err == WL_OK) {
        (void)wl_report_sql(&self->sql,
                            "SELECT count(*) FROM reconcile_run WHERE state = 0 AND rolling = ");
        wl_report_sql_number(&self->sql, run->rolling);
        err = wl_report_ask(self, &open);
    }
    if (err == WL_OK && open > 0) {
        return WL_ERR_CONFLICT;
    }
    *ret_run = last + 1;
    if (err == WL_OK) {
        err = run_insert(self, run, last + 1);
    }
    return err == WL_OK ? parts_insert(self, run, last + 1) : err;
}

wl_err_t wl_report_db_begin(wl_report_db_t *self, const wl_report_run_t *run, uint64_t *ret_run) {
    uint64_t id = 0;
    WL_ASSERT(run->shards > 0 && run->only_shard < (int64_t)run->shards);
    wl_err_t err = wl_report_sql_begin(&self->sql);
    if (err == WL_OK) {
        err = wl_report_sql_end(&self->sql, run_begin(self, run, &id));
    }
    if (err == WL_OK) {
        *ret_run = id;
        self->forgets = true;
        wl_report_forget(self);
    }
    return err;
}

/* ---- forgetting ------------------------------------------------------------------------------ */

/* The newest of the runs, or rounds, that have ended and are too many; 0 = none. */
static wl_err_t old_find(wl_report_db_t *self, bool rounds, uint64_t *ret) {
    (void)wl_report_sql(&self->sql, "SELECT id FROM reconcile_run WHERE state <> 0 AND rolling = ");
    wl_report_sql_number(&self->sql, rounds);
    wl_report_sql_add(&self->sql, " ORDER BY id DESC LIMIT 1 OFFSET ");
    wl_report_sql_number(&self->sql, WL_REPORT_RUNS_KEPT - 1);
    wl_err_t err = wl_report_ask(self, ret);
    if (err == WL_OK && *ret > 0) {
        uint64_t newest = *ret;
        (void)wl_report_sql(&self->sql,
                            "SELECT min(id) FROM reconcile_run WHERE state <> 0 AND id <= ");
        wl_report_sql_number(&self->sql, newest);
        wl_report_sql_add(&self->sql, " AND rolling = ");
        wl_report_sql_number(&self->sql, rounds);
        err = wl_report_ask(self, ret);
    }
    return err;
}

static wl_err_t old_delete(wl_report_db_t *self, const char *what, uint64_t run, uint64_t upto) {
    (void)wl_report_sql(&self->sql, what);
    wl_report_sql_number(&self->sql, run);
    if (upto > 0) {
        wl_report_sql_add(&self->sql, " AND id <= ");
        wl_report_sql_number(&self->sql, upto);
    }
    return wl_report_sql_run(&self->sql, NULL);
}

/* A piece of one run; with the last of its differences the run itself. */
static wl_err_t old_forget(wl_report_db_t *self, uint64_t run) {
    uint64_t upto = 0;
    (void)wl_report_sql(&self->sql, "SELECT id FROM reconcile_diff WHERE run = ");
    wl_report_sql_number(&self->sql, run);
    wl_report_sql_add(&self->sql, " ORDER BY id LIMIT 1 OFFSET ");
    wl_report_sql_number(&self->sql, FORGET_ROWS - 1);
    wl_err_t err = wl_report_ask(self, &upto);
    if (err == WL_OK) {
        err = old_delete(self, "DELETE FROM reconcile_diff WHERE run = ", run, upto);
    }
    if (err == WL_OK && upto == 0) {
        err = old_delete(self, "DELETE FROM reconcile_part WHERE run = ", run, 0);
    }
    if (err == WL_OK && upto == 0) {
        err = old_delete(self, "DELETE FROM reconcile_run WHERE id = ", run, 0);
    }
    return err;
}

void wl_report_forget(wl_report_db_t *self) {
    uint64_t run = 0;
    if (!self->forgets) {
        return;
    }
    wl_err_t err = old_find(self, false, &run);
    if (err == WL_OK && run == 0) {
        err = old_find(self, true, &run);
    }
    self->forgets = err != WL_OK || run > 0;
    if (err == WL_OK && run > 0) {
        (void)old_forget(self, run); /* what fails is tried again with the next piece */
    }
}

/* ---- rows ------------------------------------------------------------------------------------ */

#define RUN_COLUMNS                                                                           \
    "id, rolling, dry_run, cap, rate, shards, only_shard, asked_by, state, note, started_at," \
    " ended_at"

static void report_take(wl_report_db_t *self, wl_report_t *ret, bool *damaged) {
    wl_report_sql_t *sql = &self->sql;
    memset(ret, 0, sizeof *ret);
    ret->run.id = wl_report_sql_take(sql, 0, INT64_MAX, damaged);
    ret->run.rolling = wl_report_sql_take(sql, 1, 1, damaged) == 1;
    ret->run.dry_run = wl_report_sql_take(sql, 2, 1, damaged) == 1;
    ret->run.cap_permille = (uint32_t)wl_report_sql_take(sql, 3, 1000, damaged);
    ret->run.rate = wl_report_sql_take(sql, 4, INT64_MAX, damaged);
    ret->run.shards = (uint32_t)wl_report_sql_take(sql, 5, 65536, damaged);
    ret->run.only_shard = wl_report_sql_take_signed(sql, 6, damaged);
    wl_report_sql_take_text(sql, 7, ret->run.by, sizeof ret->run.by, damaged);
    ret->state = (wl_report_state_t)wl_report_sql_take(sql, 8, WL_REPORT_STATE_COUNT - 1, damaged);
    wl_report_sql_take_text(sql, 9, ret->note, sizeof ret->note, damaged);
    ret->started_at = wl_report_sql_take_signed(sql, 10, damaged);
    ret->ended_at = wl_report_sql_take_signed(sql, 11, damaged);
}

/* Rows of what was built. */
static wl_err_t reports_read(wl_report_db_t *self, wl_report_t *ret, uint32_t max,
                             uint32_t *ret_count) {
    bool row = false;
    bool damaged = false;
    uint32_t count = 0;
    wl_err_t err = wl_report_sql_query(&self->sql);
    do {
        err = err == WL_OK ? wl_report_sql_next(&self->sql, &row) : err;
        if (err == WL_OK && row && count < max) {
            report_take(self, &ret[count++], &damaged);
        }
    } while (err == WL_OK && row);
    wl_report_sql_done(&self->sql);
    *ret_count = err == WL_OK && !damaged ? count : 0;
    return err == WL_OK && damaged ? WL_ERR_DAMAGED : err;
}

wl_err_t wl_report_db_get(wl_report_db_t *self, uint64_t run, wl_report_t *ret) {
    uint32_t count = 0;
    (void)wl_report_sql(&self->sql, "SELECT " RUN_COLUMNS " FROM reconcile_run WHERE id = ");
    wl_report_sql_number(&self->sql, run);
    wl_err_t err = reports_read(self, ret, 1, &count);
    return err == WL_OK && count == 0 ? WL_ERR_NOT_FOUND : err;
}

wl_err_t wl_report_db_list(wl_report_db_t *self, uint64_t from, bool rounds, wl_report_t *ret,
                           uint32_t max, uint32_t *ret_count) {
    (void)wl_report_sql(&self->sql, "SELECT " RUN_COLUMNS " FROM reconcile_run WHERE rolling = ");
    wl_report_sql_number(&self->sql, rounds);
    wl_report_sql_add(&self->sql, " AND id <= ");
    wl_report_sql_number(&self->sql, from == 0 ? INT64_MAX : from);
    wl_report_sql_add(&self->sql, " ORDER BY id DESC LIMIT ");
    wl_report_sql_number(&self->sql, max);
    return reports_read(self, ret, max, ret_count);
}

static void part_take(wl_report_db_t *self, wl_report_part_t *ret, bool *damaged) {
    wl_report_sql_t *sql = &self->sql;
    size_t bytes = 0;
    memset(ret, 0, sizeof *ret);
    ret->run = wl_report_sql_take(sql, 0, INT64_MAX, damaged);
    ret->shard = (uint32_t)wl_report_sql_take(sql, 1, UINT32_MAX, damaged);
    ret->state = (wl_report_state_t)wl_report_sql_take(sql, 2, WL_REPORT_STATE_COUNT - 1, damaged);
    wl_report_sql_take_text(sql, 3, ret->holder, sizeof ret->holder, damaged);
    ret->phase = (uint8_t)wl_report_sql_take(sql, 4, UINT8_MAX, damaged);
    ret->after = wl_report_sql_take(sql, 5, UINT64_MAX, damaged);
    ret->ended_at = wl_report_sql_take_signed(sql, 6, damaged);
    const void *body = wl_report_sql_take_bytes(sql, 7, &bytes);
    *damaged = *damaged || bytes > WL_REPORT_BODY_MAX;
    if (bytes > 0 && bytes <= WL_REPORT_BODY_MAX) {
        ret->body = wl_alloc(bytes);
        memcpy(ret->body, body, bytes);
        ret->body_bytes = (uint32_t)bytes;
    }
}

wl_err_t wl_report_read_parts(wl_report_db_t *self, wl_report_part_t *ret, uint32_t max,
                              uint32_t *ret_count) {
    bool row = false;
    bool damaged = false;
    uint32_t count = 0;
    wl_err_t err = wl_report_sql_query(&self->sql);
    do {
        err = err == WL_OK ? wl_report_sql_next(&self->sql, &row) : err;
        if (err == WL_OK && row && count < max) {
            part_take(self, &ret[count++], &damaged);
        }
    } while (err == WL_OK && row);
    wl_report_sql_done(&self->sql);
    err = err == WL_OK && damaged ? WL_ERR_DAMAGED : err;
    for (uint32_t i = 0; err != WL_OK && i < count; i++) {
        wl_report_part_destroy(&ret[i]);
    }
    *ret_count = err == WL_OK ? count : 0;
    return err;
}

wl_err_t wl_report_db_parts(wl_report_db_t *self, uint64_t run, wl_report_part_t *ret, uint32_t max,
                            uint32_t *ret_count) {
    (void)wl_report_sql(&self->sql,
                        "SELECT " WL_REPORT_PART_COLUMNS " FROM reconcile_part WHERE run = ");
    wl_report_sql_number(&self->sql, run);
    wl_report_sql_add(&self->sql, " ORDER BY shard LIMIT ");
    wl_report_sql_number(&self->sql, max);
    return wl_report_read_parts(self, ret, max, ret_count);
}

/* ---- the end of a run ------------------------------------------------------------------------ */

/* One run is closed by one: two parts that end at once would each see the other open. */
wl_err_t wl_report_lock_run(wl_report_db_t *self, uint64_t run) {
    uint64_t state = 0;
    (void)wl_report_sql(&self->sql, "SELECT state FROM reconcile_run WHERE id = ");
    wl_report_sql_number(&self->sql, run);
    wl_report_sql_add(&self->sql, wl_report_sql_lock(&self->sql));
    return wl_report_ask(self, &state);
}

/* The run ends with its last part, as the worst of them did. */
wl_err_t wl_report_close_run(wl_report_db_t *self, uint64_t run, const char *note) {
    wl_err_t err = WL_OK;
    if (note != NULL) {
        (void)wl_report_sql(&self->sql, "UPDATE reconcile_run SET note = ");
        wl_report_sql_words(&self->sql, note);
        wl_report_sql_add(&self->sql, " WHERE note = x'' AND id = ");
        wl_report_sql_number(&self->sql, run);
        err = wl_report_sql_run(&self->sql, NULL);
    }
    uint64_t open = 1;
    uint64_t worst = WL_REPORT_DONE;
    (void)wl_report_sql(&self->sql,
                        "SELECT count(*) FROM reconcile_part WHERE state = 0 AND run = ");
    wl_report_sql_number(&self->sql, run);
    err = err == WL_OK ? wl_report_ask(self, &open) : err;
    if (err != WL_OK || open > 0) {
        return err;
    }
    (void)wl_report_sql(&self->sql,
                        "SELECT coalesce(max(state), 1) FROM reconcile_part WHERE run = ");
    wl_report_sql_number(&self->sql, run);
    err = wl_report_ask(self, &worst);
    (void)wl_report_sql(&self->sql, "UPDATE reconcile_run SET state = ");
    wl_report_sql_number(&self->sql, worst);
    wl_report_sql_add(&self->sql, ", ended_at = ");
    wl_report_sql_now(&self->sql);
    wl_report_sql_add(&self->sql, " WHERE state = 0 AND id = ");
    wl_report_sql_number(&self->sql, run);
    return err == WL_OK ? wl_report_sql_run(&self->sql, NULL) : err;
}

wl_err_t wl_report_db_stop(wl_report_db_t *self, uint64_t run, const char *note) {
    wl_report_t report;
    wl_err_t err = wl_report_db_get(self, run, &report);
    if (err != WL_OK) {
        return err;
    }
    err = wl_report_sql_begin(&self->sql);
    if (err != WL_OK) {
        return err;
    }
    uint64_t stopped = 0;
    err = wl_report_lock_run(self, run);
    (void)wl_report_sql(&self->sql, "UPDATE reconcile_part SET state = ");
    wl_report_sql_number(&self->sql, WL_REPORT_STOPPED);
    wl_report_sql_add(&self->sql, ", ended_at = ");
    wl_report_sql_now(&self->sql);
    wl_report_sql_add(&self->sql, " WHERE state = 0 AND run = ");
    wl_report_sql_number(&self->sql, run);
    err = err == WL_OK ? wl_report_sql_run(&self->sql, &stopped) : err;
    if (err == WL_OK && stopped == 0) {
        err = WL_ERR_CONFLICT;
    }
    err = err == WL_OK ? wl_report_close_run(self, run, note) : err;
    return wl_report_sql_end(&self->sql, err);
}

/* ---- what was found -------------------------------------------------------------------------- */

wl_err_t wl_report_db_sums(wl_report_db_t *self, uint64_t run, wl_report_sums_t *ret) {
    bool row = false;
    bool damaged = false;
    memset(ret, 0, sizeof *ret);
    (void)wl_report_sql(&self->sql,
                        "SELECT kind, state, count(*) FROM reconcile_diff WHERE run = ");
    wl_report_sql_number(&self->sql, run);
    wl_report_sql_add(&self->sql, " GROUP BY kind, state");
    wl_err_t err = wl_report_sql_query(&self->sql);
    do {
        err = err == WL_OK ? wl_report_sql_next(&self->sql, &row) : err;
        if (err == WL_OK && row) {
            uint64_t kind = wl_report_sql_take(&self->sql, 0, WL_DIFFERENCE_KINDS - 1, &damaged);
            uint64_t state = wl_report_sql_take(&self->sql, 1, WL_FOUND_LEFT, &damaged);
            uint64_t count = wl_report_sql_take(&self->sql, 2, UINT64_MAX, &damaged);
            ret->found[kind] += count;
            ret->repaired[kind] += state == WL_FOUND_REPAIRED ? count : 0;
            ret->left[kind] += state == WL_FOUND_LEFT ? count : 0;
        }
    } while (err == WL_OK && row);
    wl_report_sql_done(&self->sql);
    return err == WL_OK && damaged ? WL_ERR_DAMAGED : err;
}

static void found_take(wl_report_db_t *self, wl_found_t *ret, bool *damaged) {
    wl_report_sql_t *sql = &self->sql;
    wl_difference_t *difference = &ret->difference;
    memset(ret, 0, sizeof *ret);
    ret->id = wl_report_sql_take(sql, 0, INT64_MAX, damaged);
    ret->shard = (uint32_t)wl_report_sql_take(sql, 1, UINT32_MAX, damaged);
    difference->uid = wl_report_sql_take(sql, 2, UINT64_MAX, damaged);
    wl_report_sql_take_text(sql, 3, difference->line, sizeof difference->line, damaged);
    wl_report_sql_take_text(sql, 4, difference->bucket, sizeof difference->bucket, damaged);
    difference->kind =
        (wl_difference_kind_t)wl_report_sql_take(sql, 5, WL_DIFFERENCE_KINDS - 1, damaged);
    difference->repair = (wl_repair_t)wl_report_sql_take(sql, 6, WL_REPAIR_MARK, damaged);
    difference->in_db = wl_report_sql_take(sql, 7, UINT64_MAX, damaged);
    difference->in_copy = wl_report_sql_take(sql, 8, UINT64_MAX, damaged);
    wl_report_sql_take_text(sql, 9, difference->cause, sizeof difference->cause, damaged);
    ret->state = (wl_found_state_t)wl_report_sql_take(sql, 10, WL_FOUND_LEFT, damaged);
    ret->at = wl_report_sql_take_signed(sql, 11, damaged);
}

wl_err_t wl_report_db_differences(wl_report_db_t *self, uint64_t run, uint64_t after,
                                  wl_found_t *ret, uint32_t max, uint32_t *ret_count) {
    bool row = false;
    bool damaged = false;
    uint32_t count = 0;
    (void)wl_report_sql(&self->sql,
                        "SELECT id, shard, uid, line, bucket, kind, repair, in_db, in_copy, cause,"
                        " state, at FROM reconcile_diff WHERE run = ");
    wl_report_sql_number(&self->sql, run);
    wl_report_sql_add(&self->sql, " AND id > ");
    wl_report_sql_number(&self->sql, after);
    wl_report_sql_add(&self->sql, " ORDER BY id LIMIT ");
    wl_report_sql_number(&self->sql, max);
    wl_err_t err = wl_report_sql_query(&self->sql);
    do {
        err = err == WL_OK ? wl_report_sql_next(&self->sql, &row) : err;
        if (err == WL_OK && row && count < max) {
            found_take(self, &ret[count++], &damaged);
        }
    } while (err == WL_OK && row);
    wl_report_sql_done(&self->sql);
    *ret_count = err == WL_OK && !damaged ? count : 0;
    return err == WL_OK && damaged ? WL_ERR_DAMAGED : err;
}
