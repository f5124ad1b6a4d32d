/* cache_redis_world.h: for test_cache_redis.c: one cache in a real Redis or Redis Cluster, with keys of
 * its own, and calls that wait for their answer. */
#ifndef WL_TEST_CACHE_REDIS_WORLD_H
#define WL_TEST_CACHE_REDIS_WORLD_H

#include "../../stores.h"
#include "redis_world.h"
#include "store/cache_record.h"
#include "store/cache_redis.h"

#include <inttypes.h>

enum { COPY_MAX = 16, TTL_S = 1000 };

typedef struct {
    wl_redis_t *redis;
    wl_cache_redis_t *cache;
} handle_t;

static char test_prefix[32];

static inline handle_t handle_open(const char *nodes, bool cluster) {
    handle_t self = {
        client_with((wl_redis_options_t){.nodes = nodes, .cluster = cluster, .timeout_ms = 10000}),
        NULL};
    self.cache = wl_cache_redis_new(
        &(wl_cache_redis_options_t){.redis = self.redis, .prefix = test_prefix, .ttl_s = TTL_S});
    return self;
}

static inline void handle_close(handle_t *self) {
    wl_redis_destroy(&self->redis);
    wl_cache_redis_destroy(&self->cache);
}

/* ---- calls ----------------------------------------------------------------------------------- */

typedef struct {
    uint32_t called;
    wl_err_t err;
} done_answer_t;

static inline void on_done_answer(wl_err_t err, void *ctx) {
    done_answer_t *answer = ctx;
    answer->called++;
    answer->err = err;
}

typedef struct {
    uint32_t called;
    wl_err_t err;
    int64_t filled_at;
    uint32_t count;
    wl_asset_t assets[COPY_MAX]; /* without their extra */
    uint8_t extra[COPY_MAX];     /* the first byte of it */
} copy_answer_t;

static inline void on_copy_answer(wl_err_t err, const wl_cache_copy_t *copy, void *ctx) {
    copy_answer_t *answer = ctx;
    answer->called++;
    answer->err = err;
    cr_assert((copy != NULL) == (err == WL_OK));
    if (copy != NULL) {
        cr_assert_leq(copy->count, COPY_MAX);
        answer->count = copy->count;
        answer->filled_at = copy->filled_at;
        for (uint32_t i = 0; i < copy->count; i++) {
            answer->assets[i] = copy->assets[i];
            answer->extra[i] = copy->assets[i].extra_bytes > 0 ? copy->assets[i].extra[0] : 0;
            answer->assets[i].extra = NULL;
        }
    }
}

static inline wl_err_t handle_wait(handle_t *self, const done_answer_t *answer) {
    cr_assert_eq(answer->called, 0u, "never from inside the call");
    cr_assert_eq(wl_redis_wait(self->redis, 20000), WL_OK);
    cr_assert_eq(answer->called, 1u);
    return answer->err;
}

static inline wl_err_t put(handle_t *self, uint64_t uid, const wl_asset_t *assets, uint32_t count,
                           uint64_t commit_seq) {
    done_answer_t answer = {0};
    wl_cache_redis_put(self->cache, uid, assets, count, commit_seq, on_done_answer, &answer);
    return handle_wait(self, &answer);
}

static inline wl_err_t fill(handle_t *self, uint64_t uid, const wl_asset_t *assets, uint32_t count,
                            uint64_t commit_seq) {
    done_answer_t answer = {0};
    wl_cache_redis_fill(self->cache, uid, assets, count, commit_seq, INT64_MAX, on_done_answer,
                        &answer);
    return handle_wait(self, &answer);
}

static inline wl_err_t forget(handle_t *self, uint64_t uid, uint64_t commit_seq) {
    done_answer_t answer = {0};
    wl_cache_redis_forget(self->cache, uid, commit_seq, on_done_answer, &answer);
    return handle_wait(self, &answer);
}

static inline copy_answer_t get(handle_t *self, uint64_t uid) {
    copy_answer_t answer = {.called = 0};
    wl_cache_redis_get(self->cache, uid, on_copy_answer, &answer);
    cr_assert_eq(answer.called, 0u, "never from inside the call");
    cr_assert_eq(wl_redis_wait(self->redis, 20000), WL_OK);
    cr_assert_eq(answer.called, 1u);
    return answer;
}

/* The copy's asset of a line; NULL: it has none. */
static inline const wl_asset_t *copy_find(const copy_answer_t *copy, const char *line) {
    for (uint32_t i = 0; i < copy->count; i++) {
        if (strcmp(copy->assets[i].line, line) == 0) {
            return &copy->assets[i];
        }
    }
    return NULL;
}

static inline wl_asset_t asset_of(uint64_t uid, const char *line, uint64_t version,
                                  int64_t amount) {
    wl_asset_t asset = {.uid = uid, .version = version, .amount = amount, .pulled_at = 1000};
    (void)snprintf(asset.line, sizeof asset.line, "%s", line);
    (void)snprintf(asset.unit, sizeof asset.unit, "CNY");
    return asset;
}

/* One more command on the key of a user: "%s" stands for it. */
static inline answer_t ask_key(handle_t *self, uint64_t uid, const char *words) {
    char key[64];
    char all[160];
    (void)snprintf(key, sizeof key, "%s%" PRIu64, test_prefix, uid);
    const char *at = strchr(words, '@');
    (void)snprintf(all, sizeof all, "%.*s%s%s", (int)(at - words), words, key, at + 1);
    return ask(self->redis, key, all);
}

#endif
