/* keeper.h (actor): holds the leases of the queue's partitions for this process.
 * Control   $TERM: leases are let go at once; so it is stopped after the dispatchers
 * Binds     inproc://keeper.0 (PULL)
 * Opens     the database of shard 0, when shard.store = mysql
 * Takes     REFUSED from dispatchers and shards, RESERVE from pullers, CONFIG, LINE (ignored)
 * Sends     LEASE to dispatcher p about partition p, and to every presence and cache actor, about
 *           what has changed and what is held, each step: a quarter of keeper.lease_ms; RESERVED
 *           to pullers
 * Promises  `until` in LEASE passes before another writer can have taken the partition, also when
 *           this process was stopped for a while (after a host that slept, stores refuse the old
 *           epoch). While the database cannot be reached leases go on until then, and not longer.
 *           With shard.store = sqlite there is no other writer: all partitions are ours, epoch 1,
 *           for ever, and no database is asked. Blocks on the database for some timeouts; nobody
 *           waits for the keeper but calls of lines with a quota that writers share, and leases
 *           come first: after a question that failed, and when reservations have taken an eighth
 *           of keeper.lease_ms, they are refused until the next step */
#ifndef WL_ACTORS_KEEPER_H
#define WL_ACTORS_KEEPER_H

#include <czmq.h>

void wl_keeper_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
