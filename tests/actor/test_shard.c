#include "write_path.h"

#include "actors/shard.h"
#include "actors/store_options.h"
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

/* What the database of the shard holds of a user, read by a handle of its own. */
static uint32_t look(const stage_t *stage, uint64_t uid, wl_asset_rows_t *rows) {
    wl_store_text_t text;
    wl_asset_db_options_t options = wl_store_options_assets(&stage->settings, 0, true, &text);
    wl_asset_db_t *db = NULL;
    uint64_t commit_seq = 0;
    cr_assert_eq(wl_asset_db_open(&options, &db, NULL), WL_OK);
    wl_asset_rows_clear(rows);
    cr_assert_eq(wl_asset_db_fetch_many(db, &uid, 1, rows, &commit_seq), WL_OK);
    wl_asset_db_close(&db);
    return rows->count;
}

static int64_t look_amount(const stage_t *stage, uint64_t uid) {
    wl_asset_rows_t rows = {0};
    int64_t amount = look(stage, uid, &rows) == 1 ? rows.at[0].amount : -1;
    wl_asset_rows_destroy(&rows);
    return amount;
}

static void send_tell_owners(stage_t *stage, uint32_t presence, uint64_t after, bool trim) {
    wl_tell_owners_begin(stage->encoder, &(wl_tell_owners_head_t){
                                             .presence = presence, .after = after, .trim = trim});
    stage_send(stage);
}

typedef struct {
    stage_t stage;
    neighbour_t presence;
} shard_world_t;

static void world_open(shard_world_t *self) {
    stage_open_writer(&self->stage);
    self->presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    stage_start(&self->stage, WL_ACTOR_SHARD, wl_shard_run);
    stage_configure_writer(&self->stage, 1, "http://127.0.0.1:1", "");
}

static void world_close(shard_world_t *self) {
    neighbour_close(&self->presence);
    stage_close(&self->stage);
}

Test(shard, tells_what_it_stored) {
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

    wl_asset_rows_t rows = {0};
    cr_expect_eq(look(&world.stage, 7, &rows), 2u);
    wl_asset_rows_destroy(&rows);
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
    cr_assert_eq(msg.items.stored[0].assets.count, 1u);
    cr_expect_eq(msg.items.stored[0].assets.at[0].amount, 100, "what stands is told");
    cr_expect_eq(msg.items.stored[0].assets.at[0].version, 5u);
    cr_expect(msg.items.stored[0].owns);
    cr_expect_eq(look_amount(&world.stage, 7), 100);
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
    cr_expect_eq(look_amount(&world.stage, 9), 500);
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

Test(shard, hands_back_who_has_moved_and_drops_what_is_not_sound) {
    shard_world_t world;
    neighbour_t dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    stage_open_writer(&world.stage);
    world.stage.settings.shard_instances = 2;
    world.presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
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
    send_asset(&world.stage, test_asset(foreign, "cash", 1, 1), 1);
    wl_asset_t lie = test_asset(foreign, "cash", 1, 1); /* another user's asset in the item */
    wl_store_item_t item = {.uid = own, .seq = 1, .assets = {&lie, 1}};
    send_store(&world.stage, "cash", &item, 1);
    wl_msg_t msg = neighbour_expect(&dispatcher, WL_MSG_PULLED, 1);
    cr_expect(msg.items.pulled[0].uid == foreign && msg.items.pulled[0].seq == 1);
    cr_expect(msg.items.pulled[0].held && msg.items.pulled[0].outcome == WL_PULL_RETRY);
    cr_expect(msg.head.pulled.shard == 1 && msg.head.pulled.pause_ms == 50);
    neighbour_hears_nothing(&world.presence);
    neighbour_hears_nothing(&dispatcher);
    stage_expect_counter(&world.stage, msg_malformed, 1);
    neighbour_close(&dispatcher);
    world_close(&world);
}

Test(shard, stores_nothing_before_it_knows_the_rules) {
    shard_world_t world;
    stage_open_writer(&world.stage);
    world.presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    stage_start(&world.stage, WL_ACTOR_SHARD, wl_shard_run);
    send_asset(&world.stage, test_asset(7, "cash", 100, 1), 1);
    neighbour_hears_nothing(&world.presence);
    cr_expect_eq(look_amount(&world.stage, 7), -1);
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

Test(shard, hands_back_at_once_what_it_cannot_store) {
    shard_world_t world;
    neighbour_t dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    world_open(&world);
    send_asset(&world.stage, test_asset(7, "cash", 100, 1), 1);
    (void)neighbour_expect(&world.presence, WL_MSG_STORED, 1);

    disk_limit(4096);
    send_asset(&world.stage, test_asset(7, "cash", 200, 2), 2);
    wl_msg_t msg = neighbour_expect(&dispatcher, WL_MSG_PULLED, 1);
    cr_expect_str_eq(msg.head.pulled.line, "cash");
    cr_expect_eq(msg.head.pulled.shard, 1u);
    cr_expect_gt(msg.head.pulled.pause_ms, 0);
    cr_expect_eq(msg.items.pulled[0].uid, 7u);
    cr_expect_eq(msg.items.pulled[0].seq, 2u);
    cr_expect(msg.items.pulled[0].held, "no attempt of the line");
    stage_expect_counter(&world.stage, store_failures, 1);
    neighbour_hears_nothing(&world.presence);

    disk_limit(RLIM_INFINITY);
    cr_expect_eq(look_amount(&world.stage, 7), 100);
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    do { /* within its pause it tries nothing */
        send_asset(&world.stage, test_asset(7, "cash", 200, 2), 2);
    } while (!neighbour_seek(&world.presence, WL_MSG_STORED, &msg, 50) && wl_mono_now().ms < until);
    cr_assert_eq(msg.id, WL_MSG_STORED);
    cr_expect_eq(msg.items.stored[0].assets.count, 1u, "it recovers without a restart");
    neighbour_close(&dispatcher);
    world_close(&world);
}

Test(shard, keeps_everything_over_a_restart_and_stores_what_waits_at_the_end) {
    shard_world_t world;
    world_open(&world);
    for (uint64_t uid = 1; uid <= 500; uid++) {
        send_asset(&world.stage, test_asset(uid, "cash", (int64_t)uid, 1), uid);
    }
    stage_restart(&world.stage, wl_shard_run); /* at once: the mailbox is still full */
    cr_expect_eq(look_amount(&world.stage, 500), 500);
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

/* ---- epochs, losses, trims ------------------------------------------------------------------- */

static void send_epoch(stage_t *stage, uint32_t dispatcher, uint64_t epoch, uint64_t uid,
                       uint64_t version) {
    wl_asset_t asset = test_asset(uid, "cash", (int64_t)version, version);
    wl_store_item_t item = {.uid = uid, .seq = version, .assets = {&asset, 1}};
    wl_store_head_t head = {.dispatcher = dispatcher, .line = "cash", .epoch = epoch};
    wl_store_begin(stage->encoder, &head);
    wl_store_add(stage->encoder, &item);
    stage_send(stage);
}

Test(shard, stores_nothing_of_a_dispatcher_whose_lease_is_over) {
    shard_world_t world;
    stage_open_writer(&world.stage);
    world.stage.settings.queue_partitions = 2;
    world.presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    stage_start(&world.stage, WL_ACTOR_SHARD, wl_shard_run);
    stage_configure_writer(&world.stage, 1, "http://127.0.0.1:1", "");
    send_epoch(&world.stage, 0, 7, 1, 1);
    (void)neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    send_epoch(&world.stage, 0, 6, 1, 2);
    send_epoch(&world.stage, 1, 3, 2, 1);
    wl_msg_t msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_eq(msg.items.stored[0].uid, 2u, "another partition goes on");
    neighbour_hears_nothing(&world.presence);
    stage_expect_counter(&world.stage, store_stale_epoch, 1);
    cr_expect_eq(look_amount(&world.stage, 1), 1);
    send_epoch(&world.stage, 0, 8, 1, 3);
    msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_expect_eq(msg.items.stored[0].assets.at[0].version, 3u);
    world_close(&world);
}

Test(shard, repairs_a_cache_that_missed_a_newer_record_with_its_extra) {
    shard_world_t world;
    world_open(&world);
    uint8_t extra[] = {0x81, 0xa1, 't', 0xa1, 'x'};
    wl_asset_t newer = test_asset(7, "cash", 100, 5);
    newer.extra = extra;
    newer.extra_bytes = sizeof extra;
    send_asset(&world.stage, newer, 1);
    (void)neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    wl_asset_t gone = test_asset(8, "cash", 0, 5);
    gone.state = WL_STATE_GONE;
    send_asset(&world.stage, gone, 2);
    (void)neighbour_expect(&world.presence, WL_MSG_STORED, 1);

    send_asset(&world.stage, test_asset(7, "cash", 1, 4), 3);
    wl_msg_t msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_assert_eq(msg.items.stored[0].assets.count, 1u);
    cr_expect(wl_asset_equal(&msg.items.stored[0].assets.at[0], &newer));
    send_asset(&world.stage, test_asset(8, "cash", 1, 4), 4);
    msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
    cr_assert_eq(msg.items.stored[0].assets.count, 1u);
    cr_expect_eq(msg.items.stored[0].assets.at[0].state, WL_STATE_GONE, "a tombstone stays one");
    cr_expect_not(msg.items.stored[0].owns);
    world_close(&world);
}

Test(shard, counts_what_it_sends_so_that_a_loss_shows) {
    shard_world_t world;
    world_open(&world);
    for (uint64_t i = 1; i <= 3; i++) {
        send_asset(&world.stage, test_asset(i, "cash", 1, 1), i);
        wl_msg_t msg = neighbour_expect(&world.presence, WL_MSG_STORED, 1);
        cr_expect_eq(msg.head.stored.serial, i);
    }
    world_close(&world);
}

static uint64_t owner_rows(const stage_t *stage, uint64_t after) {
    wl_store_text_t text;
    wl_asset_db_options_t options = wl_store_options_assets(&stage->settings, 0, true, &text);
    wl_asset_db_t *db = NULL;
    uint64_t uids[64];
    uint64_t last = 0;
    uint32_t count = 0;
    cr_assert_eq(wl_asset_db_open(&options, &db, NULL), WL_OK);
    wl_err_t err = wl_asset_db_owner_log(db, after, 64, uids, &count, &last);
    wl_asset_db_close(&db);
    return err == WL_ERR_NOT_FOUND ? UINT64_MAX : count;
}

Test(shard, lets_the_owner_log_go_once_every_presence_has_it_on_disk) {
    shard_world_t world;
    stage_open_writer(&world.stage);
    world.stage.settings.presence_instances = 2;
    world.presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    stage_start(&world.stage, WL_ACTOR_SHARD, wl_shard_run);
    stage_configure_writer(&world.stage, 1, "http://127.0.0.1:1", "");
    for (uint64_t uid = 1; uid <= 30; uid++) {
        send_asset(&world.stage, test_asset(uid, "cash", 1, 1), uid);
    }
    cr_expect_geq(stage_counter(&world.stage, WL_COUNTER_store_assets, 30), 30u);
    send_tell_owners(&world.stage, 0, 20, true);
    send_tell_owners(&world.stage, 1, 10, false); /* not for the shard */
    stage_expect_counter(&world.stage, msg_malformed, 1);
    cr_expect_eq(owner_rows(&world.stage, 5), 25u, "the other one still needs it");
    send_tell_owners(&world.stage, 1, 10, true);
    send_tell_owners(&world.stage, 9, 10, true);
    stage_expect_counter(&world.stage, msg_malformed, 2);
    cr_expect_eq(owner_rows(&world.stage, 5), UINT64_MAX, "trimmed");
    cr_expect_eq(owner_rows(&world.stage, 10), 20u);
    world_close(&world);
}
