/* key_file.h: one CURVE key in a file, in the format of czmq certificates, which pyzmq and others
 * read too:
 *     metadata
 *         name = "app-1"
 *         scope = "read"
 *         created = "2026-01-31T12:00:00Z"
 *     curve
 *         public-key = "40 characters"
 *         secret-key = "40 characters"      (in NAME.key_secret only)
 * Read line by line, so that a fault names the line. Any thread. Whoever reads a secret key wipes
 * it with wl_key_file_forget(). */
#ifndef WL_BASE_KEY_FILE_H
#define WL_BASE_KEY_FILE_H

#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

enum {
    WL_KEY_BYTES = 32,
    WL_KEY_TEXT_BYTES = 41,  /* a key as Z85 text, with its NUL */
    WL_KEY_NAME_MAX = 48,    /* bytes of a name, [a-z0-9_.-], not beginning with a dot */
    WL_KEY_SCOPE_MAX = 2200, /* bytes of a scope: notify for 64 lines of 32 bytes, and the rest */
};

typedef enum {
    WL_KEY_PUBLIC, /* NAME.key: a secret key inside is refused, it does not belong there */
    WL_KEY_SECRET, /* NAME.key_secret: both keys, a pair, readable by the owner alone */
} wl_key_part_t;

typedef struct {
    char name[WL_KEY_NAME_MAX + 1];   /* "" = not said */
    char scope[WL_KEY_SCOPE_MAX + 1]; /* as written, "" = not said */
    char created[32];                 /* as written, "" = not said */
    uint8_t public_key[WL_KEY_BYTES];
    uint8_t secret_key[WL_KEY_BYTES]; /* zero in a public file */
} wl_key_file_t;

/* [a-z0-9_.-]{1,48}, not beginning with a dot. */
bool wl_key_name_valid(const char *name);

/* Reads a regular file of at most 16 KiB. fault->line is the line, fault->where the field; the path
 * is not repeated. WL_ERR_NOT_FOUND: cannot be opened. WL_ERR_FORBIDDEN: others could read a secret
 * key or replace a public one. WL_ERR_SETTINGS: not such a file. */
WL_MUST_USE wl_err_t wl_key_file_read(const char *path, wl_key_part_t part, wl_key_file_t *ret,
                                      wl_fault_t *fault);

/* Writes folder/NAME.key_secret (0600) and folder/NAME.key (0644) of a key in memory. Neither may
 * exist: WL_ERR_CONFLICT. Nothing is left behind on an error. */
WL_MUST_USE wl_err_t wl_key_file_write(const char *folder, const wl_key_file_t *key,
                                       wl_fault_t *fault);

/* A fresh pair of keys; the rest of *ret is zero. */
void wl_key_file_new(wl_key_file_t *ret);
/* Wipes what must not stay in memory. */
void wl_key_file_forget(wl_key_file_t *self);

/* "3fa2b1c0d4e5f607": the beginning of a public key, for logs and the ids of keys. */
void wl_key_fingerprint(const uint8_t public_key[WL_KEY_BYTES], char ret[17]);

#endif
