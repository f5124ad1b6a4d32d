/* redis_address.h: where a Redis server is. Pure but for wl_redis_address_resolve(). For src/store
 * only. */
#ifndef WL_STORE_REDIS_ADDRESS_H
#define WL_STORE_REDIS_ADDRESS_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

enum { WL_REDIS_HOST_MAX = 255 };

typedef struct {
    char host[WL_REDIS_HOST_MAX + 1]; /* as announced: a name or a numeric address */
    char ip[46];                      /* numeric address to connect to, "" = not known */
    uint16_t port;
} wl_redis_address_t;

/* Reads "host:port" or "[v6]:port"; fills ip when the host is numeric. WL_ERR_SETTINGS: neither. */
WL_MUST_USE wl_err_t wl_redis_address_read(const char *text, size_t bytes, wl_redis_address_t *ret);
/* Sets host and, when that is numeric, ip. WL_ERR_SETTINGS: too long, empty or port 0. */
WL_MUST_USE wl_err_t wl_redis_address_set(wl_redis_address_t *self, const char *host, size_t bytes,
                                          long long port);
/* The same server: equal numeric address, or equal name while that is not known, and port. */
bool wl_redis_address_equal(const wl_redis_address_t *self, const wl_redis_address_t *other);
/* Looks up a name, which may block for as long as the resolver likes. WL_ERR_UNAVAILABLE. */
WL_MUST_USE wl_err_t wl_redis_address_resolve(wl_redis_address_t *self);
/* What connect() wants; 0: ip is not known. */
socklen_t wl_redis_address_socket(const wl_redis_address_t *self, struct sockaddr_storage *ret);

#endif
