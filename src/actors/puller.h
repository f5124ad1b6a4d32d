/* puller.h (actor): asks lines for the users that the dispatcher names.
 * Control   $TERM
 * Binds     inproc://puller.<i> (PULL); connects to the lines (lines/caller.h)
 * Takes     PULL from the dispatcher, CONFIG, LINE
 * Sends     STORE to shards; PULLED to the dispatcher; LINE to frontends, caches, queries,
 *           dispatcher and console when the health of a line changes, and once a second
 * Promises  never blocks; keeps each line's rate, concurrency, batch size, breaker and Retry-After,
 *           so one line's bad day is not another's; delays and hands back, never drops, but for
 *           pulls so old that the dispatcher has made them anew. What waits is bounded by
 *           puller_line.h; beyond it pulls go back at once, as held */
#ifndef WL_ACTORS_PULLER_H
#define WL_ACTORS_PULLER_H

#include <czmq.h>

void wl_puller_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
