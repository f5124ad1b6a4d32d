#include "domain/compare_pace.h"

enum {
    DUE_MINUTES = 60,        /* how late a process may still begin the run of the day */
    AGAIN_MS = 12 * 3600000, /* a day has 23 to 25 hours */
    DAY_MINUTES = 24 * 60,
    ROUND_PAUSE_MAX_MS = 60000, /* of few users: the round is over sooner */
};

bool wl_compare_at_parse(const char *text, int32_t *ret_minute) {
    if (text[0] == '\0') {
        *ret_minute = -1;
        return true;
    }
    for (int i = 0; i < 5; i++) {
        bool sound = i == 2 ? text[i] == ':' : text[i] >= '0' && text[i] <= '9';
        if (!sound) {
            return false;
        }
    }
    int32_t hour = (text[0] - '0') * 10 + text[1] - '0';
    int32_t minute = (text[3] - '0') * 10 + text[4] - '0';
    if (text[5] != '\0' || hour > 23 || minute > 59) {
        return false;
    }
    *ret_minute = hour * 60 + minute;
    return true;
}

bool wl_compare_due(int32_t minute, int32_t now_minute, int64_t last, int64_t now) {
    if (minute < 0) {
        return false;
    }
    int32_t late = (now_minute - minute + DAY_MINUTES) % DAY_MINUTES;
    return late < DUE_MINUTES && (last == 0 || now - last >= AGAIN_MS);
}

int64_t wl_compare_run_ms(uint64_t rows, uint64_t rate) {
    return rate == 0 ? 0 : (int64_t)(rows * 1000 / rate);
}

int64_t wl_compare_round_ms(uint64_t users, uint32_t step_users, int64_t worked_ms,
                            uint64_t round_s, uint32_t load_percent) {
    int64_t even = 0;
    if (users > 0) {
        even = (int64_t)((double)round_s * 900.0 * (double)step_users / (double)users);
    }
    even = even < ROUND_PAUSE_MAX_MS ? even : ROUND_PAUSE_MAX_MS;
    int64_t load = worked_ms * 100 / (int64_t)(load_percent == 0 ? 1 : load_percent);
    int64_t pause = load > even ? load : even; /* less than a claim lasts */
    return pause < ROUND_PAUSE_MAX_MS ? pause : ROUND_PAUSE_MAX_MS;
}
