#include "actors/shard_owners.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/slot.h"

#include <inttypes.h>

enum {
    CHUNK_UIDS = 4096,    /* of one message, as messages.def allows */
    PRESENCE_MAX = 16,    /* as settings.def allows */
    STEP_MS = 3,          /* so that reads wait little behind it */
    FAILED_WAIT_MS = 500, /* after a read that failed */
};

/* What one presence actor still has to be told. */
typedef struct {
    bool active;
    bool by_log; /* replays the log; otherwise scans all users */
    bool scan_started;
    int64_t scan_cursor;
    uint64_t log_seq;  /* by_log: told up to here; scan: the log's end when the scan began */
    int64_t resume_at; /* monotonic ms: not before */
    int64_t asked_at;  /* goes back with every chunk */
} tour_t;

struct wl_shard_owners {
    wl_hub_t *hub;               /* borrowed */
    wl_asset_db_t *db;           /* borrowed */
    uint64_t *uids;              /* owned; one chunk */
    uint64_t messages;           /* sent so far: no two chunks share a message */
    uint64_t safe[PRESENCE_MAX]; /* log number that each presence has on disk, 0 = not said */
    uint64_t trimmed;            /* up to here the log was trimmed */
    tour_t tours[PRESENCE_MAX];  /* by presence instance */
};

wl_shard_owners_t *wl_shard_owners_new(wl_hub_t *hub, wl_asset_db_t *db) {
    WL_ASSERT(hub != NULL && db != NULL);
    WL_ASSERT(wl_hub_instances(hub, WL_ACTOR_PRESENCE) <= PRESENCE_MAX);
    wl_shard_owners_t *self = wl_alloc_zero(1, sizeof *self);
    self->hub = hub;
    self->db = db;
    self->uids = wl_alloc_zero(CHUNK_UIDS, sizeof *self->uids);
    return self;
}

void wl_shard_owners_destroy(wl_shard_owners_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free((*self)->uids);
    wl_free(*self);
    *self = NULL;
}

static void owners_begin_scan(wl_shard_owners_t *self, tour_t *tour, int64_t asked_at) {
    *tour =
        (tour_t){.active = true, .log_seq = wl_asset_db_owner_seq(self->db), .asked_at = asked_at};
}

static void owners_trim(wl_shard_owners_t *self, uint32_t presence, uint64_t after) {
    self->safe[presence] = after;
    uint64_t up_to = after;
    for (uint32_t i = 0; i < wl_hub_instances(self->hub, WL_ACTOR_PRESENCE); i++) {
        up_to = self->safe[i] < up_to ? self->safe[i] : up_to;
    }
    if (up_to <= self->trimmed) {
        return;
    }
    if (wl_asset_db_owner_trim(self->db, up_to) == WL_OK) {
        self->trimmed = up_to;
    } else {
        wl_log(WL_LOG_WARN, self->hub->name, "owner_trim_failed",
               "the owner log stays longer than needed");
    }
}

void wl_shard_owners_take(wl_shard_owners_t *self, const wl_tell_owners_head_t *head) {
    if (head->presence >= wl_hub_instances(self->hub, WL_ACTOR_PRESENCE)) {
        WL_COUNT(&self->hub->counters, msg_malformed, 1);
        return;
    }
    if (head->trim) {
        owners_trim(self, head->presence, head->after);
        return;
    }
    tour_t *tour = &self->tours[head->presence];
    /* a number from the future belongs to another file: only a full scan can be trusted */
    if (head->after == 0 || head->after > wl_asset_db_owner_seq(self->db)) {
        owners_begin_scan(self, tour, head->asked_at);
    } else {
        *tour = (tour_t){
            .active = true, .by_log = true, .log_seq = head->after, .asked_at = head->asked_at};
    }
}

/* Returns whether the chunk has reached the mailbox of the presence actor. */
static bool owners_send(wl_shard_owners_t *self, uint32_t presence, uint64_t log_seq, bool last,
                        uint32_t count) {
    uint32_t instances = wl_hub_instances(self->hub, WL_ACTOR_PRESENCE);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (wl_uid_owner(self->uids[i], instances) == presence) {
            self->uids[kept++] = self->uids[i];
        }
    }
    wl_owners_head_t head = {.shard = self->hub->instance,
                             .log_seq = log_seq,
                             .last = last,
                             .asked_at = self->tours[presence].asked_at,
                             .commit_seq = wl_asset_db_commit_seq(self->db)};
    wl_owners_item_t item = {.uids = {self->uids, kept}};
    uint64_t lost = self->hub->counters.at[WL_COUNTER_msg_full];
    wl_encoder_t *to =
        wl_hub_to(self->hub, WL_ACTOR_PRESENCE, presence, WL_MSG_OWNERS, ++self->messages);
    if (!wl_encoder_begun(to)) {
        wl_owners_begin(to, &head);
    }
    wl_owners_add(to, &item);
    wl_hub_flush(self->hub);
    return self->hub->counters.at[WL_COUNTER_msg_full] == lost;
}

/* One chunk of the log. WL_ERR_NOT_FOUND: its start was trimmed, the tour is a scan from now on. */
static wl_err_t owners_step_log(wl_shard_owners_t *self, uint32_t presence, bool *ret_sent) {
    tour_t *tour = &self->tours[presence];
    uint32_t count = 0;
    uint64_t last_seq = tour->log_seq;
    wl_err_t err =
        wl_asset_db_owner_log(self->db, tour->log_seq, CHUNK_UIDS, self->uids, &count, &last_seq);
    if (err == WL_ERR_NOT_FOUND) {
        owners_begin_scan(self, tour, tour->asked_at);
        *ret_sent = true;
        return WL_OK;
    }
    if (err != WL_OK) {
        return err;
    }
    last_seq = count == 0 ? tour->log_seq : last_seq;
    bool last = count < CHUNK_UIDS;
    *ret_sent = owners_send(self, presence, last_seq, last, count);
    if (*ret_sent) {
        tour->log_seq = last_seq;
        tour->active = !last;
    }
    return WL_OK;
}

/* One chunk of the scan. Only the last one carries a log number: a set that has seen half of a scan
 * has seen nothing that a snapshot could rest on. */
static wl_err_t owners_step_scan(wl_shard_owners_t *self, uint32_t presence, bool *ret_sent) {
    tour_t *tour = &self->tours[presence];
    bool started = tour->scan_started;
    int64_t cursor = tour->scan_cursor;
    uint32_t count = 0;
    wl_err_t err =
        wl_asset_db_owner_scan(self->db, &started, &cursor, CHUNK_UIDS, self->uids, &count);
    if (err != WL_OK) {
        return err;
    }
    bool last = count == 0;
    *ret_sent = owners_send(self, presence, last ? tour->log_seq : 0, last, count);
    if (*ret_sent) {
        tour->scan_started = started;
        tour->scan_cursor = cursor;
        tour->active = !last;
    }
    return WL_OK;
}

bool wl_shard_owners_busy(const wl_shard_owners_t *self) {
    bool busy = false;
    for (uint32_t i = 0; i < PRESENCE_MAX; i++) {
        busy = busy || self->tours[i].active;
    }
    return busy;
}

void wl_shard_owners_step(wl_shard_owners_t *self) {
    int64_t begun = wl_mono_now().ms;
    for (uint32_t i = 0; i < PRESENCE_MAX; i++) {
        tour_t *tour = &self->tours[i];
        bool sent = true;
        while (sent && tour->active && tour->resume_at <= begun &&
               wl_mono_now().ms < begun + STEP_MS) {
            wl_err_t err =
                tour->by_log ? owners_step_log(self, i, &sent) : owners_step_scan(self, i, &sent);
            if (err != WL_OK) {
                tour->resume_at = begun + FAILED_WAIT_MS;
                WL_COUNT(&self->hub->counters, store_damaged, err == WL_ERR_DAMAGED);
                wl_log(WL_LOG_ERROR, self->hub->name, "owners_failed",
                       "owners could not be read: %s; tried again", wl_err_text(err));
                break;
            }
        }
    }
}
