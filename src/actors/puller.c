#include "actors/puller.h"

#include "actors/hub.h"
#include "actors/line_flow.h"
#include "actors/puller_answer.h"
#include "actors/puller_line.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "base/table.h"
#include "lines/caller.h"

#include <string.h>

enum {
    TICK_MS = 5,            /* finest step of batch_wait_ms and of rates */
    HEALTH_MS = 1000,       /* how often health is told without a change */
    PAUSE_UNREADY_MS = 200, /* before the first configuration, or beyond the bound of a line */
    LINES_MAX = 4 * WL_LINES_MAX, /* of several configurations; idle ones of old ones make room */
    DISPATCHERS_MAX = 16,
};

/* One call under way. */
typedef struct {
    uint64_t id;
    wl_puller_line_t *line; /* borrowed: lines with calls under way are not destroyed */
    uint32_t line_slot;
    uint32_t count;
    UT_hash_handle hh;
    wl_line_pull_t pulls[];
} call_t;

typedef struct {
    wl_hub_t hub;
    wl_caller_t *caller;        /* owned; closed before the hub's loop */
    wl_puller_answer_t *answer; /* owned */
    call_t *calls;              /* owned, uthash by id */
    uint64_t call_id;           /* of the last call */
    uint64_t hand_backs;        /* messages of pulls handed back: no two share a head */
    uint32_t line_count;
    wl_puller_line_t *lines[LINES_MAX]; /* owned */
    int64_t health_at;                  /* monotonic ms when health was told last */
} puller_t;

/* ---- handing back ---------------------------------------------------------------------------- */

/* What all pulls of one PULLED have in common. */
typedef struct {
    const char *line;
    int64_t pause_ms;
    wl_pull_outcome_t outcome;
    const char *reason;
    bool held;       /* no attempt was made */
    uint64_t number; /* of this hand-back */
} hand_back_t;

static void puller_hand_back(puller_t *self, const hand_back_t *back, const wl_line_pull_t *pull) {
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

/* Everything that waits for a line goes back. */
static void puller_hand_back_waiting(puller_t *self, wl_puller_line_t *line, hand_back_t back) {
    wl_line_pull_t pull;
    back.number = ++self->hand_backs;
    while (wl_puller_line_pop(line, &pull)) {
        puller_hand_back(self, &back, &pull);
    }
}

/* ---- answers --------------------------------------------------------------------------------- */

static void puller_store(puller_t *self, const call_t *call, const wl_line_pull_t *pull,
                         const wl_pull_verdict_t *verdict) {
    wl_encoder_t *to =
        wl_hub_to(&self->hub, WL_ACTOR_SHARD, wl_hub_shard(&self->hub, pull->uid), WL_MSG_STORE,
                  (pull->epoch * LINES_MAX + call->line_slot) * DISPATCHERS_MAX + pull->dispatcher);
    if (!wl_encoder_begun(to)) {
        wl_store_head_t head = {.dispatcher = pull->dispatcher, .epoch = pull->epoch};
        (void)snprintf(head.line, sizeof head.line, "%s", wl_puller_line_id(call->line));
        wl_store_begin(to, &head);
    }
    wl_store_item_t item = {.uid = pull->uid,
                            .seq = pull->seq,
                            .outcome = (uint8_t)verdict->outcome,
                            .notified_at = pull->notified_at,
                            .assets = verdict->assets};
    wl_store_add(to, &item);
}

static void puller_take_answer(puller_t *self, const call_t *call, const wl_answer_t *answer) {
    const wl_line_t *config = wl_puller_line_config(call->line);
    hand_back_t back = {.line = wl_puller_line_id(call->line), .number = ++self->hand_backs};
    wl_puller_answer_read(self->answer, answer);
    for (uint32_t i = 0; i < call->count; i++) {
        wl_pull_verdict_t verdict;
        wl_puller_answer_judge(self->answer, config, &call->pulls[i], &verdict);
        WL_COUNT(&self->hub.counters, pull_behind, verdict.behind);
        if (verdict.store) {
            puller_store(self, call, &call->pulls[i], &verdict);
        } else {
            back.outcome = verdict.outcome;
            back.reason = verdict.reason;
            puller_hand_back(self, &back, &call->pulls[i]);
        }
    }
}

static void puller_take_failure(puller_t *self, const call_t *call, const wl_answer_t *answer,
                                int64_t pause_ms) {
    hand_back_t back = {
        .line = wl_puller_line_id(call->line),
        .pause_ms = pause_ms,
        .outcome = WL_PULL_RETRY,
        .reason = answer->reason[0] != '\0' ? answer->reason : wl_err_text(answer->err),
        /* a line that says when to come again has not failed these users */
        .held = answer->retry_after_ms > 0 || answer->http_status == 429,
        .number = ++self->hand_backs,
    };
    for (uint32_t i = 0; i < call->count; i++) {
        puller_hand_back(self, &back, &call->pulls[i]);
    }
    WL_COUNT(&self->hub.counters, pull_failures, 1);
    wl_log(WL_LOG_WARN, self->hub.name, "pull_failed", "line %s: %s", back.line, back.reason);
}

static void puller_tell_health(puller_t *self, bool changed_only);
static void puller_pump(puller_t *self, uint32_t slot);

static void puller_end_call(puller_t *self, call_t *call, const wl_answer_t *answer) {
    wl_mono_ms_t now = wl_mono_now();
    bool opened = wl_puller_line_answered(call->line, answer, now);
    WL_COUNT(&self->hub.counters, pull_breaker_open, opened);
    WL_COUNT(&self->hub.counters, pull_quarantined, answer->refused_total);
    if (opened) {
        wl_log(WL_LOG_WARN, self->hub.name, "breaker_open", "line %s is not asked for a while: %s",
               wl_puller_line_id(call->line), answer->reason);
    }
    if (answer->err == WL_OK) {
        puller_take_answer(self, call, answer);
    } else {
        puller_take_failure(self, call, answer, wl_puller_line_pause_ms(call->line, now));
    }
    HASH_DEL(self->calls, call);
    wl_free(call);
}

static void on_answer(const wl_answer_t *answer, void *arg) {
    puller_t *self = arg;
    call_t *call = NULL;
    HASH_FIND(hh, self->calls, &answer->call_id, sizeof answer->call_id, call);
    WL_ASSERT(call != NULL); /* the caller's promise: once for each call */
    uint32_t slot = call->line_slot;
    puller_end_call(self, call, answer);
    puller_tell_health(self, true);
    if (!self->hub.draining) {
        puller_pump(self, slot);
    }
    wl_hub_flush(&self->hub);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void puller_ask(puller_t *self, uint32_t slot, const wl_line_pull_t *pulls, uint32_t count) {
    wl_puller_line_t *line = self->lines[slot];
    call_t *call = wl_alloc(sizeof *call + count * sizeof *pulls);
    *call = (call_t){.id = ++self->call_id, .line = line, .line_slot = slot, .count = count};
    memcpy(call->pulls, pulls, count * sizeof *pulls);
    HASH_ADD(hh, self->calls, id, sizeof call->id, call);
    uint64_t uids[WL_PULL_UIDS_MAX];
    bool repeated = false;
    for (uint32_t i = 0; i < count; i++) {
        uids[i] = pulls[i].uid;
        repeated = repeated || pulls[i].attempt > 0;
    }
    WL_COUNT(&self->hub.counters, pull_calls, 1);
    WL_COUNT(&self->hub.counters, pull_users, count);
    WL_COUNT(&self->hub.counters, pull_retries, repeated);
    wl_err_t err = wl_caller_ask(self->caller, wl_puller_line_config(line), uids, count, call->id,
                                 wl_wall_now(), 0);
    if (err != WL_OK) {
        wl_answer_t failed = {.call_id = call->id, .err = err, .uid_count = count};
        (void)snprintf(failed.reason, sizeof failed.reason, "%s",
                       err == WL_ERR_SETTINGS ? "the key that signs is missing, or the url is bad"
                                              : wl_err_text(err));
        puller_end_call(self, call, &failed);
    }
}

/* Makes the calls of a line that may be made now; hands back what must not wait here. */
static void puller_pump(puller_t *self, uint32_t slot) {
    wl_puller_line_t *line = self->lines[slot];
    const wl_line_t *config = wl_puller_line_config(line);
    wl_mono_ms_t now = wl_mono_now();
    if (wl_puller_line_waiting(line) == 0) {
        return;
    }
    if (config == NULL) {
        puller_hand_back_waiting(self, line,
                                 (hand_back_t){.line = wl_puller_line_id(line),
                                               .outcome = WL_PULL_PERMANENT,
                                               .reason = "line is not configured"});
        return;
    }
    int64_t stale_before = now.ms - wl_line_lost_ms(config, self->hub.settings);
    wl_line_pull_t pulls[WL_PULL_UIDS_MAX];
    uint32_t count = 1;
    while (count > 0 && wl_caller_in_flight(self->caller) < WL_CALLS_MAX) {
        count = wl_puller_line_take(line, now, stale_before, pulls);
        if (count > 0) {
            puller_ask(self, slot, pulls, count);
        }
    }
    int64_t pause_ms = wl_puller_line_pause_ms(line, now);
    if (pause_ms > 0) {
        puller_hand_back_waiting(self, line,
                                 (hand_back_t){.line = wl_puller_line_id(line),
                                               .pause_ms = pause_ms,
                                               .outcome = WL_PULL_RETRY,
                                               .reason = "the line is paused",
                                               .held = true});
    }
}

static void puller_pump_all(puller_t *self) {
    for (uint32_t i = 0; !self->hub.draining && i < self->line_count; i++) {
        puller_pump(self, i);
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

static bool puller_owns(const puller_t *self, const char *line) {
    return wl_line_owner(line, wl_hub_instances(&self->hub, WL_ACTOR_PULLER)) == self->hub.instance;
}

static bool line_idle(const wl_puller_line_t *line) {
    return wl_puller_line_config(line) == NULL && wl_puller_line_in_flight(line) == 0 &&
           wl_puller_line_waiting(line) == 0;
}

/* The slot of a line, made when it is new; LINES_MAX: no room. */
static uint32_t puller_slot(puller_t *self, const char *id, const wl_line_t *config) {
    uint32_t idle = LINES_MAX;
    for (uint32_t i = 0; i < self->line_count; i++) {
        if (strcmp(wl_puller_line_id(self->lines[i]), id) == 0) {
            return i;
        }
        idle = line_idle(self->lines[i]) ? i : idle;
    }
    uint32_t slot = self->line_count < LINES_MAX ? self->line_count++ : idle;
    if (slot < LINES_MAX) {
        wl_mono_ms_t now = wl_mono_now();
        wl_puller_line_destroy(&self->lines[slot]);
        self->lines[slot] = wl_puller_line_new(id, now);
        wl_puller_line_configure(self->lines[slot], config, now);
    }
    return slot;
}

static void on_configured(void *arg) {
    puller_t *self = arg;
    const wl_config_t *config = self->hub.config;
    wl_mono_ms_t now = wl_mono_now();
    for (uint32_t i = 0; i < self->line_count; i++) {
        const wl_line_t *line = wl_config_line(config, wl_puller_line_id(self->lines[i]));
        wl_puller_line_configure(self->lines[i], wl_line_asked(line) ? line : NULL, now);
    }
    for (uint32_t i = 0; i < config->line_count; i++) {
        const wl_line_t *line = &config->lines[i];
        if (wl_line_asked(line) && puller_owns(self, line->id)) {
            (void)puller_slot(self, line->id, line);
        }
    }
    puller_pump_all(self);
}

static void puller_tell_health_to(puller_t *self, wl_actor_kind_t kind,
                                  const wl_line_item_t *health) {
    for (uint32_t i = 0; i < wl_hub_instances(&self->hub, kind); i++) {
        wl_encoder_t *to = wl_hub_to(&self->hub, kind, i, WL_MSG_LINE, 0);
        if (!wl_encoder_begun(to)) {
            wl_line_head_t head = {0};
            wl_line_begin(to, &head);
        }
        wl_line_add(to, health);
    }
}

static void puller_tell_health(puller_t *self, bool changed_only) {
    static const wl_actor_kind_t kinds[] = {WL_ACTOR_FRONTEND, WL_ACTOR_CACHE,
                                            WL_ACTOR_QUERY,    WL_ACTOR_DISPATCHER,
                                            WL_ACTOR_CONSOLE,  WL_ACTOR_PRESENCE};
    wl_mono_ms_t now = wl_mono_now();
    for (uint32_t i = 0; i < self->line_count; i++) {
        bool changed = wl_puller_line_judge(self->lines[i], now);
        if (!changed && (changed_only || !puller_owns(self, wl_puller_line_id(self->lines[i])))) {
            continue;
        }
        wl_line_item_t health;
        wl_puller_line_health(self->lines[i], &health);
        for (size_t k = 0; k < WL_COUNT_OF(kinds); k++) {
            puller_tell_health_to(self, kinds[k], &health);
        }
        if (changed) {
            wl_log(WL_LOG_WARN, self->hub.name, health.sick ? "line_sick" : "line_well",
                   "line %s %s", health.line, health.sick ? health.reason : "answers again");
        }
    }
}

/* ---- messages -------------------------------------------------------------------------------- */

static wl_line_pull_t pull_from(const wl_pull_head_t *head, const wl_pull_item_t *item,
                                wl_mono_ms_t now) {
    wl_line_pull_t pull = {.uid = item->uid,
                           .seq = item->seq,
                           .notified_at = item->notified_at,
                           .arrived_at = now.ms,
                           .dispatcher = head->dispatcher,
                           .epoch = head->epoch,
                           .attempt = item->attempt,
                           .interactive = head->interactive};
    for (uint32_t i = 0; i < item->hints.count && i < WL_HINTS_MAX; i++) {
        pull.hints[pull.hint_count++] = item->hints.at[i];
    }
    return pull;
}

static void puller_take_pulls(puller_t *self, const wl_msg_t *msg) {
    const wl_pull_head_t *head = &msg->head.pull;
    if (head->dispatcher >= wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    const wl_line_t *config =
        self->hub.config == NULL ? NULL : wl_config_line(self->hub.config, head->line);
    config = wl_line_asked(config) ? config : NULL;
    uint32_t slot = config == NULL ? LINES_MAX : puller_slot(self, head->line, config);
    hand_back_t back = {.line = head->line,
                        .pause_ms = PAUSE_UNREADY_MS,
                        .outcome = WL_PULL_RETRY,
                        .reason = "the puller is not ready for this line",
                        .held = true,
                        .number = ++self->hand_backs};
    if (self->hub.config != NULL && config == NULL) {
        back.outcome = WL_PULL_PERMANENT;
        back.reason = "line is not configured";
        back.held = false;
    }
    wl_mono_ms_t now = wl_mono_now();
    for (uint32_t i = 0; i < msg->count; i++) {
        wl_line_pull_t pull = pull_from(head, &msg->items.pull[i], now);
        if (slot == LINES_MAX || pull.uid == 0 ||
            wl_puller_line_push(self->lines[slot], &pull) != WL_OK) {
            puller_hand_back(self, &back, &pull);
        }
    }
}

static void on_message(void *arg, const wl_msg_t *msg) {
    puller_t *self = arg;
    switch ((int)msg->id) {
    case WL_MSG_PULL: puller_take_pulls(self, msg); break;
    case WL_MSG_LINE: break;
    default: WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

static void on_turn_end(void *arg) {
    puller_pump_all(arg);
}

static void on_tick(void *arg) {
    puller_t *self = arg;
    puller_pump_all(self);
    int64_t now = wl_mono_now().ms;
    bool due = now - self->health_at >= HEALTH_MS;
    puller_tell_health(self, !due);
    if (due) {
        self->health_at = now;
        WL_GAUGE(&self->hub.counters, pull_in_flight, wl_caller_in_flight(self->caller));
    }
}

static bool puller_hurried(void *arg) {
    const puller_t *self = arg;
    bool hurried = wl_caller_in_flight(self->caller) > 0;
    for (uint32_t i = 0; i < self->line_count; i++) {
        hurried = hurried || wl_puller_line_waiting(self->lines[i]) > 0;
    }
    return hurried;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Calls under way are worth waiting for; what waits here is still in the durable queue. */
static bool puller_drained(void *arg) {
    puller_t *self = arg;
    return wl_caller_in_flight(self->caller) == 0;
}

static wl_err_t puller_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    puller_t *self = arg;
    wl_hub_handlers_t handlers = {.take = on_message,
                                  .flush = on_turn_end,
                                  .tick = on_tick,
                                  .hurried = puller_hurried,
                                  .configured = on_configured,
                                  .drained = puller_drained,
                                  .tick_ms = TICK_MS};
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    WL_ASSERT(wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER) <= DISPATCHERS_MAX);
    const char *secrets_dir = self->hub.settings->server_secrets_dir;
    self->answer = wl_puller_answer_new();
    self->caller =
        wl_caller_new(self->hub.loop, secrets_dir[0] == '\0' ? NULL : secrets_dir, on_answer, self);
    return WL_OK;
}

static void puller_close(void *arg) {
    puller_t *self = arg;
    if (self->caller != NULL) {
        wl_caller_destroy(&self->caller);
    }
    call_t *call = NULL;
    call_t *next = NULL;
    HASH_ITER(hh, self->calls, call, next) {
        HASH_DEL(self->calls, call);
        wl_free(call);
    }
    for (uint32_t i = 0; i < self->line_count; i++) {
        wl_puller_line_destroy(&self->lines[i]);
    }
    wl_puller_answer_destroy(&self->answer);
    wl_hub_close(&self->hub);
}

void wl_puller_run(zsock_t *pipe, void *boot) {
    puller_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, puller_open, puller_close, self);
    wl_free(self);
}
