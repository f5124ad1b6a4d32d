#include "store/queue.h"

#include "flush_count.h"
#include "queue_fixture.h"

#include <pthread.h>

/* The Redis servers are those of tests/stores.h. */
QUEUE_SUITES;

QUEUE_TEST(gives_back_what_was_appended_in_order_and_in_pages) {
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

QUEUE_TEST(never_uses_an_id_twice_though_everything_was_acknowledged) {
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    uint64_t id = 0;
    for (unsigned i = 0; i < 20; i++) {
        uint64_t last = 0;
        uint64_t next = append_one(queue, "cash");
        cr_assert_gt(next, id);
        cr_assert_eq(read_all(queue, id, 9, &last), 1);
        cr_assert_eq(last, next);
        id = next;
        cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.acks = &id, .ack_count = 1}), WL_OK);
        cr_assert_eq(stats(queue).entries, 0);
        if (i % 5 == 4) {
            wl_queue_close(&queue);
            queue = queue_open(WL_QUEUE_SETTLE);
        }
    }
    wl_queue_close(&queue);
}

QUEUE_TEST(settles_retries_ends_letters_and_acks_in_one_step) {
    wl_queue_t *intake = queue_open(WL_QUEUE_APPEND);
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    uint64_t acks[] = {append_one(intake, "cash"), append_one(intake, "cash"), 4711};
    uint64_t last = 0;
    cr_assert_eq(read_all(queue, 0, 9, &last), 2);
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

Test(queue_sqlite, flushes_every_append_and_every_word_of_an_operator_but_no_settlement) {
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

QUEUE_TEST(keeps_its_counts_right_over_random_settlements) {
    enum { ROUNDS = 200, USERS = 12 };
    uint64_t random = 424242;
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    uint64_t last = 0;
    static uint64_t live[ROUNDS * 8];
    size_t live_count = 0;
    bool retrying[USERS] = {false};
    uint64_t dead = 0;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = random_below(&random, 8); i > 0; i--) {
            live[live_count++] = append_one(queue, "cash");
        }
        (void)read_all(queue, last, 100, &last);
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

QUEUE_TEST(serves_two_appending_threads_and_a_settling_one_at_once) {
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
