/* redis.h: connections to one Redis server or to all masters of a Redis Cluster (hiredis inside;
 * no other file includes it but for redisReply). Commands are pipelined: each call appends, the
 * next turn of the loop writes; answers come back in the order of their node.
 * One handle belongs to one thread. It blocks only in wl_redis_wait(). Two ways to drive it:
 *     blocking    wl_redis_send() ..., then wl_redis_wait() until all were answered
 *     on a loop   wl_redis_watch() names the descriptors, wl_redis_ready() and _tick() serve them
 *
 * Every command gets exactly one callback, also when the connection breaks, the deadline passes or
 * the handle is destroyed. While a server is connected to for the first time, commands wait for
 * it. A lost connection is made again with back-off (50 ms to 1 s); commands meanwhile fail at
 * once with WL_ERR_UNAVAILABLE, or WL_ERR_UNAUTHORIZED when the server did not let us in. A
 * command without an answer after timeout_ms fails with WL_ERR_DEADLINE and closes its connection;
 * the others under way on that connection fail with WL_ERR_UNAVAILABLE. Whether any of them took
 * effect is not known.
 *
 * Cluster: the node is chosen by the hash slot of the key (CRC16 of the part in braces). MOVED and
 * ASK are followed (at most 5 times, each with timeout_ms of its own; then WL_ERR_BUSY); MOVED,
 * CLUSTERDOWN and lost connections refresh the slot map. Source: Redis Cluster specification. */
#ifndef WL_STORE_REDIS_H
#define WL_STORE_REDIS_H

#include "base/err.h"

#include <hiredis/hiredis.h>
#include <stddef.h>
#include <stdint.h>

typedef struct wl_redis wl_redis_t;

typedef struct {
    const char *nodes; /* "host:port" (v6: "[::1]:6379"), of a cluster some of its nodes (at most
                          16), comma-separated; copied */
    bool cluster;
    const char *user; /* NULL or "" = the default user */
    /* NULL or "" = none; mode 0600 is checked; read again at each connection. */
    const char *password_file;
    uint32_t timeout_ms; /* of a connection attempt and of a command */
} wl_redis_options_t;

/* Never waits for a server: connecting begins with the first turn, in the background. Host names
 * are looked up here, once, and that may block; numeric addresses never do. WL_ERR_SETTINGS: nodes
 * or password file; *fault may be NULL. */
WL_MUST_USE wl_err_t wl_redis_new(const wl_redis_options_t *options, wl_redis_t **ret,
                                  wl_fault_t *fault);
/* Calls back everything still open with WL_ERR_UNAVAILABLE. Not from a callback. NULL and *NULL are
 * accepted. */
void wl_redis_destroy(wl_redis_t **self);

/* One argument of a command, borrowed for the call. */
typedef struct {
    const void *at;
    size_t bytes;
} wl_redis_arg_t;

/* reply is borrowed for the call and NULL unless err is WL_OK or WL_ERR_INTERNAL. Redis's own
 * errors arrive as: WL_ERR_BUSY (LOADING, BUSY, TRYAGAIN, CLUSTERDOWN, MASTERDOWN), WL_ERR_NO_SPACE
 * (MISCONF, OOM), WL_ERR_CONFLICT (READONLY), WL_ERR_UNAUTHORIZED (NOAUTH, WRONGPASS, NOPERM),
 * WL_ERR_NOT_FOUND (NOSCRIPT, NOGROUP), else WL_ERR_INTERNAL; the reply then holds its text. May
 * send further commands, but not wait or destroy. */
typedef void (*wl_redis_fn)(wl_err_t err, const redisReply *reply, void *arg);

/* Commands under way; more, or more than 256 MiB of them, fail at once with WL_ERR_FULL. */
enum { WL_REDIS_OPEN_MAX = 65536 };

/* Sends one command to the node of `key`, the whole of which is also among the arguments; key NULL:
 * to any master. fn may be NULL. fn is never called from inside this call. */
void wl_redis_send(wl_redis_t *self, const wl_redis_arg_t *key, const wl_redis_arg_t *args,
                   uint32_t arg_count, wl_redis_fn fn, void *ctx);
/* The same for a script kept in the server (EVALSHA, with the text again after NOSCRIPT). `script`
 * must live as long as the process; keys come first in args. */
void wl_redis_script(wl_redis_t *self, const char *script, uint32_t key_count,
                     const wl_redis_arg_t *args, uint32_t arg_count, wl_redis_fn fn, void *ctx);

/* Serves the connections until nothing is under way or wait_ms passed; WL_ERR_DEADLINE then. */
WL_MUST_USE wl_err_t wl_redis_wait(wl_redis_t *self, uint32_t wait_ms);

/* A descriptor to poll for POLLIN, POLLOUT (events), 0 = do not poll it any more. Called from
 * inside other calls whenever it changes. */
typedef void (*wl_redis_watch_fn)(int fd, short events, void *ctx);
void wl_redis_watch(wl_redis_t *self, wl_redis_watch_fn fn, void *ctx);
void wl_redis_ready(wl_redis_t *self, int fd, short events); /* the loop found it ready */
/* Deadlines, reconnects, the slot map. Call it every 10 to 100 ms, and after a batch of commands
 * when they should leave now instead of with the next turn of the loop: it writes them, and calls
 * back those that failed at once. Does nothing inside a callback. */
void wl_redis_tick(wl_redis_t *self);

uint64_t wl_redis_open(const wl_redis_t *self); /* commands under way */

/* Who serves a key now: grows whenever the connection that serves it is made anew or the key moves
 * to another node, so equal numbers mean one unbroken connection. 0: nobody at the moment. */
uint64_t wl_redis_link(const wl_redis_t *self, const wl_redis_arg_t *key);

/* Which server takes a hash slot now: a number below 128, the same for all slots of one server as
 * long as it is a master; WL_REDIS_NO_SERVER: nobody, or the slot map is not there yet. */
enum { WL_REDIS_NO_SERVER = 255 };
uint32_t wl_redis_server(const wl_redis_t *self, uint32_t slot);

/* Hash slot of a key, 0..16383 (CRC16/XMODEM of the part between the first { and the next }, when
 * that is not empty; else of all). Pure. */
uint32_t wl_redis_slot(const void *key, size_t bytes);

typedef struct {
    uint64_t commands;
    uint64_t failures;   /* commands that ended without a reply of theirs */
    uint64_t reconnects; /* connections lost or refused */
    uint64_t moved;      /* MOVED and ASK followed */
    uint32_t nodes;      /* masters connected now */
    char problem[128];   /* why the last connection failed, "" = never */
} wl_redis_stats_t;
wl_redis_stats_t wl_redis_stats(const wl_redis_t *self);

#endif
