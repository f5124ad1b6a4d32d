/* dispatcher_lanes.h: lines as the dispatcher sees them: what waits for each, what of it may be
 * under way, and who has to be asked again. Part of the dispatcher actor and used on its thread
 * only. */
#ifndef WL_ACTORS_DISPATCHER_LANES_H
#define WL_ACTORS_DISPATCHER_LANES_H

#include "actors/dispatcher_tally.h"
#include "base/clock.h"
#include "domain/config.h"
#include "domain/marks.h"
#include "domain/retry.h"

enum { WL_LANES_MAX = 4 * WL_LINES_MAX /* of several configurations */ };

/* One line, as far as the dispatcher is concerned. */
struct wl_lane {
    char line[WL_LINE_ID_MAX + 1];
    const wl_line_t *config;  /* into hub.config; NULL: not configured, or a link */
    int64_t gone_since;       /* monotonic ms when config became NULL */
    int64_t paused_until;     /* monotonic ms: nothing is sent to its puller */
    int64_t retry_at;         /* monotonic ms: a retry beyond the budget goes behind this */
    wl_retry_budget_t budget; /* retries are at most a fifth of the pulls */
    wl_recovery_t recovery;   /* when it is well again they come early */
    bool behind;              /* some of its entries were passed over and wait in the queue */
    uint64_t behind_after;    /* their ids are above this */
    uint64_t stuck_id;        /* the one entry that was taken in part, 0 = none */
    uint32_t stuck_at;        /* how many of its pairs were added */
    uint32_t *unheard;        /* owned; per shard: pulls sent since one was answered */
    wl_line_item_t health;    /* as its puller told last; line "" = never */
};

/* NULL: there is none (find), or no room for one more (have). */
wl_lane_t *wl_dispatcher_lane(wl_dispatcher_t *self, const char *line);
wl_lane_t *wl_dispatcher_have_lane(wl_dispatcher_t *self, const char *line);
void wl_dispatcher_configure_lanes(wl_dispatcher_t *self);
/* Everything about entries and retries begins anew. */
void wl_dispatcher_reset_lanes(wl_dispatcher_t *self);
void wl_dispatcher_pause(wl_lane_t *lane, int64_t pause_ms, wl_mono_ms_t now);
/* Wakes retries that are due, and those of lines that are well again. */
void wl_dispatcher_wake(wl_dispatcher_t *self);
/* Sends what may be pulled now. */
void wl_dispatcher_pump(wl_dispatcher_t *self);
/* Pulls of a configured line that may be under way at once. */
uint32_t wl_dispatcher_window(const wl_dispatcher_t *self, const wl_lane_t *lane);
/* Lost pulls, and pairs of lines that are not configured any more. */
void wl_dispatcher_sweep(wl_dispatcher_t *self);
void wl_dispatcher_notice(wl_dispatcher_t *self, const char *line, uint64_t uid, uint64_t seq,
                          wl_mark_state_t state);

#endif
