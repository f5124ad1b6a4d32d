#include "actors/cache_puts.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include <string.h>
#include <utlist.h>

enum {
    PUTS_MAX = 100000,  /* under way or held */
    RETRY_BATCH = 2000, /* tried again at once */
};

/* A put under way, or held because it failed. */
typedef struct put {
    wl_cache_puts_t *puts;
    wl_done_item_t done;
    uint64_t commit_seq;
    uint32_t dispatcher;
    char line[WL_LINE_ID_MAX + 1];
    int64_t failed_at;       /* monotonic ms, 0 = not yet */
    bool flying;             /* Redis was asked */
    bool given_up;           /* it does not count as failed any more */
    wl_asset_t *consent;     /* owned; that was withdrawn; NULL: a change like any */
    struct put *prev, *next; /* utlist */
} put_t;

struct wl_cache_puts {
    wl_hub_t *hub;           /* borrowed */
    wl_cache_redis_t *cache; /* borrowed */
    wl_cache_remote_to_t to;
    int64_t give_up_ms;
    put_t *first; /* owned, oldest first */
    uint32_t count;
    uint32_t failed; /* of them, and not made good yet */
    bool ended;
    bool down_said; /* the outage was logged */
};

wl_cache_puts_t *wl_cache_puts_new(wl_hub_t *hub, wl_cache_redis_t *cache,
                                   const wl_cache_remote_to_t *to, int64_t give_up_ms) {
    wl_cache_puts_t *self = wl_alloc_zero(1, sizeof *self);
    self->hub = hub;
    self->cache = cache;
    self->to = *to;
    self->give_up_ms = give_up_ms;
    return self;
}

/* ---- the end of one -------------------------------------------------------------------------- */

static void put_tell(put_t *put) {
    wl_cache_puts_t *self = put->puts;
    if (put->consent == NULL) {
        self->to.stored(self->to.ctx, put->dispatcher, put->line, &put->done);
        return;
    }
    wl_stored_head_t head = {.dispatcher = put->dispatcher, .commit_seq = put->commit_seq};
    memcpy(head.line, put->line, sizeof head.line);
    wl_stored_item_t item = {.uid = put->done.uid,
                             .seq = put->done.seq,
                             .outcome = put->done.outcome,
                             .notified_at = put->done.notified_at,
                             .assets = {put->consent, 1}};
    self->to.withdrawn(self->to.ctx, &head, &item);
}

static void put_end(put_t *put) {
    wl_cache_puts_t *self = put->puts;
    DL_DELETE(self->first, put);
    self->count--;
    self->failed -= put->failed_at != 0 && !put->given_up;
    if (!self->ended) {
        put_tell(put);
    }
    wl_free(put->consent);
    wl_free(put);
}

void wl_cache_puts_end(wl_cache_puts_t *self) {
    self->ended = true;
}

void wl_cache_puts_destroy(wl_cache_puts_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    (*self)->ended = true;
    while ((*self)->first != NULL) {
        put_end((*self)->first);
    }
    wl_free(*self);
    *self = NULL;
}

static void on_put(wl_err_t err, void *ctx) {
    put_t *put = ctx;
    wl_cache_puts_t *self = put->puts;
    put->flying = false;
    if (err == WL_OK || self->ended) {
        put_end(put);
        return;
    }
    WL_COUNT(&self->hub->counters, cache_redis_failures, 1);
    if (put->failed_at == 0) {
        put->failed_at = wl_mono_now().ms;
        self->failed++;
    }
    if (!self->down_said) {
        self->down_said = true;
        wl_log(WL_LOG_WARN, self->hub->name, "cache_put_failed",
               "Redis does not take writes: %s; its copies will not be served", wl_err_text(err));
    }
}

/* ---- the beginning --------------------------------------------------------------------------- */

/* NULL: too many wait. */
static put_t *put_new(wl_cache_puts_t *self, const wl_stored_head_t *head,
                      const wl_stored_item_t *stored) {
    if (self->count >= PUTS_MAX || stored->assets.count > WL_USER_ASSETS_MAX) {
        WL_COUNT(&self->hub->counters, cache_puts_dropped, 1);
        return NULL;
    }
    put_t *put = wl_alloc_zero(1, sizeof *put);
    put->puts = self;
    put->commit_seq = head->commit_seq;
    put->dispatcher = head->dispatcher;
    put->flying = true;
    memcpy(put->line, head->line, sizeof put->line);
    put->done = (wl_done_item_t){.uid = stored->uid,
                                 .seq = stored->seq,
                                 .outcome = stored->outcome,
                                 .notified_at = stored->notified_at};
    DL_APPEND(self->first, put);
    self->count++;
    return put;
}

void wl_cache_puts_put(wl_cache_puts_t *self, const wl_stored_head_t *head,
                       const wl_stored_item_t *stored) {
    put_t *put = put_new(self, head, stored);
    if (put != NULL) {
        wl_cache_redis_put(self->cache, stored->uid, stored->assets.at, stored->assets.count,
                           head->commit_seq, on_put, put);
    }
}

void wl_cache_puts_withdraw(wl_cache_puts_t *self, const wl_stored_head_t *head,
                            const wl_stored_item_t *stored) {
    put_t *put = put_new(self, head, stored);
    if (put == NULL) {
        return;
    }
    put->consent = wl_alloc_zero(1, sizeof *put->consent);
    for (uint32_t i = 0; i < stored->assets.count; i++) {
        if (wl_asset_is_consent(&stored->assets.at[i])) {
            *put->consent = stored->assets.at[i];
        }
    }
    put->consent->extra = NULL;
    put->consent->extra_bytes = 0;
    wl_cache_redis_forget(self->cache, stored->uid, head->commit_seq, on_put, put);
}

/* ---- those that failed ----------------------------------------------------------------------- */

/* Nobody serves what stands in Redis any more. What a consent was withdrawn from must not stand
 * there either, so that one is tried until it works. */
static void put_give_up(put_t *put) {
    if (put->consent == NULL) {
        put_end(put);
    } else {
        put->given_up = true;
        put->puts->failed--;
    }
}

/* Whatever such a put was to do, its user is taken out of Redis: that is never wrong. */
bool wl_cache_puts_retry(wl_cache_puts_t *self, int64_t now) {
    put_t *put = NULL;
    put_t *next = NULL;
    uint32_t asked = 0;
    bool gave_up = false;
    DL_FOREACH_SAFE(self->first, put, next) {
        if (put->failed_at == 0 || put->flying) {
            continue;
        }
        if (now - put->failed_at >= self->give_up_ms && !put->given_up) {
            gave_up = true;
            put_give_up(put);
        } else if (asked < RETRY_BATCH && wl_cache_redis_link(self->cache, put->done.uid) != 0) {
            asked++;
            put->flying = true;
            wl_cache_redis_forget(self->cache, put->done.uid, put->commit_seq, on_put, put);
        }
    }
    self->down_said = self->down_said && self->first != NULL;
    return gave_up;
}

bool wl_cache_puts_sound(const wl_cache_puts_t *self) {
    return self->failed == 0;
}

uint32_t wl_cache_puts_held(const wl_cache_puts_t *self) {
    return self->count;
}
