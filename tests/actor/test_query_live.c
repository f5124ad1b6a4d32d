#include "actors/query.h"

#include "base/slot.h"
#include "domain/floors.h"
#include "read_path.h"

typedef struct {
    stage_t stage;
    neighbour_t fetchers[2];
    neighbour_t cache;
    neighbour_t frontend;
    neighbour_t dispatcher;
    neighbour_t presence;
    neighbour_t details;
} live_stage_t;

static live_stage_t self;

static void live_stage_open_with(uint64_t details) {
    stage_open(&self.stage);
    self.stage.settings.details_instances = details;
    self.fetchers[0] = neighbour_open(WL_ACTOR_FETCHER, 0);
    self.fetchers[1] = neighbour_open(WL_ACTOR_FETCHER, 1);
    self.cache = neighbour_open(WL_ACTOR_CACHE, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self.dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    self.presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    self.details = neighbour_open(WL_ACTOR_DETAILS, 0);
    stage_start(&self.stage, WL_ACTOR_QUERY, wl_query_run);
    stage_configure_with(&self.stage, live_integration, live_presentation);
}

static void live_stage_open(void) {
    live_stage_open_with(1);
}

static void live_stage_close(void) {
    (void)stage_stop(&self.stage);
    neighbour_close(&self.fetchers[0]);
    neighbour_close(&self.fetchers[1]);
    neighbour_close(&self.cache);
    neighbour_close(&self.frontend);
    neighbour_close(&self.dispatcher);
    neighbour_close(&self.presence);
    neighbour_close(&self.details);
    stage_close(&self.stage);
}

static wl_asset_t asset_aged(const char *line, int64_t amount, uint64_t version, int64_t age_ms) {
    wl_asset_t asset = test_asset(42, line, amount, version);
    asset.pulled_at -= age_ms;
    return asset;
}

static wl_asset_t consent_of(const char *line, wl_state_t state) {
    wl_asset_t asset = test_asset(42, line, 0, 1000);
    (void)snprintf(asset.bucket, sizeof asset.bucket, "%s", WL_BUCKET_CONSENT);
    asset.state = (uint8_t)state;
    return asset;
}

/* A read with a copy, of what the filter says ("" = all). */
static void tell_gather(uint64_t ticket, wl_method_t method, const char *filter, int64_t budget_ms,
                        wl_asset_t *assets, uint32_t count) {
    wl_gather_item_t item = {.ticket = ticket,
                             .uid = 42,
                             .deadline_at = wl_mono_now().ms + budget_ms,
                             .method = (uint8_t)method,
                             .filter = {(const uint8_t *)filter, strlen(filter)},
                             .assets = {assets, count}};
    wl_gather_begin(self.stage.encoder, &(wl_gather_head_t){.frontend = 0});
    wl_gather_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

/* The next question of the line; several lines of one read come in any order. */
static wl_live_item_t expect_live(const char *line) {
    wl_msg_t live = neighbour_expect(&self.presence, WL_MSG_LIVE, 1);
    cr_assert_str_eq(live.head.live.line, line);
    cr_expect_eq(live.head.live.asker, WL_ACTOR_QUERY);
    cr_expect_eq(live.head.live.instance, 0u);
    cr_expect_eq(live.items.live[0].what, WL_LIVE_ASSETS);
    cr_expect_eq(live.items.live[0].uid, 42u);
    return live.items.live[0];
}

static void tell_lived(const char *line, uint64_t ticket, wl_err_t error, wl_asset_t *assets,
                       uint32_t count) {
    wl_lived_head_t head = {.asker = WL_ACTOR_QUERY};
    (void)snprintf(head.line, sizeof head.line, "%s", line);
    wl_lived_item_t item = {.ticket = ticket,
                            .uid = 42,
                            .what = WL_LIVE_ASSETS,
                            .error = (uint32_t)error,
                            .assets = {assets, count}};
    wl_lived_begin(self.stage.encoder, &head);
    wl_lived_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

/* The body of the next reply, borrowed until the next message of the frontend. */
static wl_bytes_t expect_reply(uint64_t ticket) {
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect_eq(reply.items.reply[0].ticket, ticket);
    cr_expect_eq(reply.items.reply[0].error, (uint32_t)WL_OK, "%s", reply.items.reply[0].text);
    return reply.items.reply[0].body;
}

/* Two amounts, and how they look in MessagePack. */
enum { COPY = 0x12345678, SAID = 0x76543211 };
#define COPY_TEXT "\xce\x12\x34\x56\x78"
#define SAID_TEXT "\xce\x76\x54\x32\x11"
#define DEGRADED_NONE "degraded\x90"

/* A deadline is noticed up to a tick of 5 ms late, and the frontend gives the request up then. */
Test(query_live, a_small_budget_keeps_more_than_a_tick_for_the_answer) {
    enum { BUDGET_MS = 20, TICK_MS = 5, TRIES = 100 };
    live_stage_open();
    wl_asset_t copy[] = {asset_aged("live", 11, 1, 60000), asset_aged("slow", 11, 1, 0)};
    bool asked = false;
    for (uint64_t ticket = 1; !asked && ticket <= TRIES; ticket++) {
        wl_msg_t msg;
        tell_gather(ticket, WL_METHOD_HOME, "", BUDGET_MS, copy, 2);
        int64_t deadline_at = wl_mono_now().ms + BUDGET_MS; /* or a little earlier */
        asked = neighbour_next(&self.presence, &msg, 2 * BUDGET_MS) && msg.id == WL_MSG_LIVE;
        cr_expect(!asked || deadline_at - msg.items.live[0].deadline_at > TICK_MS);
    }
    cr_expect(asked, "this machine is too slow to ask at all");
    live_stage_close();
}

Test(query_live, all_lines_of_a_page_are_asked_at_once_and_one_reply_holds_their_answers) {
    live_stage_open();
    wl_asset_t copy[] = {asset_aged("live", 11, 1, 60000)};
    tell_gather(5, WL_METHOD_HOME, "", 20000, copy, 1);
    wl_live_item_t live = expect_live("live");
    wl_live_item_t slow = expect_live("slow");
    cr_expect_lt(live.deadline_at, wl_mono_now().ms + 20000, "a moment before the deadline");
    cr_expect_eq(live.ticket, slow.ticket);
    wl_asset_t said = asset_aged("slow", COPY, 3, 0);
    tell_lived("slow", slow.ticket, WL_OK, &said, 1);
    neighbour_hears_nothing(&self.frontend);
    said = asset_aged("live", SAID, 2, 0);
    tell_lived("live", live.ticket, WL_OK, &said, 1);
    wl_bytes_t body = expect_reply(5);
    cr_expect(body_has(body, COPY_TEXT));
    cr_expect(body_has(body, SAID_TEXT));
    cr_expect(body_has(body, "\xa6source\xa4line\xa9"
                             "freshness\xa5"
                             "fresh"));
    cr_expect(body_has(body, DEGRADED_NONE));
    neighbour_hears_nothing(&self.dispatcher);
    neighbour_hears_nothing(&self.presence);
    stage_expect_counter(&self.stage, live_asked, 2);
    live_stage_close();
}

Test(query_live, at_the_deadline_the_last_good_is_shown_and_the_line_is_named) {
    live_stage_open();
    wl_asset_t copy[] = {asset_aged("live", COPY, 1, 60000), asset_aged("slow", 9, 1, 0)};
    int64_t begun = wl_mono_now().ms;
    tell_gather(5, WL_METHOD_HOME, "", 400, copy, 2);
    wl_live_item_t live = expect_live("live");
    wl_bytes_t body = expect_reply(5);
    int64_t waited = wl_mono_now().ms - begun;
    cr_expect(waited >= 350, "%d ms", (int)waited);
    cr_expect(body_has(body, COPY_TEXT));
    cr_expect(body_has(body, "\xa9last_good\xa9"
                             "freshness\xa5stale"));
    cr_expect(body_has(body, "degraded\x91\xa4live"));
    tell_lived("live", live.ticket, WL_OK, copy, 1); /* too late: answers nobody */
    stage_expect_counter(&self.stage, live_late, 1);
    neighbour_hears_nothing(&self.frontend);
    live_stage_close();
}

Test(query_live, a_line_that_fails_ends_the_wait) {
    live_stage_open();
    wl_asset_t copy[] = {asset_aged("live", 5, 1, 60000), asset_aged("slow", 9, 1, 0)};
    tell_gather(5, WL_METHOD_HOME, "", 20000, copy, 2);
    wl_live_item_t live = expect_live("live");
    tell_lived("live", live.ticket, WL_ERR_UNAVAILABLE, NULL, 0);
    cr_expect(body_has(expect_reply(5), "degraded\x91\xa4live"));
    stage_expect_counter(&self.stage, live_failed, 1);
    live_stage_close();
}

Test(query_live, an_older_answer_never_wins) {
    live_stage_open();
    wl_asset_t copy[] = {asset_aged("live", COPY, 9, 60000)};
    tell_gather(5, WL_METHOD_BALANCE, "live,", 20000, copy, 1);
    wl_live_item_t live = expect_live("live");
    wl_asset_t said = asset_aged("live", SAID, 8, 0);
    tell_lived("live", live.ticket, WL_OK, &said, 1);
    wl_bytes_t body = expect_reply(5);
    cr_expect(body_has(body, COPY_TEXT));
    cr_expect_not(body_has(body, SAID_TEXT));
    cr_expect(body_has(body, "degraded\x91\xa4live"));
    live_stage_close();
}

Test(query_live, who_has_nothing_is_not_asked_again_for_a_while) {
    live_stage_open();
    tell_gather(1, WL_METHOD_ASSETS, "slow,", 20000, NULL, 0);
    tell_lived("slow", expect_live("slow").ticket, WL_OK, NULL, 0);
    cr_expect(body_has(expect_reply(1), "assets\x90"));
    tell_gather(2, WL_METHOD_ASSETS, "slow,", 20000, NULL, 0);
    cr_expect(body_has(expect_reply(2), "assets\x90"));
    neighbour_hears_nothing(&self.presence);
    tell_gather(3, WL_METHOD_BALANCE, "slow,", 20000, NULL, 0);
    tell_lived("slow", expect_live("slow").ticket, WL_OK, NULL, 0);
    cr_expect(body_has(expect_reply(3), "missing"), "a balance is asked for in any case");
    wl_gather_item_t item = {.ticket = 4,
                             .uid = 42,
                             .deadline_at = wl_mono_now().ms + 20000,
                             .method = WL_METHOD_ASSETS,
                             .filter = {(const uint8_t *)"slow,", 5},
                             .marks = {(const uint8_t *)"slow=1,", 7}};
    wl_gather_begin(self.stage.encoder, &(wl_gather_head_t){.frontend = 0});
    wl_gather_add(self.stage.encoder, &item);
    stage_send(&self.stage);
    (void)expect_live("slow"); /* something has changed since */
    live_stage_close();
}

Test(query_live, a_version_to_reach_is_asked_for_until_it_is_there) {
    live_stage_open();
    char floors[WL_FLOORS_BYTES_MAX];
    size_t floors_bytes = wl_floors_add(floors, 0, "coin", 7);
    wl_asset_t copy = asset_aged("coin", 5, 5, 0);
    wl_gather_item_t item = {.ticket = 4,
                             .uid = 42,
                             .deadline_at = wl_mono_now().ms + 20000,
                             .method = WL_METHOD_ASSETS,
                             .filter = {(const uint8_t *)"coin,", 5},
                             .floors = {(const uint8_t *)floors, floors_bytes},
                             .assets = {&copy, 1}};
    wl_gather_begin(self.stage.encoder, &(wl_gather_head_t){.frontend = 0});
    wl_gather_add(self.stage.encoder, &item);
    stage_send(&self.stage);
    for (uint64_t version = 5; version <= 7; version++) {
        wl_live_item_t live = expect_live("coin");
        wl_asset_t said = asset_aged("coin", (int64_t)version, version, 0);
        tell_lived("coin", live.ticket, WL_OK, &said, 1);
    }
    cr_expect(body_has(expect_reply(4), "\xa7version\x07"));
    stage_expect_counter(&self.stage, live_asked, 3);
    live_stage_close();
}

Test(query_live, a_version_that_never_comes_is_said_to_be_refreshing) {
    live_stage_open();
    char floors[WL_FLOORS_BYTES_MAX];
    wl_read_item_t read = test_read(4, 42, WL_METHOD_HOME, 300);
    read.floors = (wl_bytes_t){(const uint8_t *)floors, wl_floors_add(floors, 0, "coin", 7)};
    stage_read(&self.stage, read); /* not in the cache */
    uint32_t shard = wl_uid_owner(42, 2);
    (void)neighbour_expect(&self.fetchers[shard], WL_MSG_FETCH, 1);
    wl_asset_t rows[] = {asset_aged("coin", 5, 5, 0), asset_aged("live", 5, 5, 0),
                         asset_aged("slow", 5, 5, 0)};
    wl_fetched_item_t fetched = {.uid = 42, .assets = {rows, 3}};
    wl_fetched_begin(self.stage.encoder, &(wl_fetched_head_t){.shard = shard, .commit_seq = 9});
    wl_fetched_add(self.stage.encoder, &fetched);
    stage_send(&self.stage);
    tell_lived("coin", expect_live("coin").ticket, WL_OK, rows, 1);
    wl_bytes_t body = expect_reply(4);
    cr_expect(body_has(body, "refreshing"));
    cr_expect(body_has(body, "degraded\x91\xa4"
                             "coin"));
    live_stage_close();
}

Test(query_live, cash_that_cannot_be_revalidated_is_no_amount) {
    live_stage_open();
    wl_asset_t copy = asset_aged("cash", COPY, 1, 60000);
    tell_gather(5, WL_METHOD_BALANCE, "cash,", 20000, &copy, 1);
    tell_lived("cash", expect_live("cash").ticket, WL_ERR_DEADLINE, NULL, 0);
    wl_bytes_t body = expect_reply(5);
    cr_expect(body_has(body, "\xa6"
                             "amount\xc0"));
    cr_expect(body_has(body, "\xa9last_good" COPY_TEXT));
    live_stage_close();
}

Test(query_live, a_line_that_says_there_is_no_consent_is_unauthorized) {
    live_stage_open();
    wl_asset_t copy[] = {asset_aged("card", COPY, 1, 60000),
                         consent_of("card", WL_STATE_AVAILABLE)};
    tell_gather(5, WL_METHOD_BALANCE, "card,", 20000, copy, 2);
    tell_lived("card", expect_live("card").ticket, WL_ERR_UNAUTHORIZED, NULL, 0);
    wl_bytes_t body = expect_reply(5);
    cr_expect(body_has(body, "unauthorized"));
    cr_expect_not(body_has(body, COPY_TEXT));
    tell_gather(6, WL_METHOD_BALANCE, "card,", 20000, copy, 1);
    cr_expect(body_has(expect_reply(6), "unauthorized"));
    neighbour_hears_nothing(&self.presence);
    live_stage_close();
}

static void tell_withdrawn(void) {
    wl_asset_t gone = consent_of("card", WL_STATE_GONE);
    wl_stored_head_t head = {.line = "card"};
    wl_stored_item_t item = {.uid = 42, .seq = 77, .assets = {&gone, 1}};
    wl_stored_begin(self.stage.encoder, &head);
    wl_stored_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

Test(query_live, a_consent_that_is_withdrawn_meanwhile_hides_what_was_read_before) {
    live_stage_open();
    wl_asset_t copy[] = {asset_aged("card", COPY, 1, 60000), consent_of("card", WL_STATE_AVAILABLE),
                         asset_aged("slow", 1, 1, 60000)};
    tell_gather(5, WL_METHOD_ASSETS, "card,slow,", 20000, copy, 3);
    wl_live_item_t slow = expect_live("slow");
    wl_live_item_t card = expect_live("card");
    tell_withdrawn();
    wl_msg_t on = neighbour_expect(&self.details, WL_MSG_STORED, 1);
    cr_expect_eq(on.items.stored[0].seq, 77u);
    neighbour_hears_nothing(&self.dispatcher);
    tell_lived("card", card.ticket, WL_OK, copy, 1);
    neighbour_hears_nothing(&self.frontend);
    tell_lived("slow", slow.ticket, WL_OK, &copy[2], 1);
    wl_bytes_t body = expect_reply(5);
    cr_expect_not(body_has(body, COPY_TEXT));
    cr_expect(body_has(body, "unauthorized"));
    live_stage_close();
}

Test(query_live, a_database_read_from_before_a_withdrawal_is_done_again) {
    live_stage_open_with(0);
    uint32_t shard = wl_uid_owner(42, 2);
    stage_read(&self.stage, test_read(1, 42, WL_METHOD_GOLDEN, 20000));
    wl_msg_t fetch = neighbour_expect(&self.fetchers[shard], WL_MSG_FETCH, 1);
    uint64_t before = fetch.items.fetch[0].asked;
    tell_withdrawn();
    wl_msg_t on = neighbour_expect(&self.frontend, WL_MSG_STORED, 1);
    cr_expect_eq(on.items.stored[0].seq, 77u, "the next on its way where there is no details");
    fetch = neighbour_expect(&self.fetchers[shard], WL_MSG_FETCH, 1);
    uint64_t after = fetch.items.fetch[0].asked;
    cr_expect_neq(after, before);
    for (uint64_t asked = before; asked <= after; asked += after - before) {
        wl_fetched_item_t fetched = {.uid = 42, .asked = asked};
        wl_fetched_begin(self.stage.encoder, &(wl_fetched_head_t){.shard = shard});
        wl_fetched_add(self.stage.encoder, &fetched);
        stage_send(&self.stage);
        if (asked == before) {
            neighbour_hears_nothing(&self.frontend);
        }
    }
    (void)expect_reply(1);
    live_stage_close();
}

/* A line that hangs leaves room for the others, and beyond the bounds nobody waits in vain. */
Test(query_live, reads_beyond_the_share_of_a_line_see_the_last_good_at_once) {
    live_stage_open();
    enum { SHARE = 1024, MORE = 10 };
    wl_asset_t copy[] = {asset_aged("live", 5, 1, 60000)};
    for (uint64_t i = 1; i <= SHARE + MORE; i++) {
        tell_gather(i, WL_METHOD_ASSETS, "live,", 20000, copy, 1);
    }
    wl_msg_t reply = {0};
    uint32_t seen = 0;
    while (seen < MORE && neighbour_next(&self.frontend, &reply, PATIENCE_MS)) {
        for (uint32_t at = 0; at < reply.count; at++, seen++) {
            cr_expect_gt(reply.items.reply[at].ticket, (uint64_t)SHARE);
            cr_expect(body_has(reply.items.reply[at].body, "stale"));
        }
    }
    cr_expect_eq(seen, (uint32_t)MORE);
    stage_expect_counter(&self.stage, live_refused, MORE);
    tell_gather(9999, WL_METHOD_ASSETS, "slow,", 20000, NULL, 0);
    wl_msg_t msg;
    bool asked = false;
    while (!asked && neighbour_next(&self.presence, &msg, PATIENCE_MS)) {
        asked = msg.id == WL_MSG_LIVE && strcmp(msg.head.live.line, "slow") == 0;
    }
    cr_expect(asked);
    live_stage_close();
}

Test(query_live, a_sick_line_is_not_asked_and_named) {
    live_stage_open();
    wl_line_item_t sick = {.line = "live", .sick = true};
    wl_line_begin(self.stage.encoder, NULL);
    wl_line_add(self.stage.encoder, &sick);
    stage_send(&self.stage);
    wl_asset_t copy[] = {asset_aged("live", 5, 1, 60000), asset_aged("slow", 5, 1, 0)};
    tell_gather(1, WL_METHOD_HOME, "", 20000, copy, 2);
    cr_expect(body_has(expect_reply(1), "degraded\x91\xa4live"));
    wl_live_item_t probe = expect_live("live"); /* to find out whether it is well again */
    cr_expect_eq(probe.ticket, 0u);
    tell_gather(2, WL_METHOD_HOME, "", 20000, copy, 2);
    cr_expect(body_has(expect_reply(2), "degraded\x91\xa4live"));
    neighbour_hears_nothing(&self.presence); /* not so soon again */
    tell_lived("live", 0, WL_OK, copy, 1);
    neighbour_hears_nothing(&self.frontend);
    live_stage_close();
}

Test(query_live, without_time_left_nothing_is_asked) {
    live_stage_open();
    wl_asset_t copy[] = {asset_aged("live", 5, 1, 60000)};
    tell_gather(1, WL_METHOD_ASSETS, "live,", 1, copy, 1);
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect(reply.items.reply[0].error == WL_OK || reply.items.reply[0].error == WL_ERR_DEADLINE);
    neighbour_hears_nothing(&self.presence);
    live_stage_close();
}

Test(query_live, answers_that_nobody_asked_for_are_dropped) {
    live_stage_open();
    wl_asset_t copy[] = {asset_aged("live", 5, 1, 60000)};
    tell_gather(1, WL_METHOD_ASSETS, "live,", 20000, copy, 1);
    wl_live_item_t live = expect_live("live");
    tell_lived("slow", live.ticket, WL_OK, NULL, 0);
    tell_lived("live", live.ticket + 1, WL_OK, NULL, 0);
    wl_lived_item_t other = {.ticket = live.ticket, .uid = 43};
    wl_lived_begin(self.stage.encoder, &(wl_lived_head_t){.line = "live"});
    wl_lived_add(self.stage.encoder, &other);
    stage_send(&self.stage);
    neighbour_hears_nothing(&self.frontend);
    stage_expect_counter(&self.stage, rpc_late, 3);
    wl_asset_t foreign = asset_aged("slow", SAID, 2, 0);
    tell_lived("live", live.ticket, WL_OK, &foreign, 1);
    wl_bytes_t body = expect_reply(1);
    cr_expect(body_has(body, "stale"), "an answer about something else is a failure");
    cr_expect_not(body_has(body, SAID_TEXT));
    live_stage_close();
}

Test(query_live, a_new_configuration_does_not_mix_up_lines) {
    live_stage_open();
    wl_asset_t copy[] = {asset_aged("slow", 5, 1, 60000)};
    tell_gather(1, WL_METHOD_ASSETS, "slow,", 20000, copy, 1);
    wl_live_item_t slow = expect_live("slow");
    stage_configure_with(
        &self.stage,
        "{\"version\":4,\"lines\":{\"slow\":{\"kind\":\"coin\",\"mode\":\"live\",\"url\":\"http://"
        "127.0.0.1:1\",\"unit\":\"bean\"}}}",
        "{\"version\":7,\"sections\":[{\"kind\":\"coin\",\"lines\":[\"slow\"]}]}");
    wl_asset_t said = asset_aged("slow", COPY, 2, 0);
    tell_lived("slow", slow.ticket, WL_OK, &said, 1);
    cr_expect(body_has(expect_reply(1), COPY_TEXT));
    tell_gather(2, WL_METHOD_ASSETS, "slow,", 20000, copy, 1);
    slow = expect_live("slow");
    stage_configure_with(&self.stage, live_integration,
                         "{\"version\":7,\"sections\":[{\"kind\":\"coin\",\"lines\":[\"coin\"]}]}");
    tell_lived("slow", slow.ticket, WL_OK, &said, 1);
    cr_expect(body_has(expect_reply(2), COPY_TEXT));
    live_stage_close();
}

Test(query_live, stops_in_the_middle_of_gatherings) {
    live_stage_open();
    for (uint64_t i = 1; i < 500; i++) {
        tell_gather(i, WL_METHOD_HOME, "", 20000, NULL, 0);
    }
    cr_expect_lt(stage_stop(&self.stage), 1000);
    live_stage_close();
}

/* ---- variants -------------------------------------------------------------------------------- */

static void tell_gather_of(uint64_t ticket, uint64_t rollout, wl_asset_t *assets, uint32_t count) {
    wl_gather_item_t item = {.ticket = ticket,
                             .uid = 42,
                             .deadline_at = wl_mono_now().ms + 20000,
                             .method = WL_METHOD_HOME,
                             .rollout = rollout,
                             .assets = {assets, count}};
    wl_gather_begin(self.stage.encoder, &(wl_gather_head_t){.frontend = 0});
    wl_gather_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

Test(query_live, asks_and_answers_by_the_variant_that_the_read_names) {
    live_stage_open();
    stage_try(&self.stage, "{\"id\":9}");
    wl_asset_t coin = test_asset(42, "coin", COPY, 1);
    static const uint64_t others[] = {0, 8};
    for (uint64_t i = 0; i < WL_COUNT_OF(others); i++) {
        tell_gather_of(i, others[i], &coin, 1);
        wl_bytes_t body = expect_reply(i);
        cr_expect(body_has(body, BASE_VERSION_TEXT) && !body_has(body, "variant"));
    }
    tell_gather_of(5, 9, &coin, 1);
    wl_live_item_t asked = expect_live("bonus");
    wl_asset_t bonus = test_asset(42, "bonus", SAID, 1);
    (void)snprintf(bonus.unit, sizeof bonus.unit, "bean");
    tell_lived("bonus", asked.ticket, WL_OK, &bonus, 1);
    wl_bytes_t body = expect_reply(5);
    cr_expect(body_has(body, VARIANT_TEXT) && body_has(body, CANDIDATE_VERSION_TEXT));
    cr_expect(body_has(body, SAID_TEXT) && body_has(body, DEGRADED_NONE));
    tell_gather_of(6, 9, &coin, 1);
    asked = expect_live("bonus");
    tell_lived("bonus", asked.ticket, WL_ERR_UNAVAILABLE, NULL, 0);
    cr_expect(body_has(expect_reply(6), "degraded\x91\xa5"
                                        "bonus"));
    neighbour_hears_nothing(&self.presence);
    live_stage_close();
}

/* The line that was asked is in no configuration any more when it answers, or has another place. */
Test(query_live, a_candidate_may_leave_while_its_lines_are_asked) {
    wl_asset_t copy[] = {test_asset(42, "coin", COPY, 1), test_asset(42, "bonus", SAID, 1)};
    live_stage_open();
    for (int i = 0; i < 3; i++) {
        stage_try(&self.stage, "{\"id\":9}");
        tell_gather_of(5, 9, copy, 1);
        wl_live_item_t asked = expect_live("bonus");
        if (i == 0) {
            stage_configure(&self.stage);
        } else if (i == 1) { /* promoted */
            stage_configure_with(&self.stage, candidate_integration, candidate_presentation);
        } else { /* another one has begun */
            stage_try(&self.stage, "{\"id\":10}");
        }
        tell_lived("bonus", asked.ticket, WL_OK, &copy[1], 1);
        wl_bytes_t body = expect_reply(5);
        cr_expect_not(body_has(body, "variant"));
        cr_expect(body_has(body, i == 1 ? CANDIDATE_VERSION_TEXT : BASE_VERSION_TEXT));
        cr_expect_eq(body_has(body, SAID_TEXT), i == 1, "%d", i);
    }
    live_stage_close();
}

static void expect_questions(uint32_t count) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    uint32_t seen = 0;
    while (seen < count && wl_mono_now().ms < until) {
        wl_msg_t msg;
        if (neighbour_next(&self.presence, &msg, 100)) {
            cr_assert_eq(msg.id, WL_MSG_LIVE);
            seen += msg.count;
        }
    }
    cr_expect_eq(seen, count);
}

/* At most 1,024 reads wait for one line: those that do are not counted again. */
Test(query_live, a_wider_rollout_does_not_count_who_waits_twice) {
    enum { READS = 600 };
    wl_asset_t coin = test_asset(42, "coin", COPY, 1);
    live_stage_open();
    stage_try(&self.stage, "{\"id\":9,\"percent\":50}");
    for (uint64_t ticket = 1; ticket <= READS; ticket++) {
        tell_gather_of(ticket, 9, &coin, 1);
    }
    expect_questions(READS);
    stage_try(&self.stage, "{\"id\":9,\"percent\":60}");
    tell_gather_of(READS + 1, 9, &coin, 1);
    expect_questions(1);
    live_stage_close();
}
