#include "actors/presence_feed.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slot.h"
#include "proto/tier.h"

#include <inttypes.h>

enum {
    FOLLOWERS_MAX = 256,
    TURN_MESSAGES = 64,         /* taken per wake-up */
    SILENT_MS = 10000,          /* a reader says FOLLOW four times a second */
    REPLAY_MARKS = 8192,        /* marks sent again per follower and tick, 13 KB each 256 */
    CHUNK_BYTES = 262144,       /* as messages.def allows */
    SNAPSHOT_FRESH_MS = 60000,  /* an older one is not given to a reader that begins */
    SNAPSHOT_LOADING_MS = 2000, /* nor is it replaced while somebody loads it */
    SNAPSHOT_UNUSED_MS = 10000, /* then its memory is given back */
    ITEMS_MAX = 256,            /* marks of one NOTICE */
    SILENCE_SLACK_MS = 250,     /* a reader notices the silence by a tick of its own */
};

typedef struct {
    wl_tier_peer_t peer;
    uint64_t session;       /* the reader's number */
    uint64_t number;        /* ours, of this session alone */
    uint64_t seen;          /* everything below is in effect there */
    int64_t heard_at;       /* monotonic ms */
    int64_t asked_at;       /* the reader's clock, from its newest FOLLOW */
    uint32_t replay_cursor; /* where the marks go on */
    bool replayed;          /* all marks were sent */
} follower_t;

struct wl_presence_feed {
    wl_hub_t *hub; /* borrowed */
    wl_presence_feed_owner_t owner;
    zsock_t *router;        /* owned */
    wl_decoder_t *decoder;  /* owned; what readers say */
    wl_encoder_t *encoder;  /* owned; what one reader is told */
    wl_encoder_t *envelope; /* owned */
    wl_encoder_t *notices;  /* owned; marks being sent again */
    uint64_t id;            /* random */
    uint64_t next;          /* seq of the next FEED */
    uint64_t numbers;       /* of sessions, given so far */
    follower_t *followers;  /* owned, FOLLOWERS_MAX */
    uint32_t count;
    wl_claim_t held[WL_COVERAGE_PARTITIONS_MAX]; /* during a replay */
    uint32_t held_count;
    char sick[WL_LINES_MAX * (WL_LINE_ID_MAX + 1)]; /* as told last, each ended by a comma */
    size_t sick_bytes;
    uint64_t snapshot_id; /* 0 = none is held */
    uint8_t *snapshot;    /* owned */
    size_t snapshot_bytes;
    int64_t snapshot_made_at;
    int64_t snapshot_used_at;
};

/* ---- followers ------------------------------------------------------------------------------- */

static follower_t *feed_find(wl_presence_feed_t *self, const wl_tier_peer_t *peer) {
    for (uint32_t i = 0; i < self->count; i++) {
        if (wl_tier_peer_equal(&self->followers[i].peer, peer)) {
            return &self->followers[i];
        }
    }
    return NULL;
}

static void feed_drop(wl_presence_feed_t *self, follower_t *follower) {
    *follower = self->followers[--self->count];
}

/* Drops a follower that did not take something. */
static void feed_failed(wl_presence_feed_t *self, follower_t *follower, wl_err_t err) {
    if (err == WL_ERR_FULL) {
        WL_COUNT(&self->hub->counters, tier_slow_readers, 1);
        wl_log(WL_LOG_WARN, self->hub->name, "tier_slow_reader",
               "a reader does not take the feed in time and has to begin anew");
    }
    feed_drop(self, follower);
}

static size_t feed_sick_text(const wl_presence_feed_t *self, char *into, size_t max) {
    size_t used = 0;
    for (uint32_t i = 0; i < self->hub->sick_count; i++) {
        size_t bytes = strlen(self->hub->sick_lines[i]);
        WL_ASSERT(used + bytes + 1 <= max);
        memcpy(into + used, self->hub->sick_lines[i], bytes);
        into[used + bytes] = ',';
        used += bytes + 1;
    }
    return used;
}

/* follower may be NULL: the peer is told that it has no session here. */
static wl_err_t feed_send_beat(wl_presence_feed_t *self, const wl_tier_peer_t *peer,
                               const follower_t *follower) {
    wl_claim_t held[WL_COVERAGE_PARTITIONS_MAX];
    wl_beat_head_t head = {
        .feed = self->id,
        .session = follower == NULL ? 0 : follower->session,
        .next = self->next,
        .asked_at = follower == NULL ? 0 : follower->asked_at,
        .instances = wl_hub_instances(self->hub, WL_ACTOR_PRESENCE),
        .partitions = (uint32_t)self->hub->settings->queue_partitions,
        .replayed = follower != NULL && follower->replayed,
        .sick = {(const uint8_t *)self->sick, self->sick_bytes},
    };
    wl_beat_begin(self->encoder, &head);
    uint32_t count = self->owner.held(self->owner.arg, held);
    for (uint32_t i = 0; i < count; i++) {
        wl_beat_add(self->encoder, &(wl_beat_item_t){held[i].partition, held[i].epoch});
    }
    return wl_tier_send(self->router, peer, self->encoder);
}

void wl_presence_feed_beat(wl_presence_feed_t *self) {
    for (uint32_t i = self->count; i-- > 0;) { /* backwards: the last one takes a dropped place */
        follower_t *follower = &self->followers[i];
        wl_err_t err = feed_send_beat(self, &follower->peer, follower);
        if (err != WL_OK) {
            feed_failed(self, follower, err);
        }
    }
}

void wl_presence_feed_lines_changed(wl_presence_feed_t *self) {
    char sick[sizeof self->sick];
    size_t bytes = feed_sick_text(self, sick, sizeof sick);
    if (bytes != self->sick_bytes || memcmp(sick, self->sick, bytes) != 0) {
        memcpy(self->sick, sick, bytes);
        self->sick_bytes = bytes;
        wl_presence_feed_beat(self);
    }
}

/* ---- the feed -------------------------------------------------------------------------------- */

static wl_bytes_t feed_envelope(wl_presence_feed_t *self, uint64_t seq) {
    wl_feed_begin(self->envelope, &(wl_feed_head_t){.feed = self->id, .seq = seq});
    return wl_encoder_finish(self->envelope);
}

void wl_presence_feed_publish(wl_presence_feed_t *self, wl_bytes_t message) {
    uint64_t seq = self->next++;
    if (self->count == 0) {
        return;
    }
    wl_tier_parcel_t *parcel = wl_tier_parcel_new(feed_envelope(self, seq), message);
    for (uint32_t i = self->count; i-- > 0;) {
        wl_err_t err = wl_tier_parcel_send(parcel, self->router, &self->followers[i].peer);
        if (err != WL_OK) {
            feed_failed(self, &self->followers[i], err);
        }
    }
    wl_tier_parcel_destroy(&parcel);
}

/* ---- marks, once more ------------------------------------------------------------------------ */

typedef struct {
    wl_presence_feed_t *feed;
    const wl_tier_peer_t *peer;
    wl_err_t err; /* of the first message that was not taken */
} replay_t;

static void replay_send(replay_t *replay) {
    wl_presence_feed_t *self = replay->feed;
    if (wl_encoder_count(self->notices) > 0 && replay->err == WL_OK) {
        wl_tier_parcel_t *parcel =
            wl_tier_parcel_new(feed_envelope(self, 0), wl_encoder_finish(self->notices));
        replay->err = wl_tier_parcel_send(parcel, self->router, replay->peer);
        wl_tier_parcel_destroy(&parcel);
    }
    wl_encoder_reset(self->notices);
}

static void replay_visit(void *arg, uint64_t uid, const char *line, uint64_t seq,
                         wl_mark_state_t state) {
    replay_t *replay = arg;
    wl_presence_feed_t *self = replay->feed;
    uint32_t partition = wl_uid_owner(uid, (uint32_t)self->hub->settings->queue_partitions);
    bool ours = false;
    for (uint32_t i = 0; i < self->held_count; i++) {
        ours = ours || self->held[i].partition == partition;
    }
    if (!ours) {
        return;
    }
    if (!wl_encoder_begun(self->notices)) {
        wl_notice_begin(self->notices, &(wl_notice_head_t){.dispatcher = partition});
    }
    wl_notice_item_t item = {.uid = uid, .seq = seq, .state = (uint8_t)state};
    (void)snprintf(item.line, sizeof item.line, "%s", line);
    wl_notice_add(self->notices, &item);
    if (wl_encoder_count(self->notices) == ITEMS_MAX) {
        replay_send(replay);
    }
}

/* The next marks of one follower's session. When its pipe does not take them all they are sent once
 * more: only a reader that takes nothing at all is slow, and publishing finds that out. */
static void feed_replay(wl_presence_feed_t *self, follower_t *follower) {
    replay_t replay = {.feed = self, .peer = &follower->peer};
    self->held_count = self->owner.held(self->owner.arg, self->held);
    uint32_t cursor = wl_marks_scan(self->owner.marks, follower->replay_cursor, REPLAY_MARKS,
                                    replay_visit, &replay);
    replay_send(&replay);
    if (replay.err != WL_OK) {
        return;
    }
    follower->replay_cursor = cursor;
    follower->replayed = cursor == 0;
    if (follower->replayed && feed_send_beat(self, &follower->peer, follower) != WL_OK) {
        follower->replayed = false; /* from the first one again */
    }
}

/* ---- what readers say ------------------------------------------------------------------------ */

static void feed_begin(wl_presence_feed_t *self, const wl_tier_peer_t *peer, follower_t *follower,
                       const wl_follow_head_t *head, int64_t now) {
    if (follower == NULL && self->count == FOLLOWERS_MAX) {
        wl_log(WL_LOG_WARN, self->hub->name, "tier_followers_max", "more than %d readers follow",
               FOLLOWERS_MAX);
        return;
    }
    if (follower == NULL) {
        follower = &self->followers[self->count++];
    }
    /* what was published before does not concern this session: it has no copies from then */
    *follower = (follower_t){.peer = *peer,
                             .session = head->session,
                             .number = ++self->numbers,
                             .seen = self->next,
                             .heard_at = now,
                             .asked_at = head->asked_at};
    WL_COUNT(&self->hub->counters, tier_sessions, 1);
    wl_err_t err = feed_send_beat(self, peer, follower); /* where the session begins */
    if (err != WL_OK) {
        feed_drop(self, follower);
        return;
    }
    feed_replay(self, follower);
}

static void feed_take_follow(wl_presence_feed_t *self, const wl_tier_peer_t *peer,
                             const wl_follow_head_t *head) {
    int64_t now = wl_mono_now().ms;
    uint32_t instances = wl_hub_instances(self->hub, WL_ACTOR_PRESENCE);
    follower_t *follower = feed_find(self, peer);
    bool fits = head->instances == instances && head->presence == self->hub->instance;
    if (fits && head->begin && (follower == NULL || follower->session != head->session)) {
        feed_begin(self, peer, follower, head, now);
        return;
    }
    if (follower == NULL ||
        !fits) { /* the beat says that there is no session, and how many we are */
        (void)feed_send_beat(self, peer, NULL);
        return;
    }
    follower->heard_at = now;
    follower->asked_at = head->asked_at;
    if (head->seen > self->next) {
        WL_COUNT(&self->hub->counters, msg_malformed, 1);
    } else if (head->seen > follower->seen) {
        follower->seen = head->seen;
    }
    wl_err_t err = feed_send_beat(self, peer, follower);
    if (err != WL_OK) {
        feed_failed(self, follower, err);
    }
    self->owner.seen(self->owner.arg);
}

static void snapshot_drop(wl_presence_feed_t *self) {
    wl_free(self->snapshot);
    self->snapshot = NULL;
    self->snapshot_id = 0;
    self->snapshot_bytes = 0;
}

/* A reader that begins to load takes the one that others are loading, if it is not too old: what is
 * missing in it comes from the log of owners. */
static void snapshot_make(wl_presence_feed_t *self, int64_t now) {
    void *blob = NULL;
    if (self->snapshot_id != 0 && (now - self->snapshot_made_at < SNAPSHOT_FRESH_MS ||
                                   now - self->snapshot_used_at < SNAPSHOT_LOADING_MS)) {
        return;
    }
    if (!self->owner.snapshot(self->owner.arg, &blob, &self->snapshot_bytes)) {
        return;
    }
    wl_free(self->snapshot);
    self->snapshot = blob;
    self->snapshot_id = wl_random_u64() | 1;
    self->snapshot_made_at = now;
    WL_COUNT(&self->hub->counters, tier_snapshots, 1);
    wl_log(WL_LOG_INFO, self->hub->name, "tier_snapshot", "%zu bytes of the set for a reader",
           self->snapshot_bytes);
}

static void feed_take_want(wl_presence_feed_t *self, const wl_tier_peer_t *peer,
                           const wl_want_head_t *want) {
    int64_t now = wl_mono_now().ms;
    follower_t *follower = feed_find(self, peer);
    if (follower == NULL) {
        WL_COUNT(&self->hub->counters, msg_unexpected, 1);
        return;
    }
    if (want->snapshot == 0) {
        snapshot_make(self, now);
    }
    bool there = self->snapshot_id != 0 && want->offset < self->snapshot_bytes &&
                 (want->snapshot == 0 || want->snapshot == self->snapshot_id);
    wl_chunk_head_t head = {.snapshot = there ? self->snapshot_id : 0,
                            .offset = want->offset,
                            .total = there ? self->snapshot_bytes : 0};
    wl_chunk_begin(self->encoder, &head);
    if (there) {
        size_t left = self->snapshot_bytes - want->offset;
        wl_chunk_item_t item = {
            .bytes = {self->snapshot + want->offset, left < CHUNK_BYTES ? left : CHUNK_BYTES}};
        wl_chunk_add(self->encoder, &item);
        self->snapshot_used_at = now;
    }
    wl_err_t err = wl_tier_send(self->router, peer, self->encoder);
    if (err != WL_OK) {
        feed_failed(self, follower, err);
    }
}

static void feed_take_live(wl_presence_feed_t *self, const wl_tier_peer_t *peer, wl_msg_t *msg) {
    const follower_t *follower = feed_find(self, peer);
    if (follower == NULL) {
        WL_COUNT(&self->hub->counters, msg_unexpected, 1);
        return;
    }
    wl_hub_settle_deadlines(msg);
    self->owner.live(self->owner.arg, msg, follower->number);
}

static int on_router(zloop_t *loop, zsock_t *router, void *arg) {
    (void)loop;
    wl_presence_feed_t *self = arg;
    for (uint32_t i = 0; i < TURN_MESSAGES; i++) {
        wl_tier_peer_t peer;
        wl_msg_t msg;
        wl_err_t err = wl_tier_recv(router, self->decoder, &peer, &msg);
        if (err == WL_ERR_EMPTY) {
            break;
        }
        if (err != WL_OK) {
            WL_COUNT(&self->hub->counters, msg_malformed, 1);
        } else if (msg.id == WL_MSG_FOLLOW) {
            feed_take_follow(self, &peer, &msg.head.follow);
        } else if (msg.id == WL_MSG_WANT) {
            feed_take_want(self, &peer, &msg.head.want);
        } else if (msg.id == WL_MSG_REFRESH && feed_find(self, &peer) != NULL) {
            self->owner.refresh(self->owner.arg, &msg);
        } else if (msg.id == WL_MSG_LIVE) {
            feed_take_live(self, &peer, &msg);
        } else {
            WL_COUNT(&self->hub->counters, msg_unexpected, 1);
        }
    }
    wl_hub_flush(self->hub);
    return 0;
}

/* ---- answers, and what has taken effect ------------------------------------------------------ */

wl_err_t wl_presence_feed_tell(wl_presence_feed_t *self, uint64_t reader, wl_encoder_t *lived) {
    for (uint32_t i = 0; i < self->count; i++) {
        if (self->followers[i].number == reader) {
            return wl_tier_send(self->router, &self->followers[i].peer, lived);
        }
    }
    wl_encoder_reset(lived);
    return WL_ERR_NOT_FOUND;
}

uint64_t wl_presence_feed_next(const wl_presence_feed_t *self) {
    return self->next;
}

bool wl_presence_feed_awaits(const wl_presence_feed_t *self, uint64_t seq, int64_t now) {
    int64_t silence_ms = (int64_t)self->hub->settings->tier_silence_ms + SILENCE_SLACK_MS;
    bool awaits = false;
    for (uint32_t i = 0; i < self->count; i++) {
        const follower_t *follower = &self->followers[i];
        awaits = awaits || (follower->seen < seq && now - follower->heard_at <= silence_ms);
    }
    return awaits;
}

/* ---- life ------------------------------------------------------------------------------------ */

void wl_presence_feed_tick(wl_presence_feed_t *self, int64_t now) {
    for (uint32_t i = self->count; i-- > 0;) {
        follower_t *follower = &self->followers[i];
        if (now - follower->heard_at > SILENT_MS) {
            feed_drop(self, follower);
        } else if (!follower->replayed) {
            feed_replay(self, follower);
        }
    }
    if (self->snapshot_id != 0 && now - self->snapshot_used_at > SNAPSHOT_UNUSED_MS) {
        snapshot_drop(self);
    }
    WL_GAUGE(&self->hub->counters, tier_followers, self->count);
}

wl_err_t wl_presence_feed_open(wl_hub_t *hub, const wl_presence_feed_owner_t *owner,
                               wl_presence_feed_t **ret, wl_fault_t *fault) {
    zsock_t *router = NULL;
    *ret = NULL;
    wl_err_t err = wl_topology_tier_router(hub->settings, hub->instance, &router, fault);
    if (err != WL_OK || router == NULL) {
        return err;
    }
    wl_presence_feed_t *self = wl_alloc_zero(1, sizeof *self);
    self->hub = hub;
    self->owner = *owner;
    self->router = router;
    self->decoder = wl_decoder_new();
    self->encoder = wl_encoder_new();
    self->envelope = wl_encoder_new();
    self->notices = wl_encoder_new();
    self->id = wl_random_u64();
    self->next = 1;
    self->followers = wl_alloc_zero(FOLLOWERS_MAX, sizeof *self->followers);
    wl_hub_watch(hub, router, on_router, self);
    *ret = self;
    return WL_OK;
}

void wl_presence_feed_close(wl_presence_feed_t **pointer) {
    wl_presence_feed_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    snapshot_drop(self);
    zsock_destroy(&self->router);
    wl_decoder_destroy(&self->decoder);
    wl_encoder_destroy(&self->encoder);
    wl_encoder_destroy(&self->envelope);
    wl_encoder_destroy(&self->notices);
    wl_free(self->followers);
    wl_free(self);
    *pointer = NULL;
}
