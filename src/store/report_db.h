/* report_db.h: what reconciliation has done, and how far it is: runs, their parts (one a shard) and
 * every difference that was found (design section 5, reconciler). In MySQL the tables stand in the
 * database of shard 0, where all writers see them; with SQLite in a file of their own. One handle
 * belongs to one thread; calls may block on the disk or for the timeout of the connection.
 *
 * A difference is written down before it is repaired, and the place of the part moves on together
 * with its outcome. So a part that was cut off anywhere goes on, and ends with the same report.
 *
 * Errors of every call: WL_ERR_UNAVAILABLE and BUSY (try again; whether it took effect is not
 * known, and repeating it is harmless), IO, NO_SPACE, DAMAGED. */
#ifndef WL_STORE_REPORT_DB_H
#define WL_STORE_REPORT_DB_H

#include "base/err.h"
#include "store/mysql_tool.h"
#include "store/report_rows.h"

typedef struct wl_report_db wl_report_db_t;

typedef struct {
    const char *path;         /* SQLite: the file; NULL: MySQL */
    wl_mysql_options_t mysql; /* MySQL: database of shard 0 */
    const char *name;         /* of this writer, unique, at most 128 bytes */
} wl_report_db_options_t;

/* WL_ERR_SETTINGS: a database of something else or a newer schema, a name that does not fit. A
 * server that does not answer is no error here. */
WL_MUST_USE wl_err_t wl_report_db_open(const wl_report_db_options_t *options, wl_report_db_t **ret,
                                       wl_fault_t *fault);
void wl_report_db_close(wl_report_db_t **self);               /* NULL and *NULL are accepted */
const char *wl_report_db_problem(const wl_report_db_t *self); /* for logs, "" = none */

/* A run begins, with a part for each shard (or the only one). WL_ERR_CONFLICT: another run (or
 * round, for a round) is open. *ret_run: its id. */
WL_MUST_USE wl_err_t wl_report_db_begin(wl_report_db_t *self, const wl_report_run_t *run,
                                        uint64_t *ret_run);

/* Takes a part of an open run or round that nobody holds: its holder has let it go, or has not
 * renewed it for hold_ms. One of ours is taken again. Runs come before rounds.
 * WL_ERR_NOT_FOUND: there is nothing to do. */
WL_MUST_USE wl_err_t wl_report_db_claim(wl_report_db_t *self, uint32_t hold_ms,
                                        wl_report_run_t *ret_run, wl_report_part_t *ret_part);
/* Gives it back, as a process does that ends. */
WL_MUST_USE wl_err_t wl_report_db_release(wl_report_db_t *self, uint64_t run, uint32_t shard);

/* ---- one step of a part. All say WL_ERR_CONFLICT when the part is not ours any more, or has been
 * stopped: then nothing was written. All renew the hold. ----------------------------------------*/

/* Writes differences down as found; those of this run that stand there already (the same uid, line,
 * bucket, kind) stay as they are. count <= WL_REPORT_STEP_DIFFERENCES. */
WL_MUST_USE wl_err_t wl_report_db_found(wl_report_db_t *self, uint64_t run, uint32_t shard,
                                        uint32_t hold_ms, const wl_difference_t *found,
                                        uint32_t count);
/* The step's end, in one transaction: what is open becomes repaired, but for `left`; the place and
 * the sums of the part are these. part->state other than OPEN ends the part, and with the last of
 * its parts the run; note (may be NULL) is kept then. dry runs: everything open becomes left. What
 * is in `left` is left, whatever an earlier step or part has made of it. */
WL_MUST_USE wl_err_t wl_report_db_step(wl_report_db_t *self, const wl_report_part_t *part,
                                       uint32_t hold_ms, const wl_difference_t *left,
                                       uint32_t left_count, const char *note);

/* ---- operators -------------------------------------------------------------------------------*/

/* Stops an open run: its parts end at their next step. WL_ERR_NOT_FOUND; WL_ERR_CONFLICT: it has
 * ended. */
WL_MUST_USE wl_err_t wl_report_db_stop(wl_report_db_t *self, uint64_t run, const char *note);

/* Newest first, with id <= from (0 = the newest), at most max. rounds: those of the rolling
 * comparison instead. *ret_count. */
WL_MUST_USE wl_err_t wl_report_db_list(wl_report_db_t *self, uint64_t from, bool rounds,
                                       wl_report_t *ret, uint32_t max, uint32_t *ret_count);
/* WL_ERR_NOT_FOUND. */
WL_MUST_USE wl_err_t wl_report_db_get(wl_report_db_t *self, uint64_t run, wl_report_t *ret);
/* All parts of a run, ascending by shard; each body is the caller's. At most max. */
WL_MUST_USE wl_err_t wl_report_db_parts(wl_report_db_t *self, uint64_t run, wl_report_part_t *ret,
                                        uint32_t max, uint32_t *ret_count);

/* Over all parts. */
WL_MUST_USE wl_err_t wl_report_db_sums(wl_report_db_t *self, uint64_t run, wl_report_sums_t *ret);

/* With id > after, ascending, at most max. */
WL_MUST_USE wl_err_t wl_report_db_differences(wl_report_db_t *self, uint64_t run, uint64_t after,
                                              wl_found_t *ret, uint32_t max, uint32_t *ret_count);

#endif
