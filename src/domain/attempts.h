/* attempts.h: the history of attempts of one (uid, line): when each was made and how it failed, the
 * newest WL_ATTEMPTS_MAX of them, and its packed form, in which it stands beside a retry and in a
 * dead letter. Packed, equal reasons in a row cost nothing: usually some 10 bytes an attempt.
 *
 *     format 1, then of each: failure, varint of zigzag ms since the one before, length of the
 *     reason (255: as before), reason
 *
 * Pure, plain data, any thread. */
#ifndef WL_DOMAIN_ATTEMPTS_H
#define WL_DOMAIN_ATTEMPTS_H

#include "base/err.h"
#include "base/failure.h"

#include <stddef.h>
#include <stdint.h>

enum {
    WL_ATTEMPTS_MAX = 16,
    WL_ATTEMPT_REASON_MAX = 96,
    WL_ATTEMPTS_BYTES_MAX = 1 + WL_ATTEMPTS_MAX * (1 + 10 + 1 + WL_ATTEMPT_REASON_MAX),
};

typedef struct {
    int64_t at;      /* wall ms */
    uint8_t failure; /* wl_failure_t */
    char reason[WL_ATTEMPT_REASON_MAX + 1];
} wl_attempt_t;

typedef struct {
    uint32_t count;
    wl_attempt_t at[WL_ATTEMPTS_MAX]; /* oldest first */
} wl_attempts_t;

/* The oldest goes when there is no room. */
void wl_attempts_add(wl_attempts_t *self, const wl_attempt_t *attempt);
/* ret has room for WL_ATTEMPTS_BYTES_MAX; returns how many were used, 0 for none. */
size_t wl_attempts_pack(const wl_attempts_t *self, uint8_t *ret);
/* 0 bytes: none. WL_ERR_DAMAGED: not what pack() writes; *ret is then empty. Reasons are valid text
 * for people: other bytes than visible ASCII are shown as '?'. */
WL_MUST_USE wl_err_t wl_attempts_unpack(const void *bytes, size_t count, wl_attempts_t *ret);

#endif
