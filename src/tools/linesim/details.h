/* details.h: the bookings of the users of one simulated line. Pure; one thread at a time.
 *
 * The first N of a user are a pure function of (seed, line, uid) and lie back in time from `end_ms`
 * at even steps, some at equal times; more can be added and any deleted. Order: time, then id
 * (compared as bytes), both descending. A cursor names the last item that was shown, so that pages
 * neither repeat nor skip anything while items come and go; it is sealed, so that one that was
 * changed or belongs to another user, line or month is refused. */
#ifndef WL_TOOLS_LINESIM_DETAILS_H
#define WL_TOOLS_LINESIM_DETAILS_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    DETAIL_ID_MAX = 31,
    DETAIL_TITLE_MAX = 63,
    DETAILS_PAGE_MAX = 100,
    DETAILS_EACH_MAX = 1000000, /* of one user from the seed */
    DETAILS_CURSOR_MAX = 80,
};

typedef struct {
    char id[DETAIL_ID_MAX + 1];
    char title[DETAIL_TITLE_MAX + 1];
    const char *kind; /* static; "" = none */
    int64_t time_ms;  /* wall */
    int64_t amount;   /* minor units, spent is negative */
} detail_t;

typedef struct {
    uint64_t seed; /* of the line: lines differ in it */
    uint32_t each; /* items of a user from the seed, 0 .. DETAILS_EACH_MAX */
    int64_t end_ms;
} details_options_t;

typedef struct details details_t;

details_t *details_new(const details_options_t *options);
void details_destroy(details_t **self); /* NULL and *NULL are accepted */

typedef struct {
    detail_t items[DETAILS_PAGE_MAX];
    uint32_t count;
    char next[DETAILS_CURSOR_MAX + 1]; /* "" = there are no more */
} details_page_t;

typedef struct {
    int64_t in;  /* sum of what is positive */
    int64_t out; /* sum of what is negative, without its sign */
    uint64_t count;
} details_sums_t;

/* month: "2026-11" (UTC), "" = all. cursor: "" = from the newest. limit: 1 .. DETAILS_PAGE_MAX.
 * WL_ERR_BAD_REQUEST: month or cursor cannot be used. */
WL_MUST_USE wl_err_t details_page(const details_t *self, uint64_t uid, const char *month,
                                  const char *cursor, uint32_t limit, details_page_t *ret);
WL_MUST_USE wl_err_t details_sums(const details_t *self, uint64_t uid, const char *month,
                                  details_sums_t *ret);

/* Adds an item; its id is made and stands in *ret_item. */
void details_add(details_t *self, uint64_t uid, int64_t time_ms, int64_t amount, const char *title,
                 detail_t *ret_item);
/* WL_ERR_NOT_FOUND: no such item, or it was deleted before. */
WL_MUST_USE wl_err_t details_delete(details_t *self, uint64_t uid, const char *id);

#endif
