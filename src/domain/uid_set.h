/* uid_set.h: a set of users that does not change: who is in a rollout. Its members lie in ascending
 * order in blocks of 64; a block keeps its first member, and the gaps to the others in as many bits
 * as its widest one takes. 2 M users: 0.5 MB side by side, 4.0 MB at random below 2^32, 6.2 MB
 * below 2^40, 12 MB over all 64 bits. A bitmap of containers takes 7.6 MB below 2^32 and 141 MB
 * below 2^40 (walletbench: whitelist_mb). Made once, then read by any thread. */
#ifndef WL_DOMAIN_UID_SET_H
#define WL_DOMAIN_UID_SET_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wl_uid_set wl_uid_set_t;

/* uids: strictly ascending; copied. */
wl_uid_set_t *wl_uid_set_new(const uint64_t *uids, size_t count);
/* From a presence snapshot in exact mode (presence_set.h), as walletctl uploads it. Takes the
 * bitmap and 8 bytes a user meanwhile. WL_ERR_DAMAGED: no such snapshot; nothing is returned. */
WL_MUST_USE wl_err_t wl_uid_set_load(const void *blob, size_t bytes, wl_uid_set_t **ret,
                                     wl_fault_t *fault);
void wl_uid_set_destroy(wl_uid_set_t **self); /* NULL and *NULL are accepted */

bool wl_uid_set_test(const wl_uid_set_t *self, uint64_t uid);
uint64_t wl_uid_set_count(const wl_uid_set_t *self);
size_t wl_uid_set_bytes(const wl_uid_set_t *self); /* of memory */

#endif
