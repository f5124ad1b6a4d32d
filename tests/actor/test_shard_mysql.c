/* The shard and the fetcher on a MySQL server that other processes use, too.
 * Run by ctest beside private servers: tests/stores.h. */
#include "actors/fetcher.h"
#include "actors/shard.h"
#include "actors/store_options.h"
#include "write_path.h"

#include "../unit/store/mysql_world.h"

typedef struct {
    stage_t stage;
    wl_actor_t *fetcher; /* owned */
    wl_actor_options_t fetcher_options;
    zsock_t *to_fetcher; /* owned */
    neighbour_t presence;
    neighbour_t query;
    wl_asset_db_t *other; /* owned: another writing process */
} sql_world_t;

static void sql_world_open(sql_world_t *self) {
    memset(self, 0, sizeof *self);
    wl_mysql_library_init();
    world_open();
    stage_open_writer(&self->stage);
    wl_settings_t *settings = &self->stage.settings;
    (void)snprintf(settings->shard_store, sizeof settings->shard_store, "mysql");
    (void)snprintf(settings->shard_at, sizeof settings->shard_at, "%s", mysql_world.at);
    (void)snprintf(settings->shard_password_file, sizeof settings->shard_password_file, "%s",
                   stores_mysql_password_file());
    cr_assert_eq(wl_topology_check(settings, NULL), WL_OK);
    self->presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    self->query = neighbour_open(WL_ACTOR_QUERY, 0);
    stage_start(&self->stage, WL_ACTOR_SHARD, wl_shard_run);
    stage_configure_writer(&self->stage, 1, "http://127.0.0.1:1", "");
    wl_fault_t fault = {0};
    self->fetcher_options =
        (wl_actor_options_t){.settings = settings, .kind = WL_ACTOR_FETCHER, .instance = 0};
    cr_assert_eq(
        wl_actor_start("fetcher.0", wl_fetcher_run, &self->fetcher_options, &self->fetcher, &fault),
        WL_OK, "%s: %s", fault.where, fault.message);
    cr_assert_eq(wl_topology_outbox(WL_ACTOR_FETCHER, 0, &self->to_fetcher), WL_OK);
    wl_store_text_t text;
    wl_asset_db_options_t options = wl_store_options_assets(settings, 0, false, &text);
    cr_assert_eq(wl_asset_db_open(&options, &self->other, &fault), WL_OK, "%s", fault.message);
}

static void sql_world_close(sql_world_t *self) {
    wl_asset_db_close(&self->other);
    wl_actor_destroy(&self->fetcher);
    wl_actor_destroy(&self->stage.actor);
    zsock_destroy(&self->to_fetcher);
    neighbour_close(&self->presence);
    neighbour_close(&self->query);
    stage_close(&self->stage);
    world_close();
}

static void send_store(sql_world_t *self, uint64_t epoch, wl_asset_t asset) {
    wl_store_head_t head = {.dispatcher = 0, .line = "cash", .epoch = epoch};
    wl_store_item_t item = {.uid = asset.uid, .seq = asset.version, .assets = {&asset, 1}};
    wl_store_begin(self->stage.encoder, &head);
    wl_store_add(self->stage.encoder, &item);
    stage_send(&self->stage);
}

static wl_msg_t fetch(sql_world_t *self, uint64_t uid) {
    wl_fetch_begin(self->stage.encoder, &(wl_fetch_head_t){.query = 0});
    wl_fetch_add(self->stage.encoder,
                 &(wl_fetch_item_t){.uid = uid, .deadline_at = wl_mono_now().ms + 5000});
    cr_assert_eq(wl_channel_send(self->to_fetcher, self->stage.encoder), WL_OK);
    return neighbour_await(&self->query, WL_MSG_FETCHED);
}

/* What the other process commits. */
static uint64_t other_stores(sql_world_t *self, uint64_t epoch, wl_asset_t asset) {
    wl_apply_result_t result = WL_APPLY_FULL;
    uint64_t commit_seq = 0;
    cr_assert_eq(wl_asset_db_begin(self->other), WL_OK);
    cr_assert_eq(wl_asset_db_fence(self->other, 0, epoch), WL_OK);
    cr_assert_eq(wl_asset_db_apply(self->other, &asset, &result), WL_OK);
    cr_assert_eq(wl_asset_db_commit(self->other, &commit_seq), WL_OK);
    return commit_seq;
}

Test(shard_mysql, what_the_shard_stores_the_fetcher_reads, .timeout = 60) {
    static sql_world_t world;
    sql_world_open(&world);
    for (uint64_t uid = 1; uid <= 300; uid++) {
        send_store(&world, 1, test_asset(uid, "cash", (int64_t)uid, 1));
    }
    uint64_t commit_seq = 0;
    for (uint32_t stored = 0; stored < 300;) {
        wl_msg_t msg = neighbour_await(&world.presence, WL_MSG_STORED);
        cr_expect(msg.items.stored[0].owns);
        commit_seq = msg.head.stored.commit_seq;
        stored += msg.count;
    }
    wl_msg_t msg = fetch(&world, 250);
    cr_expect_eq(msg.head.fetched.error, (uint32_t)WL_OK);
    cr_expect_eq(msg.head.fetched.commit_seq, commit_seq);
    cr_assert_eq(msg.items.fetched[0].assets.count, 1u);
    cr_expect_eq(msg.items.fetched[0].assets.at[0].amount, 250);
    cr_expect_eq(fetch(&world, 301).items.fetched[0].assets.count, 0u);

    wl_tell_owners_begin(world.stage.encoder,
                         &(wl_tell_owners_head_t){.presence = 0, .asked_at = 9});
    cr_assert_eq(wl_channel_send(world.to_fetcher, world.stage.encoder), WL_OK);
    uint32_t owners = 0;
    do {
        msg = neighbour_await(&world.presence, WL_MSG_OWNERS);
        owners += msg.items.owners[0].uids.count;
    } while (!msg.head.owners.last);
    cr_expect_eq(owners, 300u);
    cr_expect_eq(msg.head.owners.log_seq, 300u);
    cr_expect_eq(msg.head.owners.commit_seq, commit_seq);
    sql_world_close(&world);
}

Test(shard_mysql, another_process_is_seen_and_its_newer_epoch_obeyed, .timeout = 60) {
    static sql_world_t world;
    sql_world_open(&world);
    send_store(&world, 3, test_asset(7, "cash", 1, 1));
    (void)neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    uint64_t commit_seq = other_stores(&world, 4, test_asset(7, "cash", 2, 2));
    wl_msg_t msg = fetch(&world, 7);
    cr_expect_geq(msg.head.fetched.commit_seq, commit_seq);
    cr_expect_eq(msg.items.fetched[0].assets.at[0].amount, 2);

    send_store(&world, 3, test_asset(7, "cash", 3, 3)); /* our lease is over and we do not know */
    neighbour_hears_nothing(&world.presence);
    stage_expect_counter(&world.stage, store_stale_epoch, 1);
    cr_expect_eq(fetch(&world, 7).items.fetched[0].assets.at[0].amount, 2);

    send_store(&world, 5, test_asset(7, "cash", 1, 1)); /* it is ours again; the answer is old */
    msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_assert_eq(msg.items.stored[0].assets.count, 1u);
    cr_expect_eq(msg.items.stored[0].assets.at[0].amount, 2, "what stands is told");
    sql_world_close(&world);
}

Test(shard_mysql, a_lost_connection_fails_one_batch_and_heals, .timeout = 60) {
    static sql_world_t world;
    sql_world_open(&world);
    send_store(&world, 1, test_asset(7, "cash", 1, 1));
    (void)neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_eq(fetch(&world, 7).items.fetched[0].assets.count, 1u);
    cr_expect_geq(world_kill_all(), 2u);
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    wl_msg_t msg = {0};
    uint64_t version = 2;
    do { /* as redelivery would */
        send_store(&world, 1, test_asset(7, "cash", (int64_t)version, version));
        version++;
    } while (!neighbour_seek(&world.presence, WL_MSG_STORED, &msg, 300) &&
             wl_mono_now().ms < until);
    cr_assert_eq(msg.id, WL_MSG_STORED);
    int64_t amount = msg.items.stored[0].assets.at[0].amount;
    uint32_t error = WL_ERR_UNAVAILABLE;
    for (; error != WL_OK && wl_mono_now().ms < until; (void)zmq_poll(NULL, 0, 20)) {
        msg = fetch(&world, 7);
        error = msg.head.fetched.error;
        cr_assert(error == WL_OK || error == (uint32_t)WL_ERR_UNAVAILABLE);
    }
    cr_expect_geq(msg.items.fetched[0].assets.at[0].amount, amount);
    sql_world_close(&world);
}

Test(shard_mysql, waits_its_turn_behind_another_process, .timeout = 60) {
    static sql_world_t world;
    sql_world_open(&world);
    wl_apply_result_t result = WL_APPLY_FULL;
    uint64_t commit_seq = 0;
    wl_asset_t asset = test_asset(7, "cash", 1, 1);
    cr_assert_eq(wl_asset_db_begin(world.other), WL_OK);
    cr_assert_eq(wl_asset_db_apply(world.other, &asset, &result), WL_OK);
    send_store(&world, 0, test_asset(7, "cash", 2, 2));
    neighbour_hears_nothing(&world.presence);
    cr_assert_eq(wl_asset_db_commit(world.other, &commit_seq), WL_OK);
    wl_msg_t msg = neighbour_await(&world.presence, WL_MSG_STORED);
    cr_expect_eq(msg.head.stored.commit_seq, commit_seq + 1);
    cr_expect_eq(msg.items.stored[0].assets.at[0].amount, 2);
    sql_world_close(&world);
}

static void send_pull(sql_world_t *self, uint64_t uid, uint64_t epoch) {
    wl_pull_begin(self->stage.encoder, &(wl_pull_head_t){.line = "cash", .epoch = epoch});
    wl_pull_add(self->stage.encoder, &(wl_pull_item_t){.uid = uid, .seq = 77});
    cr_assert_eq(wl_channel_send(self->to_fetcher, self->stage.encoder), WL_OK);
}

static wl_asset_t consent_make(uint64_t uid, bool granted, uint64_t version) {
    wl_asset_t record = test_asset(uid, "cash", 0, version);
    (void)snprintf(record.bucket, sizeof record.bucket, "%s", WL_BUCKET_CONSENT);
    record.state = granted ? WL_STATE_AVAILABLE : WL_STATE_GONE;
    return record;
}

Test(shard_mysql, a_consent_holds_for_all_processes_until_one_of_them_stores_its_end,
     .timeout = 60) {
    static sql_world_t world;
    sql_world_open(&world);
    neighbour_t puller = neighbour_open(WL_ACTOR_PULLER, 0);
    stage_configure_writer(&world.stage, 2, "http://127.0.0.1:1", ",\"consent\":true");
    send_store(&world, 1, test_asset(7, "cash", 100, 5));
    wl_msg_t msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect(msg.items.stored[0].assets.count == 0 && !msg.items.stored[0].owns);

    (void)other_stores(&world, 1, consent_make(7, true, 1000));
    send_pull(&world, 7, 1);
    cr_expect_eq(neighbour_expect(&puller, WL_MSG_PULL, 1).items.pull[0].seq, 77u);
    send_store(&world, 1, test_asset(7, "cash", 100, 5));
    msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_eq(msg.items.stored[0].assets.count, 1u);

    send_store(&world, 1, consent_make(7, false, 1001));
    msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect(msg.items.stored[0].assets.count == 1 && !msg.items.stored[0].owns);
    send_pull(&world, 7, 1); /* ends in the shard, as if the line had said nothing */
    msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect(msg.items.stored[0].seq == 77 && msg.items.stored[0].assets.count == 0);
    cr_expect_eq(msg.items.stored[0].outcome, WL_PULL_OK);
    neighbour_hears_nothing(&puller);
    cr_expect_eq(world_number("SELECT count(*) FROM asset"), 1);
    cr_expect_eq(world_number("SELECT count(*) FROM consent WHERE uid = 7 AND granted = 0"), 1);
    neighbour_close(&puller);
    sql_world_close(&world);
}

Test(shard_mysql, pulls_are_held_while_consents_cannot_be_read, .timeout = 60) {
    static sql_world_t world;
    sql_world_open(&world);
    neighbour_t dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    world_sql("RENAME TABLE asset TO away"); /* as of a server that lost its tables */
    send_pull(&world, 7, 1);
    wl_msg_t msg = neighbour_expect(&dispatcher, WL_MSG_PULLED, 1);
    cr_expect(msg.head.pulled.pause_ms > 0 && msg.head.pulled.shard == 1);
    cr_expect(msg.items.pulled[0].held && msg.items.pulled[0].outcome == WL_PULL_RETRY);
    cr_expect_eq(msg.items.pulled[0].seq, 77u);

    wl_live_begin(world.stage.encoder, &(wl_live_head_t){.line = "cash"});
    wl_live_add(world.stage.encoder,
                &(wl_live_item_t){.uid = 7, .deadline_at = wl_mono_now().ms + 60000});
    cr_assert_eq(wl_channel_send(world.to_fetcher, world.stage.encoder), WL_OK);
    msg = neighbour_expect(&world.presence, WL_MSG_LIVED, 1);
    cr_expect_eq(msg.items.lived[0].error, (uint32_t)WL_ERR_UNAVAILABLE);
    neighbour_close(&dispatcher);
    sql_world_close(&world);
}

/* A fence is up while the last changes are copied: nothing is written, and handed back. Then the
 * newer map is there, is taken, and the slots that stayed go on. */
Test(shard_mysql, writes_stop_at_a_fence_until_the_newer_map_is_there, .timeout = 60) {
    static sql_world_t world;
    sql_world_open(&world);
    neighbour_t dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    send_store(&world, 1, test_asset(7, "cash", 1, 1));
    (void)neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    world_sql("UPDATE slot_map SET write_fence = 5");
    send_store(&world, 1, test_asset(7, "cash", 2, 2));
    wl_msg_t msg = neighbour_expect(&dispatcher, WL_MSG_PULLED, 1);
    cr_expect(msg.items.pulled[0].held && msg.head.pulled.shard == 1);
    cr_expect_eq(fetch(&world, 7).items.fetched[0].assets.at[0].amount, 1, "reads go on");
    world_sql("UPDATE slot_map SET version = 5, read_fence = 5, map = repeat(char(0), 4096)");
    msg = fetch(&world, 7);
    cr_expect_eq(msg.head.fetched.error, (uint32_t)WL_ERR_CONFLICT, "by the old map");
    cr_expect_eq(fetch(&world, 7).items.fetched[0].assets.at[0].amount, 1, "by the new one");
    send_store(&world, 1, test_asset(7, "cash", 3, 3));
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (!neighbour_seek(&world.presence, WL_MSG_STORED, &msg, 100) &&
           wl_mono_now().ms < until) { /* the first may be handed back, with the newer map */
        send_store(&world, 1, test_asset(7, "cash", 3, 3));
    }
    cr_expect_eq(fetch(&world, 7).items.fetched[0].assets.at[0].amount, 3);
    stage_expect_counter(&world.stage, shard_map_version, 5);
    cr_expect_geq(stage_counter(&world.stage, WL_COUNTER_shard_fenced, 1), 1u);
    neighbour_close(&dispatcher);
    sql_world_close(&world);
}
