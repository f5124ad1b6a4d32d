/* line_flow.h: what the dispatcher and the pullers have to agree on without telling each other:
 * who asks a line, how much of it may be under way, and when a pull counts as lost.
 * Pure, any thread. */
#ifndef WL_ACTORS_LINE_FLOW_H
#define WL_ACTORS_LINE_FLOW_H

#include "base/settings.h"
#include "base/slot.h"
#include "domain/config.h"

/* The puller instance that asks a line: 0 .. instances - 1; instances >= 1. The same in every
 * process and version (FNV-1a, mixed). */
static inline uint32_t wl_line_owner(const char *line, uint32_t instances) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (const char *at = line; *at != '\0'; at++) {
        hash = (hash ^ (unsigned char)*at) * 0x100000001b3u;
    }
    return (uint32_t)(wl_mix64(hash) % instances);
}

/* Links are never asked. line may be NULL: not configured. */
static inline bool wl_line_asked(const wl_line_t *line) {
    return line != NULL && line->mode != WL_MODE_LINK && line->adapter != WL_ADAPTER_NONE;
}

/* Users of a line at its puller at once: two rounds of its calls, so that the puller never runs
 * dry, but no more than a rate limit lets through in four seconds, so that they do not grow old.
 * Of a rate that several partitions share, each asks for its part. */
static inline uint32_t wl_line_window(const wl_line_t *line, uint32_t partitions) {
    uint64_t calls = (uint64_t)line->concurrency * 2;
    uint64_t rate_calls = (uint64_t)line->rate * 4 / partitions + 1;
    calls = line->rate > 0 && rate_calls < calls ? rate_calls : calls;
    return (uint32_t)(calls * line->batch_max);
}

/* A pull that was not answered for so long is lost: the setting, or two rounds of calls that all
 * time out. */
static inline int64_t wl_line_lost_ms(const wl_line_t *line, const wl_settings_t *settings) {
    int64_t rounds_ms = 2 * ((int64_t)line->timeout_ms + line->batch_wait_ms) + 2000;
    int64_t lost_ms = (int64_t)settings->dispatcher_lost_ms;
    return lost_ms > rounds_ms ? lost_ms : rounds_ms;
}

#endif
