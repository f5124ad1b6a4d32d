/* How long after a change its user sees it, while changes come in at half of what is possible. */
#include "base/clock.h"
#include "base/random.h"
#include "tools/walletbench/writer.h"

#include <msgpack.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    SYNC_CHANGES = 20000,
    SAMPLES_QUICK = 200,
    SAMPLES_FULL = 2000,
    PROBE_UID = 10,
    PROBE_USERS = 1000, /* others than those of the load */
    SETTLE_MS = 500,    /* the load reaches its pace */
    VISIBLE_MS = 5000,
};

static uint64_t wall_us(void) {
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static void probe_pack(msgpack_sbuffer *out, uint64_t uid, bool change) {
    msgpack_packer packer;
    msgpack_sbuffer_clear(out);
    msgpack_packer_init(&packer, out, msgpack_sbuffer_write);
    if (change) {
        (void)msgpack_pack_map(&packer, 2);
        (void)msgpack_pack_str_with_body(&packer, "line", 4);
        (void)msgpack_pack_str_with_body(&packer, "cash", 4);
        (void)msgpack_pack_str_with_body(&packer, "changes", 7);
        (void)msgpack_pack_array(&packer, 1);
    }
    (void)msgpack_pack_map(&packer, 1);
    (void)msgpack_pack_str_with_body(&packer, "uid", 3);
    (void)msgpack_pack_uint64(&packer, uid);
}

/* From the moment before the line tells of the change until a reader has it. The line's versions
 * are its clock, so a version from after that moment is the changed value. */
static double probe_ms(wallet_t *reader, wallet_t *writer, msgpack_sbuffer *out) {
    uint64_t uid = PROBE_UID + wl_random_below(PROBE_USERS);
    uint64_t changed_us = wall_us();
    uint64_t begun = wl_mono_ns();
    probe_pack(out, uid, true);
    (void)bench_call(writer, "notify.changed", out->data, out->size);
    probe_pack(out, uid, false);
    for (;;) {
        wallet_reply_t reply = bench_call(reader, "wallet.golden", out->data, out->size);
        uint64_t ns = wl_mono_ns() - begun;
        if (bench_reply_deep_u64(&reply, "version") >= changed_us) {
            return (double)ns / 1e6;
        }
        if (ns > VISIBLE_MS * 1000000ull) {
            bench_fail("a change is not visible after %d ms", VISIBLE_MS);
        }
        bench_pause(1);
    }
}

static bench_result_t fresh_run(const bench_setup_t *setup, double share) {
    static double figures[SAMPLES_FULL];
    uint32_t samples = setup->quick ? SAMPLES_QUICK : SAMPLES_FULL;
    bench_walletd_t walletd;
    msgpack_sbuffer out;
    char rate[32];
    msgpack_sbuffer_init(&out);
    bench_writer_start(setup, "fresh", "", false, "", &walletd);
    (void)bench_writer_sync(&walletd, SYNC_CHANGES, 0);
    double capacity = bench_writer_sync(&walletd, SYNC_CHANGES, 0);
    (void)snprintf(rate, sizeof rate, "%.0f", capacity / 2);
    pid_t load = bench_peer_start("notify", walletd.write, rate);
    wallet_t *reader = bench_open(walletd.read);
    wallet_t *writer = bench_open(walletd.write);
    bench_pause(SETTLE_MS);
    for (uint32_t i = 0; i < samples; i++) {
        figures[i] = probe_ms(reader, writer, &out);
    }
    bench_peer_stop(load);
    (void)bench_median(figures, samples); /* sorts */
    bench_result_t result = {.value = figures[(uint32_t)(share * (samples - 1))],
                             .b = capacity / 2,
                             .samples = samples,
                             .unit = "ms, under changes/s"};
    result.a = result.value;
    wallet_close(&reader);
    wallet_close(&writer);
    msgpack_sbuffer_destroy(&out);
    bench_walletd_stop(&walletd);
    return result;
}

bench_result_t bench_fresh_p50(const bench_setup_t *setup) {
    return fresh_run(setup, 0.50);
}

bench_result_t bench_fresh_p99(const bench_setup_t *setup) {
    return fresh_run(setup, 0.99);
}
