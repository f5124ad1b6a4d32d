/* presence_set.h: who owns anything at all (design section 7). Level 1 of the read path: a "no"
 * is final, so there are never false negatives; a "maybe" may be wrong in hashed mode.
 *
 * exact:  the high 32 bits of the uid pick a 32-bit RoaringBitmap, the low 32 are its member:
 *         right for dense ids, deletable.
 * hashed: hash_bits (32..40) of mix64(uid); the bits above 32 pick the RoaringBitmap. False
 *         positives ~ members / 2^hash_bits. A member is never removed: a shared bit cleared for
 *         one user would hide another's money; only a rebuild drops it.
 * Owned by one presence actor. Memory follows the members; see docs/BENCHMARKS.md. */
#ifndef WL_DOMAIN_PRESENCE_SET_H
#define WL_DOMAIN_PRESENCE_SET_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef enum { WL_PRESENCE_EXACT, WL_PRESENCE_HASHED } wl_presence_mode_t;

typedef struct wl_presence_set wl_presence_set_t;

/* hash_bits 32..40, ignored in exact mode. */
wl_presence_set_t *wl_presence_set_new(wl_presence_mode_t mode, uint8_t hash_bits);
void wl_presence_set_destroy(wl_presence_set_t **self);

wl_presence_mode_t wl_presence_set_mode(const wl_presence_set_t *self);
uint8_t wl_presence_set_hash_bits(const wl_presence_set_t *self);

void wl_presence_set_mark(wl_presence_set_t *self, uint64_t uid);
/* The same for many in any order. The more at once the better: 10 M users in calls of a million
 * take a fifth of the time of calls of 4,096, as new containers are then made in ascending order.
 * Up to 16 MB of scratch during the call. */
void wl_presence_set_mark_many(wl_presence_set_t *self, const uint64_t *uids, size_t count);
/* Exact mode: removes the user. Hashed mode: does nothing. Returns whether it was removed. */
bool wl_presence_set_clear(wl_presence_set_t *self, uint64_t uid);
bool wl_presence_set_test(const wl_presence_set_t *self, uint64_t uid); /* true = maybe */

uint64_t wl_presence_set_members(const wl_presence_set_t *self); /* distinct bits set */
/* Exact mode: the users in ascending order; room for wl_presence_set_members(). */
void wl_presence_set_list(const wl_presence_set_t *self, uint64_t *into);
/* Bytes held, containers included. Costs a walk over the bitmaps: not for the hot path. */
uint64_t wl_presence_set_bytes(const wl_presence_set_t *self);
/* Expected share of absent users answered "maybe": members / 2^hash_bits, 0 in exact mode. */
double wl_presence_set_expected_fp(const wl_presence_set_t *self);
/* Packs containers tightly: run containers, no spare capacity, no holes. Call after marking many
 * and before saving: 10 M random users hashed to 34 bits take 5.9 bytes each of RSS as they grew,
 * 3.5 packed or loaded, 7.0 when a tenth more came singly since. Takes 0.1 to 0.3 s for 10 M, and
 * 2.2 bytes a user more meanwhile. Gives unused pages of the whole heap back to the system. */
void wl_presence_set_optimize(wl_presence_set_t *self);

/* A snapshot blob: magic "WLPS", format version, mode, hash_bits, the caller's mark numbers (for
 * example the commit number of each shard that the set has seen), length, XXH3-64 of everything.
 * CRoaring 0.2.66 crashes on damaged bytes: nothing is deserialised before the checksum holds. */
typedef struct {
    uint64_t *at; /* owned by the holder of the struct, wl_free() */
    uint32_t count;
} wl_presence_seen_t;

/* *ret_blob is wl_free()d by the caller. */
void wl_presence_set_save(wl_presence_set_t *self, const uint64_t *seen, uint32_t seen_count,
                          void **ret_blob, size_t *ret_bytes);
/* WL_ERR_DAMAGED: wrong magic, version, length, checksum or content; nothing is returned then. Even
 * behind a checksum that holds, each bitmap's structure is walked first. 10 M users: 40 ms. */
WL_MUST_USE wl_err_t wl_presence_set_load(const void *blob, size_t bytes,
                                          wl_presence_set_t **ret_set, wl_presence_seen_t *ret_seen,
                                          wl_fault_t *fault);

#endif
