#include "store/asset_lines.h"

#include "asset_db_fixture.h"
#include "base/alloc.h"
#include "base/random.h"
#include "store/asset_row.h"

#include <limits.h>
#include <sqlite3.h>

enum { USERS_MAX = 4096 };

TestSuite(asset_lines_sqlite, .init = sqlite_begin, .fini = folder_remove);
TestSuite(asset_lines_mysql, .init = mysql_begin, .fini = mysql_end);

/* The first number that a statement gives, by a connection of its own. */
static long long number(const char *sql) {
    if (db_in_mysql) {
        return world_number(sql);
    }
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    cr_assert_eq(sqlite3_open(in_folder("shard.db"), &db), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK, "%s",
                 sqlite3_errmsg(db));
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    long long found = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return found;
}

static wl_asset_t consent_make(uint64_t uid, const char *line, bool granted, uint64_t version) {
    wl_asset_t record = asset_make(uid, line, WL_BUCKET_CONSENT, version);
    record.state = granted ? WL_STATE_AVAILABLE : WL_STATE_GONE;
    record.amount = 0;
    record.changed_at = (int64_t)version * 10;
    record.expires_at = granted ? (int64_t)version * 100 : 0;
    return record;
}

static void note(wl_asset_db_t *db, wl_asset_t record) {
    wl_err_t err = wl_asset_db_consent_note(db, &record, "test");
    cr_assert_eq(err, WL_OK, "%s: %s", wl_err_name(err), wl_asset_db_problem(db));
}

static void purge(wl_asset_db_t *db, uint64_t uid, const char *line) {
    wl_err_t err = wl_asset_db_purge(db, uid, line);
    cr_assert_eq(err, WL_OK, "%s: %s", wl_err_name(err), wl_asset_db_problem(db));
}

static bool has(wl_asset_db_t *db, uint64_t uid, const char *line, const char *bucket) {
    wl_asset_t asset;
    wl_err_t err = wl_asset_db_get(db, uid, line, bucket, &asset);
    cr_assert(err == WL_OK || err == WL_ERR_NOT_FOUND);
    return err == WL_OK;
}

/* ---- consents -------------------------------------------------------------------------------- */

BOTH(asset_lines, the_history_of_consents_grows_with_the_transaction_that_applies_them) {
    wl_asset_db_t *db = db_open(0);
    begin(db);
    note(db, consent_make(UINT64_MAX, "cash", true, 5));
    note(db, consent_make(UINT64_MAX, "cash", true, 5)); /* written twice, there once */
    note(db, consent_make(UINT64_MAX, "cash", false, 6));
    note(db, consent_make(UINT64_MAX, "coin", true, 5));
    (void)commit(db);
    begin(db);
    note(db, consent_make(UINT64_MAX, "cash", true, 7));
    wl_asset_db_rollback(db);
    cr_expect_eq(number("SELECT count(*) FROM consent"), 3);
    cr_expect_eq(number("SELECT count(*) FROM consent WHERE line = 'cash' AND version = 5 AND"
                        " granted = 1 AND at = 50 AND expires_at = 500 AND via = 'test'"),
                 1);
    cr_expect_eq(number("SELECT count(*) FROM consent WHERE line = 'cash' AND version = 6 AND"
                        " granted = 0 AND at = 60 AND expires_at = 0"),
                 1);
    wl_asset_db_close(&db);
}

BOTH(asset_lines, a_purge_leaves_the_consent_other_lines_and_other_users) {
    wl_asset_db_t *db = db_open(0);
    begin(db);
    (void)apply(db, asset_make(7, "cash", "", 9));
    (void)apply(db, asset_make(7, "cash", "gift", 9));
    wl_asset_t gone = asset_make(7, "cash", "old", 9);
    gone.state = WL_STATE_GONE;
    (void)apply(db, gone);
    (void)apply(db, asset_make(7, "cash2", "", 9));
    (void)apply(db, asset_make(7, "cas", "", 9));
    (void)apply(db, asset_make(8, "cash", "", 9));
    (void)apply(db, consent_make(7, "cash", true, 9));
    (void)commit(db);

    begin(db);
    (void)apply(db, consent_make(7, "cash", false, 10));
    purge(db, 7, "cash");
    cr_expect_not(has(db, 7, "cash", "gift"), "the transaction itself sees it");
    (void)commit(db);
    cr_expect_not(has(db, 7, "cash", ""));
    cr_expect_not(has(db, 7, "cash", "gift"));
    cr_expect_not(has(db, 7, "cash", "old"));
    cr_expect(has(db, 7, "cash", WL_BUCKET_CONSENT));
    cr_expect(has(db, 7, "cash2", ""));
    cr_expect(has(db, 7, "cas", ""));
    cr_expect(has(db, 8, "cash", ""));
    cr_expect_eq(rows_count(db), 4);
    wl_asset_db_close(&db);
}

BOTH(asset_lines, after_a_purge_the_same_versions_are_new_again) {
    wl_asset_db_t *db = db_open(0);
    bool owns = true;
    cr_assert_eq(store(db, asset_make(7, "cash", "", 9)), WL_APPLY_STORED);
    begin(db);
    purge(db, 7, "cash");
    cr_assert_eq(wl_asset_db_owns(db, 7, &owns), WL_OK);
    cr_expect_not(owns, "inside the transaction");
    (void)commit(db);
    uint64_t log = wl_asset_db_owner_seq(db);
    cr_assert_eq(wl_asset_db_owns(db, 7, &owns), WL_OK);
    cr_expect_not(owns);
    cr_expect_eq(store(db, asset_make(7, "cash", "", 9)), WL_APPLY_STORED);
    cr_expect_eq(wl_asset_db_owner_seq(db), log + 1, "born once more");
    cr_assert_eq(wl_asset_db_owns(db, 7, &owns), WL_OK);
    cr_expect(owns);
    wl_asset_db_close(&db);
}

BOTH(asset_lines, a_purge_takes_what_its_own_transaction_stored_before_and_not_what_it_does_after) {
    wl_asset_db_t *db = db_open(0);
    (void)store(db, asset_make(7, "cash", "b", 5));
    begin(db);
    cr_expect_eq(apply(db, asset_make(7, "cash", "a", 5)), WL_APPLY_STORED);
    cr_expect_eq(apply(db, asset_make(7, "cash", "b", 6)), WL_APPLY_STORED);
    cr_expect_eq(apply(db, asset_make(7, "cash", "z", 5)), WL_APPLY_STORED);
    cr_expect_eq(apply(db, asset_make(7, "zero", "", 5)), WL_APPLY_STORED);
    purge(db, 7, "cash");
    purge(db, 7, "cash");
    purge(db, 99, "cash"); /* has nothing */
    cr_expect_eq(apply(db, asset_make(7, "cash", "b", 4)), WL_APPLY_STORED);
    cr_expect_eq(apply(db, asset_make(7, "zero", "9", 1)), WL_APPLY_STORED);
    wl_asset_rows_t rows = {0};
    cr_assert_eq(wl_asset_db_fetch(db, 7, &rows), WL_OK);
    cr_expect_eq(rows.count, 3);
    (void)commit(db);
    wl_asset_rows_clear(&rows);
    cr_assert_eq(wl_asset_db_fetch(db, 7, &rows), WL_OK);
    cr_assert_eq(rows.count, 3);
    cr_expect_str_eq(rows.at[0].bucket, "b");
    cr_expect_eq(rows.at[0].version, 4);
    cr_expect_str_eq(rows.at[2].bucket, "9");
    wl_asset_rows_destroy(&rows);
    wl_asset_db_close(&db);
}

BOTH(asset_lines, a_purge_that_is_rolled_back_has_not_been) {
    wl_asset_db_t *db = db_open(0);
    (void)store(db, asset_make(7, "cash", "", 9));
    begin(db);
    purge(db, 7, "cash");
    wl_asset_db_rollback(db);
    cr_expect(has(db, 7, "cash", ""));
    cr_expect_eq(store(db, asset_make(7, "cash", "", 8)), WL_APPLY_OLDER);
    wl_asset_db_close(&db);
}

BOTH(asset_lines, a_purge_makes_room_for_a_full_user) {
    wl_asset_db_t *db = db_open(0);
    begin(db);
    for (unsigned i = 0; i < WL_USER_ASSETS_MAX; i++) {
        char bucket[WL_BUCKET_MAX + 1];
        (void)snprintf(bucket, sizeof bucket, "b%u", i);
        cr_assert_eq(apply(db, asset_make(7, i % 2 == 0 ? "cash" : "coin", bucket, 1)),
                     WL_APPLY_STORED);
    }
    cr_expect_eq(apply(db, consent_make(7, "cash", true, 1)), WL_APPLY_FULL);
    cr_expect_eq(apply(db, consent_make(7, "cash", false, 1)), WL_APPLY_FULL);
    purge(db, 7, "cash");
    cr_expect_eq(apply(db, consent_make(7, "cash", false, 1)), WL_APPLY_STORED);
    (void)commit(db);
    cr_expect_eq(rows_count(db), WL_USER_ASSETS_MAX / 2 + 1);
    cr_expect_eq(store(db, consent_make(7, "cash", true, 2)), WL_APPLY_STORED);
    wl_asset_db_close(&db);
}

BOTH(asset_lines, consent_records_of_many_users_are_read_at_once) {
    wl_asset_db_t *db = db_open(0);
    begin(db);
    uint64_t uids[1000];
    for (uint64_t i = 0; i < 1000; i++) {
        uids[i] = i < 900 ? i * 3 + 1 : UINT64_MAX - 1000 + i;
        (void)apply(db, asset_make(uids[i], "cash", "", 1));
        if (i % 2 == 0) {
            (void)apply(db, consent_make(uids[i], "cash", i % 4 == 0, i + 1));
            (void)apply(db, consent_make(uids[i], "coin", true, 1));
        }
    }
    (void)commit(db);
    wl_asset_db_t *reader = db_open_readonly(0);
    wl_asset_rows_t rows = {0};
    wl_asset_rows_add(&rows, &(wl_asset_t){.line = "kept"});
    cr_assert_eq(wl_asset_db_get_many(reader, uids, 1000, "cash", WL_BUCKET_CONSENT, &rows), WL_OK);
    cr_assert_eq(rows.count, 501);
    for (uint32_t i = 0; i < 500; i++) {
        const wl_asset_t *record = &rows.at[i + 1];
        cr_assert_eq(record->uid, uids[i * 2]);
        cr_assert_str_eq(record->line, "cash");
        cr_assert_str_eq(record->bucket, WL_BUCKET_CONSENT);
        cr_assert_eq(record->state, i % 2 == 0 ? WL_STATE_AVAILABLE : WL_STATE_GONE);
    }
    cr_assert_eq(wl_asset_db_get_many(reader, uids, 0, "cash", WL_BUCKET_CONSENT, &rows), WL_OK);
    cr_expect_eq(rows.count, 501);
    wl_asset_rows_destroy(&rows);
    wl_asset_db_close(&reader);
    wl_asset_db_close(&db);
}

/* ---- nothing is left in the files ------------------------------------------------------------ */

static bool file_holds(const char *name, const char *text) {
    FILE *file = fopen(in_folder(name), "r");
    if (file == NULL) {
        return false;
    }
    static char bytes[16 << 20];
    size_t count = fread(bytes, 1, sizeof bytes, file);
    (void)fclose(file);
    return memmem(bytes, count, text, strlen(text)) != NULL;
}

/* Many users with a text of their own, so that their rows have moved between pages. */
static void store_marked(wl_asset_db_t *db, uint64_t uid, uint64_t version) {
    char extra[64];
    wl_asset_t asset = asset_make(uid, "cash", "", version);
    int bytes = snprintf(extra, sizeof extra, "mark-%llu-%.*s.", (unsigned long long)uid,
                         (int)(wl_random_u64() % 30), "..............................");
    asset.extra = (const uint8_t *)extra;
    asset.extra_bytes = (uint16_t)bytes;
    (void)apply(db, asset);
}

static bool mark_is_left(uint64_t uid) {
    char mark[32];
    (void)snprintf(mark, sizeof mark, "mark-%llu-", (unsigned long long)uid);
    return file_holds("shard.db", mark) || file_holds("shard.db-wal", mark);
}

Test(asset_lines_sqlite, a_scrub_leaves_nothing_of_what_was_purged_in_the_files) {
    enum { USERS = 3000, PURGED = 100 };
    wl_asset_db_t *db = db_open(0);
    uint64_t uids[USERS];
    bool due = true;
    for (uint32_t i = 0; i < USERS; i++) {
        uids[i] = wl_random_u64();
    }
    for (uint64_t version = 1; version < 4; version++) {
        begin(db);
        for (uint32_t i = 0; i < USERS; i++) {
            store_marked(db, uids[i], version);
        }
        (void)commit(db);
    }
    begin(db);
    for (uint32_t i = 0; i < PURGED; i++) {
        purge(db, uids[i], "cash");
    }
    (void)commit(db);
    cr_expect(mark_is_left(uids[0]), "this test can fail");

    sqlite3 *other = NULL; /* somebody looks at the file for a long time */
    cr_assert_eq(sqlite3_open(in_folder("shard.db"), &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "BEGIN; SELECT count(*) FROM asset", NULL, NULL, NULL),
                 SQLITE_OK);
    cr_expect_eq(wl_asset_db_scrub(db, &due), WL_OK);
    cr_expect(due, "not possible now");
    (void)store(db, asset_make(1, "coin", "", 1));
    cr_assert_eq(sqlite3_close(other), SQLITE_OK);
    cr_expect_eq(wl_asset_db_scrub(db, &due), WL_OK);
    cr_expect_not(due);
    for (uint32_t i = 0; i < PURGED; i++) {
        cr_assert_not(mark_is_left(uids[i]), "user %u", i);
    }
    cr_expect(mark_is_left(uids[PURGED]));
    cr_expect_eq(wl_asset_db_scrub(db, &due), WL_OK);
    cr_expect_not(due);
    wl_asset_db_close(&db);
}

/* ---- users of a line ------------------------------------------------------------------------- */

typedef struct {
    uint64_t uids[USERS_MAX];
    uint32_t count;
    uint32_t pages;
} walk_t;

static void walk_all(wl_asset_db_t *db, const char *line, uint32_t max, walk_t *ret) {
    uint64_t *page = wl_alloc(max * sizeof *page);
    uint64_t after = 0;
    bool last = false;
    *ret = (walk_t){.count = 0};
    while (!last) {
        uint32_t count = 0;
        uint64_t before = after;
        cr_assert_eq(wl_asset_db_users(db, after, line, max, page, &count, &after, &last), WL_OK,
                     "%s", wl_asset_db_problem(db));
        cr_assert_leq(count, max);
        cr_assert(last || after > before, "it moves on");
        for (uint32_t i = 0; i < count; i++) {
            cr_assert(page[i] > before && page[i] <= after);
            ret->uids[ret->count++] = page[i];
        }
        ret->pages++;
    }
    wl_free(page);
}

BOTH(asset_lines, users_come_page_by_page_in_the_order_of_their_ids_each_once) {
    enum { USERS = 600 };
    wl_asset_db_t *db = db_open(0);
    walk_t walk;
    walk_all(db, NULL, 10, &walk);
    cr_expect(walk.count == 0 && walk.pages == 1, "nobody");
    uint64_t uids[USERS]; /* ascending */
    begin(db);
    for (uint64_t i = 0; i < USERS; i++) {
        uids[i] = i < 300 ? 1 + i * i : (i - 300) + ((uint64_t)INT64_MAX - 100);
        uids[i] = i == USERS - 1 ? UINT64_MAX : uids[i];
        (void)apply(db, asset_make(uids[i], "cash", "", 1));
        (void)apply(db, asset_make(uids[i], "cash", "gift", 1));
        wl_asset_t gone = asset_make(uids[i], i % 3 == 0 ? "rare" : "zero", "", 1);
        gone.state = WL_STATE_GONE;
        (void)apply(db, gone);
    }
    (void)commit(db);
    wl_asset_db_t *reader = db_open_readonly(0);
    const uint32_t sizes[] = {1, 7, 300, USERS, USERS_MAX};
    for (size_t s = 0; s < WL_COUNT_OF(sizes); s++) {
        walk_all(reader, NULL, sizes[s], &walk);
        cr_assert_eq(walk.count, USERS, "pages of %u", sizes[s]);
        cr_assert(memcmp(walk.uids, uids, sizeof uids) == 0);
        walk_all(reader, "cash", sizes[s], &walk);
        cr_assert_eq(walk.count, USERS);
        walk_all(reader, "rare", sizes[s], &walk);
        cr_assert_eq(walk.count, USERS / 3);
        for (uint32_t i = 0; i < walk.count; i++) {
            cr_assert_eq(walk.uids[i], uids[i * 3]);
        }
        walk_all(reader, "none", sizes[s], &walk);
        cr_assert(walk.count == 0 && walk.pages == USERS / sizes[s] + 1, "pages stay bounded");
    }
    wl_asset_db_close(&reader);
    wl_asset_db_close(&db);
}

/* A page reads the rows of its own users, however large the table is. */
Test(asset_lines_mysql, a_page_of_users_does_not_read_the_whole_table) {
    enum { USERS = 5000, PAGE = 50 };
    wl_asset_db_t *db = db_open(0);
    begin(db);
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        (void)apply(db, asset_make(uid, "cash", "", 1));
        (void)apply(db, asset_make(uid, "coin", "", 1));
    }
    (void)commit(db);
    const char *rows_read = "SELECT variable_value FROM information_schema.global_status WHERE"
                            " variable_name = 'HANDLER_READ_NEXT'";
    long long least = LLONG_MAX; /* other tests use the server, too */
    for (int i = 0; i < 10; i++) {
        uint64_t page[PAGE];
        uint32_t count = 0;
        uint64_t after = 0;
        bool last = false;
        long long before = world_number(rows_read);
        cr_assert_eq(wl_asset_db_users(db, 100, "rare", PAGE, page, &count, &after, &last), WL_OK);
        long long read = world_number(rows_read) - before;
        least = read < least ? read : least;
        cr_expect(count == 0 && after == 150 && !last);
    }
    cr_expect(least >= PAGE && least < PAGE * 4, "%lld rows", least);
    wl_asset_db_close(&db);
}
