/* counters.h: one block of counters per actor, written by that actor's thread only.
 * Copies travel as values in STATS messages; nobody reads another actor's block. */
#ifndef WL_BASE_COUNTERS_H
#define WL_BASE_COUNTERS_H

#include <stdint.h>

typedef enum {
#define C(name, kind, unit, help) WL_COUNTER_##name,
#include "base/counters.def"
#undef C
    WL_COUNTERS
} wl_counter_t;

typedef enum { WL_COUNTER_KIND_COUNTER, WL_COUNTER_KIND_GAUGE } wl_counter_kind_t;

typedef struct {
    const char *name;
    const char *unit;
    const char *help;
    wl_counter_kind_t kind;
} wl_counter_info_t;

/* Static table of WL_COUNTERS rows. */
const wl_counter_info_t *wl_counter_info(wl_counter_t counter);

typedef struct {
    uint64_t at[WL_COUNTERS];
} wl_counters_t;

/* WL_COUNT(&self->counters, rpc_requests, 1) */
#define WL_COUNT(block, name, by) ((block)->at[WL_COUNTER_##name] += (uint64_t)(by))
#define WL_GAUGE(block, name, value) ((block)->at[WL_COUNTER_##name] = (uint64_t)(value))

#endif
