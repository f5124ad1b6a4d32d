#include "base/settings.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static wl_err_t file_with(const char *text, wl_settings_t *settings, wl_fault_t *fault) {
    char path[] = "/tmp/wl_settings_XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    wl_settings_defaults(settings);
    wl_err_t err = wl_settings_file(settings, path, fault);
    unlink(path);
    return err;
}

Test(settings, defaults_are_the_documented_ports) {
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    cr_expect_str_eq(settings.frontend_endpoint, "tcp://127.0.0.1:7700");
    cr_expect_str_eq(settings.intake_endpoint, "tcp://127.0.0.1:7701");
    cr_expect_str_eq(settings.intake_subscribe, "tcp://127.0.0.1:7702");
    cr_expect_eq(settings.shard_instances, 2);
    cr_expect_eq(settings.cache_bytes_max, 256u << 20);
}

Test(settings, a_file_overrides_defaults) {
    wl_settings_t settings;
    wl_fault_t fault = {0};
    cr_assert_eq(
        file_with("[cache]\nbytes_max = 2G\n[presence]\nmode = hashed\n", &settings, &fault),
        WL_OK);
    cr_expect_eq(settings.cache_bytes_max, 2ull << 30);
    cr_expect_str_eq(settings.presence_mode, "hashed");
}

Test(settings, an_unknown_key_names_its_line_and_the_nearest_key) {
    wl_settings_t settings;
    wl_fault_t fault = {0};
    cr_assert_eq(file_with("[cache]\nbytes_max = 2G\nbyte_max = 1G\n", &settings, &fault),
                 WL_ERR_SETTINGS);
    cr_expect_eq(fault.line, 3);
    cr_expect_str_eq(fault.where, "cache.byte_max");
    cr_expect(strstr(fault.message, "cache.bytes_max") != NULL, "%s", fault.message);
    cr_expect_eq(settings.cache_bytes_max, 256u << 20, "a refused file changes nothing");
}

Test(settings, refuses_what_is_out_of_bounds_or_no_number) {
    static const char *const wrong[] = {
        "shard.instances=0",
        "shard.instances=65",
        "shard.instances=-1",
        "shard.instances=2x",
        "shard.instances=",
        "cache.bytes_max=12Q",
        "cache.bytes_max=99999999999999999999",
        "presence.mode=exac",
        "presence.mode=exact hashed",
        "server.allow_plaintext=true",
        "server.data_dir=",
        "nothing",
        "no.such=1",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        wl_settings_t settings;
        wl_settings_defaults(&settings);
        wl_settings_t before = settings;
        wl_fault_t fault = {0};
        cr_expect_eq(wl_settings_assign(&settings, wrong[i], &fault), WL_ERR_SETTINGS, "%s",
                     wrong[i]);
        cr_expect(fault.message[0] != '\0');
        cr_expect_eq(memcmp(&before, &settings, sizeof settings), 0);
    }
}

Test(settings, the_environment_names_sections_and_keys) {
    char *environment[] = {"HOME=/", "WALLET_PRESENCE_HASH_BITS=36", NULL};
    wl_settings_t settings;
    wl_settings_defaults(&settings);
    cr_assert_eq(wl_settings_environment(&settings, environment, NULL), WL_OK);
    cr_expect_eq(settings.presence_hash_bits, 36);
    environment[1] = "WALLET_PRESENCE_HASHBITS=36";
    cr_expect_eq(wl_settings_environment(&settings, environment, NULL), WL_ERR_SETTINGS);
    environment[1] = "WALLET_SERVICE_HOST=10.0.0.1"; /* no section of ours */
    cr_expect_eq(wl_settings_environment(&settings, environment, NULL), WL_OK);
}

Test(settings, lists_are_trimmed_and_empty_items_skipped) {
    char item[64];
    cr_expect_eq(wl_settings_list_count(" a , b,,c "), 3);
    cr_assert(wl_settings_list_item(" a , b,,c ", 1, item, sizeof item));
    cr_expect_str_eq(item, "b");
    cr_expect_not(wl_settings_list_item("", 0, item, sizeof item));
}

Test(settings, the_document_is_a_file_that_loads_to_the_defaults) {
    char path[] = "/tmp/wl_settings_XXXXXX";
    int fd = mkstemp(path);
    FILE *out = fdopen(fd, "w");
    wl_settings_document(out);
    fclose(out);
    wl_settings_t loaded;
    wl_settings_t defaults;
    wl_settings_defaults(&defaults);
    wl_settings_defaults(&loaded);
    wl_fault_t fault = {0};
    cr_expect_eq(wl_settings_file(&loaded, path, &fault), WL_OK, "%u %s %s", fault.line,
                 fault.where, fault.message);
    cr_expect_eq(memcmp(&loaded, &defaults, sizeof loaded), 0);
    unlink(path);
}
