#include "domain/coverage.h"

#include "base/alloc.h"
#include "base/slot.h"

#include <criterion/criterion.h>
#include <string.h>

enum { SILENCE = 100 };

static wl_coverage_t *coverage_of(uint32_t feeds) {
    return wl_coverage_new(feeds, 2, 2, SILENCE);
}

static void heard(wl_coverage_t *coverage, uint32_t feed, uint32_t partition, uint64_t epoch,
                  int64_t now) {
    wl_coverage_heard(coverage, feed, now, &(wl_claim_t){partition, epoch}, 1, now);
}

static bool covers(wl_coverage_t *coverage, uint32_t partition, uint32_t shard, int64_t now) {
    (void)wl_coverage_update(coverage, now);
    return wl_coverage_covers(coverage, partition, shard);
}

Test(coverage, needs_a_holder_and_a_tour_asked_for_afterwards) {
    wl_coverage_t *coverage = coverage_of(2);
    cr_expect(!covers(coverage, 0, 0, 10));
    wl_coverage_toured(coverage, 0, 10);
    wl_coverage_begin(coverage, 1);
    cr_expect_eq(wl_coverage_holder(coverage, 0), -1);
    heard(coverage, 1, 0, 5, 20);
    cr_expect_eq(wl_coverage_holder(coverage, 0), 1);
    cr_expect(!covers(coverage, 0, 0, 21), "toured before");
    cr_expect(!wl_coverage_wants_tour(coverage, 0, 20), "not within the same millisecond");
    cr_expect(wl_coverage_wants_tour(coverage, 0, 21));
    wl_coverage_toured(coverage, 0, 20);
    cr_expect(!covers(coverage, 0, 0, 22), "either may have come first");
    wl_coverage_toured(coverage, 0, 21);
    cr_expect(!wl_coverage_wants_tour(coverage, 0, 30));
    cr_expect(covers(coverage, 0, 0, 30));
    cr_expect(!covers(coverage, 0, 1, 30), "the other shard was not read");
    cr_expect(!wl_coverage_covers_all(coverage, 0));
    cr_expect(!covers(coverage, 1, 0, 30), "nobody holds the other partition");
    wl_coverage_destroy(&coverage);
}

/* Feed 1 holds partition 0 with epoch 5 and all is toured, at 30. */
static wl_coverage_t *covered(uint32_t feeds) {
    wl_coverage_t *coverage = coverage_of(feeds);
    wl_coverage_begin(coverage, 1);
    heard(coverage, 1, 0, 5, 20);
    wl_coverage_toured(coverage, 0, 25);
    wl_coverage_toured(coverage, 1, 25);
    cr_assert(covers(coverage, 0, 0, 30));
    cr_assert(wl_coverage_covers_all(coverage, 0));
    return coverage;
}

Test(coverage, ends_with_silence_and_comes_back_with_a_beat) {
    wl_coverage_t *coverage = covered(2);
    cr_expect(covers(coverage, 0, 0, 20 + SILENCE));
    cr_expect(!covers(coverage, 0, 0, 21 + SILENCE));
    wl_coverage_heard(coverage, 1, 50, &(wl_claim_t){0, 5}, 1, 130);
    cr_expect(covers(coverage, 0, 0, 130), "said at 50, heard at 130");
    cr_expect(!covers(coverage, 0, 0, 51 + SILENCE), "what counts is when it was said");
    wl_coverage_destroy(&coverage);
}

Test(coverage, ends_with_the_session) {
    wl_coverage_t *coverage = covered(2);
    wl_coverage_end(coverage, 1);
    cr_expect(!covers(coverage, 0, 0, 31));
    cr_expect_eq(wl_coverage_holder(coverage, 0), -1);
    heard(coverage, 1, 0, 5, 32);
    cr_expect(!covers(coverage, 0, 0, 33), "no session");
    wl_coverage_begin(coverage, 1);
    heard(coverage, 1, 0, 5, 40);
    wl_coverage_toured(coverage, 0, 39);
    cr_expect(!covers(coverage, 0, 0, 45), "the tour was asked for before the session");
    wl_coverage_toured(coverage, 0, 41);
    cr_expect(covers(coverage, 0, 0, 45));
    wl_coverage_destroy(&coverage);
}

Test(coverage, ends_when_the_holder_says_that_it_holds_it_no_more) {
    wl_coverage_t *coverage = covered(2);
    wl_coverage_heard(coverage, 1, 35, NULL, 0, 35);
    cr_expect(!covers(coverage, 0, 0, 36));
    heard(coverage, 1, 0, 5, 40);
    cr_expect(!covers(coverage, 0, 0, 41), "somebody may have held it in between");
    wl_coverage_toured(coverage, 0, 41);
    cr_expect(covers(coverage, 0, 0, 42));
    wl_coverage_destroy(&coverage);
}

Test(coverage, goes_to_the_newest_epoch_and_never_back) {
    wl_coverage_t *coverage = covered(3);
    wl_coverage_begin(coverage, 2);
    heard(coverage, 2, 0, 6, 40);
    cr_expect_eq(wl_coverage_holder(coverage, 0), 2);
    cr_expect(!covers(coverage, 0, 0, 41));
    wl_coverage_toured(coverage, 0, 41);
    cr_expect(covers(coverage, 0, 0, 42));
    wl_coverage_end(coverage, 2);
    heard(coverage, 1, 0, 5, 43);
    wl_coverage_toured(coverage, 0, 44);
    cr_expect(!covers(coverage, 0, 0, 45), "the old holder covers nothing any more");
    cr_expect_eq(wl_coverage_holder(coverage, 0), -1);
    heard(coverage, 1, 0, 7, 50);
    wl_coverage_toured(coverage, 0, 51);
    cr_expect(covers(coverage, 0, 0, 52), "it took the partition anew");
    wl_coverage_destroy(&coverage);
}

Test(coverage, two_feeds_with_one_epoch_cover_nothing_before_a_newer_one) {
    wl_coverage_t *coverage = covered(3);
    wl_coverage_begin(coverage, 2);
    heard(coverage, 2, 0, 5, 40);
    wl_coverage_toured(coverage, 0, 41);
    cr_expect(!covers(coverage, 0, 0, 42));
    wl_coverage_end(coverage, 2);
    cr_expect(!covers(coverage, 0, 0, 43), "it may still write where we do not hear it");
    heard(coverage, 1, 0, 6, 44);
    wl_coverage_toured(coverage, 0, 45);
    cr_expect(covers(coverage, 0, 0, 46));
    wl_coverage_destroy(&coverage);
}

Test(coverage, passes_over_what_it_cannot_place) {
    wl_coverage_t *coverage = coverage_of(1);
    wl_coverage_begin(coverage, 0);
    const wl_claim_t claims[3] = {{2, 9}, {UINT32_MAX, 1}, {1, 0}};
    wl_coverage_heard(coverage, 0, 10, claims, 3, 10);
    wl_coverage_toured(coverage, 0, 11);
    cr_expect(!covers(coverage, 0, 0, 12));
    cr_expect(!covers(coverage, 1, 0, 12));
    wl_coverage_destroy(&coverage);
}

/* ---- against a world ---------------------------------------------------------------------------
 * Three writers, two partitions and two shards. Writers commit births, publish them a little later,
 * die in between and come back with another feed id; partitions go from one to another; links lose
 * messages, stand still and heal; an old holder goes on claiming its old epoch. The reader does what
 * presence_follow does. Whenever something is covered, every birth there that was committed longer
 * ago than silence and the delay of publishing must be known. */

enum {
    WRITERS = 3,
    PARTITIONS = 2,
    SHARDS = 2,
    PUBLISH_MAX = 15,
    BIRTHS_MAX = 4000,
    WIRE_MAX = 8192,
    END = 6000,
};

typedef struct {
    int64_t at;
    uint32_t partition;
    uint32_t shard;
    uint32_t writer;
    int64_t publish_at; /* INT64_MAX = done, or its writer died before */
    bool known;
} birth_t;

typedef struct {
    int64_t arrives_at;
    uint64_t feed; /* id */
    uint64_t seq;  /* 0 = a beat */
    uint64_t next; /* of a beat */
    uint64_t session;
    int64_t asked_at;
    uint64_t epochs[PARTITIONS];
    uint32_t birth;
} wire_t;

typedef struct {
    uint64_t feed; /* id; another one after each death */
    uint64_t next;
    uint64_t session;              /* of the reader, 0 = it does not know it */
    uint64_t believes[PARTITIONS]; /* epochs that it believes to hold */
    wire_t wire[WIRE_MAX];         /* to the reader, in order */
    uint32_t sent;
    uint32_t taken;
    int64_t last_arrival;
    bool cut;       /* what is sent is lost */
    int64_t stalls; /* until then nothing arrives */
} sim_writer_t;

typedef struct {
    bool live;
    uint64_t session;
    uint64_t feed;
    uint64_t next;
    int64_t said_at;
    uint64_t epochs[PARTITIONS];
} sim_session_t;

typedef struct {
    uint64_t random;
    int64_t now;
    wl_coverage_t *coverage;
    birth_t births[BIRTHS_MAX];
    uint32_t birth_count;
    sim_writer_t writers[WRITERS];
    sim_session_t sessions[WRITERS];
    uint32_t holder[PARTITIONS];
    uint64_t epoch[PARTITIONS];
    uint64_t reader_knows[PARTITIONS]; /* newest epoch that the reader heard */
    struct {
        int64_t asked_at; /* 0 = none under way */
        int64_t reads_at;
        int64_t ends_at;
        int64_t read_at;
    } tours[SHARDS];
    uint64_t covered_ms; /* so that the test is about something */
} sim_t;

static uint32_t sim_random(sim_t *sim, uint32_t below) {
    sim->random++;
    return (uint32_t)(wl_mix64(sim->random) % below);
}

static void sim_send(sim_t *sim, uint32_t w, wire_t message) {
    sim_writer_t *writer = &sim->writers[w];
    if (writer->cut || writer->sent - writer->taken == WIRE_MAX) {
        return;
    }
    int64_t arrives_at = sim->now + 1 + sim_random(sim, 4);
    writer->last_arrival = arrives_at > writer->last_arrival ? arrives_at : writer->last_arrival;
    message.arrives_at = writer->last_arrival;
    writer->wire[writer->sent++ % WIRE_MAX] = message;
}

static void sim_writers_step(sim_t *sim) {
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        if (sim_random(sim, 4) == 0 && sim->birth_count < BIRTHS_MAX) {
            sim->births[sim->birth_count++] = (birth_t){
                .at = sim->now,
                .partition = p,
                .shard = sim_random(sim, SHARDS),
                .writer = sim->holder[p],
                .publish_at = sim->now + sim_random(sim, PUBLISH_MAX),
            };
        }
    }
    for (uint32_t i = 0; i < sim->birth_count; i++) {
        birth_t *birth = &sim->births[i];
        if (birth->publish_at <= sim->now) {
            sim_writer_t *writer = &sim->writers[birth->writer];
            birth->publish_at = INT64_MAX;
            uint64_t seq = writer->next++;
            if (writer->session != 0) {
                sim_send(sim, birth->writer,
                         (wire_t){.feed = writer->feed, .seq = seq, .birth = i});
            }
        }
    }
}

static void sim_die(sim_t *sim, uint32_t w) {
    sim_writer_t *writer = &sim->writers[w];
    for (uint32_t i = 0; i < sim->birth_count; i++) {
        if (sim->births[i].writer == w) {
            sim->births[i].publish_at = INT64_MAX;
        }
    }
    writer->feed++;
    writer->next = 1;
    writer->session = 0;
    memset(writer->believes, 0, sizeof writer->believes);
    for (uint32_t p = 0; p < PARTITIONS; p++) { /* whoever takes it, takes it anew */
        if (sim->holder[p] == w) {
            sim->epoch[p]++;
            writer->believes[p] = sim->epoch[p];
        }
    }
}

static void sim_events(sim_t *sim) {
    uint32_t w = sim_random(sim, WRITERS);
    uint32_t p = sim_random(sim, PARTITIONS);
    sim_writer_t *writer = &sim->writers[w];
    switch (sim_random(sim, 400)) {
    case 0: sim_die(sim, w); break;
    case 1: writer->cut = true; break;
    case 2:
    case 3: writer->cut = false; break;
    case 4: writer->stalls = sim->now + sim_random(sim, 3 * SILENCE); break;
    case 5: /* a take-over: the old one stops before, and once the reader knows may claim again */
        sim->writers[sim->holder[p]].believes[p] = 0;
        sim->holder[p] = w;
        writer->believes[p] = ++sim->epoch[p];
        break;
    case 6: /* an old holder that has not understood */
        if (sim->holder[p] != w && sim->reader_knows[p] > 1) {
            writer->believes[p] = 1 + sim_random(sim, (uint32_t)sim->reader_knows[p] - 1);
        }
        break;
    case 7: writer->session = 0; break; /* it drops a slow reader */
    default: break;
    }
}

static void sim_end_session(sim_t *sim, uint32_t w) {
    wl_coverage_end(sim->coverage, 1 + w);
    sim->sessions[w].live = false;
    sim->sessions[w].session++;
}

/* What FOLLOW and its answer do, the question's way left out. */
static void sim_ask(sim_t *sim, uint32_t w) {
    sim_writer_t *writer = &sim->writers[w];
    sim_session_t *session = &sim->sessions[w];
    int64_t asked_at = sim->now;
    if (writer->cut || writer->stalls > sim->now) {
        return;
    }
    if (!session->live) {
        writer->session = session->session;
    }
    wire_t beat = {.feed = writer->feed,
                   .next = writer->next,
                   .session = writer->session,
                   .asked_at = asked_at};
    memcpy(beat.epochs, writer->believes, sizeof beat.epochs);
    sim_send(sim, w, beat);
}

static void sim_take_beat(sim_t *sim, uint32_t w, const wire_t *beat) {
    sim_session_t *session = &sim->sessions[w];
    if (beat->session == 0) {
        sim_end_session(sim, w);
        return;
    }
    if (beat->session != session->session) {
        return;
    }
    bool gained = false;
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        gained = gained || (beat->epochs[p] != 0 && beat->epochs[p] != session->epochs[p]);
    }
    if (session->live && (beat->feed != session->feed || beat->next != session->next || gained)) {
        sim_end_session(sim, w);
        return;
    }
    if (!session->live) {
        session->live = true;
        session->feed = beat->feed;
        session->next = beat->next;
        wl_coverage_begin(sim->coverage, 1 + w);
    }
    memcpy(session->epochs, beat->epochs, sizeof session->epochs);
    session->said_at = beat->asked_at;
    wl_claim_t claims[PARTITIONS];
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        claims[p] = (wl_claim_t){p, beat->epochs[p]};
        if (beat->epochs[p] > sim->reader_knows[p]) {
            sim->reader_knows[p] = beat->epochs[p];
        }
    }
    wl_coverage_heard(sim->coverage, 1 + w, beat->asked_at, claims, PARTITIONS, sim->now);
}

static void sim_take(sim_t *sim, uint32_t w, const wire_t *message) {
    sim_session_t *session = &sim->sessions[w];
    if (message->seq == 0) {
        sim_take_beat(sim, w, message);
    } else if (session->live) {
        if (message->feed != session->feed || message->seq != session->next) {
            sim_end_session(sim, w);
            return;
        }
        session->next++;
        sim->births[message->birth].known = true;
    }
}

static void sim_reader_step(sim_t *sim) {
    for (uint32_t w = 0; w < WRITERS; w++) {
        sim_writer_t *writer = &sim->writers[w];
        while (writer->taken < writer->sent && writer->stalls <= sim->now &&
               writer->wire[writer->taken % WIRE_MAX].arrives_at <= sim->now) {
            sim_take(sim, w, &writer->wire[writer->taken++ % WIRE_MAX]);
        }
        if (sim->sessions[w].live && sim->now - sim->sessions[w].said_at > SILENCE) {
            sim_end_session(sim, w);
        }
        if (sim->now % 10 == w) {
            sim_ask(sim, w);
        }
    }
    for (uint32_t s = 0; s < SHARDS; s++) {
        if (sim->tours[s].asked_at != 0 && sim->tours[s].ends_at <= sim->now) {
            for (uint32_t i = 0; i < sim->birth_count; i++) {
                birth_t *birth = &sim->births[i];
                birth->known =
                    birth->known || (birth->shard == s && birth->at <= sim->tours[s].reads_at);
            }
            wl_coverage_toured(sim->coverage, s, sim->tours[s].asked_at);
            sim->tours[s].asked_at = 0;
        }
        if (sim->tours[s].asked_at == 0 && wl_coverage_wants_tour(sim->coverage, s, sim->now)) {
            sim->tours[s].asked_at = sim->now;
            sim->tours[s].reads_at = sim->now + sim_random(sim, 5);
            sim->tours[s].ends_at = sim->tours[s].reads_at + 1 + sim_random(sim, 10);
        }
    }
}

static void sim_check(sim_t *sim, uint64_t seed) {
    (void)wl_coverage_update(sim->coverage, sim->now);
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        for (uint32_t s = 0; s < SHARDS; s++) {
            sim->covered_ms += wl_coverage_covers(sim->coverage, p, s);
        }
    }
    for (uint32_t i = 0; i < sim->birth_count; i++) {
        const birth_t *birth = &sim->births[i];
        bool old = birth->at < sim->now - SILENCE - PUBLISH_MAX;
        bool covered = wl_coverage_covers(sim->coverage, birth->partition, birth->shard);
        cr_assert(birth->known || !old || !covered,
                  "seed %llu: at %lld the birth of %lld by writer %u is not known",
                  (unsigned long long)seed, (long long)sim->now, (long long)birth->at,
                  birth->writer);
    }
}

Test(coverage, no_birth_is_missed_whatever_happens_to_writers_and_links) {
    uint64_t covered_ms = 0;
    for (uint64_t seed = 1; seed <= 25; seed++) {
        sim_t *sim = wl_alloc_zero(1, sizeof *sim);
        sim->random = seed << 32;
        sim->coverage = wl_coverage_new(1 + WRITERS, PARTITIONS, SHARDS, SILENCE);
        for (uint32_t w = 0; w < WRITERS; w++) {
            sim->writers[w].feed = (uint64_t)w << 32;
            sim->writers[w].next = 1;
            sim->sessions[w].session = 1;
        }
        for (uint32_t p = 0; p < PARTITIONS; p++) {
            sim->holder[p] = p;
            sim->epoch[p] = 1;
            sim->writers[p].believes[p] = 1;
        }
        for (sim->now = 1; sim->now < END; sim->now++) {
            sim_events(sim);
            sim_writers_step(sim);
            sim_reader_step(sim);
            sim_check(sim, seed);
        }
        covered_ms += sim->covered_ms;
        wl_coverage_destroy(&sim->coverage);
        wl_free(sim);
    }
    cr_expect_gt(covered_ms, (uint64_t)25 * END * PARTITIONS * SHARDS / 5,
                 "covered for %llu ms only", (unsigned long long)covered_ms);
}
