#include "actors/puller_asks.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* The same numbers in every run. */
static uint32_t dice(void) {
    static uint32_t state = 7;
    state = state * 1103515245u + 12345u;
    return state >> 16;
}

static wl_mono_ms_t at(int64_t ms) {
    return (wl_mono_ms_t){ms};
}

static wl_err_t pull(wl_asks_t *asks, uint64_t uid, uint64_t seq, bool interactive) {
    wl_line_pull_t one = {.uid = uid, .seq = seq, .arrived_at = 100, .interactive = interactive};
    return wl_asks_pull(asks, &one, 1000);
}

static bool live(wl_asks_t *asks, wl_live_what_t what, uint64_t uid, uint64_t ticket,
                 const char *cursor) {
    wl_live_head_t head = {.line = "cash", .instance = 1, .epoch = 5, .dispatcher = 2};
    wl_live_item_t item = {.ticket = ticket,
                           .uid = uid,
                           .deadline_at = 1000,
                           .what = (uint8_t)what,
                           .limit = 20,
                           .month = "2026-11",
                           .cursor = {(const uint8_t *)cursor, strlen(cursor)}};
    bool joined = false;
    cr_assert_eq(wl_asks_live(asks, &head, &item, at(200), &joined), WL_OK);
    return joined;
}

static uint32_t waiters(const wl_ask_t *ask) {
    uint32_t count = 0;
    for (const wl_waiter_t *waiter = ask->waiters; waiter != NULL; waiter = waiter->next) {
        count++;
    }
    return count;
}

static wl_ask_t *pop(wl_asks_t *asks, wl_asks_list_t list) {
    return wl_asks_pop(asks, list, at(300), INT64_MIN);
}

Test(puller_asks, who_waits_joins_a_pull_that_waits_and_takes_it_along) {
    wl_asks_t *asks = wl_asks_new();
    cr_assert_eq(pull(asks, 7, 70, false), WL_OK);
    cr_assert_eq(pull(asks, 8, 80, false), WL_OK);
    cr_expect(live(asks, WL_LIVE_ASSETS, 8, 1, ""));
    cr_expect(live(asks, WL_LIVE_ASSETS, 8, 2, ""));
    cr_expect_not(live(asks, WL_LIVE_ASSETS, 9, 3, ""));
    cr_expect_eq(wl_asks_count(asks, WL_ASKS_BULK), 1u);
    wl_ask_t *ask = pop(asks, WL_ASKS_USERS);
    cr_assert(ask->pull.uid == 8 && ask->pull.seq == 80 && ask->pulled);
    cr_expect_eq(waiters(ask), 2u);
    wl_asks_end(asks, &ask);
    ask = pop(asks, WL_ASKS_USERS);
    cr_assert(ask->pull.uid == 9 && ask->pull.seq == 0 && !ask->pulled);
    cr_expect(ask->pull.dispatcher == 2 && ask->pull.epoch == 5);
    wl_asks_end(asks, &ask);
    cr_expect_null(pop(asks, WL_ASKS_USERS));
    wl_asks_destroy(&asks);
}

Test(puller_asks, who_waits_joins_a_call_and_a_pull_does_not) {
    wl_asks_t *asks = wl_asks_new();
    cr_assert_not(live(asks, WL_LIVE_ASSETS, 7, 1, ""));
    wl_ask_t *first = pop(asks, WL_ASKS_USERS);
    wl_asks_fly(asks, first);
    cr_expect(live(asks, WL_LIVE_ASSETS, 7, 2, ""));
    cr_expect_eq(waiters(first), 2u);
    cr_assert_eq(pull(asks, 7, 70, false), WL_OK);
    cr_expect_eq(wl_asks_count(asks, WL_ASKS_BULK), 1u, "its change may be younger than the call");
    wl_ask_t *second = pop(asks, WL_ASKS_BULK);
    wl_asks_fly(asks, second);
    cr_expect(live(asks, WL_LIVE_ASSETS, 7, 3, ""));
    cr_expect_eq(waiters(second), 1u, "the younger call is joined");
    wl_asks_end(asks, &first);
    cr_expect(live(asks, WL_LIVE_ASSETS, 7, 4, ""));
    wl_asks_end(asks, &second);
    cr_expect_not(live(asks, WL_LIVE_ASSETS, 7, 5, ""), "nothing flies: a new one");
    wl_asks_destroy(&asks);
}

Test(puller_asks, pages_are_joined_when_they_are_the_same) {
    wl_asks_t *asks = wl_asks_new();
    cr_expect_not(live(asks, WL_LIVE_DETAILS, 7, 1, ""));
    cr_expect(live(asks, WL_LIVE_DETAILS, 7, 2, ""));
    cr_expect_not(live(asks, WL_LIVE_DETAILS, 7, 3, "next"));
    cr_expect_not(live(asks, WL_LIVE_DETAILS, 7, 4, "nex"));
    cr_expect_not(live(asks, WL_LIVE_SUMMARY, 7, 5, ""));
    cr_expect_not(live(asks, WL_LIVE_DETAILS, 8, 6, ""));
    cr_expect_not(live(asks, WL_LIVE_ASSETS, 7, 7, ""));
    cr_expect_eq(wl_asks_count(asks, WL_ASKS_PAGES), 5u);
    cr_expect_eq(wl_asks_count(asks, WL_ASKS_USERS), 1u);
    wl_ask_t *ask = pop(asks, WL_ASKS_PAGES);
    cr_expect(ask->what == WL_LIVE_DETAILS && ask->cursor_bytes == 0 && waiters(ask) == 2);
    wl_asks_end(asks, &ask);
    ask = pop(asks, WL_ASKS_PAGES);
    cr_assert_eq(ask->cursor_bytes, 4u);
    cr_expect_eq(memcmp(ask->cursor, "next", 4), 0);
    cr_expect_str_eq(ask->month, "2026-11");
    cr_expect_eq(ask->limit, 20u);
    wl_asks_end(asks, &ask);
    wl_asks_destroy(&asks);
}

Test(puller_asks, the_later_of_two_pulls_covers_both) {
    wl_asks_t *asks = wl_asks_new();
    cr_assert_eq(pull(asks, 7, 70, false), WL_OK);
    cr_assert_eq(pull(asks, 7, 69, true), WL_OK);
    cr_expect_eq(wl_asks_waiting(asks), 1u);
    wl_ask_t *ask = pop(asks, WL_ASKS_USERS);
    cr_assert_not_null(ask, "one of them was interactive");
    cr_expect_eq(ask->pull.seq, 70u);
    wl_asks_end(asks, &ask);
    wl_line_pull_t old = {.uid = 8, .seq = 900, .epoch = 1};
    wl_line_pull_t young = {.uid = 8, .seq = 3, .epoch = 2};
    cr_assert_eq(wl_asks_pull(asks, &old, 9), WL_OK);
    cr_assert_eq(wl_asks_pull(asks, &young, 9), WL_OK);
    ask = pop(asks, WL_ASKS_BULK);
    cr_expect_eq(ask->pull.seq, 3u, "of the younger lease");
    wl_asks_end(asks, &ask);
    wl_asks_destroy(&asks);
}

Test(puller_asks, what_nobody_wants_any_more_is_forgotten) {
    wl_asks_t *asks = wl_asks_new();
    (void)live(asks, WL_LIVE_ASSETS, 7, 1, "");
    (void)live(asks, WL_LIVE_DETAILS, 7, 2, "");
    cr_assert_eq(pull(asks, 8, 80, false), WL_OK);
    (void)live(asks, WL_LIVE_ASSETS, 8, 3, "");
    wl_asks_sweep(asks, at(1000));
    cr_expect_eq(wl_asks_waiting(asks), 3u, "the deadline itself is in time");
    wl_asks_sweep(asks, at(1001));
    cr_expect_eq(wl_asks_waiting(asks), 1u, "a dispatcher waits longer");
    cr_expect_eq(wl_asks_expired(asks), 3u);
    cr_expect_eq(wl_asks_expired(asks), 0u);
    (void)live(asks, WL_LIVE_ASSETS, 9, 4, "");
    cr_expect_null(wl_asks_pop(asks, WL_ASKS_BULK, at(1001), 101));
    cr_expect_null(wl_asks_pop(asks, WL_ASKS_USERS, at(1001), 101), "the pull is stale");
    cr_expect_eq(wl_asks_waiting(asks), 0u);
    wl_asks_destroy(&asks);
}

Test(puller_asks, both_kinds_are_bounded) {
    wl_asks_t *asks = wl_asks_new();
    wl_line_pull_t one = {.uid = 1};
    for (uint32_t i = 0; i < 10; i++) {
        one.uid = i + 1;
        cr_assert_eq(wl_asks_pull(asks, &one, 10), WL_OK);
    }
    cr_expect_eq(wl_asks_pull(asks, &one, 10), WL_OK, "it waits already");
    one.uid = 99;
    cr_expect_eq(wl_asks_pull(asks, &one, 10), WL_ERR_FULL);
    for (uint32_t i = 0; i < WL_WAITERS_MAX; i++) {
        (void)live(asks, WL_LIVE_ASSETS, i % 500 + 1, i, "");
    }
    bool joined = false;
    wl_live_head_t head = {.epoch = 5};
    wl_live_item_t item = {.uid = 1, .deadline_at = 1000};
    cr_expect_eq(wl_asks_live(asks, &head, &item, at(1), &joined), WL_ERR_BUSY);
    wl_ask_t *ask = pop(asks, WL_ASKS_USERS);
    wl_asks_fly(asks, ask);
    cr_expect_eq(wl_asks_live(asks, &head, &item, at(1), &joined), WL_ERR_BUSY, "they wait still");
    wl_asks_end(asks, &ask);
    cr_expect_eq(wl_asks_live(asks, &head, &item, at(1), &joined), WL_OK);
    wl_asks_destroy(&asks);
}

/* Whatever comes and goes: each ticket is told once, and each user stands in one ask that waits. */
Test(puller_asks, tells_everybody_once_against_a_model) {
    enum { USERS = 40, STEPS = 30000, FLYING = 8 };
    wl_asks_t *asks = wl_asks_new();
    static uint8_t told[STEPS];
    static bool asked[STEPS];
    wl_ask_t *flying[FLYING] = {0};
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t what = dice() % 6;
        uint64_t uid = dice() % USERS + 1;
        uint32_t place = dice() % FLYING;
        if (what < 2) {
            asked[step] = true;
            (void)live(asks, what == 0 ? WL_LIVE_ASSETS : WL_LIVE_DETAILS, uid, step, "");
        } else if (what == 2) {
            cr_assert_eq(pull(asks, uid, step, dice() % 2 == 0), WL_OK);
        } else if (flying[place] == NULL) {
            flying[place] = pop(asks, (wl_asks_list_t)(dice() % WL_ASKS_LISTS));
            if (flying[place] != NULL) {
                wl_asks_fly(asks, flying[place]);
            }
        } else {
            for (wl_waiter_t *waiter = flying[place]->waiters; waiter != NULL;
                 waiter = waiter->next) {
                cr_assert_eq(told[waiter->ticket]++, 0);
            }
            wl_asks_end(asks, &flying[place]);
        }
        cr_assert_leq(wl_asks_waiting(asks), (uint32_t)USERS * 2);
    }
    for (uint32_t i = 0; i < FLYING; i++) {
        for (wl_waiter_t *waiter = flying[i] == NULL ? NULL : flying[i]->waiters; waiter != NULL;
             waiter = waiter->next) {
            cr_assert_eq(told[waiter->ticket]++, 0);
        }
        if (flying[i] != NULL) {
            wl_asks_end(asks, &flying[i]);
        }
    }
    for (uint32_t list = 0; list < WL_ASKS_LISTS; list++) {
        wl_ask_t *ask = NULL;
        while ((ask = pop(asks, (wl_asks_list_t)list)) != NULL) {
            for (wl_waiter_t *waiter = ask->waiters; waiter != NULL; waiter = waiter->next) {
                cr_assert_eq(told[waiter->ticket]++, 0);
            }
            wl_asks_end(asks, &ask);
        }
    }
    for (uint32_t step = 0; step < STEPS; step++) {
        cr_assert_eq(told[step], asked[step] ? 1 : 0);
    }
    wl_asks_destroy(&asks);
}
