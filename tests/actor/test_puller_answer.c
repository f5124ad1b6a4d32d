#include "actors/puller_answer.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

/* The same numbers in every run. */
static uint32_t dice(void) {
    static uint32_t state = 7;
    state = state * 1103515245u + 12345u;
    return state >> 16;
}

static wl_asset_t asset_of(uint64_t uid, const char *bucket, uint64_t version) {
    wl_asset_t asset = {.uid = uid, .version = version};
    (void)snprintf(asset.bucket, sizeof asset.bucket, "%s", bucket);
    return asset;
}

static wl_pull_verdict_t judge(wl_puller_answer_t *self, const wl_line_t *config, uint64_t uid,
                               const char *bucket, uint64_t version) {
    wl_line_pull_t pull = {.uid = uid, .hint_count = version > 0};
    (void)snprintf(pull.hints[0].bucket, sizeof pull.hints[0].bucket, "%s", bucket);
    pull.hints[0].version = version;
    wl_pull_verdict_t verdict;
    wl_puller_answer_judge(self, config, &pull, &verdict);
    return verdict;
}

static const wl_line_t versioned = {.versions = true};
static const wl_line_t unversioned = {.versions = false};

Test(puller_answer, gathers_each_users_assets_from_any_order) {
    wl_puller_answer_t *self = wl_puller_answer_new();
    for (int round = 0; round < 200; round++) {
        enum { ASSETS = 120, USERS = 10 };
        wl_asset_t assets[ASSETS];
        uint32_t counts[USERS + 1] = {0};
        for (uint32_t i = 0; i < ASSETS; i++) {
            uint64_t uid = 1 + (uint64_t)dice() % USERS;
            assets[i] = asset_of(uid, "", i + 1);
            counts[uid]++;
        }
        wl_answer_t answer = {.assets = assets, .asset_count = ASSETS};
        wl_puller_answer_read(self, &answer);
        for (uint64_t uid = 1; uid <= USERS; uid++) {
            wl_pull_verdict_t verdict = judge(self, &versioned, uid, "", 0);
            cr_assert(verdict.store && verdict.outcome == WL_PULL_OK);
            cr_assert_eq(verdict.assets.count, counts[uid]);
            for (uint32_t i = 0; i < verdict.assets.count; i++) {
                cr_assert_eq(verdict.assets.at[i].uid, uid);
                cr_assert(i == 0 ||
                          verdict.assets.at[i].version > verdict.assets.at[i - 1].version);
            }
        }
    }
    wl_puller_answer_destroy(&self);
}

Test(puller_answer, compares_versions_per_bucket) {
    wl_puller_answer_t *self = wl_puller_answer_new();
    wl_asset_t assets[2] = {asset_of(1, "ios", 5), asset_of(1, "gift", 9)};
    wl_answer_t answer = {.assets = assets, .asset_count = 2};
    wl_puller_answer_read(self, &answer);
    cr_expect_not(judge(self, &versioned, 1, "ios", 5).behind);
    cr_expect(judge(self, &versioned, 1, "ios", 6).behind);
    cr_expect(judge(self, &versioned, 1, "web", 1).behind, "a bucket that did not come");
    cr_expect_not(judge(self, &versioned, 1, "", 9).behind, "no bucket named: any of them");
    cr_expect(judge(self, &versioned, 1, "", 10).behind);
    cr_expect_not(judge(self, &unversioned, 1, "ios", 99).behind, "those are our own numbers");
    cr_expect_not(judge(self, NULL, 1, "ios", 99).behind);
    cr_expect(judge(self, &versioned, 2, "", 1).behind, "a user who did not come");
    cr_expect_eq(judge(self, &versioned, 1, "ios", 6).outcome, WL_PULL_RETRY);
    wl_puller_answer_destroy(&self);
}

Test(puller_answer, refuses_whoever_a_refused_record_may_belong_to) {
    wl_puller_answer_t *self = wl_puller_answer_new();
    wl_asset_t assets[2] = {asset_of(1, "", 5), asset_of(2, "", 5)};
    wl_answer_refusal_t refusals[2] = {{.uid = 2, .reason = "amount"}, {.uid = 0}};
    wl_answer_t answer = {.assets = assets,
                          .asset_count = 2,
                          .refusals = refusals,
                          .refusal_count = 1,
                          .refused_total = 1};
    wl_puller_answer_read(self, &answer);
    cr_expect_eq(judge(self, &versioned, 1, "", 0).outcome, WL_PULL_OK);
    wl_pull_verdict_t verdict = judge(self, &versioned, 2, "", 0);
    cr_expect(verdict.outcome == WL_PULL_REFUSED && !verdict.store);
    cr_expect_str_eq(verdict.reason, "amount");
    cr_expect_eq(judge(self, &versioned, 3, "", 0).outcome, WL_PULL_OK, "absent");
    answer.refusal_count = answer.refused_total = 2;
    wl_puller_answer_read(self, &answer);
    cr_expect_eq(judge(self, &versioned, 1, "", 0).outcome, WL_PULL_OK);
    cr_expect_eq(judge(self, &versioned, 3, "", 0).outcome, WL_PULL_REFUSED,
                 "the nameless record may be its own");
    answer.refusal_count = 1;
    answer.refused_total = 50;
    wl_puller_answer_read(self, &answer);
    cr_expect_eq(judge(self, &versioned, 3, "", 0).outcome, WL_PULL_REFUSED, "a cut list");
    wl_puller_answer_destroy(&self);
}

Test(puller_answer, refuses_more_records_than_a_message_holds) {
    wl_puller_answer_t *self = wl_puller_answer_new();
    static wl_asset_t assets[257];
    for (uint32_t i = 0; i < 257; i++) {
        assets[i] = asset_of(1, "", 1);
    }
    wl_answer_t answer = {.assets = assets, .asset_count = 256};
    wl_puller_answer_read(self, &answer);
    cr_expect_eq(judge(self, &versioned, 1, "", 0).outcome, WL_PULL_OK);
    answer.asset_count = 257;
    wl_puller_answer_read(self, &answer);
    cr_expect_eq(judge(self, &versioned, 1, "", 0).outcome, WL_PULL_REFUSED);
    wl_puller_answer_destroy(&self);
}
