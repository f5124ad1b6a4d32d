#include "proto/reply.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/limits.h"
#include "proto/args.h"
#include "proto/frame.h"
#include "proto/walk.h"

#include <errno.h>
#include <string.h>

enum {
    OBJECTS_FREE = 64, /* any reply may have so many, larger ones one per two bytes */
    TYPE_REPLY = 1,
    ZONE_BYTES = 2048,
    RETRY_AFTER_MS_MAX = 3600000, /* an hour: longer is a mistake of the peer */
};

struct wl_replies {
    zmq_msg_t body;    /* owned; the frame received last */
    msgpack_zone zone; /* owned; objects of its head */
};

wl_replies_t *wl_replies_new(void) {
    wl_replies_t *self = wl_alloc_zero(1, sizeof *self);
    (void)zmq_msg_init(&self->body);
    bool ready = msgpack_zone_init(&self->zone, ZONE_BYTES);
    WL_ASSERT(ready);
    return self;
}

void wl_replies_destroy(wl_replies_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    (void)zmq_msg_close(&(*self)->body);
    msgpack_zone_destroy(&(*self)->zone);
    wl_free(*self);
    *self = NULL;
}

/* Bytes of the head of an array of four, whatever its encoding; 0: something else. */
static size_t array_head(const uint8_t *at, size_t count) {
    if (count >= 1 && at[0] == 0x94) {
        return 1;
    }
    if (count >= 3 && at[0] == 0xdc && at[1] == 0 && at[2] == 4) {
        return 3;
    }
    if (count >= 5 && at[0] == 0xdd && memcmp(at + 1, "\0\0\0\4", 4) == 0) {
        return 5;
    }
    return 0;
}

/* The next object; *used moves past it. The walk has shown that it is there. */
static bool read_next(wl_replies_t *self, const uint8_t *bytes, size_t count, size_t *used,
                      msgpack_object *ret) {
    msgpack_unpack_return done = msgpack_unpack((const char *)bytes, count, used, &self->zone, ret);
    return done == MSGPACK_UNPACK_SUCCESS || done == MSGPACK_UNPACK_EXTRA_BYTES;
}

static void read_error(const msgpack_object *error, wl_reply_t *reply) {
    reply->failed = true;
    if (wl_args_text(error, "code", reply->code, sizeof reply->code - 1, NULL) != WL_OK) {
        reply->code[0] = '\0'; /* the reply says no more than that it failed */
    }
    for (char *letter = reply->code; *letter != '\0'; letter++) {
        if (*letter <= ' ' || *letter > '~') {
            *letter = '?';
        }
    }
    int64_t after_ms = 0;
    if (wl_args_i64(error, "retry_after_ms", &after_ms, NULL) == WL_OK && after_ms > 0) {
        reply->retry_after_ms = after_ms < RETRY_AFTER_MS_MAX ? after_ms : RETRY_AFTER_MS_MAX;
    }
}

wl_err_t wl_replies_decode(wl_replies_t *self, const void *bytes, size_t count, wl_reply_t *ret) {
    msgpack_zone_clear(&self->zone);
    if (count > UINT32_MAX) {
        return WL_ERR_MALFORMED;
    }
    wl_walk_limits_t limits = {WL_WALK_DEPTH_MAX, OBJECTS_FREE + (uint32_t)(count / 2)};
    size_t used = array_head(bytes, count);
    if (used == 0 || wl_walk(bytes, count, &limits, NULL) != WL_OK) {
        return WL_ERR_MALFORMED;
    }
    wl_reply_t reply;
    memset(&reply, 0, sizeof reply);
    msgpack_object head[3]; /* type, msgid, error */
    for (size_t i = 0; i < WL_COUNT_OF(head); i++) {
        if (!read_next(self, bytes, count, &used, &head[i])) {
            return WL_ERR_MALFORMED;
        }
    }
    uint64_t type = 0;
    if (wl_value_u64(&head[0], &type) != WL_OK || type != TYPE_REPLY ||
        wl_value_u64(&head[1], &reply.msgid) != WL_OK) {
        return WL_ERR_MALFORMED;
    }
    if (head[2].type != MSGPACK_OBJECT_NIL) {
        read_error(&head[2], &reply);
    } else {
        reply.result = (wl_bytes_t){(const uint8_t *)bytes + used, count - used};
    }
    *ret = reply;
    return WL_OK;
}

wl_err_t wl_replies_recv(wl_replies_t *self, zsock_t *dealer, wl_reply_t *ret) {
    void *socket = zsock_resolve(dealer);
    zmq_msg_t *frame = &self->body;
    if (!wl_frame_recv(socket, frame)) {
        return WL_ERR_EMPTY;
    }
    if (zmq_msg_more(frame) && zmq_msg_size(frame) == 0 && !wl_frame_recv(socket, frame)) {
        return WL_ERR_MALFORMED;
    }
    if (zmq_msg_more(frame)) {
        wl_frame_drain(socket, frame);
        return WL_ERR_MALFORMED;
    }
    return wl_replies_decode(self, zmq_msg_data(frame), zmq_msg_size(frame), ret);
}

wl_err_t wl_request_send(zsock_t *dealer, wl_bytes_t body) {
    void *socket = zsock_resolve(dealer);
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame); /* the delimiter, for lines that answer with a REP */
    int reason = wl_frame_send(socket, &frame, ZMQ_SNDMORE);
    if (reason == 0) {
        int rc = zmq_msg_init_size(&frame, body.count);
        WL_ASSERT(rc == 0);
        if (body.count > 0) {
            memcpy(zmq_msg_data(&frame), body.at, body.count);
        }
        reason = wl_frame_send(socket, &frame, 0);
    }
    return reason == 0 ? WL_OK : reason == EAGAIN ? WL_ERR_FULL : WL_ERR_UNAVAILABLE;
}
