#include "proto/change.h"

#include "proto_random.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static wl_change_t changes[WL_CHANGES_MAX];
static wl_change_t back[WL_CHANGES_MAX];

static wl_err_t unpack(const char *bytes, size_t count, size_t *ret_count) {
    return wl_changes_unpack(bytes, count, back, ret_count);
}

#define UNPACK(text) unpack((text), sizeof(text) - 1, &count)

static void random_changes(rng_t *rng, size_t count) {
    memset(changes, 0, sizeof changes);
    for (size_t i = 0; i < count; i++) {
        changes[i].uid = rng_wide(rng);
        changes[i].version = rng_wide(rng);
        memset(changes[i].bucket, 'b', rng_below(rng, WL_BUCKET_MAX + 1));
    }
}

Test(change, comes_back_as_it_was_packed) {
    rng_t rng = {31};
    for (unsigned round = 0; round < 200; round++) {
        size_t count = round == 0 ? WL_CHANGES_MAX : rng_below(&rng, 20);
        size_t got = 9999;
        msgpack_sbuffer buffer;
        msgpack_sbuffer_init(&buffer);
        random_changes(&rng, count);
        wl_changes_pack(&buffer, changes, count);
        cr_assert_eq(wl_changes_unpack(buffer.data, buffer.size, back, &got), WL_OK);
        cr_assert_eq(got, count);
        for (size_t i = 0; i < count; i++) {
            cr_assert_eq(back[i].uid, changes[i].uid);
            cr_assert_eq(back[i].version, changes[i].version);
            cr_assert_str_eq(back[i].bucket, changes[i].bucket);
        }
        msgpack_sbuffer_destroy(&buffer);
    }
}

Test(change, refuses_every_truncation) {
    rng_t rng = {32};
    msgpack_sbuffer buffer;
    size_t got = 9999;
    msgpack_sbuffer_init(&buffer);
    random_changes(&rng, 5);
    wl_changes_pack(&buffer, changes, 5);
    for (size_t cut = 0; cut < buffer.size; cut++) {
        char *exact = malloc(cut + 1);
        memcpy(exact, buffer.data, cut);
        cr_assert_eq(wl_changes_unpack(exact, cut, back, &got), WL_ERR_MALFORMED, "%zu", cut);
        free(exact);
    }
    cr_assert_eq(got, 9999, "untouched on failure");
    msgpack_sbuffer_destroy(&buffer);
}

Test(change, absent_fields_are_zero_and_those_of_a_newer_program_skipped) {
    size_t count = 0;
    cr_assert_eq(UNPACK("\x90"), WL_OK);
    cr_assert_eq(count, 0);
    cr_assert_eq(UNPACK("\x92\x91\x05\x95\x06\xa1x\x07\xc0\x81\x01\x02"), WL_OK);
    cr_assert_eq(count, 2);
    cr_assert_eq(back[0].uid, 5);
    cr_assert_str_eq(back[0].bucket, "");
    cr_assert_eq(back[0].version, 0);
    cr_assert_eq(back[1].uid, 6);
    cr_assert_str_eq(back[1].bucket, "x");
    cr_assert_eq(back[1].version, 7);
}

Test(change, refuses_other_shapes) {
    size_t count = 0;
    cr_assert_eq(UNPACK(""), WL_ERR_MALFORMED);
    cr_assert_eq(UNPACK("\x80"), WL_ERR_MALFORMED);
    cr_assert_eq(UNPACK("\x91\x05"), WL_ERR_MALFORMED);
    cr_assert_eq(UNPACK("\x91\x90"), WL_ERR_MALFORMED);
    cr_assert_eq(UNPACK("\x91\x91\xff"), WL_ERR_MALFORMED);
    cr_assert_eq(UNPACK("\x91\x92\x05\x05"), WL_ERR_MALFORMED);
    cr_assert_eq(UNPACK("\x91\x92\x05\xb1"
                        "12345678901234567"),
                 WL_ERR_MALFORMED);
    cr_assert_eq(UNPACK("\x91\x93\x05\xa0\xa0"), WL_ERR_MALFORMED);
    cr_assert_eq(UNPACK("\xdd\xff\xff\xff\xff"), WL_ERR_MALFORMED);
}

Test(change, refuses_more_than_a_notification_may_carry) {
    static char bytes[3 + 2 * (WL_CHANGES_MAX + 1)] = {(char)0xdc, 0x03, (char)0xe9};
    size_t count = 0;
    for (unsigned i = 0; i < WL_CHANGES_MAX + 1; i++) {
        bytes[3 + 2 * i] = (char)0x91;
        bytes[4 + 2 * i] = 1;
    }
    cr_assert_eq(wl_changes_unpack(bytes, sizeof bytes, back, &count), WL_ERR_TOO_BIG);
    bytes[2] = (char)0xe8;
    cr_assert_eq(wl_changes_unpack(bytes, sizeof bytes - 2, back, &count), WL_OK);
    cr_assert_eq(count, WL_CHANGES_MAX);
}
