/* puller_line.h: one line as its puller sees it: the pulls that wait, how many calls may be made
 * now, and how the line is doing. Part of the puller actor and used on its thread only; no sockets,
 * the caller passes the time.
 *
 * Pulls wait in two first-in-first-out lists, interactive before bulk. A call takes up to batch_max
 * of them when that many wait, when the oldest has waited batch_wait_ms, or when a user waits. A
 * breaker that is not closed lets through calls of one user: a probe of a sick line should cost one
 * user an attempt and not two hundred. */
#ifndef WL_ACTORS_PULLER_LINE_H
#define WL_ACTORS_PULLER_LINE_H

#include "base/clock.h"
#include "domain/config.h"
#include "lines/caller.h"
#include "proto/messages.h"

typedef struct {
    uint64_t uid;
    uint64_t seq;
    int64_t notified_at; /* wall ms */
    int64_t arrived_at;  /* monotonic ms */
    uint64_t epoch;      /* lease under which the dispatcher asks */
    uint32_t dispatcher; /* who waits */
    uint32_t attempt;    /* 0 = first */
    bool interactive;
    uint8_t hint_count;
    wl_hint_t hints[WL_HINTS_MAX];
} wl_line_pull_t;

typedef struct wl_puller_line wl_puller_line_t;

wl_puller_line_t *wl_puller_line_new(const char *line, wl_mono_ms_t now);
void wl_puller_line_destroy(wl_puller_line_t **self);

/* New limits; config NULL: the line is gone or a link, and take() gives nothing. Copied. */
void wl_puller_line_configure(wl_puller_line_t *self, const wl_line_t *config, wl_mono_ms_t now);
const char *wl_puller_line_id(const wl_puller_line_t *self);
const wl_line_t *wl_puller_line_config(const wl_puller_line_t *self); /* NULL: is never asked */

/* WL_ERR_FULL: twice the window waits already. */
WL_MUST_USE wl_err_t wl_puller_line_push(wl_puller_line_t *self, const wl_line_pull_t *pull);
/* Takes the oldest waiting pull, to hand it back. false: none. */
bool wl_puller_line_pop(wl_puller_line_t *self, wl_line_pull_t *ret_pull);
uint32_t wl_puller_line_waiting(const wl_puller_line_t *self);

/* The pulls of one call that may be made now, each user once; 0 = none may. A call that was taken
 * must end with answered(). Pulls that arrived before stale_before are left out and forgotten. */
uint32_t wl_puller_line_take(wl_puller_line_t *self, wl_mono_ms_t now, int64_t stale_before,
                             wl_line_pull_t ret_pulls[WL_PULL_UIDS_MAX]);

/* One call has ended. Returns whether it opened the breaker. */
bool wl_puller_line_answered(wl_puller_line_t *self, const wl_answer_t *answer, wl_mono_ms_t now);
uint32_t wl_puller_line_in_flight(const wl_puller_line_t *self);

/* ms for which this line must not be asked, because it said so or does not answer; 0 = go on. */
int64_t wl_puller_line_pause_ms(const wl_puller_line_t *self, wl_mono_ms_t now);

/* Judges the health anew. Returns whether `sick` has changed since the last call. */
bool wl_puller_line_judge(wl_puller_line_t *self, wl_mono_ms_t now);
void wl_puller_line_health(const wl_puller_line_t *self, wl_line_item_t *ret_health);

#endif
