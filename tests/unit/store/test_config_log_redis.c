/* The log in Redis: nudges, servers that go, keys that somebody else has touched. */
#include "config_log_fixture.h"

LOG_SUITE(log_redis);
LOG_SUITE(log_cluster);
LOG_SUITE(log_own);

static void server_up(server_t *server) {
    log_backend = IN_REDIS;
    server_start(server, NULL);
    (void)snprintf(log_own_server, sizeof log_own_server, "%s", server->at);
}

/* ---- nudges ---------------------------------------------------------------------------------- */

static void nudges_come(void) {
    wl_config_log_t *log = log_open();
    wl_config_log_t *other = log_open();
    cr_assert_eq(wl_config_log_fd(log), -1, "there is none before the first question");
    cr_assert_eq(last_of(log), 0);
    int fd = wl_config_log_fd(log);
    cr_assert_geq(fd, 0);
    cr_assert(nudge_await(log, 20000), "the subscription itself");
    for (uint64_t seq = 1; seq <= 20; seq++) {
        cr_assert_not(wl_config_log_nudged(log));
        if (seq % 4 == 0) {
            wl_config_log_nudge(other, "12 of a proposal");
        } else {
            log_want(other, append(other, last_of(other) + 1, 1, 100), WL_OK);
        }
        int64_t start = wl_mono_now().ms;
        cr_assert(nudge_await(log, 20000));
        cr_assert_lt(wl_mono_now().ms - start, 5000);
        cr_assert_eq(wl_config_log_fd(log), fd);
    }
    cr_assert_not(nudge_await(log, 50), "each is told once");
    wl_config_log_destroy(&other);
    wl_config_log_destroy(&log);
}

Test(log_redis, nudges_come_through_the_descriptor, .timeout = 120) {
    log_backend = IN_REDIS;
    nudges_come();
}

Test(log_cluster, nudges_come_through_the_descriptor, .timeout = 120) {
    log_backend = IN_CLUSTER;
    nudges_come();
}

Test(log_own, nudges_once_when_the_subscription_was_made_anew, .timeout = 120) {
    server_t server = {.port = 0};
    server_up(&server);
    wl_config_log_t *log = log_open();
    cr_assert_eq(last_of(log), 0);
    cr_assert(nudge_await(log, 20000));
    server_kill(&server);
    cr_assert_not(nudge_await(log, 300));
    server_start(&server, NULL);
    cr_assert(nudge_await(log, 20000), "what came meanwhile is not known");
    wl_config_log_t *other = log_open();
    log_want(other, append(other, 1, 1, 10), WL_OK);
    cr_assert(nudge_await(log, 20000));
    wl_config_log_destroy(&other);
    wl_config_log_destroy(&log);
    server_kill(&server);
}

/* ---- servers that go ------------------------------------------------------------------------- */

static bool on_any(const char *name, const char *text, size_t bytes, void *arg) {
    (void)name;
    (void)text;
    (void)bytes;
    (void)arg;
    return true;
}

/* Every question has that error, and none takes long. */
static void want_all(wl_config_log_t *log, wl_err_t wanted, int64_t ms_max) {
    char digest[WL_CONFIG_DIGEST_HEX + 1];
    uint64_t last = 0;
    void *bytes = NULL;
    char *text = NULL;
    size_t count = 0;
    wl_config_log_digest("x", 1, digest);
    for (int i = 0; i < 8; i++) {
        int64_t start = wl_mono_now().ms;
        wl_err_t err = WL_OK;
        switch (i) {
        case 0: err = wl_config_log_last(log, &last); break;
        case 1: err = wl_config_log_read(log, 1, &text, &count); break;
        case 2: err = append(log, 1, 1, 10); break;
        case 3: err = wl_config_log_blob_put(log, digest, "x", 1); break;
        case 4: err = wl_config_log_blob_get(log, digest, &bytes, &count); break;
        case 5: err = wl_config_log_note_put(log, "n", "x", 1, 0); break;
        case 6: err = wl_config_log_note_get(log, "n", &text, &count); break;
        default: err = wl_config_log_notes(log, "", on_any, NULL); break;
        }
        cr_assert(err == wanted || err == WL_ERR_UNAVAILABLE, "%d: %s, %s", i, wl_err_name(err),
                  wl_config_log_problem(log));
        cr_assert_str_neq(wl_config_log_problem(log), "");
        cr_assert_leq(wl_mono_now().ms - start, ms_max, "%d took %d ms", i,
                      (int)(wl_mono_now().ms - start));
    }
    wl_config_log_nudge(log, "1 x");
    (void)wl_config_log_nudged(log);
}

/* The number of the newest record as soon as the server answers again. */
static uint64_t last_again(wl_config_log_t *log) {
    int64_t until = wl_mono_now().ms + 20000;
    uint64_t last = UINT64_MAX;
    while (wl_config_log_last(log, &last) != WL_OK && wl_mono_now().ms < until) {
        wait_ms(10);
    }
    return last;
}

Test(log_own, is_unavailable_while_the_server_is_gone_and_empty_when_it_comes_back_so,
     .timeout = 120) {
    server_t server = {.port = 0};
    server_up(&server);
    wl_config_log_t *log = log_open();
    for (uint64_t seq = 1; seq <= 5; seq++) {
        log_want(log, append(log, seq, 1, 100), WL_OK);
    }
    cr_assert_eq(last_of(log), 5);
    server_kill(&server);
    want_all(log, WL_ERR_UNAVAILABLE, 5000);
    cr_assert(problem_names(log, server.at));
    wl_config_log_t *fresh = log_open(); /* nothing is there when it is opened */
    want_all(fresh, WL_ERR_UNAVAILABLE, 5000);
    server_start(&server, NULL);
    cr_assert_eq(last_again(log), 0);
    cr_assert_eq(last_again(fresh), 0);
    log_want(log, append(log, 1, 2, 100), WL_OK);
    want_record(fresh, 1, 2, 100);
    wl_config_log_destroy(&fresh);
    wl_config_log_destroy(&log);
    server_kill(&server);
}

Test(log_own, starts_without_an_address_of_a_name_and_refuses_what_is_no_address) {
    static const char *const bad[] = {"", "host", "host:", "host:0", "a:1,", ":1", "a:99999"};
    wl_config_log_t *log = NULL;
    wl_fault_t fault = {.line = 0};
    for (size_t i = 0; i < WL_COUNT_OF(bad); i++) {
        (void)snprintf(log_settings.config_redis, sizeof log_settings.config_redis, "%s", bad[i]);
        cr_assert_eq(wl_config_log_redis(&log_settings, &log, &fault), WL_ERR_SETTINGS, "%s",
                     bad[i]);
        cr_assert_str_eq(fault.where, "config.redis");
    }
    (void)snprintf(log_settings.config_redis, sizeof log_settings.config_redis,
                   "no-such-host.invalid:6379");
    cr_assert_eq(wl_config_log_redis(&log_settings, &log, &fault), WL_OK);
    uint64_t last = 0;
    log_want(log, wl_config_log_last(log, &last), WL_ERR_UNAVAILABLE);
    cr_assert(problem_names(log, "no-such-host.invalid"));
    cr_assert_eq(wl_config_log_fd(log), -1);
    cr_assert_not(wl_config_log_nudged(log));
    wl_config_log_destroy(&log);
}

Test(log_own, waits_no_longer_than_the_timeout_for_a_server_that_is_stopped, .timeout = 120) {
    server_t server = {.port = 0};
    server_up(&server);
    log_settings.redis_timeout_ms = 200;
    wl_config_log_t *log = log_open();
    cr_assert_eq(last_again(log), 0);
    program_freeze(server.process);
    want_all(log, WL_ERR_DEADLINE, 5000);
    cr_assert_eq(kill(server.process, SIGCONT), 0);
    cr_assert_leq(last_again(log), 1);
    wl_config_log_destroy(&log);
    server_kill(&server);
}

Test(log_own, is_empty_after_a_flush, .timeout = 120) {
    server_t server = {.port = 0};
    server_up(&server);
    wl_config_log_t *log = log_open();
    char digest[WL_CONFIG_DIGEST_HEX + 1];
    char *text = NULL;
    size_t bytes = 0;
    void *blob = NULL;
    wl_config_log_digest("x", 1, digest);
    for (int round = 0; round < 2; round++) {
        for (uint64_t seq = 1; seq <= 3; seq++) {
            log_want(log, append(log, seq, round, 100), WL_OK);
        }
        log_want(log, wl_config_log_blob_put(log, digest, "x", 1), WL_OK);
        log_want(log, wl_config_log_note_put(log, "n", "x", 1, 0), WL_OK);
        cr_assert_eq(last_of(log), 3);
        wl_redis_t *redis = client(server.at);
        cr_assert_eq(ask(redis, NULL, "FLUSHALL").err, WL_OK);
        wl_redis_destroy(&redis);
        cr_assert_eq(last_of(log), 0);
        log_want(log, wl_config_log_read(log, 1, &text, &bytes), WL_ERR_NOT_FOUND);
        log_want(log, wl_config_log_blob_get(log, digest, &blob, &bytes), WL_ERR_NOT_FOUND);
        log_want(log, wl_config_log_note_get(log, "n", &text, &bytes), WL_ERR_NOT_FOUND);
        log_want(log, append(log, 4, 1, 10), WL_ERR_CONFLICT);
    }
    wl_config_log_destroy(&log);
    server_kill(&server);
}

Test(log_own, logs_in_with_the_password, .timeout = 120) {
    server_t server = {.port = 0};
    log_backend = IN_REDIS;
    server_start(&server, "--requirepass", "secret", NULL);
    (void)snprintf(log_own_server, sizeof log_own_server, "%s", server.at);
    wl_config_log_t *log = log_open();
    uint64_t last = 0;
    log_want(log, wl_config_log_last(log, &last), WL_ERR_UNAVAILABLE);
    cr_assert(problem_names(log, "NOAUTH") || problem_names(log, "who are you"), "%s",
              wl_config_log_problem(log));
    cr_assert_not(nudge_await(log, 200));
    wl_config_log_destroy(&log);
    const char *path = in_folder("password");
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL && fputs("secret\n", file) >= 0 && fclose(file) == 0);
    cr_assert_eq(chmod(path, 0600), 0);
    (void)snprintf(log_settings.redis_password_file, sizeof log_settings.redis_password_file, "%s",
                   path);
    log = log_open();
    cr_assert_eq(last_again(log), 0);
    cr_assert(nudge_await(log, 20000));
    log_want(log, append(log, 1, 1, 10), WL_OK);
    cr_assert(nudge_await(log, 20000));
    wl_config_log_destroy(&log);
    server_kill(&server);
}

Test(log_own, refuses_writes_of_a_server_that_is_full, .timeout = 120) {
    server_t server = {.port = 0};
    log_backend = IN_REDIS;
    server_start(&server, "--maxmemory", "1", NULL);
    (void)snprintf(log_own_server, sizeof log_own_server, "%s", server.at);
    wl_config_log_t *log = log_open();
    log_want(log, append(log, 1, 1, 10), WL_ERR_NO_SPACE);
    cr_assert_eq(last_of(log), 0);
    wl_config_log_destroy(&log);
    server_kill(&server);
}

/* ---- keys that somebody else has touched ----------------------------------------------------- */

Test(log_redis, names_the_record_that_is_missing_empty_or_cut, .timeout = 120) {
    wl_config_log_t *log = NULL;
    uint64_t last = 0;
    char *text = NULL;
    size_t bytes = 0;
    log_backend = IN_REDIS;
    log = log_open();
    for (uint64_t seq = 1; seq <= 6; seq++) {
        log_want(log, append(log, seq, 1, 100), WL_OK);
    }
    cr_assert_eq(last_of(log), 6);
    cr_assert_eq(log_redis_do("HSET", "changes", "4 {\"seq\":4,\"by\"").err, WL_OK);
    log_want(log, wl_config_log_read(log, 4, &text, &bytes), WL_ERR_DAMAGED);
    cr_assert(problem_names(log, "field 4 of key") && problem_names(log, "{config}:changes"));
    cr_assert_eq(log_redis_do("HDEL", "changes", "3").err, WL_OK);
    log_want(log, wl_config_log_last(log, &last), WL_ERR_DAMAGED);
    wl_config_log_t *fresh = log_open();
    log_want(fresh, wl_config_log_last(fresh, &last), WL_ERR_DAMAGED);
    cr_assert(problem_names(fresh, "field 3 of key"), "%s", wl_config_log_problem(fresh));
    log_want(fresh, append(fresh, 6, 1, 10), WL_ERR_CONFLICT);
    cr_assert_eq(log_redis_do("HSET", "changes", "3 ").err, WL_OK); /* empty */
    wl_config_log_destroy(&fresh);
    fresh = log_open();
    log_want(fresh, wl_config_log_last(fresh, &last), WL_ERR_DAMAGED);
    cr_assert(problem_names(fresh, "field 3 of key"));
    wl_config_log_destroy(&fresh);
    wl_config_log_destroy(&log);
}

Test(log_redis, calls_keys_of_another_type_damaged, .timeout = 120) {
    uint64_t last = 0;
    log_backend = IN_REDIS;
    wl_config_log_t *log = log_open();
    cr_assert_eq(log_redis_do("SET", "changes", "x").err, WL_OK);
    cr_assert_eq(log_redis_do("SET", "notes", "x").err, WL_OK);
    log_want(log, wl_config_log_last(log, &last), WL_ERR_DAMAGED);
    log_want(log, append(log, 1, 1, 10), WL_ERR_DAMAGED);
    log_want(log, wl_config_log_note_put(log, "n", "x", 1, 0), WL_ERR_DAMAGED);
    log_want(log, wl_config_log_notes(log, "", on_any, NULL), WL_ERR_DAMAGED);
    wl_config_log_destroy(&log);
}

Test(log_redis, tells_a_damaged_blob_and_writes_it_again, .timeout = 120) {
    char digest[WL_CONFIG_DIGEST_HEX + 1];
    char name[WL_CONFIG_DIGEST_HEX + 8];
    void *back = NULL;
    size_t count = 0;
    log_backend = IN_REDIS;
    wl_config_log_digest("whitelist", 9, digest);
    (void)snprintf(name, sizeof name, "blob:%s", digest);
    wl_config_log_t *log = log_open();
    log_want(log, wl_config_log_blob_put(log, digest, "whitelist", 9), WL_OK);
    cr_assert_eq(log_redis_do("SET", name, "whitelisX").err, WL_OK);
    log_want(log, wl_config_log_blob_get(log, digest, &back, &count), WL_ERR_DAMAGED);
    cr_assert(problem_names(log, digest));
    log_want(log, wl_config_log_blob_put(log, digest, "whitelist", 9), WL_OK);
    log_want(log, wl_config_log_blob_get(log, digest, &back, &count), WL_OK);
    cr_assert(count == 9 && memcmp(back, "whitelist", 9) == 0);
    wl_free(back);
    wl_config_log_destroy(&log);
}

Test(log_redis, passes_over_notes_that_are_not_ours, .timeout = 120) {
    char *text = NULL;
    size_t bytes = 0;
    uint32_t heard = 0;
    log_backend = IN_REDIS;
    wl_config_log_t *log = log_open();
    cr_assert_eq(log_redis_do("HSET", "notes", "plain text").err, WL_OK);
    cr_assert_eq(log_redis_do("HSET", "notes", "../x 0").err, WL_OK);
    log_want(log, wl_config_log_note_get(log, "plain", &text, &bytes), WL_ERR_NOT_FOUND);
    log_want(log, wl_config_log_notes(log, "", on_any, &heard), WL_OK);
    wl_config_log_destroy(&log);
}
