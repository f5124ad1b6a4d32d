#include "actors/keeper.h"

#include "actors/hub.h"
#include "actors/store_options.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/log.h"
#include "base/random.h"
#include "base/slot.h"
#include "domain/lease_plan.h"
#include "store/lease_db.h"
#include "store/mysql_tool.h"

#include <inttypes.h>
#include <string.h>

enum {
    STEPS_PER_LEASE = 4, /* three renewals may be lost */
    RESERVE_PART = 8,    /* of a lease: so long may reservations take between two steps */
    REPEAT_MS = 1000,    /* without a database: a LEASE may be lost in a full mailbox */
    EPOCH_FOR_EVER = 1,  /* of files that one process owns */
    LIST_BYTES = 4 * WL_LEASE_PARTITIONS_MAX,
};

static_assert((int)WL_LEASE_PARTITIONS_MAX == 16, "as settings.def allows for queue.partitions");

typedef struct {
    wl_hub_t hub;
    uint32_t partitions;
    uint32_t lease_ms;
    wl_lease_db_t *db;     /* owned; NULL: one writer for ever */
    wl_lease_plan_t *plan; /* owned; NULL likewise, or when no dispatcher runs here */
    bool warned;           /* that another writer has a queue of its own */
    bool reserves;         /* the database answered the last question since the step */
    int64_t reserve_ms;    /* that reservations have taken since the last step */
    bool unreachable;      /* the last question was not answered, and that was logged */
    bool held[WL_LEASE_PARTITIONS_MAX]; /* as told and logged last */
} keeper_t;

/* Does its dispatcher run in this process? */
static bool keeper_serves(const wl_settings_t *settings, uint32_t partition) {
    return wl_topology_here(settings, WL_ACTOR_DISPATCHER, partition);
}

/* ---- telling --------------------------------------------------------------------------------- */

/* Those on another host have a keeper of their own. */
static void keeper_tell_one(keeper_t *self, wl_actor_kind_t kind, uint32_t instance,
                            const wl_lease_item_t *item) {
    if (!wl_topology_here(self->hub.settings, kind, instance)) {
        return;
    }
    wl_encoder_t *to = wl_hub_to(&self->hub, kind, instance, WL_MSG_LEASE, 0);
    if (!wl_encoder_begun(to)) {
        wl_lease_begin(to, NULL);
    }
    wl_lease_add(to, item);
}

static void keeper_tell(keeper_t *self, const wl_lease_item_t *item) {
    for (uint32_t i = 0; i < wl_hub_instances(&self->hub, WL_ACTOR_PRESENCE); i++) {
        keeper_tell_one(self, WL_ACTOR_PRESENCE, i, item);
    }
    for (uint32_t i = 0; i < wl_hub_instances(&self->hub, WL_ACTOR_CACHE); i++) {
        keeper_tell_one(self, WL_ACTOR_CACHE, i, item);
    }
    for (uint32_t i = 0; i < wl_hub_instances(&self->hub, WL_ACTOR_PULLER); i++) {
        keeper_tell_one(self, WL_ACTOR_PULLER, i, item);
    }
    keeper_tell_one(self, WL_ACTOR_TRAIL, 0, item); /* if there is one */
    keeper_tell_one(self, WL_ACTOR_DISPATCHER, item->partition, item);
}

/* "0 2 3" */
static void keeper_list_held(const keeper_t *self, char ret_list[static LIST_BYTES]) {
    size_t used = 0;
    ret_list[0] = '\0';
    for (uint32_t p = 0; p < self->partitions; p++) {
        if (self->held[p]) {
            used += (size_t)snprintf(ret_list + used, LIST_BYTES - used, "%s%u",
                                     used == 0 ? "" : " ", p);
        }
    }
}

/* What is held is repeated each step, for whoever did not hear; what is not, once. */
static void keeper_tell_all(keeper_t *self) {
    bool changed = false;
    for (uint32_t p = 0; p < self->partitions; p++) {
        wl_lease_item_t item = {.partition = p};
        item.until = wl_lease_plan_until(self->plan, p, &item.epoch).ms;
        bool held = item.until > 0;
        if (held || self->held[p]) {
            keeper_tell(self, &item);
        }
        changed = changed || held != self->held[p];
        self->held[p] = held;
    }
    wl_hub_flush(&self->hub);
    WL_GAUGE(&self->hub.counters, lease_held, wl_lease_plan_held(self->plan));
    if (changed) {
        char list[LIST_BYTES];
        keeper_list_held(self, list);
        wl_log(WL_LOG_INFO, self->hub.name, "leases", "partitions held: %s",
               list[0] == '\0' ? "none" : list);
    }
}

static void keeper_grant_all(keeper_t *self) {
    uint32_t held = 0;
    for (uint32_t p = 0; p < self->partitions; p++) {
        if (keeper_serves(self->hub.settings, p)) {
            wl_lease_item_t item = {.partition = p, .epoch = EPOCH_FOR_EVER, .until = INT64_MAX};
            keeper_tell(self, &item);
            held++;
        }
    }
    WL_GAUGE(&self->hub.counters, lease_held, held);
}

/* ---- one step -------------------------------------------------------------------------------- */

/* Somebody else's is an answer, too. */
static wl_err_t keeper_take(keeper_t *self, uint32_t partition) {
    uint64_t epoch = 0;
    wl_mono_ms_t asked = wl_mono_now();
    wl_err_t err = wl_lease_db_take(self->db, partition, self->lease_ms, &epoch);
    if (err == WL_OK) {
        wl_lease_plan_taken(self->plan, partition, epoch, asked);
        WL_COUNT(&self->hub.counters, lease_taken, 1);
        wl_log(WL_LOG_INFO, self->hub.name, "lease_taken", "partition %u, epoch %" PRIu64,
               partition, epoch);
    }
    return err == WL_ERR_CONFLICT || err == WL_ERR_BUSY ? WL_OK : err;
}

static void keeper_lost(keeper_t *self, uint32_t partition, const char *why) {
    wl_lease_plan_lost(self->plan, partition);
    WL_COUNT(&self->hub.counters, lease_lost, 1);
    wl_log(WL_LOG_WARN, self->hub.name, "lease_lost", "partition %u: %s", partition, why);
}

static wl_err_t keeper_renew(keeper_t *self, uint32_t partition) {
    uint64_t epoch = 0;
    (void)wl_lease_plan_until(self->plan, partition, &epoch);
    wl_mono_ms_t asked = wl_mono_now();
    wl_err_t err = wl_lease_db_renew(self->db, partition, epoch, self->lease_ms);
    if (err == WL_OK) {
        wl_lease_plan_renewed(self->plan, partition, asked);
    } else if (err == WL_ERR_CONFLICT) {
        keeper_lost(self, partition, "another writer has it");
    }
    return err == WL_ERR_CONFLICT || err == WL_ERR_BUSY ? WL_OK : err;
}

/* Its dispatcher hears of it before the next writer can. */
static wl_err_t keeper_release(keeper_t *self, uint32_t partition) {
    uint64_t epoch = 0;
    (void)wl_lease_plan_until(self->plan, partition, &epoch);
    wl_lease_plan_lost(self->plan, partition);
    keeper_tell_all(self);
    wl_err_t err = wl_lease_db_release(self->db, partition, epoch);
    wl_log(WL_LOG_INFO, self->hub.name, "lease_released", "partition %u: %s", partition,
           err == WL_OK ? "another writer may take it" : wl_err_text(err));
    return err == WL_ERR_CONFLICT || err == WL_ERR_BUSY ? WL_OK : err;
}

static wl_err_t keeper_act(keeper_t *self, uint32_t partition, wl_lease_act_t act) {
    switch (act) {
    case WL_LEASE_TAKE: return keeper_take(self, partition);
    case WL_LEASE_RENEW: return keeper_renew(self, partition);
    case WL_LEASE_RELEASE: return keeper_release(self, partition);
    case WL_LEASE_LEAVE: break;
    }
    return WL_OK;
}

/* Changes that this process has accepted into a file wait there until it holds the partition. */
static void keeper_warn(keeper_t *self, uint32_t writers) {
    bool alone = writers <= 1 || strcmp(self->hub.settings->queue_store, "sqlite") != 0;
    if (!alone && !self->warned) {
        wl_log(WL_LOG_ERROR, self->hub.name, "queue_not_shared",
               "%u writers share this database: they need queue.store = redis, or changes wait in "
               "the file of a writer that serves nothing",
               writers);
    }
    self->warned = !alone;
}

static wl_err_t keeper_ask(keeper_t *self) {
    wl_lease_t leases[WL_LEASE_PARTITIONS_MAX];
    wl_lease_seen_t seen[WL_LEASE_PARTITIONS_MAX];
    wl_lease_act_t acts[WL_LEASE_PARTITIONS_MAX];
    uint32_t writers = 0;
    wl_err_t err = wl_lease_db_look(self->db, self->lease_ms, leases, &writers);
    for (uint32_t p = 0; err == WL_OK && p < self->partitions; p++) {
        bool served = keeper_serves(self->hub.settings, p);
        seen[p] = (wl_lease_seen_t){.free = served && leases[p].left_ms <= 0,
                                    .ours = served && leases[p].ours};
    }
    if (err == WL_OK) {
        keeper_warn(self, writers);
        wl_lease_plan_step(self->plan, seen, writers, wl_mono_now(), acts);
    }
    for (int renewals = 1; err == WL_OK && renewals >= 0; renewals--) { /* they cannot wait */
        for (uint32_t p = 0; err == WL_OK && p < self->partitions; p++) {
            err = (acts[p] == WL_LEASE_RENEW) == (renewals == 1) ? keeper_act(self, p, acts[p])
                                                                 : WL_OK;
        }
    }
    return err;
}

static void keeper_expire(keeper_t *self) {
    uint32_t expired = wl_lease_plan_expire(self->plan, wl_mono_now());
    if (expired > 0) {
        WL_COUNT(&self->hub.counters, lease_lost, expired);
        wl_log(WL_LOG_WARN, self->hub.name, "lease_lost",
               "%u partitions: not renewed in time, the database or this process was away",
               expired);
        keeper_tell_all(self);
    }
}

static void keeper_step(keeper_t *self) {
    keeper_expire(self);
    wl_err_t err = keeper_ask(self);
    if (err != WL_OK) {
        WL_COUNT(&self->hub.counters, lease_failures, 1);
    }
    if ((err != WL_OK) != self->unreachable) {
        self->unreachable = err != WL_OK;
        wl_log(err == WL_OK ? WL_LOG_INFO : WL_LOG_ERROR, self->hub.name, "lease_database", "%s",
               err == WL_OK ? "answers again" : wl_err_text(err));
    }
    self->reserves = err == WL_OK;
    keeper_expire(self); /* the questions may have taken long */
    keeper_tell_all(self);
}

static void on_tick(void *arg) {
    keeper_t *self = arg;
    self->reserves = true;
    self->reserve_ms = 0;
    if (self->plan != NULL) {
        keeper_step(self);
    } else {
        keeper_grant_all(self);
    }
}

/* A store knows a newer epoch than ours. Either another writer has the lease, and then letting go
 * of it changes nothing; or the rows here are older than what was given out, restored from a
 * backup, and then the next taking counts on, as often as needed. */
static void keeper_take_refused(keeper_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; self->plan != NULL && i < msg->count; i++) {
        const wl_refused_item_t *item = &msg->items.refused[i];
        uint64_t epoch = 0;
        if (item->partition >= self->partitions) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        int64_t until = wl_lease_plan_until(self->plan, item->partition, &epoch).ms;
        if (until == 0 || item->epoch != epoch) {
            continue; /* it was let go meanwhile */
        }
        keeper_lost(self, item->partition,
                    "a store knows a newer epoch; if no other writer has it, the leases in shard 0 "
                    "are older than the stores, and a higher epoch is taken");
        keeper_tell_all(self);
        if (wl_lease_db_release(self->db, item->partition, epoch) != WL_OK) {
            WL_COUNT(&self->hub.counters, lease_failures, 1);
        }
    }
}

/* ---- quotas ---------------------------------------------------------------------------------- */

/* The database is asked only while leases do not suffer from it. */
static wl_err_t keeper_reserve(keeper_t *self, const wl_reserve_item_t *item,
                               wl_reserved_item_t *ret) {
    if (self->db == NULL || !self->reserves) {
        return WL_ERR_UNAVAILABLE;
    }
    if (self->reserve_ms >= (int64_t)(self->lease_ms / RESERVE_PART)) {
        return WL_ERR_BUSY;
    }
    int64_t began = wl_mono_now().ms;
    wl_err_t err = item->back == 0
                       ? WL_OK
                       : wl_lease_db_give_back(self->db, item->line, item->back_day, item->back);
    if (err == WL_OK && item->chunk > 0) {
        err = wl_lease_db_reserve(self->db, item->line, item->limit, item->chunk, &ret->day,
                                  &ret->granted, &ret->left);
    }
    self->reserve_ms += wl_mono_now().ms - began;
    self->reserves = err == WL_OK || err == WL_ERR_BUSY;
    return err;
}

static void keeper_take_reserve(keeper_t *self, const wl_msg_t *msg) {
    uint32_t puller = msg->head.reserve.puller;
    if (!wl_topology_here(self->hub.settings, WL_ACTOR_PULLER, puller)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_reserve_item_t *item = &msg->items.reserve[i];
        wl_reserved_item_t answer = {0};
        (void)snprintf(answer.line, sizeof answer.line, "%s", item->line);
        answer.error = (uint32_t)keeper_reserve(self, item, &answer);
        WL_COUNT(&self->hub.counters, quota_reserved, answer.granted);
        if (item->chunk == 0) {
            continue; /* nobody waits */
        }
        wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_PULLER, puller, WL_MSG_RESERVED, 0);
        if (!wl_encoder_begun(to)) {
            wl_reserved_begin(to, NULL);
        }
        wl_reserved_add(to, &answer);
    }
}

static void on_message(void *arg, const wl_msg_t *msg) {
    keeper_t *self = arg;
    if (msg->id == WL_MSG_REFUSED) {
        keeper_take_refused(self, msg);
    } else if (msg->id == WL_MSG_RESERVE) {
        keeper_take_reserve(self, msg);
    } else {
        WL_COUNT(&self->hub.counters, msg_unexpected, msg->id != WL_MSG_LINE);
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

/* Does an actor of this kind run in this process? */
static bool keeper_has(const wl_settings_t *settings, wl_actor_kind_t kind) {
    bool has = false;
    for (uint32_t i = 0; i < wl_topology_instances(settings, kind); i++) {
        has = has || wl_topology_here(settings, kind, i);
    }
    return has;
}

/* The dispatchers have stopped: another writer need not wait until the leases run out. */
static void on_drain(void *arg) {
    keeper_t *self = arg;
    wl_err_t err = WL_OK;
    for (uint32_t p = 0; self->plan != NULL && p < self->partitions; p++) {
        uint64_t epoch = 0;
        if (err == WL_OK && wl_lease_plan_until(self->plan, p, &epoch).ms > 0) {
            err = keeper_release(self, p);
        }
    }
}

static wl_err_t keeper_open_db(keeper_t *self, bool serves, wl_fault_t *fault) {
    wl_store_text_t text;
    wl_mysql_options_t options = wl_store_options_mysql(self->hub.settings, 0, &text);
    if (serves) {
        self->plan =
            wl_lease_plan_new(self->partitions, self->lease_ms, wl_random_below(self->partitions));
    }
    return wl_lease_db_open(&options, self->hub.settings->server_name, self->partitions, &self->db,
                            fault);
}

static wl_err_t keeper_open(void *arg, zsock_t *pipe, wl_boot_t *boot) {
    keeper_t *self = arg;
    const wl_actor_options_t *options = boot->options;
    bool shared = wl_store_shared(options->settings);
    /* Without a dispatcher here it must not count as a writer. */
    bool serves = shared && keeper_has(options->settings, WL_ACTOR_DISPATCHER);
    self->lease_ms = (uint32_t)options->settings->keeper_lease_ms;
    self->partitions = (uint32_t)options->settings->queue_partitions;
    wl_hub_handlers_t handlers = {.take = on_message,
                                  .tick = on_tick,
                                  .drain = on_drain,
                                  .tick_ms = serves ? self->lease_ms / STEPS_PER_LEASE : REPEAT_MS};
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err == WL_OK && (serves || (shared && keeper_has(self->hub.settings, WL_ACTOR_PULLER)))) {
        err = keeper_open_db(self, serves, &boot->fault);
    }
    if (err == WL_OK) {
        on_tick(self); /* the first step now: the start need not wait for one */
        wl_hub_flush(&self->hub);
    }
    return err;
}

static void keeper_close(void *arg) {
    keeper_t *self = arg;
    wl_lease_db_close(&self->db);
    wl_lease_plan_destroy(&self->plan);
    if (self->hub.settings != NULL && wl_store_shared(self->hub.settings)) {
        wl_mysql_thread_end();
    }
    wl_hub_close(&self->hub);
}

void wl_keeper_run(zsock_t *pipe, void *boot) {
    keeper_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, keeper_open, keeper_close, self);
    wl_free(self);
}
