/* trail_teller.h: how an actor tells the trail what happened to users: events are packed into a
 * buffer, and sent when it is half full or WL_TRAIL_TELL_MS old, so that a busy actor does not wake
 * the trail with each turn. Part of the actor that embeds it, on its thread. Costs about 50 ns an
 * event, nothing with trail.enabled = no, and never waits: with a full mailbox the events are lost,
 * and the trail finds out how many. */
#ifndef WL_ACTORS_TRAIL_TELLER_H
#define WL_ACTORS_TRAIL_TELLER_H

#include "actors/hub.h"
#include "domain/trail_event.h"

enum {
    WL_TRAIL_TELL_BYTES = 65536, /* of one item, as messages.def allows */
    WL_TRAIL_TELL_MS = 100,      /* longest wait of an event */
};

typedef struct wl_trail_teller {
    wl_hub_t *hub;   /* borrowed; NULL: nobody is told */
    uint64_t serial; /* events told in items before this one */
    uint32_t count;  /* in bytes */
    size_t used;
    int64_t since; /* monotonic ms: the end of the turn in which the first of them came */
    uint8_t bytes[WL_TRAIL_TELL_BYTES];
} wl_trail_teller_t;

/* After wl_hub_open(). */
void wl_trail_teller_open(wl_trail_teller_t *self, wl_hub_t *hub);
/* false: there is no trail, so that nothing need be prepared for it. */
bool wl_trail_teller_on(const wl_trail_teller_t *self);
/* The texts of event are copied; those that are NULL are "". */
void wl_trail_tell(wl_trail_teller_t *self, const wl_trail_event_t *event);
/* An event that is not told, because there are too many: it counts as a lost one. */
void wl_trail_skip(wl_trail_teller_t *self);
/* At the end of each turn and tick: hands what was told to the hub if it is time, and at once while
 * the actor drains. */
void wl_trail_teller_turn(wl_trail_teller_t *self);
bool wl_trail_teller_waits(const wl_trail_teller_t *self); /* a tick has to come soon */

#endif
