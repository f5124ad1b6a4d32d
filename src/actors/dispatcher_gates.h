/* dispatcher_gates.h: which shards can be written to, as the dispatcher knows from what comes back,
 * and what happens to users of the others: they wait, and users of healthy shards go on. Part of
 * the dispatcher actor and used on its thread only. */
#ifndef WL_ACTORS_DISPATCHER_GATES_H
#define WL_ACTORS_DISPATCHER_GATES_H

#include "base/clock.h"
#include "domain/pending.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct wl_dispatcher wl_dispatcher_t; /* actors/dispatcher_state.h */
typedef struct wl_lane wl_lane_t;             /* likewise */

/* One shard, as far as the dispatcher is concerned. */
typedef struct {
    bool away;       /* it cannot write */
    bool moving;     /* for a moment only: its slots are being moved */
    bool spilled;    /* users of it were left to the retry table */
    int64_t until;   /* monotonic ms: none of its users is pulled before */
    uint32_t parked; /* pairs that sleep until then */
    uint32_t probes; /* pulls let through since then */
} wl_gate_t;

void wl_dispatcher_open_gates(wl_dispatcher_t *self);
/* Nothing is in memory any more: what was counted of it is forgotten. A shard that still cannot
 * write says so again. */
void wl_dispatcher_reset_gates(wl_dispatcher_t *self);
/* The shard has said that it cannot write. */
void wl_dispatcher_shut(wl_dispatcher_t *self, uint32_t shard, int64_t pause_ms, wl_mono_ms_t now);
/* May this pull, just taken, be sent? false: it has been taken care of. */
bool wl_dispatcher_admit(wl_dispatcher_t *self, wl_lane_t *lane, const wl_pending_pull_t *pull,
                         wl_mono_ms_t now);
/* Now and then: a shard that nobody has asked for a while, as whoever slept for it has gone another
 * way, is asked for the users that were left to the retry table. */
void wl_dispatcher_look_at_gates(wl_dispatcher_t *self, wl_mono_ms_t now);
/* Does this user's shard say that it cannot write? */
bool wl_dispatcher_away(const wl_dispatcher_t *self, uint64_t uid);
/* Is there no room for one more retry of this user while the shard is away? It is loaded later. */
bool wl_dispatcher_crowded(wl_dispatcher_t *self, uint64_t uid);
/* The user's shard has stored something; the pull ended without it; all pulls of the lane did. */
void wl_dispatcher_heard(wl_dispatcher_t *self, wl_lane_t *lane, uint64_t uid);
void wl_dispatcher_unfly(wl_dispatcher_t *self, wl_lane_t *lane, uint64_t uid);
void wl_dispatcher_unfly_all(const wl_dispatcher_t *self, wl_lane_t *lane);

#endif
