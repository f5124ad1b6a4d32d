#include "actors/cursor_key.h"

#include "base/random.h"
#include "store/password_file.h"

#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_BYTES = 2 * WL_CURSOR_KEY_BYTES, PATH_BYTES = 640 };

/* Makes the file unless it is there. Written under another name first: whoever starts at the same
 * moment reads the whole key of one of us. */
static wl_err_t key_make(const char *path, wl_fault_t *fault) {
    char draft[PATH_BYTES + 24];
    uint8_t key[WL_CURSOR_KEY_BYTES];
    char text[TEXT_BYTES + 2];
    if (access(path, F_OK) == 0) {
        return WL_OK;
    }
    (void)snprintf(draft, sizeof draft, "%s.%08x", path, wl_random_below(UINT32_MAX));
    wl_random_bytes(key, sizeof key);
    (void)sodium_bin2hex(text, sizeof text, key, sizeof key);
    text[TEXT_BYTES] = '\n';
    int fd = open(draft, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    bool written = fd >= 0 && write(fd, text, TEXT_BYTES + 1) == TEXT_BYTES + 1 && fsync(fd) == 0;
    written = (fd < 0 || close(fd) == 0) && written;
    written = written && (link(draft, path) == 0 || errno == EEXIST);
    int problem = errno;
    (void)unlink(draft);
    sodium_memzero(key, sizeof key);
    sodium_memzero(text, sizeof text);
    return written ? WL_OK
                   : wl_fault(fault, WL_ERR_IO, "server.data_dir", "%s cannot be made: %s", path,
                              strerror(problem));
}

wl_err_t wl_cursor_key_read(const wl_settings_t *settings,
                            uint8_t ret_key[static WL_CURSOR_KEY_BYTES], wl_fault_t *fault) {
    char path[PATH_BYTES];
    char text[WL_PASSWORD_MAX + 1];
    wl_err_t err = WL_OK;
    if (settings->details_key_file[0] != '\0') {
        (void)snprintf(path, sizeof path, "%s", settings->details_key_file);
    } else {
        (void)snprintf(path, sizeof path, "%s/details.key", settings->server_data_dir);
        err = key_make(path, fault);
    }
    if (err == WL_OK) {
        err = wl_password_file_read(path, text, fault);
    }
    size_t bytes = 0;
    if (err == WL_OK &&
        (strlen(text) != TEXT_BYTES ||
         sodium_hex2bin(ret_key, WL_CURSOR_KEY_BYTES, text, TEXT_BYTES, NULL, &bytes, NULL) != 0 ||
         bytes != WL_CURSOR_KEY_BYTES)) {
        err = wl_fault(fault, WL_ERR_SETTINGS, "details.key_file",
                       "%s: must hold %d hex digits and nothing else", path, TEXT_BYTES);
    }
    sodium_memzero(text, sizeof text);
    return err;
}
