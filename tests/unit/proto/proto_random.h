/* proto_random.h: repeatable random numbers and random well-formed MessagePack for the tests of
 * src/proto. */
#ifndef WL_TESTS_PROTO_RANDOM_H
#define WL_TESTS_PROTO_RANDOM_H

#include "base/slot.h"

#include <msgpack.h>
#include <string.h>

typedef struct {
    uint64_t state;
} rng_t;

static inline uint64_t rng_u64(rng_t *rng) {
    rng->state += 0x9e3779b97f4a7c15u;
    return wl_mix64(rng->state);
}

static inline uint32_t rng_below(rng_t *rng, uint32_t bound) {
    return bound == 0 ? 0 : (uint32_t)(rng_u64(rng) % bound);
}

/* Numbers of every width, edges included. */
static inline uint64_t rng_wide(rng_t *rng) {
    static const uint64_t edges[] = {
        0,         1,         127,   128,        255,
        256,       65535,     65536, UINT32_MAX, (uint64_t)UINT32_MAX + 1,
        INT64_MAX, UINT64_MAX};
    if (rng_below(rng, 4) == 0) {
        return edges[rng_below(rng, sizeof edges / sizeof edges[0])];
    }
    return rng_u64(rng) >> rng_below(rng, 64);
}

/* One random object, arrays and maps nested at most depth deep. */
static inline void pack_random(rng_t *rng, msgpack_packer *packer, unsigned depth) {
    char bytes[300];
    uint32_t count = rng_below(rng, 4) == 0 ? rng_below(rng, 300) : rng_below(rng, 8);
    memset(bytes, 'a', sizeof bytes);
    switch (rng_below(rng, depth > 0 ? 11 : 8)) {
    case 0: msgpack_pack_nil(packer); break;
    case 1: msgpack_pack_true(packer); break;
    case 2: msgpack_pack_uint64(packer, rng_wide(rng)); break;
    case 3: msgpack_pack_int64(packer, (int64_t)rng_wide(rng)); break;
    case 4: msgpack_pack_double(packer, (double)rng_wide(rng)); break;
    case 5:
        msgpack_pack_str(packer, count);
        msgpack_pack_str_body(packer, bytes, count);
        break;
    case 6:
        msgpack_pack_bin(packer, count);
        msgpack_pack_bin_body(packer, bytes, count);
        break;
    case 7:
        msgpack_pack_ext(packer, count, 5);
        msgpack_pack_ext_body(packer, bytes, count);
        break;
    case 8:
    case 9:
        count = rng_below(rng, 20);
        msgpack_pack_array(packer, count);
        for (uint32_t i = 0; i < count; i++) {
            pack_random(rng, packer, depth - 1);
        }
        break;
    default:
        count = rng_below(rng, 6);
        msgpack_pack_map(packer, count);
        for (uint32_t i = 0; i < 2 * count; i++) {
            pack_random(rng, packer, depth - 1);
        }
        break;
    }
}

#endif
