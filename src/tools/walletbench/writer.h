/* writer.h: the walletd of the write benchmarks: lines over ZeroMQ whose every pull brings a newer
 * version (peers.h), so that each change is work. */
#ifndef WL_TOOLS_WALLETBENCH_WRITER_H
#define WL_TOOLS_WALLETBENCH_WRITER_H

#include "tools/walletbench/world.h"

/* Lines "cash" and "coin"; limits: more keys of both, each beginning with a comma. silent_coin:
 * coin takes requests and answers none. settings: more INI text. */
void bench_writer_start(const bench_setup_t *setup, const char *name, const char *limits,
                        bool silent_coin, const char *settings, bench_walletd_t *ret);

/* Notifies `changes` users of "cash" once each and waits until all are stored. Changes a second.
 * coin_changes: so many of "coin" go first, and are not waited for; 0 waits for the whole queue. */
double bench_writer_sync(const bench_walletd_t *walletd, uint64_t changes, uint64_t coin_changes);

#endif
