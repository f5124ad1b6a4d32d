#include "store/queue.h"

#include "base/alloc.h"
#include "flush_count.h"
#include "private_folder.h"
#include "store/queue_dead.h"
#include "store/sqlite_tool.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

TestSuite(queue, .init = folder_make, .fini = folder_remove);

static wl_queue_t *queue_open(wl_queue_use_t use) {
    wl_queue_t *queue = NULL;
    wl_fault_t fault = {0};
    wl_err_t err = wl_queue_open(in_folder("queue.db"), use, &queue, &fault);
    cr_assert_eq(err, WL_OK, "%s: %s", wl_err_name(err), fault.message);
    return queue;
}

static wl_queue_entry_t entry_make(const char *line, const void *body, size_t body_bytes) {
    wl_queue_entry_t entry = {.at = 1000, .kind = WL_ENTRY_CHANGES, .body = body,
                              .body_bytes = body_bytes};
    (void)snprintf(entry.line, sizeof entry.line, "%s", line);
    return entry;
}

static uint64_t append_one(wl_queue_t *queue, const char *line) {
    wl_queue_entry_t entry = entry_make(line, "body", 4);
    cr_assert_eq(wl_queue_append(queue, &entry, 1), WL_OK);
    return entry.id;
}

static wl_retry_row_t retry_make(uint64_t uid, const char *line, uint32_t attempts) {
    wl_retry_row_t row = {.uid = uid, .attempts = attempts, .due_at = 5000, .notified_at = 4000};
    (void)snprintf(row.line, sizeof row.line, "%s", line);
    (void)snprintf(row.reason, sizeof row.reason, "attempt %u", attempts);
    return row;
}

static wl_dead_letter_t letter_make(uint64_t uid, const char *line, const void *body,
                                    size_t body_bytes) {
    wl_dead_letter_t letter = {.uid = uid, .attempts = 5, .at = 777, .body = body,
                               .body_bytes = body_bytes};
    (void)snprintf(letter.line, sizeof letter.line, "%s", line);
    (void)snprintf(letter.reason, sizeof letter.reason, "the line said 404");
    return letter;
}

static wl_queue_stats_t stats(wl_queue_t *queue) {
    wl_queue_stats_t stats = {0};
    cr_assert_eq(wl_queue_stats(queue, &stats), WL_OK);
    return stats;
}

/* What callbacks were told. */
enum { TOLD_MAX = 4096 };
typedef struct {
    size_t count;
    uint64_t ids[TOLD_MAX];
    wl_queue_entry_t entry; /* the last one */
    char body[64];          /* copied: it is borrowed for the call */
    wl_retry_row_t rows[64];
    wl_dead_letter_t letter;
} told_t;

static void on_entry(const wl_queue_entry_t *entry, void *arg) {
    told_t *told = arg;
    cr_assert_lt(told->count, TOLD_MAX);
    told->ids[told->count++] = entry->id;
    told->entry = *entry;
    memcpy(told->body, entry->body, entry->body_bytes < 64 ? entry->body_bytes : 64);
}

static void on_retry(const wl_retry_row_t *row, void *arg) {
    told_t *told = arg;
    if (told->count < WL_COUNT_OF(told->rows)) {
        told->rows[told->count] = *row;
    }
    told->count++;
}

static void on_letter(const wl_dead_letter_t *letter, void *arg) {
    told_t *told = arg;
    told->ids[told->count++] = letter->id;
    told->letter = *letter;
    if (letter->body != NULL) {
        memcpy(told->body, letter->body, letter->body_bytes < 64 ? letter->body_bytes : 64);
    }
}

static told_t told;

static size_t read_all(wl_queue_t *queue, uint64_t after, size_t max, uint64_t *ret_last) {
    memset(&told, 0, sizeof told);
    cr_assert_eq(wl_queue_read(queue, after, max, on_entry, &told, ret_last), WL_OK);
    return told.count;
}

static size_t retries_all(wl_queue_t *queue) {
    memset(&told, 0, sizeof told);
    cr_assert_eq(wl_queue_retries(queue, on_retry, &told), WL_OK);
    return told.count;
}

static size_t letters_all(wl_queue_t *queue, const char *line, uint64_t before, size_t max) {
    memset(&told, 0, sizeof told);
    cr_assert_eq(wl_queue_dead_list(queue, line, before, max, on_letter, &told), WL_OK);
    return told.count;
}

Test(queue, gives_back_what_was_appended_in_order_and_in_pages) {
    wl_queue_t *intake = queue_open(WL_QUEUE_APPEND);
    wl_queue_t *dispatcher = queue_open(WL_QUEUE_SETTLE);
    wl_queue_entry_t entries[3] = {entry_make("cash", "one", 3), entry_make("coin", NULL, 0),
                                   entry_make("cash", "\0\xff", 2)};
    entries[2].kind = WL_ENTRY_REFRESH;
    entries[2].at = -1;
    cr_assert_eq(wl_queue_append(intake, entries, 0), WL_OK);
    cr_assert_eq(wl_queue_append(intake, entries, 3), WL_OK);
    cr_assert(entries[0].id > 0 && entries[1].id == entries[0].id + 1);
    uint64_t last = 99;
    cr_assert_eq(read_all(dispatcher, 0, 2, &last), 2);
    cr_assert_eq(last, entries[1].id);
    cr_assert_eq(told.entry.body_bytes, 0);
    cr_assert_str_eq(told.entry.line, "coin");
    cr_assert_eq(read_all(dispatcher, last, 100, &last), 1);
    cr_assert(last == entries[2].id && told.entry.kind == WL_ENTRY_REFRESH);
    cr_assert(told.entry.at == -1 && told.entry.body_bytes == 2);
    cr_assert_eq(memcmp(told.body, "\0\xff", 2), 0);
    cr_assert_eq(read_all(dispatcher, last, 100, &last), 0);
    cr_assert_eq(last, entries[2].id);
    wl_queue_entry_t big = entry_make("cash", "", WL_MESSAGE_BYTES_MAX + 1);
    cr_assert_eq(wl_queue_append(intake, &big, 1), WL_ERR_TOO_BIG);
    wl_queue_close(&intake);
    wl_queue_close(&dispatcher);
    wl_queue_close(&dispatcher);
}

Test(queue, never_uses_an_id_twice_though_everything_was_acknowledged) {
    wl_queue_t *queue = queue_open(WL_QUEUE_APPEND);
    uint64_t id = 0;
    for (unsigned i = 0; i < 20; i++) {
        uint64_t next = append_one(queue, "cash");
        cr_assert_gt(next, id);
        id = next;
        cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.acks = &id, .ack_count = 1}), WL_OK);
        cr_assert_eq(stats(queue).entries, 0);
        if (i % 5 == 4) {
            wl_queue_close(&queue);
            queue = queue_open(WL_QUEUE_APPEND);
        }
    }
    wl_queue_close(&queue);
}

Test(queue, settles_retries_ends_letters_and_acks_in_one_step) {
    wl_queue_t *intake = queue_open(WL_QUEUE_APPEND);
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    uint64_t acks[] = {append_one(intake, "cash"), append_one(intake, "cash"), 4711};
    wl_retry_row_t retries[] = {retry_make(UINT64_MAX, "cash", 1), retry_make(2, "coin", 1)};
    wl_dead_letter_t dead[] = {letter_make(3, "cash", NULL, 0), letter_make(0, "cash", "", 0)};
    cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.retries = retries,
                                                       .retry_count = 2,
                                                       .dead = dead,
                                                       .dead_count = 2,
                                                       .acks = acks,
                                                       .ack_count = 3}),
                 WL_OK);
    wl_queue_stats_t now = stats(queue);
    cr_assert(now.entries == 0 && now.retries == 2 && now.dead == 2 && now.oldest_at == 0);
    wl_retry_row_t again = retry_make(2, "coin", 2);
    wl_retry_row_t ends[] = {retry_make(UINT64_MAX, "cash", 0), retry_make(99, "cash", 0)};
    cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.retries = &again,
                                                       .retry_count = 1,
                                                       .retry_ends = ends,
                                                       .retry_end_count = 2}),
                 WL_OK);
    cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){0}), WL_OK);
    wl_queue_close(&queue);
    queue = queue_open(WL_QUEUE_SETTLE);
    cr_assert_eq(retries_all(queue), 1);
    cr_assert(told.rows[0].uid == 2 && told.rows[0].attempts == 2 && told.rows[0].due_at == 5000);
    cr_assert_str_eq(told.rows[0].reason, "attempt 2");
    cr_assert_str_eq(told.rows[0].line, "coin");
    cr_assert_eq(told.rows[0].notified_at, 4000);
    cr_assert_eq(stats(queue).retries, 1);
    wl_queue_close(&queue);
    wl_queue_close(&intake);
}

Test(queue, lists_letters_newest_first_by_line_and_page) {
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    for (uint64_t uid = 1; uid <= 10; uid++) {
        wl_dead_letter_t letter =
            letter_make(uid, uid % 2 == 0 ? "coin" : "cash", uid == 10 ? "bytes" : NULL,
                        uid == 10 ? 5 : 0);
        cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.dead = &letter, .dead_count = 1}),
                     WL_OK);
    }
    cr_assert_eq(letters_all(queue, NULL, 0, 4), 4);
    cr_assert(told.ids[0] > told.ids[1] && told.letter.uid == 7);
    cr_assert_eq(letters_all(queue, NULL, told.ids[3], 100), 6);
    cr_assert_eq(letters_all(queue, "coin", 0, 100), 5);
    uint64_t with_body = told.ids[0];
    cr_assert_eq(letters_all(queue, "none", 0, 100), 0);
    cr_assert_eq(letters_all(queue, NULL, 1, 100), 0);
    memset(&told, 0, sizeof told);
    cr_assert_eq(wl_queue_dead_get(queue, with_body, on_letter, &told), WL_OK);
    cr_assert(told.letter.uid == 10 && told.letter.body_bytes == 5 && told.letter.at == 777);
    cr_assert(told.letter.attempts == 5 && memcmp(told.body, "bytes", 5) == 0);
    cr_assert_str_eq(told.letter.reason, "the line said 404");
    cr_assert_eq(wl_queue_dead_get(queue, 4711, on_letter, &told), WL_ERR_NOT_FOUND);
    cr_assert_eq(wl_queue_dead_get(queue, UINT64_MAX, on_letter, &told), WL_ERR_NOT_FOUND);
    cr_assert_eq(wl_queue_dead_get(queue, 0, on_letter, &told), WL_ERR_NOT_FOUND);
    wl_queue_close(&queue);
}

Test(queue, redrives_letters_as_retries_that_are_due_and_leaves_damaged_entries) {
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    wl_dead_letter_t dead[] = {letter_make(1, "cash", NULL, 0), letter_make(2, "coin", NULL, 0),
                               letter_make(0, "cash", "garbage", 7),
                               letter_make(3, "cash", NULL, 0), letter_make(1, "cash", NULL, 0)};
    wl_retry_row_t waiting = retry_make(3, "cash", 4);
    cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.dead = dead,
                                                       .dead_count = 5,
                                                       .retries = &waiting,
                                                       .retry_count = 1}),
                 WL_OK);
    uint64_t count = 9;
    memset(&told, 0, sizeof told);
    cr_assert_eq(wl_queue_dead_redrive(queue, 3, NULL, 10, 1, on_retry, &told, &count),
                 WL_ERR_NOT_FOUND, "a damaged entry");
    cr_assert_eq(wl_queue_dead_redrive(queue, 99, NULL, 10, 1, on_retry, &told, &count),
                 WL_ERR_NOT_FOUND);
    cr_assert(count == 9 && told.count == 0);
    cr_assert_eq(wl_queue_dead_redrive(queue, 2, NULL, 10, 6000, on_retry, &told, &count), WL_OK);
    cr_assert(count == 1 && told.count == 1 && told.rows[0].uid == 2);
    cr_assert(told.rows[0].due_at == 6000 && told.rows[0].attempts == 0);
    cr_assert_eq(wl_queue_dead_redrive(queue, 0, "cash", 1, 6000, NULL, NULL, &count), WL_OK);
    cr_assert_eq(count, 1, "max");
    memset(&told, 0, sizeof told);
    cr_assert_eq(wl_queue_dead_redrive(queue, 0, NULL, SIZE_MAX, 7000, on_retry, &told, &count),
                 WL_OK);
    cr_assert(count == 2 && told.count == 2);
    cr_assert_eq(wl_queue_dead_redrive(queue, 0, NULL, 10, 1, on_retry, &told, &count), WL_OK);
    cr_assert_eq(count, 0);
    wl_queue_close(&queue);
    queue = queue_open(WL_QUEUE_SETTLE);
    wl_queue_stats_t now = stats(queue);
    cr_assert(now.dead == 1 && now.retries == 3, "one row a (uid, line)");
    cr_assert_eq(retries_all(queue), 3);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert(told.rows[i].attempts == 0 && told.rows[i].due_at >= 6000);
    }
    wl_queue_close(&queue);
}

Test(queue, discards_letters_and_keeps_a_note) {
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    wl_dead_letter_t dead[] = {letter_make(1, "cash", NULL, 0), letter_make(0, "cash", "x", 1),
                               letter_make(2, "coin", NULL, 0)};
    cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.dead = dead, .dead_count = 3}), WL_OK);
    uint64_t count = 0;
    cr_assert_eq(wl_queue_dead_discard(queue, 77, NULL, "?", 1, &count), WL_ERR_NOT_FOUND);
    cr_assert_eq(wl_queue_dead_discard(queue, 0, "cash", "known; don't ask", 10, &count), WL_OK);
    cr_assert_eq(count, 2);
    cr_assert_eq(wl_queue_dead_discard(queue, 3, NULL, NULL, 10, &count), WL_OK);
    cr_assert(count == 1 && stats(queue).dead == 0 && letters_all(queue, NULL, 0, 9) == 0);
    wl_queue_close(&queue);
    sqlite3 *raw = NULL;
    int64_t rows = 0;
    cr_assert_eq(sqlite3_open(in_folder("queue.db"), &raw), SQLITE_OK);
    cr_assert_eq(wl_sqlite_number(raw, "SELECT count(*) FROM audit WHERE note ="
                                       " 'known; don''t ask' AND what LIKE '%line=cash count=2'"
                                       " AND at > 1600000000000", &rows), WL_OK);
    cr_assert_eq(rows, 1);
    wl_sqlite_close(&raw);
}

Test(queue, flushes_every_append_and_every_word_of_an_operator_but_no_settlement) {
    wl_queue_t *intake = queue_open(WL_QUEUE_APPEND);
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    (void)append_one(intake, "cash"); /* the first use of a WAL flushes its header as well */
    for (unsigned i = 0; i < 10; i++) {
        unsigned before = atomic_load(&flush_count);
        (void)append_one(intake, "cash");
        cr_assert_eq(atomic_load(&flush_count), before + 1);
    }
    wl_dead_letter_t letter = letter_make(1, "cash", NULL, 0);
    uint64_t count = 0;
    for (unsigned i = 0; i < 10; i++) {
        unsigned before = atomic_load(&flush_count);
        cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.dead = &letter, .dead_count = 1}),
                     WL_OK);
        cr_assert_eq(atomic_load(&flush_count), before);
        cr_assert_eq(wl_queue_dead_discard(queue, 0, NULL, "", 1, &count), WL_OK);
        cr_assert_geq(atomic_load(&flush_count), before + 1);
    }
    wl_queue_close(&queue);
    wl_queue_close(&intake);
}

/* ---- random settlements against counted rows ---- */

Test(queue, keeps_its_counts_right_over_random_settlements) {
    enum { ROUNDS = 200, USERS = 12 };
    uint64_t random = 424242;
    wl_queue_t *queue = queue_open(WL_QUEUE_APPEND);
    static uint64_t live[ROUNDS * 8];
    size_t live_count = 0;
    bool retrying[USERS] = {false};
    uint64_t dead = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = random_below(&random, 8); i > 0; i--) {
            live[live_count++] = append_one(queue, "cash");
        }
        uint64_t acks[8];
        size_t ack_count = 0;
        for (; ack_count < 8 && live_count > 0 && random_below(&random, 3) > 0; ack_count++) {
            size_t at = random_below(&random, (uint32_t)live_count);
            acks[ack_count] = live[at];
            memmove(&live[at], &live[at + 1], (live_count - at - 1) * sizeof *live);
            live_count--;
        }
        uint32_t put = random_below(&random, USERS);
        uint32_t end = random_below(&random, USERS);
        wl_retry_row_t retry = retry_make(put, "cash", round);
        wl_retry_row_t retry_end = retry_make(end, "cash", 0);
        wl_dead_letter_t letter = letter_make(put, "cash", NULL, 0);
        wl_settle_t settle = {.retries = &retry,
                              .retry_count = 1,
                              .retry_ends = &retry_end,
                              .retry_end_count = 1,
                              .dead = &letter,
                              .dead_count = random_below(&random, 2),
                              .acks = acks,
                              .ack_count = ack_count};
        cr_assert_eq(wl_queue_settle(queue, &settle), WL_OK);
        retrying[put] = true;
        retrying[end] = false;
        dead += settle.dead_count;
        uint64_t retries = 0;
        for (unsigned i = 0; i < USERS; i++) {
            retries += retrying[i];
        }
        wl_queue_stats_t now = stats(queue);
        cr_assert(now.entries == live_count && now.retries == retries && now.dead == dead);
        cr_assert_eq(now.oldest_at, live_count > 0 ? 1000 : 0);
    }
    uint64_t last = 0;
    cr_assert_eq(read_all(queue, 0, TOLD_MAX, &last), live_count);
    cr_assert_eq(memcmp(told.ids, live, live_count * sizeof *live), 0);
    wl_queue_close(&queue);
}

/* ---- two threads ---- */

enum { THREAD_ROUNDS = 150 };

static void *append_thread(void *arg) {
    wl_queue_t *queue = queue_open(WL_QUEUE_APPEND);
    (void)arg;
    for (unsigned i = 0; i < THREAD_ROUNDS; i++) {
        wl_queue_entry_t entries[4] = {entry_make("cash", "a", 1), entry_make("cash", "b", 1),
                                       entry_make("cash", "c", 1), entry_make("cash", "d", 1)};
        cr_assert_eq(wl_queue_append(queue, entries, 4), WL_OK);
    }
    wl_queue_close(&queue);
    return NULL;
}

Test(queue, serves_two_appending_threads_and_a_settling_one_at_once) {
    enum { ALL = 2 * THREAD_ROUNDS * 4 };
    pthread_t threads[2];
    for (unsigned i = 0; i < 2; i++) { /* all three create the file */
        cr_assert_eq(pthread_create(&threads[i], NULL, append_thread, NULL), 0);
    }
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    uint64_t after = 0;
    size_t seen = 0;
    while (seen < ALL) {
        uint64_t before = after;
        size_t count = read_all(queue, after, 64, &after);
        for (size_t i = 0; i < count; i++) {
            cr_assert_gt(told.ids[i], i == 0 ? before : told.ids[i - 1]);
        }
        cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.acks = told.ids, .ack_count = count}),
                     WL_OK);
        seen += count;
    }
    for (unsigned i = 0; i < 2; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    cr_assert(seen == ALL && stats(queue).entries == 0);
    wl_queue_close(&queue);
}

/* ---- a full disk, damage, a kill ---- */

Test(queue, appends_all_or_nothing_when_the_disk_is_full_and_goes_on_later) {
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

Test(queue, says_damaged_and_never_crashes_on_a_broken_file) {
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
        wl_err_t err = wl_queue_open(path, WL_QUEUE_SETTLE, &queue, NULL);
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

Test(queue, hands_on_a_row_with_a_kind_or_line_that_it_does_not_know) {
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

Test(queue, loses_no_acknowledged_entry_to_kill_9, .timeout = 60) {
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
