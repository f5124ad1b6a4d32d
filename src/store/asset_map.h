/* asset_map.h: the versions of the map of slots, as each shard's database keeps them. MySQL only:
 * with SQLite one process has all shards, and the map is the setting's, version 0.
 *
 * A shard that slots were taken from is fenced: who goes by an older map is refused, and finds the
 * newer one in this very database. So a process that has missed a change of the map cannot write or
 * read in the wrong place, however late it learns of it.
 *
 *     write fence   raised first; from then on nobody writes by an older map
 *     map and read fence, together   the newer map is there, and nobody reads by an older one */
#ifndef WL_STORE_ASSET_MAP_H
#define WL_STORE_ASSET_MAP_H

#include "base/slot.h"
#include "store/asset_db.h"

/* The map that the callers of this handle go by. From here on wl_asset_db_begin, _fetch_many and
 * _get_many say WL_ERR_CONFLICT when the shard is fenced against it: see wl_asset_db_map_read. A
 * handle that was never told is refused nothing. */
void wl_asset_db_map_use(wl_asset_db_t *self, uint64_t version);
/* May somebody who goes by that map read here? For reads that are not refused by themselves, after
 * them. WL_ERR_CONFLICT: no, and what was read may be old. Outside a transaction. */
WL_MUST_USE wl_err_t wl_asset_db_map_check(wl_asset_db_t *self);
/* The newest map that this database has; WL_ERR_NOT_FOUND: none, slots never moved. */
WL_MUST_USE wl_err_t wl_asset_db_map_read(wl_asset_db_t *self, uint64_t *ret_version,
                                          uint8_t ret_map[WL_SLOTS]);

#endif
