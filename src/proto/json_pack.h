/* json_pack.h: a JSON value as MessagePack, for answers that are built as JSON. Pure, any
 * thread. */
#ifndef WL_PROTO_JSON_PACK_H
#define WL_PROTO_JSON_PACK_H

#include "base/err.h"

#include <jansson.h>
#include <msgpack.h>

/* Appends to `into`. WL_ERR_TOO_BIG: nested deeper than 32, or more than WL_JSON_PACK_BYTES_MAX in
 * `into`, which then holds a part. NULL is nil. */
enum { WL_JSON_PACK_BYTES_MAX = 3000000 };
WL_MUST_USE wl_err_t wl_json_pack(const json_t *value, msgpack_sbuffer *into);

#endif
