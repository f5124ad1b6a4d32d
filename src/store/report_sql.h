/* report_sql.h: the small part of SQL that the store of reports needs, the same text for a SQLite
 * file and for MySQL: only here is it known which of them it is. Texts are kept as bytes, numbers
 * above 2^63 as each of them keeps them. One thread; only src/store includes it. */
#ifndef WL_STORE_REPORT_SQL_H
#define WL_STORE_REPORT_SQL_H

#include "base/err.h"
#include "store/mysql_tool.h"
#include "store/sql_text.h"
#include "store/sqlite_tool.h"

typedef struct {
    sqlite3 *db;             /* owned; NULL: MySQL */
    wl_mysql_t *link;        /* owned; NULL: SQLite */
    sqlite3_stmt *statement; /* SQLite: of the query under way */
    wl_sql_text_t text;      /* owned; the statement being built */
} wl_report_sql_t;

/* path NULL: MySQL. Brings the tables up to date. */
WL_MUST_USE wl_err_t wl_report_sql_open(wl_report_sql_t *self, const char *path,
                                        const wl_mysql_options_t *mysql, wl_fault_t *fault);
void wl_report_sql_close(wl_report_sql_t *self); /* accepts a half-opened one */
const char *wl_report_sql_problem(const wl_report_sql_t *self);

/* Begins a new statement; then pieces of it. Each returns self->text, or nothing. */
wl_sql_text_t *wl_report_sql(wl_report_sql_t *self, const char *first);
void wl_report_sql_add(wl_report_sql_t *self, const char *sql);
void wl_report_sql_number(wl_report_sql_t *self, uint64_t value);
void wl_report_sql_signed(wl_report_sql_t *self, int64_t value);
void wl_report_sql_bytes(wl_report_sql_t *self, const void *bytes, size_t count);
void wl_report_sql_words(wl_report_sql_t *self, const char *text);
/* Milliseconds since 1970: the server's clock, SQLite: ours. */
void wl_report_sql_now(wl_report_sql_t *self);
/* "INSERT IGNORE INTO " or how SQLite says it. */
const char *wl_report_sql_insert(const wl_report_sql_t *self);
/* " FOR UPDATE", or nothing: SQLite's transactions lock all. */
const char *wl_report_sql_lock(const wl_report_sql_t *self);

/* Runs what was built; *ret_matched (may be NULL): rows that it found to change. */
WL_MUST_USE wl_err_t wl_report_sql_run(wl_report_sql_t *self, uint64_t *ret_matched);
/* Runs what was built, which returns rows; wl_report_sql_next() until *ret_row is false or it
 * fails, then wl_report_sql_done() in any case. */
WL_MUST_USE wl_err_t wl_report_sql_query(wl_report_sql_t *self);
WL_MUST_USE wl_err_t wl_report_sql_next(wl_report_sql_t *self, bool *ret_row);
void wl_report_sql_done(wl_report_sql_t *self);
/* Columns of the row; a value that does not fit sets *damaged and is 0 or "". */
uint64_t wl_report_sql_take(wl_report_sql_t *self, int column, uint64_t max, bool *damaged);
int64_t wl_report_sql_take_signed(wl_report_sql_t *self, int column, bool *damaged);
void wl_report_sql_take_text(wl_report_sql_t *self, int column, char *ret, size_t bytes,
                             bool *damaged);
/* Borrowed until the next row. */
const void *wl_report_sql_take_bytes(wl_report_sql_t *self, int column, size_t *ret_count);

WL_MUST_USE wl_err_t wl_report_sql_begin(wl_report_sql_t *self);
/* Commits when err is WL_OK; else, or when that fails, rolls back. Returns the first error. */
WL_MUST_USE wl_err_t wl_report_sql_end(wl_report_sql_t *self, wl_err_t err);

#endif
