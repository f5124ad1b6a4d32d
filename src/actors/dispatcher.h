/* dispatcher.h (actor): turns the durable queue into pulls, and outcomes into acknowledgements.
 * Instance p serves partition p of the queue, while the keeper says that this process holds it.
 * Control   $TERM
 * Binds     inproc://dispatcher.<p> (PULL)
 * Opens     the durable queue, to read and to settle
 * Takes     LEASE from the keeper, QUEUED and ADMIN from intake, PULLED from pullers, DONE and
 *           REFRESH from caches, REFRESH from query and presence, LIVE (consents) from presence,
 *           LINE, CONFIG; dispatcher 0 takes TALLY from the others, they take NOTICE from it: dead
 *           letters discarded by operators
 * Sends     NOTICE to presence, PULL to pullers (to fetchers, of lines that need a consent), STORE
 *           to shards (values that came with a notification; consents), LIVED to presence, REPLY
 *           to intake
 * Promises  an entry of the queue is removed only after each of its pairs has taken effect, or
 *           together with the writing of its retry or dead letter; a retry is durable; ten changes
 *           of a pair cost one pull; a line that is slow, paused or failing keeps only its own
 *           changes waiting. What does not fit dispatcher.keys_max, or a quarter of it for one
 *           line, stays in the queue. A consent is answered after it is in effect in this process
 *           and in Redis; what was pending for a withdrawn one is gone then. When its lease ends it
 *           forgets all it has in memory at once, and says and writes nothing more: the queue has
 *           it. Blocks on the queue: a file for one transaction every settle_ms, which is not
 *           flushed, some milliseconds; Redis for its answers, at worst for some of its timeouts */
#ifndef WL_ACTORS_DISPATCHER_H
#define WL_ACTORS_DISPATCHER_H

#include <czmq.h>

void wl_dispatcher_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
