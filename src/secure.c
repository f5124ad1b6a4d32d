#include "secure.h"

#include "base/check.h"

#include <dirent.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

enum {
    DESK_MS = 5000, /* the guard answers within a turn of its loop */
    SERVER_KEYS_MAX = 2,
    EVENTS = ZMQ_EVENT_LISTENING | ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_CLOSED | ZMQ_EVENT_DISCONNECTED |
             ZMQ_EVENT_MONITOR_STOPPED | ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL |
             ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
};

static atomic_bool guard_runs;
static atomic_uint monitors; /* so far: each gets a name of its own */

bool wl_secure_wanted(const wl_settings_t *settings) {
    return settings->curve_key_file[0] != '\0';
}

void wl_secure_guarded(bool guarded) {
    atomic_store(&guard_runs, guarded);
}

wl_err_t wl_secure_key(const char *where, const char *path, wl_key_part_t part, wl_key_file_t *ret,
                       wl_fault_t *fault) {
    wl_fault_t inner = {.where = ""};
    wl_err_t err = wl_key_file_read(path, part, ret, &inner);
    if (err == WL_OK) {
        return WL_OK;
    }
    char line[16] = "";
    if (inner.line > 0) {
        (void)snprintf(line, sizeof line, ":%u", inner.line);
    }
    return wl_fault(fault, WL_ERR_SETTINGS, where, "%.80s%s: %.24s%s%.80s", path, line, inner.where,
                    inner.where[0] == '\0' ? "" : " ", inner.message);
}

char *wl_secure_ask(const char *question) {
    char *answer = NULL;
    if (!atomic_load(&guard_runs)) {
        return NULL;
    }
    zsock_t *desk = zsock_new(ZMQ_REQ);
    WL_ASSERT(desk != NULL);
    zsock_set_linger(desk, 0);
    zsock_set_rcvtimeo(desk, DESK_MS);
    if (zsock_connect(desk, WL_GUARD_DESK) == 0 && zstr_send(desk, question) == 0) {
        answer = zstr_recv(desk);
    }
    zsock_destroy(&desk);
    return answer;
}

/* The guard must be listening before the first event comes: libzmq's own thread waits for a monitor
 * that nobody reads. */
static wl_err_t socket_watch(zsock_t *socket, wl_actor_kind_t kind, uint32_t instance,
                             wl_door_t door, wl_fault_t *fault) {
    char monitor[64];
    char question[160];
    if (!atomic_load(&guard_runs)) {
        return WL_OK;
    }
    (void)snprintf(monitor, sizeof monitor, "inproc://monitor.%u", atomic_fetch_add(&monitors, 1));
    (void)snprintf(question, sizeof question, "WATCH %s %u %u %u %d", monitor, (unsigned)kind,
                   instance, (unsigned)door, zsock_type(socket));
    if (zmq_socket_monitor(zsock_resolve(socket), monitor, EVENTS) == -1) {
        return wl_fault(fault, WL_ERR_BIND, "", "%s: %s", monitor, zmq_strerror(zmq_errno()));
    }
    char *answer = wl_secure_ask(question);
    bool watched = answer != NULL && strcmp(answer, "OK") == 0;
    zstr_free(&answer);
    return watched ? WL_OK : wl_fault(fault, WL_ERR_BIND, "", "the guard does not watch");
}

static void socket_key_set(zsock_t *socket, const wl_key_file_t *key) {
    zsock_set_curve_publickey_bin(socket, key->public_key);
    zsock_set_curve_secretkey_bin(socket, key->secret_key);
}

wl_err_t wl_secure_bound(const wl_settings_t *settings, zsock_t *socket, wl_actor_kind_t kind,
                         uint32_t instance, wl_door_t door, wl_fault_t *fault) {
    if (wl_secure_wanted(settings)) {
        wl_key_file_t key;
        wl_err_t err =
            wl_secure_key("curve.key_file", settings->curve_key_file, WL_KEY_SECRET, &key, fault);
        if (err != WL_OK) {
            return err;
        }
        zsock_set_zap_domain(socket, wl_door_name(door));
        zsock_set_curve_server(socket, 1);
        socket_key_set(socket, &key);
        wl_key_file_forget(&key);
    }
    return socket_watch(socket, kind, instance, door, fault);
}

/* ---- connecting ----------------------------------------------------------------------------- */

/* "10.0.0.2=writer.key" or "10.0.0.2:7703=writer.key": is it meant for this endpoint? A bare file
 * is meant for all. Returns the file in it, NULL when it is for others. */
static const char *server_key_of(const char *item, const char *endpoint) {
    const char *equals = strchr(item, '=');
    if (equals == NULL) {
        return item;
    }
    const char *place = strstr(endpoint, "://");
    place = place == NULL ? endpoint : place + 3;
    const char *colon = strrchr(place, ':');
    size_t bytes = (size_t)(equals - item);
    bool host = colon != NULL && (size_t)(colon - place) == bytes;
    return (host || strlen(place) == bytes) && memcmp(item, place, bytes) == 0 ? equals + 1 : NULL;
}

static uint32_t server_keys_find(const wl_settings_t *settings, const char *endpoint,
                                 char paths[SERVER_KEYS_MAX][512]) {
    char item[512];
    uint32_t found = 0;
    for (int named = 1; named >= 0 && found == 0; named--) { /* those for it alone go first */
        for (uint32_t i = 0;
             wl_settings_list_item(settings->curve_server_key, i, item, sizeof item); i++) {
            const char *path = server_key_of(item, endpoint);
            if (path != NULL && (path != item) == (named == 1) && found < SERVER_KEYS_MAX) {
                (void)snprintf(paths[found++], 512, "%s", path);
            }
        }
    }
    return found;
}

/* libzmq takes a second connection of a DEALER to the same text for the first one. While a server
 * key is being changed there are two to one place, of which one never gets through its handshake: a
 * zero before the port makes them differ. */
static bool connect_as(zsock_t *socket, const char *endpoint, uint32_t attempt) {
    const char *colon = strrchr(endpoint, ':');
    return attempt == 0 ? zsock_connect(socket, "%s", endpoint) == 0
                        : zsock_connect(socket, "%.*s:0%s", (int)(colon - endpoint), endpoint,
                                        colon + 1) == 0;
}

static wl_err_t connect_curve(const wl_settings_t *settings, zsock_t *socket, const char *where,
                              const char *endpoint, wl_fault_t *fault) {
    char paths[SERVER_KEYS_MAX][512];
    uint32_t count = server_keys_find(settings, endpoint, paths);
    wl_key_file_t key;
    if (count == 0) {
        return wl_fault(fault, WL_ERR_SETTINGS, "curve.server_key", "names no key of %s", endpoint);
    }
    wl_err_t err =
        wl_secure_key("curve.key_file", settings->curve_key_file, WL_KEY_SECRET, &key, fault);
    if (err != WL_OK) {
        return err;
    }
    socket_key_set(socket, &key);
    wl_key_file_forget(&key);
    for (uint32_t i = 0; err == WL_OK && i < count; i++) {
        wl_key_file_t server;
        err = wl_secure_key("curve.server_key", paths[i], WL_KEY_PUBLIC, &server, fault);
        if (err == WL_OK) {
            zsock_set_curve_serverkey_bin(socket, server.public_key);
            if (!connect_as(socket, endpoint, i)) {
                err = wl_fault(fault, WL_ERR_BIND, where, "%s: %s", endpoint,
                               zmq_strerror(zmq_errno()));
            }
        }
    }
    return err;
}

wl_err_t wl_secure_connect(const wl_settings_t *settings, zsock_t *socket, const char *where,
                           const char *endpoint, wl_fault_t *fault) {
    if (wl_secure_wanted(settings)) {
        return connect_curve(settings, socket, where, endpoint, fault);
    }
    if (zsock_connect(socket, "%s", endpoint) == -1) {
        return wl_fault(fault, WL_ERR_BIND, where, "%s: %s", endpoint, zmq_strerror(zmq_errno()));
    }
    return WL_OK;
}

/* ---- the check ------------------------------------------------------------------------------ */

static wl_err_t check_servers(const wl_settings_t *settings, wl_fault_t *fault) {
    char item[512];
    wl_err_t err = WL_OK;
    for (uint32_t i = 0;
         err == WL_OK && wl_settings_list_item(settings->curve_server_key, i, item, sizeof item);
         i++) {
        const char *equals = strchr(item, '=');
        wl_key_file_t key;
        err = wl_secure_key("curve.server_key", equals == NULL ? item : equals + 1, WL_KEY_PUBLIC,
                            &key, fault);
    }
    return err;
}

static wl_err_t check_folder(const char *folder, wl_fault_t *fault) {
    DIR *open = folder[0] == '\0' ? NULL : opendir(folder);
    if (open != NULL) {
        (void)closedir(open);
        return WL_OK;
    }
    return folder[0] == '\0' ? wl_fault(fault, WL_ERR_SETTINGS, "curve.clients",
                                        "is empty: with curve.key_file nobody could connect")
                             : wl_fault(fault, WL_ERR_SETTINGS, "curve.clients", "%s: %s", folder,
                                        strerror(errno));
}

wl_err_t wl_secure_check(const wl_settings_t *settings, wl_fault_t *fault) {
    if (!wl_secure_wanted(settings)) {
        if (settings->curve_clients[0] != '\0' || settings->curve_server_key[0] != '\0') {
            return wl_fault(fault, WL_ERR_SETTINGS, "curve.key_file",
                            "is empty: the other keys of [curve] would mean nothing");
        }
        return WL_OK;
    }
    wl_key_file_t key;
    wl_err_t err =
        wl_secure_key("curve.key_file", settings->curve_key_file, WL_KEY_SECRET, &key, fault);
    if (err == WL_OK) {
        wl_key_file_forget(&key);
        err = check_folder(settings->curve_clients, fault);
    }
    return err == WL_OK ? check_servers(settings, fault) : err;
}
