/* http_caller.h: calls over HTTP, many at once: a libcurl multi handle on the actor's loop.
 * Belongs to one thread, never blocks; bounded by WL_CALLS_MAX. Private to lines/. */
#ifndef WL_LINES_HTTP_CALLER_H
#define WL_LINES_HTTP_CALLER_H

#include "lines/call.h"

typedef struct wl_http_caller wl_http_caller_t;

wl_http_caller_t *wl_http_caller_new(zloop_t *loop, wl_call_end_fn ended, void *arg);
/* Destroys the calls under way without ended(). */
void wl_http_caller_destroy(wl_http_caller_t **self);

/* Takes the call over on WL_OK, until ended(). WL_ERR_SETTINGS: the URL cannot be used. */
WL_MUST_USE wl_err_t wl_http_caller_start(wl_http_caller_t *self, wl_call_t *call,
                                          wl_call_key_t key);
/* Destroys a call under way without ended(); its connection is closed. */
void wl_http_caller_cancel(wl_http_caller_t *self, const wl_call_t *call);

#endif
