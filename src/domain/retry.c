#include "domain/retry.h"

#include "base/check.h"

enum {
    MILLI = 1000,
    EARNED_MILLI = 200, /* of one first attempt: retries stay 20 % of the pulls */
    SAVED_SECONDS = 10, /* of the minimum */
    SAVED_TOKENS = 100, /* half a pull's users, for a line that fails for a moment */
    SECOND_MS = 1000,
    BAD_ONE_IN = 20, /* outcomes: a line of which more are bad is not well */
    ROUSED_EACH = 2, /* sleepers for each good outcome */
};

/* What a pause may save up. */
static int64_t retry_budget_idle_max(uint32_t minimum) {
    return (int64_t)minimum * SAVED_SECONDS * MILLI;
}

void wl_retry_budget_init(wl_retry_budget_t *self, uint32_t minimum, wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    int64_t idle_max = retry_budget_idle_max(minimum);
    *self = (wl_retry_budget_t){
        .milli = (int64_t)minimum * MILLI,
        .milli_max = idle_max > SAVED_TOKENS * MILLI ? idle_max : SAVED_TOKENS * MILLI,
        .minimum = minimum,
        .filled = now,
    };
}

static void retry_budget_add(wl_retry_budget_t *self, int64_t milli, int64_t milli_max) {
    if (self->milli < milli_max) {
        self->milli += milli;
        self->milli = self->milli > milli_max ? milli_max : self->milli;
    }
}

void wl_retry_budget_earn(wl_retry_budget_t *self, uint32_t first_attempts) {
    WL_ASSERT(self != NULL);
    retry_budget_add(self, (int64_t)first_attempts * EARNED_MILLI, self->milli_max);
}

bool wl_retry_budget_take(wl_retry_budget_t *self, wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    int64_t elapsed_ms = now.ms - self->filled.ms;
    if (elapsed_ms > 0) {
        /* Longer pauses are cut, lest the product overflow. */
        int64_t useful_ms = SAVED_SECONDS * MILLI;
        retry_budget_add(self, (elapsed_ms < useful_ms ? elapsed_ms : useful_ms) * self->minimum,
                         retry_budget_idle_max(self->minimum));
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

/* ---- a line that is well again --------------------------------------------------------------- */

static void recovery_turn(wl_recovery_t *self, wl_mono_ms_t now) {
    int64_t second = now.ms / SECOND_MS;
    if (second == self->second) {
        return;
    }
    bool next = second == self->second + 1;
    self->good_before = next ? self->good : 0;
    self->bad_before = next ? self->bad : 0;
    self->good = 0;
    self->bad = 0;
    self->second = second;
}

void wl_recovery_note(wl_recovery_t *self, bool good, wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    recovery_turn(self, now);
    if (good) {
        self->good++;
        self->fresh++;
    } else {
        self->bad++;
    }
}

uint32_t wl_recovery_rouse(wl_recovery_t *self, wl_mono_ms_t now) {
    WL_ASSERT(self != NULL);
    recovery_turn(self, now);
    uint64_t bad = (uint64_t)self->bad + self->bad_before;
    uint64_t all = bad + self->good + self->good_before;
    uint32_t fresh = self->fresh;
    self->fresh = 0;
    return bad * BAD_ONE_IN > all || fresh > UINT32_MAX / ROUSED_EACH ? 0 : fresh * ROUSED_EACH;
}
