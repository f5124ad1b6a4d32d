#include "domain/shard_map.h"

#include "base/check.h"
#include "base/slot.h"

#include <string.h>

enum { SHARDS_MAX = 256, NUMBER_MAX = 1000000 };

/* Reads digits from *at on; false: there are none, or too many. */
static bool number_read(const char **at, uint32_t *ret) {
    const char *first = *at;
    uint32_t number = 0;
    while (**at >= '0' && **at <= '9' && number < NUMBER_MAX) {
        number = number * 10 + (uint32_t)(**at - '0');
        (*at)++;
    }
    *ret = number;
    return *at > first && number < NUMBER_MAX;
}

static bool is_gap(char c) {
    return c == ' ' || c == '\t' || c == ',';
}

/* "first-last:shard" or "slot:shard" from *at on. */
static bool range_read(const char **at, uint32_t *ret_first, uint32_t *ret_last,
                       uint32_t *ret_shard) {
    if (!number_read(at, ret_first)) {
        return false;
    }
    *ret_last = *ret_first;
    if (**at == '-') {
        (*at)++;
        if (!number_read(at, ret_last)) {
            return false;
        }
    }
    if (**at != ':') {
        return false;
    }
    (*at)++;
    return number_read(at, ret_shard) && (**at == '\0' || is_gap(**at));
}

/* Gives a range of slots to its shard; `taken` are those that have one already. */
static wl_err_t range_give(uint32_t first, uint32_t last, uint32_t shard, uint8_t *map, bool *taken,
                           wl_fault_t *fault) {
    for (uint32_t slot = first; slot <= last; slot++) {
        if (taken[slot]) {
            return wl_fault(fault, WL_ERR_SETTINGS, "shard.map", "slot %u is given twice", slot);
        }
        taken[slot] = true;
        map[slot] = (uint8_t)shard;
    }
    return WL_OK;
}

static wl_err_t ranges_read(const char *text, uint32_t shards, uint8_t *map, wl_fault_t *fault) {
    bool taken[WL_SLOTS] = {false};
    wl_err_t err = WL_OK;
    for (const char *at = text; err == WL_OK && *at != '\0';) {
        uint32_t first = 0;
        uint32_t last = 0;
        uint32_t shard = 0;
        if (is_gap(*at)) {
            at++;
            continue;
        }
        size_t offset = (size_t)(at - text);
        if (!range_read(&at, &first, &last, &shard)) {
            return wl_fault(fault, WL_ERR_SETTINGS, "shard.map",
                            "byte %zu: expected first-last:shard, as in 0-2047:0", offset);
        }
        if (first > last || last >= WL_SLOTS) {
            return wl_fault(fault, WL_ERR_SETTINGS, "shard.map",
                            "%u-%u is not a range of the slots 0 to %d", first, last, WL_SLOTS - 1);
        }
        if (shard >= shards) {
            return wl_fault(fault, WL_ERR_SETTINGS, "shard.map",
                            "there is no shard %u: shard.instances is %u", shard, shards);
        }
        err = range_give(first, last, shard, map, taken, fault);
    }
    for (uint32_t slot = 0; err == WL_OK && slot < WL_SLOTS; slot++) {
        if (!taken[slot]) {
            err = wl_fault(fault, WL_ERR_SETTINGS, "shard.map", "slot %u has no shard", slot);
        }
    }
    return err;
}

wl_err_t wl_shard_map_parse(const char *text, uint32_t shards, uint8_t ret_map[WL_SLOTS],
                            wl_fault_t *fault) {
    WL_ASSERT(shards >= 1 && shards <= SHARDS_MAX);
    uint8_t map[WL_SLOTS];
    if (text[strspn(text, " \t,")] == '\0') {
        for (uint32_t slot = 0; slot < WL_SLOTS; slot++) {
            map[slot] = (uint8_t)wl_slot_owner(slot, shards);
        }
    } else {
        wl_err_t err = ranges_read(text, shards, map, fault);
        if (err != WL_OK) {
            return err;
        }
    }
    memcpy(ret_map, map, sizeof map);
    return WL_OK;
}
