#include "tools/linesim/details.h"

#include "base/slot.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MODEL_MAX = 4000 };

static const int64_t end_ms = 1782864000000; /* 2026-07-01 */

static details_t *fixture(uint64_t seed, uint32_t each) {
    return details_new(&(details_options_t){.seed = seed, .each = each, .end_ms = end_ms});
}

/* All items of a user, in pages of `limit`. */
static uint32_t read_all(const details_t *details, uint64_t uid, const char *month, uint32_t limit,
                         detail_t *ret) {
    static details_page_t page;
    char cursor[DETAILS_CURSOR_MAX + 1] = "";
    uint32_t count = 0;
    do {
        cr_assert_eq(details_page(details, uid, month, cursor, limit, &page), WL_OK);
        cr_assert_leq(page.count, limit);
        cr_assert(page.next[0] == '\0' || page.count == limit);
        memcpy(ret + count, page.items, page.count * sizeof *ret);
        count += page.count;
        memcpy(cursor, page.next, sizeof cursor);
    } while (cursor[0] != '\0');
    return count;
}

static int compare(const void *left, const void *right) {
    const detail_t *a = left;
    const detail_t *b = right;
    return a->time_ms != b->time_ms ? (a->time_ms < b->time_ms ? 1 : -1) : strcmp(b->id, a->id);
}

Test(details, are_in_strict_order_with_some_equal_times_and_repeat_exactly) {
    static detail_t items[MODEL_MAX];
    static detail_t again[MODEL_MAX];
    details_t *details = fixture(7, 1000);
    details_t *twin = fixture(7, 1000);
    uint32_t equal = 0;
    cr_assert_eq(read_all(details, 42, "", 100, items), 1000);
    cr_assert_eq(read_all(twin, 42, "", 13, again), 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        cr_assert_str_eq(items[i].id, again[i].id);
        cr_assert_eq(items[i].amount, again[i].amount);
        cr_assert(i == 0 || compare(&items[i - 1], &items[i]) < 0);
        equal += i > 0 && items[i - 1].time_ms == items[i].time_ms;
    }
    cr_assert_gt(equal, 50);
    cr_assert_eq(read_all(details, 43, "", 100, again), 1000);
    cr_assert_neq(items[0].time_ms, again[0].time_ms);
    details_destroy(&details);
    details_destroy(&twin);
    cr_assert_null(details);
}

/* Random inserts and deletes; the model is a plain array, sorted. */
Test(details, match_a_plain_list_after_any_edits) {
    static detail_t model[MODEL_MAX];
    static detail_t items[MODEL_MAX];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        details_t *details = fixture(seed, (uint32_t)(seed * 10));
        uint32_t count = read_all(details, 5, "", 100, model);
        cr_assert_eq(count, seed * 10);
        for (uint64_t i = 0; i < 200; i++) {
            uint64_t random = wl_mix64(seed << 32 | i);
            if (random % 3 == 0 && count > 0) {
                uint32_t gone = (uint32_t)((random >> 8) % count);
                char id[DETAIL_ID_MAX + 1];
                memcpy(id, model[gone].id, sizeof id);
                cr_assert_eq(details_delete(details, 5, id), WL_OK);
                cr_assert_eq(details_delete(details, 5, id), WL_ERR_NOT_FOUND);
                model[gone] = model[--count];
            } else {
                int64_t time_ms = end_ms - (int64_t)((random >> 8) % 50) * 86400000;
                details_add(details, 5, time_ms, (int64_t)(random % 1000) - 500, "added",
                            &model[count++]);
            }
        }
        qsort(model, count, sizeof *model, compare);
        cr_assert_eq(read_all(details, 5, "", (uint32_t)(seed % 100) + 1, items), count);
        int64_t in = 0;
        int64_t out = 0;
        for (uint32_t i = 0; i < count; i++) {
            cr_assert_str_eq(items[i].id, model[i].id);
            cr_assert_eq(items[i].time_ms, model[i].time_ms);
            cr_assert_eq(items[i].amount, model[i].amount);
            in += model[i].amount > 0 ? model[i].amount : 0;
            out += model[i].amount < 0 ? -model[i].amount : 0;
        }
        details_sums_t sums;
        cr_assert_eq(details_sums(details, 5, "", &sums), WL_OK);
        cr_assert_eq(sums.in, in);
        cr_assert_eq(sums.out, out);
        cr_assert_eq(sums.count, count);
        details_destroy(&details);
    }
}

/* What was there throughout is shown once, whatever comes and goes between two pages. */
Test(details, pages_neither_repeat_nor_skip_while_items_come_and_go) {
    static detail_t before[MODEL_MAX];
    for (uint64_t seed = 1; seed <= 20; seed++) {
        details_t *details = fixture(seed, 300);
        bool gone[300] = {false};
        uint32_t shown[300] = {0};
        (void)read_all(details, 9, "", 100, before);
        char cursor[DETAILS_CURSOR_MAX + 1] = "";
        uint64_t turn = 0;
        do {
            details_page_t page;
            cr_assert_eq(details_page(details, 9, "", cursor, 7, &page), WL_OK);
            for (uint32_t i = 0; i < page.count; i++) {
                for (uint32_t k = 0; k < 300; k++) {
                    shown[k] += strcmp(before[k].id, page.items[i].id) == 0;
                }
            }
            memcpy(cursor, page.next, sizeof cursor);
            uint64_t random = wl_mix64(seed << 32 | turn++);
            uint32_t victim = (uint32_t)(random % 300);
            gone[victim] |= details_delete(details, 9, before[victim].id) == WL_OK;
            if (page.count > 0 && random % 2 == 0) { /* the item that the cursor names, too */
                wl_err_t err = details_delete(details, 9, page.items[page.count - 1].id);
                cr_assert(err == WL_OK || err == WL_ERR_NOT_FOUND);
            }
            detail_t added;
            details_add(details, 9, before[(random >> 16) % 300].time_ms, 1, "new", &added);
        } while (cursor[0] != '\0');
        for (uint32_t k = 0; k < 300; k++) {
            cr_assert_leq(shown[k], 1);
            cr_assert(shown[k] == 1 || gone[k], "%s was skipped", before[k].id);
        }
        details_destroy(&details);
    }
}

Test(details, months_part_everything_and_sum_up_to_it) {
    static detail_t all[MODEL_MAX];
    static detail_t items[MODEL_MAX];
    details_t *details = fixture(3, 900);
    uint32_t left = read_all(details, 1, "", 100, all);
    details_sums_t total;
    details_sums_t sums;
    cr_assert_eq(details_sums(details, 1, "", &total), WL_OK);
    for (int month = 2025 * 12; month <= 2026 * 12 + 6; month++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%04d-%02d", month / 12, month % 12 + 1);
        uint32_t count = read_all(details, 1, text, 10, items);
        cr_assert_eq(details_sums(details, 1, text, &sums), WL_OK);
        cr_assert_eq(sums.count, count);
        left -= count;
        total.in -= sums.in;
        total.out -= sums.out;
    }
    cr_assert_eq(left, 0);
    cr_assert_eq(total.in, 0);
    cr_assert_eq(total.out, 0);
    details_destroy(&details);
}

Test(details, a_month_is_utc_from_its_first_ms_to_its_last) {
    static const int64_t time_ms[] = {1772323199999, 1772323200000, 1775001599999, 1775001600000};
    details_t *details = fixture(1, 0);
    detail_t added;
    for (int i = 0; i < 4; i++) {
        details_add(details, 2, time_ms[i], i + 1, "", &added);
    }
    details_sums_t sums;
    cr_assert_eq(details_sums(details, 2, "2026-03", &sums), WL_OK);
    cr_assert_eq(sums.in, 2 + 3);
    cr_assert_eq(sums.count, 2);
    cr_assert_eq(details_sums(details, 2, "2026-02", &sums), WL_OK);
    cr_assert_eq(sums.in, 1);
    cr_assert_eq(details_sums(details, 3, "", &sums), WL_OK);
    cr_assert_eq(sums.count, 0, "another user");
    details_destroy(&details);
}

Test(details, refuse_months_and_cursors_that_are_not_theirs) {
    static const char *const months[] = {"2026",    "2026-13",  "2026-00", "2026-1",  "26-01",
                                         "2026/01", "2026-011", "1969-12", "2026-1a", " 2026-01"};
    details_t *details = fixture(1, 50);
    details_page_t page;
    details_sums_t sums;
    for (size_t i = 0; i < sizeof months / sizeof *months; i++) {
        cr_assert_eq(details_page(details, 1, months[i], "", 10, &page), WL_ERR_BAD_REQUEST);
        cr_assert_eq(details_sums(details, 1, months[i], &sums), WL_ERR_BAD_REQUEST);
    }
    cr_assert_eq(details_page(details, 1, "", "", 10, &page), WL_OK);
    char cursor[DETAILS_CURSOR_MAX + 1];
    memcpy(cursor, page.next, sizeof cursor);
    cr_assert_eq(details_page(details, 1, "", cursor, 10, &page), WL_OK);
    cr_assert_eq(details_page(details, 2, "", cursor, 10, &page), WL_ERR_BAD_REQUEST);
    cr_assert_eq(details_page(details, 1, "2026-01", cursor, 10, &page), WL_ERR_BAD_REQUEST);
    details_t *other = fixture(2, 50);
    cr_assert_eq(details_page(other, 1, "", cursor, 10, &page), WL_ERR_BAD_REQUEST);
    for (size_t i = 0; cursor[i] != '\0'; i++) {
        cursor[i] ^= 1;
        cr_assert_eq(details_page(details, 1, "", cursor, 10, &page), WL_ERR_BAD_REQUEST);
        cursor[i] ^= 1;
    }
    cr_assert_eq(details_page(details, 1, "", "garbage", 10, &page), WL_ERR_BAD_REQUEST);
    cr_assert_eq(details_page(details, 1, "", ".", 10, &page), WL_ERR_BAD_REQUEST);
    cr_assert_eq(details_delete(details, 1, "d0000000001"), WL_ERR_NOT_FOUND);
    cr_assert_eq(details_delete(details, 1, "d2000000000x"), WL_ERR_NOT_FOUND);
    cr_assert_eq(details_delete(details, 1, ""), WL_ERR_NOT_FOUND);
    details_destroy(&details);
    details_destroy(&other);
}
