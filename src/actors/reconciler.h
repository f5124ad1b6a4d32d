/* reconciler.h (actor): compares database, caches and presence, and repairs what differs
 * (design section 5): runs of everything, by the clock or on demand, and a rolling comparison that
 * goes round all day long.
 * Control   $TERM: gives its part back
 * Binds     inproc://reconciler.0 (PULL)
 * Opens     every shard's database (reading only), the report's store, the queue for restores
 * Takes     COMPARED and CACHED from cache actors, CHECKED from presence actors, ADMIN from intake
 * Sends     COMPARE, TELL_CACHED, DROP to cache actors, CHECK to presence actors, QUEUED to
 *           dispatchers, REPLY to intake
 * Promises  one part (a shard, or the caches' side) is worked at by one writer at a time, whatever
 *           dies; a difference is written down before it is repaired, and is one only if it is seen
 *           twice, reconcile.confirm_ms apart, with nothing changed between; beyond the cap nothing
 *           more is repaired. Blocks on reads of a few milliseconds; nobody waits for it. What a
 *           restart loses is at most the step that was under way, which is done again */
#ifndef WL_ACTORS_RECONCILER_H
#define WL_ACTORS_RECONCILER_H

#include <czmq.h>

void wl_reconciler_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
