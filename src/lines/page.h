/* page.h: what a line says about the past of one user: a page of details (what happened, newest
 * first) and the sums of a month or of all. Read from a line's JSON or MessagePack, and carried
 * between actors in one form. Untrusted input; pure; a reader belongs to one thread.
 *
 * Standard contract, JSON or a MessagePack map of the same keys:
 *     {"items": [{id, time, title?, amount, unit?, scale?, kind?}], "next"?}
 *     {in, out, count, unit?, scale?}
 * A page with a hole would look whole: one broken item, one in another unit or scale than the
 * line's, or one out of order makes the whole answer malformed. */
#ifndef WL_LINES_PAGE_H
#define WL_LINES_PAGE_H

#include "base/err.h"
#include "domain/config.h"

#include <msgpack.h>

enum {
    WL_PAGE_ID_MAX = 64,       /* bytes of an item's id */
    WL_PAGE_KIND_MAX = 16,     /* bytes of an item's kind */
    WL_PAGE_BYTES_MAX = 32768, /* of an encoded page; LIVED.body has room for it */
};

/* One thing that happened. Texts are UTF-8 without control characters, NUL-terminated. */
typedef struct {
    int64_t time;                    /* wall ms of the line, not negative */
    int64_t amount;                  /* minor units; negative = went out */
    uint8_t scale;                   /* as of the line */
    char id[WL_PAGE_ID_MAX + 1];     /* not empty, unique in the line for this user */
    char title[WL_TITLE_MAX + 1];    /* for people; a longer one was cut at a character */
    char unit[WL_UNIT_MAX + 1];      /* as of the line */
    char kind[WL_PAGE_KIND_MAX + 1]; /* the line's word, to filter by; "" = none */
} wl_page_item_t;

/* Items stand newest first: time falls, and where it is the same the id falls, compared byte by
 * byte (strcmp). A page may be empty and still have a next one. */
typedef struct {
    uint32_t count;                   /* 0 .. WL_DETAILS_MAX, whatever was asked for */
    uint32_t next_bytes;              /* 0 = the last page */
    uint8_t next[WL_LINE_CURSOR_MAX]; /* the line's cursor: a text, not NUL-terminated */
    wl_page_item_t items[WL_DETAILS_MAX];
} wl_page_t;

typedef struct {
    int64_t in;     /* minor units that came in, not negative */
    int64_t out;    /* minor units that went out, not negative */
    uint64_t count; /* items, at most INT64_MAX */
    uint8_t scale;
    char unit[WL_UNIT_MAX + 1];
} wl_sums_t;

typedef struct wl_page_reader wl_page_reader_t; /* memory reused from answer to answer */

wl_page_reader_t *wl_page_reader_new(void);
void wl_page_reader_destroy(wl_page_reader_t **self); /* NULL and *NULL are accepted */

/* Reads an answer of the line. Amounts are integers or text of digits, never floats; times, scale
 * and count may be text of digits as well. unit and scale are the line's when absent.
 * WL_ERR_MALFORMED; WL_ERR_TOO_BIG: more than WL_DETAILS_MAX items. Then *ret is undefined and
 * fault->message says why, without amounts. JSON of another shape is read by details_mapping and
 * summary_mapping of the line. */
WL_MUST_USE wl_err_t wl_page_read_json(const wl_line_t *line, const void *bytes, size_t count,
                                       wl_page_t *ret, wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_page_read_msgpack(wl_page_reader_t *self, const wl_line_t *line,
                                          const void *bytes, size_t count, wl_page_t *ret,
                                          wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_sums_read_json(const wl_line_t *line, const void *bytes, size_t count,
                                       wl_sums_t *ret, wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_sums_read_msgpack(wl_page_reader_t *self, const wl_line_t *line,
                                          const void *bytes, size_t count, wl_sums_t *ret,
                                          wl_fault_t *fault);

/* The form between actors (LIVED.body): the MessagePack of the standard contract with every key.
 * encode: into is cleared first; at most WL_PAGE_BYTES_MAX bytes. decode: as strict as the readers,
 * unit and scale are any but there. WL_ERR_MALFORMED, WL_ERR_TOO_BIG: *ret is undefined. */
void wl_page_encode(const wl_page_t *self, msgpack_sbuffer *into);
void wl_sums_encode(const wl_sums_t *self, msgpack_sbuffer *into);
WL_MUST_USE wl_err_t wl_page_decode(wl_page_reader_t *self, const void *bytes, size_t count,
                                    wl_page_t *ret);
WL_MUST_USE wl_err_t wl_sums_decode(wl_page_reader_t *self, const void *bytes, size_t count,
                                    wl_sums_t *ret);

#endif
