/* fetcher.h: reads from one shard of the asset database, beside the actor that writes it.
 * Control   $TERM
 * Binds     inproc://fetcher.<i> (PULL); i = shard * shard.readers + reader
 * Opens     the shard's database with a handle of its own that only reads
 * Takes     FETCH from query, TELL_OWNERS from presence (the first reader of each shard), CONFIG,
 *           LINE
 * Sends     FETCHED to query, OWNERS to presence
 * Promises  all users asked for in a turn are read at once; FETCHED names a commit number that was
 *           read before the rows, so what was committed up to it is in them; whom nobody waits for
 *           any more is not read. Blocks on the database: the longest stall is one read, at most
 *           shard.timeout_ms; nothing but reads of this shard waits behind it */
#ifndef WL_ACTORS_FETCHER_H
#define WL_ACTORS_FETCHER_H

#include <czmq.h>

void wl_fetcher_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
