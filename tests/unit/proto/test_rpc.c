#include "proto/rpc.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/limits.h"
#include "proto_random.h"

#include <criterion/criterion.h>

static wl_rpc_t *rpc;
static wl_rpc_request_t request;
static wl_fault_t fault;
static zsock_t *router;
static zsock_t *client;

static void setup(void) {
    rpc = wl_rpc_new();
    memset(&request, 0, sizeof request);
    memset(&fault, 0, sizeof fault);
}

static void teardown(void) {
    zsock_destroy(&client);
    zsock_destroy(&router);
    wl_rpc_destroy(&rpc);
}

TestSuite(rpc, .init = setup, .fini = teardown);

static wl_err_t decode(const char *bytes, size_t count) {
    return wl_rpc_decode(rpc, bytes, count, WL_PORT_READER, &request, &fault);
}

#define DECODE(text) decode((text), sizeof(text) - 1)

/* [0, 7, "wallet.home", [ and what follows: ...] */
#define HOME(params) "\x94\x00\x07\xabwallet.home" params

/* The envelope, without sockets. */

Test(rpc, reads_a_request) {
    cr_assert_eq(DECODE(HOME("\x91\x82\xa3uid\x05\xabGADEADLINE_\x01")), WL_OK);
    cr_assert_eq(request.msgid, 7);
    cr_assert_eq(request.method, WL_METHOD_HOME);
    cr_assert_not(request.notification);
    cr_assert_eq(request.deadline_ms, 0);
    uint64_t uid = 0;
    cr_assert_eq(wl_args_uid(request.args, "uid", &uid, &fault), WL_OK);
    cr_assert_eq(uid, 5);
    cr_assert_eq(request.args_bytes.count, 19);
    cr_assert_eq(request.args_bytes.at[0], 0x82);
}

Test(rpc, finds_the_bytes_of_args_behind_every_encoding_of_params) {
    static const struct {
        const char *bytes;
        size_t count;
    } rows[] = {
#define ROW(text) {(text), sizeof(text) - 1}
        ROW(HOME("\x91\x81\xa3uid\x05")),
        ROW(HOME("\xdc\x00\x01\x81\xa3uid\x05")),
        ROW(HOME("\xdd\0\0\0\x01\x81\xa3uid\x05")),
        ROW("\xdc\x00\x04\xcc\x00\xcd\x00\x07\xc4\x0bwallet.home\x91\x81\xa3uid\x05"),
        ROW("\xdd\0\0\0\x04\xcb\0\0\0\0\0\0\0\0\xcb\x40\x1c\0\0\0\0\0\0\xd9\x0bwallet.home\x91"
            "\x81\xa3uid\x05"),
#undef ROW
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        cr_assert_eq(decode(rows[i].bytes, rows[i].count), WL_OK, "row %zu: %s", i, fault.message);
        cr_assert_eq(request.msgid, 7);
        cr_assert_eq(request.args_bytes.count, 6);
        cr_assert_eq(memcmp(request.args_bytes.at, "\x81\xa3uid\x05", 6), 0);
    }
}

Test(rpc, absent_args_are_an_empty_map) {
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(i == 0 ? DECODE(HOME("\x90")) : DECODE(HOME("\x91\xc0")), WL_OK);
        cr_assert_null(request.args);
        cr_assert_eq(request.args_bytes.count, 1);
        cr_assert_eq(request.args_bytes.at[0], 0x80);
    }
    cr_assert_eq(DECODE(HOME("\x91\x80")), WL_OK);
    cr_assert_not_null(request.args);
}

Test(rpc, reads_msgids_up_to_64_bits) {
    cr_assert_eq(DECODE("\x94\x00\xcf\xff\xff\xff\xff\xff\xff\xff\xff\xa8sys.ping\x90"), WL_OK);
    cr_assert_eq(request.msgid, UINT64_MAX);
    cr_assert_eq(DECODE("\x94\x00\xff\xa8sys.ping\x90"), WL_ERR_MALFORMED, "-1");
    cr_assert_eq(DECODE("\x94\x00\xa1"
                        "7\xa8sys.ping\x90"),
                 WL_ERR_MALFORMED, "text");
    cr_assert_eq(DECODE("\x94\x00\xcb\x3f\xf8\0\0\0\0\0\0\xa8sys.ping\x90"), WL_ERR_MALFORMED);
}

Test(rpc, reads_notifications) {
    static const char body[] = "\x93\x02\xaenotify.changed\x91\x80";
    wl_err_t err = wl_rpc_decode(rpc, body, sizeof body - 1, WL_PORT_WRITER, &request, &fault);
    cr_assert_eq(err, WL_OK, "%s", fault.message);
    cr_assert(request.notification);
    cr_assert_eq(request.method, WL_METHOD_NOTIFY_CHANGED);
    cr_assert_eq(request.msgid, 0);
    cr_assert_eq(DECODE("\x93\x02\xa3xyz\x90"), WL_ERR_UNKNOWN_METHOD);
    cr_assert(request.notification, "so that no error is sent back");
    cr_assert_eq(DECODE("\x93\x02\xa3xyz"), WL_ERR_MALFORMED);
    cr_assert(request.notification);
}

Test(rpc, refuses_other_envelopes_but_keeps_a_readable_msgid) {
    static const struct {
        const char *bytes;
        size_t count;
        uint64_t msgid;
    } rows[] = {
#define ROW(text, msgid) {(text), sizeof(text) - 1, (msgid)}
        ROW("", 0),
        ROW("\xc0", 0),
        ROW("\x80", 0),
        ROW("\x90", 0),
        ROW("\x93\x00\x07\xa8sys.ping", 7),
        ROW("\x95\x00\x07\xa8sys.ping\x90\xc0", 7),
        ROW("\x94\x01\x07\xc0\xc0", 0),
        ROW("\x94\x03\x07\xa8sys.ping\x90", 0),
        ROW("\x94\xa1"
            "0\x07\xa8sys.ping\x90",
            0),
        ROW("\x94\x00\x07\x05\x90", 7),
        ROW("\x94\x00\x07\xc0\x90", 7),
        ROW("\x94\x00\x07\xa8sys.ping\xc0", 7),
        ROW("\x94\x00\x07\xa8sys.ping\x80", 7),
        ROW("\x94\x00\x07\xa8sys.ping\x91\x05", 7),
        ROW("\x94\x00\x07\xa8sys.ping\x91\x90", 7),
        ROW("\x94\x00\x07\xa8sys.ping\x92\x80\x80", 7),
        ROW("\x94\x00\x07\xa8sys.ping\x90 trailing", 7),
        ROW("\x94\x00\xcd\x03\xe8\xa8sys.ping", 1000),
        ROW("\x94\x00\xcd\x03", 0),
        ROW("\x94\x00\xdd\xff\xff\xff\xff", 0),
#undef ROW
    };
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        char *exact = wl_alloc(rows[i].count);
        memcpy(exact, rows[i].bytes, rows[i].count);
        fault.message[0] = '\0';
        cr_assert_eq(decode(exact, rows[i].count), WL_ERR_MALFORMED, "row %zu", i);
        cr_assert_eq(request.msgid, rows[i].msgid, "row %zu", i);
        cr_assert_neq(fault.message[0], '\0', "row %zu", i);
        wl_free(exact);
    }
}

Test(rpc, names_the_unknown_method_and_the_right_port) {
    cr_assert_eq(DECODE("\x94\x00\x07\xaawallet.hom\x90"), WL_ERR_UNKNOWN_METHOD);
    cr_assert_str_eq(fault.message, "method: there is no \"wallet.hom\"");
    cr_assert_eq(request.msgid, 7);
    cr_assert_eq(DECODE("\x94\x00\x07\xaenotify.changed\x90"), WL_ERR_UNKNOWN_METHOD);
    cr_assert_str_eq(fault.message, "method: notify.changed is served on the writer port");
    cr_assert_eq(DECODE("\x94\x00\x07\xa4\x1b\n\xff\"\x90"), WL_ERR_UNKNOWN_METHOD);
    cr_assert_str_eq(fault.message, "method: there is no \"???\"\"");
    cr_assert_eq(DECODE("\x94\x00\x07\xa0\x90"), WL_ERR_UNKNOWN_METHOD);
    char body[400] = "\x94\x00\x07\xda\x01\x2c";
    memset(body + 6, 'x', 300);
    body[306] = (char)0x90;
    cr_assert_eq(decode(body, 307), WL_ERR_UNKNOWN_METHOD);
    cr_assert_lt(strlen(fault.message), WL_MESSAGE_TEXT_MAX);
}

Test(rpc, reads_the_deadline) {
    cr_assert_eq(DECODE(HOME("\x91\x81\xab"
                             "deadline_ms\x32")),
                 WL_OK);
    cr_assert_eq(request.deadline_ms, 50);
    cr_assert_eq(DECODE(HOME("\x91\x81\xab"
                             "deadline_ms\xc0")),
                 WL_OK);
    cr_assert_eq(request.deadline_ms, 0);
    cr_assert_eq(DECODE(HOME("\x91\x81\xab"
                             "deadline_ms\xcb\x40\x49\0\0\0\0\0\0")),
                 WL_OK);
    cr_assert_eq(request.deadline_ms, 50);
    cr_assert_eq(DECODE(HOME("\x91\x81\xab"
                             "deadline_ms\xcf\x7f\xff\xff\xff\xff\xff\xff\xff")),
                 WL_OK);
    cr_assert_eq(request.deadline_ms, WL_DEADLINE_MS_MAX);
    cr_assert_eq(DECODE(HOME("\x91\x81\xab"
                             "deadline_ms\x00")),
                 WL_ERR_DEADLINE);
    cr_assert_eq(DECODE(HOME("\x91\x81\xab"
                             "deadline_ms\xff")),
                 WL_ERR_DEADLINE);
    cr_assert_eq(request.msgid, 7);
    cr_assert_eq(DECODE(HOME("\x91\x81\xab"
                             "deadline_ms\xa2"
                             "50")),
                 WL_ERR_BAD_REQUEST);
    cr_assert_str_eq(fault.message, "deadline_ms: must be an integer, got str");
}

Test(rpc, refuses_what_is_too_big_deep_or_many_before_it_unpacks) {
    enum { HEAD = sizeof(HOME("")) - 1, REST = WL_REQUEST_BYTES_MAX - HEAD - 8 };
    static char body[WL_REQUEST_BYTES_MAX + 1] = HOME("\x91\x81\x01\xc6\0\0"); /* {1: bin} */
    body[HEAD + 6] = (char)(REST >> 8);
    body[HEAD + 7] = (char)(REST & 255);
    cr_assert_eq(decode(body, WL_REQUEST_BYTES_MAX), WL_OK, "%s", fault.message);
    cr_assert_eq(decode(body, WL_REQUEST_BYTES_MAX + 1), WL_ERR_TOO_BIG);
    cr_assert_eq(request.msgid, 7);
    memset(body + HEAD, 0x91, 40);
    body[HEAD + 40] = 0;
    cr_assert_eq(decode(body, HEAD + 41), WL_ERR_TOO_BIG);
    cr_assert_str_eq(fault.message, "a request is at most 16 deep and has at most 20000 objects");
    cr_assert_eq(request.msgid, 7);
    memcpy(body + HEAD, "\x91\x81\x01\xdc\x75\x30", 6); /* {1: [30,000 nils]} */
    memset(body + HEAD + 6, 0xc0, 30000);
    cr_assert_eq(decode(body, HEAD + 6 + 30000), WL_ERR_TOO_BIG);
    memcpy(body + HEAD, "\xdd\xff\xff\xff\xff", 5);
    cr_assert_eq(decode(body, HEAD + 5), WL_ERR_MALFORMED);
    cr_assert_eq(request.msgid, 7);
}

Test(rpc, random_requests_are_read_and_their_truncations_refused) {
    rng_t rng = {51};
    for (unsigned round = 0; round < 300; round++) {
        msgpack_sbuffer args;
        msgpack_sbuffer body;
        msgpack_packer packer;
        msgpack_sbuffer_init(&args);
        msgpack_sbuffer_init(&body);
        msgpack_packer_init(&packer, &args, msgpack_sbuffer_write);
        msgpack_pack_map(&packer, 2);
        for (unsigned i = 0; i < 4; i++) {
            pack_random(&rng, &packer, 3);
        }
        uint64_t msgid = rng_wide(&rng);
        wl_bytes_t map = {(const uint8_t *)args.data, args.size};
        wl_rpc_pack_request(&body, msgid, "wallet.golden", map);
        cr_assert_eq(decode(body.data, body.size), WL_OK);
        cr_assert_eq(request.msgid, msgid);
        cr_assert_eq(request.method, WL_METHOD_GOLDEN);
        cr_assert_eq(request.args_bytes.count, args.size);
        cr_assert_eq(memcmp(request.args_bytes.at, args.data, args.size), 0);
        for (size_t cut = 0; cut < body.size; cut += 1 + body.size / 50) {
            cr_assert_eq(decode(body.data, cut), WL_ERR_MALFORMED);
        }
        msgpack_sbuffer_destroy(&args);
        msgpack_sbuffer_destroy(&body);
    }
}

/* With sockets. */

static void open_router(const char *endpoint, int hwm) {
    router = zsock_new(ZMQ_ROUTER);
    zsock_set_router_mandatory(router, 1);
    zsock_set_sndhwm(router, hwm);
    zsock_set_linger(router, 0);
    cr_assert_neq(zsock_bind(router, "%s", endpoint), -1);
}

static void open_client(int type, const char *endpoint) {
    client = zsock_new(type);
    zsock_set_rcvtimeo(client, 5000);
    zsock_set_sndtimeo(client, 5000);
    zsock_set_linger(client, 0);
    cr_assert_eq(zsock_connect(client, "%s", endpoint), 0);
}

/* Sends frames; a NULL text ends them, "" is an empty frame. */
static void send_frames(const void *first, size_t first_bytes, const void *second,
                        size_t second_bytes, const void *third, size_t third_bytes) {
    zmsg_t *msg = zmsg_new();
    zmsg_addmem(msg, first, first_bytes);
    if (second != NULL) {
        zmsg_addmem(msg, second, second_bytes);
    }
    if (third != NULL) {
        zmsg_addmem(msg, third, third_bytes);
    }
    cr_assert_eq(zmsg_send(&msg, client), 0);
}

/* Waits for the next message at the router. */
static wl_err_t recv_request(void) {
    wl_err_t err = WL_ERR_EMPTY;
    int64_t until = wl_mono_now().ms + 5000;
    do {
        err = wl_rpc_recv(rpc, router, WL_PORT_READER, &request, &fault);
    } while (err == WL_ERR_EMPTY && wl_mono_now().ms < until);
    return err;
}

#define PING "\x94\x00\x07\xa8sys.ping\x90"
#define PING_BYTES (sizeof(PING) - 1)

static void expect_frames(size_t frames, const void *last, size_t last_bytes) {
    zmsg_t *reply = zmsg_recv(client);
    cr_assert_not_null(reply);
    cr_assert_eq(zmsg_size(reply), frames);
    if (frames == 2) {
        cr_assert_eq(zframe_size(zmsg_first(reply)), 0);
    }
    zframe_t *body = zmsg_last(reply);
    cr_assert_eq(zframe_size(body), last_bytes);
    cr_assert_eq(memcmp(zframe_data(body), last, last_bytes), 0);
    zmsg_destroy(&reply);
}

static void answer_and_expect(size_t frames) {
    static const uint8_t result[] = {0x81, 0xa4, 'p', 'o', 'n', 'g', 0xc3};
    wl_err_t err = wl_rpc_send_result(rpc, router, &request.peer, request.msgid,
                                      (wl_bytes_t){result, sizeof result});
    cr_assert_eq(err, WL_OK);
    expect_frames(frames, "\x94\x01\x07\xc0\x81\xa4pong\xc3", 11);
}

Test(rpc, serves_req) {
    open_router("inproc://rpc", 1000);
    open_client(ZMQ_REQ, "inproc://rpc");
    for (unsigned i = 0; i < 3; i++) {
        send_frames(PING, PING_BYTES, NULL, 0, NULL, 0);
        cr_assert_eq(recv_request(), WL_OK);
        cr_assert_eq(request.method, WL_METHOD_PING);
        cr_assert(request.peer.delimiter);
        answer_and_expect(1); /* REQ takes the delimiter off */
    }
    cr_assert_eq(wl_rpc_recv(rpc, router, WL_PORT_READER, &request, &fault), WL_ERR_EMPTY);
}

Test(rpc, serves_req_that_correlates_and_may_ask_again_without_an_answer) {
    open_router("inproc://rpc", 1000);
    open_client(ZMQ_REQ, "inproc://rpc");
    zsock_set_req_relaxed(client, 1);
    zsock_set_req_correlate(client, 1);
    for (unsigned i = 0; i < 3; i++) {
        send_frames(PING, PING_BYTES, NULL, 0, NULL, 0);
        cr_assert_eq(recv_request(), WL_OK);
        cr_assert(request.peer.correlated && request.peer.delimiter);
        wl_rpc_request_t late = request; /* its answer comes after the next question */
        send_frames(PING, PING_BYTES, NULL, 0, NULL, 0);
        cr_assert_eq(recv_request(), WL_OK);
        cr_assert_eq(wl_rpc_send_error(rpc, router, &late.peer, 1, WL_ERR_BUSY, NULL, 0), WL_OK);
        answer_and_expect(1);
    }
}

Test(rpc, serves_a_dealer_with_and_without_the_delimiter_as_it_asked) {
    open_router("inproc://rpc", 1000);
    open_client(ZMQ_DEALER, "inproc://rpc");
    send_frames(PING, PING_BYTES, NULL, 0, NULL, 0);
    cr_assert_eq(recv_request(), WL_OK);
    cr_assert_not(request.peer.delimiter);
    answer_and_expect(1);
    send_frames("", 0, PING, PING_BYTES, NULL, 0);
    cr_assert_eq(recv_request(), WL_OK);
    cr_assert(request.peer.delimiter);
    answer_and_expect(2);
}

Test(rpc, a_result_of_no_bytes_is_nil) {
    open_router("inproc://rpc", 1000);
    open_client(ZMQ_DEALER, "inproc://rpc");
    send_frames(PING, PING_BYTES, NULL, 0, NULL, 0);
    cr_assert_eq(recv_request(), WL_OK);
    cr_assert_eq(wl_rpc_send_result(rpc, router, &request.peer, 1000, (wl_bytes_t){NULL, 0}),
                 WL_OK);
    expect_frames(1, "\x94\x01\xcd\x03\xe8\xc0\xc0", 7);
}

Test(rpc, errors_carry_code_message_retryable_and_when_to_come_again) {
    open_router("inproc://rpc", 1000);
    open_client(ZMQ_DEALER, "inproc://rpc");
    send_frames(PING, PING_BYTES, NULL, 0, NULL, 0);
    cr_assert_eq(recv_request(), WL_OK);
    const wl_peer_t *peer = &request.peer;
    cr_assert_eq(wl_rpc_send_error(rpc, router, peer, 7, WL_ERR_BUSY, "full", 50), WL_OK);
    static const char busy[] = "\x94\x01\x07\x84\xa4"
                               "code\xa4"
                               "busy\xa7message\xa4"
                               "full"
                               "\xa9retryable\xc3\xaeretry_after_ms\x32\xc0";
    expect_frames(1, busy, sizeof busy - 1);
    cr_assert_eq(wl_rpc_send_error(rpc, router, peer, 7, WL_ERR_NOT_FOUND, NULL, 0), WL_OK);
    static const char missing[] = "\x94\x01\x07\x83\xa4"
                                  "code\xa9not_found\xa7message\xa9"
                                  "not found\xa9retryable\xc2\xc0";
    expect_frames(1, missing, sizeof missing - 1);
}

Test(rpc, a_long_message_is_cut_between_characters) {
    open_router("inproc://rpc", 1000);
    open_client(ZMQ_DEALER, "inproc://rpc");
    send_frames(PING, PING_BYTES, NULL, 0, NULL, 0);
    cr_assert_eq(recv_request(), WL_OK);
    char text[WL_MESSAGE_TEXT_MAX + 100] = "x";
    for (size_t i = 0; i < WL_MESSAGE_TEXT_MAX / 3 + 10; i++) {
        memcpy(text + 1 + 3 * i, "\xe2\x82\xac", 3); /* euro signs */
    }
    cr_assert_eq(wl_rpc_send_error(rpc, router, &request.peer, 7, WL_ERR_BUSY, text, 0), WL_OK);
    zmsg_t *reply = zmsg_recv(client);
    cr_assert_not_null(reply);
    const uint8_t *body = zframe_data(zmsg_first(reply));
    size_t at = 4 + 5 + 5 + 8; /* behind the key "message" */
    cr_assert_eq(body[at], 0xda, "a text of 16 bits of length");
    cr_assert_eq(body[at + 1] << 8 | body[at + 2], 1 + (WL_MESSAGE_TEXT_MAX - 1) / 3 * 3,
                 "not a third of a character");
    zmsg_destroy(&reply);
}

Test(rpc, refuses_other_frame_counts_with_the_peer_known_and_goes_on) {
    open_router("inproc://rpc", 1000);
    open_client(ZMQ_DEALER, "inproc://rpc");
    send_frames("", 0, PING, PING_BYTES, "more", 4);
    cr_assert_eq(recv_request(), WL_ERR_MALFORMED);
    cr_assert_gt(request.peer.identity_bytes, 0);
    cr_assert(request.peer.delimiter);
    send_frames("a", 1, PING, PING_BYTES, NULL, 0);
    cr_assert_eq(recv_request(), WL_ERR_MALFORMED);
    cr_assert_not(request.peer.delimiter);
    send_frames("a", 1, "b", 1, "c", 1);
    cr_assert_eq(recv_request(), WL_ERR_MALFORMED);
    send_frames("", 0, "", 0, PING, PING_BYTES);
    cr_assert_eq(recv_request(), WL_ERR_MALFORMED);
    wl_err_t err =
        wl_rpc_send_error(rpc, router, &request.peer, 0, WL_ERR_MALFORMED, fault.message, 0);
    cr_assert_eq(err, WL_OK);
    zmsg_t *reply = zmsg_recv(client);
    cr_assert_eq(zmsg_size(reply), 2);
    zmsg_destroy(&reply);
    send_frames(PING, PING_BYTES, NULL, 0, NULL, 0);
    cr_assert_eq(recv_request(), WL_OK, "the frames before it were thrown away whole");
}

Test(rpc, refuses_empty_and_oversized_bodies_and_can_say_so) {
    open_router("inproc://rpc", 1000);
    open_client(ZMQ_REQ, "inproc://rpc");
    static char large[WL_REQUEST_BYTES_MAX + 1] = HOME("");
    static const struct {
        size_t count;
        wl_err_t err;
    } rows[] = {{0, WL_ERR_MALFORMED}, {sizeof large, WL_ERR_TOO_BIG}};
    for (size_t i = 0; i < 2; i++) {
        send_frames(large, rows[i].count, NULL, 0, NULL, 0);
        cr_assert_eq(recv_request(), rows[i].err);
        cr_assert_eq(wl_rpc_send_error(rpc, router, &request.peer, request.msgid, rows[i].err,
                                       fault.message, 0),
                     WL_OK);
        zmsg_t *reply = zmsg_recv(client);
        cr_assert_not_null(reply, "REQ may ask again");
        cr_assert_eq(zframe_data(zmsg_first(reply))[2], i == 0 ? 0 : 7, "msgid");
        zmsg_destroy(&reply);
    }
}

Test(rpc, an_empty_frame_alone_is_an_empty_body) {
    open_router("inproc://rpc", 1000);
    open_client(ZMQ_DEALER, "inproc://rpc");
    send_frames("", 0, NULL, 0, NULL, 0);
    cr_assert_eq(recv_request(), WL_ERR_MALFORMED);
    cr_assert_not(request.peer.delimiter);
    send_frames("", 0, "", 0, NULL, 0);
    cr_assert_eq(recv_request(), WL_ERR_MALFORMED);
    cr_assert(request.peer.delimiter);
}

Test(rpc, a_client_that_went_away_is_unavailable) {
    open_router("inproc://rpc", 1000);
    open_client(ZMQ_DEALER, "inproc://rpc");
    send_frames("", 0, PING, PING_BYTES, NULL, 0);
    cr_assert_eq(recv_request(), WL_OK);
    zsock_destroy(&client);
    wl_err_t err = WL_OK;
    int64_t until = wl_mono_now().ms + 5000;
    while (err != WL_ERR_UNAVAILABLE && wl_mono_now().ms < until) {
        wl_rpc_request_t none; /* ROUTER notices a pipe's end when it reads, as an actor does */
        cr_assert_eq(wl_rpc_recv(rpc, router, WL_PORT_READER, &none, &fault), WL_ERR_EMPTY);
        err = wl_rpc_send_result(rpc, router, &request.peer, 7, (wl_bytes_t){NULL, 0});
    }
    cr_assert_eq(err, WL_ERR_UNAVAILABLE);
    open_client(ZMQ_DEALER, "inproc://rpc"); /* and the router still works for others */
    send_frames("", 0, PING, PING_BYTES, NULL, 0);
    cr_assert_eq(recv_request(), WL_OK);
    answer_and_expect(2);
    wl_peer_t nobody = {.identity_bytes = 0};
    cr_assert_eq(wl_rpc_send_result(rpc, router, &nobody, 7, (wl_bytes_t){NULL, 0}),
                 WL_ERR_UNAVAILABLE);
    nobody = (wl_peer_t){.identity = "who", .identity_bytes = 3};
    cr_assert_eq(wl_rpc_send_error(rpc, router, &nobody, 7, WL_ERR_BUSY, NULL, 0),
                 WL_ERR_UNAVAILABLE);
}

Test(rpc, a_client_that_never_reads_is_full_and_the_others_are_served) {
    open_router("inproc://rpc", 5);
    open_client(ZMQ_DEALER, "inproc://rpc");
    zsock_t *deaf = zsock_new(ZMQ_DEALER);
    zsock_set_rcvhwm(deaf, 5);
    zsock_set_linger(deaf, 0);
    cr_assert_eq(zsock_connect(deaf, "inproc://rpc"), 0);
    zsock_t *good = client;
    client = deaf;
    send_frames("", 0, PING, PING_BYTES, NULL, 0);
    cr_assert_eq(recv_request(), WL_OK);
    wl_peer_t peer = request.peer;
    wl_err_t err = WL_OK;
    unsigned sent = 0;
    while (err == WL_OK && sent < 10000) {
        err = wl_rpc_send_result(rpc, router, &peer, sent, (wl_bytes_t){NULL, 0});
        sent += err == WL_OK;
    }
    cr_assert_eq(err, WL_ERR_FULL);
    cr_assert_lt(sent, 100);
    client = good;
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(wl_rpc_send_result(rpc, router, &peer, 1, (wl_bytes_t){NULL, 0}), WL_ERR_FULL);
        send_frames(PING, PING_BYTES, NULL, 0, NULL, 0);
        cr_assert_eq(recv_request(), WL_OK);
        answer_and_expect(1);
    }
    zsock_set_rcvtimeo(deaf, 1000);
    for (unsigned i = 0; i < sent; i++) { /* what was sent is whole */
        zmsg_t *reply = zmsg_recv(deaf);
        cr_assert_not_null(reply);
        cr_assert_eq(zmsg_size(reply), 2);
        zmsg_destroy(&reply);
    }
    zsock_destroy(&deaf);
}

Test(rpc, works_over_tcp_with_many_clients_at_once) {
    open_router("tcp://127.0.0.1:*", 1000);
    zsock_t *clients[8];
    for (unsigned i = 0; i < 8; i++) {
        open_client(i % 2 == 0 ? ZMQ_REQ : ZMQ_DEALER, zsock_endpoint(router));
        clients[i] = client;
        send_frames(PING, PING_BYTES, NULL, 0, NULL, 0);
    }
    for (unsigned i = 0; i < 8; i++) {
        cr_assert_eq(recv_request(), WL_OK);
        cr_assert_eq(wl_rpc_send_result(rpc, router, &request.peer, 7, (wl_bytes_t){NULL, 0}),
                     WL_OK);
    }
    for (unsigned i = 0; i < 8; i++) {
        client = clients[i];
        expect_frames(1, "\x94\x01\x07\xc0\xc0", 5);
        zsock_destroy(&clients[i]);
    }
    client = NULL;
}
