#include "domain/compare.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static const char integration[] =
    "{\"version\":1,\"lines\":{\"cash\":{\"kind\":\"cash\",\"url\":\"http://h\",\"unit\":\"CNY\","
    "\"scale\":2,\"sanity\":{\"amount_min\":\"0\",\"amount_max\":\"1000\",\"jump_max\":\"500\"}}}}";
static const char presentation[] = "{\"version\":1,\"golden\":[],\"sections\":[]}";

static const wl_config_t *sample_config(void) {
    static wl_config_t *config;
    wl_fault_t fault = {0};
    if (config == NULL) {
        cr_assert_eq(wl_config_compile(integration, sizeof integration - 1, presentation,
                                       sizeof presentation - 1, &config, &fault),
                     WL_OK, "%s: %s", fault.where, fault.message);
    }
    return config;
}

static wl_asset_t record(const char *bucket, uint64_t version, int64_t amount) {
    wl_asset_t made = {.uid = 7,
                       .version = version,
                       .amount = amount,
                       .line = "cash",
                       .unit = "CNY",
                       .scale = 2,
                       .kind = WL_KIND_CASH,
                       .state = WL_STATE_AVAILABLE};
    (void)strcpy(made.bucket, bucket);
    return made;
}

static wl_asset_t gone(wl_asset_t asset) {
    asset.state = WL_STATE_GONE;
    asset.amount = 0;
    return asset;
}

/* Exactly one difference, and what is to be done about it. */
#define FINDS(db, db_count, copy, copy_count, kind_, repair_)                                    \
    do {                                                                                         \
        wl_difference_t found[4];                                                                \
        cr_assert_eq(wl_compare(sample_config(), db, db_count, copy, copy_count, found, 4), 1u); \
        cr_expect_eq(found[0].kind, kind_, "%s", wl_difference_name(found[0].kind));             \
        cr_expect_eq(found[0].repair, repair_, "%s: %s", wl_repair_name(found[0].repair),        \
                     found[0].cause);                                                            \
        cr_expect_eq(found[0].uid, 7u);                                                          \
        cr_expect_str_eq(found[0].line, "cash");                                                 \
    } while (0)

Test(compare, each_kind_of_difference_has_its_repair) {
    wl_asset_t db = record("ios", 5, 100);
    wl_asset_t older = record("ios", 4, 90);
    wl_asset_t newer = record("ios", 6, 110);
    wl_asset_t other = record("ios", 5, 101);
    FINDS(&db, 1, NULL, 0, WL_DIFFERENCE_MISSING, WL_REPAIR_DROP);
    FINDS(&db, 1, &older, 1, WL_DIFFERENCE_STALE, WL_REPAIR_DROP);
    FINDS(&db, 1, &other, 1, WL_DIFFERENCE_ALTERED, WL_REPAIR_DROP);
    FINDS(&db, 1, &newer, 1, WL_DIFFERENCE_AHEAD, WL_REPAIR_RESTORE);
    FINDS(NULL, 0, &db, 1, WL_DIFFERENCE_ORPHAN, WL_REPAIR_RESTORE);
}

Test(compare, equal_copies_differ_in_nothing) {
    wl_asset_t db[] = {record("", 5, 100), record("ios", 6, 7), gone(record("old", 9, 0))};
    wl_asset_t copy[] = {record("ios", 6, 7), record("", 5, 100)};
    copy[0].pulled_at = 99; /* a reader is told it, but both sides move it by themselves */
    wl_difference_t found[4];
    cr_expect_eq(wl_compare(sample_config(), db, 3, copy, 2, found, 4), 0u);
    cr_expect_eq(wl_compare_digest(db, 3), wl_compare_digest(copy, 2));
    cr_expect_eq(wl_compare(NULL, NULL, 0, NULL, 0, found, 4), 0u);
}

Test(compare, what_its_line_would_refuse_is_not_restored) {
    wl_asset_t db = record("", 5, 100);
    wl_asset_t jump = record("", 6, 900);
    wl_asset_t huge = record("", 6, 5000);
    wl_asset_t unit = record("", 6, 100);
    (void)strcpy(unit.unit, "USD");
    FINDS(&db, 1, &jump, 1, WL_DIFFERENCE_AHEAD, WL_REPAIR_DROP);
    FINDS(NULL, 0, &huge, 1, WL_DIFFERENCE_ORPHAN, WL_REPAIR_DROP);
    FINDS(NULL, 0, &unit, 1, WL_DIFFERENCE_ORPHAN, WL_REPAIR_DROP);
    wl_difference_t found;
    cr_assert_eq(wl_compare(NULL, &db, 1, &jump, 1, &found, 1), 1u);
    cr_expect_eq(found.repair, WL_REPAIR_DROP, "no configuration");
    wl_asset_t strange = record("", 6, 100);
    (void)strcpy(strange.line, "nobody");
    cr_assert_eq(wl_compare(sample_config(), NULL, 0, &strange, 1, &found, 1), 1u);
    cr_expect_eq(found.repair, WL_REPAIR_DROP, "%s", found.cause);
}

Test(compare, a_tombstone_is_newer_than_the_copy_it_deletes) {
    wl_asset_t db = gone(record("", 5, 0));
    wl_asset_t older = record("", 4, 100);
    wl_asset_t newer = record("", 6, 100);
    FINDS(&db, 1, &older, 1, WL_DIFFERENCE_STALE, WL_REPAIR_DROP);
    FINDS(&db, 1, &newer, 1, WL_DIFFERENCE_AHEAD, WL_REPAIR_RESTORE);
}

Test(compare, a_newer_deletion_in_the_copy_goes_to_the_database) {
    wl_asset_t db = record("", 5, 100);
    wl_asset_t newer = gone(record("", 7, 0));
    wl_asset_t older = gone(record("", 5, 0));
    FINDS(&db, 1, &newer, 1, WL_DIFFERENCE_AHEAD, WL_REPAIR_RESTORE);
    FINDS(&db, 1, &older, 1, WL_DIFFERENCE_MISSING, WL_REPAIR_DROP);
    wl_difference_t found;
    cr_expect_eq(wl_compare(sample_config(), NULL, 0, &newer, 1, &found, 1), 0u);
}

Test(compare, nothing_comes_back_after_a_consent_was_withdrawn) {
    wl_asset_t consent = gone(record(WL_BUCKET_CONSENT, 50, 0));
    wl_asset_t copy = record("", 6, 100);
    FINDS(&consent, 1, &copy, 1, WL_DIFFERENCE_ORPHAN, WL_REPAIR_DROP);
    wl_asset_t given = record(WL_BUCKET_CONSENT, 50, 0);
    FINDS(NULL, 0, &given, 1, WL_DIFFERENCE_ORPHAN, WL_REPAIR_DROP);
}

Test(compare, the_count_is_right_when_there_is_no_room) {
    wl_asset_t db[3] = {record("a", 1, 1), record("b", 1, 1), record("c", 1, 1)};
    wl_difference_t found;
    cr_expect_eq(wl_compare(NULL, db, 3, NULL, 0, &found, 1), 3u);
    cr_expect_eq(wl_compare(NULL, NULL, 0, db, 3, &found, 0), 3u);
}

/* ---- property: the digest says the same as the comparison ------------------------------------ */

enum { ROUNDS = 200000, BUCKETS = 4 };

static uint32_t random_side(wl_asset_t *into) {
    uint32_t count = 0;
    for (int bucket = 0; bucket < BUCKETS; bucket++) {
        char name[2] = {(char)('a' + bucket), '\0'};
        if (rand() % 3 == 0) {
            continue;
        }
        into[count] = record(name, 1 + (uint64_t)(rand() % 2), 5 + rand() % 2);
        into[count].state = rand() % 4 == 0 ? WL_STATE_GONE : WL_STATE_AVAILABLE;
        count++;
    }
    return count;
}

static uint32_t live(const wl_asset_t *all, uint32_t count, wl_asset_t *into) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (all[i].state != WL_STATE_GONE) {
            into[kept++] = all[i];
        }
    }
    return kept;
}

Test(compare, digests_are_equal_exactly_when_no_difference_is_found) {
    srand(5);
    uint32_t equal = 0;
    for (int i = 0; i < ROUNDS; i++) {
        wl_asset_t db[BUCKETS];
        wl_asset_t side[BUCKETS];
        wl_asset_t copy[BUCKETS];
        uint32_t db_count = random_side(db);
        uint32_t copy_count = random_side(side);
        if (i % 3 == 0) { /* equal more often than chance makes it */
            memcpy(side, db, sizeof db);
            copy_count = db_count;
        }
        copy_count = live(side, copy_count, copy);
        for (uint32_t k = copy_count; k > 1; k--) {
            uint32_t other = (uint32_t)rand() % k;
            wl_asset_t swapped = copy[k - 1];
            copy[k - 1] = copy[other];
            copy[other] = swapped;
        }
        wl_difference_t found[2 * BUCKETS];
        uint32_t count =
            wl_compare(sample_config(), db, db_count, copy, copy_count, found, 2 * BUCKETS);
        bool same = wl_compare_digest(db, db_count) == wl_compare_digest(copy, copy_count);
        cr_assert_eq(same, count == 0, "round %d: %u differences", i, count);
        equal += same;
    }
    cr_expect_gt(equal, (uint32_t)ROUNDS / 4);
    cr_expect_lt(equal, (uint32_t)ROUNDS * 3 / 4);
}
