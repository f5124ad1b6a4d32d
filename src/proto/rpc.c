#include "proto/rpc.h"

#include "base/alloc.h"
#include "base/check.h"
#include "proto/frame.h"
#include "proto/unpacker.h"

#include <errno.h>
#include <string.h>

enum {
    REQUEST_OBJECTS_MAX = 20000, /* notify.assets of 200 with 20 keys each is under 9,000 */
    TYPE_REQUEST = 0,
    TYPE_REPLY = 1,
    TYPE_NOTIFICATION = 2,
    METHOD_SHOWN_MAX = 40, /* bytes of an unknown method that its error repeats */
};

struct wl_rpc {
    wl_unpacker_t *unpacker; /* owned; objects of the last request */
    zmq_msg_t body;          /* owned; the bytes they point into */
    msgpack_sbuffer reply;   /* owned; head of a reply, or a whole error */
};

static const wl_walk_limits_t request_limits = {WL_WALK_DEPTH_MAX, REQUEST_OBJECTS_MAX};

wl_rpc_t *wl_rpc_new(void) {
    wl_rpc_t *self = wl_alloc_zero(1, sizeof *self);
    self->unpacker = wl_unpacker_new();
    (void)zmq_msg_init(&self->body);
    msgpack_sbuffer_init(&self->reply);
    return self;
}

void wl_rpc_destroy(wl_rpc_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_unpacker_destroy(&(*self)->unpacker);
    (void)zmq_msg_close(&(*self)->body);
    msgpack_sbuffer_destroy(&(*self)->reply);
    wl_free(*self);
    *self = NULL;
}

msgpack_zone *wl_rpc_zone(wl_rpc_t *self) {
    return wl_unpacker_zone(self->unpacker);
}

const char *wl_rpc_user(wl_rpc_t *self) {
    return wl_frame_user(&self->body);
}

int wl_rpc_connection(wl_rpc_t *self) {
    return wl_frame_connection(&self->body);
}

/* The envelope. */

static wl_err_t envelope_fault(wl_fault_t *fault, const char *message) {
    return wl_fault(fault, WL_ERR_MALFORMED, "", "%s", message);
}

/* A request that is refused as a whole may still begin with a readable msgid, which a client with
 * many requests under way needs in the answer. Only plain numbers are looked at. */
static void envelope_peek(wl_rpc_t *self, const uint8_t *bytes, size_t count,
                          wl_rpc_request_t *request) {
    if (count < 3) {
        return;
    }
    request->notification = bytes[0] == 0x93 && bytes[1] == TYPE_NOTIFICATION;
    bool is_number = bytes[2] < 0x80 || (bytes[2] >= 0xca && bytes[2] <= 0xd3);
    if (bytes[0] != 0x94 || bytes[1] != TYPE_REQUEST || !is_number) {
        return;
    }
    msgpack_object number;
    size_t used = 0;
    msgpack_unpack_return done = msgpack_unpack((const char *)bytes + 2, count - 2, &used,
                                                wl_unpacker_zone(self->unpacker), &number);
    bool read = done == MSGPACK_UNPACK_SUCCESS || done == MSGPACK_UNPACK_EXTRA_BYTES;
    if (!read || wl_value_u64(&number, &request->msgid) != WL_OK) {
        request->msgid = 0;
    }
}

static wl_err_t read_method(const msgpack_object *value, wl_port_t port, wl_method_t *ret,
                            wl_fault_t *fault) {
    if (value->type != MSGPACK_OBJECT_STR && value->type != MSGPACK_OBJECT_BIN) {
        return wl_fault(fault, WL_ERR_MALFORMED, "method", "method: must be text, got %s",
                        wl_value_type_name(value));
    }
    wl_method_t method = WL_METHOD_COUNT;
    if (!wl_method_find(value->via.str.ptr, value->via.str.size, &method)) {
        char shown[METHOD_SHOWN_MAX + 1] = "";
        for (uint32_t i = 0; i < value->via.str.size && i < METHOD_SHOWN_MAX; i++) {
            char letter = value->via.str.ptr[i];
            shown[i] = letter >= ' ' && letter <= '~' ? letter : '?';
        }
        return wl_fault(fault, WL_ERR_UNKNOWN_METHOD, "method", "method: there is no \"%s\"",
                        shown);
    }
    const wl_method_info_t *info = wl_method_info(method);
    if (info->port != port && info->port != WL_PORT_ANY) {
        return wl_fault(fault, WL_ERR_UNKNOWN_METHOD, "method",
                        "method: %s is served on the %s port", info->name,
                        wl_port_name(info->port));
    }
    *ret = method;
    return WL_OK;
}

/* The args map lies at the end of the body, behind the method's text and the head of the params
 * array, whose encoding the client chose. */
static wl_bytes_t args_bytes(const uint8_t *body, size_t count, const msgpack_object *method) {
    const uint8_t *at = (const uint8_t *)method->via.str.ptr + method->via.str.size;
    at += *at == 0xdc ? 3 : *at == 0xdd ? 5 : 1;
    return (wl_bytes_t){at, count - (size_t)(at - body)};
}

static wl_err_t read_params(const uint8_t *body, size_t count, const msgpack_object *method,
                            const msgpack_object *params, wl_rpc_request_t *request,
                            wl_fault_t *fault) {
    static const uint8_t empty_map[1] = {0x80};
    request->args_bytes = (wl_bytes_t){empty_map, sizeof empty_map};
    if (params->type != MSGPACK_OBJECT_ARRAY || params->via.array.size > 1) {
        return wl_fault(fault, WL_ERR_MALFORMED, "params",
                        "params: must be an array that holds one map");
    }
    if (params->via.array.size == 0 || params->via.array.ptr[0].type == MSGPACK_OBJECT_NIL) {
        return WL_OK;
    }
    const msgpack_object *args = &params->via.array.ptr[0];
    if (args->type != MSGPACK_OBJECT_MAP) {
        return wl_fault(fault, WL_ERR_MALFORMED, "params", "params: the args must be a map, got %s",
                        wl_value_type_name(args));
    }
    request->args = args;
    request->args_bytes = args_bytes(body, count, method);
    return WL_OK;
}

static wl_err_t read_deadline(wl_rpc_request_t *request, wl_fault_t *fault) {
    int64_t deadline_ms = 0;
    wl_err_t err = wl_args_i64(request->args, "deadline_ms", &deadline_ms, fault);
    if (err == WL_ERR_NOT_FOUND) {
        return WL_OK;
    }
    if (err == WL_OK && deadline_ms <= 0) {
        return wl_fault(fault, WL_ERR_DEADLINE, "deadline_ms", "deadline_ms: is used up");
    }
    if (err == WL_OK) {
        request->deadline_ms = deadline_ms < WL_DEADLINE_MS_MAX ? deadline_ms : WL_DEADLINE_MS_MAX;
    }
    return err;
}

/* Sets msgid and notification of the request, returns where the method is: 1 or 2, 0 on failure. */
static uint32_t read_type(const msgpack_object *root, wl_rpc_request_t *request,
                          wl_fault_t *fault) {
    uint64_t type = TYPE_REPLY;
    bool is_array = root->type == MSGPACK_OBJECT_ARRAY && root->via.array.size >= 1;
    if (is_array && wl_value_u64(&root->via.array.ptr[0], &type) == WL_OK) {
        const msgpack_object_array *top = &root->via.array;
        if (type == TYPE_NOTIFICATION) {
            request->notification = true;
            if (top->size == 3) {
                return 1;
            }
        } else if (type == TYPE_REQUEST && top->size >= 2 &&
                   wl_value_u64(&top->ptr[1], &request->msgid) == WL_OK && top->size == 4) {
            return 2;
        }
    }
    (void)envelope_fault(fault, "a request is [0, msgid, method, [args]] with an integer msgid");
    return 0;
}

wl_err_t wl_rpc_decode(wl_rpc_t *self, const void *bytes, size_t count, wl_port_t port,
                       wl_rpc_request_t *ret_request, wl_fault_t *fault) {
    wl_peer_t peer = ret_request->peer;
    *ret_request = (wl_rpc_request_t){.peer = peer, .method = WL_METHOD_COUNT};
    int bytes_max = port == WL_PORT_READER ? WL_REQUEST_BYTES_MAX : WL_CONFIG_REQUEST_BYTES_MAX;
    if (count > (size_t)bytes_max) {
        envelope_peek(self, bytes, count, ret_request);
        return wl_fault(fault, WL_ERR_TOO_BIG, "", "a request has at most %d bytes, got %zu",
                        bytes_max, count);
    }
    const msgpack_object *root = NULL;
    wl_err_t err = wl_unpacker_read(self->unpacker, bytes, count, &request_limits, &root);
    if (err != WL_OK) {
        envelope_peek(self, bytes, count, ret_request);
        return err == WL_ERR_TOO_BIG
                   ? wl_fault(fault, err, "",
                              "a request is at most %d deep and has at most %d objects",
                              WL_WALK_DEPTH_MAX, REQUEST_OBJECTS_MAX)
                   : wl_fault(fault, err, "", "the body is not one whole MessagePack object");
    }
    uint32_t method_at = read_type(root, ret_request, fault);
    if (method_at == 0) {
        return WL_ERR_MALFORMED;
    }
    const msgpack_object *method = &root->via.array.ptr[method_at];
    err = read_method(method, port, &ret_request->method, fault);
    if (err == WL_OK && count > WL_REQUEST_BYTES_MAX && !wl_method_config(ret_request->method)) {
        err = wl_fault(fault, WL_ERR_TOO_BIG, "", "a request has at most %d bytes, got %zu",
                       WL_REQUEST_BYTES_MAX, count);
    }
    if (err == WL_OK) {
        err = read_params(bytes, count, method, method + 1, ret_request, fault);
    }
    return err == WL_OK ? read_deadline(ret_request, fault) : err;
}

/* Frames. */

/* Takes the frame of ZMQ_REQ_CORRELATE, if `frame` is one; the delimiter follows it. */
static void recv_correlation(void *socket, zmq_msg_t *frame, wl_peer_t *peer) {
    if (!zmq_msg_more(frame) || zmq_msg_size(frame) != WL_CORRELATION_BYTES) {
        return;
    }
    memcpy(peer->correlation, zmq_msg_data(frame), WL_CORRELATION_BYTES);
    peer->correlated = wl_frame_recv(socket, frame);
}

/* Takes the identity and the delimiter; the body is in self->body afterwards. */
static wl_err_t recv_frames(wl_rpc_t *self, void *socket, wl_peer_t *peer, wl_fault_t *fault) {
    zmq_msg_t *frame = &self->body;
    if (!wl_frame_recv(socket, frame)) {
        return WL_ERR_EMPTY;
    }
    size_t bytes = zmq_msg_size(frame);
    WL_ASSERT(bytes <= WL_ROUTING_ID_MAX); /* libzmq's own promise, not the peer's */
    memcpy(peer->identity, zmq_msg_data(frame), bytes);
    peer->identity_bytes = (uint8_t)bytes;
    if (!zmq_msg_more(frame) || !wl_frame_recv(socket, frame)) {
        return envelope_fault(fault, "a message without a body");
    }
    recv_correlation(socket, frame, peer);
    if (zmq_msg_more(frame) && zmq_msg_size(frame) == 0) {
        peer->delimiter = true;
        if (!wl_frame_recv(socket, frame)) {
            return envelope_fault(fault, "a message without a body");
        }
    }
    if (zmq_msg_more(frame) || (peer->correlated && !peer->delimiter)) {
        peer->correlated = false;
        wl_frame_drain(socket, frame);
        return envelope_fault(fault, "a request is one frame, behind an empty one if you like");
    }
    return WL_OK;
}

wl_err_t wl_rpc_recv(wl_rpc_t *self, zsock_t *router, wl_port_t port, wl_rpc_request_t *ret_request,
                     wl_fault_t *fault) {
    wl_peer_t peer = {.identity_bytes = 0};
    wl_err_t err = recv_frames(self, zsock_resolve(router), &peer, fault);
    if (err == WL_ERR_EMPTY) {
        return err;
    }
    if (err != WL_OK) {
        *ret_request = (wl_rpc_request_t){.peer = peer, .method = WL_METHOD_COUNT};
        return err;
    }
    ret_request->peer = peer;
    return wl_rpc_decode(self, zmq_msg_data(&self->body), zmq_msg_size(&self->body), port,
                         ret_request, fault);
}

static wl_err_t send_frame(void *socket, wl_bytes_t first, wl_bytes_t second, int flags) {
    zmq_msg_t frame;
    int rc = zmq_msg_init_size(&frame, first.count + second.count);
    WL_ASSERT(rc == 0);
    uint8_t *at = zmq_msg_data(&frame);
    if (first.count > 0) {
        memcpy(at, first.at, first.count);
    }
    if (second.count > 0) {
        memcpy(at + first.count, second.at, second.count);
    }
    switch (wl_frame_send(socket, &frame, flags)) {
    case 0: return WL_OK;
    case EAGAIN: return WL_ERR_FULL;
    default: return WL_ERR_UNAVAILABLE; /* EHOSTUNREACH: the client has gone */
    }
}

/* ROUTER decides about a message at its first frame; the others then never fail for the peer. */
static wl_err_t send_reply(wl_rpc_t *self, zsock_t *router, const wl_peer_t *peer,
                           wl_bytes_t result) {
    if (peer->identity_bytes == 0) {
        return WL_ERR_UNAVAILABLE;
    }
    void *socket = zsock_resolve(router);
    wl_bytes_t identity = {peer->identity, peer->identity_bytes};
    wl_bytes_t head = {(const uint8_t *)self->reply.data, self->reply.size};
    wl_bytes_t none = {NULL, 0};
    wl_err_t err = send_frame(socket, identity, none, ZMQ_SNDMORE);
    if (err == WL_OK && peer->correlated) {
        wl_bytes_t number = {peer->correlation, WL_CORRELATION_BYTES};
        err = send_frame(socket, number, none, ZMQ_SNDMORE);
    }
    if (err == WL_OK && peer->delimiter) {
        err = send_frame(socket, none, none, ZMQ_SNDMORE);
    }
    return err == WL_OK ? send_frame(socket, head, result, 0) : err;
}

static void pack_text(msgpack_packer *packer, const char *text, size_t bytes) {
    msgpack_pack_str(packer, bytes);
    msgpack_pack_str_body(packer, text, bytes);
}

/* [1, msgid, and the packer for what follows. */
static msgpack_packer reply_begin(wl_rpc_t *self, uint64_t msgid) {
    msgpack_packer packer;
    msgpack_sbuffer_clear(&self->reply);
    msgpack_packer_init(&packer, &self->reply, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 4);
    msgpack_pack_int(&packer, TYPE_REPLY);
    msgpack_pack_uint64(&packer, msgid);
    return packer;
}

wl_err_t wl_rpc_send_result(wl_rpc_t *self, zsock_t *router, const wl_peer_t *peer, uint64_t msgid,
                            wl_bytes_t result) {
    static const uint8_t nil[1] = {0xc0};
    msgpack_packer packer = reply_begin(self, msgid);
    msgpack_pack_nil(&packer);
    return send_reply(self, router, peer,
                      result.count > 0 ? result : (wl_bytes_t){nil, sizeof nil});
}

/* Bytes of text up to max, not cutting a UTF-8 character in two. */
static size_t text_cut(const char *text, size_t max) {
    size_t bytes = strnlen(text, max + 1);
    if (bytes <= max) {
        return bytes;
    }
    bytes = max;
    while (bytes > 0 && ((unsigned char)text[bytes] & 0xc0) == 0x80) {
        bytes--;
    }
    return bytes;
}

wl_err_t wl_rpc_send_error(wl_rpc_t *self, zsock_t *router, const wl_peer_t *peer, uint64_t msgid,
                           wl_err_t err, const char *text, uint32_t retry_after_ms) {
    WL_ASSERT(err != WL_OK);
    const char *code = wl_err_wire_code(err);
    const char *message = text == NULL ? wl_err_text(err) : text;
    msgpack_packer packer = reply_begin(self, msgid);
    msgpack_pack_map(&packer, retry_after_ms > 0 ? 4 : 3);
    pack_text(&packer, "code", 4);
    pack_text(&packer, code, strlen(code));
    pack_text(&packer, "message", 7);
    pack_text(&packer, message, text_cut(message, WL_MESSAGE_TEXT_MAX));
    pack_text(&packer, "retryable", 9);
    if (wl_err_retryable(err)) {
        msgpack_pack_true(&packer);
    } else {
        msgpack_pack_false(&packer);
    }
    if (retry_after_ms > 0) {
        pack_text(&packer, "retry_after_ms", 14);
        msgpack_pack_uint32(&packer, retry_after_ms);
    }
    msgpack_pack_nil(&packer);
    return send_reply(self, router, peer, (wl_bytes_t){NULL, 0});
}

void wl_rpc_pack_request(msgpack_sbuffer *into, uint64_t msgid, const char *method,
                         wl_bytes_t args) {
    msgpack_packer packer;
    msgpack_packer_init(&packer, into, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 4);
    msgpack_pack_int(&packer, TYPE_REQUEST);
    msgpack_pack_uint64(&packer, msgid);
    pack_text(&packer, method, strlen(method));
    msgpack_pack_array(&packer, 1);
    if (args.count == 0) {
        msgpack_pack_map(&packer, 0);
    } else {
        (void)msgpack_sbuffer_write(into, (const char *)args.at, args.count);
    }
}
