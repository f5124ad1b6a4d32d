#include "actors/owner_log.h"

#include <criterion/criterion.h>

Test(owner_log, is_ready_once_every_shard_has_told_everything) {
    wl_owner_log_t *log = wl_owner_log_new(2, WL_OWNER_LOG_EVERY_COMMIT);
    uint64_t after = 99;
    cr_expect(wl_owner_log_due(log, 0, 1000, false, &after));
    cr_expect_eq(after, 0u);
    cr_expect(wl_owner_log_due(log, 1, 1000, false, &after));
    cr_expect(!wl_owner_log_due(log, 0, 1001, false, &after), "it was asked");
    (void)wl_owner_log_told(log, 0, 5, false, 0, 1002);
    (void)wl_owner_log_told(log, 0, 7, true, 0, 1003);
    cr_expect(!wl_owner_log_ready(log));
    (void)wl_owner_log_told(log, 1, 9, true, 0, 1004);
    cr_expect(wl_owner_log_ready(log));
    cr_expect_eq(wl_owner_log_seen(log)[0], 7u);
    cr_expect_eq(wl_owner_log_seen(log)[1], 9u);
    cr_expect(!wl_owner_log_due(log, 0, 900000, false, &after));
    wl_owner_log_destroy(&log);
}

Test(owner_log, half_a_scan_counts_for_nothing) {
    wl_owner_log_t *log = wl_owner_log_new(1, WL_OWNER_LOG_EVERY_COMMIT);
    uint64_t after = 99;
    (void)wl_owner_log_due(log, 0, 1000, false, &after);
    (void)wl_owner_log_told(log, 0, 50, false, 0, 1500);
    cr_expect_eq(wl_owner_log_seen(log)[0], 0u);
    cr_expect(!wl_owner_log_due(log, 0, 11000, false, &after), "it is still telling");
    cr_expect(wl_owner_log_due(log, 0, 11500, false, &after), "the rest was lost");
    cr_expect_eq(after, 0u);
    wl_owner_log_destroy(&log);
}

Test(owner_log, goes_on_from_a_snapshot) {
    wl_owner_log_t *log = wl_owner_log_new(2, WL_OWNER_LOG_EVERY_COMMIT);
    uint64_t after = 0;
    wl_owner_log_restore(log, (const uint64_t[]){41, 42});
    cr_expect(wl_owner_log_due(log, 1, 1000, false, &after));
    cr_expect_eq(after, 42u);
    (void)wl_owner_log_told(log, 1, 7, true, 0, 1001); /* another file: its log is shorter */
    cr_expect_eq(wl_owner_log_seen(log)[1], 7u);
    wl_owner_log_destroy(&log);
}

static wl_owner_log_t *ready_log(wl_owner_log_mode_t mode, uint64_t log_seq) {
    wl_owner_log_t *log = wl_owner_log_new(1, mode);
    uint64_t after = 0;
    (void)wl_owner_log_due(log, 0, 1000, false, &after);
    (void)wl_owner_log_told(log, 0, log_seq, true, 0, 1001);
    return log;
}

Test(owner_log, a_commit_counts_when_the_next_one_begins) {
    wl_owner_log_t *log = ready_log(WL_OWNER_LOG_EVERY_COMMIT, 10);
    wl_owner_log_stored(log, 0, 5, 11);
    wl_owner_log_stored(log, 0, 5, 11);
    cr_expect_eq(wl_owner_log_seen(log)[0], 10u, "more messages of it may come");
    wl_owner_log_stored(log, 0, 6, 13);
    cr_expect_eq(wl_owner_log_seen(log)[0], 11u);
    cr_expect(wl_owner_log_ready(log));
    wl_owner_log_destroy(&log);
}

Test(owner_log, a_missing_commit_is_asked_for_but_not_all_the_time) {
    wl_owner_log_t *log = ready_log(WL_OWNER_LOG_EVERY_COMMIT, 10);
    uint64_t after = 0;
    wl_owner_log_stored(log, 0, 5, 11);
    wl_owner_log_stored(log, 0, 7, 13);
    cr_expect(!wl_owner_log_ready(log));
    cr_expect_eq(wl_owner_log_seen(log)[0], 10u);
    cr_expect(!wl_owner_log_due(log, 0, 1500, false, &after), "asked half a second ago");
    cr_expect(wl_owner_log_due(log, 0, 2000, false, &after));
    cr_expect_eq(after, 10u);
    wl_owner_log_stored(log, 0, 8, 14);
    cr_expect_eq(wl_owner_log_seen(log)[0], 10u, "there is a hole");
    (void)wl_owner_log_told(log, 0, 14, true, 0, 2500);
    cr_expect(wl_owner_log_ready(log));
    cr_expect_eq(wl_owner_log_seen(log)[0], 14u);
    wl_owner_log_stored(log, 0, 9, 15);
    cr_expect_eq(wl_owner_log_seen(log)[0], 14u);
    wl_owner_log_destroy(&log);
}

Test(owner_log, an_answer_from_before_a_loss_does_not_end_the_doubt) {
    wl_owner_log_t *log = ready_log(WL_OWNER_LOG_EVERY_COMMIT, 10);
    uint64_t after = 0;
    wl_owner_log_stored(log, 0, 5, 11);
    wl_owner_log_stored(log, 0, 7, 13);
    (void)wl_owner_log_due(log, 0, 2000, false, &after);
    wl_owner_log_stored(log, 0, 9, 15); /* commit 8 was lost while the answer was under way */
    (void)wl_owner_log_told(log, 0, 13, true, 0, 2500);
    cr_expect(!wl_owner_log_ready(log));
    cr_expect(wl_owner_log_due(log, 0, 3000, false, &after));
    (void)wl_owner_log_told(log, 0, 15, true, 0, 3001);
    cr_expect(wl_owner_log_ready(log));
    wl_owner_log_destroy(&log);
}

Test(owner_log, with_several_presence_actors_a_jump_is_no_loss) {
    wl_owner_log_t *log = ready_log(WL_OWNER_LOG_SOME_COMMITS, 10);
    wl_owner_log_stored(log, 0, 5, 11);
    wl_owner_log_stored(log, 0, 9, 15);
    cr_expect(wl_owner_log_ready(log));
    cr_expect_eq(wl_owner_log_seen(log)[0], 11u);
    wl_owner_log_destroy(&log);
}

Test(owner_log, with_several_writers_each_shard_is_asked_every_second) {
    wl_owner_log_t *log = ready_log(WL_OWNER_LOG_TOURS, 10); /* asked at 1000 */
    uint64_t after = 0;
    cr_expect_eq(wl_owner_log_toured_at(log, 0), 1000);
    cr_expect(!wl_owner_log_due(log, 0, 1999, false, &after));
    cr_expect(wl_owner_log_due(log, 0, 2000, false, &after));
    cr_expect_eq(after, 10u);
    cr_expect(!wl_owner_log_due(log, 0, 2100, true, &after), "one question at a time");
    cr_expect(wl_owner_log_told(log, 0, 12, true, 2000, 2101));
    cr_expect(wl_owner_log_due(log, 0, 2102, true, &after), "in a hurry, at once");
    cr_expect_eq(after, 12u);
    wl_owner_log_destroy(&log);
}

Test(owner_log, with_several_writers_only_answers_count_as_seen) {
    wl_owner_log_t *log = ready_log(WL_OWNER_LOG_TOURS, 10);
    wl_owner_log_stored(log, 0, 5, 11);
    wl_owner_log_stored(log, 0, 9, 15);
    cr_expect(wl_owner_log_ready(log), "a jump is no loss");
    cr_expect_eq(wl_owner_log_seen(log)[0], 10u, "another writer's birth may be among them");
    wl_owner_log_destroy(&log);
}

Test(owner_log, a_late_answer_to_an_older_question_is_not_taken_for_the_newer_one) {
    wl_owner_log_t *log = wl_owner_log_new(1, WL_OWNER_LOG_TOURS);
    uint64_t after = 0;
    cr_expect(wl_owner_log_due(log, 0, 1000, false, &after));
    cr_expect(wl_owner_log_due(log, 0, 11000, false, &after), "the first one seems lost");
    cr_expect(!wl_owner_log_told(log, 0, 7, true, 1000, 11001));
    cr_expect(!wl_owner_log_ready(log));
    cr_expect(wl_owner_log_told(log, 0, 9, true, 11000, 11002));
    cr_expect_eq(wl_owner_log_toured_at(log, 0), 11000);
    cr_expect_eq(wl_owner_log_seen(log)[0], 9u);
    wl_owner_log_destroy(&log);
}

Test(owner_log, a_commit_behind_what_is_known_clears_nobody) {
    wl_owner_log_t *log = ready_log(WL_OWNER_LOG_TOURS, 10);
    cr_expect(!wl_owner_log_may_clear(log, 0, 9), "the answer was ahead of it");
    cr_expect(wl_owner_log_may_clear(log, 0, 10));
    wl_owner_log_stored(log, 0, 5, 12);
    cr_expect(!wl_owner_log_may_clear(log, 0, 11), "another writer's commit was ahead of it");
    cr_expect(wl_owner_log_may_clear(log, 0, 12));
    wl_owner_log_destroy(&log);
}

Test(owner_log, nobody_is_cleared_in_the_middle_of_a_scan) {
    wl_owner_log_t *log = wl_owner_log_new(1, WL_OWNER_LOG_TOURS);
    uint64_t after = 0;
    (void)wl_owner_log_due(log, 0, 1000, false, &after);
    cr_expect(wl_owner_log_may_clear(log, 0, 5));
    (void)wl_owner_log_told(log, 0, 0, false, 1000, 1001);
    cr_expect(!wl_owner_log_may_clear(log, 0, 5), "a birth after 5 may be among those told");
    (void)wl_owner_log_told(log, 0, 7, true, 1000, 1002);
    cr_expect(!wl_owner_log_may_clear(log, 0, 5));
    cr_expect(wl_owner_log_may_clear(log, 0, 7));
    wl_owner_log_destroy(&log);
}

Test(owner_log, another_database_with_a_shorter_log_clears_again) {
    wl_owner_log_t *log = ready_log(WL_OWNER_LOG_TOURS, 100);
    uint64_t after = 0;
    (void)wl_owner_log_due(log, 0, 2000, false, &after);
    cr_expect(wl_owner_log_told(log, 0, 3, true, 2000, 2001));
    cr_expect_eq(wl_owner_log_seen(log)[0], 3u);
    cr_expect(wl_owner_log_may_clear(log, 0, 3));
    wl_owner_log_destroy(&log);
}

Test(owner_log, a_message_that_is_missing_makes_it_ask_from_what_was_seen_before) {
    wl_owner_log_t *log = ready_log(WL_OWNER_LOG_SOME_COMMITS, 10);
    uint64_t after = 0;
    wl_owner_log_serial(log, 0, 1);
    wl_owner_log_stored(log, 0, 5, 11);
    wl_owner_log_serial(log, 0, 2);
    wl_owner_log_stored(log, 0, 6, 12);
    cr_expect(wl_owner_log_ready(log));
    wl_owner_log_serial(log, 0, 4); /* the third told of births that no other message names */
    wl_owner_log_stored(log, 0, 8, 20);
    cr_expect(!wl_owner_log_ready(log));
    wl_owner_log_serial(log, 0, 5);
    wl_owner_log_stored(log, 0, 9, 21);
    cr_assert(wl_owner_log_due(log, 0, 9000, false, &after));
    cr_expect_eq(after, 11u, "not beyond what came before the loss");
    cr_expect(wl_owner_log_told(log, 0, 21, true, 9000, 9001));
    cr_expect(wl_owner_log_ready(log));
    wl_owner_log_destroy(&log);
}

Test(owner_log, a_shard_that_begins_anew_is_asked_once_more) {
    wl_owner_log_t *log = ready_log(WL_OWNER_LOG_SOME_COMMITS, 10);
    wl_owner_log_serial(log, 0, 2); /* the first one is missing */
    cr_expect(!wl_owner_log_ready(log));
    wl_owner_log_destroy(&log);
    log = ready_log(WL_OWNER_LOG_SOME_COMMITS, 10);
    wl_owner_log_serial(log, 0, 1);
    wl_owner_log_serial(log, 0, 2);
    wl_owner_log_serial(log, 0, 1);
    cr_expect(!wl_owner_log_ready(log));
    wl_owner_log_destroy(&log);
    log = ready_log(WL_OWNER_LOG_TOURS, 10); /* the numbers of several processes */
    wl_owner_log_serial(log, 0, 1);
    wl_owner_log_serial(log, 0, 100);
    cr_expect(wl_owner_log_ready(log));
    wl_owner_log_destroy(&log);
}

Test(owner_log, an_answer_with_a_gap_is_none) {
    wl_owner_log_t *log = wl_owner_log_new(1, WL_OWNER_LOG_EVERY_COMMIT);
    const uint64_t first = 1ull << 32;
    const uint64_t second = 2ull << 32;
    cr_expect(wl_owner_log_chunk(log, 0, 0), "not said");
    cr_expect(wl_owner_log_chunk(log, 0, first));
    cr_expect(wl_owner_log_chunk(log, 0, first + 1));
    cr_expect_not(wl_owner_log_chunk(log, 0, first + 3));
    cr_expect_not(wl_owner_log_chunk(log, 0, first + 4));
    cr_expect_not(wl_owner_log_chunk(log, 0, second + 1), "the beginning of another answer");
    cr_expect(wl_owner_log_chunk(log, 0, second));
    cr_expect(wl_owner_log_chunk(log, 0, second + 1));
    wl_owner_log_destroy(&log);
}
