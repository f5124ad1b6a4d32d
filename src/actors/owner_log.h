/* owner_log.h: how far a presence actor has followed each shard's log of owners, and what it has to
 * ask for. Pure bookkeeping, no sockets; owned by one presence thread.
 *
 * A start asks each shard for the owners after what the snapshot has seen. Afterwards each commit
 * says the newest number of the log. One commit may come in several messages, so its number counts
 * as seen when the next commit begins to arrive. A commit that is missing means that a message was
 * lost: that shard is asked again from what was seen, and presence does not know meanwhile. */
#ifndef WL_ACTORS_OWNER_LOG_H
#define WL_ACTORS_OWNER_LOG_H

#include <stdbool.h>
#include <stdint.h>

typedef struct wl_owner_log wl_owner_log_t;

/* every_commit: each commit of each shard is told to us, so a jump is a loss. With several presence
 * actors it is not: a commit without our users is not told, and a lost one comes again with the
 * redelivery of the change. */
wl_owner_log_t *wl_owner_log_new(uint32_t shards, bool every_commit);
void wl_owner_log_destroy(wl_owner_log_t **self); /* NULL and *NULL are accepted */

/* From a snapshot: one number per shard. */
void wl_owner_log_restore(wl_owner_log_t *self, const uint64_t *seen);

/* Should this shard be asked now? Then *ret_after is the number to ask from, and it counts as
 * asked. A shard that does not answer is asked again after 10 s. now: monotonic ms. */
bool wl_owner_log_due(wl_owner_log_t *self, uint32_t shard, int64_t now, uint64_t *ret_after);
/* Is this chunk the next one of its answer, with none missing before it? 0 = not said: yes. The last
 * chunk counts as `last` only if so; otherwise the question is asked again. */
bool wl_owner_log_chunk(wl_owner_log_t *self, uint32_t shard, uint64_t chunk);
/* A shard told a chunk of owners; only the last one makes log_seq count. */
void wl_owner_log_told(wl_owner_log_t *self, uint32_t shard, uint64_t log_seq, bool last,
                       int64_t now);
/* The message has this serial number; 0 = not said. A jump means that one was lost: the shard is
 * asked again from what was seen before. Call before wl_owner_log_stored. */
void wl_owner_log_serial(wl_owner_log_t *self, uint32_t shard, uint64_t serial);
/* A message of a commit arrived. */
void wl_owner_log_stored(wl_owner_log_t *self, uint32_t shard, uint64_t commit_seq,
                         uint64_t log_seq);

/* Has every shard told everything? */
bool wl_owner_log_ready(const wl_owner_log_t *self);
/* One number per shard, borrowed. */
const uint64_t *wl_owner_log_seen(const wl_owner_log_t *self);
uint32_t wl_owner_log_shards(const wl_owner_log_t *self);

#endif
