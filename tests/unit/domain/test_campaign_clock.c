/* The moment for campaigns follows the wall clock, but not where it jumps for a short while. */
#include "domain/campaign_clock.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { T0 = 1000000000, PATIENCE = WL_CAMPAIGN_PATIENCE_MS };
#define HOUR ((int64_t)3600000)

typedef struct {
    wl_campaign_clock_t clock;
    int64_t mono;
    int64_t wall;
} stand_t;

/* Both clocks go on; the wall clock is moved by `jump` as well. */
static int64_t go(stand_t *self, int64_t ms, int64_t jump) {
    self->mono += ms;
    self->wall += ms + jump;
    return wl_campaign_clock_at(&self->clock, (wl_wall_ms_t){self->wall},
                                (wl_mono_ms_t){self->mono})
        .ms;
}

static stand_t stand(void) {
    stand_t self = {.mono = 500, .wall = T0};
    cr_assert_eq(go(&self, 0, 0), T0, "the first moment is the wall clock's");
    return self;
}

Test(campaign_clock, goes_with_the_wall_clock) {
    stand_t self = stand();
    cr_expect_eq(go(&self, 10, 0), T0 + 10);
    cr_expect_eq(go(&self, HOUR, 0), T0 + 10 + HOUR, "however seldom one looks");
    cr_expect_eq(go(&self, 0, 0), T0 + 10 + HOUR);
}

Test(campaign_clock, small_steps_are_followed_at_once_but_never_backwards) {
    stand_t self = stand();
    cr_expect_eq(go(&self, 100, 2000), T0 + 2100);
    cr_expect_eq(go(&self, 100, -2000), T0 + 2100, "it waits");
    cr_expect_eq(go(&self, 1000, 0), T0 + 2100);
    cr_expect_eq(go(&self, 901, 0), T0 + 2101, "until the clock has caught up");
    for (int i = 0; i < 100; i++) { /* a clock that runs fast */
        cr_expect_eq(go(&self, 1000, 50), T0 + 2101 + (i + 1) * 1050);
    }
}

Test(campaign_clock, a_jump_that_is_undone_never_was) {
    static const int64_t jumps[] = {2001, -2001, HOUR, -HOUR, 100 * HOUR, -100 * HOUR};
    for (size_t i = 0; i < sizeof jumps / sizeof *jumps; i++) {
        stand_t self = stand();
        cr_expect_eq(go(&self, 10, jumps[i]), T0 + 10);
        cr_expect_eq(go(&self, PATIENCE - 1, 0), T0 + 9 + PATIENCE, "not yet");
        cr_expect_eq(go(&self, 1, -jumps[i]), T0 + 10 + PATIENCE);
        cr_expect_eq(go(&self, PATIENCE, 0), T0 + 10 + 2 * PATIENCE);
    }
}

Test(campaign_clock, a_jump_that_lasts_is_followed_both_ways) {
    stand_t self = stand();
    cr_expect_eq(go(&self, 0, HOUR), T0);
    cr_expect_eq(go(&self, PATIENCE, 0), T0 + PATIENCE + HOUR);
    cr_expect_eq(go(&self, 0, -HOUR), T0 + PATIENCE + HOUR);
    cr_expect_eq(go(&self, PATIENCE, 0), T0 + 2 * PATIENCE);
    cr_expect_eq(go(&self, 1, 0), T0 + 2 * PATIENCE + 1);
}

Test(campaign_clock, a_jump_from_a_jump_waits_anew) {
    stand_t self = stand();
    cr_expect_eq(go(&self, 0, HOUR), T0);
    cr_expect_eq(go(&self, PATIENCE - 1, HOUR), T0 + PATIENCE - 1);
    cr_expect_eq(go(&self, 1, 0), T0 + PATIENCE);
    cr_expect_eq(go(&self, PATIENCE - 1, 500), T0 + 2 * PATIENCE - 1 + 2 * HOUR + 500,
                 "corrected by a little meanwhile");
}

Test(campaign_clock, survives_the_ends_of_time) {
    static const int64_t ends[] = {INT64_MIN, INT64_MIN + 1, -1, 0, 1, INT64_MAX - 1, INT64_MAX};
    wl_campaign_clock_t clock = {0};
    for (int round = 0; round < 3000; round++) {
        wl_wall_ms_t wall = {ends[rand() % 7]};
        (void)wl_campaign_clock_at(&clock, wall, (wl_mono_ms_t){ends[rand() % 7]});
    }
}

/* Random slews and jumps. Where the wall clock has been within a step of the truth for as long as
 * one looks, the moment never leaves it; it goes backwards only after a jump that lasted. */
Test(campaign_clock, short_jumps_of_any_size_switch_nothing) {
    srand(11);
    for (int round = 0; round < 300; round++) {
        stand_t self = stand();
        int64_t truth = T0;
        int64_t away = 0;    /* of the wall clock from the truth */
        int64_t back_at = 0; /* mono: a jump is undone then */
        int64_t last = T0;
        for (int i = 0; i < 400; i++) {
            int64_t ms = rand() % 3000;
            int64_t jump = 0;
            if (away == 0 && rand() % 20 == 0) {
                jump = rand() % (1000 * HOUR) - 500 * HOUR;
                back_at = self.mono + ms + rand() % (PATIENCE - 3000);
            } else if (away != 0 && self.mono + ms >= back_at) {
                jump = -away;
            }
            away += jump;
            truth += ms;
            int64_t now = go(&self, ms, jump);
            cr_assert_geq(now, last);
            cr_assert_eq(now, truth, "round %d, away %lld", round, (long long)away);
            last = now;
        }
    }
}

/* Whatever the clocks do: the same clocks give the same moment, and backwards it goes only by more
 * than a step and after that has been so for the whole time of patience. */
Test(campaign_clock, never_goes_backwards_without_patience) {
    srand(13);
    stand_t self = stand();
    int64_t last = T0;
    int64_t changed_at = self.mono; /* when the wall clock was last moved by more than a step */
    uint32_t backwards = 0;
    for (int i = 0; i < 200000; i++) {
        int64_t jump = 0;
        int64_t ms = rand() % 2000;
        if (rand() % 100 == 0) {
            jump = rand() % (4 * HOUR) - 2 * HOUR;
        } else if (rand() % 3 == 0) {
            jump = rand() % 41 - 20;
        }
        if (jump > WL_CAMPAIGN_STEP_MS || jump < -WL_CAMPAIGN_STEP_MS) {
            changed_at = self.mono + ms;
        }
        int64_t now = go(&self, ms, jump);
        cr_assert_eq(go(&self, 0, 0), now);
        if (now < last) {
            backwards++;
            cr_assert_geq(self.mono - changed_at, PATIENCE);
        }
        if (self.mono - changed_at >= PATIENCE + 2000) {
            int64_t behind = self.wall - now;
            cr_assert(behind <= WL_CAMPAIGN_STEP_MS && behind >= -WL_CAMPAIGN_STEP_MS * 2,
                      "%lld behind", (long long)behind);
        }
        last = now;
    }
    cr_expect_gt(backwards, 10);
}
