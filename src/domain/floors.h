/* floors.h: min_version of a read, as text: "cash:12,coin:3," says that cash must show version 12
 * or a later one. Pure, any thread. */
#ifndef WL_DOMAIN_FLOORS_H
#define WL_DOMAIN_FLOORS_H

#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WL_FLOORS_BYTES_MAX = WL_LINES_MAX * (WL_LINE_ID_MAX + 22) }; /* id, ':', 20 digits, ',' */

/* Appends one to `bytes` bytes of a text with room for WL_FLOORS_BYTES_MAX; returns the new length.
 * At most WL_LINES_MAX calls fit. */
size_t wl_floors_add(char *into, size_t bytes, const char *line_id, uint64_t version);

/* The largest version that the text (untrusted: unknown shapes are passed over) says of the line,
 * 0 = none. */
uint64_t wl_floors_get(const void *text, size_t bytes, const char *line_id);

#endif
