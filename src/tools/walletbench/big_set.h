/* big_set.h: ten million users without ten million pulls: a presence set in memory, or the data
 * folder of a walletd that already knows them. */
#ifndef WL_TOOLS_WALLETBENCH_BIG_SET_H
#define WL_TOOLS_WALLETBENCH_BIG_SET_H

#include "domain/presence_set.h"

enum { BENCH_BIG_USERS = 10000000, BENCH_BIG_HASH_BITS = 34, BENCH_BIG_SHARDS = 2 };

/* INI text of a walletd that takes such a folder. */
#define BENCH_BIG_SETTINGS \
    "[presence]\ninstances = 1\nmode = hashed\nhash_bits = 34\n[shard]\ninstances = 2\n"

/* The n-th of 2^64 different random-looking uids, never 0 for n below 2^63. */
uint64_t bench_big_uid(uint64_t n);

/* Marks users first .. first + count - 1 of that series. */
void bench_big_mark(wl_presence_set_t *set, uint64_t first, uint64_t count);

/* Writes the presence snapshot and the shards that it belongs to. */
void bench_big_prepare(const char *data_dir);

#endif
