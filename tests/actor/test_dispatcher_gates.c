#include "dispatcher_world.h"

#include "base/slot.h"

/* A writer with two shards, the first of which cannot write as long as `away` says so. The test
 * answers pulls as puller, shard and cache together. */
typedef struct {
    world_t world;
    bool away;
    bool silent;         /* and it does not even say so */
    bool failing;        /* nor is it asked: the line fails those users */
    int64_t pause_ms;    /* for so long, as it says */
    uint64_t asked;      /* pulls of users of the sick shard */
    uint64_t well_asked; /* and of the other */
} gates_t;

/* The number-th user of a shard, 1, 2, .. */
static uint64_t user_of(uint32_t shard, uint32_t number) {
    uint64_t uid = 0;
    while (number > 0) {
        uid++;
        number -= wl_slot_of(uid) * 2 / WL_SLOTS == shard;
    }
    return uid;
}

static void gates_open(gates_t *self, const char *more) {
    memset(self, 0, sizeof *self);
    world_open_bare(&self->world);
    self->world.stage.settings.shard_instances = 2;
    self->world.stage.settings.dispatcher_keys_max = 1024;
    world_start(&self->world);
    world_configure(&self->world, more);
    self->away = true;
    self->pause_ms = 100;
}

static void append_many(gates_t *self, uint32_t shard, uint32_t first, uint32_t count) {
    wl_change_t changes[WL_CHANGES_MAX];
    memset(changes, 0, sizeof changes);
    for (uint32_t i = 0; i < count; i++) {
        changes[i].uid = user_of(shard, first + i);
    }
    stage_tell_queued(&self->world.stage, queue_append_changes(self->world.queue, WL_ENTRY_CHANGES,
                                                               "cash", changes, count));
}

static void tell_away(gates_t *self, const wl_pull_item_t *pull) {
    wl_pulled_head_t head = {.line = "cash", .pause_ms = self->pause_ms, .shard = 1};
    wl_pulled_begin(self->world.stage.encoder, &head);
    wl_pulled_add(self->world.stage.encoder,
                  &(wl_pulled_item_t){
                      .uid = pull->uid, .seq = pull->seq, .outcome = WL_PULL_RETRY, .held = true});
    stage_send(&self->world.stage);
}

/* Answers the pulls of the next message, if one comes. */
static void answer_next(gates_t *self) {
    wl_msg_t msg;
    if (!neighbour_seek(&self->world.puller, WL_MSG_PULL, &msg, 5)) {
        return;
    }
    wl_pull_item_t pulls[512];
    cr_assert_leq(msg.count, 512u);
    memcpy(pulls, msg.items.pull, msg.count * sizeof *pulls);
    for (uint32_t i = 0; i < msg.count; i++) {
        bool sick = wl_slot_of(pulls[i].uid) * 2 / WL_SLOTS == 0 && self->away;
        pulls[i].hints = (wl_hint_list_t){NULL, 0};
        self->asked += sick;
        self->well_asked += !sick;
        if (!sick) {
            send_done(&self->world, "cash", &pulls[i], WL_PULL_OK);
        } else if (self->failing) {
            send_pulled(&self->world, "cash", &pulls[i], WL_PULL_RETRY, false, 0);
        } else if (!self->silent) {
            tell_away(self, &pulls[i]);
        }
    }
}

/* Answers every pull until `entries` are left in the queue, or nothing comes any more. */
static bool answer_until(gates_t *self, uint64_t entries) {
    int64_t until = wl_mono_now().ms + 4 * PATIENCE_MS;
    while (queue_stats(self->world.queue).entries != entries && wl_mono_now().ms < until) {
        answer_next(self);
    }
    return queue_stats(self->world.queue).entries == entries;
}

Test(dispatcher_gates, users_of_other_shards_go_on_while_one_cannot_write) {
    gates_t gates;
    gates_open(&gates, "");
    append_many(&gates, 0, 1, 40);
    append_many(&gates, 1, 1, 40);
    cr_expect(answer_until(&gates, 1), "all but the entry of the sick shard");
    for (uint32_t i = 0; i < 20; i++) {
        append_many(&gates, 1, 1, 40);
        cr_expect(answer_until(&gates, 1));
    }
    cr_expect_gt(gates.asked, 0u);
    gates.away = false;
    cr_expect(answer_until(&gates, 0), "it writes again");
    wl_queue_stats_t stats = queue_stats(gates.world.queue);
    cr_expect_eq(stats.retries, 0u);
    cr_expect_eq(stats.dead, 0u, "waiting is no attempt");
    world_close(&gates.world);
}

Test(dispatcher_gates, a_shard_that_is_silent_does_not_fill_the_window) {
    gates_t gates;
    gates_open(&gates, ",\"concurrency\":1,\"batch_max\":4"); /* a window of 8 */
    gates.silent = true;
    append_many(&gates, 0, 1, 40);
    append_many(&gates, 1, 1, 40);
    cr_expect(answer_until(&gates, 1));
    cr_expect_eq(gates.asked, 6u);
    world_close(&gates.world);
}

Test(dispatcher_gates, what_a_shard_misses_for_long_is_left_to_the_queue) {
    gates_t gates;
    gates_open(&gates, "");
    for (uint32_t i = 0; i < 5; i++) { /* together more than the memory holds */
        append_many(&gates, 0, 1 + i * 400, 400);
    }
    append_many(&gates, 1, 1, 40);
    cr_expect(answer_until(&gates, 1), "only what sleeps in memory is still an entry");
    cr_expect_gt(queue_stats(gates.world.queue).retries, 1500u);
    stage_expect_counter(&gates.world.stage, queue_dead, 0);
    uint64_t before = gates.well_asked;
    gates.away = false;
    cr_expect(answer_until(&gates, 0));
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (queue_stats(gates.world.queue).retries > 0 && wl_mono_now().ms < until) {
        append_many(&gates, 1, 1, 1);
        cr_expect(answer_until(&gates, 0));
    }
    cr_expect_eq(queue_stats(gates.world.queue).retries, 0u);
    cr_expect_geq(gates.well_asked - before, 2000u, "none is forgotten");
    world_close(&gates.world);
}

/* The lease ends while the shard is away, as when both are of one database. What was in memory is
 * gone then, and with it those who would have found out that the shard writes again. */
Test(dispatcher_gates, a_lease_that_comes_back_finds_no_gate_of_before) {
    gates_t gates;
    gates_open(&gates, "");
    gates.pause_ms = 15000;
    for (uint32_t i = 0; i < 5; i++) {
        append_many(&gates, 0, 1 + i * 400, 400);
    }
    cr_expect(answer_until(&gates, 1), "only what sleeps in memory is still an entry");
    stage_lease(&gates.world.stage, 0, 1, 0);
    stage_expect_counter(&gates.world.stage, lease_forgotten, 1);
    gates.away = false;
    stage_lease(&gates.world.stage, 0, 2, INT64_MAX);
    int64_t until = wl_mono_now().ms + 2 * PATIENCE_MS;
    wl_queue_stats_t stats = queue_stats(gates.world.queue);
    while (stats.entries + stats.retries > 0 && wl_mono_now().ms < until) {
        answer_next(&gates);
        stats = queue_stats(gates.world.queue);
    }
    cr_expect_eq(stats.entries, 0u);
    cr_expect_eq(stats.retries, 0u, "%llu wait for nobody", (unsigned long long)stats.retries);
    cr_expect_geq(gates.well_asked, 2000u);
    world_close(&gates.world);
}

/* The line fails all who slept for the shard until they are dead letters. */
Test(dispatcher_gates, a_shard_that_nobody_asks_any_more_is_asked_for_those_it_missed,
     .timeout = 60) {
    gates_t gates;
    gates_open(&gates, "");
    for (uint32_t i = 0; i < 5; i++) {
        append_many(&gates, 0, 1 + i * 400, 400);
    }
    cr_expect(answer_until(&gates, 1), "only what sleeps in memory is still an entry");
    gates.failing = true;
    int64_t until = wl_mono_now().ms + 4 * PATIENCE_MS;
    int64_t quiet_since = wl_mono_now().ms;
    while (wl_mono_now().ms - quiet_since < 2000 && wl_mono_now().ms < until) {
        uint64_t before = gates.asked;
        answer_next(&gates);
        quiet_since = gates.asked == before ? quiet_since : wl_mono_now().ms;
    }
    wl_queue_stats_t stats = queue_stats(gates.world.queue);
    cr_expect_gt(stats.dead, 0u);
    cr_expect_eq(stats.entries, 0u);
    gates.away = false;
    until = wl_mono_now().ms + 4 * PATIENCE_MS;
    while (stats.retries > 0 && wl_mono_now().ms < until) {
        answer_next(&gates);
        stats = queue_stats(gates.world.queue);
    }
    cr_expect_eq(stats.retries, 0u, "%llu wait for nobody", (unsigned long long)stats.retries);
    world_close(&gates.world);
}
