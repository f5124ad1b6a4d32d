/* report_db_self.h: what the files of the store of reports share: report_db.c (runs, their parts,
 * what was found, as operators see them) and report_db_step.c (claims and steps, as the reconciler
 * works). Only they include it. */
#ifndef WL_STORE_REPORT_DB_SELF_H
#define WL_STORE_REPORT_DB_SELF_H

#include "store/report_db.h"
#include "store/report_sql.h"

enum { WL_REPORT_NAME_BYTES = 128 /* as the column has it */ };

struct wl_report_db {
    wl_report_sql_t sql;
    char name[WL_REPORT_NAME_BYTES + 1];
    bool forgets; /* there may be runs that are too old */
};

#define WL_REPORT_PART_COLUMNS "run, shard, state, holder, phase, reached, ended_at, body"

/* The only number of what was built; *ret stays when there is no row. */
WL_MUST_USE wl_err_t wl_report_ask(wl_report_db_t *self, uint64_t *ret);
/* " WHERE run = .. AND shard = ..", ", 5", ", x'..'" */
void wl_report_add_where(wl_report_db_t *self, uint64_t run, uint32_t shard);
void wl_report_add_number(wl_report_db_t *self, uint64_t value);
void wl_report_add_words(wl_report_db_t *self, const char *text);
/* Parts of what was built, at most max. */
WL_MUST_USE wl_err_t wl_report_read_parts(wl_report_db_t *self, wl_report_part_t *ret, uint32_t max,
                                          uint32_t *ret_count);
/* Removes a piece of what is too old, if anything is. Not in a transaction: a run may have millions
 * of differences, more than a server deletes within the timeout of a connection. */
void wl_report_forget(wl_report_db_t *self);
/* In a transaction: so that one run is closed by one. */
WL_MUST_USE wl_err_t wl_report_lock_run(wl_report_db_t *self, uint64_t run);
/* The run ends with its last part, as the worst of them did. note may be NULL. */
WL_MUST_USE wl_err_t wl_report_close_run(wl_report_db_t *self, uint64_t run, const char *note);

#endif
