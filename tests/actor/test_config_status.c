/* admin.config.status: what is live, where it came from, what is wrong. */
#include "config_desk.h"

TestSuite(config_status, .init = desk_open, .fini = desk_close, .timeout = 60);

static json_t *status(void) {
    return stage_ask(wl_config_view_status, "{}");
}

Test(config_status, before_anything_is_published) {
    wl_config_look(&stage.self);
    json_t *said = status();
    cr_expect_eq(number_at(said, "seq"), 0);
    cr_expect_eq(number_at(said, "live_seq"), 0);
    cr_expect_str_eq(text_at(said, "version"), "3.7");
    cr_expect_str_eq(text_at(said, "source"), "directory");
    cr_expect(json_is_null(at(said, "rollout")) && json_is_null(at(said, "trial")));
    cr_expect_eq(json_array_size(at(said, "problems")), 0);
    cr_expect_eq(json_array_size(at(said, "nodes")), 0, "a folder of files stays as it is");
    cr_expect_eq(json_array_size(at(said, "logs")), 2);
    cr_expect_null(at(said, "emergency_until"));
    json_decref(said);
}

Test(config_status, a_rollout_with_its_candidate_its_trial_and_all_processes) {
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_ROLLOUT, .rollout = {.share = 10}};
    wish.documents[WL_DOCUMENT_PRESENTATION] = stage_json(STAGE_PAGE("1", "New"));
    desk_import();
    stage_change(wish);
    wl_config_trial_look(&stage.self);
    wl_config_look(&stage.self);
    desk_node_says("web-2", "", false, "");
    json_t *said = status();
    cr_expect_eq(number_at(said, "seq"), 2);
    cr_expect_eq(number_at(said, "live_seq"), 2);
    cr_expect_str_eq(text_at(said, "source"), "store");
    cr_expect_eq(number_at(said, "head.presentation.version"), 7);
    cr_expect_eq(number_at(said, "newest.presentation"), 8);
    cr_expect_eq(number_at(said, "rollout.id"), 2);
    cr_expect_eq(number_at(said, "rollout.candidate.presentation.version"), 8);
    cr_expect_eq(number_at(said, "rollout.candidate.presentation.seq"), 2);
    cr_expect_eq(number_at(said, "trial.candidate"), 0);
    cr_assert_eq(json_array_size(at(said, "nodes")), 2);
    cr_expect_str_eq(text_at(said, "nodes.0.node"), "web-1");
    cr_expect_eq(number_at(said, "nodes.0.seq"), 2);
    cr_expect_str_eq(text_at(said, "nodes.1.node"), "web-2");
    cr_expect_str_eq(text_at(said, "logs.0.role"), "store");
    cr_expect_eq(number_at(said, "logs.1.seq"), 2);
    json_decref(said);
}

Test(config_status, everything_that_is_wrong_is_named) {
    char store[200];
    char away[200];
    desk_import();
    (void)snprintf(store, sizeof store, "%s/store", stage.folder);
    (void)snprintf(away, sizeof away, "%s/away", stage.folder);
    cr_assert_eq(rename(store, away), 0);
    stage_write("store", "");
    wl_config_look(&stage.self);
    (void)snprintf(stage.self.problem, sizeof stage.self.problem, "cut within \xe9\x92");
    stage.self.emergency_until = 5;
    json_t *said = status();
    cr_assert_eq(json_array_size(at(said, "problems")), 3);
    cr_expect_str_eq(text_at(said, "problems.0"), "cut within ??");
    cr_expect_not_null(strstr(text_at(said, "problems.1"), "/store/changes"), "%s",
                       text_at(said, "problems.1"));
    cr_expect_str_eq(text_at(said, "problems.2"),
                     "other processes are not known while the store does not answer");
    cr_expect_eq(json_array_size(at(said, "nodes")), 0);
    cr_expect_eq(number_at(said, "emergency_until"), 5);
    cr_expect_eq(number_at(said, "live_seq"), 1, "what was live stays");
    json_decref(said);
}
