/* The log in etcd: servers that go, keys that somebody else has touched. */
#include "config_log_fixture.h"
#include "etcd_world.h"

TestSuite(config_log_etcd, .init = log_world_make, .fini = log_world_remove, .timeout = 120);

static wl_config_log_t *log_at(const char *url) {
    log_backend = IN_ETCD;
    (void)snprintf(log_own_server, sizeof log_own_server, "%s", url);
    return log_open();
}

/* Asks the server about a key of the log, or all keys from there up to `end`. */
static void touch(const char *method, const char *key, const char *end, const char *value) {
    char name[300];
    wl_etcd_t *etcd = NULL;
    json_t *answer = NULL;
    size_t prefix = strlen(log_settings.config_prefix) - 1; /* without its colon */
    cr_assert_eq(wl_etcd_new(log_settings.config_mirror_etcd, 5000, &etcd, NULL), WL_OK);
    (void)snprintf(name, sizeof name, "/%.*s/config/%.150s", (int)prefix,
                   log_settings.config_prefix, key);
    json_t *body = json_pack("{s:o}", "key", wl_etcd_bytes(name, strlen(name)));
    if (end != NULL) {
        (void)snprintf(name, sizeof name, "/%.*s/config/%.150s", (int)prefix,
                       log_settings.config_prefix, end);
        (void)json_object_set_new(body, "range_end", wl_etcd_bytes(name, strlen(name)));
    }
    if (value != NULL) {
        (void)json_object_set_new(body, "value", wl_etcd_bytes(value, strlen(value)));
    }
    cr_assert_eq(wl_etcd_ask(etcd, method, body, WL_ETCD_AGAIN, &answer), WL_OK, "%s",
                 wl_etcd_problem(etcd));
    json_decref(answer);
    wl_etcd_destroy(&etcd);
}

static uint64_t last_again(wl_config_log_t *log) {
    int64_t until = wl_mono_now().ms + 30000;
    uint64_t last = UINT64_MAX;
    while (wl_config_log_last(log, &last) != WL_OK && wl_mono_now().ms < until) {
        wait_ms(10);
    }
    return last;
}

static void want_damage(wl_config_log_t *log, const char *what) {
    uint64_t last = 0;
    log_want(log, wl_config_log_last(log, &last), WL_ERR_DAMAGED);
    cr_assert(problem_names(log, what), "%s", wl_config_log_problem(log));
}

Test(config_log_etcd, is_unavailable_while_the_server_is_gone_and_whole_when_it_is_back) {
    etcd_server_t server = {.peer_port = 0};
    uint64_t last = 0;
    char *text = NULL;
    size_t bytes = 0;
    char digest[WL_CONFIG_DIGEST_HEX + 1];
    void *blob = NULL;
    wl_config_log_digest("x", 1, digest);
    etcd_start(&server, NULL);
    wl_config_log_t *log = log_at(server.url);
    cr_assert_eq(last_again(log), 0);
    for (uint64_t seq = 1; seq <= 3; seq++) {
        log_want(log, append(log, seq, 1, 100), WL_OK);
    }
    server_kill(&server.server);
    log_want(log, wl_config_log_last(log, &last), WL_ERR_UNAVAILABLE);
    cr_assert(problem_names(log, server.url));
    log_want(log, wl_config_log_read(log, 1, &text, &bytes), WL_ERR_UNAVAILABLE);
    log_want(log, append(log, 4, 1, 10), WL_ERR_UNAVAILABLE);
    log_want(log, wl_config_log_blob_put(log, digest, "x", 1), WL_ERR_UNAVAILABLE);
    log_want(log, wl_config_log_blob_get(log, digest, &blob, &bytes), WL_ERR_UNAVAILABLE);
    log_want(log, wl_config_log_note_put(log, "n", "x", 1, 0), WL_ERR_UNAVAILABLE);
    log_want(log, wl_config_log_note_get(log, "n", &text, &bytes), WL_ERR_UNAVAILABLE);
    etcd_start(&server, NULL);
    cr_assert_eq(last_again(log), 3);
    log_want(log, append(log, 4, 2, 100), WL_OK);
    want_record(log, 4, 2, 100);
    touch("kv/deleterange", "", "~", NULL);
    cr_assert_eq(last_of(log), 0);
    log_want(log, append(log, 5, 1, 10), WL_ERR_CONFLICT);
    log_want(log, append(log, 1, 1, 10), WL_OK);
    wl_config_log_destroy(&log);
    server_kill(&server.server);
}

Test(config_log_etcd, waits_no_longer_than_two_timeouts_for_a_server_that_is_stopped) {
    etcd_server_t server = {.peer_port = 0};
    uint64_t last = 0;
    etcd_start(&server, NULL);
    log_settings.redis_timeout_ms = 300;
    wl_config_log_t *log = log_at(server.url);
    cr_assert_eq(last_again(log), 0);
    program_freeze(server.server.process);
    for (int i = 0; i < 3; i++) {
        int64_t start = wl_mono_now().ms;
        log_want(log, i == 0 ? append(log, 1, 1, 10) : wl_config_log_last(log, &last),
                 WL_ERR_DEADLINE);
        cr_assert_lt(wl_mono_now().ms - start, 5000);
    }
    cr_assert_eq(kill(server.server.process, SIGCONT), 0);
    cr_assert_leq(last_again(log), 1, "it may have been taken all the same");
    wl_config_log_destroy(&log);
    server_kill(&server.server);
}

Test(config_log_etcd, names_the_record_that_is_missing_empty_or_cut) {
    char *text = NULL;
    size_t bytes = 0;
    wl_config_log_t *log = log_at(stores_etcd());
    for (uint64_t seq = 1; seq <= 6; seq++) {
        log_want(log, append(log, seq, 1, 100), WL_OK);
    }
    touch("kv/put", "changes/00000004", NULL, "{\"seq\":4,\"by\"");
    log_want(log, wl_config_log_read(log, 4, &text, &bytes), WL_ERR_DAMAGED);
    cr_assert(problem_names(log, "changes/00000004"));
    touch("kv/put", "changes/00000004", NULL, "");
    log_want(log, wl_config_log_read(log, 4, &text, &bytes), WL_ERR_DAMAGED);
    cr_assert(problem_names(log, "is empty"));
    touch("kv/deleterange", "changes/00000003", NULL, NULL);
    want_damage(log, "changes/00000003 is missing");
    touch("kv/put", "changes/00000003", NULL, "{\"seq\":3}");
    cr_assert_eq(last_of(log), 6);
    touch("kv/put", "changes/0000", NULL, "x");
    want_damage(log, "changes/0000 is no change");
    touch("kv/deleterange", "changes/0000", NULL, NULL);
    touch("kv/put", "changes/x", NULL, "x");
    want_damage(log, "changes/x is no change");
    wl_config_log_destroy(&log);
}

Test(config_log_etcd, tells_a_damaged_blob_and_writes_it_again) {
    enum { COUNT = (2 << 20) + 5 };
    static const struct {
        const char *method, *behind, *value, *problem;
    } rows[] = {
        {"kv/put", "", "{\"bytes\": 7, \"pieces\": 9}", "does not describe"},
        {"kv/put", "", "{\"bytes\": -1, \"pieces\": 0}", "does not describe"},
        {"kv/put", "", "{\"bytes\": 99999999999, \"pieces\": 95368}", "does not describe"},
        {"kv/put", "", "x", "does not describe"},
        {"kv/deleterange", "/0001", NULL, "/0001 is missing"},
        {"kv/put", "/0002", "four", "/0002 has another size"},
        {"kv/put", "/0002", "12345", "other bytes"},
    };
    char digest[WL_CONFIG_DIGEST_HEX + 1];
    char *bytes = wl_alloc(COUNT);
    memset(bytes, 'b', COUNT);
    wl_config_log_digest(bytes, COUNT, digest);
    wl_config_log_t *log = log_at(stores_etcd());
    log_want(log, wl_config_log_blob_put(log, digest, bytes, COUNT), WL_OK);
    for (size_t i = 0; i < WL_COUNT_OF(rows); i++) {
        char key[100];
        void *back = NULL;
        size_t count = 0;
        (void)snprintf(key, sizeof key, "blobs/%s%.10s", digest, rows[i].behind);
        touch(rows[i].method, key, NULL, rows[i].value);
        log_want(log, wl_config_log_blob_get(log, digest, &back, &count), WL_ERR_DAMAGED);
        cr_assert(problem_names(log, rows[i].problem) && problem_names(log, digest), "%s",
                  wl_config_log_problem(log));
        log_want(log, wl_config_log_blob_put(log, digest, bytes, COUNT), WL_OK);
        log_want(log, wl_config_log_blob_get(log, digest, &back, &count), WL_OK);
        cr_assert(count == COUNT && memcmp(back, bytes, count) == 0);
        wl_free(back);
    }
    wl_free(bytes);
    wl_config_log_destroy(&log);
}

/* A writer that was killed has left pieces and no manifest. */
Test(config_log_etcd, does_not_take_pieces_for_a_blob) {
    char digest[WL_CONFIG_DIGEST_HEX + 1];
    char key[100];
    void *back = NULL;
    size_t count = 0;
    wl_config_log_digest("x", 1, digest);
    wl_config_log_t *log = log_at(stores_etcd());
    (void)snprintf(key, sizeof key, "blobs/%s/0000", digest);
    touch("kv/put", key, NULL, "y");
    log_want(log, wl_config_log_blob_get(log, digest, &back, &count), WL_ERR_NOT_FOUND);
    log_want(log, wl_config_log_blob_put(log, digest, "x", 1), WL_OK);
    log_want(log, wl_config_log_blob_get(log, digest, &back, &count), WL_OK);
    cr_assert(count == 1 && memcmp(back, "x", 1) == 0);
    wl_free(back);
    wl_config_log_destroy(&log);
}

Test(config_log_etcd, refuses_what_is_no_endpoint_and_has_no_nudges) {
    wl_config_log_t *log = NULL;
    wl_fault_t fault = {.line = 0};
    (void)snprintf(log_settings.config_mirror_etcd, sizeof log_settings.config_mirror_etcd, "x:1");
    cr_assert_eq(wl_config_log_etcd(&log_settings, &log, &fault), WL_ERR_SETTINGS);
    cr_assert_str_eq(fault.where, "config.mirror_etcd");
    cr_assert_not_null(strstr(fault.message, "x:1"));
    log = log_at(stores_etcd());
    cr_assert_eq(strncmp(wl_config_log_name(log), "etcd http://", 12), 0);
    wl_config_log_nudge(log, "1 x");
    cr_assert_eq(wl_config_log_fd(log), -1);
    cr_assert_not(wl_config_log_nudged(log));
    wl_config_log_destroy(&log);
}
