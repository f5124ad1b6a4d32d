/* presence_follow.h: the reader's side of replication: follows the same presence actor of every
 * writer. Part of the presence actor and used on its thread only; owns one DEALER per entry of
 * tier.writers.
 *
 * A session begins with the first BEAT that answers FOLLOW (begin): from there on every FEED must
 * bear the next number. A gap, another feed id, silence or a changed set of partitions ends it,
 * what rested on it is lost, and a new one begins at once. Until the marks of the beginning have
 * come the feed covers nothing.
 *
 * The writer is told how far the feed is in effect here. For most of it that is when presence has
 * taken it; a withdrawn consent counts when it has gone its way through all actors
 * (actors/consent_way.h). One that does not come to its end in tier.silence_ms ends the session.
 * Promises: takes a bounded batch per wake-up; never waits; bytes of a writer that do not decode
 * end the session, as what they were may be missing. */
#ifndef WL_ACTORS_PRESENCE_FOLLOW_H
#define WL_ACTORS_PRESENCE_FOLLOW_H

#include "actors/hub.h"
#include "actors/presence_join.h"
#include "domain/coverage.h"

typedef struct wl_presence_follow wl_presence_follow_t;

/* What it needs of the presence actor; all borrowed for its life. */
typedef struct {
    void *arg;
    wl_coverage_t *coverage; /* writer i is feed 1 + i */
    /* A NOTICE or STORED, as if it came from this process; valid during the call. */
    void (*take)(void *arg, const wl_msg_t *msg);
    /* Changes of this partition may have been missed: forget what says that they are on their
     * way. */
    void (*lost)(void *arg, uint32_t partition);
    /* A session was lost: deaths may have been missed, too. */
    void (*gap)(void *arg);
    /* The coverage was told something. */
    void (*heard)(void *arg);
    /* A LIVED: what a line said to somebody in this process. */
    void (*lived)(void *arg, const wl_msg_t *msg);
} wl_presence_follow_owner_t;

/* *ret is NULL when tier.writers is empty. Before wl_hub_run. */
WL_MUST_USE wl_err_t wl_presence_follow_open(wl_hub_t *hub, const wl_presence_follow_owner_t *owner,
                                             wl_presence_follow_t **ret, wl_fault_t *fault);
void wl_presence_follow_close(wl_presence_follow_t **self); /* NULL and *NULL are accepted */

void wl_presence_follow_tick(wl_presence_follow_t *self, int64_t now);

/* Pieces of the set go to this one from now on; NULL: to nobody. Borrowed. */
void wl_presence_follow_join(wl_presence_follow_t *self, wl_presence_join_t *join);

/* A pull is wanted of whoever holds the partition of this user. Dropped when nobody is known. Sent
 * with wl_presence_follow_flush(), which stands between two lines. */
void wl_presence_follow_refresh(wl_presence_follow_t *self, const char *line, uint64_t uid);
void wl_presence_follow_flush(wl_presence_follow_t *self);

/* The writer that holds the partition of this user and is followed, -1 = there is none. */
int wl_presence_follow_holder(const wl_presence_follow_t *self, uint64_t uid);
/* Sends a message to it; resets the encoder. */
WL_MUST_USE wl_err_t wl_presence_follow_tell(wl_presence_follow_t *self, uint32_t writer,
                                             wl_encoder_t *message);

/* A writer that is silent for too long is lost, now and not at the next tick. */
void wl_presence_follow_listen(wl_presence_follow_t *self, int64_t now);

/* The withdrawn consent of a STORED of the feed is in effect everywhere in this process: the
 * writer is told at once when nothing before it is missing. */
void wl_presence_follow_done(wl_presence_follow_t *self, const char *line, uint64_t uid,
                             uint64_t seq);

/* Is this line sick for any writer? */
bool wl_presence_follow_sick(const wl_presence_follow_t *self, const char *line);
/* All of them, at most WL_LINES_MAX; returns how many. */
uint32_t wl_presence_follow_sick_lines(const wl_presence_follow_t *self,
                                       char ret_lines[WL_LINES_MAX][WL_LINE_ID_MAX + 1]);
/* Has that changed for any line since the last call? */
bool wl_presence_follow_sick_changed(wl_presence_follow_t *self);

#endif
