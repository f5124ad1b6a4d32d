#include "store/redis_nodes.h"

#include "base/alloc.h"

#include <string.h>

enum { SEEDS_MAX = 16 };

struct wl_redis_nodes {
    wl_redis_owner_t *owner;                 /* borrowed */
    bool cluster;                            /* there is a slot map */
    wl_redis_address_t seeds[SEEDS_MAX];     /* as configured */
    uint32_t seed_count;                     /* of seeds */
    wl_redis_node_t *at[WL_REDIS_NODES_MAX]; /* owned */
    uint32_t count;                          /* of at */
};

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
    wl_err_t err = nodes_read_seeds(self, seeds, fault);
    if (err == WL_OK && !cluster && self->seed_count != 1) {
        err = wl_fault(fault, WL_ERR_SETTINGS, "nodes", "several nodes are for a cluster only");
    }
    if (err != WL_OK) {
        wl_redis_nodes_destroy(&self);
        return err;
    }
    self->at[self->count++] = wl_redis_node_new(owner, &self->seeds[0]);
    *ret = self;
    return WL_OK;
}

void wl_redis_nodes_destroy(wl_redis_nodes_t **pointer) {
    wl_redis_nodes_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    for (uint32_t i = 0; i < self->count; i++) {
        wl_redis_node_destroy(&self->at[i]);
    }
    wl_free(self);
    *pointer = NULL;
}

/* ---- who serves what --------------------------------------------------------------------------- */

wl_err_t wl_redis_nodes_route(wl_redis_nodes_t *self, uint16_t slot, wl_redis_node_t **ret) {
    (void)slot;
    *ret = self->at[0];
    return wl_redis_node_state(self->at[0]);
}

uint64_t wl_redis_nodes_link(const wl_redis_nodes_t *self, uint16_t slot) {
    (void)slot;
    return wl_redis_node_link(self->at[0]);
}

/* ---- serving ----------------------------------------------------------------------------------- */

void wl_redis_nodes_turn(wl_redis_nodes_t *self, int64_t now) {
    for (uint32_t i = 0; i < self->count; i++) {
        wl_redis_node_turn(self->at[i], now);
    }
}

void wl_redis_nodes_ready(wl_redis_nodes_t *self, int fd, short events, int64_t now) {
    for (uint32_t i = 0; i < self->count; i++) {
        if (wl_redis_node_fd(self->at[i]) == fd) {
            wl_redis_node_ready(self->at[i], events, now);
            return;
        }
    }
}

uint32_t wl_redis_nodes_count(const wl_redis_nodes_t *self) {
    return self->count;
}

wl_redis_node_t *wl_redis_nodes_at(const wl_redis_nodes_t *self, uint32_t index) {
    return self->at[index];
}

uint32_t wl_redis_nodes_up(const wl_redis_nodes_t *self) {
    uint32_t up = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        up += wl_redis_node_is_up(self->at[i]) ? 1 : 0;
    }
    return up;
}
