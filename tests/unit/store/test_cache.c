#include "store/cache.h"

#include "base/alloc.h"
#include "cache_world.h"

#include <criterion/criterion.h>
#include <malloc.h>

enum { MIB = 1 << 20 };

static wl_cache_t *cache_open(size_t bytes_max) {
    wl_cache_t *cache = NULL;
    cr_assert_eq(wl_cache_open(&(wl_cache_options_t){.bytes_max = bytes_max}, &cache), WL_OK);
    return cache;
}

static wl_asset_t asset_make(uint64_t uid, const char *line, uint64_t version) {
    wl_asset_t asset = {.uid = uid, .version = version, .pulled_at = (int64_t)version * 10};
    (void)snprintf(asset.line, sizeof asset.line, "%s", line);
    return asset;
}

static const wl_asset_t *find(wl_cache_t *cache, uint64_t uid, const char *line) {
    const wl_asset_t *assets = NULL;
    uint32_t count = 0;
    if (!wl_cache_get(cache, uid, &assets, &count)) {
        return NULL;
    }
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(assets[i].line, line) == 0) {
            return &assets[i];
        }
    }
    return NULL;
}

static bool is_cached(wl_cache_t *cache, uint64_t uid) {
    const wl_asset_t *assets = NULL;
    uint32_t count = 0;
    return wl_cache_get(cache, uid, &assets, &count);
}

Test(cache, keeps_a_user_without_assets_as_an_answer) {
    wl_cache_t *cache = cache_open(MIB);
    const wl_asset_t *assets = NULL;
    uint32_t count = 9;
    cr_assert_not(wl_cache_get(cache, 1, &assets, &count));
    cr_assert_eq(wl_cache_fill(cache, 1, NULL, 0, 0), WL_OK);
    cr_assert(wl_cache_get(cache, 1, &assets, &count));
    cr_assert_eq(count, 0);
    wl_cache_close(&cache);
    wl_cache_close(&cache);
}

Test(cache, refuses_a_bound_too_small_to_hold_anything) {
    wl_cache_t *cache = NULL;
    cr_assert_eq(wl_cache_open(&(wl_cache_options_t){.bytes_max = 65535}, &cache), WL_ERR_SETTINGS);
    cr_assert_null(cache);
}

Test(cache, does_not_take_up_a_user_by_a_put_alone) {
    wl_cache_t *cache = cache_open(MIB);
    wl_asset_t asset = asset_make(1, "cash", 5);
    cr_assert_eq(wl_cache_put(cache, 1, &asset, 1, 1), 0);
    cr_assert_not(is_cached(cache, 1), "a part of a user is no answer");
    wl_cache_close(&cache);
}

Test(cache, refuses_a_fill_that_began_before_a_write_that_has_passed) {
    wl_cache_t *cache = cache_open(MIB);
    wl_asset_t old = asset_make(1, "cash", 4);
    wl_asset_t new = asset_make(1, "cash", 5);
    (void)wl_cache_put(cache, 1, &new, 1, 10);
    cr_assert_eq(wl_cache_fill(cache, 1, &old, 1, 9), WL_ERR_CONFLICT);
    cr_assert_not(is_cached(cache, 1));
    cr_assert_eq(wl_cache_fill(cache, 1, &new, 1, 10), WL_OK);
    wl_cache_drop(cache, 1);
    wl_cache_flush(cache);
    cr_assert_eq(wl_cache_fill(cache, 1, &old, 1, 9), WL_ERR_CONFLICT, "fences outlive users");
    wl_cache_close(&cache);
}

Test(cache, lets_newer_win_touches_equal_and_counts_older) {
    wl_cache_t *cache = cache_open(MIB);
    wl_asset_t asset = asset_make(1, "cash", 5);
    cr_assert_eq(wl_cache_fill(cache, 1, &asset, 1, 1), WL_OK);
    asset.amount = 99;
    asset.pulled_at = 70;
    cr_assert_eq(wl_cache_put(cache, 1, &asset, 1, 2), 0);
    cr_assert(find(cache, 1, "cash")->amount == 0 && find(cache, 1, "cash")->pulled_at == 70);
    asset.pulled_at = 60;
    cr_assert_eq(wl_cache_put(cache, 1, &asset, 1, 3), 0);
    cr_assert_eq(find(cache, 1, "cash")->pulled_at, 70);
    wl_asset_t two[] = {asset_make(1, "cash", 4), asset_make(1, "coin", 1)};
    cr_assert_eq(wl_cache_put(cache, 1, two, 2, 4), 1);
    cr_assert(find(cache, 1, "cash")->version == 5 && find(cache, 1, "coin")->version == 1);
    asset = asset_make(1, "cash", 6);
    cr_assert_eq(wl_cache_put(cache, 1, &asset, 1, 5), 0);
    cr_assert_eq(find(cache, 1, "cash")->version, 6);
    wl_cache_close(&cache);
}

Test(cache, keeps_a_tombstone_so_that_a_late_write_does_not_bring_the_record_back) {
    wl_cache_t *cache = cache_open(MIB);
    wl_asset_t asset = asset_make(1, "cash", 5);
    cr_assert_eq(wl_cache_fill(cache, 1, &asset, 1, 1), WL_OK);
    asset.version = 7;
    asset.state = WL_STATE_GONE;
    (void)wl_cache_put(cache, 1, &asset, 1, 3);
    asset.version = 6;
    asset.state = WL_STATE_AVAILABLE;
    cr_assert_eq(wl_cache_put(cache, 1, &asset, 1, 2), 1);
    cr_assert_eq(find(cache, 1, "cash")->state, WL_STATE_GONE);
    wl_cache_close(&cache);
}

/* The read has seen commits 9 (cash 4) and 10 (cash gone); their puts are still on the way. */
Test(cache, does_not_show_a_record_again_that_the_fill_knew_to_be_gone) {
    wl_cache_t *cache = cache_open(MIB);
    cr_assert_eq(wl_cache_fill(cache, 1, NULL, 0, 10), WL_OK);
    wl_asset_t asset = asset_make(1, "cash", 4);
    cr_assert_eq(wl_cache_put(cache, 1, &asset, 1, 9), 1);
    cr_assert_null(find(cache, 1, "cash"));
    asset.version = 5;
    asset.state = WL_STATE_GONE;
    (void)wl_cache_put(cache, 1, &asset, 1, 10);
    asset.version = 6;
    asset.state = WL_STATE_AVAILABLE;
    cr_assert_eq(wl_cache_put(cache, 1, &asset, 1, 11), 0);
    cr_assert_eq(find(cache, 1, "cash")->version, 6);
    wl_cache_close(&cache);
}

Test(cache, refuses_an_older_read_after_a_newer_one) {
    wl_cache_t *cache = cache_open(MIB);
    wl_asset_t asset = asset_make(1, "cash", 5);
    cr_assert_eq(wl_cache_fill(cache, 1, &asset, 1, 10), WL_OK);
    wl_cache_drop(cache, 1);
    asset.version = 4;
    cr_assert_eq(wl_cache_fill(cache, 1, &asset, 1, 8), WL_ERR_CONFLICT);
    wl_cache_close(&cache);
}

Test(cache, drops_a_user_that_does_not_fit_rather_than_keeping_half) {
    wl_cache_t *cache = cache_open(65536);
    static wl_asset_t many[WL_USER_ASSETS_MAX + 1];
    static const uint8_t extra[WL_EXTRA_BYTES_MAX];
    for (unsigned i = 0; i <= WL_USER_ASSETS_MAX; i++) {
        char line[16];
        (void)snprintf(line, sizeof line, "l%u", i);
        many[i] = asset_make(1, line, 1);
        many[i].extra = extra;
        many[i].extra_bytes = sizeof extra;
    }
    cr_assert_eq(wl_cache_fill(cache, 1, many, 2, 1), WL_OK);
    cr_assert_eq(wl_cache_fill(cache, 1, many, 100, 1), WL_ERR_TOO_BIG);
    cr_assert_not(is_cached(cache, 1));
    cr_assert_eq(wl_cache_fill(cache, 2, NULL, 0, 1), WL_OK);
    cr_assert_eq(wl_cache_fill(cache, 1, many, 2, 1), WL_OK);
    (void)wl_cache_put(cache, 1, many, 100, 2);
    cr_assert_not(is_cached(cache, 1));
    cr_assert(is_cached(cache, 2), "nobody else has to go for it");
    wl_cache_close(&cache);

    cache = cache_open(MIB);
    cr_assert_eq(wl_cache_fill(cache, 1, many, WL_USER_ASSETS_MAX + 1, 1), WL_ERR_TOO_BIG);
    cr_assert_eq(wl_cache_fill(cache, 1, many, WL_USER_ASSETS_MAX, 1), WL_OK);
    (void)wl_cache_put(cache, 1, &many[WL_USER_ASSETS_MAX], 1, 2);
    cr_assert_not(is_cached(cache, 1));
    wl_cache_stats_t stats = wl_cache_stats(cache);
    cr_assert(stats.users == 0 && stats.evictions == 0);
    wl_cache_close(&cache);
}

Test(cache, replaces_extra_in_place_and_by_a_longer_one) {
    wl_cache_t *cache = cache_open(MIB);
    static const uint16_t lengths[] = {0, 10, 3, 0, 512, 511, 512, 1};
    wl_asset_t assets[2] = {asset_make(1, "cash", 1), asset_make(1, "coin", 1)};
    assets[1].extra = (const uint8_t *)"coin";
    assets[1].extra_bytes = 4;
    cr_assert_eq(wl_cache_fill(cache, 1, assets, 2, 1), WL_OK);
    for (uint64_t i = 0; i < WL_COUNT_OF(lengths); i++) {
        uint8_t extra[WL_EXTRA_BYTES_MAX];
        memset(extra, (int)i + 1, sizeof extra);
        assets[0].version = i + 2;
        assets[0].extra = lengths[i] > 0 ? extra : NULL;
        assets[0].extra_bytes = lengths[i];
        (void)wl_cache_put(cache, 1, assets, 1, i + 2);
        memset(extra, 0, sizeof extra); /* the cache has its own copy */
        const wl_asset_t *got = find(cache, 1, "cash");
        cr_assert(got->extra_bytes == lengths[i] && got->version == i + 2);
        for (unsigned k = 0; k < lengths[i]; k++) {
            cr_assert_eq(got->extra[k], i + 1);
        }
        got = find(cache, 1, "coin");
        cr_assert(got->extra_bytes == 4 && memcmp(got->extra, "coin", 4) == 0);
    }
    wl_cache_close(&cache);
}

Test(cache, evicts_the_least_recently_used_user) {
    wl_cache_t *cache = cache_open(65536);
    wl_asset_t asset = asset_make(0, "cash", 1);
    uint64_t uid = 0;
    for (; wl_cache_stats(cache).evictions == 0; uid++) {
        cr_assert_eq(wl_cache_fill(cache, uid, &asset, 1, 1), WL_OK);
        cr_assert(is_cached(cache, 3) == (uid >= 3), "used again and again");
    }
    cr_assert_not(is_cached(cache, 0));
    cr_assert(is_cached(cache, 1) && is_cached(cache, 3) && is_cached(cache, uid - 1));
    wl_cache_close(&cache);
}

Test(cache, answers_as_the_naive_world_says_over_random_schedules) {
    static world_t world;
    uint64_t fills = 0;
    uint64_t conflicts = 0;
    uint64_t evictions = 0;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        world_open(&world, seed, NULL, 0);
        for (unsigned i = 0; i < 4000; i++) {
            world_step(&world);
        }
        world_close(&world);
        fills += world.fills;
        conflicts += world.conflicts;
        evictions += world.evictions;
    }
    cr_assert(fills > 5000 && conflicts > 500 && evictions > 500,
              "the schedules are too tame: %llu fills, %llu conflicts, %llu evictions",
              (unsigned long long)fills, (unsigned long long)conflicts,
              (unsigned long long)evictions);
}

/* The sanitizers bring their own malloc, which mallinfo2 does not know. */
Test(cache, accounts_for_the_memory_that_malloc_has_given) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    cr_skip_test("malloc is the sanitizer's here");
#else
    enum { BYTES_MAX = 32 * MIB };
    struct mallinfo2 before = mallinfo2();
    wl_cache_t *cache = cache_open(BYTES_MAX);
    static const uint8_t extra[WL_EXTRA_BYTES_MAX];
    uint64_t random = 3;
    for (uint64_t uid = 0; uid < 60000; uid++) {
        wl_asset_t assets[8];
        random = wl_mix64(random + 1);
        uint32_t count = (uint32_t)(random % 9);
        for (uint32_t i = 0; i < count; i++) {
            char line[8];
            (void)snprintf(line, sizeof line, "l%u", i);
            assets[i] = asset_make(uid, line, 1);
            assets[i].extra_bytes = (uint16_t)((random >> (8 * i)) % 200);
            assets[i].extra = assets[i].extra_bytes > 0 ? extra : NULL;
        }
        cr_assert_eq(wl_cache_fill(cache, uid, assets, count, 1), WL_OK);
    }
    struct mallinfo2 after = mallinfo2();
    wl_cache_stats_t stats = wl_cache_stats(cache);
    double taken =
        (double)(after.uordblks + after.hblkhd) - (double)(before.uordblks + before.hblkhd);
    cr_assert_gt(stats.evictions, 0);
    cr_assert_gt(stats.bytes, BYTES_MAX * 0.99);
    cr_assert(taken > (double)stats.bytes * 0.9 && taken < (double)stats.bytes * 1.1,
              "said %llu, taken %.0f", (unsigned long long)stats.bytes, taken);
    wl_cache_close(&cache);
#endif
}

/* Who only compares must not keep a user alive at the cost of one who is read. */
Test(cache, a_peek_is_no_use) {
    enum { USERS = 3000 };
    wl_cache_t *peeked = cache_open(MIB / 4);
    wl_cache_t *used = cache_open(MIB / 4);
    const wl_asset_t *assets = NULL;
    uint32_t count = 0;
    cr_expect_not(wl_cache_peek(peeked, 1, &assets, &count));
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        wl_asset_t asset = asset_make(uid, "cash", uid);
        cr_assert_eq(wl_cache_fill(peeked, uid, &asset, 1, 1), WL_OK);
        cr_assert_eq(wl_cache_fill(used, uid, &asset, 1, 1), WL_OK);
        if (uid == 1) {
            cr_assert(wl_cache_peek(peeked, 1, &assets, &count));
            cr_expect(count == 1 && assets[0].version == 1);
        }
        (void)wl_cache_peek(peeked, 1, &assets, &count);
        cr_assert(wl_cache_get(used, 1, &assets, &count), "it is used all the time");
    }
    cr_expect_not(wl_cache_peek(peeked, 1, &assets, &count), "it was never read");
    wl_cache_close(&peeked);
    wl_cache_close(&used);
}

Test(cache, a_walk_tells_who_is_there_throughout_once_whoever_comes_and_goes) {
    enum { USERS = 4000, MAX = 64 };
    static uint8_t seen[2 * USERS + 1];
    uint64_t uids[MAX + WL_CACHE_WALK_MORE];
    wl_cache_t *cache = cache_open(16 * MIB);
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        wl_asset_t asset = asset_make(uid, "cash", uid);
        cr_assert_eq(wl_cache_fill(cache, uid, &asset, uid % 7 != 0, 1), WL_OK);
    }
    uint64_t cursor = 0;
    uint64_t step = 0;
    do {
        uint32_t count = wl_cache_walk(cache, &cursor, MAX, uids);
        cr_assert_leq(count, MAX + WL_CACHE_WALK_MORE);
        for (uint32_t i = 0; i < count; i++) {
            cr_assert(uids[i] >= 1 && uids[i] <= 2 * USERS);
            seen[uids[i]]++;
        }
        step++;
        wl_cache_drop(cache, step * 3);
        wl_asset_t asset = asset_make(USERS + step, "cash", 1);
        cr_assert_eq(wl_cache_fill(cache, USERS + step, &asset, 1, 1), WL_OK);
    } while (cursor != 0);
    cr_expect_gt(step, 10u);
    for (uint64_t uid = 1; uid <= 2 * USERS; uid++) {
        bool stayed = uid <= USERS && uid % 7 != 0 && (uid % 3 != 0 || uid / 3 > step);
        cr_assert(stayed ? seen[uid] == 1 : seen[uid] <= 1, "user %llu: %u",
                  (unsigned long long)uid, seen[uid]);
        cr_assert(uid > USERS || uid % 7 != 0 || seen[uid] == 0, "owns nothing");
    }
    cursor = UINT64_MAX; /* no cursor of ours */
    cr_expect_eq(wl_cache_walk(cache, &cursor, MAX, uids), 0u);
    cr_expect_eq(cursor, 0u);
    wl_cache_close(&cache);
}

/* Reads wait for a walk's step, so it must end although it finds nobody. */
Test(cache, a_walk_of_a_big_table_with_one_user_takes_steps) {
    uint64_t uids[1 + WL_CACHE_WALK_MORE];
    wl_cache_t *cache = cache_open(256 * (size_t)MIB);
    wl_asset_t asset = asset_make(42, "cash", 1);
    cr_assert_eq(wl_cache_fill(cache, 42, &asset, 1, 1), WL_OK);
    uint64_t cursor = 0;
    uint32_t seen = 0;
    uint32_t none = 0;
    do {
        uint64_t before = cursor;
        uint32_t count = wl_cache_walk(cache, &cursor, 1, uids);
        cr_assert(cursor == 0 || cursor > before, "it moves on");
        cr_assert_leq(cursor, before + 65536u);
        cr_assert(count == 0 || uids[0] == 42);
        seen += count;
        none += count == 0;
    } while (cursor != 0);
    cr_expect_eq(seen, 1u);
    cr_expect_gt(none, 10u);
    wl_cache_close(&cache);
}
