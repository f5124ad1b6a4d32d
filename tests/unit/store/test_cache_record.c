#include "store/cache_record.h"

#include "base/slot.h"
#include "store/asset_row.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static uint64_t state;

static uint64_t draw(uint64_t bound) {
    state = wl_mix64(state + 0x9e3779b97f4a7c15u);
    return (state >> 8) % bound;
}

static int64_t draw_i64(void) {
    static const int64_t edges[] = {0, 1, -1, INT64_MAX, INT64_MIN, INT64_MIN + 1};
    state = wl_mix64(state + 0x9e3779b97f4a7c15u);
    return draw(3) == 0 ? edges[draw(6)] : (int64_t)state;
}

static void draw_text(char *ret, size_t least, size_t most) {
    size_t bytes = least + draw(most - least + 1);
    for (size_t i = 0; i < bytes; i++) {
        ret[i] = "abcdefghijklmnopqrstuvwxyz0123456789_-"[draw(38)];
    }
    ret[bytes] = '\0';
}

static wl_asset_t draw_asset(uint8_t extra[WL_EXTRA_BYTES_MAX]) {
    static const uint64_t versions[] = {0,
                                        1,
                                        1u << 31,
                                        (uint64_t)1 << 53,
                                        ((uint64_t)1 << 53) + 1,
                                        WL_VERSION_MAX - 1,
                                        WL_VERSION_MAX};
    wl_asset_t asset = {.uid = 42,
                        .version = draw(2) == 0 ? versions[draw(7)] : draw(WL_VERSION_MAX),
                        .amount = draw_i64(),
                        .pending = draw_i64(),
                        .expires_at = draw_i64(),
                        .changed_at = draw_i64(),
                        .pulled_at = draw_i64() & INT64_MAX,
                        .count = (uint32_t)draw((uint64_t)UINT32_MAX + 1),
                        .kind = (uint8_t)draw(WL_KIND_COUNT),
                        .state = (uint8_t)draw(WL_STATE_COUNT),
                        .scale = (uint8_t)draw(WL_SCALE_MAX + 1)};
    draw_text(asset.line, 1, WL_LINE_ID_MAX);
    draw_text(asset.bucket, 0, WL_BUCKET_MAX);
    draw_text(asset.unit, 0, WL_UNIT_MAX);
    asset.extra_bytes = (uint16_t)(draw(4) == 0 ? WL_EXTRA_BYTES_MAX * draw(2) : draw(40));
    for (unsigned i = 0; i < asset.extra_bytes; i++) {
        extra[i] = (uint8_t)draw(256);
    }
    asset.extra = asset.extra_bytes == 0 ? NULL : extra;
    return asset;
}

static void expect_same(const wl_asset_t *a, const wl_asset_t *b) {
    cr_assert(a->uid == b->uid && a->version == b->version && a->amount == b->amount);
    cr_assert(a->pending == b->pending && a->expires_at == b->expires_at);
    cr_assert(a->changed_at == b->changed_at && a->pulled_at == b->pulled_at);
    cr_assert(a->count == b->count && a->kind == b->kind && a->state == b->state);
    cr_assert(a->scale == b->scale && a->extra_bytes == b->extra_bytes);
    cr_assert_str_eq(a->line, b->line);
    cr_assert_str_eq(a->bucket, b->bucket);
    cr_assert_str_eq(a->unit, b->unit);
    cr_assert((a->extra == NULL) == (b->extra == NULL));
    cr_assert(a->extra == NULL || memcmp(a->extra, b->extra, a->extra_bytes) == 0);
}

typedef struct {
    char field[WL_CACHE_FIELD_BYTES_MAX + 1];
    size_t field_bytes;
    uint8_t value[WL_CACHE_VALUE_BYTES_MAX];
    size_t value_bytes;
} record_t;

static record_t pack(const wl_asset_t *asset) {
    record_t record;
    record.field_bytes = wl_cache_record_field(asset, record.field);
    record.value_bytes = wl_cache_record_pack(asset, record.value);
    cr_assert(record.field_bytes <= WL_CACHE_FIELD_BYTES_MAX);
    cr_assert(record.value_bytes <= WL_CACHE_VALUE_BYTES_MAX);
    return record;
}

/* Unpacks from memory of exactly that size, so that a sanitizer sees each byte read beyond it. */
static wl_err_t unpack(const char *field, size_t field_bytes, const uint8_t *value,
                       size_t value_bytes, wl_asset_t *ret, uint8_t **ret_memory) {
    char *name = malloc(field_bytes + (field_bytes == 0));
    *ret_memory = malloc(value_bytes + (value_bytes == 0));
    memcpy(name, field, field_bytes);
    memcpy(*ret_memory, value, value_bytes);
    wl_err_t err = wl_cache_record_unpack(42, name, field_bytes, *ret_memory, value_bytes, ret);
    free(name);
    return err;
}

static bool texts_are_whole(const wl_asset_t *asset, size_t field_bytes) {
    return strlen(asset->line) + 1 + strlen(asset->bucket) == field_bytes;
}

/* Unpacks; must be damaged, or something that may be stored and packs into the same bytes. */
static bool damaged_or_sound(const char *field, size_t field_bytes, const uint8_t *value,
                             size_t value_bytes) {
    wl_asset_t asset = {.uid = 7};
    uint8_t *memory = NULL;
    wl_err_t err = unpack(field, field_bytes, value, value_bytes, &asset, &memory);
    if (err != WL_OK) {
        cr_assert_eq(err, WL_ERR_DAMAGED);
        cr_assert_eq(asset.uid, 7u, "nothing was written");
    } else {
        cr_assert_eq(wl_asset_row_check(&asset), WL_OK);
        cr_assert(texts_are_whole(&asset, field_bytes), "a text ends early");
        record_t again = pack(&asset);
        cr_assert_eq(again.value_bytes, value_bytes);
        cr_assert_eq(memcmp(again.value, value, value_bytes), 0);
        cr_assert_eq(memcmp(again.field, field, field_bytes), 0);
    }
    free(memory);
    return err != WL_OK;
}

Test(cache_record, brings_every_asset_back) {
    uint8_t extra[WL_EXTRA_BYTES_MAX];
    state = 1;
    for (int i = 0; i < 20000; i++) {
        wl_asset_t asset = draw_asset(extra);
        wl_asset_t back;
        uint8_t *memory = NULL;
        record_t record = pack(&asset);
        cr_assert_eq(unpack(record.field, record.field_bytes, record.value, record.value_bytes,
                            &back, &memory),
                     WL_OK);
        expect_same(&asset, &back);
        free(memory);
    }
}

Test(cache_record, the_largest_asset_fits) {
    uint8_t extra[WL_EXTRA_BYTES_MAX] = {0};
    wl_asset_t asset = {.uid = 42, .extra = extra, .extra_bytes = WL_EXTRA_BYTES_MAX};
    memset(asset.line, 'l', WL_LINE_ID_MAX);
    memset(asset.bucket, 'b', WL_BUCKET_MAX);
    memset(asset.unit, 'u', WL_UNIT_MAX);
    record_t record = pack(&asset);
    cr_assert_eq(record.field_bytes, WL_CACHE_FIELD_BYTES_MAX);
    cr_assert(
        !damaged_or_sound(record.field, record.field_bytes, record.value, record.value_bytes));
}

Test(cache_record, a_pull_before_1970_counts_as_1970) {
    wl_asset_t asset = {.uid = 42, .line = "cash", .pulled_at = -5};
    wl_asset_t back;
    record_t record = pack(&asset);
    cr_assert_eq(wl_cache_record_unpack(42, record.field, record.field_bytes, record.value,
                                        record.value_bytes, &back),
                 WL_OK);
    cr_assert_eq(back.pulled_at, 0);
}

Test(cache_record, every_truncation_and_every_tail_is_damage) {
    uint8_t extra[WL_EXTRA_BYTES_MAX];
    state = 2;
    for (int i = 0; i < 200; i++) {
        wl_asset_t asset = draw_asset(extra);
        record_t record = pack(&asset);
        uint8_t longer[WL_CACHE_VALUE_BYTES_MAX + 1];
        for (size_t bytes = 0; bytes < record.value_bytes; bytes++) {
            cr_assert(damaged_or_sound(record.field, record.field_bytes, record.value, bytes));
        }
        memcpy(longer, record.value, record.value_bytes);
        longer[record.value_bytes] = 0;
        cr_assert(
            damaged_or_sound(record.field, record.field_bytes, longer, record.value_bytes + 1));
    }
}

Test(cache_record, a_damaged_byte_is_noticed_or_gives_another_sound_asset) {
    uint8_t extra[WL_EXTRA_BYTES_MAX];
    uint32_t noticed = 0;
    state = 3;
    for (int i = 0; i < 60; i++) {
        wl_asset_t asset = draw_asset(extra);
        record_t record = pack(&asset);
        for (size_t at = 0; at < record.value_bytes; at++) {
            for (unsigned with = 0; with < 8; with++) {
                uint8_t kept = record.value[at];
                uint64_t drawn = with < 4 ? kept ^ (1u << (with * 2)) : draw(256);
                record.value[at] = (uint8_t)drawn;
                noticed += damaged_or_sound(record.field, record.field_bytes, record.value,
                                            record.value_bytes);
                record.value[at] = kept;
            }
        }
        for (size_t at = 0; at < record.field_bytes; at++) {
            for (unsigned with = 0; with < 256; with++) {
                char kept = record.field[at];
                record.field[at] = (char)with;
                noticed += damaged_or_sound(record.field, record.field_bytes, record.value,
                                            record.value_bytes);
                record.field[at] = kept;
            }
        }
    }
    cr_assert_gt(noticed, 1000);
}

Test(cache_record, fields_that_nobody_wrote_are_damage) {
    static const char *const fields[] = {"", "cash", "/", "/b"};
    wl_asset_t asset = {.uid = 42, .line = "cash"};
    record_t record = pack(&asset);
    for (size_t i = 0; i < 4; i++) {
        cr_expect(damaged_or_sound(fields[i], strlen(fields[i]), record.value, record.value_bytes),
                  "%s", fields[i]);
    }
    char large[80];
    memset(large, 'a', sizeof large);
    large[WL_LINE_ID_MAX + 1] = '/';
    cr_expect(damaged_or_sound(large, WL_LINE_ID_MAX + 2, record.value, record.value_bytes));
    large[WL_LINE_ID_MAX] = '/';
    large[WL_LINE_ID_MAX + 1] = 'a';
    size_t most = WL_CACHE_FIELD_BYTES_MAX;
    cr_expect(!damaged_or_sound(large, most, record.value, record.value_bytes));
    cr_expect(damaged_or_sound(large, most + 1, record.value, record.value_bytes));
}

Test(cache_record, garbage_is_never_trusted) {
    uint8_t garbage[200];
    state = 4;
    for (int i = 0; i < 50000; i++) {
        size_t bytes = draw(sizeof garbage);
        for (size_t at = 0; at < bytes; at++) {
            garbage[at] = (uint8_t)(at < 40 ? '0' + draw(10) : draw(draw(2) == 0 ? 4 : 256));
        }
        (void)damaged_or_sound("cash/b", 6, garbage, bytes);
    }
}

/* ---- which is newer -------------------------------------------------------------------------- */

static int order_of(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

Test(cache_record, the_digits_sort_as_version_and_then_pull) {
    static const uint64_t near[] = {0,
                                    1,
                                    9,
                                    10,
                                    ((uint64_t)1 << 53) - 1,
                                    (uint64_t)1 << 53,
                                    ((uint64_t)1 << 53) + 1,
                                    WL_VERSION_MAX - 2,
                                    WL_VERSION_MAX - 1,
                                    WL_VERSION_MAX};
    enum { NEAR = sizeof near / sizeof near[0] };
    record_t records[NEAR * NEAR];
    for (size_t i = 0; i < NEAR * NEAR; i++) {
        wl_asset_t asset = {.uid = 42, .line = "cash", .version = near[i / NEAR]};
        asset.pulled_at = (int64_t)near[i % NEAR];
        records[i] = pack(&asset);
    }
    for (size_t i = 0; i < NEAR * NEAR; i++) {
        for (size_t j = 0; j < NEAR * NEAR; j++) {
            int order = memcmp(records[i].value, records[j].value, WL_CACHE_ORDER_BYTES);
            cr_assert_eq(order_of(i, j), (order > 0) - (order < 0));
        }
    }
}

Test(cache_record, numbers_beyond_63_bits_are_damage) {
    static const char *const numbers[] = {"09223372036854775808", "18446744073709551615",
                                          "18446744073709551616", "99999999999999999999",
                                          "0000000000000000001x", "-0000000000000000001"};
    wl_asset_t asset = {.uid = 42, .line = "cash"};
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        for (size_t at = 0; at < WL_CACHE_ORDER_BYTES; at += WL_CACHE_DIGITS) {
            record_t record = pack(&asset);
            memcpy(record.value + at, numbers[i], WL_CACHE_DIGITS);
            cr_expect(damaged_or_sound(record.field, record.field_bytes, record.value,
                                       record.value_bytes),
                      "%s", numbers[i]);
        }
    }
    char digits[WL_CACHE_DIGITS + 1] = "";
    wl_cache_digits(UINT64_MAX, digits);
    cr_expect_str_eq(digits, "18446744073709551615");
}
