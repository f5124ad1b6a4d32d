#include "actors/presence_disk.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char dir[] = "/tmp/wl-test-XXXXXX";
static wl_presence_disk_t *disk;

static void disk_open(void) {
    (void)snprintf(dir, sizeof dir, "/tmp/wl-test-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    disk = wl_presence_disk_new(dir, 1, 3);
}

static void disk_close(void) {
    (void)unlink(wl_presence_disk_path(disk));
    wl_presence_disk_destroy(&disk);
    (void)rmdir(dir);
}

static wl_presence_set_t *set_of(uint64_t count) {
    wl_presence_set_t *set = wl_presence_set_new(WL_PRESENCE_EXACT, 34);
    for (uint64_t uid = 1; uid <= count; uid++) {
        wl_presence_set_mark(set, uid * 3);
    }
    return set;
}

Test(presence_disk, gives_back_what_was_saved) {
    disk_open();
    cr_expect_not_null(strstr(wl_presence_disk_path(disk), "/presence-1of3.snap"));
    wl_presence_set_t *set = set_of(1000);
    wl_presence_saved_t saved;
    cr_expect(!wl_presence_disk_saved(disk, true, &saved), "nothing was begun");
    cr_expect_eq(wl_presence_disk_save(disk, set, (const uint64_t[]){7, 9}, 2), WL_OK);
    wl_presence_set_mark(set, 2); /* after the copy was taken */
    cr_expect(wl_presence_disk_saved(disk, true, &saved));
    cr_expect_eq(saved.err, WL_OK);
    cr_expect_eq(saved.seen_count, 2u);
    cr_expect_eq(saved.seen[1], 9u);
    cr_expect(!wl_presence_disk_saved(disk, true, &saved), "told once");
    wl_presence_set_t *loaded = NULL;
    wl_presence_seen_t seen = {0};
    cr_assert_eq(wl_presence_disk_load(disk, &loaded, &seen, NULL), WL_OK);
    cr_expect_eq(wl_presence_set_members(loaded), 1000u);
    cr_expect(wl_presence_set_test(loaded, 3000) && !wl_presence_set_test(loaded, 2));
    cr_expect_eq(seen.count, 2u);
    cr_expect_eq(seen.at[0], 7u);
    wl_free(seen.at);
    wl_presence_set_destroy(&loaded);
    wl_presence_set_destroy(&set);
    disk_close();
}

Test(presence_disk, writes_one_snapshot_at_a_time_and_ends_it_at_the_end) {
    disk_open();
    wl_presence_set_t *set = set_of(300000);
    uint64_t seen = 1;
    cr_expect_eq(wl_presence_disk_save(disk, set, &seen, 1), WL_OK);
    cr_expect_eq(wl_presence_disk_save(disk, set, &seen, 1), WL_ERR_BUSY);
    wl_presence_disk_destroy(&disk);
    disk = wl_presence_disk_new(dir, 1, 3);
    wl_presence_set_t *loaded = NULL;
    wl_presence_seen_t loaded_seen = {0};
    cr_expect_eq(wl_presence_disk_load(disk, &loaded, &loaded_seen, NULL), WL_OK);
    wl_free(loaded_seen.at);
    wl_presence_set_destroy(&loaded);
    wl_presence_set_destroy(&set);
    disk_close();
}

Test(presence_disk, says_what_is_wrong_with_a_file) {
    disk_open();
    wl_presence_set_t *set = NULL;
    wl_presence_seen_t seen = {0};
    wl_fault_t fault = {0};
    cr_expect_eq(wl_presence_disk_load(disk, &set, &seen, &fault), WL_ERR_NOT_FOUND);
    FILE *file = fopen(wl_presence_disk_path(disk), "wb");
    cr_assert_not_null(file);
    (void)fputs("WLPS and then nothing of use", file);
    (void)fclose(file);
    cr_expect_eq(wl_presence_disk_load(disk, &set, &seen, &fault), WL_ERR_DAMAGED);
    cr_expect_neq(fault.message[0], '\0');
    cr_expect_null(set);
    disk_close();
}

Test(presence_disk, a_folder_that_is_gone_is_an_error_and_nothing_more) {
    disk_open();
    wl_presence_disk_t *nowhere = wl_presence_disk_new("/nonexistent", 0, 1);
    wl_presence_set_t *set = set_of(10);
    wl_presence_saved_t saved;
    uint64_t seen = 1;
    cr_expect_eq(wl_presence_disk_save(nowhere, set, &seen, 1), WL_OK);
    cr_expect(wl_presence_disk_saved(nowhere, true, &saved));
    cr_expect_neq(saved.err, WL_OK);
    wl_presence_set_destroy(&set);
    wl_presence_disk_destroy(&nowhere);
    disk_close();
}
