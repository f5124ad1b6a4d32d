#include "write_path.h"

#include "actors/shard.h"
#include "base/slot.h"
#include "store/asset_db.h"

/* One STORE of users who each own `assets`. */
static void send_store(stage_t *stage, const char *line, const wl_store_item_t *items,
                       uint32_t count) {
    wl_store_head_t head = {.dispatcher = 0};
    (void)snprintf(head.line, sizeof head.line, "%s", line);
    wl_store_begin(stage->encoder, &head);
    for (uint32_t i = 0; i < count; i++) {
        wl_store_add(stage->encoder, &items[i]);
    }
    stage_send(stage);
}

static void send_asset(stage_t *stage, wl_asset_t asset, uint64_t seq) {
    wl_store_item_t item = {.uid = asset.uid, .seq = seq, .assets = {&asset, 1}};
    send_store(stage, asset.line, &item, 1);
}

static void send_fetch(stage_t *stage, uint64_t uid, int64_t budget_ms) {
    wl_fetch_begin(stage->encoder, &(wl_fetch_head_t){.query = 0});
    wl_fetch_add(stage->encoder,
                 &(wl_fetch_item_t){.uid = uid, .deadline_at = wl_mono_now().ms + budget_ms});
    stage_send(stage);
}

static void send_tell_owners(stage_t *stage, uint32_t presence, uint64_t after, bool trim) {
    wl_tell_owners_begin(stage->encoder, &(wl_tell_owners_head_t){
                                             .presence = presence, .after = after, .trim = trim});
    stage_send(stage);
}

typedef struct {
    stage_t stage;
    neighbour_t presence;
    neighbour_t query;
} shard_world_t;

static void world_open(shard_world_t *self) {
    stage_open_writer(&self->stage);
    self->presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    self->query = neighbour_open(WL_ACTOR_QUERY, 0);
    stage_start(&self->stage, WL_ACTOR_SHARD, wl_shard_run);
    stage_configure_writer(&self->stage, 1, "http://127.0.0.1:1", "");
}

static void world_close(shard_world_t *self) {
    neighbour_close(&self->presence);
    neighbour_close(&self->query);
    stage_close(&self->stage);
}

Test(shard, tells_what_it_stored_and_serves_it_to_reads) {
    shard_world_t world;
    world_open(&world);
    uint8_t extra[] = {0x81, 0xa1, 't', 0xa1, 'x'};
    wl_asset_t assets[2] = {test_asset(7, "cash", 100, 1), test_asset(7, "cash", 50, 4)};
    (void)snprintf(assets[1].bucket, sizeof assets[1].bucket, "gift");
    assets[1].extra = extra;
    assets[1].extra_bytes = sizeof extra;
    wl_store_item_t item = {.uid = 7, .seq = 12, .notified_at = 99, .assets = {assets, 2}};
    send_store(&world.stage, "cash", &item, 1);

    wl_msg_t msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_eq(msg.head.stored.commit_seq, 1u);
    cr_expect_geq(msg.head.stored.log_seq, 1u);
    cr_expect_str_eq(msg.head.stored.line, "cash");
    const wl_stored_item_t *stored = &msg.items.stored[0];
    cr_expect_eq(stored->seq, 12u);
    cr_expect_eq(stored->notified_at, 99);
    cr_expect_eq(stored->outcome, WL_PULL_OK);
    cr_expect(stored->owns);
    cr_assert_eq(stored->assets.count, 2u);
    cr_expect(wl_asset_equal(&stored->assets.at[1], &assets[1]));

    send_fetch(&world.stage, 7, 1000);
    msg = neighbour_expect(&world.query, WL_MSG_FETCHED, 1);
    cr_expect_eq(msg.head.fetched.commit_seq, 1u);
    cr_expect_eq(msg.head.fetched.error, (uint32_t)WL_OK);
    cr_assert_eq(msg.items.fetched[0].assets.count, 2u);
    world_close(&world);
}

Test(shard, never_lets_an_older_version_overwrite) {
    shard_world_t world;
    world_open(&world);
    send_asset(&world.stage, test_asset(7, "cash", 100, 5), 1);
    (void)neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    send_asset(&world.stage, test_asset(7, "cash", 1, 3), 2);
    wl_msg_t msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_eq(msg.items.stored[0].outcome, WL_PULL_OK);
    cr_expect_eq(msg.items.stored[0].assets.count, 0u, "what was not stored is left out");
    cr_expect(msg.items.stored[0].owns);
    send_fetch(&world.stage, 7, 1000);
    msg = neighbour_expect(&world.query, WL_MSG_FETCHED, 1);
    cr_expect_eq(msg.items.fetched[0].assets.at[0].amount, 100);
    stage_expect_counter(&world.stage, store_older_refused, 1);
    world_close(&world);
}

Test(shard, says_who_owns_nothing) {
    shard_world_t world;
    world_open(&world);
    wl_store_item_t nothing = {.uid = 8, .seq = 1};
    send_store(&world.stage, "cash", &nothing, 1);
    wl_msg_t msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_not(msg.items.stored[0].owns, "no record at all");

    send_asset(&world.stage, test_asset(8, "cash", 5, 1), 2);
    msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect(msg.items.stored[0].owns);
    send_store(&world.stage, "cash", &nothing, 1);
    msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect(msg.items.stored[0].owns, "absent from an answer is not deleted");

    wl_asset_t gone = test_asset(8, "cash", 0, 2);
    gone.state = WL_STATE_GONE;
    send_asset(&world.stage, gone, 3);
    msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_not(msg.items.stored[0].owns, "only a tombstone");
    cr_expect_eq(msg.items.stored[0].assets.count, 1u, "the tombstone travels");
    world_close(&world);
}

Test(shard, keeps_last_good_when_a_step_is_too_large) {
    shard_world_t world;
    world_open(&world);
    send_asset(&world.stage, test_asset(9, "jump", 500, 10), 1);
    wl_msg_t msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_eq(msg.items.stored[0].outcome, WL_PULL_OK);
    send_asset(&world.stage, test_asset(9, "jump", 5000, 11), 2);
    msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_eq(msg.items.stored[0].outcome, WL_PULL_REFUSED);
    cr_expect_eq(msg.items.stored[0].assets.count, 0u);
    send_asset(&world.stage, test_asset(9, "jump", 600, 1000), 3);
    msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_eq(msg.items.stored[0].outcome, WL_PULL_REFUSED, "the version is far ahead");
    send_asset(&world.stage, test_asset(9, "jump", 9000, 4), 4);
    msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_eq(msg.items.stored[0].outcome, WL_PULL_OK, "an old one is old, not insane");
    send_fetch(&world.stage, 9, 1000);
    msg = neighbour_expect(&world.query, WL_MSG_FETCHED, 1);
    cr_expect_eq(msg.items.fetched[0].assets.at[0].amount, 500);
    stage_expect_counter(&world.stage, pull_quarantined, 2);
    world_close(&world);
}

Test(shard, carries_the_outcome_of_the_pull) {
    shard_world_t world;
    world_open(&world);
    wl_asset_t asset = test_asset(7, "cash", 100, 1);
    wl_store_item_t item = {.uid = 7, .seq = 1, .outcome = WL_PULL_RETRY, .assets = {&asset, 1}};
    send_store(&world.stage, "cash", &item, 1);
    wl_msg_t msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_eq(msg.items.stored[0].outcome, WL_PULL_RETRY);
    cr_expect_eq(msg.items.stored[0].assets.count, 1u);
    world_close(&world);
}

Test(shard, drops_what_is_not_its_own_and_what_is_too_late) {
    shard_world_t world;
    stage_open_writer(&world.stage);
    world.stage.settings.shard_instances = 2;
    world.presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    world.query = neighbour_open(WL_ACTOR_QUERY, 0);
    stage_start(&world.stage, WL_ACTOR_SHARD, wl_shard_run);
    stage_configure_writer(&world.stage, 1, "http://127.0.0.1:1", "");
    uint64_t own = 1;
    while (wl_uid_owner(own, 2) != 0) {
        own++;
    }
    uint64_t foreign = 1;
    while (wl_uid_owner(foreign, 2) != 1) {
        foreign++;
    }
    send_fetch(&world.stage, foreign, 1000);
    send_fetch(&world.stage, own, -1);
    send_asset(&world.stage, test_asset(foreign, "cash", 1, 1), 1);
    wl_asset_t lie = test_asset(foreign, "cash", 1, 1); /* another user's asset in the item */
    wl_store_item_t item = {.uid = own, .seq = 1, .assets = {&lie, 1}};
    send_store(&world.stage, "cash", &item, 1);
    neighbour_hears_nothing(&world.query);
    neighbour_hears_nothing(&world.presence);
    stage_expect_counter(&world.stage, msg_malformed, 3);
    stage_expect_counter(&world.stage, rpc_expired, 1);
    world_close(&world);
}

Test(shard, stores_nothing_before_it_knows_the_rules) {
    shard_world_t world;
    stage_open_writer(&world.stage);
    world.presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    world.query = neighbour_open(WL_ACTOR_QUERY, 0);
    stage_start(&world.stage, WL_ACTOR_SHARD, wl_shard_run);
    send_asset(&world.stage, test_asset(7, "cash", 100, 1), 1);
    neighbour_hears_nothing(&world.presence);
    send_fetch(&world.stage, 7, 1000);
    wl_msg_t msg = neighbour_expect(&world.query, WL_MSG_FETCHED, 1);
    cr_expect_eq(msg.items.fetched[0].assets.count, 0u, "reads see committed data only");
    stage_configure_writer(&world.stage, 1, "http://127.0.0.1:1", "");
    (void)neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    world_close(&world);
}

Test(shard, splits_much_work_into_bounded_transactions) {
    shard_world_t world;
    world_open(&world);
    enum { USERS = 250, EACH = 16 };
    static wl_asset_t assets[USERS][EACH];
    wl_store_item_t items[USERS];
    for (uint32_t u = 0; u < USERS; u++) {
        for (uint32_t i = 0; i < EACH; i++) {
            assets[u][i] = test_asset(u + 1, "cash", i, 1);
            (void)snprintf(assets[u][i].bucket, sizeof assets[u][i].bucket, "b%u", i);
        }
        items[u] = (wl_store_item_t){.uid = u + 1, .seq = u, .assets = {assets[u], EACH}};
    }
    send_store(&world.stage, "cash", items, USERS);
    uint64_t last = 0;
    for (uint32_t seen = 0; seen < USERS;) {
        wl_msg_t msg = neighbour_await(&world.presence, WL_MSG_STORED);
        seen += msg.count;
        cr_expect_geq(msg.head.stored.commit_seq, last);
        last = msg.head.stored.commit_seq;
    }
    cr_expect_geq(last, 2u);
    stage_expect_counter(&world.stage, store_assets, USERS * EACH);
    world_close(&world);
}

Test(shard, says_nothing_about_a_transaction_that_failed) {
    shard_world_t world;
    world_open(&world);
    send_asset(&world.stage, test_asset(7, "cash", 100, 1), 1);
    (void)neighbour_expect(&world.presence, WL_MSG_STORED, 1);

    disk_limit(4096);
    send_asset(&world.stage, test_asset(7, "cash", 200, 2), 2);
    stage_expect_counter(&world.stage, store_failures, 1);
    neighbour_hears_nothing(&world.presence);
    send_fetch(&world.stage, 7, 1000);
    wl_msg_t msg = neighbour_expect(&world.query, WL_MSG_FETCHED, 1);
    cr_expect_eq(msg.items.fetched[0].assets.at[0].amount, 100, "reads go on");

    disk_limit(RLIM_INFINITY);
    send_asset(&world.stage, test_asset(7, "cash", 200, 2), 2);
    msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_eq(msg.items.stored[0].assets.count, 1u, "it recovers without a restart");
    world_close(&world);
}

Test(shard, keeps_everything_over_a_restart_and_stores_what_waits_at_the_end) {
    shard_world_t world;
    world_open(&world);
    for (uint64_t uid = 1; uid <= 500; uid++) {
        send_asset(&world.stage, test_asset(uid, "cash", (int64_t)uid, 1), uid);
    }
    stage_restart(&world.stage, wl_shard_run); /* at once: the mailbox is still full */
    send_fetch(&world.stage, 500, 1000);
    wl_msg_t msg = neighbour_expect(&world.query, WL_MSG_FETCHED, 1);
    cr_assert_eq(msg.items.fetched[0].assets.count, 1u);
    cr_expect_eq(msg.items.fetched[0].assets.at[0].amount, 500);
    world_close(&world);
}

Test(shard, refuses_to_start_on_the_file_of_another_shard) {
    stage_t stage;
    stage_open_writer(&stage);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/assets-0.db", stage.dir);
    wl_asset_db_t *db = NULL;
    wl_asset_db_options_t options = {.path = path, .shard = 3, .busy_timeout_ms = 100};
    cr_assert_eq(wl_asset_db_open(&options, &db, NULL), WL_OK);
    wl_asset_db_close(&db);
    wl_actor_options_t actor = {.settings = &stage.settings, .kind = WL_ACTOR_SHARD};
    wl_fault_t fault = {0};
    cr_expect_eq(wl_actor_start("shard.0", wl_shard_run, &actor, &stage.actor, &fault),
                 WL_ERR_SETTINGS);
    cr_expect(fault.message[0] != '\0');
    stage_close(&stage);
}

Test(shard, refuses_to_start_with_another_number_of_shards) {
    shard_world_t world;
    world_open(&world);
    send_asset(&world.stage, test_asset(7, "cash", 100, 1), 1);
    (void)neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    (void)stage_stop(&world.stage);
    world.stage.settings.shard_instances = 4; /* users would be looked for in the wrong file */
    wl_actor_options_t actor = {.settings = &world.stage.settings, .kind = WL_ACTOR_SHARD};
    wl_fault_t fault = {0};
    wl_err_t err = WL_ERR_BIND;
    for (int i = 0; err == WL_ERR_BIND && i < 500; i++) { /* its old mailbox goes in a moment */
        err = wl_actor_start("shard.0", wl_shard_run, &actor, &world.stage.actor, &fault);
        (void)zmq_poll(NULL, 0, 2);
    }
    cr_expect_eq(err, WL_ERR_SETTINGS);
    world_close(&world);
}

/* ---- owners ---------------------------------------------------------------------------------- */

/* Adds what one presence is told to `seen` until `last`; returns the log number then. */
static uint64_t hear_owners(neighbour_t *presence, uint32_t instance, uint8_t *seen,
                            uint64_t seen_max) {
    for (;;) {
        wl_msg_t msg = neighbour_await(presence, WL_MSG_OWNERS);
        for (uint32_t i = 0; i < msg.count; i++) {
            for (uint32_t k = 0; k < msg.items.owners[i].uids.count; k++) {
                uint64_t uid = msg.items.owners[i].uids.at[k];
                cr_assert(uid > 0 && uid < seen_max);
                cr_assert_eq(wl_uid_owner(uid, 2), instance, "a user of the other presence");
                seen[uid]++;
            }
        }
        if (msg.head.owners.last) {
            return msg.head.owners.log_seq;
        }
        cr_expect_eq(msg.head.owners.log_seq, 0u, "half a scan is no ground for a snapshot");
    }
}

/* Stores one asset for each user of [from, to). */
static void store_range(shard_world_t *world, uint64_t from, uint64_t to) {
    for (uint64_t uid = from; uid < to; uid += 200) {
        wl_asset_t assets[200];
        wl_store_item_t items[200];
        uint32_t count = 0;
        for (; count < 200 && uid + count < to; count++) {
            assets[count] = test_asset(uid + count, "cash", 1, 1);
            items[count] =
                (wl_store_item_t){.uid = uid + count, .seq = 1, .assets = {&assets[count], 1}};
        }
        send_store(&world->stage, "cash", items, count);
    }
    cr_expect_geq(stage_counter(&world->stage, WL_COUNTER_store_assets, to - 1), to - 1);
}

Test(shard, tells_each_presence_its_owners_by_scan_and_then_by_log) {
    shard_world_t world;
    stage_open_writer(&world.stage);
    world.stage.settings.presence_instances = 2;
    world.presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    world.query = neighbour_open(WL_ACTOR_QUERY, 0);
    neighbour_t other = neighbour_open(WL_ACTOR_PRESENCE, 1);
    stage_start(&world.stage, WL_ACTOR_SHARD, wl_shard_run);
    stage_configure_writer(&world.stage, 1, "http://127.0.0.1:1", "");
    enum { USERS = 10001, MORE = 10101 };
    static uint8_t seen[MORE];
    store_range(&world, 1, USERS);
    wl_asset_t gone = test_asset(5, "cash", 0, 2);
    gone.state = WL_STATE_GONE;
    send_asset(&world.stage, gone, 9);

    send_tell_owners(&world.stage, 0, 0, false);
    send_tell_owners(&world.stage, 1, 0, false);
    uint64_t log_seq = hear_owners(&world.presence, 0, seen, MORE);
    cr_expect_eq(hear_owners(&other, 1, seen, MORE), log_seq);
    cr_expect_eq(log_seq, (uint64_t)USERS - 1);
    for (uint64_t uid = 1; uid < USERS; uid++) {
        cr_assert_eq(seen[uid], uid == 5 ? 0 : 1, "user %llu", (unsigned long long)uid);
    }

    store_range(&world, USERS, MORE);
    send_tell_owners(&world.stage, 0, log_seq, false);
    memset(seen, 0, sizeof seen);
    cr_expect_eq(hear_owners(&world.presence, 0, seen, MORE), (uint64_t)MORE - 1);
    for (uint64_t uid = 1; uid < MORE; uid++) {
        cr_assert_eq(seen[uid], uid >= USERS && wl_uid_owner(uid, 2) == 0);
    }
    neighbour_close(&other);
    world_close(&world);
}

Test(shard, scans_anew_when_the_log_was_trimmed_or_belongs_to_another_file) {
    shard_world_t world;
    stage_open_writer(&world.stage);
    world.stage.settings.presence_instances = 2;
    world.presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    world.query = neighbour_open(WL_ACTOR_QUERY, 0);
    neighbour_t other = neighbour_open(WL_ACTOR_PRESENCE, 1);
    stage_start(&world.stage, WL_ACTOR_SHARD, wl_shard_run);
    stage_configure_writer(&world.stage, 1, "http://127.0.0.1:1", "");
    enum { USERS = 301 };
    static uint8_t seen[USERS];
    store_range(&world, 1, USERS);

    send_tell_owners(&world.stage, 0, 1000000, false);
    cr_expect_eq(hear_owners(&world.presence, 0, seen, USERS), (uint64_t)USERS - 1);
    uint64_t all = 0;
    for (uint64_t uid = 1; uid < USERS; uid++) {
        all += seen[uid];
    }
    cr_expect_gt(all, 100u, "everybody was told, not a part of the log");

    /* One presence alone does not let the log go: the other one still needs it. */
    send_tell_owners(&world.stage, 0, 200, true);
    wl_msg_t msg;
    send_tell_owners(&world.stage, 1, 100, false);
    cr_assert(neighbour_seek(&other, WL_MSG_OWNERS, &msg, PATIENCE_MS));
    cr_expect_lt(msg.items.owners[0].uids.count, 190u, "the log from 100 on");
    send_tell_owners(&world.stage, 1, 200, true);
    send_tell_owners(&world.stage, 1, 100, false);
    memset(seen, 0, sizeof seen);
    (void)hear_owners(&other, 1, seen, USERS);
    uint64_t early = 0;
    for (uint64_t uid = 1; uid <= 100; uid++) {
        early += seen[uid];
    }
    cr_expect_gt(early, 0u, "trimmed: a full scan");
    neighbour_close(&other);
    world_close(&world);
}
