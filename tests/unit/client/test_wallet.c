/* libwallet against a ROUTER in the same thread that behaves well, late, badly or not at all. */
#include "wallet.h"

#include <criterion/criterion.h>
#include <czmq.h>
#include <msgpack.h>

enum { SOON_MS = 2000, SHORT_MS = 40 };

typedef struct {
    zsock_t *router;
    char endpoint[64];
    uint8_t identity[256]; /* of the request taken last */
    size_t identity_bytes;
    uint8_t body[70000];
    size_t body_bytes;
    bool delimiter;
} server_t;

static void server_open(server_t *self, const char *endpoint) {
    zsys_handler_set(NULL);
    self->router = zsock_new(ZMQ_ROUTER);
    zsock_set_rcvtimeo(self->router, SOON_MS);
    int port = zsock_bind(self->router, "%s", endpoint);
    cr_assert_gt(port, 0);
    (void)snprintf(self->endpoint, sizeof self->endpoint, "tcp://127.0.0.1:%d", port);
}

static void server_close(server_t *self) {
    zsock_destroy(&self->router);
}

/* Takes one request; returns its msgid. */
static uint64_t server_take(server_t *self) {
    void *socket = zsock_resolve(self->router);
    int count = zmq_recv(socket, self->identity, sizeof self->identity, 0);
    cr_assert_gt(count, 0);
    self->identity_bytes = (size_t)count;
    count = zmq_recv(socket, self->body, sizeof self->body, 0);
    cr_assert_geq(count, 0);
    self->delimiter = count == 0;
    if (self->delimiter) {
        count = zmq_recv(socket, self->body, sizeof self->body, 0);
        cr_assert_gt(count, 0);
    }
    self->body_bytes = (size_t)count;
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    cr_assert_eq(msgpack_unpack_next(&unpacked, (char *)self->body, self->body_bytes, NULL),
                 MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(unpacked.data.type, MSGPACK_OBJECT_ARRAY);
    cr_assert_eq(unpacked.data.via.array.size, 4);
    cr_assert_eq(unpacked.data.via.array.ptr[0].via.u64, 0);
    uint64_t msgid = unpacked.data.via.array.ptr[1].via.u64;
    msgpack_unpacked_destroy(&unpacked);
    return msgid;
}

static void server_send(server_t *self, const void *bytes, size_t count) {
    void *socket = zsock_resolve(self->router);
    cr_assert_geq(zmq_send(socket, self->identity, self->identity_bytes, ZMQ_SNDMORE), 0);
    if (self->delimiter) {
        cr_assert_eq(zmq_send(socket, "", 0, ZMQ_SNDMORE), 0);
    }
    cr_assert_geq(zmq_send(socket, bytes, count, 0), 0);
}

static void server_answer(server_t *self, uint64_t msgid, uint64_t value) {
    msgpack_sbuffer out;
    msgpack_packer packer;
    msgpack_sbuffer_init(&out);
    msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 4);
    msgpack_pack_int(&packer, 1);
    msgpack_pack_uint64(&packer, msgid);
    msgpack_pack_nil(&packer);
    msgpack_pack_map(&packer, 1);
    msgpack_pack_str_with_body(&packer, "value", 5);
    msgpack_pack_uint64(&packer, value);
    server_send(self, out.data, out.size);
    msgpack_sbuffer_destroy(&out);
}

static void text_pack(msgpack_packer *packer, const char *text) {
    msgpack_pack_str_with_body(packer, text, strlen(text));
}

static void server_refuse(server_t *self, uint64_t msgid) {
    msgpack_sbuffer out;
    msgpack_packer packer;
    msgpack_sbuffer_init(&out);
    msgpack_packer_init(&packer, &out, msgpack_sbuffer_write);
    msgpack_pack_array(&packer, 4);
    msgpack_pack_int(&packer, 1);
    msgpack_pack_uint64(&packer, msgid);
    msgpack_pack_map(&packer, 5);
    text_pack(&packer, "code");
    text_pack(&packer, "busy");
    text_pack(&packer, "new_key");
    msgpack_pack_array(&packer, 0);
    text_pack(&packer, "message");
    text_pack(&packer, "too much work");
    text_pack(&packer, "retryable");
    msgpack_pack_true(&packer);
    text_pack(&packer, "retry_after_ms");
    msgpack_pack_int(&packer, 25);
    msgpack_pack_nil(&packer);
    server_send(self, out.data, out.size);
    msgpack_sbuffer_destroy(&out);
}

static uint64_t reply_value(const wallet_reply_t *reply) {
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    cr_assert_eq(msgpack_unpack_next(&unpacked, reply->result, reply->result_bytes, NULL),
                 MSGPACK_UNPACK_SUCCESS);
    cr_assert_eq(unpacked.data.type, MSGPACK_OBJECT_MAP);
    uint64_t value = unpacked.data.via.map.ptr[0].val.via.u64;
    msgpack_unpacked_destroy(&unpacked);
    return value;
}

static uint64_t send_one(wallet_t *wallet) {
    uint64_t msgid = 0;
    cr_assert_eq(wallet_send(wallet, "sys.ping", NULL, 0, SOON_MS, &msgid), WALLET_OK);
    return msgid;
}

Test(wallet, gives_the_bytes_of_the_result) {
    server_t server = {0};
    server_open(&server, "tcp://127.0.0.1:*");
    wallet_t *wallet = wallet_open(server.endpoint);
    static const uint8_t args[] = {0x81, 0xa3, 'u', 'i', 'd', 0x2a};
    uint64_t msgid;
    cr_assert_eq(wallet_send(wallet, "wallet.home", args, sizeof args, SOON_MS, &msgid), WALLET_OK);
    cr_assert_eq(server_take(&server), msgid);
    cr_assert(server.delimiter);
    static const uint8_t expected[] = {0x94, 0x00, 0x01, 0xab, 'w', 'a', 'l', 'l',
                                       'e',  't',  '.',  'h',  'o', 'm', 'e', 0x91,
                                       0x81, 0xa3, 'u',  'i',  'd', 0x2a};
    cr_assert_eq(server.body_bytes, sizeof expected);
    cr_assert_arr_eq(server.body, expected, sizeof expected);
    server_answer(&server, msgid, 77);
    wallet_reply_t reply;
    cr_assert_eq(wallet_receive(wallet, SOON_MS, &reply), WALLET_OK);
    cr_assert_eq(reply.msgid, msgid);
    cr_assert_eq(reply_value(&reply), 77);
    cr_assert_eq(wallet_in_flight(wallet), 0);
    wallet_close(&wallet);
    cr_assert_null(wallet);
    server_close(&server);
}

Test(wallet, gives_the_parts_of_an_error) {
    server_t server = {0};
    server_open(&server, "tcp://127.0.0.1:*");
    wallet_t *wallet = wallet_open(server.endpoint);
    uint64_t msgid = send_one(wallet);
    (void)server_take(&server);
    server_refuse(&server, msgid);
    wallet_reply_t reply;
    cr_assert_eq(wallet_receive(wallet, SOON_MS, &reply), WALLET_REFUSED);
    cr_assert_str_eq(reply.error.code, "busy");
    cr_assert_str_eq(reply.error.message, "too much work");
    cr_assert(reply.error.retryable);
    cr_assert_eq(reply.error.retry_after_ms, 25);
    cr_assert_null(reply.result);
    wallet_close(&wallet);
    server_close(&server);
}

Test(wallet, times_out_when_nobody_answers) {
    server_t server = {0};
    server_open(&server, "tcp://127.0.0.1:*");
    wallet_t *wallet = wallet_open(server.endpoint);
    uint64_t msgid = send_one(wallet);
    (void)server_take(&server);
    wallet_forget(wallet, msgid);
    wallet_reply_t reply;
    cr_assert_eq(wallet_call(wallet, "sys.ping", NULL, 0, SHORT_MS, &reply), WALLET_TIMEOUT);
    cr_assert_eq(wallet_in_flight(wallet), 0);
    wallet_close(&wallet);
    server_close(&server);
}

Test(wallet, says_unreachable_when_nobody_listens) {
    /* bound and not listened to: a port that is merely free may be another test's by now */
    int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t at_bytes = sizeof at;
    cr_assert_eq(bind(silent, (struct sockaddr *)&at, at_bytes), 0);
    cr_assert_eq(getsockname(silent, (struct sockaddr *)&at, &at_bytes), 0);
    char endpoint[64];
    (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%d", ntohs(at.sin_port));
    wallet_t *wallet = wallet_open(endpoint);
    wallet_reply_t reply;
    cr_assert_eq(wallet_call(wallet, "sys.ping", NULL, 0, SHORT_MS, &reply), WALLET_UNREACHABLE);
    cr_assert_eq(wallet_in_flight(wallet), 0);
    wallet_close(&wallet);
    close(silent);
}

Test(wallet, drops_a_reply_that_comes_after_its_caller_gave_up) {
    server_t server = {0};
    server_open(&server, "tcp://127.0.0.1:*");
    wallet_t *wallet = wallet_open(server.endpoint);
    uint64_t late = send_one(wallet);
    cr_assert_eq(server_take(&server), late);
    wallet_reply_t reply;
    cr_assert_eq(wallet_receive(wallet, SHORT_MS, &reply), WALLET_TIMEOUT);
    wallet_forget(wallet, late);
    uint64_t msgid = send_one(wallet);
    cr_assert_neq(msgid, late);
    cr_assert_eq(server_take(&server), msgid);
    server_answer(&server, late, 1);
    server_answer(&server, msgid, 2);
    server_answer(&server, msgid, 3); /* twice: the second is nobody's */
    cr_assert_eq(wallet_receive(wallet, SOON_MS, &reply), WALLET_OK);
    cr_assert_eq(reply.msgid, msgid);
    cr_assert_eq(reply_value(&reply), 2);
    cr_assert_eq(wallet_dropped(wallet), 1);
    msgid = send_one(wallet);
    (void)server_take(&server);
    server_answer(&server, msgid, 4);
    cr_assert_eq(wallet_receive(wallet, SOON_MS, &reply), WALLET_OK);
    cr_assert_eq(reply_value(&reply), 4);
    cr_assert_eq(wallet_dropped(wallet), 2);
    wallet_close(&wallet);
    server_close(&server);
}

Test(wallet, drops_bytes_that_are_no_reply) {
    server_t server = {0};
    server_open(&server, "tcp://127.0.0.1:*");
    wallet_t *wallet = wallet_open(server.endpoint);
    uint64_t msgid = send_one(wallet);
    (void)server_take(&server);
    static const struct {
        const char *bytes;
        size_t count;
    } garbage[] = {
        {"", 0},
        {"\xc1", 1},
        {"\x94\x01\x01\xc0", 4},                     /* cut off */
        {"\x94\x01\x01\xc0\xc0\x00", 6},             /* a byte too many */
        {"\x93\x01\x01\xc0", 4},                     /* three fields */
        {"\x94\x00\x01\xc0\xc0", 5},                 /* a request */
        {"\x94\x01\xa1\x31\xc0\xc0", 6},             /* msgid is text */
        {"\x94\x01\x01\xc0\xdd\xff\xff\xff\xff", 9}, /* four billion elements */
        {"\x94\x01\x00\xc0\xc0", 5}, /* msgid 0: an unreadable request was refused */
    };
    for (size_t i = 0; i < sizeof garbage / sizeof *garbage; i++) {
        server_send(&server, garbage[i].bytes, garbage[i].count);
    }
    server_answer(&server, msgid, 5);
    wallet_reply_t reply;
    cr_assert_eq(wallet_receive(wallet, SOON_MS, &reply), WALLET_OK);
    cr_assert_eq(reply_value(&reply), 5);
    cr_assert_eq(wallet_dropped(wallet), sizeof garbage / sizeof *garbage);
    wallet_close(&wallet);
    server_close(&server);
}

Test(wallet, works_on_after_the_server_came_back) {
    server_t server = {0};
    server_open(&server, "tcp://127.0.0.1:*");
    wallet_t *wallet = wallet_open(server.endpoint);
    uint64_t lost = send_one(wallet);
    (void)server_take(&server);
    char endpoint[64];
    memcpy(endpoint, server.endpoint, sizeof endpoint);
    server_close(&server);
    wallet_reply_t reply;
    cr_assert_eq(wallet_receive(wallet, SHORT_MS, &reply), WALLET_TIMEOUT);
    wallet_forget(wallet, lost);
    server_open(&server, endpoint);
    uint64_t msgid = send_one(wallet);
    cr_assert_eq(server_take(&server), msgid, "a request given up is not delivered later");
    server_answer(&server, msgid, 6);
    cr_assert_eq(wallet_receive(wallet, SOON_MS, &reply), WALLET_OK);
    cr_assert_eq(reply_value(&reply), 6);
    wallet_close(&wallet);
    server_close(&server);
}

Test(wallet, keeps_many_requests_apart) {
    enum { WINDOW = 200 };
    server_t server = {0};
    server_open(&server, "tcp://127.0.0.1:*");
    wallet_t *wallet = wallet_open(server.endpoint);
    uint64_t msgids[WINDOW];
    for (int i = 0; i < WINDOW; i++) {
        msgids[i] = send_one(wallet);
    }
    cr_assert_eq(wallet_in_flight(wallet), WINDOW);
    for (int i = 0; i < WINDOW; i++) {
        cr_assert_eq(server_take(&server), msgids[i]);
    }
    for (int i = WINDOW - 1; i >= 0; i--) {
        server_answer(&server, msgids[i], msgids[i] * 10);
    }
    for (int i = WINDOW - 1; i >= 0; i--) {
        wallet_reply_t reply;
        cr_assert_eq(wallet_receive(wallet, SOON_MS, &reply), WALLET_OK);
        cr_assert_eq(reply.msgid, msgids[i]);
        cr_assert_eq(reply_value(&reply), msgids[i] * 10);
    }
    cr_assert_eq(wallet_in_flight(wallet), 0);
    wallet_close(&wallet);
    server_close(&server);
}

Test(wallet, refuses_more_than_its_window) {
    server_t server = {0};
    server_open(&server, "tcp://127.0.0.1:*");
    wallet_t *wallet = wallet_open(server.endpoint);
    uint64_t first = send_one(wallet);
    for (int i = 1; i < WALLET_IN_FLIGHT_MAX; i++) {
        (void)send_one(wallet);
    }
    cr_assert_eq(wallet_send(wallet, "sys.ping", NULL, 0, 0, NULL), WALLET_FULL);
    wallet_forget(wallet, first);
    (void)send_one(wallet);
    cr_assert_eq(wallet_send(wallet, "sys.ping", NULL, 0, 0, NULL), WALLET_FULL);
    wallet_close(&wallet);
    server_close(&server);
}

Test(wallet, refuses_arguments_that_walletd_would_not_read) {
    server_t server = {0};
    server_open(&server, "tcp://127.0.0.1:*");
    wallet_t *wallet = wallet_open(server.endpoint);
    wallet_reply_t reply;
    static char large[WALLET_REQUEST_BYTES_MAX + 1];
    static char name[WALLET_METHOD_MAX + 2];
    memset(name, 'a', sizeof name - 1);
    cr_assert_null(wallet_open(NULL));
    cr_assert_null(wallet_open("nonsense"));
    cr_assert_eq(wallet_call(wallet, "", NULL, 0, SOON_MS, &reply), WALLET_INVALID);
    cr_assert_eq(wallet_call(wallet, name, NULL, 0, SOON_MS, &reply), WALLET_INVALID);
    cr_assert_eq(wallet_call(wallet, "m", "\x91\x01", 2, SOON_MS, &reply), WALLET_INVALID);
    cr_assert_eq(wallet_call(wallet, "m", "\x81\x01", 2, SOON_MS, &reply), WALLET_INVALID);
    cr_assert_eq(wallet_call(wallet, "m", large, sizeof large, SOON_MS, &reply), WALLET_INVALID);
    cr_assert_eq(wallet_call(wallet, "m", NULL, 0, 0, &reply), WALLET_INVALID);
    cr_assert_eq(wallet_receive(wallet, SHORT_MS, &reply), WALLET_INVALID);
    (void)send_one(wallet);
    cr_assert_eq(wallet_call(wallet, "m", NULL, 0, SOON_MS, &reply), WALLET_INVALID);
    wallet_close(&wallet);
    wallet_close(&wallet);
    wallet_close(NULL);
    server_close(&server);
}
