/* config_bench.h: somebody who publishes, in a process of its own, for the readers' benchmark. */
#ifndef WL_TOOLS_WALLETBENCH_CONFIG_BENCH_H
#define WL_TOOLS_WALLETBENCH_CONFIG_BENCH_H

#include "wallet.h"

/* The role "publish ENDPOINT": another title of the first golden slot every second until it is
 * killed. */
int bench_publish_role(const char *endpoint);
/* The newest change that walletd knows. */
uint64_t bench_published(wallet_t *writer);

#endif
