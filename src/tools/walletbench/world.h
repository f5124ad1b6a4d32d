/* world.h: what a benchmark needs around it: a private walletd with its lines, peers in processes
 * of their own, and questions to them. Everything is taken down by the janitor (run.h). Whatever
 * goes wrong ends the benchmark. */
#ifndef WL_TOOLS_WALLETBENCH_WORLD_H
#define WL_TOOLS_WALLETBENCH_WORLD_H

#include "tools/walletbench/bench.h"
#include "wallet.h"

#include <sys/types.h>

enum { BENCH_ENDPOINT_MAX = 64, BENCH_PATH_MAX = 640 };

typedef struct {
    pid_t pid;
    char read[BENCH_ENDPOINT_MAX];  /* 7700 of this one */
    char write[BENCH_ENDPOINT_MAX]; /* 7701 */
    char data[BENCH_PATH_MAX];      /* data_dir */
    char log[BENCH_PATH_MAX];       /* its stderr */
    int64_t started_at;             /* monotonic ms */
} bench_walletd_t;

typedef struct {
    const char *name;     /* names its folder; one each */
    const char *lines;    /* the "lines" object of the integration document */
    const char *golden;   /* the "golden" array of the presentation */
    const char *sections; /* the "sections" array */
    const char *settings; /* more INI text, may be "" */
} bench_walletd_options_t;

/* A free loopback endpoint "tcp://127.0.0.1:PORT". */
void bench_endpoint(char ret[BENCH_ENDPOINT_MAX]);

/* Writes the configuration, makes the data folder; data, log and endpoints are known afterwards. */
void bench_walletd_prepare(const bench_setup_t *setup, const bench_walletd_options_t *options,
                           bench_walletd_t *ret);
/* Starts it without waiting. */
void bench_walletd_spawn(bench_walletd_t *self);
/* Waits until it is ready, presence included. */
void bench_walletd_wait(const bench_walletd_t *self);
/* prepare, spawn and wait. */
void bench_walletd_start(const bench_setup_t *setup, const bench_walletd_options_t *options,
                         bench_walletd_t *ret);
/* SIGTERM, and waits for the end. */
void bench_walletd_stop(bench_walletd_t *self);

/* Runs a program that dies with this one; its output goes to the file `log`, NULL = ours. */
pid_t bench_process_start(char *const *argv, const char *log);

/* Starts this program again in another role (peers.h): "echo ENDPOINT BYTES". */
pid_t bench_peer_start(const char *role, const char *endpoint, const char *argument);
void bench_peer_stop(pid_t pid);

/* A call that must succeed. The reply is borrowed as in wallet.h. */
wallet_reply_t bench_call(wallet_t *wallet, const char *method, const void *args, size_t bytes);
wallet_t *bench_open(const char *endpoint);
/* The number of a key of a result map, anywhere in its first level. */
uint64_t bench_reply_u64(const wallet_reply_t *reply, const char *key);
/* The sum of all numbers of a key, however deep they lie. */
uint64_t bench_reply_deep_u64(const wallet_reply_t *reply, const char *key);
/* Sum of one counter over all actors. Copies are up to a second old. */
uint64_t bench_counter(wallet_t *writer, const char *name);

/* Until nothing waits in the queue: no entry, no pull due, under way or to be repeated. */
void bench_wait_quiet(wallet_t *writer, int64_t limit_ms);

/* Until the queue holds nothing more for one line, while others may hang. */
void bench_wait_line(wallet_t *writer, const char *line, int64_t limit_ms);

/* Not busy waiting: a pause of the measuring side between two looks. */
void bench_pause(uint32_t ms);

#endif
