/* The queue with damaged files, a full disk, a kill. */
#include "queue_fixture.h"
#include "store/queue.h"
#include "store/sqlite_tool.h"

#include <signal.h>
#include <sys/wait.h>

TestSuite(queue_faults, .init = folder_make, .fini = folder_remove); /* in SQLite */

Test(queue_faults, appends_all_or_nothing_when_the_disk_is_full_and_goes_on_later) {
    if (!folder_shrink(1024)) {
        cr_skip_test("mounting a small disk is refused here: %s", strerror(errno));
    }
    file_overwrite(in_folder("filler"), 0, (size_t)400 << 10, 1);
    wl_queue_t *queue = queue_open(WL_QUEUE_APPEND);
    static const char body[2000];
    uint64_t appended = 0;
    wl_err_t err = WL_OK;
    while (err == WL_OK && appended < 10000) {
        wl_queue_entry_t entries[5];
        for (unsigned i = 0; i < 5; i++) {
            entries[i] = entry_make("cash", body, sizeof body);
        }
        err = wl_queue_append(queue, entries, 5);
        appended += err == WL_OK ? 5 : 0;
        cr_assert(err == WL_OK || entries[0].id == 0);
    }
    cr_assert_eq(err, WL_ERR_NO_SPACE, "%s", wl_err_name(err));
    cr_assert_gt(appended, 0);
    uint64_t last = 0;
    cr_assert_eq(read_all(queue, 0, TOLD_MAX, &last), appended, "reads go on, nothing is halved");
    cr_assert_eq(stats(queue).entries, appended);
    cr_assert_eq(unlink(in_folder("filler")), 0);
    (void)append_one(queue, "cash");
    cr_assert_eq(stats(queue).entries, appended + 1);
    wl_queue_close(&queue);
    queue = queue_open(WL_QUEUE_SETTLE);
    cr_assert_eq(read_all(queue, 0, TOLD_MAX, &last), appended + 1);
    wl_queue_close(&queue);
}

Test(queue_faults, says_damaged_and_never_crashes_on_a_broken_file) {
    uint64_t random = 5;
    unsigned found = 0;
    for (unsigned round = 0; round < 10; round++) {
        wl_queue_t *queue = queue_open(WL_QUEUE_APPEND);
        for (unsigned i = 0; i < 50; i++) {
            static const char body[700];
            wl_queue_entry_t entries[10];
            for (unsigned k = 0; k < 10; k++) {
                entries[k] = entry_make("cash", body, sizeof body);
            }
            cr_assert_eq(wl_queue_append(queue, entries, 10), WL_OK);
        }
        wl_queue_close(&queue);
        const char *path = in_folder("queue.db");
        off_t pages = file_bytes(path) / 4096;
        if (round == 0) {
            file_overwrite(path, 0, 512, 0x77);
        } else if (round == 1) {
            cr_assert_eq(truncate(path, 4096 * (pages / 2)), 0);
        } else {
            for (unsigned i = 0; i < 4; i++) {
                off_t page = 1 + (off_t)random_below(&random, (uint32_t)pages - 1);
                file_overwrite(path, page * 4096, 4096, (int)(0x11 * round));
            }
        }
        wl_err_t err = wl_queue_open(&(wl_queue_options_t){.path = path, .use = WL_QUEUE_SETTLE},
                                     &queue, NULL);
        cr_assert(err == WL_OK || err == WL_ERR_DAMAGED, "%s", wl_err_name(err));
        if (err == WL_OK) {
            uint64_t last = 0;
            memset(&told, 0, sizeof told);
            err = wl_queue_read(queue, 0, TOLD_MAX, on_entry, &told, &last);
            cr_assert(err == WL_OK || err == WL_ERR_DAMAGED, "%s", wl_err_name(err));
            wl_queue_close(&queue);
        }
        found += err == WL_ERR_DAMAGED;
        cr_assert(round >= 2 || err == WL_ERR_DAMAGED);
        cr_assert_eq(unlink(path), 0);
    }
    cr_assert_geq(found, 8, "only %u of 10", found);
}

Test(queue_faults, hands_on_a_row_with_a_kind_or_line_that_it_does_not_know) {
    wl_queue_t *queue = queue_open(WL_QUEUE_APPEND);
    (void)append_one(queue, "cash");
    (void)append_one(queue, "cash");
    wl_queue_close(&queue);
    sqlite3 *raw = NULL;
    cr_assert_eq(sqlite3_open(in_folder("queue.db"), &raw), SQLITE_OK);
    cr_assert_eq(wl_sqlite_exec(raw, "UPDATE queue SET kind = 9, line = 'Not A Line' WHERE id = 2"),
                 WL_OK);
    wl_sqlite_close(&raw);
    queue = queue_open(WL_QUEUE_SETTLE);
    uint64_t last = 0;
    cr_assert_eq(read_all(queue, 0, 10, &last), 2);
    cr_assert((int)told.entry.kind == 9 && told.entry.line[0] == '\0');
    wl_queue_close(&queue);
}

/* The child: appends for ever and says each id that was acknowledged. */
static void append_for_ever(int pipe_end) {
    wl_queue_t *queue = queue_open(WL_QUEUE_APPEND);
    for (;;) {
        wl_queue_entry_t entries[3] = {entry_make("cash", "a", 1), entry_make("cash", "b", 1),
                                       entry_make("cash", "c", 1)};
        cr_assert_eq(wl_queue_append(queue, entries, 3), WL_OK);
        if (write(pipe_end, &entries[2].id, sizeof entries[2].id) < 0) {
            _exit(1);
        }
    }
}

Test(queue_faults, loses_no_acknowledged_entry_to_kill_9, .timeout = 60) {
    uint64_t random = 31337;
    uint64_t newest = 0;
    for (unsigned round = 0; round < 10; round++) {
        int ends[2];
        cr_assert_eq(pipe(ends), 0);
        pid_t child = fork();
        if (child == 0) {
            (void)close(ends[0]);
            append_for_ever(ends[1]);
        }
        (void)close(ends[1]);
        unsigned wanted = 1 + random_below(&random, 60);
        for (unsigned i = 0; i < wanted; i++) {
            cr_assert_eq(read(ends[0], &newest, sizeof newest), (ssize_t)sizeof newest);
        }
        cr_assert_eq(kill(child, SIGKILL), 0);
        cr_assert_eq(waitpid(child, NULL, 0), child);
        uint64_t more = 0;
        while (read(ends[0], &more, sizeof more) == (ssize_t)sizeof more) {
            newest = more;
        }
        (void)close(ends[0]);
        wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
        uint64_t last = 0;
        size_t count = read_all(queue, 0, TOLD_MAX, &last);
        cr_assert(last == newest || last == newest + 3);
        cr_assert_eq(count, last, "ids start at 1 and have no gap: every acked one is there");
        cr_assert_eq(stats(queue).entries, count);
        wl_queue_close(&queue);
    }
}
