#include "client/client_keys.h"

#include "base/settings.h"

#include <sodium.h>
#include <string.h>

static bool given(const char *path) {
    return path != NULL && path[0] != '\0';
}

static wl_err_t key_read(const char *path, wl_key_part_t part, wl_key_file_t *ret,
                         wl_fault_t *fault) {
    wl_fault_t inner = {.where = ""};
    wl_err_t err = wl_key_file_read(path, part, ret, &inner);
    if (err == WL_OK) {
        return WL_OK;
    }
    return inner.line > 0 ? wl_fault(fault, err, path, "%.100s:%u: %.20s %.60s", path, inner.line,
                                     inner.where, inner.message)
                          : wl_fault(fault, err, path, "%.100s %.20s%s%.60s", path, inner.where,
                                     inner.where[0] == '\0' ? "" : " ", inner.message);
}

static wl_err_t servers_read(const char *list, wl_client_keys_t *keys, wl_fault_t *fault) {
    char path[512];
    wl_err_t err = WL_OK;
    for (uint32_t i = 0; err == WL_OK && wl_settings_list_item(list, i, path, sizeof path); i++) {
        wl_key_file_t server;
        if (i == WL_CLIENT_SERVERS_MAX) {
            return wl_fault(fault, WL_ERR_SETTINGS, path, "%s is one server key too many", path);
        }
        err = key_read(path, WL_KEY_PUBLIC, &server, fault);
        if (err == WL_OK) {
            memcpy(keys->server[keys->servers++], server.public_key, WL_KEY_BYTES);
        }
    }
    return err;
}

wl_err_t wl_client_keys_read(const char *key_file, const char *server_files, wl_client_keys_t *ret,
                             wl_fault_t *fault) {
    wl_client_keys_t keys = {.servers = 0};
    if (!given(key_file) && !given(server_files)) {
        *ret = keys;
        return WL_OK;
    }
    if (!given(key_file) || !given(server_files)) {
        return wl_fault(fault, WL_ERR_SETTINGS, "",
                        given(key_file) ? "a key needs the public key of the server as well"
                                        : "a server key needs a key of one's own as well");
    }
    wl_err_t err = key_read(key_file, WL_KEY_SECRET, &keys.own, fault);
    if (err == WL_OK) {
        err = servers_read(server_files, &keys, fault);
    }
    if (err == WL_OK) {
        *ret = keys;
    }
    wl_client_keys_forget(&keys);
    return err;
}

void wl_client_keys_apply(const wl_client_keys_t *self, uint32_t which, zsock_t *socket) {
    if (self->servers > 0) {
        zsock_set_curve_publickey_bin(socket, self->own.public_key);
        zsock_set_curve_secretkey_bin(socket, self->own.secret_key);
        zsock_set_curve_serverkey_bin(socket, self->server[which % self->servers]);
    }
}

void wl_client_keys_forget(wl_client_keys_t *self) {
    sodium_memzero(self, sizeof *self);
}
