#include "base/settings.h"

#include <criterion/criterion.h>

Test(nearest, finds_the_name_with_fewest_edits_and_nothing_far) {
    static const char *const names[] = {"rate", "burst", "batch_max", "batch_wait_ms"};
    cr_expect_str_eq(wl_nearest("rat", names, 4), "rate");
    cr_expect_str_eq(wl_nearest("bach_max", names, 4), "batch_max");
    cr_expect_str_eq(wl_nearest("bursts", names, 4), "burst");
    cr_expect_null(wl_nearest("endpoint", names, 4));
}
