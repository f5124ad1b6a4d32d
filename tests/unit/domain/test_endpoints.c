#include "domain/endpoints.h"

#include "base/slot.h"

#include <criterion/criterion.h>

static wl_mono_ms_t at(int64_t ms) {
    return (wl_mono_ms_t){ms};
}

/* Calls until `index` has failed three times; the others answer. */
static void fail_three(wl_endpoints_t *endpoints, uint32_t index, int64_t now) {
    for (int failed = 0; failed < 3;) {
        wl_endpoint_pick_t pick = wl_endpoints_pick(endpoints, at(now));
        bool bad = pick.index == index;
        wl_endpoints_ended(endpoints, pick, bad ? WL_ENDPOINT_BAD : WL_ENDPOINT_GOOD, at(now));
        failed += bad;
    }
}

Test(endpoints, are_asked_in_turn) {
    wl_endpoints_t endpoints;
    wl_endpoints_init(&endpoints, 3);
    for (uint32_t i = 0; i < 30; i++) {
        wl_endpoint_pick_t pick = wl_endpoints_pick(&endpoints, at(0));
        cr_assert_eq(pick.index, i % 3);
        cr_assert_not(pick.probe);
        wl_endpoints_ended(&endpoints, pick, WL_ENDPOINT_GOOD, at(0));
    }
}

Test(endpoints, one_that_fails_is_out_for_longer_each_time_and_comes_back) {
    wl_endpoints_t endpoints;
    wl_endpoints_init(&endpoints, 2);
    fail_three(&endpoints, 1, 0);
    cr_assert_eq(wl_endpoints_out(&endpoints), 1u);
    int64_t now = 0;
    for (int64_t out_ms = 5000; out_ms < 300000; out_ms *= 2) {
        cr_assert_not(wl_endpoints_probe_due(&endpoints, at(now + out_ms - 1)));
        cr_assert_eq(wl_endpoints_pick(&endpoints, at(now + out_ms - 1)).index, 0u);
        now += out_ms;
        cr_assert(wl_endpoints_probe_due(&endpoints, at(now)));
        wl_endpoint_pick_t probe = wl_endpoints_pick(&endpoints, at(now));
        cr_assert(probe.index == 1 && probe.probe);
        cr_assert_eq(wl_endpoints_pick(&endpoints, at(now)).index, 0u, "one probe at a time");
        wl_endpoints_ended(&endpoints, probe, WL_ENDPOINT_BAD, at(now));
    }
    now += 300000;
    wl_endpoint_pick_t probe = wl_endpoints_pick(&endpoints, at(now));
    cr_assert(probe.probe, "300 s at most");
    wl_endpoints_ended(&endpoints, probe, WL_ENDPOINT_UNSAID, at(now));
    probe = wl_endpoints_pick(&endpoints, at(now));
    cr_assert(probe.probe, "nothing was learnt: another one");
    wl_endpoints_ended(&endpoints, probe, WL_ENDPOINT_GOOD, at(now));
    cr_expect_eq(wl_endpoints_out(&endpoints), 0u);
    fail_three(&endpoints, 1, now);
    cr_expect_not(wl_endpoints_probe_due(&endpoints, at(now + 299999)), "it has a record");
    now += 300000;
    probe = wl_endpoints_pick(&endpoints, at(now));
    wl_endpoints_ended(&endpoints, probe, WL_ENDPOINT_GOOD, at(now));
    for (int i = 0; i < 4; i++) { /* well for long: forgiven */
        wl_endpoint_pick_t pick = wl_endpoints_pick(&endpoints, at(now + 300001));
        wl_endpoints_ended(&endpoints, pick, WL_ENDPOINT_GOOD, at(now + 300001));
    }
    fail_three(&endpoints, 1, now + 300001);
    cr_expect(wl_endpoints_probe_due(&endpoints, at(now + 300001 + 5000)));
}

Test(endpoints, only_failures_in_a_row_count_and_old_calls_say_nothing) {
    wl_endpoints_t endpoints;
    wl_endpoints_init(&endpoints, 2);
    wl_endpoint_pick_t second = {.index = 1};
    for (int i = 0; i < 21; i++) {
        wl_endpoints_ended(&endpoints, second, i % 3 == 2 ? WL_ENDPOINT_GOOD : WL_ENDPOINT_BAD,
                           at(0));
    }
    cr_expect_eq(wl_endpoints_out(&endpoints), 0u);
    fail_three(&endpoints, 1, 0);
    wl_endpoints_ended(&endpoints, second, WL_ENDPOINT_GOOD, at(1));
    cr_expect_eq(wl_endpoints_out(&endpoints), 1u);
    wl_endpoints_ended(&endpoints, second, WL_ENDPOINT_BAD, at(4000));
    cr_expect(wl_endpoints_probe_due(&endpoints, at(5000)), "not longer for that");
    wl_endpoints_ended(&endpoints, (wl_endpoint_pick_t){.index = 7}, WL_ENDPOINT_BAD, at(1));
}

Test(endpoints, another_one_for_a_second_call) {
    wl_endpoints_t endpoints;
    wl_endpoint_pick_t other;
    wl_endpoints_init(&endpoints, 1);
    cr_expect_not(wl_endpoints_other(&endpoints, 0, &other));
    wl_endpoints_init(&endpoints, 2);
    cr_assert(wl_endpoints_other(&endpoints, 1, &other));
    cr_expect_eq(other.index, 0u);
    fail_three(&endpoints, 0, 0);
    cr_expect_not(wl_endpoints_other(&endpoints, 1, &other), "the other one is out");
}

/* Whatever happens, at most half are out and one can be asked. */
Test(endpoints, at_most_half_are_out) {
    for (uint64_t seed = 0; seed < 300; seed++) {
        wl_endpoints_t endpoints;
        uint32_t count = (uint32_t)(seed % WL_LINE_URLS_MAX) + 1;
        wl_endpoint_pick_t flying[20];
        uint32_t calls = 0;
        int64_t now = 0;
        wl_endpoints_init(&endpoints, count);
        for (uint64_t i = 0; i < 2000; i++) {
            uint64_t random = wl_mix64(seed << 32 | i);
            now += (int64_t)(random % 500);
            if (calls < 20 && random % 2 == 0) {
                flying[calls] = wl_endpoints_pick(&endpoints, at(now));
                cr_assert_lt(flying[calls].index, count);
                cr_assert_eq(flying[calls].probe, endpoints.at[flying[calls].index].out);
                calls++;
            } else if (calls > 0) {
                uint32_t at_index = (uint32_t)(random >> 8) % calls;
                bool bad = (random >> 16) % 4 != 0;
                wl_endpoints_ended(&endpoints, flying[at_index],
                                   bad                       ? WL_ENDPOINT_BAD
                                   : (random >> 20) % 2 == 0 ? WL_ENDPOINT_GOOD
                                                             : WL_ENDPOINT_UNSAID,
                                   at(now));
                flying[at_index] = flying[--calls];
            }
            cr_assert_leq(wl_endpoints_out(&endpoints), count / 2);
        }
    }
}
