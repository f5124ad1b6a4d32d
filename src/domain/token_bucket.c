#include "domain/token_bucket.h"

#include "base/check.h"

/* A rate of r tokens a second is exactly r thousandths a millisecond, and h of n parts of it are
 * r * h thousandths of an n-th: nothing is ever rounded. */
enum { MILLI = 1000, PARTS_MAX = 1024 };

/* One token. */
static int64_t token_bucket_unit(const wl_token_bucket_t *self) {
    return (int64_t)MILLI * self->parts;
}

static int64_t token_bucket_full(const wl_token_bucket_t *self) {
    int64_t full = (int64_t)self->burst * self->held * MILLI;
    int64_t unit = token_bucket_unit(self);
    return full > unit ? full : unit;
}

static int64_t token_bucket_speed(const wl_token_bucket_t *self) {
    return (int64_t)self->rate * self->held;
}

static void token_bucket_fill(wl_token_bucket_t *self, wl_mono_ms_t now) {
    int64_t elapsed_ms = now.ms - self->filled.ms;
    if (elapsed_ms <= 0) {
        return;
    }
    int64_t full = token_bucket_full(self);
    int64_t speed = token_bucket_speed(self);
    /* Compared by division: the product of a long pause and a high rate does not fit. */
    if (speed > 0 && elapsed_ms > (full - self->milli) / speed) {
        self->milli = full;
    } else {
        self->milli += elapsed_ms * speed;
    }
    self->filled = now;
}

void wl_token_bucket_init(wl_token_bucket_t *self, uint32_t rate, uint32_t burst,
                          wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    *self = (wl_token_bucket_t){
        .rate = rate, .burst = burst == 0 ? 1 : burst, .held = 1, .parts = 1, .filled = now};
    self->milli = token_bucket_full(self);
}

static void token_bucket_cut(wl_token_bucket_t *self) {
    int64_t full = token_bucket_full(self);
    self->milli = self->milli > full ? full : self->milli;
}

void wl_token_bucket_set(wl_token_bucket_t *self, uint32_t rate, uint32_t burst, wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    token_bucket_fill(self, now); /* the past was earned at the old rate */
    self->rate = rate;
    self->burst = burst == 0 ? 1 : burst;
    token_bucket_cut(self);
}

void wl_token_bucket_share(wl_token_bucket_t *self, uint32_t held, uint32_t parts,
                           wl_mono_ms_t now) {
    WL_ASSERT(self != NULL && held >= 1 && held <= parts && parts <= PARTS_MAX);
    token_bucket_fill(self, now);
    self->milli = self->milli / self->parts * parts;
    self->held = held;
    self->parts = parts;
    token_bucket_cut(self);
}

bool wl_token_bucket_take(wl_token_bucket_t *self, wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    if (self->rate == 0) {
        return true;
    }
    token_bucket_fill(self, now);
    if (self->milli < token_bucket_unit(self)) {
        return false;
    }
    self->milli -= token_bucket_unit(self);
    return true;
}

int64_t wl_token_bucket_wait_ms(wl_token_bucket_t *self, wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    if (self->rate == 0) {
        return 0;
    }
    token_bucket_fill(self, now);
    int64_t lacking = token_bucket_unit(self) - self->milli;
    int64_t speed = token_bucket_speed(self);
    return lacking <= 0 ? 0 : (lacking + speed - 1) / speed;
}
