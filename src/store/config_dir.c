#include "store/config_dir.h"

#include "base/alloc.h"
#include "base/limits.h"
#include "store/blob_file.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

void wl_config_file_release(wl_config_file_t *self) {
    wl_free(self->text);
    *self = (wl_config_file_t){0};
}

/* "<name>-<N>.json" gives N; anything else 0. */
static uint32_t version_parse(const char *file_name, const char *name) {
    size_t name_bytes = strlen(name);
    if (strncmp(file_name, name, name_bytes) != 0 || file_name[name_bytes] != '-') {
        return 0;
    }
    const char *digit = file_name + name_bytes + 1;
    uint64_t version = 0;
    if (*digit == '0') {
        return 0;
    }
    while (*digit >= '0' && *digit <= '9' && version <= INT32_MAX) {
        version = version * 10 + (uint64_t)(*digit - '0');
        digit++;
    }
    return version <= INT32_MAX && strcmp(digit, ".json") == 0 ? (uint32_t)version : 0;
}

/* The highest version in the folder that is below the bound. */
static wl_err_t version_find(const char *dir, const char *name, uint32_t below,
                             uint32_t *ret_version) {
    DIR *folder = opendir(dir);
    if (folder == NULL) {
        return errno == ENOENT ? WL_ERR_NOT_FOUND : WL_ERR_IO;
    }
    uint32_t newest = 0;
    errno = 0;
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        uint32_t version = version_parse(entry->d_name, name);
        if (version > newest && (below == 0 || version < below)) {
            newest = version;
        }
    }
    wl_err_t err = errno == 0 ? WL_OK : WL_ERR_IO;
    (void)closedir(folder);
    if (err == WL_OK && newest == 0) {
        return WL_ERR_NOT_FOUND;
    }
    *ret_version = newest;
    return err;
}

wl_err_t wl_config_dir_read(const char *dir, const char *name, uint32_t below,
                            wl_config_file_t *ret, wl_fault_t *fault) {
    wl_config_file_t found = {0};
    wl_err_t err = version_find(dir, name, below, &found.version);
    if (err != WL_OK) {
        *ret = found;
        return wl_fault(fault, err, dir,
                        err == WL_ERR_IO ? "the folder cannot be read: %s"
                                         : "no file of this name is there: %s-<N>.json",
                        err == WL_ERR_IO ? strerror(errno) : name);
    }
    int length = snprintf(found.path, sizeof found.path, "%s/%s-%u.json", dir, name, found.version);
    if (length < 0 || (size_t)length >= sizeof found.path) {
        *ret = found;
        return wl_fault(fault, WL_ERR_IO, dir, "the path is too long");
    }
    void *text = NULL;
    err = wl_blob_file_read(found.path, WL_DOCUMENT_BYTES_MAX, &text, &found.bytes);
    if (err == WL_ERR_NOT_FOUND) {
        err = WL_ERR_IO; /* it was in the folder a moment ago, or is a dangling link */
    }
    found.text = text;
    *ret = found;
    if (err == WL_ERR_TOO_BIG) {
        return wl_fault(fault, err, found.path, "larger than %d bytes", WL_DOCUMENT_BYTES_MAX);
    }
    return err == WL_OK ? WL_OK : wl_fault(fault, err, found.path, "the file cannot be read");
}
