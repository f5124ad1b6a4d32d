#include "actors/puller_line.h"

#include "actors/line_flow.h"
#include "base/alloc.h"
#include "base/check.h"
#include "domain/breaker.h"
#include "domain/token_bucket.h"

#include <stdio.h>
#include <string.h>

enum {
    SICK_MS = 3000,       /* failing and without a success for so long: its copies are stale */
    PAUSE_MS_MAX = 60000, /* longest Retry-After that is followed */
    PAUSE_MS_BUSY = 1000, /* after a 429 that does not say how long */
    HTTP_TOO_MANY = 429,
    RING_MIN = 64,
};

/* First in, first out, in one piece of memory that grows up to the bound. */
typedef struct {
    wl_line_pull_t *at; /* owned */
    uint32_t room;      /* a power of two, or 0 */
    uint32_t first;
    uint32_t count;
} ring_t;

struct wl_puller_line {
    char id[WL_LINE_ID_MAX + 1];
    bool asked; /* config is valid */
    wl_line_t config;
    ring_t interactive;
    ring_t bulk;
    wl_token_bucket_t tokens;
    wl_breaker_t breaker;
    uint32_t in_flight;   /* calls under way */
    int64_t paused_until; /* monotonic ms */
    int64_t good_at;      /* monotonic ms of the last good answer, at first the start */
    bool last_failed;
    wl_line_item_t health; /* what others are told */
};

wl_puller_line_t *wl_puller_line_new(const char *line, wl_mono_ms_t now) {
    WL_ASSERT(line != NULL);
    wl_puller_line_t *self = wl_alloc_zero(1, sizeof *self);
    (void)snprintf(self->id, sizeof self->id, "%s", line);
    (void)snprintf(self->health.line, sizeof self->health.line, "%s", line);
    self->health.since = wl_wall_now().ms;
    self->good_at = now.ms;
    wl_breaker_init(&self->breaker, 1, 1);
    return self;
}

void wl_puller_line_destroy(wl_puller_line_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free((*self)->interactive.at);
    wl_free((*self)->bulk.at);
    wl_free(*self);
    *self = NULL;
}

void wl_puller_line_configure(wl_puller_line_t *self, const wl_line_t *config, wl_mono_ms_t now) {
    bool before = self->asked;
    self->asked = config != NULL;
    if (config == NULL) {
        return;
    }
    self->config = *config;
    if (before) { /* a reload neither fills the bucket nor forgives failures */
        wl_token_bucket_set(&self->tokens, config->rate, config->burst, now);
        self->breaker.failures_max = config->breaker_failures;
        self->breaker.open_ms = config->breaker_open_ms;
    } else {
        wl_token_bucket_init(&self->tokens, config->rate, config->burst, now);
        wl_breaker_init(&self->breaker, config->breaker_failures, config->breaker_open_ms);
    }
}

const char *wl_puller_line_id(const wl_puller_line_t *self) {
    return self->id;
}

const wl_line_t *wl_puller_line_config(const wl_puller_line_t *self) {
    return self->asked ? &self->config : NULL;
}

/* ---- waiting --------------------------------------------------------------------------------- */

static void ring_push(ring_t *ring, const wl_line_pull_t *pull) {
    if (ring->count == ring->room) {
        uint32_t room = ring->room == 0 ? RING_MIN : ring->room * 2;
        wl_line_pull_t *at = wl_alloc_zero(room, sizeof *at);
        for (uint32_t i = 0; i < ring->count; i++) {
            at[i] = ring->at[(ring->first + i) & (ring->room - 1)];
        }
        wl_free(ring->at);
        *ring = (ring_t){.at = at, .room = room, .count = ring->count};
    }
    ring->at[(ring->first + ring->count++) & (ring->room - 1)] = *pull;
}

static const wl_line_pull_t *ring_first(const ring_t *ring) {
    return ring->count == 0 ? NULL : &ring->at[ring->first];
}

static bool ring_pop(ring_t *ring, wl_line_pull_t *ret_pull) {
    if (ring->count == 0) {
        return false;
    }
    *ret_pull = ring->at[ring->first];
    ring->first = (ring->first + 1) & (ring->room - 1);
    ring->count--;
    return true;
}

uint32_t wl_puller_line_waiting(const wl_puller_line_t *self) {
    return self->interactive.count + self->bulk.count;
}

wl_err_t wl_puller_line_push(wl_puller_line_t *self, const wl_line_pull_t *pull) {
    WL_ASSERT(self->asked);
    /* The dispatcher keeps to one window; a second one is room for what it thinks lost. */
    if (wl_puller_line_waiting(self) >= 2 * wl_line_window(&self->config)) {
        return WL_ERR_FULL;
    }
    ring_push(pull->interactive ? &self->interactive : &self->bulk, pull);
    return WL_OK;
}

bool wl_puller_line_pop(wl_puller_line_t *self, wl_line_pull_t *ret_pull) {
    return ring_pop(&self->interactive, ret_pull) || ring_pop(&self->bulk, ret_pull);
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void ring_forget_stale(ring_t *ring, int64_t stale_before) {
    wl_line_pull_t stale;
    while (ring->count > 0 && ring_first(ring)->arrived_at < stale_before) {
        (void)ring_pop(ring, &stale);
    }
}

/* A batch is full, old enough, or a user waits for it. */
static bool line_batch_ready(const wl_puller_line_t *self, uint32_t batch_max, wl_mono_ms_t now) {
    if (self->interactive.count > 0 || self->bulk.count >= batch_max) {
        return true;
    }
    const wl_line_pull_t *oldest = ring_first(&self->bulk);
    return oldest != NULL && now.ms - oldest->arrived_at >= (int64_t)self->config.batch_wait_ms;
}

/* Adds a pull to a batch in which every user stands once: the later of two covers both. */
static uint32_t batch_put(wl_line_pull_t *pulls, uint32_t count, const wl_line_pull_t *pull) {
    for (uint32_t i = 0; i < count; i++) {
        if (pulls[i].uid == pull->uid) {
            if (pull->seq > pulls[i].seq) {
                pulls[i] = *pull;
            }
            return count;
        }
    }
    pulls[count] = *pull;
    return count + 1;
}

uint32_t wl_puller_line_take(wl_puller_line_t *self, wl_mono_ms_t now, int64_t stale_before,
                             wl_line_pull_t ret_pulls[WL_PULL_UIDS_MAX]) {
    if (!self->asked) {
        return 0;
    }
    ring_forget_stale(&self->interactive, stale_before);
    ring_forget_stale(&self->bulk, stale_before);
    uint32_t batch_max = self->breaker.state == WL_BREAKER_CLOSED ? self->config.batch_max : 1;
    WL_ASSERT(batch_max >= 1 && batch_max <= WL_PULL_UIDS_MAX);
    if (self->in_flight >= self->config.concurrency || now.ms < self->paused_until ||
        !line_batch_ready(self, batch_max, now) ||
        wl_token_bucket_wait_ms(&self->tokens, now) > 0 || !wl_breaker_allow(&self->breaker, now)) {
        return 0;
    }
    (void)wl_token_bucket_take(&self->tokens, now);
    uint32_t count = 0;
    wl_line_pull_t pull;
    while (count < batch_max && wl_puller_line_pop(self, &pull)) {
        count = batch_put(ret_pulls, count, &pull);
    }
    WL_ASSERT(count > 0);
    bool repeated = false;
    for (uint32_t i = 0; i < count; i++) {
        repeated = repeated || ret_pulls[i].attempt > 0;
    }
    self->in_flight++;
    self->health.calls++;
    self->health.retries += repeated;
    return count;
}

bool wl_puller_line_answered(wl_puller_line_t *self, const wl_answer_t *answer, wl_mono_ms_t now) {
    WL_ASSERT(self->in_flight > 0);
    self->in_flight--;
    self->health.quarantined += answer->refused_total;
    bool told_to_wait = answer->retry_after_ms > 0 || answer->http_status == HTTP_TOO_MANY;
    if (told_to_wait) {
        int64_t pause_ms = answer->retry_after_ms > 0 ? answer->retry_after_ms : PAUSE_MS_BUSY;
        self->paused_until = now.ms + (pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX);
    }
    if (answer->err == WL_OK) {
        self->good_at = now.ms;
        self->last_failed = false;
        self->health.last_good_at = wl_wall_now().ms;
        self->health.reason[0] = '\0';
        wl_breaker_success(&self->breaker);
        return false;
    }
    self->last_failed = true;
    self->health.failures++;
    (void)snprintf(self->health.reason, sizeof self->health.reason, "%s", answer->reason);
    if (told_to_wait && self->breaker.state == WL_BREAKER_CLOSED) {
        return false; /* it answers and says when: the pause is enough */
    }
    return wl_breaker_failure(&self->breaker, now);
}

uint32_t wl_puller_line_in_flight(const wl_puller_line_t *self) {
    return self->in_flight;
}

int64_t wl_puller_line_pause_ms(const wl_puller_line_t *self, wl_mono_ms_t now) {
    int64_t pause_ms = self->paused_until - now.ms;
    /* Half open is no pause: what waits is asked or handed back as soon as the probe has ended. */
    if (self->breaker.state == WL_BREAKER_OPEN) {
        int64_t breaker_ms = wl_breaker_wait_ms(&self->breaker, now);
        pause_ms = breaker_ms > pause_ms ? breaker_ms : pause_ms;
    }
    pause_ms = pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX;
    return pause_ms > 0 ? pause_ms : 0;
}

/* ---- health ---------------------------------------------------------------------------------- */

bool wl_puller_line_judge(wl_puller_line_t *self, wl_mono_ms_t now) {
    bool failing = self->last_failed && now.ms - self->good_at > SICK_MS;
    bool sick = self->asked && (self->breaker.state != WL_BREAKER_CLOSED || failing);
    self->health.in_flight = self->in_flight;
    if (sick == self->health.sick) {
        return false;
    }
    self->health.sick = sick;
    self->health.since = wl_wall_now().ms;
    return true;
}

void wl_puller_line_health(const wl_puller_line_t *self, wl_line_item_t *ret_health) {
    *ret_health = self->health;
}
