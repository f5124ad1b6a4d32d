#include "actors/key_folder.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64];
static uint32_t refused;

static void on_refused(const char *file, const wl_fault_t *fault, void *arg) {
    (void)arg;
    cr_expect_neq(file[0], '\0');
    cr_expect_neq(fault->message[0], '\0');
    refused++;
}

static void set_up(void) {
    cr_assert_neq(sodium_init(), -1);
    (void)umask(022);
    (void)snprintf(folder, sizeof folder, "/tmp/wl-folder-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
    refused = 0;
}

static void tear_down(void) {
    char command[128];
    (void)snprintf(command, sizeof command, "rm -r %s", folder);
    cr_expect_eq(system(command), 0);
}

TestSuite(key_folder, .init = set_up, .fini = tear_down);

/* Puts NAME.key there, without its secret half. */
static wl_key_file_t key_put(const char *name, const char *scope) {
    wl_key_file_t key;
    char secret[160];
    wl_key_file_new(&key);
    (void)snprintf(key.name, sizeof key.name, "%s", name);
    (void)snprintf(key.scope, sizeof key.scope, "%s", scope);
    cr_assert_eq(wl_key_file_write(folder, &key, NULL), WL_OK);
    (void)snprintf(secret, sizeof secret, "%s/%s.key_secret", folder, name);
    cr_assert_eq(unlink(secret), 0);
    return key;
}

static void key_remove(const char *name) {
    char path[160];
    (void)snprintf(path, sizeof path, "%s/%s.key", folder, name);
    cr_assert_eq(unlink(path), 0);
}

static void load(wl_key_folder_t *keys) {
    wl_fault_t fault = {.where = ""};
    refused = 0;
    cr_assert_eq(wl_key_folder_load(keys, on_refused, NULL, &fault), WL_OK, "%s", fault.message);
}

Test(key_folder, knows_who_is_there_and_what_they_may_do) {
    wl_key_file_t app = key_put("app", "read");
    wl_key_file_t cash = key_put("cash", "notify:cash");
    wl_key_file_t stranger;
    wl_key_file_new(&stranger);
    wl_key_folder_t *keys = wl_key_folder_new(folder);
    cr_expect(wl_key_folder_changed(keys));
    load(keys);
    cr_expect_not(wl_key_folder_changed(keys));
    cr_expect_eq(wl_key_folder_count(keys), 2);
    cr_expect_eq(refused, 0);
    const wl_known_key_t *known = wl_key_folder_find(keys, app.public_key);
    cr_assert_not_null(known);
    cr_expect(known->scopes.read);
    cr_expect_eq(strncmp(known->id, "app/", 4), 0);
    cr_expect_eq(strlen(known->id), 4 + 16);
    cr_expect(wl_scopes_notify(&wl_key_folder_find(keys, cash.public_key)->scopes, "cash"));
    cr_expect_null(wl_key_folder_find(keys, stranger.public_key));
    wl_key_folder_destroy(&keys);
}

Test(key_folder, keys_that_come_are_fresh_until_they_have_settled) {
    wl_key_file_t app = key_put("app", "read");
    wl_key_folder_t *keys = wl_key_folder_new(folder);
    load(keys);
    cr_expect(wl_key_folder_find(keys, app.public_key)->fresh);
    cr_expect(wl_key_folder_settle(keys));
    cr_expect_not(wl_key_folder_settle(keys));
    wl_key_file_t late = key_put("late", "read");
    cr_expect(wl_key_folder_changed(keys));
    load(keys);
    cr_expect_not(wl_key_folder_find(keys, app.public_key)->fresh);
    cr_expect(wl_key_folder_find(keys, late.public_key)->fresh);
    load(keys);
    cr_expect(wl_key_folder_find(keys, late.public_key)->fresh);
    wl_key_folder_destroy(&keys);
}

Test(key_folder, a_key_that_goes_is_unknown_and_a_lost_peer_is_noticed) {
    wl_key_file_t app = key_put("app", "read");
    wl_key_file_t reader = key_put("reader", "peer");
    wl_key_folder_t *keys = wl_key_folder_new(folder);
    load(keys);
    key_remove("app");
    load(keys);
    cr_expect_null(wl_key_folder_find(keys, app.public_key));
    cr_expect_eq(wl_key_folder_peers_lost(keys), 0);
    key_remove("reader");
    load(keys);
    cr_expect_null(wl_key_folder_find(keys, reader.public_key));
    cr_expect_eq(wl_key_folder_peers_lost(keys), 1);
    cr_expect_null(wl_key_folder_first(keys));
    wl_key_folder_destroy(&keys);
}

Test(key_folder, two_keys_of_one_name_are_two_keys) {
    wl_key_file_t old = key_put("app", "read");
    char from[160];
    char to[160];
    (void)snprintf(from, sizeof from, "%s/app.key", folder);
    (void)snprintf(to, sizeof to, "%s/app-old.key", folder);
    cr_assert_eq(rename(from, to), 0);
    wl_key_file_t fresh = key_put("app", "admin");
    wl_key_folder_t *keys = wl_key_folder_new(folder);
    load(keys);
    cr_expect_eq(wl_key_folder_count(keys), 2);
    const wl_known_key_t *one = wl_key_folder_find(keys, old.public_key);
    const wl_known_key_t *two = wl_key_folder_find(keys, fresh.public_key);
    cr_expect(one->scopes.read && !one->scopes.admin);
    cr_expect(two->scopes.admin && !two->scopes.read);
    cr_expect_str_neq(one->id, two->id);
    wl_key_folder_destroy(&keys);
}

Test(key_folder, a_bad_file_is_refused_alone) {
    wl_key_file_t app = key_put("app", "read");
    (void)key_put("bad1", "reed");
    (void)key_put("bad2", "");
    char path[160];
    (void)snprintf(path, sizeof path, "%s/bad3.key", folder);
    FILE *file = fopen(path, "w");
    (void)fputs("not a key\n", file);
    (void)fclose(file);
    (void)snprintf(path, sizeof path, "%s/bad4.key_secret", folder);
    file = fopen(path, "w");
    (void)fclose(file);
    (void)snprintf(path, sizeof path, "%s/README", folder);
    file = fopen(path, "w");
    (void)fclose(file);
    wl_key_folder_t *keys = wl_key_folder_new(folder);
    load(keys);
    cr_expect_eq(refused, 4);
    cr_expect_eq(wl_key_folder_count(keys), 1);
    cr_expect_not_null(wl_key_folder_find(keys, app.public_key));
    wl_key_folder_destroy(&keys);
}

Test(key_folder, a_folder_that_others_may_write_or_that_is_gone_changes_nothing) {
    wl_key_file_t app = key_put("app", "read");
    wl_key_folder_t *keys = wl_key_folder_new(folder);
    load(keys);
    (void)chmod(folder, 0777);
    cr_expect(wl_key_folder_changed(keys));
    cr_expect_eq(wl_key_folder_load(keys, on_refused, NULL, NULL), WL_ERR_FORBIDDEN);
    cr_expect_not_null(wl_key_folder_find(keys, app.public_key));
    cr_expect_not(wl_key_folder_changed(keys)); /* said once, not with every look */
    (void)chmod(folder, 0755);
    cr_expect(wl_key_folder_changed(keys));
    wl_key_folder_t *nowhere = wl_key_folder_new("/nowhere/at/all");
    cr_expect_eq(wl_key_folder_load(nowhere, on_refused, NULL, NULL), WL_ERR_IO);
    wl_key_folder_destroy(&nowhere);
    wl_key_folder_destroy(&keys);
    wl_key_folder_destroy(NULL);
}
