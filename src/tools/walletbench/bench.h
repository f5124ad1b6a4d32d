/* bench.h: what a benchmark is. Each one runs in a worker process of its own with a folder of its
 * own; the janitor (run.h) takes both away at the end, whatever the end was. A benchmark that
 * cannot go on calls bench_fail(), so none of them unwinds anything. */
#ifndef WL_TOOLS_WALLETBENCH_BENCH_H
#define WL_TOOLS_WALLETBENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

enum { BENCH_UNIT_MAX = 32, BENCH_PAIRS_MAX = 16 };

typedef struct {
    const char *folder; /* private, emptied afterwards */
    bool quick;         /* about two seconds a side in all */
    uint32_t pairs;     /* interleaved runs of both sides */
    uint32_t side_ms;   /* length of one run of one side */
} bench_setup_t;

typedef struct {
    double value;              /* what the target is about; for ratios the median of the pairs */
    double a;                  /* median of our side, in unit */
    double b;                  /* median of the other side, in unit; 0 = there is none */
    uint32_t samples;          /* pairs, or single measurements */
    char unit[BENCH_UNIT_MAX]; /* of a and b */
} bench_result_t;

typedef struct {
    const char *name;
    const char *help;
    double target;
    bool at_least; /* value >= target holds; otherwise value <= target */
    bench_result_t (*run)(const bench_setup_t *setup);
} bench_t;

/* Says why on stderr and ends the worker. */
_Noreturn void bench_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A figure of one side of one pair; arg is the benchmark's own. */
typedef double (*bench_side_fn)(void *arg);
/* Runs A B A B ... after one unmeasured pair, and takes medians. */
bench_result_t bench_pairs(const bench_setup_t *setup, const char *unit, bench_side_fn a,
                           bench_side_fn b, void *arg);
/* Median; reorders the figures. */
double bench_median(double *figures, uint32_t count);
/* Resident bytes of this process, which is the benchmark's own worker. */
uint64_t bench_resident_bytes(void);

/* read_bench.c */
bench_result_t bench_read_lockstep(const bench_setup_t *setup);
bench_result_t bench_read_pipelined(const bench_setup_t *setup);
bench_result_t bench_read_absent(const bench_setup_t *setup);
bench_result_t bench_read_flat(const bench_setup_t *setup);
bench_result_t bench_read_redis(const bench_setup_t *setup);
bench_result_t bench_read_vs_node(const bench_setup_t *setup);
bench_result_t bench_read_publishing(const bench_setup_t *setup);
bench_result_t bench_read_reconciling(const bench_setup_t *setup);
/* reconcile_bench.c */
bench_result_t bench_reconcile(const bench_setup_t *setup);
/* presence_bench.c */
bench_result_t bench_presence_bytes(const bench_setup_t *setup);
bench_result_t bench_presence_false_positives(const bench_setup_t *setup);
bench_result_t bench_presence_false_negatives(const bench_setup_t *setup);
/* config_bench.c */
bench_result_t bench_whitelist_mb(const bench_setup_t *setup);
bench_result_t bench_whitelist_ns(const bench_setup_t *setup);
/* start_bench.c */
bench_result_t bench_start_10m(const bench_setup_t *setup);
/* write_bench.c */
bench_result_t bench_intake_sqlite(const bench_setup_t *setup);
bench_result_t bench_sync_sqlite(const bench_setup_t *setup);
bench_result_t bench_intake_redis(const bench_setup_t *setup);
bench_result_t bench_sync_mysql(const bench_setup_t *setup);
bench_result_t bench_line_stalled(const bench_setup_t *setup);
bench_result_t bench_sync_trail(const bench_setup_t *setup);
bench_result_t bench_intake_trail(const bench_setup_t *setup);
/* fresh_bench.c */
bench_result_t bench_fresh_p50(const bench_setup_t *setup);
bench_result_t bench_fresh_p99(const bench_setup_t *setup);

#endif
