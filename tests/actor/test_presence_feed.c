/* A writer's presence actor; the test is its neighbours and the readers that follow it. */
#include "actors/presence.h"

#include "domain/marks.h"
#include "domain/presence_set.h"
#include "proto/tier.h"
#include "read_path.h"

typedef struct {
    zsock_t *dealer;
    wl_decoder_t *decoder;
    wl_decoder_t *inner;
    wl_encoder_t *encoder;
} reader_t;

typedef struct {
    stage_t stage;
    neighbour_t fetchers[2];
    neighbour_t cache;
    neighbour_t frontend;
    neighbour_t dispatcher;
    char endpoint[128];
} world_t;

static world_t self;

static void world_open(void) {
    stage_open(&self.stage);
    self.fetchers[0] = neighbour_open(WL_ACTOR_FETCHER, 0);
    self.fetchers[1] = neighbour_open(WL_ACTOR_FETCHER, 1);
    self.cache = neighbour_open(WL_ACTOR_CACHE, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self.dispatcher = neighbour_open(WL_ACTOR_DISPATCHER, 0);
    (void)snprintf(self.endpoint, sizeof self.endpoint, "ipc://%s/tier", self.stage.dir);
    (void)snprintf(self.stage.settings.tier_endpoint, sizeof self.stage.settings.tier_endpoint,
                   "%s", self.endpoint);
    (void)snprintf(self.stage.settings.shard_store, sizeof self.stage.settings.shard_store,
                   "mysql");
    stage_start(&self.stage, WL_ACTOR_PRESENCE, wl_presence_run);
}

static void world_close(void) {
    (void)stage_stop(&self.stage);
    neighbour_close(&self.fetchers[0]);
    neighbour_close(&self.fetchers[1]);
    neighbour_close(&self.cache);
    neighbour_close(&self.frontend);
    neighbour_close(&self.dispatcher);
    stage_close(&self.stage);
}

static reader_t reader_open(void) {
    reader_t reader = {.dealer = zsock_new(ZMQ_DEALER),
                       .decoder = wl_decoder_new(),
                       .inner = wl_decoder_new(),
                       .encoder = wl_encoder_new()};
    zsock_set_rcvhwm(reader.dealer, 100);
    zsock_set_rcvbuf(reader.dealer, 65536);
    cr_assert_eq(zsock_connect(reader.dealer, "%s", self.endpoint), 0);
    return reader;
}

static void reader_close(reader_t *reader) {
    zsock_destroy(&reader->dealer);
    wl_decoder_destroy(&reader->decoder);
    wl_decoder_destroy(&reader->inner);
    wl_encoder_destroy(&reader->encoder);
}

static void reader_send(reader_t *reader) {
    cr_assert_eq(wl_channel_send(reader->dealer, reader->encoder), WL_OK);
}

static void reader_follow(reader_t *reader, uint64_t session, bool begin, int64_t asked_at) {
    wl_follow_head_t head = {
        .instances = 1, .session = session, .begin = begin, .asked_at = asked_at};
    wl_follow_begin(reader->encoder, &head);
    reader_send(reader);
}

/* The next message; of a parcel its content comes in *ret_content. */
static wl_msg_t reader_next(reader_t *reader, wl_msg_id_t id, wl_msg_t *ret_content) {
    wl_msg_t msg = {0};
    wl_msg_t content = {0};
    bool parcel = false;
    cr_assert(socket_readable(reader->dealer, PATIENCE_MS), "no %s came", wl_msg_name(id));
    cr_assert_eq(
        wl_tier_take(reader->dealer, reader->decoder, reader->inner, &msg, &parcel, &content),
        WL_OK);
    cr_assert_eq(msg.id, id, "%s instead of %s", wl_msg_name(msg.id), wl_msg_name(id));
    cr_assert_eq(parcel, id == WL_MSG_FEED);
    if (ret_content != NULL) {
        *ret_content = content;
    }
    return msg;
}

/* Begins a session; returns the seq that comes next. Takes the replay too. */
static uint64_t reader_begin(reader_t *reader, uint64_t session) {
    reader_follow(reader, session, true, 1000);
    wl_msg_t beat = reader_next(reader, WL_MSG_BEAT, NULL);
    cr_assert_eq(beat.head.beat.session, session);
    cr_expect_eq(beat.head.beat.asked_at, 1000);
    cr_expect(!beat.head.beat.replayed);
    uint64_t next = beat.head.beat.next;
    beat = reader_next(reader, WL_MSG_BEAT, NULL);
    cr_expect(beat.head.beat.replayed);
    return next;
}

static void tell_notice(uint64_t uid, uint64_t seq) {
    wl_notice_item_t item = {.uid = uid, .seq = seq, .state = WL_MARK_PENDING, .line = "cash"};
    wl_notice_begin(self.stage.encoder, &(wl_notice_head_t){.dispatcher = 0});
    wl_notice_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static void tell_stored(uint64_t uid, uint64_t seq, uint64_t commit_seq) {
    wl_stored_head_t head = {.commit_seq = commit_seq, .log_seq = commit_seq, .line = "cash"};
    wl_stored_item_t item = {.uid = uid, .seq = seq, .owns = true};
    wl_stored_begin(self.stage.encoder, &head);
    wl_stored_add(self.stage.encoder, &item);
    stage_send(&self.stage);
}

static void tell_lease(uint64_t epoch, int64_t until) {
    wl_lease_begin(self.stage.encoder, NULL);
    wl_lease_add(self.stage.encoder, &(wl_lease_item_t){.epoch = epoch, .until = until});
    stage_send(&self.stage);
}

static wl_msg_t cache_await(wl_msg_id_t id) {
    wl_msg_t msg = {0};
    do {
        cr_assert(neighbour_next(&self.cache, &msg, PATIENCE_MS), "no %s came", wl_msg_name(id));
    } while (msg.id != id);
    return msg;
}

Test(presence_feed, what_presence_takes_goes_to_every_reader_in_order) {
    world_open();
    reader_t readers[2] = {reader_open(), reader_open()};
    uint64_t next = 0;
    for (uint32_t i = 0; i < 2; i++) {
        next = reader_begin(&readers[i], 5 + i);
    }
    for (uint64_t i = 1; i <= 50; i++) {
        tell_notice(i, i);
        tell_stored(i, i, i);
    }
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t notices = 0;
        for (uint64_t n = 0; n < 100; n++) {
            wl_msg_t content;
            wl_msg_t feed = reader_next(&readers[i], WL_MSG_FEED, &content);
            cr_assert_eq(feed.head.feed.seq, next + n);
            notices += content.id == WL_MSG_NOTICE;
            cr_assert_eq(content.count, 1u);
        }
        cr_expect_eq(notices, 50u);
        reader_follow(&readers[i], 5 + i, false, 2000);
        wl_msg_t beat = reader_next(&readers[i], WL_MSG_BEAT, NULL);
        cr_expect_eq(beat.head.beat.next, next + 100);
        cr_expect_eq(beat.head.beat.asked_at, 2000);
    }
    stage_expect_counter(&self.stage, tier_sessions, 2);
    reader_close(&readers[0]);
    reader_close(&readers[1]);
    world_close();
}

Test(presence_feed, marks_of_held_partitions_are_sent_again_to_whoever_begins) {
    world_open();
    tell_lease(3, INT64_MAX);
    enum { MARKED = 700 };
    for (uint64_t uid = 1; uid <= MARKED; uid++) {
        tell_notice(uid, uid);
    }
    tell_stored(7, 7, 1);
    (void)cache_await(WL_MSG_STORED);
    reader_t reader = reader_open();
    reader_follow(&reader, 1, true, 1);
    wl_msg_t beat = reader_next(&reader, WL_MSG_BEAT, NULL);
    cr_assert_eq(beat.count, 1u);
    cr_expect_eq(beat.items.beat[0].epoch, 3u);
    bool seen[MARKED + 1] = {false};
    uint32_t marks = 0;
    while (marks < MARKED - 1) {
        wl_msg_t content;
        wl_msg_t feed = reader_next(&reader, WL_MSG_FEED, &content);
        cr_assert_eq(feed.head.feed.seq, 0u, "outside of the count");
        for (uint32_t i = 0; i < content.count; i++) {
            const wl_notice_item_t *mark = &content.items.notice[i];
            cr_assert_eq(mark->seq, mark->uid);
            cr_assert_str_eq(mark->line, "cash");
            marks += !seen[mark->uid];
            seen[mark->uid] = true;
        }
    }
    cr_expect(!seen[7], "its change has ended");
    cr_expect(reader_next(&reader, WL_MSG_BEAT, NULL).head.beat.replayed);
    reader_close(&reader);
    world_close();
}

Test(presence_feed, a_stranger_is_told_to_begin) {
    world_open();
    reader_t reader = reader_open();
    reader_follow(&reader, 9, false, 1);
    cr_expect_eq(reader_next(&reader, WL_MSG_BEAT, NULL).head.beat.session, 0u);
    wl_follow_begin(reader.encoder, &(wl_follow_head_t){.instances = 2, .begin = true});
    reader_send(&reader);
    wl_msg_t beat = reader_next(&reader, WL_MSG_BEAT, NULL);
    cr_expect_eq(beat.head.beat.session, 0u, "its users are cut otherwise");
    cr_expect_eq(beat.head.beat.instances, 1u);
    (void)reader_begin(&reader, 10);
    reader_follow(&reader, 10, true, 1); /* its first question was slow */
    cr_expect(reader_next(&reader, WL_MSG_BEAT, NULL).head.beat.replayed, "no second beginning");
    reader_close(&reader);
    world_close();
}

Test(presence_feed, only_leased_partitions_are_claimed_and_readers_hear_at_once) {
    world_open();
    reader_t reader = reader_open();
    (void)reader_begin(&reader, 1);
    tell_lease(3, wl_mono_now().ms + 300);
    wl_msg_t beat = reader_next(&reader, WL_MSG_BEAT, NULL);
    cr_assert_eq(beat.count, 1u);
    cr_expect_eq(beat.items.beat[0].epoch, 3u);
    beat = reader_next(&reader, WL_MSG_BEAT, NULL);
    cr_expect_eq(beat.count, 0u, "not renewed in time");
    tell_lease(4, INT64_MAX);
    beat = reader_next(&reader, WL_MSG_BEAT, NULL);
    cr_assert_eq(beat.count, 1u);
    cr_expect_eq(beat.items.beat[0].epoch, 4u);
    wl_line_begin(self.stage.encoder, NULL);
    wl_line_add(self.stage.encoder, &(wl_line_item_t){.line = "cash", .sick = true});
    stage_send(&self.stage);
    beat = reader_next(&reader, WL_MSG_BEAT, NULL);
    cr_assert_eq(beat.head.beat.sick.count, 5u);
    cr_expect_eq(memcmp(beat.head.beat.sick.at, "cash,", 5), 0);
    reader_close(&reader);
    world_close();
}

Test(presence_feed, a_reader_that_takes_nothing_is_dropped_and_may_begin_anew) {
    world_open();
    reader_t slow = reader_open();
    reader_t quick = reader_open();
    (void)reader_begin(&slow, 1);
    uint64_t next = reader_begin(&quick, 1);
    wl_asset_t asset = test_asset(1, "cash", 100, 1);
    for (uint64_t i = 1; i <= 20000; i++) { /* more than HWMs and buffers of a socket hold */
        wl_stored_head_t head = {.commit_seq = i, .log_seq = i, .line = "cash"};
        wl_stored_begin(self.stage.encoder, &head);
        for (uint64_t user = 1; user <= 20; user++) {
            wl_stored_item_t item = {.uid = user, .seq = i, .owns = true, .assets = {&asset, 1}};
            wl_stored_add(self.stage.encoder, &item);
        }
        stage_send(&self.stage);
        wl_msg_t content;
        cr_assert_eq(reader_next(&quick, WL_MSG_FEED, &content).head.feed.seq, next++);
        wl_msg_t at_cache;
        (void)neighbour_next(&self.cache, &at_cache, 0);
        if (i % 1000 == 0 && stage_counter(&self.stage, WL_COUNTER_tier_slow_readers, 0) > 0) {
            break;
        }
    }
    stage_expect_counter(&self.stage, tier_slow_readers, 1);
    wl_msg_t msg = {0};
    wl_msg_t content;
    bool parcel = false;
    while (socket_readable(slow.dealer, 200)) {
        cr_assert_eq(wl_tier_take(slow.dealer, slow.decoder, slow.inner, &msg, &parcel, &content),
                     WL_OK);
    }
    reader_follow(&slow, 1, false, 1);
    cr_expect_eq(reader_next(&slow, WL_MSG_BEAT, NULL).head.beat.session, 0u);
    cr_expect_eq(reader_begin(&slow, 2), next);
    reader_close(&slow);
    reader_close(&quick);
    world_close();
}

static void tell_owners(uint32_t shard, uint64_t *uids, uint32_t count, uint64_t log_seq) {
    wl_owners_begin(self.stage.encoder,
                    &(wl_owners_head_t){.shard = shard, .log_seq = log_seq, .last = true});
    wl_owners_add(self.stage.encoder, &(wl_owners_item_t){.uids = {uids, count}});
    stage_send(&self.stage);
}

static wl_msg_t reader_want(reader_t *reader, uint64_t snapshot, uint64_t offset) {
    wl_want_begin(reader->encoder, &(wl_want_head_t){.snapshot = snapshot, .offset = offset});
    reader_send(reader);
    return reader_next(reader, WL_MSG_CHUNK, NULL);
}

Test(presence_feed, the_set_is_given_in_pieces_once_it_is_complete) {
    world_open();
    reader_t reader = reader_open();
    (void)reader_begin(&reader, 1);
    cr_expect_eq(reader_want(&reader, 0, 0).head.chunk.snapshot, 0u, "not complete yet");
    enum { USERS = 200000 };
    static uint64_t uids[4096];
    for (uint64_t i = 0; i < USERS;) { /* far apart, so that it takes several pieces */
        uint32_t count = 0;
        while (count < 4096 && i < USERS) {
            uids[count++] = ++i * 40000;
        }
        wl_owners_begin(self.stage.encoder, &(wl_owners_head_t){.shard = 0, .log_seq = i});
        wl_owners_add(self.stage.encoder, &(wl_owners_item_t){.uids = {uids, count}});
        stage_send(&self.stage);
    }
    tell_owners(0, NULL, 0, 77);
    tell_owners(1, NULL, 0, 78);
    wl_msg_t chunk = {0};
    for (uint32_t i = 0; i < 100 && chunk.head.chunk.snapshot == 0; i++) {
        chunk = reader_want(&reader, 0, 0);
    }
    uint64_t snapshot = chunk.head.chunk.snapshot;
    uint64_t total = chunk.head.chunk.total;
    cr_assert_gt(total, 2u * 262144u);
    uint8_t *bytes = wl_alloc(total);
    uint64_t have = 0;
    while (have < total) {
        chunk = reader_want(&reader, snapshot, have);
        cr_assert_eq(chunk.head.chunk.snapshot, snapshot);
        cr_assert_eq(chunk.head.chunk.offset, have);
        cr_assert_eq(chunk.count, 1u);
        memcpy(bytes + have, chunk.items.chunk[0].bytes.at, chunk.items.chunk[0].bytes.count);
        have += chunk.items.chunk[0].bytes.count;
    }
    cr_expect_eq(reader_want(&reader, snapshot + 2, 0).head.chunk.snapshot, 0u, "not known");
    cr_expect_eq(reader_want(&reader, snapshot, total).head.chunk.snapshot, 0u, "behind it");
    wl_presence_set_t *set = NULL;
    wl_presence_seen_t seen = {0};
    cr_assert_eq(wl_presence_set_load(bytes, total, &set, &seen, NULL), WL_OK);
    cr_expect_eq(wl_presence_set_members(set), (uint64_t)USERS);
    cr_assert_eq(seen.count, 2u);
    cr_expect_eq(seen.at[0], 77u);
    cr_expect_eq(seen.at[1], 78u);
    wl_free(seen.at);
    wl_free(bytes);
    wl_presence_set_destroy(&set);
    reader_close(&reader);
    world_close();
}

Test(presence_feed, a_refresh_of_a_reader_reaches_the_dispatcher_that_holds_the_partition) {
    world_open();
    reader_t reader = reader_open();
    (void)reader_begin(&reader, 1);
    wl_refresh_begin(reader.encoder, &(wl_refresh_head_t){.line = "cash"});
    wl_refresh_add(reader.encoder, &(wl_refresh_item_t){.uid = 42});
    reader_send(&reader);
    neighbour_hears_nothing(&self.dispatcher); /* no lease */
    tell_lease(1, INT64_MAX);
    (void)reader_next(&reader, WL_MSG_BEAT, NULL);
    wl_refresh_begin(reader.encoder, &(wl_refresh_head_t){.line = "cash"});
    wl_refresh_add(reader.encoder, &(wl_refresh_item_t){.uid = 42});
    reader_send(&reader);
    wl_msg_t msg = neighbour_expect(&self.dispatcher, WL_MSG_REFRESH, 1);
    cr_expect_str_eq(msg.head.refresh.line, "cash");
    cr_expect_eq(msg.items.refresh[0].uid, 42u);
    reader_close(&reader);
    world_close();
}

Test(presence_feed, garbage_is_counted_and_nobody_else_notices) {
    world_open();
    reader_t reader = reader_open();
    reader_t hostile = reader_open();
    uint64_t next = reader_begin(&reader, 1);
    void *socket = zsock_resolve(hostile.dealer);
    cr_assert_eq(zmq_send(socket, "\xdd\xff\xff\xff\xff", 5, 0), 5);
    cr_assert_eq(zmq_send(socket, "", 0, 0), 0);
    cr_assert_eq(zmq_send(socket, "a", 1, ZMQ_SNDMORE), 1);
    cr_assert_eq(zmq_send(socket, "b", 1, 0), 1);
    wl_refresh_begin(hostile.encoder, &(wl_refresh_head_t){.line = "cash"});
    reader_send(&hostile); /* it follows nothing */
    wl_want_begin(hostile.encoder, &(wl_want_head_t){.snapshot = 0});
    reader_send(&hostile);
    wl_read_begin(hostile.encoder, &(wl_read_head_t){.frontend = 0});
    reader_send(&hostile);
    stage_expect_counter(&self.stage, msg_malformed, 3);
    stage_expect_counter(&self.stage, msg_unexpected, 3);
    tell_notice(1, 1);
    wl_msg_t content;
    cr_expect_eq(reader_next(&reader, WL_MSG_FEED, &content).head.feed.seq, next);
    tell_lease(1, 0);
    wl_lease_begin(self.stage.encoder, NULL);
    wl_lease_add(self.stage.encoder, &(wl_lease_item_t){.partition = 7, .until = INT64_MAX});
    stage_send(&self.stage);
    stage_expect_counter(&self.stage, msg_malformed, 4);
    reader_close(&hostile);
    reader_close(&reader);
    world_close();
}

/* A bit that was lost is lost for the readers as well, and no change would tell them. */
Test(presence_feed, a_bit_that_the_reconciler_marks_is_told_to_readers) {
    enum { LOST = 900, FIRST = 1000 };
    static uint64_t uids[LOST];
    static bool pending[LOST];
    world_open();
    neighbour_t reconciler = neighbour_open(WL_ACTOR_RECONCILER, 0);
    reader_t reader = reader_open();
    uint64_t next = reader_begin(&reader, 1);
    uint64_t known = FIRST;
    tell_owners(0, &known, 1, 77); /* its bit is there: it is told to nobody */
    tell_owners(1, NULL, 0, 78);
    for (uint64_t i = 0; i < LOST; i++) {
        uids[i] = FIRST + i;
    }
    wl_check_begin(self.stage.encoder, &(wl_check_head_t){.ticket = 4, .mark = true});
    wl_check_add(self.stage.encoder, &(wl_check_item_t){.uids = {uids, LOST}});
    stage_send(&self.stage);
    uint32_t ended = 0;
    while (ended < LOST - 1) {
        wl_msg_t content;
        wl_msg_t feed = reader_next(&reader, WL_MSG_FEED, &content);
        cr_assert_eq(feed.head.feed.seq, next++, "in the count: a gap would be seen");
        cr_assert_eq(content.id, WL_MSG_NOTICE);
        for (uint32_t i = 0; i < content.count; i++) {
            const wl_notice_item_t *notice = &content.items.notice[i];
            cr_assert(notice->uid > FIRST && notice->uid < FIRST + LOST);
            cr_assert_eq(pending[notice->uid - FIRST], notice->state == WL_MARK_NONE,
                         "first it comes, then it does not");
            pending[notice->uid - FIRST] = notice->state != WL_MARK_NONE;
            ended += notice->state == WL_MARK_NONE;
        }
    }
    wl_msg_t told = neighbour_expect(&reconciler, WL_MSG_CHECKED, 0);
    cr_expect_eq(told.head.checked.ticket, 4u);
    cr_expect_eq(told.head.checked.error, (uint32_t)WL_OK);
    neighbour_close(&reconciler);
    reader_close(&reader);
    world_close();
}
