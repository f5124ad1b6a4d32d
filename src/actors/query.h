/* query.h (actor): the slow path: reads users from the database that the cache does not have.
 * Control   $TERM
 * Binds     inproc://query.<i> (PULL)
 * Takes     READ from caches, FETCHED from shards, CONFIG, LINE
 * Sends     FETCH to shards, FILL to caches (absent users too), REPLY to frontends, REFRESH to the
 *           dispatcher
 * Promises  never blocks; one fetch per user however many wait for it; each waiting request is
 *           answered by its own deadline; at most WAITING_MAX wait, the next is told `busy` */
#ifndef WL_ACTORS_QUERY_H
#define WL_ACTORS_QUERY_H

#include <czmq.h>

void wl_query_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
