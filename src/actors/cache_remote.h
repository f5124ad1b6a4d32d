/* cache_remote.h: the Redis side of a cache actor: reads and puts that wait for Redis, the markers
 * that say whether copies may be served (domain/cache_trust.h). Part of the cache actor, on its
 * thread.
 *
 * Reads: one question per user under way, whoever asks; what is not a trusted copy, or does not
 * come in time, is handed back as a miss. Redis being away costs a database read, never a wrong
 * answer. Puts (writers only): a change is reported as done when it has taken effect. When a put
 * fails its user is taken out of Redis as soon as that goes again; after 6.5 s, when the marker has
 * surely vanished and nobody serves older copies any more, the change is done all the same. Bounds:
 * WAITING_MAX reads, beyond them a miss at once; PUTS_MAX puts, beyond them a change is not
 * reported, and the dispatcher delivers it again; WITHDRAWN_MAX users whose consent was withdrawn a
 * moment ago, beyond them all copies are misses for as long. */
#ifndef WL_ACTORS_CACHE_REMOTE_H
#define WL_ACTORS_CACHE_REMOTE_H

#include "actors/hub.h"
#include "store/cache_redis.h"

typedef struct wl_cache_remote wl_cache_remote_t;

typedef struct {
    /* A read that waited: assets of a trusted copy, or NULL for a miss. read->marks is empty. */
    void (*answered)(void *ctx, uint32_t frontend, wl_read_item_t *read, const wl_asset_t *assets,
                     uint32_t count);
    /* A put has taken effect, or need not any more. */
    void (*stored)(void *ctx, uint32_t dispatcher, const char *line, const wl_done_item_t *done);
    /* Nothing of the user that was there before this consent was withdrawn is in Redis, or comes
     * back, or is handed to `answered`. Both are valid during the call. */
    void (*withdrawn)(void *ctx, const wl_stored_head_t *head, const wl_stored_item_t *item);
    void *ctx;
} wl_cache_remote_to_t;

/* hub must be open and not running yet. WL_ERR_SETTINGS with *fault. */
WL_MUST_USE wl_err_t wl_cache_remote_open(wl_hub_t *hub, const wl_cache_remote_to_t *to,
                                          wl_cache_remote_t **ret, wl_fault_t *fault);
/* Before the hub is closed; nothing is called back. NULL and *NULL are accepted. */
void wl_cache_remote_close(wl_cache_remote_t **self);

void wl_cache_remote_read(wl_cache_remote_t *self, uint32_t frontend, const wl_read_item_t *read);
void wl_cache_remote_fill(wl_cache_remote_t *self, uint64_t commit_seq, const wl_fill_item_t *fill);
/* head->dispatcher must be one of ours. */
void wl_cache_remote_put(wl_cache_remote_t *self, const wl_stored_head_t *head,
                         const wl_stored_item_t *stored);
/* A consent of the user was withdrawn (actors/consent_way.h). When head->dispatcher is one of ours
 * the user is taken out of Redis, however long that takes: nothing is said before. When it came
 * from another process, that one does so. Copies of the user are misses for the next
 * WITHDRAWN_MS, as one may still be on its way, or that process not so far. */
void wl_cache_remote_withdraw(wl_cache_remote_t *self, const wl_stored_head_t *head,
                              const wl_stored_item_t *stored);
/* For comparing: the copy that would be served now, NULL: there is none. err: it is not known. Each
 * is called back once, also when the remote is closed. */
typedef void (*wl_cache_remote_peek_fn)(void *ctx, wl_err_t err, const wl_asset_t *assets,
                                        uint32_t count);
void wl_cache_remote_peek(wl_cache_remote_t *self, uint64_t uid, wl_cache_remote_peek_fn fn,
                          void *ctx);
/* Users of whom Redis has something, as wl_cache_redis_scan(); the cursor goes over all servers. */
void wl_cache_remote_scan(wl_cache_remote_t *self, uint64_t cursor, uint32_t max,
                          wl_cache_users_fn fn, void *ctx);
/* Takes a user's copy out of Redis; whoever asks looks whether it is gone. */
void wl_cache_remote_drop(wl_cache_remote_t *self, uint64_t uid);
void wl_cache_remote_lease(wl_cache_remote_t *self, const wl_msg_t *msg);
/* Markers, retries; every 50 to 250 ms. */
void wl_cache_remote_tick(wl_cache_remote_t *self);
/* Sends what was asked in this turn. */
void wl_cache_remote_turn(wl_cache_remote_t *self);

#endif
