/* mysql_connect.h: a new connection as walletd wants it, and what error numbers mean. Blocks for
 * the timeout at most a few times. Only mysql_tool.c includes it, in the thread of its connection.
 * */
#ifndef WL_STORE_MYSQL_CONNECT_H
#define WL_STORE_MYSQL_CONNECT_H

#include "base/err.h"
#include "store/mysql_tool.h"

#include <mariadb/mysql.h>
#include <stdint.h>

enum { WL_MYSQL_HOST_MAX = 255, WL_MYSQL_DATABASE_MAX = 64 };

/* Where to, and as whom: options that have been read. */
typedef struct {
    char host[WL_MYSQL_HOST_MAX + 1];
    char database[WL_MYSQL_DATABASE_MAX + 1];
    char user[129];
    char *password_file; /* owned, may be NULL; read for each connection, so that it can change */
    unsigned port;
    unsigned timeout_s;
    bool writes;
} wl_mysql_target_t;

/* WL_ERR_SETTINGS: `at` is no host:port/database. */
WL_MUST_USE wl_err_t wl_mysql_target_read(const wl_mysql_options_t *options, bool writes,
                                          wl_mysql_target_t *ret, wl_fault_t *fault);
void wl_mysql_target_destroy(wl_mysql_target_t *self);

/* Connects and sets the session. Errors as in mysql_tool.h; fault is filled, never NULL. */
WL_MUST_USE wl_err_t wl_mysql_connect(const wl_mysql_target_t *target, MYSQL **ret,
                                      wl_fault_t *fault);

/* What an error number means; *ret_lost: the connection is of no use any more. */
wl_err_t wl_mysql_error(unsigned code, bool *ret_lost);

#endif
