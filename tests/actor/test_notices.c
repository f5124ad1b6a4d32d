#include "actors/notices.h"

#include <criterion/criterion.h>

Test(notices, a_change_is_on_its_way_until_one_as_new_is_in_effect) {
    wl_notices_t *notices = wl_notices_new(10);
    wl_notices_add(notices, 42, 7, 0);
    wl_notices_add(notices, 42, 5, 0);
    cr_expect(wl_notices_end(notices, 42, 6));
    cr_expect(!wl_notices_end(notices, 42, 7));
    cr_expect(!wl_notices_end(notices, 42, 1), "forgotten");
    cr_expect(!wl_notices_end(notices, 43, 1), "never noticed");
    cr_expect_eq(wl_notices_users(notices), 0u);
    wl_notices_destroy(&notices);
}

Test(notices, what_the_full_table_cannot_keep_holds_for_everybody) {
    wl_notices_t *notices = wl_notices_new(2);
    wl_notices_add(notices, 1, 1, 0);
    wl_notices_add(notices, 2, 2, 0);
    wl_notices_add(notices, 3, 3, 0);
    wl_notices_add(notices, 1, 4, 0);
    cr_expect_eq(wl_notices_users(notices), 2u);
    cr_expect(wl_notices_end(notices, 3, 2), "3 may be on its way");
    cr_expect(!wl_notices_end(notices, 3, 3));
    cr_expect(wl_notices_end(notices, 9, 2), "nobody knows whose it was");
    cr_expect(!wl_notices_end(notices, 9, 5));
    wl_notices_destroy(&notices);
}

Test(notices, what_is_very_old_is_forgotten) {
    wl_notices_t *notices = wl_notices_new(10);
    wl_notices_add(notices, 1, 1, 1000);
    wl_notices_add(notices, 2, 2, 2000);
    wl_notices_add(notices, 3, 3, 1000);
    wl_notices_add(notices, 3, 4, 3000);
    wl_notices_forget(notices, 2000);
    cr_expect_eq(wl_notices_users(notices), 2u);
    cr_expect(!wl_notices_end(notices, 1, 0));
    cr_expect(wl_notices_end(notices, 2, 0));
    cr_expect(wl_notices_end(notices, 3, 0));
    wl_notices_destroy(&notices);
}
