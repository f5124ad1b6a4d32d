/* dispatcher.h (actor): turns the durable queue into pulls, and outcomes into acknowledgements.
 * Control   $TERM
 * Binds     inproc://dispatcher.0 (PULL)
 * Opens     <data_dir>/queue.db, to read and to settle
 * Takes     QUEUED and ADMIN from intake, PULLED from pullers, DONE and REFRESH from caches,
 *           REFRESH from query, LINE, CONFIG
 * Sends     NOTICE to presence, PULL to pullers, STORE to shards (values that came with a
 *           notification), REPLY to intake
 * Promises  an entry of the queue is removed only after each of its pairs has taken effect, or
 *           together with the writing of its retry or dead letter; a retry is durable; ten changes
 *           of a pair cost one pull; a line that is slow, paused or failing keeps only its own
 *           changes waiting. What does not fit dispatcher.keys_max, or a quarter of it for one
 *           line, stays in the queue. Blocks on the disk for one transaction every settle_ms, which
 *           is not flushed: some milliseconds */
#ifndef WL_ACTORS_DISPATCHER_H
#define WL_ACTORS_DISPATCHER_H

#include <czmq.h>

void wl_dispatcher_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
