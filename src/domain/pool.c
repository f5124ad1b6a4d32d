#include "domain/pool.h"

#include "base/alloc.h"
#include "base/check.h"

#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define POOL_SINGLE 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define POOL_SINGLE 1
#endif
#endif
#ifndef POOL_SINGLE
#define POOL_SINGLE 0
#endif

enum { SLAB_BYTES = 65536 - 64 }; /* with malloc's head still under a round number of pages */

typedef struct free_object {
    struct free_object *next;
} free_object_t;

typedef struct slab {
    struct slab *next;
    max_align_t objects[];
} slab_t;

struct wl_pool {
    size_t object_bytes; /* a multiple of 8 */
    size_t out;          /* objects taken and not given back */
    free_object_t *free; /* given back */
    slab_t *slabs;       /* owned; the first one is filled */
    size_t used;         /* objects of the first slab that were ever taken */
};

wl_pool_t *wl_pool_new(size_t object_bytes) {
    WL_ASSERT(object_bytes > 0 && object_bytes <= 4096);
    wl_pool_t *self = wl_alloc_zero(1, sizeof *self);
    self->object_bytes = (object_bytes + 7) & ~(size_t)7;
    return self;
}

static void *pool_cut(wl_pool_t *self) {
    size_t per_slab = (SLAB_BYTES - sizeof(slab_t)) / self->object_bytes;
    if (self->slabs == NULL || self->used == per_slab) {
        slab_t *slab = wl_alloc(SLAB_BYTES);
        slab->next = self->slabs;
        self->slabs = slab;
        self->used = 0;
    }
    return (char *)self->slabs->objects + self->object_bytes * self->used++;
}

void *wl_pool_take(wl_pool_t *self) {
    WL_ASSERT(self != NULL);
    self->out++;
    if (POOL_SINGLE) {
        return wl_alloc_zero(1, self->object_bytes);
    }
    void *object = self->free;
    if (object == NULL) {
        object = pool_cut(self);
    } else {
        self->free = self->free->next;
    }
    return memset(object, 0, self->object_bytes);
}

void wl_pool_give(wl_pool_t *self, void *object) {
    WL_ASSERT(self != NULL && object != NULL);
    WL_ASSERT(self->out > 0);
    self->out--;
    if (POOL_SINGLE) {
        wl_free(object);
        return;
    }
    free_object_t *given = object;
    given->next = self->free;
    self->free = given;
}

size_t wl_pool_out(const wl_pool_t *self) {
    return self->out;
}

void wl_pool_destroy(wl_pool_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    WL_ASSERT((*self)->out == 0);
    while ((*self)->slabs != NULL) {
        slab_t *slab = (*self)->slabs;
        (*self)->slabs = slab->next;
        wl_free(slab);
    }
    wl_free(*self);
    *self = NULL;
}
