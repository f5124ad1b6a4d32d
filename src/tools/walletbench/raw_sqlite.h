/* raw_sqlite.h: what the disk and SQLite give without a server around them: the other side of the
 * write benchmarks. WAL, synchronous=FULL, 500 rows a transaction, statements prepared once. */
#ifndef WL_TOOLS_WALLETBENCH_RAW_SQLITE_H
#define WL_TOOLS_WALLETBENCH_RAW_SQLITE_H

#include <stdint.h>

typedef struct bench_raw bench_raw_t;

bench_raw_t *bench_raw_open(const char *folder, const char *name);
void bench_raw_close(bench_raw_t **self);

/* Inserts queue rows, one per change, for so long. Rows a second. */
double bench_raw_insert(bench_raw_t *self, uint32_t ms);
/* Upserts one asset of each of `users` users under a version guard. Rows a second. */
double bench_raw_upsert(bench_raw_t *self, uint64_t uid_first, uint64_t users);

#endif
