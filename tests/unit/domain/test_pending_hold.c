#include "domain/pending.h"

#include <criterion/criterion.h>
#include <string.h>

static const wl_mono_ms_t now = {100};

static uint64_t add(wl_pending_t *pending, uint64_t uid, uint64_t entry_id, bool interactive) {
    wl_pending_add_t row = {.uid = uid,
                            .line = "cash",
                            .bucket = "gift",
                            .version = uid,
                            .entry_id = entry_id,
                            .interactive = interactive,
                            .notified_at = {7}};
    uint64_t seq = 0;
    bool merged = false;
    cr_assert_eq(wl_pending_add(pending, &row, &seq, &merged), WL_OK);
    return seq;
}

Test(pending_hold, makes_a_pull_wait_again_without_an_attempt) {
    wl_pending_t *pending = wl_pending_new(100);
    wl_pending_pull_t pull;
    wl_pending_entry(pending, 5, 1);
    uint64_t seq = add(pending, 1, 5, true);
    cr_assert_eq(wl_pending_take(pending, "cash", 10, now, &pull), 1u);
    cr_expect_not(wl_pending_hold(pending, "cash", 1, seq + 1, (wl_mono_ms_t){0}), "another pull");
    cr_expect_not(wl_pending_hold(pending, "cash", 2, seq, (wl_mono_ms_t){0}));
    cr_expect(wl_pending_hold(pending, "cash", 1, seq, (wl_mono_ms_t){0}));
    cr_expect_not(wl_pending_hold(pending, "cash", 1, seq, (wl_mono_ms_t){0}),
                  "it does not fly any more");
    cr_expect_str_eq(wl_pending_state(pending, "cash", 1), "waiting");
    uint64_t id = 0;
    cr_expect_eq(wl_pending_released(pending, &id, 1), 0u, "its entry is not done");

    wl_pending_pull_t again;
    cr_assert_eq(wl_pending_take(pending, "cash", 10, now, &again), 1u);
    cr_expect(again.seq == pull.seq && again.attempt == 0 && again.interactive);
    cr_expect(again.hint_count == 1 && again.hints[0].version == 1 && again.notified_at.ms == 7);
    cr_expect(wl_pending_done(pending, "cash", 1, seq));
    cr_expect_eq(wl_pending_released(pending, &id, 1), 1u);
    cr_expect_eq(id, 5u);
    wl_pending_destroy(&pending);
}

Test(pending_hold, keeps_what_came_while_it_flew) {
    wl_pending_t *pending = wl_pending_new(100);
    wl_pending_pull_t pull;
    wl_pending_entry(pending, 5, 1);
    wl_pending_entry(pending, 6, 1);
    uint64_t first = add(pending, 1, 5, false);
    cr_assert_eq(wl_pending_take(pending, "cash", 10, now, &pull), 1u);
    uint64_t second = add(pending, 1, 6, false);
    cr_expect(wl_pending_hold(pending, "cash", 1, first, (wl_mono_ms_t){0}));
    cr_assert_eq(wl_pending_take(pending, "cash", 10, now, &pull), 1u);
    cr_expect_eq(pull.seq, second, "one pull covers both");
    cr_expect(wl_pending_done(pending, "cash", 1, second));
    uint64_t ids[4];
    cr_expect_eq(wl_pending_released(pending, ids, 4), 2u);
    cr_expect_eq(wl_pending_stats(pending).keys, 0u);
    wl_pending_destroy(&pending);
}

Test(pending_fly, takes_one_pair_alone_if_it_waits) {
    wl_pending_t *pending = wl_pending_new(100);
    wl_pending_pull_t pull;
    (void)add(pending, 1, 0, false);
    uint64_t seq = add(pending, 2, 0, false);
    cr_expect_not(wl_pending_fly(pending, "coin", 2, now, &pull));
    cr_assert(wl_pending_fly(pending, "cash", 2, now, &pull));
    cr_expect(pull.uid == 2 && pull.seq == seq);
    cr_expect_not(wl_pending_fly(pending, "cash", 2, now, &pull), "it flies already");
    cr_expect_eq(wl_pending_flying(pending, "cash"), 1u);
    cr_expect_eq(wl_pending_waiting(pending, "cash"), 1u);

    wl_pending_pull_t seen;
    cr_expect(wl_pending_flight(pending, "cash", 2, seq, &seen));
    cr_expect(seen.uid == 2 && seen.notified_at.ms == 7 && seen.hint_count == 1);
    cr_expect_not(wl_pending_flight(pending, "cash", 1, 1, &seen), "that one waits");
    cr_expect_not(wl_pending_flight(pending, "cash", 2, seq + 1, &seen));
    uint32_t attempts = 0;
    cr_expect(wl_pending_fail(pending, "cash", 2, seq, (wl_mono_ms_t){900}, false, &attempts));
    cr_expect_not(wl_pending_fly(pending, "cash", 2, now, &pull), "it sleeps");
    cr_expect_eq(wl_pending_lost(pending, "cash", (wl_mono_ms_t){1000}), 0u);
    wl_pending_destroy(&pending);
}
