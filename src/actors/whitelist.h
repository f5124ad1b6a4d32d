/* whitelist.h: the set of users that a rollout names, from <data_dir>/config/blobs/<digest>. The
 * file was checked against its name by the config actor; here only the set's own checksum is.
 * Reading goes to a thread of its own, and so does freeing: 8 MB of users that are scattered over
 * all 64 bits take 60 ms each. What is read is handed over whole, nothing is shared.
 * Owned by one frontend thread. */
#ifndef WL_ACTORS_WHITELIST_H
#define WL_ACTORS_WHITELIST_H

#include "base/err.h"
#include "domain/uid_set.h"

typedef struct wl_whitelist wl_whitelist_t;

wl_whitelist_t *wl_whitelist_new(const char *data_dir); /* copied */
/* Waits for a reading under way. NULL and *NULL are accepted. */
void wl_whitelist_destroy(wl_whitelist_t **self);

/* Which set is wanted from now on: a SHA-256 in hex, "" = none. keep: the one at hand stays in use
 * until this one has been read, or could not be: it is an older one of the same rollout. */
void wl_whitelist_want(wl_whitelist_t *self, const char *digest, bool keep);

/* Takes over what was read, and begins to read what is wanted; again a second after a failure.
 * wait: reads at once, before anybody is served. WL_OK: nothing to tell; otherwise what is wanted
 * could not be read, *fault says why, and there is no set: WL_ERR_NOT_FOUND, WL_ERR_IO,
 * WL_ERR_TOO_BIG, WL_ERR_DAMAGED (a set that is not exact, too). now: monotonic ms. */
WL_MUST_USE wl_err_t wl_whitelist_step(wl_whitelist_t *self, bool wait, int64_t now,
                                       wl_fault_t *fault);

/* NULL: none is at hand. Borrowed until the next wl_whitelist_want() or wl_whitelist_step(). */
const wl_uid_set_t *wl_whitelist_set(const wl_whitelist_t *self);

#endif
