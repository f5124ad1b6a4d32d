/* compare.h: what a comparison of two copies of a user's records finds, and what is to be done
 * about it: the rules of reconciliation (design section 5), without any store. Pure, any thread.
 *
 * The newest version wins, whichever side has it: a copy that is behind goes, and is read anew from
 * the database; a copy that is ahead of the database goes back into it, unless its line would not
 * accept it. A copy's tombstone counts only when it
 * is newer than the database's record: then that is deleted. */
#ifndef WL_DOMAIN_COMPARE_H
#define WL_DOMAIN_COMPARE_H

#include "base/asset.h"
#include "base/difference.h"
#include "domain/config.h"

/* A user's records in one number that does not depend on their order: every field that a reader
 * may see, tombstones and pulled_at left out. Never 0. Two users' differ by chance in 1 of 2^64. */
uint64_t wl_compare_digest(const wl_asset_t *assets, uint32_t count);

/* Compares all records of one user, in any order: of the database with its tombstones, and of the
 * copy. Appends at most `max` differences, returns how many there are. config may be NULL: then
 * nothing is restored. */
uint32_t wl_compare(const wl_config_t *config, const wl_asset_t *db, uint32_t db_count,
                    const wl_asset_t *copy, uint32_t copy_count, wl_difference_t *ret,
                    uint32_t max);

#endif
