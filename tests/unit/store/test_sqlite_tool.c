#include "store/sqlite_tool.h"

#include "private_folder.h"

TestSuite(sqlite_tool, .init = folder_make, .fini = folder_remove);

static wl_err_t tool_open(sqlite3 **ret, wl_fault_t *fault) {
    wl_sqlite_options_t options = {.path = in_folder("a.db"),
                                   .application_id = 7,
                                   .busy_timeout_ms = 20,
                                   .cache_kib = 1024,
                                   .checkpoint_pages = 100,
                                   .full_sync = true};
    return wl_sqlite_open(&options, ret, fault);
}

static int64_t number(sqlite3 *db, const char *sql) {
    int64_t value = -1;
    cr_assert_eq(wl_sqlite_number(db, sql, &value), WL_OK, "%s", sql);
    return value;
}

Test(sqlite_tool, opens_with_our_pragmas) {
    sqlite3 *db = NULL;
    cr_assert_eq(tool_open(&db, NULL), WL_OK);
    cr_assert_eq(number(db, "PRAGMA synchronous"), 2);
    cr_assert_eq(number(db, "PRAGMA mmap_size"), 0);
    cr_assert_eq(number(db, "PRAGMA wal_autocheckpoint"), 100);
    cr_assert_eq(number(db, "PRAGMA cache_size"), -1024);
    cr_assert_eq(number(db, "PRAGMA trusted_schema"), 0);
    cr_assert_eq(number(db, "SELECT journal_mode = 'wal' FROM pragma_journal_mode"), 1);
    wl_sqlite_close(&db);
    cr_assert_null(db);
    wl_sqlite_close(&db);
}

Test(sqlite_tool, says_what_is_wrong_with_a_file) {
    sqlite3 *db = NULL;
    wl_fault_t fault = {0};
    cr_assert_eq(sqlite3_open(in_folder("a.db"), &db), SQLITE_OK);
    cr_assert_eq(wl_sqlite_exec(db, "PRAGMA application_id=8; CREATE TABLE t(a)"), WL_OK);
    wl_sqlite_close(&db);
    cr_assert_eq(tool_open(&db, &fault), WL_ERR_SETTINGS);
    cr_assert_null(db);
    cr_assert_str_eq(fault.where, in_folder("a.db"));

    file_overwrite(in_folder("a.db"), 0, 100, 'x');
    cr_assert_eq(tool_open(&db, &fault), WL_ERR_DAMAGED);
    cr_assert_eq(unlink(in_folder("a.db")), 0);
    cr_assert_eq(mkdir(in_folder("a.db"), 0700), 0);
    cr_assert_eq(tool_open(&db, &fault), WL_ERR_IO);
    cr_assert_eq(rmdir(in_folder("a.db")), 0);
}

Test(sqlite_tool, maps_codes_by_what_the_caller_can_do) {
    const struct {
        int code;
        wl_err_t err;
    } rows[] = {
        {SQLITE_OK, WL_OK},
        {SQLITE_DONE, WL_OK},
        {SQLITE_ROW, WL_OK},
        {SQLITE_FULL, WL_ERR_NO_SPACE},
        {SQLITE_CORRUPT, WL_ERR_DAMAGED},
        {SQLITE_CORRUPT_INDEX, WL_ERR_DAMAGED},
        {SQLITE_NOTADB, WL_ERR_DAMAGED},
        {SQLITE_IOERR_CORRUPTFS, WL_ERR_DAMAGED},
        {SQLITE_BUSY, WL_ERR_IO},
        {SQLITE_BUSY_SNAPSHOT, WL_ERR_IO},
        {SQLITE_IOERR_FSYNC, WL_ERR_IO},
        {SQLITE_CANTOPEN, WL_ERR_IO},
        {SQLITE_READONLY_DBMOVED, WL_ERR_IO},
        {SQLITE_TOOBIG, WL_ERR_TOO_BIG},
        {SQLITE_MISUSE, WL_ERR_INTERNAL},
        {SQLITE_CONSTRAINT_UNIQUE, WL_ERR_INTERNAL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cr_assert_eq(wl_sqlite_error(NULL, rows[i].code), rows[i].err, "code %d", rows[i].code);
    }
}

Test(sqlite_tool, leaves_no_statement_when_one_does_not_fit_the_schema) {
    sqlite3 *db = NULL;
    cr_assert_eq(tool_open(&db, NULL), WL_OK);
    const char *const sql[] = {"SELECT 1", "SELECT nothing FROM nowhere"};
    sqlite3_stmt *statements[2];
    cr_assert_eq(wl_sqlite_prepare(db, sql, 2, statements), WL_ERR_DAMAGED);
    cr_assert(statements[0] == NULL && statements[1] == NULL);
    wl_sqlite_close(&db); /* asserts that none is left */
}

Test(sqlite_tool, ends_a_transaction_that_sqlite_has_rolled_back_by_itself) {
    sqlite3 *db = NULL;
    cr_assert_eq(tool_open(&db, NULL), WL_OK);
    cr_assert_eq(wl_sqlite_exec(db, "CREATE TABLE t(a)"), WL_OK);
    cr_assert_eq(wl_sqlite_exec(db, "BEGIN; INSERT INTO t VALUES(1)"), WL_OK);
    cr_assert_eq(wl_sqlite_end(db, WL_ERR_NO_SPACE), WL_ERR_NO_SPACE);
    cr_assert_eq(wl_sqlite_end(db, WL_ERR_NO_SPACE), WL_ERR_NO_SPACE, "nothing is open any more");
    cr_assert_eq(number(db, "SELECT count(*) FROM t"), 0);
    cr_assert_eq(wl_sqlite_exec(db, "BEGIN; INSERT INTO t VALUES(1)"), WL_OK);
    cr_assert_eq(wl_sqlite_end(db, WL_OK), WL_OK);
    cr_assert_eq(number(db, "SELECT count(*) FROM t"), 1);
    int64_t none = 5;
    cr_assert_eq(wl_sqlite_number(db, "SELECT a FROM t WHERE a = 2", &none), WL_ERR_NOT_FOUND);
    cr_assert_eq(none, 5);
    wl_sqlite_close(&db);
}

Test(sqlite_tool, says_no_space_when_the_page_bound_is_reached) {
    sqlite3 *db = NULL;
    cr_assert_eq(tool_open(&db, NULL), WL_OK);
    cr_assert_eq(wl_sqlite_exec(db, "CREATE TABLE t(a); PRAGMA max_page_count=10"), WL_OK);
    cr_assert_eq(wl_sqlite_exec(db, "INSERT INTO t VALUES(zeroblob(100000))"), WL_ERR_NO_SPACE);
    cr_assert_eq(wl_sqlite_exec(db, "INSERT INTO t VALUES(1)"), WL_OK);
    wl_sqlite_close(&db);
}

Test(sqlite_tool, copies_texts_that_fit_and_no_others) {
    sqlite3 *db = NULL;
    cr_assert_eq(tool_open(&db, NULL), WL_OK);
    const char *const sql[] = {"SELECT 'four', 'a' || char(0) || 'b', NULL, ''"};
    sqlite3_stmt *statement = NULL;
    cr_assert_eq(wl_sqlite_prepare(db, sql, 1, &statement), WL_OK);
    bool row = false;
    cr_assert_eq(wl_sqlite_step(statement, &row), WL_OK);
    cr_assert(row);
    char text[8];
    cr_assert(wl_sqlite_text(statement, 0, text, 5));
    cr_assert_str_eq(text, "four");
    cr_assert_not(wl_sqlite_text(statement, 0, text, 4));
    cr_assert_str_eq(text, "");
    cr_assert_not(wl_sqlite_text(statement, 1, text, sizeof text));
    cr_assert_not(wl_sqlite_text(statement, 2, text, sizeof text));
    cr_assert(wl_sqlite_text(statement, 3, text, sizeof text));
    wl_sqlite_finalize(&statement, 1);
    wl_sqlite_close(&db);
}
