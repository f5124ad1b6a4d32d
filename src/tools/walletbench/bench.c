#include "tools/walletbench/bench.h"

#include "base/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

_Noreturn void bench_fail(const char *format, ...) {
    va_list args;
    va_start(args, format);
    (void)fputs("walletbench: ", stderr);
    (void)vfprintf(stderr, format, args);
    (void)fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static int figure_compare(const void *left, const void *right) {
    double a = *(const double *)left;
    double b = *(const double *)right;
    return (a > b) - (a < b);
}

double bench_median(double *figures, uint32_t count) {
    WL_ASSERT(count > 0);
    qsort(figures, count, sizeof *figures, figure_compare);
    return count % 2 == 1 ? figures[count / 2] : (figures[count / 2 - 1] + figures[count / 2]) / 2;
}

bench_result_t bench_pairs(const bench_setup_t *setup, const char *unit, bench_side_fn a,
                           bench_side_fn b, void *arg) {
    WL_ASSERT(setup->pairs > 0 && setup->pairs <= BENCH_PAIRS_MAX);
    double ratios[BENCH_PAIRS_MAX];
    double ours[BENCH_PAIRS_MAX];
    double theirs[BENCH_PAIRS_MAX];
    (void)a(arg);
    (void)b(arg);
    for (uint32_t i = 0; i < setup->pairs; i++) {
        ours[i] = a(arg);
        theirs[i] = b(arg);
        if (theirs[i] <= 0) {
            bench_fail("the other side did nothing");
        }
        ratios[i] = ours[i] / theirs[i];
    }
    bench_result_t result = {
        .value = bench_median(ratios, setup->pairs),
        .a = bench_median(ours, setup->pairs),
        .b = bench_median(theirs, setup->pairs),
        .samples = setup->pairs,
    };
    (void)snprintf(result.unit, sizeof result.unit, "%s", unit);
    return result;
}

uint64_t bench_resident_bytes(void) {
    unsigned long long size = 0;
    unsigned long long resident = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    if (statm == NULL || fscanf(statm, "%llu %llu", &size, &resident) != 2) {
        bench_fail("/proc/self/statm cannot be read");
    }
    (void)fclose(statm);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}
