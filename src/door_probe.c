#include "door_probe.h"

#include "base/check.h"
#include "base/clock.h"
#include "proto/monitor.h"
#include "secure.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sodium.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    PROBE_MS = 5000, /* of one door; a handshake takes a few ms on a busy machine */
    GREETING_BYTES = 64,
    EVENTS = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_HANDSHAKE_FAILED_AUTH |
             ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL,
};

/* What is bound to every address is tried on loopback. */
static void endpoint_target(const char *endpoint, char *ret, size_t bytes) {
    static const struct {
        const char *bound;
        const char *tried;
    } rows[] = {{"tcp://0.0.0.0:", "tcp://127.0.0.1:"}, {"tcp://[::]:", "tcp://[::1]:"}};
    (void)snprintf(ret, bytes, "%s", endpoint);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t prefix = strlen(rows[i].bound);
        if (strncmp(endpoint, rows[i].bound, prefix) == 0) {
            (void)snprintf(ret, bytes, "%s%s", rows[i].tried, endpoint + prefix);
        }
    }
}

/* ---- a stranger with a key ------------------------------------------------------------------ */

static wl_probe_t stranger_outcome(zsock_t *monitor, int timeout_ms) {
    wl_probe_t outcome = WL_PROBE_SILENT;
    int64_t until = wl_mono_now().ms + timeout_ms;
    zpoller_t *poller = zpoller_new(monitor, NULL);
    for (int64_t left = timeout_ms; left > 0 && outcome == WL_PROBE_SILENT;
         left = until - wl_mono_now().ms) {
        wl_monitor_event_t event;
        (void)zpoller_wait(poller, (int)left);
        if (wl_monitor_recv(monitor, &event) != WL_OK) {
            continue;
        }
        outcome = event.event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED     ? WL_PROBE_ADMITTED
                  : event.event == ZMQ_EVENT_HANDSHAKE_FAILED_AUTH ? WL_PROBE_REFUSED
                                                                   : WL_PROBE_CUT;
    }
    zpoller_destroy(&poller);
    return outcome;
}

/* What a client of such a socket would be: with another type it is not even asked for its key. */
static int client_type(int type) {
    return type == ZMQ_SUB ? ZMQ_PUB : type == ZMQ_PULL ? ZMQ_PUSH : ZMQ_DEALER;
}

static wl_probe_t stranger_try(const char *endpoint, int type, const wl_key_file_t *own,
                               const uint8_t server_key[WL_KEY_BYTES], int timeout_ms) {
    static atomic_uint probes;
    char watched[64];
    char target[160];
    wl_probe_t outcome = WL_PROBE_SILENT;
    (void)snprintf(watched, sizeof watched, "inproc://probe.%u", atomic_fetch_add(&probes, 1));
    endpoint_target(endpoint, target, sizeof target);
    zsock_t *socket = zsock_new(client_type(type));
    zsock_t *monitor = zsock_new(ZMQ_PAIR);
    WL_ASSERT(socket != NULL && monitor != NULL);
    zsock_set_linger(socket, 0);
    zsock_set_linger(monitor, 0);
    zsock_set_curve_publickey_bin(socket, own->public_key);
    zsock_set_curve_secretkey_bin(socket, own->secret_key);
    zsock_set_curve_serverkey_bin(socket, server_key);
    if (zmq_socket_monitor(zsock_resolve(socket), watched, EVENTS) == 0 &&
        zsock_connect(monitor, "%s", watched) == 0 && zsock_connect(socket, "%s", target) == 0) {
        outcome = stranger_outcome(monitor, timeout_ms);
    }
    zsock_destroy(&socket);
    zsock_destroy(&monitor);
    return outcome;
}

wl_probe_t wl_probe_stranger(const char *endpoint, int type, const uint8_t server_key[WL_KEY_BYTES],
                             int timeout_ms) {
    wl_key_file_t own;
    wl_key_file_new(&own);
    wl_probe_t outcome = stranger_try(endpoint, type, &own, server_key, timeout_ms);
    wl_key_file_forget(&own);
    return outcome;
}

/* ---- a stranger without a key --------------------------------------------------------------- */

/* Returns a connected socket, -1 when nobody listens. */
static int plain_connect(const char *endpoint) {
    char target[160];
    char host[128] = "";
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    endpoint_target(endpoint, target, sizeof target);
    const char *place = strncmp(target, "tcp://", 6) == 0 ? target + 6 : "";
    const char *colon = strrchr(place, ':');
    if (colon == NULL) {
        return -1;
    }
    bool bracket = place[0] == '[';
    (void)snprintf(host, sizeof host, "%.*s", (int)(colon - place) - 2 * bracket, place + bracket);
    if (getaddrinfo(host, colon + 1, &hints, &found) != 0) {
        return -1;
    }
    int file = socket(found->ai_family, found->ai_socktype | SOCK_CLOEXEC, found->ai_protocol);
    if (file != -1 && connect(file, found->ai_addr, found->ai_addrlen) == -1) {
        (void)close(file);
        file = -1;
    }
    freeaddrinfo(found);
    return file;
}

/* ZMTP 3.0: a greeting that says NULL, and at once the READY that follows when both agree. */
static bool plain_send(int file) {
    static const char ready[41 + 2] = "\x04\x29\x05READY"
                                      "\x0bSocket-Type\0\0\0\x06"
                                      "DEALER"
                                      "\x08Identity\0\0\0";
    uint8_t bytes[GREETING_BYTES + sizeof ready] = {0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f, 3, 0};
    memcpy(bytes + 12, "NULL", 4);
    memcpy(bytes + GREETING_BYTES, ready, sizeof ready);
    return send(file, bytes, sizeof bytes, MSG_NOSIGNAL) == (ssize_t)sizeof bytes;
}

wl_probe_t wl_probe_plain(const char *endpoint, int timeout_ms) {
    int file = plain_connect(endpoint);
    if (file == -1) {
        return WL_PROBE_SILENT;
    }
    uint8_t bytes[256];
    size_t heard = 0;
    ssize_t got = 1;
    wl_probe_t outcome = WL_PROBE_SILENT;
    int64_t until = wl_mono_now().ms + timeout_ms;
    bool sent = plain_send(file);
    while (sent && got > 0 && heard <= GREETING_BYTES) {
        int64_t left = until - wl_mono_now().ms;
        struct pollfd item = {.fd = file, .events = POLLIN};
        if (left <= 0 || poll(&item, 1, (int)left) <= 0) {
            break;
        }
        got = recv(file, bytes, sizeof bytes, 0);
        heard += got > 0 ? (size_t)got : 0;
    }
    if (heard > GREETING_BYTES) { /* its READY: to it we are a client like any other */
        outcome = WL_PROBE_ADMITTED;
    } else if (!sent || got <= 0) {
        outcome = WL_PROBE_CUT;
    }
    (void)close(file);
    return outcome;
}

/* ---- all doors ------------------------------------------------------------------------------ */

/* The guard does not count or log this stranger. */
static void guard_announce(const wl_key_file_t *own) {
    char hex[2 * WL_KEY_BYTES + 1];
    char question[2 * WL_KEY_BYTES + 16];
    (void)sodium_bin2hex(hex, sizeof hex, own->public_key, WL_KEY_BYTES);
    (void)snprintf(question, sizeof question, "PROBE %s", hex);
    char *answer = wl_secure_ask(question);
    zstr_free(&answer);
}

static wl_err_t door_judge(const char *door, const char *endpoint, wl_probe_t outcome,
                           bool cut_will_do, const char *who, wl_fault_t *fault) {
    switch (outcome) {
    case WL_PROBE_REFUSED: return WL_OK;
    case WL_PROBE_CUT:
        if (cut_will_do) {
            return WL_OK;
        }
        break;
    case WL_PROBE_ADMITTED:
        return wl_fault(fault, WL_ERR_FORBIDDEN, door, "%s was let in at %s", who, endpoint);
    case WL_PROBE_SILENT: break;
    }
    return wl_fault(fault, WL_ERR_UNAVAILABLE, door, "%s was not refused within %d ms at %s", who,
                    PROBE_MS, endpoint);
}

static wl_err_t door_try(const char *door, int type, const char *endpoint, const wl_key_file_t *own,
                         const uint8_t *server_key, bool plain, wl_fault_t *fault) {
    bool tier = strcmp(door, wl_door_name(WL_DOOR_TIER)) == 0; /* cut without a word, see guard.c */
    wl_err_t err =
        door_judge(door, endpoint, stranger_try(endpoint, type, own, server_key, PROBE_MS), tier,
                   "an unknown key", fault);
    if (err == WL_OK && plain && strncmp(endpoint, "tcp://", 6) == 0) {
        err = door_judge(door, endpoint, wl_probe_plain(endpoint, PROBE_MS), true,
                         "a client without a key", fault);
    }
    return err;
}

static wl_err_t doors_try(const char *doors, const uint8_t *server_key, bool plain,
                          wl_fault_t *fault) {
    wl_key_file_t own;
    wl_err_t err = WL_OK;
    wl_key_file_new(&own);
    guard_announce(&own);
    for (const char *line = doors; err == WL_OK && *line != '\0';) {
        const char *end = strchr(line, '\n');
        char door[16];
        char endpoint[128];
        int type = 0;
        int read = sscanf(line, "%15s %d %127s", door, &type, endpoint);
        WL_ASSERT(end != NULL && read == 3); /* our own desk wrote it */
        err = door_try(door, type, endpoint, &own, server_key, plain, fault);
        line = end + 1;
    }
    wl_key_file_forget(&own);
    return err;
}

wl_err_t wl_probe_doors(const wl_settings_t *settings, bool plain, wl_fault_t *fault) {
    if (!wl_secure_wanted(settings)) {
        return WL_OK;
    }
    wl_key_file_t key;
    wl_err_t err =
        wl_secure_key("curve.key_file", settings->curve_key_file, WL_KEY_SECRET, &key, fault);
    if (err != WL_OK) {
        return WL_ERR_UNAVAILABLE;
    }
    char *doors = wl_secure_ask("DOORS");
    err = doors == NULL || doors[0] == '\0'
              ? wl_fault(fault, WL_ERR_UNAVAILABLE, "guard", "does not say which doors there are")
              : doors_try(doors, key.public_key, plain, fault);
    zstr_free(&doors);
    wl_key_file_forget(&key);
    return err;
}
