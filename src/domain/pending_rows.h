/* pending_rows.h: the pairs of pending.c and the places where they stand: lists of those that wait
 * or fly and a heap of those that sleep, for each line. Private to pending.c. */
#ifndef WL_DOMAIN_PENDING_ROWS_H
#define WL_DOMAIN_PENDING_ROWS_H

#include "base/table.h"
#include "domain/aim.h"
#include "domain/due_heap.h"
#include "domain/line_names.h"
#include "domain/pending.h"
#include "domain/pool.h"

#include <utlist.h>

typedef struct {
    wl_aim_t aim;
    wl_mono_ms_t taken; /* for lost */
    bool interactive;
} flight_t;

typedef enum { ROW_WAITING, ROW_FLYING, ROW_SLEEPING } row_state_t;

typedef struct {
    uint64_t uid;
    uint64_t lane; /* number of the line; 64 bits leave no padding in the key */
} row_key_t;

typedef struct row {
    row_key_t key;
    UT_hash_handle hh;
    union {
        struct {
            struct row *prev; /* in its lane's list: WAITING, FLYING */
            struct row *next;
        };
        wl_due_t due; /* in a heap of its lane: SLEEPING */
    };
    flight_t *flight; /* owned; FLYING only */
    wl_aim_t aim;     /* of the next pull */
    uint32_t attempts;
    uint8_t state;    /* row_state_t */
    bool interactive; /* the next pull */
    bool dirty;       /* FLYING: an add came since the take */
    bool failed;      /* SLEEPING: because its pull failed, not because it is held */
} row_t;

typedef struct {
    row_t *interactive; /* lists, oldest first */
    row_t *bulk;
    row_t *flying;
    uint32_t waiting_count; /* in both */
    uint32_t flying_count;
    uint32_t run;           /* interactive rows taken since the last bulk one */
    wl_due_heap_t sleeping; /* of row_t.due: until their retries */
    wl_due_heap_t held;     /* likewise: those whose pulls were not made */
} lane_t;

struct wl_pending {
    row_t *rows; /* uthash by key */
    uint32_t keys_max;
    uint64_t seq;           /* of the last add */
    wl_line_names_t *names; /* owned; each row holds its lane */
    wl_aim_store_t aims;    /* owned: what aims are made of */
    wl_pool_t *row_pool;    /* owned */
    wl_pool_t *flight_pool; /* owned */
    size_t waiting_count;   /* of all lanes, as the next */
    size_t sleeping_count;
    lane_t lanes[WL_LINE_NAMES_MAX];
};

static inline void row_wait(wl_pending_t *self, row_t *row) {
    lane_t *lane = &self->lanes[row->key.lane];
    row->state = ROW_WAITING;
    if (row->interactive) {
        DL_APPEND(lane->interactive, row);
    } else {
        DL_APPEND(lane->bulk, row);
    }
    lane->waiting_count++;
    self->waiting_count++;
}

static inline wl_due_heap_t *row_heap(wl_pending_t *self, const row_t *row) {
    lane_t *lane = &self->lanes[row->key.lane];
    return row->failed ? &lane->sleeping : &lane->held;
}

static inline void row_sleep(wl_pending_t *self, row_t *row, wl_mono_ms_t due, bool failed) {
    row->state = ROW_SLEEPING;
    row->failed = failed;
    wl_due_heap_push(row_heap(self, row), &row->due, due);
    self->sleeping_count++;
}

/* Takes the row out of the list or heap of its state. */
static inline void row_leave(wl_pending_t *self, row_t *row) {
    lane_t *lane = &self->lanes[row->key.lane];
    switch ((row_state_t)row->state) {
    case ROW_WAITING:
        if (row->interactive) {
            DL_DELETE(lane->interactive, row);
        } else {
            DL_DELETE(lane->bulk, row);
        }
        lane->waiting_count--;
        self->waiting_count--;
        break;
    case ROW_FLYING:
        DL_DELETE(lane->flying, row);
        lane->flying_count--;
        break;
    case ROW_SLEEPING:
        wl_due_heap_remove(row_heap(self, row), &row->due);
        self->sleeping_count--;
        break;
    }
}

#endif
