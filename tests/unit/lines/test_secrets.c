#include "lines/secrets.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[] = "/tmp/wl_secrets_XXXXXX";

static void write_key(const char *name, const char *bytes, size_t count) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, count, file), count);
    (void)fclose(file);
}

static void remove_key(const char *name) {
    char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    (void)unlink(path);
}

static void open_folder(void) {
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void) {
    static const char *const names[] = {"cash", "empty", "long", "most"};
    for (size_t i = 0; i < 4; i++) {
        remove_key(names[i]);
    }
    (void)rmdir(folder);
}

static const wl_mono_ms_t start = {1000};

static bool key_is(wl_secrets_t *secrets, const char *name, wl_mono_ms_t now,
                   const char *expected) {
    const void *key = NULL;
    size_t bytes = 0;
    return wl_secrets_key(secrets, name, now, &key, &bytes) == WL_OK && bytes == strlen(expected) &&
           memcmp(key, expected, bytes) == 0;
}

TestSuite(secrets, .init = open_folder, .fini = remove_folder);

Test(secrets, reads_keys_without_their_line_end) {
    wl_secrets_t *secrets = wl_secrets_new(folder);
    write_key("cash", "sesame\r\n", 8);
    cr_assert(key_is(secrets, "cash", start, "sesame"));
    wl_secrets_destroy(&secrets);
    wl_secrets_destroy(&secrets);
}

Test(secrets, a_replaced_file_is_a_rotated_key_and_a_lost_one_keeps_the_last) {
    wl_secrets_t *secrets = wl_secrets_new(folder);
    write_key("cash", "one", 3);
    cr_assert(key_is(secrets, "cash", start, "one"));
    write_key("cash", "two", 3);
    cr_assert(key_is(secrets, "cash", (wl_mono_ms_t){start.ms + 4999}, "one"));
    cr_assert(key_is(secrets, "cash", (wl_mono_ms_t){start.ms + 5000}, "two"));
    remove_key("cash");
    cr_assert(key_is(secrets, "cash", (wl_mono_ms_t){start.ms + 20000}, "two"));
    wl_secrets_destroy(&secrets);
}

Test(secrets, refuses_what_is_no_key) {
    char most[WL_SECRET_BYTES_MAX + 2];
    memset(most, 'k', sizeof most);
    write_key("empty", "\n", 1);
    write_key("long", most, WL_SECRET_BYTES_MAX + 1);
    write_key("most", most, WL_SECRET_BYTES_MAX);
    wl_secrets_t *secrets = wl_secrets_new(folder);
    const void *key = NULL;
    size_t bytes = 0;
    static const char *const bad[] = {"empty", "long", "missing", "../cash", "", "a/b"};
    for (size_t i = 0; i < 6; i++) {
        cr_assert_eq(wl_secrets_key(secrets, bad[i], start, &key, &bytes), WL_ERR_SETTINGS);
    }
    cr_assert_eq(wl_secrets_key(secrets, "most", start, &key, &bytes), WL_OK);
    wl_secrets_destroy(&secrets);
    secrets = wl_secrets_new(NULL);
    cr_assert_eq(wl_secrets_key(secrets, "most", start, &key, &bytes), WL_ERR_SETTINGS);
    wl_secrets_destroy(&secrets);
}
