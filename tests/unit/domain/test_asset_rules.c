#include "base/alloc.h"
#include "domain/asset_rules.h"

#include <criterion/criterion.h>
#include <msgpack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static wl_asset_t sample(void) {
    return (wl_asset_t){.uid = 7,
                        .version = 1,
                        .amount = 100,
                        .line = "cash",
                        .bucket = "ios",
                        .unit = "CNY",
                        .scale = 2,
                        .kind = WL_KIND_CASH,
                        .state = WL_STATE_AVAILABLE};
}

static wl_line_t sample_line(void) {
    return (wl_line_t){.id = "cash",
                       .unit = "CNY",
                       .scale = 2,
                       .kind = WL_KIND_CASH,
                       .sanity = {.amount_min = 0, .amount_max = INT64_MAX}};
}

#define REFUSED(call, where_, message_)            \
    do {                                           \
        wl_fault_t fault = {0};                    \
        cr_expect_eq(call, WL_ERR_BAD_REQUEST);    \
        cr_expect_str_eq(fault.where, where_);     \
        cr_expect_str_eq(fault.message, message_); \
    } while (0)

/* versions, keys, states */

Test(asset_rules, equal_and_older_versions_never_win) {
    wl_asset_t stored = sample();
    wl_asset_t incoming = sample();
    stored.version = 5;
    cr_expect(wl_asset_newer(&incoming, NULL));
    for (uint64_t version = 0; version < 10; version++) {
        incoming.version = version;
        cr_expect_eq(wl_asset_newer(&incoming, &stored), version > 5);
    }
    incoming.version = WL_VERSION_MAX;
    cr_expect(wl_asset_newer(&incoming, &stored));
}

Test(asset_rules, keys_are_user_line_and_bucket) {
    wl_asset_t a = sample();
    wl_asset_t b = sample();
    b.amount = 99;
    b.version = 9;
    cr_expect(wl_asset_same_key(&a, &b));
    b.uid = 8;
    cr_expect_not(wl_asset_same_key(&a, &b));
    b = sample();
    b.bucket[0] = '\0';
    cr_expect_not(wl_asset_same_key(&a, &b));
    b = sample();
    (void)snprintf(b.line, sizeof b.line, "coin");
    cr_expect_not(wl_asset_same_key(&a, &b));
}

Test(asset_rules, expires_at_the_very_millisecond) {
    wl_asset_t asset = sample();
    asset.expires_at = 1000;
    const wl_state_t owned[] = {WL_STATE_AVAILABLE, WL_STATE_FROZEN};
    for (size_t i = 0; i < 2; i++) {
        asset.state = (uint8_t)owned[i];
        cr_expect_eq(wl_asset_state_at(&asset, (wl_wall_ms_t){999}), owned[i]);
        cr_expect_eq(wl_asset_state_at(&asset, (wl_wall_ms_t){1000}), WL_STATE_EXPIRED);
        cr_expect_eq(wl_asset_state_at(&asset, (wl_wall_ms_t){INT64_MAX}), WL_STATE_EXPIRED);
    }
    asset.state = WL_STATE_GONE;
    cr_expect_eq(wl_asset_state_at(&asset, (wl_wall_ms_t){2000}), WL_STATE_GONE);
    asset.state = WL_STATE_EXPIRED;
    cr_expect_eq(wl_asset_state_at(&asset, (wl_wall_ms_t){1}), WL_STATE_EXPIRED);
    asset.state = WL_STATE_AVAILABLE;
    asset.expires_at = 0;
    cr_expect_eq(wl_asset_state_at(&asset, (wl_wall_ms_t){INT64_MAX}), WL_STATE_AVAILABLE);
}

/* validity */

Test(asset_rules, accepts_a_record_at_every_bound) {
    wl_asset_t asset = sample();
    static const uint8_t extra[] = {0x80};
    cr_expect_eq(wl_asset_valid(&asset, NULL), WL_OK);
    memset(asset.line, 'a', WL_LINE_ID_MAX);
    memset(asset.bucket, 'b', WL_BUCKET_MAX);
    memcpy(asset.unit, "\xe8\xb1\x86\xe8\xb1\x86\xe8\xb1\x86\xe8\xb1\x86", 13);
    asset.version = WL_VERSION_MAX;
    asset.amount = INT64_MIN;
    asset.scale = WL_SCALE_MAX;
    asset.state = WL_STATE_GONE;
    asset.kind = WL_KIND_LINK;
    asset.extra = extra;
    asset.extra_bytes = sizeof extra;
    cr_expect_eq(wl_asset_valid(&asset, NULL), WL_OK);
}

Test(asset_rules, refuses_records_that_are_wrong_in_themselves) {
    static const uint8_t not_a_map[] = {0x01};
    struct {
        wl_asset_t asset;
        const char *where;
        const char *message;
    } rows[20];
    size_t count = 0;
#define WRONG(change, where_, message_)   \
    do {                                  \
        wl_asset_t asset = sample();      \
        change;                           \
        rows[count].asset = asset;        \
        rows[count].where = where_;       \
        rows[count++].message = message_; \
    } while (0)
    const char *id = "must match [a-z0-9_-]{1,32}";
    const char *bucket = "must be a printable text of at most 16 bytes";
    const char *unit = "must be a printable text of at most 12 bytes";
    const char *version = "must be from 1 to 2^63 - 1";
    WRONG(asset.uid = 0, "uid", "must not be 0");
    WRONG(asset.line[0] = '\0', "line", id);
    WRONG(asset.line[0] = 'C', "line", id);
    WRONG(memset(asset.line, 'a', sizeof asset.line), "line", id);
    WRONG(asset.bucket[0] = '\n', "bucket", bucket);
    WRONG(asset.bucket[0] = (char)0xff, "bucket", bucket);
    WRONG(memset(asset.bucket, 'a', sizeof asset.bucket), "bucket", bucket);
    WRONG(memset(asset.unit, 'a', sizeof asset.unit), "unit", unit);
    WRONG(memcpy(asset.unit, "\xc0\x80", 3), "unit", unit);
    WRONG(memcpy(asset.unit, "\xe0\x80\x80", 4), "unit", unit);
    WRONG(memcpy(asset.unit, "\xed\xa0\x80", 4), "unit", unit);
    WRONG(memcpy(asset.unit, "\xf4\x90\x80\x80", 5), "unit", unit);
    WRONG(asset.version = 0, "version", version);
    WRONG(asset.version = WL_VERSION_MAX + 1, "version", version);
    WRONG(asset.kind = WL_KIND_COUNT, "kind", "is not a known kind");
    WRONG(asset.state = WL_STATE_COUNT, "state", "is not a known state");
    WRONG(asset.scale = 10, "scale", "must be from 0 to 9");
    WRONG(asset.expires_at = -1, "expires_at", "must not be negative");
    WRONG(asset.extra_bytes = 513, "extra", "must have at most 512 bytes");
    WRONG((asset.extra_bytes = 1, asset.extra = not_a_map), "extra", "must be one MessagePack map");
    cr_assert_leq(count, sizeof rows / sizeof rows[0]);
    for (size_t i = 0; i < count; i++) {
        REFUSED(wl_asset_valid(&rows[i].asset, &fault), rows[i].where, rows[i].message);
    }
    wl_asset_t missing = sample();
    missing.extra_bytes = 3;
    REFUSED(wl_asset_valid(&missing, &fault), "extra", "must be one MessagePack map");
}

/* A packed value of random shape; *left bounds the objects. */
static void pack_random(msgpack_packer *packer, uint32_t *left, uint32_t depth) {
    uint64_t pick = next_random() % 14;
    *left = *left > 0 ? *left - 1 : 0;
    uint32_t inner = depth > 2 || *left == 0 ? 0 : (uint32_t)(next_random() % 20);
    char filler[300] = {0};
    if (pick == 0) {
        msgpack_pack_array(packer, inner);
    } else if (pick == 1) {
        msgpack_pack_map(packer, inner);
    }
    if (pick < 2) {
        for (uint32_t i = 0; i < inner * (pick == 1 ? 2u : 1u); i++) {
            pack_random(packer, left, depth + 1);
        }
        return;
    }
    size_t bytes = next_random() % (pick == 13 ? 300 : 40);
    switch (pick) {
    case 2: msgpack_pack_nil(packer); break;
    case 3: msgpack_pack_true(packer); break;
    case 4: msgpack_pack_double(packer, 1.5); break;
    case 5: msgpack_pack_float(packer, 1.5f); break;
    case 6: msgpack_pack_uint64(packer, next_random() >> (next_random() % 64)); break;
    case 7: msgpack_pack_int64(packer, (int64_t)next_random() >> (next_random() % 64)); break;
    case 8: msgpack_pack_ext_with_body(packer, filler, bytes, 3); break;
    case 9: msgpack_pack_bin_with_body(packer, filler, bytes); break;
    case 10: msgpack_pack_ext_with_body(packer, filler, (size_t)1 << (bytes % 5), 3); break;
    default: msgpack_pack_str_with_body(packer, filler, bytes); break;
    }
}

/* Model: msgpack-c. A random map is accepted; so is what msgpack-c accepts after one byte of it
 * was changed, when it still is one map that fills the bytes. */
Test(asset_rules, judges_extra_as_msgpack_does) {
    uint32_t accepted = 0;
    for (uint32_t round = 0; round < 20000; round++) {
        msgpack_sbuffer buffer;
        msgpack_sbuffer_init(&buffer);
        msgpack_packer packer = {&buffer, msgpack_sbuffer_write};
        uint32_t pairs = (uint32_t)(next_random() % 18);
        uint32_t left = 30;
        msgpack_pack_map(&packer, pairs);
        for (uint32_t i = 0; i < pairs * 2; i++) {
            pack_random(&packer, &left, 0);
        }
        bool fits = buffer.size <= WL_EXTRA_BYTES_MAX;
        cr_assert_eq(wl_asset_extra_valid((uint8_t *)buffer.data, buffer.size), fits);
        if (fits) {
            uint8_t *copy = malloc(buffer.size); /* exact, so that the sanitizer sees it */
            memcpy(copy, buffer.data, buffer.size);
            copy[next_random() % buffer.size] = (uint8_t)next_random();
            bool mine = wl_asset_extra_valid(copy, buffer.size);
            msgpack_unpacked unpacked;
            msgpack_unpacked_init(&unpacked);
            size_t used = 0;
            bool theirs = mine && msgpack_unpack_next(&unpacked, (char *)copy, buffer.size,
                                                      &used) == MSGPACK_UNPACK_SUCCESS;
            cr_assert(!mine ||
                      (theirs && used == buffer.size && unpacked.data.type == MSGPACK_OBJECT_MAP));
            accepted += mine;
            msgpack_unpacked_destroy(&unpacked);
            free(copy);
        }
        msgpack_sbuffer_destroy(&buffer);
    }
    cr_expect_gt(accepted, 1000);
    cr_expect_not(wl_asset_extra_valid((const uint8_t *)"", 0));
    cr_expect_not(wl_asset_extra_valid((const uint8_t *)"\x80\x80", 2), "trailing bytes");
    cr_expect_not(wl_asset_extra_valid((const uint8_t *)"\x81\xa1", 2), "cut");
    cr_expect_not(wl_asset_extra_valid((const uint8_t *)"\xdf\xff\xff\xff\xff", 5), "huge");
    cr_expect_not(wl_asset_extra_valid((const uint8_t *)"\x81\xa1k\xc1", 4), "never used");
    uint8_t deep[64];
    memset(deep, 0x91, sizeof deep);
    deep[0] = 0x81;
    deep[1] = 0x01;
    deep[63] = 0x01;
    cr_expect_not(wl_asset_extra_valid(deep, sizeof deep), "deep");
}

/* sanity */

Test(asset_rules, quarantines_what_the_line_may_not_send) {
    wl_line_t line = sample_line();
    line.sanity = (wl_sanity_t){.amount_min = -5, .amount_max = 100};
    wl_asset_t asset = sample();
    cr_expect_eq(wl_asset_sane(&asset, &line, NULL), WL_OK);
    asset.amount = -5;
    asset.pending = -5;
    cr_expect_eq(wl_asset_sane(&asset, &line, NULL), WL_OK);
    asset.amount = -6;
    REFUSED(wl_asset_sane(&asset, &line, &fault), "amount", "is below amount_min of the line");
    asset.amount = 101;
    REFUSED(wl_asset_sane(&asset, &line, &fault), "amount", "is above amount_max of the line");
    asset = sample();
    asset.pending = -6;
    REFUSED(wl_asset_sane(&asset, &line, &fault), "pending", "is below amount_min of the line");
    asset.pending = 101;
    REFUSED(wl_asset_sane(&asset, &line, &fault), "pending", "is above amount_max of the line");
    asset = sample();
    asset.unit[0] = 'c';
    REFUSED(wl_asset_sane(&asset, &line, &fault), "unit", "is \"cNY\", the line sends \"CNY\"");
    asset = sample();
    asset.scale = 3;
    REFUSED(wl_asset_sane(&asset, &line, &fault), "scale", "is 3, the line has 2");
    asset = sample();
    asset.kind = WL_KIND_COIN;
    REFUSED(wl_asset_sane(&asset, &line, &fault), "kind", "is coin, the line is of kind cash");
    asset = sample();
    asset.line[0] = 'b';
    REFUSED(wl_asset_sane(&asset, &line, &fault), "line", "is not the line that was asked");
    asset = sample();
    memcpy(asset.bucket, WL_BUCKET_CONSENT, sizeof WL_BUCKET_CONSENT);
    REFUSED(wl_asset_sane(&asset, &line, &fault), "bucket",
            "begins with \"!\", which lines may not use");
    asset.state = WL_STATE_GONE;
    cr_expect_eq(wl_asset_sane(&asset, &line, NULL), WL_ERR_BAD_REQUEST);
    cr_expect_eq(wl_asset_valid(&asset, NULL), WL_OK, "walletd itself keeps such records");
}

Test(asset_rules, a_least_amount_says_nothing_about_pending_and_tombstones) {
    wl_line_t line = sample_line();
    line.sanity = (wl_sanity_t){.amount_min = 50, .amount_max = 100};
    wl_asset_t asset = sample();
    cr_expect_eq(wl_asset_sane(&asset, &line, NULL), WL_OK);
    asset.amount = 0;
    asset.unit[0] = '\0';
    asset.state = WL_STATE_GONE;
    cr_expect_eq(wl_asset_sane(&asset, &line, NULL), WL_OK);
}

Test(asset_rules, quarantines_jumps_but_not_deletions) {
    wl_line_t line = sample_line();
    line.sanity.jump_max = 10;
    line.sanity.version_ahead_max = 100;
    wl_asset_t stored = sample();
    wl_asset_t incoming = sample();
    incoming.amount = stored.amount + 10;
    incoming.version = stored.version + 100;
    cr_expect_eq(wl_asset_step_sane(&incoming, NULL, &line, NULL), WL_OK);
    cr_expect_eq(wl_asset_step_sane(&incoming, &stored, &line, NULL), WL_OK);
    incoming.amount++;
    REFUSED(wl_asset_step_sane(&incoming, &stored, &line, &fault), "amount",
            "jumps further than jump_max of the line");
    incoming.amount = stored.amount - 11;
    REFUSED(wl_asset_step_sane(&incoming, &stored, &line, &fault), "amount",
            "jumps further than jump_max of the line");
    incoming.state = WL_STATE_GONE;
    cr_expect_eq(wl_asset_step_sane(&incoming, &stored, &line, NULL), WL_OK);
    incoming.version++;
    REFUSED(wl_asset_step_sane(&incoming, &stored, &line, &fault), "version",
            "steps further than version_ahead_max of the line");
    stored.version = WL_VERSION_MAX;
    cr_expect_eq(wl_asset_step_sane(&incoming, &stored, &line, NULL), WL_OK);
}

Test(asset_rules, a_jump_over_the_whole_range_does_not_overflow) {
    wl_line_t line = sample_line();
    line.sanity.jump_max = INT64_MAX;
    wl_asset_t stored = sample();
    wl_asset_t incoming = sample();
    stored.amount = INT64_MIN;
    incoming.amount = INT64_MAX;
    cr_expect_eq(wl_asset_step_sane(&incoming, &stored, &line, NULL), WL_ERR_BAD_REQUEST);
    cr_expect_eq(wl_asset_step_sane(&stored, &incoming, &line, NULL), WL_ERR_BAD_REQUEST);
    line.sanity.jump_max = 0;
    cr_expect_eq(wl_asset_step_sane(&incoming, &stored, &line, NULL), WL_OK);
}

/* amounts */

Test(asset_rules, checked_sums_stay_as_they_were_on_overflow) {
    int64_t sum = INT64_MAX - 1;
    cr_expect_eq(wl_amount_add(&sum, 1), WL_OK);
    cr_expect_eq(wl_amount_add(&sum, 1), WL_ERR_OVERFLOW);
    cr_expect_eq(sum, INT64_MAX);
    sum = INT64_MIN;
    cr_expect_eq(wl_amount_add(&sum, -1), WL_ERR_OVERFLOW);
    cr_expect_eq(sum, INT64_MIN);
    cr_expect_eq(wl_amount_add(&sum, INT64_MAX), WL_OK);
    cr_expect_eq(sum, -1);
}

Test(asset_rules, parses_what_people_write) {
    struct {
        const char *text;
        uint8_t scale;
        int64_t amount;
    } rows[] = {{"0", 0, 0},
                {"-0", 2, 0},
                {"12.5", 2, 1250},
                {"12", 2, 1200},
                {"-12.50", 2, -1250},
                {"0.000000001", 9, 1},
                {"007", 0, 7},
                {"-0.01", 2, -1},
                {"9223372036854775807", 0, INT64_MAX},
                {"-9223372036854775808", 0, INT64_MIN},
                {"92233720368547758.07", 2, INT64_MAX}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        int64_t amount = -77;
        cr_expect_eq(wl_amount_parse(rows[i].text, rows[i].scale, &amount), WL_OK, "%s",
                     rows[i].text);
        cr_expect_eq(amount, rows[i].amount, "%s", rows[i].text);
    }
}

Test(asset_rules, refuses_amounts_that_are_not_exact) {
    const char *bad[] = {"",      "-",   "+1", " 1",   "1 ",  "1e3",   "1.",  ".5",    "-.5",
                         "1.234", "--1", "1-", "0x10", "1,5", "1.2.3", "NaN", "1.00 ", "1.000"};
    int64_t amount = -77;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        cr_expect_eq(wl_amount_parse(bad[i], 2, &amount), WL_ERR_BAD_REQUEST, "%s", bad[i]);
    }
    cr_expect_eq(wl_amount_parse("1.0", 0, &amount), WL_ERR_BAD_REQUEST);
    cr_expect_eq(wl_amount_parse(NULL, 0, &amount), WL_ERR_BAD_REQUEST);
    cr_expect_eq(wl_amount_parse("1", 10, &amount), WL_ERR_BAD_REQUEST);
    const char *large[] = {"9223372036854775808", "-9223372036854775809", "92233720368547758070",
                           "99999999999999999999999999999999999"};
    for (size_t i = 0; i < sizeof large / sizeof large[0]; i++) {
        cr_expect_eq(wl_amount_parse(large[i], 0, &amount), WL_ERR_OVERFLOW, "%s", large[i]);
    }
    cr_expect_eq(wl_amount_parse("92233720368547758.08", 2, &amount), WL_ERR_OVERFLOW);
    cr_expect_eq(wl_amount_parse("9223372037", 9, &amount), WL_ERR_OVERFLOW);
    cr_expect_eq(amount, -77, "untouched on failure");
}

Test(asset_rules, formats_with_all_decimals) {
    char text[32];
    wl_amount_format(-1250, 2, text);
    cr_expect_str_eq(text, "-12.50");
    wl_amount_format(5, 2, text);
    cr_expect_str_eq(text, "0.05");
    wl_amount_format(0, 0, text);
    cr_expect_str_eq(text, "0");
    wl_amount_format(0, 9, text);
    cr_expect_str_eq(text, "0.000000000");
    wl_amount_format(INT64_MIN, 9, text);
    cr_expect_str_eq(text, "-9223372036.854775808");
    wl_amount_format(1, 10, text);
    cr_expect_str_eq(text, "?");
}

Test(asset_rules, every_amount_survives_format_and_parse) {
    const int64_t edges[] = {0, 1, -1, 9, 10, -10, INT64_MAX, INT64_MIN, INT64_MIN + 1};
    for (uint32_t round = 0; round < 100000; round++) {
        int64_t amount =
            round < 9 * 10 ? edges[round % 9] : (int64_t)next_random() >> (next_random() % 64);
        uint8_t scale = (uint8_t)(round < 90 ? round / 9 : next_random() % 10);
        char text[32];
        int64_t back = 0;
        wl_amount_format(amount, scale, text);
        cr_assert_eq(wl_amount_parse(text, scale, &back), WL_OK, "%s", text);
        cr_assert_eq(back, amount, "%s", text);
    }
}
