#include "puller_world.h"

#include "../unit/lines/fake_http.h"

/* ---- answers --------------------------------------------------------------------------------- */

Test(puller, stores_what_the_line_answers) {
    world_t world;
    world_open(&world, "");
    send_pulls(&world, "cash", 7, 3, false);
    line_await(world.line);
    cr_assert_eq(world.line->uid_count, 3u);
    reply_records(world.line, 3); /* in any order; 9 is absent */
    reply_record(world.line, 8, "", 80, 1);
    reply_record(world.line, 7, "gift", 71, 2);
    reply_record(world.line, 7, "", 70, 1);
    reply_send(world.line);
    wl_msg_t msg = neighbour_await(&world.shard, WL_MSG_STORE);
    cr_expect_str_eq(msg.head.store.line, "cash");
    cr_assert_eq(msg.count, 3u);
    const wl_store_item_t *items = msg.items.store;
    cr_expect(items[0].uid == 7 && items[0].assets.count == 2);
    cr_expect(items[0].seq == 1007 && items[0].notified_at == 5);
    cr_expect_eq(items[0].assets.at[0].amount + items[0].assets.at[1].amount, 141);
    cr_expect(items[1].uid == 8 && items[1].assets.at[0].amount == 80);
    cr_expect(items[2].uid == 9 && items[2].assets.count == 0, "absent, but answered");
    cr_expect_eq(items[2].outcome, WL_PULL_OK);
    stage_expect_counter(&world.stage, pull_users, 3);
    world_close(&world);
}

/* One call serves two leases of one partition; the store has to tell them apart. */
Test(puller, what_is_stored_carries_the_epoch_of_its_pull) {
    world_t world;
    world_open(&world, ",\"batch_wait_ms\":200");
    for (uint64_t uid = 7; uid <= 8; uid++) {
        wl_pull_begin(world.stage.encoder, &(wl_pull_head_t){.line = "cash", .epoch = uid});
        wl_pull_add(world.stage.encoder, &(wl_pull_item_t){.uid = uid, .seq = uid});
        stage_send(&world.stage);
    }
    line_await(world.line);
    cr_assert_eq(world.line->uid_count, 2u);
    reply_records(world.line, 2);
    reply_record(world.line, 7, "", 70, 1);
    reply_record(world.line, 8, "", 80, 1);
    reply_send(world.line);
    for (uint64_t uid = 7; uid <= 8; uid++) {
        wl_msg_t msg = neighbour_await(&world.shard, WL_MSG_STORE);
        cr_assert_eq(msg.count, 1u);
        cr_expect_eq(msg.items.store[0].uid, uid);
        cr_expect_eq(msg.head.store.epoch, uid);
    }
    world_close(&world);
}

Test(puller, says_when_an_answer_is_older_than_the_notification) {
    world_t world;
    world_open(&world, "");
    send_pull_hint(&world, 7, "gift", 9);
    line_await(world.line);
    reply_records(world.line, 2);
    reply_record(world.line, 7, "gift", 70, 8);
    reply_record(world.line, 7, "", 70, 9);
    reply_send(world.line);
    wl_store_item_t item = next_store(&world);
    cr_expect_eq(item.outcome, WL_PULL_RETRY);
    cr_expect_eq(item.assets.count, 2u, "what came is stored all the same");
    send_pull_hint(&world, 8, "gift", 9);
    line_await(world.line);
    reply_records(world.line, 1);
    reply_record(world.line, 8, "gift", 70, 9);
    reply_send(world.line);
    cr_expect_eq(next_store(&world).outcome, WL_PULL_OK);
    stage_expect_counter(&world.stage, pull_behind, 1);
    world_close(&world);
}

Test(puller, keeps_last_good_of_a_user_whose_record_is_refused) {
    world_t world;
    world_open(&world, "");
    send_pulls(&world, "cash", 7, 2, false);
    line_await(world.line);
    reply_records(world.line, 3);
    reply_record(world.line, 7, "", 70, 1);
    reply_record(world.line, 7, "gift", -5, 1); /* below amount_min */
    reply_record(world.line, 8, "", 80, 1);
    reply_send(world.line);
    cr_expect_eq(next_store(&world).uid, 8u);
    wl_msg_t msg = next_pulled(&world);
    cr_assert_eq(msg.count, 1u);
    cr_expect_eq(msg.items.pulled[0].uid, 7u);
    cr_expect_eq(msg.items.pulled[0].outcome, WL_PULL_REFUSED);
    cr_expect(msg.items.pulled[0].reason[0] != '\0');
    stage_expect_counter(&world.stage, pull_quarantined, 1);
    world_close(&world);
}

/* ---- flow ------------------------------------------------------------------------------------ */

Test(puller, fills_batches_and_keeps_the_concurrency) {
    world_t world;
    world_open(&world, ",\"batch_max\":10,\"concurrency\":2,\"batch_wait_ms\":20,"
                       "\"timeout_ms\":5000");
    send_pulls(&world, "cash", 1, 35, false);
    line_await(world.line);
    cr_expect_eq(world.line->uid_count, 10u);
    line_t first = *world.line;
    line_await(world.line);
    cr_expect_not(line_asked(world.line, QUIET_MS), "two calls at once");
    reply_good(&first);
    line_await(world.line);
    reply_good(world.line);
    int64_t begun = wl_mono_now().ms;
    line_await(world.line);
    cr_expect_eq(world.line->uid_count, 5u, "the last one has waited long enough");
    cr_expect_lt(wl_mono_now().ms - begun, 1000);
    world_close(&world);
}

Test(puller, keeps_the_rate_of_a_line) {
    world_t world;
    world_open(&world, ",\"batch_max\":1,\"rate\":10,\"burst\":2,\"concurrency\":64,"
                       "\"timeout_ms\":5000");
    int64_t begun = wl_mono_now().ms;
    send_pulls(&world, "cash", 1, 6, false);
    for (int i = 0; i < 6; i++) {
        line_await(world.line);
        reply_good(world.line);
    }
    cr_expect_geq(wl_mono_now().ms - begun, 390, "two at once, then ten a second");
    world_close(&world);
}

Test(puller, lets_a_user_who_waits_go_first) {
    world_t world;
    world_open(&world, ",\"batch_max\":5,\"concurrency\":1,\"batch_wait_ms\":0,"
                       "\"timeout_ms\":5000");
    send_pulls(&world, "cash", 1, 5, false);
    line_await(world.line);
    line_t first = *world.line;
    send_pulls(&world, "cash", 10, 5, false);
    send_pulls(&world, "cash", 99, 1, true);
    (void)zmq_poll(NULL, 0, QUIET_MS);
    reply_good(&first);
    line_await(world.line);
    cr_expect_eq(world.line->uids[0], 99u);
    cr_expect_eq(world.line->uid_count, 5u, "and the others fill the call");
    world_close(&world);
}

/* Three lines of high priority hang with all the calls that they may make. */
Test(puller, a_line_of_low_priority_is_asked_whatever_those_of_high_priority_hold) {
    enum { SLOW_LINES = 3, CALLS = 256 };
    static const char *const names[SLOW_LINES] = {"cash", "slow", "idle"};
    static const char high[] = "\"%s\":{\"kind\":\"cash\",\"url\":\"%s\",\"unit\":\"CNY\","
                               "\"priority\":\"high\",\"concurrency\":%d,\"batch_max\":1,"
                               "\"timeout_ms\":60000},";
    static const char low[] = "\"coin\":{\"kind\":\"coin\",\"url\":\"%s\",\"unit\":\"bean\","
                              "\"priority\":\"low\"}}}";
    world_t world;
    char integration[2048] = "{\"version\":1,\"lines\":{";
    world_open_bare(&world);
    for (unsigned i = 0; i < SLOW_LINES; i++) {
        size_t used = strlen(integration);
        (void)snprintf(integration + used, sizeof integration - used, high, names[i],
                       world.line->url, CALLS);
    }
    size_t used = strlen(integration);
    (void)snprintf(integration + used, sizeof integration - used, low, world.line->url);
    stage_configure_text(&world.stage, integration);
    (void)neighbour_await(&world.frontend, WL_MSG_LINE);
    for (unsigned i = 0; i < SLOW_LINES; i++) {
        send_pulls(&world, names[i], 1000 * (i + 1), CALLS, true);
    }
    for (unsigned i = 0; i < SLOW_LINES * CALLS; i++) {
        line_await(world.line);
    }
    send_pulls(&world, "coin", 7, 1, false);
    line_await(world.line);
    cr_expect_eq(world.line->uids[0], 7u);
    world_close(&world);
}

Test(puller, hands_back_what_waits_beyond_its_bound) {
    world_t world;
    world_open(&world, ",\"batch_max\":1,\"concurrency\":1,\"timeout_ms\":5000");
    send_pulls(&world, "cash", 1, 20, false); /* a window of 2, room for 4 */
    wl_msg_t msg = next_pulled(&world);
    cr_expect_geq(msg.count, 15u);
    cr_expect(msg.items.pulled[0].held);
    cr_expect_gt(msg.head.pulled.pause_ms, 0);
    world_close(&world);
}

/* ---- bad days -------------------------------------------------------------------------------- */

Test(puller, returns_failed_calls_with_their_reason) {
    world_t world;
    world_open(&world, "");
    send_pulls(&world, "cash", 7, 2, false);
    line_await(world.line);
    reply_error(world.line, 0);
    wl_msg_t msg = next_pulled(&world);
    cr_assert_eq(msg.count, 2u);
    cr_expect_eq(msg.items.pulled[0].outcome, WL_PULL_RETRY);
    cr_expect_not(msg.items.pulled[0].held);
    cr_expect_str_eq(msg.items.pulled[0].reason, "error unavailable");
    cr_expect_eq(msg.head.pulled.pause_ms, 0);
    send_pulls(&world, "cash", 9, 1, false);
    line_await(world.line); /* and no answer: a second */
    msg = next_pulled(&world);
    cr_expect_eq(msg.items.pulled[0].uid, 9u);
    cr_expect_eq(msg.items.pulled[0].outcome, WL_PULL_RETRY);
    stage_expect_counter(&world.stage, pull_failures, 2);
    world_close(&world);
}

Test(puller, pauses_a_line_that_says_when_to_come_again) {
    world_t world;
    world_open(&world, ",\"batch_max\":1,\"concurrency\":1,\"batch_wait_ms\":0");
    send_pulls(&world, "cash", 7, 2, false);
    line_await(world.line);
    reply_error(world.line, 1500);
    wl_msg_t msg = next_pulled(&world);
    cr_expect_gt(msg.head.pulled.pause_ms, 1000);
    cr_expect_leq(msg.head.pulled.pause_ms, 1500);
    cr_expect(msg.items.pulled[0].held, "the users have not failed");
    if (msg.count == 1) {
        msg = next_pulled(&world);
        cr_expect(msg.items.pulled[0].held, "nor those who waited");
    }
    send_pulls(&world, "cash", 9, 1, false);
    msg = next_pulled(&world);
    cr_expect(msg.items.pulled[0].held);
    (void)zmq_poll(NULL, 0, 1510);
    send_pulls(&world, "cash", 9, 1, false);
    line_await(world.line);
    world_close(&world);
}

/* The next LINE about cash. */
static wl_line_item_t next_health(world_t *self) {
    for (;;) {
        wl_msg_t msg = neighbour_await(&self->cache, WL_MSG_LINE);
        for (uint32_t i = 0; i < msg.count; i++) {
            if (strcmp(msg.items.line[i].line, "cash") == 0) {
                return msg.items.line[i];
            }
        }
    }
}

Test(puller, opens_the_breaker_tells_everybody_and_probes_with_one_user) {
    world_t world;
    world_open(&world, ",\"breaker_failures\":2,\"breaker_open_ms\":2000,\"batch_wait_ms\":0,"
                       "\"concurrency\":1");
    for (uint64_t call = 0; call < 2; call++) {
        send_pulls(&world, "cash", 10 * call + 1, 3, false);
        line_await(world.line);
        reply_error(world.line, 0);
    }
    wl_line_item_t health = next_health(&world);
    while (!health.sick) {
        health = next_health(&world);
    }
    cr_expect_str_eq(health.reason, "error unavailable");
    cr_expect_eq(health.failures, 2u);
    (void)neighbour_await(&world.query, WL_MSG_LINE);
    (void)neighbour_await(&world.dispatcher, WL_MSG_LINE);

    send_pulls(&world, "cash", 50, 4, false);
    wl_msg_t msg = next_pulled(&world);
    while (msg.items.pulled[0].uid != 50) {
        msg = next_pulled(&world);
    }
    cr_expect(msg.items.pulled[0].held, "not asked, no attempt");
    cr_expect_gt(msg.head.pulled.pause_ms, 0);
    cr_expect_not(line_asked(world.line, QUIET_MS));

    (void)zmq_poll(NULL, 0, 2000);
    send_pulls(&world, "cash", 50, 4, false);
    line_await(world.line);
    cr_expect_eq(world.line->uid_count, 1u, "a probe costs one user an attempt");
    reply_good(world.line);
    line_await(world.line);
    cr_expect_eq(world.line->uid_count, 3u);
    reply_good(world.line);
    while (health.sick) {
        health = next_health(&world);
    }
    cr_expect_gt(health.last_good_at, 0);
    stage_expect_counter(&world.stage, pull_breaker_open, 1);
    world_close(&world);
}

Test(puller, asks_lines_over_http_and_follows_their_retry_after) {
    world_t world;
    world_open_bare(&world);
    fake_http_t *good = fake_http_new(FAKE_OK);
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", good->port);
    stage_configure_writer(&world.stage, 1, url, "");
    (void)neighbour_await(&world.frontend, WL_MSG_LINE);
    send_pulls(&world, "cash", 7, 5, false);
    wl_msg_t msg = neighbour_await(&world.shard, WL_MSG_STORE);
    cr_assert_eq(msg.count, 5u);
    cr_expect_eq(msg.items.store[4].assets.at[0].amount, 110);
    cr_expect_str_eq(msg.items.store[4].assets.at[0].unit, "CNY");

    fake_http_t *busy = fake_http_new(FAKE_BUSY);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", busy->port);
    stage_configure_writer(&world.stage, 2, url, "");
    do { /* until the new configuration is in use */
        send_pulls(&world, "cash", 7, 1, false);
    } while (!neighbour_seek(&world.dispatcher, WL_MSG_PULLED, &msg, 50));
    cr_expect_gt(msg.head.pulled.pause_ms, 6000);
    cr_expect_leq(msg.head.pulled.pause_ms, 7000);
    cr_expect(msg.items.pulled[0].held);
    wl_actor_destroy(&world.stage.actor);
    fake_http_destroy(&good);
    fake_http_destroy(&busy);
    world_close(&world);
}

/* ---- configuration --------------------------------------------------------------------------- */

Test(puller, holds_pulls_until_it_is_configured) {
    world_t world;
    world_open_bare(&world);
    send_pulls(&world, "cash", 7, 1, false);
    wl_msg_t msg = next_pulled(&world);
    cr_expect(msg.items.pulled[0].held);
    cr_expect_gt(msg.head.pulled.pause_ms, 0);
    world_close(&world);
}

Test(puller, says_that_a_line_is_not_there) {
    world_t world;
    world_open(&world, "");
    send_pulls(&world, "nope", 7, 1, false);
    wl_msg_t msg = next_pulled(&world);
    cr_expect_eq(msg.items.pulled[0].outcome, WL_PULL_PERMANENT);
    cr_expect_str_eq(msg.items.pulled[0].reason, "line is not configured");
    send_pulls(&world, "shop", 7, 1, false);
    msg = next_pulled(&world);
    cr_expect_eq(msg.items.pulled[0].outcome, WL_PULL_PERMANENT, "links are not asked");
    world_close(&world);
}

/* Cash is not asked any more. */
static void world_remove_line(world_t *self) {
    static const char without[] =
        "{\"version\":9,\"lines\":{"
        "\"cash\":{\"kind\":\"link\",\"mode\":\"link\",\"url\":\"https://cash.example/\"}}}";
    static const char presentation[] = "{\"version\":9}";
    wl_config_item_t item = {
        .integration = {(const uint8_t *)without, sizeof without - 1},
        .presentation = {(const uint8_t *)presentation, sizeof presentation - 1}};
    wl_config_begin(self->stage.encoder, &(wl_config_head_t){.version = "9.9"});
    wl_config_add(self->stage.encoder, &item);
    stage_send(&self->stage);
}

Test(puller, returns_what_waits_for_a_line_that_is_removed) {
    world_t world;
    world_open(&world, ",\"batch_max\":1,\"concurrency\":1,\"timeout_ms\":5000");
    send_pulls(&world, "cash", 7, 2, false);
    line_await(world.line);
    line_t first = *world.line;
    world_remove_line(&world);
    wl_msg_t msg = next_pulled(&world);
    cr_expect_eq(msg.items.pulled[0].uid, 8u);
    cr_expect_eq(msg.items.pulled[0].outcome, WL_PULL_PERMANENT);
    reply_good(&first);
    cr_expect_eq(next_store(&world).uid, 7u, "a call under way still counts");
    world_close(&world);
}

Test(puller, takes_new_limits_of_a_line) {
    world_t world;
    world_open(&world, ",\"batch_max\":2");
    stage_configure_writer(&world.stage, 2, world.line->url, ",\"batch_max\":30");
    send_pulls(&world, "cash", 1, 30, false);
    line_await(world.line);
    cr_expect_eq(world.line->uid_count, 30u);
    world_close(&world);
}

/* ---- quotas that writers share --------------------------------------------------------------- */

static void world_open_shared(world_t *self, neighbour_t *keeper, const char *more) {
    world_prepare(self);
    *keeper = neighbour_open(WL_ACTOR_KEEPER, 0);
    (void)snprintf(self->stage.settings.shard_store, sizeof self->stage.settings.shard_store,
                   "mysql");
    world_start(self, more);
}

static wl_reserve_item_t next_reserve(neighbour_t *keeper) {
    wl_msg_t msg = neighbour_expect(keeper, WL_MSG_RESERVE, 1);
    cr_expect_eq(msg.head.reserve.puller, 0u);
    cr_expect_str_eq(msg.items.reserve[0].line, "cash");
    return msg.items.reserve[0];
}

static void send_reserved(world_t *self, wl_err_t err, uint64_t granted, uint64_t left) {
    wl_reserved_begin(self->stage.encoder, NULL);
    wl_reserved_add(self->stage.encoder, &(wl_reserved_item_t){.line = "cash",
                                                               .error = (uint32_t)err,
                                                               .day = wl_wall_now().ms / 86400000,
                                                               .granted = granted,
                                                               .left = left});
    stage_send(&self->stage);
}

static void answer_calls(world_t *self, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        line_await(self->line);
        reply_good(self->line);
        (void)next_store(self);
    }
}

Test(puller, calls_no_more_than_was_reserved_of_a_shared_quota) {
    world_t world;
    neighbour_t keeper;
    world_open_shared(&world, &keeper, ",\"quota\":400,\"batch_max\":1,\"concurrency\":4");
    send_pulls(&world, "cash", 1, 6, false);
    wl_reserve_item_t item = next_reserve(&keeper);
    cr_expect_eq(item.limit, 400u);
    cr_expect_eq(item.chunk, 4u);
    cr_expect_not(line_asked(world.line, 50), "nothing is reserved yet");
    send_reserved(&world, WL_OK, 4, 100);
    answer_calls(&world, 4);
    cr_expect_eq(next_reserve(&keeper).chunk, 4u);
    cr_expect_not(line_asked(world.line, 50), "what was reserved is used up");
    send_reserved(&world, WL_OK, 0, 0);
    for (uint32_t told = 0; told < 2;) {
        wl_msg_t msg = next_pulled(&world);
        cr_expect_gt(msg.head.pulled.pause_ms, 20000);
        cr_expect_str_eq(msg.items.pulled[0].reason, "the quota of the day is used up");
        told += msg.count;
    }
    cr_expect_not(line_asked(world.line, 50));
    neighbour_close(&keeper);
    world_close(&world);
}

Test(puller, asks_again_for_a_shared_quota_and_goes_on) {
    world_t world;
    neighbour_t keeper;
    world_open_shared(&world, &keeper, ",\"quota\":400,\"batch_max\":1");
    send_pulls(&world, "cash", 1, 1, false);
    (void)next_reserve(&keeper); /* no answer: it goes back when the second is over */
    (void)next_reserve(&keeper);
    cr_expect_str_eq(next_pulled(&world).items.pulled[0].reason, "the quota cannot be reserved");
    send_reserved(&world, WL_ERR_UNAVAILABLE, 0, 0);
    stage_expect_counter(&world.stage, quota_failures, 2);
    cr_expect_not(line_asked(world.line, 50));
    send_reserved(&world, WL_OK, 4, 0); /* late, and ours */
    send_pulls(&world, "cash", 1, 1, false);
    line_await(world.line);
    neighbour_close(&keeper);
    world_close(&world);
}

static uint64_t await_back(neighbour_t *keeper) {
    wl_reserve_item_t item = next_reserve(keeper);
    while (item.back == 0) {
        item = next_reserve(keeper);
    }
    cr_expect_eq(item.back_day, wl_wall_now().ms / 86400000);
    return item.back;
}

/* Ten calls were reserved, and one of them was made. */
static void world_open_reserved(world_t *world, neighbour_t *keeper) {
    world_open_shared(world, keeper, ",\"quota\":1000,\"batch_max\":1");
    send_pulls(world, "cash", 1, 1, false);
    (void)next_reserve(keeper);
    send_reserved(world, WL_OK, 10, 100);
    answer_calls(world, 1);
}

Test(puller, gives_back_what_is_left_of_a_shared_quota_when_the_end_begins) {
    world_t world;
    neighbour_t keeper;
    world_open_reserved(&world, &keeper);
    wl_actor_tell(world.stage.actor, WL_WORD_STOPPING);
    cr_expect_eq(await_back(&keeper), 9u);
    send_pulls(&world, "cash", 2, 1, false);
    (void)next_pulled(&world);
    cr_expect_not(line_asked(world.line, 50));
    neighbour_close(&keeper);
    world_close(&world);
}

Test(puller, gives_back_what_is_left_of_a_line_that_is_removed) {
    world_t world;
    neighbour_t keeper;
    world_open_reserved(&world, &keeper);
    world_remove_line(&world);
    cr_expect_eq(await_back(&keeper), 9u);
    neighbour_close(&keeper);
    world_close(&world);
}

/* ---- the end --------------------------------------------------------------------------------- */

/* It may take long to end: if it ends soon, that is because it has nothing left to do. */
static void world_open_patient(world_t *self, const char *more) {
    world_prepare(self);
    self->stage.settings.server_drain_ms = LONG_DRAIN_MS;
    world_start(self, more);
}

Test(puller, ends_soon_while_nothing_happens) {
    world_t world;
    world_open_patient(&world, "");
    cr_expect_lt(stage_stop(&world.stage), LONG_DRAIN_MS / 2);
    world_close(&world);
}

Test(puller, waits_for_calls_under_way_and_stores_them) {
    world_t world;
    world_open_patient(&world, ",\"timeout_ms\":60000");
    send_pulls(&world, "cash", 7, 1, false);
    line_await(world.line);
    wl_actor_tell(world.stage.actor, "$TERM");
    (void)zmq_poll(NULL, 0, 100);
    reply_good(world.line);
    cr_expect_eq(next_store(&world).uid, 7u);
    cr_expect_lt(stage_stop(&world.stage), LONG_DRAIN_MS / 2);
    world_close(&world);
}

Test(puller, leaves_a_hanging_line_when_the_drain_is_over) {
    world_t world;
    world_open(&world, ",\"timeout_ms\":5000");
    send_pulls(&world, "cash", 7, 1, false);
    line_await(world.line);
    int64_t took_ms = stage_stop(&world.stage);
    cr_expect_geq(took_ms, 400);
    cr_expect_lt(took_ms, 4500, "not the call's timeout");
    world_close(&world);
}
