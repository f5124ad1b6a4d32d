#include "domain/retry.h"

#include "base/slot.h"

#include <criterion/criterion.h>

/* Whatever the schedule: retries <= first attempts / 5 + minimum * T + what could be saved. */
Test(retry, stays_a_share_of_the_first_attempts) {
    for (uint64_t seed = 0; seed < 100; seed++) {
        uint32_t minimum = (uint32_t)(wl_mix64(seed) % 20);
        wl_retry_budget_t budget;
        wl_retry_budget_init(&budget, minimum, (wl_mono_ms_t){0});
        uint64_t firsts = 0;
        uint64_t retries = 0;
        int64_t now_ms = 0;
        for (uint64_t i = 0; i < 5000; i++) {
            uint64_t random = wl_mix64(seed << 32 | i);
            now_ms += (int64_t)(random % 20);
            if ((random >> 8) % 3 == 0) {
                uint32_t some = (uint32_t)(random >> 16) % 30;
                wl_retry_budget_earn(&budget, some);
                firsts += some;
            }
            for (uint64_t j = 0; j < (random >> 24) % 12; j++) {
                retries += wl_retry_budget_take(&budget, (wl_mono_ms_t){now_ms}) ? 1 : 0;
            }
            uint64_t earned_milli = firsts * 200 + minimum * (uint64_t)(now_ms + 1000);
            cr_assert_leq(retries * 1000, earned_milli);
            cr_assert_leq(budget.milli, (int64_t)(minimum * 10 > 100 ? minimum * 10 : 100) * 1000);
        }
    }
}

Test(retry, a_quiet_line_may_still_try_a_few_times_a_second) {
    wl_retry_budget_t budget;
    wl_retry_budget_init(&budget, 2, (wl_mono_ms_t){0});
    int retries = 0;
    for (int64_t ms = 0; ms < 10000; ms += 10) {
        retries += wl_retry_budget_take(&budget, (wl_mono_ms_t){ms}) ? 1 : 0;
    }
    cr_assert_geq(retries, 21);
    cr_assert_leq(retries, 22);
    wl_retry_budget_init(&budget, 0, (wl_mono_ms_t){0});
    cr_assert_not(wl_retry_budget_take(&budget, (wl_mono_ms_t){INT64_MAX}));
    wl_retry_budget_earn(&budget, 5);
    cr_assert(wl_retry_budget_take(&budget, (wl_mono_ms_t){INT64_MAX}));
    cr_assert_not(wl_retry_budget_take(&budget, (wl_mono_ms_t){INT64_MAX}));
    wl_retry_budget_init(&budget, UINT32_MAX, (wl_mono_ms_t){0});
    cr_assert(wl_retry_budget_take(&budget, (wl_mono_ms_t){INT64_MAX}), "does not overflow");
    wl_retry_budget_earn(&budget, UINT32_MAX);
}

Test(retry, delays_double_up_to_the_maximum_and_are_half_random) {
    for (uint32_t attempt = 0; attempt < 70; attempt++) {
        uint64_t full = 100;
        for (uint32_t n = 1; n < attempt && full < 30000; n++) {
            full *= 2;
        }
        full = full > 30000 ? 30000 : full;
        int64_t least = INT64_MAX;
        int64_t most = 0;
        for (uint64_t i = 0; i < 2000; i++) {
            uint32_t random = (uint32_t)wl_mix64(i);
            int64_t delay = wl_retry_delay_ms(attempt, 100, 30000, random);
            cr_assert_geq(delay, (int64_t)full / 2);
            cr_assert_leq(delay, (int64_t)full);
            least = delay < least ? delay : least;
            most = delay > most ? delay : most;
        }
        cr_assert_lt(least, (int64_t)(full * 52 / 100));
        cr_assert_gt(most, (int64_t)(full * 98 / 100));
    }
}

Test(retry, delays_of_odd_settings_stay_in_bounds) {
    const uint32_t values[] = {0, 1, 2, 3, UINT32_MAX - 1, UINT32_MAX};
    for (size_t a = 0; a < 6; a++) {
        for (size_t b = 0; b < 6; b++) {
            for (size_t c = 0; c < 6; c++) {
                for (size_t d = 0; d < 6; d++) {
                    int64_t delay = wl_retry_delay_ms(values[a], values[b], values[c], values[d]);
                    cr_assert_geq(delay, 1);
                    cr_assert_leq(delay, values[c] == 0 ? 1 : (int64_t)values[c]);
                }
            }
        }
    }
}

Test(retry, a_pause_saves_ten_seconds_and_no_burst) {
    wl_retry_budget_t budget;
    wl_retry_budget_init(&budget, 1, (wl_mono_ms_t){0});
    int retries = 0;
    while (wl_retry_budget_take(&budget, (wl_mono_ms_t){3600000})) {
        retries++;
    }
    cr_assert_eq(retries, 10);
    wl_retry_budget_earn(&budget, 100000);
    for (retries = 0; wl_retry_budget_take(&budget, (wl_mono_ms_t){3600000});) {
        retries++;
    }
    cr_assert_eq(retries, 100);
}

Test(retry, a_line_that_half_fails_rouses_nobody) {
    wl_recovery_t recovery = {0};
    for (uint64_t i = 0; i < 20000; i++) {
        wl_mono_ms_t now = {5000 + (int64_t)i};
        wl_recovery_note(&recovery, wl_mix64(i) % 2 == 0, now);
        if (i > 50) { /* enough to know */
            cr_assert_eq(wl_recovery_rouse(&recovery, now), 0);
        }
    }
}

Test(retry, a_line_that_is_well_again_rouses_twice_as_many_each_time) {
    wl_recovery_t recovery = {0};
    for (int i = 0; i < 100; i++) {
        wl_recovery_note(&recovery, false, (wl_mono_ms_t){1000 + i});
    }
    wl_recovery_note(&recovery, true, (wl_mono_ms_t){2500});
    cr_assert_eq(wl_recovery_rouse(&recovery, (wl_mono_ms_t){2500}), 0, "it has just failed");
    uint32_t count = 1;
    for (int64_t ms = 3000; ms < 3200; ms += 20) { /* the failures are two seconds old */
        for (uint32_t i = 0; i < count; i++) {
            wl_recovery_note(&recovery, true, (wl_mono_ms_t){ms});
        }
        cr_assert_eq(wl_recovery_rouse(&recovery, (wl_mono_ms_t){ms}), count * 2);
        count *= 2;
    }
    cr_assert_eq(wl_recovery_rouse(&recovery, (wl_mono_ms_t){3200}), 0, "each counts once");
    for (uint32_t i = 0; i < count / 30; i++) {
        wl_recovery_note(&recovery, false, (wl_mono_ms_t){3200});
    }
    wl_recovery_note(&recovery, true, (wl_mono_ms_t){3200});
    cr_assert_eq(wl_recovery_rouse(&recovery, (wl_mono_ms_t){3200}), 2,
                 "one in twenty is not sick");
}
