#include "actors/peer_watch.h"

#include "base/alloc.h"
#include "base/check.h"

#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The kernel's own: the C library's tcp_info ends before tcpi_bytes_received. */
#include <linux/tcp.h>

enum { SCAN_MAX = 250 }; /* about 0.4 ms; a thousand connections cost 2.5 % of a core */

typedef enum { QUIET, ASKED, WATCHED, ASKED_AGAIN } phase_t;

typedef struct {
    int fd;
    uint32_t group;
    bool measured;
    phase_t phase;
    uint64_t baseline;            /* bytes received when it was last known to be good, or watched */
    uint64_t asked_at;            /* bytes received when the owner was asked */
    struct sockaddr_storage from; /* who it is */
    socklen_t from_bytes;
} peer_t;

struct wl_peer_watch {
    wl_peer_watch_handlers_t handlers;
    peer_t *peers; /* owned, dense */
    uint32_t count;
    uint32_t room;
    uint32_t next;     /* where the next scan goes on */
    uint32_t suspects; /* peers that are not quiet */
    uint32_t *places;  /* owned: by file descriptor, index into peers + 1, 0 = none */
    uint32_t places_count;
};

wl_peer_watch_t *wl_peer_watch_new(const wl_peer_watch_handlers_t *handlers) {
    WL_ASSERT(handlers->ask != NULL && handlers->dropped != NULL);
    wl_peer_watch_t *self = wl_alloc_zero(1, sizeof *self);
    self->handlers = *handlers;
    return self;
}

void wl_peer_watch_destroy(wl_peer_watch_t **self) {
    if (self == NULL || *self == NULL) {
        return;
    }
    wl_free((*self)->peers);
    wl_free((*self)->places);
    wl_free(*self);
    *self = NULL;
}

uint32_t wl_peer_watch_count(const wl_peer_watch_t *self) {
    return self->count;
}

static peer_t *watch_find(const wl_peer_watch_t *self, int fd) {
    bool known = fd >= 0 && (uint32_t)fd < self->places_count && self->places[fd] != 0;
    return known ? &self->peers[self->places[fd] - 1] : NULL;
}

static void *grown(void *old, uint32_t count, uint32_t room, size_t bytes) {
    void *more = wl_alloc_zero(room, bytes);
    if (count > 0) {
        memcpy(more, old, count * bytes);
    }
    wl_free(old);
    return more;
}

/* The process may have so many files that both tables stay bounded by RLIMIT_NOFILE. */
static void watch_make_room(wl_peer_watch_t *self, int fd) {
    if (self->count == self->room) {
        uint32_t room = self->room == 0 ? 64 : 2 * self->room;
        self->peers = grown(self->peers, self->count, room, sizeof *self->peers);
        self->room = room;
    }
    if ((uint32_t)fd >= self->places_count) {
        uint32_t room = self->places_count == 0 ? 256 : self->places_count;
        while (room <= (uint32_t)fd) {
            room *= 2;
        }
        self->places = grown(self->places, self->places_count, room, sizeof *self->places);
        self->places_count = room;
    }
}

static void peer_phase(wl_peer_watch_t *self, peer_t *peer, phase_t phase) {
    self->suspects -= peer->phase != QUIET;
    self->suspects += phase != QUIET;
    peer->phase = phase;
}

static void watch_forget(wl_peer_watch_t *self, peer_t *peer) {
    if (peer->phase != QUIET) {
        self->handlers.ask(self->handlers.arg, peer->group, peer->fd, true);
    }
    peer_phase(self, peer, QUIET);
    uint32_t place = self->places[peer->fd] - 1;
    self->places[peer->fd] = 0;
    self->count--;
    if (place < self->count) {
        self->peers[place] = self->peers[self->count];
        self->places[self->peers[place].fd] = place + 1;
    }
}

void wl_peer_watch_accept(wl_peer_watch_t *self, int fd, uint32_t group, bool measured) {
    if (fd < 0) {
        return;
    }
    peer_t *old = watch_find(self, fd);
    if (old != NULL) { /* its end came without an event */
        watch_forget(self, old);
    }
    watch_make_room(self, fd);
    peer_t *peer = &self->peers[self->count++];
    *peer = (peer_t){.fd = fd, .group = group, .measured = measured};
    peer->from_bytes = sizeof peer->from;
    if (getpeername(fd, (struct sockaddr *)&peer->from, &peer->from_bytes) == -1) {
        peer->from_bytes = 0; /* gone again already; its end is on the way */
    }
    self->places[fd] = self->count;
}

void wl_peer_watch_leave(wl_peer_watch_t *self, int fd, uint32_t group) {
    peer_t *peer = watch_find(self, fd);
    if (peer != NULL && peer->group == group) {
        watch_forget(self, peer);
    }
}

void wl_peer_watch_end(wl_peer_watch_t *self, uint32_t group) {
    for (uint32_t i = 0; i < self->count;) {
        if (self->peers[i].group == group) {
            watch_forget(self, &self->peers[i]);
        } else {
            i++;
        }
    }
}

/* false: not a TCP connection (any more). */
static bool received(int fd, uint64_t *ret) {
    struct tcp_info info;
    socklen_t bytes = sizeof info;
    memset(&info, 0, sizeof info);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &bytes) == -1 ||
        bytes < offsetof(struct tcp_info, tcpi_bytes_received) + sizeof(uint64_t)) {
        return false;
    }
    *ret = info.tcpi_bytes_received;
    return true;
}

static void peer_address(const peer_t *peer, char ret[static 80]) {
    char host[64] = "?";
    char port[8] = "?";
    (void)getnameinfo((const struct sockaddr *)&peer->from, peer->from_bytes, host, sizeof host,
                      port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV);
    (void)snprintf(ret, 80, "%s:%s", host, port);
}

/* Shuts the connection down through a duplicate: libzmq may close its descriptor, and somebody else
 * get the number, between a look and the deed. libzmq then sees the end and cleans up. */
static bool peer_cut(const peer_t *peer) {
    struct sockaddr_storage from;
    socklen_t bytes = sizeof from;
    int own = dup(peer->fd);
    if (own == -1) {
        return false;
    }
    memset(&from, 0, sizeof from);
    bool same = peer->from_bytes > 0 && getpeername(own, (struct sockaddr *)&from, &bytes) == 0 &&
                bytes == peer->from_bytes && memcmp(&from, &peer->from, bytes) == 0;
    /* Without lingering the peer hears of it at once, however much it has still on its way. */
    const struct linger none = {.l_onoff = 1, .l_linger = 0};
    bool cut = same && setsockopt(own, SOL_SOCKET, SO_LINGER, &none, sizeof none) == 0 &&
               shutdown(own, SHUT_RDWR) == 0;
    (void)close(own);
    return cut;
}

/* Forgets the peer: *peer is another one afterwards, or none. */
static void watch_drop(wl_peer_watch_t *self, peer_t *peer, uint64_t undelivered) {
    char address[80];
    uint32_t group = peer->group;
    bool cut = peer_cut(peer);
    peer_address(peer, address);
    watch_forget(self, peer);
    if (cut) {
        self->handlers.dropped(self->handlers.arg, group, address, undelivered);
    }
}

static void peer_ask(wl_peer_watch_t *self, peer_t *peer, phase_t phase, uint64_t bytes) {
    peer->asked_at = bytes;
    peer_phase(self, peer, phase);
    self->handlers.ask(self->handlers.arg, peer->group, peer->fd, false);
}

/* false: the peer was cut off, and another one has taken its place. */
static bool watch_look(wl_peer_watch_t *self, peer_t *peer) {
    uint64_t bytes = 0;
    if (!peer->measured || !received(peer->fd, &bytes)) {
        return true;
    }
    if (bytes < peer->baseline) { /* another connection has the number; its event is on the way */
        peer->baseline = bytes;
    }
    uint64_t undelivered = bytes - peer->baseline;
    switch (peer->phase) {
    case QUIET:
        if (undelivered > WL_PEER_SUSPECT_BYTES) {
            peer_ask(self, peer, ASKED, bytes);
        }
        break;
    case WATCHED:
        if (undelivered > WL_PEER_UNDELIVERED_BYTES) {
            peer_ask(self, peer, ASKED_AGAIN, bytes);
        }
        break;
    case ASKED:
    case ASKED_AGAIN:
        if (bytes > peer->asked_at + WL_PEER_UNANSWERED_BYTES) {
            watch_drop(self, peer, undelivered);
            return false;
        }
        break;
    }
    return true;
}

bool wl_peer_watch_scan_suspects(wl_peer_watch_t *self) {
    uint32_t left = self->suspects;
    for (uint32_t i = 0; left > 0 && i < self->count;) {
        if (self->peers[i].phase == QUIET) {
            i++;
            continue;
        }
        left--;
        i += watch_look(self, &self->peers[i]);
    }
    return self->suspects > 0;
}

bool wl_peer_watch_scan(wl_peer_watch_t *self) {
    uint32_t looks = self->count < SCAN_MAX ? self->count : SCAN_MAX;
    for (; looks > 0 && self->count > 0; looks--) {
        self->next = self->next < self->count ? self->next : 0;
        self->next += watch_look(self, &self->peers[self->next]);
    }
    return wl_peer_watch_scan_suspects(self);
}

void wl_peer_watch_seen(wl_peer_watch_t *self, int fd, uint32_t group, bool delivered) {
    peer_t *peer = watch_find(self, fd);
    uint64_t bytes = 0;
    if (peer == NULL || peer->group != group || !received(fd, &bytes)) {
        return;
    }
    if (delivered) {
        peer->baseline = bytes;
        peer_phase(self, peer, QUIET);
    } else if (peer->phase == ASKED) { /* from here on the owner notices every message of it */
        peer->baseline = bytes;
        peer_phase(self, peer, WATCHED);
    } else if (peer->phase == ASKED_AGAIN && bytes > peer->baseline) {
        watch_drop(self, peer, bytes - peer->baseline);
    }
}

uint32_t wl_peer_watch_cut(wl_peer_watch_t *self, uint32_t group) {
    uint32_t cut = 0;
    for (uint32_t i = 0; i < self->count; i++) {
        cut += self->peers[i].group == group && peer_cut(&self->peers[i]);
    }
    return cut;
}
