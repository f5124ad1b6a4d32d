/* What the actors work with, made from a state, from the directory, from the emergency file. */
#include "config_stage.h"

TestSuite(config_live, .init = stage_open, .fini = stage_close, .timeout = 60);

static wl_config_live_t *of_state(const wl_config_state_t *state, wl_err_t wanted) {
    wl_config_live_t *live = NULL;
    stage.fault = (wl_fault_t){.line = 0};
    wl_err_t err =
        wl_config_live_of_state(stage.self.sources, state, NULL, NULL, &live, &stage.fault);
    cr_expect_eq(err, wanted, "%s: %s", wl_err_name(err), stage.fault.message);
    cr_expect_eq(live != NULL, wanted == WL_OK);
    return live;
}

static const wl_config_state_t *state_now(void) {
    return wl_config_sources_state(stage.self.sources);
}

static void rollout(const char *lines, const char *page) {
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_ROLLOUT, .rollout = {.share = 10}};
    wish.documents[WL_DOCUMENT_INTEGRATION] = lines == NULL ? NULL : stage_json(lines);
    wish.documents[WL_DOCUMENT_PRESENTATION] = page == NULL ? NULL : stage_json(page);
    stage_change(wish);
}

/* ---- of a state ------------------------------------------------------------------------------ */

Test(config_live, a_state_gives_the_documents_of_its_changes) {
    stage_import();
    stage_put(WL_CONFIG_ACTION_PUBLISH, NULL, STAGE_PAGE("1", "Two"));
    wl_config_live_t *live = of_state(state_now(), WL_OK);
    cr_expect_eq(live->seq, 2);
    cr_expect_str_eq(live->config->version, "3.8");
    cr_expect_eq(live->source, WL_CONFIG_FROM_STORE);
    cr_expect_eq(live->base[0].bytes, strlen(live->base[0].text));
    cr_expect_null(live->candidate[0].text);
    cr_expect_null(live->candidate_config);
    cr_expect_null(live->both.text);
    cr_expect_null(live->both_config);
    wl_config_live_destroy(&live);
    cr_expect_null(live);
    wl_config_live_destroy(&live);
    wl_config_live_destroy(NULL);
}

#define ONE_MORE "\"more\":{\"kind\":\"coin\",\"url\":\"http://new\",\"unit\":\"bean\"}"

Test(config_live, writers_of_a_rollout_get_lines_of_both_as_the_base_calls_them) {
    stage_import();
    rollout("{\"version\":1,\"lines\":{" STAGE_CASH ",\"rate\":7}," STAGE_COIN "," STAGE_GIFT
            "," ONE_MORE "}}",
            NULL);
    wl_config_live_t *live = of_state(state_now(), WL_OK);
    cr_assert_not_null(live->both_config);
    cr_expect_eq(live->rollout.id, 2);
    cr_expect_str_eq(live->config->version, "3.7");
    cr_expect_str_eq(live->candidate_config->version, "4.7");
    cr_expect_not_null(wl_config_line(live->both_config, "more"));
    cr_expect_null(wl_config_line(live->config, "more"));
    cr_expect_eq(live->both_config->line_count, live->config->line_count + 1);
    cr_expect_null(strstr(live->both.text, "\"rate\""), "how a line is called is the base's");
    cr_expect_str_eq(live->candidate[WL_DOCUMENT_PRESENTATION].text,
                     live->base[WL_DOCUMENT_PRESENTATION].text);
    wl_config_live_destroy(&live);
}

Test(config_live, what_cannot_be_used_is_refused_with_its_place) {
    stage_import();
    wl_config_state_t state = *state_now();
    state.head[WL_DOCUMENT_PRESENTATION].seq = 9;
    wl_config_live_t *live = of_state(&state, WL_ERR_NOT_FOUND);
    state = *state_now();
    state.rollout = (wl_rollout_t){.id = 1, .share = 1};
    memcpy(state.candidate, state.head, sizeof state.candidate);
    memset(state.rollout.whitelist, 'a', WL_DIGEST_HEX);
    live = of_state(&state, WL_ERR_NOT_FOUND);
    cr_expect_not_null(strstr(stage.fault.message, "no set of users aaaaaaaaaaaa"), "%s",
                       stage.fault.message);
    cr_expect_null(live);
}

/* A record that is not in the log yet: WL_OK, or why not. */
static wl_err_t of_fresh(const char *lines, const char *page, wl_config_live_t **ret) {
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_PUBLISH,
                             .base = state_now()->seq,
                             .author = "ann",
                             .reason = "because",
                             .from = ""};
    wl_config_state_t after;
    wl_config_change_t change;
    char *text = NULL;
    size_t bytes = 0;
    wish.documents[0] = lines == NULL ? NULL : stage_json(lines);
    wish.documents[1] = page == NULL ? NULL : stage_json(page);
    cr_assert_eq(wl_config_change_make(state_now(), wl_config_sources_digest(stage.self.sources),
                                       &wish, (wl_wall_ms_t){9}, &text, &bytes, &after,
                                       &stage.fault),
                 WL_OK);
    cr_assert_eq(wl_config_change_read(text, bytes, &change, &stage.fault), WL_OK);
    wl_err_t err = wl_config_live_of_state(stage.self.sources, &change.state, &change,
                                           stage.self.live, ret, &stage.fault);
    wl_config_change_release(&change);
    wl_free(text);
    json_decref(wish.documents[0]);
    json_decref(wish.documents[1]);
    return err;
}

Test(config_live, a_fresh_change_is_compiled_before_it_is_in_the_log) {
    wl_config_live_t *live = NULL;
    stage_import();
    cr_expect_eq(of_fresh(NULL, STAGE_PAGE("1", "Fresh"), &live), WL_OK);
    cr_expect_not_null(strstr(live->base[1].text, "\"Fresh\""));
    cr_expect_str_eq(live->config->version, "3.8");
    wl_config_live_destroy(&live);
    cr_expect_eq(of_fresh(NULL, "{\"golden\":[{\"line\":\"none\"}]}", &live), WL_ERR_SETTINGS);
    cr_expect_null(live);
    cr_expect_not_null(strstr(stage.fault.where, "golden"), "%s", stage.fault.where);
    cr_expect_gt(stage.fault.line, 0);
    cr_expect_eq(of_fresh("{\"lines\":{" STAGE_COIN "}}", NULL, &live), WL_ERR_SETTINGS,
                 "the page names a line that is gone");
    cr_expect_eq(state_now()->seq, 1);
}

/* ---- of the directory ------------------------------------------------------------------------ */

typedef struct {
    int count;
    char path[300];
} refusals_t;

static void on_refused(const char *path, const wl_fault_t *fault, void *arg) {
    refusals_t *refusals = arg;
    cr_expect_neq(fault->message[0], '\0');
    refusals->count++;
    (void)snprintf(refusals->path, sizeof refusals->path, "%s", path);
}

Test(config_live, the_directory_gives_its_newest_pair_that_is_valid) {
    const char *dir = stage.settings.server_config_dir;
    wl_config_live_t *live = NULL;
    refusals_t refusals = {0};
    stage_write("store/presentation-8.json", "{\"version\":8,\"golden\":[{\"line\":\"none\"}]}");
    stage_write("store/presentation-9.json", "{ not");
    cr_expect_eq(wl_config_live_of_directory(dir, on_refused, &refusals, &live, &stage.fault),
                 WL_OK);
    cr_expect_str_eq(live->config->version, "3.7");
    cr_expect_eq(refusals.count, 2);
    cr_expect_not_null(strstr(refusals.path, "presentation-8.json"));
    cr_expect_eq(live->seq, 0);
    cr_expect_eq(live->source, WL_CONFIG_FROM_DIRECTORY);
    cr_expect_str_eq(live->base[1].text, STAGE_PAGE("7", "Cash"));
    wl_config_live_destroy(&live);
    cr_expect_neq(
        wl_config_live_of_directory("/nowhere", on_refused, &refusals, &live, &stage.fault), WL_OK);
    cr_expect_null(live);
}

/* ---- of the emergency file ------------------------------------------------------------------- */

enum { NOW = 1000000 }; /* wall ms */

#define UNTIL "\"expires_at\":\"1970-01-01T00:16:41+00:00\",\"reason\":\"fire\""

static wl_err_t emergency(const char *text, const wl_config_live_t *now, wl_config_live_t **ret) {
    char path[200];
    int64_t until = -1;
    (void)snprintf(path, sizeof path, "%s/emergency.json", stage.folder);
    stage_write("emergency.json", text);
    stage.fault = (wl_fault_t){.line = 0};
    wl_err_t err =
        wl_config_live_of_emergency(path, (wl_wall_ms_t){NOW}, now, ret, &until, &stage.fault);
    cr_expect_eq(err == WL_OK ? until : -1, err == WL_OK ? 1001000 : -1);
    cr_expect_eq(err == WL_OK, *ret != NULL);
    cr_expect(err == WL_OK || stage.fault.message[0] != '\0');
    return err;
}

Test(config_live, an_emergency_file_stands_before_whatever_is_live) {
    wl_config_live_t *live = NULL;
    stage_import();
    rollout(NULL, STAGE_PAGE("1", "New"));
    cr_expect_eq(emergency("{" UNTIL ",\"presentation\":" STAGE_PAGE("99", "Fire") "}",
                           stage.self.live, &live),
                 WL_OK, "%s", stage.fault.message);
    cr_expect_str_eq(live->config->version, "3.99");
    cr_expect_eq(live->source, WL_CONFIG_FROM_EMERGENCY);
    cr_expect_eq(live->seq, 2);
    cr_expect_eq(live->rollout.id, 0, "nobody is shown a candidate meanwhile");
    cr_expect_null(live->candidate_config);
    cr_expect_str_eq(live->base[0].text, stage.self.live->base[0].text);
    wl_config_live_destroy(&live);
    cr_expect_eq(emergency("{" UNTIL "}", stage.self.live, &live), WL_OK);
    cr_expect_str_eq(live->config->version, "3.7", "it brings nothing: that stops the rollout");
    wl_config_live_destroy(&live);
}

Test(config_live, with_both_documents_it_needs_nothing_else) {
    wl_config_live_t *live = NULL;
    cr_expect_eq(emergency("{" UNTIL ",\"presentation\":" STAGE_PAGE("9", "Fire") "}", NULL, &live),
                 WL_ERR_SETTINGS);
    cr_expect_not_null(strstr(stage.fault.message, "no other configuration is known"));
    cr_expect_eq(emergency("{" UNTIL ",\"presentation\":" STAGE_PAGE(
                               "9", "Fire") ","
                                            "\"integration\":" STAGE_LINES("8", "") "}",
                           NULL, &live),
                 WL_OK, "%s", stage.fault.message);
    cr_expect_str_eq(live->config->version, "8.9");
    wl_config_live_destroy(&live);
}

Test(config_live, an_emergency_file_that_is_not_right_is_refused) {
    static const struct {
        const char *text;
        wl_err_t err;
        const char *where; /* "" = the file */
    } rows[] = {
        {"", WL_ERR_SETTINGS, "emergency.json"},
        {"{\"expires_at\":\n  nonsense}", WL_ERR_SETTINGS, "emergency.json"},
        {"[1]", WL_ERR_SETTINGS, "expires_at"},
        {"{}", WL_ERR_SETTINGS, "expires_at"},
        {"{\"expires_at\":1001000,\"reason\":\"a\"}", WL_ERR_SETTINGS, "expires_at"},
        {"{\"expires_at\":\"2099-01-01\",\"reason\":\"a\"}", WL_ERR_SETTINGS, "expires_at"},
        {"{\"expires_at\":\"2099-01-01T00:00:00\",\"reason\":\"a\"}", WL_ERR_SETTINGS,
         "expires_at"},
        {"{\"expires_at\":\"1970-01-01T00:16:41Z\"}", WL_ERR_SETTINGS, "reason"},
        {"{\"expires_at\":\"1970-01-01T00:16:41Z\",\"reason\":7}", WL_ERR_SETTINGS, "reason"},
        {"{\"expires_at\":\"1970-01-01T00:16:40Z\",\"reason\":\"a\"}", WL_ERR_NOT_FOUND,
         "expires_at"},
        {"{" UNTIL ",\"presentation\":7}", WL_ERR_SETTINGS, "presentation"},
        {"{" UNTIL ",\"presentation\":\"x\"}", WL_ERR_SETTINGS, "presentation"},
        {"{" UNTIL ",\"presentation\":null}", WL_ERR_SETTINGS, "presentation"},
        {"{" UNTIL ",\"presentation\":[]}", WL_ERR_SETTINGS, "presentation"},
        {"{" UNTIL ",\"presentation\":{\"version\":1,\"golden\":[{\"line\":\"none\"}]}}",
         WL_ERR_SETTINGS, "golden"},
        {"{" UNTIL ",\"presentation\":{\"version\":0}}", WL_ERR_SETTINGS, "presentation"},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        wl_config_live_t *live = NULL;
        wl_err_t err = emergency(rows[r].text, stage.self.live, &live);
        cr_expect_eq(err, rows[r].err, "%s: %s", rows[r].text, wl_err_name(err));
        cr_expect_not_null(strstr(stage.fault.where, rows[r].where), "%s: %s: %s", rows[r].text,
                           stage.fault.where, stage.fault.message);
        wl_config_live_destroy(&live);
    }
}

Test(config_live, where_an_emergency_file_is_not_json_is_told) {
    wl_config_live_t *live = NULL;
    cr_expect_eq(emergency("{\"expires_at\":\n  nonsense}", NULL, &live), WL_ERR_SETTINGS);
    cr_expect_eq(stage.fault.line, 2);
    cr_expect_gt(stage.fault.column, 0);
    int64_t until = 0;
    cr_expect_eq(wl_config_live_of_emergency("/nowhere/e.json", (wl_wall_ms_t){NOW}, NULL, &live,
                                             &until, &stage.fault),
                 WL_ERR_NOT_FOUND);
    cr_expect_neq(wl_config_live_of_emergency(stage.folder, (wl_wall_ms_t){NOW}, NULL, &live,
                                              &until, &stage.fault),
                  WL_ERR_NOT_FOUND, "a folder is there, and is no file");
}

/* ---- the same? ------------------------------------------------------------------------------- */

Test(config_live, any_difference_is_seen) {
    stage_import();
    wl_config_live_t *one = of_state(state_now(), WL_OK);
    wl_config_live_t *other = of_state(state_now(), WL_OK);
    cr_expect(wl_config_live_same(one, other));
    other->source = WL_CONFIG_FROM_MIRROR;
    cr_expect_not(wl_config_live_same(one, other));
    other->source = one->source;
    other->seq++;
    cr_expect_not(wl_config_live_same(one, other));
    other->seq = one->seq;
    other->base[1].text[other->base[1].bytes - 1] = ' ';
    cr_expect_not(wl_config_live_same(one, other));
    wl_config_live_destroy(&other);
    rollout(NULL, STAGE_PAGE("1", "New"));
    other = of_state(state_now(), WL_OK);
    other->seq = one->seq;
    cr_expect_not(wl_config_live_same(one, other), "it has a candidate");
    wl_config_live_destroy(&other);
    wl_config_live_destroy(&one);
}
