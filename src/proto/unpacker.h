/* unpacker.h: untrusted MessagePack to msgpack-c objects, in memory that is used again and again.
 * The walk comes first and says how many objects there are, so the zone is made large enough before
 * msgpack-c runs: a running actor allocates nothing. One thread. */
#ifndef WL_PROTO_UNPACKER_H
#define WL_PROTO_UNPACKER_H

#include "proto/walk.h"

#include <msgpack.h>

typedef struct wl_unpacker wl_unpacker_t;

wl_unpacker_t *wl_unpacker_new(void);
void wl_unpacker_destroy(wl_unpacker_t **self); /* NULL and *NULL are accepted */

/* Reads exactly one object that fills all bytes; strings and bins point into bytes. Everything that
 * the last read gave ends here. WL_ERR_MALFORMED and WL_ERR_TOO_BIG as wl_walk(). */
WL_MUST_USE wl_err_t wl_unpacker_read(wl_unpacker_t *self, const void *bytes, size_t count,
                                      const wl_walk_limits_t *limits, const msgpack_object **ret);

/* Cleared memory for count elements, aligned for any struct of ours, alive until the next read.
 * NULL when count is 0. */
void *wl_unpacker_alloc(wl_unpacker_t *self, size_t count, size_t each);

/* The zone itself, for wl_value_asset(). */
msgpack_zone *wl_unpacker_zone(wl_unpacker_t *self);

#endif
