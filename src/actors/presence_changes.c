#include "actors/presence_renew.h"
#include "base/table.h"

#include <string.h>

/* A notice and the values it announces come from two actors, so under load the notice may come
 * behind: it must not mark what has already taken effect, or nothing would ever unmark it. */
static wl_presence_ended_t *presence_ended(wl_presence_t *self, uint64_t uid, const char *line,
                                           uint64_t *ret_key) {
    *ret_key = wl_mix64(uid) ^ wl_mix64(wl_table_hash(line, strlen(line)));
    return &self->ended[*ret_key % WL_PRESENCE_ENDED_PLACES];
}

static bool presence_has_ended(wl_presence_t *self, const wl_notice_item_t *notice) {
    uint64_t key = 0;
    const wl_presence_ended_t *ended = presence_ended(self, notice->uid, notice->line, &key);
    return notice->state != WL_MARK_NONE && ended->key == key && notice->seq <= ended->seq;
}

static void presence_end(wl_presence_t *self, uint64_t uid, const char *line, uint64_t seq) {
    uint64_t key = 0;
    wl_presence_ended_t *ended = presence_ended(self, uid, line, &key);
    if (ended->key != key || seq > ended->seq) {
        *ended = (wl_presence_ended_t){key, seq};
    }
    wl_marks_clear(self->coming, uid, line, seq);
}

/* Nobody with a change on its way is cleared, whatever another line says: the empty wallet of an
 * absent user could not say that it is behind. */
static void presence_expect(wl_presence_t *self, const wl_notice_item_t *notice) {
    wl_mark_state_t state = (wl_mark_state_t)notice->state;
    if (state != WL_MARK_NONE) {
        wl_presence_mark(self, &notice->uid, 1); /* before the data is there */
        self->changed = true;
    }
    self->coming_lost = self->coming_lost && wl_marks_users(self->coming) > 0;
    if (wl_marks_set(self->coming, notice->uid, notice->line, notice->seq, state) != WL_OK) {
        self->coming_lost = true;
    }
}

/* What is kept of the user's details is behind from now on. */
static void presence_tell_details(wl_presence_t *self, const wl_notice_item_t *notice) {
    uint32_t details = wl_hub_instances(&self->hub, WL_ACTOR_DETAILS);
    if (details == 0) {
        return;
    }
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_DETAILS, wl_uid_owner(notice->uid, details),
                                 WL_MSG_NOTICE, 0);
    if (!wl_encoder_begun(to)) {
        wl_notice_begin(to, &(wl_notice_head_t){.dispatcher = WL_DISPATCHER_NONE});
    }
    wl_notice_add(to, notice);
}

void wl_presence_take_notice(wl_presence_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_notice_item_t *notice = &msg->items.notice[i];
        if (notice->state > WL_MARK_FAILING) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        if (presence_has_ended(self, notice)) {
            continue;
        }
        presence_expect(self, notice);
        presence_tell_details(self, notice);
        wl_encoder_t *to =
            wl_hub_to(&self->hub, WL_ACTOR_CACHE, wl_presence_cache_of(self, notice->uid),
                      WL_MSG_NOTICE, msg->head.notice.dispatcher);
        if (!wl_encoder_begun(to)) {
            wl_notice_begin(to, &msg->head.notice);
        }
        wl_notice_add(to, notice);
    }
}

void wl_presence_take_stored(wl_presence_t *self, const wl_msg_t *msg) {
    const wl_stored_head_t *head = &msg->head.stored;
    if (head->shard >= wl_owner_log_shards(self->log)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    self->changed = true;
    bool newest = wl_owner_log_may_clear(self->log, head->shard, head->log_seq);
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_stored_item_t *stored = &msg->items.stored[i];
        if (stored->outcome == WL_PULL_OK) {
            presence_end(self, stored->uid, head->line, stored->seq);
        }
        bool coming = stored->outcome != WL_PULL_OK || self->coming_lost ||
                      wl_marks_any(self->coming, stored->uid);
        if (stored->owns) {
            wl_presence_mark(self, &stored->uid, 1);
        } else if (!coming && newest) {
            wl_presence_clear(self, stored->uid); /* nothing in hashed mode */
        }
        wl_encoder_t *to =
            wl_hub_to(&self->hub, WL_ACTOR_CACHE, wl_presence_cache_of(self, stored->uid),
                      WL_MSG_STORED, self->batch);
        if (!wl_encoder_begun(to)) {
            wl_stored_begin(to, head);
        }
        wl_stored_add(to, stored);
        wl_notice_item_t changed = {.uid = stored->uid, .seq = stored->seq};
        memcpy(changed.line, head->line, sizeof changed.line);
        presence_tell_details(self, &changed);
    }
    wl_owner_log_serial(self->log, head->shard, head->serial);
    wl_owner_log_stored(self->log, head->shard, head->commit_seq, head->log_seq);
    self->ready = wl_owner_log_ready(self->log);
}

/* ---- what may have been missed --------------------------------------------------------------- */

typedef struct {
    const wl_presence_t *presence;
    uint32_t partition;
} forget_t;

static bool forget_is_of(void *arg, uint64_t uid) {
    const forget_t *forget = arg;
    return wl_presence_partition(forget->presence, uid) == forget->partition;
}

void wl_presence_forget(wl_presence_t *self, uint32_t partition) {
    forget_t forget = {self, partition};
    (void)wl_marks_drop(self->coming, forget_is_of, &forget);
    /* another holder may count its notices from the start */
    memset(self->ended, 0, WL_PRESENCE_ENDED_PLACES * sizeof *self->ended);
}

static void coming_mark(void *arg, uint64_t uid, const char *line, uint64_t seq,
                        wl_mark_state_t state) {
    (void)line, (void)seq, (void)state;
    wl_presence_set_mark(arg, uid);
}

void wl_presence_mark_coming(wl_presence_t *self) {
    uint32_t cursor = 0;
    do {
        cursor = wl_marks_scan(self->coming, cursor, UINT32_MAX, coming_mark, self->set);
    } while (cursor != 0);
}
