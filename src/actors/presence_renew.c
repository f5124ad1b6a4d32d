/* Builds the set anew from the database beside the one that serves (domain/presence_rebuild.h):
 *
 *     wanted > waiting > reading > one step: swap, mark who is coming > snapshot
 *
 * The serving set has to be complete when reading begins and at the swap: what was lost on its way
 * here is told again to both then. The numbers of the owner log stay as they are: what they count
 * as seen was either in the database when it was read, or has come since. */
#include "actors/presence_renew.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    TELL_MS = 500,  /* how often the console hears of one under way */
    PROBES = 65536, /* 0.06 % of them are 39 */
    GAP_PAUSE_MS = 600000,
    GAP_SPREAD_MS = 10000, /* all readers of a writer notice a gap together */
};

void wl_presence_mark(wl_presence_t *self, const uint64_t *uids, size_t count) {
    wl_presence_set_mark_many(self->set, uids, count);
    if (self->renewal.rebuild != NULL) {
        wl_presence_rebuild_born(self->renewal.rebuild, uids, count);
    }
}

void wl_presence_clear(wl_presence_t *self, uint64_t uid) {
    if (wl_presence_set_clear(self->set, uid) && self->renewal.rebuild != NULL) {
        wl_presence_rebuild_died(self->renewal.rebuild, uid);
    }
}

/* ---- what the console hears ------------------------------------------------------------------ */

static void renew_tell(wl_presence_t *self, int64_t now) {
    self->renewal.told_at = now;
    if (wl_hub_instances(&self->hub, WL_ACTOR_CONSOLE) == 0) {
        return;
    }
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_CONSOLE, 0, WL_MSG_REBUILT, ++self->batch);
    wl_rebuilt_begin(to, &self->renewal.said);
    wl_hub_flush(&self->hub);
}

static uint64_t renew_progress(const wl_presence_t *self) {
    uint64_t members = wl_presence_set_members(self->set);
    uint64_t owners = self->renewal.said.owners;
    return members == 0 || owners >= members ? 99 : 1 + owners * 98 / members;
}

/* Ids at random: hardly one of them is a user. */
static uint64_t renew_probe(const wl_presence_set_t *set) {
    uint64_t maybe = 0;
    uint64_t uid = wl_random_u64();
    for (uint32_t i = 0; i < PROBES; i++) {
        maybe += wl_presence_set_test(set, wl_mix64(uid + i));
    }
    return maybe;
}

/* ---- its life -------------------------------------------------------------------------------- */

static void renew_fail(wl_presence_t *self, const char *reason, int64_t now) {
    (void)snprintf(self->renewal.said.reason, sizeof self->renewal.said.reason, "%s", reason);
    self->renewal.said.state = WL_REBUILD_FAILED;
    self->renewal.said.ended_at = wl_wall_now().ms;
    wl_presence_rebuild_destroy(&self->renewal.rebuild);
    WL_COUNT(&self->hub.counters, presence_rebuilds_failed, 1);
    wl_log(WL_LOG_WARN, self->hub.name, "rebuild_failed", "%s: the old set stays", reason);
    renew_tell(self, now);
}

void wl_presence_renew_start(wl_presence_t *self) {
    int64_t now = wl_mono_now().ms;
    bool active = self->renewal.said.state == WL_REBUILD_WAITING ||
                  self->renewal.said.state == WL_REBUILD_READING;
    if (!active) {
        self->renewal.said = (wl_rebuilt_head_t){.presence = self->hub.instance,
                                                 .state = WL_REBUILD_WAITING,
                                                 .started_at = wl_wall_now().ms,
                                                 .shards = wl_owner_log_shards(self->log)};
    }
    renew_tell(self, now);
}

/* A user whose mark did not find a place has nothing but its bit in the old set. */
static void renew_begin(wl_presence_t *self, int64_t now) {
    uint32_t shards = wl_owner_log_shards(self->log);
    if (!self->ready || self->coming_lost) {
        return;
    }
    self->renewal.rebuild = wl_presence_rebuild_new(self->set, shards);
    self->renewal.said.state = WL_REBUILD_READING;
    memcpy(self->renewal.seen, wl_owner_log_seen(self->log), shards * sizeof(uint64_t));
    wl_log(WL_LOG_INFO, self->hub.name, "rebuild_begun", "%" PRIu64 " members",
           wl_presence_set_members(self->set));
    renew_tell(self, now);
}

/* Another database than the one that was read: its log begins anew. */
static int renew_replaced(const wl_presence_t *self) {
    const uint64_t *seen = wl_owner_log_seen(self->log);
    for (uint32_t shard = 0; shard < wl_owner_log_shards(self->log); shard++) {
        if (seen[shard] < self->renewal.seen[shard]) {
            return (int)shard;
        }
    }
    return -1;
}

static void renew_swap(wl_presence_t *self, int64_t now) {
    wl_rebuilt_head_t *said = &self->renewal.said;
    uint64_t begun_ns = wl_mono_ns();
    said->probes = PROBES;
    said->members_before = wl_presence_set_members(self->set);
    said->bytes_before = wl_presence_set_bytes(self->set);
    said->maybe_before = renew_probe(self->set);
    wl_presence_rebuild_swap(self->renewal.rebuild, &self->set);
    wl_presence_mark_coming(self);
    wl_presence_rebuild_destroy(&self->renewal.rebuild);
    said->members_after = wl_presence_set_members(self->set);
    said->bytes_after = wl_presence_set_bytes(self->set);
    said->maybe_after = renew_probe(self->set);
    said->state = WL_REBUILD_DONE;
    said->ended_at = wl_wall_now().ms;
    self->changed = true;
    self->snapshot_soon = true;
    WL_GAUGE(&self->hub.counters, presence_bytes, said->bytes_after);
    WL_COUNT(&self->hub.counters, presence_rebuilds, 1);
    uint64_t dead =
        said->members_before > said->members_after ? said->members_before - said->members_after : 0;
    WL_COUNT(&self->hub.counters, presence_dead_bits, dead);
    wl_log(WL_LOG_INFO, self->hub.name, "rebuild_done",
           "%" PRIu64 " members, %" PRIu64 " dead bits gone, after %" PRId64
           " ms; reads waited %" PRIu64 " ms at its end",
           said->members_after, dead, said->ended_at - said->started_at,
           (wl_mono_ns() - begun_ns) / 1000000);
    renew_tell(self, now);
}

void wl_presence_renew_take(wl_presence_t *self, const wl_msg_t *msg) {
    const wl_owners_head_t *head = &msg->head.owners;
    if (self->renewal.rebuild == NULL) {
        return; /* it has ended meanwhile */
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_u64_list_t *uids = &msg->items.owners[i].uids;
        wl_rebuild_page_t page = {.shard = head->shard,
                                  .asked_at = head->asked_at,
                                  .chunk = head->chunk,
                                  .last = head->last,
                                  .uids = uids->at,
                                  .count = uids->count};
        wl_presence_rebuild_take(self->renewal.rebuild, &page, wl_mono_now().ms);
    }
}

static void renew_go_on(wl_presence_t *self, int64_t now) {
    char reason[sizeof self->renewal.said.reason];
    for (uint32_t shard = 0; shard < wl_owner_log_shards(self->log); shard++) {
        if (wl_presence_rebuild_due(self->renewal.rebuild, shard, now)) {
            wl_presence_tell_owners(self, shard, 0, now, true);
        }
    }
    self->renewal.said.owners = wl_presence_rebuild_owners(self->renewal.rebuild);
    self->renewal.said.shards_told = wl_presence_rebuild_told(self->renewal.rebuild);
    int lost = wl_presence_rebuild_lost(self->renewal.rebuild, now);
    int replaced = renew_replaced(self);
    if (lost >= 0) {
        (void)snprintf(reason, sizeof reason, "shard %d does not tell all its owners", lost);
        renew_fail(self, reason, now);
    } else if (replaced >= 0) {
        (void)snprintf(reason, sizeof reason, "shard %d is another database than before", replaced);
        renew_fail(self, reason, now);
    } else if (wl_presence_rebuild_whole(self->renewal.rebuild) && self->ready) {
        renew_swap(self, now);
    } else if (now - self->renewal.told_at >= TELL_MS) {
        renew_tell(self, now);
    }
}

/* ---- by itself ------------------------------------------------------------------------------- */

/* Once in the minute that presence.rebuild_at names. */
static bool renew_time_has_come(wl_presence_t *self) {
    const char *text = self->hub.settings->presence_rebuild_at;
    time_t now = (time_t)(wl_wall_now().ms / 1000);
    struct tm local;
    char clock[8];
    if (text[0] == '\0' || now / 60 == self->renewal.minute || localtime_r(&now, &local) == NULL) {
        return false;
    }
    (void)snprintf(clock, sizeof clock, "%02d:%02d", local.tm_hour % 24, local.tm_min % 60);
    if (strcmp(clock, text) != 0) {
        return false;
    }
    self->renewal.minute = now / 60;
    return true;
}

void wl_presence_renew_after_gap(wl_presence_t *self, int64_t now) {
    if (self->set == NULL || wl_presence_set_mode(self->set) != WL_PRESENCE_EXACT ||
        self->renewal.wanted_at != 0 || !self->ready) {
        return; /* hashed bits of the dead stay anyway; no set yet, nothing missed */
    }
    int64_t soon = now + 1 + wl_random_below(GAP_SPREAD_MS);
    int64_t allowed = self->renewal.gap_at == 0 ? 0 : self->renewal.gap_at + GAP_PAUSE_MS;
    self->renewal.wanted_at = soon > allowed ? soon : allowed;
}

void wl_presence_renew_tick(wl_presence_t *self, int64_t now) {
    if (self->renewal.wanted_at != 0 && now >= self->renewal.wanted_at) {
        self->renewal.wanted_at = 0;
        self->renewal.gap_at = now;
        wl_presence_renew_start(self);
    }
    if (renew_time_has_come(self)) {
        wl_presence_renew_start(self);
    }
    if (self->renewal.rebuild != NULL) {
        renew_go_on(self, now);
    } else if (self->renewal.said.state == WL_REBUILD_WAITING) {
        renew_begin(self, now);
    }
    WL_GAUGE(&self->hub.counters, presence_rebuild_progress,
             self->renewal.rebuild == NULL ? 0 : renew_progress(self));
}
