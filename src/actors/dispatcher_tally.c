#include "actors/dispatcher_tally.h"

#include "actors/dispatcher_state.h"
#include "base/alloc.h"

#include <string.h>

static wl_tally_head_t tally_own(const wl_dispatcher_t *self) {
    wl_pending_stats_t held = wl_pending_stats(self->pending);
    return (wl_tally_head_t){
        .partition = self->hub.instance,
        .epoch = self->lease_epoch,
        .held = self->epoch > 0,
        .entries = self->stored.entries,
        .retries = self->stored.retries,
        .dead = self->stored.dead,
        .oldest_at = self->stored.oldest_at,
        .waiting = held.waiting,
        .flying = held.flying,
        .serial = self->tally_serial,
    };
}

static wl_lane_sum_t lane_own(const wl_dispatcher_t *self, const wl_lane_t *lane) {
    int64_t now = wl_mono_now().ms;
    return (wl_lane_sum_t){
        .waiting = wl_pending_waiting(self->pending, lane->line),
        .flying = wl_pending_flying(self->pending, lane->line),
        .paused_ms = lane->paused_until > now ? lane->paused_until - now : 0,
        .behind = lane->behind,
    };
}

void wl_dispatcher_tell_tally(wl_dispatcher_t *self) {
    if (self->hub.instance == 0) {
        return;
    }
    self->tally_serial++;
    wl_tally_head_t head = tally_own(self);
    wl_encoder_t *to =
        wl_hub_to(&self->hub, WL_ACTOR_DISPATCHER, 0, WL_MSG_TALLY, self->tally_serial);
    if (!wl_encoder_begun(to)) {
        wl_tally_begin(to, &head);
    }
    for (uint32_t i = 0; i < self->lane_count; i++) {
        wl_lane_sum_t sum = lane_own(self, self->lanes[i]);
        wl_tally_item_t item = {.waiting = sum.waiting,
                                .flying = sum.flying,
                                .paused_ms = sum.paused_ms,
                                .behind = sum.behind};
        memcpy(item.line, self->lanes[i]->line, sizeof item.line);
        to = wl_hub_to(&self->hub, WL_ACTOR_DISPATCHER, 0, WL_MSG_TALLY, self->tally_serial);
        if (!wl_encoder_begun(to)) {
            wl_tally_begin(to, &head);
        }
        wl_tally_add(to, &item);
    }
}

void wl_dispatcher_take_tally(wl_dispatcher_t *self, const wl_msg_t *msg) {
    const wl_tally_head_t *head = &msg->head.tally;
    if (self->hub.instance != 0 || head->partition == 0 ||
        head->partition >= wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    wl_tally_t *tally = &self->tallies[head->partition];
    if (tally->lanes == NULL) {
        tally->lanes = wl_alloc_zero(WL_LANES_MAX, sizeof *tally->lanes);
    }
    tally->lane_count = tally->head.serial == head->serial ? tally->lane_count : 0;
    tally->head = *head;
    for (uint32_t i = 0; i < msg->count && tally->lane_count < WL_LANES_MAX; i++) {
        tally->lanes[tally->lane_count++] = msg->items.tally[i];
        (void)wl_dispatcher_have_lane(self, msg->items.tally[i].line); /* so that it is listed */
    }
}

wl_tally_head_t wl_dispatcher_tally(const wl_dispatcher_t *self, uint32_t partition) {
    if (partition == self->hub.instance) {
        return tally_own(self);
    }
    wl_tally_head_t head = self->tallies[partition].head;
    head.partition = partition; /* nothing may have been told yet */
    return head;
}

wl_lane_sum_t wl_dispatcher_lane_sum(const wl_dispatcher_t *self, const wl_lane_t *lane) {
    wl_lane_sum_t sum = lane_own(self, lane);
    for (uint32_t p = 0; p < WL_PARTITIONS_MAX; p++) {
        const wl_tally_t *tally = &self->tallies[p];
        for (uint32_t i = 0; i < tally->lane_count; i++) {
            const wl_tally_item_t *other = &tally->lanes[i];
            if (strcmp(other->line, lane->line) == 0) {
                sum.waiting += other->waiting;
                sum.flying += other->flying;
                sum.paused_ms = other->paused_ms > sum.paused_ms ? other->paused_ms : sum.paused_ms;
                sum.behind = sum.behind || other->behind;
            }
        }
    }
    return sum;
}

/* Entries are counted by the writer that serves them, so that metrics of several can be added. */
void wl_dispatcher_gauge(wl_dispatcher_t *self) {
    wl_pending_stats_t held = wl_pending_stats(self->pending);
    if (wl_mono_now().ms >= self->store_at) {
        wl_dispatcher_asked(self, wl_queue_stats(self->queue, &self->stored));
    }
    WL_GAUGE(&self->hub.counters, queue_entries, self->epoch > 0 ? self->stored.entries : 0);
    WL_GAUGE(&self->hub.counters, queue_pending, held.waiting + held.sleeping);
    WL_GAUGE(&self->hub.counters, queue_in_flight, held.flying);
    wl_dispatcher_tell_tally(self);
}

void wl_dispatcher_close_tallies(wl_dispatcher_t *self) {
    for (uint32_t p = 0; p < WL_PARTITIONS_MAX; p++) {
        wl_free(self->tallies[p].lanes);
    }
}
