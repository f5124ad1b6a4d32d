/* cache_puts.h: changes on their way to Redis, and those that wait because one failed. Part of the
 * Redis side of a cache actor (actors/cache_remote.h), on its thread. At most 100,000. */
#ifndef WL_ACTORS_CACHE_PUTS_H
#define WL_ACTORS_CACHE_PUTS_H

#include "actors/cache_remote.h"
#include "store/cache_redis.h"

typedef struct wl_cache_puts wl_cache_puts_t;

/* All borrowed. give_up_ms: after so long nobody serves what was there before a put that failed. */
wl_cache_puts_t *wl_cache_puts_new(wl_hub_t *hub, wl_cache_redis_t *cache,
                                   const wl_cache_remote_to_t *to, int64_t give_up_ms);
/* Nothing is called back from now on. Then the Redis client is destroyed, which ends what is under
 * way, then this. */
void wl_cache_puts_end(wl_cache_puts_t *self);
void wl_cache_puts_destroy(wl_cache_puts_t **self); /* NULL and *NULL are accepted */

/* Beyond the bound it is dropped and counted: `stored` is not called. */
void wl_cache_puts_put(wl_cache_puts_t *self, const wl_stored_head_t *head,
                       const wl_stored_item_t *stored);
/* Takes the user of a withdrawn consent out of Redis; `withdrawn` is called after that, however
 * long it takes. */
void wl_cache_puts_withdraw(wl_cache_puts_t *self, const wl_stored_head_t *head,
                            const wl_stored_item_t *stored);

/* Tries again what has failed. Returns whether one was given up: markers have to begin anew. */
bool wl_cache_puts_retry(wl_cache_puts_t *self, int64_t now);
/* Have all taken effect, or will soon? Else no marker may be renewed. */
bool wl_cache_puts_sound(const wl_cache_puts_t *self);
uint32_t wl_cache_puts_held(const wl_cache_puts_t *self); /* all that have not taken effect */

#endif
