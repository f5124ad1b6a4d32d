#include "actors/mark_ends.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>

struct wl_mark_ends {
    uint32_t first;
    uint32_t count;
    wl_mark_end_t at[WL_MARK_ENDS_MAX]; /* a ring, oldest first */
};

wl_mark_ends_t *wl_mark_ends_new(void) {
    return wl_alloc_zero(1, sizeof(wl_mark_ends_t));
}

void wl_mark_ends_destroy(wl_mark_ends_t **self) {
    if (self != NULL && *self != NULL) {
        wl_free(*self);
        *self = NULL;
    }
}

void wl_mark_ends_push(wl_mark_ends_t *self, uint64_t uid, const char *line, uint64_t seq,
                       wl_mono_ms_t now) {
    WL_ASSERT(self->count < WL_MARK_ENDS_MAX);
    wl_mark_end_t *end = &self->at[(self->first + self->count) % WL_MARK_ENDS_MAX];
    *end = (wl_mark_end_t){.uid = uid, .seq = seq, .due = now.ms + WL_MARK_ENDS_MS};
    memcpy(end->line, line, strnlen(line, WL_LINE_ID_MAX));
    self->count++;
}

bool wl_mark_ends_pop(wl_mark_ends_t *self, wl_mono_ms_t now, wl_mark_end_t *ret) {
    if (self->count == 0 ||
        (self->count < WL_MARK_ENDS_MAX && self->at[self->first].due > now.ms)) {
        return false;
    }
    *ret = self->at[self->first];
    self->first = (self->first + 1) % WL_MARK_ENDS_MAX;
    self->count--;
    return true;
}
