/* timeline.h: one list of what happened over several lines, newest first, taken page by page while
 * lines insert, delete and fail. Pure; any thread.
 *
 * Each line lists its items by (time, id), both falling, and continues behind any item (keyset), so
 * a deleted item is no trouble. A merged page takes the newest item of all lines again and again;
 * of equal times the earlier line in the list goes first. Between two pages only places are kept:
 * per line, the item shown last, how far the list had come when the line took part last, and the
 * line's own cursor of the page that holds the next one.
 *     an item inserted above a place,  is not shown any more: it is newer than what was seen
 *     or above what other lines showed
 *     an item inserted below a place   is shown in its turn
 *     a line that fails                keeps its place, and the page goes on without it; what it
 *                                      has missed comes with the next page that it answers */
#ifndef WL_DOMAIN_TIMELINE_H
#define WL_DOMAIN_TIMELINE_H

#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    WL_TIMELINE_LINES_MAX = 16,   /* of one list; more are refused */
    WL_TIMELINE_ID_MAX = 64,      /* bytes of an item's id */
    WL_TIMELINE_CURSOR_MAX = 512, /* bytes of a line's own cursor */
    WL_TIMELINE_END = -1,         /* nothing is left in any line */
    WL_TIMELINE_WAIT = -2,        /* a line has to be asked first */
};

/* Where an item stands in its line. */
typedef struct {
    int64_t time; /* wall ms, the line's clock */
    char id[WL_TIMELINE_ID_MAX + 1];
} wl_timeline_key_t;

/* How far one line was shown. */
typedef struct {
    char line[WL_LINE_ID_MAX + 1];
    bool ended;                             /* all of it */
    bool begun;                             /* `last` is set */
    wl_timeline_key_t last;                 /* the item shown last */
    bool reached;                           /* `reach` is set */
    int64_t reach;                          /* wall ms: the list came down to here with this line */
    uint16_t cursor_bytes;                  /* 0: its first page */
    uint8_t cursor[WL_TIMELINE_CURSOR_MAX]; /* of the page that holds the next item */
} wl_timeline_place_t;

/* What is at hand of one line. */
typedef struct {
    const wl_timeline_key_t *head; /* its newest item that was not shown, NULL = none at hand */
    bool more;                     /* without a head: there may be others, ask */
} wl_timeline_source_t;

/* Below 0, 0 or above when a comes before, is, or comes after b in a line's list. */
int wl_timeline_compare(const wl_timeline_key_t *a, const wl_timeline_key_t *b);
/* Was this item not shown yet? */
bool wl_timeline_behind(const wl_timeline_place_t *place, const wl_timeline_key_t *key);
/* Index of the source whose head comes next, or WL_TIMELINE_END, WL_TIMELINE_WAIT. */
int wl_timeline_next(const wl_timeline_source_t *sources, uint32_t count);
/* The list has come down to an item of that time, and this line took part. */
void wl_timeline_reached(wl_timeline_place_t *place, int64_t time);
/* The item was shown. */
void wl_timeline_shown(wl_timeline_place_t *place, const wl_timeline_key_t *key);

#endif
