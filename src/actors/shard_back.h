/* shard_back.h: what a shard actor hands back to the dispatchers because it cannot be stored now:
 * they hear it at once, and for how long to send no more of this shard's users, since a pull that
 * nobody answers for keeps a place that users of other shards need. A message that gets lost only
 * costs `dispatcher.lost_ms`. Part of the shard actor, on its thread. */
#ifndef WL_ACTORS_SHARD_BACK_H
#define WL_ACTORS_SHARD_BACK_H

#include "actors/hub.h"
#include "actors/store_batch.h"

typedef struct {
    wl_hub_t *hub; /* borrowed */
    uint64_t sent; /* so far: no two batches share a head */
} wl_shard_back_t;

/* All of a batch, of which nothing is stored; empties it. */
void wl_shard_back_batch(wl_shard_back_t *self, wl_store_batch_t *batch, int64_t pause_ms,
                         const char *reason);
/* One user whom another shard has by now: one of us two has an older map, and the dispatcher asks
 * again when both have had time to hear. */
void wl_shard_back_item(wl_shard_back_t *self, const wl_store_head_t *head,
                        const wl_store_item_t *item, int64_t pause_ms);

#endif
