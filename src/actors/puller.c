#include "actors/puller.h"

#include "actors/line_flow.h"
#include "actors/puller_state.h"
#include "actors/store_options.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"

#include <string.h>

enum {
    TICK_MS = 5,            /* finest step of batch_wait_ms, hedge_ms and of rates */
    HEALTH_MS = 1000,       /* how often health is told without a change */
    PAUSE_UNREADY_MS = 200, /* before the first configuration, or beyond the bound of a line */
};

/* Somebody waits before bulk; within each, lines of high priority first. */
static const uint32_t class_weights[WL_PULLER_CLASSES] = {32, 16, 8, 4, 2, 1};

/* ---- lines ----------------------------------------------------------------------------------- */

static bool puller_owns(const wl_puller_t *self, const char *line) {
    return wl_line_owner(line, wl_hub_instances(&self->hub, WL_ACTOR_PULLER)) == self->hub.instance;
}

static bool line_idle(const wl_puller_line_t *line) {
    return wl_puller_line_config(line) == NULL && wl_puller_line_in_flight(line) == 0 &&
           wl_puller_line_waiting(line) == 0;
}

/* The partitions that this process serves, a bit each. Before a keeper has spoken, and while none
 * is ours, there is nobody to share with: all, and the first. */
static uint32_t puller_held(const wl_puller_t *self, wl_mono_ms_t now) {
    uint32_t partitions = wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER);
    uint32_t held = 0;
    for (uint32_t p = 0; p < partitions; p++) {
        held |= self->lease_until[p] > now.ms ? 1u << p : 0;
    }
    if (!self->leased) {
        return (uint32_t)((UINT64_C(1) << partitions) - 1);
    }
    return held == 0 ? 1 : held;
}

static void puller_share(wl_puller_t *self) {
    wl_mono_ms_t now = wl_mono_now();
    uint32_t held = puller_held(self, now);
    for (uint32_t i = 0; i < self->line_count; i++) {
        wl_puller_limits_share(wl_puller_line_limits(self->lines[i]), held,
                               wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER), now,
                               wl_wall_now());
    }
}

uint32_t wl_puller_slot(wl_puller_t *self, const char *id, const wl_line_t *config) {
    uint32_t idle = WL_PULLER_LINES_MAX;
    for (uint32_t i = 0; i < self->line_count; i++) {
        if (strcmp(wl_puller_line_id(self->lines[i]), id) == 0) {
            return i;
        }
        idle = line_idle(self->lines[i]) ? i : idle;
    }
    uint32_t slot = self->line_count < WL_PULLER_LINES_MAX ? self->line_count++ : idle;
    if (slot < WL_PULLER_LINES_MAX) {
        wl_mono_ms_t now = wl_mono_now();
        wl_puller_line_destroy(&self->lines[slot]);
        self->lines[slot] =
            wl_puller_line_new(id, self->hub.settings->server_data_dir, self->shared, now);
        puller_share(self);
        wl_puller_line_configure(self->lines[slot], config, now, wl_wall_now());
    }
    return slot;
}

static void on_configured(void *arg) {
    wl_puller_t *self = arg;
    const wl_config_t *config = self->hub.config;
    wl_mono_ms_t now = wl_mono_now();
    for (uint32_t i = 0; i < self->line_count; i++) {
        const wl_line_t *line = wl_config_line(config, wl_puller_line_id(self->lines[i]));
        wl_puller_line_configure(self->lines[i], wl_line_asked(line) ? line : NULL, now,
                                 wl_wall_now());
    }
    for (uint32_t i = 0; i < config->line_count; i++) {
        const wl_line_t *line = &config->lines[i];
        if (wl_line_asked(line) && puller_owns(self, line->id)) {
            (void)wl_puller_slot(self, line->id, line);
        }
    }
    wl_puller_pump(self);
}

static void puller_tell_health_to(wl_puller_t *self, wl_actor_kind_t kind,
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

void wl_puller_tell_health(wl_puller_t *self, bool changed_only) {
    static const wl_actor_kind_t kinds[] = {
        WL_ACTOR_FRONTEND, WL_ACTOR_CACHE,    WL_ACTOR_QUERY,   WL_ACTOR_DISPATCHER,
        WL_ACTOR_CONSOLE,  WL_ACTOR_PRESENCE, WL_ACTOR_DETAILS, WL_ACTOR_CONFIG};
    wl_mono_ms_t now = wl_mono_now();
    for (uint32_t i = 0; i < self->line_count; i++) {
        bool changed = wl_puller_line_judge(self->lines[i], now);
        if (!changed && (changed_only || !puller_owns(self, wl_puller_line_id(self->lines[i])))) {
            continue;
        }
        wl_line_item_t health;
        wl_puller_line_health(self->lines[i], wl_wall_now(), &health);
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

static void puller_take_pulls(wl_puller_t *self, const wl_msg_t *msg) {
    const wl_pull_head_t *head = &msg->head.pull;
    if (head->dispatcher >= wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    const wl_line_t *config =
        self->hub.config == NULL ? NULL : wl_config_line(self->hub.config, head->line);
    config = wl_line_asked(config) ? config : NULL;
    uint32_t slot = config == NULL ? WL_PULLER_LINES_MAX : wl_puller_slot(self, head->line, config);
    wl_hand_back_t back = {.line = head->line,
                           .pause_ms = PAUSE_UNREADY_MS,
                           .outcome = WL_PULL_RETRY,
                           .reason = "the puller is not ready for this line",
                           .held = true,
                           .number = ++self->heads};
    if (self->hub.config != NULL && config == NULL) {
        back.outcome = WL_PULL_PERMANENT;
        back.reason = "line is not configured";
        back.held = false;
    }
    wl_mono_ms_t now = wl_mono_now();
    for (uint32_t i = 0; i < msg->count; i++) {
        wl_line_pull_t pull = pull_from(head, &msg->items.pull[i], now);
        if (slot == WL_PULLER_LINES_MAX || pull.uid == 0 ||
            wl_puller_line_push(self->lines[slot], &pull) != WL_OK) {
            wl_puller_hand_back(self, &back, &pull);
        }
    }
}

static void puller_take_leases(wl_puller_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_lease_item_t *lease = &msg->items.lease[i];
        if (lease->partition >= wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER)) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        self->lease_until[lease->partition] = lease->until;
        self->leased = true;
    }
    puller_share(self);
}

static void on_message(void *arg, const wl_msg_t *msg) {
    wl_puller_t *self = arg;
    switch ((int)msg->id) {
    case WL_MSG_PULL: puller_take_pulls(self, msg); break;
    case WL_MSG_LIVE: wl_puller_take_live(self, msg); break;
    case WL_MSG_LEASE: puller_take_leases(self, msg); break;
    case WL_MSG_RESERVED: wl_puller_take_reserved(self, msg); break;
    case WL_MSG_LINE: break;
    default: WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

static void on_turn_end(void *arg) {
    wl_puller_pump(arg);
    wl_puller_reserve(arg);
}

/* Once a second. */
static void puller_look_around(wl_puller_t *self) {
    wl_mono_ms_t now = wl_mono_now();
    puller_share(self);
    for (uint32_t i = 0; i < self->line_count; i++) {
        wl_asks_t *asks = wl_puller_line_asks(self->lines[i]);
        wl_asks_sweep(asks, now);
        WL_COUNT(&self->hub.counters, rpc_late, wl_asks_expired(asks));
        if (wl_puller_line_crowds(self->lines[i])) {
            wl_log(WL_LOG_WARN, self->hub.name, "concurrency_small",
                   "line %s: its concurrency is below queue.partitions, and has no call for those "
                   "of this writer; it makes one at once nevertheless",
                   wl_puller_line_id(self->lines[i]));
        }
        if (!self->hub.draining) {
            wl_puller_line_revive(self->lines[i], now, wl_wall_now());
        }
    }
    WL_GAUGE(&self->hub.counters, pull_in_flight, wl_caller_in_flight(self->caller));
}

static void on_tick(void *arg) {
    wl_puller_t *self = arg;
    int64_t now = wl_mono_now().ms;
    bool due = now - self->health_at >= HEALTH_MS;
    if (due) {
        self->health_at = now;
        puller_look_around(self);
    }
    wl_puller_hedge(self);
    wl_puller_pump(self);
    wl_puller_tell_health(self, !due);
}

static bool puller_hurried(void *arg) {
    const wl_puller_t *self = arg;
    bool hurried = wl_caller_in_flight(self->caller) > 0;
    for (uint32_t i = 0; i < self->line_count; i++) {
        hurried = hurried || wl_puller_line_waiting(self->lines[i]) > 0;
    }
    return hurried;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Calls under way are worth waiting for; what waits here is still in the durable queue. */
static bool puller_drained(void *arg) {
    wl_puller_t *self = arg;
    return wl_caller_in_flight(self->caller) == 0;
}

/* The keeper is stopped before us: what is given back must be there by then. */
static void on_stopping(void *arg) {
    wl_puller_close_quotas(arg);
}

static wl_err_t puller_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    wl_puller_t *self = arg;
    wl_hub_handlers_t handlers = {.take = on_message,
                                  .flush = on_turn_end,
                                  .tick = on_tick,
                                  .hurried = puller_hurried,
                                  .configured = on_configured,
                                  .stopping = on_stopping,
                                  .drained = puller_drained,
                                  .drain = on_stopping,
                                  .tick_ms = TICK_MS};
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    WL_ASSERT(wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER) <= WL_PULLER_PARTITIONS_MAX);
    const char *secrets_dir = self->hub.settings->server_secrets_dir;
    self->shared = wl_store_shared(self->hub.settings);
    self->answer = wl_puller_answer_new();
    self->caller = wl_caller_new(self->hub.loop, secrets_dir[0] == '\0' ? NULL : secrets_dir,
                                 wl_puller_take_answer, self);
    wl_turns_init(&self->turns, class_weights, WL_PULLER_CLASSES);
    return WL_OK;
}

static void puller_close(void *arg) {
    wl_puller_t *self = arg;
    if (self->caller != NULL) {
        wl_caller_destroy(&self->caller);
    }
    wl_puller_drop_flights(self);
    for (uint32_t i = 0; i < self->line_count; i++) {
        wl_puller_line_destroy(&self->lines[i]);
    }
    wl_puller_answer_destroy(&self->answer);
    wl_hub_close(&self->hub);
}

void wl_puller_run(zsock_t *pipe, void *boot) {
    wl_puller_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, puller_open, puller_close, self);
    wl_free(self);
}
