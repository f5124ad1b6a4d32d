#include "store/lease_db.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "mysql_world.h"

#include <poll.h>
#include <pthread.h>

TestSuite(lease_db, .init = world_open, .fini = world_close, .timeout = 60);

enum { PARTITIONS = 4, LONG_MS = 60000 };

static wl_lease_db_t *leases_open(const char *name) {
    wl_lease_db_t *self = NULL;
    wl_fault_t fault = {0};
    wl_mysql_options_t options = world_options();
    cr_assert_eq(wl_lease_db_open(&options, name, PARTITIONS, &self, &fault), WL_OK, "%s",
                 fault.message);
    return self;
}

static wl_lease_t look(wl_lease_db_t *self, uint32_t partition) {
    wl_lease_t leases[PARTITIONS];
    uint32_t writers = 0;
    cr_assert_eq(wl_lease_db_look(self, LONG_MS, leases, &writers), WL_OK);
    return leases[partition];
}

static uint64_t take(wl_lease_db_t *self, uint32_t partition, uint32_t lease_ms) {
    uint64_t epoch = 0;
    cr_assert_eq(wl_lease_db_take(self, partition, lease_ms, &epoch), WL_OK);
    return epoch;
}

static void wait_ms(int ms) {
    (void)poll(NULL, 0, ms);
}

Test(lease_db, one_writer_holds_a_partition_and_each_taking_has_a_higher_epoch) {
    wl_lease_db_t *a = leases_open("writer a");
    wl_lease_db_t *b = leases_open("writer 'b'");
    uint64_t epoch = 0;
    cr_assert_eq(look(a, 1).epoch, 0);
    uint64_t first = take(a, 1, LONG_MS);
    cr_assert_gt(first, 300000, "minutes since 2026");
    cr_assert_eq(wl_lease_db_take(b, 1, LONG_MS, &epoch), WL_ERR_CONFLICT);
    cr_assert_leq(take(b, 2, LONG_MS) - first, 1, "another partition");
    wl_lease_t seen = look(b, 1);
    cr_assert(!seen.ours && seen.epoch == first && seen.left_ms > LONG_MS - 5000 &&
              seen.left_ms <= LONG_MS);
    cr_assert(look(a, 1).ours);
    cr_assert_eq(take(a, 1, LONG_MS), first + 1, "ours again");
    cr_assert_eq(wl_lease_db_renew(a, 1, first, LONG_MS), WL_ERR_CONFLICT, "an epoch of before");
    cr_assert_eq(wl_lease_db_release(b, 1, first + 1), WL_ERR_CONFLICT);
    cr_assert_eq(wl_lease_db_release(a, 1, first), WL_ERR_CONFLICT);
    cr_assert_eq(wl_lease_db_release(a, 1, first + 1), WL_OK);
    cr_assert_leq(look(a, 1).left_ms, 0);
    cr_assert_eq(take(b, 1, LONG_MS), first + 2, "let go: free at once");
    cr_assert_eq(wl_lease_db_renew(a, 1, first + 1, LONG_MS), WL_ERR_CONFLICT);
    wl_lease_db_close(&a);
    wl_lease_db_close(&b);
    wl_lease_db_close(&b);
}

Test(lease_db, a_lease_ends_by_itself_and_not_before) {
    wl_lease_db_t *a = leases_open("a");
    wl_lease_db_t *b = leases_open("b");
    uint64_t epoch = 0;
    int64_t begun = wl_mono_now().ms;
    uint64_t first = take(a, 0, 700);
    wl_err_t err = WL_ERR_CONFLICT;
    while (err == WL_ERR_CONFLICT) {
        err = wl_lease_db_take(b, 0, 300, &epoch);
        wait_ms(10);
    }
    cr_assert(err == WL_OK && epoch == first + 1);
    cr_assert_geq(wl_mono_now().ms - begun, 695, "taken while it ran");
    cr_assert_leq(wl_mono_now().ms - begun, 5000);
    cr_assert_eq(wl_lease_db_renew(a, 0, first, LONG_MS), WL_ERR_CONFLICT, "it is too late");
    wait_ms(400);
    cr_assert_eq(wl_lease_db_renew(b, 0, epoch, LONG_MS), WL_OK, "ended, but nobody took it");
    cr_assert_eq(wl_lease_db_take(a, 0, LONG_MS, &epoch), WL_ERR_CONFLICT);
    wl_lease_db_close(&a);
    wl_lease_db_close(&b);
}

Test(lease_db, counts_the_writers_that_were_heard_lately) {
    wl_lease_db_t *a = leases_open("a");
    wl_lease_db_t *b = leases_open("b");
    wl_lease_t leases[PARTITIONS];
    uint32_t writers = 0;
    cr_assert_eq(wl_lease_db_look(a, LONG_MS, leases, &writers), WL_OK);
    cr_assert_eq(writers, 1);
    cr_assert_eq(wl_lease_db_look(b, LONG_MS, leases, &writers), WL_OK);
    cr_assert_eq(writers, 2);
    wait_ms(600);
    cr_assert_eq(wl_lease_db_look(a, 500, leases, &writers), WL_OK);
    cr_assert_eq(writers, 1, "b was not heard");
    wl_lease_db_close(&a);
    wl_lease_db_close(&b);
}

Test(lease_db, survives_its_connection_and_more_partitions_than_it_knows) {
    wl_lease_db_t *a = leases_open("a");
    uint64_t epoch = take(a, 3, LONG_MS);
    world_sql("INSERT INTO lease VALUES(17, 'x', 5, 0)");
    cr_assert_geq(world_kill_all(), 1);
    cr_assert(look(a, 3).ours);
    cr_assert_geq(world_kill_all(), 1);
    cr_assert_eq(wl_lease_db_renew(a, 3, epoch, LONG_MS), WL_OK);
    wl_lease_db_close(&a);
}

Test(lease_db, refuses_names_and_addresses_that_are_none) {
    wl_lease_db_t *self = NULL;
    wl_fault_t fault = {0};
    wl_mysql_options_t options = world_options();
    char longest[200];
    memset(longest, 'n', sizeof longest);
    longest[129] = '\0';
    cr_assert_eq(wl_lease_db_open(&options, "", 1, &self, &fault), WL_ERR_SETTINGS);
    cr_assert_eq(wl_lease_db_open(&options, longest, 1, &self, &fault), WL_ERR_SETTINGS);
    options.at = "nowhere";
    cr_assert_eq(wl_lease_db_open(&options, "a", 1, &self, &fault), WL_ERR_SETTINGS);
    cr_assert_null(self);
}

Test(lease_db, a_restored_row_does_not_bring_old_epochs_back) {
    wl_lease_db_t *a = leases_open("a");
    uint64_t first = take(a, 0, LONG_MS);
    world_sql("UPDATE lease SET epoch = 7");
    cr_assert_eq(wl_lease_db_renew(a, 0, first, LONG_MS), WL_ERR_CONFLICT);
    cr_assert_geq(take(a, 0, LONG_MS), first);
    world_sql("UPDATE lease SET epoch = 12000000"); /* beyond the floor it counts on */
    cr_assert_eq(take(a, 0, LONG_MS), 12000001);
    wl_lease_db_close(&a);
}

/* ---- races ---- */

enum { RACERS = 4, WINS = 40 };

typedef struct {
    pthread_t thread;
    unsigned number;
    uint64_t epochs[WINS];
} racer_t;

/* Takes the same partition as all others as often as it gets it. */
static void *race(void *arg) {
    racer_t *self = arg;
    char name[16];
    (void)snprintf(name, sizeof name, "racer %u", self->number);
    wl_lease_db_t *leases = leases_open(name);
    unsigned wins = 0;
    while (wins < WINS) {
        uint64_t epoch = 0;
        wl_err_t err = wl_lease_db_take(leases, 0, LONG_MS, &epoch);
        cr_assert(err == WL_OK || err == WL_ERR_CONFLICT || err == WL_ERR_BUSY, "%s",
                  wl_err_name(err));
        if (err == WL_OK) {
            self->epochs[wins++] = epoch;
            cr_assert_eq(wl_lease_db_renew(leases, 0, epoch, LONG_MS), WL_OK, "nobody else can");
            cr_assert_eq(wl_lease_db_release(leases, 0, epoch), WL_OK);
        }
    }
    wl_lease_db_close(&leases);
    wl_mysql_thread_end();
    return NULL;
}

Test(lease_db, no_epoch_is_given_twice_however_many_ask_at_once) {
    static racer_t racers[RACERS];
    static bool seen[RACERS * WINS + 1];
    wl_lease_db_t *first = leases_open("first"); /* makes the tables */
    uint64_t before = take(first, 0, LONG_MS);
    cr_assert_eq(wl_lease_db_release(first, 0, before), WL_OK);
    for (unsigned i = 0; i < RACERS; i++) {
        racers[i].number = i;
        cr_assert_eq(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (unsigned i = 0; i < RACERS; i++) {
        cr_assert_eq(pthread_join(racers[i].thread, NULL), 0);
        for (unsigned k = 0; k < WINS; k++) {
            uint64_t epoch = racers[i].epochs[k] - before;
            cr_assert(epoch >= 1 && epoch <= (uint64_t)RACERS * WINS && !seen[epoch]);
            seen[epoch] = true;
        }
    }
    wl_lease_db_close(&first);
}

/* ---- quotas ---------------------------------------------------------------------------------- */

static uint64_t reserve(wl_lease_db_t *self, uint64_t limit, uint64_t chunk, int64_t *ret_day) {
    uint64_t granted = 0;
    uint64_t left = UINT64_MAX;
    cr_assert_eq(wl_lease_db_reserve(self, "cash", limit, chunk, ret_day, &granted, &left), WL_OK);
    cr_assert_leq(granted + left, limit);
    cr_assert(granted == chunk || left == 0);
    return granted;
}

Test(lease_db, writers_share_a_quota_to_the_last_call) {
    wl_lease_db_t *a = leases_open("a");
    wl_lease_db_t *b = leases_open("b");
    int64_t day = 0;
    uint64_t all = 0;
    for (uint64_t granted = 1; granted > 0; all += granted) {
        granted = reserve(all % 2 == 0 ? a : b, 1003, 10, &day);
    }
    cr_expect_eq(all, 1003u);
    cr_expect_eq(day, wl_wall_now().ms / 86400000, "unless it is midnight");
    cr_expect_eq(wl_lease_db_give_back(b, "cash", day, 7), WL_OK);
    cr_expect_eq(wl_lease_db_give_back(b, "cash", day - 1, 100), WL_OK);
    cr_expect_eq(wl_lease_db_give_back(b, "cash", day, 5000), WL_OK, "more than there is: nothing");
    cr_expect_eq(reserve(a, 1003, 10, &day), 7u);
    cr_expect_eq(reserve(a, 500, 10, &day), 0u, "a smaller limit");
    cr_expect_eq(reserve(a, 1005, 10, &day), 2u, "a larger one");
    wl_lease_db_close(&a);
    wl_lease_db_close(&b);
}

typedef struct {
    const char *name;
    uint64_t granted;
} spender_t;

static void *spend(void *arg) {
    spender_t *self = arg;
    wl_lease_db_t *db = leases_open(self->name);
    uint64_t left = 0;
    for (uint64_t granted = 1; granted > 0;) {
        int64_t day = 0;
        wl_err_t err = wl_lease_db_reserve(db, "cash", 2000, 7, &day, &granted, &left);
        cr_assert(err == WL_OK || err == WL_ERR_BUSY, "%s", wl_err_text(err));
        granted = err == WL_OK ? granted : 1;
        self->granted += err == WL_OK ? granted : 0;
    }
    wl_lease_db_close(&db);
    wl_mysql_thread_end();
    return NULL;
}

Test(lease_db, racing_writers_get_no_call_twice) {
    spender_t spenders[] = {{"a", 0}, {"b", 0}, {"c", 0}, {"d", 0}};
    pthread_t threads[4];
    uint64_t all = 0;
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, spend, &spenders[i]), 0);
    }
    for (int i = 0; i < 4; i++) {
        cr_assert_eq(pthread_join(threads[i], NULL), 0);
        all += spenders[i].granted;
    }
    cr_expect_eq(all, 2000u);
}
