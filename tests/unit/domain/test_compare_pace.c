#include "domain/compare_pace.h"

#include <criterion/criterion.h>

Test(compare_pace, times_of_day_are_read_strictly) {
    int32_t minute = 7;
    cr_assert(wl_compare_at_parse("03:10", &minute));
    cr_expect_eq(minute, 190);
    cr_assert(wl_compare_at_parse("23:59", &minute));
    cr_expect_eq(minute, 1439);
    cr_assert(wl_compare_at_parse("", &minute));
    cr_expect_eq(minute, -1);
    const char *const wrong[] = {"3:10",  "24:00", "03:60", "03:1", "03:100", "0310",
                                 "xx:yy", " 3:10", "03-10", ":",    "03:10 "};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        minute = 5;
        cr_expect(!wl_compare_at_parse(wrong[i], &minute), "%s", wrong[i]);
        cr_expect_eq(minute, 5);
    }
}

Test(compare_pace, a_daily_run_is_due_once_a_day) {
    int64_t now = INT64_C(1700000000000);
    cr_expect(!wl_compare_due(-1, 0, 0, now), "never");
    cr_expect(!wl_compare_due(190, 189, 0, now));
    cr_expect(wl_compare_due(190, 190, 0, now));
    cr_expect(wl_compare_due(190, 249, 0, now), "the process was started late");
    cr_expect(!wl_compare_due(190, 250, 0, now));
    cr_expect(!wl_compare_due(190, 191, now - 60000, now), "it has been begun");
    cr_expect(wl_compare_due(190, 190, now - INT64_C(82800000), now), "a day of 23 hours");
    cr_expect(wl_compare_due(1439, 10, 0, now), "over midnight");
}

Test(compare_pace, a_run_keeps_to_its_rate) {
    cr_expect_eq(wl_compare_run_ms(20000, 20000), 1000);
    cr_expect_eq(wl_compare_run_ms(500, 1000), 500);
    cr_expect_eq(wl_compare_run_ms(500, 0), 0);
}

Test(compare_pace, a_round_takes_its_time_and_not_more_load) {
    cr_expect_eq(wl_compare_round_ms(86400, 256, 1, 86400, 2), 60000, "never more than a minute");
    cr_expect_eq(wl_compare_round_ms(1000000, 250, 1, 20, 50), 4);
    cr_expect_eq(wl_compare_round_ms(1000000, 250, 10, 20, 2), 500, "the load is kept to");
    cr_expect_eq(wl_compare_round_ms(0, 250, 10, 20, 2), 500);
    /* a day and 200 M users: 97 us each, so 256 of them every 99 ms */
    cr_expect_eq(wl_compare_round_ms(200000000, 256, 1, 86400, 2), 99);
}
