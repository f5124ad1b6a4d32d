#include "domain/cursor.h"

#include "base/check.h"

#include <sodium.h>
#include <string.h>

enum {
    FORMAT = 2,
    PLACE_BYTES_MAX =
        1 + WL_LINE_ID_MAX + 1 + 8 + 1 + WL_TIMELINE_ID_MAX + 8 + 2 + WL_TIMELINE_CURSOR_MAX,
    HEAD_BYTES = 1 + 8 + 8 + 8 + 4 + 1,
    PLAIN_BYTES_MAX = HEAD_BYTES + WL_TIMELINE_LINES_MAX * PLACE_BYTES_MAX,
    SEALED_BYTES_MAX = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + PLAIN_BYTES_MAX,
    FLAG_ENDED = 1,
    FLAG_BEGUN = 2,
    FLAG_REACHED = 4,
    BASE64 = sodium_base64_VARIANT_URLSAFE_NO_PADDING,
};

static_assert((SEALED_BYTES_MAX + 2) / 3 * 4 <= WL_CURSOR_TEXT_MAX, "the longest cursor fits");
static_assert(WL_CURSOR_KEY_BYTES == crypto_secretbox_KEYBYTES, "the key of a secretbox");

uint64_t wl_cursor_filter(const char *line, const char *month, uint32_t kind) {
    char text[128];
    int length = snprintf(text, sizeof text, "%s\n%s\n%u", line, month, kind);
    WL_ASSERT(length > 0 && length < (int)sizeof text);
    uint8_t hash[crypto_generichash_BYTES_MIN];
    unsigned long long bytes = (unsigned long long)length;
    (void)crypto_generichash(hash, sizeof hash, (const uint8_t *)text, bytes, NULL, 0);
    uint64_t number = 0;
    memcpy(&number, hash, sizeof number);
    return number;
}

/* ---- fields ---------------------------------------------------------------------------------- */

typedef struct {
    uint8_t *at;
    size_t used;
    size_t room;
    bool short_of; /* a field did not fit, or was not there */
} fields_t;

static void put_bytes(fields_t *self, const void *bytes, size_t count) {
    WL_ASSERT(self->used + count <= self->room);
    memcpy(self->at + self->used, bytes, count);
    self->used += count;
}

static void put_number(fields_t *self, uint64_t number, size_t bytes) {
    for (size_t i = 0; i < bytes; i++) {
        uint8_t byte = (uint8_t)(number >> (8 * i));
        put_bytes(self, &byte, 1);
    }
}

static void put_text(fields_t *self, const char *text) {
    size_t bytes = strlen(text);
    put_number(self, bytes, 1);
    put_bytes(self, text, bytes);
}

static void get_bytes(fields_t *self, void *into, size_t count) {
    if (self->short_of || count > self->room - self->used) {
        self->short_of = true;
        memset(into, 0, count);
        return;
    }
    memcpy(into, self->at + self->used, count);
    self->used += count;
}

static uint64_t get_number(fields_t *self, size_t bytes) {
    uint8_t raw[8] = {0};
    uint64_t number = 0;
    get_bytes(self, raw, bytes);
    for (size_t i = 0; i < bytes; i++) {
        number |= (uint64_t)raw[i] << (8 * i);
    }
    return number;
}

static void get_text(fields_t *self, char *into, size_t max) {
    size_t bytes = get_number(self, 1);
    if (bytes > max) {
        self->short_of = true;
        bytes = 0;
    }
    get_bytes(self, into, bytes);
    into[bytes] = '\0';
}

static void place_put(fields_t *to, const wl_timeline_place_t *place) {
    put_text(to, place->line);
    put_number(to,
               (place->ended ? FLAG_ENDED : 0) | (place->begun ? FLAG_BEGUN : 0) |
                   (place->reached ? FLAG_REACHED : 0),
               1);
    put_number(to, (uint64_t)place->last.time, 8);
    put_text(to, place->last.id);
    put_number(to, (uint64_t)place->reach, 8);
    put_number(to, place->cursor_bytes, 2);
    put_bytes(to, place->cursor, place->cursor_bytes);
}

static void place_get(fields_t *from, wl_timeline_place_t *place) {
    get_text(from, place->line, WL_LINE_ID_MAX);
    uint64_t flags = get_number(from, 1);
    place->ended = (flags & FLAG_ENDED) != 0;
    place->begun = (flags & FLAG_BEGUN) != 0;
    place->reached = (flags & FLAG_REACHED) != 0;
    place->last.time = (int64_t)get_number(from, 8);
    get_text(from, place->last.id, WL_TIMELINE_ID_MAX);
    place->reach = (int64_t)get_number(from, 8);
    place->cursor_bytes = (uint16_t)get_number(from, 2);
    if (place->cursor_bytes > WL_TIMELINE_CURSOR_MAX) {
        from->short_of = true;
        place->cursor_bytes = 0;
    }
    get_bytes(from, place->cursor, place->cursor_bytes);
}

/* ---- sealing --------------------------------------------------------------------------------- */

void wl_cursor_seal(const wl_cursor_t *self, const uint8_t key[static WL_CURSOR_KEY_BYTES],
                    char ret_text[static WL_CURSOR_TEXT_MAX + 1]) {
    uint8_t plain[PLAIN_BYTES_MAX];
    uint8_t sealed[SEALED_BYTES_MAX];
    fields_t to = {.at = plain, .room = sizeof plain};
    WL_ASSERT(self->count <= WL_TIMELINE_LINES_MAX);
    put_number(&to, FORMAT, 1);
    put_number(&to, self->uid, 8);
    put_number(&to, self->filter, 8);
    put_number(&to, (uint64_t)self->issued_at.ms, 8);
    put_number(&to, self->shown, 4);
    put_number(&to, self->count, 1);
    for (uint32_t i = 0; i < self->count; i++) {
        place_put(&to, &self->places[i]);
    }
    randombytes_buf(sealed, crypto_secretbox_NONCEBYTES);
    (void)crypto_secretbox_easy(sealed + crypto_secretbox_NONCEBYTES, plain, to.used, sealed, key);
    size_t bytes = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + to.used;
    (void)sodium_bin2base64(ret_text, WL_CURSOR_TEXT_MAX + 1, sealed, bytes, BASE64);
}

/* The fields of a text that was sealed with this key. */
static bool cursor_unseal(const char *text, size_t bytes,
                          const uint8_t key[static WL_CURSOR_KEY_BYTES], uint8_t *plain,
                          size_t *ret_bytes) {
    uint8_t sealed[SEALED_BYTES_MAX];
    size_t count = 0;
    const size_t around = crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES;
    if (bytes > WL_CURSOR_TEXT_MAX ||
        sodium_base642bin(sealed, sizeof sealed, text, bytes, NULL, &count, NULL, BASE64) != 0 ||
        count < around + HEAD_BYTES) {
        return false;
    }
    *ret_bytes = count - around;
    return crypto_secretbox_open_easy(plain, sealed + crypto_secretbox_NONCEBYTES,
                                      count - crypto_secretbox_NONCEBYTES, sealed, key) == 0;
}

static bool cursor_get(fields_t *from, wl_cursor_t *into) {
    if (get_number(from, 1) != FORMAT) {
        return false;
    }
    into->uid = get_number(from, 8);
    into->filter = get_number(from, 8);
    into->issued_at.ms = (int64_t)get_number(from, 8);
    into->shown = (uint32_t)get_number(from, 4);
    into->count = (uint32_t)get_number(from, 1);
    if (into->count > WL_TIMELINE_LINES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < into->count; i++) {
        place_get(from, &into->places[i]);
    }
    return !from->short_of && from->used == from->room;
}

wl_err_t wl_cursor_open(const char *text, size_t bytes,
                        const uint8_t key[static WL_CURSOR_KEY_BYTES], uint64_t uid,
                        uint64_t filter, wl_wall_ms_t now, wl_cursor_t *ret, wl_fault_t *fault) {
    uint8_t plain[PLAIN_BYTES_MAX];
    size_t plain_bytes = 0;
    const char *problem = NULL;
    bool sound = cursor_unseal(text, bytes, key, plain, &plain_bytes);
    fields_t from = {.at = plain, .room = plain_bytes};
    if (!sound || !cursor_get(&from, ret)) {
        problem = "cursor: is not one that this server has given";
    } else if (ret->uid != uid || ret->filter != filter) {
        problem = "cursor: belongs to another list";
    } else if (now.ms - ret->issued_at.ms > WL_CURSOR_AGE_MS) {
        problem = "cursor: is too old, begin anew";
    } else if (ret->shown >= WL_CURSOR_SHOWN_MAX) {
        problem = "cursor: the list is not followed that deep";
    }
    return problem == NULL ? WL_OK : wl_fault(fault, WL_ERR_BAD_REQUEST, "cursor", "%s", problem);
}
