/* aim.h: what one pull has to cover: the newest add, the oldest notification, the versions hoped
 * for and the queue entries that end with it. Aims of the same pair can be merged. The part of
 * domain/pending.h that does not care about states and lists. Pure, one owner thread. */
#ifndef WL_DOMAIN_AIM_H
#define WL_DOMAIN_AIM_H

#include "base/clock.h"
#include "base/limits.h"
#include "domain/entry_ledger.h"
#include "domain/pool.h"

typedef struct wl_aim_hint {
    struct wl_aim_hint *next; /* the bucket heard of next */
    uint64_t version;         /* > 0, the highest heard */
    char bucket[WL_BUCKET_MAX + 1];
} wl_aim_hint_t;

/* A zeroed struct is an aim that covers nothing. */
typedef struct {
    uint64_t seq;          /* the newest add */
    wl_wall_ms_t notified; /* of the oldest change, 0 = none */
    wl_entry_ref_t *refs;  /* entries that end with it */
    wl_aim_hint_t *hints;  /* at most WL_HINTS_MAX */
} wl_aim_t;

/* What the aims of one wl_pending_t are made of. */
typedef struct {
    wl_entry_ledger_t *ledger;
    wl_pool_t *hint_pool;
} wl_aim_store_t;

void wl_aim_store_open(wl_aim_store_t *self, uint32_t refs_max);
/* All aims have to be ended before. */
void wl_aim_store_close(wl_aim_store_t *self);

/* Keeps the older of the two; 0 = not said. */
void wl_aim_notified(wl_aim_t *aim, wl_wall_ms_t at);
/* Keeps the highest version of each bucket. Of more than WL_HINTS_MAX buckets the first are kept: a
 * hint only spares a repeated pull, losing one costs no truth. */
void wl_aim_raise(wl_aim_store_t *self, wl_aim_t *aim, const char *bucket, uint64_t version);
/* Adds an older aim of the same pair to a newer one and empties it. */
void wl_aim_merge(wl_aim_store_t *self, wl_aim_t *newer, wl_aim_t *older);
/* What it stood for has ended, its entries with it; it covers nothing afterwards. */
void wl_aim_end(wl_aim_store_t *self, wl_aim_t *aim);

#endif
