#include "domain/endpoints.h"

#include "base/check.h"

#include <stddef.h>

enum {
    FAILURES_MAX = 3, /* in a row: fewer than a breaker's, which they should keep closed */
    OUT_MS = 5000,    /* the first time */
    OUT_MS_MAX = 300000,
};

void wl_endpoints_init(wl_endpoints_t *self, uint32_t count) {
    WL_ASSERT(self != NULL && count >= 1 && count <= WL_LINE_URLS_MAX);
    *self = (wl_endpoints_t){.count = count, .last = count - 1};
}

uint32_t wl_endpoints_out(const wl_endpoints_t *self) {
    uint32_t out = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        out += self->at[i].out;
    }
    return out;
}

static bool endpoint_due(const wl_endpoint_t *endpoint, wl_mono_ms_t now) {
    return endpoint->out && !endpoint->probing && now.ms >= endpoint->until;
}

bool wl_endpoints_probe_due(const wl_endpoints_t *self, wl_mono_ms_t now) {
    bool due = false;
    for (uint32_t i = 0; i < self->count; i++) {
        due = due || endpoint_due(&self->at[i], now);
    }
    return due;
}

/* The next behind `after` that is in and is not `but`; count: none. */
static uint32_t endpoints_next(const wl_endpoints_t *self, uint32_t after, uint32_t but) {
    for (uint32_t step = 1; step <= self->count; step++) {
        uint32_t i = (after + step) % self->count;
        if (!self->at[i].out && i != but) {
            return i;
        }
    }
    return self->count;
}

wl_endpoint_pick_t wl_endpoints_pick(wl_endpoints_t *self, wl_mono_ms_t now) {
    for (uint32_t i = 0; i < self->count; i++) {
        if (endpoint_due(&self->at[i], now)) {
            self->at[i].probing = true;
            return (wl_endpoint_pick_t){.index = i, .probe = true};
        }
    }
    self->last = endpoints_next(self, self->last, self->count);
    WL_ASSERT(self->last < self->count); /* at most half are out */
    return (wl_endpoint_pick_t){.index = self->last};
}

bool wl_endpoints_other(wl_endpoints_t *self, uint32_t index, wl_endpoint_pick_t *ret) {
    uint32_t other = endpoints_next(self, index, index);
    if (other == self->count) {
        return false;
    }
    *ret = (wl_endpoint_pick_t){.index = other};
    return true;
}

static void endpoint_eject(wl_endpoint_t *endpoint, wl_mono_ms_t now) {
    int64_t out_ms = OUT_MS;
    for (uint32_t i = 0; i < endpoint->ejections && out_ms < OUT_MS_MAX; i++) {
        out_ms *= 2;
    }
    out_ms = out_ms > OUT_MS_MAX ? OUT_MS_MAX : out_ms;
    endpoint->ejections += endpoint->ejections < UINT32_MAX ? 1 : 0;
    endpoint->out = true;
    endpoint->until = now.ms + out_ms;
}

/* One that has been well for as long as it may be out is as good as new. */
static void endpoint_forgive(wl_endpoint_t *endpoint, wl_mono_ms_t now) {
    endpoint->failures = 0;
    if (endpoint->ejections > 0 && now.ms - endpoint->back_at > OUT_MS_MAX) {
        endpoint->ejections = 0;
    }
}

static void probe_ended(wl_endpoint_t *endpoint, wl_endpoint_outcome_t outcome, wl_mono_ms_t now) {
    endpoint->probing = false;
    if (outcome == WL_ENDPOINT_GOOD) {
        endpoint->out = false;
        endpoint->failures = 0;
        endpoint->back_at = now.ms;
    } else if (outcome == WL_ENDPOINT_BAD) {
        endpoint_eject(endpoint, now);
    }
}

void wl_endpoints_ended(wl_endpoints_t *self, wl_endpoint_pick_t pick,
                        wl_endpoint_outcome_t outcome, wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    if (pick.index >= self->count) {
        return; /* of a configuration that had more */
    }
    wl_endpoint_t *endpoint = &self->at[pick.index];
    if (pick.probe && endpoint->probing) {
        probe_ended(endpoint, outcome, now);
    } else if (!endpoint->out && outcome == WL_ENDPOINT_GOOD) {
        endpoint_forgive(endpoint, now);
    } else if (!endpoint->out && outcome == WL_ENDPOINT_BAD) {
        endpoint->failures += endpoint->failures < UINT32_MAX ? 1 : 0;
        if (endpoint->failures >= FAILURES_MAX && wl_endpoints_out(self) < self->count / 2) {
            endpoint_eject(endpoint, now);
        }
    }
}
