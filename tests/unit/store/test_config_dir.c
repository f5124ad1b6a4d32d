#include "store/config_dir.h"

#include "base/limits.h"
#include "private_folder.h"

TestSuite(config_dir, .init = folder_make, .fini = folder_remove);

static void text_write(const char *name, const char *text) {
    FILE *file = fopen(in_folder(name), "w");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(text, file), 0);
    cr_assert_eq(fclose(file), 0);
}

static uint32_t version_of(const char *name, uint32_t below) {
    wl_config_file_t file = {0};
    wl_err_t err = wl_config_dir_read(test_folder, name, below, &file, NULL);
    cr_assert(err == WL_OK || err == WL_ERR_NOT_FOUND);
    uint32_t version = file.version;
    cr_assert_eq(version != 0, err == WL_OK);
    wl_config_file_release(&file);
    cr_assert_null(file.text);
    return version;
}

Test(config_dir, takes_the_highest_number_and_not_the_last_in_the_alphabet) {
    text_write("integration-9.json", "{\"version\":9}");
    text_write("integration-10.json", "{\"version\":10}");
    text_write("integration-2.json", "");
    text_write("presentation-77.json", "{}");
    wl_config_file_t file = {0};
    cr_assert_eq(wl_config_dir_read(test_folder, "integration", 0, &file, NULL), WL_OK);
    cr_assert_eq(file.version, 10);
    cr_assert_str_eq(file.text, "{\"version\":10}");
    cr_assert_eq(file.bytes, 14);
    cr_assert_str_eq(file.path, in_folder("integration-10.json"));
    wl_config_file_release(&file);
    wl_config_file_release(&file);
    cr_assert_eq(version_of("presentation", 0), 77);
}

Test(config_dir, walks_back_version_by_version) {
    text_write("integration-3.json", "c");
    text_write("integration-1.json", "a");
    text_write("integration-8.json", "");
    cr_assert_eq(version_of("integration", 0), 8);
    cr_assert_eq(version_of("integration", 8), 3);
    cr_assert_eq(version_of("integration", 3), 1);
    cr_assert_eq(version_of("integration", 1), 0);
}

Test(config_dir, looks_at_no_other_names) {
    const char *const others[] = {
        "integration-0.json",          "integration-01.json",
        "integration-+5.json",         "integration-5.json~",
        "integration-2147483648.json", "integration-99999999999999999999.json",
        "integration-.json",           "integration-5.jsonx",
        "integration5.json",           "xintegration-5.json",
        "integration--5.json",         ".integration-5.json.swp",
        "integration-5 .json",         "integration-6.JSON"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        text_write(others[i], "{}");
    }
    cr_assert_eq(version_of("integration", 0), 0);
    text_write("integration-2147483647.json", "{}");
    cr_assert_eq(version_of("integration", 0), 2147483647);
}

Test(config_dir, names_the_file_that_it_could_not_read_so_that_the_caller_can_step_past) {
    text_write("integration-4.json", "{}");
    file_overwrite(in_folder("integration-5.json"), 0, WL_DOCUMENT_BYTES_MAX + 1, ' ');
    cr_assert_eq(mkdir(in_folder("integration-6.json"), 0700), 0);
    cr_assert_eq(symlink("nowhere", in_folder("integration-7.json")), 0);
    wl_config_file_t file = {0};
    wl_fault_t fault = {0};
    cr_assert_eq(wl_config_dir_read(test_folder, "integration", 0, &file, &fault), WL_ERR_IO);
    cr_assert(file.version == 7 && file.text == NULL);
    cr_assert_str_eq(fault.where, in_folder("integration-7.json"));
    cr_assert_eq(wl_config_dir_read(test_folder, "integration", 7, &file, &fault), WL_ERR_IO);
    cr_assert_eq(file.version, 6);
    cr_assert_eq(wl_config_dir_read(test_folder, "integration", 6, &file, &fault), WL_ERR_TOO_BIG);
    cr_assert(file.version == 5 && file.text == NULL);
    cr_assert_eq(wl_config_dir_read(test_folder, "integration", 5, &file, &fault), WL_OK);
    cr_assert_eq(file.version, 4);
    wl_config_file_release(&file);
}

Test(config_dir, tells_a_missing_folder_from_one_that_is_not_a_folder) {
    wl_config_file_t file = {0};
    wl_fault_t fault = {0};
    cr_assert_eq(wl_config_dir_read(in_folder("none"), "integration", 0, &file, &fault),
                 WL_ERR_NOT_FOUND);
    text_write("plain", "");
    cr_assert_eq(wl_config_dir_read(in_folder("plain"), "integration", 0, &file, &fault),
                 WL_ERR_IO);
    cr_assert_eq(file.version, 0);
    cr_assert_neq(fault.message[0], '\0');
}
