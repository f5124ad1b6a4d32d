#include "tools/walletbench/raw_sqlite.h"

#include "base/alloc.h"
#include "base/clock.h"
#include "tools/walletbench/bench.h"

#include <sqlite3.h>
#include <stdio.h>

enum { ROWS = 500 };

struct bench_raw {
    sqlite3 *db;          /* owned */
    sqlite3_stmt *insert; /* owned */
    sqlite3_stmt *upsert; /* owned */
    int64_t version;      /* of the next round of upserts */
    int64_t uid;          /* of the next insert */
};

static void raw_check(const bench_raw_t *self, int code) {
    if (code != SQLITE_OK && code != SQLITE_DONE) {
        bench_fail("raw SQLite: %s", sqlite3_errmsg(self->db));
    }
}

static void raw_exec(bench_raw_t *self, const char *sql) {
    raw_check(self, sqlite3_exec(self->db, sql, NULL, NULL, NULL));
}

bench_raw_t *bench_raw_open(const char *folder, const char *name) {
    char path[640];
    bench_raw_t *self = wl_alloc_zero(1, sizeof *self);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    raw_check(self, sqlite3_open(path, &self->db));
    raw_exec(self, "PRAGMA journal_mode=WAL");
    raw_exec(self, "PRAGMA synchronous=FULL");
    raw_exec(self, "CREATE TABLE queue(id INTEGER PRIMARY KEY, at INTEGER NOT NULL,"
                   " kind INTEGER NOT NULL, line TEXT NOT NULL, uid INTEGER NOT NULL,"
                   " version INTEGER NOT NULL)");
    raw_exec(self, "CREATE TABLE asset(uid INTEGER NOT NULL, line TEXT NOT NULL,"
                   " bucket TEXT NOT NULL, kind INTEGER NOT NULL, amount INTEGER NOT NULL,"
                   " unit TEXT NOT NULL, scale INTEGER NOT NULL, count INTEGER NOT NULL,"
                   " pending INTEGER NOT NULL, state INTEGER NOT NULL,"
                   " expires_at INTEGER NOT NULL, version INTEGER NOT NULL,"
                   " changed_at INTEGER NOT NULL, pulled_at INTEGER NOT NULL, extra BLOB,"
                   " PRIMARY KEY(uid, line, bucket)) WITHOUT ROWID");
    raw_check(self, sqlite3_prepare_v2(self->db,
                                       "INSERT INTO queue(at, kind, line, uid, version)"
                                       " VALUES(?1, 1, 'cash', ?2, ?3)",
                                       -1, &self->insert, NULL));
    raw_check(self, sqlite3_prepare_v2(
                        self->db,
                        "INSERT INTO asset VALUES(?1, 'cash', '', 0, ?2, 'CNY', 2, 0, 0, 0, 0, ?3,"
                        " 0, ?4, x'81a57469746c65a742616c616e6365')"
                        " ON CONFLICT(uid, line, bucket) DO UPDATE SET amount = excluded.amount,"
                        " version = excluded.version, pulled_at = excluded.pulled_at,"
                        " extra = excluded.extra WHERE excluded.version > asset.version",
                        -1, &self->upsert, NULL));
    self->version = 1;
    return self;
}

void bench_raw_close(bench_raw_t **self) {
    if (*self == NULL) {
        return;
    }
    (void)sqlite3_finalize((*self)->insert);
    (void)sqlite3_finalize((*self)->upsert);
    (void)sqlite3_close((*self)->db);
    wl_free(*self);
    *self = NULL;
}

static double rate_since(uint64_t begun, uint64_t rows) {
    return (double)rows * 1e9 / (double)(wl_mono_ns() - begun + 1);
}

double bench_raw_insert(bench_raw_t *self, uint32_t ms) {
    uint64_t begun = wl_mono_ns();
    uint64_t rows = 0;
    while (wl_mono_ns() - begun < (uint64_t)ms * 1000000u) {
        raw_exec(self, "BEGIN IMMEDIATE");
        for (int i = 0; i < ROWS; i++) {
            (void)sqlite3_bind_int64(self->insert, 1, wl_wall_now().ms);
            (void)sqlite3_bind_int64(self->insert, 2, ++self->uid);
            (void)sqlite3_bind_int64(self->insert, 3, self->uid);
            raw_check(self, sqlite3_step(self->insert));
            (void)sqlite3_reset(self->insert);
        }
        raw_exec(self, "COMMIT");
        rows += ROWS;
    }
    return rate_since(begun, rows);
}

double bench_raw_upsert(bench_raw_t *self, uint64_t uid_first, uint64_t users) {
    uint64_t begun = wl_mono_ns();
    self->version++;
    for (uint64_t done = 0; done < users;) {
        raw_exec(self, "BEGIN IMMEDIATE");
        for (int i = 0; i < ROWS && done < users; i++, done++) {
            (void)sqlite3_bind_int64(self->upsert, 1, (int64_t)(uid_first + done));
            (void)sqlite3_bind_int64(self->upsert, 2, 100 + self->version);
            (void)sqlite3_bind_int64(self->upsert, 3, self->version);
            (void)sqlite3_bind_int64(self->upsert, 4, wl_wall_now().ms);
            raw_check(self, sqlite3_step(self->upsert));
            (void)sqlite3_reset(self->upsert);
        }
        raw_exec(self, "COMMIT");
    }
    return rate_since(begun, users);
}
