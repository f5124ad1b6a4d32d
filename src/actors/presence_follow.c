#include "actors/presence_follow.h"

#include "actors/consent_trail.h"
#include "actors/consent_way.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/slot.h"
#include "proto/channel.h"
#include "proto/tier.h"

#include <inttypes.h>

enum {
    FOLLOW_MS = 250,    /* how often a writer is told that we are here, and says how far it is */
    TURN_MESSAGES = 64, /* taken per wake-up and writer */
    SICK_BYTES_MAX = 2112,
};

/* One writer. */
typedef struct {
    wl_presence_follow_t *follow; /* back */
    uint32_t index;
    zsock_t *dealer;           /* owned */
    wl_encoder_t *refresh;     /* owned; REFRESH being built */
    uint64_t session;          /* our number; another one for each beginning */
    bool live;                 /* the session has begun */
    bool replayed;             /* its marks have come: the claims count */
    bool misfit;               /* it has another number of presence actors; said once */
    uint64_t feed;             /* random number of its presence actor */
    uint64_t next;             /* seq that must come */
    wl_consent_trail_t *trail; /* owned */
    int64_t asked_at;          /* when FOLLOW was sent last, 0 = never */
    int64_t said_at;           /* nothing we know of it is older, monotonic ms */
    uint64_t epochs[WL_COVERAGE_PARTITIONS_MAX]; /* that it says it holds, 0 = not */
    char sick[SICK_BYTES_MAX + 1];               /* ids, each ended by a comma */
} writer_t;

struct wl_presence_follow {
    wl_hub_t *hub; /* borrowed */
    wl_presence_follow_owner_t owner;
    wl_presence_join_t *join; /* borrowed, may be NULL */
    wl_decoder_t *decoder;    /* owned; messages and envelopes */
    wl_decoder_t *inner;      /* owned; what is in a parcel */
    wl_encoder_t *encoder;    /* owned; what writers are told */
    uint32_t partitions;
    bool sick_changed;
    uint32_t count;
    writer_t writers[]; /* count of them */
};

/* ---- sessions -------------------------------------------------------------------------------- */

/* A question that does not go out is asked again at the next tick. */
static void writer_ask(writer_t *self, int64_t now) {
    wl_presence_follow_t *follow = self->follow;
    wl_follow_head_t head = {
        .presence = follow->hub->instance,
        .instances = wl_hub_instances(follow->hub, WL_ACTOR_PRESENCE),
        .session = self->session,
        .begin = !self->live,
        .asked_at = now,
        .seen = wl_consent_trail_seq(self->trail, self->next),
    };
    wl_follow_begin(follow->encoder, &head);
    self->asked_at = wl_channel_send(self->dealer, follow->encoder) == WL_OK ? now : 0;
    wl_encoder_reset(follow->encoder);
}

/* Ends the session, if there is one, and asks for a new one. */
static void writer_begin_anew(writer_t *self, const char *why, int64_t now) {
    wl_presence_follow_t *follow = self->follow;
    if (self->live) {
        wl_log(WL_LOG_INFO, follow->hub->name, "tier_lost", "writer %u: %s", self->index, why);
        wl_coverage_end(follow->owner.coverage, 1 + self->index);
        follow->owner.gap(follow->owner.arg);
    }
    for (uint32_t p = 0; p < follow->partitions; p++) {
        if (self->epochs[p] != 0) {
            follow->owner.lost(follow->owner.arg, p);
            self->epochs[p] = 0;
        }
    }
    self->live = false;
    self->replayed = false;
    wl_consent_trail_clear(self->trail);
    self->session++;
    follow->owner.heard(follow->owner.arg);
    writer_ask(self, now);
}

static void writer_take_sick(writer_t *self, wl_bytes_t sick) {
    if (sick.count == strlen(self->sick) && memcmp(sick.at, self->sick, sick.count) == 0) {
        return;
    }
    memcpy(self->sick, sick.at, sick.count); /* at most SICK_BYTES_MAX, says messages.def */
    self->sick[sick.count] = '\0';
    self->follow->sick_changed = true;
}

/* Which partitions it holds. Returns whether it holds one that it did not hold, or not so,
 * before. */
static bool writer_take_claims(writer_t *self, const wl_msg_t *msg) {
    wl_presence_follow_t *follow = self->follow;
    uint64_t epochs[WL_COVERAGE_PARTITIONS_MAX] = {0};
    for (uint32_t i = 0; i < msg->count; i++) {
        if (msg->items.beat[i].partition < follow->partitions) {
            epochs[msg->items.beat[i].partition] = msg->items.beat[i].epoch;
        }
    }
    bool gained = false;
    for (uint32_t p = 0; p < follow->partitions; p++) {
        if (epochs[p] != self->epochs[p]) {
            gained = gained || epochs[p] != 0;
            follow->owner.lost(follow->owner.arg, p);
        }
    }
    memcpy(self->epochs, epochs, sizeof epochs);
    return gained;
}

static void writer_tell_coverage(writer_t *self, int64_t now) {
    wl_claim_t claims[WL_COVERAGE_PARTITIONS_MAX];
    uint32_t count = 0;
    for (uint32_t p = 0; p < self->follow->partitions; p++) {
        if (self->epochs[p] != 0) {
            claims[count++] = (wl_claim_t){p, self->epochs[p]};
        }
    }
    wl_coverage_heard(self->follow->owner.coverage, 1 + self->index, self->said_at, claims, count,
                      now);
    self->follow->owner.heard(self->follow->owner.arg);
}

/* The first beat of a session: everything after it arrives, or we notice. */
static void writer_begun(writer_t *self, const wl_msg_t *msg) {
    wl_presence_follow_t *follow = self->follow;
    self->live = true;
    self->feed = msg->head.beat.feed;
    self->next = msg->head.beat.next;
    (void)writer_take_claims(self, msg);
    wl_coverage_begin(follow->owner.coverage, 1 + self->index);
    WL_COUNT(&follow->hub->counters, tier_sessions, 1);
    wl_log(WL_LOG_INFO, follow->hub->name, "tier_followed", "writer %u from %" PRIu64 " on",
           self->index, self->next);
}

static bool writer_fits(writer_t *self, const wl_beat_head_t *beat) {
    const wl_hub_t *hub = self->follow->hub;
    bool fits = beat->instances == wl_hub_instances(hub, WL_ACTOR_PRESENCE) &&
                beat->partitions == hub->settings->queue_partitions;
    if (!fits && !self->misfit) {
        wl_log(WL_LOG_ERROR, self->follow->hub->name, "tier_misfit",
               "writer %u has %u presence actors and %u partitions: presence.instances and "
               "queue.partitions must be the same",
               self->index, beat->instances, beat->partitions);
    }
    self->misfit = !fits;
    return fits;
}

static void writer_take_beat(writer_t *self, const wl_msg_t *msg, int64_t now) {
    const wl_beat_head_t *beat = &msg->head.beat;
    if (!writer_fits(self, beat)) {
        return;
    }
    if (beat->session == 0) { /* it does not know us: it has dropped us, or is another process */
        writer_begin_anew(self, "it does not know this reader", now);
        return;
    }
    if (beat->session != self->session) {
        return; /* from before */
    }
    if (beat->asked_at > now) {
        WL_COUNT(&self->follow->hub->counters, msg_malformed, 1);
        return;
    }
    bool first = !self->live;
    if (first) {
        writer_begun(self, msg);
    } else if (beat->feed != self->feed || beat->next != self->next) {
        WL_COUNT(&self->follow->hub->counters, tier_gaps, 1);
        writer_begin_anew(self, "messages are missing", now);
        return;
    } else if (writer_take_claims(self, msg)) {
        writer_begin_anew(self, "it holds other partitions now", now);
        return;
    }
    self->said_at = beat->asked_at;
    self->replayed = self->replayed || beat->replayed;
    writer_take_sick(self, beat->sick);
    if (self->replayed) {
        writer_tell_coverage(self, now);
    }
}

/* ---- the feed -------------------------------------------------------------------------------- */

/* Whoever wrote it, nobody in this process waits for its end. */
static void writer_hand_over(writer_t *self, wl_msg_t *msg) {
    if (msg->id == WL_MSG_STORED) {
        msg->head.stored.dispatcher = WL_DISPATCHER_NONE;
    } else if (msg->id == WL_MSG_NOTICE) {
        msg->head.notice.dispatcher = WL_DISPATCHER_NONE;
    } else {
        WL_COUNT(&self->follow->hub->counters, msg_unexpected, 1);
        return;
    }
    self->follow->owner.take(self->follow->owner.arg, msg);
}

static void writer_take_feed(writer_t *self, const wl_feed_head_t *feed, wl_msg_t *content,
                             int64_t now) {
    if (!self->live) {
        return; /* from before the session's beginning */
    }
    bool again = feed->seq == 0;
    if (feed->feed != self->feed || (!again && feed->seq != self->next)) {
        WL_COUNT(&self->follow->hub->counters, tier_gaps, 1);
        writer_begin_anew(self, "messages are missing", now);
        return;
    }
    self->next += !again;
    writer_hand_over(self, content);
    if (content->id != WL_MSG_STORED || !wl_consent_told(content)) {
        return;
    }
    if (wl_consent_trail_note(self->trail, feed->seq, content, now) != WL_OK) {
        writer_begin_anew(self, "too many consents are on their way", now);
    } else { /* somebody waits to hear that we know it */
        writer_ask(self, now);
    }
}

/* Returns false when there is nothing left. */
static bool writer_take(writer_t *self, int64_t now) {
    wl_presence_follow_t *follow = self->follow;
    wl_msg_t msg;
    wl_msg_t content;
    bool parcel = false;
    wl_err_t err =
        wl_tier_take(self->dealer, follow->decoder, follow->inner, &msg, &parcel, &content);
    if (err == WL_ERR_EMPTY) {
        return false;
    }
    if (err != WL_OK) {
        WL_COUNT(&follow->hub->counters, msg_malformed, 1);
        writer_begin_anew(self, "a message that does not decode", now);
    } else if (msg.id == WL_MSG_FEED && parcel) {
        writer_take_feed(self, &msg.head.feed, &content, now);
    } else if (msg.id == WL_MSG_BEAT && !parcel) {
        writer_take_beat(self, &msg, now);
    } else if (msg.id == WL_MSG_CHUNK && !parcel) {
        if (follow->join != NULL) {
            wl_presence_join_chunk(follow->join, self->index, &msg, now);
        }
    } else if (msg.id == WL_MSG_LIVED && !parcel) {
        follow->owner.lived(follow->owner.arg, &msg);
    } else {
        WL_COUNT(&follow->hub->counters, msg_unexpected, 1);
    }
    return true;
}

/* A question that does not go out, or whose answer is lost, is asked again. */
static void writer_want(writer_t *self, int64_t now) {
    wl_presence_follow_t *follow = self->follow;
    wl_want_head_t want;
    bool sent = true;
    while (sent && follow->join != NULL &&
           wl_presence_join_want(follow->join, self->index, self->live, now, &want)) {
        wl_want_begin(follow->encoder, &want);
        sent = wl_channel_send(self->dealer, follow->encoder) == WL_OK;
        wl_encoder_reset(follow->encoder);
    }
}

static int on_dealer(zloop_t *loop, zsock_t *dealer, void *arg) {
    (void)loop;
    (void)dealer;
    writer_t *self = arg;
    int64_t now = wl_mono_now().ms;
    for (uint32_t i = 0; i < TURN_MESSAGES && writer_take(self, now); i++) {
    }
    writer_want(self, now);
    wl_hub_flush(self->follow->hub);
    return 0;
}

/* ---- for the presence actor ------------------------------------------------------------------ */

static bool writer_listen(writer_t *self, int64_t now) {
    int64_t silence_ms = (int64_t)self->follow->hub->settings->tier_silence_ms;
    if (self->live && now - self->said_at > silence_ms) {
        writer_begin_anew(self, "it is silent", now);
        return false;
    }
    if (now - silence_ms > wl_consent_trail_since(self->trail)) {
        writer_begin_anew(self, "a consent has not come to its end", now);
        return false;
    }
    return true;
}

void wl_presence_follow_listen(wl_presence_follow_t *self, int64_t now) {
    for (uint32_t i = 0; i < self->count; i++) {
        (void)writer_listen(&self->writers[i], now);
    }
}

void wl_presence_follow_tick(wl_presence_follow_t *self, int64_t now) {
    for (uint32_t i = 0; i < self->count; i++) {
        writer_t *writer = &self->writers[i];
        if (!writer_listen(writer, now)) {
            continue;
        }
        if (writer->asked_at == 0 || now - writer->asked_at >= FOLLOW_MS) {
            writer_ask(writer, now);
        }
        writer_want(writer, now);
    }
}

void wl_presence_follow_join(wl_presence_follow_t *self, wl_presence_join_t *join) {
    self->join = join;
}

/* A hint that is lost does no harm: the next read of the old copy gives another. */
static void writer_flush(writer_t *self) {
    if (wl_encoder_begun(self->refresh)) {
        bool sent = wl_channel_send(self->dealer, self->refresh) == WL_OK;
        WL_COUNT(&self->follow->hub->counters, msg_full, !sent);
        wl_encoder_reset(self->refresh);
    }
}

void wl_presence_follow_refresh(wl_presence_follow_t *self, const char *line, uint64_t uid) {
    int holder = wl_coverage_holder(self->owner.coverage, wl_uid_owner(uid, self->partitions));
    if (holder < 1) {
        return;
    }
    writer_t *writer = &self->writers[holder - 1];
    wl_refresh_head_t head = {0};
    (void)snprintf(head.line, sizeof head.line, "%s", line);
    if (!wl_encoder_begun(writer->refresh)) {
        wl_refresh_begin(writer->refresh, &head);
    }
    wl_refresh_add(writer->refresh, &(wl_refresh_item_t){.uid = uid});
    if (wl_encoder_full(writer->refresh)) {
        writer_flush(writer);
    }
}

void wl_presence_follow_flush(wl_presence_follow_t *self) {
    for (uint32_t i = 0; i < self->count; i++) {
        writer_flush(&self->writers[i]);
    }
}

int wl_presence_follow_holder(const wl_presence_follow_t *self, uint64_t uid) {
    int holder = wl_coverage_holder(self->owner.coverage, wl_uid_owner(uid, self->partitions));
    return holder >= 1 && self->writers[holder - 1].live ? holder - 1 : -1;
}

wl_err_t wl_presence_follow_tell(wl_presence_follow_t *self, uint32_t writer,
                                 wl_encoder_t *message) {
    wl_err_t err = wl_channel_send(self->writers[writer].dealer, message);
    wl_encoder_reset(message);
    return err;
}

/* The number comes from the writer, so that of another one may be the same: both have come here. */
void wl_presence_follow_done(wl_presence_follow_t *self, const char *line, uint64_t uid,
                             uint64_t seq) {
    for (uint32_t i = 0; i < self->count; i++) {
        writer_t *writer = &self->writers[i];
        uint64_t seen = wl_consent_trail_seq(writer->trail, writer->next);
        if (wl_consent_trail_end(writer->trail, line, uid, seq)) {
            if (wl_consent_trail_seq(writer->trail, writer->next) != seen) {
                writer_ask(writer, wl_mono_now().ms);
            }
            return;
        }
    }
}

static bool sick_has(const char *list, const char *line) {
    size_t bytes = strlen(line);
    for (const char *at = list; *at != '\0';) {
        size_t word = strcspn(at, ",");
        if (word == bytes && memcmp(at, line, bytes) == 0) {
            return true;
        }
        at += at[word] == ',' ? word + 1 : word;
    }
    return false;
}

bool wl_presence_follow_sick(const wl_presence_follow_t *self, const char *line) {
    bool sick = false;
    for (uint32_t i = 0; i < self->count; i++) {
        sick = sick || sick_has(self->writers[i].sick, line);
    }
    return sick;
}

uint32_t wl_presence_follow_sick_lines(const wl_presence_follow_t *self,
                                       char ret_lines[WL_LINES_MAX][WL_LINE_ID_MAX + 1]) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        for (const char *at = self->writers[i].sick; *at != '\0' && count < WL_LINES_MAX;) {
            size_t word = strcspn(at, ",");
            char line[WL_LINE_ID_MAX + 1] = "";
            bool known = word == 0 || word > WL_LINE_ID_MAX;
            memcpy(line, at, known ? 0 : word);
            for (uint32_t j = 0; j < count; j++) {
                known = known || strcmp(ret_lines[j], line) == 0;
            }
            if (!known) {
                memcpy(ret_lines[count++], line, sizeof line);
            }
            at += at[word] == ',' ? word + 1 : word;
        }
    }
    return count;
}

bool wl_presence_follow_sick_changed(wl_presence_follow_t *self) {
    bool changed = self->sick_changed;
    self->sick_changed = false;
    return changed;
}

/* ---- life ------------------------------------------------------------------------------------ */

wl_err_t wl_presence_follow_open(wl_hub_t *hub, const wl_presence_follow_owner_t *owner,
                                 wl_presence_follow_t **ret, wl_fault_t *fault) {
    uint32_t count = wl_settings_list_count(hub->settings->tier_writers);
    *ret = NULL;
    if (count == 0) {
        return WL_OK;
    }
    if (count >= WL_COVERAGE_FEEDS_MAX) {
        return wl_fault(fault, WL_ERR_SETTINGS, "tier.writers", "more than %d writers",
                        WL_COVERAGE_FEEDS_MAX - 1);
    }
    wl_presence_follow_t *self = wl_alloc_zero(1, sizeof *self + count * sizeof self->writers[0]);
    self->hub = hub;
    self->owner = *owner;
    self->decoder = wl_decoder_new();
    self->inner = wl_decoder_new();
    self->encoder = wl_encoder_new();
    self->partitions = (uint32_t)hub->settings->queue_partitions;
    wl_err_t err = WL_OK;
    for (uint32_t i = 0; i < count && err == WL_OK; i++) {
        writer_t *writer = &self->writers[i];
        *writer = (writer_t){.follow = self, .index = i, .session = 1};
        err = wl_topology_tier_dealer(hub->settings, i, hub->instance, &writer->dealer, fault);
        if (err == WL_OK) {
            writer->refresh = wl_encoder_new();
            writer->trail = wl_consent_trail_new();
            wl_hub_watch(hub, writer->dealer, on_dealer, writer);
            self->count++;
        }
    }
    *ret = self; /* also after an error: closed by the owner */
    return err;
}

void wl_presence_follow_close(wl_presence_follow_t **pointer) {
    wl_presence_follow_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    for (uint32_t i = 0; i < self->count; i++) {
        wl_consent_trail_destroy(&self->writers[i].trail);
        zsock_destroy(&self->writers[i].dealer);
        wl_encoder_destroy(&self->writers[i].refresh);
    }
    wl_decoder_destroy(&self->decoder);
    wl_decoder_destroy(&self->inner);
    wl_encoder_destroy(&self->encoder);
    wl_free(self);
    *pointer = NULL;
}
