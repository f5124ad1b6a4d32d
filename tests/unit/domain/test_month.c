/* Months in UTC, compared with what gmtime says about their first moments. */
#include "domain/month.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <time.h>

Test(month, begins_where_gmtime_says) {
    for (int year = 1970; year <= 2420; year++) {
        for (int month = 1; month <= 12; month++) {
            char text[32];
            wl_month_t read;
            (void)snprintf(text, sizeof text, "%04d-%02d", year, month);
            cr_assert(wl_month_parse(text, &read), "%s", text);
            time_t from = (time_t)(read.from.ms / 1000);
            time_t last = (time_t)(read.until.ms / 1000) - 1;
            struct tm at;
            struct tm end;
            cr_assert_not_null(gmtime_r(&from, &at));
            cr_assert_not_null(gmtime_r(&last, &end));
            cr_assert(at.tm_year + 1900 == year && at.tm_mon + 1 == month, "%s", text);
            cr_assert(at.tm_mday == 1 && at.tm_hour == 0 && at.tm_min == 0 && at.tm_sec == 0);
            cr_assert(end.tm_year + 1900 == year && end.tm_mon + 1 == month, "%s", text);
        }
    }
}

Test(month, refuses_what_is_no_month) {
    static const char *const texts[] = {"",        "2026",    "2026-00", "2026-13",
                                        "2026-1",  "2026/11", "1969-12", "2026-111",
                                        "-026-11", "2026-1x", " 026-11"};
    wl_month_t month;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cr_assert_not(wl_month_parse(texts[i], &month), "\"%s\"", texts[i]);
    }
    cr_assert(wl_month_parse("9999-12", &month));
}

Test(month, knows_its_moments) {
    wl_month_t month;
    cr_assert(wl_month_parse("2026-11", &month));
    cr_assert(wl_month_has(&month, month.from.ms));
    cr_assert_not(wl_month_has(&month, month.from.ms - 1));
    cr_assert(wl_month_has(&month, month.until.ms - 1));
    cr_assert_not(wl_month_has(&month, month.until.ms));
    cr_assert_not(wl_month_past(&month, (wl_wall_ms_t){month.until.ms - 1}));
    cr_assert(wl_month_past(&month, month.until));
}
