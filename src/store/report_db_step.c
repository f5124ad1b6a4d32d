#include "base/check.h"
#include "store/report_db_self.h"

enum {
    INSERT_ROWS = 500, /* of one statement: under 200 KiB */
    CLAIM_TRIES = 4,   /* when others are faster */
    SHARD_SHIFT = 40,  /* a difference's id is its shard's number, then a count */
};

/* ---- claims ---------------------------------------------------------------------------------- */

/* " AND state = 0 AND (nobody holds it, or we do)" */
static void add_free(wl_report_db_t *self) {
    wl_report_sql_add(&self->sql, " AND p.state = 0 AND (p.holder = x'' OR p.holder = ");
    wl_report_sql_words(&self->sql, self->name);
    wl_report_sql_add(&self->sql, " OR p.held_until < ");
    wl_report_sql_now(&self->sql);
    wl_report_sql_add(&self->sql, ")");
}

/* Which part may be taken? */
static wl_err_t part_find(wl_report_db_t *self, uint64_t *ret_run, uint32_t *ret_shard) {
    bool row = false;
    bool damaged = false;
    (void)wl_report_sql(&self->sql,
                        "SELECT p.run, p.shard FROM reconcile_part p JOIN reconcile_run r"
                        " ON r.id = p.run WHERE r.state = 0");
    add_free(self);
    wl_report_sql_add(&self->sql, " ORDER BY r.rolling, p.run, p.shard LIMIT 1");
    wl_err_t err = wl_report_sql_query(&self->sql);
    if (err == WL_OK) {
        err = wl_report_sql_next(&self->sql, &row);
    }
    if (err == WL_OK && row) {
        *ret_run = wl_report_sql_take(&self->sql, 0, INT64_MAX, &damaged);
        *ret_shard = (uint32_t)wl_report_sql_take(&self->sql, 1, UINT32_MAX, &damaged);
    }
    wl_report_sql_done(&self->sql);
    if (err == WL_OK) {
        err = !row ? WL_ERR_NOT_FOUND : damaged ? WL_ERR_DAMAGED : WL_OK;
    }
    return err;
}

/* What is read before it is taken may change meanwhile: the update looks again. */
static wl_err_t part_take_over(wl_report_db_t *self, uint64_t run, uint32_t shard, uint32_t hold_ms,
                               bool *ret_taken) {
    uint64_t matched = 0;
    (void)wl_report_sql(&self->sql, "UPDATE reconcile_part AS p SET holder = ");
    wl_report_sql_words(&self->sql, self->name);
    wl_report_sql_add(&self->sql, ", held_until = ");
    wl_report_sql_now(&self->sql);
    wl_report_sql_add(&self->sql, " + ");
    wl_report_sql_number(&self->sql, hold_ms);
    wl_report_add_where(self, run, shard);
    add_free(self);
    wl_err_t err = wl_report_sql_run(&self->sql, &matched);
    *ret_taken = err == WL_OK && matched == 1;
    return err;
}

static wl_err_t part_get(wl_report_db_t *self, uint64_t run, uint32_t shard,
                         wl_report_part_t *ret) {
    uint32_t count = 0;
    (void)wl_report_sql(&self->sql, "SELECT " WL_REPORT_PART_COLUMNS " FROM reconcile_part");
    wl_report_add_where(self, run, shard);
    wl_err_t err = wl_report_read_parts(self, ret, 1, &count);
    return err == WL_OK && count == 0 ? WL_ERR_NOT_FOUND : err;
}

wl_err_t wl_report_db_claim(wl_report_db_t *self, uint32_t hold_ms, wl_report_run_t *ret_run,
                            wl_report_part_t *ret_part) {
    for (uint32_t try = 0; try < CLAIM_TRIES; try++) {
        uint64_t run = 0;
        uint32_t shard = 0;
        bool taken = false;
        wl_report_t report;
        wl_err_t err = part_find(self, &run, &shard);
        if (err == WL_OK) {
            err = part_take_over(self, run, shard, hold_ms, &taken);
        }
        if (err == WL_OK && taken) {
            err = wl_report_db_get(self, run, &report);
        }
        if (err == WL_OK && taken) {
            *ret_run = report.run;
            return part_get(self, run, shard, ret_part);
        }
        if (err == WL_ERR_NOT_FOUND) {
            wl_report_forget(self);
        }
        if (err != WL_OK) {
            return err;
        }
    }
    return WL_ERR_NOT_FOUND;
}

wl_err_t wl_report_db_release(wl_report_db_t *self, uint64_t run, uint32_t shard) {
    (void)wl_report_sql(&self->sql, "UPDATE reconcile_part SET holder = x'', held_until = 0");
    wl_report_add_where(self, run, shard);
    wl_report_sql_add(&self->sql, " AND holder = ");
    wl_report_sql_words(&self->sql, self->name);
    return wl_report_sql_run(&self->sql, NULL);
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* In a transaction: is the part still ours, and open? Holds on to it. */
static wl_err_t part_hold(wl_report_db_t *self, uint64_t run, uint32_t shard, uint32_t hold_ms) {
    uint64_t matched = 0;
    (void)wl_report_sql(&self->sql, "UPDATE reconcile_part SET held_until = ");
    wl_report_sql_now(&self->sql);
    wl_report_sql_add(&self->sql, " + ");
    wl_report_sql_number(&self->sql, hold_ms);
    wl_report_add_where(self, run, shard);
    wl_report_sql_add(&self->sql, " AND state = 0 AND holder = ");
    wl_report_sql_words(&self->sql, self->name);
    wl_err_t err = wl_report_sql_run(&self->sql, &matched);
    return err == WL_OK && matched != 1 ? WL_ERR_CONFLICT : err;
}

static void add_difference(wl_report_db_t *self, uint64_t run, uint32_t shard, uint64_t id,
                           const wl_difference_t *found) {
    wl_report_sql_number(&self->sql, run);
    wl_report_add_number(self, id);
    wl_report_add_number(self, shard);
    wl_report_add_number(self, found->uid);
    wl_report_add_words(self, found->line);
    wl_report_add_words(self, found->bucket);
    wl_report_add_number(self, found->kind);
    wl_report_add_number(self, found->repair);
    wl_report_add_number(self, found->in_db);
    wl_report_add_number(self, found->in_copy);
    wl_report_add_words(self, found->cause);
    wl_report_sql_add(&self->sql, ", 0, ");
    wl_report_sql_now(&self->sql);
}

static wl_err_t differences_insert(wl_report_db_t *self, uint64_t run, uint32_t shard,
                                   const wl_difference_t *found, uint32_t count) {
    uint64_t last = (uint64_t)shard << SHARD_SHIFT;
    (void)wl_report_sql(&self->sql, "SELECT coalesce(max(id), ");
    wl_report_sql_number(&self->sql, last);
    wl_report_sql_add(&self->sql, ") FROM reconcile_diff WHERE run = ");
    wl_report_sql_number(&self->sql, run);
    wl_report_sql_add(&self->sql, " AND id >= ");
    wl_report_sql_number(&self->sql, last);
    wl_report_sql_add(&self->sql, " AND id < ");
    wl_report_sql_number(&self->sql, (uint64_t)(shard + 1) << SHARD_SHIFT);
    wl_err_t err = wl_report_ask(self, &last);
    for (uint32_t first = 0; err == WL_OK && first < count;) {
        uint32_t end = count - first < INSERT_ROWS ? count : first + INSERT_ROWS;
        (void)wl_report_sql(&self->sql, wl_report_sql_insert(&self->sql));
        wl_report_sql_add(&self->sql, "reconcile_diff VALUES");
        for (uint32_t i = first; i < end; i++) {
            wl_report_sql_add(&self->sql, i == first ? "(" : "), (");
            add_difference(self, run, shard, ++last, &found[i]);
        }
        wl_report_sql_add(&self->sql, ")");
        err = wl_report_sql_run(&self->sql, NULL);
        first = end;
    }
    return err;
}

wl_err_t wl_report_db_found(wl_report_db_t *self, uint64_t run, uint32_t shard, uint32_t hold_ms,
                            const wl_difference_t *found, uint32_t count) {
    WL_ASSERT(count <= WL_REPORT_STEP_DIFFERENCES);
    wl_err_t err = wl_report_sql_begin(&self->sql);
    if (err != WL_OK) {
        return err;
    }
    err = part_hold(self, run, shard, hold_ms);
    if (err == WL_OK) {
        err = differences_insert(self, run, shard, found, count);
    }
    return wl_report_sql_end(&self->sql, err);
}

/* Also what an earlier step has settled: after a crash a part may go on before the step that wrote
 * it down, and the caches' part may see again what a shard's part had repaired. */
static wl_err_t differences_leave(wl_report_db_t *self, uint64_t run, const wl_difference_t *left,
                                  uint32_t left_count) {
    wl_err_t err = WL_OK;
    for (uint32_t i = 0; err == WL_OK && i < left_count; i++) {
        (void)wl_report_sql(&self->sql, "UPDATE reconcile_diff SET state = 2 WHERE run = ");
        wl_report_sql_number(&self->sql, run);
        wl_report_sql_add(&self->sql, " AND uid = ");
        wl_report_sql_number(&self->sql, left[i].uid);
        wl_report_sql_add(&self->sql, " AND line = ");
        wl_report_sql_words(&self->sql, left[i].line);
        wl_report_sql_add(&self->sql, " AND bucket = ");
        wl_report_sql_words(&self->sql, left[i].bucket);
        wl_report_sql_add(&self->sql, " AND kind = ");
        wl_report_sql_number(&self->sql, left[i].kind);
        err = wl_report_sql_run(&self->sql, NULL);
    }
    return err;
}

/* What is open becomes repaired, but for those that are left: in a dry run all of them. */
static wl_err_t differences_settle(wl_report_db_t *self, const wl_report_part_t *part,
                                   const wl_difference_t *left, uint32_t left_count) {
    uint64_t dry_run = 0;
    (void)wl_report_sql(&self->sql, "SELECT dry_run FROM reconcile_run WHERE id = ");
    wl_report_sql_number(&self->sql, part->run);
    wl_err_t err = wl_report_ask(self, &dry_run);
    if (err == WL_OK && dry_run == 0) {
        err = differences_leave(self, part->run, left, left_count);
    }
    if (err == WL_OK) {
        (void)wl_report_sql(&self->sql, "UPDATE reconcile_diff SET state = ");
        wl_report_sql_number(&self->sql, dry_run == 0 ? WL_FOUND_REPAIRED : WL_FOUND_LEFT);
        wl_report_add_where(self, part->run, part->shard);
        wl_report_sql_add(&self->sql, " AND state = 0");
        err = wl_report_sql_run(&self->sql, NULL);
    }
    return err;
}

static wl_err_t part_move(wl_report_db_t *self, const wl_report_part_t *part) {
    (void)wl_report_sql(&self->sql, "UPDATE reconcile_part SET state = ");
    wl_report_sql_number(&self->sql, part->state);
    wl_report_sql_add(&self->sql, ", phase = ");
    wl_report_sql_number(&self->sql, part->phase);
    wl_report_sql_add(&self->sql, ", reached = ");
    wl_report_sql_number(&self->sql, part->after);
    wl_report_sql_add(&self->sql, ", body = ");
    wl_report_sql_bytes(&self->sql, part->body, part->body_bytes);
    if (part->state != WL_REPORT_OPEN) {
        wl_report_sql_add(&self->sql, ", ended_at = ");
        wl_report_sql_now(&self->sql);
    }
    wl_report_add_where(self, part->run, part->shard);
    return wl_report_sql_run(&self->sql, NULL);
}

wl_err_t wl_report_db_step(wl_report_db_t *self, const wl_report_part_t *part, uint32_t hold_ms,
                           const wl_difference_t *left, uint32_t left_count, const char *note) {
    WL_ASSERT(part->body_bytes <= WL_REPORT_BODY_MAX);
    wl_err_t err = wl_report_sql_begin(&self->sql);
    if (err != WL_OK) {
        return err;
    }
    if (part->state != WL_REPORT_OPEN) {
        err = wl_report_lock_run(self, part->run);
    }
    err = err == WL_OK ? part_hold(self, part->run, part->shard, hold_ms) : err;
    err = err == WL_OK ? differences_settle(self, part, left, left_count) : err;
    err = err == WL_OK ? part_move(self, part) : err;
    if (err == WL_OK && part->state != WL_REPORT_OPEN) {
        err = wl_report_close_run(self, part->run, note);
    }
    err = wl_report_sql_end(&self->sql, err);
    if (err == WL_OK) {
        wl_report_forget(self);
    }
    return err;
}
