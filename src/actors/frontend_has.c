#include "actors/frontend_has.h"

#include "base/slot.h"

static void ask_one(wl_frontend_has_t *self, wl_hub_t *hub, uint64_t number, uint32_t presence,
                    uint32_t count) {
    wl_encoder_t *to = wl_hub_to(hub, WL_ACTOR_PRESENCE, presence, WL_MSG_ASK, 0);
    if (!wl_encoder_begun(to)) {
        wl_ask_begin(to, &(wl_ask_head_t){.frontend = hub->instance});
    }
    wl_ask_add(to, &(wl_ask_item_t){
                       .ticket = number,
                       .uids = {self->owned, count},
                       .positions = {self->places, count},
                   });
}

void wl_frontend_has_ask(wl_frontend_has_t *self, wl_hub_t *hub, wl_ticket_t *ticket,
                         uint32_t count) {
    uint32_t presences = wl_hub_instances(hub, WL_ACTOR_PRESENCE);
    ticket->has_count = (uint16_t)count;
    for (uint32_t presence = 0; presence < presences; presence++) {
        uint32_t owned = 0;
        for (uint32_t i = 0; i < count; i++) {
            if (wl_uid_owner(self->uids[i], presences) == presence) {
                self->owned[owned] = self->uids[i];
                self->places[owned++] = i;
            }
        }
        if (owned > 0) {
            ask_one(self, hub, ticket->number, presence, owned);
        }
    }
}

bool wl_frontend_has_told(wl_ticket_t *ticket, const wl_told_item_t *told, bool *ret_whole) {
    uint32_t missing = (uint32_t)(ticket->has_count - ticket->has_answered);
    if (told->answered > missing) {
        return false;
    }
    for (uint32_t i = 0; i < told->positions.count; i++) {
        uint64_t position = told->positions.at[i];
        if (position < ticket->has_count) {
            ticket->has[position / 64] |= 1ull << (position % 64);
        }
    }
    ticket->has_answered = (uint16_t)(ticket->has_answered + told->answered);
    *ret_whole = told->answered == missing;
    return true;
}

void wl_frontend_has_write(const wl_ticket_t *ticket, msgpack_sbuffer *into) {
    msgpack_packer packer;
    msgpack_packer_init(&packer, into, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 1);
    msgpack_pack_str(&packer, 3);
    msgpack_pack_str_body(&packer, "has", 3);
    msgpack_pack_array(&packer, ticket->has_count);
    for (uint32_t i = 0; i < ticket->has_count; i++) {
        if ((ticket->has[i / 64] >> (i % 64)) & 1) {
            msgpack_pack_true(&packer);
        } else {
            msgpack_pack_false(&packer);
        }
    }
}
