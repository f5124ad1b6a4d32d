/* shard.h (actor): owns one database of assets: commits what lines answered, reads for misses.
 * Control   $TERM
 * Binds     inproc://shard.<i> (PULL)
 * Opens     <data_dir>/assets-<i>.db, alone
 * Takes     STORE from pullers and the dispatcher, FETCH from query, TELL_OWNERS from presence,
 *           CONFIG, LINE
 * Sends     STORED and OWNERS to presence, FETCHED to query
 * Promises  everything stored in a turn is one transaction, at most BATCH_ASSETS assets, and STORED
 *           goes out only after its commit; a read sees committed data only; a failed transaction
 *           leaves nothing and says nothing: the dispatcher pulls again. Blocks on the disk: the
 *           longest stall is one commit or the reads of one chunk of owners, some milliseconds */
#ifndef WL_ACTORS_SHARD_H
#define WL_ACTORS_SHARD_H

#include <czmq.h>

void wl_shard_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
