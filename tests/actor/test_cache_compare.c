/* What the cache actor tells the reconciler, with copies in memory. */
#include "actors/cache_compare.h"

#include "actors/cache.h"
#include "domain/compare.h"
#include "read_path.h"

enum { USERS = 5000 };

static struct {
    stage_t stage;
    neighbour_t query;
    neighbour_t reconciler;
} self;

static void world_open(void) {
    stage_open(&self.stage);
    self.query = neighbour_open(WL_ACTOR_QUERY, 0);
    self.reconciler = neighbour_open(WL_ACTOR_RECONCILER, 0);
    stage_start(&self.stage, WL_ACTOR_CACHE, wl_cache_run);
    stage_configure(&self.stage);
}

static void world_close(void) {
    (void)stage_stop(&self.stage);
    neighbour_close(&self.query);
    neighbour_close(&self.reconciler);
    stage_close(&self.stage);
}

static wl_asset_t asset_of(uint64_t uid) {
    return (wl_asset_t){.uid = uid,
                        .version = 7,
                        .amount = (int64_t)uid,
                        .line = "cash",
                        .unit = "CNY",
                        .scale = 2,
                        .state = WL_STATE_AVAILABLE};
}

static void fill(uint64_t uid, uint32_t count) {
    wl_asset_t asset = asset_of(uid);
    wl_fill_item_t item = {.uid = uid, .assets = {&asset, count}};
    wl_fill_begin(self.stage.encoder, &(wl_fill_head_t){.commit_seq = 1});
    wl_fill_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static void ask(uint64_t ticket, uint64_t *uids, uint64_t *digests, uint32_t count,
                uint32_t digest_count) {
    wl_compare_item_t item = {.uids = {uids, count}, .digests = {digests, digest_count}};
    wl_compare_begin(self.stage.encoder, &(wl_compare_head_t){.ticket = ticket});
    wl_compare_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

TestSuite(cache_compare, .init = world_open, .fini = world_close, .timeout = 60);

Test(cache_compare, copies_are_equal_other_or_not_there) {
    wl_asset_t assets[4] = {asset_of(1), asset_of(2), asset_of(3), asset_of(4)};
    uint64_t uids[] = {1, 2, 3, 4, 5};
    uint64_t digests[] = {wl_compare_digest(&assets[0], 1), 77, 0, wl_compare_digest(NULL, 0), 9};
    fill(1, 1);
    fill(2, 1);
    fill(3, 1);
    fill(4, 0); /* owns nothing, and that is cached */
    ask(50, uids, digests, 5, 5);
    wl_msg_t told = neighbour_expect(&self.reconciler, WL_MSG_COMPARED, 2);
    cr_expect(!told.head.compared.last);
    cr_expect_eq(told.head.compared.ticket, 50u);
    cr_expect_eq(told.items.compared[0].uid, 2u);
    cr_expect_eq(told.items.compared[1].uid, 3u, "asked for in any case");
    cr_assert_eq(told.items.compared[0].assets.count, 1u);
    cr_expect_eq(told.items.compared[0].assets.at[0].amount, 2);
    told = neighbour_expect(&self.reconciler, WL_MSG_COMPARED, 0);
    cr_expect(told.head.compared.last);
    cr_expect_eq(told.head.compared.equal, 2u);
    cr_expect_eq(told.head.compared.uncached, 1u);
    cr_expect_eq(told.head.compared.error, (uint32_t)WL_OK);
}

Test(cache_compare, a_thousand_that_differ_come_in_several_messages) {
    uint64_t uids[1000];
    uint64_t digests[1000];
    for (uint32_t i = 0; i < 1000; i++) {
        uids[i] = i + 1;
        digests[i] = 0;
        fill(i + 1, 1);
    }
    ask(51, uids, digests, 1000, 1000);
    uint32_t users = 0;
    uint32_t messages = 0;
    bool last = false;
    while (!last) {
        wl_msg_t told;
        cr_assert(neighbour_next(&self.reconciler, &told, PATIENCE_MS));
        cr_assert_eq(told.id, WL_MSG_COMPARED);
        cr_assert_eq(told.head.compared.ticket, 51u);
        for (uint32_t i = 0; i < told.count; i++) {
            cr_assert_eq(told.items.compared[i].uid, ++users);
        }
        messages++;
        last = told.head.compared.last;
    }
    cr_expect_eq(users, 1000u);
    cr_expect_gt(messages, 4u);
}

Test(cache_compare, everybody_with_a_copy_is_told_once) {
    static uint32_t seen[USERS + 1];
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        fill(uid, uid % 5 != 0); /* some own nothing */
    }
    uint64_t after = 0;
    uint32_t pages = 0;
    do {
        wl_tell_cached_head_t head = {.ticket = 60, .after = after, .max = 500};
        wl_tell_cached_begin(self.stage.encoder, &head);
        stage_send(&self.stage);
        wl_msg_t told = neighbour_expect(&self.reconciler, WL_MSG_CACHED, 1);
        cr_expect_eq(told.head.cached.error, (uint32_t)WL_OK);
        const wl_u64_list_t *uids = &told.items.cached[0].uids;
        cr_assert_leq(uids->count, 500u + WL_CACHE_WALK_MORE);
        for (uint32_t i = 0; i < uids->count; i++) {
            cr_assert(uids->at[i] >= 1 && uids->at[i] <= USERS);
            seen[uids->at[i]]++;
        }
        after = told.head.cached.after;
        pages++;
    } while (after != 0);
    for (uint32_t uid = 1; uid <= USERS; uid++) {
        cr_assert_eq(seen[uid], uid % 5 != 0 ? 1u : 0u, "user %u", uid);
    }
    cr_expect_gt(pages, 5u);
}

Test(cache_compare, what_is_dropped_is_read_anew) {
    uint64_t uids[] = {1, 2};
    uint64_t digests[] = {0, 0};
    fill(1, 1);
    fill(2, 1);
    wl_drop_begin(self.stage.encoder, &(wl_drop_head_t){.ticket = 70});
    wl_drop_add(self.stage.encoder, &(wl_drop_item_t){.uids = {uids, 1}});
    stage_send(&self.stage);
    ask(71, uids, digests, 2, 2);
    wl_msg_t told = neighbour_expect(&self.reconciler, WL_MSG_COMPARED, 1);
    cr_expect_eq(told.items.compared[0].uid, 2u);
    told = neighbour_expect(&self.reconciler, WL_MSG_COMPARED, 0);
    cr_expect_eq(told.head.compared.uncached, 1u);
    stage_read(&self.stage, test_read(5, 1, WL_METHOD_ASSETS, 1000));
    (void)neighbour_expect(&self.query, WL_MSG_READ, 1);
}

Test(cache_compare, questions_that_make_no_sense_are_counted_and_dropped) {
    uint64_t uids[] = {1, 2};
    uint64_t digests[] = {0, 0};
    ask(80, uids, digests, 2, 1);
    ask(81, uids, digests, 0, 0);
    ask(82, uids, digests, 1, 1);
    wl_msg_t told = neighbour_expect(&self.reconciler, WL_MSG_COMPARED, 0);
    cr_expect_eq(told.head.compared.ticket, 82u, "only this one is answered");
    cr_expect(told.head.compared.last);
}
