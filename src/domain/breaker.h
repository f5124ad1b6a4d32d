/* breaker.h: stops asking a line that does not answer, and finds out with one call at a time
 * whether it is back (M. Nygard, Release It!, "Circuit Breaker").
 *
 *      CLOSED --- failures_max failures in a row ---> OPEN
 *         ^                                           |  ^
 *         | the probe succeeds       after open_ms    v  | the probe fails
 *         +------------------------------------- HALF_OPEN
 *
 * Answers to calls that began before it opened change nothing while it is open: only the probe
 * decides. Pure: the caller passes the time. A plain struct, one owner thread. */
#ifndef WL_DOMAIN_BREAKER_H
#define WL_DOMAIN_BREAKER_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { WL_BREAKER_CLOSED, WL_BREAKER_OPEN, WL_BREAKER_HALF_OPEN } wl_breaker_state_t;

typedef struct {
    wl_breaker_state_t state;
    uint32_t failures_max; /* failures in a row that open it, >= 1 */
    uint32_t open_ms;      /* how long it stays open before one probe */
    uint32_t failures;     /* in a row */
    bool probing;          /* half open: the one probe is under way */
    wl_mono_ms_t opened;
} wl_breaker_t;

/* Starts closed. failures_max 0 counts as 1. */
void wl_breaker_init(wl_breaker_t *self, uint32_t failures_max, uint32_t open_ms);
/* May a call be made now? In half open only one at a time: a true there must be followed by
 * success or failure. */
bool wl_breaker_allow(wl_breaker_t *self, wl_mono_ms_t now);
void wl_breaker_success(wl_breaker_t *self);
/* Returns true when this failure opened it (again). */
bool wl_breaker_failure(wl_breaker_t *self, wl_mono_ms_t now);
/* ms until allow may be true, 0 = now. While a probe is under way nobody knows: 50 at most. */
int64_t wl_breaker_wait_ms(const wl_breaker_t *self, wl_mono_ms_t now);

#endif
