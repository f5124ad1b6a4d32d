/* What every backend of the configuration's log promises. */
#include "store/config_log.h"

#include "config_log_fixture.h"

LOG_SUITES;

LOG_TEST(keeps_records_in_order_and_gives_them_back) {
    wl_config_log_t *log = log_open();
    char *text = NULL;
    size_t bytes = 0;
    cr_assert_eq(last_of(log), 0);
    log_want(log, wl_config_log_read(log, 1, &text, &bytes), WL_ERR_NOT_FOUND);
    log_want(log, append(log, 2, 1, 10), WL_ERR_CONFLICT);
    log_want(log, append(log, 1, 1, 10), WL_OK);
    log_want(log, append(log, 1, 2, 10), WL_ERR_CONFLICT);
    log_want(log, append(log, 3, 1, 10), WL_ERR_CONFLICT);
    for (uint64_t seq = 2; seq <= 12; seq++) {
        log_want(log, append(log, seq, 1, 10 * seq), WL_OK);
        cr_assert_eq(last_of(log), seq);
    }
    wl_config_log_t *other = log_open();
    cr_assert_eq(last_of(other), 12);
    want_record(other, 1, 1, 10);
    want_record(other, 12, 1, 120);
    log_want(other, append(other, 13, 3, RECORD_PAD_MAX), WL_OK);
    cr_assert_eq(last_of(log), 13);
    want_record(log, 13, 3, RECORD_PAD_MAX);
    log_want(log, wl_config_log_read(log, 14, &text, &bytes), WL_ERR_NOT_FOUND);
    cr_assert(problem_names(log, "14"));
    wl_config_log_destroy(&other);
    wl_config_log_destroy(&log);
    wl_config_log_destroy(&log);
}

LOG_TEST(takes_nothing_that_is_no_record_of_its_number) {
    static const char *const bad[] = {"",
                                      "{}",
                                      "[1]",
                                      "{\"seq\": 2}",
                                      "{\"seq\": \"1\"}",
                                      "{\"seq\": 1",
                                      "{\"seq\": 1} x",
                                      "{\"seq\": 1.0}"};
    wl_config_log_t *log = log_open();
    for (size_t i = 0; i < WL_COUNT_OF(bad); i++) {
        log_want(log, wl_config_log_append(log, 1, bad[i], strlen(bad[i])), WL_ERR_BAD_REQUEST);
        cr_assert_str_neq(wl_config_log_problem(log), "");
    }
    log_want(log, wl_config_log_append(log, 0, "{\"seq\": 0}", 10), WL_ERR_BAD_REQUEST);
    log_want(log, wl_config_log_append(log, 100000000, "{\"seq\": 100000000}", 18),
             WL_ERR_BAD_REQUEST);
    cr_assert_eq(last_of(log), 0);
    char *big = wl_alloc(WL_CONFIG_RECORD_BYTES_MAX + 1);
    memset(big, ' ', WL_CONFIG_RECORD_BYTES_MAX + 1);
    memcpy(big, "{\"seq\": 1}", 10);
    log_want(log, wl_config_log_append(log, 1, big, WL_CONFIG_RECORD_BYTES_MAX + 1),
             WL_ERR_BAD_REQUEST);
    log_want(log, wl_config_log_append(log, 1, big, WL_CONFIG_RECORD_BYTES_MAX), WL_OK);
    char *text = NULL;
    size_t bytes = 0;
    log_want(log, wl_config_log_read(log, 1, &text, &bytes), WL_OK);
    cr_assert(bytes == WL_CONFIG_RECORD_BYTES_MAX && memcmp(text, big, bytes) == 0);
    wl_free(text);
    wl_free(big);
    wl_config_log_destroy(&log);
}

/* ---- races and deaths ------------------------------------------------------------------------ */

enum { RACERS = 8, RACE_RECORDS = 200, RACE_PAD = 3000 };

typedef struct {
    _Atomic uint32_t owners[RACE_RECORDS + 1]; /* how many were told that theirs is the record */
    _Atomic uint32_t owner[RACE_RECORDS + 1];  /* the last of them */
    _Atomic uint32_t next;                     /* number of the next racer */
} race_t;

static int race_run(void *arg) {
    race_t *race = arg;
    int me = (int)atomic_fetch_add(&race->next, 1);
    wl_config_log_t *log = NULL;
    if (log_try(&log, NULL) != WL_OK) {
        return 2;
    }
    for (uint64_t seq = 1; seq <= RACE_RECORDS;) {
        wl_err_t err = append(log, seq, me, RACE_PAD);
        if (err == WL_OK) {
            (void)atomic_fetch_add(&race->owners[seq], 1);
            atomic_store(&race->owner[seq], (uint32_t)me);
            seq++;
            continue;
        }
        char *text = NULL;
        size_t bytes = 0;
        if (err != WL_ERR_CONFLICT || wl_config_log_read(log, seq, &text, &bytes) != WL_OK) {
            (void)fprintf(stderr, "%s: %s\n", wl_err_name(err), wl_config_log_problem(log));
            return 3;
        }
        wl_free(text);
        uint64_t last = 0;
        if (wl_config_log_last(log, &last) != WL_OK || last < seq) {
            (void)fprintf(stderr, "last %d: %s\n", (int)last, wl_config_log_problem(log));
            return 4;
        }
        seq++;
    }
    return 0;
}

LOG_TEST(gives_each_number_to_exactly_one_of_eight_processes) {
    race_t *race = shared_make(sizeof *race);
    pid_t racers[RACERS];
    for (int i = 0; i < RACERS; i++) {
        racers[i] = process_start(race_run, race);
    }
    for (int i = 0; i < RACERS; i++) {
        cr_assert_eq(process_wait(racers[i]), 0);
    }
    wl_config_log_t *log = log_open();
    cr_assert_eq(last_of(log), RACE_RECORDS);
    for (uint64_t seq = 1; seq <= RACE_RECORDS; seq++) {
        cr_assert_eq(atomic_load(&race->owners[seq]), 1, "%u owners of %u",
                     atomic_load(&race->owners[seq]), (unsigned)seq);
        want_record(log, seq, (int)atomic_load(&race->owner[seq]), RACE_PAD);
    }
    wl_config_log_destroy(&log);
}

typedef struct {
    _Atomic uint64_t told; /* newest record that a writer was told is there */
} told_t;

static int write_on(void *arg) {
    told_t *told = arg;
    wl_config_log_t *log = NULL;
    uint64_t last = 0;
    if (log_try(&log, NULL) != WL_OK || wl_config_log_last(log, &last) != WL_OK) {
        return 2;
    }
    for (;;) {
        if (append(log, ++last, 7, RECORD_PAD_MAX) != WL_OK) {
            return 3;
        }
        atomic_store(&told->told, last);
    }
}

LOG_TEST(has_every_acknowledged_record_whole_after_writers_were_killed) {
    told_t *told = shared_make(sizeof *told);
    wl_config_log_t *log = log_open();
    uint64_t random = 20260131;
    uint64_t before = 0;
    for (int round = 0; round < 40; round++) {
        pid_t writer = process_start(write_on, told);
        uint64_t start = atomic_load(&told->told);
        while (atomic_load(&told->told) == start) { /* it is at work */
            cr_assert_eq(waitpid(writer, NULL, WNOHANG), 0, "the writer ended by itself");
            wait_ms(1);
        }
        (void)poll(NULL, 0, (int)random_below(&random, 12));
        cr_assert_eq(kill(writer, SIGKILL), 0);
        cr_assert_eq(process_wait(writer), -1);
        uint64_t last = last_of(log);
        cr_assert_geq(last, atomic_load(&told->told));
        cr_assert_leq(last, atomic_load(&told->told) + 1);
        for (uint64_t seq = before + 1; seq <= last; seq++) {
            want_record(log, seq, 7, RECORD_PAD_MAX);
        }
        before = last;
        atomic_store(&told->told, last);
    }
    wl_config_log_destroy(&log);
}

/* ---- blobs ----------------------------------------------------------------------------------- */

static char *blob_make(size_t count, uint64_t seed, char digest[WL_CONFIG_DIGEST_HEX + 1]) {
    char *bytes = wl_alloc(count + 8);
    for (size_t i = 0; i < count; i += 8) {
        uint64_t number = random_next(&seed);
        memcpy(bytes + i, &number, 8);
    }
    wl_config_log_digest(bytes, count, digest);
    return bytes;
}

LOG_TEST(keeps_blobs_under_their_digests) {
    static const size_t sizes[] = {0, 1, 4095, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 8 << 20};
    wl_config_log_t *log = log_open();
    wl_config_log_t *other = log_open();
    for (size_t i = 0; i < WL_COUNT_OF(sizes); i++) {
        char digest[WL_CONFIG_DIGEST_HEX + 1];
        char *bytes = blob_make(sizes[i], 77 + i, digest);
        void *back = NULL;
        size_t count = 99;
        log_want(other, wl_config_log_blob_get(other, digest, &back, &count), WL_ERR_NOT_FOUND);
        log_want(log, wl_config_log_blob_put(log, digest, bytes, sizes[i]), WL_OK);
        log_want(log, wl_config_log_blob_put(log, digest, bytes, sizes[i]), WL_OK);
        log_want(other, wl_config_log_blob_get(other, digest, &back, &count), WL_OK);
        cr_assert(count == sizes[i] && memcmp(back, bytes, count) == 0);
        wl_free(back);
        wl_free(bytes);
    }
    wl_config_log_destroy(&other);
    wl_config_log_destroy(&log);
}

LOG_TEST(refuses_digests_that_are_none_or_of_other_bytes) {
    static const char *const bad[] = {
        "", "../../../../../../../../../../../../../../../../../etc/passwd",
        "ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789ABCDEF0123456789",
        "abcdef0123456789abcdef0123456789abcdef0123456789abcdef012345678",
        "abcdef0123456789abcdef0123456789abcdef0123456789abcdef01234567890"};
    wl_config_log_t *log = log_open();
    void *back = NULL;
    size_t count = 0;
    for (size_t i = 0; i < WL_COUNT_OF(bad); i++) {
        log_want(log, wl_config_log_blob_put(log, bad[i], "x", 1), WL_ERR_BAD_REQUEST);
        log_want(log, wl_config_log_blob_get(log, bad[i], &back, &count), WL_ERR_BAD_REQUEST);
    }
    char digest[WL_CONFIG_DIGEST_HEX + 1];
    wl_config_log_digest("y", 1, digest);
    log_want(log, wl_config_log_blob_put(log, digest, "x", 1), WL_ERR_DAMAGED);
    log_want(log, wl_config_log_blob_get(log, digest, &back, &count), WL_ERR_NOT_FOUND);
    wl_config_log_destroy(&log);
}

/* ---- notes ----------------------------------------------------------------------------------- */

typedef struct {
    char names[600]; /* with a blank behind each */
    char texts[600];
    uint32_t stop_after; /* 0 = never */
    uint32_t count;
} heard_t;

static bool on_note(const char *name, const char *text, size_t bytes, void *arg) {
    heard_t *heard = arg;
    cr_assert_eq(strlen(text), bytes);
    size_t at = strlen(heard->names);
    (void)snprintf(heard->names + at, sizeof heard->names - at, "%s ", name);
    at = strlen(heard->texts);
    (void)snprintf(heard->texts + at, sizeof heard->texts - at, "%s ", text);
    return ++heard->count != heard->stop_after;
}

static const char *notes(wl_config_log_t *log, const char *prefix, heard_t *heard) {
    memset(heard->names, 0, sizeof heard->names);
    memset(heard->texts, 0, sizeof heard->texts);
    heard->count = 0;
    log_want(log, wl_config_log_notes(log, prefix, on_note, heard), WL_OK);
    return heard->names;
}

static void note(wl_config_log_t *log, const char *name, const char *text, uint32_t ttl_s) {
    log_want(log, wl_config_log_note_put(log, name, text, text == NULL ? 0 : strlen(text), ttl_s),
             WL_OK);
}

LOG_TEST(keeps_notes_that_change) {
    wl_config_log_t *log = log_open();
    wl_config_log_t *other = log_open();
    heard_t heard = {.stop_after = 0};
    char *text = NULL;
    size_t bytes = 0;
    cr_assert_str_eq(notes(log, "", &heard), "");
    log_want(log, wl_config_log_note_get(log, "proposal", &text, &bytes), WL_ERR_NOT_FOUND);
    note(log, "proposal", NULL, 0);
    note(log, "proposal", "{}", 0);
    note(log, "nodes/web-2", "two", 3600);
    note(log, "nodes/web-1", "one", 3600);
    note(log, "nodes/web-10", "ten", 0);
    note(log, "nodesy", "", 0);
    note(log, "drafts/a/b.c_D", "d", 0);
    cr_assert_str_eq(notes(other, "nodes/", &heard), "nodes/web-1 nodes/web-10 nodes/web-2 ");
    cr_assert_str_eq(heard.texts, "one ten two ");
    cr_assert_str_eq(notes(other, "", &heard),
                     "drafts/a/b.c_D nodes/web-1 nodes/web-10 nodes/web-2 nodesy proposal ");
    cr_assert_str_eq(notes(other, "nodes/web-1", &heard), "nodes/web-1 nodes/web-10 ");
    cr_assert_str_eq(notes(other, "x", &heard), "");
    heard.stop_after = 2;
    cr_assert_str_eq(notes(other, "nodes", &heard), "nodes/web-1 nodes/web-10 ");
    heard.stop_after = 0;
    note(other, "nodes/web-1", "another", 3600);
    note(other, "nodes/web-2", NULL, 0);
    log_want(log, wl_config_log_note_get(log, "nodes/web-1", &text, &bytes), WL_OK);
    cr_assert(strcmp(text, "another") == 0 && bytes == 7);
    wl_free(text);
    log_want(log, wl_config_log_note_get(log, "nodesy", &text, &bytes), WL_OK);
    cr_assert(strcmp(text, "") == 0 && bytes == 0);
    wl_free(text);
    cr_assert_str_eq(notes(log, "nodes/", &heard), "nodes/web-1 nodes/web-10 ");
    wl_config_log_destroy(&other);
    wl_config_log_destroy(&log);
}

LOG_TEST(lists_more_notes_than_one_answer_holds) {
    enum { MANY = 40, EACH = 200000 };
    wl_config_log_t *log = log_open();
    char *text = wl_alloc(WL_CONFIG_NOTE_BYTES_MAX + 2);
    memset(text, 'n', WL_CONFIG_NOTE_BYTES_MAX + 2);
    log_want(log, wl_config_log_note_put(log, "n", text, WL_CONFIG_NOTE_BYTES_MAX + 1, 0),
             WL_ERR_TOO_BIG);
    log_want(log, wl_config_log_note_put(log, "n", text, WL_CONFIG_NOTE_BYTES_MAX, 0), WL_OK);
    for (int i = 0; i < MANY; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, "many/%02d", i);
        log_want(log, wl_config_log_note_put(log, name, text, EACH, 0), WL_OK);
    }
    heard_t heard = {.stop_after = 0};
    (void)notes(log, "many/", &heard);
    cr_assert_eq(heard.count, MANY);
    cr_assert_eq(strncmp(heard.names, "many/00 many/01 many/02 ", 24), 0);
    wl_free(text);
    wl_config_log_destroy(&log);
}

LOG_TEST(refuses_hostile_names_of_notes) {
    static const char *const bad[] = {"",
                                      "/",
                                      "/a",
                                      "a/",
                                      "a//b",
                                      ".",
                                      "..",
                                      "../a",
                                      "a/../b",
                                      "a/..",
                                      "a/.b",
                                      ".new",
                                      "a b",
                                      "a\nb",
                                      "a\\b",
                                      "a+b",
                                      "a:b",
                                      "{a}",
                                      "a%2fb",
                                      "\xc3\xa4",
                                      "a*",
                                      "a\"",
                                      "a'b",
                                      "a\x7f"
                                      "b",
                                      "$(id)",
                                      "../../etc/passwd"};
    wl_config_log_t *log = log_open();
    heard_t heard = {.stop_after = 0};
    char *text = NULL;
    size_t bytes = 0;
    char name[WL_CONFIG_NOTE_NAME_MAX + 2];
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    log_want(log, wl_config_log_note_put(log, name, "x", 1, 0), WL_ERR_BAD_REQUEST);
    for (size_t i = 0; i < WL_COUNT_OF(bad); i++) {
        log_want(log, wl_config_log_note_put(log, bad[i], "x", 1, 0), WL_ERR_BAD_REQUEST);
        log_want(log, wl_config_log_note_put(log, bad[i], NULL, 0, 0), WL_ERR_BAD_REQUEST);
        log_want(log, wl_config_log_note_get(log, bad[i], &text, &bytes), WL_ERR_BAD_REQUEST);
    }
    log_want(log, wl_config_log_notes(log, "a*", on_note, &heard), WL_ERR_BAD_REQUEST);
    for (size_t i = 1; i < sizeof name - 2; i += 2) {
        name[i] = '/'; /* n/n/n/ */
    }
    name[sizeof name - 2] = '\0';
    cr_assert_eq(strlen(name), WL_CONFIG_NOTE_NAME_MAX);
    name[sizeof name - 3] = 'n';
    note(log, name, "long", 0);
    (void)notes(log, "", &heard);
    cr_assert_eq(heard.count, 1);
    cr_assert_str_eq(heard.texts, "long ");
    wl_config_log_destroy(&log);
}

LOG_SERVER_TEST(forgets_a_note_at_its_end) {
    wl_config_log_t *log = log_open();
    heard_t heard = {.stop_after = 0};
    char *text = NULL;
    size_t bytes = 0;
    note(log, "nodes/a", "short", 1);
    note(log, "nodes/b", "renewed", 1);
    note(log, "nodes/b", "renewed", 3600);
    note(log, "nodes/c", "long", 3600);
    note(log, "nodes/d", "short", 1);
    note(log, "nodes/d", "for ever", 0);
    cr_assert_str_eq(notes(log, "nodes/", &heard), "nodes/a nodes/b nodes/c nodes/d ");
    int64_t until = wl_mono_now().ms + 30000;
    while (strncmp(notes(log, "nodes/", &heard), "nodes/a ", 8) == 0 && wl_mono_now().ms < until) {
        wait_ms(20);
    }
    cr_assert_str_eq(heard.names, "nodes/b nodes/c nodes/d ");
    cr_assert_str_eq(heard.texts, "renewed long for ever ");
    log_want(log, wl_config_log_note_get(log, "nodes/a", &text, &bytes), WL_ERR_NOT_FOUND);
    wl_config_log_destroy(&log);
}
