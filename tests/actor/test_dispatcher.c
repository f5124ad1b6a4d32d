#include "dispatcher_world.h"

/* ---- one change ------------------------------------------------------------------------------ */

Test(dispatcher, pulls_a_change_and_acknowledges_it_when_it_is_done) {
    world_t world;
    world_open(&world);
    wl_change_t change = {.uid = 7, .version = 12, .bucket = "gift"};
    uint64_t id = queue_append_changes(world.queue, WL_ENTRY_CHANGES, "cash", &change, 1);
    stage_tell_queued(&world.stage, id);
    wl_notice_item_t notice = next_notice(&world, 7, WL_MARK_PENDING);
    wl_msg_t msg = neighbour_await(&world.puller, WL_MSG_PULL);
    cr_expect_str_eq(msg.head.pull.line, "cash");
    cr_expect_not(msg.head.pull.interactive);
    wl_pull_item_t pull = msg.items.pull[0];
    cr_expect_eq(pull.seq, notice.seq);
    cr_expect_eq(pull.attempt, 0u);
    cr_expect_gt(pull.notified_at, 0);
    cr_assert_eq(pull.hints.count, 1u);
    cr_expect_str_eq(pull.hints.at[0].bucket, "gift");
    cr_expect_eq(pull.hints.at[0].version, 12u);
    (void)zmq_poll(NULL, 0, QUIET_MS);
    cr_expect_eq(queue_stats(world.queue).entries, 1u, "not before it is done");
    pull.hints.count = 0;
    send_done(&world, "cash", &pull, WL_PULL_OK);
    cr_expect(queue_settles(world.queue, 0));
    stage_expect_counter(&world.stage, queue_acked, 1);
    stage_expect_counter(&world.stage, fresh_count, 1);
    world_close(&world);
}

Test(dispatcher, pulls_once_for_many_changes_of_a_pair) {
    world_t world;
    world_open(&world);
    append(&world, "cash", 7);
    wl_pull_item_t first = next_pull(&world, "cash");
    for (int i = 0; i < 10; i++) {
        append(&world, "cash", 7); /* while it flies */
    }
    cr_expect_not(neighbour_seek(&world.puller, WL_MSG_PULL, &(wl_msg_t){0}, QUIET_MS));
    send_done(&world, "cash", &first, WL_PULL_OK);
    wl_pull_item_t second = next_pull(&world, "cash");
    cr_expect_gt(second.seq, first.seq);
    cr_expect(queue_settles(world.queue, 10), "only what the first pull covered");
    send_done(&world, "cash", &first, WL_PULL_OK); /* late duplicate */
    (void)zmq_poll(NULL, 0, QUIET_MS);
    cr_expect_eq(queue_stats(world.queue).entries, 10u);
    send_done(&world, "cash", &second, WL_PULL_OK);
    cr_expect(queue_settles(world.queue, 0));
    stage_expect_counter(&world.stage, queue_merged, 9);
    world_close(&world);
}

/* Copies that somebody looked at live are stored under seq 0: they end no pull. */
Test(dispatcher, does_not_take_a_live_look_for_its_pull) {
    world_t world;
    world_open(&world);
    append(&world, "cash", 7);
    wl_pull_item_t pull = next_pull(&world, "cash");
    wl_pull_item_t look = {.uid = 7};
    send_done(&world, "cash", &look, WL_PULL_OK);
    send_done(&world, "cash", &look, WL_PULL_REFUSED);
    send_pulled(&world, "cash", &look, WL_PULL_RETRY, false, 0);
    (void)zmq_poll(NULL, 0, QUIET_MS);
    wl_queue_stats_t stats = queue_stats(world.queue);
    cr_expect(stats.entries == 1 && stats.retries == 0, "it flies still");
    send_done(&world, "cash", &pull, WL_PULL_OK);
    cr_expect(queue_settles(world.queue, 0));
    world_close(&world);
}

Test(dispatcher, lets_a_user_who_waits_go_first) {
    world_t world;
    world_open(&world);
    wl_change_t change = {.uid = 9};
    stage_tell_queued(&world.stage,
                      queue_append_changes(world.queue, WL_ENTRY_REFRESH, "cash", &change, 1));
    wl_msg_t msg = neighbour_await(&world.puller, WL_MSG_PULL);
    cr_expect(msg.head.pull.interactive);
    world_close(&world);
}

Test(dispatcher, reads_what_was_queued_while_it_was_away) {
    world_t world;
    world_open_bare(&world);
    (void)queue_append_uid(world.queue, "cash", 7);
    world_start(&world);
    cr_expect_not(neighbour_seek(&world.puller, WL_MSG_PULL, &(wl_msg_t){0}, QUIET_MS),
                  "nothing is known about lines yet");
    world_configure(&world, "");
    (void)next_pull(&world, "cash");
    world_close(&world);
}

/* ---- failures -------------------------------------------------------------------------------- */

Test(dispatcher, makes_a_retry_durable_before_it_acknowledges) {
    world_t world;
    world_open(&world);
    append(&world, "cash", 7);
    wl_pull_item_t pull = next_pull(&world, "cash");
    (void)next_notice(&world, 7, WL_MARK_PENDING);
    send_pulled(&world, "cash", &pull, WL_PULL_RETRY, false, 0);
    (void)next_notice(&world, 7, WL_MARK_FAILING);
    pull = next_pull(&world, "cash");
    cr_expect_eq(pull.attempt, 1u);
    cr_expect(retries_settle(&world, 1, 0));
    cr_expect(queue_settles(world.queue, 0), "the row stands for the entry");
    send_done(&world, "cash", &pull, WL_PULL_OK);
    cr_expect(retries_settle(&world, 0, 0));
    stage_expect_counter(&world.stage, queue_retries, 1);
    world_close(&world);
}

Test(dispatcher, says_that_a_change_behind_a_failed_pull_is_stale_too) {
    world_t world;
    world_open(&world);
    append(&world, "cash", 7);
    wl_pull_item_t pull = next_pull(&world, "cash");
    (void)next_notice(&world, 7, WL_MARK_PENDING);
    append(&world, "cash", 7); /* while it flies */
    wl_notice_item_t newer = next_notice(&world, 7, WL_MARK_PENDING);
    cr_expect_gt(newer.seq, pull.seq);
    send_pulled(&world, "cash", &pull, WL_PULL_RETRY, false, 0);
    bool told = false;
    while (!told) { /* ends the test when no more of them come */
        wl_msg_t msg = neighbour_await(&world.presence, WL_MSG_NOTICE);
        for (uint32_t i = 0; i < msg.count; i++) {
            told = told || (msg.items.notice[i].seq == newer.seq &&
                            msg.items.notice[i].state == WL_MARK_FAILING);
        }
    }
    world_close(&world);
}

Test(dispatcher, keeps_retries_and_their_attempts_over_a_restart) {
    world_t world;
    world_open(&world);
    append(&world, "cash", 7);
    wl_pull_item_t pull = next_pull(&world, "cash");
    send_pulled(&world, "cash", &pull, WL_PULL_RETRY, false, 0);
    cr_expect(retries_settle(&world, 1, 0));
    world_restart(&world);
    world_configure(&world, "");
    wl_msg_t msg;
    bool failing = false;
    while (!failing && neighbour_seek(&world.presence, WL_MSG_NOTICE, &msg, PATIENCE_MS)) {
        failing = msg.items.notice[0].state == WL_MARK_FAILING;
    }
    cr_expect(failing, "its copy is still behind");
    do { /* the old one may have pulled once more */
        pull = next_pull(&world, "cash");
    } while (pull.attempt == 0);
    send_done(&world, "cash", &pull, WL_PULL_OK);
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (!retries_settle(&world, 0, 0) && wl_mono_now().ms < until) {
        pull = next_pull(&world, "cash");
        send_done(&world, "cash", &pull, WL_PULL_OK);
    }
    cr_expect_eq(queue_stats(world.queue).retries, 0u);
    world_close(&world);
}

Test(dispatcher, gives_up_into_a_dead_letter_that_operators_can_redrive_or_discard) {
    world_t world;
    world_open(&world);
    make_dead(&world, "cash", 7);
    cr_expect(retries_settle(&world, 0, 1));
    cr_expect(queue_settles(world.queue, 0));
    wl_reply_item_t reply = ask_admin(&world, WL_METHOD_ADMIN_DLQ_LIST, NULL);
    cr_expect_eq(reply.error, (uint32_t)WL_OK, "%s", reply.text);
    cr_expect(body_has(reply.body, "the line is down"));
    reply = ask_admin_about(&world, WL_METHOD_ADMIN_DLQ_REDRIVE, "coin", NULL);
    cr_expect_eq(body_number(reply.body, "redriven"), 0);
    reply = ask_admin_about(&world, WL_METHOD_ADMIN_DLQ_REDRIVE, "cash", NULL);
    cr_expect_eq(body_number(reply.body, "redriven"), 1);
    wl_pull_item_t pull = next_pull(&world, "cash");
    cr_expect_eq(pull.attempt, 0u, "a new beginning");
    cr_expect(retries_settle(&world, 1, 0), "durable while it is tried again");
    send_done(&world, "cash", &pull, WL_PULL_OK);
    cr_expect(retries_settle(&world, 0, 0));

    make_dead(&world, "cash", 8);
    cr_expect(retries_settle(&world, 0, 1));
    reply = ask_admin_about(&world, WL_METHOD_ADMIN_DLQ_DISCARD, "cash", NULL);
    cr_expect_eq(reply.error, (uint32_t)WL_ERR_BAD_REQUEST, "a note is required");
    reply = ask_admin_about(&world, WL_METHOD_ADMIN_DLQ_DISCARD, "cash", "test user");
    cr_expect_eq(body_number(reply.body, "discarded"), 1);
    cr_expect(retries_settle(&world, 0, 0));
    wl_msg_t msg;
    bool forgotten = false;
    while (!forgotten && neighbour_seek(&world.presence, WL_MSG_NOTICE, &msg, PATIENCE_MS)) {
        const wl_notice_item_t *notice = &msg.items.notice[0];
        forgotten = notice->uid == 8 && notice->state == WL_MARK_NONE;
    }
    cr_expect(forgotten, "nobody brings that change any more");
    stage_expect_counter(&world.stage, queue_dead, 2);
    world_close(&world);
}

Test(dispatcher, says_again_after_a_restart_that_a_dead_letters_copy_is_stale) {
    world_t world;
    world_open(&world);
    make_dead(&world, "cash", 7);
    cr_expect(retries_settle(&world, 0, 1));
    wl_msg_t msg;
    while (neighbour_seek(&world.presence, WL_MSG_NOTICE, &msg, 2 * QUIET_MS)) {
    }
    world_restart(&world);
    wl_notice_item_t notice = next_notice(&world, 7, WL_MARK_FAILING);
    cr_expect_str_eq(notice.line, "cash");
    cr_expect_eq(notice.seq, 0u, "anything newer takes it back");
    world_close(&world);
}

Test(dispatcher, retries_what_the_shard_or_the_answer_refused) {
    world_t world;
    world_open(&world);
    append(&world, "cash", 7);
    wl_pull_item_t pull = next_pull(&world, "cash");
    send_done(&world, "cash", &pull, WL_PULL_RETRY);
    pull = next_pull(&world, "cash");
    cr_expect_eq(pull.attempt, 1u);
    send_done(&world, "cash", &pull, WL_PULL_REFUSED);
    pull = next_pull(&world, "cash");
    cr_expect_eq(pull.attempt, 2u);
    send_done(&world, "cash", &pull, WL_PULL_REFUSED);
    cr_expect(retries_settle(&world, 0, 1));
    world_close(&world);
}

Test(dispatcher, pauses_one_line_and_makes_no_attempt_of_what_was_held) {
    world_t world;
    world_open(&world);
    append(&world, "cash", 7);
    wl_pull_item_t pull = next_pull(&world, "cash");
    int64_t begun = wl_mono_now().ms;
    send_pulled(&world, "cash", &pull, WL_PULL_RETRY, true, 2000);
    append(&world, "coin", 8);
    wl_pull_item_t other = next_pull(&world, "coin");
    cr_expect_lt(wl_mono_now().ms - begun, 1900, "the other line does not wait");
    send_done(&world, "coin", &other, WL_PULL_OK);
    append(&world, "cash", 9);
    wl_msg_t msg = neighbour_await(&world.puller, WL_MSG_PULL);
    cr_expect_geq(wl_mono_now().ms - begun, 1990);
    cr_expect_eq(msg.count, 2u);
    cr_expect_eq(msg.items.pull[0].attempt, 0u);
    cr_expect_eq(queue_stats(world.queue).retries, 0u);
    world_close(&world);
}

Test(dispatcher, does_again_what_nobody_answered) {
    world_t world;
    world_open_bare(&world);
    world.stage.settings.dispatcher_lost_ms = 100;
    world_start(&world);
    world_configure(&world, ",\"timeout_ms\":200"); /* two rounds of 205 ms and 2 s */
    append(&world, "cash", 7);
    wl_pull_item_t first = next_pull(&world, "cash");
    int64_t begun = wl_mono_now().ms;
    wl_pull_item_t second = next_pull(&world, "cash");
    cr_expect_geq(wl_mono_now().ms - begun, 1500);
    cr_expect_eq(second.attempt, 0u);
    cr_expect_geq(second.seq, first.seq);
    send_done(&world, "cash", &second, WL_PULL_OK);
    cr_expect(queue_settles(world.queue, 0));
    stage_expect_counter(&world.stage, queue_lost_in_flight, 1);
    world_close(&world);
}

Test(dispatcher, keeps_entries_that_do_not_decode_as_dead_letters) {
    world_t world;
    world_open(&world);
    wl_queue_entry_t entries[3] = {
        {.at = 1, .kind = WL_ENTRY_CHANGES, .line = "cash", .body = "\xff", .body_bytes = 1},
        {.at = 1, .kind = WL_ENTRY_ASSETS, .line = "cash", .body = "\x91\x01", .body_bytes = 2},
        {.at = 1, .kind = (wl_entry_kind_t)9, .line = "cash", .body = "\x80", .body_bytes = 1},
    };
    cr_assert_eq(wl_queue_append(world.queue, entries, 3), WL_OK);
    append(&world, "cash", 7);
    wl_pull_item_t pull = next_pull(&world, "cash");
    send_done(&world, "cash", &pull, WL_PULL_OK);
    cr_expect(queue_settles(world.queue, 0));
    cr_expect(retries_settle(&world, 0, 3));
    wl_reply_item_t reply = ask_admin(&world, WL_METHOD_ADMIN_DLQ_REDRIVE, NULL);
    cr_expect_eq(reply.error, (uint32_t)WL_ERR_BAD_REQUEST, "all of them have to be meant");
    reply = ask_admin_about(&world, WL_METHOD_ADMIN_DLQ_REDRIVE, "cash", NULL);
    cr_expect_eq(body_number(reply.body, "redriven"), 0, "nobody could understand them");
    stage_expect_counter(&world.stage, queue_damaged, 3);
    world_close(&world);
}

Test(dispatcher, keeps_outcomes_while_the_disk_is_full) {
    world_t world;
    world_open(&world);
    append(&world, "cash", 7);
    append(&world, "coin", 8);
    wl_pull_item_t pull = next_pull(&world, "cash");
    wl_pull_item_t other = next_pull(&world, "coin");
    disk_limit(4096);
    send_done(&world, "cash", &pull, WL_PULL_OK);
    send_pulled(&world, "coin", &other, WL_PULL_RETRY, false, 0);
    (void)zmq_poll(NULL, 0, 200);
    cr_expect_eq(queue_stats(world.queue).entries, 2u, "neither was written");
    disk_limit(RLIM_INFINITY);
    cr_expect(queue_settles(world.queue, 0));
    cr_expect(retries_settle(&world, 1, 0));
    world_close(&world);
}

/* ---- values that come with a notification ---------------------------------------------------- */

Test(dispatcher, sends_values_straight_to_the_shard) {
    world_t world;
    world_open(&world);
    wl_asset_t assets[3] = {test_asset(7, "cash", 1, 5), test_asset(8, "cash", 2, 5),
                            test_asset(7, "cash", 3, 6)};
    (void)snprintf(assets[2].bucket, sizeof assets[2].bucket, "gift");
    append_assets(&world, "cash", assets, 3);
    wl_msg_t msg = neighbour_await(&world.shard, WL_MSG_STORE);
    cr_assert_eq(msg.count, 2u, "by user");
    cr_expect_eq(msg.items.store[0].uid, 7u);
    cr_assert_eq(msg.items.store[0].assets.count, 2u);
    cr_expect_str_eq(msg.items.store[0].assets.at[1].bucket, "gift");
    cr_expect_eq(msg.items.store[0].outcome, WL_PULL_OK);
    wl_pull_item_t pulls[2] = {{.uid = 7, .seq = msg.items.store[0].seq},
                               {.uid = 8, .seq = msg.items.store[1].seq}};
    cr_expect_not(neighbour_seek(&world.puller, WL_MSG_PULL, &msg, QUIET_MS), "saves the pull");
    send_done(&world, "cash", &pulls[0], WL_PULL_OK);
    (void)zmq_poll(NULL, 0, QUIET_MS);
    cr_expect_eq(queue_stats(world.queue).entries, 1u, "half of the entry");
    send_done(&world, "cash", &pulls[1], WL_PULL_OK);
    cr_expect(queue_settles(world.queue, 0));
    world_close(&world);
}

Test(dispatcher, asks_the_line_instead_of_storing_insane_values) {
    world_t world;
    world_open(&world);
    wl_asset_t wrong = test_asset(7, "cash", 1, 5);
    wrong.scale = 3; /* not the line's */
    append_assets(&world, "cash", &wrong, 1);
    (void)next_pull(&world, "cash");
    cr_expect_not(neighbour_seek(&world.shard, WL_MSG_STORE, &(wl_msg_t){0}, QUIET_MS));
    stage_expect_counter(&world.stage, pull_quarantined, 1);
    world_close(&world);
}

Test(dispatcher, asks_the_line_when_another_change_is_due_as_well) {
    world_t world;
    world_open(&world);
    append(&world, "cash", 7);
    wl_pull_item_t first = next_pull(&world, "cash");
    wl_asset_t asset = test_asset(7, "cash", 1, 5);
    append_assets(&world, "cash", &asset, 1);
    cr_expect_not(neighbour_seek(&world.shard, WL_MSG_STORE, &(wl_msg_t){0}, QUIET_MS));
    send_done(&world, "cash", &first, WL_PULL_OK);
    wl_pull_item_t second = next_pull(&world, "cash");
    send_done(&world, "cash", &second, WL_PULL_OK);
    cr_expect(queue_settles(world.queue, 0));
    world_close(&world);
}

/* ---- looks at old copies --------------------------------------------------------------------- */

Test(dispatcher, pulls_for_a_look_and_forgets_it_when_the_line_fails) {
    world_t world;
    world_open(&world);
    append(&world, "coin", 1); /* the configuration has arrived when this is pulled */
    (void)next_pull(&world, "coin");
    (void)next_notice(&world, 1, WL_MARK_PENDING);
    send_hint(&world, "cash", 7);
    send_hint(&world, "cash", 7);
    send_hint(&world, "nope", 7);
    send_hint(&world, "shop", 7);
    wl_msg_t msg = neighbour_await(&world.puller, WL_MSG_PULL);
    cr_expect(msg.head.pull.interactive);
    wl_pull_item_t pull = msg.items.pull[0];
    (void)next_notice(&world, 7, WL_MARK_PENDING);
    send_pulled(&world, "cash", &pull, WL_PULL_RETRY, false, 0);
    (void)next_notice(&world, 7, WL_MARK_NONE);
    cr_expect_not(neighbour_seek(&world.puller, WL_MSG_PULL, &msg, 2 * QUIET_MS),
                  "nobody said that anything has changed");
    wl_queue_stats_t stats = queue_stats(world.queue);
    cr_expect(stats.retries == 0 && stats.dead == 0);
    stage_expect_counter(&world.stage, refresh_hints, 4);
    world_close(&world);
}

/* The hint covers no notification, the redriven letter does: what the hint's failure may forget is
 * the hint alone. */
Test(dispatcher, keeps_a_redriven_change_when_a_look_that_flew_meanwhile_fails) {
    world_t world;
    world_open(&world);
    make_dead(&world, "cash", 7);
    cr_expect(retries_settle(&world, 0, 1));
    send_hint(&world, "cash", 7);
    wl_pull_item_t hint = next_pull(&world, "cash");
    cr_expect_eq(hint.notified_at, 0);
    wl_reply_item_t reply = ask_admin_about(&world, WL_METHOD_ADMIN_DLQ_REDRIVE, "cash", NULL);
    cr_expect_eq(body_number(reply.body, "redriven"), 1);
    cr_expect(retries_settle(&world, 1, 0));
    send_pulled(&world, "cash", &hint, WL_PULL_RETRY, false, 0);
    wl_pull_item_t pull = next_pull(&world, "cash");
    cr_expect_neq(pull.notified_at, 0, "the change that was redriven");
    cr_expect(retries_settle(&world, 1, 0), "and durable until it has ended");
    send_pulled(&world, "cash", &pull, WL_PULL_RETRY, false, 0);
    pull = next_pull(&world, "cash");
    send_done(&world, "cash", &pull, WL_PULL_OK);
    cr_expect(retries_settle(&world, 0, 0));
    world_close(&world);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

Test(dispatcher, keeps_a_stuck_line_from_filling_the_memory_of_all) {
    world_t world;
    world_open_bare(&world);
    world.stage.settings.dispatcher_keys_max = 1024;
    world_start(&world);
    enum { STUCK = 3000 };
    wl_change_t changes[100];
    for (uint64_t uid = 1; uid <= STUCK; uid += 100) {
        for (uint64_t i = 0; i < 100; i++) {
            changes[i] = (wl_change_t){.uid = uid + i};
        }
        (void)queue_append_changes(world.queue, WL_ENTRY_CHANGES, "cash", changes, 100);
    }
    (void)queue_append_uid(world.queue, "coin", 77);
    world_configure(&world, ",\"batch_max\":10,\"concurrency\":1");
    /* cash is asked for a window of 20 and answers nothing; coin is behind 3,000 of its changes */
    uint32_t cash = 0;
    bool coin = false;
    wl_msg_t msg;
    while (!coin && neighbour_seek(&world.puller, WL_MSG_PULL, &msg, PATIENCE_MS)) {
        coin = strcmp(msg.head.pull.line, "coin") == 0;
        cash += coin ? 0 : msg.count;
    }
    cr_expect(coin);
    cr_expect_leq(cash, 20u);
    world_close(&world);
}

/* Answers every pull at once until the queue is empty; counts how often each user was pulled. */
static void answer_all(world_t *world, uint8_t *seen) {
    uint64_t distinct = 0;
    wl_msg_t msg;
    while (queue_stats(world->queue).entries > 0) {
        if (!neighbour_seek(&world->puller, WL_MSG_PULL, &msg, 500)) {
            cr_expect_eq(queue_stats(world->queue).entries, 0u, "after %llu users",
                         (unsigned long long)distinct);
            return;
        }
        wl_done_head_t head = {0};
        memcpy(head.line, msg.head.pull.line, sizeof head.line);
        wl_done_begin(world->stage.encoder, &head);
        for (uint32_t i = 0; i < msg.count; i++) {
            const wl_pull_item_t *pull = &msg.items.pull[i];
            distinct += seen[pull->uid]++ == 0;
            wl_done_add(world->stage.encoder,
                        &(wl_done_item_t){.uid = pull->uid, .seq = pull->seq});
        }
        stage_send(&world->stage);
        while (neighbour_seek(&world->presence, WL_MSG_NOTICE, &msg, 0)) {
        }
    }
}

Test(dispatcher, works_off_more_than_it_can_hold_in_any_line) {
    world_t world;
    world_open_bare(&world);
    world.stage.settings.dispatcher_keys_max = 1024;
    world_start(&world);
    enum { USERS = 9000 };
    static wl_change_t changes[WL_CHANGES_MAX];
    for (uint64_t uid = 0; uid < USERS; uid += WL_CHANGES_MAX) {
        for (uint64_t i = 0; i < WL_CHANGES_MAX; i++) {
            changes[i] = (wl_change_t){.uid = uid + i + 1};
        }
        uint64_t number = uid / WL_CHANGES_MAX;
        (void)queue_append_changes(world.queue, WL_ENTRY_CHANGES, number % 3 == 0 ? "coin" : "cash",
                                   changes, WL_CHANGES_MAX);
    }
    world_configure(&world, "");
    static uint8_t seen[USERS + 1];
    answer_all(&world, seen);
    cr_expect_eq(queue_stats(world.queue).entries, 0u);
    for (uint32_t uid = 1; uid <= USERS; uid++) {
        cr_assert_eq(seen[uid], 1, "user %u", uid);
    }
    world_close(&world);
}

/* ---- lines that come and go ------------------------------------------------------------------ */

static const char only_coin[] =
    "{\"version\":1000,\"lines\":{"
    "\"cash\":{\"kind\":\"link\",\"mode\":\"link\",\"url\":\"https://cash.example/\"},"
    "\"coin\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\"}}}";
static const char only_coin_presentation[] = "{\"version\":9}";

static void configure_only_coin(stage_t *stage) {
    wl_config_item_t item = {.integration = {(const uint8_t *)only_coin, sizeof only_coin - 1},
                             .presentation = {(const uint8_t *)only_coin_presentation,
                                              sizeof only_coin_presentation - 1}};
    wl_config_begin(stage->encoder, &(wl_config_head_t){.version = "1000.9"});
    wl_config_add(stage->encoder, &item);
    stage_send(stage);
}

Test(dispatcher, decides_itself_whether_a_line_has_gone) {
    world_t world;
    world_open(&world);
    append(&world, "cash", 7);
    wl_pull_item_t pull = next_pull(&world, "cash");
    send_pulled(&world, "cash", &pull, WL_PULL_PERMANENT, false, 0);
    wl_pull_item_t again = next_pull(&world, "cash"); /* the puller was a moment behind */
    cr_expect_eq(again.attempt, 0u);
    configure_only_coin(&world.stage);
    send_pulled(&world, "cash", &again, WL_PULL_PERMANENT, false, 0);
    cr_expect(retries_settle(&world, 0, 1));
    cr_expect(queue_settles(world.queue, 0));
    world_close(&world);
}

Test(dispatcher, gives_up_what_waits_for_a_line_that_stays_away, .timeout = 30) {
    world_t world;
    world_open(&world);
    append(&world, "coin", 1);
    (void)next_pull(&world, "coin");
    configure_only_coin(&world.stage);
    append(&world, "cash", 7);
    cr_expect_not(neighbour_seek(&world.puller, WL_MSG_PULL, &(wl_msg_t){0}, QUIET_MS));
    int64_t until = wl_mono_now().ms + 15000;
    while (queue_stats(world.queue).dead == 0 && wl_mono_now().ms < until) {
        (void)zmq_poll(NULL, 0, 50);
    }
    cr_expect_eq(queue_stats(world.queue).dead, 1u);
    wl_reply_item_t reply = ask_admin(&world, WL_METHOD_ADMIN_DLQ_LIST, NULL);
    cr_expect(body_has(reply.body, "line is not configured"));
    world_close(&world);
}

/* ---- operators ------------------------------------------------------------------------------- */

Test(dispatcher, shows_operators_its_lines_and_its_queue) {
    world_t world;
    world_open(&world);
    append(&world, "cash", 7);
    (void)next_pull(&world, "cash");
    wl_line_item_t health = {
        .line = "cash", .sick = true, .calls = 17, .reason = "connection refused"};
    wl_line_begin(world.stage.encoder, &(wl_line_head_t){0});
    wl_line_add(world.stage.encoder, &health);
    stage_send(&world.stage);
    wl_reply_item_t reply = ask_admin(&world, WL_METHOD_ADMIN_LINES, NULL);
    cr_expect_eq(reply.error, (uint32_t)WL_OK);
    cr_expect(body_has(reply.body, "connection refused"));
    cr_expect(body_has(reply.body, "shop"));
    reply = ask_admin(&world, WL_METHOD_ADMIN_QUEUE, NULL);
    cr_expect_eq(body_number(reply.body, "entries"), 1);
    cr_expect_eq(body_number(reply.body, "in_flight"), 1);
    cr_expect_eq(body_number(reply.body, "dead"), 0);
    cr_expect_geq(body_number(reply.body, "oldest_ms"), 0);
    reply = ask_admin(&world, WL_METHOD_ADMIN_DLQ_SHOW, NULL);
    cr_expect_eq(reply.error, (uint32_t)WL_ERR_BAD_REQUEST);
    reply = ask_admin(&world, WL_METHOD_HOME, NULL);
    cr_expect_eq(reply.error, (uint32_t)WL_ERR_UNKNOWN_METHOD);
    world_close(&world);
}

/* ---- the promise: acknowledged last, lost never ---------------------------------------------- */

enum { PROMISE_USERS = 40, PROMISE_ENTRIES = 300, PROMISE_EACH = 3 };

typedef struct {
    uint64_t id;
    uint64_t uids[PROMISE_EACH];
    bool told; /* in the queue at the last look */
} promise_entry_t;

typedef struct {
    promise_entry_t entries[PROMISE_ENTRIES];
    uint32_t count;
    uint64_t done_after[PROMISE_USERS + 1]; /* entries appended when the pair was last done */
} promise_t;

static void on_promise_entry(const wl_queue_entry_t *entry, void *arg) {
    promise_t *self = arg;
    for (uint32_t i = 0; i < self->count; i++) {
        self->entries[i].told = self->entries[i].told || self->entries[i].id == entry->id;
    }
}

/* Every entry that is gone has had each of its pairs done after it was appended. */
static void promise_check(world_t *world, promise_t *self) {
    for (uint32_t i = 0; i < self->count; i++) {
        self->entries[i].told = false;
    }
    uint64_t last = 0;
    cr_assert_eq(wl_queue_read(world->queue, 0, PROMISE_ENTRIES, on_promise_entry, self, &last),
                 WL_OK);
    for (uint32_t i = 0; i < self->count; i++) {
        for (uint32_t k = 0; !self->entries[i].told && k < PROMISE_EACH; k++) {
            cr_assert_gt(self->done_after[self->entries[i].uids[k]], i,
                         "entry %u was acknowledged before user %llu was done", i,
                         (unsigned long long)self->entries[i].uids[k]);
        }
    }
}

static void promise_append(world_t *world, promise_t *self, unsigned *seed) {
    promise_entry_t *entry = &self->entries[self->count];
    wl_change_t changes[PROMISE_EACH];
    for (uint32_t k = 0; k < PROMISE_EACH; k++) {
        *seed = *seed * 1103515245u + 12345u;
        entry->uids[k] = 1 + (*seed >> 16) % PROMISE_USERS;
        changes[k] = (wl_change_t){.uid = entry->uids[k]};
    }
    entry->id = queue_append_changes(world->queue, WL_ENTRY_CHANGES, "cash", changes, PROMISE_EACH);
    self->count++;
    stage_tell_queued(&world->stage, entry->id);
}

/* Answers pulls: most are done, some fail, some are held, some are never answered. */
static void promise_answer(world_t *world, promise_t *self, unsigned *seed, bool all_good) {
    wl_msg_t msg;
    while (neighbour_seek(&world->puller, WL_MSG_PULL, &msg, 10)) {
        for (uint32_t i = 0; i < msg.count; i++) {
            const wl_pull_item_t *pull = &msg.items.pull[i];
            *seed = *seed * 1103515245u + 12345u;
            unsigned dice = all_good ? 100 : (*seed >> 16) % 100;
            if (dice < 10) {
                send_pulled(world, "cash", pull, WL_PULL_RETRY, true, 1);
            } else if (dice >= 15 || pull->attempt > 0) {
                /* noted before it is sent: what was acknowledged must have been done */
                self->done_after[pull->uid] = self->count;
                send_done(world, "cash", pull, WL_PULL_OK);
            } /* else: never answered; a restart has to find it again */
        }
    }
}

Test(dispatcher, acknowledges_an_entry_after_all_of_its_pairs_and_loses_none_over_restarts,
     .timeout = 60) {
    world_t world;
    static promise_t promise;
    world_open(&world);
    unsigned seed = 42;
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < PROMISE_ENTRIES / 6; i++) {
            promise_append(&world, &promise, &seed);
            if (i % 5 == 0) {
                promise_answer(&world, &promise, &seed, false);
                promise_check(&world, &promise);
            }
        }
        world_restart(&world);
        wl_msg_t msg;
        while (neighbour_seek(&world.puller, WL_MSG_PULL, &msg, 0)) {
            /* what the one before asked for is not answered any more */
        }
        world_configure(&world, "");
    }
    int64_t until = wl_mono_now().ms + 20000;
    while (queue_stats(world.queue).entries > 0 && wl_mono_now().ms < until) {
        promise_answer(&world, &promise, &seed, true);
        promise_check(&world, &promise);
    }
    cr_expect_eq(queue_stats(world.queue).entries, 0u);
    cr_expect_eq(queue_stats(world.queue).dead, 0u);
    world_close(&world);
}

/* ---- the end --------------------------------------------------------------------------------- */

Test(dispatcher, ends_soon_when_nothing_flies) {
    world_t world;
    world_open_bare(&world);
    world.stage.settings.server_drain_ms = LONG_DRAIN_MS;
    world_start(&world);
    world_configure(&world, "");
    cr_expect_lt(stage_stop(&world.stage), LONG_DRAIN_MS / 2);
    world_close(&world);
}

Test(dispatcher, waits_for_what_flies_and_acknowledges_it_at_the_end) {
    world_t world;
    world_open_bare(&world);
    world.stage.settings.dispatcher_settle_ms = LONG_DRAIN_MS;
    world.stage.settings.server_drain_ms = LONG_DRAIN_MS;
    world_start(&world);
    world_configure(&world, "");
    append(&world, "cash", 7);
    wl_pull_item_t pull = next_pull(&world, "cash");
    send_done(&world, "cash", &pull, WL_PULL_OK);
    cr_expect_lt(stage_stop(&world.stage), LONG_DRAIN_MS / 2);
    cr_expect_eq(queue_stats(world.queue).entries, 0u);
    world_close(&world);
}

Test(dispatcher, leaves_in_the_queue_what_was_not_answered_in_time) {
    world_t world;
    world_open(&world);
    append(&world, "cash", 7);
    (void)next_pull(&world, "cash");
    int64_t took_ms = stage_stop(&world.stage);
    cr_expect_geq(took_ms, 400);
    cr_expect_lt(took_ms, 5000);
    cr_expect_eq(queue_stats(world.queue).entries, 1u);
    world_close(&world);
}
