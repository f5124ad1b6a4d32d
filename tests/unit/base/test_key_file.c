#include "base/key_file.h"

#include <criterion/criterion.h>
#include <czmq.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];

static const char *path_of(const char *name) {
    static char path[160];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void set_up(void) {
    cr_assert_neq(sodium_init(), -1);
    (void)snprintf(folder, sizeof folder, "/tmp/wl-keys-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void tear_down(void) {
    static const char *const names[] = {"app.key", "app.key_secret", "x.key", "x.key_secret"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)unlink(path_of(names[i]));
    }
    (void)rmdir(folder);
}

static void text_write(const char *name, const char *text, mode_t mode) {
    FILE *file = fopen(path_of(name), "w");
    cr_assert_not_null(file);
    (void)fputs(text, file);
    (void)fclose(file);
    (void)chmod(path_of(name), mode);
}

static wl_key_file_t app_key(void) {
    wl_key_file_t key;
    wl_key_file_new(&key);
    (void)snprintf(key.name, sizeof key.name, "app");
    (void)snprintf(key.scope, sizeof key.scope, "read notify:cash");
    (void)snprintf(key.created, sizeof key.created, "2026-01-31T12:00:00Z");
    return key;
}

TestSuite(key_file, .init = set_up, .fini = tear_down);

Test(key_file, both_halves_read_as_written) {
    wl_key_file_t key = app_key();
    wl_key_file_t back;
    cr_assert_eq(wl_key_file_write(folder, &key, NULL), WL_OK);
    cr_assert_eq(wl_key_file_read(path_of("app.key_secret"), WL_KEY_SECRET, &back, NULL), WL_OK);
    cr_expect_arr_eq(&back, &key, sizeof key);
    cr_assert_eq(wl_key_file_read(path_of("app.key"), WL_KEY_PUBLIC, &back, NULL), WL_OK);
    cr_expect_arr_eq(back.public_key, key.public_key, WL_KEY_BYTES);
    cr_expect_str_eq(back.name, "app");
    cr_expect_str_eq(back.scope, "read notify:cash");
    static const uint8_t none[WL_KEY_BYTES] = {0};
    cr_expect_arr_eq(back.secret_key, none, WL_KEY_BYTES);
}

Test(key_file, only_the_owner_reads_a_secret) {
    wl_key_file_t key = app_key();
    struct stat stat_of;
    (void)umask(0);
    cr_assert_eq(wl_key_file_write(folder, &key, NULL), WL_OK);
    cr_assert_eq(stat(path_of("app.key_secret"), &stat_of), 0);
    cr_expect_eq(stat_of.st_mode & 0777, 0600);
    cr_assert_eq(stat(path_of("app.key"), &stat_of), 0);
    cr_expect_eq(stat_of.st_mode & 0777, 0644);
    static const mode_t loose[] = {0640, 0604, 0660, 0602, 0610, 0601};
    for (size_t i = 0; i < sizeof loose / sizeof *loose; i++) {
        (void)chmod(path_of("app.key_secret"), loose[i]);
        cr_expect_eq(wl_key_file_read(path_of("app.key_secret"), WL_KEY_SECRET, &key, NULL),
                     WL_ERR_FORBIDDEN, "%o", loose[i]);
    }
    (void)chmod(path_of("app.key"), 0666);
    cr_expect_eq(wl_key_file_read(path_of("app.key"), WL_KEY_PUBLIC, &key, NULL), WL_ERR_FORBIDDEN);
}

Test(key_file, nothing_is_overwritten_and_nothing_left_behind) {
    wl_key_file_t key = app_key();
    wl_key_file_t other = app_key();
    wl_key_file_t back;
    cr_assert_eq(wl_key_file_write(folder, &key, NULL), WL_OK);
    cr_expect_eq(wl_key_file_write(folder, &other, NULL), WL_ERR_CONFLICT);
    cr_assert_eq(wl_key_file_read(path_of("app.key_secret"), WL_KEY_SECRET, &back, NULL), WL_OK);
    cr_expect_arr_eq(back.secret_key, key.secret_key, WL_KEY_BYTES);
    (void)unlink(path_of("app.key_secret")); /* the public half alone is in the way */
    cr_expect_eq(wl_key_file_write(folder, &other, NULL), WL_ERR_CONFLICT);
    cr_expect_neq(access(path_of("app.key_secret"), F_OK), 0);
    cr_expect_eq(wl_key_file_write("/nowhere/at/all", &other, NULL), WL_ERR_IO);
}

Test(key_file, czmq_reads_what_we_write_and_we_what_czmq_writes) {
    wl_key_file_t key = app_key();
    wl_key_file_t back;
    cr_assert_eq(wl_key_file_write(folder, &key, NULL), WL_OK);
    zcert_t *cert = zcert_load(path_of("app.key"));
    cr_assert_not_null(cert);
    cr_expect_arr_eq(zcert_public_key(cert), key.public_key, WL_KEY_BYTES);
    cr_expect_arr_eq(zcert_secret_key(cert), key.secret_key, WL_KEY_BYTES);
    cr_expect_str_eq(zcert_meta(cert, "name"), "app");
    cr_expect_str_eq(zcert_meta(cert, "scope"), "read notify:cash");
    zcert_set_meta(cert, "email", "%s", "somebody@example.com");
    cr_assert_eq(zcert_save(cert, path_of("x.key")), 0);
    (void)chmod(path_of("x.key_secret"), 0600);
    (void)chmod(path_of("x.key"), 0644);
    cr_expect_eq(wl_key_file_read(path_of("x.key"), WL_KEY_PUBLIC, &back, NULL), WL_OK);
    cr_expect_str_eq(back.scope, "read notify:cash");
    cr_expect_eq(wl_key_file_read(path_of("x.key_secret"), WL_KEY_SECRET, &back, NULL), WL_OK);
    cr_expect_arr_eq(back.secret_key, key.secret_key, WL_KEY_BYTES);
    zcert_destroy(&cert);
}

Test(key_file, a_fault_names_its_line) {
    static const char key[] = "rq:rM>}U?@Lns47E1%kR.o@n%FcmmsL/@{H8]yf7";
    static const struct {
        const char *text;
        unsigned line;
    } rows[] = {
        {"metadata\n    name = \"app\"\ncurve\n    public-key = \"short\"\n", 4},
        {"metadata\n    name = \"App\"\n", 2},
        {"metadata\n    name = \"a\"\n    name = \"b\"\n", 3},
        {"# comment\n\nmetadate\n", 3},
        {"    name = \"app\"\n", 1},
        {"metadata\n    name\n", 2},
        {"metadata\n    name = \"app\n", 2},
        {"metadata\n    scope = \"\"\n", 2},
        {"curve\n    key = \"x\"\n", 2},
        {"metadata\n    name = \"app\"\n", 0},
        {"", 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wl_key_file_t back = {.name = "untouched"};
        wl_fault_t fault = {.line = 99};
        text_write("x.key", rows[i].text, 0644);
        cr_expect_eq(wl_key_file_read(path_of("x.key"), WL_KEY_PUBLIC, &back, &fault),
                     WL_ERR_SETTINGS, "row %zu", i);
        cr_expect_eq(fault.line, rows[i].line, "row %zu: line %u", i, fault.line);
        cr_expect_str_eq(back.name, "untouched");
    }
    char text[400];
    (void)snprintf(text, sizeof text, "curve\n    public-key = \"%s\"\n    public-key = \"%s\"\n",
                   key, key);
    wl_key_file_t back;
    wl_fault_t fault = {.line = 99};
    text_write("x.key", text, 0644);
    cr_expect_eq(wl_key_file_read(path_of("x.key"), WL_KEY_PUBLIC, &back, &fault), WL_ERR_SETTINGS);
    cr_expect_eq(fault.line, 3);
    (void)snprintf(text, sizeof text, "curve\n    public-key = %s\n", key); /* without quotes */
    text_write("x.key", text, 0644);
    cr_expect_eq(wl_key_file_read(path_of("x.key"), WL_KEY_PUBLIC, &back, NULL), WL_OK);
}

Test(key_file, secrets_stay_out_of_public_files_and_halves_must_match) {
    wl_key_file_t key = app_key();
    wl_key_file_t other = app_key();
    cr_assert_eq(wl_key_file_write(folder, &key, NULL), WL_OK);
    cr_expect_eq(wl_key_file_read(path_of("app.key_secret"), WL_KEY_PUBLIC, &other, NULL),
                 WL_ERR_SETTINGS);
    (void)chmod(path_of("app.key"), 0600);
    cr_expect_eq(wl_key_file_read(path_of("app.key"), WL_KEY_SECRET, &other, NULL),
                 WL_ERR_SETTINGS);
    wl_key_file_t mixed = key;
    (void)snprintf(mixed.name, sizeof mixed.name, "x");
    wl_key_file_new(&other);
    memcpy(mixed.secret_key, other.secret_key, WL_KEY_BYTES);
    cr_assert_eq(wl_key_file_write(folder, &mixed, NULL), WL_OK);
    cr_expect_eq(wl_key_file_read(path_of("x.key_secret"), WL_KEY_SECRET, &other, NULL),
                 WL_ERR_SETTINGS);
}

Test(key_file, folders_pipes_and_large_files_are_no_keys) {
    wl_key_file_t key;
    cr_expect_eq(wl_key_file_read(folder, WL_KEY_PUBLIC, &key, NULL), WL_ERR_SETTINGS);
    cr_expect_eq(wl_key_file_read(path_of("none"), WL_KEY_PUBLIC, &key, NULL), WL_ERR_NOT_FOUND);
    cr_assert_eq(mkfifo(path_of("x.key"), 0600), 0);
    cr_expect_eq(wl_key_file_read(path_of("x.key"), WL_KEY_PUBLIC, &key, NULL), WL_ERR_SETTINGS);
    (void)unlink(path_of("x.key"));
    FILE *file = fopen(path_of("x.key"), "w");
    for (int i = 0; i < 20000; i++) {
        (void)fputc('#', file);
    }
    (void)fclose(file);
    cr_expect_eq(wl_key_file_read(path_of("x.key"), WL_KEY_PUBLIC, &key, NULL), WL_ERR_SETTINGS);
}

Test(key_file, names_are_plain) {
    static const char *const good[] = {"a", "app-1", "app_1.eu", "0"};
    static const char *const bad[] = {
        "",    ".app", "App",      "a b",
        "a/b", "a\"b", "\xc3\xa4", "123456789012345678901234567890123456789012345678x"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        cr_expect(wl_key_name_valid(good[i]), "%s", good[i]);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_expect_not(wl_key_name_valid(bad[i]), "%s", bad[i]);
    }
}
