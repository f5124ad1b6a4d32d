/* admin.config.upload: a set of users in pieces, for the whitelist of a rollout. Pieces are put
 * into <server.data_dir>/config/upload-<digest>.part, whose length is all that is known of an
 * upload: it goes on where it stopped, also after a restart. Nothing of it counts before all of it
 * has the SHA-256 that it was announced with and is a set that frontends can load. */
#include "actors/config_args.h"
#include "actors/config_self.h"
#include "base/alloc.h"
#include "store/blob_file.h"

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
    PATH_BYTES = 640,
    PARTS_MAX = 4,                     /* uploads under way */
    STALE_S = 3600,                    /* a part that nobody went on with for so long is removed */
    PART_NAME = 7 + WL_DIGEST_HEX + 5, /* upload-<digest>.part */
};

typedef struct {
    char digest[WL_DIGEST_HEX + 1];
    uint64_t total;
    uint64_t offset;
    const char *bytes; /* borrowed */
    size_t count;
    char folder[PATH_BYTES / 2 + 256];
    char path[PATH_BYTES + 300];
    uint64_t have; /* of it is here */
} upload_t;

/* ---- arguments ------------------------------------------------------------------------------- */

static wl_err_t numbers_check(const upload_t *self, wl_fault_t *fault) {
    if (self->total == 0 || self->total > WL_CONFIG_BLOB_BYTES_MAX) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "total",
                        "total: must be 1 to %d bytes, got %" PRIu64, WL_CONFIG_BLOB_BYTES_MAX,
                        self->total);
    }
    if (self->offset > self->total || self->count > self->total - self->offset) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "bytes",
                        "bytes: %zu at offset %" PRIu64 " reach beyond the total of %" PRIu64,
                        self->count, self->offset, self->total);
    }
    return WL_OK;
}

static wl_err_t upload_read(const msgpack_object *args, upload_t *ret, wl_fault_t *fault) {
    wl_err_t err = wl_args_text(args, "digest", ret->digest, WL_DIGEST_HEX, fault);
    err = wl_config_arg_needed(err, "digest", fault);
    if (err == WL_OK && (strlen(ret->digest) != WL_DIGEST_HEX ||
                         strspn(ret->digest, "0123456789abcdef") != WL_DIGEST_HEX)) {
        err = wl_fault(fault, WL_ERR_BAD_REQUEST, "digest",
                       "digest: must be the SHA-256 of all bytes, 64 digits 0-9a-f");
    }
    if (err == WL_OK) {
        err = wl_args_u64(args, "total", &ret->total, fault);
        err = wl_config_arg_needed(err, "total", fault);
    }
    if (err == WL_OK) {
        err = wl_args_u64(args, "offset", &ret->offset, fault);
        err = wl_config_arg_needed(err, "offset", fault);
    }
    if (err == WL_OK) {
        err = wl_config_arg_bytes(args, "bytes", "a piece of the set", &ret->bytes, &ret->count,
                                  fault);
        err = wl_config_arg_needed(err, "bytes", fault);
    }
    return err == WL_OK ? numbers_check(ret, fault) : err;
}

/* ---- parts ----------------------------------------------------------------------------------- */

static bool part_name(const char *name) {
    return strlen(name) == PART_NAME && strncmp(name, "upload-", 7) == 0 &&
           strcmp(name + PART_NAME - 5, ".part") == 0;
}

/* Removes those that nobody goes on with; how many others are left, but for this one. */
static uint32_t parts_sweep(const upload_t *self) {
    uint32_t others = 0;
    time_t now = time(NULL);
    DIR *folder = opendir(self->folder);
    for (struct dirent *entry = folder == NULL ? NULL : readdir(folder); entry != NULL;
         entry = readdir(folder)) {
        struct stat about;
        int at = dirfd(folder);
        if (!part_name(entry->d_name) ||
            fstatat(at, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) != 0) {
            continue;
        }
        if (now - about.st_mtime > STALE_S) {
            (void)unlinkat(at, entry->d_name, 0);
        } else if (strncmp(entry->d_name + 7, self->digest, WL_DIGEST_HEX) != 0) {
            others++;
        }
    }
    if (folder != NULL) {
        (void)closedir(folder);
    }
    return others;
}

static wl_err_t part_failed(const upload_t *self, wl_fault_t *fault) {
    int why = errno;
    return wl_fault(fault, why == ENOSPC || why == EDQUOT ? WL_ERR_NO_SPACE : WL_ERR_IO,
                    "server.data_dir", "the part upload-%.12s.. cannot be written: %s",
                    self->digest, strerror(why));
}

/* Its length. Something longer than the whole is begun anew. */
static wl_err_t part_open(upload_t *self, int *ret_file, wl_fault_t *fault) {
    struct stat about;
    int file = open(self->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0640);
    if (file == -1 || fstat(file, &about) != 0) {
        wl_err_t err = part_failed(self, fault);
        if (file != -1) {
            (void)close(file);
        }
        return err;
    }
    self->have = S_ISREG(about.st_mode) ? (uint64_t)about.st_size : 0;
    if (!S_ISREG(about.st_mode) || self->have > self->total) {
        self->have = 0;
        if (ftruncate(file, 0) != 0) {
            wl_err_t err = part_failed(self, fault);
            (void)close(file);
            return err;
        }
    }
    *ret_file = file;
    return WL_OK;
}

/* The piece, whole or not at all. */
static wl_err_t piece_write(upload_t *self, int file, wl_fault_t *fault) {
    size_t done = 0;
    while (done < self->count) {
        ssize_t put =
            pwrite(file, self->bytes + done, self->count - done, (off_t)(self->have + done));
        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            wl_err_t err = part_failed(self, fault);
            (void)!ftruncate(file, (off_t)self->have);
            return err;
        }
        done += (size_t)put;
    }
    self->have += self->count;
    return WL_OK;
}

static wl_err_t piece_take(upload_t *self, wl_fault_t *fault) {
    int file = -1;
    wl_err_t err = WL_OK;
    if (parts_sweep(self) >= PARTS_MAX) {
        return wl_fault(fault, WL_ERR_BUSY, "digest",
                        "digest: %d other uploads are under way: finish one of them, those that "
                        "rest for an hour are dropped",
                        PARTS_MAX);
    }
    err = part_open(self, &file, fault);
    if (err != WL_OK) {
        return err;
    }
    if (self->offset == self->have && self->count > 0) {
        err = piece_write(self, file, fault);
    }
    (void)close(file);
    return err;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* Is it a set that a rollout can name? */
static wl_err_t set_check(const void *bytes, size_t count, uint64_t *ret_members,
                          wl_fault_t *fault) {
    WL_AUTO(wl_uid_set) set = NULL;
    wl_fault_t why = {.message = ""};
    if (wl_uid_set_load(bytes, count, &set, &why) != WL_OK) {
        return wl_fault(fault, WL_ERR_BAD_REQUEST, "bytes",
                        "bytes: these are no set of users (%.100s): walletctl config upload "
                        "makes one of a list of ids",
                        why.message);
    }
    *ret_members = wl_uid_set_count(set);
    return *ret_members > 0
               ? WL_OK
               : wl_fault(fault, WL_ERR_BAD_REQUEST, "bytes", "bytes: there is nobody in the set");
}

/* All bytes are here: keeps them, or drops them for good when they are of no use. */
static wl_err_t whole_take(wl_config_actor_t *self, upload_t *upload, uint64_t *ret_members,
                           wl_fault_t *fault) {
    WL_AUTO_FREE void *bytes = NULL;
    size_t count = 0;
    char digest[WL_DIGEST_HEX + 1];
    wl_err_t err = wl_blob_file_read(upload->path, WL_CONFIG_BLOB_BYTES_MAX, &bytes, &count);
    if (err != WL_OK) {
        return wl_fault(fault, WL_ERR_IO, "server.data_dir",
                        "the part upload-%.12s.. cannot be read", upload->digest);
    }
    wl_config_digest(bytes, count, digest);
    if (strcmp(digest, upload->digest) != 0) {
        err = wl_fault(fault, WL_ERR_BAD_REQUEST, "digest",
                       "digest: the SHA-256 of the %zu bytes is %.12s.., not %.12s..: upload them "
                       "again from offset 0",
                       count, digest, upload->digest);
    } else {
        err = set_check(bytes, count, ret_members, fault);
    }
    if (err == WL_OK) {
        err = wl_config_sources_blob_put(self->sources, upload->digest, bytes, count, fault);
        if (err != WL_OK) {
            return err; /* the part stays: ask again when the store is back */
        }
    }
    (void)unlink(upload->path);
    return err;
}

/* Is it here already, from an upload before? Then it is brought to where it may be missing. */
static bool known_already(wl_config_actor_t *self, upload_t *upload, uint64_t *ret_members) {
    char path[PATH_BYTES + 300];
    char digest[WL_DIGEST_HEX + 1] = "";
    WL_AUTO_FREE void *bytes = NULL;
    size_t count = 0;
    (void)snprintf(path, sizeof path, "%s/blobs/%s", upload->folder, upload->digest);
    if (wl_blob_file_read(path, WL_CONFIG_BLOB_BYTES_MAX, &bytes, &count) != WL_OK) {
        return false;
    }
    wl_config_digest(bytes, count, digest);
    if (count != upload->total || strcmp(digest, upload->digest) != 0 ||
        set_check(bytes, count, ret_members, NULL) != WL_OK ||
        wl_config_sources_blob_put(self->sources, digest, bytes, count, NULL) != WL_OK) {
        return false;
    }
    upload->have = upload->total;
    (void)unlink(upload->path);
    return true;
}

wl_err_t wl_config_view_upload(wl_config_actor_t *self, const msgpack_object *args,
                               const char *user, json_t **ret, wl_fault_t *fault) {
    upload_t upload = {.have = 0};
    uint64_t members = 0;
    bool done = false;
    (void)user;
    wl_err_t err = upload_read(args, &upload, fault);
    if (err != WL_OK) {
        return err;
    }
    (void)snprintf(upload.folder, sizeof upload.folder, "%s/config",
                   self->hub.settings->server_data_dir);
    (void)snprintf(upload.path, sizeof upload.path, "%s/upload-%s.part", upload.folder,
                   upload.digest);
    if (upload.offset == 0) { /* once in an upload */
        done = known_already(self, &upload, &members);
    }
    if (!done) {
        err = piece_take(&upload, fault);
    }
    if (err == WL_OK && !done && upload.have == upload.total) {
        err = whole_take(self, &upload, &members, fault);
        done = err == WL_OK;
    }
    if (err == WL_OK) {
        *ret = json_pack("{s:s, s:I, s:I}", "digest", upload.digest, "have",
                         (json_int_t)upload.have, "total", (json_int_t)upload.total);
    }
    if (done) {
        (void)json_object_set_new(*ret, "members", json_integer((json_int_t)members));
    }
    return err;
}
