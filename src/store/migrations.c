#include "store/migrations.h"

#include "base/asset.h"
#include "base/check.h"
#include "base/clock.h"
#include "store/sqlite_tool.h"

#include <assert.h>
#include <stdio.h>

/* These numbers stand in files: the lists in base/asset.h may only grow at their ends. */
static_assert(WL_STATE_GONE == 3, "the triggers compare with 3");
static_assert(WL_KIND_CASH == 0 && WL_KIND_LINK == 5, "kinds are stored as numbers");
static_assert(WL_STATE_AVAILABLE == 0 && WL_STATE_EXPIRED == 2, "states are stored as numbers");

/* uid is unsigned for us and signed in SQL: the same 64 bits, so half of the range sorts below
 * zero. That changes the order of a scan and nothing else.
 *
 * The owner log learns of a record that is born, or that comes back from being gone, in the same
 * transaction and whatever statement did it. SQLite does not run INSERT triggers for an upsert that
 * ends in DO UPDATE, so the two triggers never both fire. Its newest row is never deleted, which
 * keeps the numbers growing without AUTOINCREMENT's second table. */
static const wl_migration_t asset_db_steps[] = {
    {1, "001_asset",
     "CREATE TABLE asset("
     " uid INTEGER NOT NULL, line TEXT NOT NULL, bucket TEXT NOT NULL,"
     " kind INTEGER NOT NULL, amount INTEGER NOT NULL, unit TEXT NOT NULL,"
     " scale INTEGER NOT NULL, count INTEGER NOT NULL, pending INTEGER NOT NULL,"
     " state INTEGER NOT NULL, expires_at INTEGER NOT NULL, version INTEGER NOT NULL,"
     " changed_at INTEGER NOT NULL, pulled_at INTEGER NOT NULL, extra BLOB,"
     " PRIMARY KEY(uid, line, bucket)) WITHOUT ROWID;"
     "CREATE TABLE owner_log(seq INTEGER PRIMARY KEY, uid INTEGER NOT NULL);"
     "CREATE TRIGGER asset_born AFTER INSERT ON asset WHEN new.state <> 3"
     " BEGIN INSERT INTO owner_log(uid) VALUES(new.uid); END;"
     "CREATE TRIGGER asset_back AFTER UPDATE OF state ON asset"
     " WHEN old.state = 3 AND new.state <> 3"
     " BEGIN INSERT INTO owner_log(uid) VALUES(new.uid); END;"
     "CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK(id = 1), shard INTEGER NOT NULL,"
     " commit_seq INTEGER NOT NULL, owner_trimmed INTEGER NOT NULL);"},
    /* 0: written before this step, not known */
    {2, "002_shards", "ALTER TABLE meta ADD COLUMN shards INTEGER NOT NULL DEFAULT 0;"},
    {3, "003_fence", "CREATE TABLE fence(partition INTEGER PRIMARY KEY, epoch INTEGER NOT NULL);"},
    /* Who consented to what and when, for ever: rows are only added. version is that of the record
     * in asset, so one that is written twice is there once. */
    {4, "004_consent",
     "CREATE TABLE consent("
     " uid INTEGER NOT NULL, line TEXT NOT NULL, version INTEGER NOT NULL,"
     " granted INTEGER NOT NULL, at INTEGER NOT NULL, expires_at INTEGER NOT NULL,"
     " via TEXT NOT NULL, PRIMARY KEY(uid, line, version)) WITHOUT ROWID;"},
};

/* tally holds what stats would otherwise count, and the next entry id: one row, written once per
 * transaction, in place of AUTOINCREMENT's row per insert. */
static const wl_migration_t queue_steps[] = {
    {1, "001_queue",
     "CREATE TABLE queue(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind INTEGER NOT NULL,"
     " line TEXT NOT NULL, body BLOB NOT NULL);"
     "CREATE TABLE retry(uid INTEGER NOT NULL, line TEXT NOT NULL, attempts INTEGER NOT NULL,"
     " due_at INTEGER NOT NULL, notified_at INTEGER NOT NULL, reason TEXT NOT NULL,"
     " PRIMARY KEY(uid, line)) WITHOUT ROWID;"
     "CREATE TABLE dead_letter(id INTEGER PRIMARY KEY AUTOINCREMENT, uid INTEGER NOT NULL,"
     " line TEXT NOT NULL, attempts INTEGER NOT NULL, at INTEGER NOT NULL, reason TEXT NOT NULL,"
     " body BLOB);"
     "CREATE TABLE audit(id INTEGER PRIMARY KEY AUTOINCREMENT, at INTEGER NOT NULL,"
     " who TEXT NOT NULL, what TEXT NOT NULL, note TEXT NOT NULL);"
     "CREATE TABLE tally(id INTEGER PRIMARY KEY CHECK(id = 1), next_id INTEGER NOT NULL,"
     " entries INTEGER NOT NULL, retries INTEGER NOT NULL, dead INTEGER NOT NULL);"
     "INSERT INTO tally VALUES(1, 1, 0, 0, 0);"},
    {2, "002_job", "CREATE TABLE job(name TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;"},
    {3, "003_dead_pair", "CREATE INDEX dead_letter_pair ON dead_letter(uid, line);"},
    /* class: wl_failure_t; 0 = of a letter that is older than this step, until the next open.
     * dead_class counts them, whatever statement adds or removes one. */
    {4, "004_history",
     "ALTER TABLE retry ADD COLUMN history BLOB;"
     "ALTER TABLE dead_letter ADD COLUMN class INTEGER NOT NULL DEFAULT 0;"
     "ALTER TABLE dead_letter ADD COLUMN history BLOB;"
     "CREATE INDEX dead_letter_class ON dead_letter(class);"
     "CREATE TABLE dead_class(class INTEGER PRIMARY KEY, count INTEGER NOT NULL);"
     "INSERT INTO dead_class SELECT 0, count(*) FROM dead_letter;"
     "CREATE TRIGGER dead_born AFTER INSERT ON dead_letter BEGIN"
     " INSERT INTO dead_class VALUES(new.class, 1)"
     " ON CONFLICT(class) DO UPDATE SET count = count + 1; END;"
     "CREATE TRIGGER dead_gone AFTER DELETE ON dead_letter BEGIN"
     " UPDATE dead_class SET count = count - 1 WHERE class = old.class; END;"
     "CREATE TRIGGER dead_told AFTER UPDATE OF class ON dead_letter BEGIN"
     " UPDATE dead_class SET count = count - 1 WHERE class = old.class;"
     " INSERT INTO dead_class VALUES(new.class, 1)"
     " ON CONFLICT(class) DO UPDATE SET count = count + 1; END;"},
};

/* Texts are blobs, as in MySQL, and numbers above 2^63 negative. */
static const wl_migration_t report_steps[] = {
    {1, "001_reconcile",
     "CREATE TABLE reconcile_run(id INTEGER PRIMARY KEY, rolling INTEGER NOT NULL,"
     " dry_run INTEGER NOT NULL, cap INTEGER NOT NULL, rate INTEGER NOT NULL,"
     " shards INTEGER NOT NULL, only_shard INTEGER NOT NULL, asked_by BLOB NOT NULL,"
     " state INTEGER NOT NULL, note BLOB NOT NULL, started_at INTEGER NOT NULL,"
     " ended_at INTEGER NOT NULL);"
     "CREATE TABLE reconcile_part(run INTEGER NOT NULL, shard INTEGER NOT NULL,"
     " state INTEGER NOT NULL, holder BLOB NOT NULL, held_until INTEGER NOT NULL,"
     " phase INTEGER NOT NULL, reached INTEGER NOT NULL, ended_at INTEGER NOT NULL,"
     " body BLOB NOT NULL, PRIMARY KEY(run, shard)) WITHOUT ROWID;"
     "CREATE TABLE reconcile_diff(run INTEGER NOT NULL, id INTEGER NOT NULL,"
     " shard INTEGER NOT NULL, uid INTEGER NOT NULL, line BLOB NOT NULL, bucket BLOB NOT NULL,"
     " kind INTEGER NOT NULL, repair INTEGER NOT NULL, in_db INTEGER NOT NULL,"
     " in_copy INTEGER NOT NULL, cause BLOB NOT NULL, state INTEGER NOT NULL,"
     " at INTEGER NOT NULL, PRIMARY KEY(run, id)) WITHOUT ROWID;"
     "CREATE UNIQUE INDEX reconcile_diff_key ON reconcile_diff(run, uid, line, bucket, kind);"
     "CREATE INDEX reconcile_diff_open ON reconcile_diff(run, shard, state);"},
};

/* A block is many events of one bin of users (store/trail_db.h). meta: how many events there are,
 * and since when all of them; 0 = since the file was made. */
static const wl_migration_t trail_steps[] = {
    {1, "001_trail",
     "CREATE TABLE block(id INTEGER PRIMARY KEY, bin INTEGER NOT NULL, first_at INTEGER NOT NULL,"
     " last_at INTEGER NOT NULL, events INTEGER NOT NULL, bytes BLOB NOT NULL);"
     "CREATE INDEX block_bin ON block(bin);"
     "CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK(id = 1), events INTEGER NOT NULL,"
     " since INTEGER NOT NULL);"
     "INSERT INTO meta VALUES(1, 0, 0);"},
};

const wl_schema_t wl_schema_asset_db = {
    0x574c4144u /* "WLAD" */, sizeof asset_db_steps / sizeof *asset_db_steps, asset_db_steps};
const wl_schema_t wl_schema_queue = {0x574c5155u /* "WLQU" */,
                                     sizeof queue_steps / sizeof *queue_steps, queue_steps};
const wl_schema_t wl_schema_trail = {0x574c5452u /* "WLTR" */,
                                     sizeof trail_steps / sizeof *trail_steps, trail_steps};

const wl_schema_t wl_schema_reports = {0x574c5250u /* "WLRP" */,
                                       sizeof report_steps / sizeof *report_steps, report_steps};

/* One step inside BEGIN IMMEDIATE. The version is read again under the lock: another handle may
 * have been faster. *ret_version = the version that the file has now. */
static wl_err_t schema_step(sqlite3 *db, const wl_schema_t *schema, int64_t *ret_version) {
    int64_t version = 0;
    wl_err_t err =
        wl_sqlite_exec(db, "CREATE TABLE IF NOT EXISTS schema_version("
                           "version INTEGER PRIMARY KEY, name TEXT NOT NULL, at INTEGER NOT NULL)");
    if (err == WL_OK) {
        err =
            wl_sqlite_number(db, "SELECT coalesce(max(version), 0) FROM schema_version", &version);
    }
    if (err == WL_OK && version == 0) {
        char sql[64];
        (void)snprintf(sql, sizeof sql, "PRAGMA application_id=%u", schema->application_id);
        err = wl_sqlite_exec(db, sql);
    }
    if (err != WL_OK || version >= (int64_t)schema->count) {
        *ret_version = version;
        return err;
    }
    const wl_migration_t *step = &schema->at[version];
    WL_ASSERT((int64_t)step->number == version + 1);
    err = wl_sqlite_exec(db, step->sql);
    if (err == WL_OK) {
        char sql[192];
        (void)snprintf(sql, sizeof sql, "INSERT INTO schema_version VALUES(%u, '%s', %lld)",
                       step->number, step->name, (long long)wl_wall_now().ms);
        err = wl_sqlite_exec(db, sql);
    }
    *ret_version = version + 1;
    return err;
}

wl_err_t wl_schema_migrate(sqlite3 *db, const wl_schema_t *schema, const char *path,
                           wl_fault_t *fault) {
    int64_t tables = 0;
    int64_t version = 0;
    wl_err_t err = wl_sqlite_number(
        db, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'", &tables);
    if (err == WL_OK && tables == 1) {
        err =
            wl_sqlite_number(db, "SELECT coalesce(max(version), 0) FROM schema_version", &version);
    }
    while (err == WL_OK && version < (int64_t)schema->count) {
        err = wl_sqlite_exec(db, "BEGIN IMMEDIATE");
        if (err == WL_OK) {
            err = wl_sqlite_end(db, schema_step(db, schema, &version));
        }
    }
    if (err != WL_OK) {
        return wl_fault(fault, err, path, "cannot read or bring up the tables: %s",
                        sqlite3_errmsg(db));
    }
    if (version > (int64_t)schema->count) {
        return wl_fault(fault, WL_ERR_SETTINGS, path,
                        "the file has schema %lld, this program knows %u: a newer walletd wrote it",
                        (long long)version, schema->count);
    }
    return WL_OK;
}
