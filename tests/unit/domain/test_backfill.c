/* A backfill that is killed again and again: with the place and the counts that were written down,
 * it ends with every user counted once. */
#include "domain/backfill.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(backfill, records_come_back) {
    wl_backfill_record_t record = {.id = 7,
                                   .phase = WL_BACKFILL_RUNNING,
                                   .total = UINT64_MAX,
                                   .done = 3,
                                   .failed = 4,
                                   .shard = 63,
                                   .after = UINT64_MAX,
                                   .ended_at = INT64_MAX};
    wl_backfill_want_t want = {.id = 9, .wanted_at = 5, .rate = 100, .all = true, .stop = true};
    wl_backfill_record_t record_back = {0};
    wl_backfill_want_t want_back = {0};
    char text[WL_BACKFILL_TEXT_MAX];
    size_t bytes = wl_backfill_record_format(&record, text);
    cr_assert(wl_backfill_record_parse(text, bytes, &record_back));
    cr_assert(record_back.id == 7 && record_back.phase == WL_BACKFILL_RUNNING);
    cr_assert(record_back.total == UINT64_MAX && record_back.done == 3 && record_back.failed == 4);
    cr_assert(record_back.shard == 63 && record_back.after == UINT64_MAX);
    cr_assert_eq(record_back.ended_at, INT64_MAX);
    bytes = wl_backfill_want_format(&want, text);
    cr_assert(wl_backfill_want_parse(text, bytes, &want_back));
    cr_assert(want_back.id == 9 && want_back.rate == 100 && want_back.all && want_back.stop);
}

Test(backfill, what_is_no_record_is_refused) {
    static const char *const texts[] = {"",
                                        "1 1 1 1",
                                        "0 0 0 0 0 0 0 0",
                                        "1 9 0 0 0 0 0 0",
                                        "1 1 0 0 0 4294967296 0 0",
                                        "1 1 0 0 0 0 0 0 ",
                                        "1 1 0 0 0 0 0 0 0",
                                        " 1 1 0 0 0 0 0 0",
                                        "1 1 0 0 0 0 18446744073709551616 0",
                                        "1 1 0 0 0 0 -1 0",
                                        "1  1 0 0 0 0 0 0"};
    wl_backfill_record_t record;
    wl_backfill_want_t want;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cr_assert_not(wl_backfill_record_parse(texts[i], strlen(texts[i]), &record), "%zu", i);
        cr_assert_not(wl_backfill_want_parse(texts[i], strlen(texts[i]), &want), "%zu", i);
    }
    cr_assert_not(wl_backfill_record_parse("1 1 0 0 0 0 0 0\0x", 17, &record));
}

enum { USERS = 30000 };

/* One life: takes users behind the place, ends some in any order, writes the place down now and
 * then, and is killed. Returns whether it came to the end. */
static bool live_once(wl_backfill_record_t *written, unsigned seed, int *pulls) {
    wl_backfill_window_t *window = wl_backfill_window_new();
    wl_backfill_record_t record = *written;
    uint64_t flying[WL_BACKFILL_FLYING_MAX];
    uint32_t flying_count = 0;
    uint64_t next = record.after + 1;
    bool alive = true;
    srand(seed);
    while (alive && (next <= USERS || flying_count > 0)) {
        while (next <= USERS && wl_backfill_window_room(window) > 0 && rand() % 50 != 0) {
            wl_backfill_window_add(window, next);
            flying[flying_count++] = next++;
            (*pulls)++;
        }
        for (int i = rand() % 400; i > 0 && flying_count > 0; i--) {
            uint32_t which = (uint32_t)rand() % flying_count;
            uint64_t uid = flying[which];
            flying[which] = flying[--flying_count];
            cr_assert(wl_backfill_window_end(window, uid, uid % 10 != 0));
            cr_assert_not(wl_backfill_window_end(window, uid, true), "ends once");
        }
        (void)wl_backfill_window_pass(window, &record);
        for (uint32_t i = 0; i < flying_count; i++) {
            cr_assert_gt(flying[i], record.after, "the place lies before all that fly");
        }
        *written = rand() % 3 == 0 ? record : *written;
        alive = rand() % 40 != 0;
    }
    *written = alive ? record : *written;
    wl_backfill_window_destroy(&window);
    return alive;
}

Test(backfill, ends_with_the_right_total_after_many_kills) {
    for (unsigned run = 0; run < 20; run++) {
        wl_backfill_record_t written = {.id = 1, .phase = WL_BACKFILL_RUNNING};
        int pulls = 0;
        unsigned lives = 1;
        while (!live_once(&written, run * 1000 + lives, &pulls)) {
            lives++;
            cr_assert_lt(lives, 500u);
        }
        cr_assert_eq(written.done, (uint64_t)USERS * 9 / 10);
        cr_assert_eq(written.failed, (uint64_t)USERS / 10);
        cr_assert_eq(written.after, (uint64_t)USERS);
        cr_assert_geq(pulls, USERS, "nobody is left out");
    }
}
