#include "actors/redis_loop.h"

#include "../stores.h"
#include "base/clock.h"

typedef struct {
    wl_redis_t *redis;
    wl_redis_loop_t *glue;
    zloop_t *loop;
    uint32_t answers; /* called back with WL_OK */
    uint32_t failures;
    uint32_t unflushed; /* answers since the last `after` */
    uint32_t afters;    /* that had something to flush */
} world_t;

static world_t world;

static void world_start(void) {
    memset(&world, 0, sizeof world);
    world.loop = zloop_new();
}

static void world_end(void) {
    wl_redis_loop_destroy(&world.glue);
    wl_redis_loop_destroy(&world.glue);
    wl_redis_destroy(&world.redis);
    zloop_destroy(&world.loop);
}

TestSuite(redis_loop, .init = world_start, .fini = world_end, .timeout = 30);

static void on_after(void *arg) {
    (void)arg;
    if (world.unflushed > 0) {
        world.afters++;
    }
    world.unflushed = 0;
}

static void open_at(const char *at, uint32_t timeout_ms) {
    wl_redis_options_t options = {.nodes = at, .timeout_ms = timeout_ms};
    cr_assert_eq(wl_redis_new(&options, &world.redis, NULL), WL_OK);
    world.glue = wl_redis_loop_new(world.loop, world.redis, on_after, NULL);
}

static void on_answer(wl_err_t err, const redisReply *reply, void *ctx) {
    (void)reply;
    (void)ctx;
    world.answers += err == WL_OK ? 1 : 0;
    world.failures += err == WL_OK ? 0 : 1;
    world.unflushed++;
}

/* Each answer asks again, from inside the callback. */
static void on_chain(wl_err_t err, const redisReply *reply, void *ctx) {
    uint32_t *left = ctx;
    on_answer(err, reply, NULL);
    if (--*left > 0) {
        wl_redis_send(world.redis, NULL, (wl_redis_arg_t[]){{"PING", 4}}, 1, on_chain, left);
    }
}

static int on_end(zloop_t *loop, int timer, void *arg) {
    (void)loop;
    (void)timer;
    (void)arg;
    return -1;
}

static void run(size_t ms) {
    (void)zloop_timer(world.loop, ms, 1, on_end, NULL);
    (void)zloop_start(world.loop);
}

Test(redis_loop, serves_a_client_from_the_loop_and_lets_the_actor_flush) {
    open_at(stores_redis(), 5000);
    for (int i = 0; i < 1000; i++) {
        wl_redis_send(world.redis, NULL, (wl_redis_arg_t[]){{"PING", 4}}, 1, on_answer, NULL);
    }
    uint32_t chain = 50;
    wl_redis_send(world.redis, NULL, (wl_redis_arg_t[]){{"PING", 4}}, 1, on_chain, &chain);
    for (int i = 0; i < 50 && world.answers < 1050; i++) {
        run(20);
    }
    cr_assert_eq(world.answers, 1050);
    cr_assert(world.failures == 0 && world.unflushed == 0 && world.afters >= 50);
}

Test(redis_loop, writes_at_the_turn_and_fails_at_once_when_nobody_is_there) {
    open_at("127.0.0.1:1", 1000); /* refused */
    run(50);
    wl_redis_send(world.redis, NULL, (wl_redis_arg_t[]){{"PING", 4}}, 1, on_answer, NULL);
    cr_assert_eq(world.failures, 0, "never from inside wl_redis_send");
    wl_redis_loop_turn(world.glue);
    cr_assert_eq(world.failures, 1, "without another turn of the loop");
    cr_assert_gt(wl_redis_stats(world.redis).reconnects, 0);
}

Test(redis_loop, ends_with_commands_under_way) {
    open_at(stores_redis(), 5000);
    for (int i = 0; i < 10; i++) {
        wl_redis_send(world.redis, NULL, (wl_redis_arg_t[]){{"PING", 4}}, 1, on_answer, NULL);
    }
    wl_redis_loop_destroy(&world.glue);
    wl_redis_destroy(&world.redis);
    cr_assert_eq(world.failures, 10);
    run(30); /* nothing of them is left in the loop */
}
