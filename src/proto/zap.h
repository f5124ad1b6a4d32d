/* zap.h: the ZeroMQ Authentication Protocol (RFC 27) as its handler speaks it: libzmq asks it about
 * each CURVE handshake. Used by the thread that owns the handler's ROUTER. The bytes come from
 * libzmq, the key and the address from strangers. */
#ifndef WL_PROTO_ZAP_H
#define WL_PROTO_ZAP_H

#include "base/err.h"
#include "base/key_file.h"

#include <czmq.h>

/* Where libzmq looks for the handler of a context. */
#define WL_ZAP_ENDPOINT "inproc://zeromq.zap.01"

typedef enum {
    WL_ZAP_ADMIT = 200,
    WL_ZAP_LATER = 300,  /* the peer is cut off in silence and tries again */
    WL_ZAP_REFUSE = 400, /* the peer is told, and libzmq does not try again */
} wl_zap_verdict_t;

typedef struct {
    uint8_t back[8]; /* of libzmq's socket that waits */
    uint8_t back_bytes;
    char sequence[32];         /* libzmq's number of the request */
    char domain[32];           /* of the socket that was connected to; cut when longer */
    char address[64];          /* of the peer, without a port */
    bool curve;                /* otherwise another mechanism, and key is zero */
    uint8_t key[WL_KEY_BYTES]; /* the peer's public key, which it has proven to own */
} wl_zap_request_t;

/* Never blocks. WL_ERR_EMPTY: nothing there. WL_ERR_MALFORMED: not a request; nothing to answer. */
WL_MUST_USE wl_err_t wl_zap_recv(zsock_t *handler, wl_zap_request_t *ret);
/* user travels with every message of an admitted peer as its User-Id. false: libzmq's socket is
 * gone already. */
bool wl_zap_reply(zsock_t *handler, const wl_zap_request_t *request, wl_zap_verdict_t verdict,
                  const char *text, const char *user);

#endif
