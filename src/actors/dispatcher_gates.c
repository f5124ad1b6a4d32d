/* A shard that cannot write must not keep users of other shards waiting. Three places could fill
 * with its users, and each has its bound:
 *
 *     window of a line       no more than three quarters fly to a shard that has answered none of
 *                            them; once it has said that it cannot write, PROBE_MAX at a time
 *     keys_max               a sixteenth of it sleeps until the shard is asked again
 *     the queue's reader     the rest is written as retries, which acknowledges the entries; they
 *                            are loaded when the shard writes again
 *
 *     open ---- PULLED of the shard: cannot write ----> away, nothing flies until `until`
 *      ^                                                   |
 *      +---- DONE of one of its users <---- a few fly -----+ then nothing again for PROBE_MS */
#include "actors/dispatcher_gates.h"

#include "actors/dispatcher_state.h"
#include "actors/line_flow.h"
#include "base/alloc.h"
#include "base/log.h"
#include "base/random.h"

#include <stdio.h>
#include <string.h>

enum {
    AWAY_MS_MIN = 50,    /* also when a message says less */
    AWAY_MS_MAX = 15000, /* also when a message says more */
    SPREAD_MS = 250,     /* those that sleep do not wake all at once */
    UNHEARD_MS = 100,    /* until a place for a silent shard is looked for again */
    PROBE_MAX = 32,      /* pulls that find out whether the shard writes again */
    PROBE_MS = 1000,     /* then it has so long to answer, */
    MOVING_MS = 100,     /* or so long, when it said that its slots are moving for a moment */
    KEYS_SHARE = 16,     /* of keys_max, for one shard */
    QUIET_MS = 3000,     /* nobody has asked it for so long since it might be asked */
};

void wl_dispatcher_open_gates(wl_dispatcher_t *self) {
    self->gates = wl_alloc_zero(wl_hub_instances(&self->hub, WL_ACTOR_SHARD), sizeof *self->gates);
}

void wl_dispatcher_reset_gates(wl_dispatcher_t *self) {
    memset(self->gates, 0, wl_hub_instances(&self->hub, WL_ACTOR_SHARD) * sizeof *self->gates);
}

void wl_dispatcher_shut(wl_dispatcher_t *self, uint32_t shard, int64_t pause_ms, wl_mono_ms_t now) {
    wl_gate_t *gate = &self->gates[shard];
    pause_ms = pause_ms < AWAY_MS_MIN ? AWAY_MS_MIN : pause_ms;
    pause_ms = pause_ms > AWAY_MS_MAX ? AWAY_MS_MAX : pause_ms;
    if (!gate->away) {
        wl_log(WL_LOG_WARN, self->hub.name, "shard_away",
               "shard %u cannot write: changes of its users wait, those of others go on", shard);
    }
    if (!gate->away || now.ms >= gate->until) {
        gate->parked = 0;
    }
    gate->away = true;
    gate->moving = pause_ms <= AWAY_MS_MIN;
    gate->probes = 0;
    gate->until = now.ms + pause_ms > gate->until ? now.ms + pause_ms : gate->until;
}

/* ---- may this one fly? ----------------------------------------------------------------------- */

static uint32_t *lane_unheard(const wl_dispatcher_t *self, wl_lane_t *lane, uint32_t shard) {
    if (lane->unheard == NULL) {
        lane->unheard =
            wl_alloc_zero(wl_hub_instances(&self->hub, WL_ACTOR_SHARD), sizeof *lane->unheard);
    }
    return &lane->unheard[shard];
}

/* The pair leaves memory: its change is a retry in the queue from now on. */
static void gate_spill(wl_dispatcher_t *self, wl_lane_t *lane, const wl_pending_pull_t *pull) {
    if (pull->notified_at.ms == 0) { /* a user only looked */
        wl_dispatcher_notice(self, lane->line, pull->uid, pull->seq, WL_MARK_NONE);
    } else {
        wl_retry_row_t row = {.uid = pull->uid,
                              .attempts = pull->attempt,
                              .due_at = wl_wall_now().ms,
                              .notified_at = pull->notified_at.ms};
        memcpy(row.line, lane->line, sizeof row.line);
        (void)snprintf(row.reason, sizeof row.reason, "its shard could not write");
        wl_settlement_spill(self->settlement, &row);
        WL_COUNT(&self->hub.counters, queue_spilled, 1);
    }
    (void)wl_pending_fail(self->pending, lane->line, pull->uid, pull->seq, wl_mono_now(), true,
                          NULL);
}

static void gate_park(wl_dispatcher_t *self, wl_gate_t *gate, wl_lane_t *lane,
                      const wl_pending_pull_t *pull) {
    if (gate->parked >= self->hub.settings->dispatcher_keys_max / KEYS_SHARE &&
        !self->settle_failed) {
        gate->spilled = true;
        gate_spill(self, lane, pull);
        return;
    }
    gate->parked++;
    wl_mono_ms_t due = {gate->until + wl_random_below(SPREAD_MS)};
    (void)wl_pending_hold(self->pending, lane->line, pull->uid, pull->seq, due);
}

bool wl_dispatcher_admit(wl_dispatcher_t *self, wl_lane_t *lane, const wl_pending_pull_t *pull,
                         wl_mono_ms_t now) {
    uint32_t shard = wl_hub_shard(&self->hub, pull->uid);
    wl_gate_t *gate = &self->gates[shard];
    if (gate->away && now.ms >= gate->until && gate->probes == PROBE_MAX) {
        gate->until = now.ms + (gate->moving ? MOVING_MS : PROBE_MS);
        gate->parked = 0;
        gate->probes = 0;
    }
    if (gate->away && now.ms < gate->until) {
        gate_park(self, gate, lane, pull);
        return false;
    }
    uint32_t *unheard = lane_unheard(self, lane, shard);
    if (!gate->away && wl_hub_instances(&self->hub, WL_ACTOR_SHARD) > 1 &&
        *unheard >= (wl_dispatcher_window(self, lane) * 3 + 3) / 4) {
        wl_mono_ms_t due = {now.ms + UNHEARD_MS};
        (void)wl_pending_hold(self->pending, lane->line, pull->uid, pull->seq, due);
        return false;
    }
    gate->probes += gate->away;
    ++*unheard;
    return true;
}

bool wl_dispatcher_away(const wl_dispatcher_t *self, uint64_t uid) {
    return self->gates[wl_hub_shard(&self->hub, uid)].away;
}

bool wl_dispatcher_crowded(wl_dispatcher_t *self, uint64_t uid) {
    wl_gate_t *gate = &self->gates[wl_hub_shard(&self->hub, uid)];
    bool crowded =
        gate->away && gate->parked >= self->hub.settings->dispatcher_keys_max / KEYS_SHARE;
    gate->parked += gate->away && !crowded; /* will be, as soon as it is looked at */
    gate->spilled = gate->spilled || crowded;
    return crowded;
}

void wl_dispatcher_look_at_gates(wl_dispatcher_t *self, wl_mono_ms_t now) {
    for (uint32_t i = 0; i < wl_hub_instances(&self->hub, WL_ACTOR_SHARD); i++) {
        wl_gate_t *gate = &self->gates[i];
        if (gate->away && gate->spilled && now.ms - gate->until > QUIET_MS) {
            gate->spilled = false;
            gate->parked = 0;
            gate->until = now.ms;
            self->retries_left = true;
        }
    }
}

/* ---- it answers ------------------------------------------------------------------------------ */

void wl_dispatcher_unfly(wl_dispatcher_t *self, wl_lane_t *lane, uint64_t uid) {
    *lane_unheard(self, lane, wl_hub_shard(&self->hub, uid)) = 0;
}

void wl_dispatcher_heard(wl_dispatcher_t *self, wl_lane_t *lane, uint64_t uid) {
    uint32_t shard = wl_hub_shard(&self->hub, uid);
    wl_gate_t *gate = &self->gates[shard];
    *lane_unheard(self, lane, shard) = 0;
    if (!gate->away) {
        return;
    }
    wl_log(WL_LOG_INFO, self->hub.name, "shard_back", "shard %u writes again", shard);
    self->retries_left = self->retries_left || gate->spilled;
    *gate = (wl_gate_t){0};
}

void wl_dispatcher_unfly_all(const wl_dispatcher_t *self, wl_lane_t *lane) {
    if (lane->unheard != NULL) {
        uint32_t shards = wl_hub_instances(&self->hub, WL_ACTOR_SHARD);
        memset(lane->unheard, 0, shards * sizeof *lane->unheard);
    }
}
