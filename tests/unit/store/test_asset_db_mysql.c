/* The asset database with other people's databases, several writers, locks, and connections that are
 * cut at every step. */
#include "asset_db_fixture.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/slot.h"

#include <pthread.h>
#include <stdatomic.h>

TestSuite(asset_db_mysql, .init = mysql_begin, .fini = mysql_end, .timeout = 90);

static wl_err_t try_open(const wl_asset_db_options_t *options, wl_fault_t *fault) {
    wl_asset_db_t *db = NULL;
    memset(fault, 0, sizeof *fault);
    wl_err_t err = wl_asset_db_open(options, &db, fault);
    wl_asset_db_close(&db);
    return err;
}

/* ---- databases that are not ours ---- */

Test(asset_db_mysql, refuses_the_database_of_another_shard_and_of_a_newer_program) {
    wl_asset_db_t *db = db_open(4);
    wl_asset_db_close(&db);
    wl_fault_t fault;
    wl_asset_db_options_t options = db_options(0);
    cr_assert_eq(try_open(&options, &fault), WL_ERR_SETTINGS);
    cr_assert_not_null(strstr(fault.message, "shard 4"), "%s", fault.message);
    options.readonly = true;
    cr_assert_eq(try_open(&options, &fault), WL_ERR_SETTINGS);
    world_sql("INSERT INTO schema_version VALUES(99, '099_later', 0)");
    options.shard = 4;
    cr_assert_eq(try_open(&options, &fault), WL_ERR_SETTINGS);
    cr_assert_not_null(strstr(fault.message, "newer"), "%s", fault.message);
}

Test(asset_db_mysql, shards_may_only_be_added_and_only_with_a_map) {
    wl_asset_db_options_t options = db_options(0);
    static const struct {
        uint32_t shards;
        bool mapped, readonly;
        wl_err_t err;
    } opens[] = {
        {4, false, false, WL_OK},
        {4, false, false, WL_OK},
        {2, false, false, WL_ERR_SETTINGS},
        {8, false, false, WL_ERR_SETTINGS},
        {2, true, false, WL_ERR_SETTINGS},
        {5, true, true, WL_OK},            /* its writer was not yet restarted */
        {4, false, false, WL_OK},          /* a reader has changed nothing */
        {5, true, false, WL_OK},           /* grown */
        {4, true, false, WL_ERR_SETTINGS}, /* with the old map users would be looked for here */
        {4, true, true, WL_ERR_SETTINGS},
        {0, false, false, WL_OK},
    };
    for (size_t i = 0; i < WL_COUNT_OF(opens); i++) {
        wl_fault_t fault;
        options.shards = opens[i].shards;
        options.mapped = opens[i].mapped;
        options.readonly = opens[i].readonly;
        cr_assert_eq(try_open(&options, &fault), opens[i].err, "%zu: %s", i, fault.message);
        cr_assert(opens[i].err == WL_OK || strstr(fault.message, "shard.instances") != NULL);
    }
}

Test(asset_db_mysql, says_what_is_wrong_with_its_address_user_database_or_password) {
    static const char *const addresses[] = {"",
                                            "127.0.0.1",
                                            "127.0.0.1/x",
                                            "h:0/x",
                                            "h:65536/x",
                                            ":3306/x",
                                            "h:3306/",
                                            "h:3306",
                                            "h:33x/x",
                                            "h:3306/12345678901234567890123456789012345678901234567"
                                            "89012345678901234567890"};
    wl_fault_t fault;
    for (size_t i = 0; i < WL_COUNT_OF(addresses); i++) {
        wl_asset_db_options_t options = db_options(0);
        options.mysql.at = addresses[i];
        cr_assert_eq(try_open(&options, &fault), WL_ERR_SETTINGS, "%s", addresses[i]);
        cr_assert_not_null(strstr(fault.message, "host:port/database"), "%s", fault.message);
    }
    wl_asset_db_options_t options = db_options(0);
    options.mysql.user = "nobody_we_know";
    cr_assert_eq(try_open(&options, &fault), WL_ERR_SETTINGS);
    options = db_options(0);
    options.mysql.password_file = NULL;
    cr_assert_eq(try_open(&options, &fault), WL_ERR_SETTINGS);
    options.mysql.password_file = in_folder("missing");
    cr_assert_eq(try_open(&options, &fault), WL_ERR_SETTINGS);
    options = db_options(0);
    char at[256];
    (void)snprintf(at, sizeof at, "%s_not_there", mysql_world.at);
    options.mysql.at = at;
    cr_assert_eq(try_open(&options, &fault), WL_ERR_SETTINGS);
    cr_assert_not_null(strstr(fault.message, "_not_there"), "%s", fault.message);
}

Test(asset_db_mysql, a_reader_that_comes_first_waits_for_the_tables_of_a_writer) {
    wl_asset_db_t *reader = db_open_readonly(0);
    wl_asset_rows_t rows = {0};
    uint64_t uid = 1;
    uint64_t seq = 0;
    cr_assert_eq(wl_asset_db_fetch_many(reader, &uid, 1, &rows, &seq), WL_ERR_UNAVAILABLE);
    cr_assert_not_null(strstr(wl_asset_db_problem(reader), "no writer"), "%s",
                       wl_asset_db_problem(reader));
    wl_asset_db_t *db = db_open(0);
    (void)store(db, asset_make(1, "cash", "", 1));
    int64_t begun = wl_mono_now().ms;
    wl_err_t err = WL_ERR_UNAVAILABLE;
    while (err == WL_ERR_UNAVAILABLE && wl_mono_now().ms < begun + 2000) {
        err = wl_asset_db_fetch_many(reader, &uid, 1, &rows, &seq);
    }
    cr_assert(err == WL_OK && rows.count == 1 && seq == 1);
    wl_asset_rows_destroy(&rows);
    wl_asset_db_close(&reader);
    wl_asset_db_close(&db);
}

Test(asset_db_mysql, refuses_a_row_with_values_that_it_never_writes) {
    wl_asset_db_t *db = db_open(0);
    for (uint64_t uid = 0; uid < 3; uid++) {
        (void)store(db, asset_make(uid, "cash", "", 1));
    }
    world_sql("UPDATE asset SET kind = 99 WHERE uid = 1");
    world_sql("UPDATE asset SET version = 18446744073709551615 WHERE uid = 2");
    wl_asset_rows_t rows = {0};
    cr_assert_eq(wl_asset_db_fetch(db, 0, &rows), WL_OK);
    cr_assert_eq(wl_asset_db_fetch(db, 1, &rows), WL_ERR_DAMAGED);
    cr_assert_eq(wl_asset_db_fetch(db, 2, &rows), WL_ERR_DAMAGED);
    cr_assert_eq(rows.count, 1);
    const uint64_t uids[] = {0, 1, 2};
    begin(db);
    cr_assert_eq(wl_asset_db_expect(db, uids, 3), WL_ERR_DAMAGED);
    uint64_t seq = 0;
    cr_assert_eq(wl_asset_db_commit(db, &seq), WL_ERR_DAMAGED);
    wl_asset_db_rollback(db);
    cr_assert_eq(store(db, asset_make(0, "cash", "", 2)), WL_APPLY_STORED);
    wl_asset_rows_destroy(&rows);
    wl_asset_db_close(&db);
}

Test(asset_db_mysql, each_row_carries_its_slot) {
    wl_asset_db_t *db = db_open(0);
    char sql[128];
    for (uint64_t uid = 1; uid < 4; uid++) {
        (void)store(db, asset_make(uid, "cash", "", 1));
        (void)snprintf(sql, sizeof sql, "SELECT slot FROM asset WHERE uid = %llu",
                       (unsigned long long)uid);
        cr_assert_eq(world_number(sql), wl_slot_of(uid));
    }
    wl_asset_db_close(&db);
}

/* ---- several writers ---- */

Test(asset_db_mysql, the_version_guard_stands_in_the_sql_as_well) {
    wl_asset_db_t *db = db_open(0);
    (void)store(db, asset_make(1, "cash", "", 5));
    begin(db);
    cr_assert_eq(apply(db, asset_make(1, "cash", "", 7)), WL_APPLY_STORED);
    wl_asset_t other = asset_make(2, "cash", "", 3);
    cr_assert_eq(apply(db, other), WL_APPLY_STORED);
    /* Nothing of walletd writes without the lock of the numbers; a row that is new can still come
     * from an import, after it was looked for. */
    world_sql("INSERT INTO asset SET uid = 2, line = 'cash', bucket = '', slot = 1, kind = 0,"
              " amount = 12, unit = 'CNY', scale = 2, count = 0, pending = 0, state = 0,"
              " expires_at = 0, version = 9, changed_at = 0, pulled_at = 4");
    (void)commit(db);
    wl_asset_t got;
    cr_assert_eq(wl_asset_db_get(db, 2, "cash", "", &got), WL_OK);
    cr_assert(got.version == 9 && got.amount == 12 && got.pulled_at == 4);
    cr_assert_eq(wl_asset_db_get(db, 1, "cash", "", &got), WL_OK);
    cr_assert_eq(got.version, 7);
    wl_asset_db_close(&db);
}

Test(asset_db_mysql, a_writer_that_lost_its_lease_is_refused_by_what_the_next_one_wrote) {
    wl_asset_db_t *old = db_open(0);
    wl_asset_db_t *next = db_open(0);
    begin(old);
    cr_assert_eq(wl_asset_db_fence(old, 0, 1), WL_OK);
    (void)commit(old);
    begin(next);
    cr_assert_eq(wl_asset_db_fence(next, 0, 2), WL_OK);
    cr_assert_eq(commit(next), 2);
    begin(old);
    cr_assert_eq(wl_asset_db_fence(old, 0, 1), WL_ERR_CONFLICT);
    cr_assert_eq(wl_asset_db_fence(old, 1, 1), WL_OK, "another partition is another matter");
    cr_assert_eq(commit(old), 3, "numbers go on, whoever commits");
    wl_asset_db_close(&old);
    wl_asset_db_close(&next);
}

Test(asset_db_mysql, waits_for_another_transaction_only_so_long_and_says_busy) {
    wl_asset_db_t *db = db_open(0);
    wl_asset_db_t *other = db_open(0);
    begin(other);
    int64_t begun = wl_mono_now().ms;
    cr_assert_eq(wl_asset_db_begin(db), WL_ERR_BUSY);
    cr_assert_leq(wl_mono_now().ms - begun, 2500);
    wl_asset_t none;
    cr_assert_eq(wl_asset_db_get(db, 1, "cash", "", &none), WL_ERR_NOT_FOUND, "reads do not wait");
    wl_asset_db_rollback(other);
    begin(db);
    wl_asset_db_close(&db); /* with its transaction open */
    begin(other);
    wl_asset_db_close(&other);
}

enum { WRITERS = 3, TRANSACTIONS = 60, SHARED_USERS = 20 };

typedef struct {
    pthread_t thread;
    unsigned number;
    uint64_t seqs[TRANSACTIONS];
} writer_t;

static void *write_on(void *arg) {
    writer_t *self = arg;
    uint64_t random = 100 + self->number;
    wl_asset_db_t *db = db_open(0);
    for (unsigned done = 0; done < TRANSACTIONS;) {
        wl_err_t err = wl_asset_db_begin(db);
        for (unsigned i = 0; err == WL_OK && i < 10; i++) {
            wl_asset_t asset = asset_make(random_below(&random, SHARED_USERS), "cash", "",
                                          random_below(&random, 1000000));
            asset.amount = (int64_t)asset.version;
            wl_apply_result_t result;
            err = wl_asset_db_apply(db, &asset, &result);
        }
        if (err == WL_OK) {
            err = wl_asset_db_commit(db, &self->seqs[done]);
        }
        cr_assert(err == WL_OK || err == WL_ERR_BUSY, "%s: %s", wl_err_name(err),
                  wl_asset_db_problem(db));
        wl_asset_db_rollback(db);
        done += err == WL_OK;
    }
    wl_asset_db_close(&db);
    wl_mysql_thread_end();
    return NULL;
}

/* Watches versions, which must never fall, while they write. */
static void watch(wl_asset_db_t *reader, uint64_t *versions, uint64_t *last_seq) {
    wl_asset_rows_t rows = {0};
    uint64_t uids[SHARED_USERS];
    uint64_t seq = 0;
    for (uint64_t i = 0; i < SHARED_USERS; i++) {
        uids[i] = i;
    }
    cr_assert_eq(wl_asset_db_fetch_many(reader, uids, SHARED_USERS, &rows, &seq), WL_OK);
    cr_assert_geq(seq, *last_seq);
    *last_seq = seq;
    for (uint32_t i = 0; i < rows.count; i++) {
        cr_assert_eq((uint64_t)rows.at[i].amount, rows.at[i].version, "a record is whole");
        cr_assert_geq(rows.at[i].version, versions[rows.at[i].uid]);
        versions[rows.at[i].uid] = rows.at[i].version;
    }
    wl_asset_rows_destroy(&rows);
}

Test(asset_db_mysql, writers_of_one_shard_take_turns_and_no_version_ever_falls) {
    static writer_t writers[WRITERS];
    static bool seen[WRITERS * TRANSACTIONS + 1];
    wl_asset_db_t *db = db_open(0);
    wl_asset_db_t *reader = db_open_readonly(0);
    uint64_t versions[SHARED_USERS] = {0};
    uint64_t seq = 0;
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i].number = i;
        cr_assert_eq(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    }
    while (seq < WRITERS * TRANSACTIONS) {
        watch(reader, versions, &seq);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        cr_assert_eq(pthread_join(writers[i].thread, NULL), 0);
        for (unsigned k = 0; k < TRANSACTIONS; k++) {
            uint64_t its = writers[i].seqs[k];
            cr_assert(its >= 1 && its <= WRITERS * TRANSACTIONS && !seen[its]);
            seen[its] = true;
        }
    }
    cr_assert_eq(world_number("SELECT count(*) FROM owner_log"), SHARED_USERS);
    cr_assert_eq(world_number("SELECT max(seq) FROM owner_log"), SHARED_USERS);
    wl_asset_db_close(&reader);
    wl_asset_db_close(&db);
}

/* ---- connections that are cut ---- */

enum { GROUP = 50 }; /* users that always are written together */

/* The version that all users of the group have. */
static uint64_t group_version(wl_asset_db_t *reader) {
    wl_asset_rows_t rows = {0};
    uint64_t uids[GROUP];
    uint64_t seq = 0;
    for (uint64_t i = 0; i < GROUP; i++) {
        uids[i] = i;
    }
    cr_assert_eq(wl_asset_db_fetch_many(reader, uids, GROUP, &rows, &seq), WL_OK);
    cr_assert(rows.count == 0 || rows.count == GROUP, "half a transaction: %u rows", rows.count);
    uint64_t version = rows.count == 0 ? 0 : rows.at[0].version;
    for (uint32_t i = 0; i < rows.count; i++) {
        cr_assert_eq(rows.at[i].version, version, "half a transaction");
    }
    wl_asset_rows_destroy(&rows);
    return version;
}

/* Stores a version of the whole group. cut_at: the step before which its connection is ended. */
static wl_err_t group_store(wl_asset_db_t *db, uint64_t version, unsigned cut_at) {
    uint64_t uids[GROUP];
    unsigned step = 0;
    for (uint64_t i = 0; i < GROUP; i++) {
        uids[i] = i;
    }
    (void)(step++ == cut_at ? world_kill_all() : 0);
    wl_err_t err = wl_asset_db_begin(db);
    (void)(step++ == cut_at ? world_kill_all() : 0);
    if (err == WL_OK) {
        err = wl_asset_db_expect(db, uids, GROUP - 1);
    }
    (void)(step++ == cut_at ? world_kill_all() : 0);
    for (uint64_t i = 0; err == WL_OK && i < GROUP; i++) { /* the last one was not expected */
        wl_asset_t asset = asset_make(i, "cash", "", version);
        wl_apply_result_t result;
        err = wl_asset_db_apply(db, &asset, &result);
    }
    (void)(step++ == cut_at ? world_kill_all() : 0);
    uint64_t seq = 0;
    if (err == WL_OK) {
        err = wl_asset_db_commit(db, &seq);
    }
    wl_asset_db_rollback(db);
    return err;
}

Test(asset_db_mysql, a_transaction_whose_connection_is_ended_at_any_step_leaves_nothing) {
    wl_asset_db_t *db = db_open(0);
    wl_asset_db_t *reader = db_open_readonly(0);
    uint64_t version = 1;
    cr_assert_eq(group_store(db, version, 99), WL_OK);
    cr_assert_eq(group_store(db, ++version, 0), WL_OK, "cut before it began: connected again");
    for (unsigned step = 1; step < 4; step++) {
        uint64_t seq = wl_asset_db_commit_seq(db);
        cr_assert_eq(group_store(db, version + 1, step), WL_ERR_UNAVAILABLE, "step %u", step);
        cr_assert_eq(group_version(reader), version, "step %u", step);
        cr_assert_eq(group_store(db, ++version, 99), WL_OK, "works again at once");
        cr_assert_eq(wl_asset_db_commit_seq(db), seq + 1);
        cr_assert_eq(group_version(reader), version);
    }
    wl_asset_db_close(&reader);
    wl_asset_db_close(&db);
}

static atomic_bool cutting;

static void *cut_on(void *arg) {
    (void)arg;
    uint64_t random = 5;
    while (atomic_load(&cutting)) {
        (void)world_kill_all();
        struct timespec pause = {.tv_nsec = (long)random_below(&random, 8000000)};
        (void)nanosleep(&pause, NULL);
    }
    return NULL;
}

/* Cuts fall between and inside all statements, also COMMIT, whose outcome is then not known. */
Test(asset_db_mysql, transactions_are_whole_or_not_there_wherever_a_cut_falls) {
    wl_asset_db_t *db = db_open(0);
    pthread_t cutter;
    unsigned failed = 0;
    uint64_t version = 0;
    atomic_store(&cutting, true);
    cr_assert_eq(pthread_create(&cutter, NULL, cut_on, NULL), 0);
    int64_t end = wl_mono_now().ms + 4000;
    while (wl_mono_now().ms < end) {
        wl_err_t err = group_store(db, version + 1, 99);
        cr_assert(err == WL_OK || err == WL_ERR_UNAVAILABLE || err == WL_ERR_BUSY, "%s: %s",
                  wl_err_name(err), wl_asset_db_problem(db));
        version += err == WL_OK;
        failed += err == WL_ERR_UNAVAILABLE;
    }
    atomic_store(&cutting, false);
    cr_assert_eq(pthread_join(cutter, NULL), 0);
    cr_assert(failed > 10 && version > 10, "%u failed, %llu took place", failed,
              (unsigned long long)version);
    wl_asset_db_t *reader = db_open_readonly(0);
    uint64_t stored = group_version(reader);
    cr_assert(stored == version || stored == version + 1, "%llu, not %llu",
              (unsigned long long)stored, (unsigned long long)version);
    wl_err_t err = WL_ERR_UNAVAILABLE;
    while (err != WL_OK && wl_mono_now().ms < end + 3000) {
        err = group_store(db, version + 2, 99);
    }
    cr_assert_eq(err, WL_OK);
    cr_assert_eq(group_version(reader), version + 2);
    cr_assert_eq(world_number("SELECT max(seq) FROM owner_log"), GROUP);
    wl_asset_db_close(&reader);
    wl_asset_db_close(&db);
}

Test(asset_db_mysql, reads_go_on_after_their_connection_was_ended) {
    wl_asset_db_t *db = db_open(0);
    wl_asset_db_t *reader = db_open_readonly(0);
    cr_assert_eq(group_store(db, 1, 99), WL_OK);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_geq(world_kill_all(), 1);
        cr_assert_eq(group_version(reader), 1);
    }
    wl_asset_db_close(&reader);
    wl_asset_db_close(&db);
}
