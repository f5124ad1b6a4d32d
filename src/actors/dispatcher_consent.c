/* A user gives or withdraws the consent to a line. It is one record, stored like any other by the
 * shard of the user, under the lease of the partition:
 *
 *     LIVE --> STORE > shard > STORED > presence > cache ... --> DONE --> what is left goes -->
 * LIVED
 *
 * Its numbers lie below those of pulls, which begin at 1 << 40 (dispatcher_lease.c): DONE tells
 * them apart, and marks of pulls are newer. Nothing of this is durable here: who has no answer asks
 * again, which stores a newer record and goes the whole way once more. */
#include "actors/dispatcher_state.h"

#include "actors/line_flow.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/slot.h"
#include "store/queue_dead.h"

#include <stdio.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#define SEQ_END (1ull << 40)

enum {
    CONSENTS_MAX = 4096,   /* on their way */
    WAITERS_MAX = 8192,    /* for all of them */
    MARGIN_MS = 50,        /* so long before its deadline a waiter is told that it is not so yet */
    STORE_AGAIN_MS = 1000, /* one without an end for so long is stored once more when asked again */
    LIFE_MS = 60000,       /* then it is forgotten, unless somebody waits */
    BUSY_RETRY_MS = 100,
    LEAD_US_FIRST = 1000000, /* a second, */
    LEAD_STEP = 16,          /* 16, four minutes, an hour, 18 hours, 12 days .. 136 years */
    CLEAN_MS = 50,           /* longest turn of cleaning the queue behind withdrawals */
};
#define LEAD_US_MAX ((uint64_t)86400 * 366 * 200 * 1000000)

/* Who has asked. */
typedef struct waiter {
    wl_lived_head_t to;
    uint64_t ticket;
    int64_t deadline_at;
    struct waiter *prev, *next; /* utlist */
} waiter_t;

typedef struct wl_consent {
    uint64_t seq; /* the key */
    wl_asset_t record;
    uint64_t lead_us;  /* its version is ahead of our clock by this, see consent_outrun() */
    int64_t stored_at; /* monotonic ms when it was sent to the shard */
    bool effective;    /* DONE has come: only what is left in the queue is still to go */
    bool superseded;   /* a younger one of the pair has begun: that one decides */
    waiter_t *waiters; /* owned */
    UT_hash_handle hh;
} consent_t;

/* ---- answers --------------------------------------------------------------------------------- */

static void consent_answer(wl_dispatcher_t *self, const wl_lived_head_t *to,
                           const wl_lived_item_t *lived) {
    wl_hub_flush(&self->hub); /* a head of its own: they are rare */
    wl_encoder_t *encoder = wl_hub_to(&self->hub, WL_ACTOR_PRESENCE, to->presence, WL_MSG_LIVED, 0);
    wl_lived_begin(encoder, to);
    wl_lived_add(encoder, lived);
    wl_hub_flush(&self->hub);
}

static void consent_refuse(wl_dispatcher_t *self, const wl_lived_head_t *to, uint64_t ticket,
                           uint64_t uid, wl_err_t err, const char *reason) {
    wl_lived_item_t lived = {.ticket = ticket,
                             .uid = uid,
                             .what = WL_LIVE_CONSENT,
                             .error = (uint32_t)err,
                             .retry_after_ms = wl_err_retryable(err) ? BUSY_RETRY_MS : 0};
    (void)snprintf(lived.reason, sizeof lived.reason, "%s", reason);
    consent_answer(self, to, &lived);
}

static void waiter_free(wl_dispatcher_t *self, consent_t *consent, waiter_t *waiter) {
    DL_DELETE(consent->waiters, waiter);
    self->consent_waiters--;
    wl_free(waiter);
}

static void consent_free(wl_dispatcher_t *self, consent_t *consent) {
    while (consent->waiters != NULL) {
        waiter_free(self, consent, consent->waiters);
    }
    HASH_DEL(self->consents, consent);
    wl_free(consent);
}

/* Tells all who wait that it has failed, and forgets it. */
static void consent_fail(wl_dispatcher_t *self, consent_t *consent, wl_err_t err,
                         const char *reason) {
    waiter_t *waiter = NULL;
    DL_FOREACH(consent->waiters, waiter) {
        consent_refuse(self, &waiter->to, waiter->ticket, consent->record.uid, err, reason);
    }
    consent_free(self, consent);
}

static void consent_succeed(wl_dispatcher_t *self, consent_t *consent) {
    waiter_t *waiter = NULL;
    DL_FOREACH(consent->waiters, waiter) {
        wl_lived_item_t lived = {.ticket = waiter->ticket,
                                 .uid = consent->record.uid,
                                 .what = WL_LIVE_CONSENT,
                                 .at = consent->record.changed_at};
        consent_answer(self, &waiter->to, &lived);
    }
    consent_free(self, consent);
}

/* ---- questions ------------------------------------------------------------------------------- */

static void consent_store(wl_dispatcher_t *self, consent_t *consent) {
    const wl_asset_t *record = &consent->record;
    uint64_t now_us = (uint64_t)wl_wall_now().ms * 1000 + consent->lead_us;
    uint64_t next = self->consent_version + 1;
    self->consent_version = now_us > next ? now_us : next;
    consent->record.version = self->consent_version;
    consent->stored_at = wl_mono_now().ms;
    wl_store_head_t head = {.dispatcher = self->hub.instance, .epoch = self->epoch};
    memcpy(head.line, record->line, sizeof head.line);
    wl_store_item_t item = {.uid = record->uid,
                            .seq = consent->seq,
                            .outcome = WL_PULL_OK,
                            .assets = {&consent->record, 1}};
    wl_hub_flush(&self->hub);
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_SHARD, wl_hub_shard(&self->hub, record->uid),
                                 WL_MSG_STORE, 0);
    wl_store_begin(to, &head);
    wl_store_add(to, &item);
    wl_hub_flush(&self->hub);
}

/* Asked again while the newest one of this pair says the same and is on its way: that one counts.
 * Otherwise a younger one begins. DONE of an older one may come behind that of a younger one, as a
 * withdrawal waits for Redis and a consent does not: whoever asks then must not join it. */
static consent_t *consent_join(wl_dispatcher_t *self, const char *line,
                               const wl_live_item_t *asked) {
    consent_t *newest = NULL;
    for (consent_t *one = self->consents; one != NULL; one = one->hh.next) {
        if (!one->superseded && one->record.uid == asked->uid &&
            strcmp(one->record.line, line) == 0) {
            newest = one; /* there is but one of a pair */
        }
    }
    bool same = newest != NULL && (newest->record.state == WL_STATE_AVAILABLE) == asked->granted &&
                newest->record.expires_at == asked->expires_at;
    if (same && !newest->effective && wl_mono_now().ms - newest->stored_at >= STORE_AGAIN_MS) {
        consent_store(self, newest);
    }
    if (newest != NULL && !same) {
        newest->superseded = true;
    }
    return same ? newest : NULL;
}

static consent_t *consent_begin(wl_dispatcher_t *self, const wl_line_t *line,
                                const wl_live_item_t *asked) {
    consent_t *consent = wl_alloc_zero(1, sizeof *consent);
    int64_t now = wl_wall_now().ms;
    consent->seq = ++self->consent_seq;
    WL_ASSERT(consent->seq < SEQ_END);
    consent->record = (wl_asset_t){
        .uid = asked->uid,
        .kind = (uint8_t)line->kind,
        .state = asked->granted ? WL_STATE_AVAILABLE : WL_STATE_GONE,
        .expires_at = asked->expires_at,
        .changed_at = now,
        .pulled_at = now,
    };
    (void)snprintf(consent->record.line, sizeof consent->record.line, "%s", line->id);
    (void)snprintf(consent->record.bucket, sizeof consent->record.bucket, "%s", WL_BUCKET_CONSENT);
    HASH_ADD(hh, self->consents, seq, sizeof consent->seq, consent);
    consent_store(self, consent);
    return consent;
}

/* May this one be taken? */
static wl_err_t consent_judge(const wl_dispatcher_t *self, const wl_live_head_t *head,
                              const wl_live_item_t *asked, const char **ret_reason) {
    const wl_line_t *line =
        self->hub.config == NULL ? NULL : wl_config_line(self->hub.config, head->line);
    wl_err_t err = WL_OK;
    if (!wl_dispatcher_holds(self) || head->epoch != self->epoch || self->hub.draining ||
        !wl_dispatcher_owns(self, asked->uid)) {
        err = WL_ERR_UNAVAILABLE;
        *ret_reason = "the user's partition is not held here";
    } else if (line == NULL) {
        err = WL_ERR_NOT_FOUND;
        *ret_reason = "there is no such line";
    } else if (!line->consent) {
        err = WL_ERR_BAD_REQUEST;
        *ret_reason = "the line needs no consent";
    } else if (asked->expires_at < 0 || (!asked->granted && asked->expires_at != 0)) {
        err = WL_ERR_BAD_REQUEST;
        *ret_reason = "expires_at: is out of range";
    } else if (self->consent_waiters == WAITERS_MAX || HASH_COUNT(self->consents) == CONSENTS_MAX) {
        err = WL_ERR_BUSY;
        *ret_reason = "too many consents are under way";
    }
    return err;
}

static void consent_take(wl_dispatcher_t *self, const wl_live_head_t *head,
                         const wl_live_item_t *asked) {
    wl_lived_head_t to = {.asker = head->asker,
                          .instance = head->instance,
                          .reader = head->reader,
                          .presence = head->presence};
    memcpy(to.line, head->line, sizeof to.line);
    const char *reason = "";
    wl_err_t err = consent_judge(self, head, asked, &reason);
    if (err != WL_OK) {
        consent_refuse(self, &to, asked->ticket, asked->uid, err, reason);
        return;
    }
    consent_t *consent = consent_join(self, head->line, asked);
    if (consent == NULL) {
        consent = consent_begin(self, wl_config_line(self->hub.config, head->line), asked);
    }
    waiter_t *waiter = wl_alloc_zero(1, sizeof *waiter);
    waiter->to = to;
    waiter->ticket = asked->ticket;
    waiter->deadline_at = asked->deadline_at;
    DL_APPEND(consent->waiters, waiter);
    self->consent_waiters++;
}

void wl_dispatcher_take_live(wl_dispatcher_t *self, const wl_msg_t *msg) {
    const wl_live_head_t *head = &msg->head.live;
    if (head->presence >= wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE) ||
        !wl_line_id_valid(head->line)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_live_item_t *asked = &msg->items.live[i];
        if (asked->what != WL_LIVE_CONSENT || asked->uid == 0) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
        } else {
            consent_take(self, head, asked);
        }
    }
}

/* ---- the end --------------------------------------------------------------------------------- */

/* What was to be pulled for the pair is not pulled any more. Answers that fly are dropped by the
 * shard, and find nothing here. */
static void consent_drop_work(wl_dispatcher_t *self, const consent_t *consent) {
    const wl_asset_t *record = &consent->record;
    (void)wl_pending_drop(self->pending, record->line, record->uid);
    wl_settlement_forget(self->settlement, record->uid, record->line);
    wl_dispatcher_backfill_ended(self, record->line, record->uid, true);
    wl_dispatcher_notice(self, record->line, record->uid, wl_pending_seq(self->pending),
                         WL_MARK_NONE);
}

/* The line may be asked from now on, and a user waits for what it says. */
static void consent_pull(wl_dispatcher_t *self, const consent_t *consent) {
    const wl_asset_t *record = &consent->record;
    const wl_lane_t *lane = wl_dispatcher_lane(self, record->line);
    wl_pending_add_t add = {
        .uid = record->uid, .line = record->line, .bucket = "", .interactive = true};
    uint64_t seq = 0;
    bool merged = false;
    if (lane != NULL && lane->config != NULL && !self->hub.draining &&
        wl_pending_add(self->pending, &add, &seq, &merged) == WL_OK && !merged) {
        wl_dispatcher_notice(self, record->line, record->uid, seq, WL_MARK_PENDING);
    }
}

/* What stands was written by a clock that is ahead of ours: ours is the newer one all the same, as
 * it is written under the lease. false: no clock is so far ahead. */
static bool consent_outrun(wl_dispatcher_t *self, consent_t *consent) {
    consent->lead_us = consent->lead_us == 0 ? LEAD_US_FIRST : consent->lead_us * LEAD_STEP;
    if (consent->lead_us > LEAD_US_MAX) {
        return false;
    }
    consent_store(self, consent);
    return true;
}

static void consent_done(wl_dispatcher_t *self, const char *line, const wl_done_item_t *done) {
    consent_t *consent = NULL;
    HASH_FIND(hh, self->consents, &done->seq, sizeof done->seq, consent);
    if (consent == NULL || consent->effective || consent->record.uid != done->uid ||
        strcmp(consent->record.line, line) != 0) {
        return; /* a late duplicate */
    }
    if (done->outcome == WL_PULL_RETRY && !consent->superseded && consent_outrun(self, consent)) {
        return;
    }
    if (done->outcome != WL_PULL_OK) {
        consent_fail(self, consent, WL_ERR_CONFLICT, "the shard has refused the record");
        return;
    }
    if (consent->superseded) { /* what is to be pulled now is the younger one's */
        consent_succeed(self, consent);
        return;
    }
    consent->effective = true;
    bool granted = consent->record.state == WL_STATE_AVAILABLE;
    wl_trail_tell(&self->trail,
                  &(wl_trail_event_t){.uid = done->uid,
                                      .at = wl_wall_now().ms,
                                      .what = granted ? WL_TRAIL_GRANTED : WL_TRAIL_WITHDRAWN,
                                      .line = consent->record.line});
    if (!granted) {
        consent_drop_work(self, consent);
        return;
    }
    consent_pull(self, consent);
    consent_succeed(self, consent);
}

void wl_dispatcher_consents_done(wl_dispatcher_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; self->epoch > 0 && i < msg->count; i++) {
        const wl_done_item_t *done = &msg->items.done[i];
        if (done->seq > 0 && done->seq < SEQ_END) { /* 0: nobody waits */
            consent_done(self, msg->head.done.line, done);
        }
    }
}

/* A withdrawn consent is in effect: retries and dead letters of the pair go out of the queue. Who
 * waits hears of it after that. */
static bool consent_clean(wl_dispatcher_t *self, const consent_t *consent) {
    uint64_t letters = 0;
    wl_dispatcher_settle(self, 1);
    if (self->settle_failed || !wl_dispatcher_may_ask(self)) {
        return false;
    }
    wl_err_t err =
        wl_queue_dead_forget(self->queue, consent->record.uid, consent->record.line, &letters);
    wl_dispatcher_asked(self, err);
    return err == WL_OK;
}

/* Those whose time is nearly up are told to ask again: it goes on without them. */
static void consent_expire(wl_dispatcher_t *self, consent_t *consent, int64_t now) {
    waiter_t *waiter = NULL;
    waiter_t *next = NULL;
    DL_FOREACH_SAFE(consent->waiters, waiter, next) {
        if (waiter->deadline_at - MARGIN_MS <= now) {
            consent_refuse(self, &waiter->to, waiter->ticket, consent->record.uid,
                           WL_ERR_UNAVAILABLE, "it is not in effect everywhere yet: ask again");
            waiter_free(self, consent, waiter);
        }
    }
    if (consent->waiters == NULL && now - consent->stored_at > LIFE_MS) {
        consent_free(self, consent);
    }
}

void wl_dispatcher_consents_step(wl_dispatcher_t *self) {
    int64_t now = wl_mono_now().ms;
    bool asks = wl_dispatcher_may_ask(self); /* the queue: it answers, and this turn is not over */
    consent_t *consent = NULL;
    consent_t *next = NULL;
    HASH_ITER(hh, self->consents, consent, next) {
        if (consent->effective && (consent->superseded || asks)) {
            bool clean = consent->superseded || consent_clean(self, consent);
            asks = asks && clean && wl_mono_now().ms - now < CLEAN_MS;
            if (clean) {
                consent_succeed(self, consent);
                continue;
            }
        }
        consent_expire(self, consent, now);
    }
}

void wl_dispatcher_forget_consents(wl_dispatcher_t *self) {
    while (self->consents != NULL) {
        consent_fail(self, self->consents, WL_ERR_UNAVAILABLE,
                     "the user's partition is not held here any more");
    }
}

bool wl_dispatcher_consents_wait(const wl_dispatcher_t *self) {
    return self->consent_waiters > 0;
}
