#include "store/blob_file.h"

#include "base/alloc.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOCK_TRIES = 8 };

static wl_err_t errno_err(void) {
    switch (errno) {
    case ENOENT: return WL_ERR_NOT_FOUND;
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return WL_ERR_NO_SPACE;
    default: return WL_ERR_IO;
    }
}

/* Reads to the end of the file, however it grows meanwhile, but never past `room` bytes. */
static wl_err_t bytes_read(int file, uint8_t *bytes, size_t room, size_t *ret_count) {
    size_t count = 0;
    while (count < room) {
        ssize_t got = read(file, bytes + count, room - count);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return WL_ERR_IO;
        }
        if (got == 0) {
            break;
        }
        count += (size_t)got;
    }
    *ret_count = count;
    return WL_OK;
}

wl_err_t wl_blob_file_read(const char *path, size_t bytes_max, void **ret_bytes,
                           size_t *ret_count) {
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe must not stop us */
    if (file < 0) {
        return errno == ENOENT ? WL_ERR_NOT_FOUND : WL_ERR_IO;
    }
    struct stat about;
    wl_err_t err = fstat(file, &about) == 0 && S_ISREG(about.st_mode) ? WL_OK : WL_ERR_IO;
    if (err == WL_OK && (uint64_t)about.st_size > bytes_max) {
        err = WL_ERR_TOO_BIG;
    }
    uint8_t *bytes = NULL;
    size_t count = 0;
    if (err == WL_OK) {
        size_t room = (size_t)about.st_size + 1; /* one more, to see that it has grown */
        bytes = wl_alloc(room + 1);
        err = bytes_read(file, bytes, room, &count);
    }
    if (err == WL_OK && count > (size_t)about.st_size) {
        err = WL_ERR_IO; /* somebody writes in place: these bytes are not a whole */
    }
    (void)close(file);
    if (err != WL_OK) {
        wl_free(bytes);
        return err;
    }
    bytes[count] = '\0';
    *ret_bytes = bytes;
    *ret_count = count;
    return WL_OK;
}

static wl_err_t bytes_write(int file, const uint8_t *bytes, size_t count) {
    size_t done = 0;
    while (done < count) {
        ssize_t put = write(file, bytes + done, count - done);
        if (put < 0 && errno != EINTR) {
            return errno_err();
        }
        done += put > 0 ? (size_t)put : 0;
    }
    return fsync(file) == 0 ? WL_OK : errno_err();
}

/* Opens `<path>.tmp`, emptied and locked. The name is fixed, so a killed writer leaves one file at
 * most and the next one reuses it; the lock keeps two writers of one path apart. Whoever held it
 * before may have renamed the file away: then the name leads to another file, and it is opened
 * again. */
static wl_err_t temporary_open(const char *path, int *ret_file) {
    for (int i = 0; i < LOCK_TRIES; i++) {
        int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (file < 0) {
            return errno_err();
        }
        struct stat ours;
        struct stat named;
        if (flock(file, LOCK_EX | LOCK_NB) != 0) {
            (void)close(file);
            return errno == EWOULDBLOCK ? WL_ERR_BUSY : WL_ERR_IO;
        }
        if (fstat(file, &ours) == 0 && stat(path, &named) == 0 && ours.st_ino == named.st_ino &&
            ours.st_dev == named.st_dev && ftruncate(file, 0) == 0) {
            *ret_file = file;
            return WL_OK;
        }
        (void)close(file);
    }
    return WL_ERR_BUSY;
}

/* Makes the new name durable. */
static wl_err_t folder_sync(const char *path) {
    char folder[PATH_MAX];
    (void)snprintf(folder, sizeof folder, "%s", path);
    char *slash = strrchr(folder, '/');
    if (slash == NULL) {
        (void)snprintf(folder, sizeof folder, ".");
    } else {
        slash[slash == folder ? 1 : 0] = '\0';
    }
    int file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (file < 0) {
        return WL_ERR_IO;
    }
    wl_err_t err = fsync(file) == 0 ? WL_OK : WL_ERR_IO;
    (void)close(file);
    return err;
}

wl_err_t wl_blob_file_write(const char *path, const void *bytes, size_t count) {
    char temporary[PATH_MAX];
    int length = snprintf(temporary, sizeof temporary, "%s.tmp", path);
    if (length < 0 || (size_t)length >= sizeof temporary) {
        return WL_ERR_IO;
    }
    int file = -1;
    wl_err_t err = temporary_open(temporary, &file);
    if (err != WL_OK) {
        return err;
    }
    err = bytes_write(file, bytes, count);
    if (err == WL_OK && rename(temporary, path) != 0) {
        err = errno_err();
    }
    if (err != WL_OK) {
        (void)unlink(temporary); /* still locked: it is ours */
    }
    (void)close(file);
    return err == WL_OK ? folder_sync(path) : err;
}
