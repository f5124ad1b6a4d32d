/* A call waits in the table by its slot; its msgid says slot and generation, so a late reply finds
 * nobody. ZMQ_IMMEDIATE is on: without a connection a request is not queued inside libzmq, where it
 * would be delivered after its deadline, but waits here and is tried again until then. */
#include "lines/zmq_caller.h"

#include "base/alloc.h"
#include "base/check.h"
#include "lines/address.h"
#include "proto/reply.h"
#include "proto/rpc.h"

#include <stdio.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    /* urls of one configuration and some of the last one */
    LINKS_MAX = WL_LINES_MAX * WL_LINE_URLS_MAX + 16,
    REPLIES_PER_TURN = 64,   /* of one line per wake-up, so that others get a turn */
    RESEND_MS = 5,           /* how often a request without a connection is tried */
    SWEEP_MS = 2,            /* least time between two looks at the deadlines */
    HWM = WL_CALLS_MAX,      /* messages: more can never be under way */
    ENVELOPE_BYTES = 64,     /* of a reply, beside the answer */
    RECONNECT_MS = 50,       /* first pause before connecting again... */
    RECONNECT_MAX_MS = 2000, /* ...doubled up to this one */
    HANDSHAKE_MS = 3000,
    HEARTBEAT_MS = 5000,          /* a connection that died silently is found... */
    HEARTBEAT_TIMEOUT_MS = 15000, /* ...after so long */
    NS_PER_MS = 1000000,
};

typedef struct {
    struct wl_zmq_caller *caller; /* back, for the reader */
    zsock_t *socket;              /* owned DEALER, NULL = free */
    char line[WL_LINE_ID_MAX + 1];
    char url[WL_URL_MAX + 1];
    uint32_t response_bytes_max; /* an option of the socket, so part of the key */
    uint32_t waiting;            /* calls under way */
    wl_mono_ms_t used_at;        /* last call */
    wl_mono_ms_t opened_at;      /* when the socket was made */
} link_t;

typedef struct {
    wl_call_t *call; /* owned, NULL = free */
    link_t *link;    /* borrowed */
    uint64_t msgid;  /* generation * WL_CALLS_MAX + slot */
    wl_mono_ms_t deadline;
    bool sent;
    msgpack_sbuffer body; /* owned; the request until it is sent */
} waiting_t;

struct wl_zmq_caller {
    zloop_t *loop; /* borrowed */
    wl_call_end_fn ended;
    void *arg;             /* of ended */
    wl_replies_t *replies; /* owned */
    int timer;             /* owned; deadlines and unsent requests */
    int64_t armed_at;      /* monotonic ms for which the timer is set, 0 = off */
    uint64_t generation;   /* of the next call */
    uint64_t dropped;
    uint32_t waiting_count; /* calls under way */
    uint32_t unsent_count;  /* those of them without a connection so far */
    link_t links[LINKS_MAX];
    waiting_t waiting[WL_CALLS_MAX]; /* by the slot of the call */
};

/* Timer. */

/* Makes sure that on_timer comes no later than at_ms. */
static void timer_arm(wl_zmq_caller_t *self, int64_t at_ms) {
    if (self->armed_at != 0 && self->armed_at <= at_ms) {
        return;
    }
    struct itimerspec when = {{0, 0}, {at_ms / 1000, at_ms % 1000 * NS_PER_MS}};
    int rc = timerfd_settime(self->timer, TFD_TIMER_ABSTIME, &when, NULL);
    WL_ASSERT(rc == 0);
    self->armed_at = at_ms;
}

/* One call. */

/* The call leaves the table before ended() is called, which may start the next one. */
static wl_call_t *waiting_leave(wl_zmq_caller_t *self, waiting_t *waiting) {
    wl_call_t *call = waiting->call;
    waiting->link->waiting--;
    self->waiting_count--;
    self->unsent_count -= waiting->sent ? 0 : 1;
    msgpack_sbuffer_destroy(&waiting->body);
    *waiting = (waiting_t){.call = NULL};
    return call;
}

static void waiting_end(wl_zmq_caller_t *self, waiting_t *waiting, const wl_call_end_t *end) {
    wl_call_t *call = waiting_leave(self, waiting);
    self->ended(call, end, self->arg);
    wl_call_destroy(&call);
}

/* False: there is no connection now. */
static bool waiting_send(wl_zmq_caller_t *self, waiting_t *waiting) {
    wl_bytes_t body = {(const uint8_t *)waiting->body.data, waiting->body.size};
    if (wl_request_send(waiting->link->socket, body) != WL_OK) {
        return false;
    }
    waiting->sent = true;
    self->unsent_count--;
    msgpack_sbuffer_destroy(&waiting->body);
    msgpack_sbuffer_init(&waiting->body);
    return true;
}

/* Replies. */

/* A page that the line does not have is no failure of the line. */
static wl_err_t reply_err(const wl_call_t *call, const char *code) {
    bool none = strcmp(code, wl_err_wire_code(WL_ERR_NOT_FOUND)) == 0 ||
                strcmp(code, wl_err_wire_code(WL_ERR_UNKNOWN_METHOD)) == 0;
    return none && call->kind != WL_CALL_ASSETS ? WL_ERR_NOT_FOUND : WL_ERR_UNAVAILABLE;
}

/* The call that this reply of this line answers, or NULL: one line must not answer for another. */
static waiting_t *reply_find(wl_zmq_caller_t *self, const link_t *link, uint64_t msgid) {
    waiting_t *waiting = &self->waiting[msgid % WL_CALLS_MAX];
    bool answers =
        waiting->call != NULL && waiting->msgid == msgid && waiting->link == link && waiting->sent;
    return answers ? waiting : NULL;
}

static int on_reply(zloop_t *loop, zsock_t *socket, void *arg) {
    (void)loop;
    link_t *link = arg;
    wl_zmq_caller_t *self = link->caller;
    for (int i = 0; i < REPLIES_PER_TURN && link->socket == socket; i++) {
        wl_reply_t reply;
        wl_err_t err = wl_replies_recv(self->replies, socket, &reply);
        if (err == WL_ERR_EMPTY) {
            break;
        }
        waiting_t *waiting = err == WL_OK ? reply_find(self, link, reply.msgid) : NULL;
        if (waiting == NULL) {
            self->dropped++;
            continue;
        }
        wl_call_end_t end = {
            .err = WL_OK, .body = reply.result.at, .body_bytes = reply.result.count};
        if (reply.failed) {
            end.err = reply_err(waiting->call, reply.code);
            end.retry_after_ms = reply.retry_after_ms;
            (void)snprintf(end.reason, sizeof end.reason, "error %s",
                           reply.code[0] != '\0' ? reply.code : "without a code");
        }
        waiting_end(self, waiting, &end);
    }
    return 0;
}

/* Links. */

static void link_close(link_t *link) {
    if (link->socket != NULL) {
        zloop_reader_end(link->caller->loop, link->socket);
        zsock_destroy(&link->socket);
    }
    *link = (link_t){.socket = NULL};
}

/* A socket on its way to the line; NULL: the endpoint cannot be used. */
static zsock_t *link_socket(const wl_call_t *call) {
    const wl_line_t *line = &call->line;
    zsock_t *socket = zsock_new(ZMQ_DEALER);
    WL_ASSERT(socket != NULL);
    zsock_set_sndhwm(socket, HWM);
    zsock_set_rcvhwm(socket, HWM);
    zsock_set_linger(socket, 0);
    zsock_set_sndtimeo(socket, 0);
    zsock_set_immediate(socket, 1);
    zsock_set_maxmsgsize(socket, (int)(line->response_bytes_max + ENVELOPE_BYTES));
    zsock_set_handshake_ivl(socket, HANDSHAKE_MS);
    zsock_set_heartbeat_ivl(socket, HEARTBEAT_MS);
    zsock_set_heartbeat_timeout(socket, HEARTBEAT_TIMEOUT_MS);
    zsock_set_reconnect_ivl(socket, RECONNECT_MS);
    zsock_set_reconnect_ivl_max(socket, RECONNECT_MAX_MS);
    if (zsock_connect(socket, "%s", wl_call_url(call)) == -1) {
        zsock_destroy(&socket);
    }
    return socket;
}

static wl_err_t link_open(wl_zmq_caller_t *self, link_t *link, const wl_call_t *call) {
    const wl_line_t *line = &call->line;
    zsock_t *socket = link_socket(call);
    if (socket == NULL) {
        return WL_ERR_SETTINGS;
    }
    *link = (link_t){.caller = self,
                     .socket = socket,
                     .response_bytes_max = line->response_bytes_max,
                     .opened_at = wl_mono_now()};
    memcpy(link->line, line->id, sizeof link->line);
    (void)snprintf(link->url, sizeof link->url, "%s", wl_call_url(call));
    int rc = zloop_reader(self->loop, socket, on_reply, link);
    WL_ASSERT(rc == 0);
    return WL_OK;
}

/* libzmq does not connect again after a peer has broken the protocol, as it does with an answer
 * beyond maxmsgsize: a link without a connection for the time of a whole call is made anew. */
static void link_renew(wl_zmq_caller_t *self, link_t *link, const wl_call_t *call,
                       wl_mono_ms_t now) {
    int64_t timeout_ms = call->line.timeout_ms;
    zsock_t *socket = now.ms - link->opened_at.ms < timeout_ms ? NULL : link_socket(call);
    if (socket == NULL) {
        return;
    }
    zloop_reader_end(self->loop, link->socket);
    zsock_destroy(&link->socket);
    link->socket = socket;
    link->opened_at = now;
    int rc = zloop_reader(self->loop, socket, on_reply, link);
    WL_ASSERT(rc == 0);
}

static link_t *link_find(wl_zmq_caller_t *self, const wl_call_t *call) {
    const wl_line_t *line = &call->line;
    for (uint32_t i = 0; i < LINKS_MAX; i++) {
        link_t *link = &self->links[i];
        if (link->socket != NULL && strcmp(link->line, line->id) == 0 &&
            strcmp(link->url, wl_call_url(call)) == 0 &&
            link->response_bytes_max == line->response_bytes_max) {
            return link;
        }
    }
    return NULL;
}

/* A free place, or that of the line which was not asked for the longest time; NULL: all wait. */
static link_t *link_place(wl_zmq_caller_t *self) {
    link_t *oldest = NULL;
    for (uint32_t i = 0; i < LINKS_MAX; i++) {
        link_t *link = &self->links[i];
        if (link->socket == NULL) {
            return link;
        }
        if (link->waiting == 0 && (oldest == NULL || link->used_at.ms < oldest->used_at.ms)) {
            oldest = link;
        }
    }
    if (oldest != NULL) {
        link_close(oldest);
    }
    return oldest;
}

/* Deadlines. */

static void waiting_expire(wl_zmq_caller_t *self, waiting_t *waiting, wl_mono_ms_t now) {
    wl_call_end_t end = {.err = waiting->sent ? WL_ERR_DEADLINE : WL_ERR_UNAVAILABLE};
    (void)snprintf(end.reason, sizeof end.reason,
                   waiting->sent ? "no answer within %u ms" : "no connection within %u ms",
                   (unsigned)waiting->call->line.timeout_ms);
    if (!waiting->sent) {
        link_renew(self, waiting->link, waiting->call, now);
    }
    waiting_end(self, waiting, &end);
}

static int on_timer(zloop_t *loop, zmq_pollitem_t *item, void *arg) {
    (void)loop;
    (void)item;
    wl_zmq_caller_t *self = arg;
    uint64_t expirations = 0;
    if (read(self->timer, &expirations, sizeof expirations) != sizeof expirations) {
        return 0;
    }
    self->armed_at = 0;
    wl_mono_ms_t now = wl_mono_now();
    int64_t next = INT64_MAX;
    for (uint32_t i = 0; i < WL_CALLS_MAX && self->waiting_count > 0; i++) {
        waiting_t *waiting = &self->waiting[i];
        if (waiting->call == NULL) {
            continue;
        }
        bool flying = waiting->sent || waiting_send(self, waiting);
        if (waiting->deadline.ms <= now.ms) {
            waiting_expire(self, waiting, now);
            continue;
        }
        int64_t due = flying ? waiting->deadline.ms : now.ms + RESEND_MS;
        next = due < next ? due : next;
    }
    if (next != INT64_MAX) {
        timer_arm(self, next < now.ms + SWEEP_MS ? now.ms + SWEEP_MS : next);
    }
    return 0;
}

/* Life. */

wl_zmq_caller_t *wl_zmq_caller_new(zloop_t *loop, wl_call_end_fn ended, void *arg) {
    wl_zmq_caller_t *self = wl_alloc_zero(1, sizeof *self);
    self->loop = loop;
    self->ended = ended;
    self->arg = arg;
    self->generation = 1;
    self->replies = wl_replies_new();
    self->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    WL_ASSERT(self->timer != -1);
    zmq_pollitem_t item = {.fd = self->timer, .events = ZMQ_POLLIN};
    int rc = zloop_poller(loop, &item, on_timer, self);
    WL_ASSERT(rc == 0);
    return self;
}

static void pack_text(msgpack_packer *packer, const char *text) {
    msgpack_pack_str(packer, strlen(text));
    msgpack_pack_str_body(packer, text, strlen(text));
}

static void pack_bytes(msgpack_packer *packer, const void *text, size_t bytes) {
    msgpack_pack_str(packer, bytes);
    msgpack_pack_str_body(packer, text, bytes);
}

static void pack_uids(msgpack_packer *packer, const wl_call_t *call, bool sealed) {
    msgpack_pack_map(packer, sealed ? 5 : 1);
    pack_text(packer, "uids");
    msgpack_pack_array(packer, call->uid_count);
    for (uint32_t i = 0; i < call->uid_count; i++) {
        msgpack_pack_uint64(packer, call->uids[i]);
    }
}

/* What is not asked for is left out. */
static void pack_page(msgpack_packer *packer, const wl_call_t *call, bool sealed) {
    bool month = call->month[0] != '\0';
    bool cursor = call->cursor_bytes > 0;
    bool limit = call->kind == WL_CALL_DETAILS;
    msgpack_pack_map(packer, 1u + month + cursor + limit + (sealed ? 4 : 0));
    pack_text(packer, "uid");
    msgpack_pack_uint64(packer, call->uids[0]);
    if (month) {
        pack_text(packer, "month");
        pack_text(packer, call->month);
    }
    if (cursor) {
        pack_text(packer, "cursor");
        pack_bytes(packer, call->cursor, call->cursor_bytes);
    }
    if (limit) {
        pack_text(packer, "limit");
        msgpack_pack_uint32(packer, call->limit);
    }
}

/* The four keys of a signature (see sign.h). */
static void pack_seal(msgpack_packer *packer, const wl_call_t *call, wl_call_key_t key) {
    wl_call_seal_t seal;
    size_t bytes = 0;
    WL_AUTO_FREE char *body = call->kind == WL_CALL_ASSETS
                                  ? wl_call_uids_text(call, "", ",", "", &bytes)
                                  : wl_call_page_text(call, &bytes);
    wl_call_seal(key, "ZMQ", wl_call_method(call), "", body, bytes, &seal);
    pack_text(packer, "line");
    pack_text(packer, call->line.id);
    pack_text(packer, "time");
    pack_text(packer, seal.time);
    pack_text(packer, "nonce");
    pack_text(packer, seal.nonce);
    pack_text(packer, "signature");
    pack_text(packer, seal.signature);
}

static void pack_request(const wl_call_t *call, wl_call_key_t key, uint64_t msgid,
                         msgpack_sbuffer *into) {
    msgpack_sbuffer args;
    msgpack_packer packer;
    msgpack_sbuffer_init(&args);
    msgpack_packer_init(&packer, &args, msgpack_sbuffer_write);
    if (call->kind == WL_CALL_ASSETS) {
        pack_uids(&packer, call, key.at != NULL);
    } else {
        pack_page(&packer, call, key.at != NULL);
    }
    if (key.at != NULL) {
        pack_seal(&packer, call, key);
    }
    wl_rpc_pack_request(into, msgid, wl_call_method(call),
                        (wl_bytes_t){(const uint8_t *)args.data, args.size});
    msgpack_sbuffer_destroy(&args);
}

wl_err_t wl_zmq_caller_start(wl_zmq_caller_t *self, wl_call_t *call, wl_call_key_t key) {
    waiting_t *waiting = &self->waiting[call->slot];
    WL_ASSERT(waiting->call == NULL);
    if (!wl_address_endpoint_allowed(wl_call_url(call))) {
        return WL_ERR_SETTINGS;
    }
    link_t *link = link_find(self, call);
    if (link == NULL) {
        link = link_place(self);
        wl_err_t err = link == NULL ? WL_ERR_FULL : link_open(self, link, call);
        if (err != WL_OK) {
            return err;
        }
    }
    link->waiting++;
    link->used_at = call->started;
    waiting->call = call;
    waiting->link = link;
    waiting->msgid = self->generation++ * WL_CALLS_MAX + call->slot;
    waiting->deadline = (wl_mono_ms_t){call->started.ms + call->line.timeout_ms};
    msgpack_sbuffer_init(&waiting->body);
    pack_request(call, key, waiting->msgid, &waiting->body);
    self->waiting_count++;
    self->unsent_count++;
    bool flying = waiting_send(self, waiting);
    timer_arm(self, flying ? waiting->deadline.ms : call->started.ms + RESEND_MS);
    return WL_OK;
}

void wl_zmq_caller_cancel(wl_zmq_caller_t *self, const wl_call_t *call) {
    waiting_t *waiting = &self->waiting[call->slot];
    WL_ASSERT(waiting->call == call);
    wl_call_t *left = waiting_leave(self, waiting);
    wl_call_destroy(&left);
}

uint64_t wl_zmq_caller_dropped(const wl_zmq_caller_t *self) {
    return self->dropped;
}

void wl_zmq_caller_destroy(wl_zmq_caller_t **pointer) {
    wl_zmq_caller_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    for (uint32_t i = 0; i < WL_CALLS_MAX; i++) {
        if (self->waiting[i].call != NULL) {
            msgpack_sbuffer_destroy(&self->waiting[i].body);
            wl_call_destroy(&self->waiting[i].call);
        }
    }
    for (uint32_t i = 0; i < LINKS_MAX; i++) {
        link_close(&self->links[i]);
    }
    zmq_pollitem_t item = {.fd = self->timer, .events = ZMQ_POLLIN};
    zloop_poller_end(self->loop, &item);
    (void)close(self->timer);
    wl_replies_destroy(&self->replies);
    wl_free(self);
    *pointer = NULL;
}
