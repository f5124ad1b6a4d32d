/* change.h: the body of a durable queue entry: what a line told us, as MessagePack
 * [[uid, bucket, version], ...]. Packed by intake, read back by the dispatcher, maybe after a
 * crash and by a newer program. Pure, any thread. */
#ifndef WL_PROTO_CHANGE_H
#define WL_PROTO_CHANGE_H

#include "base/err.h"
#include "base/limits.h"

#include <msgpack.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    uint64_t uid;
    uint64_t version; /* 0 = not said */
    char bucket[WL_BUCKET_MAX + 1];
} wl_change_t;

void wl_changes_pack(msgpack_sbuffer *into, const wl_change_t *changes, size_t count);

/* Writes at most WL_CHANGES_MAX changes into ret_changes; on failure what is there is undefined and
 * *ret_count untouched. Fields of a newer program are skipped. WL_ERR_MALFORMED, WL_ERR_TOO_BIG. */
WL_MUST_USE wl_err_t wl_changes_unpack(const void *bytes, size_t count,
                                       wl_change_t ret_changes[WL_CHANGES_MAX], size_t *ret_count);

#endif
