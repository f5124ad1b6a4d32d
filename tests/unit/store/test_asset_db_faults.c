/* The asset database with foreign and damaged files, a full disk, a held lock, a kill. */
#include "asset_db_fixture.h"
#include "store/asset_db.h"
#include "store/queue.h"
#include "store/sqlite_tool.h"

#include <signal.h>
#include <sys/wait.h>

TestSuite(asset_db_faults, .init = folder_make, .fini = folder_remove);

static wl_err_t db_try_open(wl_fault_t *fault) {
    wl_asset_db_t *db = NULL;
    wl_asset_db_options_t options = {.path = in_folder("shard.db"), .busy_timeout_ms = 100};
    wl_err_t err = wl_asset_db_open(&options, &db, fault);
    wl_asset_db_close(&db);
    return err;
}

/* ---- files that are not ours, or not whole ---- */

Test(asset_db_faults, refuses_the_file_of_another_shard_of_a_queue_and_of_a_newer_program) {
    wl_asset_db_t *db = db_open(4);
    wl_asset_db_close(&db);
    wl_fault_t fault = {0};
    cr_assert_eq(db_try_open(&fault), WL_ERR_SETTINGS);
    cr_assert_not_null(strstr(fault.message, "shard 4"), "%s", fault.message);

    cr_assert_eq(unlink(in_folder("shard.db")), 0);
    wl_queue_t *queue = NULL;
    cr_assert_eq(
        wl_queue_open(&(wl_queue_options_t){.path = in_folder("shard.db"), .use = WL_QUEUE_APPEND},
                      &queue, NULL),
        WL_OK);
    wl_queue_close(&queue);
    cr_assert_eq(db_try_open(&fault), WL_ERR_SETTINGS);

    cr_assert_eq(unlink(in_folder("shard.db")), 0);
    db = db_open(0);
    wl_asset_db_close(&db);
    sqlite3 *raw = NULL;
    cr_assert_eq(sqlite3_open(in_folder("shard.db"), &raw), SQLITE_OK);
    cr_assert_eq(wl_sqlite_exec(raw, "INSERT INTO schema_version VALUES(99, '099_later', 0)"),
                 WL_OK);
    wl_sqlite_close(&raw);
    cr_assert_eq(db_try_open(&fault), WL_ERR_SETTINGS);
    cr_assert_not_null(strstr(fault.message, "newer"), "%s", fault.message);
}

static void many_store(unsigned users) {
    wl_asset_db_t *db = db_open(0);
    cr_assert_eq(wl_asset_db_begin(db), WL_OK);
    for (uint64_t uid = 0; uid < users; uid++) {
        (void)apply(db, asset_make(uid, "cash", "", 1));
    }
    (void)commit(db);
    wl_asset_db_close(&db); /* the last handle folds the WAL into the file */
}

Test(asset_db_faults, refuses_another_number_of_shards) {
    wl_asset_db_options_t options = {.path = in_folder("shard.db"), .busy_timeout_ms = 100};
    static const struct {
        uint32_t shards;
        wl_err_t err;
    } opens[] = {{4, WL_OK}, {4, WL_OK}, {2, WL_ERR_SETTINGS}, {8, WL_ERR_SETTINGS}, {0, WL_OK}};
    for (size_t i = 0; i < sizeof opens / sizeof *opens; i++) {
        wl_asset_db_t *db = NULL;
        wl_fault_t fault = {0};
        options.shards = opens[i].shards;
        cr_assert_eq(wl_asset_db_open(&options, &db, &fault), opens[i].err, "%s", fault.message);
        if (opens[i].err == WL_OK) {
            wl_asset_db_close(&db);
        } else {
            cr_assert(strstr(fault.message, "shard.instances") != NULL, "%s", fault.message);
        }
    }
}

Test(asset_db_faults, finds_a_garbage_header_and_a_cut_file_when_opening) {
    many_store(2000);
    off_t bytes = file_bytes(in_folder("shard.db"));
    cr_assert_gt(bytes, 100000);
    wl_fault_t fault = {0};
    cr_assert_eq(truncate(in_folder("shard.db"), bytes / 2), 0);
    cr_assert_eq(db_try_open(&fault), WL_ERR_DAMAGED);
    cr_assert_eq(file_bytes(in_folder("shard.db")), bytes / 2, "the file is left as it is");
    cr_assert_neq(fault.message[0], '\0');
    cr_assert_eq(truncate(in_folder("shard.db"), 50), 0);
    cr_assert_eq(db_try_open(&fault), WL_ERR_DAMAGED);
    file_overwrite(in_folder("shard.db"), 0, 4096, 0x5a);
    cr_assert_eq(db_try_open(&fault), WL_ERR_DAMAGED);
}

/* One of: the records as they were, or DAMAGED; never a crash, never other values. */
static unsigned damaged_use(wl_asset_db_t *db, unsigned users) {
    unsigned damaged = 0;
    for (uint64_t uid = 0; uid < users; uid += 7) {
        wl_asset_t got;
        wl_err_t err = wl_asset_db_get(db, uid, "cash", "", &got);
        cr_assert(err == WL_OK || err == WL_ERR_DAMAGED || err == WL_ERR_NOT_FOUND, "%s",
                  wl_err_name(err));
        cr_assert(err != WL_OK || (got.uid == uid && got.amount == 100));
        damaged += err == WL_ERR_DAMAGED;
    }
    wl_err_t err = wl_asset_db_begin(db);
    cr_assert(err == WL_OK || err == WL_ERR_DAMAGED);
    for (uint64_t uid = 0; err == WL_OK && uid < users; uid++) {
        wl_asset_t asset = asset_make(uid, "coin", "", 1);
        wl_apply_result_t result;
        err = wl_asset_db_apply(db, &asset, &result);
    }
    uint64_t seq = 0;
    if (err == WL_OK) {
        err = wl_asset_db_commit(db, &seq);
    }
    cr_assert(err == WL_OK || err == WL_ERR_DAMAGED, "%s", wl_err_name(err));
    damaged += err == WL_ERR_DAMAGED;
    wl_asset_db_rollback(db);
    return damaged;
}

Test(asset_db_faults, says_damaged_for_overwritten_pages_wherever_they_are) {
    enum { USERS = 3000 };
    uint64_t random = 7;
    unsigned found = 0;
    for (unsigned round = 0; round < 12; round++) {
        many_store(USERS);
        off_t pages = file_bytes(in_folder("shard.db")) / 4096;
        for (unsigned i = 0; i < 3; i++) {
            off_t page = 1 + (off_t)random_below(&random, (uint32_t)pages - 1);
            file_overwrite(in_folder("shard.db"), page * 4096, 4096, (int)(0x10 * round + i));
        }
        wl_asset_db_t *db = NULL;
        wl_asset_db_options_t options = {.path = in_folder("shard.db"), .busy_timeout_ms = 100};
        wl_err_t err = wl_asset_db_open(&options, &db, NULL);
        cr_assert(err == WL_OK || err == WL_ERR_DAMAGED, "%s", wl_err_name(err));
        found += err == WL_OK ? damaged_use(db, USERS) > 0 : 1;
        wl_asset_db_close(&db);
        cr_assert_eq(unlink(in_folder("shard.db")), 0);
        (void)unlink(in_folder("shard.db-wal"));
        (void)unlink(in_folder("shard.db-shm"));
    }
    cr_assert_geq(found, 10, "only %u of 12 damaged files were noticed", found);
}

Test(asset_db_faults, refuses_a_row_with_values_that_it_never_writes) {
    many_store(3);
    sqlite3 *raw = NULL;
    cr_assert_eq(sqlite3_open(in_folder("shard.db"), &raw), SQLITE_OK);
    cr_assert_eq(wl_sqlite_exec(raw, "UPDATE asset SET kind = 99 WHERE uid = 1;"
                                     "UPDATE asset SET unit = 'far too long a unit' WHERE uid = 2"),
                 WL_OK);
    wl_sqlite_close(&raw);
    wl_asset_db_t *db = db_open(0);
    wl_asset_rows_t rows = {0};
    cr_assert_eq(wl_asset_db_fetch(db, 0, &rows), WL_OK);
    cr_assert_eq(wl_asset_db_fetch(db, 1, &rows), WL_ERR_DAMAGED);
    cr_assert_eq(wl_asset_db_fetch(db, 2, &rows), WL_ERR_DAMAGED);
    cr_assert_eq(rows.count, 1);
    wl_asset_rows_destroy(&rows);
    wl_asset_db_close(&db);
}

/* ---- a full disk, a lock, a kill ---- */

/* Stores versions of many users until the disk is full. Returns the error that came. */
static wl_err_t store_until_error(wl_asset_db_t *db, uint64_t *ret_seq) {
    wl_err_t err = WL_OK;
    for (uint64_t round = 0; err == WL_OK && round < 1000; round++) {
        err = wl_asset_db_begin(db);
        for (uint64_t i = 0; err == WL_OK && i < 100; i++) {
            wl_asset_t asset = asset_make(round * 1000 + i, "cash", "", 1);
            wl_apply_result_t result;
            err = wl_asset_db_apply(db, &asset, &result);
        }
        if (err == WL_OK) {
            err = wl_asset_db_commit(db, ret_seq);
        }
    }
    return err;
}

Test(asset_db_faults, keeps_what_was_committed_when_the_disk_is_full_and_goes_on_later) {
    if (!folder_shrink(1024)) {
        cr_skip_test("mounting a small disk is refused here: %s", strerror(errno));
    }
    file_overwrite(in_folder("filler"), 0, (size_t)500 << 10, 1);
    wl_asset_db_t *db = db_open(0);
    uint64_t seq = 0;
    cr_assert_eq(store_until_error(db, &seq), WL_ERR_NO_SPACE);
    cr_assert_gt(seq, 0);
    wl_asset_t asset = asset_make(5, "cash", "", 9);
    wl_apply_result_t result;
    cr_assert_eq(wl_asset_db_apply(db, &asset, &result), WL_ERR_NO_SPACE,
                 "SQLite rolled back by itself; nothing may run outside the transaction");
    cr_assert_eq(wl_asset_db_commit(db, &seq), WL_ERR_NO_SPACE);
    wl_asset_db_rollback(db);
    cr_assert_eq(wl_asset_db_commit_seq(db), seq);
    cr_assert_eq(rows_count(db), seq * 100, "whole transactions only");
    cr_assert_eq(wl_asset_db_owner_seq(db), seq * 100);
    cr_assert_eq(unlink(in_folder("filler")), 0);
    cr_assert_eq(store(db, asset), WL_APPLY_STORED, "no restart is needed");
    cr_assert_eq(wl_asset_db_commit_seq(db), seq + 1);
    wl_asset_db_close(&db);
    db = db_open(0);
    cr_assert_eq(wl_asset_db_commit_seq(db), seq + 1);
    wl_asset_db_close(&db);
}

Test(asset_db_faults, waits_for_a_lock_only_as_long_as_it_was_told) {
    wl_asset_db_t *db = db_open(0);
    wl_asset_db_t *other = db_open(0);
    cr_assert_eq(wl_asset_db_begin(other), WL_OK);
    cr_assert_eq(wl_asset_db_begin(db), WL_ERR_IO);
    wl_asset_t none;
    cr_assert_eq(wl_asset_db_get(db, 1, "cash", "", &none), WL_ERR_NOT_FOUND, "reads do not wait");
    wl_asset_db_rollback(other);
    cr_assert_eq(wl_asset_db_begin(db), WL_OK);
    wl_asset_db_close(&db); /* with its transaction open */
    wl_asset_db_close(&other);
}

/* The child: commits for ever and says each number that it was given. */
static void commit_for_ever(int pipe_end) {
    wl_asset_db_t *db = db_open(0);
    for (uint64_t uid = 0;; uid += 20) {
        cr_assert_eq(wl_asset_db_begin(db), WL_OK);
        for (uint64_t i = 0; i < 20; i++) {
            (void)apply(db, asset_make(uid + i, "cash", "", 1));
        }
        uint64_t seq = commit(db);
        if (write(pipe_end, &seq, sizeof seq) != (ssize_t)sizeof seq) {
            _exit(1);
        }
    }
}

Test(asset_db_faults, loses_no_acknowledged_commit_to_kill_9, .timeout = 60) {
    uint64_t random = 99;
    for (unsigned round = 0; round < 8; round++) {
        int ends[2];
        cr_assert_eq(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            (void)close(ends[0]);
            commit_for_ever(ends[1]);
        }
        (void)close(ends[1]);
        uint64_t acked = 0;
        unsigned wanted = 1 + random_below(&random, 40);
        for (unsigned i = 0; i < wanted; i++) {
            cr_assert_eq(read(ends[0], &acked, sizeof acked), (ssize_t)sizeof acked);
        }
        cr_assert_eq(kill(child, SIGKILL), 0);
        cr_assert_eq(waitpid(child, NULL, 0), child);
        uint64_t more = 0;
        while (read(ends[0], &more, sizeof more) == (ssize_t)sizeof more) {
            acked = more;
        }
        (void)close(ends[0]);
        wl_asset_db_t *db = db_open(0);
        uint64_t seq = wl_asset_db_commit_seq(db);
        uint64_t rows = 0;
        cr_assert_eq(wl_asset_db_count(db, &rows), WL_OK);
        cr_assert_geq(seq, acked);
        cr_assert_leq(seq, acked + 1, "at most the one whose answer was on its way");
        cr_assert(rows % 20 == 0, "whole transactions only");
        wl_asset_db_close(&db);
    }
}
