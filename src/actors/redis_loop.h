/* redis_loop.h: drives a wl_redis_t from an actor's zloop: its sockets, its deadlines, its
 * connections made anew. Belongs to the actor's thread.
 *
 * Commands sent in a handler leave with the next turn of the loop, or at once with
 * wl_redis_loop_turn(), which an actor calls where it flushes its hub. Callbacks come from the loop
 * and from wl_redis_loop_turn(); what they build for other actors is sent in `after`. */
#ifndef WL_ACTORS_REDIS_LOOP_H
#define WL_ACTORS_REDIS_LOOP_H

#include "store/redis.h"

#include <czmq.h>

typedef struct wl_redis_loop wl_redis_loop_t;

/* Called after each batch of replies and each tick that the loop served; there the actor flushes
 * its hub. Not called by wl_redis_loop_turn(): its caller knows. */
typedef void (*wl_redis_loop_after_fn)(void *arg);

/* Before the loop starts; begins to connect. Borrows both; after may be NULL. */
wl_redis_loop_t *wl_redis_loop_new(zloop_t *loop, wl_redis_t *redis, wl_redis_loop_after_fn after,
                                   void *arg);
/* Before its zloop and its wl_redis_t are destroyed. NULL and *NULL are accepted. */
void wl_redis_loop_destroy(wl_redis_loop_t **self);

/* Writes what was sent, and calls back commands that failed at once. */
void wl_redis_loop_turn(wl_redis_loop_t *self);

#endif
