/* Questions to lines (LIVE) on their way to whoever answers, and the answers (LIVED) back. Lines
 * are asked only where the partition of the user is held:
 *
 *     asker ---LIVE---> presence -----------------------> dispatcher, fetcher or puller
 *                          | held elsewhere                        |
 *                          +--tier--> presence of the writer ------+
 *
 * and LIVED goes back the same way: the writer's presence knows the session of the reader by
 * head.reader. Nothing is remembered of a question: whoever asks has its own deadline, and an
 * answer whose session has gone is dropped.
 *
 * Only the good answer to a consent waits here, until every reader that follows has said that what
 * was published before is in effect there. */
#include "actors/presence_state.h"

#include "actors/line_flow.h"
#include "base/alloc.h"
#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <utlist.h>

enum {
    HELD_MAX = 4096, /* more are told to ask again */
    HELD_RETRY_MS = 100,
    PARTITIONS_KEY = 32, /* heads of one message differ by the partition only */
};

struct wl_presence_held {
    wl_lived_head_t head;
    wl_lived_item_t item; /* without assets and body */
    uint64_t seq;         /* of the feed: everything below must be seen */
    wl_presence_held_t *prev;
    wl_presence_held_t *next; /* utlist */
};

/* ---- answers --------------------------------------------------------------------------------- */

static bool live_asker_here(const wl_presence_t *self, uint8_t asker, uint32_t instance) {
    bool known = asker == WL_ACTOR_QUERY || asker == WL_ACTOR_DETAILS || asker == WL_ACTOR_FRONTEND;
    return known && instance < wl_hub_instances(&self->hub, (wl_actor_kind_t)asker);
}

static void live_tell_reader(wl_presence_t *self, uint64_t reader, uint32_t items) {
    wl_err_t err = WL_ERR_NOT_FOUND;
    if (self->feed != NULL) {
        err = wl_presence_feed_tell(self->feed, reader, self->letter);
    } else {
        wl_encoder_reset(self->letter);
    }
    WL_COUNT(&self->hub.counters, live_lost, err == WL_OK ? 0 : items);
}

/* Items of one message, all or some of them. */
static void live_answer(wl_presence_t *self, const wl_lived_head_t *head,
                        const wl_lived_item_t *item) {
    if (head->reader != 0) {
        if (!wl_encoder_begun(self->letter)) {
            wl_lived_begin(self->letter, head);
        }
        wl_lived_add(self->letter, item);
        if (wl_encoder_full(self->letter)) {
            live_tell_reader(self, head->reader, wl_encoder_count(self->letter));
        }
        return;
    }
    if (!live_asker_here(self, head->asker, head->instance)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    wl_encoder_t *to = wl_hub_to(&self->hub, (wl_actor_kind_t)head->asker, head->instance,
                                 WL_MSG_LIVED, self->batch);
    if (!wl_encoder_begun(to)) {
        wl_lived_begin(to, head);
    }
    wl_lived_add(to, item);
}

/* The end of the items of one message. */
static void live_answered(wl_presence_t *self, const wl_lived_head_t *head) {
    if (wl_encoder_begun(self->letter)) {
        live_tell_reader(self, head->reader, wl_encoder_count(self->letter));
    }
}

static void live_refuse(wl_presence_t *self, const wl_live_head_t *asked,
                        const wl_live_item_t *item, wl_err_t err, const char *reason) {
    wl_lived_head_t head = {.asker = asked->asker,
                            .instance = asked->instance,
                            .reader = asked->reader,
                            .presence = self->hub.instance};
    memcpy(head.line, asked->line, sizeof head.line);
    wl_lived_item_t lived = {
        .ticket = item->ticket, .uid = item->uid, .what = item->what, .error = (uint32_t)err};
    (void)snprintf(lived.reason, sizeof lived.reason, "%s", reason);
    live_answer(self, &head, &lived);
}

/* ---- questions ------------------------------------------------------------------------------- */

/* Who answers it in this process; a line that we do not know, or a user's question to one that
 * needs a consent, is judged behind us. */
static void live_aim(wl_presence_t *self, const char *line, const wl_live_item_t *item,
                     wl_actor_kind_t *ret_kind, uint32_t *ret_instance) {
    const wl_line_t *config = wl_hub_line(&self->hub, line);
    if (item->what == WL_LIVE_CONSENT) {
        *ret_kind = WL_ACTOR_DISPATCHER;
        *ret_instance = wl_presence_partition(self, item->uid);
    } else if (config == NULL || config->consent) {
        *ret_kind = WL_ACTOR_FETCHER;
        *ret_instance =
            wl_hub_fetcher(&self->hub, wl_hub_shard(&self->hub, item->uid), item->ticket);
    } else {
        *ret_kind = WL_ACTOR_PULLER;
        *ret_instance = wl_line_owner(line, wl_hub_instances(&self->hub, WL_ACTOR_PULLER));
    }
}

static void live_pass_on(wl_presence_t *self, const wl_live_head_t *asked,
                         const wl_live_item_t *item, uint64_t epoch) {
    wl_actor_kind_t kind;
    uint32_t instance = 0;
    uint32_t partition = wl_presence_partition(self, item->uid);
    live_aim(self, asked->line, item, &kind, &instance);
    wl_encoder_t *to = wl_hub_to(&self->hub, kind, instance, WL_MSG_LIVE,
                                 self->batch * PARTITIONS_KEY + partition);
    if (!wl_encoder_begun(to)) {
        wl_live_head_t head = *asked;
        head.presence = self->hub.instance;
        head.dispatcher = partition;
        head.epoch = epoch;
        head.sent_at = wl_hub_sent_at(&self->hub, kind, instance);
        wl_live_begin(to, &head);
    }
    wl_live_add(to, item);
    WL_COUNT(&self->hub.counters, live_passed, 1);
}

/* A question that makes sense, and that somebody still waits for. */
static bool live_sound(wl_presence_t *self, const wl_live_item_t *item, int64_t now) {
    bool sound = item->uid != 0 && item->what <= WL_LIVE_CONSENT &&
                 wl_uid_owner(item->uid, wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE)) ==
                     self->hub.instance;
    WL_COUNT(&self->hub.counters, msg_malformed, !sound);
    WL_COUNT(&self->hub.counters, rpc_late, sound && item->deadline_at < now);
    return sound && item->deadline_at >= now;
}

static bool live_head_sound(wl_presence_t *self, const wl_live_head_t *head) {
    bool sound = wl_line_id_valid(head->line) &&
                 (head->reader != 0 || live_asker_here(self, head->asker, head->instance));
    WL_COUNT(&self->hub.counters, msg_malformed, !sound);
    return sound;
}

static void live_not_held(wl_presence_t *self, const wl_live_head_t *asked,
                          const wl_live_item_t *item) {
    WL_COUNT(&self->hub.counters, live_not_held, 1);
    live_refuse(self, asked, item, WL_ERR_UNAVAILABLE, "nobody who asks lines can be reached");
}

/* The writer that the item goes to, -1 = nobody; items that are answered here were taken before. */
static int live_holder(const wl_presence_t *self, const wl_live_item_t *item) {
    return self->follow == NULL ? -1 : wl_presence_follow_holder(self->follow, item->uid);
}

/* All items of the message that one writer holds. When they do not go out they are refused. */
static void live_send(wl_presence_t *self, const wl_live_head_t *asked, wl_live_item_t *items,
                      uint32_t count, const int *holders, int writer) {
    wl_live_head_t head = *asked;
    head.sent_at = wl_mono_now().ms;
    wl_live_begin(self->letter, &head);
    for (uint32_t i = 0; i < count; i++) {
        if (holders[i] == writer) {
            wl_live_add(self->letter, &items[i]);
        }
    }
    bool sent = wl_presence_follow_tell(self->follow, (uint32_t)writer, self->letter) == WL_OK;
    for (uint32_t i = 0; i < count; i++) {
        if (holders[i] == writer && sent) {
            WL_COUNT(&self->hub.counters, live_passed, 1);
        } else if (holders[i] == writer) {
            live_not_held(self, asked, &items[i]);
        }
    }
}

enum { HERE = -2 }; /* of holders: nothing for another process */

void wl_presence_take_live(wl_presence_t *self, const wl_msg_t *msg) {
    int holders[WL_BATCH_ITEMS_MAX];
    wl_live_head_t head = msg->head.live;
    wl_live_item_t *items = msg->items.live;
    int64_t now = wl_mono_now().ms;
    head.reader = 0;
    if (!live_head_sound(self, &head)) {
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        holders[i] = HERE;
        if (!live_sound(self, &items[i], now)) {
            continue;
        }
        uint64_t epoch = wl_presence_epoch(self, items[i].uid);
        int holder = epoch > 0 ? HERE : live_holder(self, &items[i]);
        if (epoch > 0) {
            live_pass_on(self, &head, &items[i], epoch);
        } else if (holder < 0) {
            live_not_held(self, &head, &items[i]);
        } else {
            holders[i] = holder;
        }
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        if (holders[i] != HERE) {
            int writer = holders[i];
            live_send(self, &head, items, msg->count, holders, writer);
            for (uint32_t j = i; j < msg->count; j++) {
                holders[j] = holders[j] == writer ? HERE : holders[j];
            }
        }
    }
}

/* Never passed on to a third process: who holds the partition knows it. */
void wl_presence_take_live_of(wl_presence_t *self, const wl_msg_t *msg, uint64_t reader) {
    wl_live_head_t head = msg->head.live;
    int64_t now = wl_mono_now().ms;
    self->batch++;
    head.reader = reader;
    if (!live_head_sound(self, &head)) {
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_live_item_t *item = &msg->items.live[i];
        if (!live_sound(self, item, now)) {
            continue;
        }
        uint64_t epoch = wl_presence_epoch(self, item->uid);
        if (epoch > 0) {
            live_pass_on(self, &head, item, epoch);
        } else {
            live_not_held(self, &head, item);
        }
    }
    live_answered(self, &(wl_lived_head_t){.reader = reader});
}

/* ---- held answers ---------------------------------------------------------------------------- */

/* Must readers know first what this answer says? Then it is held, or said to be so. */
static bool live_hold(wl_presence_t *self, const wl_lived_head_t *head, wl_lived_item_t *item) {
    if (item->what != WL_LIVE_CONSENT || item->error != WL_OK || self->feed == NULL ||
        !wl_presence_feed_awaits(self->feed, self->consent_seq, wl_mono_now().ms)) {
        return false;
    }
    if (self->held_count == HELD_MAX) {
        item->error = WL_ERR_BUSY;
        item->retry_after_ms = HELD_RETRY_MS;
        (void)snprintf(item->reason, sizeof item->reason, "too many consents wait for readers");
        return false;
    }
    wl_presence_held_t *held = wl_alloc_zero(1, sizeof *held);
    held->head = *head;
    held->item = *item;
    held->item.assets = (wl_asset_list_t){NULL, 0};
    held->item.body = (wl_bytes_t){NULL, 0};
    held->seq = self->consent_seq;
    DL_APPEND(self->held, held);
    self->held_count++;
    return true;
}

static void held_free(wl_presence_t *self, wl_presence_held_t *held) {
    DL_DELETE(self->held, held);
    self->held_count--;
    wl_free(held);
}

/* They wait for growing numbers, so the first one that has to wait stands for all behind it. */
void wl_presence_release(wl_presence_t *self) {
    int64_t now = wl_mono_now().ms;
    while (self->held != NULL && !wl_presence_feed_awaits(self->feed, self->held->seq, now)) {
        self->batch++;
        live_answer(self, &self->held->head, &self->held->item);
        live_answered(self, &self->held->head);
        held_free(self, self->held);
    }
    WL_GAUGE(&self->hub.counters, consents_held, self->held_count);
}

/* ---- answers on their way -------------------------------------------------------------------- */

void wl_presence_take_lived(wl_presence_t *self, const wl_msg_t *msg) {
    const wl_lived_head_t *head = &msg->head.lived;
    for (uint32_t i = 0; i < msg->count; i++) {
        if (!live_hold(self, head, &msg->items.lived[i])) {
            live_answer(self, head, &msg->items.lived[i]);
        }
    }
    live_answered(self, head);
}

void wl_presence_take_lived_of(wl_presence_t *self, const wl_msg_t *msg) {
    wl_lived_head_t head = msg->head.lived;
    self->batch++;
    head.reader = 0;
    for (uint32_t i = 0; i < msg->count; i++) {
        live_answer(self, &head, &msg->items.lived[i]);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

void wl_presence_live_open(wl_presence_t *self) {
    self->letter = wl_encoder_new();
}

void wl_presence_live_close(wl_presence_t *self) {
    while (self->held != NULL) {
        held_free(self, self->held);
    }
    wl_encoder_destroy(&self->letter);
}
