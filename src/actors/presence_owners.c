#include "actors/presence_check.h"
#include "actors/presence_renew.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include <inttypes.h>
#include <string.h>

enum {
    GAUGE_MS = 10000,             /* the memory of the set costs a walk over its bitmaps */
    SPARSE_MEMBERS_MIN = 100000,  /* fewer members say nothing about bytes per member */
    OPTIMIZE_OWNERS_MIN = 100000, /* a full scan of many: pack what it built, once, 6.0 to 3.6 B */
    SPARSE_BYTES_PER_MEMBER = 20, /* above this the ids are too sparse for exact bitmaps */
    JOIN_WAIT_MS = 4000,          /* without a piece of a writer's set: the database is asked */
};

/* ---- the log of owners ----------------------------------------------------------------------- */

/* The one that walks over the bitmaps, now and then. */
static void presence_gauge_bytes(wl_presence_t *self) {
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

void wl_presence_take_owners(wl_presence_t *self, const wl_msg_t *msg) {
    const wl_owners_head_t *head = &msg->head.owners;
    if (head->shard >= wl_owner_log_shards(self->log)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    if (head->rebuild) {
        wl_presence_renew_take(self, msg);
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_u64_list_t *uids = &msg->items.owners[i].uids;
        wl_presence_mark(self, uids->at, uids->count);
        self->changed = self->changed || uids->count > 0;
        self->owners_told += uids->count;
    }
    int64_t now = wl_mono_now().ms;
    bool last = wl_owner_log_chunk(self->log, head->shard, head->chunk) && head->last;
    if (wl_owner_log_told(self->log, head->shard, head->log_seq, last, head->asked_at, now)) {
        wl_presence_toured(self, head->shard, wl_owner_log_toured_at(self->log, head->shard),
                           head->commit_seq);
    }
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

void wl_presence_tell_owners(wl_presence_t *self, uint32_t shard, uint64_t after, int64_t asked_at,
                             bool rebuild) {
    bool trim = asked_at == 0;
    wl_encoder_t *to = wl_hub_to(&self->hub, trim ? WL_ACTOR_SHARD : WL_ACTOR_FETCHER,
                                 trim ? shard : wl_hub_fetcher(&self->hub, shard, 0),
                                 WL_MSG_TELL_OWNERS, ++self->batch);
    wl_tell_owners_begin(to, &(wl_tell_owners_head_t){
                                 .presence = self->hub.instance,
                                 .after = after,
                                 .trim = trim,
                                 .asked_at = asked_at,
                                 .rebuild = rebuild,
                             });
    wl_hub_flush(&self->hub);
}

static void presence_ask_shards(wl_presence_t *self, int64_t now) {
    for (uint32_t shard = 0; shard < wl_owner_log_shards(self->log); shard++) {
        uint64_t after = 0;
        bool hurry = self->coverage != NULL && wl_coverage_wants_tour(self->coverage, shard, now);
        if (wl_owner_log_due(self->log, shard, now, hurry, &after)) {
            wl_presence_tell_owners(self, shard, after, now, false);
        }
    }
}

/* ---- snapshots ------------------------------------------------------------------------------ */

static void presence_saved(wl_presence_t *self, const wl_presence_saved_t *saved) {
    wl_presence_check_saved(self->check, saved->err);
    if (saved->err != WL_OK) {
        self->changed = true;
        wl_log(WL_LOG_WARN, self->hub.name, "snapshot_failed", "%s: %s",
               wl_presence_disk_path(self->disk), wl_err_text(saved->err));
        return;
    }
    WL_COUNT(&self->hub.counters, presence_snapshots, 1);
    /* with several processes nobody knows what the others still need: the log bounds itself */
    for (uint32_t shard = 0; !self->tours && shard < saved->seen_count; shard++) {
        if (saved->seen[shard] > 0) {
            wl_presence_tell_owners(self, shard, saved->seen[shard], 0, false);
        }
    }
}

/* A set that is not complete yet is not worth a file. */
bool wl_presence_save(wl_presence_t *self) {
    bool begun = self->ready && self->changed &&
                 wl_presence_disk_save(self->disk, self->set, wl_owner_log_seen(self->log),
                                       wl_owner_log_shards(self->log)) == WL_OK;
    self->changed = self->changed && !begun;
    return begun;
}

static wl_presence_mode_t presence_mode(const wl_settings_t *settings) {
    return strcmp(settings->presence_mode, "hashed") == 0 ? WL_PRESENCE_HASHED : WL_PRESENCE_EXACT;
}

/* Is this snapshot of the mode and the shards that are configured now? */
static bool presence_fits(const wl_presence_t *self, const wl_presence_set_t *set,
                          uint32_t shards) {
    const wl_settings_t *settings = self->hub.settings;
    wl_presence_mode_t mode = presence_mode(settings);
    return shards == wl_owner_log_shards(self->log) && wl_presence_set_mode(set) == mode &&
           (mode == WL_PRESENCE_EXACT ||
            wl_presence_set_hash_bits(set) == settings->presence_hash_bits);
}

/* Takes a snapshot over if it is of our mode and shards; otherwise it is destroyed. */
static bool presence_adopt(wl_presence_t *self, wl_presence_set_t **set,
                           const wl_presence_seen_t *seen, const char *from) {
    if (!presence_fits(self, *set, seen->count)) {
        wl_log(WL_LOG_INFO, self->hub.name, "snapshot_other",
               "%s is of another mode or number of shards: reading all owners", from);
        wl_presence_set_destroy(set);
        return false;
    }
    wl_presence_set_destroy(&self->set);
    self->set = *set;
    *set = NULL;
    wl_owner_log_restore(self->log, seen->at);
    return true;
}

static bool presence_load(wl_presence_t *self) {
    wl_presence_set_t *set = NULL;
    wl_presence_seen_t seen = {0};
    wl_fault_t fault = {0};
    const char *path = wl_presence_disk_path(self->disk);
    wl_err_t err = wl_presence_disk_load(self->disk, &set, &seen, &fault);
    if (err != WL_OK && err != WL_ERR_NOT_FOUND) {
        WL_COUNT(&self->hub.counters, presence_damaged, 1);
        wl_log(WL_LOG_WARN, self->hub.name, "snapshot_damaged", "%s: %s: reading all owners", path,
               fault.message);
    }
    bool adopted = err == WL_OK && presence_adopt(self, &set, &seen, path);
    wl_free(seen.at);
    return adopted;
}

/* ---- the set of a writer --------------------------------------------------------------------- */

static void presence_join_end(wl_presence_t *self) {
    wl_presence_follow_join(self->follow, NULL);
    wl_presence_join_destroy(&self->join);
}

/* What came with the feed meanwhile: births are in the log behind the snapshot, marks are kept. */
static void presence_joined(wl_presence_t *self, int64_t now) {
    wl_presence_set_t *set = NULL;
    wl_presence_seen_t seen = {0};
    wl_fault_t fault = {0};
    wl_bytes_t bytes = wl_presence_join_bytes(self->join);
    wl_err_t err = wl_presence_set_load(bytes.at, bytes.count, &set, &seen, &fault);
    if (err != WL_OK) {
        WL_COUNT(&self->hub.counters, presence_damaged, 1);
        wl_log(WL_LOG_WARN, self->hub.name, "snapshot_damaged",
               "of a writer: %s: reading all owners", fault.message);
    } else if (presence_adopt(self, &set, &seen, "a writer's set")) {
        wl_presence_mark_coming(self);
        self->changed = true;
        WL_COUNT(&self->hub.counters, tier_snapshots, 1);
        wl_log(WL_LOG_INFO, self->hub.name, "tier_joined",
               "%" PRIu64 " members in %zu bytes after %" PRId64 " ms",
               wl_presence_set_members(self->set), bytes.count, now - self->opened_at);
    }
    wl_free(seen.at);
}

/* Until it is there, or given up, shards are not asked: they would tell everything. */
static void presence_join_tick(wl_presence_t *self, int64_t now) {
    wl_join_state_t state = wl_presence_join_state(self->join, now);
    if (state == WL_JOIN_WAITS) {
        return;
    }
    if (state == WL_JOIN_WHOLE) {
        presence_joined(self, now);
    } else {
        wl_log(WL_LOG_INFO, self->hub.name, "tier_join_given_up",
               "no writer gives its set: reading all owners");
    }
    presence_join_end(self);
}

/* ---- life ------------------------------------------------------------------------------------ */

void wl_presence_owners_open(wl_presence_t *self, int64_t now) {
    const wl_settings_t *settings = self->hub.settings;
    uint32_t instances = wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE);
    self->opened_at = now;
    self->snapshot_at = now + (int64_t)settings->presence_snapshot_s * 1000;
    wl_owner_log_mode_t mode =
        instances == 1 ? WL_OWNER_LOG_EVERY_COMMIT : WL_OWNER_LOG_SOME_COMMITS;
    self->log = wl_owner_log_new((uint32_t)settings->shard_instances,
                                 self->tours ? WL_OWNER_LOG_TOURS : mode);
    self->disk = wl_presence_disk_new(settings->server_data_dir, self->hub.instance, instances);
    self->set = wl_presence_set_new(presence_mode(settings), (uint8_t)settings->presence_hash_bits);
    if (!presence_load(self) && self->follow != NULL) {
        self->join = wl_presence_join_new(now, JOIN_WAIT_MS);
        wl_presence_follow_join(self->follow, self->join);
    } else {
        presence_ask_shards(self, now);
    }
}

void wl_presence_owners_tick(wl_presence_t *self, int64_t now) {
    if (self->join != NULL) {
        presence_join_tick(self, now);
    }
    if (self->join == NULL) {
        presence_ask_shards(self, now);
        wl_presence_renew_tick(self, now);
    }
    wl_presence_saved_t saved;
    if (wl_presence_disk_saved(self->disk, false, &saved)) {
        presence_saved(self, &saved);
    }
    if (now >= self->snapshot_at || self->snapshot_soon) {
        (void)wl_presence_save(self);
        self->snapshot_soon = self->snapshot_soon && self->changed;
        self->snapshot_at = now + (int64_t)self->hub.settings->presence_snapshot_s * 1000;
    }
    if (now >= self->gauge_at) {
        presence_gauge_bytes(self);
        self->gauge_at = now + GAUGE_MS;
    }
    WL_GAUGE(&self->hub.counters, presence_members, wl_presence_set_members(self->set));
}

void wl_presence_owners_close(wl_presence_t *self) {
    wl_presence_saved_t saved;
    if (self->disk != NULL) { /* the write under way first, then what came since */
        if (wl_presence_disk_saved(self->disk, true, &saved) && saved.err != WL_OK) {
            self->changed = true;
        }
        (void)wl_presence_save(self);
        if (wl_presence_disk_saved(self->disk, true, &saved)) {
            presence_saved(self, &saved);
        }
    }
    if (self->join != NULL) {
        presence_join_end(self);
    }
    wl_presence_disk_destroy(&self->disk);
    wl_presence_rebuild_destroy(&self->renewal.rebuild);
    wl_presence_set_destroy(&self->set);
    wl_owner_log_destroy(&self->log);
}
