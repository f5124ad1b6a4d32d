#include "domain/due_heap.h"

#include "base/alloc.h"
#include "base/check.h"

static void due_heap_put(wl_due_heap_t *self, uint32_t place, wl_due_t *due) {
    self->heap[place] = due;
    due->place = place;
}

/* Moves a thing towards the root, then towards the leaves, until its place is right. */
static void due_heap_settle(wl_due_heap_t *self, wl_due_t *due) {
    uint32_t place = due->place;
    while (place > 0 && self->heap[(place - 1) / 2]->at.ms > due->at.ms) {
        due_heap_put(self, place, self->heap[(place - 1) / 2]);
        place = (place - 1) / 2;
    }
    for (;;) {
        uint64_t child = 2 * (uint64_t)place + 1;
        if (child >= self->count) {
            break;
        }
        if (child + 1 < self->count && self->heap[child + 1]->at.ms < self->heap[child]->at.ms) {
            child++;
        }
        if (self->heap[child]->at.ms >= due->at.ms) {
            break;
        }
        due_heap_put(self, place, self->heap[child]);
        place = (uint32_t)child;
    }
    due_heap_put(self, place, due);
}

void wl_due_heap_push(wl_due_heap_t *self, wl_due_t *due, wl_mono_ms_t at) {
    WL_ASSERT(self != NULL && due != NULL);
    WL_ASSERT(self->count < UINT32_MAX / 2);
    if (self->count == self->capacity) {
        self->capacity = self->capacity * 2 + 16;
        self->heap = wl_realloc_array(self->heap, self->capacity, sizeof(wl_due_t *));
    }
    due->at = at;
    due_heap_put(self, self->count, due);
    self->count++;
    due_heap_settle(self, due);
}

void wl_due_heap_remove(wl_due_heap_t *self, wl_due_t *due) {
    WL_ASSERT(self != NULL && due != NULL);
    WL_ASSERT(due->place < self->count && self->heap[due->place] == due);
    self->count--;
    wl_due_t *last = self->heap[self->count];
    if (last != due) {
        due_heap_put(self, due->place, last);
        due_heap_settle(self, last);
    }
}

wl_due_t *wl_due_heap_first(const wl_due_heap_t *self) {
    return self->count == 0 ? NULL : self->heap[0];
}

void wl_due_heap_clear(wl_due_heap_t *self) {
    wl_free(self->heap);
    *self = (wl_due_heap_t){0};
}
