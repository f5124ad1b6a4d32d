#include "store/mysql_schema.h"

#include "base/asset.h"
#include "base/check.h"
#include "base/clock.h"

#include <assert.h>
#include <stdio.h>

enum {
    STATEMENTS_MAX = 8,
    TURN_S = 1 /* how long to wait for another process's steps, less than our timeout */
};

/* These numbers stand in databases: the lists in base/asset.h may only grow at their ends. */
static_assert(WL_STATE_GONE == 3, "reads compare with 3");

#define TABLE_OPTIONS ") ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"

typedef struct {
    const char *name;                       /* kept in schema_version for people */
    const char *statements[STATEMENTS_MAX]; /* each may find itself done already */
} step_t;

/* Texts of keys are bytes: every collation that both servers know ignores blanks at the end. The
 * tables of leases and quotas are used in shard 0 only. */
static const step_t steps[WL_MYSQL_SCHEMA] = {
    {"001_asset",
     {"CREATE TABLE IF NOT EXISTS asset("
      "uid BIGINT UNSIGNED NOT NULL, line VARBINARY(32) NOT NULL, bucket VARBINARY(16) NOT NULL,"
      "slot SMALLINT UNSIGNED NOT NULL, kind TINYINT UNSIGNED NOT NULL, amount BIGINT NOT NULL,"
      "unit VARBINARY(12) NOT NULL, scale TINYINT UNSIGNED NOT NULL, count INT UNSIGNED NOT NULL,"
      "pending BIGINT NOT NULL, state TINYINT UNSIGNED NOT NULL, expires_at BIGINT NOT NULL,"
      "version BIGINT UNSIGNED NOT NULL, changed_at BIGINT NOT NULL, pulled_at BIGINT NOT NULL,"
      "extra VARBINARY(512), PRIMARY KEY(uid, line, bucket)" TABLE_OPTIONS,
      "CREATE TABLE IF NOT EXISTS owner_log("
      "seq BIGINT UNSIGNED NOT NULL PRIMARY KEY, uid BIGINT UNSIGNED NOT NULL" TABLE_OPTIONS,
      "CREATE TABLE IF NOT EXISTS meta("
      "id TINYINT UNSIGNED NOT NULL PRIMARY KEY, shard INT UNSIGNED NOT NULL,"
      "shards INT UNSIGNED NOT NULL, commit_seq BIGINT UNSIGNED NOT NULL,"
      "owner_seq BIGINT UNSIGNED NOT NULL, owner_trimmed BIGINT UNSIGNED NOT NULL" TABLE_OPTIONS,
      "CREATE TABLE IF NOT EXISTS fence("
      "`partition` INT UNSIGNED NOT NULL PRIMARY KEY,"
      "epoch BIGINT UNSIGNED NOT NULL" TABLE_OPTIONS,
      "CREATE TABLE IF NOT EXISTS lease("
      "`partition` INT UNSIGNED NOT NULL PRIMARY KEY, holder VARBINARY(128) NOT NULL,"
      "epoch BIGINT UNSIGNED NOT NULL, ends_at BIGINT NOT NULL" TABLE_OPTIONS,
      "CREATE TABLE IF NOT EXISTS writer("
      "name VARBINARY(128) NOT NULL PRIMARY KEY, seen_at BIGINT NOT NULL" TABLE_OPTIONS}},
    {"002_consent",
     {"CREATE TABLE IF NOT EXISTS consent("
      "uid BIGINT UNSIGNED NOT NULL, line VARBINARY(32) NOT NULL, version BIGINT UNSIGNED NOT NULL,"
      "granted TINYINT UNSIGNED NOT NULL, at BIGINT NOT NULL, expires_at BIGINT NOT NULL,"
      "via VARBINARY(32) NOT NULL, PRIMARY KEY(uid, line, version)" TABLE_OPTIONS}},
    {"003_quota",
     {"CREATE TABLE IF NOT EXISTS quota("
      "line VARBINARY(32) NOT NULL PRIMARY KEY, day BIGINT NOT NULL,"
      "reserved BIGINT UNSIGNED NOT NULL" TABLE_OPTIONS}},
    {"004_reconcile",
     {"CREATE TABLE IF NOT EXISTS reconcile_run("
      "id BIGINT UNSIGNED NOT NULL PRIMARY KEY, rolling TINYINT UNSIGNED NOT NULL,"
      "dry_run TINYINT UNSIGNED NOT NULL, cap INT UNSIGNED NOT NULL, rate BIGINT UNSIGNED NOT NULL,"
      "shards INT UNSIGNED NOT NULL, only_shard BIGINT NOT NULL, asked_by VARBINARY(64) NOT NULL,"
      "state TINYINT UNSIGNED NOT NULL, note VARBINARY(200) NOT NULL, started_at BIGINT NOT NULL,"
      "ended_at BIGINT NOT NULL" TABLE_OPTIONS,
      "CREATE TABLE IF NOT EXISTS reconcile_part("
      "run BIGINT UNSIGNED NOT NULL, shard INT UNSIGNED NOT NULL, state TINYINT UNSIGNED NOT NULL,"
      "holder VARBINARY(128) NOT NULL, held_until BIGINT NOT NULL, phase TINYINT UNSIGNED NOT NULL,"
      "reached BIGINT UNSIGNED NOT NULL, ended_at BIGINT NOT NULL, body MEDIUMBLOB NOT NULL,"
      "PRIMARY KEY(run, shard)" TABLE_OPTIONS,
      "CREATE TABLE IF NOT EXISTS reconcile_diff("
      "run BIGINT UNSIGNED NOT NULL, id BIGINT UNSIGNED NOT NULL, shard INT UNSIGNED NOT NULL,"
      "uid BIGINT UNSIGNED NOT NULL, line VARBINARY(32) NOT NULL, bucket VARBINARY(16) NOT NULL,"
      "kind TINYINT UNSIGNED NOT NULL, repair TINYINT UNSIGNED NOT NULL,"
      "in_db BIGINT UNSIGNED NOT NULL, in_copy BIGINT UNSIGNED NOT NULL,"
      "cause VARBINARY(64) NOT NULL, state TINYINT UNSIGNED NOT NULL, at BIGINT NOT NULL,"
      "PRIMARY KEY(run, id), UNIQUE KEY reconcile_diff_key(run, uid, line, bucket, kind),"
      "KEY reconcile_diff_open(run, shard, state)" TABLE_OPTIONS}},
    {"005_slot_move",
     {"CREATE TABLE IF NOT EXISTS slot_map("
      "id TINYINT UNSIGNED NOT NULL PRIMARY KEY, version BIGINT UNSIGNED NOT NULL,"
      "write_fence BIGINT UNSIGNED NOT NULL, read_fence BIGINT UNSIGNED NOT NULL,"
      "logged TINYINT UNSIGNED NOT NULL, log_first SMALLINT UNSIGNED NOT NULL,"
      "log_last SMALLINT UNSIGNED NOT NULL, mover BIGINT UNSIGNED NOT NULL,"
      "map VARBINARY(4096) NOT NULL" TABLE_OPTIONS,
      "INSERT IGNORE INTO slot_map VALUES(1, 0, 0, 0, 0, 0, 0, 0, '')",
      "CREATE TABLE IF NOT EXISTS slot_log("
      "seq BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,"
      "uid BIGINT UNSIGNED NOT NULL" TABLE_OPTIONS,
      "CREATE TABLE IF NOT EXISTS slot_move("
      "id BIGINT UNSIGNED NOT NULL PRIMARY KEY, version BIGINT UNSIGNED NOT NULL,"
      "first SMALLINT UNSIGNED NOT NULL, last SMALLINT UNSIGNED NOT NULL,"
      "source INT UNSIGNED NOT NULL, target INT UNSIGNED NOT NULL,"
      "state TINYINT UNSIGNED NOT NULL, wish TINYINT UNSIGNED NOT NULL,"
      "rate BIGINT UNSIGNED NOT NULL, holder VARBINARY(128) NOT NULL, held_until BIGINT NOT NULL,"
      "epoch BIGINT UNSIGNED NOT NULL, place BIGINT UNSIGNED NOT NULL,"
      "users BIGINT UNSIGNED NOT NULL, records BIGINT UNSIGNED NOT NULL,"
      "followed BIGINT UNSIGNED NOT NULL, compared BIGINT UNSIGNED NOT NULL,"
      "mended BIGINT UNSIGNED NOT NULL, cleaned BIGINT UNSIGNED NOT NULL, pause_ms BIGINT NOT NULL,"
      "started_at BIGINT NOT NULL, fenced_at BIGINT NOT NULL, flipped_at BIGINT NOT NULL,"
      "ended_at BIGINT NOT NULL, asked_by VARBINARY(64) NOT NULL,"
      "note VARBINARY(200) NOT NULL" TABLE_OPTIONS}},
};

/* One number; *ret_found: there was a row. */
static wl_err_t number_query(wl_mysql_t *self, const char *sql, bool *ret_found, uint64_t *ret) {
    wl_err_t err = wl_mysql_query_text(self, sql);
    if (err == WL_OK) {
        err = wl_mysql_next(self, ret_found);
    }
    if (err == WL_OK && *ret_found) {
        err = wl_mysql_unsigned(self, 0, UINT64_MAX, ret) ? WL_OK : WL_ERR_DAMAGED;
    }
    wl_mysql_done(self);
    return err;
}

/* How many steps the database has seen. */
static wl_err_t version_read(wl_mysql_t *self, uint64_t *ret) {
    bool found = false;
    uint64_t tables = 0;
    *ret = 0;
    wl_err_t err = number_query(self,
                                "SELECT count(*) FROM information_schema.tables"
                                " WHERE table_schema = DATABASE() AND"
                                " table_name = 'schema_version'",
                                &found, &tables);
    if (err != WL_OK || tables == 0) {
        return err;
    }
    return number_query(self, "SELECT coalesce(max(version), 0) FROM schema_version", &found, ret);
}

static wl_err_t step_do(wl_mysql_t *self, uint64_t version) {
    const step_t *step = &steps[version];
    wl_err_t err =
        wl_mysql_run_text(self, "CREATE TABLE IF NOT EXISTS schema_version("
                                "version INT UNSIGNED NOT NULL PRIMARY KEY, name VARCHAR(64)"
                                " NOT NULL, at BIGINT NOT NULL" TABLE_OPTIONS);
    for (size_t i = 0; err == WL_OK && i < STATEMENTS_MAX && step->statements[i] != NULL; i++) {
        err = wl_mysql_run_text(self, step->statements[i]);
    }
    if (err == WL_OK) {
        char sql[160];
        (void)snprintf(sql, sizeof sql, "INSERT INTO schema_version VALUES(%llu, '%s', %lld)",
                       (unsigned long long)version + 1, step->name, (long long)wl_wall_now().ms);
        err = wl_mysql_run_text(self, sql);
    }
    return err;
}

/* Under the lock: another process may have been faster. */
static wl_err_t steps_do(wl_mysql_t *self) {
    uint64_t version = 0;
    wl_err_t err = version_read(self, &version);
    while (err == WL_OK && version < WL_MYSQL_SCHEMA) {
        err = step_do(self, version);
        version += err == WL_OK;
    }
    return err;
}

static wl_err_t version_fault(wl_mysql_t *self, wl_err_t err, uint64_t version, wl_fault_t *fault) {
    if (err != WL_OK) {
        char why[sizeof fault->message]; /* fault may be where the problem lies */
        (void)snprintf(why, sizeof why, "%s", wl_mysql_problem(self));
        return wl_fault(fault, err, "schema", "cannot read or bring up the tables: %s", why);
    }
    if (version > WL_MYSQL_SCHEMA) {
        return wl_fault(fault, WL_ERR_SETTINGS, "schema",
                        "the database has schema %llu, this program knows %d: a newer walletd "
                        "wrote it",
                        (unsigned long long)version, WL_MYSQL_SCHEMA);
    }
    return WL_OK;
}

wl_err_t wl_mysql_migrate(wl_mysql_t *self, wl_fault_t *fault) {
    uint64_t version = 0;
    wl_err_t err = version_read(self, &version);
    if (err == WL_OK && version < WL_MYSQL_SCHEMA) {
        bool found = false;
        uint64_t ours = 0;
        char sql[96];
        (void)snprintf(sql, sizeof sql,
                       "SELECT coalesce(GET_LOCK(concat('walletd.', sha1(DATABASE())), %d), 0)",
                       TURN_S);
        err = number_query(self, sql, &found, &ours);
        if (err == WL_OK && ours != 1) {
            return wl_fault(fault, WL_ERR_UNAVAILABLE, "schema", "somebody else makes the tables");
        }
        if (err == WL_OK) {
            err = steps_do(self);
            wl_err_t freed = number_query(
                self, "SELECT RELEASE_LOCK(concat('walletd.', sha1(DATABASE())))", &found, &ours);
            err = err == WL_OK ? freed : err;
        }
        if (err == WL_OK) {
            err = version_read(self, &version);
        }
    }
    return version_fault(self, err, version, fault);
}

wl_err_t wl_mysql_migrated(wl_mysql_t *self, wl_fault_t *fault) {
    uint64_t version = 0;
    wl_err_t err = version_read(self, &version);
    if (err == WL_OK && version < WL_MYSQL_SCHEMA) {
        return wl_fault(fault, WL_ERR_UNAVAILABLE, "schema", "no writer has made its tables yet");
    }
    return version_fault(self, err, version, fault);
}

/* The shard that the database says it is; *ret_found false: it does not say. */
static wl_err_t shard_read(wl_mysql_t *self, bool *ret_found, uint64_t *ret_shard,
                           uint64_t *ret_shards) {
    wl_err_t err = wl_mysql_query_text(self, "SELECT shard, shards FROM meta WHERE id = 1");
    if (err == WL_OK) {
        err = wl_mysql_next(self, ret_found);
    }
    if (err == WL_OK && *ret_found) {
        bool sound = wl_mysql_unsigned(self, 0, UINT32_MAX, ret_shard) &&
                     wl_mysql_unsigned(self, 1, UINT32_MAX, ret_shards);
        err = sound ? WL_OK : WL_ERR_DAMAGED;
    }
    wl_mysql_done(self);
    return err;
}

/* The number that stands there is not ours. */
static wl_err_t shards_differ(wl_mysql_t *self, const wl_mysql_shard_t *ours, uint64_t its_shards,
                              bool make, wl_fault_t *fault) {
    if (!ours->mapped || its_shards > ours->shards) {
        return wl_fault(fault, WL_ERR_SETTINGS, "meta",
                        "shard.instances is %u, this data was written with %llu; it may grow, and "
                        "only with shard.map written out",
                        ours->shards, (unsigned long long)its_shards);
    }
    if (!make) {
        return WL_OK; /* the next writer writes it down */
    }
    char sql[96];
    (void)snprintf(sql, sizeof sql, "UPDATE meta SET shards = greatest(shards, %u) WHERE id = 1",
                   ours->shards);
    return version_fault(self, wl_mysql_run_text(self, sql), 0, fault);
}

wl_err_t wl_mysql_shard_check(wl_mysql_t *self, const wl_mysql_shard_t *ours, bool make,
                              wl_fault_t *fault) {
    bool found = false;
    uint64_t its_shard = 0;
    uint64_t its_shards = 0;
    wl_err_t err = shard_read(self, &found, &its_shard, &its_shards);
    if (err == WL_OK && !found && make) {
        char sql[128];
        (void)snprintf(sql, sizeof sql, "INSERT IGNORE INTO meta VALUES(1, %u, %u, 0, 0, 0)",
                       ours->shard, ours->shards);
        err = wl_mysql_run_text(self, sql);
        if (err == WL_OK) { /* perhaps somebody else's */
            err = shard_read(self, &found, &its_shard, &its_shards);
        }
    }
    if (err != WL_OK) {
        return version_fault(self, err, 0, fault);
    }
    if (!found) {
        return wl_fault(fault, WL_ERR_UNAVAILABLE, "meta", "no writer has begun yet");
    }
    if (its_shard != ours->shard) {
        return wl_fault(fault, WL_ERR_SETTINGS, "meta",
                        "this is the database of shard %llu, not of shard %u",
                        (unsigned long long)its_shard, ours->shard);
    }
    bool differ = its_shards > 0 && ours->shards > 0 && its_shards != ours->shards;
    return differ ? shards_differ(self, ours, its_shards, make, fault) : WL_OK;
}
