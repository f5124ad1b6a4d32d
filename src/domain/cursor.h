/* cursor.h: where a list of details goes on, as a text that clients carry: sealed, so that it can
 * be neither read nor made by anybody else, and bound to its user and filter. Any thread, but for
 * the keys, which are made once.
 *
 * base64url(nonce, secretbox(fields)): XSalsa20-Poly1305 of libsodium, a random nonce
 * each; the fields lie one behind the other, numbers little-endian, texts behind their length. */
#ifndef WL_DOMAIN_CURSOR_H
#define WL_DOMAIN_CURSOR_H

#include "base/clock.h"
#include "base/err.h"
#include "domain/timeline.h"

#include <stddef.h>

enum {
    WL_CURSOR_KEY_BYTES = 32,
    WL_CURSOR_TEXT_MAX = 16384,    /* characters of the longest text */
    WL_CURSOR_AGE_MS = 86400000,   /* an older one is refused: lines forget theirs, too */
    WL_CURSOR_SHOWN_MAX = 1000000, /* items of one list; deeper pages are refused */
};

typedef struct {
    uint64_t uid;
    uint64_t filter; /* wl_cursor_filter() */
    wl_wall_ms_t issued_at;
    uint32_t shown; /* items so far */
    uint32_t count; /* places */
    wl_timeline_place_t places[WL_TIMELINE_LINES_MAX];
} wl_cursor_t;

/* What the list was asked for: a text that goes with another list gives another number. kind is a
 * wl_kind_t, or WL_KIND_COUNT for all. */
uint64_t wl_cursor_filter(const char *line, const char *month, uint32_t kind);

/* Writes a NUL-terminated text. */
void wl_cursor_seal(const wl_cursor_t *self, const uint8_t key[static WL_CURSOR_KEY_BYTES],
                    char ret_text[static WL_CURSOR_TEXT_MAX + 1]);
/* WL_ERR_BAD_REQUEST: not of this key, of another user or filter, too old, or too deep; fault says
 * which, and may be NULL. */
WL_MUST_USE wl_err_t wl_cursor_open(const char *text, size_t bytes,
                                    const uint8_t key[static WL_CURSOR_KEY_BYTES], uint64_t uid,
                                    uint64_t filter, wl_wall_ms_t now, wl_cursor_t *ret,
                                    wl_fault_t *fault);

#endif
