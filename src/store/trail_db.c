#include "store/trail_db.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/slot.h"
#include "store/migrations.h"
#include "store/sqlite_tool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BINS = 256, /* of users; one more for everybody */
    BIN_EVERYBODY = BINS,
    BLOCK_BYTES = 3900,      /* a row of them and its header fill one page of 4 KiB */
    HEAD_BYTES = 9,          /* of an event: count and uid */
    TRIM_BLOCKS = 2048,      /* deleted by one flush at most; it writes fewer under any load */
    CACHE_KIB = 4096,        /* the ends of 257 bins in the index, and the end of the table */
    CHECKPOINT_PAGES = 8192, /* 32 MB: a flush to the disk for each, which others have to share */
    BUSY_MS = 100,
    PATH_BYTES = 640,
};

typedef enum {
    SQL_ADD,
    SQL_READ,
    SQL_OLDEST,
    SQL_DELETE,
    SQL_REPLACE,
    SQL_META,
    SQL_COUNT,
} sql_t;

static const char *const sql_texts[SQL_COUNT] = {
    [SQL_ADD] = "INSERT INTO block(bin, first_at, last_at, events, bytes) VALUES(?1,?2,?3,?4,?5)",
    [SQL_READ] = "SELECT id, bytes FROM block WHERE bin = ?1 AND id > ?2 ORDER BY id LIMIT 1",
    [SQL_OLDEST] = "SELECT id, last_at, events FROM block ORDER BY id LIMIT 1",
    [SQL_DELETE] = "DELETE FROM block WHERE id = ?1",
    [SQL_REPLACE] = "UPDATE block SET bytes = ?2, events = ?3 WHERE id = ?1",
    [SQL_META] = "UPDATE meta SET events = ?1, since = ?2 WHERE id = 1",
};

/* What one bin holds in memory. */
typedef struct {
    uint8_t *bytes; /* owned, BLOCK_BYTES; NULL until the first event */
    uint32_t used;
    uint32_t events;
    int64_t first_at;
    int64_t last_at;
} bin_t;

struct wl_trail_db {
    sqlite3 *db; /* owned */
    sqlite3_stmt *sql[SQL_COUNT];
    wl_trail_db_options_t options; /* path aside, which is not kept */
    bin_t bins[BINS + 1];
    uint64_t waiting; /* events in memory */
    uint64_t events;  /* in the file */
    int64_t since;    /* everything behind it is kept */
    uint64_t unsaved; /* events of rows of the transaction that is open */
    bool begun;       /* a transaction is open */
    wl_err_t err;     /* of it: the rest of what comes is lost until the flush */
    uint64_t lost;    /* events, told by the flush */
};

/* ---- opening --------------------------------------------------------------------------------- */

static wl_err_t meta_load(wl_trail_db_t *self, int64_t now) {
    int64_t events = 0;
    wl_err_t err = wl_sqlite_number(self->db, "SELECT since FROM meta", &self->since);
    if (err == WL_OK) {
        err = wl_sqlite_number(self->db, "SELECT events FROM meta", &events);
    }
    if (err != WL_OK) {
        return err == WL_ERR_NOT_FOUND ? WL_ERR_DAMAGED : err;
    }
    self->events = events > 0 ? (uint64_t)events : 0;
    self->since = self->since == 0 ? now : self->since;
    return WL_OK;
}

/* SQLite makes files that all may read, and gives its log the mode of the file. */
static wl_err_t file_make(const char *path, wl_fault_t *fault) {
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file == -1 || fchmod(file, 0600) != 0) {
        int problem = errno;
        if (file != -1) {
            (void)close(file);
        }
        return wl_fault(fault, problem == ENOSPC ? WL_ERR_NO_SPACE : WL_ERR_IO, path, "%s",
                        strerror(problem));
    }
    (void)close(file);
    return WL_OK;
}

static wl_err_t db_open(const wl_trail_db_options_t *options, int64_t now, wl_trail_db_t **ret,
                        wl_fault_t *fault) {
    wl_trail_db_t *self = wl_alloc_zero(1, sizeof *self);
    self->options = *options;
    wl_sqlite_options_t open = {.path = options->path,
                                .application_id = wl_schema_trail.application_id,
                                .busy_timeout_ms = BUSY_MS,
                                .cache_kib = CACHE_KIB,
                                .checkpoint_pages = CHECKPOINT_PAGES,
                                /* what is deleted by age must not outlast an erasure */
                                .wipe_pages = true};
    wl_err_t err = file_make(options->path, fault);
    if (err == WL_OK) {
        err = wl_sqlite_open(&open, &self->db, fault);
    }
    if (err == WL_OK) {
        err = wl_schema_migrate(self->db, &wl_schema_trail, options->path, fault);
    }
    if (err == WL_OK) {
        err = wl_sqlite_prepare(self->db, sql_texts, SQL_COUNT, self->sql);
        if (err == WL_OK) {
            err = meta_load(self, now);
        }
        if (err != WL_OK) {
            (void)wl_fault(fault, err, options->path, "its tables are not those of this version");
        }
    }
    if (err != WL_OK) {
        wl_trail_db_close(&self);
        return err;
    }
    *ret = self;
    return WL_OK;
}

/* The file and its log, out of the way: the log of one must never meet the other. */
wl_err_t wl_trail_db_set_aside(const char *path) {
    char from[PATH_BYTES];
    char to[PATH_BYTES];
    static const char *const parts[] = {"-wal", "-shm"};
    for (size_t i = 0; i < WL_COUNT_OF(parts); i++) {
        (void)snprintf(from, sizeof from, "%s%s", path, parts[i]);
        (void)snprintf(to, sizeof to, "%s.damaged%s", path, parts[i]);
        (void)unlink(to);
        if (rename(from, to) != 0 && errno != ENOENT) {
            return WL_ERR_IO;
        }
    }
    (void)snprintf(to, sizeof to, "%s.damaged", path);
    return rename(path, to) == 0 ? WL_OK : WL_ERR_IO;
}

wl_err_t wl_trail_db_open(const wl_trail_db_options_t *options, int64_t now, wl_trail_db_t **ret,
                          bool *ret_set_aside, wl_fault_t *fault) {
    WL_ASSERT(strlen(options->path) + sizeof ".damaged-wal" <= PATH_BYTES);
    *ret_set_aside = false;
    wl_err_t err = db_open(options, now, ret, fault);
    if (err != WL_ERR_DAMAGED && err != WL_ERR_SETTINGS && err != WL_ERR_INTERNAL) {
        return err;
    }
    if (wl_trail_db_set_aside(options->path) != WL_OK) {
        return wl_fault(fault, WL_ERR_IO, options->path, "it is damaged and cannot be renamed: %s",
                        strerror(errno));
    }
    *ret_set_aside = true;
    wl_fault_t again = {.where = ""};
    err = db_open(options, now, ret, &again);
    if (err != WL_OK && fault != NULL) {
        *fault = again;
    }
    return err;
}

void wl_trail_db_close(wl_trail_db_t **pointer) {
    if (pointer == NULL || *pointer == NULL) {
        return;
    }
    wl_trail_db_t *self = *pointer;
    wl_sqlite_finalize(self->sql, SQL_COUNT);
    wl_sqlite_close(&self->db);
    for (uint32_t i = 0; i < WL_COUNT_OF(self->bins); i++) {
        wl_free(self->bins[i].bytes);
    }
    wl_free(self);
    *pointer = NULL;
}

/* ---- adding ---------------------------------------------------------------------------------- */

static uint64_t event_uid(const uint8_t *event) {
    uint64_t uid = 0;
    for (unsigned i = 0; i < sizeof uid; i++) {
        uid |= (uint64_t)event[1 + i] << (8 * i);
    }
    return uid;
}

static uint32_t bin_of(uint64_t uid) {
    return uid == 0 ? BIN_EVERYBODY : (uint32_t)(wl_mix64(uid) % BINS);
}

static wl_err_t trail_begin(wl_trail_db_t *self) {
    wl_err_t err = self->begun ? WL_OK : wl_sqlite_exec(self->db, "BEGIN IMMEDIATE");
    self->begun = self->begun || err == WL_OK;
    return err;
}

/* The block of a bin becomes a row; the bin is empty afterwards whatever happens. */
static void bin_write(wl_trail_db_t *self, bin_t *bin) {
    if (bin->events == 0) {
        return;
    }
    sqlite3_stmt *sql = self->sql[SQL_ADD];
    wl_err_t err = self->err == WL_OK ? trail_begin(self) : self->err;
    if (err == WL_OK) {
        (void)sqlite3_bind_int64(sql, 1, bin - self->bins);
        (void)sqlite3_bind_int64(sql, 2, bin->first_at);
        (void)sqlite3_bind_int64(sql, 3, bin->last_at);
        (void)sqlite3_bind_int64(sql, 4, bin->events);
        (void)sqlite3_bind_blob(sql, 5, bin->bytes, (int)bin->used, SQLITE_STATIC);
        err = wl_sqlite_run(sql);
        (void)sqlite3_clear_bindings(sql);
    }
    self->err = err;
    self->unsaved += err == WL_OK ? bin->events : 0;
    self->lost += err == WL_OK ? 0 : bin->events;
    self->waiting -= bin->events;
    bin->used = 0;
    bin->events = 0;
}

void wl_trail_db_add(wl_trail_db_t *self, int64_t at, const uint8_t *event, size_t count) {
    WL_ASSERT(count >= HEAD_BYTES && count <= WL_TRAIL_DB_EVENT_MAX &&
              count == HEAD_BYTES + (size_t)event[0]);
    bin_t *bin = &self->bins[bin_of(event_uid(event))];
    if (bin->bytes == NULL) {
        bin->bytes = wl_alloc(BLOCK_BYTES);
    }
    if (bin->used + count > BLOCK_BYTES) {
        bin_write(self, bin);
    }
    bool first = bin->events == 0;
    bin->first_at = first || at < bin->first_at ? at : bin->first_at;
    bin->last_at = first || at > bin->last_at ? at : bin->last_at;
    memcpy(bin->bytes + bin->used, event, count);
    bin->used += (uint32_t)count;
    bin->events++;
    self->waiting++;
}

uint64_t wl_trail_db_waiting(const wl_trail_db_t *self) {
    return self->waiting + self->unsaved + self->lost;
}

/* ---- flushing -------------------------------------------------------------------------------- */

static uint64_t pages_bytes(const wl_trail_db_t *self) {
    int64_t pages = 0;
    int64_t unused = 0;
    int64_t size = 0;
    bool known = wl_sqlite_number(self->db, "PRAGMA page_count", &pages) == WL_OK &&
                 wl_sqlite_number(self->db, "PRAGMA freelist_count", &unused) == WL_OK &&
                 wl_sqlite_number(self->db, "PRAGMA page_size", &size) == WL_OK;
    return known && pages > unused ? (uint64_t)(pages - unused) * (uint64_t)size : 0;
}

/* Deletes the oldest block if the bounds want it; *ret_more: there may be another one. */
static wl_err_t trim_one(wl_trail_db_t *self, int64_t too_old, uint64_t *events, bool full,
                         bool *ret_more) {
    sqlite3_stmt *sql = self->sql[SQL_OLDEST];
    bool row = false;
    wl_err_t err = wl_sqlite_step(sql, &row);
    int64_t id = err == WL_OK && row ? sqlite3_column_int64(sql, 0) : 0;
    int64_t last_at = err == WL_OK && row ? sqlite3_column_int64(sql, 1) : 0;
    int64_t held = err == WL_OK && row ? sqlite3_column_int64(sql, 2) : 0;
    wl_sqlite_reset(sql);
    *ret_more = false;
    if (err != WL_OK || !row ||
        (!full && last_at >= too_old && *events <= self->options.events_max)) {
        return err;
    }
    (void)sqlite3_bind_int64(self->sql[SQL_DELETE], 1, id);
    err = wl_sqlite_run(self->sql[SQL_DELETE]);
    uint64_t gone = held > 0 ? (uint64_t)held : 0;
    *events -= gone < *events ? gone : *events;
    self->since = last_at > self->since ? last_at : self->since;
    *ret_more = err == WL_OK;
    return err;
}

/* At most TRIM_BLOCKS; the size is looked at once for 64 of them. */
static wl_err_t trim(wl_trail_db_t *self, int64_t now, uint64_t *events) {
    uint64_t keep_ms = self->options.keep_ms < INT64_MAX ? self->options.keep_ms : INT64_MAX;
    int64_t too_old = now - (int64_t)keep_ms;
    bool more = true;
    bool full = false;
    wl_err_t err = WL_OK;
    for (uint32_t i = 0; err == WL_OK && more && i < TRIM_BLOCKS; i++) {
        full = i % 64 == 0 ? pages_bytes(self) > self->options.bytes_max : full;
        err = trim_one(self, too_old, events, full, &more);
    }
    return err;
}

static wl_err_t meta_save(wl_trail_db_t *self, uint64_t events) {
    (void)sqlite3_bind_int64(self->sql[SQL_META], 1, (sqlite3_int64)events);
    (void)sqlite3_bind_int64(self->sql[SQL_META], 2, self->since);
    return wl_sqlite_run(self->sql[SQL_META]);
}

wl_err_t wl_trail_db_flush(wl_trail_db_t *self, int64_t now, uint64_t *ret_lost) {
    for (uint32_t i = 0; i < WL_COUNT_OF(self->bins); i++) {
        bin_write(self, &self->bins[i]);
    }
    uint64_t events = self->events + self->unsaved;
    wl_err_t err = self->err == WL_OK ? trail_begin(self) : self->err;
    if (err == WL_OK) {
        err = trim(self, now, &events);
    }
    if (err == WL_OK) {
        err = meta_save(self, events);
    }
    err = self->begun ? wl_sqlite_end(self->db, err) : err;
    self->events = err == WL_OK ? events : self->events;
    *ret_lost = self->lost + (err == WL_OK ? 0 : self->unsaved);
    self->begun = false;
    self->unsaved = 0;
    self->lost = 0;
    self->err = WL_OK;
    return err;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The user's events in a block; what is behind damage is passed over. */
static void block_tell(const uint8_t *bytes, size_t count, uint64_t uid, wl_trail_db_fn *tell,
                       void *arg) {
    size_t at = 0;
    while (count - at >= HEAD_BYTES && count - at >= HEAD_BYTES + (size_t)bytes[at]) {
        size_t event_bytes = HEAD_BYTES + (size_t)bytes[at];
        if (event_uid(&bytes[at]) == uid) {
            tell(&bytes[at], event_bytes, arg);
        }
        at += event_bytes;
    }
}

/* The next block of a bin behind *id; *ret_bytes NULL: the end. To be reset afterwards. */
static wl_err_t block_next(wl_trail_db_t *self, uint32_t bin, int64_t *id,
                           const uint8_t **ret_bytes, size_t *ret_count) {
    sqlite3_stmt *sql = self->sql[SQL_READ];
    bool row = false;
    (void)sqlite3_bind_int64(sql, 1, bin);
    (void)sqlite3_bind_int64(sql, 2, *id);
    wl_err_t err = wl_sqlite_step(sql, &row);
    *ret_bytes = NULL;
    if (err == WL_OK && row) {
        static const uint8_t none[1] = {0};
        *id = sqlite3_column_int64(sql, 0);
        const uint8_t *bytes = sqlite3_column_blob(sql, 1);
        *ret_bytes = bytes == NULL ? none : bytes;
        *ret_count = bytes == NULL ? 0 : (size_t)sqlite3_column_bytes(sql, 1);
    }
    return err;
}

wl_err_t wl_trail_db_read(wl_trail_db_t *self, uint64_t uid, wl_trail_db_fn *tell, void *arg) {
    const uint8_t *bytes = NULL;
    size_t count = 0;
    int64_t id = INT64_MIN;
    wl_err_t err = WL_OK;
    do {
        err = block_next(self, bin_of(uid), &id, &bytes, &count);
        if (err == WL_OK && bytes != NULL) {
            block_tell(bytes, count, uid, tell, arg);
        }
        wl_sqlite_reset(self->sql[SQL_READ]);
    } while (err == WL_OK && bytes != NULL);
    const bin_t *bin = &self->bins[bin_of(uid)];
    if (err == WL_OK && bin->used > 0) {
        block_tell(bin->bytes, bin->used, uid, tell, arg);
    }
    return err;
}

/* ---- erasing --------------------------------------------------------------------------------- */

/* Moves the events of all others together; returns how many bytes they are. */
static size_t block_drop(uint8_t *bytes, size_t count, uint64_t uid, uint64_t *ret_gone,
                         uint64_t *ret_left) {
    size_t at = 0;
    size_t kept = 0;
    *ret_gone = 0;
    *ret_left = 0;
    while (count - at >= HEAD_BYTES && count - at >= HEAD_BYTES + (size_t)bytes[at]) {
        size_t event_bytes = HEAD_BYTES + (size_t)bytes[at];
        bool his = event_uid(&bytes[at]) == uid;
        if (!his) {
            memmove(&bytes[kept], &bytes[at], event_bytes);
            kept += event_bytes;
        }
        *ret_gone += his;
        *ret_left += !his;
        at += event_bytes;
    }
    return kept;
}

static wl_err_t block_erase(wl_trail_db_t *self, int64_t id, const uint8_t *bytes, size_t count,
                            uint64_t uid, uint64_t *events) {
    WL_AUTO_FREE uint8_t *copy = wl_alloc(count + 1);
    uint64_t gone = 0;
    uint64_t left = 0;
    memcpy(copy, bytes, count);
    wl_sqlite_reset(self->sql[SQL_READ]);
    size_t kept = block_drop(copy, count, uid, &gone, &left);
    if (gone == 0) {
        return WL_OK;
    }
    sqlite3_stmt *sql = self->sql[kept == 0 ? SQL_DELETE : SQL_REPLACE];
    (void)sqlite3_bind_int64(sql, 1, id);
    if (kept > 0) {
        (void)sqlite3_bind_blob(sql, 2, copy, (int)kept, SQLITE_STATIC);
        (void)sqlite3_bind_int64(sql, 3, (sqlite3_int64)left);
    }
    wl_err_t err = wl_sqlite_run(sql);
    (void)sqlite3_clear_bindings(sql);
    *events += gone;
    return err;
}

static wl_err_t blocks_erase(wl_trail_db_t *self, uint64_t uid, uint64_t *events) {
    const uint8_t *bytes = NULL;
    size_t count = 0;
    int64_t id = INT64_MIN;
    wl_err_t err = WL_OK;
    do {
        err = block_next(self, bin_of(uid), &id, &bytes, &count);
        if (err == WL_OK && bytes != NULL) {
            err = block_erase(self, id, bytes, count, uid, events);
        }
        wl_sqlite_reset(self->sql[SQL_READ]);
    } while (err == WL_OK && bytes != NULL);
    return err;
}

/* Nothing of it in free parts of pages, nor in the log. */
static wl_err_t trail_wipe(wl_trail_db_t *self) {
    int64_t busy = 0;
    wl_err_t err = wl_sqlite_number(self->db, "PRAGMA wal_checkpoint(TRUNCATE)", &busy);
    return err == WL_OK && busy != 0 ? WL_ERR_IO : err;
}

wl_err_t wl_trail_db_erase(wl_trail_db_t *self, uint64_t uid, uint64_t *ret_events) {
    uint64_t gone = 0;
    uint64_t left = 0;
    uint64_t stored = 0;
    bin_t *bin = &self->bins[bin_of(uid)];
    if (bin->used > 0) {
        bin->used = (uint32_t)block_drop(bin->bytes, bin->used, uid, &gone, &left);
        bin->events = (uint32_t)left;
        self->waiting -= gone;
    }
    wl_err_t err = self->err == WL_OK ? trail_begin(self) : self->err;
    if (err == WL_OK) {
        err = blocks_erase(self, uid, &stored);
    }
    uint64_t events = self->events + self->unsaved;
    events -= stored < events ? stored : events;
    if (err == WL_OK) {
        err = meta_save(self, events);
    }
    err = self->begun ? wl_sqlite_end(self->db, err) : err;
    self->begun = false;
    self->lost += err == WL_OK ? 0 : self->unsaved;
    self->unsaved = 0;
    self->events = err == WL_OK ? events : self->events;
    if (err == WL_OK) {
        err = trail_wipe(self);
    }
    if (err == WL_OK) {
        *ret_events = gone + stored;
    }
    return err;
}

void wl_trail_db_stats(wl_trail_db_t *self, wl_trail_db_stats_t *ret) {
    *ret = (wl_trail_db_stats_t){.events = self->events + self->unsaved + self->waiting,
                                 .bytes = pages_bytes(self),
                                 .since = self->since};
}

const char *wl_trail_db_problem(const wl_trail_db_t *self) {
    return sqlite3_errcode(self->db) == SQLITE_OK ? "" : sqlite3_errmsg(self->db);
}
