#include "base/slot.h"

#include <criterion/criterion.h>

Test(slot, mix64_is_the_splitmix64_finaliser) {
    /* First outputs of splitmix64 seeded with 1234567: the finaliser of state 1234567 + n gamma. */
    cr_expect_eq(wl_mix64(1234567u + 0x9e3779b97f4a7c15u), 6457827717110365317u);
    cr_expect_eq(wl_mix64(1234567u + 2 * 0x9e3779b97f4a7c15u), 3203168211198807973u);
}

Test(slot, every_slot_is_within_range_and_used) {
    static uint32_t hits[WL_SLOTS];
    for (uint64_t uid = 1; uid <= 1000000; uid++) {
        uint32_t slot = wl_slot_of(uid);
        cr_assert_lt(slot, WL_SLOTS);
        hits[slot]++;
    }
    for (uint32_t slot = 0; slot < WL_SLOTS; slot++) {
        cr_expect_gt(hits[slot], 100u, "slot %u has %u of 1,000,000 users", slot, hits[slot]);
    }
}

Test(slot, owners_are_contiguous_and_equal) {
    for (uint32_t instances = 1; instances <= 64; instances++) {
        uint32_t previous = 0;
        uint32_t owned[64] = {0};
        for (uint32_t slot = 0; slot < WL_SLOTS; slot++) {
            uint32_t owner = wl_slot_owner(slot, instances);
            cr_assert_lt(owner, instances);
            cr_assert(owner == previous || owner == previous + 1);
            previous = owner;
            owned[owner]++;
        }
        for (uint32_t i = 0; i < instances; i++) {
            cr_assert_leq(owned[i], WL_SLOTS / instances + 1);
        }
    }
}
