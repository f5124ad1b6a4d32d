/* Events packed and read back, hostile bytes, and tags of values. */
#include "domain/trail_event.h"

#include <criterion/criterion.h>
#include <string.h>

static uint64_t seed = 7;

static uint64_t next(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

/* Small, large, or none. */
static uint64_t number(void) {
    uint64_t pick = next() % 4;
    return pick == 0   ? 0
           : pick == 1 ? next() % 300
           : pick == 2 ? next() >> (next() % 64)
                       : UINT64_MAX;
}

static void text_fill(char *into, size_t max, const char *letters) {
    size_t bytes = next() % (max + 1);
    for (size_t i = 0; i < bytes; i++) {
        into[i] = letters[next() % strlen(letters)];
    }
    into[bytes] = '\0';
}

static wl_trail_event_t random_event(wl_trail_texts_t *texts) {
    text_fill(texts->line, WL_LINE_ID_MAX, "abc-_09");
    text_fill(texts->bucket, WL_BUCKET_MAX, "ab \xc3\xa4");
    text_fill(texts->text, WL_TRAIL_TEXT_MAX, "why not?");
    return (wl_trail_event_t){.uid = number(),
                              .at = (int64_t)(next() >> 17),
                              .what = (wl_trail_what_t)(next() % WL_TRAIL_COUNT),
                              .line = texts->line,
                              .bucket = texts->bucket,
                              .version = number(),
                              .before = number(),
                              .notified_at = (int64_t)number(),
                              .pulled_at = (int64_t)number(),
                              .tag = next() >> 16,
                              .outcome = (uint8_t)(next() % 4),
                              .attempt = (uint32_t)number(),
                              .number = number(),
                              .text = texts->text};
}

static void expect_same(const wl_trail_event_t *one, const wl_trail_event_t *other) {
    cr_expect_eq(one->uid, other->uid);
    cr_expect_eq(one->at, other->at);
    cr_expect_eq(one->what, other->what);
    cr_expect_str_eq(one->line, other->line);
    cr_expect_str_eq(one->bucket, other->bucket);
    cr_expect_eq(one->version, other->version);
    cr_expect_eq(one->before, other->before);
    cr_expect_eq(one->notified_at, other->notified_at);
    cr_expect_eq(one->pulled_at, other->pulled_at);
    cr_expect_eq(one->tag, other->tag);
    cr_expect_eq(one->outcome, other->outcome);
    cr_expect_eq(one->attempt, other->attempt);
    cr_expect_eq(one->number, other->number);
    cr_expect_str_eq(one->text, other->text);
}

Test(trail_event, is_read_as_it_was_packed) {
    for (int i = 0; i < 20000; i++) {
        uint8_t bytes[WL_TRAIL_BYTES_MAX];
        wl_trail_texts_t texts;
        wl_trail_texts_t read;
        wl_trail_event_t event = random_event(&texts);
        wl_trail_event_t back;
        size_t count = wl_trail_pack(&event, bytes);
        cr_assert_leq(count, sizeof bytes);
        cr_assert_eq(wl_trail_unpack(bytes, count, &read, &back), WL_OK);
        expect_same(&event, &back);
    }
}

Test(trail_event, of_an_ordinary_change_are_small) {
    uint8_t bytes[WL_TRAIL_BYTES_MAX];
    const wl_trail_event_t notified = {.uid = UINT64_MAX,
                                       .at = 1794326400000,
                                       .what = WL_TRAIL_NOTIFIED,
                                       .line = "cash",
                                       .bucket = "",
                                       .version = 1000000,
                                       .notified_at = 1794326400000 - 20,
                                       .text = ""};
    wl_trail_event_t stored = notified;
    stored.what = WL_TRAIL_STORED;
    stored.pulled_at = stored.at - 10;
    stored.tag = UINT64_MAX >> 16;
    cr_expect_leq(wl_trail_pack(&notified, bytes), 28u);
    cr_expect_leq(wl_trail_pack(&stored, bytes), 36u);
}

Test(trail_event, is_refused_when_it_is_cut_or_runs_on) {
    for (int i = 0; i < 500; i++) {
        uint8_t bytes[WL_TRAIL_BYTES_MAX + 1] = {0};
        wl_trail_texts_t texts;
        wl_trail_event_t event = random_event(&texts);
        wl_trail_event_t back;
        size_t count = wl_trail_pack(&event, bytes);
        for (size_t cut = 0; cut < count; cut++) {
            cr_assert_eq(wl_trail_unpack(bytes, cut, &texts, &back), WL_ERR_MALFORMED);
        }
        cr_assert_eq(wl_trail_unpack(bytes, count + 1, &texts, &back), WL_ERR_MALFORMED);
        for (uint8_t less = 1; less <= bytes[0] && bytes[0] - less >= 9; less++) {
            uint8_t cut[sizeof bytes]; /* its own count says that it is shorter */
            memcpy(cut, bytes, sizeof cut);
            cut[0] = (uint8_t)(bytes[0] - less);
            wl_err_t err = wl_trail_unpack(cut, count - less, &texts, &back);
            cr_assert(err == WL_ERR_MALFORMED, "%u bytes less", less);
        }
    }
}

Test(trail_event, takes_what_a_newer_program_has_added) {
    uint8_t bytes[WL_TRAIL_BYTES_MAX];
    wl_trail_texts_t texts;
    wl_trail_event_t back;
    const wl_trail_event_t event = {
        .uid = 3, .at = 5, .what = WL_TRAIL_STORED, .line = "cash", .bucket = "", .text = ""};
    size_t count = wl_trail_pack(&event, bytes);
    memset(&bytes[count], 0xff, 4);
    bytes[0] = (uint8_t)(bytes[0] + 4);
    cr_assert_eq(wl_trail_unpack(bytes, count + 4, &texts, &back), WL_OK);
    cr_expect_eq(back.uid, 3u);
    bytes[WL_TRAIL_HEAD_BYTES + 6] = WL_TRAIL_COUNT; /* another kind is not known */
    cr_expect_eq(wl_trail_unpack(bytes, count + 4, &texts, &back), WL_ERR_MALFORMED);
}

Test(trail_event, survives_any_bytes) {
    for (int i = 0; i < 200000; i++) {
        uint8_t bytes[64];
        wl_trail_texts_t texts;
        wl_trail_event_t back;
        size_t own = 0;
        uint64_t uid = 0;
        int64_t at = 0;
        size_t count = next() % sizeof bytes;
        for (size_t b = 0; b < count; b++) {
            bytes[b] = (uint8_t)next();
        }
        bytes[0] = (uint8_t)(next() % 56); /* often as long as it says */
        if (wl_trail_peek(bytes, count, &own, &uid, &at)) {
            cr_assert_leq(own, count);
            if (wl_trail_unpack(bytes, own, &texts, &back) == WL_OK) {
                cr_assert_lt(back.what, WL_TRAIL_COUNT);
                cr_assert(back.line[0] == '\0' || wl_line_id_valid(back.line));
            }
        }
    }
}

Test(trail_event, texts_that_are_too_long_are_cut) {
    uint8_t bytes[WL_TRAIL_BYTES_MAX];
    char text[300];
    wl_trail_texts_t texts;
    wl_trail_event_t back;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    const wl_trail_event_t event = {.uid = UINT64_MAX,
                                    .what = WL_TRAIL_FAILED,
                                    .line = "cash",
                                    .bucket = "0123456789012345678",
                                    .text = text};
    size_t count = wl_trail_pack(&event, bytes);
    cr_assert_eq(wl_trail_unpack(bytes, count, &texts, &back), WL_OK);
    cr_expect_eq(strlen(back.text), (size_t)WL_TRAIL_TEXT_MAX);
    cr_expect_str_eq(back.bucket, "0123456789012345");
}

Test(trail_event, tags_differ_when_a_user_would_see_a_difference) {
    const wl_asset_t asset = {.uid = 1, .amount = 5, .unit = "CNY", .version = 3, .scale = 2};
    const uint8_t extra[] = {0x81, 0xa1, 'a', 1, 2, 3, 4, 5, 6, 7};
    wl_asset_t others[9];
    for (size_t i = 0; i < 9; i++) {
        others[i] = asset;
    }
    others[0].amount++;
    others[1].pending++;
    others[2].expires_at++;
    others[3].count++;
    others[4].kind++;
    others[5].state++;
    others[6].scale++;
    others[7].unit[2] = 'X';
    others[8].extra = extra;
    others[8].extra_bytes = sizeof extra;
    uint64_t tag = wl_trail_tag(&asset, 99);
    for (size_t i = 0; i < 9; i++) {
        cr_expect_neq(wl_trail_tag(&others[i], 99), tag, "field %zu", i);
        cr_expect(wl_trail_tags_compare(wl_trail_tag(&others[i], 99), tag));
    }
    wl_asset_t newer = asset;
    newer.version++;
    newer.changed_at = 77;
    newer.pulled_at = 78;
    cr_expect_eq(wl_trail_tag(&newer, 99), tag);
    cr_expect_not(wl_trail_tags_compare(wl_trail_tag(&asset, 100), tag), "keys are told apart");
    cr_expect_not(wl_trail_tags_compare(0, tag));
    cr_expect_eq(tag >> 48, 0u);
}

Test(trail_event, names_are_there_and_differ) {
    for (unsigned i = 0; i < WL_TRAIL_COUNT; i++) {
        for (unsigned other = 0; other < i; other++) {
            cr_expect_str_neq(wl_trail_what_name((wl_trail_what_t)i),
                              wl_trail_what_name((wl_trail_what_t)other));
        }
    }
    cr_expect_str_eq(wl_trail_what_name(WL_TRAIL_DEAD), "dead_letter");
    cr_expect_str_eq(wl_trail_what_name(WL_TRAIL_COUNT), "?");
}
