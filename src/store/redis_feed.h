/* redis_feed.h: one connection to Redis that is subscribed to one channel and tells that something
 * was published there, not what. A plain connection to any of the nodes: in a cluster PUBLISH
 * reaches all of them. It is made in the background, again with back-off (50 ms to 1 s) at the next
 * node, and a server that is silent to a PING is given up; while there is none nothing is told, so
 * whoever relies on it also looks by himself now and then.
 * Never waits for a server. For src/store only; belongs to one thread. */
#ifndef WL_STORE_REDIS_FEED_H
#define WL_STORE_REDIS_FEED_H

#include "base/err.h"

#include <stdint.h>

typedef struct wl_redis_feed wl_redis_feed_t;

typedef struct {
    const char *nodes;         /* "host:port,host:port", at most 16; copied */
    const char *channel;       /* copied */
    const char *user;          /* "" = the default user */
    const char *password_file; /* "" = none; read again at each connection */
    uint32_t timeout_ms;       /* of a connection attempt and of a PING */
    uint32_t silence_ms;       /* before a PING; 0 = 5000 */
} wl_redis_feed_options_t;

/* Names are looked up here and may block. WL_ERR_SETTINGS: what is no address; WL_ERR_IO: no
 * descriptor is left. */
WL_MUST_USE wl_err_t wl_redis_feed_new(const wl_redis_feed_options_t *options,
                                       wl_redis_feed_t **ret, wl_fault_t *fault);
void wl_redis_feed_destroy(wl_redis_feed_t **self); /* NULL and *NULL are accepted */

/* Readable whenever wl_redis_feed_take() has something to do; the same for its whole life. */
int wl_redis_feed_fd(const wl_redis_feed_t *self);
/* Serves the connection; true when something was published since the last call, or may have been:
 * the subscription was made anew. Never blocks. */
bool wl_redis_feed_take(wl_redis_feed_t *self);

#endif
