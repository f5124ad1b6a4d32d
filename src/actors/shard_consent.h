/* shard_consent.h: what a user's consent to a line does to what a shard stores. Part of the shard
 * actor, on its thread, inside its transaction. */
#ifndef WL_ACTORS_SHARD_CONSENT_H
#define WL_ACTORS_SHARD_CONSENT_H

#include "base/clock.h"
#include "store/asset_db.h"

/* Does a consent stand, as the transaction sees it? */
WL_MUST_USE wl_err_t wl_shard_consent_stands(wl_asset_db_t *db, uint64_t uid, const char *line,
                                             wl_wall_ms_t now, bool *ret_stands);

/* Applies a consent record; a new one gets its row in the history. *ret_withdrawn: what stands now
 * is a withdrawal, and everything else of the line is deleted. *ret_result as of
 * wl_asset_db_apply(), whose errors these are; FULL only for what is given: a withdrawal of what
 * never stood is refused only when there was nothing to delete either. */
WL_MUST_USE wl_err_t wl_shard_consent_apply(wl_asset_db_t *db, const wl_asset_t *record,
                                            wl_apply_result_t *ret_result, bool *ret_withdrawn);

#endif
