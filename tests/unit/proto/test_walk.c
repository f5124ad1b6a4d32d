#include "proto/walk.h"

#include "proto_random.h"

#include <criterion/criterion.h>

static const wl_walk_limits_t limits = {16, 100000};

static wl_err_t walk(const char *bytes, size_t count) {
    return wl_walk(bytes, count, &limits, NULL);
}

#define WALK(text) walk((text), sizeof(text) - 1)

static bool msgpack_accepts(const void *bytes, size_t count) {
    msgpack_zone zone;
    cr_assert(msgpack_zone_init(&zone, 8192));
    msgpack_object object;
    size_t used = 0;
    bool whole = msgpack_unpack(bytes, count, &used, &zone, &object) == MSGPACK_UNPACK_SUCCESS &&
                 used == count;
    msgpack_zone_destroy(&zone);
    return whole;
}

Test(walk, accepts_one_object_of_every_type) {
    static const struct {
        const char *bytes;
        size_t count;
    } whole[] = {
#define WHOLE(text) {(text), sizeof(text) - 1}
        WHOLE("\x00"),
        WHOLE("\x7f"),
        WHOLE("\xe0"),
        WHOLE("\xff"),
        WHOLE("\x80"),
        WHOLE("\x90"),
        WHOLE("\xa0"),
        WHOLE("\xa1z"),
        WHOLE("\xc0"),
        WHOLE("\xc2"),
        WHOLE("\xc3"),
        WHOLE("\xc4\x01z"),
        WHOLE("\xc5\x00\x01z"),
        WHOLE("\xc6\x00\x00\x00\x01z"),
        WHOLE("\xc7\x01\x05z"),
        WHOLE("\xc8\x00\x01\x05z"),
        WHOLE("\xc9\x00\x00\x00\x01\x05z"),
        WHOLE("\xca"
              "1234"),
        WHOLE("\xcb"
              "12345678"),
        WHOLE("\xcc"
              "1"),
        WHOLE("\xcd"
              "12"),
        WHOLE("\xce"
              "1234"),
        WHOLE("\xcf"
              "12345678"),
        WHOLE("\xd0"
              "1"),
        WHOLE("\xd1"
              "12"),
        WHOLE("\xd2"
              "1234"),
        WHOLE("\xd3"
              "12345678"),
        WHOLE("\xd4\x05"
              "1"),
        WHOLE("\xd5\x05"
              "12"),
        WHOLE("\xd6\x05"
              "1234"),
        WHOLE("\xd7\x05"
              "12345678"),
        WHOLE("\xd8\x05"
              "1234567890123456"),
        WHOLE("\xd9\x01z"),
        WHOLE("\xda\x00\x01z"),
        WHOLE("\xdb\x00\x00\x00\x01z"),
        WHOLE("\xdc\x00\x01\xc0"),
        WHOLE("\xdd\x00\x00\x00\x01\xc0"),
        WHOLE("\xde\x00\x01\xc0\xc0"),
        WHOLE("\xdf\x00\x00\x00\x01\xc0\xc0"),
        WHOLE("\x92\xc0\xc0"),
        WHOLE("\x81\xc0\xc0"),
#undef WHOLE
    };
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++) {
        cr_assert_eq(walk(whole[i].bytes, whole[i].count), WL_OK, "row %zu", i);
        cr_assert(msgpack_accepts(whole[i].bytes, whole[i].count), "row %zu", i);
        for (size_t cut = 0; cut < whole[i].count; cut++) {
            cr_assert_eq(walk(whole[i].bytes, cut), WL_ERR_MALFORMED, "row %zu cut %zu", i, cut);
        }
    }
}

Test(walk, refuses_counts_larger_than_the_bytes_left) {
    cr_assert_eq(WALK("\xdd\xff\xff\xff\xff"), WL_ERR_MALFORMED);
    cr_assert_eq(WALK("\xdf\xff\xff\xff\xff"), WL_ERR_MALFORMED);
    cr_assert_eq(WALK("\xdf\x80\x00\x00\x00\xc0"), WL_ERR_MALFORMED);
    cr_assert_eq(WALK("\xdc\xff\xff\xc0\xc0"), WL_ERR_MALFORMED);
    cr_assert_eq(WALK("\xdb\xff\xff\xff\xff"
                      "abc"),
                 WL_ERR_MALFORMED);
    cr_assert_eq(WALK("\xc6\xff\xff\xff\xff"
                      "abc"),
                 WL_ERR_MALFORMED);
    cr_assert_eq(WALK("\xc9\xff\xff\xff\xff\x05"
                      "abc"),
                 WL_ERR_MALFORMED);
}

Test(walk, refuses_nested_counts_whose_sum_is_larger_than_the_bytes_left) {
    char bytes[150];
    memset(bytes, 0, sizeof bytes);
    for (size_t at = 0; at + 5 < 60; at += 5) { /* each count alone would fit what is left */
        bytes[at] = (char)0xdd;
        bytes[at + 4] = 80;
    }
    cr_assert_eq(walk(bytes, sizeof bytes), WL_ERR_MALFORMED);
}

Test(walk, refuses_more_depth_than_allowed) {
    char bytes[40];
    for (unsigned depth = 1; depth < 30; depth++) {
        memset(bytes, 0x91, depth);
        bytes[depth - 1] = (char)0x90;
        cr_assert_eq(walk(bytes, depth), depth <= 16 ? WL_OK : WL_ERR_TOO_BIG, "%u", depth);
        bytes[depth - 1] = (char)0x80;
        cr_assert_eq(walk(bytes, depth), depth <= 16 ? WL_OK : WL_ERR_TOO_BIG, "%u", depth);
    }
    memset(bytes, 0x91, 17);
    bytes[17] = 0;
    cr_assert_eq(walk(bytes, 18), WL_ERR_TOO_BIG);
}

Test(walk, depth_is_free_again_behind_a_nested_object) {
    wl_walk_limits_t two = {2, 100};
    cr_assert_eq(wl_walk("\x93\x91\x00\x91\x00\x80", 6, &two, NULL), WL_OK);
    cr_assert_eq(wl_walk("\x92\x91\x00\x91\x91\x00", 6, &two, NULL), WL_ERR_TOO_BIG);
    wl_walk_limits_t none = {0, 100};
    cr_assert_eq(wl_walk("\x01", 1, &none, NULL), WL_OK);
    cr_assert_eq(wl_walk("\x90", 1, &none, NULL), WL_ERR_TOO_BIG);
}

Test(walk, bounds_and_counts_all_objects) {
    wl_walk_limits_t five = {16, 5};
    uint32_t objects = 99;
    cr_assert_eq(wl_walk("\x94\x01\x02\x03\x04", 5, &five, &objects), WL_OK);
    cr_assert_eq(objects, 5);
    objects = 99;
    cr_assert_eq(wl_walk("\x95\x01\x02\x03\x04\x05", 6, &five, &objects), WL_ERR_TOO_BIG);
    cr_assert_eq(wl_walk("\x83\x01\x02\x03\x04\x05\x06", 7, &five, &objects), WL_ERR_TOO_BIG);
    cr_assert_eq(objects, 99, "untouched on failure");
}

Test(walk, refuses_trailing_bytes_nothing_and_0xc1) {
    cr_assert_eq(walk("", 0), WL_ERR_MALFORMED);
    cr_assert_eq(wl_walk(NULL, 0, &limits, NULL), WL_ERR_MALFORMED);
    cr_assert_eq(WALK("\xc0\xc0"), WL_ERR_MALFORMED);
    cr_assert_eq(WALK("\x90\x00"), WL_ERR_MALFORMED);
    cr_assert_eq(WALK("\xc1"), WL_ERR_MALFORMED);
    cr_assert_eq(WALK("\x91\xc1"), WL_ERR_MALFORMED);
}

Test(walk, accepts_random_valid_objects_and_refuses_every_truncation) {
    rng_t rng = {1};
    for (unsigned round = 0; round < 600; round++) {
        msgpack_sbuffer buffer;
        msgpack_packer packer;
        msgpack_sbuffer_init(&buffer);
        msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
        pack_random(&rng, &packer, round % 5);
        cr_assert_eq(walk(buffer.data, buffer.size), WL_OK, "round %u", round);
        cr_assert(msgpack_accepts(buffer.data, buffer.size));
        size_t step = 1 + buffer.size / 200;
        for (size_t cut = 0; cut < buffer.size; cut += step) {
            cr_assert_eq(walk(buffer.data, cut), WL_ERR_MALFORMED, "round %u cut %zu", round, cut);
        }
        msgpack_sbuffer_destroy(&buffer);
    }
}

/* Bytes that open many small containers, so that a good part of the rounds is well formed. */
static size_t random_bytes(rng_t *rng, uint8_t *bytes, size_t max) {
    size_t count = rng_below(rng, (uint32_t)max + 1);
    for (size_t i = 0; i < count; i++) {
        uint64_t number = rng_u64(rng);
        static const uint8_t openers[8] = {0x91, 0x92, 0x81, 0xdc, 0xd9, 0xc4, 0xd5, 0x93};
        bytes[i] = (number & 3) == 0   ? openers[(number >> 8) & 7]
                   : (number & 3) == 1 ? (uint8_t)((number >> 8) & 3)
                                       : (uint8_t)(number >> 8);
    }
    return count;
}

Test(walk, what_it_accepts_msgpack_c_unpacks) {
    rng_t rng = {2};
    unsigned accepted = 0;
    for (unsigned round = 0; round < 300000; round++) {
        uint8_t bytes[24];
        size_t count = random_bytes(&rng, bytes, sizeof bytes);
        wl_err_t err = wl_walk(bytes, count, &limits, NULL);
        if (err == WL_OK) {
            accepted++;
            cr_assert(msgpack_accepts(bytes, count), "round %u", round);
        }
    }
    cr_assert_gt(accepted, 5000);
}
