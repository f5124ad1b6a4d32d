#include "actors/puller_line.h"

#include "actors/line_flow.h"
#include "base/alloc.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* The same numbers in every run. */
static uint32_t dice(void) {
    static uint32_t state = 7;
    state = state * 1103515245u + 12345u;
    return state >> 16;
}

enum { NEVER_STALE = INT32_MIN };

static const wl_wall_ms_t wall = {1800000000000};

static wl_line_t line_config(uint32_t batch_max, uint32_t concurrency) {
    wl_line_t config = {.batch_max = batch_max,
                        .concurrency = concurrency,
                        .batch_wait_ms = 10,
                        .timeout_ms = 100,
                        .burst = 1,
                        .url_count = 1,
                        .breaker_failures = 2,
                        .breaker_open_ms = 1000};
    return config;
}

static wl_puller_line_t *line_new(const wl_line_t *config) {
    wl_puller_line_t *line = wl_puller_line_new("cash", NULL, false, (wl_mono_ms_t){0});
    wl_puller_line_configure(line, config, (wl_mono_ms_t){0}, wall);
    return line;
}

static wl_err_t push(wl_puller_line_t *line, uint64_t uid, int64_t arrived_at, bool interactive) {
    wl_line_pull_t pull = {
        .uid = uid, .seq = uid, .arrived_at = arrived_at, .interactive = interactive};
    return wl_puller_line_push(line, &pull);
}

/* Makes the call that may be made; its users are answered for at once, the call is not. */
static uint32_t take_stale(wl_puller_line_t *line, int64_t now, int64_t stale_before,
                           wl_line_pull_t *pulls) {
    wl_line_call_t call;
    wl_puller_line_take(line, (wl_mono_ms_t){now}, wall, stale_before, &call);
    for (uint32_t i = 0; i < call.count; i++) {
        pulls[i] = call.asks[i]->pull;
        wl_asks_end(wl_puller_line_asks(line), &call.asks[i]);
    }
    return call.count;
}

static uint32_t take(wl_puller_line_t *line, int64_t now, wl_line_pull_t *pulls) {
    return take_stale(line, now, NEVER_STALE, pulls);
}

static bool answer(wl_puller_line_t *line, wl_err_t err, int64_t retry_after_ms, int64_t now) {
    wl_answer_t told = {.err = err, .retry_after_ms = retry_after_ms, .reason = "broken"};
    wl_limits_call_t call = {.what = WL_LIVE_ASSETS, .users = 1};
    return wl_puller_line_answered(line, &call, &told, (wl_mono_ms_t){now});
}

static int64_t pause_ms(wl_puller_line_t *line, int64_t now) {
    return wl_puller_line_pause_ms(line, (wl_mono_ms_t){now}, wall);
}

Test(puller_line, waits_for_a_full_batch_or_for_its_time) {
    wl_line_t config = line_config(3, 10);
    wl_puller_line_t *line = line_new(&config);
    wl_line_pull_t pulls[WL_PULL_UIDS_MAX];
    cr_assert_eq(push(line, 1, 0, false), WL_OK);
    cr_expect_eq(take(line, 9, pulls), 0u);
    cr_expect_eq(take(line, 10, pulls), 1u);
    for (uint64_t uid = 1; uid <= 4; uid++) {
        cr_assert_eq(push(line, uid, 20, false), WL_OK);
    }
    cr_expect_eq(take(line, 20, pulls), 3u, "a full one goes at once");
    cr_expect_eq(take(line, 20, pulls), 0u);
    cr_assert_eq(push(line, 9, 21, true), WL_OK);
    cr_expect_eq(take(line, 21, pulls), 2u, "a user who waits takes the others along");
    cr_expect_eq(pulls[0].uid, 9u);
    wl_puller_line_destroy(&line);
}

Test(puller_line, asks_for_a_user_once_and_leaves_old_pulls_out) {
    wl_line_t config = line_config(10, 10);
    wl_puller_line_t *line = line_new(&config);
    wl_line_pull_t pulls[WL_PULL_UIDS_MAX];
    wl_line_pull_t twice = {.uid = 5, .seq = 77, .arrived_at = 100};
    cr_assert_eq(push(line, 4, 50, false), WL_OK);
    cr_assert_eq(push(line, 5, 90, false), WL_OK);
    cr_assert_eq(wl_puller_line_push(line, &twice), WL_OK);
    cr_expect_eq(take_stale(line, 200, 60, pulls), 1u);
    cr_expect_eq(pulls[0].uid, 5u);
    cr_expect_eq(pulls[0].seq, 77u, "the later one covers both");
    cr_expect_eq(wl_puller_line_waiting(line), 0u);
    wl_puller_line_destroy(&line);
}

Test(puller_line, keeps_first_in_first_out_against_a_model) {
    wl_line_t config = line_config(7, 200);
    wl_puller_line_t *line = line_new(&config);
    static uint64_t model[100000];
    size_t first = 0;
    size_t end = 0;
    wl_line_pull_t pulls[WL_PULL_UIDS_MAX];
    for (uint64_t step = 1; step < 20000; step++) {
        if (dice() % 3 != 0) {
            wl_err_t err = push(line, step, (int64_t)step, false);
            cr_assert_eq(err, end - first >= 2 * wl_line_window(&config, 1) ? WL_ERR_FULL : WL_OK);
            if (err == WL_OK) {
                model[end++] = step;
            }
        } else {
            uint32_t count = take(line, (int64_t)step, pulls);
            for (uint32_t i = 0; i < count; i++) {
                cr_assert_eq(pulls[i].uid, model[first++]);
            }
            if (count > 0) {
                (void)answer(line, WL_OK, 0, (int64_t)step);
            }
        }
        cr_assert_eq(wl_puller_line_waiting(line), end - first);
    }
    wl_puller_line_destroy(&line);
}

Test(puller_line, never_has_more_calls_than_the_concurrency) {
    wl_line_t config = line_config(1, 2);
    wl_puller_line_t *line = line_new(&config);
    wl_line_pull_t pulls[WL_PULL_UIDS_MAX];
    for (uint64_t uid = 1; uid <= 4; uid++) {
        cr_assert_eq(push(line, uid, 0, true), WL_OK);
    }
    cr_expect_eq(take(line, 1, pulls), 1u);
    cr_expect_eq(take(line, 1, pulls), 1u);
    cr_expect_eq(take(line, 1, pulls), 0u);
    (void)answer(line, WL_OK, 0, 2);
    cr_expect_eq(take(line, 2, pulls), 1u);
    cr_expect_eq(wl_puller_line_in_flight(line), 2u);
    wl_puller_line_destroy(&line);
}

Test(puller_line, pauses_as_long_as_the_line_says_but_bounded) {
    wl_line_t config = line_config(1, 10);
    wl_puller_line_t *line = line_new(&config);
    wl_line_pull_t pulls[WL_PULL_UIDS_MAX];
    cr_assert_eq(push(line, 1, 0, true), WL_OK);
    cr_assert_eq(push(line, 2, 0, true), WL_OK);
    cr_assert_eq(take(line, 0, pulls), 1u);
    cr_expect_not(answer(line, WL_ERR_UNAVAILABLE, 500, 0));
    cr_expect_eq(pause_ms(line, 100), 400);
    cr_expect_eq(take(line, 499, pulls), 0u);
    cr_expect_eq(take(line, 500, pulls), 1u);
    (void)answer(line, WL_ERR_UNAVAILABLE, 86400000, 500);
    cr_expect_eq(pause_ms(line, 500), 60000, "not for a day");
    wl_puller_line_destroy(&line);
}

Test(puller_line, is_sick_while_the_breaker_is_open_or_nothing_succeeds) {
    wl_line_t config = line_config(1, 10);
    wl_puller_line_t *line = line_new(&config);
    wl_line_pull_t pulls[WL_PULL_UIDS_MAX];
    wl_line_item_t health;
    cr_expect_not(wl_puller_line_judge(line, (wl_mono_ms_t){100000}), "idle is not sick");
    cr_assert_eq(push(line, 1, 100000, true), WL_OK);
    cr_assert_eq(take(line, 100000, pulls), 1u);
    cr_expect_not(answer(line, WL_ERR_DEADLINE, 0, 100000), "one of two failures");
    cr_expect(wl_puller_line_judge(line, (wl_mono_ms_t){100000}), "no success for long");
    wl_puller_line_health(line, wall, &health);
    cr_expect(health.sick);
    cr_expect_str_eq(health.reason, "broken");
    cr_assert_eq(push(line, 1, 100001, true), WL_OK);
    cr_assert_eq(take(line, 100001, pulls), 1u);
    (void)answer(line, WL_OK, 0, 100001);
    cr_expect(wl_puller_line_judge(line, (wl_mono_ms_t){100001}));
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(push(line, 1, 100002, true), WL_OK);
        cr_assert_eq(take(line, 100002, pulls), 1u);
        cr_expect_eq(answer(line, WL_ERR_DEADLINE, 0, 100002), i == 1, "the second one opens it");
    }
    cr_expect(wl_puller_line_judge(line, (wl_mono_ms_t){100002}));
    cr_expect_eq(pause_ms(line, 100002), 1000);
    wl_puller_line_configure(line, NULL, (wl_mono_ms_t){100003}, wall);
    cr_expect(wl_puller_line_judge(line, (wl_mono_ms_t){100003}), "a line that has gone is not");
    wl_puller_line_destroy(&line);
}

Test(puller_line, forgives_nothing_on_a_reload) {
    wl_line_t config = line_config(1, 10);
    wl_puller_line_t *line = line_new(&config);
    wl_line_pull_t pulls[WL_PULL_UIDS_MAX];
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(push(line, 1, 0, true), WL_OK);
        cr_assert_eq(take(line, 0, pulls), 1u);
        (void)answer(line, WL_ERR_DEADLINE, 0, 0);
    }
    config.concurrency = 5;
    wl_puller_line_configure(line, &config, (wl_mono_ms_t){1}, wall);
    cr_expect_gt(pause_ms(line, 1), 900);
    wl_puller_line_destroy(&line);
}

Test(line_flow, spreads_lines_and_bounds_what_is_under_way) {
    uint32_t seen[4] = {0};
    char id[16];
    for (uint32_t i = 0; i < 400; i++) {
        (void)snprintf(id, sizeof id, "line-%u", i);
        uint32_t owner = wl_line_owner(id, 4);
        cr_assert_lt(owner, 4u);
        seen[owner]++;
        cr_expect_eq(wl_line_owner(id, 1), 0u);
    }
    for (uint32_t i = 0; i < 4; i++) {
        cr_expect_gt(seen[i], 60u);
    }
    wl_line_t config = line_config(10, 8);
    cr_expect_eq(wl_line_window(&config, 1), 160u);
    config.rate = 1;
    cr_expect_eq(wl_line_window(&config, 1), 50u, "four seconds of it");
    config.rate = 3;
    cr_expect_eq(wl_line_window(&config, 4), 40u, "a part of it");
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    cr_expect_eq(wl_line_lost_ms(&config, &settings), 15000);
    config.timeout_ms = 60000;
    cr_expect_gt(wl_line_lost_ms(&config, &settings), 120000, "a slow line is not a lost one");
    cr_expect_not(wl_line_asked(NULL));
}
