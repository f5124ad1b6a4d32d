/* args.h: reads the args map of a request, which a stranger wrote. Pure, any thread.
 *
 * Each wl_args_* returns WL_OK and writes *ret; or WL_ERR_NOT_FOUND when the key is absent (nil
 * counts as absent) and *ret stays; or WL_ERR_BAD_REQUEST with *fault, whose message is a sentence
 * for the client that begins with the key: "uid: must be an integer, got str". Unknown keys are
 * ignored; of two equal keys the first counts. Keys and texts may be str or bin. Numbers may have
 * any width, and be floats that are integral and not above 2^53 (JavaScript sends those).
 * args NULL is an empty map. fault may be NULL. */
#ifndef WL_PROTO_ARGS_H
#define WL_PROTO_ARGS_H

#include "base/asset.h"
#include "base/err.h"

#include <msgpack.h>

WL_MUST_USE wl_err_t wl_args_find(const msgpack_object *args, const char *key,
                                  const msgpack_object **ret);
WL_MUST_USE wl_err_t wl_args_u64(const msgpack_object *args, const char *key, uint64_t *ret,
                                 wl_fault_t *fault);
WL_MUST_USE wl_err_t wl_args_i64(const msgpack_object *args, const char *key, int64_t *ret,
                                 wl_fault_t *fault);
/* Text or bin of at most max bytes without NUL, copied and NUL-terminated into ret[max + 1]. */
WL_MUST_USE wl_err_t wl_args_text(const msgpack_object *args, const char *key, char *ret,
                                  size_t max, wl_fault_t *fault);
/* An array of at most max elements, borrowed. */
WL_MUST_USE wl_err_t wl_args_array(const msgpack_object *args, const char *key, uint32_t max,
                                   const msgpack_object **ret, wl_fault_t *fault);
/* uid: required, 1 .. 2^64-1 (0 is refused: it is what an unset variable sends). An absent key is
 * WL_ERR_BAD_REQUEST here. */
WL_MUST_USE wl_err_t wl_args_uid(const msgpack_object *args, const char *key, uint64_t *ret,
                                 wl_fault_t *fault);
/* true or false. */
WL_MUST_USE wl_err_t wl_args_bool(const msgpack_object *args, const char *key, bool *ret,
                                  wl_fault_t *fault);

/* One value, without a map around it. WL_ERR_BAD_REQUEST: wrong type or out of range. */
WL_MUST_USE wl_err_t wl_value_u64(const msgpack_object *value, uint64_t *ret);
WL_MUST_USE wl_err_t wl_value_i64(const msgpack_object *value, int64_t *ret);
WL_MUST_USE wl_err_t wl_value_text(const msgpack_object *value, char *ret, size_t max);
/* "nil", "bool", "int", "float", "str", "bin", "array", "map", "ext": for messages to clients. */
const char *wl_value_type_name(const msgpack_object *value);

/* An asset map of the wire (line contract over msgpack, notify.assets): keys of design section 3;
 * kind and state by name; amount and pending as integers or as decimal strings of minor units
 * ("1250"), never fractions. Absent keys are zero, unknown keys ignored; pulled_at is ours and
 * never read. extra may be a map, or a bin that holds one packed map, of at most
 * WL_EXTRA_BYTES_MAX bytes: a bin is borrowed from the bytes of value, a map is packed again into
 * zone, which must outlive *ret (wl_rpc_zone() for a request). Only shapes are checked here; the
 * rules about values live in domain/asset_rules.h. */
WL_MUST_USE wl_err_t wl_value_asset(const msgpack_object *value, msgpack_zone *zone,
                                    wl_asset_t *ret, wl_fault_t *fault);

/* True when bytes hold exactly one MessagePack map of at most WL_EXTRA_BYTES_MAX bytes, nested no
 * deeper than four: what extra may be. Empty is not a map. */
bool wl_extra_valid(const uint8_t *bytes, size_t count);

#endif
