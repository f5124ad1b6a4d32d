/* http_request.h: what is sent to a line over HTTP: URL, headers with the signature, JSON body.
 * Pure but for time and nonce of the signature; private to lines/. */
#ifndef WL_LINES_HTTP_REQUEST_H
#define WL_LINES_HTTP_REQUEST_H

#include "lines/call.h"

#include <curl/curl.h>

typedef struct {
    char *url;  /* owned; of a page with uid, month, cursor and limit in its query */
    char *body; /* owned, {"uids":["1","2"]}; NULL: GET */
    size_t body_bytes;
    struct curl_slist *headers; /* owned */
} wl_http_request_t;

/* WL_ERR_SETTINGS: the URL cannot be used; then nothing is owned. */
WL_MUST_USE wl_err_t wl_http_request_open(wl_http_request_t *self, const wl_call_t *call,
                                          wl_call_key_t key);
void wl_http_request_close(wl_http_request_t *self);

#endif
