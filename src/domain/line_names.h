/* line_names.h: gives each line id that is in use a small number, so that tables with millions of
 * rows hold one byte instead of a text. A number is counted by its holders and given to another
 * line once nobody holds it. Bounded: WL_LINE_NAMES_MAX at once, twice a configuration's lines, as
 * the lines of the last one may still have work. Pure, one owner thread. */
#ifndef WL_DOMAIN_LINE_NAMES_H
#define WL_DOMAIN_LINE_NAMES_H

#include "base/err.h"
#include "base/limits.h"

#include <stdint.h>

enum { WL_LINE_NAMES_MAX = 2 * WL_LINES_MAX };
static_assert(WL_LINE_NAMES_MAX <= UINT8_MAX, "a number fits one byte");

typedef struct wl_line_names wl_line_names_t;

wl_line_names_t *wl_line_names_new(void);
void wl_line_names_destroy(wl_line_names_t **self);

/* The number of a line, one more holder. WL_ERR_FULL: WL_LINE_NAMES_MAX others are held, or the
 * text is empty or longer than WL_LINE_ID_MAX. */
WL_MUST_USE wl_err_t wl_line_names_hold(wl_line_names_t *self, const char *line,
                                        uint8_t *ret_number);
/* false: nobody holds this line, *ret_number stays. */
bool wl_line_names_find(const wl_line_names_t *self, const char *line, uint8_t *ret_number);
/* The text of a held number, valid while it is held. */
const char *wl_line_names_text(const wl_line_names_t *self, uint8_t number);
/* One holder less. Returns whether it was the last one. */
bool wl_line_names_drop(wl_line_names_t *self, uint8_t number);

#endif
