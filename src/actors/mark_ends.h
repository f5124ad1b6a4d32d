/* mark_ends.h: marks that end a moment later. A reader with Redis hears of a commit from the feed,
 * and the writer's put into Redis may still be under way then: until it is there the copy is the
 * old one, and must not lose its label. The reader cannot see the put, so it waits for longer than
 * one takes. Part of the cache actor and used on its thread only; the caller passes the time.
 * Bounded: beyond WL_MARK_ENDS_MAX the oldest ends at once. */
#ifndef WL_ACTORS_MARK_ENDS_H
#define WL_ACTORS_MARK_ENDS_H

#include "base/clock.h"
#include "base/limits.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    WL_MARK_ENDS_MAX = 16384,
    WL_MARK_ENDS_MS = 300, /* how much later */
};

typedef struct {
    uint64_t uid;
    uint64_t seq;
    int64_t due; /* monotonic ms, set by push */
    char line[WL_LINE_ID_MAX + 1];
} wl_mark_end_t;

typedef struct wl_mark_ends wl_mark_ends_t;

wl_mark_ends_t *wl_mark_ends_new(void);
void wl_mark_ends_destroy(wl_mark_ends_t **self); /* NULL and *NULL are accepted */

/* Pop before each push, so that there is room. */
void wl_mark_ends_push(wl_mark_ends_t *self, uint64_t uid, const char *line, uint64_t seq,
                       wl_mono_ms_t now);
/* The oldest that is due, or that has to make room. false: none. */
bool wl_mark_ends_pop(wl_mark_ends_t *self, wl_mono_ms_t now, wl_mark_end_t *ret);

#endif
