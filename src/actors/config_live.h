/* config_live.h: what the actors of this process work with, made from a state of the log, from
 * files of the directory or from the emergency file. Each is compiled whole before anybody sees it.
 * Part of the config actor, on its thread. */
#ifndef WL_ACTORS_CONFIG_LIVE_H
#define WL_ACTORS_CONFIG_LIVE_H

#include "actors/config_load.h"
#include "actors/config_self.h"

/* The documents of a state. fresh: a change that is not in the log yet, which brings some of them,
 * NULL = none. now: the live ones, for documents that nothing was published of; may be NULL.
 * Everything that could be wrong with it is found here: base and candidate compile, writers' lines
 * fit together, the set of users is at hand. WL_ERR_SETTINGS, WL_ERR_TOO_BIG with a fault naming
 * document, path, line and column; WL_ERR_NOT_FOUND: the set; errors of the sources. */
WL_MUST_USE wl_err_t wl_config_live_of_state(wl_config_sources_t *sources,
                                             const wl_config_state_t *state,
                                             const wl_config_change_t *fresh,
                                             const wl_config_live_t *now, wl_config_live_t **ret,
                                             wl_fault_t *fault);
/* The newest valid pair of the directory. */
WL_MUST_USE wl_err_t wl_config_live_of_directory(const char *dir, wl_config_refused_fn refused,
                                                 void *arg, wl_config_live_t **ret,
                                                 wl_fault_t *fault);
/* {"expires_at": RFC 3339, "reason", "integration"?, "presentation"?}: a document that it does not
 * bring is that of `now` (may be NULL: then both are needed). WL_ERR_NOT_FOUND: no such file;
 * WL_ERR_EXPIRED is told as WL_ERR_NOT_FOUND too; WL_ERR_SETTINGS and others: it is refused. */
WL_MUST_USE wl_err_t wl_config_live_of_emergency(const char *path, wl_wall_ms_t wall,
                                                 const wl_config_live_t *now,
                                                 wl_config_live_t **ret, int64_t *ret_expires_at,
                                                 wl_fault_t *fault);
void wl_config_live_destroy(wl_config_live_t **self); /* NULL and *NULL are accepted */

/* Would an actor see any difference? */
bool wl_config_live_same(const wl_config_live_t *one, const wl_config_live_t *other);

#endif
