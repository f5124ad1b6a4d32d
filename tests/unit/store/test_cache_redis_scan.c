/* Who is there in Redis, on one server and on every server of a cluster. */
#include "store/cache_redis.h"

#include "cache_redis_world.h"

enum { USERS = 600, SERVERS_MAX = 128, PAGE = 50 };

static handle_t handle;

static void world_start(void) {
    folder_make();
    (void)stores_name("cs_*", test_prefix, sizeof test_prefix); /* a star is no pattern here */
    handle = handle_open(stores_redis(), false);
}

static void cluster_start(void) {
    folder_make();
    (void)stores_name("cs_*", test_prefix, sizeof test_prefix);
    handle = handle_open(stores_redis_cluster(), true);
}

static void world_end(void) {
    handle_close(&handle);
    folder_remove();
}

TestSuite(cache_redis_scan, .init = world_start, .fini = world_end, .timeout = 60);
TestSuite(cache_redis_scan_cluster, .init = cluster_start, .fini = world_end, .timeout = 60);

typedef struct {
    uint32_t called;
    wl_err_t err;
    uint64_t next;
    uint32_t seen[USERS + 1];
} page_t;

static void on_page(wl_err_t err, const uint64_t *uids, uint32_t count, uint64_t next, void *ctx) {
    page_t *page = ctx;
    page->called++;
    page->err = err;
    page->next = next;
    for (uint32_t i = 0; i < count; i++) {
        cr_assert(uids[i] >= 1 && uids[i] <= USERS, "nobody wrote %" PRIu64, uids[i]);
        page->seen[uids[i]]++;
    }
}

/* A tag for each server, as the cache actor finds them. */
static uint32_t tags_find(uint32_t ret_tags[static SERVERS_MAX]) {
    bool known[SERVERS_MAX] = {false};
    uint32_t count = 0;
    for (uint32_t tag = 0; tag < 1000; tag++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%" PRIu32, tag);
        uint32_t server = wl_redis_server(handle.redis, wl_redis_slot(text, strlen(text)));
        if (server < SERVERS_MAX && !known[server]) {
            known[server] = true;
            ret_tags[count++] = tag;
        }
    }
    return count;
}

static void key_ask(const char *word, const char *suffix, const char *more) {
    char key[64];
    char all[160];
    (void)snprintf(key, sizeof key, "%s%s", test_prefix, suffix);
    (void)snprintf(all, sizeof all, "%s %s%s", word, key, more);
    cr_assert_eq(ask(handle.redis, key, all).err, WL_OK);
}

static void everybody_is_told(uint32_t servers_least) {
    static page_t page;
    static const char *const strange[] = {"", "0", "012", "1x", "18446744073709551616", "x"};
    uint32_t tags[SERVERS_MAX];
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        wl_asset_t asset = asset_of(uid, "cash", 7, 10);
        cr_assert_eq(fill(&handle, uid, &asset, 1, 9), WL_OK);
    }
    for (uint32_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        key_ask("SET", strange[i], " 1");
    }
    uint32_t servers = tags_find(tags);
    cr_assert_geq(servers, servers_least);
    for (uint32_t i = 0; i < servers; i++) {
        uint64_t cursor = 0;
        uint32_t pages = 0;
        do {
            page.called = 0;
            wl_cache_redis_scan(handle.cache, tags[i], cursor, PAGE, on_page, &page);
            cr_assert_eq(page.called, 0u, "never from inside the call");
            cr_assert_eq(wl_redis_wait(handle.redis, 20000), WL_OK);
            cr_assert(page.called == 1 && page.err == WL_OK, "%s", wl_err_name(page.err));
            cursor = page.next;
            cr_assert_lt(++pages, 100000u, "the walk has no end");
        } while (cursor != 0);
        cr_expect_gt(pages, 1u);
    }
    for (uint32_t uid = 1; uid <= USERS; uid++) {
        cr_assert_geq(page.seen[uid], 1u, "user %" PRIu32, uid);
        (void)ask_key(&handle, uid, "DEL @");
    }
    for (uint32_t i = 0; i < sizeof strange / sizeof *strange; i++) {
        key_ask("DEL", strange[i], "");
    }
}

Test(cache_redis_scan, everybody_is_told_and_strange_keys_are_not) {
    everybody_is_told(1);
}

Test(cache_redis_scan_cluster, everybody_is_told_server_by_server) {
    everybody_is_told(2);
}
