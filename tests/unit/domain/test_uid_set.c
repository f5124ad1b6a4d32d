/* A fixed set of users against what it was made of: any width of gaps, any number of blocks. */
#include "base/alloc.h"
#include "base/slot.h"
#include "domain/presence_set.h"
#include "domain/uid_set.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int uid_compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Random members below 2^bits, each once; returns how many. */
static size_t uids_draw(uint64_t *into, size_t count, unsigned bits, uint64_t salt) {
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        into[i] = wl_mix64(salt + i) >> (64 - bits);
    }
    qsort(into, count, sizeof *into, uid_compare);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || into[kept - 1] != into[i]) {
            into[kept++] = into[i];
        }
    }
    return kept;
}

static bool listed(const uint64_t *uids, size_t count, uint64_t uid) {
    return bsearch(&uid, uids, count, sizeof *uids, uid_compare) != NULL;
}

/* Members, their neighbours, and users at random. */
static void judge(const wl_uid_set_t *set, const uint64_t *uids, size_t count) {
    cr_assert_eq(wl_uid_set_count(set), count);
    for (size_t i = 0; i < count; i++) {
        uint64_t near[] = {uids[i], uids[i] - 1, uids[i] + 1, uids[i] ^ (UINT64_C(1) << i % 64)};
        for (size_t k = 0; k < sizeof near / sizeof near[0]; k++) {
            cr_assert_eq(wl_uid_set_test(set, near[k]), listed(uids, count, near[k]), "%llu",
                         (unsigned long long)near[k]);
        }
    }
}

Test(uid_set, has_its_members_and_nobody_else) {
    static uint64_t uids[5000];
    for (unsigned bits = 1; bits <= 64; bits++) {
        for (size_t count = 1; count <= 5000; count = count * 3 + bits % 4) {
            size_t kept = uids_draw(uids, count, bits, bits * 7919 + count);
            wl_uid_set_t *set = wl_uid_set_new(uids, kept);
            judge(set, uids, kept);
            wl_uid_set_destroy(&set);
        }
    }
}

Test(uid_set, reaches_from_nobody_to_both_ends) {
    wl_uid_set_t *none = wl_uid_set_new(NULL, 0);
    cr_assert_eq(wl_uid_set_count(none), 0);
    cr_assert(!wl_uid_set_test(none, 0) && !wl_uid_set_test(none, UINT64_MAX));
    wl_uid_set_destroy(&none);
    static const uint64_t ends[] = {0, UINT64_MAX};
    wl_uid_set_t *both = wl_uid_set_new(ends, 2);
    judge(both, ends, 2);
    wl_uid_set_destroy(&both);
    wl_uid_set_destroy(&both);
}

Test(uid_set, takes_little_memory_whatever_the_ids_are) {
    enum { USERS = 2000000, MIB = 1 << 20 };
    static const struct {
        unsigned bits; /* 0: one behind the other */
        size_t most;
    } rows[] = {{0, MIB}, {32, 5 * MIB}, {40, 8 * MIB}, {64, 13 * MIB}};
    uint64_t *uids = wl_alloc(USERS * sizeof *uids);
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        size_t kept = USERS;
        for (uint64_t i = 0; rows[r].bits == 0 && i < USERS; i++) {
            uids[i] = 1000000000 + i;
        }
        if (rows[r].bits > 0) {
            kept = uids_draw(uids, USERS, rows[r].bits, 5);
        }
        wl_uid_set_t *set = wl_uid_set_new(uids, kept);
        cr_assert_leq(wl_uid_set_bytes(set), rows[r].most, "%u bits: %zu", rows[r].bits,
                      wl_uid_set_bytes(set));
        wl_uid_set_destroy(&set);
    }
    wl_free(uids);
}

static wl_err_t load(wl_presence_set_t *from, wl_uid_set_t **ret, wl_fault_t *fault) {
    void *blob = NULL;
    size_t bytes = 0;
    wl_presence_set_save(from, NULL, 0, &blob, &bytes);
    wl_err_t err = wl_uid_set_load(blob, bytes, ret, fault);
    wl_free(blob);
    return err;
}

Test(uid_set, is_read_from_a_snapshot_of_all_parts) {
    static uint64_t uids[4000];
    wl_uid_set_t *set = NULL;
    size_t count = uids_draw(uids, 4000, 36, 3);
    WL_AUTO(wl_presence_set) from = wl_presence_set_new(WL_PRESENCE_EXACT, 0);
    wl_presence_set_mark_many(from, uids, count);
    wl_presence_set_mark(from, UINT64_MAX); /* its part is made before the others */
    for (size_t i = 0; i < count; i++) {
        wl_presence_set_mark(from, uids[i]);
    }
    cr_assert_eq(load(from, &set, NULL), WL_OK);
    cr_assert_eq(wl_uid_set_count(set), count + 1);
    cr_assert(wl_uid_set_test(set, UINT64_MAX));
    for (size_t i = 0; i < count; i++) {
        cr_assert(wl_uid_set_test(set, uids[i]));
        cr_assert_eq(wl_uid_set_test(set, uids[i] + 1), listed(uids, count, uids[i] + 1));
    }
    wl_uid_set_destroy(&set);
}

Test(uid_set, refuses_what_is_not_exact_or_damaged) {
    wl_uid_set_t *set = NULL;
    wl_fault_t fault = {.where = ""};
    WL_AUTO(wl_presence_set) hashed = wl_presence_set_new(WL_PRESENCE_HASHED, 32);
    cr_assert_eq(load(hashed, &set, &fault), WL_ERR_DAMAGED);
    cr_assert_not_null(strstr(fault.message, "not exact"));
    cr_assert_eq(wl_uid_set_load("junk", 4, &set, &fault), WL_ERR_DAMAGED);
    cr_assert_null(set);
}
