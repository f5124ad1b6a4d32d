#include "proto/reply.h"

#include <criterion/criterion.h>
#include <string.h>

static wl_replies_t *replies;
static wl_reply_t reply;

static void open_replies(void) {
    zsys_handler_set(NULL);
    replies = wl_replies_new();
}

static void close_replies(void) {
    wl_replies_destroy(&replies);
    wl_replies_destroy(&replies);
}

static wl_err_t decode(const char *bytes, size_t count) {
    return wl_replies_decode(replies, bytes, count, &reply);
}

TestSuite(reply, .init = open_replies, .fini = close_replies);

Test(reply, gives_the_result_as_bytes) {
    static const char plain[] = "\x94\x01\x07\xc0\x81\xa1"
                                "a\x05";
    cr_assert_eq(decode(plain, sizeof plain - 1), WL_OK);
    cr_assert_eq(reply.msgid, 7);
    cr_assert_not(reply.failed);
    cr_assert_eq(reply.result.count, 4);
    cr_assert_arr_eq(reply.result.at,
                     "\x81\xa1"
                     "a\x05",
                     4);
}

Test(reply, takes_any_encoding_of_the_head) {
    static const char wide[] = "\xdd\0\0\0\x04\xd0\x01\xcf\0\0\0\x01\0\0\0\0\xc0\xc0";
    static const char medium[] = "\xdc\0\x04\x01\xcb\x40\x1c\0\0\0\0\0\0\xc0\x90";
    cr_assert_eq(decode(wide, sizeof wide - 1), WL_OK);
    cr_assert_eq(reply.msgid, 4294967296u);
    cr_assert_eq(reply.result.count, 1);
    cr_assert_eq(decode(medium, sizeof medium - 1), WL_OK);
    cr_assert_eq(reply.msgid, 7, "JavaScript sends integral floats");
}

Test(reply, reads_what_an_error_says_and_no_more) {
    static const char full[] = "\x94\x01\x07\x82\xa4"
                               "code\xa4"
                               "bu\ny\xae"
                               "retry_after_ms\xcd\x01\xf4\xc0";
    cr_assert_eq(decode(full, sizeof full - 1), WL_OK);
    cr_assert(reply.failed);
    cr_assert_str_eq(reply.code, "bu?y");
    cr_assert_eq(reply.retry_after_ms, 500);
    cr_assert_eq(reply.result.count, 0);
    cr_assert_eq(decode("\x94\x01\x07\xa3"
                        "bad\xc0",
                        8),
                 WL_OK);
    cr_assert(reply.failed);
    cr_assert_str_eq(reply.code, "");
    cr_assert_eq(reply.retry_after_ms, 0);
}

Test(reply, refuses_what_is_no_reply) {
    static const struct {
        const char *bytes;
        size_t count;
    } rows[] = {{"", 0},
                {"\x94", 1},
                {"\x94\x01\x07\xc0", 4},                     /* cut */
                {"\x94\x01\x07\xc0\xc0\xc0", 6},             /* bytes behind it */
                {"\x94\x00\x07\xc0\xc0", 5},                 /* a request */
                {"\x93\x01\x07\xc0", 4},                     /* too short */
                {"\x94\x01\xff\xc0\xc0", 5},                 /* a negative msgid */
                {"\x94\x01\xa1x\xc0\xc0", 6},                /* a msgid of text */
                {"\x94\x01\x07\xc0\xdd\xff\xff\xff\xff", 9}, /* claims four billion */
                {"\x84\x01\x07\xc0\xc0", 5},
                {"garbage", 7}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        cr_assert_eq(decode(rows[i].bytes, rows[i].count), WL_ERR_MALFORMED, "row %zu", i);
    }
}

Test(reply, takes_frames_with_and_without_delimiter_and_drops_others) {
    zsock_t *router = zsock_new(ZMQ_ROUTER);
    zsock_t *dealer = zsock_new(ZMQ_DEALER);
    int port = zsock_bind(router, "tcp://127.0.0.1:*");
    cr_assert(port > 0);
    cr_assert_eq(zsock_connect(dealer, "tcp://127.0.0.1:%d", port), 0);
    cr_assert_eq(wl_replies_recv(replies, dealer, &reply), WL_ERR_EMPTY);
    cr_assert_eq(wl_request_send(dealer, (wl_bytes_t){(const uint8_t *)"hi", 2}), WL_OK);
    zframe_t *peer = NULL;
    zframe_t *delimiter = NULL;
    zframe_t *body = NULL;
    cr_assert_eq(zsock_recv(router, "fff", &peer, &delimiter, &body), 0);
    cr_assert_eq(zframe_size(delimiter), 0);
    cr_assert(zframe_streq(body, "hi"));
    cr_assert_eq(zsock_send(router, "ffb", peer, delimiter, "\x94\x01\x05\xc0\xc0", (size_t)5), 0);
    cr_assert_eq(zsock_send(router, "fb", peer, "\x94\x01\x06\xc0\xc0", (size_t)5), 0);
    cr_assert_eq(zsock_send(router, "ffss", peer, delimiter, "two", "frames"), 0);
    cr_assert_eq(zsock_send(router, "ff", peer, delimiter), 0);
    cr_assert_eq(zsock_send(router, "ffb", peer, delimiter, "\x94\x01\x07\xc0\xc0", (size_t)5), 0);
    static const wl_err_t errs[] = {WL_OK, WL_OK, WL_ERR_MALFORMED, WL_ERR_MALFORMED, WL_OK};
    zpoller_t *poller = zpoller_new(dealer, NULL);
    for (uint64_t i = 0; i < 5; i++) {
        cr_assert_eq(zpoller_wait(poller, 5000), dealer);
        cr_assert_eq(wl_replies_recv(replies, dealer, &reply), errs[i], "message %d", (int)i);
    }
    cr_assert_eq(reply.msgid, 7);
    cr_assert_eq(wl_replies_recv(replies, dealer, &reply), WL_ERR_EMPTY);
    zpoller_destroy(&poller);
    zframe_destroy(&peer);
    zframe_destroy(&delimiter);
    zframe_destroy(&body);
    zsock_destroy(&router);
    zsock_destroy(&dealer);
    zsys_shutdown();
}
