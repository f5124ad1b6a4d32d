#include "domain/campaign_clock.h"

#include <stdint.h>

static int64_t minus(int64_t left, int64_t right) {
    int64_t result = 0;
    if (__builtin_sub_overflow(left, right, &result)) {
        return right < 0 ? INT64_MAX : INT64_MIN;
    }
    return result;
}

static int64_t plus(int64_t left, int64_t right) {
    int64_t result = 0;
    if (__builtin_add_overflow(left, right, &result)) {
        return right < 0 ? INT64_MIN : INT64_MAX;
    }
    return result;
}

static bool is_step(int64_t from, int64_t to) {
    int64_t way = minus(to, from);
    return way >= -WL_CAMPAIGN_STEP_MS && way <= WL_CAMPAIGN_STEP_MS;
}

/* Never backwards but when `ahead` says so. */
static wl_wall_ms_t clock_say(wl_campaign_clock_t *self, wl_mono_ms_t mono) {
    int64_t now = plus(mono.ms, self->ahead);
    self->last.ms = now > self->last.ms ? now : self->last.ms;
    return self->last;
}

wl_wall_ms_t wl_campaign_clock_at(wl_campaign_clock_t *self, wl_wall_ms_t wall, wl_mono_ms_t mono) {
    int64_t ahead = minus(wall.ms, mono.ms);
    if (!self->open) {
        *self = (wl_campaign_clock_t){.open = true, .ahead = ahead, .last = wall};
        return wall;
    }
    if (is_step(self->ahead, ahead)) {
        self->ahead = ahead;
        self->jumped = false;
        return clock_say(self, mono);
    }
    if (!self->jumped || !is_step(self->jump, ahead)) { /* a jump, or a jump from a jump */
        self->jumped = true;
        self->jump_at = mono;
    }
    self->jump = ahead;
    if (minus(mono.ms, self->jump_at.ms) >= WL_CAMPAIGN_PATIENCE_MS) {
        self->ahead = ahead;
        self->jumped = false;
        self->last.ms = INT64_MIN;
    }
    return clock_say(self, mono);
}
