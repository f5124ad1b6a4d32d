/* details.h (actor): what happened to a user's assets: pages of one line or of all, and sums.
 * Control   $TERM
 * Binds     inproc://details.<i> (PULL)
 * Takes     READ (wallet.details, wallet.summary) from frontends, LIVED from presence, NOTICE and
 *           STORED from presence, consents by way of query, CONFIG, LINE
 * Sends     LIVE to presence, REPLY to frontends, DONE to the dispatcher for consents
 * Promises  never blocks */
#ifndef WL_ACTORS_DETAILS_H
#define WL_ACTORS_DETAILS_H

#include <czmq.h>

void wl_details_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
