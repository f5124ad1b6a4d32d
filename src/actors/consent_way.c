#include "actors/consent_way.h"

#include "base/slot.h"

#include <string.h>

static const wl_asset_t *consent_record(const wl_stored_item_t *item) {
    for (uint32_t i = 0; i < item->assets.count; i++) {
        const wl_asset_t *asset = &item->assets.at[i];
        if (wl_asset_is_consent(asset) && asset->state != WL_STATE_AVAILABLE) {
            return asset;
        }
    }
    return NULL;
}

bool wl_consent_withdrawn(const wl_stored_item_t *item) {
    return consent_record(item) != NULL;
}

bool wl_consent_told(const wl_msg_t *stored) {
    for (uint32_t i = 0; i < stored->count; i++) {
        const wl_asset_list_t *assets = &stored->items.stored[i].assets;
        for (uint32_t j = 0; j < assets->count; j++) {
            if (wl_asset_is_consent(&assets->at[j])) {
                return true;
            }
        }
    }
    return false;
}

/* The next stop behind the actor of the hub; false: there is none. */
static bool way_next(const wl_hub_t *hub, uint64_t uid, wl_actor_kind_t *ret_kind,
                     uint32_t *ret_instance) {
    static const wl_actor_kind_t stops[] = {WL_ACTOR_CACHE, WL_ACTOR_QUERY, WL_ACTOR_DETAILS,
                                            WL_ACTOR_FRONTEND};
    uint32_t count = sizeof stops / sizeof *stops;
    uint32_t here = 0;
    while (here < count && stops[here] != hub->kind) {
        here++;
    }
    if (hub->kind == WL_ACTOR_FRONTEND) {
        *ret_kind = WL_ACTOR_FRONTEND;
        *ret_instance = hub->instance + 1;
        return *ret_instance < wl_hub_instances(hub, WL_ACTOR_FRONTEND);
    }
    for (uint32_t i = here + 1; i < count; i++) {
        uint32_t instances = wl_hub_instances(hub, stops[i]);
        if (instances > 0) {
            *ret_kind = stops[i];
            *ret_instance = stops[i] == WL_ACTOR_FRONTEND ? 0 : wl_uid_owner(uid, instances);
            return true;
        }
    }
    return false;
}

/* One consent a message, with a head of its own, behind all that was said before: they are rare. */
static wl_encoder_t *way_message(wl_hub_t *hub, wl_actor_kind_t kind, uint32_t instance,
                                 wl_msg_id_t id) {
    wl_hub_flush(hub);
    return wl_hub_to(hub, kind, instance, id, 0);
}

static void way_end(wl_hub_t *hub, const wl_stored_head_t *head, const wl_stored_item_t *item) {
    uint32_t presences = wl_hub_instances(hub, WL_ACTOR_PRESENCE);
    bool foreign = head->dispatcher == WL_DISPATCHER_NONE;
    wl_actor_kind_t kind = foreign ? WL_ACTOR_PRESENCE : WL_ACTOR_DISPATCHER;
    uint32_t instance = foreign ? wl_uid_owner(item->uid, presences) : head->dispatcher;
    if (instance >= wl_hub_instances(hub, kind)) {
        WL_COUNT(&hub->counters, msg_malformed, 1);
        return;
    }
    wl_done_head_t done = {0};
    memcpy(done.line, head->line, sizeof done.line);
    wl_encoder_t *to = way_message(hub, kind, instance, WL_MSG_DONE);
    wl_done_begin(to, &done);
    wl_done_add(to, &(wl_done_item_t){.uid = item->uid,
                                      .seq = item->seq,
                                      .outcome = item->outcome,
                                      .notified_at = item->notified_at});
    wl_hub_flush(hub);
}

void wl_consent_pass_on(wl_hub_t *hub, const wl_stored_head_t *head, const wl_stored_item_t *item) {
    const wl_asset_t *record = consent_record(item);
    wl_actor_kind_t kind;
    uint32_t instance = 0;
    if (record == NULL) {
        WL_COUNT(&hub->counters, msg_malformed, 1);
        return;
    }
    if (!way_next(hub, item->uid, &kind, &instance)) {
        way_end(hub, head, item);
        return;
    }
    wl_encoder_t *to = way_message(hub, kind, instance, WL_MSG_STORED);
    wl_stored_item_t passed = *item;
    wl_asset_t copy = *record;
    passed.assets = (wl_asset_list_t){&copy, 1};
    wl_stored_begin(to, head);
    wl_stored_add(to, &passed);
    wl_hub_flush(hub);
}
