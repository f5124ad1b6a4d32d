/* mysql_world.h: for the tests that need a MySQL server: a database of their own on the first of the
 * private servers, and a connection beside the tested ones. */
#ifndef WL_TEST_MYSQL_WORLD_H
#define WL_TEST_MYSQL_WORLD_H

#include "../../stores.h"
#include "store/mysql_tool.h"

#include <arpa/inet.h>
#include <mariadb/mysql.h>
#include <string.h>
#include <sys/socket.h>

typedef struct {
    MYSQL *root;       /* sees and may do everything */
    char database[64]; /* dropped at the end */
    char at[224];      /* "host:port/database" */
} mysql_world_t;

static mysql_world_t mysql_world;

static inline void world_sql(const char *sql) {
    cr_assert_eq(mysql_query(mysql_world.root, sql), 0, "%s: %s", sql,
                 mysql_error(mysql_world.root));
}

/* The first column of the first row; 0 when there is none. */
static inline long long world_number(const char *sql) {
    world_sql(sql);
    MYSQL_RES *rows = mysql_store_result(mysql_world.root);
    cr_assert_not_null(rows);
    MYSQL_ROW row = mysql_fetch_row(rows);
    long long number = row == NULL || row[0] == NULL ? 0 : atoll(row[0]);
    mysql_free_result(rows);
    return number;
}

/* A port that nobody listens on. *ret_socket: bound to it; listening when asked. */
static inline int port_take(bool listening, int *ret_socket) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&address, bytes) == 0);
    cr_assert(getsockname(fd, (struct sockaddr *)&address, &bytes) == 0);
    cr_assert(!listening || listen(fd, 16) == 0);
    *ret_socket = fd;
    return ntohs(address.sin_port);
}

static inline void world_open(void) {
    char server[128];
    char host[128];
    char password[128] = "";
    (void)stores_mysql(0, server, sizeof server);
    const char *colon = strrchr(server, ':');
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - server), server);
    FILE *file = fopen(stores_mysql_password_file(), "r");
    cr_assert_not_null(file);
    cr_assert_not_null(fgets(password, sizeof password, file));
    (void)fclose(file);
    password[strcspn(password, "\n")] = '\0';
    mysql_world.root = mysql_init(NULL);
    cr_assert_not_null(mysql_real_connect(mysql_world.root, host, "walletd", password, NULL,
                                          (unsigned)atoi(colon + 1), NULL, 0),
                       "%s", mysql_error(mysql_world.root));
    char sql[128];
    (void)stores_name("wl_test_", mysql_world.database, sizeof mysql_world.database);
    (void)snprintf(mysql_world.at, sizeof mysql_world.at, "%s/%s", server, mysql_world.database);
    (void)snprintf(sql, sizeof sql, "CREATE DATABASE %s", mysql_world.database);
    world_sql(sql);
    cr_assert_eq(mysql_select_db(mysql_world.root, mysql_world.database), 0);
}

static inline void world_close(void) {
    char sql[128];
    if (mysql_world.root != NULL) {
        (void)snprintf(sql, sizeof sql, "DROP DATABASE %s", mysql_world.database);
        (void)mysql_query(mysql_world.root, sql);
        mysql_close(mysql_world.root);
        mysql_world.root = NULL;
    }
}

static inline wl_mysql_options_t world_options(void) {
    return (wl_mysql_options_t){.at = mysql_world.at,
                                .user = "walletd",
                                .password_file = stores_mysql_password_file(),
                                .timeout_ms = 2000};
}

/* Ends every other connection to the database, as an operator or a dying server would. */
static inline unsigned world_kill_all(void) {
    char sql[160];
    unsigned killed = 0;
    (void)snprintf(sql, sizeof sql,
                   "SELECT id FROM information_schema.processlist WHERE db = '%s' AND"
                   " id <> CONNECTION_ID()",
                   mysql_world.database);
    world_sql(sql);
    MYSQL_RES *rows = mysql_store_result(mysql_world.root);
    MYSQL_ROW row;
    while ((row = mysql_fetch_row(rows)) != NULL) {
        (void)snprintf(sql, sizeof sql, "KILL CONNECTION %s", row[0]);
        killed += mysql_query(mysql_world.root, sql) == 0;
    }
    mysql_free_result(rows);
    return killed;
}

#endif
