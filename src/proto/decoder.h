/* decoder.h: reads messages from untrusted bytes into the structs of messages.def.
 * A decoder belongs to one thread. It owns one memory zone that is used again for every message, so
 * that a running actor allocates nothing, and the ZeroMQ frame that the channel received last.
 * Nothing in the bytes is trusted: a bounded walk comes first, then types, then sizes. */
#ifndef WL_PROTO_DECODER_H
#define WL_PROTO_DECODER_H

#include "base/err.h"
#include "proto/message_structs.h"

typedef struct wl_decoder wl_decoder_t;

wl_decoder_t *wl_decoder_new(void);
void wl_decoder_destroy(wl_decoder_t **self); /* NULL and *NULL are accepted */

/* Decodes one message from untrusted bytes, which must stay valid as long as *ret_msg is used.
 * WL_ERR_MALFORMED (not MessagePack, unknown id, wrong shape, wrong type, value out of its field),
 * WL_ERR_TOO_BIG (bytes, depth, objects, items or elements of a list over their bound). *ret_msg is
 * untouched on failure and lives until the next use of self. */
WL_MUST_USE wl_err_t wl_msg_decode(wl_decoder_t *self, const void *bytes, size_t count,
                                   wl_msg_t *ret_msg);

/* The opposite of wl_encoder_asset_blob(), for bytes that a store gave back; same errors, same
 * lifetimes as wl_msg_decode(). */
WL_MUST_USE wl_err_t wl_decoder_asset_blob(wl_decoder_t *self, const void *bytes, size_t count,
                                           wl_asset_list_t *ret_assets);

/* The bytes of the message that the channel received last with this decoder; borrowed until its
 * next use. For passing a message on as it came. */
wl_bytes_t wl_decoder_bytes(wl_decoder_t *self);

/* For channel.c and tier.c only: the frame whose bytes the last message borrows from. Always
 * initialised, closed with the decoder. */
struct zmq_msg_t;
struct zmq_msg_t *wl_decoder_frame(wl_decoder_t *self);

#endif
