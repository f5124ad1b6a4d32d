#include "actors/trail_teller.h"

#include "base/clock.h"

static_assert(WL_TRAIL_TELL_BYTES >= 2 * WL_TRAIL_BYTES_MAX, "an event fits an empty buffer");

void wl_trail_teller_open(wl_trail_teller_t *self, wl_hub_t *hub) {
    self->hub = wl_topology_here(hub->settings, WL_ACTOR_TRAIL, 0) ? hub : NULL;
    self->serial = 0;
    self->count = 0;
    self->used = 0;
    self->since = 0;
}

bool wl_trail_teller_on(const wl_trail_teller_t *self) {
    return self->hub != NULL;
}

static void teller_flush(wl_trail_teller_t *self) {
    if (self->count == 0) {
        return;
    }
    wl_encoder_t *to = wl_hub_to(self->hub, WL_ACTOR_TRAIL, 0, WL_MSG_TRAIL, 0);
    if (!wl_encoder_begun(to)) {
        wl_trail_head_t head = {.actor = (uint32_t)self->hub->kind,
                                .instance = self->hub->instance};
        wl_trail_begin(to, &head);
    }
    wl_trail_item_t item = {.serial = self->serial,
                            .count = self->count,
                            .events = {self->bytes, (uint32_t)self->used}};
    wl_trail_add(to, &item);
    self->serial += self->count;
    self->count = 0;
    self->used = 0;
    self->since = 0;
}

void wl_trail_teller_turn(wl_trail_teller_t *self) {
    if (self->count == 0) {
        return;
    }
    int64_t now = wl_mono_now().ms;
    self->since = self->since == 0 ? now : self->since;
    if (self->used >= sizeof self->bytes / 2 || now - self->since >= WL_TRAIL_TELL_MS ||
        self->hub->draining) {
        teller_flush(self);
    }
}

bool wl_trail_teller_waits(const wl_trail_teller_t *self) {
    return self->count > 0;
}

void wl_trail_skip(wl_trail_teller_t *self) {
    if (self->hub != NULL) {
        self->serial++; /* the next item says so */
    }
}

void wl_trail_tell(wl_trail_teller_t *self, const wl_trail_event_t *event) {
    if (self->hub == NULL) {
        return;
    }
    wl_trail_event_t whole = *event;
    whole.line = event->line == NULL ? "" : event->line;
    whole.bucket = event->bucket == NULL ? "" : event->bucket;
    whole.text = event->text == NULL ? "" : event->text;
    if (self->used + WL_TRAIL_BYTES_MAX > sizeof self->bytes) {
        teller_flush(self);
    }
    self->used += wl_trail_pack(&whole, &self->bytes[self->used]);
    self->count++;
}
