#include "domain/breaker.h"

#include "base/check.h"

/* How soon to look again for the end of a probe: soon enough not to lose a recovered line's time,
 * seldom enough not to spin. */
enum { PROBE_LOOK_MS = 50 };

void wl_breaker_init(wl_breaker_t *self, uint32_t failures_max, uint32_t open_ms) {
    WL_ASSERT(self != NULL);
    *self = (wl_breaker_t){
        .state = WL_BREAKER_CLOSED,
        .failures_max = failures_max == 0 ? 1 : failures_max,
        .open_ms = open_ms,
    };
}

bool wl_breaker_allow(wl_breaker_t *self, wl_mono_ms_t now) {
    switch (self->state) {
    case WL_BREAKER_CLOSED: return true;
    case WL_BREAKER_OPEN:
        if (now.ms - self->opened.ms < (int64_t)self->open_ms) {
            return false;
        }
        self->state = WL_BREAKER_HALF_OPEN;
        self->probing = true;
        return true;
    case WL_BREAKER_HALF_OPEN:
        if (self->probing) {
            return false;
        }
        self->probing = true;
        return true;
    }
    WL_ASSERT(false);
    return false;
}

void wl_breaker_success(wl_breaker_t *self) {
    if (self->state == WL_BREAKER_OPEN) {
        return; /* of a call that began before */
    }
    self->state = WL_BREAKER_CLOSED;
    self->failures = 0;
    self->probing = false;
}

bool wl_breaker_failure(wl_breaker_t *self, wl_mono_ms_t now) {
    if (self->state == WL_BREAKER_OPEN) {
        return false; /* of a call that began before: it must not keep the breaker open longer */
    }
    if (self->state == WL_BREAKER_CLOSED) {
        self->failures++;
        if (self->failures < self->failures_max) {
            return false;
        }
    }
    self->state = WL_BREAKER_OPEN;
    self->probing = false;
    self->opened = now;
    return true;
}

int64_t wl_breaker_wait_ms(const wl_breaker_t *self, wl_mono_ms_t now) {
    switch (self->state) {
    case WL_BREAKER_CLOSED: return 0;
    case WL_BREAKER_OPEN: {
        int64_t left_ms = self->opened.ms + (int64_t)self->open_ms - now.ms;
        return left_ms > 0 ? left_ms : 0;
    }
    case WL_BREAKER_HALF_OPEN: return self->probing ? PROBE_LOOK_MS : 0;
    }
    WL_ASSERT(false);
    return 0;
}
