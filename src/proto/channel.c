#include "proto/channel.h"

#include "base/check.h"
#include "proto/frame.h"

#include <errno.h>
#include <string.h>

/* Under ThreadSanitizer every message is made large enough to live on the heap (see frame.h): one
 * more element, which decoders skip as the field of a newer peer. */
enum { PAD_BYTES = WL_FRAME_TSAN ? 64 : 0, PAD_HEAD = WL_FRAME_TSAN ? 2 : 0 };

static void pad(uint8_t *message, size_t bytes) {
    if (PAD_BYTES > 0) {
        WL_ASSERT(message[0] == 0x93);
        message[0] = 0x94;
        message[bytes] = 0xc4;
        message[bytes + 1] = PAD_BYTES;
        memset(message + bytes + PAD_HEAD, 0, PAD_BYTES);
    }
}

wl_err_t wl_channel_send(zsock_t *outbox, wl_encoder_t *encoder) {
    wl_bytes_t bytes = wl_encoder_finish(encoder);
    zmq_msg_t frame;
    int rc = zmq_msg_init_size(&frame, bytes.count + PAD_HEAD + PAD_BYTES);
    WL_ASSERT(rc == 0);
    memcpy(zmq_msg_data(&frame), bytes.at, bytes.count);
    pad(zmq_msg_data(&frame), bytes.count);
    switch (wl_frame_send(zsock_resolve(outbox), &frame, 0)) {
    case 0: wl_encoder_reset(encoder); return WL_OK;
    case EAGAIN: return WL_ERR_FULL;
    default: return WL_ERR_UNAVAILABLE;
    }
}

wl_err_t wl_channel_recv(zsock_t *inbox, wl_decoder_t *decoder, wl_msg_t *ret_msg) {
    void *socket = zsock_resolve(inbox);
    zmq_msg_t *frame = wl_decoder_frame(decoder);
    if (!wl_frame_recv(socket, frame)) {
        return WL_ERR_EMPTY;
    }
    if (zmq_msg_more(frame)) {
        wl_frame_drain(socket, frame);
        return WL_ERR_MALFORMED;
    }
    return wl_msg_decode(decoder, zmq_msg_data(frame), zmq_msg_size(frame), ret_msg);
}
