#include "dispatcher_world.h"

#include "../stores.h"
#include "base/slot.h"

/* No pull comes for a while. */
static void expect_idle(world_t *world) {
    wl_msg_t msg;
    cr_expect_not(neighbour_seek(&world->puller, WL_MSG_PULL, &msg, 3 * QUIET_MS));
}

static void world_open_idle(world_t *self) {
    world_open_bare(self);
    stage_start(&self->stage, WL_ACTOR_DISPATCHER, wl_dispatcher_run);
    world_configure(self, "");
}

/* The next pull, with the epoch of its message. */
static wl_pull_item_t next_pull_under(world_t *self, const char *line, uint64_t epoch) {
    wl_msg_t msg = neighbour_await(&self->puller, WL_MSG_PULL);
    cr_assert_str_eq(msg.head.pull.line, line);
    cr_expect_eq(msg.head.pull.epoch, epoch);
    cr_assert_eq(msg.count, 1u);
    wl_pull_item_t pull = msg.items.pull[0];
    cr_expect_eq(pull.seq >> 40, epoch, "numbers begin at the epoch");
    pull.hints.at = NULL;
    return pull;
}

Test(dispatcher_lease, does_nothing_before_it_is_told_that_the_partition_is_ours) {
    world_t world;
    world_open_idle(&world);
    append(&world, "cash", 7);
    send_hint(&world, "cash", 8);
    expect_idle(&world);
    stage_expect_counter(&world.stage, refresh_not_held, 1);
    stage_lease(&world.stage, 0, 3, wl_mono_now().ms + 60000);
    (void)next_pull_under(&world, "cash", 3);
    send_hint(&world, "cash", 8);
    (void)next_pull_under(&world, "cash", 3);
    world_close(&world);
}

Test(dispatcher_lease, forgets_what_flies_when_it_ends_and_hears_no_old_answers) {
    world_t world;
    world_open_idle(&world);
    stage_lease(&world.stage, 0, 3, wl_mono_now().ms + 60000);
    append(&world, "cash", 7);
    wl_pull_item_t old = next_pull_under(&world, "cash", 3);
    stage_lease(&world.stage, 0, 3, 0);
    send_done(&world, "cash", &old, WL_PULL_OK);
    stage_expect_counter(&world.stage, lease_forgotten, 1);
    cr_expect_eq(queue_stats(world.queue).entries, 1u, "another writer may have it now");
    expect_idle(&world);

    stage_lease(&world.stage, 0, 5, wl_mono_now().ms + 60000);
    wl_pull_item_t pull = next_pull_under(&world, "cash", 5);
    send_done(&world, "cash", &old, WL_PULL_OK);
    send_pulled(&world, "cash", &old, WL_PULL_RETRY, false, 0);
    (void)zmq_poll(NULL, 0, QUIET_MS);
    cr_expect_eq(queue_stats(world.queue).entries, 1u);
    cr_expect_eq(queue_stats(world.queue).retries, 0u);
    send_done(&world, "cash", &pull, WL_PULL_OK);
    cr_expect(queue_settles(world.queue, 0));
    world_close(&world);
}

Test(dispatcher_lease, stops_by_itself_when_it_is_not_renewed) {
    world_t world;
    world_open_idle(&world);
    int64_t until = wl_mono_now().ms + 2500;
    stage_lease(&world.stage, 0, 1, until);
    append(&world, "cash", 7);
    wl_pull_item_t pull = next_pull_under(&world, "cash", 1);
    append(&world, "coin", 7);
    (void)next_pull_under(&world, "coin", 1);
    while (wl_mono_now().ms < until + 50) {
        (void)zmq_poll(NULL, 0, 50);
    }
    send_done(&world, "cash", &pull, WL_PULL_OK);
    append(&world, "cash", 8);
    expect_idle(&world);
    cr_expect_eq(queue_stats(world.queue).entries, 3u);
    stage_expect_counter(&world.stage, lease_forgotten, 1);
    world_close(&world);
}

Test(dispatcher_lease, goes_on_while_it_is_renewed) {
    world_t world;
    world_open_idle(&world);
    append(&world, "cash", 7);
    int64_t first = wl_mono_now().ms + 2000;
    stage_lease(&world.stage, 0, 1, first);
    wl_pull_item_t pull = next_pull_under(&world, "cash", 1);
    while (wl_mono_now().ms < first + 100) {
        (void)zmq_poll(NULL, 0, 100);
        stage_lease(&world.stage, 0, 1, wl_mono_now().ms + 2000);
    }
    send_done(&world, "cash", &pull, WL_PULL_OK);
    cr_expect(queue_settles(world.queue, 0));
    stage_expect_counter(&world.stage, lease_forgotten, 0);
    world_close(&world);
}

/* As when the keeper was late: the same epoch, but what was in memory is gone. */
Test(dispatcher_lease, counts_on_when_the_same_lease_comes_back) {
    world_t world;
    world_open_idle(&world);
    stage_lease(&world.stage, 0, 2, wl_mono_now().ms + 60000);
    append(&world, "cash", 7);
    wl_pull_item_t first = next_pull_under(&world, "cash", 2);
    stage_lease(&world.stage, 0, 2, 0);
    stage_expect_counter(&world.stage, lease_forgotten, 1);
    stage_lease(&world.stage, 0, 2, wl_mono_now().ms + 60000);
    wl_pull_item_t second = next_pull_under(&world, "cash", 2);
    cr_expect_gt(second.seq, first.seq);
    send_done(&world, "cash", &first, WL_PULL_OK);
    (void)zmq_poll(NULL, 0, QUIET_MS);
    cr_expect_eq(queue_stats(world.queue).entries, 1u);
    world_close(&world);
}

Test(dispatcher_lease, ignores_leases_of_others_and_of_the_past) {
    world_t world;
    world_open_idle(&world);
    stage_lease(&world.stage, 1, 9, wl_mono_now().ms + 60000);
    stage_lease(&world.stage, 0, 0, wl_mono_now().ms + 60000);
    stage_lease(&world.stage, 0, UINT64_MAX, wl_mono_now().ms + 60000);
    append(&world, "cash", 7);
    expect_idle(&world);
    stage_expect_counter(&world.stage, msg_malformed, 3);
    stage_lease(&world.stage, 0, 4, wl_mono_now().ms + 60000);
    stage_lease(&world.stage, 0, 3, 0);
    append(&world, "cash", 8);
    (void)neighbour_await(&world.puller, WL_MSG_PULL);
    stage_expect_counter(&world.stage, lease_forgotten, 0);
    world_close(&world);
}

Test(dispatcher_lease, the_next_holder_goes_on_where_the_last_one_died) {
    world_t world;
    world_open_idle(&world);
    stage_lease(&world.stage, 0, 1, wl_mono_now().ms + 60000);
    append(&world, "cash", 7);
    wl_pull_item_t pull = next_pull_under(&world, "cash", 1);
    send_pulled(&world, "cash", &pull, WL_PULL_RETRY, false, 0);
    cr_expect(retries_settle(&world, 1, 0));
    append(&world, "coin", 8);
    wl_msg_t msg = {0};
    do {
        msg = neighbour_await(&world.puller, WL_MSG_PULL);
    } while (strcmp(msg.head.pull.line, "coin") != 0);
    wl_pull_item_t lost = msg.items.pull[0];
    stage_restart(&world.stage, wl_dispatcher_run);
    while (neighbour_seek(&world.puller, WL_MSG_PULL, &msg, 0)) {
    }
    world_configure(&world, "");
    stage_lease(&world.stage, 0, 2, wl_mono_now().ms + 60000);
    bool retried = false;
    bool again = false;
    while (!(retried && again)) {
        msg = neighbour_await(&world.puller, WL_MSG_PULL);
        cr_assert_eq(msg.head.pull.epoch, 2u);
        retried = retried || msg.items.pull[0].attempt == 1;
        again = again || (msg.items.pull[0].uid == 8 && msg.items.pull[0].seq > lost.seq);
    }
    world_close(&world);
}

Test(dispatcher_lease, values_for_the_shard_carry_the_epoch) {
    world_t world;
    world_open_idle(&world);
    stage_lease(&world.stage, 0, 6, wl_mono_now().ms + 60000);
    wl_asset_t asset = test_asset(7, "cash", 1, 5);
    append_assets(&world, "cash", &asset, 1);
    wl_msg_t msg = neighbour_await(&world.shard, WL_MSG_STORE);
    cr_expect_eq(msg.head.store.epoch, 6u);
    world_close(&world);
}

/* ---- several partitions ----------------------------------------------------------------------- */

/* Two dispatchers of one process and a queue in Redis; world.queue appends. */
typedef struct {
    world_t world; /* dispatcher 0 */
    wl_actor_options_t options;
    wl_actor_t *second; /* dispatcher 1 */
    zsock_t *outbox;    /* to it */
} pair_t;

static void pair_queue(pair_t *self, wl_queue_use_t use, uint32_t partition, const char *consumer,
                       wl_queue_t **ret) {
    const wl_settings_t *settings = &self->world.stage.settings;
    wl_redis_options_t redis = {.nodes = settings->queue_redis, .timeout_ms = 2000};
    wl_queue_options_t options = {.use = use,
                                  .redis = &redis,
                                  .prefix = settings->queue_prefix,
                                  .consumer = consumer,
                                  .partitions = 2,
                                  .partition = partition};
    wl_fault_t fault = {0};
    cr_assert_eq(wl_queue_open(&options, ret, &fault), WL_OK, "%s", fault.message);
}

static void pair_send(pair_t *self, uint32_t partition) {
    zsock_t *to = partition == 0 ? self->world.stage.outbox : self->outbox;
    cr_assert_eq(wl_channel_send(to, self->world.stage.encoder), WL_OK);
}

static void pair_lease(pair_t *self, uint32_t partition, uint64_t epoch, int64_t until) {
    wl_encoder_t *encoder = self->world.stage.encoder;
    wl_lease_begin(encoder, NULL);
    wl_lease_add(encoder,
                 &(wl_lease_item_t){.partition = partition, .epoch = epoch, .until = until});
    pair_send(self, partition);
}

static void pair_configure(pair_t *self, uint32_t partition) {
    char text[4096];
    (void)snprintf(text, sizeof text, writer_integration, 1u, "http://127.0.0.1:1", "");
    wl_config_item_t item = {
        .integration = {(const uint8_t *)text, strlen(text)},
        .presentation = {(const uint8_t *)test_presentation, sizeof test_presentation - 1}};
    wl_config_begin(self->world.stage.encoder, &(wl_config_head_t){.version = "1.7"});
    wl_config_add(self->world.stage.encoder, &item);
    pair_send(self, partition);
}

static void pair_open(pair_t *self) {
    world_t *world = &self->world;
    wl_settings_t *settings = &world->stage.settings;
    wl_fault_t fault = {0};
    stage_open_writer(&world->stage);
    settings->dispatcher_settle_ms = 5;
    settings->queue_partitions = 2;
    (void)snprintf(settings->queue_store, sizeof settings->queue_store, "redis");
    (void)snprintf(settings->queue_redis, sizeof settings->queue_redis, "%s", stores_redis());
    (void)snprintf(settings->server_name, sizeof settings->server_name, "here");
    (void)stores_name("dl", settings->queue_prefix, 32);
    world->presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    world->puller = neighbour_open(WL_ACTOR_PULLER, 0);
    world->shard = neighbour_open(WL_ACTOR_SHARD, 0);
    world->intake = neighbour_open(WL_ACTOR_INTAKE, 0);
    pair_queue(self, WL_QUEUE_APPEND, 0, "here", &world->queue);
    stage_start(&world->stage, WL_ACTOR_DISPATCHER, wl_dispatcher_run);
    self->options = (wl_actor_options_t){settings, WL_ACTOR_DISPATCHER, 1};
    cr_assert_eq(
        wl_actor_start("dispatcher.1", wl_dispatcher_run, &self->options, &self->second, &fault),
        WL_OK, "%s", fault.message);
    cr_assert_eq(wl_topology_outbox(WL_ACTOR_DISPATCHER, 1, &self->outbox), WL_OK);
    pair_configure(self, 0);
    pair_configure(self, 1);
}

static void pair_close(pair_t *self) {
    wl_actor_destroy(&self->second);
    zsock_destroy(&self->outbox);
    world_close(&self->world);
}

/* The lowest user from `from` on who belongs to the partition. */
static uint64_t user_of(uint32_t partition, uint64_t from) {
    while (wl_uid_owner(from, 2) != partition) {
        from++;
    }
    return from;
}

/* Nobody tells the dispatcher: it has to look itself. */
static void pair_append(pair_t *self, uint64_t uid) {
    msgpack_sbuffer body;
    msgpack_sbuffer_init(&body);
    wl_changes_pack(&body, &(wl_change_t){.uid = uid}, 1);
    wl_queue_entry_t entry = {.at = wl_wall_now().ms,
                              .kind = WL_ENTRY_CHANGES,
                              .line = "cash",
                              .partition = wl_uid_owner(uid, 2),
                              .body = body.data,
                              .body_bytes = body.size};
    cr_assert_eq(wl_queue_append(self->world.queue, &entry, 1), WL_OK);
    msgpack_sbuffer_destroy(&body);
}

static void pair_done(pair_t *self, uint32_t partition, const wl_pull_item_t *pull) {
    wl_done_begin(self->world.stage.encoder, &(wl_done_head_t){.line = "cash"});
    wl_done_add(self->world.stage.encoder, &(wl_done_item_t){.uid = pull->uid, .seq = pull->seq});
    pair_send(self, partition);
}

Test(dispatcher_lease, each_dispatcher_serves_its_partition_of_a_redis_queue) {
    pair_t pair = {0};
    pair_open(&pair);
    world_t *world = &pair.world;
    uint64_t uids[2] = {user_of(0, 1), user_of(1, 1)};
    pair_append(&pair, uids[0]);
    pair_append(&pair, uids[1]);
    pair_lease(&pair, 1, 4, wl_mono_now().ms + 60000);
    wl_pull_item_t pull = next_pull_under(world, "cash", 4);
    cr_expect_eq(pull.uid, uids[1]);
    expect_idle(world);
    pair_lease(&pair, 0, 7, wl_mono_now().ms + 60000);
    wl_pull_item_t other = next_pull_under(world, "cash", 7);
    cr_expect_eq(other.uid, uids[0]);
    pair_done(&pair, 0, &pull); /* of the other one: the numbers do not meet */
    pair_done(&pair, 1, &other);
    (void)zmq_poll(NULL, 0, QUIET_MS);
    cr_expect_eq(queue_stats(world->queue).entries, 2u);
    pair_done(&pair, 0, &other);
    pair_done(&pair, 1, &pull);
    cr_expect(queue_settles(world->queue, 0));
    pair_append(&pair, uids[1]); /* found without being told */
    pull = next_pull_under(world, "cash", 4);
    pair_done(&pair, 1, &pull);
    cr_expect(queue_settles(world->queue, 0));
    pair_close(&pair);
}

static void on_any(const wl_queue_entry_t *entry, void *arg) {
    uint64_t *count = arg;
    *count += entry->id > 0;
}

Test(dispatcher_lease, a_newer_holder_elsewhere_ends_the_work_at_once) {
    pair_t pair = {0};
    pair_open(&pair);
    world_t *world = &pair.world;
    uint64_t uid = user_of(0, 1);
    pair_lease(&pair, 0, 7, wl_mono_now().ms + 60000);
    pair_append(&pair, uid);
    wl_pull_item_t pull = next_pull_under(world, "cash", 7);
    wl_queue_t *there = NULL; /* another process, whose keeper was quicker than our clock */
    pair_queue(&pair, WL_QUEUE_SETTLE, 0, "there", &there);
    cr_assert_eq(wl_queue_claim(there, 8), WL_OK);
    pair_done(&pair, 0, &pull);
    stage_expect_counter(&world->stage, lease_forgotten, 1);
    pair_append(&pair, uid + 1000);
    expect_idle(world);
    uint64_t count = 0;
    uint64_t last = 0;
    cr_assert_eq(wl_queue_read(there, 0, 10, on_any, &count, &last), WL_OK);
    cr_expect_geq(count, 1u, "nothing was acknowledged");
    wl_queue_close(&there);
    pair_lease(&pair, 0, 7, wl_mono_now().ms + 60000); /* the keeper has not heard yet */
    expect_idle(world);
    pair_lease(&pair, 0, 9, wl_mono_now().ms + 60000);
    wl_msg_t msg = neighbour_await(&world->puller, WL_MSG_PULL);
    cr_expect_eq(msg.head.pull.epoch, 9u);
    pair_close(&pair);
}

Test(dispatcher_lease, operators_hear_of_all_partitions, .timeout = 30) {
    pair_t pair = {0};
    pair_open(&pair);
    world_t *world = &pair.world;
    pair_lease(&pair, 1, 4, wl_mono_now().ms + 60000);
    uint64_t uid = user_of(1, 1);
    pair_append(&pair, user_of(0, 1)); /* waits: partition 0 is served elsewhere */
    pair_append(&pair, uid);
    wl_pull_item_t pull = next_pull_under(world, "cash", 4);
    wl_reply_item_t reply;
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    do {
        (void)zmq_poll(NULL, 0, 50);
        reply = ask_admin(world, WL_METHOD_ADMIN_QUEUE, NULL);
    } while (body_number(reply.body, "in_flight") != 1 && wl_mono_now().ms < until);
    cr_expect_eq(body_number(reply.body, "in_flight"), 1);
    cr_expect_eq(body_number(reply.body, "entries"), 2);
    cr_expect(body_has(reply.body, "partitions"));
    /* an operator's word about a dead letter reaches the dispatcher that serves its user */
    for (uint32_t attempt = 0; attempt < 3; attempt++) {
        wl_pulled_begin(world->stage.encoder, &(wl_pulled_head_t){.line = "cash"});
        wl_pulled_add(world->stage.encoder, &(wl_pulled_item_t){.uid = pull.uid,
                                                                .seq = pull.seq,
                                                                .outcome = WL_PULL_RETRY,
                                                                .reason = "the line is down"});
        pair_send(&pair, 1);
        pull = attempt < 2 ? next_pull_under(world, "cash", 4) : pull;
    }
    cr_expect(retries_settle(world, 0, 1));
    reply = ask_admin_about(world, WL_METHOD_ADMIN_DLQ_DISCARD, "cash", "test");
    cr_expect_eq(body_number(reply.body, "discarded"), 1);
    wl_msg_t msg;
    bool forgotten = false;
    while (!forgotten && neighbour_seek(&world->presence, WL_MSG_NOTICE, &msg, PATIENCE_MS)) {
        const wl_notice_item_t *notice = &msg.items.notice[0];
        forgotten = notice->uid == uid && notice->state == WL_MARK_NONE && notice->seq >= pull.seq;
    }
    cr_expect(forgotten);
    pair_close(&pair);
}
