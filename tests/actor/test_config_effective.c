/* What a user sees, and why: through the whole request. */
#include "config_stage.h"
#include "domain/presence_set.h"

TestSuite(config_effective, .init = stage_open, .fini = stage_close);

/* Keeps a set of these users in the snapshot; its digest. */
static const char *whitelist(const uint64_t *uids, size_t count) {
    static char digest[WL_DIGEST_HEX + 1];
    WL_AUTO(wl_presence_set) set = wl_presence_set_new(WL_PRESENCE_EXACT, 0);
    void *blob = NULL;
    size_t bytes = 0;
    wl_presence_set_mark_many(set, uids, count);
    wl_presence_set_save(set, NULL, 0, &blob, &bytes);
    wl_config_digest(blob, bytes, digest);
    cr_assert_eq(wl_config_sources_blob_put(stage.self.sources, digest, blob, bytes, &stage.fault),
                 WL_OK);
    wl_free(blob);
    return digest;
}

static void rollout(wl_rollout_t conditions) {
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_ROLLOUT, .rollout = conditions};
    wish.documents[WL_DOCUMENT_PRESENTATION] = stage_json(STAGE_PAGE("7", "New"));
    stage_change(wish);
}

static bool rule_holds(const json_t *said, const char *name) {
    size_t index = 0;
    const json_t *rule = NULL;
    json_array_foreach(at(said, "rules"), index, rule) {
        if (strcmp(text_at(rule, "rule"), name) == 0) {
            return true_at(rule, "holds");
        }
    }
    cr_assert(false, "no rule %s", name);
    return false;
}

Test(config_effective, without_a_rollout_everybody_sees_the_same) {
    json_t *said = stage_ask(wl_config_view_effective, "{\"uid\":7,\"at\":0}");
    cr_expect_str_eq(text_at(said, "version"), "3.7");
    cr_expect_str_eq(text_at(said, "variant"), "base");
    cr_expect_str_eq(text_at(said, "source"), "directory");
    cr_expect_str_eq(text_at(said, "at"), "1970-01-01T00:00:00Z");
    cr_expect_eq(json_array_size(at(said, "rules")), 0);
    cr_expect_eq(number_at(said, "golden.0.position"), 1);
    cr_expect_str_eq(text_at(said, "golden.0.title"), "Cash");
    cr_expect_str_eq(text_at(said, "sections.1.items.0.line"), "coin");
    cr_expect_str_eq(text_at(said, "sections.1.campaigns.0.verdict"), "not_begun");
    cr_expect_str_eq(text_at(said, "sections.1.campaigns.0.why"), "begins 2026-11-11T00:00:00Z");
    json_decref(said);
}

Test(config_effective, the_moment_decides_about_campaigns_and_so_does_a_sick_line) {
    static const char inside[] = "{\"uid\":7,\"at\":\"2026-11-11T08:00:00+08:00\"}";
    json_t *said = stage_ask(wl_config_view_effective, inside);
    cr_expect_str_eq(text_at(said, "at"), "2026-11-11T00:00:00Z");
    cr_expect_str_eq(text_at(said, "sections.1.items.0.campaign"), "gifts");
    cr_expect_str_eq(text_at(said, "sections.1.items.1.line"), "coin");
    json_decref(said);
    (void)snprintf(stage.self.hub.sick_lines[0], WL_LINE_ID_MAX, "gone");
    (void)snprintf(stage.self.hub.sick_lines[1], WL_LINE_ID_MAX, "gift");
    stage.self.hub.sick_count = 2;
    said = stage_ask(wl_config_view_effective, inside);
    cr_expect_str_eq(text_at(said, "sections.1.campaigns.0.verdict"), "sick");
    cr_expect_str_eq(text_at(said, "sections.1.items.0.line"), "coin");
    json_decref(said);
    said = stage_ask(wl_config_view_effective, "{\"uid\":7,\"at\":1794441600000}");
    cr_expect_str_eq(text_at(said, "sections.1.campaigns.0.verdict"), "over");
    json_decref(said);
}

Test(config_effective, every_rule_of_a_rollout_is_shown_with_what_it_wants_and_finds) {
    const uint64_t uids[] = {7, 8};
    wl_rollout_t conditions = {
        .share = WL_ROLLOUT_WHOLE, .scene_count = 2, .scenes = {"home", "mine"}, .app_min = "13.4"};
    stage_import();
    (void)snprintf(conditions.whitelist, sizeof conditions.whitelist, "%s", whitelist(uids, 2));
    rollout(conditions);
    json_t *said = stage_ask(wl_config_view_effective,
                             "{\"uid\":7,\"scene\":\"mine\",\"app_version\":\"13.10\"}");
    cr_expect_str_eq(text_at(said, "variant"), "candidate");
    cr_expect_str_eq(text_at(said, "version"), "3.8");
    cr_expect_str_eq(text_at(said, "golden.0.title"), "New");
    cr_expect_eq(json_array_size(at(said, "rules")), WL_ROLLOUT_RULE_COUNT);
    cr_expect_str_eq(text_at(said, "rules.1.wants"), "home, mine");
    cr_expect_str_eq(text_at(said, "rules.1.has"), "mine");
    cr_expect_str_eq(text_at(said, "rules.2.wants"), "from 13.4");
    cr_expect_str_eq(text_at(said, "rules.4.has"), "a member");
    json_decref(said);
    said = stage_ask(wl_config_view_effective, "{\"uid\":9}");
    cr_expect_str_eq(text_at(said, "variant"), "base");
    cr_expect_str_eq(text_at(said, "golden.0.title"), "Cash");
    cr_expect(rule_holds(said, "running") && rule_holds(said, "percent"));
    cr_expect_not(rule_holds(said, "scene") || rule_holds(said, "app_version"));
    cr_expect_not(rule_holds(said, "whitelist"));
    cr_expect_str_eq(text_at(said, "rules.1.has"), "not said");
    cr_expect_not_null(strstr(text_at(said, "why"), "scene wants home, mine"), "%s",
                       text_at(said, "why"));
    json_decref(said);
    stage_change((wl_config_wish_t){.action = WL_CONFIG_ACTION_PAUSE, .rollout_id = 2});
    said = stage_ask(wl_config_view_effective,
                     "{\"uid\":7,\"scene\":\"mine\",\"app_version\":\"13.10\"}");
    cr_expect_str_eq(text_at(said, "variant"), "base");
    cr_expect_str_eq(text_at(said, "rules.0.has"), "paused");
    json_decref(said);
}

Test(config_effective, nobody_is_in_a_set_that_is_not_here) {
    const uint64_t uids[] = {7};
    wl_rollout_t conditions = {.share = WL_ROLLOUT_WHOLE};
    char path[300];
    stage_import();
    (void)snprintf(conditions.whitelist, sizeof conditions.whitelist, "%s", whitelist(uids, 1));
    rollout(conditions);
    (void)snprintf(path, sizeof path, "%s/data/config/blobs/%s", stage.folder,
                   conditions.whitelist);
    cr_assert_eq(unlink(path), 0);
    json_t *said = stage_ask(wl_config_view_effective, "{\"uid\":7}");
    cr_expect_str_eq(text_at(said, "variant"), "base");
    cr_expect_not_null(strstr(text_at(said, "rules.4.has"), "the set is not here"), "%s",
                       text_at(said, "rules.4.has"));
    json_decref(said);
}

Test(config_effective, what_is_asked_for_has_to_make_sense) {
    wl_config_view_fn *view = wl_config_view_effective;
    REFUSED(view, "{}", WL_ERR_BAD_REQUEST, "uid");
    REFUSED(view, "{\"uid\":0}", WL_ERR_BAD_REQUEST, "uid");
    REFUSED(view, "{\"uid\":1,\"scene\":\"a\\nb\"}", WL_ERR_BAD_REQUEST, "scene");
    REFUSED(view, "{\"uid\":1,\"scene\":\"123456789012345678901234567890123\"}", WL_ERR_BAD_REQUEST,
            "scene");
    REFUSED(view, "{\"uid\":1,\"app_version\":\"13.x\"}", WL_ERR_BAD_REQUEST, "app_version: must");
    REFUSED(view, "{\"uid\":1,\"at\":\"2026-11-11\"}", WL_ERR_BAD_REQUEST, "at: must be a moment");
    REFUSED(view, "{\"uid\":1,\"at\":-1}", WL_ERR_BAD_REQUEST, "at: must be a moment");
    REFUSED(view, "{\"uid\":1,\"at\":{}}", WL_ERR_BAD_REQUEST, "at: must be a moment");
    static const uint8_t largest[] = "\x81\xa3uid\xcf\xff\xff\xff\xff\xff\xff\xff\xff";
    wl_err_t err = WL_OK;
    json_t *said = stage_ask_packed(view, largest, sizeof largest - 1, &err);
    cr_expect_str_eq(text_at(said, "uid"), "18446744073709551615");
    json_decref(said);
}
