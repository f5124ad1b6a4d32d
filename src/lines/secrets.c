#include "lines/secrets.h"

#include "base/alloc.h"
#include "base/asset.h"

#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    REREAD_MS = 5000, /* how long a key is used before its file is looked at again */
    FOLDER_MAX = 400, /* bytes, as settings.def allows */
    PATH_BYTES = FOLDER_MAX + WL_LINE_ID_MAX + 2,
};

typedef struct {
    char name[WL_LINE_ID_MAX + 1];          /* "" = free */
    wl_mono_ms_t read_at;                   /* when the file was read */
    size_t bytes;                           /* of the key */
    unsigned char key[WL_SECRET_BYTES_MAX]; /* never logged */
} secret_t;

struct wl_secrets {
    char folder[FOLDER_MAX + 1];  /* "" = there are no keys */
    uint32_t count;               /* secrets in use */
    secret_t items[WL_LINES_MAX]; /* one per line is enough */
};

wl_secrets_t *wl_secrets_new(const char *folder) {
    wl_secrets_t *self = wl_alloc_zero(1, sizeof *self);
    (void)snprintf(self->folder, sizeof self->folder, "%s", folder == NULL ? "" : folder);
    return self;
}

void wl_secrets_destroy(wl_secrets_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    sodium_memzero(*self, sizeof **self);
    wl_free(*self);
    *self = NULL;
}

/* Fills key and bytes of *secret; leaves it alone on failure. */
static wl_err_t secret_read(const char *folder, const char *name, secret_t *secret) {
    char path[PATH_BYTES];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file == -1) {
        return WL_ERR_SETTINGS;
    }
    unsigned char bytes[WL_SECRET_BYTES_MAX + 3]; /* a line end, and one byte to see it is longer */
    ssize_t count = read(file, bytes, sizeof bytes);
    (void)close(file);
    while (count > 0 && (bytes[count - 1] == '\n' || bytes[count - 1] == '\r')) {
        count--;
    }
    bool usable = count > 0 && count <= WL_SECRET_BYTES_MAX;
    if (usable) {
        secret->bytes = (size_t)count;
        memcpy(secret->key, bytes, secret->bytes);
    }
    sodium_memzero(bytes, sizeof bytes);
    return usable ? WL_OK : WL_ERR_SETTINGS;
}

static secret_t *secret_find(wl_secrets_t *self, const char *name) {
    for (uint32_t i = 0; i < self->count; i++) {
        if (strcmp(self->items[i].name, name) == 0) {
            return &self->items[i];
        }
    }
    return NULL;
}

/* The place for one more; names of configurations long gone make room. */
static secret_t *secret_add(wl_secrets_t *self) {
    if (self->count < WL_LINES_MAX) {
        return &self->items[self->count++];
    }
    secret_t *oldest = &self->items[0];
    for (uint32_t i = 1; i < self->count; i++) {
        if (self->items[i].read_at.ms < oldest->read_at.ms) {
            oldest = &self->items[i];
        }
    }
    return oldest;
}

wl_err_t wl_secrets_key(wl_secrets_t *self, const char *name, wl_mono_ms_t now,
                        const void **ret_key, size_t *ret_bytes) {
    if (self->folder[0] == '\0' || !wl_line_id_valid(name)) {
        return WL_ERR_SETTINGS;
    }
    secret_t *secret = secret_find(self, name);
    if (secret == NULL) {
        secret_t fresh = {.bytes = 0};
        wl_err_t err = secret_read(self->folder, name, &fresh);
        if (err != WL_OK) {
            return err;
        }
        secret = secret_add(self);
        *secret = fresh;
        (void)snprintf(secret->name, sizeof secret->name, "%s", name);
        secret->read_at = now;
        sodium_memzero(&fresh, sizeof fresh);
    } else if (now.ms - secret->read_at.ms >= REREAD_MS) {
        secret->read_at = now;
        (void)secret_read(self->folder, name, secret); /* unreadable: the last good key stays */
    }
    *ret_key = secret->key;
    *ret_bytes = secret->bytes;
    return WL_OK;
}
