/* trail_db.h: the file of the trail: events of users, newest kept, oldest deleted. It is no truth:
 * what it loses is only not told. SQLite in WAL mode, synchronous=NORMAL: killed, walletd loses
 * what was not flushed; without power the last seconds, and never the whole file.
 *
 * Two events come for each change, and one is asked for a few times a day. So events are not rows:
 * users are cut into 256 bins by a hash, each bin fills a block in memory, and a block is one row.
 *
 *     add --> bin's block in memory --> full, or flush --> row (bin, first_at, last_at, bytes)
 *     read: all blocks of one bin, a 256th of the file, of which the user's events are taken
 *
 * A block is events one behind the other; of an event only its first bytes are known here: the
 * count of bytes behind the uid (u8), and the uid (u64, little endian). Uid 0, everybody, has a bin
 * of its own. One handle, one thread; calls block on the disk, without waiting for it to flush. */
#ifndef WL_STORE_TRAIL_DB_H
#define WL_STORE_TRAIL_DB_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum { WL_TRAIL_DB_EVENT_MAX = 264 }; /* bytes of one event */

typedef struct wl_trail_db wl_trail_db_t;

typedef struct {
    const char *path;
    uint64_t events_max; /* older ones are deleted beyond this, */
    uint64_t bytes_max;  /* this size of what the file holds, */
    uint64_t keep_ms;    /* and this age */
} wl_trail_db_options_t;

typedef struct {
    uint64_t events; /* kept, with those in memory */
    uint64_t bytes;  /* of pages in use, the log aside */
    int64_t since;   /* wall ms: everything that came after this is kept */
} wl_trail_db_stats_t;

/* Opens the file, mode 0600, or makes it. One that is damaged, of something else or of a newer
 * walletd is renamed to <path>.damaged (replacing one that is there) and a new one begun:
 * *ret_set_aside says so, and fault why. Else errors of the disk; fault may be NULL. now: wall ms,
 * since when a new file keeps everything. */
WL_MUST_USE wl_err_t wl_trail_db_open(const wl_trail_db_options_t *options, int64_t now,
                                      wl_trail_db_t **ret, bool *ret_set_aside, wl_fault_t *fault);
/* Renames a file that is not open, as open does, with its log: what a flush has found damaged.
 * WL_ERR_IO. */
WL_MUST_USE wl_err_t wl_trail_db_set_aside(const char *path);
void wl_trail_db_close(wl_trail_db_t **self); /* what was not flushed is lost; NULL is accepted */

/* Adds one event of `count` bytes, at most WL_TRAIL_DB_EVENT_MAX; its first bytes as above. Cheap:
 * about one row for 100 events. at: wall ms. */
void wl_trail_db_add(wl_trail_db_t *self, int64_t at, const uint8_t *event, size_t count);

/* Writes what is in memory and deletes a little of what is too old or too much. On an error
 * *ret_lost events are gone and the next flush tries the next ones; WL_ERR_DAMAGED: close it, set
 * it aside and open it again. */
WL_MUST_USE wl_err_t wl_trail_db_flush(wl_trail_db_t *self, int64_t now, uint64_t *ret_lost);
uint64_t wl_trail_db_waiting(const wl_trail_db_t *self); /* events in memory */

/* Tells the user's events in the order in which they were added, those in memory as well. */
typedef void(wl_trail_db_fn)(const uint8_t *event, size_t count, void *arg);
WL_MUST_USE wl_err_t wl_trail_db_read(wl_trail_db_t *self, uint64_t uid, wl_trail_db_fn *tell,
                                      void *arg);

/* Deletes all events of a user, in memory and in the file, and wipes what they leave in the file
 * and its log. *ret_events = how many there were. An error: ask again; what was erased stays so. */
WL_MUST_USE wl_err_t wl_trail_db_erase(wl_trail_db_t *self, uint64_t uid, uint64_t *ret_events);

void wl_trail_db_stats(wl_trail_db_t *self, wl_trail_db_stats_t *ret);
const char *wl_trail_db_problem(const wl_trail_db_t *self); /* of the last error, for logs */

#endif
