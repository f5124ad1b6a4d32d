/* The Redis cache against a naive database: puts, fills of some time ago, forgets and gets cross on
 * three connections. Whatever a get brings must be what the database had at one moment or later ones
 * per asset, not before the last put that was answered before the get was sent. */
#include "base/random.h"
#include "base/slot.h"
#include "cache_redis_world.h"

enum { USERS = 3, KEYS = 4, COMMITS = 4000, UNDER_WAY = 24, CLIENTS = 3 };

static const char *const lines[KEYS] = {"cash", "coin", "gift", "card"};

typedef struct {
    uint64_t version; /* 0 = never born */
    int64_t pulled_at;
    bool gone;
} record_t;

typedef struct {
    uint32_t user;
    uint32_t changed;       /* bit per key */
    record_t records[KEYS]; /* of the user, after the commit */
} commit_t;

typedef enum { FREE, PUT, FILL, FORGET, GET } what_t;

/* A call under way. */
typedef struct {
    what_t what;
    uint32_t user;
    uint64_t seq;         /* of the commit that it puts, forgets, or was read at */
    uint64_t acked[KEYS]; /* a get: newest commit of each asset that was acknowledged before */
} call_t;

typedef struct {
    uint64_t random;
    handle_t handles[CLIENTS];
    commit_t commits[COMMITS + 1];
    uint64_t committed;
    uint64_t put_next;           /* the first commit not yet put */
    uint64_t acked[USERS][KEYS]; /* newest commit in effect */
    call_t calls[UNDER_WAY];
    uint32_t hits, misses, conflicts;
} world_t;

static world_t world;

static uint32_t draw(uint32_t bound) {
    world.random = wl_mix64(world.random + 0x9e3779b97f4a7c15u);
    return (uint32_t)((world.random >> 33) % bound);
}

static uint64_t uid_of(uint32_t user) {
    return 1000 + user;
}

/* What a user had after commit `seq`. */
static const record_t *state_at(uint32_t user, uint64_t seq) {
    static const record_t nothing[KEYS];
    for (uint64_t i = seq; i > 0; i--) {
        if (world.commits[i].user == user) {
            return world.commits[i].records;
        }
    }
    return nothing;
}

static void commit(uint32_t user, uint32_t changed) {
    commit_t *commit = &world.commits[world.committed + 1];
    *commit = (commit_t){.user = user, .changed = changed};
    memcpy(commit->records, state_at(user, world.committed), sizeof commit->records);
    for (uint32_t key = 0; key < KEYS; key++) {
        record_t *record = &commit->records[key];
        if ((changed & (1u << key)) == 0) {
            continue;
        }
        if (record->version > 0 && draw(4) == 0) {
            record->pulled_at++; /* pulled again, nothing new */
            continue;
        }
        record->version += 1 + draw(3);
        record->pulled_at = 500 + draw(1000);
        record->gone = key >= 2 && !record->gone && draw(2) == 0; /* two of them always live */
    }
    world.committed++;
}

static uint32_t assets_of(uint32_t user, const record_t *records, uint32_t keys, bool tombstones,
                          wl_asset_t ret[KEYS]) {
    uint32_t count = 0;
    for (uint32_t key = 0; key < KEYS; key++) {
        const record_t *record = &records[key];
        if ((keys & (1u << key)) != 0 && record->version > 0 && (tombstones || !record->gone)) {
            wl_asset_t *asset = &ret[count++];
            *asset = asset_of(uid_of(user), lines[key], record->version, record->pulled_at);
            asset->pulled_at = record->pulled_at;
            asset->state = record->gone ? WL_STATE_GONE : WL_STATE_AVAILABLE;
        }
    }
    return count;
}

/* ---- answers --------------------------------------------------------------------------------- */

static void on_written(wl_err_t err, void *ctx) {
    call_t *call = ctx;
    cr_assert(err == WL_OK || (call->what == FILL && err == WL_ERR_CONFLICT));
    world.conflicts += err == WL_ERR_CONFLICT;
    if (call->what != FILL) {
        const commit_t *commit = &world.commits[call->seq];
        for (uint32_t key = 0; key < KEYS; key++) {
            uint64_t *acked = &world.acked[call->user][key];
            bool newer = (commit->changed & (1u << key)) != 0 && call->seq > *acked;
            *acked = newer ? call->seq : *acked;
        }
    }
    call->what = FREE;
}

/* Was the asset like this after some commit from `seq` on? asset NULL: it was not there. */
static bool was_so(uint32_t user, uint32_t key, const wl_asset_t *asset, uint64_t seq) {
    for (uint64_t at = seq; at <= world.committed; at++) {
        if (at != seq && world.commits[at].user != user) {
            continue;
        }
        const record_t *record = &state_at(user, at)[key];
        bool there = record->version > 0 && !record->gone;
        if (asset == NULL
                ? !there
                : record->version == asset->version && record->pulled_at == asset->pulled_at &&
                      record->gone == (asset->state == WL_STATE_GONE)) {
            return true;
        }
    }
    return false;
}

static void on_got(wl_err_t err, const wl_cache_copy_t *copy, void *ctx) {
    call_t *call = ctx;
    copy_answer_t answer = {.called = 0};
    on_copy_answer(err, copy, &answer);
    cr_assert(err == WL_OK || err == WL_ERR_NOT_FOUND, "%s", wl_err_name(err));
    world.hits += err == WL_OK;
    world.misses += err != WL_OK;
    for (uint32_t key = 0; err == WL_OK && key < KEYS; key++) {
        cr_assert(was_so(call->user, key, copy_find(&answer, lines[key]), call->acked[key]),
                  "%s of user %u is older than commit %llu", lines[key], call->user,
                  (unsigned long long)call->acked[key]);
    }
    call->what = FREE;
}

/* ---- calls ----------------------------------------------------------------------------------- */

static void call_put(call_t *call, wl_cache_redis_t *cache, uint64_t seq) {
    wl_asset_t assets[KEYS];
    const commit_t *commit = &world.commits[seq];
    uint32_t count = assets_of(commit->user, commit->records, commit->changed, true, assets);
    *call = (call_t){.what = draw(8) == 0 ? FORGET : PUT, .user = commit->user, .seq = seq};
    if (call->what == FORGET) { /* its put failed */
        wl_cache_redis_forget(cache, uid_of(commit->user), seq, on_written, call);
    } else {
        wl_cache_redis_put(cache, uid_of(commit->user), assets, count, seq, on_written, call);
    }
}

static void call_fill(call_t *call, wl_cache_redis_t *cache, uint32_t user) {
    wl_asset_t assets[KEYS];
    uint32_t back = draw(draw(3) == 0 ? 40 : 2);
    uint64_t seq = world.committed > back ? world.committed - back : world.committed;
    uint64_t rows = seq + draw((uint32_t)(world.committed - seq) + 1); /* read a little later */
    uint32_t count = assets_of(user, state_at(user, rows), UINT32_MAX, false, assets);
    *call = (call_t){.what = FILL, .user = user, .seq = seq};
    wl_cache_redis_fill(cache, uid_of(user), assets, count, seq, INT64_MAX, on_written, call);
}

static void call_get(call_t *call, wl_cache_redis_t *cache, uint32_t user) {
    *call = (call_t){.what = GET, .user = user};
    memcpy(call->acked, world.acked[user], sizeof call->acked);
    wl_cache_redis_get(cache, uid_of(user), on_got, call);
}

static void step(void) {
    uint32_t what = draw(100);
    uint32_t user = draw(USERS);
    wl_cache_redis_t *cache = world.handles[draw(CLIENTS)].cache;
    call_t *call = NULL;
    for (uint32_t i = 0; i < UNDER_WAY && call == NULL; i++) {
        call = world.calls[i].what == FREE ? &world.calls[i] : NULL;
    }
    if (what < 15 && world.committed < COMMITS) {
        commit(user, 1 + draw((1u << KEYS) - 1));
    } else if (call == NULL || what >= 85) {
        (void)!wl_redis_wait(world.handles[draw(CLIENTS)].redis, draw(2));
    } else if (what < 32 && world.put_next <= world.committed) {
        call_put(call, cache, world.put_next++);
    } else if (what < 36 && world.put_next > 1) { /* an old one again, or one that comes late */
        uint64_t back = 1 + draw(30);
        call_put(call, cache, world.put_next > back ? world.put_next - back : 1);
    } else if (what < 55) {
        call_fill(call, cache, user);
    } else {
        call_get(call, cache, user);
    }
}

static void run(const char *nodes, bool cluster) {
    uint64_t seed = wl_random_u64();
    memset(&world, 0, sizeof world);
    world.random = seed;
    world.put_next = 1;
    (void)stores_name("co_", test_prefix, sizeof test_prefix);
    for (int i = 0; i < CLIENTS; i++) {
        world.handles[i] = handle_open(nodes, cluster);
    }
    for (uint32_t user = 0; user < USERS; user++) {
        commit(user, (1u << KEYS) - 1); /* from then on two of its assets are always there */
    }
    int64_t until = wl_mono_now().ms + 10000;
    while (world.committed < COMMITS && wl_mono_now().ms < until) {
        step();
    }
    for (int i = 0; i < CLIENTS; i++) {
        cr_assert_eq(wl_redis_wait(world.handles[i].redis, 20000), WL_OK);
    }
    cr_log_info("seed %llu: %llu commits, %u hits, %u misses, %u conflicts",
                (unsigned long long)seed, (unsigned long long)world.committed, world.hits,
                world.misses, world.conflicts);
    cr_expect(world.hits > 300 && world.misses > 100 && world.conflicts > 50);
    for (uint32_t user = 0; user < USERS; user++) {
        (void)ask_key(&world.handles[0], uid_of(user), "DEL @");
    }
    for (int i = 0; i < CLIENTS; i++) {
        handle_close(&world.handles[i]);
    }
}

Test(cache_redis_order, a_copy_never_misses_a_put_that_was_answered, .timeout = 60) {
    run(stores_redis(), false);
}

Test(cache_redis_order, nor_in_a_cluster, .timeout = 60) {
    run(stores_redis_cluster(), true);
}
