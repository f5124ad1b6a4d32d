/* channel.h: the one pair of functions that moves messages between actors. It owns framing,
 * EAGAIN and the marks that tell ThreadSanitizer about the hand-over inside libzmq. Used by the
 * thread that owns the socket. */
#ifndef WL_PROTO_CHANNEL_H
#define WL_PROTO_CHANNEL_H

#include "proto/messages.h"

#include <czmq.h>

/* Sends what was built and resets the encoder. Never blocks.
 * WL_ERR_FULL: the mailbox behind `outbox` is full; the encoder keeps the message, the caller
 * decides to keep or drop it; libzmq may say so up to a millisecond after there is room again.
 * WL_ERR_UNAVAILABLE: the context ends; the encoder keeps it too. */
WL_MUST_USE wl_err_t wl_channel_send(zsock_t *outbox, wl_encoder_t *encoder);

/* Takes one message. Never blocks. WL_ERR_EMPTY: nothing there, or the context ends.
 * WL_ERR_MALFORMED / TOO_BIG: one message was taken and thrown away; count it and go on. *ret_msg
 * lives until the next receive with the same decoder, an empty one too. */
WL_MUST_USE wl_err_t wl_channel_recv(zsock_t *inbox, wl_decoder_t *decoder, wl_msg_t *ret_msg);

#endif
