/* topology.h: every endpoint, socket type, bound, linger and size limit of walletd on one page.
 * No other file opens a socket between actors or to clients (lines are asked by lines/, which
 * opens its own). Options are set before bind or connect; afterwards they would not apply.
 *
 * Between actors: each actor binds one PULL mailbox, inproc://<actor>.<instance>; whoever has
 * something for it connects a PUSH. A full mailbox is an error at the sender (EAGAIN), never a
 * silent drop, and a slow actor cannot stall another.
 *
 * A socket belongs to the thread that opened it. */
#ifndef WL_TOPOLOGY_H
#define WL_TOPOLOGY_H

#include "base/err.h"
#include "base/settings.h"

#include <czmq.h>

/* NAME, name: in start order; main stops them in the order of wl_actor_stop_order(). */
#define WL_ACTORS(A)          \
    A(CONSOLE, console)       \
    A(SHARD, shard)           \
    A(CACHE, cache)           \
    A(PRESENCE, presence)     \
    A(QUERY, query)           \
    A(PULLER, puller)         \
    A(DISPATCHER, dispatcher) \
    A(INTAKE, intake)         \
    A(FRONTEND, frontend)     \
    A(CONFIG, config)

typedef enum {
#define WL_ACTOR_ENUM(NAME, name) WL_ACTOR_##NAME,
    WL_ACTORS(WL_ACTOR_ENUM)
#undef WL_ACTOR_ENUM
        WL_ACTOR_KINDS
} wl_actor_kind_t;

const char *wl_actor_kind_name(wl_actor_kind_t kind);

/* How many of a kind this process runs, from the settings; >= 1. */
uint32_t wl_topology_instances(const wl_settings_t *settings, wl_actor_kind_t kind);

/* The mailbox of an actor (PULL, bound) and the way to it (PUSH, connected). WL_ERR_BIND. */
WL_MUST_USE wl_err_t wl_topology_inbox(wl_actor_kind_t kind, uint32_t instance, zsock_t **ret,
                                       wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_topology_outbox(wl_actor_kind_t kind, uint32_t instance, zsock_t **ret);

/* The ROUTER of one frontend (7700) or intake (7701): `instance`th endpoint of the setting. */
WL_MUST_USE wl_err_t wl_topology_router(const wl_settings_t *settings, wl_actor_kind_t kind,
                                        uint32_t instance, zsock_t **ret, wl_fault_t *fault);

/* The SUB of intake 0 (7702); *ret is NULL when the setting is empty. */
WL_MUST_USE wl_err_t wl_topology_subscriber(const wl_settings_t *settings, zsock_t **ret,
                                            wl_fault_t *fault);

/* Between tiers. The ROUTER of one presence actor of a writer, where readers follow it: tier.endpoint
 * with the port + instance (behind ipc and inproc, ".<instance>"); *ret is NULL when the setting is
 * empty. */
WL_MUST_USE wl_err_t wl_topology_tier_router(const wl_settings_t *settings, uint32_t instance,
                                             zsock_t **ret, wl_fault_t *fault);
/* The DEALER of one presence actor of a reader to the same of the `writer`th of tier.writers. What
 * it is given while it is not connected is refused, not kept. */
WL_MUST_USE wl_err_t wl_topology_tier_dealer(const wl_settings_t *settings, uint32_t writer,
                                             uint32_t instance, zsock_t **ret, wl_fault_t *fault);

/* Refuses plaintext beyond loopback, duplicate endpoints and endpoints that are not tcp, ipc or
 * inproc. For --check and the start. */
WL_MUST_USE wl_err_t wl_topology_check(const wl_settings_t *settings, wl_fault_t *fault);

#endif
