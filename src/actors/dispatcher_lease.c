/* A dispatcher works only while the keeper says that its partition is held here. What it has in
 * memory is a copy of what stands in the queue, seen under one epoch:
 *
 *     idle --- LEASE, claimed, loaded ---> working --- until has passed, another epoch,
 *      ^                                      |        or a store knows a newer one
 *      +-------- everything is forgotten -----+
 *
 * Numbers of notices begin at epoch << 40, so that those of a new holder are newer everywhere, and
 * what pullers and caches still say about the work of an old one ends nothing. */
#include "actors/dispatcher_state.h"

#include "base/check.h"
#include "base/log.h"
#include "base/slot.h"

#include <inttypes.h>

enum {
    EPOCH_SHIFT = 40,     /* a trillion notices a lease; 16 million leases */
    STORE_PAUSE_MS = 250, /* a queue that failed is asked again; each time may take its timeout */
};

bool wl_dispatcher_owns(const wl_dispatcher_t *self, uint64_t uid) {
    return wl_uid_owner(uid, wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER)) ==
           self->hub.instance;
}

bool wl_dispatcher_holds(const wl_dispatcher_t *self) {
    return self->epoch > 0 && self->epoch == self->lease_epoch &&
           self->epoch != self->refused_epoch && wl_mono_now().ms < self->lease_until;
}

bool wl_dispatcher_may_ask(const wl_dispatcher_t *self) {
    return wl_dispatcher_holds(self) && wl_mono_now().ms >= self->store_at;
}

void wl_dispatcher_asked(wl_dispatcher_t *self, wl_err_t err) {
    if (err == WL_ERR_CONFLICT) {
        self->refused_epoch = self->epoch;
    } else if (err != WL_OK) {
        self->store_at = wl_mono_now().ms + STORE_PAUSE_MS;
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

static void lease_forget(wl_dispatcher_t *self) {
    uint64_t seq = wl_pending_seq(self->pending);
    wl_dispatcher_forget_consents(self);
    wl_hub_flush(&self->hub); /* messages of two epochs never share a head */
    wl_pending_destroy(&self->pending);
    wl_settlement_destroy(&self->settlement);
    self->pending = wl_pending_new((uint32_t)self->hub.settings->dispatcher_keys_max);
    self->settlement = wl_settlement_new();
    wl_backfills_forget(self->backfills);
    wl_pending_count_from(self->pending, seq); /* also when the same lease is obtained again */
    wl_dispatcher_reset_lanes(self);
    wl_dispatcher_reset_gates(self);
    self->epoch = 0;
    self->cursor = 0;
    self->more = true;
    self->retries_left = false;
    self->settle_failed = false;
}

/* The keeper lets go of it and, when the rows of the leases were the older ones, takes it anew. */
static void lease_tell_refused(wl_dispatcher_t *self, uint64_t epoch) {
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_KEEPER, 0, WL_MSG_REFUSED, 0);
    if (!wl_encoder_begun(to)) {
        wl_refused_begin(to, NULL);
    }
    wl_refused_add(to, &(wl_refused_item_t){.partition = self->hub.instance, .epoch = epoch});
}

static void lease_lose(wl_dispatcher_t *self) {
    wl_pending_stats_t held = wl_pending_stats(self->pending);
    const char *why = self->epoch == self->refused_epoch ? "a store knows a newer one"
                      : self->epoch != self->lease_epoch ? "the keeper has another one"
                      : self->lease_until == 0           ? "the keeper let it go"
                                                         : "it was not renewed in time";
    WL_COUNT(&self->hub.counters, lease_forgotten, 1);
    wl_log(WL_LOG_WARN, self->hub.name, "lease_lost",
           "epoch %" PRIu64 " has ended: %s; %zu pairs in hand are left to the queue", self->epoch,
           why, held.keys);
    uint64_t refused = self->epoch == self->refused_epoch ? self->epoch : 0;
    lease_forget(self);
    if (refused > 0) {
        lease_tell_refused(self, refused);
    }
    wl_dispatcher_tell_tally(self);
}

/* ---- the beginning --------------------------------------------------------------------------- */

static wl_err_t lease_load(wl_dispatcher_t *self) {
    wl_err_t err = wl_dispatcher_load_retries(self);
    if (err == WL_OK && wl_dispatcher_mark_dead(self) != WL_OK) {
        /* only labels, and of all partitions: a server of others must not keep this one idle */
        wl_log(WL_LOG_WARN, self->hub.name, "dead_unmarked",
               "dead letters could not be read: their copies do not say stale");
    }
    return err;
}

static void lease_gain(wl_dispatcher_t *self) {
    wl_err_t err = wl_queue_claim(self->queue, self->lease_epoch);
    self->epoch = self->lease_epoch;
    if (err == WL_OK) {
        uint64_t first = self->epoch << EPOCH_SHIFT;
        uint64_t seq = wl_pending_seq(self->pending);
        wl_pending_count_from(self->pending, first > seq ? first : seq);
        err = lease_load(self);
    }
    wl_dispatcher_asked(self, err);
    if (err == WL_OK) {
        wl_log(WL_LOG_INFO, self->hub.name, "lease_gained", "epoch %" PRIu64, self->epoch);
        self->gain_failed = false;
        wl_dispatcher_tell_tally(self);
        return;
    }
    if (!self->gain_failed) {
        wl_log(WL_LOG_ERROR, self->hub.name, "claim_failed",
               "the queue cannot be taken over: %s; tried again", wl_err_text(err));
    }
    self->gain_failed = true;
    uint64_t refused = err == WL_ERR_CONFLICT ? self->epoch : 0;
    lease_forget(self);
    if (refused > 0) {
        lease_tell_refused(self, refused);
    }
}

bool wl_dispatcher_hold(wl_dispatcher_t *self) {
    if (self->epoch > 0 && !wl_dispatcher_holds(self)) {
        lease_lose(self);
    }
    int64_t now = wl_mono_now().ms;
    if (self->epoch == 0 && !self->hub.draining && self->lease_epoch > 0 &&
        self->lease_epoch != self->refused_epoch && now < self->lease_until &&
        now >= self->store_at) {
        lease_gain(self);
    }
    return self->epoch > 0;
}

void wl_dispatcher_take_lease(wl_dispatcher_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_lease_item_t *item = &msg->items.lease[i];
        if (item->partition != self->hub.instance || item->epoch == 0 ||
            item->epoch > UINT64_MAX >> EPOCH_SHIFT) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        if (item->epoch >= self->lease_epoch) { /* they only grow */
            self->lease_epoch = item->epoch;
            self->lease_until = item->until;
        }
    }
}
