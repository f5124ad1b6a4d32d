#include "actors/puller_limits.h"

#include "actors/puller_line.h"
#include "base/slot.h"

#include <criterion/criterion.h>
#include <string.h>

static const int64_t DAY = 86400000;

static wl_mono_ms_t at(int64_t ms) {
    return (wl_mono_ms_t){ms};
}

static wl_line_t line_config(void) {
    wl_line_t config = {.batch_max = 1,
                        .concurrency = 4,
                        .timeout_ms = 100,
                        .burst = 1,
                        .url_count = 1,
                        .breaker_failures = 5,
                        .breaker_open_ms = 1000};
    return config;
}

static wl_puller_limits_t *limits_new(const wl_line_t *config) {
    wl_puller_limits_t *limits = wl_puller_limits_new(NULL, "cash", false);
    wl_puller_limits_configure(limits, config, true, at(0), (wl_wall_ms_t){100 * DAY});
    return limits;
}

static bool begin(wl_puller_limits_t *limits, int64_t now, wl_live_what_t what,
                  wl_limits_call_t *ret) {
    wl_wall_ms_t wall = {100 * DAY + now};
    if (!wl_puller_limits_may(limits, at(now), wall)) {
        return false;
    }
    wl_puller_limits_begin(limits, what, 1, at(now), ret);
    return true;
}

static bool end(wl_puller_limits_t *limits, const wl_limits_call_t *call, wl_err_t err,
                int64_t now) {
    wl_answer_t answer = {.err = err, .elapsed_ms = 30};
    return wl_puller_limits_answered(limits, call, &answer, at(now));
}

/* Whatever is asked, answered, cancelled, hedged, reloaded or shared: over any window no more calls
 * than burst + rate, never more at once than the concurrency, no more in a day than the quota. */
Test(puller_limits, are_kept_whatever_the_schedule) {
    enum { STEPS = 4000, CALLS = 64 };
    static int64_t began[STEPS];
    for (uint64_t seed = 0; seed < 60; seed++) {
        wl_line_t config = line_config();
        config.concurrency = (uint32_t)(wl_mix64(seed) % 8) + 1;
        config.rate = (uint32_t)(wl_mix64(seed + 500) % 200) + 1;
        config.burst = (uint32_t)(wl_mix64(seed + 900) % 10) + 1;
        config.quota = wl_mix64(seed + 300) % 3 == 0 ? wl_mix64(seed + 77) % 500 + 1 : 0;
        config.adaptive = seed % 2 == 0;
        config.url_count = (uint32_t)(seed % 3) + 1;
        wl_puller_limits_t *limits = limits_new(&config);
        wl_limits_call_t calls[CALLS];
        uint32_t flying = 0;
        uint32_t made = 0;
        int64_t now = 0;
        for (uint64_t i = 0; i < STEPS; i++) {
            uint64_t random = wl_mix64(seed << 32 | i);
            wl_limits_call_t call;
            now += (int64_t)(random % 12);
            wl_live_what_t what = (wl_live_what_t)(random >> 8) % 3;
            wl_wall_ms_t wall = {100 * DAY + now};
            bool new_one = random % 2 == 0 && begin(limits, now, what, &call);
            if (!new_one && flying > 0 && random % 8 == 1) {
                new_one = wl_puller_limits_hedge(limits, &calls[0], at(now), wall, &call);
            }
            if (new_one) {
                cr_assert_lt(call.url.index, config.url_count);
                calls[flying++] = call;
                began[made++] = now;
            } else if (flying > 0 && random % 3 == 0) {
                uint32_t which = (uint32_t)(random >> 16) % flying;
                if ((random >> 24) % 10 == 0) {
                    wl_puller_limits_cancelled(limits, &calls[which], at(now));
                } else {
                    (void)end(limits, &calls[which],
                              (random >> 24) % 10 == 1 ? WL_ERR_DEADLINE : WL_OK, now);
                }
                calls[which] = calls[--flying];
            }
            cr_assert_leq(flying, config.concurrency);
            cr_assert_eq(flying, wl_puller_limits_in_flight(limits));
            cr_assert(config.quota == 0 || made <= config.quota);
        }
        for (uint32_t i = 0; i < made; i += 5) {
            for (uint32_t j = i; j < made; j++) {
                uint64_t span_ms = (uint64_t)(began[j] - began[i]);
                cr_assert_leq((j - i + 1) * UINT64_C(1000),
                              config.burst * UINT64_C(1000) + config.rate * span_ms);
            }
        }
        while (flying > 0) {
            (void)end(limits, &calls[--flying], WL_OK, now);
        }
        wl_puller_limits_destroy(&limits);
    }
}

Test(puller_limits, second_calls_are_one_in_twenty_and_go_elsewhere) {
    wl_line_t config = line_config();
    config.url_count = 2;
    config.concurrency = 50;
    wl_puller_limits_t *limits = limits_new(&config);
    uint32_t hedges = 0;
    for (uint32_t i = 1; i <= 1000; i++) {
        wl_limits_call_t call;
        wl_limits_call_t second;
        cr_assert(begin(limits, i, WL_LIVE_ASSETS, &call));
        if (wl_puller_limits_hedge(limits, &call, at(i), (wl_wall_ms_t){100 * DAY}, &second)) {
            hedges++;
            cr_assert_neq(second.url.index, call.url.index);
            cr_assert_eq(wl_puller_limits_in_flight(limits), 2u);
            wl_puller_limits_cancelled(limits, &second, at(i));
        }
        cr_assert_leq(hedges * 20, i);
        (void)end(limits, &call, WL_OK, i);
    }
    cr_expect_eq(hedges, 50u);
    wl_puller_limits_destroy(&limits);
}

Test(puller_limits, second_calls_need_room_like_any_other) {
    wl_line_t config = line_config();
    config.url_count = 2;
    config.concurrency = 1;
    wl_puller_limits_t *limits = limits_new(&config);
    wl_limits_call_t call;
    wl_limits_call_t second;
    for (uint32_t i = 0; i < 100; i++) {
        cr_assert(begin(limits, i, WL_LIVE_ASSETS, &call));
        cr_assert_not(wl_puller_limits_hedge(limits, &call, at(i), (wl_wall_ms_t){0}, &second));
        (void)end(limits, &call, WL_OK, i);
    }
    wl_puller_limits_destroy(&limits);
}

Test(puller_limits, a_process_has_the_share_of_its_partitions) {
    wl_line_t config = line_config();
    config.concurrency = 8;
    config.quota = 10;
    wl_puller_limits_t *limits = limits_new(&config);
    wl_wall_ms_t wall = {100 * DAY};
    uint64_t quota = 0;
    uint32_t concurrency = 0;
    for (uint32_t p = 0; p < 4; p++) {
        wl_puller_limits_share(limits, 1u << p, 4, at(0), wall);
        quota += (uint64_t)wl_puller_limits_quota_left(limits, wall);
        concurrency += wl_puller_limits_now(limits);
    }
    cr_expect_eq(quota, 10u, "all together");
    cr_expect_eq(concurrency, 8u);
    wl_puller_limits_share(limits, 7, 4, at(0), wall);
    cr_expect_eq(wl_puller_limits_now(limits), 6u);
    cr_expect_not(wl_puller_limits_crowded(limits));
    wl_puller_limits_share(limits, 1u << 15, 16, at(0), wall);
    cr_expect_eq(wl_puller_limits_now(limits), 1u, "at least one");
    cr_expect(wl_puller_limits_crowded(limits));
    cr_expect_eq(wl_puller_limits_quota_left(limits, wall), 0);
    cr_expect_not(wl_puller_limits_may(limits, at(0), wall), "none of ten falls to the sixteenth");
    cr_expect_gt(wl_puller_limits_pause_ms(limits, at(0), wall, NULL), 0);
    wl_puller_limits_destroy(&limits);
}

Test(puller_limits, a_shared_quota_is_whole_whatever_is_held) {
    wl_line_t config = line_config();
    config.quota = 10;
    wl_puller_limits_t *limits = wl_puller_limits_new(NULL, "cash", true);
    wl_wall_ms_t wall = {100 * DAY};
    wl_quota_ask_t ask;
    wl_puller_limits_configure(limits, &config, true, at(0), wall);
    wl_puller_limits_share(limits, 1u << 15, 16, at(0), wall);
    cr_expect_eq(wl_puller_limits_quota_left(limits, wall), 10);
    cr_expect_not(wl_puller_limits_may(limits, at(0), wall));
    cr_expect_eq(wl_puller_limits_pause_ms(limits, at(0), wall, NULL), 0, "a question is due");
    cr_expect(wl_puller_quota_ask(wl_puller_limits_quota(limits), at(0), wall, &ask));
    wl_puller_quota_answer(wl_puller_limits_quota(limits), WL_OK, 100, 1, 9, at(0), wall);
    cr_expect(wl_puller_limits_may(limits, at(0), wall));
    wl_puller_limits_retire(limits, wall);
    cr_expect(wl_puller_quota_ask(wl_puller_limits_quota(limits), at(0), wall, &ask));
    cr_expect_eq(ask.back, 1u);
    wl_puller_limits_destroy(&limits);
}

Test(puller_limits, a_page_that_makes_no_sense_is_no_failure_of_the_line) {
    wl_line_t config = line_config();
    config.breaker_failures = 2;
    config.breaker_open_ms = 100;
    wl_puller_limits_t *limits = limits_new(&config);
    wl_limits_call_t call;
    for (int64_t i = 0; i < 10; i++) {
        cr_assert(begin(limits, i, WL_LIVE_DETAILS, &call));
        cr_assert_not(end(limits, &call, i % 2 == 0 ? WL_ERR_NOT_FOUND : WL_ERR_MALFORMED, i));
    }
    cr_assert(begin(limits, 10, WL_LIVE_ASSETS, &call));
    cr_expect_not(end(limits, &call, WL_ERR_MALFORMED, 10));
    cr_assert(begin(limits, 10, WL_LIVE_DETAILS, &call));
    cr_expect(end(limits, &call, WL_ERR_DEADLINE, 10), "but silence is");
    cr_expect_eq(wl_puller_limits_pause_ms(limits, at(10), (wl_wall_ms_t){100 * DAY}, NULL), 100);
    cr_assert(begin(limits, 110, WL_LIVE_DETAILS, &call));
    cr_expect(wl_puller_limits_undecided(limits));
    cr_expect_not(end(limits, &call, WL_ERR_NOT_FOUND, 110));
    cr_expect_eq(wl_puller_limits_breaker(limits), WL_BREAKER_CLOSED, "it answers");
    wl_puller_limits_destroy(&limits);
}

Test(puller_limits, a_pause_is_not_shortened_by_the_next_answer) {
    wl_line_t config = line_config();
    wl_puller_limits_t *limits = limits_new(&config);
    wl_limits_call_t first;
    wl_limits_call_t second;
    cr_assert(begin(limits, 0, WL_LIVE_ASSETS, &first));
    cr_assert(begin(limits, 0, WL_LIVE_DETAILS, &second));
    wl_answer_t answer = {
        .err = WL_ERR_UNAVAILABLE, .http_status = 429, .retry_after_ms = 5000, .elapsed_ms = 5};
    (void)wl_puller_limits_answered(limits, &first, &answer, at(0));
    answer.retry_after_ms = 0; /* a second */
    (void)wl_puller_limits_answered(limits, &second, &answer, at(0));
    const char *reason = NULL;
    cr_expect_eq(wl_puller_limits_pause_ms(limits, at(0), (wl_wall_ms_t){100 * DAY}, &reason),
                 5000);
    cr_expect_str_eq(reason, "the line asked to be left alone for a while");
    wl_puller_limits_destroy(&limits);
}

Test(puller_limits, a_url_that_fails_is_left_out_and_tried_again_with_one_user) {
    wl_line_t config = line_config();
    config.url_count = 2;
    config.breaker_failures = 100;
    wl_puller_limits_t *limits = limits_new(&config);
    wl_limits_call_t call;
    for (int64_t now = 0; wl_puller_limits_urls_out(limits) == 0; now++) {
        cr_assert_lt(now, 100);
        cr_assert(begin(limits, now, WL_LIVE_ASSETS, &call));
        (void)end(limits, &call, call.url.index == 1 ? WL_ERR_UNAVAILABLE : WL_OK, now);
    }
    for (int64_t now = 100; now < 200; now++) {
        cr_assert(begin(limits, now, WL_LIVE_ASSETS, &call));
        cr_assert_eq(call.url.index, 0u);
        (void)end(limits, &call, WL_OK, now);
    }
    cr_expect_not(wl_puller_limits_probing(limits, at(200)));
    cr_expect(wl_puller_limits_probing(limits, at(10000)));
    cr_assert(begin(limits, 10000, WL_LIVE_ASSETS, &call));
    cr_expect(call.url.index == 1 && call.url.probe);
    wl_limits_call_t second;
    cr_expect_not(wl_puller_limits_hedge(limits, &call, at(10000), (wl_wall_ms_t){0}, &second),
                  "a probe has to end");
    (void)end(limits, &call, WL_OK, 10000);
    cr_expect_eq(wl_puller_limits_urls_out(limits), 0u);
    wl_puller_limits_configure(limits, &config, false, at(1), (wl_wall_ms_t){0});
    (void)snprintf(config.urls[1], sizeof config.urls[1], "http://elsewhere");
    wl_puller_limits_configure(limits, &config, false, at(1), (wl_wall_ms_t){0});
    wl_puller_limits_destroy(&limits);
}

Test(puller_limits, a_large_call_may_take_longer_than_a_small_one) {
    wl_line_t config = line_config();
    config.concurrency = 32;
    config.adaptive = true;
    wl_puller_limits_t *limits = limits_new(&config);
    for (int64_t now = 0; now < 2000; now++) {
        wl_limits_call_t call;
        uint32_t users = now % 3 == 0 ? 200 : 1;
        wl_puller_limits_begin(limits, WL_LIVE_ASSETS, users, at(now), &call);
        wl_answer_t answer = {.err = WL_OK, .elapsed_ms = users == 1 ? 5 : 400};
        (void)wl_puller_limits_answered(limits, &call, &answer, at(now));
    }
    cr_expect_eq(wl_puller_limits_now(limits), 32u);
    for (int64_t now = 2000; now < 2100; now++) {
        wl_limits_call_t call;
        wl_puller_limits_begin(limits, WL_LIVE_ASSETS, 1, at(now), &call);
        wl_answer_t answer = {.err = WL_ERR_UNAVAILABLE, .http_status = now % 2 == 0 ? 404 : 0};
        (void)wl_puller_limits_answered(limits, &call, &answer, at(now));
        if (wl_puller_limits_breaker(limits) != WL_BREAKER_CLOSED) {
            break;
        }
    }
    cr_expect_lt(wl_puller_limits_now(limits), 32u, "no answer is a sign");
    config.adaptive = false;
    wl_puller_limits_configure(limits, &config, false, at(3000), (wl_wall_ms_t){0});
    cr_expect_eq(wl_puller_limits_now(limits), 32u);
    wl_puller_limits_destroy(&limits);
}

/* Three calls hang while others open the breaker. */
Test(puller_limits, only_the_probe_decides_whether_the_breaker_closes) {
    wl_line_t config = line_config();
    config.concurrency = 8;
    config.breaker_failures = 1;
    config.breaker_open_ms = 100;
    wl_puller_limits_t *limits = limits_new(&config);
    wl_limits_call_t old[3];
    wl_limits_call_t probe;
    wl_limits_call_t next;
    for (uint32_t i = 0; i < 3; i++) {
        cr_assert(begin(limits, 0, WL_LIVE_ASSETS, &old[i]));
    }
    cr_expect(end(limits, &old[0], WL_ERR_DEADLINE, 1));
    cr_assert(begin(limits, 101, WL_LIVE_ASSETS, &probe));
    cr_expect_not(end(limits, &old[1], WL_ERR_DEADLINE, 102), "it began before");
    cr_expect(wl_puller_limits_undecided(limits));
    cr_expect_not(begin(limits, 300, WL_LIVE_ASSETS, &next), "one probe at a time");
    cr_expect_not(end(limits, &old[2], WL_OK, 300));
    cr_expect_not(begin(limits, 301, WL_LIVE_ASSETS, &next), "nor does an old answer close it");
    cr_expect_not(end(limits, &probe, WL_OK, 302));
    cr_expect_eq(wl_puller_limits_breaker(limits), WL_BREAKER_CLOSED);
    cr_assert(begin(limits, 303, WL_LIVE_ASSETS, &next));
    (void)end(limits, &next, WL_OK, 303);
    wl_puller_limits_destroy(&limits);
}
