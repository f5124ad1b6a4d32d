#include "base/difference.h"

#include <criterion/criterion.h>

Test(difference, names_are_read_back) {
    for (unsigned i = 0; i < WL_DIFFERENCE_KINDS; i++) {
        wl_difference_kind_t kind = WL_DIFFERENCE_KINDS;
        cr_assert(wl_difference_parse(wl_difference_name((wl_difference_kind_t)i), &kind));
        cr_assert_eq((unsigned)kind, i);
    }
    wl_difference_kind_t kind = WL_DIFFERENCE_ORPHAN;
    cr_assert(!wl_difference_parse("", &kind));
    cr_assert_eq(kind, WL_DIFFERENCE_ORPHAN);
    cr_assert_str_eq(wl_difference_name(WL_DIFFERENCE_KINDS), "?");
    cr_assert_str_eq(wl_repair_name(WL_REPAIR_DROP), "drop");
    cr_assert_str_eq(wl_repair_name(WL_REPAIR_RESTORE), "restore");
    cr_assert_str_eq(wl_repair_name(WL_REPAIR_MARK), "mark");
}
