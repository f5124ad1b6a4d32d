/* window.h: how many calls fell into any one second, at most. Pure; times never go back. */
#ifndef WL_TOOLS_LINESIM_WINDOW_H
#define WL_TOOLS_LINESIM_WINDOW_H

#include <stdint.h>

enum { WINDOW_MS = 1000, WINDOW_CALLS_MAX = 16384 }; /* more in a second are not told apart */

typedef struct {
    int64_t at_ms[WINDOW_CALLS_MAX]; /* a ring */
    uint64_t first;                  /* the oldest that is still within the last second... */
    uint64_t next;                   /* ...up to here */
    uint32_t peak;                   /* most calls within less than WINDOW_MS */
} window_t;

void window_add(window_t *self, int64_t now_ms);
void window_reset(window_t *self);

#endif
