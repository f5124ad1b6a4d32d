#include "tools/walletbench/big_set.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "base/slot.h"
#include "store/asset_db.h"
#include "store/blob_file.h"
#include "tools/walletbench/bench.h"

#include <stdio.h>
#include <string.h>

enum { CHUNK = 4096, OWNERS = 1000 };

/* mix64 is a bijection with mix64(0) = 0, and the added constant keeps n away from 0. */
uint64_t bench_big_uid(uint64_t n) {
    return wl_mix64(n + 0x9e3779b97f4a7c15u);
}

void bench_big_mark(wl_presence_set_t *set, uint64_t first, uint64_t count) {
    uint64_t uids[CHUNK];
    for (uint64_t done = 0; done < count;) {
        uint64_t chunk = count - done < CHUNK ? count - done : CHUNK;
        for (uint64_t i = 0; i < chunk; i++) {
            uids[i] = bench_big_uid(first + done + i);
        }
        wl_presence_set_mark_many(set, uids, chunk);
        done += chunk;
    }
}

static void err_check(wl_err_t err, const char *what, const wl_fault_t *fault) {
    if (err != WL_OK) {
        bench_fail("%s: %s %s", what, wl_err_text(err), fault == NULL ? "" : fault->message);
    }
}

/* A shard whose owner log has begun, so that presence replays a log instead of a whole table.
 * Returns the newest number of the log. */
static uint64_t shard_prepare(const char *data_dir, uint32_t shard) {
    char path[640];
    wl_fault_t fault = {0};
    wl_asset_db_t *db = NULL;
    uint64_t commit_seq = 0;
    (void)snprintf(path, sizeof path, "%s/assets-%u.db", data_dir, shard);
    wl_asset_db_options_t options = {.path = path, .shard = shard, .busy_timeout_ms = 1000};
    err_check(wl_asset_db_open(&options, &db, &fault), path, &fault);
    err_check(wl_asset_db_begin(db), path, NULL);
    for (uint64_t n = 0, owned = 0; owned < OWNERS; n++) {
        uint64_t uid = bench_big_uid(n);
        wl_asset_t asset = {.uid = uid,
                            .version = 1,
                            .amount = 100,
                            .scale = 2,
                            .unit = "CNY",
                            .line = "cash",
                            .pulled_at = wl_wall_now().ms};
        wl_apply_result_t result;
        if (wl_uid_owner(uid, BENCH_BIG_SHARDS) == shard) {
            err_check(wl_asset_db_apply(db, &asset, &result), path, NULL);
            owned++;
        }
    }
    err_check(wl_asset_db_commit(db, &commit_seq), path, NULL);
    uint64_t seq = wl_asset_db_owner_seq(db);
    wl_asset_db_close(&db);
    return seq;
}

void bench_big_prepare(const char *data_dir) {
    char path[640];
    uint64_t seen[BENCH_BIG_SHARDS];
    for (uint32_t i = 0; i < BENCH_BIG_SHARDS; i++) {
        seen[i] = shard_prepare(data_dir, i);
    }
    wl_presence_set_t *set = wl_presence_set_new(WL_PRESENCE_HASHED, BENCH_BIG_HASH_BITS);
    bench_big_mark(set, 0, BENCH_BIG_USERS);
    wl_presence_set_optimize(set);
    void *blob = NULL;
    size_t bytes = 0;
    wl_presence_set_save(set, seen, BENCH_BIG_SHARDS, &blob, &bytes);
    (void)snprintf(path, sizeof path, "%s/presence-0of1.snap", data_dir);
    err_check(wl_blob_file_write(path, blob, bytes), path, NULL);
    wl_free(blob);
    wl_presence_set_destroy(&set);
}
