/* tier.h: the frames between two tiers: a ROUTER (writer) and the DEALERs of readers.
 *     reader > writer   [message]              behind the identity that ROUTER adds
 *     writer > reader   [message]              for this reader alone
 *                       [envelope][message]    a parcel: the same bytes to many readers
 * Every message is read by the ordinary bounded decoder. Never blocks; used by the thread that owns
 * the socket. */
#ifndef WL_PROTO_TIER_H
#define WL_PROTO_TIER_H

#include "proto/messages.h"

#include <czmq.h>

/* The way back to one reader. */
typedef struct {
    uint8_t identity[WL_ROUTING_ID_MAX]; /* as ROUTER gave it */
    uint8_t bytes;                       /* of the identity */
} wl_tier_peer_t;

bool wl_tier_peer_equal(const wl_tier_peer_t *a, const wl_tier_peer_t *b);

/* ---- the writer's side ----------------------------------------------------------------------- */

/* Takes one message of a reader. WL_ERR_EMPTY: nothing there. WL_ERR_MALFORMED / TOO_BIG: one was
 * taken and thrown away. *ret_msg lives until the next use of the decoder. */
WL_MUST_USE wl_err_t wl_tier_recv(zsock_t *router, wl_decoder_t *decoder, wl_tier_peer_t *ret_peer,
                                  wl_msg_t *ret_msg);
/* Sends what was built to one reader and resets the encoder in any case. WL_ERR_FULL: the reader
 * does not take what it gets. WL_ERR_UNAVAILABLE: it is gone. The ROUTER must be mandatory. */
WL_MUST_USE wl_err_t wl_tier_send(zsock_t *router, const wl_tier_peer_t *peer,
                                  wl_encoder_t *encoder);

/* Bytes that go to many readers: copied once, then shared by reference. */
typedef struct wl_tier_parcel wl_tier_parcel_t;

/* Copies both. */
wl_tier_parcel_t *wl_tier_parcel_new(wl_bytes_t envelope, wl_bytes_t message);
void wl_tier_parcel_destroy(wl_tier_parcel_t **self); /* NULL and *NULL are accepted */
/* As wl_tier_send(); the parcel stays. */
WL_MUST_USE wl_err_t wl_tier_parcel_send(const wl_tier_parcel_t *self, zsock_t *router,
                                         const wl_tier_peer_t *peer);

/* ---- the reader's side ----------------------------------------------------------------------- */

/* Takes one message or parcel from the DEALER: of a parcel *ret_msg is the envelope and *ret_inner,
 * decoded by `inner`, the message in it; otherwise *ret_has_inner is false. Errors as wl_tier_recv;
 * a parcel whose content does not decode is malformed as a whole. */
WL_MUST_USE wl_err_t wl_tier_take(zsock_t *dealer, wl_decoder_t *decoder, wl_decoder_t *inner,
                                  wl_msg_t *ret_msg, bool *ret_has_inner, wl_msg_t *ret_inner);

#endif
