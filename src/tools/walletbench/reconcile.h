/* reconcile.h: runs of reconciliation, as benchmarks begin and watch them. */
#ifndef WL_TOOLS_WALLETBENCH_RECONCILE_H
#define WL_TOOLS_WALLETBENCH_RECONCILE_H

#include "tools/walletbench/world.h"

/* rate: records a second, 0 = any. */
void bench_reconcile_begin(wallet_t *writer, uint64_t rate);
/* Until the newest run has ended. *ret_ms: that its parts have worked, the pauses between their
 * steps left out. */
void bench_reconcile_wait(wallet_t *writer, uint64_t *ret_rows, uint64_t *ret_ms);

#endif
