#include "domain/roaring_check.h"

#include "base/alloc.h"
#include "base/slot.h"

#include <criterion/criterion.h>
#include <roaring/roaring.h>
#include <string.h>

/* 1 container, key 0, members {1, 5, 9}; without runs there is always an offset table. */
static const uint8_t array_blob[] = {0x3a, 0x30, 0, 0, 1, 0, 0, 0, 0, 0, 2,
                                     0,    16,   0, 0, 0, 1, 0, 5, 0, 9, 0};
/* 1 run container, key 7: [10, 13] and [20, 20]. */
static const uint8_t run_blob[] = {0x3b, 0x30, 0, 0, 1, 7, 0, 4, 0, 2, 0, 10, 0, 3, 0, 20, 0, 0, 0};

static bool check_changed(const uint8_t *blob, size_t bytes, size_t at, uint8_t value) {
    uint8_t *copy = wl_alloc(bytes);
    memcpy(copy, blob, bytes);
    copy[at] = value;
    bool sound = wl_roaring_check(copy, bytes, NULL);
    wl_free(copy);
    return sound;
}

Test(roaring_check, accepts_the_examples_by_hand) {
    uint64_t members = 0;
    cr_assert(wl_roaring_check(array_blob, sizeof array_blob, &members));
    cr_assert_eq(members, 3);
    cr_assert(wl_roaring_check(run_blob, sizeof run_blob, &members));
    cr_assert_eq(members, 5);
}

Test(roaring_check, refuses_what_croaring_would_take_in) {
    size_t bytes = sizeof array_blob;
    cr_assert_not(check_changed(array_blob, bytes, 4, 0), "no container");
    cr_assert_not(check_changed(array_blob, bytes, 6, 1), "too many containers");
    cr_assert_not(check_changed(array_blob, bytes, 10, 1), "bytes left over");
    cr_assert_not(check_changed(array_blob, bytes, 12, 17), "a wrong offset");
    cr_assert_not(check_changed(array_blob, bytes, 18, 1), "an equal member");
    cr_assert_not(check_changed(array_blob, bytes, 18, 0), "a descending member");
    cr_assert(check_changed(array_blob, bytes, 18, 2), "another member is fine");
    bytes = sizeof run_blob;
    cr_assert_not(check_changed(run_blob, bytes, 4, 3), "a flag without a container");
    cr_assert_not(check_changed(run_blob, bytes, 7, 5), "a wrong cardinality");
    cr_assert_not(check_changed(run_blob, bytes, 9, 1), "bytes left over");
    cr_assert_not(check_changed(run_blob, bytes, 13, 9), "runs that overlap");
    cr_assert_not(check_changed(run_blob, bytes, 15, 14), "runs that touch");
    cr_assert_not(check_changed(run_blob, bytes, 18, 0xff), "a run past the end of the container");
}

Test(roaring_check, accepts_all_that_croaring_writes) {
    for (uint64_t seed = 0; seed < 40; seed++) {
        roaring_bitmap_t *bitmap = roaring_bitmap_create();
        uint64_t adds = wl_mix64(seed + 1) % 20000 + 1;
        for (uint64_t i = 0; i < adds; i++) {
            uint64_t random = wl_mix64(seed * 100003 + i);
            roaring_bitmap_add(bitmap, (uint32_t)(random % (1u << (10 + seed % 20))));
        }
        if (seed % 3 == 1) {
            roaring_bitmap_add_range(bitmap, seed * 50000, seed * 60000 + 70000);
        }
        if (seed % 2 == 1) {
            (void)roaring_bitmap_run_optimize(bitmap);
        }
        size_t bytes = roaring_bitmap_portable_size_in_bytes(bitmap);
        char *blob = wl_alloc(bytes);
        (void)roaring_bitmap_portable_serialize(bitmap, blob);
        uint64_t members = 0;
        cr_assert(wl_roaring_check(blob, bytes, &members), "seed %u", (unsigned)seed);
        cr_assert_eq(members, roaring_bitmap_get_cardinality(bitmap));
        for (size_t cut = 0; cut < bytes; cut += 1 + cut / 64) {
            cr_assert_not(wl_roaring_check(blob, cut, NULL));
        }
        wl_free(blob);
        roaring_bitmap_free(bitmap);
    }
}
