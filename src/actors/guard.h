/* guard.h: who may come in. One per process, started before anything is bound and stopped last: a
 * CURVE socket whose handler is gone lets everybody in (libzmq fails open).
 *
 * It answers libzmq about each handshake (ZAP): a key must lie in curve.clients and have a scope
 * for the door it knocks at. It tells frontends and intakes which keys there are, so that each
 * message is judged by what its key may do now. It watches the connections of every socket that is
 * bound and cuts off those that send without delivering (peer_watch.h). Without CURVE it does the
 * last alone.
 *
 * Takes: SEEN. Sends: KEYS, SUSPECT. Blocks on: reading the folder of keys. */
#ifndef WL_ACTORS_GUARD_H
#define WL_ACTORS_GUARD_H

#include <czmq.h>

/* wl_actor_fn; options: wl_actor_options_t. */
void wl_guard_run(zsock_t *pipe, void *boot);

#endif
