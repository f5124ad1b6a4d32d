#include "actors/shard.h"

#include "actors/hub.h"
#include "actors/shard_owners.h"
#include "actors/store_options.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/slot.h"
#include "domain/asset_rules.h"
#include "store/asset_db.h"

#include <msgpack.h>
#include <string.h>

enum {
    BATCH_ASSETS = 2000, /* assets of one transaction; a user without assets counts as one */
    BATCH_HEADS = 128,   /* different (dispatcher, line) of one transaction */
    EXTRA_BYTES = 65536, /* first chunk of the memory for extras */
    TICK_MS = 5,         /* of the owners' tours */
};

/* What the items of some STORE messages share. */
typedef struct {
    uint32_t dispatcher;
    char line[WL_LINE_ID_MAX + 1];
} store_head_t;

/* One user to store, copied out of a message. */
typedef struct {
    uint64_t uid;
    uint64_t seq;
    int64_t notified_at;
    size_t asset_first;   /* into batch.assets */
    uint32_t asset_count; /* as asked; after applying: those that are now stored, in front */
    uint32_t head;        /* into batch.heads */
    uint8_t outcome;      /* wl_pull_outcome_t */
    bool owns;
} store_item_t;

/* A transaction to be. Messages are valid only while they are taken, so it has copies. */
typedef struct {
    store_head_t heads[BATCH_HEADS];
    store_item_t *items; /* owned */
    wl_asset_t *assets;  /* owned; extras lie in zone */
    msgpack_zone *zone;  /* owned; emptied with the batch */
    size_t item_count;
    size_t item_room;
    size_t asset_count;
    size_t asset_room;
    uint32_t head_count;
    uint64_t stored; /* counts of this transaction, of use only if it commits */
    uint64_t older;
    uint64_t refused;
} batch_t;

typedef struct {
    wl_hub_t hub;
    wl_asset_db_t *db;         /* owned */
    wl_shard_owners_t *owners; /* owned */
    wl_asset_rows_t rows;      /* of one read, reused */
    batch_t batch;
    uint32_t shards; /* instances of this kind */
} shard_t;

/* ---- collecting ------------------------------------------------------------------------------ */

static void batch_clear(batch_t *batch) {
    batch->item_count = 0;
    batch->asset_count = 0;
    batch->head_count = 0;
    batch->stored = 0;
    batch->older = 0;
    batch->refused = 0;
    msgpack_zone_clear(batch->zone);
}

static bool batch_full(const batch_t *batch) {
    return batch->asset_count + batch->item_count >= BATCH_ASSETS ||
           batch->head_count == BATCH_HEADS;
}

static uint32_t batch_head(batch_t *batch, const wl_store_head_t *head) {
    for (uint32_t i = 0; i < batch->head_count; i++) {
        if (batch->heads[i].dispatcher == head->dispatcher &&
            strcmp(batch->heads[i].line, head->line) == 0) {
            return i;
        }
    }
    WL_ASSERT(batch->head_count < BATCH_HEADS);
    store_head_t *added = &batch->heads[batch->head_count];
    added->dispatcher = head->dispatcher;
    memcpy(added->line, head->line, sizeof added->line);
    return batch->head_count++;
}

static void batch_reserve(batch_t *batch, uint32_t assets) {
    if (batch->item_count == batch->item_room) {
        batch->item_room = batch->item_room == 0 ? 256 : batch->item_room * 2;
        batch->items = wl_realloc_array(batch->items, batch->item_room, sizeof *batch->items);
    }
    if (batch->asset_count + assets > batch->asset_room) {
        batch->asset_room = (batch->asset_count + assets) * 2;
        batch->assets = wl_realloc_array(batch->assets, batch->asset_room, sizeof *batch->assets);
    }
}

static void batch_add(batch_t *batch, const wl_store_head_t *head, const wl_store_item_t *item) {
    batch_reserve(batch, item->assets.count);
    store_item_t *into = &batch->items[batch->item_count++];
    *into = (store_item_t){.uid = item->uid,
                           .seq = item->seq,
                           .notified_at = item->notified_at,
                           .asset_first = batch->asset_count,
                           .asset_count = item->assets.count,
                           .head = batch_head(batch, head),
                           .outcome = item->outcome};
    for (uint32_t i = 0; i < item->assets.count; i++) {
        wl_asset_t *asset = &batch->assets[batch->asset_count++];
        *asset = item->assets.at[i];
        if (asset->extra_bytes > 0) {
            uint8_t *extra = msgpack_zone_malloc_no_align(batch->zone, asset->extra_bytes);
            WL_ASSERT(extra != NULL);
            memcpy(extra, asset->extra, asset->extra_bytes);
            asset->extra = extra;
        }
    }
}

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

/* *ret_kept: the asset is now what is stored. An error ends the transaction. */
static wl_err_t shard_apply_asset(shard_t *self, const wl_line_t *line, const wl_asset_t *asset,
                                  uint8_t *outcome, bool *ret_kept) {
    bool sane = true;
    wl_apply_result_t result = WL_APPLY_OLDER;
    *ret_kept = false;
    wl_err_t err = shard_check_step(self, line, asset, &sane);
    if (err == WL_OK && sane) {
        err = wl_asset_db_apply(self->db, asset, &result);
    }
    bool record_refused =
        err == WL_ERR_OVERFLOW || err == WL_ERR_TOO_BIG || err == WL_ERR_MALFORMED;
    if (err != WL_OK && !record_refused) {
        return err;
    }
    if (record_refused || !sane || result == WL_APPLY_FULL) {
        *outcome = WL_PULL_REFUSED;
        self->batch.refused++;
        return WL_OK;
    }
    self->batch.stored += result == WL_APPLY_STORED;
    self->batch.older += result == WL_APPLY_OLDER;
    *ret_kept = result == WL_APPLY_STORED || result == WL_APPLY_TOUCHED;
    return WL_OK;
}

static wl_err_t shard_apply_item(shard_t *self, store_item_t *item) {
    batch_t *batch = &self->batch;
    const wl_line_t *line = wl_config_line(self->hub.config, batch->heads[item->head].line);
    wl_asset_t *assets = &batch->assets[item->asset_first];
    uint32_t kept_count = 0;
    for (uint32_t i = 0; i < item->asset_count; i++) {
        bool kept = false;
        wl_err_t err = shard_apply_asset(self, line, &assets[i], &item->outcome, &kept);
        if (err != WL_OK) {
            return err;
        }
        if (kept) {
            item->owns = item->owns || assets[i].state != WL_STATE_GONE;
            assets[kept_count++] = assets[i];
        }
    }
    item->asset_count = kept_count;
    return item->owns ? WL_OK : wl_asset_db_owns(self->db, item->uid, &item->owns);
}

static wl_err_t shard_transact(shard_t *self, uint64_t *ret_commit_seq) {
    wl_err_t err = wl_asset_db_begin(self->db);
    if (err != WL_OK) {
        return err;
    }
    for (size_t i = 0; err == WL_OK && i < self->batch.item_count; i++) {
        err = shard_apply_item(self, &self->batch.items[i]);
    }
    if (err == WL_OK) {
        err = wl_asset_db_commit(self->db, ret_commit_seq);
    }
    if (err != WL_OK) {
        wl_asset_db_rollback(self->db);
    }
    return err;
}

static void shard_tell_stored(shard_t *self, uint64_t commit_seq) {
    uint32_t presences = wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE);
    uint64_t log_seq = wl_asset_db_owner_seq(self->db);
    for (size_t i = 0; i < self->batch.item_count; i++) {
        const store_item_t *from = &self->batch.items[i];
        const store_head_t *shared = &self->batch.heads[from->head];
        wl_encoder_t *to =
            wl_hub_to(&self->hub, WL_ACTOR_PRESENCE, wl_uid_owner(from->uid, presences),
                      WL_MSG_STORED, commit_seq * BATCH_HEADS + from->head);
        if (!wl_encoder_begun(to)) {
            wl_stored_head_t head = {.dispatcher = shared->dispatcher,
                                     .shard = self->hub.instance,
                                     .commit_seq = commit_seq,
                                     .log_seq = log_seq};
            memcpy(head.line, shared->line, sizeof head.line);
            wl_stored_begin(to, &head);
        }
        wl_stored_item_t item = {
            .uid = from->uid,
            .seq = from->seq,
            .outcome = from->outcome,
            .owns = from->owns,
            .notified_at = from->notified_at,
            .assets = {from->asset_count > 0 ? &self->batch.assets[from->asset_first] : NULL,
                       from->asset_count},
        };
        wl_stored_add(to, &item);
    }
}

/* Commits what was collected. Without a configuration nobody knows the limits of steps: it waits,
 * and beyond the bound is dropped, as the dispatcher pulls again. */
static void shard_commit(shard_t *self) {
    if (self->batch.item_count == 0 || (self->hub.config == NULL && !batch_full(&self->batch))) {
        return;
    }
    uint64_t commit_seq = 0;
    wl_err_t err = WL_ERR_UNAVAILABLE;
    if (self->hub.config != NULL) {
        err = shard_transact(self, &commit_seq);
    }
    if (err == WL_OK) {
        WL_COUNT(&self->hub.counters, store_batches, 1);
        WL_COUNT(&self->hub.counters, store_assets, self->batch.stored);
        WL_COUNT(&self->hub.counters, store_older_refused, self->batch.older);
        WL_COUNT(&self->hub.counters, pull_quarantined, self->batch.refused);
        shard_tell_stored(self, commit_seq);
    } else {
        WL_COUNT(&self->hub.counters, store_failures, 1);
        WL_COUNT(&self->hub.counters, store_damaged, err == WL_ERR_DAMAGED);
        wl_log(WL_LOG_ERROR, self->hub.name, "store_failed",
               "a transaction of %zu users failed and will be done again: %s",
               self->batch.item_count, wl_err_text(err));
    }
    batch_clear(&self->batch);
}

/* ---- messages -------------------------------------------------------------------------------- */

static bool store_item_ours(const shard_t *self, const wl_store_head_t *head,
                            const wl_store_item_t *item) {
    bool ours = wl_uid_owner(item->uid, self->shards) == self->hub.instance;
    for (uint32_t i = 0; i < item->assets.count; i++) {
        const wl_asset_t *asset = &item->assets.at[i];
        ours = ours && asset->uid == item->uid && strcmp(asset->line, head->line) == 0;
    }
    return ours;
}

static void shard_take_store(shard_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_store_item_t *item = &msg->items.store[i];
        if (!store_item_ours(self, &msg->head.store, item)) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        batch_add(&self->batch, &msg->head.store, item);
        if (batch_full(&self->batch)) {
            shard_commit(self);
        }
    }
}

static void shard_tell_fetched(shard_t *self, uint32_t query, uint64_t uid, wl_err_t err) {
    uint64_t commit_seq = wl_asset_db_commit_seq(self->db);
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_QUERY, query, WL_MSG_FETCHED,
                                 commit_seq * WL_ERR_COUNT + (uint64_t)err);
    if (!wl_encoder_begun(to)) {
        wl_fetched_head_t head = {
            .shard = self->hub.instance, .commit_seq = commit_seq, .error = (uint32_t)err};
        wl_fetched_begin(to, &head);
    }
    wl_fetched_item_t item = {.uid = uid};
    if (err == WL_OK && self->rows.count > 0) {
        item.assets = (wl_asset_list_t){self->rows.at, self->rows.count};
    }
    wl_fetched_add(to, &item);
}

/* Served at once, before this turn's transaction begins: a read never waits for a commit that came
 * later, and never sees what is not committed. */
static void shard_take_fetch(shard_t *self, const wl_msg_t *msg) {
    uint32_t query = msg->head.fetch.query;
    if (query >= wl_hub_instances(&self->hub, WL_ACTOR_QUERY)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    int64_t now = wl_mono_now().ms;
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_fetch_item_t *item = &msg->items.fetch[i];
        if (wl_uid_owner(item->uid, self->shards) != self->hub.instance) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        if (item->deadline_at <= now) { /* nobody waits any more: the work is not done */
            WL_COUNT(&self->hub.counters, rpc_expired, 1);
            continue;
        }
        wl_asset_rows_clear(&self->rows);
        wl_err_t err = wl_asset_db_fetch(self->db, item->uid, &self->rows);
        if (err != WL_OK) {
            WL_COUNT(&self->hub.counters, store_damaged, err == WL_ERR_DAMAGED);
            wl_log(WL_LOG_ERROR, self->hub.name, "fetch_failed", "a read failed: %s",
                   wl_err_text(err));
        }
        WL_COUNT(&self->hub.counters, store_reads, 1);
        shard_tell_fetched(self, query, item->uid, err);
    }
}

static void on_message(void *arg, const wl_msg_t *msg) {
    shard_t *self = arg;
    switch ((int)msg->id) {
    case WL_MSG_STORE: shard_take_store(self, msg); break;
    case WL_MSG_FETCH: shard_take_fetch(self, msg); break;
    case WL_MSG_TELL_OWNERS: wl_shard_owners_take(self->owners, &msg->head.tell_owners); break;
    case WL_MSG_LINE: break;
    default: WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

static void on_turn_end(void *arg) {
    shard_commit(arg);
}

static void on_tick(void *arg) {
    shard_t *self = arg;
    wl_shard_owners_step(self->owners);
}

static bool shard_hurried(void *arg) {
    const shard_t *self = arg;
    return wl_shard_owners_busy(self->owners);
}

/* ---- life ------------------------------------------------------------------------------------ */

static wl_err_t shard_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    shard_t *self = arg;
    wl_hub_handlers_t handlers = {.take = on_message,
                                  .flush = on_turn_end,
                                  .tick = on_tick,
                                  .hurried = shard_hurried,
                                  .tick_ms = TICK_MS};
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    self->shards = wl_hub_instances(&self->hub, WL_ACTOR_SHARD);
    self->batch.zone = msgpack_zone_new(EXTRA_BYTES);
    WL_ASSERT(self->batch.zone != NULL);
    wl_store_text_t text;
    wl_asset_db_options_t options =
        wl_store_options_assets(self->hub.settings, self->hub.instance, &text);
    err = wl_asset_db_open(&options, &self->db, &boot->fault);
    if (err == WL_OK) {
        self->owners = wl_shard_owners_new(&self->hub, self->db);
    }
    return err;
}

static void shard_close(void *arg) {
    shard_t *self = arg;
    wl_shard_owners_destroy(&self->owners);
    wl_asset_db_close(&self->db);
    wl_asset_rows_destroy(&self->rows);
    wl_free(self->batch.items);
    wl_free(self->batch.assets);
    if (self->batch.zone != NULL) {
        msgpack_zone_free(self->batch.zone);
    }
    wl_hub_close(&self->hub);
}

void wl_shard_run(zsock_t *pipe, void *boot) {
    shard_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, shard_open, shard_close, self);
    wl_free(self);
}
