/* config_log_ops.h: what a backend of the configuration's log is. config_log.c checks arguments,
 * records and digests, sorts notes, then calls these; each has the meaning of its function in
 * config_log.h. Only src/store includes it. */
#ifndef WL_STORE_CONFIG_LOG_OPS_H
#define WL_STORE_CONFIG_LOG_OPS_H

#include "store/config_log.h"

enum {
    WL_CONFIG_LOG_SEQ_MAX = 99999999, /* eight digits in names of files and keys */
    WL_CONFIG_DIGEST_HEX = 64,
    WL_CONFIG_NOTES_MAX = 16384,          /* of one listing */
    WL_CONFIG_NOTES_BYTES_MAX = 64 << 20, /* of one listing */
    WL_CONFIG_PIECE_BYTES = 1 << 20,      /* a blob goes over the network in pieces of this size */
};

/* Notes on their way to the caller. */
typedef struct {
    char name[WL_CONFIG_NOTE_NAME_MAX + 1];
    char *text; /* owned, NUL-terminated */
    size_t bytes;
} wl_config_note_t;

typedef struct {
    wl_config_note_t *at; /* owned */
    size_t count;
    size_t capacity; /* of at */
    size_t bytes;    /* of all texts */
} wl_config_notes_t;

/* Copies; names that are none and texts that are too long are left out. WL_ERR_TOO_BIG. */
WL_MUST_USE wl_err_t wl_config_notes_add(wl_config_notes_t *self, const char *name,
                                         const char *text, size_t bytes);

typedef struct {
    wl_err_t (*last)(wl_config_log_t *self, uint64_t *ret_seq);
    wl_err_t (*read)(wl_config_log_t *self, uint64_t seq, char **ret_text, size_t *ret_bytes);
    wl_err_t (*append)(wl_config_log_t *self, uint64_t seq, const char *text, size_t bytes);
    /* Writes over what is there. */
    wl_err_t (*mend)(wl_config_log_t *self, uint64_t seq, const char *text, size_t bytes);
    /* Is a blob of that size there, as far as a look tells? */
    wl_err_t (*blob_look)(wl_config_log_t *self, const char *digest, size_t count, bool *ret_there);
    wl_err_t (*blob_put)(wl_config_log_t *self, const char *digest, const void *bytes,
                         size_t count);
    wl_err_t (*blob_get)(wl_config_log_t *self, const char *digest, void **ret_bytes,
                         size_t *ret_count);
    wl_err_t (*note_put)(wl_config_log_t *self, const char *name, const char *text, size_t bytes,
                         uint32_t ttl_s);
    wl_err_t (*note_drop)(wl_config_log_t *self, const char *name);
    wl_err_t (*note_get)(wl_config_log_t *self, const char *name, char **ret_text,
                         size_t *ret_bytes);
    wl_err_t (*notes)(wl_config_log_t *self, const char *prefix, wl_config_notes_t *notes);
    /* Where a record is, for people; a blob when digest is not NULL. */
    void (*where)(const wl_config_log_t *self, uint64_t seq, const char *digest, char *ret,
                  size_t bytes);
    void (*nudge)(wl_config_log_t *self, const char *text); /* NULL: there is no such way */
    int (*fd)(wl_config_log_t *self);                       /* NULL likewise */
    bool (*nudged)(wl_config_log_t *self);                  /* NULL likewise */
    void (*destroy)(wl_config_log_t *self);                 /* frees it */
} wl_config_log_ops_t;

/* The first member of every backend. */
struct wl_config_log {
    const wl_config_log_ops_t *ops;
    char name[600];
    char problem[700];
    char bad_blob[WL_CONFIG_DIGEST_HEX + 1]; /* found damaged: the next put does not trust a look */
};

/* Notes why, returns err. */
wl_err_t wl_config_log_fail(wl_config_log_t *self, wl_err_t err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Is this, whole, the record of that number? WL_ERR_DAMAGED names its place. */
WL_MUST_USE wl_err_t wl_config_log_check(wl_config_log_t *self, uint64_t seq, const char *text,
                                         size_t bytes);
/* SHA-256 in hex. */
void wl_config_log_digest(const void *bytes, size_t count, char ret[WL_CONFIG_DIGEST_HEX + 1]);
/* [A-Za-z0-9_.-] in parts between single slashes, no part begins with a dot; at most
 * WL_CONFIG_NOTE_NAME_MAX. */
bool wl_config_note_name_valid(const char *name);

#endif
