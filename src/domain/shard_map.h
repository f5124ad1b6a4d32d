/* shard_map.h: which shard each of the 4,096 slots belongs to, as the setting shard.map says it.
 * Pure, any thread. */
#ifndef WL_DOMAIN_SHARD_MAP_H
#define WL_DOMAIN_SHARD_MAP_H

#include "base/err.h"
#include "base/limits.h"

#include <stdint.h>

/* "0-2047:0 2048-4095:1": ranges of slots, both ends included, and their shard, separated by blanks
 * or commas, in any order; a range may be one slot: "7:1". "" = equal ranges, as wl_slot_owner()
 * has them. Every slot must be there exactly once and every shard be below `shards` (1..256); a
 * shard may have no slots. WL_ERR_SETTINGS: ret_map is left as it was; fault may be NULL. */
WL_MUST_USE wl_err_t wl_shard_map_parse(const char *text, uint32_t shards,
                                        uint8_t ret_map[WL_SLOTS], wl_fault_t *fault);

#endif
