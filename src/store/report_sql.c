#include "store/report_sql.h"

#include "base/clock.h"
#include "store/migrations.h"
#include "store/mysql_schema.h"

#include <stdlib.h>
#include <string.h>

enum { BUSY_MS = 5000, CACHE_KIB = 2048, CHECKPOINT_PAGES = 1000 };

#define MYSQL_NOW "CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)"

/* ---- life ------------------------------------------------------------------------------------ */

static wl_err_t link_check(wl_mysql_t *link, void *ctx, wl_fault_t *fault) {
    (void)ctx;
    return wl_mysql_migrate(link, fault);
}

wl_err_t wl_report_sql_open(wl_report_sql_t *self, const char *path,
                            const wl_mysql_options_t *mysql, wl_fault_t *fault) {
    if (path == NULL) {
        return wl_mysql_open(mysql, true, link_check, NULL, &self->link, fault);
    }
    wl_sqlite_options_t options = {.path = path,
                                   .application_id = wl_schema_reports.application_id,
                                   .busy_timeout_ms = BUSY_MS,
                                   .cache_kib = CACHE_KIB,
                                   .checkpoint_pages = CHECKPOINT_PAGES,
                                   .full_sync = true};
    wl_err_t err = wl_sqlite_open(&options, &self->db, fault);
    return err == WL_OK ? wl_schema_migrate(self->db, &wl_schema_reports, path, fault) : err;
}

void wl_report_sql_close(wl_report_sql_t *self) {
    wl_report_sql_done(self);
    wl_mysql_close(&self->link);
    wl_sqlite_close(&self->db);
    wl_sql_text_destroy(&self->text);
}

const char *wl_report_sql_problem(const wl_report_sql_t *self) {
    return self->link != NULL ? wl_mysql_problem(self->link) : sqlite3_errmsg(self->db);
}

/* ---- building -------------------------------------------------------------------------------- */

wl_sql_text_t *wl_report_sql(wl_report_sql_t *self, const char *first) {
    wl_sql_text_clear(&self->text);
    wl_sql_add(&self->text, first);
    return &self->text;
}

void wl_report_sql_add(wl_report_sql_t *self, const char *sql) {
    wl_sql_add(&self->text, sql);
}

/* SQLite's numbers are signed, and a larger literal would become a float. */
void wl_report_sql_number(wl_report_sql_t *self, uint64_t value) {
    if (self->link != NULL) {
        wl_sql_unsigned(&self->text, value);
    } else {
        wl_sql_signed(&self->text, (int64_t)value);
    }
}

void wl_report_sql_signed(wl_report_sql_t *self, int64_t value) {
    wl_sql_signed(&self->text, value);
}

void wl_report_sql_bytes(wl_report_sql_t *self, const void *bytes, size_t count) {
    if (count == 0) {
        wl_sql_add(&self->text, "x''");
    } else {
        wl_sql_bytes(&self->text, bytes, count);
    }
}

void wl_report_sql_words(wl_report_sql_t *self, const char *text) {
    wl_report_sql_bytes(self, text, strlen(text));
}

void wl_report_sql_now(wl_report_sql_t *self) {
    if (self->link != NULL) {
        wl_sql_add(&self->text, MYSQL_NOW);
    } else {
        wl_sql_signed(&self->text, wl_wall_now().ms);
    }
}

const char *wl_report_sql_insert(const wl_report_sql_t *self) {
    return self->link != NULL ? "INSERT IGNORE INTO " : "INSERT OR IGNORE INTO ";
}

const char *wl_report_sql_lock(const wl_report_sql_t *self) {
    return self->link != NULL ? " FOR UPDATE" : "";
}

/* ---- running --------------------------------------------------------------------------------- */

wl_err_t wl_report_sql_run(wl_report_sql_t *self, uint64_t *ret_matched) {
    wl_err_t err = WL_OK;
    uint64_t matched = 0;
    if (self->link != NULL) {
        err = wl_mysql_run(self->link, self->text.at, self->text.used);
        matched = err == WL_OK ? wl_mysql_matched(self->link) : 0;
    } else {
        sqlite3_stmt *statement = NULL;
        int code =
            sqlite3_prepare_v2(self->db, self->text.at, (int)self->text.used, &statement, NULL);
        if (code == SQLITE_OK) {
            code = sqlite3_step(statement);
        }
        err = wl_sqlite_error(self->db, code);
        (void)sqlite3_finalize(statement);
        matched = err == WL_OK ? (uint64_t)sqlite3_changes(self->db) : 0;
    }
    if (ret_matched != NULL) {
        *ret_matched = matched;
    }
    return err;
}

wl_err_t wl_report_sql_query(wl_report_sql_t *self) {
    if (self->link != NULL) {
        return wl_mysql_query(self->link, self->text.at, self->text.used);
    }
    return wl_sqlite_error(
        self->db,
        sqlite3_prepare_v2(self->db, self->text.at, (int)self->text.used, &self->statement, NULL));
}

wl_err_t wl_report_sql_next(wl_report_sql_t *self, bool *ret_row) {
    *ret_row = false;
    if (self->link != NULL) {
        return wl_mysql_next(self->link, ret_row);
    }
    return wl_sqlite_step(self->statement, ret_row);
}

void wl_report_sql_done(wl_report_sql_t *self) {
    if (self->link != NULL) {
        wl_mysql_done(self->link);
    }
    (void)sqlite3_finalize(self->statement);
    self->statement = NULL;
}

/* ---- columns --------------------------------------------------------------------------------- */

uint64_t wl_report_sql_take(wl_report_sql_t *self, int column, uint64_t max, bool *damaged) {
    uint64_t value = 0;
    bool sound = true;
    if (self->link != NULL) {
        sound = wl_mysql_unsigned(self->link, (uint32_t)column, UINT64_MAX, &value);
    } else {
        sound = sqlite3_column_type(self->statement, column) == SQLITE_INTEGER;
        value = (uint64_t)sqlite3_column_int64(self->statement, column);
    }
    *damaged = *damaged || !sound || value > max;
    return sound && value <= max ? value : 0;
}

int64_t wl_report_sql_take_signed(wl_report_sql_t *self, int column, bool *damaged) {
    int64_t value = 0;
    bool sound = true;
    if (self->link != NULL) {
        sound = wl_mysql_signed(self->link, (uint32_t)column, &value);
    } else {
        sound = sqlite3_column_type(self->statement, column) == SQLITE_INTEGER;
        value = sqlite3_column_int64(self->statement, column);
    }
    *damaged = *damaged || !sound;
    return sound ? value : 0;
}

const void *wl_report_sql_take_bytes(wl_report_sql_t *self, int column, size_t *ret_count) {
    if (self->link != NULL) {
        return wl_mysql_bytes(self->link, (uint32_t)column, ret_count);
    }
    const void *bytes = sqlite3_column_blob(self->statement, column);
    *ret_count = (size_t)sqlite3_column_bytes(self->statement, column);
    return bytes;
}

void wl_report_sql_take_text(wl_report_sql_t *self, int column, char *ret, size_t bytes,
                             bool *damaged) {
    size_t count = 0;
    const void *text = wl_report_sql_take_bytes(self, column, &count);
    bool sound = count < bytes && (count == 0 || memchr(text, '\0', count) == NULL);
    ret[0] = '\0';
    *damaged = *damaged || !sound;
    if (sound && count > 0) {
        memcpy(ret, text, count);
        ret[count] = '\0';
    }
}

/* ---- transactions ---------------------------------------------------------------------------- */

wl_err_t wl_report_sql_begin(wl_report_sql_t *self) {
    return self->link != NULL ? wl_mysql_begin(self->link)
                              : wl_sqlite_exec(self->db, "BEGIN IMMEDIATE");
}

wl_err_t wl_report_sql_end(wl_report_sql_t *self, wl_err_t err) {
    if (self->link == NULL) {
        return wl_sqlite_end(self->db, err);
    }
    if (err == WL_OK) {
        err = wl_mysql_commit(self->link);
    }
    if (err != WL_OK) {
        wl_mysql_rollback(self->link);
    }
    return err;
}
