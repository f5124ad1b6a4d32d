#include "../../stores.h"
#include "redis_world.h"

#include <sys/resource.h>

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

/* ---- servers that are away ------------------------------------------------------------------- */

Test(redis, waits_for_the_first_connection_and_fails_at_once_after_it) {
    uint16_t port = 0;
    int fd = listen_anywhere(&port);
    char at[32];
    (void)snprintf(at, sizeof at, "127.0.0.1:%u", (unsigned)port);
    (void)close(fd);
    wl_redis_t *redis = client_with((wl_redis_options_t){.nodes = at, .timeout_ms = 2000});
    int64_t begin = wl_mono_now().ms;
    cr_assert_eq(ask(redis, NULL, "PING").err, WL_ERR_UNAVAILABLE, "refused");
    cr_assert_eq(ask(redis, NULL, "PING").err, WL_ERR_UNAVAILABLE, "while it backs off");
    cr_assert_lt(wl_mono_now().ms - begin, 500);
    wl_redis_stats_t stats = wl_redis_stats(redis);
    cr_assert(stats.failures == 2 && stats.reconnects == 1 && stats.nodes == 0);
    cr_assert_not_null(strstr(stats.problem, "refused"), "%s", stats.problem);
    cr_assert_eq(wl_redis_link(redis, &(wl_redis_arg_t){"k", 1}), 0);
    server.port = port;
    server_start(&server, NULL);
    (void)ask_until(redis, NULL, "PING", WL_OK);
    cr_assert_gt(wl_redis_link(redis, &(wl_redis_arg_t){"k", 1}), 0);
    wl_redis_destroy(&redis);
}

Test(redis, backs_off_from_a_server_that_is_gone) {
    server_start(&server, NULL);
    wl_redis_t *redis = client(server.at);
    cr_assert_eq(ask(redis, NULL, "PING").err, WL_OK);
    server_kill(&server);
    int64_t until = wl_mono_now().ms + 3000;
    while (wl_mono_now().ms < until) {
        (void)ask(redis, NULL, "PING");
        wait_ms(5);
    }
    uint64_t attempts = wl_redis_stats(redis).reconnects;
    cr_assert(attempts >= 4 && attempts <= 12, "%llu", (unsigned long long)attempts);
    wl_redis_destroy(&redis);
}

Test(redis, fails_what_is_under_way_when_the_server_dies_and_comes_back_with_it) {
    server_start(&server, NULL);
    wl_redis_t *redis = client(server.at);
    cr_assert_eq(ask(redis, NULL, "SET k 1").err, WL_OK);
    uint64_t link = wl_redis_link(redis, &(wl_redis_arg_t){"k", 1});
    cr_assert_eq(wl_redis_link(redis, &(wl_redis_arg_t){"other", 5}), link);
    answer_t answers[100] = {{.called = 0}};
    program_freeze(server.process);
    for (size_t i = 0; i < WL_COUNT_OF(answers); i++) {
        send_words(redis, NULL, "PING", on_answer, &answers[i]);
    }
    cr_assert_eq(wl_redis_wait(redis, 100), WL_ERR_DEADLINE, "they wait for their answers");
    server_kill(&server);
    cr_assert_eq(wl_redis_wait(redis, 1000), WL_OK);
    for (size_t i = 0; i < WL_COUNT_OF(answers); i++) {
        cr_assert(answers[i].called == 1 && answers[i].err == WL_ERR_UNAVAILABLE, "%zu", i);
    }
    cr_assert_eq(wl_redis_link(redis, &(wl_redis_arg_t){"k", 1}), 0);
    cr_assert_eq(ask(redis, NULL, "PING").err, WL_ERR_UNAVAILABLE);
    server_start(&server, NULL);
    (void)ask_until(redis, NULL, "PING", WL_OK);
    cr_assert_gt(wl_redis_link(redis, &(wl_redis_arg_t){"k", 1}), link);
    cr_assert_eq(ask_script(redis, doubling, "4").elements, 2, "scripts are told again");
    wl_redis_destroy(&redis);
}

Test(redis, gives_up_on_a_server_that_does_not_answer_in_time) {
    server_start(&server, NULL);
    wl_redis_t *redis = client_with((wl_redis_options_t){.nodes = server.at, .timeout_ms = 200});
    cr_assert_eq(ask(redis, NULL, "PING").err, WL_OK);
    program_freeze(server.process);
    answer_t first = {.called = 0};
    answer_t second = {.called = 0};
    int64_t begin = wl_mono_now().ms;
    send_words(redis, NULL, "PING", on_answer, &first);
    cr_assert_eq(wl_redis_wait(redis, 100), WL_ERR_DEADLINE);
    send_words(redis, NULL, "PING", on_answer, &second);
    cr_assert_eq(wl_redis_wait(redis, 5000), WL_OK);
    int64_t took = wl_mono_now().ms - begin;
    cr_assert(took >= 200 && took < 400, "%lld ms", (long long)took);
    cr_assert(first.called == 1 && first.err == WL_ERR_DEADLINE);
    cr_assert(second.called == 1 && second.err == WL_ERR_UNAVAILABLE, "the same connection");
    begin = wl_mono_now().ms;
    for (int i = 0; i < 100; i++) { /* the kernel of the stopped server accepts all the same */
        cr_assert_eq(ask(redis, NULL, "PING").err, WL_ERR_UNAVAILABLE);
        wait_ms(4);
    }
    cr_assert_lt(wl_mono_now().ms - begin, 1500, "nobody waits for it");
    cr_assert_eq(kill(server.process, SIGCONT), 0);
    (void)ask_until(redis, NULL, "PING", WL_OK);
    wl_redis_destroy(&redis);
}

Test(redis, survives_answers_that_come_late) {
    server_start(&server, "--enable-debug-command", "yes", NULL);
    wl_redis_t *redis = client_with((wl_redis_options_t){.nodes = server.at, .timeout_ms = 150});
    cr_assert_eq(ask(redis, NULL, "SET k one").err, WL_OK);
    cr_assert_eq(ask(redis, NULL, "DEBUG SLEEP 0.4").err, WL_ERR_DEADLINE);
    answer_t answer = ask_until(redis, NULL, "GET k", WL_OK);
    cr_assert_str_eq(answer.text, "one", "not the answer to DEBUG");
    wl_redis_destroy(&redis);
}

Test(redis, does_not_blame_the_server_when_this_process_was_held_up) {
    wl_redis_t *redis =
        client_with((wl_redis_options_t){.nodes = stores_redis(), .timeout_ms = 100});
    (void)ask_until(redis, NULL, "PING", WL_OK);
    answer_t answers[200] = {{.called = 0}};
    for (size_t i = 0; i < WL_COUNT_OF(answers); i++) {
        send_words(redis, NULL, "PING", on_answer, &answers[i]);
    }
    wl_redis_tick(redis); /* written */
    wait_ms(300);
    cr_assert_eq(wl_redis_wait(redis, 5000), WL_OK);
    for (size_t i = 0; i < WL_COUNT_OF(answers); i++) {
        cr_assert(answers[i].called == 1 && answers[i].err == WL_OK, "%zu", i);
    }
    wl_redis_destroy(&redis);
}

/* ---- servers that refuse --------------------------------------------------------------------- */

static answer_t error_of(wl_redis_t *redis, const char *text) {
    char script[200];
    wl_redis_arg_t args[] = {{"EVAL", 4}, {script, 0}, {"0", 1}};
    (void)snprintf(script, sizeof script, "return redis.error_reply('%s')", text);
    args[1].bytes = strlen(script);
    answer_t answer = {.called = 0};
    wl_redis_send(redis, NULL, args, 3, on_answer, &answer);
    cr_assert_eq(wl_redis_wait(redis, 5000), WL_OK);
    return answer;
}

Test(redis, names_the_errors_of_the_server) {
    static const struct {
        const char *text;
        wl_err_t err;
    } rows[] = {
        {"LOADING Redis is loading the dataset in memory", WL_ERR_BUSY},
        {"BUSY Redis is busy running a script", WL_ERR_BUSY},
        {"TRYAGAIN Multiple keys", WL_ERR_BUSY},
        {"CLUSTERDOWN Hash slot not served", WL_ERR_BUSY},
        {"MASTERDOWN Link with MASTER is down", WL_ERR_BUSY},
        {"MISCONF Redis is configured to save", WL_ERR_NO_SPACE},
        {"OOM command not allowed", WL_ERR_NO_SPACE},
        {"READONLY You can not write", WL_ERR_CONFLICT},
        {"NOAUTH Authentication required.", WL_ERR_UNAUTHORIZED},
        {"WRONGPASS invalid", WL_ERR_UNAUTHORIZED},
        {"NOPERM this user", WL_ERR_UNAUTHORIZED},
        {"NOSCRIPT No matching script", WL_ERR_NOT_FOUND},
        {"NOGROUP No such key", WL_ERR_NOT_FOUND},
        {"BUSYGROUP Consumer Group name already exists", WL_ERR_INTERNAL},
        {"MOVED 1 127.0.0.1:1", WL_ERR_INTERNAL}, /* no cluster was configured */
        {"ERR anything", WL_ERR_INTERNAL},
    };
    wl_redis_t *redis = client(stores_redis());
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        answer_t answer = error_of(redis, rows[i].text);
        cr_assert(answer.called == 1 && answer.err == rows[i].err, "%s: %s", rows[i].text,
                  wl_err_name(answer.err));
        bool told = rows[i].err == WL_ERR_INTERNAL;
        cr_assert_str_eq(answer.text, told ? rows[i].text : "", "the reply is for INTERNAL only");
    }
    cr_assert_eq(wl_redis_stats(redis).failures, 0, "they were all answered");
    wl_redis_destroy(&redis);
}

Test(redis, meets_the_real_errors_as_well) {
    server_start(&server, NULL);
    wl_redis_t *redis = client(server.at);
    cr_assert_eq(ask(redis, NULL, "REPLICAOF 127.0.0.1 1").err, WL_OK);
    cr_assert_eq(ask(redis, "k", "SET k v").err, WL_ERR_CONFLICT);
    cr_assert_eq(ask(redis, NULL, "CONFIG SET replica-serve-stale-data no").err, WL_OK);
    cr_assert_eq(ask(redis, "k", "GET k").err, WL_ERR_BUSY);
    cr_assert_eq(ask(redis, NULL, "REPLICAOF NO ONE").err, WL_OK);
    cr_assert_eq(ask(redis, NULL, "CONFIG SET maxmemory 1").err, WL_OK);
    cr_assert_eq(ask(redis, "k", "SET k v").err, WL_ERR_NO_SPACE);
    cr_assert_eq(ask(redis, NULL, "CONFIG SET maxmemory 0").err, WL_OK);
    cr_assert_eq(ask(redis, "k", "SET k v").err, WL_OK);
    wl_redis_destroy(&redis);
}

static const char *password_is(const char *password) {
    const char *path = in_folder("password");
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL && fputs(password, file) >= 0 && fchmod(fileno(file), 0600) == 0);
    cr_assert_eq(fclose(file), 0);
    return path;
}

Test(redis, logs_in_with_a_password_and_with_one_that_has_changed) {
    server_start(&server, "--requirepass", "old secret", NULL);
    wl_redis_options_t options = {.nodes = server.at, .password_file = password_is("old secret\n")};
    wl_redis_t *redis = client_with(options);
    wl_redis_t *nobody = client(server.at);
    wl_redis_t *wrong = NULL;
    cr_assert_eq(ask(redis, NULL, "PING").err, WL_OK);
    cr_assert_eq(ask(nobody, NULL, "PING").err, WL_ERR_UNAUTHORIZED);
    cr_assert_not_null(strstr(wl_redis_stats(nobody).problem, "NOAUTH"));
    (void)password_is("new secret");
    wrong = client_with(options);
    cr_assert_eq(ask(wrong, NULL, "PING").err, WL_ERR_UNAUTHORIZED);
    cr_assert_eq(ask(wrong, NULL, "PING").err, WL_ERR_UNAUTHORIZED, "also while it backs off");
    cr_assert_not_null(strstr(wl_redis_stats(wrong).problem, "WRONGPASS"));
    cr_assert_null(strstr(wl_redis_stats(wrong).problem, "secret"));
    answer_t set = {.called = 0};
    wl_redis_arg_t args[] = {{"CONFIG", 6}, {"SET", 3}, {"requirepass", 11}, {"new secret", 10}};
    wl_redis_send(redis, NULL, args, 4, on_answer, &set);
    cr_assert_eq(wl_redis_wait(redis, 5000), WL_OK);
    (void)ask_until(wrong, NULL, "PING", WL_OK);
    cr_assert_eq(ask(redis, NULL, "CLIENT KILL SKIPME no TYPE normal").err, WL_OK);
    (void)ask_until(redis, NULL, "PING", WL_OK);
    wl_redis_destroy(&redis);
    wl_redis_destroy(&nobody);
    wl_redis_destroy(&wrong);
}

Test(redis, logs_in_as_a_user_with_few_rights) {
    server_start(&server, NULL);
    wl_redis_t *root = client(server.at);
    cr_assert_eq(ask(root, NULL, "ACL SETUSER wallet on >pw ~mine:* +get +set +ping").err, WL_OK);
    wl_redis_t *redis = client_with((wl_redis_options_t){
        .nodes = server.at, .user = "wallet", .password_file = password_is("pw")});
    cr_assert_eq(ask(redis, NULL, "SET mine:1 x").err, WL_OK);
    cr_assert_eq(ask(redis, NULL, "SET other x").err, WL_ERR_UNAUTHORIZED);
    cr_assert_eq(ask_script(redis, doubling, "4").err, WL_ERR_UNAUTHORIZED);
    cr_assert_eq(ask(redis, NULL, "GET mine:1").err, WL_OK, "the connection lives");
    wl_redis_destroy(&redis);
    wl_redis_destroy(&root);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static uint32_t full;
static uint32_t served;

static void on_bounded(wl_err_t err, const redisReply *reply, void *ctx) {
    (void)reply;
    (void)ctx;
    full += err == WL_ERR_FULL ? 1 : 0;
    served += err == WL_OK ? 1 : 0;
}

Test(redis, refuses_more_commands_than_the_bound) {
    wl_redis_t *redis =
        client_with((wl_redis_options_t){.nodes = stores_redis(), .timeout_ms = 30000});
    for (uint32_t i = 0; i < WL_REDIS_OPEN_MAX + 10; i++) {
        send_words(redis, NULL, "PING", on_bounded, NULL);
    }
    cr_assert_eq(wl_redis_wait(redis, 30000), WL_OK);
    cr_assert(full == 10 && served == WL_REDIS_OPEN_MAX, "%u %u", full, served);
    cr_assert_eq(ask(redis, NULL, "PING").err, WL_OK, "there is room again");
    size_t bytes = (size_t)48 << 20;
    char *value = wl_alloc_zero(1, bytes);
    wl_redis_arg_t echo[] = {{"STRLEN", 6}, {value, bytes}};
    full = served = 0;
    for (int i = 0; i < 8; i++) {
        wl_redis_send(redis, NULL, echo, 2, on_bounded, NULL);
    }
    cr_assert_eq(wl_redis_wait(redis, 30000), WL_OK);
    cr_assert(full == 3 && served == 5, "256 MiB: %u %u", full, served);
    wl_free(value);
    wl_redis_destroy(&redis);
}

/* ---- the end --------------------------------------------------------------------------------- */

static wl_redis_t *again;
static uint32_t ended;

static void on_end_try_again(wl_err_t err, const redisReply *reply, void *ctx) {
    bool *once = ctx;
    cr_assert(err == WL_ERR_UNAVAILABLE && reply == NULL);
    ended++;
    if (*once) {
        *once = false;
        send_words(again, NULL, "PING", on_end_try_again, ctx);
    }
}

Test(redis, calls_back_everything_when_it_is_destroyed) {
    bool once[3] = {true, true, true};
    again = client(stores_redis()); /* not yet connected: it waits */
    send_words(again, NULL, "PING", on_end_try_again, &once[0]);
    wl_redis_destroy(&again);
    cr_assert_eq(ended, 2, "and what the callback sent");
    again = client(stores_redis());
    cr_assert_eq(ask(again, NULL, "PING").err, WL_OK);
    send_words(again, NULL, "BLPOP {redis}nothing 0", on_end_try_again, &once[1]);
    cr_assert_eq(wl_redis_wait(again, 50), WL_ERR_DEADLINE);
    wl_redis_destroy(&again);
    cr_assert_eq(ended, 4, "under way");
    again = client_with((wl_redis_options_t){.nodes = stores_redis_cluster(), .cluster = true});
    send_words(again, "k", "GET k", on_end_try_again, &once[2]);
    wl_redis_destroy(&again);
    cr_assert_eq(ended, 6, "before the slot map is there");
}

Test(redis, refuses_settings_that_cannot_work) {
    static const char *const bad[] = {
        "",  "nowhere",      "127.0.0.1:0",           "127.0.0.1:1,127.0.0.1:2",
        ",", "127.0.0.1:1,", "no.such.host.invalid:1"};
    wl_redis_t *redis = NULL;
    wl_fault_t fault;
    for (size_t i = 0; i < WL_COUNT_OF(bad); i++) {
        wl_redis_options_t options = {.nodes = bad[i], .timeout_ms = 100};
        wl_err_t err = wl_redis_new(&options, &redis, &fault);
        cr_assert(err == WL_ERR_SETTINGS && redis == NULL, "%s", bad[i]);
    }
    wl_redis_options_t options = {.nodes = "127.0.0.1:1", .password_file = in_folder("none")};
    cr_assert_eq(wl_redis_new(&options, &redis, &fault), WL_ERR_SETTINGS);
    cr_assert_eq(wl_redis_new(&options, &redis, NULL), WL_ERR_SETTINGS);
}

/* ---- servers that talk nonsense -------------------------------------------------------------- */

/* A process that answers each connection's second command (the first one greets) with the next of
 * these texts, and behind the last one is a server that answers everything with PONG. */
typedef struct {
    const char *text;   /* sent as it is */
    size_t repeat;      /* so many times */
    bool instead;       /* of the greeting */
    const char *wanted; /* part of the problem that the client names */
} nonsense_t;

static void nonsense_serve(int listener, const nonsense_t *rows, size_t count) {
    char bytes[4096];
    for (size_t i = 0;; i++) {
        int fd = accept(listener, NULL, NULL);
        bool sane = i >= count;
        (void)recv(fd, bytes, sizeof bytes, 0);
        if (sane || !rows[i].instead) {
            (void)send(fd, "+PONG\r\n", 7, MSG_NOSIGNAL);
            while (recv(fd, bytes, sizeof bytes, 0) > 0 && sane) {
                (void)send(fd, "+PONG\r\n", 7, MSG_NOSIGNAL);
            }
        }
        size_t length = sane ? 0 : strlen(rows[i].text);
        for (size_t n = 0; !sane && n < rows[i].repeat; n++) {
            if (send(fd, rows[i].text, length, MSG_NOSIGNAL) <= 0) {
                break;
            }
        }
        if (length > 0) {
            (void)recv(fd, bytes, sizeof bytes, 0); /* until the client has enough of it */
        }
        (void)close(fd);
    }
}

static void nonsense_start(const nonsense_t *rows, size_t count) {
    int listener = listen_anywhere(&server.port);
    (void)snprintf(server.at, sizeof server.at, "127.0.0.1:%u", (unsigned)server.port);
    server.process = fork();
    cr_assert(server.process >= 0);
    if (server.process == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        nonsense_serve(listener, rows, count);
    }
    (void)close(listener);
}

static char endless_line[(1 << 20) + 1];
static char endless_text[(1 << 20) + 1];

static const nonsense_t nonsense[] = {
    {"HTTP/1.1 400 Bad Request\r\n\r\n", 1, true, "Protocol error"},
    {"HTTP/1.1 400 Bad Request\r\n\r\n", 1, false, "Protocol error"},
    {"\x00\x01\xff\xfe", 1, false, ""}, /* strlen is 0: it just closes */
    {"\x80\x81\xff\xfe", 1, false, "Protocol error"},
    {"", 0, true, "closed"},
    {":12\r\n:13\r\n", 1, false, "nobody asked"},
    {"+PONG\r\n-ERR and more\r\n", 1, true, "nobody asked"},
    {"*2000000\r\n", 1, false, "too many elements"},
    {"*300000\r\n", 50, false, "too many elements"},
    {"*2147483647\r\n", 1, false, ""},
    {"*99999999999999999999\r\n", 1, false, ""},
    {"*-7\r\n", 1, false, ""},
    {"$-7\r\n", 1, false, ""},
    {"*1\r\n", 20, false, "depth"},
    {"$2000000000\r\n", 1, false, ""}, /* promises more than it sends: the deadline ends it */
    {endless_line, 1, false, "without end"},
    {"%1\r\n", 1, false, "Protocol error"},   /* RESP3 */
    {endless_text, 65, false, "without end"}, /* takes so long that the next attempt is due */
};

Test(redis, names_nonsense_and_connects_again) {
    memset(endless_line, 'x', sizeof endless_line - 1);
    memset(endless_text, 'x', sizeof endless_text - 1);
    memcpy(endless_line, "+", 1);
    memcpy(endless_text, "$1000000000\r\n", 13);
    nonsense_start(nonsense, WL_COUNT_OF(nonsense));
    wl_redis_t *redis = NULL;
    for (size_t i = 0; i < WL_COUNT_OF(nonsense); i++) {
        wl_redis_destroy(&redis);                      /* a new one does not back off */
        bool patient = i + 1 == WL_COUNT_OF(nonsense); /* 64 MiB take a while */
        redis = client_with(
            (wl_redis_options_t){.nodes = server.at, .timeout_ms = patient ? 20000 : 1000});
        while (wl_redis_stats(redis).reconnects == 0) {
            (void)ask(redis, NULL, "GET k");
        }
        wl_redis_stats_t stats = wl_redis_stats(redis);
        cr_assert_eq(stats.reconnects, 1, "%zu: %s", i, stats.problem);
        cr_assert_not_null(strstr(stats.problem, nonsense[i].wanted), "%zu: %s", i, stats.problem);
    }
    (void)ask_until(redis, NULL, "PING", WL_OK);
    wl_redis_destroy(&redis);
}

Test(redis, knows_that_a_server_without_a_cluster_has_no_slot_map) {
    server_start(&server, NULL);
    wl_redis_t *redis =
        client_with((wl_redis_options_t){.nodes = server.at, .cluster = true, .timeout_ms = 1000});
    cr_assert_eq(ask(redis, "k", "GET k").err, WL_ERR_UNAVAILABLE);
    cr_assert_not_null(strstr(wl_redis_stats(redis).problem, "cluster support disabled"), "%s",
                       wl_redis_stats(redis).problem);
    wl_redis_destroy(&redis);
}

/* A process that says that it serves all slots, and of every key that it has moved to itself. */
static void liar_start(void) {
    int listener = listen_anywhere(&server.port);
    (void)snprintf(server.at, sizeof server.at, "127.0.0.1:%u", (unsigned)server.port);
    server.process = fork();
    cr_assert(server.process >= 0);
    if (server.process != 0) {
        (void)close(listener);
        return;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    int fd = accept(listener, NULL, NULL);
    char asked[4096];
    char answer[256];
    for (;;) {
        ssize_t count = recv(fd, asked, sizeof asked - 1, 0);
        if (count <= 0) {
            _exit(0);
        }
        asked[count] = '\0';
        unsigned port = server.port;
        if (strstr(asked, "PING") != NULL) {
            (void)snprintf(answer, sizeof answer, "+PONG\r\n");
        } else if (strstr(asked, "SLOTS") != NULL) {
            (void)snprintf(answer, sizeof answer,
                           "*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%u\r\n", port);
        } else if (strstr(asked, "wild") != NULL) {
            (void)snprintf(answer, sizeof answer, "-MOVED 99999 127.0.0.1:%u\r\n", port);
        } else {
            (void)snprintf(answer, sizeof answer, "-MOVED 12 127.0.0.1:%u\r\n", port);
        }
        (void)send(fd, answer, strlen(answer), MSG_NOSIGNAL);
    }
}

Test(redis, does_not_follow_a_cluster_in_circles) {
    liar_start();
    wl_redis_t *redis =
        client_with((wl_redis_options_t){.nodes = server.at, .cluster = true, .timeout_ms = 2000});
    cr_assert_eq(ask(redis, "k", "GET k").err, WL_ERR_BUSY);
    cr_assert_eq(wl_redis_stats(redis).moved, 5);
    cr_assert_eq(ask(redis, "wild", "GET wild").err, WL_ERR_BUSY, "not understood");
    cr_assert_eq(wl_redis_stats(redis).moved, 5);
    wl_redis_destroy(&redis);
}

Test(redis, recovers_when_descriptors_were_used_up) {
    struct rlimit before;
    wl_redis_t *redis = client(stores_redis());
    cr_assert_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    answer_t answer = ask(redis, NULL, "PING");
    cr_assert_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    cr_assert_eq(answer.err, WL_ERR_UNAVAILABLE);
    cr_assert_not_null(strstr(wl_redis_stats(redis).problem, "open files"), "%s",
                       wl_redis_stats(redis).problem);
    (void)ask_until(redis, NULL, "PING", WL_OK);
    wl_redis_destroy(&redis);
}
