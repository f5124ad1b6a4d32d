/* How a candidate fares, and when it is withdrawn. */
#include "config_desk.h"

TestSuite(config_trial, .init = desk_open, .fini = desk_close, .timeout = 60);

#define ONE_MORE "\"more\":{\"kind\":\"coin\",\"url\":\"http://new\",\"unit\":\"bean\"}"

/* A rollout whose candidate has one line more. */
static void rollout(wl_rollout_t conditions) {
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_ROLLOUT, .rollout = conditions};
    desk_import();
    wish.documents[WL_DOCUMENT_INTEGRATION] =
        stage_json("{\"lines\":{" STAGE_CASH "}," STAGE_COIN "," STAGE_GIFT "," ONE_MORE "}}");
    stage_change(wish);
    wl_config_look(&stage.self);
    cr_assert_eq(stage.self.live->rollout.id, 2);
}

static void cautious(void) {
    rollout((wl_rollout_t){.share = 5000, .abort_share = 100, .abort_replies = 1000});
}

static void say(uint32_t frontend, uint64_t id, wl_trial_item_t counts) {
    wl_msg_t msg = {.id = WL_MSG_TRIAL, .count = 1};
    msg.head.trial = (wl_trial_head_t){.frontend = frontend, .rollout = id};
    msg.items.trial = &counts;
    wl_config_trial_take(&stage.self, &msg);
}

static void want_written(int64_t base, int64_t base_errors, int64_t candidate,
                         int64_t candidate_errors) {
    json_t *said = wl_config_trial_write(&stage.self);
    cr_expect_eq(number_at(said, "base"), base);
    cr_expect_eq(number_at(said, "base_errors"), base_errors);
    cr_expect_eq(number_at(said, "candidate"), candidate);
    cr_expect_eq(number_at(said, "candidate_errors"), candidate_errors);
    json_decref(said);
}

static void want_withdrawn(bool withdrawn) {
    wl_config_trial_look(&stage.self);
    cr_expect_eq(desk_seq(), withdrawn ? 3 : 2);
    cr_expect_eq(stage.self.live->rollout.id, withdrawn ? 0 : 2);
    cr_expect_eq(stage.self.hub.counters.at[WL_COUNTER_config_aborted], withdrawn ? 1 : 0);
}

static void sick(const char *line) {
    stage.self.hub.sick_count = line == NULL ? 0 : 1;
    (void)snprintf(stage.self.hub.sick_lines[0], WL_LINE_ID_MAX, "%s", line == NULL ? "" : line);
}

Test(config_trial, counts_of_all_frontends_are_added) {
    json_t *none = wl_config_trial_write(&stage.self);
    cr_expect(json_is_null(none));
    json_decref(none);
    cautious();
    say(0, 2, (wl_trial_item_t){1, 2, 3, 4});
    say(63, 2, (wl_trial_item_t){10, 20, 30, 40});
    want_written(11, 22, 33, 44);
    say(0, 2, (wl_trial_item_t){2, 2, 3, 4}); /* it counts since it heard of the rollout */
    want_written(12, 22, 33, 44);
}

Test(config_trial, what_cannot_be_meant_is_not_counted) {
    cautious();
    say(0, 2, (wl_trial_item_t){1, 2, 3, 4});
    say(64, 2, (wl_trial_item_t){100, 0, 0, 0});
    say(UINT32_MAX, 2, (wl_trial_item_t){100, 0, 0, 0});
    say(1, 1, (wl_trial_item_t){100, 0, 0, 0});
    say(1, 0, (wl_trial_item_t){100, 0, 0, 0});
    want_written(1, 2, 3, 4);
    cr_expect_eq(stage.self.hub.counters.at[WL_COUNTER_msg_malformed], 2);
}

Test(config_trial, another_rollout_begins_at_nothing) {
    cautious();
    say(0, 2, (wl_trial_item_t){1, 2, 3, 4});
    stage_change((wl_config_wish_t){.action = WL_CONFIG_ACTION_ABORT, .rollout_id = 2});
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_ROLLOUT, .rollout = {.share = 1}};
    wish.documents[WL_DOCUMENT_PRESENTATION] = stage_json(STAGE_PAGE("1", "Again"));
    stage_change(wish);
    wl_config_look(&stage.self);
    json_t *said = wl_config_trial_write(&stage.self);
    cr_expect(json_is_null(said), "nobody has said anything yet");
    json_decref(said);
    say(0, 2, (wl_trial_item_t){1, 2, 3, 4}); /* late */
    want_written(0, 0, 0, 0);
    say(0, 4, (wl_trial_item_t){5, 0, 0, 0});
    want_written(5, 0, 0, 0);
}

Test(config_trial, a_candidate_that_fails_is_withdrawn) {
    wl_config_change_t change;
    cautious();
    say(0, 2, (wl_trial_item_t){1000, 0, 999, 999});
    want_withdrawn(false); /* not before 1000 replies */
    say(0, 2, (wl_trial_item_t){1000, 0, 1000, 10});
    want_withdrawn(false); /* 1 % is not beyond 1 % */
    say(1, 2, (wl_trial_item_t){0, 0, 1000, 20});
    want_withdrawn(true);
    cr_assert_eq(wl_config_sources_change(stage.self.sources, 3, &change, NULL, &stage.fault),
                 WL_OK);
    cr_expect_eq(change.action, WL_CONFIG_ACTION_ABORT);
    cr_expect_str_eq(change.author, "walletd");
    cr_expect_str_eq(change.reason,
                     "30 errors in 2000 replies of the candidate, 0 in 1000 of the base");
    wl_config_change_release(&change);
    wl_config_trial_look(&stage.self);
    cr_expect_eq(desk_seq(), 3, "once");
}

Test(config_trial, errors_that_the_base_has_too_are_not_the_candidates) {
    cautious();
    say(0, 2, (wl_trial_item_t){1000, 500, 1000, 505});
    want_withdrawn(false);
    say(0, 2, (wl_trial_item_t){1000, 500, 1000, 520});
    want_withdrawn(true);
}

Test(config_trial, without_a_bound_or_paused_nothing_is_withdrawn) {
    rollout((wl_rollout_t){.share = 5000, .abort_replies = 1});
    sick("more");
    say(0, 2, (wl_trial_item_t){1000, 0, 1000, 1000});
    want_withdrawn(false);
    clock_pass(WL_TRIAL_SICK_MS * 2);
    want_withdrawn(false);
}

Test(config_trial, a_paused_one_is_left_alone_until_it_goes_on) {
    cautious();
    stage_change((wl_config_wish_t){.action = WL_CONFIG_ACTION_PAUSE, .rollout_id = 2});
    wl_config_look(&stage.self);
    say(0, 2, (wl_trial_item_t){1000, 0, 1000, 1000});
    wl_config_trial_look(&stage.self);
    cr_expect_eq(desk_seq(), 3);
    stage_change((wl_config_wish_t){.action = WL_CONFIG_ACTION_RESUME, .rollout_id = 2});
    wl_config_look(&stage.self);
    wl_config_trial_look(&stage.self);
    cr_expect_eq(desk_seq(), 5);
    cr_expect_eq(stage.self.live->rollout.id, 0);
}

Test(config_trial, a_sick_line_that_only_the_candidate_has_withdraws_it_after_a_while) {
    wl_config_change_t change;
    cautious();
    sick("more");
    want_withdrawn(false);
    clock_pass(WL_TRIAL_SICK_MS - 1);
    want_withdrawn(false);
    sick(NULL); /* well for a moment: the time begins anew */
    want_withdrawn(false);
    sick("more");
    want_withdrawn(false);
    clock_pass(WL_TRIAL_SICK_MS - 1);
    want_withdrawn(false);
    clock_pass(1);
    want_withdrawn(true);
    cr_assert_eq(wl_config_sources_change(stage.self.sources, 3, &change, NULL, &stage.fault),
                 WL_OK);
    cr_expect_str_eq(change.reason, "line more, which only the candidate has, fails");
    wl_config_change_release(&change);
}

Test(config_trial, a_sick_line_of_both_is_not_the_candidates_fault) {
    cautious();
    sick("coin");
    want_withdrawn(false);
    clock_pass(WL_TRIAL_SICK_MS * 2);
    want_withdrawn(false);
    sick("unknown");
    clock_pass(WL_TRIAL_SICK_MS * 2);
    want_withdrawn(false);
}

Test(config_trial, of_two_processes_one_withdraws_it) {
    wl_config_actor_t peer;
    cautious();
    desk_peer_open(&peer);
    wl_config_look(&stage.self);
    say(0, 2, (wl_trial_item_t){1000, 0, 1000, 1000});
    wl_config_trial_look(&stage.self);
    cr_expect_eq(desk_seq(), 2, "the other one has to judge it first");
    cr_expect_eq(stage.self.hub.counters.at[WL_COUNTER_config_aborted], 0, "not yet");
    cr_assert_not_null(stage.self.publishing);
    wl_config_trial_look(&stage.self);
    wl_config_look(&peer);
    wl_config_publish_go_on(&stage.self);
    cr_expect_eq(desk_seq(), 3);
    wl_config_look(&peer);
    cr_expect_eq(peer.live->rollout.id, 0);
    cr_expect_null(peer.live->candidate_config);
    wl_config_trial_look(&peer);
    wl_config_trial_look(&stage.self);
    cr_expect_eq(desk_seq(), 3);
    cr_expect_eq(stage.self.hub.counters.at[WL_COUNTER_config_aborted], 1);
    desk_peer_close(&peer);
}

Test(config_trial, one_that_begins_to_fail_after_days_is_withdrawn_soon) {
    wl_config_change_t change;
    cautious();
    say(0, 2, (wl_trial_item_t){9000000, 100, 9000000, 100});
    for (int minute = 0; minute < 3; minute++) {
        want_withdrawn(false);
        clock_pass(60000);
    }
    say(0, 2, (wl_trial_item_t){9001000, 110, 9000900, 500}); /* too few to say anything */
    want_withdrawn(false);
    say(0, 2, (wl_trial_item_t){9001000, 110, 9001000, 119}); /* as the base */
    want_withdrawn(false);
    say(0, 2, (wl_trial_item_t){9001000, 110, 9001000, 600});
    want_withdrawn(true);
    cr_assert_eq(wl_config_sources_change(stage.self.sources, 3, &change, NULL, &stage.fault),
                 WL_OK);
    cr_expect_str_eq(change.reason, "500 errors in 1000 replies of the candidate, 10 in 1000 of "
                                    "the base in the last minutes");
    wl_config_change_release(&change);
}

Test(config_trial, of_many_that_withdraw_it_at_once_the_last_one_is_left_in_peace) {
    wl_config_actor_t peer;
    char proposal[WL_DIGEST_HEX + 1];
    cautious();
    desk_peer_open(&peer);
    peer.hub.sick_count = 1;
    (void)snprintf(peer.hub.sick_lines[0], WL_LINE_ID_MAX, "more");
    wl_config_trial_look(&peer);
    clock_pass(WL_TRIAL_SICK_MS);
    wl_config_look(&stage.self);
    wl_config_look(&peer);
    desk_node_says("web-3", "", false, "");
    say(0, 2, (wl_trial_item_t){1000, 0, 1000, 1000});
    wl_config_trial_look(&stage.self);
    wl_config_trial_look(&peer);
    cr_assert_not_null(stage.self.publishing);
    cr_assert_not_null(peer.publishing);
    memcpy(proposal, desk_proposal(), sizeof proposal);
    wl_config_publish_go_on(&stage.self); /* is overtaken */
    cr_expect_null(stage.self.publishing);
    wl_config_trial_look(&stage.self);
    cr_expect_str_eq(desk_proposal(), proposal, "the peer's stays");
    wl_config_look(&stage.self);
    desk_node_says("web-3", proposal, true, "");
    wl_config_publish_go_on(&peer);
    cr_expect_eq(wl_config_sources_state(peer.sources)->seq, 3);
    cr_expect_eq(peer.hub.counters.at[WL_COUNTER_config_aborted], 1);
    cr_expect_eq(stage.self.hub.counters.at[WL_COUNTER_config_aborted], 0);
    desk_peer_close(&peer);
}
