/* calls.h: what was asked of one line, and how: so that a test can prove that the caller keeps its
 * limits. Not thread-safe; sim.h locks it.
 *
 * A call is under way from its arrival until its answer begins to leave. One that the line does not
 * answer is over when the caller closes the connection (HTTP, looked at when the next call comes)
 * or after give_up_ms (ZeroMQ, where nobody says that he has stopped waiting). */
#ifndef WL_TOOLS_LINESIM_CALLS_H
#define WL_TOOLS_LINESIM_CALLS_H

#include "window.h"

#include <stdbool.h>

typedef enum { SIM_ASSETS, SIM_DETAILS, SIM_SUMMARY, SIM_WHAT_COUNT } sim_what_t;

enum {
    CALLS_UNDER_WAY_MAX = 1024,
    /* A call that is on its way while the line says "wait" is no fault of the caller: only what
     * comes later than this after the word counts as early... */
    CALLS_GRACE_MS = 100,
    /* ...and clocks that are read at both ends differ by so much. */
    CALLS_CLOCK_MS = 5,
};

typedef struct {
    bool used;
    int fd;             /* of its connection, -1 = not known */
    int64_t give_up_ms; /* monotonic ms when it is over anyway, 0 = never */
} call_under_way_t;

typedef struct {
    uint64_t count[SIM_WHAT_COUNT];
    uint64_t users;  /* asked for, users of one call counted each */
    uint64_t faults; /* calls, or connections, that met one */
    uint64_t unsigned_calls;
    uint64_t early;    /* came while the caller had been told to wait */
    uint64_t repeated; /* users asked for whose last call met a fault */
    uint32_t concurrent_max;
    window_t window;
    int64_t wait_from_ms; /* told to wait, monotonic... */
    int64_t wait_until_ms;
    call_under_way_t under_way[CALLS_UNDER_WAY_MAX];
    uint32_t used_end; /* no used place from here on */
} calls_t;

typedef struct {
    sim_what_t what;
    uint64_t users;
    int fd;
    int64_t give_up_ms; /* how long its caller waits, 0 = not known */
} calls_arrival_t;

const char *sim_what_name(sim_what_t what); /* "assets", "details", "summary" */

/* Counts a call; returns its place for calls_end(). CALLS_UNDER_WAY_MAX: all are taken, and it is
 * not counted among those under way. */
uint32_t calls_begin(calls_t *self, const calls_arrival_t *arrival, int64_t now_ms);
void calls_end(calls_t *self, uint32_t place);
/* The caller is told at now_ms to come back after ms. */
void calls_wait(calls_t *self, int64_t now_ms, int64_t ms);
/* How many are under way now. */
uint32_t calls_under_way(calls_t *self, int64_t now_ms);
/* All counts to 0; what is under way and the word to wait stay. */
void calls_reset(calls_t *self);

#endif
