/* owner_log.h: how far a presence actor has followed each shard's log of owners, and what it has to
 * ask for. Pure bookkeeping, no sockets; owned by one presence thread.
 *
 * A start asks each shard for the owners after what the snapshot has seen. What follows depends on
 * who writes:
 *     one process, one presence actor   each commit is told to us and says the newest number of the
 *         log. One commit may come in several messages, so its number counts as seen when the next
 *         one begins to arrive. A commit that is missing means that a message was lost: that shard
 *         is asked again from what was seen, and presence does not know meanwhile.
 *     one process, several presence actors   a jump is no loss: a commit without our users is not
 *         told, and messages are numbered instead.
 *     several processes   each shard is asked every second, and only its answers count as seen.
 *
 * It also knows which commits are too old to clear a user: a log read, or another writer's commit,
 * may be ahead of them. */
#ifndef WL_ACTORS_OWNER_LOG_H
#define WL_ACTORS_OWNER_LOG_H

#include <stdbool.h>
#include <stdint.h>

typedef struct wl_owner_log wl_owner_log_t;

typedef enum {
    WL_OWNER_LOG_EVERY_COMMIT, /* a jump of the commit number is a loss */
    WL_OWNER_LOG_SOME_COMMITS, /* a jump says nothing */
    WL_OWNER_LOG_TOURS,        /* shards are asked every second */
} wl_owner_log_mode_t;

wl_owner_log_t *wl_owner_log_new(uint32_t shards, wl_owner_log_mode_t mode);
void wl_owner_log_destroy(wl_owner_log_t **self); /* NULL and *NULL are accepted */

/* From a snapshot: one number per shard. */
void wl_owner_log_restore(wl_owner_log_t *self, const uint64_t *seen);

/* Should this shard be asked now? Then *ret_after is the number to ask from, and it counts as
 * asked at `now`, monotonic ms. A shard that does not answer is asked again after 10 s. hurry: as
 * soon as the question under way has been answered. */
bool wl_owner_log_due(wl_owner_log_t *self, uint32_t shard, int64_t now, bool hurry,
                      uint64_t *ret_after);
/* Is this chunk the next one of its answer, with none missing before it? 0 = not said: yes. The
 * last chunk counts as `last` only if so; otherwise the question is asked again. */
bool wl_owner_log_chunk(wl_owner_log_t *self, uint32_t shard, uint64_t chunk);
/* A shard told a chunk of owners. asked_at: of the question that it answers, as the shard sent it
 * back, 0 = it did not say. Returns whether this was the end of the answer to our last question;
 * only then log_seq counts. */
bool wl_owner_log_told(wl_owner_log_t *self, uint32_t shard, uint64_t log_seq, bool last,
                       int64_t asked_at, int64_t now);
/* May a message of this commit clear users? Not when births after it may have been marked already.
 * Ask before wl_owner_log_stored(). */
bool wl_owner_log_may_clear(const wl_owner_log_t *self, uint32_t shard, uint64_t log_seq);
/* The message of a commit has this serial number; 0 = not said. A jump means that one was lost: the
 * shard is asked again from what was seen before. Call before wl_owner_log_stored. With several
 * processes it means nothing: no message counts as seen. */
void wl_owner_log_serial(wl_owner_log_t *self, uint32_t shard, uint64_t serial);
/* A message of a commit arrived. */
void wl_owner_log_stored(wl_owner_log_t *self, uint32_t shard, uint64_t commit_seq,
                         uint64_t log_seq);

/* Has every shard told everything? */
bool wl_owner_log_ready(const wl_owner_log_t *self);
/* When the question was asked that this shard answered last, monotonic ms, 0 = none yet. */
int64_t wl_owner_log_toured_at(const wl_owner_log_t *self, uint32_t shard);
/* One number per shard, borrowed. */
const uint64_t *wl_owner_log_seen(const wl_owner_log_t *self);
uint32_t wl_owner_log_shards(const wl_owner_log_t *self);

#endif
