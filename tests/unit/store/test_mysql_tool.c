#include "store/mysql_tool.h"

#include "asset_db_fixture.h"
#include "base/alloc.h"
#include "base/clock.h"

/* ---- a connection on its own ----------------------------------------------------------------- */

TestSuite(mysql_tool, .init = world_open, .fini = world_close, .timeout = 60);

static wl_mysql_t *link_open(void) {
    wl_mysql_t *link = NULL;
    wl_mysql_options_t options = world_options();
    cr_assert_eq(wl_mysql_open(&options, true, NULL, NULL, &link, NULL), WL_OK);
    return link;
}

Test(mysql_tool, never_goes_on_with_a_transaction_on_another_connection) {
    wl_mysql_t *link = link_open();
    cr_assert_eq(wl_mysql_run_text(link, "CREATE TABLE t(a INT)"), WL_OK);
    cr_assert_eq(wl_mysql_begin(link), WL_OK);
    cr_assert_eq(wl_mysql_run_text(link, "INSERT INTO t VALUES(1)"), WL_OK);
    cr_assert_eq(world_kill_all(), 1);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(wl_mysql_run_text(link, "INSERT INTO t VALUES(2)"), WL_ERR_UNAVAILABLE);
    }
    cr_assert_eq(wl_mysql_commit(link), WL_ERR_UNAVAILABLE);
    wl_mysql_rollback(link);
    cr_assert_eq(wl_mysql_run_text(link, "INSERT INTO t VALUES(3)"), WL_OK);
    cr_assert_eq(world_number("SELECT sum(a) FROM t"), 3);
    cr_assert_eq(wl_mysql_connections(link), 2);
    wl_mysql_close(&link);
    wl_mysql_close(&link);
}

Test(mysql_tool, its_session_is_what_it_should_be) {
    static const char *const wanted[][2] = {
        {"SELECT @@tx_isolation", "READ-COMMITTED"},
        {"SELECT @@time_zone", "+00:00"},
        {"SELECT @@autocommit", "1"},
        {"SELECT @@character_set_client", "utf8mb4"},
        {"SELECT @@sql_mode", "STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION"},
        {"SELECT @@innodb_lock_wait_timeout", "1"},
        {"SELECT @@wait_timeout", "5"},
    };
    wl_mysql_t *link = link_open();
    for (size_t i = 0; i < WL_COUNT_OF(wanted); i++) {
        char value[64] = "";
        bool row = false;
        cr_assert_eq(wl_mysql_query_text(link, wanted[i][0]), WL_OK);
        cr_assert_eq(wl_mysql_next(link, &row), WL_OK);
        cr_assert(row && wl_mysql_copy(link, 0, value, sizeof value));
        cr_assert_str_eq(value, wanted[i][1], "%s: %s", wanted[i][0], value);
        wl_mysql_done(link);
    }
    cr_assert_eq(wl_mysql_run_text(link, "SELECT 1; SELECT 2"), WL_ERR_INTERNAL,
                 "no second statement");
    cr_assert_eq(wl_mysql_run_text(link, "SELECT 1"), WL_OK, "rows that nobody asked for");
    cr_assert_eq(wl_mysql_run_text(link, "LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE t"),
                 WL_ERR_INTERNAL);
    wl_mysql_close(&link);
}

Test(mysql_tool, reads_numbers_to_their_ends_and_nothing_beyond) {
    wl_mysql_t *link = link_open();
    bool row = false;
    uint64_t number = 7;
    int64_t signed_number = 7;
    char text[4];
    cr_assert_eq(wl_mysql_query_text(link, "SELECT 18446744073709551615, -9223372036854775808,"
                                           " 9223372036854775807, 18446744073709551616, '', '1x',"
                                           " NULL, '-', 'abc', 'abcd', x'610062', '-1'"),
                 WL_OK);
    cr_assert_eq(wl_mysql_next(link, &row), WL_OK);
    cr_assert(wl_mysql_unsigned(link, 0, UINT64_MAX, &number) && number == UINT64_MAX);
    cr_assert_not(wl_mysql_unsigned(link, 0, UINT64_MAX - 1, &number));
    cr_assert_not(wl_mysql_signed(link, 0, &signed_number));
    cr_assert(wl_mysql_signed(link, 1, &signed_number) && signed_number == INT64_MIN);
    cr_assert(wl_mysql_signed(link, 2, &signed_number) && signed_number == INT64_MAX);
    for (uint32_t column = 3; column < 8; column++) {
        cr_assert_not(wl_mysql_unsigned(link, column, UINT64_MAX, &number));
        cr_assert_not(wl_mysql_signed(link, column, &signed_number));
    }
    cr_assert(wl_mysql_copy(link, 8, text, sizeof text) && strcmp(text, "abc") == 0);
    for (uint32_t column = 9; column < 11; column++) {
        cr_assert_not(wl_mysql_copy(link, column, text, sizeof text));
    }
    cr_assert_not(wl_mysql_unsigned(link, 11, UINT64_MAX, &number));
    cr_assert_not(wl_mysql_unsigned(link, 12, UINT64_MAX, &number), "there is no such column");
    cr_assert(number == UINT64_MAX && signed_number == INT64_MAX);
    wl_mysql_done(link);
    wl_mysql_close(&link);
}

/* ---- no server ------------------------------------------------------------------------------- */

Test(mysql_tool, opens_without_a_server_and_says_unavailable_at_once) {
    char at[64];
    int fd = -1;
    (void)snprintf(at, sizeof at, "127.0.0.1:%d/wallet", port_take(false, &fd));
    wl_asset_db_options_t options = {.mysql = {.at = at, .user = "root", .timeout_ms = 2000}};
    wl_asset_db_t *db = db_open_as(&options);
    int64_t begun = wl_mono_now().ms;
    for (unsigned i = 0; i < 20; i++) {
        cr_assert_eq(wl_asset_db_begin(db), WL_ERR_UNAVAILABLE);
    }
    cr_assert_leq(wl_mono_now().ms - begun, 1000);
    cr_assert_eq(wl_asset_db_commit_seq(db), 0);
    cr_assert_neq(wl_asset_db_problem(db)[0], '\0');
    wl_asset_db_close(&db);
    (void)close(fd);
}

Test(mysql_tool, a_server_that_accepts_and_says_nothing_costs_one_timeout) {
    char at[64];
    int fd = -1;
    (void)snprintf(at, sizeof at, "127.0.0.1:%d/wallet", port_take(true, &fd));
    wl_asset_db_options_t options = {.mysql = {.at = at, .user = "root", .timeout_ms = 100}};
    int64_t begun = wl_mono_now().ms;
    wl_asset_db_t *db = db_open_as(&options);
    cr_assert_leq(wl_mono_now().ms - begun, 3500);
    begun = wl_mono_now().ms;
    cr_assert_eq(wl_asset_db_begin(db), WL_ERR_UNAVAILABLE);
    cr_assert_leq(wl_mono_now().ms - begun, 1000, "the next call does not wait again");
    wl_asset_db_close(&db);
    (void)close(fd);
}
