/* clock.h: the two clocks, which cannot be mixed by mistake.
 * Monotonic time is for deadlines, ages of waits and timers; wall time is for display, for
 * pulled_at/as_of and for expiry. Any thread. */
#ifndef WL_BASE_CLOCK_H
#define WL_BASE_CLOCK_H

#include <stdint.h>

typedef struct {
    int64_t ms; /* CLOCK_MONOTONIC; equal for all threads of a host, meaningless on another */
} wl_mono_ms_t;

typedef struct {
    int64_t ms; /* since 1970-01-01 UTC */
} wl_wall_ms_t;

wl_mono_ms_t wl_mono_now(void);
wl_wall_ms_t wl_wall_now(void);
uint64_t wl_mono_ns(void); /* for measuring */

#endif
