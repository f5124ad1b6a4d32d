#include "proto/tier.h"

#include "base/alloc.h"
#include "base/check.h"
#include "proto/frame.h"

#include <errno.h>
#include <string.h>

struct wl_tier_parcel {
    zmq_msg_t envelope; /* owned */
    zmq_msg_t message;  /* owned */
};

bool wl_tier_peer_equal(const wl_tier_peer_t *a, const wl_tier_peer_t *b) {
    return a->bytes == b->bytes && memcmp(a->identity, b->identity, a->bytes) == 0;
}

/* ---- the writer's side ----------------------------------------------------------------------- */

wl_err_t wl_tier_recv(zsock_t *router, wl_decoder_t *decoder, wl_tier_peer_t *ret_peer,
                      wl_msg_t *ret_msg) {
    void *socket = zsock_resolve(router);
    zmq_msg_t *frame = wl_decoder_frame(decoder);
    if (!wl_frame_recv(socket, frame)) {
        return WL_ERR_EMPTY;
    }
    size_t bytes = zmq_msg_size(frame);
    WL_ASSERT(bytes <= WL_ROUTING_ID_MAX); /* libzmq's own promise, not the peer's */
    memcpy(ret_peer->identity, zmq_msg_data(frame), bytes);
    ret_peer->bytes = (uint8_t)bytes;
    if (!zmq_msg_more(frame) || !wl_frame_recv(socket, frame)) {
        return WL_ERR_MALFORMED;
    }
    if (zmq_msg_more(frame)) {
        wl_frame_drain(socket, frame);
        return WL_ERR_MALFORMED;
    }
    return wl_msg_decode(decoder, zmq_msg_data(frame), zmq_msg_size(frame), ret_msg);
}

static void frame_fill(zmq_msg_t *frame, const void *at, size_t bytes) {
    int rc = zmq_msg_init_size(frame, bytes);
    WL_ASSERT(rc == 0);
    if (bytes > 0) {
        memcpy(zmq_msg_data(frame), at, bytes);
    }
}

static wl_err_t frame_send(void *socket, zmq_msg_t *frame, int flags) {
    switch (wl_frame_send(socket, frame, flags)) {
    case 0: return WL_OK;
    case EAGAIN: return WL_ERR_FULL;
    default: return WL_ERR_UNAVAILABLE; /* EHOSTUNREACH: the reader has gone */
    }
}

/* ROUTER decides about a message at its first frame; the others then never fail for the peer. */
static wl_err_t identity_send(void *socket, const wl_tier_peer_t *peer) {
    zmq_msg_t frame;
    frame_fill(&frame, peer->identity, peer->bytes);
    return frame_send(socket, &frame, ZMQ_SNDMORE);
}

wl_err_t wl_tier_send(zsock_t *router, const wl_tier_peer_t *peer, wl_encoder_t *encoder) {
    void *socket = zsock_resolve(router);
    wl_bytes_t bytes = wl_encoder_finish(encoder);
    wl_err_t err = identity_send(socket, peer);
    if (err == WL_OK) {
        zmq_msg_t frame;
        frame_fill(&frame, bytes.at, bytes.count);
        err = frame_send(socket, &frame, 0);
    }
    wl_encoder_reset(encoder);
    return err;
}

wl_tier_parcel_t *wl_tier_parcel_new(wl_bytes_t envelope, wl_bytes_t message) {
    wl_tier_parcel_t *self = wl_alloc_zero(1, sizeof *self);
    frame_fill(&self->envelope, envelope.at, envelope.count);
    frame_fill(&self->message, message.at, message.count);
    return self;
}

void wl_tier_parcel_destroy(wl_tier_parcel_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    (void)zmq_msg_close(&(*self)->envelope);
    (void)zmq_msg_close(&(*self)->message);
    wl_free(*self);
    *self = NULL;
}

/* libzmq counts references to the bytes instead of copying them. */
static wl_err_t shared_send(void *socket, const zmq_msg_t *shared, int flags) {
    zmq_msg_t frame;
    (void)zmq_msg_init(&frame);
    int rc = zmq_msg_copy(&frame, (zmq_msg_t *)(uintptr_t)shared);
    WL_ASSERT(rc == 0);
    return frame_send(socket, &frame, flags);
}

wl_err_t wl_tier_parcel_send(const wl_tier_parcel_t *self, zsock_t *router,
                             const wl_tier_peer_t *peer) {
    void *socket = zsock_resolve(router);
    wl_err_t err = identity_send(socket, peer);
    if (err == WL_OK) {
        err = shared_send(socket, &self->envelope, ZMQ_SNDMORE);
    }
    return err == WL_OK ? shared_send(socket, &self->message, 0) : err;
}

/* ---- the reader's side ----------------------------------------------------------------------- */

wl_err_t wl_tier_take(zsock_t *dealer, wl_decoder_t *decoder, wl_decoder_t *inner,
                      wl_msg_t *ret_msg, bool *ret_has_inner, wl_msg_t *ret_inner) {
    void *socket = zsock_resolve(dealer);
    zmq_msg_t *frame = wl_decoder_frame(decoder);
    if (!wl_frame_recv(socket, frame)) {
        return WL_ERR_EMPTY;
    }
    bool parcel = zmq_msg_more(frame);
    zmq_msg_t *content = wl_decoder_frame(inner);
    if (parcel && !wl_frame_recv(socket, content)) {
        return WL_ERR_MALFORMED;
    }
    if (parcel && zmq_msg_more(content)) {
        wl_frame_drain(socket, content);
        return WL_ERR_MALFORMED;
    }
    wl_err_t err = wl_msg_decode(decoder, zmq_msg_data(frame), zmq_msg_size(frame), ret_msg);
    if (err == WL_OK && parcel) {
        err = wl_msg_decode(inner, zmq_msg_data(content), zmq_msg_size(content), ret_inner);
    }
    *ret_has_inner = parcel;
    return err;
}
