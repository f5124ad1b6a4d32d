#include "actors/suspects.h"

static uint32_t suspects_find(const wl_suspects_t *self, uint32_t fd) {
    uint32_t at = 0;
    while (at < self->count && self->at[at].fd != fd) {
        at++;
    }
    return at;
}

static void suspects_remove(wl_suspects_t *self, uint32_t at) {
    self->at[at] = self->at[--self->count];
}

void wl_suspects_take(wl_suspects_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_suspect_item_t *item = &msg->items.suspect[i];
        if (item->door != (uint8_t)self->door) {
            continue;
        }
        uint32_t at = suspects_find(self, item->fd);
        if (item->over && at < self->count) {
            suspects_remove(self, at);
        } else if (!item->over && at < WL_SUSPECTS_MAX) {
            self->count += at == self->count;
            self->at[at].fd = item->fd;
            self->at[at].asked = true;
        }
    }
}

static void suspects_tell(const wl_suspects_t *self, wl_hub_t *hub, uint32_t fd, bool delivered) {
    wl_encoder_t *to = wl_hub_to(hub, WL_ACTOR_GUARD, 0, WL_MSG_SEEN, self->door);
    if (!wl_encoder_begun(to)) {
        wl_seen_begin(to,
                      &(wl_seen_head_t){.instance = hub->instance, .door = (uint8_t)self->door});
    }
    wl_seen_add(to, &(wl_seen_item_t){.fd = fd, .delivered = delivered});
}

void wl_suspects_delivered(wl_suspects_t *self, wl_hub_t *hub, int fd) {
    uint32_t at = fd < 0 ? self->count : suspects_find(self, (uint32_t)fd);
    if (at < self->count) {
        suspects_remove(self, at);
        suspects_tell(self, hub, (uint32_t)fd, true);
    }
}

void wl_suspects_drained(wl_suspects_t *self, wl_hub_t *hub) {
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->at[i].asked) {
            self->at[i].asked = false;
            suspects_tell(self, hub, self->at[i].fd, false);
        }
    }
}
