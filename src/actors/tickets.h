/* tickets.h: the requests of one frontend that wait for other actors: a fixed table with a free
 * list, so that admission allocates nothing and the bound is the size of the table.
 * Owned by one frontend thread.
 *
 * A ticket's number travels through the other actors and comes back with the answer. It carries a
 * generation that changes each time the place is released, so an answer that comes after its
 * request was given up finds nothing instead of another client's request.
 * Deadlines are kept in a wheel of 1 ms buckets: adding and releasing cost the same at any load.
 */
#ifndef WL_ACTORS_TICKETS_H
#define WL_ACTORS_TICKETS_H

#include "base/limits.h"
#include "proto/rpc.h"

enum {
    WL_TICKET_WAIT_MS_MAX = 60000, /* no ticket waits longer, whatever its deadline says */
    WL_TICKET_HAS_WORDS = (WL_HAS_UIDS_MAX + 63) / 64,
};

typedef struct {
    uint64_t number;     /* what other actors know it by */
    uint64_t msgid;      /* the client's number for the request */
    uint64_t uid;        /* whose wallet, 0 for wallet.has_assets */
    int64_t deadline_at; /* monotonic ms */
    wl_method_t method;  /* what was asked */
    uint32_t previous;   /* neighbours in the bucket of the wheel, or in the free list */
    uint32_t next;
    uint16_t has_count;                /* wallet.has_assets: users asked for */
    uint16_t has_answered;             /* users that presence has answered */
    bool used;                         /* false: in the free list */
    bool granted;                      /* wallet.consent: as asked */
    int64_t expires_at;                /* likewise; wall ms, 0 = never */
    uint64_t rollout;                  /* whose candidate answers, 0 = the base */
    wl_peer_t peer;                    /* the way back */
    uint64_t has[WL_TICKET_HAS_WORDS]; /* bit per user who may own something */
} wl_ticket_t;

typedef struct wl_tickets wl_tickets_t;

/* count tickets, 1 .. 2^31; now: monotonic ms, from which the wheel turns. */
wl_tickets_t *wl_tickets_new(uint32_t count, int64_t now);
void wl_tickets_destroy(wl_tickets_t **self); /* NULL and *NULL are accepted */

/* A ticket with number, deadline, peer and msgid set and no bit of has; the rest is the caller's to
 * set. NULL: all are in use. Borrowed until it is released. */
wl_ticket_t *wl_tickets_take(wl_tickets_t *self, const wl_peer_t *peer, uint64_t msgid,
                             int64_t deadline_at);
/* NULL: released before, or never given out (the number may come from anywhere). */
wl_ticket_t *wl_tickets_find(wl_tickets_t *self, uint64_t number);
void wl_tickets_release(wl_tickets_t *self, wl_ticket_t *ticket);

/* Calls back for each ticket whose deadline has passed, at most 1 ms late, and releases it.
 * Returns how many. */
typedef void (*wl_ticket_fn)(const wl_ticket_t *ticket, void *arg);
uint32_t wl_tickets_expire(wl_tickets_t *self, int64_t now, wl_ticket_fn tell, void *arg);

/* Releases the tickets of a user for which `pick` says so; looks at all tickets. */
typedef bool (*wl_ticket_pick_fn)(const wl_ticket_t *ticket, void *arg);
void wl_tickets_drop(wl_tickets_t *self, uint64_t uid, wl_ticket_pick_fn pick, void *arg);

uint32_t wl_tickets_used(const wl_tickets_t *self);

#endif
