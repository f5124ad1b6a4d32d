/* pool.h: objects of one size without malloc's 8 to 24 bytes each, for tables with millions of
 * small rows. Memory follows the peak: objects given back are kept for the next take. The user
 * bounds how many are out. In an ASan build each object is an allocation of its own, so that a use
 * after the give is seen. One owner thread. */
#ifndef WL_DOMAIN_POOL_H
#define WL_DOMAIN_POOL_H

#include <stddef.h>

typedef struct wl_pool wl_pool_t;

wl_pool_t *wl_pool_new(size_t object_bytes);
/* Everything has to be given back before. */
void wl_pool_destroy(wl_pool_t **self);

/* A cleared object, never NULL. */
void *wl_pool_take(wl_pool_t *self);
void wl_pool_give(wl_pool_t *self, void *object);
size_t wl_pool_out(const wl_pool_t *self); /* objects taken and not given back */

#endif
