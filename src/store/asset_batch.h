/* asset_batch.h: the users of one transaction, in memory: all their records as they stood when it
 * began, and what the transaction makes of them. Decides what asset_db.h promises about versions,
 * touches and full users, for databases that are a round trip away. Pure, one thread. Only
 * src/store includes it. */
#ifndef WL_STORE_ASSET_BATCH_H
#define WL_STORE_ASSET_BATCH_H

#include "store/asset_db.h"

typedef struct wl_asset_batch wl_asset_batch_t;

wl_asset_batch_t *wl_asset_batch_new(void);
void wl_asset_batch_destroy(wl_asset_batch_t **self);
void wl_asset_batch_clear(wl_asset_batch_t *self); /* forgets all, keeps its memory */

/* Is the user in the batch? Everything below but load asserts that. */
bool wl_asset_batch_has(const wl_asset_batch_t *self, uint64_t uid);
/* How many users are in the batch, and the `at`th of them, ascending. */
uint32_t wl_asset_batch_users(const wl_asset_batch_t *self);
uint64_t wl_asset_batch_user(const wl_asset_batch_t *self, uint32_t at);
/* Puts a user without records into it; cheap when uids ascend. */
void wl_asset_batch_add_user(wl_asset_batch_t *self, uint64_t uid);
/* A record as it stands in the database; cheap when keys ascend. WL_ERR_DAMAGED: its user is not in
 * the batch, or its key already is. */
WL_MUST_USE wl_err_t wl_asset_batch_load(wl_asset_batch_t *self, const wl_asset_t *stored);

wl_apply_result_t wl_asset_batch_apply(wl_asset_batch_t *self, const wl_asset_t *asset);
/* Forgets all records of the line but the consent record; returns how many. */
uint32_t wl_asset_batch_purge(wl_asset_batch_t *self, uint64_t uid, const char *line);
/* NULL: none. Borrowed until the next apply. */
const wl_asset_t *wl_asset_batch_get(const wl_asset_batch_t *self, uint64_t uid, const char *line,
                                     const char *bucket);
void wl_asset_batch_fetch(const wl_asset_batch_t *self, uint64_t uid, wl_asset_rows_t *rows);
bool wl_asset_batch_owns(const wl_asset_batch_t *self, uint64_t uid);

/* Records that must be written, in the order of their keys: one after *cursor, which starts at 0;
 * NULL at the end. */
const wl_asset_t *wl_asset_batch_changed(wl_asset_batch_t *self, uint32_t *cursor);
/* Users whose records were born or came back from being gone, one entry each time, as they did. */
const uint64_t *wl_asset_batch_births(const wl_asset_batch_t *self, uint32_t *ret_count);

#endif
