/* rpc.h: what clients speak: MessagePack-RPC in one frame behind ROUTER (design section 4).
 * Requests come as [identity][body] from a bare DEALER, [identity][""][body] from REQ and DEALERs
 * that send the delimiter, or [identity][number][""][body] from a REQ with ZMQ_REQ_CORRELATE; the
 * reply is framed as the request was.
 * Used by the thread that owns the ROUTER. */
#ifndef WL_PROTO_RPC_H
#define WL_PROTO_RPC_H

#include "proto/args.h"
#include "proto/messages.h"
#include "proto/methods.h"

#include <czmq.h>
#include <msgpack.h>

/* A client that says more gets this much; keeps now + deadline_ms far from overflow. */
enum { WL_DEADLINE_MS_MAX = 86400000 };

/* Bytes of the frame that a REQ with ZMQ_REQ_CORRELATE puts in front of the delimiter. */
enum { WL_CORRELATION_BYTES = 4 };

/* The way back to one client. */
typedef struct {
    uint8_t identity[WL_ROUTING_ID_MAX]; /* as ROUTER gave it */
    uint8_t identity_bytes;              /* 0 = not known: nothing can be sent */
    bool delimiter;                      /* an empty frame stands before the body */
    bool correlated;                     /* and before that the client's number for the request */
    uint8_t correlation[WL_CORRELATION_BYTES];
} wl_peer_t;

/* One request as it lies in the receive buffer; reused from call to call, one per ROUTER. */
typedef struct wl_rpc wl_rpc_t;

typedef struct {
    wl_peer_t peer;
    uint64_t msgid;
    wl_method_t method;
    bool notification;          /* [2, method, [args]]: no reply is sent, no error either */
    int64_t deadline_ms;        /* remaining budget as said by the client, 0 = none given */
    const msgpack_object *args; /* a map, or NULL when args is absent: read with wl_args_* */
    wl_bytes_t args_bytes;      /* the same map as bytes, a one-byte empty map when absent */
} wl_rpc_request_t;

wl_rpc_t *wl_rpc_new(void);
void wl_rpc_destroy(wl_rpc_t **self); /* NULL and *NULL are accepted */

/* Takes one request from the ROUTER, never blocks. port: methods of the other port are
 * WL_ERR_UNKNOWN_METHOD. WL_ERR_EMPTY: nothing there. Any other error: the message was refused;
 * ret_request->peer, msgid and notification are set as far as they could be read (msgid 0
 * otherwise), so that the caller can answer wl_rpc_send_error() unless it was a notification;
 * *fault says why, its message alone is fit for the client. Errors: WL_ERR_MALFORMED (frames or
 * bytes), WL_ERR_TOO_BIG, WL_ERR_UNKNOWN_METHOD, WL_ERR_BAD_REQUEST (deadline_ms is no number),
 * WL_ERR_DEADLINE (deadline_ms <= 0: the budget was used up on the way).
 * On WL_OK the request borrows from self until the next receive. */
WL_MUST_USE wl_err_t wl_rpc_recv(wl_rpc_t *self, zsock_t *router, wl_port_t port,
                                 wl_rpc_request_t *ret_request, wl_fault_t *fault);

/* Decodes one request body without a socket: for tests, fuzzing and PUB intake. `bytes` must stay
 * valid while the request is used. Leaves ret_request->peer alone. */
WL_MUST_USE wl_err_t wl_rpc_decode(wl_rpc_t *self, const void *bytes, size_t count, wl_port_t port,
                                   wl_rpc_request_t *ret_request, wl_fault_t *fault);

/* Who sent the request that was received last: the User-Id that the guard gave to its connection,
 * NULL without CURVE. Borrowed until the next receive. Not cheap: ask only when it matters. */
const char *wl_rpc_user(wl_rpc_t *self);
/* The file descriptor of its connection, -1 = not known. Not cheap either. */
int wl_rpc_connection(wl_rpc_t *self);

/* Memory that lives as long as the request that was received or decoded last. */
msgpack_zone *wl_rpc_zone(wl_rpc_t *self);

/* Sends [1, msgid, nil, result]; result is one MessagePack object, count 0 = nil. Never blocks.
 * WL_ERR_UNAVAILABLE: the client is gone. WL_ERR_FULL: it does not read. Both: count and forget.
 * The ROUTER must be mandatory, otherwise both look like success. */
WL_MUST_USE wl_err_t wl_rpc_send_result(wl_rpc_t *self, zsock_t *router, const wl_peer_t *peer,
                                        uint64_t msgid, wl_bytes_t result);

/* Sends [1, msgid, {code, message, retryable, retry_after_ms?}, nil]. text may be NULL: the error's
 * own; it is cut to WL_MESSAGE_TEXT_MAX bytes. retry_after_ms 0 leaves the key out. */
WL_MUST_USE wl_err_t wl_rpc_send_error(wl_rpc_t *self, zsock_t *router, const wl_peer_t *peer,
                                       uint64_t msgid, wl_err_t err, const char *text,
                                       uint32_t retry_after_ms);

/* Client side of the same envelope (libwallet, tools, tests). */

/* Packs [0, msgid, method, [args]]; args is one MessagePack map, count 0 = an empty map. */
void wl_rpc_pack_request(msgpack_sbuffer *into, uint64_t msgid, const char *method,
                         wl_bytes_t args);

#endif
