#include "actors/frontend_consent.h"

#include "actors/consent_way.h"
#include "base/alloc.h"
#include "base/slot.h"

#include <string.h>
#include <utlist.h>

enum { GATE_MAX = 4096 }; /* consents that wait; the next one does not */

/* ---- wallet.consent -------------------------------------------------------------------------- */

void wl_frontend_consent_ask(wl_hub_t *hub, wl_ticket_t *ticket, const wl_consent_args_t *args) {
    ticket->uid = args->uid;
    ticket->granted = args->granted;
    ticket->expires_at = args->expires_at;
    uint32_t owner = wl_uid_owner(args->uid, wl_hub_instances(hub, WL_ACTOR_PRESENCE));
    wl_hub_flush(hub); /* a head of its own */
    wl_encoder_t *to = wl_hub_to(hub, WL_ACTOR_PRESENCE, owner, WL_MSG_LIVE, 0);
    wl_live_head_t head = {
        .asker = WL_ACTOR_FRONTEND,
        .instance = hub->instance,
        .sent_at = wl_hub_sent_at(hub, WL_ACTOR_PRESENCE, owner),
    };
    memcpy(head.line, args->line, sizeof head.line);
    wl_live_begin(to, &head);
    wl_live_add(to, &(wl_live_item_t){
                        .ticket = ticket->number,
                        .uid = args->uid,
                        .deadline_at = ticket->deadline_at,
                        .what = WL_LIVE_CONSENT,
                        .granted = args->granted,
                        .expires_at = args->expires_at,
                    });
    wl_hub_flush(hub);
}

static void pack_key(msgpack_packer *packer, const char *key) {
    size_t bytes = strlen(key);
    msgpack_pack_str(packer, bytes);
    msgpack_pack_str_body(packer, key, bytes);
}

void wl_frontend_consent_write(const wl_ticket_t *ticket, int64_t at, msgpack_sbuffer *into) {
    msgpack_packer packer;
    msgpack_packer_init(&packer, into, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 3);
    pack_key(&packer, "granted");
    ticket->granted ? msgpack_pack_true(&packer) : msgpack_pack_false(&packer);
    pack_key(&packer, "granted_at");
    msgpack_pack_int64(&packer, at);
    pack_key(&packer, "expires_at");
    msgpack_pack_int64(&packer, ticket->expires_at);
}

/* ---- withdrawn consents ---------------------------------------------------------------------- */

typedef struct held {
    wl_stored_head_t head;
    wl_stored_item_t item; /* of one asset, which is record */
    wl_asset_t record;
    int64_t until;            /* monotonic ms */
    struct held *prev, *next; /* utlist */
} held_t;

struct wl_consent_gate {
    wl_hub_t *hub; /* borrowed */
    wl_consent_refuse_fn refuse;
    void *arg;
    held_t *held; /* owned, oldest first */
    uint32_t count;
};

wl_consent_gate_t *wl_consent_gate_new(wl_hub_t *hub, wl_consent_refuse_fn refuse, void *arg) {
    wl_consent_gate_t *self = wl_alloc_zero(1, sizeof *self);
    self->hub = hub;
    self->refuse = refuse;
    self->arg = arg;
    return self;
}

static void held_free(wl_consent_gate_t *self, held_t *held) {
    DL_DELETE(self->held, held);
    self->count--;
    wl_free(held);
}

void wl_consent_gate_destroy(wl_consent_gate_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    while ((*self)->held != NULL) {
        held_free(*self, (*self)->held);
    }
    wl_free(*self);
    *self = NULL;
}

static void gate_hold(wl_consent_gate_t *self, const wl_stored_head_t *head,
                      const wl_stored_item_t *item) {
    held_t *held = wl_alloc_zero(1, sizeof *held);
    held->head = *head;
    held->item = *item;
    for (uint32_t i = 0; i < item->assets.count; i++) {
        if (wl_asset_is_consent(&item->assets.at[i])) {
            held->record = item->assets.at[i];
        }
    }
    held->record.extra = NULL;
    held->record.extra_bytes = 0;
    held->item.assets = (wl_asset_list_t){&held->record, 1};
    held->until = wl_mono_now().ms + (self->count < GATE_MAX ? WL_CONSENT_GATE_MS : 0);
    DL_APPEND(self->held, held);
    self->count++;
}

void wl_consent_gate_take(wl_consent_gate_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        if (wl_consent_withdrawn(&msg->items.stored[i])) {
            gate_hold(self, &msg->head.stored, &msg->items.stored[i]);
        } else {
            WL_COUNT(&self->hub->counters, msg_unexpected, 1);
        }
    }
}

static bool inbox_empty(zsock_t *inbox) {
    return inbox == NULL || (zsock_events(inbox) & ZMQ_POLLIN) == 0;
}

void wl_consent_gate_step(wl_consent_gate_t *self) {
    if (self->held == NULL) {
        return;
    }
    bool empty = inbox_empty(self->hub->inbox) && inbox_empty(self->hub->far_inbox);
    int64_t now = wl_mono_now().ms;
    held_t *held = NULL;
    held_t *next = NULL;
    DL_FOREACH_SAFE(self->held, held, next) {
        if (!empty && now < held->until) {
            continue;
        }
        if (!empty) {
            self->refuse(self->arg, held->item.uid);
        }
        wl_consent_pass_on(self->hub, &held->head, &held->item);
        held_free(self, held);
    }
}
