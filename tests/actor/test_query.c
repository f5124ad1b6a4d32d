#include "actors/query.h"

#include "base/slot.h"
#include "read_path.h"

typedef struct {
    stage_t stage;
    neighbour_t shards[2];
    neighbour_t cache;
    neighbour_t frontend;
    neighbour_t dispatcher;
} query_stage_t;

static void query_stage_open_with(query_stage_t *self, uint64_t fetches_max, uint64_t readers) {
    stage_open(&self->stage);
    self->stage.settings.query_fetches_max = fetches_max;
    self->stage.settings.shard_readers = readers;
    self->shards[0] = neighbour_open(WL_ACTOR_FETCHER, 0);
    self->shards[1] = neighbour_open(WL_ACTOR_FETCHER, 1);
    self->cache = neighbour_open(WL_ACTOR_CACHE, 0);
    self->frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self->dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    stage_start(&self->stage, WL_ACTOR_QUERY, wl_query_run);
    stage_configure(&self->stage);
}

static void query_stage_open(query_stage_t *self) {
    query_stage_open_with(self, 16384, 1);
}

static void query_stage_close(query_stage_t *self) {
    (void)stage_stop(&self->stage);
    neighbour_close(&self->shards[0]);
    neighbour_close(&self->shards[1]);
    neighbour_close(&self->cache);
    neighbour_close(&self->frontend);
    neighbour_close(&self->dispatcher);
    stage_close(&self->stage);
}

static neighbour_t *shard_of(query_stage_t *self, uint64_t uid) {
    return &self->shards[wl_uid_owner(uid, 2)];
}

static void tell_fetched(query_stage_t *self, uint64_t uid, wl_asset_t *assets, uint32_t count,
                         wl_err_t error) {
    wl_fetched_head_t head = {
        .shard = wl_uid_owner(uid, 2), .commit_seq = 9, .error = (uint32_t)error};
    wl_fetched_item_t item = {.uid = uid, .assets = {assets, count}};
    wl_fetched_begin(self->stage.encoder, &head);
    wl_fetched_add(self->stage.encoder, &item);
    stage_send(&self->stage);
}

Test(query, a_miss_is_fetched_filled_and_answered) {
    static query_stage_t self;
    query_stage_open(&self);
    stage_read(&self.stage, test_read(5, 42, WL_METHOD_HOME, 1000));
    wl_msg_t fetch = neighbour_expect(shard_of(&self, 42), WL_MSG_FETCH, 1);
    cr_expect_eq(fetch.items.fetch[0].uid, 42u);
    cr_expect_eq(fetch.head.fetch.query, 0u);
    wl_asset_t asset = test_asset(42, "cash", 1250, 7);
    tell_fetched(&self, 42, &asset, 1, WL_OK);
    wl_msg_t fill = neighbour_expect(&self.cache, WL_MSG_FILL, 1);
    cr_expect_eq(fill.head.fill.commit_seq, 9u);
    cr_expect(wl_asset_equal(&fill.items.fill[0].assets.at[0], &asset));
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect_eq(reply.items.reply[0].ticket, 5u);
    cr_expect_eq(reply.items.reply[0].error, (uint32_t)WL_OK);
    cr_expect_eq(body_number(reply.items.reply[0].body, "uid"), 42);
    cr_expect(body_has(reply.items.reply[0].body, "db"));
    query_stage_close(&self);
}

Test(query, many_readers_of_one_user_cost_one_fetch) {
    static query_stage_t self;
    query_stage_open(&self);
    for (uint64_t ticket = 1; ticket <= 100; ticket++) {
        wl_read_item_t read =
            test_read(ticket, 42, ticket % 2 == 0 ? WL_METHOD_HOME : WL_METHOD_ASSETS, 20000);
        read.filter = (wl_bytes_t){(const uint8_t *)"coin,", ticket % 4 == 1 ? 5 : 0};
        stage_read(&self.stage, read);
    }
    (void)neighbour_expect(shard_of(&self, 42), WL_MSG_FETCH, 1);
    stage_expect_counter(&self.stage, query_joined, 99);
    neighbour_hears_nothing(shard_of(&self, 42));
    wl_asset_t asset = test_asset(42, "cash", 987654321, 7);
    tell_fetched(&self, 42, &asset, 1, WL_OK);
    (void)neighbour_expect(&self.cache, WL_MSG_FILL, 1);
    uint32_t answered = 0;
    wl_msg_t msg;
    while (answered < 100 && neighbour_next(&self.frontend, &msg, PATIENCE_MS)) {
        for (uint32_t i = 0; i < msg.count; i++, answered++) {
            const wl_reply_item_t *reply = &msg.items.reply[i];
            cr_expect_eq(reply->ticket, answered + 1);
            bool all = reply->ticket % 4 != 1;
            cr_expect_eq(body_has(reply->body, "cash"), all, "the filter of %llu: %zu",
                         (unsigned long long)reply->ticket, reply->body.count);
        }
    }
    cr_expect_eq(answered, 100u);
    stage_expect_counter(&self.stage, query_fetches, 1);
    query_stage_close(&self);
}

/* The read under way began before a change of which the second reader's mark has gone already:
 * what it brings is old for that one, and only for that one. It is read again, once. */
Test(query, a_reader_who_joins_behind_a_change_sees_it) {
    static query_stage_t self;
    query_stage_open(&self);
    stage_read(&self.stage, test_read(1, 42, WL_METHOD_HOME, 20000));
    (void)neighbour_expect(shard_of(&self, 42), WL_MSG_FETCH, 1);
    for (uint64_t ticket = 2; ticket <= 3; ticket++) {
        wl_read_item_t read = test_read(ticket, 42, WL_METHOD_HOME, 20000);
        read.seen = ticket == 2 ? 10 : 9;
        stage_read(&self.stage, read);
    }
    stage_expect_counter(&self.stage, query_joined, 2);
    wl_asset_t asset = test_asset(42, "cash", 987654321, 7);
    tell_fetched(&self, 42, &asset, 1, WL_OK); /* of commit 9 */
    (void)neighbour_expect(&self.cache, WL_MSG_FILL, 1);
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 2);
    cr_expect_eq(reply.items.reply[0].ticket, 1u);
    cr_expect_eq(reply.items.reply[1].ticket, 3u);
    wl_msg_t again = neighbour_expect(shard_of(&self, 42), WL_MSG_FETCH, 1);
    cr_expect_eq(again.items.fetch[0].uid, 42u);
    tell_fetched(&self, 42, &asset, 1,
                 WL_OK); /* a database that has lost commits: as good as any */
    (void)neighbour_expect(&self.cache, WL_MSG_FILL, 1);
    reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect_eq(reply.items.reply[0].ticket, 2u);
    neighbour_hears_nothing(shard_of(&self, 42));
    query_stage_close(&self);
}

Test(query, an_absent_user_is_answered_with_nothing_and_kept_as_empty) {
    static query_stage_t self;
    query_stage_open(&self);
    stage_read(&self.stage, test_read(5, 42, WL_METHOD_GOLDEN, 1000));
    (void)neighbour_expect(shard_of(&self, 42), WL_MSG_FETCH, 1);
    tell_fetched(&self, 42, NULL, 0, WL_OK);
    wl_msg_t fill = neighbour_expect(&self.cache, WL_MSG_FILL, 1);
    cr_expect_eq(fill.items.fill[0].assets.count, 0u);
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect(body_has(reply.items.reply[0].body, "has_assets\xc2"));
    stage_expect_counter(&self.stage, presence_false_positive, 1);
    query_stage_close(&self);
}

Test(query, each_waiting_request_leaves_at_its_own_deadline) {
    static query_stage_t self;
    query_stage_open(&self);
    int64_t begun = wl_mono_now().ms;
    stage_read(&self.stage, test_read(1, 42, WL_METHOD_HOME, 100));
    stage_read(&self.stage, test_read(2, 42, WL_METHOD_HOME, 700));
    wl_msg_t fetch = neighbour_expect(shard_of(&self, 42), WL_MSG_FETCH, 1);
    int64_t first_until = fetch.items.fetch[0].deadline_at;
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect_eq(reply.items.reply[0].ticket, 1u);
    cr_expect_eq(reply.items.reply[0].error, (uint32_t)WL_ERR_DEADLINE);
    int64_t waited = wl_mono_now().ms - begun;
    cr_expect(waited >= 100 && waited < 600, "%d ms", (int)waited);
    fetch = neighbour_expect(shard_of(&self, 42), WL_MSG_FETCH, 1);
    cr_expect(fetch.items.fetch[0].deadline_at > first_until, "who joined is fetched for anew");
    wl_asset_t asset = test_asset(42, "cash", 1, 1);
    tell_fetched(&self, 42, &asset, 1, WL_OK);
    reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect_eq(reply.items.reply[0].ticket, 2u);
    cr_expect_eq(reply.items.reply[0].error, (uint32_t)WL_OK);
    query_stage_close(&self);
}

Test(query, a_read_whose_deadline_has_passed_is_not_fetched) {
    static query_stage_t self;
    query_stage_open(&self);
    stage_read(&self.stage, test_read(1, 42, WL_METHOD_HOME, -50));
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect_eq(reply.items.reply[0].error, (uint32_t)WL_ERR_DEADLINE);
    neighbour_hears_nothing(shard_of(&self, 42));
    query_stage_close(&self);
}

Test(query, a_database_that_cannot_be_read_is_unavailable_and_fills_nothing) {
    static query_stage_t self;
    query_stage_open(&self);
    stage_read(&self.stage, test_read(1, 42, WL_METHOD_HOME, 1000));
    (void)neighbour_expect(shard_of(&self, 42), WL_MSG_FETCH, 1);
    tell_fetched(&self, 42, NULL, 0, WL_ERR_DAMAGED);
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect_eq(reply.items.reply[0].error, (uint32_t)WL_ERR_UNAVAILABLE);
    neighbour_hears_nothing(&self.cache);
    query_stage_close(&self);
}

Test(query, a_late_read_still_fills_the_cache) {
    static query_stage_t self;
    query_stage_open(&self);
    stage_read(&self.stage, test_read(1, 42, WL_METHOD_HOME, 30));
    (void)neighbour_expect(shard_of(&self, 42), WL_MSG_FETCH, 1);
    (void)neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    wl_asset_t asset = test_asset(42, "cash", 1, 1);
    tell_fetched(&self, 42, &asset, 1, WL_OK);
    (void)neighbour_expect(&self.cache, WL_MSG_FILL, 1);
    neighbour_hears_nothing(&self.frontend);
    query_stage_close(&self);
}

static wl_msg_t neighbour_fetch(neighbour_t *self) {
    wl_msg_t msg = {0};
    cr_assert(neighbour_next(self, &msg, PATIENCE_MS), "no FETCH came");
    cr_assert_eq(msg.id, WL_MSG_FETCH);
    return msg;
}

/* The next user of a shard after `uid`. */
static uint64_t user_after(uint64_t uid, uint32_t shard) {
    do {
        uid++;
    } while (wl_uid_owner(uid, 2) != shard);
    return uid;
}

Test(query, beyond_the_share_of_a_shard_it_says_busy_and_serves_the_others) {
    static query_stage_t self;
    query_stage_open(&self);
    enum { BOUND = 4096 };
    uint64_t uid = 0;
    for (uint64_t sent = 0; sent < BOUND + 100;) {
        wl_read_begin(self.stage.encoder, &(wl_read_head_t){.frontend = 0});
        for (uint32_t i = 0; i < 100 && sent < BOUND + 100; i++, sent++) {
            uid = user_after(uid, 0);
            wl_read_item_t read = test_read(sent + 1, uid, WL_METHOD_HOME, 20000);
            wl_read_add(self.stage.encoder, &read);
        }
        stage_send(&self.stage);
    }
    uint32_t busy = 0;
    wl_msg_t msg;
    while (busy < 100 && neighbour_next(&self.frontend, &msg, PATIENCE_MS)) {
        for (uint32_t i = 0; i < msg.count; i++, busy++) {
            cr_expect_eq(msg.items.reply[i].error, (uint32_t)WL_ERR_BUSY);
            cr_expect_gt(msg.items.reply[i].retry_after_ms, 0u);
            cr_expect_gt(msg.items.reply[i].ticket, (uint64_t)BOUND);
        }
    }
    cr_expect_eq(busy, 100u);
    stage_expect_counter(&self.stage, rpc_busy, 100);
    stage_read(&self.stage, test_read(9999, user_after(0, 1), WL_METHOD_HOME, 20000));
    (void)neighbour_expect(&self.shards[1], WL_MSG_FETCH, 1);
    query_stage_close(&self);
}

Test(query, reads_only_so_many_users_at_once_and_the_others_in_order) {
    static query_stage_t self;
    query_stage_open_with(&self, 4, 1); /* two of each shard */
    uint64_t uids[5] = {0};
    for (uint32_t i = 0; i < 5; i++) {
        uids[i] = user_after(i == 0 ? 0 : uids[i - 1], 0);
        stage_read(&self.stage, test_read(i + 1, uids[i], WL_METHOD_HOME, i == 3 ? 200 : 20000));
    }
    uint64_t other = user_after(0, 1);
    stage_read(&self.stage, test_read(9, other, WL_METHOD_HOME, 20000));
    (void)neighbour_expect(&self.shards[1], WL_MSG_FETCH, 1);
    uint32_t asked = 0;
    while (asked < 2) {
        wl_msg_t fetch = neighbour_fetch(&self.shards[0]);
        for (uint32_t i = 0; i < fetch.count; i++, asked++) {
            cr_expect_eq(fetch.items.fetch[i].uid, uids[asked]);
        }
    }
    neighbour_hears_nothing(&self.shards[0]);

    tell_fetched(&self, uids[0], NULL, 0, WL_OK);
    wl_msg_t fetch = neighbour_expect(&self.shards[0], WL_MSG_FETCH, 1);
    cr_expect_eq(fetch.items.fetch[0].uid, uids[2]);
    (void)neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);

    wl_msg_t late = neighbour_expect(&self.frontend, WL_MSG_REPLY, 1);
    cr_expect_eq(late.items.reply[0].ticket, 4u, "its deadline passed before its turn");
    cr_expect_eq(late.items.reply[0].error, (uint32_t)WL_ERR_DEADLINE);
    tell_fetched(&self, uids[1], NULL, 0, WL_ERR_UNAVAILABLE);
    fetch = neighbour_expect(&self.shards[0], WL_MSG_FETCH, 1);
    cr_expect_eq(fetch.items.fetch[0].uid, uids[4]);
    query_stage_close(&self);
}

Test(query, goes_round_the_readers_of_a_shard) {
    static query_stage_t self;
    query_stage_open_with(&self, 512, 2);
    uint64_t uid = 0;
    for (uint32_t i = 0; i < 20; i++) {
        uid = user_after(uid, 0);
        stage_read(&self.stage, test_read(i + 1, uid, WL_METHOD_HOME, 20000));
    }
    /* fetchers 0 and 1 read from shard 0 now */
    uint32_t heard[2] = {0};
    for (uint32_t r = 0; r < 2; r++) {
        wl_msg_t msg;
        while (heard[0] + heard[1] < 20 && neighbour_next(&self.shards[r], &msg, QUIET_MS)) {
            heard[r] += msg.count;
        }
    }
    cr_expect_eq(heard[0], 10u);
    cr_expect_eq(heard[1], 10u);
    query_stage_close(&self);
}

Test(query, an_old_copy_hints_to_the_dispatcher) {
    static query_stage_t self;
    query_stage_open(&self);
    stage_read(&self.stage, test_read(1, 42, WL_METHOD_HOME, 1000));
    (void)neighbour_expect(shard_of(&self, 42), WL_MSG_FETCH, 1);
    wl_asset_t asset = test_asset(42, "cash", 1, 1);
    asset.pulled_at -= 60000;
    tell_fetched(&self, 42, &asset, 1, WL_OK);
    wl_msg_t hint = neighbour_expect(&self.dispatcher, WL_MSG_REFRESH, 1);
    cr_expect_str_eq(hint.head.refresh.line, "cash");
    cr_expect_eq(hint.items.refresh[0].uid, 42u);
    query_stage_close(&self);
}

Test(query, bytes_that_are_no_message_are_counted_and_dropped) {
    static query_stage_t self;
    query_stage_open(&self);
    stage_send_raw(&self.stage, "\xc1", 1);
    stage_send_raw(&self.stage, "", 0);
    wl_read_begin(self.stage.encoder, &(wl_read_head_t){.frontend = 99}); /* there is no such one */
    wl_read_item_t read = test_read(1, 42, WL_METHOD_HOME, 1000);
    wl_read_add(self.stage.encoder, &read);
    stage_send(&self.stage);
    stage_read(&self.stage, test_read(1, 42, (wl_method_t)200, 1000));
    wl_told_begin(self.stage.encoder, NULL);
    stage_send(&self.stage);
    stage_read(&self.stage, test_read(2, 43, WL_METHOD_HOME, 1000));
    (void)neighbour_expect(shard_of(&self, 43), WL_MSG_FETCH, 1);
    stage_expect_counter(&self.stage, msg_malformed, 4);
    stage_expect_counter(&self.stage, msg_unexpected, 1);
    query_stage_close(&self);
}

Test(query, stops_idle_and_in_the_middle_of_requests) {
    static query_stage_t self;
    query_stage_open(&self);
    for (uint64_t uid = 1; uid < 500; uid++) {
        stage_read(&self.stage, test_read(uid, uid, WL_METHOD_HOME, 20000));
    }
    cr_expect_lt(stage_stop(&self.stage), 1000);
    query_stage_close(&self);
}

Test(query, stops_with_a_full_mailbox_and_without_neighbours) {
    static query_stage_t self;
    query_stage_open(&self);
    neighbour_close(&self.shards[0]);
    neighbour_close(&self.shards[1]);
    neighbour_close(&self.frontend);
    neighbour_close(&self.cache);
    for (uint64_t sent = 1; sent < 60000; sent++) {
        wl_read_item_t read = test_read(sent, sent, WL_METHOD_HOME, sent % 2 == 0 ? -1 : 20000);
        wl_read_begin(self.stage.encoder, &(wl_read_head_t){.frontend = 0});
        wl_read_add(self.stage.encoder, &read);
        if (wl_channel_send(self.stage.outbox, self.stage.encoder) != WL_OK) {
            break;
        }
    }
    cr_expect_lt(stage_stop(&self.stage), 2000);
    query_stage_close(&self);
}

Test(query, readers_of_both_variants_share_a_fetch_and_are_answered_from_their_own) {
    static query_stage_t self;
    query_stage_open(&self);
    stage_try(&self.stage, "{\"id\":9}");
    for (uint64_t ticket = 0; ticket < 3; ticket++) {
        static const uint64_t rollouts[] = {0, 9, 8};
        wl_read_item_t read = test_read(ticket, 42, WL_METHOD_GOLDEN, 20000);
        read.rollout = rollouts[ticket];
        stage_read(&self.stage, read);
    }
    (void)neighbour_expect(shard_of(&self, 42), WL_MSG_FETCH, 1);
    stage_expect_counter(&self.stage, query_joined, 2);
    wl_asset_t asset = test_asset(42, "coin", 1250, 7);
    tell_fetched(&self, 42, &asset, 1, WL_OK);
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const wl_reply_item_t *item = &reply.items.reply[i];
        cr_expect_eq(body_has(item->body, VARIANT_TEXT), item->ticket == 1);
        cr_expect_eq(body_has(item->body, "Tried"), item->ticket == 1);
    }
    query_stage_close(&self);
}

/* ---- slots that move ---- */

static uint64_t tell_moved(query_stage_t *self, uint64_t uid, uint64_t asked) {
    wl_fetched_begin(self->stage.encoder,
                     &(wl_fetched_head_t){.shard = wl_uid_owner(uid, 2), .error = WL_ERR_CONFLICT});
    wl_fetched_add(self->stage.encoder, &(wl_fetched_item_t){.uid = uid, .asked = asked});
    stage_send(&self->stage);
    return asked;
}

static void tell_map(query_stage_t *self, uint64_t version, uint8_t shard, uint32_t slots) {
    static uint8_t map[WL_SLOTS];
    memset(map, shard, sizeof map);
    wl_map_begin(self->stage.encoder, &(wl_map_head_t){.version = version, .map = {map, slots}});
    stage_send(&self->stage);
}

/* The read waits for the new map and goes to the shard that has the user now; nobody notices. */
Test(query, a_user_whose_slot_has_moved_is_read_where_it_is_now) {
    static query_stage_t self;
    query_stage_open(&self);
    uint32_t old = wl_uid_owner(42, 2);
    for (uint64_t ticket = 1; ticket <= 2; ticket++) {
        stage_read(&self.stage, test_read(ticket, 42, WL_METHOD_HOME, 20000));
    }
    wl_msg_t fetch = neighbour_expect(&self.shards[old], WL_MSG_FETCH, 1);
    uint64_t asked = tell_moved(&self, 42, fetch.items.fetch[0].asked);
    /* no newer map yet: the same shard is asked again, with another number */
    fetch = neighbour_expect(&self.shards[old], WL_MSG_FETCH, 1);
    cr_expect_neq(fetch.items.fetch[0].asked, asked);
    tell_map(&self, 3, (uint8_t)(1 - old), WL_SLOTS);
    tell_map(&self, 2, (uint8_t)old, WL_SLOTS);     /* older: ignored */
    tell_map(&self, 4, (uint8_t)old, WL_SLOTS - 1); /* half of one */
    tell_map(&self, 5, 2, WL_SLOTS);                /* of a shard that is not there */
    stage_expect_counter(&self.stage, shard_map_refused, 1);
    stage_expect_counter(&self.stage, msg_malformed, 1);
    stage_expect_counter(&self.stage, shard_map_version, 3);
    (void)tell_moved(&self, 42, fetch.items.fetch[0].asked);
    fetch = neighbour_expect(&self.shards[1 - old], WL_MSG_FETCH, 1);
    cr_expect_eq(fetch.items.fetch[0].uid, 42u);
    wl_asset_t asset = test_asset(42, "cash", 1250, 7);
    tell_fetched(&self, 42, &asset, 1, WL_OK);
    wl_msg_t reply = neighbour_expect(&self.frontend, WL_MSG_REPLY, 2);
    cr_expect_eq(reply.items.reply[0].error, (uint32_t)WL_OK);
    cr_expect_eq(reply.items.reply[1].error, (uint32_t)WL_OK);
    stage_expect_counter(&self.stage, query_moved, 2);
    stage_read(&self.stage, test_read(3, 42, WL_METHOD_HOME, 20000));
    (void)neighbour_expect(&self.shards[1 - old], WL_MSG_FETCH, 1);
    query_stage_close(&self);
}

/* A shard that says so for ever costs the deadline, not the actor. */
Test(query, a_user_who_is_nowhere_is_answered_at_the_deadline) {
    static query_stage_t self;
    query_stage_open(&self);
    stage_read(&self.stage, test_read(1, 42, WL_METHOD_HOME, 200));
    wl_msg_t msg;
    uint32_t asked = 0;
    while (!neighbour_next(&self.frontend, &msg, 0)) {
        if (neighbour_next(shard_of(&self, 42), &msg, 1) && msg.id == WL_MSG_FETCH) {
            asked++;
            (void)tell_moved(&self, 42, msg.items.fetch[0].asked);
        }
    }
    cr_expect_eq(msg.items.reply[0].error, (uint32_t)WL_ERR_DEADLINE);
    cr_expect(asked >= 2 && asked <= 45, "%u times in 200 ms", asked);
    query_stage_close(&self);
}
