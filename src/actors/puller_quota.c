#include "actors/puller_quota.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "store/blob_file.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILE_BYTES_MAX = 64,
    AGAIN_MS = 1000, /* after a write that failed */
};

struct wl_puller_quota {
    bool shared;
    bool wanted;            /* shared: calls wait for a reservation */
    bool noticed;           /* shared: that nobody reserves, and that was logged */
    wl_quota_share_t share; /* when shared; else the rest */
    wl_quota_t quota;
    bool read;         /* the file, with the first limit */
    int64_t failed_at; /* monotonic ms of the last write that failed, 0 = it did not */
    char line[64];
    char path[PATH_MAX]; /* "": no file */
};

wl_puller_quota_t *wl_puller_quota_new(const char *data_dir, const char *line, bool shared) {
    wl_puller_quota_t *self = wl_alloc_zero(1, sizeof *self);
    self->shared = shared;
    wl_quota_share_init(&self->share);
    (void)snprintf(self->line, sizeof self->line, "%s", line);
    if (data_dir != NULL && !shared) {
        int bytes = snprintf(self->path, sizeof self->path, "%s/quota-%s", data_dir, line);
        WL_ASSERT(bytes > 0 && (size_t)bytes < sizeof self->path); /* data_dir: 400 at most */
    }
    return self;
}

static wl_err_t quota_write(const wl_puller_quota_t *self, int64_t day, uint64_t reserved) {
    char text[FILE_BYTES_MAX];
    if (self->path[0] == '\0') {
        return WL_OK;
    }
    int bytes = snprintf(text, sizeof text, "%" PRId64 " %" PRIu64 "\n", day, reserved);
    return wl_blob_file_write(self->path, text, (size_t)bytes);
}

void wl_puller_quota_destroy(wl_puller_quota_t **pointer) {
    wl_puller_quota_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    const wl_quota_t *quota = self->shared ? &self->share.quota : &self->quota;
    if (quota->reserved > quota->used &&
        (self->shared || quota_write(self, quota->day, quota->used) != WL_OK)) {
        wl_log(WL_LOG_WARN, "puller", "quota_wasted", "line %s: %" PRIu64 " calls of its quota",
               self->line, quota->reserved - quota->used);
    }
    wl_free(self);
    *pointer = NULL;
}

/* "20415 700\n" */
static bool quota_parse(const char *text, int64_t *ret_day, uint64_t *ret_reserved) {
    char *end = NULL;
    long long day = strtoll(text, &end, 10);
    if (end == text || *end != ' ' || end[1] < '0' || end[1] > '9') {
        return false;
    }
    const char *second = end + 1;
    unsigned long long reserved = strtoull(second, &end, 10);
    *ret_day = day;
    *ret_reserved = reserved;
    return strcmp(end, "\n") == 0;
}

static void quota_read(wl_puller_quota_t *self, uint64_t limit, wl_wall_ms_t wall) {
    int64_t day = 0;
    uint64_t reserved = 0;
    void *text = NULL;
    size_t bytes = 0;
    wl_err_t err = self->path[0] == '\0'
                       ? WL_ERR_NOT_FOUND
                       : wl_blob_file_read(self->path, FILE_BYTES_MAX, &text, &bytes);
    if (err == WL_OK && !quota_parse(text, &day, &reserved)) {
        err = WL_ERR_DAMAGED;
    }
    wl_free(text);
    if (err != WL_OK && err != WL_ERR_NOT_FOUND) {
        wl_log(WL_LOG_ERROR, "puller", "quota_unreadable",
               "line %s: %s; today counts as used up: %s", self->line, self->path,
               wl_err_text(err));
        day = wl_quota_day(wall);
        reserved = UINT64_MAX;
    }
    wl_quota_init(&self->quota, limit, day, reserved);
    self->read = true;
}

void wl_puller_quota_limit(wl_puller_quota_t *self, uint64_t limit, wl_wall_ms_t wall) {
    if (self->shared) {
        wl_quota_share_set(&self->share, limit);
    } else if (!self->read && limit > 0) {
        quota_read(self, limit, wall);
    } else {
        wl_quota_set(&self->quota, limit);
    }
}

static bool quota_reserve(wl_puller_quota_t *self, wl_mono_ms_t now, wl_wall_ms_t wall) {
    int64_t day = 0;
    uint64_t reserved = 0;
    if (self->failed_at > 0 && now.ms - self->failed_at < AGAIN_MS) {
        return false;
    }
    wl_quota_next(&self->quota, wall, &day, &reserved);
    wl_err_t err = quota_write(self, day, reserved);
    if (err != WL_OK) {
        self->failed_at = now.ms > 0 ? now.ms : 1;
        wl_log(WL_LOG_ERROR, "puller", "quota_unwritable", "line %s is not asked: %s: %s",
               self->line, self->path, wl_err_text(err));
        return false;
    }
    self->failed_at = 0;
    wl_quota_granted(&self->quota, day, reserved);
    return true;
}

bool wl_puller_quota_may(wl_puller_quota_t *self, wl_mono_ms_t now, wl_wall_ms_t wall) {
    if (self->shared) {
        self->wanted = true;
        return wl_quota_share_ready(&self->share, wall);
    }
    wl_quota_state_t state = wl_quota_look(&self->quota, wall);
    if (state == WL_QUOTA_RESERVE && quota_reserve(self, now, wall)) {
        state = wl_quota_look(&self->quota, wall);
    }
    return state == WL_QUOTA_READY;
}

void wl_puller_quota_take(wl_puller_quota_t *self) {
    if (self->shared) {
        wl_quota_share_take(&self->share);
    } else {
        wl_quota_take(&self->quota);
    }
}

/* ---- shared ---------------------------------------------------------------------------------- */

/* Once for each time that the database is away. */
static void quota_notice(wl_puller_quota_t *self) {
    const wl_quota_share_t *share = &self->share;
    if (share->away == self->noticed) {
        return;
    }
    self->noticed = share->away;
    if (share->away) {
        wl_log(WL_LOG_ERROR, "puller", "quota_unreserved",
               "line %s: %" PRIu64 " calls are reserved, and no more can be for now", self->line,
               share->quota.reserved - share->quota.used);
    } else {
        wl_log(WL_LOG_INFO, "puller", "quota_reserved", "line %s: calls can be reserved again",
               self->line);
    }
}

bool wl_puller_quota_ask(wl_puller_quota_t *self, wl_mono_ms_t now, wl_wall_ms_t wall,
                         wl_quota_ask_t *ret) {
    if (!self->shared) {
        return false;
    }
    bool due = wl_quota_share_ask(&self->share, self->wanted, now, wall, ret);
    self->wanted = false;
    quota_notice(self);
    return due;
}

void wl_puller_quota_answer(wl_puller_quota_t *self, wl_err_t err, int64_t day, uint64_t granted,
                            uint64_t left, wl_mono_ms_t now, wl_wall_ms_t wall) {
    WL_ASSERT(self->shared);
    if (err == WL_OK) {
        wl_quota_share_answer(&self->share, day, granted, left, now, wall);
    } else {
        wl_quota_share_failed(&self->share, now);
    }
    quota_notice(self);
}

void wl_puller_quota_close(wl_puller_quota_t *self) {
    if (self->shared) {
        wl_quota_share_close(&self->share);
    }
}

/* ---- state ----------------------------------------------------------------------------------- */

int64_t wl_puller_quota_left(const wl_puller_quota_t *self, wl_wall_ms_t wall) {
    uint64_t left =
        self->shared ? wl_quota_share_left(&self->share, wall) : wl_quota_left(&self->quota, wall);
    return left == UINT64_MAX ? -1 : left > INT64_MAX ? INT64_MAX : (int64_t)left;
}

int64_t wl_puller_quota_wait_ms(wl_puller_quota_t *self, wl_mono_ms_t now, wl_wall_ms_t wall,
                                const char **ret_reason) {
    if (self->shared) {
        *ret_reason =
            self->share.spent ? "the quota of the day is used up" : "the quota cannot be reserved";
        return wl_quota_share_wait_ms(&self->share, now, wall);
    }
    wl_quota_state_t state = wl_quota_look(&self->quota, wall);
    if (state == WL_QUOTA_SPENT) {
        *ret_reason = "the quota of the day is used up";
        return wl_quota_wait_ms(&self->quota, wall);
    }
    int64_t again_ms = self->failed_at > 0 ? self->failed_at + AGAIN_MS - now.ms : 0;
    if (state == WL_QUOTA_RESERVE && again_ms > 0) {
        *ret_reason = "the quota cannot be written down";
        return again_ms;
    }
    return 0;
}
