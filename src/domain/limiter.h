/* limiter.h: how many calls a line bears at once, found out from how long they take and whether
 * they fail. Starts at the most that is configured, never above it, never below 1. Two rules:
 *
 *   an answer in time   the gradient of Netflix concurrency-limits (Gradient2Limit):
 *                           gradient = max(0.5, min(1, TOLERANCE * usual / this one))
 *                           next     = limit * gradient + sqrt(limit)
 *                           limit    = limit + SMOOTHING * (next - limit)
 *                       with `usual` the moving average of its kind; it grows only while at least
 *                       half of the limit is in use, lest a quiet hour says anything about a busy
 *                       one
 *   no answer           multiplicative decrease (Chiu and Jain 1989): limit = limit * 0.9
 *
 * Pure; a plain struct, one owner thread. */
#ifndef WL_DOMAIN_LIMITER_H
#define WL_DOMAIN_LIMITER_H

#include <stdbool.h>
#include <stdint.h>

enum { WL_LIMITER_KINDS = 10 }; /* kinds of calls, each with a time that is usual for it */

typedef struct {
    double limit;                      /* 1 .. max */
    double usual_ms[WL_LIMITER_KINDS]; /* moving averages, 0 = no call yet */
    uint32_t max;                      /* calls at once as configured, >= 1 */
} wl_limiter_t;

/* max 0 counts as 1. */
void wl_limiter_init(wl_limiter_t *self, uint32_t max);
/* Another maximum: the limit stays the same share of it. */
void wl_limiter_set(wl_limiter_t *self, uint32_t max);
/* A call of this kind was answered after elapsed_ms while in_flight calls, itself among them, were
 * under way. */
void wl_limiter_answered(wl_limiter_t *self, uint32_t kind, int64_t elapsed_ms, uint32_t in_flight);
/* A call was not answered in time, not at all, or with "too many". */
void wl_limiter_failed(wl_limiter_t *self);
/* Calls at once: 1 .. max. */
uint32_t wl_limiter_now(const wl_limiter_t *self);

#endif
