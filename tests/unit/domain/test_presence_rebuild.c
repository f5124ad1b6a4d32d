/* Rebuilds of presence: what a page does, and a model of a writer, a reader, two shards and all the
 * channels between them, driven at random and compared with the truth. */
#include "domain/presence_rebuild.h"

#include "actors/owner_log.h"
#include "base/alloc.h"

#include <criterion/criterion.h>
#include <string.h>

/* ---- one at a time --------------------------------------------------------------------------- */

typedef struct {
    wl_presence_set_t *serving;
    wl_presence_rebuild_t *rebuild;
} pair_t;

static pair_t pair_of(wl_presence_mode_t mode, uint32_t shards) {
    pair_t self = {.serving = wl_presence_set_new(mode, 34)};
    self.rebuild = wl_presence_rebuild_new(self.serving, shards);
    return self;
}

static void pair_close(pair_t *self) {
    wl_presence_rebuild_destroy(&self->rebuild);
    wl_presence_set_destroy(&self->serving);
}

static void tell(pair_t *self, uint32_t shard, int64_t asked_at, uint64_t chunk, bool last,
                 uint64_t uid) {
    wl_rebuild_page_t page = {shard, asked_at, chunk, last, &uid, uid == 0 ? 0 : 1};
    wl_presence_rebuild_take(self->rebuild, &page, asked_at + 1);
}

Test(presence_rebuild, drops_the_dead_and_keeps_who_was_born_meanwhile) {
    static const wl_presence_mode_t modes[] = {WL_PRESENCE_EXACT, WL_PRESENCE_HASHED};
    for (size_t m = 0; m < 2; m++) {
        pair_t pair = pair_of(modes[m], 1);
        uint64_t born = 3;
        wl_presence_set_mark(pair.serving, 1); /* lives */
        wl_presence_set_mark(pair.serving, 2); /* died long ago */
        cr_assert(wl_presence_rebuild_due(pair.rebuild, 0, 10));
        tell(&pair, 0, 10, 0, false, 1);
        wl_presence_set_mark(pair.serving, born);
        wl_presence_rebuild_born(pair.rebuild, &born, 1);
        cr_assert_not(wl_presence_rebuild_whole(pair.rebuild));
        tell(&pair, 0, 10, 1, true, 0);
        cr_assert(wl_presence_rebuild_whole(pair.rebuild));
        wl_presence_rebuild_swap(pair.rebuild, &pair.serving);
        cr_expect(wl_presence_set_test(pair.serving, 1));
        cr_expect_not(wl_presence_set_test(pair.serving, 2));
        cr_expect(wl_presence_set_test(pair.serving, 3));
        cr_expect_eq(wl_presence_set_mode(pair.serving), modes[m]);
        pair_close(&pair);
    }
}

Test(presence_rebuild, clears_who_died_meanwhile_unless_born_again) {
    pair_t pair = pair_of(WL_PRESENCE_EXACT, 1);
    uint64_t again = 2;
    cr_assert(wl_presence_rebuild_due(pair.rebuild, 0, 10));
    tell(&pair, 0, 10, 0, false, 1);
    tell(&pair, 0, 10, 1, true, 2);
    wl_presence_rebuild_died(pair.rebuild, 1);
    wl_presence_rebuild_died(pair.rebuild, again);
    wl_presence_set_mark(pair.serving, again);
    wl_presence_rebuild_born(pair.rebuild, &again, 1);
    wl_presence_rebuild_swap(pair.rebuild, &pair.serving);
    cr_expect_not(wl_presence_set_test(pair.serving, 1));
    cr_expect(wl_presence_set_test(pair.serving, 2));
    pair_close(&pair);
}

Test(presence_rebuild, believes_only_a_whole_answer_to_its_last_question) {
    pair_t pair = pair_of(WL_PRESENCE_EXACT, 2);
    cr_assert(wl_presence_rebuild_due(pair.rebuild, 0, 10));
    cr_expect_not(wl_presence_rebuild_due(pair.rebuild, 0, 11), "it was asked");
    tell(&pair, 0, 9, 0, true, 0);
    cr_expect_eq(wl_presence_rebuild_told(pair.rebuild), 0, "of another question");
    tell(&pair, 0, 10, 7ull << 32, false, 1);
    tell(&pair, 0, 10, (7ull << 32) + 2, true, 0);
    cr_expect_eq(wl_presence_rebuild_told(pair.rebuild), 0, "a page is missing");
    cr_assert(wl_presence_rebuild_due(pair.rebuild, 0, 12));
    tell(&pair, 0, 12, 8ull << 32, true, 0);
    cr_expect_eq(wl_presence_rebuild_told(pair.rebuild), 1);
    cr_expect_not(wl_presence_rebuild_due(pair.rebuild, 0, 1000000), "it has told everything");
    cr_assert(wl_presence_rebuild_due(pair.rebuild, 1, 12));
    cr_expect_not(wl_presence_rebuild_whole(pair.rebuild));
    pair_close(&pair);
}

Test(presence_rebuild, gives_a_silent_shard_up) {
    pair_t pair = pair_of(WL_PRESENCE_HASHED, 1);
    int64_t now = 10;
    for (int i = 0; i < WL_REBUILD_QUESTIONS_MAX; i++) {
        cr_assert(wl_presence_rebuild_due(pair.rebuild, 0, now));
        cr_expect_eq(wl_presence_rebuild_lost(pair.rebuild, now), -1);
        now += WL_REBUILD_SILENCE_MS;
    }
    cr_expect_not(wl_presence_rebuild_due(pair.rebuild, 0, now));
    cr_expect_eq(wl_presence_rebuild_lost(pair.rebuild, now), 0);
    pair_close(&pair);
}

/* ---- the model ------------------------------------------------------------------------------- */

enum {
    USERS = 509, /* uids 1..USERS */
    SHARDS = 2,
    STEPS = 2600000, /* a test; four of them */
    LOG_MAX = 4096,  /* births kept by a shard, a ring */
    QUEUE = 64,      /* messages in a channel */
    PAGE = 24,       /* users of one */
    NODES = 2,       /* 0 = the writer, told by shards; 1 = a reader that follows its feed */
};

typedef struct {
    bool owns;
    uint64_t commit; /* that made it so */
} user_t;

typedef struct {
    uint64_t commits;
    uint64_t log_seq;
    uint64_t log[LOG_MAX]; /* by number */
    uint64_t serial;       /* of messages to the writer */
    uint64_t tours;
} shard_db_t;

typedef enum { STORED, NOTICE, OWNERS } kind_t;

typedef struct {
    kind_t kind;
    uint64_t uid;
    bool owns;
    uint64_t commit;
    uint64_t log_seq;
    uint64_t serial;
    bool rebuild; /* OWNERS */
    bool last;
    int64_t asked_at;
    uint64_t chunk;
    uint32_t count;
    uint64_t uids[PAGE];
} message_t;

typedef struct {
    message_t at[QUEUE];
    uint32_t head;
    uint32_t count;
} channel_t;

typedef struct {
    bool active;
    bool begun;
    bool rebuild;
    bool by_log;
    uint64_t after;
    uint64_t at;  /* log number, or user that was told last */
    uint64_t end; /* log number */
    uint64_t commit;
    int64_t asked_at;
    uint64_t chunk;
} tour_t;

typedef struct {
    wl_presence_set_t *set;
    wl_presence_rebuild_t *rebuild;
    wl_owner_log_t *log;
    bool coming[USERS + 1];
    uint64_t heard[SHARDS];   /* commits up to here have arrived, or were read */
    int64_t session_at;       /* reader: when its feed began; it is covered after a later tour */
    channel_t stored[SHARDS]; /* writer: from shards; reader: [0] is the feed */
    channel_t owners[SHARDS]; /* from the shard's fetcher */
    tour_t tours[SHARDS][2];
    uint8_t *snapshot;
    size_t snapshot_bytes;
} node_t;

typedef struct {
    wl_presence_mode_t mode;
    bool deltas; /* what is born goes into both: the rule */
    uint64_t random;
    int64_t now;
    user_t users[USERS + 1];
    shard_db_t shards[SHARDS];
    node_t nodes[NODES];
    uint64_t checks;
    uint64_t wrong; /* a "no" that was a lie */
    uint64_t swaps;
    uint64_t crashes;
    uint64_t damaged;
} model_t;

static uint64_t draw(model_t *self, uint64_t below) {
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return (self->random >> 11) % below;
}

static uint32_t shard_of(uint64_t uid) {
    return (uint32_t)(uid % SHARDS);
}

static message_t *channel_push(channel_t *self) {
    message_t *at = &self->at[(self->head + self->count++) % QUEUE];
    at->count = 0;
    return at;
}

static const message_t *channel_pop(channel_t *self) {
    const message_t *at = &self->at[self->head];
    self->head = (self->head + 1) % QUEUE;
    self->count--;
    return at;
}

/* ---- a presence actor, as presence_changes.c and presence_owners.c have it ------------------- */

static void node_mark(model_t *model, node_t *self, uint64_t uid) {
    wl_presence_set_mark(self->set, uid);
    if (self->rebuild != NULL && model->deltas) {
        wl_presence_rebuild_born(self->rebuild, &uid, 1);
    }
}

static void node_open(model_t *model, uint32_t index, bool snapshot) {
    node_t *self = &model->nodes[index];
    wl_presence_seen_t seen = {0};
    wl_presence_rebuild_destroy(&self->rebuild);
    wl_owner_log_destroy(&self->log);
    wl_presence_set_destroy(&self->set);
    self->log =
        wl_owner_log_new(SHARDS, index == 0 ? WL_OWNER_LOG_EVERY_COMMIT : WL_OWNER_LOG_TOURS);
    if (snapshot && self->snapshot != NULL) {
        if (wl_presence_set_load(self->snapshot, self->snapshot_bytes, &self->set, &seen, NULL) ==
            WL_OK) {
            wl_owner_log_restore(self->log, seen.at);
            wl_free(seen.at);
        } else {
            model->damaged++;
        }
    }
    if (self->set == NULL) {
        self->set = wl_presence_set_new(model->mode, 34);
    }
    memset(self->coming, 0, sizeof self->coming);
    memset(self->heard, 0, sizeof self->heard);
    memset(self->tours, 0, sizeof self->tours);
    for (uint32_t s = 0; s < SHARDS; s++) {
        self->stored[s].count = 0;
        self->owners[s].count = 0;
    }
    self->session_at = model->now;
}

/* The reader's feed breaks: what was on its way is lost, and it knows. */
static void reader_gap(model_t *model) {
    node_t *reader = &model->nodes[1];
    reader->stored[0].count = 0;
    reader->session_at = model->now;
    memset(reader->coming, 0, sizeof reader->coming);
}

static bool node_knows(const node_t *self, uint32_t index, uint32_t shard) {
    return wl_owner_log_ready(self->log) &&
           (index == 0 || wl_owner_log_toured_at(self->log, shard) > self->session_at);
}

static void node_take_stored(model_t *model, uint32_t index, const message_t *msg) {
    node_t *self = &model->nodes[index];
    uint32_t shard = shard_of(msg->uid);
    bool newest = wl_owner_log_may_clear(self->log, shard, msg->log_seq);
    self->coming[msg->uid] = false;
    if (msg->owns) {
        node_mark(model, self, msg->uid);
    } else if (newest && wl_presence_set_clear(self->set, msg->uid) && self->rebuild != NULL) {
        wl_presence_rebuild_died(self->rebuild, msg->uid);
    }
    if (index == 0) {
        wl_owner_log_serial(self->log, shard, msg->serial);
    }
    wl_owner_log_stored(self->log, shard, msg->commit, msg->log_seq);
    if (wl_owner_log_ready(self->log) && msg->commit > self->heard[shard]) {
        self->heard[shard] = msg->commit;
    }
}

static void node_take_owners(model_t *model, uint32_t shard, node_t *self, const message_t *msg) {
    if (msg->rebuild) {
        if (self->rebuild != NULL) {
            wl_presence_rebuild_take(self->rebuild,
                                     &(wl_rebuild_page_t){shard, msg->asked_at, msg->chunk,
                                                          msg->last, msg->uids, msg->count},
                                     model->now);
        }
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        node_mark(model, self, msg->uids[i]);
    }
    bool last = wl_owner_log_chunk(self->log, shard, msg->chunk) && msg->last;
    if (wl_owner_log_told(self->log, shard, msg->log_seq, last, msg->asked_at, model->now) &&
        msg->commit > self->heard[shard]) {
        self->heard[shard] = msg->commit;
    }
}

static void node_take(model_t *model, uint32_t index, const message_t *msg) {
    node_t *self = &model->nodes[index];
    node_t *reader = &model->nodes[1];
    if (msg->kind == NOTICE) {
        self->coming[msg->uid] = true;
        node_mark(model, self, msg->uid);
    } else {
        node_take_stored(model, index, msg);
    }
    if (index == 0 && reader->stored[0].count == QUEUE) {
        reader_gap(model);
    } else if (index == 0) {
        *channel_push(&reader->stored[0]) = *msg;
    }
}

static void node_ask(model_t *model, node_t *self) {
    for (uint32_t s = 0; s < SHARDS; s++) {
        uint64_t after = 0;
        if (wl_owner_log_due(self->log, s, model->now, true, &after)) {
            self->tours[s][0] = (tour_t){.active = true,
                                         .after = after,
                                         .asked_at = model->now,
                                         .chunk = ++model->shards[s].tours << 32};
        }
        if (self->rebuild != NULL && wl_presence_rebuild_due(self->rebuild, s, model->now)) {
            self->tours[s][1] = (tour_t){.active = true,
                                         .rebuild = true,
                                         .asked_at = model->now,
                                         .chunk = ++model->shards[s].tours << 32};
        }
    }
}

static void node_rebuild(model_t *model, node_t *self) {
    if (self->rebuild == NULL) {
        if (wl_owner_log_ready(self->log) && draw(model, 40) == 0) {
            self->rebuild = wl_presence_rebuild_new(self->set, SHARDS);
        }
        return;
    }
    if (wl_presence_rebuild_lost(self->rebuild, model->now) >= 0) {
        wl_presence_rebuild_destroy(&self->rebuild);
    } else if (wl_presence_rebuild_whole(self->rebuild) && wl_owner_log_ready(self->log)) {
        wl_presence_rebuild_swap(self->rebuild, &self->set);
        for (uint64_t uid = 1; uid <= USERS; uid++) {
            if (self->coming[uid]) {
                wl_presence_set_mark(self->set, uid);
            }
        }
        wl_presence_rebuild_destroy(&self->rebuild);
        model->swaps++;
    }
}

/* ---- shards ---------------------------------------------------------------------------------- */

static void tour_begin(tour_t *tour, const shard_db_t *db) {
    tour->begun = true;
    tour->commit = db->commits;
    tour->end = db->log_seq;
    tour->by_log = !tour->rebuild && tour->after != 0 && tour->after + LOG_MAX > db->log_seq;
    tour->at = tour->by_log ? tour->after : 0;
}

static void tour_page(model_t *model, uint32_t shard, tour_t *tour, message_t *msg) {
    const shard_db_t *db = &model->shards[shard];
    if (tour->by_log) {
        while (msg->count < PAGE && tour->at < db->log_seq) {
            tour->at++;
            msg->uids[msg->count++] = db->log[tour->at % LOG_MAX];
        }
        msg->last = tour->at == db->log_seq;
        msg->log_seq = tour->at;
        return;
    }
    while (msg->count < PAGE && tour->at < USERS) {
        tour->at++;
        if (shard_of(tour->at) == shard && model->users[tour->at].owns) {
            msg->uids[msg->count++] = tour->at;
        }
    }
    msg->last = msg->count == 0;
    msg->log_seq = msg->last ? tour->end : 0;
}

static void shard_step(model_t *model) {
    uint32_t shard = (uint32_t)draw(model, SHARDS);
    node_t *node = &model->nodes[draw(model, NODES)];
    tour_t *tour = &node->tours[shard][draw(model, 2)];
    channel_t *to = &node->owners[shard];
    if (!tour->active || to->count == QUEUE) {
        return;
    }
    if (!tour->begun) {
        tour_begin(tour, &model->shards[shard]);
    }
    message_t *msg = channel_push(to);
    *msg = (message_t){.kind = OWNERS,
                       .rebuild = tour->rebuild,
                       .asked_at = tour->asked_at,
                       .commit = tour->commit,
                       .chunk = tour->chunk++};
    tour_page(model, shard, tour, msg);
    tour->active = !msg->last;
    if (draw(model, 4000) == 0) {
        to->count--; /* lost */
    }
}

static void commit_step(model_t *model) {
    uint64_t uid = 1 + draw(model, USERS);
    uint32_t shard = shard_of(uid);
    shard_db_t *db = &model->shards[shard];
    channel_t *to = &model->nodes[0].stored[shard];
    user_t *user = &model->users[uid];
    if (to->count + 2 > QUEUE) {
        return;
    }
    bool owns = draw(model, 2) == 0;
    if (owns && draw(model, 4) != 0) {
        *channel_push(to) = (message_t){.kind = NOTICE, .uid = uid};
    }
    db->commits++;
    if (owns && !user->owns) {
        db->log[++db->log_seq % LOG_MAX] = uid;
        user->commit = db->commits;
    }
    user->owns = owns;
    message_t *msg = channel_push(to);
    *msg = (message_t){.kind = STORED,
                       .uid = uid,
                       .owns = owns,
                       .commit = db->commits,
                       .log_seq = db->log_seq,
                       .serial = ++db->serial};
    if (draw(model, 3000) == 0) {
        to->count--; /* lost */
    }
}

/* ---- everything ------------------------------------------------------------------------------ */

static void deliver_step(model_t *model) {
    uint32_t index = (uint32_t)draw(model, NODES);
    uint32_t shard = (uint32_t)draw(model, SHARDS);
    node_t *node = &model->nodes[index];
    if (draw(model, 2) == 0) {
        if (node->stored[shard].count > 0) {
            node_take(model, index, channel_pop(&node->stored[shard]));
        }
    } else if (node->owners[shard].count > 0) {
        node_take_owners(model, shard, node, channel_pop(&node->owners[shard]));
    }
}

static void save_step(model_t *model) {
    node_t *node = &model->nodes[draw(model, NODES)];
    if (!wl_owner_log_ready(node->log)) {
        return;
    }
    void *blob = NULL;
    wl_free(node->snapshot);
    wl_presence_set_save(node->set, wl_owner_log_seen(node->log), SHARDS, &blob,
                         &node->snapshot_bytes);
    node->snapshot = blob;
    if (draw(model, 8) == 0) {
        node->snapshot[draw(model, node->snapshot_bytes)] ^= 0x10;
    }
}

/* A writer that dies takes its shards' messages and its feed with it. */
static void crash_step(model_t *model) {
    uint32_t index = (uint32_t)draw(model, NODES);
    model->crashes++;
    model->now += 1;
    if (index == 0) {
        for (uint32_t s = 0; s < SHARDS; s++) {
            model->shards[s].serial = 0;
        }
        reader_gap(model);
    }
    node_open(model, index, true);
    model->now += 1;
}

static void check_step(model_t *model) {
    uint64_t uid = 1 + draw(model, USERS);
    uint32_t shard = shard_of(uid);
    const user_t *user = &model->users[uid];
    for (uint32_t i = 0; i < NODES; i++) {
        const node_t *node = &model->nodes[i];
        if (!node_knows(node, i, shard)) {
            continue;
        }
        bool must = node->coming[uid] || (user->owns && user->commit <= node->heard[shard]);
        model->checks += must;
        model->wrong += must && !wl_presence_set_test(node->set, uid);
    }
}

static void model_run(model_t *self, uint64_t steps) {
    self->random = 0x9e3779b97f4a7c15ull * (self->random + 1);
    self->now = 1000;
    node_open(self, 0, false);
    node_open(self, 1, false);
    for (uint64_t i = 0; i < steps; i++) {
        switch (draw(self, 12)) {
        case 0:
        case 1: commit_step(self); break;
        case 2:
        case 3: shard_step(self); break;
        case 4: check_step(self); break;
        default: deliver_step(self); break;
        }
        check_step(self);
        if (i % 16 == 0) {
            node_t *node = &self->nodes[draw(self, NODES)];
            self->now += (int64_t)draw(self, 40);
            node_ask(self, node);
            node_rebuild(self, node);
        }
        if (i % 4096 == 4095) {
            switch (draw(self, 8)) {
            case 0: crash_step(self); break;
            case 1: reader_gap(self); break;
            default: save_step(self); break;
            }
        }
    }
    for (uint32_t i = 0; i < NODES; i++) {
        wl_presence_rebuild_destroy(&self->nodes[i].rebuild);
        wl_owner_log_destroy(&self->nodes[i].log);
        wl_presence_set_destroy(&self->nodes[i].set);
        wl_free(self->nodes[i].snapshot);
    }
}

static void expect_no_wrong_no(wl_presence_mode_t mode, uint64_t seed) {
    model_t *model = wl_alloc_zero(1, sizeof *model);
    model->mode = mode;
    model->deltas = true;
    model->random = seed;
    model_run(model, STEPS);
    cr_log_info("%llu checks, %llu rebuilds, %llu crashes, %llu damaged",
                (unsigned long long)model->checks, (unsigned long long)model->swaps,
                (unsigned long long)model->crashes, (unsigned long long)model->damaged);
    cr_expect_eq(model->wrong, 0, "%llu of %llu", (unsigned long long)model->wrong,
                 (unsigned long long)model->checks);
    cr_expect_gt(model->checks, STEPS / 4);
    cr_expect_gt(model->swaps, 1000);
    cr_expect_gt(model->crashes, 20);
    cr_expect_gt(model->damaged, 0);
    wl_free(model);
}

Test(presence_model, never_says_no_to_an_owner_exact) {
    expect_no_wrong_no(WL_PRESENCE_EXACT, 1);
}

Test(presence_model, never_says_no_to_an_owner_exact_again) {
    expect_no_wrong_no(WL_PRESENCE_EXACT, 2);
}

Test(presence_model, never_says_no_to_an_owner_hashed) {
    expect_no_wrong_no(WL_PRESENCE_HASHED, 3);
}

Test(presence_model, never_says_no_to_an_owner_hashed_again) {
    expect_no_wrong_no(WL_PRESENCE_HASHED, 4);
}

/* The rule is what makes it so: without the births that came meanwhile the model finds lies. */
Test(presence_model, finds_a_swap_without_what_was_born_meanwhile) {
    model_t *model = wl_alloc_zero(1, sizeof *model);
    model->mode = WL_PRESENCE_EXACT;
    model_run(model, 200000);
    cr_expect_gt(model->wrong, 0);
    wl_free(model);
}
