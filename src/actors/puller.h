/* puller.h (actor): asks lines: for the users that a dispatcher names, and for whoever waits.
 * Control   $TERM
 * Binds     inproc://puller.<i> (PULL); connects to the lines (lines/caller.h)
 * Opens     quota-<line> in server.data_dir for lines with a quota that no other writer shares
 * Takes     PULL from the dispatcher or fetchers, LIVE from presence or fetchers, LEASE and
 *           RESERVED from the keeper, CONFIG, LINE
 * Sends     STORE to shards; PULLED to the dispatcher; LIVED to presence; RESERVE to the
 *           keeper when shard.store = mysql; LINE to all who show or
 *           ask lines when the health of one changes, and once a second
 * Promises  never blocks but for the file of a quota, about a hundred times a day and line; keeps
 *           each line's rate, quota, concurrency, batch size, breaker and Retry-After for calls of
 *           all kinds together, so one line's bad day is not another's; where the queue has several
 *           partitions, the share of those that this process serves; of a quota that writers share
 *           what is reserved for it (puller_quota.h). One call asks for a user or a
 *           page, however many wait for it. Pulls are delayed and handed back, never dropped, but
 *           for those so old that the dispatcher has made them anew; who waits is told at once when
 *           the line cannot be asked. What waits is bounded by puller_asks.h: beyond it pulls go
 *           back as held, and questions are told `busy` */
#ifndef WL_ACTORS_PULLER_H
#define WL_ACTORS_PULLER_H

#include <czmq.h>

void wl_puller_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
