/* intake.h (actor): where lines tell what has changed and operators ask.
 * Control   $TERM
 * Binds     inproc://intake.<i> (PULL); the i-th of intake.endpoint (ROUTER); instance 0 also
 *           intake.subscribe (SUB)
 * Opens     <data_dir>/queue.db, to append
 * Takes     notify.*, wallet.refresh, admin.* from clients, what lines publish; REPLY from the
 *           dispatcher and the console; CONFIG, LINE
 * Sends     QUEUED and ADMIN to the dispatcher, ADMIN to the console
 * Promises  a notification is acknowledged only after it is durable; all that came in a turn is one
 *           append. Blocks on the disk: the append returns after its fsync, some milliseconds,
 *           meanwhile clients wait in their sockets. When the disk refuses, the whole turn is told
 *           `busy`; at most TICKETS_MAX operators wait, each at most 5 s, the next is told `busy`.
 *           Before the first configuration clients are told `unavailable` and publications wait in
 *           their socket */
#ifndef WL_ACTORS_INTAKE_H
#define WL_ACTORS_INTAKE_H

#include <czmq.h>

void wl_intake_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
