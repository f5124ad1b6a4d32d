/* What the filter costs and how often it is wrong, without a server around it. */
#include "base/alloc.h"
#include "tools/walletbench/bench.h"
#include "tools/walletbench/big_set.h"

enum { DENSE_USERS = 1000000, PROBES = 10000000 };

static wl_presence_set_t *set_fill(void) {
    wl_presence_set_t *set = wl_presence_set_new(WL_PRESENCE_HASHED, BENCH_BIG_HASH_BITS);
    bench_big_mark(set, 0, BENCH_BIG_USERS);
    return set;
}

bench_result_t bench_presence_bytes(const bench_setup_t *setup) {
    (void)setup;
    uint64_t before = bench_resident_bytes();
    wl_presence_set_t *set = set_fill();
    uint64_t filled = bench_resident_bytes();
    wl_presence_set_optimize(set); /* as after a start */
    bench_result_t result = {
        .value = (double)(bench_resident_bytes() - before) / BENCH_BIG_USERS,
        .b = (double)(filled - before) / BENCH_BIG_USERS, /* grown user by user */
        .samples = BENCH_BIG_USERS,
        .unit = "bytes/user",
    };
    result.a = result.value;
    wl_presence_set_destroy(&set);
    return result;
}

bench_result_t bench_presence_false_positives(const bench_setup_t *setup) {
    (void)setup;
    wl_presence_set_t *set = set_fill();
    uint64_t wrong = 0;
    for (uint64_t i = 0; i < PROBES; i++) {
        wrong += wl_presence_set_test(set, bench_big_uid(BENCH_BIG_USERS + i));
    }
    bench_result_t result = {
        .value = 100.0 * (double)wrong / PROBES,
        .b = 100.0 * wl_presence_set_expected_fp(set),
        .samples = PROBES,
        .unit = "%",
    };
    result.a = result.value;
    wl_presence_set_destroy(&set);
    return result;
}

static uint64_t missing_count(const wl_presence_set_t *set, uint64_t first, uint64_t count) {
    uint64_t missing = 0;
    for (uint64_t i = 0; i < count; i++) {
        missing += !wl_presence_set_test(set, bench_big_uid(first + i));
    }
    return missing;
}

/* Away to bytes and back, as a restart does it. */
static void set_restart(wl_presence_set_t **set) {
    void *blob = NULL;
    size_t bytes = 0;
    uint64_t seen = 1;
    wl_presence_seen_t seen_back = {0};
    wl_fault_t fault = {0};
    wl_presence_set_save(*set, &seen, 1, &blob, &bytes);
    wl_presence_set_destroy(set);
    if (wl_presence_set_load(blob, bytes, set, &seen_back, &fault) != WL_OK) {
        bench_fail("the snapshot does not load: %s", fault.message);
    }
    wl_free(blob);
    wl_free(seen_back.at);
}

/* Dense ids: every third is deleted, half of those come back; whoever is left must be there. */
static uint64_t exact_misses(void) {
    wl_presence_set_t *set = wl_presence_set_new(WL_PRESENCE_EXACT, 0);
    uint64_t misses = 0;
    for (uint64_t uid = 1; uid <= DENSE_USERS; uid++) {
        wl_presence_set_mark(set, uid);
    }
    for (uint64_t uid = 3; uid <= DENSE_USERS; uid += 3) {
        misses += !wl_presence_set_clear(set, uid);
    }
    wl_presence_set_optimize(set);
    set_restart(&set);
    for (uint64_t uid = 6; uid <= DENSE_USERS; uid += 6) {
        wl_presence_set_mark(set, uid);
    }
    set_restart(&set);
    for (uint64_t uid = 1; uid <= DENSE_USERS; uid++) {
        bool owns = uid % 3 != 0 || uid % 6 == 0;
        misses += owns && !wl_presence_set_test(set, uid);
    }
    wl_presence_set_destroy(&set);
    return misses;
}

/* Sparse ids: deleting is refused, because a shared bit would hide somebody else. */
static uint64_t hashed_misses(void) {
    wl_presence_set_t *set = set_fill();
    uint64_t misses = 0;
    for (uint64_t i = 0; i < BENCH_BIG_USERS; i += 100) {
        misses += wl_presence_set_clear(set, bench_big_uid(i));
    }
    misses += missing_count(set, 0, BENCH_BIG_USERS);
    wl_presence_set_optimize(set);
    set_restart(&set);
    bench_big_mark(set, BENCH_BIG_USERS, DENSE_USERS);
    misses += missing_count(set, 0, BENCH_BIG_USERS + DENSE_USERS);
    wl_presence_set_destroy(&set);
    return misses;
}

bench_result_t bench_presence_false_negatives(const bench_setup_t *setup) {
    (void)setup;
    bench_result_t result = {
        .value = (double)(exact_misses() + hashed_misses()),
        .samples = DENSE_USERS + 2 * BENCH_BIG_USERS + DENSE_USERS,
        .unit = "users",
    };
    result.a = result.value;
    return result;
}
