#include "domain/entry_ledger.h"

#include "base/alloc.h"
#include "base/slot.h"

#include <criterion/criterion.h>

Test(entry_ledger, releases_an_entry_once_when_all_its_lists_ended) {
    WL_AUTO(wl_entry_ledger) ledger = wl_entry_ledger_new(10);
    wl_entry_ref_t *one = NULL;
    wl_entry_ref_t *two = NULL;
    uint64_t id = 0;
    wl_entry_ledger_announce(ledger, 7, 3);
    cr_assert_eq(wl_entry_ledger_attach(ledger, 7, &one), WL_OK);
    cr_assert_eq(wl_entry_ledger_attach(ledger, 7, &one), WL_OK);
    wl_entry_ledger_end(ledger, &one);
    cr_assert_null(one);
    cr_assert_eq(wl_entry_ledger_released(ledger, &id, 1), 0, "one change is still to come");
    cr_assert_eq(wl_entry_ledger_attach(ledger, 7, &two), WL_OK);
    cr_assert_eq(wl_entry_ledger_released(ledger, &id, 1), 0);
    wl_entry_ledger_join(&one, &two);
    cr_assert_null(two);
    wl_entry_ledger_end(ledger, &two);
    wl_entry_ledger_end(ledger, &one);
    cr_assert_eq(wl_entry_ledger_entries(ledger), 1);
    cr_assert_eq(wl_entry_ledger_released(ledger, &id, 1), 1);
    cr_assert_eq(id, 7);
    cr_assert_eq(wl_entry_ledger_released(ledger, &id, 1), 0);
    cr_assert_eq(wl_entry_ledger_entries(ledger), 0);
}

Test(entry_ledger, ignores_ids_nobody_announced_and_refuses_beyond_the_bound) {
    WL_AUTO(wl_entry_ledger) ledger = wl_entry_ledger_new(2);
    wl_entry_ref_t *lists[3] = {0};
    cr_assert_eq(wl_entry_ledger_attach(ledger, 0, &lists[0]), WL_OK);
    cr_assert_eq(wl_entry_ledger_attach(ledger, 5, &lists[0]), WL_OK);
    cr_assert_null(lists[0]);
    wl_entry_ledger_announce(ledger, 1, 9);
    cr_assert_eq(wl_entry_ledger_attach(ledger, 1, &lists[0]), WL_OK);
    cr_assert_eq(wl_entry_ledger_attach(ledger, 1, &lists[1]), WL_OK);
    cr_assert(wl_entry_ledger_full(ledger));
    cr_assert_eq(wl_entry_ledger_attach(ledger, 1, &lists[2]), WL_ERR_FULL);
    cr_assert_eq(wl_entry_ledger_attach(ledger, 1, &lists[1]), WL_OK, "counted, not listed");
    wl_entry_ledger_end(ledger, &lists[0]);
    wl_entry_ledger_end(ledger, &lists[1]);
    cr_assert_not(wl_entry_ledger_full(ledger));
}

Test(entry_ledger, agrees_with_counting_through_joins_of_many_lists) {
    enum { LISTS = 6, ENTRIES = 400 };
    for (uint64_t seed = 0; seed < 40; seed++) {
        WL_AUTO(wl_entry_ledger) ledger = wl_entry_ledger_new(100000);
        wl_entry_ref_t *lists[LISTS] = {0};
        unsigned held[ENTRIES + 1][LISTS] = {0}; /* changes of an entry in a list */
        unsigned to_come[ENTRIES + 1] = {0};
        bool released[ENTRIES + 1] = {0};
        uint64_t announced = 0;
        for (uint64_t step = 0; step < 1500; step++) {
            uint64_t random = wl_mix64(seed << 32 | step);
            size_t list = random % LISTS;
            size_t other = (random >> 8) % LISTS;
            uint64_t entry = announced == 0 ? 0 : 1 + (random >> 16) % announced;
            switch ((random >> 40) % 4) {
            case 0:
                if (announced < ENTRIES) {
                    to_come[++announced] = (unsigned)(random >> 16) % 4;
                    wl_entry_ledger_announce(ledger, announced, to_come[announced]);
                }
                break;
            case 1:
                if (to_come[entry] > 0) {
                    cr_assert_eq(wl_entry_ledger_attach(ledger, entry, &lists[list]), WL_OK);
                    to_come[entry]--;
                    held[entry][list]++;
                }
                break;
            case 2:
                if (list != other) {
                    wl_entry_ledger_join(&lists[list], &lists[other]);
                    for (uint64_t i = 1; i <= announced; i++) {
                        held[i][list] += held[i][other];
                        held[i][other] = 0;
                    }
                }
                break;
            default:
                wl_entry_ledger_end(ledger, &lists[list]);
                for (uint64_t i = 1; i <= announced; i++) {
                    held[i][list] = 0;
                }
            }
            uint64_t id = 0;
            while (wl_entry_ledger_released(ledger, &id, 1) == 1) {
                cr_assert_not(released[id]);
                released[id] = true;
            }
            for (uint64_t i = 1; i <= announced; i++) {
                unsigned open = to_come[i];
                for (size_t l = 0; l < LISTS; l++) {
                    open += held[i][l];
                }
                cr_assert_eq(released[i], open == 0);
            }
        }
        for (size_t l = 0; l < LISTS; l++) {
            wl_entry_ledger_end(ledger, &lists[l]);
        }
    }
}
