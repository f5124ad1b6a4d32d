/* The cache actor with Redis behind a link that is cut and heals. What was written into a cut link is
 * not lost: the kernel sends it again for minutes, also when the client has long given it up. */
#include "actors/cache.h"

#include "../stores.h"
#include "../unit/store/redis_world.h"
#include "read_path.h"

#include <pthread.h>
#include <stdatomic.h>

enum { TIMEOUT_MS = 300, PAIRS_MAX = 64, HELD_MAX = 1 << 20, GIVE_UP_MS = 6000 };

#define OLD "\xce\x11\x22\x33\x44" /* 287454020 */
#define NEW "\xce\x21\x32\x43\x54" /* 556942164 */

/* ---- a link that can be cut ------------------------------------------------------------------- */

typedef struct {
    int client;
    int server;
} pair_t;

static struct {
    pthread_t thread;
    int listener;
    uint16_t port;
    uint16_t server_port;
    pair_t pairs[PAIRS_MAX];
    int count;
    atomic_bool cut, end;
    char held[HELD_MAX]; /* what clients wrote into the cut link, of the first connection */
    size_t held_bytes;
    int held_of; /* its client, -1 = none yet */
} wire;

static void pair_close(pair_t *pair) {
    (void)close(pair->client);
    (void)close(pair->server);
    *pair = wire.pairs[--wire.count];
}

/* false: one side has gone. */
static bool bytes_pass(pair_t *pair, int from, int to, bool up) {
    char bytes[65536];
    ssize_t count = recv(from, bytes, sizeof bytes, MSG_DONTWAIT);
    if (count <= 0) {
        return count < 0 && errno == EAGAIN;
    }
    if (!atomic_load(&wire.cut)) {
        return send(to, bytes, (size_t)count, MSG_NOSIGNAL) == count;
    }
    if (up && (wire.held_of == -1 || wire.held_of == pair->client) &&
        wire.held_bytes + (size_t)count <= HELD_MAX) {
        wire.held_of = pair->client;
        memcpy(wire.held + wire.held_bytes, bytes, (size_t)count);
        wire.held_bytes += (size_t)count;
    }
    return true;
}

static void *wire_run(void *arg) {
    (void)arg;
    while (!atomic_load(&wire.end)) {
        struct pollfd fds[1 + 2 * PAIRS_MAX] = {{.fd = wire.listener, .events = POLLIN}};
        for (int i = 0; i < wire.count; i++) {
            fds[1 + 2 * i] = (struct pollfd){.fd = wire.pairs[i].client, .events = POLLIN};
            fds[2 + 2 * i] = (struct pollfd){.fd = wire.pairs[i].server, .events = POLLIN};
        }
        (void)poll(fds, (nfds_t)(1 + 2 * wire.count), 10);
        for (int i = wire.count - 1; i >= 0; i--) {
            pair_t *pair = &wire.pairs[i];
            if (!bytes_pass(pair, pair->client, pair->server, true) ||
                !bytes_pass(pair, pair->server, pair->client, false)) {
                pair_close(pair);
            }
        }
        if (fds[0].revents != 0 && wire.count < PAIRS_MAX) {
            struct sockaddr_in at = loopback(wire.server_port);
            pair_t pair = {accept(wire.listener, NULL, NULL), socket(AF_INET, SOCK_STREAM, 0)};
            (void)connect(pair.server, (struct sockaddr *)&at, sizeof at);
            wire.pairs[wire.count++] = pair;
        }
    }
    return NULL;
}

static void wire_start(uint16_t server_port) {
    memset(&wire, 0, sizeof wire);
    wire.held_of = -1;
    wire.server_port = server_port;
    wire.listener = listen_anywhere(&wire.port);
    cr_assert_eq(pthread_create(&wire.thread, NULL, wire_run, NULL), 0);
}

static void wire_stop(void) {
    atomic_store(&wire.end, true);
    (void)pthread_join(wire.thread, NULL);
    while (wire.count > 0) {
        pair_close(&wire.pairs[0]);
    }
    (void)close(wire.listener);
}

/* ---- the stage -------------------------------------------------------------------------------- */

static struct {
    stage_t stage;
    neighbour_t query;
    neighbour_t frontend;
    neighbour_t dispatcher;
    server_t server;
    wl_redis_t *redis; /* past the link */
    uint64_t ticket;
} self;

TestSuite(cache_late, .timeout = 60);

static void open_at(const char *nodes, bool cluster, const char *prefix) {
    stage_open(&self.stage);
    wl_settings_t *settings = &self.stage.settings;
    (void)snprintf(settings->cache_store, sizeof settings->cache_store, "redis");
    (void)snprintf(settings->cache_redis, sizeof settings->cache_redis, "%s", nodes);
    (void)snprintf(settings->cache_prefix, sizeof settings->cache_prefix, "%s", prefix);
    settings->cache_cluster = cluster;
    settings->cache_ttl_s = 60;
    settings->redis_timeout_ms = TIMEOUT_MS;
    self.query = neighbour_open(WL_ACTOR_QUERY, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self.dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    stage_start(&self.stage, WL_ACTOR_CACHE, wl_cache_run);
    stage_configure(&self.stage);
}

static void close_actor(void) {
    (void)stage_stop(&self.stage);
    neighbour_close(&self.query);
    neighbour_close(&self.frontend);
    neighbour_close(&self.dispatcher);
    stage_close(&self.stage);
}

static void open_all(void) {
    char nodes[32];
    memset(&self, 0, sizeof self);
    folder_make();
    server_start(&self.server, NULL);
    wire_start(self.server.port);
    (void)snprintf(nodes, sizeof nodes, "127.0.0.1:%u", (unsigned)wire.port);
    open_at(nodes, false, "w:");
    self.redis = client(self.server.at);
}

static void close_all(void) {
    close_actor();
    wl_redis_destroy(&self.redis);
    wire_stop();
    server_kill(&self.server);
    folder_remove();
}

static void tell_fill(wl_asset_t asset, uint64_t commit_seq) {
    wl_fill_item_t item = {.uid = asset.uid, .assets = {&asset, 1}};
    wl_fill_begin(self.stage.encoder, &(wl_fill_head_t){.commit_seq = commit_seq});
    wl_fill_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static void tell_stored(wl_asset_t asset, uint64_t seq, uint64_t commit_seq) {
    wl_stored_head_t head = {.commit_seq = commit_seq};
    memcpy(head.line, asset.line, sizeof head.line);
    wl_stored_item_t item = {.uid = asset.uid,
                             .seq = seq,
                             .outcome = WL_PULL_OK,
                             .owns = true,
                             .notified_at = 55,
                             .assets = {&asset, 1}};
    wl_stored_begin(self.stage.encoder, &head);
    wl_stored_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

/* true: the cache answered, with the body until the next read; false: it was a miss. */
static bool read_user(uint64_t uid, wl_bytes_t *ret_body) {
    uint64_t ticket = ++self.ticket;
    stage_read(&self.stage, test_read(ticket, uid, WL_METHOD_HOME, PATIENCE_MS));
    zmq_pollitem_t items[] = {{zsock_resolve(self.frontend.inbox), 0, ZMQ_POLLIN, 0},
                              {zsock_resolve(self.query.inbox), 0, ZMQ_POLLIN, 0}};
    cr_assert_gt(zmq_poll(items, 2, PATIENCE_MS), 0, "nobody got it");
    if (items[0].revents == 0) {
        (void)neighbour_expect(&self.query, WL_MSG_READ, 1);
        return false;
    }
    wl_msg_t msg = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_assert(msg.items.reply[0].ticket == ticket && msg.items.reply[0].error == (uint32_t)WL_OK);
    *ret_body = msg.items.reply[0].body;
    return true;
}

/* Fills until a copy is served: connected, and a marker was seen. */
static void serve_until_hit(uint64_t uid, uint64_t commit_seq) {
    wl_bytes_t body = {NULL, 0};
    int64_t until = wl_mono_now().ms + 2 * PATIENCE_MS;
    bool hit = false;
    while (!hit && wl_mono_now().ms < until) {
        tell_fill(test_asset(uid, "cash", 287454020, 7), commit_seq);
        wait_ms(50);
        hit = read_user(uid, &body);
    }
    cr_assert(hit, "copies are served");
}

static wl_asset_t old_asset(void) {
    return test_asset(43, "cash", 287454020, 7);
}

static void expect_done(void) {
    cr_assert(socket_readable(self.dispatcher.inbox, GIVE_UP_MS + 2 * PATIENCE_MS));
    (void)neighbour_expect(&self.dispatcher, WL_MSG_DONE, 1);
}

/* What was written into the cut link arrives after all. */
static void held_arrives(void) {
    char answer[4096];
    struct sockaddr_in at = loopback(self.server.port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert_gt(wire.held_bytes, 0, "nothing was under way");
    cr_assert_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    cr_assert_eq(send(fd, wire.held, wire.held_bytes, MSG_NOSIGNAL), (ssize_t)wire.held_bytes);
    cr_assert_gt(recv(fd, answer, sizeof answer, 0), 0);
    (void)close(fd);
}

Test(cache_late, a_fill_from_before_an_outage_is_not_served_after_it) {
    open_all();
    serve_until_hit(42, 5); /* Redis knows the script of a fill, the link stands */
    atomic_store(&wire.cut, true);
    tell_fill(old_asset(), 9);
    wait_ms(2 * TIMEOUT_MS); /* given up */
    tell_stored(test_asset(43, "cash", 556942164, 8), 31, 10);
    expect_done(); /* its put could not be made, and older copies are not served any more */
    atomic_store(&wire.cut, false);
    serve_until_hit(44, 11); /* all is well again */
    held_arrives();
    wl_bytes_t body = {NULL, 0};
    bool hit = read_user(43, &body);
    cr_expect(!hit || !body_has(body, OLD), "commit 10 was done before this read");
    cr_expect_eq(ask(self.redis, "w:43", "HEXISTS w:43 #w").integer, 0, "refused as too late");
    close_all();
}

Test(cache_late, a_fill_is_taken_over_a_link_that_was_made_anew) {
    open_all();
    serve_until_hit(42, 5);
    atomic_store(&wire.cut, true);
    wait_ms(1000);
    atomic_store(&wire.cut, false);
    serve_until_hit(43, 9);
    close_all();
}

Test(cache_late, fills_are_taken_by_each_server_of_a_cluster) {
    char prefix[32];
    memset(&self, 0, sizeof self);
    open_at(stores_redis_cluster(), true, stores_name("cl_", prefix, sizeof prefix));
    for (uint64_t uid = 1; uid <= 40; uid++) { /* 40 keys miss one of three servers once in 10^7 */
        serve_until_hit(uid, 9);
    }
    close_actor();
}
