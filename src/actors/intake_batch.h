/* intake_batch.h: one group commit: the queue entries of a turn, their bodies, and the clients to
 * tell when they are durable. What is added is split by the partition of its users: one entry each.
 * Part of the intake actor and used on its thread only.
 * Bounded: full() says when a turn has enough. */
#ifndef WL_ACTORS_INTAKE_BATCH_H
#define WL_ACTORS_INTAKE_BATCH_H

#include "proto/change.h"
#include "proto/rpc.h"
#include "store/queue.h"

typedef struct wl_intake_batch wl_intake_batch_t;

/* partitions: of the queue, 1 .. WL_PARTITIONS_MAX */
wl_intake_batch_t *wl_intake_batch_new(uint32_t partitions);
void wl_intake_batch_destroy(wl_intake_batch_t **self);

/* Adds entries of kind CHANGES or REFRESH; at most WL_CHANGES_MAX changes. */
void wl_intake_batch_changes(wl_intake_batch_t *self, wl_entry_kind_t kind, const char *line,
                             const wl_change_t *changes, size_t count);
/* Adds entries of kind ASSETS; at most WL_PAYLOAD_ASSETS_MAX assets. */
void wl_intake_batch_assets(wl_intake_batch_t *self, const char *line, const wl_asset_t *assets,
                            uint32_t count);
/* Somebody to tell {key: count} when the entries from entry_first on, up to now, are durable. */
void wl_intake_batch_waiter(wl_intake_batch_t *self, const wl_peer_t *peer, uint64_t msgid,
                            const char *key, uint64_t count, size_t entry_first);

typedef struct {
    const wl_peer_t *peer;
    uint64_t msgid;
    const char *key; /* "accepted" */
    uint64_t count;
    bool durable; /* after append(): all of its entries are, whatever became of others */
} wl_intake_waiter_t;
/* index < waiter count; borrowed until the batch is cleared. */
wl_intake_waiter_t wl_intake_batch_waiter_at(const wl_intake_batch_t *self, uint32_t index);
uint32_t wl_intake_batch_waiters(const wl_intake_batch_t *self);

/* 1,024 entries or 4 MiB: the rest waits in the sockets. */
bool wl_intake_batch_full(const wl_intake_batch_t *self);
size_t wl_intake_batch_entries(const wl_intake_batch_t *self);
/* Changes and assets in all entries. */
uint64_t wl_intake_batch_users(const wl_intake_batch_t *self);

/* Appends all entries and returns when they are durable; see wl_queue_append(): on an error each
 * waiter knows for itself. Of each partition the id of the newest entry, 0 = it got none. */
WL_MUST_USE wl_err_t wl_intake_batch_append(wl_intake_batch_t *self, wl_queue_t *queue,
                                            uint64_t ret_last_ids[WL_PARTITIONS_MAX]);
void wl_intake_batch_clear(wl_intake_batch_t *self); /* keeps the memory */

#endif
