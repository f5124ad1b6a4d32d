#include "domain/backfill.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/table.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *wl_backfill_phase_name(wl_backfill_phase_t phase) {
    static const char *const names[WL_BACKFILL_PHASE_COUNT] = {
#define BACKFILL_NAME(name, text, doc) text,
        WL_BACKFILL_PHASES(BACKFILL_NAME)
#undef BACKFILL_NAME
    };
    return (unsigned)phase < WL_BACKFILL_PHASE_COUNT ? names[phase] : "?";
}

/* ---- records --------------------------------------------------------------------------------- */

/* Decimal numbers with one blank between them, and nothing else. */
static bool numbers_parse(const void *text, size_t bytes, uint64_t *ret, size_t count) {
    char copy[WL_BACKFILL_TEXT_MAX];
    if (bytes >= sizeof copy) {
        return false;
    }
    memcpy(copy, text, bytes);
    copy[bytes] = '\0';
    const char *at = copy;
    for (size_t i = 0; i < count; i++) {
        uint64_t number = 0;
        size_t digits = strspn(at, "0123456789");
        if (digits == 0 || digits > 20) {
            return false;
        }
        for (size_t d = 0; d < digits; d++) {
            if (__builtin_mul_overflow(number, 10u, &number) ||
                __builtin_add_overflow(number, (uint64_t)(at[d] - '0'), &number)) {
                return false;
            }
        }
        ret[i] = number;
        at += digits;
        if (*at != (i + 1 == count ? '\0' : ' ')) {
            return false;
        }
        at += i + 1 < count;
    }
    return strlen(copy) == bytes;
}

size_t wl_backfill_want_format(const wl_backfill_want_t *self, char ret[WL_BACKFILL_TEXT_MAX]) {
    int bytes = snprintf(ret, WL_BACKFILL_TEXT_MAX, "%" PRIu64 " %" PRId64 " %" PRIu32 " %d %d",
                         self->id, self->wanted_at, self->rate, self->all, self->stop);
    WL_ASSERT(bytes > 0 && bytes < WL_BACKFILL_TEXT_MAX);
    return (size_t)bytes;
}

bool wl_backfill_want_parse(const void *text, size_t bytes, wl_backfill_want_t *ret) {
    uint64_t numbers[5];
    if (!numbers_parse(text, bytes, numbers, WL_COUNT_OF(numbers)) || numbers[0] == 0 ||
        numbers[1] > INT64_MAX || numbers[2] > UINT32_MAX || numbers[3] > 1 || numbers[4] > 1) {
        return false;
    }
    *ret = (wl_backfill_want_t){.id = numbers[0],
                                .wanted_at = (int64_t)numbers[1],
                                .rate = (uint32_t)numbers[2],
                                .all = numbers[3] == 1,
                                .stop = numbers[4] == 1};
    return true;
}

size_t wl_backfill_record_format(const wl_backfill_record_t *self, char ret[WL_BACKFILL_TEXT_MAX]) {
    int bytes = snprintf(ret, WL_BACKFILL_TEXT_MAX,
                         "%" PRIu64 " %d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %" PRIu64
                         " %" PRId64,
                         self->id, (int)self->phase, self->total, self->done, self->failed,
                         self->shard, self->after, self->ended_at);
    WL_ASSERT(bytes > 0 && bytes < WL_BACKFILL_TEXT_MAX);
    return (size_t)bytes;
}

bool wl_backfill_record_parse(const void *text, size_t bytes, wl_backfill_record_t *ret) {
    uint64_t numbers[8];
    if (!numbers_parse(text, bytes, numbers, WL_COUNT_OF(numbers)) || numbers[0] == 0 ||
        numbers[1] >= WL_BACKFILL_PHASE_COUNT || numbers[5] > UINT32_MAX ||
        numbers[7] > INT64_MAX) {
        return false;
    }
    *ret = (wl_backfill_record_t){.id = numbers[0],
                                  .phase = (wl_backfill_phase_t)numbers[1],
                                  .total = numbers[2],
                                  .done = numbers[3],
                                  .failed = numbers[4],
                                  .shard = (uint32_t)numbers[5],
                                  .after = numbers[6],
                                  .ended_at = (int64_t)numbers[7]};
    return true;
}

/* ---- users taken ----------------------------------------------------------------------------- */

typedef struct {
    uint64_t uid; /* the key */
    bool ended;
    bool good;
    UT_hash_handle hh;
} taken_t;

/* A ring; each place is in the table while its pull has not ended. */
struct wl_backfill_window {
    taken_t at[WL_BACKFILL_FLYING_MAX];
    taken_t *flying; /* borrowed, by uid */
    uint32_t first;
    uint32_t count;
};

wl_backfill_window_t *wl_backfill_window_new(void) {
    return wl_alloc_zero(1, sizeof(wl_backfill_window_t));
}

void wl_backfill_window_destroy(wl_backfill_window_t **self) {
    if (self != NULL && *self != NULL) {
        wl_backfill_window_clear(*self);
        wl_free(*self);
        *self = NULL;
    }
}

uint32_t wl_backfill_window_room(const wl_backfill_window_t *self) {
    return WL_BACKFILL_FLYING_MAX - self->count;
}

uint32_t wl_backfill_window_count(const wl_backfill_window_t *self) {
    return self->count;
}

void wl_backfill_window_add(wl_backfill_window_t *self, uint64_t uid) {
    WL_ASSERT(self->count < WL_BACKFILL_FLYING_MAX);
    taken_t *taken = &self->at[(self->first + self->count++) % WL_BACKFILL_FLYING_MAX];
    *taken = (taken_t){.uid = uid};
    HASH_ADD(hh, self->flying, uid, sizeof taken->uid, taken);
}

bool wl_backfill_window_end(wl_backfill_window_t *self, uint64_t uid, bool good) {
    taken_t *taken = NULL;
    HASH_FIND(hh, self->flying, &uid, sizeof uid, taken);
    if (taken == NULL) {
        return false;
    }
    HASH_DEL(self->flying, taken);
    taken->ended = true;
    taken->good = good;
    return true;
}

uint32_t wl_backfill_window_pass(wl_backfill_window_t *self, wl_backfill_record_t *record) {
    uint32_t passed = 0;
    while (self->count > 0 && self->at[self->first].ended) {
        const taken_t *taken = &self->at[self->first];
        record->done += taken->good;
        record->failed += !taken->good;
        record->after = taken->uid;
        self->first = (self->first + 1) % WL_BACKFILL_FLYING_MAX;
        self->count--;
        passed++;
    }
    return passed;
}

void wl_backfill_window_clear(wl_backfill_window_t *self) {
    HASH_CLEAR(hh, self->flying);
    self->first = 0;
    self->count = 0;
}
