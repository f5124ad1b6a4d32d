#include "domain/moment.h"

#include "domain/month.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define END_MS INT64_C(253402300800000) /* of the year 9999 */

enum { SECOND_MS = 1000, MINUTE_MS = 60000, HOUR_MS = 3600000, DAY_MS = 86400000 };

/* Two digits that are at most `max`; -1: they are not. Never reads past a NUL. */
static int two_digits(const char *at, int max) {
    if (at[0] < '0' || at[0] > '9' || at[1] < '0' || at[1] > '9') {
        return -1;
    }
    int number = (at[0] - '0') * 10 + (at[1] - '0');
    return number <= max ? number : -1;
}

/* "2026-11-11" */
static bool parse_day(const char *at, int64_t *ret_ms) {
    char text[WL_MONTH_BYTES + 1] = "";
    wl_month_t month;
    if (strnlen(at, WL_MONTH_BYTES + 3) < WL_MONTH_BYTES + 3) {
        return false;
    }
    memcpy(text, at, WL_MONTH_BYTES);
    int day = two_digits(at + WL_MONTH_BYTES + 1, 31);
    if (!wl_month_parse(text, &month) || at[WL_MONTH_BYTES] != '-' || day < 1) {
        return false;
    }
    *ret_ms = month.from.ms + (int64_t)(day - 1) * DAY_MS;
    return *ret_ms < month.until.ms;
}

/* "23:59:59.25"; NULL, or what is behind it. */
static const char *parse_time(const char *at, int64_t *ret_ms) {
    int hour = two_digits(at, 23);
    int minute = hour < 0 || at[2] != ':' ? -1 : two_digits(at + 3, 59);
    int second = minute < 0 || at[5] != ':' ? -1 : two_digits(at + 6, 59);
    if (second < 0) {
        return NULL;
    }
    *ret_ms = (int64_t)hour * HOUR_MS + (int64_t)minute * MINUTE_MS + (int64_t)second * SECOND_MS;
    at += 8;
    if (*at != '.') {
        return at;
    }
    const char *digits = at + 1;
    int64_t worth = SECOND_MS;
    for (at = digits; *at >= '0' && *at <= '9'; at++) {
        worth /= 10;
        *ret_ms += worth * (*at - '0');
    }
    return at == digits ? NULL : at;
}

/* "Z" or "+08:00", and nothing behind it. */
static bool parse_zone(const char *at, int64_t *ret_ms) {
    *ret_ms = 0;
    if (*at == 'Z' || *at == 'z') {
        return at[1] == '\0';
    }
    if (*at != '+' && *at != '-') {
        return false;
    }
    int hours = two_digits(at + 1, 23);
    int minutes = hours < 0 || at[3] != ':' ? -1 : two_digits(at + 4, 59);
    if (minutes < 0 || at[6] != '\0') {
        return false;
    }
    int64_t ahead = (int64_t)hours * HOUR_MS + (int64_t)minutes * MINUTE_MS;
    *ret_ms = *at == '+' ? ahead : -ahead;
    return true;
}

bool wl_moment_parse(const char *text, wl_wall_ms_t *ret) {
    int64_t day = 0;
    int64_t time = 0;
    int64_t zone = 0;
    if (!parse_day(text, &day) || (text[10] != 'T' && text[10] != 't')) {
        return false;
    }
    const char *rest = parse_time(text + 11, &time);
    if (rest == NULL || !parse_zone(rest, &zone)) {
        return false;
    }
    ret->ms = day + time - zone;
    return true;
}

void wl_moment_write(wl_wall_ms_t moment, char ret[WL_MOMENT_BYTES + 1]) {
    time_t seconds = (time_t)(moment.ms / SECOND_MS);
    struct tm when;
    if (moment.ms < 0 || moment.ms >= END_MS || gmtime_r(&seconds, &when) == NULL) {
        (void)snprintf(ret, WL_MOMENT_BYTES + 1, "%" PRId64, moment.ms);
        return;
    }
    size_t used = strftime(ret, WL_MOMENT_BYTES + 1, "%Y-%m-%dT%H:%M:%S", &when);
    unsigned ms = (unsigned)(moment.ms % SECOND_MS);
    if (ms == 0) {
        (void)snprintf(ret + used, WL_MOMENT_BYTES + 1 - used, "Z");
    } else {
        (void)snprintf(ret + used, WL_MOMENT_BYTES + 1 - used, ".%03uZ", ms);
    }
}
