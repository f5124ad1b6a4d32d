/* What is done in each state of a move. A step takes some milliseconds, but for the one that
 * changes the map: from the fence to the new map nothing else is done. */
#include "actors/mover_state.h"

#include "actors/hub_map.h"
#include "base/clock.h"
#include "base/log.h"
#include "domain/slot_moves.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    PAGE_USERS = 256,      /* of one step */
    FOLLOW_IDLE_MS = 50,   /* the log was empty */
    CROSS_MS_MAX = 1000,   /* writes wait for so long at most, then they go on for a while */
    CROSS_AGAIN_MS = 1000, /* more with each try */
    CROSS_AGAIN_MAX = 30000,
};

/* A map is put together from that of shard 0, which all moves begin and end with. */
wl_err_t wl_mover_map(wl_mover_t *self, uint64_t *ret_version, uint8_t ret_map[WL_SLOTS]) {
    wl_err_t err = wl_move_db_map(self->db, ret_version, ret_map);
    if (err == WL_ERR_NOT_FOUND) {
        memcpy(ret_map, self->hub.shard_of_slot, WL_SLOTS);
        *ret_version = 0;
        err = WL_OK;
    }
    return err;
}

/* ---- states ---------------------------------------------------------------------------------- */

static wl_err_t state_go(wl_mover_t *self, wl_move_state_t state) {
    self->move.state = state;
    self->move.cursor = 0;
    self->prepared = false;
    self->compared = false;
    return wl_mover_save(self);
}

/* After work on so many records. */
static void pace(wl_mover_t *self, uint32_t records) {
    int64_t wait_ms = self->move.rate == 0 ? 0 : (int64_t)(records * 1000ull / self->move.rate);
    self->next_at = wl_mono_now().ms + wait_ms;
}

static wl_err_t step_copy(wl_mover_t *self) {
    wl_slot_step_t step = {.users = 0};
    wl_err_t err = self->prepared ? WL_OK : wl_slot_copy_log(self->copy, WL_SIDE_SOURCE, true);
    self->prepared = err == WL_OK;
    if (err == WL_OK) {
        err = wl_slot_copy_users(self->copy, WL_SIDE_SOURCE, PAGE_USERS, &self->move.cursor, &step);
    }
    if (err != WL_OK) {
        return err;
    }
    self->move.users += step.users;
    self->move.records += step.records;
    WL_COUNT(&self->hub.counters, move_users, step.users);
    pace(self, step.records);
    return step.end ? state_go(self, WL_MOVE_COMPARE) : WL_OK;
}

/* One page of the log; *ret_end: it was the last. */
static wl_err_t follow(wl_mover_t *self, wl_side_t from, bool *ret_end) {
    wl_slot_step_t step = {.users = 0};
    wl_err_t err = wl_slot_copy_follow(self->copy, from, PAGE_USERS, &step);
    if (err == WL_OK) {
        self->move.followed += step.users;
        WL_COUNT(&self->hub.counters, move_users, step.users);
        *ret_end = step.end;
    }
    return err;
}

/* ---- the change of the map ------------------------------------------------------------------- */

/* Everything in which the map is changed once nobody writes to `from` any more. */
typedef struct {
    wl_side_t from;
    uint64_t version;
    uint32_t shard; /* that has the slots afterwards */
    wl_move_state_t before;
    wl_move_state_t fenced;
    wl_move_state_t after;
} crossing_t;

/* The rest of the log. *ret_end false: it takes too long. */
static wl_err_t cross_follow(wl_mover_t *self, const crossing_t *crossing, int64_t until,
                             bool *ret_end) {
    wl_err_t err = WL_OK;
    *ret_end = false;
    while (err == WL_OK && !*ret_end && wl_mono_now().ms < until) {
        err = follow(self, crossing->from, ret_end);
    }
    return err;
}

/* Writes go on where they were. */
static wl_err_t cross_back_off(wl_mover_t *self, const crossing_t *crossing) {
    wl_err_t err = wl_slot_copy_unfence(self->copy, crossing->from);
    int64_t wait_ms = CROSS_AGAIN_MS * (int64_t)++self->crossings;
    self->next_at = wl_mono_now().ms + (wait_ms < CROSS_AGAIN_MAX ? wait_ms : CROSS_AGAIN_MAX);
    wl_log(WL_LOG_WARN, self->hub.name, "move_waits",
           "move %" PRIu64 ": too much changes for the map to be changed now, tried again later",
           self->move.id);
    self->move.state = crossing->before;
    return err == WL_OK ? wl_mover_save(self) : err;
}

/* Slots have moved: everybody here goes by the new map at once, others when a fence says so. */
static wl_err_t cross_end(wl_mover_t *self, const crossing_t *crossing,
                          const uint8_t map[WL_SLOTS]) {
    int64_t now = wl_wall_now().ms;
    int64_t pause_ms = now - self->move.fenced_at;
    wl_hub_spread_map(&self->hub, crossing->version, map);
    wl_err_t err = wl_move_db_map_put(self->db, crossing->version, map);
    if (err != WL_OK) {
        return err;
    }
    self->move.pause_ms = pause_ms > self->move.pause_ms ? pause_ms : self->move.pause_ms;
    self->move.flipped_at = now;
    WL_GAUGE(&self->hub.counters, move_pause_ms, pause_ms > 0 ? (uint64_t)pause_ms : 0);
    wl_log(WL_LOG_INFO, self->hub.name, "move_crossed",
           "move %" PRIu64 ": slots %u-%u are shard %u's, writes waited %" PRId64 " ms",
           self->move.id, self->move.first, self->move.last, crossing->shard, pause_ms);
    return state_go(self, crossing->after);
}

/* Also after a crash in the midst of it. Should anything fail while the fence is up it is taken
 * down again, which does nothing once the map has changed. */
static wl_err_t cross(wl_mover_t *self, const crossing_t *crossing) {
    uint8_t map[WL_SLOTS];
    uint64_t version = 0;
    bool flipped = false;
    bool end = false;
    wl_err_t err = wl_mover_map(self, &version, map);
    if (err == WL_OK) {
        err = wl_slot_copy_flipped(self->copy, crossing->from, crossing->version, &flipped);
    }
    if (err == WL_OK && (self->move.state != crossing->fenced || self->move.fenced_at == 0)) {
        self->move.state = crossing->fenced;
        self->move.fenced_at = wl_wall_now().ms;
        err = wl_mover_save(self);
    }
    if (err != WL_OK) {
        return err;
    }
    wl_move_map(map, self->move.first, self->move.last, crossing->shard);
    int64_t until = wl_mono_now().ms + CROSS_MS_MAX;
    err = wl_slot_copy_fence(self->copy, crossing->from, crossing->version);
    if (err == WL_OK && !flipped) {
        err = cross_follow(self, crossing, until, &end);
        if (err == WL_OK && !end) {
            return cross_back_off(self, crossing);
        }
    }
    if (err == WL_OK) {
        err = wl_slot_copy_flip(self->copy, crossing->from, crossing->version, map);
    }
    if (err != WL_OK) {
        (void)!wl_slot_copy_unfence(self->copy, crossing->from);
        self->move.fenced_at = 0;
        return err;
    }
    return cross_end(self, crossing, map);
}

static wl_err_t cross_forth(wl_mover_t *self) {
    const crossing_t crossing = {.from = WL_SIDE_SOURCE,
                                 .version = self->move.version,
                                 .shard = self->move.target,
                                 .before = WL_MOVE_COMPARE,
                                 .fenced = WL_MOVE_FENCED,
                                 .after = WL_MOVE_FOLLOWING};
    return cross(self, &crossing);
}

static wl_err_t cross_back(wl_mover_t *self) {
    const crossing_t crossing = {.from = WL_SIDE_TARGET,
                                 .version = self->move.version + 1,
                                 .shard = self->move.source,
                                 .before = WL_MOVE_FOLLOWING,
                                 .fenced = WL_MOVE_FENCED_BACK,
                                 .after = WL_MOVE_UNDOING};
    return cross(self, &crossing);
}

/* ---- states, again --------------------------------------------------------------------------- */

/* The log is followed in turns with comparing, so that it is short at the end. */
static wl_err_t step_compare(wl_mover_t *self) {
    wl_slot_step_t step = {.users = 0};
    bool end = false;
    wl_err_t err = follow(self, WL_SIDE_SOURCE, &end);
    if (err != WL_OK || (self->compared && !end)) {
        return err;
    }
    if (self->compared) {
        return cross_forth(self);
    }
    err = wl_slot_copy_compare(self->copy, WL_SIDE_SOURCE, PAGE_USERS, &self->move.cursor, &step);
    if (err != WL_OK) {
        return err;
    }
    self->move.compared += step.users;
    self->move.mended += step.mended;
    self->compared = step.end;
    WL_COUNT(&self->hub.counters, move_mended, step.mended);
    if (step.mended > 0) {
        wl_log(WL_LOG_WARN, self->hub.name, "move_mended",
               "move %" PRIu64 ": %u users had another copy in shard %u, copied again",
               self->move.id, step.mended, self->move.target);
    }
    return WL_OK;
}

static wl_err_t step_following(wl_mover_t *self) {
    bool end = false;
    wl_err_t err = follow(self, WL_SIDE_TARGET, &end);
    if (err != WL_OK || !end) {
        return err;
    }
    if (self->move.wish == WL_MOVE_WISH_BACK) {
        return cross_back(self);
    }
    if (self->move.wish == WL_MOVE_WISH_FINISH) {
        return state_go(self, WL_MOVE_CLEANING);
    }
    self->next_at = wl_mono_now().ms + FOLLOW_IDLE_MS;
    return WL_OK;
}

/* Deletes what a side has of the slots; the other one has them. */
static wl_err_t step_clean(wl_mover_t *self, wl_side_t side, wl_move_state_t after) {
    wl_slot_step_t step = {.users = 0};
    wl_err_t err = WL_OK;
    if (!self->prepared) {
        err = wl_slot_copy_log(self->copy, WL_SIDE_SOURCE, false);
        err = err == WL_OK ? wl_slot_copy_log(self->copy, WL_SIDE_TARGET, false) : err;
        err = err == WL_OK ? wl_slot_copy_unfence(self->copy, WL_SIDE_SOURCE) : err;
        self->prepared = err == WL_OK;
    }
    if (err == WL_OK) {
        err = wl_slot_copy_clean(self->copy, side, PAGE_USERS, &self->move.cursor, &step);
    }
    if (err != WL_OK) {
        return err;
    }
    self->move.cleaned += step.records;
    WL_COUNT(&self->hub.counters, move_cleaned, step.records);
    pace(self, step.records);
    if (step.end) {
        self->move.ended_at = wl_wall_now().ms;
    }
    return step.end ? state_go(self, after) : WL_OK;
}

wl_err_t wl_mover_step(wl_mover_t *self) {
    bool early = self->move.state == WL_MOVE_COPY || self->move.state == WL_MOVE_COMPARE;
    if (early && self->move.wish == WL_MOVE_WISH_BACK) {
        return state_go(self, WL_MOVE_UNDOING);
    }
    switch (self->move.state) {
    case WL_MOVE_COPY: return step_copy(self);
    case WL_MOVE_COMPARE: return step_compare(self);
    case WL_MOVE_FENCED: return cross_forth(self);
    case WL_MOVE_FOLLOWING: return step_following(self);
    case WL_MOVE_FENCED_BACK: return cross_back(self);
    case WL_MOVE_CLEANING: return step_clean(self, WL_SIDE_SOURCE, WL_MOVE_DONE);
    case WL_MOVE_UNDOING: return step_clean(self, WL_SIDE_TARGET, WL_MOVE_UNDONE);
    case WL_MOVE_DONE:
    case WL_MOVE_UNDONE:
    case WL_MOVE_STATES_COUNT: break;
    }
    return WL_OK;
}
