/* What only the queue in Redis has: partitions, claims, and a server that others can reach, break
 * and replace. The shared servers are those of tests/stores.h. */
#include "store/queue_redis.h"

#include "base/slot.h"
#include "proto/change.h"
#include "queue_fixture.h"

TestSuite(queue_redis, .init = queue_world_make, .fini = queue_world_remove, .timeout = 120);
TestSuite(queue_cluster, .init = queue_world_make, .fini = queue_world_remove, .timeout = 120);

static wl_redis_t *raw_open(void) {
    return client_with(queue_redis());
}

/* A command about a key of partition 0; "%" in words stands for the key. */
static answer_t raw(wl_redis_t *redis, const char *name, const char *words) {
    char text[400] = "";
    const char *key = queue_key(0, name);
    size_t at = 0;
    for (const char *c = words; *c != '\0' && at + strlen(key) + 2 < sizeof text; c++) {
        at += (size_t)(*c == '%' ? snprintf(text + at, sizeof text - at, "%s", key)
                                 : snprintf(text + at, sizeof text - at, "%c", *c));
    }
    return ask(redis, key, text);
}

static wl_err_t claim(wl_queue_t *queue, uint64_t epoch) {
    return wl_queue_claim(queue, epoch);
}

static wl_err_t ack(wl_queue_t *queue, const uint64_t *ids, size_t count) {
    return wl_queue_settle(queue, &(wl_settle_t){.acks = ids, .ack_count = count});
}

static wl_err_t append_to(wl_queue_t *queue, uint32_t partition) {
    wl_queue_entry_t entry = entry_make("cash", "body", 4);
    entry.partition = partition;
    return wl_queue_append(queue, &entry, 1);
}

Test(queue_redis, refuses_fewer_partitions_than_have_something) {
    queue_backend = IN_REDIS;
    queue_way_t way = {.use = WL_QUEUE_SETTLE, .partition = 3, .partitions = 4};
    wl_queue_t *queue = queue_open_as(way);
    cr_assert_eq(append_to(queue, 3), WL_OK);
    wl_redis_options_t where = queue_redis();
    wl_queue_options_t fewer = {
        .use = WL_QUEUE_APPEND, .redis = &where, .prefix = queue_prefix, .partitions = 3};
    wl_queue_t *other = NULL;
    wl_fault_t fault = {0};
    cr_assert_eq(wl_queue_open(&fewer, &other, &fault), WL_ERR_SETTINGS);
    cr_expect_str_eq(fault.where, "queue.partitions");
    cr_expect(strstr(fault.message, "partition 3 has 1 entries") != NULL, "%s", fault.message);
    uint64_t last = 0;
    cr_assert_eq(claim(queue, 1), WL_OK);
    cr_assert_eq(read_all(queue, 0, 9, &last), 1u);
    cr_assert_eq(ack(queue, &last, 1), WL_OK);
    cr_assert_eq(wl_queue_open(&fewer, &other, &fault), WL_OK, "nothing is left there");
    wl_queue_close(&other);
    wl_queue_close(&queue);
}

/* ---- partitions ------------------------------------------------------------------------------ */

static void partitions_check(void) {
    enum { PARTS = 4, ENTRIES = 600 };
    wl_queue_t *intake = queue_open_as((queue_way_t){.use = WL_QUEUE_APPEND, .partitions = PARTS});
    static wl_queue_entry_t entries[ENTRIES];
    for (uint32_t i = 0; i < ENTRIES; i++) {
        entries[i] = entry_make("cash", "body", 4);
        entries[i].partition = i % 5 == 0 ? 3 : i % PARTS;
    }
    cr_assert_eq(wl_queue_append(intake, entries, ENTRIES), WL_OK);
    cr_assert_eq(stats(intake).entries, ENTRIES);
    cr_assert_eq(stats(intake).lag, ENTRIES);
    size_t all = 0;
    for (uint32_t p = 0; p < PARTS; p++) {
        wl_queue_t *queue = queue_open_as(
            (queue_way_t){.use = WL_QUEUE_SETTLE, .partition = p, .partitions = PARTS});
        cr_assert_eq(claim(queue, 1), WL_OK);
        uint64_t last = 0;
        size_t count = read_all(queue, 0, ENTRIES, &last);
        cr_assert_eq(told.entry.partition, p);
        size_t at = 0;
        for (uint32_t i = 0; i < ENTRIES; i++) {
            if (entries[i].partition == p) {
                cr_assert_eq(entries[i].id, told.ids[at++]);
            }
        }
        cr_assert_eq(at, count);
        cr_assert_eq(stats(queue).entries, count);
        cr_assert_eq(stats(queue).lag, 0);
        cr_assert_eq(ack(queue, told.ids, count), WL_OK);
        cr_assert_eq(stats(queue).entries, 0);
        all += count;
        wl_queue_close(&queue);
    }
    cr_assert_eq(all, ENTRIES);
    cr_assert_eq(stats(intake).entries, 0);
    wl_queue_close(&intake);
}

Test(queue_redis, a_partition_that_fails_refuses_its_own_entries_only) {
    enum { PARTS = 4 };
    queue_backend = IN_REDIS;
    wl_redis_t *redis = raw_open();
    cr_assert_eq(raw(redis, "changes", "SET % x").err, WL_OK); /* of partition 0 */
    wl_queue_t *intake = queue_open_as((queue_way_t){.use = WL_QUEUE_APPEND, .partitions = PARTS});
    wl_queue_entry_t entries[2 * PARTS];
    for (uint32_t i = 0; i < 2 * PARTS; i++) {
        entries[i] = entry_make("cash", "body", 4);
        entries[i].partition = i % PARTS;
        entries[i].id = 99; /* what stood there before says nothing */
    }
    cr_assert_eq(wl_queue_append(intake, entries, 2 * PARTS), WL_ERR_DAMAGED);
    for (uint32_t i = 0; i < 2 * PARTS; i++) {
        cr_expect_eq(entries[i].id > 0, i % PARTS != 0, "entry %u", i);
    }
    for (uint32_t p = 1; p < PARTS; p++) {
        wl_queue_t *queue = queue_open_as(
            (queue_way_t){.use = WL_QUEUE_SETTLE, .partition = p, .partitions = PARTS});
        uint64_t last = 0;
        cr_assert_eq(claim(queue, 1), WL_OK);
        cr_expect_eq(read_all(queue, 0, 9, &last), 2u);
        cr_expect_eq(last, entries[p + PARTS].id);
        wl_queue_close(&queue);
    }
    wl_redis_destroy(&redis);
    wl_queue_close(&intake);
}

Test(queue_redis, appends_to_partitions_that_are_read_apart) {
    queue_backend = IN_REDIS;
    partitions_check();
}

Test(queue_cluster, appends_to_partitions_on_several_masters) {
    queue_backend = IN_CLUSTER;
    partitions_check();
}

static void on_redriven(const wl_queue_entry_t *entry, void *arg) {
    static wl_change_t changes[WL_CHANGES_MAX];
    size_t count = 0;
    wl_change_t *ret = arg;
    cr_assert_eq(wl_changes_unpack(entry->body, entry->body_bytes, changes, &count), WL_OK);
    cr_assert(count == 1 && entry->kind == WL_ENTRY_CHANGES && entry->at == 6000);
    cr_assert_str_eq(entry->line, "coin");
    *ret = changes[0];
}

static void letters_check(void) {
    enum { PARTS = 3, EACH = 70 }; /* more than a page */
    wl_queue_t *queues[PARTS];
    for (uint32_t p = 0; p < PARTS; p++) {
        queues[p] = queue_open_as(
            (queue_way_t){.use = WL_QUEUE_SETTLE, .partition = p, .partitions = PARTS});
        cr_assert_eq(claim(queues[p], 1), WL_OK);
    }
    for (uint64_t i = 0; i < (uint64_t)PARTS * EACH; i++) {
        wl_dead_letter_t letter = letter_make(UINT64_MAX - i, i < 6 ? "coin" : "cash", NULL, 0);
        cr_assert_eq(
            wl_queue_settle(queues[i % PARTS], &(wl_settle_t){.dead = &letter, .dead_count = 1}),
            WL_OK);
    }
    cr_assert_eq(letters_all(queues[1], NULL, 0, 1000), PARTS * EACH);
    for (size_t i = 1; i < told.count; i++) {
        cr_assert_lt(told.ids[i], told.ids[i - 1]);
    }
    uint64_t middle = told.ids[100];
    uint64_t oldest = told.ids[told.count - 1];
    cr_assert_eq(letters_all(queues[0], NULL, middle, 1000), PARTS * EACH - 101);
    cr_assert_eq(letters_all(queues[0], "coin", 0, 1000), 6);
    cr_assert_eq(stats(queues[2]).dead, EACH);
    uint64_t count = 0;
    memset(&told, 0, sizeof told);
    cr_assert_eq(wl_queue_dead_redrive(queues[1], oldest, NULL, 1, 6000, on_retry, &told, &count),
                 WL_OK);
    cr_assert(count == 1 && told.count == 0, "not told: it is an entry now");
    cr_assert_eq(wl_queue_dead_redrive(queues[1], oldest, NULL, 1, 6000, NULL, NULL, &count),
                 WL_ERR_NOT_FOUND);
    uint64_t last = 0;
    wl_change_t change = {.version = 1};
    uint32_t home = (uint32_t)(oldest % WL_PARTITIONS_MAX);
    cr_assert_eq(wl_queue_read(queues[home], 0, 9, on_redriven, &change, &last), WL_OK);
    cr_assert(last != 0 && change.uid == UINT64_MAX - home && change.version == 0);
    cr_assert_eq(wl_queue_dead_redrive(queues[0], 0, LINE_IS("coin"), 4, 6000, NULL, NULL, &count),
                 WL_OK);
    cr_assert_eq(count, 4);
    cr_assert_eq(wl_queue_dead_discard(queues[0], 0, NULL, "done", 10000, NULL, NULL, &count),
                 WL_OK);
    cr_assert_eq(count, PARTS * EACH - 5);
    cr_assert_eq(letters_all(queues[0], NULL, 0, 9), 0);
    for (uint32_t p = 0; p < PARTS; p++) {
        wl_queue_close(&queues[p]);
    }
}

Test(queue_redis, lists_letters_of_all_partitions_and_redrives_them_as_changes) {
    queue_backend = IN_REDIS;
    letters_check();
}

Test(queue_cluster, lists_letters_of_all_masters_and_redrives_them_as_changes) {
    queue_backend = IN_CLUSTER;
    letters_check();
}

Test(queue_redis, leaves_a_letter_that_did_not_decode_when_it_redrives) {
    queue_backend = IN_REDIS;
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    wl_dead_letter_t dead[] = {letter_make(0, "cash", "garbage", 7),
                               letter_make(1, "cash", NULL, 0)};
    cr_assert_eq(wl_queue_settle(queue, &(wl_settle_t){.dead = dead, .dead_count = 2}), WL_OK);
    uint64_t count = 0;
    cr_assert_eq(wl_queue_dead_redrive(queue, 0, NULL, 9, 1, NULL, NULL, &count), WL_OK);
    cr_assert_eq(count, 1);
    cr_assert_eq(letters_all(queue, NULL, 0, 9), 1);
    cr_assert_eq(memcmp(told.body, "garbage", 7), 0);
    cr_assert_eq(wl_queue_dead_redrive(queue, told.ids[0], NULL, 9, 1, NULL, NULL, &count),
                 WL_ERR_NOT_FOUND);
    wl_queue_close(&queue);
}

/* ---- claims ---------------------------------------------------------------------------------- */

Test(queue_redis, hands_what_a_dead_consumer_held_to_the_next_and_shuts_it_out) {
    queue_backend = IN_REDIS;
    wl_queue_t *intake = queue_open(WL_QUEUE_APPEND);
    wl_queue_t *first = queue_open_as((queue_way_t){.use = WL_QUEUE_SETTLE, .consumer = "first"});
    wl_queue_t *second = queue_open_as((queue_way_t){.use = WL_QUEUE_SETTLE, .consumer = "second"});
    uint64_t ids[5];
    for (unsigned i = 0; i < 5; i++) {
        ids[i] = append_one(intake, "cash");
    }
    uint64_t last = 0;
    cr_assert_eq(wl_queue_read(first, 0, 9, on_entry, &told, &last), WL_ERR_CONFLICT);
    cr_assert_eq(ack(first, ids, 1), WL_ERR_CONFLICT, "nothing was claimed");
    cr_assert_eq(claim(first, 9), WL_OK);
    cr_assert_eq(read_all(first, 0, 3, &last), 3);
    cr_assert_eq(ack(first, &ids[1], 1), WL_OK);
    wl_retry_row_t row = retry_make(7, "cash", 2);
    cr_assert_eq(wl_queue_settle(first, &(wl_settle_t){.retries = &row, .retry_count = 1}), WL_OK);
    cr_assert_eq(claim(second, 8), WL_ERR_CONFLICT, "older");
    cr_assert_eq(claim(second, 10), WL_OK, "longer as text, and newer");
    cr_assert_eq(wl_queue_read(first, last, 9, on_entry, &told, &last), WL_ERR_CONFLICT);
    cr_assert_eq(ack(first, ids, 5), WL_ERR_CONFLICT);
    cr_assert_eq(claim(first, 9), WL_ERR_CONFLICT);
    cr_assert_eq(stats(second).entries, 4);
    cr_assert_eq(read_all(second, 0, 9, &last), 4);
    cr_assert(told.ids[0] == ids[0] && told.ids[1] == ids[2] && told.ids[3] == ids[4]);
    cr_assert_eq(retries_all(second), 1);
    cr_assert(told.rows[0].uid == 7 && told.rows[0].attempts == 2);
    wl_redis_t *redis = raw_open();
    cr_assert_eq(raw(redis, "changes", "XINFO CONSUMERS % dispatcher").elements, 1);
    cr_assert_eq(ack(second, ids, 5), WL_OK);
    cr_assert_eq(stats(second).entries, 0);
    wl_redis_destroy(&redis);
    wl_queue_close(&intake);
    wl_queue_close(&first);
    wl_queue_close(&second);
}

Test(queue_redis, claims_a_backlog_that_takes_many_steps) {
    enum { BACKLOG = 2500 };
    queue_backend = IN_REDIS;
    wl_queue_t *first = queue_open_as((queue_way_t){.use = WL_QUEUE_SETTLE, .consumer = "first"});
    static wl_queue_entry_t entries[BACKLOG];
    for (unsigned i = 0; i < BACKLOG; i++) {
        entries[i] = entry_make("cash", "body", 4);
    }
    cr_assert_eq(claim(first, 1), WL_OK);
    cr_assert_eq(wl_queue_append(first, entries, BACKLOG), WL_OK);
    uint64_t last = 0;
    cr_assert_eq(read_all(first, 0, BACKLOG, &last), BACKLOG);
    wl_redis_t *redis = raw_open();
    cr_assert_eq(raw(redis, "changes", "XTRIM % MAXLEN 2400").integer, 100, "by a foolish hand");
    wl_queue_t *second = queue_open_as((queue_way_t){.use = WL_QUEUE_SETTLE, .consumer = "second"});
    cr_assert_eq(claim(second, 2), WL_OK);
    cr_assert_eq(read_all(second, 0, BACKLOG, &last), BACKLOG - 100);
    cr_assert_eq(ack(second, told.ids, told.count), WL_OK);
    cr_assert_eq(stats(second).entries, 0);
    cr_assert_eq(raw(redis, "changes", "XPENDING % dispatcher - + 10").elements, 0);
    wl_redis_destroy(&redis);
    wl_queue_close(&first);
    wl_queue_close(&second);
}

/* ---- others write into our keys -------------------------------------------------------------- */

Test(queue_redis, goes_on_when_the_group_the_stream_or_all_keys_were_deleted) {
    queue_backend = IN_REDIS;
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    wl_redis_t *redis = raw_open();
    uint64_t last = 0;
    uint64_t first = append_one(queue, "cash");
    cr_assert_eq(read_all(queue, 0, 9, &last), 1);
    cr_assert_eq(raw(redis, "changes", "XGROUP DESTROY % dispatcher").integer, 1);
    (void)append_one(queue, "cash");
    (void)read_all(queue, last, 9, &last);
    cr_assert_geq(told.count, 1);
    cr_assert_gt(told.ids[0], first);
    size_t seen = told.count;
    seen += read_all(queue, last, 9, &last);
    cr_assert_eq(seen, 2, "what was in hand is there again, under a new number");
    cr_assert_eq(raw(redis, "changes", "DEL %").integer, 1);
    cr_assert_eq(raw(redis, "state", "DEL %").integer, 1);
    uint64_t next = append_one(queue, "cash");
    cr_assert_gt(next, last, "numbers are never used twice");
    cr_assert_eq(read_all(queue, last, 9, &last), 1);
    cr_assert_eq(last, next);
    cr_assert_eq(raw(redis, "state", "DEL %").integer, 1);
    cr_assert_gt(append_one(queue, "cash"), next);
    cr_assert_eq(read_all(queue, last, 9, &last), 1);
    wl_redis_destroy(&redis);
    wl_queue_close(&queue);
}

Test(queue_redis, hands_out_entries_that_are_not_ours_to_be_put_aside) {
    queue_backend = IN_REDIS;
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    wl_redis_t *redis = raw_open();
    static const char *const foreign[] = {
        "XADD % 5-7 what ever",
        "XADD % 900000000000000 body x",
        "XADD % 900000000000001 head x",
        "XADD % 900000000000002 head 1 body x",
        "XADD % 900000000000003 body y head 9x",
        "XADD % 900000000000004-4 a b c d",
    };
    for (size_t i = 0; i < WL_COUNT_OF(foreign); i++) {
        cr_assert_eq(raw(redis, "changes", foreign[i]).err, WL_OK);
    }
    uint64_t last = 0;
    size_t seen = 0;
    uint64_t ids[16];
    for (unsigned turn = 0; turn < 4; turn++) {
        uint64_t before = last;
        size_t count = read_all(queue, last, 9, &last);
        for (size_t i = 0; i < count; i++) {
            cr_assert_gt(told.ids[i], before);
            ids[seen++] = told.ids[i];
        }
        cr_assert(count == 0 || (int)told.entry.kind == 0);
        cr_assert(count == 0 || (told.entry.line[0] == '\0' && told.entry.body_bytes > 0));
    }
    cr_assert_eq(seen, WL_COUNT_OF(foreign));
    cr_assert_eq(ack(queue, ids, seen), WL_OK);
    cr_assert_eq(stats(queue).entries, 0);
    cr_assert_gt(append_one(queue, "cash"), last);
    cr_assert_eq(read_all(queue, last, 9, &last), 1);
    wl_redis_destroy(&redis);
    wl_queue_close(&queue);
}

Test(queue_redis, says_which_kind_of_key_is_wrong) {
    queue_backend = IN_REDIS;
    wl_redis_t *redis = raw_open();
    cr_assert_eq(raw(redis, "changes", "SET % x").err, WL_OK);
    wl_queue_t *queue = queue_open(WL_QUEUE_APPEND);
    wl_queue_entry_t entry = entry_make("cash", "body", 4);
    cr_assert_eq(wl_queue_append(queue, &entry, 1), WL_ERR_DAMAGED);
    cr_assert(entry.id == 0 && strstr(wl_queue_problem(queue), "WRONGTYPE") != NULL, "%s",
              wl_queue_problem(queue));
    wl_queue_stats_t now;
    cr_assert_eq(wl_queue_stats(queue, &now), WL_ERR_DAMAGED);
    cr_assert_eq(claim(queue, 1), WL_ERR_DAMAGED);
    cr_assert_eq(raw(redis, "changes", "DEL %").err, WL_OK);
    cr_assert_eq(raw(redis, "retries", "HSET % nonsense 1 cash/7 x cash/8 3_1_2_r").err, WL_OK);
    cr_assert_eq(claim(queue, 1), WL_OK);
    cr_assert_eq(retries_all(queue), 0, "fields that are no retries are passed over");
    wl_redis_destroy(&redis);
    wl_queue_close(&queue);
}

/* ---- servers that are not safe, or not well -------------------------------------------------- */

static server_t server;

static void own_server_stop(void) {
    server_kill(&server);
    queue_world_remove();
}

TestSuite(queue_server, .init = queue_world_make, .fini = own_server_stop, .timeout = 120);

static void own_server(const char *file, const char *flush) {
    queue_backend = IN_REDIS;
    server_start(&server, "--appendonly", file, "--appendfsync", flush, "--enable-debug-command",
                 "yes", NULL);
    queue_at = server.at;
}

Test(queue_server, is_refused_without_an_append_only_file_unless_that_is_wanted) {
    own_server("no", "always");
    wl_queue_t *queue = NULL;
    wl_fault_t fault = {0};
    cr_assert_eq(queue_try((queue_way_t){.use = WL_QUEUE_APPEND}, &queue, &fault), WL_ERR_SETTINGS);
    cr_assert(queue == NULL && strstr(fault.message, "append-only") != NULL, "%s", fault.message);
    queue_allow_memory = true;
    queue = queue_open(WL_QUEUE_APPEND);
    cr_assert_not_null(strstr(wl_queue_warning(queue), "append-only"));
    (void)append_one(queue, "cash");
    wl_queue_close(&queue);
    queue_allow_memory = false;
    wl_redis_t *redis = raw_open();
    cr_assert_eq(ask(redis, NULL, "CONFIG SET appendonly yes").err, WL_OK);
    cr_assert_eq(ask(redis, NULL, "CONFIG SET appendfsync everysec").err, WL_OK);
    queue = queue_open(WL_QUEUE_APPEND);
    cr_assert_not_null(strstr(wl_queue_warning(queue), "appendfsync"));
    wl_queue_close(&queue);
    cr_assert_eq(ask(redis, NULL, "CONFIG SET appendfsync always").err, WL_OK);
    queue = queue_open(WL_QUEUE_APPEND);
    cr_assert_str_eq(wl_queue_warning(queue), "");
    wl_redis_destroy(&redis);
    server_kill(&server);
    server_start(&server, "--appendonly", "no", NULL); /* another one in its place */
    wl_queue_entry_t entry = entry_make("cash", "body", 4);
    wl_err_t err = WL_OK;
    for (unsigned i = 0; i < 50; i++) {
        err = wl_queue_append(queue, &entry, 1);
        cr_assert_eq(err, WL_ERR_UNAVAILABLE, "%s", wl_err_name(err));
        wait_ms(20);
    }
    cr_assert_not_null(strstr(wl_queue_problem(queue), "append-only"), "%s",
                       wl_queue_problem(queue));
    wl_queue_close(&queue);
}

Test(queue_server, says_what_it_may_not_ask_and_who_may_not_come_in) {
    own_server("yes", "always");
    wl_redis_t *redis = raw_open();
    cr_assert_eq(ask(redis, NULL, "ACL SETUSER default -config").err, WL_OK);
    wl_queue_t *queue = queue_open(WL_QUEUE_APPEND);
    cr_assert_not_null(strstr(wl_queue_warning(queue), "does not tell"));
    wl_queue_close(&queue);
    cr_assert_eq(ask(redis, NULL, "ACL SETUSER default +config -info").err, WL_OK);
    queue = queue_open(WL_QUEUE_APPEND);
    cr_assert_str_eq(wl_queue_warning(queue), "");
    (void)append_one(queue, "cash");
    wl_queue_close(&queue);
    cr_assert_eq(ask(redis, NULL, "CONFIG SET requirepass secret").err, WL_OK);
    wl_fault_t fault = {0};
    cr_assert_eq(queue_try((queue_way_t){.use = WL_QUEUE_APPEND}, &queue, &fault),
                 WL_ERR_UNAUTHORIZED);
    wl_redis_destroy(&redis);
}

Test(queue_server, refuses_appends_but_takes_acks_when_the_memory_is_full) {
    own_server("yes", "always");
    wl_queue_t *queue = queue_open(WL_QUEUE_SETTLE);
    wl_redis_t *redis = raw_open();
    uint64_t ids[2] = {append_one(queue, "cash"), append_one(queue, "cash")};
    uint64_t last = 0;
    cr_assert_eq(read_all(queue, 0, 9, &last), 2);
    cr_assert_eq(ask(redis, NULL, "CONFIG SET maxmemory 1").err, WL_OK);
    wl_queue_entry_t entry = entry_make("cash", "body", 4);
    cr_assert_eq(wl_queue_append(queue, &entry, 1), WL_ERR_NO_SPACE);
    wl_retry_row_t row = retry_make(7, "cash", 1);
    cr_assert_eq(
        wl_queue_settle(
            queue, &(wl_settle_t){.retries = &row, .retry_count = 1, .acks = ids, .ack_count = 1}),
        WL_ERR_NO_SPACE);
    cr_assert_eq(stats(queue).entries, 2, "no ack without the retry that it rests on");
    cr_assert_eq(ack(queue, ids, 1), WL_OK);
    cr_assert_eq(stats(queue).entries, 1);
    cr_assert_eq(ask(redis, NULL, "CONFIG SET maxmemory 0").err, WL_OK);
    (void)append_one(queue, "cash");
    cr_assert_eq(ask(redis, NULL, "REPLICAOF 127.0.0.1 1").err, WL_OK);
    cr_assert_eq(wl_queue_append(queue, &entry, 1), WL_ERR_UNAVAILABLE);
    cr_assert_eq(ack(queue, &ids[1], 1), WL_ERR_UNAVAILABLE, "not CONFLICT: the claim stands");
    cr_assert_eq(ask(redis, NULL, "REPLICAOF NO ONE").err, WL_OK);
    cr_assert_eq(ack(queue, &ids[1], 1), WL_OK);
    cr_assert_eq(stats(queue).entries, 1);
    wl_redis_destroy(&redis);
    wl_queue_close(&queue);
}

Test(queue_server, tells_entries_whose_answer_was_lost_once_more) {
    own_server("yes", "always");
    wl_queue_t *queue = NULL;
    wl_redis_options_t where = {.nodes = server.at, .timeout_ms = 200};
    wl_queue_options_t options = {
        .redis = &where, .prefix = queue_prefix, .consumer = "me", .use = WL_QUEUE_SETTLE};
    cr_assert_eq(wl_queue_open(&options, &queue, NULL), WL_OK);
    cr_assert_eq(claim(queue, 1), WL_OK);
    uint64_t last = 0;
    uint64_t first = append_one(queue, "cash");
    cr_assert_eq(read_all(queue, 0, 9, &last), 1);
    uint64_t second = append_one(queue, "cash");
    wl_redis_t *redis = raw_open();
    answer_t slept = {0};
    send_words(redis, NULL, "DEBUG SLEEP 1", on_answer, &slept);
    cr_assert_eq(wl_redis_wait(redis, 50), WL_ERR_DEADLINE);
    wl_err_t err = wl_queue_read(queue, last, 9, on_entry, &told, &last);
    cr_assert(err == WL_ERR_DEADLINE || err == WL_ERR_UNAVAILABLE, "%s", wl_err_name(err));
    cr_assert_eq(wl_redis_wait(redis, 5000), WL_OK);
    cr_assert_eq(raw(redis, "changes", "XPENDING % dispatcher - + 9").elements, 2,
                 "the server did hand it out");
    int64_t until = wl_mono_now().ms + 10000;
    do {
        memset(&told, 0, sizeof told);
        err = wl_queue_read(queue, last, 9, on_entry, &told, &last);
    } while (err != WL_OK && wl_mono_now().ms < until);
    cr_assert_eq(err, WL_OK);
    cr_assert(told.count == 1 && told.ids[0] == second);
    cr_assert_eq(ack(queue, (uint64_t[]){first, second}, 2), WL_OK);
    cr_assert_eq(stats(queue).entries, 0);
    wl_redis_destroy(&redis);
    wl_queue_close(&queue);
}

Test(queue_server, loses_no_acknowledged_entry_to_kill_9_of_redis) {
    uint64_t random = 4711;
    own_server("yes", "always");
    wl_queue_t *queue = queue_open(WL_QUEUE_APPEND);
    static uint64_t acknowledged[20000];
    size_t count = 0;
    for (unsigned round = 0; round < 5 || (count <= 100 && round < 50); round++) {
        unsigned wanted = 5 + random_below(&random, 100);
        pid_t killer = fork();
        if (killer == 0) { /* while appends are under way */
            wait_ms((int)wanted);
            (void)kill(server.process, SIGKILL);
            _exit(0);
        }
        wl_err_t err = WL_OK;
        while (err == WL_OK && count + 4 < WL_COUNT_OF(acknowledged)) {
            wl_queue_entry_t entries[4];
            for (unsigned i = 0; i < 4; i++) {
                entries[i] = entry_make("cash", "body", 4);
            }
            err = wl_queue_append(queue, entries, 4);
            for (unsigned i = 0; err == WL_OK && i < 4; i++) {
                acknowledged[count++] = entries[i].id;
            }
        }
        cr_assert(err == WL_ERR_UNAVAILABLE || err == WL_ERR_DEADLINE, "%s", wl_err_name(err));
        cr_assert_eq(waitpid(killer, NULL, 0), killer);
        server_kill(&server); /* reaps it */
        server_start(&server, "--appendonly", "yes", "--appendfsync", "always", NULL);
    }
    wl_queue_t *reader = queue_open(WL_QUEUE_SETTLE);
    size_t found = 0;
    uint64_t last = 0;
    for (uint64_t before = 1; before != last;) {
        before = last;
        (void)read_all(reader, last, 1000, &last);
        for (size_t i = 0; i < told.count; i++) {
            found += found < count && told.ids[i] == acknowledged[found];
        }
    }
    cr_assert(count > 100 && found == count, "%zu of %zu", found, count);
    wl_queue_close(&reader);
    wl_queue_close(&queue);
}
