/* mover_state.h: the mover's state, shared by its own files only: mover.c (who moves, and when),
 * mover_step.c (one step of a move), mover_admin.c. One thread. */
#ifndef WL_ACTORS_MOVER_STATE_H
#define WL_ACTORS_MOVER_STATE_H

#include "actors/hub.h"
#include "base/slot_move.h"
#include "proto/unpacker.h"
#include "store/move_db.h"
#include "store/slot_copy.h"

typedef struct {
    wl_hub_t hub;
    wl_move_db_t *db;        /* owned; NULL: slots do not move between files */
    wl_unpacker_t *unpacker; /* owned */
    msgpack_sbuffer body;    /* owned; of a reply */

    /* the move that is held */
    bool held;
    wl_slot_copy_t *copy; /* owned; NULL: not open yet */
    bool begun;           /* our epoch is known on both sides */
    bool prepared;        /* what a state begins with is done */
    bool compared;        /* both copies were compared to the end */
    wl_slot_move_t move;
    uint32_t crossings; /* tries to change the map that took too long */

    int64_t next_at;   /* monotonic ms: nothing is done before */
    int64_t saved_at;  /* monotonic ms: the row was written */
    uint32_t failures; /* steps since the last that worked */
    bool away;         /* the database of moves did not answer, and that was said */
} wl_mover_t;

/* ---- mover.c ---- */
/* Writes the row down now. */
WL_MUST_USE wl_err_t wl_mover_save(wl_mover_t *self);

/* ---- mover_step.c ---- */
/* One step of the move that is held, some milliseconds; sets next_at. */
WL_MUST_USE wl_err_t wl_mover_step(wl_mover_t *self);
/* The newest map: that of shard 0, or shard.map. */
WL_MUST_USE wl_err_t wl_mover_map(wl_mover_t *self, uint64_t *ret_version,
                                  uint8_t ret_map[WL_SLOTS]);

/* ---- mover_admin.c ---- */
void wl_mover_take_admin(wl_mover_t *self, const wl_msg_t *msg);

#endif
