#include "tools/linesim/calls.h"

#include <criterion/criterion.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static calls_t calls;

static void setup(void) {
    memset(&calls, 0, sizeof calls);
}

static uint32_t begin(sim_what_t what, int fd, int64_t give_up_ms, int64_t now_ms) {
    calls_arrival_t arrival = {.what = what, .users = 3, .fd = fd, .give_up_ms = give_up_ms};
    return calls_begin(&calls, &arrival, now_ms);
}

TestSuite(calls, .init = setup);

Test(calls, counts_by_kind_users_and_the_fullest_second) {
    for (int i = 0; i < 10; i++) {
        calls_end(&calls, begin(i < 7 ? SIM_ASSETS : SIM_DETAILS, -1, 0, 1000 + i * 300));
    }
    cr_assert_eq(calls.count[SIM_ASSETS], 7);
    cr_assert_eq(calls.count[SIM_DETAILS], 3);
    cr_assert_eq(calls.count[SIM_SUMMARY], 0);
    cr_assert_eq(calls.users, 30);
    cr_assert_eq(calls.window.peak, 4);
    cr_assert_eq(calls.concurrent_max, 1);
    calls_reset(&calls);
    cr_assert_eq(calls.count[SIM_ASSETS] + calls.users + calls.window.peak, 0);
    cr_assert_str_eq(sim_what_name(SIM_SUMMARY), "summary");
}

Test(calls, those_under_way_end_by_answer_by_hang_up_or_by_patience) {
    int pair[2];
    cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    uint32_t answered = begin(SIM_ASSETS, -1, 0, 10);
    (void)begin(SIM_ASSETS, pair[0], 0, 11);
    (void)begin(SIM_ASSETS, -1, 500, 12);
    cr_assert_eq(calls_under_way(&calls, 13), 3);
    cr_assert_eq(calls.concurrent_max, 3);
    calls_end(&calls, answered);
    cr_assert_eq(calls_under_way(&calls, 13), 2);
    (void)close(pair[1]);
    cr_assert_eq(calls_under_way(&calls, 13), 1);
    cr_assert_eq(calls_under_way(&calls, 512), 0);
    calls_reset(&calls);
    (void)begin(SIM_ASSETS, -1, 500, 600);
    cr_assert_eq(calls.concurrent_max, 1);
    (void)close(pair[0]);
}

Test(calls, more_than_fit_are_counted_but_not_followed) {
    for (uint32_t i = 0; i < CALLS_UNDER_WAY_MAX; i++) {
        cr_assert_eq(begin(SIM_ASSETS, -1, 0, 1), i);
    }
    cr_assert_eq(begin(SIM_ASSETS, -1, 0, 1), CALLS_UNDER_WAY_MAX);
    calls_end(&calls, CALLS_UNDER_WAY_MAX);
    cr_assert_eq(calls.concurrent_max, CALLS_UNDER_WAY_MAX + 1);
    calls_end(&calls, 5);
    cr_assert_eq(begin(SIM_ASSETS, -1, 0, 2), 5);
}

Test(calls, one_that_comes_while_told_to_wait_is_early) {
    calls_wait(&calls, 1000, 2000);
    (void)begin(SIM_ASSETS, -1, 0, 1000 + CALLS_GRACE_MS); /* was on its way */
    cr_assert_eq(calls.early, 0);
    (void)begin(SIM_SUMMARY, -1, 0, 1500);
    cr_assert_eq(calls.early, 1);
    calls_wait(&calls, 1500, 2000); /* said again: until 3500, known since 1000 */
    (void)begin(SIM_ASSETS, -1, 0, 3499 - CALLS_CLOCK_MS);
    cr_assert_eq(calls.early, 2);
    (void)begin(SIM_ASSETS, -1, 0, 3500);
    cr_assert_eq(calls.early, 2);
    calls_wait(&calls, 4000, 100);
    (void)begin(SIM_ASSETS, -1, 0, 4050);
    cr_assert_eq(calls.early, 2);
}
