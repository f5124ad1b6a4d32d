#include "domain/breaker.h"

#include "base/alloc.h"

#include <criterion/criterion.h>

typedef enum { ALLOW, SUCCESS, FAILURE } call_t;

/* One breaker with failures_max 2 and open_ms 100, walked from row to row. */
static const struct {
    int64_t now_ms;
    call_t call;
    bool answer; /* of ALLOW and FAILURE */
    wl_breaker_state_t after;
    int64_t wait_ms;
} walk[] = {
    {0, ALLOW, true, WL_BREAKER_CLOSED, 0},
    {0, FAILURE, false, WL_BREAKER_CLOSED, 0},
    {0, SUCCESS, false, WL_BREAKER_CLOSED, 0}, /* not in a row any more */
    {0, FAILURE, false, WL_BREAKER_CLOSED, 0},
    {10, FAILURE, true, WL_BREAKER_OPEN, 100},
    {20, ALLOW, false, WL_BREAKER_OPEN, 90},
    {60, FAILURE, false, WL_BREAKER_OPEN, 50}, /* of an older call: does not prolong */
    {60, SUCCESS, false, WL_BREAKER_OPEN, 50}, /* nor close */
    {109, ALLOW, false, WL_BREAKER_OPEN, 1},
    {110, ALLOW, true, WL_BREAKER_HALF_OPEN, 50}, /* the probe */
    {110, ALLOW, false, WL_BREAKER_HALF_OPEN, 50},
    {900, ALLOW, false, WL_BREAKER_HALF_OPEN, 50}, /* one at a time, however long it takes */
    {900, FAILURE, true, WL_BREAKER_OPEN, 100},
    {999, ALLOW, false, WL_BREAKER_OPEN, 1},
    {5000, ALLOW, true, WL_BREAKER_HALF_OPEN, 50},
    {5000, SUCCESS, false, WL_BREAKER_CLOSED, 0},
    {5000, ALLOW, true, WL_BREAKER_CLOSED, 0},
    {5000, FAILURE, false, WL_BREAKER_CLOSED, 0}, /* the count began anew */
    {5000, FAILURE, true, WL_BREAKER_OPEN, 100},
};

Test(breaker, walks_through_its_states) {
    wl_breaker_t breaker;
    wl_breaker_init(&breaker, 2, 100);
    for (size_t i = 0; i < WL_COUNT_OF(walk); i++) {
        wl_mono_ms_t now = {walk[i].now_ms};
        bool answer = false;
        switch (walk[i].call) {
        case ALLOW: answer = wl_breaker_allow(&breaker, now); break;
        case SUCCESS: wl_breaker_success(&breaker); break;
        case FAILURE: answer = wl_breaker_failure(&breaker, now); break;
        }
        cr_assert_eq(answer, walk[i].answer, "row %zu", i);
        cr_assert_eq(breaker.state, walk[i].after, "row %zu", i);
        cr_assert_eq(wl_breaker_wait_ms(&breaker, now), walk[i].wait_ms, "row %zu", i);
    }
}

Test(breaker, opens_at_the_first_failure_when_told_so) {
    for (uint32_t failures_max = 0; failures_max <= 1; failures_max++) {
        wl_breaker_t breaker;
        wl_breaker_init(&breaker, failures_max, 0);
        cr_assert(wl_breaker_failure(&breaker, (wl_mono_ms_t){5}));
        cr_assert(wl_breaker_allow(&breaker, (wl_mono_ms_t){5}), "open for no time at all");
        cr_assert_not(wl_breaker_allow(&breaker, (wl_mono_ms_t){5}));
    }
}

Test(breaker, a_dead_line_meets_one_call_per_open_time) {
    wl_breaker_t breaker;
    wl_breaker_init(&breaker, 5, 1000);
    int calls = 0;
    for (int64_t ms = 0; ms < 60000; ms++) {
        if (wl_breaker_allow(&breaker, (wl_mono_ms_t){ms})) {
            calls++;
            (void)wl_breaker_failure(&breaker, (wl_mono_ms_t){ms});
        }
    }
    cr_assert_eq(calls, 5 + 59);
}
