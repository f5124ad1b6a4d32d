/* The cache actor with cache.store = redis, beside a redis-server of the test's own. */
#include "actors/cache.h"
#include "actors/mark_ends.h"
#include "domain/marks.h"

#include "../unit/store/redis_world.h"
#include "read_path.h"
#include "store/cache_redis.h"

enum { TIMEOUT_MS = 300 };

static struct {
    stage_t stage;
    neighbour_t query;
    neighbour_t frontend;
    neighbour_t dispatcher;
    server_t server;
    wl_redis_t *redis; /* the test's own look into Redis */
    uint64_t ticket;
} self;

TestSuite(cache_remote, .timeout = 50);

static void open_as(const char *role) {
    memset(&self, 0, sizeof self);
    folder_make();
    server_start(&self.server, "--appendonly", "yes", "--appendfsync", "always", NULL);
    stage_open(&self.stage);
    wl_settings_t *settings = &self.stage.settings;
    (void)snprintf(settings->server_role, sizeof settings->server_role, "%s", role);
    (void)snprintf(settings->cache_store, sizeof settings->cache_store, "redis");
    (void)snprintf(settings->cache_redis, sizeof settings->cache_redis, "%s", self.server.at);
    settings->redis_timeout_ms = TIMEOUT_MS;
    self.query = neighbour_open(WL_ACTOR_QUERY, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self.dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    stage_start(&self.stage, WL_ACTOR_CACHE, wl_cache_run);
    stage_configure(&self.stage);
    self.redis = client(self.server.at);
}

static void close_all(void) {
    (void)stage_stop(&self.stage);
    neighbour_close(&self.query);
    neighbour_close(&self.frontend);
    neighbour_close(&self.dispatcher);
    stage_close(&self.stage);
    wl_redis_destroy(&self.redis);
    server_kill(&self.server);
    folder_remove();
}

static void tell_fill(uint64_t uid, wl_asset_t *assets, uint32_t count, uint64_t commit_seq) {
    wl_fill_item_t item = {.uid = uid, .assets = {assets, count}};
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

typedef struct {
    bool hit;
    wl_bytes_t body;  /* of a hit, until the next read */
    int64_t after_ms; /* how long it took */
} outcome_t;

/* Reads a user: a reply of the cache, or the miss at query. */
static outcome_t read_user(uint64_t uid) {
    uint64_t ticket = ++self.ticket;
    int64_t begun = wl_mono_now().ms;
    wl_msg_t msg = {0};
    stage_read(&self.stage, test_read(ticket, uid, WL_METHOD_HOME, PATIENCE_MS));
    zmq_pollitem_t items[] = {{zsock_resolve(self.frontend.inbox), 0, ZMQ_POLLIN, 0},
                              {zsock_resolve(self.query.inbox), 0, ZMQ_POLLIN, 0}};
    cr_assert_gt(zmq_poll(items, 2, PATIENCE_MS), 0, "nobody got it");
    outcome_t outcome = {.hit = items[0].revents != 0, .after_ms = wl_mono_now().ms - begun};
    if (outcome.hit) {
        msg = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
        cr_assert_eq(msg.items.reply[0].ticket, ticket);
        cr_assert_eq(msg.items.reply[0].error, (uint32_t)WL_OK);
        outcome.body = msg.items.reply[0].body;
        cr_expect(body_has(outcome.body, "cache"), "its source");
    } else {
        msg = neighbour_expect(&self.query, WL_MSG_READ, 1);
        cr_assert(msg.items.read[0].ticket == ticket && msg.items.read[0].uid == uid);
    }
    return outcome;
}

#define OLD "\xce\x11\x22\x33\x44" /* 287454020 */
#define NEW "\xce\x21\x32\x43\x54" /* 556942164 */

static wl_asset_t old_asset(uint64_t uid) {
    return test_asset(uid, "cash", 287454020, 7);
}

static wl_asset_t new_asset(uint64_t uid) {
    return test_asset(uid, "cash", 556942164, 8);
}

/* Fills the old copy until it is served: the connection is up and a marker was seen. */
static void warm_up(uint64_t uid, uint64_t commit_seq) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    wl_asset_t asset = old_asset(uid);
    outcome_t outcome = {.hit = false};
    while (!outcome.hit && wl_mono_now().ms < until) {
        tell_fill(uid, &asset, 1, commit_seq);
        wait_ms(50);
        outcome = read_user(uid);
    }
    cr_assert(outcome.hit && body_has(outcome.body, OLD));
}

static void expect_done(uint64_t uid, uint64_t seq) {
    wl_msg_t done = neighbour_expect(&self.dispatcher, WL_MSG_DONE, 1);
    cr_expect_str_eq(done.head.done.line, "cash");
    cr_expect(done.items.done[0].uid == uid && done.items.done[0].seq == seq);
    cr_expect_eq(done.items.done[0].outcome, (uint8_t)WL_PULL_OK);
    cr_expect_eq(done.items.done[0].notified_at, 55);
}

static bool done_comes(int64_t patience_ms) {
    return socket_readable(self.dispatcher.inbox, patience_ms);
}

static void freeze(void) {
    cr_assert_eq(kill(self.server.process, SIGSTOP), 0);
}

static void thaw(void) {
    cr_assert_eq(kill(self.server.process, SIGCONT), 0);
}

Test(cache_remote, a_miss_goes_to_query_and_a_fill_makes_it_a_hit) {
    open_as("all");
    cr_expect(!read_user(42).hit);
    warm_up(42, 9);
    cr_expect(!read_user(43).hit);
    stage_expect_counter(&self.stage, cache_hits, 1);
    wl_asset_t none = old_asset(44);
    tell_fill(44, &none, 0, 9);
    wait_ms(50);
    cr_expect(read_user(44).hit, "an empty user is a copy");
    close_all();
}

Test(cache_remote, a_change_is_done_when_its_put_shows) {
    open_as("all");
    warm_up(42, 9);
    for (uint64_t i = 0; i < 200; i++) {
        wl_asset_t asset = new_asset(42);
        asset.version += i;
        asset.amount += (int64_t)i;
        tell_stored(&asset, 31 + i, 10 + i, 0);
        expect_done(42, 31 + i);
        char fence[24];
        (void)snprintf(fence, sizeof fence, "%020llu", 10ull + i);
        cr_assert_str_eq(ask(self.redis, "w:42", "HGET w:42 #s").text, fence);
        outcome_t outcome = read_user(42);
        cr_assert(outcome.hit && !body_has(outcome.body, OLD));
        cr_assert_eq(body_has(outcome.body, NEW), i == 0);
    }
    wl_asset_t late = old_asset(42);
    tell_fill(42, &late, 1, 9);
    stage_expect_counter(&self.stage, cache_fill_refused, 1);
    cr_expect(!body_has(read_user(42).body, OLD));
    close_all();
}

Test(cache_remote, a_frozen_redis_costs_database_reads_and_holds_changes) {
    open_as("all");
    warm_up(42, 9);
    freeze();
    wl_asset_t asset = new_asset(42);
    tell_stored(&asset, 31, 10, 0);
    for (int i = 0; i < 20; i++) {
        outcome_t outcome = read_user(42);
        cr_expect(!outcome.hit);
        cr_expect_lt(outcome.after_ms, TIMEOUT_MS + 200);
        cr_assert(!done_comes(100), "while Redis is frozen");
    }
    thaw();
    int64_t begun = wl_mono_now().ms;
    expect_done(42, 31);
    cr_expect_lt(wl_mono_now().ms - begun, 3000);
    cr_expect(!read_user(42).hit, "the old copy has gone");
    cr_expect_eq(ask(self.redis, "w:42", "HLEN w:42").integer, 1);
    tell_fill(42, &asset, 1, 10);
    wait_ms(1500); /* a marker that began after the outage is seen */
    tell_fill(42, &asset, 1, 10);
    wait_ms(50);
    outcome_t outcome = read_user(42);
    cr_expect(outcome.hit && body_has(outcome.body, NEW));
    close_all();
}

Test(cache_remote, a_change_is_held_until_no_marker_can_live_and_old_copies_are_not_served_then) {
    open_as("all");
    warm_up(42, 9);
    freeze();
    wl_asset_t asset = new_asset(42);
    int64_t begun = wl_mono_now().ms;
    tell_stored(&asset, 31, 10, 0);
    cr_assert(!done_comes(5000), "older copies may be served elsewhere");
    expect_done(42, 31);
    int64_t held = wl_mono_now().ms - begun;
    cr_expect(held >= 6500 && held < 6500 + TIMEOUT_MS + 700, "%lld", (long long)held);
    thaw();
    int64_t until = wl_mono_now().ms + 2500;
    while (wl_mono_now().ms < until) { /* also when the marker has begun anew */
        outcome_t outcome = read_user(42);
        cr_assert(!outcome.hit || !body_has(outcome.body, OLD));
        wait_ms(20);
    }
    close_all();
}

Test(cache_remote, a_restarted_redis_serves_only_what_was_filled_since) {
    open_as("all");
    warm_up(42, 9);
    server_kill(&self.server);
    cr_expect(!read_user(42).hit);
    server_start(&self.server, "--appendonly", "yes", NULL);
    cr_expect_eq(ask_until(self.redis, "w:42", "HEXISTS w:42 #w", WL_OK).integer, 1,
                 "the copy was kept, as a server that lost the newest writes would");
    int64_t until = wl_mono_now().ms + 3000;
    while (wl_mono_now().ms < until) {
        cr_assert(!read_user(42).hit, "what was put after the fill may be lost");
        wait_ms(20);
    }
    cr_expect_gt(stage_counter(&self.stage, WL_COUNTER_cache_untrusted, 1), 0u);
    wl_asset_t asset = new_asset(42);
    tell_fill(42, &asset, 1, 10);
    wait_ms(100);
    outcome_t outcome = read_user(42);
    cr_expect(outcome.hit && body_has(outcome.body, NEW));
    close_all();
}

Test(cache_remote, ends_while_redis_is_frozen) {
    open_as("all");
    warm_up(42, 9);
    freeze();
    wl_asset_t asset = new_asset(42);
    tell_stored(&asset, 31, 10, 0);
    stage_read(&self.stage, test_read(1, 42, WL_METHOD_HOME, PATIENCE_MS));
    wait_ms(50);
    cr_expect_lt(stage_stop(&self.stage), 3000);
    cr_expect(!done_comes(QUIET_MS), "nobody knows whether it took effect");
    thaw();
    close_all();
}

/* ---- a reader ---------------------------------------------------------------------------------- */

static void on_renewed(wl_err_t err, void *ctx) {
    *(wl_err_t *)ctx = err;
}

/* What a writer's cache does each second. */
static void marker_renew(bool afresh) {
    wl_err_t err = WL_ERR_INTERNAL;
    wl_cache_redis_t *cache = wl_cache_redis_new(
        &(wl_cache_redis_options_t){.redis = self.redis, .prefix = "w:", .ttl_s = 100});
    wl_cache_redis_renew(cache, 0, 0, afresh, INT64_MAX, on_renewed, &err);
    cr_assert_eq(wl_redis_wait(self.redis, 5000), WL_OK);
    cr_assert_eq(err, WL_OK);
    wl_cache_redis_destroy(&cache);
}

Test(cache_remote, a_reader_serves_while_a_writer_vouches_and_never_puts) {
    open_as("reader");
    wl_asset_t asset = old_asset(42);
    wait_ms(300);
    tell_fill(42, &asset, 1, 9);
    wait_ms(600);
    cr_expect(!read_user(42).hit, "no writer vouches for it");
    marker_renew(true);
    wait_ms(600);
    cr_expect(!read_user(42).hit, "filled before the writer vouched");
    warm_up(42, 9);
    asset = new_asset(42);
    wl_notice_begin(self.stage.encoder, &(wl_notice_head_t){.dispatcher = 0});
    wl_notice_add(
        self.stage.encoder,
        &(wl_notice_item_t){.uid = 42, .seq = 31, .state = WL_MARK_PENDING, .line = "cash"});
    stage_send(&self.stage);
    tell_stored(&asset, 31, 10, WL_DISPATCHER_NONE);
    cr_expect(body_has(read_user(42).body, "refreshing"), "the put may be under way");
    wait_ms(WL_MARK_ENDS_MS + 200);
    cr_expect_not(body_has(read_user(42).body, "refreshing"));
    neighbour_hears_nothing(&self.dispatcher);
    cr_expect_str_eq(ask(self.redis, "w:42", "HGET w:42 #s").text, "00000000000000000009");
    cr_expect(body_has(read_user(42).body, OLD), "the writer's put will change it");
    marker_renew(true); /* a put of the writer failed */
    wait_ms(600);
    cr_expect(!read_user(42).hit);
    warm_up(42, 9);
    wait_ms(WL_CACHE_MARKER_MS + 600); /* the writer is away */
    cr_expect(!read_user(42).hit);
    cr_expect_eq(ask(self.redis, NULL, "EXISTS w:sound:{0}:0").integer, 0);
    close_all();
}
