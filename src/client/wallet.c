#include "wallet.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/limits.h"
#include "client/client_keys.h"
#include "proto/walk.h"

#include <czmq.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

enum {
    CLIENT_HWM = 2 * WALLET_IN_FLIGHT_MAX, /* more than can be under way: never the limit */
    RECONNECT_MS = 50,                     /* first pause before connecting again... */
    RECONNECT_MAX_MS = 2000,               /* ...doubled up to this one */
    HEARTBEAT_MS = 5000,                   /* a connection that died silently is found... */
    HEARTBEAT_TIMEOUT_MS = 15000,          /* ...after so long */
    REPLY_BYTES_MAX = 16 * 1024 * 1024,    /* the peer is not trusted either */
    REPLY_FIELDS = 4,                      /* [1, msgid, error, result] */
};

/* Replies hold a whole wallet at most; the bound only keeps garbage from costing memory. */
static const wl_walk_limits_t reply_limits = {
    .depth_max = 32,
    .objects_max = 1u << 20,
};

struct wallet {
    zsock_t *socket;       /* owned DEALER */
    char *endpoint;        /* owned, to connect anew */
    wl_client_keys_t keys; /* wiped at the end */
    uint32_t server;       /* which of the server's keys is tried */
    zmq_msg_t body;        /* the reply that the caller looks at */
    msgpack_sbuffer out;   /* the request that is being built */
    msgpack_zone *zone;    /* objects of one reply while it is read */
    uint64_t next;         /* number of the next request */
    uint64_t *flying;      /* [number % WALLET_IN_FLIGHT_MAX]: the number, 0 = free */
    uint32_t flying_count; /* entries of flying that are not 0 */
    uint64_t dropped;      /* late or unreadable messages */
};

/* NULL: the endpoint is not well formed. */
static zsock_t *socket_open(const char *endpoint, const wl_client_keys_t *keys, uint32_t server) {
    zsock_t *socket = zsock_new(ZMQ_DEALER);
    WL_ASSERT(socket != NULL);
    zsock_set_sndhwm(socket, CLIENT_HWM);
    zsock_set_rcvhwm(socket, CLIENT_HWM);
    zsock_set_linger(socket, 0);
    zsock_set_sndtimeo(socket, 0);
    zsock_set_maxmsgsize(socket, REPLY_BYTES_MAX);
    zsock_set_reconnect_ivl(socket, RECONNECT_MS);
    zsock_set_reconnect_ivl_max(socket, RECONNECT_MAX_MS);
    zsock_set_heartbeat_ivl(socket, HEARTBEAT_MS);
    zsock_set_heartbeat_timeout(socket, HEARTBEAT_TIMEOUT_MS);
    /* Without a connection nothing is queued: a request that its caller has given up must not be
     * delivered later, when the server is back. */
    zsock_set_immediate(socket, 1);
    wl_client_keys_apply(keys, server, socket);
    if (zsock_connect(socket, "%s", endpoint) == -1) {
        zsock_destroy(&socket);
    }
    return socket;
}

static void problem_say(char *ret_problem, size_t bytes, const char *text) {
    if (ret_problem != NULL && bytes > 0) {
        (void)snprintf(ret_problem, bytes, "%s", text);
    }
}

wallet_t *wallet_open_with(const char *endpoint, const wallet_options_t *options, char *ret_problem,
                           size_t problem_bytes) {
    const wallet_options_t named = {getenv("WALLET_KEY"), getenv("WALLET_SERVER_KEY")};
    options = options == NULL ? &named : options;
    wl_client_keys_t keys;
    wl_fault_t fault = {.where = ""};
    if (wl_client_keys_read(options->key_file, options->server_key_file, &keys, &fault) != WL_OK) {
        problem_say(ret_problem, problem_bytes, fault.message);
        return NULL;
    }
    zsock_t *socket = endpoint == NULL ? NULL : socket_open(endpoint, &keys, 0);
    if (socket == NULL) {
        wl_client_keys_forget(&keys);
        problem_say(ret_problem, problem_bytes, "not an endpoint such as tcp://127.0.0.1:7700");
        return NULL;
    }
    wallet_t *self = wl_alloc_zero(1, sizeof *self);
    self->socket = socket;
    self->endpoint = wl_alloc_zero(strlen(endpoint) + 1, 1);
    memcpy(self->endpoint, endpoint, strlen(endpoint) + 1);
    self->keys = keys;
    wl_client_keys_forget(&keys);
    self->flying = wl_alloc_zero(WALLET_IN_FLIGHT_MAX, sizeof *self->flying);
    self->next = 1;
    self->zone = msgpack_zone_new(4096);
    WL_ASSERT(self->zone != NULL);
    msgpack_sbuffer_init(&self->out);
    int rc = zmq_msg_init(&self->body);
    WL_ASSERT(rc == 0);
    return self;
}

wallet_t *wallet_open(const char *endpoint) {
    return wallet_open_with(endpoint, NULL, NULL, 0);
}

/* libzmq gives a connection up whose key was refused, and it knows one server key at a time. What
 * was under way went with the connection before. */
static void wallet_connect_anew(wallet_t *self) {
    zsock_t *socket = socket_open(self->endpoint, &self->keys, self->server + 1);
    if (socket != NULL) {
        zsock_destroy(&self->socket);
        self->socket = socket;
        self->server++;
    }
}

void wallet_close(wallet_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wallet_t *wallet = *self;
    zmq_msg_close(&wallet->body);
    msgpack_sbuffer_destroy(&wallet->out);
    msgpack_zone_free(wallet->zone);
    wl_free(wallet->flying);
    wl_free(wallet->endpoint);
    zsock_destroy(&wallet->socket);
    wl_client_keys_forget(&wallet->keys);
    wl_free(wallet);
    *self = NULL;
}

uint32_t wallet_in_flight(const wallet_t *self) {
    WL_ASSERT(self != NULL);
    return self->flying_count;
}

uint64_t wallet_dropped(const wallet_t *self) {
    WL_ASSERT(self != NULL);
    return self->dropped;
}

const char *wallet_status_text(wallet_status_t status) {
    switch (status) {
    case WALLET_OK: return "ok";
    case WALLET_REFUSED: return "refused";
    case WALLET_TIMEOUT: return "timeout";
    case WALLET_UNREACHABLE: return "unreachable";
    case WALLET_FULL: return "full";
    case WALLET_INVALID: return "invalid";
    }
    return "invalid";
}

static uint64_t *wallet_flight(wallet_t *self, uint64_t msgid) {
    return &self->flying[msgid % WALLET_IN_FLIGHT_MAX];
}

void wallet_forget(wallet_t *self, uint64_t msgid) {
    WL_ASSERT(self != NULL);
    uint64_t *flight = wallet_flight(self, msgid);
    if (msgid != 0 && *flight == msgid) {
        *flight = 0;
        WL_ASSERT(self->flying_count > 0);
        self->flying_count--;
    }
}

/* Waits until the socket can be used; false when until_ms (monotonic) came first. */
static bool wallet_wait(wallet_t *self, short events, int64_t until_ms) {
    for (;;) {
        int64_t left = until_ms - wl_mono_now().ms;
        zmq_pollitem_t item = {.socket = zsock_resolve(self->socket), .events = events};
        int rc = zmq_poll(&item, 1, left > 0 ? (long)left : 0);
        if (rc > 0) {
            return true;
        }
        if (rc == 0 && left <= 0) {
            return false;
        }
        if (rc == -1 && zmq_errno() != EINTR) {
            return false; /* the context is being terminated */
        }
    }
}

/* Waits for a connection. With keys, each of the server's gets its share of the time. */
static bool wallet_ready(wallet_t *self, int timeout_ms) {
    int64_t until_ms = wl_mono_now().ms + timeout_ms;
    uint32_t tries = self->keys.servers > 1 ? self->keys.servers : 1;
    for (uint32_t left = tries; left > 0; left--) {
        int64_t now = wl_mono_now().ms;
        if (wallet_wait(self, ZMQ_POLLOUT, now + (until_ms - now) / left)) {
            return true;
        }
        if (self->keys.servers > 0 && timeout_ms > 0) {
            wallet_connect_anew(self);
        }
    }
    return false;
}

/* ---- requests ------------------------------------------------------------------------------- */

/* One MessagePack map and nothing behind it, or nothing at all. */
static bool args_valid(const void *args, size_t args_bytes) {
    if (args_bytes == 0) {
        return true;
    }
    const wl_walk_limits_t limits = {.depth_max = WL_WALK_DEPTH_MAX,
                                     .objects_max = WALLET_REQUEST_BYTES_MAX};
    if (args == NULL || wl_walk(args, args_bytes, &limits, NULL) != WL_OK) {
        return false;
    }
    uint8_t first = *(const uint8_t *)args;
    return (first & 0xf0) == 0x80 || first == 0xde || first == 0xdf;
}

static void wallet_pack(wallet_t *self, const char *method, const void *args, size_t args_bytes) {
    msgpack_packer packer;
    msgpack_sbuffer_clear(&self->out);
    msgpack_packer_init(&packer, &self->out, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 4);
    msgpack_pack_int(&packer, 0);
    msgpack_pack_uint64(&packer, self->next);
    msgpack_pack_str_with_body(&packer, method, strlen(method));
    msgpack_pack_array(&packer, 1);
    if (args_bytes == 0) {
        msgpack_pack_map(&packer, 0);
    } else {
        msgpack_sbuffer_write(&self->out, args, args_bytes);
    }
}

wallet_status_t wallet_send(wallet_t *self, const char *method, const void *args, size_t args_bytes,
                            int timeout_ms, uint64_t *ret_msgid) {
    WL_ASSERT(self != NULL);
    if (method == NULL || method[0] == '\0' ||
        strnlen(method, WALLET_METHOD_MAX + 1) > WALLET_METHOD_MAX || timeout_ms < 0 ||
        args_bytes > WALLET_REQUEST_BYTES_MAX || !args_valid(args, args_bytes)) {
        return WALLET_INVALID;
    }
    if (*wallet_flight(self, self->next) != 0) {
        return WALLET_FULL;
    }
    wallet_pack(self, method, args, args_bytes);
    if (self->out.size > WALLET_REQUEST_BYTES_MAX) {
        return WALLET_INVALID;
    }
    if (!wallet_ready(self, timeout_ms)) {
        return WALLET_UNREACHABLE;
    }
    void *socket = zsock_resolve(self->socket);
    /* With the delimiter that a REQ would add: brokers in between look for it. */
    if (zmq_send(socket, "", 0, ZMQ_SNDMORE | ZMQ_DONTWAIT) == -1 ||
        zmq_send(socket, self->out.data, self->out.size, ZMQ_DONTWAIT) == -1) {
        return WALLET_UNREACHABLE;
    }
    uint64_t msgid = self->next++;
    *wallet_flight(self, msgid) = msgid;
    self->flying_count++;
    if (ret_msgid != NULL) {
        *ret_msgid = msgid;
    }
    return WALLET_OK;
}

/* ---- replies -------------------------------------------------------------------------------- */

static void text_take(const msgpack_object *value, char *into, size_t room) {
    size_t bytes = 0;
    if (value->type == MSGPACK_OBJECT_STR || value->type == MSGPACK_OBJECT_BIN) {
        bytes = value->via.str.size < room - 1 ? value->via.str.size : room - 1;
        memcpy(into, value->via.str.ptr, bytes);
    }
    into[bytes] = '\0';
}

static bool key_is(const msgpack_object *key, const char *name) {
    return key->type == MSGPACK_OBJECT_STR && key->via.str.size == strlen(name) &&
           memcmp(key->via.str.ptr, name, key->via.str.size) == 0;
}

/* {code, message, retryable, retry_after_ms?}; what is missing keeps its zero. */
static void error_take(const msgpack_object *error, wallet_error_t *into) {
    memcpy(into->code, "internal", sizeof "internal");
    if (error->type != MSGPACK_OBJECT_MAP) {
        text_take(error, into->message, sizeof into->message);
        return;
    }
    for (uint32_t i = 0; i < error->via.map.size; i++) {
        const msgpack_object *key = &error->via.map.ptr[i].key;
        const msgpack_object *value = &error->via.map.ptr[i].val;
        if (key_is(key, "code")) {
            text_take(value, into->code, sizeof into->code);
        } else if (key_is(key, "message")) {
            text_take(value, into->message, sizeof into->message);
        } else if (key_is(key, "retryable") && value->type == MSGPACK_OBJECT_BOOLEAN) {
            into->retryable = value->via.boolean;
        } else if (key_is(key, "retry_after_ms") &&
                   value->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
            into->retry_after_ms =
                value->via.u64 > UINT32_MAX ? UINT32_MAX : (uint32_t)value->via.u64;
        }
    }
}

/* Length of the header of an array of REPLY_FIELDS, 0 when it is none. */
static size_t reply_header(const uint8_t *bytes, size_t count) {
    if (count >= 1 && bytes[0] == (0x90 | REPLY_FIELDS)) {
        return 1;
    }
    if (count >= 3 && memcmp(bytes, "\xdc\0\x04", 3) == 0) {
        return 3;
    }
    return count >= 5 && memcmp(bytes, "\xdd\0\0\0\x04", 5) == 0 ? 5 : 0;
}

/* Reads [1, msgid, error, result]; false when the bytes are no reply. Field by field, because the
 * caller gets the bytes of the result and msgpack-c tells where each object ends. */
static bool wallet_read(wallet_t *self, const uint8_t *bytes, size_t count,
                        wallet_reply_t *ret_reply) {
    size_t at = reply_header(bytes, count);
    if (at == 0 || wl_walk(bytes, count, &reply_limits, NULL) != WL_OK) {
        return false;
    }
    msgpack_object fields[REPLY_FIELDS];
    size_t begin = at;
    msgpack_zone_clear(self->zone);
    for (unsigned i = 0; i < REPLY_FIELDS; i++) {
        begin = at;
        msgpack_unpack_return rc =
            msgpack_unpack((const char *)bytes, count, &at, self->zone, &fields[i]);
        if (rc != MSGPACK_UNPACK_SUCCESS && rc != MSGPACK_UNPACK_EXTRA_BYTES) {
            return false;
        }
    }
    if (fields[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER || fields[0].via.u64 != 1 ||
        fields[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER) {
        return false;
    }
    *ret_reply = (wallet_reply_t){.msgid = fields[1].via.u64};
    if (fields[2].type != MSGPACK_OBJECT_NIL) {
        error_take(&fields[2], &ret_reply->error);
    } else {
        ret_reply->result = bytes + begin;
        ret_reply->result_bytes = at - begin;
    }
    return true;
}

/* Takes one message, keeps its last frame. false: nothing there. *ret_frames = frames seen. */
static bool wallet_take(wallet_t *self, unsigned *ret_frames, bool *ret_plain) {
    void *socket = zsock_resolve(self->socket);
    *ret_frames = 0;
    *ret_plain = true;
    bool more = true;
    while (more) {
        if (zmq_msg_recv(&self->body, socket, ZMQ_DONTWAIT) == -1) {
            return false;
        }
        more = zmq_msg_more(&self->body) != 0;
        *ret_plain = *ret_plain && (!more || zmq_msg_size(&self->body) == 0);
        (*ret_frames)++;
    }
    return true;
}

wallet_status_t wallet_receive(wallet_t *self, int timeout_ms, wallet_reply_t *ret_reply) {
    WL_ASSERT(self != NULL);
    WL_ASSERT(ret_reply != NULL);
    *ret_reply = (wallet_reply_t){0};
    if (self->flying_count == 0 || timeout_ms < 0) {
        return WALLET_INVALID;
    }
    int64_t until_ms = wl_mono_now().ms + timeout_ms;
    for (;;) {
        unsigned frames;
        bool plain;
        while (wallet_take(self, &frames, &plain)) {
            wallet_reply_t reply;
            bool known =
                plain && frames <= 2 &&
                wallet_read(self, zmq_msg_data(&self->body), zmq_msg_size(&self->body), &reply) &&
                reply.msgid != 0 && *wallet_flight(self, reply.msgid) == reply.msgid;
            if (known) {
                wallet_forget(self, reply.msgid);
                *ret_reply = reply;
                return reply.result == NULL ? WALLET_REFUSED : WALLET_OK;
            }
            self->dropped++;
            if (wl_mono_now().ms > until_ms) {
                return WALLET_TIMEOUT; /* a flood of garbage must not hold the caller */
            }
        }
        if (!wallet_wait(self, ZMQ_POLLIN, until_ms)) {
            return WALLET_TIMEOUT;
        }
    }
}

wallet_status_t wallet_call(wallet_t *self, const char *method, const void *args, size_t args_bytes,
                            int timeout_ms, wallet_reply_t *ret_reply) {
    WL_ASSERT(self != NULL);
    WL_ASSERT(ret_reply != NULL);
    *ret_reply = (wallet_reply_t){0};
    if (timeout_ms <= 0 || self->flying_count > 0) {
        return WALLET_INVALID;
    }
    int64_t until_ms = wl_mono_now().ms + timeout_ms;
    uint64_t msgid;
    wallet_status_t status = wallet_send(self, method, args, args_bytes, timeout_ms, &msgid);
    if (status != WALLET_OK) {
        return status;
    }
    int64_t left = until_ms - wl_mono_now().ms;
    status = wallet_receive(self, left > 0 ? (int)left : 0, ret_reply);
    wallet_forget(self, msgid);
    return status;
}
