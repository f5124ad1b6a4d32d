/* The store, a mirror and the snapshot as one log: what is believed, and who is brought up to it. */
#include "actors/config_source.h"
#include "config_stage.h"
#include "still_clock.h"

/* ---- files ----------------------------------------------------------------------------------- */

static const char *in_stage(const char *name) {
    static char paths[4][200];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", stage.folder, name);
    return path;
}

/* "store/changes/00000003.json" */
static const char *record_name(const char *log, uint64_t seq) {
    static char names[4][100];
    static unsigned turn;
    char *name = names[turn++ % 4];
    (void)snprintf(name, sizeof names[0], "%s/changes/%08" PRIu64 ".json", log, seq);
    return name;
}

/* The text of a file, NULL = there is none; free()d by the caller. */
static char *file_text(const char *name) {
    FILE *file = fopen(in_stage(name), "r");
    if (file == NULL) {
        return NULL;
    }
    char *text = calloc(1, 1 << 16);
    cr_assert_not_null(text);
    (void)!fread(text, 1, (1 << 16) - 1, file);
    (void)fclose(file);
    return text;
}

static void remove_all(const char *name) {
    (void)nftw(in_stage(name), stage_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static void want_file(const char *name, const char *text) {
    char *there = file_text(name);
    cr_expect(text != NULL && there != NULL && strcmp(there, text) == 0, "%s is not what it was",
              name);
    free(there);
}

static void want_no_record(const char *log, uint64_t seq) {
    cr_expect_neq(access(in_stage(record_name(log, seq)), F_OK), 0, "%s has a record %" PRIu64, log,
                  seq);
}

/* Both logs have the very same records from..to. */
static void want_same(const char *log, const char *model, uint64_t from, uint64_t to) {
    for (uint64_t seq = from; seq <= to; seq++) {
        char *text = file_text(record_name(model, seq));
        want_file(record_name(log, seq), text);
        free(text);
    }
}

static void cut_in_half(const char *name) {
    struct stat about;
    cr_assert_eq(stat(in_stage(name), &about), 0);
    cr_assert_eq(truncate(in_stage(name), about.st_size / 2), 0);
}

/* ---- processes ------------------------------------------------------------------------------- */

static wl_config_sources_t *process(const char *data, const char *store) {
    wl_config_sources_t *sources = NULL;
    wl_settings_t settings = stage.settings;
    (void)snprintf(settings.server_data_dir, 200, "%s/%s", stage.folder, data);
    (void)snprintf(settings.server_config_dir, 200, "%s/%s", stage.folder, store);
    (void)mkdir(settings.server_data_dir, 0700);
    cr_assert_eq(wl_config_sources_new(&settings, &sources, &stage.fault), WL_OK, "%s",
                 stage.fault.message);
    return sources;
}

/* The process of the stage begins anew, with a mirror. */
static void restart(void) {
    (void)snprintf(stage.settings.config_mirror_dir, 200, "%s/mirror", stage.folder);
    wl_config_sources_destroy(&stage.self.sources);
    stage.self.sources = process("data", "store");
}

static void sources_open(void) {
    stage_open();
    restart();
}

TestSuite(config_sources, .init = sources_open, .fini = stage_close, .timeout = 60);

static void publish(const char *title) {
    char page[2000];
    (void)snprintf(page, sizeof page,
                   "{\"version\":7,\"golden\":[{\"line\":\"cash\","
                   "\"title\":\"%s\"}]}",
                   title);
    stage_put(WL_CONFIG_ACTION_PUBLISH, NULL, page);
}

static void three(void) {
    stage_import();
    publish("Two");
    publish("Three");
}

/* Records 1..count of a story of its own, into a folder. */
static void story_write(const char *log, uint64_t count, const char *author) {
    wl_config_state_t state = {.seq = 0};
    char prev[WL_DIGEST_HEX + 1] = "";
    wl_config_log_t *into = NULL;
    json_t *lines = stage_json(STAGE_LINES("3", ""));
    json_t *page = stage_json(STAGE_PAGE("7", "Cash"));
    cr_assert_eq(wl_config_log_dir(in_stage(log), &into, &stage.fault), WL_OK);
    for (uint64_t seq = 1; seq <= count; seq++) {
        wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_PUBLISH,
                                 .base = seq - 1,
                                 .author = author,
                                 .reason = "because",
                                 .from = ""};
        char *text = NULL;
        size_t bytes = 0;
        wish.action = seq == 1 ? WL_CONFIG_ACTION_IMPORT : WL_CONFIG_ACTION_PUBLISH;
        wish.documents[WL_DOCUMENT_INTEGRATION] = seq == 1 ? lines : NULL;
        wish.documents[WL_DOCUMENT_PRESENTATION] = page;
        cr_assert_eq(wl_config_change_make(&state, prev, &wish, (wl_wall_ms_t){1}, &text, &bytes,
                                           &state, &stage.fault),
                     WL_OK, "%s", stage.fault.message);
        wl_config_digest(text, bytes, prev);
        cr_assert_eq(wl_config_log_append(into, seq, text, bytes), WL_OK);
        wl_free(text);
    }
    json_decref(lines);
    json_decref(page);
    wl_config_log_destroy(&into);
}

static uint64_t seq_of(const wl_config_sources_t *sources) {
    return wl_config_sources_state(sources)->seq;
}

static void want_source(const wl_config_sources_t *sources, wl_config_source_t source) {
    cr_expect_str_eq(wl_config_source_name(wl_config_sources_source(sources)),
                     wl_config_source_name(source));
}

/* What is said of the log with that place in the order: 0 = the store. */
static void want_problem(const wl_config_sources_t *sources, size_t place, const char *part) {
    json_t *report = wl_config_sources_report(sources);
    const char *problem = text_at(json_array_get(report, place), "problem");
    bool there = part[0] == '\0' ? problem[0] == '\0' : strstr(problem, part) != NULL;
    cr_expect(there, "\"%s\" is not in \"%s\"", part, problem);
    json_decref(report);
}

/* Tries to make the next change of what this process knows; its error. text, when not NULL, is
 * the record (wl_free). */
static wl_err_t try_change(wl_config_sources_t *sources, const char *author, char **ret_text) {
    const wl_config_state_t *state = wl_config_sources_state(sources);
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_PUBLISH,
                             .base = state->seq,
                             .author = author,
                             .reason = "because",
                             .from = ""};
    wl_config_state_t after;
    char *text = NULL;
    size_t bytes = 0;
    json_t *page = stage_json(STAGE_PAGE("1", "Mine"));
    wish.documents[WL_DOCUMENT_PRESENTATION] = page;
    cr_assert_eq(wl_config_change_make(state, wl_config_sources_digest(sources), &wish,
                                       (wl_wall_ms_t){5}, &text, &bytes, &after, &stage.fault),
                 WL_OK);
    json_decref(page);
    stage.fault = (wl_fault_t){.line = 0};
    wl_err_t err = wl_config_sources_append(sources, text, bytes, &after, &stage.fault);
    if (ret_text != NULL) {
        *ret_text = text;
    } else {
        wl_free(text);
    }
    return err;
}

static void want_fault(wl_err_t err, wl_err_t wanted, const char *part) {
    cr_expect_eq(err, wanted, "%s: %s", wl_err_name(err), stage.fault.message);
    cr_expect_not_null(strstr(stage.fault.message, part), "%s", stage.fault.message);
}

/* ---- adopting -------------------------------------------------------------------------------- */

Test(config_sources, nothing_is_known_at_first) {
    wl_config_change_t change;
    cr_expect_not(wl_config_sources_look(stage.self.sources));
    cr_expect_eq(seq_of(stage.self.sources), 0);
    cr_expect_str_eq(wl_config_sources_digest(stage.self.sources), "");
    want_source(stage.self.sources, WL_CONFIG_FROM_DIRECTORY);
    cr_expect_eq(wl_config_sources_change(stage.self.sources, 0, &change, NULL, &stage.fault),
                 WL_ERR_NOT_FOUND);
    cr_expect_eq(wl_config_sources_change(stage.self.sources, 1, &change, NULL, &stage.fault),
                 WL_ERR_NOT_FOUND);
    want_no_record("store", 1);
}

Test(config_sources, a_change_is_in_every_log_at_once) {
    three();
    want_same("mirror", "store", 1, 3);
    want_same("data/config", "store", 1, 3);
    want_source(stage.self.sources, WL_CONFIG_FROM_STORE);
    for (size_t i = 0; i < 3; i++) {
        want_problem(stage.self.sources, i, "");
    }
}

Test(config_sources, the_longest_log_is_adopted_and_the_others_brought_up_to_it) {
    static const char *const logs[] = {"store", "mirror", "data/config"};
    three();
    char *newest = file_text(record_name("store", 3));
    for (int longest = 0; longest < 3; longest++) {
        for (int i = 0; i < 3; i++) {
            for (uint64_t seq = i == 1 ? 2 : 3; i != longest && seq <= 3; seq++) {
                cr_assert_eq(unlink(in_stage(record_name(logs[i], seq))), 0);
            }
        }
        restart();
        cr_expect(wl_config_sources_look(stage.self.sources));
        cr_expect_eq(seq_of(stage.self.sources), 3);
        want_source(stage.self.sources, WL_CONFIG_FROM_STORE);
        cr_expect_not(wl_config_sources_look(stage.self.sources), "nothing is newer");
        for (int i = 0; i < 3; i++) {
            want_file(record_name(logs[i], 3), newest);
        }
        want_same("mirror", "store", 1, 3);
    }
    free(newest);
}

Test(config_sources, another_process_sees_a_change_and_a_mirror_alone_is_enough) {
    wl_config_sources_t *other = process("other", "store");
    stage_import();
    cr_expect(wl_config_sources_look(other));
    publish("Two");
    cr_expect_eq(seq_of(other), 1);
    cr_expect(wl_config_sources_look(other));
    cr_expect_eq(seq_of(other), 2);
    cr_expect_str_eq(wl_config_sources_digest(other), wl_config_sources_digest(stage.self.sources));
    wl_config_sources_destroy(&other);
    other = process("third", "elsewhere"); /* a new host, a new store */
    cr_expect(wl_config_sources_look(other));
    cr_expect_eq(seq_of(other), 2);
    want_same("elsewhere", "mirror", 1, 2);
    wl_config_sources_destroy(&other);
}

/* ---- bringing others up to it ---------------------------------------------------------------- */

Test(config_sources, a_store_that_lost_everything_gets_it_back) {
    three();
    remove_all("store/changes");
    cr_expect_not(wl_config_sources_look(stage.self.sources), "what is known stays the same");
    cr_expect_eq(seq_of(stage.self.sources), 3);
    want_same("store", "data/config", 1, 3);
    want_fault(try_change(stage.self.sources, "ann", NULL), WL_ERR_CONFLICT, "is being healed");
    want_no_record("store", 4);
    clock_pass(1999); /* others may know more, and need a moment to say so */
    want_fault(try_change(stage.self.sources, "ann", NULL), WL_ERR_CONFLICT, "is being healed");
    clock_pass(1);
    cr_expect_eq(try_change(stage.self.sources, "ann", NULL), WL_OK, "%s", stage.fault.message);
    want_same("data/config", "store", 1, 4);
}

Test(config_sources, it_gets_it_back_from_whoever_knows_most) {
    three();
    wl_config_sources_t *other = process("other", "store");
    (void)wl_config_sources_look(other);
    publish("Four");
    remove_all("store/changes");
    remove_all("mirror/changes");
    (void)wl_config_sources_look(other); /* knows 3 only */
    want_same("store", "other/config", 1, 3);
    want_no_record("store", 4);
    (void)wl_config_sources_look(stage.self.sources);
    want_same("store", "data/config", 1, 4);
    cr_expect(wl_config_sources_look(other));
    cr_expect_eq(seq_of(other), 4);
    wl_config_sources_destroy(&other);
}

Test(config_sources, a_record_that_is_cut_off_empty_or_missing_is_put_back) {
    three();
    cut_in_half(record_name("mirror", 3));
    cr_assert_eq(unlink(in_stage(record_name("data/config", 2))), 0);
    char *second = file_text(record_name("store", 2));
    for (int begun_anew = 0; begun_anew < 2; begun_anew++) {
        for (int i = 0; i < 2; i++) { /* the second one finds all well */
            clock_pass(2000);
            (void)wl_config_sources_look(stage.self.sources);
        }
        want_same("mirror", "store", 1, 3);
        want_same("data/config", "store", 1, 3);
        want_file(record_name("store", 2), second);
        for (size_t i = 0; i < 3; i++) {
            want_problem(stage.self.sources, i, "");
        }
        want_source(stage.self.sources, WL_CONFIG_FROM_STORE);
        stage_write(record_name("store", 2), "");
        cr_assert_eq(unlink(in_stage(record_name("store", 1))), 0);
        cut_in_half(record_name("mirror", 3));
        restart();
    }
    free(second);
}

Test(config_sources, nothing_is_begun_in_a_store_that_has_lost_its_beginning) {
    story_write("far", 3, "eve");
    cr_assert_eq(unlink(in_stage(record_name("far", 1))), 0);
    wl_config_sources_t *other = process("other", "far");
    cr_expect_not(wl_config_sources_look(other));
    wl_config_wish_t wish = {
        .action = WL_CONFIG_ACTION_IMPORT, .author = "ann", .reason = "because", .from = ""};
    wl_config_state_t after;
    char *text = NULL;
    size_t bytes = 0;
    wish.documents[WL_DOCUMENT_INTEGRATION] = stage_json(STAGE_LINES("3", ""));
    wish.documents[WL_DOCUMENT_PRESENTATION] = stage_json(STAGE_PAGE("7", "Cash"));
    cr_assert_eq(wl_config_change_make(wl_config_sources_state(other), "", &wish, (wl_wall_ms_t){1},
                                       &text, &bytes, &after, &stage.fault),
                 WL_OK);
    want_fault(wl_config_sources_append(other, text, bytes, &after, &stage.fault), WL_ERR_CONFLICT,
               "00000001.json is missing), and nobody has them: mend it");
    want_no_record("far", 1);
    wl_free(text);
    json_decref(wish.documents[0]);
    json_decref(wish.documents[1]);
    wl_config_sources_destroy(&other);
}

Test(config_sources, records_are_read_again_now_and_then) {
    three();
    for (uint64_t seq = 4; seq <= 40; seq++) {
        publish("More");
    }
    char *middle = file_text(record_name("store", 2));
    cut_in_half(record_name("mirror", 2)); /* its size is not looked at */
    cut_in_half(record_name("store", 39));
    for (int i = 0; i < 3; i++) {
        clock_pass(2000);
        cr_expect_not(wl_config_sources_look(stage.self.sources));
    }
    want_file(record_name("mirror", 2), middle);
    want_same("store", "data/config", 1, 40);
    free(middle);
}

Test(config_sources, a_damaged_copy_does_not_hide_a_sound_one) {
    wl_config_change_t change;
    char digest[WL_DIGEST_HEX + 1];
    three();
    cut_in_half(record_name("data/config", 2));
    cr_expect_eq(wl_config_sources_change(stage.self.sources, 2, &change, digest, &stage.fault),
                 WL_OK);
    cr_expect_eq(change.seq, 2);
    wl_config_change_release(&change);
    cut_in_half(record_name("mirror", 2));
    cut_in_half(record_name("store", 2));
    cr_expect_eq(wl_config_sources_change(stage.self.sources, 2, &change, digest, &stage.fault),
                 WL_ERR_DAMAGED);
    wl_config_change_release(&change);
}

Test(config_sources, what_is_json_but_no_change_is_not_adopted) {
    three();
    stage_write(record_name("store", 4), "{\"seq\": 4, \"documents\": {}}");
    cr_expect_not(wl_config_sources_look(stage.self.sources));
    cr_expect_eq(seq_of(stage.self.sources), 3);
    want_problem(stage.self.sources, 0, "is no record of a change");
    want_no_record("mirror", 4);
    for (int i = 0; i < 3; i++) { /* it is not well for a moment at each look */
        clock_pass(2000);
        (void)wl_config_sources_look(stage.self.sources);
        want_problem(stage.self.sources, 0, "is no record of a change");
        wl_config_place_look(&stage.self.sources->at[0]);
        want_problem(stage.self.sources, 0, "is no record of a change");
    }
    cr_expect_eq(try_change(stage.self.sources, "ann", NULL), WL_ERR_CONFLICT);
    cr_expect_not_null(strstr(stage.fault.message, "change 4 is no record of a change"), "%s",
                       stage.fault.message);
    cr_expect_eq(unlink(in_stage(record_name("store", 4))), 0);
    (void)wl_config_sources_look(stage.self.sources);
    want_problem(stage.self.sources, 0, "");
    cr_expect_eq(try_change(stage.self.sources, "ann", NULL), WL_OK, "%s", stage.fault.message);
}

Test(config_sources, many_records_are_carried_over_several_looks) {
    story_write("far", 150, "eve");
    wl_config_sources_t *other = process("other", "far");
    cr_expect(wl_config_sources_look(other));
    cr_expect_eq(seq_of(other), 150, "the newest says all there is to know");
    cr_expect(wl_config_sources_behind(other));
    want_no_record("other/config", 65);
    cr_expect_not(wl_config_sources_look(other));
    cr_expect(wl_config_sources_behind(other));
    cr_expect_not(wl_config_sources_look(other));
    cr_expect_not(wl_config_sources_behind(other));
    want_same("other/config", "far", 1, 150);
    want_same("mirror", "far", 1, 150);
    remove_all("mirror/changes"); /* half of it is there, and a hole in it */
    cr_assert_eq(mkdir(in_stage("mirror/changes"), 0700), 0);
    stage_write(record_name("mirror", 90), "");
    clock_pass(2000);
    for (int i = 0; i < 3; i++) {
        (void)wl_config_sources_look(other);
    }
    want_same("mirror", "far", 1, 150);
    wl_config_sources_destroy(&other);
}

Test(config_sources, a_record_that_does_not_follow_is_not_carried) {
    wl_config_log_t *log = NULL;
    story_write("far", 2, "eve");
    story_write("strange", 3, "mallory");
    char *third = file_text(record_name("strange", 3));
    cr_assert_eq(wl_config_log_dir(in_stage("far"), &log, &stage.fault), WL_OK);
    cr_assert_eq(wl_config_log_append(log, 3, third, strlen(third)), WL_OK);
    wl_config_log_destroy(&log);
    wl_config_sources_t *other = process("other", "far");
    (void)wl_config_sources_look(other);
    want_same("other/config", "far", 1, 2);
    want_no_record("other/config", 3);
    want_no_record("mirror", 3);
    want_problem(other, 2, "change 3 does not follow the one before it");
    wl_config_sources_destroy(&other);
    free(third);
}

/* ---- other stories --------------------------------------------------------------------------- */

Test(config_sources, a_mirror_of_another_story_is_left_alone_and_named) {
    story_write("mirror", 2, "eve");
    story_write("model", 2, "eve");
    three();
    want_problem(stage.self.sources, 1, "two histories were begun");
    want_same("mirror", "model", 1, 2);
    want_no_record("mirror", 3);
    clock_pass(2000);
    publish("Four"); /* the store is sound */
    want_same("mirror", "model", 1, 2);
    remove_all("mirror/changes"); /* as the problem says */
    clock_pass(2000);
    (void)wl_config_sources_look(stage.self.sources);
    want_problem(stage.self.sources, 1, "");
    want_same("mirror", "store", 1, 4);
}

Test(config_sources, a_store_of_another_story_is_left_alone_and_nothing_is_published) {
    three();
    remove_all("mirror");
    remove_all("store/changes");
    story_write("store", 2, "eve");
    story_write("model", 2, "eve");
    restart();
    (void)wl_config_sources_look(stage.self.sources);
    cr_expect_eq(seq_of(stage.self.sources), 3);
    want_source(stage.self.sources, WL_CONFIG_FROM_MIRROR);
    want_problem(stage.self.sources, 0, "change 2 is another one than the one known here");
    want_fault(try_change(stage.self.sources, "ann", NULL), WL_ERR_CONFLICT, "two histories");
    want_same("store", "model", 1, 2);
    want_no_record("store", 3);
}

Test(config_sources, a_longer_story_does_not_replace_the_one_that_is_known) {
    three();
    cr_assert_eq(rename(in_stage("store/changes"), in_stage("was")), 0);
    story_write("store", 5, "eve");
    cr_expect_not(wl_config_sources_look(stage.self.sources));
    cr_expect_eq(seq_of(stage.self.sources), 3);
    want_problem(stage.self.sources, 0, "two histories were begun");
    want_no_record("data/config", 4);
    want_fault(try_change(stage.self.sources, "ann", NULL), WL_ERR_CONFLICT, "two histories");
}

/* ---- a store that is away -------------------------------------------------------------------- */

/* Something that is no folder is where it was. */
static void take_away(const char *log, const char *to) {
    cr_assert_eq(rename(in_stage(log), in_stage(to)), 0);
    stage_write(log, "away");
}

static void give_back(const char *log, const char *from) {
    cr_assert_eq(unlink(in_stage(log)), 0);
    cr_assert_eq(rename(in_stage(from), in_stage(log)), 0);
}

Test(config_sources, without_store_and_mirror_the_snapshot_is_enough) {
    three();
    take_away("store", "store.away");
    take_away("mirror", "mirror.away");
    restart();
    cr_expect(wl_config_sources_look(stage.self.sources));
    cr_expect_eq(seq_of(stage.self.sources), 3);
    want_source(stage.self.sources, WL_CONFIG_FROM_SNAPSHOT);
    want_problem(stage.self.sources, 0, "store");
    cr_expect_neq(try_change(stage.self.sources, "ann", NULL), WL_OK);
    cr_expect_eq(seq_of(stage.self.sources), 3);
    want_no_record("data/config", 4);
    give_back("mirror", "mirror.away");
    clock_pass(2000);
    cr_expect(wl_config_sources_look(stage.self.sources));
    want_source(stage.self.sources, WL_CONFIG_FROM_MIRROR);
    give_back("store", "store.away");
    clock_pass(5000);
    cr_expect(wl_config_sources_look(stage.self.sources));
    want_source(stage.self.sources, WL_CONFIG_FROM_STORE);
    cr_expect_not(wl_config_sources_look(stage.self.sources));
    want_problem(stage.self.sources, 0, "");
    want_no_record("store", 4);
    cr_expect_eq(try_change(stage.self.sources, "ann", NULL), WL_OK, "%s", stage.fault.message);
}

Test(config_sources, a_store_that_is_away_is_asked_less_and_less_often) {
    three();
    take_away("store", "store.away");
    restart();
    (void)wl_config_sources_look(stage.self.sources);
    clock_pass(500);
    (void)wl_config_sources_look(stage.self.sources); /* from now on not before 1000 ms */
    give_back("store", "store.away");
    clock_pass(999);
    cr_expect_not(wl_config_sources_look(stage.self.sources));
    want_source(stage.self.sources, WL_CONFIG_FROM_MIRROR);
    clock_pass(1);
    cr_expect(wl_config_sources_look(stage.self.sources));
    want_source(stage.self.sources, WL_CONFIG_FROM_STORE);
    take_away("store", "store.away");
    for (int i = 0; i < 9; i++) {
        (void)wl_config_sources_look(stage.self.sources);
        clock_pass(5000);
    }
    (void)wl_config_sources_look(stage.self.sources);
    give_back("store", "store.away");
    publish("Four"); /* says that it is there */
    clock_pass(5000);
    (void)wl_config_sources_look(stage.self.sources);
    want_source(stage.self.sources, WL_CONFIG_FROM_STORE);
    want_problem(stage.self.sources, 0, "");
}

Test(config_sources, a_change_that_came_while_the_store_was_away_here_is_seen_later) {
    three();
    wl_config_sources_t *other = process("other", "store");
    (void)wl_config_sources_look(other);
    take_away("store", "store.away");
    cr_expect_not(wl_config_sources_look(other));
    give_back("store", "store.away");
    publish("Four");
    clock_pass(5000);
    cr_expect(wl_config_sources_look(other));
    cr_expect_eq(seq_of(other), 4);
    wl_config_sources_destroy(&other);
}

/* ---- publishing ------------------------------------------------------------------------------ */

Test(config_sources, of_two_that_publish_at_once_one_is_first) {
    three();
    wl_config_sources_t *other = process("other", "store");
    (void)wl_config_sources_look(other);
    publish("Four");
    want_fault(try_change(other, "bob", NULL), WL_ERR_CONFLICT,
               "somebody else has published change 4");
    cr_expect_eq(seq_of(other), 3);
    cr_expect(wl_config_sources_look(other));
    cr_expect_eq(seq_of(other), 4);
    cr_expect_eq(try_change(other, "bob", NULL), WL_OK);
    cr_expect(wl_config_sources_look(stage.self.sources));
    cr_expect_eq(seq_of(stage.self.sources), 5);
    wl_config_sources_destroy(&other);
}

Test(config_sources, a_record_that_arrived_though_nobody_said_so_counts) {
    char *text = NULL;
    three();
    wl_config_sources_t *other = process("other", "store");
    (void)wl_config_sources_look(other);
    cr_assert_eq(try_change(stage.self.sources, "ann", &text), WL_OK);
    cr_expect_eq(try_change(other, "ann", NULL), WL_OK, "the very same record is there");
    cr_expect_eq(seq_of(other), 4);
    want_file(record_name("store", 4), text);
    wl_free(text);
    wl_config_sources_destroy(&other);
}

Test(config_sources, a_store_that_misses_records_has_to_be_healed_first) {
    three();
    remove_all("store/changes");
    want_fault(try_change(stage.self.sources, "ann", NULL), WL_ERR_CONFLICT, "being healed");
    want_no_record("store", 4);
    cr_expect_eq(seq_of(stage.self.sources), 3);
}

Test(config_sources, documents_come_from_the_change_that_brought_them) {
    char *text = NULL;
    size_t bytes = 0;
    three();
    cr_expect_eq(wl_config_sources_document(stage.self.sources, WL_DOCUMENT_INTEGRATION, 1, &text,
                                            &bytes, &stage.fault),
                 WL_OK);
    cr_expect_eq(strlen(text), bytes);
    cr_expect_not_null(strstr(text, "\"cash\""));
    wl_free(text);
    cr_expect_eq(wl_config_sources_document(stage.self.sources, WL_DOCUMENT_INTEGRATION, 2, &text,
                                            &bytes, &stage.fault),
                 WL_ERR_NOT_FOUND);
    cr_expect_not_null(strstr(stage.fault.message, "change 2 brought no integration"));
}

/* ---- sets of users --------------------------------------------------------------------------- */

static const char *blob_name(const char *log, const char *digest) {
    static char name[120];
    (void)snprintf(name, sizeof name, "%s/blobs/%s", log, digest);
    return name;
}

/* A rollout for these "users". */
static void rollout_for(const char *users, char digest[WL_DIGEST_HEX + 1]) {
    wl_config_wish_t wish = {.action = WL_CONFIG_ACTION_ROLLOUT, .rollout = {.share = 10}};
    wl_config_digest(users, strlen(users), digest);
    cr_assert_eq(
        wl_config_sources_blob_put(stage.self.sources, digest, users, strlen(users), &stage.fault),
        WL_OK);
    memcpy(wish.rollout.whitelist, digest, sizeof wish.rollout.whitelist);
    wish.documents[WL_DOCUMENT_PRESENTATION] = stage_json(STAGE_PAGE("7", "New"));
    stage_change(wish);
}

Test(config_sources, a_rollouts_set_of_users_goes_where_its_change_goes) {
    char digest[WL_DIGEST_HEX + 1];
    three();
    rollout_for("seven and eight", digest);
    want_file(blob_name("mirror", digest), "seven and eight");
    wl_config_sources_t *other = process("other", "store");
    (void)wl_config_sources_look(other);
    want_file(blob_name("other/config", digest), "seven and eight");
    cr_expect_eq(wl_config_sources_blob(other, digest, &stage.fault), WL_OK);
    wl_config_sources_destroy(&other);
    remove_all("store/changes");
    remove_all("store/blobs");
    (void)wl_config_sources_look(stage.self.sources);
    want_file(blob_name("store", digest), "seven and eight");
}

Test(config_sources, a_damaged_set_is_fetched_again_and_an_unknown_one_refused) {
    char digest[WL_DIGEST_HEX + 1];
    three();
    rollout_for("seven and eight", digest);
    stage_write(blob_name("data/config", digest), "seven and nine!");
    cr_expect_eq(wl_config_sources_blob(stage.self.sources, digest, &stage.fault), WL_OK);
    want_file(blob_name("data/config", digest), "seven and eight");
    digest[0] = digest[0] == 'a' ? 'b' : 'a';
    want_fault(wl_config_sources_blob(stage.self.sources, digest, &stage.fault), WL_ERR_NOT_FOUND,
               "upload it first");
    want_fault(wl_config_sources_blob(stage.self.sources, "../../x", &stage.fault),
               WL_ERR_NOT_FOUND, "upload it first");
}

Test(config_sources, settings_that_cannot_be_read_are_refused) {
    wl_config_sources_t *sources = NULL;
    wl_settings_t settings = stage.settings;
    (void)snprintf(settings.config_store, sizeof settings.config_store, "redis");
    (void)snprintf(settings.config_redis, sizeof settings.config_redis, "no address");
    cr_expect_eq(wl_config_sources_new(&settings, &sources, &stage.fault), WL_ERR_SETTINGS);
    cr_expect_null(sources);
}
