#include "actors/puller_limits.h"

#include "base/alloc.h"
#include "base/check.h"
#include "domain/hedge.h"
#include "domain/limiter.h"
#include "domain/token_bucket.h"

#include <string.h>

enum {
    PAUSE_MS_MAX = 60000, /* longest Retry-After that is followed */
    PAUSE_MS_BUSY = 1000, /* after a 429 that does not say how long */
    HTTP_TOO_MANY = 429,
    HTTP_FAULT = 500, /* from here on the line says that it is its own fault */
};

/* What takes its own usual time: details, sums, and calls for 1, 2, 4 .. 128 users or more. */
enum { KIND_DETAILS, KIND_SUMMARY, KIND_USERS, USERS_STEPS = 8 };

static_assert((int)WL_LIMITER_KINDS == (int)KIND_USERS + (int)USERS_STEPS, "a time for each kind");
static_assert(WL_PULL_UIDS_MAX < 1 << USERS_STEPS, "no call is larger than the last step");

struct wl_puller_limits {
    wl_token_bucket_t tokens;
    wl_breaker_t breaker;
    wl_limiter_t limiter;
    wl_endpoints_t endpoints;
    wl_hedge_t hedge;
    wl_puller_quota_t *quota; /* owned */
    bool adaptive;
    uint32_t concurrency; /* as configured, for all partitions */
    uint64_t quota_limit; /* likewise */
    uint32_t held;        /* a bit for each partition whose calls are made here, not 0 */
    uint32_t parts;       /* of the queue */
    bool quota_shared;    /* all writers count together: the whole is ours */
    bool quota_none;      /* there is a quota, and our share of it is not one call */
    uint32_t in_flight;   /* calls under way */
    int64_t paused_until; /* monotonic ms */
    uint32_t url_count;
    char urls[WL_LINE_URLS_MAX][WL_URL_MAX + 1];
};

wl_puller_limits_t *wl_puller_limits_new(const char *data_dir, const char *line, bool shared) {
    wl_puller_limits_t *self = wl_alloc_zero(1, sizeof *self);
    self->quota = wl_puller_quota_new(data_dir, line, shared);
    self->quota_shared = shared;
    self->held = 1;
    self->parts = 1;
    wl_token_bucket_init(&self->tokens, 0, 1, (wl_mono_ms_t){0});
    wl_breaker_init(&self->breaker, 1, 1);
    wl_limiter_init(&self->limiter, 1);
    wl_endpoints_init(&self->endpoints, 1);
    return self;
}

void wl_puller_limits_destroy(wl_puller_limits_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_puller_quota_destroy(&(*self)->quota);
    wl_free(*self);
    *self = NULL;
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* What falls to our partitions; all together get exactly the whole. */
static uint64_t limits_ours(const wl_puller_limits_t *self, uint64_t whole) {
    uint64_t ours = 0;
    for (uint32_t p = 0; p < self->parts; p++) {
        bool held = (self->held & (1u << p)) != 0;
        ours += held ? whole / self->parts + (p < whole % self->parts) : 0;
    }
    return ours;
}

/* At least one, or the users of a partition would never be asked for. */
static uint32_t limits_concurrency(const wl_puller_limits_t *self) {
    uint32_t ours = (uint32_t)limits_ours(self, self->concurrency);
    return ours < 1 ? 1 : ours;
}

static void limits_set_quota(wl_puller_limits_t *self, wl_wall_ms_t wall) {
    uint64_t ours = self->quota_shared ? self->quota_limit : limits_ours(self, self->quota_limit);
    self->quota_none = self->quota_limit > 0 && ours == 0;
    wl_puller_quota_limit(self->quota, ours, wall);
}

static void limits_set_share(wl_puller_limits_t *self, wl_mono_ms_t now) {
    wl_token_bucket_share(&self->tokens, (uint32_t)__builtin_popcount(self->held), self->parts,
                          now);
}

static void limits_configure_urls(wl_puller_limits_t *self, const wl_line_t *config) {
    bool same = self->url_count == config->url_count;
    for (uint32_t i = 0; same && i < config->url_count; i++) {
        same = strcmp(self->urls[i], config->urls[i]) == 0;
    }
    if (!same) {
        self->url_count = config->url_count;
        memcpy(self->urls, config->urls, sizeof self->urls);
        wl_endpoints_init(&self->endpoints, config->url_count > 0 ? config->url_count : 1);
    }
}

void wl_puller_limits_configure(wl_puller_limits_t *self, const wl_line_t *config, bool first,
                                wl_mono_ms_t now, wl_wall_ms_t wall) {
    self->adaptive = config->adaptive;
    self->concurrency = config->concurrency;
    self->quota_limit = config->quota;
    if (first) {
        wl_token_bucket_init(&self->tokens, config->rate, config->burst, now);
        limits_set_share(self, now);
        wl_breaker_init(&self->breaker, config->breaker_failures, config->breaker_open_ms);
        wl_limiter_init(&self->limiter, limits_concurrency(self));
    } else {
        wl_token_bucket_set(&self->tokens, config->rate, config->burst, now);
        self->breaker.failures_max = config->breaker_failures;
        self->breaker.open_ms = config->breaker_open_ms;
        wl_limiter_set(&self->limiter, limits_concurrency(self));
    }
    limits_configure_urls(self, config);
    limits_set_quota(self, wall);
}

void wl_puller_limits_retire(wl_puller_limits_t *self, wl_wall_ms_t wall) {
    if (self->quota_shared) {
        self->quota_limit = 0;
        limits_set_quota(self, wall);
    }
}

void wl_puller_limits_share(wl_puller_limits_t *self, uint32_t held, uint32_t parts,
                            wl_mono_ms_t now, wl_wall_ms_t wall) {
    WL_ASSERT(held != 0 && parts >= 1 && parts <= 32 && (uint64_t)held >> parts == 0);
    if (held == self->held && parts == self->parts) {
        return;
    }
    self->held = held;
    self->parts = parts;
    limits_set_share(self, now);
    wl_limiter_set(&self->limiter, limits_concurrency(self));
    limits_set_quota(self, wall);
}

uint32_t wl_puller_limits_now(const wl_puller_limits_t *self) {
    return self->adaptive ? wl_limiter_now(&self->limiter) : limits_concurrency(self);
}

/* ---- calls ----------------------------------------------------------------------------------- */

/* All but the breaker. */
static bool limits_room(wl_puller_limits_t *self, wl_mono_ms_t now, wl_wall_ms_t wall) {
    return self->in_flight < wl_puller_limits_now(self) && now.ms >= self->paused_until &&
           wl_token_bucket_wait_ms(&self->tokens, now) == 0 && !self->quota_none &&
           wl_puller_quota_may(self->quota, now, wall);
}

bool wl_puller_limits_may(wl_puller_limits_t *self, wl_mono_ms_t now, wl_wall_ms_t wall) {
    return wl_breaker_wait_ms(&self->breaker, now) == 0 && limits_room(self, now, wall);
}

bool wl_puller_limits_probing(const wl_puller_limits_t *self, wl_mono_ms_t now) {
    return self->breaker.state != WL_BREAKER_CLOSED ||
           wl_endpoints_probe_due(&self->endpoints, now);
}

static void limits_take(wl_puller_limits_t *self, wl_mono_ms_t now) {
    bool token = wl_token_bucket_take(&self->tokens, now);
    WL_ASSERT(token);
    wl_puller_quota_take(self->quota);
    self->in_flight++;
}

void wl_puller_limits_begin(wl_puller_limits_t *self, wl_live_what_t what, uint32_t users,
                            wl_mono_ms_t now, wl_limits_call_t *ret) {
    bool allowed = wl_breaker_allow(&self->breaker, now);
    WL_ASSERT(allowed && self->in_flight < wl_puller_limits_now(self));
    limits_take(self, now);
    wl_hedge_earn(&self->hedge);
    *ret = (wl_limits_call_t){.url = wl_endpoints_pick(&self->endpoints, now),
                              .what = what,
                              .users = users,
                              .probe = self->breaker.state == WL_BREAKER_HALF_OPEN};
}

bool wl_puller_limits_hedge(wl_puller_limits_t *self, const wl_limits_call_t *first,
                            wl_mono_ms_t now, wl_wall_ms_t wall, wl_limits_call_t *ret) {
    wl_endpoint_pick_t other;
    if (first->url.probe || !wl_hedge_may(&self->hedge) ||
        self->breaker.state != WL_BREAKER_CLOSED || !limits_room(self, now, wall) ||
        !wl_endpoints_other(&self->endpoints, first->url.index, &other)) {
        return false;
    }
    wl_hedge_take(&self->hedge);
    limits_take(self, now);
    *ret = (wl_limits_call_t){.url = other, .what = first->what, .users = first->users};
    return true;
}

bool wl_answer_failed(const wl_answer_t *answer, wl_live_what_t what) {
    bool page_only = answer->err == WL_ERR_NOT_FOUND || answer->err == WL_ERR_MALFORMED ||
                     answer->err == WL_ERR_TOO_BIG;
    return answer->err != WL_OK && (what == WL_LIVE_ASSETS || !page_only);
}

bool wl_answer_waits(const wl_answer_t *answer) {
    return answer->retry_after_ms > 0 || answer->http_status == HTTP_TOO_MANY;
}

/* It may be more than it bears: no answer, or one that says so. */
static bool answer_burdened(const wl_answer_t *answer) {
    return answer->err == WL_ERR_DEADLINE || wl_answer_waits(answer) ||
           (answer->err == WL_ERR_UNAVAILABLE &&
            (answer->http_status == 0 || answer->http_status >= HTTP_FAULT));
}

static uint32_t call_kind(const wl_limits_call_t *call) {
    if (call->what != WL_LIVE_ASSETS) {
        return call->what == WL_LIVE_DETAILS ? KIND_DETAILS : KIND_SUMMARY;
    }
    WL_ASSERT(call->users >= 1 && call->users <= WL_PULL_UIDS_MAX);
    return KIND_USERS + 31 - (uint32_t)__builtin_clz(call->users);
}

static void limits_learn(wl_puller_limits_t *self, const wl_limits_call_t *call,
                         const wl_answer_t *answer, wl_mono_ms_t now) {
    if (answer_burdened(answer)) {
        wl_limiter_failed(&self->limiter);
    } else if (answer->err == WL_OK) {
        wl_limiter_answered(&self->limiter, call_kind(call), answer->elapsed_ms, self->in_flight);
    }
    bool refused = answer->http_status >= 400 && answer->http_status < HTTP_FAULT;
    wl_endpoint_outcome_t outcome = WL_ENDPOINT_GOOD;
    if (wl_answer_waits(answer)) {
        outcome = WL_ENDPOINT_UNSAID; /* the line as a whole wants to be left alone */
    } else if (wl_answer_failed(answer, call->what) && !refused) {
        outcome = WL_ENDPOINT_BAD;
    }
    wl_endpoints_ended(&self->endpoints, call->url, outcome, now);
}

bool wl_puller_limits_answered(wl_puller_limits_t *self, const wl_limits_call_t *call,
                               const wl_answer_t *answer, wl_mono_ms_t now) {
    WL_ASSERT(self->in_flight > 0);
    limits_learn(self, call, answer, now);
    self->in_flight--;
    bool waits = wl_answer_waits(answer);
    if (waits) {
        int64_t pause_ms = answer->retry_after_ms > 0 ? answer->retry_after_ms : PAUSE_MS_BUSY;
        int64_t until = now.ms + (pause_ms < PAUSE_MS_MAX ? pause_ms : PAUSE_MS_MAX);
        self->paused_until = until > self->paused_until ? until : self->paused_until;
    }
    if (self->breaker.state == WL_BREAKER_HALF_OPEN && !call->probe) {
        return false; /* it began before the breaker opened */
    }
    if (answer->err == WL_OK ||
        (!wl_answer_failed(answer, call->what) && self->breaker.state != WL_BREAKER_CLOSED)) {
        wl_breaker_success(&self->breaker);
        return false;
    }
    bool closed = self->breaker.state == WL_BREAKER_CLOSED;
    if (closed && (waits || !wl_answer_failed(answer, call->what))) {
        return false; /* it answers; and when it says when, the pause is enough */
    }
    return wl_breaker_failure(&self->breaker, now);
}

void wl_puller_limits_cancelled(wl_puller_limits_t *self, const wl_limits_call_t *call,
                                wl_mono_ms_t now) {
    WL_ASSERT(self->in_flight > 0);
    self->in_flight--;
    wl_endpoints_ended(&self->endpoints, call->url, WL_ENDPOINT_UNSAID, now);
}

/* ---- state ----------------------------------------------------------------------------------- */

int64_t wl_puller_limits_pause_ms(wl_puller_limits_t *self, wl_mono_ms_t now, wl_wall_ms_t wall,
                                  const char **ret_reason) {
    const char *reason = "the line asked to be left alone for a while";
    int64_t pause_ms = self->paused_until - now.ms;
    /* Half open is no pause: what waits is asked or handed back as soon as the probe has ended. */
    int64_t breaker_ms =
        self->breaker.state == WL_BREAKER_OPEN ? wl_breaker_wait_ms(&self->breaker, now) : 0;
    if (breaker_ms > pause_ms) {
        pause_ms = breaker_ms;
        reason = "the line does not answer: its breaker is open";
    }
    const char *quota_reason = "the quota is too small for this writer's share of it";
    int64_t quota_ms = self->quota_none
                           ? PAUSE_MS_MAX
                           : wl_puller_quota_wait_ms(self->quota, now, wall, &quota_reason);
    if (quota_ms > pause_ms) {
        pause_ms = quota_ms;
        reason = quota_reason;
    }
    if (ret_reason != NULL) {
        *ret_reason = reason;
    }
    return pause_ms > 0 ? pause_ms : 0;
}

wl_breaker_state_t wl_puller_limits_breaker(const wl_puller_limits_t *self) {
    return self->breaker.state;
}

bool wl_puller_limits_undecided(const wl_puller_limits_t *self) {
    return self->breaker.state == WL_BREAKER_HALF_OPEN && self->breaker.probing;
}

bool wl_puller_limits_crowded(const wl_puller_limits_t *self) {
    return self->concurrency > 0 && limits_ours(self, self->concurrency) == 0;
}

uint32_t wl_puller_limits_in_flight(const wl_puller_limits_t *self) {
    return self->in_flight;
}

int64_t wl_puller_limits_quota_left(const wl_puller_limits_t *self, wl_wall_ms_t wall) {
    return self->quota_none ? 0 : wl_puller_quota_left(self->quota, wall);
}

wl_puller_quota_t *wl_puller_limits_quota(wl_puller_limits_t *self) {
    return self->quota;
}

uint32_t wl_puller_limits_urls_out(const wl_puller_limits_t *self) {
    return wl_endpoints_out(&self->endpoints);
}
