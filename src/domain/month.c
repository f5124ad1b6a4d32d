#include "domain/month.h"

#include <stdint.h>
#include <string.h>

enum { DAY_MS = 86400000, YEAR_FIRST = 1970 };

/* Days from 1970-01-01 to the first of a month, 0 <= month < 12. */
static int64_t days_to(int64_t year, int64_t month) {
    static const int16_t before[12] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    int64_t past = year - 1; /* whole years, for leap days */
    int64_t leaps = past / 4 - past / 100 + past / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return (year - YEAR_FIRST) * 365 + leaps + before[month] + (leap && month > 1);
}

bool wl_month_parse(const char *text, wl_month_t *ret) {
    if (strlen(text) != WL_MONTH_BYTES || text[4] != '-') {
        return false;
    }
    int64_t number = 0;
    for (int i = 0; i < WL_MONTH_BYTES; i++) {
        if (i == 4) {
            continue;
        }
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        number = number * 10 + (text[i] - '0');
    }
    int64_t year = number / 100;
    int64_t month = number % 100;
    if (year < YEAR_FIRST || month < 1 || month > 12) {
        return false;
    }
    ret->from.ms = days_to(year, month - 1) * DAY_MS;
    ret->until.ms = (month == 12 ? days_to(year + 1, 0) : days_to(year, month)) * DAY_MS;
    return true;
}

bool wl_month_past(const wl_month_t *self, wl_wall_ms_t now) {
    return self->until.ms <= now.ms;
}

bool wl_month_has(const wl_month_t *self, int64_t time) {
    return time >= self->from.ms && time < self->until.ms;
}
