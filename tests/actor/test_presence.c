#include "actors/presence.h"

#include "domain/marks.h"
#include "read_path.h"

typedef struct {
    stage_t stage;
    neighbour_t shards[2];   /* let their logs be trimmed */
    neighbour_t fetchers[2]; /* tell owners */
    neighbour_t cache;
    neighbour_t frontend;
    neighbour_t query;
    uint64_t after[2]; /* what each shard was last asked for */
} presence_stage_t;

static presence_stage_t self;

static void neighbours_open(void) {
    self.shards[0] = neighbour_open(WL_ACTOR_SHARD, 0);
    self.shards[1] = neighbour_open(WL_ACTOR_SHARD, 1);
    self.fetchers[0] = neighbour_open(WL_ACTOR_FETCHER, 0);
    self.fetchers[1] = neighbour_open(WL_ACTOR_FETCHER, 1);
    self.cache = neighbour_open(WL_ACTOR_CACHE, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self.query = neighbour_open(WL_ACTOR_QUERY, 0);
}

static void expect_asked(uint32_t shard, bool trim, uint64_t after) {
    wl_msg_t msg =
        neighbour_expect(trim ? &self.shards[shard] : &self.fetchers[shard], WL_MSG_TELL_OWNERS, 0);
    cr_expect_eq(msg.head.tell_owners.trim, trim);
    cr_expect_eq(msg.head.tell_owners.after, after, "after %llu",
                 (unsigned long long)msg.head.tell_owners.after);
}

static void presence_start(uint64_t after) {
    stage_start(&self.stage, WL_ACTOR_PRESENCE, wl_presence_run);
    stage_configure(&self.stage);
    expect_asked(0, false, after);
    expect_asked(1, false, after);
}

static void presence_stage_open(void) {
    stage_open(&self.stage);
    neighbours_open();
    presence_start(0);
}

static void presence_stage_close(void) {
    (void)stage_stop(&self.stage);
    neighbour_close(&self.shards[0]);
    neighbour_close(&self.shards[1]);
    neighbour_close(&self.fetchers[0]);
    neighbour_close(&self.fetchers[1]);
    neighbour_close(&self.cache);
    neighbour_close(&self.frontend);
    neighbour_close(&self.query);
    stage_close(&self.stage);
}

static void tell_owners(uint32_t shard, uint64_t *uids, uint32_t count, uint64_t log_seq,
                        bool last) {
    wl_owners_head_t head = {.shard = shard, .log_seq = log_seq, .last = last};
    wl_owners_item_t item = {.uids = {uids, count}};
    wl_owners_begin(self.stage.encoder, &head);
    wl_owners_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static void tell_nobody(void) {
    tell_owners(0, NULL, 0, 0, true);
    tell_owners(1, NULL, 0, 0, true);
}

static void tell_stored(uint64_t uid, uint64_t seq, bool owns, uint32_t shard, uint64_t commit_seq,
                        uint64_t log_seq) {
    wl_stored_head_t head = {
        .shard = shard, .commit_seq = commit_seq, .log_seq = log_seq, .line = "cash"};
    wl_stored_item_t item = {.uid = uid, .seq = seq, .owns = owns};
    wl_stored_begin(self.stage.encoder, &head);
    wl_stored_add(self.stage.encoder, &item);
    stage_send(&self.stage);
    wl_msg_t msg = neighbour_expect(&self.cache, WL_MSG_STORED, 1);
    cr_expect_eq(msg.head.stored.commit_seq, commit_seq);
    cr_expect_eq(msg.items.stored[0].seq, seq);
}

static void tell_notice(uint64_t uid, uint64_t seq) {
    wl_notice_item_t item = {.uid = uid, .seq = seq, .state = WL_MARK_PENDING, .line = "cash"};
    wl_notice_begin(self.stage.encoder, &(wl_notice_head_t){.dispatcher = 0});
    wl_notice_add(self.stage.encoder, &item);
    stage_send(&self.stage);
    wl_msg_t msg = neighbour_expect(&self.cache, WL_MSG_NOTICE, 1);
    cr_expect_eq(msg.items.notice[0].uid, uid);
}

/* Does a read of this user go on to the cache? */
static bool passes(uint64_t uid) {
    zmq_pollitem_t items[2] = {
        {.socket = zsock_resolve(self.cache.inbox), .events = ZMQ_POLLIN},
        {.socket = zsock_resolve(self.frontend.inbox), .events = ZMQ_POLLIN}};
    stage_read(&self.stage, test_read(uid, uid, WL_METHOD_HOME, 1000));
    cr_assert_eq(zmq_poll(items, 2, PATIENCE_MS), 1);
    if (items[0].revents != 0) {
        wl_msg_t read = neighbour_expect(&self.cache, WL_MSG_READ, 1);
        cr_expect_eq(read.items.read[0].uid, uid);
        return true;
    }
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect_eq(reply.items.reply[0].ticket, uid);
    cr_expect_eq(reply.items.reply[0].uid, uid);
    cr_expect(reply.items.reply[0].absent);
    return false;
}

/* A live line may have something of a user of whom nothing is stored. */
Test(presence, no_does_not_end_a_read_that_may_have_to_ask_a_line) {
    presence_stage_open();
    tell_nobody();
    cr_expect_not(passes(7), "no line is live yet");
    wl_read_item_t read = test_read(1, 7, WL_METHOD_HOME, 1000);
    read.floors = (wl_bytes_t){(const uint8_t *)"coin:3,", 7};
    stage_read(&self.stage, read);
    wl_msg_t msg = neighbour_expect(&self.query, WL_MSG_GATHER, 1);
    cr_expect_eq(msg.items.gather[0].floors.count, 7u);
    cr_expect_eq(msg.items.gather[0].assets.count, 0u);
    stage_configure_with(&self.stage, live_integration, live_presentation);
    static const struct {
        wl_method_t method;
        bool gathers;
    } cases[] = {{WL_METHOD_HOME, true},
                 {WL_METHOD_ASSETS, true},
                 {WL_METHOD_BALANCE, true},
                 {WL_METHOD_GOLDEN, false}};
    for (uint64_t i = 0; i < WL_COUNT_OF(cases); i++) {
        read = test_read(i + 2, 7, cases[i].method, 1000);
        read.filter = (wl_bytes_t){(const uint8_t *)"live,", 5};
        stage_read(&self.stage, read);
        msg = neighbour_expect(cases[i].gathers ? &self.query : &self.frontend,
                               cases[i].gathers ? WL_MSG_GATHER : WL_MSG_REPLY, 1);
        if (cases[i].gathers) {
            cr_expect_eq(msg.items.gather[0].ticket, i + 2);
            cr_expect_eq(msg.items.gather[0].uid, 7u);
            cr_expect_eq(msg.items.gather[0].deadline_at, read.deadline_at);
            cr_expect_eq(msg.items.gather[0].method, (uint8_t)cases[i].method);
            cr_expect_eq(msg.items.gather[0].filter.count, 5u);
        }
    }
    stage_configure(&self.stage);
    cr_expect_not(passes(7));
    neighbour_hears_nothing(&self.query);
    neighbour_hears_nothing(&self.cache);
    presence_stage_close();
}

Test(presence, everybody_passes_until_every_shard_has_told_everything) {
    presence_stage_open();
    uint64_t owners[2] = {10, 11};
    cr_expect(passes(99));
    tell_owners(0, owners, 2, 5, true);
    cr_expect(passes(99));
    tell_owners(1, owners, 1, 5, false);
    cr_expect(passes(99));
    tell_owners(1, owners, 0, 5, true);
    cr_expect(!passes(99));
    cr_expect(passes(10));
    cr_expect(passes(11));
    stage_expect_counter(&self.stage, presence_unknown, 3);
    stage_expect_counter(&self.stage, presence_no, 1);
    stage_expect_counter(&self.stage, presence_maybe, 2);
    presence_stage_close();
}

Test(presence, a_notice_marks_the_user_before_the_data_is_there) {
    presence_stage_open();
    tell_nobody();
    cr_expect(!passes(42));
    tell_notice(42, 1);
    cr_expect(passes(42));
    presence_stage_close();
}

Test(presence, a_commit_marks_owners_and_clears_who_owns_nothing_any_more) {
    presence_stage_open();
    tell_nobody();
    tell_stored(42, 1, true, 0, 1, 1);
    cr_expect(passes(42));
    tell_stored(42, 2, false, 0, 2, 1);
    cr_expect(!passes(42));
    presence_stage_close();
}

Test(presence, a_commit_from_before_a_notice_does_not_clear) {
    presence_stage_open();
    tell_nobody();
    tell_notice(42, 7);
    tell_stored(42, 6, false, 0, 1, 0);
    cr_expect(passes(42));
    tell_stored(42, 7, false, 0, 2, 0);
    cr_expect(!passes(42));
    presence_stage_close();
}

/* Of another line or outcome than tell_stored() sends; the user owns nothing. */
static void tell_stored_of(const char *line, uint64_t uid, uint64_t seq, uint64_t commit_seq,
                           wl_pull_outcome_t outcome) {
    wl_stored_head_t head = {.commit_seq = commit_seq};
    (void)snprintf(head.line, sizeof head.line, "%s", line);
    wl_stored_item_t item = {.uid = uid, .seq = seq, .outcome = (uint8_t)outcome};
    wl_stored_begin(self.stage.encoder, &head);
    wl_stored_add(self.stage.encoder, &item);
    stage_send(&self.stage);
    (void)neighbour_expect(&self.cache, WL_MSG_STORED, 1);
}

Test(presence, one_line_does_not_clear_a_user_whom_another_is_about_to_change) {
    presence_stage_open();
    tell_nobody();
    tell_notice(42, 5); /* of cash, which is slow */
    tell_stored_of("coin", 42, 6, 1, WL_PULL_OK);
    cr_expect(passes(42), "its page says refreshing, an absent user's page could not");
    tell_stored_of("cash", 42, 5, 2, WL_PULL_RETRY);
    cr_expect(passes(42), "the change is still to come");
    tell_stored_of("cash", 42, 5, 3, WL_PULL_OK);
    cr_expect(!passes(42), "nothing is on its way and nothing is there");
    presence_stage_close();
}

Test(presence, a_notice_behind_its_own_end_goes_nowhere) {
    presence_stage_open();
    tell_nobody();
    tell_stored_of("cash", 42, 33, 1, WL_PULL_OK);
    wl_notice_item_t item = {.uid = 42, .seq = 33, .state = WL_MARK_PENDING, .line = "cash"};
    wl_notice_begin(self.stage.encoder, &(wl_notice_head_t){.dispatcher = 0});
    wl_notice_add(self.stage.encoder, &item);
    stage_send(&self.stage);
    cr_expect(!passes(42), "neither a bit nor a mark in the cache");
    tell_notice(42, 34);
    cr_expect(passes(42), "a newer one does");
    presence_stage_close();
}

Test(presence, the_hashed_mode_never_clears) {
    stage_open(&self.stage);
    neighbours_open();
    (void)snprintf(self.stage.settings.presence_mode, sizeof self.stage.settings.presence_mode,
                   "hashed");
    presence_start(0);
    tell_nobody();
    cr_expect(!passes(42));
    tell_stored(42, 1, true, 0, 1, 1);
    tell_stored(42, 2, false, 0, 2, 1);
    cr_expect(passes(42));
    presence_stage_close();
}

Test(presence, has_assets_is_answered_by_positions) {
    presence_stage_open();
    uint64_t owners[1] = {42};
    tell_owners(0, owners, 1, 1, true);
    tell_owners(1, owners, 0, 1, true);
    uint64_t uids[3] = {41, 42, 43};
    uint64_t positions[3] = {900, 7, 901};
    wl_ask_item_t ask = {.ticket = 5, .uids = {uids, 3}, .positions = {positions, 3}};
    wl_ask_begin(self.stage.encoder, &(wl_ask_head_t){.frontend = 0});
    wl_ask_add(self.stage.encoder, &ask);
    ask.positions.count = 2; /* one place is missing */
    wl_ask_add(self.stage.encoder, &ask);
    stage_send(&self.stage);
    wl_msg_t told = neighbour_expect(&self.frontend, WL_MSG_TOLD, 1);
    cr_expect_eq(told.items.told[0].ticket, 5u);
    cr_expect_eq(told.items.told[0].answered, 3u);
    cr_expect_eq(told.items.told[0].positions.count, 1u);
    cr_expect_eq(told.items.told[0].positions.at[0], 7u);
    stage_expect_counter(&self.stage, msg_malformed, 1);
    presence_stage_close();
}

Test(presence, a_missing_commit_makes_it_ask_again_and_doubt_meanwhile) {
    presence_stage_open();
    uint64_t owners[1] = {42};
    tell_owners(0, NULL, 0, 10, true);
    tell_owners(1, NULL, 0, 0, true);
    tell_stored(50, 1, true, 0, 1, 11);
    tell_stored(51, 2, true, 0, 2, 12);
    cr_expect(!passes(42));
    tell_stored(52, 4, true, 0, 4, 14); /* commit 3 was lost with user 42 */
    cr_expect(passes(42), "unknown is maybe");
    expect_asked(0, false, 11); /* commit 2 may have had more messages */
    tell_owners(0, owners, 1, 14, true);
    cr_expect(!passes(43));
    cr_expect(passes(42));
    presence_stage_close();
}

/* Stops it and starts another one on the same folder. */
static void restart(uint64_t after) {
    (void)stage_stop(&self.stage);
    for (uint32_t shard = 0; shard < 2; shard++) { /* the last snapshot trims the log */
        wl_msg_t msg;
        while (neighbour_next(&self.shards[shard], &msg, 0)) {
            cr_expect_eq(msg.id, WL_MSG_TELL_OWNERS);
            cr_expect(msg.head.tell_owners.trim);
        }
    }
    zsock_destroy(&self.stage.outbox);
    wl_encoder_destroy(&self.stage.encoder);
    presence_start(after);
}

Test(presence, a_snapshot_shortens_the_next_start) {
    presence_stage_open();
    uint64_t owners[2] = {42, 43};
    tell_owners(0, owners, 2, 77, true);
    tell_owners(1, NULL, 0, 77, true);
    cr_expect(!passes(44));
    restart(77);
    cr_expect(passes(44), "the log after 77 is not known yet");
    tell_owners(0, NULL, 0, 77, true);
    tell_owners(1, NULL, 0, 77, true);
    cr_expect(!passes(44));
    cr_expect(passes(42));
    cr_expect(passes(43));
    presence_stage_close();
}

Test(presence, a_written_snapshot_lets_the_log_be_trimmed) {
    stage_open(&self.stage);
    neighbours_open();
    self.stage.settings.presence_snapshot_s = 1;
    presence_start(0);
    uint64_t owners[1] = {42};
    tell_owners(0, owners, 1, 77, true);
    tell_owners(1, NULL, 0, 78, true);
    expect_asked(0, true, 77);
    expect_asked(1, true, 78);
    stage_expect_counter(&self.stage, presence_snapshots, 1);
    neighbour_hears_nothing(&self.shards[0]);
    presence_stage_close();
}

Test(presence, a_damaged_snapshot_is_counted_and_all_owners_are_read) {
    presence_stage_open();
    uint64_t owners[1] = {42};
    tell_owners(0, owners, 1, 77, true);
    tell_owners(1, NULL, 0, 77, true);
    cr_expect(passes(42));
    (void)stage_stop(&self.stage);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/presence-0of1.snap", self.stage.dir);
    FILE *file = fopen(path, "r+b");
    cr_assert_not_null(file);
    (void)fseek(file, 20, SEEK_SET);
    (void)fputs("damage", file);
    (void)fclose(file);
    restart(0);
    cr_expect(passes(1));
    tell_nobody();
    cr_expect(!passes(42));
    stage_expect_counter(&self.stage, presence_damaged, 1);
    presence_stage_close();
}

Test(presence, a_snapshot_of_another_mode_is_not_used) {
    presence_stage_open();
    uint64_t owners[1] = {42};
    tell_owners(0, owners, 1, 77, true);
    tell_owners(1, NULL, 0, 77, true);
    cr_expect(passes(42));
    (void)stage_stop(&self.stage);
    (void)snprintf(self.stage.settings.presence_mode, sizeof self.stage.settings.presence_mode,
                   "hashed");
    restart(0);
    tell_nobody();
    cr_expect(!passes(42));
    stage_expect_counter(&self.stage, presence_damaged, 0);
    presence_stage_close();
}

Test(presence, a_batch_stays_a_batch) {
    presence_stage_open();
    uint64_t owners[200];
    for (uint64_t i = 0; i < 200; i++) {
        owners[i] = 2 * i + 2;
    }
    tell_owners(0, owners, 200, 1, true);
    tell_owners(1, owners, 0, 1, true);
    wl_read_begin(self.stage.encoder, &(wl_read_head_t){.frontend = 0});
    for (uint64_t uid = 1; uid <= 200; uid++) {
        wl_read_item_t read = test_read(uid, uid, WL_METHOD_HOME, 1000);
        wl_read_add(self.stage.encoder, &read);
    }
    stage_send(&self.stage);
    wl_msg_t msg = neighbour_expect(&self.cache, WL_MSG_READ, 100);
    for (uint32_t i = 0; i < 100; i++) {
        cr_expect_eq(msg.items.read[i].uid, 2 * i + 2);
    }
    msg = neighbour_expect(&self.frontend, WL_MSG_REPLY, 100);
    for (uint32_t i = 0; i < 100; i++) {
        cr_expect_eq(msg.items.reply[i].uid, 2 * i + 1);
    }
    presence_stage_close();
}

Test(presence, bytes_that_are_no_message_are_counted_and_dropped) {
    presence_stage_open();
    stage_send_raw(&self.stage, "\xdd\xff\xff\xff\xff", 5);
    stage_send_raw(&self.stage, "", 0);
    tell_owners(9, NULL, 0, 0, true);
    wl_read_begin(self.stage.encoder, &(wl_read_head_t){.frontend = 5});
    stage_send(&self.stage);
    wl_ask_begin(self.stage.encoder, &(wl_ask_head_t){.frontend = 5});
    stage_send(&self.stage);
    wl_stored_begin(self.stage.encoder, &(wl_stored_head_t){.shard = 5});
    stage_send(&self.stage);
    wl_told_begin(self.stage.encoder, NULL);
    stage_send(&self.stage);
    cr_expect(passes(42));
    stage_expect_counter(&self.stage, msg_malformed, 6);
    stage_expect_counter(&self.stage, msg_unexpected, 1);
    presence_stage_close();
}

Test(presence, stops_idle_and_before_anybody_told_anything) {
    presence_stage_open();
    cr_expect_lt(stage_stop(&self.stage), 500);
    presence_stage_close();
}

Test(presence, stops_with_a_full_mailbox_and_without_neighbours) {
    presence_stage_open();
    neighbour_close(&self.shards[0]);
    neighbour_close(&self.shards[1]);
    neighbour_close(&self.fetchers[0]);
    neighbour_close(&self.fetchers[1]);
    neighbour_close(&self.cache);
    neighbour_close(&self.frontend);
    for (uint64_t sent = 1; sent < 60000; sent++) {
        wl_read_item_t read = test_read(sent, sent, WL_METHOD_HOME, 20000);
        wl_read_begin(self.stage.encoder, &(wl_read_head_t){.frontend = 0});
        wl_read_add(self.stage.encoder, &read);
        if (wl_channel_send(self.stage.outbox, self.stage.encoder) != WL_OK) {
            break;
        }
    }
    cr_expect_lt(stage_stop(&self.stage), 2000);
    presence_stage_close();
}

/* Random notices and commits of a few users, in the order that a dispatcher and one shard would
 * send them, against a naive model: whoever owns something or has a change on its way passes. */
Test(presence, never_says_no_to_an_owner) {
    presence_stage_open();
    tell_nobody();
    enum { USERS = 40, STEPS = 3000 };
    struct {
        uint64_t noticed;
        uint64_t stored;
        bool owns;
    } model[USERS] = {{0}};
    uint64_t state = 88172645463325252u;
    uint64_t seq = 0;
    uint64_t commit_seq = 0;
    for (uint32_t step = 0; step < STEPS; step++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        uint32_t user = (uint32_t)(state >> 33) % USERS;
        if ((state & 3) == 0) {
            model[user].noticed = ++seq;
            tell_notice(user + 1, seq);
        } else if ((state & 3) == 1 && model[user].noticed > model[user].stored) {
            uint64_t span = model[user].noticed - model[user].stored;
            model[user].stored += 1 + (state >> 20) % span; /* maybe not the newest yet */
            model[user].owns = ((state >> 12) & 1) != 0;
            tell_stored(user + 1, model[user].stored, model[user].owns, 0, ++commit_seq, 0);
        } else {
            bool may = model[user].owns || model[user].noticed > model[user].stored;
            cr_assert_eq(passes(user + 1), may, "user %u at step %u", user, step);
        }
    }
    presence_stage_close();
}

/* A user of whom nothing is stored may have something in a live line of the candidate. */
Test(presence, no_ends_a_read_by_the_variant_that_it_names) {
    presence_stage_open();
    tell_nobody();
    stage_try(&self.stage, "{\"id\":9}");
    cr_expect_not(passes(7), "the base has no live line");
    wl_read_item_t read = test_read(1, 7, WL_METHOD_HOME, 1000);
    read.rollout = 8;
    stage_read(&self.stage, read);
    cr_expect(neighbour_expect(&self.frontend, WL_MSG_REPLY, 1).items.reply[0].absent);
    read.rollout = 9;
    stage_read(&self.stage, read);
    wl_msg_t msg = neighbour_expect(&self.query, WL_MSG_GATHER, 1);
    cr_expect_eq(msg.items.gather[0].rollout, 9u);
    tell_stored(7, 1, true, 0, 1, 1);
    stage_read(&self.stage, read);
    msg = neighbour_expect(&self.cache, WL_MSG_READ, 1);
    cr_expect_eq(msg.items.read[0].rollout, 9u);
    tell_stored(8, 2, false, 0, 2, 2);
    stage_configure(&self.stage);
    read.uid = 9;
    stage_read(&self.stage, read);
    cr_expect(neighbour_expect(&self.frontend, WL_MSG_REPLY, 1).items.reply[0].absent,
              "the candidate has left");
    presence_stage_close();
}
