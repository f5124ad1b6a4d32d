/* An asset as the map that lines send, into the record. */
#include "base/check.h"
#include "proto/args.h"
#include "proto/walk.h"

#include <string.h>

enum {
    EXTRA_DEPTH_MAX = 4, /* the map itself and three levels in it */
    NAME_MAX_BYTES = 16, /* longest kind or state name, with room */
};

bool wl_extra_valid(const uint8_t *bytes, size_t count) {
    static const wl_walk_limits_t limits = {EXTRA_DEPTH_MAX, WL_EXTRA_BYTES_MAX};
    if (count == 0 || count > WL_EXTRA_BYTES_MAX) {
        return false;
    }
    bool is_map = (bytes[0] & 0xf0) == 0x80 || bytes[0] == 0xde || bytes[0] == 0xdf;
    return is_map && wl_walk(bytes, count, &limits, NULL) == WL_OK;
}

/* "-1250": an optional minus and digits that fit. */
static bool decimal_parse(const char *text, size_t bytes, int64_t *ret) {
    bool negative = bytes > 0 && text[0] == '-';
    int64_t value = 0;
    size_t at = negative ? 1 : 0;
    if (at == bytes) {
        return false;
    }
    for (; at < bytes; at++) {
        if (text[at] < '0' || text[at] > '9') {
            return false;
        }
        int digit = text[at] - '0';
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, negative ? -digit : digit, &value)) {
            return false;
        }
    }
    *ret = value;
    return true;
}

static wl_err_t read_amount(const msgpack_object *map, const char *key, int64_t *ret,
                            wl_fault_t *fault) {
    const msgpack_object *value = NULL;
    if (wl_args_find(map, key, &value) != WL_OK) {
        return WL_OK;
    }
    bool is_text = value->type == MSGPACK_OBJECT_STR || value->type == MSGPACK_OBJECT_BIN;
    if (!is_text) {
        return wl_args_i64(map, key, ret, fault);
    }
    if (!decimal_parse(value->via.str.ptr, value->via.str.size, ret)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key,
                        "%s: must be an integer of minor units, as in \"1250\"", key);
    }
    return WL_OK;
}

/* The readers below leave *ret alone when the key is absent, which is no error here. */
static wl_err_t absent_is_zero(wl_err_t err) {
    return err == WL_ERR_NOT_FOUND ? WL_OK : err;
}

static wl_err_t read_number(const msgpack_object *map, const char *key, uint64_t max, uint64_t *ret,
                            wl_fault_t *fault) {
    uint64_t value = 0;
    wl_err_t err = absent_is_zero(wl_args_u64(map, key, &value, fault));
    if (err == WL_OK && value > max) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, key, "%s: must be at most %llu", key,
                        (unsigned long long)max);
    }
    if (err == WL_OK) {
        *ret = value;
    }
    return err;
}

static wl_err_t read_kind(const msgpack_object *map, uint8_t *ret, wl_fault_t *fault) {
    char name[NAME_MAX_BYTES + 1] = "";
    wl_kind_t kind = WL_KIND_CASH;
    wl_err_t err = wl_args_text(map, "kind", name, NAME_MAX_BYTES, fault);
    if (err == WL_OK && !wl_kind_parse(name, &kind)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "kind", "kind: is none that is known");
    }
    *ret = (uint8_t)kind;
    return absent_is_zero(err);
}

static wl_err_t read_state(const msgpack_object *map, uint8_t *ret, wl_fault_t *fault) {
    char name[NAME_MAX_BYTES + 1] = "";
    wl_state_t state = WL_STATE_AVAILABLE;
    wl_err_t err = wl_args_text(map, "state", name, NAME_MAX_BYTES, fault);
    if (err == WL_OK && !wl_state_parse(name, &state)) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "state", "state: is none that is known");
    }
    *ret = (uint8_t)state;
    return absent_is_zero(err);
}

/* A fixed piece of memory that msgpack packs into; past its end packing fails. */
typedef struct {
    uint8_t at[WL_EXTRA_BYTES_MAX];
    size_t used;
} small_buffer_t;

static int small_buffer_write(void *data, const char *bytes, size_t count) {
    small_buffer_t *self = data;
    if (count > sizeof self->at - self->used) {
        return -1;
    }
    if (count > 0) {
        memcpy(self->at + self->used, bytes, count);
        self->used += count;
    }
    return 0;
}

static wl_err_t fault_extra(wl_fault_t *fault) {
    return wl_fault(fault, WL_ERR_BAD_REQUEST, "extra",
                    "extra: must be a map of at most %d bytes, packed, nested at most %d deep",
                    WL_EXTRA_BYTES_MAX, EXTRA_DEPTH_MAX);
}

static wl_err_t repack_extra(const msgpack_object *map, msgpack_zone *zone, wl_asset_t *ret,
                             wl_fault_t *fault) {
    small_buffer_t buffer = {.used = 0};
    msgpack_packer packer;
    msgpack_packer_init(&packer, &buffer, small_buffer_write);
    if (msgpack_pack_object(&packer, *map) != 0 || !wl_extra_valid(buffer.at, buffer.used)) {
        return fault_extra(fault);
    }
    uint8_t *copy = msgpack_zone_malloc_no_align(zone, buffer.used);
    WL_ASSERT(copy != NULL);
    memcpy(copy, buffer.at, buffer.used);
    ret->extra = copy;
    ret->extra_bytes = (uint16_t)buffer.used;
    return WL_OK;
}

static wl_err_t read_extra(const msgpack_object *map, msgpack_zone *zone, wl_asset_t *ret,
                           wl_fault_t *fault) {
    const msgpack_object *value = NULL;
    if (wl_args_find(map, "extra", &value) != WL_OK) {
        return WL_OK;
    }
    if (value->type == MSGPACK_OBJECT_MAP) {
        return value->via.map.size == 0 ? WL_OK : repack_extra(value, zone, ret, fault);
    }
    if (value->type != MSGPACK_OBJECT_BIN) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "extra", "extra: must be a map or bin, got %s",
                        wl_value_type_name(value));
    }
    if (value->via.bin.size == 0) {
        return WL_OK;
    }
    if (!wl_extra_valid((const uint8_t *)value->via.bin.ptr, value->via.bin.size)) {
        return fault_extra(fault);
    }
    ret->extra = (const uint8_t *)value->via.bin.ptr;
    ret->extra_bytes = (uint16_t)value->via.bin.size;
    return WL_OK;
}

static wl_err_t read_texts(const msgpack_object *map, wl_asset_t *asset, wl_fault_t *fault) {
    wl_err_t err = absent_is_zero(wl_args_text(map, "line", asset->line, WL_LINE_ID_MAX, fault));
    if (err == WL_OK) {
        err = absent_is_zero(wl_args_text(map, "bucket", asset->bucket, WL_BUCKET_MAX, fault));
    }
    if (err == WL_OK) {
        err = absent_is_zero(wl_args_text(map, "unit", asset->unit, WL_UNIT_MAX, fault));
    }
    if (err == WL_OK) {
        err = read_kind(map, &asset->kind, fault);
    }
    if (err == WL_OK) {
        err = read_state(map, &asset->state, fault);
    }
    return err;
}

static wl_err_t read_numbers(const msgpack_object *map, wl_asset_t *asset, wl_fault_t *fault) {
    uint64_t count = 0;
    uint64_t scale = 0;
    const msgpack_object *uid = NULL;
    wl_err_t err = wl_args_find(map, "uid", &uid);
    err = err == WL_OK ? wl_args_uid(map, "uid", &asset->uid, fault) : WL_OK;
    if (err == WL_OK) {
        err = read_number(map, "version", WL_VERSION_MAX, &asset->version, fault);
    }
    if (err == WL_OK) {
        err = read_number(map, "count", UINT32_MAX, &count, fault);
    }
    if (err == WL_OK) {
        err = read_number(map, "scale", WL_SCALE_MAX, &scale, fault);
    }
    if (err == WL_OK) {
        err = read_amount(map, "amount", &asset->amount, fault);
    }
    if (err == WL_OK) {
        err = read_amount(map, "pending", &asset->pending, fault);
    }
    if (err == WL_OK) {
        err = absent_is_zero(wl_args_i64(map, "expires_at", &asset->expires_at, fault));
    }
    if (err == WL_OK) {
        err = absent_is_zero(wl_args_i64(map, "changed_at", &asset->changed_at, fault));
    }
    asset->count = (uint32_t)count;
    asset->scale = (uint8_t)scale;
    return err;
}

wl_err_t wl_value_asset(const msgpack_object *value, msgpack_zone *zone, wl_asset_t *ret,
                        wl_fault_t *fault) {
    WL_ASSERT(zone != NULL);
    if (value->type != MSGPACK_OBJECT_MAP) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "asset", "asset: must be a map, got %s",
                        wl_value_type_name(value));
    }
    wl_asset_t asset;
    memset(&asset, 0, sizeof asset);
    wl_err_t err = read_texts(value, &asset, fault);
    if (err == WL_OK) {
        err = read_numbers(value, &asset, fault);
    }
    if (err == WL_OK) {
        err = read_extra(value, zone, &asset, fault);
    }
    if (err == WL_OK) {
        *ret = asset;
    }
    return err;
}
