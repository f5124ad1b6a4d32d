#include "store/queue_dead.h"

#include "queue_fixture.h"
#include "store/sqlite_tool.h"

/* The Redis servers are those of tests/stores.h. */
QUEUE_SUITES;

QUEUE_TEST(lists_letters_newest_first_by_line_and_page) {
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    for (uint64_t uid = 1; uid <= 10; uid++) {
        wl_dead_letter_t letter = letter_make(uid, uid % 2 == 0 ? "coin" : "cash",
                                              uid == 10 ? "bytes" : NULL, uid == 10 ? 5 : 0);
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

static void classes_expect(wl_queue_t *queue, uint64_t timeouts, uint64_t refused,
                           uint64_t damaged) {
    uint64_t counts[WL_FAILURE_COUNT];
    cr_assert_eq(wl_queue_dead_classes(queue, counts), WL_OK);
    for (unsigned i = 0; i < WL_FAILURE_COUNT; i++) {
        uint64_t expected = i == WL_FAILURE_TIMEOUT       ? timeouts
                            : i == WL_FAILURE_REFUSED     ? refused
                            : i == WL_FAILURE_UNDECODABLE ? damaged
                                                          : 0;
        cr_assert_eq(counts[i], expected, "%s: %llu, not %llu", wl_failure_word(i),
                     (unsigned long long)counts[i], (unsigned long long)expected);
    }
}

static size_t letters_of(wl_queue_t *queue, wl_dead_filter_t filter) {
    memset(&told, 0, sizeof told);
    cr_assert_eq(wl_queue_dead_list(queue, &filter, 0, 1000, on_letter, &told), WL_OK);
    return told.count;
}

QUEUE_TEST(counts_and_filters_letters_by_class_and_user) {
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    uint64_t count = 0;
    classes_expect(queue, 0, 0, 0);
    for (uint64_t uid = 1; uid <= 30; uid++) {
        bool bytes = uid % 10 == 0;
        wl_dead_letter_t letter =
            letter_make(bytes ? 0 : uid % 5 + 1, uid % 2 == 0 ? "coin" : "cash",
                        bytes ? "bytes" : NULL, bytes ? 5 : 0);
        letter.failure = bytes          ? WL_FAILURE_UNDECODABLE
                         : uid % 3 == 0 ? WL_FAILURE_TIMEOUT
                                        : WL_FAILURE_REFUSED;
        cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.dead = &letter, .dead_count = 1}),
                     WL_OK);
    }
    classes_expect(queue, 9, 18, 3);
    cr_assert_eq(letters_of(queue, (wl_dead_filter_t){.failure = WL_FAILURE_TIMEOUT}), 9u);
    cr_assert_eq(told.letter.failure, WL_FAILURE_TIMEOUT);
    cr_assert_eq(letters_of(queue, (wl_dead_filter_t){.failure = WL_FAILURE_STORE}), 0u);
    cr_assert_eq(letters_of(queue, (wl_dead_filter_t){.uid = 3}), 6u);
    cr_assert_eq(told.letter.uid, 3u);
    cr_assert_eq(letters_of(queue, (wl_dead_filter_t){.uid = 3, .line = "cash"}), 3u);
    cr_assert_eq(
        letters_of(queue,
                   (wl_dead_filter_t){.line = "coin", .failure = WL_FAILURE_REFUSED, .uid = 3}),
        2u);
    cr_assert_eq(wl_queue_dead_redrive(queue, 0, &(wl_dead_filter_t){.failure = WL_FAILURE_TIMEOUT},
                                       100, 6000, NULL, NULL, &count),
                 WL_OK);
    cr_assert_eq(count, 9u);
    classes_expect(queue, 0, 18, 3);
    cr_assert_eq(wl_queue_dead_redrive(queue, 0,
                                       &(wl_dead_filter_t){.failure = WL_FAILURE_UNDECODABLE}, 100,
                                       6000, NULL, NULL, &count),
                 WL_OK);
    cr_assert_eq(count, 0u, "nobody can try those again");
    cr_assert_eq(wl_queue_dead_forget(queue, 3, "cash", &count), WL_OK);
    classes_expect(queue, 0, 18 - count, 3);
    uint64_t left = 18 - count;
    cr_assert_eq(wl_queue_dead_discard(queue, 0, &(wl_dead_filter_t){.uid = 3}, "x", 100, NULL,
                                       NULL, &count),
                 WL_OK);
    classes_expect(queue, 0, left - count, 3);
    cr_assert_eq(wl_queue_dead_discard(queue, 0, NULL, "x", 100, NULL, NULL, &count), WL_OK);
    classes_expect(queue, 0, 0, 0);
    wl_queue_close(&queue);
}

static void on_history(const wl_retry_row_t *row, void *arg) {
    (void)arg;
    cr_assert_eq(row->history_bytes, 6u);
    cr_assert_eq(memcmp(row->history, "\1a\0b\nc", 6), 0);
    cr_assert_str_eq(row->reason, "attempt 2");
    told.count++;
}

static void on_letter_history(const wl_dead_letter_t *letter, void *arg) {
    (void)arg;
    cr_assert_eq(letter->history_bytes, 6u);
    cr_assert_eq(memcmp(letter->history, "\1a\0b\nc", 6), 0);
    told.count++;
}

static void on_entry_history(const wl_queue_entry_t *entry, void *arg) {
    (void)arg;
    cr_assert_eq(entry->history_bytes, 6u);
    cr_assert_eq(memcmp(entry->history, "\1a\0b\nc", 6), 0);
    told.count++;
}

/* Any bytes: the queue does not know what they mean. */
QUEUE_TEST(keeps_histories_with_retries_and_letters_and_redrives_them) {
    enum { MANY = 200 }; /* more than one page of letters in Redis */
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    wl_retry_row_t row = retry_make(1, "cash", 2);
    row.history = "\1a\0b\nc";
    row.history_bytes = 6;
    cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.retries = &row, .retry_count = 1}), WL_OK);
    memset(&told, 0, sizeof told);
    cr_assert_eq(wl_queue_retries(queue, on_history, NULL), WL_OK);
    cr_assert_eq(told.count, 1u);
    for (uint64_t uid = 1; uid <= MANY; uid++) {
        wl_dead_letter_t letter = letter_make(uid, "cash", NULL, 0);
        letter.history = row.history;
        letter.history_bytes = row.history_bytes;
        cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.dead = &letter,
                                                           .dead_count = 1,
                                                           .retry_ends = &row,
                                                           .retry_end_count = 1}),
                     WL_OK);
    }
    told.count = 0;
    cr_assert_eq(wl_queue_dead_list(queue, NULL, 0, 1000, on_letter_history, NULL), WL_OK);
    cr_assert_eq(told.count, (size_t)MANY);
    uint64_t count = 0;
    uint64_t last = 0;
    cr_assert_eq(wl_queue_dead_redrive(queue, 0, NULL, 1000, 6000, NULL, NULL, &count), WL_OK);
    cr_assert_eq(count, (uint64_t)MANY);
    told.count = 0;
    if (queue_backend == IN_SQLITE) {
        cr_assert_eq(stats(queue).retries, (uint64_t)MANY);
        memset(&told, 0, sizeof told);
        (void)retries_all(queue);
        cr_assert_eq(told.rows[0].history_bytes, 6u);
    } else {
        cr_assert_eq(wl_queue_read(queue, 0, 1000, on_entry_history, NULL, &last), WL_OK);
        cr_assert_eq(told.count, (size_t)MANY);
    }
    wl_queue_close(&queue);
}

/* Letters and retries of a program before classes and histories. */
Test(queue_sqlite, reads_a_file_of_the_schema_before_classes) {
    enum { OLD = 2500 }; /* more than one transaction gives classes to */
    sqlite3 *raw = NULL;
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    wl_retry_row_t row = retry_make(9, "cash", 2);
    cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.retries = &row, .retry_count = 1}), WL_OK);
    wl_queue_close(&queue);
    cr_assert_eq(sqlite3_open(in_folder("queue.db"), &raw), SQLITE_OK);
    cr_assert_eq(wl_sqlite_exec(raw, "DROP TRIGGER dead_born; DROP TRIGGER dead_gone;"
                                     "DROP TRIGGER dead_told; DROP TABLE dead_class;"
                                     "DROP INDEX dead_letter_class;"
                                     "ALTER TABLE dead_letter DROP COLUMN class;"
                                     "ALTER TABLE dead_letter DROP COLUMN history;"
                                     "ALTER TABLE retry DROP COLUMN history;"
                                     "DELETE FROM schema_version WHERE version = 4;"
                                     "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1"
                                     " FROM n WHERE i < 2500)"
                                     "INSERT INTO dead_letter(uid, line, attempts, at, reason)"
                                     " SELECT i, 'cash', 3, 77, CASE i % 2 WHEN 0 THEN 'HTTP 404'"
                                     " ELSE 'no answer within 9 ms' END FROM n;"
                                     "UPDATE tally SET dead = 2500"),
                 WL_OK);
    wl_sqlite_close(&raw);
    queue = queue_open(WL_QUEUE_SETTLE);
    classes_expect(queue, OLD / 2, OLD / 2, 0);
    cr_assert_eq(letters_of(queue, (wl_dead_filter_t){.uid = 2}), 1u);
    cr_assert(told.letter.failure == WL_FAILURE_REFUSED && told.letter.history_bytes == 0);
    cr_assert_eq(retries_all(queue), 1u);
    cr_assert_eq(told.rows[0].history_bytes, 0u);
    wl_queue_close(&queue);
}

/* The same in Redis, where they stay as they are. */
Test(queue_redis, reads_letters_and_retries_without_class_and_history) {
    queue_backend = IN_REDIS;
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    wl_redis_t *redis = client_with(queue_redis());
    char words[200];
    (void)snprintf(words, sizeof words, "XADD %s 5 uid 7 line cash attempts 3 at 9 reason HTTP_404",
                   queue_key(0, "dead"));
    (void)ask(redis, queue_key(0, "dead"), words);
    (void)snprintf(words, sizeof words, "XADD %s 6 uid 8 line cash attempts 3 at 9 reason timeout:",
                   queue_key(0, "dead"));
    (void)ask(redis, queue_key(0, "dead"), words);
    uint64_t counts[WL_FAILURE_COUNT];
    uint64_t count = 0;
    cr_assert_eq(wl_queue_dead_classes(queue, counts), WL_OK);
    cr_assert_eq(counts[WL_FAILURE_OTHER], 2u);
    cr_assert_eq(letters_of(queue, (wl_dead_filter_t){.uid = 7}), 1u);
    cr_assert(told.letter.failure == WL_FAILURE_OTHER && told.letter.history == NULL);
    wl_dead_letter_t letter = letter_make(9, "cash", NULL, 0);
    letter.failure = WL_FAILURE_TIMEOUT;
    cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.dead = &letter, .dead_count = 1}), WL_OK);
    cr_assert_eq(
        wl_queue_dead_discard(queue, 0, &(wl_dead_filter_t){.uid = 7}, "x", 9, NULL, NULL, &count),
        WL_OK);
    cr_assert_eq(wl_queue_dead_classes(queue, counts), WL_OK);
    cr_assert(counts[WL_FAILURE_OTHER] == 1 && counts[WL_FAILURE_TIMEOUT] == 1);
    (void)snprintf(words, sizeof words, "DEL %s", queue_key(0, "dead")); /* behind our back */
    (void)ask(redis, queue_key(0, "dead"), words);
    cr_assert_eq(wl_queue_dead_classes(queue, counts), WL_OK);
    cr_assert_eq(counts[WL_FAILURE_TIMEOUT], 0u);
    wl_redis_destroy(&redis);
    wl_queue_close(&queue);
}

Test(queue_sqlite, redrives_letters_as_retries_that_are_due_and_leaves_damaged_entries) {
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    wl_dead_letter_t dead[] = {letter_make(1, "cash", NULL, 0), letter_make(2, "coin", NULL, 0),
                               letter_make(0, "cash", "garbage", 7),
                               letter_make(3, "cash", NULL, 0), letter_make(1, "cash", NULL, 0)};
    wl_retry_row_t waiting = retry_make(3, "cash", 4);
    cr_assert_eq(
        wl_queue_settle(
            queue,
            &(wl_settle_t){.dead = dead, .dead_count = 5, .retries = &waiting, .retry_count = 1}),
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
    cr_assert_eq(wl_queue_dead_redrive(queue, 0, LINE_IS("cash"), 1, 6000, NULL, NULL, &count),
                 WL_OK);
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

/* The note of the operator stands in the audit, behind what was done. */
static void audit_check(void) {
    if (queue_backend != IN_SQLITE) {
        wl_redis_t *redis = client_with(queue_redis());
        char words[120];
        (void)snprintf(words, sizeof words, "LINDEX %s 1", queue_key(0, "audit"));
        answer_t answer = ask(redis, queue_key(0, "audit"), words);
        cr_assert_not_null(strstr(answer.text, " operator dead.discard id=0 line=cash count=2 "
                                               "known; don't ask"),
                           "%s", answer.text);
        wl_redis_destroy(&redis);
        return;
    }
    sqlite3 *raw = NULL;
    int64_t rows = 0;
    cr_assert_eq(sqlite3_open(in_folder("queue.db"), &raw), SQLITE_OK);
    cr_assert_eq(wl_sqlite_number(raw,
                                  "SELECT count(*) FROM audit WHERE note ="
                                  " 'known; don''t ask' AND what LIKE '%line=cash count=2'"
                                  " AND at > 1600000000000",
                                  &rows),
                 WL_OK);
    cr_assert_eq(rows, 1);
    wl_sqlite_close(&raw);
}

QUEUE_TEST(discards_letters_and_keeps_a_note) {
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    wl_dead_letter_t dead[] = {letter_make(1, "cash", NULL, 0), letter_make(0, "cash", "x", 1),
                               letter_make(2, "coin", NULL, 0)};
    cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.dead = dead, .dead_count = 3}), WL_OK);
    uint64_t count = 0;
    cr_assert_eq(wl_queue_dead_discard(queue, 77, NULL, "?", 1, NULL, NULL, &count),
                 WL_ERR_NOT_FOUND);
    memset(&told, 0, sizeof told);
    cr_assert_eq(wl_queue_dead_discard(queue, 0, LINE_IS("cash"), "known; don't ask", 10, on_retry,
                                       &told, &count),
                 WL_OK);
    cr_assert_eq(count, 2);
    cr_assert(told.count == 1 && told.rows[0].uid == 1, "the letter of nobody is not told");
    cr_assert_str_eq(told.rows[0].line, "cash");
    cr_assert_eq(letters_all(queue, "coin", 0, 9), 1);
    cr_assert_eq(wl_queue_dead_discard(queue, told.ids[0], NULL, NULL, 10, NULL, NULL, &count),
                 WL_OK);
    cr_assert(count == 1 && stats(queue).dead == 0 && letters_all(queue, NULL, 0, 9) == 0);
    wl_queue_close(&queue);
    audit_check();
}

QUEUE_TEST(forgets_the_letters_of_one_user_of_one_line) {
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    enum { OTHERS = 2500 }; /* more than one step looks at */
    for (uint64_t i = 0; i < OTHERS; i++) {
        wl_dead_letter_t dead[] = {letter_make(7, i % 1000 == 0 ? "cash" : "coin", NULL, 0),
                                   letter_make(1000 + i, "cash", NULL, 0)};
        cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.dead = dead, .dead_count = 2}), WL_OK);
    }
    uint64_t count = 9;
    cr_assert_eq(wl_queue_dead_forget(queue, 0, "cash", &count), WL_ERR_NOT_FOUND);
    cr_assert_eq(wl_queue_dead_forget(queue, 8, "cash", &count), WL_OK);
    cr_assert_eq(count, 0);
    cr_assert_eq(wl_queue_dead_forget(queue, 7, "cash", &count), WL_OK);
    cr_assert_eq(count, 3);
    cr_assert_eq(stats(queue).dead, 2 * OTHERS - 3);
    cr_assert_eq(wl_queue_dead_forget(queue, 7, "cash", &count), WL_OK);
    cr_assert_eq(count, 0);
    cr_assert_eq(wl_queue_dead_forget(queue, 7, "coin", &count), WL_OK);
    cr_assert_eq(count, OTHERS - 3);
    cr_assert_eq(letters_all(queue, "coin", 0, 10), 0);
    wl_queue_close(&queue);
}
