/* text.h: what a text must be before it is kept or shown: UTF-8 that a terminal, a log and a page
 * survive. Pure, any thread. */
#ifndef WL_BASE_TEXT_H
#define WL_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes of the UTF-8 character (RFC 3629) that begins here, 1..4; 0 = it is none. at is
 * NUL-terminated; the NUL itself has one byte. */
size_t wl_utf8_bytes(const unsigned char *at);

/* NUL-terminated within size, valid UTF-8, no control characters. */
bool wl_text_valid(const char *text, size_t size);

#endif
