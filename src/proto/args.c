#include "proto/args.h"

#include "base/limits.h"

#include <math.h>
#include <string.h>

/* Up to here every integer has a double of its own. */
static const double exact_double_max = 9007199254740992.0;

static bool object_is_text(const msgpack_object *value) {
    return value->type == MSGPACK_OBJECT_STR || value->type == MSGPACK_OBJECT_BIN;
}

/* A float that stands for exactly one integer. NaN and infinities are not. */
static bool object_is_integral(const msgpack_object *value) {
    bool is_float = value->type == MSGPACK_OBJECT_FLOAT32 || value->type == MSGPACK_OBJECT_FLOAT64;
    return is_float && fabs(value->via.f64) <= exact_double_max &&
           trunc(value->via.f64) == value->via.f64;
}

const char *wl_value_type_name(const msgpack_object *value) {
    switch (value->type) {
    case MSGPACK_OBJECT_NIL: return "nil";
    case MSGPACK_OBJECT_BOOLEAN: return "bool";
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: return "int";
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: return "float";
    case MSGPACK_OBJECT_STR: return "str";
    case MSGPACK_OBJECT_ARRAY: return "array";
    case MSGPACK_OBJECT_MAP: return "map";
    case MSGPACK_OBJECT_BIN: return "bin";
    case MSGPACK_OBJECT_EXT: return "ext";
    }
    return "?";
}

wl_err_t wl_value_u64(const msgpack_object *value, uint64_t *ret) {
    if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER) {
        *ret = value->via.u64;
        return WL_OK;
    }
    if (object_is_integral(value) && value->via.f64 >= 0) {
        *ret = (uint64_t)value->via.f64;
        return WL_OK;
    }
    return WL_ERR_BAD_REQUEST;
}

wl_err_t wl_value_i64(const msgpack_object *value, int64_t *ret) {
    if (value->type == MSGPACK_OBJECT_POSITIVE_INTEGER && value->via.u64 <= INT64_MAX) {
        *ret = (int64_t)value->via.u64;
        return WL_OK;
    }
    if (value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER) {
        *ret = value->via.i64;
        return WL_OK;
    }
    if (object_is_integral(value)) {
        *ret = (int64_t)value->via.f64;
        return WL_OK;
    }
    return WL_ERR_BAD_REQUEST;
}

wl_err_t wl_value_text(const msgpack_object *value, char *ret, size_t max) {
    if (!object_is_text(value) || value->via.str.size > max) {
        return WL_ERR_BAD_REQUEST;
    }
    size_t bytes = value->via.str.size;
    if (bytes > 0) {
        if (memchr(value->via.str.ptr, 0, bytes) != NULL) {
            return WL_ERR_BAD_REQUEST;
        }
        memcpy(ret, value->via.str.ptr, bytes);
    }
    ret[bytes] = '\0';
    return WL_OK;
}

/* Values by key. */

wl_err_t wl_args_find(const msgpack_object *args, const char *key, const msgpack_object **ret) {
    if (args == NULL || args->type != MSGPACK_OBJECT_MAP) {
        return WL_ERR_NOT_FOUND;
    }
    size_t bytes = strlen(key);
    for (uint32_t i = 0; i < args->via.map.size; i++) {
        const msgpack_object_kv *pair = &args->via.map.ptr[i];
        if (object_is_text(&pair->key) && pair->key.via.str.size == bytes &&
            memcmp(pair->key.via.str.ptr, key, bytes) == 0) {
            if (pair->val.type == MSGPACK_OBJECT_NIL) {
                return WL_ERR_NOT_FOUND;
            }
            *ret = &pair->val;
            return WL_OK;
        }
    }
    return WL_ERR_NOT_FOUND;
}

/* Why a value is not the number that was asked for. */
static wl_err_t fault_number(wl_fault_t *fault, const char *key, const msgpack_object *value,
                             bool may_be_negative) {
    bool is_integer = value->type == MSGPACK_OBJECT_POSITIVE_INTEGER ||
                      value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER;
    bool is_negative = value->type == MSGPACK_OBJECT_NEGATIVE_INTEGER ||
                       (object_is_integral(value) && value->via.f64 < 0);
    if (is_negative && !may_be_negative) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must not be negative", key);
    }
    if (is_integer) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: is out of range", key);
    }
    if (value->type == MSGPACK_OBJECT_FLOAT32 || value->type == MSGPACK_OBJECT_FLOAT64) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key,
                        "%s: must be an integer, got a float with a fraction or above 2^53", key);
    }
    return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must be an integer, got %s", key,
                    wl_value_type_name(value));
}

wl_err_t wl_args_u64(const msgpack_object *args, const char *key, uint64_t *ret,
                     wl_fault_t *fault) {
    const msgpack_object *value = NULL;
    wl_err_t err = wl_args_find(args, key, &value);
    if (err != WL_OK) {
        return err;
    }
    return wl_value_u64(value, ret) == WL_OK ? WL_OK : fault_number(fault, key, value, false);
}

wl_err_t wl_args_i64(const msgpack_object *args, const char *key, int64_t *ret, wl_fault_t *fault) {
    const msgpack_object *value = NULL;
    wl_err_t err = wl_args_find(args, key, &value);
    if (err != WL_OK) {
        return err;
    }
    return wl_value_i64(value, ret) == WL_OK ? WL_OK : fault_number(fault, key, value, true);
}

wl_err_t wl_args_text(const msgpack_object *args, const char *key, char *ret, size_t max,
                      wl_fault_t *fault) {
    const msgpack_object *value = NULL;
    wl_err_t err = wl_args_find(args, key, &value);
    if (err != WL_OK || wl_value_text(value, ret, max) == WL_OK) {
        return err;
    }
    if (!object_is_text(value)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must be text, got %s", key,
                        wl_value_type_name(value));
    }
    if (value->via.str.size > max) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must be at most %zu bytes, got %u",
                        key, max, value->via.str.size);
    }
    return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must not contain a NUL byte", key);
}

wl_err_t wl_args_array(const msgpack_object *args, const char *key, uint32_t max,
                       const msgpack_object **ret, wl_fault_t *fault) {
    const msgpack_object *value = NULL;
    wl_err_t err = wl_args_find(args, key, &value);
    if (err != WL_OK) {
        return err;
    }
    if (value->type != MSGPACK_OBJECT_ARRAY) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must be an array, got %s", key,
                        wl_value_type_name(value));
    }
    if (value->via.array.size > max) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: at most %u elements, got %u", key, max,
                        value->via.array.size);
    }
    *ret = value;
    return WL_OK;
}

wl_err_t wl_args_uid(const msgpack_object *args, const char *key, uint64_t *ret,
                     wl_fault_t *fault) {
    uint64_t uid = 0;
    wl_err_t err = wl_args_u64(args, key, &uid, fault);
    if (err == WL_ERR_NOT_FOUND) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: is required", key);
    }
    if (err == WL_OK && uid == 0) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must not be 0", key);
    }
    if (err == WL_OK) {
        *ret = uid;
    }
    return err;
}

wl_err_t wl_args_bool(const msgpack_object *args, const char *key, bool *ret, wl_fault_t *fault) {
    const msgpack_object *value = NULL;
    wl_err_t err = wl_args_find(args, key, &value);
    if (err != WL_OK) {
        return err;
    }
    if (value->type != MSGPACK_OBJECT_BOOLEAN) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must be true or false, got %s", key,
                        wl_value_type_name(value));
    }
    *ret = value->via.boolean;
    return WL_OK;
}
