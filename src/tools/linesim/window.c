#include "window.h"

void window_add(window_t *self, int64_t now_ms) {
    while (self->first < self->next &&
           (now_ms - self->at_ms[self->first % WINDOW_CALLS_MAX] >= WINDOW_MS ||
            self->next - self->first == WINDOW_CALLS_MAX)) {
        self->first++;
    }
    self->at_ms[self->next++ % WINDOW_CALLS_MAX] = now_ms;
    uint32_t within = (uint32_t)(self->next - self->first);
    self->peak = within > self->peak ? within : self->peak;
}

void window_reset(window_t *self) {
    self->first = 0;
    self->next = 0;
    self->peak = 0;
}
