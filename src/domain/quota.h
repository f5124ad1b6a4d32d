/* quota.h: calls of one UTC day, never more than allowed, also over crashes. What may be used is
 * first written down as used, a chunk at a time: a crash wastes the rest of a chunk, at most one
 * hundredth of the day, and never gives it out twice.
 *
 *     look() --- READY ---> take()
 *        |------ RESERVE -> next(), write it to the disk, granted(); then look() again
 *        '------ SPENT ---> wait_ms()
 *
 * Days only go on: when the clock steps back over midnight, calls still count for the later day.
 * When it was wrong by more than a day, the calls that were made count for tomorrow.
 * Pure: the caller passes the time. A plain struct, one owner thread. */
#ifndef WL_DOMAIN_QUOTA_H
#define WL_DOMAIN_QUOTA_H

#include "base/clock.h"

#include <stdbool.h>

typedef enum { WL_QUOTA_READY, WL_QUOTA_RESERVE, WL_QUOTA_SPENT } wl_quota_state_t;

typedef struct {
    uint64_t limit;    /* calls a day, 0 = no limit */
    int64_t day;       /* days since 1970-01-01 UTC, of the counts */
    uint64_t used;     /* calls of that day */
    uint64_t reserved; /* calls of that day that the disk says were used, >= used */
} wl_quota_t;

/* What the disk says; day 0 and reserved 0 when it says nothing. */
void wl_quota_init(wl_quota_t *self, uint64_t limit, int64_t day, uint64_t reserved);
/* Another limit; what was used stays used. */
void wl_quota_set(wl_quota_t *self, uint64_t limit);
wl_quota_state_t wl_quota_look(wl_quota_t *self, wl_wall_ms_t now);
/* What has to be on the disk before more is taken; only after RESERVE. */
void wl_quota_next(const wl_quota_t *self, wl_wall_ms_t now, int64_t *ret_day,
                   uint64_t *ret_reserved);
void wl_quota_granted(wl_quota_t *self, int64_t day, uint64_t reserved);
/* One call; only after READY. */
void wl_quota_take(wl_quota_t *self);

uint64_t wl_quota_chunk(uint64_t limit); /* what is reserved at once: 1 .. 10,000 calls */
int64_t wl_quota_day(wl_wall_ms_t now);  /* UTC days since 1970 */
uint64_t wl_quota_left(const wl_quota_t *self, wl_wall_ms_t now);   /* UINT64_MAX: no limit */
int64_t wl_quota_wait_ms(const wl_quota_t *self, wl_wall_ms_t now); /* until the next day, >= 1 */

#endif
