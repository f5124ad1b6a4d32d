/* quota_share.h: calls of one UTC day that several writers share, never more than allowed by all of
 * them together. A database counts what is given out (store/lease_db.h); each writer asks for a
 * chunk of it and asks again before that is used up. What a writer had when it died is lost for the
 * day: one and a half hundredths of it at most, or two calls, and as much again for each answer
 * that came later than a second.
 *
 *     ready() --> take()
 *     ask() --- a question is due --> send it; answer() or failed(), or nothing comes: ask() again
 *
 * A late answer counts like any other: it was reserved for us. It is as exact as the clocks of
 * writers and database agree at midnight: what is left of a day is not used after it, and for ten
 * minutes after midnight nothing is used that the database gave out for the day before.
 * Pure: the caller passes the time. A plain struct, one owner thread. */
#ifndef WL_DOMAIN_QUOTA_SHARE_H
#define WL_DOMAIN_QUOTA_SHARE_H

#include "domain/quota.h"

enum { WL_QUOTA_ANSWER_MS = 1000, WL_QUOTA_SPENT_MS = 30000 };

typedef struct {
    wl_quota_t quota; /* limit: of all writers; used and reserved: ours */
    int64_t day;      /* days since 1970, of the database, as it said last */
    uint64_t of_day;  /* calls that it gave us for that day, less those given back */
    uint64_t left;    /* calls of that day that nobody had yet */
    bool answered;    /* it has said so */
    bool spent;       /* left is 0, and our last question got nothing */
    bool away;        /* the last question failed or was not answered in time */
    bool closed;      /* the end: nothing is asked for or used */
    bool asked;       /* a question is open */
    int64_t again_at; /* monotonic ms: not asked before */
    uint64_t back;    /* calls to be given back with the next question */
    int64_t back_day; /* of the database */
} wl_quota_share_t;

/* What is to be asked. */
typedef struct {
    uint64_t limit;  /* calls a day of all writers */
    uint64_t chunk;  /* calls wanted, 0 = none: no answer will come */
    int64_t day;     /* of `back` */
    uint64_t back;   /* calls given back, 0 = none */
    bool unanswered; /* the question before this one was not answered in time */
} wl_quota_ask_t;

void wl_quota_share_init(wl_quota_share_t *self);
/* Another limit, 0 = none. What is held beyond a smaller one is given back. */
void wl_quota_share_set(wl_quota_share_t *self, uint64_t limit);
/* The end: what is held is given back with the next question, the last one. */
void wl_quota_share_close(wl_quota_share_t *self);

/* May one call be made? */
bool wl_quota_share_ready(wl_quota_share_t *self, wl_wall_ms_t wall);
/* One call; only after ready(). */
void wl_quota_share_take(wl_quota_share_t *self);
/* Whether a question is to be sent now; from then on it is under way. wanted: calls wait. */
bool wl_quota_share_ask(wl_quota_share_t *self, bool wanted, wl_mono_ms_t now, wl_wall_ms_t wall,
                        wl_quota_ask_t *ret);
/* day: of the database; granted: ours; left: nobody's yet. */
void wl_quota_share_answer(wl_quota_share_t *self, int64_t day, uint64_t granted, uint64_t left,
                           wl_mono_ms_t now, wl_wall_ms_t wall);
void wl_quota_share_failed(wl_quota_share_t *self, wl_mono_ms_t now);

/* Calls left of today for all writers, as far as this one knows; UINT64_MAX: no limit. */
uint64_t wl_quota_share_left(const wl_quota_share_t *self, wl_wall_ms_t wall);
/* ms until it is worth asking again, 0 = now. */
int64_t wl_quota_share_wait_ms(wl_quota_share_t *self, wl_mono_ms_t now, wl_wall_ms_t wall);

#endif
