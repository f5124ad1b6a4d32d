/* fake_line.h: a thread that answers for the lines: one ROUTER each, the line contract over ZeroMQ.
 * One call of 50 fails, one of 97 is not answered at all. Part of soak.c. */
#ifndef WL_TESTS_SOAK_FAKE_LINE_H
#define WL_TESTS_SOAK_FAKE_LINE_H

#include "proto/args.h"
#include "truth.h"

#include <czmq.h>
#include <msgpack.h>
#include <string.h>

enum { REQUEST_MAX = 65536, IDENTITY_MAX = 255 };

static void pack_text(msgpack_packer *packer, const char *text) {
    msgpack_pack_str(packer, strlen(text));
    msgpack_pack_str_body(packer, text, strlen(text));
}

/* The truth about one user as the line contract has it, also the payload of notify.assets. */
static void pack_asset(msgpack_packer *packer, unsigned line, uint64_t uid, uint64_t version) {
    msgpack_pack_map(packer, 6);
    pack_text(packer, "uid");
    msgpack_pack_uint64(packer, uid);
    pack_text(packer, "version");
    msgpack_pack_uint64(packer, version);
    pack_text(packer, "kind");
    pack_text(packer, line_ids[line]);
    pack_text(packer, "amount");
    msgpack_pack_int64(packer, truth_amount(line, uid, version));
    pack_text(packer, "unit");
    pack_text(packer, line_units[line]);
    pack_text(packer, "scale");
    msgpack_pack_uint32(packer, line_scales[line]);
}

static void fake_line_pack(unsigned line, uint64_t msgid, const msgpack_object *uids, bool fail,
                           msgpack_sbuffer *into) {
    msgpack_packer packer;
    msgpack_sbuffer_clear(into);
    msgpack_packer_init(&packer, into, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 4);
    msgpack_pack_int(&packer, 1);
    msgpack_pack_uint64(&packer, msgid);
    if (fail) {
        pack_text(&packer, "injected");
        msgpack_pack_nil(&packer);
        return;
    }
    msgpack_pack_nil(&packer);
    msgpack_pack_map(&packer, 1);
    pack_text(&packer, "assets");
    uint32_t owned = 0;
    uint64_t versions[WL_PULL_UIDS_MAX]; /* they grow while we look */
    for (uint32_t i = 0; i < uids->via.array.size; i++) {
        uint64_t uid = uids->via.array.ptr[i].via.u64;
        versions[i] = uid <= USERS ? atomic_load(&truth.versions[line][uid]) : 0;
        owned += versions[i] > 0;
    }
    msgpack_pack_array(&packer, owned);
    for (uint32_t i = 0; i < uids->via.array.size; i++) {
        if (versions[i] > 0) {
            pack_asset(&packer, line, uids->via.array.ptr[i].via.u64, versions[i]);
        }
    }
}

/* Finds msgid and uids of [0, msgid, "assets", [{"uids": [...]}]]. */
static bool fake_line_read(const msgpack_object *request, uint64_t *ret_msgid,
                           const msgpack_object **ret_uids) {
    if (request->type != MSGPACK_OBJECT_ARRAY || request->via.array.size != 4) {
        return false;
    }
    const msgpack_object *at = request->via.array.ptr;
    *ret_msgid = at[1].via.u64;
    return at[3].type == MSGPACK_OBJECT_ARRAY && at[3].via.array.size == 1 &&
           wl_args_array(&at[3].via.array.ptr[0], "uids", WL_PULL_UIDS_MAX, ret_uids, NULL) ==
               WL_OK;
}

static void fake_line_serve(unsigned line, void *router, char *bytes, msgpack_sbuffer *answer) {
    char identity[IDENTITY_MAX];
    int identity_bytes = zmq_recv(router, identity, sizeof identity, 0);
    (void)zmq_recv(router, bytes, REQUEST_MAX, 0); /* the empty frame */
    int count = zmq_recv(router, bytes, REQUEST_MAX, 0);
    uint64_t call = atomic_fetch_add(&truth.pulls, 1);
    msgpack_unpacked request;
    msgpack_unpacked_init(&request);
    uint64_t msgid = 0;
    const msgpack_object *uids = NULL;
    bool read =
        count > 0 && count <= REQUEST_MAX &&
        msgpack_unpack_next(&request, bytes, (size_t)count, NULL) == MSGPACK_UNPACK_SUCCESS &&
        fake_line_read(&request.data, &msgid, &uids);
    if (!read) {
        mismatch("line %s was asked something else", line_ids[line]);
    } else if (call % 97 != 96) {
        fake_line_pack(line, msgid, uids, call % 50 == 49, answer);
        (void)zmq_send(router, identity, (size_t)identity_bytes, ZMQ_SNDMORE);
        (void)zmq_send(router, "", 0, ZMQ_SNDMORE);
        (void)zmq_send(router, answer->data, answer->size, ZMQ_DONTWAIT);
    }
    msgpack_unpacked_destroy(&request);
}

/* A zactor: says where it answers in truth.ports, then answers until $TERM. */
static void fake_line_run(zsock_t *pipe, void *arg) {
    (void)arg;
    zsock_t *routers[LINES];
    zmq_pollitem_t items[LINES + 1] = {{.socket = zsock_resolve(pipe), .events = ZMQ_POLLIN}};
    for (unsigned line = 0; line < LINES; line++) {
        routers[line] = zsock_new(ZMQ_ROUTER);
        atomic_store(&truth.ports[line], zsock_bind(routers[line], "tcp://127.0.0.1:*"));
        items[line + 1].socket = zsock_resolve(routers[line]);
        items[line + 1].events = ZMQ_POLLIN;
    }
    (void)zsock_signal(pipe, 0);
    char *bytes = malloc(REQUEST_MAX);
    msgpack_sbuffer answer;
    msgpack_sbuffer_init(&answer);
    while (zmq_poll(items, LINES + 1, -1) >= 0 && (items[0].revents & ZMQ_POLLIN) == 0) {
        for (unsigned line = 0; line < LINES; line++) {
            if ((items[line + 1].revents & ZMQ_POLLIN) != 0) {
                fake_line_serve(line, items[line + 1].socket, bytes, &answer);
            }
        }
    }
    msgpack_sbuffer_destroy(&answer);
    free(bytes);
    for (unsigned line = 0; line < LINES; line++) {
        zsock_destroy(&routers[line]);
    }
}

#endif
