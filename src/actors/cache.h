/* cache.h (actor): level 2 of the read path: whole users in memory, and the labels of copies that
 * are behind.
 * Control   $TERM
 * Binds     inproc://cache.<i> (PULL)
 * Takes     READ, NOTICE, STORED, COVER from presence, FILL from query, CONFIG, LINE
 * Sends     REPLY to frontends, READ (misses, with the user's marks) and GATHER (hits for which
 *           lines have to be asked) to query, DONE and REFRESH to the dispatcher, LIVE that
 *           nobody waits for to presence; STORED of withdrawn consents on their way
 *           (actors/consent_way.h)
 * Promises  never blocks; a write is visible here before DONE is sent for it; an older version or a
 *           database read from before a write never replaces a newer one; memory is bounded by
 *           cache.bytes_max / instances and USERS_MARKED_MAX labels */
#ifndef WL_ACTORS_CACHE_H
#define WL_ACTORS_CACHE_H

#include <czmq.h>

void wl_cache_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
