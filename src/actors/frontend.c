#include "actors/frontend.h"

#include "actors/access.h"
#include "actors/frontend_consent.h"
#include "actors/frontend_has.h"
#include "actors/frontend_rollout.h"
#include "actors/page_args.h"
#include "actors/render.h"
#include "actors/request_args.h"
#include "actors/server_info.h"
#include "actors/suspects.h"
#include "actors/tickets.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/slot.h"

enum {
    TURN_REQUESTS = 256,       /* taken from the ROUTER per turn, so that replies get their turn */
    TICK_MS = 4,               /* how often deadlines are looked at; they are kept within 5 ms */
    DEADLINE_MS_MAX = 30000,   /* a client that says more gets this much */
    BUSY_RETRY_MS = 20,        /* `busy` says: come again after so long */
    BUSY_RETRY_SPREAD_MS = 80, /* and up to so much later the fuller the table is */
};

typedef struct {
    wl_hub_t hub;
    wl_render_t render;      /* bodies of absent users, sys.* and wallet.has_assets */
    zsock_t *router;         /* owned */
    wl_rpc_t *rpc;           /* owned */
    wl_tickets_t *tickets;   /* owned; requests under way */
    wl_suspects_t suspects;  /* clients that the guard wants looked at */
    uint32_t bounds[3];      /* requests under way from which a method of cost 0, 1, 2 is refused */
    uint32_t presences;      /* presence actors */
    int64_t opened_at;       /* monotonic ms */
    wl_wallet_args_t wallet; /* of the request being taken */
    wl_page_args_t page;     /* likewise */
    wl_consent_gate_t *gate; /* owned */
    wl_frontend_rollout_t *rollout; /* owned; who is shown the candidate of a rollout */
    wl_frontend_has_t has;          /* of the request being taken */
} frontend_t;

/* ---- answers -------------------------------------------------------------------------------- */

static void frontend_sent(frontend_t *self, wl_err_t err) {
    WL_COUNT(&self->hub.counters, rpc_replies, err == WL_OK);
    WL_COUNT(&self->hub.counters, rpc_slow_client, err == WL_ERR_FULL);
    WL_COUNT(&self->hub.counters, rpc_unroutable, err != WL_OK && err != WL_ERR_FULL);
}

static void frontend_send(frontend_t *self, const wl_peer_t *peer, uint64_t msgid,
                          wl_bytes_t result) {
    frontend_sent(self, wl_rpc_send_result(self->rpc, self->router, peer, msgid, result));
}

static void frontend_send_error(frontend_t *self, const wl_peer_t *peer, uint64_t msgid,
                                wl_err_t error, const char *text, uint32_t retry_after_ms) {
    WL_COUNT(&self->hub.counters, rpc_errors, 1);
    frontend_sent(
        self, wl_rpc_send_error(self->rpc, self->router, peer, msgid, error, text, retry_after_ms));
}

static void frontend_send_absent(frontend_t *self, const wl_ticket_t *ticket) {
    wl_wall_ms_t now = wl_wall_now();
    const wl_config_t *config = wl_hub_config(&self->hub, ticket->rollout);
    wl_home_view_t view = {
        .config = config,
        .sick = wl_hub_sick(&self->hub, ticket->rollout),
        .uid = ticket->uid,
        .now = now,
        .campaign_now = wl_render_campaign_now(&self->render, config, now),
        .source = WL_SOURCE_CACHE,
        .candidate = wl_hub_variant(&self->hub, ticket->rollout) == 1,
    };
    frontend_send(self, &ticket->peer, ticket->msgid,
                  wl_render_body(&self->render, ticket->method, &view));
}

static void frontend_take_reply(frontend_t *self, const wl_reply_item_t *reply) {
    wl_ticket_t *ticket = wl_tickets_find(self->tickets, reply->ticket);
    if (ticket == NULL || ticket->method == WL_METHOD_HAS_ASSETS ||
        ticket->method == WL_METHOD_CONSENT || ticket->uid != reply->uid) {
        WL_COUNT(&self->hub.counters, rpc_late, 1);
        return;
    }
    wl_err_t error = reply->error < WL_ERR_COUNT ? (wl_err_t)reply->error : WL_ERR_INTERNAL;
    wl_frontend_rollout_answered(self->rollout, ticket->rollout, error);
    if (error != WL_OK) {
        WL_COUNT(&self->hub.counters, rpc_expired, error == WL_ERR_DEADLINE);
        frontend_send_error(self, &ticket->peer, ticket->msgid, error,
                            reply->text[0] == '\0' ? NULL : reply->text, reply->retry_after_ms);
    } else if (reply->absent) {
        frontend_send_absent(self, ticket);
    } else {
        frontend_send(self, &ticket->peer, ticket->msgid, reply->body);
    }
    wl_tickets_release(self->tickets, ticket);
}

static void frontend_send_has(frontend_t *self, const wl_ticket_t *ticket) {
    msgpack_sbuffer_clear(&self->render.body);
    wl_frontend_has_write(ticket, &self->render.body);
    wl_bytes_t body = {(const uint8_t *)self->render.body.data, self->render.body.size};
    frontend_send(self, &ticket->peer, ticket->msgid, body);
}

static void frontend_take_told(frontend_t *self, const wl_told_item_t *told) {
    wl_ticket_t *ticket = wl_tickets_find(self->tickets, told->ticket);
    bool whole = false;
    if (ticket == NULL || ticket->method != WL_METHOD_HAS_ASSETS) {
        WL_COUNT(&self->hub.counters, rpc_late, 1);
    } else if (!wl_frontend_has_told(ticket, told, &whole)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
    } else if (whole) {
        frontend_send_has(self, ticket);
        wl_tickets_release(self->tickets, ticket);
    }
}

/* The answer to wallet.consent. */
static void frontend_take_lived(frontend_t *self, const wl_lived_item_t *lived) {
    wl_ticket_t *ticket = wl_tickets_find(self->tickets, lived->ticket);
    if (ticket == NULL || ticket->method != WL_METHOD_CONSENT || ticket->uid != lived->uid) {
        WL_COUNT(&self->hub.counters, rpc_late, 1);
        return;
    }
    if (lived->error != WL_OK) {
        wl_err_t error = lived->error < WL_ERR_COUNT ? (wl_err_t)lived->error : WL_ERR_INTERNAL;
        frontend_send_error(self, &ticket->peer, ticket->msgid, error,
                            lived->reason[0] == '\0' ? NULL : lived->reason, lived->retry_after_ms);
    } else {
        msgpack_sbuffer_clear(&self->render.body);
        wl_frontend_consent_write(ticket, lived->at, &self->render.body);
        wl_bytes_t body = {(const uint8_t *)self->render.body.data, self->render.body.size};
        frontend_send(self, &ticket->peer, ticket->msgid, body);
    }
    wl_tickets_release(self->tickets, ticket);
}

static bool on_refused(const wl_ticket_t *ticket, void *arg) {
    frontend_t *self = arg;
    if (ticket->method == WL_METHOD_CONSENT) {
        return false;
    }
    frontend_send_error(self, &ticket->peer, ticket->msgid, WL_ERR_UNAVAILABLE,
                        "the user's consent has just changed: ask again", 1);
    return true;
}

static void frontend_refuse_user(void *arg, uint64_t uid) {
    frontend_t *self = arg;
    wl_tickets_drop(self->tickets, uid, on_refused, self);
}

/* ---- requests ------------------------------------------------------------------------------- */

static wl_ticket_t *frontend_admit(frontend_t *self, const wl_rpc_request_t *request, int64_t now) {
    int64_t budget_ms = (int64_t)self->hub.settings->frontend_deadline_ms;
    if (request->deadline_ms > 0) {
        budget_ms = request->deadline_ms < DEADLINE_MS_MAX ? request->deadline_ms : DEADLINE_MS_MAX;
    }
    wl_ticket_t *ticket =
        wl_tickets_take(self->tickets, &request->peer, request->msgid, now + budget_ms);
    WL_ASSERT(ticket != NULL); /* the bounds keep requests below the size of the table */
    ticket->method = request->method;
    ticket->uid = 0;
    ticket->rollout = 0;
    return ticket;
}

static wl_err_t frontend_take_wallet(frontend_t *self, const wl_rpc_request_t *request, int64_t now,
                                     wl_fault_t *fault) {
    wl_wallet_args_t *args = &self->wallet;
    uint64_t rollout = 0;
    wl_err_t err = wl_frontend_rollout_choose(self->rollout, request, &rollout, fault);
    if (err == WL_OK) {
        err = wl_wallet_args_read(request, wl_hub_config(&self->hub, rollout), args, fault);
    }
    if (err != WL_OK) {
        return err;
    }
    wl_ticket_t *ticket = frontend_admit(self, request, now);
    ticket->uid = args->uid;
    ticket->rollout = rollout;
    uint32_t owner = wl_uid_owner(args->uid, self->presences);
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_PRESENCE, owner, WL_MSG_READ, 0);
    if (!wl_encoder_begun(to)) {
        int64_t sent_at = wl_hub_sent_at(&self->hub, WL_ACTOR_PRESENCE, owner);
        wl_read_begin(to, &(wl_read_head_t){.frontend = self->hub.instance, .sent_at = sent_at});
    }
    wl_read_item_t read = {
        .ticket = ticket->number,
        .uid = args->uid,
        .deadline_at = ticket->deadline_at,
        .method = (uint8_t)request->method,
        .filter = {(const uint8_t *)args->filter, args->filter_bytes},
        .floors = {(const uint8_t *)args->floors, args->floors_bytes},
        .rollout = rollout,
    };
    wl_read_add(to, &read);
    return WL_OK;
}

static wl_err_t frontend_take_page(frontend_t *self, const wl_rpc_request_t *request, int64_t now,
                                   wl_fault_t *fault) {
    wl_page_args_t *args = &self->page;
    uint64_t rollout = 0;
    wl_err_t err = wl_frontend_rollout_choose(self->rollout, request, &rollout, fault);
    if (err == WL_OK) {
        err = wl_page_args_read(request, wl_hub_config(&self->hub, rollout), args, fault);
    }
    if (err != WL_OK) {
        return err;
    }
    wl_ticket_t *ticket = frontend_admit(self, request, now);
    ticket->uid = args->uid;
    ticket->rollout = rollout;
    uint32_t owner = wl_uid_owner(args->uid, wl_hub_instances(&self->hub, WL_ACTOR_DETAILS));
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_DETAILS, owner, WL_MSG_STATEMENT, 0);
    if (!wl_encoder_begun(to)) {
        int64_t sent_at = wl_hub_sent_at(&self->hub, WL_ACTOR_DETAILS, owner);
        wl_statement_begin(
            to, &(wl_statement_head_t){.frontend = self->hub.instance, .sent_at = sent_at});
    }
    wl_statement_item_t item = {
        .ticket = ticket->number,
        .uid = args->uid,
        .deadline_at = ticket->deadline_at,
        .method = (uint8_t)request->method,
        .kind = args->kind,
        .limit = args->limit,
        .cursor = {(const uint8_t *)args->cursor, args->cursor_bytes},
        .rollout = rollout,
    };
    memcpy(item.line, args->line, sizeof item.line);
    memcpy(item.month, args->month, sizeof item.month);
    wl_statement_add(to, &item);
    return WL_OK;
}

static wl_err_t frontend_take_consent(frontend_t *self, const wl_rpc_request_t *request,
                                      int64_t now, wl_fault_t *fault) {
    wl_consent_args_t args;
    uint64_t rollout = 0;
    wl_err_t err = wl_frontend_rollout_choose(self->rollout, request, &rollout, fault);
    if (err == WL_OK) {
        err = wl_consent_args_read(request, wl_hub_config(&self->hub, rollout), wl_wall_now(),
                                   &args, fault);
    }
    if (err == WL_OK) {
        wl_frontend_consent_ask(&self->hub, frontend_admit(self, request, now), &args);
    }
    return err;
}

static wl_err_t frontend_take_has(frontend_t *self, const wl_rpc_request_t *request, int64_t now,
                                  wl_fault_t *fault) {
    uint32_t count = 0;
    wl_err_t err = wl_has_args_read(request, self->has.uids, &count, fault);
    if (err != WL_OK) {
        return err;
    }
    wl_ticket_t *ticket = frontend_admit(self, request, now);
    wl_frontend_has_ask(&self->has, &self->hub, ticket, count);
    if (count == 0) {
        frontend_send_has(self, ticket);
        wl_tickets_release(self->tickets, ticket);
    }
    return WL_OK;
}

static void frontend_take_sys(frontend_t *self, const wl_rpc_request_t *request, int64_t now) {
    msgpack_sbuffer_clear(&self->render.body);
    if (request->method == WL_METHOD_PING) {
        wl_server_ping_write(&self->render.body);
    } else {
        wl_server_info_t info = {
            .settings = self->hub.settings,
            .config = self->hub.config,
            .config_source = self->hub.config_source,
            .config_seq = self->hub.config_seq,
            .rollout = self->hub.rollout.id,
            .draining = self->hub.draining,
            .uptime_ms = now - self->opened_at,
        };
        wl_server_info_write(&info, &self->render.body);
    }
    wl_bytes_t body = {(const uint8_t *)self->render.body.data, self->render.body.size};
    frontend_send(self, &request->peer, request->msgid, body);
}

/* May a request of this method come in now? */
static wl_err_t frontend_door(const frontend_t *self, const wl_rpc_request_t *request,
                              wl_fault_t *fault) {
    uint8_t cost = wl_method_info(request->method)->cost;
    bool sys = request->method == WL_METHOD_PING || request->method == WL_METHOD_INFO;
    WL_ASSERT(cost < WL_COUNT_OF(self->bounds));
    if (!sys && self->hub.draining) {
        return wl_fault(fault, WL_ERR_UNAVAILABLE, "", "the server is stopping");
    }
    if (wl_tickets_used(self->tickets) >= self->bounds[cost]) {
        return wl_fault(fault, WL_ERR_BUSY, "", "%u requests are under way",
                        wl_tickets_used(self->tickets));
    }
    if (!sys && self->hub.config == NULL) {
        return wl_fault(fault, WL_ERR_UNAVAILABLE, "", "no configuration yet");
    }
    return WL_OK;
}

static wl_err_t frontend_take_request(frontend_t *self, const wl_rpc_request_t *request,
                                      int64_t now, wl_fault_t *fault) {
    wl_err_t err = WL_OK;
    if (wl_access_guarded(&self->hub)) {
        err = wl_access_check(&self->hub, wl_rpc_user(self->rpc), request, fault);
    }
    if (err == WL_OK) {
        err = frontend_door(self, request, fault);
    }
    if (err != WL_OK) {
        return err;
    }
    if (wl_render_method(request->method)) {
        return frontend_take_wallet(self, request, now, fault);
    }
    if (request->method == WL_METHOD_DETAILS || request->method == WL_METHOD_SUMMARY) {
        return frontend_take_page(self, request, now, fault);
    }
    if (request->method == WL_METHOD_CONSENT) {
        return frontend_take_consent(self, request, now, fault);
    }
    if (request->method == WL_METHOD_HAS_ASSETS) {
        return frontend_take_has(self, request, now, fault);
    }
    frontend_take_sys(self, request, now);
    return WL_OK;
}

static void frontend_refuse(frontend_t *self, const wl_rpc_request_t *request, wl_err_t err,
                            const wl_fault_t *fault) {
    uint32_t retry_after_ms = 0;
    if (err == WL_ERR_BUSY) {
        uint64_t used = wl_tickets_used(self->tickets);
        retry_after_ms = BUSY_RETRY_MS + (uint32_t)(used * BUSY_RETRY_SPREAD_MS / self->bounds[0]);
        WL_COUNT(&self->hub.counters, rpc_busy, 1);
    } else if (err == WL_ERR_DEADLINE) {
        WL_COUNT(&self->hub.counters, rpc_expired, 1);
    } else if (err != WL_ERR_UNAVAILABLE && err != WL_ERR_UNAUTHORIZED && err != WL_ERR_FORBIDDEN) {
        WL_COUNT(&self->hub.counters, rpc_malformed, 1);
    }
    if (request->peer.identity_bytes > 0) {
        frontend_send_error(self, &request->peer, request->msgid, err, fault->message,
                            retry_after_ms);
    }
}

/* Takes what clients have sent, up to a batch. The reads go out at the end of the turn. */
static void frontend_drain_router(frontend_t *self) {
    int64_t now = 0;
    for (uint32_t taken = 0; taken < TURN_REQUESTS; taken++) {
        wl_rpc_request_t request;
        wl_fault_t fault;
        wl_err_t err = wl_rpc_recv(self->rpc, self->router, WL_PORT_READER, &request, &fault);
        if (err == WL_ERR_EMPTY) {
            if (self->suspects.count > 0) {
                wl_suspects_drained(&self->suspects, &self->hub);
            }
            break;
        }
        if (self->suspects.count > 0) {
            wl_suspects_delivered(&self->suspects, &self->hub, wl_rpc_connection(self->rpc));
        }
        WL_COUNT(&self->hub.counters, rpc_requests, 1);
        if (request.notification) { /* nobody waits for what a read returns */
            WL_COUNT(&self->hub.counters, rpc_malformed, 1);
            continue;
        }
        now = now == 0 ? wl_mono_now().ms : now;
        if (err == WL_OK) {
            err = frontend_take_request(self, &request, now, &fault);
        }
        if (err != WL_OK) {
            frontend_refuse(self, &request, err, &fault);
        }
    }
}

/* ---- handlers ------------------------------------------------------------------------------- */

static void frontend_take(void *actor, const wl_msg_t *msg) {
    frontend_t *self = actor;
    if (msg->id == WL_MSG_REPLY) {
        for (uint32_t i = 0; i < msg->count; i++) {
            frontend_take_reply(self, &msg->items.reply[i]);
        }
    } else if (msg->id == WL_MSG_TOLD) {
        for (uint32_t i = 0; i < msg->count; i++) {
            frontend_take_told(self, &msg->items.told[i]);
        }
    } else if (msg->id == WL_MSG_LIVED) {
        for (uint32_t i = 0; i < msg->count; i++) {
            frontend_take_lived(self, &msg->items.lived[i]);
        }
    } else if (msg->id == WL_MSG_STORED) {
        wl_consent_gate_take(self->gate, msg);
    } else if (msg->id == WL_MSG_SUSPECT) {
        wl_suspects_take(&self->suspects, msg);
    } else if (msg->id != WL_MSG_LINE) {
        WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

/* The mailbox is drained: clients whose replies have just gone out may have sent the next request
 * already, which saves a wake-up. */
static void frontend_flush(void *actor) {
    frontend_t *self = actor;
    frontend_drain_router(self);
    wl_consent_gate_step(self->gate);
}

static int on_router(zloop_t *loop, zsock_t *router, void *arg) {
    (void)loop, (void)router;
    frontend_t *self = arg;
    frontend_drain_router(self);
    wl_hub_flush(&self->hub);
    return 0;
}

static void on_expired(const wl_ticket_t *ticket, void *arg) {
    frontend_t *self = arg;
    WL_COUNT(&self->hub.counters, rpc_expired, 1);
    if (ticket->method != WL_METHOD_HAS_ASSETS && ticket->method != WL_METHOD_CONSENT) {
        wl_frontend_rollout_answered(self->rollout, ticket->rollout, WL_ERR_DEADLINE);
    }
    frontend_send_error(self, &ticket->peer, ticket->msgid, WL_ERR_DEADLINE, NULL, 0);
}

static void frontend_tick(void *actor) {
    frontend_t *self = actor;
    wl_render_tick(&self->render);
    wl_frontend_rollout_tick(self->rollout, wl_mono_now().ms);
    (void)wl_tickets_expire(self->tickets, wl_mono_now().ms, on_expired, self);
    WL_GAUGE(&self->hub.counters, rpc_in_flight, wl_tickets_used(self->tickets));
}

static void frontend_configured(void *actor) {
    frontend_t *self = actor;
    wl_frontend_rollout_configured(self->rollout);
}

static bool frontend_drained(void *actor) {
    const frontend_t *self = actor;
    return wl_tickets_used(self->tickets) == 0;
}

static wl_err_t frontend_open(void *actor, zsock_t *pipe, wl_boot_t *boot) {
    frontend_t *self = actor;
    const wl_hub_handlers_t handlers = {
        .take = frontend_take,
        .flush = frontend_flush,
        .tick = frontend_tick,
        .configured = frontend_configured,
        .drained = frontend_drained,
        .tick_ms = TICK_MS,
    };
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    const wl_settings_t *settings = self->hub.settings;
    uint32_t requests_max = (uint32_t)settings->frontend_requests_max;
    self->bounds[0] = requests_max;
    self->bounds[1] = requests_max * 95 / 100;
    self->bounds[2] = requests_max * 85 / 100;
    self->presences = wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE);
    self->opened_at = wl_mono_now().ms;
    self->suspects.door = WL_DOOR_READ;
    self->rpc = wl_rpc_new();
    self->tickets = wl_tickets_new(requests_max, self->opened_at);
    self->gate = wl_consent_gate_new(&self->hub, frontend_refuse_user, self);
    self->rollout = wl_frontend_rollout_new(&self->hub);
    wl_render_open(&self->render);
    err = wl_topology_router(settings, WL_ACTOR_FRONTEND, self->hub.instance, &self->router,
                             &boot->fault);
    if (err == WL_OK) {
        wl_hub_watch(&self->hub, self->router, on_router, self);
    }
    return err;
}

static void frontend_close(void *actor) {
    frontend_t *self = actor;
    zsock_destroy(&self->router);
    wl_rpc_destroy(&self->rpc);
    wl_tickets_destroy(&self->tickets);
    wl_consent_gate_destroy(&self->gate);
    wl_frontend_rollout_destroy(&self->rollout);
    wl_render_close(&self->render);
    wl_hub_close(&self->hub);
    wl_free(self);
}

void wl_frontend_run(zsock_t *pipe, void *boot) {
    frontend_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, frontend_open, frontend_close, self);
}
