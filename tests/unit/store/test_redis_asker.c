#include "store/redis_asker.h"

#include "../../stores.h"
#include "redis_world.h"

static wl_redis_asker_t *asker_open(const char *nodes, bool cluster) {
    wl_redis_options_t options = {
        .nodes = nodes, .cluster = cluster, .user = "", .password_file = "", .timeout_ms = 3000};
    wl_redis_asker_t *asker = NULL;
    cr_assert_eq(wl_redis_asker_new(&options, &asker, NULL), WL_OK);
    return asker;
}

static wl_err_t command(wl_redis_asker_t *self, const char *verb, const char *key,
                        const char *value, wl_redis_take_fn take, void *arg) {
    wl_redis_arg_t args[] = {wl_redis_arg_of(verb), wl_redis_arg_of(key), wl_redis_arg_of(value)};
    return wl_redis_asker_command(self, args, value[0] == '\0' ? 2 : 3, take, arg);
}

static void answers(const char *nodes, bool cluster) {
    wl_redis_asker_t *asker = asker_open(nodes, cluster);
    for (int i = 0; i < 20; i++) { /* keys on all servers of a cluster */
        char key[40];
        char name[24];
        wl_redis_text_t text = {.at = NULL};
        int64_t number = 0;
        (void)snprintf(key, sizeof key, "asker:%s", stores_name("k", name, sizeof name));
        cr_assert_eq(command(asker, "GET", key, "", wl_redis_take_text, &text), WL_ERR_NOT_FOUND);
        cr_assert_eq(command(asker, "SET", key, "value", NULL, NULL), WL_OK);
        cr_assert_eq(command(asker, "GET", key, "", wl_redis_take_text, &text), WL_OK);
        cr_assert(strcmp(text.at, "value") == 0 && text.bytes == 5);
        wl_free(text.at);
        cr_assert_eq(command(asker, "STRLEN", key, "", wl_redis_take_text, &text), WL_ERR_DAMAGED);
        cr_assert_eq(command(asker, "STRLEN", key, "", wl_redis_take_number, &number), WL_OK);
        cr_assert_eq(number, 5);
        cr_assert_eq(command(asker, "GET", key, "", wl_redis_take_number, &number), WL_ERR_DAMAGED);
        cr_assert_eq(command(asker, "LPUSH", key, "x", NULL, NULL), WL_ERR_DAMAGED);
        cr_assert_not_null(strstr(wl_redis_asker_problem(asker), "WRONGTYPE"));
        cr_assert_eq(command(asker, "NOSUCH", key, "x", NULL, NULL), WL_ERR_IO);
        wl_redis_arg_t arg = wl_redis_arg_of(key);
        cr_assert_eq(wl_redis_asker_script(asker, "return redis.call('DEL', KEYS[1]) + 41", 1, &arg,
                                           1, wl_redis_take_number, &number),
                     WL_OK);
        cr_assert_eq(number, 42);
    }
    wl_redis_asker_destroy(&asker);
    wl_redis_asker_destroy(&asker);
}

Test(redis_asker, waits_for_answers_of_a_server, .timeout = 60) {
    answers(stores_redis(), false);
}

Test(redis_asker, waits_for_answers_of_a_cluster, .timeout = 60) {
    answers(stores_redis_cluster(), true);
}

Test(redis_asker, looks_names_up_with_the_first_question) {
    wl_redis_asker_t *asker = asker_open("no-such-host.invalid:1", false);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(command(asker, "GET", "key", "", NULL, NULL), WL_ERR_UNAVAILABLE);
        cr_assert_not_null(strstr(wl_redis_asker_problem(asker), "no-such-host.invalid"));
    }
    wl_redis_asker_destroy(&asker);
}

Test(redis_asker, refuses_what_is_no_address) {
    static const char *const bad[] = {"", "a", "a:1,", "a:0"};
    wl_redis_asker_t *asker = NULL;
    for (size_t i = 0; i < WL_COUNT_OF(bad); i++) {
        wl_redis_options_t options = {.nodes = bad[i], .timeout_ms = 100};
        cr_assert_eq(wl_redis_asker_new(&options, &asker, NULL), WL_ERR_SETTINGS);
    }
}
