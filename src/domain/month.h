/* month.h: the months of details and summaries, "2026-11", in UTC. Pure; any thread. */
#ifndef WL_DOMAIN_MONTH_H
#define WL_DOMAIN_MONTH_H

#include "base/clock.h"

#include <stdbool.h>

enum { WL_MONTH_BYTES = 7 };

typedef struct {
    wl_wall_ms_t from;  /* its first moment */
    wl_wall_ms_t until; /* the first moment of the next one */
} wl_month_t;

/* false: not "YYYY-MM" from 1970-01 to 9999-12. */
bool wl_month_parse(const char *text, wl_month_t *ret);
/* Everything up to now has happened in it: it changes no more, but for corrections. */
bool wl_month_past(const wl_month_t *self, wl_wall_ms_t now);
bool wl_month_has(const wl_month_t *self, int64_t time);

#endif
