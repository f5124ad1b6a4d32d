#include "domain/aim.h"

#include <criterion/criterion.h>

Test(aim, merging_covers_what_both_covered) {
    wl_aim_store_t store;
    wl_aim_store_open(&store, 10);
    wl_aim_t older = {.seq = 3};
    wl_aim_t newer = {.seq = 8};
    wl_aim_notified(&older, (wl_wall_ms_t){500});
    wl_aim_notified(&newer, (wl_wall_ms_t){700});
    wl_aim_notified(&newer, (wl_wall_ms_t){0});
    wl_aim_raise(&store, &older, "", 9);
    wl_aim_raise(&store, &older, "ios", 2);
    wl_aim_raise(&store, &newer, "ios", 5);
    wl_aim_raise(&store, &newer, "ios", 4);
    wl_aim_raise(&store, &newer, "", 1);
    wl_entry_ledger_announce(store.ledger, 1, 2);
    cr_assert_eq(wl_entry_ledger_attach(store.ledger, 1, &older.refs), WL_OK);
    cr_assert_eq(wl_entry_ledger_attach(store.ledger, 1, &newer.refs), WL_OK);

    wl_aim_merge(&store, &newer, &older);
    cr_assert_eq(newer.seq, 8);
    cr_assert_eq(newer.notified.ms, 500);
    cr_assert_str_eq(newer.hints->bucket, "");
    cr_assert_eq(newer.hints->version, 9);
    cr_assert_str_eq(newer.hints->next->bucket, "ios");
    cr_assert_eq(newer.hints->next->version, 5);
    cr_assert_null(newer.hints->next->next);
    cr_assert_null(older.refs);
    cr_assert_null(older.hints);

    uint64_t id = 0;
    cr_assert_eq(wl_entry_ledger_released(store.ledger, &id, 1), 0);
    wl_aim_end(&store, &newer);
    cr_assert_eq(wl_entry_ledger_released(store.ledger, &id, 1), 1);
    cr_assert_eq(newer.seq, 0);
    wl_aim_store_close(&store); /* refuses to close while anything is out */
}
