#include "tools/walletbench/reconcile.h"

#include "base/clock.h"

#include <msgpack.h>
#include <string.h>

enum { WAIT_MS = 120000, LOOK_MS = 20 };

static void pack_word(msgpack_packer *packer, const char *word) {
    msgpack_pack_str_with_body(packer, word, strlen(word));
}

void bench_reconcile_begin(wallet_t *writer, uint64_t rate) {
    msgpack_sbuffer args;
    msgpack_packer packer;
    msgpack_sbuffer_init(&args);
    msgpack_packer_init(&packer, &args, msgpack_sbuffer_write);
    msgpack_pack_map(&packer, 2);
    pack_word(&packer, "author");
    pack_word(&packer, "walletbench");
    pack_word(&packer, "rate");
    msgpack_pack_uint64(&packer, rate);
    (void)bench_call(writer, "admin.reconcile.run", args.data, args.size);
    msgpack_sbuffer_destroy(&args);
}

void bench_reconcile_wait(wallet_t *writer, uint64_t *ret_rows, uint64_t *ret_ms) {
    int64_t until = wl_mono_now().ms + WAIT_MS;
    for (;;) {
        wallet_reply_t reply = bench_call(writer, "admin.reconcile.report", "\x80", 1);
        if (bench_reply_deep_u64(&reply, "ended_at") > 0) {
            *ret_rows = bench_reply_deep_u64(&reply, "rows") / 2; /* of the run, and of its parts */
            *ret_ms = bench_reply_deep_u64(&reply, "worked_ms");
            return;
        }
        if (wl_mono_now().ms > until) {
            bench_fail("the run does not end");
        }
        bench_pause(LOOK_MS);
    }
}
