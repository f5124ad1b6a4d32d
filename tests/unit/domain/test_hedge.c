#include "domain/hedge.h"

#include "base/slot.h"

#include <criterion/criterion.h>

Test(hedge, second_calls_are_at_most_one_in_twenty) {
    for (uint64_t seed = 0; seed < 50; seed++) {
        wl_hedge_t hedge = {0};
        uint64_t calls = 0;
        uint64_t seconds = 0;
        for (uint64_t i = 0; i < 20000; i++) {
            uint64_t random = wl_mix64(seed << 32 | i);
            if (random % 3 != 0) {
                wl_hedge_earn(&hedge);
                calls++;
            } else if (wl_hedge_may(&hedge)) {
                wl_hedge_take(&hedge);
                seconds++;
            }
            cr_assert_leq(seconds * 20, calls);
        }
        cr_expect_geq(seconds * 20 + 200, calls, "and nearly all of them");
    }
}

Test(hedge, little_is_saved_up) {
    wl_hedge_t hedge = {0};
    for (int i = 0; i < 100000; i++) {
        wl_hedge_earn(&hedge);
    }
    int seconds = 0;
    for (; wl_hedge_may(&hedge); seconds++) {
        wl_hedge_take(&hedge);
    }
    cr_expect_eq(seconds, 10);
}
