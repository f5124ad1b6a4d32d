#include "base/alloc.h"
#include "base/table.h"

#include <criterion/criterion.h>

typedef struct {
    uint64_t key;
    UT_hash_handle hh;
} row_t;

Test(table, finds_what_was_added_and_nothing_else) {
    row_t *table = NULL;
    for (uint64_t key = 0; key < 10000; key++) {
        row_t *row = wl_alloc_zero(1, sizeof *row);
        row->key = key * 3;
        HASH_ADD(hh, table, key, sizeof row->key, row);
    }
    for (uint64_t key = 0; key < 30000; key++) {
        row_t *row = NULL;
        HASH_FIND(hh, table, &key, sizeof key, row);
        cr_assert_eq(row != NULL, key % 3 == 0);
    }
    row_t *row = NULL;
    row_t *next = NULL;
    HASH_ITER(hh, table, row, next) {
        HASH_DEL(table, row);
        wl_free(row);
    }
}

Test(table, the_hash_is_stable_within_a_process) {
    uint64_t key = 42;
    cr_expect_eq(wl_table_hash(&key, sizeof key), wl_table_hash(&key, sizeof key));
}
