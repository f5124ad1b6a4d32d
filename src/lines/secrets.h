/* secrets.h: the keys that sign requests to lines: one file each in one folder, named by the line's
 * configuration. Read when first needed and again every few seconds, so that a key is rotated by
 * replacing its file. Belongs to one thread; reading a file may block it for a moment. Keys are
 * wiped from memory when they go. */
#ifndef WL_LINES_SECRETS_H
#define WL_LINES_SECRETS_H

#include "base/clock.h"
#include "base/err.h"

#include <stddef.h>

enum { WL_SECRET_BYTES_MAX = 256 };

typedef struct wl_secrets wl_secrets_t;

/* folder NULL or "": there are no keys. */
wl_secrets_t *wl_secrets_new(const char *folder);
void wl_secrets_destroy(wl_secrets_t **self); /* NULL and *NULL are accepted */

/* The key of that name ([a-z0-9_-]{1,32}), without the line end of its file; borrowed until the
 * next call. A file that became unreadable keeps the last good key. WL_ERR_SETTINGS: no folder, no
 * such file, empty or longer than WL_SECRET_BYTES_MAX. */
WL_MUST_USE wl_err_t wl_secrets_key(wl_secrets_t *self, const char *name, wl_mono_ms_t now,
                                    const void **ret_key, size_t *ret_bytes);

#endif
