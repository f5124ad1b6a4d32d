/* fake_zmq.h: a line over ZeroMQ for tests: a ROUTER in a thread, on a free port of loopback.
 * Included by one test program. */
#ifndef WL_TESTS_LINES_FAKE_ZMQ_H
#define WL_TESTS_LINES_FAKE_ZMQ_H

#include "base/alloc.h"
#include "proto/args.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <czmq.h>
#include <msgpack.h>
#include <string.h>

typedef enum {
    FAKE_ZMQ_OK,     /* every asked user owns uid * 10 at version 1, and got it once */
    FAKE_ZMQ_HANG,   /* says nothing */
    FAKE_ZMQ_NOISE,  /* garbage in one and many frames and wrong msgids, then the answer, twice */
    FAKE_ZMQ_LATE,   /* answers the last request when the next one comes */
    FAKE_ZMQ_ERROR,  /* {code: "busy", retry_after_ms: 250} */
    FAKE_ZMQ_NONE,   /* {code: "unknown_method", retry_after_ms: 250} */
    FAKE_ZMQ_BIG,    /* 4 MB */
    FAKE_ZMQ_NO_LIST /* result {} */
} fake_zmq_behaviour_t;

typedef struct {
    fake_zmq_behaviour_t behaviour;
    int port; /* 0: any free one */
    zactor_t *thread;
    char signature[65]; /* of the last request, "" = none */
    char time[24];
    char nonce[33];
    int requests;
    char method[16]; /* of the last request, with what it asked for */
    uint64_t uid;
    char month[8];
    char cursor[WL_LINE_CURSOR_MAX + 1];
    uint64_t limit;
} fake_zmq_t;

static void fake_zmq_text(msgpack_packer *packer, const char *text) {
    msgpack_pack_str(packer, strlen(text));
    msgpack_pack_str_body(packer, text, strlen(text));
}

static void fake_zmq_send(zsock_t *router, zframe_t *peer, const void *bytes, size_t count) {
    zmsg_t *message = zmsg_new();
    zframe_t *to = zframe_dup(peer);
    (void)zmsg_append(message, &to);
    (void)zmsg_addmem(message, NULL, 0);
    (void)zmsg_addmem(message, bytes, count);
    (void)zmsg_send(&message, router);
}

static void fake_zmq_answer(zsock_t *router, zframe_t *peer, uint64_t msgid,
                            const msgpack_object *uids) {
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 4);
    msgpack_pack_int(&packer, 1);
    msgpack_pack_uint64(&packer, msgid);
    msgpack_pack_nil(&packer);
    msgpack_pack_map(&packer, 1);
    fake_zmq_text(&packer, "assets");
    msgpack_pack_array(&packer, uids->via.array.size);
    for (uint32_t i = 0; i < uids->via.array.size; i++) {
        uint64_t uid = uids->via.array.ptr[i].via.u64;
        msgpack_pack_map(&packer, 3);
        fake_zmq_text(&packer, "uid");
        msgpack_pack_uint64(&packer, uid);
        fake_zmq_text(&packer, "amount");
        msgpack_pack_uint64(&packer, uid * 10);
        fake_zmq_text(&packer, "version");
        msgpack_pack_int(&packer, 1);
    }
    fake_zmq_send(router, peer, buffer.data, buffer.size);
    msgpack_sbuffer_destroy(&buffer);
}

static void fake_zmq_pair(msgpack_packer *packer, const char *key, uint64_t number) {
    fake_zmq_text(packer, key);
    msgpack_pack_uint64(packer, number);
}

/* A page of one item, or the sums of it. */
static void fake_zmq_answer_page(const fake_zmq_t *self, zsock_t *router, zframe_t *peer,
                                 uint64_t msgid) {
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 4);
    msgpack_pack_int(&packer, 1);
    msgpack_pack_uint64(&packer, msgid);
    msgpack_pack_nil(&packer);
    if (strcmp(self->method, "summary") == 0) {
        msgpack_pack_map(&packer, 3);
        fake_zmq_pair(&packer, "in", self->uid * 10);
        fake_zmq_pair(&packer, "out", 0);
        fake_zmq_pair(&packer, "count", 1);
    } else {
        msgpack_pack_map(&packer, 2);
        fake_zmq_text(&packer, "next");
        fake_zmq_text(&packer, "more");
        fake_zmq_text(&packer, "items");
        msgpack_pack_array(&packer, 1);
        msgpack_pack_map(&packer, 3);
        fake_zmq_pair(&packer, "id", 1);
        fake_zmq_pair(&packer, "time", 1700000000000);
        fake_zmq_pair(&packer, "amount", self->uid * 10);
    }
    fake_zmq_send(router, peer, buffer.data, buffer.size);
    msgpack_sbuffer_destroy(&buffer);
}

/* [1, msgid, error, nil] or [1, msgid, nil, {}] */
static void fake_zmq_short(zsock_t *router, zframe_t *peer, uint64_t msgid, const char *error) {
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 4);
    msgpack_pack_int(&packer, 1);
    msgpack_pack_uint64(&packer, msgid);
    if (error != NULL) {
        msgpack_pack_map(&packer, 2);
        fake_zmq_text(&packer, "code");
        fake_zmq_text(&packer, error);
        fake_zmq_text(&packer, "retry_after_ms");
        msgpack_pack_int(&packer, 250);
        msgpack_pack_nil(&packer);
    } else {
        msgpack_pack_nil(&packer);
        msgpack_pack_map(&packer, 0);
    }
    fake_zmq_send(router, peer, buffer.data, buffer.size);
    msgpack_sbuffer_destroy(&buffer);
}

static void fake_zmq_noise(zsock_t *router, zframe_t *peer) {
    fake_zmq_send(router, peer, "\xc1\xff", 2);
    fake_zmq_send(router, peer, "", 0);
    fake_zmq_send(router, peer, "\x94\x01\xcf", 3);
    zmsg_t *many = zmsg_new();
    zframe_t *to = zframe_dup(peer);
    (void)zmsg_append(many, &to);
    for (int i = 0; i < 20; i++) {
        (void)zmsg_addmem(many, "x", (size_t)(i % 2));
    }
    (void)zmsg_send(&many, router);
    fake_zmq_short(router, peer, 4711, NULL);
    fake_zmq_short(router, peer, UINT64_MAX, NULL);
}

typedef struct {
    zframe_t *peer; /* of the request before, for FAKE_ZMQ_LATE */
    uint64_t msgid;
} fake_zmq_last_t;

static void fake_zmq_handle(fake_zmq_t *self, zsock_t *router, fake_zmq_last_t *last,
                            zframe_t *peer, const msgpack_object *request) {
    const msgpack_object *uids = NULL;
    const msgpack_object *args = &request->via.array.ptr[3].via.array.ptr[0];
    uint64_t msgid = request->via.array.ptr[1].via.u64;
    self->requests++;
    cr_assert_eq(wl_value_text(&request->via.array.ptr[2], self->method, 15), WL_OK);
    bool page = strcmp(self->method, "assets") != 0;
    self->month[0] = '\0';
    self->cursor[0] = '\0';
    self->limit = 0;
    (void)!wl_args_text(args, "month", self->month, 7, NULL);
    (void)!wl_args_text(args, "cursor", self->cursor, WL_LINE_CURSOR_MAX, NULL);
    (void)!wl_args_u64(args, "limit", &self->limit, NULL);
    cr_assert_eq(page ? wl_args_u64(args, "uid", &self->uid, NULL)
                      : wl_args_find(args, "uids", &uids),
                 WL_OK);
    self->signature[0] = '\0';
    (void)!wl_args_text(args, "signature", self->signature, 64, NULL);
    (void)!wl_args_text(args, "time", self->time, 23, NULL);
    (void)!wl_args_text(args, "nonce", self->nonce, 32, NULL);
    switch (self->behaviour) {
    case FAKE_ZMQ_OK:
        if (page) {
            fake_zmq_answer_page(self, router, peer, msgid);
        } else {
            fake_zmq_answer(router, peer, msgid, uids);
        }
        break;
    case FAKE_ZMQ_HANG: break;
    case FAKE_ZMQ_NOISE:
        fake_zmq_noise(router, peer);
        fake_zmq_answer(router, peer, msgid, uids);
        fake_zmq_answer(router, peer, msgid, uids);
        break;
    case FAKE_ZMQ_LATE:
        if (last->peer != NULL) {
            fake_zmq_answer(router, last->peer, last->msgid, uids);
            fake_zmq_answer(router, peer, msgid, uids);
        }
        zframe_destroy(&last->peer);
        *last = (fake_zmq_last_t){zframe_dup(peer), msgid};
        break;
    case FAKE_ZMQ_ERROR: fake_zmq_short(router, peer, msgid, "busy"); break;
    case FAKE_ZMQ_NONE: fake_zmq_short(router, peer, msgid, "unknown_method"); break;
    case FAKE_ZMQ_BIG: {
        char *big = wl_alloc_zero(1, 4 << 20);
        fake_zmq_send(router, peer, big, 4 << 20);
        wl_free(big);
        break;
    }
    case FAKE_ZMQ_NO_LIST: fake_zmq_short(router, peer, msgid, NULL); break;
    }
}

static void fake_zmq_run(zsock_t *pipe, void *arg) {
    fake_zmq_t *self = arg;
    fake_zmq_last_t last = {NULL, 0};
    zsock_t *router = zsock_new(ZMQ_ROUTER);
    zsock_set_linger(router, 0);
    char endpoint[32] = "tcp://127.0.0.1:*";
    if (self->port != 0) {
        (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", self->port);
    }
    /* The kernel's choice: zsock_bind() has its own, by which all tests that run at the same time
     * take the same few ports and meet the lines of each other. */
    if (zmq_bind(zsock_resolve(router), endpoint) == 0) {
        char *bound = zsock_last_endpoint(router);
        self->port = (int)strtol(strrchr(bound, ':') + 1, NULL, 10);
        zstr_free(&bound);
    } else {
        self->port = 0;
    }
    (void)zsock_signal(pipe, 0);
    zpoller_t *poller = zpoller_new(pipe, router, NULL);
    while (zpoller_wait(poller, -1) == router) {
        zmsg_t *message = zmsg_recv(router);
        cr_assert_eq(zmsg_size(message), 3, "peer, empty delimiter, body");
        zframe_t *peer = zmsg_pop(message);
        zframe_t *body = zmsg_last(message);
        msgpack_unpacked request;
        msgpack_unpacked_init(&request);
        cr_assert_eq(
            msgpack_unpack_next(&request, (const char *)zframe_data(body), zframe_size(body), NULL),
            MSGPACK_UNPACK_SUCCESS);
        fake_zmq_handle(self, router, &last, peer, &request.data);
        msgpack_unpacked_destroy(&request);
        zframe_destroy(&peer);
        zmsg_destroy(&message);
    }
    zframe_destroy(&last.peer);
    zpoller_destroy(&poller);
    zsock_destroy(&router);
}

static fake_zmq_t *fake_zmq_new(fake_zmq_behaviour_t behaviour, int port) {
    fake_zmq_t *self = wl_alloc_zero(1, sizeof *self);
    self->behaviour = behaviour;
    self->port = port;
    self->thread = zactor_new(fake_zmq_run, self);
    cr_assert(self->port > 0);
    return self;
}

/* libzmq closes a listener a moment after its socket: returns when nobody can connect any more. */
static void fake_zmq_await_gone(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK)}};
    bool refused = false;
    for (int i = 0; i < 400 && !refused; i++) {
        int probe = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        refused = connect(probe, (struct sockaddr *)&address, sizeof address) == -1;
        (void)close(probe);
        zclock_sleep(refused ? 0 : 5);
    }
    cr_assert(refused);
}

static void fake_zmq_destroy(fake_zmq_t **self) {
    zactor_destroy(&(*self)->thread);
    wl_free(*self);
    *self = NULL;
}

#endif
