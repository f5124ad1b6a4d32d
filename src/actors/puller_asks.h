/* puller_asks.h: what one line is to be asked: pulls that a dispatcher waits for, and questions
 * that somebody waits for. One ask per user, or per page: who comes later joins one that waits, and
 * questions join one that is under way, too; a pull does not, as its change may be younger than
 * that call. Part of the puller actor and used on its thread only; no sockets, no clock.
 *
 *     pull(), live() --> waiting, in one of three lists --> pop() --> fly() --> end()
 *
 * Bounded: pulls by the caller's pulls_max, those who wait by WL_WAITERS_MAX. */
#ifndef WL_ACTORS_PULLER_ASKS_H
#define WL_ACTORS_PULLER_ASKS_H

#include "base/clock.h"
#include "base/table.h"
#include "proto/messages.h"

enum { WL_WAITERS_MAX = 8192 }; /* of one line */

typedef struct {
    uint64_t uid;
    uint64_t seq;        /* 0: nobody but those who wait asked for it */
    int64_t notified_at; /* wall ms */
    int64_t arrived_at;  /* monotonic ms */
    uint64_t epoch;      /* lease under which the dispatcher asks */
    uint32_t dispatcher; /* who waits */
    uint32_t attempt;    /* 0 = first */
    bool interactive;
    uint8_t hint_count;
    wl_hint_t hints[WL_HINTS_MAX];
} wl_line_pull_t;

/* Somebody who waits for an answer. */
typedef struct wl_waiter {
    struct wl_waiter *next;
    uint64_t ticket;
    uint64_t reader;
    int64_t deadline_at; /* monotonic ms */
    uint32_t instance;
    uint32_t presence;
    uint8_t asker;
} wl_waiter_t;

typedef enum {
    WL_ASKS_PAGES, /* details and sums, one user each; somebody waits */
    WL_ASKS_USERS, /* assets; somebody waits */
    WL_ASKS_BULK,  /* assets; only a dispatcher waits */
    WL_ASKS_LISTS
} wl_asks_list_t;

typedef struct wl_ask {
    UT_hash_handle hh;
    struct wl_ask *before; /* in its list, while it waits */
    struct wl_ask *behind;
    wl_waiter_t *waiters; /* owned */
    wl_line_pull_t pull;  /* uid, dispatcher and epoch always; the rest when pulled */
    int64_t wanted_until; /* the last deadline of its waiters */
    wl_live_what_t what;
    wl_asks_list_t list;
    bool pulled;   /* a dispatcher waits */
    bool probe;    /* nobody waits: it finds out whether the line is back */
    bool joinable; /* is found by its key */
    char month[8]; /* of a page, as in LIVE */
    uint32_t limit;
    uint32_t cursor_bytes;
    const uint8_t *cursor; /* in key */
    uint32_t key_bytes;
    uint8_t key[];
} wl_ask_t;

typedef struct wl_asks wl_asks_t;

wl_asks_t *wl_asks_new(void);
void wl_asks_destroy(wl_asks_t **self); /* asks that fly are not its own any more */

/* Of two pulls of one user the later covers both. WL_ERR_FULL: pulls_max wait already. */
WL_MUST_USE wl_err_t wl_asks_pull(wl_asks_t *self, const wl_line_pull_t *pull, uint32_t pulls_max);
/* item->what is not a consent; uid, month and cursor are checked. *ret_joined: no call more.
 * WL_ERR_BUSY: WL_WAITERS_MAX wait already. */
WL_MUST_USE wl_err_t wl_asks_live(wl_asks_t *self, const wl_live_head_t *head,
                                  const wl_live_item_t *item, wl_mono_ms_t now, bool *ret_joined);
/* Would this question join a call under way? */
bool wl_asks_flies(const wl_asks_t *self, const wl_live_item_t *item);
/* An ask that nobody waits for. */
void wl_asks_probe(wl_asks_t *self, const wl_line_pull_t *pull);

uint32_t wl_asks_count(const wl_asks_t *self, wl_asks_list_t list); /* waiting */
uint32_t wl_asks_waiting(const wl_asks_t *self);                    /* in all lists */
/* Monotonic ms when the first of a list came; INT64_MAX: it is empty. */
int64_t wl_asks_oldest(const wl_asks_t *self, wl_asks_list_t list);

/* Takes the first of a list out; NULL: there is none. Pulls that arrived before stale_before and
 * waiters whose deadline has passed are forgotten, and so is what nobody wants any more. It is the
 * caller's until end(). */
wl_ask_t *wl_asks_pop(wl_asks_t *self, wl_asks_list_t list, wl_mono_ms_t now, int64_t stale_before);
/* What was popped is asked now: questions may join it. */
void wl_asks_fly(wl_asks_t *self, wl_ask_t *ask);
/* Frees what was popped; *ask becomes NULL. */
void wl_asks_end(wl_asks_t *self, wl_ask_t **ask);
/* Frees what waits and nobody wants any more. */
void wl_asks_sweep(wl_asks_t *self, wl_mono_ms_t now);
/* Waiters forgotten since the last call because their deadlines had passed. */
uint32_t wl_asks_expired(wl_asks_t *self);

#endif
