#include "actors/puller_line.h"

#include "actors/line_flow.h"
#include "base/alloc.h"
#include "base/check.h"
#include "domain/turns.h"

#include <stdio.h>
#include <string.h>

enum {
    SICK_MS = 3000,       /* failing and without a success for so long: its copies are stale */
    PAUSE_MS_MAX = 60000, /* a dispatcher looks again after so long */
    REVIVE_MS_MIN = 3000, /* silence before a sick line is asked unasked */
};

/* Bulk gets one call in 33 at least. */
static const uint32_t list_weights[WL_ASKS_LISTS] = {
    [WL_ASKS_PAGES] = 16, [WL_ASKS_USERS] = 16, [WL_ASKS_BULK] = 1};

struct wl_puller_line {
    char id[WL_LINE_ID_MAX + 1];
    bool asked; /* config is valid */
    wl_line_t config;
    wl_asks_t *asks;            /* owned */
    wl_puller_limits_t *limits; /* owned */
    wl_turns_t turns;           /* of the lists */
    wl_line_pull_t last;        /* somebody of the last call for users; uid 0 = nobody yet */
    int64_t called_at;          /* monotonic ms of the last call */
    int64_t good_at;            /* monotonic ms of the last good answer, at first the start */
    bool last_failed;
    bool crowded;
    wl_line_item_t health; /* what others are told */
};

wl_puller_line_t *wl_puller_line_new(const char *line, const char *data_dir, bool shared,
                                     wl_mono_ms_t now) {
    WL_ASSERT(line != NULL);
    wl_puller_line_t *self = wl_alloc_zero(1, sizeof *self);
    (void)snprintf(self->id, sizeof self->id, "%s", line);
    (void)snprintf(self->health.line, sizeof self->health.line, "%s", line);
    self->health.since = wl_wall_now().ms;
    self->good_at = now.ms;
    self->asks = wl_asks_new();
    self->limits = wl_puller_limits_new(data_dir, line, shared);
    wl_turns_init(&self->turns, list_weights, WL_ASKS_LISTS);
    return self;
}

void wl_puller_line_destroy(wl_puller_line_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_asks_destroy(&(*self)->asks);
    wl_puller_limits_destroy(&(*self)->limits);
    wl_free(*self);
    *self = NULL;
}

void wl_puller_line_configure(wl_puller_line_t *self, const wl_line_t *config, wl_mono_ms_t now,
                              wl_wall_ms_t wall) {
    bool first = !self->asked;
    self->asked = config != NULL;
    if (config != NULL) {
        self->config = *config;
        wl_puller_limits_configure(self->limits, config, first, now, wall);
    } else {
        wl_puller_limits_retire(self->limits, wall);
    }
}

const char *wl_puller_line_id(const wl_puller_line_t *self) {
    return self->id;
}

const wl_line_t *wl_puller_line_config(const wl_puller_line_t *self) {
    return self->asked ? &self->config : NULL;
}

wl_puller_limits_t *wl_puller_line_limits(wl_puller_line_t *self) {
    return self->limits;
}

wl_asks_t *wl_puller_line_asks(wl_puller_line_t *self) {
    return self->asks;
}

/* ---- waiting --------------------------------------------------------------------------------- */

uint32_t wl_puller_line_waiting(const wl_puller_line_t *self) {
    return wl_asks_waiting(self->asks);
}

wl_err_t wl_puller_line_push(wl_puller_line_t *self, const wl_line_pull_t *pull) {
    WL_ASSERT(self->asked);
    /* The dispatchers keep to one window; a second one is room for what they think lost. */
    return wl_asks_pull(self->asks, pull, 2 * wl_line_window(&self->config, 1));
}

wl_ask_t *wl_puller_line_pop(wl_puller_line_t *self, wl_mono_ms_t now) {
    wl_ask_t *ask = NULL;
    for (uint32_t list = 0; ask == NULL && list < WL_ASKS_LISTS; list++) {
        ask = wl_asks_pop(self->asks, (wl_asks_list_t)list, now, INT64_MIN);
    }
    return ask;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static uint32_t line_batch_max(const wl_puller_line_t *self, wl_mono_ms_t now) {
    return wl_puller_limits_probing(self->limits, now) ? 1 : self->config.batch_max;
}

/* Which lists have a call to make: bulk when a batch is full or old enough. */
static uint32_t line_ready(const wl_puller_line_t *self, wl_mono_ms_t now) {
    uint32_t bulk = wl_asks_count(self->asks, WL_ASKS_BULK);
    bool due = bulk > 0 && (bulk >= line_batch_max(self, now) ||
                            now.ms - wl_asks_oldest(self->asks, WL_ASKS_BULK) >=
                                (int64_t)self->config.batch_wait_ms);
    uint32_t pages = wl_asks_count(self->asks, WL_ASKS_PAGES);
    uint32_t users = wl_asks_count(self->asks, WL_ASKS_USERS);
    return (pages > 0 ? 1u << WL_ASKS_PAGES : 0) | (users > 0 ? 1u << WL_ASKS_USERS : 0) |
           (due ? 1u << WL_ASKS_BULK : 0);
}

wl_urgency_t wl_puller_line_urgency(wl_puller_line_t *self, wl_mono_ms_t now, wl_wall_ms_t wall) {
    uint32_t ready = self->asked ? line_ready(self, now) : 0;
    if (ready == 0 || !wl_puller_limits_may(self->limits, now, wall)) {
        return WL_URGENCY_NONE;
    }
    return ready == 1u << WL_ASKS_BULK ? WL_URGENCY_BULK : WL_URGENCY_LIVE;
}

/* Adds asks of one list to a call. */
static void call_fill(wl_puller_line_t *self, wl_asks_list_t list, uint32_t max, wl_mono_ms_t now,
                      int64_t stale_before, wl_line_call_t *call) {
    wl_ask_t *ask = NULL;
    while (call->count < max && (ask = wl_asks_pop(self->asks, list, now, stale_before)) != NULL) {
        call->asks[call->count++] = ask;
    }
}

static void call_count(wl_puller_line_t *self, const wl_line_call_t *call) {
    bool repeated = false;
    bool waited = false;
    for (uint32_t i = 0; i < call->count; i++) {
        repeated = repeated || (call->asks[i]->pulled && call->asks[i]->pull.attempt > 0);
        waited = waited || call->asks[i]->waiters != NULL;
    }
    bool page = call->asks[0]->what != WL_LIVE_ASSETS;
    self->health.calls++;
    self->health.retries += repeated;
    self->health.pages += page;
    self->health.live += waited && !page;
}

void wl_puller_line_take(wl_puller_line_t *self, wl_mono_ms_t now, wl_wall_ms_t wall,
                         int64_t stale_before, wl_line_call_t *ret) {
    ret->count = 0;
    uint32_t batch_max = self->asked ? line_batch_max(self, now) : 1;
    WL_ASSERT(batch_max >= 1 && batch_max <= WL_PULL_UIDS_MAX);
    /* A list may turn out to hold only what nobody wants any more. */
    while (ret->count == 0 && wl_puller_line_urgency(self, now, wall) != WL_URGENCY_NONE) {
        wl_asks_list_t list = (wl_asks_list_t)wl_turns_next(&self->turns, line_ready(self, now));
        bool page = list == WL_ASKS_PAGES;
        call_fill(self, list, page ? 1 : batch_max, now, stale_before, ret);
        if (ret->count > 0) {
            wl_turns_took(&self->turns, (uint32_t)list);
        }
        if (ret->count > 0 && !page) { /* whoever else waits fills it up */
            wl_asks_list_t other = list == WL_ASKS_USERS ? WL_ASKS_BULK : WL_ASKS_USERS;
            call_fill(self, other, batch_max, now, stale_before, ret);
        }
    }
    if (ret->count == 0) {
        return;
    }
    for (uint32_t i = 0; i < ret->count; i++) {
        wl_asks_fly(self->asks, ret->asks[i]);
    }
    wl_puller_limits_begin(self->limits, ret->asks[0]->what, ret->count, now, &ret->call);
    call_count(self, ret);
    self->called_at = now.ms;
    self->last = ret->call.what == WL_LIVE_ASSETS ? ret->asks[0]->pull : self->last;
}

bool wl_puller_line_hedge(wl_puller_line_t *self, const wl_limits_call_t *first, wl_mono_ms_t now,
                          wl_wall_ms_t wall, wl_limits_call_t *ret) {
    if (!self->asked || !wl_puller_limits_hedge(self->limits, first, now, wall, ret)) {
        return false;
    }
    self->health.calls++;
    self->health.hedges++;
    return true;
}

bool wl_puller_line_answered(wl_puller_line_t *self, const wl_limits_call_t *call,
                             const wl_answer_t *answer, wl_mono_ms_t now) {
    self->health.quarantined += answer->refused_total;
    if (answer->err == WL_OK) {
        self->good_at = now.ms;
        self->last_failed = false;
        self->health.last_good_at = wl_wall_now().ms;
        self->health.reason[0] = '\0';
    } else if (answer->err != WL_ERR_NOT_FOUND || call->what == WL_LIVE_ASSETS) {
        self->last_failed = self->last_failed || wl_answer_failed(answer, call->what);
        self->health.failures++;
        (void)snprintf(self->health.reason, sizeof self->health.reason, "%s", answer->reason);
    }
    return wl_puller_limits_answered(self->limits, call, answer, now);
}

uint32_t wl_puller_line_in_flight(const wl_puller_line_t *self) {
    return wl_puller_limits_in_flight(self->limits);
}

bool wl_puller_line_crowds(wl_puller_line_t *self) {
    bool before = self->crowded;
    self->crowded = self->asked && wl_puller_limits_crowded(self->limits);
    return self->crowded && !before;
}

int64_t wl_puller_line_pause_ms(wl_puller_line_t *self, wl_mono_ms_t now, wl_wall_ms_t wall) {
    int64_t pause_ms = wl_puller_limits_pause_ms(self->limits, now, wall, NULL);
    return pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX;
}

/* ---- health ---------------------------------------------------------------------------------- */

static bool line_silent(const wl_puller_line_t *self, wl_mono_ms_t now) {
    int64_t open_ms = (int64_t)self->config.breaker_open_ms;
    return wl_puller_line_in_flight(self) == 0 && wl_puller_line_waiting(self) == 0 &&
           now.ms - self->called_at >= (open_ms > REVIVE_MS_MIN ? open_ms : REVIVE_MS_MIN);
}

void wl_puller_line_revive(wl_puller_line_t *self, wl_mono_ms_t now, wl_wall_ms_t wall) {
    if (self->health.sick && self->asked && !self->config.consent && self->last.uid != 0 &&
        line_silent(self, now) && wl_puller_limits_may(self->limits, now, wall)) {
        wl_line_pull_t probe = {.uid = self->last.uid,
                                .dispatcher = self->last.dispatcher,
                                .epoch = self->last.epoch,
                                .arrived_at = now.ms};
        wl_asks_probe(self->asks, &probe);
    }
}

bool wl_puller_line_judge(wl_puller_line_t *self, wl_mono_ms_t now) {
    bool failing = self->last_failed && now.ms - self->good_at > SICK_MS;
    bool open = wl_puller_limits_breaker(self->limits) != WL_BREAKER_CLOSED;
    bool lapsed = self->config.consent && line_silent(self, now);
    bool sick = self->asked && (open || failing) && !lapsed;
    self->health.in_flight = wl_puller_line_in_flight(self);
    if (sick == self->health.sick) {
        return false;
    }
    self->health.sick = sick;
    self->health.since = wl_wall_now().ms;
    return true;
}

void wl_puller_line_health(const wl_puller_line_t *self, wl_wall_ms_t wall,
                           wl_line_item_t *ret_health) {
    *ret_health = self->health;
    ret_health->limit = self->asked ? wl_puller_limits_now(self->limits) : 0;
    ret_health->quota_left = wl_puller_limits_quota_left(self->limits, wall);
    ret_health->urls_out = wl_puller_limits_urls_out(self->limits);
}
