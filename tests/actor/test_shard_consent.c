/* What consents do to what a shard stores. */
#include "actors/shard.h"
#include "actors/shard_consent.h"
#include "actors/store_options.h"
#include "write_path.h"

#include <sqlite3.h>

/* Lines that need a consent, one with limited steps, and one that needs none. */
static const char consent_integration[] =
    "{\"version\":1,\"lines\":{"
    "\"cash\":{\"kind\":\"cash\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"CNY\",\"scale\":2,"
    "\"consent\":true,\"sanity\":{\"jump_max\":\"1000\",\"version_ahead_max\":\"100\"}},"
    "\"coin\":{\"kind\":\"coin\",\"url\":\"http://127.0.0.1:1\",\"unit\":\"bean\"}}}";

typedef struct {
    stage_t stage;
    neighbour_t presence;
} consent_world_t;

static void world_open(consent_world_t *self) {
    stage_open_writer(&self->stage);
    self->presence = neighbour_open(WL_ACTOR_PRESENCE, 0);
    stage_start(&self->stage, WL_ACTOR_SHARD, wl_shard_run);
    char text[sizeof consent_integration + sizeof test_integration];
    (void)snprintf(text, sizeof text, "%s", consent_integration);
    wl_config_head_t head = {.version = "1.7"};
    static const char presentation[] = "{\"version\":7,\"golden\":[],\"sections\":[]}";
    wl_config_item_t item = {
        .integration = {(const uint8_t *)text, strlen(text)},
        .presentation = {(const uint8_t *)presentation, sizeof presentation - 1}};
    wl_config_begin(self->stage.encoder, &head);
    wl_config_add(self->stage.encoder, &item);
    stage_send(&self->stage);
}

static void world_close(consent_world_t *self) {
    neighbour_close(&self->presence);
    stage_close(&self->stage);
}

static wl_asset_t consent_make(uint64_t uid, bool granted, uint64_t version) {
    wl_asset_t record = test_asset(uid, "cash", 0, version);
    (void)snprintf(record.bucket, sizeof record.bucket, "%s", WL_BUCKET_CONSENT);
    record.state = granted ? WL_STATE_AVAILABLE : WL_STATE_GONE;
    record.changed_at = (int64_t)version;
    return record;
}

/* One STORE of one item for each asset; returns what was told of it. */
static wl_msg_t store(consent_world_t *self, const wl_asset_t *assets, uint32_t count) {
    wl_store_head_t head = {.dispatcher = 0};
    (void)snprintf(head.line, sizeof head.line, "%s", assets[0].line);
    wl_store_begin(self->stage.encoder, &head);
    for (uint32_t i = 0; i < count; i++) {
        wl_asset_t asset = assets[i];
        wl_store_item_t item = {.uid = asset.uid, .seq = i + 1, .assets = {&asset, 1}};
        wl_store_add(self->stage.encoder, &item);
    }
    stage_send(&self->stage);
    return neighbour_expect(&self->presence, WL_MSG_STORED, count);
}

/* Of one asset: what was told, checked for its number of records. */
static wl_stored_item_t store_one(consent_world_t *self, wl_asset_t asset, uint32_t told) {
    wl_msg_t msg = store(self, &asset, 1);
    cr_assert_eq(msg.items.stored[0].assets.count, told, "%u records told",
                 msg.items.stored[0].assets.count);
    return msg.items.stored[0];
}

static void file_path(const consent_world_t *self, const char *end, char *ret, size_t bytes) {
    (void)snprintf(ret, bytes, "%s/assets-0.db%s", self->stage.dir, end);
}

static long long number(const consent_world_t *self, const char *sql) {
    char path[128];
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    file_path(self, "", path, sizeof path);
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    (void)sqlite3_busy_timeout(db, PATIENCE_MS);
    cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    long long found = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return found;
}

Test(shard_consent, nothing_of_a_line_that_needs_a_consent_is_stored_without_one) {
    consent_world_t world;
    world_open(&world);
    wl_stored_item_t stored = store_one(&world, test_asset(7, "cash", 100, 1), 0);
    cr_expect_eq(stored.outcome, WL_PULL_OK, "the pull has ended");
    cr_expect_not(stored.owns);
    stored = store_one(&world, test_asset(7, "coin", 5, 1), 1);
    cr_expect(stored.owns, "another line needs none");
    stored = store_one(&world, test_asset(7, "cash", 100, 1), 0);
    cr_expect(stored.owns, "of the other line");
    cr_expect_eq(number(&world, "SELECT count(*) FROM asset"), 1);
    stage_expect_counter(&world.stage, consent_refused, 2);
    stage_expect_counter(&world.stage, store_assets, 1);
    world_close(&world);
}

Test(shard_consent, a_consent_that_stands_lets_assets_in_until_it_is_over) {
    consent_world_t world;
    world_open(&world);
    wl_stored_item_t stored = store_one(&world, consent_make(7, true, 1000), 1);
    cr_expect(stored.owns);
    cr_expect_eq(stored.outcome, WL_PULL_OK);
    stored = store_one(&world, test_asset(7, "cash", 100, 1), 1);
    cr_expect_eq(stored.assets.at[0].amount, 100);
    (void)store_one(&world, test_asset(8, "cash", 100, 1), 0); /* another user's counts for none */

    wl_asset_t short_one = consent_make(7, true, 2000000); /* steps of consents are not limited */
    short_one.expires_at = wl_wall_now().ms - 1;
    (void)store_one(&world, short_one, 1);
    (void)store_one(&world, test_asset(7, "cash", 100, 2), 0);
    wl_asset_t long_one = consent_make(7, true, 3000000);
    long_one.expires_at = wl_wall_now().ms + 600000;
    (void)store_one(&world, long_one, 1);
    (void)store_one(&world, test_asset(7, "cash", 100, 2), 1);
    cr_expect_eq(number(&world, "SELECT count(*) FROM consent WHERE uid = 7 AND line = 'cash' AND"
                                " granted = 1 AND via = 'wallet.consent'"),
                 3);
    world_close(&world);
}

Test(shard_consent, withdrawn_it_takes_everything_of_the_line_with_it_and_is_told_alone) {
    consent_world_t world;
    world_open(&world);
    (void)store_one(&world, consent_make(7, true, 1000), 1);
    (void)store_one(&world, test_asset(7, "cash", 100, 9), 1);
    wl_asset_t gift = test_asset(7, "cash", 50, 9);
    (void)snprintf(gift.bucket, sizeof gift.bucket, "gift");
    (void)store_one(&world, gift, 1);

    wl_stored_item_t stored = store_one(&world, consent_make(7, false, 1001), 1);
    cr_expect(wl_asset_is_consent(&stored.assets.at[0]));
    cr_expect_eq(stored.assets.at[0].state, WL_STATE_GONE);
    cr_expect_not(stored.owns, "nothing else is there");
    cr_expect_eq(number(&world, "SELECT count(*) FROM asset"), 1);
    (void)store_one(&world, test_asset(7, "cash", 100, 10), 0);

    stored = store_one(&world, consent_make(7, true, 1002), 1);
    cr_expect(stored.owns);
    stored = store_one(&world, test_asset(7, "cash", 100, 9), 1);
    cr_expect_eq(stored.assets.at[0].version, 9u, "the same version is new again");
    (void)store_one(&world, test_asset(7, "coin", 5, 1), 1);
    stored = store_one(&world, consent_make(7, false, 1003), 1);
    cr_expect(stored.owns, "something of another line");
    cr_expect_eq(number(&world, "SELECT group_concat(granted, '') FROM consent"), 1010);
    world_close(&world);
}

Test(shard_consent, what_the_same_transaction_stored_before_a_withdrawal_is_not_told) {
    consent_world_t world;
    world_open(&world);
    (void)store_one(&world, consent_make(7, true, 1000), 1);
    wl_asset_t assets[] = {test_asset(7, "cash", 100, 1), test_asset(8, "cash", 0, 1),
                           consent_make(7, false, 1001), test_asset(7, "cash", 100, 2)};
    wl_msg_t msg = store(&world, assets, 4);
    const wl_stored_item_t *items = msg.items.stored;
    cr_expect(items[0].assets.count == 0 && !items[0].owns && items[0].outcome == WL_PULL_OK);
    cr_expect_eq(items[1].assets.count, 0u);
    cr_expect(items[2].assets.count == 1 && !items[2].owns);
    cr_expect(items[3].assets.count == 0 && !items[3].owns);
    cr_expect_eq(number(&world, "SELECT count(*) FROM asset"), 1);
    world_close(&world);
}

Test(shard_consent, an_older_withdrawal_changes_nothing_and_the_same_one_again_nothing_more) {
    consent_world_t world;
    world_open(&world);
    (void)store_one(&world, consent_make(7, true, 2000), 1);
    (void)store_one(&world, test_asset(7, "cash", 100, 1), 1);
    wl_stored_item_t stored = store_one(&world, consent_make(7, false, 1000), 1);
    cr_expect_eq(stored.assets.at[0].state, WL_STATE_AVAILABLE, "what stands is told");
    cr_expect_eq(stored.assets.at[0].version, 2000u);
    cr_expect_eq(stored.outcome, WL_PULL_RETRY, "and that it is another one");
    stored = store_one(&world, consent_make(7, false, 2000), 1); /* of two writers: the first */
    cr_expect_eq(stored.assets.at[0].state, WL_STATE_AVAILABLE);
    cr_expect(stored.owns);
    cr_expect_eq(number(&world, "SELECT count(*) FROM asset"), 2);

    (void)store_one(&world, consent_make(7, false, 3000), 1);
    stored = store_one(&world, consent_make(7, false, 3000), 1);
    cr_expect_eq(stored.assets.at[0].state, WL_STATE_GONE);
    cr_expect_eq(stored.outcome, WL_PULL_OK);
    cr_expect_not(stored.owns);
    stored = store_one(&world, consent_make(7, true, 2500), 1);
    cr_expect_eq(stored.assets.at[0].state, WL_STATE_GONE, "an older grant neither");
    cr_expect_eq(stored.outcome, WL_PULL_RETRY);
    cr_expect_eq(number(&world, "SELECT count(*) FROM asset"), 1);
    cr_expect_eq(number(&world, "SELECT count(*) FROM consent"), 2);
    world_close(&world);
}

Test(shard_consent, a_user_who_is_full_can_withdraw_and_is_told_that_giving_failed) {
    consent_world_t world;
    world_open(&world);
    wl_asset_t assets[WL_USER_ASSETS_MAX];
    for (uint32_t i = 0; i < WL_USER_ASSETS_MAX; i++) {
        assets[i] = test_asset(7, "coin", 1, 1);
        (void)snprintf(assets[i].bucket, sizeof assets[i].bucket, "b%u", i);
    }
    (void)store(&world, assets, WL_USER_ASSETS_MAX);
    wl_stored_item_t stored = store_one(&world, consent_make(7, true, 1000), 0);
    cr_expect_eq(stored.outcome, WL_PULL_REFUSED);
    assets[0].state = WL_STATE_GONE;
    assets[0].version = 2;
    (void)store_one(&world, assets[0], 1); /* a tombstone keeps its place */
    stored = store_one(&world, consent_make(7, false, 1001), 0);
    cr_expect_eq(stored.outcome, WL_PULL_REFUSED, "there was nothing to withdraw");
    cr_expect_eq(number(&world, "SELECT count(*) FROM consent"), 0);
    wl_asset_t coin = consent_make(7, false, 1002);
    (void)snprintf(coin.line, sizeof coin.line, "coin");
    stored = store_one(&world, coin, 1);
    cr_expect_eq(stored.outcome, WL_PULL_OK, "what was deleted made room");
    cr_expect_eq(number(&world, "SELECT count(*) FROM asset"), 1);
    world_close(&world);
}

static bool files_hold(const consent_world_t *self, const char *mark) {
    static char bytes[4 << 20];
    const char *const ends[] = {"", "-wal"};
    bool held = false;
    for (size_t i = 0; i < 2; i++) {
        char path[128];
        file_path(self, ends[i], path, sizeof path);
        FILE *file = fopen(path, "r");
        if (file != NULL) {
            size_t count = fread(bytes, 1, sizeof bytes, file);
            (void)fclose(file);
            held = held || memmem(bytes, count, mark, strlen(mark)) != NULL;
        }
    }
    return held;
}

Test(shard_consent, soon_after_a_withdrawal_the_files_hold_nothing_of_it) {
    consent_world_t world;
    world_open(&world);
    uint8_t extra[] = {0x81, 0xa1, 't', 0xa9, 's', 'e', 'c', 'r', 'e', 't', '-', '4', '2'};
    wl_asset_t asset = test_asset(7, "cash", 100, 1);
    asset.extra = extra;
    asset.extra_bytes = sizeof extra;
    (void)store_one(&world, consent_make(7, true, 1000), 1);
    (void)store_one(&world, asset, 1);
    cr_expect(files_hold(&world, "secret-42"), "this test can fail");
    (void)store_one(&world, consent_make(7, false, 1001), 1);
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (files_hold(&world, "secret-42") && wl_mono_now().ms < until) {
        (void)zmq_poll(NULL, 0, 10);
    }
    cr_expect_not(files_hold(&world, "secret-42"));
    world_close(&world);
}
