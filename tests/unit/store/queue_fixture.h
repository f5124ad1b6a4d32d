/* queue_fixture.h: for the tests of the queue: the same test over each backend, opening the queue,
 * plain rows, and callbacks that remember what they were told. The Redis servers are those of
 * tests/stores.h, or one of the test's own in queue_at. */
#ifndef WL_TEST_QUEUE_FIXTURE_H
#define WL_TEST_QUEUE_FIXTURE_H

#include "../../stores.h"
#include "redis_world.h"
#include "store/queue.h"
#include "store/queue_dead.h"

typedef enum { IN_SQLITE, IN_REDIS, IN_CLUSTER } queue_backend_t;
static queue_backend_t queue_backend;
static char queue_prefix[32];
static const char *queue_at; /* a server of the test's own; NULL = tests/stores.h */
static bool queue_allow_memory;

static inline void queue_world_make(void) {
    folder_make();
    char name[24];
    (void)snprintf(queue_prefix, sizeof queue_prefix, "%s:", stores_name("q", name, sizeof name));
}

static inline wl_redis_options_t queue_redis(void) {
    wl_redis_options_t where = {.nodes = queue_at, .timeout_ms = 3000};
    where.cluster = queue_at == NULL && queue_backend == IN_CLUSTER;
    if (queue_at == NULL) {
        where.nodes = where.cluster ? stores_redis_cluster() : stores_redis();
    }
    return where;
}

/* The letters of a line. */
#define LINE_IS(name) (&(wl_dead_filter_t){.line = (name)})

/* A key of the queue, in one of four buffers that take turns. */
static inline const char *queue_key(uint32_t partition, const char *name) {
    static char keys[4][80];
    static unsigned turn;
    char *key = keys[turn++ % 4];
    (void)snprintf(key, sizeof keys[0], "%s{%u}:%s", queue_prefix, partition, name);
    return key;
}

static inline void queue_world_remove(void) {
    static const char *const names[] = {"changes", "state", "retries", "dead", "audit", "jobs"};
    if (queue_backend != IN_SQLITE && queue_at == NULL) {
        wl_redis_t *redis = client_with(queue_redis());
        for (uint32_t i = 0; i < WL_PARTITIONS_MAX * WL_COUNT_OF(names); i++) {
            char words[100];
            const char *key = queue_key(i / WL_COUNT_OF(names), names[i % WL_COUNT_OF(names)]);
            (void)snprintf(words, sizeof words, "DEL %s", key);
            (void)ask(redis, key, words);
        }
        wl_redis_destroy(&redis);
    }
    folder_remove();
}

/* QUEUE_TEST(name) { ... } runs three times: suites queue_sqlite, queue_redis, queue_cluster. */
#define QUEUE_TEST(name)                        \
    static void name(void);                     \
    Test(queue_sqlite, name, .timeout = 120) {  \
        queue_backend = IN_SQLITE;              \
        name();                                 \
    }                                           \
    Test(queue_redis, name, .timeout = 120) {   \
        queue_backend = IN_REDIS;               \
        name();                                 \
    }                                           \
    Test(queue_cluster, name, .timeout = 120) { \
        queue_backend = IN_CLUSTER;             \
        name();                                 \
    }                                           \
    static void name(void)
#define QUEUE_SUITES                                                               \
    TestSuite(queue_sqlite, .init = queue_world_make, .fini = queue_world_remove); \
    TestSuite(queue_redis, .init = queue_world_make, .fini = queue_world_remove);  \
    TestSuite(queue_cluster, .init = queue_world_make, .fini = queue_world_remove)

/* What a test may want otherwise than queue_open() does. */
typedef struct {
    wl_queue_use_t use;
    const char *consumer; /* NULL = "me" */
    uint32_t partition;
    uint32_t partitions;
} queue_way_t;

static inline wl_err_t queue_try(queue_way_t way, wl_queue_t **ret, wl_fault_t *fault) {
    wl_redis_options_t where = {.nodes = NULL};
    wl_queue_options_t options = {.use = way.use,
                                  .prefix = queue_prefix,
                                  .consumer = way.consumer == NULL ? "me" : way.consumer,
                                  .partition = way.partition,
                                  .partitions = way.partitions,
                                  .allow_memory = queue_allow_memory};
    if (queue_backend == IN_SQLITE) {
        options.path = in_folder("queue.db");
    } else {
        where = queue_redis();
        options.redis = &where;
    }
    return wl_queue_open(&options, ret, fault);
}

static inline wl_queue_t *queue_open_as(queue_way_t way) {
    wl_queue_t *queue = NULL;
    wl_fault_t fault = {0};
    wl_err_t err = queue_try(way, &queue, &fault);
    cr_assert_eq(err, WL_OK, "%s: %s", wl_err_name(err), fault.message);
    return queue;
}

/* One that settles has claimed, under epoch 1. */
static inline wl_queue_t *queue_open(wl_queue_use_t use) {
    wl_queue_t *queue = queue_open_as((queue_way_t){.use = use});
    if (use == WL_QUEUE_SETTLE) {
        wl_err_t err = wl_queue_claim(queue, 1);
        cr_assert_eq(err, WL_OK, "%s: %s", wl_err_name(err), wl_queue_problem(queue));
    }
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
    cr_assert_eq(wl_queue_dead_list(queue, LINE_IS(line), before, max, on_letter, &told), WL_OK);
    return told.count;
}

#endif
