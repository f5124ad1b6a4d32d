/* shard_owners.h: tells presence actors who owns something, chunk by chunk between the shard's
 * other work. Part of the shard actor and used on its thread only.
 *
 * A chunk that did not fit the mailbox is sent again at the next step: presence may believe what it
 * was told only if nothing is missing before `last`. */
#ifndef WL_ACTORS_SHARD_OWNERS_H
#define WL_ACTORS_SHARD_OWNERS_H

#include "actors/hub.h"
#include "store/asset_db.h"

typedef struct wl_shard_owners wl_shard_owners_t;

/* Borrows both for its life. */
wl_shard_owners_t *wl_shard_owners_new(wl_hub_t *hub, wl_asset_db_t *db);
void wl_shard_owners_destroy(wl_shard_owners_t **self);

/* Takes a TELL_OWNERS: begins the tour of that presence actor anew, or notes what may be trimmed.
 * The log is trimmed up to what all presence actors have safely on disk. */
void wl_shard_owners_take(wl_shard_owners_t *self, const wl_tell_owners_head_t *head);

/* Is there a tour to go on with? */
bool wl_shard_owners_busy(const wl_shard_owners_t *self);

/* Goes on with all tours for a few milliseconds; for the tick. */
void wl_shard_owners_step(wl_shard_owners_t *self);

#endif
