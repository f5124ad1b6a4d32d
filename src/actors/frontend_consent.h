/* frontend_consent.h: what a frontend does for consents: the question of wallet.consent and its
 * answer, and its own part of the way of a withdrawn one (actors/consent_way.h). Part of the
 * frontend actor and used on its thread only. */
#ifndef WL_ACTORS_FRONTEND_CONSENT_H
#define WL_ACTORS_FRONTEND_CONSENT_H

#include "actors/consent_args.h"
#include "actors/hub.h"
#include "actors/tickets.h"

/* Sends the question of a ticket, whose fields about the consent are set here. */
void wl_frontend_consent_ask(wl_hub_t *hub, wl_ticket_t *ticket, const wl_consent_args_t *args);
/* Appends {granted, granted_at, expires_at}; at: wall ms since when it is so. */
void wl_frontend_consent_write(const wl_ticket_t *ticket, int64_t at, msgpack_sbuffer *into);

/* Withdrawn consents that wait until every reply that was rendered before has been sent. All such
 * replies are in the mailbox when the STORED comes: once the mailbox is found empty they are gone.
 * When it does not get empty for WL_CONSENT_GATE_MS, the requests of that user that are under way
 * are refused instead. */
enum { WL_CONSENT_GATE_MS = 50 };

typedef struct wl_consent_gate wl_consent_gate_t;

/* Refuses all requests of a user that are under way. */
typedef void (*wl_consent_refuse_fn)(void *arg, uint64_t uid);

wl_consent_gate_t *wl_consent_gate_new(wl_hub_t *hub, wl_consent_refuse_fn refuse, void *arg);
void wl_consent_gate_destroy(wl_consent_gate_t **self); /* NULL and *NULL are accepted */
/* Takes a STORED. */
void wl_consent_gate_take(wl_consent_gate_t *self, const wl_msg_t *msg);
/* At the end of each turn: passes on those that may go. */
void wl_consent_gate_step(wl_consent_gate_t *self);

#endif
