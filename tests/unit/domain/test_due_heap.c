#include "domain/due_heap.h"

#include "base/slot.h"

#include <criterion/criterion.h>

Test(due_heap, agrees_with_a_search_through_all) {
    enum { THINGS = 60 };
    for (uint64_t seed = 0; seed < 50; seed++) {
        wl_due_heap_t heap = {0};
        wl_due_t things[THINGS] = {0};
        bool inside[THINGS] = {0};
        for (uint64_t step = 0; step < 2000; step++) {
            uint64_t random = wl_mix64(seed << 32 | step);
            size_t which = random % THINGS;
            if (inside[which]) {
                wl_due_heap_remove(&heap, &things[which]);
            } else {
                wl_due_heap_push(&heap, &things[which],
                                 (wl_mono_ms_t){(int64_t)(random >> 40) % 40 - 5});
            }
            inside[which] = !inside[which];
            uint32_t count = 0;
            int64_t earliest = INT64_MAX;
            for (size_t i = 0; i < THINGS; i++) {
                count += inside[i] ? 1 : 0;
                earliest = inside[i] && things[i].at.ms < earliest ? things[i].at.ms : earliest;
            }
            const wl_due_t *first = wl_due_heap_first(&heap);
            cr_assert_eq(heap.count, count);
            cr_assert_eq(first == NULL ? INT64_MAX : first->at.ms, earliest);
        }
        wl_due_heap_clear(&heap);
        cr_assert_null(wl_due_heap_first(&heap));
    }
}
