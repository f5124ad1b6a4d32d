/* Rebuilds of the real presence actor: the test plays shards, fetchers and the console, and knows
 * who owns something. */
#include "actors/presence.h"

#include "actors/presence_renewal.h"
#include "domain/marks.h"
#include "read_path.h"

enum {
    SHARDS = 2,
    USERS = 300, /* uids 1..USERS */
    PAGE = 40,
    STEPS_MIN = 6000, /* of the random tests */
    STEPS_MAX = 300000,
    REBUILDS_MIN = 20,
    RESTARTS_MIN = 3,
};

typedef struct {
    bool active;
    bool by_log;
    wl_tell_owners_head_t ask;
    uint64_t at;
    uint64_t end;
    uint64_t commit;
    uint64_t chunk;
} tour_t;

typedef struct {
    stage_t stage;
    neighbour_t shards[SHARDS]; /* let their logs be trimmed */
    neighbour_t fetchers[SHARDS];
    neighbour_t cache;
    neighbour_t frontend;
    tour_t tours[SHARDS][2];
    uint64_t answers;
    bool hole;     /* the second page of each answer for a rebuild is lost */
    uint64_t done; /* rebuilds */
    bool owns[USERS + 1];
    uint64_t log[SHARDS][STEPS_MAX + USERS + 1];
    uint64_t log_seq[SHARDS];
    uint64_t commits[SHARDS];
    uint64_t serial[SHARDS];
    uint64_t seq;
    uint64_t random;
    wl_rebuilt_head_t said; /* by presence, last */
} world_t;

static world_t self;

static uint64_t draw(uint64_t below) {
    self.random ^= self.random << 13;
    self.random ^= self.random >> 7;
    self.random ^= self.random << 17;
    return (self.random >> 11) % below;
}

static void world_start(void) {
    memset(self.tours, 0, sizeof self.tours);
    memset(self.serial, 0, sizeof self.serial);
    stage_start(&self.stage, WL_ACTOR_PRESENCE, wl_presence_run);
    stage_configure(&self.stage);
}

static void world_open(const char *mode) {
    memset(&self, 0, sizeof self);
    self.random = 88172645463325252ull;
    stage_open(&self.stage);
    (void)snprintf(self.stage.settings.presence_mode, sizeof self.stage.settings.presence_mode,
                   "%s", mode);
    for (uint32_t s = 0; s < SHARDS; s++) {
        self.shards[s] = neighbour_open(WL_ACTOR_SHARD, s);
        self.fetchers[s] = neighbour_open(WL_ACTOR_FETCHER, s);
    }
    self.cache = neighbour_open(WL_ACTOR_CACHE, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    world_start();
}

static void world_close(void) {
    (void)stage_stop(&self.stage);
    for (uint32_t s = 0; s < SHARDS; s++) {
        neighbour_close(&self.shards[s]);
        neighbour_close(&self.fetchers[s]);
    }
    neighbour_close(&self.cache);
    neighbour_close(&self.frontend);
    stage_close(&self.stage);
}

/* Like walletd when it is started again. */
static void world_restart(bool damage) {
    char path[128];
    (void)stage_stop(&self.stage);
    zsock_destroy(&self.stage.outbox);
    wl_encoder_destroy(&self.stage.encoder);
    (void)snprintf(path, sizeof path, "%s/presence-0of1.snap", self.stage.dir);
    FILE *file = damage ? fopen(path, "r+b") : NULL;
    if (file != NULL) {
        (void)fseek(file, 50, SEEK_SET);
        (void)fputs("damage", file);
        (void)fclose(file);
    }
    world_start();
}

/* ---- the database ---------------------------------------------------------------------------- */

static uint32_t shard_of(uint64_t uid) {
    return (uint32_t)(uid % SHARDS);
}

static void commit(uint64_t uid, bool owns) {
    uint32_t shard = shard_of(uid);
    if (owns && !self.owns[uid]) {
        self.log[shard][++self.log_seq[shard]] = uid;
    }
    self.owns[uid] = owns;
    wl_stored_head_t head = {.shard = shard,
                             .commit_seq = ++self.commits[shard],
                             .log_seq = self.log_seq[shard],
                             .line = "cash",
                             .serial = ++self.serial[shard]};
    wl_stored_begin(self.stage.encoder, &head);
    wl_stored_add(self.stage.encoder,
                  &(wl_stored_item_t){.uid = uid, .seq = ++self.seq, .owns = owns});
    stage_send(&self.stage);
}

static void tours_hear(void) {
    wl_msg_t msg;
    for (uint32_t s = 0; s < SHARDS; s++) {
        while (neighbour_next(&self.fetchers[s], &msg, 0)) {
            const wl_tell_owners_head_t *ask = &msg.head.tell_owners;
            cr_assert_eq(msg.id, WL_MSG_TELL_OWNERS);
            cr_expect(!ask->rebuild || ask->after == 0);
            bool by_log = ask->after != 0;
            self.tours[s][ask->rebuild] = (tour_t){.active = true,
                                                   .by_log = by_log,
                                                   .ask = *ask,
                                                   .at = ask->after,
                                                   .end = self.log_seq[s],
                                                   .commit = self.commits[s],
                                                   .chunk = ++self.answers << 32};
        }
        while (neighbour_next(&self.shards[s], &msg, 0)) {
            cr_expect(msg.head.tell_owners.trim);
        }
    }
}

/* One page; users who change between two pages may be in it, or not. */
static void tour_page(uint32_t shard, tour_t *tour) {
    uint64_t uids[PAGE];
    uint32_t count = 0;
    uint64_t to = tour->by_log ? self.log_seq[shard] : USERS;
    while (count < PAGE && tour->at < to) {
        uint64_t uid = tour->by_log ? self.log[shard][tour->at + 1] : tour->at + 1;
        tour->at++;
        if (tour->by_log || (shard_of(uid) == shard && self.owns[uid])) {
            uids[count++] = uid;
        }
    }
    bool last = tour->at == to;
    wl_owners_head_t head = {.shard = shard,
                             .last = last,
                             .log_seq = tour->by_log ? tour->at : (last ? tour->end : 0),
                             .asked_at = tour->ask.asked_at,
                             .commit_seq = tour->commit,
                             .chunk = tour->chunk++,
                             .rebuild = tour->ask.rebuild};
    tour->active = !last;
    if (self.hole && tour->ask.rebuild && (uint32_t)head.chunk == 1 && !last) {
        return;
    }
    wl_owners_begin(self.stage.encoder, &head);
    wl_owners_add(self.stage.encoder, &(wl_owners_item_t){.uids = {uids, count}});
    stage_send(&self.stage);
}

static void tours_step(void) {
    uint32_t shard = (uint32_t)draw(SHARDS);
    tour_t *tour = &self.tours[shard][draw(2)];
    if (tour->active) {
        tour_page(shard, tour);
    }
}

/* ---- what presence says ---------------------------------------------------------------------- */

static void console_hear(void) {
    wl_msg_t msg;
    while (neighbour_next(&self.stage.console, &msg, 0)) {
        if (msg.id == WL_MSG_REBUILT) {
            self.said = msg.head.rebuilt;
            self.done += self.said.state == WL_REBUILD_DONE;
        } else if (msg.id == WL_MSG_STATS && msg.count == 1) {
            memcpy(self.stage.counters, msg.items.stats[0].counters.at, sizeof self.stage.counters);
        }
    }
}

static bool passes(uint64_t uid) {
    int64_t until = wl_mono_now().ms + LONG_DRAIN_MS;
    wl_msg_t msg;
    stage_read(&self.stage, test_read(uid, uid, WL_METHOD_HOME, LONG_DRAIN_MS));
    while (wl_mono_now().ms < until) {
        zmq_pollitem_t items[2] = {
            {.socket = zsock_resolve(self.cache.inbox), .events = ZMQ_POLLIN},
            {.socket = zsock_resolve(self.frontend.inbox), .events = ZMQ_POLLIN}};
        (void)zmq_poll(items, 2, 100);
        while (neighbour_next(&self.cache, &msg, 0)) {
            if (msg.id == WL_MSG_READ) {
                return true;
            }
        }
        if (items[1].revents != 0 && neighbour_next(&self.frontend, &msg, 0)) {
            cr_expect(msg.items.reply[0].absent);
            return false;
        }
    }
    cr_assert(false, "no answer");
    return true;
}

static void rebuild_want(void) {
    self.said.state = WL_REBUILD_WAITING;
    wl_rebuild_begin(self.stage.encoder, NULL);
    stage_send(&self.stage);
}

/* Plays on until the rebuild has ended. */
static wl_rebuild_state_t rebuild_await(void) {
    int64_t until = wl_mono_now().ms + LONG_DRAIN_MS;
    while (self.said.state != WL_REBUILD_DONE && self.said.state != WL_REBUILD_FAILED &&
           wl_mono_now().ms < until) {
        tours_hear();
        tours_step();
        console_hear();
        (void)passes(1 + draw(USERS));
    }
    return (wl_rebuild_state_t)self.said.state;
}

static void ready_await(void) {
    int64_t until = wl_mono_now().ms + LONG_DRAIN_MS;
    while (passes(USERS + 7) && wl_mono_now().ms < until) {
        tours_hear();
        tours_step();
    }
    cr_assert_not(passes(USERS + 7), "it is not ready");
}

/* ---- tests ----------------------------------------------------------------------------------- */

Test(presence_renew, drops_dead_bits_and_writes_a_snapshot) {
    world_open("hashed");
    ready_await();
    for (uint64_t uid = 1; uid <= 100; uid++) {
        commit(uid, true);
    }
    for (uint64_t uid = 1; uid <= 60; uid++) {
        commit(uid, false);
    }
    cr_expect(passes(5), "hashed mode clears nobody");
    rebuild_want();
    cr_assert_eq(rebuild_await(), WL_REBUILD_DONE, "%s", self.said.reason);
    cr_expect_eq(self.said.members_before, 100);
    cr_expect_eq(self.said.members_after, 40);
    cr_expect_eq(self.said.shards_told, SHARDS);
    cr_expect_geq(self.said.ended_at, self.said.started_at);
    for (uint64_t uid = 1; uid <= 100; uid++) {
        cr_expect_eq(passes(uid), uid > 60, "user %llu", (unsigned long long)uid);
    }
    stage_expect_counter(&self.stage, presence_dead_bits, 60);
    stage_expect_counter(&self.stage, presence_rebuilds, 1);
    stage_expect_counter(&self.stage, presence_snapshots, 1);
    world_close();
}

Test(presence_renew, the_old_set_stays_when_a_shard_does_not_tell_everything) {
    world_open("exact");
    ready_await();
    for (uint64_t uid = 1; uid <= 200; uid++) {
        commit(uid, true);
    }
    self.hole = true;
    rebuild_want();
    cr_assert_eq(rebuild_await(), WL_REBUILD_FAILED);
    cr_expect(strstr(self.said.reason, "shard ") != NULL, "%s", self.said.reason);
    self.hole = false;
    cr_expect(passes(1));
    cr_expect_not(passes(203));
    stage_expect_counter(&self.stage, presence_rebuilds_failed, 1);
    rebuild_want();
    cr_expect_eq(rebuild_await(), WL_REBUILD_DONE, "another one may be started");
    cr_expect(passes(1));
    world_close();
}

Test(presence_renew, keeps_who_has_a_change_on_its_way) {
    world_open("exact");
    ready_await();
    wl_notice_item_t item = {.uid = 9, .seq = 50, .state = WL_MARK_PENDING, .line = "cash"};
    wl_notice_begin(self.stage.encoder, &(wl_notice_head_t){.dispatcher = 0});
    wl_notice_add(self.stage.encoder, &item);
    stage_send(&self.stage);
    rebuild_want();
    cr_assert_eq(rebuild_await(), WL_REBUILD_DONE);
    cr_expect(passes(9), "nothing is stored yet");
    cr_expect_not(passes(10));
    world_close();
}

Test(presence_renew, begins_by_itself_at_the_time_of_day) {
    memset(&self, 0, sizeof self);
    time_t now = time(NULL);
    struct tm local;
    cr_assert_not_null(localtime_r(&now, &local));
    while (local.tm_sec > 50) { /* not across the minute */
        zclock_sleep(500);
        now = time(NULL);
        cr_assert_not_null(localtime_r(&now, &local));
    }
    world_open("exact");
    (void)stage_stop(&self.stage);
    zsock_destroy(&self.stage.outbox);
    wl_encoder_destroy(&self.stage.encoder);
    (void)snprintf(self.stage.settings.presence_rebuild_at,
                   sizeof self.stage.settings.presence_rebuild_at, "%02u:%02u",
                   (unsigned)local.tm_hour % 24, (unsigned)local.tm_min % 60);
    world_start();
    ready_await();
    cr_expect_eq(rebuild_await(), WL_REBUILD_DONE);
    int64_t ended_at = self.said.ended_at;
    zclock_sleep(3 * QUIET_MS);
    console_hear();
    cr_expect_eq(self.said.ended_at, ended_at, "once");
    world_close();
}

static void fuzz(const char *mode) {
    uint64_t lies = 0;
    uint64_t restarts = 0;
    world_open(mode);
    int64_t until = wl_mono_now().ms + 3 * LONG_DRAIN_MS;
    uint32_t step = 0;
    for (; (step < STEPS_MIN || self.done < REBUILDS_MIN || restarts < RESTARTS_MIN) &&
           step < STEPS_MAX && wl_mono_now().ms < until;
         step++) {
        uint64_t uid = 1 + draw(USERS);
        tours_hear();
        tours_step();
        commit(uid, draw(2) == 0);
        console_hear();
        if (self.said.state != WL_REBUILD_WAITING && self.said.state != WL_REBUILD_READING) {
            self.hole = draw(4) == 0;
            rebuild_want();
        }
        if (draw(8000) == 0) {
            (void)passes(1); /* everything before has been taken */
            world_restart(draw(2) == 0);
            self.said.state = WL_REBUILD_NONE;
            restarts++;
        }
        uid = 1 + draw(USERS);
        lies += !passes(uid) && self.owns[uid];
    }
    cr_log_info("%u steps, %llu rebuilds, %llu restarts", step, (unsigned long long)self.done,
                (unsigned long long)restarts);
    cr_expect_eq(lies, 0, "%llu times no for an owner", (unsigned long long)lies);
    cr_expect_geq(self.done, REBUILDS_MIN);
    cr_expect_geq(restarts, RESTARTS_MIN);
    self.hole = false;
    ready_await();
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        cr_expect(passes(uid) || !self.owns[uid], "user %llu", (unsigned long long)uid);
    }
    for (int i = 0; i < 2; i++) { /* one may be under way that began before the last death */
        rebuild_want();
        cr_expect_eq(rebuild_await(), WL_REBUILD_DONE, "%s", self.said.reason);
    }
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        cr_expect_eq(passes(uid), self.owns[uid], "user %llu", (unsigned long long)uid);
    }
    world_close();
}

Test(presence_renew, random_births_and_deaths_while_it_rebuilds_exact) {
    fuzz("exact");
}

Test(presence_renew, random_births_and_deaths_while_it_rebuilds_hashed) {
    fuzz("hashed");
}
