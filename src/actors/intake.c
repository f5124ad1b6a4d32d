#include "actors/intake.h"

#include "actors/access.h"
#include "actors/change_queue.h"
#include "actors/hub.h"
#include "actors/intake_batch.h"
#include "actors/intake_notes.h"
#include "actors/server_info.h"
#include "actors/suspects.h"
#include "actors/tickets.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "domain/sequence.h"
#include "proto/published.h"

#include <inttypes.h>
#include <string.h>

enum {
    TURN_REQUESTS = 256,  /* of one group commit */
    TICKETS_MAX = 1024,   /* operators' requests under way */
    ADMIN_MS = 5000,      /* longest wait of an operator's request */
    SOURCES_MAX = 10000,  /* publishers whose sequence is followed */
    RETRY_AFTER_MS = 200, /* told with `busy` and `unavailable` */
    TICK_MS = 50,
};

typedef struct {
    wl_hub_t hub;
    zsock_t *router;           /* owned */
    zsock_t *subscriber;       /* owned, NULL: not this instance, or not wanted */
    bool listening;            /* the subscriber is watched: there is a configuration */
    wl_rpc_t *rpc;             /* owned */
    wl_published_t *published; /* owned */
    wl_queue_t *queue;         /* owned */
    wl_intake_batch_t *batch;  /* owned */
    wl_tickets_t *tickets;     /* owned: operators who wait */
    wl_sequence_t *sequence;   /* owned: of publishers */
    wl_suspects_t askers;      /* clients of the router the guard wants looked at */
    wl_suspects_t publishers;  /* and of the subscriber */
    msgpack_sbuffer reply;     /* owned, reused */
    int64_t opened_at;         /* monotonic ms */
    uint64_t published_users;  /* changes of publications in the batch */
    wl_intake_notes_t notes;   /* reads what is said about lines */
} intake_t;

/* ---- replies --------------------------------------------------------------------------------- */

static void intake_sent(intake_t *self, wl_err_t err) {
    WL_COUNT(&self->hub.counters, rpc_replies, err == WL_OK);
    WL_COUNT(&self->hub.counters, rpc_slow_client, err == WL_ERR_FULL);
    WL_COUNT(&self->hub.counters, rpc_unroutable, err != WL_OK && err != WL_ERR_FULL);
}

static void intake_refuse(intake_t *self, const wl_peer_t *peer, uint64_t msgid, wl_err_t err,
                          const char *text) {
    WL_COUNT(&self->hub.counters, rpc_errors, 1);
    WL_COUNT(&self->hub.counters, rpc_busy, err == WL_ERR_BUSY);
    bool later = err == WL_ERR_BUSY || err == WL_ERR_UNAVAILABLE;
    intake_sent(self, wl_rpc_send_error(self->rpc, self->router, peer, msgid, err, text,
                                        later ? RETRY_AFTER_MS : 0));
}

static void intake_acknowledge(intake_t *self, const wl_intake_waiter_t *waiter) {
    msgpack_packer packer;
    msgpack_sbuffer_clear(&self->reply);
    msgpack_packer_init(&packer, &self->reply, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 1);
    msgpack_pack_str(&packer, strlen(waiter->key));
    msgpack_pack_str_body(&packer, waiter->key, strlen(waiter->key));
    msgpack_pack_uint64(&packer, waiter->count);
    wl_bytes_t result = {(const uint8_t *)self->reply.data, self->reply.size};
    intake_sent(self,
                wl_rpc_send_result(self->rpc, self->router, waiter->peer, waiter->msgid, result));
}

/* ---- what clients ask ------------------------------------------------------------------------ */

static wl_actor_kind_t admin_owner(wl_method_t method) {
    if (wl_method_config(method)) {
        return WL_ACTOR_CONFIG;
    }
    if (wl_method_reconcile(method)) {
        return WL_ACTOR_RECONCILER;
    }
    if (wl_method_shards(method)) {
        return WL_ACTOR_MOVER;
    }
    bool console = method == WL_METHOD_ADMIN_STATS || method == WL_METHOD_ADMIN_PRESENCE_STATS ||
                   method == WL_METHOD_ADMIN_PRESENCE_REBUILD;
    return console ? WL_ACTOR_CONSOLE : WL_ACTOR_DISPATCHER;
}

/* Hands an operator's request to its owner; a ticket remembers who asked. */
static wl_err_t intake_take_admin(intake_t *self, const wl_rpc_request_t *request) {
    int64_t wait_ms = request->deadline_ms > 0 && request->deadline_ms < ADMIN_MS
                          ? request->deadline_ms
                          : ADMIN_MS;
    if (request->notification) { /* nobody would learn the outcome */
        WL_COUNT(&self->hub.counters, rpc_malformed, 1);
        return WL_OK;
    }
    wl_ticket_t *ticket =
        wl_tickets_take(self->tickets, &request->peer, request->msgid, wl_mono_now().ms + wait_ms);
    if (ticket == NULL) {
        return WL_ERR_BUSY;
    }
    ticket->method = request->method;
    ticket->uid = 0;
    wl_encoder_t *to = wl_hub_to(&self->hub, admin_owner(request->method), 0, WL_MSG_ADMIN, 0);
    if (!wl_encoder_begun(to)) {
        wl_admin_head_t head = {.intake = self->hub.instance};
        wl_admin_begin(to, &head);
    }
    wl_admin_item_t item = {
        .ticket = ticket->number, .method = (uint8_t)request->method, .args = request->args_bytes};
    const char *user = wl_method_config(request->method) && wl_access_guarded(&self->hub)
                           ? wl_rpc_user(self->rpc)
                           : NULL;
    (void)snprintf(item.user, sizeof item.user, "%s", user == NULL ? "" : user);
    wl_admin_add(to, &item);
    return WL_OK;
}

/* sys.ping and sys.info are answered on both ports: a writer may have no other. */
static void intake_take_sys(intake_t *self, const wl_rpc_request_t *request) {
    msgpack_sbuffer_clear(&self->reply);
    if (request->method == WL_METHOD_PING) {
        wl_server_ping_write(&self->reply);
    } else {
        wl_server_info_t info = {
            .settings = self->hub.settings,
            .config = self->hub.config,
            .config_source = self->hub.config_source,
            .config_seq = self->hub.config_seq,
            .rollout = self->hub.rollout.id,
            .draining = self->hub.draining,
            .uptime_ms = wl_mono_now().ms - self->opened_at,
        };
        wl_server_info_write(&info, &self->reply);
    }
    wl_bytes_t body = {(const uint8_t *)self->reply.data, self->reply.size};
    intake_sent(self,
                wl_rpc_send_result(self->rpc, self->router, &request->peer, request->msgid, body));
}

/* *ret_key names what the reply counts once it is durable; NULL: somebody else answers. */
static wl_err_t intake_take_method(intake_t *self, const wl_rpc_request_t *request,
                                   uint64_t *ret_count, const char **ret_key, wl_fault_t *fault) {
    wl_err_t err = WL_OK;
    *ret_key = NULL;
    if (wl_access_guarded(&self->hub)) {
        err = wl_access_check(&self->hub, wl_rpc_user(self->rpc), request, fault);
    }
    if (err != WL_OK) {
        return err;
    }
    switch ((int)request->method) {
    case WL_METHOD_PING:
    case WL_METHOD_INFO: intake_take_sys(self, request); return WL_OK;
    case WL_METHOD_NOTIFY_CHANGED:
        *ret_key = "accepted";
        return wl_intake_notes_changed(&self->notes, request->args, ret_count, fault);
    case WL_METHOD_NOTIFY_ASSETS:
        *ret_key = "accepted";
        return wl_intake_notes_assets(&self->notes, request->args, wl_rpc_zone(self->rpc),
                                      ret_count, fault);
    case WL_METHOD_REFRESH:
        *ret_key = "queued";
        return wl_intake_notes_refresh(&self->notes, request->args, ret_count, fault);
    default: return intake_take_admin(self, request); /* the port has no others */
    }
}

static void intake_take_request(intake_t *self, const wl_rpc_request_t *request) {
    wl_fault_t fault = {.where = ""};
    uint64_t count = 0;
    const char *key = NULL;
    size_t first = wl_intake_batch_entries(self->batch);
    wl_err_t err = intake_take_method(self, request, &count, &key, &fault);
    if (err != WL_OK && request->notification) {
        WL_COUNT(&self->hub.counters, rpc_malformed, 1);
    } else if (err != WL_OK) {
        intake_refuse(self, &request->peer, request->msgid, err,
                      fault.message[0] == '\0' ? NULL : fault.message);
    } else if (key != NULL && !request->notification) {
        wl_intake_batch_waiter(self->batch, &request->peer, request->msgid, key, count, first);
    }
}

/* What the guard wants to know about a socket that was just read. */
static void intake_look(intake_t *self, wl_suspects_t *suspects, wl_err_t read, int connection) {
    if (read == WL_ERR_EMPTY) {
        wl_suspects_drained(suspects, &self->hub);
    } else {
        wl_suspects_delivered(suspects, &self->hub, connection);
    }
}

/* Takes at most a turn's requests. */
static void intake_drain_router(intake_t *self) {
    uint64_t turn_max = self->hub.settings->intake_requests_max;
    turn_max = turn_max < TURN_REQUESTS ? turn_max : TURN_REQUESTS;
    for (uint64_t i = 0; i < turn_max && !wl_intake_batch_full(self->batch); i++) {
        wl_rpc_request_t request = {.msgid = 0};
        wl_fault_t fault = {.where = ""};
        wl_err_t err = wl_rpc_recv(self->rpc, self->router, WL_PORT_WRITER, &request, &fault);
        if (self->askers.count > 0) {
            intake_look(self, &self->askers, err, wl_rpc_connection(self->rpc));
        }
        if (err == WL_ERR_EMPTY) {
            break;
        }
        WL_COUNT(&self->hub.counters, rpc_requests, 1);
        if (err == WL_OK && !self->hub.draining) {
            intake_take_request(self, &request);
            continue;
        }
        WL_COUNT(&self->hub.counters, rpc_malformed, err != WL_OK && err != WL_ERR_DEADLINE);
        WL_COUNT(&self->hub.counters, rpc_expired, err == WL_ERR_DEADLINE);
        if (!request.notification) {
            intake_refuse(self, &request.peer, request.msgid,
                          err == WL_OK ? WL_ERR_UNAVAILABLE : err,
                          err == WL_OK ? "the server is stopping" : fault.message);
        }
    }
}

/* ---- what lines publish ---------------------------------------------------------------------- */

/* Follows the publisher's sequence; a gap means that PUB/SUB has dropped messages. */
static void intake_follow(intake_t *self, const char *line, const msgpack_object *args) {
    char source[WL_SOURCE_MAX + 1] = "";
    uint64_t seq = 0;
    uint64_t missing = 0;
    wl_err_t err = wl_args_text(args, "source", source, WL_SOURCE_MAX, NULL);
    if ((err != WL_OK && err != WL_ERR_NOT_FOUND) ||
        wl_args_u64(args, "seq", &seq, NULL) != WL_OK) {
        return; /* a publisher that does not count cannot be followed */
    }
    if (wl_sequence_follow(self->sequence, line, source, seq, &missing) == WL_SEQ_GAP) {
        WL_COUNT(&self->hub.counters, intake_pub_gaps, 1);
        WL_COUNT(&self->hub.counters, intake_pub_lost, missing);
        wl_log(WL_LOG_WARN, self->hub.name, "pub_gap",
               "line %s: %" PRIu64 " publications did not arrive", line, missing);
    }
}

static wl_err_t intake_take_published(intake_t *self, const char *topic_line,
                                      const wl_rpc_request_t *request, wl_fault_t *fault) {
    const wl_line_t *line = NULL;
    wl_err_t err = WL_OK;
    if (wl_access_guarded(&self->hub)) {
        err = wl_access_check(&self->hub, wl_published_user(self->published), request, fault);
    }
    if (err == WL_OK) {
        err = wl_intake_notes_line(&self->notes, request->args, &line, fault);
    }
    if (err == WL_OK && strcmp(line->id, topic_line) != 0) {
        return wl_fault(fault, WL_ERR_FORBIDDEN, "line", "line: is not that of the topic");
    }
    if (err != WL_OK) {
        return err;
    }
    intake_follow(self, line->id, request->args);
    uint64_t count = 0;
    err = wl_intake_notes_changed(&self->notes, request->args, &count, fault);
    self->published_users += count;
    return err;
}

static void intake_drain_subscriber(intake_t *self) {
    if (!self->listening || self->hub.draining) {
        return;
    }
    for (uint32_t i = 0; i < TURN_REQUESTS && !wl_intake_batch_full(self->batch); i++) {
        wl_rpc_request_t request = {.msgid = 0};
        wl_fault_t fault = {.where = ""};
        char line[WL_LINE_ID_MAX + 1] = "";
        wl_err_t err = wl_published_recv(self->published, self->subscriber, line, &request, &fault);
        if (self->publishers.count > 0) {
            intake_look(self, &self->publishers, err, wl_published_connection(self->published));
        }
        if (err == WL_ERR_EMPTY) {
            break;
        }
        if (err == WL_OK) {
            err = intake_take_published(self, line, &request, &fault);
        }
        if (err != WL_OK) {
            WL_COUNT(&self->hub.counters, intake_pub_refused, 1);
            wl_log(WL_LOG_WARN, self->hub.name, "pub_refused", "topic changed.%s: %s", line,
                   fault.message);
        }
    }
}

/* ---- the group commit ------------------------------------------------------------------------ */

/* Each partition is served by the dispatcher of its number; which process's, the lease says: one
 * that does not hold it is told in vain. */
static void intake_tell_queued(intake_t *self, const uint64_t last_ids[WL_PARTITIONS_MAX]) {
    for (uint32_t p = 0; p < WL_PARTITIONS_MAX; p++) {
        if (last_ids[p] == 0) {
            continue;
        }
        wl_queued_head_t head = {.last_id = last_ids[p]};
        wl_encoder_t *to =
            wl_hub_to(&self->hub, WL_ACTOR_DISPATCHER, p, WL_MSG_QUEUED, last_ids[p]);
        if (!wl_encoder_begun(to)) {
            wl_queued_begin(to, &head);
        }
    }
}

/* What a client is told when its change is not durable: come again, in any case. */
static wl_err_t append_answer(wl_err_t err) {
    bool reached =
        err != WL_ERR_UNAVAILABLE && err != WL_ERR_DEADLINE && err != WL_ERR_UNAUTHORIZED;
    return reached ? WL_ERR_BUSY : WL_ERR_UNAVAILABLE;
}

/* Each for itself: a request none of whose entries failed is acknowledged. Returns how many are
 * refused. */
static uint32_t intake_answer(intake_t *self, wl_err_t err) {
    uint32_t refused = 0;
    for (uint32_t i = 0; i < wl_intake_batch_waiters(self->batch); i++) {
        wl_intake_waiter_t waiter = wl_intake_batch_waiter_at(self->batch, i);
        if (err == WL_OK || waiter.durable) {
            intake_acknowledge(self, &waiter);
            WL_COUNT(&self->hub.counters, intake_changes, err == WL_OK ? 0 : waiter.count);
        } else {
            intake_refuse(self, waiter.peer, waiter.msgid, append_answer(err),
                          "the change could not be made durable");
            refused++;
        }
    }
    return refused;
}

static void intake_commit(intake_t *self) {
    uint32_t waiters = wl_intake_batch_waiters(self->batch);
    bool entries = wl_intake_batch_entries(self->batch) > 0;
    if (!entries && waiters == 0) {
        return;
    }
    uint64_t last_ids[WL_PARTITIONS_MAX] = {0};
    wl_err_t err = WL_OK; /* a refresh of no line is answered, too */
    if (entries) {
        err = wl_intake_batch_append(self->batch, self->queue, last_ids);
    }
    uint32_t refused = intake_answer(self, err);
    intake_tell_queued(self, last_ids); /* in Redis some may be durable, whatever err says */
    if (err == WL_OK) {
        WL_COUNT(&self->hub.counters, intake_changes, wl_intake_batch_users(self->batch));
        WL_COUNT(&self->hub.counters, intake_pub_changes, self->published_users);
    } else {
        WL_COUNT(&self->hub.counters, intake_refused_disk, refused > 0 ? refused : 1);
        wl_log(WL_LOG_ERROR, self->hub.name, "append_failed",
               "%u of %u requests refused, up to %" PRIu64 " published changes lost: %s %s",
               refused, waiters, self->published_users, wl_err_text(err),
               wl_queue_problem(self->queue));
    }
    wl_intake_batch_clear(self->batch);
    self->published_users = 0;
}

/* One turn takes from both sockets, so that what came together is one append. */
static void intake_turn(intake_t *self) {
    intake_drain_router(self);
    intake_drain_subscriber(self);
    intake_commit(self);
}

static int on_socket(zloop_t *loop, zsock_t *socket, void *arg) {
    (void)loop;
    (void)socket;
    intake_t *self = arg;
    intake_turn(self);
    wl_hub_flush(&self->hub);
    return 0;
}

/* The guard waits to hear whether a socket is empty, and an empty one wakes nobody. */
static void on_flush(void *arg) {
    intake_t *self = arg;
    if (self->askers.count > 0 || self->publishers.count > 0) {
        intake_turn(self);
    }
}

/* ---- messages -------------------------------------------------------------------------------- */

static void intake_take_replies(intake_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_reply_item_t *reply = &msg->items.reply[i];
        wl_ticket_t *ticket = wl_tickets_find(self->tickets, reply->ticket);
        if (ticket == NULL) {
            continue; /* its deadline has passed and was counted then */
        }
        if (reply->error != WL_OK) {
            wl_err_t err = reply->error < WL_ERR_COUNT ? (wl_err_t)reply->error : WL_ERR_INTERNAL;
            intake_refuse(self, &ticket->peer, ticket->msgid, err,
                          reply->text[0] == '\0' ? NULL : reply->text);
        } else {
            intake_sent(self, wl_rpc_send_result(self->rpc, self->router, &ticket->peer,
                                                 ticket->msgid, reply->body));
        }
        wl_tickets_release(self->tickets, ticket);
    }
}

static void on_message(void *arg, const wl_msg_t *msg) {
    intake_t *self = arg;
    switch ((int)msg->id) {
    case WL_MSG_REPLY: intake_take_replies(self, msg); break;
    case WL_MSG_SUSPECT:
        wl_suspects_take(&self->askers, msg);
        wl_suspects_take(&self->publishers, msg);
        break;
    case WL_MSG_LINE: break;
    default: WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

static void on_expired(const wl_ticket_t *ticket, void *arg) {
    intake_t *self = arg;
    WL_COUNT(&self->hub.counters, rpc_expired, 1);
    intake_refuse(self, &ticket->peer, ticket->msgid, WL_ERR_DEADLINE, NULL);
}

static void on_tick(void *arg) {
    intake_t *self = arg;
    (void)wl_tickets_expire(self->tickets, wl_mono_now().ms, on_expired, self);
    WL_GAUGE(&self->hub.counters, rpc_in_flight, wl_tickets_used(self->tickets));
    if (self->subscriber != NULL && !self->listening) {
        (void)zsock_events(self->subscriber); /* or new publishers never learn what is wanted */
    }
}

/* Publications wait in their socket until somebody can tell which lines there are. */
static void on_configured(void *arg) {
    intake_t *self = arg;
    self->notes.config = self->hub.config;
    if (self->subscriber != NULL && !self->listening) {
        self->listening = true;
        wl_hub_watch(&self->hub, self->subscriber, on_socket, self);
    }
}

static bool intake_drained(void *arg) {
    intake_t *self = arg;
    return wl_tickets_used(self->tickets) == 0;
}

/* ---- life ------------------------------------------------------------------------------------ */

static wl_err_t intake_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    intake_t *self = arg;
    self->opened_at = wl_mono_now().ms;
    msgpack_sbuffer_init(&self->reply);
    self->askers.door = WL_DOOR_INTAKE;
    self->publishers.door = WL_DOOR_PUBLISH;
    wl_hub_handlers_t handlers = {.take = on_message,
                                  .flush = on_flush,
                                  .tick = on_tick,
                                  .configured = on_configured,
                                  .drained = intake_drained,
                                  .tick_ms = TICK_MS};
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    const wl_settings_t *settings = self->hub.settings;
    uint64_t operators = settings->intake_requests_max;
    self->rpc = wl_rpc_new();
    self->published = wl_published_new();
    self->batch = wl_intake_batch_new((uint32_t)settings->queue_partitions);
    self->notes.batch = self->batch;
    self->sequence = wl_sequence_new(SOURCES_MAX);
    self->tickets = wl_tickets_new((uint32_t)(operators < TICKETS_MAX ? operators : TICKETS_MAX),
                                   wl_mono_now().ms);
    err = wl_change_queue_open(settings, self->hub.name, WL_QUEUE_APPEND, 0, &self->queue,
                               &boot->fault);
    if (err == WL_OK) {
        err = wl_topology_router(settings, WL_ACTOR_INTAKE, self->hub.instance, &self->router,
                                 &boot->fault);
    }
    if (err == WL_OK && self->hub.instance == 0) {
        err = wl_topology_subscriber(settings, &self->subscriber, &boot->fault);
    }
    if (err == WL_OK) {
        wl_hub_watch(&self->hub, self->router, on_socket, self);
    }
    return err;
}

static void intake_close(void *arg) {
    intake_t *self = arg;
    zsock_destroy(&self->router);
    zsock_destroy(&self->subscriber);
    wl_queue_close(&self->queue);
    wl_tickets_destroy(&self->tickets);
    wl_sequence_destroy(&self->sequence);
    wl_intake_batch_destroy(&self->batch);
    wl_published_destroy(&self->published);
    wl_rpc_destroy(&self->rpc);
    msgpack_sbuffer_destroy(&self->reply);
    wl_hub_close(&self->hub);
}

void wl_intake_run(zsock_t *pipe, void *boot) {
    intake_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, intake_open, intake_close, self);
    wl_free(self);
}
