/* The trail with the test as everybody who tells it something and whom it asks; and what dispatchers
 * tell. */
#include "actors/trail.h"
#include "actors/trail_teller.h"
#include "base/slot.h"
#include "dispatcher_world.h"
#include "domain/trail_event.h"

enum { UID = 77 };

typedef struct {
    stage_t stage;
    neighbour_t intake;
    neighbour_t fetcher;
    neighbour_t config;
    uint64_t serial; /* events told so far, as dispatcher 0 */
} trail_t;

static void trail_open(trail_t *self) {
    *self = (trail_t){0};
    stage_open_writer(&self->stage);
    self->intake = neighbour_open(WL_ACTOR_INTAKE, 0);
    self->fetcher = neighbour_open(WL_ACTOR_FETCHER, 0);
    self->config = neighbour_open(WL_ACTOR_CONFIG, 0);
}

static void trail_start(trail_t *self) {
    stage_start(&self->stage, WL_ACTOR_TRAIL, wl_trail_run);
}

static void trail_close(trail_t *self) {
    neighbour_close(&self->intake);
    neighbour_close(&self->fetcher);
    neighbour_close(&self->config);
    stage_close(&self->stage);
}

/* One item of events that are packed already. */
static void send_bytes(trail_t *self, wl_trail_head_t head, uint64_t serial, uint32_t count,
                       const uint8_t *bytes, size_t used) {
    wl_trail_begin(self->stage.encoder, &head);
    wl_trail_add(self->stage.encoder,
                 &(wl_trail_item_t){.serial = serial, .count = count, .events = {bytes, used}});
    stage_send(&self->stage);
}

static void tell(trail_t *self, wl_trail_event_t event) {
    uint8_t bytes[WL_TRAIL_BYTES_MAX];
    event.at = wl_wall_now().ms;
    event.line = "cash";
    event.bucket = "";
    event.text = event.text == NULL ? "" : event.text;
    send_bytes(self, (wl_trail_head_t){.actor = WL_ACTOR_DISPATCHER}, self->serial, 1, bytes,
               wl_trail_pack(&event, bytes));
    self->serial++;
}

static void ask(trail_t *self, uint64_t ticket, uint64_t uid, uint64_t limit, const char *line) {
    msgpack_sbuffer args;
    msgpack_packer packer;
    msgpack_sbuffer_init(&args);
    msgpack_packer_init(&packer, &args, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 1u + (limit > 0) + (line != NULL));
    args_key(&packer, "uid");
    msgpack_pack_uint64(&packer, uid);
    if (limit > 0) {
        args_key(&packer, "limit");
        msgpack_pack_uint64(&packer, limit);
    }
    if (line != NULL) {
        args_key(&packer, "line");
        args_key(&packer, line);
    }
    wl_admin_begin(self->stage.encoder, &(wl_admin_head_t){.intake = 0});
    wl_admin_add(self->stage.encoder,
                 &(wl_admin_item_t){.ticket = ticket,
                                    .method = WL_METHOD_ADMIN_EXPLAIN,
                                    .args = {(const uint8_t *)args.data, args.size}});
    stage_send(&self->stage);
    msgpack_sbuffer_destroy(&args);
}

static void answer_now(trail_t *self, uint64_t asked, uint64_t uid, wl_err_t err) {
    wl_asset_t assets[2] = {test_asset(uid, "cash", 5, 9), test_asset(uid, "coin", 6, 3)};
    (void)snprintf(assets[1].bucket, sizeof assets[1].bucket, "%s", WL_BUCKET_CONSENT);
    wl_trail_now_begin(self->stage.encoder, NULL);
    wl_trail_now_item_t item = {.asked = asked, .uid = uid, .error = (uint32_t)err};
    item.assets = (wl_asset_list_t){err == WL_OK ? assets : NULL, err == WL_OK ? 2 : 0};
    wl_trail_now_add(self->stage.encoder, &item);
    stage_send(&self->stage);
}

static void answer_shown(trail_t *self, uint64_t asked) {
    wl_trail_shown_item_t item = {.asked = asked, .seq = 12};
    (void)snprintf(item.version, sizeof item.version, "4.8");
    (void)snprintf(item.source, sizeof item.source, "store");
    (void)snprintf(item.variant, sizeof item.variant, "candidate");
    (void)snprintf(item.why, sizeof item.why, "rollout 3 takes the user");
    wl_trail_shown_begin(self->stage.encoder, NULL);
    wl_trail_shown_add(self->stage.encoder, &item);
    stage_send(&self->stage);
}

/* The number of the question that it asked about the user. */
static uint64_t asked_of(neighbour_t *neighbour, uint64_t uid) {
    wl_msg_t msg = neighbour_await(neighbour, WL_MSG_TRAIL_ASK);
    cr_assert_eq(msg.items.trail_ask[0].uid, uid);
    return msg.items.trail_ask[0].asked;
}

/* Asks, answers what it asks for, and returns the reply. */
static wl_reply_item_t explain(trail_t *self, uint64_t uid, uint64_t limit, const char *line) {
    ask(self, 5, uid, limit, line);
    uint64_t asked = asked_of(&self->fetcher, uid);
    cr_assert_eq(asked_of(&self->config, uid), asked);
    answer_now(self, asked, uid, WL_OK);
    answer_shown(self, asked);
    wl_msg_t msg = neighbour_await(&self->intake, WL_MSG_REPLY);
    cr_assert_eq(msg.items.reply[0].ticket, 5u);
    cr_assert_eq(msg.items.reply[0].error, WL_OK, "%s", msg.items.reply[0].text);
    return msg.items.reply[0];
}

Test(trail, tells_what_a_user_has_is_shown_and_how_it_came) {
    trail_t trail;
    trail_open(&trail);
    trail_start(&trail);
    stage_lease(&trail.stage, 0, 1, INT64_MAX);
    tell(&trail, (wl_trail_event_t){.uid = UID, .what = WL_TRAIL_NOTIFIED, .version = 9});
    tell(&trail, (wl_trail_event_t){.uid = UID + 1, .what = WL_TRAIL_NOTIFIED, .version = 4});
    tell(&trail, (wl_trail_event_t){.uid = UID, .what = WL_TRAIL_STORED, .version = 9});
    wl_reply_item_t reply = explain(&trail, UID, 0, NULL);
    cr_expect_eq(body_number(reply.body, "uid"), UID);
    cr_expect(body_has(reply.body, "the line said version 9"));
    cr_expect(body_has(reply.body, "stored version 9"));
    cr_expect_not(body_has(reply.body, "version 4"), "another user's");
    cr_expect(body_has(reply.body, "candidate"));
    cr_expect(body_has(reply.body, "rollout 3 takes the user"));
    cr_expect(body_has(reply.body, "available"));
    cr_expect(body_has(reply.body, "coin"), "with consents");
    cr_expect_not(body_has(reply.body, WL_BUCKET_CONSENT), "which have no bucket for people");
    cr_expect_eq(body_number(reply.body, "dropped"), 0);
    cr_expect(body_has(reply.body, "partial\xc2"));
    reply = explain(&trail, UID, 1, "coin");
    cr_expect_not(body_has(reply.body, "cash"), "of one line only");
    cr_expect_not(body_has(reply.body, "stored version 9"));
    reply = explain(&trail, UID, 1, "cash");
    cr_expect_not(body_has(reply.body, "the line said"));
    cr_expect_eq(body_number(reply.body, "left_out"), 1);
    stage_expect_counter(&trail.stage, trail_explained, 3);
    stage_expect_counter(&trail.stage, trail_events, 3);
    trail_close(&trail);
}

Test(trail, says_that_it_does_not_know_all) {
    trail_t trail;
    trail_open(&trail);
    trail_start(&trail);
    wl_reply_item_t reply = explain(&trail, UID, 0, NULL);
    cr_expect(body_has(reply.body, "partial\xc3"), "no lease yet");
    stage_lease(&trail.stage, 0, 1, INT64_MAX);
    reply = explain(&trail, UID, 0, NULL);
    cr_expect(body_has(reply.body, "partial\xc2"));
    stage_lease(&trail.stage, 0, 1, 0);
    reply = explain(&trail, UID, 0, NULL);
    cr_expect(body_has(reply.body, "partial\xc3"), "it went to another writer");
    trail_close(&trail);
}

Test(trail, answers_in_time_with_what_it_has) {
    trail_t trail;
    trail_open(&trail);
    trail_start(&trail);
    tell(&trail, (wl_trail_event_t){.uid = UID, .what = WL_TRAIL_NOTIFIED, .version = 9});
    ask(&trail, 6, UID, 0, NULL);
    uint64_t asked = asked_of(&trail.fetcher, UID);
    answer_now(&trail, asked + 1, UID, WL_OK); /* to nobody's question */
    answer_now(&trail, 0, UID, WL_OK);
    answer_shown(&trail, asked + 1);
    wl_msg_t msg = neighbour_await(&trail.intake, WL_MSG_REPLY);
    cr_expect(body_has(msg.items.reply[0].body, "the line said version 9"));
    cr_expect(body_has(msg.items.reply[0].body, "now\xc0"));
    cr_expect(body_has(msg.items.reply[0].body, "config\xc0"));
    cr_expect(body_has(msg.items.reply[0].body, wl_err_text(WL_ERR_DEADLINE)));
    ask(&trail, 7, UID, 0, NULL);
    asked = asked_of(&trail.fetcher, UID);
    answer_shown(&trail, asked);
    answer_now(&trail, asked, UID, WL_ERR_DAMAGED);
    msg = neighbour_await(&trail.intake, WL_MSG_REPLY);
    cr_expect_eq(msg.items.reply[0].ticket, 7u);
    cr_expect(body_has(msg.items.reply[0].body, wl_err_text(WL_ERR_DAMAGED)));
    trail_close(&trail);
}

Test(trail, refuses_questions_that_are_none_and_too_many) {
    trail_t trail;
    trail_open(&trail);
    trail_start(&trail);
    static const struct {
        uint64_t uid;
        uint64_t limit;
        const char *line;
    } rows[] = {{0, 1, NULL}, {UID, 1001, NULL}, {UID, 1, "No Line"}, {UID, 1, ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        ask(&trail, 8, rows[i].uid, rows[i].limit, rows[i].line);
        wl_msg_t msg = neighbour_await(&trail.intake, WL_MSG_REPLY);
        cr_expect_eq(msg.items.reply[0].error, WL_ERR_BAD_REQUEST, "row %zu", i);
        cr_expect_str_neq(msg.items.reply[0].text, "");
    }
    for (uint64_t i = 0; i < 40; i++) { /* nobody answers what they ask */
        ask(&trail, 100 + i, UID, 0, NULL);
    }
    uint32_t busy = 0;
    uint32_t good = 0;
    while (busy + good < 40) {
        wl_msg_t msg = neighbour_await(&trail.intake, WL_MSG_REPLY);
        for (uint32_t i = 0; i < msg.count; i++) {
            busy += msg.items.reply[i].error == WL_ERR_BUSY;
            good += msg.items.reply[i].error == WL_OK;
        }
    }
    cr_expect_eq(busy + good, 40u);
    cr_expect_geq(busy, 1u);
    cr_expect_geq(good, 32u);
    trail_close(&trail);
}

Test(trail, says_where_and_how_much_it_has_missed) {
    trail_t trail;
    trail_open(&trail);
    trail_start(&trail);
    tell(&trail, (wl_trail_event_t){.uid = UID, .what = WL_TRAIL_NOTIFIED, .version = 1});
    trail.serial += 30;
    tell(&trail, (wl_trail_event_t){.uid = UID, .what = WL_TRAIL_NOTIFIED, .version = 2});
    wl_reply_item_t reply = explain(&trail, UID, 0, NULL);
    cr_expect_eq(body_number(reply.body, "dropped"), 30);
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (!body_has(reply.body, "30 events of some users are missing here") &&
           wl_mono_now().ms < until) {
        reply = explain(&trail, UID, 0, NULL);
    }
    cr_expect(body_has(reply.body, "30 events of some users are missing here"));
    cr_expect_eq(body_number(reply.body, "dropped"), 30);
    stage_expect_counter(&trail.stage, trail_dropped, 30);
    trail_close(&trail);
}

Test(trail, takes_no_harm_from_bytes_that_are_no_events) {
    trail_t trail;
    trail_open(&trail);
    trail_start(&trail);
    uint8_t bytes[300];
    uint64_t state = 11;
    for (int i = 0; i < 300; i++) {
        size_t used = 1 + state % 290;
        for (size_t b = 0; b < used; b++) {
            state = wl_mix64(state + b);
            bytes[b] = (uint8_t)state;
        }
        bytes[0] %= 40;
        send_bytes(&trail, (wl_trail_head_t){.actor = WL_ACTOR_SHARD}, 0, 0, bytes, used);
    }
    send_bytes(&trail, (wl_trail_head_t){.actor = WL_ACTOR_KINDS}, 0, 1, bytes, 20);
    send_bytes(&trail, (wl_trail_head_t){.instance = 64}, 0, 1, bytes, 20);
    send_bytes(&trail, (wl_trail_head_t){.actor = WL_ACTOR_SHARD}, 0, 0, NULL, 0);
    tell(&trail, (wl_trail_event_t){.uid = UID, .what = WL_TRAIL_NOTIFIED, .version = 2});
    wl_reply_item_t reply = explain(&trail, UID, 0, NULL);
    cr_expect(body_has(reply.body, "the line said version 2"));
    cr_expect_geq(stage_counter(&trail.stage, WL_COUNTER_msg_malformed, 100), 100u);
    trail_close(&trail);
}

Test(trail, keeps_what_it_was_told_over_a_restart_and_other_configurations) {
    trail_t trail;
    trail_open(&trail);
    trail_start(&trail);
    stage_configure_writer(&trail.stage, 7, "http://127.0.0.1:1", "");
    stage_configure_writer(&trail.stage, 7, "http://127.0.0.1:1", "");
    stage_configure_writer(&trail.stage, 8, "http://127.0.0.1:1", "");
    tell(&trail, (wl_trail_event_t){.uid = UID, .what = WL_TRAIL_NOTIFIED, .version = 9});
    stage_restart(&trail.stage, wl_trail_run);
    trail.serial = 0;
    tell(&trail, (wl_trail_event_t){.uid = UID, .what = WL_TRAIL_STORED, .version = 9});
    wl_reply_item_t reply = explain(&trail, UID, 0, NULL);
    cr_expect(body_has(reply.body, "the line said version 9"));
    cr_expect(body_has(reply.body, "stored version 9"));
    cr_expect(body_has(reply.body, "configuration 7.7 from"));
    cr_expect(body_has(reply.body, "configuration 8.7 from"));
    reply = explain(&trail, UID + 5, 0, NULL);
    cr_expect(body_has(reply.body, "configuration 8.7 from"), "that is of everybody");
    cr_expect_eq(body_number(reply.body, "dropped"), 0);
    trail_close(&trail);
}

Test(trail, works_without_a_file_and_begins_a_new_one_for_a_damaged_one) {
    trail_t trail;
    char path[128];
    trail_open(&trail);
    (void)snprintf(path, sizeof path, "%s/trail.db", trail.stage.dir);
    cr_assert_eq(mkdir(path, 0700), 0); /* cannot be opened */
    trail_start(&trail);
    tell(&trail, (wl_trail_event_t){.uid = UID, .what = WL_TRAIL_NOTIFIED, .version = 9});
    wl_reply_item_t reply = explain(&trail, UID, 0, NULL);
    cr_expect(body_has(reply.body, "trail.db cannot be opened"));
    cr_expect_eq(body_number(reply.body, "dropped"), 1);
    cr_expect(body_has(reply.body, "available"), "what the user has is told all the same");
    cr_assert_eq(rmdir(path), 0);
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    for (int i = 0; i < 1000; i++) {
        (void)fputs("no database", file);
    }
    (void)fclose(file);
    stage_restart(&trail.stage, wl_trail_run);
    trail.serial = 0;
    tell(&trail, (wl_trail_event_t){.uid = UID, .what = WL_TRAIL_NOTIFIED, .version = 10});
    reply = explain(&trail, UID, 0, NULL);
    cr_expect(body_has(reply.body, "the line said version 10"));
    cr_expect(body_has(reply.body, "problem\xc0"));
    trail_close(&trail);
}

/* ---- what dispatchers tell ------------------------------------------------------------------- */

/* All events that have come to a mailbox of a trail, in their order. */
typedef struct {
    neighbour_t mailbox;
    uint32_t count;
    wl_trail_event_t at[64];
    wl_trail_texts_t texts[64];
} heard_t;

static void hear(heard_t *self, uint32_t count) {
    while (self->count < count) {
        wl_msg_t msg = neighbour_await(&self->mailbox, WL_MSG_TRAIL);
        cr_assert_eq(msg.head.trail.actor, WL_ACTOR_DISPATCHER);
        for (uint32_t i = 0; i < msg.count; i++) {
            wl_bytes_t bytes = msg.items.trail[i].events;
            size_t used = 0;
            size_t own = 0;
            uint64_t uid = 0;
            int64_t at = 0;
            cr_assert_eq(msg.items.trail[i].serial, self->count);
            while (wl_trail_peek(&bytes.at[used], bytes.count - used, &own, &uid, &at)) {
                cr_assert_lt(self->count, 64u);
                cr_assert_eq(wl_trail_unpack(&bytes.at[used], own, &self->texts[self->count],
                                             &self->at[self->count]),
                             WL_OK);
                self->count++;
                used += own;
            }
            cr_assert_eq(used, bytes.count);
        }
    }
    cr_assert_eq(self->count, count);
}

static void expect_event(const heard_t *heard, uint32_t index, wl_trail_what_t what,
                         uint32_t attempt) {
    cr_expect_eq(heard->at[index].what, what, "event %u is %s", index,
                 wl_trail_what_name(heard->at[index].what));
    cr_expect_eq(heard->at[index].attempt, attempt, "event %u", index);
    cr_expect_eq(heard->at[index].uid, UID);
    cr_expect_str_eq(heard->at[index].line, "cash");
}

Test(trail, hears_of_a_pull_that_fails_until_it_is_a_dead_letter_and_is_redriven) {
    world_t world;
    heard_t heard = {.mailbox = neighbour_open(WL_ACTOR_TRAIL, 0)};
    world_open(&world);
    wl_change_t change = {.uid = UID, .version = 31, .bucket = "ios"};
    stage_tell_queued(&world.stage,
                      queue_append_changes(world.queue, WL_ENTRY_CHANGES, "cash", &change, 1));
    for (uint32_t attempt = 0; attempt < 3; attempt++) {
        wl_pull_item_t pull = next_pull(&world, "cash");
        send_pulled(&world, "cash", &pull, attempt == 1 ? WL_PULL_REFUSED : WL_PULL_RETRY, false,
                    0);
    }
    hear(&heard, 7);
    expect_event(&heard, 0, WL_TRAIL_NOTIFIED, 0);
    cr_expect_eq(heard.at[0].version, 31u);
    cr_expect_str_eq(heard.at[0].bucket, "ios");
    cr_expect_gt(heard.at[0].notified_at, 0);
    expect_event(&heard, 1, WL_TRAIL_FAILED, 1);
    cr_expect_str_eq(heard.at[1].text, "the line is down");
    expect_event(&heard, 2, WL_TRAIL_RETRY, 1);
    cr_expect_gt(heard.at[2].number, 0u);
    expect_event(&heard, 3, WL_TRAIL_QUARANTINED, 2);
    expect_event(&heard, 4, WL_TRAIL_RETRY, 2);
    expect_event(&heard, 5, WL_TRAIL_FAILED, 3);
    expect_event(&heard, 6, WL_TRAIL_DEAD, 3);
    cr_assert(retries_settle(&world, 0, 1));
    wl_reply_item_t reply = ask_admin_about(&world, WL_METHOD_ADMIN_DLQ_REDRIVE, "cash", NULL);
    cr_expect_eq(body_number(reply.body, "redriven"), 1);
    wl_pull_item_t pull = next_pull(&world, "cash");
    send_done(&world, "cash", &pull, WL_PULL_REFUSED); /* the shard has told why */
    hear(&heard, 9);
    expect_event(&heard, 7, WL_TRAIL_REDRIVE, 0);
    expect_event(&heard, 8, WL_TRAIL_RETRY, 1);
    neighbour_close(&heard.mailbox);
    world_close(&world);
}

Test(trail, hears_of_values_that_were_sent_of_looks_and_of_discarded_letters) {
    world_t world;
    heard_t heard = {.mailbox = neighbour_open(WL_ACTOR_TRAIL, 0)};
    world_open(&world);
    wl_asset_t sent = test_asset(UID, "cash", 5, 44);
    append_assets(&world, "cash", &sent, 1);
    wl_msg_t store = neighbour_await(&world.shard, WL_MSG_STORE);
    wl_pull_item_t pull = {.uid = UID, .seq = store.items.store[0].seq};
    send_done(&world, "cash", &pull, WL_PULL_OK);
    cr_assert(queue_settles(world.queue, 0));
    send_hint(&world, "cash", UID);
    pull = next_pull(&world, "cash");
    send_pulled(&world, "cash", &pull, WL_PULL_RETRY, false, 0);
    hear(&heard, 4);
    expect_event(&heard, 0, WL_TRAIL_PAYLOAD, 0);
    cr_expect_eq(heard.at[0].version, 44u);
    expect_event(&heard, 1, WL_TRAIL_LOOKED, 0);
    expect_event(&heard, 2, WL_TRAIL_FAILED, 1);
    expect_event(&heard, 3, WL_TRAIL_GIVEN_UP, 1);
    make_dead(&world, "cash", UID);
    hear(&heard, 11);
    expect_event(&heard, 10, WL_TRAIL_DEAD, 3);
    cr_assert(retries_settle(&world, 0, 1));
    (void)ask_admin_about(&world, WL_METHOD_ADMIN_DLQ_DISCARD, "cash", "no longer wanted");
    hear(&heard, 12);
    expect_event(&heard, 11, WL_TRAIL_DISCARDED, 0);
    neighbour_close(&heard.mailbox);
    world_close(&world);
}

/* A pull that covers them is due: of a flood of those a few are told, and the others count. */
Test(trail, is_told_of_a_flood_that_it_was_one) {
    enum { FLOOD = 1000, TOLD = 257 };
    world_t world;
    heard_t heard = {.mailbox = neighbour_open(WL_ACTOR_TRAIL, 0)};
    static wl_change_t changes[FLOOD];
    world_open(&world);
    for (uint32_t i = 0; i < FLOOD; i++) {
        changes[i] = (wl_change_t){.uid = UID, .version = i + 1};
    }
    stage_tell_queued(&world.stage,
                      queue_append_changes(world.queue, WL_ENTRY_CHANGES, "cash", changes, FLOOD));
    wl_pull_item_t pull = next_pull(&world, "cash");
    send_pulled(&world, "cash", &pull, WL_PULL_PERMANENT, true, 0);
    pull = next_pull(&world, "cash");
    send_pulled(&world, "cash", &pull, WL_PULL_RETRY, false, 0);
    uint32_t events = 0;
    uint64_t serial = 0;
    while (serial + events < FLOOD + 2) {
        wl_msg_t msg = neighbour_await(&heard.mailbox, WL_MSG_TRAIL);
        for (uint32_t i = 0; i < msg.count; i++) {
            serial = msg.items.trail[i].serial - events; /* not told so far */
            events += msg.items.trail[i].count;
        }
    }
    cr_expect_eq(events, (uint32_t)TOLD + 2);
    cr_expect_eq(serial, (uint64_t)FLOOD - TOLD);
    neighbour_close(&heard.mailbox);
    world_close(&world);
}

Test(trail, is_told_nothing_where_it_is_disabled) {
    world_t world;
    neighbour_t mailbox = neighbour_open(WL_ACTOR_TRAIL, 0);
    world_open_bare(&world);
    world.stage.settings.trail_enabled = false;
    world_start(&world);
    world_configure(&world, "");
    append(&world, "cash", UID);
    wl_pull_item_t pull = next_pull(&world, "cash");
    send_pulled(&world, "cash", &pull, WL_PULL_RETRY, false, 0);
    (void)next_pull(&world, "cash");
    (void)stage_stop(&world.stage); /* everything that was told has been sent */
    neighbour_hears_nothing(&mailbox);
    neighbour_close(&mailbox);
    world_close(&world);
}
