/* puller_quota.h: the quota of one line. Part of the puller actor and used on its thread only.
 *   Alone (domain/quota.h)        in the file quota-<line> in server.data_dir: "day reserved" as
 *                                 decimal text. Blocks on the disk when a chunk is reserved, about
 *                                 a hundred times a day. A file that cannot be understood counts as
 *                                 a day that is used up; one that cannot be written stops the
 *                                 line's calls until it can.
 *   Shared (domain/quota_share.h) with the other writers, in the database of leases. Never blocks:
 *                                 the puller carries what ask() says to the keeper and what it
 *                                 answers to answer(). Without answers the line's calls stop when
 *                                 what was reserved is used up. */
#ifndef WL_ACTORS_PULLER_QUOTA_H
#define WL_ACTORS_PULLER_QUOTA_H

#include "base/err.h"
#include "domain/quota_share.h"

typedef struct wl_puller_quota wl_puller_quota_t;

/* data_dir NULL: counts in memory only. Both are copied. The file is read with the first limit.
 * shared: with other writers, and data_dir is not used. */
wl_puller_quota_t *wl_puller_quota_new(const char *data_dir, const char *line, bool shared);
/* What was reserved and not used is written down; of a shared quota it is lost without close().
 * NULL and *NULL are accepted. */
void wl_puller_quota_destroy(wl_puller_quota_t **self);

/* Calls a day, 0 = no limit. */
void wl_puller_quota_limit(wl_puller_quota_t *self, uint64_t limit, wl_wall_ms_t wall);
/* May one call be made now? Reserves when it has to; shared: makes a question due. */
bool wl_puller_quota_may(wl_puller_quota_t *self, wl_mono_ms_t now, wl_wall_ms_t wall);
/* One call; only after may() of the same moment. */
void wl_puller_quota_take(wl_puller_quota_t *self);

/* Shared: whether this question is to be sent to the keeper now; never when alone. */
bool wl_puller_quota_ask(wl_puller_quota_t *self, wl_mono_ms_t now, wl_wall_ms_t wall,
                         wl_quota_ask_t *ret);
/* Shared: what it answered; err: it could not reserve, and the rest means nothing. Otherwise as
 * wl_quota_share_answer(). */
void wl_puller_quota_answer(wl_puller_quota_t *self, wl_err_t err, int64_t day, uint64_t granted,
                            uint64_t left, wl_mono_ms_t now, wl_wall_ms_t wall);
/* Shared: no more calls; the next ask() gives back what is not used. */
void wl_puller_quota_close(wl_puller_quota_t *self);

/* Of all writers when shared, as far as it is known. -1: no limit. */
int64_t wl_puller_quota_left(const wl_puller_quota_t *self, wl_wall_ms_t wall);
/* ms until calls may be made again, 0 = now; *ret_reason says why not. */
int64_t wl_puller_quota_wait_ms(wl_puller_quota_t *self, wl_mono_ms_t now, wl_wall_ms_t wall,
                                const char **ret_reason);

#endif
