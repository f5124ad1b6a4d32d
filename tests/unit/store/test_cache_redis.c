#include "store/cache_redis.h"

#include "base/slot.h"
#include "cache_redis_world.h"

enum { UID = 42 };

static handle_t handle;
static server_t server;

static void world_start(void) {
    folder_make();
    server = (server_t){0};
    (void)stores_name("cr_", test_prefix, sizeof test_prefix);
    handle = handle_open(stores_redis(), false);
}

static void cluster_start(void) {
    folder_make();
    server = (server_t){0};
    (void)stores_name("cr_", test_prefix, sizeof test_prefix);
    handle = handle_open(stores_redis_cluster(), true);
}

static void world_end(void) {
    (void)ask_key(&handle, UID, "DEL @");
    handle_close(&handle);
    server_kill(&server);
    folder_remove();
}

TestSuite(cache_redis, .init = world_start, .fini = world_end, .timeout = 60);
TestSuite(cache_redis_cluster, .init = cluster_start, .fini = world_end, .timeout = 60);

/* The same test on one server and on a cluster. */
#define BOTH(name)                    \
    static void name(void);           \
    Test(cache_redis, name) {         \
        name();                       \
    }                                 \
    Test(cache_redis_cluster, name) { \
        name();                       \
    }                                 \
    static void name(void)

static wl_asset_t cash(uint64_t version, int64_t amount) {
    return asset_of(UID, "cash", version, amount);
}

static wl_asset_t coin(uint64_t version, int64_t amount) {
    return asset_of(UID, "coin", version, amount);
}

static int64_t amount_of(const char *line) {
    copy_answer_t copy = get(&handle, UID);
    const wl_asset_t *asset = copy_find(&copy, line);
    cr_assert_eq(copy.err, WL_OK);
    cr_assert_not_null(asset);
    return asset->amount;
}

static void expect_only_a_fence(const char *commit) {
    cr_expect_eq(get(&handle, UID).err, WL_ERR_NOT_FOUND);
    cr_expect_eq(ask_key(&handle, UID, "HLEN @").integer, 1);
    cr_expect_str_eq(ask_key(&handle, UID, "HGET @ #s").text, commit);
    long long life = ask_key(&handle, UID, "PTTL @").integer;
    cr_expect(life > 55000 && life <= 60000, "%lld", life);
}

/* ---- what a put, a fill and a forget leave --------------------------------------------------- */

BOTH(a_put_of_an_unknown_user_leaves_only_a_fence) {
    wl_asset_t asset = cash(7, 10);
    cr_expect_eq(get(&handle, UID).err, WL_ERR_NOT_FOUND);
    cr_expect_eq(put(&handle, UID, &asset, 1, 9), WL_OK);
    expect_only_a_fence("00000000000000000009");
    cr_expect_eq(put(&handle, UID, &asset, 1, 8), WL_OK);
    expect_only_a_fence("00000000000000000009");
    cr_expect_eq(put(&handle, UID, &asset, 1, UINT64_MAX), WL_OK);
    expect_only_a_fence("18446744073709551615");
}

BOTH(a_fill_that_was_read_before_a_put_is_refused) {
    wl_asset_t asset = cash(7, 10);
    cr_expect_eq(put(&handle, UID, &asset, 1, 9), WL_OK);
    asset = cash(6, 5);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 8), WL_ERR_CONFLICT);
    expect_only_a_fence("00000000000000000009");
    asset = cash(7, 10);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 9), WL_OK);
    cr_expect_eq(amount_of("cash"), 10);
    asset = cash(8, 20);
    cr_expect_eq(put(&handle, UID, &asset, 1, 10), WL_OK);
    asset = cash(7, 10);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 9), WL_ERR_CONFLICT, "a whole user has a fence too");
    cr_expect_eq(amount_of("cash"), 20);
}

BOTH(a_fill_that_comes_late_changes_nothing) {
    wl_asset_t asset = cash(7, 10);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 9), WL_OK);
    int64_t now = get(&handle, UID).filled_at;
    asset = cash(8, 20);
    done_answer_t late = {0};
    wl_cache_redis_fill(handle.cache, UID, &asset, 1, 10, now - 1, on_done_answer, &late);
    cr_expect_eq(handle_wait(&handle, &late), WL_ERR_CONFLICT);
    cr_expect_eq(amount_of("cash"), 10);
    cr_expect_eq(ask_key(&handle, UID, "DEL @").integer, 1);
    late = (done_answer_t){0};
    wl_cache_redis_fill(handle.cache, UID, &asset, 1, 10, now - 1, on_done_answer, &late);
    cr_expect_eq(handle_wait(&handle, &late), WL_ERR_CONFLICT);
    cr_expect_eq(ask_key(&handle, UID, "EXISTS @").integer, 0);
    done_answer_t soon = {0};
    wl_cache_redis_fill(handle.cache, UID, &asset, 1, 10, now + 60000, on_done_answer, &soon);
    cr_expect_eq(handle_wait(&handle, &soon), WL_OK);
    cr_expect_eq(amount_of("cash"), 20);
}

BOTH(a_put_shows_in_the_next_get) {
    uint8_t extra[3] = {0x81, 0xa1, 'x'};
    wl_asset_t assets[2] = {cash(7, 10), coin(7, 3)};
    assets[0].extra = extra;
    assets[0].extra_bytes = sizeof extra;
    cr_expect_eq(fill(&handle, UID, assets, 2, 9), WL_OK);
    copy_answer_t copy = get(&handle, UID);
    cr_expect(copy.err == WL_OK && copy.count == 2);
    int64_t wall = wl_wall_now().ms;
    cr_expect(copy.filled_at > wall - 20000 && copy.filled_at <= wall + 1000);
    const wl_asset_t *found = copy_find(&copy, "cash");
    cr_assert_not_null(found);
    cr_expect(found->extra_bytes == 3 && copy.extra[found - copy.assets] == 0x81);
    cr_expect(found->uid == UID && found->version == 7 && strcmp(found->unit, "CNY") == 0);
    assets[0] = cash(8, 20);
    cr_expect_eq(put(&handle, UID, assets, 1, 10), WL_OK);
    cr_expect_eq(amount_of("cash"), 20);
    cr_expect_eq(amount_of("coin"), 3);
    wl_asset_t fresh = asset_of(UID, "gift", 1, 4);
    cr_expect_eq(put(&handle, UID, &fresh, 1, 11), WL_OK);
    cr_expect_eq(amount_of("gift"), 4);
    cr_expect_eq(get(&handle, UID).filled_at, copy.filled_at, "a put does not count as a fill");
}

BOTH(an_older_put_changes_nothing) {
    wl_asset_t assets[2] = {cash(7, 10), coin(7, 3)};
    cr_expect_eq(fill(&handle, UID, assets, 2, 9), WL_OK);
    wl_asset_t older = cash(6, 5);
    older.pulled_at = 9000;
    cr_expect_eq(put(&handle, UID, &older, 1, 10), WL_OK);
    cr_expect_eq(amount_of("cash"), 10);
    cr_expect_str_eq(ask_key(&handle, UID, "HGET @ #s").text, "00000000000000000010");
    older = cash((1u << 31) + 7, 5); /* "7" is less than "2147483655" only as a number */
    cr_expect_eq(put(&handle, UID, &older, 1, 11), WL_OK);
    cr_expect_eq(amount_of("cash"), 5);
    older = cash(8, 6);
    cr_expect_eq(put(&handle, UID, &older, 1, 12), WL_OK);
    cr_expect_eq(amount_of("cash"), 5);
}

BOTH(versions_above_two_to_the_53rd_are_told_apart) {
    wl_asset_t asset = cash(((uint64_t)1 << 53) + 1, 10);
    cr_expect_eq(fill(&handle, UID, &asset, 1, ((uint64_t)1 << 53) + 1), WL_OK);
    asset = cash((uint64_t)1 << 53, 5);
    cr_expect_eq(put(&handle, UID, &asset, 1, (uint64_t)1 << 53), WL_OK);
    cr_expect_eq(amount_of("cash"), 10);
    cr_expect_eq(fill(&handle, UID, &asset, 1, (uint64_t)1 << 53), WL_ERR_CONFLICT);
    asset = cash(((uint64_t)1 << 53) + 2, 20);
    cr_expect_eq(put(&handle, UID, &asset, 1, ((uint64_t)1 << 53) + 2), WL_OK);
    cr_expect_eq(amount_of("cash"), 20);
    asset = cash(WL_VERSION_MAX, 30);
    cr_expect_eq(put(&handle, UID, &asset, 1, UINT64_MAX), WL_OK);
    cr_expect_eq(amount_of("cash"), 30);
}

BOTH(an_equal_version_that_was_pulled_later_replaces) {
    wl_asset_t asset = cash(7, 10);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 9), WL_OK);
    asset.pulled_at = 1001;
    cr_expect_eq(put(&handle, UID, &asset, 1, 10), WL_OK);
    copy_answer_t copy = get(&handle, UID);
    cr_expect(copy.count == 1 && copy.assets[0].pulled_at == 1001);
    asset.pulled_at = 1000;
    cr_expect_eq(put(&handle, UID, &asset, 1, 11), WL_OK);
    copy = get(&handle, UID);
    cr_expect(copy.count == 1 && copy.assets[0].pulled_at == 1001);
}

BOTH(tombstones_are_kept_and_win_over_older_puts) {
    wl_asset_t asset = cash(7, 10);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 9), WL_OK);
    asset = cash(9, 0);
    asset.state = WL_STATE_GONE;
    cr_expect_eq(put(&handle, UID, &asset, 1, 10), WL_OK);
    asset = cash(8, 5);
    cr_expect_eq(put(&handle, UID, &asset, 1, 11), WL_OK);
    copy_answer_t copy = get(&handle, UID);
    cr_expect(copy.count == 1 && copy.assets[0].state == WL_STATE_GONE);
    cr_expect_eq(copy.assets[0].version, 9u);
}

BOTH(a_put_that_the_fill_has_seen_does_not_bring_back_what_was_deleted_since) {
    wl_asset_t asset = coin(3, 3);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 11), WL_OK); /* "cash" was deleted at commit 11 */
    asset = cash(7, 10);
    cr_expect_eq(put(&handle, UID, &asset, 1, 10), WL_OK); /* and written at commit 10 */
    copy_answer_t copy = get(&handle, UID);
    cr_expect(copy.err == WL_OK && copy.count == 1 && copy_find(&copy, "cash") == NULL);
    asset = cash(9, 20);
    cr_expect_eq(put(&handle, UID, &asset, 1, 13), WL_OK);
    asset = coin(4, 4);
    cr_expect_eq(put(&handle, UID, &asset, 1, 12), WL_OK); /* puts may change places */
    cr_expect_eq(amount_of("cash"), 20);
    cr_expect_eq(amount_of("coin"), 4);
}

BOTH(a_fill_drops_what_the_database_does_not_have_and_keeps_what_is_newer) {
    wl_asset_t assets[2] = {cash(7, 10), coin(7, 3)};
    cr_expect_eq(fill(&handle, UID, assets, 2, 9), WL_OK);
    cr_expect_eq(fill(&handle, UID, assets, 1, 10), WL_OK);
    copy_answer_t copy = get(&handle, UID);
    cr_expect(copy.count == 1 && copy_find(&copy, "coin") == NULL);
    assets[0] = cash(8, 20);
    cr_expect_eq(put(&handle, UID, assets, 1, 10), WL_OK, "a put of the same commit");
    assets[0] = cash(8, 20);
    assets[0].pulled_at = 5000;
    cr_expect_eq(fill(&handle, UID, assets, 1, 11), WL_OK);
    assets[0] = cash(8, 15);
    cr_expect_eq(fill(&handle, UID, assets, 1, 11), WL_OK);
    cr_expect_eq(amount_of("cash"), 20);
}

BOTH(an_empty_user_is_a_copy) {
    cr_expect_eq(fill(&handle, UID, NULL, 0, 9), WL_OK);
    copy_answer_t copy = get(&handle, UID);
    cr_expect(copy.err == WL_OK && copy.count == 0 && copy.filled_at > 0);
}

BOTH(forgetting_leaves_the_fence) {
    wl_asset_t asset = cash(7, 10);
    cr_expect_eq(forget(&handle, UID, 5), WL_OK);
    expect_only_a_fence("00000000000000000005");
    cr_expect_eq(fill(&handle, UID, &asset, 1, 9), WL_OK);
    cr_expect_eq(forget(&handle, UID, 8), WL_OK);
    expect_only_a_fence("00000000000000000009");
    cr_expect_eq(fill(&handle, UID, &asset, 1, 8), WL_ERR_CONFLICT);
    cr_expect_eq(forget(&handle, UID, 12), WL_OK);
    expect_only_a_fence("00000000000000000012");
    cr_expect_eq(fill(&handle, UID, &asset, 1, 11), WL_ERR_CONFLICT);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 12), WL_OK);
    cr_expect_eq(amount_of("cash"), 10);
}

BOTH(a_user_lives_for_the_ttl_less_up_to_a_tenth) {
    long long least = TTL_S * 1000;
    long long most = 0;
    wl_asset_t asset = cash(7, 10);
    for (uint64_t i = 0; i < 200; i++) {
        cr_assert_eq(fill(&handle, UID, &asset, 1, 9 + i), WL_OK);
        cr_assert_eq(put(&handle, UID, &asset, 1, 9 + i), WL_OK, "which leaves the life alone");
        long long life = ask_key(&handle, UID, "PTTL @").integer;
        cr_assert(life > TTL_S * 900 - 2000 && life <= TTL_S * 1000, "%lld", life);
        least = life < least ? life : least;
        most = life > most ? life : most;
    }
    cr_expect(least < TTL_S * 930 && most > TTL_S * 970, "they do not vanish together");
}

BOTH(the_largest_users_pass_and_larger_ones_are_refused) {
    static wl_asset_t assets[WL_USER_ASSETS_MAX + 1];
    for (unsigned i = 0; i <= WL_USER_ASSETS_MAX; i++) {
        char line[16];
        (void)snprintf(line, sizeof line, "line%u", i);
        assets[i] = asset_of(UID, line, 7, 10);
    }
    done_answer_t answer = {0};
    wl_cache_redis_fill(handle.cache, UID, assets, WL_USER_ASSETS_MAX + 1, 9, INT64_MAX,
                        on_done_answer, &answer);
    cr_expect(answer.called == 1 && answer.err == WL_ERR_TOO_BIG);
    cr_expect_eq(fill(&handle, UID, assets, WL_USER_ASSETS_MAX, 9), WL_OK);
    cr_expect_eq(ask_key(&handle, UID, "HLEN @").integer > WL_USER_ASSETS_MAX, 1);
    cr_expect_eq(put(&handle, UID, assets, WL_USER_ASSETS_MAX, 10), WL_OK);
    wl_cache_redis_put(handle.cache, UID, assets, WL_USER_ASSETS_MAX, 11, NULL, NULL);
    cr_expect_eq(wl_redis_wait(handle.redis, 20000), WL_OK);
}

/* ---- damage ---------------------------------------------------------------------------------- */

/* A get says so once; then the user is unknown, and may be filled with what is not older. */
static void expect_damage_and_recovery(void) {
    wl_asset_t asset = cash(7, 10);
    cr_expect_eq(get(&handle, UID).err, WL_ERR_DAMAGED);
    cr_expect_eq(get(&handle, UID).err, WL_ERR_NOT_FOUND);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 50), WL_OK);
    cr_expect_eq(amount_of("cash"), 10);
}

BOTH(another_type_under_the_key_is_damage_and_deleted) {
    wl_asset_t asset = cash(7, 10);
    cr_expect_eq(ask_key(&handle, UID, "SET @ text").err, WL_OK);
    cr_expect_eq(put(&handle, UID, &asset, 1, 9), WL_ERR_INTERNAL);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 9), WL_ERR_INTERNAL);
    expect_damage_and_recovery();
    (void)ask_key(&handle, UID, "DEL @");
    cr_expect_eq(ask_key(&handle, UID, "LPUSH @ text").err, WL_OK);
    expect_damage_and_recovery();
}

BOTH(forgetting_takes_out_another_type_too) {
    cr_expect_eq(ask_key(&handle, UID, "SET @ text").err, WL_OK);
    cr_expect_eq(forget(&handle, UID, 9), WL_OK);
    expect_only_a_fence("00000000000000000009");
}

BOTH(damaged_fields_are_noticed_and_deleted) {
    static const char *const damages[] = {"HSET @ cash/ x", "HSET @ cash x",
                                          "HSET @ #t soon", "HSET @ coin/ 00000000000000000001",
                                          "HDEL @ #t",      "HSET @ #t 9999999999999999999999"};
    for (size_t i = 0; i < WL_COUNT_OF(damages); i++) {
        wl_asset_t asset = cash(7, 10);
        cr_assert_eq(fill(&handle, UID, &asset, 1, 9 + i), WL_OK, "%s", damages[i]);
        cr_assert_eq(ask_key(&handle, UID, damages[i]).err, WL_OK);
        cr_expect_eq(get(&handle, UID).err, WL_ERR_DAMAGED, "%s", damages[i]);
        cr_expect_eq(get(&handle, UID).err, WL_ERR_NOT_FOUND, "%s", damages[i]);
    }
    expect_only_a_fence("00000000000000000014");
}

BOTH(a_damaged_user_keeps_its_fence) {
    wl_asset_t asset = cash(7, 10);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 9), WL_OK);
    asset = cash(8, 20);
    cr_expect_eq(put(&handle, UID, &asset, 1, 10), WL_OK);
    cr_expect_eq(ask_key(&handle, UID, "HSET @ cash/ x").err, WL_OK);
    cr_expect_eq(get(&handle, UID).err, WL_ERR_DAMAGED);
    asset = cash(7, 10);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 9), WL_ERR_CONFLICT, "it was read before the put");
}

BOTH(a_hash_of_too_many_fields_is_damage) {
    for (int i = 0; i < 1100; i++) {
        char words[64];
        (void)snprintf(words, sizeof words, "HSET @ x%d/ y", i);
        cr_assert_eq(ask_key(&handle, UID, words).err, WL_OK);
    }
    expect_damage_and_recovery();
}

/* ---- servers that forget --------------------------------------------------------------------- */

Test(cache_redis, goes_on_after_FLUSHALL_and_SCRIPT_FLUSH) {
    server_start(&server, NULL);
    handle_close(&handle);
    handle = handle_open(server.at, false);
    wl_asset_t asset = cash(7, 10);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 9), WL_OK);
    cr_expect_eq(ask(handle.redis, NULL, "SCRIPT FLUSH").err, WL_OK);
    asset = cash(8, 20);
    cr_expect_eq(put(&handle, UID, &asset, 1, 10), WL_OK);
    cr_expect_eq(amount_of("cash"), 20);
    cr_expect_eq(ask(handle.redis, NULL, "FLUSHALL").err, WL_OK);
    cr_expect_eq(get(&handle, UID).err, WL_ERR_NOT_FOUND);
    cr_expect_eq(put(&handle, UID, &asset, 1, 11), WL_OK);
    expect_only_a_fence("00000000000000000011");
    cr_expect_eq(ask(handle.redis, NULL, "SCRIPT FLUSH").err, WL_OK);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 11), WL_OK);
    cr_expect_eq(amount_of("cash"), 20);
}

Test(cache_redis, tells_that_nobody_is_there) {
    handle_close(&handle);
    handle = handle_open("127.0.0.1:1", false);
    wl_asset_t asset = cash(7, 10);
    cr_expect_eq(put(&handle, UID, &asset, 1, 9), WL_ERR_UNAVAILABLE);
    cr_expect_eq(fill(&handle, UID, &asset, 1, 9), WL_ERR_UNAVAILABLE);
    cr_expect_eq(forget(&handle, UID, 9), WL_ERR_UNAVAILABLE);
    cr_expect_eq(get(&handle, UID).err, WL_ERR_UNAVAILABLE);
    cr_expect_eq(wl_cache_redis_link(handle.cache, UID), 0u);
    handle_close(&handle);
    handle = handle_open(stores_redis(), false); /* to clean up */
}

/* ---- markers --------------------------------------------------------------------------------- */

typedef struct {
    uint32_t called;
    wl_err_t err;
    int64_t now;
    int64_t since[16];
} look_answer_t;

static void on_look_answer(wl_err_t err, int64_t now, const int64_t *since, uint32_t partitions,
                           void *ctx) {
    look_answer_t *answer = ctx;
    answer->called++;
    answer->err = err;
    answer->now = now;
    memcpy(answer->since, since, partitions * sizeof *since);
}

static look_answer_t look(uint32_t tag, uint32_t partitions) {
    look_answer_t answer = {.called = 0};
    wl_cache_redis_look(handle.cache, tag, partitions, on_look_answer, &answer);
    cr_assert_eq(wl_redis_wait(handle.redis, 20000), WL_OK);
    cr_assert_eq(answer.called, 1u);
    return answer;
}

static void renew(uint32_t tag, uint32_t partition, bool afresh) {
    done_answer_t answer = {0};
    wl_cache_redis_renew(handle.cache, tag, partition, afresh, INT64_MAX, on_done_answer, &answer);
    cr_assert_eq(handle_wait(&handle, &answer), WL_OK);
}

BOTH(a_marker_goes_on_when_renewed_and_begins_now_when_afresh) {
    look_answer_t none = look(5, 16);
    cr_assert_eq(none.err, WL_OK);
    int64_t wall = wl_wall_now().ms;
    cr_expect(none.now > wall - 20000 && none.now <= wall + 1000);
    for (int i = 0; i < 16; i++) {
        cr_expect_eq(none.since[i], 0);
    }
    renew(5, 1, false);
    look_answer_t first = look(5, 3);
    cr_expect(first.since[0] == 0 && first.since[2] == 0);
    cr_expect(first.since[1] >= none.now && first.since[1] <= first.now);
    wait_ms(20);
    renew(5, 1, false);
    look_answer_t second = look(5, 3);
    cr_expect_eq(second.since[1], first.since[1]);
    renew(5, 1, true);
    look_answer_t third = look(5, 3);
    cr_expect(third.since[1] >= second.now && third.since[1] <= third.now);
    cr_expect_eq(look(6, 3).since[1], 0, "tags have markers of their own");
}

BOTH(a_marker_that_is_not_renewed_vanishes) {
    renew(5, 0, true);
    int64_t begun = wl_mono_now().ms;
    wait_ms(3000);
    renew(5, 1, true);
    cr_expect_gt(look(5, 1).since[0], 0);
    while (look(5, 1).since[0] > 0 && wl_mono_now().ms - begun < 8000) {
        wait_ms(20);
    }
    int64_t lived = wl_mono_now().ms - begun;
    cr_expect(lived >= WL_CACHE_MARKER_MS - 50 && lived < WL_CACHE_MARKER_MS + 1000, "%lld",
              (long long)lived);
    cr_expect_gt(look(5, 2).since[1], 0);
    renew(5, 0, false);
    cr_expect_gt(look(5, 1).since[0], 0, "and begins again");
}

BOTH(a_renewal_that_comes_late_changes_nothing) {
    renew(5, 0, true);
    look_answer_t before = look(5, 2);
    for (uint32_t p = 0; p < 2; p++) {
        done_answer_t answer = {0};
        wl_cache_redis_renew(handle.cache, 5, p, true, before.now - 1, on_done_answer, &answer);
        cr_expect_eq(handle_wait(&handle, &answer), WL_ERR_CONFLICT);
    }
    look_answer_t after = look(5, 2);
    cr_expect(after.since[0] == before.since[0] && after.since[1] == 0);
    done_answer_t answer = {0};
    wl_cache_redis_renew(handle.cache, 5, 1, false, after.now + 5000, on_done_answer, &answer);
    cr_expect_eq(handle_wait(&handle, &answer), WL_OK);
    cr_expect_gt(look(5, 2).since[1], 0);
}

BOTH(a_damaged_marker_is_an_error) {
    char key[64];
    char words[96];
    (void)snprintf(key, sizeof key, "%ssound:{5}:0", test_prefix);
    (void)snprintf(words, sizeof words, "SET %s soon", key);
    cr_assert_eq(ask(handle.redis, key, words).err, WL_OK);
    cr_expect_eq(look(5, 2).err, WL_ERR_DAMAGED);
    renew(5, 0, true);
    cr_expect_eq(look(5, 2).err, WL_OK);
}

Test(cache_redis_cluster, each_server_has_tags_and_serves_what_it_says) {
    bool seen[128] = {false};
    uint32_t servers = 0;
    (void)look(0, 1); /* connects */
    for (uint32_t tag = 0; tag < 200; tag++) {
        uint32_t at = wl_redis_server(handle.redis, wl_cache_redis_tag_slot(tag));
        cr_assert_lt(at, 128u);
        servers += !seen[at];
        seen[at] = true;
        cr_assert_eq(look(tag, 2).err, WL_OK);
    }
    cr_expect_eq(servers, 3u);
    for (uint64_t uid = 0; uid < 200; uid++) {
        cr_assert(seen[wl_cache_redis_server(handle.cache, uid)]);
        cr_assert_neq(wl_cache_redis_link(handle.cache, uid), 0u);
    }
}
