/* puller_quota.h: the quota of one line (domain/quota.h) and its file quota-<line> in
 * server.data_dir: "day reserved" as decimal text. Part of the puller actor and used on its thread
 * only; blocks on the disk when a chunk is reserved, about a hundred times a day. A file that
 * cannot be understood counts as a day that is used up; one that cannot be written stops the line's
 * calls until it can. */
#ifndef WL_ACTORS_PULLER_QUOTA_H
#define WL_ACTORS_PULLER_QUOTA_H

#include "base/clock.h"

#include <stdbool.h>

typedef struct wl_puller_quota wl_puller_quota_t;

/* data_dir NULL: counts in memory only. Both are copied. The file is read with the first limit. */
wl_puller_quota_t *wl_puller_quota_new(const char *data_dir, const char *line);
/* What was reserved and not used is given back. NULL and *NULL are accepted. */
void wl_puller_quota_destroy(wl_puller_quota_t **self);

/* Calls a day, 0 = no limit. */
void wl_puller_quota_limit(wl_puller_quota_t *self, uint64_t limit, wl_wall_ms_t wall);
/* May one call be made now? Reserves when it has to. */
bool wl_puller_quota_may(wl_puller_quota_t *self, wl_mono_ms_t now, wl_wall_ms_t wall);
/* One call; only after may() of the same moment. */
void wl_puller_quota_take(wl_puller_quota_t *self);

/* -1: no limit. */
int64_t wl_puller_quota_left(const wl_puller_quota_t *self, wl_wall_ms_t wall);
/* ms until calls may be made again, 0 = now; *ret_reason says why not. */
int64_t wl_puller_quota_wait_ms(wl_puller_quota_t *self, wl_mono_ms_t now, wl_wall_ms_t wall,
                                const char **ret_reason);

#endif
