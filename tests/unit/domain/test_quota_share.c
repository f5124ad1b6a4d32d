#include "domain/quota_share.h"

#include "base/slot.h"

#include <criterion/criterion.h>

static const int64_t DAY = 86400000;

static wl_wall_ms_t at(int64_t ms) {
    return (wl_wall_ms_t){ms};
}

static wl_mono_ms_t mono(int64_t ms) {
    return (wl_mono_ms_t){ms};
}

static wl_quota_share_t share_of(uint64_t limit) {
    wl_quota_share_t share;
    wl_quota_share_init(&share);
    wl_quota_share_set(&share, limit);
    return share;
}

/* The database of the test. */
typedef struct {
    int64_t day;
    uint64_t reserved;
} base_t;

static uint64_t base_reserve(base_t *base, const wl_quota_ask_t *ask, int64_t wall,
                             uint64_t *ret_left) {
    int64_t today = wall / DAY;
    if (ask->back > 0 && ask->day == base->day && base->reserved >= ask->back) {
        base->reserved -= ask->back;
    }
    base->reserved = today > base->day ? 0 : base->reserved;
    base->day = today > base->day ? today : base->day;
    uint64_t left = ask->limit > base->reserved ? ask->limit - base->reserved : 0;
    uint64_t granted = ask->chunk < left ? ask->chunk : left;
    base->reserved += granted;
    *ret_left = left - granted;
    return granted;
}

/* Asks when a question is due, and is answered at once. */
static bool settle(wl_quota_share_t *share, base_t *base, int64_t now, int64_t wall) {
    wl_quota_ask_t ask;
    uint64_t left = 0;
    if (!wl_quota_share_ask(share, true, mono(now), at(wall), &ask)) {
        return false;
    }
    uint64_t granted = base_reserve(base, &ask, wall, &left);
    if (ask.chunk > 0) {
        wl_quota_share_answer(share, base->day, granted, left, mono(now), at(wall));
    }
    return true;
}

static bool call(wl_quota_share_t *share, int64_t wall) {
    bool ready = wl_quota_share_ready(share, at(wall));
    if (ready) {
        wl_quota_share_take(share);
    }
    return ready;
}

Test(quota_share, asks_before_what_it_has_is_used_up) {
    wl_quota_share_t share = share_of(10000);
    base_t base = {0};
    cr_expect_not(call(&share, 100 * DAY), "nothing is reserved yet");
    cr_expect(settle(&share, &base, 1, 100 * DAY));
    cr_expect_eq(base.reserved, 100u);
    for (int i = 0; i < 10000; i++) {
        (void)settle(&share, &base, 1, 100 * DAY);
        cr_assert(call(&share, 100 * DAY), "it never has to wait: %d", i);
        cr_assert_leq(base.reserved, (uint64_t)i + 151);
    }
    cr_expect(settle(&share, &base, 1, 100 * DAY) || share.spent);
    cr_expect_not(call(&share, 100 * DAY));
    cr_expect_eq(wl_quota_share_left(&share, at(100 * DAY)), 0u);
}

Test(quota_share, wants_nothing_while_nobody_calls) {
    wl_quota_share_t share = share_of(10);
    wl_quota_ask_t ask;
    cr_expect_not(wl_quota_share_ask(&share, false, mono(1), at(100 * DAY), &ask));
    cr_expect_eq(wl_quota_share_left(&share, at(100 * DAY)), 10u);
    share = share_of(0);
    cr_expect_not(wl_quota_share_ask(&share, true, mono(1), at(100 * DAY), &ask));
    cr_expect_eq(wl_quota_share_left(&share, at(100 * DAY)), UINT64_MAX);
    cr_expect(wl_quota_share_ready(&share, at(100 * DAY)));
    wl_quota_share_close(&share);
    cr_expect(wl_quota_share_ready(&share, at(100 * DAY)), "what is not counted goes on");
}

Test(quota_share, asks_again_after_a_second_and_keeps_what_comes_twice) {
    wl_quota_share_t share = share_of(1000);
    wl_quota_ask_t ask;
    cr_expect(wl_quota_share_ask(&share, true, mono(5000), at(100 * DAY), &ask));
    cr_expect_eq(ask.chunk, 10u);
    cr_expect_not(ask.unanswered);
    cr_expect_eq(wl_quota_share_wait_ms(&share, mono(5001), at(100 * DAY)), 0, "it is coming");
    cr_expect_not(wl_quota_share_ask(&share, true, mono(5999), at(100 * DAY), &ask));
    cr_expect(wl_quota_share_ask(&share, true, mono(6000), at(100 * DAY), &ask));
    cr_expect(ask.unanswered);
    cr_expect(share.away);
    cr_expect_eq(wl_quota_share_wait_ms(&share, mono(6400), at(100 * DAY)), 600);
    wl_quota_share_answer(&share, 100, 10, 990, mono(6500), at(100 * DAY));
    cr_expect_not(share.away);
    wl_quota_share_answer(&share, 100, 10, 980, mono(6501), at(100 * DAY));
    cr_expect_eq(wl_quota_share_left(&share, at(100 * DAY)), 1000u);
    for (int i = 0; i < 20; i++) {
        cr_expect(call(&share, 100 * DAY));
    }
    cr_expect_not(call(&share, 100 * DAY), "no call without a reservation");
    cr_expect_eq(wl_quota_share_left(&share, at(100 * DAY)), 980u);
}

Test(quota_share, without_the_database_nothing_is_called_beyond_what_is_reserved) {
    wl_quota_share_t share = share_of(1000);
    base_t base = {0};
    wl_quota_ask_t ask;
    cr_expect(settle(&share, &base, 0, 100 * DAY));
    int calls = 0;
    for (int64_t now = 1; now < 100000; now += 10) {
        if (wl_quota_share_ask(&share, true, mono(now), at(100 * DAY), &ask)) {
            wl_quota_share_failed(&share, mono(now));
        }
        calls += call(&share, 100 * DAY);
    }
    cr_expect_eq(calls, 10);
    cr_expect(share.away);
    cr_expect(settle(&share, &base, 200000, 100 * DAY));
    cr_expect_not(share.away);
    cr_expect(call(&share, 100 * DAY));
}

Test(quota_share, looks_again_when_it_is_used_up_and_on_another_day) {
    wl_quota_share_t share = share_of(10);
    base_t base = {.day = 100, .reserved = 10};
    cr_expect(settle(&share, &base, 0, 100 * DAY));
    cr_expect_not(call(&share, 100 * DAY));
    cr_expect_eq(wl_quota_share_wait_ms(&share, mono(1), at(100 * DAY)), WL_QUOTA_SPENT_MS - 1);
    cr_expect_eq(wl_quota_share_wait_ms(&share, mono(1), at(101 * DAY - 7)), 7);
    cr_expect_not(settle(&share, &base, WL_QUOTA_SPENT_MS - 1, 100 * DAY));
    base.reserved = 9; /* somebody has given one back */
    cr_expect(settle(&share, &base, WL_QUOTA_SPENT_MS, 100 * DAY));
    cr_expect(call(&share, 100 * DAY));
    cr_expect(settle(&share, &base, WL_QUOTA_SPENT_MS, 100 * DAY));
    cr_expect_eq(wl_quota_share_wait_ms(&share, mono(WL_QUOTA_SPENT_MS + 1), at(101 * DAY)), 0);
    cr_expect(settle(&share, &base, WL_QUOTA_SPENT_MS + 1, 101 * DAY), "not after 30 s: now");
    cr_expect(call(&share, 101 * DAY));
    wl_quota_share_set(&share, 1);
    cr_expect(settle(&share, &base, WL_QUOTA_SPENT_MS + 2, 101 * DAY));
    cr_expect(share.spent);
    wl_quota_share_set(&share, 20);
    cr_expect(settle(&share, &base, WL_QUOTA_SPENT_MS + 3, 101 * DAY), "a larger limit");
    cr_expect(call(&share, 101 * DAY));
}

Test(quota_share, uses_nothing_of_a_day_that_is_over) {
    wl_quota_share_t share = share_of(1000);
    wl_quota_ask_t ask;
    cr_expect(wl_quota_share_ask(&share, true, mono(0), at(101 * DAY - 1), &ask));
    wl_quota_share_answer(&share, 100, 10, 990, mono(0), at(101 * DAY - 1));
    cr_expect(wl_quota_share_ready(&share, at(101 * DAY - 1)));
    cr_expect_not(wl_quota_share_ready(&share, at(101 * DAY)), "what is left of the day is lost");
    cr_expect(wl_quota_share_ask(&share, true, mono(1), at(101 * DAY), &ask));
    wl_quota_share_answer(&share, 100, 10, 980, mono(1), at(101 * DAY + 500));
    cr_expect_not(wl_quota_share_ready(&share, at(101 * DAY + 500)), "the database is behind");
    cr_expect(wl_quota_share_ask(&share, false, mono(1), at(101 * DAY), &ask));
    cr_expect_eq(ask.back, 10u);
    cr_expect_eq(ask.day, 100);
    cr_expect_eq(ask.chunk, 0u);
    cr_expect(wl_quota_share_ask(&share, true, mono(1001), at(101 * DAY + 1500), &ask));
    wl_quota_share_answer(&share, 101, 10, 990, mono(1002), at(101 * DAY + 1501));
    cr_expect(wl_quota_share_ready(&share, at(101 * DAY + 1501)));
    wl_quota_share_answer(&share, 100, 10, 0, mono(1003), at(101 * DAY + 1502));
    cr_expect_eq(share.quota.reserved, 10u, "a late answer of the day before");
}

Test(quota_share, gives_back_at_the_end_and_for_a_smaller_limit) {
    wl_quota_share_t share = share_of(1000);
    base_t base = {0};
    wl_quota_ask_t ask;
    cr_expect(settle(&share, &base, 0, 100 * DAY));
    cr_expect(call(&share, 100 * DAY));
    wl_quota_share_set(&share, 500);
    cr_expect_not(call(&share, 100 * DAY));
    cr_expect(wl_quota_share_ask(&share, false, mono(1), at(100 * DAY), &ask));
    cr_expect_eq(ask.back, 9u);
    cr_expect(settle(&share, &base, 1, 100 * DAY));
    cr_expect(call(&share, 100 * DAY));
    wl_quota_share_close(&share);
    cr_expect_not(call(&share, 100 * DAY));
    cr_expect_gt(wl_quota_share_wait_ms(&share, mono(2), at(100 * DAY)), 0);
    cr_expect(wl_quota_share_ask(&share, true, mono(2), at(100 * DAY), &ask));
    cr_expect_eq(ask.back, 4u);
    cr_expect_eq(ask.day, 100);
    cr_expect_eq(ask.chunk, 0u);
    wl_quota_share_answer(&share, 100, 5, 0, mono(3), at(100 * DAY)); /* asked before the end */
    cr_expect_not(call(&share, 100 * DAY));
    cr_expect(wl_quota_share_ask(&share, false, mono(4), at(100 * DAY), &ask));
    cr_expect_eq(ask.back, 5u);
    cr_expect_not(wl_quota_share_ask(&share, true, mono(9000), at(100 * DAY), &ask));
}

/* Three writers; answers are lost, come late, twice as many and out of order, writers die and end,
 * the clock passes midnight: the calls of no day are more than its limit. */
Test(quota_share, is_never_exceeded_whatever_happens) {
    enum { WRITERS = 3, HELD = 8, STEPS = 3000 };
    typedef struct {
        int64_t day;
        uint64_t granted;
        uint64_t left;
    } held_t;
    for (uint64_t seed = 0; seed < 200; seed++) {
        uint64_t limit = wl_mix64(seed) % 900 + 1;
        wl_quota_share_t writers[WRITERS] = {share_of(limit), share_of(limit), share_of(limit)};
        held_t held[WRITERS][HELD] = {0}; /* answers on their way */
        base_t base = {0};
        uint64_t made[4] = {0};
        int64_t wall = 101 * DAY - (int64_t)(wl_mix64(seed + 9) % 200000);
        for (uint64_t i = 0; i < STEPS; i++) {
            uint64_t random = wl_mix64(seed << 32 | i);
            uint32_t w = (uint32_t)(random >> 8) % WRITERS;
            held_t *one = &held[w][(random >> 16) % HELD];
            wl_quota_ask_t ask;
            wall += (int64_t)(random >> 24) % 150;
            if (random % 200 == 0) { /* it dies, or ends */
                if (random % 400 == 0) {
                    wl_quota_share_close(&writers[w]);
                    if (wl_quota_share_ask(&writers[w], true, mono(wall), at(wall), &ask)) {
                        (void)base_reserve(&base, &ask, wall, &(uint64_t){0});
                    }
                }
                writers[w] = share_of(limit);
                for (int k = 0; k < HELD; k++) {
                    held[w][k].day = 0;
                }
            } else if (one->day > 0) {
                wl_quota_share_answer(&writers[w], one->day, one->granted, one->left, mono(wall),
                                      at(wall));
                one->day = 0;
            } else if (wl_quota_share_ask(&writers[w], random % 3 > 0, mono(wall), at(wall),
                                          &ask)) {
                one->granted = base_reserve(&base, &ask, wall, &one->left);
                one->day = ask.chunk > 0 && random % 7 > 0 ? base.day : 0;
            }
            for (int k = 0; k < (int)(random % 9) && call(&writers[w], wall); k++) {
                made[wall / DAY - 100]++;
            }
        }
        cr_assert_leq(made[0], limit, "seed %lu", (unsigned long)seed);
        cr_assert_leq(made[1], limit, "seed %lu", (unsigned long)seed);
        cr_assert(made[0] + made[1] > limit / 3 || limit < 50, "seed %lu: %lu of %lu",
                  (unsigned long)seed, (unsigned long)(made[0] + made[1]), (unsigned long)limit);
    }
}
