#include "base/asset.h"

#include <criterion/criterion.h>

Test(asset, every_kind_and_state_name_parses_back) {
    for (unsigned i = 0; i < WL_KIND_COUNT; i++) {
        wl_kind_t kind = WL_KIND_COUNT;
        cr_assert(wl_kind_parse(wl_kind_name((wl_kind_t)i), &kind));
        cr_expect_eq((unsigned)kind, i);
    }
    for (unsigned i = 0; i < WL_STATE_COUNT; i++) {
        wl_state_t state = WL_STATE_COUNT;
        cr_assert(wl_state_parse(wl_state_name((wl_state_t)i), &state));
        cr_expect_eq((unsigned)state, i);
    }
}

Test(asset, unknown_names_leave_the_result_alone) {
    wl_kind_t kind = WL_KIND_COIN;
    cr_expect_not(wl_kind_parse("Cash", &kind));
    cr_expect_not(wl_kind_parse("", &kind));
    cr_expect_eq(kind, WL_KIND_COIN);
    cr_expect_str_eq(wl_kind_name(WL_KIND_COUNT), "?");
}

Test(asset, line_ids_are_1_to_32_of_a_small_alphabet) {
    cr_expect(wl_line_id_valid("cash"));
    cr_expect(wl_line_id_valid("a-b_9"));
    cr_expect(wl_line_id_valid("12345678901234567890123456789012"));
    cr_expect_not(wl_line_id_valid("123456789012345678901234567890123"));
    cr_expect_not(wl_line_id_valid(""));
    cr_expect_not(wl_line_id_valid("Cash"));
    cr_expect_not(wl_line_id_valid("a b"));
}
