/* slot.h: which logical shard a user belongs to, and which instance owns a slot. Pure, any thread.
 * mix64 is the finaliser of splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number
 * Generators, OOPSLA 2014). */
#ifndef WL_BASE_SLOT_H
#define WL_BASE_SLOT_H

#include "base/limits.h"

#include <stdint.h>

static inline uint64_t wl_mix64(uint64_t x) {
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

/* 0 .. WL_SLOTS - 1 */
static inline uint32_t wl_slot_of(uint64_t uid) {
    return (uint32_t)(wl_mix64(uid) >> 52);
}

/* Instances own equal, contiguous slot ranges. instances >= 1. */
static inline uint32_t wl_slot_owner(uint32_t slot, uint32_t instances) {
    return slot * instances / WL_SLOTS;
}

/* The owner of a user among `instances` equal ranges. */
static inline uint32_t wl_uid_owner(uint64_t uid, uint32_t instances) {
    return wl_slot_owner(wl_slot_of(uid), instances);
}

#endif
