#include "../../stores.h"
#include "redis_world.h"

static server_t server;

static void world_start(void) {
    folder_make();
    server = (server_t){0};
}

static void world_end(void) {
    server_kill(&server);
    folder_remove();
}

TestSuite(redis, .init = world_start, .fini = world_end, .timeout = 60);

/* ---- commands -------------------------------------------------------------------------------- */

typedef struct {
    uint32_t called;
    uint32_t wrong; /* answers that are not those of their place */
} order_t;

static void on_next_number(wl_err_t err, const redisReply *reply, void *ctx) {
    order_t *order = ctx;
    order->called++;
    if (err != WL_OK || reply->type != REDIS_REPLY_INTEGER || reply->integer != order->called) {
        order->wrong++;
    }
}

Test(redis, answers_many_pipelined_commands_in_their_order) {
    char key[64];
    char words[80];
    wl_redis_t *redis = client(stores_redis());
    (void)snprintf(words, sizeof words, "INCR %s", stores_name("redis_", key, sizeof key));
    order_t order = {.called = 0};
    for (uint32_t i = 0; i < 20000; i++) {
        send_words(redis, key, words, on_next_number, &order);
    }
    cr_assert_eq(wl_redis_open(redis), 20000);
    cr_assert_eq(order.called, 0, "never from inside wl_redis_send");
    cr_assert_eq(wl_redis_wait(redis, 30000), WL_OK);
    cr_assert(order.called == 20000 && order.wrong == 0, "%u wrong", order.wrong);
    cr_assert_eq(wl_redis_open(redis), 0);
    (void)snprintf(words, sizeof words, "DEL %s", key);
    cr_assert_eq(ask(redis, key, words).integer, 1);
    wl_redis_stats_t stats = wl_redis_stats(redis);
    cr_assert(stats.commands == 20001 && stats.failures == 0 && stats.reconnects == 0);
    cr_assert(stats.nodes == 1 && stats.problem[0] == '\0');
    wl_redis_destroy(&redis);
    cr_assert_null(redis);
    wl_redis_destroy(&redis);
}

Test(redis, carries_any_bytes_and_large_values) {
    char key[64];
    wl_redis_t *redis = client(stores_redis());
    wl_redis_arg_t name = {key, strlen(stores_name("redis_", key, sizeof key))};
    size_t bytes = 3 << 20;
    char *value = wl_alloc_zero(1, bytes + 1);
    memset(value, 'v', bytes);
    memcpy(value, "\0\r\n$5", 5);
    answer_t set = {.called = 0};
    answer_t compared = {.called = 0};
    answer_t got = {.called = 0};
    wl_redis_send(redis, &name, (wl_redis_arg_t[]){{"SET", 3}, name, {value, bytes}}, 3, on_answer,
                  &set);
    wl_redis_send(redis, &name, (wl_redis_arg_t[]){{"STRLEN", 6}, name}, 2, on_answer, &compared);
    wl_redis_send(redis, &name, (wl_redis_arg_t[]){{"GET", 3}, name}, 2, on_answer, &got);
    wl_redis_send(redis, &name, (wl_redis_arg_t[]){{"SET", 3}, name, {NULL, 0}}, 3, NULL, NULL);
    cr_assert_eq(wl_redis_wait(redis, 20000), WL_OK);
    cr_assert(set.err == WL_OK && compared.integer == (long long)bytes);
    cr_assert(got.err == WL_OK && got.type == REDIS_REPLY_STRING);
    cr_assert_eq(ask(redis, key, "PING").err, WL_OK);
    wl_redis_send(redis, &name, (wl_redis_arg_t[]){{"DEL", 3}, name}, 2, on_answer, &got);
    cr_assert_eq(wl_redis_wait(redis, 20000), WL_OK);
    cr_assert_eq(got.integer, 1);
    wl_free(value);
    wl_redis_destroy(&redis);
}

/* ---- scripts --------------------------------------------------------------------------------- */

static const char doubling[] = "return {KEYS[1], tonumber(ARGV[1]) * 2}";
static const char broken[] = "this is no Lua";

static answer_t ask_script(wl_redis_t *redis, const char *script, const char *number) {
    answer_t answer = {.called = 0};
    wl_redis_arg_t args[] = {{"{redis}key", 10}, {number, strlen(number)}};
    wl_redis_script(redis, script, 1, args, 2, on_answer, &answer);
    cr_assert_eq(wl_redis_wait(redis, 10000), WL_OK);
    cr_assert_eq(answer.called, 1);
    return answer;
}

Test(redis, runs_scripts_and_tells_them_again_when_the_server_forgot_them) {
    server_start(&server, NULL);
    wl_redis_t *redis = client(server.at);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(ask_script(redis, doubling, "21").elements, 2);
    }
    cr_assert_eq(ask(redis, NULL, "SCRIPT FLUSH").err, WL_OK);
    answer_t answers[500] = {{.called = 0}};
    wl_redis_arg_t args[] = {{"k", 1}, {"4", 1}};
    for (size_t i = 0; i < WL_COUNT_OF(answers); i++) {
        wl_redis_script(redis, doubling, 1, args, 2, on_answer, &answers[i]);
    }
    cr_assert_eq(wl_redis_wait(redis, 10000), WL_OK);
    for (size_t i = 0; i < WL_COUNT_OF(answers); i++) {
        cr_assert(answers[i].called == 1 && answers[i].elements == 2, "%zu", i);
    }
    answer_t loads = ask(redis, NULL, "INFO commandstats");
    cr_assert_eq(loads.err, WL_OK);
    answer_t fault = ask_script(redis, broken, "1");
    cr_assert(fault.err == WL_ERR_INTERNAL && strstr(fault.text, "compiling") != NULL, "%s",
              fault.text);
    wl_redis_destroy(&redis);
}
