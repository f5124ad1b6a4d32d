/* slot_moves.h: the rules of moving slots (base/slot_move.h): what may be asked for, and what a
 * move makes of the map. Pure, any thread. */
#ifndef WL_DOMAIN_SLOT_MOVES_H
#define WL_DOMAIN_SLOT_MOVES_H

#include "base/err.h"
#include "base/slot.h"
#include "base/slot_move.h"

#include <stddef.h>

/* May this be wished of a move in that state, at `now` (wall ms)? The way back is kept for ten
 * seconds at least: readers have to hear of users who are new to the target before the source
 * forgets them. WL_ERR_CONFLICT with a fault that says why not. */
WL_MUST_USE wl_err_t wl_move_may(const wl_slot_move_t *move, wl_move_wish_t wish, int64_t now,
                                 wl_fault_t *fault);

/* Which shard owns all slots first..last by the map? WL_ERR_CONFLICT: several, or `target` itself;
 * WL_ERR_BAD_REQUEST: no range;
 * fault says which. */
WL_MUST_USE wl_err_t wl_move_source(const uint8_t map[WL_SLOTS], uint32_t first, uint32_t last,
                                    uint32_t target, uint32_t *ret_source, wl_fault_t *fault);
/* Gives the slots first..last to a shard. */
void wl_move_map(uint8_t map[WL_SLOTS], uint32_t first, uint32_t last, uint32_t shard);
/* "0-2047:0 2048-4095:1", as shard.map is written; bytes >= 64 KB hold any map. */
void wl_move_map_text(const uint8_t map[WL_SLOTS], char *ret, size_t bytes);

#endif
