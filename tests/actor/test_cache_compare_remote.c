/* What the cache actor tells the reconciler, with copies in a redis-server of the test's own. */
#include "actors/cache_compare.h"

#include "actors/cache.h"
#include "domain/compare.h"

#include "../unit/store/redis_world.h"
#include "read_path.h"

enum { USERS = 1000, PATIENT_MS = 20000, TIMEOUT_MS = 300 };

static struct {
    stage_t stage;
    neighbour_t query;
    neighbour_t reconciler;
    server_t server;
    wl_redis_t *redis; /* the test's own look into Redis */
    uint64_t ticket;
} self;

/* All that a COMPARE was answered with. */
typedef struct {
    uint32_t equal;
    uint32_t uncached;
    uint32_t other; /* users whose copy came */
    wl_err_t err;
    uint64_t first; /* uid, and what it has */
    int64_t amount;
    uint32_t messages;
} sums_t;

static void world_open(void) {
    memset(&self, 0, sizeof self);
    folder_make();
    server_start(&self.server, NULL);
    stage_open(&self.stage);
    wl_settings_t *settings = &self.stage.settings;
    (void)snprintf(settings->cache_store, sizeof settings->cache_store, "redis");
    (void)snprintf(settings->cache_redis, sizeof settings->cache_redis, "%s", self.server.at);
    settings->redis_timeout_ms = TIMEOUT_MS;
    self.query = neighbour_open(WL_ACTOR_QUERY, 0);
    self.reconciler = neighbour_open(WL_ACTOR_RECONCILER, 0);
    stage_start(&self.stage, WL_ACTOR_CACHE, wl_cache_run);
    stage_configure(&self.stage);
    self.redis = client(self.server.at);
}

static void world_close(void) {
    (void)stage_stop(&self.stage);
    neighbour_close(&self.query);
    neighbour_close(&self.reconciler);
    stage_close(&self.stage);
    wl_redis_destroy(&self.redis);
    server_kill(&self.server);
    folder_remove();
}

TestSuite(cache_compare_remote, .init = world_open, .fini = world_close, .timeout = 90);

static wl_asset_t asset_of(uint64_t uid) {
    wl_asset_t asset = test_asset(uid, "cash", (int64_t)uid, 7);
    asset.pulled_at = 1;
    return asset;
}

static void fill(uint64_t uid, uint32_t count) {
    wl_asset_t asset = asset_of(uid);
    wl_fill_item_t item = {.uid = uid, .assets = {&asset, count}};
    wl_fill_begin(self.stage.encoder, &(wl_fill_head_t){.commit_seq = 1});
    wl_fill_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static uint64_t digest_of(uint64_t uid) {
    wl_asset_t asset = asset_of(uid);
    return wl_compare_digest(&asset, 1);
}

static void ask_sums(uint64_t ticket, uint64_t *uids, uint64_t *digests, uint32_t count) {
    wl_compare_item_t item = {.uids = {uids, count}, .digests = {digests, count}};
    wl_compare_begin(self.stage.encoder, &(wl_compare_head_t){.ticket = ticket});
    wl_compare_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static sums_t take_sums(uint64_t ticket) {
    sums_t sums = {0};
    wl_msg_t told = {0};
    do {
        cr_assert(neighbour_next(&self.reconciler, &told, PATIENT_MS), "ticket %llu",
                  (unsigned long long)ticket);
        cr_assert_eq(told.id, WL_MSG_COMPARED);
        cr_assert_eq(told.head.compared.ticket, ticket);
        if (told.count > 0 && sums.other == 0) {
            cr_assert_geq(told.items.compared[0].assets.count, 1u);
            sums.first = told.items.compared[0].uid;
            sums.amount = told.items.compared[0].assets.at[0].amount;
        }
        sums.other += told.count;
        sums.messages++;
    } while (!told.head.compared.last);
    sums.equal = told.head.compared.equal;
    sums.uncached = told.head.compared.uncached;
    sums.err = (wl_err_t)told.head.compared.error;
    return sums;
}

static sums_t compare(uint64_t *uids, uint64_t *digests, uint32_t count) {
    ask_sums(++self.ticket, uids, digests, count);
    return take_sums(self.ticket);
}

/* Until the markers were read and a copy filled since is served. */
static void await_trust(void) {
    enum { WARM = 900001 };
    int64_t until = wl_mono_now().ms + PATIENT_MS;
    uint64_t uid = WARM;
    uint64_t digest = digest_of(WARM);
    sums_t sums = {0};
    while (sums.equal == 0) {
        cr_assert_lt(wl_mono_now().ms, until, "no copy is ever served");
        fill(WARM, 1);
        sums = compare(&uid, &digest, 1);
        cr_assert_eq(sums.other, 0u);
        wait_ms(20);
    }
}

/* Asks again while a fill is on its way. */
static sums_t compare_until_cached(uint64_t *uids, uint64_t *digests, uint32_t count,
                                   uint32_t uncached) {
    int64_t until = wl_mono_now().ms + PATIENT_MS;
    sums_t sums = compare(uids, digests, count);
    while ((sums.uncached != uncached || sums.err != WL_OK) && wl_mono_now().ms < until) {
        wait_ms(20);
        sums = compare(uids, digests, count);
    }
    return sums;
}

static void drop(uint64_t *uids, uint32_t count) {
    wl_drop_begin(self.stage.encoder, &(wl_drop_head_t){.ticket = 70});
    wl_drop_add(self.stage.encoder, &(wl_drop_item_t){.uids = {uids, count}});
    stage_send(&self.stage);
}

Test(cache_compare_remote, copies_are_equal_other_or_not_there) {
    uint64_t uids[] = {1, 2, 3, 4, 5};
    uint64_t digests[] = {digest_of(1), 77, wl_compare_digest(NULL, 0), digest_of(4), 9};
    await_trust();
    fill(1, 1);
    fill(2, 1);
    fill(3, 0); /* owns nothing, and that is cached */
    fill(4, 1);
    sums_t sums = compare_until_cached(uids, digests, 5, 1);
    cr_expect_eq(sums.err, WL_OK);
    cr_expect_eq(sums.equal, 3u);
    cr_expect_eq(sums.uncached, 1u);
    cr_assert_eq(sums.other, 1u);
    cr_expect_eq(sums.first, 2u);
    cr_expect_eq(sums.amount, 2);
    cr_expect_eq(ask(self.redis, "w:4", "DEL w:4").integer, 1);
    sums = compare(uids, digests, 5);
    cr_expect_eq(sums.equal, 2u);
    cr_expect_eq(sums.uncached, 2u);
}

/* A copy that was filled before its trust began reaches no reader, so it is none. */
Test(cache_compare_remote, a_copy_from_before_the_marker_is_none) {
    uint64_t uid = 1;
    uint64_t digest = 77;
    await_trust();
    fill(1, 1);
    cr_expect_eq(compare_until_cached(&uid, &digest, 1, 0).other, 1u);
    cr_expect_eq(ask(self.redis, "w:1", "HSET w:1 #t 1000").err, WL_OK);
    sums_t sums = compare(&uid, &digest, 1);
    cr_expect_eq(sums.err, WL_OK);
    cr_expect_eq(sums.other, 0u);
    cr_expect_eq(sums.uncached, 1u);
}

Test(cache_compare_remote, many_questions_are_answered_whole_and_in_several_messages) {
    enum { QUESTIONS = 8 };
    static uint64_t uids[USERS];
    static uint64_t other[USERS];
    static uint64_t same[USERS];
    await_trust();
    for (uint32_t i = 0; i < USERS; i++) {
        uids[i] = i + 1;
        same[i] = digest_of(i + 1);
        fill(i + 1, 1);
    }
    sums_t sums = compare_until_cached(uids, same, USERS, 0);
    cr_assert_eq(sums.equal, (uint32_t)USERS);
    uint64_t first = self.ticket + 1;
    for (uint32_t i = 0; i < QUESTIONS; i++) { /* more than are asked of Redis at once */
        ask_sums(++self.ticket, uids, i % 2 == 0 ? other : same, USERS);
    }
    for (uint32_t i = 0; i < QUESTIONS; i++) {
        sums = take_sums(first + i);
        cr_expect_eq(sums.err, WL_OK);
        cr_expect_eq(sums.equal, i % 2 == 0 ? 0u : (uint32_t)USERS);
        cr_expect_eq(sums.other, i % 2 == 0 ? (uint32_t)USERS : 0u);
        cr_expect(i % 2 == 1 || sums.messages > 4);
    }
}

Test(cache_compare_remote, without_redis_nothing_is_known) {
    static uint64_t uids[USERS];
    static uint64_t digests[USERS];
    await_trust();
    for (uint32_t i = 0; i < USERS; i++) {
        uids[i] = i + 1;
    }
    fill(1, 1);
    (void)compare_until_cached(uids, digests, 1, 0);
    server_kill(&self.server);
    sums_t sums = compare(uids, digests, USERS);
    cr_expect_eq(sums.err, WL_ERR_UNAVAILABLE);
    cr_expect_eq(sums.equal + sums.other + sums.uncached, 0u, "none of them is known");
    wl_tell_cached_begin(self.stage.encoder, &(wl_tell_cached_head_t){.ticket = 60, .max = 10});
    stage_send(&self.stage);
    wl_msg_t told = neighbour_expect(&self.reconciler, WL_MSG_CACHED, 1);
    cr_expect_neq(told.head.cached.error, (uint32_t)WL_OK);
    cr_expect_eq(told.items.cached[0].uids.count, 0u);
}

Test(cache_compare_remote, everybody_with_a_copy_is_told_and_strange_keys_are_not) {
    static bool seen[USERS + 1];
    static const char *const strange[] = {"w:", "w:0", "w:012", "w:1x", "w:18446744073709551616",
                                          "x:9"};
    await_trust();
    for (uint32_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        char command[64];
        (void)snprintf(command, sizeof command, "SET %s 1", strange[i]);
        cr_assert_eq(ask(self.redis, strange[i], command).err, WL_OK);
    }
    static uint64_t uids[USERS];
    static uint64_t digests[USERS];
    for (uint32_t i = 0; i < USERS; i++) {
        uids[i] = i + 1;
        digests[i] = digest_of(i + 1);
        fill(i + 1, 1);
    }
    cr_assert_eq(compare_until_cached(uids, digests, USERS, 0).equal, (uint32_t)USERS);
    uint64_t after = 0;
    uint32_t pages = 0;
    do {
        wl_tell_cached_head_t head = {.ticket = 60 + pages, .after = after, .max = 100};
        wl_tell_cached_begin(self.stage.encoder, &head);
        stage_send(&self.stage);
        wl_msg_t told = {0};
        cr_assert(neighbour_next(&self.reconciler, &told, PATIENT_MS));
        cr_assert(told.id == WL_MSG_CACHED && told.count == 1);
        cr_assert_eq(told.head.cached.ticket, 60u + pages);
        cr_assert_eq(told.head.cached.error, (uint32_t)WL_OK);
        for (uint32_t i = 0; i < told.items.cached[0].uids.count; i++) {
            uint64_t uid = told.items.cached[0].uids.at[i];
            cr_assert((uid >= 1 && uid <= USERS) || uid == 900001, "%llu", (unsigned long long)uid);
            seen[uid <= USERS ? uid : 0] = true;
        }
        after = told.head.cached.after;
        pages++;
        cr_assert_lt(pages, 200u, "the walk has no end");
    } while (after != 0);
    for (uint32_t uid = 0; uid <= USERS; uid++) {
        cr_assert(seen[uid], "user %u", uid);
    }
    cr_expect_gt(pages, 4u);
}

Test(cache_compare_remote, what_is_dropped_comes_back_only_with_a_read_that_is_not_older) {
    uint64_t uids[] = {1, 2};
    uint64_t digests[] = {77, 77};
    await_trust();
    fill(1, 1);
    fill(2, 1);
    cr_expect_eq(compare_until_cached(uids, digests, 2, 0).other, 2u);
    cr_expect_eq(ask(self.redis, "w:1", "HSET w:1 #s 00000000000000000005").err, WL_OK);
    drop(uids, 1);
    sums_t sums = compare_until_cached(uids, digests, 2, 1);
    cr_expect_eq(sums.first, 2u);
    cr_expect_eq(sums.uncached, 1u);
    fill(1, 1); /* as the database was at commit 1 */
    stage_expect_counter(&self.stage, cache_fill_refused, 1);
    cr_expect_eq(compare(uids, digests, 1).uncached, 1u, "the fence is the one that stood there");
}
