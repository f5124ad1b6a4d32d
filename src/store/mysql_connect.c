#include "store/mysql_connect.h"

#include "base/alloc.h"
#include "base/check.h"
#include "store/password_file.h"

#include <mariadb/errmsg.h>
#include <mariadb/mysqld_error.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TIMEOUT_MIN_S = 2, /* so that the server's lock wait, 1 s at least, ends before ours */
    SILENCE_S = 5,     /* a client that says nothing for so long holds no locks any more */
    PACKET_BYTES =
        1 << 20, /* of the server's max_allowed_packet; our statements are half as long */
    PORT_MAX = 65535,
};

/* ---- where to -------------------------------------------------------------------------------- */

static bool port_read(const char *text, size_t bytes, unsigned *ret) {
    unsigned port = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9' || port > PORT_MAX) {
            return false;
        }
        port = port * 10 + (unsigned)(text[i] - '0');
    }
    *ret = port;
    return bytes > 0 && port > 0 && port <= PORT_MAX;
}

/* "host:port/database" */
static bool address_read(const char *at, wl_mysql_target_t *ret) {
    const char *slash = strrchr(at, '/');
    const char *colon = slash == NULL ? NULL : memrchr(at, ':', (size_t)(slash - at));
    if (colon == NULL || !port_read(colon + 1, (size_t)(slash - colon) - 1, &ret->port)) {
        return false;
    }
    size_t host_bytes = (size_t)(colon - at);
    size_t database_bytes = strlen(slash + 1);
    if (host_bytes > 2 && at[0] == '[' && colon[-1] == ']') {
        at++;
        host_bytes -= 2;
    }
    if (host_bytes == 0 || host_bytes > WL_MYSQL_HOST_MAX || database_bytes == 0 ||
        database_bytes > WL_MYSQL_DATABASE_MAX) {
        return false;
    }
    memcpy(ret->host, at, host_bytes);
    memcpy(ret->database, slash + 1, database_bytes);
    return true;
}

wl_err_t wl_mysql_target_read(const wl_mysql_options_t *options, bool writes,
                              wl_mysql_target_t *ret, wl_fault_t *fault) {
    memset(ret, 0, sizeof *ret);
    int user_bytes = snprintf(ret->user, sizeof ret->user, "%s", options->user);
    if (!address_read(options->at, ret)) {
        return wl_fault(fault, WL_ERR_SETTINGS, options->at, "expected host:port/database");
    }
    if (user_bytes < 1 || (size_t)user_bytes >= sizeof ret->user) {
        return wl_fault(fault, WL_ERR_SETTINGS, options->at, "the user is empty or too long");
    }
    ret->timeout_s = (options->timeout_ms + 999) / 1000;
    ret->timeout_s = ret->timeout_s < TIMEOUT_MIN_S ? TIMEOUT_MIN_S : ret->timeout_s;
    ret->writes = writes;
    ret->password_file = wl_strdup(options->password_file);
    return WL_OK;
}

void wl_mysql_target_destroy(wl_mysql_target_t *self) {
    wl_free(self->password_file);
    *self = (wl_mysql_target_t){0};
}

/* ---- what numbers mean ----------------------------------------------------------------------- */

/* Numbers that only newer servers, or only one of the two, have. */
enum {
    MYSQL_GROUP_ROLLED_BACK = 3101,  /* ER_TRANSACTION_ROLLBACK_DURING_COMMIT */
    MYSQL_SERVER_OFFLINE = 3032,     /* ER_SERVER_OFFLINE_MODE */
    MYSQL_IDLE_DISCONNECTED = 4031,  /* ER_CLIENT_INTERACTION_TIMEOUT */
    MARIADB_CONNECTION_KILLED = 1927 /* ER_CONNECTION_KILLED */
};

static bool error_lost(unsigned code) {
    switch (code) {
    case ER_CON_COUNT_ERROR:
    case ER_SERVER_SHUTDOWN:
    case ER_NORMAL_SHUTDOWN:
    case ER_ABORTING_CONNECTION:
    case ER_NEW_ABORTING_CONNECTION:
    case ER_NET_READ_ERROR:
    case ER_NET_READ_INTERRUPTED:
    case ER_NET_ERROR_ON_WRITE:
    case ER_NET_WRITE_INTERRUPTED:
    case ER_QUERY_INTERRUPTED:
    case ER_TOO_MANY_USER_CONNECTIONS:
    case ER_USER_LIMIT_REACHED:
    case ER_OPTION_PREVENTS_STATEMENT: /* read_only: perhaps another server writes now */
    case ER_READ_ONLY_MODE:
    case ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION:
    case MYSQL_SERVER_OFFLINE:
    case MYSQL_IDLE_DISCONNECTED:
    case MARIADB_CONNECTION_KILLED: return true;
    default: return code >= CR_MIN_ERROR && code <= CR_MAX_ERROR; /* of the client library */
    }
}

wl_err_t wl_mysql_error(unsigned code, bool *ret_lost) {
    *ret_lost = error_lost(code);
    if (*ret_lost) {
        return code == CR_AUTH_PLUGIN_CANNOT_LOAD || code == CR_AUTH_PLUGIN_ERR
                   ? WL_ERR_SETTINGS
                   : WL_ERR_UNAVAILABLE;
    }
    switch (code) {
    case ER_LOCK_DEADLOCK:
    case ER_LOCK_WAIT_TIMEOUT:
    case ER_CHECKREAD:
    case MYSQL_GROUP_ROLLED_BACK: return WL_ERR_BUSY;
    case ER_DBACCESS_DENIED_ERROR:
    case ER_ACCESS_DENIED_ERROR:
    case ER_ACCESS_DENIED_NO_PASSWORD_ERROR:
    case ER_BAD_DB_ERROR:
    case ER_HOST_NOT_PRIVILEGED:
    case ER_NOT_SUPPORTED_AUTH_MODE:
    case ER_TABLEACCESS_DENIED_ERROR:
    case ER_SPECIFIC_ACCESS_DENIED_ERROR:
    case ER_NO_SUCH_TABLE:
    case ER_BAD_FIELD_ERROR: return WL_ERR_SETTINGS;
    case ER_DISK_FULL:
    case ER_RECORD_FILE_FULL: return WL_ERR_NO_SPACE;
    case ER_NOT_KEYFILE:
    case ER_CRASHED_ON_USAGE:
    case ER_CRASHED_ON_REPAIR:
    case ER_INDEX_CORRUPT: return WL_ERR_DAMAGED;
    case ER_GET_ERRNO:
    case ER_ERROR_ON_READ:
    case ER_ERROR_ON_WRITE: return WL_ERR_IO;
    default: return WL_ERR_INTERNAL;
    }
}

/* ---- a session ------------------------------------------------------------------------------- */

static void option_set(MYSQL *db, enum mysql_option option, const void *value) {
    int rc = mysql_options(db, option, value);
    WL_ASSERT(rc == 0); /* the library knows all of them */
}

static void options_set(MYSQL *db, const wl_mysql_target_t *target) {
    const unsigned off = 0;
    const my_bool no = 0;
    const unsigned tcp = MYSQL_PROTOCOL_TCP; /* "localhost" is no socket file either */
    option_set(db, MYSQL_OPT_CONNECT_TIMEOUT, &target->timeout_s);
    option_set(db, MYSQL_OPT_READ_TIMEOUT, &target->timeout_s);
    option_set(db, MYSQL_OPT_WRITE_TIMEOUT, &target->timeout_s);
    option_set(db, MYSQL_OPT_LOCAL_INFILE, &off);
    option_set(db, MYSQL_OPT_RECONNECT, &no);
    option_set(db, MYSQL_OPT_PROTOCOL, &tcp);
    option_set(db, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    /* A server that asks for the password as plain text is refused. */
    option_set(db, MARIADB_OPT_RESTRICTED_AUTH,
               "mysql_native_password,caching_sha2_password,sha256_password,client_ed25519");
}

/* Takes note of the library's error. */
static wl_err_t session_fault(MYSQL *db, const wl_mysql_target_t *target, wl_fault_t *fault) {
    bool lost = false;
    wl_err_t err = wl_mysql_error(mysql_errno(db), &lost);
    return wl_fault(fault, err, target->host, "%s", mysql_error(db));
}

static wl_err_t session_set(MYSQL *db, const wl_mysql_target_t *target, wl_fault_t *fault) {
    char sql[512];
    int bytes = snprintf(
        sql, sizeof sql,
        "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION', autocommit = 1,"
        " time_zone = '+00:00',"
        " innodb_lock_wait_timeout = %u",
        target->timeout_s - 1);
    WL_ASSERT(bytes > 0 && (size_t)bytes < sizeof sql);
    if (mysql_real_query(db, sql, (unsigned long)bytes) != 0) {
        return session_fault(db, target, fault);
    }
    if (target->writes) {
        bytes = snprintf(sql, sizeof sql, "SET SESSION wait_timeout = %d, net_read_timeout = %d",
                         SILENCE_S, SILENCE_S);
        if (mysql_real_query(db, sql, (unsigned long)bytes) != 0) {
            return session_fault(db, target, fault);
        }
    }
    static const char isolation[] = "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";
    return mysql_real_query(db, isolation, sizeof isolation - 1) != 0
               ? session_fault(db, target, fault)
               : WL_OK;
}

/* One variable of the session. What was set is read again: a proxy may have swallowed it. The two
 * servers call the isolation by different names. */
static wl_err_t variable_check(const wl_mysql_target_t *target, const char *name, const char *value,
                               bool *isolated, wl_fault_t *fault) {
    if (strcmp(name, "tx_isolation") == 0 || strcmp(name, "transaction_isolation") == 0) {
        *isolated = strcmp(value, "READ-COMMITTED") == 0;
        return WL_OK;
    }
    if (strcmp(name, "sql_mode") == 0 && strstr(value, "STRICT_ALL_TABLES") == NULL) {
        return wl_fault(fault, WL_ERR_SETTINGS, target->host, "sql_mode cannot be made strict");
    }
    if (strcmp(name, "max_allowed_packet") == 0 && strtoull(value, NULL, 10) < PACKET_BYTES) {
        return wl_fault(fault, WL_ERR_SETTINGS, target->host,
                        "max_allowed_packet is %s, at least %d is needed", value, PACKET_BYTES);
    }
    bool only_read = strcmp(name, "read_only") == 0 || strcmp(name, "innodb_read_only") == 0;
    if (only_read && target->writes && strcmp(value, "OFF") != 0) {
        return wl_fault(fault, WL_ERR_UNAVAILABLE, target->host, "the server is %s", name);
    }
    return WL_OK;
}

static wl_err_t session_check(MYSQL *db, const wl_mysql_target_t *target, wl_fault_t *fault) {
    static const char sql[] =
        "SHOW VARIABLES WHERE Variable_name IN ('tx_isolation', 'transaction_isolation',"
        " 'sql_mode', 'max_allowed_packet', 'read_only', 'innodb_read_only')";
    if (mysql_real_query(db, sql, sizeof sql - 1) != 0) {
        return session_fault(db, target, fault);
    }
    MYSQL_RES *rows = mysql_store_result(db);
    if (rows == NULL || mysql_num_fields(rows) != 2) {
        mysql_free_result(rows);
        return wl_fault(fault, WL_ERR_UNAVAILABLE, target->host, "it does not show its variables");
    }
    bool isolated = false;
    wl_err_t err = WL_OK;
    MYSQL_ROW row;
    while (err == WL_OK && (row = mysql_fetch_row(rows)) != NULL) {
        if (row[0] != NULL && row[1] != NULL) {
            err = variable_check(target, row[0], row[1], &isolated, fault);
        }
    }
    mysql_free_result(rows);
    if (err == WL_OK && !isolated) {
        err = wl_fault(fault, WL_ERR_SETTINGS, target->host,
                       "the isolation level cannot be made READ COMMITTED");
    }
    return err;
}

wl_err_t wl_mysql_connect(const wl_mysql_target_t *target, MYSQL **ret, wl_fault_t *fault) {
    char password[WL_PASSWORD_MAX + 1];
    wl_err_t err = wl_password_file_read(target->password_file, password, fault);
    if (err != WL_OK) {
        return err;
    }
    MYSQL *db = mysql_init(NULL);
    WL_ASSERT(db != NULL);
    options_set(db, target);
    /* CLIENT_FOUND_ROWS: an UPDATE says how many rows it found, not how many became different. */
    MYSQL *connected = mysql_real_connect(db, target->host, target->user, password,
                                          target->database, target->port, NULL, CLIENT_FOUND_ROWS);
    sodium_memzero(password, sizeof password);
    err = connected == NULL ? session_fault(db, target, fault) : session_set(db, target, fault);
    if (err == WL_OK) {
        err = session_check(db, target, fault);
    }
    if (err != WL_OK) {
        mysql_close(db);
        return err;
    }
    *ret = db;
    return WL_OK;
}
