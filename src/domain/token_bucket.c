#include "domain/token_bucket.h"

#include "base/check.h"

/* A rate of r tokens a second is exactly r thousandths a millisecond: nothing is ever rounded. */
enum { MILLI = 1000 };

static void token_bucket_fill(wl_token_bucket_t *self, wl_mono_ms_t now) {
    int64_t elapsed_ms = now.ms - self->filled.ms;
    if (elapsed_ms <= 0) {
        return;
    }
    int64_t full = (int64_t)self->burst * MILLI;
    /* Compared by division: the product of a long pause and a high rate does not fit. */
    if (self->rate > 0 && elapsed_ms > (full - self->milli) / self->rate) {
        self->milli = full;
    } else {
        self->milli += elapsed_ms * self->rate;
    }
    self->filled = now;
}

void wl_token_bucket_init(wl_token_bucket_t *self, uint32_t rate, uint32_t burst,
                          wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    *self = (wl_token_bucket_t){.rate = rate, .burst = burst == 0 ? 1 : burst, .filled = now};
    self->milli = (int64_t)self->burst * MILLI;
}

void wl_token_bucket_set(wl_token_bucket_t *self, uint32_t rate, uint32_t burst, wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    token_bucket_fill(self, now); /* the past was earned at the old rate */
    self->rate = rate;
    self->burst = burst == 0 ? 1 : burst;
    int64_t full = (int64_t)self->burst * MILLI;
    self->milli = self->milli > full ? full : self->milli;
}

bool wl_token_bucket_take(wl_token_bucket_t *self, wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    if (self->rate == 0) {
        return true;
    }
    token_bucket_fill(self, now);
    if (self->milli < MILLI) {
        return false;
    }
    self->milli -= MILLI;
    return true;
}

int64_t wl_token_bucket_wait_ms(wl_token_bucket_t *self, wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    if (self->rate == 0) {
        return 0;
    }
    token_bucket_fill(self, now);
    int64_t lacking = MILLI - self->milli;
    return lacking <= 0 ? 0 : (lacking + self->rate - 1) / self->rate;
}
