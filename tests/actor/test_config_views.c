/* Documents as they are, whether they could be published, what would change. */
#include "config_stage.h"
#include "domain/config_diff.h"

TestSuite(config_views, .init = stage_open, .fini = stage_close);

/* {"document": .., "text": .., "base": ..} */
static json_t *text_args(const char *document, const char *text, int64_t base) {
    json_t *args = json_pack("{s:s, s:s}", "document", document, "text", text);
    if (base >= 0) {
        (void)json_object_set_new(args, "base", json_integer(base));
    }
    return args;
}

/* ---- get ------------------------------------------------------------------------------------- */

Test(config_views, gets_files_of_the_directory_until_something_is_published) {
    json_t *got = stage_ask(wl_config_view_get, "{\"document\":\"presentation\"}");
    cr_expect_eq(number_at(got, "version"), 7);
    cr_expect_eq(number_at(got, "seq"), 0);
    cr_expect_str_eq(text_at(got, "text"), STAGE_PAGE("7", "Cash"));
    json_decref(got);
    REFUSED(wl_config_view_get, "{\"document\":\"presentation\",\"seq\":1}", WL_ERR_NOT_FOUND,
            "nothing was published yet");
    REFUSED(wl_config_view_get, "{\"document\":\"presentation\",\"candidate\":true}",
            WL_ERR_NOT_FOUND, "no rollout");
}

Test(config_views, gets_what_was_live_after_any_change) {
    stage_import();
    stage_put(WL_CONFIG_ACTION_PUBLISH, NULL, STAGE_PAGE("7", "Money"));
    json_t *now = stage_ask(wl_config_view_get, "{\"document\":\"presentation\"}");
    json_t *then = stage_ask(wl_config_view_get, "{\"document\":\"presentation\",\"seq\":1}");
    json_t *same = stage_ask(wl_config_view_get, "{\"document\":\"integration\",\"seq\":2}");
    cr_expect_eq(number_at(now, "version"), 8);
    cr_expect_eq(number_at(now, "seq"), 2, "the base of the next change");
    cr_expect_not_null(strstr(text_at(now, "text"), "\"Money\""));
    cr_expect_eq(number_at(then, "version"), 7);
    cr_expect_not_null(strstr(text_at(then, "text"), "\"Cash\""));
    cr_expect_eq(number_at(same, "version"), 3);
    cr_expect_eq(number_at(same, "seq"), 2);
    cr_expect_eq(number_at(same, "brought_by"), 1);
    json_decref(now);
    json_decref(then);
    json_decref(same);
    REFUSED(wl_config_view_get, "{\"document\":\"integration\",\"seq\":3}", WL_ERR_NOT_FOUND,
            "there are 1 to 2");
    REFUSED(wl_config_view_get, "{\"document\":\"integration\",\"seq\":0}", WL_ERR_NOT_FOUND,
            "there are 1 to 2");
}

Test(config_views, gets_the_candidate_of_a_rollout) {
    stage_import();
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_ROLLOUT, .rollout = {.share = 1000}};
    wish.documents[WL_DOCUMENT_PRESENTATION] = stage_json(STAGE_PAGE("7", "New"));
    stage_change(wish);
    json_t *got =
        stage_ask(wl_config_view_get, "{\"document\":\"presentation\",\"candidate\":true}");
    cr_expect_eq(number_at(got, "version"), 8);
    cr_expect_not_null(strstr(text_at(got, "text"), "\"New\""));
    json_decref(got);
    got = stage_ask(wl_config_view_get, "{\"document\":\"presentation\"}");
    cr_expect_eq(number_at(got, "version"), 7);
    json_decref(got);
    REFUSED(wl_config_view_get, "{\"document\":\"presentation\",\"candidate\":true,\"seq\":1}",
            WL_ERR_NOT_FOUND, "no rollout was under way after change 1");
}

Test(config_views, gets_what_is_published_while_an_emergency_file_stands_before_it) {
    stage_import();
    wl_config_live_t *emergency = NULL;
    stage_write("emergency.json", "{\"expires_at\":\"2999-01-01T00:00:00Z\",\"reason\":\"r\","
                                  "\"presentation\":" STAGE_PAGE("1", "Sorry") "}");
    char path[128];
    int64_t until = 0;
    (void)snprintf(path, sizeof path, "%s/emergency.json", stage.folder);
    cr_assert_eq(wl_config_live_of_emergency(path, wl_wall_now(), stage.self.live, &emergency,
                                             &until, &stage.fault),
                 WL_OK);
    stage.self.below = stage.self.live;
    stage.self.live = emergency;
    json_t *got = stage_ask(wl_config_view_get, "{\"document\":\"presentation\"}");
    cr_expect_not_null(strstr(text_at(got, "text"), "\"Cash\""));
    json_decref(got);
}

Test(config_views, what_is_asked_for_has_to_make_sense) {
    stage_import();
    REFUSED(wl_config_view_get, "{}", WL_ERR_BAD_REQUEST, "document: is missing");
    REFUSED(wl_config_view_get, "{\"document\":\"page\"}", WL_ERR_BAD_REQUEST,
            "document: must be integration or presentation, got \"page\"");
    REFUSED(wl_config_view_get, "{\"document\":\"p\\u00e4ge\\n\"}", WL_ERR_BAD_REQUEST, "p??ge?");
    REFUSED(wl_config_view_get, "{\"document\":7}", WL_ERR_BAD_REQUEST, "document");
    REFUSED(wl_config_view_get, "{\"document\":\"integration\",\"seq\":-1}", WL_ERR_BAD_REQUEST,
            "seq");
    REFUSED(wl_config_view_get, "{\"document\":\"integration\",\"seq\":18446744073709551}",
            WL_ERR_NOT_FOUND, "there are 1 to 1");
    REFUSED(wl_config_view_get, "{\"document\":\"integration\",\"candidate\":1}",
            WL_ERR_BAD_REQUEST, "candidate");
}

/* ---- validate -------------------------------------------------------------------------------- */

static json_t *validate(const char *integration, const char *presentation) {
    json_t *args = json_object();
    wl_err_t err = WL_OK;
    if (integration != NULL) {
        (void)json_object_set_new(args, "integration", json_string(integration));
    }
    if (presentation != NULL) {
        (void)json_object_set_new(args, "presentation", json_string(presentation));
    }
    json_t *result = stage_ask_json(wl_config_view_validate, args, &err);
    cr_assert_eq(err, WL_OK, "%s", stage.fault.message);
    return result;
}

Test(config_views, what_is_live_is_valid_and_its_samples_are_judged) {
    json_t *said = validate(NULL, NULL);
    cr_expect(true_at(said, "valid"), "%s: %s", text_at(said, "where"), text_at(said, "message"));
    cr_expect_eq(json_array_size(at(said, "samples")), 1);
    cr_expect_str_eq(text_at(said, "samples.0.line"), "cash");
    cr_expect(true_at(said, "samples.0.ok"), "%s", text_at(said, "samples.0.message"));
    json_decref(said);
}

Test(config_views, a_bad_document_is_an_answer_that_names_the_place) {
    json_t *said = validate("{\"version\":4,\n \"lines\":{\"cash\":{\"kind\":\"cash\",\n"
                            "  \"url\":\"http://h\",\"rat\":7}}}",
                            NULL);
    cr_expect_not(true_at(said, "valid"));
    cr_expect_str_eq(text_at(said, "where"), "integration/lines/cash/rat");
    cr_expect_eq(number_at(said, "line"), 3);
    cr_expect_eq(number_at(said, "column"), 20);
    cr_expect_not_null(strstr(text_at(said, "message"), "rate"), "%s", text_at(said, "message"));
    json_decref(said);
    said = validate(NULL, "{\"version\":8,\"golden\":[{\"line\":\"cush\"}]}");
    cr_expect_not(true_at(said, "valid"), "the other document is the live one");
    cr_expect_str_eq(text_at(said, "where"), "presentation/golden/0/line");
    json_decref(said);
    said = validate("", NULL);
    cr_expect_not(true_at(said, "valid"));
    json_decref(said);
    said = validate("[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", NULL);
    cr_expect_not(true_at(said, "valid"));
    json_decref(said);
}

Test(config_views, a_sample_that_the_mapping_refuses_is_named_and_all_others_are_judged) {
    json_t *said =
        validate("{\"version\":4,\"lines\":{" STAGE_CASH
                 ",\n\"sample\":{\"assets\":[{\"uid\":7,\"version\":3,\"amount\":\"x\"}]}},"
                 "\n" STAGE_GIFT ",\"coin\":{\"kind\":\"coin\",\"url\":\"http://h\",\"unit\":"
                 "\"bean\",\"sample\":" STAGE_SAMPLE "}}}",
                 NULL);
    cr_expect_not(true_at(said, "valid"));
    cr_expect_str_eq(text_at(said, "where"), "integration/lines/cash/sample");
    cr_expect_eq(number_at(said, "line"), 2);
    cr_expect_eq(json_array_size(at(said, "samples")), 2);
    size_t index = 0;
    const json_t *each = NULL;
    json_array_foreach(at(said, "samples"), index, each) {
        bool cash = strcmp(text_at(each, "line"), "cash") == 0;
        cr_expect_neq(true_at(each, "ok"), cash, "%s", text_at(each, "message"));
    }
    json_decref(said);
}

Test(config_views, a_document_is_a_text) {
    REFUSED(wl_config_view_validate, "{\"integration\":{\"version\":3}}", WL_ERR_BAD_REQUEST,
            "integration: must be the text of a document, got map");
}

Test(config_views, any_bytes_can_be_validated) {
    static const uint8_t packed[] = "\x81\xabintegration\xc4\x08{\"\xff\xfe\": 1";
    wl_err_t err = WL_OK;
    json_t *said = stage_ask_packed(wl_config_view_validate, packed, sizeof packed - 1, &err);
    cr_assert_eq(err, WL_OK);
    cr_expect_not(true_at(said, "valid"));
    cr_expect_neq(text_at(said, "message")[0], '\0');
    json_decref(said);
}

Test(config_views, the_judge_gives_what_compiles_and_refuses_the_rest) {
    const char *texts[] = {STAGE_LINES("4", ",\"sample\":[]"), STAGE_LINES("4", "")};
    for (int good = 0; good < 2; good++) {
        wl_document_text_t documents[] = {{(char *)(uintptr_t)texts[good], strlen(texts[good])},
                                          stage.self.live->base[WL_DOCUMENT_PRESENTATION]};
        WL_AUTO(wl_config) config = NULL;
        wl_err_t err = wl_config_judge(documents, &config, &stage.fault);
        cr_expect_eq(err, good == 1 ? WL_OK : WL_ERR_BAD_REQUEST);
        cr_expect_eq(config != NULL, good == 1);
    }
    cr_expect_str_eq(stage.fault.where, "integration/lines/cash/sample");
}

/* ---- diff ------------------------------------------------------------------------------------ */

static json_t *diff(const char *document, const char *text, int64_t base) {
    wl_err_t err = WL_OK;
    json_t *result = stage_ask_json(wl_config_view_diff, text_args(document, text, base), &err);
    cr_assert_eq(err, WL_OK, "%s: %s", stage.fault.where, stage.fault.message);
    return result;
}

Test(config_views, a_change_of_mine_goes_together_with_one_of_theirs) {
    stage_import();
    stage_put(WL_CONFIG_ACTION_PUBLISH, NULL, STAGE_PAGE("7", "Theirs"));
    stage_put(WL_CONFIG_ACTION_PUBLISH, STAGE_LINES("3", ",\"rate\":9"), NULL);
    json_t *said = diff("presentation",
                        "{\"version\":7,\"golden\":[{\"line\":\"cash\",\"title\":"
                        "\"Cash\",\"link\":\"app://cash\"}]}",
                        1);
    cr_expect_eq(number_at(said, "base"), 1);
    cr_expect_eq(number_at(said, "seq"), 3);
    cr_expect_eq(number_at(said, "conflicts"), 0);
    json_t *merged = stage_json(text_at(said, "merged"));
    cr_expect_str_eq(text_at(merged, "golden.0.title"), "Theirs");
    cr_expect_str_eq(text_at(merged, "golden.0.link"), "app://cash");
    cr_expect_eq(number_at(merged, "version"), 8);
    cr_expect_null(at(merged, "sections"), "they were taken away by me");
    json_decref(merged);
    json_decref(said);
}

Test(config_views, changes_in_each_others_way_are_conflicts_and_nothing_is_merged) {
    stage_import();
    stage_put(WL_CONFIG_ACTION_PUBLISH, NULL, STAGE_PAGE("7", "Theirs"));
    json_t *said = diff("presentation", STAGE_PAGE("7", "Mine"), 0);
    cr_expect_eq(number_at(said, "conflicts"), 1, "base 0 became change 1");
    cr_expect_null(at(said, "merged"));
    cr_expect_str_eq(text_at(said, "changes.0.path"), "/golden/0/title");
    cr_expect_str_eq(text_at(said, "changes.0.base"), "Cash");
    cr_expect_str_eq(text_at(said, "changes.0.mine"), "Mine");
    cr_expect_str_eq(text_at(said, "changes.0.theirs"), "Theirs");
    cr_expect(true_at(said, "changes.0.conflict"));
    json_decref(said);
    said = diff("presentation", STAGE_PAGE("7", "Mine"), -1);
    cr_expect_eq(number_at(said, "conflicts"), 0, "from what is live");
    cr_expect_eq(json_array_size(at(said, "changes")), 1);
    json_decref(said);
}

Test(config_views, a_text_is_compared_before_anything_is_published) {
    json_t *said = diff("presentation", STAGE_PAGE("7", "Mine"), 0);
    cr_expect_eq(json_array_size(at(said, "changes")), 1);
    cr_expect_eq(number_at(said, "seq"), 0);
    json_decref(said);
}

Test(config_views, two_of_the_history_are_compared) {
    stage_import();
    stage_put(WL_CONFIG_ACTION_PUBLISH, NULL, STAGE_PAGE("7", "Two"));
    stage_put(WL_CONFIG_ACTION_PUBLISH, NULL, STAGE_PAGE("7", "Three"));
    json_t *said =
        stage_ask(wl_config_view_diff, "{\"document\":\"presentation\",\"from\":1,\"to\":2}");
    cr_expect_str_eq(text_at(said, "changes.0.base"), "Cash");
    cr_expect_str_eq(text_at(said, "changes.0.mine"), "Two");
    cr_expect_null(at(said, "changes.0.theirs"));
    cr_expect_null(at(said, "merged"));
    json_decref(said);
    said = stage_ask(wl_config_view_diff, "{\"document\":\"presentation\",\"from\":3,\"to\":1}");
    cr_expect_str_eq(text_at(said, "changes.0.base"), "Three");
    cr_expect_str_eq(text_at(said, "changes.0.mine"), "Cash", "backwards too");
    json_decref(said);
    said = stage_ask(wl_config_view_diff, "{\"document\":\"integration\",\"from\":1}");
    cr_expect_eq(number_at(said, "seq"), 3);
    cr_expect_eq(json_array_size(at(said, "changes")), 0);
    json_decref(said);
}

Test(config_views, differences_that_make_no_sense_are_refused) {
    stage_import();
    REFUSED(wl_config_view_diff, "{\"document\":\"presentation\"}", WL_ERR_BAD_REQUEST,
            "text: is missing");
    REFUSED(wl_config_view_diff, "{\"document\":\"presentation\",\"to\":1}", WL_ERR_BAD_REQUEST,
            "text: is missing");
    REFUSED(wl_config_view_diff, "{\"document\":\"presentation\",\"text\":\"{}\",\"from\":1}",
            WL_ERR_BAD_REQUEST, "from: cannot be together with text");
    REFUSED(wl_config_view_diff, "{\"document\":\"presentation\",\"from\":9}", WL_ERR_NOT_FOUND,
            "from: there is no change 9");
    REFUSED(wl_config_view_diff, "{\"document\":\"presentation\",\"from\":1,\"to\":9}",
            WL_ERR_NOT_FOUND, "to: there is no change 9");
    REFUSED(wl_config_view_diff, "{\"document\":\"presentation\",\"text\":[]}", WL_ERR_BAD_REQUEST,
            "text: must be the text of a document, got array");
    stage_refused(wl_config_view_diff, text_args("presentation", STAGE_PAGE("7", "x"), 2),
                  WL_ERR_NOT_FOUND, "base: there is no change 2");
    stage_refused(wl_config_view_diff,
                  text_args("presentation", "{\"version\":7,\n\"goldn\":[]}", 1),
                  WL_ERR_BAD_REQUEST, "golden");
    cr_expect_eq(stage.fault.line, 2);
    cr_expect_str_eq(stage.fault.where, "presentation/goldn");
}

/* ---- schema ---------------------------------------------------------------------------------- */

Test(config_views, schemas_are_those_of_the_validator) {
    json_t *said = stage_ask(wl_config_view_schema, "{\"document\":\"integration\"}");
    cr_expect_not_null(at(said, "schema.properties.lines"));
    json_decref(said);
    said = stage_ask(wl_config_view_schema, "{\"document\":\"presentation\"}");
    cr_expect_not_null(at(said, "schema.properties.golden"));
    json_decref(said);
    REFUSED(wl_config_view_schema, "{}", WL_ERR_BAD_REQUEST, "document: is missing");
}
