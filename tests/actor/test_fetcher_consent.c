/* The fetcher in front of lines that need a consent, and as the one who knows a line's users. */
#include "actors/fetcher.h"
#include "actors/fetcher_consent.h"
#include "actors/store_options.h"
#include "base/slot.h"
#include "write_path.h"

#include <fcntl.h>

static const char consent_integration[] =
    "{\"version\":1,\"lines\":{"
    "\"cash\":{\"kind\":\"cash\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"CNY\",\"scale\":2,"
    "\"consent\":true},"
    "\"coin\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\"}}}";

typedef struct {
    stage_t stage;
    neighbour_t puller;
    neighbour_t shard;
    neighbour_t dispatcher;
    neighbour_t presence;
    wl_asset_db_t *writer; /* in the place of the shard actor */
} gate_world_t;

static void world_prepare(gate_world_t *self) {
    memset(self, 0, sizeof *self);
    stage_open_writer(&self->stage);
    wl_store_text_t text;
    wl_asset_db_options_t options = wl_store_options_assets(&self->stage.settings, 0, false, &text);
    cr_assert_eq(wl_asset_db_open(&options, &self->writer, NULL), WL_OK);
    self->puller = neighbour_open(WL_ACTOR_PULLER, 0);
    self->shard = neighbour_open(WL_ACTOR_SHARD, 0);
    self->dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    self->presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
}

static void world_start(gate_world_t *self) {
    stage_start(&self->stage, WL_ACTOR_FETCHER, wl_fetcher_run);
    wl_config_head_t head = {.version = "1.7"};
    static const char presentation[] = "{\"version\":7,\"golden\":[],\"sections\":[]}";
    wl_config_item_t item = {
        .integration = {(const uint8_t *)consent_integration, sizeof consent_integration - 1},
        .presentation = {(const uint8_t *)presentation, sizeof presentation - 1}};
    wl_config_begin(self->stage.encoder, &head);
    wl_config_add(self->stage.encoder, &item);
    stage_send(&self->stage);
}

static void world_open(gate_world_t *self) {
    world_prepare(self);
    world_start(self);
}

static void world_close(gate_world_t *self) {
    wl_actor_destroy(&self->stage.actor);
    wl_asset_db_close(&self->writer);
    neighbour_close(&self->puller);
    neighbour_close(&self->shard);
    neighbour_close(&self->dispatcher);
    neighbour_close(&self->presence);
    stage_close(&self->stage);
}

static void apply(gate_world_t *self, wl_asset_t asset) {
    wl_apply_result_t result = WL_APPLY_OLDER;
    cr_assert_eq(wl_asset_db_apply(self->writer, &asset, &result), WL_OK);
}

static void begin(gate_world_t *self) {
    cr_assert_eq(wl_asset_db_begin(self->writer), WL_OK);
}

static void commit(gate_world_t *self) {
    uint64_t commit_seq = 0;
    cr_assert_eq(wl_asset_db_commit(self->writer, &commit_seq), WL_OK);
}

static wl_asset_t consent_make(uint64_t uid, bool granted, uint64_t version) {
    wl_asset_t record = test_asset(uid, "cash", 0, version);
    (void)snprintf(record.bucket, sizeof record.bucket, "%s", WL_BUCKET_CONSENT);
    record.state = granted ? WL_STATE_AVAILABLE : WL_STATE_GONE;
    return record;
}

/* Users 1 given, 2 withdrawn, 3 over, 4 for a while; 5 has assets only, 6 nothing. */
static void store_six(gate_world_t *self) {
    begin(self);
    apply(self, consent_make(1, true, 1000));
    apply(self, consent_make(2, false, 1000));
    wl_asset_t over = consent_make(3, true, 1000);
    over.expires_at = 1;
    apply(self, over);
    wl_asset_t lasting = consent_make(4, true, 1000);
    lasting.expires_at = wl_wall_now().ms + 600000;
    apply(self, lasting);
    apply(self, test_asset(5, "cash", 100, 1));
    commit(self);
}

/* ---- pulls ----------------------------------------------------------------------------------- */

static void add_pull(stage_t *stage, uint64_t uid) {
    wl_hint_t hint = {.bucket = "b", .version = uid};
    wl_pull_item_t item = {.uid = uid,
                           .seq = uid + 100,
                           .attempt = 2,
                           .notified_at = (int64_t)uid + 1000,
                           .hints = {&hint, 1}};
    wl_pull_add(stage->encoder, &item);
}

static void begin_pull(stage_t *stage, const char *line) {
    wl_pull_head_t head = {.interactive = true, .epoch = 9};
    (void)snprintf(head.line, sizeof head.line, "%s", line);
    wl_pull_begin(stage->encoder, &head);
}

Test(fetcher_consent, pulls_go_on_for_whom_a_consent_stands_and_end_for_the_others) {
    gate_world_t world;
    world_open(&world);
    store_six(&world);
    begin_pull(&world.stage, "cash");
    const uint64_t order[] = {6, 4, 2, 1, 3, 5};
    for (size_t i = 0; i < 6; i++) {
        add_pull(&world.stage, order[i]);
    }
    stage_send(&world.stage);

    wl_msg_t msg = neighbour_expect(&world.puller, WL_MSG_PULL, 2);
    cr_expect(msg.head.pull.interactive && msg.head.pull.epoch == 9);
    cr_expect_str_eq(msg.head.pull.line, "cash");
    const wl_pull_item_t *passed = &msg.items.pull[0];
    cr_expect(passed->uid == 4 && passed->seq == 104 && passed->attempt == 2);
    cr_expect_eq(passed->notified_at, 1004);
    cr_expect(passed->hints.count == 1 && passed->hints.at[0].version == 4);
    cr_expect_eq(msg.items.pull[1].uid, 1u);

    msg = neighbour_expect(&world.shard, WL_MSG_STORE, 4);
    cr_expect(msg.head.store.dispatcher == 0 && msg.head.store.epoch == 9);
    cr_expect_str_eq(msg.head.store.line, "cash");
    const uint64_t ended[] = {6, 2, 3, 5};
    for (uint32_t i = 0; i < 4; i++) {
        const wl_store_item_t *item = &msg.items.store[i];
        cr_expect(item->uid == ended[i] && item->seq == ended[i] + 100);
        cr_expect(item->outcome == WL_PULL_OK && item->assets.count == 0);
        cr_expect_eq(item->notified_at, (int64_t)ended[i] + 1000);
    }
    neighbour_hears_nothing(&world.dispatcher);
    stage_expect_counter(&world.stage, consent_denied, 4);
    world_close(&world);
}

Test(fetcher_consent, a_consent_counts_from_the_commit_that_stored_it) {
    gate_world_t world;
    world_open(&world);
    for (uint64_t version = 1; version <= 6; version++) {
        bool granted = version % 2 == 1;
        begin(&world);
        apply(&world, consent_make(7, granted, version));
        commit(&world);
        begin_pull(&world.stage, "cash");
        add_pull(&world.stage, 7);
        add_pull(&world.stage, 7); /* two pulls of one user in a message */
        stage_send(&world.stage);
        if (granted) {
            (void)neighbour_expect(&world.puller, WL_MSG_PULL, 2);
        } else {
            (void)neighbour_expect(&world.shard, WL_MSG_STORE, 2);
        }
    }
    world_close(&world);
}

Test(fetcher_consent, a_line_that_needs_no_consent_any_more_is_not_held_up) {
    gate_world_t world;
    world_open(&world);
    begin_pull(&world.stage, "coin");
    add_pull(&world.stage, 6);
    stage_send(&world.stage);
    (void)neighbour_expect(&world.puller, WL_MSG_PULL, 1);
    begin_pull(&world.stage, "unknown"); /* the puller knows what to say of it */
    add_pull(&world.stage, 6);
    stage_send(&world.stage);
    (void)neighbour_expect(&world.puller, WL_MSG_PULL, 1);
    world_close(&world);
}

Test(fetcher_consent, before_it_knows_the_lines_it_lets_nobody_through_without_a_consent) {
    gate_world_t world;
    world_prepare(&world);
    store_six(&world);
    stage_start(&world.stage, WL_ACTOR_FETCHER, wl_fetcher_run);
    begin_pull(&world.stage, "cash");
    add_pull(&world.stage, 1);
    add_pull(&world.stage, 5);
    stage_send(&world.stage);
    cr_expect_eq(neighbour_expect(&world.puller, WL_MSG_PULL, 1).items.pull[0].uid, 1u);
    cr_expect_eq(neighbour_expect(&world.shard, WL_MSG_STORE, 1).items.store[0].uid, 5u);
    world_close(&world);
}

/* ---- live questions -------------------------------------------------------------------------- */

static void begin_live(stage_t *stage, uint32_t presence) {
    wl_live_begin(stage->encoder, &(wl_live_head_t){.line = "cash",
                                                    .asker = WL_ACTOR_QUERY,
                                                    .instance = 3,
                                                    .reader = 77,
                                                    .presence = presence,
                                                    .epoch = 9});
}

static void add_live(stage_t *stage, uint64_t uid, uint8_t what, int64_t budget_ms) {
    wl_live_item_t item = {.ticket = uid + 500,
                           .uid = uid,
                           .what = what,
                           .month = "2026-11",
                           .limit = 20,
                           .cursor = {(const uint8_t *)"next", 4},
                           .deadline_at = wl_mono_now().ms + budget_ms};
    wl_live_add(stage->encoder, &item);
}

Test(fetcher_consent, live_questions_go_on_or_are_answered_as_unauthorized) {
    gate_world_t world;
    world_open(&world);
    store_six(&world);
    begin_live(&world.stage, 0);
    add_live(&world.stage, 1, WL_LIVE_DETAILS, 60000);
    add_live(&world.stage, 2, WL_LIVE_ASSETS, 60000);
    add_live(&world.stage, 4, WL_LIVE_SUMMARY, -1); /* nobody waits any more */
    add_live(&world.stage, 5, WL_LIVE_SUMMARY, 60000);
    add_live(&world.stage, 1, WL_LIVE_CONSENT, 60000); /* not for us */
    stage_send(&world.stage);

    wl_msg_t msg = neighbour_expect(&world.puller, WL_MSG_LIVE, 1);
    const wl_live_head_t *head = &msg.head.live;
    cr_expect(head->asker == WL_ACTOR_QUERY && head->instance == 3 && head->reader == 77);
    cr_expect(head->epoch == 9 && head->presence == 0 && head->sent_at == 0);
    cr_expect_str_eq(head->line, "cash");
    const wl_live_item_t *passed = &msg.items.live[0];
    cr_expect(passed->uid == 1 && passed->ticket == 501 && passed->what == WL_LIVE_DETAILS);
    cr_expect(passed->limit == 20 && passed->cursor.count == 4);
    cr_expect_str_eq(passed->month, "2026-11");

    msg = neighbour_expect(&world.presence, WL_MSG_LIVED, 2);
    const wl_lived_head_t *answer = &msg.head.lived;
    cr_expect(answer->asker == WL_ACTOR_QUERY && answer->instance == 3 && answer->reader == 77);
    cr_expect_str_eq(answer->line, "cash");
    cr_expect(msg.items.lived[0].uid == 2 && msg.items.lived[0].ticket == 502);
    cr_expect_eq(msg.items.lived[0].what, WL_LIVE_ASSETS);
    cr_expect_eq(msg.items.lived[0].error, (uint32_t)WL_ERR_UNAUTHORIZED);
    cr_expect(msg.items.lived[0].assets.count == 0);
    cr_expect(msg.items.lived[1].uid == 5 && msg.items.lived[1].what == WL_LIVE_SUMMARY);

    begin_live(&world.stage, 9); /* no such presence actor */
    add_live(&world.stage, 2, WL_LIVE_ASSETS, 60000);
    stage_send(&world.stage);
    neighbour_hears_nothing(&world.presence);
    stage_expect_counter(&world.stage, consent_denied, 2);
    stage_expect_counter(&world.stage, msg_malformed, 2);
    stage_expect_counter(&world.stage, rpc_expired, 1);
    world_close(&world);
}

/* ---- a database that cannot be read ---------------------------------------------------------- */

enum { USERS = 2000, PAGE = 4096 };

/* Everybody has consented; then some pages of the file are destroyed. */
static void store_damaged(gate_world_t *self) {
    begin(self);
    for (uint64_t uid = 1; uid <= USERS; uid++) {
        apply(self, consent_make(uid, true, 1000));
    }
    commit(self);
    wl_asset_db_close(&self->writer); /* writes the WAL back */
    char path[128];
    (void)snprintf(path, sizeof path, "%s/assets-0.db", self->stage.dir);
    int file = open(path, O_RDWR | O_CLOEXEC);
    uint8_t page[PAGE];
    uint32_t with_records = 0;
    for (off_t at = PAGE; pread(file, page, sizeof page, at) == PAGE; at += PAGE) {
        if (memmem(page, sizeof page, "!consent", 8) != NULL && ++with_records % 4 == 0) {
            memset(page, 0xa5, sizeof page);
            cr_assert_eq(pwrite(file, page, sizeof page, at), PAGE);
        }
    }
    (void)close(file);
}

Test(fetcher_consent, on_a_damaged_page_pulls_fail_and_nobody_elses_do) {
    gate_world_t world;
    world_prepare(&world);
    store_damaged(&world);
    world_start(&world);
    for (uint64_t uid = 1; uid <= USERS; uid += 200) {
        begin_pull(&world.stage, "cash");
        for (uint64_t i = 0; i < 200; i++) {
            add_pull(&world.stage, uid + i);
        }
        stage_send(&world.stage);
    }
    uint32_t passed = 0;
    uint32_t failed = 0;
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (passed + failed < USERS && wl_mono_now().ms < until) {
        wl_msg_t msg;
        if (neighbour_next(&world.puller, &msg, 10)) {
            passed += msg.count;
        }
        if (neighbour_next(&world.dispatcher, &msg, 10)) {
            cr_assert_eq(msg.id, WL_MSG_PULLED);
            cr_expect(msg.head.pulled.pause_ms == 0 && msg.head.pulled.shard == 0);
            cr_expect_str_eq(msg.head.pulled.line, "cash");
            cr_expect(!msg.items.pulled[0].held && msg.items.pulled[0].outcome == WL_PULL_RETRY);
            cr_expect_eq(msg.items.pulled[0].seq, msg.items.pulled[0].uid + 100);
            failed += msg.count;
        }
    }
    cr_expect_eq(passed + failed, (uint32_t)USERS);
    cr_expect(failed > 0 && failed < USERS / 2, "%u failed", failed);
    neighbour_hears_nothing(&world.shard);

    uint32_t refused = 0;
    begin_live(&world.stage, 0);
    for (uint64_t uid = 1; uid <= 200; uid++) {
        add_live(&world.stage, uid * 10, WL_LIVE_ASSETS, 60000);
    }
    stage_send(&world.stage);
    wl_msg_t msg = neighbour_await(&world.puller, WL_MSG_LIVE);
    passed = msg.count;
    while (passed + refused < 200 && neighbour_next(&world.presence, &msg, PATIENCE_MS)) {
        cr_assert_eq(msg.id, WL_MSG_LIVED);
        cr_expect_eq(msg.items.lived[0].error, (uint32_t)WL_ERR_UNAVAILABLE);
        refused += msg.count;
    }
    cr_expect(refused > 0 && passed + refused == 200, "%u refused", refused);
    stage_expect_counter(&world.stage, consent_denied, 0);
    world_close(&world);
}

/* ---- what is not its own --------------------------------------------------------------------- */

Test(fetcher_consent, knows_nothing_of_users_that_have_moved_and_drops_what_nobody_can_hear) {
    gate_world_t world;
    world_prepare(&world);
    wl_asset_db_close(&world.writer);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/assets-0.db", world.stage.dir);
    cr_assert_eq(unlink(path), 0);
    world.stage.settings.shard_instances = 2;
    world_start(&world);
    uint64_t foreign = 1;
    while (wl_uid_owner(foreign, 2) != 1) {
        foreign++;
    }
    begin_pull(&world.stage, "coin");
    add_pull(&world.stage, foreign);
    stage_send(&world.stage);
    begin_live(&world.stage, 0);
    add_live(&world.stage, foreign, WL_LIVE_ASSETS, 60000);
    stage_send(&world.stage);
    wl_pull_begin(world.stage.encoder, &(wl_pull_head_t){.dispatcher = 4, .line = "coin"});
    add_pull(&world.stage, 1);
    stage_send(&world.stage);
    wl_tell_users_begin(world.stage.encoder, &(wl_tell_users_head_t){.dispatcher = 4, .max = 1});
    stage_send(&world.stage);
    wl_tell_users_begin(world.stage.encoder, &(wl_tell_users_head_t){.max = 4097});
    stage_send(&world.stage);
    wl_tell_users_begin(world.stage.encoder, &(wl_tell_users_head_t){.max = 0});
    stage_send(&world.stage);
    wl_msg_t msg = neighbour_expect(&world.dispatcher, WL_MSG_PULLED, 1);
    cr_expect(msg.items.pulled[0].uid == foreign && msg.items.pulled[0].held);
    cr_expect(msg.head.pulled.shard == 1 && msg.head.pulled.pause_ms == 50);
    msg = neighbour_expect(&world.presence, WL_MSG_LIVED, 1);
    cr_expect_eq(msg.items.lived[0].error, (uint32_t)WL_ERR_UNAVAILABLE);
    stage_expect_counter(&world.stage, msg_malformed, 4);
    neighbour_hears_nothing(&world.puller);
    neighbour_hears_nothing(&world.presence);
    neighbour_hears_nothing(&world.dispatcher);
    world_close(&world);
}

/* ---- users of a line ------------------------------------------------------------------------- */

static wl_msg_t ask_users(gate_world_t *self, const char *line, uint64_t after, uint32_t max) {
    static uint64_t asked;
    wl_tell_users_head_t head = {.after = after, .max = max, .asked = ++asked};
    head.all = line == NULL;
    (void)snprintf(head.line, sizeof head.line, "%s", line == NULL ? "" : line);
    wl_tell_users_begin(self->stage.encoder, &head);
    stage_send(&self->stage);
    wl_msg_t msg = neighbour_expect(&self->dispatcher, WL_MSG_USERS, 1);
    cr_assert_eq(msg.head.users.asked, asked);
    cr_assert_eq(msg.head.users.error, (uint32_t)WL_OK);
    return msg;
}

static uint32_t walk_users(gate_world_t *self, const char *line, uint32_t max) {
    uint32_t partitions = (uint32_t)self->stage.settings.queue_partitions;
    uint64_t after = 0;
    uint32_t users = 0;
    for (bool last = false; !last;) {
        wl_msg_t msg = ask_users(self, line, after, max);
        uint64_t before = after;
        wl_u64_list_t uids = msg.items.users[0].uids;
        cr_assert_leq(uids.count, max);
        for (uint32_t i = 0; i < uids.count; i++) {
            cr_assert(uids.at[i] > before && uids.at[i] <= msg.head.users.after, "ascending");
            cr_assert_eq(wl_uid_owner(uids.at[i], partitions), 0u);
            before = uids.at[i];
        }
        users += uids.count;
        cr_assert(msg.head.users.last || msg.head.users.after > after);
        after = msg.head.users.after;
        last = msg.head.users.last;
    }
    return users;
}

Test(fetcher_consent, tells_the_users_of_a_line_page_by_page) {
    gate_world_t world;
    world_prepare(&world);
    world.stage.settings.queue_partitions = 2;
    world_start(&world);
    uint32_t ours = 0;
    uint32_t ours_with_coin = 0;
    begin(&world);
    for (uint64_t uid = 1; uid <= 3000; uid++) {
        uint64_t id = uid % 2 == 0 ? uid : UINT64_MAX - uid;
        bool coin = uid % 5 == 0;
        ours += wl_uid_owner(id, 2) == 0;
        ours_with_coin += coin && wl_uid_owner(id, 2) == 0;
        apply(&world, test_asset(id, "cash", 1, 1));
        if (coin) {
            apply(&world, test_asset(id, "coin", 1, 1));
        }
    }
    commit(&world);
    cr_expect_eq(walk_users(&world, NULL, 4096), ours, "more than one read");
    cr_expect_eq(walk_users(&world, "cash", 100), ours);
    cr_expect_eq(walk_users(&world, "coin", 1000), ours_with_coin);
    cr_expect_eq(walk_users(&world, "none", 1000), 0u);
    wl_msg_t msg = ask_users(&world, NULL, 0, 4096);
    cr_expect_not(msg.head.users.last);
    cr_expect_eq(msg.head.users.after, 2048u, "1,024 users are looked at");
    world_close(&world);
}
