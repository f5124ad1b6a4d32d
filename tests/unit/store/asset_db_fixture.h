/* asset_db_fixture.h: for the tests of the asset database: opening it, in SQLite in the private folder
 * or in a private MySQL database, and storing plain records. */
#ifndef WL_TEST_ASSET_DB_FIXTURE_H
#define WL_TEST_ASSET_DB_FIXTURE_H

#include "mysql_world.h"
#include "private_folder.h"
#include "store/asset_db.h"

static bool db_in_mysql; /* where db_open opens */

static inline void sqlite_begin(void) {
    folder_make();
}

static inline void mysql_begin(void) {
    db_in_mysql = true;
    folder_make();
    world_open();
}

static inline void mysql_end(void) {
    world_close();
    folder_remove();
}

/* One test of each backend with the same body. */
#define BOTH(suite, name)             \
    static void suite##_##name(void); \
    Test(suite##_sqlite, name) {      \
        suite##_##name();             \
    }                                 \
    Test(suite##_mysql, name) {       \
        suite##_##name();             \
    }                                 \
    static void suite##_##name(void)

static inline wl_asset_db_options_t db_options(uint32_t shard) {
    wl_asset_db_options_t options = {
        .path = in_folder("shard.db"), .shard = shard, .busy_timeout_ms = 1000};
    if (db_in_mysql) {
        options.mysql = world_options();
    }
    return options;
}

static inline wl_asset_db_t *db_open_as(const wl_asset_db_options_t *options) {
    wl_asset_db_t *db = NULL;
    wl_fault_t fault = {0};
    wl_err_t err = wl_asset_db_open(options, &db, &fault);
    cr_assert_eq(err, WL_OK, "%s: %s", wl_err_name(err), fault.message);
    return db;
}

static inline wl_asset_db_t *db_open(uint32_t shard) {
    wl_asset_db_options_t options = db_options(shard);
    return db_open_as(&options);
}

static inline wl_asset_db_t *db_open_readonly(uint32_t shard) {
    wl_asset_db_options_t options = db_options(shard);
    options.readonly = true;
    return db_open_as(&options);
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
    wl_err_t err = wl_asset_db_apply(db, &asset, &result);
    cr_assert_eq(err, WL_OK, "%s: %s", wl_err_name(err), wl_asset_db_problem(db));
    return result;
}

static inline void begin(wl_asset_db_t *db) {
    wl_err_t err = wl_asset_db_begin(db);
    cr_assert_eq(err, WL_OK, "%s: %s", wl_err_name(err), wl_asset_db_problem(db));
}

static inline uint64_t commit(wl_asset_db_t *db) {
    uint64_t seq = 0;
    wl_err_t err = wl_asset_db_commit(db, &seq);
    cr_assert_eq(err, WL_OK, "%s: %s", wl_err_name(err), wl_asset_db_problem(db));
    return seq;
}

static inline wl_apply_result_t store(wl_asset_db_t *db, wl_asset_t asset) {
    begin(db);
    wl_apply_result_t result = apply(db, asset);
    (void)commit(db);
    return result;
}

static inline uint64_t rows_count(wl_asset_db_t *db) {
    uint64_t rows = 0;
    cr_assert_eq(wl_asset_db_count(db, &rows), WL_OK);
    return rows;
}

#endif
