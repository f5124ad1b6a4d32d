/* suspects.h: connections of one socket that the guard has asked its owner to look at: does any
 * whole message come from them? Empty nearly always, and then it costs one comparison a message.
 * Embedded in the actor that owns the socket; its thread. */
#ifndef WL_ACTORS_SUSPECTS_H
#define WL_ACTORS_SUSPECTS_H

#include "actors/hub.h"
#include "domain/scope.h"

enum { WL_SUSPECTS_MAX = 64 }; /* more are cut off by the guard without our answer */

typedef struct {
    wl_door_t door; /* of the socket; set by the owner */
    uint32_t count;
    struct {
        uint32_t fd;
        bool asked; /* the guard waits to hear whether the socket was empty */
    } at[WL_SUSPECTS_MAX];
} wl_suspects_t;

/* The items of a SUSPECT message that are about this door. */
void wl_suspects_take(wl_suspects_t *self, const wl_msg_t *msg);
/* A message has come from this connection (-1: not known). Call while count > 0. */
void wl_suspects_delivered(wl_suspects_t *self, wl_hub_t *hub, int fd);
/* The socket was just found empty. Call while count > 0. */
void wl_suspects_drained(wl_suspects_t *self, wl_hub_t *hub);

#endif
