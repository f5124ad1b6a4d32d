#include "proto/json_pack.h"

enum { DEPTH_MAX = 32 };

static wl_err_t pack(msgpack_packer *packer, const json_t *value, uint32_t depth);

static void pack_text(msgpack_packer *packer, const char *text, size_t bytes) {
    msgpack_pack_str(packer, bytes);
    msgpack_pack_str_body(packer, text, bytes);
}

static wl_err_t pack_object(msgpack_packer *packer, const json_t *value, uint32_t depth) {
    const char *key = NULL;
    json_t *each = NULL;
    wl_err_t err = WL_OK;
    msgpack_pack_map(packer, json_object_size(value));
    json_object_foreach((json_t *)value, key, each) {
        pack_text(packer, key, strlen(key));
        err = pack(packer, each, depth + 1);
        if (err != WL_OK) {
            return err;
        }
    }
    return WL_OK;
}

static wl_err_t pack_array(msgpack_packer *packer, const json_t *value, uint32_t depth) {
    wl_err_t err = WL_OK;
    msgpack_pack_array(packer, json_array_size(value));
    for (size_t i = 0; err == WL_OK && i < json_array_size(value); i++) {
        err = pack(packer, json_array_get(value, i), depth + 1);
    }
    return err;
}

static wl_err_t pack(msgpack_packer *packer, const json_t *value, uint32_t depth) {
    const msgpack_sbuffer *into = packer->data;
    if (depth > DEPTH_MAX || into->size > WL_JSON_PACK_BYTES_MAX) {
        return WL_ERR_TOO_BIG;
    }
    if (value == NULL) {
        msgpack_pack_nil(packer);
        return WL_OK;
    }
    switch (json_typeof(value)) {
    case JSON_OBJECT: return pack_object(packer, value, depth);
    case JSON_ARRAY: return pack_array(packer, value, depth);
    case JSON_STRING: pack_text(packer, json_string_value(value), json_string_length(value)); break;
    case JSON_INTEGER: msgpack_pack_int64(packer, json_integer_value(value)); break;
    case JSON_REAL: msgpack_pack_double(packer, json_real_value(value)); break;
    case JSON_TRUE: msgpack_pack_true(packer); break;
    case JSON_FALSE: msgpack_pack_false(packer); break;
    case JSON_NULL: msgpack_pack_nil(packer); break;
    }
    return WL_OK;
}

wl_err_t wl_json_pack(const json_t *value, msgpack_sbuffer *into) {
    msgpack_packer packer;
    msgpack_packer_init(&packer, into, msgpack_sbuffer_write);
    wl_err_t err = pack(&packer, value, 0);
    return err == WL_OK && into->size > WL_JSON_PACK_BYTES_MAX ? WL_ERR_TOO_BIG : err;
}
