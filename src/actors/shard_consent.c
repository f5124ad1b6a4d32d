#include "actors/shard_consent.h"

#include "domain/consent.h"
#include "store/asset_lines.h"

/* What the history says of how it came: there is one way so far. */
#define VIA "wallet.consent"

wl_err_t wl_shard_consent_stands(wl_asset_db_t *db, uint64_t uid, const char *line,
                                 wl_wall_ms_t now, bool *ret_stands) {
    wl_asset_t record;
    wl_err_t err = wl_asset_db_get(db, uid, line, WL_BUCKET_CONSENT, &record);
    *ret_stands = err == WL_OK && wl_consent_valid(&record, now);
    return err == WL_ERR_NOT_FOUND ? WL_OK : err;
}

/* The state that stands in the database after a record was applied. */
static wl_err_t state_after(wl_asset_db_t *db, const wl_asset_t *record, wl_apply_result_t result,
                            uint8_t *ret_state) {
    wl_asset_t stored;
    *ret_state = record->state;
    if (result == WL_APPLY_STORED || result == WL_APPLY_FULL) {
        return WL_OK;
    }
    wl_err_t err = wl_asset_db_get(db, record->uid, record->line, record->bucket, &stored);
    if (err == WL_OK) {
        *ret_state = stored.state;
    }
    return err;
}

wl_err_t wl_shard_consent_apply(wl_asset_db_t *db, const wl_asset_t *record,
                                wl_apply_result_t *ret_result, bool *ret_withdrawn) {
    uint8_t state = WL_STATE_AVAILABLE;
    *ret_withdrawn = false;
    wl_err_t err = wl_asset_db_apply(db, record, ret_result);
    if (err == WL_OK) {
        err = state_after(db, record, *ret_result, &state);
    }
    if (err == WL_OK && state != WL_STATE_AVAILABLE) {
        err = wl_asset_db_purge(db, record->uid, record->line);
        *ret_withdrawn = err == WL_OK;
        if (err == WL_OK && *ret_result == WL_APPLY_FULL) { /* there may be room now */
            err = wl_asset_db_apply(db, record, ret_result);
        }
    }
    if (err == WL_OK && *ret_result == WL_APPLY_STORED) {
        err = wl_asset_db_consent_note(db, record, VIA);
    }
    return err;
}
