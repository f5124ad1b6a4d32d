/* consent_way.h: the way of a withdrawn consent through the actors of a process that may hold, or
 * be about to show, what it was given for:
 *
 *     presence > cache > query > details > frontend 0 > frontend 1 ... > DONE
 *
 * Each of them, taking the STORED, first forgets what it has and what it has under way of that
 * (user, line), then passes it on; kinds that a process does not have are left out. DONE goes to
 * the dispatcher that waits, or, when the consent came from another process, to presence, which
 * tells that process. So whoever hears DONE knows that no answer that leaves this process from now
 * on carries anything of it. A message that gets lost on the way has no DONE: nothing is
 * acknowledged then. */
#ifndef WL_ACTORS_CONSENT_WAY_H
#define WL_ACTORS_CONSENT_WAY_H

#include "actors/hub.h"

/* Does this item withdraw a consent? Pure. */
bool wl_consent_withdrawn(const wl_stored_item_t *item);

/* Is there a consent, given or withdrawn, in a STORED? Pure. */
bool wl_consent_told(const wl_msg_t *stored);

/* From the actor of this hub to the next one on the way. Only the record of the consent goes on.
 * head->dispatcher must be one of ours or WL_DISPATCHER_NONE, else it is counted as malformed. */
void wl_consent_pass_on(wl_hub_t *hub, const wl_stored_head_t *head, const wl_stored_item_t *item);

#endif
