#include "actors/cache_remote.h"

#include "actors/cache_puts.h"
#include "actors/redis_loop.h"
#include "actors/store_options.h"
#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/slot.h"
#include "base/table.h"
#include "domain/cache_trust.h"
#include "domain/recent_users.h"
#include "store/cache_redis.h"

#include <string.h>
#include <utlist.h>

enum {
    WAITING_MAX = 65536,  /* reads */
    LOOK_MS = 250,        /* how often markers are read */
    RENEW_MS = 1000,      /* how often ours are renewed */
    RETRY_MS = 250,       /* how often held puts are tried again */
    RENEW_VALID_MS = 500, /* a renewal that takes longer does not count */
    TAGS_MAX = 4096,      /* tried to find one for each server */
    NO_TAG = TAGS_MAX,    /* all tags are below */
    /* Of a put that failed: our last renewal counts until RENEW_VALID_MS later, the marker then
     * lives its life, and a look sent before its end may be believed for WL_TRUST_SEEN_MS, however
     * long answers take. */
    GIVE_UP_MS = RENEW_VALID_MS + WL_CACHE_MARKER_MS + WL_TRUST_SEEN_MS,
    /* Then the writer has taken the user out, or it has not and its marker has vanished. */
    WITHDRAWN_MS = GIVE_UP_MS + 3500,
    WITHDRAWN_MAX = 65536,
};

typedef struct waiter {
    wl_read_item_t read;
    uint32_t frontend;
    int64_t until;              /* monotonic ms; then the database has to answer */
    struct waiter *prev, *next; /* utlist */
    uint8_t bytes[];            /* filter, floors */
} waiter_t;

/* A user being asked for. */
typedef struct {
    uint64_t uid; /* the key */
    wl_cache_remote_t *remote;
    uint32_t server; /* asked */
    uint64_t link;   /* over which it was asked */
    waiter_t *waiters;
    UT_hash_handle hh;
} flight_t;

typedef struct {
    uint32_t tag;        /* whose slot it serves, NO_TAG = not found */
    int64_t look_at;     /* monotonic ms of the next look */
    int64_t renew_at;    /* of the next renewal */
    uint64_t look_link;  /* over which the look under way was sent */
    uint64_t clock_link; /* over which the clock was read */
    int64_t clock;       /* the server's, minus our monotonic ms */
    int64_t look_sent;   /* monotonic ms when it was sent */
    bool looking;        /* a look is under way */
    bool afresh;         /* our next marker begins now */
} server_t;

struct wl_cache_remote {
    wl_hub_t *hub; /* borrowed */
    wl_cache_remote_to_t to;
    wl_redis_t *redis;            /* owned */
    wl_redis_loop_t *loop;        /* owned */
    wl_cache_redis_t *cache;      /* owned */
    wl_cache_trust_t *trust;      /* owned */
    flight_t *flights;            /* owned, by uid */
    uint32_t waiting;             /* reads in all flights */
    wl_cache_puts_t *puts;        /* owned */
    wl_recent_users_t *withdrawn; /* owned; whose copies may be older than that */
    int64_t retry_at;
    uint32_t partitions;
    int64_t held_until[WL_TRUST_PARTITIONS_MAX]; /* monotonic ms: leases of this writer */
    server_t servers[WL_TRUST_SERVERS];
    int64_t tags_at; /* when tags are looked for again */
    bool closing;
};

/* ---- reads ---------------------------------------------------------------------------------- */

static void flight_pass_on(flight_t *flight, waiter_t *waiter, const wl_asset_t *assets,
                           uint32_t count, int64_t now) {
    wl_cache_remote_t *self = flight->remote;
    DL_DELETE(flight->waiters, waiter);
    self->waiting--;
    if (self->closing) {
        wl_free(waiter);
        return;
    }
    if (waiter->read.deadline_at < now) { /* the frontend has given it up */
        WL_COUNT(&self->hub->counters, rpc_late, 1);
    } else {
        self->to.answered(self->to.ctx, waiter->frontend, &waiter->read, assets, count);
    }
    wl_free(waiter);
}

/* Hands every waiter on; the flight is gone afterwards. */
static void flight_land(flight_t *flight, const wl_asset_t *assets, uint32_t count) {
    wl_cache_remote_t *self = flight->remote;
    int64_t now = wl_mono_now().ms;
    HASH_DEL(self->flights, flight);
    while (flight->waiters != NULL) {
        flight_pass_on(flight, flight->waiters, assets, count, now);
    }
    wl_free(flight);
}

/* Reads that Redis has kept waiting for half of their budget miss. */
static void flights_sweep(wl_cache_remote_t *self, int64_t now) {
    flight_t *flight = NULL;
    flight_t *after = NULL;
    HASH_ITER(hh, self->flights, flight, after) {
        waiter_t *waiter = NULL;
        waiter_t *next = NULL;
        DL_FOREACH_SAFE(flight->waiters, waiter, next) {
            if (waiter->until <= now) {
                flight_pass_on(flight, waiter, NULL, 0, now);
            }
        }
    }
}

/* May a copy be served that was asked for over this connection? */
static bool copy_serves(const wl_cache_remote_t *self, uint64_t uid, uint32_t server, uint64_t link,
                        uint32_t partition, int64_t filled_at) {
    int64_t now = wl_mono_now().ms;
    return !wl_recent_users_has(self->withdrawn, uid, now) &&
           wl_cache_redis_link(self->cache, uid) == link &&
           wl_cache_trust_serves(self->trust, server, link, partition, filled_at, now);
}

static void on_copy(wl_err_t err, const wl_cache_copy_t *copy, void *ctx) {
    flight_t *flight = ctx;
    wl_cache_remote_t *self = flight->remote;
    uint32_t partition = wl_uid_owner(flight->uid, self->partitions);
    bool served = err == WL_OK && copy_serves(self, flight->uid, flight->server, flight->link,
                                              partition, copy->filled_at);
    WL_COUNT(&self->hub->counters, cache_untrusted, err == WL_OK && !served);
    WL_COUNT(&self->hub->counters, cache_damaged, err == WL_ERR_DAMAGED);
    WL_COUNT(&self->hub->counters, cache_redis_failures,
             err != WL_OK && err != WL_ERR_DAMAGED && err != WL_ERR_NOT_FOUND);
    flight_land(flight, served ? copy->assets : NULL, served ? copy->count : 0);
}

static uint8_t *bytes_keep(uint8_t *into, const wl_bytes_t *from, wl_bytes_t *ret) {
    if (from->count > 0) {
        memcpy(into, from->at, from->count);
    }
    *ret = (wl_bytes_t){into, from->count};
    return into + from->count;
}

/* The read outlives its message; marks are looked up when it is answered. */
static waiter_t *waiter_new(uint32_t frontend, const wl_read_item_t *read) {
    waiter_t *self = wl_alloc(sizeof *self + read->filter.count + read->floors.count);
    self->read = *read;
    self->frontend = frontend;
    self->until = read->deadline_at - (read->deadline_at - wl_mono_now().ms) / 2;
    self->read.marks = (wl_bytes_t){NULL, 0};
    uint8_t *at = bytes_keep(self->bytes, &read->filter, &self->read.filter);
    (void)bytes_keep(at, &read->floors, &self->read.floors);
    return self;
}

void wl_cache_remote_read(wl_cache_remote_t *self, uint32_t frontend, const wl_read_item_t *read) {
    flight_t *flight = NULL;
    uint64_t link = wl_cache_redis_link(self->cache, read->uid);
    if (link == 0 || self->waiting >= WAITING_MAX || /* nobody would answer, or not in time */
        wl_recent_users_has(self->withdrawn, read->uid, wl_mono_now().ms)) {
        wl_read_item_t missed = *read;
        self->to.answered(self->to.ctx, frontend, &missed, NULL, 0);
        return;
    }
    HASH_FIND(hh, self->flights, &read->uid, sizeof read->uid, flight);
    bool joined = flight != NULL;
    if (!joined) {
        flight = wl_alloc_zero(1, sizeof *flight);
        flight->uid = read->uid;
        flight->remote = self;
        flight->link = link;
        flight->server = wl_cache_redis_server(self->cache, read->uid);
        HASH_ADD(hh, self->flights, uid, sizeof flight->uid, flight);
    }
    waiter_t *waiter = waiter_new(frontend, read);
    DL_APPEND(flight->waiters, waiter);
    self->waiting++;
    if (!joined) {
        wl_cache_redis_get(self->cache, read->uid, on_copy, flight);
    }
}

static void on_filled(wl_err_t err, void *ctx) {
    wl_cache_remote_t *self = ctx;
    bool refused = err == WL_ERR_CONFLICT || err == WL_ERR_TOO_BIG;
    WL_COUNT(&self->hub->counters, cache_fill_refused, refused);
    WL_COUNT(&self->hub->counters, cache_redis_failures, err != WL_OK && !refused);
}

/* A fill that takes longer does not count. What it has not seen may be a put that was given up,
 * which leaves nothing in Redis; the rest of GIVE_UP_MS is for its way here from the database. */
enum { FILL_VALID_MS = 2000 };
static_assert(2 * FILL_VALID_MS < GIVE_UP_MS, "a fill ends before a put that it has not seen");

void wl_cache_remote_fill(wl_cache_remote_t *self, uint64_t commit_seq,
                          const wl_fill_item_t *fill) {
    uint32_t number = wl_cache_redis_server(self->cache, fill->uid);
    uint64_t link = wl_cache_redis_link(self->cache, fill->uid);
    if (link == 0 || number >= WL_TRUST_SERVERS || self->servers[number].clock_link != link) {
        on_filled(WL_ERR_UNAVAILABLE, self); /* nobody is there, or its clock is not known yet */
        return;
    }
    int64_t until = wl_mono_now().ms + self->servers[number].clock + FILL_VALID_MS;
    wl_cache_redis_fill(self->cache, fill->uid, fill->assets.at, fill->assets.count, commit_seq,
                        until, on_filled, self);
}

/* ---- comparing ------------------------------------------------------------------------------ */

typedef struct {
    wl_cache_remote_t *remote;
    uint64_t uid;
    uint32_t server;
    uint64_t link;
    wl_cache_remote_peek_fn fn;
    void *ctx;
} peek_t;

static void on_peeked(wl_err_t err, const wl_cache_copy_t *copy, void *ctx) {
    peek_t *peek = ctx;
    wl_cache_remote_t *self = peek->remote;
    uint32_t partition = wl_uid_owner(peek->uid, self->partitions);
    bool served = err == WL_OK && copy_serves(self, peek->uid, peek->server, peek->link, partition,
                                              copy->filled_at);
    bool absent = err == WL_ERR_NOT_FOUND || err == WL_ERR_DAMAGED;
    if (err == WL_OK &&
        !wl_cache_trust_knows(self->trust, peek->server, peek->link, wl_mono_now().ms)) {
        err = WL_ERR_UNAVAILABLE; /* as after a start: the markers have not been read yet */
    }
    peek->fn(peek->ctx, absent ? WL_OK : err, served ? copy->assets : NULL,
             served ? copy->count : 0);
    wl_free(peek);
}

void wl_cache_remote_peek(wl_cache_remote_t *self, uint64_t uid, wl_cache_remote_peek_fn fn,
                          void *ctx) {
    peek_t *peek = wl_alloc(sizeof *peek);
    *peek = (peek_t){
        self, uid, wl_cache_redis_server(self->cache, uid), wl_cache_redis_link(self->cache, uid),
        fn,   ctx};
    wl_cache_redis_get(self->cache, uid, on_peeked, peek);
}

/* Servers in the upper bits: SCAN's own cursors are smaller than any table of keys. */
enum { CURSOR_BITS = 56 };

typedef struct {
    wl_cache_remote_t *remote;
    uint32_t server;
    wl_cache_users_fn fn;
    void *ctx;
} scan_t;

/* The next server that has a tag, from `from` on; WL_TRUST_SERVERS: none. */
static uint32_t server_next(const wl_cache_remote_t *self, uint32_t from) {
    while (from < WL_TRUST_SERVERS && self->servers[from].tag == NO_TAG) {
        from++;
    }
    return from;
}

static void on_scanned(wl_err_t err, const uint64_t *uids, uint32_t count, uint64_t next,
                       void *ctx) {
    scan_t *scan = ctx;
    uint32_t server = scan->server;
    if (next >> CURSOR_BITS != 0) {
        err = WL_ERR_DAMAGED;
    } else if (next == 0) {
        server = server_next(scan->remote, server + 1);
    }
    uint64_t after = server == WL_TRUST_SERVERS ? 0 : (uint64_t)server << CURSOR_BITS | next;
    scan->fn(err, uids, count, after, scan->ctx);
    wl_free(scan);
}

void wl_cache_remote_scan(wl_cache_remote_t *self, uint64_t cursor, uint32_t max,
                          wl_cache_users_fn fn, void *ctx) {
    uint32_t server = server_next(self, (uint32_t)(cursor >> CURSOR_BITS));
    if (server == WL_TRUST_SERVERS) {
        fn(WL_ERR_UNAVAILABLE, NULL, 0, 0, ctx);
        return;
    }
    scan_t *scan = wl_alloc(sizeof *scan);
    *scan = (scan_t){self, server, fn, ctx};
    wl_cache_redis_scan(self->cache, self->servers[server].tag,
                        cursor & (((uint64_t)1 << CURSOR_BITS) - 1), max, on_scanned, scan);
}

void wl_cache_remote_drop(wl_cache_remote_t *self, uint64_t uid) {
    wl_cache_redis_forget(self->cache, uid, 0, NULL, NULL);
}

/* ---- puts ----------------------------------------------------------------------------------- */

void wl_cache_remote_put(wl_cache_remote_t *self, const wl_stored_head_t *head,
                         const wl_stored_item_t *stored) {
    wl_cache_puts_put(self->puts, head, stored);
}

void wl_cache_remote_withdraw(wl_cache_remote_t *self, const wl_stored_head_t *head,
                              const wl_stored_item_t *stored) {
    int64_t now = wl_mono_now().ms;
    wl_recent_users_add(self->withdrawn, stored->uid, now, now + WITHDRAWN_MS);
    if (head->dispatcher == WL_DISPATCHER_NONE) {
        self->to.withdrawn(self->to.ctx, head, stored);
    } else {
        wl_cache_puts_withdraw(self->puts, head, stored);
    }
}

/* All markers begin anew: what was written before may not be there. */
static void servers_afresh(wl_cache_remote_t *self) {
    for (uint32_t i = 0; i < WL_TRUST_SERVERS; i++) {
        self->servers[i].afresh = true;
    }
}

/* ---- markers -------------------------------------------------------------------------------- */

/* Finds for each server a tag whose keys it serves. */
static void tags_find(wl_cache_remote_t *self) {
    for (uint32_t i = 0; i < WL_TRUST_SERVERS; i++) {
        self->servers[i].tag = NO_TAG;
    }
    uint32_t tries = self->hub->settings->cache_cluster ? TAGS_MAX : 1;
    for (uint32_t tag = 0; tag < tries; tag++) {
        uint32_t server = wl_redis_server(self->redis, wl_cache_redis_tag_slot(tag));
        if (server < WL_TRUST_SERVERS && self->servers[server].tag == NO_TAG) {
            self->servers[server].tag = tag;
        }
    }
}

static uint64_t tag_link(wl_cache_remote_t *self, uint32_t tag) {
    char text[24];
    int bytes = snprintf(text, sizeof text, "{%u}", tag);
    return wl_redis_link(self->redis, &(wl_redis_arg_t){text, (size_t)bytes});
}

typedef struct {
    wl_cache_remote_t *remote;
    uint32_t server;
} look_t;

static void on_looked(wl_err_t err, int64_t server_now, const int64_t *since, uint32_t partitions,
                      void *ctx) {
    look_t *look = ctx;
    wl_cache_remote_t *self = look->remote;
    server_t *server = &self->servers[look->server];
    (void)partitions;
    server->looking = false;
    if (err == WL_OK) {
        int64_t now = wl_mono_now().ms;
        server->clock = server_now - now;
        server->clock_link = server->look_link;
        wl_cache_trust_looked(self->trust, look->server, server->look_link, server_now, since,
                              server->look_sent);
    }
    wl_free(look);
}

static void server_look(wl_cache_remote_t *self, uint32_t number, uint64_t link, int64_t now) {
    server_t *server = &self->servers[number];
    look_t *look = wl_alloc(sizeof *look);
    *look = (look_t){self, number};
    server->looking = true;
    server->look_link = link;
    server->look_at = now + LOOK_MS;
    server->look_sent = now;
    wl_cache_redis_look(self->cache, server->tag, self->partitions, on_looked, look);
}

/* A marker that was not renewed, or too late, is not sound any more. */
static void on_renewed(wl_err_t err, void *ctx) {
    server_t *server = ctx;
    server->afresh = server->afresh || err != WL_OK;
}

static void server_renew(wl_cache_remote_t *self, uint32_t number, int64_t now) {
    server_t *server = &self->servers[number];
    int64_t until = now + server->clock + RENEW_VALID_MS;
    for (uint32_t p = 0; p < self->partitions; p++) {
        if (self->held_until[p] > now) {
            wl_cache_redis_renew(self->cache, server->tag, p, server->afresh, until, on_renewed,
                                 server);
        }
    }
    server->afresh = false;
    server->renew_at = now + RENEW_MS;
    server->look_at = now; /* and see it at once */
}

static void servers_serve(wl_cache_remote_t *self, int64_t now) {
    bool renews = wl_role_writes(self->hub->settings) && wl_cache_puts_sound(self->puts);
    for (uint32_t i = 0; i < WL_TRUST_SERVERS; i++) {
        server_t *server = &self->servers[i];
        uint64_t link = server->tag == NO_TAG ? 0 : tag_link(self, server->tag);
        if (link == 0) {
            continue;
        }
        if (wl_cache_trust_link(self->trust, i, link, now)) {
            server->afresh = true;
            server->look_at = now;
            server->renew_at = now;
        }
        if (renews && server->clock_link == link && now >= server->renew_at) {
            server_renew(self, i, now);
        }
        if (now >= server->look_at && !server->looking) {
            server_look(self, i, link, now);
        }
    }
}

void wl_cache_remote_lease(wl_cache_remote_t *self, const wl_msg_t *msg) {
    for (uint32_t i = 0; i < msg->count; i++) {
        const wl_lease_item_t *lease = &msg->items.lease[i];
        if (lease->partition < self->partitions) {
            self->held_until[lease->partition] = lease->until;
        }
    }
}

void wl_cache_remote_tick(wl_cache_remote_t *self) {
    int64_t now = wl_mono_now().ms;
    if (now >= self->tags_at) {
        self->tags_at = now + RENEW_MS;
        tags_find(self);
    }
    servers_serve(self, now);
    flights_sweep(self, now);
    if (now >= self->retry_at) {
        self->retry_at = now + RETRY_MS;
        if (wl_cache_puts_retry(self->puts, now)) {
            servers_afresh(self);
        }
    }
    WL_GAUGE(&self->hub->counters, cache_puts_held, wl_cache_puts_held(self->puts));
    wl_redis_loop_turn(self->loop);
}

void wl_cache_remote_turn(wl_cache_remote_t *self) {
    wl_redis_loop_turn(self->loop);
}

/* ---- life ----------------------------------------------------------------------------------- */

static void on_after(void *arg) {
    wl_cache_remote_t *self = arg;
    wl_hub_flush(self->hub);
}

wl_err_t wl_cache_remote_open(wl_hub_t *hub, const wl_cache_remote_to_t *to,
                              wl_cache_remote_t **ret, wl_fault_t *fault) {
    const wl_settings_t *settings = hub->settings;
    wl_redis_options_t options =
        wl_store_options_redis(settings, settings->cache_redis, settings->cache_cluster);
    wl_redis_t *redis = NULL;
    wl_err_t err = wl_redis_new(&options, &redis, fault);
    if (err != WL_OK) {
        return err;
    }
    int64_t now = wl_mono_now().ms;
    wl_cache_remote_t *self = wl_alloc_zero(1, sizeof *self);
    self->hub = hub;
    self->to = *to;
    self->redis = redis;
    self->partitions = (uint32_t)settings->queue_partitions;
    self->trust = wl_cache_trust_new(self->partitions, now);
    self->withdrawn = wl_recent_users_new(WITHDRAWN_MAX);
    self->cache =
        wl_cache_redis_new(&(wl_cache_redis_options_t){.redis = redis,
                                                       .prefix = settings->cache_prefix,
                                                       .ttl_s = (uint32_t)settings->cache_ttl_s});
    self->puts = wl_cache_puts_new(hub, self->cache, to, GIVE_UP_MS);
    self->loop = wl_redis_loop_new(hub->loop, redis, on_after, self);
    if (!wl_store_shared(settings)) { /* nobody else could hold them */
        for (uint32_t p = 0; p < self->partitions; p++) {
            self->held_until[p] = INT64_MAX;
        }
    }
    tags_find(self);
    *ret = self;
    return WL_OK;
}

void wl_cache_remote_close(wl_cache_remote_t **pointer) {
    wl_cache_remote_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    self->closing = true;
    wl_cache_puts_end(self->puts);
    wl_redis_loop_destroy(&self->loop);
    wl_redis_destroy(&self->redis); /* calls everything under way back */
    wl_cache_puts_destroy(&self->puts);
    WL_ASSERT(self->flights == NULL);
    wl_cache_redis_destroy(&self->cache);
    wl_recent_users_destroy(&self->withdrawn);
    wl_cache_trust_destroy(&self->trust);
    wl_free(self);
    *pointer = NULL;
}
