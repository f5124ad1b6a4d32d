/* cache_redis.h: level 2 of the read path in Redis, shared by all readers and written by writers
 * (design section 8). Everything is asynchronous: each call is answered once by its callback,
 * later, from the loop that drives the Redis client. One handle belongs to one cache actor.
 *
 * The hash of a user, <prefix><uid>:
 *     line/bucket   one asset (cache_record.h), tombstones too
 *     #w            the hash is the whole user: it was filled from the database
 *     #s            newest commit number that has passed here, 20 digits: the fence
 *     #f            the commit number it was filled at
 *     #t            Redis's clock, ms, when it was filled
 * Scripts compare versions and commit numbers as digits. A put never makes a user whole: without a
 * filled hash it leaves only the fence, for a minute, so that a fill that read the database before
 * is refused (pains P4).
 *
 * Whether a copy may be served at all is not known here: domain/cache_trust.h decides by #t and by
 * the markers, keys <prefix>sound:{tag}:<partition> with a life of 5 s. */
#ifndef WL_STORE_CACHE_REDIS_H
#define WL_STORE_CACHE_REDIS_H

#include "base/asset.h"
#include "store/redis.h"

typedef struct wl_cache_redis wl_cache_redis_t;

typedef struct {
    wl_redis_t *redis;  /* borrowed for its life */
    const char *prefix; /* copied */
    uint32_t ttl_s;     /* a filled user is kept so long, minus up to a tenth */
} wl_cache_redis_options_t;

wl_cache_redis_t *wl_cache_redis_new(const wl_cache_redis_options_t *options);
/* After its wl_redis_t, which calls everything back. NULL and *NULL are accepted. */
void wl_cache_redis_destroy(wl_cache_redis_t **self);

/* A user's copy; assets are borrowed for the callback, tombstones among them. */
typedef struct {
    int64_t filled_at; /* Redis's clock, ms */
    const wl_asset_t *assets;
    uint32_t count;
} wl_cache_copy_t;

/* err: WL_OK; WL_ERR_NOT_FOUND: no whole user; WL_ERR_DAMAGED: bytes that no walletd wrote, the
 * user is being forgotten; else why Redis did not answer. copy is NULL unless WL_OK. */
typedef void (*wl_cache_copy_fn)(wl_err_t err, const wl_cache_copy_t *copy, void *ctx);
void wl_cache_redis_get(wl_cache_redis_t *self, uint64_t uid, wl_cache_copy_fn fn, void *ctx);

/* Users of whom the server that serves `tag` has a hash, maybe only a fence: about `max` of them,
 * from `cursor` on (Redis's SCAN: who is there throughout is told, some twice). next: where to go
 * on, 0 = that was all. Keys that are no user's are passed over. uids are borrowed for the call;
 * err: why Redis did not answer, or WL_ERR_DAMAGED. */
typedef void (*wl_cache_users_fn)(wl_err_t err, const uint64_t *uids, uint32_t count, uint64_t next,
                                  void *ctx);
void wl_cache_redis_scan(wl_cache_redis_t *self, uint32_t tag, uint64_t cursor, uint32_t max,
                         wl_cache_users_fn fn, void *ctx);

/* err: WL_OK, it took effect; WL_ERR_CONFLICT: a fill that the fence refuses, or that came
 * too late; else Redis's. */
typedef void (*wl_cache_done_fn)(wl_err_t err, void *ctx);
/* A committed write: newer versions replace, equal ones that were pulled later too, older ones
 * change nothing. Assets are packed at once. fn may be NULL. */
void wl_cache_redis_put(wl_cache_redis_t *self, uint64_t uid, const wl_asset_t *assets,
                        uint32_t count, uint64_t commit_seq, wl_cache_done_fn fn, void *ctx);
/* A put that failed may or may not stand: takes the user out and leaves the fence. */
void wl_cache_redis_forget(wl_cache_redis_t *self, uint64_t uid, uint64_t commit_seq,
                           wl_cache_done_fn fn, void *ctx);
/* The whole user as read from the database at commit_seq. Of a key in both the newer stays. More
 * than WL_USER_ASSETS_MAX assets: WL_ERR_TOO_BIG, not kept. until: Redis's clock, ms: a fill that
 * arrives later, over a connection that was given up meanwhile, changes nothing; WL_ERR_CONFLICT.
 * The fence of a write that it has not seen may have gone by then, or was never set. */
void wl_cache_redis_fill(wl_cache_redis_t *self, uint64_t uid, const wl_asset_t *assets,
                         uint32_t count, uint64_t commit_seq, int64_t until, wl_cache_done_fn fn,
                         void *ctx);

/* ---- markers -------------------------------------------------------------------------------- */
enum { WL_CACHE_MARKER_MS = 5000 /* the life of one that is not renewed */ };

/* now: Redis's clock, ms; since[p]: the marker of partition p, 0 = there is none. */
typedef void (*wl_cache_markers_fn)(wl_err_t err, int64_t now, const int64_t *since,
                                    uint32_t partitions, void *ctx);
/* Reads the markers on the server that serves `tag`. partitions <= 16. */
void wl_cache_redis_look(wl_cache_redis_t *self, uint32_t tag, uint32_t partitions,
                         wl_cache_markers_fn fn, void *ctx);
/* Renews the marker of one partition there. afresh: it begins now; else it goes on from what Redis
 * has, or begins now when it has none. until: Redis's clock, ms: a renewal that arrives later, over
 * a connection that was given up meanwhile, changes nothing; WL_ERR_CONFLICT. */
void wl_cache_redis_renew(wl_cache_redis_t *self, uint32_t tag, uint32_t partition, bool afresh,
                          int64_t until, wl_cache_done_fn fn, void *ctx);
/* The hash slot of all keys with a tag. Pure. */
uint32_t wl_cache_redis_tag_slot(uint32_t tag);
/* Who serves a user: see wl_redis_server() and wl_redis_link(). */
uint32_t wl_cache_redis_server(const wl_cache_redis_t *self, uint64_t uid);
uint64_t wl_cache_redis_link(const wl_cache_redis_t *self, uint64_t uid);

#endif
