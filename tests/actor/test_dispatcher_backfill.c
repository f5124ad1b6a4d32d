/* A backfill with the test as database and puller: every user of the line is pulled once more, a
 * dispatcher that is stopped in the middle goes on where it was, and the totals come out right. */
#include "dispatcher_world.h"

#include "../stores.h"
#include "actors/dispatcher_backfill.h"
#include "domain/backfill.h"
#include "store/queue_job.h"

enum { USERS = 9000, PAGE = 4096, PARTITIONS = 16 };

typedef struct {
    world_t world;
    neighbour_t fetcher;
    uint8_t pulled[USERS + 1]; /* how often each user was pulled */
    uint32_t done;             /* pulls that ended */
    uint32_t fail_every;       /* users whose id is a multiple fail; 0 = nobody */
} fill_t;

static void fill_open(fill_t *self) {
    memset(self, 0, sizeof *self);
    world_open_bare(&self->world);
    self->fetcher = neighbour_open(WL_ACTOR_FETCHER, 0);
    world_start(&self->world);
    world_configure(&self->world, ",\"concurrency\":2,\"batch_max\":100");
}

static void fill_close(fill_t *self) {
    neighbour_close(&self->fetcher);
    world_close(&self->world);
}

/* Asks and takes the state and a number out of the reply. */
static wl_err_t admin(fill_t *self, const char *action, const char *key, uint64_t *ret_value,
                      char ret_state[32]) {
    msgpack_sbuffer args;
    msgpack_packer packer;
    msgpack_sbuffer_init(&args);
    msgpack_packer_init(&packer, &args, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 2);
    args_key(&packer, "line");
    args_key(&packer, "cash");
    args_key(&packer, "action");
    args_key(&packer, action);
    wl_reply_item_t reply = ask_admin(&self->world, WL_METHOD_ADMIN_BACKFILL, &args);
    msgpack_sbuffer_destroy(&args);
    if (reply.error == WL_OK) {
        msgpack_unpacked root;
        msgpack_unpacked_init(&root);
        cr_assert_eq(
            msgpack_unpack_next(&root, (const char *)reply.body.at, reply.body.count, NULL),
            MSGPACK_UNPACK_SUCCESS);
        cr_assert_eq(wl_args_u64(&root.data, key, ret_value, NULL), WL_OK);
        cr_assert_eq(wl_args_text(&root.data, "state", ret_state, 31, NULL), WL_OK);
        msgpack_unpacked_destroy(&root);
    }
    return (wl_err_t)reply.error;
}

static uint64_t status(fill_t *self, const char *key, const char *state) {
    uint64_t value = 0;
    char now[32];
    cr_assert_eq(admin(self, "status", key, &value, now), WL_OK);
    cr_assert_str_eq(now, state);
    return value;
}

static void start(fill_t *self) {
    uint64_t value = 0;
    char state[32];
    cr_assert_eq(admin(self, "start", "total", &value, state), WL_OK);
}

/* As the database: users 1 to USERS. */
static void tell_users(fill_t *self, const wl_tell_users_head_t *asked) {
    static uint64_t uids[PAGE];
    uint32_t count = 0;
    for (uint64_t uid = asked->after + 1; uid <= USERS && count < asked->max; uid++) {
        uids[count++] = uid;
    }
    cr_assert_str_eq(asked->line, "cash");
    wl_users_head_t head = {.asked = asked->asked,
                            .after = asked->after + count,
                            .last = asked->after + count >= USERS};
    wl_users_begin(self->world.stage.encoder, &head);
    wl_users_add(self->world.stage.encoder, &(wl_users_item_t){.uids = {uids, count}});
    stage_send(&self->world.stage);
}

/* Plays database and line for so many pulls, or until nothing comes any more. */
static void play(fill_t *self, uint32_t pulls) {
    int64_t quiet_since = wl_mono_now().ms;
    uint32_t until = self->done + pulls;
    wl_msg_t msg;
    while (self->done < until && wl_mono_now().ms - quiet_since < 3000) {
        if (neighbour_next(&self->fetcher, &msg, 0) && msg.id == WL_MSG_TELL_USERS) {
            tell_users(self, &msg.head.tell_users);
            quiet_since = wl_mono_now().ms;
        }
        if (!neighbour_next(&self->world.puller, &msg, 2) || msg.id != WL_MSG_PULL) {
            continue;
        }
        quiet_since = wl_mono_now().ms;
        static wl_pull_item_t items[256];
        uint32_t count = msg.count;
        memcpy(items, msg.items.pull, count * sizeof *items);
        for (uint32_t i = 0; i < count; i++) {
            cr_assert(items[i].uid >= 1 && items[i].uid <= USERS);
            self->pulled[items[i].uid]++;
            self->done++;
            bool fails = self->fail_every > 0 && items[i].uid % self->fail_every == 0;
            if (fails) {
                send_pulled(&self->world, "cash", &items[i], WL_PULL_RETRY, false, 0);
            } else {
                send_done(&self->world, "cash", &items[i], WL_PULL_OK);
            }
        }
    }
}

static bool ends(fill_t *self) {
    int64_t until = wl_mono_now().ms + 2 * PATIENCE_MS;
    char state[32] = "";
    while (strcmp(state, "done") != 0 && wl_mono_now().ms < until) {
        uint64_t value = 0;
        play(self, 50);
        cr_assert_eq(admin(self, "status", "done", &value, state), WL_OK);
    }
    return strcmp(state, "done") == 0;
}

Test(dispatcher_backfill, pulls_every_user_once) {
    static fill_t self;
    fill_open(&self);
    (void)status(&self, "total", "none");
    start(&self);
    char state[32];
    uint64_t value = 0;
    cr_expect_eq(admin(&self, "start", "total", &value, state), WL_ERR_CONFLICT);
    play(&self, USERS);
    cr_assert(ends(&self));
    cr_expect_eq(status(&self, "total", "done"), (uint64_t)USERS);
    cr_expect_eq(status(&self, "done", "done"), (uint64_t)USERS);
    for (uint32_t uid = 1; uid <= USERS; uid++) {
        cr_assert_eq(self.pulled[uid], 1, "user %u: %u", uid, self.pulled[uid]);
    }
    stage_expect_counter(&self.world.stage, backfill_users, USERS);
    start(&self); /* and again, whoever wants it */
    fill_close(&self);
}

Test(dispatcher_backfill, goes_on_after_it_was_stopped_in_the_middle) {
    static fill_t self;
    fill_open(&self);
    start(&self);
    uint64_t written = 0;
    for (int life = 0; life < 4; life++) {
        play(&self, 1500);
        uint64_t now = written;
        char state[32] = "";
        /* until the place was written down */
        for (int i = 0; i < 200 && now == written && strcmp(state, "done") != 0; i++) {
            play(&self, 1);
            cr_assert_eq(admin(&self, "status", "done", &now, state), WL_OK);
        }
        cr_expect(now > written || now == USERS, "each life goes on where the last one was");
        written = now;
        world_restart(&self.world);
        world_configure(&self.world, ",\"concurrency\":2,\"batch_max\":100");
    }
    cr_assert(ends(&self));
    cr_expect_eq(status(&self, "done", "done"), (uint64_t)USERS, "counted once each");
    cr_expect_eq(status(&self, "total", "done"), (uint64_t)USERS);
    uint32_t twice = 0;
    for (uint32_t uid = 1; uid <= USERS; uid++) {
        cr_assert_geq(self.pulled[uid], 1, "user %u was left out", uid);
        twice += self.pulled[uid] > 1;
    }
    cr_expect_lt(twice, 4u * WL_BACKFILL_FLYING_MAX, "it did not begin anew each time");
    fill_close(&self);
}

Test(dispatcher_backfill, counts_who_failed_and_leaves_them_to_their_retries) {
    static fill_t self;
    fill_open(&self);
    self.fail_every = 100;
    start(&self);
    play(&self, USERS);
    cr_assert(ends(&self));
    cr_expect_eq(status(&self, "failed", "done"), (uint64_t)USERS / 100);
    cr_expect_eq(status(&self, "done", "done"), (uint64_t)USERS - USERS / 100);
    fill_close(&self);
}

/* One user of three withdraws the consent while the line is asked: nobody answers for that pull. */
Test(dispatcher_backfill, ends_when_a_consent_is_withdrawn_meanwhile) {
    static fill_t self;
    fill_open(&self);
    world_configure(&self.world, ",\"consent\":true");
    start(&self);
    wl_pull_item_t pulls[3];
    uint32_t count = 0;
    uint64_t uids[] = {1, 2, 3};
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (count < 3 && wl_mono_now().ms < until) {
        wl_msg_t msg = {0};
        if (!neighbour_next(&self.fetcher, &msg, 100)) {
            continue;
        }
        if (msg.id == WL_MSG_TELL_USERS) {
            wl_users_head_t head = {.asked = msg.head.tell_users.asked, .after = 3, .last = true};
            wl_users_begin(self.world.stage.encoder, &head);
            wl_users_add(self.world.stage.encoder, &(wl_users_item_t){.uids = {uids, 3}});
            stage_send(&self.world.stage);
        }
        for (uint32_t i = 0; msg.id == WL_MSG_PULL && i < msg.count; i++) {
            pulls[count++] = msg.items.pull[i];
        }
    }
    cr_assert_eq(count, 3u);
    wl_live_head_t head = {.asker = WL_ACTOR_FRONTEND, .epoch = 1, .line = "cash"};
    wl_live_item_t revoke = {
        .ticket = 1, .uid = 1, .deadline_at = wl_mono_now().ms + 20000, .what = WL_LIVE_CONSENT};
    wl_live_begin(self.world.stage.encoder, &head);
    wl_live_add(self.world.stage.encoder, &revoke);
    stage_send(&self.world.stage);
    wl_msg_t msg = neighbour_await(&self.world.shard, WL_MSG_STORE);
    wl_pull_item_t stored = {.uid = 1, .seq = msg.items.store[0].seq};
    send_done(&self.world, "cash", &stored, WL_PULL_OK);
    msg = neighbour_await(&self.world.presence, WL_MSG_LIVED);
    cr_expect_eq(msg.items.lived[0].error, (uint32_t)WL_OK);
    for (uint32_t i = 0; i < count; i++) { /* that of the first user finds nothing */
        send_done(&self.world, "cash", &pulls[i], WL_PULL_OK);
    }
    cr_assert(ends(&self));
    cr_expect_eq(status(&self, "done", "done"), 3u);
    fill_close(&self);
}

/* Each of many partitions has its share of the rate, and no more. */
Test(dispatcher_backfill, keeps_to_the_rate_over_all_partitions) {
    static fill_t self;
    memset(&self, 0, sizeof self);
    wl_settings_t *settings = &self.world.stage.settings;
    world_open_bare(&self.world);
    wl_queue_close(&self.world.queue);
    settings->queue_partitions = PARTITIONS;
    (void)snprintf(settings->queue_store, sizeof settings->queue_store, "redis");
    (void)snprintf(settings->queue_redis, sizeof settings->queue_redis, "%s", stores_redis());
    (void)stores_name("bf", settings->queue_prefix, 32);
    wl_redis_options_t redis = {.nodes = settings->queue_redis, .timeout_ms = 2000};
    wl_queue_options_t options = {.use = WL_QUEUE_APPEND,
                                  .redis = &redis,
                                  .prefix = settings->queue_prefix,
                                  .consumer = "here",
                                  .partitions = PARTITIONS};
    wl_fault_t fault = {0};
    cr_assert_eq(wl_queue_open(&options, &self.world.queue, &fault), WL_OK, "%s", fault.message);
    self.fetcher = neighbour_open(WL_ACTOR_FETCHER, 0);
    world_start(&self.world);
    world_configure(&self.world, "");
    char text[WL_BACKFILL_TEXT_MAX];
    wl_backfill_want_t want = {.id = 7, .wanted_at = 1, .rate = 1};
    size_t bytes = wl_backfill_want_format(&want, text);
    cr_assert_eq(wl_queue_job_set(self.world.queue, 0, WL_BACKFILL_WANT "cash", text, bytes),
                 WL_OK);
    int64_t until = wl_mono_now().ms + 2 * PATIENCE_MS;
    while (self.done == 0 && wl_mono_now().ms < until) {
        play(&self, 1);
    }
    play(&self, 1); /* three seconds without a pull, or one */
    cr_expect_eq(self.done, 1u, "%u pulls in seconds: one in 16 is its share", self.done);
    fill_close(&self);
}

Test(dispatcher_backfill, ends_when_an_operator_says_so) {
    static fill_t self;
    char state[32];
    uint64_t value = 0;
    fill_open(&self);
    cr_expect_eq(admin(&self, "stop", "total", &value, state), WL_ERR_NOT_FOUND);
    cr_expect_eq(admin(&self, "begin", "total", &value, state), WL_ERR_BAD_REQUEST);
    start(&self);
    play(&self, 500);
    cr_expect_eq(admin(&self, "stop", "total", &value, state), WL_OK);
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (strcmp(state, "stopped") != 0 && wl_mono_now().ms < until) {
        play(&self, 20);
        cr_assert_eq(admin(&self, "status", "total", &value, state), WL_OK);
    }
    cr_expect_str_eq(state, "stopped");
    cr_expect_lt(self.done, (uint32_t)USERS);
    fill_close(&self);
}
