#include "domain/quota_share.h"

#include "base/check.h"

#include <stddef.h>

static const int64_t DAY_MS = 86400000;
static const int64_t MIDNIGHT_MS = 600000; /* a clock that is wrong by more is taken as it is */

void wl_quota_share_init(wl_quota_share_t *self) {
    WL_ASSERT(self != NULL);
    *self = (wl_quota_share_t){0};
    wl_quota_init(&self->quota, 0, 0, 0);
}

static uint64_t share_stock(const wl_quota_share_t *self) {
    return self->quota.reserved - self->quota.used;
}

static void share_add_back(wl_quota_share_t *self, int64_t day, uint64_t count) {
    self->back = self->back_day == day ? self->back + count : count;
    self->back_day = day;
}

/* What is held of the day before is lost: it counts for that day. */
static void share_return(wl_quota_share_t *self) {
    uint64_t stock = share_stock(self);
    uint64_t back = stock < self->of_day ? stock : self->of_day;
    self->quota.reserved = self->quota.used;
    if (back > 0) {
        share_add_back(self, self->day, back);
        self->of_day -= back;
        self->left += back;
    }
}

void wl_quota_share_set(wl_quota_share_t *self, uint64_t limit) {
    uint64_t before = self->quota.limit;
    if (limit == before) {
        return;
    }
    if (limit < before) {
        share_return(self);
        self->left = self->left > before - limit ? self->left - (before - limit) : 0;
    } else {
        self->left += limit - before;
    }
    self->again_at = self->spent ? 0 : self->again_at;
    self->spent = false;
    wl_quota_set(&self->quota, limit);
}

void wl_quota_share_close(wl_quota_share_t *self) {
    share_return(self);
    self->closed = true;
}

/* Is what we hold of a day that is over? */
static bool share_stale(const wl_quota_share_t *self, wl_wall_ms_t wall) {
    return wl_quota_day(wall) > self->quota.day;
}

bool wl_quota_share_ready(wl_quota_share_t *self, wl_wall_ms_t wall) {
    bool open = !self->closed || self->quota.limit == 0;
    return open && wl_quota_look(&self->quota, wall) == WL_QUOTA_READY;
}

void wl_quota_share_take(wl_quota_share_t *self) {
    wl_quota_take(&self->quota);
}

/* Half a chunk is time enough for an answer. */
static bool share_low(const wl_quota_share_t *self, uint64_t chunk, wl_wall_ms_t wall) {
    uint64_t low = chunk / 2 > 1 ? chunk / 2 : 1;
    return share_stale(self, wall) || share_stock(self) <= low;
}

bool wl_quota_share_ask(wl_quota_share_t *self, bool wanted, wl_mono_ms_t now, wl_wall_ms_t wall,
                        wl_quota_ask_t *ret) {
    uint64_t chunk = wl_quota_chunk(self->quota.limit);
    bool may = now.ms >= self->again_at || (self->spent && share_stale(self, wall));
    bool due =
        wanted && may && !self->closed && self->quota.limit > 0 && share_low(self, chunk, wall);
    if (!due && self->back == 0) {
        return false;
    }
    *ret = (wl_quota_ask_t){.limit = self->quota.limit,
                            .chunk = due ? chunk : 0,
                            .day = self->back_day,
                            .back = self->back,
                            .unanswered = due && self->asked};
    self->back = 0;
    if (due) {
        self->away = self->away || self->asked;
        self->asked = true;
        self->spent = false;
        self->again_at = now.ms + WL_QUOTA_ANSWER_MS;
    }
    return true;
}

/* Given out for a day that is over here: either the answer took long, or our clock is ahead. */
static bool share_too_late(const wl_quota_share_t *self, int64_t day, wl_wall_ms_t wall) {
    int64_t today = wl_quota_day(wall);
    return day < self->day || (day == today - 1 && wall.ms - today * DAY_MS < MIDNIGHT_MS);
}

void wl_quota_share_answer(wl_quota_share_t *self, int64_t day, uint64_t granted, uint64_t left,
                           wl_mono_ms_t now, wl_wall_ms_t wall) {
    self->asked = false;
    self->away = false;
    if (share_too_late(self, day, wall)) {
        if (granted > 0) {
            share_add_back(self, day, granted);
        }
        self->again_at = now.ms + WL_QUOTA_ANSWER_MS;
        return;
    }
    (void)wl_quota_look(&self->quota, wall); /* brings a day that is far ahead back */
    int64_t today = wl_quota_day(wall);
    int64_t to = day > today ? day : today;
    to = to > self->quota.day ? to : self->quota.day;
    uint64_t held = day > self->day ? self->quota.used : self->quota.reserved;
    held = to > self->quota.day ? 0 : held;
    wl_quota_granted(&self->quota, to, held + granted);
    self->of_day = (day > self->day ? 0 : self->of_day) + granted;
    self->day = day;
    self->left = left;
    self->answered = true;
    self->spent = granted == 0;
    self->again_at = self->spent ? now.ms + WL_QUOTA_SPENT_MS : 0;
    if (self->closed) {
        share_return(self);
    }
}

void wl_quota_share_failed(wl_quota_share_t *self, wl_mono_ms_t now) {
    self->asked = false;
    self->away = true;
    self->again_at = now.ms + WL_QUOTA_ANSWER_MS;
}

uint64_t wl_quota_share_left(const wl_quota_share_t *self, wl_wall_ms_t wall) {
    uint64_t limit = self->quota.limit;
    if (limit == 0) {
        return UINT64_MAX;
    }
    if (!self->answered || share_stale(self, wall)) {
        return limit;
    }
    uint64_t left = share_stock(self) + self->left;
    return left < limit ? left : limit;
}

int64_t wl_quota_share_wait_ms(wl_quota_share_t *self, wl_mono_ms_t now, wl_wall_ms_t wall) {
    bool coming = self->asked && !self->away;
    if (wl_quota_share_ready(self, wall) || (coming && !self->closed)) {
        return 0;
    }
    if (self->closed) {
        return WL_QUOTA_ANSWER_MS;
    }
    int64_t wait_ms = self->again_at - now.ms;
    int64_t day_ms = wl_quota_wait_ms(&self->quota, wall);
    if (self->spent) {
        wait_ms = share_stale(self, wall) ? 0 : day_ms < wait_ms ? day_ms : wait_ms;
    }
    return wait_ms > 0 ? wait_ms : 0;
}
