/* redis_node.h: one connection to one Redis server: connects, logs in, writes, reads, keeps
 * deadlines and connects again with back-off. hiredis writes commands and parses replies; the
 * socket is our own, because hiredis 0.14 knows no deadlines, may block on names, raises SIGPIPE
 * and frees contexts under the feet of callbacks.
 * For src/store only; belongs to the thread of its wl_redis_t. */
#ifndef WL_STORE_REDIS_NODE_H
#define WL_STORE_REDIS_NODE_H

#include "base/clock.h"
#include "store/password_file.h"
#include "store/redis_address.h"
#include "store/redis_command.h"

typedef struct wl_redis_node wl_redis_node_t;

/* What all nodes of a wl_redis_t share. The functions are called from wl_redis_node_ready(),
 * _turn() and _destroy(), never from _send(); they may send, and must not destroy the node. */
typedef struct {
    void *self; /* first argument of the functions */
    /* Both take the command over. */
    void (*replied)(void *self, wl_redis_node_t *node, wl_redis_command_t *command,
                    const redisReply *reply);
    void (*failed)(void *self, wl_redis_command_t *command, wl_err_t err);
    void (*down)(void *self);           /* a connection was lost or refused */
    wl_redis_watch_fn watch;            /* NULL = nobody polls for us */
    void *watch_ctx;                    /* of watch */
    uint32_t timeout_ms;                /* of a connection attempt and of a command */
    bool resend;                        /* commands may have to go to another node: keep bytes */
    char *user;                         /* owned, "" = the default user */
    char *password_file;                /* owned, "" = none; read again at each connection */
    char password[WL_PASSWORD_MAX + 1]; /* "" = none */
    uint64_t links;                     /* connections ever made, and slots ever moved */
    uint64_t reconnects;                /* connections lost or refused */
    char problem[128];                  /* why the last of those */
} wl_redis_owner_t;

/* Which scripts the server knows, bit per index. */
typedef struct {
    uint64_t known;   /* SCRIPT LOAD was sent */
    uint64_t loading; /* and is not yet answered */
} wl_redis_node_scripts_t;

/* Connects with the first _turn(). owner is borrowed and outlives it. */
wl_redis_node_t *wl_redis_node_new(wl_redis_owner_t *owner, const wl_redis_address_t *address);
void wl_redis_node_destroy(wl_redis_node_t **self); /* fails its commands */

/* WL_OK: takes commands now; while the first connection is being made they wait for it. Else why
 * not: UNAVAILABLE or UNAUTHORIZED. */
wl_err_t wl_redis_node_state(const wl_redis_node_t *self);
bool wl_redis_node_is_up(const wl_redis_node_t *self);   /* connected and logged in */
bool wl_redis_node_is_idle(const wl_redis_node_t *self); /* has no command */
void wl_redis_node_send(wl_redis_node_t *self, wl_redis_command_t *command);

/* Connects when it is time, writes what was appended, fails what is late. */
void wl_redis_node_turn(wl_redis_node_t *self, int64_t now);
void wl_redis_node_ready(wl_redis_node_t *self, short events, int64_t now);

int wl_redis_node_fd(const wl_redis_node_t *self);        /* -1: none */
short wl_redis_node_events(const wl_redis_node_t *self);  /* to poll for */
uint64_t wl_redis_node_link(const wl_redis_node_t *self); /* 0: not up */
const wl_redis_address_t *wl_redis_node_address(const wl_redis_node_t *self);
wl_redis_node_scripts_t *wl_redis_node_scripts(wl_redis_node_t *self);

#endif
