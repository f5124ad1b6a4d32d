/* Questions to lines at presence: in the process that holds the user's partition, with readers that
 * follow it; and in a reader. The test is everybody else. */
#include "actors/presence.h"

#include "actors/line_flow.h"
#include "base/random.h"
#include "proto/tier.h"
#include "read_path.h"

enum { SILENCE_MS = 600, UID = 42 };

typedef struct {
    stage_t stage;
    neighbour_t fetchers[2];
    neighbour_t pullers[2];
    neighbour_t dispatcher;
    neighbour_t cache;
    neighbour_t query;
    neighbour_t details;
    neighbour_t frontend;
    char endpoint[128];
} world_t;

static world_t self;

static void world_start(const char *role) {
    wl_settings_t *settings = &self.stage.settings;
    for (uint32_t i = 0; i < 2; i++) {
        self.fetchers[i] = neighbour_open(WL_ACTOR_FETCHER, i);
        self.pullers[i] = neighbour_open(WL_ACTOR_PULLER, i);
    }
    self.dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    self.cache = neighbour_open(WL_ACTOR_CACHE, 0);
    self.query = neighbour_open(WL_ACTOR_QUERY, 0);
    self.details = neighbour_open(WL_ACTOR_DETAILS, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    settings->tier_silence_ms = SILENCE_MS;
    (void)snprintf(settings->server_role, sizeof settings->server_role, "%s", role);
    (void)snprintf(settings->shard_store, sizeof settings->shard_store, "mysql");
    stage_start(&self.stage, WL_ACTOR_PRESENCE, wl_presence_run);
    stage_configure_with(&self.stage, live_integration, live_presentation);
}

static void world_open(void) {
    stage_open(&self.stage);
    (void)snprintf(self.endpoint, sizeof self.endpoint, "ipc://%s/tier", self.stage.dir);
    (void)snprintf(self.stage.settings.tier_endpoint, sizeof self.stage.settings.tier_endpoint,
                   "%s", self.endpoint);
    world_start("all");
}

static void world_close(void) {
    (void)stage_stop(&self.stage);
    for (uint32_t i = 0; i < 2; i++) {
        neighbour_close(&self.fetchers[i]);
        neighbour_close(&self.pullers[i]);
    }
    neighbour_close(&self.dispatcher);
    neighbour_close(&self.cache);
    neighbour_close(&self.query);
    neighbour_close(&self.details);
    neighbour_close(&self.frontend);
    stage_close(&self.stage);
}

static void tell_lease(uint64_t epoch) {
    wl_lease_begin(self.stage.encoder, NULL);
    wl_lease_add(self.stage.encoder, &(wl_lease_item_t){.epoch = epoch, .until = INT64_MAX});
    stage_send(&self.stage);
}

/* The next message with this id; what else presence says is passed over. */
static wl_msg_t await(neighbour_t *neighbour, wl_msg_id_t id) {
    wl_msg_t msg = {0};
    do {
        cr_assert(neighbour_next(neighbour, &msg, PATIENCE_MS), "no %s came", wl_msg_name(id));
    } while (msg.id != id);
    return msg;
}

static bool comes(neighbour_t *neighbour, wl_msg_id_t id, int64_t patience_ms) {
    int64_t until = wl_mono_now().ms + patience_ms;
    wl_msg_t msg = {0};
    while (wl_mono_now().ms <= until && neighbour_next(neighbour, &msg, patience_ms)) {
        if (msg.id == id) {
            return true;
        }
    }
    return false;
}

static wl_live_item_t question(uint64_t ticket, wl_live_what_t what) {
    return (wl_live_item_t){.ticket = ticket,
                            .uid = UID,
                            .deadline_at = wl_mono_now().ms + 20000,
                            .what = (uint8_t)what};
}

static void ask(const char *line, wl_actor_kind_t asker, uint32_t instance, wl_live_item_t item) {
    wl_live_head_t head = {.asker = (uint8_t)asker, .instance = instance, .reader = 77};
    (void)snprintf(head.line, sizeof head.line, "%s", line);
    wl_live_begin(self.stage.encoder, &head);
    wl_live_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static neighbour_t *puller_of(const char *line) {
    return &self.pullers[wl_line_owner(line, 2)];
}

/* The lease, and it is known: readers come by another way. */
static void hold_lease(uint64_t epoch) {
    tell_lease(epoch);
    ask("live", WL_ACTOR_QUERY, 0, question(999, WL_LIVE_ASSETS));
    (void)await(puller_of("live"), WL_MSG_LIVE);
}

/* The answer of whoever was asked. */
static void answer(const wl_live_head_t *asked, const wl_live_item_t *item, wl_err_t err) {
    wl_lived_head_t head = {.asker = asked->asker,
                            .instance = asked->instance,
                            .reader = asked->reader,
                            .presence = asked->presence};
    memcpy(head.line, asked->line, sizeof head.line);
    wl_asset_t asset = test_asset(UID, asked->line, 100, 3);
    wl_lived_item_t lived = {.ticket = item->ticket,
                             .uid = item->uid,
                             .what = item->what,
                             .error = (uint32_t)err,
                             .at = 99,
                             .assets = {&asset, item->what == WL_LIVE_ASSETS}};
    wl_lived_begin(self.stage.encoder, &head);
    wl_lived_add(self.stage.encoder, &lived);
    stage_send(&self.stage);
}

/* ---- in one process -------------------------------------------------------------------------- */

static void expect_unheld(uint64_t ticket) {
    wl_msg_t msg = await(&self.query, WL_MSG_LIVED);
    cr_expect_eq(msg.items.lived[0].ticket, ticket);
    cr_expect_eq(msg.items.lived[0].error, (uint32_t)WL_ERR_UNAVAILABLE);
}

Test(presence_live, a_question_goes_to_whoever_answers_it_and_the_answer_back) {
    world_open();
    ask("live", WL_ACTOR_QUERY, 0, question(1, WL_LIVE_ASSETS));
    expect_unheld(1);
    tell_lease(5);
    ask("live", WL_ACTOR_QUERY, 0, question(2, WL_LIVE_ASSETS));
    wl_msg_t msg = await(puller_of("live"), WL_MSG_LIVE);
    const wl_live_head_t *head = &msg.head.live;
    cr_expect_str_eq(head->line, "live");
    cr_expect(head->epoch == 5 && head->dispatcher == 0 && head->presence == 0);
    cr_expect_eq(head->reader, 0u, "nobody here is in another process");
    cr_expect_eq(head->sent_at, 0);
    answer(head, &msg.items.live[0], WL_OK);
    msg = await(&self.query, WL_MSG_LIVED);
    cr_expect(msg.items.lived[0].ticket == 2 && msg.items.lived[0].assets.count == 1);
    cr_expect_eq(msg.items.lived[0].assets.at[0].amount, 100);

    ask("card", WL_ACTOR_DETAILS, 0, question(3, WL_LIVE_DETAILS));
    uint32_t fetcher = wl_uid_owner(UID, 2);
    msg = await(&self.fetchers[fetcher], WL_MSG_LIVE);
    cr_expect_eq(msg.items.live[0].what, (uint8_t)WL_LIVE_DETAILS, "it knows consents");
    answer(&msg.head.live, &msg.items.live[0], WL_ERR_UNAUTHORIZED);
    msg = await(&self.details, WL_MSG_LIVED);
    cr_expect_eq(msg.items.lived[0].error, (uint32_t)WL_ERR_UNAUTHORIZED);

    ask("card", WL_ACTOR_FRONTEND, 0, question(4, WL_LIVE_CONSENT));
    msg = await(&self.dispatcher, WL_MSG_LIVE);
    cr_expect_eq(msg.head.live.epoch, 5u);
    answer(&msg.head.live, &msg.items.live[0], WL_OK);
    msg = await(&self.frontend, WL_MSG_LIVED);
    cr_expect(msg.items.lived[0].ticket == 4 && msg.items.lived[0].at == 99);
    stage_expect_counter(&self.stage, live_passed, 3);
    stage_expect_counter(&self.stage, live_not_held, 1);
    world_close();
}

Test(presence_live, many_of_one_message_are_sorted) {
    world_open();
    tell_lease(5);
    wl_live_begin(self.stage.encoder, &(wl_live_head_t){.asker = WL_ACTOR_QUERY, .line = "card"});
    uint32_t expected[2] = {0};
    for (uint64_t uid = 1; uid <= 40; uid++) {
        wl_live_item_t item = question(uid, WL_LIVE_ASSETS);
        item.uid = uid;
        expected[wl_uid_owner(uid, 2)]++;
        wl_live_add(self.stage.encoder, &item);
    }
    stage_send(&self.stage);
    for (uint32_t i = 0; i < 2; i++) {
        cr_expect_eq(await(&self.fetchers[i], WL_MSG_LIVE).count, expected[i]);
    }
    world_close();
}

Test(presence_live, garbage_is_counted_and_late_questions_are_dropped) {
    world_open();
    tell_lease(5);
    wl_live_item_t item = question(1, WL_LIVE_ASSETS);
    ask("live", WL_ACTOR_CACHE, 0, item);
    ask("live", WL_ACTOR_QUERY, 9, item);
    ask("no line!", WL_ACTOR_QUERY, 0, item);
    item.what = 9;
    ask("live", WL_ACTOR_QUERY, 0, item);
    item = question(1, WL_LIVE_ASSETS);
    item.uid = 0;
    ask("live", WL_ACTOR_QUERY, 0, item);
    wl_live_head_t nobody = {.asker = WL_ACTOR_SHARD, .line = "live"};
    item = question(1, WL_LIVE_ASSETS);
    answer(&nobody, &item, WL_OK);
    stage_expect_counter(&self.stage, msg_malformed, 6);
    item.deadline_at = wl_mono_now().ms - 1;
    ask("live", WL_ACTOR_QUERY, 0, item);
    stage_expect_counter(&self.stage, rpc_late, 1);
    cr_expect_not(comes(puller_of("live"), WL_MSG_LIVE, QUIET_MS));
    cr_expect_not(comes(&self.query, WL_MSG_LIVED, 0));
    wl_done_begin(self.stage.encoder, &(wl_done_head_t){.line = "card"});
    wl_done_add(self.stage.encoder, &(wl_done_item_t){.uid = UID, .seq = 1});
    stage_send(&self.stage);
    stage_expect_counter(&self.stage, msg_unexpected, 1); /* nobody is followed */
    world_close();
}

Test(presence_live, details_hear_of_every_change) {
    world_open();
    tell_lease(5);
    wl_notice_item_t notice = {.uid = UID, .seq = 9, .state = 1, .line = "live"};
    wl_notice_begin(self.stage.encoder, &(wl_notice_head_t){.dispatcher = 0});
    wl_notice_add(self.stage.encoder, &notice);
    stage_send(&self.stage);
    wl_msg_t msg = await(&self.details, WL_MSG_NOTICE);
    cr_expect_eq(msg.items.notice[0].uid, (uint64_t)UID);
    wl_stored_begin(self.stage.encoder, &(wl_stored_head_t){.commit_seq = 1, .line = "card"});
    wl_stored_add(self.stage.encoder, &(wl_stored_item_t){.uid = 7, .seq = 9, .owns = true});
    stage_send(&self.stage);
    msg = await(&self.details, WL_MSG_NOTICE);
    cr_expect_eq(msg.items.notice[0].uid, 7u);
    cr_expect_str_eq(msg.items.notice[0].line, "card");
    world_close();
}

/* ---- of readers ------------------------------------------------------------------------------ */

typedef struct {
    zsock_t *dealer;
    wl_decoder_t *decoder;
    wl_decoder_t *inner;
    wl_encoder_t *encoder;
    uint64_t session;
} reader_t;

/* The next message but FEED and BEAT; false: none came. */
static bool reader_next(reader_t *reader, wl_msg_t *ret, int64_t patience_ms) {
    int64_t until = wl_mono_now().ms + patience_ms;
    while (socket_readable(reader->dealer, patience_ms) && wl_mono_now().ms <= until) {
        wl_msg_t content;
        bool parcel = false;
        cr_assert_eq(
            wl_tier_take(reader->dealer, reader->decoder, reader->inner, ret, &parcel, &content),
            WL_OK);
        if (ret->id != WL_MSG_FEED && ret->id != WL_MSG_BEAT) {
            return true;
        }
    }
    return false;
}

static void reader_follow(reader_t *reader, bool begin, uint64_t seen) {
    wl_follow_head_t head = {.instances = 1,
                             .session = reader->session,
                             .begin = begin,
                             .asked_at = wl_mono_now().ms,
                             .seen = seen};
    wl_follow_begin(reader->encoder, &head);
    cr_assert_eq(wl_channel_send(reader->dealer, reader->encoder), WL_OK);
}

/* Begins a session; returns the number that comes next. */
static uint64_t reader_begin(reader_t *reader) {
    wl_msg_t msg = {0};
    wl_msg_t content;
    bool parcel = false;
    reader->session++;
    reader_follow(reader, true, 0);
    do {
        cr_assert(socket_readable(reader->dealer, PATIENCE_MS));
        cr_assert_eq(
            wl_tier_take(reader->dealer, reader->decoder, reader->inner, &msg, &parcel, &content),
            WL_OK);
    } while (msg.id != WL_MSG_BEAT || msg.head.beat.session != reader->session);
    return msg.head.beat.next;
}

static reader_t reader_open(void) {
    reader_t reader = {.dealer = zsock_new(ZMQ_DEALER),
                       .decoder = wl_decoder_new(),
                       .inner = wl_decoder_new(),
                       .encoder = wl_encoder_new()};
    cr_assert_eq(zsock_connect(reader.dealer, "%s", self.endpoint), 0);
    return reader;
}

static void reader_close(reader_t *reader) {
    zsock_destroy(&reader->dealer);
    wl_decoder_destroy(&reader->decoder);
    wl_decoder_destroy(&reader->inner);
    wl_encoder_destroy(&reader->encoder);
}

/* Its clock has nothing in common with ours. */
static void reader_ask(reader_t *reader, const char *line, uint64_t ticket, wl_live_what_t what) {
    wl_live_head_t head = {.asker = WL_ACTOR_DETAILS, .instance = 8, .sent_at = 5000};
    (void)snprintf(head.line, sizeof head.line, "%s", line);
    wl_live_item_t item = {
        .ticket = ticket, .uid = UID, .deadline_at = 5900, .what = (uint8_t)what};
    wl_live_begin(reader->encoder, &head);
    wl_live_add(reader->encoder, &item);
    cr_assert_eq(wl_channel_send(reader->dealer, reader->encoder), WL_OK);
}

Test(presence_live, a_reader_asks_where_the_partition_is_held_and_hears_alone) {
    world_open();
    reader_t readers[2] = {reader_open(), reader_open()};
    wl_msg_t msg;
    reader_ask(&readers[0], "live", 1, WL_LIVE_ASSETS);
    stage_expect_counter(&self.stage, msg_unexpected, 1); /* a stranger */
    (void)reader_begin(&readers[0]);
    (void)reader_begin(&readers[1]);
    reader_ask(&readers[0], "live", 2, WL_LIVE_ASSETS);
    cr_assert(reader_next(&readers[0], &msg, PATIENCE_MS));
    cr_expect_eq(msg.id, WL_MSG_LIVED);
    cr_expect_eq(msg.items.lived[0].error, (uint32_t)WL_ERR_UNAVAILABLE, "not held here either");

    hold_lease(5);
    for (uint32_t i = 0; i < 2; i++) {
        reader_ask(&readers[i], "live", 10 + i, WL_LIVE_ASSETS);
        int64_t now = wl_mono_now().ms;
        msg = await(puller_of("live"), WL_MSG_LIVE);
        cr_expect_neq(msg.head.live.reader, 0u);
        cr_expect(msg.head.live.asker == WL_ACTOR_DETAILS && msg.head.live.instance == 8);
        int64_t left = msg.items.live[0].deadline_at - now;
        cr_expect(left > 400 && left < 1500, "%lld ms by our clock", (long long)left);
        answer(&msg.head.live, &msg.items.live[0], WL_OK);
        cr_assert(reader_next(&readers[i], &msg, PATIENCE_MS));
        cr_expect_eq(msg.id, WL_MSG_LIVED);
        cr_expect(msg.head.lived.asker == WL_ACTOR_DETAILS && msg.head.lived.instance == 8);
        cr_expect(msg.items.lived[0].ticket == 10 + i && msg.items.lived[0].assets.count == 1);
    }
    cr_expect_not(reader_next(&readers[0], &msg, QUIET_MS));

    reader_ask(&readers[0], "live", 20, WL_LIVE_ASSETS);
    msg = await(puller_of("live"), WL_MSG_LIVE);
    wl_live_head_t asked = msg.head.live;
    wl_live_item_t item = msg.items.live[0];
    (void)reader_begin(&readers[0]); /* the one that asked has gone */
    answer(&asked, &item, WL_OK);
    stage_expect_counter(&self.stage, live_lost, 1);
    cr_expect_not(reader_next(&readers[0], &msg, 0));
    reader_close(&readers[0]);
    reader_close(&readers[1]);
    world_close();
}

static void tell_consent(uint64_t seq, uint64_t commit_seq) {
    wl_asset_t record = test_asset(UID, "card", 0, seq);
    record.state = WL_STATE_GONE;
    (void)snprintf(record.bucket, sizeof record.bucket, "%s", WL_BUCKET_CONSENT);
    wl_stored_begin(self.stage.encoder, &(wl_stored_head_t){.shard = wl_uid_owner(UID, 2),
                                                            .commit_seq = commit_seq,
                                                            .log_seq = commit_seq,
                                                            .line = "card"});
    wl_stored_add(self.stage.encoder,
                  &(wl_stored_item_t){.uid = UID, .seq = seq, .assets = {&record, 1}});
    stage_send(&self.stage);
    (void)await(&self.cache, WL_MSG_STORED); /* the feed has it by now */
}

/* What a frontend of this process asked and the dispatcher answers. */
static void answer_consent(uint64_t ticket, wl_err_t err) {
    wl_live_head_t head = {.asker = WL_ACTOR_FRONTEND, .line = "card"};
    wl_live_item_t item = question(ticket, WL_LIVE_CONSENT);
    answer(&head, &item, err);
}

Test(presence_live, a_consent_is_acknowledged_when_every_reader_has_seen_it) {
    world_open();
    hold_lease(5);
    reader_t readers[2] = {reader_open(), reader_open()};
    (void)reader_begin(&readers[0]);
    uint64_t next = reader_begin(&readers[1]);
    tell_consent(3, 1);
    answer_consent(1, WL_OK);
    cr_expect_not(comes(&self.frontend, WL_MSG_LIVED, QUIET_MS));
    reader_follow(&readers[0], false, next + 1);
    reader_follow(&readers[1], false, next + 1000); /* it cannot have seen that */
    cr_expect_not(comes(&self.frontend, WL_MSG_LIVED, QUIET_MS));
    answer_consent(2, WL_ERR_UNAVAILABLE);
    cr_expect_eq(await(&self.frontend, WL_MSG_LIVED).items.lived[0].ticket, 2u, "an error at once");
    reader_follow(&readers[1], false, next + 1);
    wl_msg_t msg = await(&self.frontend, WL_MSG_LIVED);
    cr_expect(msg.items.lived[0].ticket == 1 && msg.items.lived[0].at == 99);

    answer_consent(3, WL_OK);
    cr_expect_eq(await(&self.frontend, WL_MSG_LIVED).items.lived[0].ticket, 3u, "nothing is new");
    (void)reader_begin(&readers[0]); /* it had nothing when this was said */
    tell_consent(4, 2);
    answer_consent(4, WL_OK);
    int64_t begun = wl_mono_now().ms;
    reader_follow(&readers[0], false, next + 2);
    int64_t last = wl_mono_now().ms; /* and the other one is silent from now on */
    cr_expect_eq(await(&self.frontend, WL_MSG_LIVED).items.lived[0].ticket, 4u);
    int64_t waited = wl_mono_now().ms - begun;
    cr_expect(waited >= SILENCE_MS - 200, "it waited only %lld ms", (long long)waited);
    cr_expect_lt(wl_mono_now().ms - last, PATIENCE_MS);
    stage_expect_counter(&self.stage, msg_malformed, 1);
    reader_close(&readers[0]);
    reader_close(&readers[1]);
    world_close();
}

Test(presence_live, of_a_reader_that_asked_the_answer_is_held_likewise) {
    world_open();
    hold_lease(5);
    reader_t reader = reader_open();
    uint64_t next = reader_begin(&reader);
    wl_msg_t msg;
    reader_ask(&reader, "card", 1, WL_LIVE_CONSENT);
    msg = await(&self.dispatcher, WL_MSG_LIVE);
    wl_live_head_t asked = msg.head.live;
    wl_live_item_t item = msg.items.live[0];
    tell_consent(3, 1);
    answer(&asked, &item, WL_OK);
    cr_expect_not(reader_next(&reader, &msg, QUIET_MS));
    reader_follow(&reader, false, next + 1);
    cr_assert(reader_next(&reader, &msg, PATIENCE_MS));
    cr_expect_eq(msg.id, WL_MSG_LIVED);
    cr_expect_eq(msg.items.lived[0].ticket, 1u);
    stage_expect_counter(&self.stage, consents_held, 0);
    reader_close(&reader);
    world_close();
}

/* ---- in a reader ----------------------------------------------------------------------------- */

/* A writer, as far as the reader can see. */
typedef struct {
    zsock_t *router;
    wl_tier_peer_t peer;
    wl_decoder_t *decoder;
    wl_encoder_t *encoder;
    uint64_t session;
    uint64_t begins;
    uint64_t seen; /* as said last */
    uint64_t feed;
    uint64_t next;
    uint64_t live_ticket; /* of the last question, 0 = none */
    bool mute;
} writer_t;

static writer_t writer;

static void writer_beat(int64_t asked_at) {
    wl_beat_head_t head = {.feed = writer.feed,
                           .session = writer.session,
                           .next = writer.next,
                           .asked_at = asked_at,
                           .instances = 1,
                           .partitions = 1,
                           .replayed = true};
    wl_beat_begin(writer.encoder, &head);
    wl_beat_add(writer.encoder, &(wl_beat_item_t){.partition = 0, .epoch = 5});
    cr_assert_eq(wl_tier_send(writer.router, &writer.peer, writer.encoder), WL_OK);
}

/* Takes one message of the reader, if there is one. */
static void writer_take(int64_t patience_ms) {
    wl_msg_t msg;
    if (!socket_readable(writer.router, patience_ms) ||
        wl_tier_recv(writer.router, writer.decoder, &writer.peer, &msg) != WL_OK) {
        return;
    }
    if (msg.id == WL_MSG_FOLLOW && !writer.mute) {
        writer.begins += msg.head.follow.begin && msg.head.follow.session != writer.session;
        writer.session = msg.head.follow.session;
        writer.seen = msg.head.follow.begin ? 0 : msg.head.follow.seen;
        writer_beat(msg.head.follow.asked_at);
    } else if (msg.id == WL_MSG_LIVE) {
        cr_expect_neq(msg.head.live.sent_at, 0);
        cr_expect_str_eq(msg.head.live.line, "live");
        writer.live_ticket = msg.items.live[0].ticket;
    }
}

#define writer_await(condition, what)                                                     \
    for (int64_t until = wl_mono_now().ms + PATIENCE_MS; !(condition); writer_take(10)) { \
        cr_assert_lt(wl_mono_now().ms, until, "never: %s", what);                         \
    }

static void reader_world_open(void) {
    stage_open(&self.stage);
    (void)snprintf(self.endpoint, sizeof self.endpoint, "ipc://%s/writer", self.stage.dir);
    (void)snprintf(self.stage.settings.tier_writers, sizeof self.stage.settings.tier_writers, "%s",
                   self.endpoint);
    writer = (writer_t){.router = zsock_new(ZMQ_ROUTER),
                        .decoder = wl_decoder_new(),
                        .encoder = wl_encoder_new(),
                        .feed = wl_random_u64(),
                        .next = 100};
    cr_assert_eq(zsock_bind(writer.router, "%s", self.endpoint), 0);
    world_start("reader");
}

static void reader_world_close(void) {
    world_close();
    zsock_destroy(&writer.router);
    wl_decoder_destroy(&writer.decoder);
    wl_encoder_destroy(&writer.encoder);
}

static void writer_tell_lived(uint64_t ticket, wl_actor_kind_t asker) {
    wl_lived_begin(writer.encoder,
                   &(wl_lived_head_t){.asker = (uint8_t)asker, .reader = 12345, .line = "live"});
    wl_lived_add(writer.encoder, &(wl_lived_item_t){.ticket = ticket, .uid = UID});
    cr_assert_eq(wl_tier_send(writer.router, &writer.peer, writer.encoder), WL_OK);
}

Test(presence_live, a_reader_passes_questions_on_to_the_writer_that_holds_the_partition) {
    reader_world_open();
    ask("live", WL_ACTOR_QUERY, 0, question(1, WL_LIVE_ASSETS));
    expect_unheld(1); /* nobody has answered yet */
    writer_await(writer.seen >= 100, "the session is confirmed");
    ask("live", WL_ACTOR_QUERY, 0, question(2, WL_LIVE_ASSETS));
    writer_await(writer.live_ticket == 2, "it came over");
    writer_tell_lived(2, WL_ACTOR_QUERY);
    wl_msg_t msg = await(&self.query, WL_MSG_LIVED);
    cr_expect_eq(msg.items.lived[0].ticket, 2u);
    writer_tell_lived(3, WL_ACTOR_SHARD);
    writer_tell_lived(3, (wl_actor_kind_t)99);
    stage_expect_counter(&self.stage, msg_malformed, 2);
    writer.mute = true;
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    do { /* it is silent: questions are refused at once */
        cr_assert_lt(wl_mono_now().ms, until);
        writer_take(20);
        ask("live", WL_ACTOR_QUERY, 0, question(4, WL_LIVE_ASSETS));
    } while (!comes(&self.query, WL_MSG_LIVED, 50));
    reader_world_close();
}

static void writer_publish_consent(uint64_t seq, wl_state_t state) {
    wl_asset_t record = test_asset(UID, "card", 0, seq);
    record.state = (uint8_t)state;
    (void)snprintf(record.bucket, sizeof record.bucket, "%s", WL_BUCKET_CONSENT);
    wl_encoder_t *message = wl_encoder_new();
    wl_stored_begin(message, &(wl_stored_head_t){.line = "card", .commit_seq = seq});
    wl_stored_add(message, &(wl_stored_item_t){.uid = UID, .seq = seq, .assets = {&record, 1}});
    wl_feed_begin(writer.encoder, &(wl_feed_head_t){.feed = writer.feed, .seq = writer.next++});
    wl_tier_parcel_t *parcel =
        wl_tier_parcel_new(wl_encoder_finish(writer.encoder), wl_encoder_finish(message));
    cr_assert_eq(wl_tier_parcel_send(parcel, writer.router, &writer.peer), WL_OK);
    wl_tier_parcel_destroy(&parcel);
    wl_encoder_reset(writer.encoder);
    wl_encoder_destroy(&message);
}

static void tell_done(uint64_t seq) {
    wl_done_begin(self.stage.encoder, &(wl_done_head_t){.line = "card"});
    wl_done_add(self.stage.encoder, &(wl_done_item_t){.uid = UID, .seq = seq});
    stage_send(&self.stage);
}

Test(presence_live, a_reader_has_seen_a_withdrawal_when_it_has_gone_its_way) {
    reader_world_open();
    writer_await(writer.seen == 100, "the session is confirmed");
    writer_publish_consent(1, WL_STATE_AVAILABLE);
    writer_await(writer.seen == 101, "what is given is known at once");
    writer_publish_consent(2, WL_STATE_GONE);
    wl_msg_t msg = await(&self.cache, WL_MSG_STORED);
    while (msg.items.stored[0].seq != 2) {
        msg = await(&self.cache, WL_MSG_STORED);
    }
    cr_expect_eq(msg.head.stored.dispatcher, WL_DISPATCHER_NONE);
    writer_publish_consent(3, WL_STATE_GONE);
    for (int64_t until = wl_mono_now().ms + 300; wl_mono_now().ms < until;) {
        writer_take(10);
        cr_assert_eq(writer.seen, 101u);
    }
    tell_done(3);
    tell_done(77); /* nobody waits for this one */
    for (int64_t until = wl_mono_now().ms + QUIET_MS; wl_mono_now().ms < until;) {
        writer_take(10);
        cr_assert_eq(writer.seen, 101u, "the first one is still on its way");
    }
    tell_done(2);
    writer_await(writer.seen == 103, "both are over");

    while (comes(&self.details, WL_MSG_COVER, 0)) {
    }
    uint64_t begins = writer.begins;
    writer_publish_consent(4, WL_STATE_GONE); /* gets lost on its way */
    writer_await(writer.begins > begins, "the session ends");
    msg = await(&self.details, WL_MSG_COVER);
    cr_expect_not(msg.head.cover.covered, "what is kept may be behind");
    reader_world_close();
}
