/* walk.h: a bounded structural walk over untrusted MessagePack, before msgpack-c builds objects.
 * msgpack-c reserves memory from the counts in headers (a 150-byte message reserved 60 GB), so
 * every count is compared with the bytes that are left, and depth and the total number of objects
 * are bounded. Allocates nothing. Pure, any thread. Format: msgpack.org, spec.md. */
#ifndef WL_PROTO_WALK_H
#define WL_PROTO_WALK_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint32_t depth_max;   /* nested arrays and maps, WL_WALK_DEPTH_MAX for the wire */
    uint32_t objects_max; /* all objects, keys and elements included */
} wl_walk_limits_t;

/* Accepts exactly one well-formed object that fills all count bytes.
 * WL_ERR_MALFORMED: truncated, trailing bytes, the never-used 0xc1. WL_ERR_TOO_BIG: a bound.
 * ret_objects may be NULL. */
WL_MUST_USE wl_err_t wl_walk(const void *bytes, size_t count, const wl_walk_limits_t *limits,
                             uint32_t *ret_objects);

#endif
