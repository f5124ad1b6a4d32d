/* trail.h (actor): keeps what happened to each user of this writer, and tells it to operators.
 * Control   $TERM: what has come is written
 * Binds     inproc://trail.0 (PULL); a short mailbox, see topology.c
 * Opens     trail.db in server.data_dir (store/trail_db.h)
 * Takes     TRAIL from dispatchers and shards; ADMIN (admin.explain) from intakes; TRAIL_NOW from
 *           fetchers, TRAIL_SHOWN from config, LEASE from the keeper, CONFIG, LINE (ignored)
 * Sends     REPLY to intakes, TRAIL_ASK to the fetcher of the user's shard and to config
 * Promises  nobody waits for it: events that find its mailbox full are lost, and a DROPPED event
 *           says how many, where they are missing. Writes twice a second: killed, it loses the
 *           last half. A file that is damaged is set aside and a new one begun; without any file
 *           it goes on and tries again every ten seconds. Blocks on the disk, for one explanation
 *           about as long as a 256th of the file takes to read */
#ifndef WL_ACTORS_TRAIL_H
#define WL_ACTORS_TRAIL_H

#include <czmq.h>

void wl_trail_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
