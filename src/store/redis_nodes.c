#include "store/redis_nodes.h"

#include "base/alloc.h"
#include "base/random.h"

#include <stdio.h>
#include <string.h>

enum {
    SEEDS_MAX = 16,
    NOBODY = WL_REDIS_NO_SERVER, /* in serving */
    REFRESH_MS_MIN = 50,         /* between two readings of the slot map */
    REFRESH_MS_MAX = 1000,       /* the same while it does not help */
    SEEDS_KEPT_MS = 5000,   /* how long connections to seeds are kept while nobody else is there */
    TARGETS_KEPT_MS = 5000, /* and those to the target of an ASK, and to former masters */
};

typedef struct {
    wl_redis_node_t *node; /* owned, NULL = free */
    bool master;           /* serves slots, as far as we know */
    int64_t keep_until;    /* when it is none */
} place_t;

struct wl_redis_nodes {
    wl_redis_owner_t *owner;             /* borrowed */
    bool cluster;                        /* there is a slot map */
    wl_redis_address_t seeds[SEEDS_MAX]; /* as configured */
    uint32_t seed_count;                 /* of seeds */
    place_t at[WL_REDIS_NODES_MAX];      /* a node keeps its place */
    uint32_t next;                       /* place that has the turn for commands without a key */
    bool mapped;                         /* the slot map was read at least once */
    bool doubtful;                       /* it has to be read again */
    bool reading;                        /* that is under way */
    int64_t read_at;                     /* not before */
    uint32_t vain;                       /* readings in a row that did not help */
    uint8_t serving[WL_REDIS_SLOTS];     /* index into at, or NOBODY */
    uint64_t moved[WL_REDIS_SLOTS];      /* link number of the last move, 0 = never */
};

/* ---- places ---------------------------------------------------------------------------------- */

/* Index of the node at that address, WL_REDIS_NODES_MAX = none. */
static uint32_t nodes_find(const wl_redis_nodes_t *self, const wl_redis_address_t *address) {
    uint32_t i = 0;
    while (i < WL_REDIS_NODES_MAX &&
           (self->at[i].node == NULL ||
            !wl_redis_address_equal(wl_redis_node_address(self->at[i].node), address))) {
        i++;
    }
    return i;
}

/* The same, and makes it when there is none; WL_REDIS_NODES_MAX = all places are taken. */
static uint32_t nodes_add(wl_redis_nodes_t *self, const wl_redis_address_t *address,
                          int64_t keep_until) {
    uint32_t i = nodes_find(self, address);
    if (i == WL_REDIS_NODES_MAX && address->ip[0] != '\0') {
        for (i = 0; i < WL_REDIS_NODES_MAX && self->at[i].node != NULL;) {
            i++;
        }
        if (i < WL_REDIS_NODES_MAX) {
            self->at[i] = (place_t){.node = wl_redis_node_new(self->owner, address)};
        }
    }
    if (i < WL_REDIS_NODES_MAX && keep_until > self->at[i].keep_until) {
        self->at[i].keep_until = keep_until;
    }
    return i;
}

static void nodes_add_seeds(wl_redis_nodes_t *self, int64_t keep_until) {
    for (uint32_t i = 0; i < self->seed_count; i++) {
        (void)nodes_add(self, &self->seeds[i], keep_until);
    }
}

static void nodes_drop_unused(wl_redis_nodes_t *self, int64_t now) {
    for (uint32_t i = 0; i < WL_REDIS_NODES_MAX; i++) {
        place_t *place = &self->at[i];
        if (place->node != NULL && !place->master && place->keep_until <= now &&
            wl_redis_node_is_idle(place->node)) {
            wl_redis_node_destroy(&place->node);
        }
    }
}

/* ---- life ------------------------------------------------------------------------------------ */

static wl_err_t nodes_read_seeds(wl_redis_nodes_t *self, const char *seeds, wl_fault_t *fault) {
    for (const char *at = seeds;; at++) {
        size_t bytes = strcspn(at, ",");
        if (self->seed_count == SEEDS_MAX) {
            return wl_fault(fault, WL_ERR_SETTINGS, "nodes", "more than %d nodes", SEEDS_MAX);
        }
        wl_redis_address_t *seed = &self->seeds[self->seed_count];
        if (wl_redis_address_read(at, bytes, seed) != WL_OK) {
            return wl_fault(fault, WL_ERR_SETTINGS, "nodes", "\"%.*s\" is not host:port",
                            bytes < 100 ? (int)bytes : 100, at);
        }
        if (wl_redis_address_resolve(seed) != WL_OK) {
            return wl_fault(fault, WL_ERR_SETTINGS, "nodes", "no address for %.100s", seed->host);
        }
        self->seed_count++;
        at += bytes;
        if (*at == '\0') {
            return WL_OK;
        }
    }
}

wl_err_t wl_redis_nodes_new(wl_redis_owner_t *owner, const char *seeds, bool cluster,
                            wl_redis_nodes_t **ret, wl_fault_t *fault) {
    wl_redis_nodes_t *self = wl_alloc_zero(1, sizeof *self);
    self->owner = owner;
    self->cluster = cluster;
    self->doubtful = cluster;
    memset(self->serving, NOBODY, sizeof self->serving);
    wl_err_t err = nodes_read_seeds(self, seeds, fault);
    if (err == WL_OK && !cluster && self->seed_count != 1) {
        err = wl_fault(fault, WL_ERR_SETTINGS, "nodes", "several nodes are for a cluster only");
    }
    if (err != WL_OK) {
        wl_redis_nodes_destroy(&self);
        return err;
    }
    nodes_add_seeds(self, INT64_MAX);
    *ret = self;
    return WL_OK;
}

void wl_redis_nodes_destroy(wl_redis_nodes_t **pointer) {
    wl_redis_nodes_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    for (uint32_t i = 0; i < WL_REDIS_NODES_MAX; i++) {
        wl_redis_node_destroy(&self->at[i].node);
    }
    wl_free(self);
    *pointer = NULL;
}

/* ---- who serves what ------------------------------------------------------------------------- */

/* Before the first slot map: WL_ERR_EMPTY as long as any seed may still answer. */
static wl_err_t nodes_hope(const wl_redis_nodes_t *self) {
    wl_err_t err = WL_ERR_UNAVAILABLE;
    for (uint32_t i = 0; i < WL_REDIS_NODES_MAX; i++) {
        if (self->at[i].node != NULL) {
            wl_err_t state = wl_redis_node_state(self->at[i].node);
            if (state == WL_OK && self->vain == 0) {
                return WL_ERR_EMPTY;
            }
            err = state == WL_ERR_UNAUTHORIZED ? state : err;
        }
    }
    return err;
}

/* The masters take turns; those that are connected first. */
static wl_err_t nodes_any_master(wl_redis_nodes_t *self, wl_redis_node_t **ret) {
    wl_err_t err = WL_ERR_UNAVAILABLE;
    for (uint32_t i = 0; i < WL_REDIS_NODES_MAX; i++) {
        uint32_t index = (self->next + 1 + i) % WL_REDIS_NODES_MAX;
        const place_t *place = &self->at[index];
        if (place->node != NULL && place->master && wl_redis_node_state(place->node) == WL_OK) {
            *ret = place->node;
            err = WL_OK;
            if (wl_redis_node_is_up(place->node)) {
                self->next = index;
                return WL_OK;
            }
        }
    }
    return err;
}

wl_err_t wl_redis_nodes_route(wl_redis_nodes_t *self, uint16_t slot, wl_redis_node_t **ret) {
    if (!self->cluster) {
        *ret = self->at[0].node;
        return wl_redis_node_state(*ret);
    }
    if (!self->mapped) {
        return nodes_hope(self);
    }
    wl_err_t err = WL_ERR_UNAVAILABLE;
    if (slot == WL_REDIS_ANY_SLOT) {
        err = nodes_any_master(self, ret);
    } else if (self->serving[slot] != NOBODY) {
        *ret = self->at[self->serving[slot]].node;
        err = wl_redis_node_state(*ret);
    }
    if (err != WL_OK) {
        wl_redis_nodes_doubt(self);
    }
    return err;
}

wl_err_t wl_redis_nodes_redirect(wl_redis_nodes_t *self, const wl_redis_redirect_t *redirect,
                                 int64_t now, wl_redis_node_t **ret) {
    uint32_t i = nodes_add(self, &redirect->to, now + TARGETS_KEPT_MS);
    if (!redirect->ask || i == WL_REDIS_NODES_MAX) {
        wl_redis_nodes_doubt(self);
    }
    if (i == WL_REDIS_NODES_MAX) {
        return WL_ERR_UNAVAILABLE; /* a name that the slot map will explain, or no place */
    }
    if (!redirect->ask && self->serving[redirect->slot] != i) {
        self->serving[redirect->slot] = (uint8_t)i;
        self->moved[redirect->slot] = ++self->owner->links;
        self->at[i].master = true;
    }
    *ret = self->at[i].node;
    return wl_redis_node_state(*ret);
}

uint64_t wl_redis_nodes_link(const wl_redis_nodes_t *self, uint16_t slot) {
    if (!self->cluster) {
        return wl_redis_node_link(self->at[0].node);
    }
    if (self->serving[slot] == NOBODY) {
        return 0;
    }
    uint64_t link = wl_redis_node_link(self->at[self->serving[slot]].node);
    return link == 0 || link > self->moved[slot] ? link : self->moved[slot];
}

uint32_t wl_redis_nodes_server(const wl_redis_nodes_t *self, uint16_t slot) {
    return self->cluster ? self->serving[slot] : 0;
}

/* ---- the slot map ---------------------------------------------------------------------------- */

void wl_redis_nodes_doubt(wl_redis_nodes_t *self) {
    self->doubtful = self->cluster;
}

static void nodes_apply_map(wl_redis_nodes_t *self, const wl_redis_slots_t *map, int64_t now) {
    uint8_t places[WL_REDIS_MASTERS_MAX];
    for (uint32_t i = 0; i < WL_REDIS_NODES_MAX; i++) {
        self->at[i].master = false;
        self->at[i].keep_until = now + TARGETS_KEPT_MS;
    }
    for (uint32_t i = 0; i < map->master_count; i++) {
        uint32_t place = nodes_add(self, &map->masters[i], 0);
        places[i] = place < WL_REDIS_NODES_MAX ? (uint8_t)place : (uint8_t)NOBODY;
        if (place < WL_REDIS_NODES_MAX) {
            self->at[place].master = true;
        }
    }
    uint64_t link = ++self->owner->links; /* greater than that of any connection before */
    for (uint32_t slot = 0; slot < WL_REDIS_SLOTS; slot++) {
        uint8_t owner = map->owner[slot];
        uint8_t place = owner == WL_REDIS_NO_MASTER ? (uint8_t)NOBODY : places[owner];
        if (self->serving[slot] != place) {
            self->serving[slot] = place;
            self->moved[slot] = self->mapped ? link : 0;
        }
    }
    self->mapped = true;
}

/* Whether every slot has a master that is connected, or may be in a moment. */
static bool nodes_whole(const wl_redis_nodes_t *self) {
    for (uint32_t i = 0; i < WL_REDIS_NODES_MAX; i++) {
        const place_t *place = &self->at[i];
        if (place->node != NULL && place->master && wl_redis_node_state(place->node) != WL_OK) {
            return false;
        }
    }
    return memchr(self->serving, NOBODY, sizeof self->serving) == NULL;
}

void wl_redis_nodes_take_map(wl_redis_nodes_t *self, wl_redis_node_t *from, const redisReply *reply,
                             int64_t now) {
    self->reading = false;
    bool better = false;
    if (reply != NULL) {
        wl_redis_slots_t *map = wl_alloc(sizeof *map);
        if (wl_redis_slots_read(map, reply, wl_redis_node_address(from)) == WL_OK) {
            nodes_apply_map(self, map, now);
            better = nodes_whole(self);
        } else {
            (void)snprintf(self->owner->problem, sizeof self->owner->problem,
                           "%.40s:%u: no slot map: %.60s", wl_redis_node_address(from)->host,
                           (unsigned)wl_redis_node_address(from)->port,
                           reply->type == REDIS_REPLY_ERROR ? reply->str : "not understood");
        }
        wl_free(map);
    }
    self->vain = better ? 0 : self->vain + 1;
    self->doubtful = !better;
    uint32_t wait = (uint32_t)REFRESH_MS_MIN << (self->vain < 5 ? self->vain : 5);
    wait = wait < REFRESH_MS_MAX ? wait : REFRESH_MS_MAX;
    self->read_at = now + wait / 2 + wl_random_below(wait / 2 + 1);
}

/* Any connected node, at random: one that lives in the past does not keep us there. NULL: none. */
static wl_redis_node_t *nodes_pick_up(const wl_redis_nodes_t *self) {
    wl_redis_node_t *up[WL_REDIS_NODES_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < WL_REDIS_NODES_MAX; i++) {
        if (self->at[i].node != NULL && wl_redis_node_is_up(self->at[i].node)) {
            up[count++] = self->at[i].node;
        }
    }
    return count == 0 ? NULL : up[wl_random_below(count)];
}

static void nodes_read_map(wl_redis_nodes_t *self, int64_t now) {
    wl_redis_node_t *node = nodes_pick_up(self);
    if (node == NULL) {
        nodes_add_seeds(self, now + SEEDS_KEPT_MS);
        return;
    }
    wl_redis_arg_t args[] = {{"CLUSTER", 7}, {"SLOTS", 5}};
    wl_redis_command_t *command = wl_redis_command_new(WL_REDIS_FOR_MAP, args, WL_COUNT_OF(args),
                                                       now + self->owner->timeout_ms);
    self->reading = true;
    wl_redis_node_send(node, command);
}

/* ---- serving --------------------------------------------------------------------------------- */

void wl_redis_nodes_turn(wl_redis_nodes_t *self, int64_t now) {
    if (self->doubtful && !self->reading && self->read_at <= now) {
        nodes_read_map(self, now);
    }
    for (uint32_t i = 0; i < WL_REDIS_NODES_MAX; i++) {
        if (self->at[i].node != NULL) {
            wl_redis_node_turn(self->at[i].node, now);
        }
    }
    nodes_drop_unused(self, now);
}

void wl_redis_nodes_ready(wl_redis_nodes_t *self, int fd, short events, int64_t now) {
    for (uint32_t i = 0; i < WL_REDIS_NODES_MAX; i++) {
        if (self->at[i].node != NULL && wl_redis_node_fd(self->at[i].node) == fd) {
            wl_redis_node_ready(self->at[i].node, events, now);
            break;
        }
    }
    if (self->doubtful && !self->reading && self->read_at <= now) {
        nodes_read_map(self, now); /* the first map need not wait for the next turn */
    }
}

uint32_t wl_redis_nodes_poll(const wl_redis_nodes_t *self, struct pollfd *ret_items) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < WL_REDIS_NODES_MAX; i++) {
        const wl_redis_node_t *node = self->at[i].node;
        if (node != NULL && wl_redis_node_fd(node) != -1) {
            ret_items[count++] =
                (struct pollfd){.fd = wl_redis_node_fd(node), .events = wl_redis_node_events(node)};
        }
    }
    return count;
}

uint32_t wl_redis_nodes_up(const wl_redis_nodes_t *self) {
    uint32_t up = 0;
    for (uint32_t i = 0; i < WL_REDIS_NODES_MAX; i++) {
        const place_t *place = &self->at[i];
        up += place->node != NULL && (place->master || !self->cluster) &&
                      wl_redis_node_is_up(place->node)
                  ? 1
                  : 0;
    }
    return up;
}
