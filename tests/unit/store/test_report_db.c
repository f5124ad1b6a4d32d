/* The store of reports, the same tests over a SQLite file and over MySQL. */
#include "store/report_db.h"

#include "base/alloc.h"
#include "mysql_world.h"
#include "private_folder.h"

#include <poll.h>
#include <pthread.h>

enum { HOLD_MS = 60000, SHARDS = 3 };

typedef wl_report_db_t *(*open_fn)(const char *name);

static char file_path[512];

static wl_report_db_t *file_open(const char *name) {
    wl_report_db_t *self = NULL;
    wl_fault_t fault = {0};
    wl_report_db_options_t options = {.path = file_path, .name = name};
    cr_assert_eq(wl_report_db_open(&options, &self, &fault), WL_OK, "%s", fault.message);
    return self;
}

static wl_report_db_t *server_open(const char *name) {
    wl_report_db_t *self = NULL;
    wl_fault_t fault = {0};
    wl_report_db_options_t options = {.mysql = world_options(), .name = name};
    cr_assert_eq(wl_report_db_open(&options, &self, &fault), WL_OK, "%s", fault.message);
    return self;
}

static wl_report_run_t a_run(void) {
    return (wl_report_run_t){
        .cap_permille = 50, .rate = 1000, .shards = SHARDS, .only_shard = -1, .by = "alice's cron"};
}

static wl_difference_t a_difference(uint64_t uid, wl_difference_kind_t kind) {
    return (wl_difference_t){.uid = uid,
                             .kind = kind,
                             .repair = WL_REPAIR_DROP,
                             .line = "cash",
                             .bucket = "ios",
                             .in_db = 5,
                             .in_copy = WL_VERSION_MAX,
                             .cause = "it's older"};
}

static wl_report_part_t claim(wl_report_db_t *self, wl_report_run_t *ret_run) {
    wl_report_part_t part = {0};
    cr_assert_eq(wl_report_db_claim(self, HOLD_MS, ret_run, &part), WL_OK);
    return part;
}

static void step(wl_report_db_t *self, wl_report_part_t *part, wl_report_state_t state,
                 const char *note) {
    part->state = state;
    cr_assert_eq(wl_report_db_step(self, part, HOLD_MS, NULL, 0, note), WL_OK);
}

/* ---- bodies ---------------------------------------------------------------------------------- */

static void a_run_goes_from_begin_to_end(open_fn open_db) {
    wl_report_db_t *db = open_db("a");
    wl_report_run_t run = a_run();
    wl_report_run_t told = {0};
    uint64_t id = 0;
    uint64_t other = 0;
    cr_assert_eq(wl_report_db_claim(db, HOLD_MS, &told, &(wl_report_part_t){0}), WL_ERR_NOT_FOUND);
    cr_assert_eq(wl_report_db_begin(db, &run, &id), WL_OK);
    cr_assert_eq(wl_report_db_begin(db, &run, &other), WL_ERR_CONFLICT);
    uint8_t sums[] = {1, 0, 255, '\''};
    for (uint32_t shard = 0; shard < SHARDS; shard++) {
        wl_report_part_t part = claim(db, &told);
        cr_assert_eq(part.shard, shard);
        cr_assert_eq(part.run, id);
        cr_assert_str_eq(told.by, run.by);
        cr_assert_eq(told.cap_permille, 50u);
        part.after = UINT64_MAX - 7;
        part.phase = 3;
        part.body = sums;
        part.body_bytes = sizeof sums;
        step(db, &part, WL_REPORT_OPEN, NULL);
        wl_report_part_t again = claim(db, &told); /* ours is taken again, where it was */
        cr_assert_eq(again.shard, shard);
        cr_assert_eq(again.after, UINT64_MAX - 7);
        cr_assert_eq(again.phase, 3);
        cr_assert_eq(again.body_bytes, sizeof sums);
        cr_assert_eq(memcmp(again.body, sums, sizeof sums), 0);
        step(db, &again, WL_REPORT_DONE, NULL);
        wl_report_part_destroy(&again);
        cr_assert_eq(wl_report_db_step(db, &part, HOLD_MS, NULL, 0, NULL), WL_ERR_CONFLICT);
    }
    wl_report_t report;
    cr_assert_eq(wl_report_db_get(db, id, &report), WL_OK);
    cr_assert_eq(report.state, WL_REPORT_DONE);
    cr_assert_geq(report.ended_at, report.started_at);
    cr_assert_eq(wl_report_db_begin(db, &run, &other), WL_OK);
    cr_assert_gt(other, id);
    cr_assert_eq(wl_report_db_get(db, 99, &report), WL_ERR_NOT_FOUND);
    wl_report_db_close(&db);
}

static void differences_are_written_once_and_settled(open_fn open_db) {
    wl_report_db_t *db = open_db("a");
    wl_report_run_t run = a_run();
    uint64_t id = 0;
    wl_difference_t found[1200];
    for (uint32_t i = 0; i < 1200; i++) { /* more than one statement takes */
        found[i] = a_difference(UINT64_MAX - i, i % 2 ? WL_DIFFERENCE_STALE : WL_DIFFERENCE_AHEAD);
    }
    cr_assert_eq(wl_report_db_begin(db, &run, &id), WL_OK);
    wl_report_part_t part = claim(db, &run);
    cr_assert_eq(wl_report_db_found(db, id, 0, HOLD_MS, found, 1200), WL_OK);
    cr_assert_eq(wl_report_db_found(db, id, 0, HOLD_MS, found, 1200), WL_OK); /* cut off, again */
    wl_report_sums_t sums;
    cr_assert_eq(wl_report_db_sums(db, id, &sums), WL_OK);
    cr_assert_eq(sums.found[WL_DIFFERENCE_STALE], 600u);
    cr_assert_eq(sums.repaired[WL_DIFFERENCE_STALE] + sums.left[WL_DIFFERENCE_STALE], 0u);
    cr_assert_eq(wl_report_db_step(db, &part, HOLD_MS, found, 2, NULL), WL_OK);
    cr_assert_eq(wl_report_db_sums(db, id, &sums), WL_OK);
    cr_assert_eq(sums.repaired[WL_DIFFERENCE_STALE], 599u);
    cr_assert_eq(sums.left[WL_DIFFERENCE_STALE], 1u);
    cr_assert_eq(sums.left[WL_DIFFERENCE_AHEAD], 1u);
    wl_found_t *list = wl_alloc_zero(1000, sizeof *list);
    uint32_t count = 0;
    cr_assert_eq(wl_report_db_differences(db, id, 0, list, 1000, &count), WL_OK);
    cr_assert_eq(count, 1000u);
    cr_assert_eq(list[0].state, WL_FOUND_LEFT);
    cr_assert_eq(list[2].state, WL_FOUND_REPAIRED);
    cr_assert_eq(list[1].difference.uid, UINT64_MAX - 1);
    cr_assert_eq(list[1].difference.in_copy, WL_VERSION_MAX);
    cr_assert_str_eq(list[1].difference.cause, "it's older");
    cr_assert_eq(wl_report_db_differences(db, id, list[999].id, list, 1000, &count), WL_OK);
    cr_assert_eq(count, 200u);
    wl_free(list);
    wl_report_part_destroy(&part);
    wl_report_db_close(&db);
}

/* A process that was killed after it wrote a difference down may end earlier steps first, when not
 * every place had been kept: those have nothing to do with it. */
static void what_is_left_stays_left(open_fn open_db) {
    wl_report_db_t *db = open_db("a");
    wl_report_run_t run = a_run();
    wl_difference_t found[2] = {a_difference(7, WL_DIFFERENCE_STALE),
                                a_difference(8, WL_DIFFERENCE_STALE)};
    wl_report_sums_t sums;
    uint64_t id = 0;
    cr_assert_eq(wl_report_db_begin(db, &run, &id), WL_OK);
    wl_report_part_t part = claim(db, &run);
    cr_assert_eq(wl_report_db_found(db, id, part.shard, HOLD_MS, found, 2), WL_OK);
    step(db, &part, WL_REPORT_OPEN, NULL); /* after the kill: an earlier step */
    cr_assert_eq(wl_report_db_found(db, id, part.shard, HOLD_MS, found, 2), WL_OK);
    cr_assert_eq(wl_report_db_step(db, &part, HOLD_MS, found, 1, NULL), WL_OK);
    cr_assert_eq(wl_report_db_sums(db, id, &sums), WL_OK);
    cr_expect_eq(sums.found[WL_DIFFERENCE_STALE], 2u);
    cr_expect_eq(sums.left[WL_DIFFERENCE_STALE], 1u);
    cr_expect_eq(sums.repaired[WL_DIFFERENCE_STALE], 1u);
    wl_report_db_close(&db);
}

static void a_dry_run_repairs_nothing(open_fn open_db) {
    wl_report_db_t *db = open_db("a");
    wl_report_run_t run = a_run();
    wl_difference_t found = a_difference(7, WL_DIFFERENCE_STALE);
    wl_report_sums_t sums;
    uint64_t id = 0;
    run.dry_run = true;
    cr_assert_eq(wl_report_db_begin(db, &run, &id), WL_OK);
    wl_report_part_t part = claim(db, &run);
    cr_assert_eq(wl_report_db_found(db, id, part.shard, HOLD_MS, &found, 1), WL_OK);
    step(db, &part, WL_REPORT_DONE, NULL); /* cut off, and then it was not there any more */
    cr_assert_eq(wl_report_db_sums(db, id, &sums), WL_OK);
    cr_expect_eq(sums.left[WL_DIFFERENCE_STALE], 1u);
    cr_expect_eq(sums.repaired[WL_DIFFERENCE_STALE], 0u);
    wl_report_db_close(&db);
}

static void the_worst_part_is_the_run(open_fn open_db) {
    wl_report_db_t *db = open_db("a");
    wl_report_run_t run = a_run();
    wl_report_t report;
    uint64_t id = 0;
    cr_assert_eq(wl_report_db_begin(db, &run, &id), WL_OK);
    wl_report_part_t part = claim(db, &run);
    step(db, &part, WL_REPORT_DONE, NULL);
    part = claim(db, &run);
    step(db, &part, WL_REPORT_CAPPED, "too much");
    wl_report_part_t last = claim(db, &run);
    cr_assert_eq(wl_report_db_stop(db, id, "because"), WL_OK);
    cr_assert_eq(wl_report_db_stop(db, id, "because"), WL_ERR_CONFLICT);
    cr_assert_eq(wl_report_db_stop(db, 77, "because"), WL_ERR_NOT_FOUND);
    cr_assert_eq(wl_report_db_found(db, id, last.shard, HOLD_MS, NULL, 0), WL_ERR_CONFLICT);
    cr_assert_eq(wl_report_db_step(db, &last, HOLD_MS, NULL, 0, NULL), WL_ERR_CONFLICT);
    cr_assert_eq(wl_report_db_get(db, id, &report), WL_OK);
    cr_assert_eq(report.state, WL_REPORT_CAPPED);
    cr_assert_str_eq(report.note, "too much");
    cr_assert_gt(report.ended_at, 0);
    wl_report_db_close(&db);
}

static void runs_come_before_rounds_and_one_shard_may_do(open_fn open_db) {
    wl_report_db_t *db = open_db("a");
    wl_report_run_t run = a_run();
    wl_report_run_t round = a_run();
    wl_report_run_t told;
    wl_report_t list[4];
    wl_report_part_t parts[4];
    uint64_t first = 0;
    uint64_t id = 0;
    uint32_t count = 0;
    round.rolling = true;
    run.only_shard = 2;
    run.dry_run = true;
    cr_assert_eq(wl_report_db_begin(db, &round, &first), WL_OK);
    cr_assert_eq(wl_report_db_begin(db, &run, &id), WL_OK, "a round is no run");
    wl_report_part_t part = claim(db, &told);
    cr_assert(part.run == id && part.shard == 2 && told.dry_run && !told.rolling);
    cr_assert_eq(wl_report_db_parts(db, id, parts, 4, &count), WL_OK);
    cr_assert_eq(count, 1u);
    cr_assert_str_eq(parts[0].holder, "a");
    wl_report_part_destroy(&parts[0]);
    step(db, &part, WL_REPORT_DONE, NULL);
    part = claim(db, &told);
    cr_assert(part.run == first && told.rolling);
    cr_assert_eq(wl_report_db_list(db, 0, true, list, 4, &count), WL_OK);
    cr_assert(count == 1 && list[0].run.id == first && list[0].state == WL_REPORT_OPEN);
    cr_assert_eq(wl_report_db_list(db, 0, false, list, 4, &count), WL_OK);
    cr_assert(count == 1 && list[0].run.id == id && list[0].state == WL_REPORT_DONE);
    cr_assert_eq(wl_report_db_list(db, id - 1, false, list, 4, &count), WL_OK);
    cr_assert_eq(count, 0u);
    wl_report_db_close(&db);
}

static void old_runs_go(open_fn open_db) {
    wl_report_db_t *db = open_db("a");
    wl_report_run_t run = a_run();
    wl_difference_t found = a_difference(1, WL_DIFFERENCE_ORPHAN);
    wl_report_t report;
    wl_report_sums_t sums;
    uint64_t first = 0;
    uint64_t id = 0;
    for (uint32_t i = 0; i <= WL_REPORT_RUNS_KEPT; i++) {
        cr_assert_eq(wl_report_db_begin(db, &run, &id), WL_OK);
        first = i == 0 ? id : first;
        wl_report_part_t part = claim(db, &run);
        cr_assert_eq(wl_report_db_found(db, id, part.shard, HOLD_MS, &found, 1), WL_OK);
        cr_assert_eq(wl_report_db_release(db, id, part.shard), WL_OK);
        cr_assert_eq(wl_report_db_stop(db, id, ""), WL_OK);
    }
    cr_expect_eq(wl_report_db_get(db, first, &report), WL_ERR_NOT_FOUND);
    cr_expect_eq(wl_report_db_sums(db, first, &sums), WL_OK);
    cr_expect_eq(sums.found[WL_DIFFERENCE_ORPHAN], 0u);
    cr_expect_eq(wl_report_db_get(db, first + 1, &report), WL_OK);
    wl_report_db_close(&db);
}

/* Rounds may be many: a night's report outlives them, and no run goes while it is open. */
static void rounds_do_not_push_runs_out(open_fn open_db) {
    wl_report_db_t *db = open_db("a");
    wl_report_run_t run = a_run();
    wl_report_run_t round = a_run();
    wl_report_t report;
    uint64_t ended = 0;
    uint64_t open = 0;
    uint64_t first = 0;
    uint64_t id = 0;
    round.rolling = true;
    cr_assert_eq(wl_report_db_begin(db, &run, &ended), WL_OK);
    cr_assert_eq(wl_report_db_stop(db, ended, ""), WL_OK);
    cr_assert_eq(wl_report_db_begin(db, &run, &open), WL_OK);
    for (uint32_t i = 0; i <= WL_REPORT_RUNS_KEPT; i++) {
        cr_assert_eq(wl_report_db_begin(db, &round, &id), WL_OK);
        first = i == 0 ? id : first;
        cr_assert_eq(wl_report_db_stop(db, id, ""), WL_OK);
    }
    cr_expect_eq(wl_report_db_get(db, ended, &report), WL_OK);
    cr_expect_eq(wl_report_db_get(db, open, &report), WL_OK);
    cr_expect_eq(report.state, WL_REPORT_OPEN);
    cr_expect_eq(wl_report_db_get(db, first, &report), WL_ERR_NOT_FOUND);
    wl_report_db_close(&db);
}

/* A run with more differences than one statement deletes goes in pieces, and holds nobody up. */
static void a_large_run_goes_in_pieces(open_fn open_db) {
    wl_report_db_t *db = open_db("a");
    wl_report_run_t run = a_run();
    wl_report_t report;
    wl_report_sums_t sums;
    wl_report_part_t part = {0};
    uint64_t first = 0;
    uint64_t id = 0;
    wl_difference_t *found = wl_alloc_zero(WL_REPORT_STEP_DIFFERENCES, sizeof *found);
    for (uint32_t i = 0; i < WL_REPORT_STEP_DIFFERENCES; i++) {
        found[i] = a_difference(i + 1, WL_DIFFERENCE_STALE);
    }
    cr_assert_eq(wl_report_db_begin(db, &run, &first), WL_OK);
    part = claim(db, &run);
    cr_assert_eq(
        wl_report_db_found(db, first, part.shard, HOLD_MS, found, WL_REPORT_STEP_DIFFERENCES),
        WL_OK);
    wl_free(found);
    cr_assert_eq(wl_report_db_stop(db, first, ""), WL_OK);
    for (uint32_t i = 0; i < WL_REPORT_RUNS_KEPT; i++) {
        cr_assert_eq(wl_report_db_begin(db, &run, &id), WL_OK);
        cr_assert_eq(wl_report_db_stop(db, id, ""), WL_OK);
    }
    cr_expect_eq(wl_report_db_get(db, first, &report), WL_OK, "not all of it in one go");
    uint32_t looks = 0;
    while (wl_report_db_get(db, first, &report) == WL_OK && looks < 10) {
        cr_assert_eq(wl_report_db_claim(db, HOLD_MS, &run, &part), WL_ERR_NOT_FOUND);
        looks++;
    }
    cr_expect_lt(looks, 10u, "it never goes");
    cr_assert_eq(wl_report_db_sums(db, first, &sums), WL_OK);
    cr_expect_eq(sums.found[WL_DIFFERENCE_STALE], 0u);
    cr_expect_eq(wl_report_db_get(db, first + 1, &report), WL_OK);
    wl_report_db_close(&db);
}

/* ---- both stores ----------------------------------------------------------------------------- */

static void file_world_open(void) {
    folder_make();
    (void)snprintf(file_path, sizeof file_path, "%s/reports.db", test_folder);
}

TestSuite(report_db_file, .init = file_world_open, .fini = folder_remove, .timeout = 60);
TestSuite(report_db_mysql, .init = world_open, .fini = world_close, .timeout = 60);

#define BOTH(name)                \
    Test(report_db_file, name) {  \
        name(file_open);          \
    }                             \
    Test(report_db_mysql, name) { \
        name(server_open);        \
    }
BOTH(a_run_goes_from_begin_to_end)
BOTH(differences_are_written_once_and_settled)
BOTH(what_is_left_stays_left)
BOTH(a_dry_run_repairs_nothing)
BOTH(the_worst_part_is_the_run)
BOTH(runs_come_before_rounds_and_one_shard_may_do)
BOTH(old_runs_go)
BOTH(rounds_do_not_push_runs_out)
BOTH(a_large_run_goes_in_pieces)

/* ---- several writers ------------------------------------------------------------------------- */

Test(report_db_mysql, a_part_has_one_holder_until_it_is_silent) {
    wl_report_db_t *a = server_open("a");
    wl_report_db_t *b = server_open("b");
    wl_report_run_t run = a_run();
    uint64_t id = 0;
    run.only_shard = 1;
    cr_assert_eq(wl_report_db_begin(a, &run, &id), WL_OK);
    wl_report_part_t part = claim(a, &run);
    cr_assert_eq(wl_report_db_claim(b, HOLD_MS, &run, &(wl_report_part_t){0}), WL_ERR_NOT_FOUND);
    cr_assert_eq(wl_report_db_found(b, id, 1, HOLD_MS, NULL, 0), WL_ERR_CONFLICT);
    cr_assert_eq(wl_report_db_step(b, &part, HOLD_MS, NULL, 0, NULL), WL_ERR_CONFLICT);
    cr_assert_eq(wl_report_db_step(a, &part, 1, NULL, 0, NULL), WL_OK); /* held for 1 ms */
    (void)poll(NULL, 0, 20);
    wl_report_part_t taken = claim(b, &run);
    cr_assert_eq(taken.shard, 1u);
    cr_assert_eq(wl_report_db_step(a, &part, HOLD_MS, NULL, 0, NULL), WL_ERR_CONFLICT);
    cr_assert_eq(wl_report_db_release(a, id, 1), WL_OK, "of no effect");
    cr_assert_eq(wl_report_db_step(b, &taken, HOLD_MS, NULL, 0, NULL), WL_OK);
    cr_assert_eq(wl_report_db_release(b, id, 1), WL_OK);
    wl_report_part_t back = claim(a, &run);
    cr_assert_eq(back.shard, 1u);
    wl_report_db_close(&a);
    wl_report_db_close(&b);
}

typedef struct {
    const char *name;
    uint32_t taken;
} racer_t;

static void *racer_run(void *arg) {
    racer_t *self = arg;
    wl_report_db_t *db = server_open(self->name);
    wl_report_run_t run;
    wl_report_part_t part = {0};
    while (wl_report_db_claim(db, HOLD_MS, &run, &part) == WL_OK) {
        part.state = WL_REPORT_DONE;
        if (wl_report_db_step(db, &part, HOLD_MS, NULL, 0, NULL) == WL_OK) {
            self->taken++;
        }
        wl_report_part_destroy(&part);
    }
    wl_report_db_close(&db);
    wl_mysql_thread_end();
    return NULL;
}

Test(report_db_mysql, racing_writers_share_the_parts) {
    wl_report_db_t *db = server_open("main");
    wl_report_run_t run = a_run();
    wl_report_t report;
    uint64_t id = 0;
    pthread_t threads[4];
    racer_t racers[4] = {{.name = "r0"}, {.name = "r1"}, {.name = "r2"}, {.name = "r3"}};
    run.shards = 64;
    cr_assert_eq(wl_report_db_begin(db, &run, &id), WL_OK);
    uint32_t taken = 0;
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, racer_run, &racers[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        taken += racers[i].taken;
    }
    for (wl_report_part_t part = {0}; /* what a racer gave up in a deadlock */
         wl_report_db_claim(db, HOLD_MS, &run, &part) == WL_OK;) {
        step(db, &part, WL_REPORT_DONE, NULL);
        taken++;
        wl_report_part_destroy(&part);
    }
    cr_expect_eq(taken, 64u, "each part once");
    cr_assert_eq(wl_report_db_get(db, id, &report), WL_OK);
    cr_expect_eq(report.state, WL_REPORT_DONE);
    wl_report_db_close(&db);
}

enum { BEGINNERS = 4, BEGINNINGS = 100 };

typedef struct {
    pthread_barrier_t *together;
    char name[16];
    uint64_t run[BEGINNINGS]; /* 0 = another was faster */
    uint32_t stopped;
} beginner_t;

static void *beginner_run(void *arg) {
    beginner_t *self = arg;
    wl_report_db_t *db = server_open(self->name);
    for (uint32_t i = 0; i < BEGINNINGS; i++) {
        wl_report_run_t run = a_run();
        uint64_t id = 0;
        (void)pthread_barrier_wait(self->together);
        if (wl_report_db_begin(db, &run, &id) == WL_OK) {
            self->run[i] = id;
        }
        (void)pthread_barrier_wait(self->together);
        self->stopped += self->run[i] != 0 && wl_report_db_stop(db, self->run[i], "") == WL_OK;
    }
    wl_report_db_close(&db);
    wl_mysql_thread_end();
    return NULL;
}

/* All writers have the same time of day for their run. */
Test(report_db_mysql, of_racing_writers_one_begins) {
    pthread_barrier_t together;
    pthread_t threads[BEGINNERS];
    static beginner_t beginners[BEGINNERS];
    wl_report_db_t *db = server_open("main"); /* makes the tables */
    cr_assert_eq(pthread_barrier_init(&together, NULL, BEGINNERS), 0);
    for (int i = 0; i < BEGINNERS; i++) {
        beginners[i] = (beginner_t){.together = &together};
        (void)snprintf(beginners[i].name, sizeof beginners[i].name, "b%d", i);
        cr_assert_eq(pthread_create(&threads[i], NULL, beginner_run, &beginners[i]), 0);
    }
    for (int i = 0; i < BEGINNERS; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
    }
    uint32_t begun = 0;
    for (uint32_t i = 0; i < BEGINNINGS; i++) {
        uint32_t at_once = 0;
        for (int b = 0; b < BEGINNERS; b++) {
            at_once += beginners[b].run[i] != 0;
        }
        cr_expect_leq(at_once, 1u, "%u runs at once", at_once);
        begun += at_once;
    }
    cr_expect_gt(begun, BEGINNINGS / 2, "only %u began", begun);
    (void)pthread_barrier_destroy(&together);
    wl_report_db_close(&db);
}

Test(report_db_file, a_process_that_died_holds_nothing) {
    wl_report_db_t *db = file_open("process 1");
    wl_report_run_t run = a_run();
    uint64_t id = 0;
    cr_assert_eq(wl_report_db_begin(db, &run, &id), WL_OK);
    (void)claim(db, &run);
    wl_report_db_close(&db);
    db = file_open("process 2");
    wl_report_part_t part = claim(db, &run);
    cr_assert_eq(part.shard, 0u);
    wl_report_db_close(&db);
}

Test(report_db_file, a_file_that_is_something_else_is_refused) {
    wl_report_db_t *db = NULL;
    wl_fault_t fault = {0};
    FILE *file = fopen(file_path, "w");
    cr_assert_not_null(file);
    cr_assert_gt(fprintf(file, "%0300d", 7), 0);
    (void)fclose(file);
    wl_report_db_options_t options = {.path = file_path, .name = "a"};
    cr_expect_neq(wl_report_db_open(&options, &db, &fault), WL_OK);
    cr_expect_null(db);
    options.name = "";
    cr_expect_eq(wl_report_db_open(&options, &db, &fault), WL_ERR_SETTINGS);
}
