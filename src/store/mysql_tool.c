#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/random.h"
#include "store/mysql_connect.h"

#include <string.h>

enum {
    BACKOFF_FIRST_MS = 20,
    BACKOFF_MAX_MS = 500, /* so that a server that is back is used within a second */
};

struct wl_mysql {
    wl_mysql_target_t target;
    wl_mysql_check_fn check;
    void *ctx;           /* of check, borrowed */
    MYSQL *db;           /* owned; NULL = not connected */
    MYSQL_RES *rows;     /* owned; what query found and next has not yet read */
    MYSQL_ROW row;       /* the current one, borrowed from rows */
    unsigned long *room; /* its columns' bytes, borrowed from rows */
    uint32_t columns;
    bool in_transaction; /* a lost connection is not made again */
    bool checking;       /* inside check */
    uint32_t backoff_ms;
    int64_t retry_at; /* monotonic ms: no connection is tried before */
    uint64_t connections;
    uint64_t matched;
    wl_err_t why;       /* why there is no connection */
    wl_fault_t problem; /* its text, or that of the last error */
};

void wl_mysql_library_init(void) {
    int rc = mysql_library_init(0, NULL, NULL);
    WL_ASSERT(rc == 0);
}

void wl_mysql_library_end(void) {
    mysql_library_end();
}

void wl_mysql_thread_end(void) {
    mysql_thread_end();
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void connection_drop(wl_mysql_t *self, wl_err_t why) {
    wl_mysql_done(self);
    if (self->db != NULL) {
        mysql_close(self->db);
        self->db = NULL;
    }
    self->why = why;
}

void wl_mysql_drop(wl_mysql_t *self) {
    connection_drop(self, WL_ERR_UNAVAILABLE);
}

static wl_err_t connection_make(wl_mysql_t *self) {
    int64_t begun = wl_mono_now().ms;
    wl_err_t err = wl_mysql_connect(&self->target, &self->db, &self->problem);
    if (err == WL_OK) {
        self->connections++;
        self->checking = true;
        err = self->check == NULL ? WL_OK : self->check(self, self->ctx, &self->problem);
        self->checking = false;
    }
    if (err == WL_OK) {
        self->backoff_ms = 0;
        return WL_OK;
    }
    connection_drop(self, err);
    self->backoff_ms = self->backoff_ms == 0 ? BACKOFF_FIRST_MS : self->backoff_ms * 2;
    int64_t now = wl_mono_now().ms;
    if (self->backoff_ms > BACKOFF_MAX_MS || now - begun > BACKOFF_MAX_MS) { /* hanging is worse */
        self->backoff_ms = BACKOFF_MAX_MS;
    }
    uint32_t wait_ms = self->backoff_ms / 2 + wl_random_below(self->backoff_ms / 2 + 1);
    self->retry_at = now + wait_ms;
    return err;
}

/* There is a connection when this returns WL_OK. */
static wl_err_t connection_ready(wl_mysql_t *self) {
    WL_ASSERT(self->rows == NULL); /* the last query was read to its end */
    if (self->db != NULL) {
        return WL_OK;
    }
    if (self->in_transaction || self->checking) {
        return WL_ERR_UNAVAILABLE;
    }
    return wl_mono_now().ms < self->retry_at ? self->why : connection_make(self);
}

wl_err_t wl_mysql_open(const wl_mysql_options_t *options, bool writes, wl_mysql_check_fn check,
                       void *ctx, wl_mysql_t **ret, wl_fault_t *fault) {
    wl_mysql_t *self = wl_alloc_zero(1, sizeof *self);
    self->check = check;
    self->ctx = ctx;
    wl_err_t err = wl_mysql_target_read(options, writes, &self->target, fault);
    if (err == WL_OK) {
        err = connection_make(self);
        if (err != WL_OK) {
            (void)wl_fault(fault, err, options->at, "%s", self->problem.message);
        }
    }
    if (err == WL_ERR_SETTINGS) {
        wl_mysql_close(&self);
        return err;
    }
    *ret = self;
    return WL_OK;
}

void wl_mysql_close(wl_mysql_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    connection_drop(*self, WL_ERR_UNAVAILABLE);
    wl_mysql_target_destroy(&(*self)->target);
    wl_free(*self);
    *self = NULL;
}

/* ---- statements ------------------------------------------------------------------------------ */

/* Takes note of the last error of the connection, and closes it when it is of no use any more. */
static wl_err_t statement_failed(wl_mysql_t *self) {
    bool lost = false;
    wl_err_t err = wl_mysql_error(mysql_errno(self->db), &lost);
    (void)wl_fault(&self->problem, err, self->target.host, "%s", mysql_error(self->db));
    if (lost) {
        connection_drop(self, WL_ERR_UNAVAILABLE);
    }
    return err;
}

/* Outside a transaction a connection that turns out to be closed is made again, once, unless
 * finding out has taken long: what was to be done is done again, so it must be idempotent. */
static wl_err_t statement_send(wl_mysql_t *self, const char *sql, size_t bytes) {
    int64_t begun = wl_mono_now().ms;
    uint64_t connections = self->connections;
    wl_err_t err = connection_ready(self);
    if (err == WL_OK && mysql_real_query(self->db, sql, (unsigned long)bytes) != 0) {
        err = statement_failed(self);
    }
    bool again = err == WL_ERR_UNAVAILABLE && self->db == NULL && !self->in_transaction &&
                 !self->checking && self->connections == connections && connections > 0 &&
                 wl_mono_now().ms - begun < 500 * (int64_t)self->target.timeout_s;
    if (!again) {
        return err;
    }
    err = connection_ready(self);
    if (err == WL_OK && mysql_real_query(self->db, sql, (unsigned long)bytes) != 0) {
        err = statement_failed(self);
    }
    return err;
}

wl_err_t wl_mysql_run(wl_mysql_t *self, const char *sql, size_t bytes) {
    wl_err_t err = statement_send(self, sql, bytes);
    if (err == WL_OK) {
        if (mysql_field_count(self->db) > 0) { /* not what was asked: thrown away */
            mysql_free_result(mysql_use_result(self->db));
        }
        self->matched = mysql_affected_rows(self->db);
    }
    return err;
}

wl_err_t wl_mysql_run_text(wl_mysql_t *self, const char *sql) {
    return wl_mysql_run(self, sql, strlen(sql));
}

uint64_t wl_mysql_matched(const wl_mysql_t *self) {
    return self->matched;
}

wl_err_t wl_mysql_query(wl_mysql_t *self, const char *sql, size_t bytes) {
    wl_err_t err = statement_send(self, sql, bytes);
    if (err == WL_OK) {
        self->rows = mysql_use_result(self->db);
        if (self->rows == NULL) {
            err = mysql_errno(self->db) == 0 ? WL_ERR_INTERNAL : statement_failed(self);
        } else {
            self->columns = mysql_num_fields(self->rows);
        }
    }
    return err;
}

wl_err_t wl_mysql_query_text(wl_mysql_t *self, const char *sql) {
    return wl_mysql_query(self, sql, strlen(sql));
}

wl_err_t wl_mysql_next(wl_mysql_t *self, bool *ret_row) {
    if (self->rows == NULL) { /* behind the last one */
        *ret_row = false;
        return self->db == NULL ? WL_ERR_UNAVAILABLE : WL_OK;
    }
    self->row = mysql_fetch_row(self->rows);
    if (self->row == NULL) {
        wl_err_t err = mysql_errno(self->db) == 0 ? WL_OK : statement_failed(self);
        wl_mysql_done(self);
        *ret_row = false;
        return err;
    }
    self->room = mysql_fetch_lengths(self->rows);
    *ret_row = true;
    return WL_OK;
}

void wl_mysql_done(wl_mysql_t *self) {
    if (self->rows != NULL) {
        mysql_free_result(self->rows); /* reads what is left */
        self->rows = NULL;
        self->row = NULL;
    }
}

/* ---- values ---------------------------------------------------------------------------------- */

const char *wl_mysql_bytes(const wl_mysql_t *self, uint32_t column, size_t *ret_bytes) {
    if (self->row == NULL || column >= self->columns || self->row[column] == NULL) {
        *ret_bytes = 0;
        return NULL;
    }
    *ret_bytes = self->room[column];
    return self->row[column];
}

/* Decimal digits without a sign. */
static bool digits_read(const char *at, size_t bytes, uint64_t *ret) {
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (at[i] < '0' || at[i] > '9' || __builtin_mul_overflow(value, 10u, &value) ||
            __builtin_add_overflow(value, (uint64_t)(at[i] - '0'), &value)) {
            return false;
        }
    }
    *ret = value;
    return bytes > 0;
}

bool wl_mysql_unsigned(const wl_mysql_t *self, uint32_t column, uint64_t max, uint64_t *ret) {
    size_t bytes = 0;
    uint64_t value = 0;
    const char *at = wl_mysql_bytes(self, column, &bytes);
    if (at == NULL || !digits_read(at, bytes, &value) || value > max) {
        return false;
    }
    *ret = value;
    return true;
}

bool wl_mysql_signed(const wl_mysql_t *self, uint32_t column, int64_t *ret) {
    size_t bytes = 0;
    uint64_t value = 0;
    const char *at = wl_mysql_bytes(self, column, &bytes);
    bool minus = at != NULL && bytes > 0 && at[0] == '-';
    uint64_t max = minus ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    if (at == NULL || !digits_read(at + minus, bytes - minus, &value) || value > max) {
        return false;
    }
    *ret = minus ? (int64_t)(0 - value) : (int64_t)value;
    return true;
}

bool wl_mysql_copy(const wl_mysql_t *self, uint32_t column, char *ret, size_t room) {
    size_t bytes = 0;
    const char *at = wl_mysql_bytes(self, column, &bytes);
    if (at == NULL || bytes >= room || memchr(at, '\0', bytes) != NULL) {
        return false;
    }
    memcpy(ret, at, bytes);
    ret[bytes] = '\0';
    return true;
}

/* ---- transactions ---------------------------------------------------------------------------- */

wl_err_t wl_mysql_begin(wl_mysql_t *self) {
    WL_ASSERT(!self->in_transaction);
    wl_err_t err = wl_mysql_run_text(self, "START TRANSACTION");
    self->in_transaction = err == WL_OK;
    return err;
}

wl_err_t wl_mysql_commit(wl_mysql_t *self) {
    WL_ASSERT(self->in_transaction);
    wl_err_t err = wl_mysql_run_text(self, "COMMIT");
    self->in_transaction = err != WL_OK;
    return err == WL_OK || err == WL_ERR_BUSY ? err : WL_ERR_UNAVAILABLE;
}

void wl_mysql_rollback(wl_mysql_t *self) {
    wl_mysql_done(self);
    if (self->in_transaction && self->db != NULL && wl_mysql_run_text(self, "ROLLBACK") != WL_OK) {
        connection_drop(self, WL_ERR_UNAVAILABLE); /* the server rolls back when it sees that */
    }
    self->in_transaction = false;
}

const char *wl_mysql_problem(const wl_mysql_t *self) {
    return self->problem.message;
}

uint64_t wl_mysql_connections(const wl_mysql_t *self) {
    return self->connections;
}
