/* Fences and maps of slots: who goes by an older map than the shard's may not write, then not read;
 * who writes while slots move says so. */
#include "asset_db_fixture.h"
#include "base/alloc.h"
#include "base/slot.h"
#include "store/asset_lines.h"
#include "store/asset_map.h"

TestSuite(asset_map, .init = mysql_begin, .fini = mysql_end, .timeout = 60);

static wl_err_t try_store(wl_asset_db_t *db, uint64_t uid, uint64_t version) {
    wl_apply_result_t result = WL_APPLY_FULL;
    uint64_t commit_seq = 0;
    wl_asset_t asset = {.uid = uid, .line = "cash", .unit = "CNY", .version = version};
    wl_err_t err = wl_asset_db_begin(db);
    if (err == WL_OK) {
        err = wl_asset_db_apply(db, &asset, &result);
    }
    if (err == WL_OK) {
        err = wl_asset_db_commit(db, &commit_seq);
    }
    wl_asset_db_rollback(db);
    return err;
}

static wl_err_t try_read(wl_asset_db_t *db, uint64_t uid) {
    wl_asset_rows_t rows = {0};
    uint64_t commit_seq = 0;
    wl_err_t err = wl_asset_db_fetch_many(db, &uid, 1, &rows, &commit_seq);
    wl_err_t also = wl_asset_db_get_many(db, &uid, 1, "cash", "", &rows);
    wl_err_t check = wl_asset_db_map_check(db);
    wl_asset_rows_destroy(&rows);
    cr_expect_eq(err, also);
    cr_expect_eq(err, check);
    return err;
}

Test(asset_map, who_goes_by_an_older_map_is_refused_and_finds_the_newer_one) {
    wl_asset_db_t *db = db_open(0);
    wl_asset_db_t *reader = db_open_readonly(0);
    uint64_t version = 0;
    static uint8_t map[WL_SLOTS];
    cr_assert_eq(try_store(db, 7, 1), WL_OK);
    cr_expect_eq(wl_asset_db_map_read(reader, &version, map), WL_ERR_NOT_FOUND);
    wl_asset_db_map_use(db, 3);
    wl_asset_db_map_use(reader, 3);
    world_sql("UPDATE slot_map SET write_fence = 4");
    cr_expect_eq(try_store(db, 7, 2), WL_ERR_CONFLICT);
    cr_expect_eq(try_read(reader, 7), WL_OK, "reads go on until the map is there");
    cr_expect_eq(wl_asset_db_map_read(db, &version, map), WL_ERR_NOT_FOUND);
    world_sql("UPDATE slot_map SET version = 4, read_fence = 4,"
              " map = concat(repeat(char(0), 4095), char(1))");
    cr_expect_eq(try_read(reader, 7), WL_ERR_CONFLICT);
    cr_assert_eq(wl_asset_db_map_read(reader, &version, map), WL_OK);
    cr_expect(version == 4 && map[0] == 0 && map[WL_SLOTS - 1] == 1);
    wl_asset_db_map_use(db, version);
    wl_asset_db_map_use(reader, version);
    cr_expect_eq(try_read(reader, 7), WL_OK);
    cr_expect_eq(try_store(db, 7, 2), WL_OK);
    wl_asset_db_map_use(db, UINT64_MAX);
    cr_expect_eq(try_store(db, 7, 3), WL_OK, "tools go by none");
    wl_asset_db_close(&reader);
    wl_asset_db_close(&db);
}

Test(asset_map, who_writes_while_slots_move_is_noted_once_it_has_committed) {
    wl_asset_db_t *db = db_open(0);
    uint32_t slot = wl_slot_of(7);
    char sql[128];
    (void)snprintf(sql, sizeof sql, "UPDATE slot_map SET logged = 1, log_first = %u, log_last = %u",
                   slot, slot);
    cr_assert_eq(try_store(db, 7, 1), WL_OK);
    world_sql(sql);
    for (uint64_t uid = 1; uid <= 700; uid++) {
        cr_assert_eq(try_store(db, uid, 2), WL_OK);
    }
    uint64_t inside = 0;
    for (uint64_t uid = 1; uid <= 700; uid++) {
        inside += wl_slot_of(uid) == slot;
    }
    cr_expect_eq((uint64_t)world_number("SELECT count(*) FROM slot_log"), inside);
    cr_expect_eq(world_number("SELECT count(*) FROM slot_log WHERE uid = 7"), 1);
    cr_assert_eq(wl_asset_db_begin(db), WL_OK);
    cr_assert_eq(wl_asset_db_purge(db, 7, "cash"), WL_OK);
    wl_asset_db_rollback(db);
    cr_expect_eq(world_number("SELECT count(*) FROM slot_log WHERE uid = 7"), 1, "rolled back");
    uint64_t commit_seq = 0;
    cr_assert_eq(wl_asset_db_begin(db), WL_OK);
    cr_assert_eq(wl_asset_db_purge(db, 7, "cash"), WL_OK);
    cr_assert_eq(wl_asset_db_commit(db, &commit_seq), WL_OK);
    cr_expect_eq(world_number("SELECT count(*) FROM slot_log WHERE uid = 7"), 2, "purges as well");
    world_sql("UPDATE slot_map SET log_first = 0, log_last = 4095");
    uint64_t uids[1300];
    for (uint64_t i = 0; i < 1300; i++) {
        uids[i] = i + 1;
    }
    cr_assert_eq(wl_asset_db_begin(db), WL_OK);
    cr_assert_eq(wl_asset_db_expect(db, uids, 1300), WL_OK);
    cr_assert_eq(wl_asset_db_commit(db, &commit_seq), WL_OK);
    cr_expect_eq((uint64_t)world_number("SELECT count(*) FROM slot_log"), inside + 1 + 1300,
                 "in several statements");
    wl_asset_db_close(&db);
}

Test(asset_map, nonsense_in_the_row_is_damage) {
    static const char *const nonsense[] = {
        "UPDATE slot_map SET version = 4, map = repeat(char(0), 4095)",
        "UPDATE slot_map SET version = 4, map = ''",
        "DELETE FROM slot_map",
    };
    for (size_t i = 0; i < WL_COUNT_OF(nonsense); i++) {
        wl_asset_db_t *db = db_open(0);
        uint64_t version = 99;
        static uint8_t map[WL_SLOTS];
        world_sql(nonsense[i]);
        cr_expect_eq(wl_asset_db_map_read(db, &version, map), WL_ERR_DAMAGED, "%zu", i);
        cr_expect_eq(version, 99u);
        wl_asset_db_close(&db);
    }
    wl_asset_db_t *db = db_open(0);
    cr_expect_eq(try_store(db, 7, 1), WL_ERR_DAMAGED);
    cr_expect_eq(try_read(db, 7), WL_ERR_DAMAGED);
    wl_asset_db_close(&db);
}

Test(asset_map, sqlite_has_no_map_and_no_fence) {
    db_in_mysql = false;
    wl_asset_db_t *db = db_open(0);
    uint64_t version = 0;
    static uint8_t map[WL_SLOTS];
    wl_asset_db_map_use(db, 0);
    cr_expect_eq(wl_asset_db_map_read(db, &version, map), WL_ERR_NOT_FOUND);
    cr_expect_eq(try_store(db, 7, 1), WL_OK);
    cr_expect_eq(try_read(db, 7), WL_OK);
    wl_asset_db_close(&db);
    db_in_mysql = true;
}
