/* topology.h: every endpoint, socket type, bound, linger and size limit of walletd on one page.
 * No other file opens a socket between actors or to clients (lines are asked by lines/, which
 * opens its own). Options are set before bind or connect; afterwards they would not apply.
 *
 * Between actors: each actor binds one PULL mailbox, inproc://<actor>.<instance>; whoever has
 * something for it connects a PUSH. A full mailbox is an error at the sender (EAGAIN), never a
 * silent drop, and a slow actor cannot stall another. An actor on another host gets the same
 * messages over tcp; only there may one that was sent be lost, with its connection.
 *
 * A socket belongs to the thread that opened it. */
#ifndef WL_TOPOLOGY_H
#define WL_TOPOLOGY_H

#include "base/err.h"
#include "base/settings.h"

#include <czmq.h>

/* NAME, name: in start order; src/house.c has the order in which they stop. */
#define WL_ACTORS(A)          \
    A(GUARD, guard)           \
    A(CONSOLE, console)       \
    A(SHARD, shard)           \
    A(FETCHER, fetcher)       \
    A(CACHE, cache)           \
    A(PRESENCE, presence)     \
    A(QUERY, query)           \
    A(DETAILS, details)       \
    A(PULLER, puller)         \
    A(DISPATCHER, dispatcher) \
    A(KEEPER, keeper)         \
    A(RECONCILER, reconciler) \
    A(MOVER, mover)           \
    A(INTAKE, intake)         \
    A(FRONTEND, frontend)     \
    A(CONFIG, config)         \
    A(TRAIL, trail)

typedef enum {
#define WL_ACTOR_ENUM(NAME, name) WL_ACTOR_##NAME,
    WL_ACTORS(WL_ACTOR_ENUM)
#undef WL_ACTOR_ENUM
        WL_ACTOR_KINDS
} wl_actor_kind_t;

const char *wl_actor_kind_name(wl_actor_kind_t kind);

/* server.role: does this process serve reads, does it take changes? `all` does both. */
bool wl_role_reads(const wl_settings_t *settings);
bool wl_role_writes(const wl_settings_t *settings);

/* How many of a kind there are for this process: those of its role, and those that topology.remote
 * says run on other hosts. 0: none, and nobody may send to it. */
uint32_t wl_topology_instances(const wl_settings_t *settings, wl_actor_kind_t kind);
/* Does this one run in this process? */
bool wl_topology_here(const wl_settings_t *settings, wl_actor_kind_t kind, uint32_t instance);

/* `endpoint` with its port raised by `more`, as actors that follow each other count theirs; an ipc
 * or inproc endpoint gets ".<more>" instead. WL_ERR_SETTINGS: no port, or none is left. */
WL_MUST_USE wl_err_t wl_topology_port_add(const char *endpoint, uint32_t more, char *ret_endpoint,
                                          size_t bytes);

/* The mailbox of an actor (PULL, bound) and the way to it (PUSH, connected). WL_ERR_BIND. */
WL_MUST_USE wl_err_t wl_topology_inbox(wl_actor_kind_t kind, uint32_t instance, zsock_t **ret,
                                       wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_topology_outbox(wl_actor_kind_t kind, uint32_t instance, zsock_t **ret);

/* The same between hosts: the second mailbox (PULL) of an actor of ours that topology.listen names,
 * *ret is NULL when it does not; and the way (PUSH) to one that topology.remote names. Nothing
 * waits for a host that is away: sending is then an error, as with a full mailbox. */
WL_MUST_USE wl_err_t wl_topology_listen(const wl_settings_t *settings, wl_actor_kind_t kind,
                                        uint32_t instance, zsock_t **ret, wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_topology_remote(const wl_settings_t *settings, wl_actor_kind_t kind,
                                        uint32_t instance, zsock_t **ret, wl_fault_t *fault);

/* The ROUTER of one frontend (7700) or intake (7701): `instance`th endpoint of the setting. */
WL_MUST_USE wl_err_t wl_topology_router(const wl_settings_t *settings, wl_actor_kind_t kind,
                                        uint32_t instance, zsock_t **ret, wl_fault_t *fault);

/* The SUB of intake 0 (7702); *ret is NULL when the setting is empty. */
WL_MUST_USE wl_err_t wl_topology_subscriber(const wl_settings_t *settings, zsock_t **ret,
                                            wl_fault_t *fault);

/* Between tiers. The ROUTER of one presence actor of a writer, where readers follow it:
 * tier.endpoint with the port + instance; *ret is NULL when the setting is empty. */
WL_MUST_USE wl_err_t wl_topology_tier_router(const wl_settings_t *settings, uint32_t instance,
                                             zsock_t **ret, wl_fault_t *fault);
/* The DEALER of one presence actor of a reader to the same of the `writer`th of tier.writers. What
 * it is given while it is not connected is refused, not kept. */
WL_MUST_USE wl_err_t wl_topology_tier_dealer(const wl_settings_t *settings, uint32_t writer,
                                             uint32_t instance, zsock_t **ret, wl_fault_t *fault);

/* Refuses plaintext beyond loopback, duplicate endpoints, endpoints that are not tcp, ipc or
 * inproc, and settings that contradict each other or the role. Only what the role opens is looked
 * at. For --check and the start; in src/topology_check.c. */
WL_MUST_USE wl_err_t wl_topology_check(const wl_settings_t *settings, wl_fault_t *fault);

#endif
