/* store_batch.h: what a shard stores in one transaction: users and their assets, copied out of
 * STORE messages, which are valid only while they are taken. Part of the shard actor and used on
 * its thread only; it fills in the outcomes itself. */
#ifndef WL_ACTORS_STORE_BATCH_H
#define WL_ACTORS_STORE_BATCH_H

#include "proto/messages.h"

#include <msgpack.h>

enum {
    WL_STORE_BATCH_ASSETS = 2000, /* of one transaction; a user without assets counts as one */
    WL_STORE_BATCH_HEADS = 128,   /* different (dispatcher, epoch, line) of one transaction */
};

/* What the items of some STORE messages share. */
typedef struct {
    uint32_t dispatcher;
    uint64_t epoch; /* of the lease under which the dispatcher works */
    bool stale;     /* the lease has gone to another writer: nothing of it is stored */
    char line[WL_LINE_ID_MAX + 1];
} wl_stored_line_t;

/* What is known about the consent of an item's user to its line. */
enum { WL_CONSENT_UNKNOWN = 0, WL_CONSENT_STANDS = 1, WL_CONSENT_MISSING = 2 };

/* What became of one asset. */
typedef enum {
    WL_STORE_FATE_NONE, /* not tried */
    WL_STORE_FATE_STORED,
    WL_STORE_FATE_TOUCHED,
    WL_STORE_FATE_OLDER,
    WL_STORE_FATE_REFUSED, /* by a rule of the line, or of the store */
    WL_STORE_FATE_BARRED,  /* there is no consent */
} wl_store_fate_t;

/* One user to store, copied out of a message. */
typedef struct {
    uint64_t uid;
    uint64_t seq;
    int64_t notified_at;
    size_t asset_first;   /* into batch.assets, and into batch.kept */
    uint32_t asset_count; /* as asked */
    uint32_t kept_count;  /* records that now stand in the database, to be told */
    uint32_t head;        /* into batch.heads */
    uint8_t asked;        /* wl_pull_outcome_t, as asked */
    uint8_t outcome;      /* and after applying */
    uint8_t consent;      /* as the transaction has found it so far */
    bool owns;
} wl_stored_user_t;

/* A transaction to be. Messages are valid only while they are taken, so it has copies. */
typedef struct {
    wl_stored_line_t heads[WL_STORE_BATCH_HEADS];
    wl_stored_user_t *items; /* owned; as they came */
    size_t *order;           /* owned; the items by uid */
    uint64_t *uids;          /* owned; ascending, each once */
    wl_asset_t *assets;      /* owned; extras lie in zone */
    wl_asset_t *kept; /* owned; what stands in the database after applying, in the same places */
    wl_store_fate_t *fates; /* owned; of each asset, by the transaction */
    uint64_t *stands;       /* owned; OLDER: the version that stands */
    msgpack_zone *zone;     /* owned; emptied with the batch */
    size_t item_count;
    size_t item_room;
    size_t asset_count;
    size_t asset_room;
    uint32_t head_count;
    uint64_t stored; /* counts of this transaction, of use only if it commits */
    uint64_t older;
    uint64_t refused;
    uint64_t barred; /* assets left out because there is no consent */
} wl_store_batch_t;

wl_store_batch_t *wl_store_batch_new(void);
void wl_store_batch_destroy(wl_store_batch_t **self); /* NULL and *NULL are accepted */

/* Adds a copy of one item. Only while it is not full; an item may go beyond the bound of assets. */
void wl_store_batch_add(wl_store_batch_t *self, const wl_store_head_t *head,
                        const wl_store_item_t *item);
bool wl_store_batch_full(const wl_store_batch_t *self);

/* Fills order and uids. Users in ascending order: two writers that lock rows in one order never
 * wait for each other in a ring. Returns how many different ones there are. */
uint32_t wl_store_batch_sort(wl_store_batch_t *self);

/* Gives an extra that is borrowed a place that lasts as long as the batch. */
void wl_store_batch_own_extra(wl_store_batch_t *self, wl_asset_t *asset);

/* Empties it, keeps its memory. */
void wl_store_batch_clear(wl_store_batch_t *self);

#endif
