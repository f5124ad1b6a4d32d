/* slot_copy.h: the data of a move of slots, in the MySQL databases of two shards: copying users,
 * following the log of those who change, comparing, fences and maps. What it writes goes past the
 * shard actors and has to be safe beside them: every transaction on a shard locks the row of
 * its numbers first, as theirs do, and counts as a commit of that shard; users who are new there
 * get a row in its owner log. Everything can be done again after a crash. One thread, blocks.
 *
 * A side is the shard where users live now, or where they go; the way back has them exchanged.
 * Errors of every call: WL_ERR_UNAVAILABLE, BUSY (try again, also when it may have taken effect),
 * DAMAGED, NO_SPACE. */
#ifndef WL_STORE_SLOT_COPY_H
#define WL_STORE_SLOT_COPY_H

#include "base/err.h"
#include "base/slot.h"
#include "store/mysql_tool.h"

typedef struct wl_slot_copy wl_slot_copy_t;

typedef enum { WL_SIDE_SOURCE, WL_SIDE_TARGET } wl_side_t;

typedef struct {
    wl_mysql_options_t mysql[2]; /* by side */
    uint32_t shard[2];           /* likewise */
    uint32_t shards;             /* of the whole database */
    uint32_t first;              /* slots */
    uint32_t last;
    uint64_t epoch; /* of the hold on the move: what an older one writes is refused from
                     * wl_slot_copy_begin of a newer one on */
} wl_slot_copy_options_t;

/* A server that does not answer is no error here. */
WL_MUST_USE wl_err_t wl_slot_copy_open(const wl_slot_copy_options_t *options, wl_slot_copy_t **ret,
                                       wl_fault_t *fault);
void wl_slot_copy_close(wl_slot_copy_t **self);               /* NULL and *NULL are accepted */
const char *wl_slot_copy_problem(const wl_slot_copy_t *self); /* for logs, "" = none */

/* Makes the epoch known on both sides: before anything else. WL_ERR_CONFLICT of any call but reads:
 * a newer hold has begun. */
WL_MUST_USE wl_err_t wl_slot_copy_begin(wl_slot_copy_t *self);

/* What one call did. */
typedef struct {
    uint32_t users;
    uint32_t records;
    uint32_t mended; /* compare: users that differed and were copied */
    bool end;        /* nothing is left to do */
} wl_slot_step_t;

/* From now on every commit on that side notes the users of the slots that it wrote in slot_log;
 * or no more, and what the log holds goes. Idempotent. */
WL_MUST_USE wl_err_t wl_slot_copy_log(wl_slot_copy_t *self, wl_side_t side, bool on);

/* Copies the users behind *cursor, ascending by uid (at most max, 1..512) from `from` to the other
 * side, each with all records, tombstones, and the trail of its consents; what the other side has
 * of them is replaced. */
WL_MUST_USE wl_err_t wl_slot_copy_users(wl_slot_copy_t *self, wl_side_t from, uint32_t max,
                                        uint64_t *cursor, wl_slot_step_t *ret);
/* Takes the oldest rows of the log of `from` (at most max), copies those users as they are now, and
 * deletes the rows. end: the log was empty behind them. Users that are gone on `from` go on the
 * other side as well. */
WL_MUST_USE wl_err_t wl_slot_copy_follow(wl_slot_copy_t *self, wl_side_t from, uint32_t max,
                                         wl_slot_step_t *ret);
/* Compares the next users of either side, record by record; those who differ are copied again. A
 * user who is in the log of `from` meanwhile is only being late, and not counted in mended. */
WL_MUST_USE wl_err_t wl_slot_copy_compare(wl_slot_copy_t *self, wl_side_t from, uint32_t max,
                                          uint64_t *cursor, wl_slot_step_t *ret);
/* Deletes the next users of the slots on a side. */
WL_MUST_USE wl_err_t wl_slot_copy_clean(wl_slot_copy_t *self, wl_side_t side, uint32_t max,
                                        uint64_t *cursor, wl_slot_step_t *ret);

/* Raises the write fence of a side: by a map older than `version` nobody writes there any more,
 * once this has returned. */
WL_MUST_USE wl_err_t wl_slot_copy_fence(wl_slot_copy_t *self, wl_side_t side, uint64_t version);
/* The move is given up before the map was changed: the write fence of a side goes back to what its
 * read fence is. */
WL_MUST_USE wl_err_t wl_slot_copy_unfence(wl_slot_copy_t *self, wl_side_t side);
/* Changes the map: the other side's numbers are raised beyond those of `from` (so that the commit
 * numbers that a user's copies have seen only grow), and its log begins; then, in one transaction,
 * `from` gets the map and its read fence is raised to `version`, and its log ends: from here on
 * users are read and written on the other side, which gets the map last. */
WL_MUST_USE wl_err_t wl_slot_copy_flip(wl_slot_copy_t *self, wl_side_t from, uint64_t version,
                                       const uint8_t map[WL_SLOTS]);
/* Does a side know that map or a newer one (the flip took place)? */
WL_MUST_USE wl_err_t wl_slot_copy_flipped(wl_slot_copy_t *self, wl_side_t side, uint64_t version,
                                          bool *ret);

#endif
