#include "domain/retry.h"

#include "base/check.h"

enum {
    MILLI = 1000,
    EARNED_MILLI = 200, /* of one first attempt: retries stay 20 % of the pulls */
    SAVED_SECONDS = 10, /* of the minimum */
    SAVED_TOKENS = 100, /* half a pull's users, for a line that fails for a moment */
};

void wl_retry_budget_init(wl_retry_budget_t *self, uint32_t minimum, wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    *self = (wl_retry_budget_t){
        .milli = (int64_t)minimum * MILLI,
        .milli_max = ((int64_t)minimum * SAVED_SECONDS + SAVED_TOKENS) * MILLI,
        .minimum = minimum,
        .filled = now,
    };
}

static void retry_budget_add(wl_retry_budget_t *self, int64_t milli) {
    self->milli += milli;
    self->milli = self->milli > self->milli_max ? self->milli_max : self->milli;
}

void wl_retry_budget_earn(wl_retry_budget_t *self, uint32_t first_attempts) {
    WL_ASSERT(self != NULL);
    retry_budget_add(self, (int64_t)first_attempts * EARNED_MILLI);
}

bool wl_retry_budget_take(wl_retry_budget_t *self, wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    int64_t elapsed_ms = now.ms - self->filled.ms;
    if (elapsed_ms > 0) {
        /* SAVED_TOKENS make milli_max larger than SAVED_SECONDS of it: longer pauses are cut, lest
         * the product overflow, but never below what fits. */
        int64_t useful_ms = self->minimum == 0 ? 0 : self->milli_max / self->minimum + 1;
        retry_budget_add(self, (elapsed_ms < useful_ms ? elapsed_ms : useful_ms) * self->minimum);
        self->filled = now;
    }
    if (self->milli < MILLI) {
        return false;
    }
    self->milli -= MILLI;
    return true;
}

int64_t wl_retry_delay_ms(uint32_t attempt, uint32_t base_ms, uint32_t max_ms, uint32_t random) {
    int64_t delay_ms = base_ms;
    for (uint32_t n = 1; n < attempt && delay_ms < (int64_t)max_ms; n++) {
        delay_ms *= 2;
        if (delay_ms == 0) {
            break;
        }
    }
    delay_ms = delay_ms > (int64_t)max_ms ? (int64_t)max_ms : delay_ms;
    int64_t half_ms = delay_ms / 2;
    int64_t chosen_ms = half_ms + (int64_t)random % (delay_ms - half_ms + 1);
    return chosen_ms < 1 ? 1 : chosen_ms;
}
