/* Entries are read in the order of their ids, behind a cursor. Nothing is removed here: an entry
 * stays in the queue until dispatcher_settle.c acknowledges it, and after a restart reading begins
 * at the first one again.
 *
 * A line that takes nothing (paused, failing, slow) must not fill the memory of all: when a quarter
 * of keys_max waits for it, its entries are passed over. The lane remembers the first one, and once
 * it has room reads again from there, looking only at its own:
 *
 *     ids    1   2   3   4   5   6   7   8
 *     line   a   b   b   a   b   a   b   .
 *                ^behind_after of b = 2      ^cursor        (3, 5, 7 were passed over)
 */
#include "actors/dispatcher_state.h"

#include "actors/line_flow.h"
#include "base/check.h"
#include "base/log.h"
#include "domain/asset_rules.h"
#include "store/queue_dead.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    READ_ENTRIES = 256,       /* of one read of the store */
    DEAD_MARKED_MAX = 100000, /* newest dead letters marked at start; older ones lose the label */
    TURN_MS = 50,             /* longest turn of reading */
    TURN_CHANGES = 8192,      /* of one turn, so that messages are taken in between */
    TURN_MERGED_TOLD = 256,   /* merged notifications of a turn that the trail is told */
    DIRECT_FLYING_MAX = 4096, /* payloads on their way to shards; more are pulled in turn */
};

/* ---- adding pairs ---------------------------------------------------------------------------- */

/* WL_ERR_FULL: the entry has to wait. *ret_merged: a pull that covers it was due, and its notice
 * was given then. */
static wl_err_t read_add(wl_dispatcher_t *self, const wl_pending_add_t *add, uint64_t *ret_seq,
                         bool *ret_merged) {
    wl_err_t err = wl_pending_add(self->pending, add, ret_seq, ret_merged);
    if (err == WL_OK) {
        WL_COUNT(&self->hub.counters, queue_merged, *ret_merged);
        self->turn_changes++;
    }
    return err;
}

/* Of a flood of notifications that change nothing, as the pull that covers them is due, a few in
 * each turn are told. */
static void trail_tell(wl_dispatcher_t *self, wl_trail_what_t what, const wl_pending_add_t *add,
                       bool merged) {
    self->turn_merged += merged;
    if (merged && self->turn_merged > TURN_MERGED_TOLD) {
        wl_trail_skip(&self->trail);
        return;
    }
    wl_trail_tell(&self->trail, &(wl_trail_event_t){.uid = add->uid,
                                                    .at = self->turn_wall,
                                                    .what = what,
                                                    .line = add->line,
                                                    .bucket = add->bucket,
                                                    .version = add->version,
                                                    .notified_at = add->notified_at.ms});
}

/* Where to go on in an entry: announces it unless a part of it was added before. */
static uint32_t entry_resume(wl_dispatcher_t *self, wl_lane_t *lane, const wl_queue_entry_t *entry,
                             uint32_t pairs) {
    if (lane->stuck_id == entry->id) {
        lane->stuck_id = 0;
        return lane->stuck_at;
    }
    wl_pending_entry(self->pending, entry->id, pairs);
    return 0;
}

/* A lane has at most one such entry: while it is stuck no later one of the lane is read. */
static bool entry_stuck(wl_dispatcher_t *self, wl_lane_t *lane, const wl_queue_entry_t *entry,
                        uint32_t at) {
    lane->stuck_id = entry->id;
    lane->stuck_at = at;
    self->stop = true;
    return false;
}

/* It will never be understood: kept as a dead letter with its bytes. */
static void entry_damaged(wl_dispatcher_t *self, const wl_queue_entry_t *entry,
                          const char *reason) {
    wl_dead_letter_t letter = {
        .at = wl_wall_now().ms, .body = entry->body, .body_bytes = entry->body_bytes};
    memcpy(letter.line, entry->line, sizeof letter.line);
    letter.failure = WL_FAILURE_UNDECODABLE;
    (void)snprintf(letter.reason, sizeof letter.reason, "%s", reason);
    wl_settlement_dead(self->settlement, &letter, NULL);
    wl_settlement_ack(self->settlement, entry->id);
    WL_COUNT(&self->hub.counters, queue_damaged, 1);
    WL_COUNT(&self->hub.counters, queue_dead, 1);
    wl_log(WL_LOG_ERROR, self->hub.name, "entry_damaged", "entry %" PRIu64 ": %s", entry->id,
           reason);
}

static bool entry_take_changes(wl_dispatcher_t *self, const wl_queue_entry_t *entry,
                               wl_lane_t *lane) {
    size_t count = 0;
    if (wl_changes_unpack(entry->body, entry->body_bytes, self->changes, &count) != WL_OK) {
        entry_damaged(self, entry, "the changes do not decode");
        return true;
    }
    uint32_t pairs = 0;
    bool asked = entry->kind == WL_ENTRY_REFRESH;
    for (size_t i = 0; i < count; i++) { /* a user 0 cannot be asked for */
        if (self->changes[i].uid != 0) {
            self->changes[pairs++] = self->changes[i];
        }
    }
    for (uint32_t i = entry_resume(self, lane, entry, pairs); i < pairs; i++) {
        const wl_change_t *change = &self->changes[i];
        wl_pending_add_t add = {.uid = change->uid,
                                .line = entry->line,
                                .bucket = change->bucket,
                                .version = change->version,
                                .entry_id = entry->id,
                                .interactive = asked,
                                .notified_at = {entry->at}};
        uint64_t seq = 0;
        bool merged = false;
        if (read_add(self, &add, &seq, &merged) != WL_OK) {
            return entry_stuck(self, lane, entry, i);
        }
        wl_settlement_recall(self->settlement, change->uid, entry->line, entry->history,
                             pairs == 1 ? entry->history_bytes : 0);
        trail_tell(self, asked ? WL_TRAIL_ASKED : WL_TRAIL_NOTIFIED, &add, merged);
        if (!merged) {
            wl_dispatcher_notice(self, entry->line, change->uid, seq, WL_MARK_PENDING);
        }
    }
    return true;
}

/* ---- entries that bring the values ----------------------------------------------------------- */

/* Moves the assets of one user to stand together, from `at` on; returns how many. */
static uint32_t assets_group(wl_asset_list_t *assets, uint32_t at) {
    uint32_t end = at + 1;
    for (uint32_t i = end; i < assets->count; i++) {
        if (assets->at[i].uid == assets->at[at].uid) {
            wl_asset_t moved = assets->at[i];
            assets->at[i] = assets->at[end];
            assets->at[end++] = moved;
        }
    }
    return end - at;
}

/* The rules may be stricter than when the line sent it. */
static bool assets_sane(wl_dispatcher_t *self, const wl_lane_t *lane, const wl_asset_t *assets,
                        uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(assets[i].line, lane->line) != 0 || wl_asset_valid(&assets[i], NULL) != WL_OK ||
            wl_asset_sane(&assets[i], lane->config, NULL) != WL_OK) {
            WL_COUNT(&self->hub.counters, pull_quarantined, 1);
            return false;
        }
    }
    return true;
}

static void assets_store(wl_dispatcher_t *self, const wl_lane_t *lane,
                         const wl_pending_pull_t *pull, wl_asset_t *assets, uint32_t count) {
    uint64_t key = 0;
    while (self->lanes[key] != lane) {
        key++;
    }
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_SHARD, wl_hub_shard(&self->hub, pull->uid),
                                 WL_MSG_STORE, key);
    if (!wl_encoder_begun(to)) {
        wl_store_head_t head = {.dispatcher = self->hub.instance, .epoch = self->epoch};
        memcpy(head.line, lane->line, sizeof head.line);
        wl_store_begin(to, &head);
    }
    wl_store_item_t item = {.uid = pull->uid,
                            .seq = pull->seq,
                            .outcome = WL_PULL_OK,
                            .notified_at = pull->notified_at.ms,
                            .assets = {assets, count}};
    wl_store_add(to, &item);
}

/* The values go straight to the shard if nothing else is due for this user: what else is due may
 * name another bucket, so then the line is asked. No notice for them: they are there at once, and a
 * notice that came behind would never be taken back. */
static wl_err_t entry_take_group(wl_dispatcher_t *self, const wl_queue_entry_t *entry,
                                 const wl_lane_t *lane, wl_asset_t *assets, uint32_t count) {
    wl_pending_add_t add = {.uid = assets[0].uid,
                            .line = entry->line,
                            .bucket = assets[0].bucket,
                            .version = assets[0].version,
                            .entry_id = entry->id,
                            .notified_at = {entry->at}};
    uint64_t seq = 0;
    bool merged = false;
    wl_pending_pull_t pull;
    bool fresh = strcmp(wl_pending_state(self->pending, lane->line, add.uid), "none") == 0;
    bool sane = lane->config != NULL && assets_sane(self, lane, assets, count);
    uint64_t version = add.version;
    add.version = sane ? add.version : 0; /* else the line is asked and may know better */
    wl_err_t err = read_add(self, &add, &seq, &merged);
    if (err != WL_OK) {
        return err;
    }
    add.version = version;
    trail_tell(self, WL_TRAIL_PAYLOAD, &add, false);
    if (!sane && lane->config != NULL) {
        trail_tell(self, WL_TRAIL_QUARANTINED, &add, false);
    }
    if (fresh && sane && !wl_dispatcher_away(self, add.uid) && count <= WL_PAYLOAD_ASSETS_MAX &&
        wl_pending_flying(self->pending, lane->line) < DIRECT_FLYING_MAX &&
        wl_pending_fly(self->pending, lane->line, add.uid, wl_mono_now(), &pull)) {
        assets_store(self, lane, &pull, assets, count);
    } else if (!merged) {
        wl_dispatcher_notice(self, lane->line, add.uid, seq, WL_MARK_PENDING);
    }
    return WL_OK;
}

static bool entry_take_assets(wl_dispatcher_t *self, const wl_queue_entry_t *entry,
                              wl_lane_t *lane) {
    wl_asset_list_t assets = {NULL, 0};
    if (wl_decoder_asset_blob(self->decoder, entry->body, entry->body_bytes, &assets) != WL_OK) {
        entry_damaged(self, entry, "the assets do not decode");
        return true;
    }
    uint32_t users = 0;
    for (uint32_t at = 0; at < assets.count; users++) {
        if (assets.at[at].uid == 0) {
            entry_damaged(self, entry, "an asset of nobody");
            return true;
        }
        at += assets_group(&assets, at);
    }
    uint32_t resume = entry_resume(self, lane, entry, users);
    uint32_t user = 0;
    for (uint32_t at = 0; at < assets.count; user++) {
        uint32_t count = assets_group(&assets, at);
        if (user >= resume && entry_take_group(self, entry, lane, &assets.at[at], count) != WL_OK) {
            return entry_stuck(self, lane, entry, user);
        }
        at += count;
    }
    return true;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* false: it did not fit as a whole and has to be read again. */
static bool entry_take(wl_dispatcher_t *self, const wl_queue_entry_t *entry, wl_lane_t *lane) {
    switch ((int)entry->kind) {
    case WL_ENTRY_CHANGES:
    case WL_ENTRY_REFRESH: return entry_take_changes(self, entry, lane);
    case WL_ENTRY_ASSETS: return entry_take_assets(self, entry, lane);
    default: entry_damaged(self, entry, "unknown kind of entry"); return true;
    }
}

static size_t lane_share(const wl_dispatcher_t *self) {
    return self->hub.settings->dispatcher_keys_max / 4;
}

static void on_entry(const wl_queue_entry_t *entry, void *arg) {
    wl_dispatcher_t *self = arg;
    if (self->stop || self->turn_changes >= TURN_CHANGES) {
        self->stop = true;
        return;
    }
    if (!wl_line_id_valid(entry->line)) {
        entry_damaged(self, entry, "the line is damaged");
        self->cursor = entry->id;
        return;
    }
    wl_lane_t *lane = wl_dispatcher_have_lane(self, entry->line);
    if (lane == NULL) {
        self->stop = true;
        return;
    }
    bool begun = lane->stuck_id == entry->id; /* then its lane is not behind, see entry_stuck() */
    if (!begun &&
        (lane->behind || wl_pending_waiting(self->pending, lane->line) >= lane_share(self))) {
        lane->behind_after = lane->behind ? lane->behind_after : entry->id - 1;
        lane->behind = true;
        self->cursor = entry->id;
        return;
    }
    if (entry_take(self, entry, lane)) {
        self->cursor = entry->id;
    }
}

static void on_passed_entry(const wl_queue_entry_t *entry, void *arg) {
    wl_dispatcher_t *self = arg;
    wl_lane_t *lane = self->catching;
    if (self->stop || self->turn_changes >= TURN_CHANGES ||
        wl_pending_waiting(self->pending, lane->line) >= lane_share(self)) {
        self->stop = true;
        return;
    }
    if (entry->id > self->cursor) { /* the rest is read in turn */
        lane->behind = false;
        self->stop = true;
        return;
    }
    if (strcmp(entry->line, lane->line) != 0 || entry_take(self, entry, lane)) {
        lane->behind_after = entry->id;
    }
}

/* Returns whether there may be more to read. */
static bool read_step(wl_dispatcher_t *self, uint64_t after, wl_queue_entry_fn tell) {
    uint64_t last = after;
    wl_err_t err = wl_queue_read(self->queue, after, READ_ENTRIES, tell, self, &last);
    wl_dispatcher_asked(self, err);
    if (err != WL_OK) {
        if (err != WL_ERR_CONFLICT) {
            wl_log(WL_LOG_ERROR, self->hub.name, "queue_read_failed",
                   "the queue could not be read: %s; tried again", wl_err_text(err));
        }
        self->stop = true;
        return true;
    }
    return last != after;
}

/* Entries that are passed over cost reads of the store, too: the lease is looked at in between. */
static bool turn_over(const wl_dispatcher_t *self) {
    return wl_mono_now().ms - self->turn_at >= TURN_MS;
}

static void read_catch_up(wl_dispatcher_t *self) {
    for (uint32_t i = 0; i < self->lane_count; i++) {
        wl_lane_t *lane = self->lanes[i];
        if (!wl_dispatcher_may_ask(self)) {
            return;
        }
        if (!lane->behind || wl_pending_waiting(self->pending, lane->line) > lane_share(self) / 2) {
            continue;
        }
        self->stop = false;
        self->catching = lane;
        while (!self->stop && lane->behind && !turn_over(self)) {
            if (!read_step(self, lane->behind_after, on_passed_entry)) {
                lane->behind = false;
            }
        }
        self->catching = NULL;
    }
}

void wl_dispatcher_read(wl_dispatcher_t *self) {
    if (self->hub.draining || self->hub.config == NULL || self->settle_failed ||
        !wl_dispatcher_may_ask(self)) {
        return;
    }
    self->turn_changes = 0;
    self->turn_merged = 0;
    self->turn_at = wl_mono_now().ms;
    self->turn_wall = wl_wall_now().ms;
    if (self->retries_left &&
        wl_pending_stats(self->pending).keys < self->hub.settings->dispatcher_keys_max / 2) {
        wl_err_t err = wl_dispatcher_load_retries(self);
        self->retries_left = self->retries_left || err != WL_OK;
        wl_dispatcher_asked(self, err);
    }
    read_catch_up(self);
    self->stop = false;
    while (self->more && !self->stop && !turn_over(self) && wl_dispatcher_may_ask(self)) {
        self->more = read_step(self, self->cursor, on_entry);
    }
    self->more = self->more || self->stop;
}

/* ---- retries and hints ----------------------------------------------------------------------- */

/* Of retries, so that new entries have room as well: retries may be of a shard that is away. */
static size_t keys_loaded_max(const wl_dispatcher_t *self) {
    return self->hub.settings->dispatcher_keys_max / 4 * 3;
}

void wl_dispatcher_take_retry(const wl_retry_row_t *row, void *arg) {
    wl_dispatcher_t *self = arg;
    if (self->epoch == 0) { /* an operator redrives: whoever gets the lease loads it */
        return;
    }
    wl_lane_t *lane = wl_dispatcher_have_lane(self, row->line);
    if (lane == NULL) {
        self->retries_left = true;
        return;
    }
    /* A pair that sleeps has its row for itself. One that waits or flies may do so because a user
     * looked: it takes over what was notified, or its failure would forget the row. */
    if (strcmp(wl_pending_state(self->pending, row->line, row->uid), "sleeping") == 0 ||
        row->uid == 0) {
        wl_settlement_stored(self->settlement, row);
        return;
    }
    int64_t wait_ms = row->due_at - wl_wall_now().ms;
    wl_pending_add_t add = {.uid = row->uid,
                            .line = row->line,
                            .bucket = "",
                            .attempt = row->attempts,
                            .notified_at = {row->notified_at}};
    if (lane->config != NULL && wait_ms > (int64_t)lane->config->retry_max_ms) {
        wait_ms = (int64_t)lane->config->retry_max_ms; /* the clock has been set back */
    }
    if (wl_pending_stats(self->pending).keys >= keys_loaded_max(self)) {
        self->retries_left = true;
        return;
    }
    if (wl_dispatcher_crowded(self, row->uid)) {
        return;
    }
    if (wait_ms > 0) {
        add.due.ms = wl_mono_now().ms + wait_ms;
    }
    uint64_t seq = 0;
    bool merged = false;
    if (wl_pending_add(self->pending, &add, &seq, &merged) != WL_OK) {
        self->retries_left = true;
        return;
    }
    wl_settlement_stored(self->settlement, row);
    if (row->attempts > 0) {
        wl_dispatcher_notice(self, row->line, row->uid, seq, WL_MARK_FAILING);
    } else {
        wl_dispatcher_notice(self, row->line, row->uid, seq, WL_MARK_PENDING);
    }
}

wl_err_t wl_dispatcher_load_retries(wl_dispatcher_t *self) {
    self->retries_left = false;
    return wl_queue_retries(self->queue, wl_dispatcher_take_retry, self);
}

static void on_dead_letter(const wl_dead_letter_t *letter, void *arg) {
    wl_dispatcher_t *self = arg;
    if (letter->uid != 0 && wl_dispatcher_owns(self, letter->uid)) {
        /* number 0: whatever happens to the pair from now on is newer */
        wl_dispatcher_notice(self, letter->line, letter->uid, 0, WL_MARK_FAILING);
    }
}

wl_err_t wl_dispatcher_mark_dead(wl_dispatcher_t *self) {
    return wl_queue_dead_list(self->queue, NULL, 0, DEAD_MARKED_MAX, on_dead_letter, self);
}

void wl_dispatcher_take_hint(wl_dispatcher_t *self, const char *line, uint64_t uid) {
    WL_COUNT(&self->hub.counters, refresh_hints, 1);
    if (self->epoch == 0 || !wl_dispatcher_owns(self, uid)) {
        WL_COUNT(&self->hub.counters, refresh_not_held, 1);
        return;
    }
    wl_lane_t *lane = wl_dispatcher_lane(self, line);
    if (uid == 0 || self->hub.draining || lane == NULL || lane->config == NULL) {
        return;
    }
    /* A pair that flies is answered soon. One that sleeps has failed and is tried again in its
     * time: users who look often must not turn its back-off into a burst. */
    const char *state = wl_pending_state(self->pending, line, uid);
    if (strcmp(state, "none") != 0 && strcmp(state, "waiting") != 0) {
        return;
    }
    wl_pending_add_t add = {.uid = uid, .line = line, .bucket = "", .interactive = true};
    uint64_t seq = 0;
    bool merged = false;
    if (wl_pending_add(self->pending, &add, &seq, &merged) == WL_OK && !merged) {
        wl_dispatcher_notice(self, line, uid, seq, WL_MARK_PENDING);
        self->turn_wall = wl_wall_now().ms;
        trail_tell(self, WL_TRAIL_LOOKED, &add, false);
    }
}
