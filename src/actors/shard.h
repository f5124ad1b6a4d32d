/* shard.h (actor): writes one database of assets: commits what lines answered. Reads: fetcher.h.
 * Control   $TERM
 * Binds     inproc://shard.<i> (PULL)
 * Opens     <data_dir>/assets-<i>.db, which no other process writes, or the i-th of shard.at, which
 *           writers of other processes share
 * Takes     STORE from pullers and dispatchers, TELL_OWNERS that let the log be trimmed from
 *           presence, CONFIG, LINE
 * Sends     STORED to presence: what now stands in the database, also where a newer record stood
 * Promises  everything stored in a turn is one transaction, at most WL_STORE_BATCH_ASSETS assets,
 *           users in ascending order; STORED goes out only after its commit and is numbered, so
 *           that a lost one shows; a dispatcher whose lease is over stores nothing; a failed
 *           transaction leaves nothing and says nothing: the dispatcher pulls again. Of a line that
 *           needs the user's consent nothing is stored unless a valid consent record stands in the
 *           same transaction; one that is withdrawn is told alone, everything else of the line is
 *           deleted in the transaction that stores it, and wiped from SQLite's log within a second.
 *           Blocks on the database: the longest stall is one transaction, at most shard.timeout_ms
 *           a statement */
#ifndef WL_ACTORS_SHARD_H
#define WL_ACTORS_SHARD_H

#include <czmq.h>

void wl_shard_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
