/* cluster_world.h: for tests of Redis Cluster: three masters and three replicas of the test's own,
 * that it may stop and kill. */
#ifndef WL_TEST_CLUSTER_WORLD_H
#define WL_TEST_CLUSTER_WORLD_H

#include "redis_world.h"

/* A cluster of the test's own: masters 0, 1, 2 and one replica each, 3, 4, 5. */
enum { MASTERS = 3, SERVERS = 6, NODE_TIMEOUT_MS = 500 };

static server_t servers[SERVERS];
static wl_redis_t *direct[SERVERS]; /* one client each that knows of no cluster */
static char seeds[128];             /* the masters' addresses */
static bool cluster_durable;        /* with append-only files, flushed at each command */

static inline answer_t tell(int server, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline answer_t tell(int server, const char *format, ...) {
    char words[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(words, sizeof words, format, args);
    va_end(args);
    return ask(direct[server], NULL, words);
}

static inline void cluster_server_start(int index) {
    char config[32];
    char timeout[8];
    (void)snprintf(config, sizeof config, "nodes%d.conf", index);
    (void)snprintf(timeout, sizeof timeout, "%d", NODE_TIMEOUT_MS);
    char files[24];
    (void)snprintf(files, sizeof files, "files%d", index);
    server_start(&servers[index], "--cluster-enabled", "yes", "--cluster-config-file", config,
                 "--cluster-node-timeout", timeout, "--cluster-require-full-coverage", "no",
                 "--repl-diskless-sync-delay", "0", "--cluster-replica-validity-factor", "0",
                 "--appenddirname", files, "--appendfsync", "always", "--appendonly",
                 cluster_durable ? "yes" : "no", NULL);
}

static inline void wait_until_all_say(const char *command, const char *wanted) {
    int64_t until = wl_mono_now().ms + 20000;
    for (int i = 0; i < SERVERS; i++) {
        while (strstr(tell(i, "%s", command).text, wanted) == NULL) {
            cr_assert_lt(wl_mono_now().ms, until, "server %d: %s", i, tell(i, "%s", command).text);
            wait_ms(20);
        }
    }
}

static inline void cluster_start(void) {
    static const char *const ranges[] = {"0 5460", "5461 10922", "10923 16383"};
    char id[SERVERS][256];
    folder_make();
    for (int i = 0; i < SERVERS; i++) {
        cluster_server_start(i);
        direct[i] = client(servers[i].at);
        cr_assert_eq(tell(i, "CLUSTER SET-CONFIG-EPOCH %d", i + 1).err, WL_OK);
        (void)snprintf(id[i], sizeof id[i], "%s", tell(i, "CLUSTER MYID").text);
    }
    for (int i = 0; i < SERVERS; i++) {
        if (i < MASTERS) {
            cr_assert_eq(tell(i, "CLUSTER ADDSLOTSRANGE %s", ranges[i]).err, WL_OK);
        }
        if (i > 0) {
            (void)tell(0, "CLUSTER MEET 127.0.0.1 %u", (unsigned)servers[i].port);
        }
    }
    wait_until_all_say("CLUSTER INFO", "cluster_known_nodes:6");
    for (int i = MASTERS; i < SERVERS; i++) {
        (void)ask_until(direct[i], NULL, "PING", WL_OK);
        answer_t done = {.err = WL_ERR_BUSY};
        for (int n = 0; n < 200 && done.err != WL_OK; n++) {
            done = tell(i, "CLUSTER REPLICATE %s", id[i - MASTERS]);
            wait_ms(done.err == WL_OK ? 0 : 20);
        }
        cr_assert_eq(done.err, WL_OK, "%s", done.text);
    }
    wait_until_all_say("CLUSTER INFO", "cluster_state:ok");
    for (int i = MASTERS; i < SERVERS; i++) {
        for (int n = 0; n < 500; n++) {
            if (strstr(tell(i, "INFO replication").text, "master_link_status:up") != NULL) {
                break;
            }
            wait_ms(20);
        }
    }
    (void)snprintf(seeds, sizeof seeds, "%s,%s,%s", servers[0].at, servers[1].at, servers[2].at);
}

static inline void cluster_end(void) {
    for (int i = 0; i < SERVERS; i++) {
        wl_redis_destroy(&direct[i]);
        server_kill(&servers[i]);
    }
    folder_remove();
}

#endif
