#include "actors/gather.h"

#include "base/alloc.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

static wl_asset_t asset_of(const char *line, const char *bucket, int64_t amount, uint64_t version) {
    wl_asset_t asset = {.uid = 42, .amount = amount, .version = version};
    (void)snprintf(asset.line, sizeof asset.line, "%s", line);
    (void)snprintf(asset.bucket, sizeof asset.bucket, "%s", bucket);
    return asset;
}

static wl_gather_t *open_with(wl_gathers_t *gathers, wl_asset_t *assets, uint32_t count) {
    wl_read_item_t read = {.ticket = 7, .uid = 42, .filter = {(const uint8_t *)"live,", 5}};
    return wl_gathers_open(gathers, 3, &read, (wl_asset_list_t){assets, count}, WL_SOURCE_DB, 4);
}

static const wl_asset_t *find(const wl_gather_t *gather, const char *line, const char *bucket) {
    for (uint32_t i = 0; i < gather->asset_count; i++) {
        if (strcmp(gather->assets[i].line, line) == 0 &&
            strcmp(gather->assets[i].bucket, bucket) == 0) {
            return &gather->assets[i];
        }
    }
    return NULL;
}

Test(gather, keeps_copies_of_everything) {
    wl_gathers_t *gathers = wl_gathers_new(4, 1 << 20);
    uint8_t *extra = wl_alloc(3);
    uint8_t *filter = wl_alloc(5);
    memcpy(extra, "\x81\xa0\xc0", 3);
    memcpy(filter, "live,", 5);
    wl_asset_t asset = asset_of("live", "", 5, 1);
    asset.extra = extra;
    asset.extra_bytes = 3;
    wl_read_item_t read = {.uid = 42, .filter = {filter, 5}, .floors = {filter, 5}};
    wl_gather_t *gather =
        wl_gathers_open(gathers, 3, &read, (wl_asset_list_t){&asset, 1}, WL_SOURCE_DB, 1);
    wl_free(extra);
    wl_free(filter);
    cr_expect_eq(gather->frontend, 3u);
    cr_expect_eq(memcmp(gather->read.filter.at, "live,", 5), 0);
    cr_expect_eq(memcmp(gather->read.floors.at, "live,", 5), 0);
    cr_expect_eq(gather->read.marks.count, 0u);
    cr_expect_eq(memcmp(gather->assets[0].extra, "\x81\xa0\xc0", 3), 0);
    cr_expect_eq(wl_gathers_find(gathers, gather->number), gather);
    cr_expect_eq(wl_gathers_find(gathers, gather->number + 1), NULL);
    uint64_t number = gather->number;
    wl_gathers_close(gathers, &gather);
    cr_expect_eq(wl_gathers_find(gathers, number), NULL);
    wl_gathers_destroy(&gathers);
}

Test(gather, an_answer_replaces_what_is_not_newer) {
    wl_gathers_t *gathers = wl_gathers_new(4, 1 << 20);
    wl_asset_t copy[] = {asset_of("live", "", 1, 5), asset_of("live", "b", 2, 5),
                         asset_of("live", "c", 3, 5), asset_of("coin", "", 4, 5)};
    wl_gather_t *gather = open_with(gathers, copy, 4);
    wl_asset_t said[] = {asset_of("live", "", 10, 5),  asset_of("live", "b", 20, 4),
                         asset_of("live", "d", 40, 1), asset_of("coin", "", 50, 9),
                         asset_of("live", "x", 60, 1), asset_of("live", WL_BUCKET_CONSENT, 0, 99)};
    said[4].uid = 43;
    cr_expect_eq(wl_gathers_merge(gathers, gather, "live", (wl_asset_list_t){said, 6}), 3u);
    cr_expect_eq(find(gather, "live", "")->amount, 10, "an equal version says it anew");
    cr_expect_eq(find(gather, "live", "b")->amount, 2, "never back");
    cr_expect_eq(find(gather, "live", "c")->amount, 3);
    cr_expect_eq(find(gather, "live", "d")->amount, 40);
    cr_expect_eq(find(gather, "coin", "")->amount, 4, "not its line");
    cr_expect_null(find(gather, "live", "x"), "not its user");
    cr_expect_null(find(gather, "live", WL_BUCKET_CONSENT));
    const bool answered[] = {true, false, false, false, true};
    for (uint32_t i = 0; i < 5; i++) {
        cr_expect_eq(gather->answered[i], answered[i], "%u", i);
    }
    cr_expect_eq(wl_gather_version(gather, "live"), 5u);
    wl_gathers_destroy(&gathers);
}

Test(gather, a_step_beyond_the_limits_of_the_line_is_not_shown) {
    wl_gathers_t *gathers = wl_gathers_new(4, 1 << 20);
    wl_line_t line = {.id = "live", .sanity = {.version_ahead_max = 100, .jump_max = 1000}};
    wl_asset_t copy[] = {asset_of("live", "", 1, 5), asset_of("coin", "", 1, 5)};
    wl_gather_t *gather = open_with(gathers, copy, 2);
    const struct {
        const char *bucket;
        int64_t amount;
        uint64_t version;
        bool sane;
    } rows[] = {{"", 2, 6, true},        {"", 2, 105, true},  {"", 2, 106, false},
                {"", 1002, 6, false},    {"", 1001, 6, true}, {"", 5000, 4, true},
                {"new", 9999, 999, true}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        wl_asset_t said[] = {asset_of("coin", "", 9000, 900),
                             asset_of("live", rows[i].bucket, rows[i].amount, rows[i].version)};
        cr_expect_eq(wl_gather_sane(gather, &line, (wl_asset_list_t){said, 2}), rows[i].sane,
                     "row %zu", i);
    }
    wl_gathers_destroy(&gathers);
}

Test(gather, a_line_without_consent_leaves_nothing_behind) {
    wl_gathers_t *gathers = wl_gathers_new(4, 1 << 20);
    wl_asset_t copy[] = {asset_of("card", "", 1, 5), asset_of("coin", "", 2, 5),
                         asset_of("card", WL_BUCKET_CONSENT, 0, 5)};
    wl_gather_t *gather = open_with(gathers, copy, 3);
    wl_gather_line_t *card = wl_gather_add_line(gather, "card");
    wl_gather_await(gather, card, true);
    wl_gather_await(gather, wl_gather_add_line(gather, "coin"), true);
    wl_gather_await(gather, card, true);
    cr_expect_eq(gather->awaited, 2u);
    wl_gather_bar(gather, "card");
    cr_expect_eq(gather->awaited, 1u);
    cr_expect_eq(gather->asset_count, 1u);
    cr_expect_eq(gather->assets[0].amount, 2);
    cr_expect_eq(wl_gather_line(gather, "card")->asked, WL_ASKED_BARRED);
    wl_gather_bar(gather, "nobody");
    wl_gathers_destroy(&gathers);
}

Test(gather, is_bounded_in_reads_and_in_bytes) {
    wl_gathers_t *gathers = wl_gathers_new(2, 1 << 20);
    wl_gather_t *first = open_with(gathers, NULL, 0);
    cr_expect_not_null(first);
    cr_expect_not_null(open_with(gathers, NULL, 0));
    cr_expect_null(open_with(gathers, NULL, 0));
    wl_gathers_close(gathers, &first);
    cr_expect_not_null(open_with(gathers, NULL, 0));
    wl_gathers_destroy(&gathers);

    enum { MANY = 200 };
    static wl_asset_t assets[MANY];
    for (int i = 0; i < MANY; i++) {
        assets[i] = asset_of("live", "", i, 1);
        (void)snprintf(assets[i].bucket, sizeof assets[i].bucket, "b%d", i);
    }
    gathers = wl_gathers_new(1000, MANY * sizeof(wl_asset_t) * 5 / 2);
    first = open_with(gathers, NULL, 0);
    (void)wl_gathers_merge(gathers, first, "live", (wl_asset_list_t){assets, MANY});
    cr_expect_not_null(open_with(gathers, assets, 100));
    cr_expect_null(open_with(gathers, assets, MANY), "what lines said counts, too");
    wl_gathers_close(gathers, &first);
    cr_expect_not_null(open_with(gathers, assets, MANY));
    wl_gathers_destroy(&gathers);
}
