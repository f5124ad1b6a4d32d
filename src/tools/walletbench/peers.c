#include "tools/walletbench/peers.h"

#include "base/alloc.h"
#include "base/clock.h"

#include <msgpack.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <zmq.h>

enum {
    ECHO_HEAD = 8,  /* [1, msgid as u32, nil, */
    FRAMES_MAX = 4, /* identity, maybe the two frames of a REQ, body */
    REQUEST_MAX = 65536,
    PEER_HWM = 100000,
};

static void *router_open(const char *endpoint) {
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_ROUTER);
    int hwm = PEER_HWM;
    (void)zmq_setsockopt(socket, ZMQ_SNDHWM, &hwm, sizeof hwm);
    (void)zmq_setsockopt(socket, ZMQ_RCVHWM, &hwm, sizeof hwm);
    if (zmq_bind(socket, endpoint) == -1) {
        (void)fprintf(stderr, "walletbench: %s: %s\n", endpoint, zmq_strerror(zmq_errno()));
        return NULL;
    }
    return socket;
}

int bench_echo(const char *endpoint, size_t bytes) {
    void *socket = router_open(endpoint);
    if (socket == NULL || bytes < ECHO_HEAD) {
        return 1;
    }
    unsigned char *reply = wl_alloc_zero(bytes, 1);
    reply[0] = 0x94;
    reply[1] = 0x01;
    reply[7] = 0xc0;
    for (;;) {
        unsigned char part[REQUEST_MAX];
        int more = 1;
        int count = 0;
        while (more != 0) {
            count = zmq_recv(socket, part, sizeof part, 0);
            if (count == -1) {
                return 1;
            }
            size_t size = sizeof more;
            (void)zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size);
            if (more != 0 && zmq_send(socket, part, (size_t)count, ZMQ_SNDMORE) == -1) {
                return 1;
            }
        }
        if (count >= 7) {
            memcpy(reply + 2, part + 2, 5); /* the msgid as it came: 0xce and four bytes */
        }
        if (zmq_send(socket, reply, bytes, 0) == -1) {
            return 1;
        }
    }
}

/* ---- the line ------------------------------------------------------------------------------- */

static uint64_t wall_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void text_pack(msgpack_packer *packer, const char *text) {
    (void)msgpack_pack_str_with_body(packer, text, strlen(text));
}

static void asset_pack(msgpack_packer *packer, uint64_t uid, uint64_t version) {
    (void)msgpack_pack_map(packer, 4);
    text_pack(packer, "uid");
    (void)msgpack_pack_uint64(packer, uid);
    text_pack(packer, "version");
    (void)msgpack_pack_uint64(packer, version);
    text_pack(packer, "amount");
    (void)msgpack_pack_uint64(packer, 100 + version % 100000);
    text_pack(packer, "title");
    text_pack(packer, "Balance");
}

static const msgpack_object *map_find(const msgpack_object *map, const char *key) {
    for (uint32_t i = 0; map->type == MSGPACK_OBJECT_MAP && i < map->via.map.size; i++) {
        const msgpack_object *name = &map->via.map.ptr[i].key;
        if (name->type == MSGPACK_OBJECT_STR && name->via.str.size == strlen(key) &&
            memcmp(name->via.str.ptr, key, name->via.str.size) == 0) {
            return &map->via.map.ptr[i].val;
        }
    }
    return NULL;
}

/* [0, msgid, "assets", [{"uids": [...]}]] -> [1, msgid, nil, {"assets": [...]}]; false: something
 * else was asked. */
static bool line_answer(const void *bytes, size_t count, msgpack_sbuffer *out) {
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    bool known = false;
    if (msgpack_unpack_next(&unpacked, bytes, count, NULL) == MSGPACK_UNPACK_SUCCESS &&
        unpacked.data.type == MSGPACK_OBJECT_ARRAY && unpacked.data.via.array.size == 4 &&
        unpacked.data.via.array.ptr[3].type == MSGPACK_OBJECT_ARRAY &&
        unpacked.data.via.array.ptr[3].via.array.size == 1) {
        const msgpack_object *fields = unpacked.data.via.array.ptr;
        const msgpack_object *uids = map_find(&fields[3].via.array.ptr[0], "uids");
        known = uids != NULL && uids->type == MSGPACK_OBJECT_ARRAY;
        msgpack_packer packer;
        msgpack_packer_init(&packer, out, msgpack_sbuffer_write);
        (void)msgpack_pack_array(&packer, 4);
        (void)msgpack_pack_int(&packer, 1);
        (void)msgpack_pack_object(&packer, fields[1]);
        (void)msgpack_pack_nil(&packer);
        (void)msgpack_pack_map(&packer, 1);
        text_pack(&packer, "assets");
        (void)msgpack_pack_array(&packer, known ? uids->via.array.size : 0);
        for (uint32_t i = 0; known && i < uids->via.array.size; i++) {
            asset_pack(&packer, uids->via.array.ptr[i].via.u64, wall_us());
        }
    }
    msgpack_unpacked_destroy(&unpacked);
    return known;
}

int bench_line(const char *endpoint, bool silent) {
    void *socket = router_open(endpoint);
    msgpack_sbuffer out;
    msgpack_sbuffer_init(&out);
    while (socket != NULL) {
        zmq_msg_t frames[FRAMES_MAX];
        int count = 0;
        int more = 1;
        while (more != 0) {
            if (count == FRAMES_MAX) {
                (void)zmq_msg_close(&frames[--count]);
            }
            (void)zmq_msg_init(&frames[count]);
            if (zmq_msg_recv(&frames[count], socket, 0) == -1) {
                return 1;
            }
            more = zmq_msg_more(&frames[count++]);
        }
        msgpack_sbuffer_clear(&out);
        zmq_msg_t *body = &frames[count - 1];
        bool answered =
            !silent && count > 1 && line_answer(zmq_msg_data(body), zmq_msg_size(body), &out);
        for (int i = 0; i < count; i++) {
            if (answered && i < count - 1) {
                (void)zmq_msg_send(&frames[i], socket, ZMQ_SNDMORE);
            } else {
                (void)zmq_msg_close(&frames[i]);
            }
        }
        if (answered) {
            (void)zmq_send(socket, out.data, out.size, 0);
        }
    }
    return 1;
}
