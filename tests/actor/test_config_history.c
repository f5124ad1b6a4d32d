/* Who changed what, page by page, and records that somebody has altered. */
#include "config_stage.h"

TestSuite(config_history, .init = stage_open, .fini = stage_close);

static void publish(const char *author, const char *title) {
    char page[2000];
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_PUBLISH, .author = author};
    (void)snprintf(page, sizeof page,
                   "{\"version\":7,\"golden\":[{\"line\":\"cash\",\"title\":"
                   "\"%s\"}]}",
                   title);
    wish.documents[WL_DOCUMENT_PRESENTATION] = stage_json(page);
    stage_change(wish);
}

static void many(int count) {
    stage_import();
    for (int i = 2; i <= count; i++) {
        char title[16];
        (void)snprintf(title, sizeof title, "T%d", i);
        publish("bob", title);
    }
}

Test(config_history, nothing_was_ever_published) {
    json_t *said = stage_ask(wl_config_view_history, "{\"verify\":true}");
    cr_expect_eq(json_array_size(at(said, "changes")), 0);
    cr_expect_not(true_at(said, "more"));
    cr_expect(true_at(said, "verified"));
    json_decref(said);
}

Test(config_history, tells_who_did_what_and_why_newest_first) {
    stage_import();
    publish("bob", "Two");
    wl_config_wish_t rollout = {.action = WL_CONFIG_ACTION_ROLLOUT, .rollout = {.share = 1250}};
    rollout.documents[WL_DOCUMENT_INTEGRATION] = stage_json(STAGE_LINES("3", ",\"rate\":7"));
    stage_change(rollout);
    stage_change((wl_config_wish_t){.action = WL_CONFIG_ACTION_PROMOTE, .rollout_id = 3});
    json_t *said = stage_ask(wl_config_view_history, "{}");
    cr_assert_eq(json_array_size(at(said, "changes")), 4);
    cr_expect_str_eq(text_at(said, "changes.0.action"), "promote");
    cr_expect_str_eq(text_at(said, "changes.0.before"), "3.8");
    cr_expect_str_eq(text_at(said, "changes.0.after"), "4.8");
    cr_expect_eq(number_at(said, "changes.0.rollout.id"), 3, "the one that it ended");
    cr_expect_str_eq(text_at(said, "changes.1.action"), "rollout");
    cr_expect_str_eq(text_at(said, "changes.1.version"), "4.8", "the candidate's");
    cr_expect_str_eq(text_at(said, "changes.1.after"), "3.8", "everybody's");
    cr_expect_float_eq(json_real_value(at(said, "changes.1.rollout.percent")), 12.5, 1e-9);
    cr_expect_str_eq(text_at(said, "changes.1.documents.0"), "integration");
    cr_expect_str_eq(text_at(said, "changes.2.author"), "bob");
    cr_expect_str_eq(text_at(said, "changes.2.from"), "ops/1");
    cr_expect_str_eq(text_at(said, "changes.2.reason"), "because");
    cr_expect_eq(number_at(said, "changes.2.at"), 1764000000001);
    cr_expect(json_is_null(at(said, "changes.2.rollout")));
    cr_expect_str_eq(text_at(said, "changes.3.action"), "import");
    cr_expect_str_eq(text_at(said, "changes.3.before"), "");
    cr_expect_str_eq(text_at(said, "changes.3.version"), "3.7");
    cr_expect_null(at(said, "verified"), "only when it is asked for");
    json_decref(said);
}

Test(config_history, goes_page_by_page) {
    many(25);
    json_t *said = stage_ask(wl_config_view_history, "{}");
    cr_expect_eq(json_array_size(at(said, "changes")), 20);
    cr_expect(true_at(said, "more"));
    json_decref(said);
    said = stage_ask(wl_config_view_history, "{\"before\":6,\"limit\":100,\"verify\":true}");
    cr_expect_eq(json_array_size(at(said, "changes")), 5);
    cr_expect_eq(number_at(said, "changes.0.seq"), 5);
    cr_expect_not(true_at(said, "more"));
    cr_expect(true_at(said, "verified"));
    json_decref(said);
    said = stage_ask(wl_config_view_history, "{\"before\":6,\"limit\":5}");
    cr_expect_not(true_at(said, "more"));
    json_decref(said);
    said = stage_ask(wl_config_view_history, "{\"before\":1}");
    cr_expect_eq(json_array_size(at(said, "changes")), 0);
    cr_expect_not(true_at(said, "more"));
    json_decref(said);
    said = stage_ask(wl_config_view_history, "{\"before\":18446744073709,\"limit\":1}");
    cr_expect_eq(number_at(said, "changes.0.seq"), 25);
    json_decref(said);
    REFUSED(wl_config_view_history, "{\"limit\":101}", WL_ERR_BAD_REQUEST, "limit: must be 1 to");
    REFUSED(wl_config_view_history, "{\"limit\":0}", WL_ERR_BAD_REQUEST, "limit: must be 1 to");
    REFUSED(wl_config_view_history, "{\"before\":0}", WL_ERR_BAD_REQUEST, "before");
    REFUSED(wl_config_view_history, "{\"before\":\"x\"}", WL_ERR_BAD_REQUEST, "before");
    REFUSED(wl_config_view_history, "{\"verify\":7}", WL_ERR_BAD_REQUEST, "verify");
}

/* Puts "eve" where "bob" was, in both folders. */
static void alter(int seq) {
    const char *folders[] = {"store", "data/config"};
    for (int i = 0; i < 2; i++) {
        char name[64];
        char path[200];
        static char text[100000];
        (void)snprintf(name, sizeof name, "%s/changes/%08d.json", folders[i], seq);
        (void)snprintf(path, sizeof path, "%s/%s", stage.folder, name);
        FILE *file = fopen(path, "r");
        cr_assert_not_null(file);
        text[fread(text, 1, sizeof text - 1, file)] = '\0';
        (void)fclose(file);
        char *name_at = strstr(text, "\"bob\"");
        cr_assert_not_null(name_at);
        memcpy(name_at, "\"eve\"", 5);
        stage_write(name, text);
    }
}

Test(config_history, an_altered_record_is_found_from_every_page_that_rests_on_it) {
    many(9);
    json_t *said = stage_ask(wl_config_view_history, "{\"verify\":true}");
    cr_expect(true_at(said, "verified"));
    json_decref(said);
    alter(5);
    static const struct {
        const char *args;
        int64_t broken; /* -1 = none */
    } rows[] = {
        {"{\"verify\":true}", 5},
        {"{\"verify\":true,\"limit\":4}", 5}, /* 9..6, which rest on 5 */
        {"{\"verify\":true,\"limit\":3}", -1},
        {"{\"verify\":true,\"before\":6}", 5}, /* its newest, as 6 knows it */
        {"{\"verify\":true,\"before\":5}", -1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        said = stage_ask(wl_config_view_history, rows[i].args);
        cr_expect_eq(number_at(said, "broken"), rows[i].broken, "%s: %s", rows[i].args,
                     text_at(said, "problem"));
        cr_expect_eq(true_at(said, "verified"), rows[i].broken == -1);
        json_decref(said);
    }
    said = stage_ask(wl_config_view_history, "{}");
    cr_expect_str_eq(text_at(said, "changes.4.author"), "eve", "it reads as well as others");
    json_decref(said);
    alter(9);
    said = stage_ask(wl_config_view_history, "{\"verify\":true}");
    cr_expect_eq(number_at(said, "broken"), 9, "the newest, as this process knows it");
    json_decref(said);
}

Test(config_history, a_record_that_cannot_be_read_hides_no_others) {
    many(4);
    stage_write("store/changes/00000002.json", "{\"seq\":2}");
    stage_write("data/config/changes/00000002.json", "{\"seq\":2}");
    json_t *said = stage_ask(wl_config_view_history, "{\"verify\":true}");
    cr_expect_eq(json_array_size(at(said, "changes")), 4);
    cr_expect_eq(number_at(said, "changes.2.seq"), 2);
    cr_expect_neq(text_at(said, "changes.2.problem")[0], '\0');
    cr_expect_str_eq(text_at(said, "changes.1.before"), "", "nobody knows");
    cr_expect_eq(number_at(said, "broken"), 2);
    json_decref(said);
}
