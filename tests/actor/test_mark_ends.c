#include "actors/mark_ends.h"

#include <criterion/criterion.h>

Test(mark_ends, end_in_order_and_not_before_their_time) {
    wl_mark_ends_t *ends = wl_mark_ends_new();
    wl_mark_end_t end;
    cr_expect_not(wl_mark_ends_pop(ends, (wl_mono_ms_t){1000}, &end));
    wl_mark_ends_push(ends, 7, "cash", 12, (wl_mono_ms_t){1000});
    wl_mark_ends_push(ends, 8, "coin", 13, (wl_mono_ms_t){1001});
    cr_expect_not(wl_mark_ends_pop(ends, (wl_mono_ms_t){999 + WL_MARK_ENDS_MS}, &end));
    cr_assert(wl_mark_ends_pop(ends, (wl_mono_ms_t){1000 + WL_MARK_ENDS_MS}, &end));
    cr_expect(end.uid == 7 && end.seq == 12);
    cr_expect_str_eq(end.line, "cash");
    cr_expect_not(wl_mark_ends_pop(ends, (wl_mono_ms_t){1000 + WL_MARK_ENDS_MS}, &end));
    cr_assert(wl_mark_ends_pop(ends, (wl_mono_ms_t){9000}, &end));
    cr_expect_eq(end.uid, 8u);
    wl_mark_ends_destroy(&ends);
    cr_expect_null(ends);
    wl_mark_ends_destroy(&ends);
}

Test(mark_ends, too_many_end_early) {
    wl_mark_ends_t *ends = wl_mark_ends_new();
    wl_mark_end_t end;
    wl_mono_ms_t now = {1000};
    uint64_t early = 0;
    for (uint64_t i = 0; i < WL_MARK_ENDS_MAX + 100; i++) {
        while (wl_mark_ends_pop(ends, now, &end)) {
            cr_assert_eq(end.uid, early++);
        }
        wl_mark_ends_push(ends, i, "cash", i, now);
    }
    cr_expect_eq(early, 100u);
    wl_mark_ends_destroy(&ends);
}
