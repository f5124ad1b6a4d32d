#include "proto/zap.h"

#include <criterion/criterion.h>
#include <string.h>

typedef struct {
    zsock_t *handler;
    zsock_t *asker; /* what libzmq would be */
} pair_t;

static pair_t pair_open(void) {
    zsys_handler_set(NULL);
    pair_t pair = {zsock_new(ZMQ_ROUTER), zsock_new(ZMQ_DEALER)};
    cr_assert_neq(zsock_bind(pair.handler, "inproc://test.zap"), -1);
    cr_assert_neq(zsock_connect(pair.asker, "inproc://test.zap"), -1);
    zsock_set_rcvtimeo(pair.asker, 2000);
    return pair;
}

static void pair_close(pair_t *pair) {
    zsock_destroy(&pair->asker);
    zsock_destroy(&pair->handler);
    zsys_shutdown();
}

static void ask(const pair_t *pair, const char *version, const char *mechanism, const void *key,
                size_t key_bytes) {
    const char *const texts[] = {"", version, "1", "read", "10.0.0.7", "routing-id", mechanism};
    void *socket = zsock_resolve(pair->asker);
    for (size_t i = 0; i < 7; i++) {
        bool more = i < 6 || key != NULL;
        cr_assert_neq(zmq_send(socket, texts[i], strlen(texts[i]), more ? ZMQ_SNDMORE : 0), -1);
    }
    if (key != NULL) {
        cr_assert_neq(zmq_send(socket, key, key_bytes, 0), -1);
    }
}

static wl_err_t next(const pair_t *pair, wl_zap_request_t *ret) {
    for (int i = 0; i < 200; i++) {
        wl_err_t err = wl_zap_recv(pair->handler, ret);
        if (err != WL_ERR_EMPTY) {
            return err;
        }
        zclock_sleep(5);
    }
    return WL_ERR_EMPTY;
}

Test(zap, a_request_is_read_and_answered) {
    pair_t pair = pair_open();
    uint8_t key[WL_KEY_BYTES];
    memset(key, 0x5a, sizeof key);
    wl_zap_request_t request;
    cr_expect_eq(wl_zap_recv(pair.handler, &request), WL_ERR_EMPTY);
    ask(&pair, "1.0", "CURVE", key, sizeof key);
    cr_assert_eq(next(&pair, &request), WL_OK);
    cr_expect(request.curve);
    cr_expect_str_eq(request.domain, "read");
    cr_expect_str_eq(request.address, "10.0.0.7");
    cr_expect_arr_eq(request.key, key, sizeof key);
    cr_expect(wl_zap_reply(pair.handler, &request, WL_ZAP_ADMIT, "", "app/1"));
    static const char *const expected[] = {"", "1.0", "1", "200", "", "app/1", ""};
    for (size_t i = 0; i < 7; i++) {
        char *frame = zstr_recv(pair.asker);
        cr_assert_not_null(frame);
        cr_expect_str_eq(frame, expected[i], "frame %zu", i);
        zstr_free(&frame);
    }
    cr_expect_eq(zsock_rcvmore(pair.asker), 0);
    pair_close(&pair);
}

Test(zap, other_mechanisms_have_no_key) {
    pair_t pair = pair_open();
    wl_zap_request_t request;
    ask(&pair, "1.0", "NULL", NULL, 0);
    cr_assert_eq(next(&pair, &request), WL_OK);
    cr_expect_not(request.curve);
    ask(&pair, "1.0", "PLAIN", "user", 4);
    cr_assert_eq(next(&pair, &request), WL_OK);
    cr_expect_not(request.curve);
    pair_close(&pair);
}

Test(zap, what_is_no_request_is_dropped_whole) {
    pair_t pair = pair_open();
    wl_zap_request_t request;
    uint8_t key[WL_KEY_BYTES] = {1};
    ask(&pair, "2.0", "CURVE", key, sizeof key);
    cr_expect_eq(next(&pair, &request), WL_ERR_MALFORMED);
    ask(&pair, "1.0", "CURVE", key, sizeof key - 1);
    cr_expect_eq(next(&pair, &request), WL_ERR_MALFORMED);
    ask(&pair, "1.0", "CURVE", NULL, 0);
    cr_expect_eq(next(&pair, &request), WL_ERR_MALFORMED);
    cr_assert_neq(zmq_send(zsock_resolve(pair.asker), "x", 1, 0), -1);
    cr_expect_eq(next(&pair, &request), WL_ERR_MALFORMED);
    ask(&pair, "1.0", "CURVE", key, sizeof key);
    cr_expect_eq(next(&pair, &request), WL_OK);
    pair_close(&pair);
}
