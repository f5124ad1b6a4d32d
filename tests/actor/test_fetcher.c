#include "actors/fetcher.h"

#include "actors/store_options.h"
#include "base/slot.h"
#include "write_path.h"

#include <fcntl.h>
#include <unistd.h>

enum { USERS_MAX = 20000 };

typedef struct {
    stage_t stage;
    neighbour_t query;
    neighbour_t presence[2];
    wl_asset_db_t *writer; /* in the place of the shard actor */
    uint64_t commit_seq;   /* of its last commit */
} fetcher_world_t;

static void world_prepare(fetcher_world_t *self) {
    memset(self, 0, sizeof *self);
    stage_open_writer(&self->stage);
    self->stage.settings.presence_instances = 2;
    wl_store_text_t text;
    wl_asset_db_options_t options = wl_store_options_assets(&self->stage.settings, 0, false, &text);
    cr_assert_eq(wl_asset_db_open(&options, &self->writer, NULL), WL_OK);
    self->query = neighbour_open(WL_ACTOR_QUERY, 0);
    self->presence[0] = neighbour_open(WL_ACTOR_PRESENCE, 0);
    self->presence[1] = neighbour_open(WL_ACTOR_PRESENCE, 1);
}

static void world_open(fetcher_world_t *self) {
    world_prepare(self);
    stage_start(&self->stage, WL_ACTOR_FETCHER, wl_fetcher_run);
}

static void world_close(fetcher_world_t *self) {
    wl_actor_destroy(&self->stage.actor);
    wl_asset_db_close(&self->writer);
    neighbour_close(&self->query);
    neighbour_close(&self->presence[0]);
    neighbour_close(&self->presence[1]);
    stage_close(&self->stage);
}

static void store(fetcher_world_t *self, const wl_asset_t *assets, uint32_t count) {
    wl_apply_result_t result = WL_APPLY_OLDER;
    cr_assert_eq(wl_asset_db_begin(self->writer), WL_OK);
    for (uint32_t i = 0; i < count; i++) {
        cr_assert_eq(wl_asset_db_apply(self->writer, &assets[i], &result), WL_OK);
    }
    cr_assert_eq(wl_asset_db_commit(self->writer, &self->commit_seq), WL_OK);
}

/* One asset for each user of [from, to). */
static void store_range(fetcher_world_t *self, uint64_t from, uint64_t to) {
    static wl_asset_t assets[USERS_MAX];
    uint32_t count = 0;
    for (uint64_t uid = from; uid < to; uid++) {
        assets[count++] = test_asset(uid, "cash", (int64_t)uid, 1);
    }
    store(self, assets, count);
}

static void add_fetch(stage_t *stage, uint64_t uid, int64_t budget_ms) {
    wl_fetch_add(stage->encoder,
                 &(wl_fetch_item_t){.uid = uid, .deadline_at = wl_mono_now().ms + budget_ms});
}

static void send_fetch(stage_t *stage, uint64_t uid, int64_t budget_ms) {
    wl_fetch_begin(stage->encoder, &(wl_fetch_head_t){.query = 0});
    add_fetch(stage, uid, budget_ms);
    stage_send(stage);
}

/* ---- reads ----------------------------------------------------------------------------------- */

Test(fetcher, reads_what_was_committed_and_says_up_to_which_commit) {
    fetcher_world_t world;
    world_open(&world);
    send_fetch(&world.stage, 7, 1000);
    wl_msg_t msg = neighbour_expect(&world.query, WL_MSG_FETCHED, 1);
    cr_expect_eq(msg.head.fetched.commit_seq, 0u);
    cr_expect_eq(msg.items.fetched[0].assets.count, 0u);

    uint8_t extra[] = {0x81, 0xa1, 't', 0xa1, 'x'};
    wl_asset_t assets[3] = {test_asset(7, "cash", 100, 1), test_asset(7, "coin", 50, 4),
                            test_asset(8, "cash", 5, 1)};
    assets[1].extra = extra;
    assets[1].extra_bytes = sizeof extra;
    store(&world, assets, 3);
    send_fetch(&world.stage, 7, 1000);
    msg = neighbour_expect(&world.query, WL_MSG_FETCHED, 1);
    cr_expect_eq(msg.head.fetched.commit_seq, world.commit_seq);
    cr_expect_eq(msg.head.fetched.shard, 0u);
    cr_expect_eq(msg.head.fetched.error, (uint32_t)WL_OK);
    cr_assert_eq(msg.items.fetched[0].assets.count, 2u);
    cr_expect(wl_asset_equal(&msg.items.fetched[0].assets.at[0], &assets[0]));
    cr_expect(wl_asset_equal(&msg.items.fetched[0].assets.at[1], &assets[1]));

    wl_apply_result_t result;
    wl_asset_t newer = test_asset(7, "cash", 1, 2);
    cr_assert_eq(wl_asset_db_begin(world.writer), WL_OK);
    cr_assert_eq(wl_asset_db_apply(world.writer, &newer, &result), WL_OK);
    send_fetch(&world.stage, 7, 1000);
    msg = neighbour_expect(&world.query, WL_MSG_FETCHED, 1);
    cr_expect_eq(msg.items.fetched[0].assets.at[0].amount, 100, "an open transaction is not seen");
    wl_asset_db_rollback(world.writer);
    world_close(&world);
}

Test(fetcher, answers_many_users_in_any_order_with_their_own_assets) {
    fetcher_world_t world;
    world_open(&world);
    store_range(&world, 1, 301);
    uint64_t uids[600];
    for (uint32_t i = 0; i < 600; i++) {
        uids[i] = (i * 7919u) % 450 + (i % 9 == 0 ? 1ull << 63 : 0); /* twice, unknown, huge */
    }
    for (uint32_t i = 0; i < 600;) {
        wl_fetch_begin(world.stage.encoder, &(wl_fetch_head_t){.query = 0});
        for (uint32_t k = 0; k < 100; k++, i++) {
            add_fetch(&world.stage, uids[i], 5000);
        }
        stage_send(&world.stage);
    }
    uint32_t answered = 0;
    wl_msg_t msg;
    while (answered < 600 && neighbour_next(&world.query, &msg, PATIENCE_MS)) {
        for (uint32_t i = 0; i < msg.count; i++, answered++) {
            const wl_fetched_item_t *item = &msg.items.fetched[i];
            bool known = item->uid >= 1 && item->uid <= 300;
            cr_assert_eq(item->assets.count, known, "user %llu", (unsigned long long)item->uid);
            cr_assert(!known || (item->assets.at[0].uid == item->uid &&
                                 item->assets.at[0].amount == (int64_t)item->uid));
        }
    }
    cr_expect_eq(answered, 600u);
    world_close(&world);
}

Test(fetcher, drops_what_is_not_its_own_and_what_nobody_waits_for) {
    fetcher_world_t world;
    world_prepare(&world);
    wl_asset_db_close(&world.writer);
    char path[128];
    (void)snprintf(path, sizeof path, "%s/assets-0.db", world.stage.dir);
    cr_assert_eq(unlink(path), 0);
    world.stage.settings.shard_instances = 2;
    wl_store_text_t text;
    wl_asset_db_options_t options = wl_store_options_assets(&world.stage.settings, 0, false, &text);
    cr_assert_eq(wl_asset_db_open(&options, &world.writer, NULL), WL_OK);
    stage_start(&world.stage, WL_ACTOR_FETCHER, wl_fetcher_run);
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
    wl_fetch_begin(world.stage.encoder, &(wl_fetch_head_t){.query = 99});
    add_fetch(&world.stage, own, 1000);
    stage_send(&world.stage);
    wl_msg_t msg = neighbour_expect(&world.query, WL_MSG_FETCHED, 1);
    cr_expect_eq(msg.items.fetched[0].uid, foreign);
    cr_expect_eq(msg.head.fetched.error, (uint32_t)WL_ERR_CONFLICT, "it has moved");
    neighbour_hears_nothing(&world.query);
    stage_expect_counter(&world.stage, msg_malformed, 1);
    stage_expect_counter(&world.stage, rpc_expired, 1);
    world_close(&world);
}

Test(fetcher, a_deadline_of_another_host_is_moved_to_this_ones_clock) {
    fetcher_world_t world;
    world_open(&world);
    wl_fetch_begin(world.stage.encoder, &(wl_fetch_head_t){.query = 0, .sent_at = 1000});
    wl_fetch_add(world.stage.encoder, &(wl_fetch_item_t){.uid = 7, .deadline_at = 900});
    wl_fetch_add(world.stage.encoder, &(wl_fetch_item_t){.uid = 8, .deadline_at = 3000});
    wl_fetch_add(world.stage.encoder, &(wl_fetch_item_t){.uid = 9, .deadline_at = INT64_MIN});
    stage_send(&world.stage);
    wl_msg_t msg = neighbour_expect(&world.query, WL_MSG_FETCHED, 1);
    cr_expect_eq(msg.items.fetched[0].uid, 8u);
    neighbour_hears_nothing(&world.query);
    stage_expect_counter(&world.stage, rpc_expired, 2);
    world_close(&world);
}

/* Overwrites every fourth page of the closed file that holds assets. */
static void damage_pages(fetcher_world_t *self) {
    enum { PAGE = 4096 };
    wl_asset_db_close(&self->writer); /* writes the WAL back */
    char path[128];
    (void)snprintf(path, sizeof path, "%s/assets-0.db", self->stage.dir);
    int file = open(path, O_RDWR);
    uint8_t page[PAGE];
    uint32_t with_assets = 0;
    for (off_t at = PAGE; pread(file, page, sizeof page, at) == PAGE; at += PAGE) {
        if (memmem(page, sizeof page, "cash", 4) != NULL && ++with_assets % 4 == 0) {
            memset(page, 0xa5, sizeof page);
            cr_assert_eq(pwrite(file, page, sizeof page, at), PAGE);
        }
    }
    (void)close(file);
}

Test(fetcher, a_damaged_page_costs_only_the_users_on_it) {
    fetcher_world_t world;
    world_prepare(&world);
    enum { USERS = 2000 };
    store_range(&world, 1, USERS + 1);
    damage_pages(&world);
    stage_start(&world.stage, WL_ACTOR_FETCHER, wl_fetcher_run);
    for (uint64_t uid = 1; uid <= USERS;) {
        wl_fetch_begin(world.stage.encoder, &(wl_fetch_head_t){.query = 0});
        for (uint32_t i = 0; i < 200; i++, uid++) {
            add_fetch(&world.stage, uid, 20000);
        }
        stage_send(&world.stage);
    }
    uint32_t failed = 0;
    for (uint32_t answered = 0; answered < USERS;) {
        wl_msg_t msg = neighbour_await(&world.query, WL_MSG_FETCHED);
        bool damaged = msg.head.fetched.error == (uint32_t)WL_ERR_DAMAGED;
        cr_assert(damaged || msg.head.fetched.error == (uint32_t)WL_OK);
        for (uint32_t i = 0; i < msg.count; i++, answered++, failed += damaged) {
            cr_assert_eq(msg.items.fetched[i].assets.count, !damaged, "never a wrong nothing");
        }
    }
    cr_expect_gt(failed, 0u);
    cr_expect_lt(failed, (uint32_t)USERS / 2);
    world_close(&world);
}

/* A backfill walks all users: those on a damaged page are left out, and it goes on behind them. */
Test(fetcher, a_page_of_users_goes_on_behind_damage) {
    fetcher_world_t world;
    world_prepare(&world);
    enum { USERS = 2000 };
    neighbour_t dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    world.stage.settings.queue_partitions = 1;
    store_range(&world, 1, USERS + 1);
    damage_pages(&world);
    stage_start(&world.stage, WL_ACTOR_FETCHER, wl_fetcher_run);
    uint32_t users = 0;
    bool last = false;
    uint64_t after = 0;
    for (uint64_t asked = 1; !last; asked++) {
        wl_tell_users_head_t head = {.after = after, .max = 4096, .asked = asked, .line = "cash"};
        wl_tell_users_begin(world.stage.encoder, &head);
        stage_send(&world.stage);
        wl_msg_t msg = neighbour_await(&dispatcher, WL_MSG_USERS);
        cr_assert_eq(msg.head.users.error, (uint32_t)WL_OK, "question %u", (unsigned)asked);
        cr_assert_eq(msg.head.users.asked, asked);
        last = msg.head.users.last;
        cr_assert(last || msg.head.users.after > after, "it stands still at %u", (unsigned)after);
        const wl_u64_list_t *uids = &msg.items.users[0].uids;
        for (uint32_t i = 0; i < uids->count; i++) {
            cr_assert(uids->at[i] > after && uids->at[i] <= msg.head.users.after);
        }
        users += uids->count;
        after = msg.head.users.after;
    }
    cr_expect_gt(users, (uint32_t)USERS / 2);
    cr_expect_lt(users, (uint32_t)USERS);
    cr_expect_gt(stage_counter(&world.stage, WL_COUNTER_backfill_skipped, 1), 0u);
    neighbour_close(&dispatcher);
    world_close(&world);
}

Test(fetcher, does_not_start_on_the_file_of_another_shard) {
    fetcher_world_t world;
    world_prepare(&world);
    world.stage.settings.shard_readers = 2;
    wl_actor_options_t actor = {
        .settings = &world.stage.settings, .kind = WL_ACTOR_FETCHER, .instance = 2};
    char from[128];
    char to[128];
    (void)snprintf(from, sizeof from, "%s/assets-0.db", world.stage.dir);
    (void)snprintf(to, sizeof to, "%s/assets-1.db", world.stage.dir);
    wl_asset_db_close(&world.writer);
    cr_assert_eq(rename(from, to), 0);
    wl_fault_t fault = {0};
    cr_expect_eq(wl_actor_start("fetcher.2", wl_fetcher_run, &actor, &world.stage.actor, &fault),
                 WL_ERR_SETTINGS);
    world_close(&world);
}

Test(fetcher, ends_at_once_with_a_full_mailbox) {
    fetcher_world_t world;
    world_open(&world);
    store_range(&world, 1, 1000);
    for (uint64_t uid = 1; uid < 5000; uid++) {
        wl_fetch_begin(world.stage.encoder, &(wl_fetch_head_t){.query = 0});
        add_fetch(&world.stage, uid % 1000, 60000);
        if (wl_channel_send(world.stage.outbox, world.stage.encoder) != WL_OK) {
            break;
        }
    }
    cr_expect_lt(stage_stop(&world.stage), 3000);
    world_close(&world);
}

/* ---- owners ---------------------------------------------------------------------------------- */

static void send_tell_owners(stage_t *stage, uint32_t presence, uint64_t after, int64_t asked_at) {
    wl_tell_owners_begin(
        stage->encoder,
        &(wl_tell_owners_head_t){.presence = presence, .after = after, .asked_at = asked_at});
    stage_send(stage);
}

/* Adds what one presence is told to `seen` until `last`; returns the head then. */
static wl_owners_head_t hear_owners(neighbour_t *presence, uint32_t instance, uint8_t *seen,
                                    uint64_t seen_max) {
    uint64_t chunk = 0;
    for (;;) {
        wl_msg_t msg = neighbour_await(presence, WL_MSG_OWNERS);
        const wl_owners_head_t *head = &msg.head.owners;
        cr_expect(chunk == 0 ? (uint32_t)head->chunk == 0 && head->chunk > 0
                             : head->chunk == chunk + 1);
        chunk = head->chunk;
        for (uint32_t i = 0; i < msg.count; i++) {
            for (uint32_t k = 0; k < msg.items.owners[i].uids.count; k++) {
                uint64_t uid = msg.items.owners[i].uids.at[k];
                cr_assert(uid > 0 && uid < seen_max);
                cr_assert_eq(wl_uid_owner(uid, 2), instance, "a user of the other presence");
                seen[uid]++;
            }
        }
        if (head->last) {
            return *head;
        }
        cr_expect_eq(head->log_seq, 0u, "half a scan is no ground for a snapshot");
    }
}

Test(fetcher, tells_each_presence_its_owners_by_scan_and_then_by_log) {
    fetcher_world_t world;
    world_open(&world);
    enum { USERS = 10001, MORE = 10101 };
    static uint8_t seen[MORE];
    store_range(&world, 1, USERS);
    wl_asset_t gone = test_asset(5, "cash", 0, 2);
    gone.state = WL_STATE_GONE;
    store(&world, &gone, 1);

    send_tell_owners(&world.stage, 0, 0, 77);
    send_tell_owners(&world.stage, 1, 0, 78);
    wl_owners_head_t head = hear_owners(&world.presence[0], 0, seen, MORE);
    cr_expect_eq(head.asked_at, 77);
    cr_expect_eq(head.commit_seq, world.commit_seq);
    uint64_t log_seq = head.log_seq;
    head = hear_owners(&world.presence[1], 1, seen, MORE);
    cr_expect_eq(head.log_seq, log_seq);
    cr_expect_eq(head.asked_at, 78);
    cr_expect_eq(log_seq, (uint64_t)USERS - 1);
    for (uint64_t uid = 1; uid < USERS; uid++) {
        cr_assert_eq(seen[uid], uid == 5 ? 0 : 1, "user %llu", (unsigned long long)uid);
    }

    store_range(&world, USERS, MORE);
    send_tell_owners(&world.stage, 0, log_seq, 79);
    memset(seen, 0, sizeof seen);
    head = hear_owners(&world.presence[0], 0, seen, MORE);
    cr_expect_eq(head.log_seq, (uint64_t)MORE - 1);
    cr_expect_eq(head.commit_seq, world.commit_seq);
    for (uint64_t uid = 1; uid < MORE; uid++) {
        cr_assert_eq(seen[uid], uid >= USERS && wl_uid_owner(uid, 2) == 0);
    }
    world_close(&world);
}

Test(fetcher, scans_anew_when_the_log_was_trimmed_or_belongs_to_another_file) {
    fetcher_world_t world;
    world_open(&world);
    enum { USERS = 301 };
    static uint8_t seen[USERS];
    store_range(&world, 1, USERS);

    send_tell_owners(&world.stage, 0, 1000000, 1);
    cr_expect_eq(hear_owners(&world.presence[0], 0, seen, USERS).log_seq, (uint64_t)USERS - 1);
    uint64_t all = 0;
    for (uint64_t uid = 1; uid < USERS; uid++) {
        all += seen[uid];
    }
    cr_expect_gt(all, 100u, "everybody was told, not a part of the log");

    cr_assert_eq(wl_asset_db_owner_trim(world.writer, 200), WL_OK);
    send_tell_owners(&world.stage, 1, 100, 2);
    memset(seen, 0, sizeof seen);
    (void)hear_owners(&world.presence[1], 1, seen, USERS);
    uint64_t early = 0;
    for (uint64_t uid = 1; uid <= 100; uid++) {
        early += seen[uid];
    }
    cr_expect_gt(early, 0u, "trimmed: a full scan");
    send_tell_owners(&world.stage, 0, 100, 3);
    send_tell_owners(&world.stage, 7, 0, 3);
    stage_expect_counter(&world.stage, msg_malformed, 1);
    world_close(&world);
}

Test(fetcher, only_the_first_reader_of_a_shard_tells_owners) {
    fetcher_world_t world;
    world_prepare(&world);
    world.stage.settings.shard_readers = 2;
    wl_actor_options_t options = {
        .settings = &world.stage.settings, .kind = WL_ACTOR_FETCHER, .instance = 1};
    wl_fault_t fault = {0};
    cr_assert_eq(wl_actor_start("fetcher.1", wl_fetcher_run, &options, &world.stage.actor, &fault),
                 WL_OK);
    cr_assert_eq(wl_topology_outbox(WL_ACTOR_FETCHER, 1, &world.stage.outbox), WL_OK);
    world.stage.encoder = wl_encoder_new();
    send_tell_owners(&world.stage, 0, 0, 1);
    send_fetch(&world.stage, 1, 1000);
    (void)neighbour_expect(&world.query, WL_MSG_FETCHED, 1);
    neighbour_hears_nothing(&world.presence[0]);
    stage_expect_counter(&world.stage, msg_unexpected, 1);
    world_close(&world);
}

Test(fetcher, serves_other_hosts_but_takes_no_orders_from_them) {
    fetcher_world_t world;
    world_prepare(&world);
    char place[128];
    (void)snprintf(place, sizeof place, "fetcher.0=ipc://%s/far", world.stage.dir);
    (void)snprintf(world.stage.settings.topology_listen,
                   sizeof world.stage.settings.topology_listen, "%s", place);
    stage_start(&world.stage, WL_ACTOR_FETCHER, wl_fetcher_run);
    store_range(&world, 1, 10);
    wl_settings_t elsewhere = world.stage.settings;
    (void)snprintf(elsewhere.topology_remote, sizeof elsewhere.topology_remote, "%s", place);
    zsock_t *far = NULL;
    cr_assert_eq(wl_topology_remote(&elsewhere, WL_ACTOR_FETCHER, 0, &far, NULL), WL_OK);
    zsock_t *near = world.stage.outbox;
    world.stage.outbox = far;
    cr_assert_eq(zmq_poll(&(zmq_pollitem_t){.socket = zsock_resolve(far), .events = ZMQ_POLLOUT}, 1,
                          PATIENCE_MS),
                 1);
    stage_configure_writer(&world.stage, 1, "http://127.0.0.1:1", "");
    stage_send_raw(&world.stage, "\xc1", 1);
    wl_fetch_begin(world.stage.encoder, &(wl_fetch_head_t){.query = 0, .sent_at = 50});
    wl_fetch_add(world.stage.encoder, &(wl_fetch_item_t){.uid = 7, .deadline_at = 5050});
    stage_send(&world.stage);
    wl_msg_t msg = neighbour_expect(&world.query, WL_MSG_FETCHED, 1);
    cr_expect_eq(msg.items.fetched[0].assets.count, 1u);
    stage_expect_counter(&world.stage, msg_unexpected, 1);
    stage_expect_counter(&world.stage, msg_malformed, 1);
    world.stage.outbox = near;
    zsock_destroy(&far);
    world_close(&world);
}
