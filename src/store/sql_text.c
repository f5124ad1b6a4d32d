#include "store/sql_text.h"

#include "base/alloc.h"

#include <stdbool.h>
#include <string.h>

enum {
    FIRST_BYTES = 4096,
    DIGITS_MAX = 20, /* of 2^64 */
};

/* Room for `more` bytes, to be filled at what is returned; counted as used. */
static char *text_grow(wl_sql_text_t *self, size_t more) {
    if (self->capacity - self->used < more) {
        size_t capacity = self->capacity == 0 ? FIRST_BYTES : self->capacity * 2;
        while (capacity - self->used < more) {
            capacity *= 2;
        }
        self->at = wl_realloc(self->at, capacity);
        self->capacity = capacity;
    }
    char *at = self->at + self->used;
    self->used += more;
    return at;
}

void wl_sql_text_clear(wl_sql_text_t *self) {
    self->used = 0;
}

void wl_sql_text_destroy(wl_sql_text_t *self) {
    wl_free(self->at);
    *self = (wl_sql_text_t){0};
}

void wl_sql_add(wl_sql_text_t *self, const char *sql) {
    size_t bytes = strlen(sql);
    memcpy(text_grow(self, bytes), sql, bytes);
}

void wl_sql_unsigned(wl_sql_text_t *self, uint64_t value) {
    char digits[DIGITS_MAX];
    size_t count = 0;
    do {
        digits[DIGITS_MAX - ++count] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    memcpy(text_grow(self, count), digits + DIGITS_MAX - count, count);
}

void wl_sql_signed(wl_sql_text_t *self, int64_t value) {
    if (value < 0) {
        *text_grow(self, 1) = '-';
        wl_sql_unsigned(self, (uint64_t)0 - (uint64_t)value);
    } else {
        wl_sql_unsigned(self, (uint64_t)value);
    }
}

static bool is_plain(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

static void hex_add(wl_sql_text_t *self, const uint8_t *value, size_t bytes) {
    static const char digits[] = "0123456789abcdef";
    char *at = text_grow(self, bytes * 2 + 3);
    *at++ = 'x';
    *at++ = '\'';
    for (size_t i = 0; i < bytes; i++) {
        *at++ = digits[value[i] >> 4];
        *at++ = digits[value[i] & 15];
    }
    *at = '\'';
}

void wl_sql_text(wl_sql_text_t *self, const char *value) {
    size_t bytes = 0;
    while (value[bytes] != '\0' && is_plain(value[bytes])) {
        bytes++;
    }
    if (value[bytes] != '\0') {
        hex_add(self, (const uint8_t *)value, strlen(value));
        return;
    }
    char *at = text_grow(self, bytes + 2);
    at[0] = '\'';
    memcpy(at + 1, value, bytes);
    at[bytes + 1] = '\'';
}

void wl_sql_bytes(wl_sql_text_t *self, const uint8_t *value, size_t bytes) {
    if (bytes == 0) {
        wl_sql_add(self, "NULL");
    } else {
        hex_add(self, value, bytes);
    }
}
