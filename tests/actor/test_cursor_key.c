#include "actors/cursor_key.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static wl_settings_t settings;
static wl_fault_t fault;
static char path[512];

static void folder_open(void) {
    static char dir[] = "/tmp/wl-test-XXXXXX";
    cr_assert_not_null(mkdtemp(dir));
    wl_settings_defaults(&settings);
    (void)snprintf(settings.server_data_dir, sizeof settings.server_data_dir, "%s", dir);
    (void)snprintf(path, sizeof path, "%s/details.key", dir);
}

static void folder_close(void) {
    (void)unlink(path);
    cr_expect_eq(rmdir(settings.server_data_dir), 0, "nothing else is left there");
}

static void file_write(const char *text, mode_t mode) {
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    (void)fputs(text, file);
    cr_assert_eq(fclose(file), 0);
    cr_assert_eq(chmod(path, mode), 0);
}

Test(cursor_key, is_made_once_and_kept) {
    uint8_t first[WL_CURSOR_KEY_BYTES];
    uint8_t second[WL_CURSOR_KEY_BYTES];
    struct stat status;
    folder_open();
    cr_expect_eq(wl_cursor_key_read(&settings, first, &fault), WL_OK, "%s", fault.message);
    cr_expect_eq(stat(path, &status), 0);
    cr_expect_eq(status.st_mode & 0777, 0600u);
    cr_expect_eq(wl_cursor_key_read(&settings, second, &fault), WL_OK);
    cr_expect_eq(memcmp(first, second, sizeof first), 0);
    folder_close();
}

Test(cursor_key, of_a_setting_is_never_made) {
    uint8_t key[WL_CURSOR_KEY_BYTES];
    folder_open();
    (void)snprintf(settings.details_key_file, sizeof settings.details_key_file, "%s", path);
    cr_expect_eq(wl_cursor_key_read(&settings, key, &fault), WL_ERR_SETTINGS);
    file_write("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", 0600);
    cr_expect_eq(wl_cursor_key_read(&settings, key, &fault), WL_OK, "%s", fault.message);
    cr_expect(key[0] == 0 && key[31] == 31);
    folder_close();
}

Test(cursor_key, refuses_what_is_no_key) {
    static const char *const texts[] = {
        "", "abc\n", "g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n",
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f00\n"};
    uint8_t key[WL_CURSOR_KEY_BYTES];
    folder_open();
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        file_write(texts[i], 0600);
        cr_expect_eq(wl_cursor_key_read(&settings, key, &fault), WL_ERR_SETTINGS, "%zu", i);
    }
    file_write("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n", 0644);
    cr_expect_eq(wl_cursor_key_read(&settings, key, &fault), WL_ERR_SETTINGS, "open to others");
    folder_close();
}
