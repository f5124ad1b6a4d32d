/* frontend_rollout.h: the rollout under way as one frontend sees it: which of its users are shown
 * the candidate, and how base and candidate fare. Decided once for each request, so that one answer
 * never mixes both. Part of the frontend actor, on its thread. */
#ifndef WL_ACTORS_FRONTEND_ROLLOUT_H
#define WL_ACTORS_FRONTEND_ROLLOUT_H

#include "actors/hub.h"
#include "proto/rpc.h"

typedef struct wl_frontend_rollout wl_frontend_rollout_t;

wl_frontend_rollout_t *wl_frontend_rollout_new(wl_hub_t *hub); /* borrows it */
void wl_frontend_rollout_destroy(wl_frontend_rollout_t **self);

/* The configuration has been replaced: turns to the set of users of the rollout (whitelist.h). The
 * first one is read before this returns, a later one on a thread of its own. Until it is there
 * nobody is in it, or those of the set before it in the same rollout are; a set that cannot be read
 * is told once, counted each time, and tried again each second. */
void wl_frontend_rollout_configured(wl_frontend_rollout_t *self);

/* Whose candidate answers this request, 0 = the base. scene and app_version are read and checked in
 * any case. WL_ERR_BAD_REQUEST: one of the args that it looks at. */
WL_MUST_USE wl_err_t wl_frontend_rollout_choose(wl_frontend_rollout_t *self,
                                                const wl_rpc_request_t *request,
                                                uint64_t *ret_rollout, wl_fault_t *fault);
/* A request for which one was chosen was answered: by which variant, and how. */
void wl_frontend_rollout_answered(wl_frontend_rollout_t *self, uint64_t rollout, wl_err_t err);
/* Takes over a set that was read; tells the config actor once a second how it goes. now: monotonic
 * ms. */
void wl_frontend_rollout_tick(wl_frontend_rollout_t *self, int64_t now);

#endif
