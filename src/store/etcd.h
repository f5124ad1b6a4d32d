/* etcd.h: requests to etcd (3.4 or newer) through its v3 JSON gateway, for a caller that waits.
 * Endpoints are tried in order, from the one that answered last; each request takes at most about
 * two timeouts in all, its answer has at most 8 MiB. The process has called curl_global_init().
 * For src/store only; belongs to one thread. Source: etcd API reference v3.4. */
#ifndef WL_STORE_ETCD_H
#define WL_STORE_ETCD_H

#include "base/err.h"

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wl_etcd wl_etcd_t;

/* endpoints: "http://host:port" or https, at most 8, comma-separated. Never waits for a server; no
 * name is looked up here. WL_ERR_SETTINGS: these are no endpoints. */
WL_MUST_USE wl_err_t wl_etcd_new(const char *endpoints, uint32_t timeout_ms, wl_etcd_t **ret,
                                 wl_fault_t *fault);
void wl_etcd_destroy(wl_etcd_t **self); /* NULL and *NULL are accepted */

typedef enum {
    WL_ETCD_AGAIN, /* may take effect twice: any failure of one endpoint is asked at the next */
    WL_ETCD_ONCE,  /* only what has certainly not been received goes to the next */
} wl_etcd_how_t;

/* POSTs body, which is consumed, to /v3/<method> ("kv/range"). *ret_answer is an object, owned by
 * the caller. WL_ERR_UNAVAILABLE, WL_ERR_DEADLINE: nobody there, or no answer in time (with
 * WL_ETCD_ONCE it may have taken effect); WL_ERR_NO_SPACE; WL_ERR_IO: refused for another reason;
 * WL_ERR_DAMAGED: not an answer of etcd. */
WL_MUST_USE wl_err_t wl_etcd_ask(wl_etcd_t *self, const char *method, json_t *body,
                                 wl_etcd_how_t how, json_t **ret_answer);
/* Why the last request failed. */
const char *wl_etcd_problem(const wl_etcd_t *self);

/* The gateway speaks of bytes in base64. */
json_t *wl_etcd_bytes(const void *bytes, size_t count);
/* NULL and JSON null are no bytes: they yield "". *ret is wl_free()d, NUL-terminated. False: it is
 * not base64. */
bool wl_etcd_bytes_read(const json_t *text, char **ret, size_t *ret_count);
/* Numbers of 64 bits are texts; one that is not there is 0. False: not a number from 0 on. */
bool wl_etcd_number_read(const json_t *text, uint64_t *ret);

#endif
