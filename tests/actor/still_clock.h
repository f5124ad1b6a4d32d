/* still_clock.h: a clock that goes on only when the test says so, in place of base/clock.c. Include
 * it in one file of a test only. */
#ifndef WL_TESTS_ACTOR_STILL_CLOCK_H
#define WL_TESTS_ACTOR_STILL_CLOCK_H

#include "base/clock.h"

static int64_t clock_mono = 1000000;
static int64_t clock_wall = 1764000000000; /* 2025-11-24T16:00:00Z */

wl_mono_ms_t wl_mono_now(void) {
    return (wl_mono_ms_t){clock_mono};
}

wl_wall_ms_t wl_wall_now(void) {
    return (wl_wall_ms_t){clock_wall};
}

uint64_t wl_mono_ns(void) {
    return (uint64_t)clock_mono * 1000000u;
}

static inline void clock_pass(int64_t ms) {
    clock_mono += ms;
    clock_wall += ms;
}

#endif
