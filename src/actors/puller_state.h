/* puller_state.h: what the files of the puller share:
 *     puller.c         messages, configuration, leases, health, life
 *     puller_calls.c   which line is asked next; calls, second calls, answers
 *     puller_shared.c  quotas that writers share: what the keeper is asked for them
 *     puller_live.c    questions that somebody waits for, and what they are told
 * Private to them. */
#ifndef WL_ACTORS_PULLER_STATE_H
#define WL_ACTORS_PULLER_STATE_H

#include "actors/hub.h"
#include "actors/puller_answer.h"
#include "actors/puller_line.h"
#include "domain/turns.h"

enum {
    WL_PULLER_LINES_MAX = 4 * WL_LINES_MAX, /* of several configurations; idle ones make room */
    WL_PULLER_PARTITIONS_MAX = 16,          /* of the queue: as many dispatchers */
    WL_PULLER_CLASSES = 2 * WL_PRIORITY_COUNT,
};

typedef struct wl_flight wl_flight_t;

/* One call under way. */
typedef struct {
    uint64_t id;
    wl_flight_t *flight;     /* borrowed: whose call it is */
    wl_limits_call_t limits; /* what the limits remember of it */
    wl_wall_ms_t began;      /* the pull's start */
    UT_hash_handle hh;
} wl_pull_call_t;

/* What is asked for with one call, or with two when the first one takes long. */
struct wl_flight {
    wl_flight_t *before; /* of all flights */
    wl_flight_t *behind;
    wl_puller_line_t *line; /* borrowed: lines with calls under way are not destroyed */
    uint32_t line_slot;
    uint32_t class; /* whose turn it was */
    uint32_t count;
    int64_t began;            /* monotonic ms */
    int64_t hedge_at;         /* monotonic ms when a second call is due, 0 = never */
    wl_pull_call_t *calls[2]; /* owned; NULL: not made, or ended */
    wl_ask_t *asks[];         /* count, owned */
};

/* A head of LIVED that waits for its next item. */
typedef struct {
    wl_lived_head_t head;
    uint64_t number;
} wl_lived_key_t;

typedef struct {
    wl_hub_t hub;
    wl_caller_t *caller;                       /* owned; closed before the hub's loop */
    wl_puller_answer_t *answer;                /* owned */
    wl_pull_call_t *calls;                     /* borrowed from the flights, uthash by id */
    wl_flight_t *flights;                      /* owned, the newest first */
    uint64_t call_id;                          /* of the last call */
    uint64_t heads;                            /* of messages: those of one number share a head */
    wl_lived_key_t lived;                      /* the last head of LIVED */
    wl_turns_t turns;                          /* of classes of lines, when calls are scarce */
    uint32_t turned[WL_PULLER_CLASSES];        /* the slot of each class that was asked last */
    uint32_t class_flights[WL_PULLER_CLASSES]; /* calls under way of each, second ones apart */
    uint32_t line_count;
    wl_puller_line_t *lines[WL_PULLER_LINES_MAX];  /* owned */
    int64_t lease_until[WL_PULLER_PARTITIONS_MAX]; /* monotonic ms, 0 = not ours */
    bool shared;                                   /* quotas: with other writers */
    bool leased;                                   /* some keeper has spoken */
    int64_t health_at;                             /* monotonic ms when health was told last */
} wl_puller_t;

/* ---- puller.c ---- */

/* The slot of a line, made when it is new; WL_PULLER_LINES_MAX: no room. */
uint32_t wl_puller_slot(wl_puller_t *self, const char *id, const wl_line_t *config);
/* Tells the health of lines; only of those where `sick` has changed, or of all. */
void wl_puller_tell_health(wl_puller_t *self, bool changed_only);

/* ---- puller_calls.c ---- */

/* What all pulls of one PULLED have in common. */
typedef struct {
    const char *line;
    int64_t pause_ms;
    wl_pull_outcome_t outcome;
    const char *reason;
    bool held;       /* no attempt was made */
    uint64_t number; /* of the head */
} wl_hand_back_t;

void wl_puller_hand_back(wl_puller_t *self, const wl_hand_back_t *back, const wl_line_pull_t *pull);
/* Makes the calls that may be made now; hands back what must not wait here. */
void wl_puller_pump(wl_puller_t *self);
/* Makes second calls for those that take long. */
void wl_puller_hedge(wl_puller_t *self);
void wl_puller_take_answer(const wl_answer_t *answer, void *puller); /* a wl_answer_fn */
void wl_puller_drop_flights(wl_puller_t *self); /* at the end: nobody is told */

/* ---- puller_shared.c ---- */

/* Sends the questions about quotas that are due: at the end of each turn. */
void wl_puller_reserve(wl_puller_t *self);
void wl_puller_take_reserved(wl_puller_t *self, const wl_msg_t *msg);
/* The end: what is not used is given back with the turn, and no more calls that count are made. */
void wl_puller_close_quotas(wl_puller_t *self);

/* ---- puller_live.c ---- */

void wl_puller_take_live(wl_puller_t *self, const wl_msg_t *msg);
/* Tells everybody who waits for `ask` what is in *lived; ticket, uid and what are filled in. */
void wl_puller_tell(wl_puller_t *self, const char *line, const wl_ask_t *ask,
                    wl_lived_item_t *lived);
/* The same for an error. retry_after_ms: 0 = not said. */
void wl_puller_tell_error(wl_puller_t *self, const char *line, const wl_ask_t *ask, wl_err_t err,
                          int64_t retry_after_ms, const char *reason);

#endif
