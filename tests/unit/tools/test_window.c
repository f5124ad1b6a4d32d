#include "tools/linesim/window.h"

#include "base/slot.h"

#include <criterion/criterion.h>

Test(window, finds_the_fullest_second_as_a_plain_count_does) {
    enum { CALLS = 2000 };
    static int64_t at_ms[CALLS];
    static window_t window;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        window_reset(&window);
        int64_t now_ms = 1000000;
        uint32_t most = 0;
        for (uint64_t i = 0; i < CALLS; i++) {
            uint64_t random = wl_mix64(seed << 32 | i);
            now_ms += (int64_t)(random % 50 == 0 ? random % 3000 : random % (seed * 4));
            at_ms[i] = now_ms;
            uint32_t within = 0;
            for (uint64_t k = i + 1; k-- > 0 && now_ms - at_ms[k] < WINDOW_MS;) {
                within++;
            }
            most = within > most ? within : most;
            window_add(&window, now_ms);
            cr_assert_eq(window.peak, most);
        }
    }
}

Test(window, forgets_at_a_reset_and_is_bounded) {
    static window_t window;
    for (int i = 0; i < WINDOW_CALLS_MAX + 100; i++) {
        window_add(&window, 5);
    }
    cr_assert_eq(window.peak, WINDOW_CALLS_MAX);
    window_reset(&window);
    cr_assert_eq(window.peak, 0);
    window_add(&window, 6);
    cr_assert_eq(window.peak, 1);
    window_add(&window, 1005);
    window_add(&window, 1006);
    cr_assert_eq(window.peak, 2);
}
