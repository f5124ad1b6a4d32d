/* notices.h: which users have a change on its way that is not committed yet, so that a commit from
 * before the change does not clear their presence. Bounded; at the bound it answers "yes" for more
 * users than it should, which costs a bit that stays set, never a wrong "no".
 * Owned by one presence thread. */
#ifndef WL_ACTORS_NOTICES_H
#define WL_ACTORS_NOTICES_H

#include <stdbool.h>
#include <stdint.h>

typedef struct wl_notices wl_notices_t;

wl_notices_t *wl_notices_new(uint32_t users_max);
void wl_notices_destroy(wl_notices_t **self); /* NULL and *NULL are accepted */

/* A change with number seq is on its way. now: monotonic ms. */
void wl_notices_add(wl_notices_t *self, uint64_t uid, uint64_t seq, int64_t now);
/* Every change up to seq is in effect or given up. Returns whether a newer one is on its way. */
bool wl_notices_end(wl_notices_t *self, uint64_t uid, uint64_t seq);
/* Forgets what was added before `before`: its end was lost, the next redelivery tells anew. */
void wl_notices_forget(wl_notices_t *self, int64_t before);
uint32_t wl_notices_users(const wl_notices_t *self);

#endif
