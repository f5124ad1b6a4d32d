/* Consents at the dispatcher; the test is all its neighbours. */
#include "dispatcher_world.h"

enum { FIRST_PULL_BITS = 40 };

static world_t world;

static void ask(uint64_t ticket, const char *line, uint64_t uid, bool granted, int64_t expires_at,
                int64_t budget_ms) {
    wl_live_head_t head = {
        .asker = WL_ACTOR_FRONTEND, .instance = 3, .reader = 55, .dispatcher = 0, .epoch = 1};
    (void)snprintf(head.line, sizeof head.line, "%s", line);
    wl_live_item_t item = {.ticket = ticket,
                           .uid = uid,
                           .deadline_at = wl_mono_now().ms + budget_ms,
                           .what = WL_LIVE_CONSENT,
                           .granted = granted,
                           .expires_at = expires_at};
    wl_live_begin(world.stage.encoder, &head);
    wl_live_add(world.stage.encoder, &item);
    stage_send(&world.stage);
}

/* It has its lease, and knows the line. */
static void consent_world_open(void) {
    wl_msg_t msg;
    world_open(&world);
    world_configure(&world, ",\"consent\":true");
    do {
        ask(999, "none-such", 42, true, 0, 5000);
        msg = neighbour_await(&world.presence, WL_MSG_LIVED);
    } while (msg.items.lived[0].error != WL_ERR_NOT_FOUND);
}

/* The record of the next STORE, and its number. */
static wl_asset_t expect_store(wl_pull_item_t *ret_pull) {
    wl_msg_t msg = neighbour_expect(&world.shard, WL_MSG_STORE, 1);
    const wl_store_item_t *item = &msg.items.store[0];
    cr_assert_eq(msg.head.store.epoch, 1u);
    cr_assert_eq(item->assets.count, 1u);
    cr_assert(item->seq > 0 && item->seq < 1ull << FIRST_PULL_BITS, "below those of pulls");
    cr_expect_eq(item->outcome, (uint8_t)WL_PULL_OK);
    *ret_pull = (wl_pull_item_t){.uid = item->uid, .seq = item->seq};
    cr_assert(wl_asset_is_consent(&item->assets.at[0]));
    cr_expect_str_eq(item->assets.at[0].line, msg.head.store.line);
    return item->assets.at[0];
}

static wl_lived_item_t expect_lived(uint64_t ticket, wl_err_t err) {
    wl_msg_t msg = neighbour_await(&world.presence, WL_MSG_LIVED);
    wl_lived_item_t lived = msg.items.lived[0];
    cr_expect(msg.head.lived.asker == WL_ACTOR_FRONTEND && msg.head.lived.instance == 3 &&
              msg.head.lived.reader == 55);
    cr_expect_eq(lived.ticket, ticket);
    cr_expect_eq(lived.error, (uint32_t)err, "%s: %s", wl_err_name((wl_err_t)lived.error),
                 lived.reason);
    cr_expect_eq(lived.what, (uint8_t)WL_LIVE_CONSENT);
    return lived;
}

/* A pull of this line, which goes by a fetcher. */
static wl_pull_item_t expect_pull(neighbour_t *fetcher) {
    wl_msg_t msg = neighbour_expect(fetcher, WL_MSG_PULL, 1);
    cr_expect_str_eq(msg.head.pull.line, "cash");
    return msg.items.pull[0];
}

Test(dispatcher_consent, given_it_is_stored_and_the_line_is_asked_for_the_user_who_waits) {
    neighbour_t fetcher = neighbour_open(WL_ACTOR_FETCHER, 0);
    consent_world_open();
    wl_pull_item_t stored;
    int64_t before = wl_wall_now().ms;
    ask(1, "cash", 42, true, before + 90000, 5000);
    wl_asset_t record = expect_store(&stored);
    cr_expect(record.uid == 42 && record.state == WL_STATE_AVAILABLE);
    cr_expect_eq(record.expires_at, before + 90000);
    cr_expect(record.version >= (uint64_t)before * 1000, "microseconds");
    cr_expect(record.changed_at >= before && record.changed_at <= wl_wall_now().ms);
    neighbour_hears_nothing(&world.presence);
    send_done(&world, "cash", &stored, WL_PULL_OK);
    next_notice(&world, 42, WL_MARK_PENDING);
    cr_expect_eq(expect_lived(1, WL_OK).at, record.changed_at);
    wl_msg_t msg = neighbour_expect(&fetcher, WL_MSG_PULL, 1);
    cr_expect(msg.head.pull.interactive && msg.items.pull[0].uid == 42);
    neighbour_hears_nothing(&world.puller);
    wl_pull_item_t pull = msg.items.pull[0];
    send_done(&world, "cash", &pull, WL_PULL_OK);
    ask(2, "cash", 42, true, before + 90000, 5000); /* again: a record of its own */
    cr_expect_gt(expect_store(&stored).version, record.version);
    send_done(&world, "cash", &stored, WL_PULL_OK);
    (void)expect_lived(2, WL_OK);
    world_close(&world);
    neighbour_close(&fetcher);
}

Test(dispatcher_consent, withdrawn_it_leaves_nothing_to_be_pulled) {
    neighbour_t fetcher = neighbour_open(WL_ACTOR_FETCHER, 0);
    consent_world_open();
    wl_pull_item_t stored;
    for (uint64_t uid = 41; uid <= 42; uid++) {
        append(&world, "cash", uid); /* dead */
        for (int i = 0; i < 3; i++) {
            wl_pull_item_t pull = expect_pull(&fetcher);
            send_pulled(&world, "cash", &pull, WL_PULL_RETRY, false, 0);
        }
    }
    cr_assert(retries_settle(&world, 0, 2));
    append(&world, "cash", 42); /* flies */
    wl_pull_item_t flies = expect_pull(&fetcher);
    ask(1, "cash", 42, false, 0, 5000);
    wl_asset_t record = expect_store(&stored);
    cr_expect(record.state == WL_STATE_GONE && record.expires_at == 0);
    send_done(&world, "cash", &stored, WL_PULL_OK);
    cr_expect_eq(expect_lived(1, WL_OK).at, record.changed_at);
    wl_queue_stats_t stats = queue_stats(world.queue);
    cr_expect_eq(stats.dead, 1u, "of the other user");
    cr_expect_eq(stats.entries, 0u, "what was to be pulled has ended");
    send_pulled(&world, "cash", &flies, WL_PULL_RETRY, false, 0);
    neighbour_hears_nothing(&fetcher);
    cr_expect_eq(queue_stats(world.queue).retries, 0u);
    world_close(&world);
    neighbour_close(&fetcher);
}

Test(dispatcher_consent, a_retry_that_sleeps_goes_with_it) {
    neighbour_t fetcher = neighbour_open(WL_ACTOR_FETCHER, 0);
    consent_world_open();
    world_configure(&world, ",\"consent\":true,\"retry_base_ms\":60000,\"retry_max_ms\":60000");
    wl_pull_item_t stored;
    append(&world, "cash", 42);
    wl_pull_item_t pull = expect_pull(&fetcher);
    send_pulled(&world, "cash", &pull, WL_PULL_RETRY, false, 0);
    cr_assert(retries_settle(&world, 1, 0));
    ask(1, "cash", 42, false, 0, 5000);
    (void)expect_store(&stored);
    send_done(&world, "cash", &stored, WL_PULL_OK);
    (void)expect_lived(1, WL_OK);
    cr_expect_eq(queue_stats(world.queue).retries, 0u);
    world_close(&world);
    neighbour_close(&fetcher);
}

Test(dispatcher_consent, asked_again_on_its_way_it_is_one) {
    consent_world_open();
    wl_pull_item_t stored;
    ask(1, "cash", 42, false, 0, 5000);
    ask(2, "cash", 42, false, 0, 5000);
    (void)expect_store(&stored);
    neighbour_hears_nothing(&world.shard);
    ask(3, "cash", 42, true, 0, 5000); /* another one, behind it */
    wl_pull_item_t given;
    (void)expect_store(&given);
    cr_expect_gt(given.seq, stored.seq);
    send_done(&world, "coin", &stored, WL_PULL_OK); /* of another line */
    send_done(&world, "cash", &stored, WL_PULL_OK);
    (void)expect_lived(1, WL_OK);
    (void)expect_lived(2, WL_OK);
    send_done(&world, "cash", &stored, WL_PULL_OK); /* a duplicate */
    send_done(&world, "cash", &given, WL_PULL_OK);
    (void)expect_lived(3, WL_OK);
    world_close(&world);
}

/* A withdrawal waits for Redis, a consent given behind it does not. */
Test(dispatcher_consent, a_withdrawal_that_was_overtaken_is_not_the_one_that_is_asked_for_next) {
    neighbour_t fetcher = neighbour_open(WL_ACTOR_FETCHER, 0);
    consent_world_open();
    wl_pull_item_t slow;
    wl_pull_item_t given;
    wl_pull_item_t again;
    ask(1, "cash", 42, false, 0, 20000);
    (void)expect_store(&slow);
    ask(2, "cash", 42, true, 0, 20000);
    uint64_t version = expect_store(&given).version;
    send_done(&world, "cash", &given, WL_PULL_OK);
    (void)expect_lived(2, WL_OK);
    wl_pull_item_t pull = expect_pull(&fetcher);
    ask(3, "cash", 42, false, 0, 20000);
    cr_expect_gt(expect_store(&again).version, version, "a record of its own, the newest");
    cr_expect_gt(again.seq, given.seq);
    send_done(&world, "cash", &slow, WL_PULL_OK);
    (void)expect_lived(1, WL_OK);
    neighbour_hears_nothing(&world.presence);
    send_done(&world, "cash", &again, WL_PULL_OK);
    (void)expect_lived(3, WL_OK);
    send_done(&world, "cash", &pull, WL_PULL_OK);
    world_close(&world);
    neighbour_close(&fetcher);
}

Test(dispatcher_consent, a_withdrawal_that_was_overtaken_ends_no_work_of_the_consent_behind_it) {
    neighbour_t fetcher = neighbour_open(WL_ACTOR_FETCHER, 0);
    consent_world_open();
    wl_pull_item_t slow;
    wl_pull_item_t given;
    ask(1, "cash", 42, false, 0, 20000);
    (void)expect_store(&slow);
    ask(2, "cash", 42, true, 0, 20000);
    (void)expect_store(&given);
    send_done(&world, "cash", &given, WL_PULL_OK);
    (void)expect_lived(2, WL_OK);
    wl_pull_item_t pull = expect_pull(&fetcher);
    append(&world, "cash", 42); /* a change behind the consent */
    next_notice(&world, 42, WL_MARK_PENDING);
    send_done(&world, "cash", &slow, WL_PULL_OK);
    (void)expect_lived(1, WL_OK);
    cr_expect_eq(queue_stats(world.queue).entries, 1u, "the change is still to be pulled");
    send_done(&world, "cash", &pull, WL_PULL_OK);
    pull = expect_pull(&fetcher);
    cr_expect_eq(pull.uid, 42u);
    world_close(&world);
    neighbour_close(&fetcher);
}

/* An older one must not outrun the younger one. */
Test(dispatcher_consent, one_that_was_overtaken_is_not_stored_again) {
    consent_world_open();
    wl_pull_item_t older;
    wl_pull_item_t younger;
    ask(1, "cash", 42, true, 0, 20000);
    (void)expect_store(&older);
    ask(2, "cash", 42, false, 0, 20000);
    (void)expect_store(&younger);
    send_done(&world, "cash", &older, WL_PULL_RETRY);
    (void)expect_lived(1, WL_ERR_CONFLICT);
    neighbour_hears_nothing(&world.shard);
    send_done(&world, "cash", &younger, WL_PULL_OK);
    (void)expect_lived(2, WL_OK);
    world_close(&world);
}

Test(dispatcher_consent, not_in_effect_in_time_it_is_not_acknowledged_and_may_be_asked_again) {
    consent_world_open();
    wl_pull_item_t stored;
    ask(1, "cash", 42, false, 0, 300);
    (void)expect_store(&stored);
    int64_t begun = wl_mono_now().ms;
    wl_lived_item_t lived = expect_lived(1, WL_ERR_UNAVAILABLE);
    cr_expect_gt(lived.retry_after_ms, 0u);
    cr_expect_leq(wl_mono_now().ms - begun, 5000);
    ask(2, "cash", 42, false, 0, 5000);
    if (wl_mono_now().ms - begun < 500) { /* else it may have been stored once more already */
        neighbour_hears_nothing(&world.shard);
    }
    send_done(&world, "cash", &stored, WL_PULL_OK); /* at last */
    (void)expect_lived(2, WL_OK);
    ask(3, "cash", 43, false, 0, 300); /* lost on its way */
    wl_pull_item_t lost;
    wl_asset_t first = expect_store(&lost);
    (void)expect_lived(3, WL_ERR_UNAVAILABLE);
    (void)zmq_poll(NULL, 0, 800);
    ask(4, "cash", 43, false, 0, 5000);
    cr_expect_gt(expect_store(&stored).version, first.version, "stored once more");
    cr_expect_eq(stored.seq, lost.seq);
    send_done(&world, "cash", &stored, WL_PULL_OK);
    (void)expect_lived(4, WL_OK);
    world_close(&world);
}

Test(dispatcher_consent, a_clock_that_is_behind_is_outrun) {
    consent_world_open();
    wl_pull_item_t stored;
    ask(1, "cash", 42, false, 0, 20000);
    uint64_t version = expect_store(&stored).version;
    for (int i = 0; i < 9; i++) {
        send_done(&world, "cash", &stored, WL_PULL_RETRY);
        uint64_t next = expect_store(&stored).version;
        cr_expect_geq(next - version, 1000000u, "a second at least");
        version = next;
    }
    cr_expect_gt(version, ((uint64_t)wl_wall_now().ms + 36500ull * 86400000) * 1000, "a century");
    send_done(&world, "cash", &stored, WL_PULL_RETRY);
    (void)expect_lived(1, WL_ERR_CONFLICT);
    ask(2, "cash", 42, true, 0, 20000);
    (void)expect_store(&stored);
    send_done(&world, "cash", &stored, WL_PULL_REFUSED);
    (void)expect_lived(2, WL_ERR_CONFLICT);
    world_close(&world);
}

Test(dispatcher_consent, what_cannot_be_is_refused) {
    consent_world_open();
    ask(1, "none-such", 42, true, 0, 5000);
    (void)expect_lived(1, WL_ERR_NOT_FOUND);
    ask(2, "coin", 42, true, 0, 5000);
    (void)expect_lived(2, WL_ERR_BAD_REQUEST);
    ask(3, "cash", 42, true, -1, 5000);
    (void)expect_lived(3, WL_ERR_BAD_REQUEST);
    ask(4, "cash", 42, false, 99, 5000);
    (void)expect_lived(4, WL_ERR_BAD_REQUEST);
    ask(5, "cash", 0, true, 0, 5000);
    wl_live_head_t head = {.line = "cash", .presence = 9, .epoch = 1};
    wl_live_begin(world.stage.encoder, &head);
    wl_live_add(world.stage.encoder, &(wl_live_item_t){.uid = 1, .what = WL_LIVE_CONSENT});
    stage_send(&world.stage);
    head = (wl_live_head_t){.line = "cash", .epoch = 1};
    wl_live_begin(world.stage.encoder, &head);
    wl_live_add(world.stage.encoder, &(wl_live_item_t){.uid = 1, .what = WL_LIVE_ASSETS});
    stage_send(&world.stage);
    stage_expect_counter(&world.stage, msg_malformed, 3);
    neighbour_hears_nothing(&world.shard);
    world_close(&world);
}

Test(dispatcher_consent, without_the_lease_nobody_waits_in_vain) {
    consent_world_open();
    wl_pull_item_t stored;
    ask(1, "cash", 42, false, 0, 20000);
    (void)expect_store(&stored);
    stage_lease(&world.stage, 0, 1, 1); /* over */
    (void)expect_lived(1, WL_ERR_UNAVAILABLE);
    ask(2, "cash", 42, false, 0, 20000);
    (void)expect_lived(2, WL_ERR_UNAVAILABLE);
    send_done(&world, "cash", &stored, WL_PULL_OK); /* of before */
    neighbour_hears_nothing(&world.presence);
    stage_lease(&world.stage, 0, 2, INT64_MAX);
    ask(3, "cash", 42, false, 0, 20000); /* asked under the old one */
    (void)expect_lived(3, WL_ERR_UNAVAILABLE);
    world_close(&world);
}
