/* One step of a comparison: a few thousand users of one shard, or of a cache's, from reading to
 * what is written down at its end. */
#include "actors/hub_map.h"
#include "actors/reconciler_state.h"

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE_ROWS = 2000,  /* of one read: more than one user can have */
    READ_MS = 20,      /* then messages are looked at */
    VERIFY_MS = 10000, /* a repair that is not seen by then is left */
    VERIFY_EVERY_MS = 50,
    RUN_WRITES_MS = 500,     /* between two places that are written down */
    ROUND_WRITES_MS = 20000, /* less than a claim lasts */
    FETCH_USERS = 256,
};

static_assert(PAGE_ROWS > 4 * WL_USER_ASSETS_MAX, "a page holds a whole user");

/* ---- reading a shard ------------------------------------------------------------------------- */

void wl_reconciler_step_begin(wl_reconciler_t *self) {
    self->sums = self->saved;
    self->after = self->part.after;
    self->phase = self->part.phase;
    self->ended = false;
    self->step_users = 0;
    self->step_rows = self->saved.rows;
    self->step_begun = wl_mono_now().ms;
    self->suspect_count = 0;
    self->found_count = 0;
    self->found_over = false;
    wl_asset_rows_clear(&self->restores);
    wl_reconciler_ask_forget(self);
    self->state = WL_STEP_READ;
}

static uint32_t step_size(const wl_reconciler_t *self) {
    return self->run.rolling ? WL_RECONCILE_ROUND_USERS : WL_RECONCILE_RUN_USERS;
}

void wl_reconciler_suspect(wl_reconciler_t *self, uint64_t uid) {
    if (self->suspect_count < 2 * WL_RECONCILE_RUN_USERS) {
        self->suspects[self->suspect_count++] = uid;
    }
}

/* All records of one user: counted, and asked about. */
static void user_compare(wl_reconciler_t *self, const wl_asset_t *rows, uint32_t count,
                         int64_t now) {
    uint64_t uid = rows[0].uid;
    bool owns = false;
    for (uint32_t i = 0; i < count; i++) {
        wl_compare_sums_row(&self->sums, &rows[i], now);
        owns = owns || (rows[i].state != WL_STATE_GONE && !wl_asset_is_consent(&rows[i]));
    }
    wl_compare_sums_user(&self->sums, uid);
    wl_reconciler_ask_copy(self, uid, wl_compare_digest(rows, count));
    if (owns) {
        self->sums.checked++;
        wl_reconciler_ask_bit(self, uid, false);
    }
    self->after = uid;
    self->step_users++;
    if (self->read != NULL) {
        wl_presence_set_mark(self->read, uid);
        if (wl_presence_set_members(self->read) > WL_RECONCILE_READ_MAX) {
            wl_presence_set_destroy(&self->read);
        }
    }
}

/* The users of a page whose records are all there; the last one may go on in the next. */
static void page_compare(wl_reconciler_t *self, bool last) {
    int64_t now = wl_wall_now().ms;
    uint32_t first = 0;
    while (first < self->rows.count && self->step_users < step_size(self)) {
        uint32_t end = first + 1;
        while (end < self->rows.count && self->rows.at[end].uid == self->rows.at[first].uid) {
            end++;
        }
        if (end == self->rows.count && !last) {
            return;
        }
        uint64_t uid = self->rows.at[first].uid;
        if (wl_hub_shard(&self->hub, uid) == self->part.shard) {
            user_compare(self, self->rows.at + first, end - first, now);
        } else { /* its slot is moving here, or has moved away */
            self->after = uid;
            self->step_users++;
        }
        first = end;
    }
    self->ended = last && first == self->rows.count;
}

/* One page of users after self->after. */
static wl_err_t page_read(wl_reconciler_t *self) {
    wl_asset_db_t *db = wl_reconciler_db(self, self->part.shard);
    if (db == NULL) {
        return WL_ERR_UNAVAILABLE;
    }
    /* '~' is behind every line: all of this user's records were seen */
    wl_asset_cursor_t cursor = {.started = self->after != 0, .uid = self->after, .line = "~"};
    wl_asset_rows_clear(&self->rows);
    wl_err_t err = wl_asset_db_scan(db, &cursor, PAGE_ROWS, &self->rows);
    if (err == WL_OK) {
        err = wl_hub_map_holds(&self->hub, db);
    }
    if (err == WL_OK) {
        WL_COUNT(&self->hub.counters, reconcile_rows, self->rows.count);
        page_compare(self, self->rows.count < PAGE_ROWS);
    }
    return err;
}

static void step_read_done(wl_reconciler_t *self) {
    wl_reconciler_ask_flush(self, false);
    if (self->state == WL_STEP_READ) { /* it has not failed */
        self->state = WL_STEP_FIRST;
    }
}

static void step_read(wl_reconciler_t *self) {
    int64_t until = wl_mono_now().ms + READ_MS;
    wl_err_t err = WL_OK;
    if (wl_reconciler_from_cache(self)) {
        if (self->phase >= wl_hub_instances(&self->hub, WL_ACTOR_CACHE)) { /* fewer than it had */
            self->ended = true;
            step_read_done(self);
        } else if (self->ticket_count == 0) {
            wl_reconciler_ask_cached(self, self->phase, self->after);
        }
        return;
    }
    do {
        err = page_read(self);
    } while (err == WL_OK && !self->ended && self->step_users < step_size(self) &&
             self->state == WL_STEP_READ && wl_mono_now().ms < until);
    if (err != WL_OK) {
        wl_reconciler_fail(self, "a shard could not be read", err);
    } else if (self->ended || self->step_users >= step_size(self)) {
        step_read_done(self);
    }
}

/* ---- reading from the caches' side ----------------------------------------------------------- */

static int uid_compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static uint32_t uids_sort(uint64_t *uids, uint32_t count) {
    uint32_t kept = 0;
    qsort(uids, count, sizeof *uids, uid_compare);
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || uids[kept - 1] != uids[i]) {
            uids[kept++] = uids[i];
        }
    }
    return kept;
}

/* Users of one shard, ascending: their digests are asked about. */
static wl_err_t cached_read(wl_reconciler_t *self, uint32_t shard, const uint64_t *uids,
                            uint32_t count) {
    wl_asset_db_t *db = wl_reconciler_db(self, shard);
    uint64_t commit_seq = 0;
    if (db == NULL) {
        return WL_ERR_UNAVAILABLE;
    }
    wl_asset_rows_clear(&self->rows);
    wl_err_t err = wl_asset_db_fetch_many(db, uids, count, &self->rows, &commit_seq);
    uint32_t at = 0;
    for (uint32_t i = 0; err == WL_OK && i < count; i++) {
        uint32_t end = at;
        while (end < self->rows.count && self->rows.at[end].uid == uids[i]) {
            end++;
        }
        wl_compare_sums_user(&self->sums, uids[i]);
        wl_reconciler_ask_copy(self, uids[i], wl_compare_digest(self->rows.at + at, end - at));
        at = end;
    }
    return err;
}

void wl_reconciler_take_cached(wl_reconciler_t *self, const wl_msg_t *msg) {
    uint64_t uids[FETCH_USERS];
    const wl_cached_head_t *head = &msg->head.cached;
    wl_err_t err = (wl_err_t)head->error;
    bool whole = self->read != NULL && self->read_parts + 1 == self->run.shards;
    uint64_t asked = 0;
    if (self->state != WL_STEP_READ) {
        return;
    }
    for (uint32_t i = 0; i < msg->count && err == WL_OK; i++) {
        const wl_u64_list_t *told = &msg->items.cached[i].uids;
        for (uint32_t shard = 0; err == WL_OK && shard < self->run.shards - 1; shard++) {
            uint32_t at = 0;
            while (err == WL_OK && at < told->count) {
                uint32_t count = 0;
                for (; at < told->count && count < FETCH_USERS; at++) {
                    bool read = whole && wl_presence_set_test(self->read, told->at[at]);
                    if (!read && wl_hub_shard(&self->hub, told->at[at]) == shard) {
                        uids[count++] = told->at[at];
                        asked++;
                    }
                }
                count = uids_sort(uids, count);
                err = count == 0 ? WL_OK : cached_read(self, shard, uids, count);
            }
        }
    }
    if (err != WL_OK) {
        wl_reconciler_fail(self, "users of a cache could not be read", err);
        return;
    }
    self->after = head->after;
    if (head->after == 0) {
        self->phase++;
        self->ended = self->phase >= wl_hub_instances(&self->hub, WL_ACTOR_CACHE);
    } else if (self->ticket_count == 0 && asked == 0) {
        return; /* nobody to look at in this piece of a large table: the next one */
    }
    step_read_done(self);
}

/* ---- close looks ----------------------------------------------------------------------------- */

static void look_begin(wl_reconciler_t *self, wl_step_state_t state) {
    self->state = state;
    self->looked = 0;
    self->chunk = 0;
    for (uint32_t i = 0; i < self->found_count; i++) {
        self->found[i].again = false;
    }
}

/* Asks for the next users. false: all have been looked at. */
static bool look_next(wl_reconciler_t *self) {
    self->looked += self->chunk;
    self->chunk = 0;
    if (self->looked == self->suspect_count) {
        return false;
    }
    wl_err_t err = wl_reconciler_look(self);
    if (err != WL_OK) {
        wl_reconciler_fail(self, "a shard could not be read", err);
    }
    return true;
}

/* What the look has not seen again goes; in `suspects` only users with something found stay. */
static void found_keep_again(wl_reconciler_t *self) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < self->found_count; i++) {
        if (self->found[i].again) {
            self->found[kept++] = self->found[i];
        }
    }
    self->found_count = kept;
}

static int found_compare(const void *a, const void *b) {
    const wl_difference_t *left = &((const wl_found_again_t *)a)->difference;
    const wl_difference_t *right = &((const wl_found_again_t *)b)->difference;
    if (left->uid != right->uid) {
        return left->uid < right->uid ? -1 : 1;
    }
    return (left->repair > right->repair) - (left->repair < right->repair);
}

static void suspects_from_found(wl_reconciler_t *self) {
    uint32_t before = self->suspect_count;
    self->suspect_count = 0;
    qsort(self->found, self->found_count, sizeof *self->found, found_compare);
    for (uint32_t i = 0; i < self->found_count; i++) {
        uint64_t uid = self->found[i].difference.uid;
        if (i == 0 || self->found[i - 1].difference.uid != uid) {
            self->suspects[self->suspect_count++] = uid;
        }
    }
    if (self->state == WL_STEP_THIRD) {
        self->sums.moving += before - self->suspect_count;
    }
}

/* ---- what was found -------------------------------------------------------------------------- */

static uint32_t given_fill(wl_reconciler_t *self, bool again_only) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->found_count; i++) {
        if (!again_only || self->found[i].again) {
            self->given[count++] = self->found[i].difference;
        }
    }
    return count;
}

/* Where nothing was found the place need not be written down each time: what a crash then loses is
 * looked at again, with the same outcome. A round of 200 M users has 780,000 steps. */
static bool step_kept(wl_reconciler_t *self, wl_report_state_t state) {
    int64_t now = wl_mono_now().ms;
    int64_t every = self->run.rolling ? ROUND_WRITES_MS : RUN_WRITES_MS;
    if (state != WL_REPORT_OPEN || self->found_count > 0 || now - self->written_at >= every) {
        self->written_at = now;
        return false;
    }
    return true;
}

/* The step's end: left are those in `given`. */
static void step_end(wl_reconciler_t *self, wl_report_state_t state, uint32_t left,
                     const char *note) {
    wl_report_part_t part = self->part;
    self->sums.worked_ms += (uint64_t)(wl_mono_now().ms - self->step_begun);
    msgpack_sbuffer_clear(&self->body);
    wl_compare_sums_pack(&self->sums, &self->body);
    part.body = (uint8_t *)self->body.data;
    part.body_bytes = (uint32_t)self->body.size;
    part.after = self->after;
    part.phase = self->phase;
    part.state = state;
    wl_err_t err = WL_OK;
    if (!step_kept(self, state)) {
        err = wl_report_db_step(self->reports, &part, wl_reconciler_hold_ms(self), self->given,
                                left, note);
    }
    if (err == WL_ERR_CONFLICT) {
        wl_reconciler_lose(self);
        return;
    }
    if (err != WL_OK) {
        wl_reconciler_fail(self, "a step could not be written down", err);
        return;
    }
    WL_COUNT(&self->hub.counters, reconcile_users, self->step_users);
    WL_COUNT(&self->hub.counters, reconcile_found, self->found_count);
    WL_COUNT(&self->hub.counters, reconcile_left, left);
    WL_COUNT(&self->hub.counters, reconcile_repaired, self->found_count - left);
    self->failures = 0;
    self->saved = self->sums;
    self->part.after = part.after;
    self->part.phase = part.phase;
    self->part.state = state;
    self->found_count = 0;
    if (state != WL_REPORT_OPEN) {
        wl_reconciler_ended(self);
    } else {
        self->state = WL_STEP_PAUSE;
    }
}

static void step_end_well(wl_reconciler_t *self, uint32_t left) {
    step_end(self, self->ended ? WL_REPORT_DONE : WL_REPORT_OPEN, left, NULL);
}

/* Too much differs: all of it is written down, and left. */
static void step_end_capped(wl_reconciler_t *self, int slot) {
    char note[200];
    uint64_t found = 0;
    uint64_t users = 0;
    for (uint32_t i = 0; i < WL_SLOTS; i++) {
        if (slot < 0 || (uint32_t)slot == i) {
            found += self->sums.slot_found[i];
            users += self->sums.slot_users[i];
        }
    }
    char where[32] = "together";
    if (slot >= 0) {
        (void)snprintf(where, sizeof where, "in slot %d", slot);
    }
    (void)snprintf(note, sizeof note,
                   "%" PRIu64 " of %" PRIu64 " users differ %s, more than %u.%u %%: nothing more "
                   "is repaired",
                   found, users, where, self->run.cap_permille / 10, self->run.cap_permille % 10);
    if (self->found_over) {
        (void)snprintf(note, sizeof note, "more than %d differences among %u users",
                       WL_REPORT_STEP_DIFFERENCES, self->step_users);
    }
    wl_log(WL_LOG_ERROR, self->hub.name, "reconcile_capped", "run %" PRIu64 ", part %u: %s",
           self->run.id, self->part.shard, note);
    WL_COUNT(&self->hub.counters, reconcile_capped, 1);
    uint64_t run = self->run.id;
    step_end(self, WL_REPORT_CAPPED, given_fill(self, false), note);
    wl_err_t err = wl_report_db_stop(self->reports, run, note); /* its other parts, too */
    if (err != WL_OK && err != WL_ERR_NOT_FOUND && err != WL_ERR_CONFLICT) {
        wl_log(WL_LOG_WARN, self->hub.name, "reconcile_not_stopped",
               "other parts of run %" PRIu64 " may go on: %s", run, wl_err_text(err));
    }
}

/* The third look has ended: what is left of `found` are differences. */
static void step_judge(wl_reconciler_t *self) {
    int slot = -1;
    bool marks = false;
    found_keep_again(self);
    suspects_from_found(self);
    if (self->found_count == 0) {
        step_end_well(self, 0);
        return;
    }
    wl_reconciler_tell_found(self);
    uint32_t count = given_fill(self, false);
    wl_err_t err = wl_report_db_found(self->reports, self->run.id, self->part.shard,
                                      wl_reconciler_hold_ms(self), self->given, count);
    if (err == WL_ERR_CONFLICT) {
        wl_reconciler_lose(self);
    } else if (err != WL_OK) {
        wl_reconciler_fail(self, "differences could not be written down", err);
    } else if (self->found_over || wl_compare_capped(&self->sums, self->run.cap_permille, &slot)) {
        step_end_capped(self, slot);
    } else if (self->run.dry_run) {
        step_end_well(self, count);
    } else {
        self->state = WL_STEP_MARK;
        err = wl_reconciler_repair(self, &marks);
        self->verify_until = wl_mono_now().ms + VERIFY_MS;
        if (err != WL_OK) {
            wl_reconciler_fail(self, "a repair could not be begun", err);
        }
    }
}

/* A look at what was repaired has ended. */
static void step_verified(wl_reconciler_t *self) {
    uint32_t left = given_fill(self, true);
    int64_t now = wl_mono_now().ms;
    if (left > 0 && now < self->verify_until) {
        wl_reconciler_drop_again(self);
        look_begin(self, WL_STEP_VERIFY);
        self->not_before = now + VERIFY_EVERY_MS;
        return;
    }
    if (left > 0) {
        wl_log(WL_LOG_WARN, self->hub.name, "reconcile_left",
               "run %" PRIu64 ", part %u: %u differences are still there after their repair",
               self->run.id, self->part.shard, left);
    }
    step_end_well(self, left);
}

/* ---- driving --------------------------------------------------------------------------------- */

static void first_ended(wl_reconciler_t *self) {
    if (self->suspect_count == 0) {
        step_end_well(self, 0);
        return;
    }
    self->suspect_count = uids_sort(self->suspects, self->suspect_count);
    look_begin(self, WL_STEP_SECOND);
}

static void second_ended(wl_reconciler_t *self) {
    uint32_t before = self->suspect_count;
    suspects_from_found(self);
    self->sums.moving += before - self->suspect_count;
    if (self->found_count == 0) {
        step_end_well(self, 0);
        return;
    }
    self->not_before = wl_mono_now().ms + (int64_t)self->hub.settings->reconcile_confirm_ms;
    self->state = WL_STEP_RIPEN;
}

/* Nothing is waited for: what comes next? */
static void step_next(wl_reconciler_t *self) {
    switch (self->state) {
    case WL_STEP_NONE:
    case WL_STEP_PAUSE: break;
    case WL_STEP_READ: step_read(self); break;
    case WL_STEP_FIRST: first_ended(self); break;
    case WL_STEP_SECOND:
        if (!look_next(self)) {
            second_ended(self);
        }
        break;
    case WL_STEP_RIPEN: look_begin(self, WL_STEP_THIRD); break;
    case WL_STEP_THIRD:
        if (!look_next(self)) {
            step_judge(self);
        }
        break;
    case WL_STEP_MARK: look_begin(self, WL_STEP_VERIFY); break;
    case WL_STEP_VERIFY:
        if (!look_next(self)) {
            step_verified(self);
        }
        break;
    }
}

void wl_reconciler_go(wl_reconciler_t *self) {
    int64_t until = wl_mono_now().ms + READ_MS;
    int64_t now = until - READ_MS;
    while (self->state != WL_STEP_NONE && self->state != WL_STEP_PAUSE && now >= self->not_before &&
           now < until) {
        if (self->ticket_count > 0 && now >= self->patience) {
            wl_reconciler_fail(self, "an actor has not answered", WL_ERR_DEADLINE);
            return;
        }
        if (self->ticket_count > 0) { /* one question to each at a time: reads come between them */
            return;
        }
        step_next(self);
        now = wl_mono_now().ms;
    }
}
