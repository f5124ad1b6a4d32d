/* dispatcher_consent.h: users give and withdraw their consent to a line. Part of the dispatcher
 * actor and used on its thread only. */
#ifndef WL_ACTORS_DISPATCHER_CONSENT_H
#define WL_ACTORS_DISPATCHER_CONSENT_H

#include "proto/messages.h"

typedef struct wl_dispatcher wl_dispatcher_t; /* actors/dispatcher_state.h */

void wl_dispatcher_take_live(wl_dispatcher_t *self, const wl_msg_t *msg);
/* The items of a DONE that are about consents; others are passed over. */
void wl_dispatcher_consents_done(wl_dispatcher_t *self, const wl_msg_t *msg);
/* Ends those that are in effect, and answers who has waited too long; every turn. */
void wl_dispatcher_consents_step(wl_dispatcher_t *self);
/* All that wait are told to ask somebody else: the lease is over. */
void wl_dispatcher_forget_consents(wl_dispatcher_t *self);
/* Does somebody wait? */
bool wl_dispatcher_consents_wait(const wl_dispatcher_t *self);

#endif
