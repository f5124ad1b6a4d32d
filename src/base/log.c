#include "base/log.h"

#include "base/clock.h"
#include "base/table.h"

#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    LINE_BYTES = 1024, /* one log line; longer texts are cut */
    REPEAT_CODES = 64, /* codes watched for repetition; a collision shares a budget */
    REPEAT_LINES = 10, /* lines of one code per window */
    REPEAT_WINDOW_MS = 10000,
};

static _Atomic int least_level = WL_LOG_INFO;
static _Atomic uint64_t lines_dropped;

static pthread_mutex_t repeat_lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    int64_t window_start;
    uint32_t lines;
    uint32_t repeats;
} repeat_codes[REPEAT_CODES];

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void wl_log_level_set(wl_log_level_t level) {
    atomic_store(&least_level, (int)level);
}

bool wl_log_level_parse(const char *text, wl_log_level_t *ret) {
    for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *ret = (wl_log_level_t)i;
            return true;
        }
    }
    return false;
}

uint64_t wl_log_dropped(void) {
    return atomic_load(&lines_dropped);
}

void wl_log_uid(uint64_t uid, char ret_text[16]) {
    (void)snprintf(ret_text, 16, "u:%08x", wl_table_hash(&uid, sizeof uid));
}

/* false: this code has used up its window. *ret_repeats: lines kept back before this one. */
static bool repeat_allow(const char *code, uint32_t *ret_repeats) {
    uint32_t slot = wl_table_hash(code, strlen(code)) % REPEAT_CODES;
    int64_t now = wl_mono_now().ms;
    (void)pthread_mutex_lock(&repeat_lock);
    bool fresh = now - repeat_codes[slot].window_start > REPEAT_WINDOW_MS;
    if (fresh) {
        repeat_codes[slot].window_start = now;
        repeat_codes[slot].lines = 0;
    }
    bool allowed = repeat_codes[slot].lines < REPEAT_LINES;
    *ret_repeats = repeat_codes[slot].repeats;
    if (allowed) {
        repeat_codes[slot].lines++;
        repeat_codes[slot].repeats = 0;
    } else {
        repeat_codes[slot].repeats++;
    }
    (void)pthread_mutex_unlock(&repeat_lock);
    return allowed;
}

/* Appends text with JSON escapes; returns the new length, never past LINE_BYTES - 32. */
static size_t json_append(char *line, size_t used, const char *text) {
    for (; *text != '\0' && used < LINE_BYTES - 40; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            line[used++] = '\\';
            line[used++] = (char)c;
        } else if (c < 0x20) {
            used += (size_t)snprintf(line + used, 8, "\\u%04x", c);
        } else {
            line[used++] = (char)c;
        }
    }
    return used;
}

static void line_write(const char *line, size_t bytes) {
    struct pollfd out = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (poll(&out, 1, 0) != 1 || write(STDERR_FILENO, line, bytes) < 0) {
        (void)atomic_fetch_add(&lines_dropped, 1);
    }
}

void wl_log(wl_log_level_t level, const char *actor, const char *code, const char *format, ...) {
    uint32_t repeats = 0;
    if ((int)level < atomic_load(&least_level) || !repeat_allow(code, &repeats)) {
        return;
    }
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);

    int64_t now = wl_wall_now().ms;
    time_t seconds = (time_t)(now / 1000);
    struct tm utc;
    (void)gmtime_r(&seconds, &utc);
    char line[LINE_BYTES];
    size_t used = strftime(line, sizeof line, "{\"ts\":\"%Y-%m-%dT%H:%M:%S", &utc);
    used +=
        (size_t)snprintf(line + used, sizeof line - used,
                         ".%03dZ\",\"level\":\"%s\",\"actor\":\"%s\",\"code\":\"%s\",\"text\":\"",
                         (int)(now % 1000), level_names[level], actor, code);
    used = json_append(line, used, text);
    line[used++] = '"';
    if (repeats > 0) {
        used += (size_t)snprintf(line + used, 32, ",\"repeats\":%u", repeats);
    }
    line[used++] = '}';
    line[used++] = '\n';
    line_write(line, used);
}
