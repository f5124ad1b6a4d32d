#include "domain/quota.h"

#include "base/check.h"

#include <stddef.h>

enum { CHUNKS_A_DAY = 100, CHUNK_MAX = 10000 };

static const int64_t DAY_MS = 86400000;

int64_t wl_quota_day(wl_wall_ms_t now) {
    return now.ms >= 0 ? now.ms / DAY_MS : -1 - (-1 - now.ms) / DAY_MS;
}

void wl_quota_init(wl_quota_t *self, uint64_t limit, int64_t day, uint64_t reserved) {
    WL_ASSERT(self != NULL);
    *self = (wl_quota_t){.limit = limit, .day = day, .used = reserved, .reserved = reserved};
}

void wl_quota_set(wl_quota_t *self, uint64_t limit) {
    WL_ASSERT(self != NULL);
    self->limit = limit;
}

wl_quota_state_t wl_quota_look(wl_quota_t *self, wl_wall_ms_t now) {
    WL_ASSERT(self != NULL);
    if (self->limit == 0) {
        return WL_QUOTA_READY;
    }
    int64_t today = wl_quota_day(now);
    if (self->day > today + 1) {
        self->day = today + 1;
    }
    if (today > self->day) {
        return WL_QUOTA_RESERVE;
    }
    if (self->used >= self->limit) {
        return WL_QUOTA_SPENT;
    }
    return self->used < self->reserved ? WL_QUOTA_READY : WL_QUOTA_RESERVE;
}

uint64_t wl_quota_chunk(uint64_t limit) {
    uint64_t chunk = limit / CHUNKS_A_DAY;
    chunk = chunk < 1 ? 1 : chunk;
    return chunk > CHUNK_MAX ? CHUNK_MAX : chunk;
}

void wl_quota_next(const wl_quota_t *self, wl_wall_ms_t now, int64_t *ret_day,
                   uint64_t *ret_reserved) {
    WL_ASSERT(self->limit > 0);
    int64_t today = wl_quota_day(now);
    uint64_t chunk = wl_quota_chunk(self->limit);
    uint64_t used = today > self->day ? 0 : self->used;
    uint64_t left = self->limit > used ? self->limit - used : 0;
    *ret_day = today > self->day ? today : self->day;
    *ret_reserved = used + (chunk < left ? chunk : left);
}

void wl_quota_granted(wl_quota_t *self, int64_t day, uint64_t reserved) {
    WL_ASSERT(day >= self->day);
    self->used = day > self->day ? 0 : self->used;
    self->day = day;
    self->reserved = reserved > self->used ? reserved : self->used;
}

void wl_quota_take(wl_quota_t *self) {
    if (self->limit > 0) {
        WL_ASSERT(self->used < self->reserved && self->used < self->limit);
        self->used++;
    }
}

uint64_t wl_quota_left(const wl_quota_t *self, wl_wall_ms_t now) {
    if (self->limit == 0) {
        return UINT64_MAX;
    }
    uint64_t used = wl_quota_day(now) > self->day ? 0 : self->used;
    return self->limit > used ? self->limit - used : 0;
}

int64_t wl_quota_wait_ms(const wl_quota_t *self, wl_wall_ms_t now) {
    int64_t today = wl_quota_day(now);
    int64_t day = self->day > today ? self->day : today;
    day = day > today + 1 ? today + 1 : day;
    int64_t wait_ms = (day + 1) * DAY_MS - now.ms;
    return wait_ms > 0 ? wait_ms : 1;
}
