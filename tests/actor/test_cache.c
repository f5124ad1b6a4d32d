#include "actors/cache.h"

#include "actors/render.h"
#include "read_path.h"

#include <time.h>

typedef struct {
    stage_t stage;
    neighbour_t query;
    neighbour_t frontend;
    neighbour_t dispatcher;
} cache_stage_t;

static cache_stage_t self;

static void cache_stage_open(void) {
    stage_open(&self.stage);
    self.query = neighbour_open(WL_ACTOR_QUERY, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self.dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    stage_start(&self.stage, WL_ACTOR_CACHE, wl_cache_run);
    stage_configure(&self.stage);
}

static void cache_stage_close(void) {
    (void)stage_stop(&self.stage);
    neighbour_close(&self.query);
    neighbour_close(&self.frontend);
    neighbour_close(&self.dispatcher);
    stage_close(&self.stage);
}

static void tell_fill(uint64_t uid, wl_asset_t *assets, uint32_t count, uint64_t commit_seq) {
    wl_fill_item_t item = {.uid = uid, .assets = {assets, count}};
    wl_fill_begin(self.stage.encoder, &(wl_fill_head_t){.commit_seq = commit_seq});
    wl_fill_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static void tell_stored(wl_asset_t *asset, uint64_t seq, uint64_t commit_seq,
                        wl_pull_outcome_t outcome) {
    wl_stored_head_t head = {.commit_seq = commit_seq};
    memcpy(head.line, asset->line, sizeof head.line);
    wl_stored_item_t item = {.uid = asset->uid,
                             .seq = seq,
                             .outcome = (uint8_t)outcome,
                             .owns = true,
                             .notified_at = 55,
                             .assets = {asset, 1}};
    wl_stored_begin(self.stage.encoder, &head);
    wl_stored_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static void tell_notice(uint64_t uid, const char *line, uint64_t seq, wl_mark_state_t state) {
    wl_notice_item_t item = {.uid = uid, .seq = seq, .state = (uint8_t)state};
    (void)snprintf(item.line, sizeof item.line, "%s", line);
    wl_notice_begin(self.stage.encoder, &(wl_notice_head_t){.dispatcher = 0});
    wl_notice_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static void tell_line(const char *line, bool sick) {
    wl_line_item_t item = {.sick = sick};
    (void)snprintf(item.line, sizeof item.line, "%s", line);
    wl_line_begin(self.stage.encoder, NULL);
    wl_line_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

/* Reads a cached user; the body lives until the next one. */
static wl_bytes_t read_hit(uint64_t uid, wl_method_t method) {
    stage_read(&self.stage, test_read(uid + 1000, uid, method, 2000));
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect_eq(reply.items.reply[0].ticket, uid + 1000);
    cr_expect_eq(reply.items.reply[0].error, (uint32_t)WL_OK);
    return reply.items.reply[0].body;
}

Test(cache, a_miss_goes_to_query_and_a_fill_makes_it_a_hit) {
    cache_stage_open();
    wl_read_item_t read = test_read(5, 42, WL_METHOD_ASSETS, 1000);
    read.filter = (wl_bytes_t){(const uint8_t *)"cash,", 5};
    stage_read(&self.stage, read);
    wl_msg_t miss = neighbour_expect(&self.query, WL_MSG_READ, 1);
    cr_expect_eq(miss.items.read[0].ticket, 5u);
    cr_expect_eq(miss.items.read[0].uid, 42u);
    cr_expect_eq(miss.items.read[0].deadline_at, read.deadline_at);
    cr_expect_eq(miss.items.read[0].filter.count, 5u);
    wl_asset_t assets[2] = {test_asset(42, "cash", 1250, 7), test_asset(42, "coin", 3, 7)};
    tell_fill(42, assets, 2, 9);
    wl_bytes_t body = read_hit(42, WL_METHOD_HOME);
    cr_expect_eq(body_number(body, "uid"), 42);
    cr_expect(body_has(body, "cache") && body_has(body, "bean"));
    body = read_hit(42, WL_METHOD_GOLDEN);
    cr_expect(body_has(body, "golden"));
    stage_read(&self.stage, read);
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect(!body_has(reply.items.reply[0].body, "bean"), "the filter holds for hits too");
    stage_expect_counter(&self.stage, cache_hits, 3);
    stage_expect_counter(&self.stage, cache_misses, 1);
    cache_stage_close();
}

/* Whoever reads the database for it must see what has passed here. */
Test(cache, a_miss_says_which_commit_the_answer_must_have_seen) {
    cache_stage_open();
    wl_asset_t asset = test_asset(42, "cash", 5, 7);
    stage_read(&self.stage, test_read(1, 42, WL_METHOD_HOME, 1000));
    wl_msg_t read = neighbour_expect(&self.query, WL_MSG_READ, 1);
    cr_expect_eq(read.items.read[0].seen, 0u);
    tell_stored(&asset, 31, 10, WL_PULL_OK);
    stage_read(&self.stage, test_read(2, 42, WL_METHOD_HOME, 1000));
    read = neighbour_expect(&self.query, WL_MSG_READ, 1);
    cr_expect_eq(read.items.read[0].seen, 10u);
    cache_stage_close();
}

/* A hit that needs a line is not answered here; one that does not is, as ever. */
Test(cache, a_hit_whose_lines_have_to_be_asked_goes_to_query_with_the_copy) {
    cache_stage_open();
    stage_configure_with(&self.stage, live_integration, live_presentation);
    wl_asset_t assets[3] = {test_asset(42, "live", 1250, 7), test_asset(42, "slow", 3, 7),
                            test_asset(42, "cash", 5, 7)};
    tell_fill(42, assets, 3, 9);
    cr_expect(body_has(read_hit(42, WL_METHOD_HOME), "live"), "all is fresh");
    assets[1].pulled_at -= 60000;
    tell_fill(43, assets, 3, 9);
    cr_expect(body_has(read_hit(43, WL_METHOD_GOLDEN), "golden"), "never asks");
    tell_notice(43, "cash", 5, WL_MARK_PENDING);
    wl_read_item_t read = test_read(5, 43, WL_METHOD_HOME, 1000);
    read.floors = (wl_bytes_t){(const uint8_t *)"live:3,", 7};
    stage_read(&self.stage, read);
    wl_msg_t gather = neighbour_expect(&self.query, WL_MSG_GATHER, 1);
    const wl_gather_item_t *item = &gather.items.gather[0];
    cr_expect_eq(gather.head.gather.frontend, 0u);
    cr_expect_eq(item->ticket, 5u);
    cr_expect_eq(item->uid, 43u);
    cr_expect_eq(item->deadline_at, read.deadline_at);
    cr_expect_eq(item->method, (uint8_t)WL_METHOD_HOME);
    cr_expect_eq(item->assets.count, 3u);
    cr_expect(item->floors.count == 7 && memcmp(item->floors.at, "live:3,", 7) == 0);
    cr_expect(item->marks.count == 7 && memcmp(item->marks.at, "cash=1,", 7) == 0);
    read = test_read(6, 42, WL_METHOD_BALANCE, 1000);
    read.filter = (wl_bytes_t){(const uint8_t *)"cash,", 5};
    stage_read(&self.stage, read);
    (void)neighbour_expect(&self.query, WL_MSG_GATHER, 1);
    cache_stage_close();
}

Test(cache, a_live_copy_that_may_be_shown_a_while_longer_is_asked_for_behind_it) {
    cache_stage_open();
    neighbour_t presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    stage_configure_with(&self.stage, live_integration, live_presentation);
    wl_asset_t assets[2] = {test_asset(42, "live", 1250, 7), test_asset(42, "slow", 3, 7)};
    assets[0].pulled_at -= 15000;
    tell_fill(42, assets, 2, 9);
    cr_expect(body_has(read_hit(42, WL_METHOD_HOME), "refreshing"));
    wl_msg_t hint = neighbour_expect(&presence, WL_MSG_LIVE, 1);
    cr_expect_str_eq(hint.head.live.line, "live");
    cr_expect_eq(hint.head.live.asker, WL_ACTOR_QUERY);
    cr_expect_eq(hint.items.live[0].uid, 42u);
    cr_expect_eq(hint.items.live[0].ticket, 0u, "nobody waits for the answer");
    neighbour_close(&presence);
    cache_stage_close();
}

Test(cache, an_empty_user_is_a_hit) {
    cache_stage_open();
    tell_fill(42, NULL, 0, 9);
    cr_expect(body_has(read_hit(42, WL_METHOD_HOME), "has_assets\xc2"));
    cache_stage_close();
}

Test(cache, a_write_shows_in_the_next_read_and_is_done_after_that) {
    cache_stage_open();
    wl_asset_t asset = test_asset(42, "cash", 287454020, 7);
    tell_fill(42, &asset, 1, 9);
    asset.amount = 556942164;
    asset.version = 8;
    tell_stored(&asset, 31, 10, WL_PULL_OK);
    wl_msg_t done = neighbour_expect(&self.dispatcher, WL_MSG_DONE, 1);
    cr_expect_str_eq(done.head.done.line, "cash");
    cr_expect_eq(done.items.done[0].uid, 42u);
    cr_expect_eq(done.items.done[0].seq, 31u);
    cr_expect_eq(done.items.done[0].outcome, (uint8_t)WL_PULL_OK);
    cr_expect_eq(done.items.done[0].notified_at, 55);
    wl_bytes_t body = read_hit(42, WL_METHOD_HOME);
    cr_expect(body_has(body, "\xce\x21\x32\x43\x54"), "556942164");
    cr_expect(!body_has(body, "\xce\x11\x22\x33\x44"), "287454020");
    cache_stage_close();
}

Test(cache, an_older_write_and_a_fill_from_before_a_write_are_refused) {
    cache_stage_open();
    wl_asset_t asset = test_asset(42, "cash", 556942164, 8);
    tell_fill(42, &asset, 1, 9);
    wl_asset_t old = test_asset(42, "cash", 287454020, 7);
    tell_stored(&old, 30, 10, WL_PULL_OK);
    (void)neighbour_expect(&self.dispatcher, WL_MSG_DONE, 1);
    cr_expect(body_has(read_hit(42, WL_METHOD_HOME), "\xce\x21\x32\x43\x54"));
    wl_asset_t other = test_asset(43, "cash", 556942164, 8);
    tell_stored(&other, 31, 20, WL_PULL_OK);
    (void)neighbour_expect(&self.dispatcher, WL_MSG_DONE, 1);
    tell_fill(43, NULL, 0, 19); /* read before commit 20, arrived after it */
    stage_read(&self.stage, test_read(6, 43, WL_METHOD_HOME, 1000));
    (void)neighbour_expect(&self.query, WL_MSG_READ, 1);
    stage_expect_counter(&self.stage, cache_older_refused, 1);
    stage_expect_counter(&self.stage, cache_fill_refused, 1);
    cache_stage_close();
}

Test(cache, a_notice_says_refreshing_until_its_write_is_there) {
    cache_stage_open();
    wl_asset_t asset = test_asset(42, "coin", 5, 7);
    tell_fill(42, &asset, 1, 9);
    cr_expect(!body_has(read_hit(42, WL_METHOD_ASSETS), "refreshing"));
    tell_notice(42, "coin", 30, WL_MARK_PENDING);
    tell_notice(42, "coin", 33, WL_MARK_PENDING);
    cr_expect(body_has(read_hit(42, WL_METHOD_ASSETS), "refreshing"));
    tell_stored(&asset, 32, 10, WL_PULL_OK);
    cr_expect(body_has(read_hit(42, WL_METHOD_ASSETS), "refreshing"), "33 is still on its way");
    tell_stored(&asset, 33, 11, WL_PULL_OK);
    cr_expect(!body_has(read_hit(42, WL_METHOD_ASSETS), "refreshing"));
    cache_stage_close();
}

Test(cache, a_pull_that_failed_says_stale) {
    cache_stage_open();
    wl_asset_t asset = test_asset(42, "coin", 5, 7);
    tell_fill(42, &asset, 1, 9);
    tell_notice(42, "coin", 30, WL_MARK_PENDING);
    tell_stored(&asset, 30, 10, WL_PULL_REFUSED);
    cr_expect(body_has(read_hit(42, WL_METHOD_ASSETS), "stale"));
    wl_msg_t done = neighbour_expect(&self.dispatcher, WL_MSG_DONE, 1);
    cr_expect_eq(done.items.done[0].outcome, (uint8_t)WL_PULL_REFUSED);
    tell_notice(42, "coin", 31, WL_MARK_NONE);
    cr_expect(!body_has(read_hit(42, WL_METHOD_ASSETS), "stale"), "given up: forget");
    cache_stage_close();
}

Test(cache, a_miss_carries_the_users_marks) {
    cache_stage_open();
    tell_notice(42, "cash", 30, WL_MARK_PENDING);
    tell_notice(42, "coin", 31, WL_MARK_FAILING);
    stage_read(&self.stage, test_read(5, 42, WL_METHOD_HOME, 1000));
    wl_msg_t miss = neighbour_expect(&self.query, WL_MSG_READ, 1);
    const wl_bytes_t *marks = &miss.items.read[0].marks;
    cr_expect_eq(wl_marks_text_get(marks->at, marks->count, "cash"), WL_MARK_PENDING);
    cr_expect_eq(wl_marks_text_get(marks->at, marks->count, "coin"), WL_MARK_FAILING);
    cache_stage_close();
}

Test(cache, an_old_copy_hints_to_the_dispatcher_at_a_bounded_rate) {
    cache_stage_open();
    wl_asset_t asset = test_asset(42, "cash", 1, 1);
    asset.pulled_at -= 60000;
    tell_fill(42, &asset, 1, 9);
    (void)read_hit(42, WL_METHOD_HOME);
    wl_msg_t hint = neighbour_expect(&self.dispatcher, WL_MSG_REFRESH, 1);
    cr_expect_str_eq(hint.head.refresh.line, "cash");
    enum { READS = 5 * WL_REFRESH_HINTS_PER_S };
    int64_t begun = wl_mono_now().ms;
    for (uint32_t sent = 0; sent < READS;) {
        wl_read_begin(self.stage.encoder, &(wl_read_head_t){.frontend = 0});
        for (uint32_t i = 0; i < 100; i++, sent++) {
            wl_read_item_t read = test_read(sent, 42, WL_METHOD_HOME, 5000);
            wl_read_add(self.stage.encoder, &read);
        }
        stage_send(&self.stage);
    }
    stage_expect_counter(&self.stage, cache_hits, READS + 1);
    int64_t seconds = (wl_mono_now().ms - begun) / 1000 + 2;
    uint32_t hints = 0;
    while (neighbour_next(&self.dispatcher, &hint, QUIET_MS)) {
        hints += hint.count;
    }
    cr_expect(hints > 0 && hints <= (uint64_t)seconds * WL_REFRESH_HINTS_PER_S, "%u", hints);
    cache_stage_close();
}

Test(cache, a_copy_with_a_change_on_its_way_is_hinted_for_but_not_one_that_fails) {
    cache_stage_open();
    wl_asset_t asset = test_asset(42, "cash", 1, 1);
    asset.pulled_at -= 60000;
    tell_fill(42, &asset, 1, 9);
    tell_notice(42, "cash", 3, WL_MARK_PENDING);
    (void)read_hit(42, WL_METHOD_HOME);
    (void)neighbour_expect(&self.dispatcher, WL_MSG_REFRESH, 1);
    tell_notice(42, "cash", 4, WL_MARK_FAILING);
    (void)read_hit(42, WL_METHOD_HOME);
    neighbour_hears_nothing(&self.dispatcher);
    cache_stage_close();
}

Test(cache, a_read_that_was_given_up_is_not_worked_on) {
    cache_stage_open();
    tell_fill(42, NULL, 0, 9);
    stage_read(&self.stage, test_read(5, 42, WL_METHOD_HOME, -100));
    neighbour_hears_nothing(&self.frontend);
    stage_expect_counter(&self.stage, rpc_late, 1);
    cache_stage_close();
}

Test(cache, without_a_configuration_hits_are_unavailable) {
    stage_open(&self.stage);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    stage_start(&self.stage, WL_ACTOR_CACHE, wl_cache_run);
    tell_fill(42, NULL, 0, 9);
    stage_read(&self.stage, test_read(5, 42, WL_METHOD_HOME, 1000));
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect_eq(reply.items.reply[0].error, (uint32_t)WL_ERR_UNAVAILABLE);
    (void)stage_stop(&self.stage);
    neighbour_close(&self.frontend);
    stage_close(&self.stage);
}

Test(cache, a_sick_line_is_degraded) {
    cache_stage_open();
    wl_asset_t asset = test_asset(42, "coin", 5, 7);
    tell_fill(42, &asset, 1, 9);
    tell_line("coin", true);
    cr_expect(body_has(read_hit(42, WL_METHOD_HOME), "degraded\x91\xa4"
                                                     "coin"));
    cache_stage_close();
}

/* ---- campaigns ------------------------------------------------------------------------------ */

/* RFC 3339 in UTC. */
static void moment_text(int64_t ms, char *into, size_t max) {
    time_t seconds = (time_t)(ms / 1000);
    char second[32];
    struct tm utc;
    cr_assert_not_null(gmtime_r(&seconds, &utc));
    cr_assert_gt(strftime(second, sizeof second, "%Y-%m-%dT%H:%M:%S", &utc), 0);
    (void)snprintf(into, max, "%s.%03dZ", second, (int)(ms % 1000));
}

/* The golden slot of cash shows coin from `start` to `end` to whoever has some. */
static void configure_campaign(int64_t start, int64_t end) {
    char page[1024];
    char from[64];
    char until[64];
    moment_text(start, from, sizeof from);
    moment_text(end, until, sizeof until);
    (void)snprintf(
        page, sizeof page,
        "{\"version\":7,\"golden\":[{\"line\":\"cash\",\"campaigns\":[{\"id\":\"eleven\","
        "\"line\":\"coin\",\"start\":\"%s\",\"end\":\"%s\",\"unless\":[\"sick\","
        "\"empty\"]}]}],\"sections\":[{\"kind\":\"coin\",\"lines\":[\"coin\"]}]}",
        from, until);
    stage_configure_with(&self.stage, test_integration, page);
}

static bool shows_campaign(uint64_t uid, wl_method_t method) {
    return body_has(read_hit(uid, method), "campaign\xa6"
                                           "eleven");
}

Test(cache, a_campaign_is_shown_from_its_start_to_its_end) {
    enum { WHILE_MS = 400 };
    cache_stage_open();
    wl_asset_t assets[2] = {test_asset(42, "cash", 1250, 7), test_asset(42, "coin", 3, 7)};
    tell_fill(42, assets, 2, 9);
    int64_t start = wl_wall_now().ms + WHILE_MS;
    int64_t end = start + WHILE_MS;
    configure_campaign(start, end);
    int64_t before = 0;
    while (before < end) { /* each read is in its time, or on one of its ends */
        before = wl_wall_now().ms;
        bool shown = shows_campaign(42, WL_METHOD_GOLDEN);
        int64_t after = wl_wall_now().ms;
        cr_assert(shown ? after >= start : !(before >= start && after < end),
                  "%d at %lld..%lld ms from the start", shown, (long long)(before - start),
                  (long long)(after - start));
        cr_assert(!shown || before < end);
    }
    configure_campaign(end - 100000, end);
    cr_expect_not(shows_campaign(42, WL_METHOD_HOME));
    configure_campaign(end - 100000, end + 1000000);
    cr_expect(shows_campaign(42, WL_METHOD_HOME));
    cr_expect_not(shows_campaign(42, WL_METHOD_ASSETS), "it says what is there");
    configure_campaign(end + 900000, end + 1000000);
    cr_expect_not(shows_campaign(42, WL_METHOD_HOME));
    cache_stage_close();
}

Test(cache, a_campaign_gives_way_to_the_slots_own_line) {
    cache_stage_open();
    wl_asset_t assets[2] = {test_asset(42, "cash", 1250, 7), test_asset(42, "coin", 3, 7)};
    tell_fill(42, assets, 2, 9);
    tell_fill(43, assets, 1, 9);
    configure_campaign(0, wl_wall_now().ms + 1000000);
    cr_expect(shows_campaign(42, WL_METHOD_GOLDEN));
    cr_expect_not(shows_campaign(43, WL_METHOD_GOLDEN), "nothing of coin");
    tell_line("coin", true);
    cr_expect_not(shows_campaign(42, WL_METHOD_GOLDEN));
    cr_expect(body_has(read_hit(42, WL_METHOD_GOLDEN), "line\xa4"
                                                       "cash"));
    tell_line("coin", false);
    cr_expect(shows_campaign(42, WL_METHOD_GOLDEN));
    cache_stage_close();
}

/* A live line that is on the page for a while is asked for that while. */
Test(cache, a_hit_goes_to_query_while_a_campaign_shows_a_live_line) {
    static const char page[] =
        "{\"version\":7,\"sections\":[{\"kind\":\"coin\",\"lines\":[\"coin\"],\"campaigns\":["
        "{\"id\":\"now\",\"line\":\"live\",\"end\":\"%s\"}]}]}";
    char text[512];
    cache_stage_open();
    wl_asset_t asset = test_asset(42, "coin", 3, 7);
    tell_fill(42, &asset, 1, 9);
    (void)snprintf(text, sizeof text, page, "2020-01-01T00:00:00Z");
    stage_configure_with(&self.stage, live_integration, text);
    (void)read_hit(42, WL_METHOD_HOME);
    (void)snprintf(text, sizeof text, page, "9999-01-01T00:00:00Z");
    stage_configure_with(&self.stage, live_integration, text);
    stage_read(&self.stage, test_read(5, 42, WL_METHOD_HOME, 1000));
    (void)neighbour_expect(&self.query, WL_MSG_GATHER, 1);
    (void)read_hit(42, WL_METHOD_GOLDEN);
    cache_stage_close();
}

Test(cache, bytes_that_are_no_message_are_counted_and_dropped) {
    cache_stage_open();
    stage_send_raw(&self.stage, "\x93\x01\x90", 3);
    stage_send_raw(&self.stage, "", 0);
    tell_notice(42, "cash", 1, (wl_mark_state_t)77);
    wl_stored_begin(self.stage.encoder, &(wl_stored_head_t){.dispatcher = 5});
    stage_send(&self.stage);
    wl_read_begin(self.stage.encoder, &(wl_read_head_t){.frontend = 5});
    stage_send(&self.stage);
    wl_told_begin(self.stage.encoder, NULL);
    stage_send(&self.stage);
    tell_fill(42, NULL, 0, 9);
    (void)read_hit(42, WL_METHOD_HOME);
    stage_expect_counter(&self.stage, msg_malformed, 5);
    stage_expect_counter(&self.stage, msg_unexpected, 1);
    cache_stage_close();
}

Test(cache, stops_idle) {
    cache_stage_open();
    cr_expect_lt(stage_stop(&self.stage), 500);
    cache_stage_close();
}

Test(cache, what_was_in_the_mailbox_at_the_end_is_still_done) {
    cache_stage_open();
    wl_asset_t asset = test_asset(42, "coin", 5, 7);
    for (uint64_t seq = 1; seq <= 2000; seq++) {
        tell_stored(&asset, seq, seq, WL_PULL_OK);
    }
    cr_expect_lt(stage_stop(&self.stage), 2000);
    uint32_t done = 0;
    wl_msg_t msg;
    while (neighbour_next(&self.dispatcher, &msg, QUIET_MS)) {
        done += msg.count;
    }
    cr_expect_eq(done, 2000u);
    cache_stage_close();
}

Test(cache, stops_with_a_full_mailbox_and_without_neighbours) {
    cache_stage_open();
    neighbour_close(&self.query);
    neighbour_close(&self.frontend);
    neighbour_close(&self.dispatcher);
    for (uint64_t sent = 1; sent < 60000; sent++) {
        wl_read_item_t read = test_read(sent, sent, WL_METHOD_HOME, 20000);
        wl_read_begin(self.stage.encoder, &(wl_read_head_t){.frontend = 0});
        wl_read_add(self.stage.encoder, &read);
        if (wl_channel_send(self.stage.outbox, self.stage.encoder) != WL_OK) {
            break;
        }
    }
    cr_expect_lt(stage_stop(&self.stage), 2000);
    cache_stage_close();
}

static wl_asset_t withdrawn(uint64_t uid, const char *line, uint64_t version) {
    wl_asset_t record = test_asset(uid, line, 0, version);
    record.state = WL_STATE_GONE;
    (void)snprintf(record.bucket, sizeof record.bucket, "%s", WL_BUCKET_CONSENT);
    return record;
}

static void expect_miss(uint64_t uid) {
    stage_read(&self.stage, test_read(5, uid, WL_METHOD_ASSETS, 1000));
    wl_msg_t miss = neighbour_expect(&self.query, WL_MSG_READ, 1);
    cr_expect_eq(miss.items.read[0].uid, uid);
}

Test(cache, a_withdrawn_consent_takes_the_user_along_and_goes_on) {
    cache_stage_open();
    wl_asset_t assets[2] = {test_asset(42, "cash", 1250, 7), test_asset(42, "coin", 3, 7)};
    tell_fill(42, assets, 2, 9);
    tell_fill(43, assets, 2, 9);
    (void)read_hit(42, WL_METHOD_HOME);
    wl_asset_t record = withdrawn(42, "cash", 1000);
    tell_stored(&record, 31, 10, WL_PULL_OK);
    wl_msg_t on = neighbour_expect(&self.query, WL_MSG_STORED, 1);
    cr_expect_str_eq(on.head.stored.line, "cash");
    cr_expect(on.items.stored[0].uid == 42 && on.items.stored[0].seq == 31);
    cr_expect_eq(on.items.stored[0].notified_at, 55);
    cr_assert_eq(on.items.stored[0].assets.count, 1u);
    cr_expect(wl_asset_is_consent(&on.items.stored[0].assets.at[0]));
    neighbour_hears_nothing(&self.dispatcher);
    expect_miss(42);
    tell_fill(42, assets, 2, 9); /* read before it */
    expect_miss(42);
    tell_fill(42, &assets[1], 1, 10);
    cr_expect_not(body_has(read_hit(42, WL_METHOD_HOME), "\xcd\x04\xe2"));
    (void)read_hit(43, WL_METHOD_HOME);
    record.state = WL_STATE_AVAILABLE; /* given again: a record like any */
    record.version++;
    tell_stored(&record, 32, 11, WL_PULL_OK);
    cr_expect_eq(neighbour_expect(&self.dispatcher, WL_MSG_DONE, 1).items.done[0].seq, 32u);
    cache_stage_close();
}

/* ---- variants -------------------------------------------------------------------------------- */

static wl_bytes_t read_variant(uint64_t rollout, wl_method_t method) {
    wl_read_item_t read = test_read(1042, 42, method, 2000);
    read.rollout = rollout;
    stage_read(&self.stage, read);
    return neighbour_expect(&self.frontend, WL_MSG_REPLY, 1).items.reply[0].body;
}

Test(cache, a_hit_is_answered_from_the_variant_that_the_read_names) {
    cache_stage_open();
    stage_try(&self.stage, "{\"id\":9,\"percent\":1}");
    wl_asset_t assets[] = {test_asset(42, "coin", 7, 1), test_asset(42, "bonus", 8, 1)};
    (void)snprintf(assets[1].unit, sizeof assets[1].unit, "bean");
    tell_fill(42, assets, 2, 5);
    wl_bytes_t body = read_variant(9, WL_METHOD_GOLDEN);
    cr_expect(body_has(body, VARIANT_TEXT) && body_has(body, "Tried"),
              "the share is not looked at");
    body = read_variant(0, WL_METHOD_HOME);
    cr_expect(body_has(body, BASE_VERSION_TEXT) && !body_has(body, "variant"));
    body = read_variant(8, WL_METHOD_HOME);
    cr_expect(body_has(body, BASE_VERSION_TEXT) && !body_has(body, "variant"), "another rollout");
    body = read_variant(9, WL_METHOD_ASSETS);
    cr_expect(body_has(body, "bonus"));
    body = read_variant(0, WL_METHOD_ASSETS);
    cr_expect_not(body_has(body, "bonus"), "it is pulled, and not to be seen yet");
    stage_configure(&self.stage);
    body = read_variant(9, WL_METHOD_HOME);
    cr_expect(body_has(body, BASE_VERSION_TEXT) && !body_has(body, "variant"), "it has left");
    cache_stage_close();
}

Test(cache, only_the_variant_with_a_live_line_asks_it_first) {
    cache_stage_open();
    stage_try(&self.stage, "{\"id\":9}");
    wl_asset_t coin = test_asset(42, "coin", 7, 1);
    tell_fill(42, &coin, 1, 5);
    cr_expect(body_has(read_variant(0, WL_METHOD_HOME), BASE_VERSION_TEXT));
    wl_read_item_t read = test_read(7, 42, WL_METHOD_HOME, 2000);
    read.rollout = 9;
    stage_read(&self.stage, read);
    wl_msg_t gather = neighbour_expect(&self.query, WL_MSG_GATHER, 1);
    cr_expect_eq(gather.items.gather[0].rollout, 9u);
    read.uid = 43;
    stage_read(&self.stage, read);
    wl_msg_t miss = neighbour_expect(&self.query, WL_MSG_READ, 1);
    cr_expect_eq(miss.items.read[0].rollout, 9u);
    cache_stage_close();
}

/* Lines have other places in the candidate: cash, then coin behind a new one. */
Test(cache, a_sick_line_is_the_same_one_in_both_variants) {
    cache_stage_open();
    stage_try(&self.stage, "{\"id\":9}");
    wl_asset_t assets[] = {test_asset(42, "cash", 6, 1), test_asset(42, "coin", 7, 1)};
    tell_fill(42, assets, 2, 5);
    tell_line("cash", true);
    cr_expect_not(body_has(read_variant(9, WL_METHOD_GOLDEN), "stale"), "only coin is shown");
    cr_expect(body_has(read_variant(0, WL_METHOD_GOLDEN), "stale"));
    tell_line("cash", false);
    tell_line("coin", true);
    cr_expect(body_has(read_variant(9, WL_METHOD_GOLDEN), "stale"));
    stage_try(&self.stage, "{\"id\":10}");
    cr_expect(body_has(read_variant(10, WL_METHOD_GOLDEN), "stale"), "known to the next one, too");
    cache_stage_close();
}
