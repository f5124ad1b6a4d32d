/* queue_fixture.h: for the tests of the queue: opening it in the private folder, plain rows, and
 * callbacks that remember what they were told. */
#ifndef WL_TEST_QUEUE_FIXTURE_H
#define WL_TEST_QUEUE_FIXTURE_H

#include "base/alloc.h"
#include "private_folder.h"
#include "store/queue.h"
#include "store/queue_dead.h"

static inline wl_queue_t *queue_open(wl_queue_use_t use) {
    wl_queue_t *queue = NULL;
    wl_fault_t fault = {0};
    wl_err_t err = wl_queue_open(&(wl_queue_options_t){.path = in_folder("queue.db"), .use = use},
                                 &queue, &fault);
    cr_assert_eq(err, WL_OK, "%s: %s", wl_err_name(err), fault.message);
    return queue;
}

static inline wl_queue_entry_t entry_make(const char *line, const void *body, size_t body_bytes) {
    wl_queue_entry_t entry = {
        .at = 1000, .kind = WL_ENTRY_CHANGES, .body = body, .body_bytes = body_bytes};
    (void)snprintf(entry.line, sizeof entry.line, "%s", line);
    return entry;
}

static inline uint64_t append_one(wl_queue_t *queue, const char *line) {
    wl_queue_entry_t entry = entry_make(line, "body", 4);
    cr_assert_eq(wl_queue_append(queue, &entry, 1), WL_OK);
    return entry.id;
}

static inline wl_retry_row_t retry_make(uint64_t uid, const char *line, uint32_t attempts) {
    wl_retry_row_t row = {.uid = uid, .attempts = attempts, .due_at = 5000, .notified_at = 4000};
    (void)snprintf(row.line, sizeof row.line, "%s", line);
    (void)snprintf(row.reason, sizeof row.reason, "attempt %u", attempts);
    return row;
}

static inline wl_dead_letter_t letter_make(uint64_t uid, const char *line, const void *body,
                                           size_t body_bytes) {
    wl_dead_letter_t letter = {
        .uid = uid, .attempts = 5, .at = 777, .body = body, .body_bytes = body_bytes};
    (void)snprintf(letter.line, sizeof letter.line, "%s", line);
    (void)snprintf(letter.reason, sizeof letter.reason, "the line said 404");
    return letter;
}

static inline wl_queue_stats_t stats(wl_queue_t *queue) {
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

static inline void on_entry(const wl_queue_entry_t *entry, void *arg) {
    told_t *told = arg;
    cr_assert_lt(told->count, TOLD_MAX);
    told->ids[told->count++] = entry->id;
    told->entry = *entry;
    memcpy(told->body, entry->body, entry->body_bytes < 64 ? entry->body_bytes : 64);
}

static inline void on_retry(const wl_retry_row_t *row, void *arg) {
    told_t *told = arg;
    if (told->count < WL_COUNT_OF(told->rows)) {
        told->rows[told->count] = *row;
    }
    told->count++;
}

static inline void on_letter(const wl_dead_letter_t *letter, void *arg) {
    told_t *told = arg;
    told->ids[told->count++] = letter->id;
    told->letter = *letter;
    if (letter->body != NULL) {
        memcpy(told->body, letter->body, letter->body_bytes < 64 ? letter->body_bytes : 64);
    }
}

static told_t told;

static inline size_t read_all(wl_queue_t *queue, uint64_t after, size_t max, uint64_t *ret_last) {
    memset(&told, 0, sizeof told);
    cr_assert_eq(wl_queue_read(queue, after, max, on_entry, &told, ret_last), WL_OK);
    return told.count;
}

static inline size_t retries_all(wl_queue_t *queue) {
    memset(&told, 0, sizeof told);
    cr_assert_eq(wl_queue_retries(queue, on_retry, &told), WL_OK);
    return told.count;
}

static inline size_t letters_all(wl_queue_t *queue, const char *line, uint64_t before, size_t max) {
    memset(&told, 0, sizeof told);
    cr_assert_eq(wl_queue_dead_list(queue, line, before, max, on_letter, &told), WL_OK);
    return told.count;
}

#endif
