/* mover.h (actor): moves slots from one shard to another, while both serve.
 * Control   $TERM: the hold on the move is let go, another writer goes on
 * Binds     inproc://mover.0 (PULL)
 * Opens     with shard.store = mysql: the rows of moves in shard 0 and, while it holds a move, both
 *           shards; else nothing
 * Takes     ADMIN (admin.shards.*), MAP, CONFIG, LINE (ignored)
 * Sends     REPLY to intake; MAP to all, once slots have moved
 * Promises  no user's slot is written in two shards, whoever dies or sleeps: see
 *           store/asset_map.h and store/slot_copy.h. Users of the source shard cannot be written
 *           while it is fenced: for the rest of the log, a second at most, then it gives up and
 *           tries again later. Blocks on either database for some milliseconds, or its timeout */
#ifndef WL_ACTORS_MOVER_H
#define WL_ACTORS_MOVER_H

#include <czmq.h>

void wl_mover_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
