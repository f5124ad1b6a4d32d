/* fetcher.h: reads from one shard of the asset database, beside the actor that writes it.
 * Control   $TERM
 * Binds     inproc://fetcher.<i> (PULL); i = shard * shard.readers + reader
 * Opens     the shard's database with a handle of its own that only reads
 * Takes     FETCH from query, TELL_OWNERS from presence (the first reader of each shard), PULL from
 *           the dispatcher and LIVE from presence for lines that need the user's consent,
 *           TELL_USERS from the dispatcher, CONFIG, LINE
 * Sends     FETCHED to query, OWNERS to presence; PULL and LIVE on to pullers; for users without a
 *           consent STORE to the shard, LIVED to presence; PULLED to the dispatcher when consents
 *           cannot be read; USERS to the dispatcher
 * Promises  all users asked for in a turn are read at once; FETCHED names a commit number that was
 *           read before the rows, so what was committed up to it is in them; whom nobody waits for
 *           any more is not read; no line that needs a consent is asked without one that stands;
 *           USERS looks at 1,024 users at most, whatever was asked for. Blocks on the database: the
 *           longest stall is one read, at most shard.timeout_ms; nothing but reads of this shard
 *           waits behind it */
#ifndef WL_ACTORS_FETCHER_H
#define WL_ACTORS_FETCHER_H

#include <czmq.h>

void wl_fetcher_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
