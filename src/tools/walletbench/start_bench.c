/* From the start of the process until it answers and its filter knows ten million users. */
#include "base/clock.h"
#include "tools/walletbench/big_set.h"
#include "tools/walletbench/world.h"

#include <stdio.h>

enum {
    MEMBERS_MIN = BENCH_BIG_USERS - BENCH_BIG_USERS / 1000, /* some share a bit */
    LOOKS = 100,
    LOOK_MS = 50,
};

/* Counters are up to a second old. */
static void members_check(const bench_walletd_t *walletd) {
    wallet_t *writer = bench_open(walletd->write);
    uint64_t members = 0;
    for (int i = 0; i < LOOKS && members < MEMBERS_MIN; i++) {
        wallet_reply_t reply = bench_call(writer, "admin.presence.stats", NULL, 0);
        members = bench_reply_u64(&reply, "members");
        bench_pause(LOOK_MS);
    }
    if (members < MEMBERS_MIN) {
        bench_fail("presence has %llu members only", (unsigned long long)members);
    }
    wallet_close(&writer);
}

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
        members_check(&walletd);
        bench_walletd_stop(&walletd);
    }
    bench_result_t result = {.value = bench_median(figures, setup->pairs), .samples = setup->pairs};
    result.a = result.value;
    (void)snprintf(result.unit, sizeof result.unit, "ms");
    return result;
}
