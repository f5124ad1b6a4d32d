/* hub.h: what every actor has in common: a mailbox, ways to the others, a loop, counters, the
 * runtime configuration and the health of lines. An actor embeds one wl_hub_t, names its handlers
 * and keeps to its own work. Belongs to the actor's thread.
 *
 * One turn of the loop: take up to 64 messages from the mailbox, hand each to `take`, call `flush`
 * once, then send what was built for the others. That is how whole batches travel: a busy actor
 * wakes rarely and passes on many items in one message. */
#ifndef WL_ACTORS_HUB_H
#define WL_ACTORS_HUB_H

#include "base/actor.h"
#include "base/counters.h"
#include "base/settings.h"
#include "domain/config.h"
#include "domain/key_ring.h"
#include "domain/rollout.h"
#include "proto/messages.h"
#include "topology.h"

/* Told to all actors before the first one is stopped: they drain one after the other, and share
 * one server.drain_ms, which begins now. */
#define WL_WORD_STOPPING "STOPPING"

/* What main gives to every actor. */
typedef struct {
    const wl_settings_t *settings; /* read-only for the life of the process */
    wl_actor_kind_t kind;
    uint32_t instance;
} wl_actor_options_t;

/* Each may be NULL except take. `self` is the actor's own state. */
typedef struct {
    void (*take)(void *self, const wl_msg_t *msg); /* one message, valid during the call */
    void (*flush)(void *self);                     /* the mailbox is drained for this turn */
    void (*tick)(void *self);                      /* every tick_ms */
    void (*configured)(void *self);                /* hub->config has just been replaced */
    void (*lines_changed)(void *self);             /* hub->sick may have changed */
    void (*stopping)(void *self);                  /* the end of the process has begun */
    void (*told)(void *self, const char *word);    /* a word on the pipe other than $TERM */
    bool (*drained)(void *self);                   /* after $TERM: true = may end now */
    void (*drain)(void *self);                     /* $TERM arrived: take no new work */
    bool (*hurried)(void *self);                   /* NULL = always: must the next tick be soon? */
    uint32_t tick_ms;                              /* 0 = no ticks; an unhurried actor gets one a
                                                      second, so that idle threads cost nothing */
} wl_hub_handlers_t;

typedef struct wl_outbox wl_outbox_t;

typedef struct {
    char name[24]; /* "cache.0" */
    wl_actor_kind_t kind;
    uint32_t instance;
    const wl_settings_t *settings;         /* borrowed */
    uint32_t instances[WL_ACTOR_KINDS];    /* how many actors of each kind there are */
    uint8_t shard_of_slot[WL_SLOTS];       /* shard.map, or a newer one (hub_map.h) */
    uint64_t map_version;                  /* 0 = shard.map */
    zsock_t *pipe;                         /* borrowed */
    zsock_t *inbox;                        /* owned, NULL until open */
    zsock_t *far_inbox;                    /* owned, NULL unless other hosts may send to us */
    zloop_t *loop;                         /* owned */
    wl_decoder_t *decoder;                 /* owned */
    wl_outbox_t *outboxes[WL_ACTOR_KINDS]; /* owned, opened at first use */
    wl_counters_t counters;
    wl_key_ring_t *keys;               /* owned; NULL without CURVE: everybody may do everything */
    wl_config_t *config;               /* owned, NULL until the first CONFIG message */
    wl_config_t *candidate;            /* owned: of the rollout under way, NULL = none */
    wl_rollout_t rollout;              /* id 0 = none */
    uint64_t config_seq;               /* of the newest change, 0 = documents of the directory */
    char config_source[17];            /* where it came from: "store", "snapshot" .. */
    bool sick[WL_LINES_MAX];           /* by index into config->lines, from LINE messages */
    bool candidate_sick[WL_LINES_MAX]; /* by index into candidate->lines */
    char sick_lines[WL_LINES_MAX][WL_LINE_ID_MAX + 1]; /* names of sick lines, survives a reload */
    uint32_t sick_count;
    wl_hub_handlers_t handlers;
    void *self;     /* borrowed: the actor */
    int tick_timer; /* of the loop */
    bool tick_soon; /* it runs every tick_ms, not every second */
    bool draining;
    int64_t drain_until; /* monotonic ms, 0 = the end has not begun */
} wl_hub_t;

/* Opens the mailbox and the loop. Call first in an actor's open. */
WL_MUST_USE wl_err_t wl_hub_open(wl_hub_t *self, zsock_t *pipe, const wl_boot_t *boot,
                                 const wl_hub_handlers_t *handlers, void *actor, wl_fault_t *fault);
void wl_hub_close(wl_hub_t *self); /* accepts a half-opened hub */

/* Adds a socket of the actor's own; `ready` is called while it can be read and must take at most a
 * batch. Before wl_hub_run only. */
void wl_hub_watch(wl_hub_t *self, zsock_t *socket, zloop_reader_fn *ready, void *arg);

/* Works until $TERM and then until drained() or server.drain_ms passed. */
void wl_hub_run(wl_hub_t *self);

/* The body shared by all actors: boot->status is set from `open`, the pipe is signalled, then the
 * hub runs and `close` frees everything, also after a failed open. */
void wl_hub_live(wl_hub_t *self, zsock_t *pipe, wl_boot_t *boot,
                 wl_err_t (*open)(void *actor, zsock_t *pipe, wl_boot_t *boot),
                 void (*close)(void *actor), void *actor);

/* What a request is answered from: the candidate's configuration when this is the rollout under
 * way, as the frontend has decided for its user, the base otherwise; NULL before the first CONFIG.
 * Lines have other indexes in each, so what outlives a message is kept by their names. */
const wl_config_t *wl_hub_config(const wl_hub_t *self, uint64_t rollout);
/* The health of its lines, by their index in it. */
const bool *wl_hub_sick(const wl_hub_t *self, uint64_t rollout);
/* 0 for the base, 1 for the candidate: for tables that have a place for each. */
uint32_t wl_hub_variant(const wl_hub_t *self, uint64_t rollout);
/* A line of the base, or one that only the candidate has; NULL = none. */
const wl_line_t *wl_hub_line(const wl_hub_t *self, const char *line_id);

/* The encoder for `kind`.`instance`, ready to take one more item of message `id`. If it holds
 * another message, or the same with another head (head_key differs), or is full, that one is sent
 * first. When the returned encoder has not begun, the caller begins it:
 *     wl_encoder_t *to = wl_hub_to(hub, WL_ACTOR_CACHE, i, WL_MSG_FILL, head.shard);
 *     if (!wl_encoder_begun(to)) { wl_fill_begin(to, &head); }
 *     wl_fill_add(to, &item);
 * Messages to one instance keep their order. */
wl_encoder_t *wl_hub_to(wl_hub_t *self, wl_actor_kind_t kind, uint32_t instance, wl_msg_id_t id,
                        uint64_t head_key);
/* How many instances of a kind there are, here or on other hosts. */
uint32_t wl_hub_instances(const wl_hub_t *self, wl_actor_kind_t kind);
/* Which shard owns the user by shard.map, and which fetcher reads from a shard; `turn` goes round
 * its readers. */
uint32_t wl_hub_shard(const wl_hub_t *self, uint64_t uid);
uint32_t wl_hub_fetcher(const wl_hub_t *self, uint32_t shard, uint64_t turn);
/* For the head field sent_at of messages with deadlines, after wl_hub_to(): monotonic clocks of
 * two hosts have nothing in common, so the receiving hub moves deadlines to its own. 0: the same
 * host. */
int64_t wl_hub_sent_at(const wl_hub_t *self, wl_actor_kind_t kind, uint32_t instance);
/* Moves the deadlines of a message that says when it was sent to our clock. The hub has done so for
 * what came into the mailbox; to be called for what came in by a socket of the actor's own. */
void wl_hub_settle_deadlines(wl_msg_t *msg);
/* Sends what was built. A message whose mailbox is full is dropped and counted (msg_full): every
 * conversation survives that by its own deadline or redelivery. Also done after each turn. */
void wl_hub_flush(wl_hub_t *self);
/* How many messages to actors of this kind were dropped so far, other than READ: for those whose
 * receivers have to be told that they have missed something. */
uint64_t wl_hub_lost(const wl_hub_t *self, wl_actor_kind_t kind);

#endif
