/* owner_tours.h: tells presence actors who owns something, chunk by chunk between a fetcher's other
 * work. Part of the first fetcher of each shard and used on its thread only.
 *
 * A presence actor may ask for two tours at once: one for the set that serves, and one, slower, of
 * all owners for a set that is built beside it.
 *
 * A chunk that did not fit the mailbox is sent again at the next step, and chunks are counted:
 * presence may believe what it was told only if nothing is missing before `last`. */
#ifndef WL_ACTORS_OWNER_TOURS_H
#define WL_ACTORS_OWNER_TOURS_H

#include "actors/hub.h"
#include "store/asset_db.h"

typedef struct wl_owner_tours wl_owner_tours_t;

/* Borrows both for its life. */
wl_owner_tours_t *wl_owner_tours_new(wl_hub_t *hub, wl_asset_db_t *db, uint32_t shard);
void wl_owner_tours_destroy(wl_owner_tours_t **self); /* NULL and *NULL are accepted */

/* Takes a TELL_OWNERS: begins that tour of that presence actor anew. */
void wl_owner_tours_take(wl_owner_tours_t *self, const wl_tell_owners_head_t *head);

/* Is there a tour to go on with? */
bool wl_owner_tours_busy(const wl_owner_tours_t *self);

/* Goes on with all tours for a few milliseconds; for the tick. */
void wl_owner_tours_step(wl_owner_tours_t *self);

#endif
