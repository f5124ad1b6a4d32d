/* due_heap.h: things that are due at a time, the earliest first, any of them removable. Intrusive:
 * the owner of a thing embeds a wl_due_t; nothing is allocated per thing. Equal times come in no
 * particular order. Each call is O(log n). Pure, one owner thread; bounded by its user. */
#ifndef WL_DOMAIN_DUE_HEAP_H
#define WL_DOMAIN_DUE_HEAP_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    wl_mono_ms_t at;
    uint32_t place; /* the heap's own */
} wl_due_t;

typedef struct {
    wl_due_t **heap; /* heap[0] is the earliest; its things are borrowed */
    uint32_t count;
    uint32_t capacity;
} wl_due_heap_t;

/* A zeroed struct is an empty heap. */
void wl_due_heap_push(wl_due_heap_t *self, wl_due_t *due, wl_mono_ms_t at);
/* due must be in the heap. */
void wl_due_heap_remove(wl_due_heap_t *self, wl_due_t *due);
wl_due_t *wl_due_heap_first(const wl_due_heap_t *self); /* NULL = empty */
/* Frees the heap's array, not the things. */
void wl_due_heap_clear(wl_due_heap_t *self);

#endif
