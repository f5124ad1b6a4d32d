/* The cache actor with cache.store = redis: reads that wait, outages, copies that came back. */
#include "actors/cache.h"
#include "actors/render.h"
#include "read_path.h"

#include "../unit/store/redis_world.h"

enum {
    TIMEOUT_MS = 250, /* redis.timeout_ms of the actor */
    GIVE_UP_MS = 6500 /* see cache_remote.c */
};

static struct {
    stage_t stage;
    neighbour_t query;
    neighbour_t frontend;
    neighbour_t dispatcher;
    server_t server;
    wl_redis_t *redis; /* the test's own connection */
    uint64_t ticket;
} self;

static void world_start(void) {
    memset(&self, 0, sizeof self);
    folder_make();
    server_start(&self.server, NULL);
    self.redis = client(self.server.at);
    cr_assert_eq(ask_until(self.redis, NULL, "PING", WL_OK).err, WL_OK);
    stage_open(&self.stage);
    wl_settings_t *settings = &self.stage.settings;
    settings->redis_timeout_ms = TIMEOUT_MS;
    (void)snprintf(settings->cache_store, sizeof settings->cache_store, "redis");
    (void)snprintf(settings->cache_redis, sizeof settings->cache_redis, "%s", self.server.at);
}

static void cache_start(const char *role) {
    (void)snprintf(self.stage.settings.server_role, sizeof self.stage.settings.server_role, "%s",
                   role);
    self.query = neighbour_open(WL_ACTOR_QUERY, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self.dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    stage_start(&self.stage, WL_ACTOR_CACHE, wl_cache_run);
    stage_configure(&self.stage);
}

static void world_end(void) {
    (void)kill(self.server.process, SIGCONT);
    (void)stage_stop(&self.stage);
    neighbour_close(&self.query);
    neighbour_close(&self.frontend);
    neighbour_close(&self.dispatcher);
    stage_close(&self.stage);
    wl_redis_destroy(&self.redis);
    server_kill(&self.server);
    folder_remove();
}

TestSuite(cache_remote_faults, .init = world_start, .fini = world_end, .timeout = 60);

static void redis_freeze(void) {
    program_freeze(self.server.process);
}

static void redis_thaw(void) {
    cr_assert_eq(kill(self.server.process, SIGCONT), 0);
}

static void tell_fill(uint64_t uid, wl_asset_t *asset, uint64_t commit_seq) {
    wl_fill_item_t item = {.uid = uid, .assets = {asset, 1}};
    wl_fill_begin(self.stage.encoder, &(wl_fill_head_t){.commit_seq = commit_seq});
    wl_fill_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static void tell_stored(wl_asset_t *asset, uint64_t seq, uint64_t commit_seq, uint32_t dispatcher) {
    wl_stored_head_t head = {.commit_seq = commit_seq, .dispatcher = dispatcher};
    memcpy(head.line, asset->line, sizeof head.line);
    wl_stored_item_t item = {.uid = asset->uid,
                             .seq = seq,
                             .outcome = WL_PULL_OK,
                             .owns = true,
                             .notified_at = 55,
                             .assets = {asset, 1}};
    wl_stored_begin(self.stage.encoder, &head);
    wl_stored_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static void send_read(uint64_t uid) {
    stage_read(&self.stage, test_read(++self.ticket, uid, WL_METHOD_HOME, 5000));
}

/* Was the next read answered from Redis (the body in *ret), or passed on to query? */
static bool read_hits(uint64_t uid, wl_bytes_t *ret) {
    wl_msg_t msg;
    send_read(uid);
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (wl_mono_now().ms < until) {
        if (neighbour_next(&self.frontend, &msg, 1)) {
            cr_assert_eq(msg.id, WL_MSG_REPLY);
            cr_assert_eq(msg.items.reply[0].ticket, self.ticket);
            cr_assert_eq(msg.items.reply[0].error, (uint32_t)WL_OK);
            *ret = msg.items.reply[0].body;
            cr_assert(body_has(*ret, "cache"));
            return true;
        }
        if (neighbour_next(&self.query, &msg, 1)) {
            cr_assert_eq(msg.id, WL_MSG_READ);
            cr_assert_eq(msg.items.read[0].ticket, self.ticket);
            return false;
        }
    }
    cr_assert_fail("the read was neither answered nor passed on");
    return false;
}

/* Plays query until a filled copy is served; the body of the first one that is. */
static wl_bytes_t served_after_fills(wl_asset_t *asset, uint64_t commit_seq) {
    wl_bytes_t body = {NULL, 0};
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (!read_hits(asset->uid, &body)) {
        cr_assert_lt(wl_mono_now().ms, until, "no copy is ever served");
        tell_fill(asset->uid, asset, commit_seq);
        wait_ms(20);
    }
    return body;
}

/* Copies that are not fresh are asked for again as well. */
static void expect_done(uint64_t seq, int64_t patience_ms) {
    int64_t until = wl_mono_now().ms + patience_ms;
    wl_msg_t msg = {0};
    while (msg.id != WL_MSG_DONE && wl_mono_now().ms < until) {
        (void)neighbour_next(&self.dispatcher, &msg, 100);
    }
    cr_assert_eq(msg.id, WL_MSG_DONE);
    cr_expect(msg.count == 1 && msg.items.done[0].seq == seq);
}

static const char old_amount[] = "\xce\x11\x22\x33\x44"; /* 287454020 */
static const char new_amount[] = "\xce\x21\x32\x43\x54"; /* 556942164 */

static wl_asset_t old_asset(uint64_t uid) {
    return test_asset(uid, "cash", 287454020, 7);
}

static wl_asset_t new_asset(uint64_t uid) {
    return test_asset(uid, "cash", 556942164, 8);
}

/* ---- reads that wait ------------------------------------------------------------------------- */

Test(cache_remote_faults, a_user_is_asked_for_once_however_many_wait) {
    enum { READS = 100 };
    cache_start("all");
    wl_asset_t asset = old_asset(42);
    (void)served_after_fills(&asset, 9);
    cr_assert_eq(ask(self.redis, NULL, "CONFIG RESETSTAT").err, WL_OK);
    redis_freeze();
    for (int i = 0; i < READS; i++) {
        send_read(42);
    }
    neighbour_hears_nothing(&self.frontend);
    redis_thaw();
    for (uint32_t replies = 0; replies < READS;) {
        wl_msg_t msg;
        cr_assert(neighbour_next(&self.frontend, &msg, PATIENCE_MS), "%u replies", replies);
        replies += msg.count;
    }
    answer_t stats = ask(self.redis, NULL,
                         "EVAL return(string.match(redis.call('info','commandstats'),"
                         "'hgetall:calls=(%d+)')) 0");
    cr_expect_str_eq(stats.text, "1");
}

Test(cache_remote_faults, a_read_that_waited_knows_what_came_meanwhile) {
    cache_start("all");
    wl_asset_t first = old_asset(1);
    (void)served_after_fills(&first, 9); /* connected */
    redis_freeze();
    send_read(42);
    wl_notice_item_t notice = {.uid = 42, .seq = 1, .state = WL_MARK_PENDING, .line = "cash"};
    wl_notice_begin(self.stage.encoder, &(wl_notice_head_t){.dispatcher = 0});
    wl_notice_add(self.stage.encoder, &notice);
    stage_send(&self.stage);
    wait_ms(100);
    redis_thaw();
    wl_msg_t miss = neighbour_expect(&self.query, WL_MSG_READ, 1);
    cr_expect_eq(miss.items.read[0].ticket, self.ticket);
    cr_expect_gt(miss.items.read[0].marks.count, 0);
}

/* Whatever becomes of a read with hardly any time, nobody else is told of it after its deadline. */
Test(cache_remote_faults, a_read_whose_time_is_up_is_dropped) {
    enum { BUDGET_MS = 20 };
    cache_start("all");
    wl_asset_t first = old_asset(1);
    (void)served_after_fills(&first, 9); /* connected */
    redis_freeze();
    for (uint64_t ticket = 900; ticket < 950; ticket++) {
        stage_read(&self.stage, test_read(ticket, 43 + ticket, WL_METHOD_HOME, BUDGET_MS));
        wait_ms(BUDGET_MS);
    }
    uint64_t late = stage_counter(&self.stage, WL_COUNTER_rpc_late, 1);
    redis_thaw();
    uint64_t passed = 0;
    wl_msg_t msg;
    while (neighbour_next(&self.query, &msg, QUIET_MS)) {
        passed += msg.count;
    }
    cr_expect_gt(late, 0u);
    cr_expect_leq(passed, 50u - late);
}

Test(cache_remote_faults, a_look_that_was_answered_late_is_not_believed) {
    self.stage.settings.redis_timeout_ms = 5000;
    cache_start("all");
    wl_asset_t asset = old_asset(42);
    (void)served_after_fills(&asset, 9);
    redis_freeze();
    wait_ms(400); /* a look is under way */
    send_read(42);
    wait_ms(1200);
    redis_thaw();
    wl_msg_t miss = neighbour_expect(&self.query, WL_MSG_READ, 1);
    cr_expect_eq(miss.items.read[0].ticket, self.ticket);
}

Test(cache_remote_faults, bytes_of_others_are_a_miss) {
    cache_start("all");
    wl_bytes_t body = {NULL, 0};
    wl_asset_t first = old_asset(1);
    (void)served_after_fills(&first, 9); /* connected */
    cr_assert_eq(ask(self.redis, "w:42", "SET w:42 text").err, WL_OK);
    cr_expect(!read_hits(42, &body));
    stage_expect_counter(&self.stage, cache_damaged, 1);
    wl_asset_t asset = old_asset(42);
    cr_expect(body_has(served_after_fills(&asset, 9), old_amount));
    cr_assert_eq(ask(self.redis, "w:42", "DEL w:42").err, WL_OK);
    cr_assert_eq(ask(self.redis, "w:42", "SET w:42 text").err, WL_OK);
    tell_stored(&asset, 31, 10, 0);
    expect_done(31, PATIENCE_MS);
    cr_expect_eq(ask(self.redis, "w:42", "HLEN w:42").integer, 1, "the put replaced it");
    asset.uid = 43;
    cr_expect(body_has(served_after_fills(&asset, 9), old_amount));
}

/* ---- Redis is away --------------------------------------------------------------------------- */

Test(cache_remote_faults, an_outage_without_end_lets_writes_go_when_no_marker_can_live) {
    cache_start("all");
    wl_bytes_t body = {NULL, 0};
    wl_asset_t asset = old_asset(42);
    (void)served_after_fills(&asset, 9);
    server_kill(&self.server);
    asset = new_asset(42);
    int64_t begun = wl_mono_now().ms;
    tell_stored(&asset, 31, 10, 0);
    expect_done(31, GIVE_UP_MS + 2000);
    cr_expect_geq(wl_mono_now().ms - begun, GIVE_UP_MS);
    cr_expect(!read_hits(42, &body));
    server_start(&self.server, NULL);
    cr_expect(body_has(served_after_fills(&asset, 10), new_amount), "it goes on without a restart");
    tell_stored(&asset, 32, 11, 0);
    expect_done(32, PATIENCE_MS);
    stage_expect_counter(&self.stage, cache_puts_dropped, 0);
}

/* The copy comes back with the server, older than what was done: a snapshot from before. */
Test(cache_remote_faults, a_server_that_came_back_with_older_copies_serves_none_of_them) {
    cache_start("all");
    wl_bytes_t body = {NULL, 0};
    wl_asset_t asset = old_asset(42);
    (void)served_after_fills(&asset, 9);
    cr_assert_eq(ask(self.redis, NULL, "SAVE").err, WL_OK);
    asset = new_asset(42);
    tell_stored(&asset, 31, 10, 0);
    expect_done(31, PATIENCE_MS);
    server_kill(&self.server);
    server_start(&self.server, NULL);
    cr_assert_eq(ask_until(self.redis, NULL, "PING", WL_OK).err, WL_OK);
    cr_assert_gt(ask(self.redis, "w:42", "HLEN w:42").integer, 2, "the old copy is there");
    int64_t until = wl_mono_now().ms + 2500; /* also when connected and marked again */
    while (wl_mono_now().ms < until) {
        cr_assert(!read_hits(42, &body));
        wait_ms(20);
    }
    cr_expect(body_has(served_after_fills(&asset, 10), new_amount));
}

/* ---- roles ----------------------------------------------------------------------------------- */

Test(cache_remote_faults, a_writer_keeps_its_marker_and_takes_over_one_that_is_there) {
    cr_assert_eq(ask(self.redis, NULL, "SET w:sound:{0}:0 1000 PX 5000").err, WL_OK);
    cache_start("writer");
    wl_asset_t asset = old_asset(42);
    tell_stored(&asset, 31, 10, 0);
    expect_done(31, PATIENCE_MS);
    wait_ms(2500);
    cr_expect_str_eq(ask(self.redis, NULL, "GET w:sound:{0}:0").text, "1000");
    cr_expect_gt(ask(self.redis, NULL, "PTTL w:sound:{0}:0").integer, 3500);
    redis_freeze();
    wait_ms(50);
    tell_stored(&asset, 32, 11, 0);
    wait_ms(2 * TIMEOUT_MS);
    redis_thaw();
    expect_done(32, PATIENCE_MS);
    wait_ms(1500);
    cr_expect_gt(strlen(ask(self.redis, NULL, "GET w:sound:{0}:0").text), 10, "begun anew");
}
