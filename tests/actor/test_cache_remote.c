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

static void open_with(const char *role, uint64_t timeout_ms) {
    memset(&self, 0, sizeof self);
    folder_make();
    server_start(&self.server, "--appendonly", "yes", "--appendfsync", "always", NULL);
    stage_open(&self.stage);
    wl_settings_t *settings = &self.stage.settings;
    (void)snprintf(settings->server_role, sizeof settings->server_role, "%s", role);
    (void)snprintf(settings->cache_store, sizeof settings->cache_store, "redis");
    (void)snprintf(settings->cache_redis, sizeof settings->cache_redis, "%s", self.server.at);
    settings->redis_timeout_ms = timeout_ms;
    self.query = neighbour_open(WL_ACTOR_QUERY, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self.dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    stage_start(&self.stage, WL_ACTOR_CACHE, wl_cache_run);
    stage_configure(&self.stage);
    self.redis = client(self.server.at);
}

static void open_as(const char *role) {
    open_with(role, TIMEOUT_MS);
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
    wl_bytes_t body; /* of a hit, until the next read */
} outcome_t;

/* Reads a user: a reply of the cache, or the miss at query. */
static outcome_t read_user(uint64_t uid) {
    uint64_t ticket = ++self.ticket;
    wl_msg_t msg = {0};
    stage_read(&self.stage, test_read(ticket, uid, WL_METHOD_HOME, PATIENCE_MS));
    zmq_pollitem_t items[] = {{zsock_resolve(self.frontend.inbox), 0, ZMQ_POLLIN, 0},
                              {zsock_resolve(self.query.inbox), 0, ZMQ_POLLIN, 0}};
    cr_assert_gt(zmq_poll(items, 2, PATIENCE_MS), 0, "nobody got it");
    outcome_t outcome = {.hit = items[0].revents != 0};
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

/* Fills a copy until it is served: the connection is up and a marker was seen. */
static void await_copy(wl_asset_t *asset, uint64_t commit_seq, const char *mark) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    outcome_t outcome = {.hit = false};
    while (!outcome.hit && wl_mono_now().ms < until) {
        tell_fill(asset->uid, asset, 1, commit_seq);
        wait_ms(50);
        outcome = read_user(asset->uid);
    }
    cr_assert(outcome.hit && body_has(outcome.body, mark));
}

static void warm_up(uint64_t uid, uint64_t commit_seq) {
    wl_asset_t asset = old_asset(uid);
    await_copy(&asset, commit_seq, OLD);
}

static void await_new(uint64_t uid, uint64_t commit_seq) {
    wl_asset_t asset = new_asset(uid);
    await_copy(&asset, commit_seq, NEW);
}

/* Reads until the copy is not served any more. */
static void await_miss(uint64_t uid, int64_t patience_ms) {
    int64_t until = wl_mono_now().ms + patience_ms;
    while (read_user(uid).hit) {
        cr_assert_lt(wl_mono_now().ms, until, "it is served on and on");
        wait_ms(20);
    }
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

/* What a read brought along outlives its message, which is gone when Redis answers. */
Test(cache_remote, a_read_that_waited_for_redis_still_knows_its_floors) {
    open_as("all");
    warm_up(41, 9);
    wl_read_item_t read = test_read(5, 42, WL_METHOD_HOME, PATIENCE_MS);
    read.filter = (wl_bytes_t){(const uint8_t *)"", 0};
    read.floors = (wl_bytes_t){(const uint8_t *)"cash:900,", 9};
    stage_read(&self.stage, read);
    wl_read_item_t other = test_read(6, 43, WL_METHOD_ASSETS, PATIENCE_MS);
    other.filter = (wl_bytes_t){(const uint8_t *)"coin,coin,coin,", 15};
    other.floors = (wl_bytes_t){(const uint8_t *)"", 0};
    stage_read(&self.stage, other);
    for (uint32_t seen = 0; seen < 2;) {
        wl_msg_t msg = {0};
        cr_assert(neighbour_next(&self.query, &msg, PATIENCE_MS) && msg.id == WL_MSG_READ);
        for (uint32_t i = 0; i < msg.count; i++, seen++) {
            const wl_read_item_t *item = &msg.items.read[i];
            const wl_read_item_t *sent = item->ticket == 5 ? &read : &other;
            cr_assert_eq(item->floors.count, sent->floors.count);
            cr_assert_eq(item->filter.count, sent->filter.count);
            cr_expect_eq(memcmp(item->floors.at, sent->floors.at, sent->floors.count), 0);
            cr_expect_eq(memcmp(item->filter.at, sent->filter.at, sent->filter.count), 0);
        }
    }
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
        cr_expect(!read_user(42).hit, "well before its deadline");
        cr_assert(!done_comes(100), "while Redis is frozen");
    }
    thaw();
    expect_done(42, 31);
    cr_expect(!read_user(42).hit, "the old copy has gone");
    cr_expect_eq(ask(self.redis, "w:42", "HLEN w:42").integer, 1);
    await_new(42, 10); /* once a marker that began after the outage is seen */
    close_all();
}

/* However long a command may take: half of what a read has left is for the database. */
Test(cache_remote, a_read_does_not_wait_for_a_frozen_redis_until_its_deadline) {
    enum { BUDGET_MS = 2000 };
    open_with("all", 4 * BUDGET_MS);
    warm_up(42, 9);
    freeze();
    wl_read_item_t reads[2] = {test_read(++self.ticket, 42, WL_METHOD_HOME, BUDGET_MS),
                               test_read(++self.ticket, 42, WL_METHOD_HOME, 20 * BUDGET_MS)};
    stage_read(&self.stage, reads[0]);
    stage_read(&self.stage, reads[1]);
    wl_msg_t msg = neighbour_expect(&self.query, WL_MSG_READ, 1);
    cr_expect_eq(msg.items.read[0].ticket, reads[0].ticket);
    cr_expect(!socket_readable(self.query.inbox, QUIET_MS), "the other one has the time");
    thaw();
    zmq_pollitem_t items[] = {{zsock_resolve(self.frontend.inbox), 0, ZMQ_POLLIN, 0},
                              {zsock_resolve(self.query.inbox), 0, ZMQ_POLLIN, 0}};
    cr_expect_gt(zmq_poll(items, 2, PATIENCE_MS), 0, "nobody got it");
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
    cr_expect(held >= 6500, "%lld", (long long)held);
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
    await_new(42, 10);
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

/* ---- a reader -------------------------------------------------------------------------------- */

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
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (body_has(read_user(42).body, "refreshing")) {
        cr_assert_lt(wl_mono_now().ms, until, "it takes much longer than a put");
        wait_ms(20);
    }
    neighbour_hears_nothing(&self.dispatcher);
    cr_expect_str_eq(ask(self.redis, "w:42", "HGET w:42 #s").text, "00000000000000000009");
    cr_expect(body_has(read_user(42).body, OLD), "the writer's put will change it");
    marker_renew(true); /* a put of the writer failed */
    await_miss(42, PATIENCE_MS);
    warm_up(42, 9);
    await_miss(42, WL_CACHE_MARKER_MS + PATIENCE_MS); /* the writer is away */
    cr_expect_eq(ask(self.redis, NULL, "EXISTS w:sound:{0}:0").integer, 0);
    close_all();
}

/* ---- withdrawn consents ---------------------------------------------------------------------- */

static void tell_withdrawn(uint64_t uid, uint64_t seq, uint64_t commit_seq, uint32_t dispatcher) {
    wl_asset_t record = old_asset(uid);
    record.state = WL_STATE_GONE;
    (void)snprintf(record.bucket, sizeof record.bucket, "%s", WL_BUCKET_CONSENT);
    tell_stored(&record, seq, commit_seq, dispatcher);
}

static void expect_on(uint64_t uid, uint64_t seq, uint32_t dispatcher) {
    wl_msg_t on = neighbour_expect(&self.query, WL_MSG_STORED, 1);
    cr_expect_eq(on.head.stored.dispatcher, dispatcher);
    cr_expect_str_eq(on.head.stored.line, "cash");
    cr_expect(on.items.stored[0].uid == uid && on.items.stored[0].seq == seq);
    cr_expect_eq(on.items.stored[0].outcome, (uint8_t)WL_PULL_OK);
    cr_expect_eq(on.items.stored[0].notified_at, 55);
    cr_expect(wl_asset_is_consent(&on.items.stored[0].assets.at[0]));
}

Test(cache_remote, a_withdrawn_consent_goes_on_when_redis_has_nothing_of_the_user) {
    open_as("all");
    warm_up(42, 9);
    tell_withdrawn(42, 31, 10, 0);
    expect_on(42, 31, 0);
    cr_expect_eq(ask(self.redis, "w:42", "HLEN w:42").integer, 1, "the fence");
    cr_expect_str_eq(ask(self.redis, "w:42", "HGET w:42 #s").text, "00000000000000000010");
    cr_expect(!read_user(42).hit);
    wl_asset_t asset = old_asset(42);
    tell_fill(42, &asset, 1, 9); /* read before it */
    stage_expect_counter(&self.stage, cache_fill_refused, 1);
    neighbour_hears_nothing(&self.dispatcher);
    close_all();
}

Test(cache_remote, a_withdrawn_consent_waits_for_redis_however_long) {
    open_as("all");
    warm_up(42, 9);
    freeze();
    wl_asset_t other = new_asset(43);
    tell_withdrawn(42, 31, 10, 0);
    tell_stored(&other, 32, 10, 0); /* an ordinary change is let go after a while */
    int64_t until = wl_mono_now().ms + 9000;
    while (wl_mono_now().ms < until && !done_comes(0)) {
        cr_assert_not(socket_readable(self.query.inbox, 50), "it is not acknowledged");
        cr_assert(!read_user(42).hit);
    }
    expect_done(43, 32);
    cr_assert_not(socket_readable(self.query.inbox, 600));
    thaw();
    expect_on(42, 31, 0);
    cr_expect_eq(ask(self.redis, "w:42", "HEXISTS w:42 #w").integer, 0);
    close_all();
}

Test(cache_remote, a_reader_does_not_wait_for_redis_and_serves_no_copy_from_before) {
    open_as("reader");
    marker_renew(true);
    wait_ms(600);
    warm_up(42, 9);
    warm_up(43, 9);
    tell_withdrawn(42, 31, 10, WL_DISPATCHER_NONE);
    expect_on(42, 31, WL_DISPATCHER_NONE);
    cr_expect_eq(ask(self.redis, "w:42", "HEXISTS w:42 #w").integer, 1, "the writer deletes it");
    cr_expect(!read_user(42).hit);
    marker_renew(false);
    cr_expect(read_user(43).hit);
    close_all();
}
