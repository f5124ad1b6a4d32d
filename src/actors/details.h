/* details.h (actor): what happened to a user's assets: one list over lines, page by page, and sums.
 * Control   $TERM
 * Binds     inproc://details.<i> (PULL)
 * Opens     the file of the key that seals cursors
 * Takes     STATEMENT from frontends, LIVED, NOTICE and COVER from presence, STORED of consents
 *           from query, CONFIG, LINE
 * Sends     LIVE to presence, REPLY to frontends, withdrawn consents on (actors/consent_way.h)
 * Promises  never blocks; every request is answered by its own deadline, a list with what has come
 *           until then and the names of the lines that have not; first pages and sums are kept for
 *           a moment and dropped with the first notice of a change; at most REQUESTS_MAX requests
 *           and PAGES_MAX pages are held, the next request is told `busy` */
#ifndef WL_ACTORS_DETAILS_H
#define WL_ACTORS_DETAILS_H

#include <czmq.h>

void wl_details_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
