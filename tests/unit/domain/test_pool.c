#include "domain/pool.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

Test(pool, hands_out_cleared_objects_that_do_not_overlap) {
    enum { COUNT = 5000, BYTES = 44 };
    wl_pool_t *pool = wl_pool_new(BYTES);
    unsigned char **objects = wl_alloc(COUNT * sizeof *objects);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT; i++) {
            objects[i] = wl_pool_take(pool);
            cr_assert_eq((size_t)(void *)objects[i] % 8, 0);
            for (size_t j = 0; j < BYTES; j++) {
                cr_assert_eq(objects[i][j], 0);
            }
            memset(objects[i], (int)(i % 255) + 1, BYTES);
        }
        cr_assert_eq(wl_pool_out(pool), COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            for (size_t j = 0; j < BYTES; j++) {
                cr_assert_eq(objects[i][j], i % 255 + 1);
            }
            wl_pool_give(pool, objects[i]);
        }
        cr_assert_eq(wl_pool_out(pool), 0);
    }
    wl_free(objects);
    wl_pool_destroy(&pool);
    wl_pool_destroy(&pool);
    cr_assert_null(pool);
}
