/* config.h (actor): watches the configuration store and hands out what is valid.
 * Control   $TERM; RELOAD (main got SIGHUP): read the store again
 * Binds     inproc://config.0 (PULL)
 * Takes     nothing
 * Sends     CONFIG to every other actor: the bytes of both documents, at start and at changes
 * Promises  a document that does not validate is never handed out: the last good one stays, the
 *           refusal is logged and counted; never blocks longer than reading two small files */
#ifndef WL_ACTORS_CONFIG_H
#define WL_ACTORS_CONFIG_H

#include <czmq.h>

void wl_config_run(zsock_t *pipe, void *boot); /* a wl_actor_fn; options: wl_actor_options_t */

#endif
