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
        cr_assert_eq(wl_queue_dead_discard(queue, 0, NULL, "", 1, NULL, NULL, &count), WL_OK);
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

/* ---- random work against a naive model ---- */

enum { MODEL_ENTRIES = 4000, MODEL_USERS = 9 };

typedef struct {
    wl_queue_t *intake;
    wl_queue_t *queue;
    uint64_t random;
    uint64_t epoch;
    uint64_t live[MODEL_ENTRIES]; /* not acknowledged, ascending */
    size_t live_count;
    uint64_t cursor;                /* everything up to here was read since the claim */
    uint32_t attempts[MODEL_USERS]; /* of retries, 0 = none */
    uint64_t dead;
} model_t;

static void model_append(model_t *self) {
    static const char body[600];
    wl_queue_entry_t entries[40];
    size_t count = 1 + random_below(&self->random, 40);
    for (size_t i = 0; i < count; i++) {
        entries[i] = entry_make("cash", body, random_below(&self->random, sizeof body));
    }
    cr_assert_eq(wl_queue_append(self->intake, entries, count), WL_OK);
    for (size_t i = 0; i < count && self->live_count < MODEL_ENTRIES; i++) {
        cr_assert(self->live_count == 0 || entries[i].id > self->live[self->live_count - 1]);
        self->live[self->live_count++] = entries[i].id;
    }
}

/* From the cursor, or once more from somewhere before it. */
static void model_read(model_t *self) {
    uint64_t after = self->cursor;
    if (self->live_count > 0 && random_below(&self->random, 3) == 0) {
        uint64_t any = self->live[random_below(&self->random, (uint32_t)self->live_count)] - 1;
        after = any < after ? any : after;
    }
    size_t max = 1 + random_below(&self->random, 100);
    uint64_t last = 0;
    size_t count = read_all(self->queue, after, max, &last);
    size_t at = 0;
    while (at < self->live_count && self->live[at] <= after) {
        at++;
    }
    size_t there = self->live_count - at < max ? self->live_count - at : max;
    cr_assert_eq(count, there);
    cr_assert_eq(memcmp(told.ids, self->live + at, count * sizeof *told.ids), 0);
    cr_assert_eq(last, count == 0 ? after : told.ids[count - 1]);
    self->cursor = last > self->cursor ? last : self->cursor;
}

static void model_settle(model_t *self) {
    uint64_t acks[60];
    wl_settle_t settle = {.acks = acks};
    size_t at = 0;
    while (at < self->live_count && self->live[at] <= self->cursor && settle.ack_count < 60) {
        if (random_below(&self->random, 3) > 0) {
            acks[settle.ack_count++] = self->live[at];
            memmove(&self->live[at], &self->live[at + 1],
                    (self->live_count - at - 1) * sizeof *self->live);
            self->live_count--;
        } else {
            at++;
        }
    }
    uint32_t put = random_below(&self->random, MODEL_USERS);
    uint32_t end = random_below(&self->random, MODEL_USERS);
    wl_retry_row_t retry = retry_make(put, "cash", 1 + random_below(&self->random, 50));
    wl_retry_row_t retry_end = retry_make(end, "cash", 0);
    wl_dead_letter_t letter = letter_make(put, "cash", NULL, 0);
    settle.retries = &retry;
    settle.retry_ends = &retry_end;
    settle.dead = &letter;
    settle.retry_count = random_below(&self->random, 2);
    settle.retry_end_count = random_below(&self->random, 2);
    settle.dead_count = random_below(&self->random, 2);
    cr_assert_eq(wl_queue_settle(self->queue, &settle), WL_OK);
    self->attempts[put] = settle.retry_count > 0 ? retry.attempts : self->attempts[put];
    self->attempts[end] = settle.retry_end_count > 0 ? 0 : self->attempts[end];
    self->dead += settle.dead_count;
}

/* The dispatcher dies with what it had in hand; the next one is another process. */
static void model_crash(model_t *self) {
    char name[16];
    wl_queue_close(&self->queue);
    (void)snprintf(name, sizeof name, "walletd%u", random_below(&self->random, 3));
    self->queue = queue_open_as((queue_way_t){.use = WL_QUEUE_SETTLE, .consumer = name});
    cr_assert_eq(wl_queue_claim(self->queue, ++self->epoch), WL_OK);
    self->cursor = 0;
}

static void model_check(model_t *self) {
    wl_queue_stats_t now = stats(self->queue);
    uint32_t retries = 0;
    cr_assert_eq(now.entries, self->live_count);
    cr_assert_eq(now.dead, self->dead);
    size_t told_rows = retries_all(self->queue);
    for (uint32_t uid = 0; uid < MODEL_USERS; uid++) {
        retries += self->attempts[uid] > 0;
        for (size_t i = 0; i < told_rows; i++) {
            cr_assert(told.rows[i].uid != uid || told.rows[i].attempts == self->attempts[uid]);
        }
    }
    cr_assert(now.retries == retries && told_rows == retries);
}

QUEUE_TEST(agrees_with_a_naive_model_over_random_work_and_crashes) {
    static model_t model = {.random = 20260101, .epoch = 1};
    model.intake = queue_open(WL_QUEUE_APPEND);
    model.queue = queue_open(WL_QUEUE_SETTLE);
    for (unsigned step = 0; step < 600; step++) {
        switch (random_below(&model.random, 20)) {
        case 0: model_crash(&model); break;
        case 1:
        case 2: model_check(&model); break;
        case 3:
        case 4:
        case 5:
        case 6: model_append(&model); break;
        case 7:
        case 8:
        case 9:
        case 10:
        case 11:
        case 12: model_settle(&model); break;
        default: model_read(&model);
        }
        cr_assert_lt(model.live_count, MODEL_ENTRIES - 100, "the model is full");
    }
    model_check(&model);
    wl_queue_close(&model.intake);
    wl_queue_close(&model.queue);
}

/* More than one step of any backend. */
QUEUE_TEST(settles_thousands_of_rows_at_once) {
    enum { MANY = 1700 };
    static wl_queue_entry_t entries[MANY];
    static wl_retry_row_t retries[MANY];
    static wl_dead_letter_t dead[MANY];
    static uint64_t acks[MANY];
    static const char body[3000];
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    for (uint32_t i = 0; i < MANY; i++) {
        entries[i] = entry_make("cash", "body", 4);
        retries[i] = retry_make(1 + i, "cash", 1);
        dead[i] = letter_make(i, "coin", i % 3 == 0 ? body : NULL, i % 3 == 0 ? sizeof body : 0);
    }
    cr_assert_eq(wl_queue_append(queue, entries, MANY), WL_OK);
    uint64_t last = 0;
    cr_assert_eq(read_all(queue, 0, MANY, &last), MANY);
    for (uint32_t i = 0; i < MANY; i++) {
        cr_assert(entries[i].id == told.ids[i]);
        acks[i] = entries[MANY - 1 - i].id;
    }
    wl_settle_t settle = {.retries = retries,
                          .retry_count = MANY,
                          .retry_ends = retries,
                          .retry_end_count = MANY - 3,
                          .dead = dead,
                          .dead_count = MANY,
                          .acks = acks,
                          .ack_count = MANY};
    cr_assert_eq(wl_queue_settle(queue, &settle), WL_OK);
    wl_queue_stats_t now = stats(queue);
    cr_assert(now.entries == 0 && now.retries == 3 && now.dead == MANY);
    cr_assert_eq(letters_all(queue, NULL, 0, MANY), MANY);
    cr_assert(told.letter.uid == 0 && told.letter.body_bytes == sizeof body);
    uint64_t count = 0;
    cr_assert_eq(
        wl_queue_dead_discard(queue, 0, LINE_IS("coin"), "", WL_DEAD_BATCH_MAX, NULL, NULL, &count),
        WL_OK);
    cr_assert_eq(count, MANY);
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
