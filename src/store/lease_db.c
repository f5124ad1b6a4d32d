#include "store/lease_db.h"

#include "base/alloc.h"
#include "base/check.h"
#include "store/mysql_schema.h"
#include "store/sql_text.h"

#include <string.h>

enum {
    NAME_MAX_BYTES = 128, /* as the columns have it */
    PARTITIONS_MAX = 64,
    WRITER_KEPT_MS = 600000, /* a writer not heard for so long is forgotten */
    FLOOR_MAX = 1 << 23,     /* half of what a dispatcher can count: a clock that runs wild */
};

/* Minutes since 2026 by the database's clock, at least 0. An epoch is never below: when the rows
 * were restored from a backup, what is taken is newer than what shards and queue have seen. */
#define FLOOR "CAST(GREATEST(UNIX_TIMESTAMP(SYSDATE()) - 1767225600, 0) DIV 60 AS SIGNED)"

/* Milliseconds by the database's clock, at the moment of evaluation: after a wait for a lock.
 * Sessions are in UTC, where no hour comes twice. */
#define NOW "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)"

#define DAY "CAST(UNIX_TIMESTAMP(SYSDATE()) DIV 86400 AS SIGNED)"

struct wl_lease_db {
    wl_mysql_t *link;  /* owned */
    wl_sql_text_t sql; /* owned; of one statement */
    uint32_t partitions;
    uint64_t purged; /* connection on which old writers were forgotten */
    char name[NAME_MAX_BYTES + 1];
};

static wl_sql_text_t *sql_begin(wl_lease_db_t *self, const char *first) {
    wl_sql_text_clear(&self->sql);
    wl_sql_add(&self->sql, first);
    return &self->sql;
}

static wl_err_t sql_run(wl_lease_db_t *self) {
    return wl_mysql_run(self->link, self->sql.at, self->sql.used);
}

/* Of each new connection. The shard's number is the writing shard actor's business. */
static wl_err_t link_check(wl_mysql_t *link, void *ctx, wl_fault_t *fault) {
    (void)ctx;
    return wl_mysql_migrate(link, fault);
}

wl_err_t wl_lease_db_open(const wl_mysql_options_t *options, const char *name, uint32_t partitions,
                          wl_lease_db_t **ret, wl_fault_t *fault) {
    size_t name_bytes = strlen(name);
    if (name_bytes == 0 || name_bytes > NAME_MAX_BYTES || partitions == 0 ||
        partitions > PARTITIONS_MAX) {
        return wl_fault(fault, WL_ERR_SETTINGS, name, "a writer's name has 1 to %d bytes",
                        NAME_MAX_BYTES);
    }
    wl_lease_db_t *self = wl_alloc_zero(1, sizeof *self);
    self->partitions = partitions;
    memcpy(self->name, name, name_bytes);
    wl_err_t err = wl_mysql_open(options, true, link_check, NULL, &self->link, fault);
    if (err != WL_OK) {
        wl_lease_db_close(&self);
        return err;
    }
    *ret = self;
    return WL_OK;
}

void wl_lease_db_close(wl_lease_db_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_mysql_close(&(*self)->link);
    wl_sql_text_destroy(&(*self)->sql);
    wl_free(*self);
    *self = NULL;
}

/* ---- looking --------------------------------------------------------------------------------- */

/* Says that this writer lives. */
static wl_err_t writer_note(wl_lease_db_t *self) {
    wl_sql_text_t *sql = sql_begin(self, "INSERT INTO writer(name, seen_at) VALUES(");
    wl_sql_text(sql, self->name);
    wl_sql_add(sql, ", " NOW ") ON DUPLICATE KEY UPDATE seen_at = VALUES(seen_at)");
    wl_err_t err = sql_run(self);
    if (err == WL_OK && self->purged != wl_mysql_connections(self->link)) {
        self->purged = wl_mysql_connections(self->link);
        sql = sql_begin(self, "DELETE FROM writer WHERE seen_at < " NOW " - ");
        wl_sql_unsigned(sql, WRITER_KEPT_MS);
        err = sql_run(self);
    }
    return err;
}

static wl_err_t writers_count(wl_lease_db_t *self, uint32_t lease_ms, uint32_t *ret) {
    wl_sql_text_t *sql = sql_begin(self, "SELECT count(*) FROM writer WHERE seen_at > " NOW " - ");
    wl_sql_unsigned(sql, lease_ms);
    bool row = false;
    uint64_t writers = 0;
    wl_err_t err = wl_mysql_query(self->link, sql->at, sql->used);
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    if (err == WL_OK) {
        bool sound = row && wl_mysql_unsigned(self->link, 0, UINT32_MAX, &writers);
        *ret = (uint32_t)writers;
        err = sound ? WL_OK : WL_ERR_DAMAGED;
    }
    wl_mysql_done(self->link);
    return err;
}

/* The current row: a partition's lease. */
static wl_err_t lease_take_row(const wl_lease_db_t *self, wl_lease_t *leases) {
    uint64_t partition = 0;
    uint64_t ours = 0;
    wl_lease_t lease = {0};
    bool sound = wl_mysql_unsigned(self->link, 0, UINT32_MAX, &partition) &&
                 wl_mysql_unsigned(self->link, 1, UINT64_MAX, &lease.epoch) &&
                 wl_mysql_signed(self->link, 2, &lease.left_ms) &&
                 wl_mysql_unsigned(self->link, 3, 1, &ours) &&
                 wl_mysql_unsigned(self->link, 4, UINT64_MAX, &lease.floor);
    if (!sound) {
        return WL_ERR_DAMAGED;
    }
    lease.ours = ours == 1;
    if (partition < self->partitions) {
        leases[partition] = lease;
    }
    return WL_OK;
}

static wl_err_t leases_read(wl_lease_db_t *self, wl_lease_t *leases) {
    wl_sql_text_t *sql = sql_begin(self, "SELECT `partition`, epoch, ends_at - " NOW ", holder = ");
    wl_sql_text(sql, self->name);
    wl_sql_add(sql, ", " FLOOR " FROM lease");
    bool row = false;
    wl_err_t err = wl_mysql_query(self->link, sql->at, sql->used);
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    while (err == WL_OK && row) {
        err = lease_take_row(self, leases);
        if (err == WL_OK) {
            err = wl_mysql_next(self->link, &row);
        }
    }
    wl_mysql_done(self->link);
    return err;
}

wl_err_t wl_lease_db_look(wl_lease_db_t *self, uint32_t lease_ms, wl_lease_t *ret_leases,
                          uint32_t *ret_writers) {
    wl_lease_t leases[PARTITIONS_MAX] = {0};
    uint32_t writers = 0;
    wl_err_t err = writer_note(self);
    if (err == WL_OK) {
        err = writers_count(self, lease_ms, &writers);
    }
    if (err == WL_OK) {
        err = leases_read(self, leases);
    }
    if (err == WL_OK) {
        memcpy(ret_leases, leases, self->partitions * sizeof *leases);
        *ret_writers = writers;
    }
    return err;
}

/* ---- holding --------------------------------------------------------------------------------- */

/* Locks the row of a partition and says what stands there. */
static wl_err_t lease_lock(wl_lease_db_t *self, uint32_t partition, wl_lease_t *ret) {
    wl_sql_text_t *sql = sql_begin(self, "SELECT `partition`, epoch, ends_at - " NOW ", holder = ");
    wl_sql_text(sql, self->name);
    wl_sql_add(sql, ", " FLOOR " FROM lease WHERE `partition` = ");
    wl_sql_unsigned(sql, partition);
    wl_sql_add(sql, " FOR UPDATE");
    wl_lease_t leases[PARTITIONS_MAX] = {0};
    bool row = false;
    wl_err_t err = wl_mysql_query(self->link, sql->at, sql->used);
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    if (err == WL_OK && row) {
        err = lease_take_row(self, leases);
    }
    wl_mysql_done(self->link);
    *ret = leases[partition];
    return err;
}

/* Writes the row that lease_lock has locked. */
static wl_err_t lease_write(wl_lease_db_t *self, uint32_t partition, uint64_t epoch,
                            uint32_t lease_ms) {
    wl_sql_text_t *sql = sql_begin(self, "UPDATE lease SET holder = ");
    wl_sql_text(sql, self->name);
    wl_sql_add(sql, ", epoch = ");
    wl_sql_unsigned(sql, epoch);
    wl_sql_add(sql, ", ends_at = " NOW " + ");
    wl_sql_unsigned(sql, lease_ms);
    wl_sql_add(sql, " WHERE `partition` = ");
    wl_sql_unsigned(sql, partition);
    wl_err_t err = sql_run(self);
    return err == WL_OK && wl_mysql_matched(self->link) != 1 ? WL_ERR_DAMAGED : err;
}

/* The transaction's end: of no effect at all unless err is WL_OK. */
static wl_err_t lease_end(wl_lease_db_t *self, wl_err_t err) {
    if (err == WL_OK) {
        err = wl_mysql_commit(self->link);
    }
    if (err != WL_OK) {
        wl_mysql_rollback(self->link);
    }
    return err;
}

/* Begins a transaction on a row that may be missing: the statement that is built puts it there, so
 * that there is one to lock. */
static wl_err_t row_begin(wl_lease_db_t *self) {
    wl_err_t err = sql_run(self);
    return err == WL_OK ? wl_mysql_begin(self->link) : err;
}

static uint64_t epoch_next(const wl_lease_t *lease) {
    uint64_t floor = lease->floor < FLOOR_MAX ? lease->floor : FLOOR_MAX;
    return lease->epoch + 1 > floor ? lease->epoch + 1 : floor;
}

wl_err_t wl_lease_db_take(wl_lease_db_t *self, uint32_t partition, uint32_t lease_ms,
                          uint64_t *ret_epoch) {
    WL_ASSERT(partition < self->partitions);
    wl_lease_t lease = {0};
    wl_sql_text_t *sql = sql_begin(self, "INSERT IGNORE INTO lease VALUES(");
    wl_sql_unsigned(sql, partition);
    wl_sql_add(sql, ", '', 0, 0)");
    wl_err_t err = row_begin(self);
    if (err != WL_OK) {
        return err;
    }
    err = lease_lock(self, partition, &lease);
    if (err == WL_OK && lease.left_ms > 0 && !lease.ours) {
        err = WL_ERR_CONFLICT;
    }
    if (err == WL_OK) {
        err = lease_write(self, partition, epoch_next(&lease), lease_ms);
    }
    err = lease_end(self, err);
    if (err == WL_OK) {
        *ret_epoch = epoch_next(&lease);
    }
    return err;
}

/* Moves the end of a lease of ours. */
static wl_err_t lease_move(wl_lease_db_t *self, uint32_t partition, uint64_t epoch,
                           uint32_t lease_ms) {
    WL_ASSERT(partition < self->partitions);
    wl_lease_t lease = {0};
    wl_err_t err = wl_mysql_begin(self->link);
    if (err != WL_OK) {
        return err;
    }
    err = lease_lock(self, partition, &lease);
    if (err == WL_OK && (!lease.ours || lease.epoch != epoch)) {
        err = WL_ERR_CONFLICT;
    }
    if (err == WL_OK) {
        err = lease_write(self, partition, epoch, lease_ms);
    }
    return lease_end(self, err);
}

wl_err_t wl_lease_db_renew(wl_lease_db_t *self, uint32_t partition, uint64_t epoch,
                           uint32_t lease_ms) {
    return lease_move(self, partition, epoch, lease_ms);
}

wl_err_t wl_lease_db_release(wl_lease_db_t *self, uint32_t partition, uint64_t epoch) {
    return lease_move(self, partition, epoch, 0);
}

/* ---- quotas ---------------------------------------------------------------------------------- */

/* What stands in a line's row, and the day it is. */
typedef struct {
    int64_t day;
    uint64_t reserved;
    int64_t today;
} quota_row_t;

static wl_err_t quota_lock(wl_lease_db_t *self, const char *line, quota_row_t *ret) {
    wl_sql_text_t *sql = sql_begin(self, "SELECT day, reserved, " DAY " FROM quota WHERE line = ");
    wl_sql_text(sql, line);
    wl_sql_add(sql, " FOR UPDATE");
    bool row = false;
    wl_err_t err = wl_mysql_query(self->link, sql->at, sql->used);
    if (err == WL_OK) {
        err = wl_mysql_next(self->link, &row);
    }
    if (err == WL_OK) {
        bool sound = row && wl_mysql_signed(self->link, 0, &ret->day) &&
                     wl_mysql_unsigned(self->link, 1, UINT64_MAX, &ret->reserved) &&
                     wl_mysql_signed(self->link, 2, &ret->today);
        err = sound ? WL_OK : WL_ERR_DAMAGED;
    }
    wl_mysql_done(self->link);
    return err;
}

static wl_err_t quota_write(wl_lease_db_t *self, const char *line, int64_t day, uint64_t reserved) {
    wl_sql_text_t *sql = sql_begin(self, "UPDATE quota SET day = ");
    wl_sql_signed(sql, day);
    wl_sql_add(sql, ", reserved = ");
    wl_sql_unsigned(sql, reserved);
    wl_sql_add(sql, " WHERE line = ");
    wl_sql_text(sql, line);
    wl_err_t err = sql_run(self);
    return err == WL_OK && wl_mysql_matched(self->link) != 1 ? WL_ERR_DAMAGED : err;
}

wl_err_t wl_lease_db_reserve(wl_lease_db_t *self, const char *line, uint64_t limit, uint64_t chunk,
                             int64_t *ret_day, uint64_t *ret_granted, uint64_t *ret_left) {
    quota_row_t row = {0};
    wl_sql_text_t *sql = sql_begin(self, "INSERT IGNORE INTO quota VALUES(");
    wl_sql_text(sql, line);
    wl_sql_add(sql, ", 0, 0)");
    wl_err_t err = row_begin(self);
    if (err != WL_OK) {
        return err;
    }
    err = quota_lock(self, line, &row);
    if (row.today > row.day) {
        row.day = row.today;
        row.reserved = 0;
    }
    uint64_t left = limit > row.reserved ? limit - row.reserved : 0;
    uint64_t granted = chunk < left ? chunk : left;
    if (err == WL_OK && granted > 0) {
        err = quota_write(self, line, row.day, row.reserved + granted);
    }
    err = lease_end(self, err);
    if (err == WL_OK) {
        *ret_day = row.day;
        *ret_granted = granted;
        *ret_left = left - granted;
    }
    return err;
}

wl_err_t wl_lease_db_give_back(wl_lease_db_t *self, const char *line, int64_t day, uint64_t count) {
    wl_sql_text_t *sql = sql_begin(self, "UPDATE quota SET reserved = reserved - ");
    wl_sql_unsigned(sql, count);
    wl_sql_add(sql, " WHERE line = ");
    wl_sql_text(sql, line);
    wl_sql_add(sql, " AND day = ");
    wl_sql_signed(sql, day);
    wl_sql_add(sql, " AND reserved >= ");
    wl_sql_unsigned(sql, count);
    return sql_run(self);
}
