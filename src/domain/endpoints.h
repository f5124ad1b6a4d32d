/* endpoints.h: which of a line's urls is asked next, and which ones are left out because they fail
 * (outlier ejection, as in Envoy).
 *
 *      IN --- FAILURES_MAX failures in a row ---> OUT for 5 s, 10 s, 20 s .. 300 s
 *       ^                                          |   ^
 *       | the probe is answered                    v   | the probe fails
 *       +-------------------------------------- one call at a time
 *
 * At most half of them are out, so there is always one to ask: when all fail, that is the line's
 * breaker's business. Answers to calls that began before an ejection change nothing about it.
 * Pure: the caller passes the time. A plain struct, one owner thread. */
#ifndef WL_DOMAIN_ENDPOINTS_H
#define WL_DOMAIN_ENDPOINTS_H

#include "base/clock.h"
#include "base/limits.h"

#include <stdbool.h>

typedef enum {
    WL_ENDPOINT_GOOD,  /* it answered */
    WL_ENDPOINT_BAD,   /* it did not, or with an error of its own */
    WL_ENDPOINT_UNSAID /* nothing is known: the call was cancelled */
} wl_endpoint_outcome_t;

typedef struct {
    uint32_t failures;  /* in a row */
    uint32_t ejections; /* one after the other: the time out doubles */
    bool out;
    bool probing;    /* out, and the one probe is under way */
    int64_t until;   /* out: monotonic ms when it may be probed */
    int64_t back_at; /* in: monotonic ms when it came back */
} wl_endpoint_t;

/* One call's endpoint. */
typedef struct {
    uint32_t index;
    bool probe;
} wl_endpoint_pick_t;

typedef struct {
    uint32_t count;
    uint32_t last; /* picked in turn */
    wl_endpoint_t at[WL_LINE_URLS_MAX];
} wl_endpoints_t;

/* count 1 .. WL_LINE_URLS_MAX; all are in. */
void wl_endpoints_init(wl_endpoints_t *self, uint32_t count);
/* The next in turn, or one that is out and due for its probe. Must be followed by ended(). */
wl_endpoint_pick_t wl_endpoints_pick(wl_endpoints_t *self, wl_mono_ms_t now);
/* Will the next pick be a probe? */
bool wl_endpoints_probe_due(const wl_endpoints_t *self, wl_mono_ms_t now);
/* Another one than `index` that is in; false: there is none. Must be followed by ended(). */
bool wl_endpoints_other(wl_endpoints_t *self, uint32_t index, wl_endpoint_pick_t *ret);
void wl_endpoints_ended(wl_endpoints_t *self, wl_endpoint_pick_t pick,
                        wl_endpoint_outcome_t outcome, wl_mono_ms_t now);
uint32_t wl_endpoints_out(const wl_endpoints_t *self);

#endif
