/* dispatcher_tally.h: numbers of all dispatchers of one process, for operators. Part of the
 * dispatcher actor, used on its thread only. Operators ask dispatcher 0; the others tell it their
 * numbers once a second. Together they know the whole queue, which all writers share, but only
 * their own memory: what waits and flies is that of this process. */
#ifndef WL_ACTORS_DISPATCHER_TALLY_H
#define WL_ACTORS_DISPATCHER_TALLY_H

#include "proto/messages.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct wl_dispatcher wl_dispatcher_t; /* actors/dispatcher_state.h */
typedef struct wl_lane wl_lane_t;             /* likewise */

/* What another dispatcher of this process has told last. */
typedef struct {
    wl_tally_head_t head;   /* serial 0 = nothing yet */
    uint32_t lane_count;    /* of lanes */
    wl_tally_item_t *lanes; /* owned, NULL or room for WL_LANES_MAX */
} wl_tally_t;

/* One line over all dispatchers of this process. */
typedef struct {
    uint64_t waiting;  /* pairs */
    uint64_t flying;   /* pairs */
    int64_t paused_ms; /* the longest of all */
    bool behind;       /* some entries were passed over, anywhere */
} wl_lane_sum_t;

/* Dispatcher 0 has nobody to tell. */
void wl_dispatcher_tell_tally(wl_dispatcher_t *self);
void wl_dispatcher_take_tally(wl_dispatcher_t *self, const wl_msg_t *msg);
/* The partition with what is known of it, this dispatcher's own included. */
wl_tally_head_t wl_dispatcher_tally(const wl_dispatcher_t *self, uint32_t partition);
wl_lane_sum_t wl_dispatcher_lane_sum(const wl_dispatcher_t *self, const wl_lane_t *lane);
/* Numbers of the queue and of memory, once a second. */
void wl_dispatcher_gauge(wl_dispatcher_t *self);
void wl_dispatcher_close_tallies(wl_dispatcher_t *self);

#endif
