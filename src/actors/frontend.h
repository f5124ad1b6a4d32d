/* frontend.h (actor): the port that app servers read from.
 * Control   $TERM: new requests are answered `unavailable`, those under way are finished
 * Binds     the frontend.endpoint of its number (ROUTER) and inproc://frontend.<i> (PULL)
 * Takes     requests of the reader port; REPLY from presence, cache, query and details; TOLD and
 *           LIVED (of consents) from presence; STORED of withdrawn consents; CONFIG, LINE
 * Sends     READ, ASK and LIVE (consents) to presence, STATEMENT to details, withdrawn consents on
 *           (actors/consent_way.h)
 * Promises  every request gets exactly one answer, or none if its client is gone or does not read;
 *           an answer never goes to another client; at most frontend.requests_max requests wait,
 *           the next is told `busy` at once, expensive methods first; never blocks */
#ifndef WL_ACTORS_FRONTEND_H
#define WL_ACTORS_FRONTEND_H

#include <czmq.h>

void wl_frontend_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
