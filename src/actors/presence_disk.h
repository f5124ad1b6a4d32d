/* presence_disk.h: the snapshot of one presence actor: <data_dir>/presence-<i>of<n>.snap, so that a
 * start reads one file and a short log instead of every owner in the database.
 * Writing goes to a thread of its own, one at a time: a flush of the disk takes longer than a
 * thousand reads. What is written is handed over whole, nothing is shared.
 * Owned by one presence thread. */
#ifndef WL_ACTORS_PRESENCE_DISK_H
#define WL_ACTORS_PRESENCE_DISK_H

#include "base/err.h"
#include "domain/presence_set.h"

typedef struct wl_presence_disk wl_presence_disk_t;

wl_presence_disk_t *wl_presence_disk_new(const char *data_dir, uint32_t instance,
                                         uint32_t instances);
/* Waits for a write under way. NULL and *NULL are accepted. */
void wl_presence_disk_destroy(wl_presence_disk_t **self);

const char *wl_presence_disk_path(const wl_presence_disk_t *self);

/* Reads the snapshot; the caller owns *ret_set and ret_seen->at. WL_ERR_NOT_FOUND: there is none;
 * WL_ERR_DAMAGED, WL_ERR_TOO_BIG, WL_ERR_IO with *fault. */
WL_MUST_USE wl_err_t wl_presence_disk_load(const wl_presence_disk_t *self,
                                           wl_presence_set_t **ret_set,
                                           wl_presence_seen_t *ret_seen, wl_fault_t *fault);

/* Copies the set into a snapshot and starts writing it. WL_ERR_BUSY: the last one is still being
 * written. seen: one log number per shard. */
WL_MUST_USE wl_err_t wl_presence_disk_save(wl_presence_disk_t *self, wl_presence_set_t *set,
                                           const uint64_t *seen, uint32_t seen_count);

typedef struct {
    wl_err_t err;         /* WL_OK, WL_ERR_IO, WL_ERR_NO_SPACE: the old file stays */
    const uint64_t *seen; /* what was saved with it, borrowed until the next save */
    uint32_t seen_count;
} wl_presence_saved_t;

/* Did a save end? true once for each. wait: until it has. */
bool wl_presence_disk_saved(wl_presence_disk_t *self, bool wait, wl_presence_saved_t *ret);

#endif
