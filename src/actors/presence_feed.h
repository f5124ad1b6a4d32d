/* presence_feed.h: the writer's side of replication: what one presence actor takes goes to the
 * presence actors of readers, in order and numbered. Part of the presence actor and used on its
 * thread only; owns the ROUTER on tier.endpoint.
 *
 *     FOLLOW (begin)  > a reader begins a session: BEAT, then everything as FEED, and in between
 *                       the marks of our partitions once more, a few thousand per tick
 *     FOLLOW          > it is still there: BEAT, which gives back the time that it sent
 *     WANT            > a piece of the set: CHUNK. One snapshot at a time is held for all who want
 *                       one, and dropped when nobody has asked for a while
 *     REFRESH         > goes to the dispatcher of the partition
 *     LIVE            > goes to whoever answers it; LIVED comes back, to the same session only
 * Promises: memory is bounded by FOLLOWERS_MAX, the HWM of the ROUTER and one snapshot; a reader
 * that does not take the feed is dropped and has to begin anew, nobody waits for it; what a reader
 * sends is counted and dropped when it is not one of these. */
#ifndef WL_ACTORS_PRESENCE_FEED_H
#define WL_ACTORS_PRESENCE_FEED_H

#include "actors/hub.h"
#include "domain/coverage.h"
#include "domain/marks.h"

typedef struct wl_presence_feed wl_presence_feed_t;

/* What it needs of the presence actor; all borrowed for its life. */
typedef struct {
    void *arg;
    const wl_marks_t *marks;
    /* The partitions that this process holds now; returns their count. */
    uint32_t (*held)(void *arg, wl_claim_t ret_claims[static WL_COVERAGE_PARTITIONS_MAX]);
    /* A snapshot of the set, wl_free()d by the caller. false: it is not complete yet. */
    bool (*snapshot)(void *arg, void **ret_blob, size_t *ret_bytes);
    /* A reader asks for pulls. */
    void (*refresh)(void *arg, const wl_msg_t *msg);
    /* A reader has a question to a line, deadlines by our clock; `reader` is the number of its
     * session, for the answer. */
    void (*live)(void *arg, wl_msg_t *msg, uint64_t reader);
    /* wl_presence_feed_awaits() may have changed. */
    void (*seen)(void *arg);
} wl_presence_feed_owner_t;

/* *ret is NULL when tier.endpoint is empty. Before wl_hub_run. */
WL_MUST_USE wl_err_t wl_presence_feed_open(wl_hub_t *hub, const wl_presence_feed_owner_t *owner,
                                           wl_presence_feed_t **ret, wl_fault_t *fault);
void wl_presence_feed_close(wl_presence_feed_t **self); /* NULL and *NULL are accepted */

/* A NOTICE or STORED as it came, after the set has taken it. */
void wl_presence_feed_publish(wl_presence_feed_t *self, wl_bytes_t message);
/* The partitions have changed: all followers are told at once. */
void wl_presence_feed_beat(wl_presence_feed_t *self);
/* hub->sick_lines may have changed: if so, likewise. */
void wl_presence_feed_lines_changed(wl_presence_feed_t *self);
void wl_presence_feed_tick(wl_presence_feed_t *self, int64_t now);

/* The answer to a question of a session; resets the encoder. WL_ERR_NOT_FOUND: that session has
 * gone. Other errors: it could not be sent. */
WL_MUST_USE wl_err_t wl_presence_feed_tell(wl_presence_feed_t *self, uint64_t reader,
                                           wl_encoder_t *lived);
/* The number of what is published next. */
uint64_t wl_presence_feed_next(const wl_presence_feed_t *self);
/* Is there a reader that has not said that everything below seq is in effect there? One that is
 * silent for tier.silence_ms knows that it has missed something: it does not count. */
bool wl_presence_feed_awaits(const wl_presence_feed_t *self, uint64_t seq, int64_t now);

#endif
