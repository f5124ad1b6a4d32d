/* servers.h: private Redis and MariaDB servers and the Node.js peer for a benchmark, in its folder
 * and on free ports; they die with the worker. Needs redis-server, mariadbd and node in the PATH.
 */
#ifndef WL_TOOLS_WALLETBENCH_SERVERS_H
#define WL_TOOLS_WALLETBENCH_SERVERS_H

#include "tools/walletbench/world.h"

typedef struct {
    pid_t pid;
    uint16_t port;
    char password_file[BENCH_PATH_MAX]; /* MariaDB: of user walletd */
    char socket[BENCH_PATH_MAX];        /* MariaDB: of root, without a password */
} bench_server_t;

/* durable: append-only file, flushed before each answer. Waits until it answers. */
void bench_redis_start(const bench_setup_t *setup, const char *name, bool durable,
                       bench_server_t *ret);
/* With an empty database "wallet". */
void bench_mariadb_start(const bench_setup_t *setup, const char *name, bench_server_t *ret);
/* bench/peers/node-redis over that Redis, with `users` users in it. */
void bench_node_start(const bench_setup_t *setup, const bench_server_t *redis, uint64_t users,
                      bench_server_t *ret);
void bench_server_stop(bench_server_t *self);

#endif
