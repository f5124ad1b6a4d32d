/* peer_watch.h: the connections of our sockets, and which of them send without ever delivering.
 *
 * libzmq bounds a frame and counts whole messages, but nothing bounds a message of endless frames:
 * its peer could fill our memory. The kernel knows how many bytes came in on a connection. When
 * many came since the last message of a peer that we know of, the owner of the socket is asked to
 * look (only then, so that the hot path pays nothing): it tells when a message of that peer
 * arrives, or that the socket is empty and none did. A peer that goes on sending after that is cut
 * off.
 *
 *     quiet -> (1 MiB came) -> asked -> (owner: empty) -> watched -> (8 MiB more) -> asked again
 *     -> (owner: empty) -> cut off;      (owner: a message of it) -> quiet, from anywhere
 *
 * Part of the guard actor, on its thread. File descriptors belong to libzmq and are closed by it at
 * any time: before one is cut off, a duplicate is checked to be the same connection. */
#ifndef WL_ACTORS_PEER_WATCH_H
#define WL_ACTORS_PEER_WATCH_H

#include <stdbool.h>
#include <stdint.h>

enum {
    WL_PEER_SUSPECT_BYTES = 1024 * 1024,         /* since the last known message: ask the owner */
    WL_PEER_UNDELIVERED_BYTES = 8 * 1024 * 1024, /* while watched: ask once more, then cut off */
    WL_PEER_UNANSWERED_BYTES = 32 * 1024 * 1024, /* after an ask without an answer: cut off */
};

typedef struct wl_peer_watch wl_peer_watch_t;

/* What scanning finds; `group` is what the connection was accepted with. */
typedef struct {
    void (*ask)(void *arg, uint32_t group, int fd, bool over); /* over: look no further */
    void (*dropped)(void *arg, uint32_t group, const char *address, uint64_t bytes);
    void *arg;
} wl_peer_watch_handlers_t;

wl_peer_watch_t *wl_peer_watch_new(const wl_peer_watch_handlers_t *handlers);
void wl_peer_watch_destroy(wl_peer_watch_t **self); /* NULL and *NULL are accepted */

/* libzmq has accepted a connection; it has ended. measured: count its bytes. */
void wl_peer_watch_accept(wl_peer_watch_t *self, int fd, uint32_t group, bool measured);
void wl_peer_watch_leave(wl_peer_watch_t *self, int fd, uint32_t group);
/* The group's socket is closed: all its connections have ended, without an event each. */
void wl_peer_watch_end(wl_peer_watch_t *self, uint32_t group);
uint32_t wl_peer_watch_count(const wl_peer_watch_t *self);

/* Looks at up to 250 connections, the next ones with each call, and at all suspects; or at these
 * alone. false: there are no suspects. */
bool wl_peer_watch_scan(wl_peer_watch_t *self);
bool wl_peer_watch_scan_suspects(wl_peer_watch_t *self);

/* The owner's answer about a connection of this group. */
void wl_peer_watch_seen(wl_peer_watch_t *self, int fd, uint32_t group, bool delivered);

/* Cuts off all connections of a group; returns how many. */
uint32_t wl_peer_watch_cut(wl_peer_watch_t *self, uint32_t group);

#endif
