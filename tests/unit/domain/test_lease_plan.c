#include "domain/lease_plan.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

enum { LEASE_MS = 6000, STEP_MS = LEASE_MS / 4, WRITERS = 6, EPOCHS = 4096, START_MS = 1000 };

/* ---- single steps ----------------------------------------------------------------------------- */

static wl_mono_ms_t at(int64_t ms) {
    return (wl_mono_ms_t){ms};
}

/* One step over rows that are all free, or all of somebody else. */
static uint32_t step_takes(wl_lease_plan_t *plan, bool is_free, uint32_t writers, int64_t now,
                           wl_lease_act_t *acts) {
    wl_lease_seen_t seen[WL_LEASE_PARTITIONS_MAX];
    for (uint32_t p = 0; p < WL_LEASE_PARTITIONS_MAX; p++) {
        seen[p] = (wl_lease_seen_t){.free = is_free};
    }
    wl_lease_plan_step(plan, seen, writers, at(now), acts);
    uint32_t takes = 0;
    for (uint32_t p = 0; p < WL_LEASE_PARTITIONS_MAX; p++) {
        takes += acts[p] == WL_LEASE_TAKE;
    }
    return takes;
}

Test(lease_plan, takes_its_share_and_what_stays_free_a_period_later) {
    wl_lease_act_t acts[WL_LEASE_PARTITIONS_MAX] = {0};
    WL_AUTO(wl_lease_plan) plan = wl_lease_plan_new(5, LEASE_MS, 3);
    cr_expect_eq(step_takes(plan, true, 2, START_MS, acts), 3u, "half of five, rounded up");
    cr_expect_eq(acts[3], WL_LEASE_TAKE, "it begins at its own place");
    for (uint32_t p = 3; p < 6; p++) {
        wl_lease_plan_taken(plan, p % 5, 7, at(START_MS));
    }
    cr_expect_eq(step_takes(plan, true, 2, START_MS + LEASE_MS - 1, acts), 0u);
    cr_expect_eq(step_takes(plan, true, 2, START_MS + LEASE_MS, acts), 2u, "nobody else took them");
}

Test(lease_plan, never_takes_what_is_served) {
    wl_lease_act_t acts[WL_LEASE_PARTITIONS_MAX] = {0};
    WL_AUTO(wl_lease_plan) plan = wl_lease_plan_new(4, LEASE_MS, 0);
    for (int64_t now = 0; now < 10 * LEASE_MS; now += STEP_MS) {
        cr_assert_eq(step_takes(plan, false, 1, now, acts), 0u);
    }
}

Test(lease_plan, takes_its_own_rows_of_before_a_restart_at_once) {
    wl_lease_act_t acts[WL_LEASE_PARTITIONS_MAX] = {0};
    WL_AUTO(wl_lease_plan) plan = wl_lease_plan_new(1, LEASE_MS, 0);
    wl_lease_seen_t seen = {.free = false, .ours = true};
    wl_lease_plan_step(plan, &seen, 1, at(5), acts);
    cr_expect_eq(acts[0], WL_LEASE_TAKE);
}

Test(lease_plan, ends_before_the_database_thinks_so_and_counts_from_before_the_question) {
    uint64_t epoch = 0;
    WL_AUTO(wl_lease_plan) plan = wl_lease_plan_new(1, LEASE_MS, 0);
    cr_expect_eq(wl_lease_plan_until(plan, 0, &epoch).ms, 0);
    cr_expect_eq(epoch, 0u);
    wl_lease_plan_taken(plan, 0, 9, at(1000));
    cr_expect_eq(wl_lease_plan_until(plan, 0, &epoch).ms, 1000 + LEASE_MS - LEASE_MS / 10);
    cr_expect_eq(epoch, 9u);
    wl_lease_plan_renewed(plan, 0, at(2000));
    int64_t until = wl_lease_plan_until(plan, 0, &epoch).ms;
    cr_expect_eq(until, 2000 + LEASE_MS - LEASE_MS / 10);
    cr_expect_eq(wl_lease_plan_expire(plan, at(until - 1)), 0u);
    cr_expect_eq(wl_lease_plan_expire(plan, at(until)), 1u);
    cr_expect_eq(wl_lease_plan_until(plan, 0, &epoch).ms, 0);
    wl_lease_plan_renewed(plan, 0, at(until)); /* an answer that came too late */
    cr_expect_eq(wl_lease_plan_until(plan, 0, &epoch).ms, 0);
    wl_lease_act_t acts[WL_LEASE_PARTITIONS_MAX] = {0};
    cr_expect_eq(step_takes(plan, true, 1, until, acts), 0u, "the end is told first");
    cr_expect_eq(wl_lease_plan_expire(plan, at(until + STEP_MS)), 0u);
    cr_expect_eq(step_takes(plan, true, 1, until + STEP_MS, acts), 1u);
}

Test(lease_plan, hands_back_one_a_step_when_another_has_come) {
    wl_lease_act_t acts[WL_LEASE_PARTITIONS_MAX] = {0};
    WL_AUTO(wl_lease_plan) plan = wl_lease_plan_new(4, LEASE_MS, 0);
    cr_expect_eq(step_takes(plan, true, 1, START_MS, acts), 4u);
    for (uint32_t p = 0; p < 4; p++) {
        wl_lease_plan_taken(plan, p, 1, at(START_MS));
    }
    for (uint32_t held = 4; held > 2; held--) {
        cr_expect_eq(step_takes(plan, false, 2, START_MS + STEP_MS, acts), 0u);
        cr_assert_eq(acts[held - 1], WL_LEASE_RELEASE);
        wl_lease_plan_lost(plan, held - 1);
        cr_expect_eq(wl_lease_plan_held(plan), held - 1);
    }
    (void)step_takes(plan, false, 2, START_MS + STEP_MS, acts);
    cr_expect_eq(acts[0], WL_LEASE_RENEW);
    cr_expect_eq(acts[1], WL_LEASE_RENEW);
}

Test(lease_plan, keeps_what_nobody_else_took_until_somebody_comes) {
    wl_lease_act_t acts[WL_LEASE_PARTITIONS_MAX] = {0};
    WL_AUTO(wl_lease_plan) plan = wl_lease_plan_new(2, LEASE_MS, 0);
    cr_expect_eq(step_takes(plan, true, 2, START_MS, acts), 1u);
    wl_lease_plan_taken(plan, 0, 1, at(START_MS));
    cr_expect_eq(step_takes(plan, true, 2, START_MS + LEASE_MS, acts), 1u);
    wl_lease_plan_taken(plan, 1, 1, at(START_MS + LEASE_MS));
    (void)step_takes(plan, false, 2, START_MS + LEASE_MS + STEP_MS, acts);
    cr_expect_eq(acts[1], WL_LEASE_RENEW, "no to and fro");
    (void)step_takes(plan, false, 3, START_MS + LEASE_MS + 2 * STEP_MS, acts);
    cr_expect_eq(acts[1], WL_LEASE_RELEASE);
}

/* ---- many writers ----------------------------------------------------------------------------- */

typedef struct {
    int holder; /* -1 = nobody */
    uint64_t epoch;
    int64_t until;
} row_t;

typedef struct {
    wl_lease_plan_t *plan; /* NULL: dead */
    int64_t next_step;
    int64_t heard;                                 /* by the database, INT64_MIN = never */
    int64_t stalled_until;                         /* makes no step, and serves nothing */
    int64_t served_until[WL_LEASE_PARTITIONS_MAX]; /* as its dispatchers were told last */
    uint64_t epochs[WL_LEASE_PARTITIONS_MAX];
} writer_t;

/* A database and its writers, in one simulated time. */
typedef struct {
    uint32_t partitions;
    row_t rows[WL_LEASE_PARTITIONS_MAX];
    writer_t writers[WRITERS];
    int owner[WL_LEASE_PARTITIONS_MAX][EPOCHS]; /* writer + 1 that got this epoch */
    int64_t served_at[WL_LEASE_PARTITIONS_MAX];
    int64_t somebody_since; /* since when there was always a live writer */
    int64_t longest_ms;     /* without service */
    uint64_t seed;
    int64_t now;
} world_t;

static uint32_t world_below(world_t *self, uint32_t bound) {
    self->seed = self->seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(self->seed >> 33) % bound;
}

static uint32_t world_writers(const world_t *self) {
    uint32_t count = 0;
    for (int w = 0; w < WRITERS; w++) {
        count += self->writers[w].heard > self->now - LEASE_MS;
    }
    return count;
}

static void writer_take(world_t *self, int w, uint32_t p) {
    row_t *row = &self->rows[p];
    if (row->until > self->now && row->holder != w) {
        return; /* somebody was faster */
    }
    row->holder = w;
    row->epoch++;
    row->until = self->now + LEASE_MS;
    cr_assert_lt(row->epoch, EPOCHS);
    cr_assert_eq(self->owner[p][row->epoch], 0, "one holder an epoch");
    self->owner[p][row->epoch] = w + 1;
    wl_lease_plan_taken(self->writers[w].plan, p, row->epoch, at(self->now));
}

static void writer_act(world_t *self, int w, uint32_t p, wl_lease_act_t act) {
    wl_lease_plan_t *plan = self->writers[w].plan;
    row_t *row = &self->rows[p];
    uint64_t epoch = 0;
    (void)wl_lease_plan_until(plan, p, &epoch);
    bool ours = row->holder == w && row->epoch == epoch;
    switch (act) {
    case WL_LEASE_TAKE: writer_take(self, w, p); break;
    case WL_LEASE_RENEW:
        if (ours) {
            row->until = self->now + LEASE_MS;
            wl_lease_plan_renewed(plan, p, at(self->now));
        } else {
            wl_lease_plan_lost(plan, p);
        }
        break;
    case WL_LEASE_RELEASE:
        wl_lease_plan_lost(plan, p);
        row->until = ours ? 0 : row->until;
        break;
    case WL_LEASE_LEAVE: break;
    }
}

static void writer_tell(writer_t *writer, uint32_t partitions) {
    for (uint32_t p = 0; p < partitions; p++) {
        writer->served_until[p] = wl_lease_plan_until(writer->plan, p, &writer->epochs[p]).ms;
    }
}

static void writer_step(world_t *self, int w) {
    writer_t *writer = &self->writers[w];
    wl_lease_seen_t seen[WL_LEASE_PARTITIONS_MAX];
    wl_lease_act_t acts[WL_LEASE_PARTITIONS_MAX];
    (void)wl_lease_plan_expire(writer->plan, at(self->now));
    writer->heard = self->now;
    for (uint32_t p = 0; p < self->partitions; p++) {
        seen[p] = (wl_lease_seen_t){.free = self->rows[p].until <= self->now,
                                    .ours = self->rows[p].holder == w};
    }
    wl_lease_plan_step(writer->plan, seen, world_writers(self), at(self->now), acts);
    for (uint32_t p = 0; p < self->partitions; p++) {
        writer_act(self, w, p, acts[p]);
    }
    writer_tell(writer, self->partitions);
    writer->next_step = self->now + STEP_MS;
}

static bool writer_works(const world_t *self, int w) {
    return self->writers[w].plan != NULL && self->now >= self->writers[w].stalled_until;
}

/* What must always be true. */
static void world_check(world_t *self) {
    bool somebody = false;
    for (int w = 0; w < WRITERS; w++) {
        somebody = somebody || writer_works(self, w);
    }
    self->somebody_since = somebody ? self->somebody_since : self->now + 1;
    for (uint32_t p = 0; p < self->partitions; p++) {
        int believers = 0;
        bool served = false;
        for (int w = 0; w < WRITERS; w++) {
            bool believes =
                self->writers[w].plan != NULL && self->writers[w].served_until[p] > self->now;
            believers += believes;
            served = served || (believes && writer_works(self, w));
        }
        cr_assert_leq(believers, 1, "partition %u at %lld", p, (long long)self->now);
        self->served_at[p] = served ? self->now : self->served_at[p];
        int64_t since =
            self->served_at[p] > self->somebody_since ? self->served_at[p] : self->somebody_since;
        self->longest_ms =
            self->now - since > self->longest_ms ? self->now - since : self->longest_ms;
    }
}

static void world_run(world_t *self, int64_t ms) {
    for (int64_t end = self->now + ms; self->now < end; self->now += 10) {
        for (int w = 0; w < WRITERS; w++) {
            if (writer_works(self, w) && self->now >= self->writers[w].next_step) {
                writer_step(self, w);
            }
        }
        world_check(self);
    }
}

static world_t *world_new(uint32_t partitions, uint64_t seed) {
    world_t *self = wl_alloc_zero(1, sizeof *self);
    self->partitions = partitions;
    self->seed = seed;
    self->now = 1000;
    self->somebody_since = self->now;
    for (int w = 0; w < WRITERS; w++) {
        self->writers[w].heard = INT64_MIN;
    }
    for (uint32_t p = 0; p < partitions; p++) {
        self->rows[p].holder = -1;
    }
    return self;
}

static void world_free(world_t *self) {
    for (int w = 0; w < WRITERS; w++) {
        wl_lease_plan_destroy(&self->writers[w].plan);
    }
    wl_free(self);
}

static void world_start(world_t *self, int w) {
    writer_t *writer = &self->writers[w];
    *writer = (writer_t){
        .heard = writer->heard,
        .next_step = self->now + world_below(self, STEP_MS),
        .plan = wl_lease_plan_new(self->partitions, LEASE_MS, world_below(self, UINT16_MAX))};
}

/* With a goodbye: its leases are free at once, its dispatchers have stopped. */
static void world_stop(world_t *self, int w, bool goodbye) {
    for (uint32_t p = 0; p < self->partitions; p++) {
        row_t *row = &self->rows[p];
        row->until = goodbye && row->holder == w ? 0 : row->until;
    }
    wl_lease_plan_destroy(&self->writers[w].plan);
}

/* Every partition is held, and nobody has more than its share. */
static void world_expect_balance(const world_t *self) {
    uint32_t alive = 0;
    uint32_t all = 0;
    for (int w = 0; w < WRITERS; w++) {
        alive += self->writers[w].plan != NULL;
    }
    for (int w = 0; w < WRITERS; w++) {
        uint32_t held =
            self->writers[w].plan == NULL ? 0 : wl_lease_plan_held(self->writers[w].plan);
        cr_assert_leq(held, (self->partitions + alive - 1) / alive, "writer %d of %u", w, alive);
        all += held;
    }
    cr_assert_eq(all, self->partitions);
}

Test(lease_plan, writers_that_come_one_after_the_other_share_all_partitions) {
    for (uint32_t partitions = 1; partitions <= WL_LEASE_PARTITIONS_MAX; partitions += 3) {
        world_t *world = world_new(partitions, partitions);
        for (int w = 0; w < WRITERS; w++) {
            world_start(world, w);
            world_run(world, 2 * LEASE_MS + (int64_t)partitions * STEP_MS);
            world_expect_balance(world);
        }
        cr_expect_leq(world->longest_ms, 2 * STEP_MS);
        world_free(world);
    }
}

/* One at a time, with calm between: the bound that operators are told. */
Test(lease_plan, a_dead_or_stopped_writer_is_replaced_within_a_lease_and_two_steps) {
    for (uint64_t seed = 1; seed <= 60; seed++) {
        world_t *world = world_new(1 + (uint32_t)seed % WL_LEASE_PARTITIONS_MAX, seed);
        for (int w = 0; w < 3; w++) {
            world_start(world, w);
        }
        world_run(world, 40000);
        for (int round = 0; round < 4; round++) {
            int victim = (int)world_below(world, 3);
            switch (world_below(world, 3)) {
            case 0: world_stop(world, victim, false); break;
            case 1: world_stop(world, victim, true); break;
            default:
                world->writers[victim].stalled_until =
                    world->now + 1 + world_below(world, 3 * LEASE_MS);
                break;
            }
            world_run(world, 40000);
            if (world->writers[victim].plan == NULL) {
                world_start(world, victim);
                world_run(world, 40000);
            }
            world_expect_balance(world);
        }
        cr_assert_leq(world->longest_ms, LEASE_MS + 2 * STEP_MS, "seed %llu",
                      (unsigned long long)seed);
        world_free(world);
    }
}

Test(lease_plan, writers_that_die_stall_and_come_back_never_serve_together, .timeout = 60) {
    for (uint64_t seed = 1; seed <= 60; seed++) {
        world_t *world = world_new(1 + (uint32_t)seed % WL_LEASE_PARTITIONS_MAX, seed * 77);
        for (int round = 0; round < 100; round++) {
            int w = (int)world_below(world, WRITERS);
            if (world->writers[w].plan == NULL) {
                world_start(world, w);
            } else if (world_below(world, 2) == 0) {
                world->writers[w].stalled_until = world->now + world_below(world, 3 * LEASE_MS);
            } else {
                world_stop(world, w, world_below(world, 2) == 0);
            }
            world_run(world, world_below(world, LEASE_MS));
        }
        /* live ones may stall one after the other with the same partition in hand */
        cr_assert_leq(world->longest_ms, 4 * LEASE_MS, "seed %llu", (unsigned long long)seed);
        if (world->writers[0].plan == NULL) {
            world_start(world, 0);
        }
        world_run(world, 12 * LEASE_MS + (int64_t)WL_LEASE_PARTITIONS_MAX * STEP_MS);
        world_expect_balance(world);
        world_free(world);
    }
}
