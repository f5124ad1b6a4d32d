/* Moments as people write them, compared with what timegm says. */
#include "domain/moment.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

Test(moment, reads_what_rfc_3339_says) {
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-11T00:00:00+08:00", 1794326400000},
        {"2026-11-10T16:00:00Z", 1794326400000},
        {"2026-11-10t16:00:00.25z", 1794326400250},
        {"2026-11-10T16:00:00.0019999Z", 1794326400001},
        {"2026-11-10T12:30:00-03:30", 1794326400000},
        {"2024-02-29T23:59:59.999Z", 1709251199999},
        {"9999-12-31T23:59:59-23:59", 253402387139000},
        {"1970-01-01T00:00:00+01:00", -3600000},
        {"2026-11-10T16:00:00-00:00", 1794326400000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wl_wall_ms_t moment = {-1};
        cr_expect(wl_moment_parse(rows[i].text, &moment), "%s", rows[i].text);
        cr_expect_eq(moment.ms, rows[i].ms, "%s: %lld", rows[i].text, (long long)moment.ms);
    }
}

Test(moment, refuses_everything_else) {
    static const char *const texts[] = {
        "",
        "2026",
        "2026-11-11",
        "2026-11-11T00:00:00",
        "2026-11-11T00:00Z",
        "2026-11-11 00:00:00Z",
        "2026-11-11T00:00:00 Z",
        "2026-11-11T00:00:00Zz",
        "2026-11-11T00:00:00+08",
        "2026-11-11T00:00:00+0800",
        "2026-11-11T00:00:00+08:00 ",
        "2026-11-11T00:00:00+24:00",
        "2026-11-11T00:00:00+08:60",
        "2026-11-11T00:00:00.Z",
        "2026-11-11T00:00:00,5Z",
        "2026-11-11T24:00:00Z",
        "2026-11-11T23:60:00Z",
        "2026-12-31T23:59:60Z",
        "2026-11-00T00:00:00Z",
        "2026-11-31T00:00:00Z",
        "2026-02-29T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026/11/11T00:00:00Z",
        "2026-11/11T00:00:00Z",
        "1969-12-31T23:59:59Z",
        "+026-11-11T00:00:00Z",
        "2026-1-11T00:00:00Z",
        "2026-11-1T00:00:00Z",
        "2026-11-11T0:00:00Z",
        "1794326400000",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        wl_wall_ms_t moment;
        cr_expect_not(wl_moment_parse(texts[i], &moment), "\"%s\"", texts[i]);
    }
}

/* Every prefix of a moment is none, and reading it stays within it. */
Test(moment, a_cut_one_is_none) {
    const char *whole = "2026-11-11T00:00:00.123+08:00";
    for (int length = 0; length < 29; length++) {
        char *cut = NULL;
        wl_wall_ms_t moment;
        cr_assert_eq(asprintf(&cut, "%.*s", length, whole), length);
        cr_expect_not(wl_moment_parse(cut, &moment), "\"%s\"", cut);
        free(cut);
    }
}

Test(moment, random_ones_are_those_of_timegm) {
    srand(7);
    for (int round = 0; round < 20000; round++) {
        time_t at = (time_t)rand() * 4 + rand() % 4;
        int zone = rand() % (24 * 60) - 12 * 60; /* minutes ahead */
        time_t there = at + zone * 60;
        struct tm parts;
        char day[64];
        char text[96];
        if (there < 0 || gmtime_r(&there, &parts) == NULL) {
            continue;
        }
        (void)strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &parts);
        (void)snprintf(text, sizeof text, "%s.%03d%c%02d:%02d", day, round % 1000,
                       zone < 0 ? '-' : '+', abs(zone) / 60, abs(zone) % 60);
        wl_wall_ms_t moment;
        cr_assert(wl_moment_parse(text, &moment), "%s", text);
        cr_assert_eq(moment.ms, (int64_t)at * 1000 + round % 1000, "%s", text);
    }
}

Test(moment, is_written_as_it_is_read) {
    static const struct {
        int64_t ms;
        const char *text;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1794326400000, "2026-11-10T16:00:00Z"},
        {1794326400250, "2026-11-10T16:00:00.250Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {253402300800000, "253402300800000"},
        {-1, "-1"},
        {INT64_MIN, "-9223372036854775808"},
        {INT64_MAX, "9223372036854775807"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[WL_MOMENT_BYTES + 1];
        wl_wall_ms_t moment = {-1};
        wl_moment_write((wl_wall_ms_t){rows[i].ms}, text);
        cr_expect_str_eq(text, rows[i].text);
        cr_expect(strchr(text, 'T') == NULL ||
                  (wl_moment_parse(text, &moment) && moment.ms == rows[i].ms));
    }
}
