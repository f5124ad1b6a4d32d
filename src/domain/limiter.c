#include "domain/limiter.h"

#include "base/check.h"

#include <math.h>
#include <stddef.h>

static const double TOLERANCE = 2.0;    /* so much slower than usual is not slow yet */
static const double GRADIENT_MIN = 0.5; /* of one answer, however slow */
static const double SMOOTHING = 0.2;    /* share of one answer */
static const double DECREASE = 0.9;     /* per call without an answer */
static const double USUAL_SHARE = 0.02; /* of one answer in the average: about 100 count */
static const double DRIFT = 0.95;       /* the average follows a line that became fast again */
static const double FAST_MS = 20.0;     /* nobody is slow below this: a tick or two is noise */

void wl_limiter_init(wl_limiter_t *self, uint32_t max) {
    WL_ASSERT(self != NULL);
    max = max == 0 ? 1 : max;
    *self = (wl_limiter_t){.limit = max, .max = max};
}

static void limiter_bound(wl_limiter_t *self, double limit) {
    limit = limit > self->max ? self->max : limit;
    self->limit = limit < 1 ? 1 : limit;
}

void wl_limiter_set(wl_limiter_t *self, uint32_t max) {
    WL_ASSERT(self != NULL);
    max = max == 0 ? 1 : max;
    double share = self->limit / self->max;
    self->max = max;
    limiter_bound(self, share * max);
}

/* Returns the average before this answer. */
static double usual_note(wl_limiter_t *self, uint32_t kind, double took_ms) {
    double usual = self->usual_ms[kind] > 0 ? self->usual_ms[kind] : took_ms;
    double next = usual + USUAL_SHARE * (took_ms - usual);
    self->usual_ms[kind] = usual > TOLERANCE * took_ms ? next * DRIFT : next;
    return usual;
}

void wl_limiter_answered(wl_limiter_t *self, uint32_t kind, int64_t elapsed_ms,
                         uint32_t in_flight) {
    WL_ASSERT(self != NULL && kind < WL_LIMITER_KINDS);
    double took_ms = elapsed_ms > (int64_t)FAST_MS ? (double)elapsed_ms : FAST_MS;
    double usual = usual_note(self, kind, took_ms);
    double gradient = fmin(1.0, TOLERANCE * usual / took_ms);
    gradient = fmax(GRADIENT_MIN, gradient);
    double next = self->limit * gradient + sqrt(self->limit);
    bool used = (double)in_flight * 2 >= self->limit;
    if (next < self->limit || used) {
        limiter_bound(self, self->limit + SMOOTHING * (next - self->limit));
    }
}

void wl_limiter_failed(wl_limiter_t *self) {
    WL_ASSERT(self != NULL);
    limiter_bound(self, self->limit * DECREASE);
}

uint32_t wl_limiter_now(const wl_limiter_t *self) {
    WL_ASSERT(self->limit >= 1 && self->limit <= self->max);
    return (uint32_t)self->limit;
}
