#include "domain/cache_trust.h"

#include "base/alloc.h"
#include "base/check.h"

typedef struct {
    uint64_t link;      /* of the connection, 0 = none was made yet */
    bool anew;          /* made anew, and the server's clock is not known since */
    int64_t fresh_from; /* server's clock: copies filled before are not served; 0 = all */
    int64_t looked_at;  /* monotonic ms when the markers were asked for, 0 = not over this one */
    int64_t since[WL_TRUST_PARTITIONS_MAX];
} server_t;

struct wl_cache_trust {
    server_t servers[WL_TRUST_SERVERS];
    uint32_t partitions;
    int64_t opened_at; /* monotonic ms */
};

wl_cache_trust_t *wl_cache_trust_new(uint32_t partitions, int64_t now) {
    WL_ASSERT(partitions > 0 && partitions <= WL_TRUST_PARTITIONS_MAX);
    wl_cache_trust_t *self = wl_alloc_zero(1, sizeof *self);
    self->partitions = partitions;
    self->opened_at = now;
    return self;
}

void wl_cache_trust_destroy(wl_cache_trust_t **self) {
    if (self != NULL && *self != NULL) {
        wl_free(*self);
        *self = NULL;
    }
}

bool wl_cache_trust_link(wl_cache_trust_t *self, uint32_t server, uint64_t link, int64_t now) {
    if (server >= WL_TRUST_SERVERS || link == 0 || self->servers[server].link == link) {
        return false;
    }
    server_t *at = &self->servers[server];
    bool first = at->link == 0 && now - self->opened_at < WL_TRUST_STARTING_MS;
    at->link = link;
    at->looked_at = 0;
    at->anew = at->anew || !first;
    return !first;
}

void wl_cache_trust_looked(wl_cache_trust_t *self, uint32_t server, uint64_t link,
                           int64_t server_now, const int64_t *since, int64_t now) {
    if (server >= WL_TRUST_SERVERS || link == 0 || self->servers[server].link != link) {
        return; /* read over a connection that has gone */
    }
    server_t *at = &self->servers[server];
    if (at->anew) {
        at->anew = false;
        at->fresh_from = server_now;
    }
    for (uint32_t i = 0; i < self->partitions; i++) {
        at->since[i] = since[i];
    }
    at->looked_at = now;
}

bool wl_cache_trust_knows(const wl_cache_trust_t *self, uint32_t server, uint64_t link,
                          int64_t now) {
    if (server >= WL_TRUST_SERVERS || link == 0) {
        return false;
    }
    const server_t *at = &self->servers[server];
    return at->link == link && !at->anew && at->looked_at > 0 &&
           now - at->looked_at < WL_TRUST_SEEN_MS;
}

bool wl_cache_trust_serves(const wl_cache_trust_t *self, uint32_t server, uint64_t link,
                           uint32_t partition, int64_t filled_at, int64_t now) {
    if (partition >= self->partitions || !wl_cache_trust_knows(self, server, link, now)) {
        return false;
    }
    const server_t *at = &self->servers[server];
    return at->since[partition] > 0 && filled_at >= at->since[partition] &&
           filled_at >= at->fresh_from;
}
