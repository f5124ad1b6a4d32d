/* asset_lines.h: what one line needs of the asset database beyond its records: the history of
 * consents and what a withdrawn one deletes, records of one bucket, and the line's users page by
 * page. Handles, threads and errors are those of asset_db.h. */
#ifndef WL_STORE_ASSET_LINES_H
#define WL_STORE_ASSET_LINES_H

#include "store/asset_db.h"

/* Adds a row to the history of consents, which nothing ever changes or deletes: a consent record
 * (base/asset.h) as it was just applied, and by which way it came, 1..WL_CONSENT_VIA_MAX bytes. The
 * same version once more adds nothing. In a transaction, with the errors of apply. */
enum { WL_CONSENT_VIA_MAX = 32 };
WL_MUST_USE wl_err_t wl_asset_db_consent_note(wl_asset_db_t *self, const wl_asset_t *record,
                                              const char *via);
/* Deletes all records of a (uid, line) but its consent record, tombstones included: nothing is left
 * that would refuse the same versions later. In a transaction, with the errors of apply.
 * SQLite: the bytes are overwritten as well, see wl_asset_db_scrub. MySQL: what its logs and undo
 * pages still hold goes when the server purges and rotates them. */
WL_MUST_USE wl_err_t wl_asset_db_purge(wl_asset_db_t *self, uint64_t uid, const char *line);
/* SQLite: older states of pages stand in the WAL until it is written back and cut off, which this
 * does when something was purged since the last time, and once after open, since a process may
 * have died in between. Not inside a transaction. Measured: 9 ms, and 5 ms more for each MB of the
 * WAL, which has up to 16.
 * *ret_due: a read was in the way, call again soon. MySQL: does nothing. */
WL_MUST_USE wl_err_t wl_asset_db_scrub(wl_asset_db_t *self, bool *ret_due);

/* Appends the records of one line and bucket that these users have, ascending and distinct, in that
 * order, tombstones included, outside a transaction. */
WL_MUST_USE wl_err_t wl_asset_db_get_many(wl_asset_db_t *self, const uint64_t *uids, uint32_t count,
                                          const char *line, const char *bucket,
                                          wl_asset_rows_t *rows);

/* Users page by page: looks at the next `max` (1 ..) that have any record, tombstones included, and
 * whose uid is above `after`, ascending, and writes those with a record of `line` (NULL: all) to
 * ret_uids, which has room for max. *ret_after = the last one looked at, where the next page
 * begins; *ret_last = nobody is behind it. A page ends before a damaged place; WL_ERR_DAMAGED: it
 * would begin there, see wl_asset_db_users_skip(). Outside a transaction.
 * It walks the primary key, so a page costs the rows of `max` users however few have the line
 * (measured: 4,096 users with 3 records each in 6 ms, 500,000 in 0.7 s). An index on (line, uid)
 * would find the users of a rare line at once; it was measured to double the bytes that a new
 * record writes, and to add 20 % to the file, for something that is done once in months. */
WL_MUST_USE wl_err_t wl_asset_db_users(wl_asset_db_t *self, uint64_t after, const char *line,
                                       uint32_t max, uint64_t *ret_uids, uint32_t *ret_count,
                                       uint64_t *ret_after, bool *ret_last);
/* Where wl_asset_db_users() says WL_ERR_DAMAGED behind `after`: finds an id behind which it can go
 * on, in at most 128 short reads. *ret_after > after, UINT64_MAX = nobody can be read any more.
 * Users between two damaged places may be left out with them. */
WL_MUST_USE wl_err_t wl_asset_db_users_skip(wl_asset_db_t *self, uint64_t after,
                                            uint64_t *ret_after);

#endif
