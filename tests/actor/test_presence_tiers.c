/* Two processes, as between two hosts: in one a writer's presence actor, in the other a reader's,
 * each with the test as all its neighbours. Both see one database, a log in shared memory. */
#include "actors/presence.h"

#include "base/slot.h"
#include "domain/marks.h"
#include "read_path.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

enum {
    SHARDS = 2,
    USERS_MAX = 1 << 21,
    LOG_MAX = 1 << 21,
    WRITERS = 2,
    SILENCE_MS = 400,
    LATE_MS = 3000, /* a birth this long ago must be known; sanitizers and busy machines included */
};

/* The database, and what the test tells the writers. */
typedef struct {
    char endpoint[96];
    uint32_t prepared;                  /* users who own something from the start: 1 .. prepared */
    _Atomic int64_t born_at[USERS_MAX]; /* monotonic ms of the commit, 0 = owns nothing */
    _Atomic uint64_t log[SHARDS][LOG_MAX];
    _Atomic uint64_t log_count[SHARDS];
    _Atomic uint64_t commits[SHARDS];
    _Atomic uint32_t running;            /* the writer that is to run, 0 = none yet */
    _Atomic uint32_t rate;               /* changes per ms, 0 = rest */
    _Atomic uint64_t changes;            /* made so far */
    _Atomic uint64_t covered;            /* by the writer's own account: its presence is ready */
    _Atomic uint64_t asked[WRITERS + 1]; /* REFRESH that reached a dispatcher */
} database_t;

static database_t *db;

/* Neither dense nor sparse: a million take two megabytes, several pieces of a snapshot. */
#define SPREAD 977u
#define NOBODY (SPREAD + 1) /* owns nothing, ever */
#define MARKED (SPREAD + 2) /* nor does this one, but a change of it has failed */

static uint64_t uid_of(uint64_t user) {
    return user * SPREAD;
}

typedef struct {
    stage_t stage;
    neighbour_t fetchers[SHARDS];
    neighbour_t caches;
    neighbour_t frontend;
    neighbour_t dispatcher;
    wl_encoder_t *encoder;
    uint64_t scans;        /* tours from the beginning of the log */
    uint64_t passed;       /* READs that reached the cache */
    uint64_t absent;       /* and those answered with "owns nothing" */
    uint64_t marks;        /* NOTICEs at the cache */
    uint64_t told_covered; /* COVER at the cache */
    uint64_t told_lost;
    bool tours_stop; /* fetchers do not answer */
} side_t;

static uint32_t shard_of(uint64_t uid) {
    return wl_uid_owner(uid, SHARDS);
}

static void db_log(uint64_t uid) {
    uint32_t shard = shard_of(uid);
    uint64_t count = atomic_load(&db->log_count[shard]);
    atomic_store(&db->log[shard][count], uid);
    atomic_store(&db->log_count[shard], count + 1);
}

static void db_open(uint32_t prepared) {
    db = mmap(NULL, sizeof *db, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(db, MAP_FAILED);
    (void)snprintf(db->endpoint, sizeof db->endpoint, "ipc:///tmp/wl-tiers-%d", (int)getpid());
    db->prepared = prepared;
    for (uint64_t user = 1; user <= prepared; user++) {
        atomic_store(&db->born_at[user], 1);
        db_log(uid_of(user));
    }
}

/* ---- one side --------------------------------------------------------------------------------- */

static void side_open(side_t *self) {
    memset(self, 0, sizeof *self);
    stage_open(&self->stage);
    for (uint32_t i = 0; i < SHARDS; i++) {
        self->fetchers[i] = neighbour_open(WL_ACTOR_FETCHER, i);
    }
    self->caches = neighbour_open(WL_ACTOR_CACHE, 0);
    self->frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self->dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    self->encoder = wl_encoder_new();
    wl_settings_t *settings = &self->stage.settings;
    settings->shard_instances = SHARDS;
    settings->tier_silence_ms = SILENCE_MS;
    (void)snprintf(settings->shard_store, sizeof settings->shard_store, "mysql");
}

static void side_close(side_t *self) {
    (void)stage_stop(&self->stage);
    for (uint32_t i = 0; i < SHARDS; i++) {
        neighbour_close(&self->fetchers[i]);
    }
    neighbour_close(&self->caches);
    neighbour_close(&self->frontend);
    neighbour_close(&self->dispatcher);
    wl_encoder_destroy(&self->encoder);
    stage_close(&self->stage);
}

/* What a shard's reader does: the commit number first, then the log up to where it was. */
static void side_answer_tour(side_t *self, uint32_t shard, const wl_tell_owners_head_t *ask) {
    static uint64_t uids[4096];
    uint64_t commit_seq = atomic_load(&db->commits[shard]);
    uint64_t end = atomic_load(&db->log_count[shard]);
    uint64_t at = ask->after <= end ? ask->after : 0;
    self->scans += ask->after == 0 && !ask->rebuild;
    do {
        uint32_t count = 0;
        while (count < 4096 && at < end) {
            uids[count++] = atomic_load(&db->log[shard][at++]);
        }
        wl_owners_head_t head = {.shard = shard,
                                 .log_seq = at,
                                 .last = at == end,
                                 .asked_at = ask->asked_at,
                                 .commit_seq = commit_seq,
                                 .rebuild = ask->rebuild};
        wl_owners_begin(self->encoder, &head);
        wl_owners_add(self->encoder, &(wl_owners_item_t){.uids = {uids, count}});
        while (wl_channel_send(self->stage.outbox, self->encoder) == WL_ERR_FULL) {
            zclock_sleep(1);
        }
    } while (at < end);
}

static void side_count(side_t *self, const wl_msg_t *msg) {
    self->passed += msg->id == WL_MSG_READ ? msg->count : 0;
    self->marks += msg->id == WL_MSG_NOTICE ? msg->count : 0;
    if (msg->id == WL_MSG_COVER && msg->head.cover.covered) {
        self->told_covered++;
        cr_expect_eq(msg->head.cover.commits.count, (uint32_t)SHARDS);
    } else if (msg->id == WL_MSG_COVER) {
        self->told_lost++;
    }
}

/* Plays the neighbours for a moment. */
static void side_pump(side_t *self, long wait_ms) {
    zmq_pollitem_t items[SHARDS + 4] = {{0}};
    neighbour_t *from[SHARDS + 4] = {&self->fetchers[0], &self->fetchers[1], &self->caches,
                                     &self->frontend,    &self->dispatcher,  &self->stage.console};
    for (uint32_t i = 0; i < SHARDS + 4; i++) {
        items[i] = (zmq_pollitem_t){.socket = zsock_resolve(from[i]->inbox), .events = ZMQ_POLLIN};
    }
    (void)zmq_poll(items, SHARDS + 4, wait_ms);
    for (uint32_t i = 0; i < SHARDS + 4; i++) {
        wl_msg_t msg;
        while (items[i].revents != 0 && neighbour_next(from[i], &msg, 0)) {
            if (i < SHARDS && msg.id == WL_MSG_TELL_OWNERS && !msg.head.tell_owners.trim) {
                wl_tell_owners_head_t ask = msg.head.tell_owners;
                if (!self->tours_stop) {
                    side_answer_tour(self, i, &ask);
                }
            } else if (i == SHARDS) {
                side_count(self, &msg);
            } else if (i == SHARDS + 1 && msg.id == WL_MSG_REPLY) {
                self->absent += msg.count;
            } else if (i == SHARDS + 2 && msg.id == WL_MSG_REFRESH) {
                atomic_fetch_add(&db->asked[atomic_load(&db->running)], msg.count);
            } else if (i == SHARDS + 3 && msg.id == WL_MSG_STATS) {
                memcpy(self->stage.counters, msg.items.stats[0].counters.at,
                       msg.items.stats[0].counters.count * sizeof(uint64_t));
            }
        }
    }
}

static void side_pump_for(side_t *self, int64_t ms) {
    int64_t until = wl_mono_now().ms + ms;
    while (wl_mono_now().ms < until) {
        side_pump(self, 5);
    }
}

/* ---- the writer ------------------------------------------------------------------------------- */

static void writer_change(side_t *self, uint64_t number, uint64_t epoch, uint64_t random) {
    uint64_t user = 1 + random % (db->prepared + 20000);
    uint64_t uid = uid_of(user);
    bool owns = (random >> 40) % 3 != 0;
    uint32_t shard = shard_of(uid);
    uint64_t seq = epoch << 40 | number;
    wl_notice_item_t notice = {.uid = uid, .seq = seq, .state = WL_MARK_PENDING, .line = "cash"};
    wl_notice_begin(self->stage.encoder, &(wl_notice_head_t){.dispatcher = 0});
    wl_notice_add(self->stage.encoder, &notice);
    stage_send(&self->stage);
    bool owned = atomic_load(&db->born_at[user]) != 0;
    if (owns && !owned) {
        db_log(uid);
        atomic_store(&db->born_at[user], wl_mono_now().ms);
    } else if (!owns) {
        atomic_store(&db->born_at[user], 0);
    }
    uint64_t commit_seq = atomic_fetch_add(&db->commits[shard], 1) + 1;
    wl_stored_head_t head = {.shard = shard,
                             .commit_seq = commit_seq,
                             .log_seq = atomic_load(&db->log_count[shard]),
                             .line = "cash"};
    wl_stored_item_t item = {.uid = uid, .seq = seq, .owns = owns};
    wl_stored_begin(self->stage.encoder, &head);
    wl_stored_add(self->stage.encoder, &item);
    stage_send(&self->stage);
    atomic_fetch_add(&db->changes, 1);
}

static void writer_lease(side_t *self, uint64_t epoch) {
    wl_lease_begin(self->stage.encoder, NULL);
    wl_lease_add(self->stage.encoder, &(wl_lease_item_t){.epoch = epoch, .until = INT64_MAX});
    stage_send(&self->stage);
}

/* The body of a child: waits for its turn, then writes until it is killed. */
static void writer_run(uint32_t number) {
    while (atomic_load(&db->running) != number) {
        zclock_sleep(1);
    }
    side_t *self = wl_alloc_zero(1, sizeof *self);
    side_open(self);
    (void)snprintf(self->stage.settings.tier_endpoint, sizeof self->stage.settings.tier_endpoint,
                   "%s", db->endpoint);
    (void)snprintf(self->stage.settings.server_role, sizeof self->stage.settings.server_role,
                   "writer");
    stage_start(&self->stage, WL_ACTOR_PRESENCE, wl_presence_run);
    writer_lease(self, number);
    /* a change that nothing ends: its mark has to reach readers who come later */
    wl_notice_item_t notice = {.uid = MARKED, .seq = 1, .state = WL_MARK_FAILING, .line = "coin"};
    wl_notice_begin(self->stage.encoder, &(wl_notice_head_t){.dispatcher = 0});
    wl_notice_add(self->stage.encoder, &notice);
    stage_send(&self->stage);
    uint64_t random = number * 1000003;
    for (uint64_t i = 1;;) {
        for (uint32_t n = atomic_load(&db->rate); n > 0; n--) {
            writer_change(self, i++, number, wl_mix64(random++));
        }
        side_pump(self, 1);
    }
}

/* Before anything of czmq runs here: its context does not survive a fork. */
static pid_t writer_fork(uint32_t number) {
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        writer_run(number);
    }
    return pid;
}

static void writer_kill(pid_t pid) {
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
}

/* ---- the reader ------------------------------------------------------------------------------- */

static void reader_open(side_t *self) {
    side_open(self);
    (void)snprintf(self->stage.settings.tier_writers, sizeof self->stage.settings.tier_writers,
                   "%s", db->endpoint);
    (void)snprintf(self->stage.settings.server_role, sizeof self->stage.settings.server_role,
                   "reader");
    stage_start(&self->stage, WL_ACTOR_PRESENCE, wl_presence_run);
}

/* Is this user said to own nothing? */
static bool reader_says_no(side_t *self, uint64_t uid) {
    uint64_t before = self->absent + self->passed;
    uint64_t absent = self->absent;
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    stage_read(&self->stage, test_read(uid, uid, WL_METHOD_HOME, 10000));
    while (self->absent + self->passed == before && wl_mono_now().ms < until) {
        side_pump(self, 5);
    }
    cr_assert_neq(self->absent + self->passed, before, "no answer");
    return self->absent > absent;
}

/* Waits until a user whom nobody knows is said to own nothing, or is not. Returns the ms. */
static int64_t reader_awaits(side_t *self, bool covered) {
    int64_t begun = wl_mono_now().ms;
    while (reader_says_no(self, NOBODY) != covered) {
        cr_assert_lt(wl_mono_now().ms - begun, 20000, "covered is still %d", !covered);
        side_pump(self, 2);
    }
    return wl_mono_now().ms - begun;
}

/* No user who owns something for long enough may get a "no". Returns how many got one. */
static uint32_t reader_check(side_t *self, uint32_t reads, uint64_t *random) {
    uint32_t noes = 0;
    for (uint32_t i = 0; i < reads; i++) {
        uint64_t user = 1 + wl_mix64((*random)++) % (db->prepared + 20000);
        int64_t born_at = atomic_load(&db->born_at[user]);
        int64_t asked_at = wl_mono_now().ms;
        if (reader_says_no(self, uid_of(user))) {
            noes++;
            bool same = atomic_load(&db->born_at[user]) == born_at;
            cr_assert(born_at == 0 || !same || asked_at - born_at < LATE_MS,
                      "user %llu owns something for %lld ms", (unsigned long long)user,
                      (long long)(asked_at - born_at));
        }
    }
    return noes;
}

/* Everybody: who owns something passes. Of those who owned something at the start and have died some
 * do not: bits are cleared. How many is returned, and is up to the machine: a death stays unknown
 * that was before the snapshot, behind a tour of the log, or in a gap of the feed. */
static uint32_t reader_check_all(side_t *self) {
    uint64_t uids[1000];
    uint64_t positions[1000];
    uint32_t died = 0;
    uint32_t cleared = 0;
    uint32_t unknown = 0; /* answers of a moment when the writer was not heard */
    for (uint64_t first = 1; first < db->prepared + 20000; first += 1000) {
        for (uint32_t i = 0; i < 1000; i++) {
            uids[i] = uid_of(first + i);
            positions[i] = i;
        }
        wl_ask_item_t ask = {.ticket = first, .uids = {uids, 1000}, .positions = {positions, 1000}};
        wl_ask_begin(self->stage.encoder, &(wl_ask_head_t){.frontend = 0});
        wl_ask_add(self->stage.encoder, &ask);
        stage_send(&self->stage);
        wl_msg_t told;
        do {
            for (uint32_t i = 0; i < SHARDS; i++) { /* tours go on */
                wl_msg_t tour;
                if (neighbour_next(&self->fetchers[i], &tour, 0)) {
                    wl_tell_owners_head_t head = tour.head.tell_owners;
                    side_answer_tour(self, i, &head);
                }
            }
        } while (!neighbour_next(&self->frontend, &told, 20) || told.id != WL_MSG_TOLD);
        bool may[1000] = {false};
        for (uint32_t i = 0; i < told.items.told[0].positions.count; i++) {
            may[told.items.told[0].positions.at[i]] = true;
        }
        uint32_t owners = 0;
        for (uint32_t i = 0; i < 1000; i++) {
            owners += atomic_load(&db->born_at[first + i]) != 0;
        }
        if (told.items.told[0].positions.count == 1000 && owners < 1000 && unknown++ < 1000) {
            first -= 1000; /* asked again */
            continue;
        }
        for (uint32_t i = 0; i < 1000; i++) {
            bool owns = atomic_load(&db->born_at[first + i]) != 0;
            cr_assert(may[i] || !owns, "user %llu", (unsigned long long)(first + i));
            died += first + i <= db->prepared && !owns;
            cleared += first + i <= db->prepared && !owns && !may[i];
        }
    }
    (void)fprintf(stderr, "%u of %u deaths are known\n", cleared, died);
    return cleared;
}

static uint64_t reader_counter(side_t *self, wl_counter_t counter, uint64_t least) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (self->stage.counters[counter] < least && wl_mono_now().ms < until) {
        side_pump(self, 10);
    }
    return self->stage.counters[counter];
}

/* ---- tests ------------------------------------------------------------------------------------ */

Test(presence_tiers, a_million_users_are_taken_from_the_writer_under_load) {
    db_open(1000000);
    pid_t writer = writer_fork(1);
    side_t self;
    atomic_store(&db->running, 1);
    atomic_store(&db->rate, 2);
    reader_open(&self);
    (void)reader_awaits(&self, true);
    cr_expect_eq(self.scans, 0u, "the database was not read through");
    cr_expect_geq(reader_counter(&self, WL_COUNTER_tier_snapshots, 1), 1u);
    uint64_t random = 7;
    uint32_t noes = reader_check(&self, 3000, &random);
    cr_expect_gt(noes, 10u);
    cr_expect_gt(atomic_load(&db->changes), 500u);
    atomic_store(&db->rate, 0);
    side_pump_for(&self, 1500);
    cr_expect_gt(reader_check_all(&self), 0u);
    writer_kill(writer);
    side_close(&self);
}

Test(presence_tiers, the_marks_of_the_writer_come_with_the_beginning) {
    db_open(10);
    pid_t writer = writer_fork(1);
    side_t self;
    atomic_store(&db->running, 1);
    reader_open(&self);
    (void)reader_awaits(&self, true);
    cr_expect_eq(self.marks, 1u);
    cr_expect(!reader_says_no(&self, MARKED), "a change of this user failed");
    cr_expect_eq(self.told_covered, 1u);
    writer_kill(writer);
    side_close(&self);
}

Test(presence_tiers, a_writer_that_stands_still_makes_it_unknown_for_that_time) {
    db_open(1000);
    pid_t writer = writer_fork(1);
    side_t self;
    atomic_store(&db->running, 1);
    atomic_store(&db->rate, 1);
    reader_open(&self);
    (void)reader_awaits(&self, true);
    uint64_t lost = self.told_lost;
    (void)kill(writer, SIGSTOP);
    int64_t ms = reader_awaits(&self, false);
    cr_expect_geq(ms, SILENCE_MS - 300);
    cr_expect_lt(ms, SILENCE_MS + 1500);
    cr_expect_gt(self.told_lost, lost);
    (void)kill(writer, SIGCONT);
    (void)reader_awaits(&self, true);
    uint64_t random = 9;
    (void)reader_check(&self, 300, &random);
    writer_kill(writer);
    side_close(&self);
}

Test(presence_tiers, a_writer_that_starts_again_is_followed_again_within_two_seconds) {
    db_open(1000);
    pid_t writers[WRITERS] = {writer_fork(1), writer_fork(2)};
    side_t self;
    atomic_store(&db->running, 1);
    atomic_store(&db->rate, 1);
    reader_open(&self);
    (void)reader_awaits(&self, true);
    writer_kill(writers[0]);
    (void)reader_awaits(&self, false);
    atomic_store(&db->running, 2);
    int64_t ms = reader_awaits(&self, true);
    (void)fprintf(stderr, "covered %lld ms after the start of the new writer\n", (long long)ms);
    cr_expect_lt(ms, 2000);
    uint64_t random = 11;
    (void)reader_check(&self, 500, &random);
    atomic_store(&db->rate, 0);
    side_pump_for(&self, 1500);
    (void)reader_check_all(&self);
    writer_kill(writers[1]);
    side_close(&self);
}

Test(presence_tiers, without_any_writer_the_database_is_read_and_nothing_is_covered) {
    db_open(100);
    side_t self;
    reader_open(&self);
    side_pump_for(&self, 5500);
    cr_expect_eq(self.scans, (uint64_t)SHARDS);
    cr_expect(!reader_says_no(&self, NOBODY));
    side_close(&self);
}

Test(presence_tiers, a_refresh_goes_to_the_dispatcher_of_the_writer) {
    db_open(10);
    pid_t writer = writer_fork(1);
    side_t self;
    atomic_store(&db->running, 1);
    reader_open(&self);
    (void)reader_awaits(&self, true);
    wl_refresh_begin(self.stage.encoder, &(wl_refresh_head_t){.line = "cash"});
    for (uint64_t uid = 1; uid <= 3; uid++) {
        wl_refresh_add(self.stage.encoder, &(wl_refresh_item_t){.uid = uid});
    }
    stage_send(&self.stage);
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (atomic_load(&db->asked[1]) < 3 && wl_mono_now().ms < until) {
        side_pump(&self, 5);
    }
    cr_expect_eq(atomic_load(&db->asked[1]), 3u);
    writer_kill(writer);
    side_close(&self);
}

Test(presence_tiers, a_shard_that_does_not_answer_leaves_only_its_users_unknown) {
    db_open(1000);
    pid_t writers[WRITERS] = {writer_fork(1), writer_fork(2)};
    side_t self;
    atomic_store(&db->running, 1);
    reader_open(&self);
    (void)reader_awaits(&self, true);
    self.tours_stop = true;
    writer_kill(writers[0]);
    (void)reader_awaits(&self, false);
    atomic_store(&db->running, 2);
    side_pump_for(&self, 1500);
    cr_expect(!reader_says_no(&self, NOBODY), "no shard was read since");
    self.tours_stop = false;
    (void)reader_awaits(&self, true);
    writer_kill(writers[1]);
    side_close(&self);
}
