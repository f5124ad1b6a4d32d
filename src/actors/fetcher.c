#include "actors/fetcher.h"

#include "actors/fetcher_consent.h"
#include "actors/hub_map.h"
#include "actors/owner_tours.h"
#include "actors/store_options.h"
#include "base/alloc.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/slot.h"
#include "store/asset_lines.h"
#include "store/asset_map.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    BATCH_USERS = 256, /* of one read */
    TICK_MS = 5,       /* of the owners' tours */
    PAGE_ASKED = 4096, /* users that a backfill may want to be looked at, */
    PAGE_USERS = 1024, /* and that are: so many for one read, since others wait behind it */
};

/* One user that a query actor waits for. */
typedef struct {
    uint64_t uid;
    int64_t deadline_at; /* monotonic ms */
    uint64_t asked;      /* the question's number */
    uint32_t query;
} wanted_t;

typedef struct {
    wl_hub_t hub;
    wl_asset_db_t *db;             /* owned; only reads */
    wl_fetcher_consent_t *consent; /* owned */
    wl_owner_tours_t *tours;       /* owned; NULL unless the first reader of its shard */
    wl_asset_rows_t rows;          /* of one read, reused */
    wanted_t wanted[BATCH_USERS];
    uint64_t uids[BATCH_USERS]; /* of one read: ascending, each once */
    uint32_t wanted_count;
    uint64_t page[PAGE_USERS]; /* users for a backfill */
    uint64_t pages;            /* told so far: no two share a head */
    uint32_t shard;
    bool away; /* the last read found no server */
} fetcher_t;

/* ---- answers --------------------------------------------------------------------------------- */

static void fetcher_tell(fetcher_t *self, const wanted_t *wanted, uint64_t commit_seq, wl_err_t err,
                         wl_asset_list_t assets) {
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_QUERY, wanted->query, WL_MSG_FETCHED,
                                 commit_seq * WL_ERR_COUNT + (uint64_t)err);
    if (!wl_encoder_begun(to)) {
        wl_fetched_head_t head = {
            .shard = self->shard, .commit_seq = commit_seq, .error = (uint32_t)err};
        wl_fetched_begin(to, &head);
    }
    wl_fetched_add(
        to, &(wl_fetched_item_t){.uid = wanted->uid, .assets = assets, .asked = wanted->asked});
}

/* The rows of a user, which lie side by side and in the order of users, from *at on. */
static wl_asset_list_t rows_take(const wl_asset_rows_t *rows, uint32_t *at, uint64_t uid) {
    while (*at < rows->count && rows->at[*at].uid < uid) {
        (*at)++;
    }
    uint32_t end = *at;
    while (end < rows->count && rows->at[end].uid == uid) {
        end++;
    }
    wl_asset_list_t assets = {end > *at ? &rows->at[*at] : NULL, end - *at};
    return assets;
}

/* ---- one read -------------------------------------------------------------------------------- */

/* A server that is away is said once, and once that it is back. */
static void fetcher_note(fetcher_t *self, wl_err_t err) {
    bool away = err == WL_ERR_UNAVAILABLE;
    WL_COUNT(&self->hub.counters, store_damaged, err == WL_ERR_DAMAGED);
    if (err == WL_ERR_CONFLICT) { /* slots of this shard have moved */
        WL_COUNT(&self->hub.counters, shard_fenced, 1);
        (void)wl_hub_map_from(&self->hub, self->db);
        return;
    }
    if (err != WL_OK && !(away && self->away)) {
        wl_log(WL_LOG_ERROR, self->hub.name, "fetch_failed", "a read failed: %s: %s",
               wl_err_text(err), wl_asset_db_problem(self->db));
    } else if (err == WL_OK && self->away) {
        wl_log(WL_LOG_INFO, self->hub.name, "fetch_works", "reads work again");
    }
    self->away = away;
}

/* A damaged page holds some users of many: read one by one, the others are answered. */
static void fetcher_read_singly(fetcher_t *self, const wanted_t *wanted, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint64_t commit_seq = 0;
        uint32_t at = 0;
        wl_asset_list_t assets = {0};
        wl_asset_rows_clear(&self->rows);
        wl_err_t err =
            wl_asset_db_fetch_many(self->db, &wanted[i].uid, 1, &self->rows, &commit_seq);
        if (err == WL_OK) {
            assets = rows_take(&self->rows, &at, wanted[i].uid);
        }
        fetcher_note(self, err);
        fetcher_tell(self, &wanted[i], commit_seq, err, assets);
    }
}

static void fetcher_read(fetcher_t *self, const wanted_t *wanted, uint32_t count) {
    uint32_t users = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (users == 0 || self->uids[users - 1] != wanted[i].uid) {
            self->uids[users++] = wanted[i].uid;
        }
    }
    uint64_t commit_seq = 0;
    wl_asset_rows_clear(&self->rows);
    wl_asset_db_map_use(self->db, self->hub.map_version);
    wl_err_t err = wl_asset_db_fetch_many(self->db, self->uids, users, &self->rows, &commit_seq);
    WL_COUNT(&self->hub.counters, store_reads, users);
    if (err == WL_ERR_DAMAGED) {
        fetcher_read_singly(self, wanted, count);
        return;
    }
    fetcher_note(self, err);
    uint32_t at = 0;
    for (uint32_t i = 0; i < count; i++) {
        wl_asset_list_t assets = {0};
        if (err == WL_OK) {
            assets = rows_take(&self->rows, &at, wanted[i].uid);
        }
        fetcher_tell(self, &wanted[i], commit_seq, err, assets);
    }
}

static int wanted_compare(const void *a, const void *b) {
    const wanted_t *left = a;
    const wanted_t *right = b;
    if (left->uid != right->uid) {
        return left->uid < right->uid ? -1 : 1;
    }
    return (left->query > right->query) - (left->query < right->query);
}

/* Reads what is wanted and still of use. Whose users these are is decided by the same map that the
 * read goes by: it may have changed since they were asked for. */
static void fetcher_work(fetcher_t *self) {
    int64_t now = wl_mono_now().ms;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < self->wanted_count; i++) {
        if (self->wanted[i].deadline_at <= now) { /* nobody waits any more */
            WL_COUNT(&self->hub.counters, rpc_expired, 1);
            continue;
        }
        if (wl_hub_shard(&self->hub, self->wanted[i].uid) != self->shard) { /* has moved */
            fetcher_tell(self, &self->wanted[i], 0, WL_ERR_CONFLICT, (wl_asset_list_t){0});
            continue;
        }
        self->wanted[kept++] = self->wanted[i];
    }
    self->wanted_count = 0;
    if (kept > 0) {
        qsort(self->wanted, kept, sizeof *self->wanted, wanted_compare);
        fetcher_read(self, self->wanted, kept);
    }
}

/* ---- messages -------------------------------------------------------------------------------- */

static void fetcher_take_fetch(fetcher_t *self, const wl_msg_t *msg) {
    uint32_t query = msg->head.fetch.query;
    if (query >= wl_hub_instances(&self->hub, WL_ACTOR_QUERY)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_fetch_item_t *item = &msg->items.fetch[i];
        self->wanted[self->wanted_count++] = (wanted_t){.uid = item->uid,
                                                        .deadline_at = item->deadline_at,
                                                        .asked = item->asked,
                                                        .query = query};
        if (self->wanted_count == BATCH_USERS) {
            fetcher_work(self);
        }
    }
}

/* ---- users of a line ------------------------------------------------------------------------- */

/* Those of the page who are the asking dispatcher's. */
static uint32_t page_filter(fetcher_t *self, uint32_t dispatcher, uint32_t count) {
    uint32_t partitions = (uint32_t)self->hub.settings->queue_partitions;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t uid = self->page[i];
        if (wl_uid_owner(uid, partitions) == dispatcher &&
            wl_hub_shard(&self->hub, uid) == self->shard) {
            self->page[kept++] = uid;
        }
    }
    return kept;
}

/* Users on a damaged page cannot be read by anybody: what is behind them goes on. */
static wl_err_t fetcher_skip(fetcher_t *self, wl_users_head_t *head) {
    uint64_t from = head->after;
    wl_err_t err = wl_asset_db_users_skip(self->db, from, &head->after);
    if (err == WL_OK) {
        head->last = head->after == UINT64_MAX;
        WL_COUNT(&self->hub.counters, backfill_skipped, 1);
        wl_log(WL_LOG_ERROR, self->hub.name, "users_skipped",
               "shard %u: users from %" PRIu64 " to %" PRIu64
               " cannot be listed, a page of the database is damaged",
               self->shard, from + 1, head->after);
    }
    return err;
}

static void fetcher_take_users(fetcher_t *self, const wl_tell_users_head_t *asked) {
    if (asked->dispatcher >= wl_hub_instances(&self->hub, WL_ACTOR_DISPATCHER) || asked->max == 0 ||
        asked->max > PAGE_ASKED) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return;
    }
    wl_users_head_t head = {.shard = self->shard, .asked = asked->asked, .after = asked->after};
    uint32_t count = 0;
    uint32_t max = asked->max < PAGE_USERS ? asked->max : PAGE_USERS;
    wl_err_t err = wl_asset_db_users(self->db, asked->after, asked->all ? NULL : asked->line, max,
                                     self->page, &count, &head.after, &head.last);
    fetcher_note(self, err);
    if (err == WL_ERR_DAMAGED) {
        err = fetcher_skip(self, &head);
    }
    head.error = (uint32_t)err;
    count = page_filter(self, asked->dispatcher, count);
    wl_encoder_t *to =
        wl_hub_to(&self->hub, WL_ACTOR_DISPATCHER, asked->dispatcher, WL_MSG_USERS, ++self->pages);
    wl_users_begin(to, &head);
    wl_users_add(to, &(wl_users_item_t){.uids = {count > 0 ? self->page : NULL, count}});
}

/* ---- for the trail --------------------------------------------------------------------------- */

/* Operators ask rarely: a read of its own for each. */
static void fetcher_take_trail(fetcher_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_trail_ask_item_t *asked = &msg->items.trail_ask[i];
        if (wl_hub_shard(&self->hub, asked->uid) != self->shard ||
            !wl_topology_here(self->hub.settings, WL_ACTOR_TRAIL, 0)) {
            WL_COUNT(&self->hub.counters, msg_malformed, 1);
            continue;
        }
        wl_asset_rows_clear(&self->rows);
        wl_err_t err = wl_asset_db_fetch(self->db, asked->uid, &self->rows);
        fetcher_note(self, err);
        uint32_t count = err == WL_OK ? self->rows.count : 0;
        wl_trail_now_item_t item = {.asked = asked->asked,
                                    .uid = asked->uid,
                                    .error = (uint32_t)err,
                                    .assets = {count > 0 ? self->rows.at : NULL, count}};
        wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_TRAIL, 0, WL_MSG_TRAIL_NOW, 0);
        if (!wl_encoder_begun(to)) {
            wl_trail_now_begin(to, NULL);
        }
        wl_trail_now_add(to, &item);
    }
}

static void fetcher_take(void *actor, const wl_msg_t *msg) {
    fetcher_t *self = actor;
    switch ((int)msg->id) {
    case WL_MSG_FETCH: fetcher_take_fetch(self, msg); break;
    case WL_MSG_PULL: fetcher_note(self, wl_fetcher_consent_pull(self->consent, msg)); break;
    case WL_MSG_LIVE: fetcher_note(self, wl_fetcher_consent_live(self->consent, msg)); break;
    case WL_MSG_TELL_USERS: fetcher_take_users(self, &msg->head.tell_users); break;
    case WL_MSG_TRAIL_ASK: fetcher_take_trail(self, msg); break;
    case WL_MSG_TELL_OWNERS:
        if (self->tours != NULL) {
            wl_owner_tours_take(self->tours, &msg->head.tell_owners);
        } else {
            WL_COUNT(&self->hub.counters, msg_unexpected, 1);
        }
        break;
    case WL_MSG_LINE: break;
    default: WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

static void fetcher_flush(void *actor) {
    fetcher_work(actor);
}

static bool fetcher_hurried(void *actor) {
    const fetcher_t *self = actor;
    return self->tours != NULL && wl_owner_tours_busy(self->tours);
}

static void fetcher_tick(void *actor) {
    fetcher_t *self = actor;
    if (self->tours != NULL) {
        wl_owner_tours_step(self->tours);
    }
}

static wl_err_t fetcher_open(void *actor, zsock_t *pipe, wl_boot_t *boot) {
    fetcher_t *self = actor;
    const wl_hub_handlers_t handlers = {
        .take = fetcher_take,
        .flush = fetcher_flush,
        .tick = fetcher_tick,
        .hurried = fetcher_hurried,
        .tick_ms = TICK_MS,
    };
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    uint32_t readers = (uint32_t)self->hub.settings->shard_readers;
    self->shard = self->hub.instance / readers;
    wl_store_text_t text;
    wl_asset_db_options_t options =
        wl_store_options_assets(self->hub.settings, self->shard, true, &text);
    err = wl_asset_db_open(&options, &self->db, &boot->fault);
    if (err == WL_OK) {
        self->consent = wl_fetcher_consent_new(&self->hub, self->db, self->shard);
    }
    if (err == WL_OK && self->hub.instance % readers == 0) {
        self->tours = wl_owner_tours_new(&self->hub, self->db, self->shard);
    }
    return err;
}

static void fetcher_close(void *actor) {
    fetcher_t *self = actor;
    wl_owner_tours_destroy(&self->tours);
    wl_fetcher_consent_destroy(&self->consent);
    wl_asset_db_close(&self->db);
    wl_mysql_thread_end();
    wl_asset_rows_destroy(&self->rows);
    wl_hub_close(&self->hub);
    wl_free(self);
}

void wl_fetcher_run(zsock_t *pipe, void *boot) {
    fetcher_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, fetcher_open, fetcher_close, self);
}
