#include "actors/presence.h"

#include "actors/consent_way.h"
#include "actors/presence_check.h"
#include "actors/presence_renew.h"
#include "actors/render.h"
#include "base/alloc.h"
#include "base/clock.h"

enum { TICK_MS = 50 }; /* how soon a shard is asked again after a gap, and silence is noticed */

static bool presence_frontend(wl_presence_t *self, uint32_t frontend) {
    bool known = frontend < wl_hub_instances(&self->hub, WL_ACTOR_FRONTEND);
    WL_COUNT(&self->hub.counters, msg_malformed, !known);
    return known;
}

/* May this user own something? Counts the answer. */
static bool presence_test(wl_presence_t *self, uint64_t uid) {
    if (!wl_presence_knows(self, uid)) {
        WL_COUNT(&self->hub.counters, presence_unknown, 1);
        return true;
    }
    bool maybe = wl_presence_set_test(self->set, uid);
    WL_COUNT(&self->hub.counters, presence_maybe, maybe);
    WL_COUNT(&self->hub.counters, presence_no, !maybe);
    return maybe;
}

/* ---- reads ---------------------------------------------------------------------------------- */

/* Nothing is stored of this user. That ends the read unless a line is to be asked all the same. */
static void presence_absent(wl_presence_t *self, uint32_t frontend, const wl_read_item_t *read) {
    const wl_config_t *config = wl_hub_config(&self->hub, read->rollout);
    wl_method_t method = (wl_method_t)read->method;
    if (config == NULL || !wl_render_method(method) ||
        !wl_demand_possible_absent(config, wl_render_shows(method), read->floors.count)) {
        wl_reply_item_t reply = {.ticket = read->ticket, .absent = true, .uid = read->uid};
        wl_reply_add(wl_render_to(&self->hub, frontend), &reply);
        return;
    }
    uint32_t query = wl_uid_owner(read->uid, wl_hub_instances(&self->hub, WL_ACTOR_QUERY));
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_QUERY, query, WL_MSG_GATHER, frontend);
    if (!wl_encoder_begun(to)) {
        int64_t sent_at = wl_hub_sent_at(&self->hub, WL_ACTOR_QUERY, query);
        wl_gather_begin(to, &(wl_gather_head_t){.frontend = frontend, .sent_at = sent_at});
    }
    wl_gather_add(to, &(wl_gather_item_t){
                          .ticket = read->ticket,
                          .uid = read->uid,
                          .deadline_at = read->deadline_at,
                          .method = read->method,
                          .filter = read->filter,
                          .floors = read->floors,
                          .rollout = read->rollout,
                      });
}

static void presence_read(wl_presence_t *self, const wl_msg_t *msg) {
    uint32_t frontend = msg->head.read.frontend;
    if (!presence_frontend(self, frontend)) {
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_read_item_t *read = &msg->items.read[i];
        if (!presence_test(self, read->uid)) {
            presence_absent(self, frontend, read);
            continue;
        }
        uint32_t cache = wl_presence_cache_of(self, read->uid);
        wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_CACHE, cache, WL_MSG_READ, frontend);
        if (!wl_encoder_begun(to)) {
            int64_t sent_at = wl_hub_sent_at(&self->hub, WL_ACTOR_CACHE, cache);
            wl_read_begin(to, &(wl_read_head_t){.frontend = frontend, .sent_at = sent_at});
        }
        wl_read_add(to, read);
    }
}

static void presence_ask(wl_presence_t *self, const wl_msg_t *msg) {
    uint32_t frontend = msg->head.ask.frontend;
    if (!presence_frontend(self, frontend)) {
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_ask_item_t *ask = &msg->items.ask[i];
        if (ask->uids.count != ask->positions.count) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        wl_told_item_t told = {.ticket = ask->ticket, .answered = ask->uids.count};
        told.positions.at = self->positions;
        for (uint32_t j = 0; j < ask->uids.count; j++) {
            if (presence_test(self, ask->uids.at[j])) {
                self->positions[told.positions.count++] = ask->positions.at[j];
            }
        }
        wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_FRONTEND, frontend, WL_MSG_TOLD, 0);
        if (!wl_encoder_begun(to)) {
            wl_told_begin(to, NULL);
        }
        wl_told_add(to, &told);
    }
}

/* A withdrawn consent of another process has gone its way through this one. */
static void presence_take_done(wl_presence_t *self, const wl_msg_t *msg) {
    if (self->follow == NULL) {
        WL_COUNT(&self->hub.counters, msg_unexpected, 1);
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        wl_presence_follow_done(self->follow, msg->head.done.line, msg->items.done[i].uid,
                                msg->items.done[i].seq);
    }
}

/* ---- handlers ------------------------------------------------------------------------------- */

static void presence_take(void *actor, const wl_msg_t *msg) {
    wl_presence_t *self = actor;
    self->batch++;
    switch ((int)msg->id) {
    case WL_MSG_READ:
        wl_presence_listen(self);
        presence_read(self, msg);
        break;
    case WL_MSG_ASK:
        wl_presence_listen(self);
        presence_ask(self, msg);
        break;
    case WL_MSG_LIVE: wl_presence_take_live(self, msg); break;
    case WL_MSG_LIVED: wl_presence_take_lived(self, msg); break;
    case WL_MSG_DONE: presence_take_done(self, msg); break;
    case WL_MSG_NOTICE: wl_presence_take_notice(self, msg); break;
    case WL_MSG_STORED: wl_presence_take_stored(self, msg); break;
    case WL_MSG_OWNERS: wl_presence_take_owners(self, msg); break;
    case WL_MSG_LEASE: wl_presence_take_lease(self, msg); break;
    case WL_MSG_REFRESH: wl_presence_take_refresh(self, msg); break;
    case WL_MSG_CHECK: wl_presence_check_take(self->check, msg); break;
    case WL_MSG_REBUILD: wl_presence_renew_start(self); break;
    case WL_MSG_LINE: break;
    default: WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
    if (self->feed != NULL && (msg->id == WL_MSG_NOTICE || msg->id == WL_MSG_STORED)) {
        wl_presence_feed_publish(self->feed, wl_decoder_bytes(self->hub.decoder));
        if (msg->id == WL_MSG_STORED && wl_consent_told(msg)) {
            self->consent_seq = wl_presence_feed_next(self->feed);
        }
    }
}

static void presence_tick(void *actor) {
    wl_presence_t *self = actor;
    int64_t now = wl_mono_now().ms;
    wl_presence_tiers_tick(self, now);
    wl_presence_release(self);
    wl_presence_owners_tick(self, now);
    wl_presence_check_tick(self->check);
}

static void presence_lines_changed(void *actor) {
    wl_presence_t *self = actor;
    if (self->feed != NULL) {
        wl_presence_feed_lines_changed(self->feed);
    }
}

static wl_err_t presence_open(void *actor, zsock_t *pipe, wl_boot_t *boot) {
    wl_presence_t *self = actor;
    const wl_hub_handlers_t handlers = {
        .take = presence_take,
        .tick = presence_tick,
        .lines_changed = presence_lines_changed,
        .tick_ms = TICK_MS,
    };
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    self->check = wl_presence_check_new(self);
    self->coming = wl_marks_new(WL_PRESENCE_COMING_USERS_MAX);
    self->ended = wl_alloc_zero(WL_PRESENCE_ENDED_PLACES, sizeof *self->ended);
    wl_presence_live_open(self);
    err = wl_presence_tiers_open(self, &boot->fault);
    if (err == WL_OK) {
        wl_presence_owners_open(self, wl_mono_now().ms);
    }
    return err;
}

static void presence_close(void *actor) {
    wl_presence_t *self = actor;
    wl_presence_owners_close(self);
    wl_presence_check_destroy(&self->check);
    wl_presence_tiers_close(self);
    wl_presence_live_close(self);
    wl_marks_destroy(&self->coming);
    wl_free(self->ended);
    wl_hub_close(&self->hub);
    wl_free(self);
}

void wl_presence_run(zsock_t *pipe, void *boot) {
    wl_presence_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, presence_open, presence_close, self);
}
