#include "../unit/store/mysql_world.h"
#include "actors/keeper.h"
#include "store/lease_db.h"
#include "write_path.h"

enum { LEASE_MS = 1000, PARTITIONS = 4 };

/* The keeper with the test as everybody who hears of leases. */
typedef struct {
    stage_t stage;
    neighbour_t presence;
    neighbour_t puller; /* has the share of what is held */
    neighbour_t dispatchers[PARTITIONS];
    wl_lease_db_t *other; /* another writer */
} keep_t;

static void keep_open(keep_t *self, const char *store) {
    *self = (keep_t){0};
    stage_open_writer(&self->stage);
    wl_settings_t *settings = &self->stage.settings;
    settings->queue_partitions = PARTITIONS;
    settings->keeper_lease_ms = LEASE_MS;
    (void)snprintf(settings->queue_store, sizeof settings->queue_store, "redis");
    (void)snprintf(settings->server_name, sizeof settings->server_name, "here");
    (void)snprintf(settings->shard_store, sizeof settings->shard_store, "%s", store);
    self->presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    self->puller = neighbour_open(WL_ACTOR_PULLER, 0);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        self->dispatchers[p] = neighbour_open(WL_ACTOR_DISPATCHER, p);
    }
}

static void keep_open_mysql(keep_t *self) {
    world_open();
    keep_open(self, "mysql");
    wl_settings_t *settings = &self->stage.settings;
    (void)snprintf(settings->shard_at, sizeof settings->shard_at, "%s", mysql_world.at);
    (void)snprintf(settings->shard_password_file, sizeof settings->shard_password_file, "%s",
                   stores_mysql_password_file());
    stage_start(&self->stage, WL_ACTOR_KEEPER, wl_keeper_run);
}

static void keep_close(keep_t *self) {
    wl_lease_db_close(&self->other);
    neighbour_close(&self->presence);
    neighbour_close(&self->puller);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        neighbour_close(&self->dispatchers[p]);
    }
    stage_close(&self->stage);
    world_close();
}

/* The next word about its partition that dispatcher p hears. */
static wl_lease_item_t next_lease(keep_t *self, uint32_t p) {
    wl_msg_t msg = neighbour_expect(&self->dispatchers[p], WL_MSG_LEASE, 1);
    cr_expect_eq(msg.items.lease[0].partition, p);
    return msg.items.lease[0];
}

/* Waits until it is held, or is not. */
static wl_lease_item_t await_lease(keep_t *self, uint32_t p, bool held) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    wl_lease_item_t item = next_lease(self, p);
    while ((item.until > 0) != held && wl_mono_now().ms < until) {
        item = next_lease(self, p);
    }
    cr_assert_eq(item.until > 0, held, "partition %u", p);
    return item;
}

static void look(keep_t *self, wl_lease_t *ret_leases) {
    uint32_t writers = 0;
    if (self->other == NULL) {
        wl_mysql_options_t options = world_options();
        cr_assert_eq(wl_lease_db_open(&options, "there", PARTITIONS, &self->other, NULL), WL_OK);
    }
    cr_assert_eq(wl_lease_db_look(self->other, LEASE_MS, ret_leases, &writers), WL_OK);
}

Test(keeper, grants_files_to_their_only_process_for_ever) {
    keep_t keep;
    keep_open(&keep, "sqlite");
    stage_start(&keep.stage, WL_ACTOR_KEEPER, wl_keeper_run);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        for (int i = 0; i < 2; i++) { /* again, for whoever did not hear */
            wl_lease_item_t item = next_lease(&keep, p);
            cr_expect_eq(item.epoch, 1u);
            cr_expect_eq(item.until, INT64_MAX);
        }
    }
    (void)neighbour_expect(&keep.presence, WL_MSG_LEASE, PARTITIONS);
    (void)neighbour_expect(&keep.puller, WL_MSG_LEASE, PARTITIONS);
    stage_expect_counter(&keep.stage, lease_held, PARTITIONS);
    keep_close(&keep);
}

Test(keeper, takes_all_partitions_when_it_is_alone_and_renews_them) {
    keep_t keep;
    keep_open_mysql(&keep);
    int64_t last = 0;
    uint64_t epoch = 0;
    for (int i = 0; i < 6; i++) {
        wl_lease_item_t item = next_lease(&keep, 2);
        epoch = i == 0 ? item.epoch : epoch;
        cr_expect_gt(epoch, 0u);
        cr_expect_eq(item.epoch, epoch);
        cr_expect_gt(item.until, last);
        cr_expect_leq(item.until, wl_mono_now().ms + LEASE_MS - LEASE_MS / 10);
        last = item.until;
    }
    (void)neighbour_expect(&keep.presence, WL_MSG_LEASE, PARTITIONS);
    (void)neighbour_expect(&keep.puller, WL_MSG_LEASE, PARTITIONS);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        (void)await_lease(&keep, p, true);
    }
    stage_expect_counter(&keep.stage, lease_taken, PARTITIONS);
    stage_expect_counter(&keep.stage, lease_lost, 0);
    keep_close(&keep);
}

Test(keeper, lets_go_at_once_at_the_end) {
    keep_t keep;
    wl_lease_t leases[PARTITIONS] = {0};
    keep_open_mysql(&keep);
    (void)await_lease(&keep, 0, true);
    look(&keep, leases);
    cr_expect_gt(leases[0].left_ms, 0);
    (void)stage_stop(&keep.stage);
    look(&keep, leases);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        cr_expect_leq(leases[p].left_ms, 0, "partition %u", p);
    }
    (void)await_lease(&keep, 0, false);
    keep_close(&keep);
}

Test(keeper, hands_back_its_surplus_when_another_writer_has_come) {
    keep_t keep;
    wl_lease_t leases[PARTITIONS];
    uint64_t epochs[PARTITIONS] = {0};
    keep_open_mysql(&keep);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        (void)await_lease(&keep, p, true);
    }
    uint32_t taken = 0;
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (taken < PARTITIONS / 2 && wl_mono_now().ms < until) {
        look(&keep, leases);
        for (uint32_t p = 0; p < PARTITIONS; p++) {
            if (leases[p].left_ms <= 0 && !leases[p].ours &&
                wl_lease_db_take(keep.other, p, 60000, &epochs[p]) == WL_OK) {
                cr_expect_eq(epochs[p], leases[p].epoch + 1);
                taken++;
            }
        }
        (void)zmq_poll(NULL, 0, 20);
    }
    cr_assert_eq(taken, (uint32_t)PARTITIONS / 2);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        if (epochs[p] > 0) {
            (void)await_lease(&keep, p, false);
        }
    }
    until = wl_mono_now().ms + 2 * LEASE_MS;
    while (wl_mono_now().ms < until) {
        look(&keep, leases);
        uint32_t theirs = 0;
        for (uint32_t p = 0; p < PARTITIONS; p++) {
            theirs += leases[p].ours;
        }
        cr_assert_eq(theirs, (uint32_t)PARTITIONS / 2, "each keeps its half");
        (void)zmq_poll(NULL, 0, 50);
    }
    keep_close(&keep);
}

Test(keeper, goes_on_without_the_database_until_the_lease_ends_and_no_longer) {
    keep_t keep;
    keep_open_mysql(&keep);
    uint64_t first = await_lease(&keep, 0, true).epoch;
    world_sql("RENAME TABLE lease TO away");
    int64_t begun = wl_mono_now().ms;
    wl_lease_item_t item = await_lease(&keep, 0, false);
    cr_expect_eq(item.epoch, first);
    cr_expect_geq(wl_mono_now().ms - begun, LEASE_MS / 2, "it was held as long as it was ours");
    cr_expect_leq(wl_mono_now().ms - begun, LEASE_MS + LEASE_MS / 2);
    (void)zmq_poll(NULL, 0, LEASE_MS);
    world_sql("RENAME TABLE away TO lease");
    item = await_lease(&keep, 0, true);
    cr_expect_eq(item.epoch, first + 1, "what another one could have taken is taken anew");
    cr_expect_geq(stage_counter(&keep.stage, WL_COUNTER_lease_failures, 1), 1u);
    stage_expect_counter(&keep.stage, lease_lost, PARTITIONS);
    keep_close(&keep);
}

Test(keeper, stops_serving_what_another_writer_has_taken) {
    keep_t keep;
    keep_open_mysql(&keep);
    uint64_t first = await_lease(&keep, 1, true).epoch;
    world_sql("UPDATE lease SET holder = 'there', epoch = epoch + 1, ends_at = ends_at + 60000"
              " WHERE `partition` = 1");
    wl_lease_item_t item = await_lease(&keep, 1, false);
    cr_expect_eq(item.epoch, first);
    (void)zmq_poll(NULL, 0, 2 * LEASE_MS);
    wl_lease_t leases[PARTITIONS];
    look(&keep, leases);
    cr_expect_eq(leases[1].epoch, first + 1);
    cr_expect(leases[1].ours);
    keep_close(&keep);
}

Test(keeper, takes_a_higher_epoch_when_the_stores_know_a_newer_one) {
    keep_t keep;
    keep_open_mysql(&keep);
    wl_lease_item_t item = await_lease(&keep, 1, true);
    uint64_t first = item.epoch;
    wl_refused_begin(keep.stage.encoder, NULL);
    wl_refused_add(keep.stage.encoder, &(wl_refused_item_t){.partition = 1, .epoch = first});
    wl_refused_add(keep.stage.encoder, &(wl_refused_item_t){.partition = 2, .epoch = 1});
    stage_send(&keep.stage);
    (void)await_lease(&keep, 1, false);
    item = await_lease(&keep, 1, true);
    cr_expect_eq(item.epoch, first + 1);
    stage_expect_counter(&keep.stage, lease_lost, 1); /* the other was of a lease of before */
    keep_close(&keep);
}

/* ---- quotas ---------------------------------------------------------------------------------- */

static void send_reserve(keep_t *self, const wl_reserve_item_t *item) {
    wl_reserve_begin(self->stage.encoder, &(wl_reserve_head_t){.puller = 0});
    wl_reserve_add(self->stage.encoder, item);
    stage_send(&self->stage);
}

static wl_reserved_item_t next_reserved(keep_t *self) {
    wl_msg_t msg = neighbour_await(&self->puller, WL_MSG_RESERVED);
    cr_assert_eq(msg.count, 1u);
    return msg.items.reserved[0];
}

Test(keeper, reserves_calls_for_pullers_until_none_is_left) {
    keep_t keep;
    keep_open_mysql(&keep);
    send_reserve(&keep, &(wl_reserve_item_t){.line = "cash", .limit = 10, .chunk = 6});
    wl_reserved_item_t item = next_reserved(&keep);
    cr_expect_str_eq(item.line, "cash");
    cr_expect_eq(item.error, (uint32_t)WL_OK);
    cr_expect_eq(item.granted, 6u);
    cr_expect_eq(item.left, 4u);
    int64_t day = item.day;
    cr_expect_gt(day, 20000);
    send_reserve(&keep, &(wl_reserve_item_t){.line = "cash", .limit = 10, .chunk = 6});
    item = next_reserved(&keep);
    cr_expect_eq(item.granted, 4u);
    cr_expect_eq(item.left, 0u);
    send_reserve(&keep, &(wl_reserve_item_t){.line = "cash", .limit = 10, .chunk = 6});
    cr_expect_eq(next_reserved(&keep).granted, 0u);
    /* given back without a word, and first */
    send_reserve(&keep, &(wl_reserve_item_t){.line = "cash", .back_day = day, .back = 2});
    send_reserve(&keep, &(wl_reserve_item_t){
                            .line = "cash", .limit = 10, .chunk = 6, .back_day = day, .back = 1});
    cr_expect_eq(next_reserved(&keep).granted, 3u);
    send_reserve(&keep, &(wl_reserve_item_t){.line = "coin", .limit = 1, .chunk = 1});
    cr_expect_eq(next_reserved(&keep).granted, 1u, "lines are counted apart");
    stage_expect_counter(&keep.stage, quota_reserved, 14);
    keep_close(&keep);
}

Test(keeper, refuses_to_reserve_without_the_database_and_goes_on_with_it) {
    keep_t keep;
    keep_open_mysql(&keep);
    (void)await_lease(&keep, 0, true);
    world_sql("RENAME TABLE quota TO away");
    send_reserve(&keep, &(wl_reserve_item_t){.line = "cash", .limit = 10, .chunk = 6});
    wl_reserved_item_t item = next_reserved(&keep);
    cr_expect_neq(item.error, (uint32_t)WL_OK);
    cr_expect_eq(item.granted, 0u);
    world_sql("RENAME TABLE away TO quota");
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    do { /* refused until the next step */
        send_reserve(&keep, &(wl_reserve_item_t){.line = "cash", .limit = 10, .chunk = 6});
        item = next_reserved(&keep);
    } while (item.error != WL_OK && wl_mono_now().ms < until);
    cr_expect_eq(item.granted, 6u);
    stage_expect_counter(&keep.stage, lease_lost, 0); /* leases did not suffer */
    keep_close(&keep);
}

Test(keeper, has_nothing_to_reserve_in_files) {
    keep_t keep;
    keep_open(&keep, "sqlite");
    stage_start(&keep.stage, WL_ACTOR_KEEPER, wl_keeper_run);
    send_reserve(&keep, &(wl_reserve_item_t){.line = "cash", .limit = 10, .chunk = 6});
    cr_expect_eq(next_reserved(&keep).error, (uint32_t)WL_ERR_UNAVAILABLE);
    keep_close(&keep);
}
