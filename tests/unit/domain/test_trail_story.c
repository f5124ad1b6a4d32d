/* What is told of events: versions before, values that changed, order, limits and sentences. */
#include "domain/trail_story.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#define BASE_MS INT64_C(1794326400000)

static void add(wl_trail_story_t *story, wl_trail_event_t event, bool shared) {
    uint8_t bytes[WL_TRAIL_BYTES_MAX];
    event.uid = shared ? 0 : 42;
    event.at += BASE_MS;
    event.line = event.line == NULL ? "" : event.line;
    event.bucket = event.bucket == NULL ? "" : event.bucket;
    event.text = event.text == NULL ? "" : event.text;
    wl_trail_story_add(story, bytes, wl_trail_pack(&event, bytes), shared);
}

#define ADD(story, ...) add((story), (wl_trail_event_t){__VA_ARGS__}, false)
#define ADD_SHARED(story, ...) add((story), (wl_trail_event_t){__VA_ARGS__}, true)

static const char *sentence(const wl_trail_story_t *story, uint32_t index) {
    static char text[WL_TRAIL_SENTENCE_BYTES];
    wl_trail_sentence(wl_trail_story_at(story, index), text);
    return text;
}

enum { KEY = 5 };

static uint64_t tag_of(int64_t amount) {
    const wl_asset_t asset = {.amount = amount, .unit = "CNY"};
    return wl_trail_tag(&asset, KEY);
}

Test(trail_story, says_what_stood_before_and_whether_the_value_is_another) {
    wl_trail_story_t *story = wl_trail_story_new(10, NULL);
    ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .version = 5, .tag = tag_of(1));
    ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .version = 7, .tag = tag_of(1), .at = 1);
    ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .version = 8, .tag = tag_of(2), .at = 2);
    ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .bucket = "ios", .version = 3,
        .tag = tag_of(2), .at = 3);
    ADD(story, .what = WL_TRAIL_OLDER, .line = "cash", .version = 6, .before = 8, .at = 4);
    ADD(story, .what = WL_TRAIL_CONFIRMED, .line = "cash", .version = 8, .tag = tag_of(3), .at = 5);
    ADD(story, .what = WL_TRAIL_CONFIRMED, .line = "cash", .version = 8, .tag = tag_of(2), .at = 6);
    cr_assert_eq(wl_trail_story_end(story), 7u);
    static const struct {
        uint64_t before;
        wl_trail_same_t same;
    } rows[] = {{0, WL_TRAIL_SAME_UNKNOWN}, {5, WL_TRAIL_SAME},         {7, WL_TRAIL_CHANGED},
                {0, WL_TRAIL_SAME_UNKNOWN}, {8, WL_TRAIL_SAME_UNKNOWN}, {8, WL_TRAIL_CHANGED},
                {8, WL_TRAIL_SAME}};
    for (uint32_t i = 0; i < 7; i++) {
        cr_expect_eq(wl_trail_story_at(story, i)->before, rows[i].before, "event %u", i);
        cr_expect_eq(wl_trail_story_at(story, i)->same, rows[i].same, "event %u", i);
    }
    cr_expect_str_eq(sentence(story, 0), "stored version 5");
    cr_expect_str_eq(sentence(story, 2), "stored version 8 (was 7, another value)");
    cr_expect_str_eq(sentence(story, 3), "stored version 3 of bucket ios");
    cr_expect_str_eq(sentence(story, 5),
                     "asked, the line still has version 8, but with another value: not stored, a "
                     "new value needs a new version");
    wl_trail_story_destroy(&story);
    cr_expect_null(story);
}

/* Actors tell in batches: the shard may be heard before the dispatcher. */
Test(trail_story, goes_by_the_time_of_events_not_by_when_they_were_heard) {
    wl_trail_story_t *story = wl_trail_story_new(10, NULL);
    ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .version = 6, .tag = tag_of(2),
        .notified_at = BASE_MS + 5, .at = 7);
    ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .version = 5, .tag = tag_of(1), .at = 1);
    ADD(story, .what = WL_TRAIL_PAYLOAD, .line = "cash", .version = 6, .notified_at = BASE_MS + 5,
        .at = 7);
    cr_assert_eq(wl_trail_story_end(story), 3u);
    cr_expect_eq(wl_trail_story_at(story, 1)->event.what, WL_TRAIL_PAYLOAD);
    cr_expect_str_eq(sentence(story, 2), "stored version 6 (was 5, another value), as it was sent");
    wl_trail_story_destroy(&story);
}

Test(trail_story, does_not_compare_values_of_two_processes) {
    wl_trail_story_t *story = wl_trail_story_new(10, NULL);
    const wl_asset_t asset = {.amount = 1, .unit = "CNY"};
    ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .version = 5, .tag = tag_of(1));
    ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .version = 6, .at = 1,
        .tag = wl_trail_tag(&asset, KEY + 1));
    cr_assert_eq(wl_trail_story_end(story), 2u);
    cr_expect_eq(wl_trail_story_at(story, 1)->before, 5u);
    cr_expect_eq(wl_trail_story_at(story, 1)->same, WL_TRAIL_SAME_UNKNOWN);
    wl_trail_story_destroy(&story);
}

Test(trail_story, knows_nothing_of_before_a_consent_was_withdrawn) {
    wl_trail_story_t *story = wl_trail_story_new(10, NULL);
    ADD(story, .what = WL_TRAIL_STORED, .line = "card", .version = 5);
    ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .version = 9);
    ADD(story, .what = WL_TRAIL_WITHDRAWN, .line = "card", .at = 1);
    ADD(story, .what = WL_TRAIL_STORED, .line = "card", .version = 5, .at = 2);
    ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .version = 10, .at = 3);
    cr_assert_eq(wl_trail_story_end(story), 5u);
    cr_expect_eq(wl_trail_story_at(story, 3)->before, 0u);
    cr_expect_eq(wl_trail_story_at(story, 4)->before, 9u);
    wl_trail_story_destroy(&story);
}

Test(trail_story, keeps_the_newest_and_counts_the_others) {
    wl_trail_story_t *story = wl_trail_story_new(4, NULL);
    for (uint64_t i = 1; i <= 1000; i++) {
        ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .version = i, .at = (int64_t)i);
    }
    cr_assert_eq(wl_trail_story_end(story), 4u);
    cr_expect_eq(wl_trail_story_left_out(story), 996u);
    for (uint32_t i = 0; i < 4; i++) {
        cr_expect_eq(wl_trail_story_at(story, i)->event.version, 997u + i);
        cr_expect_eq(wl_trail_story_at(story, i)->before, 996u + i);
        cr_expect_str_eq(wl_trail_story_at(story, i)->event.line, "cash");
    }
    wl_trail_story_destroy(&story);
}

Test(trail_story, tells_one_line_and_what_is_of_no_line) {
    wl_trail_story_t *story = wl_trail_story_new(10, "cash");
    ADD(story, .what = WL_TRAIL_NOTIFIED, .line = "coin");
    ADD(story, .what = WL_TRAIL_NOTIFIED, .line = "cash", .at = 1);
    ADD_SHARED(story, .what = WL_TRAIL_CONFIG, .at = 2);
    ADD_SHARED(story, .what = WL_TRAIL_DROPPED, .number = 30, .at = 3);
    cr_assert_eq(wl_trail_story_end(story), 3u);
    cr_expect_eq(wl_trail_story_at(story, 0)->event.what, WL_TRAIL_NOTIFIED);
    cr_expect_eq(wl_trail_story_dropped(story), 30u);
    cr_expect_eq(wl_trail_story_left_out(story), 0u);
    wl_trail_story_destroy(&story);
}

Test(trail_story, what_is_of_everybody_is_a_quarter_at_most) {
    wl_trail_story_t *story = wl_trail_story_new(40, NULL);
    for (int64_t i = 0; i < 100; i++) {
        ADD_SHARED(story, .what = WL_TRAIL_CONFIG, .at = 1000 + i);
        ADD(story, .what = WL_TRAIL_NOTIFIED, .line = "cash", .at = i);
    }
    cr_assert_eq(wl_trail_story_end(story), 40u);
    uint32_t own = 0;
    for (uint32_t i = 0; i < 40; i++) {
        own += wl_trail_story_at(story, i)->event.what == WL_TRAIL_NOTIFIED;
    }
    cr_expect_geq(own, 29u);
    cr_expect_eq(wl_trail_story_left_out(story), 160u);
    wl_trail_story_destroy(&story);
}

Test(trail_story, orders_what_came_late_and_what_came_at_once) {
    wl_trail_story_t *story = wl_trail_story_new(10, NULL);
    ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .version = 1, .at = 5);
    ADD(story, .what = WL_TRAIL_RETRY, .line = "coin", .at = 5);
    ADD(story, .what = WL_TRAIL_FAILED, .line = "coin", .at = 5);
    ADD(story, .what = WL_TRAIL_NOTIFIED, .line = "cash", .version = 1, .at = 5);
    ADD(story, .what = WL_TRAIL_NOTIFIED, .line = "cash", .version = 2, .at = 5);
    ADD(story, .what = WL_TRAIL_NOTIFIED, .line = "coin", .at = 1);
    cr_assert_eq(wl_trail_story_end(story), 6u);
    static const wl_trail_what_t whats[] = {WL_TRAIL_NOTIFIED, WL_TRAIL_NOTIFIED, WL_TRAIL_NOTIFIED,
                                            WL_TRAIL_STORED,   WL_TRAIL_FAILED,   WL_TRAIL_RETRY};
    for (uint32_t i = 0; i < 6; i++) {
        cr_expect_eq(wl_trail_story_at(story, i)->event.what, whats[i], "event %u", i);
    }
    cr_expect_str_eq(wl_trail_story_at(story, 0)->event.line, "coin");
    cr_expect_eq(wl_trail_story_at(story, 1)->event.version, 1u);
    wl_trail_story_destroy(&story);
}

Test(trail_story, counts_damage_and_goes_on) {
    wl_trail_story_t *story = wl_trail_story_new(10, NULL);
    static const uint8_t garbage[20] = {11, 1, 2, 3, [15] = WL_TRAIL_COUNT};
    wl_trail_story_add(story, garbage, sizeof garbage, false);
    wl_trail_story_add(story, garbage, 0, true);
    ADD(story, .what = WL_TRAIL_NOTIFIED, .line = "cash");
    cr_assert_eq(wl_trail_story_end(story), 1u);
    cr_expect_eq(wl_trail_story_damaged(story), 2u);
    wl_trail_story_destroy(&story);
}

Test(trail_story, remembers_a_bounded_number_of_buckets) {
    wl_trail_story_t *story = wl_trail_story_new(10, NULL);
    for (int round = 1; round <= 2; round++) {
        for (int i = 0; i < 2000; i++) {
            char bucket[WL_BUCKET_MAX + 1];
            (void)snprintf(bucket, sizeof bucket, "b%d", i);
            ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .bucket = bucket,
                .version = (uint64_t)round);
        }
    }
    cr_assert_eq(wl_trail_story_end(story), 10u);
    cr_expect_eq(wl_trail_story_at(story, 9)->before, 0u, "there was no room to remember it");
    wl_trail_story_destroy(&story);
}

Test(trail_story, speaks_plainly) {
    wl_trail_story_t *story = wl_trail_story_new(40, NULL);
    static const struct {
        wl_trail_event_t event;
        const char *words;
    } rows[] = {
        {{.what = WL_TRAIL_NOTIFIED, .version = 12}, "the line said version 12"},
        {{.what = WL_TRAIL_NOTIFIED, .bucket = "ios"},
         "the line said that something changed of bucket ios"},
        {{.what = WL_TRAIL_STORED, .version = 12, .notified_at = 1000, .pulled_at = 1038},
         "stored version 12, pulled 38 ms after the notification"},
        {{.what = WL_TRAIL_STORED, .bucket = "b", .version = 12, .pulled_at = 1038},
         "stored version 12 of bucket b, pulled without a notification"},
        {{.what = WL_TRAIL_STORED,
          .bucket = "c",
          .version = 12,
          .notified_at = 1000,
          .pulled_at = 3500,
          .outcome = 1},
         "stored version 12 of bucket c, pulled 2.5 s after the notification; not yet what was "
         "notified"},
        {{.what = WL_TRAIL_QUARANTINED, .text = "amount: too large"},
         "quarantined, the last good value stays: amount: too large"},
        {{.what = WL_TRAIL_QUARANTINED, .version = 3},
         "quarantined version 3, the last good value stays"},
        {{.what = WL_TRAIL_NO_CONSENT, .version = 3},
         "not stored, the user has not consented: version 3"},
        {{.what = WL_TRAIL_NO_CONSENT}, "not asked, the user has not consented"},
        {{.what = WL_TRAIL_FAILED, .attempt = 2, .text = "HTTP 500"}, "attempt 2 failed: HTTP 500"},
        {{.what = WL_TRAIL_RETRY, .attempt = 1, .number = 90000},
         "asked again in 90.0 s, after 1 attempt"},
        {{.what = WL_TRAIL_RETRY, .attempt = 3, .number = 7200000},
         "asked again in 2 h, after 3 attempts"},
        {{.what = WL_TRAIL_DEAD, .attempt = 3, .text = "given up"},
         "dead letter after 3 attempts: given up"},
        {{.what = WL_TRAIL_REPAIR, .text = "the copy was stale"},
         "a comparison repaired a difference: the copy was stale"},
        {{.what = WL_TRAIL_CONFIG, .version = 9, .text = "3.7 from store"},
         "configuration 3.7 from store came into use here, change 9"},
    };
    size_t count = sizeof rows / sizeof *rows;
    for (size_t i = 0; i < count; i++) {
        wl_trail_event_t event = rows[i].event;
        event.line = "cash";
        event.at = (int64_t)i;
        add(story, event, false);
    }
    cr_assert_eq(wl_trail_story_end(story), count);
    for (uint32_t i = 0; i < count; i++) {
        cr_expect_str_eq(sentence(story, i), rows[i].words);
    }
    wl_trail_story_destroy(&story);
}

Test(trail_story, says_when_the_line_sent_the_value_itself) {
    wl_trail_story_t *story = wl_trail_story_new(10, NULL);
    ADD(story, .what = WL_TRAIL_PAYLOAD, .line = "cash", .version = 4, .notified_at = 1000);
    ADD(story, .what = WL_TRAIL_STORED, .line = "cash", .version = 4, .notified_at = 1000,
        .pulled_at = 1000, .at = 2);
    ADD(story, .what = WL_TRAIL_STORED, .line = "coin", .version = 4, .notified_at = 1000,
        .pulled_at = 1010, .at = 3);
    cr_assert_eq(wl_trail_story_end(story), 3u);
    cr_expect_str_eq(sentence(story, 0), "the line sent version 4");
    cr_expect_str_eq(sentence(story, 1), "stored version 4, as it was sent");
    cr_expect_str_eq(sentence(story, 2), "stored version 4, pulled 10 ms after the notification");
    wl_trail_story_destroy(&story);
}
