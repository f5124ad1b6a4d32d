/* The queue on a cluster of the test's own, whose masters and replicas die. (The fixture knows
 * tests/stores.h as well; this test does not use it.) */
#include "cluster_world.h"
#include "queue_fixture.h"
#include "store/queue_redis.h"

enum { PARTS = 6 };

static void failover_begin(void) {
    queue_backend = IN_CLUSTER;
    (void)snprintf(queue_prefix, sizeof queue_prefix, "q:");
    cluster_durable = true;
    cluster_start();
}

TestSuite(queue_failover, .init = failover_begin, .fini = cluster_end, .timeout = 120);

static wl_queue_t *cluster_queue(wl_queue_use_t use, uint32_t partition) {
    wl_queue_t *queue = NULL;
    wl_fault_t fault = {0};
    wl_redis_options_t where = {.nodes = seeds, .cluster = true, .timeout_ms = 600};
    wl_queue_options_t options = {.use = use,
                                  .redis = &where,
                                  .prefix = queue_prefix,
                                  .consumer = "me",
                                  .partition = partition,
                                  .partitions = PARTS};
    wl_err_t err = wl_queue_open(&options, &queue, &fault);
    cr_assert_eq(err, WL_OK, "%s: %s", wl_err_name(err), fault.message);
    return queue;
}

static int master_of(uint32_t partition) {
    const char *key = queue_key(partition, "changes");
    uint32_t slot = wl_redis_slot(key, strlen(key));
    return slot <= 5460 ? 0 : slot <= 10922 ? 1 : 2;
}

static wl_err_t append_to(wl_queue_t *queue, uint32_t partition, uint64_t *ret_id) {
    wl_queue_entry_t entry = entry_make("cash", "body", 4);
    entry.partition = partition;
    wl_err_t err = wl_queue_append(queue, &entry, 1);
    *ret_id = entry.id;
    return err;
}

Test(queue_failover, loses_no_acknowledged_entry_when_a_master_dies_under_load) {
    enum { WANTED = 1500 };
    static uint64_t ids[PARTS][WANTED];
    static size_t counts[PARTS];
    wl_queue_t *intake = cluster_queue(WL_QUEUE_APPEND, 0);
    wl_queue_t *reader = cluster_queue(WL_QUEUE_SETTLE, 0);
    int victim = master_of(0);
    cr_assert_eq(wl_queue_claim(reader, 1), WL_OK);
    uint64_t cursor = 0;
    size_t read = 0;
    size_t refused = 0;
    size_t after_kill = 0;
    int64_t until = wl_mono_now().ms + 60000;
    for (size_t turn = 0; after_kill < 400 && wl_mono_now().ms < until; turn++) {
        uint32_t p = turn % 2 == 0 ? 0 : (uint32_t)(turn / 2 % PARTS);
        uint64_t id = 0;
        wl_err_t err = append_to(intake, p, &id);
        if (err == WL_OK && counts[p] < WANTED) {
            ids[p][counts[p]++] = id;
            after_kill += turn > 400 && p == 0;
        }
        refused += err != WL_OK;
        if (turn == 400) {
            server_kill(&servers[victim]);
        }
        if (turn % 7 == 0) { /* the dispatcher works on: reads, and ends what it has read */
            memset(&told, 0, sizeof told);
            err = wl_queue_read(reader, cursor, 20, on_entry, &told, &cursor);
            cr_assert_neq(err, WL_ERR_CONFLICT);
            read += err == WL_OK ? told.count : 0;
        }
    }
    cr_assert(refused > 0 && after_kill >= 400, "%zu %zu", refused, after_kill);
    for (uint32_t p = 0; p < PARTS; p++) {
        wl_queue_t *queue = cluster_queue(WL_QUEUE_SETTLE, p);
        cr_assert_eq(wl_queue_claim(queue, 2), WL_OK);
        size_t found = 0;
        uint64_t last = 0;
        for (uint64_t before = 1; before != last;) {
            before = last;
            (void)read_all(queue, last, 1000, &last);
            for (size_t i = 0; i < told.count; i++) {
                found += found < counts[p] && told.ids[i] == ids[p][found];
            }
        }
        cr_assert_eq(found, counts[p], "partition %u: %zu of %zu", p, found, counts[p]);
        wl_queue_close(&queue);
    }
    cr_assert_gt(read, 100);
    wl_queue_close(&reader);
    wl_queue_close(&intake);
}

Test(queue_failover, waits_for_a_replica_that_is_in_touch_and_goes_on_without_one_that_has_gone) {
    wl_queue_t *intake = cluster_queue(WL_QUEUE_APPEND, 0);
    int master = master_of(0);
    uint64_t id = 0;
    cr_assert_eq(append_to(intake, 0, &id), WL_OK);
    program_freeze(servers[master + MASTERS].process);
    wl_err_t err = append_to(intake, 0, &id);
    cr_assert_eq(err, WL_ERR_UNAVAILABLE, "%s", wl_err_name(err));
    cr_assert_not_null(strstr(wl_queue_problem(intake), "late"), "%s", wl_queue_problem(intake));
    cr_assert_eq(kill(servers[master + MASTERS].process, SIGCONT), 0);
    int64_t until = wl_mono_now().ms + 20000;
    do {
        err = append_to(intake, 0, &id);
    } while (err != WL_OK && wl_mono_now().ms < until);
    cr_assert_eq(err, WL_OK);
    server_kill(&servers[master + MASTERS]);
    do {
        err = append_to(intake, 0, &id);
    } while (err != WL_OK && wl_mono_now().ms < until);
    cr_assert_eq(err, WL_OK, "%s", wl_queue_problem(intake));
    int64_t begin = wl_mono_now().ms;
    cr_assert_eq(append_to(intake, 0, &id), WL_OK);
    cr_assert_lt(wl_mono_now().ms - begin, 250, "nobody is waited for");
    wl_queue_close(&intake);
}
