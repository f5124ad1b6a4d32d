/* Requests that change: what is asked for, what is refused, and with which words. */
#include "config_desk.h"

static void steer_open(void) {
    desk_open();
    desk_import();
}

TestSuite(config_steer, .init = steer_open, .fini = desk_close, .timeout = 60);

/* The result of a request, or NULL with the error. */
static json_t *steer_packed(wl_config_steer_fn *steer, const void *packed, size_t bytes,
                            wl_err_t *ret_err) {
    static const wl_walk_limits_t limits = {WL_WALK_DEPTH_MAX, 4096};
    const msgpack_object *args = NULL;
    json_t *result = NULL;
    stage.fault = (wl_fault_t){.line = 0};
    cr_assert_eq(wl_unpacker_read(stage.self.unpacker, packed, bytes, &limits, &args), WL_OK);
    *ret_err = steer(&stage.self, args, "ops/1", (wl_config_asker_t){0, 0}, &result, &stage.fault);
    cr_expect_eq(*ret_err == WL_OK, result != NULL);
    return result;
}

/* Takes args over; base, author and reason are added when they are not there. */
static json_t *steer_try(wl_config_steer_fn *steer, json_t *args, wl_err_t *ret_err) {
    msgpack_sbuffer packed;
    json_t *all = json_pack("{s:I, s:s, s:s}", "base", (json_int_t)desk_seq(), "author", "ann",
                            "reason", "because");
    cr_assert_not_null(args);
    (void)json_object_update(all, args);
    msgpack_sbuffer_init(&packed);
    cr_assert_eq(wl_json_pack(all, &packed), WL_OK);
    json_t *result = steer_packed(steer, packed.data, packed.size, ret_err);
    msgpack_sbuffer_destroy(&packed);
    json_decref(all);
    json_decref(args);
    return result;
}

static json_t *steer_done(wl_config_steer_fn *steer, json_t *args) {
    wl_err_t err = WL_OK;
    json_t *result = steer_try(steer, args, &err);
    cr_assert_eq(err, WL_OK, "%s: %s: %s", wl_err_name(err), stage.fault.where,
                 stage.fault.message);
    return result;
}

static void refused(wl_config_steer_fn *steer, json_t *args, wl_err_t wanted, const char *part) {
    uint64_t before = desk_seq();
    wl_err_t err = WL_OK;
    json_t *result = steer_try(steer, args, &err);
    cr_expect_null(result);
    json_decref(result);
    cr_expect_eq(err, wanted, "%s: %s", wl_err_name(err), stage.fault.message);
    cr_expect_not_null(strstr(stage.fault.message, part), "\"%s\" is not in \"%s\"", part,
                       stage.fault.message);
    cr_expect_eq(desk_seq(), before, "nothing was published");
}

static json_t *page(const char *title) {
    char text[2000];
    (void)snprintf(text, sizeof text,
                   "{\"version\":1,\"golden\":[{\"line\":\"cash\",\"title\":\"%s\"}]}", title);
    return json_pack("{s:s}", "presentation", text);
}

/* page(), with these arguments too. */
static json_t *page_and(const char *title, const char *more) {
    json_t *args = page(title);
    json_t *added = stage_json(more);
    (void)json_object_update(args, added);
    json_decref(added);
    return args;
}

static json_t *action(const char *name, const char *more) {
    json_t *args = stage_json(more);
    (void)json_object_set_new(args, "action", json_string(name));
    if (json_object_get(args, "rollout") == NULL) {
        (void)json_object_set_new(
            args, "rollout",
            json_integer((json_int_t)wl_config_sources_state(stage.self.sources)->rollout.id));
    }
    return args;
}

/* ---- put ------------------------------------------------------------------------------------- */

Test(config_steer, put_publishes_one_document_or_both) {
    wl_config_change_t change;
    json_t *result = steer_done(wl_config_steer_put, page("Two"));
    cr_expect_eq(number_at(result, "seq"), 2);
    cr_expect_str_eq(text_at(result, "version"), "3.8");
    json_decref(result);
    json_t *args = page("Three");
    (void)json_object_set_new(args, "integration", json_string(STAGE_LINES("1", ",\"rate\":7")));
    result = steer_done(wl_config_steer_put, args);
    cr_expect_str_eq(text_at(result, "version"), "4.9");
    json_decref(result);
    cr_assert_eq(wl_config_sources_change(stage.self.sources, 3, &change, NULL, &stage.fault),
                 WL_OK);
    cr_expect_str_eq(change.author, "ann");
    cr_expect_str_eq(change.reason, "because");
    cr_expect_str_eq(change.from, "ops/1");
    cr_expect_eq(change.base, 2);
    wl_config_change_release(&change);
}

Test(config_steer, what_is_live_already_is_left_out_or_refused) {
    wl_config_change_t change;
    json_t *args = page("Two");
    (void)json_object_set_new(args, "integration",
                              json_string(STAGE_LINES("77", ",\"sample\":" STAGE_SAMPLE)));
    json_decref(steer_done(wl_config_steer_put, args));
    cr_assert_eq(wl_config_sources_change(stage.self.sources, 2, &change, NULL, &stage.fault),
                 WL_OK);
    cr_expect_null(change.documents[WL_DOCUMENT_INTEGRATION], "but for its number it is the same");
    wl_config_change_release(&change);
    refused(wl_config_steer_put, page("Two"), WL_ERR_BAD_REQUEST, "it would change nothing");
}

Test(config_steer, a_fault_of_a_document_has_the_line_and_column_of_the_authors_file) {
    refused(wl_config_steer_put,
            json_pack("{s:s}", "presentation",
                      "{\"version\":1,\n \"golden\":[\n  {\"line\":\"none\"}]}"),
            WL_ERR_BAD_REQUEST, "none");
    cr_expect_eq(stage.fault.line, 3);
    cr_expect_gt(stage.fault.column, 2);
    refused(wl_config_steer_put, json_pack("{s:s}", "presentation", "{\n\n nonsense"),
            WL_ERR_BAD_REQUEST, "");
    cr_expect_eq(stage.fault.line, 3);
}

Test(config_steer, what_put_is_asked_has_to_make_sense) {
    static const struct {
        const char *more;
        const char *part;
    } rows[] = {
        {"{\"base\":\"x\"}", "base: must be"},
        {"{\"base\":-1}", "base: must not be negative"},
        {"{\"author\":\"\"}", "author: is missing"},
        {"{\"author\":7}", "author: must be text"},
        {"{\"author\":\"a\\u0001\"}", "author: has control characters"},
        {"{\"author\":\"a\\u007f\"}", "author: has control characters"},
        {"{\"author\":\"12345678901234567890123456789012345678901234567890123456789012345\"}",
         "author: must be at most 64 bytes"},
        {"{\"reason\":\"\"}", "reason: is missing"},
        {"{\"reason\":null}", "reason: "},
        {"{\"dry_run\":1}", "dry_run: must be"},
        {"{\"presentation\":7}", "presentation: must be the text of a document, got"},
        {"{\"presentation\":{}}", "presentation: must be the text of a document, got"},
        {"{\"presentation\":\"\"}", ""},
        {"{\"presentation\":\"[]\"}", ""},
        {"{\"presentation\":\"7\"}", ""},
        {"{\"presentation\":\"{\\\"golden\\\":[],\\\"golden\\\":[]}\"}", ""},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        refused(wl_config_steer_put, page_and("Two", rows[r].more), WL_ERR_BAD_REQUEST,
                rows[r].part);
    }
    refused(wl_config_steer_put, json_object(), WL_ERR_BAD_REQUEST, "one of them is needed");
    refused(wl_config_steer_put, page_and("Two", "{\"base\":0}"), WL_ERR_CONFLICT, "which is 1");
    static const char *const keys[] = {"base", "author", "reason"};
    for (size_t k = 0; k < 3; k++) {
        wl_err_t err = WL_OK;
        msgpack_sbuffer packed;
        json_t *args = json_pack("{s:i, s:s, s:s}", "base", 1, "author", "a", "reason", "b");
        (void)json_object_del(args, keys[k]);
        msgpack_sbuffer_init(&packed);
        cr_assert_eq(wl_json_pack(args, &packed), WL_OK);
        cr_expect_null(steer_packed(wl_config_steer_put, packed.data, packed.size, &err));
        cr_expect_eq(err, WL_ERR_BAD_REQUEST);
        cr_expect_str_eq(stage.fault.where, keys[k]);
        cr_expect_not_null(strstr(stage.fault.message, "is missing"));
        msgpack_sbuffer_destroy(&packed);
        json_decref(args);
    }
}

Test(config_steer, texts_that_are_not_utf8_are_refused) {
    wl_err_t err = WL_OK;
    static const char packed[] = "\x84\xa4"
                                 "base\x01\xa6"
                                 "author\xa2\xff\xfe\xa6"
                                 "reason\xa1x\xac"
                                 "presentation\xc4\x28"
                                 "{\"version\":1,\"golden\":[{\"line\":\"cash\"}]}";
    cr_expect_null(steer_packed(wl_config_steer_put, packed, sizeof packed - 1, &err));
    cr_expect_eq(err, WL_ERR_BAD_REQUEST);
    cr_expect_not_null(strstr(stage.fault.message, "must be UTF-8"), "%s", stage.fault.message);
    static const uint8_t not_a_map[] = {0x93, 1, 2, 3};
    cr_expect_null(steer_packed(wl_config_steer_put, not_a_map, sizeof not_a_map, &err));
    cr_expect_eq(err, WL_ERR_BAD_REQUEST);
}

Test(config_steer, a_document_that_is_too_large_is_refused) {
    static char text[300000];
    wl_err_t err = WL_OK;
    memset(text, ' ', sizeof text - 1);
    text[0] = '{';
    text[sizeof text - 2] = '}';
    json_t *result = steer_try(wl_config_steer_put, json_pack("{s:s}", "presentation", text), &err);
    cr_expect_null(result);
    cr_expect_eq(err, WL_ERR_TOO_BIG, "%s", stage.fault.message);
}

/* ---- rollout and steer ----------------------------------------------------------------------- */

Test(config_steer, a_rollout_with_all_its_conditions) {
    json_t *result = steer_done(
        wl_config_steer_rollout,
        page_and("New", "{\"percent\":12.5,\"scenes\":[\"home\",\"mine\"],\"app_min\":\"13.4\","
                        "\"app_max\":\"14\",\"abort_percent\":1,\"abort_replies\":500}"));
    cr_expect_eq(number_at(result, "seq"), 2);
    cr_expect_str_eq(text_at(result, "version"), "3.8", "the candidate's");
    cr_expect_eq(number_at(result, "rollout.id"), 2);
    cr_expect_eq(json_array_size(at(result, "changes")), 1 + 1, "the section is gone too");
    json_decref(result);
    const wl_rollout_t *rollout = &wl_config_sources_state(stage.self.sources)->rollout;
    cr_expect_eq(rollout->share, 1250);
    cr_expect_eq(rollout->scene_count, 2);
    cr_expect_str_eq(rollout->scenes[1], "mine");
    cr_expect_str_eq(rollout->app_min, "13.4");
    cr_expect_str_eq(rollout->app_max, "14");
    cr_expect_eq(rollout->abort_share, 100);
    cr_expect_eq(rollout->abort_replies, 500);
    cr_expect_str_eq(stage.self.live->config->version, "3.7");
    refused(wl_config_steer_put, page("Other"), WL_ERR_CONFLICT, "promote or abort it first");
    refused(wl_config_steer_rollout, page("Other"), WL_ERR_CONFLICT, "promote or abort it first");
}

Test(config_steer, conditions_that_are_none_are_refused) {
    static const char *const rows[] = {
        "{\"percent\":-1}",
        "{\"percent\":100.5}",
        "{\"percent\":\"10\"}",
        "{\"percent\":true}",
        "{\"percent\":{}}",
        "{\"scenes\":\"home\"}",
        "{\"scenes\":[7]}",
        "{\"scenes\":[\"\"]}",
        "{\"scenes\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\"]}",
        "{\"app_min\":\"13.x\"}",
        "{\"app_min\":\"2\",\"app_max\":\"1.9\"}",
        "{\"whitelist\":\"ab\"}",
        "{\"abort_percent\":101}",
        "{\"abort_replies\":-1}",
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        refused(wl_config_steer_rollout, page_and("New", rows[r]), WL_ERR_BAD_REQUEST, "");
    }
    refused(wl_config_steer_rollout,
            page_and("New", "{\"whitelist\":\"00112233445566778899aabbccddeeff0011223344556677"
                            "8899aabbccddeeff\"}"),
            WL_ERR_NOT_FOUND, "upload it first");
    static const char huge[] = "\x84\xa4"
                               "base\x01\xa6"
                               "author\xa1"
                               "a\xa6"
                               "reason\xa1x\xa7"
                               "percent\xcf\xff\xff\xff\xff\xff\xff\xff\xff";
    wl_err_t err = WL_OK;
    cr_expect_null(steer_packed(wl_config_steer_rollout, huge, sizeof huge - 1, &err));
    cr_expect_eq(err, WL_ERR_BAD_REQUEST);
    cr_expect_str_eq(stage.fault.where, "percent");
}

Test(config_steer, a_rollout_is_widened_paused_resumed_and_promoted) {
    json_t *result = NULL;
    json_decref(steer_done(wl_config_steer_rollout, page_and("New", "{\"percent\":1}")));
    json_decref(steer_done(wl_config_steer_steer, action("widen", "{\"percent\":20}")));
    cr_expect_eq(stage.self.live->rollout.share, 2000);
    json_decref(steer_done(wl_config_steer_steer, action("pause", "{}")));
    cr_expect(stage.self.live->rollout.paused);
    refused(wl_config_steer_steer, action("pause", "{}"), WL_ERR_CONFLICT, "paused already");
    json_decref(steer_done(wl_config_steer_steer, action("resume", "{}")));
    refused(wl_config_steer_steer, action("resume", "{}"), WL_ERR_CONFLICT, "running already");
    result = steer_done(wl_config_steer_steer, action("promote", "{\"dry_run\":true}"));
    cr_expect_str_eq(text_at(result, "version"), "3.8");
    json_decref(result);
    cr_expect_eq(stage.self.live->rollout.id, 2, "it was a dry run");
    json_decref(steer_done(wl_config_steer_steer, action("promote", "{}")));
    cr_expect_str_eq(stage.self.live->config->version, "3.8");
    cr_expect_eq(stage.self.live->rollout.id, 0);
    refused(wl_config_steer_steer, action("promote", "{\"rollout\":2}"), WL_ERR_CONFLICT,
            "there is no rollout under way");
}

Test(config_steer, numbers_of_an_aborted_candidate_are_not_given_again) {
    json_decref(steer_done(wl_config_steer_rollout, page_and("New", "{\"percent\":1}")));
    json_decref(steer_done(wl_config_steer_steer, action("abort", "{}")));
    cr_expect_str_eq(stage.self.live->config->version, "3.7");
    json_t *result = steer_done(wl_config_steer_put, page("Next"));
    cr_expect_str_eq(text_at(result, "version"), "3.9");
    json_decref(result);
}

Test(config_steer, steering_has_to_name_what_it_means) {
    json_decref(steer_done(wl_config_steer_rollout, page_and("New", "{\"percent\":1}")));
    refused(wl_config_steer_steer, action("publish", "{}"), WL_ERR_BAD_REQUEST,
            "action: must be widen, pause");
    refused(wl_config_steer_steer, action("", "{}"), WL_ERR_BAD_REQUEST, "action");
    refused(wl_config_steer_steer, stage_json("{\"rollout\":2}"), WL_ERR_BAD_REQUEST,
            "action: is missing");
    refused(wl_config_steer_steer, stage_json("{\"action\":\"pause\"}"), WL_ERR_BAD_REQUEST,
            "rollout: is missing");
    refused(wl_config_steer_steer, action("pause", "{\"rollout\":1}"), WL_ERR_CONFLICT,
            "rollout 2 is under way, not 1");
    refused(wl_config_steer_steer, action("pause", "{\"base\":1}"), WL_ERR_CONFLICT, "which is 2");
    refused(wl_config_steer_steer, action("widen", "{}"), WL_ERR_BAD_REQUEST,
            "percent or whitelist: one of them is needed");
    refused(wl_config_steer_steer, action("widen", "{\"percent\":101}"), WL_ERR_BAD_REQUEST,
            "percent");
    refused(wl_config_steer_steer, action("widen", "{\"percent\":2,\"scenes\":[\"home\"]}"),
            WL_ERR_BAD_REQUEST, "scenes: cannot be changed while the rollout is under way");
    refused(wl_config_steer_steer, action("pause", "{\"percent\":2}"), WL_ERR_BAD_REQUEST,
            "percent: cannot be changed but by widen");
}

/* ---- rolling back ---------------------------------------------------------------------------- */

Test(config_steer, rolling_back_brings_earlier_documents_as_new_ones) {
    json_decref(steer_done(wl_config_steer_put, page("Two")));
    json_decref(steer_done(wl_config_steer_put,
                           json_pack("{s:s}", "integration", STAGE_LINES("1", ",\"rate\":7"))));
    json_decref(steer_done(wl_config_steer_put, page("Four")));
    json_t *result = steer_done(wl_config_steer_rollback, stage_json("{\"to\":2}"));
    cr_expect_str_eq(text_at(result, "version"), "5.10");
    json_decref(result);
    cr_expect_not_null(strstr(stage.self.live->base[1].text, "\"Two\""));
    cr_expect_null(strstr(stage.self.live->base[0].text, "\"rate\""));
    refused(wl_config_steer_rollback, stage_json("{\"to\":5}"), WL_ERR_BAD_REQUEST,
            "it would change nothing");
    refused(wl_config_steer_rollback, stage_json("{\"to\":2}"), WL_ERR_BAD_REQUEST,
            "it would change nothing");
    refused(wl_config_steer_rollback, stage_json("{\"to\":6}"), WL_ERR_NOT_FOUND,
            "there is no change 6, the newest is 5");
    refused(wl_config_steer_rollback, stage_json("{\"to\":0}"), WL_ERR_NOT_FOUND, "no change 0");
    refused(wl_config_steer_rollback, stage_json("{}"), WL_ERR_BAD_REQUEST, "to: is missing");
    refused(wl_config_steer_rollback, stage_json("{\"to\":\"x\"}"), WL_ERR_BAD_REQUEST, "to: must");
    refused(wl_config_steer_rollback, stage_json("{\"to\":1,\"base\":4}"), WL_ERR_CONFLICT,
            "which is 5");
}

Test(config_steer, a_candidate_can_not_be_rolled_back_to_and_pins_its_base) {
    json_decref(steer_done(wl_config_steer_put, page("Two")));
    json_decref(steer_done(wl_config_steer_rollout, page_and("New", "{\"percent\":1}")));
    refused(wl_config_steer_rollback, stage_json("{\"to\":1}"), WL_ERR_CONFLICT,
            "promote or abort it first");
    json_decref(steer_done(wl_config_steer_steer, action("abort", "{}")));
    refused(wl_config_steer_rollback, stage_json("{\"to\":3}"), WL_ERR_BAD_REQUEST,
            "it would change nothing");
    cr_expect_not_null(strstr(stage.self.live->base[1].text, "\"Two\""));
}
