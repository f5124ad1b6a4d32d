/* A reader's presence actor; the test is its neighbours and the writers that it follows. */
#include "actors/presence.h"

#include "base/random.h"
#include "base/slot.h"
#include "domain/marks.h"
#include "domain/presence_set.h"
#include "proto/tier.h"
#include "read_path.h"

enum { WRITERS = 2, SILENCE_MS = 600 };

/* A writer, as far as the reader can see. */
typedef struct {
    zsock_t *router;
    wl_tier_peer_t peer; /* the reader, as it spoke last */
    uint64_t session;    /* that it wants, or has */
    int64_t asked_at;
    uint64_t feed;
    uint64_t next;
    uint64_t epoch; /* of partition 0, 0 = not held */
    bool replayed;
    bool mute; /* does not answer */
    const char *sick;
    uint64_t begins; /* sessions asked for */
    uint64_t refreshes;
} writer_t;

typedef struct {
    stage_t stage;
    neighbour_t fetchers[2];
    neighbour_t cache;
    neighbour_t frontend;
    neighbour_t query;
    writer_t writers[WRITERS];
    wl_decoder_t *decoder;
    wl_encoder_t *encoder;
    uint64_t log_seq; /* of both shards */
    uint64_t born;    /* told by the next tour of shard 0 */
    bool tours_stop;
    uint64_t scans;
    bool covered; /* as the cache was told */
} world_t;

static world_t self;

/* ---- what the neighbours say ------------------------------------------------------------------ */

static void writer_beat(writer_t *writer) {
    wl_beat_head_t head = {
        .feed = writer->feed,
        .session = writer->session,
        .next = writer->next,
        .asked_at = writer->asked_at,
        .instances = 1,
        .partitions = (uint32_t)self.stage.settings.queue_partitions,
        .replayed = writer->replayed,
        .sick = {(const uint8_t *)writer->sick, writer->sick == NULL ? 0 : strlen(writer->sick)},
    };
    wl_beat_begin(self.encoder, &head);
    if (writer->epoch > 0) {
        wl_beat_add(self.encoder, &(wl_beat_item_t){0, writer->epoch});
    }
    cr_assert_eq(wl_tier_send(writer->router, &writer->peer, self.encoder), WL_OK);
}

static void writer_give_set(writer_t *writer) {
    wl_presence_set_t *set = wl_presence_set_new(WL_PRESENCE_EXACT, 0);
    const uint64_t seen[2] = {1, 1};
    void *blob = NULL;
    size_t bytes = 0;
    wl_presence_set_mark(set, 1);
    wl_presence_set_save(set, seen, 2, &blob, &bytes);
    wl_chunk_begin(self.encoder, &(wl_chunk_head_t){.snapshot = 5, .total = bytes});
    wl_chunk_add(self.encoder, &(wl_chunk_item_t){.bytes = {blob, bytes}});
    cr_assert_eq(wl_tier_send(writer->router, &writer->peer, self.encoder), WL_OK);
    wl_free(blob);
    wl_presence_set_destroy(&set);
}

static void writer_take(writer_t *writer) {
    wl_msg_t msg;
    while (wl_tier_recv(writer->router, self.decoder, &writer->peer, &msg) == WL_OK) {
        if (msg.id == WL_MSG_FOLLOW && !writer->mute) {
            writer->begins += msg.head.follow.begin && msg.head.follow.session != writer->session;
            writer->session = msg.head.follow.session;
            writer->asked_at = msg.head.follow.asked_at;
            writer_beat(writer);
        } else if (msg.id == WL_MSG_WANT) {
            writer_give_set(writer);
        } else if (msg.id == WL_MSG_REFRESH) {
            writer->refreshes += msg.count;
        }
    }
}

static void shard_take(uint32_t shard) {
    wl_msg_t msg;
    while (neighbour_next(&self.fetchers[shard], &msg, 0)) {
        cr_assert_eq(msg.id, WL_MSG_TELL_OWNERS);
        cr_expect(!msg.head.tell_owners.trim, "the log is not ours");
        self.scans += msg.head.tell_owners.after == 0 && !msg.head.tell_owners.rebuild;
        if (!self.tours_stop) {
            wl_owners_head_t head = {.shard = shard,
                                     .log_seq = self.log_seq,
                                     .last = true,
                                     .asked_at = msg.head.tell_owners.asked_at,
                                     .commit_seq = 77,
                                     .rebuild = msg.head.tell_owners.rebuild};
            bool born = self.born != 0 && wl_uid_owner(self.born, 2) == shard;
            wl_owners_begin(self.stage.encoder, &head);
            wl_owners_add(self.stage.encoder, &(wl_owners_item_t){.uids = {&self.born, born}});
            stage_send(&self.stage);
        }
    }
}

/* Plays everybody but the cache and the frontend for a moment. */
static void pump(long ms) {
    int64_t until = wl_mono_now().ms + ms;
    do {
        zmq_pollitem_t items[WRITERS + 2];
        for (uint32_t i = 0; i < WRITERS + 2; i++) {
            zsock_t *socket =
                i < WRITERS ? self.writers[i].router : self.fetchers[i - WRITERS].inbox;
            items[i] = (zmq_pollitem_t){.socket = zsock_resolve(socket), .events = ZMQ_POLLIN};
        }
        (void)zmq_poll(items, WRITERS + 2, 2);
        for (uint32_t i = 0; i < WRITERS; i++) {
            writer_take(&self.writers[i]);
        }
        shard_take(0);
        shard_take(1);
    } while (wl_mono_now().ms < until);
}

static void world_open(const char *role) {
    stage_open(&self.stage);
    self.fetchers[0] = neighbour_open(WL_ACTOR_FETCHER, 0);
    self.fetchers[1] = neighbour_open(WL_ACTOR_FETCHER, 1);
    self.cache = neighbour_open(WL_ACTOR_CACHE, 0);
    self.frontend = neighbour_open(WL_ACTOR_FRONTEND, 0);
    self.query = neighbour_open(WL_ACTOR_QUERY, 0);
    self.decoder = wl_decoder_new();
    self.encoder = wl_encoder_new();
    self.log_seq = 1;
    wl_settings_t *settings = &self.stage.settings;
    settings->tier_silence_ms = SILENCE_MS;
    (void)snprintf(settings->server_role, sizeof settings->server_role, "%s", role);
    (void)snprintf(settings->shard_store, sizeof settings->shard_store, "mysql");
    for (uint32_t i = 0; i < WRITERS; i++) {
        writer_t *writer = &self.writers[i];
        *writer = (writer_t){.router = zsock_new(ZMQ_ROUTER),
                             .feed = wl_random_u64(),
                             .next = 100,
                             .replayed = true};
        size_t used = strlen(settings->tier_writers);
        (void)snprintf(settings->tier_writers + used, sizeof settings->tier_writers - used,
                       "%sipc://%s/writer%u", i == 0 ? "" : ",", self.stage.dir, i);
        cr_assert_eq(zsock_bind(writer->router, "ipc://%s/writer%u", self.stage.dir, i), 0);
    }
    self.writers[0].epoch = 1;
    stage_start(&self.stage, WL_ACTOR_PRESENCE, wl_presence_run);
}

static void world_close(void) {
    (void)stage_stop(&self.stage);
    neighbour_close(&self.fetchers[0]);
    neighbour_close(&self.fetchers[1]);
    neighbour_close(&self.cache);
    neighbour_close(&self.frontend);
    neighbour_close(&self.query);
    for (uint32_t i = 0; i < WRITERS; i++) {
        zsock_destroy(&self.writers[i].router);
    }
    wl_decoder_destroy(&self.decoder);
    wl_encoder_destroy(&self.encoder);
    stage_close(&self.stage);
}

/* The next message at the cache; notes COVER on the way. */
static bool cache_next(wl_msg_t *ret, wl_msg_id_t id) {
    while (neighbour_next(&self.cache, ret, 0)) {
        self.covered = ret->id == WL_MSG_COVER ? ret->head.cover.covered : self.covered;
        if (ret->id == id) {
            return true;
        }
    }
    return false;
}

static bool passes(uint64_t uid) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    wl_msg_t msg;
    stage_read(&self.stage, test_read(uid, uid, WL_METHOD_HOME, 10000));
    while (wl_mono_now().ms < until) {
        if (cache_next(&msg, WL_MSG_READ)) {
            return true;
        }
        if (neighbour_next(&self.frontend, &msg, 0) && msg.id == WL_MSG_REPLY) {
            cr_expect(msg.items.reply[0].absent);
            return false;
        }
        pump(1);
    }
    cr_assert(false, "no answer");
    return true;
}

static bool passes_soon(uint64_t uid, bool wanted) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    bool is = passes(uid);
    while (is != wanted && wl_mono_now().ms < until) {
        pump(5);
        is = passes(uid);
    }
    return is == wanted;
}

enum { NOBODY = 4000 };

static void expect_covered(void) {
    cr_assert(passes_soon(NOBODY, false), "it stays unknown");
}

static void expect_unknown(void) {
    cr_assert(passes_soon(NOBODY, true), "it stays covered");
}

/* ---- the feed --------------------------------------------------------------------------------- */

static void writer_publish(writer_t *writer, uint64_t seq, wl_encoder_t *message) {
    wl_feed_begin(self.encoder, &(wl_feed_head_t){.feed = writer->feed, .seq = seq});
    wl_tier_parcel_t *parcel =
        wl_tier_parcel_new(wl_encoder_finish(self.encoder), wl_encoder_finish(message));
    cr_assert_eq(wl_tier_parcel_send(parcel, writer->router, &writer->peer), WL_OK);
    wl_tier_parcel_destroy(&parcel);
    wl_encoder_reset(self.encoder);
    wl_encoder_destroy(&message);
}

static wl_encoder_t *stored_of(uint64_t uid, uint64_t seq, bool owns, uint64_t log_seq) {
    wl_encoder_t *message = wl_encoder_new();
    wl_stored_head_t head = {.dispatcher = 0,
                             .shard = wl_uid_owner(uid, 2),
                             .commit_seq = log_seq,
                             .log_seq = log_seq,
                             .line = "cash"};
    wl_stored_begin(message, &head);
    wl_stored_add(message, &(wl_stored_item_t){.uid = uid, .seq = seq, .owns = owns});
    return message;
}

static wl_encoder_t *notice_of(uint64_t uid, uint64_t seq) {
    wl_encoder_t *message = wl_encoder_new();
    wl_notice_begin(message, &(wl_notice_head_t){.dispatcher = 0});
    wl_notice_add(message, &(wl_notice_item_t){
                               .uid = uid, .seq = seq, .state = WL_MARK_PENDING, .line = "cash"});
    return message;
}

static void cache_await(wl_msg_id_t id, wl_msg_t *ret) {
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (!cache_next(ret, id)) {
        cr_assert_lt(wl_mono_now().ms, until, "no %s came", wl_msg_name(id));
        pump(1);
    }
}

Test(presence_follow, covers_after_a_beat_and_a_tour_and_starts_from_the_writers_set) {
    world_open("reader");
    expect_covered();
    cr_expect(passes(1), "from the set");
    cr_expect_eq(self.scans, 0u);
    world_close();
}

Test(presence_follow, without_a_tour_nothing_is_covered) {
    world_open("reader");
    self.tours_stop = true;
    pump(700);
    cr_expect(passes(NOBODY));
    cr_expect_eq(self.writers[0].begins, 1u, "one session, which goes on");
    world_close();
}

Test(presence_follow, what_the_feed_says_counts_as_if_it_came_from_here) {
    world_open("reader");
    expect_covered();
    writer_t *writer = &self.writers[0];
    wl_msg_t msg;
    writer_publish(writer, writer->next++, notice_of(42, 7));
    cache_await(WL_MSG_NOTICE, &msg);
    cr_expect_eq(msg.items.notice[0].uid, 42u);
    cr_expect(passes(42));
    writer_publish(writer, writer->next++, stored_of(42, 7, true, 2));
    cache_await(WL_MSG_STORED, &msg);
    cr_expect_eq(msg.head.stored.dispatcher, WL_DISPATCHER_NONE, "nobody here waits for DONE");
    cr_expect(passes(42));
    writer_publish(writer, writer->next++, notice_of(42, 8));
    writer_publish(writer, writer->next++, stored_of(42, 8, false, 2));
    cr_expect(passes_soon(42, false));
    stage_expect_counter(&self.stage, tier_gaps, 0);
    world_close();
}

Test(presence_follow, a_gap_makes_it_unknown_until_a_new_session_and_tour) {
    world_open("reader");
    expect_covered();
    writer_t *writer = &self.writers[0];
    uint64_t begins = writer->begins;
    self.tours_stop = true;
    writer->next++; /* user 50 was born in it */
    writer_publish(writer, writer->next++, stored_of(51, 1, true, 3));
    expect_unknown();
    wl_msg_t msg;
    (void)cache_next(&msg, WL_MSG_DONE);
    cr_expect(!self.covered, "the cache was told");
    pump(300);
    cr_expect_gt(writer->begins, begins);
    cr_expect(passes(50) && passes(NOBODY));
    world_close();
}

Test(presence_follow, after_a_gap_the_log_tells_what_was_missed) {
    world_open("reader");
    expect_covered();
    writer_t *writer = &self.writers[0];
    self.born = 50;
    self.log_seq = 3;
    writer->next++;
    writer_publish(writer, writer->next++, stored_of(51, 1, true, 3));
    int64_t begun = wl_mono_now().ms;
    while (writer->begins < 2) {
        pump(1);
    }
    expect_covered();
    cr_expect_lt(wl_mono_now().ms - begun, 1500);
    cr_expect(passes(50));
    wl_msg_t msg;
    (void)cache_next(&msg, WL_MSG_DONE);
    cr_expect(self.covered);
    stage_expect_counter(&self.stage, tier_gaps, 1);
    world_close();
}

Test(presence_follow, a_beat_shows_a_gap_at_the_end_too) {
    world_open("reader");
    expect_covered();
    self.writers[0].next++;
    while (self.writers[0].begins < 2) {
        pump(1);
    }
    expect_covered();
    stage_expect_counter(&self.stage, tier_gaps, 1);
    world_close();
}

Test(presence_follow, silence_makes_it_unknown) {
    world_open("reader");
    expect_covered();
    self.writers[0].mute = true;
    int64_t begun = wl_mono_now().ms;
    expect_unknown();
    cr_expect_lt(wl_mono_now().ms - begun, SILENCE_MS + 1000);
    self.writers[0].mute = false;
    expect_covered();
    world_close();
}

Test(presence_follow, an_old_beat_does_not_end_the_silence) {
    world_open("reader");
    expect_covered();
    writer_t *writer = &self.writers[0];
    writer->mute = true;
    for (uint32_t i = 0; i < 20; i++) { /* as if they had lain in a buffer */
        writer_beat(writer);
        pump(SILENCE_MS / 10);
    }
    cr_expect(passes(NOBODY));
    world_close();
}

Test(presence_follow, another_feed_is_followed_from_its_beginning) {
    world_open("reader");
    expect_covered();
    writer_t *writer = &self.writers[0];
    uint64_t begins = writer->begins;
    writer->feed++; /* it was started again, on the same connection as it were */
    while (writer->begins == begins) {
        pump(1);
    }
    expect_covered();
    world_close();
}

Test(presence_follow, nothing_is_covered_before_the_marks_have_come) {
    world_open("reader");
    self.writers[0].replayed = false;
    pump(900);
    cr_expect(passes(NOBODY));
    writer_publish(&self.writers[0], 0, notice_of(60, 5));
    self.writers[0].replayed = true;
    expect_covered();
    cr_expect(passes(60));
    writer_publish(&self.writers[0], self.writers[0].next++, stored_of(60, 4, false, 9));
    pump(50);
    cr_expect(passes(60), "a newer change is on its way");
    world_close();
}

Test(presence_follow, bytes_that_do_not_decode_end_the_session) {
    world_open("reader");
    expect_covered();
    writer_t *writer = &self.writers[0];
    uint64_t begins = writer->begins;
    void *router = zsock_resolve(writer->router);
    cr_assert_geq(zmq_send(router, writer->peer.identity, writer->peer.bytes, ZMQ_SNDMORE), 0);
    cr_assert_eq(zmq_send(router, "\xdd\xff\xff\xff\xff", 5, 0), 5);
    while (writer->begins == begins) {
        pump(1);
    }
    expect_covered();
    stage_expect_counter(&self.stage, msg_malformed, 1);
    world_close();
}

Test(presence_follow, a_commit_that_is_behind_clears_nobody) {
    world_open("reader");
    self.log_seq = 10;
    self.born = 70; /* at 10, by another writer */
    expect_covered();
    cr_expect(passes(70));
    writer_publish(&self.writers[0], self.writers[0].next++, stored_of(70, 1, false, 9));
    wl_msg_t msg;
    cache_await(WL_MSG_STORED, &msg);
    cr_expect(passes(70));
    writer_publish(&self.writers[0], self.writers[0].next++, stored_of(70, 2, false, 10));
    self.born = 0;
    cr_expect(passes_soon(70, false));
    world_close();
}

Test(presence_follow, a_partition_goes_to_the_writer_with_the_newer_lease) {
    world_open("reader");
    expect_covered();
    self.tours_stop = true;
    self.writers[1].epoch = 2;
    expect_unknown();
    pump(200);
    cr_expect(passes(NOBODY), "the old holder still says that it holds it");
    wl_refresh_begin(self.stage.encoder, &(wl_refresh_head_t){.line = "cash"});
    wl_refresh_add(self.stage.encoder, &(wl_refresh_item_t){.uid = 1});
    stage_send(&self.stage);
    pump(200);
    cr_expect_eq(self.writers[0].refreshes, 0u);
    cr_expect_eq(self.writers[1].refreshes, 1u, "the new one is asked for pulls");
    world_close();
}

Test(presence_follow, a_reader_tells_its_actors_which_lines_are_sick) {
    world_open("reader");
    self.writers[0].sick = "cash,coin,";
    self.writers[1].sick = "coin,";
    wl_msg_t msg;
    uint32_t sick = 0;
    int64_t until = wl_mono_now().ms + PATIENCE_MS;
    while (sick < 2 && wl_mono_now().ms < until) {
        pump(1);
        while (neighbour_next(&self.query, &msg, 0)) {
            for (uint32_t i = 0; i < msg.count && msg.id == WL_MSG_LINE; i++) {
                sick += msg.items.line[i].sick;
            }
        }
    }
    cr_expect_geq(sick, 2u);
    self.writers[0].sick = NULL;
    bool well = false;
    while (!well && wl_mono_now().ms < until) {
        pump(1);
        while (neighbour_next(&self.query, &msg, 0)) {
            for (uint32_t i = 0; i < msg.count && msg.id == WL_MSG_LINE; i++) {
                const wl_line_item_t *line = &msg.items.line[i];
                well = well || (!line->sick && strcmp(line->line, "cash") == 0);
                cr_expect(line->sick || strcmp(line->line, "coin") != 0, "the other says so");
            }
        }
    }
    cr_expect(well);
    world_close();
}

Test(presence_follow, a_process_of_both_tiers_covers_what_it_holds_itself) {
    world_open("all");
    self.writers[0].epoch = 0;
    pump(700);
    cr_expect(passes(NOBODY), "nobody holds it");
    wl_lease_begin(self.stage.encoder, NULL);
    wl_lease_add(self.stage.encoder, &(wl_lease_item_t){.epoch = 3, .until = INT64_MAX});
    stage_send(&self.stage);
    expect_covered();
    wl_lease_begin(self.stage.encoder, NULL);
    wl_lease_add(self.stage.encoder, &(wl_lease_item_t){.epoch = 3, .until = 0});
    stage_send(&self.stage);
    expect_unknown();
    world_close();
}

/* The death was in the gap: the log tells births only. */
Test(presence_follow, a_gap_is_followed_by_a_rebuild) {
    world_open("reader");
    expect_covered();
    writer_publish(&self.writers[0], self.writers[0].next++, stored_of(7, 1, true, 2));
    cr_expect(passes_soon(7, true));
    self.writers[0].next++; /* what said that 7 owns nothing any more */
    for (int i = 0; i < 4 && !passes_soon(7, false); i++) {
    } /* it takes up to 10 s to begin */
    cr_expect_not(passes(7));
    world_close();
}
