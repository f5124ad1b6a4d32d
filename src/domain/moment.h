/* moment.h: moments as people write them, RFC 3339 with a zone: "2026-11-11T00:00:00+08:00". Pure;
 * any thread. */
#ifndef WL_DOMAIN_MOMENT_H
#define WL_DOMAIN_MOMENT_H

#include "base/clock.h"

#include <stdbool.h>

/* false: not RFC 3339, without a zone, of a year outside 1970..9999, or a leap second. Digits of
 * a second beyond ms are cut off. With a zone the moment may be a few hours before 1970. */
bool wl_moment_parse(const char *text, wl_wall_ms_t *ret);

/* The same in UTC, "2026-11-11T00:00:00Z", with ms where there are some: "..00.250Z". Moments
 * outside the years 1970..9999 are written as a number of ms. */
enum { WL_MOMENT_BYTES = 24 };
void wl_moment_write(wl_wall_ms_t moment, char ret[WL_MOMENT_BYTES + 1]);

#endif
