/* redis_command.h: one command on its way to Redis, and lists of them. A command is in exactly one
 * list until it is called back. For src/store only; belongs to the thread of its wl_redis_t. */
#ifndef WL_STORE_REDIS_COMMAND_H
#define WL_STORE_REDIS_COMMAND_H

#include "store/redis.h"

enum { WL_REDIS_ANY_SLOT = UINT16_MAX };

typedef enum {
    WL_REDIS_FOR_CALLER,    /* of wl_redis_send() or wl_redis_script() */
    WL_REDIS_FOR_HANDSHAKE, /* AUTH and PING of a new connection */
    WL_REDIS_FOR_SCRIPT,    /* SCRIPT LOAD */
    WL_REDIS_FOR_MAP,       /* CLUSTER SLOTS */
    WL_REDIS_FOR_ASKING     /* ASKING, before a command that was sent on by ASK */
} wl_redis_purpose_t;

typedef struct wl_redis_command {
    struct wl_redis_command *next; /* in its list */
    wl_redis_fn fn;                /* may be NULL */
    void *ctx;                     /* of fn */
    char *bytes;       /* owned, as it goes over the wire; NULL = cannot be sent again */
    size_t byte_count; /* also when bytes have gone */
    int64_t late_at;   /* monotonic ms */
    wl_err_t err;      /* why it failed, while it waits for being called back */
    wl_redis_purpose_t purpose;
    uint16_t slot;   /* of its key, or WL_REDIS_ANY_SLOT */
    uint8_t script;  /* index + 1 of a script that the server has to know, 0 = none */
    uint8_t detours; /* how often it was sent again */
    bool last;       /* of a handshake */
} wl_redis_command_t;

typedef struct {
    wl_redis_command_t *first;
    wl_redis_command_t *last;
} wl_redis_commands_t;

wl_redis_command_t *wl_redis_command_new(wl_redis_purpose_t purpose, const wl_redis_arg_t *args,
                                         uint32_t arg_count, int64_t late_at);
void wl_redis_command_destroy(wl_redis_command_t **self); /* does not call back */
void wl_redis_command_forget_bytes(wl_redis_command_t *self);

void wl_redis_commands_push(wl_redis_commands_t *self, wl_redis_command_t *command);
wl_redis_command_t *wl_redis_commands_pop(wl_redis_commands_t *self); /* NULL: empty */

#endif
