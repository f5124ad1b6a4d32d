#include "store/asset_db.h"

#include "asset_db_fixture.h"
#include "base/alloc.h"
#include "flush_count.h"
#include "store/sqlite_tool.h"

TestSuite(asset_db_sqlite, .init = sqlite_begin, .fini = folder_remove);
TestSuite(asset_db_mysql, .init = mysql_begin, .fini = mysql_end);

static void assert_same(const wl_asset_t *a, const wl_asset_t *b) {
    cr_assert_eq(a->uid, b->uid);
    cr_assert_str_eq(a->line, b->line);
    cr_assert_str_eq(a->bucket, b->bucket);
    cr_assert_str_eq(a->unit, b->unit);
    cr_assert(a->kind == b->kind && a->state == b->state && a->scale == b->scale);
    cr_assert(a->amount == b->amount && a->pending == b->pending && a->count == b->count);
    cr_assert(a->version == b->version && a->expires_at == b->expires_at);
    cr_assert(a->changed_at == b->changed_at && a->pulled_at == b->pulled_at);
    cr_assert_eq(a->extra_bytes, b->extra_bytes);
    cr_assert(a->extra_bytes == 0 || memcmp(a->extra, b->extra, a->extra_bytes) == 0);
}

BOTH(asset_db, returns_every_field_as_it_was_stored_also_after_a_restart) {
    uint8_t extra[WL_EXTRA_BYTES_MAX];
    memset(extra, 0xa5, sizeof extra);
    wl_asset_t asset = asset_make(UINT64_MAX - 7, "abcdefghijklmnopqrstuvwxyz-_0123",
                                  "sixteen-letters!", WL_VERSION_MAX);
    asset.kind = WL_KIND_LINK;
    asset.state = WL_STATE_EXPIRED;
    asset.amount = INT64_MIN;
    asset.pending = INT64_MAX;
    asset.count = UINT32_MAX;
    asset.scale = WL_SCALE_MAX;
    asset.expires_at = 4102444800000;
    asset.changed_at = -5;
    asset.pulled_at = 1700000000123;
    asset.extra = extra;
    asset.extra_bytes = sizeof extra;
    wl_asset_db_t *db = db_open(3);
    cr_assert_eq(store(db, asset), WL_APPLY_STORED);
    for (int round = 0; round < 2; round++) {
        wl_asset_t got;
        cr_assert_eq(wl_asset_db_get(db, asset.uid, asset.line, asset.bucket, &got), WL_OK);
        assert_same(&asset, &got);
        wl_asset_rows_t rows = {0};
        cr_assert_eq(wl_asset_db_fetch(db, asset.uid, &rows), WL_OK);
        cr_assert_eq(rows.count, 1);
        assert_same(&asset, &rows.at[0]);
        wl_asset_rows_destroy(&rows);
        wl_asset_db_close(&db);
        db = db_open(3);
    }
    wl_asset_t none;
    cr_assert_eq(wl_asset_db_get(db, 1, "cash", "", &none), WL_ERR_NOT_FOUND);
    wl_asset_db_close(&db);
    wl_asset_db_close(&db);
}

BOTH(asset_db, moves_pulled_at_only_for_equal_versions_and_by_a_second_at_least) {
    wl_asset_db_t *db = db_open(0);
    wl_asset_t asset = asset_make(1, "cash", "", 5);
    asset.pulled_at = 10000;
    cr_assert_eq(store(db, asset), WL_APPLY_STORED);
    const struct {
        int64_t pulled_at;
        uint64_t version;
        wl_apply_result_t result;
        int64_t stored;
    } steps[] = {
        {10999, 5, WL_APPLY_TOUCHED, 10000}, {11000, 5, WL_APPLY_TOUCHED, 11000},
        {500, 5, WL_APPLY_TOUCHED, 11000},   {90000, 4, WL_APPLY_OLDER, 11000},
        {90000, 0, WL_APPLY_OLDER, 11000},   {INT64_MIN, 5, WL_APPLY_TOUCHED, 11000},
        {200, 6, WL_APPLY_STORED, 200},
    };
    for (size_t i = 0; i < WL_COUNT_OF(steps); i++) {
        asset.pulled_at = steps[i].pulled_at;
        asset.version = steps[i].version;
        asset.amount = -1;
        cr_assert_eq(store(db, asset), steps[i].result, "step %zu", i);
        wl_asset_t got;
        cr_assert_eq(wl_asset_db_get(db, 1, "cash", "", &got), WL_OK);
        cr_assert_eq(got.pulled_at, steps[i].stored, "step %zu", i);
        cr_assert_eq(got.amount, got.version == 5 ? 500 : -1);
    }
    wl_asset_db_close(&db);
}

BOTH(asset_db, refuses_a_record_that_could_not_be_read_back_and_goes_on) {
    wl_asset_db_t *db = db_open(0);
    begin(db);
    wl_apply_result_t result;
    wl_asset_t bad = asset_make(1, "cash", "", WL_VERSION_MAX + 1);
    cr_assert_eq(wl_asset_db_apply(db, &bad, &result), WL_ERR_OVERFLOW);
    bad = asset_make(1, "cash", "", 1);
    bad.kind = WL_KIND_COUNT;
    cr_assert_eq(wl_asset_db_apply(db, &bad, &result), WL_ERR_MALFORMED);
    bad = asset_make(1, "cash", "", 1);
    bad.state = WL_STATE_COUNT;
    cr_assert_eq(wl_asset_db_apply(db, &bad, &result), WL_ERR_MALFORMED);
    bad = asset_make(1, "cash", "", 1);
    bad.scale = WL_SCALE_MAX + 1;
    cr_assert_eq(wl_asset_db_apply(db, &bad, &result), WL_ERR_MALFORMED);
    bad = asset_make(1, "", "", 1);
    cr_assert_eq(wl_asset_db_apply(db, &bad, &result), WL_ERR_MALFORMED);
    bad = asset_make(1, "cash", "", 1);
    memset(bad.unit, 'x', sizeof bad.unit);
    cr_assert_eq(wl_asset_db_apply(db, &bad, &result), WL_ERR_MALFORMED);
    bad = asset_make(1, "cash", "", 1);
    bad.extra_bytes = WL_EXTRA_BYTES_MAX + 1;
    cr_assert_eq(wl_asset_db_apply(db, &bad, &result), WL_ERR_TOO_BIG);
    cr_assert_eq(apply(db, asset_make(1, "cash", "", 1)), WL_APPLY_STORED);
    cr_assert_eq(commit(db), 1);
    cr_assert_eq(rows_count(db), 1);
    wl_asset_db_close(&db);
}

BOTH(asset_db, refuses_one_bucket_too_many_tombstones_included) {
    wl_asset_db_t *db = db_open(0);
    begin(db);
    char bucket[WL_BUCKET_MAX + 1];
    for (unsigned i = 0; i < WL_USER_ASSETS_MAX; i++) {
        (void)snprintf(bucket, sizeof bucket, "b%u", i);
        wl_asset_t asset = asset_make(9, "cash", bucket, 1);
        asset.state = i % 2 == 0 ? WL_STATE_AVAILABLE : WL_STATE_GONE;
        cr_assert_eq(apply(db, asset), WL_APPLY_STORED);
    }
    wl_asset_t late = asset_make(9, "cash", "late", 1);
    cr_assert_eq(apply(db, late), WL_APPLY_FULL);
    late.state = WL_STATE_GONE;
    cr_assert_eq(apply(db, late), WL_APPLY_FULL);
    cr_assert_eq(apply(db, asset_make(9, "cash", "b1", 2)), WL_APPLY_STORED, "back from gone");
    cr_assert_eq(apply(db, asset_make(8, "cash", "late", 1)), WL_APPLY_STORED, "another user");
    (void)commit(db);
    wl_asset_t none;
    cr_assert_eq(wl_asset_db_get(db, 9, "cash", "late", &none), WL_ERR_NOT_FOUND);
    wl_asset_rows_t rows = {0};
    cr_assert_eq(wl_asset_db_fetch(db, 9, &rows), WL_OK);
    cr_assert_eq(rows.count, WL_USER_ASSETS_MAX / 2 + 1);
    wl_asset_rows_destroy(&rows);
    wl_asset_db_close(&db);
}

/* SQLite runs no INSERT trigger for an upsert that updates: one row per birth and per return. */
BOTH(asset_db, logs_an_owner_when_a_record_is_born_or_comes_back_and_never_else) {
    wl_asset_db_t *db = db_open(0);
    wl_asset_t asset = asset_make(77, "cash", "", 1);
    const struct {
        uint8_t state;
        uint64_t log;
    } steps[] = {
        {WL_STATE_GONE, 0},   {WL_STATE_GONE, 0},      {WL_STATE_AVAILABLE, 1},
        {WL_STATE_FROZEN, 1}, {WL_STATE_AVAILABLE, 1}, {WL_STATE_GONE, 1},
        {WL_STATE_GONE, 1},   {WL_STATE_EXPIRED, 2},   {WL_STATE_AVAILABLE, 2},
    };
    for (size_t i = 0; i < WL_COUNT_OF(steps); i++) {
        asset.version = i + 1;
        asset.state = steps[i].state;
        cr_assert_eq(store(db, asset), WL_APPLY_STORED);
        asset.pulled_at += 5000;
        cr_assert_eq(store(db, asset), WL_APPLY_TOUCHED);
        cr_assert_eq(wl_asset_db_owner_seq(db), steps[i].log, "step %zu", i);
        bool owns = false;
        cr_assert_eq(wl_asset_db_owns(db, 77, &owns), WL_OK);
        cr_assert_eq(owns, steps[i].state != WL_STATE_GONE);
    }
    cr_assert_eq(store(db, asset_make(77, "coin", "", 1)), WL_APPLY_STORED);
    cr_assert_eq(wl_asset_db_owner_seq(db), 3, "a birth of a plain insert");
    uint64_t uids[8];
    uint32_t count = 0;
    uint64_t last = 0;
    cr_assert_eq(wl_asset_db_owner_log(db, 0, 8, uids, &count, &last), WL_OK);
    cr_assert(count == 3 && last == 3 && uids[0] == 77 && uids[2] == 77);
    wl_asset_db_close(&db);
}

Test(asset_db_sqlite, numbers_of_the_owner_log_go_on_after_trimming_everything) {
    wl_asset_db_t *db = db_open(0);
    uint64_t uids[3000];
    uint32_t count = 0;
    uint64_t last = 0;
    begin(db);
    for (uint64_t uid = 1; uid <= 2500; uid++) {
        (void)apply(db, asset_make(uid, "cash", "", 1));
    }
    cr_assert_eq(wl_asset_db_owner_seq(db), 0, "not committed yet");
    (void)commit(db);
    cr_assert_eq(wl_asset_db_owner_log(db, 0, 1000, uids, &count, &last), WL_OK);
    cr_assert(count == 1000 && last == 1000 && uids[999] == 1000);
    cr_assert_eq(wl_asset_db_owner_trim(db, 99999), WL_OK);
    cr_assert_eq(wl_asset_db_owner_log(db, 0, 10, uids, &count, &last), WL_ERR_NOT_FOUND);
    cr_assert_eq(wl_asset_db_owner_log(db, 2498, 10, uids, &count, &last), WL_ERR_NOT_FOUND);
    cr_assert_eq(wl_asset_db_owner_log(db, 2500, 10, uids, &count, &last), WL_OK);
    cr_assert(count == 0 && last == 2500);
    cr_assert_eq(wl_asset_db_owner_log(db, 2501, 10, uids, &count, &last), WL_ERR_NOT_FOUND,
                 "a number that this file has never given");
    for (uint64_t uid = 5001; uid <= 5004; uid++) {
        (void)store(db, asset_make(uid, "cash", "", 1)); /* sweeps the rest, 1000 rows a commit */
    }
    wl_asset_db_close(&db);
    db = db_open(0);
    cr_assert_eq(wl_asset_db_owner_seq(db), 2504);
    cr_assert_eq(wl_asset_db_owner_log(db, 2498, 10, uids, &count, &last), WL_ERR_NOT_FOUND);
    cr_assert_eq(wl_asset_db_owner_log(db, 2500, 10, uids, &count, &last), WL_OK);
    cr_assert(count == 4 && last == 2504 && uids[0] == 5001 && uids[3] == 5004);
    wl_asset_db_close(&db);
    sqlite3 *raw = NULL;
    int64_t rows = 0;
    cr_assert_eq(sqlite3_open(in_folder("shard.db"), &raw), SQLITE_OK);
    cr_assert_eq(wl_sqlite_number(raw, "SELECT count(*) FROM owner_log", &rows), WL_OK);
    cr_assert_eq(rows, 5, "the newest of the trimmed and four new ones, not %lld", (long long)rows);
    wl_sqlite_close(&raw);
}

BOTH(asset_db, scans_every_owner_once_in_any_page_size) {
    wl_asset_db_t *db = db_open(0);
    const uint64_t owners[] = {0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX, 42};
    for (size_t i = 0; i < WL_COUNT_OF(owners); i++) {
        (void)store(db, asset_make(owners[i], "cash", "", 1));
        (void)store(db, asset_make(owners[i], "cash", "b", 1));
        (void)store(db, asset_make(owners[i], "coin", "", 1));
    }
    wl_asset_t gone = asset_make(7, "cash", "", 1);
    gone.state = WL_STATE_GONE;
    (void)store(db, gone);
    for (uint32_t page = 1; page <= 7; page++) {
        bool started = false;
        int64_t cursor = 0;
        uint64_t uids[8];
        uint32_t count = 1;
        unsigned seen = 0;
        while (count > 0) {
            cr_assert_eq(wl_asset_db_owner_scan(db, &started, &cursor, page, uids, &count), WL_OK);
            for (uint32_t i = 0; i < count; i++) {
                for (unsigned k = 0; k < WL_COUNT_OF(owners); k++) {
                    if (uids[i] == owners[k]) {
                        cr_assert_eq(seen & (1u << k), 0);
                        seen |= 1u << k;
                    }
                }
            }
        }
        cr_assert_eq(seen, (1u << WL_COUNT_OF(owners)) - 1, "page size %u", page);
    }
    wl_asset_db_close(&db);
}

Test(asset_db_sqlite, flushes_every_commit) {
    wl_asset_db_t *db = db_open(0);
    (void)store(db, asset_make(1, "cash", "", 1)); /* flushes the WAL's header as well */
    for (uint64_t version = 2; version < 12; version++) {
        unsigned before = atomic_load(&flush_count);
        (void)store(db, asset_make(1, "cash", "", version));
        cr_assert_eq(atomic_load(&flush_count), before + 1);
    }
    wl_asset_db_close(&db);
}

/* ---- random schedules against a naive model ---- */

enum { MODEL_USERS = 6, MODEL_LINES = 3, MODEL_KEYS = MODEL_USERS * MODEL_LINES };

typedef struct {
    wl_asset_t at[MODEL_KEYS];
    bool there[MODEL_KEYS];
    uint64_t log;
} model_t;

static const char *const model_lines[MODEL_LINES] = {"cash", "coin", "coupon"};

static wl_apply_result_t model_apply(model_t *model, unsigned key, const wl_asset_t *asset) {
    wl_asset_t *at = &model->at[key];
    if (model->there[key] && asset->version < at->version) {
        return WL_APPLY_OLDER;
    }
    if (model->there[key] && asset->version == at->version) {
        if (asset->pulled_at >= at->pulled_at + 1000) {
            at->pulled_at = asset->pulled_at;
        }
        return WL_APPLY_TOUCHED;
    }
    bool live_before = model->there[key] && at->state != WL_STATE_GONE;
    model->log += !live_before && asset->state != WL_STATE_GONE;
    model->there[key] = true;
    *at = *asset;
    return WL_APPLY_STORED;
}

static void model_check(wl_asset_db_t *db, const model_t *model) {
    wl_asset_rows_t rows = {0};
    for (unsigned user = 0; user < MODEL_USERS; user++) {
        unsigned live = 0;
        for (unsigned line = 0; line < MODEL_LINES; line++) {
            unsigned key = user * MODEL_LINES + line;
            wl_asset_t got;
            wl_err_t err = wl_asset_db_get(db, user, model_lines[line], "", &got);
            cr_assert_eq(err, model->there[key] ? WL_OK : WL_ERR_NOT_FOUND);
            if (model->there[key]) {
                assert_same(&model->at[key], &got);
                live += model->at[key].state != WL_STATE_GONE;
            }
        }
        uint32_t before = rows.count;
        bool owns = false;
        cr_assert_eq(wl_asset_db_fetch(db, user, &rows), WL_OK);
        cr_assert_eq(rows.count - before, live);
        cr_assert_eq(wl_asset_db_owns(db, user, &owns), WL_OK);
        cr_assert_eq(owns, live > 0);
    }
    for (uint32_t i = 0; i < rows.count; i++) { /* extras survived the growing pool */
        wl_asset_t got;
        cr_assert_eq(wl_asset_db_get(db, rows.at[i].uid, rows.at[i].line, "", &got), WL_OK);
        assert_same(&rows.at[i], &got);
    }
    wl_asset_rows_clear(&rows);
    cr_assert_eq(rows.count, 0);
    wl_asset_rows_destroy(&rows);
}

BOTH(asset_db, agrees_with_a_naive_model_over_random_transactions) {
    static uint8_t extra[WL_EXTRA_BYTES_MAX];
    uint64_t random = 20240607;
    wl_asset_db_t *db = db_open(0);
    model_t model = {0};
    uint64_t seq = 0;
    for (unsigned round = 0; round < 150; round++) {
        model_t next = model;
        begin(db);
        unsigned applies = random_below(&random, 30);
        for (unsigned i = 0; i < applies; i++) {
            unsigned key = random_below(&random, MODEL_KEYS);
            wl_asset_t asset = asset_make(key / MODEL_LINES, model_lines[key % MODEL_LINES], "",
                                          random_below(&random, 40));
            asset.amount = (int64_t)random_next(&random);
            asset.state = (uint8_t)random_below(&random, WL_STATE_COUNT);
            asset.pulled_at = random_below(&random, 5000);
            asset.extra_bytes = (uint16_t)random_below(&random, WL_EXTRA_BYTES_MAX + 1);
            asset.extra = asset.extra_bytes > 0 ? extra : NULL;
            cr_assert_eq(apply(db, asset), model_apply(&next, key, &asset));
        }
        if (random_below(&random, 4) == 0) {
            wl_asset_db_rollback(db);
        } else {
            cr_assert_eq(commit(db), ++seq);
            model = next;
        }
        cr_assert_eq(wl_asset_db_owner_seq(db), model.log);
        cr_assert_eq(wl_asset_db_commit_seq(db), seq);
        model_check(db, &model);
        if (round % 40 == 39) {
            wl_asset_db_close(&db);
            db = db_open(0);
        }
    }
    wl_asset_db_close(&db);
}

/* ---- handles that only read, fences, many users, scans ---- */

BOTH(asset_db, a_readonly_handle_sees_commits_as_they_come_and_nothing_before) {
    wl_asset_db_t *db = db_open(0);
    wl_asset_db_t *reader = db_open_readonly(0);
    wl_asset_rows_t rows = {0};
    const uint64_t uids[] = {3, 4, 5, UINT64_MAX};
    uint64_t seq = 99;
    cr_assert_eq(wl_asset_db_fetch_many(reader, uids, 4, &rows, &seq), WL_OK);
    cr_assert(rows.count == 0 && seq == 0);
    begin(db);
    (void)apply(db, asset_make(4, "cash", "", 1));
    (void)apply(db, asset_make(UINT64_MAX, "cash", "b", 1));
    (void)apply(db, asset_make(UINT64_MAX, "cash", "a", 1));
    (void)apply(db, asset_make(7, "cash", "", 1));
    cr_assert_eq(wl_asset_db_fetch_many(reader, uids, 4, &rows, &seq), WL_OK);
    cr_assert(rows.count == 0 && seq == 0, "not committed");
    (void)commit(db);
    wl_asset_t gone = asset_make(4, "coin", "", 1);
    gone.state = WL_STATE_GONE;
    (void)store(db, gone);
    (void)store(db, asset_make(3, "coin", "", 1));
    cr_assert_eq(wl_asset_db_fetch_many(reader, NULL, 0, &rows, &seq), WL_OK);
    cr_assert(rows.count == 0 && seq == 3);
    cr_assert_eq(wl_asset_db_owner_seq(reader), 5, "as of the newest number read");
    cr_assert_eq(wl_asset_db_fetch_many(reader, uids, 4, &rows, &seq), WL_OK);
    cr_assert(rows.count == 4 && seq == 3);
    const uint64_t wanted[] = {3, 4, UINT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < 4; i++) {
        cr_assert_eq(rows.at[i].uid, wanted[i], "in the order of the users");
    }
    uint64_t owners[8];
    uint32_t count = 0;
    uint64_t last = 0;
    (void)store(db, asset_make(9, "coin", "", 1));
    cr_assert_eq(wl_asset_db_owner_log(reader, 4, 8, owners, &count, &last), WL_OK);
    cr_assert(count == 2 && last == 6 && owners[0] == 3 && owners[1] == 9);
    cr_assert_eq(wl_asset_db_owner_seq(reader), 6);
    cr_assert_eq(wl_asset_db_owner_log(reader, 7, 8, owners, &count, &last), WL_ERR_NOT_FOUND);
    wl_asset_rows_destroy(&rows);
    wl_asset_db_close(&reader);
    wl_asset_db_close(&db);
}

BOTH(asset_db, a_readonly_handle_reads_on_while_a_transaction_is_open_and_ends_without_traces) {
    wl_asset_db_t *db = db_open(0);
    wl_asset_db_t *reader = db_open_readonly(0);
    (void)store(db, asset_make(1, "cash", "", 1));
    begin(db);
    (void)apply(db, asset_make(1, "cash", "", 2));
    wl_asset_t got;
    bool owns = false;
    cr_assert_eq(wl_asset_db_get(reader, 1, "cash", "", &got), WL_OK);
    cr_assert_eq(got.version, 1);
    cr_assert_eq(wl_asset_db_owns(reader, 1, &owns), WL_OK);
    cr_assert(owns);
    wl_asset_db_close(&reader);
    (void)commit(db);
    wl_asset_db_close(&db);
}

BOTH(asset_db, refuses_an_epoch_older_than_one_that_has_written_also_after_a_restart) {
    wl_asset_db_t *db = db_open(0);
    begin(db);
    cr_assert_eq(wl_asset_db_fence(db, 3, 7), WL_OK);
    wl_asset_db_rollback(db);
    begin(db);
    cr_assert_eq(wl_asset_db_fence(db, 3, 5), WL_OK, "7 was rolled back");
    cr_assert_eq(wl_asset_db_fence(db, 3, 5), WL_OK);
    cr_assert_eq(wl_asset_db_fence(db, 4, 1), WL_OK);
    cr_assert_eq(wl_asset_db_fence(db, 3, 4), WL_ERR_CONFLICT);
    cr_assert_eq(apply(db, asset_make(1, "cash", "", 1)), WL_APPLY_STORED, "it goes on");
    (void)commit(db);
    wl_asset_db_close(&db);
    db = db_open(0);
    begin(db);
    cr_assert_eq(wl_asset_db_fence(db, 3, 4), WL_ERR_CONFLICT);
    cr_assert_eq(wl_asset_db_fence(db, 4, 1), WL_OK);
    cr_assert_eq(wl_asset_db_fence(db, 3, 6), WL_OK);
    cr_assert_eq(wl_asset_db_fence(db, 3, 5), WL_ERR_CONFLICT, "raised in this transaction");
    (void)commit(db);
    wl_asset_t got;
    cr_assert_eq(wl_asset_db_get(db, 1, "cash", "", &got), WL_OK);
    wl_asset_db_close(&db);
}

BOTH(asset_db, serves_users_that_were_expected_and_others_alike) {
    wl_asset_db_t *db = db_open(0);
    enum { USERS = 1500 };
    static uint64_t uids[USERS];
    begin(db);
    for (uint64_t i = 0; i < USERS; i++) {
        uids[i] = i * 3;
        (void)apply(db, asset_make(i * 3, "cash", "", 5));
    }
    (void)commit(db);
    begin(db);
    cr_assert_eq(wl_asset_db_expect(db, uids, USERS), WL_OK);
    cr_assert_eq(wl_asset_db_expect(db, uids, USERS / 2), WL_OK, "once more is no harm");
    cr_assert_eq(wl_asset_db_expect(db, NULL, 0), WL_OK);
    for (uint64_t i = 0; i < USERS; i++) {
        cr_assert_eq(apply(db, asset_make(i * 3, "cash", "", 4)), WL_APPLY_OLDER);
        cr_assert_eq(apply(db, asset_make(i * 3, "cash", "", 6)), WL_APPLY_STORED);
    }
    for (uint64_t uid = 3 * 700 + 1; uid > 3 * 690; uid -= 3) { /* between them, descending */
        bool owns = true;
        cr_assert_eq(wl_asset_db_owns(db, uid, &owns), WL_OK);
        cr_assert_not(owns);
        cr_assert_eq(apply(db, asset_make(uid, "cash", "", 1)), WL_APPLY_STORED);
        cr_assert_eq(wl_asset_db_owns(db, uid, &owns), WL_OK);
        cr_assert(owns);
    }
    wl_asset_t got;
    cr_assert_eq(wl_asset_db_get(db, 3, "cash", "", &got), WL_OK);
    cr_assert_eq(got.version, 6, "its own writes");
    cr_assert_eq(wl_asset_db_get(db, 3, "cash", "x", &got), WL_ERR_NOT_FOUND);
    (void)commit(db);
    cr_assert_eq(wl_asset_db_get(db, 3 * 1499, "cash", "", &got), WL_OK);
    cr_assert_eq(got.version, 6);
    cr_assert_eq(rows_count(db), USERS + 11);
    wl_asset_rows_t rows = {0};
    uint64_t seq = 0;
    cr_assert_eq(wl_asset_db_fetch_many(db, uids, USERS, &rows, &seq), WL_OK);
    cr_assert(rows.count == USERS && seq == 2);
    for (uint32_t i = 0; i < USERS; i++) {
        cr_assert(rows.at[i].uid == uids[i] && rows.at[i].version == 6);
    }
    wl_asset_rows_destroy(&rows);
    wl_asset_db_close(&db);
}

/* Collations would take some of these for the same, or for something that must be quoted. */
static const char *const odd_buckets[] = {"",  "a",  "A",    "a ",           "'",        "\\",
                                          "%", "\"", "-- x", "\xff\xfe\x80", "a\xcc\x81"};

BOTH(asset_db, tells_texts_apart_byte_by_byte_and_gives_them_back) {
    wl_asset_db_t *db = db_open(0);
    begin(db);
    for (size_t i = 0; i < WL_COUNT_OF(odd_buckets); i++) {
        cr_assert_eq(apply(db, asset_make(1, "cash", odd_buckets[i], i + 1)), WL_APPLY_STORED);
    }
    (void)commit(db);
    for (size_t i = 0; i < WL_COUNT_OF(odd_buckets); i++) {
        wl_asset_t got;
        cr_assert_eq(wl_asset_db_get(db, 1, "cash", odd_buckets[i], &got), WL_OK);
        cr_assert_eq(got.version, i + 1);
        cr_assert_str_eq(got.bucket, odd_buckets[i]);
        cr_assert_eq(store(db, asset_make(1, "cash", odd_buckets[i], i)), WL_APPLY_OLDER);
    }
    cr_assert_eq(rows_count(db), WL_COUNT_OF(odd_buckets));
    wl_asset_db_close(&db);
}

BOTH(asset_db, scans_every_record_once_in_any_page_size_tombstones_included) {
    wl_asset_db_t *db = db_open(0);
    const uint64_t users[] = {0, 1, INT64_MAX, (uint64_t)INT64_MAX + 1, UINT64_MAX};
    const char *const lines[] = {"cash", "coin", "a"};
    unsigned all = 0;
    begin(db);
    for (size_t i = 0; i < WL_COUNT_OF(users); i++) {
        for (size_t k = 0; k < WL_COUNT_OF(lines) && (i != 1 || k == 0); k++) {
            for (size_t b = 0; b < 3; b++) {
                wl_asset_t asset = asset_make(users[i], lines[k], odd_buckets[b + 1], ++all);
                asset.state = all % 3 == 0 ? WL_STATE_GONE : WL_STATE_AVAILABLE;
                (void)apply(db, asset);
            }
        }
    }
    (void)commit(db);
    for (uint32_t page = 1; page <= all + 1; page++) {
        wl_asset_cursor_t cursor = {0};
        wl_asset_rows_t rows = {0};
        uint64_t seen = 0;
        uint32_t before = 0;
        do {
            before = rows.count;
            cr_assert_eq(wl_asset_db_scan(db, &cursor, page, &rows), WL_OK);
            cr_assert_leq(rows.count - before, page);
        } while (rows.count > before);
        cr_assert_eq(rows.count, all, "page size %u", page);
        for (uint32_t i = 0; i < rows.count; i++) {
            cr_assert_eq(seen & (1ull << rows.at[i].version), 0);
            seen |= 1ull << rows.at[i].version;
        }
        wl_asset_rows_destroy(&rows);
    }
    wl_asset_db_close(&db);
}

BOTH(asset_db, keeps_the_owner_log_at_its_length) {
    enum { LOG_MAX = 3000, OWNERS = 12000, EACH = 1500, SLACK = 2000 };
    wl_asset_db_options_t options = db_options(0);
    options.owner_log_max = LOG_MAX;
    wl_asset_db_t *db = db_open_as(&options);
    static uint64_t uids[OWNERS];
    uint32_t count = 0;
    uint64_t last = 0;
    for (uint64_t first = 1; first <= OWNERS; first += EACH) {
        begin(db);
        for (uint64_t i = 0; i < EACH; i++) {
            (void)apply(db, asset_make(first + i, "cash", "", 1));
        }
        (void)commit(db);
    }
    cr_assert_eq(wl_asset_db_owner_seq(db), OWNERS);
    cr_assert_eq(wl_asset_db_owner_log(db, OWNERS - LOG_MAX, OWNERS, uids, &count, &last), WL_OK);
    cr_assert(count == LOG_MAX && last == OWNERS && uids[0] == OWNERS - LOG_MAX + 1);
    cr_assert_eq(wl_asset_db_owner_log(db, OWNERS - LOG_MAX - SLACK, 1, uids, &count, &last),
                 WL_ERR_NOT_FOUND);
    wl_asset_db_close(&db);
}
