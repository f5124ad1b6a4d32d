#include "store/redis.h"

#include "base/alloc.h"
#include "base/check.h"
#include "base/clock.h"
#include "store/redis_nodes.h"

#include <poll.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
    TURN_MS = 10,          /* between two looks at deadlines while waiting */
    SCRIPTS_MAX = 64,      /* bits of wl_redis_node_scripts_t */
    SHA_BYTES = 40,        /* hexadecimal digits that name a script */
    DETOURS_MAX = 5,       /* how often a command is sent again before its error is believed */
    SCRIPT_ARGS_FIRST = 3, /* EVALSHA, name, number of keys */
};

/* Of all commands under way. One page of a stream or a whole batch of users is far below. */
static const uint64_t BYTES_MAX = (uint64_t)256 << 20;

typedef struct {
    const char *text;        /* borrowed for ever */
    char sha[SHA_BYTES + 1]; /* as a server has named it, "" = not yet */
} script_t;

struct wl_redis {
    wl_redis_owner_t owner;        /* what its nodes share */
    wl_redis_nodes_t *nodes;       /* owned */
    wl_redis_commands_t failed;    /* to be called back with the next turn */
    wl_redis_commands_t parked;    /* until the first slot map is there */
    uint64_t open;                 /* commands of callers not yet called back */
    uint64_t bytes;                /* of those */
    bool serving;                  /* callbacks run: no turn inside a turn */
    script_t scripts[SCRIPTS_MAX]; /* ever used */
    uint32_t script_count;         /* of scripts */
    wl_redis_stats_t stats;        /* but for what is asked from nodes and owner */
};

/* ---- errors ---------------------------------------------------------------------------------- */

static const struct {
    const char *word;
    wl_err_t err;
} error_words[] = {
    {"LOADING", WL_ERR_BUSY},        {"BUSY", WL_ERR_BUSY},
    {"TRYAGAIN", WL_ERR_BUSY},       {"CLUSTERDOWN", WL_ERR_BUSY},
    {"MASTERDOWN", WL_ERR_BUSY},     {"MISCONF", WL_ERR_NO_SPACE},
    {"OOM", WL_ERR_NO_SPACE},        {"READONLY", WL_ERR_CONFLICT},
    {"NOAUTH", WL_ERR_UNAUTHORIZED}, {"WRONGPASS", WL_ERR_UNAUTHORIZED},
    {"NOPERM", WL_ERR_UNAUTHORIZED}, {"NOSCRIPT", WL_ERR_NOT_FOUND},
    {"NOGROUP", WL_ERR_NOT_FOUND},
};

static wl_err_t reply_err(const redisReply *reply) {
    if (reply->type != REDIS_REPLY_ERROR) {
        return WL_OK;
    }
    size_t bytes = strcspn(reply->str, " ");
    for (size_t i = 0; i < WL_COUNT_OF(error_words); i++) {
        if (strlen(error_words[i].word) == bytes &&
            memcmp(error_words[i].word, reply->str, bytes) == 0) {
            return error_words[i].err;
        }
    }
    return WL_ERR_INTERNAL;
}

/* ---- the end of a command -------------------------------------------------------------------- */

static void redis_end(wl_redis_t *self, wl_redis_command_t *command, wl_err_t err,
                      const redisReply *reply) {
    if (command->purpose == WL_REDIS_FOR_CALLER) {
        self->open--;
        self->bytes -= command->byte_count;
        if (command->fn != NULL) {
            command->fn(err, err == WL_OK || err == WL_ERR_INTERNAL ? reply : NULL, command->ctx);
        }
    }
    wl_redis_command_destroy(&command);
}

static void on_failed(void *arg, wl_redis_command_t *command, wl_err_t err) {
    wl_redis_t *self = arg;
    command->err = err;
    wl_redis_commands_push(&self->failed, command);
    if (command->purpose == WL_REDIS_FOR_MAP) {
        wl_redis_nodes_take_map(self->nodes, NULL, NULL, wl_mono_now().ms);
    }
}

/* Those that fail meanwhile have their turn later, or a caller that tries again at once would keep
 * us here for ever. */
static void redis_call_back_failed(wl_redis_t *self) {
    wl_redis_commands_t all = self->failed;
    self->failed = (wl_redis_commands_t){0};
    wl_redis_command_t *command = NULL;
    while ((command = wl_redis_commands_pop(&all)) != NULL) {
        self->stats.failures += command->purpose == WL_REDIS_FOR_CALLER ? 1 : 0;
        redis_end(self, command, command->err, NULL);
    }
}

/* ---- scripts --------------------------------------------------------------------------------- */

static uint8_t redis_script_number(wl_redis_t *self, const char *text) {
    for (uint32_t i = 0; i < self->script_count; i++) {
        if (self->scripts[i].text == text) {
            return (uint8_t)(i + 1);
        }
    }
    WL_ASSERT(self->script_count < SCRIPTS_MAX); /* they are constants of this program */
    self->scripts[self->script_count].text = text;
    return (uint8_t)(++self->script_count);
}

/* Sends SCRIPT LOAD ahead of the first command that needs it, so that commands keep their order. */
static void redis_teach(wl_redis_t *self, wl_redis_node_t *node, uint8_t number, int64_t late_at) {
    wl_redis_node_scripts_t *scripts = wl_redis_node_scripts(node);
    uint64_t bit = (uint64_t)1 << (number - 1);
    if ((scripts->known & bit) != 0) {
        return;
    }
    const char *text = self->scripts[number - 1].text;
    wl_redis_arg_t args[] = {{"SCRIPT", 6}, {"LOAD", 4}, {text, strlen(text)}};
    wl_redis_command_t *command =
        wl_redis_command_new(WL_REDIS_FOR_SCRIPT, args, WL_COUNT_OF(args), late_at);
    command->script = number;
    scripts->known |= bit;
    scripts->loading |= bit;
    wl_redis_node_send(node, command);
}

static void redis_on_taught(wl_redis_t *self, wl_redis_node_t *node, uint8_t number,
                            const redisReply *reply) {
    wl_redis_node_scripts(node)->loading &= ~((uint64_t)1 << (number - 1));
    if (reply->type == REDIS_REPLY_STRING && reply->len == SHA_BYTES) {
        memcpy(self->scripts[number - 1].sha, reply->str, SHA_BYTES);
    }
}

/* ---- the way of a command -------------------------------------------------------------------- */

static void redis_send_to(wl_redis_t *self, wl_redis_node_t *node, wl_redis_command_t *command) {
    if (command->script != 0) {
        redis_teach(self, node, command->script, command->late_at);
    }
    wl_redis_node_send(node, command);
}

static void redis_dispatch(wl_redis_t *self, wl_redis_command_t *command) {
    wl_redis_node_t *node = NULL;
    wl_err_t err = WL_ERR_UNAVAILABLE; /* while it is being destroyed */
    if (self->nodes != NULL) {
        err = wl_redis_nodes_route(self->nodes, command->slot, &node);
    }
    if (err == WL_OK) {
        redis_send_to(self, node, command);
    } else if (err == WL_ERR_EMPTY) {
        wl_redis_commands_push(&self->parked, command);
    } else {
        on_failed(self, command, err);
    }
}

static void redis_unpark(wl_redis_t *self, int64_t now) {
    wl_redis_commands_t all = self->parked;
    self->parked = (wl_redis_commands_t){0};
    wl_redis_command_t *command = NULL;
    while ((command = wl_redis_commands_pop(&all)) != NULL) {
        if (command->late_at <= now) {
            on_failed(self, command, WL_ERR_DEADLINE);
        } else {
            redis_dispatch(self, command);
        }
    }
}

/* Takes over a new command of a caller. */
static void redis_take(wl_redis_t *self, wl_redis_command_t *command, const wl_redis_arg_t *key,
                       wl_redis_fn fn, void *ctx) {
    command->fn = fn;
    command->ctx = ctx;
    command->slot = key == NULL ? WL_REDIS_ANY_SLOT : (uint16_t)wl_redis_slot(key->at, key->bytes);
    bool full = self->open >= WL_REDIS_OPEN_MAX || self->bytes + command->byte_count > BYTES_MAX;
    self->open++;
    self->bytes += command->byte_count;
    self->stats.commands++;
    if (full) {
        on_failed(self, command, WL_ERR_FULL);
    } else {
        redis_dispatch(self, command);
    }
}

static int64_t redis_late_at(const wl_redis_t *self) {
    return wl_mono_now().ms + self->owner.timeout_ms;
}

void wl_redis_send(wl_redis_t *self, const wl_redis_arg_t *key, const wl_redis_arg_t *args,
                   uint32_t arg_count, wl_redis_fn fn, void *ctx) {
    wl_redis_command_t *command =
        wl_redis_command_new(WL_REDIS_FOR_CALLER, args, arg_count, redis_late_at(self));
    redis_take(self, command, key, fn, ctx);
}

void wl_redis_script(wl_redis_t *self, const char *script, uint32_t key_count,
                     const wl_redis_arg_t *args, uint32_t arg_count, wl_redis_fn fn, void *ctx) {
    WL_ASSERT(key_count <= arg_count);
    uint8_t number = redis_script_number(self, script);
    const char *sha = self->scripts[number - 1].sha;
    char keys[12];
    int digits = snprintf(keys, sizeof keys, "%u", (unsigned)key_count);
    wl_redis_arg_t *all = wl_alloc_zero(SCRIPT_ARGS_FIRST + (size_t)arg_count, sizeof *all);
    if (sha[0] != '\0') {
        all[0] = (wl_redis_arg_t){"EVALSHA", 7};
        all[1] = (wl_redis_arg_t){sha, SHA_BYTES};
    } else { /* no server has named it yet */
        all[0] = (wl_redis_arg_t){"EVAL", 4};
        all[1] = (wl_redis_arg_t){script, strlen(script)};
    }
    all[2] = (wl_redis_arg_t){keys, (size_t)digits};
    if (arg_count > 0) {
        memcpy(all + SCRIPT_ARGS_FIRST, args, arg_count * sizeof *args);
    }
    wl_redis_command_t *command = wl_redis_command_new(
        WL_REDIS_FOR_CALLER, all, SCRIPT_ARGS_FIRST + arg_count, redis_late_at(self));
    wl_free(all);
    command->script = number;
    redis_take(self, command, key_count > 0 ? args : NULL, fn, ctx);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* Counts one more sending. False: it was often enough. */
static bool redis_detour(wl_redis_t *self, wl_redis_command_t *command) {
    if (command->detours == DETOURS_MAX) {
        return false;
    }
    command->detours++;
    command->late_at = redis_late_at(self);
    return true;
}

/* The server forgot the script (a restart, SCRIPT FLUSH): tells it again, then the command. */
static bool redis_teach_again(wl_redis_t *self, wl_redis_node_t *node,
                              wl_redis_command_t *command) {
    uint64_t bit = (uint64_t)1 << (command->script - 1);
    wl_redis_node_scripts_t *scripts = wl_redis_node_scripts(node);
    if (!redis_detour(self, command)) {
        return false;
    }
    if ((scripts->loading & bit) == 0) { /* else it is on its way already */
        scripts->known &= ~bit;
    }
    redis_send_to(self, node, command);
    return true;
}

/* Sends a command to where the reply says. False: the reply is no redirection, or one too many. */
static bool redis_follow(wl_redis_t *self, wl_redis_node_t *node, wl_redis_command_t *command,
                         const redisReply *reply) {
    wl_redis_redirect_t redirect;
    if (wl_redis_redirect_read(&redirect, reply, wl_redis_node_address(node)) != WL_OK ||
        !redis_detour(self, command)) {
        return false;
    }
    self->stats.moved++;
    wl_redis_node_t *to = NULL;
    wl_err_t err = wl_redis_nodes_redirect(self->nodes, &redirect, wl_mono_now().ms, &to);
    if (err != WL_OK) {
        on_failed(self, command, err);
        return true;
    }
    if (redirect.ask) {
        if (command->script != 0) { /* nothing may stand between ASKING and its command */
            redis_teach(self, to, command->script, command->late_at);
        }
        wl_redis_arg_t asking = {"ASKING", 6};
        wl_redis_node_send(to,
                           wl_redis_command_new(WL_REDIS_FOR_ASKING, &asking, 1, command->late_at));
    }
    redis_send_to(self, to, command);
    return true;
}

static void redis_on_caller_reply(wl_redis_t *self, wl_redis_node_t *node,
                                  wl_redis_command_t *command, const redisReply *reply) {
    wl_err_t err = reply_err(reply);
    if (err == WL_ERR_NOT_FOUND && command->script != 0 &&
        strncmp(reply->str, "NOSCRIPT", 8) == 0 && redis_teach_again(self, node, command)) {
        return;
    }
    if (err == WL_ERR_INTERNAL && self->owner.resend) {
        if (redis_follow(self, node, command, reply)) {
            return;
        }
        bool lost = strncmp(reply->str, "MOVED ", 6) == 0 || strncmp(reply->str, "ASK ", 4) == 0;
        err = lost ? WL_ERR_BUSY : err; /* the cluster does not agree with itself yet */
    }
    if (err == WL_ERR_BUSY) {
        wl_redis_nodes_doubt(self->nodes); /* CLUSTERDOWN, among others */
    }
    redis_end(self, command, err, reply);
}

static void on_replied(void *arg, wl_redis_node_t *node, wl_redis_command_t *command,
                       const redisReply *reply) {
    wl_redis_t *self = arg;
    switch (command->purpose) {
    case WL_REDIS_FOR_CALLER: redis_on_caller_reply(self, node, command, reply); return;
    case WL_REDIS_FOR_SCRIPT: redis_on_taught(self, node, command->script, reply); break;
    case WL_REDIS_FOR_MAP:
        wl_redis_nodes_take_map(self->nodes, node, reply, wl_mono_now().ms);
        break;
    case WL_REDIS_FOR_HANDSHAKE:
    case WL_REDIS_FOR_ASKING: break;
    }
    wl_redis_command_destroy(&command);
}

static void on_down(void *arg) {
    wl_redis_t *self = arg;
    wl_redis_nodes_doubt(self->nodes);
}

/* ---- life ------------------------------------------------------------------------------------ */

static char *text_or_empty(const char *text) {
    return wl_strdup(text == NULL ? "" : text);
}

wl_err_t wl_redis_new(const wl_redis_options_t *options, wl_redis_t **ret, wl_fault_t *fault) {
    wl_redis_t *self = wl_alloc_zero(1, sizeof *self);
    wl_redis_owner_t *owner = &self->owner;
    owner->self = self;
    owner->replied = on_replied;
    owner->failed = on_failed;
    owner->down = on_down;
    owner->timeout_ms = options->timeout_ms;
    owner->resend = options->cluster;
    owner->user = text_or_empty(options->user);
    owner->password_file = text_or_empty(options->password_file);
    wl_err_t err = wl_password_file_read(owner->password_file, owner->password, fault);
    if (err == WL_OK) {
        err = wl_redis_nodes_new(owner, options->nodes, options->cluster, &self->nodes, fault);
    }
    if (err != WL_OK) {
        wl_redis_destroy(&self);
        return err;
    }
    *ret = self;
    return WL_OK;
}

void wl_redis_destroy(wl_redis_t **pointer) {
    wl_redis_t *self = pointer == NULL ? NULL : *pointer;
    if (self == NULL) {
        return;
    }
    WL_ASSERT(!self->serving);
    self->serving = true;
    wl_redis_command_t *command = NULL;
    while ((command = wl_redis_commands_pop(&self->parked)) != NULL) {
        on_failed(self, command, WL_ERR_UNAVAILABLE);
    }
    wl_redis_nodes_destroy(&self->nodes);
    while (self->failed.first != NULL) { /* a callback may send: without nodes that fails as well */
        redis_call_back_failed(self);
    }
    wl_free(self->owner.user);
    wl_free(self->owner.password_file);
    sodium_memzero(self, sizeof *self);
    wl_free(self);
    *pointer = NULL;
}

/* ---- serving --------------------------------------------------------------------------------- */

void wl_redis_tick(wl_redis_t *self) {
    if (self->serving) {
        return;
    }
    self->serving = true;
    int64_t now = wl_mono_now().ms;
    redis_unpark(self, now);
    wl_redis_nodes_turn(self->nodes, now);
    redis_call_back_failed(self);
    self->serving = false;
}

void wl_redis_ready(wl_redis_t *self, int fd, short events) {
    WL_ASSERT(!self->serving);
    self->serving = true;
    wl_redis_nodes_ready(self->nodes, fd, events, wl_mono_now().ms);
    redis_call_back_failed(self);
    self->serving = false;
}

/* Waits for any connection and serves those that are ready. */
static void redis_poll(wl_redis_t *self, int timeout_ms) {
    struct pollfd items[WL_REDIS_NODES_MAX];
    uint32_t count = wl_redis_nodes_poll(self->nodes, items);
    int ready = poll(items, count, timeout_ms);
    for (uint32_t i = 0; ready > 0 && i < count; i++) {
        if (items[i].revents != 0) {
            wl_redis_ready(self, items[i].fd, items[i].revents);
        }
    }
}

wl_err_t wl_redis_wait(wl_redis_t *self, uint32_t wait_ms) {
    WL_ASSERT(!self->serving);
    int64_t until = wl_mono_now().ms + wait_ms;
    /* Connections come up and maps arrive also for a caller whose commands all fail at once. */
    wl_redis_tick(self);
    redis_poll(self, 0);
    for (;;) {
        wl_redis_tick(self);
        if (self->open == 0) {
            return WL_OK;
        }
        int64_t left = until - wl_mono_now().ms;
        if (left <= 0) {
            return WL_ERR_DEADLINE;
        }
        redis_poll(self, left < TURN_MS ? (int)left : TURN_MS);
    }
}

void wl_redis_watch(wl_redis_t *self, wl_redis_watch_fn fn, void *ctx) {
    self->owner.watch = fn;
    self->owner.watch_ctx = ctx;
    struct pollfd items[WL_REDIS_NODES_MAX];
    uint32_t count = fn == NULL ? 0 : wl_redis_nodes_poll(self->nodes, items);
    for (uint32_t i = 0; i < count; i++) {
        fn(items[i].fd, items[i].events, ctx);
    }
}

/* ---- questions ------------------------------------------------------------------------------- */

uint64_t wl_redis_open(const wl_redis_t *self) {
    return self->open;
}

uint64_t wl_redis_link(const wl_redis_t *self, const wl_redis_arg_t *key) {
    return wl_redis_nodes_link(self->nodes, (uint16_t)wl_redis_slot(key->at, key->bytes));
}

uint32_t wl_redis_server(const wl_redis_t *self, uint32_t slot) {
    WL_ASSERT(slot < WL_REDIS_SLOTS);
    return wl_redis_nodes_server(self->nodes, (uint16_t)slot);
}

wl_redis_stats_t wl_redis_stats(const wl_redis_t *self) {
    wl_redis_stats_t stats = self->stats;
    stats.reconnects = self->owner.reconnects;
    stats.nodes = wl_redis_nodes_up(self->nodes);
    memcpy(stats.problem, self->owner.problem, sizeof stats.problem);
    return stats;
}
