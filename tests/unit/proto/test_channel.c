#include "proto/channel.h"

#include "base/clock.h"

#include <criterion/criterion.h>

static zsock_t *pusher;
static zsock_t *puller;
static wl_encoder_t *encoder;
static wl_decoder_t *decoder;
static wl_msg_t got;

/* The two ends of one mailbox that holds 2 x hwm messages. */
static void open_pair(int hwm) {
    pusher = zsock_new(ZMQ_PUSH);
    puller = zsock_new(ZMQ_PULL);
    zsock_set_sndhwm(pusher, hwm);
    zsock_set_rcvhwm(puller, hwm);
    cr_assert_eq(zsock_bind(puller, "inproc://box"), 0);
    cr_assert_eq(zsock_connect(pusher, "inproc://box"), 0);
    encoder = wl_encoder_new();
    decoder = wl_decoder_new();
}

static void close_pair(void) {
    zsock_destroy(&pusher);
    zsock_destroy(&puller);
    wl_encoder_destroy(&encoder);
    wl_decoder_destroy(&decoder);
}

TestSuite(channel, .fini = close_pair);

Test(channel, brings_messages_of_any_size_in_order) {
    open_pair(1000);
    static uint8_t body[200000];
    for (uint32_t i = 0; i < 20; i++) {
        wl_reply_begin(encoder, NULL);
        wl_reply_add(encoder, &(wl_reply_item_t){.ticket = i, .body = {body, i * 10000}});
        cr_assert_eq(wl_channel_send(pusher, encoder), WL_OK);
        cr_assert_not(wl_encoder_begun(encoder), "sent: the encoder is empty");
        wl_queued_begin(encoder, &(wl_queued_head_t){.last_id = i}); /* a few bytes */
        cr_assert_eq(wl_channel_send(pusher, encoder), WL_OK);
    }
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert_eq(wl_channel_recv(puller, decoder, &got), WL_OK);
        cr_assert_eq(got.id, WL_MSG_REPLY);
        cr_assert_eq(got.items.reply[0].ticket, i);
        cr_assert_eq(got.items.reply[0].body.count, i * 10000);
        cr_assert_eq(wl_channel_recv(puller, decoder, &got), WL_OK);
        cr_assert_eq(got.id, WL_MSG_QUEUED);
        cr_assert_eq(got.head.queued.last_id, i);
    }
    cr_assert_eq(wl_channel_recv(puller, decoder, &got), WL_ERR_EMPTY);
}

Test(channel, a_full_mailbox_says_so_and_the_encoder_keeps_the_message) {
    open_pair(3);
    wl_err_t err = WL_OK;
    uint64_t sent = 0;
    while (err == WL_OK && sent < 100) {
        wl_queued_begin(encoder, &(wl_queued_head_t){.last_id = sent});
        err = wl_channel_send(pusher, encoder);
        sent += err == WL_OK;
    }
    cr_assert_eq(err, WL_ERR_FULL);
    cr_assert_lt(sent, 10);
    cr_assert(wl_encoder_begun(encoder));
    cr_assert_eq(wl_channel_recv(puller, decoder, &got), WL_OK);
    cr_assert_eq(got.head.queued.last_id, 0);
    for (unsigned i = 1; i < sent; i++) { /* libzmq tells the sender about room in batches */
        cr_assert_eq(wl_channel_recv(puller, decoder, &got), WL_OK);
    }
    int64_t until = wl_mono_now().ms + 5000; /* and looks at what it is told once a millisecond */
    do {
        err = wl_channel_send(pusher, encoder);
    } while (err == WL_ERR_FULL && wl_mono_now().ms < until);
    cr_assert_eq(err, WL_OK);
    cr_assert_eq(wl_channel_recv(puller, decoder, &got), WL_OK);
    cr_assert_eq(got.head.queued.last_id, sent);
}

Test(channel, nobody_connected_is_a_full_mailbox) {
    pusher = zsock_new(ZMQ_PUSH);
    encoder = wl_encoder_new();
    wl_queued_begin(encoder, &(wl_queued_head_t){.last_id = 1});
    cr_assert_eq(wl_channel_send(pusher, encoder), WL_ERR_FULL);
}

Test(channel, throws_multipart_and_damaged_messages_away_and_goes_on) {
    open_pair(1000);
    cr_assert_eq(zstr_sendx(pusher, "a", "b", "c", NULL), 0);
    cr_assert_eq(zstr_send(pusher, "damaged"), 0);
    cr_assert_eq(zstr_send(pusher, ""), 0);
    wl_queued_begin(encoder, &(wl_queued_head_t){.last_id = 5});
    cr_assert_eq(wl_channel_send(pusher, encoder), WL_OK);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(wl_channel_recv(puller, decoder, &got), WL_ERR_MALFORMED);
    }
    cr_assert_eq(wl_channel_recv(puller, decoder, &got), WL_OK);
    cr_assert_eq(got.head.queued.last_id, 5);
}

Test(channel, items_may_be_added_after_a_refused_send) {
    pusher = zsock_new(ZMQ_PUSH);
    encoder = wl_encoder_new();
    decoder = wl_decoder_new();
    wl_refresh_begin(encoder, &(wl_refresh_head_t){.line = "cash"});
    wl_refresh_add(encoder, &(wl_refresh_item_t){.uid = 1});
    cr_assert_eq(wl_channel_send(pusher, encoder), WL_ERR_FULL);
    wl_refresh_add(encoder, &(wl_refresh_item_t){.uid = 2});
    puller = zsock_new(ZMQ_PULL);
    cr_assert_eq(zsock_bind(puller, "inproc://late"), 0);
    cr_assert_eq(zsock_connect(pusher, "inproc://late"), 0);
    cr_assert_eq(wl_channel_send(pusher, encoder), WL_OK);
    cr_assert_eq(wl_channel_recv(puller, decoder, &got), WL_OK);
    cr_assert_eq(got.count, 2);
    cr_assert_eq(got.items.refresh[1].uid, 2);
}
