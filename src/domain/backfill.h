/* backfill.h: how far a line's users have been pulled again, and what of that may be written down:
 * users are taken in ascending order of their ids, shard by shard, their pulls end in any order,
 * and the place that is written down never lies behind a user whose pull has not ended. Pure; one
 * owner thread.
 *
 *     after ----------> ended ended FLYING ended FLYING   (the users taken, ascending)
 *     ^ written down: all up to here has ended */
#ifndef WL_DOMAIN_BACKFILL_H
#define WL_DOMAIN_BACKFILL_H

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WL_BACKFILL_FLYING_MAX = 2048, /* users taken whose place is not written down yet */
    WL_BACKFILL_TEXT_MAX = 256,    /* bytes of a record as text */
};

#define WL_BACKFILL_PHASES(P)                              \
    P(WAITING, "waiting", "no writer has taken it up yet") \
    P(COUNTING, "counting", "users are counted first")     \
    P(RUNNING, "running", "users are pulled")              \
    P(DONE, "done", "every user was pulled once")          \
    P(STOPPED, "stopped", "an operator has stopped it")

typedef enum {
#define WL_BACKFILL_ENUM(name, text, doc) WL_BACKFILL_##name,
    WL_BACKFILL_PHASES(WL_BACKFILL_ENUM)
#undef WL_BACKFILL_ENUM
        WL_BACKFILL_PHASE_COUNT
} wl_backfill_phase_t;

const char *wl_backfill_phase_name(wl_backfill_phase_t phase); /* "?" when out of range */

/* What an operator wants; the same in every partition. */
typedef struct {
    uint64_t id;       /* of this backfill, not 0 */
    int64_t wanted_at; /* wall ms */
    uint32_t rate;     /* users a second over all partitions, 0 = as fast as the line allows */
    bool all;          /* users with a record of any line */
    bool stop;
} wl_backfill_want_t;

/* How far one partition is. */
typedef struct {
    uint64_t id;
    wl_backfill_phase_t phase;
    uint64_t total;   /* users, once they have been counted */
    uint64_t done;    /* users whose pull has taken effect */
    uint64_t failed;  /* users whose pull has failed: a retry or a dead letter goes on with them */
    uint32_t shard;   /* users of the shards before have all ended */
    uint64_t after;   /* users of this shard up to this id have all ended */
    int64_t ended_at; /* wall ms, 0 = it has not */
} wl_backfill_record_t;

/* One line of text each, for the store; false: not such a text. */
size_t wl_backfill_want_format(const wl_backfill_want_t *self, char ret[WL_BACKFILL_TEXT_MAX]);
bool wl_backfill_want_parse(const void *text, size_t bytes, wl_backfill_want_t *ret);
size_t wl_backfill_record_format(const wl_backfill_record_t *self, char ret[WL_BACKFILL_TEXT_MAX]);
bool wl_backfill_record_parse(const void *text, size_t bytes, wl_backfill_record_t *ret);

typedef struct wl_backfill_window wl_backfill_window_t;

wl_backfill_window_t *wl_backfill_window_new(void);
void wl_backfill_window_destroy(wl_backfill_window_t **self); /* NULL and *NULL are accepted */

uint32_t wl_backfill_window_room(const wl_backfill_window_t *self);
uint32_t wl_backfill_window_count(const wl_backfill_window_t *self); /* users not passed yet */
/* A user was taken, with an id above all before; there is room. */
void wl_backfill_window_add(wl_backfill_window_t *self, uint64_t uid);
/* The pull of a user has ended. false: nobody waits for that. */
bool wl_backfill_window_end(wl_backfill_window_t *self, uint64_t uid, bool good);
/* Moves the place in the record behind all that has ended, and counts them there. Returns how many
 * users it passed. */
uint32_t wl_backfill_window_pass(wl_backfill_window_t *self, wl_backfill_record_t *record);
void wl_backfill_window_clear(wl_backfill_window_t *self);

#endif
