#include "actors/tickets.h"

#include "base/alloc.h"
#include "base/check.h"

#include <string.h>

enum {
    BUCKET_MS = 1,
    BUCKETS = 65536, /* 65.5 s: more than the longest wait, so that no bucket mixes two rounds */
};
#define NOWHERE UINT32_MAX
static_assert(BUCKETS * BUCKET_MS > WL_TICKET_WAIT_MS_MAX + 2 * BUCKET_MS, "one round");

struct wl_tickets {
    wl_ticket_t *at;           /* owned */
    uint32_t count;            /* of at */
    uint32_t used;             /* not in the free list */
    uint32_t free;             /* first free one; the one released last is warm and goes first */
    int64_t bucket_at;         /* number of the oldest bucket that may hold tickets */
    uint32_t buckets[BUCKETS]; /* first ticket of each, or NOWHERE */
};

wl_tickets_t *wl_tickets_new(uint32_t count, int64_t now) {
    WL_ASSERT(count > 0 && count <= INT32_MAX && now >= 0);
    wl_tickets_t *self = wl_alloc_zero(1, sizeof *self);
    self->at = wl_alloc_zero(count, sizeof *self->at);
    self->count = count;
    self->bucket_at = now / BUCKET_MS;
    for (uint32_t i = 0; i < count; i++) {
        self->at[i].number = (1ull << 32) | i;
        self->at[i].next = i + 1 < count ? i + 1 : NOWHERE;
    }
    for (uint32_t i = 0; i < BUCKETS; i++) {
        self->buckets[i] = NOWHERE;
    }
    return self;
}

static uint32_t *tickets_bucket(wl_tickets_t *self, const wl_ticket_t *ticket) {
    return &self->buckets[(ticket->deadline_at / BUCKET_MS) % BUCKETS];
}

static void tickets_link(wl_tickets_t *self, wl_ticket_t *ticket, uint32_t index) {
    uint32_t *first = tickets_bucket(self, ticket);
    ticket->previous = NOWHERE;
    ticket->next = *first;
    if (*first != NOWHERE) {
        self->at[*first].previous = index;
    }
    *first = index;
}

static void tickets_unlink(wl_tickets_t *self, wl_ticket_t *ticket) {
    if (ticket->previous != NOWHERE) {
        self->at[ticket->previous].next = ticket->next;
    } else {
        *tickets_bucket(self, ticket) = ticket->next;
    }
    if (ticket->next != NOWHERE) {
        self->at[ticket->next].previous = ticket->previous;
    }
}

wl_ticket_t *wl_tickets_take(wl_tickets_t *self, const wl_peer_t *peer, uint64_t msgid,
                             int64_t deadline_at) {
    WL_ASSERT(self != NULL && peer != NULL);
    if (self->free == NOWHERE) {
        return NULL;
    }
    uint32_t index = self->free;
    wl_ticket_t *ticket = &self->at[index];
    WL_ASSERT(!ticket->used);
    int64_t first = self->bucket_at * BUCKET_MS;
    int64_t last = first + WL_TICKET_WAIT_MS_MAX;
    self->free = ticket->next;
    self->used++;
    ticket->used = true;
    ticket->msgid = msgid;
    ticket->deadline_at = deadline_at < first ? first : deadline_at > last ? last : deadline_at;
    ticket->has_count = 0;
    ticket->has_answered = 0;
    /* an identity has 5 bytes nearly always: the other 250 need not be touched */
    memcpy(ticket->peer.identity, peer->identity, peer->identity_bytes);
    ticket->peer.identity_bytes = peer->identity_bytes;
    ticket->peer.delimiter = peer->delimiter;
    ticket->peer.correlated = peer->correlated;
    memcpy(ticket->peer.correlation, peer->correlation, sizeof peer->correlation);
    tickets_link(self, ticket, index);
    return ticket;
}

wl_ticket_t *wl_tickets_find(wl_tickets_t *self, uint64_t number) {
    uint32_t index = (uint32_t)number;
    if (index >= self->count || self->at[index].number != number || !self->at[index].used) {
        return NULL;
    }
    return &self->at[index];
}

void wl_tickets_release(wl_tickets_t *self, wl_ticket_t *ticket) {
    WL_ASSERT(ticket->used && self->used > 0);
    uint32_t index = (uint32_t)ticket->number;
    WL_ASSERT(ticket == &self->at[index]);
    tickets_unlink(self, ticket);
    if (ticket->has_count > 0) {
        memset(ticket->has, 0, sizeof ticket->has);
    }
    ticket->used = false;
    ticket->number += 1ull << 32; /* wraps after 2^32 uses of one place: a day at 50,000 a second */
    ticket->next = self->free;
    self->free = index;
    self->used--;
}

uint32_t wl_tickets_expire(wl_tickets_t *self, int64_t now, wl_ticket_fn tell, void *arg) {
    uint32_t expired = 0;
    /* due: its last millisecond has passed. After a long stall one round is enough. */
    int64_t due = now / BUCKET_MS;
    if (due - self->bucket_at > BUCKETS) {
        self->bucket_at = due - BUCKETS;
    }
    for (; self->bucket_at < due; self->bucket_at++) {
        uint32_t *first = &self->buckets[self->bucket_at % BUCKETS];
        while (*first != NOWHERE) {
            wl_ticket_t *ticket = &self->at[*first];
            tell(ticket, arg);
            wl_tickets_release(self, ticket);
            expired++;
        }
    }
    return expired;
}

void wl_tickets_drop(wl_tickets_t *self, uint64_t uid, wl_ticket_pick_fn pick, void *arg) {
    for (uint32_t i = 0; i < self->count; i++) {
        wl_ticket_t *ticket = &self->at[i];
        if (ticket->used && ticket->uid == uid && pick(ticket, arg)) {
            wl_tickets_release(self, ticket);
        }
    }
}

uint32_t wl_tickets_used(const wl_tickets_t *self) {
    return self->used;
}

void wl_tickets_destroy(wl_tickets_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free((*self)->at);
    wl_free(*self);
    *self = NULL;
}
