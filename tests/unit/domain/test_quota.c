#include "domain/quota.h"

#include "base/slot.h"

#include <criterion/criterion.h>
#include <string.h>

static const int64_t DAY = 86400000;

static wl_wall_ms_t at(int64_t ms) {
    return (wl_wall_ms_t){ms};
}

/* The disk of the test. */
typedef struct {
    int64_t day;
    uint64_t reserved;
} disk_t;

/* One call, if it may be made. */
static bool ask(wl_quota_t *quota, disk_t *disk, int64_t now) {
    wl_quota_state_t state = wl_quota_look(quota, at(now));
    if (state == WL_QUOTA_RESERVE) {
        wl_quota_next(quota, at(now), &disk->day, &disk->reserved);
        wl_quota_granted(quota, disk->day, disk->reserved);
        state = wl_quota_look(quota, at(now));
        cr_assert_eq(state, WL_QUOTA_READY);
    }
    if (state == WL_QUOTA_READY) {
        wl_quota_take(quota);
    }
    return state == WL_QUOTA_READY;
}

Test(quota, gives_all_of_a_day_and_no_more) {
    wl_quota_t quota;
    disk_t disk = {0};
    for (uint64_t limit = 1; limit < 500; limit += 37) {
        wl_quota_init(&quota, limit, 0, 0);
        uint64_t given = 0;
        for (uint64_t i = 0; i < limit + 50; i++) {
            cr_assert_eq(wl_quota_left(&quota, at(100 * DAY)), limit - given);
            given += ask(&quota, &disk, 100 * DAY + (int64_t)i) ? 1 : 0;
            cr_assert_geq(disk.reserved, given, "the disk knows before the line does");
        }
        cr_expect_eq(given, limit);
        cr_expect_eq(wl_quota_look(&quota, at(101 * DAY - 1)), WL_QUOTA_SPENT);
        cr_expect_eq(wl_quota_wait_ms(&quota, at(101 * DAY - 1)), 1);
        cr_expect_eq(wl_quota_wait_ms(&quota, at(100 * DAY)), DAY);
        cr_expect(ask(&quota, &disk, 101 * DAY), "another day");
    }
}

/* Crashes, steps of the clock, changes of the limit, at any moment: the calls that were counted for
 * a day by the largest day that was seen are never more than the limit. */
Test(quota, is_never_exceeded_over_crashes_and_steps_of_the_clock) {
    for (uint64_t seed = 0; seed < 300; seed++) {
        uint64_t limit = wl_mix64(seed) % 400 + 1;
        wl_quota_t quota;
        disk_t disk = {.day = 100};
        wl_quota_init(&quota, limit, disk.day, disk.reserved);
        int64_t now = 100 * DAY + (int64_t)(wl_mix64(seed + 7) % (uint64_t)DAY);
        int64_t day = 0; /* the largest so far */
        uint64_t given = 0;
        uint64_t wasted = 0;
        for (uint64_t i = 0; i < 4000; i++) {
            uint64_t random = wl_mix64(seed << 32 | i);
            now += (int64_t)(random % 60000);
            if (random % 97 == 0) { /* at most a day back */
                now -= (int64_t)((random >> 8) % (uint64_t)DAY);
            }
            if (random % 61 == 0) {
                uint64_t before = wl_quota_left(&quota, at(now));
                wl_quota_init(&quota, limit, disk.day, disk.reserved);
                wasted += before - wl_quota_left(&quota, at(now));
                cr_assert_leq(before - wl_quota_left(&quota, at(now)), limit / 100 + 1);
            }
            if (now / DAY > day) {
                day = now / DAY;
                given = 0;
            }
            given += ask(&quota, &disk, now) ? 1 : 0;
            cr_assert_leq(given, limit);
        }
        (void)wasted;
    }
}

Test(quota, a_clock_that_was_wrong_by_years_does_not_stop_a_line_for_years) {
    wl_quota_t quota;
    disk_t disk = {0};
    wl_quota_init(&quota, 10, 0, 0);
    for (int i = 0; i < 10; i++) {
        cr_assert(ask(&quota, &disk, 5000 * DAY));
    }
    wl_quota_init(&quota, 10, disk.day, disk.reserved);
    cr_expect_not(ask(&quota, &disk, 100 * DAY), "what was used is used");
    cr_expect_not(ask(&quota, &disk, 101 * DAY));
    cr_expect_eq(wl_quota_wait_ms(&quota, at(101 * DAY)), DAY);
    cr_expect(ask(&quota, &disk, 102 * DAY));
}

Test(quota, limits_change_and_what_was_used_stays_used) {
    wl_quota_t quota;
    disk_t disk = {0};
    wl_quota_init(&quota, 1000, 0, 0);
    for (int i = 0; i < 300; i++) {
        cr_assert(ask(&quota, &disk, DAY));
    }
    wl_quota_set(&quota, 200);
    cr_expect_eq(wl_quota_look(&quota, at(DAY)), WL_QUOTA_SPENT);
    cr_expect_eq(wl_quota_left(&quota, at(DAY)), 0u);
    wl_quota_set(&quota, 301);
    cr_expect(ask(&quota, &disk, DAY));
    cr_expect_not(ask(&quota, &disk, DAY));
    wl_quota_set(&quota, 0);
    cr_expect(ask(&quota, &disk, DAY), "no limit");
    cr_expect_eq(wl_quota_left(&quota, at(DAY)), UINT64_MAX);
    wl_quota_init(&quota, 5, 0, 0);
    cr_expect(ask(&quota, &disk, -5 * DAY - 1), "before 1970 it counts for that day");
}
