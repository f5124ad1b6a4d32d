#include "puller_world.h"

/* One of two urls, and keys of the line behind them. */
static const char two_urls[] =
    "{\"version\":%u,\"lines\":{\"cash\":{\"kind\":\"cash\",\"urls\":[\"%s\",\"%s\"],"
    "\"unit\":\"CNY\",\"scale\":2,\"batch_wait_ms\":0%s},"
    "\"coin\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\"}}}";

/* ---- asking live ----------------------------------------------------------------------------- */

typedef struct {
    wl_live_what_t what;
    uint64_t uid;
    uint64_t ticket;
    int64_t patience_ms; /* of whoever waits; 0 = PATIENCE_MS */
    uint64_t epoch;
    const char *line; /* NULL = cash */
    const char *month;
    const char *cursor;
} question_t;

static void ask(world_t *self, question_t question) {
    wl_live_head_t head = {.asker = WL_ACTOR_QUERY,
                           .instance = 3,
                           .reader = question.ticket / 100,
                           .epoch = question.epoch};
    (void)snprintf(head.line, sizeof head.line, "%s",
                   question.line == NULL ? "cash" : question.line);
    int64_t patience_ms = question.patience_ms == 0 ? PATIENCE_MS : question.patience_ms;
    wl_live_item_t item = {.ticket = question.ticket,
                           .uid = question.uid,
                           .deadline_at = wl_mono_now().ms + patience_ms,
                           .what = (uint8_t)question.what,
                           .limit = question.what == WL_LIVE_DETAILS ? 20 : 0};
    if (question.month != NULL) {
        (void)snprintf(item.month, sizeof item.month, "%s", question.month);
    }
    if (question.cursor != NULL) {
        item.cursor = (wl_bytes_t){(const uint8_t *)question.cursor, strlen(question.cursor)};
    }
    wl_live_begin(self->stage.encoder, &head);
    wl_live_add(self->stage.encoder, &item);
    stage_send(&self->stage);
}

/* What one ticket was told; copied out of the message, but for assets and body. */
typedef struct {
    wl_lived_head_t head;
    wl_lived_item_t item;
    int64_t amount; /* of the first asset */
    char body[256];
} told_t;

/* The next answer; several may stand in one message. */
static wl_msg_t heard;
static uint32_t heard_next;

static told_t next_told(world_t *self) {
    if (heard_next >= heard.count) {
        heard = neighbour_await(&self->presence, WL_MSG_LIVED);
        heard_next = 0;
    }
    told_t told = {.head = heard.head.lived, .item = heard.items.lived[heard_next++]};
    told.amount = told.item.assets.count > 0 ? told.item.assets.at[0].amount : 0;
    cr_assert_leq(told.item.body.count, sizeof told.body);
    if (told.item.body.count > 0) {
        memcpy(told.body, told.item.body.at, told.item.body.count);
    }
    return told;
}

static void reply_empty_page(line_t *line) {
    reply_open(line);
    msgpack_pack_nil(&line->packer);
    msgpack_pack_map(&line->packer, 1);
    args_key(&line->packer, "items");
    msgpack_pack_array(&line->packer, 0);
    reply_send(line);
}

Test(puller_live, who_waits_is_told_and_the_copy_is_refreshed) {
    world_t world;
    world_open(&world, "");
    int64_t before = wl_wall_now().ms;
    ask(&world, (question_t){.uid = 7, .ticket = 901, .epoch = 4});
    line_await(world.line);
    reply_good(world.line);
    told_t told = next_told(&world);
    cr_expect_eq(told.item.error, WL_OK);
    cr_expect(told.item.ticket == 901 && told.item.uid == 7 && told.item.what == WL_LIVE_ASSETS);
    cr_expect(told.head.asker == WL_ACTOR_QUERY && told.head.instance == 3);
    cr_expect_eq(told.head.reader, 9u);
    cr_expect_str_eq(told.head.line, "cash");
    cr_expect_eq(told.amount, 70);
    cr_expect_geq(told.item.at, before);
    cr_expect_leq(told.item.at, wl_wall_now().ms);
    wl_msg_t msg = neighbour_await(&world.shard, WL_MSG_STORE);
    cr_expect_eq(msg.head.store.epoch, 4u);
    cr_expect(msg.items.store[0].seq == 0 && msg.items.store[0].assets.at[0].amount == 70);
    cr_expect_eq(msg.items.store[0].outcome, WL_PULL_OK);
    ask(&world, (question_t){.uid = 8, .ticket = 2});
    line_await(world.line);
    reply_records(world.line, 0);
    reply_send(world.line);
    told = next_told(&world);
    cr_expect_eq(told.item.error, WL_OK);
    cr_expect_eq(told.item.assets.count, 0u, "the line said nothing about this user");
    neighbour_hears_nothing(&world.shard);
    stage_expect_counter(&world.stage, pull_live, 2);
    world_close(&world);
}

Test(puller_live, many_who_wait_for_one_user_cost_one_call) {
    world_t world;
    world_open(&world, ",\"concurrency\":1,\"timeout_ms\":5000");
    send_pulls(&world, "cash", 7, 1, false);
    for (uint64_t ticket = 1; ticket <= 20; ticket++) {
        ask(&world, (question_t){.uid = 7, .ticket = ticket});
    }
    line_await(world.line);
    cr_expect_eq(world.line->uid_count, 1u);
    for (uint64_t ticket = 21; ticket <= 40; ticket++) {
        ask(&world, (question_t){.uid = 7, .ticket = ticket}); /* it is under way */
    }
    stage_expect_counter(&world.stage, pull_live, 40);
    reply_good(world.line);
    uint64_t tickets = 0;
    for (int i = 0; i < 40; i++) {
        told_t told = next_told(&world);
        cr_expect_eq(told.amount, 70);
        tickets += told.item.ticket;
    }
    cr_expect_eq(tickets, 820u);
    cr_expect_eq(next_store(&world).seq, 1007u, "the pull of the dispatcher went along");
    cr_expect_not(line_asked(world.line, QUIET_MS));
    stage_expect_counter(&world.stage, pull_live_joined, 40);
    stage_expect_counter(&world.stage, pull_calls, 1);
    world_close(&world);
}

Test(puller_live, a_failure_is_told_and_the_next_one_asks_anew) {
    world_t world;
    world_open(&world, ",\"timeout_ms\":5000");
    send_pulls(&world, "cash", 7, 1, false);
    ask(&world, (question_t){.uid = 7, .ticket = 1});
    line_await(world.line);
    reply_error(world.line, 0);
    told_t told = next_told(&world);
    cr_expect_eq(told.item.error, WL_ERR_UNAVAILABLE);
    cr_expect_str_eq(told.item.reason, "error unavailable");
    cr_expect_eq(next_pulled(&world).items.pulled[0].outcome, WL_PULL_RETRY,
                 "the dispatcher tries again, who waits does not");
    cr_expect_not(line_asked(world.line, QUIET_MS));
    ask(&world, (question_t){.uid = 7, .ticket = 2});
    line_await(world.line);
    reply_good(world.line);
    cr_expect_eq(next_told(&world).amount, 70);
    world_close(&world);
}

Test(puller_live, a_refused_record_is_told_as_a_failure) {
    world_t world;
    world_open(&world, "");
    ask(&world, (question_t){.uid = 7, .ticket = 1});
    line_await(world.line);
    reply_records(world.line, 1);
    reply_record(world.line, 7, "", -5, 1);
    reply_send(world.line);
    told_t told = next_told(&world);
    cr_expect_eq(told.item.error, WL_ERR_UNAVAILABLE);
    cr_expect(told.item.reason[0] != '\0');
    neighbour_hears_nothing(&world.shard);
    world_close(&world);
}

/* ---- pages ----------------------------------------------------------------------------------- */

Test(puller_live, pages_are_calls_of_their_own_and_joined_when_the_same) {
    world_t world;
    world_open(&world, ",\"details\":true,\"summary\":true,\"concurrency\":3,\"timeout_ms\":5000");
    ask(&world, (question_t){.what = WL_LIVE_DETAILS, .uid = 7, .ticket = 1});
    ask(&world, (question_t){.what = WL_LIVE_DETAILS, .uid = 7, .ticket = 2});
    line_await(world.line);
    cr_expect_str_eq(world.line->method, "details");
    cr_expect_eq(world.line->uids[0], 7u);
    ask(&world, (question_t){.what = WL_LIVE_DETAILS, .uid = 7, .ticket = 3});
    ask(&world, (question_t){.what = WL_LIVE_DETAILS, .uid = 7, .ticket = 4, .cursor = "p2"});
    line_t first = *world.line;
    line_await(world.line);
    line_t second = *world.line;
    reply_empty_page(&first);
    uint64_t tickets = 0;
    for (int i = 0; i < 3; i++) {
        told_t told = next_told(&world);
        cr_expect_eq(told.item.error, WL_OK);
        cr_expect_eq(told.item.what, WL_LIVE_DETAILS);
        cr_expect_gt(told.item.body.count, 0u);
        tickets += told.item.ticket;
    }
    cr_expect_eq(tickets, 6u);
    reply_empty_page(&second);
    cr_expect_eq(next_told(&world).item.ticket, 4u);
    ask(&world, (question_t){.what = WL_LIVE_SUMMARY, .uid = 7, .ticket = 5, .month = "2026-10"});
    line_await(world.line);
    cr_expect_str_eq(world.line->method, "summary");
    reply_open(world.line);
    msgpack_pack_nil(&world.line->packer);
    msgpack_pack_map(&world.line->packer, 3);
    args_key(&world.line->packer, "in");
    msgpack_pack_int64(&world.line->packer, 500);
    args_key(&world.line->packer, "out");
    msgpack_pack_int64(&world.line->packer, 20);
    args_key(&world.line->packer, "count");
    msgpack_pack_int64(&world.line->packer, 3);
    reply_send(world.line);
    told_t told = next_told(&world);
    cr_expect(told.item.error == WL_OK && told.item.body.count > 0);
    neighbour_hears_nothing(&world.shard);
    stage_expect_counter(&world.stage, pull_pages, 3);
    world_close(&world);
}

Test(puller_live, a_line_without_pages_says_so) {
    world_t world;
    world_open(&world, ",\"details\":true");
    ask(&world, (question_t){.what = WL_LIVE_SUMMARY, .uid = 7, .ticket = 1});
    cr_expect_eq(next_told(&world).item.error, WL_ERR_NOT_FOUND);
    ask(&world, (question_t){.uid = 7, .ticket = 2, .line = "shop"});
    told_t told = next_told(&world);
    cr_expect_eq(told.item.error, WL_ERR_UNAVAILABLE, "links are not asked");
    cr_expect_str_eq(told.head.line, "shop");
    ask(&world, (question_t){.uid = 7, .ticket = 3, .line = "nope"});
    cr_expect_str_eq(next_told(&world).item.reason, "line is not configured");
    ask(&world, (question_t){.what = WL_LIVE_CONSENT, .uid = 7, .ticket = 4});
    ask(&world, (question_t){.uid = 0, .ticket = 5});
    stage_expect_counter(&world.stage, msg_malformed, 2);
    world_close(&world);
}

/* All kinds of calls count against one concurrency, and none of them waits for ever. */
Test(puller_live, kinds_of_calls_go_by_turns) {
    world_t world;
    world_open(&world, ",\"details\":true,\"concurrency\":1,\"batch_max\":1,\"timeout_ms\":5000,"
                       "\"batch_wait_ms\":0");
    send_pulls(&world, "cash", 100, 2, false);
    line_await(world.line);
    for (uint64_t uid = 1; uid <= 60; uid++) {
        ask(&world, (question_t){.uid = uid, .ticket = uid});
        ask(&world, (question_t){.what = WL_LIVE_DETAILS, .uid = uid, .ticket = uid});
    }
    stage_expect_counter(&world.stage, pull_live, 120);
    uint32_t before_bulk = 0;
    uint32_t pages = 0;
    do {
        bool page = strcmp(world.line->method, "details") == 0;
        pages += page;
        page ? reply_empty_page(world.line) : reply_good(world.line);
        line_await(world.line);
        before_bulk++;
    } while (world.line->uids[0] != 101);
    cr_expect_geq(before_bulk, 20u, "who waits goes first");
    cr_expect_leq(before_bulk, 40u, "and the bulk moves all the same");
    cr_expect_geq(pages, 8u);
    cr_expect_leq(pages, 25u);
    world_close(&world);
}

/* ---- bad days -------------------------------------------------------------------------------- */

Test(puller_live, is_told_at_once_that_a_line_is_paused_and_until_when) {
    world_t world;
    world_open(&world, ",\"details\":true");
    ask(&world, (question_t){.uid = 7, .ticket = 1});
    line_await(world.line);
    reply_error(world.line, 30000);
    told_t told = next_told(&world);
    cr_expect_gt(told.item.retry_after_ms, 20000u);
    int64_t begun = wl_mono_now().ms;
    ask(&world, (question_t){.uid = 8, .ticket = 2});
    ask(&world, (question_t){.what = WL_LIVE_DETAILS, .uid = 8, .ticket = 3});
    for (uint64_t ticket = 2; ticket <= 3; ticket++) {
        told = next_told(&world);
        cr_expect_eq(told.item.ticket, ticket);
        cr_expect_eq(told.item.error, WL_ERR_UNAVAILABLE);
        cr_expect_gt(told.item.retry_after_ms, 20000u);
        cr_expect_leq(told.item.retry_after_ms, 30000u);
    }
    cr_expect_lt(wl_mono_now().ms - begun, 1000);
    cr_expect_not(line_asked(world.line, QUIET_MS));
    world_close(&world);
}

Test(puller_live, the_pause_of_one_line_is_not_anothers) {
    static const char text[] =
        "{\"version\":1,\"lines\":{"
        "\"cash\":{\"kind\":\"cash\",\"url\":\"%s\",\"unit\":\"CNY\",\"scale\":2},"
        "\"coin\":{\"kind\":\"coin\",\"url\":\"%s\",\"unit\":\"bean\"}}}";
    world_t world;
    char integration[1024];
    world_open_bare(&world);
    line_t *other = line_open();
    (void)snprintf(integration, sizeof integration, text, world.line->url, other->url);
    stage_configure_text(&world.stage, integration);
    (void)neighbour_await(&world.frontend, WL_MSG_LINE);
    ask(&world, (question_t){.uid = 7, .ticket = 1});
    line_await(world.line);
    reply_error(world.line, 30000);
    cr_expect_eq(next_told(&world).item.error, WL_ERR_UNAVAILABLE);
    for (uint64_t i = 0; i < 20; i++) {
        ask(&world, (question_t){.uid = 50 + i, .ticket = 50 + i, .line = "coin"});
        line_await(other);
        reply_good(other);
        told_t told = next_told(&world);
        cr_expect(told.item.error == WL_OK && told.item.ticket == 50 + i);
    }
    cr_expect_not(line_asked(world.line, QUIET_MS));
    line_close(other);
    world_close(&world);
}

Test(puller_live, is_told_at_once_while_the_breaker_is_open_or_tries) {
    world_t world;
    world_open(&world, ",\"breaker_failures\":1,\"breaker_open_ms\":1500,\"timeout_ms\":5000");
    ask(&world, (question_t){.uid = 7, .ticket = 1});
    line_await(world.line);
    reply_error(world.line, 0);
    (void)next_told(&world);
    ask(&world, (question_t){.uid = 8, .ticket = 2});
    told_t told = next_told(&world);
    cr_expect_eq(told.item.error, WL_ERR_UNAVAILABLE);
    cr_expect_gt(told.item.retry_after_ms, 0u);
    cr_expect_leq(told.item.retry_after_ms, 1500u);
    (void)zmq_poll(NULL, 0, 1510);
    ask(&world, (question_t){.uid = 9, .ticket = 3});
    line_await(world.line); /* the probe */
    ask(&world, (question_t){.uid = 10, .ticket = 4});
    told = next_told(&world);
    cr_expect_eq(told.item.ticket, 4u);
    cr_expect_str_eq(told.item.reason, "the line is being tried again");
    ask(&world, (question_t){.uid = 9, .ticket = 5}); /* joins it */
    stage_expect_counter(&world.stage, pull_live, 3);
    reply_good(world.line);
    cr_expect_eq(next_told(&world).item.error, WL_OK);
    cr_expect_eq(next_told(&world).item.error, WL_OK);
    world_close(&world);
}

/* Nobody asks a sick line, so the puller does, after a while of silence. */
Test(puller_live, a_sick_line_is_tried_though_nobody_asks) {
    world_t world;
    world_open(&world, ",\"breaker_failures\":1,\"breaker_open_ms\":100,\"timeout_ms\":5000");
    ask(&world, (question_t){.uid = 7, .ticket = 1, .epoch = 4});
    line_await(world.line);
    reply_error(world.line, 0);
    (void)next_told(&world);
    cr_assert(line_asked(world.line, 3 * PATIENCE_MS), "three seconds and a look each second");
    cr_expect(world.line->uid_count == 1 && world.line->uids[0] == 7);
    reply_good(world.line);
    wl_msg_t msg = neighbour_await(&world.shard, WL_MSG_STORE);
    cr_expect(msg.head.store.epoch == 4 && msg.items.store[0].seq == 0);
    ask(&world, (question_t){.uid = 8, .ticket = 2});
    line_await(world.line);
    reply_good(world.line);
    cr_expect_eq(next_told(&world).item.error, WL_OK);
    world_close(&world);
}

Test(puller_live, what_nobody_waits_for_any_more_is_not_asked) {
    world_t world;
    world_open(&world, ",\"concurrency\":1,\"timeout_ms\":5000");
    ask(&world, (question_t){.uid = 7, .ticket = 1});
    line_await(world.line);
    ask(&world, (question_t){.uid = 8, .ticket = 2, .patience_ms = 50});
    ask(&world, (question_t){.uid = 9, .ticket = 3, .patience_ms = -5});
    (void)zmq_poll(NULL, 0, 80);
    reply_good(world.line);
    cr_expect_eq(next_told(&world).item.ticket, 1u);
    cr_expect_not(line_asked(world.line, QUIET_MS));
    stage_expect_counter(&world.stage, rpc_late, 2);
    world_close(&world);
}

Test(puller_live, a_quota_of_the_day_outlives_the_puller) {
    world_t world;
    world_open(&world, ",\"quota\":3,\"batch_max\":1");
    for (uint64_t i = 1; i <= 2; i++) {
        ask(&world, (question_t){.uid = i, .ticket = i});
        line_await(world.line);
        reply_good(world.line);
        cr_expect_eq(next_told(&world).item.error, WL_OK);
    }
    stage_restart(&world.stage, wl_puller_run);
    stage_configure_writer(&world.stage, 1, world.line->url, ",\"quota\":3,\"batch_max\":1");
    (void)neighbour_await(&world.frontend, WL_MSG_LINE);
    told_t told;
    uint64_t ticket = 3;
    do { /* until it is configured */
        ask(&world, (question_t){.uid = 3, .ticket = ticket++});
        if (line_asked(world.line, 200)) {
            reply_good(world.line);
        }
        told = next_told(&world);
    } while (told.item.error != WL_OK);
    ask(&world, (question_t){.uid = 4, .ticket = 99});
    told = next_told(&world);
    cr_expect_eq(told.item.error, WL_ERR_UNAVAILABLE);
    cr_expect_str_eq(told.item.reason, "the quota of the day is used up");
    cr_expect_gt(told.item.retry_after_ms, 0u);
    send_pulls(&world, "cash", 7, 1, false);
    wl_msg_t msg = next_pulled(&world);
    cr_expect(msg.items.pulled[0].held && msg.head.pulled.pause_ms > 0);
    cr_expect_not(line_asked(world.line, QUIET_MS));
    world_close(&world);
}

/* ---- several urls ---------------------------------------------------------------------------- */

static line_t *world_open_two(world_t *self, const char *more) {
    char integration[2048];
    world_open_bare(self);
    line_t *other = line_open();
    (void)snprintf(integration, sizeof integration, two_urls, 1, self->line->url, other->url, more);
    stage_configure_text(&self->stage, integration);
    (void)neighbour_await(&self->frontend, WL_MSG_LINE);
    return other;
}

/* Calls that are answered at once, so that a second one may be made. */
static void earn(world_t *self, line_t *other, uint32_t calls) {
    for (uint64_t i = 0; i < calls; i++) {
        ask(self, (question_t){.uid = 1000 + i, .ticket = 1000 + i});
        line_t *line = i % 2 == 0 ? self->line : other;
        line_await(line);
        reply_good(line);
        cr_assert_eq(next_told(self).item.error, WL_OK);
    }
}

Test(puller_live, a_second_call_goes_to_another_url_and_the_first_answer_wins) {
    world_t world;
    line_t *other = world_open_two(&world, ",\"hedge_ms\":500,\"timeout_ms\":5000");
    earn(&world, other, 20);
    ask(&world, (question_t){.uid = 7, .ticket = 1});
    line_await(world.line);
    int64_t begun = wl_mono_now().ms;
    line_await(other); /* the first one says nothing */
    cr_expect_geq(wl_mono_now().ms - begun, 300);
    reply_good(other);
    told_t told = next_told(&world);
    cr_expect(told.item.error == WL_OK && told.amount == 70);
    reply_good(world.line); /* too late: it was cancelled */
    ask(&world, (question_t){.uid = 8, .ticket = 2});
    line_await(other);
    reply_good(other);
    cr_expect_eq(next_told(&world).item.ticket, 2u, "and nobody is told twice");
    stage_expect_counter(&world.stage, pull_hedges, 1);
    stage_expect_counter(&world.stage, pull_calls, 23);
    line_close(other);
    world_close(&world);
}

Test(puller_live, a_second_call_that_fails_leaves_the_first_one) {
    world_t world;
    line_t *other = world_open_two(&world, ",\"hedge_ms\":500,\"timeout_ms\":5000");
    earn(&world, other, 20);
    ask(&world, (question_t){.uid = 7, .ticket = 1});
    line_await(world.line);
    line_await(other);
    reply_error(other, 0);
    (void)zmq_poll(NULL, 0, 50);
    reply_good(world.line);
    cr_expect_eq(next_told(&world).item.error, WL_OK);
    /* nothing was earned for another one */
    ask(&world, (question_t){.uid = 8, .ticket = 2});
    line_await(other);
    cr_expect_not(line_asked(world.line, 150));
    reply_good(other);
    cr_expect_eq(next_told(&world).item.error, WL_OK);
    line_close(other);
    world_close(&world);
}

/* Takes the next call to one of two urls: was it to the other one? */
static bool other_asked(line_t *line, line_t *other) {
    zmq_pollitem_t items[2] = {{.socket = zsock_resolve(line->router), .events = ZMQ_POLLIN},
                               {.socket = zsock_resolve(other->router), .events = ZMQ_POLLIN}};
    cr_assert_geq(zmq_poll(items, 2, PATIENCE_MS), 1, "neither url was asked");
    bool it = (items[0].revents & ZMQ_POLLIN) == 0;
    line_await(it ? other : line);
    return it;
}

Test(puller_live, a_url_that_fails_is_left_out) {
    world_t world;
    line_t *other = world_open_two(&world, ",\"timeout_ms\":5000");
    uint32_t failed = 0;
    for (uint64_t i = 0; i < 30; i++) {
        ask(&world, (question_t){.uid = 100 + i, .ticket = 100 + i});
        bool bad = other_asked(world.line, other);
        if (bad) {
            reply_error(other, 0);
            failed++;
        } else {
            reply_good(world.line);
        }
        cr_expect_eq(next_told(&world).item.error, bad ? WL_ERR_UNAVAILABLE : WL_OK);
    }
    cr_expect_eq(failed, 3u);
    wl_line_item_t health = {.line = ""};
    while (health.urls_out == 0 || health.live < 30) {
        wl_msg_t msg = neighbour_await(&world.cache, WL_MSG_LINE);
        health = msg.items.line[0];
    }
    cr_expect_eq(health.live, 30u);
    cr_expect_not(health.sick);
    cr_expect_eq(health.quota_left, -1);
    cr_expect_geq(health.limit, 1u);
    line_close(other);
    world_close(&world);
}

/* ---- shares ---------------------------------------------------------------------------------- */

static void lease(world_t *self, uint32_t partition, bool ours) {
    wl_lease_begin(self->stage.encoder, NULL);
    wl_lease_add(
        self->stage.encoder,
        &(wl_lease_item_t){.partition = partition, .epoch = 1, .until = ours ? INT64_MAX : 0});
    stage_send(&self->stage);
}

Test(puller_live, a_process_that_serves_a_part_makes_a_part_of_the_calls) {
    world_t world;
    stage_open_writer(&world.stage);
    world.stage.settings.queue_partitions = 4;
    world.dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    neighbour_t dispatchers[3];
    for (uint32_t i = 0; i < 3; i++) {
        dispatchers[i] = neighbour_open(WL_ACTOR_DISPATCHER, i + 1);
    }
    world.shard = neighbour_open(WL_ACTOR_SHARD, 0);
    world.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    world.cache = neighbour_open(WL_ACTOR_CACHE, 0);
    world.query = neighbour_open(WL_ACTOR_QUERY, 0);
    world.presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    world.line = line_open();
    stage_start(&world.stage, WL_ACTOR_PULLER, wl_puller_run);
    lease(&world, 1, true);
    stage_configure_writer(&world.stage, 1, world.line->url,
                           ",\"concurrency\":8,\"batch_max\":1,\"timeout_ms\":5000");
    for (uint64_t uid = 1; uid <= 20; uid++) {
        ask(&world, (question_t){.uid = uid, .ticket = uid});
    }
    line_await(world.line);
    line_await(world.line);
    cr_expect_not(line_asked(world.line, QUIET_MS), "two of eight");
    lease(&world, 3, true);
    line_await(world.line);
    line_await(world.line);
    cr_expect_not(line_asked(world.line, QUIET_MS), "four of eight");
    for (uint32_t i = 0; i < 3; i++) {
        neighbour_close(&dispatchers[i]);
    }
    world_close(&world);
}
