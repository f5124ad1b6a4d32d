/* Cursors: what was sealed comes back; whatever else is brought is refused. */
#include "domain/cursor.h"

#include "base/asset.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t key[WL_CURSOR_KEY_BYTES] = {1, 2, 3};
static const wl_wall_ms_t now = {1800000000000};

static wl_cursor_t cursor_full(void) {
    wl_cursor_t cursor = {.uid = 7,
                          .filter = wl_cursor_filter("", "2026-11", WL_KIND_COUNT),
                          .issued_at = now,
                          .shown = 60,
                          .count = WL_TIMELINE_LINES_MAX};
    for (uint32_t i = 0; i < cursor.count; i++) {
        wl_timeline_place_t *place = &cursor.places[i];
        memset(place->line, 'a' + (int)i, WL_LINE_ID_MAX);
        place->begun = true;
        place->ended = i % 2 == 1;
        place->reached = i % 3 == 1;
        place->reach = INT64_MIN + 70 + (int64_t)i;
        place->last.time = INT64_MIN + (int64_t)i;
        memset(place->last.id, 'i', WL_TIMELINE_ID_MAX);
        place->cursor_bytes = WL_TIMELINE_CURSOR_MAX;
        memset(place->cursor, (int)i, WL_TIMELINE_CURSOR_MAX);
    }
    return cursor;
}

static wl_err_t reopen(const char *text, size_t bytes, wl_wall_ms_t at, wl_cursor_t *ret) {
    return wl_cursor_open(text, bytes, key, 7, wl_cursor_filter("", "2026-11", WL_KIND_COUNT), at,
                          ret, NULL);
}

Test(cursor, comes_back_as_it_was) {
    wl_cursor_t given = cursor_full();
    char text[WL_CURSOR_TEXT_MAX + 1];
    wl_cursor_t back = {0};
    wl_cursor_seal(&given, key, text);
    cr_assert_eq(reopen(text, strlen(text), now, &back), WL_OK);
    cr_assert_eq(memcmp(&given, &back, sizeof back), 0);
    char again[WL_CURSOR_TEXT_MAX + 1];
    wl_cursor_seal(&given, key, again);
    cr_assert_str_neq(text, again, "a nonce each");
}

Test(cursor, is_bound_to_user_filter_key_and_time) {
    wl_cursor_t given = cursor_full();
    char text[WL_CURSOR_TEXT_MAX + 1];
    wl_cursor_t back;
    wl_fault_t fault;
    uint64_t filter = given.filter;
    const uint8_t other[WL_CURSOR_KEY_BYTES] = {9};
    wl_cursor_seal(&given, key, text);
    size_t bytes = strlen(text);
    cr_assert_eq(wl_cursor_open(text, bytes, key, 8, filter, now, &back, &fault),
                 WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.where, "cursor");
    cr_assert_eq(wl_cursor_open(text, bytes, key, 7, wl_cursor_filter("cash", "2026-11", 6), now,
                                &back, &fault),
                 WL_ERR_BAD_REQUEST);
    cr_assert_eq(wl_cursor_open(text, bytes, other, 7, filter, now, &back, &fault),
                 WL_ERR_BAD_REQUEST);
    cr_assert_eq(reopen(text, bytes, (wl_wall_ms_t){now.ms + WL_CURSOR_AGE_MS}, &back), WL_OK);
    cr_assert_eq(reopen(text, bytes, (wl_wall_ms_t){now.ms + WL_CURSOR_AGE_MS + 1}, &back),
                 WL_ERR_BAD_REQUEST);
    given.shown = WL_CURSOR_SHOWN_MAX;
    wl_cursor_seal(&given, key, text);
    cr_assert_eq(reopen(text, strlen(text), now, &back), WL_ERR_BAD_REQUEST);
}

Test(cursor, refuses_everything_that_was_touched) {
    wl_cursor_t given = {.uid = 7, .filter = wl_cursor_filter("", "2026-11", WL_KIND_COUNT)};
    given.issued_at = now;
    given.count = 1;
    memcpy(given.places[0].line, "cash", 5);
    char text[WL_CURSOR_TEXT_MAX + 1];
    wl_cursor_t back;
    wl_cursor_seal(&given, key, text);
    size_t bytes = strlen(text);
    cr_assert_eq(reopen(text, bytes, now, &back), WL_OK);
    for (size_t i = 0; i + 1 < bytes; i++) { /* the last character has bits that say nothing */
        char before = text[i];
        text[i] = before == 'A' ? 'B' : 'A';
        cr_assert_eq(reopen(text, bytes, now, &back), WL_ERR_BAD_REQUEST, "at %zu", i);
        text[i] = before;
        cr_assert_eq(reopen(text, i, now, &back), WL_ERR_BAD_REQUEST, "cut at %zu", i);
    }
    srand(1);
    for (int run = 0; run < 20000; run++) {
        char noise[300];
        size_t count = (size_t)(rand() % (int)sizeof noise);
        for (size_t i = 0; i < count; i++) {
            noise[i] = (char)(rand() % 256);
        }
        cr_assert_eq(reopen(noise, count, now, &back), WL_ERR_BAD_REQUEST);
    }
}

Test(cursor, filters_differ_by_each_part) {
    uint64_t base = wl_cursor_filter("cash", "2026-11", 0);
    cr_assert_neq(base, wl_cursor_filter("coin", "2026-11", 0));
    cr_assert_neq(base, wl_cursor_filter("cash", "2026-12", 0));
    cr_assert_neq(base, wl_cursor_filter("cash", "2026-11", 1));
    cr_assert_eq(base, wl_cursor_filter("cash", "2026-11", 0));
}
