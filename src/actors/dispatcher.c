#include "actors/dispatcher.h"

#include "actors/change_queue.h"
#include "actors/dispatcher_state.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

#include <string.h>

enum {
    SETTLE_AT = 512, /* outcomes that are written without waiting for the tick */
    SECOND_MS = 1000,
    SWEEP_MS = 100, /* how often lost pulls are looked for */
    POLL_MS = 20,   /* how often a queue is read that other processes append to */
};

static void dispatcher_take_hints(wl_dispatcher_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        wl_dispatcher_take_hint(self, msg->head.refresh.line, msg->items.refresh[i].uid);
    }
}

static void dispatcher_take_health(wl_dispatcher_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        wl_lane_t *lane = wl_dispatcher_lane(self, msg->items.line[i].line);
        if (lane != NULL) {
            lane->health = msg->items.line[i];
        }
    }
}

static void on_message(void *arg, const wl_msg_t *msg) {
    wl_dispatcher_t *self = arg;
    switch ((int)msg->id) {
    case WL_MSG_QUEUED: self->more = true; break;
    case WL_MSG_DONE:
        wl_dispatcher_consents_done(self, msg);
        wl_dispatcher_take_done(self, msg);
        break;
    case WL_MSG_LIVE: wl_dispatcher_take_live(self, msg); break;
    case WL_MSG_PULLED: wl_dispatcher_take_pulled(self, msg); break;
    case WL_MSG_LEASE: wl_dispatcher_take_lease(self, msg); break;
    case WL_MSG_REFRESH: dispatcher_take_hints(self, msg); break;
    case WL_MSG_LINE: dispatcher_take_health(self, msg); break;
    case WL_MSG_ADMIN: wl_dispatcher_take_admin(self, msg); break;
    case WL_MSG_TALLY: wl_dispatcher_take_tally(self, msg); break;
    case WL_MSG_NOTICE: wl_dispatcher_take_notice(self, msg); break;
    case WL_MSG_USERS: wl_dispatcher_backfill_users(self, msg); break;
    default: WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

static void on_turn_end(void *arg) {
    wl_dispatcher_t *self = arg;
    if (!wl_dispatcher_hold(self)) {
        wl_trail_teller_turn(&self->trail);
        return;
    }
    wl_dispatcher_read(self);
    if (wl_dispatcher_holds(self)) { /* reading may have taken long, or was refused */
        wl_dispatcher_consents_step(self);
        wl_dispatcher_pump(self);
        wl_dispatcher_settle(self, SETTLE_AT);
    }
    wl_trail_teller_turn(&self->trail);
}

static void on_configured(void *arg) {
    wl_dispatcher_t *self = arg;
    wl_dispatcher_configure_lanes(self);
    self->more = true;
}

/* The hub ends every tick with on_turn_end(), so that what woke here is read and sent at once. */
static void on_tick(void *arg) {
    wl_dispatcher_t *self = arg;
    wl_mono_ms_t now = wl_mono_now();
    if (wl_dispatcher_hold(self)) {
        wl_dispatcher_wake(self);
        wl_dispatcher_settle(self, 1);
        wl_dispatcher_backfill_step(self);
        self->more = self->more || self->polled;
    }
    int64_t passed_ms = now.ms - self->second_at;
    if (passed_ms >= SECOND_MS) {
        self->second_at = now.ms;
        self->more = true; /* a QUEUED may have been lost in a full mailbox */
        wl_dispatcher_look_at_gates(self, now);
        wl_dispatcher_gauge(self);
    }
    if (now.ms - self->swept_at >= SWEEP_MS) {
        self->swept_at = now.ms;
        wl_dispatcher_sweep(self);
    }
}

/* Ends when nothing flies and everything is written; what waits is in the queue. */
static bool dispatcher_drained(void *arg) {
    wl_dispatcher_t *self = arg;
    if (!wl_dispatcher_hold(self)) {
        return true;
    }
    wl_dispatcher_settle(self, 1);
    return wl_pending_stats(self->pending).flying == 0 && !wl_dispatcher_consents_wait(self) &&
           wl_settlement_waiting(self->settlement) == 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static uint32_t dispatcher_tick_ms(const wl_settings_t *settings, bool polled) {
    uint32_t tick_ms = (uint32_t)settings->dispatcher_settle_ms;
    return polled && tick_ms > POLL_MS ? POLL_MS : tick_ms;
}

static wl_err_t dispatcher_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    wl_dispatcher_t *self = arg;
    const wl_actor_options_t *options = boot->options;
    const wl_settings_t *settings = options->settings;
    self->polled = strcmp(settings->queue_store, "redis") == 0;
    wl_hub_handlers_t handlers = {.take = on_message,
                                  .flush = on_turn_end,
                                  .tick = on_tick,
                                  .configured = on_configured,
                                  .drained = dispatcher_drained,
                                  .tick_ms = dispatcher_tick_ms(settings, self->polled)};
    msgpack_sbuffer_init(&self->body);
    msgpack_sbuffer_init(&self->list);
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    WL_ASSERT(wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER) <= WL_PARTITIONS_MAX);
    wl_trail_teller_open(&self->trail, &self->hub);
    self->pending = wl_pending_new((uint32_t)settings->dispatcher_keys_max);
    self->settlement = wl_settlement_new();
    wl_dispatcher_open_gates(self);
    self->backfills = wl_backfills_new();
    self->decoder = wl_decoder_new();
    self->unpacker = wl_unpacker_new();
    self->more = true;
    return wl_change_queue_open(settings, self->hub.name, WL_QUEUE_SETTLE, self->hub.instance,
                                &self->queue, &boot->fault);
}

static void dispatcher_close(void *arg) {
    wl_dispatcher_t *self = arg;
    if (self->queue != NULL) {
        wl_dispatcher_settle(self, 1); /* spares work after the next start */
    }
    wl_dispatcher_close_tallies(self);
    wl_dispatcher_forget_consents(self);
    wl_queue_close(&self->queue);
    wl_settlement_destroy(&self->settlement);
    wl_pending_destroy(&self->pending);
    wl_backfills_destroy(&self->backfills);
    wl_decoder_destroy(&self->decoder);
    wl_unpacker_destroy(&self->unpacker);
    msgpack_sbuffer_destroy(&self->body);
    msgpack_sbuffer_destroy(&self->list);
    for (uint32_t i = 0; i < self->lane_count; i++) {
        wl_free(self->lanes[i]->unheard);
        wl_free(self->lanes[i]);
    }
    wl_free(self->gates);
    wl_hub_close(&self->hub);
}

void wl_dispatcher_run(zsock_t *pipe, void *boot) {
    wl_dispatcher_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, dispatcher_open, dispatcher_close, self);
    wl_free(self);
}
