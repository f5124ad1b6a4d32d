#include "store/cache_redis.h"

#include "../../stores.h"
#include "base/slot.h"
#include "redis_world.h"

#include <inttypes.h>

enum { TTL_S = 1000, BIG_COUNT = 1100 };

static wl_redis_t *redis;
static wl_cache_redis_t *cache;
static server_t server;
static char prefix[40];

static void world_start(void) {
    folder_make();
    server = (server_t){0};
    redis = NULL;
    cache = NULL;
}

static void cache_open(wl_redis_options_t options) {
    char name[32];
    (void)snprintf(prefix, sizeof prefix, "%s:", stores_name("c", name, sizeof name));
    redis = client_with(options);
    cache = wl_cache_redis_new(
        &(wl_cache_redis_options_t){.redis = redis, .prefix = prefix, .ttl_s = TTL_S});
    while (ask(redis, NULL, "PING").err != WL_OK) {
        wait_ms(5);
    }
}

static void open_redis(void) {
    cache_open((wl_redis_options_t){.nodes = stores_redis()});
}

static void open_cluster(void) {
    cache_open((wl_redis_options_t){.nodes = stores_redis_cluster(), .cluster = true});
}

/* A server of the test's own, which it may empty or stop. */
static void open_own(uint32_t timeout_ms) {
    server_start(&server, NULL);
    cache_open((wl_redis_options_t){.nodes = server.at, .timeout_ms = timeout_ms});
}

static void world_end(void) {
    wl_redis_destroy(&redis);
    wl_cache_redis_destroy(&cache);
    wl_cache_redis_destroy(&cache);
    server_kill(&server);
    folder_remove();
}

TestSuite(cache_redis, .init = world_start, .fini = world_end, .timeout = 120);

/* Keys end with their test only on servers that are shared. */
static void user_delete(uint64_t uid);

/* ---- asking ---------------------------------------------------------------------------------- */

typedef struct {
    uint32_t called;
    wl_err_t err;
    int64_t filled_at;
    uint32_t count;
    wl_asset_t assets[16];
} copy_t;

static void on_copy(wl_err_t err, const wl_cache_copy_t *copy, void *ctx) {
    copy_t *ret = ctx;
    ret->called++;
    ret->err = err;
    cr_assert_eq(copy != NULL, err == WL_OK);
    if (copy != NULL) {
        ret->filled_at = copy->filled_at;
        ret->count = copy->count;
        cr_assert_leq(copy->count, WL_COUNT_OF(ret->assets));
        for (uint32_t i = 0; i < copy->count; i++) {
            ret->assets[i] = copy->assets[i];
            ret->assets[i].extra = NULL; /* borrowed */
        }
    }
}

static void served(void) {
    cr_assert_eq(wl_redis_wait(redis, 30000), WL_OK);
}

static copy_t get(uint64_t uid) {
    copy_t copy = {.called = 0};
    wl_cache_redis_get(cache, uid, on_copy, &copy);
    served();
    cr_assert_eq(copy.called, 1);
    return copy;
}

static const wl_asset_t *find(const copy_t *copy, const char *line) {
    for (uint32_t i = 0; i < copy->count; i++) {
        if (strcmp(copy->assets[i].line, line) == 0) {
            return &copy->assets[i];
        }
    }
    return NULL;
}

typedef struct {
    uint32_t called;
    wl_err_t err;
} outcome_t;

static void on_done(wl_err_t err, void *ctx) {
    outcome_t *outcome = ctx;
    outcome->called++;
    outcome->err = err;
}

static wl_err_t outcome_of(const outcome_t *outcome) {
    served();
    cr_assert_eq(outcome->called, 1, "%u callbacks", outcome->called);
    return outcome->err;
}

static wl_err_t put(uint64_t uid, const wl_asset_t *assets, uint32_t count, uint64_t commit_seq) {
    outcome_t outcome = {0};
    wl_cache_redis_put(cache, uid, assets, count, commit_seq, on_done, &outcome);
    return outcome_of(&outcome);
}

static wl_err_t fill(uint64_t uid, const wl_asset_t *assets, uint32_t count, uint64_t commit_seq) {
    outcome_t outcome = {0};
    wl_cache_redis_fill(cache, uid, assets, count, commit_seq, on_done, &outcome);
    return outcome_of(&outcome);
}

static wl_err_t forget(uint64_t uid, uint64_t commit_seq) {
    outcome_t outcome = {0};
    wl_cache_redis_forget(cache, uid, commit_seq, on_done, &outcome);
    return outcome_of(&outcome);
}

static wl_asset_t asset_of(uint64_t uid, const char *line, uint64_t version, int64_t pulled_at) {
    wl_asset_t asset = {.uid = uid,
                        .version = version,
                        .amount = (int64_t)(version % 1000000),
                        .pulled_at = pulled_at};
    (void)snprintf(asset.line, sizeof asset.line, "%s", line);
    return asset;
}

/* Redis's own answer to "<command> <key> <more>". */
static answer_t on_user(const char *command, uint64_t uid, const char *more) {
    char key[64];
    char words[256];
    (void)snprintf(key, sizeof key, "%s%" PRIu64, prefix, uid);
    (void)snprintf(words, sizeof words, "%s %s%s%s", command, key, more[0] == '\0' ? "" : " ",
                   more);
    return ask(redis, key, words);
}

static void user_delete(uint64_t uid) {
    cr_assert_eq(on_user("DEL", uid, "").err, WL_OK);
}

/* ---- users ----------------------------------------------------------------------------------- */

static void users_are_kept(void) {
    for (uint64_t uid = 1; uid <= 40; uid++) { /* of several servers, when there are several */
        wl_asset_t assets[] = {asset_of(uid, "cash", 7, 100), asset_of(uid, "coin", 8, 100)};
        cr_assert_eq(get(uid).err, WL_ERR_NOT_FOUND);
        cr_assert_eq(fill(uid, assets, 2, 9), WL_OK);
        assets[0].version = 9;
        assets[0].amount = 4242;
        cr_assert_eq(put(uid, assets, 1, 10), WL_OK);
        copy_t copy = get(uid);
        cr_assert(copy.err == WL_OK && copy.count == 2 && copy.filled_at > 0);
        cr_assert_eq(find(&copy, "cash")->amount, 4242);
        cr_assert_eq(find(&copy, "coin")->version, 8);
        cr_assert_eq(fill(uid, NULL, 0, 10), WL_OK, "whoever saw the put may replace it");
        copy = get(uid);
        cr_assert(copy.err == WL_OK && copy.count == 0, "an empty user is an answer");
        user_delete(uid);
    }
}

Test(cache_redis, keeps_users_whole_with_what_was_put_since) {
    open_redis();
    users_are_kept();
}

Test(cache_redis, keeps_users_whole_with_what_was_put_since_in_a_cluster) {
    open_cluster();
    users_are_kept();
}

Test(cache_redis, a_put_without_a_user_leaves_only_a_fence_for_a_minute) {
    open_redis();
    wl_asset_t asset = asset_of(5, "cash", 7, 100);
    cr_assert_eq(put(5, &asset, 1, 20), WL_OK);
    cr_expect_eq(get(5).err, WL_ERR_NOT_FOUND);
    cr_expect_eq(on_user("HLEN", 5, "").integer, 1);
    long long life = on_user("PTTL", 5, "").integer;
    cr_expect(life > 50000 && life <= 60000, "%lld", life);
    cr_expect_eq(fill(5, &asset, 1, 19), WL_ERR_CONFLICT, "it was read before the put");
    cr_expect_eq(get(5).err, WL_ERR_NOT_FOUND);
    cr_expect_eq(put(5, &asset, 1, 18), WL_OK);
    cr_expect_eq(fill(5, &asset, 1, 19), WL_ERR_CONFLICT, "a fence is never lowered");
    cr_expect_eq(fill(5, &asset, 1, 20), WL_OK);
    cr_expect_eq(get(5).count, 1);
    user_delete(5);
}

Test(cache_redis, a_user_lives_for_the_ttl_minus_up_to_a_tenth) {
    open_redis();
    long long least = TTL_S;
    long long most = 0;
    for (uint64_t uid = 1; uid <= 50; uid++) {
        wl_asset_t asset = asset_of(uid, "cash", 7, 100);
        cr_assert_eq(put(uid, &asset, 1, 1), WL_OK); /* its short life does not stay */
        cr_assert_eq(fill(uid, &asset, 1, 1), WL_OK);
        asset.version++;
        cr_assert_eq(put(uid, &asset, 1, 2), WL_OK);
        long long life = on_user("TTL", uid, "").integer;
        cr_assert(life >= TTL_S - TTL_S / 10 - 5 && life <= TTL_S, "%lld", life);
        least = life < least ? life : least;
        most = life > most ? life : most;
        user_delete(uid);
    }
    cr_expect_gt(most - least, 20, "they do not all end at once");
}

Test(cache_redis, versions_and_commits_compare_with_all_their_digits) {
    static const uint64_t pairs[][2] = {
        {9, 10},
        {999, 1000},
        {(1ull << 53), (1ull << 53) + 1},
        {(1ull << 62) + 1, (1ull << 62) + 2},
        {INT64_MAX - 1, INT64_MAX},
    };
    open_redis();
    for (size_t i = 0; i < WL_COUNT_OF(pairs); i++) {
        uint64_t uid = 100 + i;
        wl_asset_t old = asset_of(uid, "cash", pairs[i][0], 100);
        wl_asset_t new = asset_of(uid, "cash", pairs[i][1], 100);
        cr_assert_eq(fill(uid, &new, 1, pairs[i][0]), WL_OK);
        cr_assert_eq(put(uid, &old, 1, pairs[i][1]), WL_OK);
        copy_t copy = get(uid);
        cr_expect_eq(copy.assets[0].version, pairs[i][1], "an older one replaces nothing");
        cr_expect_eq(fill(uid, &new, 1, pairs[i][0]), WL_ERR_CONFLICT, "%zu", i);
        user_delete(uid);
        cr_assert_eq(fill(uid, &old, 1, pairs[i][0]), WL_OK);
        cr_assert_eq(put(uid, &new, 1, pairs[i][1]), WL_OK);
        copy = get(uid);
        cr_expect_eq(copy.assets[0].version, pairs[i][1], "a newer one does");
        user_delete(uid);
    }
}

Test(cache_redis, of_equal_versions_the_one_pulled_later_stays) {
    open_redis();
    wl_asset_t asset = asset_of(5, "cash", 7, 1000);
    cr_assert_eq(fill(5, &asset, 1, 1), WL_OK);
    asset.pulled_at = 999;
    cr_assert_eq(put(5, &asset, 1, 2), WL_OK);
    cr_expect_eq(get(5).assets[0].pulled_at, 1000);
    asset.pulled_at = 1001;
    cr_assert_eq(put(5, &asset, 1, 3), WL_OK);
    cr_expect_eq(get(5).assets[0].pulled_at, 1001);
    user_delete(5);
}

Test(cache_redis, a_fill_replaces_all_but_what_is_newer_already) {
    open_redis();
    wl_asset_t assets[] = {asset_of(5, "cash", 7, 1), asset_of(5, "coin", 9, 1)};
    cr_assert_eq(fill(5, assets, 2, 1), WL_OK);
    wl_asset_t again[] = {asset_of(5, "coin", 8, 1), asset_of(5, "link", 1, 1)};
    cr_assert_eq(fill(5, again, 2, 1), WL_OK);
    copy_t copy = get(5);
    cr_assert_eq(copy.count, 2);
    cr_expect_null(find(&copy, "cash"), "it has gone from the database");
    cr_expect_eq(find(&copy, "coin")->version, 9);
    cr_expect_eq(find(&copy, "link")->version, 1);
    user_delete(5);
}

Test(cache_redis, a_put_that_the_fill_has_seen_brings_nothing_back) {
    open_redis();
    wl_asset_t old = asset_of(5, "cash", 7, 1);
    cr_assert_eq(fill(5, NULL, 0, 10), WL_OK); /* cash was deleted by commit 10 */
    cr_assert_eq(put(5, &old, 1, 9), WL_OK);
    cr_expect_eq(get(5).count, 0);
    cr_assert_eq(put(5, &old, 1, 10), WL_OK);
    cr_expect_eq(get(5).count, 0);
    cr_assert_eq(put(5, &old, 1, 12), WL_OK);
    wl_asset_t other = asset_of(5, "coin", 1, 1);
    cr_assert_eq(put(5, &other, 1, 11), WL_OK);
    cr_expect_eq(get(5).count, 2, "what it has not seen counts in any order");
    user_delete(5);
}

Test(cache_redis, forgetting_takes_the_user_out_and_leaves_the_newest_fence) {
    open_redis();
    wl_asset_t asset = asset_of(5, "cash", 7, 1);
    cr_assert_eq(fill(5, &asset, 1, 30), WL_OK);
    cr_assert_eq(forget(5, 20), WL_OK);
    cr_expect_eq(get(5).err, WL_ERR_NOT_FOUND);
    cr_expect_eq(fill(5, &asset, 1, 29), WL_ERR_CONFLICT);
    cr_assert_eq(forget(5, 40), WL_OK);
    cr_expect_eq(fill(5, &asset, 1, 39), WL_ERR_CONFLICT);
    long long life = on_user("PTTL", 5, "").integer;
    cr_expect(life > 50000 && life <= 60000, "%lld", life);
    cr_expect_eq(fill(5, &asset, 1, 40), WL_OK);
    user_delete(5);
}

Test(cache_redis, a_user_of_too_many_assets_is_not_kept) {
    open_redis();
    static wl_asset_t assets[WL_USER_ASSETS_MAX + 1];
    for (uint32_t i = 0; i < WL_COUNT_OF(assets); i++) {
        assets[i] = asset_of(5, "cash", 7, 1);
        (void)snprintf(assets[i].bucket, sizeof assets[i].bucket, "b%u", i);
    }
    outcome_t outcome = {0};
    wl_cache_redis_fill(cache, 5, assets, WL_COUNT_OF(assets), 1, on_done, &outcome);
    cr_expect_eq(outcome_of(&outcome), WL_ERR_TOO_BIG);
    cr_expect_eq(on_user("EXISTS", 5, "").integer, 0);
    cr_expect_eq(fill(5, assets, WL_USER_ASSETS_MAX, 1), WL_OK);
    cr_expect_eq(on_user("HLEN", 5, "").integer, WL_USER_ASSETS_MAX + 4);
    user_delete(5);
}

/* ---- bytes of others ------------------------------------------------------------------------- */

static void expect_damaged(uint64_t uid, const char *what) {
    cr_expect_eq(get(uid).err, WL_ERR_DAMAGED, "%s", what);
    cr_expect_eq(on_user("EXISTS", uid, "").integer, 0, "%s: the key is deleted", what);
    cr_expect_eq(get(uid).err, WL_ERR_NOT_FOUND, "%s", what);
}

Test(cache_redis, what_no_walletd_wrote_is_damaged_and_deleted) {
    open_redis();
    cr_assert_eq(on_user("SET", 5, "text").err, WL_OK);
    expect_damaged(5, "a text");
    cr_assert_eq(on_user("RPUSH", 5, "a b").err, WL_OK);
    expect_damaged(5, "a list");
    static const char *const wrong[] = {
        "cash/ x", "cash 1",  "cash/ 00000000000000000007", "#t 12x",
        "#t -5",   "#t \xff", "#t 1234567890123456789",
    };
    for (size_t i = 0; i < WL_COUNT_OF(wrong); i++) {
        wl_asset_t asset = asset_of(5, "coin", 7, 1);
        cr_assert_eq(fill(5, &asset, 1, 1), WL_OK);
        cr_assert_eq(on_user("HSET", 5, wrong[i]).err, WL_OK);
        expect_damaged(5, wrong[i]);
    }
    cr_assert_eq(fill(5, NULL, 0, 1), WL_OK);
    cr_assert_eq(on_user("HDEL", 5, "#t").integer, 1);
    expect_damaged(5, "nobody knows when it was filled");
}

Test(cache_redis, a_hash_of_too_many_fields_is_damaged) {
    open_redis();
    cr_assert_eq(fill(5, NULL, 0, 1), WL_OK);
    for (int i = 0; i < BIG_COUNT; i++) {
        char field[32];
        (void)snprintf(field, sizeof field, "cash/b%d x", i);
        cr_assert_eq(on_user("HSET", 5, field).err, WL_OK);
    }
    expect_damaged(5, "many fields");
}

Test(cache_redis, a_wrong_type_under_a_key_is_forgotten_like_a_user) {
    open_redis();
    wl_asset_t asset = asset_of(5, "cash", 7, 1);
    cr_assert_eq(on_user("SET", 5, "text").err, WL_OK);
    cr_expect_neq(put(5, &asset, 1, 20), WL_OK, "it cannot take effect");
    cr_expect_eq(forget(5, 20), WL_OK, "so the key goes");
    cr_expect_eq(fill(5, &asset, 1, 19), WL_ERR_CONFLICT, "and the fence stands");
    cr_expect_eq(fill(5, &asset, 1, 20), WL_OK);
    cr_expect_eq(get(5).count, 1);
    user_delete(5);
}

/* ---- markers --------------------------------------------------------------------------------- */

typedef struct {
    uint32_t called;
    wl_err_t err;
    int64_t now;
    int64_t since[3];
} looked_t;

static void on_looked(wl_err_t err, int64_t now, const int64_t *since, uint32_t partitions,
                      void *ctx) {
    looked_t *ret = ctx;
    cr_assert_eq(partitions, 3);
    ret->called++;
    ret->err = err;
    ret->now = now;
    memcpy(ret->since, since, sizeof ret->since);
}

static looked_t look(uint32_t tag) {
    looked_t looked = {0};
    wl_cache_redis_look(cache, tag, 3, on_looked, &looked);
    served();
    cr_assert(looked.called == 1 && looked.err == WL_OK);
    return looked;
}

static void renew(uint32_t tag, uint32_t partition, bool afresh) {
    outcome_t outcome = {0};
    wl_cache_redis_renew(cache, tag, partition, afresh, on_done, &outcome);
    cr_assert_eq(outcome_of(&outcome), WL_OK);
}

static void marker_words(const char *command, uint32_t tag, uint32_t partition, const char *more,
                         answer_t *ret) {
    char key[96];
    char words[200];
    (void)snprintf(key, sizeof key, "%ssound:{%u}:%u", prefix, tag, partition);
    (void)snprintf(words, sizeof words, "%s %s%s", command, key, more);
    *ret = ask(redis, key, words);
}

static void markers_last(uint32_t tag) {
    answer_t answer;
    looked_t before = look(tag);
    cr_expect(before.since[0] == 0 && before.since[1] == 0 && before.since[2] == 0);
    cr_expect_gt(before.now, 1600000000000);
    renew(tag, 1, false);
    looked_t begun = look(tag);
    cr_expect(begun.since[0] == 0 && begun.since[2] == 0, "each partition has its own");
    cr_expect(begun.since[1] >= before.now && begun.since[1] <= begun.now, "it begins now");
    marker_words("PTTL", tag, 1, "", &answer);
    cr_expect(answer.integer > 4000 && answer.integer <= WL_CACHE_MARKER_MS);
    marker_words("PEXPIRE", tag, 1, " 800", &answer);
    wait_ms(20);
    renew(tag, 1, false);
    cr_expect_eq(look(tag).since[1], begun.since[1], "it goes on");
    marker_words("PTTL", tag, 1, "", &answer);
    cr_expect_gt(answer.integer, 4000, "for another while");
    renew(tag, 1, true);
    cr_expect_gt(look(tag).since[1], begun.since[1], "it begins anew");
    marker_words("PEXPIRE", tag, 1, " 1", &answer);
    wait_ms(20);
    looked_t gone = look(tag);
    cr_expect_eq(gone.since[1], 0, "it vanishes");
    renew(tag, 1, false);
    cr_expect_geq(look(tag).since[1], gone.now, "and does not come back as it was");
}

Test(cache_redis, a_marker_goes_on_begins_anew_and_vanishes) {
    open_redis();
    markers_last(0);
}

Test(cache_redis, each_server_of_a_cluster_has_markers_of_its_own) {
    open_cluster();
    bool seen[128] = {false};
    uint32_t servers = 0;
    for (uint32_t tag = 0; tag < 4096; tag++) {
        uint32_t at = wl_redis_server(redis, wl_cache_redis_tag_slot(tag));
        if (at < WL_COUNT_OF(seen) && !seen[at]) {
            seen[at] = true;
            servers++;
            markers_last(tag);
        }
    }
    cr_expect_eq(servers, 3);
}

Test(cache_redis, a_marker_that_no_walletd_wrote_is_none) {
    answer_t answer;
    open_redis();
    looked_t looked = {0};
    marker_words("SET", 0, 0, " tomorrow", &answer);
    wl_cache_redis_look(cache, 0, 3, on_looked, &looked);
    served();
    cr_expect_eq(looked.err, WL_ERR_DAMAGED);
    marker_words("DEL", 0, 0, "", &answer);
}

/* ---- away ------------------------------------------------------------------------------------ */

Test(cache_redis, everything_is_answered_once_when_the_server_stops_or_is_gone) {
    open_own(200);
    wl_asset_t asset = asset_of(5, "cash", 7, 1);
    cr_assert_eq(fill(5, &asset, 1, 1), WL_OK);
    for (int gone = 0; gone < 2; gone++) {
        if (gone == 0) {
            (void)kill(server.process, SIGSTOP);
        } else {
            server_kill(&server);
        }
        int64_t begun = wl_mono_now().ms;
        cr_expect_neq(put(5, &asset, 1, 2), WL_OK);
        cr_expect_neq(fill(5, &asset, 1, 2), WL_OK);
        cr_expect_neq(forget(5, 2), WL_OK);
        wl_err_t err = get(5).err;
        cr_expect(err != WL_OK && err != WL_ERR_NOT_FOUND && err != WL_ERR_DAMAGED);
        cr_expect_lt(wl_mono_now().ms - begun, 3000);
    }
    outcome_t outcome = {0};
    wl_cache_redis_put(cache, 5, &asset, 1, 3, on_done, &outcome);
    wl_redis_destroy(&redis);
    cr_expect_eq(outcome.called, 1, "also at the end");
}

/* ---- against a model ------------------------------------------------------------------------- */

enum { USERS = 12, KEYS = 4, ROUNDS = 400, BATCH = 24, COMMITS = ROUNDS * BATCH };

typedef struct {
    uint64_t version; /* 0 = none */
    int64_t pulled_at;
    bool gone;
} record_t;

/* What a naive cache that is never late would hold. */
typedef struct {
    bool whole;
    bool fenced;
    uint64_t fence;
    record_t records[KEYS];
    uint64_t filled; /* commit that the fill has seen */
} user_t;

typedef struct {
    uint32_t user;
    uint32_t changed; /* bit per key */
    record_t records[KEYS];
} commit_t;

typedef struct {
    bool is_get;
    bool called;
    uint64_t uid;
    wl_err_t expected;
    user_t user;        /* as it must be seen */
    record_t now[KEYS]; /* the same in the database: every commit was put at once */
} step_t;

typedef struct {
    uint64_t random;
    uint64_t uids[USERS];
    record_t now[USERS][KEYS]; /* the database */
    user_t users[USERS];
    commit_t *commits;
    uint32_t committed;
    struct {
        uint64_t seq;
        record_t records[KEYS];
    } reads[USERS][3]; /* of the database, some time ago */
    uint32_t hits, conflicts, misses;
} model_t;

static model_t model;

static uint32_t draw(uint32_t bound) {
    model.random = wl_mix64(model.random + 0x9e3779b97f4a7c15u);
    return (uint32_t)((model.random >> 33) % bound);
}

static bool newer(const record_t *a, const record_t *b) {
    return a->version > b->version || (a->version == b->version && a->pulled_at > b->pulled_at);
}

static void record_asset(uint32_t user, uint32_t key, const record_t *record, wl_asset_t *ret) {
    char line[16];
    (void)snprintf(line, sizeof line, "line%u", key);
    *ret = asset_of(model.uids[user], line, record->version, record->pulled_at);
    ret->state = record->gone ? WL_STATE_GONE : WL_STATE_AVAILABLE;
}

/* Commit numbers lie around 2^53 and 10^n, where digits are lost or grow. */
static uint64_t seq_of(uint32_t commit) {
    return (1ull << 53) - COMMITS / 8 + commit + 1;
}

/* What a read of the database that begins now has seen. */
static uint64_t seq_now(void) {
    return seq_of(0) - 1 + model.committed;
}

static const commit_t *commit_draw(uint32_t user) {
    commit_t *commit = &model.commits[model.committed++];
    commit->user = user;
    commit->changed = 1 + draw((1u << KEYS) - 1);
    for (uint32_t key = 0; key < KEYS; key++) {
        record_t *record = &model.now[user][key];
        if ((commit->changed & (1u << key)) != 0) {
            record->pulled_at += 1 + draw(2000);
            record->version += record->version == 0 ? (1ull << (user * 5)) + 5 : draw(3);
            record->gone = draw(5) == 0;
        }
    }
    memcpy(commit->records, model.now[user], sizeof commit->records);
    return commit;
}

static void on_step(wl_err_t err, void *ctx) {
    step_t *step = ctx;
    cr_assert_not(step->called);
    step->called = true;
    cr_assert_eq(err, step->expected, "%s instead of %s", wl_err_name(err),
                 wl_err_name(step->expected));
}

static void on_step_copy(wl_err_t err, const wl_cache_copy_t *copy, void *ctx) {
    step_t *step = ctx;
    on_step(err, ctx);
    uint32_t expected = 0;
    for (uint32_t key = 0; err == WL_OK && key < KEYS; key++) {
        const record_t *record = &step->user.records[key];
        const record_t *now = &step->now[key];
        char line[16];
        const wl_asset_t *found = NULL;
        (void)snprintf(line, sizeof line, "line%u", key);
        for (uint32_t i = 0; i < copy->count; i++) {
            found = strcmp(copy->assets[i].line, line) == 0 ? &copy->assets[i] : found;
        }
        cr_assert_eq(found != NULL, record->version > 0);
        cr_assert(found == NULL || (found->uid == step->uid && found->version == record->version &&
                                    found->pulled_at == record->pulled_at &&
                                    found->amount == (int64_t)(record->version % 1000000) &&
                                    (found->state == WL_STATE_GONE) == record->gone));
        cr_assert(found == NULL ? now->version == 0 || now->gone : found->version == now->version,
                  "not what was put and acknowledged");
        expected += record->version > 0;
    }
    cr_assert(err != WL_OK || copy->count == expected);
    model.hits += err == WL_OK;
    model.misses += err == WL_ERR_NOT_FOUND;
}

static void step_put(uint32_t user, const commit_t *commit, step_t *step) {
    wl_asset_t assets[KEYS];
    uint32_t count = 0;
    user_t *state = &model.users[user];
    uint64_t seq = seq_of((uint32_t)(commit - model.commits));
    for (uint32_t key = 0; key < KEYS; key++) {
        const record_t *record = &commit->records[key];
        if ((commit->changed & (1u << key)) == 0) {
            continue;
        }
        record_asset(user, key, record, &assets[count++]);
        if (state->whole && seq > state->filled && newer(record, &state->records[key])) {
            state->records[key] = *record;
        }
    }
    state->fence = state->fenced && state->fence > seq ? state->fence : seq;
    state->fenced = true;
    wl_cache_redis_put(cache, model.uids[user], assets, count, seq, on_step, step);
}

static void step_fill(uint32_t user, step_t *step) {
    wl_asset_t assets[KEYS];
    uint32_t count = 0;
    user_t *state = &model.users[user];
    uint32_t at = draw(3);
    uint64_t seq = model.reads[user][at].seq;
    const record_t *records = model.reads[user][at].records;
    bool refused = state->fenced && state->fence > seq;
    for (uint32_t key = 0; key < KEYS; key++) {
        bool there = records[key].version > 0 && !records[key].gone;
        if (there) {
            record_asset(user, key, &records[key], &assets[count++]);
        }
        if (!refused && (!there || !state->whole || !newer(&state->records[key], &records[key]))) {
            state->records[key] = there ? records[key] : (record_t){0};
        }
    }
    if (!refused) {
        state->whole = true;
        state->fenced = true;
        state->fence = seq;
        state->filled = seq;
    }
    model.conflicts += refused;
    step->expected = refused ? WL_ERR_CONFLICT : WL_OK;
    wl_cache_redis_fill(cache, model.uids[user], assets, count, seq, on_step, step);
}

static void step_forget(uint32_t user, step_t *step) {
    user_t *state = &model.users[user];
    uint64_t seq = seq_now() - draw(5);
    state->fence = state->fenced && state->fence > seq ? state->fence : seq;
    state->fenced = true;
    state->whole = false;
    memset(state->records, 0, sizeof state->records);
    wl_cache_redis_forget(cache, model.uids[user], seq, on_step, step);
}

static void step_take(step_t *step) {
    uint32_t user = draw(USERS);
    uint32_t what = draw(20);
    *step = (step_t){.uid = model.uids[user], .expected = WL_OK};
    if (what < 5) {
        step_put(user, commit_draw(user), step);
        return;
    }
    if (what < 7 && model.committed > 0) { /* one that was here before, again */
        uint32_t back = draw(model.committed < 50 ? model.committed : 50);
        const commit_t *commit = &model.commits[model.committed - 1 - back];
        step_put(commit->user, commit, step);
        return;
    }
    if (what < 9) { /* a read of the database begins */
        uint32_t at = draw(3);
        model.reads[user][at].seq = seq_now();
        memcpy(model.reads[user][at].records, model.now[user], sizeof model.now[user]);
        step->called = true;
    } else if (what < 14) {
        step_fill(user, step);
    } else if (what < 15) {
        step_forget(user, step);
    } else {
        step->user = model.users[user];
        memcpy(step->now, model.now[user], sizeof step->now);
        step->expected = step->user.whole ? WL_OK : WL_ERR_NOT_FOUND;
        wl_cache_redis_get(cache, model.uids[user], on_step_copy, step);
    }
}

/* Emptied behind our back: what was read before may be filled late, so those reads end too. */
static void model_empty(bool own) {
    if (own) {
        cr_assert_eq(ask(redis, NULL, "FLUSHALL").err, WL_OK);
    }
    for (uint32_t user = 0; user < USERS; user++) {
        if (!own) {
            user_delete(model.uids[user]);
        }
        model.users[user] = (user_t){.whole = false};
        for (uint32_t at = 0; at < 3; at++) {
            model.reads[user][at].seq = seq_now();
            memcpy(model.reads[user][at].records, model.now[user], sizeof model.now[user]);
        }
    }
}

/* Batches are pipelined; scripts must be known to all servers first, or they run a little later. */
static void model_run(uint64_t random, bool own) {
    static step_t steps[BATCH];
    memset(&model, 0, sizeof model);
    model.random = random;
    model.commits = wl_alloc_zero(COMMITS, sizeof *model.commits);
    for (uint32_t user = 0; user < USERS; user++) {
        model.uids[user] = random * 1000 + user;
        cr_assert_eq(put(model.uids[user], NULL, 0, 1), WL_OK);
        cr_assert_eq(fill(model.uids[user], NULL, 0, 1), WL_OK);
        cr_assert_eq(forget(model.uids[user], 1), WL_OK);
    }
    model_empty(own);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < BATCH; i++) {
            step_take(&steps[i]);
        }
        served();
        for (uint32_t i = 0; i < BATCH; i++) {
            cr_assert(steps[i].called);
        }
        if (draw(20) == 0) {
            model_empty(own);
        }
    }
    cr_expect(model.hits > 500 && model.misses > 100 && model.conflicts > 100, "%u %u %u",
              model.hits, model.misses, model.conflicts);
    model_empty(own);
    wl_free(model.commits);
}

Test(cache_redis, agrees_with_a_model_under_random_puts_fills_and_emptying) {
    open_own(5000);
    for (uint64_t random = 1; random <= 4; random++) {
        model_run(random, true);
    }
}

Test(cache_redis, agrees_with_a_model_in_a_cluster) {
    open_cluster();
    model_run(11, false);
}
