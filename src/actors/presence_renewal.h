/* presence_renewal.h: how far a rebuild of a presence actor's set is: what it keeps of it, and what
 * the console is told. */
#ifndef WL_ACTORS_PRESENCE_RENEWAL_H
#define WL_ACTORS_PRESENCE_RENEWAL_H

#include "domain/presence_rebuild.h"
#include "proto/messages.h"

/* Of REBUILT. */
typedef enum {
    WL_REBUILD_NONE,
    WL_REBUILD_WAITING, /* until the serving set is complete */
    WL_REBUILD_READING,
    WL_REBUILD_DONE,
    WL_REBUILD_FAILED,
    WL_REBUILD_STATES
} wl_rebuild_state_t;

typedef struct {
    wl_presence_rebuild_t *rebuild;       /* owned, NULL = none reads */
    wl_rebuilt_head_t said;               /* how far it is, or how the last one ended */
    uint64_t seen[WL_REBUILD_SHARDS_MAX]; /* log numbers when it began */
    int64_t told_at;                      /* the console, monotonic ms */
    int64_t wanted_at;                    /* after a gap, monotonic ms, 0 = it is not */
    int64_t gap_at;                       /* when that last began one, monotonic ms, 0 = never */
    int64_t minute;                       /* of the epoch, in which rebuild_at was last heeded */
} wl_presence_renewal_t;

#endif
