/* console.h (actor): keeps the newest copy of every actor's counters and answers for them.
 * Control   $TERM
 * Binds     inproc://console.0 (PULL)
 * Takes     STATS, LINE from pullers, ADMIN (admin.stats, admin.presence.*) from intake;
 *           REBUILT from presence
 * Sends     REPLY to intake; REBUILD to presence
 * Promises  independent of the read path: if it stalls, nothing else notices */
#ifndef WL_ACTORS_CONSOLE_H
#define WL_ACTORS_CONSOLE_H

#include <czmq.h>

void wl_console_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
