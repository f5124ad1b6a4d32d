/* One change on its way: alone, with others who judge it, and with others who are faster. */
#include "config_desk.h"

TestSuite(config_publish, .init = desk_open, .fini = desk_close, .timeout = 60);

enum { TICKET = 77 };

static wl_config_wish_t wish_of(uint64_t base, const char *lines, const char *page) {
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_PUBLISH,
                             .base = base,
                             .author = "ann",
                             .reason = "because",
                             .from = "ops/1"};
    wish.documents[0] = lines == NULL ? NULL : stage_json(lines);
    wish.documents[1] = page == NULL ? NULL : stage_json(page);
    return wish;
}

/* Takes the wish's documents. The result, or NULL with the error (WL_OK: the answer comes later). */
static json_t *publish_by(wl_config_actor_t *actor, wl_config_wish_t wish, bool dry_run,
                          wl_err_t *ret_err) {
    json_t *result = NULL;
    stage.fault = (wl_fault_t){.line = 0};
    *ret_err = wl_config_publish(actor, &wish, dry_run, (wl_config_asker_t){0, TICKET}, &result,
                                 &stage.fault);
    json_decref(wish.documents[0]);
    json_decref(wish.documents[1]);
    cr_expect(*ret_err == WL_OK || (result == NULL && stage.fault.message[0] != '\0'));
    return result;
}

static json_t *publish(uint64_t base, const char *page, bool dry_run) {
    wl_err_t err = WL_OK;
    json_t *result = publish_by(&stage.self, wish_of(base, NULL, page), dry_run, &err);
    cr_assert_eq(err, WL_OK, "%s: %s", wl_err_name(err), stage.fault.message);
    return result;
}

static void refused_wish(wl_config_wish_t wish, wl_err_t wanted, const char *part) {
    wl_err_t err = WL_OK;
    json_t *result = publish_by(&stage.self, wish, false, &err);
    cr_expect_null(result);
    cr_expect_eq(err, wanted, "%s: %s", wl_err_name(err), stage.fault.message);
    cr_expect_not_null(strstr(stage.fault.message, part), "%s", stage.fault.message);
}

static void refused(uint64_t base, const char *page, wl_err_t wanted, const char *part) {
    refused_wish(wish_of(base, NULL, page), wanted, part);
}

/* Begins to publish while "web-2" is there; the digest of what is proposed. */
static const char *begin_with_another(void) {
    desk_import();
    desk_node_says("web-2", "", false, "");
    cr_expect_null(publish(1, STAGE_PAGE("1", "New"), false));
    cr_assert_not_null(stage.self.publishing);
    return desk_proposal();
}

static void want_nothing_published(uint64_t seq) {
    cr_expect_eq(desk_seq(), seq);
    cr_expect_eq(stage.self.live->seq, seq);
    cr_expect_null(stage.self.publishing);
}

/* ---- alone ----------------------------------------------------------------------------------- */

Test(config_publish, files_of_the_directory_become_the_first_change) {
    wl_config_change_t change;
    json_t *result = publish(0, STAGE_PAGE("1", "New"), false);
    cr_expect_eq(number_at(result, "seq"), 2);
    cr_expect_str_eq(text_at(result, "version"), "3.8");
    cr_expect_eq(json_array_size(at(result, "changes")), 1);
    cr_expect_str_eq(text_at(result, "changes.0.document"), "presentation");
    cr_expect_not_null(strstr(text_at(result, "changes.0.path"), "title"));
    cr_expect_str_eq(text_at(result, "changes.0.before"), "Cash");
    cr_expect_str_eq(text_at(result, "changes.0.after"), "New");
    cr_expect(json_is_null(at(result, "rollout")));
    json_decref(result);
    want_nothing_published(2);
    cr_expect_str_eq(stage.self.live->config->version, "3.8");
    cr_assert_eq(wl_config_sources_change(stage.self.sources, 1, &change, NULL, &stage.fault),
                 WL_OK);
    cr_expect_eq(change.action, WL_CONFIG_ACTION_IMPORT);
    cr_expect_str_eq(change.author, "walletd");
    cr_expect(change.documents[0] != NULL && change.documents[1] != NULL);
    wl_config_change_release(&change);
    desk_want_no_answer();
}

Test(config_publish, a_dry_run_changes_nothing) {
    char path[200];
    json_t *result = publish(0, STAGE_PAGE("1", "New"), true);
    cr_expect_eq(number_at(result, "seq"), 2);
    cr_expect_eq(json_array_size(at(result, "changes")), 1);
    json_decref(result);
    want_nothing_published(0);
    (void)snprintf(path, sizeof path, "%s/store/changes", stage.folder);
    cr_expect_neq(access(path, F_OK), 0);
    desk_import();
    desk_node_says("web-2", "", false, "");
    result = publish(1, STAGE_PAGE("1", "New"), true); /* nobody is asked */
    cr_expect_str_eq(text_at(result, "version"), "3.8");
    json_decref(result);
    want_nothing_published(1);
    cr_expect_str_eq(desk_proposal(), "");
}

Test(config_publish, what_is_refused_at_first_imports_nothing) {
    refused(0, "{\"golden\":[{\"line\":\"none\"}]}", WL_ERR_BAD_REQUEST, "none");
    cr_expect_not_null(strstr(stage.fault.where, "golden"), "%s", stage.fault.where);
    want_nothing_published(0);
    wl_config_wish_t wish = wish_of(0, NULL, NULL);
    wish.action = WL_CONFIG_ACTION_PROMOTE;
    refused_wish(wish, WL_ERR_CONFLICT, "no rollout");
    want_nothing_published(0);
    wish = wish_of(0, NULL, STAGE_PAGE("1", "New"));
    wish.author = "a\nb";
    refused_wish(wish, WL_ERR_BAD_REQUEST, "author: has control characters");
    want_nothing_published(0);
    refused(5, STAGE_PAGE("1", "New"), WL_ERR_CONFLICT, "base 5 is not the newest change");
    want_nothing_published(0);
}

Test(config_publish, an_older_base_is_a_conflict) {
    desk_import();
    json_decref(publish(1, STAGE_PAGE("1", "Two"), false));
    refused(1, STAGE_PAGE("1", "Mine"), WL_ERR_CONFLICT, "which is 2: look at what has changed");
    refused(0, STAGE_PAGE("1", "Mine"), WL_ERR_CONFLICT, "which is 2");
    refused(3, STAGE_PAGE("1", "Mine"), WL_ERR_CONFLICT, "which is 2");
    want_nothing_published(2);
}

Test(config_publish, the_base_is_compared_with_what_others_have_published_meanwhile) {
    wl_config_actor_t peer;
    wl_err_t err = WL_OK;
    desk_import();
    desk_peer_open(&peer);
    wl_config_nodes_leave(stage.self.nodes, desk_store());
    json_decref(publish_by(&peer, wish_of(1, NULL, STAGE_PAGE("1", "Theirs")), false, &err));
    cr_expect_eq(err, WL_OK);
    refused(1, STAGE_PAGE("1", "Mine"), WL_ERR_CONFLICT, "which is 2");
    want_nothing_published(2);
    desk_peer_close(&peer);
}

Test(config_publish, documents_are_judged_whole_with_their_samples) {
    desk_import();
    refused_wish(wish_of(1, "{\"lines\":{" STAGE_COIN "}}", NULL), WL_ERR_BAD_REQUEST, "");
    refused_wish(wish_of(1,
                         STAGE_LINES("1", ",\"sample\":{\"assets\":[{\"uid\":7,\"version\":3,"
                                          "\"amount\":\"many\"}]}"),
                         NULL),
                 WL_ERR_BAD_REQUEST, "");
    refused(1, "{\"golden\":7}", WL_ERR_BAD_REQUEST, "");
    want_nothing_published(1);
}

Test(config_publish, without_its_store_nothing_is_published) {
    char store[200];
    char away[200];
    desk_import();
    (void)snprintf(store, sizeof store, "%s/store", stage.folder);
    (void)snprintf(away, sizeof away, "%s/away", stage.folder);
    cr_assert_eq(rename(store, away), 0);
    stage_write("store", "");
    refused(1, STAGE_PAGE("1", "New"), WL_ERR_UNAVAILABLE, "nothing was published");
    want_nothing_published(1);
    cr_assert_eq(unlink(store), 0);
    cr_assert_eq(rename(away, store), 0);
    json_decref(publish(1, STAGE_PAGE("1", "New"), false)); /* at once, though it was left alone */
    want_nothing_published(2);
}

/* ---- with others ----------------------------------------------------------------------------- */

Test(config_publish, one_that_does_not_judge_in_time_stops_it) {
    (void)begin_with_another();
    for (int i = 0; i < 3; i++) {
        wl_config_publish_go_on(&stage.self);
        desk_want_no_answer();
    }
    refused(1, STAGE_PAGE("1", "Other"), WL_ERR_BUSY, "another change is being published");
    clock_pass((int64_t)stage.settings.config_ready_ms - 1);
    desk_node_says("web-2", "", false, "");
    wl_config_publish_go_on(&stage.self);
    desk_want_no_answer();
    clock_pass(1);
    wl_config_publish_go_on(&stage.self);
    desk_want_answer(TICKET, WL_ERR_UNAVAILABLE, "process web-2 has not judged the change");
    want_nothing_published(1);
    wl_config_publish_go_on(&stage.self);
    desk_want_no_answer();
}

Test(config_publish, one_that_is_gone_meanwhile_is_not_waited_for) {
    (void)begin_with_another();
    wl_config_nodes_t *nodes = wl_config_nodes_new("web-2");
    wl_config_nodes_leave(nodes, desk_store());
    wl_config_nodes_destroy(&nodes);
    wl_config_publish_go_on(&stage.self);
    desk_want_answer(TICKET, WL_OK, "");
    want_nothing_published(2);
}

Test(config_publish, one_that_refuses_stops_it) {
    const char *digest = begin_with_another();
    desk_node_says("web-3", digest, true, "");
    desk_node_says("web-2", digest, false, "golden/0/line: an older program");
    wl_config_publish_go_on(&stage.self);
    desk_want_answer(
        TICKET, WL_ERR_BAD_REQUEST,
        "process web-2 cannot use this change, so nobody does: golden/0/line: an older");
    want_nothing_published(1);
    cr_expect_str_eq(desk_proposal(), "");
    json_t *result = NULL;
    wl_err_t err = WL_OK;
    result = publish_by(&stage.self, wish_of(1, NULL, STAGE_PAGE("1", "Again")), false, &err);
    cr_expect(err == WL_OK && result == NULL, "the next one can be proposed");
}

Test(config_publish, a_judgement_of_something_else_does_not_count) {
    static const char other[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    (void)begin_with_another();
    desk_node_says("web-2", other, true, "");
    wl_config_publish_go_on(&stage.self);
    desk_want_no_answer();
    desk_node_says("web-2", other, false, "no");
    wl_config_publish_go_on(&stage.self);
    desk_want_no_answer();
    cr_expect_eq(desk_seq(), 1);
}

Test(config_publish, what_all_accept_is_published_and_live_everywhere) {
    wl_config_actor_t peer;
    desk_import();
    desk_peer_open(&peer);
    cr_expect_null(publish(1, STAGE_PAGE("1", "New"), false));
    cr_expect_eq(desk_seq(), 1, "not before everybody can use it");
    wl_config_look(&peer);
    cr_expect(peer.verdict.accepted);
    cr_expect_str_eq(peer.verdict.digest, desk_proposal());
    cr_expect_eq(peer.live->seq, 1);
    wl_config_publish_go_on(&stage.self);
    desk_want_answer(TICKET, WL_OK, "");
    want_nothing_published(2);
    cr_expect_str_eq(desk_proposal(), "");
    wl_config_look(&peer);
    cr_expect_str_eq(peer.live->config->version, "3.8");
    desk_peer_close(&peer);
}

Test(config_publish, a_later_proposal_overtakes_an_earlier_one) {
    (void)begin_with_another();
    static const char other[] = "{\"seq\":2}";
    cr_assert_eq(wl_config_log_note_put(desk_store(), "proposal", other, strlen(other), 30), WL_OK);
    wl_config_publish_go_on(&stage.self);
    desk_want_answer(TICKET, WL_ERR_CONFLICT, "another process is publishing at this moment");
    want_nothing_published(1);
    cr_expect_neq(desk_proposal()[0], '\0', "it is the other's");
}

Test(config_publish, of_two_proposals_at_once_one_is_published_and_both_are_answered) {
    wl_config_actor_t peer;
    wl_err_t err = WL_OK;
    desk_import();
    desk_peer_open(&peer);
    cr_expect_null(publish(1, STAGE_PAGE("1", "Mine"), false));
    cr_expect_null(publish_by(&peer, wish_of(1, NULL, STAGE_PAGE("1", "Theirs")), false, &err));
    cr_expect_eq(err, WL_OK);
    wl_config_publish_go_on(&stage.self); /* the other had accepted ours before */
    desk_want_answer(TICKET, WL_OK, "");
    want_nothing_published(2);
    wl_config_look(&peer);
    peer.hub.instances[WL_ACTOR_INTAKE] = 1;
    wl_config_publish_go_on(&peer);
    wl_hub_flush(&peer.hub);
    desk_want_answer(TICKET, WL_ERR_CONFLICT, "change 2 was published meanwhile");
    cr_expect_null(peer.publishing);
    cr_expect_not_null(strstr(peer.live->base[1].text, "\"Mine\""));
    wl_hub_close(&peer.hub);
    desk_peer_close(&peer);
}

Test(config_publish, a_change_that_was_published_meanwhile_wins) {
    wl_config_state_t state;
    wl_config_actor_t peer;
    char *text = NULL;
    size_t bytes = 0;
    desk_import();
    desk_peer_open(&peer);
    cr_expect_null(publish(1, STAGE_PAGE("1", "Mine"), false));
    wl_config_wish_t wish = wish_of(1, NULL, STAGE_PAGE("1", "Theirs"));
    cr_assert_eq(wl_config_change_make(wl_config_sources_state(peer.sources),
                                       wl_config_sources_digest(peer.sources), &wish, wl_wall_now(),
                                       &text, &bytes, &state, &stage.fault),
                 WL_OK);
    json_decref(wish.documents[1]);
    cr_assert_eq(wl_config_log_append(desk_store(), 2, text, bytes), WL_OK);
    wl_free(text);
    wl_config_look(&peer);
    wl_config_look(&stage.self);
    wl_config_publish_go_on(&stage.self);
    desk_want_answer(TICKET, WL_ERR_CONFLICT, "change 2 was published meanwhile");
    want_nothing_published(2);
    desk_peer_close(&peer);
}

/* ---- judging --------------------------------------------------------------------------------- */

/* Puts a proposal; what is said of it. */
static const wl_config_verdict_t *judged(const char *text) {
    cr_assert_eq(wl_config_log_note_put(desk_store(), "proposal", text, strlen(text), 30), WL_OK);
    wl_config_publish_judge(&stage.self);
    return &stage.self.verdict;
}

/* A record of a change after these, wl_free()d by the caller. */
static char *record(const wl_config_state_t *state, const char *prev, const char *page) {
    wl_config_state_t after;
    char *text = NULL;
    size_t bytes = 0;
    wl_config_wish_t wish = wish_of(state->seq, NULL, page);
    cr_assert_eq(wl_config_change_make(state, prev, &wish, wl_wall_now(), &text, &bytes, &after,
                                       &stage.fault),
                 WL_OK);
    json_decref(wish.documents[1]);
    return text;
}

Test(config_publish, what_others_propose_is_judged_once_and_nothing_else_happens) {
    desk_import();
    const wl_config_state_t *state = wl_config_sources_state(stage.self.sources);
    const char *digest = wl_config_sources_digest(stage.self.sources);
    char *good = record(state, digest, STAGE_PAGE("1", "New"));
    char *bad = record(state, digest, "{\"golden\":[{\"line\":\"none\"}]}");
    cr_expect(judged(good)->accepted);
    cr_expect_str_eq(stage.self.verdict.digest, desk_proposal());
    cr_expect_not(judged(bad)->accepted);
    cr_expect_str_eq(stage.self.verdict.digest, desk_proposal());
    cr_expect_not_null(strstr(stage.self.verdict.why, "golden"), "%s", stage.self.verdict.why);
    uint64_t refusals = stage.self.hub.counters.at[WL_COUNTER_config_refused];
    wl_config_publish_judge(&stage.self);
    cr_expect_eq(stage.self.hub.counters.at[WL_COUNTER_config_refused], refusals);
    want_nothing_published(1);
    wl_free(good);
    wl_free(bad);
}

Test(config_publish, what_is_no_change_is_refused_and_what_is_not_next_is_not_judged) {
    static const char other[] = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";
    desk_import();
    static const char *const texts[] = {"", "{", "7", "{\"seq\":2}", "\xff"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cr_expect_not(judged(texts[i])->accepted, "%s", texts[i]);
        cr_expect_str_eq(stage.self.verdict.digest, desk_proposal(), "%s", texts[i]);
        cr_expect_neq(stage.self.verdict.why[0], '\0');
    }
    memset(&stage.self.verdict, 0, sizeof stage.self.verdict);
    wl_config_state_t state = *wl_config_sources_state(stage.self.sources);
    char *strange = record(&state, other, STAGE_PAGE("1", "New"));
    cr_expect_str_eq(judged(strange)->digest, "", "it does not follow what is known here");
    wl_free(strange);
    state.seq = 5;
    char *later =
        record(&state, wl_config_sources_digest(stage.self.sources), STAGE_PAGE("1", "New"));
    cr_expect_str_eq(judged(later)->digest, "");
    wl_free(later);
}

/* ---- what becomes live ----------------------------------------------------------------------- */

Test(config_publish, a_change_whose_set_comes_later_becomes_live_then) {
    static const char users[] = "seven and eight";
    wl_config_state_t after;
    char *text = NULL;
    size_t bytes = 0;
    desk_import();
    wl_config_wish_t wish = wish_of(1, NULL, STAGE_PAGE("1", "New"));
    wish.action = WL_CONFIG_ACTION_ROLLOUT;
    wish.rollout = (wl_rollout_t){.share = 10};
    wl_config_digest(users, strlen(users), wish.rollout.whitelist);
    cr_assert_eq(wl_config_change_make(wl_config_sources_state(stage.self.sources),
                                       wl_config_sources_digest(stage.self.sources), &wish,
                                       wl_wall_now(), &text, &bytes, &after, &stage.fault),
                 WL_OK);
    json_decref(wish.documents[1]);
    cr_assert_eq(wl_config_log_append(desk_store(), 2, text, bytes), WL_OK);
    wl_free(text);
    wl_config_look(&stage.self);
    cr_expect_eq(stage.self.live->seq, 1, "what was live stays");
    cr_expect_not_null(strstr(stage.self.problem, "change 2 cannot be used here"), "%s",
                       stage.self.problem);
    cr_assert_eq(wl_config_log_blob_put(desk_store(), wish.rollout.whitelist, users, strlen(users)),
                 WL_OK);
    wl_config_look(&stage.self);
    cr_expect_eq(stage.self.live->seq, 2);
    cr_expect_str_eq(stage.self.problem, "");
}

Test(config_publish, under_an_emergency_file_changes_are_of_what_is_below) {
    json_t *result = NULL;
    desk_import();
    stage_write(
        "emergency.json",
        "{\"expires_at\":\"2099-01-01T00:00:00Z\",\"reason\":\"fire\",\"presentation\":" STAGE_PAGE(
            "99", "Fire") "}");
    (void)snprintf(stage.settings.config_emergency_file, 200, "%s/emergency.json", stage.folder);
    json_decref(publish(1, STAGE_PAGE("1", "Two"), false));
    cr_expect_eq(stage.self.live->source, WL_CONFIG_FROM_EMERGENCY);
    cr_expect_str_eq(stage.self.live->config->version, "3.99");
    cr_assert_not_null(stage.self.below);
    cr_expect_eq(stage.self.below->seq, 2);
    result = publish(2, STAGE_PAGE("1", "Three"), false);
    cr_expect_str_eq(text_at(result, "version"), "3.9");
    cr_expect_eq(json_array_size(at(result, "changes")), 1);
    cr_expect_str_eq(text_at(result, "changes.0.before"), "Two", "not what the file shows");
    json_decref(result);
    cr_expect_str_eq(stage.self.live->config->version, "3.99");
    cr_expect_str_eq(stage.self.below->config->version, "3.9");
}
