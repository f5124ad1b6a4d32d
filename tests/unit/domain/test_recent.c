/* Answers kept for a moment: their age, their bound, and that a change is never outlived. */
#include "domain/recent.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const wl_wall_ms_t said_at = {1700000000000};

static wl_mono_ms_t at(int64_t ms) {
    return (wl_mono_ms_t){ms};
}

static void put(wl_recent_t *recent, uint64_t uid, const char *line, const char *text) {
    wl_recent_put(recent, uid, line, "page", text, strlen(text) + 1, said_at, at(100),
                  wl_recent_token(recent, uid, line));
}

static const char *get(wl_recent_t *recent, uint64_t uid, const char *line, int64_t now) {
    size_t bytes = 0;
    wl_wall_ms_t when = {0};
    const char *text =
        (const char *)wl_recent_get(recent, uid, line, "page", at(now), &bytes, &when);
    cr_assert(text == NULL || (bytes == strlen(text) + 1 && when.ms == said_at.ms));
    return text;
}

Test(recent, gives_back_until_it_is_too_old) {
    wl_recent_t *recent = wl_recent_new(1000000);
    put(recent, 1, "cash", "a");
    put(recent, 1, "coin", "b");
    put(recent, 1, "cash", "c");
    cr_assert_str_eq(get(recent, 1, "cash", 99), "c");
    cr_assert_str_eq(get(recent, 1, "coin", 0), "b");
    cr_assert_null(get(recent, 1, "cash", 100));
    cr_assert_null(get(recent, 2, "cash", 0));
    cr_assert_null(get(recent, 1, "coupon", 0));
    size_t bytes = 0;
    wl_wall_ms_t when;
    cr_assert_null(wl_recent_get(recent, 1, "cash", "sums", at(0), &bytes, &when));
    wl_recent_destroy(&recent);
    wl_recent_destroy(&recent);
}

Test(recent, a_drop_takes_one_line_of_one_user) {
    wl_recent_t *recent = wl_recent_new(1000000);
    put(recent, 1, "cash", "a");
    put(recent, 1, "coin", "b");
    put(recent, 2, "cash", "c");
    wl_recent_drop(recent, 1, "cash");
    cr_assert_null(get(recent, 1, "cash", 0));
    cr_assert_str_eq(get(recent, 1, "coin", 0), "b");
    cr_assert_str_eq(get(recent, 2, "cash", 0), "c");
    wl_recent_drop(recent, 1, "coin");
    cr_assert_eq(wl_recent_users(recent), 1);
    wl_recent_flush(recent);
    cr_assert_eq(wl_recent_users(recent), 0);
    cr_assert_eq(wl_recent_bytes(recent), 0);
    wl_recent_destroy(&recent);
}

Test(recent, an_answer_asked_for_before_a_change_is_not_kept_after_it) {
    wl_recent_t *recent = wl_recent_new(1000000);
    uint64_t token = wl_recent_token(recent, 1, "cash");
    uint64_t other = wl_recent_token(recent, 1, "coin");
    wl_recent_drop(recent, 1, "cash"); /* nothing there yet: the token is what counts */
    wl_recent_put(recent, 1, "cash", "page", "old", 4, said_at, at(100), token);
    wl_recent_put(recent, 1, "coin", "page", "new", 4, said_at, at(100), other);
    cr_assert_null(get(recent, 1, "cash", 0));
    cr_assert_str_eq(get(recent, 1, "coin", 0), "new");
    token = wl_recent_token(recent, 1, "cash");
    wl_recent_flush(recent);
    wl_recent_put(recent, 1, "cash", "page", "old", 4, said_at, at(100), token);
    cr_assert_null(get(recent, 1, "cash", 0));
    wl_recent_destroy(&recent);
}

/* One user alone: nobody else's answers push the old ones out. */
Test(recent, what_has_run_out_takes_no_place_from_what_comes) {
    wl_recent_t *recent = wl_recent_new(64 * 1024);
    char name[16] = "";
    size_t bytes = 0;
    wl_wall_ms_t when;
    static char page[500];
    for (int i = 0; i < 100; i++) {
        int64_t now = i * 1000;
        (void)snprintf(name, sizeof name, "page%d", i);
        cr_assert_null(wl_recent_get(recent, 1, "cash", name, at(now), &bytes, &when));
        wl_recent_put(recent, 1, "cash", name, page, sizeof page, said_at, at(now + 100),
                      wl_recent_token(recent, 1, "cash"));
        cr_assert_not_null(wl_recent_get(recent, 1, "cash", name, at(now), &bytes, &when),
                           "answer %d is not kept", i);
    }
    cr_assert_null(wl_recent_get(recent, 1, "cash", "none", at(1000000), &bytes, &when));
    cr_expect_eq(wl_recent_users(recent), 0);
    cr_expect_eq(wl_recent_bytes(recent), 0);
    wl_recent_destroy(&recent);
}

Test(recent, stays_within_its_bound_and_forgets_who_was_not_looked_at) {
    enum { BOUND = 64 * 1024 };
    wl_recent_t *recent = wl_recent_new(BOUND);
    char text[512];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    srand(1);
    for (int i = 0; i < 20000; i++) {
        uint64_t uid = (uint64_t)(rand() % 500) + 2;
        text[1 + rand() % 500] = '\0';
        put(recent, uid, rand() % 2 == 0 ? "cash" : "coin", text);
        memset(text, 'x', sizeof text - 1);
        cr_assert_leq(wl_recent_bytes(recent), BOUND);
        if (i % 7 == 0) {
            wl_recent_drop(recent, (uint64_t)(rand() % 500) + 2, "cash");
        }
        put(recent, 1, "cash", "kept");
        cr_assert_str_eq(get(recent, 1, "cash", 0), "kept");
    }
    cr_assert_gt(wl_recent_users(recent), 20);
    char *huge = malloc(BOUND);
    memset(huge, 'x', BOUND);
    wl_recent_put(recent, 900, "cash", "page", huge, BOUND / 16, said_at, at(100),
                  wl_recent_token(recent, 900, "cash"));
    cr_assert_null(get(recent, 900, "cash", 0), "one user does not push out all others");
    free(huge);
    wl_recent_destroy(&recent);
}
