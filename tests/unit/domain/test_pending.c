#include "domain/pending.h"

#include "base/alloc.h"
#include "base/slot.h"

#include "pending_model.h"

#include <criterion/criterion.h>

static uint64_t seeded(void *source) {
    uint64_t *state = source;
    *state += UINT64_C(0x9e3779b97f4a7c15);
    return wl_mix64(*state) >> 8;
}

Test(pending, agrees_with_a_naive_model_over_random_schedules) {
    model_t *model = wl_alloc(sizeof *model);
    for (uint64_t seed = 0; seed < 200; seed++) {
        uint64_t state = seed * 1000003;
        memset(model, 0, sizeof *model);
        model->keys_max = seed % 4 == 0 ? 6 : PAIRS; /* sometimes the table is too small */
        model->real = wl_pending_new(model->keys_max);
        model->draw = seeded;
        model->source = &state;
        model->now_ms = 1000;
        for (int i = 0; i < 2000; i++) {
            model_step(model);
        }
        if (seed % 2 == 0) { /* the others are destroyed in full flight */
            model_drain(model);
        }
        wl_pending_destroy(&model->real);
        cr_assert_null(model->real);
    }
    wl_free(model);
}

/* ---- examples that say what the contract means ----------------------------------------------- */

static uint64_t add(wl_pending_t *pending, uint64_t uid, uint64_t entry, bool interactive) {
    wl_pending_add_t change = {
        .uid = uid, .line = "cash", .bucket = "", .entry_id = entry, .interactive = interactive};
    uint64_t seq = 0;
    bool merged = false;
    cr_assert_eq(wl_pending_add(pending, &change, &seq, &merged), WL_OK);
    return seq;
}

static wl_pending_pull_t take(wl_pending_t *pending, int64_t now_ms) {
    wl_pending_pull_t pull = {0};
    cr_assert_eq(wl_pending_take(pending, "cash", 1, (wl_mono_ms_t){now_ms}, &pull), 1);
    return pull;
}

static size_t released(wl_pending_t *pending) {
    uint64_t ids[8];
    return wl_pending_released(pending, ids, 8);
}

Test(pending, ten_changes_of_one_pair_cost_one_pull) {
    WL_AUTO(wl_pending) pending = wl_pending_new(10);
    wl_pending_entry(pending, 1, 10);
    uint64_t seq = 0;
    for (int i = 0; i < 10; i++) {
        seq = add(pending, 7, 1, false);
    }
    wl_pending_pull_t pull = take(pending, 5);
    cr_assert_eq(pull.seq, seq);
    cr_assert_eq(wl_pending_waiting(pending, "cash"), 0);
    cr_assert_eq(released(pending), 0);
    cr_assert(wl_pending_done(pending, "cash", 7, seq));
    cr_assert_eq(released(pending), 1);
    cr_assert_eq(wl_pending_stats(pending).keys, 0);
    cr_assert_not(wl_pending_done(pending, "cash", 7, seq), "a duplicate");
}

Test(pending, a_change_during_the_pull_is_pulled_again_before_its_entry_ends) {
    WL_AUTO(wl_pending) pending = wl_pending_new(10);
    wl_pending_entry(pending, 1, 1);
    wl_pending_entry(pending, 2, 1);
    (void)add(pending, 7, 1, false);
    wl_pending_pull_t first = take(pending, 5);
    (void)add(pending, 7, 2, false);
    cr_assert_str_eq(wl_pending_state(pending, "cash", 7), "dirty");
    cr_assert(wl_pending_done(pending, "cash", 7, first.seq));
    uint64_t id = 0;
    cr_assert_eq(wl_pending_released(pending, &id, 1), 1);
    cr_assert_eq(id, 1);
    cr_assert_eq(released(pending), 0);
    wl_pending_pull_t second = take(pending, 6);
    cr_assert_gt(second.seq, first.seq);
    cr_assert(wl_pending_done(pending, "cash", 7, second.seq));
    cr_assert_eq(released(pending), 1);
}

Test(pending, a_failing_pair_cannot_escape_its_attempts_by_being_notified) {
    WL_AUTO(wl_pending) pending = wl_pending_new(10);
    (void)add(pending, 7, 0, false);
    uint32_t attempts = 0;
    wl_mono_ms_t next = {0};
    for (uint32_t i = 1; i <= 5; i++) {
        wl_pending_pull_t pull = take(pending, i * 100);
        cr_assert_eq(pull.attempt, i - 1);
        (void)add(pending, 7, 0, false);
        cr_assert(wl_pending_fail(pending, "cash", 7, pull.seq, (wl_mono_ms_t){i * 100 + 50}, false,
                                  &attempts));
        cr_assert_eq(attempts, i);
        cr_assert_str_eq(wl_pending_state(pending, "cash", 7), "sleeping");
        cr_assert_eq(wl_pending_wake(pending, (wl_mono_ms_t){i * 100 + 49}, &next), 0);
        cr_assert_eq(next.ms, i * 100 + 50);
        cr_assert_eq(wl_pending_wake(pending, next, &next), 1);
    }
}

Test(pending, a_user_who_looks_wakes_a_sleeping_pair_and_goes_first) {
    WL_AUTO(wl_pending) pending = wl_pending_new(10);
    wl_pending_entry(pending, 1, 1);
    (void)add(pending, 7, 0, false);
    wl_pending_pull_t pull = take(pending, 1);
    cr_assert(wl_pending_fail(pending, "cash", 7, pull.seq, (wl_mono_ms_t){900}, false, NULL));
    (void)add(pending, 7, 1, false);
    cr_assert_str_eq(wl_pending_state(pending, "cash", 7), "sleeping", "a sick line has its peace");
    (void)add(pending, 8, 0, false);
    (void)add(pending, 7, 0, true);
    pull = take(pending, 2);
    cr_assert_eq(pull.uid, 7);
    cr_assert(pull.interactive);
    cr_assert_eq(released(pending), 0);
    cr_assert(wl_pending_fail(pending, "cash", 7, pull.seq, (wl_mono_ms_t){900}, false, NULL));
    cr_assert_eq(released(pending), 1, "the retry is durable elsewhere");
}

Test(pending, bulk_is_at_least_one_of_eight) {
    WL_AUTO(wl_pending) pending = wl_pending_new(100);
    for (uint64_t uid = 1; uid <= 4; uid++) {
        (void)add(pending, uid, 0, false);
    }
    for (uint64_t uid = 11; uid <= 50; uid++) {
        (void)add(pending, uid, 0, true);
    }
    for (int i = 1; i <= 32; i++) {
        wl_pending_pull_t pull = take(pending, 1);
        cr_assert_eq(pull.interactive, i % 8 != 0, "pull %d", i);
    }
}

Test(pending, a_lost_pull_is_made_again_and_ends_its_entries_then) {
    WL_AUTO(wl_pending) pending = wl_pending_new(1000);
    wl_pending_entry(pending, 1, 600);
    for (uint64_t uid = 1; uid <= 600; uid++) {
        (void)add(pending, uid, 1, false);
        (void)take(pending, (int64_t)uid);
    }
    cr_assert_eq(wl_pending_lost(pending, "cash", (wl_mono_ms_t){1}), 0);
    cr_assert_eq(wl_pending_lost(pending, "cash", (wl_mono_ms_t){1000}), WL_PENDING_LOST_MAX);
    cr_assert_eq(wl_pending_lost(pending, "cash", (wl_mono_ms_t){1000}), WL_PENDING_LOST_MAX);
    cr_assert_eq(wl_pending_lost(pending, "cash", (wl_mono_ms_t){1000}), 600 - 512);
    cr_assert_eq(wl_pending_lost(pending, "unknown", (wl_mono_ms_t){1000}), 0);
    for (uint64_t uid = 1; uid <= 600; uid++) {
        cr_assert_eq(released(pending), 0);
        wl_pending_pull_t pull = take(pending, 2000);
        cr_assert_eq(pull.uid, uid);
        cr_assert_eq(pull.attempt, 0);
        cr_assert(wl_pending_done(pending, "cash", uid, pull.seq));
    }
    cr_assert_eq(released(pending), 1);
}

Test(pending, wakes_a_bounded_number_a_call) {
    enum { SLEEPERS = WL_PENDING_WAKE_MAX + 10 };
    WL_AUTO(wl_pending) pending = wl_pending_new(SLEEPERS);
    for (uint64_t uid = 1; uid <= SLEEPERS; uid++) {
        wl_pending_add_t loaded = {
            .uid = uid, .line = "cash", .bucket = "", .attempt = 3, .due = {.ms = 50}};
        uint64_t seq = 0;
        bool merged = false;
        cr_assert_eq(wl_pending_add(pending, &loaded, &seq, &merged), WL_OK);
    }
    wl_mono_ms_t next = {0};
    cr_assert_eq(wl_pending_wake(pending, (wl_mono_ms_t){60}, &next), WL_PENDING_WAKE_MAX);
    cr_assert_eq(next.ms, 50, "call again at once");
    cr_assert_eq(wl_pending_wake(pending, (wl_mono_ms_t){60}, &next), 10);
    cr_assert_eq(next.ms, INT64_MAX);
    cr_assert_eq(take(pending, 60).attempt, 3);
}

Test(pending, rouses_the_soonest_sleepers_of_one_line) {
    WL_AUTO(wl_pending) pending = wl_pending_new(8);
    uint64_t seq = 0;
    bool merged = false;
    for (uint64_t uid = 1; uid <= 6; uid++) {
        wl_pending_add_t loaded = {.uid = uid,
                                   .line = uid <= 4 ? "cash" : "coin",
                                   .bucket = "",
                                   .attempt = 2,
                                   .due = {.ms = 1000 - (int64_t)uid}};
        cr_assert_eq(wl_pending_add(pending, &loaded, &seq, &merged), WL_OK);
    }
    cr_assert_eq(wl_pending_rouse(pending, "cash", 2), 2);
    cr_assert_str_eq(wl_pending_state(pending, "cash", 4), "waiting");
    cr_assert_str_eq(wl_pending_state(pending, "cash", 3), "waiting");
    cr_assert_str_eq(wl_pending_state(pending, "cash", 2), "sleeping");
    cr_assert_eq(take(pending, 5).attempt, 2, "its attempts count on");
    cr_assert_eq(wl_pending_rouse(pending, "cash", 100), 2);
    cr_assert_eq(wl_pending_rouse(pending, "cash", 100), 0);
    cr_assert_eq(wl_pending_rouse(pending, "none", 100), 0);
    cr_assert_eq(wl_pending_stats(pending).sleeping, 2);
}

Test(pending, refuses_pairs_references_and_lines_beyond_the_bounds_and_goes_on_after) {
    WL_AUTO(wl_pending) pending = wl_pending_new(2);
    uint64_t seq = 0;
    bool merged = false;
    uint64_t entries = 0;
    wl_pending_add_t change = {.uid = 1, .line = "cash", .bucket = ""};
    wl_err_t err = WL_OK;
    while (err == WL_OK) {
        change.entry_id = ++entries;
        wl_pending_entry(pending, entries, 1);
        err = wl_pending_add(pending, &change, &seq, &merged);
    }
    cr_assert_eq(err, WL_ERR_FULL);
    cr_assert_eq(entries, 33, "16 references a pair");
    change.entry_id = 0;
    cr_assert_eq(wl_pending_add(pending, &change, &seq, &merged), WL_OK, "needs no reference");
    change.uid = 2;
    cr_assert_eq(wl_pending_add(pending, &change, &seq, &merged), WL_OK);
    change.uid = 3;
    cr_assert_eq(wl_pending_add(pending, &change, &seq, &merged), WL_ERR_FULL);
    wl_pending_pull_t pull = take(pending, 1);
    cr_assert(wl_pending_done(pending, "cash", pull.uid, pull.seq));
    uint64_t ids[40];
    cr_assert_eq(wl_pending_released(pending, ids, 40), 32);
    /* the entry that met the bound is read from the queue again */
    wl_pending_entry(pending, 33, 1);
    change.entry_id = 33;
    cr_assert_eq(wl_pending_add(pending, &change, &seq, &merged), WL_OK);
    (void)take(pending, 1);
    pull = take(pending, 1);
    cr_assert(wl_pending_done(pending, "cash", 3, pull.seq));
    cr_assert_eq(wl_pending_released(pending, ids, 40), 1);
    cr_assert_eq(ids[0], 33);

    WL_AUTO(wl_pending) lines = wl_pending_new(1000);
    for (unsigned i = 0; i < 200; i++) {
        char name[WL_LINE_ID_MAX + 1];
        (void)snprintf(name, sizeof name, "line-%u", i);
        wl_pending_add_t one = {.uid = 1, .line = name, .bucket = ""};
        err = wl_pending_add(lines, &one, &seq, &merged);
        cr_assert_eq(err, i < 2 * WL_LINES_MAX ? WL_OK : WL_ERR_FULL);
    }
}

Test(pending, an_entry_read_again_in_the_middle_is_released_once_all_of_it_ended) {
    WL_AUTO(wl_pending) pending = wl_pending_new(10);
    wl_pending_entry(pending, 1, 3);
    (void)add(pending, 1, 1, false);
    (void)add(pending, 2, 1, false);
    wl_pending_entry(pending, 1, 3);
    for (uint64_t uid = 1; uid <= 3; uid++) {
        (void)add(pending, uid, 1, false);
    }
    for (uint64_t uid = 1; uid <= 3; uid++) {
        cr_assert_eq(released(pending), 0);
        wl_pending_pull_t pull = take(pending, 1);
        cr_assert(wl_pending_done(pending, "cash", pull.uid, pull.seq));
    }
    cr_assert_eq(released(pending), 1);
    wl_pending_entry(pending, 9, 0);
    cr_assert_eq(released(pending), 1, "an entry without changes");
}

Test(pending, keeps_the_first_buckets_when_a_line_names_too_many) {
    WL_AUTO(wl_pending) pending = wl_pending_new(10);
    uint64_t seq = 0;
    bool merged = false;
    for (unsigned i = 0; i < 9; i++) {
        char bucket[2] = {(char)('a' + i % 6), '\0'};
        wl_pending_add_t change = {.uid = 1, .line = "cash", .bucket = bucket, .version = i + 1};
        cr_assert_eq(wl_pending_add(pending, &change, &seq, &merged), WL_OK);
    }
    wl_pending_pull_t pull = take(pending, 1);
    cr_assert_eq(pull.hint_count, WL_HINTS_MAX);
    cr_assert_str_eq(pull.hints[0].bucket, "a");
    cr_assert_eq(pull.hints[0].version, 7);
    cr_assert_str_eq(pull.hints[3].bucket, "d");
    cr_assert_eq(pull.hints[3].version, 4);
}

/* Numbers of two holders of one queue never meet: the next one begins far above. */
Test(pending, counts_on_from_where_it_is_told) {
    WL_AUTO(wl_pending) pending = wl_pending_new(10);
    wl_pending_add_t add = {.uid = 1, .line = "cash", .bucket = ""};
    uint64_t seq = 0;
    bool merged = false;
    cr_expect_eq(wl_pending_seq(pending), 0u);
    wl_pending_count_from(pending, UINT64_C(7) << 40);
    cr_assert_eq(wl_pending_add(pending, &add, &seq, &merged), WL_OK);
    cr_expect_eq(seq, (UINT64_C(7) << 40) + 1);
    cr_expect_eq(wl_pending_seq(pending), seq);
    wl_pending_pull_t pull;
    cr_assert(wl_pending_fly(pending, "cash", 1, (wl_mono_ms_t){1}, &pull));
    cr_expect_eq(pull.seq, seq);
    cr_expect_not(wl_pending_done(pending, "cash", 1, 1), "a number of somebody else");
    cr_expect(wl_pending_done(pending, "cash", 1, seq));
}
