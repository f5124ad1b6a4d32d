/* query.h (actor): the slow path: reads users from the database that the cache does not have, and
 * asks lines where the copy will not do.
 * Control   $TERM
 * Binds     inproc://query.<i> (PULL)
 * Takes     READ and GATHER from caches, GATHER from presence, FETCHED from shards, LIVED from
 *           presence, STORED (withdrawn consents) from caches, CONFIG, LINE
 * Sends     FETCH to shards, FILL to caches (absent users too), LIVE to presence, REPLY to
 *           frontends, REFRESH to the dispatcher, withdrawn consents on (actors/consent_way.h)
 * Promises  never blocks; one fetch per user however many wait for it; each waiting request is
 *           answered by its own deadline; at most WAITING_MAX wait for the database, the next is
 *           told `busy`; how many wait for lines is bounded, too (live_reads.h) */
#ifndef WL_ACTORS_QUERY_H
#define WL_ACTORS_QUERY_H

#include <czmq.h>

void wl_query_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
