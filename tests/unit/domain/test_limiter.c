#include "domain/limiter.h"

#include "base/slot.h"

#include <criterion/criterion.h>

static void answers(wl_limiter_t *limiter, int count, int64_t elapsed_ms) {
    for (int i = 0; i < count; i++) {
        wl_limiter_answered(limiter, 0, elapsed_ms, wl_limiter_now(limiter));
    }
}

Test(limiter, stays_between_one_and_the_maximum_whatever_happens) {
    for (uint64_t seed = 0; seed < 200; seed++) {
        wl_limiter_t limiter;
        uint32_t max = (uint32_t)(wl_mix64(seed) % 256) + 1;
        wl_limiter_init(&limiter, max);
        cr_assert_eq(wl_limiter_now(&limiter), max, "it starts at what is configured");
        for (uint64_t i = 0; i < 3000; i++) {
            uint64_t random = wl_mix64(seed << 32 | i);
            if (random % 100 == 0) {
                max = (uint32_t)(random >> 8) % 300;
                wl_limiter_set(&limiter, max);
                max = max == 0 ? 1 : max;
            } else if (random % 5 == 0) {
                wl_limiter_failed(&limiter);
            } else {
                wl_limiter_answered(&limiter, (uint32_t)(random >> 8) % WL_LIMITER_KINDS,
                                    (int64_t)(random >> 16) % 100000, (uint32_t)(random >> 40));
            }
            cr_assert_geq(wl_limiter_now(&limiter), 1u);
            cr_assert_leq(wl_limiter_now(&limiter), max);
        }
    }
}

Test(limiter, a_line_as_fast_as_ever_keeps_the_maximum) {
    wl_limiter_t limiter;
    wl_limiter_init(&limiter, 64);
    for (int i = 0; i < 1000; i++) {
        answers(&limiter, 1, 30 + i % 25);
        cr_assert_eq(wl_limiter_now(&limiter), 64u);
    }
    answers(&limiter, 1000, 1);
    cr_expect_eq(wl_limiter_now(&limiter), 64u);
    answers(&limiter, 100, 19);
    cr_expect_eq(wl_limiter_now(&limiter), 64u, "a few ms more are noise");
}

Test(limiter, falls_when_a_line_becomes_slow_and_rises_when_it_is_fast_again) {
    wl_limiter_t limiter;
    wl_limiter_init(&limiter, 64);
    answers(&limiter, 200, 30);
    answers(&limiter, 15, 600);
    uint32_t slow = wl_limiter_now(&limiter);
    cr_expect_leq(slow, 32u, "%u", slow);
    answers(&limiter, 200, 30);
    cr_expect_eq(wl_limiter_now(&limiter), 64u);
}

Test(limiter, falls_to_one_while_nothing_is_answered) {
    wl_limiter_t limiter;
    wl_limiter_init(&limiter, 64);
    for (int i = 0; i < 60; i++) {
        wl_limiter_failed(&limiter);
    }
    cr_expect_eq(wl_limiter_now(&limiter), 1u);
    answers(&limiter, 100, 30);
    cr_expect_eq(wl_limiter_now(&limiter), 64u, "%u", wl_limiter_now(&limiter));
}

Test(limiter, does_not_grow_while_it_is_not_used) {
    wl_limiter_t limiter;
    wl_limiter_init(&limiter, 64);
    for (int i = 0; i < 20; i++) {
        wl_limiter_failed(&limiter);
    }
    uint32_t before = wl_limiter_now(&limiter);
    for (int i = 0; i < 1000; i++) {
        wl_limiter_answered(&limiter, 0, 30, 1);
    }
    cr_expect_eq(wl_limiter_now(&limiter), before);
}

Test(limiter, knows_what_is_usual_for_each_kind) {
    wl_limiter_t limiter;
    wl_limiter_init(&limiter, 16);
    for (int i = 0; i < 300; i++) {
        wl_limiter_answered(&limiter, 0, 30, 16);
        wl_limiter_answered(&limiter, 1, 900, 16);
    }
    cr_expect_eq(wl_limiter_now(&limiter), 16u, "pages take long, that is how they are");
}

Test(limiter, keeps_its_share_under_another_maximum) {
    wl_limiter_t limiter;
    wl_limiter_init(&limiter, 64);
    for (int i = 0; i < 7; i++) {
        wl_limiter_failed(&limiter);
    }
    uint32_t before = wl_limiter_now(&limiter);
    wl_limiter_set(&limiter, 32);
    cr_expect(wl_limiter_now(&limiter) == before / 2 || wl_limiter_now(&limiter) == before / 2 + 1);
    wl_limiter_set(&limiter, 64);
    cr_expect(wl_limiter_now(&limiter) == before || wl_limiter_now(&limiter) + 1 == before);
}
