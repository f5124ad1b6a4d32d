#include "actors/shard_trail.h"

wl_store_fate_t wl_shard_trail_fate(wl_apply_result_t result) {
    switch (result) {
    case WL_APPLY_STORED: return WL_STORE_FATE_STORED;
    case WL_APPLY_TOUCHED: return WL_STORE_FATE_TOUCHED;
    case WL_APPLY_OLDER: return WL_STORE_FATE_OLDER;
    case WL_APPLY_FULL: break;
    }
    return WL_STORE_FATE_REFUSED;
}

static void trail_asset(wl_shard_trail_t *self, const wl_store_batch_t *batch,
                        const wl_stored_user_t *user, size_t index) {
    static const wl_trail_what_t whats[] = {
        [WL_STORE_FATE_STORED] = WL_TRAIL_STORED,
        [WL_STORE_FATE_TOUCHED] = WL_TRAIL_CONFIRMED,
        [WL_STORE_FATE_OLDER] = WL_TRAIL_OLDER,
        [WL_STORE_FATE_REFUSED] = WL_TRAIL_QUARANTINED,
        [WL_STORE_FATE_BARRED] = WL_TRAIL_NO_CONSENT,
    };
    const wl_asset_t *asset = &batch->assets[index];
    wl_store_fate_t fate = batch->fates[index];
    if (fate == WL_STORE_FATE_NONE || wl_asset_is_consent(asset)) {
        return; /* of consents the dispatcher tells when they are in effect */
    }
    bool valued = fate == WL_STORE_FATE_STORED || fate == WL_STORE_FATE_TOUCHED;
    bool refused = fate == WL_STORE_FATE_REFUSED;
    wl_trail_event_t event = {.uid = user->uid,
                              .at = self->committed_at,
                              .what = whats[fate],
                              .line = asset->line,
                              .bucket = asset->bucket,
                              .version = asset->version,
                              .before = batch->stands[index],
                              .notified_at = user->notified_at,
                              .pulled_at = asset->pulled_at,
                              .tag = valued ? wl_trail_tag(asset, self->key) : 0,
                              .outcome = user->outcome,
                              .text = refused ? "jump_max, version_ahead_max or too many" : ""};
    wl_trail_tell(&self->teller, &event);
}

void wl_shard_trail_tell(wl_shard_trail_t *self, const wl_store_batch_t *batch,
                         const wl_stored_user_t *user) {
    if (!wl_trail_teller_on(&self->teller)) {
        return;
    }
    for (uint32_t i = 0; i < user->asset_count; i++) {
        trail_asset(self, batch, user, user->asset_first + i);
    }
    if (user->asset_count == 0) {
        bool barred = user->consent == WL_CONSENT_MISSING;
        wl_trail_event_t event = {.uid = user->uid,
                                  .at = self->committed_at,
                                  .what = barred ? WL_TRAIL_NO_CONSENT : WL_TRAIL_NOTHING,
                                  .line = batch->heads[user->head].line,
                                  .notified_at = user->notified_at,
                                  .outcome = user->outcome};
        wl_trail_tell(&self->teller, &event);
    }
}
