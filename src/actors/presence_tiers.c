#include "actors/presence_renew.h"
#include "actors/store_options.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"

#include <string.h>

enum { FEED_OURS = 0 }; /* of the coverage: this process; writer i of tier.writers is 1 + i */

static uint32_t tiers_partitions(const wl_presence_t *self) {
    return (uint32_t)self->hub.settings->queue_partitions;
}

/* ---- leases ---------------------------------------------------------------------------------- */

/* Files belong to one process for ever: it holds everything, whether the keeper said so or not. */
static uint64_t lease_epoch(const wl_presence_t *self, uint32_t partition, int64_t now) {
    const wl_presence_lease_t *lease = &self->leases[partition];
    if (self->tours) {
        return lease->until > now ? lease->epoch : 0;
    }
    return lease->epoch > 0 ? lease->epoch : 1;
}

uint64_t wl_presence_epoch(const wl_presence_t *self, uint64_t uid) {
    uint32_t partition = wl_presence_partition(self, uid);
    return partition < wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER)
               ? lease_epoch(self, partition, wl_mono_now().ms)
               : 0;
}

static uint32_t tiers_held(void *arg, wl_claim_t ret_claims[static WL_COVERAGE_PARTITIONS_MAX]) {
    const wl_presence_t *self = arg;
    int64_t now = wl_mono_now().ms;
    uint32_t count = 0;
    for (uint32_t p = 0; p < tiers_partitions(self); p++) {
        uint64_t epoch = lease_epoch(self, p, now);
        if (epoch > 0) {
            ret_claims[count++] = (wl_claim_t){p, epoch};
        }
    }
    return count;
}

/* ---- coverage -------------------------------------------------------------------------------- */

bool wl_presence_knows(const wl_presence_t *self, uint64_t uid) {
    return self->ready && (self->coverage == NULL ||
                           wl_coverage_covers(self->coverage, wl_presence_partition(self, uid),
                                              wl_hub_shard(&self->hub, uid)));
}

/* What is kept of these users' details may be behind; more is kept once they are covered. */
static void tiers_tell_details(wl_presence_t *self, uint32_t partition, bool covered) {
    wl_cover_head_t head = {.presence = self->hub.instance, .covered = covered};
    for (uint32_t i = 0; i < wl_hub_instances(&self->hub, WL_ACTOR_DETAILS); i++) {
        wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_DETAILS, i, WL_MSG_COVER, ++self->batch);
        wl_cover_begin(to, &head);
        wl_cover_add(to, &(wl_cover_item_t){.partition = partition});
    }
}

/* Caches may keep copies of these users from now on, or must forget them. */
static void tiers_tell_cover(wl_presence_t *self, uint32_t partition, bool covered) {
    self->told[partition] = covered;
    wl_cover_head_t head = {.presence = self->hub.instance, .covered = covered};
    if (covered) {
        head.commits = (wl_u64_list_t){self->commits, wl_owner_log_shards(self->log)};
    }
    for (uint32_t i = 0; i < wl_hub_instances(&self->hub, WL_ACTOR_CACHE); i++) {
        wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_CACHE, i, WL_MSG_COVER, ++self->batch);
        wl_cover_begin(to, &head);
        wl_cover_add(to, &(wl_cover_item_t){.partition = partition});
    }
    tiers_tell_details(self, partition, covered);
    wl_hub_flush(&self->hub);
}

/* A cache that has missed a message knows nothing of it, and may keep what it has in memory only
 * after a look at every shard that began later. A COVER that gets lost, too, is noticed the same
 * way and said again. Where nobody covers anything the dispatcher hears of no end, and repeats. */
static void tiers_missed(wl_presence_t *self, int64_t now) {
    uint64_t lost = wl_hub_lost(&self->hub, WL_ACTOR_CACHE);
    if (self->coverage == NULL || lost == self->cache_lost) {
        return;
    }
    self->cache_lost = lost;
    self->cache_lost_at = now;
    for (uint32_t p = 0; p < tiers_partitions(self); p++) {
        tiers_tell_cover(self, p, false);
    }
}

/* What details keep is not compared with the database: it goes, and that is all. */
static void tiers_missed_details(wl_presence_t *self) {
    uint64_t lost = wl_hub_lost(&self->hub, WL_ACTOR_DETAILS);
    if (lost == self->details_lost) {
        return;
    }
    self->details_lost = lost;
    for (uint32_t p = 0; p < tiers_partitions(self); p++) {
        tiers_tell_details(self, p, false);
        if (self->coverage == NULL || self->told[p]) {
            tiers_tell_details(self, p, true);
        }
    }
    wl_hub_flush(&self->hub);
}

static bool tiers_caches_hear(const wl_presence_t *self) {
    bool hear = self->cache_lost == wl_hub_lost(&self->hub, WL_ACTOR_CACHE);
    for (uint32_t s = 0; s < wl_owner_log_shards(self->log); s++) {
        hear = hear && (self->cache_lost_at == 0 || self->toured_at[s] > self->cache_lost_at);
    }
    return hear;
}

/* Judges the coverage anew and says what has changed. */
static void tiers_judge(void *arg) {
    wl_presence_t *self = arg;
    if (self->coverage == NULL || self->log == NULL) {
        return;
    }
    (void)wl_coverage_update(self->coverage, wl_mono_now().ms);
    uint32_t covered = 0;
    bool hear = tiers_caches_hear(self);
    for (uint32_t p = 0; p < tiers_partitions(self); p++) {
        bool covers = wl_coverage_covers_all(self->coverage, p);
        if ((covers && hear) != self->told[p]) {
            tiers_tell_cover(self, p, covers && hear);
        }
        covered += covers;
    }
    if (covered != self->covered) {
        wl_log(WL_LOG_INFO, self->hub.name, "tier_covered", "%u of %u partitions", covered,
               tiers_partitions(self));
        self->covered = covered;
    }
}

/* Changes of this partition may have been missed. */
static void tiers_lost(void *arg, uint32_t partition) {
    wl_presence_t *self = arg;
    wl_presence_forget(self, partition);
    tiers_tell_cover(self, partition, false); /* also when it was not covered: marks go */
}

static void tiers_gap(void *arg) {
    wl_presence_renew_after_gap(arg, wl_mono_now().ms);
}

void wl_presence_toured(wl_presence_t *self, uint32_t shard, int64_t asked_at,
                        uint64_t commit_seq) {
    self->commits[shard] = commit_seq;
    self->toured_at[shard] = asked_at;
    if (self->coverage != NULL) {
        wl_coverage_toured(self->coverage, shard, asked_at);
        tiers_judge(self);
    }
}

/* Our own feed never breaks: what it says is what the keeper said. */
static void tiers_claim(wl_presence_t *self, int64_t now) {
    bool changed = false;
    for (uint32_t p = 0; p < tiers_partitions(self); p++) {
        wl_presence_lease_t *lease = &self->leases[p];
        bool held = lease_epoch(self, p, now) > 0;
        changed = changed || held != lease->held;
        if (lease->held && !held && self->coverage != NULL) {
            lease->held = held;
            tiers_lost(self, p); /* our dispatcher forgets it too */
        }
        lease->held = held;
    }
    if (self->coverage != NULL) {
        wl_claim_t claims[WL_COVERAGE_PARTITIONS_MAX];
        uint32_t count = tiers_held(self, claims);
        wl_coverage_heard(self->coverage, FEED_OURS, now, claims, count, now);
        tiers_judge(self);
    }
    if (changed && self->feed != NULL) {
        wl_presence_feed_beat(self->feed);
    }
}

void wl_presence_take_lease(wl_presence_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_lease_item_t *item = &msg->items.lease[i];
        if (item->partition >= tiers_partitions(self)) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        wl_presence_lease_t *lease = &self->leases[item->partition];
        if (item->epoch != lease->epoch) { /* said as lost first, so that nothing old is kept */
            lease->until = 0;
            tiers_claim(self, wl_mono_now().ms);
        }
        lease->epoch = item->epoch;
        lease->until = item->until;
    }
    tiers_claim(self, wl_mono_now().ms);
}

/* ---- what goes between tiers ----------------------------------------------------------------- */

static void tiers_take(void *arg, const wl_msg_t *msg) {
    wl_presence_t *self = arg;
    self->batch++;
    if (msg->id == WL_MSG_NOTICE) {
        wl_presence_take_notice(self, msg);
    } else {
        wl_presence_take_stored(self, msg);
    }
}

/* A set that is not complete would make a reader believe that it is. */
static bool tiers_snapshot(void *arg, void **ret_blob, size_t *ret_bytes) {
    wl_presence_t *self = arg;
    if (!self->ready) {
        return false;
    }
    wl_presence_set_save(self->set, wl_owner_log_seen(self->log), wl_owner_log_shards(self->log),
                         ret_blob, ret_bytes);
    return true;
}

/* A user looks at an old copy: whoever holds the partition is told. */
static void tiers_refresh(wl_presence_t *self, const wl_msg_t *msg, bool pass_on) {
    self->batch++;
    for (uint32_t i = 0; i < msg->count; i++) {
        uint64_t uid = msg->items.refresh[i].uid;
        uint32_t partition = wl_presence_partition(self, uid);
        if (wl_presence_epoch(self, uid) > 0) {
            wl_encoder_t *to =
                wl_hub_to(&self->hub, WL_ACTOR_DISPATCHER, partition, WL_MSG_REFRESH, self->batch);
            if (!wl_encoder_begun(to)) {
                wl_refresh_begin(to, &msg->head.refresh);
            }
            wl_refresh_add(to, &msg->items.refresh[i]);
        } else if (pass_on && self->follow != NULL) {
            wl_presence_follow_refresh(self->follow, msg->head.refresh.line, uid);
        }
    }
    if (self->follow != NULL) {
        wl_presence_follow_flush(self->follow); /* one line a message */
    }
}

void wl_presence_take_refresh(wl_presence_t *self, const wl_msg_t *msg) {
    tiers_refresh(self, msg, true);
}

static void tiers_refresh_of_reader(void *arg, const wl_msg_t *msg) {
    tiers_refresh(arg, msg, false);
}

static void tiers_live_of_reader(void *arg, wl_msg_t *msg, uint64_t reader) {
    wl_presence_take_live_of(arg, msg, reader);
}

static void tiers_lived_of_writer(void *arg, const wl_msg_t *msg) {
    wl_presence_take_lived_of(arg, msg);
}

static void tiers_seen(void *arg) {
    wl_presence_release(arg);
}

void wl_presence_listen(wl_presence_t *self) {
    if (self->follow != NULL) {
        wl_presence_follow_listen(self->follow, wl_mono_now().ms);
    }
}

/* ---- health of lines ------------------------------------------------------------------------- */

static void tiers_tell_line(wl_presence_t *self, const char *line, bool sick) {
    static const wl_actor_kind_t kinds[] = {WL_ACTOR_FRONTEND, WL_ACTOR_CACHE, WL_ACTOR_QUERY,
                                            WL_ACTOR_CONSOLE};
    wl_line_item_t item = {.sick = sick, .since = wl_wall_now().ms};
    (void)snprintf(item.line, sizeof item.line, "%s", line);
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (uint32_t i = 0; i < wl_hub_instances(&self->hub, kinds[k]); i++) {
            wl_encoder_t *to = wl_hub_to(&self->hub, kinds[k], i, WL_MSG_LINE, 0);
            if (!wl_encoder_begun(to)) {
                wl_line_begin(to, NULL);
            }
            wl_line_add(to, &item);
        }
    }
}

/* A reader asks no lines: presence 0 tells the others what the writers say of them. */
static void tiers_lines(wl_presence_t *self) {
    if (self->follow == NULL || wl_role_writes(self->hub.settings) || self->hub.instance != 0 ||
        !wl_presence_follow_sick_changed(self->follow)) {
        return;
    }
    char sick[WL_LINES_MAX][WL_LINE_ID_MAX + 1];
    uint32_t count = wl_presence_follow_sick_lines(self->follow, sick);
    for (uint32_t i = 0; i < self->sick_count; i++) {
        if (!wl_presence_follow_sick(self->follow, self->sick[i])) {
            tiers_tell_line(self, self->sick[i], false);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        tiers_tell_line(self, sick[i], true);
    }
    memcpy(self->sick, sick, sizeof sick);
    self->sick_count = count;
}

/* ---- life ------------------------------------------------------------------------------------ */

wl_err_t wl_presence_tiers_open(wl_presence_t *self, wl_fault_t *fault) {
    const wl_settings_t *settings = self->hub.settings;
    self->tours = wl_store_shared(settings) || !wl_role_writes(settings);
    if (self->tours) {
        self->coverage = wl_coverage_new(
            1 + wl_settings_list_count(settings->tier_writers), tiers_partitions(self),
            (uint32_t)settings->shard_instances, (int64_t)settings->tier_silence_ms);
        wl_coverage_begin(self->coverage, FEED_OURS);
        for (uint32_t p = 0; p < tiers_partitions(self); p++) {
            tiers_tell_cover(self, p, false);
        }
    }
    const wl_presence_feed_owner_t feed = {
        .arg = self,
        .marks = self->coming,
        .held = tiers_held,
        .snapshot = tiers_snapshot,
        .refresh = tiers_refresh_of_reader,
        .live = tiers_live_of_reader,
        .seen = tiers_seen,
    };
    const wl_presence_follow_owner_t follow = {
        .arg = self,
        .coverage = self->coverage,
        .take = tiers_take,
        .lost = tiers_lost,
        .gap = tiers_gap,
        .heard = tiers_judge,
        .lived = tiers_lived_of_writer,
    };
    wl_err_t err = WL_OK;
    if (wl_role_writes(settings)) {
        err = wl_presence_feed_open(&self->hub, &feed, &self->feed, fault);
    }
    if (err == WL_OK && wl_role_reads(settings) && self->coverage != NULL) {
        err = wl_presence_follow_open(&self->hub, &follow, &self->follow, fault);
    }
    return err;
}

void wl_presence_tiers_tick(wl_presence_t *self, int64_t now) {
    tiers_missed(self, now);
    tiers_missed_details(self);
    tiers_claim(self, now);
    if (self->feed != NULL) {
        wl_presence_feed_tick(self->feed, now);
    }
    if (self->follow != NULL) {
        wl_presence_follow_tick(self->follow, now);
    }
    tiers_lines(self);
    /* a reader without a writer still answers everything, from its cache and the database */
    WL_GAUGE(&self->hub.counters, presence_ready, self->ready);
    WL_GAUGE(&self->hub.counters, tier_covered,
             self->coverage == NULL ? tiers_partitions(self) : self->covered);
}

void wl_presence_tiers_close(wl_presence_t *self) {
    wl_presence_feed_close(&self->feed);
    wl_presence_follow_close(&self->follow);
    wl_coverage_destroy(&self->coverage);
}
