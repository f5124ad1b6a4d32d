#include "actors/settlement.h"

#include "base/alloc.h"
#include "store/queue_dead.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The same numbers in every run. */
static uint32_t dice(void) {
    static uint32_t state = 7;
    state = state * 1103515245u + 12345u;
    return state >> 16;
}

typedef struct {
    char dir[64];
    wl_queue_t *queue;
    wl_settlement_t *settlement;
} world_t;

static void world_open(world_t *self) {
    char path[96];
    (void)snprintf(self->dir, sizeof self->dir, "/tmp/wl-test-XXXXXX");
    cr_assert_not_null(mkdtemp(self->dir));
    (void)snprintf(path, sizeof path, "%s/queue.db", self->dir);
    cr_assert_eq(wl_queue_open(&(wl_queue_options_t){.path = path, .use = WL_QUEUE_SETTLE},
                               &self->queue, NULL),
                 WL_OK);
    self->settlement = wl_settlement_new();
}

static void world_close(world_t *self) {
    char command[96];
    wl_settlement_destroy(&self->settlement);
    cr_expect_null(self->settlement);
    wl_queue_close(&self->queue);
    (void)snprintf(command, sizeof command, "rm -rf '%s'", self->dir);
    cr_expect_eq(system(command), 0);
}

static void retry(world_t *self, uint64_t uid, uint32_t attempts) {
    wl_retry_row_t row = {.uid = uid, .line = "cash", .attempts = attempts, .reason = "down"};
    wl_attempt_t attempt = {.at = 1000 + attempts, .failure = WL_FAILURE_TIMEOUT, .reason = "down"};
    wl_settlement_retry(self->settlement, &row, &attempt);
}

static void stored(world_t *self, uint64_t uid) {
    wl_retry_row_t row = {.uid = uid, .line = "cash"};
    wl_settlement_stored(self->settlement, &row);
}

static void dead(world_t *self, uint64_t uid) {
    wl_dead_letter_t letter = {.uid = uid, .line = "cash", .attempts = 3, .reason = "down"};
    wl_attempt_t attempt = {.at = 2000, .failure = WL_FAILURE_REFUSED, .reason = "no"};
    wl_settlement_dead(self->settlement, &letter, &attempt);
}

static size_t write_out(world_t *self) {
    size_t acked = 0;
    cr_assert_eq(wl_settlement_write(self->settlement, self->queue, &acked), WL_OK);
    cr_assert_eq(wl_settlement_waiting(self->settlement), 0u);
    return acked;
}

/* attempts of each user's row, 0 = none. */
enum { USERS = 12 };
static void on_row(const wl_retry_row_t *row, void *arg) {
    uint32_t *attempts = arg;
    cr_assert(row->uid < USERS && row->attempts > 0);
    attempts[row->uid] = row->attempts;
}

static wl_queue_stats_t stats_of(world_t *self) {
    wl_queue_stats_t stats;
    cr_assert_eq(wl_queue_stats(self->queue, &stats), WL_OK);
    return stats;
}

Test(settlement, writes_the_newest_of_several_outcomes) {
    world_t world;
    world_open(&world);
    retry(&world, 1, 1);
    wl_settlement_end(world.settlement, 1, "cash");
    cr_expect_eq(wl_settlement_waiting(world.settlement), 0u, "never written, never missed");
    wl_settlement_end(world.settlement, 2, "cash");
    cr_expect_eq(wl_settlement_waiting(world.settlement), 0u);
    retry(&world, 3, 1);
    (void)write_out(&world);
    wl_settlement_end(world.settlement, 3, "cash");
    retry(&world, 3, 1); /* ended, and its next change failed, before either was written */
    (void)write_out(&world);
    cr_expect_eq(stats_of(&world).retries, 1u);
    wl_settlement_end(world.settlement, 3, "cash");
    wl_settlement_end(world.settlement, 3, "cash");
    (void)write_out(&world);
    cr_expect_eq(stats_of(&world).retries, 0u);
    world_close(&world);
}

Test(settlement, knows_the_rows_of_an_earlier_life_and_of_redriven_letters) {
    world_t world;
    world_open(&world);
    retry(&world, 1, 2);
    (void)write_out(&world);
    wl_settlement_destroy(&world.settlement);
    world.settlement = wl_settlement_new();
    stored(&world, 1);
    wl_settlement_end(world.settlement, 1, "cash");
    stored(&world, 1); /* written anew by a redrive meanwhile */
    cr_expect_eq(wl_settlement_waiting(world.settlement), 0u);
    cr_expect_eq(stats_of(&world).retries, 1u);
    wl_settlement_end(world.settlement, 1, "cash");
    (void)write_out(&world);
    cr_expect_eq(stats_of(&world).retries, 0u);
    world_close(&world);
}

Test(settlement, turns_a_retry_into_a_letter_and_keeps_bodies) {
    world_t world;
    world_open(&world);
    retry(&world, 1, 2);
    (void)write_out(&world);
    dead(&world, 1);
    char body[] = "bytes";
    wl_dead_letter_t letter = {.line = "cash", .body = body, .body_bytes = sizeof body};
    wl_settlement_dead(world.settlement, &letter, NULL);
    memset(body, 0, sizeof body); /* it has a copy */
    wl_settlement_ack(world.settlement, 77);
    cr_expect_eq(write_out(&world), 1u);
    cr_expect_eq(stats_of(&world).retries, 0u);
    cr_expect_eq(stats_of(&world).dead, 2u);
    dead(&world, 2); /* freed unwritten */
    wl_settlement_dead(world.settlement, &letter, NULL);
    world_close(&world);
}

Test(settlement, ends_as_a_model_that_writes_everything_at_once) {
    world_t world;
    world_open(&world);
    uint32_t model[USERS] = {0};
    uint64_t letters = 0;
    for (uint32_t step = 0; step < 3000; step++) {
        uint64_t uid = (uint64_t)dice() % USERS;
        switch (dice() % 8) {
        case 0:
        case 1:
        case 2:
            model[uid] = step + 1;
            retry(&world, uid, step + 1);
            break;
        case 3:
        case 4:
            model[uid] = 0;
            wl_settlement_end(world.settlement, uid, "cash");
            break;
        case 5:
            model[uid] = 0;
            letters++;
            dead(&world, uid);
            break;
        default:
            (void)write_out(&world);
            uint32_t stored[USERS] = {0};
            cr_assert_eq(wl_queue_retries(world.queue, on_row, stored), WL_OK);
            cr_assert_arr_eq(stored, model, sizeof model);
            cr_assert_eq(stats_of(&world).dead, letters);
        }
    }
    world_close(&world);
}

Test(settlement, collects_every_released_entry) {
    world_t world;
    world_open(&world);
    wl_pending_t *pending = wl_pending_new(10);
    for (uint64_t id = 1; id <= 2000; id++) {
        wl_pending_entry(pending, id, 0);
    }
    wl_settlement_collect(world.settlement, pending);
    cr_expect_eq(wl_settlement_waiting(world.settlement), 2000u);
    cr_expect_eq(write_out(&world), 2000u);
    wl_pending_destroy(&pending);
    world_close(&world);
}

Test(settlement, remembers_nothing_of_what_was_spilled) {
    world_t world;
    world_open(&world);
    wl_retry_row_t row = {.uid = 7, .line = "cash", .reason = "its shard could not write"};
    wl_settlement_spill(world.settlement, &row);
    (void)write_out(&world);
    wl_queue_stats_t stats = {0};
    cr_assert_eq(wl_queue_stats(world.queue, &stats), WL_OK);
    cr_expect_eq(stats.retries, 1u);
    wl_settlement_end(world.settlement, 7, "cash");
    cr_expect_eq(wl_settlement_waiting(world.settlement), 0u, "nobody knows the row");
    stored(&world, 7); /* it was loaded */
    wl_settlement_end(world.settlement, 7, "cash");
    (void)write_out(&world);
    cr_assert_eq(wl_queue_stats(world.queue, &stats), WL_OK);
    cr_expect_eq(stats.retries, 0u);
    world_close(&world);
}

Test(settlement, forgets_a_row_that_was_never_loaded) {
    world_t world;
    world_open(&world);
    retry(&world, 1, 1);
    retry(&world, 2, 1);
    (void)write_out(&world);
    wl_settlement_destroy(&world.settlement);
    world.settlement = wl_settlement_new(); /* another process, whose memory had no room for it */
    wl_settlement_end(world.settlement, 1, "cash");
    (void)write_out(&world);
    cr_expect_eq(stats_of(&world).retries, 2u);
    retry(&world, 2, 2);
    wl_settlement_forget(world.settlement, 1, "cash");
    wl_settlement_forget(world.settlement, 2, "cash");
    wl_settlement_forget(world.settlement, 3, "cash");
    (void)write_out(&world);
    cr_expect_eq(stats_of(&world).retries, 0u);
    world_close(&world);
}

/* ---- histories ------------------------------------------------------------------------------- */

static wl_attempts_t seen;
static uint64_t seen_id;

static void on_history(const wl_retry_row_t *row, void *arg) {
    (void)arg;
    cr_assert_eq(wl_attempts_unpack(row->history, row->history_bytes, &seen), WL_OK);
}

static void on_letter_history(const wl_dead_letter_t *letter, void *arg) {
    (void)arg;
    seen_id = letter->id;
    cr_assert_eq(wl_attempts_unpack(letter->history, letter->history_bytes, &seen), WL_OK);
}

static void restart(world_t *self) {
    wl_settlement_destroy(&self->settlement);
    self->settlement = wl_settlement_new();
}

/* What a start loads. */
static void on_load(const wl_retry_row_t *row, void *arg) {
    wl_settlement_stored(((world_t *)arg)->settlement, row);
}

Test(settlement, keeps_the_history_through_writes_restarts_letters_and_redrives) {
    world_t world;
    uint64_t count = 0;
    world_open(&world);
    retry(&world, 5, 1);
    retry(&world, 5, 2); /* before the first was written */
    (void)write_out(&world);
    cr_assert_eq(wl_queue_retries(world.queue, on_history, NULL), WL_OK);
    cr_assert_eq(seen.count, 2u);
    restart(&world);
    cr_assert_eq(wl_queue_retries(world.queue, on_load, &world), WL_OK);
    retry(&world, 5, 3);
    (void)write_out(&world);
    retry(&world, 5, 4);
    wl_retry_row_t spilled = {.uid = 5, .line = "cash", .attempts = 4, .reason = "its shard"};
    wl_settlement_spill(world.settlement, &spilled);
    (void)write_out(&world);
    cr_assert_eq(wl_queue_retries(world.queue, on_load, &world), WL_OK);
    dead(&world, 5);
    (void)write_out(&world);
    cr_assert_eq(wl_queue_dead_list(world.queue, NULL, 0, 9, on_letter_history, NULL), WL_OK);
    cr_assert_eq(seen.count, 5u);
    for (uint32_t i = 0; i < 4; i++) {
        cr_expect(seen.at[i].at == 1001 + i && seen.at[i].failure == WL_FAILURE_TIMEOUT);
    }
    cr_expect(seen.at[4].at == 2000 && seen.at[4].failure == WL_FAILURE_REFUSED);
    cr_expect_str_eq(seen.at[4].reason, "no");
    cr_assert_eq(
        wl_queue_dead_redrive(world.queue, seen_id, NULL, 1, 3000, on_load, &world, &count), WL_OK);
    dead(&world, 5);
    (void)write_out(&world);
    cr_assert_eq(stats_of(&world).retries, 0u);
    cr_assert_eq(wl_queue_dead_list(world.queue, NULL, 0, 9, on_letter_history, NULL), WL_OK);
    cr_expect_eq(seen.count, 6u, "it failed again, and keeps its history");
    world_close(&world);
}

/* A redriven letter in Redis comes back as an entry, without a row. */
Test(settlement, recalls_the_history_of_a_redriven_letter_and_forgets_it_when_all_is_well) {
    world_t world;
    uint8_t packed[WL_ATTEMPTS_BYTES_MAX];
    wl_attempts_t before = {.count = 1, .at = {{.at = 9, .reason = "old"}}};
    size_t bytes = wl_attempts_pack(&before, packed);
    world_open(&world);
    wl_settlement_recall(world.settlement, 6, "cash", packed, bytes);
    wl_settlement_recall(world.settlement, 7, "cash", packed, bytes);
    wl_settlement_recall(world.settlement, 8, "cash", "garbage", 7);
    wl_settlement_end(world.settlement, 6, "cash");
    cr_expect_eq(wl_settlement_waiting(world.settlement), 0u, "no row, nothing to remove");
    retry(&world, 7, 1);
    (void)write_out(&world);
    cr_assert_eq(wl_queue_retries(world.queue, on_history, NULL), WL_OK);
    cr_expect(seen.count == 2 && strcmp(seen.at[0].reason, "old") == 0);
    wl_settlement_end(world.settlement, 7, "cash");
    (void)write_out(&world);
    retry(&world, 7, 1); /* a new failure, after success */
    (void)write_out(&world);
    cr_assert_eq(wl_queue_retries(world.queue, on_history, NULL), WL_OK);
    cr_expect_eq(seen.count, 1u);
    dead(&world, 8);
    (void)write_out(&world);
    cr_assert_eq(wl_queue_dead_list(world.queue, NULL, 0, 9, on_letter_history, NULL), WL_OK);
    cr_expect_eq(seen.count, 1u, "damaged bytes are left behind");
    world_close(&world);
}
