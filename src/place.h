/* place.h: which actors other hosts may send to (topology.listen), and which ones run on other
 * hosts (topology.remote). Both settings are lists of
 *
 *     shard.1=tcp://10.0.0.2:7706       one instance
 *     fetcher=tcp://10.0.0.2:7710       all of them; instance i takes the port + i
 *
 * separated by commas or spaces. Pure; any thread. */
#ifndef WL_PLACE_H
#define WL_PLACE_H

#include "base/err.h"
#include "topology.h"

/* Where this instance is; false: the list says nothing about it. */
bool wl_place_find(const char *list, wl_actor_kind_t kind, uint32_t instance, char *ret_endpoint,
                   size_t bytes);

/* Does the list name any instance of the kind? */
bool wl_place_names(const char *list, wl_actor_kind_t kind);

/* Calls `each` for every entry: instance is WL_PLACE_ALL for all of a kind. Stops at the first
 * error, its own (an entry that is none, WL_ERR_SETTINGS) or one of `each`. */
#define WL_PLACE_ALL UINT32_MAX
WL_MUST_USE wl_err_t wl_place_each(const char *list, const char *where,
                                   wl_err_t (*each)(void *arg, wl_actor_kind_t kind,
                                                    uint32_t instance, const char *endpoint),
                                   void *arg, wl_fault_t *fault);

#endif
