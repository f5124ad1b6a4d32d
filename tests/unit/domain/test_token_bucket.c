#include "domain/token_bucket.h"

#include "base/slot.h"

#include <criterion/criterion.h>

static wl_mono_ms_t at(int64_t ms) {
    return (wl_mono_ms_t){ms};
}

Test(token_bucket, gives_a_burst_and_then_the_rate) {
    wl_token_bucket_t bucket;
    wl_token_bucket_init(&bucket, 10, 3, at(0));
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(wl_token_bucket_wait_ms(&bucket, at(0)), 0);
        cr_assert(wl_token_bucket_take(&bucket, at(0)));
    }
    cr_assert_not(wl_token_bucket_take(&bucket, at(0)));
    cr_assert_eq(wl_token_bucket_wait_ms(&bucket, at(0)), 100);
    cr_assert_not(wl_token_bucket_take(&bucket, at(99)));
    cr_assert(wl_token_bucket_take(&bucket, at(100)));
}

/* Over every window: never more than burst + rate * T; and one who always asks gets all of it. */
Test(token_bucket, never_gives_more_than_burst_and_rate_over_any_window) {
    enum { STEPS = 1200 };
    static int64_t moment[STEPS];
    static uint64_t given[STEPS + 1]; /* before step i */
    for (uint64_t seed = 0; seed < 40; seed++) {
        uint32_t rate = (uint32_t)(wl_mix64(seed) % 3000) + 1;
        uint32_t burst = (uint32_t)(wl_mix64(seed + 1000) % 50) + 1;
        wl_token_bucket_t bucket;
        wl_token_bucket_init(&bucket, rate, burst, at(0));
        int64_t now_ms = 0;
        for (uint64_t i = 0; i < STEPS; i++) {
            uint64_t random = wl_mix64(seed << 32 | i);
            now_ms += (int64_t)(random % 8 == 0 ? (random >> 8) % 200 : (random >> 8) % 2);
            moment[i] = now_ms;
            int64_t wait_ms = wl_token_bucket_wait_ms(&bucket, at(now_ms));
            bool taken = wl_token_bucket_take(&bucket, at(now_ms));
            cr_assert_eq(taken, wait_ms == 0);
            given[i + 1] = given[i] + (taken ? 1 : 0);
            wl_token_bucket_t copy = bucket; /* the wait is exact: a ms earlier there is none */
            wait_ms = wl_token_bucket_wait_ms(&copy, at(now_ms));
            cr_assert(wait_ms == 0 || !wl_token_bucket_take(&copy, at(now_ms + wait_ms - 1)));
            cr_assert(wl_token_bucket_take(&copy, at(now_ms + wait_ms)));
        }
        for (uint64_t i = 0; i < STEPS; i += 7) {
            for (uint64_t j = i; j < STEPS; j++) {
                uint64_t tokens = given[j + 1] - given[i];
                uint64_t span_ms = (uint64_t)(moment[j] - moment[i]);
                cr_assert_leq(tokens * 1000, burst * UINT64_C(1000) + rate * span_ms);
            }
        }
    }
}

Test(token_bucket, one_who_always_asks_gets_the_whole_rate) {
    wl_token_bucket_t bucket;
    wl_token_bucket_init(&bucket, 333, 2, at(0)); /* a burst of 1 loses what a ms is too much */
    int given = 0;
    for (int64_t ms = 0; ms < 10000; ms++) {
        given += wl_token_bucket_take(&bucket, at(ms)) ? 1 : 0;
    }
    cr_assert_geq(given, 3329);
    cr_assert_leq(given, 3332);
}

Test(token_bucket, rate_zero_is_no_limit_and_odd_times_do_no_harm) {
    wl_token_bucket_t bucket;
    wl_token_bucket_init(&bucket, 0, 0, at(5));
    for (int i = 0; i < 1000; i++) {
        cr_assert(wl_token_bucket_take(&bucket, at(5)));
    }
    wl_token_bucket_init(&bucket, UINT32_MAX, UINT32_MAX, at(0));
    cr_assert(wl_token_bucket_take(&bucket, at(INT64_MAX)));
    wl_token_bucket_init(&bucket, 1, 1, at(1000));
    cr_assert(wl_token_bucket_take(&bucket, at(1000)));
    cr_assert_not(wl_token_bucket_take(&bucket, at(0)), "the clock went back");
    cr_assert_not(wl_token_bucket_take(&bucket, at(1999)));
    cr_assert(wl_token_bucket_take(&bucket, at(2000)));
}

Test(token_bucket, new_limits_keep_what_was_earned_up_to_the_new_burst) {
    wl_token_bucket_t bucket;
    wl_token_bucket_init(&bucket, 10, 100, at(0));
    wl_token_bucket_set(&bucket, 10, 2, at(0));
    cr_assert(wl_token_bucket_take(&bucket, at(0)));
    cr_assert(wl_token_bucket_take(&bucket, at(0)));
    cr_assert_not(wl_token_bucket_take(&bucket, at(0)));
    wl_token_bucket_set(&bucket, 1000, 5, at(100)); /* 100 ms at 10 a second: one token */
    cr_assert(wl_token_bucket_take(&bucket, at(100)));
    cr_assert_not(wl_token_bucket_take(&bucket, at(100)));
    cr_assert(wl_token_bucket_take(&bucket, at(101)));
}

/* Four who share a limit, one part each and then two of them two: together never above it but for
 * the one token that each may give out at once. */
Test(token_bucket, shares_together_keep_the_limit) {
    for (uint64_t seed = 0; seed < 50; seed++) {
        uint32_t rate = (uint32_t)(wl_mix64(seed) % 50) + 1;
        uint32_t burst = (uint32_t)(wl_mix64(seed + 99) % 20) + 1;
        wl_token_bucket_t buckets[4];
        for (int k = 0; k < 4; k++) {
            wl_token_bucket_init(&buckets[k], rate, burst, at(0));
            wl_token_bucket_share(&buckets[k], 1, 4, at(0));
        }
        uint64_t given = 0;
        int64_t now_ms = 0;
        for (uint64_t i = 0; i < 4000; i++) {
            now_ms += (int64_t)(wl_mix64(seed << 32 | i) % 20);
            if (i == 2000) { /* two leave, the others take their parts */
                wl_token_bucket_share(&buckets[0], 2, 4, at(now_ms));
                wl_token_bucket_share(&buckets[1], 2, 4, at(now_ms));
            }
            for (int k = 0; k < (i < 2000 ? 4 : 2); k++) {
                int64_t wait_ms = wl_token_bucket_wait_ms(&buckets[k], at(now_ms));
                bool taken = wl_token_bucket_take(&buckets[k], at(now_ms));
                cr_assert_eq(taken, wait_ms == 0);
                given += taken ? 1 : 0;
            }
            cr_assert_leq(given * 1000, (burst + 4) * UINT64_C(1000) + rate * (uint64_t)now_ms);
        }
        cr_assert_geq(given * 1000 + 5000, rate * (uint64_t)now_ms / 2, "and most of it");
    }
}
