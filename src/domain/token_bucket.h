/* token_bucket.h: a rate limit with a burst, so that walletd never asks a line more often than its
 * owners allow. Over any window of T ms at most burst + rate * T / 1000 tokens are given out; of
 * several who share a limit, each gives out its share of that, and one token at least at once.
 * Pure: the caller passes the time. A plain struct without memory of its own, one owner thread. */
#ifndef WL_DOMAIN_TOKEN_BUCKET_H
#define WL_DOMAIN_TOKEN_BUCKET_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t rate;       /* tokens a second, 0 = no limit */
    uint32_t burst;      /* most tokens held, >= 1 */
    uint32_t held;       /* parts of the limit that are ours, 1 .. parts */
    uint32_t parts;      /* of the limit, >= 1 */
    int64_t milli;       /* tokens held x 1000 x parts */
    wl_mono_ms_t filled; /* when milli was last brought up to date */
} wl_token_bucket_t;

/* Starts full, with all parts. A burst of 0 counts as 1. */
void wl_token_bucket_init(wl_token_bucket_t *self, uint32_t rate, uint32_t burst, wl_mono_ms_t now);
/* New limits keep the tokens held, cut to the new burst. */
void wl_token_bucket_set(wl_token_bucket_t *self, uint32_t rate, uint32_t burst, wl_mono_ms_t now);
/* `held` of `parts` of the limit are ours from now on, 1 .. parts .. 1024. */
void wl_token_bucket_share(wl_token_bucket_t *self, uint32_t held, uint32_t parts,
                           wl_mono_ms_t now);
/* Takes one token; false: none is there. A `now` before the last one adds nothing. */
bool wl_token_bucket_take(wl_token_bucket_t *self, wl_mono_ms_t now);
/* ms until a token is there, 0 = now. */
int64_t wl_token_bucket_wait_ms(wl_token_bucket_t *self, wl_mono_ms_t now);

#endif
