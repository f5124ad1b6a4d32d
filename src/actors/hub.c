#include "actors/hub.h"

#include "actors/hub_config.h"
#include "actors/hub_map.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/slot.h"
#include "domain/shard_map.h"
#include "proto/channel.h"

#include <string.h>

enum {
    TURN_MESSAGES = 64,  /* messages per wake-up, so that $TERM waits for one batch at most */
    STATS_MS = 1000,     /* how often counters are copied to the console */
    IDLE_TICK_MS = 1000, /* ticks of an actor that is not hurried; each wake-up costs about 20 us */
    BUDGET_MS_MAX = 60000, /* of a request, as settings.def allows; another host cannot ask more */
    DRAIN_STEP_MS = 10,    /* how often a draining actor is asked whether it has finished */
};

/* All instances of one kind of actor that we send to. */
struct wl_outbox {
    uint32_t count;
    uint64_t lost; /* messages that full mailboxes dropped, requests of users aside */
    struct {
        zsock_t *socket;       /* owned */
        bool far;              /* it runs on another host */
        wl_encoder_t *encoder; /* owned, the message being built */
        wl_msg_id_t id;
        uint64_t head_key;
    } to[];
};

uint32_t wl_hub_instances(const wl_hub_t *self, wl_actor_kind_t kind) {
    return self->instances[kind];
}

uint32_t wl_hub_shard(const wl_hub_t *self, uint64_t uid) {
    return self->shard_of_slot[wl_slot_of(uid)];
}

uint32_t wl_hub_fetcher(const wl_hub_t *self, uint32_t shard, uint64_t turn) {
    uint32_t readers = (uint32_t)self->settings->shard_readers;
    return shard * readers + (uint32_t)(turn % readers);
}

int64_t wl_hub_sent_at(const wl_hub_t *self, wl_actor_kind_t kind, uint32_t instance) {
    const wl_outbox_t *outbox = self->outboxes[kind];
    WL_ASSERT(outbox != NULL && instance < outbox->count);
    return outbox->to[instance].far ? wl_mono_now().ms : 0;
}

static wl_outbox_t *outbox_open(wl_hub_t *self, wl_actor_kind_t kind) {
    uint32_t count = wl_hub_instances(self, kind);
    wl_outbox_t *outbox = wl_alloc_zero(1, sizeof *outbox + count * sizeof outbox->to[0]);
    outbox->count = count;
    for (uint32_t i = 0; i < count; i++) {
        outbox->to[i].far = !wl_topology_here(self->settings, kind, i);
        wl_err_t err = outbox->to[i].far ? wl_topology_remote(self->settings, kind, i,
                                                              &outbox->to[i].socket, NULL)
                                         : wl_topology_outbox(kind, i, &outbox->to[i].socket);
        WL_ASSERT(err == WL_OK); /* endpoints were checked at the start */
        outbox->to[i].encoder = wl_encoder_new();
    }
    return outbox;
}

/* Who sends to whom, as the routes of messages.def say. A way to another host takes a moment and
 * nothing waits for it, so those are opened at the start; all others when they are first used. */
#define TO(NAME) (1u << WL_ACTOR_##NAME)
static const uint32_t sends_to[WL_ACTOR_KINDS] = {
    [WL_ACTOR_FRONTEND] = TO(PRESENCE) | TO(DETAILS) | TO(FRONTEND) | TO(DISPATCHER),
    [WL_ACTOR_PRESENCE] = TO(CACHE) | TO(FRONTEND) | TO(FETCHER) | TO(SHARD) | TO(DISPATCHER) |
                          TO(PULLER) | TO(QUERY) | TO(DETAILS),
    [WL_ACTOR_CACHE] = TO(QUERY) | TO(DETAILS) | TO(FRONTEND) | TO(DISPATCHER) | TO(PRESENCE),
    [WL_ACTOR_QUERY] =
        TO(FETCHER) | TO(CACHE) | TO(FRONTEND) | TO(DISPATCHER) | TO(PRESENCE) | TO(DETAILS),
    [WL_ACTOR_DETAILS] = TO(PRESENCE) | TO(FRONTEND) | TO(DISPATCHER),
    [WL_ACTOR_FETCHER] = TO(QUERY) | TO(PRESENCE) | TO(PULLER) | TO(SHARD) | TO(DISPATCHER),
    [WL_ACTOR_SHARD] = TO(PRESENCE),
    [WL_ACTOR_PULLER] = TO(SHARD) | TO(DISPATCHER) | TO(FRONTEND) | TO(CACHE) | TO(QUERY) |
                        TO(PRESENCE) | TO(DETAILS),
    [WL_ACTOR_DISPATCHER] = TO(PULLER) | TO(PRESENCE) | TO(SHARD) | TO(INTAKE) | TO(FETCHER),
    [WL_ACTOR_INTAKE] = TO(DISPATCHER),
};
#undef TO
static_assert(WL_ACTOR_KINDS <= 32, "a bit for each kind");

static void hub_open_far(wl_hub_t *self) {
    for (wl_actor_kind_t kind = 0; kind < WL_ACTOR_KINDS; kind++) {
        bool far = false;
        for (uint32_t i = 0; i < self->instances[kind]; i++) {
            far = far || !wl_topology_here(self->settings, kind, i);
        }
        if (far && (sends_to[self->kind] & (1u << kind)) != 0) {
            self->outboxes[kind] = outbox_open(self, kind);
        }
    }
}

static void outbox_destroy(wl_outbox_t **pointer) {
    wl_outbox_t *outbox = *pointer;
    if (outbox == NULL) {
        return;
    }
    for (uint32_t i = 0; i < outbox->count; i++) {
        zsock_destroy(&outbox->to[i].socket);
        wl_encoder_destroy(&outbox->to[i].encoder);
    }
    wl_free(outbox);
    *pointer = NULL;
}

static void outbox_send(wl_hub_t *self, wl_outbox_t *outbox, uint32_t instance) {
    wl_encoder_t *encoder = outbox->to[instance].encoder;
    if (wl_encoder_begun(encoder) &&
        wl_channel_send(outbox->to[instance].socket, encoder) != WL_OK) {
        WL_COUNT(&self->counters, msg_full, 1);
        outbox->lost += outbox->to[instance].id != WL_MSG_READ;
        wl_encoder_reset(encoder);
    }
}

uint64_t wl_hub_lost(const wl_hub_t *self, wl_actor_kind_t kind) {
    return self->outboxes[kind] == NULL ? 0 : self->outboxes[kind]->lost;
}

wl_encoder_t *wl_hub_to(wl_hub_t *self, wl_actor_kind_t kind, uint32_t instance, wl_msg_id_t id,
                        uint64_t head_key) {
    if (self->outboxes[kind] == NULL) {
        self->outboxes[kind] = outbox_open(self, kind);
    }
    wl_outbox_t *outbox = self->outboxes[kind];
    WL_ASSERT(instance < outbox->count);
    wl_encoder_t *encoder = outbox->to[instance].encoder;
    if (wl_encoder_begun(encoder) &&
        (outbox->to[instance].id != id || outbox->to[instance].head_key != head_key ||
         wl_encoder_full(encoder))) {
        outbox_send(self, outbox, instance);
    }
    outbox->to[instance].id = id;
    outbox->to[instance].head_key = head_key;
    return encoder;
}

void wl_hub_flush(wl_hub_t *self) {
    for (uint32_t kind = 0; kind < WL_ACTOR_KINDS; kind++) {
        wl_outbox_t *outbox = self->outboxes[kind];
        for (uint32_t i = 0; outbox != NULL && i < outbox->count; i++) {
            outbox_send(self, outbox, i);
        }
    }
}

/* ---- what the hub takes itself ---------------------------------------------------------- */

/* What is left of a deadline by the sender's clock, by ours. Its way here is not counted: whoever
 * waits knows its own deadline. */
static int64_t deadline_here(int64_t deadline_at, int64_t sent_at, int64_t now) {
    int64_t left = 0;
    if (__builtin_sub_overflow(deadline_at, sent_at, &left) || left < 0) {
        return now - 1;
    }
    return now + (left < BUDGET_MS_MAX ? left : BUDGET_MS_MAX);
}

/* NAME, name: messages whose head says when they were sent and whose items have deadlines. */
#define TIMED(T)            \
    T(READ, read)           \
    T(GATHER, gather)       \
    T(STATEMENT, statement) \
    T(FETCH, fetch)         \
    T(LIVE, live)

void wl_hub_settle_deadlines(wl_msg_t *msg) {
#define SETTLE(NAME, name)                                         \
    if (msg->id == WL_MSG_##NAME && msg->head.name.sent_at != 0) { \
        int64_t now = wl_mono_now().ms;                            \
        for (uint32_t i = 0; i < msg->count; i++) {                \
            int64_t *at = &msg->items.name[i].deadline_at;         \
            *at = deadline_here(*at, msg->head.name.sent_at, now); \
        }                                                          \
        msg->head.name.sent_at = 0;                                \
    }
    TIMED(SETTLE)
#undef SETTLE
}

static void hub_take_keys(wl_hub_t *self, const wl_msg_t *msg) {
    if (self->keys == NULL || msg->head.keys.revision == 0) {
        WL_COUNT(&self->counters, msg_unexpected, 1);
        return;
    }
    wl_key_ring_begin(self->keys, msg->head.keys.revision, msg->head.keys.total);
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_keys_item_t *item = &msg->items.keys[i];
        if (wl_key_ring_add(self->keys, item->key, item->scope) != WL_OK) {
            WL_COUNT(&self->counters, msg_malformed, 1);
        }
    }
}

/* What only actors of this process may say, as every process has its own guard, configuration and
 * keeper: not from other hosts. */
static bool message_near(wl_msg_id_t id) {
    return id == WL_MSG_KEYS || id == WL_MSG_SUSPECT || id == WL_MSG_SEEN || id == WL_MSG_CONFIG ||
           id == WL_MSG_LEASE || id == WL_MSG_STATS || id == WL_MSG_TALLY || id == WL_MSG_RESERVE ||
           id == WL_MSG_RESERVED;
}

static void hub_take(wl_hub_t *self, const wl_msg_t *msg) {
    if (msg->id == WL_MSG_CONFIG) {
        wl_hub_take_config(self, msg);
    } else if (msg->id == WL_MSG_KEYS) {
        hub_take_keys(self, msg);
    } else if (msg->id == WL_MSG_MAP) {
        wl_hub_take_map(self, msg);
    } else if (msg->id == WL_MSG_LINE) {
        wl_hub_take_lines(self, msg);
        self->handlers.take(self->self, msg);
    } else {
        self->handlers.take(self->self, msg);
    }
}

/* ---- the loop ------------------------------------------------------------------------------- */

static int on_tick(zloop_t *loop, int timer, void *arg);

static void tick_arm(wl_hub_t *self, bool soon) {
    self->tick_soon = soon;
    self->tick_timer =
        zloop_timer(self->loop, soon ? self->handlers.tick_ms : IDLE_TICK_MS, 0, on_tick, self);
}

/* Moves between soon and once a second. */
static void tick_adjust(wl_hub_t *self) {
    if (self->handlers.tick != NULL && self->handlers.hurried != NULL) {
        bool soon = self->handlers.hurried(self->self);
        if (soon != self->tick_soon) {
            (void)zloop_timer_end(self->loop, self->tick_timer);
            tick_arm(self, soon);
        }
    }
}

static void hub_turn_end(wl_hub_t *self) {
    if (self->handlers.flush != NULL) {
        self->handlers.flush(self->self);
    }
    wl_hub_flush(self);
    tick_adjust(self);
}

/* Returns how many messages were taken. */
static uint32_t hub_drain(wl_hub_t *self, zsock_t *inbox) {
    uint32_t taken = 0;
    for (; taken < TURN_MESSAGES; taken++) {
        wl_msg_t msg;
        wl_err_t err = wl_channel_recv(inbox, self->decoder, &msg);
        if (err == WL_ERR_EMPTY) {
            break;
        }
        if (err == WL_OK && inbox == self->far_inbox && message_near(msg.id)) {
            WL_COUNT(&self->counters, msg_unexpected, 1);
        } else if (err == WL_OK) {
            wl_hub_settle_deadlines(&msg);
            hub_take(self, &msg);
        } else {
            WL_COUNT(&self->counters, msg_malformed, 1);
        }
    }
    hub_turn_end(self);
    return taken;
}

static int on_inbox(zloop_t *loop, zsock_t *inbox, void *arg) {
    (void)loop;
    (void)hub_drain(arg, inbox);
    return 0;
}

static int on_drain_step(zloop_t *loop, int timer, void *arg) {
    (void)loop;
    (void)timer;
    wl_hub_t *self = arg;
    bool drained = self->handlers.drained == NULL || self->handlers.drained(self->self);
    bool late = wl_mono_now().ms >= self->drain_until;
    return drained || late ? -1 : 0;
}

/* The first word of the end starts the clock. */
static void hub_end_by(wl_hub_t *self) {
    if (self->drain_until == 0) {
        self->drain_until = wl_mono_now().ms + (int64_t)self->settings->server_drain_ms;
    }
}

static int on_pipe(zloop_t *loop, zsock_t *pipe, void *arg) {
    wl_hub_t *self = arg;
    char *word = zstr_recv(pipe);
    if (word == NULL || strcmp(word, "$TERM") == 0) {
        self->draining = true;
        hub_end_by(self);
        while (hub_drain(self, self->inbox) == TURN_MESSAGES) {
        }
        while (self->far_inbox != NULL && hub_drain(self, self->far_inbox) == TURN_MESSAGES) {
        }
        if (self->handlers.drain != NULL) {
            self->handlers.drain(self->self);
        }
        hub_turn_end(self);
        (void)zloop_timer(loop, DRAIN_STEP_MS, 0, on_drain_step, self);
    } else if (strcmp(word, WL_WORD_STOPPING) == 0) {
        hub_end_by(self);
        if (self->handlers.stopping != NULL) {
            self->handlers.stopping(self->self);
            hub_turn_end(self);
        }
    } else if (self->handlers.told != NULL) {
        self->handlers.told(self->self, word);
        hub_turn_end(self);
    }
    zstr_free(&word);
    return self->draining && self->handlers.drained == NULL ? -1 : 0;
}

static int on_tick(zloop_t *loop, int timer, void *arg) {
    (void)loop;
    (void)timer;
    wl_hub_t *self = arg;
    self->handlers.tick(self->self);
    hub_turn_end(self);
    return 0;
}

static int on_stats(zloop_t *loop, int timer, void *arg) {
    (void)loop;
    (void)timer;
    wl_hub_t *self = arg;
    if (self->kind != WL_ACTOR_CONSOLE) {
        wl_stats_head_t head = {.actor = (uint32_t)self->kind, .instance = self->instance};
        wl_stats_item_t item = {.counters = {self->counters.at, WL_COUNTERS}};
        wl_encoder_t *to = wl_hub_to(self, WL_ACTOR_CONSOLE, 0, WL_MSG_STATS, 0);
        if (!wl_encoder_begun(to)) {
            wl_stats_begin(to, &head);
        }
        wl_stats_add(to, &item);
        wl_hub_flush(self);
    }
    return 0;
}

/* The mailboxes, and what is asked for per item: counted once. */
static wl_err_t hub_settle(wl_hub_t *self, wl_fault_t *fault) {
    const wl_settings_t *settings = self->settings;
    for (uint32_t kind = 0; kind < WL_ACTOR_KINDS; kind++) {
        self->instances[kind] = wl_topology_instances(settings, (wl_actor_kind_t)kind);
    }
    wl_err_t err = wl_shard_map_parse(settings->shard_map, (uint32_t)settings->shard_instances,
                                      self->shard_of_slot, fault);
    if (err == WL_OK) {
        err = wl_topology_inbox(self->kind, self->instance, &self->inbox, fault);
    }
    if (err == WL_OK) {
        err = wl_topology_listen(settings, self->kind, self->instance, &self->far_inbox, fault);
    }
    return err;
}

wl_err_t wl_hub_open(wl_hub_t *self, zsock_t *pipe, const wl_boot_t *boot,
                     const wl_hub_handlers_t *handlers, void *actor, wl_fault_t *fault) {
    const wl_actor_options_t *options = boot->options;
    memset(self, 0, sizeof *self);
    (void)snprintf(self->name, sizeof self->name, "%s", boot->name);
    self->kind = options->kind;
    self->instance = options->instance;
    self->settings = options->settings;
    self->pipe = pipe;
    self->handlers = *handlers;
    self->self = actor;
    WL_ASSERT(handlers->take != NULL);
    wl_err_t err = hub_settle(self, fault);
    if (err != WL_OK) {
        return err;
    }
    hub_open_far(self);
    self->decoder = wl_decoder_new();
    self->keys = self->settings->curve_key_file[0] == '\0' ? NULL : wl_key_ring_new();
    self->loop = zloop_new();
    (void)zloop_reader(self->loop, pipe, on_pipe, self); /* control first */
    wl_hub_watch(self, self->inbox, on_inbox, self);
    if (self->far_inbox != NULL) {
        wl_hub_watch(self, self->far_inbox, on_inbox, self);
    }
    (void)zloop_timer(self->loop, STATS_MS, 0, on_stats, self);
    if (handlers->tick != NULL) {
        WL_ASSERT(handlers->tick_ms > 0);
        tick_arm(self, true);
    }
    return WL_OK;
}

void wl_hub_close(wl_hub_t *self) {
    zloop_destroy(&self->loop);
    zsock_destroy(&self->inbox);
    zsock_destroy(&self->far_inbox);
    wl_decoder_destroy(&self->decoder);
    for (uint32_t kind = 0; kind < WL_ACTOR_KINDS; kind++) {
        outbox_destroy(&self->outboxes[kind]);
    }
    wl_config_destroy(&self->config);
    wl_config_destroy(&self->candidate);
    wl_key_ring_destroy(&self->keys);
}

void wl_hub_watch(wl_hub_t *self, zsock_t *socket, zloop_reader_fn *ready, void *arg) {
    (void)zloop_reader(self->loop, socket, ready, arg);
    zloop_reader_set_tolerant(self->loop, socket);
}

void wl_hub_run(wl_hub_t *self) {
    (void)zloop_start(self->loop);
    if (!self->draining) { /* only $TERM may end the loop: anything else is our own bug */
        wl_log(WL_LOG_ERROR, self->name, "loop_ended", "the loop ended without $TERM");
        abort();
    }
}

void wl_hub_live(wl_hub_t *self, zsock_t *pipe, wl_boot_t *boot,
                 wl_err_t (*open)(void *actor, zsock_t *pipe, wl_boot_t *boot),
                 void (*close)(void *actor), void *actor) {
    wl_err_t status = open(actor, pipe, boot);
    boot->status = status;
    (void)zsock_signal(pipe, 0); /* boot belongs to main from here on */
    if (status == WL_OK) {
        wl_hub_run(self);
    }
    close(actor);
}
