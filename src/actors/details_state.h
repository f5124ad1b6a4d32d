/* details_state.h: the state of the details actor, shared by its sources only:
 *     details.c          life, messages, questions to lines, deadlines
 *     details_list.c     wallet.details: one list over lines
 *     details_sums.c     wallet.summary: the line's sums, or the sums of its list */
#ifndef WL_ACTORS_DETAILS_STATE_H
#define WL_ACTORS_DETAILS_STATE_H

#include "actors/cache_cover.h"
#include "actors/hub.h"
#include "base/table.h"
#include "domain/cursor.h"
#include "domain/month.h"
#include "domain/recent.h"
#include "lines/page.h"
#include "proto/methods.h"

#include <msgpack.h>

/* One line of a request. */
typedef struct {
    wl_page_t *page;         /* owned; its items at hand, NULL = none */
    wl_timeline_key_t *keys; /* owned; of these items */
    uint32_t at;             /* the next one of them */
    uint64_t asked;          /* number of the question under way, 0 = none */
    uint64_t token;          /* of domain/recent.h, taken when it was asked */
    wl_err_t error;          /* the line has failed: the list goes on without it */
    uint32_t retry_after_ms;
    bool first; /* the page under way is the first one: it may be kept */
} wl_details_source_t;

/* A request under way. */
typedef struct {
    uint64_t number;           /* the key */
    wl_statement_item_t asked; /* cursor is not kept */
    uint32_t frontend;         /* who waits */
    bool has_month;
    wl_month_t month;
    wl_cursor_t place;                                  /* of the list, moved on as it is shown */
    wl_details_source_t sources[WL_TIMELINE_LINES_MAX]; /* place.count of them */
    uint32_t questions;                                 /* under way */
    uint32_t rounds;                                    /* pages that came */
    uint32_t shown;                                     /* items in `items` */
    msgpack_sbuffer items;                              /* owned; packed */
    wl_sums_t sums;                                     /* wallet.summary: so far */
    wl_wall_ms_t as_of;                                 /* of the oldest answer in it */
    char problem[97];                                   /* what a line said last */
    UT_hash_handle hh;
} wl_details_request_t;

/* A question to a line. */
typedef struct {
    uint64_t number; /* the key */
    uint64_t request;
    uint32_t source;
    wl_live_what_t what;
    UT_hash_handle hh;
} wl_details_question_t;

typedef struct {
    wl_hub_t hub;
    wl_recent_t *recent;              /* owned */
    wl_cache_cover_t *cover;          /* owned; whose changes all arrive here: those are kept */
    wl_page_reader_t *reader;         /* owned */
    wl_details_request_t *requests;   /* owned, by number */
    wl_details_question_t *questions; /* owned, by number */
    uint64_t numbers;                 /* of requests and questions so far */
    uint32_t pages;                   /* places for pages that requests have taken */
    int64_t next_sweep;               /* no deadline passes before, monotonic ms */
    uint8_t key[WL_CURSOR_KEY_BYTES];
    wl_page_t page;       /* the answer being read */
    msgpack_sbuffer body; /* owned; the reply being written */
} wl_details_t;

/* ---- details.c ------------------------------------------------------------------------------- */

/* What the request is answered from: its user may see the candidate of a rollout. */
static inline const wl_config_t *wl_details_config(const wl_details_t *self,
                                                   const wl_details_request_t *request) {
    return wl_hub_config(&self->hub, request->asked.rollout);
}
static inline bool wl_details_candidate(const wl_details_t *self,
                                        const wl_details_request_t *request) {
    return wl_hub_variant(&self->hub, request->asked.rollout) == 1;
}
/* Asks the line of one source for its next page, or for its sums. */
void wl_details_ask(wl_details_t *self, wl_details_request_t *request, uint32_t source,
                    wl_live_what_t what);
/* Each ends the request: it is freed. */
void wl_details_reply(wl_details_t *self, wl_details_request_t *request);
void wl_details_fail(wl_details_t *self, wl_details_request_t *request, wl_err_t err,
                     const char *text, uint32_t retry_after_ms);

/* ---- details_list.c -------------------------------------------------------------------------- */

/* Begins a list. WL_ERR_BAD_REQUEST: its cursor is not good, or more lines than a list can have. */
WL_MUST_USE wl_err_t wl_details_list_begin(wl_details_t *self, wl_details_request_t *request,
                                           wl_bytes_t cursor, wl_fault_t *fault);
/* A page has come for one source, or its line has failed. */
void wl_details_list_page(wl_details_t *self, wl_details_request_t *request, uint32_t source,
                          const wl_page_t *page);
/* Keeps the answer to a question for a first page. */
void wl_details_list_keep(wl_details_t *self, const wl_details_request_t *request, uint32_t source,
                          wl_bytes_t body, wl_wall_ms_t at);
/* Merges as far as the pages at hand go; replies when the list is full, at its end, or when
 * `last`: the deadline is near, and who has not answered is left out. May free the request. */
void wl_details_list_go(wl_details_t *self, wl_details_request_t *request, bool last);

/* ---- details_sums.c -------------------------------------------------------------------------- */

void wl_details_sums_begin(wl_details_t *self, wl_details_request_t *request);
/* Sums that the line has told, kept or fresh. */
void wl_details_sums_told(wl_details_t *self, wl_details_request_t *request, const wl_sums_t *sums);
/* The line offers none: from its list. */
void wl_details_sums_count(wl_details_t *self, wl_details_request_t *request);
void wl_details_sums_page(wl_details_t *self, wl_details_request_t *request, const wl_page_t *page);

#endif
