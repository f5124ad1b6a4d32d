/* intake.h (actor): where lines tell what has changed and operators ask.
 * Control   $TERM
 * Binds     inproc://intake.<i> (PULL); the i-th of intake.endpoint (ROUTER); instance 0 also
 *           intake.subscribe (SUB)
 * Opens     the queue that the settings name, to append
 * Takes     notify.*, wallet.refresh, admin.* from clients, what lines publish; REPLY from the
 *           dispatcher and the console; CONFIG, LINE
 * Sends     QUEUED and ADMIN to the dispatcher, ADMIN to the console
 * Promises  a notification is acknowledged only after all of it is durable, in every partition that
 *           its users belong to; all that came in a turn is one append. Blocks on the disk, or on
 *           Redis: the append returns after the fsync, some milliseconds (a few redis.timeout_ms
 *           when Redis does not answer), meanwhile clients wait in their sockets. When the store
 *           refuses, the whole turn is told `busy` or `unavailable`; at most TICKETS_MAX operators
 *           wait, each at most 5 s, the next is told `busy`. Before the first configuration clients
 *           are told `unavailable` and publications wait in their socket */
#ifndef WL_ACTORS_INTAKE_H
#define WL_ACTORS_INTAKE_H

#include <czmq.h>

void wl_intake_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
