#include "actors/hub_map.h"

#include "actors/store_options.h"
#include "base/log.h"
#include "store/asset_map.h"

#include <inttypes.h>
#include <string.h>

/* A process with fewer shards in its settings must not look for users where there are none: it
 * stays with the old map and is refused until it is started with the right settings. */
static bool map_known(wl_hub_t *self, uint64_t version, const uint8_t *map) {
    uint32_t shards = (uint32_t)self->settings->shard_instances;
    for (uint32_t slot = 0; slot < WL_SLOTS; slot++) {
        if (map[slot] >= shards) {
            WL_COUNT(&self->counters, shard_map_refused, 1);
            wl_log(WL_LOG_ERROR, self->name, "map_refused",
                   "map %" PRIu64 " gives slot %u to shard %u, but shard.instances is %u", version,
                   slot, map[slot], shards);
            return false;
        }
    }
    return true;
}

/* Returns whether it was newer. */
static bool map_adopt(wl_hub_t *self, uint64_t version, const uint8_t *map) {
    if (version <= self->map_version || !map_known(self, version, map)) {
        return false;
    }
    memcpy(self->shard_of_slot, map, sizeof self->shard_of_slot);
    self->map_version = version;
    WL_GAUGE(&self->counters, shard_map_version, version);
    return true;
}

void wl_hub_take_map(wl_hub_t *self, const wl_msg_t *msg) {
    const wl_map_head_t *head = &msg->head.map;
    if (head->map.count != WL_SLOTS) {
        WL_COUNT(&self->counters, msg_malformed, 1);
        return;
    }
    (void)map_adopt(self, head->version, head->map.at);
}

void wl_hub_spread_map(wl_hub_t *self, uint64_t version, const uint8_t map[WL_SLOTS]) {
    if (!map_adopt(self, version, map)) {
        return;
    }
    wl_log(WL_LOG_INFO, self->name, "map_live", "slots have moved: map %" PRIu64, version);
    wl_map_head_t head = {.version = version, .map = {map, WL_SLOTS}};
    for (wl_actor_kind_t kind = 0; kind < WL_ACTOR_KINDS; kind++) {
        uint32_t instances = wl_hub_instances(self, kind);
        for (uint32_t i = 0; i < instances; i++) {
            if (kind == self->kind && i == self->instance) {
                continue;
            }
            wl_encoder_t *to = wl_hub_to(self, kind, i, WL_MSG_MAP, version);
            if (!wl_encoder_begun(to)) {
                wl_map_begin(to, &head);
            }
        }
    }
    wl_hub_flush(self);
}

bool wl_hub_map_from(wl_hub_t *self, wl_asset_db_t *db) {
    uint64_t version = 0;
    uint8_t map[WL_SLOTS];
    if (wl_asset_db_map_read(db, &version, map) != WL_OK || version <= self->map_version) {
        return false;
    }
    wl_hub_spread_map(self, version, map);
    return self->map_version >= version;
}

wl_err_t wl_hub_map_holds(wl_hub_t *self, wl_asset_db_t *db) {
    if (!wl_store_shared(self->settings)) {
        return WL_OK; /* slots move between servers only */
    }
    wl_asset_db_map_use(db, self->map_version);
    wl_err_t err = wl_asset_db_map_check(db);
    if (err == WL_ERR_CONFLICT) {
        WL_COUNT(&self->counters, shard_fenced, 1);
        (void)wl_hub_map_from(self, db);
    }
    return err;
}
