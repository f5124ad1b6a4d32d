/* Fences, logs and maps of both sides, and the steps that walk over users. What one transaction
 * does with users is in slot_copy_users.c. */
#include "store/slot_copy.h"

#include "base/alloc.h"
#include "base/check.h"
#include "store/slot_copy_users.h"

#include <stdlib.h>
#include <string.h>

/* ---- life ------------------------------------------------------------------------------------ */

static wl_err_t link_check(wl_mysql_t *link, void *ctx, wl_fault_t *fault) {
    const wl_mysql_shard_t *shard = ctx;
    wl_err_t err = wl_mysql_migrate(link, fault);
    return err == WL_OK ? wl_mysql_shard_check(link, shard, true, fault) : err;
}

wl_err_t wl_slot_copy_open(const wl_slot_copy_options_t *options, wl_slot_copy_t **ret,
                           wl_fault_t *fault) {
    WL_ASSERT(options->first <= options->last && options->last < WL_SLOTS);
    wl_slot_copy_t *self = wl_alloc_zero(1, sizeof *self);
    wl_err_t err = WL_OK;
    self->first = options->first;
    self->last = options->last;
    self->epoch = options->epoch;
    for (int side = 0; err == WL_OK && side < 2; side++) {
        self->shard[side] = (wl_mysql_shard_t){
            .shard = options->shard[side], .shards = options->shards, .mapped = true};
        err = wl_mysql_open(&options->mysql[side], true, link_check, &self->shard[side],
                            &self->link[side], fault);
    }
    if (err != WL_OK) {
        wl_slot_copy_close(&self);
        return err;
    }
    *ret = self;
    return WL_OK;
}

void wl_slot_copy_close(wl_slot_copy_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_mysql_close(&(*self)->link[WL_SIDE_SOURCE]);
    wl_mysql_close(&(*self)->link[WL_SIDE_TARGET]);
    wl_sql_text_destroy(&(*self)->sql);
    wl_asset_rows_destroy(&(*self)->rows);
    wl_asset_rows_destroy(&(*self)->there);
    wl_free((*self)->consents);
    wl_free(*self);
    *self = NULL;
}

const char *wl_slot_copy_problem(const wl_slot_copy_t *self) {
    const char *source = wl_mysql_problem(self->link[WL_SIDE_SOURCE]);
    return source[0] != '\0' ? source : wl_mysql_problem(self->link[WL_SIDE_TARGET]);
}

/* ---- fences, logs and maps ------------------------------------------------------------------- */

static wl_side_t other(wl_side_t side) {
    return side == WL_SIDE_SOURCE ? WL_SIDE_TARGET : WL_SIDE_SOURCE;
}

/* One transaction: locks the side, runs what was built, and perhaps another statement. */
static wl_err_t side_change(wl_slot_copy_t *self, wl_side_t side, wl_sql_text_t *sql,
                            const char *then) {
    wl_slot_numbers_t numbers;
    wl_err_t err = wl_slot_copy_lock(self, side, &numbers);
    if (err == WL_OK) {
        err = wl_mysql_run(self->link[side], sql->at, sql->used);
    }
    if (err == WL_OK && then != NULL) {
        err = wl_mysql_run_text(self->link[side], then);
    }
    return wl_slot_copy_end(self, side, err);
}

static void sql_log_range(wl_slot_copy_t *self, wl_sql_text_t *sql) {
    wl_sql_add(sql, "logged = 1, log_first = ");
    wl_sql_unsigned(sql, self->first);
    wl_sql_add(sql, ", log_last = ");
    wl_sql_unsigned(sql, self->last);
}

static void sql_map(wl_sql_text_t *sql, uint64_t version, const uint8_t map[WL_SLOTS]) {
    wl_sql_add(sql, "UPDATE slot_map SET version = ");
    wl_sql_unsigned(sql, version);
    wl_sql_add(sql, ", map = ");
    wl_sql_bytes(sql, map, WL_SLOTS);
}

wl_err_t wl_slot_copy_begin(wl_slot_copy_t *self) {
    wl_err_t err = WL_OK;
    for (int side = 0; err == WL_OK && side < 2; side++) {
        wl_sql_text_t sql = {0};
        wl_sql_add(&sql, "UPDATE slot_map SET mover = ");
        wl_sql_unsigned(&sql, self->epoch);
        wl_sql_add(&sql, " WHERE id = 1");
        err = side_change(self, (wl_side_t)side, &sql, NULL);
        wl_sql_text_destroy(&sql);
    }
    return err;
}

wl_err_t wl_slot_copy_log(wl_slot_copy_t *self, wl_side_t side, bool on) {
    wl_sql_text_t sql = {0};
    wl_sql_add(&sql, "UPDATE slot_map SET ");
    if (on) {
        sql_log_range(self, &sql);
    } else {
        wl_sql_add(&sql, "logged = 0");
    }
    wl_sql_add(&sql, " WHERE id = 1");
    wl_err_t err = side_change(self, side, &sql, on ? NULL : "DELETE FROM slot_log");
    wl_sql_text_destroy(&sql);
    return err;
}

wl_err_t wl_slot_copy_fence(wl_slot_copy_t *self, wl_side_t side, uint64_t version) {
    wl_sql_text_t sql = {0};
    wl_sql_add(&sql, "UPDATE slot_map SET write_fence = GREATEST(write_fence, ");
    wl_sql_unsigned(&sql, version);
    wl_sql_add(&sql, ") WHERE id = 1");
    wl_err_t err = side_change(self, side, &sql, NULL);
    wl_sql_text_destroy(&sql);
    return err;
}

wl_err_t wl_slot_copy_unfence(wl_slot_copy_t *self, wl_side_t side) {
    wl_sql_text_t sql = {0};
    wl_sql_add(&sql, "UPDATE slot_map SET write_fence = read_fence WHERE id = 1");
    wl_err_t err = side_change(self, side, &sql, NULL);
    wl_sql_text_destroy(&sql);
    return err;
}

/* The new home: its numbers go beyond those of the old one, and it notes changes. It gets the map
 * last: whoever found it there before the other side is fenced would write here too early. */
static wl_err_t flip_to(wl_slot_copy_t *self, wl_side_t to, uint64_t commit_seq) {
    wl_slot_numbers_t numbers;
    wl_sql_text_t sql = {0};
    wl_sql_add(&sql, "UPDATE slot_map SET ");
    sql_log_range(self, &sql);
    wl_sql_add(&sql, " WHERE id = 1");
    wl_err_t err = wl_slot_copy_lock(self, to, &numbers);
    if (err == WL_OK) {
        err = wl_mysql_run(self->link[to], sql.at, sql.used);
    }
    if (err == WL_OK) {
        numbers.commit_seq = numbers.commit_seq > commit_seq ? numbers.commit_seq : commit_seq;
        err = wl_slot_copy_count(self, to, &numbers);
    }
    wl_sql_text_destroy(&sql);
    return wl_slot_copy_end(self, to, err);
}

wl_err_t wl_slot_copy_flip(wl_slot_copy_t *self, wl_side_t from, uint64_t version,
                           const uint8_t map[WL_SLOTS]) {
    wl_slot_numbers_t numbers;
    wl_err_t err = wl_slot_copy_lock(self, from, &numbers);
    err = wl_slot_copy_end(self, from, err);
    if (err == WL_OK) {
        err = flip_to(self, other(from), numbers.commit_seq);
    }
    if (err != WL_OK) {
        return err;
    }
    wl_sql_text_t sql = {0};
    sql_map(&sql, version, map);
    wl_sql_add(&sql, ", logged = 0, write_fence = GREATEST(write_fence, ");
    wl_sql_unsigned(&sql, version);
    wl_sql_add(&sql, "), read_fence = GREATEST(read_fence, ");
    wl_sql_unsigned(&sql, version);
    wl_sql_add(&sql, ") WHERE id = 1 AND version <= ");
    wl_sql_unsigned(&sql, version);
    err = side_change(self, from, &sql, "DELETE FROM slot_log");
    if (err == WL_OK) {
        wl_sql_text_clear(&sql);
        sql_map(&sql, version, map);
        wl_sql_add(&sql, " WHERE id = 1 AND version <= ");
        wl_sql_unsigned(&sql, version);
        err = side_change(self, other(from), &sql, NULL);
    }
    wl_sql_text_destroy(&sql);
    return err;
}

wl_err_t wl_slot_copy_flipped(wl_slot_copy_t *self, wl_side_t side, uint64_t version, bool *ret) {
    bool row = false;
    uint64_t stands = 0;
    wl_mysql_t *link = self->link[side];
    wl_err_t err = wl_mysql_query_text(link, "SELECT version FROM slot_map WHERE id = 1");
    if (err == WL_OK) {
        err = wl_mysql_next(link, &row);
    }
    if (err == WL_OK && (!row || !wl_mysql_unsigned(link, 0, UINT64_MAX, &stands))) {
        err = WL_ERR_DAMAGED;
    }
    wl_mysql_done(link);
    *ret = err == WL_OK && stands >= version;
    return err;
}

/* ---- steps over users ------------------------------------------------------------------------ */

wl_err_t wl_slot_copy_users(wl_slot_copy_t *self, wl_side_t from, uint32_t max, uint64_t *cursor,
                            wl_slot_step_t *ret) {
    *ret = (wl_slot_step_t){.users = 0};
    wl_err_t err = wl_slot_copy_next(self, from, *cursor, UINT64_MAX, max);
    if (err == WL_OK && self->count > 0) {
        err = wl_slot_copy_replace(self, from, other(from), &ret->records);
    }
    if (err == WL_OK) {
        ret->users = self->count;
        ret->end = self->count < max;
        *cursor = self->count > 0 ? self->uids[self->count - 1] : *cursor;
    }
    return err;
}

static int uid_compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void uids_sort(wl_slot_copy_t *self) {
    uint32_t kept = 0;
    qsort(self->uids, self->count, sizeof *self->uids, uid_compare);
    for (uint32_t i = 0; i < self->count; i++) {
        if (kept == 0 || self->uids[kept - 1] != self->uids[i]) {
            self->uids[kept++] = self->uids[i];
        }
    }
    self->count = kept;
}

/* The oldest users of the log; *ret_last: number of its last row read, 0 = it is empty. */
static wl_err_t log_read(wl_slot_copy_t *self, wl_side_t from, uint32_t max, uint32_t *ret_rows,
                         uint64_t *ret_last) {
    wl_mysql_t *link = self->link[from];
    wl_sql_text_t *sql = &self->sql;
    wl_sql_text_clear(sql);
    wl_sql_add(sql, "SELECT seq, uid FROM slot_log ORDER BY seq LIMIT ");
    wl_sql_unsigned(sql, max);
    bool row = false;
    *ret_last = 0;
    self->count = 0;
    wl_err_t err = wl_mysql_query(link, sql->at, sql->used);
    if (err == WL_OK) {
        err = wl_mysql_next(link, &row);
    }
    while (err == WL_OK && row && self->count < max) {
        bool sound = wl_mysql_unsigned(link, 0, UINT64_MAX, ret_last) &&
                     wl_mysql_unsigned(link, 1, UINT64_MAX, &self->uids[self->count++]);
        err = sound ? wl_mysql_next(link, &row) : WL_ERR_DAMAGED;
    }
    wl_mysql_done(link);
    *ret_rows = self->count;
    uids_sort(self);
    return err;
}

/* Rows of the log go only when what they stand for is safe on the other side. */
wl_err_t wl_slot_copy_follow(wl_slot_copy_t *self, wl_side_t from, uint32_t max,
                             wl_slot_step_t *ret) {
    uint32_t rows = 0;
    uint64_t last = 0;
    *ret = (wl_slot_step_t){.users = 0};
    WL_ASSERT(max > 0 && max <= WL_SLOT_COPY_USERS);
    wl_err_t err = log_read(self, from, max, &rows, &last);
    if (err != WL_OK || rows == 0) {
        ret->end = err == WL_OK;
        return err;
    }
    err = wl_slot_copy_replace(self, from, other(from), &ret->records);
    if (err == WL_OK) {
        wl_sql_text_clear(&self->sql);
        wl_sql_add(&self->sql, "DELETE FROM slot_log WHERE seq <= ");
        wl_sql_unsigned(&self->sql, last);
        err = wl_mysql_run(self->link[from], self->sql.at, self->sql.used);
    }
    if (err == WL_OK) {
        ret->users = self->count;
        ret->end = rows < max;
    }
    return err;
}

/* The users whose records differ are left in uids; returns how many were compared. */
static uint32_t differing_keep(wl_slot_copy_t *self) {
    uint32_t here = 0;
    uint32_t there = 0;
    uint32_t users = 0;
    self->count = 0;
    for (; here < self->rows.count || there < self->there.count; users++) {
        uint64_t uid = wl_slot_copy_user_at(self, here, there);
        if (!wl_slot_copy_user_same(self, uid, &here, &there)) {
            WL_ASSERT(self->count < WL_SLOT_COPY_USERS);
            self->uids[self->count++] = uid;
        }
    }
    return users;
}

/* How many of uids are in the log: what they differ in is on its way. */
static wl_err_t late_count(wl_slot_copy_t *self, wl_side_t from, uint32_t *ret) {
    wl_mysql_t *link = self->link[from];
    wl_sql_text_clear(&self->sql);
    wl_sql_add(&self->sql, "SELECT count(DISTINCT uid) FROM slot_log WHERE ");
    wl_slot_copy_in(&self->sql, self->uids, self->count);
    bool row = false;
    uint64_t count = 0;
    wl_err_t err = wl_mysql_query(link, self->sql.at, self->sql.used);
    if (err == WL_OK) {
        err = wl_mysql_next(link, &row);
    }
    if (err == WL_OK && (!row || !wl_mysql_unsigned(link, 0, self->count, &count))) {
        err = WL_ERR_DAMAGED;
    }
    wl_mysql_done(link);
    *ret = (uint32_t)count;
    return err;
}

/* Both sides are walked together, half of max users each, up to the user whom both have reached. */
wl_err_t wl_slot_copy_compare(wl_slot_copy_t *self, wl_side_t from, uint32_t max, uint64_t *cursor,
                              wl_slot_step_t *ret) {
    uint32_t half = max > 1 ? max / 2 : 1;
    uint64_t last = UINT64_MAX;
    uint32_t late = 0;
    *ret = (wl_slot_step_t){.users = 0};
    WL_ASSERT(half <= WL_SLOT_COPY_USERS / 2);
    wl_err_t err = WL_OK;
    for (int side = 0; err == WL_OK && side < 2; side++) {
        err = wl_slot_copy_next(self, (wl_side_t)side, *cursor, UINT64_MAX, half);
        if (err == WL_OK && self->count == half && self->uids[half - 1] < last) {
            last = self->uids[half - 1];
        }
    }
    if (err == WL_OK) { /* the source is read first: a change in between is in the log */
        err = wl_slot_copy_range(self, from, *cursor, last, &self->rows);
    }
    if (err == WL_OK) {
        err = wl_slot_copy_range(self, other(from), *cursor, last, &self->there);
    }
    if (err != WL_OK) {
        return err;
    }
    ret->users = differing_keep(self);
    if (self->count > 0) {
        err = late_count(self, from, &late);
        ret->mended = self->count - late;
        err = err == WL_OK ? wl_slot_copy_replace(self, from, other(from), &ret->records) : err;
    }
    if (err == WL_OK) {
        *cursor = last == UINT64_MAX ? *cursor : last;
        ret->end = last == UINT64_MAX;
    }
    return err;
}

wl_err_t wl_slot_copy_clean(wl_slot_copy_t *self, wl_side_t side, uint32_t max, uint64_t *cursor,
                            wl_slot_step_t *ret) {
    *ret = (wl_slot_step_t){.users = 0};
    wl_err_t err = wl_slot_copy_next(self, side, *cursor, UINT64_MAX, max);
    if (err == WL_OK && self->count > 0) {
        err = wl_slot_copy_remove(self, side, &ret->records);
    }
    if (err == WL_OK) {
        ret->users = self->count;
        ret->end = self->count < max;
        *cursor = self->count > 0 ? self->uids[self->count - 1] : *cursor;
    }
    return err;
}
