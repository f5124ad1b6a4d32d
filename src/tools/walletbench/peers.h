/* peers.h: the roles that walletbench plays in processes of their own. */
#ifndef WL_TOOLS_WALLETBENCH_PEERS_H
#define WL_TOOLS_WALLETBENCH_PEERS_H

#include <stdbool.h>
#include <stddef.h>

/* A bare ROUTER that answers every request with `bytes` bytes, whatever was asked: the most that
 * any server behind a ROUTER could reach. Returns only when the socket fails. */
int bench_echo(const char *endpoint, size_t bytes);

/* A business line over ZeroMQ that holds one asset for everybody: the version is the time of the
 * answer in microseconds, so each pull brings something new. silent: takes requests and answers
 * none. */
int bench_line(const char *endpoint, bool silent);

#endif
