#include "store/cache_record.h"

#include "store/asset_row.h"

#include <string.h>

enum {
    FIXED_BYTES = 3 + 4 + 4 * 8 + 1 + 2 /* kind, scale, state, count, four times i64, lengths */
};

void wl_cache_digits(uint64_t number, char ret[WL_CACHE_DIGITS]) {
    for (int i = WL_CACHE_DIGITS - 1; i >= 0; i--) {
        ret[i] = (char)('0' + number % 10);
        number /= 10;
    }
}

/* false: not 20 digits, or too large a number. */
static bool digits_read(const uint8_t *at, uint64_t *ret) {
    uint64_t number = 0;
    for (int i = 0; i < WL_CACHE_DIGITS; i++) {
        uint64_t digit = (uint64_t)at[i] - '0';
        if (at[i] < '0' || at[i] > '9' || number > (UINT64_MAX - digit) / 10) {
            return false;
        }
        number = number * 10 + digit;
    }
    *ret = number;
    return true;
}

size_t wl_cache_record_field(const wl_asset_t *asset, char ret[WL_CACHE_FIELD_BYTES_MAX + 1]) {
    size_t line = strlen(asset->line);
    size_t bucket = strlen(asset->bucket);
    memcpy(ret, asset->line, line);
    ret[line] = '/';
    memcpy(ret + line + 1, asset->bucket, bucket + 1);
    return line + 1 + bucket;
}

static uint8_t *number_put(uint8_t *at, uint64_t number, unsigned bytes) {
    for (unsigned i = 0; i < bytes; i++) {
        at[i] = (uint8_t)(number >> (8 * (bytes - 1 - i)));
    }
    return at + bytes;
}

static uint64_t number_take(const uint8_t **at, unsigned bytes) {
    uint64_t number = 0;
    for (unsigned i = 0; i < bytes; i++) {
        number = number << 8 | *(*at)++;
    }
    return number;
}

size_t wl_cache_record_pack(const wl_asset_t *asset, uint8_t ret[WL_CACHE_VALUE_BYTES_MAX]) {
    size_t unit = strlen(asset->unit);
    wl_cache_digits(asset->version, (char *)ret);
    /* a time before 1970 sorts as 1970: only which of two is later matters here */
    uint64_t pulled = asset->pulled_at < 0 ? 0 : (uint64_t)asset->pulled_at;
    wl_cache_digits(pulled, (char *)ret + WL_CACHE_DIGITS);
    uint8_t *at = ret + WL_CACHE_ORDER_BYTES;
    at = number_put(at, asset->kind, 1);
    at = number_put(at, asset->scale, 1);
    at = number_put(at, asset->state, 1);
    at = number_put(at, asset->count, 4);
    at = number_put(at, (uint64_t)asset->amount, 8);
    at = number_put(at, (uint64_t)asset->pending, 8);
    at = number_put(at, (uint64_t)asset->expires_at, 8);
    at = number_put(at, (uint64_t)asset->changed_at, 8);
    at = number_put(at, unit, 1);
    memcpy(at, asset->unit, unit);
    at = number_put(at + unit, asset->extra_bytes, 2);
    if (asset->extra_bytes > 0) {
        memcpy(at, asset->extra, asset->extra_bytes);
    }
    return (size_t)(at - ret) + asset->extra_bytes;
}

/* The bytes hold no NUL, where a text would end early and be another one. */
static bool text_read(const void *at, size_t bytes, char *ret) {
    if (memchr(at, '\0', bytes) != NULL) {
        return false;
    }
    memcpy(ret, at, bytes);
    return true;
}

static bool field_read(const char *field, size_t bytes, wl_asset_t *asset) {
    const char *slash = memchr(field, '/', bytes);
    if (slash == NULL) {
        return false;
    }
    size_t line = (size_t)(slash - field);
    size_t bucket = bytes - line - 1;
    if (line == 0 || line > WL_LINE_ID_MAX || bucket > WL_BUCKET_MAX) {
        return false;
    }
    return text_read(field, line, asset->line) && text_read(slash + 1, bucket, asset->bucket);
}

wl_err_t wl_cache_record_unpack(uint64_t uid, const char *field, size_t field_bytes,
                                const void *value, size_t value_bytes, wl_asset_t *ret) {
    const uint8_t *at = value;
    const uint8_t *end = at + value_bytes;
    wl_asset_t asset = {.uid = uid};
    uint64_t pulled = 0;
    if (value_bytes < WL_CACHE_ORDER_BYTES + FIXED_BYTES || !digits_read(at, &asset.version) ||
        !digits_read(at + WL_CACHE_DIGITS, &pulled) || pulled > INT64_MAX ||
        !field_read(field, field_bytes, &asset)) {
        return WL_ERR_DAMAGED;
    }
    at += WL_CACHE_ORDER_BYTES;
    asset.pulled_at = (int64_t)pulled;
    asset.kind = (uint8_t)number_take(&at, 1);
    asset.scale = (uint8_t)number_take(&at, 1);
    asset.state = (uint8_t)number_take(&at, 1);
    asset.count = (uint32_t)number_take(&at, 4);
    asset.amount = (int64_t)number_take(&at, 8);
    asset.pending = (int64_t)number_take(&at, 8);
    asset.expires_at = (int64_t)number_take(&at, 8);
    asset.changed_at = (int64_t)number_take(&at, 8);
    size_t unit = (size_t)number_take(&at, 1);
    if (unit > WL_UNIT_MAX || (size_t)(end - at) < unit + 2 || !text_read(at, unit, asset.unit)) {
        return WL_ERR_DAMAGED;
    }
    at += unit;
    asset.extra_bytes = (uint16_t)number_take(&at, 2);
    asset.extra = asset.extra_bytes == 0 ? NULL : at;
    if ((size_t)(end - at) != asset.extra_bytes || wl_asset_row_check(&asset) != WL_OK) {
        return WL_ERR_DAMAGED;
    }
    *ret = asset;
    return WL_OK;
}
