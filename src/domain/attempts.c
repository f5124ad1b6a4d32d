#include "domain/attempts.h"

#include "base/check.h"

#include <string.h>

enum { FORMAT = 1, AS_BEFORE = 255, VARINT_BYTES_MAX = 10 };

void wl_attempts_add(wl_attempts_t *self, const wl_attempt_t *attempt) {
    WL_ASSERT(self->count <= WL_ATTEMPTS_MAX);
    if (self->count == WL_ATTEMPTS_MAX) {
        memmove(&self->at[0], &self->at[1], (WL_ATTEMPTS_MAX - 1) * sizeof self->at[0]);
        self->count--;
    }
    self->at[self->count++] = *attempt;
}

static size_t varint_write(uint64_t value, uint8_t *ret) {
    size_t used = 0;
    for (; value >= 0x80; value >>= 7) {
        ret[used++] = (uint8_t)(value | 0x80);
    }
    ret[used++] = (uint8_t)value;
    return used;
}

size_t wl_attempts_pack(const wl_attempts_t *self, uint8_t *ret) {
    size_t used = 0;
    uint64_t before = 0;
    const char *reason = NULL;
    if (self->count == 0) {
        return 0;
    }
    ret[used++] = FORMAT;
    for (uint32_t i = 0; i < self->count; i++) {
        const wl_attempt_t *attempt = &self->at[i];
        uint64_t step = (uint64_t)attempt->at - before;
        size_t bytes = strnlen(attempt->reason, WL_ATTEMPT_REASON_MAX);
        before = (uint64_t)attempt->at;
        ret[used++] = attempt->failure;
        used += varint_write(step << 1 ^ (step >> 63 != 0 ? UINT64_MAX : 0), ret + used);
        if (reason != NULL && strcmp(reason, attempt->reason) == 0) {
            ret[used++] = AS_BEFORE;
        } else {
            ret[used++] = (uint8_t)bytes;
            memcpy(ret + used, attempt->reason, bytes);
            used += bytes;
        }
        reason = attempt->reason;
    }
    WL_ASSERT(used <= WL_ATTEMPTS_BYTES_MAX);
    return used;
}

/* Bytes that are read from their begin on. */
typedef struct {
    const uint8_t *at;
    size_t left;
} cursor_t;

static bool cursor_byte(cursor_t *self, uint8_t *ret) {
    if (self->left == 0) {
        return false;
    }
    *ret = *self->at++;
    self->left--;
    return true;
}

static bool cursor_varint(cursor_t *self, uint64_t *ret) {
    uint64_t value = 0;
    uint8_t byte = 0x80;
    for (unsigned i = 0; (byte & 0x80) != 0; i++) {
        if (i == VARINT_BYTES_MAX || !cursor_byte(self, &byte)) {
            return false;
        }
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
    }
    *ret = value;
    return true;
}

static bool cursor_reason(cursor_t *self, const char *before, char *ret) {
    uint8_t bytes = 0;
    if (!cursor_byte(self, &bytes)) {
        return false;
    }
    if (bytes == AS_BEFORE && before != NULL) {
        memcpy(ret, before, strlen(before) + 1);
        return true;
    }
    if (bytes > WL_ATTEMPT_REASON_MAX || bytes > self->left) {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) {
        ret[i] = self->at[i] < ' ' || self->at[i] > '~' ? '?' : (char)self->at[i];
    }
    ret[bytes] = '\0';
    self->at += bytes;
    self->left -= bytes;
    return true;
}

static bool cursor_attempt(cursor_t *self, const wl_attempt_t *before, wl_attempt_t *ret) {
    uint64_t folded = 0;
    uint64_t last = before == NULL ? 0 : (uint64_t)before->at;
    if (!cursor_byte(self, &ret->failure) || !cursor_varint(self, &folded)) {
        return false;
    }
    ret->at = (int64_t)(last + (folded >> 1 ^ ((folded & 1) != 0 ? UINT64_MAX : 0)));
    return cursor_reason(self, before == NULL ? NULL : before->reason, ret->reason);
}

wl_err_t wl_attempts_unpack(const void *bytes, size_t count, wl_attempts_t *ret) {
    cursor_t cursor = {bytes, count};
    uint8_t format = 0;
    ret->count = 0;
    if (count == 0) {
        return WL_OK;
    }
    bool sound = cursor_byte(&cursor, &format) && format == FORMAT;
    while (sound && cursor.left > 0) {
        const wl_attempt_t *before = ret->count == 0 ? NULL : &ret->at[ret->count - 1];
        sound =
            ret->count < WL_ATTEMPTS_MAX && cursor_attempt(&cursor, before, &ret->at[ret->count]);
        ret->count += sound;
    }
    if (!sound || ret->count == 0) {
        ret->count = 0;
        return WL_ERR_DAMAGED;
    }
    return WL_OK;
}
