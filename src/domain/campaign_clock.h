/* campaign_clock.h: the moment that campaigns go by. It is the wall clock, but anchored on the
 * monotonic one, so that a wall clock that jumps and jumps back switches no campaign on and off.
 * Pure: the clocks come in. A plain struct, one thread.
 *
 * - Steps of up to WL_CAMPAIGN_STEP_MS (a clock that is slewed or corrected) are followed at once,
 *   but never backwards: the moment waits until the clock has caught up.
 * - A longer jump, forwards or backwards, is followed when it has lasted WL_CAMPAIGN_PATIENCE_MS;
 *   until then the moment goes on as if it had not happened. A host that slept looks like one.
 *
 * How long a jump has lasted is known from the calls: call it once a second or so, even when nobody
 * asks. */
#ifndef WL_DOMAIN_CAMPAIGN_CLOCK_H
#define WL_DOMAIN_CAMPAIGN_CLOCK_H

#include "base/clock.h"

#include <stdbool.h>

enum {
    WL_CAMPAIGN_STEP_MS = 2000,
    WL_CAMPAIGN_PATIENCE_MS = 60000,
};

typedef struct {
    bool open;     /* it has seen the clocks; a cleared one takes the first wall time as it is */
    bool jumped;   /* the wall clock is elsewhere, since jump_at */
    int64_t ahead; /* of the wall clock followed, before the monotonic one */
    int64_t jump;  /* the same, of where the wall clock has jumped to */
    wl_mono_ms_t jump_at;
    wl_wall_ms_t last; /* what was said last */
} wl_campaign_clock_t;

/* The moment now. Two calls with the same clocks give the same moment; it goes backwards only when
 * a jump backwards has lasted. Clocks that overflow are cut at the ends of int64. */
wl_wall_ms_t wl_campaign_clock_at(wl_campaign_clock_t *self, wl_wall_ms_t wall, wl_mono_ms_t mono);

#endif
