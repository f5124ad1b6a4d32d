/* puller_limits.h: whether a line may be asked now, and at which of its urls: rate, quota of the
 * day, calls at once (adaptive), Retry-After, breaker, urls that are left out, and second calls.
 * All kinds of calls count alike. A process that serves some of the partitions of the queue has
 * that share of the rate and the concurrency; of the quota, too, unless it is shared with the other
 * writers. Part of the puller actor and used on its thread only; the caller passes the time. The
 * disk is touched for quotas only. */
#ifndef WL_ACTORS_PULLER_LIMITS_H
#define WL_ACTORS_PULLER_LIMITS_H

#include "actors/puller_quota.h"
#include "domain/breaker.h"
#include "domain/config.h"
#include "domain/endpoints.h"
#include "lines/caller.h"
#include "proto/message_structs.h"

typedef struct wl_puller_limits wl_puller_limits_t;

/* What is remembered of a call until it ends. */
typedef struct {
    wl_endpoint_pick_t url;
    wl_live_what_t what;
    uint32_t users; /* asked for, >= 1 */
    bool probe;     /* of the breaker: whether it closes is decided by this call alone */
} wl_limits_call_t;

/* data_dir, shared: where the quota is kept, as in puller_quota.h. */
wl_puller_limits_t *wl_puller_limits_new(const char *data_dir, const char *line, bool shared);
void wl_puller_limits_destroy(wl_puller_limits_t **self);

/* New limits; a reload neither fills the bucket nor forgives failures. first: begin anew. */
void wl_puller_limits_configure(wl_puller_limits_t *self, const wl_line_t *config, bool first,
                                wl_mono_ms_t now, wl_wall_ms_t wall);
/* The line is not asked any more until configure() says so: what is held of a shared quota is given
 * back. */
void wl_puller_limits_retire(wl_puller_limits_t *self, wl_wall_ms_t wall);
/* The partitions whose calls are made here, a bit each, not 0, of the 1 .. 32 `parts` of the
 * queue. */
void wl_puller_limits_share(wl_puller_limits_t *self, uint32_t held, uint32_t parts,
                            wl_mono_ms_t now, wl_wall_ms_t wall);

/* May a call begin now? May reserve quota on the disk, or make a question about it due. */
bool wl_puller_limits_may(wl_puller_limits_t *self, wl_mono_ms_t now, wl_wall_ms_t wall);
/* The next call is a probe: it should cost one user an attempt and not two hundred. */
bool wl_puller_limits_probing(const wl_puller_limits_t *self, wl_mono_ms_t now);
/* A call begins; only after may(). Ends with answered() or cancelled(). */
void wl_puller_limits_begin(wl_puller_limits_t *self, wl_live_what_t what, uint32_t users,
                            wl_mono_ms_t now, wl_limits_call_t *ret);
/* A second call to another url begins, if one may. */
bool wl_puller_limits_hedge(wl_puller_limits_t *self, const wl_limits_call_t *first,
                            wl_mono_ms_t now, wl_wall_ms_t wall, wl_limits_call_t *ret);
/* Returns whether it opened the breaker. */
bool wl_puller_limits_answered(wl_puller_limits_t *self, const wl_limits_call_t *call,
                               const wl_answer_t *answer, wl_mono_ms_t now);
void wl_puller_limits_cancelled(wl_puller_limits_t *self, const wl_limits_call_t *call,
                                wl_mono_ms_t now);

/* Is this answer the line's own failure? Of a page: not when only the page makes no sense. */
bool wl_answer_failed(const wl_answer_t *answer, wl_live_what_t what);
/* The line says that it is asked too much. */
bool wl_answer_waits(const wl_answer_t *answer);

/* ms for which this line must not be asked, because it said so, does not answer or has been asked
 * often enough today; 0 = go on. *ret_reason (NULL is accepted) says why, static text. */
int64_t wl_puller_limits_pause_ms(wl_puller_limits_t *self, wl_mono_ms_t now, wl_wall_ms_t wall,
                                  const char **ret_reason);

wl_breaker_state_t wl_puller_limits_breaker(const wl_puller_limits_t *self);
/* Half open with its probe under way, so that nobody may be asked for meanwhile. */
bool wl_puller_limits_undecided(const wl_puller_limits_t *self);
/* The concurrency has not one call for our partitions, which have one nevertheless: with those of
 * other writers it may be exceeded by one. */
bool wl_puller_limits_crowded(const wl_puller_limits_t *self);
uint32_t wl_puller_limits_in_flight(const wl_puller_limits_t *self);
uint32_t wl_puller_limits_now(const wl_puller_limits_t *self); /* calls at once */
int64_t wl_puller_limits_quota_left(const wl_puller_limits_t *self,
                                    wl_wall_ms_t wall);              /* -1: any */
wl_puller_quota_t *wl_puller_limits_quota(wl_puller_limits_t *self); /* for what is asked of it */
uint32_t wl_puller_limits_urls_out(const wl_puller_limits_t *self);

#endif
