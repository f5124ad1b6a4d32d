/* stores.h: for C tests: where the private Redis, Redis Cluster, MariaDB and etcd servers are that
 * tests/tools/stores.py has started (ctest does it), and names that no other test uses. Fails the
 * test when they are not there: a test that is skipped proves nothing. */
#ifndef WL_TESTS_STORES_H
#define WL_TESTS_STORES_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline const char *stores_env(const char *name) {
    const char *value = getenv(name);
    cr_assert(value != NULL, "%s is not set: run this test with ctest", name);
    return value;
}

static inline const char *stores_redis(void) {
    return stores_env("WALLET_TEST_REDIS");
}

static inline const char *stores_redis_cluster(void) {
    return stores_env("WALLET_TEST_REDIS_CLUSTER");
}

/* "host:port" of MariaDB server `index`, 0 or 1; user "walletd". */
static inline const char *stores_mysql(unsigned index, char *ret, size_t bytes) {
    const char *at = stores_env("WALLET_TEST_MYSQL");
    for (; index > 0; index--) {
        while (*at != ',') {
            cr_assert(*at != '\0');
            at++;
        }
        at++;
    }
    size_t length = 0;
    while (at[length] != '\0' && at[length] != ',' && length + 1 < bytes) {
        ret[length] = at[length];
        length++;
    }
    ret[length] = '\0';
    return ret;
}

static inline const char *stores_mysql_password_file(void) {
    return stores_env("WALLET_TEST_MYSQL_PASSWORD_FILE");
}

/* "http://host:port" */
static inline const char *stores_etcd(void) {
    return stores_env("WALLET_TEST_ETCD");
}

/* "<prefix><process>_<n>": a name of its own for a key prefix or a database. */
static inline const char *stores_name(const char *prefix, char *ret, size_t bytes) {
    static unsigned number;
    (void)snprintf(ret, bytes, "%s%d_%u", prefix, (int)getpid(), number++);
    return ret;
}

#endif
