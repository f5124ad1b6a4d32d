/* Connections to a server of this test's own, which is killed, stopped or turned read_only. */
#include "asset_db_fixture.h"
#include "base/alloc.h"
#include "base/clock.h"

#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

/* ---- a server of our own --------------------------------------------------------------------- */

typedef struct {
    pid_t pid; /* 0 = not running */
    int port;
    char at[64]; /* "127.0.0.1:port/wallet" */
} own_server_t;

static own_server_t own_server;

static pid_t program_start(char *const *arguments) {
    pid_t pid = fork();
    if (pid == 0) {
        int quiet = open("/dev/null", O_RDWR | O_CLOEXEC);
        (void)dup2(quiet, STDOUT_FILENO);
        (void)dup2(quiet, STDERR_FILENO);
        /* A server that starts deletes what others keep in a temporary folder they share. */
        (void)setenv("TMPDIR", test_folder, 1);
        (void)execvp(arguments[0], arguments);
        _exit(127);
    }
    cr_assert(pid > 0);
    return pid;
}

static void server_start(void) {
    char data[160];
    char socket_path[160];
    char port[32];
    (void)snprintf(data, sizeof data, "--datadir=%s", in_folder("data"));
    (void)snprintf(socket_path, sizeof socket_path, "--socket=%s", in_folder("socket"));
    (void)snprintf(port, sizeof port, "--port=%d", own_server.port);
    char *const arguments[] = {"mariadbd",
                               "--no-defaults",
                               "--user=root",
                               "--skip-grant-tables",
                               "--bind-address=127.0.0.1",
                               "--innodb-buffer-pool-size=16M",
                               "--innodb-log-file-size=8M",
                               data,
                               socket_path,
                               port,
                               NULL};
    own_server.pid = program_start(arguments);
}

static void server_kill(void) {
    if (own_server.pid > 0) {
        (void)kill(own_server.pid, SIGKILL);
        (void)waitpid(own_server.pid, NULL, 0);
        own_server.pid = 0;
    }
}

/* A connection that may do everything, as soon as the server answers. */
static MYSQL *server_connect(void) {
    for (int tries = 0; tries < 600; tries++) {
        MYSQL *db = mysql_init(NULL);
        if (mysql_real_connect(db, "127.0.0.1", "root", "", NULL, (unsigned)own_server.port, NULL,
                               0) != NULL) {
            return db;
        }
        mysql_close(db);
        cr_assert_eq(waitpid(own_server.pid, NULL, WNOHANG), 0, "the server does not start");
        (void)poll(NULL, 0, 50);
    }
    cr_assert_fail("the server does not answer");
    return NULL;
}

static void server_sql(const char *sql) {
    MYSQL *db = server_connect();
    cr_assert_eq(mysql_query(db, sql), 0, "%s", mysql_error(db));
    mysql_close(db);
}

static void server_make(void) {
    char data[160];
    int reserved = -1;
    folder_make();
    own_server.port = port_take(false, &reserved);
    (void)close(reserved);
    (void)snprintf(own_server.at, sizeof own_server.at, "127.0.0.1:%d/wallet", own_server.port);
    (void)snprintf(data, sizeof data, "--datadir=%s", in_folder("data"));
    char *const arguments[] = {
        "mariadb-install-db", "--no-defaults", "--user=root", "--skip-test-db", data, NULL};
    int status = -1;
    cr_assert(waitpid(program_start(arguments), &status, 0) > 0);
    cr_assert_eq(status, 0, "mariadb-install-db failed");
    server_start();
    server_sql("CREATE DATABASE wallet");
}

static void server_remove(void) {
    server_kill();
    folder_remove();
}

static wl_asset_db_options_t server_options(void) {
    return (wl_asset_db_options_t){
        .mysql = {.at = own_server.at, .user = "root", .timeout_ms = 2000}};
}

TestSuite(mysql_connect, .init = server_make, .fini = server_remove, .timeout = 110);

/* Stores one record; what it meets while the server is away is counted. */
static wl_err_t store_once(wl_asset_db_t *db, uint64_t uid) {
    wl_err_t err = wl_asset_db_begin(db);
    wl_asset_t asset = asset_make(uid, "cash", "", 1);
    wl_apply_result_t result;
    uint64_t seq = 0;
    if (err == WL_OK) {
        err = wl_asset_db_apply(db, &asset, &result);
    }
    if (err == WL_OK) {
        err = wl_asset_db_commit(db, &seq);
    }
    wl_asset_db_rollback(db);
    return err;
}

static int64_t store_until_done(wl_asset_db_t *db, uint64_t uid, int64_t within_ms) {
    int64_t begun = wl_mono_now().ms;
    wl_err_t err = WL_ERR_UNAVAILABLE;
    while (err != WL_OK && wl_mono_now().ms < begun + within_ms) {
        err = store_once(db, uid);
        cr_assert(err == WL_OK || err == WL_ERR_UNAVAILABLE || err == WL_ERR_BUSY, "%s: %s",
                  wl_err_name(err), wl_asset_db_problem(db));
    }
    cr_assert_eq(err, WL_OK, "%s", wl_asset_db_problem(db));
    return wl_mono_now().ms - begun;
}

Test(mysql_connect, comes_back_within_a_second_and_has_every_commit_it_acknowledged) {
    wl_asset_db_options_t options = server_options();
    wl_asset_db_t *db = db_open_as(&options);
    options.readonly = true;
    wl_asset_db_t *reader = db_open_as(&options);
    uint64_t acked = 0;
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 50; i++) {
            cr_assert_eq(store_once(db, acked++), WL_OK);
        }
        server_kill();
        wl_asset_t got;
        cr_assert_eq(store_once(db, acked), WL_ERR_UNAVAILABLE);
        cr_assert_eq(wl_asset_db_get(reader, 0, "cash", "", &got), WL_ERR_UNAVAILABLE);
        int64_t begun = wl_mono_now().ms;
        cr_assert_eq(store_once(db, acked), WL_ERR_UNAVAILABLE);
        cr_assert_leq(wl_mono_now().ms - begun, 500, "a server that is away costs no waiting");
        server_start();
        mysql_close(server_connect());
        cr_assert_leq(store_until_done(db, acked, 10000), 2000);
        acked++;
        cr_assert_eq(rows_count(db), acked);
        cr_assert_eq(wl_asset_db_commit_seq(db), acked);
    }
    wl_asset_db_close(&reader);
    wl_asset_db_close(&db);
}

/* The user of this test has the privilege to write all the same, as administrators do. */
Test(mysql_connect, writers_refuse_a_server_that_is_read_only_and_readers_do_not) {
    wl_asset_db_options_t options = server_options();
    wl_asset_db_t *db = db_open_as(&options);
    cr_assert_eq(store_once(db, 1), WL_OK);
    server_sql("SET GLOBAL read_only = 1");
    cr_assert_eq(store_once(db, 2), WL_ERR_UNAVAILABLE, "on the connection that there was");
    wl_asset_db_t *late = db_open_as(&options);
    cr_assert_eq(store_once(late, 2), WL_ERR_UNAVAILABLE, "on a new one");
    cr_assert_not_null(strstr(wl_asset_db_problem(late), "read_only"), "%s",
                       wl_asset_db_problem(late));
    options.readonly = true;
    wl_asset_db_t *reader = db_open_as(&options);
    cr_assert_eq(rows_count(reader), 1);
    server_sql("SET GLOBAL read_only = 0");
    (void)store_until_done(db, 2, 3000);
    (void)store_until_done(late, 3, 3000);
    cr_assert_eq(rows_count(reader), 3);
    wl_asset_db_close(&late);
    wl_asset_db_close(&reader);
    wl_asset_db_close(&db);
}

Test(mysql_connect, a_stopped_server_costs_its_timeout_and_nothing_is_stored_twice) {
    wl_asset_db_options_t options = server_options();
    wl_asset_db_t *db = db_open_as(&options);
    cr_assert_eq(store_once(db, 1), WL_OK);
    program_freeze(own_server.pid);
    int64_t begun = wl_mono_now().ms;
    cr_assert_eq(store_once(db, 2), WL_ERR_UNAVAILABLE);
    cr_assert(wl_mono_now().ms - begun >= 1500 && wl_mono_now().ms - begun < 4000, "%lld ms",
              (long long)(wl_mono_now().ms - begun));
    cr_assert_eq(kill(own_server.pid, SIGCONT), 0);
    (void)store_until_done(db, 2, 10000);
    cr_assert_eq(rows_count(db), 2);
    cr_assert_eq(wl_asset_db_commit_seq(db), 2);
    wl_asset_db_close(&db);
}

/* A host that loses its power says nothing: its locks must not outlive it for long. */
Test(mysql_connect, a_silent_transaction_lets_its_locks_go_and_a_silent_writer_connects_again) {
    wl_asset_db_options_t options = server_options();
    wl_asset_db_t *silent = db_open_as(&options);
    wl_asset_db_t *db = db_open_as(&options);
    begin(silent);
    (void)apply(silent, asset_make(1, "cash", "", 1));
    cr_assert_eq(wl_asset_db_begin(db), WL_ERR_BUSY);
    cr_assert_leq(store_until_done(db, 2, 20000), 8000);
    uint64_t seq = 0;
    cr_assert_eq(wl_asset_db_commit(silent, &seq), WL_ERR_UNAVAILABLE);
    wl_asset_db_rollback(silent);
    cr_assert_eq(rows_count(db), 1);
    cr_assert_eq(store_once(silent, 3), WL_OK);
    wl_asset_db_close(&silent);
    wl_asset_db_close(&db);
}
