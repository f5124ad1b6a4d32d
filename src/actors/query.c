#include "actors/query.h"

#include "actors/consent_way.h"
#include "actors/live_reads.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/slot.h"
#include "base/table.h"

#include <utlist.h>

enum {
    TICK_MS = 5,              /* how late a deadline may be noticed */
    MOVED_MS = 5,             /* until everybody here has heard of the new map */
    WAITING_MAX = 8192,       /* requests waiting for all shards, shared out among them evenly: */
    WAITING_SHARE_MIN = 1024, /* a shard that hangs must not use up the places of the others */
    BUSY_RETRY_AFTER_MS = 50, /* a full table of reads is served in about that time */
};

/* A request that waits. What its READ borrowed from the message is copied behind it. */
typedef struct waiter {
    wl_read_item_t read;
    uint32_t frontend;          /* who waits for the reply */
    struct waiter *prev, *next; /* utlist */
    uint8_t bytes[];            /* filter, marks, floors */
} waiter_t;

/* A user being read from the database, or waiting for it. */
typedef struct flight {
    uint64_t uid;    /* the key */
    uint64_t number; /* of its question */
    uint32_t shard;
    bool under_way;             /* a fetcher was asked; otherwise in its lane's line, */
    int64_t again_at;           /* or not 0: it has moved, its shard is asked from then on */
    int64_t fetch_until;        /* deadline of the fetch under way, monotonic ms */
    waiter_t *waiters;          /* owned, never empty */
    struct flight *prev, *next; /* utlist, of the lane's line */
    UT_hash_handle hh;
} flight_t;

/* What goes to one shard. */
typedef struct {
    flight_t *line;     /* borrowed: those who wait for their turn, first come first served */
    uint32_t under_way; /* users being read */
    uint32_t waiting;   /* requests in all its flights */
} lane_t;

typedef struct {
    wl_hub_t hub;
    wl_render_t render;
    wl_live_reads_t *live; /* owned; answers what was read, and reads that come with a copy */
    flight_t *flights;     /* owned, by uid */
    lane_t *lanes;         /* owned, per shard */
    flight_t *moved;       /* borrowed: users of whom a shard has said that they have moved */
    uint32_t lane_max;     /* users of one lane read at once */
    uint32_t wait_max;     /* requests waiting in one lane; the next gets `busy` */
    int64_t next_sweep;    /* no deadline passes before, monotonic ms */
    uint64_t flown;        /* flights so far */
    uint64_t batch;        /* counts messages taken: items of two never share a head */
} query_t;

/* ---- flights -------------------------------------------------------------------------------- */

static waiter_t *waiter_new(uint32_t frontend, const wl_read_item_t *read) {
    const wl_bytes_t *from[] = {&read->filter, &read->marks, &read->floors};
    waiter_t *self =
        wl_alloc(sizeof *self + read->filter.count + read->marks.count + read->floors.count);
    self->read = *read;
    self->frontend = frontend;
    self->prev = NULL;
    self->next = NULL;
    wl_bytes_t *to[] = {&self->read.filter, &self->read.marks, &self->read.floors};
    uint8_t *at = self->bytes;
    for (size_t i = 0; i < WL_COUNT_OF(from); i++) {
        if (from[i]->count > 0) {
            memcpy(at, from[i]->at, from[i]->count);
        }
        to[i]->at = at;
        at += from[i]->count;
    }
    return self;
}

static void query_release(query_t *self, flight_t *flight, waiter_t *waiter) {
    lane_t *lane = &self->lanes[flight->shard];
    DL_DELETE(flight->waiters, waiter);
    wl_free(waiter);
    WL_ASSERT(lane->waiting > 0);
    lane->waiting--;
}

static void query_fetch(query_t *self, flight_t *flight, int64_t deadline_at) {
    uint32_t fetcher = wl_hub_fetcher(&self->hub, flight->shard, self->batch);
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_FETCHER, fetcher, WL_MSG_FETCH, 0);
    if (!wl_encoder_begun(to)) {
        int64_t sent_at = wl_hub_sent_at(&self->hub, WL_ACTOR_FETCHER, fetcher);
        wl_fetch_begin(to, &(wl_fetch_head_t){.query = self->hub.instance, .sent_at = sent_at});
    }
    wl_fetch_add(to, &(wl_fetch_item_t){
                         .uid = flight->uid, .deadline_at = deadline_at, .asked = flight->number});
    flight->fetch_until = deadline_at;
    WL_COUNT(&self->hub.counters, query_fetches, 1);
}

/* The last deadline of those who wait for this user. */
static int64_t flight_deadline(const flight_t *flight) {
    int64_t last = 0;
    const waiter_t *waiter = NULL;
    DL_FOREACH(flight->waiters, waiter) {
        last = waiter->read.deadline_at > last ? waiter->read.deadline_at : last;
    }
    return last;
}

/* Asks for as many users of a lane as may be under way. */
static void query_advance(query_t *self, lane_t *lane) {
    while (lane->line != NULL && lane->under_way < self->lane_max) {
        flight_t *flight = lane->line;
        DL_DELETE(lane->line, flight);
        flight->under_way = true;
        lane->under_way++;
        query_fetch(self, flight, flight_deadline(flight));
    }
}

/* The end of a flight; its place goes to the next one. */
static void query_land(query_t *self, flight_t *flight) {
    lane_t *lane = &self->lanes[flight->shard];
    HASH_DEL(self->flights, flight);
    while (flight->waiters != NULL) {
        query_release(self, flight, flight->waiters);
    }
    if (flight->under_way) {
        lane->under_way--;
    } else if (flight->again_at != 0) {
        DL_DELETE(self->moved, flight);
    } else {
        DL_DELETE(lane->line, flight);
    }
    wl_free(flight);
}

/* The shard that was asked does not have this user, or will not have it in a moment. */
static void query_moved(query_t *self, flight_t *flight) {
    lane_t *lane = &self->lanes[flight->shard];
    WL_ASSERT(flight->under_way);
    lane->under_way--;
    flight->under_way = false;
    flight->number = ++self->flown;
    flight->again_at = wl_mono_now().ms + MOVED_MS;
    DL_APPEND(self->moved, flight);
    WL_COUNT(&self->hub.counters, query_moved, 1);
    query_advance(self, lane);
}

/* Those who have waited long enough stand in line at the shard that has them now. */
static void query_move_on(query_t *self, int64_t now) {
    while (self->moved != NULL && self->moved->again_at <= now) {
        flight_t *flight = self->moved;
        uint32_t waiting = 0;
        waiter_t *waiter = NULL;
        DL_DELETE(self->moved, flight);
        DL_COUNT(flight->waiters, waiter, waiting);
        self->lanes[flight->shard].waiting -= waiting;
        flight->shard = wl_hub_shard(&self->hub, flight->uid);
        flight->again_at = 0;
        lane_t *lane = &self->lanes[flight->shard];
        lane->waiting += waiting;
        DL_APPEND(lane->line, flight);
        query_advance(self, lane);
    }
}

/* ---- reads ---------------------------------------------------------------------------------- */

static void query_wait(query_t *self, uint32_t frontend, const wl_read_item_t *read) {
    flight_t *flight = NULL;
    uint32_t shard = wl_hub_shard(&self->hub, read->uid);
    lane_t *lane = &self->lanes[shard];
    HASH_FIND(hh, self->flights, &read->uid, sizeof read->uid, flight);
    if (flight == NULL) {
        flight = wl_alloc_zero(1, sizeof *flight);
        flight->uid = read->uid;
        flight->number = ++self->flown;
        flight->shard = shard;
        HASH_ADD(hh, self->flights, uid, sizeof flight->uid, flight);
        DL_APPEND(lane->line, flight);
    } else {
        lane = &self->lanes[flight->shard]; /* as it was when the read began */
        WL_COUNT(&self->hub.counters, query_joined, 1);
    }
    waiter_t *waiter = waiter_new(frontend, read);
    DL_APPEND(flight->waiters, waiter);
    lane->waiting++;
    if (read->deadline_at < self->next_sweep) {
        self->next_sweep = read->deadline_at;
    }
    query_advance(self, lane);
}

/* A read that cannot be answered any more, or never could, is dealt with here. */
static bool query_admits(query_t *self, uint32_t frontend, const wl_read_item_t *read,
                         int64_t now) {
    if (!wl_render_method((wl_method_t)read->method)) {
        WL_COUNT(&self->hub.counters, msg_malformed, 1);
        return false;
    }
    if (read->deadline_at < now) {
        WL_COUNT(&self->hub.counters, query_timeouts, 1);
        wl_render_error(&self->hub, frontend, read, WL_ERR_DEADLINE, NULL, 0);
        return false;
    }
    return true;
}

static bool query_frontend(query_t *self, uint32_t frontend) {
    bool known = frontend < wl_hub_instances(&self->hub, WL_ACTOR_FRONTEND);
    WL_COUNT(&self->hub.counters, msg_malformed, !known);
    return known;
}

static void query_read(query_t *self, const wl_msg_t *msg) {
    uint32_t frontend = msg->head.read.frontend;
    if (!query_frontend(self, frontend)) {
        return;
    }
    int64_t now = wl_mono_now().ms;
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_read_item_t *read = &msg->items.read[i];
        if (!query_admits(self, frontend, read, now)) {
            continue;
        }
        if (self->lanes[wl_hub_shard(&self->hub, read->uid)].waiting >= self->wait_max) {
            WL_COUNT(&self->hub.counters, rpc_busy, 1);
            wl_render_error(&self->hub, frontend, read, WL_ERR_BUSY,
                            "too many reads wait for the database", BUSY_RETRY_AFTER_MS);
        } else {
            query_wait(self, frontend, read);
        }
    }
}

/* Reads that bring what is stored of their user along. */
static void query_gather(query_t *self, const wl_msg_t *msg) {
    uint32_t frontend = msg->head.gather.frontend;
    if (!query_frontend(self, frontend)) {
        return;
    }
    int64_t now = wl_mono_now().ms;
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_gather_item_t *gather = &msg->items.gather[i];
        wl_read_item_t read = {
            .ticket = gather->ticket,
            .uid = gather->uid,
            .deadline_at = gather->deadline_at,
            .method = gather->method,
            .filter = gather->filter,
            .marks = gather->marks,
            .floors = gather->floors,
            .rollout = gather->rollout,
        };
        if (query_admits(self, frontend, &read, now)) {
            wl_live_reads_take(self->live, frontend, &read, gather->assets, WL_SOURCE_CACHE);
        }
    }
}

/* ---- what the database says ----------------------------------------------------------------- */

static void query_fill(query_t *self, const wl_fetched_head_t *head,
                       const wl_fetched_item_t *fetched) {
    uint32_t owner = wl_uid_owner(fetched->uid, wl_hub_instances(&self->hub, WL_ACTOR_CACHE));
    wl_encoder_t *to = wl_hub_to(&self->hub, WL_ACTOR_CACHE, owner, WL_MSG_FILL, self->batch);
    if (!wl_encoder_begun(to)) {
        wl_fill_begin(to, &(wl_fill_head_t){
                              .shard = head->shard,
                              .commit_seq = head->commit_seq,
                          });
    }
    wl_fill_add(to, &(wl_fill_item_t){.uid = fetched->uid, .assets = fetched->assets});
}

/* The answer under way is nobody's now. */
static void query_read_again(query_t *self, flight_t *flight) {
    if (flight->under_way) {
        flight->number = ++self->flown;
        query_fetch(self, flight, flight_deadline(flight));
    }
}

/* Who joined behind a change that this read has not seen waits for another one. Only once: a
 * database that was restored may have lost that commit. */
static void query_answer(query_t *self, flight_t *flight, const wl_fetched_head_t *head,
                         const wl_fetched_item_t *fetched) {
    waiter_t *waiter = NULL;
    waiter_t *next = NULL;
    DL_FOREACH_SAFE(flight->waiters, waiter, next) {
        if (head->error == WL_OK && waiter->read.seen > head->commit_seq) {
            waiter->read.seen = 0;
            continue;
        }
        if (head->error == WL_OK) {
            wl_live_reads_take(self->live, waiter->frontend, &waiter->read, fetched->assets,
                               WL_SOURCE_DB);
        } else {
            wl_render_error(&self->hub, waiter->frontend, &waiter->read, WL_ERR_UNAVAILABLE,
                            "the database cannot be read", 0);
        }
        query_release(self, flight, waiter);
    }
}

/* A read that nobody waits for any more is kept all the same: its work is done. */
static void query_fetched(query_t *self, const wl_msg_t *msg) {
    const wl_fetched_head_t *head = &msg->head.fetched;
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_fetched_item_t *fetched = &msg->items.fetched[i];
        flight_t *flight = NULL;
        HASH_FIND(hh, self->flights, &fetched->uid, sizeof fetched->uid, flight);
        if (head->error == WL_OK) {
            query_fill(self, head, fetched);
            WL_COUNT(&self->hub.counters, presence_false_positive, fetched->assets.count == 0);
        }
        if (flight == NULL || (fetched->asked != 0 && fetched->asked != flight->number)) {
            continue; /* nobody waits for it; it may be older than one given since */
        }
        if (head->error == WL_ERR_CONFLICT && flight->under_way) {
            query_moved(self, flight);
            continue;
        }
        query_answer(self, flight, head, fetched);
        if (flight->waiters != NULL) {
            query_read_again(self, flight);
            continue;
        }
        lane_t *lane = &self->lanes[flight->shard];
        query_land(self, flight);
        query_advance(self, lane);
    }
}

/* ---- consents ------------------------------------------------------------------------------- */

/* Everything of this user that was read before the consent went is of no use: done again. */
static void query_forget(query_t *self, uint64_t uid) {
    flight_t *flight = NULL;
    HASH_FIND(hh, self->flights, &uid, sizeof uid, flight);
    if (flight != NULL) {
        query_read_again(self, flight);
    }
}

/* Withdrawn consents: what they were given for is forgotten here before anybody behind us hears of
 * it. */
static void query_stored(query_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_stored_item_t *stored = &msg->items.stored[i];
        if (wl_consent_withdrawn(stored)) {
            wl_live_reads_withdrawn(self->live, stored->uid, msg->head.stored.line);
            query_forget(self, stored->uid);
            wl_consent_pass_on(&self->hub, &msg->head.stored, stored);
        } else {
            WL_COUNT(&self->hub.counters, msg_unexpected, 1);
        }
    }
}

/* ---- deadlines ------------------------------------------------------------------------------ */

/* Lets go those whose deadline has passed. */
static void query_sweep_flight(query_t *self, flight_t *flight, int64_t now) {
    waiter_t *waiter = NULL;
    waiter_t *next = NULL;
    DL_FOREACH_SAFE(flight->waiters, waiter, next) {
        int64_t deadline_at = waiter->read.deadline_at;
        if (deadline_at <= now) {
            WL_COUNT(&self->hub.counters, query_timeouts, 1);
            wl_render_error(&self->hub, waiter->frontend, &waiter->read, WL_ERR_DEADLINE, NULL, 0);
            query_release(self, flight, waiter);
            continue;
        }
        self->next_sweep = deadline_at < self->next_sweep ? deadline_at : self->next_sweep;
    }
}

static bool query_hurried(void *actor) {
    const query_t *self = actor;
    return self->flights != NULL || wl_live_reads_waiting(self->live);
}

static void query_tick(void *actor) {
    query_t *self = actor;
    wl_render_tick(&self->render);
    int64_t now = wl_mono_now().ms;
    wl_live_reads_tick(self->live, now);
    query_move_on(self, now);
    if (now < self->next_sweep) {
        return;
    }
    self->next_sweep = INT64_MAX;
    flight_t *flight = NULL;
    flight_t *next = NULL;
    HASH_ITER(hh, self->flights, flight, next) {
        query_sweep_flight(self, flight, now);
        if (flight->waiters == NULL) {
            query_land(self, flight);
        } else if (flight->under_way && flight->fetch_until <= now) {
            query_fetch(self, flight,
                        flight_deadline(flight)); /* dropped: who joined still waits */
        }
    }
    for (uint32_t shard = 0; shard < self->hub.settings->shard_instances; shard++) {
        query_advance(self, &self->lanes[shard]);
    }
}

/* ---- handlers ------------------------------------------------------------------------------- */

static void query_take(void *actor, const wl_msg_t *msg) {
    query_t *self = actor;
    self->batch++;
    if (msg->id == WL_MSG_READ) {
        query_read(self, msg);
    } else if (msg->id == WL_MSG_FETCHED) {
        query_fetched(self, msg);
    } else if (msg->id == WL_MSG_GATHER) {
        query_gather(self, msg);
    } else if (msg->id == WL_MSG_LIVED) {
        wl_live_reads_lived(self->live, msg);
    } else if (msg->id == WL_MSG_STORED) {
        query_stored(self, msg);
    } else if (msg->id != WL_MSG_LINE) {
        WL_COUNT(&self->hub.counters, msg_unexpected, 1);
    }
}

static void query_configured(void *actor) {
    query_t *self = actor;
    wl_render_configured(&self->render);
    wl_live_reads_configured(self->live);
}

static wl_err_t query_open(void *actor, zsock_t *pipe, wl_boot_t *boot) {
    query_t *self = actor;
    const wl_hub_handlers_t handlers = {
        .take = query_take,
        .tick = query_tick,
        .hurried = query_hurried,
        .configured = query_configured,
        .tick_ms = TICK_MS,
    };
    self->next_sweep = INT64_MAX;
    wl_render_open(&self->render);
    wl_err_t err = wl_hub_open(&self->hub, pipe, boot, &handlers, self, &boot->fault);
    if (err != WL_OK) {
        return err;
    }
    uint32_t shards = (uint32_t)self->hub.settings->shard_instances;
    uint32_t share = (uint32_t)self->hub.settings->query_fetches_max / shards;
    self->lane_max = share == 0 ? 1 : share;
    self->wait_max =
        WAITING_MAX / shards < WAITING_SHARE_MIN ? WAITING_SHARE_MIN : WAITING_MAX / shards;
    self->lanes = wl_alloc_zero(shards, sizeof *self->lanes);
    self->live = wl_live_reads_new(&self->hub, &self->render);
    return WL_OK;
}

static void query_close(void *actor) {
    query_t *self = actor;
    flight_t *flight = NULL;
    flight_t *next = NULL;
    HASH_ITER(hh, self->flights, flight, next) {
        query_land(self, flight);
    }
    wl_free(self->lanes);
    wl_live_reads_destroy(&self->live);
    wl_render_close(&self->render);
    wl_hub_close(&self->hub);
    wl_free(self);
}

void wl_query_run(zsock_t *pipe, void *boot) {
    query_t *self = wl_alloc_zero(1, sizeof *self);
    wl_hub_live(&self->hub, pipe, boot, query_open, query_close, self);
}
