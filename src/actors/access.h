/* access.h: may this message do what it asks for? By the key that its connection has shown, never
 * by the identity that a peer gives itself. Without CURVE everybody may do everything: then only
 * loopback is served, or what server.allow_plaintext allows. Called on the thread of the hub. */
#ifndef WL_ACTORS_ACCESS_H
#define WL_ACTORS_ACCESS_H

#include "actors/hub.h"
#include "proto/rpc.h"

/* Is anything to be asked at all? The hot path asks this first. */
static inline bool wl_access_guarded(const wl_hub_t *hub) {
    return hub->keys != NULL;
}

/* user: of the connection, NULL = none. WL_ERR_UNAUTHORIZED: its key is not (or no longer) among
 * the authorised ones. WL_ERR_FORBIDDEN: its scopes do not cover the method, or the line it is
 * about. Refusals are counted. Errors of the arguments are left to whoever reads them. */
WL_MUST_USE wl_err_t wl_access_check(wl_hub_t *hub, const char *user,
                                     const wl_rpc_request_t *request, wl_fault_t *fault);

#endif
