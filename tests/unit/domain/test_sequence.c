#include "domain/sequence.h"

#include "base/alloc.h"
#include "base/slot.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static wl_seq_verdict_t follow(wl_sequence_t *sequence, const char *source, uint64_t seq,
                               uint64_t expected_missing) {
    uint64_t missing = 99;
    wl_seq_verdict_t verdict = wl_sequence_follow(sequence, "cash", source, seq, &missing);
    cr_assert_eq(missing, expected_missing);
    return verdict;
}

Test(sequence, sees_gaps_repeats_and_restarts) {
    WL_AUTO(wl_sequence) sequence = wl_sequence_new(10);
    cr_assert_eq(follow(sequence, "a", 5, 0), WL_SEQ_FIRST);
    cr_assert_eq(follow(sequence, "a", 6, 0), WL_SEQ_NEXT);
    cr_assert_eq(follow(sequence, "a", 9, 2), WL_SEQ_GAP);
    cr_assert_eq(follow(sequence, "a", 8, 0), WL_SEQ_OLD);
    cr_assert_eq(follow(sequence, "a", 10, 0), WL_SEQ_NEXT, "an old one changes nothing");
    cr_assert_eq(follow(sequence, "a", 1, 0), WL_SEQ_OLD, "the publisher started again");
    cr_assert_eq(follow(sequence, "a", 2, 0), WL_SEQ_NEXT);
    cr_assert_eq(follow(sequence, "a", UINT64_MAX, UINT64_MAX - 3), WL_SEQ_GAP);
    cr_assert_eq(follow(sequence, "a", UINT64_MAX, 0), WL_SEQ_OLD);
    cr_assert_eq(follow(sequence, "a", 0, 0), WL_SEQ_OLD);
    cr_assert_eq(follow(sequence, "b", 3, 0), WL_SEQ_FIRST, "sources count on their own");
    uint64_t missing = 0;
    cr_assert_eq(wl_sequence_follow(sequence, "coin", "a", 7, &missing), WL_SEQ_FIRST);
    cr_assert_eq(wl_sequence_sources(sequence), 3);
}

Test(sequence, takes_any_text_for_a_source) {
    WL_AUTO(wl_sequence) sequence = wl_sequence_new(10);
    char text[200];
    memset(text, 'x', sizeof text);
    text[199] = '\0';
    cr_assert_eq(follow(sequence, text, 1, 0), WL_SEQ_FIRST);
    cr_assert_eq(follow(sequence, text, 2, 0), WL_SEQ_NEXT);
    cr_assert_eq(follow(sequence, "", 1, 0), WL_SEQ_FIRST);
    cr_assert_eq(follow(sequence, "", 2, 0), WL_SEQ_NEXT);
}

/* The model remembers all sources with the time they were last heard. */
Test(sequence, forgets_exactly_the_source_not_heard_for_longest) {
    enum { SOURCES = 12, KEPT = 5 };
    for (uint64_t seed = 0; seed < 30; seed++) {
        WL_AUTO(wl_sequence) sequence = wl_sequence_new(KEPT);
        uint64_t last[SOURCES] = {0};
        uint64_t heard[SOURCES] = {0}; /* 0 = not known */
        for (uint64_t step = 1; step < 2000; step++) {
            uint64_t random = wl_mix64(seed << 32 | step);
            size_t which = random % 3 == 0 ? (random >> 8) % SOURCES : (random >> 8) % KEPT;
            uint64_t seq = 2 + last[which] + (random >> 16) % 3 - 1;
            char source[8];
            (void)snprintf(source, sizeof source, "s%zu", which);
            wl_seq_verdict_t expected = heard[which] == 0        ? WL_SEQ_FIRST
                                        : seq <= last[which]     ? WL_SEQ_OLD
                                        : seq == last[which] + 1 ? WL_SEQ_NEXT
                                                                 : WL_SEQ_GAP;
            uint64_t missing = expected == WL_SEQ_GAP ? seq - last[which] - 1 : 0;
            size_t known = 0;
            size_t oldest = SOURCES;
            for (size_t i = 0; i < SOURCES; i++) {
                known += heard[i] != 0 ? 1 : 0;
                if (heard[i] != 0 && (oldest == SOURCES || heard[i] < heard[oldest])) {
                    oldest = i;
                }
            }
            if (expected == WL_SEQ_FIRST && known == KEPT) {
                heard[oldest] = 0;
            }
            cr_assert_eq(follow(sequence, source, seq, missing), expected);
            last[which] = expected == WL_SEQ_OLD ? last[which] : seq;
            heard[which] = step;
        }
        cr_assert_eq(wl_sequence_sources(sequence), KEPT);
    }
}
