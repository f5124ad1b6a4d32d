/* cache_compare.h: the cache actor's answers to the reconciler: whose copies are other than the
 * database, who has a copy at all, and copies that have to go. Part of the cache actor, on its
 * thread.
 *
 * A copy that would not be served now counts as none. Questions to Redis go out WINDOW at a time,
 * so that reads do not wait behind them; QUESTIONS_MAX questions wait, beyond them one is answered
 * with WL_ERR_BUSY. */
#ifndef WL_ACTORS_CACHE_COMPARE_H
#define WL_ACTORS_CACHE_COMPARE_H

#include "actors/cache_cover.h"
#include "actors/cache_remote.h"
#include "actors/hub.h"
#include "store/cache.h"

typedef struct wl_cache_compare wl_cache_compare_t;

/* All is borrowed; store or remote may be NULL, and both are: nothing is kept here. */
wl_cache_compare_t *wl_cache_compare_new(wl_hub_t *hub, wl_cache_t *store,
                                         wl_cache_remote_t *remote, wl_cache_cover_t *cover);
/* After the remote was closed, which calls back what is under way. NULL and *NULL are accepted. */
void wl_cache_compare_destroy(wl_cache_compare_t **self);

/* COMPARE, TELL_CACHED or DROP. false: it is none of these. */
bool wl_cache_compare_take(wl_cache_compare_t *self, const wl_msg_t *msg);

#endif
