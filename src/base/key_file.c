#include "base/key_file.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

enum {
    FILE_BYTES_MAX = 16384, /* a scope of the largest size and long comments */
    PATH_BYTES = 600,
    SHARED_WRITE = S_IWGRP | S_IWOTH,
    SHARED = S_IRWXG | S_IRWXO,
};

/* What is read, field by field. */
typedef struct {
    wl_key_file_t *key;
    const char *section; /* "metadata" or "curve", "" before the first */
    unsigned line;
    bool has_public;
    bool has_secret;
} reader_t;

bool wl_key_name_valid(const char *name) {
    size_t bytes = strlen(name);
    return bytes > 0 && bytes <= WL_KEY_NAME_MAX && name[0] != '.' &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_.-") == bytes;
}

void wl_key_fingerprint(const uint8_t public_key[WL_KEY_BYTES], char ret[17]) {
    (void)sodium_bin2hex(ret, 17, public_key, 8);
}

void wl_key_file_forget(wl_key_file_t *self) {
    sodium_memzero(self, sizeof *self);
}

void wl_key_file_new(wl_key_file_t *ret) {
    char public_text[WL_KEY_TEXT_BYTES];
    char secret_text[WL_KEY_TEXT_BYTES];
    memset(ret, 0, sizeof *ret);
    int rc = zmq_curve_keypair(public_text, secret_text);
    WL_ASSERT(rc == 0); /* fails only when libzmq was built without CURVE */
    (void)zmq_z85_decode(ret->public_key, public_text);
    (void)zmq_z85_decode(ret->secret_key, secret_text);
    sodium_memzero(secret_text, sizeof secret_text);
}

/* ---- reading -------------------------------------------------------------------------------- */

static wl_err_t reader_fault(const reader_t *self, wl_fault_t *fault, const char *where,
                             const char *message) {
    wl_err_t err = wl_fault(fault, WL_ERR_SETTINGS, where, "%s", message);
    if (fault != NULL) {
        fault->line = self->line;
    }
    return err;
}

static wl_err_t reader_text(reader_t *self, const char *where, const char *value, char *into,
                            size_t room, wl_fault_t *fault) {
    if (into[0] != '\0') {
        return reader_fault(self, fault, where, "is there twice");
    }
    if (value[0] == '\0' || strlen(value) >= room) {
        return reader_fault(self, fault, where, "is empty or too long");
    }
    memcpy(into, value, strlen(value) + 1);
    return WL_OK;
}

static wl_err_t reader_key(reader_t *self, const char *where, const char *value, bool *seen,
                           uint8_t *into, wl_fault_t *fault) {
    if (*seen) {
        return reader_fault(self, fault, where, "is there twice");
    }
    if (strlen(value) != WL_KEY_TEXT_BYTES - 1 || zmq_z85_decode(into, value) == NULL) {
        return reader_fault(self, fault, where, "is not a key of 40 characters");
    }
    *seen = true;
    return WL_OK;
}

/* One `name = "value"` of a section. Metadata that others have added is none of our business. */
static wl_err_t reader_field(reader_t *self, const char *name, const char *value,
                             wl_fault_t *fault) {
    wl_key_file_t *key = self->key;
    if (strcmp(self->section, "curve") == 0) {
        if (strcmp(name, "public-key") == 0) {
            return reader_key(self, name, value, &self->has_public, key->public_key, fault);
        }
        if (strcmp(name, "secret-key") == 0) {
            return reader_key(self, name, value, &self->has_secret, key->secret_key, fault);
        }
        return reader_fault(self, fault, "curve", "holds public-key and secret-key only");
    }
    if (strcmp(name, "name") == 0) {
        wl_err_t err = reader_text(self, name, value, key->name, sizeof key->name, fault);
        return err != WL_OK || wl_key_name_valid(key->name)
                   ? err
                   : reader_fault(self, fault, name, "is not a name of [a-z0-9_.-]");
    }
    if (strcmp(name, "scope") == 0) {
        return reader_text(self, name, value, key->scope, sizeof key->scope, fault);
    }
    return strcmp(name, "created") == 0
               ? reader_text(self, name, value, key->created, sizeof key->created, fault)
               : WL_OK;
}

/* Cuts `    name = "value"` apart, in place. */
static wl_err_t reader_pair(reader_t *self, char *line, wl_fault_t *fault) {
    char *name = line + strspn(line, " ");
    char *equals = strchr(name, '=');
    if (equals == NULL || self->section[0] == '\0') {
        return reader_fault(self, fault, "", "is not a line of a key file");
    }
    size_t name_bytes = strcspn(name, " =");
    char *value = equals + 1 + strspn(equals + 1, " ");
    size_t bytes = strlen(value);
    if (value[0] == '"' || value[0] == '\'') {
        if (bytes < 2 || value[bytes - 1] != value[0]) {
            return reader_fault(self, fault, "", "has a quote that does not end");
        }
        value[bytes - 1] = '\0';
        value++;
    }
    name[name_bytes] = '\0';
    return reader_field(self, name, value, fault);
}

static wl_err_t reader_line(reader_t *self, char *line, wl_fault_t *fault) {
    size_t bytes = strlen(line);
    while (bytes > 0 && (line[bytes - 1] == ' ' || line[bytes - 1] == '\r')) {
        line[--bytes] = '\0';
    }
    if (bytes == 0 || line[strspn(line, " ")] == '#') {
        return WL_OK;
    }
    if (line[0] == ' ') {
        return reader_pair(self, line, fault);
    }
    if (strcmp(line, "metadata") != 0 && strcmp(line, "curve") != 0) {
        return reader_fault(self, fault, "", "is neither metadata nor curve");
    }
    self->section = line[0] == 'm' ? "metadata" : "curve";
    return WL_OK;
}

static wl_err_t reader_text_read(reader_t *self, char *text, wl_fault_t *fault) {
    wl_err_t err = WL_OK;
    for (char *line = text; err == WL_OK && line != NULL;) {
        char *end = strchr(line, '\n');
        if (end != NULL) {
            *end = '\0';
        }
        self->line++;
        err = reader_line(self, line, fault);
        line = end == NULL ? NULL : end + 1;
    }
    return err;
}

/* Do the two halves belong together? */
static bool pair_matches(const wl_key_file_t *key) {
    char secret_text[WL_KEY_TEXT_BYTES];
    char public_text[WL_KEY_TEXT_BYTES];
    uint8_t derived[WL_KEY_BYTES];
    bool made = zmq_z85_encode(secret_text, key->secret_key, WL_KEY_BYTES) != NULL &&
                zmq_curve_public(public_text, secret_text) == 0 &&
                zmq_z85_decode(derived, public_text) != NULL;
    sodium_memzero(secret_text, sizeof secret_text);
    return made && memcmp(derived, key->public_key, WL_KEY_BYTES) == 0;
}

static wl_err_t reader_finish(reader_t *self, wl_key_part_t part, wl_fault_t *fault) {
    self->line = 0;
    if (!self->has_public) {
        return reader_fault(self, fault, "public-key", "is missing");
    }
    if (part == WL_KEY_PUBLIC && self->has_secret) {
        return reader_fault(self, fault, "secret-key",
                            "does not belong into a public file: keep it where the client runs");
    }
    if (part == WL_KEY_SECRET && !self->has_secret) {
        return reader_fault(self, fault, "secret-key", "is missing: name the file NAME.key_secret");
    }
    if (part == WL_KEY_SECRET && !pair_matches(self->key)) {
        return reader_fault(self, fault, "secret-key", "does not belong to the public key");
    }
    return WL_OK;
}

/* A secret is for its owner's eyes; a public key that others may replace admits whom they like. */
static wl_err_t file_check(int file, wl_key_part_t part, wl_fault_t *fault) {
    struct stat stat;
    if (fstat(file, &stat) == -1 || !S_ISREG(stat.st_mode)) {
        return wl_fault(fault, WL_ERR_SETTINGS, "", "is not a regular file");
    }
    if (stat.st_uid != geteuid() && stat.st_uid != 0) {
        return wl_fault(fault, WL_ERR_FORBIDDEN, "", "belongs to another user");
    }
    if (part == WL_KEY_SECRET && (stat.st_mode & SHARED) != 0) {
        return wl_fault(fault, WL_ERR_FORBIDDEN, "",
                        "has mode %03o, a secret key needs 600: chmod 600 it", stat.st_mode & 0777);
    }
    if ((stat.st_mode & SHARED_WRITE) != 0) {
        return wl_fault(fault, WL_ERR_FORBIDDEN, "", "has mode %03o: others may write it",
                        stat.st_mode & 0777);
    }
    if (stat.st_size >= FILE_BYTES_MAX) {
        return wl_fault(fault, WL_ERR_SETTINGS, "", "is larger than a key file");
    }
    return WL_OK;
}

static wl_err_t file_read(int file, char text[FILE_BYTES_MAX], wl_fault_t *fault) {
    size_t used = 0;
    ssize_t got = 1;
    while (got > 0 && used < FILE_BYTES_MAX) {
        got = read(file, text + used, FILE_BYTES_MAX - used);
        used += got > 0 ? (size_t)got : 0;
    }
    if (got != 0 || memchr(text, '\0', used) != NULL) {
        return wl_fault(fault, WL_ERR_SETTINGS, "", "is not a text of a key");
    }
    text[used] = '\0';
    return WL_OK;
}

wl_err_t wl_key_file_read(const char *path, wl_key_part_t part, wl_key_file_t *ret,
                          wl_fault_t *fault) {
    char text[FILE_BYTES_MAX];
    wl_key_file_t key = {.name = ""};
    reader_t reader = {.key = &key, .section = ""};
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file == -1) {
        return wl_fault(fault, WL_ERR_NOT_FOUND, "", "cannot be opened: %s", strerror(errno));
    }
    wl_err_t err = file_check(file, part, fault);
    if (err == WL_OK) {
        err = file_read(file, text, fault);
    }
    (void)close(file);
    if (err == WL_OK) {
        err = reader_text_read(&reader, text, fault);
    }
    if (err == WL_OK) {
        err = reader_finish(&reader, part, fault);
    }
    if (err == WL_OK) {
        *ret = key;
    }
    sodium_memzero(text, sizeof text);
    wl_key_file_forget(&key);
    return err;
}

/* ---- writing -------------------------------------------------------------------------------- */

static size_t document(const wl_key_file_t *key, wl_key_part_t part, char text[FILE_BYTES_MAX]) {
    char public_text[WL_KEY_TEXT_BYTES];
    char secret_text[WL_KEY_TEXT_BYTES] = "";
    (void)zmq_z85_encode(public_text, key->public_key, WL_KEY_BYTES);
    bool scoped = key->scope[0] != '\0';
    bool dated = key->created[0] != '\0';
    int length =
        snprintf(text, FILE_BYTES_MAX,
                 "# walletd %s key of %s\n"
                 "metadata\n"
                 "    name = \"%s\"\n"
                 "%s%s%s"
                 "%s%s%s"
                 "curve\n"
                 "    public-key = \"%s\"\n",
                 part == WL_KEY_PUBLIC ? "public" : "secret", key->name, key->name,
                 scoped ? "    scope = \"" : "", key->scope, scoped ? "\"\n" : "",
                 dated ? "    created = \"" : "", key->created, dated ? "\"\n" : "", public_text);
    if (part == WL_KEY_SECRET) {
        (void)zmq_z85_encode(secret_text, key->secret_key, WL_KEY_BYTES);
        length += snprintf(text + length, FILE_BYTES_MAX - (size_t)length,
                           "    secret-key = \"%s\"\n", secret_text);
        sodium_memzero(secret_text, sizeof secret_text);
    }
    WL_ASSERT(length > 0 && length < FILE_BYTES_MAX);
    return (size_t)length;
}

/* A new file of its own, on disk when this returns. */
static wl_err_t part_write(const char *path, const wl_key_file_t *key, wl_key_part_t part,
                           wl_fault_t *fault) {
    char text[FILE_BYTES_MAX];
    mode_t mode = part == WL_KEY_SECRET ? 0600 : 0644;
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (file == -1) {
        return errno == EEXIST
                   ? wl_fault(fault, WL_ERR_CONFLICT, path, "exists, and is never overwritten")
                   : wl_fault(fault, WL_ERR_IO, path, "%s", strerror(errno));
    }
    size_t bytes = document(key, part, text);
    bool written =
        fchmod(file, mode) == 0 && write(file, text, bytes) == (ssize_t)bytes && fsync(file) == 0;
    sodium_memzero(text, sizeof text);
    if (close(file) == -1 || !written) {
        (void)unlink(path);
        return wl_fault(fault, WL_ERR_IO, path, "cannot be written");
    }
    return WL_OK;
}

wl_err_t wl_key_file_write(const char *folder, const wl_key_file_t *key, wl_fault_t *fault) {
    WL_ASSERT(wl_key_name_valid(key->name));
    char secret_path[PATH_BYTES];
    char public_path[PATH_BYTES];
    int length = snprintf(secret_path, sizeof secret_path, "%s/%s.key_secret", folder, key->name);
    (void)snprintf(public_path, sizeof public_path, "%s/%s.key", folder, key->name);
    if (length >= PATH_BYTES) {
        return wl_fault(fault, WL_ERR_SETTINGS, "", "the path is too long");
    }
    wl_err_t err = part_write(secret_path, key, WL_KEY_SECRET, fault);
    if (err == WL_OK) {
        err = part_write(public_path, key, WL_KEY_PUBLIC, fault);
        if (err != WL_OK) {
            (void)unlink(secret_path); /* just made, of no use without its other half */
        }
    }
    return err;
}
