/* The log in a directory: what people, editors and crashes may do to its files. */
#include "config_log_fixture.h"

#include <utime.h>

LOG_SUITE(config_log_dir);

static const char *change_file(uint64_t seq) {
    char name[40];
    (void)snprintf(name, sizeof name, "log/changes/%08llu.json", (unsigned long long)seq);
    return in_folder(name);
}

static wl_config_log_t *log_of(uint64_t records) {
    wl_config_log_t *log = log_open();
    for (uint64_t seq = 1; seq <= records; seq++) {
        log_want(log, append(log, seq, 1, 100), WL_OK);
    }
    return log;
}

/* Both by a handle that has seen it whole and by a fresh one. */
static void want_damage(wl_config_log_t *log, uint64_t seq, const char *what) {
    char file[32];
    uint64_t last = 0;
    (void)snprintf(file, sizeof file, "/%08llu.json", (unsigned long long)seq);
    wl_config_log_t *fresh = log_open();
    log_want(fresh, wl_config_log_last(fresh, &last), WL_ERR_DAMAGED);
    cr_assert(problem_names(fresh, file) && problem_names(fresh, what), "%s",
              wl_config_log_problem(fresh));
    wl_config_log_destroy(&fresh);
    log_want(log, wl_config_log_last(log, &last), WL_ERR_DAMAGED);
    cr_assert(problem_names(log, file) && problem_names(log, what), "%s",
              wl_config_log_problem(log));
}

Test(config_log_dir, names_a_gap) {
    wl_config_log_t *log = log_of(9);
    cr_assert_eq(last_of(log), 9);
    cr_assert_eq(unlink(change_file(4)), 0);
    want_damage(log, 4, "is missing");
    cr_assert_eq(unlink(change_file(1)), 0);
    want_damage(log, 1, "is missing");
    wl_config_log_destroy(&log);
}

Test(config_log_dir, names_an_empty_file_wherever_it_is) {
    wl_config_log_t *log = log_of(9);
    char *text = NULL;
    size_t bytes = 0;
    cr_assert_eq(truncate(change_file(9), 0), 0);
    want_damage(log, 9, "is empty");
    log_want(log, wl_config_log_read(log, 9, &text, &bytes), WL_ERR_DAMAGED);
    cr_assert_eq(unlink(change_file(9)), 0);
    cr_assert_eq(last_of(log), 8);
    cr_assert_eq(truncate(change_file(5), 0), 0);
    wl_config_log_t *fresh = log_open();
    uint64_t last = 0;
    log_want(fresh, wl_config_log_last(fresh, &last), WL_ERR_DAMAGED);
    cr_assert(problem_names(fresh, "00000005.json"));
    wl_config_log_destroy(&fresh);
    log_want(log, wl_config_log_read(log, 5, &text, &bytes), WL_ERR_DAMAGED);
    wl_config_log_destroy(&log);
}

Test(config_log_dir, never_takes_a_file_cut_anywhere_for_a_change) {
    wl_config_log_t *log = log_of(3);
    off_t whole = file_bytes(change_file(3));
    for (off_t keep = whole - 1; keep >= 0; keep -= keep > 20 ? 7 : 1) {
        char *text = NULL;
        size_t bytes = 0;
        cr_assert_eq(truncate(change_file(3), keep), 0);
        want_damage(log, 3, keep == 0 ? "is empty" : "is cut off");
        log_want(log, wl_config_log_read(log, 3, &text, &bytes), WL_ERR_DAMAGED);
        cr_assert(problem_names(log, "00000003.json"));
    }
    wl_config_log_destroy(&log);
}

Test(config_log_dir, names_a_file_that_holds_another_change) {
    wl_config_log_t *log = log_of(3);
    cr_assert_eq(unlink(change_file(3)), 0);
    cr_assert_eq(link(change_file(2), change_file(3)), 0);
    want_damage(log, 3, "\"seq\"");
    cr_assert_eq(unlink(change_file(3)), 0);
    cr_assert_eq(mkdir(change_file(3), 0700), 0);
    want_damage(log, 3, "is not a file");
    cr_assert_eq(rmdir(change_file(3)), 0);
    file_overwrite(change_file(3), 0, WL_CONFIG_RECORD_BYTES_MAX + 1, ' ');
    want_damage(log, 3, "is too long");
    wl_config_log_destroy(&log);
}

Test(config_log_dir, does_not_look_at_files_of_other_names) {
    static const char *const others[] = {"log/changes/00000004.json~",
                                         "log/changes/4.json",
                                         "log/changes/00000004.jso",
                                         "log/changes/000000004.json",
                                         "log/changes/00000000.json",
                                         "log/changes/.00000004.json",
                                         "log/notes/.hidden",
                                         "log/notes/a b",
                                         "log/notes/++"};
    wl_config_log_t *log = log_of(3);
    log_want(log, wl_config_log_note_put(log, "n", "x", 1, 0), WL_OK);
    for (size_t i = 0; i < WL_COUNT_OF(others); i++) {
        file_overwrite(in_folder(others[i]), 0, 4, 'x');
    }
    cr_assert_eq(last_of(log), 3);
    log_want(log, append(log, 4, 1, 10), WL_OK);
    cr_assert_eq(last_of(log), 4);
    wl_config_log_destroy(&log);
}

static bool on_none(const char *name, const char *text, size_t bytes, void *arg) {
    (void)text;
    (void)bytes;
    (void)arg;
    cr_assert_fail("%s", name);
    return false;
}

Test(config_log_dir, passes_over_notes_that_cannot_be_read) {
    wl_config_log_t *log = log_open();
    char *text = NULL;
    size_t bytes = 0;
    log_want(log, wl_config_log_note_put(log, "big", "x", 1, 0), WL_OK);
    file_overwrite(in_folder("log/notes/big"), 0, WL_CONFIG_NOTE_BYTES_MAX + 1, 'x');
    log_want(log, wl_config_log_note_get(log, "big", &text, &bytes), WL_ERR_DAMAGED);
    cr_assert(problem_names(log, "notes/big"));
    cr_assert_eq(mkdir(in_folder("log/notes/folder"), 0700), 0);
    log_want(log, wl_config_log_notes(log, "", on_none, NULL), WL_OK);
    wl_config_log_destroy(&log);
}

Test(config_log_dir, tells_a_damaged_blob_and_writes_it_again) {
    char digest[WL_CONFIG_DIGEST_HEX + 1];
    char path[200];
    wl_config_log_digest("whitelist", 9, digest);
    (void)snprintf(path, sizeof path, "%s/log/blobs/%s", test_folder, digest);
    wl_config_log_t *log = log_open();
    log_want(log, wl_config_log_blob_put(log, digest, "whitelist", 9), WL_OK);
    for (int way = 0; way < 2; way++) {
        void *back = NULL;
        size_t count = 0;
        if (way == 0) {
            file_overwrite(path, 3, 1, 'x');
        } else {
            cr_assert_eq(truncate(path, 4), 0);
        }
        log_want(log, wl_config_log_blob_get(log, digest, &back, &count), WL_ERR_DAMAGED);
        cr_assert(problem_names(log, digest));
        wl_config_log_t *other = log_open();
        log_want(other, wl_config_log_blob_put(other, digest, "whitelist", 9), WL_OK);
        log_want(log, wl_config_log_blob_get(log, digest, &back, &count), WL_OK);
        cr_assert(count == 9 && memcmp(back, "whitelist", 9) == 0);
        wl_free(back);
        wl_config_log_destroy(&other);
    }
    wl_config_log_destroy(&log);
}

Test(config_log_dir, takes_away_what_killed_writers_left_when_it_is_old) {
    wl_config_log_t *log = log_of(1);
    file_overwrite(in_folder("log/.new/0123456789abcdef"), 0, 50, '{');
    file_overwrite(in_folder("log/.new/fedcba9876543210"), 0, 50, '{');
    struct utimbuf old = {.actime = 1000000, .modtime = 1000000};
    cr_assert_eq(utime(in_folder("log/.new/0123456789abcdef"), &old), 0);
    cr_assert_eq(last_of(log), 1);
    log_want(log, append(log, 2, 1, 10), WL_OK);
    cr_assert_eq(file_bytes(in_folder("log/.new/0123456789abcdef")), -1);
    cr_assert_eq(file_bytes(in_folder("log/.new/fedcba9876543210")), 50);
    wl_config_log_destroy(&log);
}

Test(config_log_dir, is_away_while_its_folder_is_and_comes_back) {
    wl_config_log_t *log = NULL;
    uint64_t last = 0;
    cr_assert_eq(wl_config_log_dir(in_folder("no/log"), &log, NULL), WL_OK);
    log_want(log, wl_config_log_last(log, &last), WL_ERR_UNAVAILABLE);
    cr_assert(problem_names(log, "no/log"));
    log_want(log, append(log, 1, 1, 10), WL_ERR_IO);
    cr_assert_eq(mkdir(in_folder("no"), 0700), 0);
    log_want(log, append(log, 1, 1, 10), WL_OK);
    cr_assert_eq(last_of(log), 1);
    cr_assert_eq(wl_config_log_fd(log), -1);
    wl_config_log_nudge(log, "1 x");
    cr_assert_not(wl_config_log_nudged(log));
    cr_assert_eq(strncmp(wl_config_log_name(log), "directory /", 11), 0);
    wl_config_log_destroy(&log);
    char long_path[600];
    memset(long_path, 'l', sizeof long_path);
    long_path[sizeof long_path - 1] = '\0';
    cr_assert_eq(wl_config_log_dir(long_path, &log, NULL), WL_ERR_SETTINGS);
    cr_assert_eq(wl_config_log_dir("", &log, NULL), WL_ERR_SETTINGS);
}

Test(config_log_dir, says_when_the_disk_is_full_and_loses_nothing) {
    if (!folder_shrink(256)) {
        cr_skip_test("may not mount");
    }
    wl_config_log_t *log = log_open();
    uint64_t seq = 0;
    wl_err_t err = WL_OK;
    while (err == WL_OK && seq < 100) {
        err = append(log, ++seq, 1, RECORD_PAD_MAX);
    }
    log_want(log, err, WL_ERR_NO_SPACE);
    cr_assert_eq(last_of(log), seq - 1);
    log_want(log, append(log, seq, 1, 10), WL_OK);
    cr_assert_eq(last_of(log), seq);
    wl_config_log_destroy(&log);
}
