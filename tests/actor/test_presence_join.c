#include "actors/presence_join.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

enum { CHUNK = 262144, WAIT_MS = 4000 };

static uint8_t piece[CHUNK];

static void give(wl_presence_join_t *join, uint32_t writer, uint64_t snapshot, uint64_t offset,
                 uint64_t total, size_t bytes, int64_t now) {
    wl_chunk_item_t item = {.bytes = {piece, bytes}};
    wl_msg_t msg = {.id = WL_MSG_CHUNK, .count = 1};
    msg.head.chunk = (wl_chunk_head_t){.snapshot = snapshot, .offset = offset, .total = total};
    msg.items.chunk = &item;
    memset(piece, (int)(1 + offset / CHUNK), sizeof piece);
    wl_presence_join_chunk(join, writer, &msg, now);
}

/* Takes all questions; returns how many, and the last one. */
static uint32_t wants(wl_presence_join_t *join, uint32_t writer, int64_t now,
                      wl_want_head_t *ret_last) {
    uint32_t count = 0;
    while (count < 100 && wl_presence_join_want(join, writer, true, now, ret_last)) {
        count++;
    }
    return count;
}

Test(presence_join, asks_for_a_few_pieces_at_once_and_puts_them_together) {
    wl_presence_join_t *join = wl_presence_join_new(1000, WAIT_MS);
    wl_want_head_t want = {0};
    uint64_t total = 9 * (uint64_t)CHUNK + 7;
    cr_expect(!wl_presence_join_want(join, 0, false, 1000, &want), "it is not followed");
    cr_expect_eq(wants(join, 1, 1000, &want), 1u);
    cr_expect_eq(want.snapshot, 0u);
    cr_expect_eq(wants(join, 0, 1000, &want), 0u, "one writer at a time");
    give(join, 1, 5, 0, total, CHUNK, 1001);
    cr_expect_eq(wants(join, 1, 1001, &want), 4u);
    cr_expect_eq(want.snapshot, 5u);
    cr_expect_eq(want.offset, 4u * CHUNK);
    for (uint64_t at = 1; at < 10; at++) {
        cr_expect_eq(wl_presence_join_state(join, 1001), WL_JOIN_WAITS);
        give(join, 1, 5, at * CHUNK, total, at < 9 ? CHUNK : 7, 1001);
        (void)wants(join, 1, 1001, &want);
    }
    cr_assert_eq(wl_presence_join_state(join, 1001), WL_JOIN_WHOLE);
    cr_expect_eq(wants(join, 1, 1001, &want), 0u);
    wl_bytes_t bytes = wl_presence_join_bytes(join);
    cr_assert_eq(bytes.count, total);
    for (uint64_t i = 0; i < total; i++) {
        cr_assert_eq(bytes.at[i], 1 + i / CHUNK);
    }
    wl_presence_join_destroy(&join);
}

Test(presence_join, a_lost_piece_is_asked_for_again) {
    wl_presence_join_t *join = wl_presence_join_new(1000, WAIT_MS);
    wl_want_head_t want = {0};
    (void)wants(join, 0, 1000, &want);
    give(join, 0, 5, 0, 3 * CHUNK, CHUNK, 1001);
    (void)wants(join, 0, 1001, &want);
    give(join, 0, 5, 2 * CHUNK, 3 * CHUNK, CHUNK, 1002); /* the second is missing */
    cr_expect_eq(wants(join, 0, 1500, &want), 0u);
    cr_expect_eq(wants(join, 0, 2100, &want), 2u);
    give(join, 0, 5, CHUNK, 3 * CHUNK, CHUNK, 2101);
    give(join, 0, 5, 2 * CHUNK, 3 * CHUNK, CHUNK, 2101);
    cr_expect_eq(wl_presence_join_state(join, 2101), WL_JOIN_WHOLE);
    wl_presence_join_destroy(&join);
}

Test(presence_join, a_writer_whose_set_is_not_complete_is_asked_again) {
    wl_presence_join_t *join = wl_presence_join_new(1000, WAIT_MS);
    wl_want_head_t want = {0};
    (void)wants(join, 0, 1000, &want);
    wl_msg_t none = {.id = WL_MSG_CHUNK};
    wl_presence_join_chunk(join, 0, &none, 1001);
    cr_expect_eq(wants(join, 0, 1100, &want), 0u);
    cr_expect_eq(wants(join, 0, 1400, &want), 1u);
    wl_presence_join_destroy(&join);
}

Test(presence_join, a_snapshot_that_is_gone_is_begun_anew) {
    wl_presence_join_t *join = wl_presence_join_new(1000, WAIT_MS);
    wl_want_head_t want = {0};
    (void)wants(join, 0, 1000, &want);
    give(join, 0, 5, 0, 2 * CHUNK, CHUNK, 1001);
    (void)wants(join, 0, 1001, &want);
    wl_msg_t none = {.id = WL_MSG_CHUNK};
    wl_presence_join_chunk(join, 0, &none, 1002);
    cr_expect_eq(wants(join, 0, 1003, &want), 1u);
    cr_expect_eq(want.snapshot, 0u);
    give(join, 0, 6, 0, 10, 10, 1004);
    cr_expect_eq(wl_presence_join_state(join, 1004), WL_JOIN_WHOLE);
    wl_presence_join_destroy(&join);
}

Test(presence_join, another_writer_is_asked_when_one_does_not_answer_and_nobody_in_the_end) {
    wl_presence_join_t *join = wl_presence_join_new(1000, WAIT_MS);
    wl_want_head_t want = {0};
    (void)wants(join, 0, 1000, &want);
    cr_expect_eq(wants(join, 1, 1100, &want), 0u);
    cr_expect_eq(wants(join, 1, 2600, &want), 1u);
    cr_expect_eq(wants(join, 0, 2600, &want), 0u);
    cr_expect_eq(wl_presence_join_state(join, 1000 + WAIT_MS), WL_JOIN_WAITS);
    cr_expect_eq(wl_presence_join_state(join, 1001 + WAIT_MS), WL_JOIN_GIVEN_UP);
    wl_presence_join_destroy(&join);
}

Test(presence_join, pieces_that_do_not_fit_are_passed_over) {
    wl_presence_join_t *join = wl_presence_join_new(1000, WAIT_MS);
    wl_want_head_t want = {0};
    give(join, 0, 5, 0, 10, 10, 1000); /* nobody was asked */
    (void)wants(join, 0, 1000, &want);
    give(join, 1, 5, 0, 10, 10, 1000);                 /* another one was asked */
    give(join, 0, 5, 7, 10, 3, 1000);                  /* not the beginning */
    give(join, 0, 5, 0, UINT64_MAX, CHUNK, 1000);      /* too large */
    give(join, 0, 5, 0, 2 * (uint64_t)CHUNK, 0, 1000); /* empty */
    give(join, 0, 5, 0, 10, 11, 1000);                 /* more than announced */
    cr_expect_eq(wl_presence_join_bytes(join).count, 0u);
    cr_expect_eq(wl_presence_join_state(join, 1000), WL_JOIN_WAITS);
    wl_presence_join_destroy(&join);
}
