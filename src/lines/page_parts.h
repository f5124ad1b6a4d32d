/* page_parts.h: what the readers of pages share. Private to the page*.c files. */
#ifndef WL_LINES_PAGE_PARTS_H
#define WL_LINES_PAGE_PARTS_H

#include "lines/page.h"

/* Of the readers below: NULL, or a static text that says what is wrong, for wl_page_fault(). */
typedef const char *wl_page_wrong_t;

/* A text of at most max bytes into ret[max + 1]. */
bool wl_page_text(const char *text, size_t bytes, char *ret, size_t max);
/* Display text: a longer one is cut, a control character becomes a space. */
bool wl_page_title(const char *text, size_t bytes, char ret[WL_TITLE_MAX + 1]);
/* The line's cursor. */
bool wl_page_next(const char *text, size_t bytes, wl_page_t *ret);

/* What the line's configuration says; line NULL: nothing. */
void wl_page_item_blank(const wl_line_t *line, wl_page_item_t *ret);
/* Judges items[page->count] and counts it. line NULL: any unit and scale. */
wl_page_wrong_t wl_page_item_add(wl_page_t *page, const wl_line_t *line);
wl_page_wrong_t wl_sums_check(const wl_sums_t *sums, const wl_line_t *line);

/* WL_ERR_MALFORMED with "item 3: <wrong>". */
wl_err_t wl_page_item_fault(wl_fault_t *fault, uint32_t index, wl_page_wrong_t wrong);
/* WL_ERR_MALFORMED with <wrong>. */
wl_err_t wl_page_fault(wl_fault_t *fault, wl_page_wrong_t wrong);
/* WL_ERR_TOO_BIG: more than WL_DETAILS_MAX items. */
wl_err_t wl_page_fault_count(wl_fault_t *fault, size_t items);

#endif
