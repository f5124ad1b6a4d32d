/* move_db.h: moves of slots, one row each in the MySQL database of shard 0: what operators asked
 * for, how far it is, and which writer works at it. One is open at a time. A writer that dies is
 * followed by another when its hold ends; times of holds are the database's. One handle belongs to
 * one thread; calls block for as long as the connection's timeout.
 *
 * Errors of every call: WL_ERR_UNAVAILABLE and BUSY: try again, repeating is harmless; DAMAGED. */
#ifndef WL_STORE_MOVE_DB_H
#define WL_STORE_MOVE_DB_H

#include "base/slot_move.h"
#include "store/mysql_tool.h"

typedef struct wl_move_db wl_move_db_t;

/* name: of this writer, unique, at most 128 bytes. A server that does not answer is no error. */
WL_MUST_USE wl_err_t wl_move_db_open(const wl_mysql_options_t *options, const char *name,
                                     wl_move_db_t **ret, wl_fault_t *fault);
void wl_move_db_close(wl_move_db_t **self);               /* NULL and *NULL are accepted */
const char *wl_move_db_problem(const wl_move_db_t *self); /* for logs, "" = none */

/* The newest map that shard 0 knows of; WL_ERR_NOT_FOUND: none. */
WL_MUST_USE wl_err_t wl_move_db_map(wl_move_db_t *self, uint64_t *ret_version,
                                    uint8_t ret_map[WL_SLOTS]);
/* Makes it known there, unless a newer one is. Fences stay as they are. */
WL_MUST_USE wl_err_t wl_move_db_map_put(wl_move_db_t *self, uint64_t version,
                                        const uint8_t map[WL_SLOTS]);

/* A move begins, in state copy. Its version is given here: one more than any that a map, a move or
 * its way back has had. WL_ERR_CONFLICT: another one is open. */
WL_MUST_USE wl_err_t wl_move_db_begin(wl_move_db_t *self, const wl_slot_move_t *move,
                                      uint64_t *ret_id);
/* Takes the open move unless another writer holds it, for hold_ms, with a new epoch.
 * WL_ERR_NOT_FOUND: there is none, or it is held. */
WL_MUST_USE wl_err_t wl_move_db_claim(wl_move_db_t *self, uint32_t hold_ms, wl_slot_move_t *ret);
/* Writes everything but id, slots, shards, rate, epoch, wish, asked_by and started_at down and
 * renews the hold; *ret_wish: what operators wish by now. WL_ERR_CONFLICT: somebody else has taken
 * it. */
WL_MUST_USE wl_err_t wl_move_db_save(wl_move_db_t *self, const wl_slot_move_t *move,
                                     uint32_t hold_ms, wl_move_wish_t *ret_wish);
/* Gives the hold back, as a process does that ends. */
WL_MUST_USE wl_err_t wl_move_db_release(wl_move_db_t *self, uint64_t id);
/* WL_ERR_NOT_FOUND: no open move. */
WL_MUST_USE wl_err_t wl_move_db_wish(wl_move_db_t *self, uint64_t id, wl_move_wish_t wish);
/* Newest first, at most max. */
WL_MUST_USE wl_err_t wl_move_db_list(wl_move_db_t *self, wl_slot_move_t *ret, uint32_t max,
                                     uint32_t *ret_count);

#endif
