/* A pair is one row in a table. What its next pull has to cover, its aim, stands in the row; when
 * the pull is taken the aim moves into a flight, so that adds that come meanwhile begin a new aim.
 * A pull that ends well drops the flight's aim; one that fails or gets lost merges it back:
 *
 *                  add                          add, while it flies: dirty
 *                   v                            v
 *      row:   [ aim: seq, refs, hints ]       [ aim ]      <--- merged back: lost; fail (no refs)
 *                   | take                                            |
 *      flight:      +----------------------> [ aim ] -----------------+---> dropped: done
 *
 * Lines are lanes with a number: lists of rows that wait, interactive and bulk, and of rows that
 * fly, in the order of the take. Sleepers lie in heaps of their lane. */
#include "domain/pending.h"

#include "base/alloc.h"
#include "base/check.h"
#include "domain/pending_rows.h"

#include <string.h>

enum {
    REFS_PER_KEY = 16,   /* entries that may name one pair before the queue has to hold them */
    INTERACTIVE_RUN = 7, /* then one of bulk: at least one of eight */
};

wl_pending_t *wl_pending_new(uint32_t keys_max) {
    wl_pending_t *self = wl_alloc_zero(1, sizeof *self);
    uint32_t refs_max = keys_max > UINT32_MAX / REFS_PER_KEY ? UINT32_MAX : keys_max * REFS_PER_KEY;
    self->keys_max = keys_max;
    self->names = wl_line_names_new();
    wl_aim_store_open(&self->aims, refs_max);
    self->row_pool = wl_pool_new(sizeof(row_t));
    self->flight_pool = wl_pool_new(sizeof(flight_t));
    return self;
}

uint64_t wl_pending_seq(const wl_pending_t *self) {
    return self->seq;
}

void wl_pending_count_from(wl_pending_t *self, uint64_t seq) {
    WL_ASSERT(seq >= self->seq);
    self->seq = seq;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static row_t *pending_find(const wl_pending_t *self, const char *line, uint64_t uid) {
    WL_ASSERT(self != NULL && line != NULL);
    uint8_t lane = 0;
    row_t *row = NULL;
    if (wl_line_names_find(self->names, line, &lane)) {
        row_key_t key = {.uid = uid, .lane = lane};
        HASH_FIND(hh, self->rows, &key, sizeof key, row);
    }
    return row;
}

static wl_err_t row_new(wl_pending_t *self, const char *line, uint64_t uid, row_t **ret_row) {
    if (HASH_COUNT(self->rows) >= self->keys_max) {
        return WL_ERR_FULL;
    }
    uint8_t lane = 0;
    wl_err_t err = wl_line_names_hold(self->names, line, &lane);
    if (err != WL_OK) {
        return err;
    }
    row_t *row = wl_pool_take(self->row_pool);
    row->key = (row_key_t){.uid = uid, .lane = lane};
    HASH_ADD(hh, self->rows, key, sizeof row->key, row);
    *ret_row = row;
    return WL_OK;
}

/* The row stands in no list and has no flight any more. */
static void row_forget(wl_pending_t *self, row_t *row) {
    WL_ASSERT(row->flight == NULL);
    wl_aim_end(&self->aims, &row->aim);
    HASH_DEL(self->rows, row);
    if (wl_line_names_drop(self->names, (uint8_t)row->key.lane)) {
        wl_due_heap_clear(&self->lanes[row->key.lane].sleeping);
        wl_due_heap_clear(&self->lanes[row->key.lane].held);
        self->lanes[row->key.lane] = (lane_t){0};
    }
    wl_pool_give(self->row_pool, row);
}

/* ---- adding --------------------------------------------------------------------------------- */

void wl_pending_entry(wl_pending_t *self, uint64_t entry_id, uint32_t changes) {
    wl_entry_ledger_announce(self->aims.ledger, entry_id, changes);
}

/* A row that was there before: moves it as far as this add makes it more urgent. */
static void row_urge(wl_pending_t *self, row_t *row, const wl_pending_add_t *add) {
    bool more = add->interactive && !row->interactive;
    switch ((row_state_t)row->state) {
    case ROW_WAITING:
        if (more) {
            row_leave(self, row);
            row->interactive = true;
            row_wait(self, row);
        }
        break;
    case ROW_FLYING:
        row->dirty = true;
        row->interactive = row->interactive || add->interactive;
        break;
    case ROW_SLEEPING:
        if (add->interactive && add->due.ms <= 0) {
            row_leave(self, row);
            row->interactive = true;
            row_wait(self, row);
        }
        break;
    }
}

wl_err_t wl_pending_add(wl_pending_t *self, const wl_pending_add_t *add, uint64_t *ret_seq,
                        bool *ret_merged) {
    WL_ASSERT(self != NULL && add != NULL && add->line != NULL && add->bucket != NULL);
    WL_ASSERT(ret_seq != NULL && ret_merged != NULL);
    if (add->entry_id != 0 && wl_entry_ledger_full(self->aims.ledger)) {
        return WL_ERR_FULL;
    }
    row_t *row = pending_find(self, add->line, add->uid);
    bool known = row != NULL;
    wl_err_t err = known ? WL_OK : row_new(self, add->line, add->uid, &row);
    if (err != WL_OK) {
        return err;
    }
    err = wl_entry_ledger_attach(self->aims.ledger, add->entry_id, &row->aim.refs);
    WL_ASSERT(err == WL_OK); /* looked at above */
    row->aim.seq = ++self->seq;
    row->attempts = add->attempt > row->attempts ? add->attempt : row->attempts;
    wl_aim_notified(&row->aim, add->notified_at);
    if (add->version > 0) {
        wl_aim_raise(&self->aims, &row->aim, add->bucket, add->version);
    }
    *ret_seq = self->seq;
    *ret_merged = known && (row->state != ROW_FLYING || row->dirty);
    if (known) {
        row_urge(self, row, add);
        return WL_OK;
    }
    row->interactive = add->interactive;
    if (add->due.ms > 0) {
        row_sleep(self, row, add->due, add->attempt > 0);
    } else {
        row_wait(self, row);
    }
    return WL_OK;
}

/* ---- pulling -------------------------------------------------------------------------------- */

static row_t *lane_next(lane_t *lane) {
    if (lane->interactive == NULL || (lane->bulk != NULL && lane->run >= INTERACTIVE_RUN)) {
        lane->run = 0;
        return lane->bulk;
    }
    lane->run++;
    return lane->interactive;
}

static void pull_fill(wl_pending_pull_t *pull, const row_t *row) {
    const flight_t *flight = row->flight;
    *pull = (wl_pending_pull_t){
        .uid = row->key.uid,
        .seq = flight->aim.seq,
        .attempt = row->attempts,
        .interactive = flight->interactive,
        .notified_at = flight->aim.notified,
    };
    for (const wl_aim_hint_t *hint = flight->aim.hints; hint != NULL; hint = hint->next) {
        WL_ASSERT(pull->hint_count < WL_HINTS_MAX);
        wl_pending_hint_t *told = &pull->hints[pull->hint_count++];
        memcpy(told->bucket, hint->bucket, sizeof told->bucket);
        told->version = hint->version;
    }
}

static void row_fly(wl_pending_t *self, row_t *row, wl_mono_ms_t now) {
    lane_t *lane = &self->lanes[row->key.lane];
    row_leave(self, row);
    row->flight = wl_pool_take(self->flight_pool);
    *row->flight = (flight_t){.aim = row->aim, .taken = now, .interactive = row->interactive};
    row->aim = (wl_aim_t){0};
    row->interactive = false;
    row->dirty = false;
    row->state = ROW_FLYING;
    DL_APPEND(lane->flying, row);
    lane->flying_count++;
}

bool wl_pending_fly(wl_pending_t *self, const char *line, uint64_t uid, wl_mono_ms_t now,
                    wl_pending_pull_t *ret_pull) {
    row_t *row = pending_find(self, line, uid);
    if (row == NULL || row->state != ROW_WAITING) {
        return false;
    }
    row_fly(self, row, now);
    pull_fill(ret_pull, row);
    return true;
}

size_t wl_pending_take(wl_pending_t *self, const char *line, size_t max, wl_mono_ms_t now,
                       wl_pending_pull_t *ret_pulls) {
    WL_ASSERT(self != NULL && line != NULL && (ret_pulls != NULL || max == 0));
    uint8_t number = 0;
    if (!wl_line_names_find(self->names, line, &number)) {
        return 0;
    }
    lane_t *lane = &self->lanes[number];
    size_t count = 0;
    for (; count < max && lane->waiting_count > 0; count++) {
        row_t *row = lane_next(lane);
        row_fly(self, row, now);
        pull_fill(&ret_pulls[count], row);
    }
    return count;
}

static const lane_t *pending_lane(const wl_pending_t *self, const char *line) {
    uint8_t number = 0;
    return wl_line_names_find(self->names, line, &number) ? &self->lanes[number] : NULL;
}

size_t wl_pending_waiting(const wl_pending_t *self, const char *line) {
    const lane_t *lane = pending_lane(self, line);
    return lane == NULL ? 0 : lane->waiting_count;
}

size_t wl_pending_flying(const wl_pending_t *self, const char *line) {
    const lane_t *lane = pending_lane(self, line);
    return lane == NULL ? 0 : lane->flying_count;
}

/* ---- the end of a pull ---------------------------------------------------------------------- */

/* The row whose flight has this seq, NULL otherwise. */
static row_t *pending_find_flight(const wl_pending_t *self, const char *line, uint64_t uid,
                                  uint64_t seq) {
    row_t *row = pending_find(self, line, uid);
    bool flies = row != NULL && row->flight != NULL && row->flight->aim.seq == seq;
    return flies ? row : NULL;
}

static void row_land(wl_pending_t *self, row_t *row) {
    row_leave(self, row);
    WL_ASSERT(row->flight->aim.refs == NULL && row->flight->aim.hints == NULL);
    wl_pool_give(self->flight_pool, row->flight);
    row->flight = NULL;
}

/* Nothing of the flight is left to do: what came meanwhile begins anew. */
static void row_settle(wl_pending_t *self, row_t *row) {
    wl_aim_end(&self->aims, &row->flight->aim);
    row_land(self, row);
    if (row->dirty) {
        row->dirty = false;
        row->attempts = 0;
        row_wait(self, row);
    } else {
        row_forget(self, row);
    }
}

bool wl_pending_done(wl_pending_t *self, const char *line, uint64_t uid, uint64_t seq) {
    row_t *row = pending_find_flight(self, line, uid, seq);
    if (row == NULL) {
        return false;
    }
    row_settle(self, row);
    return true;
}

bool wl_pending_fail(wl_pending_t *self, const char *line, uint64_t uid, uint64_t seq,
                     wl_mono_ms_t due, bool give_up, uint32_t *ret_attempts) {
    row_t *row = pending_find_flight(self, line, uid, seq);
    if (row == NULL) {
        return false;
    }
    row->attempts += row->attempts < UINT32_MAX ? 1 : 0;
    if (ret_attempts != NULL) {
        *ret_attempts = row->attempts;
    }
    if (give_up) {
        row_settle(self, row);
        return true;
    }
    wl_entry_ledger_end(self->aims.ledger, &row->flight->aim.refs);
    wl_aim_merge(&self->aims, &row->aim, &row->flight->aim);
    row_land(self, row);
    row->dirty = false;
    if (row->interactive) {
        row_wait(self, row);
    } else {
        row_sleep(self, row, due, true);
    }
    return true;
}

static void row_drop(wl_pending_t *self, row_t *row) {
    if (row->flight != NULL) {
        row->dirty = false;
        row_settle(self, row);
    } else {
        row_leave(self, row);
        row_forget(self, row);
    }
}

bool wl_pending_drop(wl_pending_t *self, const char *line, uint64_t uid) {
    row_t *row = pending_find(self, line, uid);
    if (row != NULL) {
        row_drop(self, row);
    }
    return row != NULL;
}

bool wl_pending_flight(const wl_pending_t *self, const char *line, uint64_t uid, uint64_t seq,
                       wl_pending_pull_t *ret_pull) {
    const row_t *row = pending_find_flight(self, line, uid, seq);
    if (row != NULL) {
        pull_fill(ret_pull, row);
    }
    return row != NULL;
}

/* The flight is over and nothing came of it: all it was to cover is still to do. */
static void row_return(wl_pending_t *self, row_t *row, wl_mono_ms_t due) {
    wl_aim_merge(&self->aims, &row->aim, &row->flight->aim);
    row->interactive = row->interactive || row->flight->interactive;
    row_land(self, row);
    row->dirty = false;
    if (due.ms > 0) {
        row_sleep(self, row, due, false);
    } else {
        row_wait(self, row);
    }
}

bool wl_pending_hold(wl_pending_t *self, const char *line, uint64_t uid, uint64_t seq,
                     wl_mono_ms_t due) {
    row_t *row = pending_find_flight(self, line, uid, seq);
    if (row != NULL) {
        row_return(self, row, due);
    }
    return row != NULL;
}

size_t wl_pending_lost(wl_pending_t *self, const char *line, wl_mono_ms_t before) {
    WL_ASSERT(self != NULL && line != NULL);
    uint8_t number = 0;
    if (!wl_line_names_find(self->names, line, &number)) {
        return 0;
    }
    const lane_t *lane = &self->lanes[number];
    size_t count = 0;
    for (; count < WL_PENDING_LOST_MAX && lane->flying != NULL &&
           lane->flying->flight->taken.ms < before.ms;
         count++) {
        row_return(self, lane->flying, (wl_mono_ms_t){0});
    }
    return count;
}

/* ---- time, acknowledgements, looking in ----------------------------------------------------- */

static row_t *row_of_due(wl_due_t *due) {
    return (row_t *)(void *)((char *)due - offsetof(row_t, due));
}

static void row_rise(wl_pending_t *self, wl_due_t *due) {
    row_leave(self, row_of_due(due));
    row_wait(self, row_of_due(due));
}

/* The sleeper of a lane that is due first, NULL = nobody sleeps. */
static wl_due_t *lane_soonest(const lane_t *lane) {
    wl_due_t *held = wl_due_heap_first(&lane->held);
    wl_due_t *failed = wl_due_heap_first(&lane->sleeping);
    return failed == NULL || (held != NULL && held->at.ms < failed->at.ms) ? held : failed;
}

size_t wl_pending_wake(wl_pending_t *self, wl_mono_ms_t now, wl_mono_ms_t *ret_next) {
    WL_ASSERT(self != NULL && ret_next != NULL);
    size_t count = 0;
    ret_next->ms = INT64_MAX;
    for (size_t i = 0; i < WL_LINE_NAMES_MAX && self->sleeping_count > 0; i++) {
        wl_due_t *due = lane_soonest(&self->lanes[i]);
        for (; due != NULL && due->at.ms <= now.ms && count < WL_PENDING_WAKE_MAX; count++) {
            row_rise(self, due);
            due = lane_soonest(&self->lanes[i]);
        }
        if (due != NULL && due->at.ms < ret_next->ms) {
            *ret_next = due->at;
        }
    }
    return count;
}

size_t wl_pending_rouse(wl_pending_t *self, const char *line, size_t max) {
    WL_ASSERT(self != NULL && line != NULL);
    uint8_t lane = 0;
    size_t count = 0;
    if (wl_line_names_find(self->names, line, &lane)) {
        wl_due_heap_t *failed = &self->lanes[lane].sleeping;
        for (; count < max && wl_due_heap_first(failed) != NULL; count++) {
            row_rise(self, wl_due_heap_first(failed));
        }
    }
    return count;
}

size_t wl_pending_released(wl_pending_t *self, uint64_t *ret_ids, size_t max) {
    return wl_entry_ledger_released(self->aims.ledger, ret_ids, max);
}

wl_pending_stats_t wl_pending_stats(const wl_pending_t *self) {
    return (wl_pending_stats_t){
        .keys = HASH_COUNT(self->rows),
        .waiting = self->waiting_count,
        .flying = wl_pool_out(self->flight_pool),
        .sleeping = self->sleeping_count,
        .entries = wl_entry_ledger_entries(self->aims.ledger),
    };
}

uint64_t wl_pending_asleep(const wl_pending_t *self, const char *line, uint64_t uid) {
    const row_t *row = pending_find(self, line, uid);
    return row == NULL || row->state != ROW_SLEEPING ? 0 : row->aim.seq;
}

const char *wl_pending_state(const wl_pending_t *self, const char *line, uint64_t uid) {
    const row_t *row = pending_find(self, line, uid);
    const char *const names[] = {"waiting", row != NULL && row->dirty ? "dirty" : "flying",
                                 "sleeping"};
    return row == NULL ? "none" : names[row->state];
}

void wl_pending_destroy(wl_pending_t **self_at) {
    if (self_at == NULL || *self_at == NULL) {
        return;
    }
    wl_pending_t *self = *self_at;
    row_t *row = NULL;
    row_t *next = NULL;
    HASH_ITER(hh, self->rows, row, next) {
        row_drop(self, row);
    }
    wl_aim_store_close(&self->aims);
    wl_line_names_destroy(&self->names);
    wl_pool_destroy(&self->flight_pool);
    wl_pool_destroy(&self->row_pool);
    wl_free(self);
    *self_at = NULL;
}
