#include "tools/walletctl/reply_json.h"

#include "base/alloc.h"
#include "base/limits.h"

#include <inttypes.h>
#include <msgpack.h>
#include <string.h>

enum { DEPTH_MAX = 32 }; /* libwallet refuses deeper replies before */

static json_t *object_json(const msgpack_object *object, bool quoted, bool money, unsigned depth);

/* Bytes that are not UTF-8 must not make the whole reply unreadable. */
static json_t *text_json(const char *text, size_t bytes) {
    json_t *json = json_stringn(text, bytes);
    if (json != NULL) {
        return json;
    }
    WL_AUTO_FREE char *clean = wl_alloc(bytes + 1);
    for (size_t i = 0; i < bytes; i++) {
        clean[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
    }
    return json_stringn(clean, bytes);
}

static json_t *bytes_json(const char *bytes, size_t count) {
    WL_AUTO_FREE char *hex = wl_alloc(2 * count + 1);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", (unsigned char)bytes[i]);
    }
    return json_stringn(hex, 2 * count);
}

static json_t *number_json(const msgpack_object *object, bool quoted) {
    char digits[24];
    bool positive = object->type == MSGPACK_OBJECT_POSITIVE_INTEGER;
    if (!quoted && !(positive && object->via.u64 > INT64_MAX)) {
        return json_integer(object->via.i64);
    }
    if (positive) {
        (void)snprintf(digits, sizeof digits, "%" PRIu64, object->via.u64);
    } else {
        (void)snprintf(digits, sizeof digits, "%" PRId64, object->via.i64);
    }
    return json_string(digits);
}

static bool name_is(const char *name, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool key_quoted(const char *name, bool money) {
    static const char *const ids[] = {"uid", "id", "version"};
    static const char *const amounts[] = {"amount", "pending", "last_good", "in", "out"};
    return name_is(name, ids, WL_COUNT_OF(ids)) ||
           (money && name_is(name, amounts, WL_COUNT_OF(amounts)));
}

/* A key is nearly always text; whatever else it is gets its JSON text. */
static char *key_text(const msgpack_object *key, unsigned depth) {
    json_t *json = object_json(key, true, false, depth);
    char *text = json_is_string(json) ? wl_strdup(json_string_value(json))
                                      : json_dumps(json, JSON_ENCODE_ANY | JSON_COMPACT);
    json_decref(json);
    return text == NULL ? wl_strdup("?") : text;
}

static json_t *map_json(const msgpack_object_map *map, bool money, unsigned depth) {
    json_t *json = json_object();
    for (uint32_t i = 0; i < map->size; i++) {
        char *name = key_text(&map->ptr[i].key, depth + 1);
        (void)json_object_set_new(
            json, name, object_json(&map->ptr[i].val, key_quoted(name, money), money, depth + 1));
        wl_free(name);
    }
    return json;
}

static json_t *object_json(const msgpack_object *object, bool quoted, bool money, unsigned depth) {
    if (depth > DEPTH_MAX) {
        return json_null();
    }
    switch (object->type) {
    case MSGPACK_OBJECT_NIL: return json_null();
    case MSGPACK_OBJECT_BOOLEAN: return json_boolean(object->via.boolean);
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: return number_json(object, quoted);
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: {
        json_t *real = json_real(object->via.f64);
        return real == NULL ? json_null() : real; /* JSON has no NaN */
    }
    case MSGPACK_OBJECT_STR: return text_json(object->via.str.ptr, object->via.str.size);
    case MSGPACK_OBJECT_BIN: return bytes_json(object->via.bin.ptr, object->via.bin.size);
    case MSGPACK_OBJECT_EXT: return bytes_json(object->via.ext.ptr, object->via.ext.size);
    case MSGPACK_OBJECT_MAP: return map_json(&object->via.map, money, depth);
    case MSGPACK_OBJECT_ARRAY: {
        json_t *json = json_array();
        for (uint32_t i = 0; i < object->via.array.size; i++) {
            (void)json_array_append_new(
                json, object_json(&object->via.array.ptr[i], quoted, money, depth + 1));
        }
        return json;
    }
    }
    return json_null();
}

json_t *ctl_reply_json(const void *bytes, size_t count, bool money) {
    msgpack_unpacked unpacked;
    msgpack_unpacked_init(&unpacked);
    json_t *json = NULL;
    if (msgpack_unpack_next(&unpacked, bytes, count, NULL) == MSGPACK_UNPACK_SUCCESS) {
        json = object_json(&unpacked.data, false, money, 0);
    }
    msgpack_unpacked_destroy(&unpacked);
    return json;
}

void ctl_amount_text(const json_t *amount, json_int_t scale, char *into, size_t room) {
    const char *digits = json_string_value(amount);
    if (digits == NULL || scale < 0 || scale > WL_SCALE_MAX) {
        (void)snprintf(into, room, "-");
        return;
    }
    const char *sign = digits[0] == '-' ? "-" : "";
    digits += digits[0] == '-';
    if (scale == 0) {
        (void)snprintf(into, room, "%s%s", sign, digits);
        return;
    }
    char padded[40]; /* at least one digit before the point */
    int missing = (int)scale + 1 - (int)strlen(digits);
    (void)snprintf(padded, sizeof padded, "%.*s%s", missing > 0 ? missing : 0, "0000000000",
                   digits);
    int whole = (int)strlen(padded) - (int)scale;
    (void)snprintf(into, room, "%s%.*s.%s", sign, whole, padded, padded + whole);
}
