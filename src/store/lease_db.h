/* lease_db.h: who writes which partition: one row each in the database of shard 0, taken with a
 * growing epoch (design section 6, rule 5). Time is the database's, so clocks of hosts do not
 * matter. A stale writer is stopped by the epoch, not by the clock: each shard remembers the newest
 * epoch of each partition and refuses transactions of older ones (wl_asset_db_fence), the Redis
 * queue likewise (wl_queue_claim). Blocks up to the timeout of its connection; belongs to the
 * keeper's thread. */
#ifndef WL_STORE_LEASE_DB_H
#define WL_STORE_LEASE_DB_H

#include "base/err.h"
#include "store/mysql_tool.h"

#include <stdint.h>

typedef struct wl_lease_db wl_lease_db_t;

typedef struct {
    uint64_t epoch;  /* 0 = never taken */
    int64_t left_ms; /* of the lease, by the database's clock; <= 0: free */
    bool ours;       /* held by this writer */
    uint64_t floor;  /* minutes since 2026 by the database's clock: no new epoch is below */
} wl_lease_t;

/* name: of this writer, unique, at most 128 bytes. WL_ERR_SETTINGS; a server that does not answer
 * is no error here. Every call below may say WL_ERR_UNAVAILABLE, and then whether it took effect is
 * not known, or WL_ERR_BUSY: try again. */
WL_MUST_USE wl_err_t wl_lease_db_open(const wl_mysql_options_t *options, const char *name,
                                      uint32_t partitions, wl_lease_db_t **ret, wl_fault_t *fault);
void wl_lease_db_close(wl_lease_db_t **self);

/* Says that this writer lives and reads all leases; ret_leases has room for all partitions.
 * *ret_writers: writers heard within lease_ms, this one included. Connects again when it has to. */
WL_MUST_USE wl_err_t wl_lease_db_look(wl_lease_db_t *self, uint32_t lease_ms,
                                      wl_lease_t *ret_leases, uint32_t *ret_writers);
/* Takes a free partition or one of ours. The epoch grows by one, or more: it is at least the
 * minutes since 2026, so that after rows were restored from a backup it is newer than any that
 * shards and queue have seen; unless more than one a minute were taken. WL_ERR_CONFLICT: somebody
 * was faster. */
WL_MUST_USE wl_err_t wl_lease_db_take(wl_lease_db_t *self, uint32_t partition, uint32_t lease_ms,
                                      uint64_t *ret_epoch);
/* Holds on to it, also when it has ended and nobody took it. WL_ERR_CONFLICT: it is somebody
 * else's, or was taken anew with another epoch. */
WL_MUST_USE wl_err_t wl_lease_db_renew(wl_lease_db_t *self, uint32_t partition, uint64_t epoch,
                                       uint32_t lease_ms);
/* Lets it go at once. */
WL_MUST_USE wl_err_t wl_lease_db_release(wl_lease_db_t *self, uint32_t partition, uint64_t epoch);

/* Calls of a line on one day that a writer may make, out of those that all writers share: reserves
 * up to `chunk` of them, so that together never more than `limit` are given out a day, whoever dies
 * and whichever partitions move. Days are UTC by the database's clock and only go on. *ret_granted:
 * how many, 0 = all of the day are given out; *ret_left: what is not given out then; *ret_day:
 * since 1970. After an error some may be given out that nobody will use. */
WL_MUST_USE wl_err_t wl_lease_db_reserve(wl_lease_db_t *self, const char *line, uint64_t limit,
                                         uint64_t chunk, int64_t *ret_day, uint64_t *ret_granted,
                                         uint64_t *ret_left);
/* Gives back what was reserved on that day and is not used; of no effect on a later day. */
WL_MUST_USE wl_err_t wl_lease_db_give_back(wl_lease_db_t *self, const char *line, int64_t day,
                                           uint64_t count);

#endif
