#include "proto/frame.h"

#include <criterion/criterion.h>
#include <czmq.h>
#include <errno.h>
#include <string.h>

static zsock_t *left;
static zsock_t *right;
static zmq_msg_t frame;

static void setup(void) {
    left = zsock_new(ZMQ_PAIR);
    right = zsock_new(ZMQ_PAIR);
    zsock_set_sndhwm(left, 2);
    zsock_set_rcvhwm(right, 2);
    zsock_set_linger(left, 0);
    cr_assert_eq(zsock_bind(right, "inproc://frame"), 0);
    cr_assert_eq(zsock_connect(left, "inproc://frame"), 0);
    cr_assert_eq(zmq_msg_init(&frame), 0);
}

static void teardown(void) {
    (void)zmq_msg_close(&frame);
    zsock_destroy(&left);
    zsock_destroy(&right);
}

TestSuite(frame, .init = setup, .fini = teardown);

static int send_bytes(size_t bytes, int flags) {
    zmq_msg_t out;
    cr_assert_eq(zmq_msg_init_size(&out, bytes), 0);
    memset(zmq_msg_data(&out), 'x', bytes);
    return wl_frame_send(zsock_resolve(left), &out, flags);
}

Test(frame, brings_small_and_large_frames_and_says_when_there_is_none) {
    void *socket = zsock_resolve(right);
    cr_assert_not(wl_frame_recv(socket, &frame));
    cr_assert_eq(send_bytes(3, 0), 0);
    cr_assert(wl_frame_recv(socket, &frame));
    cr_assert_eq(zmq_msg_size(&frame), 3);
    cr_assert_eq(send_bytes(3000, 0), 0);
    cr_assert(wl_frame_recv(socket, &frame));
    cr_assert_eq(zmq_msg_size(&frame), 3000);
    cr_assert_not(wl_frame_recv(socket, &frame));
}

Test(frame, drains_the_rest_of_a_message_and_not_the_next_one) {
    void *socket = zsock_resolve(right);
    cr_assert_eq(send_bytes(1, ZMQ_SNDMORE), 0);
    cr_assert_eq(send_bytes(2, ZMQ_SNDMORE), 0);
    cr_assert_eq(send_bytes(3, 0), 0);
    cr_assert_eq(send_bytes(4, 0), 0);
    cr_assert(wl_frame_recv(socket, &frame));
    wl_frame_drain(socket, &frame);
    cr_assert(wl_frame_recv(socket, &frame));
    cr_assert_eq(zmq_msg_size(&frame), 4);
    wl_frame_drain(socket, &frame);
    cr_assert_not(wl_frame_recv(socket, &frame));
}

Test(frame, consumes_the_frame_when_it_cannot_be_sent) {
    int reason = 0;
    for (unsigned i = 0; i < 100 && reason == 0; i++) {
        reason = send_bytes(1000, 0); /* LeakSanitizer sees a frame that stays */
    }
    cr_assert_eq(reason, EAGAIN);
}
