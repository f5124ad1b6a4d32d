/* cache_trust.h: may a copy from a shared cache be served? Pure bookkeeping, no sockets; one cache
 * thread.
 *
 * A copy is right if every write since it was filled has reached it and has stayed. Two things may
 * break that, and both show:
 *   - A writer's put failed. Each writer keeps a marker per partition on each server: since when
 *     its puts there have succeeded without a break, by the server's clock. It begins anew after
 *     each failure, and vanishes 5 s after the writer can no longer renew it.
 *   - The server forgot: it was killed, or a replica that lagged took its place. Then connections
 *     broke, the writer's (so its marker begins anew) and ours, which may be noticed earlier.
 * So a copy is served only if it was filled after the marker of its user's partition, after our
 * own last connection to that server was made anew, and while the marker was seen lately. All times
 * in `filled_at`, `since` and `server_now` are that server's own clock: clocks of hosts do not
 * matter.
 *
 * The first connections of a process do not count as made anew, or each start would find a cold
 * cache: what broke before is the writers' knowledge. Servers that appear later do count. */
#ifndef WL_DOMAIN_CACHE_TRUST_H
#define WL_DOMAIN_CACHE_TRUST_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WL_TRUST_SERVERS = 128,       /* server numbers are below */
    WL_TRUST_PARTITIONS_MAX = 16, /* of the queue */
    WL_TRUST_STARTING_MS = 5000,  /* connections made so soon after the start are the first ones */
    WL_TRUST_SEEN_MS = 1000       /* markers asked for longer ago say nothing */
};

typedef struct wl_cache_trust wl_cache_trust_t;

/* now: monotonic ms. */
wl_cache_trust_t *wl_cache_trust_new(uint32_t partitions, int64_t now);
void wl_cache_trust_destroy(wl_cache_trust_t **self); /* NULL and *NULL are accepted */

/* The connection to a server has this number now, 0 = there is none. Returns true when it was made
 * anew: whatever was written there before may be gone. */
bool wl_cache_trust_link(wl_cache_trust_t *self, uint32_t server, uint64_t link, int64_t now);

/* The markers were read over that connection: since[partition], 0 = there is none. now: when they
 * were asked for, not when the answer came: writers rely on WL_TRUST_SEEN_MS, and an answer may be
 * old when it comes. */
void wl_cache_trust_looked(wl_cache_trust_t *self, uint32_t server, uint64_t link,
                           int64_t server_now, const int64_t *since, int64_t now);

/* Can that be said at all: are the server's markers known over this connection? */
bool wl_cache_trust_knows(const wl_cache_trust_t *self, uint32_t server, uint64_t link,
                          int64_t now);
/* May a copy of a user of this partition, filled then, read over this connection, be served? */
bool wl_cache_trust_serves(const wl_cache_trust_t *self, uint32_t server, uint64_t link,
                           uint32_t partition, int64_t filled_at, int64_t now);

#endif
