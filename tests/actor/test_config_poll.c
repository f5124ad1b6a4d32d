/* What the config actor does by itself, time after time: while a change cannot be used here, while
 * logs are far behind, while the store is away. */
#include "config_desk.h"

TestSuite(config_poll, .init = desk_open, .fini = desk_close, .timeout = 60);

static const char *in_folder(const char *name) {
    static char paths[2][300];
    static unsigned turn;
    char *path = paths[turn++ % 2];
    (void)snprintf(path, sizeof paths[0], "%s/%s", stage.folder, name);
    return path;
}

/* Another process, older or newer than this one, has published what nobody can use here. */
static void strange_change(void) {
    const wl_config_state_t *state = wl_config_sources_state(stage.self.sources);
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_PUBLISH,
                             .base = state->seq,
                             .author = "ann",
                             .reason = "because",
                             .from = ""};
    wl_config_state_t after;
    char *text = NULL;
    size_t bytes = 0;
    wish.documents[WL_DOCUMENT_PRESENTATION] =
        stage_json("{\"version\":1,\"golden\":[{\"line\":\"none\",\"title\":\"New\"}]}");
    cr_assert_eq(wl_config_change_make(state, wl_config_sources_digest(stage.self.sources), &wish,
                                       wl_wall_now(), &text, &bytes, &after, &stage.fault),
                 WL_OK, "%s", stage.fault.message);
    cr_assert_eq(wl_config_sources_append(stage.self.sources, text, bytes, &after, &stage.fault),
                 WL_OK, "%s", stage.fault.message);
    wl_free(text);
    json_decref(wish.documents[WL_DOCUMENT_PRESENTATION]);
}

static void want_live(uint64_t seq, wl_config_source_t source, const char *version) {
    cr_expect_eq(stage.self.live->seq, seq);
    cr_expect_eq(stage.self.live->source, source, "%s",
                 wl_config_source_name(stage.self.live->source));
    cr_expect_str_eq(stage.self.live->config->version, version);
}

#define FIRE(expires_at)            \
    "{\"expires_at\":\"" expires_at \
    "\",\"reason\":\"fire\",\"presentation\":" STAGE_PAGE("99", "Fire") "}"

Test(config_poll, an_emergency_file_helps_when_what_is_published_cannot_be_used_here) {
    (void)snprintf(stage.settings.config_emergency_file, 200, "%s/emergency.json", stage.folder);
    desk_import();
    strange_change();
    wl_config_poll(&stage.self);
    cr_expect_not_null(strstr(stage.self.problem, "change 2 cannot be used here"));
    want_live(1, WL_CONFIG_FROM_STORE, "3.7");
    stage_write("emergency.json", FIRE("2025-11-24T16:01:00Z")); /* in a minute */
    wl_config_poll(&stage.self);
    want_live(1, WL_CONFIG_FROM_EMERGENCY, "3.99");
    cr_assert_not_null(stage.self.below);
    wl_config_poll(&stage.self);
    want_live(1, WL_CONFIG_FROM_EMERGENCY, "3.99");
    clock_pass(60000);
    wl_config_poll(&stage.self);
    want_live(1, WL_CONFIG_FROM_STORE, "3.7");
    cr_expect_null(stage.self.below);
    cr_expect_eq(stage.self.emergency_until, 0);
}

Test(config_poll, an_emergency_file_that_is_refused_is_not_said_to_win) {
    (void)snprintf(stage.settings.config_emergency_file, 200, "%s/emergency.json", stage.folder);
    desk_import();
    stage_write(
        "emergency.json",
        "{\"expires_at\":\"2099-01-01T00:00:00Z\",\"reason\":\"fire\",\"presentation\":{}}");
    wl_config_poll(&stage.self);
    want_live(1, WL_CONFIG_FROM_STORE, "3.7");
    cr_expect_not_null(strstr(stage.self.problem, "is refused"), "%s", stage.self.problem);
    cr_expect_eq(stage.self.emergency_until, 0);
}

Test(config_poll, a_long_way_is_gone_in_several_turns) {
    char prev[WL_DIGEST_HEX + 1] = "";
    wl_config_state_t state = {.seq = 0};
    for (uint64_t seq = 1; seq <= 600; seq++) {
        wl_config_wish_t wish = {.action =
                                     seq == 1 ? WL_CONFIG_ACTION_IMPORT : WL_CONFIG_ACTION_PUBLISH,
                                 .base = seq - 1,
                                 .author = "ann",
                                 .reason = "because",
                                 .from = ""};
        wl_config_state_t after;
        char *text = NULL;
        size_t bytes = 0;
        wish.documents[0] = stage_json(STAGE_LINES("3", ""));
        wish.documents[1] = stage_json(STAGE_PAGE("7", "Cash"));
        cr_assert_eq(wl_config_change_make(&state, prev, &wish, wl_wall_now(), &text, &bytes,
                                           &after, &stage.fault),
                     WL_OK, "%s", stage.fault.message);
        cr_assert_eq(wl_config_log_append(desk_store(), seq, text, bytes), WL_OK);
        wl_config_digest(text, bytes, prev);
        state = after;
        wl_free(text);
        json_decref(wish.documents[0]);
        json_decref(wish.documents[1]);
    }
    wl_config_poll(&stage.self);
    cr_expect_eq(desk_seq(), 600);
    cr_expect_eq(stage.self.live->seq, 600, "what is live does not wait for it");
    cr_expect(wl_config_sources_behind(stage.self.sources), "others are heard between");
    wl_config_poll(&stage.self);
    cr_expect_not(wl_config_sources_behind(stage.self.sources));
}

Test(config_poll, a_store_that_is_away_is_not_asked_for_notes_either) {
    desk_import();
    wl_config_poll(&stage.self);
    cr_assert_eq(rename(in_folder("store"), in_folder("away")), 0);
    stage_write("store", "");
    clock_pass(1000);
    wl_config_poll(&stage.self); /* from now on not before 500 ms */
    cr_assert_eq(unlink(in_folder("store")), 0);
    cr_assert_eq(rename(in_folder("away"), in_folder("store")), 0);
    wl_config_log_t *log = desk_store();
    cr_assert_eq(wl_config_log_note_put(log, "nodes/web-1", NULL, 0, 0), WL_OK);
    char *text = NULL;
    size_t bytes = 0;
    for (int i = 0; i < 4; i++) {
        clock_pass(100);
        wl_config_poll(&stage.self);
        cr_expect_eq(wl_config_log_note_get(log, "nodes/web-1", &text, &bytes), WL_ERR_NOT_FOUND);
    }
    clock_pass(2000);
    wl_config_poll(&stage.self);
    cr_expect_eq(wl_config_log_note_get(log, "nodes/web-1", &text, &bytes), WL_OK);
    wl_free(text);
}

/* Everything but this process's memory is damaged, and it begins anew. */
Test(config_poll, when_no_log_can_be_read_files_are_served_and_nothing_is_published) {
    wl_config_actor_t *self = &stage.self;
    desk_import();
    stage_put(WL_CONFIG_ACTION_PUBLISH, NULL, STAGE_PAGE("1", "Two"));
    stage_write("data/config/changes/00000002.json", "{");
    (void)nftw(in_folder("store/changes"), stage_remove, 16, FTW_DEPTH | FTW_PHYS);
    wl_config_sources_destroy(&self->sources);
    cr_assert_eq(wl_config_sources_new(&stage.settings, &self->sources, &stage.fault), WL_OK);
    wl_config_poll(self);
    cr_expect_eq(desk_seq(), 0);
    want_live(0, WL_CONFIG_FROM_DIRECTORY, "3.7");
    cr_expect_not_null(strstr(self->problem, "are live instead of what was published"), "%s",
                       self->problem);
    cr_expect_not_null(strstr(self->problem, "/data/config"), "%s", self->problem);
    json_t *result = NULL;
    wl_config_wish_t wish = {
        .action = WL_CONFIG_ACTION_PUBLISH, .author = "ann", .reason = "because", .from = ""};
    wish.documents[1] = stage_json(STAGE_PAGE("1", "New"));
    cr_expect_eq(
        wl_config_publish(self, &wish, false, (wl_config_asker_t){0, 0}, &result, &stage.fault),
        WL_ERR_CONFLICT);
    cr_expect_not_null(strstr(stage.fault.message, "mend it"), "%s", stage.fault.message);
    cr_expect_eq(desk_seq(), 0);
    json_decref(wish.documents[1]);
    (void)nftw(in_folder("data/config/changes"), stage_remove, 16, FTW_DEPTH | FTW_PHYS);
    clock_pass(2000);
    wl_config_poll(self);
    cr_expect_str_eq(self->problem, "", "it is said no more");
}
