/* mysql_tool.h: one connection to a MySQL or MariaDB server, with everything that must be set on it
 * (three timeouts, no LOCAL INFILE, no multi-statements, no reconnect behind our back, utf8mb4_bin,
 * READ COMMITTED) and its errors as wl_err_t. Only src/store includes it. One thread; mysql's own thread
 * data is set up at the first open and freed with wl_mysql_thread_end(). */
#ifndef WL_STORE_MYSQL_TOOL_H
#define WL_STORE_MYSQL_TOOL_H

#include "base/err.h"

#include <stdint.h>

typedef struct {
    const char *at; /* "host:port/database" */
    const char *user;
    const char *password_file; /* NULL or "" = none; mode 0600 is checked */
    uint32_t timeout_ms;       /* of connecting, each read, each write; rounded up to seconds */
} wl_mysql_options_t;

#endif
