#include "domain/recent_users.h"

#include <criterion/criterion.h>

Test(recent_users, remembers_each_until_its_time_is_over) {
    wl_recent_users_t *users = wl_recent_users_new(10);
    cr_expect_not(wl_recent_users_has(users, 7, 100));
    wl_recent_users_add(users, 7, 100, 200);
    wl_recent_users_add(users, 8, 150, 250);
    cr_expect(wl_recent_users_has(users, 7, 199));
    cr_expect_not(wl_recent_users_has(users, 7, 200));
    cr_expect(wl_recent_users_has(users, 8, 200));
    wl_recent_users_add(users, 7, 200, 300);
    wl_recent_users_add(users, 8, 210, 230); /* the later one counts */
    cr_expect(wl_recent_users_has(users, 8, 249));
    cr_expect(wl_recent_users_has(users, 7, 299));
    cr_expect_not(wl_recent_users_has(users, 7, 300));
    wl_recent_users_destroy(&users);
    cr_expect_null(users);
    wl_recent_users_destroy(&users);
    wl_recent_users_destroy(NULL);
}

Test(recent_users, beyond_the_bound_everybody_is_one_of_them) {
    wl_recent_users_t *users = wl_recent_users_new(3);
    for (uint64_t uid = 1; uid <= 4; uid++) {
        wl_recent_users_add(users, uid, 100, 200 + (int64_t)uid);
    }
    cr_expect(wl_recent_users_has(users, 99, 203));
    cr_expect(wl_recent_users_has(users, 4, 203));
    cr_expect_not(wl_recent_users_has(users, 99, 204));
    wl_recent_users_add(users, 99, 204, 300); /* there is room again */
    cr_expect(wl_recent_users_has(users, 99, 299));
    cr_expect_not(wl_recent_users_has(users, 98, 299));
    wl_recent_users_destroy(&users);
}
