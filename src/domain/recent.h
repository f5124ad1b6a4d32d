/* recent.h: what lines said about their users a moment ago: first pages of details, and sums. Kept
 * in memory up to a bound, dropped at once when something changes. One owner thread; the caller
 * passes the time.
 *
 * An answer that was asked for before a change and comes after it must not be kept: whoever asks
 * takes a token first and puts with it; a drop makes older tokens of that pair worthless. */
#ifndef WL_DOMAIN_RECENT_H
#define WL_DOMAIN_RECENT_H

#include "base/clock.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WL_RECENT_NAME_MAX = 15 }; /* bytes of an answer's name, "sums 2026-11" */

typedef struct wl_recent wl_recent_t;

/* What is kept takes at most about bytes_max: the users not looked at for longest go first. */
wl_recent_t *wl_recent_new(size_t bytes_max);
void wl_recent_destroy(wl_recent_t **self); /* NULL and *NULL are accepted */

/* The bytes that were put under this name, borrowed until the next call that changes something;
 * NULL: none, or too old. What the user has that is too old goes. *ret_at = as put. */
const uint8_t *wl_recent_get(wl_recent_t *self, uint64_t uid, const char *line, const char *name,
                             wl_mono_ms_t now, size_t *ret_bytes, wl_wall_ms_t *ret_at);

uint64_t wl_recent_token(const wl_recent_t *self, uint64_t uid, const char *line);
/* Keeps a copy until `until`; at: wall time of the answer. Does nothing with a worthless token or
 * when one user's would take more than a sixteenth of the bound. */
void wl_recent_put(wl_recent_t *self, uint64_t uid, const char *line, const char *name,
                   const void *bytes, size_t count, wl_wall_ms_t at, wl_mono_ms_t until,
                   uint64_t token);
/* Something of this line has changed for this user. */
void wl_recent_drop(wl_recent_t *self, uint64_t uid, const char *line);
/* Forgets everything: changes may have been missed, or lines are other ones. */
void wl_recent_flush(wl_recent_t *self);

size_t wl_recent_bytes(const wl_recent_t *self);
uint32_t wl_recent_users(const wl_recent_t *self);

#endif
