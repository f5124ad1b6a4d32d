/* trail_state.h: the state of the trail actor, shared by its sources only:
 *     trail.c          life, messages, what is written
 *     trail_explain.c  operators' questions
 */
#ifndef WL_ACTORS_TRAIL_STATE_H
#define WL_ACTORS_TRAIL_STATE_H

#include "actors/hub.h"
#include "domain/trail_story.h"
#include "proto/unpacker.h"
#include "store/trail_db.h"

enum {
    WL_TRAIL_TELLERS_MAX = 64,    /* instances of a kind, as settings.def allows of shards */
    WL_TRAIL_PARTITIONS_MAX = 16, /* of the queue */
    WL_TRAIL_EXPLAINS_MAX = 32,   /* questions under way; more are refused */
};

/* One question under way: the database and the configuration are being asked. */
typedef struct {
    uint64_t number; /* 0 = this place is free */
    uint64_t uid;
    uint64_t ticket;
    uint32_t intake;
    uint32_t limit;
    char line[WL_LINE_ID_MAX + 1]; /* "" = all */
    int64_t deadline_at;           /* monotonic ms; then it is answered with what is there */
    bool waits_now;
    bool waits_shown;
    wl_err_t now_error;    /* why there is nothing in `now` */
    msgpack_sbuffer now;   /* owned; the array as packed, empty = not known */
    msgpack_sbuffer shown; /* owned; the map as packed, likewise */
} wl_explain_t;

typedef struct {
    wl_hub_t hub;
    wl_trail_db_t *db;    /* owned; NULL: it cannot be opened now */
    char path[640];       /* of its file */
    char problem[400];    /* why there is none, "" */
    int64_t open_at;      /* monotonic ms: not tried before */
    int64_t flushed_at;   /* monotonic ms */
    bool failed;          /* the last flush did, and that was logged */
    uint64_t dropped;     /* events lost since the last DROPPED event */
    uint64_t config_seq;  /* of the CONFIG that was noted last */
    char config_text[80]; /* its version and source, "" = none yet */
    uint64_t serials[WL_ACTOR_KINDS][WL_TRAIL_TELLERS_MAX]; /* events told by each so far */
    int64_t lease_until[WL_TRAIL_PARTITIONS_MAX];           /* monotonic ms, 0 = not ours */
    uint64_t asked;                                         /* number of the last question */
    wl_explain_t explains[WL_TRAIL_EXPLAINS_MAX];
    wl_unpacker_t *unpacker; /* owned */
    msgpack_sbuffer body;    /* owned; of a reply */
} wl_trail_actor_t;

/* ---- trail_explain.c ------------------------------------------------------------------------- */

void wl_trail_explain_take(wl_trail_actor_t *self, const wl_msg_t *msg); /* ADMIN */
void wl_trail_explain_now(wl_trail_actor_t *self, const wl_msg_t *msg);
void wl_trail_explain_shown(wl_trail_actor_t *self, const wl_msg_t *msg);
/* Answers those whose time is up; all of them at the end. */
void wl_trail_explain_step(wl_trail_actor_t *self, bool end);
bool wl_trail_explains_wait(const wl_trail_actor_t *self);
void wl_trail_explain_open(wl_trail_actor_t *self);
void wl_trail_explain_close(wl_trail_actor_t *self);

#endif
