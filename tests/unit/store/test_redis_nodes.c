#include "cluster_world.h"
#include "store/redis_slots.h"

TestSuite(redis_nodes, .init = cluster_start, .fini = cluster_end, .timeout = 100);

static wl_redis_t *cluster_client(const char *nodes, uint32_t timeout_ms) {
    return client_with(
        (wl_redis_options_t){.nodes = nodes, .cluster = true, .timeout_ms = timeout_ms});
}

static answer_t incr(wl_redis_t *redis, const char *key) {
    char words[80];
    (void)snprintf(words, sizeof words, "INCR %s", key);
    return ask(redis, key, words);
}

/* "k<n>" whose slot is served by that master. */
static const char *key_of(int master, unsigned nth) {
    static char keys[8][24];
    static unsigned turn;
    char *key = keys[turn++ % 8];
    for (unsigned i = 0;; i++) {
        (void)snprintf(key, sizeof keys[0], "k%u", i);
        uint32_t slot = wl_redis_slot(key, strlen(key));
        if ((slot <= 5460 ? 0 : slot <= 10922 ? 1 : 2) == master && nth-- == 0) {
            return key;
        }
    }
}

static uint64_t link_of(const wl_redis_t *redis, const char *key) {
    return wl_redis_link(redis, &(wl_redis_arg_t){key, strlen(key)});
}

/* ---- the way to the right node --------------------------------------------------------------- */

static void spread(void) {
    wl_redis_t *redis = cluster_client(servers[5].at, 5000); /* a replica is a seed as well */
    answer_t answers[300] = {{.called = 0}};
    for (int i = 0; i < 300; i++) {
        char key[32];
        char words[64];
        (void)snprintf(key, sizeof key, "spread%d", i);
        (void)snprintf(words, sizeof words, "SET %s %d", key, i);
        send_words(redis, key, words, on_answer, &answers[i]);
    }
    cr_assert_eq(wl_redis_open(redis), 300);
    cr_assert_eq(wl_redis_wait(redis, 10000), WL_OK);
    for (int i = 0; i < 300; i++) {
        cr_assert(answers[i].called == 1 && answers[i].err == WL_OK, "%d: %s", i, answers[i].text);
    }
    for (uint32_t slot = 1; slot < 16384; slot++) {
        bool border = slot == 5461 || slot == 10923;
        cr_assert_eq(wl_redis_server(redis, slot) == wl_redis_server(redis, slot - 1), !border);
    }
    wl_redis_stats_t stats = wl_redis_stats(redis);
    cr_assert_eq(stats.moved, 0, "the map was known before the first command left");
    cr_assert_eq(stats.nodes, 3);
    for (int i = 0; i < MASTERS; i++) {
        cr_assert_gt(tell(i, "DBSIZE").integer, 50);
    }
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(ask(redis, NULL, "PING").err, WL_OK, "any master");
    }
    cr_assert_eq(wl_redis_open(redis), 0);
    wl_redis_destroy(&redis);
}

static void script_moves(void) {
    static const char script[] = "return redis.call('INCR', KEYS[1])";
    const char *key = key_of(0, 0);
    wl_redis_t *redis = cluster_client(seeds, 5000);
    wl_redis_arg_t arg = {key, strlen(key)};
    answer_t answer = {.called = 0};
    for (int i = 1; i <= 3; i++) {
        wl_redis_script(redis, script, 1, &arg, 1, on_answer, &answer);
        cr_assert_eq(wl_redis_wait(redis, 5000), WL_OK);
        cr_assert(answer.err == WL_OK && answer.integer == i, "%s", answer.text);
    }
    wl_redis_destroy(&redis);
}

/* Moves the slot of `key` from master 0 to master 1 by hand and looks at each step. */
static void slot_moves(void) {
    static const char script[] = "return redis.call('INCR', KEYS[1]) + 0";
    const char *key = key_of(0, 1);
    unsigned slot = wl_redis_slot(key, strlen(key));
    char from[256];
    char to[256];
    (void)snprintf(from, sizeof from, "%s", tell(0, "CLUSTER MYID").text);
    (void)snprintf(to, sizeof to, "%s", tell(1, "CLUSTER MYID").text);
    wl_redis_t *redis = cluster_client(seeds, 5000);
    cr_assert_eq(incr(redis, key).integer, 1);
    uint64_t link = link_of(redis, key);
    uint64_t other = link_of(redis, key_of(2, 0));
    cr_assert(link > 0 && other > 0);
    cr_assert_eq(tell(1, "CLUSTER SETSLOT %u IMPORTING %s", slot, from).err, WL_OK);
    cr_assert_eq(tell(0, "CLUSTER SETSLOT %u MIGRATING %s", slot, to).err, WL_OK);
    cr_assert_eq(incr(redis, key).integer, 2, "the key is still there");
    cr_assert_eq(wl_redis_stats(redis).moved, 0);
    answer_t moved = tell(0, "MIGRATE 127.0.0.1 %u %s 0 1000", (unsigned)servers[1].port, key);
    cr_assert_eq(moved.err, WL_OK, "%s", moved.text);
    answer_t asked = incr(redis, key);
    cr_assert(asked.err == WL_OK && asked.integer == 3, "ASK: %s", asked.text);
    cr_assert_eq(wl_redis_stats(redis).moved, 1);
    wl_redis_arg_t arg = {key, strlen(key)};
    wl_redis_script(redis, script, 1, &arg, 1, on_answer, &asked);
    cr_assert_eq(wl_redis_wait(redis, 5000), WL_OK);
    cr_assert(asked.err == WL_OK && asked.integer == 4, "a script after ASKING: %s", asked.text);
    cr_assert_eq(link_of(redis, key), link, "nothing has moved for good");
    char both[64];
    (void)snprintf(both, sizeof both, "DEL %s {%s}2", key, key);
    cr_assert_eq(ask(redis, key, both).err, WL_ERR_BUSY, "TRYAGAIN: one is here, one nowhere");
    for (int i = MASTERS - 1; i >= 0; i--) {
        cr_assert_eq(tell(i, "CLUSTER SETSLOT %u NODE %s", slot, to).err, WL_OK);
    }
    uint64_t before = wl_redis_stats(redis).moved;
    cr_assert_eq(incr(redis, key).integer, 5, "MOVED");
    cr_assert_geq(link_of(redis, key), link + 1, "another node serves it");
    cr_assert_eq(link_of(redis, key_of(2, 0)), other, "and nothing else has moved");
    for (int i = 0; i < 10; i++) {
        cr_assert_eq(incr(redis, key).err, WL_OK);
    }
    cr_assert_leq(wl_redis_stats(redis).moved, before + 1, "it is learned at once");
    cr_assert_eq(wl_redis_stats(redis).failures, 0);
    wl_redis_destroy(&redis);
}

Test(redis_nodes, finds_the_node_of_each_key_and_follows_slots_that_move) {
    spread();
    script_moves();
    slot_moves();
}

/* ---- nodes that die -------------------------------------------------------------------------- */

static uint32_t called;
static uint32_t called_ok;

static void on_counted(wl_err_t err, const redisReply *reply, void *ctx) {
    (void)reply;
    uint8_t *times = ctx;
    (*times)++;
    called++;
    called_ok += err == WL_OK ? 1 : 0;
}

enum { LOAD = 60000 };

/* Commands to all slots without a pause while a master dies and its replica takes over. */
static void load_over_failover(wl_redis_t *redis, uint8_t *times) {
    int64_t begin = wl_mono_now().ms;
    for (uint32_t i = 0; i < LOAD; i++) {
        char key[16];
        char words[32];
        (void)snprintf(key, sizeof key, "load%u", i % 1000);
        (void)snprintf(words, sizeof words, "INCR %s", key);
        send_words(redis, key, words, on_counted, &times[i]);
        if (i == LOAD / 10) {
            server_kill(&servers[0]);
        }
        if (i % 20 == 19) {
            wl_err_t err = wl_redis_wait(redis, 1); /* some stay under way */
            cr_assert(err == WL_OK || err == WL_ERR_DEADLINE);
            wait_ms(1); /* or all would be over before the replica notices */
        }
    }
    cr_assert_eq(wl_redis_wait(redis, 10000), WL_OK);
    cr_log_info("load: %u of %u ok in %lld ms", called_ok, (unsigned)LOAD,
                (long long)(wl_mono_now().ms - begin));
}

Test(redis_nodes, calls_back_each_command_once_while_a_master_dies_and_its_replica_takes_over) {
    static uint8_t times[LOAD];
    wl_redis_t *redis = cluster_client(seeds, 500);
    const char *key = key_of(0, 0);
    cr_assert_eq(incr(redis, key).integer, 1);
    cr_assert_eq(tell(0, "WAIT 1 1000").integer, 1);
    uint64_t link = link_of(redis, key);
    load_over_failover(redis, times);
    for (uint32_t i = 0; i < LOAD; i++) {
        cr_assert_eq(times[i], 1, "%u was called back %u times", i, times[i]);
    }
    cr_assert_eq(called, LOAD);
    cr_assert_gt(called_ok, LOAD / 2);
    char words[32];
    (void)snprintf(words, sizeof words, "INCR %s", key);
    answer_t after = ask_until(redis, key, words, WL_OK);
    cr_assert_geq(after.integer, 2, "the replica serves what the master had");
    cr_assert_gt(link_of(redis, key), link);
    cr_assert_eq(wl_redis_stats(redis).nodes, 3);
    cr_assert_gt(wl_redis_stats(redis).failures, 0);
    cluster_server_start(0); /* comes back as a replica: nobody asks it */
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(ask(redis, key, words).err, WL_OK);
    }
    wl_redis_destroy(&redis);
}

Test(redis_nodes, says_busy_or_unavailable_for_slots_that_nobody_serves) {
    wl_redis_t *redis = cluster_client(seeds, 1000);
    const char *gone = key_of(0, 0);
    unsigned slot = wl_redis_slot(gone, strlen(gone));
    cr_assert_eq(incr(redis, gone).err, WL_OK);
    for (int i = 0; i < SERVERS; i++) {
        cr_assert_eq(tell(i, "CLUSTER DELSLOTS %u", slot).err, WL_OK);
    }
    answer_t down = incr(redis, gone);
    cr_assert_eq(down.err, WL_ERR_BUSY, "CLUSTERDOWN: %s %s", wl_err_name(down.err), down.text);
    char words[32];
    (void)snprintf(words, sizeof words, "INCR %s", gone);
    (void)ask_until(redis, gone, words, WL_ERR_UNAVAILABLE); /* the map says so as well */
    cr_assert_eq(link_of(redis, gone), 0);
    cr_assert_eq(incr(redis, key_of(0, 3)).err, WL_OK, "its neighbours are served");
    cr_assert_eq(tell(0, "CLUSTER ADDSLOTS %u", slot).err, WL_OK);
    (void)ask_until(redis, gone, words, WL_OK);
    cr_assert_gt(link_of(redis, gone), 0);
    wl_redis_destroy(&redis);
}

Test(redis_nodes, comes_back_after_all_nodes_were_gone_and_a_frozen_one_harms_only_its_slots) {
    char words[32];
    wl_redis_t *redis = cluster_client(seeds, 300);
    const char *key = key_of(1, 0);
    (void)snprintf(words, sizeof words, "INCR %s", key);
    (void)ask_until(redis, key, words, WL_OK);
    program_freeze(servers[1].process);
    cr_assert_eq(ask(redis, key, words).err, WL_ERR_DEADLINE);
    int64_t begin = wl_mono_now().ms;
    cr_assert_eq(ask(redis, key, words).err, WL_ERR_UNAVAILABLE);
    cr_assert_lt(wl_mono_now().ms - begin, 100, "at once");
    cr_assert_eq(incr(redis, key_of(2, 0)).err, WL_OK);
    (void)ask_until(redis, key, words, WL_OK); /* its replica */
    cr_assert_eq(kill(servers[1].process, SIGCONT), 0);
    for (int i = 0; i < SERVERS; i++) {
        server_kill(&servers[i]);
    }
    (void)ask_until(redis, key, words, WL_ERR_UNAVAILABLE);
    wait_ms(300);
    for (int i = 0; i < SERVERS; i++) {
        cluster_server_start(i);
    }
    for (int master = 0; master < MASTERS; master++) {
        const char *any = key_of(master, 0);
        (void)snprintf(words, sizeof words, "INCR %s", any);
        (void)ask_until(redis, any, words, WL_OK);
    }
    wl_redis_destroy(&redis);
}
