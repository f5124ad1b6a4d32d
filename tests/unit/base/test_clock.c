#include "base/clock.h"
#include "base/random.h"

#include <criterion/criterion.h>

Test(clock, monotonic_time_never_goes_back_and_wall_time_is_now) {
    wl_mono_ms_t before = wl_mono_now();
    for (int i = 0; i < 1000; i++) {
        wl_mono_ms_t now = wl_mono_now();
        cr_assert_geq(now.ms, before.ms);
        before = now;
    }
    cr_expect_gt(wl_wall_now().ms, 1700000000000);
}

Test(clock, random_numbers_stay_below_their_bound) {
    cr_expect_eq(wl_random_below(0), 0u);
    for (int i = 0; i < 10000; i++) {
        cr_assert_lt(wl_random_below(7), 7u);
    }
    cr_expect_neq(wl_random_u64(), wl_random_u64());
}
