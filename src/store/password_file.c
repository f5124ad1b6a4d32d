#include "store/password_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static wl_err_t password_check(const char *path, int file, wl_fault_t *fault) {
    struct stat about;
    if (fstat(file, &about) != 0 || !S_ISREG(about.st_mode)) {
        return wl_fault(fault, WL_ERR_SETTINGS, path, "is not a file");
    }
    if ((about.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return wl_fault(fault, WL_ERR_SETTINGS, path, "is open to others: chmod 600");
    }
    return WL_OK;
}

static wl_err_t password_take(const char *path, int file, char *ret, wl_fault_t *fault) {
    char bytes[WL_PASSWORD_MAX + 3]; /* a line end, and one byte to see that it is longer */
    ssize_t count = read(file, bytes, sizeof bytes);
    while (count > 0 && (bytes[count - 1] == '\n' || bytes[count - 1] == '\r')) {
        count--;
    }
    bool usable = count > 0 && count <= WL_PASSWORD_MAX && memchr(bytes, 0, (size_t)count) == NULL;
    if (usable) {
        memcpy(ret, bytes, (size_t)count);
        ret[count] = '\0';
    }
    sodium_memzero(bytes, sizeof bytes);
    return usable ? WL_OK
                  : wl_fault(fault, WL_ERR_SETTINGS, path, "is empty, too long or not a text");
}

wl_err_t wl_password_file_read(const char *path, char *ret, wl_fault_t *fault) {
    if (path == NULL || path[0] == '\0') {
        ret[0] = '\0';
        return WL_OK;
    }
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file == -1) {
        return wl_fault(fault, WL_ERR_SETTINGS, path, "cannot be read: %s", strerror(errno));
    }
    wl_err_t err = password_check(path, file, fault);
    if (err == WL_OK) {
        err = password_take(path, file, ret, fault);
    }
    (void)close(file);
    return err;
}
