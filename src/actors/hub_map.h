/* hub_map.h: the map of slots that a hub goes by. It begins as the setting shard.map, version 0;
 * when slots have moved, whoever is refused by a fenced shard reads the newer map there and hands
 * it to every actor that this process knows. Belongs to the actor's thread. */
#ifndef WL_ACTORS_HUB_MAP_H
#define WL_ACTORS_HUB_MAP_H

#include "actors/hub.h"
#include "store/asset_db.h"

/* For the hub itself: takes a MAP message. An older version, or a map that names a shard that this
 * process does not know, changes nothing. */
void wl_hub_take_map(wl_hub_t *self, const wl_msg_t *msg);
/* Goes by this map from now on and sends it to all others; nothing when it is not newer. */
void wl_hub_spread_map(wl_hub_t *self, uint64_t version, const uint8_t map[WL_SLOTS]);
/* The shard of this handle is fenced against our map: reads the newer one there and spreads it.
 * false: there is none yet, the slots are just being moved; ask again in some milliseconds. */
bool wl_hub_map_from(wl_hub_t *self, wl_asset_db_t *db);

/* After reads that no fence refuses: does the handle's shard still go by our map? WL_ERR_CONFLICT:
 * no, what was read may be old; the newer map is taken and spread. */
WL_MUST_USE wl_err_t wl_hub_map_holds(wl_hub_t *self, wl_asset_db_t *db);

#endif
