#include "domain/consent.h"

#include "domain/asset_rules.h"

bool wl_consent_valid(const wl_asset_t *record, wl_wall_ms_t now) {
    return record != NULL && wl_asset_is_consent(record) &&
           wl_asset_state_at(record, now) == WL_STATE_AVAILABLE;
}
