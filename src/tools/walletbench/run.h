/* run.h: runs one benchmark in a worker process and cleans up behind it: processes by their group,
 * files by their folder, also after Ctrl-C, a crash or a benchmark that does not end. */
#ifndef WL_TOOLS_WALLETBENCH_RUN_H
#define WL_TOOLS_WALLETBENCH_RUN_H

#include "tools/walletbench/bench.h"

typedef enum { BENCH_DONE, BENCH_FAILED, BENCH_INTERRUPTED } bench_end_t;

/* dir: where the private folder is made; the disk under it is part of the measurement. */
bench_end_t bench_run(const bench_t *bench, const char *dir, bool quick, bench_result_t *ret);

#endif
