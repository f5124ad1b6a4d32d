/* retry.h: how often and how soon a failed pull is made again. The budget keeps retries a share of
 * the work, so that a sick line meets fewer calls and not more; the back-off spreads them.
 * Pure: the caller passes the time and a random number. Plain structs, one owner thread. */
#ifndef WL_DOMAIN_RETRY_H
#define WL_DOMAIN_RETRY_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Each first attempt earns 1/5 token, a retry costs one, counted when it is scheduled; a small
 * minimum a second lets a quiet line find out that it is well again. Beyond it a retry waits, it is
 * never dropped. Over any T seconds: retries <= first attempts / 5 + minimum * T + what was saved
 * up: 100 that pulls earned, or 10 s of the minimum. */
typedef struct {
    int64_t milli;       /* tokens x 1000 */
    int64_t milli_max;   /* what may be saved up; of the minimum alone 10 s, lest a quiet line save
                            up a burst */
    uint32_t minimum;    /* tokens a second in any case */
    wl_mono_ms_t filled; /* when the minimum was last added */
} wl_retry_budget_t;

/* Starts with one second's minimum. */
void wl_retry_budget_init(wl_retry_budget_t *self, uint32_t minimum, wl_mono_ms_t now);
void wl_retry_budget_earn(wl_retry_budget_t *self, uint32_t first_attempts);
/* false: the retry has to wait; ask again later. */
bool wl_retry_budget_take(wl_retry_budget_t *self, wl_mono_ms_t now);

/* Back-off of attempt n (1 = first retry, 0 counts as 1): base * 2^(n-1), at most max, then "equal
 * jitter": half fixed, half random. random: any u32. Result in [delay/2, delay], at least 1. */
int64_t wl_retry_delay_ms(uint32_t attempt, uint32_t base_ms, uint32_t max_ms, uint32_t random);

/* When a line is well again, pairs that sleep until their retries are woken before their time, two
 * for each good outcome, so that their number doubles with each round of calls: an outage is made
 * up for in seconds. A line of which more than one outcome in 20 was bad, in this second or the one
 * before, rouses nobody. A zeroed struct is a line of which nothing is known. */
typedef struct {
    int64_t second; /* that good and bad count, monotonic */
    uint32_t good;
    uint32_t bad;
    uint32_t good_before; /* of the second before */
    uint32_t bad_before;
    uint32_t fresh; /* good ones since the last wl_recovery_rouse() */
} wl_recovery_t;

void wl_recovery_note(wl_recovery_t *self, bool good, wl_mono_ms_t now);
/* How many sleepers may be woken now. */
uint32_t wl_recovery_rouse(wl_recovery_t *self, wl_mono_ms_t now);

#endif
