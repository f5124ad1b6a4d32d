/* raw_stores.h: what Redis and MariaDB give without a server before them: the other side of the
 * benchmarks on real stores. */
#ifndef WL_TOOLS_WALLETBENCH_RAW_STORES_H
#define WL_TOOLS_WALLETBENCH_RAW_STORES_H

#include "tools/walletbench/servers.h"

/* XADDs of one change each, 500 in a pipeline, for so long. Entries a second. */
double bench_raw_xadd(const bench_server_t *redis, uint32_t ms);

/* Upserts one asset of each of `users` users under a version guard: 500 rows a statement, one
 * statement a transaction. Rows a second. */
double bench_raw_mysql_upsert(const bench_server_t *mariadb, uint64_t uid_first, uint64_t users);

#endif
