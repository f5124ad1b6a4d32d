#include "actors/shard.h"

#include "actors/hub_map.h"
#include "actors/shard_back.h"
#include "actors/shard_consent.h"
#include "actors/shard_trail.h"
#include "actors/store_batch.h"
#include "actors/store_options.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slot.h"
#include "domain/asset_rules.h"
#include "domain/retry.h"
#include "store/asset_lines.h"
#include "store/asset_map.h"

#include <stdio.h>
#include <string.h>

enum {
    TRIES_MAX = 4,        /* of a transaction that another one is in the way of */
    PRESENCE_MAX = 16,    /* as settings.def allows */
    TICK_MS = 100,        /* between attempts to wipe what was purged */
    PAUSE_MS_MIN = 250,   /* after a transaction that failed; doubled by each further one */
    PAUSE_MS_MAX = 10000, /* also how late a server that is back may be noticed */
    MOVING_MS = 50,       /* slots are being moved: until it is tried again */
};

typedef struct {
    wl_hub_t hub;
    wl_asset_db_t *db;           /* owned */
    wl_store_batch_t *batch;     /* owned; the transaction to be */
    uint64_t told[PRESENCE_MAX]; /* STORED messages to each, lost ones as well */
    uint64_t safe[PRESENCE_MAX]; /* owner log number that each has on disk, 0 = not said */
    uint64_t trimmed;            /* up to here the log was trimmed */
    wl_wall_ms_t now;            /* of the transaction */
    bool withdrawn;              /* something was purged since the last wipe that worked */
    bool away;                   /* the last transaction found no server */
    uint32_t failures;           /* transactions since the last that committed */
    int64_t shut_until;          /* monotonic ms: nothing is tried before */
    wl_refused_item_t refused;   /* the stale epoch that was told last, in this transaction */
    wl_shard_back_t back;
    wl_shard_trail_t trail;
    uint64_t batch_map; /* version of the map by which the batch's users are ours */
} shard_t;

/* ---- one transaction ------------------------------------------------------------------------- */

/* Rule 7 against what is stored, for lines that limit their steps. */
static wl_err_t shard_check_step(shard_t *self, const wl_line_t *line, const wl_asset_t *asset,
                                 bool *ret_sane) {
    *ret_sane = true;
    if (line == NULL || (line->sanity.jump_max == 0 && line->sanity.version_ahead_max == 0)) {
        return WL_OK;
    }
    wl_asset_t stored;
    wl_err_t err = wl_asset_db_get(self->db, asset->uid, asset->line, asset->bucket, &stored);
    if (err == WL_OK && wl_asset_newer(asset, &stored)) { /* older ones are refused anyway */
        *ret_sane = wl_asset_step_sane(asset, &stored, line, NULL) == WL_OK;
    }
    return err == WL_ERR_NOT_FOUND ? WL_OK : err;
}

/* The record that stands in the database goes to presence and cache, also when it is not this one:
 * a cache that has missed it is repaired by the redelivery. */
static wl_err_t shard_keep(shard_t *self, const wl_asset_t *asset, wl_apply_result_t result,
                           wl_stored_user_t *item) {
    wl_asset_t *kept = &self->batch->kept[item->asset_first + item->kept_count];
    *kept = *asset;
    if (result == WL_APPLY_OLDER) {
        wl_err_t err = wl_asset_db_get(self->db, asset->uid, asset->line, asset->bucket, kept);
        if (err != WL_OK) {
            return err;
        }
        wl_store_batch_own_extra(self->batch, kept);
        self->batch->stands[asset - self->batch->assets] = kept->version;
    }
    item->kept_count++;
    item->owns = item->owns || kept->state != WL_STATE_GONE;
    return WL_OK;
}

/* Without a consent that stands nothing of a line that needs one is kept. It is looked up once for
 * all assets of an item. */
static wl_err_t shard_check_consent(shard_t *self, const wl_line_t *line, const wl_asset_t *asset,
                                    wl_stored_user_t *item, bool *ret_allowed) {
    wl_err_t err = WL_OK;
    bool needed = line != NULL && line->consent && !wl_asset_is_consent(asset);
    if (needed && item->consent == WL_CONSENT_UNKNOWN) {
        bool stands = false;
        err = wl_shard_consent_stands(self->db, item->uid, line->id, self->now, &stands);
        item->consent = stands ? WL_CONSENT_STANDS : WL_CONSENT_MISSING;
    }
    *ret_allowed = !needed || item->consent == WL_CONSENT_STANDS;
    return err;
}

/* A user without assets of a line that needs a consent: was the line asked at all? */
static wl_err_t shard_check_absent(shard_t *self, const wl_line_t *line, wl_stored_user_t *item) {
    static const wl_asset_t none = {.version = 0};
    bool allowed = false;
    return shard_check_consent(self, line, &none, item, &allowed);
}

/* A consent record. Once it is withdrawn, nothing of the line that this transaction has stored for
 * the user before is there any more, so nothing of it is told. */
static wl_err_t shard_apply_consent(shard_t *self, const wl_asset_t *record, wl_stored_user_t *item,
                                    wl_apply_result_t *ret_result) {
    wl_store_batch_t *batch = self->batch;
    bool withdrawn = false;
    wl_err_t err = wl_shard_consent_apply(self->db, record, ret_result, &withdrawn);
    item->consent = WL_CONSENT_UNKNOWN;
    for (wl_stored_user_t *one = batch->items; err == WL_OK && withdrawn && one <= item; one++) {
        if (one->uid == item->uid && strcmp(batch->heads[one->head].line, record->line) == 0) {
            one->kept_count = 0;
            one->owns = false;
        }
    }
    self->withdrawn = self->withdrawn || withdrawn;
    return err;
}

/* The consent records and the assets that may be. */
static wl_err_t shard_apply_record(shard_t *self, const wl_line_t *line, const wl_asset_t *asset,
                                   wl_stored_user_t *item, wl_apply_result_t *ret_result,
                                   bool *ret_sane) {
    if (wl_asset_is_consent(asset)) {
        return shard_apply_consent(self, asset, item, ret_result);
    }
    wl_err_t err = shard_check_step(self, line, asset, ret_sane);
    return err == WL_OK && *ret_sane ? wl_asset_db_apply(self->db, asset, ret_result) : err;
}

/* Whoever has sent a consent that is older than what stands, with a clock that is behind, hears
 * that another one stands. */
static void shard_judge_consent(const shard_t *self, const wl_asset_t *asset,
                                wl_stored_user_t *item) {
    const wl_asset_t *kept = &self->batch->kept[item->asset_first + item->kept_count - 1];
    if (wl_asset_is_consent(asset) &&
        (kept->state != asset->state || kept->expires_at != asset->expires_at)) {
        item->outcome = WL_PULL_RETRY;
    }
}

/* What the trail will tell, should the transaction commit. */
static void shard_note(shard_t *self, const wl_asset_t *asset, wl_store_fate_t fate) {
    self->batch->fates[asset - self->batch->assets] = fate;
}

/* An error ends the transaction. */
static wl_err_t shard_apply_asset(shard_t *self, const wl_line_t *line, const wl_asset_t *asset,
                                  wl_stored_user_t *item) {
    bool sane = true;
    bool allowed = false;
    wl_apply_result_t result = WL_APPLY_OLDER;
    wl_err_t err = shard_check_consent(self, line, asset, item, &allowed);
    if (err != WL_OK || !allowed) {
        shard_note(self, asset, WL_STORE_FATE_BARRED);
        self->batch->barred += err == WL_OK;
        return err;
    }
    err = shard_apply_record(self, line, asset, item, &result, &sane);
    bool record_refused =
        err == WL_ERR_OVERFLOW || err == WL_ERR_TOO_BIG || err == WL_ERR_MALFORMED;
    if (err != WL_OK && !record_refused) {
        return err;
    }
    if (record_refused || !sane || result == WL_APPLY_FULL) {
        item->outcome = WL_PULL_REFUSED;
        shard_note(self, asset, WL_STORE_FATE_REFUSED);
        self->batch->refused++;
        return WL_OK;
    }
    self->batch->stored += result == WL_APPLY_STORED;
    self->batch->older += result == WL_APPLY_OLDER;
    shard_note(self, asset, wl_shard_trail_fate(result));
    bool consent_again = result == WL_APPLY_TOUCHED && wl_asset_is_consent(asset);
    err = shard_keep(self, asset, consent_again ? WL_APPLY_OLDER : result, item);
    if (err == WL_OK) {
        shard_judge_consent(self, asset, item);
    }
    return err;
}

static wl_err_t shard_apply_item(shard_t *self, wl_stored_user_t *item) {
    wl_store_batch_t *batch = self->batch;
    const wl_line_t *line = wl_config_line(self->hub.config, batch->heads[item->head].line);
    wl_err_t err = WL_OK;
    item->outcome = item->asked;
    item->kept_count = 0;
    item->owns = false;
    item->consent = WL_CONSENT_UNKNOWN;
    if (item->asset_count == 0 && wl_trail_teller_on(&self->trail.teller)) {
        err = shard_check_absent(self, line, item);
    }
    for (uint32_t i = 0; err == WL_OK && i < item->asset_count; i++) {
        err = shard_apply_asset(self, line, &batch->assets[item->asset_first + i], item);
    }
    return err != WL_OK || item->owns ? err : wl_asset_db_owns(self->db, item->uid, &item->owns);
}

/* Marks heads whose lease is over; the dispatcher that holds it now does their work. */
static wl_err_t shard_fence(shard_t *self) {
    wl_err_t err = WL_OK;
    for (uint32_t i = 0; err == WL_OK && i < self->batch->head_count; i++) {
        wl_stored_line_t *head = &self->batch->heads[i];
        err = wl_asset_db_fence(self->db, head->dispatcher, head->epoch);
        head->stale = err == WL_ERR_CONFLICT;
        err = head->stale ? WL_OK : err;
    }
    return err;
}

static wl_err_t shard_transact(shard_t *self, uint32_t users, uint64_t *ret_commit_seq) {
    wl_store_batch_t *batch = self->batch;
    batch->stored = 0;
    batch->older = 0;
    batch->refused = 0;
    batch->barred = 0;
    self->now = wl_wall_now();
    wl_asset_db_map_use(self->db, self->batch_map);
    wl_err_t err = wl_asset_db_begin(self->db);
    if (err != WL_OK) {
        return err;
    }
    err = shard_fence(self);
    if (err == WL_OK) {
        err = wl_asset_db_expect(self->db, batch->uids, users);
    }
    for (size_t i = 0; err == WL_OK && i < batch->item_count; i++) {
        wl_stored_user_t *item = &batch->items[batch->order[i]];
        if (!batch->heads[item->head].stale) {
            err = shard_apply_item(self, item);
        }
    }
    if (err == WL_OK) {
        err = wl_asset_db_commit(self->db, ret_commit_seq);
    }
    if (err != WL_OK) {
        wl_asset_db_rollback(self->db);
    }
    return err;
}

/* Its dispatcher may not know: the keeper lets go of the lease, if it is still held. */
static void shard_tell_refused(shard_t *self, const wl_stored_line_t *head) {
    if (head->dispatcher == self->refused.partition && head->epoch == self->refused.epoch) {
        return;
    }
    self->refused = (wl_refused_item_t){.partition = head->dispatcher, .epoch = head->epoch};
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_KEEPER, 0, WL_MSG_REFUSED, 0);
    if (!wl_encoder_begun(to)) {
        wl_refused_begin(to, NULL);
    }
    wl_refused_add(to, &self->refused);
}

static void shard_tell_stored(shard_t *self, uint64_t commit_seq) {
    self->refused = (wl_refused_item_t){.partition = UINT32_MAX};
    uint32_t presences = wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE);
    uint64_t log_seq = wl_asset_db_owner_seq(self->db);
    self->trail.committed_at = wl_wall_now().ms;
    for (size_t i = 0; i < self->batch->item_count; i++) {
        const wl_stored_user_t *from = &self->batch->items[i];
        const wl_stored_line_t *shared = &self->batch->heads[from->head];
        if (shared->stale) {
            WL_COUNT(&self->hub.counters, store_stale_epoch, 1);
            shard_tell_refused(self, shared);
            continue;
        }
        wl_shard_trail_tell(&self->trail, self->batch, from);
        uint32_t presence = wl_uid_owner(from->uid, presences);
        wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_PRESENCE, presence, WL_MSG_STORED,
                                     commit_seq * WL_STORE_BATCH_HEADS + from->head);
        if (!wl_encoder_begun(to)) {
            wl_stored_head_t head = {.dispatcher = shared->dispatcher,
                                     .shard = self->hub.instance,
                                     .commit_seq = commit_seq,
                                     .log_seq = log_seq,
                                     .serial = ++self->told[presence]};
            memcpy(head.line, shared->line, sizeof head.line);
            wl_stored_begin(to, &head);
        }
        wl_stored_item_t item = {
            .uid = from->uid,
            .seq = from->seq,
            .outcome = from->outcome,
            .owns = from->owns,
            .notified_at = from->notified_at,
            .assets = {from->kept_count > 0 ? &self->batch->kept[from->asset_first] : NULL,
                       from->kept_count},
        };
        wl_stored_add(to, &item);
    }
}

/* A server that is away is said once, not for every batch until it is back. */
static void shard_say_failed(shard_t *self, wl_err_t err) {
    bool away = err == WL_ERR_UNAVAILABLE;
    if (!away || !self->away) {
        wl_log(WL_LOG_ERROR, self->hub.name, "store_failed",
               "a transaction of %zu users failed and will be done again: %s: %s",
               self->batch->item_count, wl_err_text(err), wl_asset_db_problem(self->db));
    }
    self->away = away;
}

/* Slots of this shard are moving, or have moved: where to is in the database, perhaps already. */
static void shard_moved(shard_t *self) {
    WL_COUNT(&self->hub.counters, shard_fenced, 1);
    (void)wl_hub_map_from(&self->hub, self->db);
    wl_shard_back_batch(&self->back, self->batch, MOVING_MS,
                        "its slot is being moved to another shard");
}

/* After each failure nothing is tried for a while: a server that hangs would cost its timeout for
 * every batch, and the mailbox would fill with what nobody can store. */
static void shard_shut(shard_t *self, wl_err_t err, int64_t now) {
    self->failures += self->failures < UINT32_MAX ? 1 : 0;
    int64_t pause_ms =
        wl_retry_delay_ms(self->failures, PAUSE_MS_MIN, PAUSE_MS_MAX, (uint32_t)wl_random_u64());
    self->shut_until = now + pause_ms;
    WL_COUNT(&self->hub.counters, store_failures, 1);
    WL_COUNT(&self->hub.counters, store_damaged, err == WL_ERR_DAMAGED);
    shard_say_failed(self, err);
    wl_shard_back_batch(&self->back, self->batch, pause_ms, wl_err_text(err));
}

/* Commits what was collected. Without a configuration nobody knows the limits of steps: it waits,
 * and beyond the bound is handed back. */
static void shard_commit(shard_t *self) {
    if (self->batch->item_count == 0 ||
        (self->hub.config == NULL && !wl_store_batch_full(self->batch))) {
        return;
    }
    if (self->batch_map != self->hub.map_version) { /* some may not be ours any more */
        shard_moved(self);
        return;
    }
    int64_t shut_ms = self->shut_until - wl_mono_now().ms;
    if (shut_ms > 0) {
        wl_shard_back_batch(&self->back, self->batch, shut_ms,
                            "the shard could not write a moment ago");
        return;
    }
    uint64_t commit_seq = 0;
    wl_err_t err = self->hub.config == NULL ? WL_ERR_UNAVAILABLE : WL_ERR_BUSY;
    uint32_t users = wl_store_batch_sort(self->batch);
    for (uint32_t i = 0; err == WL_ERR_BUSY && i < TRIES_MAX; i++) {
        err = shard_transact(self, users, &commit_seq);
    }
    if (err == WL_OK) {
        WL_COUNT(&self->hub.counters, store_batches, 1);
        WL_COUNT(&self->hub.counters, store_assets, self->batch->stored);
        WL_COUNT(&self->hub.counters, store_older_refused, self->batch->older);
        WL_COUNT(&self->hub.counters, pull_quarantined, self->batch->refused);
        WL_COUNT(&self->hub.counters, consent_refused, self->batch->barred);
        shard_tell_stored(self, commit_seq);
        self->away = false;
        self->failures = 0;
        wl_store_batch_clear(self->batch);
    } else if (err == WL_ERR_CONFLICT) {
        shard_moved(self);
    } else {
        shard_shut(self, err, wl_mono_now().ms);
    }
}

/* ---- messages -------------------------------------------------------------------------------- */

static bool store_item_sound(const wl_store_head_t *head, const wl_store_item_t *item) {
    bool sound = true;
    for (uint32_t i = 0; i < item->assets.count; i++) {
        const wl_asset_t *asset = &item->assets.at[i];
        sound = sound && asset->uid == item->uid && strcmp(asset->line, head->line) == 0;
    }
    return sound;
}

static void shard_take_store(shard_t *self, const wl_msg_t *msg) {
    if (msg->head.store.dispatcher >= wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_store_item_t *item = &msg->items.store[i];
        if (!store_item_sound(&msg->head.store, item)) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        if (self->batch->item_count > 0 && self->batch_map != self->hub.map_version) {
            shard_moved(self);
        }
        if (wl_hub_shard(&self->hub, item->uid) != self->hub.instance) {
            wl_shard_back_item(&self->back, &msg->head.store, item, MOVING_MS);
            continue;
        }
        self->batch_map = self->hub.map_version;
        wl_store_batch_add(self->batch, &msg->head.store, item);
        if (wl_store_batch_full(self->batch)) {
            shard_commit(self);
        }
    }
}

/* Owner log rows that every presence actor has safely on disk may go. Of a database that other
 * processes use, too, this one does not know who still needs what. */
static void shard_take_trim(shard_t *self, const wl_tell_owners_head_t *head) {
    uint32_t presences = wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE);
    if (head->presence >= presences || !head->trim) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    self->safe[head->presence] = head->after;
    uint64_t up_to = head->after;
    for (uint32_t i = 0; i < presences; i++) {
        up_to = self->safe[i] < up_to ? self->safe[i] : up_to;
    }
    if (up_to <= self->trimmed || wl_store_shared(self->hub.settings)) {
        return;
    }
    if (wl_asset_db_owner_trim(self->db, up_to) == WL_OK) {
        self->trimmed = up_to;
    } else {
        wl_log(WL_LOG_WARN, self->hub.name, "owner_trim_failed",
               "the owner log stays longer than needed");
    }
}

static void on_message(void *arg, const wl_msg_t *msg) {
    shard_t *self = arg;
    switch ((int)msg->id) {
    case WL_MSG_STORE: shard_take_store(self, msg); break;
    case WL_MSG_TELL_OWNERS: shard_take_trim(self, &msg->head.tell_owners); break;
    case WL_MSG_LINE: break;
    default: WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

static void on_turn_end(void *arg) {
    shard_t *self = arg;
    shard_commit(self);
    wl_trail_teller_turn(&self->trail.teller);
}

/* Wipes what purged rows have left in the database's log, a moment after the commits, so that many
 * withdrawals cost one wipe. */
static void on_tick(void *arg) {
    shard_t *self = arg;
    bool due = false;
    if (self->withdrawn) {
        wl_err_t err = wl_asset_db_scrub(self->db, &due);
        self->withdrawn = err != WL_OK || due;
    }
}

static bool tick_hurried(void *arg) {
    const shard_t *self = arg;
    return self->withdrawn || wl_trail_teller_waits(&self->trail.teller);
}

/* ---- life ------------------------------------------------------------------------------------ */

static wl_err_t shard_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    shard_t *self = arg;
    wl_hub_handlers_t handlers = {.take = on_message,
                                  .flush = on_turn_end,
                                  .tick = on_tick,
                                  .hurried = tick_hurried,
                                  .tick_ms = TICK_MS};
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    WL_ASSERT(wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE) <= PRESENCE_MAX);
    self->batch = wl_store_batch_new();
    self->back.hub = &self->hub;
    wl_trail_teller_open(&self->trail.teller, &self->hub);
    self->trail.key = wl_random_u64();
    self->withdrawn = true; /* maybe, by a process that died before it was wiped */
    wl_store_text_t text;
    wl_asset_db_options_t options =
        wl_store_options_assets(self->hub.settings, self->hub.instance, false, &text);
    return wl_asset_db_open(&options, &self->db, &boot->fault);
}

static void shard_close(void *arg) {
    shard_t *self = arg;
    wl_asset_db_close(&self->db);
    wl_mysql_thread_end();
    wl_store_batch_destroy(&self->batch);
    wl_hub_close(&self->hub);
}

void wl_shard_run(zsock_t *pipe, void *boot) {
    shard_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, shard_open, shard_close, self);
    wl_free(self);
}
