#include "actors/presence.h"

#include "actors/owner_log.h"
#include "actors/presence_disk.h"
#include "actors/render.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/slot.h"
#include "base/table.h"
#include "domain/marks.h"

#include <inttypes.h>

enum {
    TICK_MS = 50,                 /* how soon a shard is asked again after a gap */
    GAUGE_MS = 10000,             /* the memory of the set costs a walk over its bitmaps */
    COMING_USERS_MAX = 1000000,   /* more users with changes on their way: bits stay set */
    ENDED_PLACES = 262144,        /* pairs whose end is remembered: seconds of fast changes */
    SPARSE_MEMBERS_MIN = 100000,  /* fewer members say nothing about bytes per member */
    OPTIMIZE_OWNERS_MIN = 100000, /* a full scan of many: pack what it built, once, 6.0 to 3.6 B */
    SPARSE_BYTES_PER_MEMBER = 20, /* above this the ids are too sparse for exact bitmaps */
};

/* The newest notice of a (user, line) that has taken effect. */
typedef struct {
    uint64_t key;
    uint64_t seq;
} ended_t;

typedef struct {
    wl_hub_t hub;
    wl_presence_set_t *set;   /* owned */
    wl_owner_log_t *log;      /* owned; how far each shard was followed */
    wl_marks_t *coming;       /* owned; (user, line) with a change on its way, or failing */
    bool coming_lost;         /* the full table could not keep one: nobody is cleared meanwhile */
    ended_t *ended;           /* owned, by key; another pair may take the place */
    wl_presence_disk_t *disk; /* owned */
    uint64_t batch;           /* counts messages taken: items of two never share a head */
    bool ready;               /* every shard has told its owners */
    bool changed;             /* since the last snapshot began */
    uint64_t owners_told;     /* by shards at start */
    bool sparse_said;         /* the warning about sparse ids was given */
    int64_t opened_at;        /* monotonic ms */
    int64_t snapshot_at;      /* when the next snapshot is due, monotonic ms */
    int64_t gauge_at;         /* when gauges are due, monotonic ms */
    uint64_t positions[WL_HAS_UIDS_MAX]; /* of a TOLD being built */
} presence_t;

static bool presence_frontend(presence_t *self, uint32_t frontend) {
    bool known = frontend < wl_hub_instances(&self->hub, WL_ACTOR_FRONTEND);
    WL_COUNT(&self->hub.counters, msg_malformed, !known);
    return known;
}

static uint32_t presence_cache_of(const presence_t *self, uint64_t uid) {
    return wl_uid_owner(uid, wl_hub_instances(&self->hub, WL_ACTOR_CACHE));
}

/* May this user own something? Counts the answer. */
static bool presence_test(presence_t *self, uint64_t uid) {
    if (!self->ready) {
        WL_COUNT(&self->hub.counters, presence_unknown, 1);
        return true;
    }
    bool maybe = wl_presence_set_test(self->set, uid);
    WL_COUNT(&self->hub.counters, presence_maybe, maybe);
    WL_COUNT(&self->hub.counters, presence_no, !maybe);
    return maybe;
}

/* ---- reads ---------------------------------------------------------------------------------- */

static void presence_read(presence_t *self, const wl_msg_t *msg) {
    uint32_t frontend = msg->head.read.frontend;
    if (!presence_frontend(self, frontend)) {
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_read_item_t *read = &msg->items.read[i];
        if (!presence_test(self, read->uid)) {
            wl_reply_item_t reply = {.ticket = read->ticket, .absent = true, .uid = read->uid};
            wl_reply_add(wl_render_to(&self->hub, frontend), &reply);
            continue;
        }
        uint32_t cache = presence_cache_of(self, read->uid);
        wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_CACHE, cache, WL_MSG_READ, frontend);
        if (!wl_encoder_begun(to)) {
            int64_t sent_at = wl_hub_sent_at(&self->hub, WL_ACTOR_CACHE, cache);
            wl_read_begin(to, &(wl_read_head_t){.frontend = frontend, .sent_at = sent_at});
        }
        wl_read_add(to, read);
    }
}

static void presence_ask(presence_t *self, const wl_msg_t *msg) {
    uint32_t frontend = msg->head.ask.frontend;
    if (!presence_frontend(self, frontend)) {
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_ask_item_t *ask = &msg->items.ask[i];
        if (ask->uids.count != ask->positions.count) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        wl_told_item_t told = {.ticket = ask->ticket, .answered = ask->uids.count};
        told.positions.at = self->positions;
        for (uint32_t j = 0; j < ask->uids.count; j++) {
            if (presence_test(self, ask->uids.at[j])) {
                self->positions[told.positions.count++] = ask->positions.at[j];
            }
        }
        wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_FRONTEND, frontend, WL_MSG_TOLD, 0);
        if (!wl_encoder_begun(to)) {
            wl_told_begin(to, NULL);
        }
        wl_told_add(to, &told);
    }
}

/* ---- changes -------------------------------------------------------------------------------- */

/* A notice and the values it announces come from two actors, so under load the notice may come
 * behind: it must not mark what has already taken effect, or nothing would ever unmark it. */
static ended_t *presence_ended(presence_t *self, uint64_t uid, const char *line,
                               uint64_t *ret_key) {
    *ret_key = wl_mix64(uid) ^ wl_mix64(wl_table_hash(line, strlen(line)));
    return &self->ended[*ret_key % ENDED_PLACES];
}

static bool presence_has_ended(presence_t *self, const wl_notice_item_t *notice) {
    uint64_t key = 0;
    const ended_t *ended = presence_ended(self, notice->uid, notice->line, &key);
    return notice->state != WL_MARK_NONE && ended->key == key && notice->seq <= ended->seq;
}

static void presence_end(presence_t *self, uint64_t uid, const char *line, uint64_t seq) {
    uint64_t key = 0;
    ended_t *ended = presence_ended(self, uid, line, &key);
    if (ended->key != key || seq > ended->seq) {
        *ended = (ended_t){key, seq};
    }
    wl_marks_clear(self->coming, uid, line, seq);
}

/* Nobody with a change on its way is cleared, whatever another line says: the empty wallet of an
 * absent user could not say that it is behind. */
static void presence_expect(presence_t *self, const wl_notice_item_t *notice) {
    wl_mark_state_t state = (wl_mark_state_t)notice->state;
    if (state != WL_MARK_NONE) {
        wl_presence_set_mark(self->set, notice->uid); /* before the data is there */
        self->changed = true;
    }
    self->coming_lost = self->coming_lost && wl_marks_users(self->coming) > 0;
    if (wl_marks_set(self->coming, notice->uid, notice->line, notice->seq, state) != WL_OK) {
        self->coming_lost = true;
    }
}

static void presence_notice(presence_t *self, const wl_msg_t *msg) {
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
        wl_encoder_t *to =
            wl_hub_to(&self->hub, WL_ACTOR_CACHE, presence_cache_of(self, notice->uid),
                      WL_MSG_NOTICE, msg->head.notice.dispatcher);
        if (!wl_encoder_begun(to)) {
            wl_notice_begin(to, &msg->head.notice);
        }
        wl_notice_add(to, notice);
    }
}

static void presence_stored(presence_t *self, const wl_msg_t *msg) {
    const wl_stored_head_t *head = &msg->head.stored;
    if (head->shard >= wl_owner_log_shards(self->log)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    self->changed = true;
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_stored_item_t *stored = &msg->items.stored[i];
        if (stored->outcome == WL_PULL_OK) {
            presence_end(self, stored->uid, head->line, stored->seq);
        }
        bool coming = stored->outcome != WL_PULL_OK || self->coming_lost ||
                      wl_marks_any(self->coming, stored->uid);
        if (stored->owns) {
            wl_presence_set_mark(self->set, stored->uid);
        } else if (!coming) {
            (void)wl_presence_set_clear(self->set, stored->uid); /* nothing in hashed mode */
        }
        wl_encoder_t *to =
            wl_hub_to(&self->hub, WL_ACTOR_CACHE, presence_cache_of(self, stored->uid),
                      WL_MSG_STORED, self->batch);
        if (!wl_encoder_begun(to)) {
            wl_stored_begin(to, head);
        }
        wl_stored_add(to, stored);
    }
    wl_owner_log_stored(self->log, head->shard, head->commit_seq, head->log_seq);
    self->ready = wl_owner_log_ready(self->log);
}

/* ---- the log of owners ---------------------------------------------------------------------- */

/* The cheap gauges, each tick. */
static void presence_gauge_members(presence_t *self) {
    WL_GAUGE(&self->hub.counters, presence_ready, self->ready);
    WL_GAUGE(&self->hub.counters, presence_members, wl_presence_set_members(self->set));
}

/* The one that walks over the bitmaps, now and then. */
static void presence_gauge_bytes(presence_t *self) {
    uint64_t members = wl_presence_set_members(self->set);
    uint64_t bytes = wl_presence_set_bytes(self->set);
    WL_GAUGE(&self->hub.counters, presence_bytes, bytes);
    if (!self->sparse_said && wl_presence_set_mode(self->set) == WL_PRESENCE_EXACT &&
        members > SPARSE_MEMBERS_MIN && bytes / members > SPARSE_BYTES_PER_MEMBER) {
        self->sparse_said = true;
        wl_log(WL_LOG_WARN, self->hub.name, "presence_sparse",
               "%" PRIu64 " bytes per user: the ids are sparse, presence.mode = hashed needs less",
               bytes / members);
    }
}

static void presence_owners(presence_t *self, const wl_msg_t *msg) {
    const wl_owners_head_t *head = &msg->head.owners;
    if (head->shard >= wl_owner_log_shards(self->log)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_u64_list_t *uids = &msg->items.owners[i].uids;
        wl_presence_set_mark_many(self->set, uids->at, uids->count);
        self->changed = self->changed || uids->count > 0;
        self->owners_told += uids->count;
    }
    int64_t now = wl_mono_now().ms;
    wl_owner_log_told(self->log, head->shard, head->log_seq, head->last, now);
    bool ready = wl_owner_log_ready(self->log);
    if (ready && !self->ready) {
        if (self->owners_told >= OPTIMIZE_OWNERS_MIN) {
            wl_presence_set_optimize(self->set);
        }
        presence_gauge_bytes(self);
        wl_log(WL_LOG_INFO, self->hub.name, "presence_ready",
               "%" PRIu64 " members after %" PRId64 " ms", wl_presence_set_members(self->set),
               now - self->opened_at);
    }
    self->ready = ready;
}

static void presence_tell_owners(presence_t *self, uint32_t shard, uint64_t after, bool trim) {
    wl_encoder_t *to =
        wl_hub_to(&self->hub, WL_ACTOR_SHARD, shard, WL_MSG_TELL_OWNERS, ++self->batch);
    wl_tell_owners_begin(to, &(wl_tell_owners_head_t){
                                 .presence = self->hub.instance,
                                 .after = after,
                                 .trim = trim,
                             });
    wl_hub_flush(&self->hub);
}

static void presence_ask_shards(presence_t *self, int64_t now) {
    for (uint32_t shard = 0; shard < wl_owner_log_shards(self->log); shard++) {
        uint64_t after = 0;
        if (wl_owner_log_due(self->log, shard, now, &after)) {
            presence_tell_owners(self, shard, after, false);
        }
    }
}

/* ---- snapshots ------------------------------------------------------------------------------ */

static void presence_saved(presence_t *self, const wl_presence_saved_t *saved) {
    if (saved->err != WL_OK) {
        self->changed = true;
        wl_log(WL_LOG_WARN, self->hub.name, "snapshot_failed", "%s: %s",
               wl_presence_disk_path(self->disk), wl_err_text(saved->err));
        return;
    }
    WL_COUNT(&self->hub.counters, presence_snapshots, 1);
    for (uint32_t shard = 0; shard < saved->seen_count; shard++) {
        if (saved->seen[shard] > 0) {
            presence_tell_owners(self, shard, saved->seen[shard], true);
        }
    }
}

/* A set that is not complete yet is not worth a file. */
static void presence_save(presence_t *self) {
    if (self->ready && self->changed &&
        wl_presence_disk_save(self->disk, self->set, wl_owner_log_seen(self->log),
                              wl_owner_log_shards(self->log)) == WL_OK) {
        self->changed = false;
    }
}

static wl_presence_mode_t presence_mode(const wl_settings_t *settings) {
    return strcmp(settings->presence_mode, "hashed") == 0 ? WL_PRESENCE_HASHED : WL_PRESENCE_EXACT;
}

/* Is this snapshot of the mode and the shards that are configured now? */
static bool presence_fits(const presence_t *self, const wl_presence_set_t *set, uint32_t shards) {
    const wl_settings_t *settings = self->hub.settings;
    wl_presence_mode_t mode = presence_mode(settings);
    return shards == wl_owner_log_shards(self->log) && wl_presence_set_mode(set) == mode &&
           (mode == WL_PRESENCE_EXACT ||
            wl_presence_set_hash_bits(set) == settings->presence_hash_bits);
}

static void presence_load(presence_t *self) {
    wl_presence_seen_t seen = {0};
    wl_fault_t fault = {0};
    wl_err_t err = wl_presence_disk_load(self->disk, &self->set, &seen, &fault);
    if (err == WL_OK && presence_fits(self, self->set, seen.count)) {
        wl_owner_log_restore(self->log, seen.at);
    } else if (err == WL_OK) {
        wl_log(WL_LOG_INFO, self->hub.name, "snapshot_other",
               "%s is of another mode or number of shards: reading all owners",
               wl_presence_disk_path(self->disk));
        wl_presence_set_destroy(&self->set);
    } else if (err != WL_ERR_NOT_FOUND) {
        WL_COUNT(&self->hub.counters, presence_damaged, 1);
        wl_log(WL_LOG_WARN, self->hub.name, "snapshot_damaged", "%s: %s: reading all owners",
               wl_presence_disk_path(self->disk), fault.message);
    }
    wl_free(seen.at);
    if (self->set == NULL) {
        self->set = wl_presence_set_new(presence_mode(self->hub.settings),
                                        (uint8_t)self->hub.settings->presence_hash_bits);
    }
}

/* ---- handlers ------------------------------------------------------------------------------- */

static void presence_take(void *actor, const wl_msg_t *msg) {
    presence_t *self = actor;
    self->batch++;
    if (msg->id == WL_MSG_READ) {
        presence_read(self, msg);
    } else if (msg->id == WL_MSG_ASK) {
        presence_ask(self, msg);
    } else if (msg->id == WL_MSG_NOTICE) {
        presence_notice(self, msg);
    } else if (msg->id == WL_MSG_STORED) {
        presence_stored(self, msg);
    } else if (msg->id == WL_MSG_OWNERS) {
        presence_owners(self, msg);
    } else if (msg->id != WL_MSG_LINE) {
        WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

static void presence_tick(void *actor) {
    presence_t *self = actor;
    int64_t now = wl_mono_now().ms;
    presence_ask_shards(self, now);
    presence_gauge_members(self);
    wl_presence_saved_t saved;
    if (wl_presence_disk_saved(self->disk, false, &saved)) {
        presence_saved(self, &saved);
    }
    if (now >= self->snapshot_at) {
        presence_save(self);
        self->snapshot_at = now + (int64_t)self->hub.settings->presence_snapshot_s * 1000;
    }
    if (now >= self->gauge_at) {
        presence_gauge_bytes(self);
        self->gauge_at = now + GAUGE_MS;
    }
}

static wl_err_t presence_open(void *actor, zsock_t *pipe, wl_boot_t *boot) {
    presence_t *self = actor;
    const wl_hub_handlers_t handlers = {
        .take = presence_take,
        .tick = presence_tick,
        .tick_ms = TICK_MS,
    };
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    const wl_settings_t *settings = self->hub.settings;
    uint32_t instances = wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE);
    int64_t now = wl_mono_now().ms;
    self->opened_at = now;
    self->snapshot_at = now + (int64_t)settings->presence_snapshot_s * 1000;
    self->coming = wl_marks_new(COMING_USERS_MAX);
    self->ended = wl_alloc_zero(ENDED_PLACES, sizeof *self->ended);
    self->log = wl_owner_log_new((uint32_t)settings->shard_instances, instances == 1);
    self->disk = wl_presence_disk_new(settings->server_data_dir, self->hub.instance, instances);
    presence_load(self);
    presence_ask_shards(self, now);
    return WL_OK;
}

static void presence_close(void *actor) {
    presence_t *self = actor;
    wl_presence_saved_t saved;
    if (self->disk != NULL) { /* the write under way first, then what came since */
        if (wl_presence_disk_saved(self->disk, true, &saved) && saved.err != WL_OK) {
            self->changed = true;
        }
        presence_save(self);
        if (wl_presence_disk_saved(self->disk, true, &saved)) {
            presence_saved(self, &saved);
        }
    }
    wl_presence_disk_destroy(&self->disk);
    wl_presence_set_destroy(&self->set);
    wl_owner_log_destroy(&self->log);
    wl_marks_destroy(&self->coming);
    wl_free(self->ended);
    wl_hub_close(&self->hub);
    wl_free(self);
}

void wl_presence_run(zsock_t *pipe, void *boot) {
    presence_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, presence_open, presence_close, self);
}
