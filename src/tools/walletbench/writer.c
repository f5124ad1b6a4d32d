#include "tools/walletbench/writer.h"

#include "base/clock.h"
#include "tools/walletbench/notify.h"

#include <stdio.h>

enum { UID = 1, QUIET_MS = 60000 };

void bench_writer_start(const bench_setup_t *setup, const char *name, const char *limits,
                        bool silent_coin, const char *settings, bench_walletd_t *ret) {
    static const char form[] =
        "{\"cash\": {\"kind\": \"cash\", \"url\": \"%s\", \"unit\": \"CNY\", \"scale\": 2, "
        "\"batch_max\": 200, \"batch_wait_ms\": 2%s}, "
        "\"coin\": {\"kind\": \"coin\", \"url\": \"%s\", \"unit\": \"bean\", "
        "\"batch_max\": 200, \"batch_wait_ms\": 2%s}}";
    char cash[BENCH_ENDPOINT_MAX];
    char coin[BENCH_ENDPOINT_MAX];
    char lines[1024];
    bench_endpoint(cash);
    (void)bench_peer_start("line", cash, "");
    bench_endpoint(coin);
    (void)bench_peer_start("line", coin, silent_coin ? "silent" : "");
    (void)snprintf(lines, sizeof lines, form, cash, limits, coin, limits);
    bench_walletd_options_t options = {
        .name = name,
        .lines = lines,
        .golden = "[{\"line\": \"cash\"}]",
        .sections = "[{\"kind\": \"cash\", \"lines\": [\"cash\"]}]",
        .settings = settings,
    };
    bench_walletd_start(setup, &options, ret);
}

double bench_writer_sync(const bench_walletd_t *walletd, uint64_t changes, uint64_t coin_changes) {
    bench_notify_t plan = {
        .endpoint = walletd->write,
        .line = "cash",
        .clients = 4,
        .window = 4,
        .uid_first = UID,
        .uid_count = changes,
        .changes = changes,
    };
    bench_notify_t coin_plan = plan;
    coin_plan.line = "coin";
    coin_plan.uid_count = coin_changes;
    coin_plan.changes = coin_changes;
    wallet_t *writer = bench_open(walletd->write);
    uint64_t notified_ns;
    if (coin_changes > 0) {
        (void)bench_notify(&coin_plan, &notified_ns);
    }
    uint64_t begun = wl_mono_ns();
    uint64_t acked = bench_notify(&plan, &notified_ns);
    if (coin_changes > 0) {
        bench_wait_line(writer, "cash", QUIET_MS);
    } else {
        bench_wait_quiet(writer, QUIET_MS);
    }
    double rate = (double)acked * 1e9 / (double)(wl_mono_ns() - begun);
    wallet_close(&writer);
    return rate;
}
