/* mysql_tool.h: one connection to a MySQL or MariaDB server, with everything that must be set on it
 * (three timeouts, no LOCAL INFILE, no multi-statements, no reconnect behind our back, no
 * plain-text passwords, strict mode, READ COMMITTED) and its errors as wl_err_t. One thread.
 *
 * It connects when it is used, and again when the connection was lost, never inside a transaction.
 * After a failed attempt the next ones fail at once for up to half a second. Calls block for as
 * long as the timeout; those that connect may take a few times as long when the server hangs. The
 * server ends a connection of a writer that is silent for 5 s, so that a transaction whose client
 * has vanished without a word does not hold its locks; an idle one is made anew.
 *
 * Errors: WL_ERR_UNAVAILABLE: no connection, or lost, or the server may not be written to;
 * WL_ERR_BUSY: deadlock or lock wait, the transaction must be rolled back; WL_ERR_SETTINGS: user,
 * database or tables are not what they should be; WL_ERR_NO_SPACE, WL_ERR_DAMAGED, WL_ERR_IO of its
 * disk; WL_ERR_INTERNAL. */
#ifndef WL_STORE_MYSQL_TOOL_H
#define WL_STORE_MYSQL_TOOL_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *at; /* "host:port/database", "[v6]:port/database" */
    const char *user;
    const char *password_file; /* NULL or "" = none; mode 0600 is checked */
    uint32_t timeout_ms; /* of connecting, each read, each write; rounded up to seconds, 2 s at
                                * least */
} wl_mysql_options_t;

/* In main before the first and after the last thread; and at the end of each thread that had a
 * connection. */
void wl_mysql_library_init(void);
void wl_mysql_library_end(void);
void wl_mysql_thread_end(void);

typedef struct wl_mysql wl_mysql_t;

/* Called with each new connection before it serves: checks what is there. May run statements. An
 * error closes the connection. fault is never NULL. */
typedef wl_err_t (*wl_mysql_check_fn)(wl_mysql_t *self, void *ctx, wl_fault_t *fault);

/* Connects. WL_ERR_SETTINGS: the options, or what the server or check says, cannot become right by
 * waiting; a server that does not answer is no error. writes: refuses servers that are read_only.
 * check may be NULL; fault may be NULL. */
WL_MUST_USE wl_err_t wl_mysql_open(const wl_mysql_options_t *options, bool writes,
                                   wl_mysql_check_fn check, void *ctx, wl_mysql_t **ret,
                                   wl_fault_t *fault);
void wl_mysql_close(wl_mysql_t **self); /* NULL and *NULL are accepted */

/* Runs a statement that returns no rows. */
WL_MUST_USE wl_err_t wl_mysql_run(wl_mysql_t *self, const char *sql, size_t bytes);
WL_MUST_USE wl_err_t wl_mysql_run_text(wl_mysql_t *self, const char *sql); /* NUL-terminated */
uint64_t wl_mysql_matched(const wl_mysql_t *self); /* rows that the last one found to change */

/* Runs a statement that returns rows; wl_mysql_next until *ret_row is false or it fails, or
 * wl_mysql_done before that. */
WL_MUST_USE wl_err_t wl_mysql_query(wl_mysql_t *self, const char *sql, size_t bytes);
WL_MUST_USE wl_err_t wl_mysql_query_text(wl_mysql_t *self, const char *sql);
WL_MUST_USE wl_err_t wl_mysql_next(wl_mysql_t *self, bool *ret_row);
void wl_mysql_done(wl_mysql_t *self);

/* A column of the row: borrowed until the next call, NUL-terminated; NULL for NULL. */
const char *wl_mysql_bytes(const wl_mysql_t *self, uint32_t column, size_t *ret_bytes);
/* false: NULL, not a number or out of range; *ret untouched. */
bool wl_mysql_unsigned(const wl_mysql_t *self, uint32_t column, uint64_t max, uint64_t *ret);
bool wl_mysql_signed(const wl_mysql_t *self, uint32_t column, int64_t *ret);
/* Copies a text. false: NULL, longer than bytes - 1, or it holds a NUL. */
bool wl_mysql_copy(const wl_mysql_t *self, uint32_t column, char *ret, size_t bytes);

/* Begin connects; from then on a lost connection fails every call until rollback. An error of
 * commit but WL_ERR_BUSY leaves open whether it took place. */
WL_MUST_USE wl_err_t wl_mysql_begin(wl_mysql_t *self);
WL_MUST_USE wl_err_t wl_mysql_commit(wl_mysql_t *self);
void wl_mysql_rollback(wl_mysql_t *self);
/* Closes the connection: the next use makes one to whoever the address names by then. */
void wl_mysql_drop(wl_mysql_t *self);

/* What the server said about the last error; for logs. "" = nothing. */
const char *wl_mysql_problem(const wl_mysql_t *self);
/* Grows with each connection; 0 = none yet. */
uint64_t wl_mysql_connections(const wl_mysql_t *self);

#endif
