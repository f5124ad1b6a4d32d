/* slot_move.h: the words of moving slots from one shard to another: the states that a move goes
 * through and what operators may wish of it. Plain data,
 * any thread; the rules are in domain/slot_moves.h.
 *
 *     copy > compare > fenced > following > cleaning > done
 *       \________\________\         \
 *                          undoing   fenced_back > undoing > undone
 *
 * copy       users of the slots are copied; what changes meanwhile is noted in the source's log
 * compare    the log is followed, and both copies are compared
 * fenced     nobody writes to the source; the rest of the log is copied, then the map is changed
 * following  users live in the target; what changes there is copied back, so there is a way back
 * cleaning   the way back is given up: the source's rows go, some at a time
 * undoing    the target's rows go: the move was taken back, or never got as far as the map */
#ifndef WL_BASE_SLOT_MOVE_H
#define WL_BASE_SLOT_MOVE_H

#include "base/err.h"
#include "base/slot.h"

#include <stdbool.h>
#include <stdint.h>

/* NAME, word. The numbers stand in databases: only to be added to. */
#define WL_MOVE_STATES(S)         \
    S(COPY, "copy")               \
    S(COMPARE, "compare")         \
    S(FENCED, "fenced")           \
    S(FOLLOWING, "following")     \
    S(FENCED_BACK, "fenced_back") \
    S(CLEANING, "cleaning")       \
    S(UNDOING, "undoing")         \
    S(DONE, "done")               \
    S(UNDONE, "undone")

typedef enum {
#define WL_MOVE_ENUM(NAME, word) WL_MOVE_##NAME,
    WL_MOVE_STATES(WL_MOVE_ENUM)
#undef WL_MOVE_ENUM
        WL_MOVE_STATES_COUNT
} wl_move_state_t;

typedef enum {
    WL_MOVE_WISH_NONE,
    WL_MOVE_WISH_BACK,  /* take it back; before the map was changed: give it up */
    WL_MOVE_WISH_FINISH /* give up the way back */
} wl_move_wish_t;

enum { WL_MOVE_NOTE_MAX = 200, WL_MOVE_BY_MAX = 64 };

/* One move, as its row has it. Times are wall ms, 0 = not yet. */
typedef struct {
    uint64_t id;
    uint64_t version; /* of the map that it makes; the way back makes the next one */
    uint32_t first;   /* slots first..last */
    uint32_t last;
    uint32_t source; /* shards */
    uint32_t target;
    wl_move_state_t state;
    wl_move_wish_t wish;
    uint64_t rate;     /* records a second that are copied, 0 = as fast as it goes */
    uint64_t epoch;    /* grows with each writer that takes it up */
    uint64_t cursor;   /* the last user done by copy, compare, cleaning or undoing */
    uint64_t users;    /* copied by `copy` */
    uint64_t records;  /* likewise */
    uint64_t followed; /* users copied again because they had changed */
    uint64_t compared; /* users compared */
    uint64_t mended;   /* users that differed without having changed, copied again */
    uint64_t cleaned;  /* records deleted at the end */
    int64_t pause_ms;  /* how long nobody could write to the source's users */
    int64_t started_at;
    int64_t fenced_at;
    int64_t flipped_at;
    int64_t ended_at;
    char asked_by[WL_MOVE_BY_MAX + 1];
    char note[WL_MOVE_NOTE_MAX + 1];
} wl_slot_move_t;

const char *wl_move_state_word(wl_move_state_t state); /* "?" when out of range */
bool wl_move_ended(wl_move_state_t state);

#endif
