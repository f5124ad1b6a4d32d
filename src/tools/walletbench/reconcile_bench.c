/* A run of reconciliation against a bare scan of the same rows on the same disk. */
#include "base/clock.h"
#include "tools/walletbench/reconcile.h"
#include "tools/walletbench/writer.h"

#include <msgpack.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>

enum { RECORDS_QUICK = 20000, RECORDS_FULL = 200000, COLUMNS = 15 };

typedef struct {
    bench_walletd_t walletd;
    wallet_t *writer;
    uint64_t records;
} sides_t;

/* Every user is read, so that everybody has a cached copy to be compared. */
static void users_read(const bench_walletd_t *walletd, uint64_t users) {
    wallet_t *reader = bench_open(walletd->read);
    for (uint64_t uid = 1; uid <= users; uid++) {
        msgpack_sbuffer args;
        msgpack_packer packer;
        msgpack_sbuffer_init(&args);
        msgpack_packer_init(&packer, &args, msgpack_sbuffer_write);
        msgpack_pack_map(&packer, 1);
        msgpack_pack_str_with_body(&packer, "uid", 3);
        msgpack_pack_uint64(&packer, uid);
        (void)bench_call(reader, "wallet.assets", args.data, args.size);
        msgpack_sbuffer_destroy(&args);
    }
    wallet_close(&reader);
}

static double run_ours(void *arg) {
    sides_t *sides = arg;
    uint64_t rows = 0;
    uint64_t ms = 0;
    bench_reconcile_begin(sides->writer, 0);
    bench_reconcile_wait(sides->writer, &rows, &ms);
    if (rows < sides->records) {
        bench_fail("%llu of %llu records were compared", (unsigned long long)rows,
                   (unsigned long long)sides->records);
    }
    return (double)rows * 1000 / (double)(ms == 0 ? 1 : ms);
}

/* All columns of all rows of a shard, as whoever compares them has to read them. false: there is
 * no such shard. */
static bool shard_scan(const sides_t *sides, uint32_t shard, uint64_t *rows) {
    char path[BENCH_PATH_MAX + 32];
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;
    (void)snprintf(path, sizeof path, "%s/assets-%u.db", sides->walletd.data, shard);
    if (access(path, R_OK) != 0) {
        return false;
    }
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(db,
                           "SELECT uid, line, bucket, kind, amount, unit, scale, count, pending,"
                           " state, expires_at, version, changed_at, pulled_at, extra FROM asset"
                           " ORDER BY uid, line, bucket",
                           -1, &statement, NULL) != SQLITE_OK) {
        bench_fail("%s: %s", path, sqlite3_errmsg(db));
    }
    while (sqlite3_step(statement) == SQLITE_ROW) {
        (*rows)++;
        for (int i = 0; i < COLUMNS; i++) {
            (void)sqlite3_column_int64(statement, i);
            (void)sqlite3_column_bytes(statement, i);
        }
    }
    (void)sqlite3_finalize(statement);
    (void)sqlite3_close(db);
    return true;
}

static double scan_theirs(void *arg) {
    const sides_t *sides = arg;
    uint64_t rows = 0;
    uint64_t begun = wl_mono_ns();
    for (uint32_t shard = 0; shard_scan(sides, shard, &rows); shard++) {
    }
    uint64_t ns = wl_mono_ns() - begun;
    if (rows < sides->records) {
        bench_fail("%llu rows were scanned", (unsigned long long)rows);
    }
    return (double)rows * 1e9 / (double)ns;
}

bench_result_t bench_reconcile(const bench_setup_t *setup) {
    sides_t sides = {.records = setup->quick ? RECORDS_QUICK : RECORDS_FULL};
    bench_writer_start(setup, "reconcile", "", false,
                       "[reconcile]\nat =\nrolling_s = 0\nconfirm_ms = 100\n", &sides.walletd);
    (void)bench_writer_sync(&sides.walletd, sides.records, 0);
    users_read(&sides.walletd, sides.records);
    sides.writer = bench_open(sides.walletd.write);
    bench_result_t result = bench_pairs(setup, "records/s", run_ours, scan_theirs, &sides);
    wallet_close(&sides.writer);
    bench_walletd_stop(&sides.walletd);
    return result;
}
