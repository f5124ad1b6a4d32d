/* zmq_caller.h: calls over ZeroMQ, many at once: one DEALER per line and url on the actor's loop,
 * MessagePack-RPC [0, msgid, "assets", [{"uids": [...]}]], or of pages "details" and "summary" with
 * [{"uid", "month"?, "cursor"?, "limit"?}]. Belongs to one thread, never blocks;
 * bounded by WL_CALLS_MAX and LINKS_MAX sockets. Private to lines/. */
#ifndef WL_LINES_ZMQ_CALLER_H
#define WL_LINES_ZMQ_CALLER_H

#include "lines/call.h"

typedef struct wl_zmq_caller wl_zmq_caller_t;

wl_zmq_caller_t *wl_zmq_caller_new(zloop_t *loop, wl_call_end_fn ended, void *arg);
/* Destroys the calls under way without ended(). */
void wl_zmq_caller_destroy(wl_zmq_caller_t **self);

/* Takes the call over on WL_OK, until ended(). WL_ERR_SETTINGS: the endpoint cannot be used.
 * WL_ERR_FULL: too many lines at once. */
WL_MUST_USE wl_err_t wl_zmq_caller_start(wl_zmq_caller_t *self, wl_call_t *call, wl_call_key_t key);

/* Destroys a call under way without ended(); its reply will be dropped. */
void wl_zmq_caller_cancel(wl_zmq_caller_t *self, const wl_call_t *call);

/* Late, cancelled, doubled or unreadable messages of lines, dropped so far. */
uint64_t wl_zmq_caller_dropped(const wl_zmq_caller_t *self);

#endif
