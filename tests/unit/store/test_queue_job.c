#include "store/queue_job.h"

#include "queue_fixture.h"

/* The Redis servers are those of tests/stores.h. */
QUEUE_SUITES;

typedef struct {
    char name[8][WL_JOB_NAME_MAX + 1];
    char body[8][WL_JOB_BYTES_MAX];
    size_t bytes[8];
    size_t count;
} heard_t;

static void on_job(const char *name, const void *body, size_t bytes, void *arg) {
    heard_t *heard = arg;
    cr_assert_lt(heard->count, 8u);
    (void)snprintf(heard->name[heard->count], sizeof heard->name[0], "%s", name);
    memcpy(heard->body[heard->count], body, bytes);
    heard->bytes[heard->count++] = bytes;
}

static heard_t jobs_of(wl_queue_t *queue, uint32_t partition) {
    heard_t heard = {.count = 0};
    cr_assert_eq(wl_queue_jobs(queue, partition, on_job, &heard), WL_OK);
    return heard;
}

QUEUE_TEST(records_are_written_replaced_and_removed) {
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    cr_assert_eq(jobs_of(queue, 0).count, 0u);
    cr_assert_eq(wl_queue_job_put(queue, "backfill cash", "one", 3), WL_OK);
    cr_assert_eq(wl_queue_job_put(queue, "backfill cash", "two\0bytes", 9), WL_OK);
    cr_assert_eq(wl_queue_job_set(queue, 0, "want cash", "x", 1), WL_OK);
    heard_t heard = jobs_of(queue, 0);
    cr_assert_eq(heard.count, 2u);
    size_t at = strcmp(heard.name[0], "backfill cash") == 0 ? 0 : 1;
    cr_assert(heard.bytes[at] == 9 && memcmp(heard.body[at], "two\0bytes", 9) == 0);
    cr_assert_str_eq(heard.name[1 - at], "want cash");
    cr_assert_eq(wl_queue_job_put(queue, "backfill cash", NULL, 0), WL_OK);
    cr_assert_eq(wl_queue_job_put(queue, "never there", NULL, 0), WL_OK);
    cr_assert_eq(jobs_of(queue, 0).count, 1u);
    wl_queue_close(&queue);
    queue = queue_open(WL_QUEUE_SETTLE);
    cr_assert_eq(jobs_of(queue, 0).count, 1u, "they stay");
    wl_queue_close(&queue);
}

QUEUE_TEST(an_older_epoch_is_shut_out) {
    if (queue_backend == IN_SQLITE) {
        return; /* one process owns the file */
    }
    wl_queue_t *old = queue_open_as((queue_way_t){.use = WL_QUEUE_SETTLE, .partitions = 2});
    wl_queue_t *next =
        queue_open_as((queue_way_t){.use = WL_QUEUE_SETTLE, .partitions = 2, .consumer = "other"});
    cr_assert_eq(wl_queue_job_put(old, "a", "x", 1), WL_ERR_CONFLICT, "not claimed");
    cr_assert_eq(wl_queue_claim(old, 3), WL_OK);
    cr_assert_eq(wl_queue_job_put(old, "a", "x", 1), WL_OK);
    cr_assert_eq(wl_queue_claim(next, 4), WL_OK);
    cr_assert_eq(wl_queue_job_put(old, "a", "y", 1), WL_ERR_CONFLICT);
    cr_assert_eq(wl_queue_job_set(old, 1, "want", "z", 1), WL_OK, "what operators want is free");
    heard_t heard = jobs_of(next, 0);
    cr_assert(heard.count == 1 && heard.body[0][0] == 'x');
    cr_assert_eq(jobs_of(next, 1).count, 1u);
    wl_queue_close(&old);
    wl_queue_close(&next);
}
