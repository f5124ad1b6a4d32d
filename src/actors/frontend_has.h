/* frontend_has.h: wallet.has_assets in a frontend: many users are asked for at once, each presence
 * actor answers for its own, and the bits come together in the ticket. Part of the frontend actor,
 * on its thread. */
#ifndef WL_ACTORS_FRONTEND_HAS_H
#define WL_ACTORS_FRONTEND_HAS_H

#include "actors/hub.h"
#include "actors/tickets.h"

typedef struct {
    uint64_t uids[WL_HAS_UIDS_MAX];   /* as asked */
    uint64_t owned[WL_HAS_UIDS_MAX];  /* those of one presence actor */
    uint64_t places[WL_HAS_UIDS_MAX]; /* their positions in the request */
} wl_frontend_has_t;

/* Asks the presence actors for the first `count` of self->uids. */
void wl_frontend_has_ask(wl_frontend_has_t *self, wl_hub_t *hub, wl_ticket_t *ticket,
                         uint32_t count);
/* Takes what one of them says; *ret_whole: that was the last. false: more than was asked. */
bool wl_frontend_has_told(wl_ticket_t *ticket, const wl_told_item_t *told, bool *ret_whole);
/* Appends {has: [bool]}. */
void wl_frontend_has_write(const wl_ticket_t *ticket, msgpack_sbuffer *into);

#endif
