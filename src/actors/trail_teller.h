/* trail_teller.h: how an actor tells the trail what happened to users: events are packed into a
 * buffer and sent with the turn, one message for all. Part of the actor that embeds it, on its
 * thread. Costs about 50 ns an event, nothing with trail.enabled = no, and never waits: with a full
 * mailbox the events are lost, and the trail finds out how many. */
#ifndef WL_ACTORS_TRAIL_TELLER_H
#define WL_ACTORS_TRAIL_TELLER_H

#include "actors/hub.h"
#include "domain/trail_event.h"

enum { WL_TRAIL_TELL_BYTES = 16384 }; /* of one item, as messages.def allows */

typedef struct {
    wl_hub_t *hub;   /* borrowed; NULL: nobody is told */
    uint64_t serial; /* events told in items before this one */
    uint32_t count;  /* in bytes */
    size_t used;
    uint8_t bytes[WL_TRAIL_TELL_BYTES];
} wl_trail_teller_t;

/* After wl_hub_open(). */
void wl_trail_teller_open(wl_trail_teller_t *self, wl_hub_t *hub);
/* false: there is no trail, so that nothing need be prepared for it. */
bool wl_trail_teller_on(const wl_trail_teller_t *self);
/* The texts of event are copied; those that are NULL are "". */
void wl_trail_tell(wl_trail_teller_t *self, const wl_trail_event_t *event);
/* Hands what was told to the hub, which sends it: at the end of each turn. */
void wl_trail_teller_flush(wl_trail_teller_t *self);

#endif
