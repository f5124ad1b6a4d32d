/* published.h: takes what lines publish (PUB/SUB, design section 4): two frames, the topic
 * "changed.<line>" and a notification [2, "notify.changed", [{line, source, seq, changes}]].
 * Strangers write it: nothing is trusted. Used by the thread that owns the SUB socket. */
#ifndef WL_PROTO_PUBLISHED_H
#define WL_PROTO_PUBLISHED_H

#include "proto/rpc.h"

typedef struct wl_published wl_published_t; /* the newest message and the memory to read it */

wl_published_t *wl_published_new(void);
void wl_published_destroy(wl_published_t **self); /* NULL and *NULL are accepted */

/* Takes one message, never blocks. WL_ERR_EMPTY: nothing there. WL_ERR_MALFORMED (frames, topic,
 * bytes, not a notification), TOO_BIG, UNKNOWN_METHOD (anything but notify.changed), BAD_REQUEST,
 * DEADLINE: one message was taken and thrown away, *fault says why. On WL_OK ret_line is the line
 * of the topic, which the body may contradict, and the request borrows from self until the next
 * receive. */
WL_MUST_USE wl_err_t wl_published_recv(wl_published_t *self, zsock_t *subscriber,
                                       char ret_line[WL_LINE_ID_MAX + 1],
                                       wl_rpc_request_t *ret_request, wl_fault_t *fault);

/* Who published the message that was received last, and on which connection: see wl_rpc_user() and
 * wl_rpc_connection(). */
const char *wl_published_user(wl_published_t *self);
int wl_published_connection(wl_published_t *self);

#endif
