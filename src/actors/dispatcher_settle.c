/* How pulls end. A pull that took effect releases its entries; one that failed is written as a
 * retry or a dead letter in the transaction that acknowledges the entries behind it. */
#include "actors/dispatcher_state.h"

#include "actors/line_flow.h"
#include "base/failure.h"
#include "base/log.h"
#include "base/random.h"

#include <stdio.h>
#include <string.h>

enum {
    RETRY_SPACE_MS = 1000,   /* between retries beyond the budget */
    PAUSE_DISAGREE_MS = 200, /* when a puller does not know a line that we know */
};

/* How long the pair sleeps: back-off with jitter, and when the line's budget of retries is used up,
 * behind all others that wait for it. */
static int64_t fail_delay_ms(wl_lane_t *lane, uint32_t attempts, wl_mono_ms_t now) {
    int64_t delay_ms = wl_retry_delay_ms(attempts, lane->config->retry_base_ms,
                                         lane->config->retry_max_ms, (uint32_t)wl_random_u64());
    if (!wl_retry_budget_take(&lane->budget, now)) {
        lane->retry_at = (lane->retry_at > now.ms ? lane->retry_at : now.ms) + RETRY_SPACE_MS;
        int64_t turn_ms = lane->retry_at - now.ms;
        delay_ms = turn_ms > delay_ms ? turn_ms : delay_ms;
    }
    return delay_ms;
}

static_assert(sizeof((wl_attempt_t){.at = 0}).reason == sizeof((wl_retry_row_t){.uid = 0}).reason &&
                  sizeof((wl_attempt_t){.at = 0}).reason ==
                      sizeof((wl_dead_letter_t){.uid = 0}).reason,
              "reasons are copied as they are");

static void fail_trail(wl_dispatcher_t *self, wl_trail_what_t what, const wl_lane_t *lane,
                       const wl_pending_pull_t *pull, const wl_trail_event_t *more) {
    wl_trail_event_t event = *more;
    event.uid = pull->uid;
    event.at = wl_wall_now().ms;
    event.what = what;
    event.line = lane->line;
    event.notified_at = pull->notified_at.ms;
    wl_trail_tell(&self->trail, &event);
}

static void fail_give_up(wl_dispatcher_t *self, const wl_lane_t *lane,
                         const wl_pending_pull_t *pull, uint32_t attempts,
                         const wl_attempt_t *attempt) {
    if (pull->notified_at.ms == 0) {
        /* Nobody said that anything has changed, a user only looked: the copy is as good as before,
         * and the next look asks again. A retry in the store is another matter, and stays. */
        fail_trail(self, WL_TRAIL_GIVEN_UP, lane, pull, &(wl_trail_event_t){.attempt = attempts});
        wl_dispatcher_notice(self, lane->line, pull->uid, pull->seq, WL_MARK_NONE);
        return;
    }
    wl_dead_letter_t letter = {.uid = pull->uid, .attempts = attempts, .at = attempt->at};
    memcpy(letter.line, lane->line, sizeof letter.line);
    memcpy(letter.reason, attempt->reason, sizeof letter.reason);
    letter.failure = attempt->failure;
    wl_settlement_dead(self->settlement, &letter, attempt);
    fail_trail(self, WL_TRAIL_DEAD, lane, pull,
               &(wl_trail_event_t){.attempt = attempts, .text = attempt->reason});
    wl_dispatcher_notice(self, lane->line, pull->uid, pull->seq, WL_MARK_FAILING);
    WL_COUNT(&self->hub.counters, queue_dead, 1);
    char who[16];
    wl_log_uid(pull->uid, who);
    wl_log(WL_LOG_WARN, self->hub.name, "dead_letter", "%s of line %s after %u attempts: %s", who,
           lane->line, attempts, attempt->reason);
}

static void fail_retry(wl_dispatcher_t *self, const wl_lane_t *lane, const wl_pending_pull_t *pull,
                       uint32_t attempts, int64_t delay_ms, const wl_attempt_t *attempt) {
    wl_retry_row_t row = {.uid = pull->uid,
                          .attempts = attempts,
                          .due_at = attempt->at + delay_ms,
                          .notified_at = pull->notified_at.ms};
    memcpy(row.line, lane->line, sizeof row.line);
    memcpy(row.reason, attempt->reason, sizeof row.reason);
    wl_settlement_retry(self->settlement, &row, attempt);
    fail_trail(self, WL_TRAIL_RETRY, lane, pull,
               &(wl_trail_event_t){.attempt = attempts, .number = (uint64_t)delay_ms});
    WL_COUNT(&self->hub.counters, queue_retries, 1);
}

/* A change that came while the pull was under way sleeps with it: it, too, is behind a failure. */
static void fail_tell(wl_dispatcher_t *self, const wl_lane_t *lane, const wl_pending_pull_t *pull) {
    uint64_t asleep = wl_pending_asleep(self->pending, lane->line, pull->uid);
    wl_dispatcher_notice(self, lane->line, pull->uid, asleep > 0 ? asleep : pull->seq,
                         WL_MARK_FAILING);
}

/* told: the trail knows already why it failed. */
static void pull_fail(wl_dispatcher_t *self, wl_lane_t *lane, uint64_t uid, uint64_t seq,
                      wl_pull_outcome_t outcome, const char *reason, bool told) {
    wl_pending_pull_t pull;
    if (!wl_pending_flight(self->pending, lane->line, uid, seq, &pull)) {
        return; /* a late duplicate: what it reports was done again */
    }
    wl_mono_ms_t now = wl_mono_now();
    wl_recovery_note(&lane->recovery, false, now);
    uint32_t attempts = pull.attempt + 1;
    bool permanent = outcome == WL_PULL_PERMANENT || lane->config == NULL;
    bool give_up = permanent || pull.notified_at.ms == 0 || attempts >= lane->config->attempts_max;
    wl_mono_ms_t due = now;
    wl_attempt_t attempt = {.at = wl_wall_now().ms};
    attempt.failure = (uint8_t)wl_failure_of(reason, outcome == WL_PULL_REFUSED);
    (void)snprintf(attempt.reason, sizeof attempt.reason, "%s", reason);
    if (!told) {
        wl_trail_event_t why = {.attempt = attempts, .outcome = (uint8_t)outcome, .text = reason};
        bool refused = outcome == WL_PULL_REFUSED;
        fail_trail(self, refused ? WL_TRAIL_QUARANTINED : WL_TRAIL_FAILED, lane, &pull, &why);
    }
    if (give_up) {
        fail_give_up(self, lane, &pull, attempts, &attempt);
    } else {
        int64_t delay_ms = fail_delay_ms(lane, attempts, now);
        due.ms += delay_ms;
        fail_retry(self, lane, &pull, attempts, delay_ms, &attempt);
    }
    (void)wl_pending_fail(self->pending, lane->line, uid, seq, due, give_up, &attempts);
    if (!give_up) {
        fail_tell(self, lane, &pull);
    }
    wl_dispatcher_backfill_ended(self, lane->line, uid, false);
}

void wl_dispatcher_fail(wl_dispatcher_t *self, wl_lane_t *lane, uint64_t uid, uint64_t seq,
                        wl_pull_outcome_t outcome, const char *reason) {
    pull_fail(self, lane, uid, seq, outcome, reason, false);
}

/* ---- outcomes -------------------------------------------------------------------------------- */

static const char *done_reason(wl_pull_outcome_t outcome) {
    switch (outcome) {
    case WL_PULL_RETRY: return "the answer is older than the notification";
    case WL_PULL_REFUSED: return "a record was refused: jump_max, version_ahead_max or too many";
    case WL_PULL_PERMANENT: return "given up";
    case WL_PULL_OK: break;
    }
    return "";
}

void wl_dispatcher_take_done(wl_dispatcher_t *self, const wl_msg_t *msg) {
    wl_lane_t *lane = wl_dispatcher_lane(self, msg->head.done.line);
    int64_t now = wl_wall_now().ms;
    wl_mono_ms_t mono = wl_mono_now();
    for (uint32_t i = 0; lane != NULL && i < msg->count; i++) {
        const wl_done_item_t *done = &msg->items.done[i];
        wl_dispatcher_heard(self, lane, done->uid);
        if (done->seq == 0) {
            continue; /* somebody looked live: no pull of ours */
        }
        if (done->outcome > WL_PULL_PERMANENT) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
        } else if (done->outcome != WL_PULL_OK) {
            wl_pull_outcome_t outcome = (wl_pull_outcome_t)done->outcome;
            /* the shard has told which record it refused */
            pull_fail(self, lane, done->uid, done->seq, outcome, done_reason(outcome),
                      outcome == WL_PULL_REFUSED);
        } else if (wl_pending_done(self->pending, lane->line, done->uid, done->seq)) {
            wl_recovery_note(&lane->recovery, true, mono);
            wl_settlement_end(self->settlement, done->uid, lane->line);
            wl_dispatcher_backfill_ended(self, lane->line, done->uid, true);
            if (done->notified_at > 0) {
                int64_t fresh_ms = now - done->notified_at;
                WL_COUNT(&self->hub.counters, fresh_count, 1);
                WL_COUNT(&self->hub.counters, fresh_ms_total, fresh_ms > 0 ? fresh_ms : 0);
            }
        }
    }
}

void wl_dispatcher_take_pulled(wl_dispatcher_t *self, const wl_msg_t *msg) {
    wl_lane_t *lane = wl_dispatcher_lane(self, msg->head.pulled.line);
    if (lane == NULL) {
        WL_COUNT(&self->hub.counters, msg_unexpected, 1);
        return;
    }
    wl_mono_ms_t now = wl_mono_now();
    uint32_t shard = msg->head.pulled.shard; /* + 1 */
    if (shard > wl_hub_instances(&self->hub, WL_ACTOR_SHARD)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    if (shard > 0) {
        wl_dispatcher_shut(self, shard - 1, msg->head.pulled.pause_ms, now);
    } else {
        wl_dispatcher_pause(lane, msg->head.pulled.pause_ms, now);
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_pulled_item_t *pulled = &msg->items.pulled[i];
        if (pulled->seq == 0) {
            continue;
        }
        wl_dispatcher_unfly(self, lane, pulled->uid);
        /* The puller may have another configuration for a moment: then it does not decide. */
        bool disagree = pulled->outcome == WL_PULL_PERMANENT && lane->config != NULL;
        if (disagree) {
            wl_dispatcher_pause(lane, PAUSE_DISAGREE_MS, now);
        }
        if (pulled->outcome > WL_PULL_PERMANENT || pulled->outcome == WL_PULL_OK) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
        } else if (pulled->held || disagree) {
            (void)wl_pending_hold(self->pending, lane->line, pulled->uid, pulled->seq,
                                  (wl_mono_ms_t){0});
        } else {
            wl_dispatcher_fail(self, lane, pulled->uid, pulled->seq,
                               (wl_pull_outcome_t)pulled->outcome, pulled->reason);
        }
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

void wl_dispatcher_settle(wl_dispatcher_t *self, size_t least) {
    if (!wl_dispatcher_may_ask(self)) {
        return;
    }
    wl_settlement_collect(self->settlement, self->pending);
    size_t waiting = wl_settlement_waiting(self->settlement);
    if (waiting == 0 || waiting < least) {
        return;
    }
    size_t acked = 0;
    wl_err_t err = wl_settlement_write(self->settlement, self->queue, &acked);
    self->settle_failed = err != WL_OK;
    wl_dispatcher_asked(self, err);
    if (err == WL_OK) {
        WL_COUNT(&self->hub.counters, queue_acked, acked);
    } else if (err != WL_ERR_CONFLICT) {
        wl_log(WL_LOG_ERROR, self->hub.name, "settle_failed",
               "%zu outcomes wait until they can be written: %s", waiting, wl_err_text(err));
    }
}
