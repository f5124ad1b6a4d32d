/* compare_pace.h: when a comparison is begun and how fast it goes. Pure, any thread. */
#ifndef WL_DOMAIN_COMPARE_PACE_H
#define WL_DOMAIN_COMPARE_PACE_H

#include "base/clock.h"

#include <stdbool.h>
#include <stdint.h>

/* "03:10" to minutes after midnight; "" to -1: never. false: neither. */
bool wl_compare_at_parse(const char *text, int32_t *ret_minute);

/* Is a daily run due? `minute` as parsed; now_minute: minutes after local midnight; last: when the
 * newest run by the clock was begun, wall ms, 0 = never. Due within the hour after its minute, also
 * for a process that was started then, unless one was begun in the twelve hours before. */
bool wl_compare_due(int32_t minute, int32_t now_minute, int64_t last, int64_t now);

/* ms from the beginning of a step to that of the next, for a run that may compare `rate` records a
 * second (0: any). */
int64_t wl_compare_run_ms(uint64_t rows, uint64_t rate);

/* The same for the rolling comparison: so that a round over all users takes nine tenths of
 * round_s, but never more than load_percent of the time is worked, and never longer than a minute.
 * users: of a whole round, 0 = not known; step_users of them took worked_ms. */
int64_t wl_compare_round_ms(uint64_t users, uint32_t step_users, int64_t worked_ms,
                            uint64_t round_s, uint32_t load_percent);

#endif
