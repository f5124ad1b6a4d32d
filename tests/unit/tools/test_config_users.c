#include "base/alloc.h"
#include "domain/presence_set.h"
#include "tools/walletctl/config_users.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static size_t read_text(const char *text, ctl_users_t *ret) {
    return ctl_users_read(text, strlen(text), ret);
}

Test(config_users, reads_one_id_a_line_however_they_are_written) {
    ctl_users_t users;
    cr_assert_eq(read_text("5\n\n \t7 \r\n18446744073709551615\n007\n5", &users), 0);
    cr_assert_eq(users.members, 3);
    wl_presence_set_t *set = NULL;
    wl_presence_seen_t seen;
    cr_assert_eq(wl_presence_set_load(users.bytes, users.count, &set, &seen, NULL), WL_OK);
    cr_assert_eq(wl_presence_set_mode(set), WL_PRESENCE_EXACT);
    cr_assert(wl_presence_set_test(set, 5) && wl_presence_set_test(set, 7));
    cr_assert(wl_presence_set_test(set, UINT64_MAX));
    cr_assert_not(wl_presence_set_test(set, 6));
    wl_free(seen.at);
    wl_presence_set_destroy(&set);
    ctl_users_release(&users);
}

Test(config_users, names_the_first_line_that_is_no_id) {
    static const char *const wrong[] = {"abc", "0",   "-1",  "+1",
                                        "1 2", "1,2", "1.0", "18446744073709551616"};
    for (size_t i = 0; i < WL_COUNT_OF(wrong); i++) {
        char text[80];
        ctl_users_t users;
        (void)snprintf(text, sizeof text, "1\n\n%s\nalso wrong\n", wrong[i]);
        cr_assert_eq(read_text(text, &users), 3, "%s", wrong[i]);
        cr_assert_null(users.bytes);
        (void)snprintf(text, sizeof text, "1\n%s", wrong[i]); /* without an LF at its end */
        cr_assert_eq(read_text(text, &users), 2, "%s", wrong[i]);
    }
    ctl_users_t users;
    cr_assert_eq(ctl_users_read("1\n2\0003\n4", 7, &users), 2, "a NUL is no blank");
}

Test(config_users, gives_the_same_digest_for_the_same_users) {
    ctl_users_t one;
    ctl_users_t two;
    ctl_users_t other;
    cr_assert_eq(read_text("1\n900000000000\n3\n", &one), 0);
    cr_assert_eq(read_text("3\n3\n\n1\n900000000000", &two), 0);
    cr_assert_eq(read_text("1\n3\n", &other), 0);
    cr_assert_str_eq(one.digest, two.digest);
    cr_assert_str_neq(one.digest, other.digest);
    ctl_users_release(&one);
    ctl_users_release(&two);
    ctl_users_release(&other);
}

Test(config_users, of_an_empty_file_has_no_members) {
    ctl_users_t users;
    cr_assert_eq(read_text("\n \n", &users), 0);
    cr_assert_eq(users.members, 0);
    ctl_users_release(&users);
}

/* More than are marked at once. */
Test(config_users, takes_more_than_a_million) {
    enum { COUNT = 1100000, DIGITS = 9 };
    char *text = wl_alloc((size_t)COUNT * (DIGITS + 1) + 1);
    size_t bytes = 0;
    for (int i = 0; i < COUNT; i++) {
        bytes += (size_t)sprintf(text + bytes, "%d\n", 100000000 + i * 3);
    }
    ctl_users_t users;
    cr_assert_eq(ctl_users_read(text, bytes, &users), 0);
    cr_assert_eq(users.members, COUNT);
    ctl_users_release(&users);
    wl_free(text);
}
