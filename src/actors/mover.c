#include "actors/mover.h"

#include "actors/mover_state.h"
#include "actors/store_options.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>

enum {
    TICK_MS = 5,
    CLAIM_MS = 500,      /* how often an open move is looked for */
    SAVE_MS = 1000,      /* what a crash does again */
    HOLD_MS = 6000,      /* of a move: then another writer may go on */
    PAUSE_MS_MIN = 100,  /* after a step that failed; doubled by each further one */
    PAUSE_MS_MAX = 3000, /* the hold has to be renewed */
};

/* ---- holding --------------------------------------------------------------------------------- */

static void mover_drop(wl_mover_t *self) {
    wl_slot_copy_close(&self->copy);
    self->held = false;
    self->begun = false;
    self->prepared = false;
    self->compared = false;
    self->crossings = 0;
    WL_GAUGE(&self->hub.counters, move_running, 0);
}

static void mover_lose(wl_mover_t *self) {
    wl_log(WL_LOG_WARN, self->hub.name, "move_lost", "move %" PRIu64 ": another writer goes on",
           self->move.id);
    mover_drop(self);
}

wl_err_t wl_mover_save(wl_mover_t *self) {
    wl_move_wish_t wish = WL_MOVE_WISH_NONE;
    wl_err_t err = wl_move_db_save(self->db, &self->move, HOLD_MS, &wish);
    if (err == WL_OK) {
        self->move.wish = wish;
        self->saved_at = wl_mono_now().ms;
    }
    return err;
}

static void mover_say(wl_mover_t *self, wl_err_t err) {
    bool away = err != WL_OK && err != WL_ERR_NOT_FOUND;
    if (away && !self->away) {
        wl_log(WL_LOG_WARN, self->hub.name, "moves_away", "moves cannot be looked at: %s: %s",
               wl_err_text(err), wl_move_db_problem(self->db));
    }
    self->away = away;
}

static void mover_claim(wl_mover_t *self) {
    wl_err_t err = wl_move_db_claim(self->db, HOLD_MS, &self->move);
    int64_t now = wl_mono_now().ms;
    self->next_at = now + CLAIM_MS;
    mover_say(self, err);
    if (err == WL_OK) {
        self->held = true;
        self->saved_at = now;
        self->failures = 0;
        self->next_at = now;
        WL_GAUGE(&self->hub.counters, move_running, 1);
        wl_log(WL_LOG_INFO, self->hub.name, "move_taken",
               "move %" PRIu64 ": slots %u-%u from shard %u to shard %u, %s", self->move.id,
               self->move.first, self->move.last, self->move.source, self->move.target,
               wl_move_state_word(self->move.state));
    }
}

/* ---- working --------------------------------------------------------------------------------- */

static wl_err_t mover_open_copy(wl_mover_t *self) {
    wl_store_text_t texts[2];
    wl_fault_t fault = {.where = ""};
    const uint32_t shards[2] = {self->move.source, self->move.target};
    wl_slot_copy_options_t options = {.shards = wl_hub_instances(&self->hub, WL_ACTOR_SHARD),
                                      .first = self->move.first,
                                      .last = self->move.last,
                                      .epoch = self->move.epoch};
    for (int side = 0; side < 2; side++) {
        if (shards[side] >= options.shards) {
            return WL_ERR_SETTINGS; /* this process knows fewer */
        }
        options.shard[side] = shards[side];
        options.mysql[side] =
            wl_store_options_mysql(self->hub.settings, shards[side], &texts[side]);
    }
    wl_err_t err = wl_slot_copy_open(&options, &self->copy, &fault);
    if (err != WL_OK && self->failures == 0) {
        wl_log(WL_LOG_WARN, self->hub.name, "move_away", "%s: %s", fault.where, fault.message);
    }
    return err;
}

static wl_err_t mover_work(wl_mover_t *self) {
    wl_err_t err = self->copy == NULL ? mover_open_copy(self) : WL_OK;
    if (err == WL_OK && !self->begun) {
        err = wl_slot_copy_begin(self->copy);
        self->begun = err == WL_OK;
    }
    if (err == WL_OK) {
        err = wl_mover_step(self);
    }
    if (err == WL_OK && wl_mono_now().ms - self->saved_at >= SAVE_MS) {
        err = wl_mover_save(self);
    }
    return err;
}

static void mover_fail(wl_mover_t *self, wl_err_t err) {
    int64_t pause_ms = PAUSE_MS_MIN;
    for (uint32_t i = 0; i < self->failures && pause_ms < PAUSE_MS_MAX; i++) {
        pause_ms *= 2;
    }
    if (self->failures == 0) {
        const char *problem = self->copy == NULL ? "" : wl_slot_copy_problem(self->copy);
        wl_log(WL_LOG_WARN, self->hub.name, "move_failed",
               "move %" PRIu64 ", %s: a step failed and is done again: %s %s", self->move.id,
               wl_move_state_word(self->move.state), wl_err_text(err), problem);
    }
    WL_COUNT(&self->hub.counters, move_failed, 1);
    self->failures += self->failures < UINT32_MAX;
    self->next_at = wl_mono_now().ms + (pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX);
    /* the hold is renewed: whoever else took it would fail as well */
    if (wl_move_db_save(self->db, &self->move, HOLD_MS, &self->move.wish) == WL_ERR_CONFLICT) {
        mover_lose(self);
    }
}

static void mover_end(wl_mover_t *self) {
    wl_log(WL_LOG_INFO, self->hub.name, "move_ended",
           "move %" PRIu64 " is %s: %" PRIu64 " users, %" PRIu64 " followed, pause %" PRId64 " ms",
           self->move.id, wl_move_state_word(self->move.state), self->move.users,
           self->move.followed, self->move.pause_ms);
    mover_drop(self);
    self->next_at = wl_mono_now().ms;
}

static void drive(wl_mover_t *self) {
    if (self->db == NULL || self->hub.draining || wl_mono_now().ms < self->next_at) {
        return;
    }
    if (!self->held) {
        mover_claim(self);
        return;
    }
    wl_err_t err = mover_work(self);
    if (err == WL_ERR_CONFLICT) {
        mover_lose(self);
    } else if (err != WL_OK) {
        mover_fail(self, err);
    } else {
        self->failures = 0;
        if (wl_move_ended(self->move.state)) {
            mover_end(self);
        }
    }
}

/* ---- handlers -------------------------------------------------------------------------------- */

static void on_message(void *arg, const wl_msg_t *msg) {
    wl_mover_t *self = arg;
    switch ((int)msg->id) {
    case WL_MSG_ADMIN: wl_mover_take_admin(self, msg); break;
    case WL_MSG_LINE: break;
    default: WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

static void on_tick(void *arg) {
    drive(arg);
}

static bool tick_hurried(void *arg) {
    const wl_mover_t *self = arg;
    return self->db != NULL && (self->held || self->next_at == 0);
}

/* ---- life ------------------------------------------------------------------------------------ */

static wl_err_t mover_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    wl_mover_t *self = arg;
    const wl_hub_handlers_t handlers = {
        .take = on_message, .tick = on_tick, .hurried = tick_hurried, .tick_ms = TICK_MS};
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    self->unpacker = wl_unpacker_new();
    msgpack_sbuffer_init(&self->body);
    if (!wl_store_shared(self->hub.settings)) {
        return WL_OK;
    }
    wl_store_text_t text;
    const char *name = self->hub.settings->server_name;
    wl_mysql_options_t options = wl_store_options_mysql(self->hub.settings, 0, &text);
    return wl_move_db_open(&options, name[0] == '\0' ? "walletd" : name, &self->db, &boot->fault);
}

static void mover_close(void *arg) {
    wl_mover_t *self = arg;
    if (self->held &&
        (wl_mover_save(self) != WL_OK || wl_move_db_release(self->db, self->move.id) != WL_OK)) {
        wl_log(WL_LOG_INFO, self->hub.name, "move_kept", "move %" PRIu64 " is free in %d ms",
               self->move.id, HOLD_MS);
    }
    wl_slot_copy_close(&self->copy);
    wl_move_db_close(&self->db);
    wl_mysql_thread_end();
    wl_unpacker_destroy(&self->unpacker);
    msgpack_sbuffer_destroy(&self->body);
    wl_hub_close(&self->hub);
}

void wl_mover_run(zsock_t *pipe, void *boot) {
    wl_mover_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, mover_open, mover_close, self);
    wl_free(self);
}
