#include "domain/marks.h"

#include "base/alloc.h"
#include "base/slot.h"

#include <criterion/criterion.h>
#include <string.h>

static wl_mark_state_t from_text(const char *text, const char *line) {
    return wl_marks_text_get(text, strlen(text), line);
}

Test(marks, the_newest_notice_decides) {
    WL_AUTO(wl_marks) marks = wl_marks_new(10);
    cr_assert_eq(wl_marks_get(marks, 1, "cash"), WL_MARK_NONE);
    cr_assert_eq(wl_marks_set(marks, 1, "cash", 5, WL_MARK_PENDING), WL_OK);
    cr_assert_eq(wl_marks_set(marks, 1, "cash", 4, WL_MARK_FAILING), WL_OK);
    cr_assert_eq(wl_marks_get(marks, 1, "cash"), WL_MARK_PENDING);
    cr_assert_eq(wl_marks_set(marks, 1, "cash", 5, WL_MARK_FAILING), WL_OK);
    cr_assert_eq(wl_marks_get(marks, 1, "cash"), WL_MARK_FAILING);
    wl_marks_clear(marks, 1, "cash", 4);
    cr_assert_eq(wl_marks_get(marks, 1, "cash"), WL_MARK_FAILING, "a newer notice set it");
    wl_marks_clear(marks, 1, "coin", 9);
    wl_marks_clear(marks, 1, "cash", 5);
    cr_assert_eq(wl_marks_get(marks, 1, "cash"), WL_MARK_NONE);
    cr_assert_eq(wl_marks_users(marks), 0);
}

Test(marks, are_bounded_by_users_and_lose_only_the_label) {
    WL_AUTO(wl_marks) marks = wl_marks_new(2);
    cr_assert_eq(wl_marks_set(marks, 1, "cash", 1, WL_MARK_PENDING), WL_OK);
    cr_assert_eq(wl_marks_set(marks, 2, "cash", 2, WL_MARK_PENDING), WL_OK);
    cr_assert_eq(wl_marks_set(marks, 3, "cash", 3, WL_MARK_PENDING), WL_ERR_FULL);
    cr_assert_eq(wl_marks_set(marks, 3, "cash", 3, WL_MARK_NONE), WL_OK, "nothing to forget");
    cr_assert_eq(wl_marks_set(marks, 2, "coin", 4, WL_MARK_PENDING), WL_OK, "a known user");
    cr_assert_eq(wl_marks_set(marks, 1, "cash", 5, WL_MARK_NONE), WL_OK);
    cr_assert_eq(wl_marks_set(marks, 3, "cash", 6, WL_MARK_PENDING), WL_OK);
    cr_assert_eq(wl_marks_users(marks), 2);
}

Test(marks, are_written_as_text_and_found_in_it) {
    WL_AUTO(wl_marks) marks = wl_marks_new(10);
    char text[64];
    cr_assert_eq(wl_marks_text(marks, 1, text, sizeof text), 0);
    cr_assert_eq(wl_marks_set(marks, 1, "cash", 1, WL_MARK_PENDING), WL_OK);
    cr_assert_eq(wl_marks_set(marks, 1, "coin", 2, WL_MARK_FAILING), WL_OK);
    size_t bytes = wl_marks_text(marks, 1, text, sizeof text);
    cr_assert_eq(bytes, 14);
    cr_assert_eq(memcmp(text, "cash=1,coin=2,", bytes), 0);
    cr_assert_eq(wl_marks_text_get(text, bytes, "cash"), WL_MARK_PENDING);
    cr_assert_eq(wl_marks_text_get(text, bytes, "coin"), WL_MARK_FAILING);
    cr_assert_eq(wl_marks_text_get(text, bytes, "coi"), WL_MARK_NONE);
    cr_assert_eq(wl_marks_text_get(text, bytes, "ash"), WL_MARK_NONE);
    cr_assert_eq(wl_marks_text(marks, 1, text, 13), 7, "marks that do not fit are left out");
    cr_assert_eq(wl_marks_text(marks, 1, text, 6), 0);
    cr_assert_eq(wl_marks_text(marks, 1, NULL, 0), 0);
}

Test(marks, read_nothing_from_texts_of_another_shape) {
    cr_assert_eq(from_text("", "cash"), WL_MARK_NONE);
    cr_assert_eq(from_text("cash", "cash"), WL_MARK_NONE);
    cr_assert_eq(from_text("cash=", "cash"), WL_MARK_NONE);
    cr_assert_eq(from_text("cash=1", "cash"), WL_MARK_NONE, "cut off");
    cr_assert_eq(from_text("cash=3,", "cash"), WL_MARK_NONE);
    cr_assert_eq(from_text("cash=12,", "cash"), WL_MARK_NONE);
    cr_assert_eq(from_text("cash,1,", "cash"), WL_MARK_NONE);
    cr_assert_eq(from_text(",,=,cash=2,", "cash"), WL_MARK_FAILING);
    cr_assert_eq(wl_marks_text_get(NULL, 0, "cash"), WL_MARK_NONE);
    for (uint64_t seed = 0; seed < 20000; seed++) { /* must not read beyond the bytes: ASan looks */
        static const char letters[] = "a=1,2";
        size_t bytes = seed % 9;
        char *text = wl_alloc(bytes);
        for (size_t i = 0; i < bytes; i++) {
            text[i] = letters[(wl_mix64(seed) >> (3 * i)) % 5];
        }
        (void)wl_marks_text_get(text, bytes, "a");
        wl_free(text);
    }
}

Test(marks, agree_with_an_array) {
    enum { USERS = 6, LINES = 5 };
    static const char *const lines[LINES] = {"a", "b", "cash", "coin", "coupons"};
    for (uint64_t seed = 0; seed < 30; seed++) {
        WL_AUTO(wl_marks) marks = wl_marks_new(USERS);
        struct {
            uint64_t seq;
            wl_mark_state_t state;
        } known[USERS][LINES] = {0};
        for (uint64_t i = 0; i < 3000; i++) {
            uint64_t random = wl_mix64(seed << 32 | i);
            uint64_t uid = random % USERS;
            unsigned line = (unsigned)(random >> 8) % LINES;
            uint64_t seq = i < 5 ? i : i - (random >> 16) % 5; /* notices may overtake */
            wl_mark_state_t state = (wl_mark_state_t)((random >> 24) % 3);
            bool marked = known[uid][line].state != WL_MARK_NONE;
            if ((random >> 30) % 2 == 0) {
                cr_assert_eq(wl_marks_set(marks, uid, lines[line], seq, state), WL_OK);
                if (!marked || seq >= known[uid][line].seq) {
                    known[uid][line].seq = seq;
                    known[uid][line].state = state;
                }
            } else {
                wl_marks_clear(marks, uid, lines[line], seq);
                if (marked && known[uid][line].seq <= seq) {
                    known[uid][line].state = WL_MARK_NONE;
                }
            }
            uint32_t users = 0;
            for (uint64_t u = 0; u < USERS; u++) {
                char text[128];
                size_t bytes = wl_marks_text(marks, u, text, sizeof text);
                bool any = false;
                for (unsigned l = 0; l < LINES; l++) {
                    wl_mark_state_t expected = known[u][l].state;
                    cr_assert_eq(wl_marks_get(marks, u, lines[l]), expected);
                    cr_assert_eq(wl_marks_text_get(text, bytes, lines[l]), expected);
                    any = any || expected != WL_MARK_NONE;
                }
                users += any ? 1 : 0;
            }
            cr_assert_eq(wl_marks_users(marks), users);
        }
    }
}

static bool is_odd(void *arg, uint64_t uid) {
    (void)arg;
    return uid % 2 == 1;
}

Test(marks, of_some_users_are_dropped_at_once) {
    WL_AUTO(wl_marks) marks = wl_marks_new(100);
    for (uint64_t uid = 0; uid < 10; uid++) {
        cr_assert_eq(wl_marks_set(marks, uid, "cash", 1, WL_MARK_PENDING), WL_OK);
        cr_assert_eq(wl_marks_set(marks, uid, "coin", 2, WL_MARK_FAILING), WL_OK);
    }
    cr_expect_eq(wl_marks_drop(marks, is_odd, NULL), 5u);
    cr_expect_eq(wl_marks_users(marks), 5u);
    cr_expect(!wl_marks_any(marks, 3));
    cr_expect_eq(wl_marks_get(marks, 4, "coin"), WL_MARK_FAILING);
    cr_expect_eq(wl_marks_drop(marks, is_odd, NULL), 0u);
    cr_expect_eq(wl_marks_set(marks, 3, "cash", 1, WL_MARK_PENDING), WL_OK);
}

enum { SCANNED = 5000 };

typedef struct {
    uint32_t visits;
    uint8_t seen[3 * SCANNED];
} scan_t;

static void scan_visit(void *arg, uint64_t uid, const char *line, uint64_t seq,
                       wl_mark_state_t state) {
    scan_t *scan = arg;
    cr_assert_str_eq(line, "cash");
    cr_assert_eq(seq, uid + 1);
    cr_assert_eq(state, WL_MARK_PENDING);
    scan->seen[uid] = 1;
    scan->visits++;
}

/* While the scan goes on, the table grows fourfold and half of the others come and go. */
Test(marks, a_scan_misses_nobody_who_is_there_all_the_time) {
    WL_AUTO(wl_marks) marks = wl_marks_new(10 * SCANNED);
    scan_t *scan = wl_alloc_zero(1, sizeof *scan);
    for (uint64_t uid = 0; uid < SCANNED; uid++) {
        cr_assert_eq(wl_marks_set(marks, uid, "cash", uid + 1, WL_MARK_PENDING), WL_OK);
    }
    uint64_t other = SCANNED;
    uint32_t cursor = 0;
    uint32_t calls = 0;
    do {
        cursor = wl_marks_scan(marks, cursor, 100, scan_visit, scan);
        for (uint32_t i = 0; i < 200 && other < 3 * SCANNED; i++, other++) {
            cr_assert_eq(wl_marks_set(marks, other, "cash", other + 1, WL_MARK_PENDING), WL_OK);
            if (other % 2 == 0) {
                wl_marks_clear(marks, other - 50, "cash", other);
                if (other - 50 < SCANNED) {
                    scan->seen[other - 50] = 1; /* was not there all the time */
                }
            }
        }
        calls++;
    } while (cursor != 0);
    for (uint64_t uid = 0; uid < SCANNED; uid++) {
        cr_assert(scan->seen[uid], "user %llu", (unsigned long long)uid);
    }
    cr_expect_gt(calls, 20u);
    cr_expect_lt(scan->visits, 4u * SCANNED);
    wl_free(scan);
}

Test(marks, a_scan_of_nothing_ends_at_once) {
    WL_AUTO(wl_marks) marks = wl_marks_new(10);
    cr_expect_eq(wl_marks_scan(marks, 0, 100, scan_visit, NULL), 0u);
    cr_expect_eq(wl_marks_scan(marks, 77, 100, scan_visit, NULL), 0u);
}
