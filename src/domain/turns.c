#include "domain/turns.h"

#include "base/check.h"

#include <stddef.h>

enum { STRIDE_ONE = 1 << 20 }; /* of weight 1 */

void wl_turns_init(wl_turns_t *self, const uint32_t *weights, uint32_t count) {
    WL_ASSERT(self != NULL && count >= 1 && count <= WL_TURNS_MAX);
    *self = (wl_turns_t){.count = count};
    for (uint32_t i = 0; i < count; i++) {
        WL_ASSERT(weights[i] >= 1 && weights[i] <= WL_TURNS_WEIGHT_MAX);
        self->stride[i] = (uint64_t)STRIDE_ONE / weights[i];
        self->pass[i] = self->stride[i];
    }
}

/* One that comes late begins now: at most one turn behind whoever went last. */
static uint64_t turns_pass(const wl_turns_t *self, uint32_t class) {
    return self->pass[class] > self->now ? self->pass[class] : self->now;
}

uint32_t wl_turns_next(const wl_turns_t *self, uint32_t ready) {
    uint32_t next = self->count;
    for (uint32_t i = 0; i < self->count; i++) {
        if ((ready & (1u << i)) != 0 &&
            (next == self->count || turns_pass(self, i) < turns_pass(self, next))) {
            next = i;
        }
    }
    WL_ASSERT(next < self->count);
    return next;
}

void wl_turns_took(wl_turns_t *self, uint32_t class) {
    WL_ASSERT(class < self->count);
    self->now = turns_pass(self, class);
    self->pass[class] = self->now + self->stride[class];
}
