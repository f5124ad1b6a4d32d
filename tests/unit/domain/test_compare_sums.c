#include "domain/compare_sums.h"

#include "base/slot.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { NOW = 2000000000 };

static wl_compare_sums_t *sums_new(void) {
    wl_compare_sums_t *self = calloc(1, sizeof *self);
    cr_assert_not_null(self);
    return self;
}

static wl_asset_t record(const char *line, int64_t age, int64_t changed_ago) {
    wl_asset_t made = {.uid = 1,
                       .version = 1,
                       .state = WL_STATE_AVAILABLE,
                       .pulled_at = NOW - age,
                       .changed_at = NOW - changed_ago};
    (void)strcpy(made.line, line);
    return made;
}

Test(compare_sums, records_are_counted_by_age_and_line) {
    wl_compare_sums_t *self = sums_new();
    wl_asset_t fresh = record("cash", 10, 10);
    wl_asset_t old = record("cash", 86400001, 86400001);
    wl_asset_t other = record("coin", 60001, 5);
    wl_asset_t gone = record("coin", 5, 5);
    gone.state = WL_STATE_GONE;
    wl_asset_t ancient = record("coin", INT64_C(1) << 40, 5);
    ancient.changed_at = 0; /* the line does not say */
    const wl_asset_t *all[] = {&fresh, &old, &other, &gone, &ancient};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        wl_compare_sums_row(self, all[i], NOW);
    }
    cr_expect_eq(self->rows, 5u);
    cr_expect_eq(self->ages[0], 1u);
    cr_expect_eq(self->ages[1], 1u);
    cr_expect_eq(self->ages[5], 1u);
    cr_expect_eq(self->ages[WL_COMPARE_AGES - 1], 1u);
    cr_assert_eq(self->line_count, 2u);
    cr_expect_str_eq(self->lines[0].line, "cash");
    cr_expect_eq(self->lines[0].records, 2u);
    cr_expect_eq(self->lines[0].changed, 1u);
    cr_expect_eq(self->lines[1].records, 2u);
    cr_expect_eq(self->lines[1].changed, 1u);
    free(self);
}

static void sums_fill(wl_compare_sums_t *self) {
    for (uint64_t uid = 1; uid <= 5000; uid++) {
        wl_compare_sums_user(self, uid);
        if (uid % 7 == 0) {
            wl_compare_sums_found(self, uid);
        }
    }
    wl_asset_t asset = record("cash", 5, 5);
    wl_compare_sums_row(self, &asset, NOW);
    self->equal = 3;
    self->uncached = UINT64_MAX;
    self->checked = 9;
    self->moving = 11;
    self->worked_ms = 77;
}

Test(compare_sums, what_is_packed_is_read_back) {
    wl_compare_sums_t *self = sums_new();
    wl_compare_sums_t *back = sums_new();
    sums_fill(self);
    msgpack_sbuffer bytes;
    msgpack_sbuffer_init(&bytes);
    wl_compare_sums_pack(self, &bytes);
    cr_assert_eq(wl_compare_sums_unpack(bytes.data, bytes.size, back), WL_OK);
    cr_expect_eq(memcmp(self, back, sizeof *self), 0);
    msgpack_sbuffer_destroy(&bytes);
    free(self);
    free(back);
}

Test(compare_sums, the_largest_sums_fit) {
    wl_compare_sums_t *self = sums_new();
    wl_compare_sums_t *back = sums_new();
    memset(self, 0xff, sizeof *self);
    self->line_count = WL_LINES_MAX;
    for (uint32_t i = 0; i < WL_LINES_MAX; i++) {
        memset(self->lines[i].line, 'a' + (char)(i % 26), WL_LINE_ID_MAX);
        self->lines[i].line[0] = (char)('0' + (char)(i / 26));
        self->lines[i].line[WL_LINE_ID_MAX] = '\0';
    }
    msgpack_sbuffer bytes;
    msgpack_sbuffer_init(&bytes);
    wl_compare_sums_pack(self, &bytes);
    cr_assert_leq(bytes.size, (size_t)WL_COMPARE_PACKED_MAX);
    cr_assert_eq(wl_compare_sums_unpack(bytes.data, bytes.size, back), WL_OK);
    cr_expect_eq(back->slot_found[WL_SLOTS - 1], UINT32_MAX);
    msgpack_sbuffer_destroy(&bytes);
    free(self);
    free(back);
}

Test(compare_sums, damaged_bytes_are_refused_and_leave_nothing) {
    wl_compare_sums_t *self = sums_new();
    wl_compare_sums_t *back = sums_new();
    sums_fill(self);
    msgpack_sbuffer bytes;
    msgpack_sbuffer_init(&bytes);
    wl_compare_sums_pack(self, &bytes);
    uint32_t refused = 0;
    srand(3);
    for (int i = 0; i < 3000; i++) {
        char copy[WL_COMPARE_PACKED_MAX];
        size_t count = i % 3 == 0 ? (size_t)rand() % bytes.size : bytes.size;
        memcpy(copy, bytes.data, bytes.size);
        copy[(size_t)rand() % bytes.size] ^= (char)(1 + rand() % 255);
        if (wl_compare_sums_unpack(copy, count, back) != WL_OK) {
            refused++;
            cr_assert_eq(back->users, 0u);
            cr_assert_eq(back->line_count, 0u);
        }
    }
    cr_expect_gt(refused, 1000u);
    cr_expect_eq(wl_compare_sums_unpack(NULL, 0, back), WL_OK);
    msgpack_sbuffer_destroy(&bytes);
    free(self);
    free(back);
}

/* `found` of `users` users of one slot. */
static void slot_fill(wl_compare_sums_t *self, uint32_t slot, uint32_t users, uint32_t found) {
    self->slot_users[slot] = users;
    self->slot_found[slot] = found;
}

Test(compare_sums, the_cap_holds_for_each_slot_and_for_all) {
    wl_compare_sums_t *self = sums_new();
    int slot = -2;
    slot_fill(self, 9, 30, WL_COMPARE_CAP_MIN - 1);
    cr_expect(!wl_compare_capped(self, 50, &slot), "too few to say");
    slot_fill(self, 9, 30, WL_COMPARE_CAP_MIN);
    cr_expect(wl_compare_capped(self, 50, &slot));
    cr_expect_eq(slot, 9);
    cr_expect(!wl_compare_capped(self, 1000, &slot), "no cap");
    slot_fill(self, 9, 400, WL_COMPARE_CAP_MIN);
    cr_expect(!wl_compare_capped(self, 50, &slot), "exactly the cap");
    for (uint32_t i = 0; i < 19; i++) {
        slot_fill(self, i, 10, 1); /* no slot for itself */
    }
    slot_fill(self, 30, 10, 9);
    cr_expect(wl_compare_capped(self, 50, &slot));
    cr_expect_eq(slot, -1);
    cr_expect(wl_compare_capped(self, 0, &slot), "nothing may differ");
    free(self);
}

Test(compare_sums, sums_of_parts_add_up) {
    wl_compare_sums_t *all = sums_new();
    wl_compare_sums_t *part = sums_new();
    sums_fill(part);
    part->uncached = 2;
    wl_compare_sums_add(all, part);
    wl_compare_sums_add(all, part);
    cr_expect_eq(all->users, 10000u);
    cr_expect_eq(all->uncached, 4u);
    cr_expect_eq(all->ages[0], 2u);
    cr_expect_eq(all->line_count, 1u);
    cr_expect_eq(all->lines[0].records, 2u);
    free(all);
    free(part);
}

Test(compare_sums, a_line_is_silent_against_its_own_usual_rate) {
    uint64_t usual = 7;
    uint64_t past[] = {1000, 10, 1100, 900, 100000};
    cr_expect(!wl_compare_silent(0, past, 2, &usual));
    cr_expect_eq(usual, 0u, "two runs say nothing");
    cr_expect(wl_compare_silent(199, past, 5, &usual));
    cr_expect_eq(usual, 1000u);
    cr_expect(!wl_compare_silent(200, past, 5, &usual));
    uint64_t rare[] = {49, 49, 49};
    cr_expect(!wl_compare_silent(0, rare, 3, &usual));
}
