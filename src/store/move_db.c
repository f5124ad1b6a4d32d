#include "store/move_db.h"

#include "base/alloc.h"
#include "base/check.h"
#include "store/mysql_schema.h"
#include "store/sql_text.h"

#include <string.h>

enum {
    NAME_MAX_BYTES = 128, /* as the column has it */
    ENDED = WL_MOVE_DONE, /* states from here on */
    MOVES_KEPT = 100,     /* rows; older ones go */
};

/* Milliseconds by the database's clock, at the moment of evaluation: after a wait for a lock. */
#define NOW "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)"

#define COLUMNS                                                                                    \
    "id, version, first, last, source, target, state, wish, rate, epoch, place, users, records,"   \
    " followed, compared, mended, cleaned, pause_ms, started_at, fenced_at, flipped_at, ended_at," \
    " asked_by, note"

static_assert((int)WL_MOVE_UNDONE > (int)ENDED && (int)WL_MOVE_STATES_COUNT == ENDED + 2,
              "SQL knows the ended states by number");

struct wl_move_db {
    wl_mysql_t *link;  /* owned */
    wl_sql_text_t sql; /* owned; of one statement */
    char name[NAME_MAX_BYTES + 1];
};

static wl_sql_text_t *sql_begin(wl_move_db_t *self, const char *first) {
    wl_sql_text_clear(&self->sql);
    wl_sql_add(&self->sql, first);
    return &self->sql;
}

static wl_err_t sql_run(wl_move_db_t *self) {
    return wl_mysql_run(self->link, self->sql.at, self->sql.used);
}

/* ---- life ------------------------------------------------------------------------------------ */

static wl_err_t link_check(wl_mysql_t *link, void *ctx, wl_fault_t *fault) {
    (void)ctx;
    return wl_mysql_migrate(link, fault);
}

wl_err_t wl_move_db_open(const wl_mysql_options_t *options, const char *name, wl_move_db_t **ret,
                         wl_fault_t *fault) {
    size_t bytes = strlen(name);
    if (bytes == 0 || bytes > NAME_MAX_BYTES) {
        return wl_fault(fault, WL_ERR_SETTINGS, name, "a writer's name has 1 to %d bytes",
                        NAME_MAX_BYTES);
    }
    wl_move_db_t *self = wl_alloc_zero(1, sizeof *self);
    memcpy(self->name, name, bytes);
    wl_err_t err = wl_mysql_open(options, true, link_check, NULL, &self->link, fault);
    if (err != WL_OK) {
        wl_move_db_close(&self);
        return err;
    }
    *ret = self;
    return WL_OK;
}

void wl_move_db_close(wl_move_db_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_mysql_close(&(*self)->link);
    wl_sql_text_destroy(&(*self)->sql);
    wl_free(*self);
    *self = NULL;
}

const char *wl_move_db_problem(const wl_move_db_t *self) {
    return wl_mysql_problem(self->link);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool row_numbers(const wl_mysql_t *link, wl_slot_move_t *ret) {
    uint64_t *const wide[] = {&ret->rate,     &ret->epoch,   &ret->cursor,
                              &ret->users,    &ret->records, &ret->followed,
                              &ret->compared, &ret->mended,  &ret->cleaned};
    int64_t *const times[] = {&ret->pause_ms, &ret->started_at, &ret->fenced_at, &ret->flipped_at,
                              &ret->ended_at};
    bool sound = true;
    for (uint32_t i = 0; i < WL_COUNT_OF(wide); i++) {
        sound = sound && wl_mysql_unsigned(link, 8 + i, UINT64_MAX, wide[i]);
    }
    for (uint32_t i = 0; i < WL_COUNT_OF(times); i++) {
        sound = sound && wl_mysql_signed(link, 17 + i, times[i]);
    }
    return sound;
}

/* The current row, whose columns are COLUMNS. */
static wl_err_t row_take(const wl_mysql_t *link, wl_slot_move_t *ret) {
    uint64_t first = 0;
    uint64_t last = 0;
    uint64_t source = 0;
    uint64_t target = 0;
    uint64_t state = 0;
    uint64_t wish = 0;
    memset(ret, 0, sizeof *ret);
    bool sound = wl_mysql_unsigned(link, 0, UINT64_MAX, &ret->id) &&
                 wl_mysql_unsigned(link, 1, UINT64_MAX, &ret->version) &&
                 wl_mysql_unsigned(link, 2, WL_SLOTS - 1, &first) &&
                 wl_mysql_unsigned(link, 3, WL_SLOTS - 1, &last) && first <= last &&
                 wl_mysql_unsigned(link, 4, UINT8_MAX, &source) &&
                 wl_mysql_unsigned(link, 5, UINT8_MAX, &target) && source != target &&
                 wl_mysql_unsigned(link, 6, WL_MOVE_STATES_COUNT - 1, &state) &&
                 wl_mysql_unsigned(link, 7, WL_MOVE_WISH_FINISH, &wish) && row_numbers(link, ret) &&
                 wl_mysql_copy(link, 22, ret->asked_by, sizeof ret->asked_by) &&
                 wl_mysql_copy(link, 23, ret->note, sizeof ret->note);
    ret->first = (uint32_t)first;
    ret->last = (uint32_t)last;
    ret->source = (uint32_t)source;
    ret->target = (uint32_t)target;
    ret->state = (wl_move_state_t)state;
    ret->wish = (wl_move_wish_t)wish;
    return sound ? WL_OK : WL_ERR_DAMAGED;
}

/* Rows of the statement, at most max. */
static wl_err_t rows_query(wl_move_db_t *self, wl_slot_move_t *ret, uint32_t max,
                           uint32_t *ret_count) {
    bool row = false;
    *ret_count = 0;
    wl_err_t err = wl_mysql_query(self->link, self->sql.at, self->sql.used);
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    while (err == WL_OK && row && *ret_count < max) {
        err = row_take(self->link, &ret[*ret_count]);
        if (err == WL_OK) {
            (*ret_count)++;
            err = wl_mysql_next(self->link, &row);
        }
    }
    wl_mysql_done(self->link);
    return err;
}

/* One number; 0 when there is none. */
static wl_err_t number_query(wl_move_db_t *self, uint64_t *ret) {
    bool row = false;
    *ret = 0;
    wl_err_t err = wl_mysql_query(self->link, self->sql.at, self->sql.used);
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    if (err == WL_OK && row && !wl_mysql_unsigned(self->link, 0, UINT64_MAX, ret)) {
        err = WL_ERR_DAMAGED;
    }
    wl_mysql_done(self->link);
    return err;
}

/* ---- maps ------------------------------------------------------------------------------------ */

wl_err_t wl_move_db_map(wl_move_db_t *self, uint64_t *ret_version, uint8_t ret_map[WL_SLOTS]) {
    bool row = false;
    uint64_t version = 0;
    size_t bytes = 0;
    wl_err_t err =
        wl_mysql_query_text(self->link, "SELECT version, map FROM slot_map WHERE id = 1");
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    if (err == WL_OK && (!row || !wl_mysql_unsigned(self->link, 0, UINT64_MAX, &version))) {
        err = WL_ERR_DAMAGED;
    }
    const char *map = err == WL_OK ? wl_mysql_bytes(self->link, 1, &bytes) : NULL;
    if (err == WL_OK && version > 0 && (map == NULL || bytes != WL_SLOTS)) {
        err = WL_ERR_DAMAGED;
    }
    if (err == WL_OK && version > 0) {
        memcpy(ret_map, map, WL_SLOTS);
        *ret_version = version;
    }
    wl_mysql_done(self->link);
    return err == WL_OK && version == 0 ? WL_ERR_NOT_FOUND : err;
}

wl_err_t wl_move_db_map_put(wl_move_db_t *self, uint64_t version, const uint8_t map[WL_SLOTS]) {
    wl_sql_text_t *sql = sql_begin(self, "UPDATE slot_map SET map = IF(version < ");
    wl_sql_unsigned(sql, version);
    wl_sql_add(sql, ", ");
    wl_sql_bytes(sql, map, WL_SLOTS);
    wl_sql_add(sql, ", map), version = GREATEST(version, ");
    wl_sql_unsigned(sql, version);
    wl_sql_add(sql, ") WHERE id = 1");
    return sql_run(self);
}

/* ---- moves ----------------------------------------------------------------------------------- */

static wl_err_t tx_end(wl_move_db_t *self, wl_err_t err) {
    if (err == WL_OK) {
        err = wl_mysql_commit(self->link);
    }
    if (err != WL_OK) {
        wl_mysql_rollback(self->link);
    }
    return err;
}

/* Whoever else begins one waits here. */
static wl_err_t begin_lock(wl_move_db_t *self) {
    uint64_t version = 0;
    wl_err_t err = wl_mysql_begin(self->link);
    if (err == WL_OK) {
        (void)sql_begin(self, "SELECT version FROM slot_map WHERE id = 1 FOR UPDATE");
        err = number_query(self, &version);
    }
    return err;
}

static void sql_insert(wl_sql_text_t *sql, const wl_slot_move_t *move, uint64_t id,
                       uint64_t version) {
    const uint64_t numbers[] = {id,           version,           move->first,
                                move->last,   move->source,      move->target,
                                WL_MOVE_COPY, WL_MOVE_WISH_NONE, move->rate};
    wl_sql_add(sql, "INSERT INTO slot_move(" COLUMNS ", holder, held_until) VALUES (");
    for (size_t i = 0; i < WL_COUNT_OF(numbers); i++) {
        wl_sql_unsigned(sql, numbers[i]);
        wl_sql_add(sql, ", ");
    }
    wl_sql_add(sql, "0, 0, 0, 0, 0, 0, 0, 0, 0, " NOW ", 0, 0, 0, ");
    wl_sql_text(sql, move->asked_by);
    wl_sql_add(sql, ", ");
    wl_sql_text(sql, move->note);
    wl_sql_add(sql, ", '', 0)");
}

/* Under the lock. */
static wl_err_t begin_write(wl_move_db_t *self, const wl_slot_move_t *move, uint64_t *ret_id) {
    uint64_t open = 0;
    uint64_t id = 0;
    uint64_t version = 0;
    wl_sql_text_t *sql = sql_begin(self, "SELECT count(*) FROM slot_move WHERE state < ");
    wl_sql_unsigned(sql, ENDED);
    wl_err_t err = number_query(self, &open);
    if (err == WL_OK && open > 0) {
        return WL_ERR_CONFLICT;
    }
    if (err == WL_OK) {
        (void)sql_begin(self, "SELECT coalesce(max(id), 0) FROM slot_move");
        err = number_query(self, &id);
    }
    if (err == WL_OK) { /* the way back of a move has the version after its own */
        (void)sql_begin(self, "SELECT greatest(s.version, coalesce((SELECT max(version) + 1 FROM"
                              " slot_move), 0)) FROM slot_map s WHERE s.id = 1");
        err = number_query(self, &version);
    }
    if (err == WL_OK) {
        sql = sql_begin(self, "");
        sql_insert(sql, move, id + 1, version + 1);
        err = sql_run(self);
    }
    if (err == WL_OK && id > MOVES_KEPT) {
        sql = sql_begin(self, "DELETE FROM slot_move WHERE id <= ");
        wl_sql_unsigned(sql, id - MOVES_KEPT);
        err = sql_run(self);
    }
    *ret_id = id + 1;
    return err;
}

wl_err_t wl_move_db_begin(wl_move_db_t *self, const wl_slot_move_t *move, uint64_t *ret_id) {
    uint64_t id = 0;
    wl_err_t err = begin_lock(self);
    if (err == WL_OK) {
        err = begin_write(self, move, &id);
    }
    err = tx_end(self, err);
    if (err == WL_OK) {
        *ret_id = id;
    }
    return err;
}

/* "holder is us, or its hold has ended" */
static void sql_free(wl_move_db_t *self, wl_sql_text_t *sql) {
    wl_sql_add(sql, "(holder = ");
    wl_sql_text(sql, self->name);
    wl_sql_add(sql, " OR held_until <= " NOW ")");
}

wl_err_t wl_move_db_claim(wl_move_db_t *self, uint32_t hold_ms, wl_slot_move_t *ret) {
    uint32_t count = 0;
    wl_err_t err = wl_mysql_begin(self->link);
    if (err == WL_OK) {
        wl_sql_text_t *sql = sql_begin(self, "SELECT " COLUMNS " FROM slot_move WHERE state < ");
        wl_sql_unsigned(sql, ENDED);
        wl_sql_add(sql, " AND ");
        sql_free(self, sql);
        wl_sql_add(sql, " ORDER BY id LIMIT 1 FOR UPDATE");
        err = rows_query(self, ret, 1, &count);
    }
    if (err == WL_OK && count == 0) {
        err = WL_ERR_NOT_FOUND;
    }
    if (err == WL_OK) {
        ret->epoch++;
        wl_sql_text_t *sql = sql_begin(self, "UPDATE slot_move SET holder = ");
        wl_sql_text(sql, self->name);
        wl_sql_add(sql, ", held_until = " NOW " + ");
        wl_sql_unsigned(sql, hold_ms);
        wl_sql_add(sql, ", epoch = ");
        wl_sql_unsigned(sql, ret->epoch);
        wl_sql_add(sql, " WHERE id = ");
        wl_sql_unsigned(sql, ret->id);
        err = sql_run(self);
    }
    return tx_end(self, err);
}

static void sql_save(wl_sql_text_t *sql, const wl_slot_move_t *move) {
    const struct {
        const char *name;
        uint64_t value;
    } numbers[] = {{"version", move->version},   {"place", move->cursor},
                   {"users", move->users},       {"records", move->records},
                   {"followed", move->followed}, {"compared", move->compared},
                   {"mended", move->mended},     {"cleaned", move->cleaned}};
    const struct {
        const char *name;
        int64_t value;
    } times[] = {{"pause_ms", move->pause_ms},
                 {"fenced_at", move->fenced_at},
                 {"flipped_at", move->flipped_at},
                 {"ended_at", move->ended_at}};
    wl_sql_add(sql, "UPDATE slot_move SET state = ");
    wl_sql_unsigned(sql, move->state);
    for (size_t i = 0; i < WL_COUNT_OF(numbers); i++) {
        wl_sql_add(sql, ", ");
        wl_sql_add(sql, numbers[i].name);
        wl_sql_add(sql, " = ");
        wl_sql_unsigned(sql, numbers[i].value);
    }
    for (size_t i = 0; i < WL_COUNT_OF(times); i++) {
        wl_sql_add(sql, ", ");
        wl_sql_add(sql, times[i].name);
        wl_sql_add(sql, " = ");
        wl_sql_signed(sql, times[i].value);
    }
    wl_sql_add(sql, ", note = ");
    wl_sql_text(sql, move->note);
}

/* The row of ours, locked; *ret_wish: what stands there. */
static wl_err_t save_lock(wl_move_db_t *self, const wl_slot_move_t *move,
                          wl_move_wish_t *ret_wish) {
    wl_slot_move_t row;
    uint32_t count = 0;
    wl_sql_text_t *sql = sql_begin(self, "SELECT " COLUMNS " FROM slot_move WHERE holder = ");
    wl_sql_text(sql, self->name);
    wl_sql_add(sql, " AND id = ");
    wl_sql_unsigned(sql, move->id);
    wl_sql_add(sql, " AND epoch = ");
    wl_sql_unsigned(sql, move->epoch);
    wl_sql_add(sql, " FOR UPDATE");
    wl_err_t err = rows_query(self, &row, 1, &count);
    if (err == WL_OK) {
        err = count == 0 ? WL_ERR_CONFLICT : WL_OK;
        *ret_wish = count == 0 ? WL_MOVE_WISH_NONE : row.wish;
    }
    return err;
}

wl_err_t wl_move_db_save(wl_move_db_t *self, const wl_slot_move_t *move, uint32_t hold_ms,
                         wl_move_wish_t *ret_wish) {
    wl_err_t err = wl_mysql_begin(self->link);
    if (err == WL_OK) {
        err = save_lock(self, move, ret_wish);
    }
    if (err == WL_OK) {
        wl_sql_text_t *sql = sql_begin(self, "");
        sql_save(sql, move);
        wl_sql_add(sql, ", held_until = " NOW " + ");
        wl_sql_unsigned(sql, hold_ms);
        wl_sql_add(sql, " WHERE id = ");
        wl_sql_unsigned(sql, move->id);
        err = sql_run(self);
    }
    return tx_end(self, err);
}

wl_err_t wl_move_db_release(wl_move_db_t *self, uint64_t id) {
    wl_sql_text_t *sql = sql_begin(self, "UPDATE slot_move SET held_until = 0 WHERE id = ");
    wl_sql_unsigned(sql, id);
    wl_sql_add(sql, " AND holder = ");
    wl_sql_text(sql, self->name);
    return sql_run(self);
}

wl_err_t wl_move_db_wish(wl_move_db_t *self, uint64_t id, wl_move_wish_t wish) {
    wl_sql_text_t *sql = sql_begin(self, "UPDATE slot_move SET wish = ");
    wl_sql_unsigned(sql, wish);
    wl_sql_add(sql, " WHERE id = ");
    wl_sql_unsigned(sql, id);
    wl_sql_add(sql, " AND state < ");
    wl_sql_unsigned(sql, ENDED);
    wl_err_t err = sql_run(self);
    return err == WL_OK && wl_mysql_matched(self->link) != 1 ? WL_ERR_NOT_FOUND : err;
}

wl_err_t wl_move_db_list(wl_move_db_t *self, wl_slot_move_t *ret, uint32_t max,
                         uint32_t *ret_count) {
    wl_sql_text_t *sql =
        sql_begin(self, "SELECT " COLUMNS " FROM slot_move ORDER BY id DESC LIMIT ");
    wl_sql_unsigned(sql, max);
    return rows_query(self, ret, max, ret_count);
}
