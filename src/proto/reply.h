/* reply.h: the calling side of the RPC envelope inside walletd: a DEALER that asks a line and reads
 * what a stranger answers. Never blocks; the memory of a reply is used again for the next. Used by
 * the thread that owns the socket. */
#ifndef WL_PROTO_REPLY_H
#define WL_PROTO_REPLY_H

#include "base/err.h"
#include "proto/message_structs.h"

#include <czmq.h>

typedef struct wl_replies wl_replies_t;

typedef struct {
    uint64_t msgid;
    bool failed;            /* error is not nil; then result is empty */
    int64_t retry_after_ms; /* of the error, 0 = not said */
    char code[32];          /* of the error, printable ASCII, "" = not said */
    wl_bytes_t result;      /* one sound object, borrowed until the next call */
} wl_reply_t;

wl_replies_t *wl_replies_new(void);
void wl_replies_destroy(wl_replies_t **self); /* NULL and *NULL are accepted */

/* Takes one reply, [""][1, msgid, error, result] with or without the empty frame. WL_ERR_EMPTY:
 * nothing there. WL_ERR_MALFORMED: that message is dropped, more may follow. */
WL_MUST_USE wl_err_t wl_replies_recv(wl_replies_t *self, zsock_t *dealer, wl_reply_t *ret);

/* The same for bytes at hand, which must outlive *ret. For tests and fuzzing too. */
WL_MUST_USE wl_err_t wl_replies_decode(wl_replies_t *self, const void *bytes, size_t count,
                                       wl_reply_t *ret);

/* Sends [""][body]. WL_ERR_FULL: no connection or too much under way. WL_ERR_UNAVAILABLE. */
WL_MUST_USE wl_err_t wl_request_send(zsock_t *dealer, wl_bytes_t body);

#endif
