/* What all backends have in common: arguments are checked before they reach a path, a key or a
 * server, and what comes back is checked before anybody believes it. */
#include "store/config_log.h"

#include "base/alloc.h"
#include "base/check.h"
#include "store/config_log_ops.h"

#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char name_letters[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-/";

wl_err_t wl_config_log_fail(wl_config_log_t *self, wl_err_t err, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(self->problem, sizeof self->problem, format, arguments);
    va_end(arguments);
    return err;
}

/* Every call begins here. */
static wl_config_log_t *begin(wl_config_log_t *self) {
    WL_ASSERT(self != NULL);
    self->problem[0] = '\0';
    return self;
}

void wl_config_log_destroy(wl_config_log_t **self) {
    if (self != NULL && *self != NULL) {
        (*self)->ops->destroy(*self);
        *self = NULL;
    }
}

const char *wl_config_log_name(const wl_config_log_t *self) {
    return self->name;
}

const char *wl_config_log_problem(const wl_config_log_t *self) {
    return self->problem;
}

/* ---- records --------------------------------------------------------------------------------- */

static bool seq_valid(uint64_t seq) {
    return seq >= 1 && seq <= WL_CONFIG_LOG_SEQ_MAX;
}

/* NULL: it is the record of that number; else what is wrong. */
static const char *record_fault(uint64_t seq, const char *text, size_t bytes) {
    if (bytes == 0) {
        return "is empty";
    }
    if (bytes > WL_CONFIG_RECORD_BYTES_MAX) {
        return "is too long";
    }
    json_error_t error;
    json_t *record = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &error);
    if (record == NULL) {
        return "is cut off or is not JSON";
    }
    const json_t *number = json_object_get(record, "seq");
    bool same = json_is_integer(number) && json_integer_value(number) == (json_int_t)seq;
    json_decref(record);
    return same ? NULL : "has another \"seq\" than its name says";
}

wl_err_t wl_config_log_check(wl_config_log_t *self, uint64_t seq, const char *text, size_t bytes) {
    const char *fault = record_fault(seq, text, bytes);
    if (fault == NULL) {
        return WL_OK;
    }
    char where[600];
    self->ops->where(self, seq, NULL, where, sizeof where);
    return wl_config_log_fail(self, WL_ERR_DAMAGED, "%s %s", where, fault);
}

wl_err_t wl_config_log_last(wl_config_log_t *self, uint64_t *ret_seq) {
    return begin(self)->ops->last(self, ret_seq);
}

wl_err_t wl_config_log_read(wl_config_log_t *self, uint64_t seq, char **ret_text,
                            size_t *ret_bytes) {
    (void)begin(self);
    char *text = NULL;
    size_t bytes = 0;
    wl_err_t err = seq_valid(seq) ? self->ops->read(self, seq, &text, &bytes) : WL_ERR_NOT_FOUND;
    if (err == WL_ERR_NOT_FOUND) {
        return wl_config_log_fail(self, err, "there is no change %" PRIu64, seq);
    }
    if (err == WL_OK) {
        err = wl_config_log_check(self, seq, text, bytes);
    }
    if (err != WL_OK) {
        wl_free(text);
        return err;
    }
    *ret_text = text;
    *ret_bytes = bytes;
    return WL_OK;
}

wl_err_t wl_config_log_append(wl_config_log_t *self, uint64_t seq, const char *text, size_t bytes) {
    (void)begin(self);
    const char *fault = seq_valid(seq) ? record_fault(seq, text, bytes) : "has no valid number";
    if (fault != NULL) {
        return wl_config_log_fail(self, WL_ERR_BAD_REQUEST, "the change %s", fault);
    }
    wl_err_t err = self->ops->append(self, seq, text, bytes);
    if (err == WL_ERR_CONFLICT) {
        return wl_config_log_fail(self, err, "change %" PRIu64 " is there, or one before is not",
                                  seq);
    }
    return err;
}

wl_err_t wl_config_log_mend(wl_config_log_t *self, uint64_t seq, const char *text, size_t bytes) {
    char *there = NULL;
    size_t there_bytes = 0;
    wl_err_t err = wl_config_log_read(self, seq, &there, &there_bytes);
    if (err == WL_OK) {
        bool same = there_bytes == bytes && memcmp(there, text, bytes) == 0;
        wl_free(there);
        return same ? WL_OK
                    : wl_config_log_fail(self, WL_ERR_CONFLICT,
                                         "another change %" PRIu64 " is there", seq);
    }
    const char *fault = record_fault(seq, text, bytes);
    if (fault != NULL) {
        return wl_config_log_fail(self, WL_ERR_BAD_REQUEST, "the change %s", fault);
    }
    bool missing = err == WL_ERR_DAMAGED || err == WL_ERR_NOT_FOUND;
    return missing ? self->ops->mend(self, seq, text, bytes) : err;
}

/* ---- blobs ----------------------------------------------------------------------------------- */

void wl_config_log_digest(const void *bytes, size_t count, char ret[WL_CONFIG_DIGEST_HEX + 1]) {
    static_assert(crypto_hash_sha256_BYTES * 2 == WL_CONFIG_DIGEST_HEX, "the hex of a digest");
    unsigned char digest[crypto_hash_sha256_BYTES];
    (void)crypto_hash_sha256(digest, bytes, count);
    (void)sodium_bin2hex(ret, WL_CONFIG_DIGEST_HEX + 1, digest, sizeof digest);
}

static bool digest_valid(const char *digest) {
    return strlen(digest) == WL_CONFIG_DIGEST_HEX &&
           strspn(digest, "0123456789abcdef") == WL_CONFIG_DIGEST_HEX;
}

static bool digest_matches(const char *digest, const void *bytes, size_t count) {
    char own[WL_CONFIG_DIGEST_HEX + 1];
    wl_config_log_digest(bytes, count, own);
    return strcmp(own, digest) == 0;
}

wl_err_t wl_config_log_blob_put(wl_config_log_t *self, const char *digest, const void *bytes,
                                size_t count) {
    (void)begin(self);
    if (!digest_valid(digest)) {
        return wl_config_log_fail(self, WL_ERR_BAD_REQUEST, "a digest has 64 hex digits");
    }
    if (count > WL_CONFIG_BLOB_BYTES_MAX) {
        return wl_config_log_fail(self, WL_ERR_TOO_BIG, "a blob has at most %d bytes",
                                  WL_CONFIG_BLOB_BYTES_MAX);
    }
    if (!digest_matches(digest, bytes, count)) {
        return wl_config_log_fail(self, WL_ERR_DAMAGED, "the bytes are not those of %s", digest);
    }
    bool there = false;
    wl_err_t err = WL_OK;
    if (strcmp(self->bad_blob, digest) != 0) {
        err = self->ops->blob_look(self, digest, count, &there);
    }
    if (err == WL_OK && !there) {
        err = self->ops->blob_put(self, digest, bytes, count);
    }
    if (err == WL_OK && strcmp(self->bad_blob, digest) == 0) {
        self->bad_blob[0] = '\0';
    }
    return err;
}

wl_err_t wl_config_log_blob_get(wl_config_log_t *self, const char *digest, void **ret_bytes,
                                size_t *ret_count) {
    (void)begin(self);
    void *bytes = NULL;
    size_t count = 0;
    if (!digest_valid(digest)) {
        return wl_config_log_fail(self, WL_ERR_BAD_REQUEST, "a digest has 64 hex digits");
    }
    wl_err_t err = self->ops->blob_get(self, digest, &bytes, &count);
    if (err == WL_OK && !digest_matches(digest, bytes, count)) {
        char where[600];
        self->ops->where(self, 0, digest, where, sizeof where);
        err = wl_config_log_fail(self, WL_ERR_DAMAGED, "%s has other bytes than its name says",
                                 where);
    }
    if (err == WL_ERR_DAMAGED) {
        memcpy(self->bad_blob, digest, sizeof self->bad_blob);
    }
    if (err == WL_ERR_NOT_FOUND) {
        (void)wl_config_log_fail(self, err, "there is no blob %s", digest);
    }
    if (err != WL_OK) {
        wl_free(bytes);
        return err;
    }
    *ret_bytes = bytes;
    *ret_count = count;
    return WL_OK;
}

/* ---- notes ----------------------------------------------------------------------------------- */

bool wl_config_note_name_valid(const char *name) {
    size_t bytes = strlen(name);
    if (bytes == 0 || bytes > WL_CONFIG_NOTE_NAME_MAX || strspn(name, name_letters) != bytes ||
        name[bytes - 1] == '/') {
        return false;
    }
    for (size_t i = 0; i < bytes; i++) { /* "..", hidden files, "//", a leading slash */
        if ((i == 0 || name[i - 1] == '/') && (name[i] == '.' || name[i] == '/')) {
            return false;
        }
    }
    return true;
}

static wl_err_t name_check(wl_config_log_t *self, const char *name) {
    return wl_config_note_name_valid(name)
               ? WL_OK
               : wl_config_log_fail(self, WL_ERR_BAD_REQUEST,
                                    "a note's name has up to %d of A-Z a-z 0-9 _ . - and / between "
                                    "its parts, none of which begins with a dot",
                                    WL_CONFIG_NOTE_NAME_MAX);
}

wl_err_t wl_config_log_note_put(wl_config_log_t *self, const char *name, const char *text,
                                size_t bytes, uint32_t ttl_s) {
    wl_err_t err = name_check(begin(self), name);
    if (err != WL_OK) {
        return err;
    }
    if (text == NULL) {
        err = self->ops->note_drop(self, name);
        return err == WL_ERR_NOT_FOUND ? WL_OK : err;
    }
    if (bytes > WL_CONFIG_NOTE_BYTES_MAX) {
        return wl_config_log_fail(self, WL_ERR_TOO_BIG, "a note has at most %d bytes",
                                  WL_CONFIG_NOTE_BYTES_MAX);
    }
    return self->ops->note_put(self, name, text, bytes, ttl_s);
}

wl_err_t wl_config_log_note_get(wl_config_log_t *self, const char *name, char **ret_text,
                                size_t *ret_bytes) {
    wl_err_t err = name_check(begin(self), name);
    if (err == WL_OK) {
        err = self->ops->note_get(self, name, ret_text, ret_bytes);
    }
    return err == WL_ERR_NOT_FOUND ? wl_config_log_fail(self, err, "there is no note %s", name)
                                   : err;
}

wl_err_t wl_config_notes_add(wl_config_notes_t *self, const char *name, const char *text,
                             size_t bytes) {
    if (!wl_config_note_name_valid(name) || bytes > WL_CONFIG_NOTE_BYTES_MAX) {
        return WL_OK;
    }
    if (self->count == WL_CONFIG_NOTES_MAX || self->bytes + bytes > WL_CONFIG_NOTES_BYTES_MAX) {
        return WL_ERR_TOO_BIG;
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity == 0 ? 16 : self->capacity * 2;
        self->at = wl_realloc_array(self->at, self->capacity, sizeof self->at[0]);
    }
    wl_config_note_t *note = &self->at[self->count++];
    (void)snprintf(note->name, sizeof note->name, "%s", name);
    note->text = wl_alloc(bytes + 1);
    memcpy(note->text, text, bytes);
    note->text[bytes] = '\0';
    note->bytes = bytes;
    self->bytes += bytes;
    return WL_OK;
}

static int note_order(const void *left, const void *right) {
    const wl_config_note_t *a = left;
    const wl_config_note_t *b = right;
    return strcmp(a->name, b->name);
}

/* Gathered first: `each` may call this log again. */
wl_err_t wl_config_log_notes(wl_config_log_t *self, const char *prefix, wl_config_note_fn each,
                             void *arg) {
    (void)begin(self);
    size_t prefix_bytes = strlen(prefix);
    if (prefix_bytes > WL_CONFIG_NOTE_NAME_MAX || strspn(prefix, name_letters) != prefix_bytes) {
        return wl_config_log_fail(self, WL_ERR_BAD_REQUEST, "no note's name begins like that");
    }
    wl_config_notes_t notes = {0};
    wl_err_t err = self->ops->notes(self, prefix, &notes);
    if (err == WL_ERR_TOO_BIG) {
        (void)wl_config_log_fail(self, err, "more notes than can be listed");
    }
    if (notes.count > 1) {
        qsort(notes.at, notes.count, sizeof notes.at[0], note_order);
    }
    for (size_t i = 0; err == WL_OK && i < notes.count; i++) {
        if (!each(notes.at[i].name, notes.at[i].text, notes.at[i].bytes, arg)) {
            break;
        }
    }
    for (size_t i = 0; i < notes.count; i++) {
        wl_free(notes.at[i].text);
    }
    wl_free(notes.at);
    return err;
}

/* ---- nudges ---------------------------------------------------------------------------------- */

void wl_config_log_nudge(wl_config_log_t *self, const char *text) {
    if (begin(self)->ops->nudge != NULL) {
        self->ops->nudge(self, text);
    }
}

int wl_config_log_fd(wl_config_log_t *self) {
    return self->ops->fd == NULL ? -1 : self->ops->fd(self);
}

bool wl_config_log_nudged(wl_config_log_t *self) {
    return self->ops->nudged != NULL && self->ops->nudged(self);
}
