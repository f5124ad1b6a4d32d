/* recent_users.h: users to whom something happened a moment ago, for as long as that matters. Pure:
 * the caller brings the time, which does not go back. One owner thread. When more are to be
 * remembered than fit, everybody counts as one of them until the last of those is over: a wrong yes
 * costs time, a wrong no does not happen. About 80 bytes a user. */
#ifndef WL_DOMAIN_RECENT_USERS_H
#define WL_DOMAIN_RECENT_USERS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct wl_recent_users wl_recent_users_t;

wl_recent_users_t *wl_recent_users_new(uint32_t users_max);
void wl_recent_users_destroy(wl_recent_users_t **self); /* NULL and *NULL are accepted */

/* It matters until `until`; of a user that is there the later one counts. */
void wl_recent_users_add(wl_recent_users_t *self, uint64_t uid, int64_t now, int64_t until);
bool wl_recent_users_has(wl_recent_users_t *self, uint64_t uid, int64_t now);

#endif
