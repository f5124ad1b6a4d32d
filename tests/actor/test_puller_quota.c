#include "actors/puller_quota.h"

#include "base/alloc.h"
#include "store/blob_file.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const int64_t DAY = 86400000;
static char dir[64];
static char path[96];

static void dir_make(void) {
    (void)snprintf(dir, sizeof dir, "/tmp/wl-test-XXXXXX");
    cr_assert_not_null(mkdtemp(dir));
    (void)snprintf(path, sizeof path, "%s/quota-cash", dir);
}

static void dir_remove(void) {
    (void)unlink(path);
    (void)rmdir(dir);
}

static wl_puller_quota_t *quota_open(uint64_t limit, int64_t wall) {
    wl_puller_quota_t *quota = wl_puller_quota_new(dir, "cash", false);
    wl_puller_quota_limit(quota, limit, (wl_wall_ms_t){wall});
    return quota;
}

static bool ask(wl_puller_quota_t *quota, int64_t mono, int64_t wall) {
    bool may = wl_puller_quota_may(quota, (wl_mono_ms_t){mono}, (wl_wall_ms_t){wall});
    if (may) {
        wl_puller_quota_take(quota);
    }
    return may;
}

/* What stands in the file. */
static char *file_text(void) {
    void *text = NULL;
    size_t bytes = 0;
    cr_assert_eq(wl_blob_file_read(path, 100, &text, &bytes), WL_OK);
    return text;
}

static char *file_text_or_null(void) {
    return access(path, F_OK) == 0 ? file_text() : NULL;
}

Test(puller_quota, outlives_the_process) {
    dir_make();
    wl_puller_quota_t *quota = quota_open(1000, 100 * DAY);
    for (int i = 0; i < 995; i++) {
        cr_assert(ask(quota, i, 100 * DAY));
    }
    wl_puller_quota_destroy(&quota);
    char *text = file_text();
    cr_expect_str_eq(text, "100 995\n", "what was not used is given back: %s", text);
    wl_free(text);
    quota = quota_open(1000, 100 * DAY + 1);
    cr_expect_eq(wl_puller_quota_left(quota, (wl_wall_ms_t){100 * DAY}), 5);
    for (int i = 0; i < 5; i++) {
        cr_assert(ask(quota, i, 100 * DAY));
    }
    cr_expect_not(ask(quota, 6, 100 * DAY));
    const char *reason = NULL;
    cr_expect_eq(
        wl_puller_quota_wait_ms(quota, (wl_mono_ms_t){6}, (wl_wall_ms_t){101 * DAY - 9}, &reason),
        9);
    cr_expect_str_eq(reason, "the quota of the day is used up");
    cr_expect(ask(quota, 6, 101 * DAY), "another day");
    wl_puller_quota_destroy(&quota);
    dir_remove();
}

/* A crash leaves the file as it was; what was reserved is lost, and never given out twice. */
Test(puller_quota, a_crash_wastes_and_never_exceeds) {
    dir_make();
    uint64_t given = 0;
    for (int life = 0; life < 30; life++) {
        wl_puller_quota_t *quota = quota_open(500, 100 * DAY);
        for (int i = 0; i < life % 7; i++) {
            given += ask(quota, i, 100 * DAY) ? 1 : 0;
        }
        char *text = file_text_or_null();
        wl_puller_quota_destroy(&quota); /* would write: the crash did not */
        if (text != NULL) {
            cr_assert_eq(wl_blob_file_write(path, text, strlen(text)), WL_OK);
            wl_free(text);
        }
    }
    wl_puller_quota_t *quota = quota_open(500, 100 * DAY);
    while (ask(quota, 1, 100 * DAY)) {
        given++;
    }
    cr_expect_leq(given, 500u);
    cr_expect_geq(given, 500u - 30u * 5u, "a chunk of five at most is lost each time");
    wl_puller_quota_destroy(&quota);
    dir_remove();
}

Test(puller_quota, a_file_that_makes_no_sense_counts_as_a_day_used_up) {
    static const char *const texts[] = {"", "7", "100 12", "100 -5\n", "x 5\n", "100 5 6\n"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        dir_make();
        cr_assert_eq(wl_blob_file_write(path, texts[i], strlen(texts[i])), WL_OK);
        wl_puller_quota_t *quota = quota_open(10, 100 * DAY);
        cr_expect_not(ask(quota, 1, 100 * DAY), "%s", texts[i]);
        cr_expect_eq(wl_puller_quota_left(quota, (wl_wall_ms_t){100 * DAY}), 0);
        cr_expect(ask(quota, 1, 101 * DAY));
        wl_puller_quota_destroy(&quota);
        dir_remove();
    }
}

Test(puller_quota, what_cannot_be_written_down_is_not_given_out) {
    dir_make();
    wl_puller_quota_t *quota = quota_open(10, 100 * DAY);
    cr_assert_eq(rmdir(dir), 0);
    cr_expect_not(ask(quota, 1000, 100 * DAY));
    const char *reason = NULL;
    cr_expect_eq(
        wl_puller_quota_wait_ms(quota, (wl_mono_ms_t){1500}, (wl_wall_ms_t){100 * DAY}, &reason),
        500);
    cr_expect_str_eq(reason, "the quota cannot be written down");
    cr_assert_eq(mkdir(dir, 0700), 0);
    cr_expect_not(ask(quota, 1999, 100 * DAY), "not tried again yet");
    cr_expect(ask(quota, 2000, 100 * DAY));
    wl_puller_quota_destroy(&quota);
    dir_remove();
}

Test(puller_quota, without_a_limit_the_disk_is_left_alone) {
    dir_make();
    wl_puller_quota_t *quota = quota_open(0, 100 * DAY);
    for (int i = 0; i < 1000; i++) {
        cr_assert(ask(quota, i, 100 * DAY));
    }
    cr_expect_eq(wl_puller_quota_left(quota, (wl_wall_ms_t){100 * DAY}), -1);
    wl_puller_quota_destroy(&quota);
    cr_expect_neq(access(path, F_OK), 0);
    dir_remove();
}

/* ---- shared ---------------------------------------------------------------------------------- */

Test(puller_quota, shared_asks_the_keeper_and_leaves_the_disk_alone) {
    dir_make();
    wl_puller_quota_t *quota = wl_puller_quota_new(dir, "cash", true);
    wl_wall_ms_t wall = {100 * DAY};
    wl_quota_ask_t due;
    const char *reason = NULL;
    wl_puller_quota_limit(quota, 200, wall);
    cr_expect_not(wl_puller_quota_ask(quota, (wl_mono_ms_t){1}, wall, &due), "nobody calls");
    cr_expect_not(ask(quota, 1, wall.ms));
    cr_expect(wl_puller_quota_ask(quota, (wl_mono_ms_t){1}, wall, &due));
    cr_expect_eq(due.limit, 200u);
    cr_expect_eq(due.chunk, 2u);
    wl_puller_quota_answer(quota, WL_OK, 100, 2, 150, (wl_mono_ms_t){2}, wall);
    cr_expect(ask(quota, 3, wall.ms));
    cr_expect_eq(wl_puller_quota_left(quota, wall), 151, "of all writers");
    cr_expect(ask(quota, 3, wall.ms));
    cr_expect_not(ask(quota, 3, wall.ms));
    cr_expect(wl_puller_quota_ask(quota, (wl_mono_ms_t){4}, wall, &due));
    wl_puller_quota_answer(quota, WL_ERR_UNAVAILABLE, 0, 0, 0, (wl_mono_ms_t){5}, wall);
    cr_expect_not(ask(quota, 6, wall.ms));
    cr_expect_eq(wl_puller_quota_wait_ms(quota, (wl_mono_ms_t){105}, wall, &reason), 900);
    cr_expect_str_eq(reason, "the quota cannot be reserved");
    cr_expect(wl_puller_quota_ask(quota, (wl_mono_ms_t){1005}, wall, &due));
    wl_puller_quota_answer(quota, WL_OK, 100, 0, 0, (wl_mono_ms_t){1006}, wall);
    cr_expect_gt(wl_puller_quota_wait_ms(quota, (wl_mono_ms_t){1007}, wall, &reason), 1000);
    cr_expect_str_eq(reason, "the quota of the day is used up");
    cr_expect_eq(wl_puller_quota_left(quota, wall), 0);
    wl_puller_quota_close(quota);
    wl_puller_quota_destroy(&quota);
    cr_expect_neq(access(path, F_OK), 0);
    dir_remove();
}
