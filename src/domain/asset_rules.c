#include "domain/asset_rules.h"

#include "base/check.h"
#include "base/text.h"

#include <stdio.h>
#include <string.h>

enum { EXTRA_DEPTH_MAX = 8 };

bool wl_asset_newer(const wl_asset_t *incoming, const wl_asset_t *stored) {
    return stored == NULL || incoming->version > stored->version;
}

bool wl_asset_same_key(const wl_asset_t *a, const wl_asset_t *b) {
    return a->uid == b->uid && strcmp(a->line, b->line) == 0 && strcmp(a->bucket, b->bucket) == 0;
}

wl_state_t wl_asset_state_at(const wl_asset_t *asset, wl_wall_ms_t now) {
    bool owned = asset->state == WL_STATE_AVAILABLE || asset->state == WL_STATE_FROZEN;
    bool over = asset->expires_at > 0 && now.ms >= asset->expires_at;
    return owned && over ? WL_STATE_EXPIRED : (wl_state_t)asset->state;
}

/* validity */

/* Big-endian number of `width` bytes; the caller has checked that they are there. */
static uint32_t extra_number(const uint8_t *at, size_t width) {
    uint32_t number = 0;
    for (size_t i = 0; i < width; i++) {
        number = number << 8 | at[i];
    }
    return number;
}

/* What follows the head bytes 0xc0..0xdf: fixed payload, then a length of `width` bytes that counts
 * bytes (per_element 0) or elements of so many objects. Format: msgpack.org, spec.md. */
static const struct {
    uint8_t payload;
    uint8_t width;
    uint8_t per_element;
} extra_heads[0x20] = {
    [0x04] = {0, 1, 0},  [0x05] = {0, 2, 0}, [0x06] = {0, 4, 0},                     /* bin */
    [0x07] = {1, 1, 0},  [0x08] = {1, 2, 0}, [0x09] = {1, 4, 0},                     /* ext */
    [0x0a] = {4, 0, 0},  [0x0b] = {8, 0, 0},                                         /* float */
    [0x0c] = {1, 0, 0},  [0x0d] = {2, 0, 0}, [0x0e] = {4, 0, 0}, [0x0f] = {8, 0, 0}, /* uint */
    [0x10] = {1, 0, 0},  [0x11] = {2, 0, 0}, [0x12] = {4, 0, 0}, [0x13] = {8, 0, 0}, /* int */
    [0x14] = {2, 0, 0},  [0x15] = {3, 0, 0}, [0x16] = {5, 0, 0}, [0x17] = {9, 0, 0}, /* fixext */
    [0x18] = {17, 0, 0}, [0x19] = {0, 1, 0}, [0x1a] = {0, 2, 0}, [0x1b] = {0, 4, 0}, /* str */
    [0x1c] = {0, 2, 1},  [0x1d] = {0, 4, 1},                                         /* array */
    [0x1e] = {0, 2, 2},  [0x1f] = {0, 4, 2},                                         /* map */
};

/* Reads one head from the `left` >= 1 bytes at `at`. Returns the bytes of head and payload, maybe
 * more than left, and how many objects follow inside it; 0 = not well formed. */
static size_t extra_head(const uint8_t *at, size_t left, uint32_t *ret_children) {
    uint8_t head = at[0];
    *ret_children = 0;
    if (head < 0x80 || head >= 0xe0) {
        return 1; /* small integers */
    }
    if (head < 0xa0) { /* small maps and arrays */
        *ret_children = (head & 0x0fu) * (head < 0x90 ? 2 : 1);
        return 1;
    }
    if (head < 0xc0) {
        return 1u + (head & 0x1fu); /* small texts */
    }
    size_t payload = extra_heads[head & 0x1f].payload;
    size_t width = extra_heads[head & 0x1f].width;
    uint32_t per_element = extra_heads[head & 0x1f].per_element;
    if (head == 0xc1 || left <= width) {
        return 0;
    }
    uint32_t number = extra_number(at + 1, width);
    if (number > WL_EXTRA_BYTES_MAX) {
        return 0;
    }
    *ret_children = number * per_element;
    return 1 + width + payload + (per_element == 0 ? number : 0);
}

bool wl_asset_extra_valid(const uint8_t *bytes, size_t count) {
    if (count == 0 || count > WL_EXTRA_BYTES_MAX ||
        ((bytes[0] & 0xf0) != 0x80 && bytes[0] != 0xde && bytes[0] != 0xdf)) {
        return false;
    }
    uint32_t open[EXTRA_DEPTH_MAX + 1] = {1}; /* objects still to come, per level */
    size_t depth = 0;
    size_t at = 0;
    while (at < count) {
        uint32_t children = 0;
        size_t bytes_taken = extra_head(bytes + at, count - at, &children);
        if (bytes_taken == 0 || bytes_taken > count - at) {
            return false;
        }
        at += bytes_taken;
        open[depth]--;
        if (children > 0) {
            if (depth == EXTRA_DEPTH_MAX) {
                return false;
            }
            open[++depth] = children;
        }
        while (depth > 0 && open[depth] == 0) {
            depth--;
        }
        if (depth == 0 && open[0] == 0) {
            return at == count;
        }
    }
    return false;
}

wl_err_t wl_asset_valid(const wl_asset_t *asset, wl_fault_t *fault) {
    const wl_err_t bad = WL_ERR_BAD_REQUEST;
    if (asset->uid == 0) {
        return wl_fault(fault, bad, "uid", "must not be 0");
    }
    if (!wl_text_valid(asset->line, sizeof asset->line) || !wl_line_id_valid(asset->line)) {
        return wl_fault(fault, bad, "line", "must match [a-z0-9_-]{1,32}");
    }
    if (!wl_text_valid(asset->bucket, sizeof asset->bucket)) {
        return wl_fault(fault, bad, "bucket", "must be a printable text of at most %d bytes",
                        WL_BUCKET_MAX);
    }
    if (!wl_text_valid(asset->unit, sizeof asset->unit)) {
        return wl_fault(fault, bad, "unit", "must be a printable text of at most %d bytes",
                        WL_UNIT_MAX);
    }
    if (asset->version == 0 || asset->version > WL_VERSION_MAX) {
        return wl_fault(fault, bad, "version", "must be from 1 to 2^63 - 1");
    }
    if (asset->kind >= WL_KIND_COUNT) {
        return wl_fault(fault, bad, "kind", "is not a known kind");
    }
    if (asset->state >= WL_STATE_COUNT) {
        return wl_fault(fault, bad, "state", "is not a known state");
    }
    if (asset->scale > WL_SCALE_MAX) {
        return wl_fault(fault, bad, "scale", "must be from 0 to %d", WL_SCALE_MAX);
    }
    if (asset->expires_at < 0) {
        return wl_fault(fault, bad, "expires_at", "must not be negative");
    }
    if (asset->extra_bytes > WL_EXTRA_BYTES_MAX) {
        return wl_fault(fault, bad, "extra", "must have at most %d bytes", WL_EXTRA_BYTES_MAX);
    }
    if (asset->extra_bytes > 0 &&
        (asset->extra == NULL || !wl_asset_extra_valid(asset->extra, asset->extra_bytes))) {
        return wl_fault(fault, bad, "extra", "must be one MessagePack map");
    }
    return WL_OK;
}

/* sanity: messages name fields and limits, never amounts, since they end up in logs */

wl_err_t wl_asset_sane(const wl_asset_t *asset, const wl_line_t *line, wl_fault_t *fault) {
    const wl_err_t bad = WL_ERR_BAD_REQUEST;
    if (strcmp(asset->line, line->id) != 0) {
        return wl_fault(fault, bad, "line", "is not the line that was asked");
    }
    if (wl_bucket_reserved(asset->bucket)) {
        return wl_fault(fault, bad, "bucket", "begins with \"!\", which lines may not use");
    }
    if (asset->state == WL_STATE_GONE) {
        return WL_OK; /* a tombstone holds nothing that could be wrong */
    }
    if (asset->kind != line->kind) {
        return wl_fault(fault, bad, "kind", "is %s, the line is of kind %s",
                        wl_kind_name((wl_kind_t)asset->kind), wl_kind_name(line->kind));
    }
    if (strcmp(asset->unit, line->unit) != 0) {
        return wl_fault(fault, bad, "unit", "is \"%s\", the line sends \"%s\"", asset->unit,
                        line->unit);
    }
    if (asset->scale != line->scale) {
        return wl_fault(fault, bad, "scale", "is %u, the line has %u", (unsigned)asset->scale,
                        (unsigned)line->scale);
    }
    const wl_sanity_t *sanity = &line->sanity;
    if (asset->amount < sanity->amount_min) {
        return wl_fault(fault, bad, "amount", "is below amount_min of the line");
    }
    if (asset->amount > sanity->amount_max) {
        return wl_fault(fault, bad, "amount", "is above amount_max of the line");
    }
    /* A least amount above zero says nothing about what is still owed. */
    if (asset->pending < (sanity->amount_min < 0 ? sanity->amount_min : 0)) {
        return wl_fault(fault, bad, "pending", "is below amount_min of the line");
    }
    if (asset->pending > (sanity->amount_max > 0 ? sanity->amount_max : 0)) {
        return wl_fault(fault, bad, "pending", "is above amount_max of the line");
    }
    return WL_OK;
}

/* |a - b| without overflow. */
static uint64_t amount_distance(int64_t a, int64_t b) {
    return a > b ? (uint64_t)a - (uint64_t)b : (uint64_t)b - (uint64_t)a;
}

wl_err_t wl_asset_step_sane(const wl_asset_t *incoming, const wl_asset_t *stored,
                            const wl_line_t *line, wl_fault_t *fault) {
    if (stored == NULL) {
        return WL_OK;
    }
    const wl_sanity_t *sanity = &line->sanity;
    if (sanity->version_ahead_max > 0 && incoming->version > stored->version &&
        incoming->version - stored->version > sanity->version_ahead_max) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "version",
                        "steps further than version_ahead_max of the line");
    }
    /* Amounts compare only where both sides hold one in the same unit. */
    bool comparable = incoming->state != WL_STATE_GONE && stored->state != WL_STATE_GONE &&
                      incoming->scale == stored->scale && strcmp(incoming->unit, stored->unit) == 0;
    if (sanity->jump_max > 0 && comparable &&
        amount_distance(incoming->amount, stored->amount) > (uint64_t)sanity->jump_max) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "amount",
                        "jumps further than jump_max of the line");
    }
    return WL_OK;
}

/* amounts */

wl_err_t wl_amount_add(int64_t *sum, int64_t value) {
    int64_t result = 0;
    if (__builtin_add_overflow(*sum, value, &result)) {
        return WL_ERR_OVERFLOW;
    }
    *sum = result;
    return WL_OK;
}

/* Appends decimal digits, on the negative side, which reaches INT64_MIN. */
static wl_err_t amount_digits(const char *digits, size_t count, int64_t *amount) {
    for (size_t i = 0; i < count; i++) {
        if (__builtin_mul_overflow(*amount, (int64_t)10, amount) ||
            __builtin_sub_overflow(*amount, (int64_t)(digits[i] - '0'), amount)) {
            return WL_ERR_OVERFLOW;
        }
    }
    return WL_OK;
}

wl_err_t wl_amount_parse(const char *text, uint8_t scale, int64_t *ret) {
    static const char zeros[] = "000000000";
    static_assert(sizeof zeros == WL_SCALE_MAX + 1, "one zero for each digit of the largest scale");
    if (text == NULL || scale > WL_SCALE_MAX) {
        return WL_ERR_BAD_REQUEST;
    }
    bool negative = text[0] == '-';
    const char *whole = text + (negative ? 1 : 0);
    size_t whole_count = strspn(whole, "0123456789");
    const char *rest = whole + whole_count;
    size_t decimals = *rest == '.' ? strspn(rest + 1, "0123456789") : 0;
    if (whole_count == 0 || (*rest == '.' && decimals == 0)) {
        return WL_ERR_BAD_REQUEST;
    }
    const char *end = *rest == '.' ? rest + 1 + decimals : rest;
    if (*end != '\0' || decimals > scale) {
        return WL_ERR_BAD_REQUEST;
    }
    int64_t amount = 0;
    if (amount_digits(whole, whole_count, &amount) != WL_OK ||
        amount_digits(end - decimals, decimals, &amount) != WL_OK ||
        amount_digits(zeros, scale - decimals, &amount) != WL_OK) {
        return WL_ERR_OVERFLOW;
    }
    if (!negative && amount == INT64_MIN) {
        return WL_ERR_OVERFLOW;
    }
    *ret = negative ? amount : -amount;
    return WL_OK;
}

void wl_amount_format(int64_t amount, uint8_t scale, char ret_text[32]) {
    if (scale > WL_SCALE_MAX) {
        (void)snprintf(ret_text, 32, "?"); /* damaged: no number is better than a wrong one */
        return;
    }
    char reversed[32];
    size_t count = 0;
    uint64_t left = amount < 0 ? 0 - (uint64_t)amount : (uint64_t)amount;
    while (left > 0 || count <= (size_t)scale + (scale > 0 ? 1 : 0)) {
        if (scale > 0 && count == scale) {
            reversed[count++] = '.';
        }
        reversed[count++] = (char)('0' + left % 10);
        left /= 10;
    }
    WL_ASSERT(count + 2 <= 32); /* 19 digits, point, sign and NUL */
    size_t at = 0;
    if (amount < 0) {
        ret_text[at++] = '-';
    }
    while (count > 0) {
        ret_text[at++] = reversed[--count];
    }
    ret_text[at] = '\0';
}
