#include "domain/line_names.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <stdio.h>

Test(line_names, gives_one_number_per_line_while_it_is_held) {
    WL_AUTO(wl_line_names) names = wl_line_names_new();
    uint8_t cash = 0;
    uint8_t again = 0;
    uint8_t coin = 0;
    cr_assert_not(wl_line_names_find(names, "cash", &cash));
    cr_assert_eq(wl_line_names_hold(names, "cash", &cash), WL_OK);
    cr_assert_eq(wl_line_names_hold(names, "coin", &coin), WL_OK);
    cr_assert_eq(wl_line_names_hold(names, "cash", &again), WL_OK);
    cr_assert_eq(cash, again);
    cr_assert_neq(cash, coin);
    cr_assert_str_eq(wl_line_names_text(names, coin), "coin");
    cr_assert_not(wl_line_names_drop(names, cash));
    cr_assert(wl_line_names_find(names, "cash", &again));
    cr_assert(wl_line_names_drop(names, cash));
    cr_assert_not(wl_line_names_find(names, "cash", &again));
}

Test(line_names, refuses_lines_beyond_the_bound_and_gives_numbers_again) {
    WL_AUTO(wl_line_names) names = wl_line_names_new();
    char text[16];
    uint8_t number = 0;
    for (unsigned i = 0; i < WL_LINE_NAMES_MAX; i++) {
        (void)snprintf(text, sizeof text, "line-%u", i);
        cr_assert_eq(wl_line_names_hold(names, text, &number), WL_OK);
        cr_assert_eq(number, i);
    }
    cr_assert_eq(wl_line_names_hold(names, "one-more", &number), WL_ERR_FULL);
    cr_assert(wl_line_names_drop(names, 17));
    cr_assert_eq(wl_line_names_hold(names, "one-more", &number), WL_OK);
    cr_assert_eq(number, 17);
    cr_assert_str_eq(wl_line_names_text(names, 17), "one-more");
}

Test(line_names, refuses_texts_that_are_no_line_id) {
    WL_AUTO(wl_line_names) names = wl_line_names_new();
    uint8_t number = 0;
    cr_assert_eq(wl_line_names_hold(names, "", &number), WL_ERR_FULL);
    cr_assert_eq(wl_line_names_hold(names, "123456789012345678901234567890123", &number),
                 WL_ERR_FULL);
    cr_assert_eq(wl_line_names_hold(names, "12345678901234567890123456789012", &number), WL_OK);
}
