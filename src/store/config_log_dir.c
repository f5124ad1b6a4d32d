/* The log in a directory: what a small installation has, what every process keeps as its snapshot,
 * and what mirrors the others. Plain files that git, cp and an editor understand:
 *
 *     <folder>/changes/00000012.json   linked there when whole, never written again
 *              blobs/<digest>          renamed there when whole
 *              notes/nodes+web-1       "/" of a name is written "+"
 *              .new/<random>           what is being written
 *
 * A killed writer leaves a file in .new, which the next writer takes away when it is old. */
#include "base/alloc.h"
#include "base/random.h"
#include "store/blob_file.h"
#include "store/config_log_ops.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    FOLDER_BYTES = 512,
    PATH_BYTES = 768,
    LEFTOVER_S = 600, /* nobody writes one file for so long */
};

typedef struct {
    wl_config_log_t log; /* first */
    char folder[FOLDER_BYTES];
    uint64_t sound;     /* records up to here were there and had bytes */
    struct stat newest; /* of the newest record that was read and found whole */
} dir_t;

static wl_err_t dir_fail(dir_t *self, const char *path) {
    wl_err_t err = errno == ENOSPC || errno == EDQUOT ? WL_ERR_NO_SPACE : WL_ERR_IO;
    return wl_config_log_fail(&self->log, err, "%s: %s", path, strerror(errno));
}

/* "<folder>/<kind>/<name>"; the folder's length was checked, names are bounded. */
static void path_make(const dir_t *self, const char *kind, const char *name, char ret[PATH_BYTES]) {
    (void)snprintf(ret, PATH_BYTES, "%s/%s%s%s", self->folder, kind, name[0] == '\0' ? "" : "/",
                   name);
}

static void change_path(const dir_t *self, uint64_t seq, char ret[PATH_BYTES]) {
    char name[32];
    (void)snprintf(name, sizeof name, "%08" PRIu64 ".json", seq);
    path_make(self, "changes", name, ret);
}

static void note_path(const dir_t *self, const char *name, char ret[PATH_BYTES]) {
    char escaped[WL_CONFIG_NOTE_NAME_MAX + 1];
    (void)snprintf(escaped, sizeof escaped, "%s", name);
    for (char *at = strchr(escaped, '/'); at != NULL; at = strchr(at, '/')) {
        *at = '+';
    }
    path_make(self, "notes", escaped, ret);
}

static void dir_where(const wl_config_log_t *log, uint64_t seq, const char *digest, char *ret,
                      size_t bytes) {
    const dir_t *self = (const dir_t *)log;
    char path[PATH_BYTES];
    if (digest != NULL) {
        path_make(self, "blobs", digest, path);
    } else {
        change_path(self, seq, path);
    }
    (void)snprintf(ret, bytes, "%s", path);
}

/* ---- writing --------------------------------------------------------------------------------- */

static wl_err_t folder_flush(dir_t *self, const char *path) {
    int file = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = file == -1 ? -1 : fsync(file);
    wl_err_t err = rc == 0 ? WL_OK : dir_fail(self, path);
    if (file != -1) {
        (void)close(file);
    }
    return err;
}

/* Makes the folder of a kind of files when it is missing. */
static wl_err_t kind_make(dir_t *self, const char *kind) {
    char path[PATH_BYTES];
    path_make(self, kind, "", path);
    if (mkdir(path, 0750) == 0) {
        return folder_flush(self, self->folder);
    }
    if (errno == ENOENT && (mkdir(self->folder, 0750) == 0 || errno == EEXIST) &&
        mkdir(path, 0750) == 0) {
        return folder_flush(self, self->folder);
    }
    return errno == EEXIST ? WL_OK : dir_fail(self, path);
}

/* What writers that were killed have left. */
static void leftovers_sweep(const dir_t *self) {
    char path[PATH_BYTES];
    path_make(self, ".new", "", path);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return;
    }
    time_t now = time(NULL);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        struct stat about;
        if (fstatat(dirfd(folder), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(about.st_mode) && now - about.st_mtime > LEFTOVER_S) {
            (void)unlinkat(dirfd(folder), entry->d_name, 0);
        }
    }
    (void)closedir(folder);
}

static bool bytes_write(int file, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t put = write(file, bytes, count);
        if (put < 0 && errno != EINTR) {
            return false;
        }
        bytes += put > 0 ? put : 0;
        count -= put > 0 ? (size_t)put : 0;
    }
    return fsync(file) == 0;
}

/* Writes and flushes a file in .new; its path into ret. */
static wl_err_t aside_write(dir_t *self, const char *kind, const void *bytes, size_t count,
                            char ret[PATH_BYTES]) {
    char name[32];
    leftovers_sweep(self);
    (void)snprintf(name, sizeof name, "%016" PRIx64, wl_random_u64());
    path_make(self, ".new", name, ret);
    wl_err_t err = kind_make(self, ".new");
    if (err == WL_OK) {
        err = kind_make(self, kind);
    }
    if (err != WL_OK) {
        return err;
    }
    int file = open(ret, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
    if (file == -1) {
        return dir_fail(self, ret);
    }
    if (!bytes_write(file, bytes, count)) {
        err = dir_fail(self, ret);
        (void)unlink(ret);
    }
    (void)close(file);
    return err;
}

/* Takes the place of whatever is there. */
static wl_err_t file_replace(dir_t *self, const char *kind, const char *path, const void *bytes,
                             size_t count) {
    char aside[PATH_BYTES];
    char folder[PATH_BYTES];
    wl_err_t err = aside_write(self, kind, bytes, count, aside);
    if (err != WL_OK) {
        return err;
    }
    if (rename(aside, path) != 0) {
        err = dir_fail(self, path);
        (void)unlink(aside);
        return err;
    }
    path_make(self, kind, "", folder);
    return folder_flush(self, folder);
}

/* ---- changes --------------------------------------------------------------------------------- */

/* "00000012.json" gives 12, anything else 0. */
static uint64_t seq_of(const char *name) {
    uint64_t seq = 0;
    if (strlen(name) != 13 || strspn(name, "0123456789") != 8 || strcmp(name + 8, ".json") != 0) {
        return 0;
    }
    for (int i = 0; i < 8; i++) {
        seq = seq * 10 + (uint64_t)(name[i] - '0');
    }
    return seq;
}

/* How many records are there, and the highest of their numbers. Files that come meanwhile may be
 * passed over, so the two need not agree. */
static wl_err_t changes_count(dir_t *self, uint64_t *ret_count, uint64_t *ret_highest) {
    char path[PATH_BYTES];
    struct stat about;
    *ret_count = *ret_highest = 0;
    path_make(self, "changes", "", path);
    DIR *folder = opendir(path);
    if (folder == NULL && errno == ENOENT) {
        return stat(self->folder, &about) == 0
                   ? WL_OK
                   : wl_config_log_fail(&self->log, WL_ERR_UNAVAILABLE, "%s: %s", self->folder,
                                        strerror(errno));
    }
    if (folder == NULL) {
        return dir_fail(self, path);
    }
    errno = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        uint64_t seq = seq_of(entry->d_name);
        *ret_count += seq > 0 ? 1 : 0;
        *ret_highest = seq > *ret_highest ? seq : *ret_highest;
    }
    wl_err_t err = errno == 0 ? WL_OK : dir_fail(self, path);
    (void)closedir(folder);
    return err;
}

/* Are the records after `from` up to `to` files with bytes in them? */
static wl_err_t changes_look(dir_t *self, uint64_t from, uint64_t to, struct stat *ret_newest) {
    for (uint64_t seq = from + 1; seq <= to; seq++) {
        char path[PATH_BYTES];
        change_path(self, seq, path);
        const char *fault = NULL;
        if (stat(path, ret_newest) != 0) {
            if (errno != ENOENT) {
                return dir_fail(self, path);
            }
            fault = "is missing";
        } else if (!S_ISREG(ret_newest->st_mode)) {
            fault = "is not a file";
        } else if (ret_newest->st_size == 0) {
            fault = "is empty";
        }
        if (fault != NULL) {
            return wl_config_log_fail(&self->log, WL_ERR_DAMAGED, "%s %s", path, fault);
        }
    }
    return WL_OK;
}

static bool same_file(const struct stat *a, const struct stat *b) {
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static wl_err_t dir_read(wl_config_log_t *log, uint64_t seq, char **ret_text, size_t *ret_bytes) {
    dir_t *self = (dir_t *)log;
    char path[PATH_BYTES];
    void *text = NULL;
    change_path(self, seq, path);
    wl_err_t err = wl_blob_file_read(path, WL_CONFIG_RECORD_BYTES_MAX, &text, ret_bytes);
    *ret_text = text;
    switch ((int)err) {
    case WL_OK:
    case WL_ERR_NOT_FOUND: return err;
    case WL_ERR_TOO_BIG:
        return wl_config_log_fail(log, WL_ERR_DAMAGED, "%s is too long for a change", path);
    default: return wl_config_log_fail(log, err, "%s cannot be read", path);
    }
}

/* Names of all, sizes of those that are new, bytes of the newest when it has changed. */
static wl_err_t dir_last(wl_config_log_t *log, uint64_t *ret_seq) {
    dir_t *self = (dir_t *)log;
    uint64_t count = 0;
    uint64_t last = 0;
    wl_err_t err = changes_count(self, &count, &last);
    if (err != WL_OK || last == 0) {
        self->sound = 0;
        *ret_seq = err == WL_OK ? 0 : *ret_seq;
        return err;
    }
    uint64_t from = self->sound < last ? self->sound : last - 1;
    if (count != last || self->sound > last) {
        from = 0; /* something is missing, unless it came while the names were read */
    }
    struct stat newest = {0};
    err = changes_look(self, from, last, &newest);
    if (err == WL_OK && !same_file(&newest, &self->newest)) {
        char *text = NULL;
        size_t bytes = 0;
        err = dir_read(log, last, &text, &bytes);
        if (err == WL_OK) {
            err = wl_config_log_check(log, last, text, bytes);
        }
        wl_free(text);
    }
    self->sound = err == WL_OK ? last : 0;
    if (err == WL_OK) {
        self->newest = newest;
        *ret_seq = last;
    }
    return err;
}

static wl_err_t dir_append(wl_config_log_t *log, uint64_t seq, const char *text, size_t bytes) {
    dir_t *self = (dir_t *)log;
    char path[PATH_BYTES];
    char aside[PATH_BYTES];
    struct stat about;
    if (seq > 1) {
        change_path(self, seq - 1, path);
        if (stat(path, &about) != 0) {
            return errno == ENOENT ? WL_ERR_CONFLICT : dir_fail(self, path);
        }
    }
    wl_err_t err = aside_write(self, "changes", text, bytes, aside);
    if (err != WL_OK) {
        return err;
    }
    change_path(self, seq, path);
    if (link(aside, path) != 0) {
        err = errno == EEXIST ? WL_ERR_CONFLICT : dir_fail(self, path);
    }
    (void)unlink(aside);
    if (err == WL_OK) {
        path_make(self, "changes", "", path);
        err = folder_flush(self, path);
    }
    return err;
}

static wl_err_t dir_mend(wl_config_log_t *log, uint64_t seq, const char *text, size_t bytes) {
    dir_t *self = (dir_t *)log;
    char path[PATH_BYTES];
    change_path(self, seq, path);
    self->sound = 0;
    return file_replace(self, "changes", path, text, bytes);
}

/* ---- blobs ----------------------------------------------------------------------------------- */

static wl_err_t dir_blob_get(wl_config_log_t *log, const char *digest, void **ret_bytes,
                             size_t *ret_count) {
    char path[PATH_BYTES];
    path_make((dir_t *)log, "blobs", digest, path);
    wl_err_t err = wl_blob_file_read(path, WL_CONFIG_BLOB_BYTES_MAX, ret_bytes, ret_count);
    if (err == WL_ERR_TOO_BIG) {
        return wl_config_log_fail(log, WL_ERR_DAMAGED, "%s is too long for a blob", path);
    }
    return err == WL_OK || err == WL_ERR_NOT_FOUND
               ? err
               : wl_config_log_fail(log, err, "%s cannot be read", path);
}

/* Reads it all: a disk is near, and what is damaged is to be written again. */
static wl_err_t dir_blob_look(wl_config_log_t *log, const char *digest, size_t count,
                              bool *ret_there) {
    void *bytes = NULL;
    size_t found = 0;
    char own[WL_CONFIG_DIGEST_HEX + 1] = "";
    if (dir_blob_get(log, digest, &bytes, &found) == WL_OK && found == count) {
        wl_config_log_digest(bytes, found, own);
    }
    *ret_there = strcmp(own, digest) == 0;
    wl_free(bytes);
    return WL_OK;
}

static wl_err_t dir_blob_put(wl_config_log_t *log, const char *digest, const void *bytes,
                             size_t count) {
    dir_t *self = (dir_t *)log;
    char path[PATH_BYTES];
    path_make(self, "blobs", digest, path);
    return file_replace(self, "blobs", path, bytes, count);
}

/* ---- notes ----------------------------------------------------------------------------------- */

static wl_err_t dir_note_put(wl_config_log_t *log, const char *name, const char *text, size_t bytes,
                             uint32_t ttl_s) {
    dir_t *self = (dir_t *)log;
    char path[PATH_BYTES];
    (void)ttl_s; /* config_log.h says so */
    note_path(self, name, path);
    return file_replace(self, "notes", path, text, bytes);
}

static wl_err_t dir_note_drop(wl_config_log_t *log, const char *name) {
    dir_t *self = (dir_t *)log;
    char path[PATH_BYTES];
    note_path(self, name, path);
    if (unlink(path) != 0) {
        return errno == ENOENT ? WL_ERR_NOT_FOUND : dir_fail(self, path);
    }
    path_make(self, "notes", "", path);
    return folder_flush(self, path);
}

static wl_err_t dir_note_get(wl_config_log_t *log, const char *name, char **ret_text,
                             size_t *ret_bytes) {
    char path[PATH_BYTES];
    void *text = NULL;
    note_path((dir_t *)log, name, path);
    wl_err_t err = wl_blob_file_read(path, WL_CONFIG_NOTE_BYTES_MAX, &text, ret_bytes);
    if (err == WL_OK) {
        *ret_text = text;
    }
    if (err == WL_ERR_TOO_BIG) {
        return wl_config_log_fail(log, WL_ERR_DAMAGED, "%s is too long for a note", path);
    }
    return err == WL_OK || err == WL_ERR_NOT_FOUND
               ? err
               : wl_config_log_fail(log, err, "%s cannot be read", path);
}

/* A note that cannot be read does not hide the others. */
static wl_err_t note_gather(wl_config_log_t *log, const char *file, const char *prefix,
                            wl_config_notes_t *notes) {
    char name[WL_CONFIG_NOTE_NAME_MAX + 1];
    size_t name_bytes = strlen(file);
    if (name_bytes >= sizeof name) {
        return WL_OK;
    }
    memcpy(name, file, name_bytes + 1);
    for (char *at = strchr(name, '+'); at != NULL; at = strchr(at, '+')) {
        *at = '/';
    }
    char *text = NULL;
    size_t bytes = 0;
    if (!wl_config_note_name_valid(name) || strncmp(name, prefix, strlen(prefix)) != 0 ||
        dir_note_get(log, name, &text, &bytes) != WL_OK) {
        return WL_OK;
    }
    wl_err_t err = wl_config_notes_add(notes, name, text, bytes);
    wl_free(text);
    return err;
}

static wl_err_t dir_notes(wl_config_log_t *log, const char *prefix, wl_config_notes_t *notes) {
    dir_t *self = (dir_t *)log;
    char path[PATH_BYTES];
    path_make(self, "notes", "", path);
    DIR *folder = opendir(path);
    if (folder == NULL) {
        return errno == ENOENT ? WL_OK : dir_fail(self, path);
    }
    wl_err_t err = WL_OK;
    struct dirent *entry = NULL;
    do {
        errno = 0;
        entry = readdir(folder);
        if (entry == NULL && errno != 0) {
            err = dir_fail(self, path);
        } else if (entry != NULL) {
            err = note_gather(log, entry->d_name, prefix, notes);
        }
    } while (err == WL_OK && entry != NULL);
    (void)closedir(folder);
    return err;
}

/* ---- life ------------------------------------------------------------------------------------ */

static void dir_destroy(wl_config_log_t *log) {
    wl_free(log);
}

wl_err_t wl_config_log_dir(const char *folder, wl_config_log_t **ret, wl_fault_t *fault) {
    static const wl_config_log_ops_t ops = {
        .last = dir_last,
        .read = dir_read,
        .append = dir_append,
        .mend = dir_mend,
        .blob_look = dir_blob_look,
        .blob_put = dir_blob_put,
        .blob_get = dir_blob_get,
        .note_put = dir_note_put,
        .note_drop = dir_note_drop,
        .note_get = dir_note_get,
        .notes = dir_notes,
        .where = dir_where,
        .destroy = dir_destroy,
    };
    size_t bytes = strlen(folder);
    if (bytes == 0 || bytes >= FOLDER_BYTES) {
        return wl_fault(fault, WL_ERR_SETTINGS, "", "the path of a folder has 1 to %d bytes",
                        FOLDER_BYTES - 1);
    }
    dir_t *self = wl_alloc_zero(1, sizeof *self);
    self->log.ops = &ops;
    memcpy(self->folder, folder, bytes + 1);
    (void)snprintf(self->log.name, sizeof self->log.name, "directory %s", folder);
    (void)mkdir(folder, 0750); /* when it cannot be made, the first question says so */
    *ret = &self->log;
    return WL_OK;
}
