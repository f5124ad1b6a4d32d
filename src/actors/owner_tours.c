#include "actors/owner_tours.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/slot.h"

#include <inttypes.h>

enum {
    CHUNK_UIDS = 4096,            /* of one message, as messages.def allows */
    PRESENCE_MAX = 16,            /* as settings.def allows */
    STEP_MS = 3,                  /* so that reads wait little behind it */
    CHUNK_BITS = 32,              /* of a chunk's number within its tour */
    FAILED_WAIT_MS = 500,         /* after a read that failed */
    TOURS_MAX = 2 * PRESENCE_MAX, /* of an instance: for its set, and behind all for a new one */
    REBUILD_PAUSE_MS = 10, /* after a chunk for a new set: nobody waits for it, 10 M take 25 s */
};

/* What one presence actor still has to be told. */
typedef struct {
    bool active;
    bool begun;  /* it is decided how */
    bool by_log; /* replays the log; otherwise scans all users */
    bool scan_started;
    int64_t scan_cursor;
    uint64_t log_seq;    /* by_log: told up to here; scan: the log's end when the scan began */
    uint64_t log_first;  /* asked for what comes after it */
    uint64_t commit_seq; /* nothing that was committed up to it will be missing at the end */
    uint64_t chunk;      /* number of the next one: the tour's above, its own below */
    int64_t asked_at;    /* comes back to who asked */
    int64_t resume_at;   /* monotonic ms: not before */
} tour_t;

struct wl_owner_tours {
    wl_hub_t *hub;     /* borrowed */
    wl_asset_db_t *db; /* borrowed */
    uint32_t shard;
    uint64_t *uids;          /* owned; one chunk */
    wl_asset_rows_t rows;    /* none are ever read */
    uint64_t messages;       /* sent so far: no two chunks share a message */
    uint64_t begun;          /* tours so far */
    tour_t tours[TOURS_MAX]; /* by presence instance, those of rebuilds PRESENCE_MAX behind */
};

wl_owner_tours_t *wl_owner_tours_new(wl_hub_t *hub, wl_asset_db_t *db, uint32_t shard) {
    WL_ASSERT(hub != NULL && db != NULL);
    WL_ASSERT(wl_hub_instances(hub, WL_ACTOR_PRESENCE) <= PRESENCE_MAX);
    wl_owner_tours_t *self = wl_alloc_zero(1, sizeof *self);
    self->hub = hub;
    self->db = db;
    self->shard = shard;
    self->uids = wl_alloc_zero(CHUNK_UIDS, sizeof *self->uids);
    return self;
}

void wl_owner_tours_destroy(wl_owner_tours_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_asset_rows_destroy(&(*self)->rows);
    wl_free((*self)->uids);
    wl_free(*self);
    *self = NULL;
}

static void owners_begin_scan(wl_owner_tours_t *self, tour_t *tour) {
    tour->begun = true;
    tour->by_log = false;
    tour->scan_started = false;
    tour->scan_cursor = 0;
    tour->log_seq = wl_asset_db_owner_seq(self->db);
}

void wl_owner_tours_take(wl_owner_tours_t *self, const wl_tell_owners_head_t *head) {
    if (head->presence >= wl_hub_instances(self->hub, WL_ACTOR_PRESENCE) || head->trim) {
        WL_COUNT(&self->hub->counters, msg_malformed, 1);
        return;
    }
    tour_t *tour = &self->tours[head->presence + (head->rebuild ? PRESENCE_MAX : 0)];
    *tour = (tour_t){.active = true,
                     .log_first = head->rebuild ? 0 : head->after,
                     .asked_at = head->asked_at,
                     .chunk = ++self->begun << CHUNK_BITS};
}

/* Looks how far the shard is and decides how to tell. */
static wl_err_t owners_begin(wl_owner_tours_t *self, tour_t *tour) {
    wl_err_t err = wl_asset_db_fetch_many(self->db, NULL, 0, &self->rows, &tour->commit_seq);
    if (err != WL_OK) {
        return err;
    }
    /* a number from the future belongs to another file: only a full scan can be trusted */
    if (tour->log_first == 0 || tour->log_first > wl_asset_db_owner_seq(self->db)) {
        owners_begin_scan(self, tour);
    } else {
        tour->begun = true;
        tour->by_log = true;
        tour->log_seq = tour->log_first;
    }
    return WL_OK;
}

/* Returns whether the chunk has reached the mailbox of the presence actor. */
static bool owners_send(wl_owner_tours_t *self, uint32_t at, uint64_t log_seq, bool last,
                        uint32_t count) {
    uint32_t presence = at % PRESENCE_MAX;
    uint32_t instances = wl_hub_instances(self->hub, WL_ACTOR_PRESENCE);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (wl_uid_owner(self->uids[i], instances) == presence) {
            self->uids[kept++] = self->uids[i];
        }
    }
    tour_t *tour = &self->tours[at];
    wl_owners_head_t head = {.shard = self->shard,
                             .log_seq = log_seq,
                             .last = last,
                             .asked_at = tour->asked_at,
                             .commit_seq = tour->commit_seq,
                             .chunk = tour->chunk,
                             .rebuild = at >= PRESENCE_MAX};
    wl_owners_item_t item = {.uids = {self->uids, kept}};
    uint64_t lost = self->hub->counters.at[WL_COUNTER_msg_full];
    wl_encoder_t *to =
        wl_hub_to(self->hub, WL_ACTOR_PRESENCE, presence, WL_MSG_OWNERS, ++self->messages);
    if (!wl_encoder_begun(to)) {
        wl_owners_begin(to, &head);
    }
    wl_owners_add(to, &item);
    wl_hub_flush(self->hub);
    bool sent = self->hub->counters.at[WL_COUNTER_msg_full] == lost;
    tour->chunk += sent;
    return sent;
}

/* One chunk of the log. WL_ERR_NOT_FOUND: its start was trimmed, the tour is a scan from now on. */
static wl_err_t owners_step_log(wl_owner_tours_t *self, uint32_t at, bool *ret_sent) {
    tour_t *tour = &self->tours[at];
    uint32_t count = 0;
    uint64_t last_seq = tour->log_seq;
    wl_err_t err =
        wl_asset_db_owner_log(self->db, tour->log_seq, CHUNK_UIDS, self->uids, &count, &last_seq);
    if (err == WL_ERR_NOT_FOUND) {
        owners_begin_scan(self, tour);
        *ret_sent = true;
        return WL_OK;
    }
    if (err != WL_OK) {
        return err;
    }
    last_seq = count == 0 ? tour->log_seq : last_seq;
    bool last = count < CHUNK_UIDS;
    *ret_sent = owners_send(self, at, last_seq, last, count);
    if (*ret_sent) {
        tour->log_seq = last_seq;
        tour->active = !last;
    }
    return WL_OK;
}

/* One chunk of the scan. Only the last one carries a log number: a set that has seen half of a scan
 * has seen nothing that a snapshot could rest on. */
static wl_err_t owners_step_scan(wl_owner_tours_t *self, uint32_t at, bool *ret_sent) {
    tour_t *tour = &self->tours[at];
    bool started = tour->scan_started;
    int64_t cursor = tour->scan_cursor;
    uint32_t count = 0;
    wl_err_t err =
        wl_asset_db_owner_scan(self->db, &started, &cursor, CHUNK_UIDS, self->uids, &count);
    if (err != WL_OK) {
        return err;
    }
    bool last = count == 0;
    *ret_sent = owners_send(self, at, last ? tour->log_seq : 0, last, count);
    if (*ret_sent) {
        tour->scan_started = started;
        tour->scan_cursor = cursor;
        tour->active = !last;
    }
    return WL_OK;
}

static wl_err_t owners_step(wl_owner_tours_t *self, uint32_t at, bool *ret_sent) {
    tour_t *tour = &self->tours[at];
    wl_err_t err = tour->begun ? WL_OK : owners_begin(self, tour);
    if (err != WL_OK) {
        return err;
    }
    return tour->by_log ? owners_step_log(self, at, ret_sent)
                        : owners_step_scan(self, at, ret_sent);
}

bool wl_owner_tours_busy(const wl_owner_tours_t *self) {
    bool busy = false;
    for (uint32_t i = 0; i < TOURS_MAX; i++) {
        busy = busy || self->tours[i].active;
    }
    return busy;
}

void wl_owner_tours_step(wl_owner_tours_t *self) {
    int64_t begun = wl_mono_now().ms;
    for (uint32_t i = 0; i < TOURS_MAX; i++) {
        tour_t *tour = &self->tours[i];
        bool sent = true;
        while (sent && tour->active && tour->resume_at <= begun &&
               wl_mono_now().ms < begun + STEP_MS) {
            wl_err_t err = owners_step(self, i, &sent);
            if (err != WL_OK) {
                tour->resume_at = begun + FAILED_WAIT_MS;
                WL_COUNT(&self->hub->counters, store_damaged, err == WL_ERR_DAMAGED);
                wl_log(WL_LOG_ERROR, self->hub->name, "owners_failed",
                       "owners could not be read: %s; tried again", wl_err_text(err));
                break;
            }
            if (i >= PRESENCE_MAX) {
                tour->resume_at = wl_mono_now().ms + REBUILD_PAUSE_MS;
            }
        }
    }
}
