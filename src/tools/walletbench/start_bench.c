/* From the start of the process until it answers and its filter knows ten million users. */
#include "base/clock.h"
#include "tools/walletbench/big_set.h"
#include "tools/walletbench/world.h"

#include <stdio.h>

bench_result_t bench_start_10m(const bench_setup_t *setup) {
    bench_walletd_t walletd;
    bench_walletd_options_t options = {
        .name = "start",
        .lines = "{\"cash\": {\"kind\": \"cash\", \"url\": \"http://127.0.0.1:9\", "
                 "\"unit\": \"CNY\", \"scale\": 2}}",
        .golden = "[{\"line\": \"cash\"}]",
        .sections = "[]",
        .settings = BENCH_BIG_SETTINGS,
    };
    double figures[BENCH_PAIRS_MAX];
    bench_walletd_prepare(setup, &options, &walletd);
    bench_big_prepare(walletd.data);
    for (uint32_t i = 0; i < setup->pairs; i++) {
        (void)remove(walletd.log);
        bench_walletd_spawn(&walletd);
        bench_walletd_wait(&walletd);
        figures[i] = (double)(wl_mono_now().ms - walletd.started_at);
        bench_walletd_stop(&walletd);
    }
    bench_result_t result = {.value = bench_median(figures, setup->pairs),
                             .samples = setup->pairs};
    result.a = result.value;
    (void)snprintf(result.unit, sizeof result.unit, "ms");
    return result;
}
