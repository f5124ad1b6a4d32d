/* presence_check.h: the presence actor's answers to the reconciler: are the bits of users set who
 * own something? What is missing is set on request, told to the readers that follow, and answered
 * when a snapshot with it is on disk: a bit that was lost is in no log. Part of the presence actor,
 * on its thread; CHECKS_MAX requests wait for a snapshot, beyond them WL_ERR_BUSY. */
#ifndef WL_ACTORS_PRESENCE_CHECK_H
#define WL_ACTORS_PRESENCE_CHECK_H

#include "actors/presence_state.h"

typedef struct wl_presence_check wl_presence_check_t;

/* Borrows the actor's state for its life. */
wl_presence_check_t *wl_presence_check_new(wl_presence_t *presence);
void wl_presence_check_destroy(wl_presence_check_t **self); /* NULL and *NULL are accepted */

void wl_presence_check_take(wl_presence_check_t *self, const wl_msg_t *msg);
/* Begins the snapshot that is waited for, unless another one is being written. */
void wl_presence_check_tick(wl_presence_check_t *self);
/* A snapshot has been written, or could not be. */
void wl_presence_check_saved(wl_presence_check_t *self, wl_err_t err);

#endif
