/* puller_line.h: one line as its puller sees it: what it is to be asked (puller_asks.h), whether it
 * may be asked now (puller_limits.h), which call comes next, and how the line is doing. Part of the
 * puller actor and used on its thread only; no sockets, the caller passes the time.
 *
 * Three lists wait: pages and users that somebody waits for, and users of the bulk. They go by
 * turns of 16, 16 and 1, so that bulk always moves. A call for users takes up to batch_max of them
 * when that many wait, when the oldest has waited batch_wait_ms, or when somebody waits; bulk fills
 * it up. A breaker that is not closed lets through calls of one user, and so does a url that is
 * tried again: a probe should cost one user an attempt and not two hundred. */
#ifndef WL_ACTORS_PULLER_LINE_H
#define WL_ACTORS_PULLER_LINE_H

#include "actors/puller_asks.h"
#include "actors/puller_limits.h"

typedef struct wl_puller_line wl_puller_line_t;

/* What may be asked now. */
typedef enum { WL_URGENCY_NONE, WL_URGENCY_BULK, WL_URGENCY_LIVE } wl_urgency_t;

/* One call to be made. */
typedef struct {
    wl_limits_call_t call;
    uint32_t count; /* 0: there is none */
    wl_ask_t *asks[WL_PULL_UIDS_MAX];
} wl_line_call_t;

/* data_dir, shared: as in puller_quota.h. */
wl_puller_line_t *wl_puller_line_new(const char *line, const char *data_dir, bool shared,
                                     wl_mono_ms_t now);
void wl_puller_line_destroy(wl_puller_line_t **self); /* no calls under way */

/* New limits; config NULL: the line is gone or a link, and take() gives nothing. Copied. */
void wl_puller_line_configure(wl_puller_line_t *self, const wl_line_t *config, wl_mono_ms_t now,
                              wl_wall_ms_t wall);
const char *wl_puller_line_id(const wl_puller_line_t *self);
const wl_line_t *wl_puller_line_config(const wl_puller_line_t *self); /* NULL: is never asked */
wl_puller_limits_t *wl_puller_line_limits(wl_puller_line_t *self);
wl_asks_t *wl_puller_line_asks(wl_puller_line_t *self);

/* WL_ERR_FULL: twice the window waits already. */
WL_MUST_USE wl_err_t wl_puller_line_push(wl_puller_line_t *self, const wl_line_pull_t *pull);
/* Takes what waits, to hand it back; the caller ends it. NULL: nothing waits. */
wl_ask_t *wl_puller_line_pop(wl_puller_line_t *self, wl_mono_ms_t now);
uint32_t wl_puller_line_waiting(const wl_puller_line_t *self);

wl_urgency_t wl_puller_line_urgency(wl_puller_line_t *self, wl_mono_ms_t now, wl_wall_ms_t wall);
/* The call that is made now, each user once; count 0: none. Its asks fly until the caller ends
 * them; the call ends with answered() or with wl_puller_limits_cancelled(). Pulls that arrived
 * before stale_before are left out and forgotten. */
void wl_puller_line_take(wl_puller_line_t *self, wl_mono_ms_t now, wl_wall_ms_t wall,
                         int64_t stale_before, wl_line_call_t *ret);
/* A second call to another url, if one may be made. */
bool wl_puller_line_hedge(wl_puller_line_t *self, const wl_limits_call_t *first, wl_mono_ms_t now,
                          wl_wall_ms_t wall, wl_limits_call_t *ret);
/* One call has ended. Returns whether it opened the breaker. */
bool wl_puller_line_answered(wl_puller_line_t *self, const wl_limits_call_t *call,
                             const wl_answer_t *answer, wl_mono_ms_t now);
uint32_t wl_puller_line_in_flight(const wl_puller_line_t *self);

/* Whether it is crowded (puller_limits.h) and was not at the last call. */
bool wl_puller_line_crowds(wl_puller_line_t *self);
/* ms for which a dispatcher should send nothing, 0 = go on. */
int64_t wl_puller_line_pause_ms(wl_puller_line_t *self, wl_mono_ms_t now, wl_wall_ms_t wall);

/* A line that nobody asks while it is sick would stay so: asks it for the user of its last call,
 * after breaker_open_ms of silence, 3 s at least. A line with consents is called well instead,
 * until the next call fails: nobody is asked for whose consent has not just been looked at. */
void wl_puller_line_revive(wl_puller_line_t *self, wl_mono_ms_t now, wl_wall_ms_t wall);
/* Judges the health anew. Returns whether `sick` has changed since the last call. */
bool wl_puller_line_judge(wl_puller_line_t *self, wl_mono_ms_t now);
void wl_puller_line_health(const wl_puller_line_t *self, wl_wall_ms_t wall,
                           wl_line_item_t *ret_health);

#endif
