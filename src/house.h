/* house.h: all actors of one process: starts them in the order of WL_ACTORS, stops them in an order
 * that loses nothing. Main's thread only. */
#ifndef WL_HOUSE_H
#define WL_HOUSE_H

#include "base/err.h"
#include "base/settings.h"
#include "topology.h"

typedef struct wl_house wl_house_t;

/* Starts what the settings say; they are borrowed for the life of the house. On an error those that
 * run are in *ret all the same, to be stopped, and fault->where begins with the actor's name. */
WL_MUST_USE wl_err_t wl_house_start(const wl_settings_t *settings, wl_house_t **ret,
                                    wl_fault_t *fault);
/* Sends a word to every actor of a kind. */
void wl_house_tell(wl_house_t *self, wl_actor_kind_t kind, const char *word);
/* Ends all of them; returns when the last thread is gone. NULL and *NULL are accepted. */
void wl_house_stop(wl_house_t **self);

#endif
