/* cache_cover.h: of which users a cache or details actor hears every change, as presence actors
 * tell it in COVER. While changes of a partition may be missed, its users' copies in memory are
 * neither served nor kept; afterwards a database read is kept only if it has seen what was
 * committed meanwhile. Pure bookkeeping of one thread. Where one process does everything nobody
 * says COVER, and all is covered. */
#ifndef WL_ACTORS_CACHE_COVER_H
#define WL_ACTORS_CACHE_COVER_H

#include "base/settings.h"
#include "proto/messages.h"

typedef struct wl_cache_cover wl_cache_cover_t;

/* Borrows the settings. */
wl_cache_cover_t *wl_cache_cover_new(const wl_settings_t *settings);
void wl_cache_cover_destroy(wl_cache_cover_t **self); /* NULL and *NULL are accepted */

/* Takes a COVER (untrusted). WL_ERR_MALFORMED: an instance or partition out of range.
 * *ret_lost: copies and marks of the users of whom wl_cache_cover_lost() says so must go. */
WL_MUST_USE wl_err_t wl_cache_cover_take(wl_cache_cover_t *self, const wl_msg_t *msg,
                                         bool *ret_lost);
/* Was this user among those of the last message? For wl_marks_drop(). */
bool wl_cache_cover_lost(void *self, uint64_t uid);

/* May a copy in memory be served? */
bool wl_cache_cover_serves(const wl_cache_cover_t *self, uint64_t uid);
/* May a read of this shard that has seen commit_seq be kept? */
bool wl_cache_cover_keeps(const wl_cache_cover_t *self, uint64_t uid, uint32_t shard,
                          uint64_t commit_seq);

#endif
