/* The write path against bare SQLite on the same disk. */
#include "base/clock.h"
#include "tools/walletbench/notify.h"
#include "tools/walletbench/raw_sqlite.h"
#include "tools/walletbench/raw_stores.h"
#include "tools/walletbench/writer.h"

#include <stdio.h>

enum {
    INTAKE_CLIENTS = 4,
    INTAKE_WINDOW = 8,
    INTAKE_USERS = 10000,
    QUIET_MS = 60000,
    SYNC_QUICK = 20000,
    SYNC_FULL = 100000,
    STALLED_CHANGES = 1000, /* of the line that hangs */
    LOOK_MS = 1100,         /* counters are up to a second old */
};

typedef struct {
    const bench_setup_t *setup;
    bench_walletd_t walletd;
    bench_walletd_t healthy; /* the other side of line_stalled */
    bench_raw_t *raw;
    bench_server_t redis;   /* of the side without walletd */
    bench_server_t mariadb; /* of the side without walletd */
    uint64_t changes;       /* of one side */
} sides_t;

/* ---- intake --------------------------------------------------------------------------------- */

static double intake_ours(void *arg) {
    sides_t *sides = arg;
    bench_notify_t plan = {
        .endpoint = sides->walletd.write,
        .line = "cash",
        .clients = INTAKE_CLIENTS,
        .window = INTAKE_WINDOW,
        .uid_first = 1,
        .uid_count = INTAKE_USERS,
        .ms = sides->setup->side_ms,
    };
    uint64_t ns;
    uint64_t acked = bench_notify(&plan, &ns);
    wallet_t *writer = bench_open(sides->walletd.write);
    bench_wait_quiet(writer, QUIET_MS); /* the other side shall have the machine to itself */
    wallet_close(&writer);
    return (double)acked * 1e9 / (double)ns;
}

static double intake_theirs(void *arg) {
    sides_t *sides = arg;
    return bench_raw_insert(sides->raw, sides->setup->side_ms);
}

/* The line is slow, as lines are: what is measured is taking changes in, not pulling. */
bench_result_t bench_intake_sqlite(const bench_setup_t *setup) {
    sides_t sides = {.setup = setup, .raw = bench_raw_open(setup->folder, "raw.db")};
    bench_writer_start(setup, "intake", ", \"rate\": 50, \"burst\": 1, \"concurrency\": 1", false,
                       "", &sides.walletd);
    bench_result_t result = bench_pairs(setup, "changes/s", intake_ours, intake_theirs, &sides);
    bench_walletd_stop(&sides.walletd);
    bench_raw_close(&sides.raw);
    return result;
}

static double xadd_theirs(void *arg) {
    sides_t *sides = arg;
    return bench_raw_xadd(&sides->redis, sides->setup->side_ms);
}

bench_result_t bench_intake_redis(const bench_setup_t *setup) {
    sides_t sides = {.setup = setup};
    bench_server_t redis;
    char settings[128];
    bench_redis_start(setup, "queue", true, &redis);
    bench_redis_start(setup, "raw", true, &sides.redis);
    (void)snprintf(settings, sizeof settings, "[queue]\nstore = redis\nredis = 127.0.0.1:%u\n",
                   redis.port);
    bench_writer_start(setup, "intake", ", \"rate\": 50, \"burst\": 1, \"concurrency\": 1", false,
                       settings, &sides.walletd);
    bench_result_t result = bench_pairs(setup, "changes/s", intake_ours, xadd_theirs, &sides);
    bench_walletd_stop(&sides.walletd);
    bench_server_stop(&redis);
    bench_server_stop(&sides.redis);
    return result;
}

/* ---- sync ----------------------------------------------------------------------------------- */

static double sync_ours(void *arg) {
    sides_t *sides = arg;
    return bench_writer_sync(&sides->walletd, sides->changes, 0);
}

static double sync_theirs(void *arg) {
    sides_t *sides = arg;
    return bench_raw_upsert(sides->raw, 1, sides->changes);
}

/* No figure for work that was not done. */
static void stored_check(const bench_walletd_t *walletd, uint64_t expected) {
    wallet_t *writer = bench_open(walletd->write);
    bench_pause(LOOK_MS);
    uint64_t stored = bench_counter(writer, "store_assets");
    if (stored < expected) {
        bench_fail("only %llu of %llu changes were stored", (unsigned long long)stored,
                   (unsigned long long)expected);
    }
    wallet_close(&writer);
}

bench_result_t bench_sync_sqlite(const bench_setup_t *setup) {
    sides_t sides = {.setup = setup, .raw = bench_raw_open(setup->folder, "raw.db")};
    sides.changes = setup->quick ? SYNC_QUICK : SYNC_FULL;
    bench_writer_start(setup, "sync", "", false, "", &sides.walletd);
    bench_result_t result = bench_pairs(setup, "changes/s", sync_ours, sync_theirs, &sides);
    stored_check(&sides.walletd, sides.changes * (setup->pairs + 1));
    bench_walletd_stop(&sides.walletd);
    bench_raw_close(&sides.raw);
    return result;
}

static double mysql_theirs(void *arg) {
    sides_t *sides = arg;
    return bench_raw_mysql_upsert(&sides->mariadb, 1, sides->changes);
}

/* One shard, so that both sides have one connection that writes. */
bench_result_t bench_sync_mysql(const bench_setup_t *setup) {
    sides_t sides = {.setup = setup, .changes = setup->quick ? SYNC_QUICK : SYNC_FULL};
    bench_server_t mariadb;
    char settings[BENCH_PATH_MAX + 128];
    bench_mariadb_start(setup, "shard", &mariadb);
    bench_mariadb_start(setup, "raw", &sides.mariadb);
    (void)snprintf(settings, sizeof settings,
                   "[shard]\nstore = mysql\ninstances = 1\nat = 127.0.0.1:%u/wallet\n"
                   "password_file = %s\n",
                   mariadb.port, mariadb.password_file);
    bench_writer_start(setup, "sync", "", false, settings, &sides.walletd);
    bench_result_t result = bench_pairs(setup, "changes/s", sync_ours, mysql_theirs, &sides);
    stored_check(&sides.walletd, sides.changes * (setup->pairs + 1));
    bench_walletd_stop(&sides.walletd);
    bench_server_stop(&mariadb);
    bench_server_stop(&sides.mariadb);
    return result;
}

/* ---- one line hangs ----------------------------------------------------------------------- */

static double stalled_ours(void *arg) {
    sides_t *sides = arg;
    return bench_writer_sync(&sides->walletd, sides->changes, STALLED_CHANGES);
}

static double stalled_theirs(void *arg) {
    sides_t *sides = arg;
    return bench_writer_sync(&sides->healthy, sides->changes, STALLED_CHANGES);
}

bench_result_t bench_line_stalled(const bench_setup_t *setup) {
    sides_t sides = {.setup = setup, .changes = setup->quick ? SYNC_QUICK : SYNC_FULL};
    bench_writer_start(setup, "stalled", "", true, "", &sides.walletd);
    bench_writer_start(setup, "healthy", "", false, "", &sides.healthy);
    bench_result_t result = bench_pairs(setup, "changes/s", stalled_ours, stalled_theirs, &sides);
    stored_check(&sides.walletd, sides.changes * (setup->pairs + 1));
    stored_check(&sides.healthy, sides.changes * (setup->pairs + 1));
    bench_walletd_stop(&sides.walletd);
    bench_walletd_stop(&sides.healthy);
    return result;
}

/* ---- what the trail costs ----------------------------------------------------------------- */

static double untold_sync(void *arg) {
    sides_t *sides = arg;
    return bench_writer_sync(&sides->healthy, sides->changes, 0);
}

/* The other side keeps nothing to be explained. */
bench_result_t bench_sync_trail(const bench_setup_t *setup) {
    sides_t sides = {.setup = setup};
    sides.changes = setup->quick ? SYNC_QUICK : SYNC_FULL;
    bench_writer_start(setup, "told", "", false, "", &sides.walletd);
    bench_writer_start(setup, "untold", "", false, "[trail]\nenabled = no\n", &sides.healthy);
    bench_result_t result = bench_pairs(setup, "changes/s", sync_ours, untold_sync, &sides);
    stored_check(&sides.walletd, sides.changes * (setup->pairs + 1));
    stored_check(&sides.healthy, sides.changes * (setup->pairs + 1));
    bench_walletd_stop(&sides.walletd);
    bench_walletd_stop(&sides.healthy);
    return result;
}

static double untold_intake(void *arg) {
    sides_t *sides = arg;
    sides_t other = *sides;
    other.walletd = sides->healthy;
    return intake_ours(&other);
}

bench_result_t bench_intake_trail(const bench_setup_t *setup) {
    static const char limits[] = ", \"rate\": 50, \"burst\": 1, \"concurrency\": 1";
    sides_t sides = {.setup = setup};
    bench_writer_start(setup, "told", limits, false, "", &sides.walletd);
    bench_writer_start(setup, "untold", limits, false, "[trail]\nenabled = no\n", &sides.healthy);
    bench_result_t result = bench_pairs(setup, "changes/s", intake_ours, untold_intake, &sides);
    bench_walletd_stop(&sides.walletd);
    bench_walletd_stop(&sides.healthy);
    return result;
}
