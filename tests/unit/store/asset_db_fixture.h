/* asset_db_fixture.h: for the tests of the asset database: opening it in the private folder and
 * storing plain records. */
#ifndef WL_TEST_ASSET_DB_FIXTURE_H
#define WL_TEST_ASSET_DB_FIXTURE_H

#include "private_folder.h"
#include "store/asset_db.h"

static inline wl_asset_db_t *db_open(uint32_t shard) {
    wl_asset_db_t *db = NULL;
    wl_fault_t fault = {0};
    wl_asset_db_options_t options = {
        .path = in_folder("shard.db"), .shard = shard, .busy_timeout_ms = 1000};
    wl_err_t err = wl_asset_db_open(&options, &db, &fault);
    cr_assert_eq(err, WL_OK, "%s: %s", wl_err_name(err), fault.message);
    return db;
}

static inline wl_asset_t asset_make(uint64_t uid, const char *line, const char *bucket,
                                    uint64_t version) {
    wl_asset_t asset = {.uid = uid, .version = version, .amount = (int64_t)(version % 1000) * 100};
    (void)snprintf(asset.line, sizeof asset.line, "%s", line);
    (void)snprintf(asset.bucket, sizeof asset.bucket, "%s", bucket);
    (void)snprintf(asset.unit, sizeof asset.unit, "CNY");
    asset.scale = 2;
    return asset;
}

static inline wl_apply_result_t apply(wl_asset_db_t *db, wl_asset_t asset) {
    wl_apply_result_t result = WL_APPLY_FULL;
    cr_assert_eq(wl_asset_db_apply(db, &asset, &result), WL_OK);
    return result;
}

static inline uint64_t commit(wl_asset_db_t *db) {
    uint64_t seq = 0;
    cr_assert_eq(wl_asset_db_commit(db, &seq), WL_OK);
    return seq;
}

static inline wl_apply_result_t store(wl_asset_db_t *db, wl_asset_t asset) {
    cr_assert_eq(wl_asset_db_begin(db), WL_OK);
    wl_apply_result_t result = apply(db, asset);
    (void)commit(db);
    return result;
}

#endif
