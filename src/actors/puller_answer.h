/* puller_answer.h: what a line's answer means for each user that was asked for. Part of the puller
 * actor and used on its thread only; pure but for its memory. */
#ifndef WL_ACTORS_PULLER_ANSWER_H
#define WL_ACTORS_PULLER_ANSWER_H

#include "actors/puller_asks.h"
#include "domain/config.h"
#include "lines/caller.h"

/* The assets of one answer in the order of their users; memory reused from answer to answer. */
typedef struct wl_puller_answer wl_puller_answer_t;

wl_puller_answer_t *wl_puller_answer_new(void);
void wl_puller_answer_destroy(wl_puller_answer_t **self);

/* Borrows a good answer until the last verdict about it. */
void wl_puller_answer_read(wl_puller_answer_t *self, const wl_answer_t *answer);

typedef struct {
    wl_pull_outcome_t outcome;
    bool store;             /* assets go to the shard, and the outcome with them */
    bool behind;            /* older than the notification said */
    wl_asset_list_t assets; /* of this user, extras borrowed from the answer */
    char reason[97];        /* when it is not to be stored */
} wl_pull_verdict_t;

/* config: of the line, NULL when it has gone meanwhile. The list lives until the next verdict.
 *   all is well         OK, stored; a user without assets too, so that what stands is acknowledged
 *   a version is below  RETRY, stored: newer than what we had, but not what we were told of
 *   a record refused    REFUSED, not stored: last good stays whole
 *   records refused whose user is not known: users without assets may be theirs: REFUSED */
void wl_puller_answer_judge(wl_puller_answer_t *self, const wl_line_t *config,
                            const wl_line_pull_t *pull, wl_pull_verdict_t *ret_verdict);

#endif
