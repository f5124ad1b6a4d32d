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
    cr_assert_eq(
        wl_queue_dead_discard(queue, 0, "cash", "known; don't ask", 10, on_retry, &told, &count),
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
