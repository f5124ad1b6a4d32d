#include "actors/fetcher_consent.h"

#include "actors/line_flow.h"
#include "base/alloc.h"
#include "domain/consent.h"
#include "store/asset_lines.h"
#include "store/asset_map.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAUSE_MS = 250, /* of the shard's users after an error, so that held pulls do not spin */
    MOVING_MS = 50, /* likewise while their slots move */
};

typedef enum { CONSENT_MISSING, CONSENT_STANDS, CONSENT_UNKNOWN } consent_t;

struct wl_fetcher_consent {
    wl_hub_t *hub;        /* borrowed */
    wl_asset_db_t *db;    /* borrowed */
    wl_asset_rows_t rows; /* of one read, reused */
    uint32_t shard;
    uint64_t taken; /* messages: no two share a head of what is sent on */
    /* The users of the message in hand: ascending, each once. */
    uint32_t count;
    uint64_t uids[WL_BATCH_ITEMS_MAX];
    consent_t consents[WL_BATCH_ITEMS_MAX];
};

wl_fetcher_consent_t *wl_fetcher_consent_new(wl_hub_t *hub, wl_asset_db_t *db, uint32_t shard) {
    wl_fetcher_consent_t *self = wl_alloc_zero(1, sizeof *self);
    self->hub = hub;
    self->db = db;
    self->shard = shard;
    return self;
}

void wl_fetcher_consent_destroy(wl_fetcher_consent_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_asset_rows_destroy(&(*self)->rows);
    wl_free(*self);
    *self = NULL;
}

/* ---- consents of a message ------------------------------------------------------------------- */

static int uid_compare(const void *a, const void *b) {
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* Puts the users into order, each once. */
static void users_sort(wl_fetcher_consent_t *self) {
    uint32_t kept = 0;
    qsort(self->uids, self->count, sizeof *self->uids, uid_compare);
    for (uint32_t i = 0; i < self->count; i++) {
        if (kept == 0 || self->uids[kept - 1] != self->uids[i]) {
            self->uids[kept++] = self->uids[i];
        }
    }
    self->count = kept;
}

/* Reads the consents of some of the users, from index `first` on. */
static wl_err_t users_read(wl_fetcher_consent_t *self, const char *line, uint32_t first,
                           uint32_t count) {
    wl_wall_ms_t now = wl_wall_now();
    wl_asset_rows_clear(&self->rows);
    wl_asset_db_map_use(self->db, self->hub->map_version);
    wl_err_t err = wl_asset_db_get_many(self->db, &self->uids[first], count, line,
                                        WL_BUCKET_CONSENT, &self->rows);
    uint32_t at = 0;
    for (uint32_t i = first; i < first + count; i++) {
        const wl_asset_t *record = NULL;
        if (at < self->rows.count && self->rows.at[at].uid == self->uids[i]) {
            record = &self->rows.at[at++];
        }
        self->consents[i] = err != WL_OK                    ? CONSENT_UNKNOWN
                            : wl_consent_valid(record, now) ? CONSENT_STANDS
                                                            : CONSENT_MISSING;
    }
    return err;
}

/* Finds out the consents of self->uids. A damaged page holds some users of many: read one by one,
 * the others are known. A line that is asked without consent has all. */
static wl_err_t consents_find(wl_fetcher_consent_t *self, const char *line) {
    const wl_config_t *config = self->hub->config;
    const wl_line_t *known = config == NULL ? NULL : wl_config_line(config, line);
    users_sort(self);
    if (config != NULL && (known == NULL || !known->consent)) {
        for (uint32_t i = 0; i < self->count; i++) {
            self->consents[i] = CONSENT_STANDS;
        }
        return WL_OK;
    }
    wl_err_t err = users_read(self, line, 0, self->count);
    for (uint32_t i = 0; err == WL_ERR_DAMAGED && i < self->count; i++) {
        (void)!users_read(self, line, i, 1); /* what is damaged has been said */
    }
    WL_COUNT(&self->hub->counters, store_reads, self->count);
    return err;
}

static consent_t consent_of(wl_fetcher_consent_t *self, uint64_t uid) {
    const uint64_t *found = bsearch(&uid, self->uids, self->count, sizeof *self->uids, uid_compare);
    return found == NULL ? CONSENT_UNKNOWN : self->consents[found - self->uids];
}

/* The users of this shard are the ones to be found out about. Of others, whose slots have moved,
 * nothing is known here. */
static void user_note(wl_fetcher_consent_t *self, uint64_t uid) {
    if (wl_hub_shard(self->hub, uid) == self->shard) {
        self->uids[self->count++] = uid;
    }
}

static uint32_t puller_of(const wl_fetcher_consent_t *self, const char *line) {
    return wl_line_owner(line, wl_hub_instances(self->hub, WL_ACTOR_PULLER));
}

/* ---- pulls ----------------------------------------------------------------------------------- */

static void pull_pass(wl_fetcher_consent_t *self, const wl_pull_head_t *head,
                      const wl_pull_item_t *item) {
    wl_encoder_t *to = wl_hub_to(self->hub, WL_ACTOR_PULLER, puller_of(self, head->line),
                                 WL_MSG_PULL, self->taken);
    if (!wl_encoder_begun(to)) {
        wl_pull_begin(to, head);
    }
    wl_pull_add(to, item);
}

/* As if the line had said nothing: entry, retry and marks of the pull are settled. */
static void pull_end(wl_fetcher_consent_t *self, const wl_pull_head_t *head,
                     const wl_pull_item_t *item) {
    wl_encoder_t *to = wl_hub_to(self->hub, WL_ACTOR_SHARD, self->shard, WL_MSG_STORE, self->taken);
    if (!wl_encoder_begun(to)) {
        wl_store_head_t stored = {.dispatcher = head->dispatcher, .epoch = head->epoch};
        memcpy(stored.line, head->line, sizeof stored.line);
        wl_store_begin(to, &stored);
    }
    wl_store_item_t stored = {.uid = item->uid,
                              .seq = item->seq,
                              .outcome = WL_PULL_OK,
                              .notified_at = item->notified_at};
    wl_store_add(to, &stored);
    WL_COUNT(&self->hub->counters, consent_denied, 1);
}

/* A database that is away costs no attempt, only time. A damaged page stays damaged, so its users'
 * pulls fail one by one and hold up nobody else. */
static void pull_hand_back(wl_fetcher_consent_t *self, const wl_pull_head_t *head,
                           const wl_pull_item_t *item, wl_err_t err) {
    bool held = err != WL_ERR_DAMAGED;
    wl_encoder_t *to =
        wl_hub_to(self->hub, WL_ACTOR_DISPATCHER, head->dispatcher, WL_MSG_PULLED, self->taken);
    if (!wl_encoder_begun(to)) {
        int64_t pause_ms = err == WL_ERR_CONFLICT ? MOVING_MS : PAUSE_MS;
        wl_pulled_head_t pulled = {.pause_ms = held ? pause_ms : 0,
                                   .shard = held ? self->shard + 1 : 0};
        memcpy(pulled.line, head->line, sizeof pulled.line);
        wl_pulled_begin(to, &pulled);
    }
    wl_pulled_item_t pulled = {
        .uid = item->uid, .seq = item->seq, .outcome = WL_PULL_RETRY, .held = held};
    (void)snprintf(pulled.reason, sizeof pulled.reason,
                   "whether the user has consented could not be read: %s", wl_err_text(err));
    wl_pulled_add(to, &pulled);
}

wl_err_t wl_fetcher_consent_pull(wl_fetcher_consent_t *self, const wl_msg_t *msg) {
    const wl_pull_head_t *head = &msg->head.pull;
    if (head->dispatcher >= wl_hub_instances(self->hub, WL_ACTOR_DISPATCHER) ||
        wl_hub_instances(self->hub, WL_ACTOR_PULLER) == 0) {
        WL_COUNT(&self->hub->counters, msg_malformed, 1);
        return WL_OK;
    }
    self->taken++;
    self->count = 0;
    for (uint32_t i = 0; i < msg->count; i++) {
        user_note(self, msg->items.pull[i].uid);
    }
    uint32_t ours = self->count;
    wl_err_t err = consents_find(self, head->line);
    err = err == WL_OK && ours < msg->count ? WL_ERR_CONFLICT : err;
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_pull_item_t *item = &msg->items.pull[i];
        switch (consent_of(self, item->uid)) {
        case CONSENT_STANDS: pull_pass(self, head, item); break;
        case CONSENT_MISSING: pull_end(self, head, item); break;
        case CONSENT_UNKNOWN: pull_hand_back(self, head, item, err); break;
        }
    }
    return err;
}

/* ---- live questions -------------------------------------------------------------------------- */

static void live_pass(wl_fetcher_consent_t *self, const wl_live_head_t *head,
                      const wl_live_item_t *item) {
    uint32_t puller = puller_of(self, head->line);
    wl_encoder_t *to = wl_hub_to(self->hub, WL_ACTOR_PULLER, puller, WL_MSG_LIVE, self->taken);
    if (!wl_encoder_begun(to)) {
        wl_live_head_t passed = *head;
        passed.sent_at = wl_hub_sent_at(self->hub, WL_ACTOR_PULLER, puller);
        wl_live_begin(to, &passed);
    }
    wl_live_add(to, item);
}

static void live_answer(wl_fetcher_consent_t *self, const wl_live_head_t *head,
                        const wl_live_item_t *item, wl_err_t error, const char *reason) {
    wl_encoder_t *to =
        wl_hub_to(self->hub, WL_ACTOR_PRESENCE, head->presence, WL_MSG_LIVED, self->taken);
    if (!wl_encoder_begun(to)) {
        wl_lived_head_t lived = {.asker = head->asker,
                                 .instance = head->instance,
                                 .reader = head->reader,
                                 .presence = head->presence};
        memcpy(lived.line, head->line, sizeof lived.line);
        wl_lived_begin(to, &lived);
    }
    wl_lived_item_t lived = {
        .ticket = item->ticket, .uid = item->uid, .what = item->what, .error = (uint32_t)error};
    (void)snprintf(lived.reason, sizeof lived.reason, "%s", reason);
    wl_lived_add(to, &lived);
}

/* The asker itself sees when its time is up, so nothing is said to it then. */
static void live_decide(wl_fetcher_consent_t *self, const wl_live_head_t *head,
                        const wl_live_item_t *item, int64_t now) {
    if (item->deadline_at <= now) {
        WL_COUNT(&self->hub->counters, rpc_expired, 1);
        return;
    }
    switch (consent_of(self, item->uid)) {
    case CONSENT_STANDS: live_pass(self, head, item); break;
    case CONSENT_MISSING:
        WL_COUNT(&self->hub->counters, consent_denied, 1);
        live_answer(self, head, item, WL_ERR_UNAUTHORIZED, "the user has not consented");
        break;
    case CONSENT_UNKNOWN:
        live_answer(self, head, item, WL_ERR_UNAVAILABLE,
                    "whether the user has consented could not be read");
        break;
    }
}

wl_err_t wl_fetcher_consent_live(wl_fetcher_consent_t *self, const wl_msg_t *msg) {
    const wl_live_head_t *head = &msg->head.live;
    if (head->presence >= wl_hub_instances(self->hub, WL_ACTOR_PRESENCE) ||
        wl_hub_instances(self->hub, WL_ACTOR_PULLER) == 0) {
        WL_COUNT(&self->hub->counters, msg_malformed, 1);
        return WL_OK;
    }
    self->taken++;
    self->count = 0;
    for (uint32_t i = 0; i < msg->count; i++) {
        user_note(self, msg->items.live[i].uid);
    }
    uint32_t ours = self->count;
    wl_err_t err = consents_find(self, head->line);
    err = err == WL_OK && ours < msg->count ? WL_ERR_CONFLICT : err;
    int64_t now = wl_mono_now().ms;
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_live_item_t *item = &msg->items.live[i];
        if (item->what >= WL_LIVE_CONSENT) { /* consents go to the dispatcher */
            WL_COUNT(&self->hub->counters, msg_malformed, 1);
            continue;
        }
        live_decide(self, head, item, now);
    }
    return err;
}
