/* redis_nodes.h: all connections of one wl_redis_t and which of them serves a hash slot: the only
 * one, or the masters of a cluster by its slot map, which is read again whenever a connection is
 * lost or a slot was elsewhere. For src/store only; belongs to the thread of its wl_redis_t. */
#ifndef WL_STORE_REDIS_NODES_H
#define WL_STORE_REDIS_NODES_H

#include "store/redis_node.h"
#include "store/redis_slots.h"

#include <poll.h>

typedef struct wl_redis_nodes wl_redis_nodes_t;

enum { WL_REDIS_NODES_MAX = 128 }; /* connections at a time */

/* seeds: "host:port,host:port"; names are looked up here and may block. owner is borrowed.
 * WL_ERR_SETTINGS. */
WL_MUST_USE wl_err_t wl_redis_nodes_new(wl_redis_owner_t *owner, const char *seeds, bool cluster,
                                        wl_redis_nodes_t **ret, wl_fault_t *fault);
void wl_redis_nodes_destroy(wl_redis_nodes_t **self); /* fails all commands */

/* Who takes commands for this slot. WL_ERR_EMPTY: the first slot map is on its way, ask again next
 * turn. UNAVAILABLE, UNAUTHORIZED: nobody at the moment. */
WL_MUST_USE wl_err_t wl_redis_nodes_route(wl_redis_nodes_t *self, uint16_t slot,
                                          wl_redis_node_t **ret);
/* The same for a command that a node has redirected; learns from it. */
WL_MUST_USE wl_err_t wl_redis_nodes_redirect(wl_redis_nodes_t *self,
                                             const wl_redis_redirect_t *redirect, int64_t now,
                                             wl_redis_node_t **ret);
uint64_t wl_redis_nodes_link(const wl_redis_nodes_t *self, uint16_t slot); /* see wl_redis_link() */

uint32_t wl_redis_nodes_server(const wl_redis_nodes_t *self, uint16_t slot); /* wl_redis_server() */

/* The slot map is in doubt: reads it again, with back-off. */
void wl_redis_nodes_doubt(wl_redis_nodes_t *self);
/* The reply of a WL_REDIS_FOR_MAP command; NULL: there is none. */
void wl_redis_nodes_take_map(wl_redis_nodes_t *self, wl_redis_node_t *from, const redisReply *reply,
                             int64_t now);

void wl_redis_nodes_turn(wl_redis_nodes_t *self, int64_t now);
void wl_redis_nodes_ready(wl_redis_nodes_t *self, int fd, short events, int64_t now);

/* Fills what to poll, at most WL_REDIS_NODES_MAX items; returns how many. */
uint32_t wl_redis_nodes_poll(const wl_redis_nodes_t *self, struct pollfd *ret_items);
uint32_t wl_redis_nodes_up(const wl_redis_nodes_t *self); /* masters connected */

#endif
