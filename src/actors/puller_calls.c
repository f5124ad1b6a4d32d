/* Which line is asked next, calls and what comes of them.
 *
 * Calls are scarce: WL_CALLS_MAX at once. Lines that may be asked go by turns of classes, six of
 * them: somebody waits or bulk, times the priority of the line. The heavier class goes first, none
 * starves, and each class leaves some calls free for those above it, so that a slow line of low
 * priority cannot hold all of them. A few calls a class has in any case: else slow lines of high
 * priority, which fill the rest, would be all that is asked. */
#include "actors/line_flow.h"
#include "actors/puller_state.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

#include <string.h>

enum {
    CLASS_NONE = WL_PULLER_CLASSES,
    CLASS_RESERVE = 64, /* calls that a class leaves to each class above it, */
    CLASS_LEAST = 8,    /* unless it has fewer than these */
};

static_assert(CLASS_RESERVE * WL_PULLER_CLASSES < WL_CALLS_MAX, "the last class has calls, too");

/* ---- handing back ---------------------------------------------------------------------------- */

void wl_puller_hand_back(wl_puller_t *self, const wl_hand_back_t *back,
                         const wl_line_pull_t *pull) {
    wl_encoder_t *to =
        wl_hub_to(&self->hub, WL_ACTOR_DISPATCHER, pull->dispatcher, WL_MSG_PULLED, back->number);
    if (!wl_encoder_begun(to)) {
        wl_pulled_head_t head = {.pause_ms = back->pause_ms};
        (void)snprintf(head.line, sizeof head.line, "%s", back->line);
        wl_pulled_begin(to, &head);
    }
    wl_pulled_item_t item = {
        .uid = pull->uid, .seq = pull->seq, .outcome = (uint8_t)back->outcome, .held = back->held};
    (void)snprintf(item.reason, sizeof item.reason, "%s", back->reason);
    wl_pulled_add(to, &item);
}

/* Everything that waits for a line goes back: pulls to their dispatchers, and who waits is told
 * that the line cannot be asked. */
static void line_hand_back(wl_puller_t *self, wl_puller_line_t *line, wl_hand_back_t back,
                           int64_t retry_after_ms) {
    wl_mono_ms_t now = wl_mono_now();
    wl_ask_t *ask = NULL;
    back.number = ++self->heads;
    while ((ask = wl_puller_line_pop(line, now)) != NULL) {
        if (ask->pulled) {
            wl_puller_hand_back(self, &back, &ask->pull);
        }
        wl_puller_tell_error(self, back.line, ask, WL_ERR_UNAVAILABLE, retry_after_ms, back.reason);
        wl_asks_end(wl_puller_line_asks(line), &ask);
    }
}

/* ---- flights --------------------------------------------------------------------------------- */

static wl_flight_t *flight_new(wl_puller_t *self, uint32_t slot, uint32_t class,
                               const wl_line_call_t *taken) {
    size_t bytes = taken->count * sizeof taken->asks[0];
    wl_flight_t *flight = wl_alloc_zero(1, sizeof *flight + bytes);
    flight->line = self->lines[slot];
    flight->line_slot = slot;
    flight->class = class;
    self->class_flights[class]++;
    flight->count = taken->count;
    flight->began = wl_mono_now().ms;
    memcpy(flight->asks, taken->asks, bytes);
    flight->behind = self->flights;
    if (self->flights != NULL) {
        self->flights->before = flight;
    }
    self->flights = flight;
    return flight;
}

static void flight_end(wl_puller_t *self, wl_flight_t *flight) {
    WL_ASSERT(flight->calls[0] == NULL && flight->calls[1] == NULL);
    WL_ASSERT(self->class_flights[flight->class] > 0);
    self->class_flights[flight->class]--;
    for (uint32_t i = 0; i < flight->count; i++) {
        wl_asks_end(wl_puller_line_asks(flight->line), &flight->asks[i]);
    }
    if (flight->before == NULL) {
        self->flights = flight->behind;
    } else {
        flight->before->behind = flight->behind;
    }
    if (flight->behind != NULL) {
        flight->behind->before = flight->before;
    }
    wl_free(flight);
}

static wl_pull_call_t *call_new(wl_puller_t *self, wl_flight_t *flight, uint32_t place,
                                const wl_limits_call_t *limits) {
    wl_pull_call_t *call = wl_alloc_zero(1, sizeof *call);
    call->id = ++self->call_id;
    call->flight = flight;
    call->limits = *limits;
    call->began = wl_wall_now();
    flight->calls[place] = call;
    HASH_ADD(hh, self->calls, id, sizeof call->id, call);
    WL_COUNT(&self->hub.counters, pull_calls, 1);
    return call;
}

static void call_end(wl_puller_t *self, wl_pull_call_t *call) {
    wl_flight_t *flight = call->flight;
    flight->calls[flight->calls[0] == call ? 0 : 1] = NULL;
    HASH_DEL(self->calls, call);
    wl_free(call);
}

/* The flight has its answer: another call for it is of no use. */
static void flight_cancel(wl_puller_t *self, wl_flight_t *flight) {
    for (uint32_t i = 0; i < WL_COUNT_OF(flight->calls); i++) {
        wl_pull_call_t *call = flight->calls[i];
        if (call != NULL) {
            bool cancelled = wl_caller_cancel(self->caller, call->id);
            WL_ASSERT(cancelled);
            wl_puller_limits_cancelled(wl_puller_line_limits(flight->line), &call->limits,
                                       wl_mono_now());
            call_end(self, call);
        }
    }
}

void wl_puller_drop_flights(wl_puller_t *self) {
    while (self->flights != NULL) {
        wl_flight_t *flight = self->flights;
        for (uint32_t i = 0; i < WL_COUNT_OF(flight->calls); i++) {
            if (flight->calls[i] != NULL) {
                call_end(self, flight->calls[i]);
            }
        }
        flight_end(self, flight);
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static void answer_store(wl_puller_t *self, const wl_flight_t *flight, const wl_line_pull_t *pull,
                         const wl_pull_verdict_t *verdict) {
    uint64_t key =
        (pull->epoch * WL_PULLER_LINES_MAX + flight->line_slot) * WL_PULLER_PARTITIONS_MAX +
        pull->dispatcher;
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_SHARD, wl_hub_shard(&self->hub, pull->uid),
                                 WL_MSG_STORE, key);
    if (!wl_encoder_begun(to)) {
        wl_store_head_t head = {.dispatcher = pull->dispatcher, .epoch = pull->epoch};
        (void)snprintf(head.line, sizeof head.line, "%s", wl_puller_line_id(flight->line));
        wl_store_begin(to, &head);
    }
    wl_store_item_t item = {.uid = pull->uid,
                            .seq = pull->seq,
                            .outcome = (uint8_t)verdict->outcome,
                            .notified_at = pull->notified_at,
                            .assets = verdict->assets};
    wl_store_add(to, &item);
}

/* What only those who wait asked for is stored when there is something to store: nobody waits for
 * its acknowledgement. */
static void answer_take_user(wl_puller_t *self, const wl_pull_call_t *call, const wl_ask_t *ask,
                             wl_hand_back_t *back) {
    const wl_flight_t *flight = call->flight;
    wl_pull_verdict_t verdict;
    wl_puller_answer_judge(self->answer, wl_puller_line_config(flight->line), &ask->pull, &verdict);
    WL_COUNT(&self->hub.counters, pull_behind, verdict.behind);
    if (verdict.store && (ask->pulled || verdict.assets.count > 0)) {
        answer_store(self, flight, &ask->pull, &verdict);
    }
    if (!verdict.store && ask->pulled) {
        back->outcome = verdict.outcome;
        back->reason = verdict.reason;
        wl_puller_hand_back(self, back, &ask->pull);
    }
    if (verdict.store) {
        wl_lived_item_t lived = {.at = call->began.ms, .assets = verdict.assets};
        wl_puller_tell(self, back->line, ask, &lived);
    } else {
        wl_puller_tell_error(self, back->line, ask, WL_ERR_UNAVAILABLE, 0, verdict.reason);
    }
}

static void answer_take_good(wl_puller_t *self, const wl_pull_call_t *call,
                             const wl_answer_t *answer) {
    const wl_flight_t *flight = call->flight;
    const char *line = wl_puller_line_id(flight->line);
    if (call->limits.what != WL_LIVE_ASSETS) {
        wl_lived_item_t lived = {.at = call->began.ms, .body = {answer->page, answer->page_bytes}};
        wl_puller_tell(self, line, flight->asks[0], &lived);
        return;
    }
    wl_hand_back_t back = {.line = line, .number = ++self->heads};
    wl_puller_answer_read(self->answer, answer);
    for (uint32_t i = 0; i < flight->count; i++) {
        answer_take_user(self, call, flight->asks[i], &back);
    }
}

static void answer_take_failure(wl_puller_t *self, const wl_pull_call_t *call,
                                const wl_answer_t *answer) {
    const wl_flight_t *flight = call->flight;
    wl_mono_ms_t now = wl_mono_now();
    wl_wall_ms_t wall = wl_wall_now();
    wl_hand_back_t back = {
        .line = wl_puller_line_id(flight->line),
        .pause_ms = wl_puller_line_pause_ms(flight->line, now, wall),
        .outcome = WL_PULL_RETRY,
        .reason = answer->reason[0] != '\0' ? answer->reason : wl_err_text(answer->err),
        /* a line that says when to come again has not failed these users */
        .held = wl_answer_waits(answer),
        .number = ++self->heads,
    };
    bool no_page = answer->err == WL_ERR_NOT_FOUND && call->limits.what != WL_LIVE_ASSETS;
    for (uint32_t i = 0; i < flight->count; i++) {
        if (flight->asks[i]->pulled) {
            wl_puller_hand_back(self, &back, &flight->asks[i]->pull);
        }
        wl_puller_tell_error(self, back.line, flight->asks[i],
                             no_page ? WL_ERR_NOT_FOUND : WL_ERR_UNAVAILABLE, back.pause_ms,
                             back.reason);
    }
}

/* A call has ended: the first good answer is the flight's, and so is the last bad one. */
static void call_take(wl_puller_t *self, wl_pull_call_t *call, const wl_answer_t *answer) {
    wl_flight_t *flight = call->flight;
    const char *line = wl_puller_line_id(flight->line);
    bool opened = wl_puller_line_answered(flight->line, &call->limits, answer, wl_mono_now());
    WL_COUNT(&self->hub.counters, pull_breaker_open, opened);
    WL_COUNT(&self->hub.counters, pull_quarantined, answer->refused_total);
    if (opened) {
        wl_log(WL_LOG_WARN, self->hub.name, "breaker_open", "line %s is not asked for a while: %s",
               line, answer->reason);
    }
    if (answer->err != WL_OK) {
        WL_COUNT(&self->hub.counters, pull_failures, 1);
        wl_log(WL_LOG_WARN, self->hub.name, "pull_failed", "line %s: %s", line,
               answer->reason[0] != '\0' ? answer->reason : wl_err_text(answer->err));
    }
    bool other = flight->calls[0] != NULL && flight->calls[1] != NULL;
    if (answer->err != WL_OK && other) {
        call_end(self, call);
        return; /* the other one may still be answered */
    }
    if (answer->err == WL_OK) {
        answer_take_good(self, call, answer);
    } else {
        answer_take_failure(self, call, answer);
    }
    call_end(self, call);
    flight_cancel(self, flight);
    flight_end(self, flight);
}

void wl_puller_take_answer(const wl_answer_t *answer, void *puller) {
    wl_puller_t *self = puller;
    wl_pull_call_t *call = NULL;
    HASH_FIND(hh, self->calls, &answer->call_id, sizeof answer->call_id, call);
    WL_ASSERT(call != NULL); /* the caller's promise: once for each call */
    call_take(self, call, answer);
    wl_puller_tell_health(self, true);
    wl_puller_pump(self);
    wl_hub_flush(&self->hub);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static wl_err_t call_ask_users(wl_puller_t *self, const wl_line_t *line,
                               const wl_pull_call_t *call) {
    const wl_flight_t *flight = call->flight;
    uint64_t uids[WL_PULL_UIDS_MAX];
    for (uint32_t i = 0; i < flight->count; i++) {
        uids[i] = flight->asks[i]->pull.uid;
    }
    WL_COUNT(&self->hub.counters, pull_users, flight->count);
    return wl_caller_ask(self->caller, line, uids, flight->count, call->id, call->began,
                         call->limits.url.index);
}

static wl_err_t call_ask_page(wl_puller_t *self, const wl_line_t *line,
                              const wl_pull_call_t *call) {
    const wl_ask_t *asked = call->flight->asks[0];
    wl_page_ask_t ask = {
        .kind = asked->what == WL_LIVE_DETAILS ? WL_PAGE_DETAILS : WL_PAGE_SUMMARY,
        .uid = asked->pull.uid,
        .cursor = asked->cursor,
        .cursor_bytes = asked->cursor_bytes,
        .limit = asked->limit,
        .url_index = call->limits.url.index,
    };
    memcpy(ask.month, asked->month, sizeof ask.month);
    WL_COUNT(&self->hub.counters, pull_pages, 1);
    return wl_caller_page(self->caller, line, &ask, call->id);
}

static void call_start(wl_puller_t *self, wl_pull_call_t *call, const wl_line_t *line) {
    wl_err_t err = call->limits.what == WL_LIVE_ASSETS ? call_ask_users(self, line, call)
                                                       : call_ask_page(self, line, call);
    if (err != WL_OK) {
        wl_answer_t failed = {.call_id = call->id, .err = err};
        (void)snprintf(failed.reason, sizeof failed.reason, "%s",
                       err == WL_ERR_SETTINGS ? "the key that signs is missing, or the url is bad"
                                              : wl_err_text(err));
        call_take(self, call, &failed);
    }
}

/* Takes the next call of a line and makes it; false: none may be made. */
static bool line_ask(wl_puller_t *self, uint32_t slot, uint32_t class) {
    wl_puller_line_t *line = self->lines[slot];
    const wl_line_t *config = wl_puller_line_config(line);
    wl_mono_ms_t now = wl_mono_now();
    wl_line_call_t taken;
    wl_puller_line_take(line, now, wl_wall_now(),
                        now.ms - wl_line_lost_ms(config, self->hub.settings), &taken);
    if (taken.count == 0) {
        return false;
    }
    wl_flight_t *flight = flight_new(self, slot, class, &taken);
    bool hedged =
        config->hedge_ms > 0 && config->hedge_ms < config->timeout_ms && config->url_count > 1;
    flight->hedge_at = hedged ? flight->began + (int64_t)config->hedge_ms : 0;
    bool repeated = false;
    for (uint32_t i = 0; i < flight->count; i++) {
        const wl_ask_t *ask = flight->asks[i];
        repeated = repeated || (ask->pulled && ask->pull.attempt > 0);
    }
    WL_COUNT(&self->hub.counters, pull_retries, repeated);
    call_start(self, call_new(self, flight, 0, &taken.call), config);
    return true;
}

/* The second call ends with the first one's time. */
static void flight_hedge(wl_puller_t *self, wl_flight_t *flight, wl_mono_ms_t now) {
    const wl_line_t *config = wl_puller_line_config(flight->line);
    int64_t left_ms = config == NULL ? 0 : flight->began + (int64_t)config->timeout_ms - now.ms;
    wl_limits_call_t second;
    flight->hedge_at = 0;
    if (left_ms > 0 && wl_puller_line_hedge(flight->line, &flight->calls[0]->limits, now,
                                            wl_wall_now(), &second)) {
        wl_line_t shorter = *config;
        shorter.timeout_ms = (uint32_t)left_ms;
        WL_COUNT(&self->hub.counters, pull_hedges, 1);
        call_start(self, call_new(self, flight, 1, &second), &shorter);
    }
}

void wl_puller_hedge(wl_puller_t *self) {
    wl_mono_ms_t now = wl_mono_now();
    wl_flight_t *behind = NULL;
    for (wl_flight_t *flight = self->flights; flight != NULL; flight = behind) {
        behind = flight->behind;
        if (flight->hedge_at > 0 && now.ms >= flight->hedge_at && flight->calls[0] != NULL &&
            wl_caller_in_flight(self->caller) < WL_CALLS_MAX) {
            flight_hedge(self, flight, now);
        }
    }
}

/* ---- turns ----------------------------------------------------------------------------------- */

static uint32_t line_class(wl_puller_t *self, uint32_t slot) {
    wl_puller_line_t *line = self->lines[slot];
    if (wl_puller_line_waiting(line) == 0) {
        return CLASS_NONE;
    }
    switch (wl_puller_line_urgency(line, wl_mono_now(), wl_wall_now())) {
    case WL_URGENCY_NONE: return CLASS_NONE;
    case WL_URGENCY_LIVE: return wl_puller_line_config(line)->priority;
    case WL_URGENCY_BULK: return WL_PRIORITY_COUNT + wl_puller_line_config(line)->priority;
    }
    return CLASS_NONE;
}

/* The classes that have a line and calls left for it. */
static uint32_t classes_ready(const wl_puller_t *self, const uint8_t *class_of) {
    uint32_t in_flight = wl_caller_in_flight(self->caller);
    uint32_t ready = 0;
    for (uint32_t i = 0; i < self->line_count; i++) {
        uint32_t class = class_of[i];
        if (class == CLASS_NONE || in_flight >= WL_CALLS_MAX) {
            continue;
        }
        if (in_flight + CLASS_RESERVE * class < WL_CALLS_MAX ||
            self->class_flights[class] < CLASS_LEAST) {
            ready |= 1u << class;
        }
    }
    return ready;
}

/* The next line of a class, round and round. */
static uint32_t class_line(wl_puller_t *self, const uint8_t *class_of, uint32_t class) {
    for (uint32_t step = 1; step <= self->line_count; step++) {
        uint32_t slot = (self->turned[class] + step) % self->line_count;
        if (class_of[slot] == class) {
            self->turned[class] = slot;
            return slot;
        }
    }
    WL_ASSERT(false);
    return 0;
}

/* What must not wait here goes back. */
static void line_settle(wl_puller_t *self, wl_puller_line_t *line) {
    const char *reason = NULL;
    wl_hand_back_t back = {.line = wl_puller_line_id(line)};
    if (wl_puller_line_waiting(line) == 0) {
        return;
    }
    if (wl_puller_line_config(line) == NULL) {
        back.outcome = WL_PULL_PERMANENT;
        back.reason = "line is not configured";
        line_hand_back(self, line, back, 0);
        return;
    }
    wl_mono_ms_t now = wl_mono_now();
    int64_t pause_ms =
        wl_puller_limits_pause_ms(wl_puller_line_limits(line), now, wl_wall_now(), &reason);
    if (pause_ms > 0) {
        back.pause_ms = wl_puller_line_pause_ms(line, now, wl_wall_now());
        back.outcome = WL_PULL_RETRY;
        back.reason = reason;
        back.held = true;
        line_hand_back(self, line, back, pause_ms);
    }
}

void wl_puller_pump(wl_puller_t *self) {
    uint8_t class_of[WL_PULLER_LINES_MAX];
    for (uint32_t i = 0; i < self->line_count; i++) {
        class_of[i] = self->hub.draining ? CLASS_NONE : (uint8_t)line_class(self, i);
    }
    uint32_t ready = 0;
    while ((ready = classes_ready(self, class_of)) != 0) {
        uint32_t class = wl_turns_next(&self->turns, ready);
        uint32_t slot = class_line(self, class_of, class);
        if (line_ask(self, slot, class)) {
            wl_turns_took(&self->turns, class);
            class_of[slot] = (uint8_t)line_class(self, slot);
        } else {
            class_of[slot] = CLASS_NONE;
        }
    }
    for (uint32_t i = 0; !self->hub.draining && i < self->line_count; i++) {
        line_settle(self, self->lines[i]);
    }
}
