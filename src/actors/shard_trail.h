/* shard_trail.h: what a shard tells the trail about a transaction that was committed: of each asset
 * whether it was stored, with its version and never its amount. Part of the shard actor and used on
 * its thread only. */
#ifndef WL_ACTORS_SHARD_TRAIL_H
#define WL_ACTORS_SHARD_TRAIL_H

#include "actors/store_batch.h"
#include "actors/trail_teller.h"
#include "store/asset_db.h"

typedef struct {
    wl_trail_teller_t teller;
    uint64_t key;         /* of the tags of values: a random number that never leaves the actor */
    int64_t committed_at; /* wall ms, of the transaction that is told */
} wl_shard_trail_t;

wl_store_fate_t wl_shard_trail_fate(wl_apply_result_t result);
/* One user of the batch, after the commit. */
void wl_shard_trail_tell(wl_shard_trail_t *self, const wl_store_batch_t *batch,
                         const wl_stored_user_t *user);

#endif
