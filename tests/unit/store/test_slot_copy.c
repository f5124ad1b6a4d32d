/* Copying slots between two shards, beside handles that write as shard actors do. */
#include "store/slot_copy.h"

#include "asset_db_fixture.h"
#include "base/alloc.h"
#include "base/slot.h"
#include "store/asset_lines.h"
#include "store/asset_map.h"

enum { USERS = 400, FIRST = 1024, LAST = 3071 };

static char target_at[256]; /* "host:port/database" of the second shard */
static char target_name[80];
static wl_asset_db_t *dbs[2];
static wl_slot_copy_t *copy;

static wl_slot_copy_t *copy_open(uint64_t epoch) {
    wl_slot_copy_t *self = NULL;
    wl_fault_t fault = {0};
    wl_slot_copy_options_t options = {.mysql = {world_options(), world_options()},
                                      .shard = {0, 1},
                                      .shards = 2,
                                      .first = FIRST,
                                      .last = LAST,
                                      .epoch = epoch};
    options.mysql[WL_SIDE_TARGET].at = target_at;
    cr_assert_eq(wl_slot_copy_open(&options, &self, &fault), WL_OK, "%s", fault.message);
    cr_assert_eq(wl_slot_copy_begin(self), WL_OK);
    return self;
}

static void copy_begin(void) {
    char sql[128];
    mysql_begin();
    (void)snprintf(target_name, sizeof target_name, "%s_b", mysql_world.database);
    (void)snprintf(target_at, sizeof target_at, "%s_b", mysql_world.at);
    (void)snprintf(sql, sizeof sql, "CREATE DATABASE %s", target_name);
    world_sql(sql);
    for (uint32_t side = 0; side < 2; side++) {
        wl_asset_db_options_t options = db_options(side);
        options.mysql.at = side == 0 ? mysql_world.at : target_at;
        dbs[side] = db_open_as(&options);
    }
    copy = copy_open(1);
}

static void copy_end(void) {
    char sql[128];
    wl_slot_copy_close(&copy);
    wl_asset_db_close(&dbs[0]);
    wl_asset_db_close(&dbs[1]);
    (void)snprintf(sql, sizeof sql, "DROP DATABASE %s", target_name);
    (void)mysql_query(mysql_world.root, sql);
    mysql_end();
}

TestSuite(slot_copy, .init = copy_begin, .fini = copy_end, .timeout = 90);

static bool inside(uint64_t uid) {
    return wl_slot_of(uid) >= FIRST && wl_slot_of(uid) <= LAST;
}

static uint64_t some_user(bool in) {
    uint64_t uid = 1;
    while (inside(uid) != in) {
        uid++;
    }
    return uid;
}

static wl_asset_t an_asset(uint64_t uid, const char *line, uint64_t version) {
    wl_asset_t asset = {.uid = uid,
                        .amount = (int64_t)(uid * 7),
                        .unit = "CNY",
                        .scale = 2,
                        .count = 3,
                        .pending = -5,
                        .expires_at = 99,
                        .version = version,
                        .changed_at = 5,
                        .pulled_at = 6};
    (void)snprintf(asset.line, sizeof asset.line, "%s", line);
    asset.state = uid % 5 == 0 ? WL_STATE_GONE : WL_STATE_AVAILABLE;
    if (uid % 3 == 0) {
        asset.extra = (const uint8_t *)"\x00'\xff\\";
        asset.extra_bytes = 4;
    }
    return asset;
}

static wl_err_t put(int side, wl_asset_t asset) {
    wl_apply_result_t result = WL_APPLY_FULL;
    uint64_t commit_seq = 0;
    wl_err_t err = wl_asset_db_begin(dbs[side]);
    if (err == WL_OK) {
        err = wl_asset_db_apply(dbs[side], &asset, &result);
    }
    if (err == WL_OK) {
        err = wl_asset_db_commit(dbs[side], &commit_seq);
    }
    wl_asset_db_rollback(dbs[side]);
    return err;
}

static void fill(void) {
    uint64_t commit_seq = 0;
    cr_assert_eq(wl_asset_db_begin(dbs[0]), WL_OK);
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        wl_apply_result_t result = WL_APPLY_FULL;
        wl_asset_t cash = an_asset(uid, "cash", 1);
        wl_asset_t coin = an_asset(uid, "coin", 1);
        cr_assert_eq(wl_asset_db_apply(dbs[0], &cash, &result), WL_OK);
        cr_assert_eq(wl_asset_db_apply(dbs[0], &coin, &result), WL_OK);
        if (uid % 4 == 0) {
            wl_asset_t consent = {.uid = uid,
                                  .line = "card",
                                  .bucket = WL_BUCKET_CONSENT,
                                  .version = 9,
                                  .changed_at = 3,
                                  .expires_at = 4};
            cr_assert_eq(wl_asset_db_apply(dbs[0], &consent, &result), WL_OK);
            cr_assert_eq(wl_asset_db_consent_note(dbs[0], &consent, "app"), WL_OK);
        }
    }
    cr_assert_eq(wl_asset_db_commit(dbs[0], &commit_seq), WL_OK);
}

/* A checksum of one table of one side over the slots that move. */
static long long sum_of(int side, const char *table, const char *columns, bool moving) {
    char sql[512];
    (void)snprintf(
        sql, sizeof sql,
        "SELECT coalesce(sum(crc32(concat_ws('|', %s))), 0) + count(*) FROM %s.%s t WHERE"
        " %s EXISTS(SELECT 1 FROM %s.asset a WHERE a.uid = t.uid AND a.slot BETWEEN %d"
        " AND %d)",
        columns, side == 0 ? mysql_world.database : target_name, table, moving ? "" : "NOT",
        side == 0 ? mysql_world.database : target_name, FIRST, LAST);
    return world_number(sql);
}

#define ALL                                                                                  \
    "uid, slot, line, bucket, kind, amount, unit, scale, count, pending, state, expires_at," \
    " version, changed_at, pulled_at, coalesce(hex(extra), '-')"

static void expect_same(void) {
    cr_expect_eq(sum_of(0, "asset", ALL, true), sum_of(1, "asset", ALL, true));
    cr_expect_eq(sum_of(0, "consent", "uid, line, version, granted, at, expires_at, via", true),
                 sum_of(1, "consent", "uid, line, version, granted, at, expires_at, via", true));
    cr_expect_eq(sum_of(1, "asset", ALL, false), 0, "other slots' users stay where they are");
}

static wl_slot_step_t copy_all(wl_side_t from, uint32_t page) {
    wl_slot_step_t all = {.users = 0};
    uint64_t cursor = 0;
    for (wl_slot_step_t step = {.end = false}; !step.end;) {
        cr_assert_eq(wl_slot_copy_users(copy, from, page, &cursor, &step), WL_OK);
        all.users += step.users;
        all.records += step.records;
    }
    return all;
}

static wl_slot_step_t follow_all(wl_side_t from) {
    wl_slot_step_t all = {.users = 0};
    for (wl_slot_step_t step = {.end = false}; !step.end;) {
        cr_assert_eq(wl_slot_copy_follow(copy, from, 16, &step), WL_OK);
        all.users += step.users;
    }
    return all;
}

static wl_slot_step_t compare_all(wl_side_t from, uint32_t page) {
    wl_slot_step_t all = {.users = 0};
    uint64_t cursor = 0;
    for (wl_slot_step_t step = {.end = false}; !step.end;) {
        cr_assert_eq(wl_slot_copy_compare(copy, from, page, &cursor, &step), WL_OK);
        all.users += step.users;
        all.mended += step.mended;
        all.records += step.records;
    }
    return all;
}

static long long target_number(const char *what) {
    char sql[256];
    (void)snprintf(sql, sizeof sql, "SELECT %s FROM %s.meta m JOIN %s.slot_map s ON s.id = 1", what,
                   target_name, target_name);
    return world_number(sql);
}

static long long target_rows(const char *table) {
    char sql[192];
    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM %s.%s", target_name, table);
    return world_number(sql);
}

Test(slot_copy, copies_users_whole_with_everything_that_belongs_to_them) {
    fill();
    uint32_t moving = 0;
    uint32_t owners = 0;
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        moving += inside(uid);
        owners += inside(uid) && (uid % 5 != 0 || uid % 4 == 0);
    }
    wl_slot_step_t all = copy_all(WL_SIDE_SOURCE, 37);
    cr_expect_eq(all.users, moving);
    expect_same();
    cr_expect_eq(target_rows("owner_log"), owners, "readers that start later hear of them");
    cr_expect_eq(target_number("m.owner_seq"), owners);
    cr_expect_eq(target_number("m.commit_seq"), (moving + 36) / 37);
    (void)copy_all(WL_SIDE_SOURCE, 512);
    expect_same();
    cr_expect_eq(target_rows("owner_log"), owners, "they were there already");
    wl_slot_step_t compared = compare_all(WL_SIDE_SOURCE, 64);
    cr_expect(compared.users == moving && compared.mended == 0 && compared.records == 0);
}

Test(slot_copy, follows_changes_births_and_deletions) {
    fill();
    cr_assert_eq(wl_slot_copy_log(copy, WL_SIDE_SOURCE, true), WL_OK);
    (void)copy_all(WL_SIDE_SOURCE, 100);
    uint64_t commit_seq = 0;
    uint64_t user = some_user(true);
    cr_assert_eq(put(0, an_asset(user, "cash", 5)), WL_OK);
    cr_assert_eq(put(0, an_asset(some_user(false), "cash", 5)), WL_OK);
    for (uint64_t uid = USERS + 1; uid <= USERS + 60; uid++) {
        cr_assert_eq(put(0, an_asset(uid, "cash", 1)), WL_OK);
    }
    cr_assert_eq(wl_asset_db_begin(dbs[0]), WL_OK);
    cr_assert_eq(wl_asset_db_purge(dbs[0], user, "coin"), WL_OK);
    cr_assert_eq(wl_asset_db_commit(dbs[0], &commit_seq), WL_OK);
    wl_slot_step_t late = compare_all(WL_SIDE_SOURCE, 64);
    cr_expect_eq(late.mended, 0u, "what differs is in the log");
    expect_same();
    cr_expect_gt(follow_all(WL_SIDE_SOURCE).users, 20u);
    expect_same();
    cr_expect_eq(follow_all(WL_SIDE_SOURCE).users, 0u);
    char sql[128]; /* a user who is gone as a whole */
    (void)snprintf(sql, sizeof sql, "DELETE FROM asset WHERE uid = %llu", (unsigned long long)user);
    world_sql(sql);
    (void)snprintf(sql, sizeof sql, "INSERT INTO slot_log(uid) VALUES(%llu)",
                   (unsigned long long)user);
    world_sql(sql);
    cr_expect_eq(follow_all(WL_SIDE_SOURCE).users, 1u);
    expect_same();
    cr_assert_eq(wl_slot_copy_log(copy, WL_SIDE_SOURCE, false), WL_OK);
    cr_assert_eq(put(0, an_asset(user, "cash", 9)), WL_OK);
    cr_expect_eq(world_number("SELECT count(*) FROM slot_log"), 0, "nobody notes it any more");
}

Test(slot_copy, finds_and_mends_a_difference_in_any_column_and_on_either_side) {
    static const char *const columns[] = {
        "kind = 1 - kind",   "amount = amount + 1",     "unit = 'bean'",
        "scale = scale + 1", "count = count + 1",       "pending = pending + 1",
        "state = 1",         "expires_at = 98",         "version = version + 1",
        "changed_at = 4",    "pulled_at = pulled_at+1", "extra = 'x'"};
    char sql[512];
    fill();
    (void)copy_all(WL_SIDE_SOURCE, 512);
    for (size_t i = 0; i < WL_COUNT_OF(columns); i++) {
        (void)snprintf(sql, sizeof sql, "UPDATE %s.asset SET %s WHERE line = 'coin' LIMIT 1",
                       target_name, columns[i]);
        world_sql(sql);
        cr_expect_eq(compare_all(WL_SIDE_SOURCE, 64).mended, 1u, "%s", columns[i]);
        expect_same();
    }
    (void)snprintf(sql, sizeof sql, "DELETE FROM %s.asset WHERE line = 'cash' LIMIT 1",
                   target_name);
    world_sql(sql);
    cr_expect_eq(compare_all(WL_SIDE_SOURCE, 512).mended, 1u);
    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO %s.asset SELECT 18446744073709551615, 'late', bucket, slot, kind,"
                   " amount, unit, scale, count, pending, state, expires_at, version, changed_at,"
                   " pulled_at, extra FROM %s.asset LIMIT 1",
                   target_name, target_name);
    world_sql(sql);
    cr_expect_eq(compare_all(WL_SIDE_SOURCE, 2).mended, 1u, "behind the source's last user");
    expect_same();
}

static uint8_t map[WL_SLOTS];

Test(slot_copy, the_map_changes_behind_a_fence_and_back_again) {
    fill();
    uint64_t user = some_user(true);
    uint64_t version = 0;
    bool flipped = true;
    wl_asset_db_map_use(dbs[0], 0);
    wl_asset_db_map_use(dbs[1], 0);
    cr_assert_eq(wl_slot_copy_log(copy, WL_SIDE_SOURCE, true), WL_OK);
    (void)copy_all(WL_SIDE_SOURCE, 512);
    cr_assert_eq(wl_slot_copy_fence(copy, WL_SIDE_SOURCE, 1), WL_OK);
    cr_expect_eq(put(0, an_asset(user, "cash", 5)), WL_ERR_CONFLICT);
    cr_assert_eq(wl_slot_copy_unfence(copy, WL_SIDE_SOURCE), WL_OK);
    cr_expect_eq(put(0, an_asset(user, "cash", 6)), WL_OK, "given up for now");
    cr_assert_eq(wl_slot_copy_fence(copy, WL_SIDE_SOURCE, 1), WL_OK);
    (void)follow_all(WL_SIDE_SOURCE);
    cr_assert_eq(wl_slot_copy_flipped(copy, WL_SIDE_SOURCE, 1, &flipped), WL_OK);
    cr_expect(!flipped);
    memset(map, 1, sizeof map);
    for (int twice = 0; twice < 2; twice++) { /* after a crash it is done again */
        cr_assert_eq(wl_slot_copy_flip(copy, WL_SIDE_SOURCE, 1, map), WL_OK);
    }
    cr_assert_eq(wl_slot_copy_flipped(copy, WL_SIDE_SOURCE, 1, &flipped), WL_OK);
    cr_expect(flipped);
    cr_assert_eq(wl_slot_copy_unfence(copy, WL_SIDE_SOURCE), WL_OK);
    cr_expect_eq(put(0, an_asset(user, "cash", 7)), WL_ERR_CONFLICT, "no way around the map");
    cr_assert_eq(wl_asset_db_map_read(dbs[0], &version, map), WL_OK);
    cr_expect_eq(version, 1u);
    cr_expect_gt(target_number("m.commit_seq"), (long long)wl_asset_db_commit_seq(dbs[0]),
                 "numbers of commits only grow for a user");
    wl_asset_db_map_use(dbs[1], 1);
    cr_assert_eq(put(1, an_asset(user, "cash", 8)), WL_OK);
    cr_expect_eq(follow_all(WL_SIDE_TARGET).users, 1u, "the way back is kept");
    expect_same();
    cr_assert_eq(wl_slot_copy_fence(copy, WL_SIDE_TARGET, 2), WL_OK);
    cr_expect_eq(put(1, an_asset(user, "cash", 9)), WL_ERR_CONFLICT);
    cr_assert_eq(wl_slot_copy_flip(copy, WL_SIDE_TARGET, 2, map), WL_OK);
    wl_asset_db_map_use(dbs[0], 2);
    cr_expect_eq(put(0, an_asset(user, "cash", 9)), WL_OK, "they are back");
}

Test(slot_copy, cleans_one_side_and_leaves_other_slots) {
    fill();
    uint64_t cursor = 0;
    uint32_t records = 0;
    long long others = sum_of(0, "asset", ALL, false);
    (void)copy_all(WL_SIDE_SOURCE, 512);
    for (wl_slot_step_t step = {.end = false}; !step.end;) {
        cr_assert_eq(wl_slot_copy_clean(copy, WL_SIDE_SOURCE, 50, &cursor, &step), WL_OK);
        records += step.records;
    }
    cr_expect_gt(records, USERS / 2);
    cr_expect_eq(sum_of(0, "asset", ALL, true), 0);
    cr_expect_eq(sum_of(0, "asset", ALL, false), others);
    cr_expect_eq(world_number("SELECT count(*) FROM consent c WHERE NOT EXISTS(SELECT 1 FROM asset"
                              " a WHERE a.uid = c.uid)"),
                 0);
}

Test(slot_copy, what_an_older_mover_writes_is_refused) {
    fill();
    wl_slot_copy_t *old = copy;
    uint64_t cursor = 0;
    wl_slot_step_t step;
    copy = copy_open(2);
    cr_expect_eq(wl_slot_copy_users(old, WL_SIDE_SOURCE, 10, &cursor, &step), WL_ERR_CONFLICT);
    cr_expect_eq(wl_slot_copy_fence(old, WL_SIDE_SOURCE, 1), WL_ERR_CONFLICT);
    cr_expect_eq(wl_slot_copy_flip(old, WL_SIDE_SOURCE, 1, map), WL_ERR_CONFLICT);
    cr_expect_eq(wl_slot_copy_log(old, WL_SIDE_TARGET, false), WL_ERR_CONFLICT);
    cr_expect_eq(wl_slot_copy_begin(old), WL_ERR_CONFLICT);
    cr_expect_eq(target_rows("asset"), 0);
    (void)copy_all(WL_SIDE_SOURCE, 512);
    expect_same();
    wl_slot_copy_close(&old);
}

Test(slot_copy, nonsense_in_a_row_is_damage_and_nothing_is_written) {
    fill();
    uint64_t cursor = 0;
    wl_slot_step_t step;
    world_sql("UPDATE asset SET state = 99 WHERE line = 'coin'");
    cr_expect_eq(wl_slot_copy_users(copy, WL_SIDE_SOURCE, 10, &cursor, &step), WL_ERR_DAMAGED);
    cr_expect_eq(cursor, 0u);
    cr_expect_eq(target_rows("asset"), 0);
    cr_expect_eq(target_number("m.commit_seq"), 0);
}
