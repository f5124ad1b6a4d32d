/* cache_record.h: one asset as a field of a user's hash in Redis. Pure. Only src/store includes it.
 *     field   "line/bucket"
 *     value   version, 20 digits | pulled_at, 20 digits | the rest, binary, big-endian
 * The digits stand first so that a Lua script can tell which of two values is newer by comparing 40
 * bytes as text: Lua's numbers lose digits above 2^53. uid is the key's and not repeated. */
#ifndef WL_STORE_CACHE_RECORD_H
#define WL_STORE_CACHE_RECORD_H

#include "base/asset.h"
#include "base/err.h"

#include <stddef.h>

enum {
    WL_CACHE_ORDER_BYTES = 40, /* of a value, that say how new it is */
    WL_CACHE_FIELD_BYTES_MAX = WL_LINE_ID_MAX + 1 + WL_BUCKET_MAX,
    WL_CACHE_VALUE_BYTES_MAX = WL_CACHE_ORDER_BYTES + 64 + WL_UNIT_MAX + WL_EXTRA_BYTES_MAX
};

/* "line/bucket"; returns its bytes. */
size_t wl_cache_record_field(const wl_asset_t *asset, char ret[WL_CACHE_FIELD_BYTES_MAX + 1]);
/* Returns the bytes of the value. The asset must be valid. */
size_t wl_cache_record_pack(const wl_asset_t *asset, uint8_t ret[WL_CACHE_VALUE_BYTES_MAX]);
/* WL_ERR_DAMAGED: no such field, or a value that was not packed here. ret->extra points into it. */
WL_MUST_USE wl_err_t wl_cache_record_unpack(uint64_t uid, const char *field, size_t field_bytes,
                                            const void *value, size_t value_bytes, wl_asset_t *ret);

/* A number as 20 digits, without a NUL. */
enum { WL_CACHE_DIGITS = 20 };
void wl_cache_digits(uint64_t number, char ret[WL_CACHE_DIGITS]);

#endif
