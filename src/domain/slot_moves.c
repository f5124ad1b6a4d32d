#include "domain/slot_moves.h"

#include <stdio.h>
#include <string.h>

enum { WAY_BACK_MS = 10000 };

static wl_err_t may_finish(const wl_slot_move_t *move, int64_t now, wl_fault_t *fault) {
    if (move->state != WL_MOVE_FOLLOWING) {
        return wl_fault(fault, WL_ERR_CONFLICT, "move",
                        "move %llu is in state %s: it can be finished once it is following",
                        (unsigned long long)move->id, wl_move_state_word(move->state));
    }
    if (now < move->flipped_at + WAY_BACK_MS) {
        return wl_fault(fault, WL_ERR_CONFLICT, "move",
                        "the slots moved less than %d s ago: look at the new shard first",
                        WAY_BACK_MS / 1000);
    }
    return WL_OK;
}

wl_err_t wl_move_may(const wl_slot_move_t *move, wl_move_wish_t wish, int64_t now,
                     wl_fault_t *fault) {
    bool going = move->state == WL_MOVE_COPY || move->state == WL_MOVE_COMPARE ||
                 move->state == WL_MOVE_FENCED || move->state == WL_MOVE_FOLLOWING;
    if (move->wish != WL_MOVE_WISH_NONE && move->wish != wish) {
        return wl_fault(fault, WL_ERR_CONFLICT, "move", "move %llu is already to %s",
                        (unsigned long long)move->id,
                        move->wish == WL_MOVE_WISH_BACK ? "go back" : "be finished");
    }
    if (wish == WL_MOVE_WISH_FINISH) {
        return may_finish(move, now, fault);
    }
    if (wish == WL_MOVE_WISH_BACK && !going) {
        return wl_fault(fault, WL_ERR_CONFLICT, "move",
                        "move %llu is in state %s: there is no way back any more",
                        (unsigned long long)move->id, wl_move_state_word(move->state));
    }
    return WL_OK;
}

wl_err_t wl_move_source(const uint8_t map[WL_SLOTS], uint32_t first, uint32_t last, uint32_t target,
                        uint32_t *ret_source, wl_fault_t *fault) {
    if (first > last || last >= WL_SLOTS) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "slots",
                        "slots: %u-%u is not a range of the slots 0 to %d", first, last,
                        WL_SLOTS - 1);
    }
    for (uint32_t slot = first; slot <= last; slot++) {
        if (map[slot] == target) {
            return wl_fault(fault, WL_ERR_CONFLICT, "slots", "slots: shard %u has slot %u already",
                            target, slot);
        }
        if (map[slot] != map[first]) {
            return wl_fault(fault, WL_ERR_CONFLICT, "slots",
                            "slots: up to %u they belong to shard %u, from there on to shard %u: "
                            "move them one after the other",
                            slot - 1, map[first], map[slot]);
        }
    }
    *ret_source = map[first];
    return WL_OK;
}

void wl_move_map(uint8_t map[WL_SLOTS], uint32_t first, uint32_t last, uint32_t shard) {
    memset(&map[first], (int)shard, last - first + 1);
}

void wl_move_map_text(const uint8_t map[WL_SLOTS], char *ret, size_t bytes) {
    size_t used = 0;
    ret[0] = '\0';
    for (uint32_t slot = 0; slot < WL_SLOTS && used < bytes;) {
        uint32_t last = slot;
        while (last + 1 < WL_SLOTS && map[last + 1] == map[slot]) {
            last++;
        }
        int length = last == slot ? snprintf(ret + used, bytes - used, "%s%u:%u",
                                             used == 0 ? "" : " ", slot, map[slot])
                                  : snprintf(ret + used, bytes - used, "%s%u-%u:%u",
                                             used == 0 ? "" : " ", slot, last, map[slot]);
        used += length > 0 ? (size_t)length : 0;
        slot = last + 1;
    }
}
