#include "store/migrations.h"

#include "private_folder.h"
#include "store/sqlite_tool.h"

#include <pthread.h>

TestSuite(migrations, .init = folder_make, .fini = folder_remove);

static sqlite3 *file_open(void) {
    sqlite3 *db = NULL;
    cr_assert_eq(sqlite3_open(in_folder("m.db"), &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, 5000);
    return db;
}

static int64_t number(sqlite3 *db, const char *sql) {
    int64_t value = -1;
    cr_assert_eq(wl_sqlite_number(db, sql, &value), WL_OK, "%s", sql);
    return value;
}

static const wl_migration_t three_steps[] = {
    {1, "001_t", "CREATE TABLE t(a)"},
    {2, "002_row", "INSERT INTO t VALUES(1); INSERT INTO t VALUES(2)"},
    {3, "003_wrong", "INSERT INTO t VALUES(3); INSERT INTO nowhere VALUES(1)"},
};

Test(migrations, runs_each_step_once_and_only_the_new_ones) {
    sqlite3 *db = file_open();
    for (uint32_t count = 1; count <= 2; count++) {
        wl_schema_t schema = {.application_id = 9, .count = count, .at = three_steps};
        cr_assert_eq(wl_schema_migrate(db, &schema, "m.db", NULL), WL_OK);
        cr_assert_eq(wl_schema_migrate(db, &schema, "m.db", NULL), WL_OK);
        cr_assert_eq(number(db, "SELECT max(version) FROM schema_version"), count);
        cr_assert_eq(number(db, "SELECT count(*) FROM t"), count == 1 ? 0 : 2);
    }
    cr_assert_eq(number(db, "PRAGMA application_id"), 9);
    wl_sqlite_close(&db);
}

Test(migrations, leaves_nothing_of_a_step_that_fails) {
    sqlite3 *db = file_open();
    wl_schema_t schema = {.application_id = 9, .count = 3, .at = three_steps};
    wl_fault_t fault = {0};
    cr_assert_neq(wl_schema_migrate(db, &schema, "m.db", &fault), WL_OK);
    cr_assert_str_eq(fault.where, "m.db");
    cr_assert_eq(number(db, "SELECT max(version) FROM schema_version"), 2);
    cr_assert_eq(number(db, "SELECT count(*) FROM t"), 2);
    wl_sqlite_close(&db);
}

Test(migrations, refuses_a_file_that_has_seen_later_steps) {
    sqlite3 *db = file_open();
    wl_schema_t schema = {.application_id = 9, .count = 2, .at = three_steps};
    cr_assert_eq(wl_schema_migrate(db, &schema, "m.db", NULL), WL_OK);
    schema.count = 1;
    cr_assert_eq(wl_schema_migrate(db, &schema, "m.db", NULL), WL_ERR_SETTINGS);
    wl_sqlite_close(&db);
}

Test(migrations, are_numbered_without_gaps_and_named_after_their_numbers) {
    const wl_schema_t *schemas[] = {&wl_schema_asset_db, &wl_schema_queue};
    cr_assert_neq(wl_schema_asset_db.application_id, wl_schema_queue.application_id);
    for (unsigned s = 0; s < 2; s++) {
        for (uint32_t i = 0; i < schemas[s]->count; i++) {
            char number_text[16];
            (void)snprintf(number_text, sizeof number_text, "%03u_", i + 1);
            cr_assert_eq(schemas[s]->at[i].number, i + 1);
            cr_assert_eq(strncmp(schemas[s]->at[i].name, number_text, 4), 0);
        }
    }
}

static void *migrate_thread(void *arg) {
    (void)arg;
    sqlite3 *db = file_open();
    wl_err_t err = wl_schema_migrate(db, &wl_schema_queue, "m.db", NULL);
    wl_sqlite_close(&db);
    return err == WL_OK ? NULL : "failed";
}

Test(migrations, may_be_run_by_several_handles_at_once) {
    sqlite3 *db = file_open();
    cr_assert_eq(wl_sqlite_exec(db, "PRAGMA journal_mode=WAL"), WL_OK);
    pthread_t threads[4];
    for (unsigned i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, migrate_thread, NULL), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        void *failed = NULL;
        cr_assert_eq(pthread_join(threads[i], &failed), 0);
        cr_assert_null(failed);
    }
    cr_assert_eq(number(db, "SELECT count(*) FROM schema_version"), wl_schema_queue.count);
    cr_assert_eq(number(db, "SELECT count(*) FROM tally"), 1);
    wl_sqlite_close(&db);
}

/* Every withdrawal of a consent asks for the dead letters of one pair, of which there are mostly
 * none. */
Test(migrations, the_dead_letters_of_a_pair_are_found_without_reading_all) {
    sqlite3 *db = file_open();
    sqlite3_stmt *sql = NULL;
    cr_assert_eq(wl_schema_migrate(db, &wl_schema_queue, "m.db", NULL), WL_OK);
    cr_assert_eq(sqlite3_prepare_v2(db,
                                    "EXPLAIN QUERY PLAN"
                                    " DELETE FROM dead_letter WHERE uid = 1 AND line = 'cash'",
                                    -1, &sql, NULL),
                 SQLITE_OK);
    cr_assert_eq(sqlite3_step(sql), SQLITE_ROW);
    const char *plan = (const char *)sqlite3_column_text(sql, 3);
    cr_expect_not_null(strstr(plan, "(uid=? AND line=?)"), "%s", plan);
    (void)sqlite3_finalize(sql);
    wl_sqlite_close(&db);
}
