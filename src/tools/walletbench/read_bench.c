/* How many home pages a second, measured against a bare ROUTER echo of equal sizes. */
#include "base/check.h"
#include "tools/walletbench/big_set.h"
#include "tools/walletbench/config_bench.h"
#include "tools/walletbench/fleet.h"
#include "tools/walletbench/http_fleet.h"
#include "tools/walletbench/notify.h"
#include "tools/walletbench/reconcile.h"
#include "tools/walletbench/servers.h"
#include "tools/walletbench/world.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

enum {
    USERS = 10000,
    CLIENTS = 64,
    WINDOW = 8,
    UID = 1,
    ABSENT_UID = 2000000000,
    PUBLISHING_SIDES = 2,   /* longer, so that several changes fall into each */
    RECONCILE_RATE = 20000, /* as reconcile.rate has it */
};

static const char *const line_ids[] = {"cash", "withdraw", "rebate", "coin"};

typedef struct {
    bench_fleet_t *ours;
    bench_fleet_t *theirs;
    bench_http_t *http; /* the other side of read_vs_node */
    uint32_t side_ms;
    uint64_t our_uid; /* first of USERS users */
    pid_t publisher;  /* of read_publishing */
    wallet_t *writer; /* of read_reconciling */
} sides_t;

static void line_text(char *into, size_t room, const char *id, const char *kind,
                      const char *endpoint) {
    (void)snprintf(into, room,
                   "\"%s\": {\"kind\": \"%s\", \"title\": \"%s\", \"url\": \"%s\", "
                   "\"unit\": \"CNY\", \"scale\": 2, \"batch_max\": 200, \"batch_wait_ms\": 2}",
                   id, kind, id, endpoint);
}

/* A walletd that holds USERS users with four lines each, all of them in the cache. */
static void reader_start(const bench_setup_t *setup, const char *name, const char *settings,
                         bench_walletd_t *ret) {
    static const char *const kinds[] = {"cash", "activity", "cashback", "coin"};
    char endpoint[BENCH_ENDPOINT_MAX];
    bool big = strcmp(settings, BENCH_BIG_SETTINGS) == 0;
    char line[4][320];
    char lines[1400];
    bench_endpoint(endpoint);
    (void)bench_peer_start("line", endpoint, "");
    for (int i = 0; i < 4; i++) {
        line_text(line[i], sizeof line[i], line_ids[i], kinds[i], endpoint);
    }
    (void)snprintf(lines, sizeof lines, "{%s, %s, %s, %s}", line[0], line[1], line[2], line[3]);
    bench_walletd_options_t options = {
        .name = name,
        .lines = lines,
        .golden = "[{\"line\": \"cash\"}, {\"line\": \"withdraw\"}, {\"line\": \"rebate\"}, "
                  "{\"line\": \"coin\"}]",
        .sections = "[{\"kind\": \"cash\", \"lines\": [\"cash\"]}, "
                    "{\"kind\": \"activity\", \"lines\": [\"withdraw\"]}, "
                    "{\"kind\": \"cashback\", \"lines\": [\"rebate\"]}, "
                    "{\"kind\": \"coin\", \"lines\": [\"coin\"]}]",
        .settings = settings,
    };
    bench_walletd_prepare(setup, &options, ret);
    if (big) {
        bench_big_prepare(ret->data);
    }
    bench_walletd_spawn(ret);
    bench_walletd_wait(ret);
    for (int i = 0; i < 4; i++) {
        bench_populate(ret->write, line_ids[i], UID, USERS);
    }
}

static double run_ours(void *arg) {
    sides_t *sides = arg;
    return bench_fleet_run(sides->ours, sides->our_uid, USERS, sides->side_ms);
}

static double run_theirs(void *arg) {
    sides_t *sides = arg;
    return bench_fleet_run(sides->theirs, UID, USERS, sides->side_ms);
}

static bench_fleet_t *fleet_warm(const char *endpoint, uint32_t window) {
    bench_fleet_t *fleet = bench_fleet_open(endpoint, CLIENTS, window);
    bench_fleet_visit(fleet, UID, USERS);
    return fleet;
}

static bench_result_t against_echo(const bench_setup_t *setup, uint32_t window) {
    bench_walletd_t walletd;
    char echo[BENCH_ENDPOINT_MAX];
    char bytes[32];
    reader_start(setup, "reader", "", &walletd);
    sides_t sides = {.side_ms = setup->side_ms, .our_uid = UID};
    sides.ours = fleet_warm(walletd.read, window);
    bench_fleet_visit(sides.ours, UID, USERS); /* from the cache, so the size is the usual one */
    (void)snprintf(bytes, sizeof bytes, "%u", bench_fleet_reply_bytes(sides.ours));
    bench_endpoint(echo);
    pid_t peer = bench_peer_start("echo", echo, bytes);
    sides.theirs = bench_fleet_open(echo, CLIENTS, window);
    bench_result_t result = bench_pairs(setup, "replies/s", run_ours, run_theirs, &sides);
    bench_fleet_close(&sides.ours);
    bench_fleet_close(&sides.theirs);
    bench_peer_stop(peer);
    bench_walletd_stop(&walletd);
    return result;
}

bench_result_t bench_read_lockstep(const bench_setup_t *setup) {
    return against_echo(setup, 1);
}

bench_result_t bench_read_pipelined(const bench_setup_t *setup) {
    return against_echo(setup, WINDOW);
}

bench_result_t bench_read_absent(const bench_setup_t *setup) {
    bench_walletd_t walletd;
    reader_start(setup, "reader", "", &walletd);
    sides_t sides = {.side_ms = setup->side_ms, .our_uid = ABSENT_UID};
    sides.ours = bench_fleet_open(walletd.read, CLIENTS, WINDOW);
    sides.theirs = fleet_warm(walletd.read, WINDOW);
    bench_result_t result = bench_pairs(setup, "replies/s", run_ours, run_theirs, &sides);
    bench_fleet_close(&sides.ours);
    bench_fleet_close(&sides.theirs);
    bench_walletd_stop(&walletd);
    return result;
}

bench_result_t bench_read_flat(const bench_setup_t *setup) {
    bench_walletd_t big;
    bench_walletd_t small;
    reader_start(setup, "big", BENCH_BIG_SETTINGS, &big);
    reader_start(setup, "small", "", &small);
    sides_t sides = {.side_ms = setup->side_ms, .our_uid = UID};
    sides.ours = fleet_warm(big.read, WINDOW);
    sides.theirs = fleet_warm(small.read, WINDOW);
    bench_result_t result = bench_pairs(setup, "replies/s", run_ours, run_theirs, &sides);
    bench_fleet_close(&sides.ours);
    bench_fleet_close(&sides.theirs);
    bench_walletd_stop(&big);
    bench_walletd_stop(&small);
    return result;
}

static void redis_settings(const bench_server_t *redis, char *ret, size_t bytes) {
    (void)snprintf(ret, bytes, "[cache]\nstore = redis\nredis = 127.0.0.1:%u\n", redis->port);
}

bench_result_t bench_read_redis(const bench_setup_t *setup) {
    bench_server_t redis;
    bench_walletd_t shared;
    bench_walletd_t embedded;
    char settings[128];
    bench_redis_start(setup, "redis", false, &redis);
    redis_settings(&redis, settings, sizeof settings);
    reader_start(setup, "shared", settings, &shared);
    reader_start(setup, "embedded", "", &embedded);
    sides_t sides = {.side_ms = setup->side_ms, .our_uid = UID};
    sides.ours = fleet_warm(shared.read, WINDOW);
    sides.theirs = fleet_warm(embedded.read, WINDOW);
    bench_result_t result = bench_pairs(setup, "replies/s", run_ours, run_theirs, &sides);
    bench_fleet_close(&sides.ours);
    bench_fleet_close(&sides.theirs);
    bench_walletd_stop(&shared);
    bench_walletd_stop(&embedded);
    bench_server_stop(&redis);
    return result;
}

static double run_http(void *arg) {
    sides_t *sides = arg;
    return bench_http_run(sides->http, UID, USERS, sides->side_ms);
}

/* Both with Redis behind them and 64 clients with one request under way each. */
bench_result_t bench_read_vs_node(const bench_setup_t *setup) {
    bench_server_t redis;
    bench_server_t their_redis;
    bench_server_t node;
    bench_walletd_t walletd;
    char settings[128];
    bench_redis_start(setup, "redis", false, &redis);
    bench_redis_start(setup, "their_redis", false, &their_redis);
    redis_settings(&redis, settings, sizeof settings);
    reader_start(setup, "reader", settings, &walletd);
    bench_node_start(setup, &their_redis, USERS, &node);
    sides_t sides = {.side_ms = setup->side_ms, .our_uid = UID};
    sides.ours = fleet_warm(walletd.read, 1);
    sides.http = bench_http_open(node.port, CLIENTS);
    bench_result_t result = bench_pairs(setup, "answers/s", run_ours, run_http, &sides);
    bench_fleet_close(&sides.ours);
    bench_http_close(&sides.http);
    bench_server_stop(&node);
    bench_walletd_stop(&walletd);
    bench_server_stop(&redis);
    bench_server_stop(&their_redis);
    return result;
}

/* The publisher is stopped meanwhile by its signal, so that both sides have its process. */
static double run_publishing(void *arg) {
    sides_t *sides = arg;
    (void)kill(sides->publisher, SIGCONT);
    double rate = bench_fleet_run(sides->ours, UID, USERS, PUBLISHING_SIDES * sides->side_ms);
    (void)kill(sides->publisher, SIGSTOP);
    return rate;
}

static double run_quiet(void *arg) {
    sides_t *sides = arg;
    return bench_fleet_run(sides->ours, UID, USERS, PUBLISHING_SIDES * sides->side_ms);
}

bench_result_t bench_read_publishing(const bench_setup_t *setup) {
    bench_walletd_t walletd;
    reader_start(setup, "reader", "", &walletd);
    sides_t sides = {.side_ms = setup->side_ms};
    sides.ours = fleet_warm(walletd.read, WINDOW);
    sides.publisher = bench_peer_start("publish", walletd.write, "");
    wallet_t *writer = bench_open(walletd.write);
    bench_result_t result = bench_pairs(setup, "replies/s", run_publishing, run_quiet, &sides);
    uint64_t due = (setup->pairs + 1) * PUBLISHING_SIDES * setup->side_ms / 1000;
    uint64_t published = bench_published(writer);
    if (published < due * 3 / 4) {
        bench_fail("%llu changes were published, not %llu", (unsigned long long)published,
                   (unsigned long long)due);
    }
    wallet_close(&writer);
    bench_fleet_close(&sides.ours);
    (void)kill(sides.publisher, SIGCONT);
    bench_peer_stop(sides.publisher);
    bench_walletd_stop(&walletd);
    return result;
}

/* ---- while a run compares ------------------------------------------------------------------- */

static double run_reconciling(void *arg) {
    sides_t *sides = arg;
    uint64_t rows = 0;
    uint64_t ms = 0;
    bench_reconcile_begin(sides->writer, RECONCILE_RATE);
    double rate = bench_fleet_run(sides->ours, UID, USERS, sides->side_ms);
    bench_reconcile_wait(sides->writer, &rows, &ms);
    return rate;
}

static double run_uncompared(void *arg) {
    sides_t *sides = arg;
    return bench_fleet_run(sides->ours, UID, USERS, sides->side_ms);
}

bench_result_t bench_read_reconciling(const bench_setup_t *setup) {
    bench_walletd_t walletd;
    reader_start(setup, "reader", "[reconcile]\nat =\nrolling_s = 0\n", &walletd);
    /* as long as a run of that rate takes: each user has four records */
    sides_t sides = {.side_ms = USERS * 4 * 1000 / RECONCILE_RATE};
    sides.ours = fleet_warm(walletd.read, WINDOW);
    sides.writer = bench_open(walletd.write);
    bench_result_t result =
        bench_pairs(setup, "replies/s", run_reconciling, run_uncompared, &sides);
    wallet_close(&sides.writer);
    bench_fleet_close(&sides.ours);
    bench_walletd_stop(&walletd);
    return result;
}
