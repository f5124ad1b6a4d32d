#include "store/password_file.h"

#include "private_folder.h"

TestSuite(password_file, .init = folder_make, .fini = folder_remove);

static wl_err_t read_back(const char *bytes, size_t count, mode_t mode, char *ret) {
    const char *path = in_folder("password");
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, count, file), count);
    cr_assert_eq(fchmod(fileno(file), mode), 0);
    cr_assert_eq(fclose(file), 0);
    return wl_password_file_read(path, ret, NULL);
}

Test(password_file, yields_the_text_without_its_line_end) {
    char got[WL_PASSWORD_MAX + 1];
    cr_assert_eq(read_back("s3cret \n", 8, 0600, got), WL_OK);
    cr_assert_str_eq(got, "s3cret ");
    cr_assert_eq(read_back("s3cret\r\n\n", 9, 0400, got), WL_OK);
    cr_assert_str_eq(got, "s3cret");
    char long_one[WL_PASSWORD_MAX + 1];
    memset(long_one, 'p', sizeof long_one);
    cr_assert_eq(read_back(long_one, WL_PASSWORD_MAX, 0600, got), WL_OK);
    cr_assert_eq(strlen(got), WL_PASSWORD_MAX);
    cr_assert_eq(wl_password_file_read("", got, NULL), WL_OK);
    cr_assert_str_eq(got, "");
}

Test(password_file, refuses_files_that_are_open_to_others_or_no_password) {
    char got[WL_PASSWORD_MAX + 1] = "kept";
    char long_one[WL_PASSWORD_MAX + 1];
    memset(long_one, 'p', sizeof long_one);
    cr_assert_eq(read_back("x", 1, 0640, got), WL_ERR_SETTINGS);
    cr_assert_eq(read_back("x", 1, 0604, got), WL_ERR_SETTINGS);
    cr_assert_eq(read_back("\n", 1, 0600, got), WL_ERR_SETTINGS);
    cr_assert_eq(read_back("a\0b", 3, 0600, got), WL_ERR_SETTINGS);
    cr_assert_eq(read_back(long_one, sizeof long_one, 0600, got), WL_ERR_SETTINGS);
    wl_fault_t fault;
    cr_assert_eq(wl_password_file_read(in_folder("none"), got, &fault), WL_ERR_SETTINGS);
    cr_assert_not_null(strstr(fault.where, "none"));
    cr_assert_eq(wl_password_file_read(test_folder, got, NULL), WL_ERR_SETTINGS);
    cr_assert_str_eq(got, "kept");
}
