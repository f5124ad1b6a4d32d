/* Processes that share a store: who is there, what they say of a proposal. */
#include "actors/config_nodes.h"

#include "config_stage.h"
#include "still_clock.h"

#include <sys/wait.h>

static wl_config_log_t *store;
static wl_config_nodes_t *nodes; /* of "web-1" */
static const wl_config_verdict_t no_verdict;

static void nodes_open(void) {
    stage_open();
    store = wl_config_sources_store(stage.self.sources);
    nodes = wl_config_nodes_new("web-1");
}

static void nodes_close(void) {
    wl_config_nodes_destroy(&nodes);
    wl_config_nodes_destroy(&nodes);
    stage_close();
}

TestSuite(config_nodes, .init = nodes_open, .fini = nodes_close, .timeout = 60);

static wl_err_t tell(wl_config_nodes_t *self, uint64_t seq, const wl_config_verdict_t *verdict) {
    wl_config_node_t node = {.seq = seq,
                             .version = "3.7",
                             .source = "store",
                             .problem = "",
                             .verdict = verdict == NULL ? &no_verdict : verdict};
    return wl_config_nodes_tell(self, store, &node);
}

static json_t *list(void) {
    json_t *all = NULL;
    cr_assert_eq(wl_config_nodes_list(nodes, store, &all), WL_OK);
    return all;
}

static size_t count(void) {
    json_t *all = list();
    size_t there = json_array_size(all);
    json_decref(all);
    return there;
}

static void note(const char *name, json_t *what) {
    char *text = json_dumps(what, 0);
    cr_assert_eq(wl_config_log_note_put(store, name, text, strlen(text), 4), WL_OK);
    free(text);
    json_decref(what);
}

/* What a process of that host says of itself, and of a proposal. */
static json_t *said(const char *node, const char *host, int pid, const char *digest,
                    bool accepted) {
    return json_pack("{s:s, s:s, s:i, s:I, s:{s:s, s:b, s:s}}", "node", node, "host", host, "pid",
                     pid, "at", (json_int_t)clock_wall, "verdict", "digest", digest, "accepted",
                     accepted, "why", "golden/0: no");
}

static const char *this_host(void) {
    static char host[65];
    (void)gethostname(host, sizeof host - 1);
    return host;
}

Test(config_nodes, a_process_tells_of_itself) {
    cr_expect_eq(count(), 0);
    cr_expect_eq(tell(nodes, 3, NULL), WL_OK);
    json_t *all = list();
    cr_assert_eq(json_array_size(all), 1);
    cr_expect_str_eq(text_at(all, "0.node"), "web-1");
    cr_expect_str_eq(text_at(all, "0.host"), this_host());
    cr_expect_eq(number_at(all, "0.pid"), getpid());
    cr_expect_eq(number_at(all, "0.seq"), 3);
    cr_expect_str_eq(text_at(all, "0.version"), "3.7");
    cr_expect_str_eq(text_at(all, "0.source"), "store");
    cr_expect_str_eq(text_at(all, "0.problem"), "");
    cr_expect_eq(number_at(all, "0.at"), clock_wall);
    cr_expect_null(at(all, "0.verdict"), "is nobody's business");
    json_decref(all);
    wl_config_nodes_leave(nodes, store);
    cr_expect_eq(count(), 0);
}

Test(config_nodes, it_writes_what_is_new_and_once_a_second) {
    cr_expect_eq(tell(nodes, 3, NULL), WL_OK);
    int64_t first = clock_wall;
    clock_pass(WL_NODE_BEAT_MS - 1);
    cr_expect_eq(tell(nodes, 3, NULL), WL_OK);
    json_t *all = list();
    cr_expect_eq(number_at(all, "0.at"), first);
    json_decref(all);
    cr_expect_eq(tell(nodes, 4, NULL), WL_OK);
    all = list();
    cr_expect_eq(number_at(all, "0.at"), clock_wall);
    cr_expect_eq(number_at(all, "0.seq"), 4);
    json_decref(all);
    clock_pass(WL_NODE_BEAT_MS);
    cr_expect_eq(tell(nodes, 4, NULL), WL_OK);
    all = list();
    cr_expect_eq(number_at(all, "0.at"), clock_wall);
    json_decref(all);
}

Test(config_nodes, one_that_is_silent_is_gone) {
    cr_expect_eq(tell(nodes, 3, NULL), WL_OK);
    note("nodes/far", said("far", "elsewhere", 1, "", false));
    note("nodes/ahead", said("ahead", "elsewhere", 1, "", false));
    clock_pass(WL_NODE_GONE_MS);
    cr_expect_eq(count(), 3);
    clock_pass(1);
    cr_expect_eq(count(), 2, "of this host");
    clock_pass(60000 - WL_NODE_GONE_MS - 1);
    cr_expect_eq(count(), 2, "a clock of another host may be off");
    clock_pass(1);
    cr_expect_eq(count(), 0);
    clock_wall -= 100000;
    cr_expect_eq(count(), 3, "a clock that is behind does not lose anybody");
}

Test(config_nodes, one_of_this_host_that_was_killed_is_gone_at_once) {
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        _exit(0);
    }
    cr_assert_eq(waitpid(child, NULL, 0), child);
    note("nodes/here", said("here", this_host(), child, "", false));
    note("nodes/there", said("there", "elsewhere", child, "", false));
    note("nodes/init", said("init", this_host(), 1, "", false));
    json_t *all = list();
    cr_assert_eq(json_array_size(all), 2);
    cr_expect_str_eq(text_at(all, "0.node"), "init", "it is not ours, but it is there");
    cr_expect_str_eq(text_at(all, "1.node"), "there");
    json_decref(all);
}

Test(config_nodes, notes_that_are_none_are_passed_over) {
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "7",
                                        "{}",
                                        "{\"node\":\"\"}",
                                        "{\"node\":7}",
                                        "{\"node\":\"a\",\"at\":\"x\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "nodes/%zu", i);
        cr_assert_eq(wl_config_log_note_put(store, name, texts[i], strlen(texts[i]), 4), WL_OK);
    }
    note("drafts/x", said("x", "elsewhere", 1, "", false));
    cr_expect_eq(count(), 0);
    cr_expect_eq(tell(nodes, 3, NULL), WL_OK);
    cr_expect_eq(count(), 1);
}

Test(config_nodes, a_name_with_any_letters_is_a_notes_name) {
    wl_config_nodes_t *odd = wl_config_nodes_new("../a b/\xc3\xa4.");
    cr_expect_eq(tell(odd, 1, NULL), WL_OK);
    cr_expect_eq(tell(nodes, 1, NULL), WL_OK);
    cr_expect_eq(count(), 2);
    wl_config_nodes_leave(odd, store);
    cr_expect_eq(count(), 1);
    wl_config_nodes_destroy(&odd);
}

/* A refusal may quote a document, and be cut within a character. */
Test(config_nodes, a_verdict_is_told_whatever_its_text) {
    wl_config_votes_t votes;
    wl_config_verdict_t verdict = {.digest = "ab", .why = "golden/0: \xe9\x92"};
    wl_config_nodes_t *other = wl_config_nodes_new("web-2");
    cr_expect_eq(tell(other, 1, &verdict), WL_OK);
    cr_expect_eq(wl_config_nodes_votes(nodes, store, "ab", &votes), WL_OK);
    cr_expect_str_eq(votes.refused, "web-2");
    cr_expect_not_null(strstr(votes.why, "golden/0: "));
    wl_config_node_t node = {
        .version = "3.7", .source = "store", .problem = "\xff", .verdict = &no_verdict};
    cr_expect_eq(wl_config_nodes_tell(nodes, store, &node), WL_OK);
    cr_expect_eq(count(), 2);
    wl_config_nodes_destroy(&other);
}

Test(config_nodes, votes_are_of_the_others_and_of_this_proposal) {
    wl_config_votes_t votes;
    wl_config_verdict_t own = {.digest = "ab", .accepted = false, .why = "no"};
    cr_expect_eq(tell(nodes, 1, &own), WL_OK);
    cr_expect_eq(wl_config_nodes_votes(nodes, store, "ab", &votes), WL_OK);
    cr_expect(votes.others == 0 && votes.accepted == 0 && votes.refused[0] == '\0');
    note("nodes/b", said("b", "elsewhere", 1, "ab", true));
    note("nodes/c", said("c", "elsewhere", 1, "cd", true));
    cr_expect_eq(wl_config_nodes_votes(nodes, store, "ab", &votes), WL_OK);
    cr_expect(votes.others == 2 && votes.accepted == 1);
    cr_expect_str_eq(votes.waiting, "c", "what it said of another one does not count");
    cr_expect_str_eq(votes.refused, "");
    note("nodes/c", said("c", "elsewhere", 1, "ab", false));
    cr_expect_eq(wl_config_nodes_votes(nodes, store, "ab", &votes), WL_OK);
    cr_expect_str_eq(votes.waiting, "");
    cr_expect_str_eq(votes.refused, "c");
    cr_expect_str_eq(votes.why, "golden/0: no");
    note("nodes/d", json_pack("{s:s, s:I}", "node", "d", "at", (json_int_t)clock_wall));
    cr_expect_eq(wl_config_nodes_votes(nodes, store, "", &votes), WL_OK);
    cr_expect_eq(votes.accepted, 0, "one that has no verdict accepts nothing");
}

Test(config_nodes, a_store_that_is_away_is_an_error_and_told_again_later) {
    char path[200];
    char away[200];
    json_t *all = NULL;
    wl_config_votes_t votes;
    cr_expect_eq(tell(nodes, 1, NULL), WL_OK);
    (void)snprintf(path, sizeof path, "%s/store", stage.folder);
    (void)snprintf(away, sizeof away, "%s/away", stage.folder);
    cr_assert_eq(rename(path, away), 0);
    stage_write("store", "");
    cr_expect_neq(tell(nodes, 2, NULL), WL_OK);
    cr_expect_neq(wl_config_nodes_list(nodes, store, &all), WL_OK);
    cr_expect_null(all);
    cr_expect_neq(wl_config_nodes_votes(nodes, store, "ab", &votes), WL_OK);
    cr_assert_eq(unlink(path), 0);
    cr_assert_eq(rename(away, path), 0);
    cr_expect_eq(tell(nodes, 2, NULL), WL_OK, "without waiting for the next beat");
    all = list();
    cr_expect_eq(number_at(all, "0.seq"), 2);
    json_decref(all);
}
