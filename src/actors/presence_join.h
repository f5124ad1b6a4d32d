/* presence_join.h: how a reader without a snapshot on disk gets the set of a writer, piece by
 * piece. Bookkeeping only, no sockets: it says what to ask for and takes what comes. A few pieces
 * are under way at once, lost ones are asked for again, and a writer that has none or answers
 * nothing is given up: then another one is asked, at the end nobody. Owned by one presence
 * thread. */
#ifndef WL_ACTORS_PRESENCE_JOIN_H
#define WL_ACTORS_PRESENCE_JOIN_H

#include "proto/messages.h"

typedef struct wl_presence_join wl_presence_join_t;

/* wait_ms: so long without a piece, and the owners are read from the database instead. */
wl_presence_join_t *wl_presence_join_new(int64_t now, int64_t wait_ms);
void wl_presence_join_destroy(wl_presence_join_t **self); /* NULL and *NULL are accepted */

/* Should a piece be asked of this writer now? Call until it says false. live: its feed is
 * followed. */
bool wl_presence_join_want(wl_presence_join_t *self, uint32_t writer, bool live, int64_t now,
                           wl_want_head_t *ret_want);
/* A CHUNK (untrusted) of this writer. */
void wl_presence_join_chunk(wl_presence_join_t *self, uint32_t writer, const wl_msg_t *msg,
                            int64_t now);

typedef enum {
    WL_JOIN_WAITS,
    WL_JOIN_WHOLE, /* wl_presence_join_bytes() has the snapshot; it is still unchecked */
    WL_JOIN_GIVEN_UP
} wl_join_state_t;

wl_join_state_t wl_presence_join_state(const wl_presence_join_t *self, int64_t now);
wl_bytes_t wl_presence_join_bytes(const wl_presence_join_t *self); /* borrowed */

#endif
