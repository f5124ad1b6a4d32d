#include "actors/key_folder.h"

#include "base/alloc.h"
#include "base/check.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

enum { PATH_BYTES = 800, FILES_MAX = 2 * WL_KEYS_MAX };

struct wl_key_folder {
    char path[420];
    uint64_t seen;        /* signature of the folder at the last load */
    wl_known_key_t *keys; /* owned table by public key */
    uint32_t peers_lost;  /* by the last load */
};

/* One load. */
typedef struct {
    wl_known_key_t *keys;
    wl_key_refused_fn *on_refused;
    void *arg;
} load_t;

wl_key_folder_t *wl_key_folder_new(const char *path) {
    wl_key_folder_t *self = wl_alloc_zero(1, sizeof *self);
    (void)snprintf(self->path, sizeof self->path, "%s", path);
    return self;
}

static void keys_free(wl_known_key_t **keys) {
    wl_known_key_t *key = NULL;
    wl_known_key_t *after = NULL;
    HASH_ITER(hh, *keys, key, after) {
        HASH_DEL(*keys, key);
        wl_free(key);
    }
}

void wl_key_folder_destroy(wl_key_folder_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    keys_free(&(*self)->keys);
    wl_free(*self);
    *self = NULL;
}

static bool name_ends(const char *name, const char *ending) {
    size_t bytes = strlen(name);
    size_t tail = strlen(ending);
    return bytes > tail && name[0] != '.' && strcmp(name + bytes - tail, ending) == 0;
}

static int is_key(const struct dirent *entry) {
    return name_ends(entry->d_name, ".key") || name_ends(entry->d_name, ".key_secret");
}

/* All that a change of a file changes, and of the folder's own rights. */
static uint64_t signature(const char *path) {
    struct stat stat_of;
    struct dirent **entries = NULL;
    XXH64_hash_t sum = 1;
    if (stat(path, &stat_of) == 0) {
        sum += stat_of.st_mode * 31ull + stat_of.st_uid;
    }
    int count = scandir(path, &entries, is_key, alphasort);
    for (int i = 0; i < count; i++) {
        char file[PATH_BYTES];
        struct {
            uint64_t inode, bytes, mode, owner, changed_s, changed_ns, modified_s, modified_ns;
        } mark = {.inode = 0};
        (void)snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (stat(file, &stat_of) == 0) {
            mark.inode = stat_of.st_ino;
            mark.bytes = (uint64_t)stat_of.st_size;
            mark.mode = stat_of.st_mode;
            mark.owner = stat_of.st_uid;
            mark.changed_s = (uint64_t)stat_of.st_ctim.tv_sec;
            mark.changed_ns = (uint64_t)stat_of.st_ctim.tv_nsec;
            mark.modified_s = (uint64_t)stat_of.st_mtim.tv_sec;
            mark.modified_ns = (uint64_t)stat_of.st_mtim.tv_nsec;
        }
        sum = XXH3_64bits_withSeed(entries[i]->d_name, strlen(entries[i]->d_name), sum);
        sum = XXH3_64bits_withSeed(&mark, sizeof mark, sum);
        free(entries[i]);
    }
    free(entries);
    return count < 0 ? 0 : sum;
}

bool wl_key_folder_changed(const wl_key_folder_t *self) {
    return signature(self->path) != self->seen;
}

static wl_known_key_t *keys_find(wl_known_key_t *keys, const uint8_t *public_key) {
    wl_known_key_t *key = NULL;
    HASH_FIND(hh, keys, public_key, WL_KEY_BYTES, key);
    return key;
}

/* Reads one file into a new key of the load. */
static wl_err_t load_file(load_t *self, const char *path, wl_fault_t *fault) {
    wl_key_file_t file;
    wl_scopes_t scopes;
    wl_err_t err = wl_key_file_read(path, WL_KEY_PUBLIC, &file, fault);
    if (err == WL_OK && file.name[0] == '\0') {
        return wl_fault(fault, WL_ERR_SETTINGS, "name", "is missing");
    }
    if (err == WL_OK) {
        err = wl_scopes_parse(file.scope, &scopes, fault);
    }
    if (err != WL_OK) {
        return err;
    }
    const wl_known_key_t *other = keys_find(self->keys, file.public_key);
    if (other != NULL) {
        return wl_fault(fault, WL_ERR_CONFLICT, "public-key", "is also that of %s", other->id);
    }
    if (HASH_COUNT(self->keys) == WL_KEYS_MAX) {
        return wl_fault(fault, WL_ERR_FULL, "", "is one key too many, the bound is %d",
                        WL_KEYS_MAX);
    }
    char fingerprint[17];
    wl_known_key_t *key = wl_alloc_zero(1, sizeof *key);
    memcpy(key->public_key, file.public_key, WL_KEY_BYTES);
    wl_key_fingerprint(file.public_key, fingerprint);
    (void)snprintf(key->id, sizeof key->id, "%s/%s", file.name, fingerprint);
    key->scopes = scopes;
    HASH_ADD(hh, self->keys, public_key, WL_KEY_BYTES, key);
    return WL_OK;
}

static void load_entry(load_t *self, const char *folder, const char *name) {
    char path[PATH_BYTES];
    wl_fault_t fault = {.where = ""};
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    wl_err_t err = name_ends(name, ".key_secret")
                       ? wl_fault(&fault, WL_ERR_SETTINGS, "",
                                  "is a secret key: it belongs to the client alone, take it away")
                       : load_file(self, path, &fault);
    if (err != WL_OK && self->on_refused != NULL) {
        self->on_refused(name, &fault, self->arg);
    }
}

static wl_err_t folder_check(const char *path, wl_fault_t *fault) {
    struct stat stat_of;
    if (stat(path, &stat_of) == -1) {
        return wl_fault(fault, WL_ERR_IO, "", "%s", strerror(errno));
    }
    if ((stat_of.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
        return wl_fault(fault, WL_ERR_FORBIDDEN, "", "has mode %03o: others may add keys",
                        stat_of.st_mode & 0777);
    }
    return WL_OK;
}

wl_err_t wl_key_folder_load(wl_key_folder_t *self, wl_key_refused_fn *on_refused, void *arg,
                            wl_fault_t *fault) {
    struct dirent **entries = NULL;
    load_t load = {.on_refused = on_refused, .arg = arg};
    /* Taken before the files are read: what changes meanwhile is seen the next time. */
    self->seen = signature(self->path);
    wl_err_t err = folder_check(self->path, fault);
    if (err != WL_OK) {
        return err;
    }
    int count = scandir(self->path, &entries, is_key, alphasort);
    if (count < 0) {
        return wl_fault(fault, WL_ERR_IO, "", "%s", strerror(errno));
    }
    for (int i = 0; i < count; i++) {
        if (i < FILES_MAX) {
            load_entry(&load, self->path, entries[i]->d_name);
        }
        free(entries[i]);
    }
    free(entries);
    for (wl_known_key_t *key = load.keys; key != NULL; key = key->hh.next) {
        const wl_known_key_t *before = keys_find(self->keys, key->public_key);
        key->fresh = before == NULL || before->fresh;
    }
    self->peers_lost = 0;
    for (const wl_known_key_t *key = self->keys; key != NULL; key = key->hh.next) {
        const wl_known_key_t *same = keys_find(load.keys, key->public_key);
        self->peers_lost += key->scopes.peer && (same == NULL || !same->scopes.peer);
    }
    keys_free(&self->keys);
    self->keys = load.keys;
    return WL_OK;
}

bool wl_key_folder_settle(wl_key_folder_t *self) {
    bool some = false;
    for (wl_known_key_t *key = self->keys; key != NULL; key = key->hh.next) {
        some = some || key->fresh;
        key->fresh = false;
    }
    return some;
}

const wl_known_key_t *wl_key_folder_find(const wl_key_folder_t *self,
                                         const uint8_t public_key[WL_KEY_BYTES]) {
    return keys_find(self->keys, public_key);
}

const wl_known_key_t *wl_key_folder_first(const wl_key_folder_t *self) {
    return self->keys;
}

uint32_t wl_key_folder_count(const wl_key_folder_t *self) {
    return (uint32_t)HASH_COUNT(self->keys);
}

uint32_t wl_key_folder_peers_lost(const wl_key_folder_t *self) {
    return self->peers_lost;
}
