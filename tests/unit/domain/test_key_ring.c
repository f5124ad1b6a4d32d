#include "domain/key_ring.h"

#include <criterion/criterion.h>

Test(key_ring, nobody_is_known_before_a_whole_set_came) {
    wl_key_ring_t *ring = wl_key_ring_new();
    cr_expect_null(wl_key_ring_find(ring, "app/1"));
    wl_key_ring_begin(ring, 1, 2);
    cr_expect_eq(wl_key_ring_add(ring, "app/1", "read"), WL_OK);
    cr_expect_null(wl_key_ring_find(ring, "app/1"));
    cr_expect_eq(wl_key_ring_revision(ring), 0);
    cr_expect_eq(wl_key_ring_add(ring, "cash/2", "notify:cash"), WL_OK);
    cr_assert_not_null(wl_key_ring_find(ring, "app/1"));
    cr_expect(wl_key_ring_find(ring, "app/1")->read);
    cr_expect(wl_scopes_notify(wl_key_ring_find(ring, "cash/2"), "cash"));
    cr_expect_null(wl_key_ring_find(ring, "app"));
    cr_expect_eq(wl_key_ring_revision(ring), 1);
    wl_key_ring_destroy(&ring);
}

Test(key_ring, a_new_set_replaces_the_old_one_at_once) {
    wl_key_ring_t *ring = wl_key_ring_new();
    wl_key_ring_begin(ring, 1, 1);
    cr_assert_eq(wl_key_ring_add(ring, "app/1", "read"), WL_OK);
    wl_key_ring_begin(ring, 2, 2);
    cr_assert_eq(wl_key_ring_add(ring, "app/2", "read"), WL_OK);
    cr_expect_not_null(wl_key_ring_find(ring, "app/1"));
    wl_key_ring_begin(ring, 2, 2); /* the second message of the same set */
    cr_assert_eq(wl_key_ring_add(ring, "app/3", "read"), WL_OK);
    cr_expect_null(wl_key_ring_find(ring, "app/1"));
    cr_expect_not_null(wl_key_ring_find(ring, "app/2"));
    wl_key_ring_begin(ring, 3, 0);
    cr_expect_null(wl_key_ring_find(ring, "app/2"));
    cr_expect_eq(wl_key_ring_revision(ring), 3);
    wl_key_ring_destroy(&ring);
}

Test(key_ring, a_set_whose_message_was_lost_is_made_up_when_it_is_told_again) {
    wl_key_ring_t *ring = wl_key_ring_new();
    wl_key_ring_begin(ring, 1, 1);
    cr_assert_eq(wl_key_ring_add(ring, "app/1", "read"), WL_OK);
    wl_key_ring_begin(ring, 2, 2);
    cr_assert_eq(wl_key_ring_add(ring, "app/2", "read"), WL_OK); /* the other one is lost */
    wl_key_ring_begin(ring, 2, 2);
    cr_assert_eq(wl_key_ring_add(ring, "app/2", "read"), WL_OK);
    cr_expect_eq(wl_key_ring_revision(ring), 1);
    cr_assert_eq(wl_key_ring_add(ring, "app/3", "read"), WL_OK);
    cr_expect_eq(wl_key_ring_revision(ring), 2);
    wl_key_ring_begin(ring, 2, 2); /* and once more, which changes nothing */
    cr_assert_eq(wl_key_ring_add(ring, "evil/9", "admin"), WL_OK);
    cr_expect_null(wl_key_ring_find(ring, "evil/9"));
    cr_expect_not_null(wl_key_ring_find(ring, "app/3"));
    wl_key_ring_destroy(&ring);
}

Test(key_ring, what_is_no_scope_is_refused_and_the_old_set_stays) {
    wl_key_ring_t *ring = wl_key_ring_new();
    wl_key_ring_begin(ring, 1, 1);
    cr_assert_eq(wl_key_ring_add(ring, "app/1", "read"), WL_OK);
    wl_key_ring_begin(ring, 2, 1);
    cr_expect_eq(wl_key_ring_add(ring, "app/2", "everything"), WL_ERR_MALFORMED);
    cr_expect_eq(wl_key_ring_revision(ring), 1);
    wl_key_ring_destroy(&ring);
    wl_key_ring_destroy(&ring);
    wl_key_ring_destroy(NULL);
}
