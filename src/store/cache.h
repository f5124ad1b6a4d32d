/* cache.h: level 2 of the read path: whole users in memory, bounded in bytes (design section 8).
 * One handle belongs to one cache actor, which owns a range of slots. Backend of step 1:
 * in-process. A user is kept whole or not at all; a set is visible to the next get or refused.
 *
 * The fence: a database read that began before a write may arrive after it. Each slot remembers the
 * newest commit number that passed here; a fill that has seen less is refused, so an old row never
 * comes back (pains P4). */
#ifndef WL_STORE_CACHE_H
#define WL_STORE_CACHE_H

#include "base/asset.h"
#include "base/err.h"

typedef struct wl_cache wl_cache_t;

typedef struct {
    size_t bytes_max; /* all memory of the cache; the least recently used users go first */
} wl_cache_options_t;

/* WL_ERR_SETTINGS: bytes_max below 64 KiB. */
WL_MUST_USE wl_err_t wl_cache_open(const wl_cache_options_t *options, wl_cache_t **ret);
void wl_cache_close(wl_cache_t **self);

/* All records of a cached user (an empty list is an answer too). true: *ret_assets is borrowed
 * until the next put, fill, drop or flush; tombstones are among them. false: not cached. */
bool wl_cache_get(wl_cache_t *self, uint64_t uid, const wl_asset_t **ret_assets,
                  uint32_t *ret_count);

/* The same for who only compares: the user does not become one that was used lately. */
bool wl_cache_peek(const wl_cache_t *self, uint64_t uid, const wl_asset_t **ret_assets,
                   uint32_t *ret_count);
/* Users with records, from *cursor on (0 = the beginning), about max of them, or fewer, also none,
 * where few are cached; moves the cursor to where to go on, 0 = that was all. Who is cached
 * throughout a walk is told exactly once, whoever comes and goes meanwhile. ret_uids: room for
 * max + WL_CACHE_WALK_MORE. Returns how many. */
enum { WL_CACHE_WALK_MORE = 1024 };
uint32_t wl_cache_walk(const wl_cache_t *self, uint64_t *cursor, uint32_t max, uint64_t *ret_uids);

/* A committed write: newer versions replace, equal ones move pulled_at, older ones are refused;
 * tombstones stay as long as the user does. A user that is not cached stays uncached, one that
 * grows too big is dropped. Raises the fence of the user's slot in any case. Returns how many were
 * refused as older. Assets are copied. */
uint32_t wl_cache_put(wl_cache_t *self, uint64_t uid, const wl_asset_t *assets, uint32_t count,
                      uint64_t commit_seq);

/* The whole user as read from the database at commit_seq, tombstones left out. Raises the fence
 * too, so a late, older read never follows. A user that is cached already is replaced: what the
 * fill does not name is gone in the database; of a key in both the newer version stays. Later puts
 * with a commit number that the fill has seen change nothing. WL_ERR_CONFLICT: the fence refuses
 * it; WL_ERR_TOO_BIG: larger than the whole cache, or more than WL_USER_ASSETS_MAX records: the
 * user is then not cached. */
WL_MUST_USE wl_err_t wl_cache_fill(wl_cache_t *self, uint64_t uid, const wl_asset_t *assets,
                                   uint32_t count, uint64_t commit_seq);
/* The newest commit number of the user's slot that was put or filled; 0 = none was. */
uint64_t wl_cache_fence(const wl_cache_t *self, uint64_t uid);
void wl_cache_drop(wl_cache_t *self, uint64_t uid);
void wl_cache_flush(wl_cache_t *self); /* drops all users; the fences stay */

typedef struct {
    uint64_t users;
    uint64_t bytes; /* with the allocator's overhead; never above bytes_max after a call */
    uint64_t evictions;
} wl_cache_stats_t;
wl_cache_stats_t wl_cache_stats(const wl_cache_t *self);

#endif
