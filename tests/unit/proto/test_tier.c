#include "proto/tier.h"

#include "proto/channel.h"

#include <criterion/criterion.h>
#include <string.h>

typedef struct {
    zsock_t *router;
    zsock_t *dealers[2];
    wl_tier_peer_t peers[2];
    wl_encoder_t *encoder;
    wl_decoder_t *decoder;
    wl_decoder_t *inner;
} world_t;

static bool readable(zsock_t *socket) {
    zmq_pollitem_t item = {.socket = zsock_resolve(socket), .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, 5000) == 1;
}

static wl_err_t next_of_reader(world_t *self, wl_tier_peer_t *peer, wl_msg_t *msg) {
    cr_assert(readable(self->router));
    return wl_tier_recv(self->router, self->decoder, peer, msg);
}

static void world_open(world_t *self) {
    zsys_handler_set(NULL);
    self->encoder = wl_encoder_new();
    self->decoder = wl_decoder_new();
    self->inner = wl_decoder_new();
    self->router = zsock_new(ZMQ_ROUTER);
    zsock_set_router_mandatory(self->router, 1);
    zsock_set_sndtimeo(self->router, 0);
    zsock_set_sndhwm(self->router, 10);
    cr_assert_eq(zsock_bind(self->router, "inproc://tier"), 0);
    for (uint32_t i = 0; i < 2; i++) {
        self->dealers[i] = zsock_new(ZMQ_DEALER);
        zsock_set_rcvhwm(self->dealers[i], 10);
        cr_assert_eq(zsock_connect(self->dealers[i], "inproc://tier"), 0);
        wl_follow_begin(self->encoder, &(wl_follow_head_t){.session = i + 1});
        cr_assert_eq(wl_channel_send(self->dealers[i], self->encoder), WL_OK);
        wl_msg_t msg;
        cr_assert_eq(next_of_reader(self, &self->peers[i], &msg), WL_OK);
        cr_assert_eq(msg.head.follow.session, i + 1);
    }
    cr_expect(!wl_tier_peer_equal(&self->peers[0], &self->peers[1]));
    cr_expect(wl_tier_peer_equal(&self->peers[0], &self->peers[0]));
}

static void world_close(world_t *self) {
    zsock_destroy(&self->router);
    zsock_destroy(&self->dealers[0]);
    zsock_destroy(&self->dealers[1]);
    wl_encoder_destroy(&self->encoder);
    wl_decoder_destroy(&self->decoder);
    wl_decoder_destroy(&self->inner);
    zsys_shutdown();
}

static wl_tier_parcel_t *parcel_of(world_t *self, uint64_t seq) {
    wl_encoder_t *message = wl_encoder_new();
    wl_notice_begin(message, &(wl_notice_head_t){.dispatcher = 0});
    wl_notice_add(message, &(wl_notice_item_t){.uid = 42, .seq = seq, .line = "cash"});
    wl_feed_begin(self->encoder, &(wl_feed_head_t){.feed = 7, .seq = seq});
    wl_tier_parcel_t *parcel =
        wl_tier_parcel_new(wl_encoder_finish(self->encoder), wl_encoder_finish(message));
    wl_encoder_destroy(&message);
    wl_encoder_reset(self->encoder);
    return parcel;
}

Test(tier, a_parcel_goes_to_many_and_a_message_to_one) {
    world_t self;
    world_open(&self);
    wl_tier_parcel_t *parcel = parcel_of(&self, 3);
    cr_expect_eq(wl_tier_parcel_send(parcel, self.router, &self.peers[0]), WL_OK);
    cr_expect_eq(wl_tier_parcel_send(parcel, self.router, &self.peers[1]), WL_OK);
    wl_tier_parcel_destroy(&parcel);
    wl_beat_begin(self.encoder, &(wl_beat_head_t){.next = 4});
    cr_expect_eq(wl_tier_send(self.router, &self.peers[1], self.encoder), WL_OK);
    wl_msg_t msg;
    wl_msg_t content;
    bool has_content = false;
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert(readable(self.dealers[i]));
        cr_assert_eq(
            wl_tier_take(self.dealers[i], self.decoder, self.inner, &msg, &has_content, &content),
            WL_OK);
        cr_expect(has_content);
        cr_expect_eq(msg.head.feed.seq, 3u);
        cr_expect_eq(content.items.notice[0].uid, 42u);
    }
    cr_assert(readable(self.dealers[1]));
    cr_assert_eq(
        wl_tier_take(self.dealers[1], self.decoder, self.inner, &msg, &has_content, &content),
        WL_OK);
    cr_expect(!has_content);
    cr_expect_eq(msg.head.beat.next, 4u);
    cr_expect_eq(
        wl_tier_take(self.dealers[1], self.decoder, self.inner, &msg, &has_content, &content),
        WL_ERR_EMPTY);
    world_close(&self);
}

Test(tier, a_reader_that_takes_nothing_is_full_and_one_that_is_gone_unavailable) {
    world_t self;
    world_open(&self);
    wl_tier_parcel_t *parcel = parcel_of(&self, 3);
    wl_err_t err = WL_OK;
    for (uint32_t i = 0; i < 100 && err == WL_OK; i++) {
        err = wl_tier_parcel_send(parcel, self.router, &self.peers[0]);
    }
    cr_expect_eq(err, WL_ERR_FULL);
    cr_expect_eq(wl_tier_parcel_send(parcel, self.router, &self.peers[1]), WL_OK,
                 "the other one is not held up");
    wl_tier_peer_t stranger = {.identity = {0, 1, 2, 3, 9}, .bytes = 5};
    cr_expect_eq(wl_tier_parcel_send(parcel, self.router, &stranger), WL_ERR_UNAVAILABLE);
    wl_beat_begin(self.encoder, &(wl_beat_head_t){.next = 1});
    cr_expect_eq(wl_tier_send(self.router, &stranger, self.encoder), WL_ERR_UNAVAILABLE);
    cr_expect(!wl_encoder_begun(self.encoder));
    wl_tier_parcel_destroy(&parcel);
    world_close(&self);
}

Test(tier, what_is_no_message_is_refused_as_a_whole) {
    world_t self;
    world_open(&self);
    wl_tier_peer_t peer;
    wl_msg_t msg;
    wl_msg_t content;
    bool has_content = false;
    void *dealer = zsock_resolve(self.dealers[0]);
    cr_assert_eq(zmq_send(dealer, "\xc1", 1, 0), 1);
    cr_expect_eq(next_of_reader(&self, &peer, &msg), WL_ERR_MALFORMED);
    cr_assert_eq(zmq_send(dealer, "", 0, ZMQ_SNDMORE), 0);
    cr_assert_eq(zmq_send(dealer, "x", 1, ZMQ_SNDMORE), 1);
    cr_assert_eq(zmq_send(dealer, "y", 1, 0), 1);
    cr_expect_eq(next_of_reader(&self, &peer, &msg), WL_ERR_MALFORMED);
    cr_expect_eq(wl_tier_recv(self.router, self.decoder, &peer, &msg), WL_ERR_EMPTY,
                 "nothing is left of them");
    void *router = zsock_resolve(self.router);
    for (uint32_t frames = 2; frames <= 4; frames++) { /* the last of them is garbage */
        cr_assert_geq(zmq_send(router, self.peers[0].identity, self.peers[0].bytes, ZMQ_SNDMORE),
                      0);
        wl_feed_begin(self.encoder, &(wl_feed_head_t){.seq = 1});
        wl_bytes_t bytes = wl_encoder_finish(self.encoder);
        for (uint32_t i = 1; i < frames; i++) {
            cr_assert_geq(zmq_send(router, bytes.at, bytes.count, ZMQ_SNDMORE), 0);
        }
        cr_assert_geq(zmq_send(router, "\xc1", 1, 0), 0);
        cr_assert(readable(self.dealers[0]));
        cr_expect_eq(
            wl_tier_take(self.dealers[0], self.decoder, self.inner, &msg, &has_content, &content),
            WL_ERR_MALFORMED);
    }
    cr_expect_eq(
        wl_tier_take(self.dealers[0], self.decoder, self.inner, &msg, &has_content, &content),
        WL_ERR_EMPTY);
    world_close(&self);
}
